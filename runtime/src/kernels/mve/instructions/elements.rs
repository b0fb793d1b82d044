//! Copies and element by element arithmetic.

use super::{Finish, Lattice, Runs, Sum, Window};
use core::arch::naked_asm;

pub(super) fn copy_runs(region: &mut [i8], runs: Runs) {
    let start = region.as_mut_ptr();
    let ([target_step, target_row_step], [n_runs, n_rows]) = (runs.target_steps, runs.counts);
    let frame = RunsFrame {
        source: start.wrapping_add(runs.source),
        target: start.wrapping_add(runs.target),
        length: runs.length,
        n_runs,
        target_step,
        n_rows,
        source_row_step: runs.source_row_step,
        target_row_step,
    };
    // SAFETY: the caller found all runs in the region; there is one run of one element at least.
    unsafe { copied_runs(&frame) }
}

#[repr(C)]
struct RunsFrame {
    source: *const i8,
    target: *mut i8,
    length: usize,
    n_runs: usize,
    target_step: usize,
    n_rows: usize,
    source_row_step: usize,
    target_row_step: usize,
}

/// Copies runs: up to sixteen elements in one go, longer ones in a loop each. r0 and r1 walk over the rows, r8 and r9 along
/// them.
#[unsafe(naked)]
unsafe extern "C" fn copied_runs(frame: *const RunsFrame) {
    naked_asm!(
        ".cpu cortex-m55
         push {{r4-r11, lr}}
         ldm r0, {{r0-r7}}
         cmp r2, #16
         beq 4f
         bhi 6f
         vctp.8 r2
         2:
         mov r8, r0
         mov r9, r1
         dls lr, r3
         3:
         vpstt
         vldrbt.u8 q0, [r8]
         vstrbt.8 q0, [r9]
         add r8, r8, r2
         add r9, r9, r4
         le lr, 3b
         add r0, r0, r6
         add r1, r1, r7
         subs r5, #1
         bne 2b
         pop {{r4-r11, pc}}
         4:
         mov r8, r0
         mov r9, r1
         dls lr, r3
         5:
         vldrb.u8 q0, [r8], #16
         vstrb.8 q0, [r9]
         add r9, r9, r4
         le lr, 5b
         add r0, r0, r6
         add r1, r1, r7
         subs r5, #1
         bne 4b
         pop {{r4-r11, pc}}
         6:
         add.w r10, r2, #15
         bic r10, r10, #15
         sub r4, r4, r10
         sub r10, r2, r10
         7:
         mov r8, r0
         mov r9, r1
         mov r11, r3
         8:
         dlstp.8 lr, r2
         9:
         vldrb.u8 q0, [r8], #16
         vstrb.8 q0, [r9], #16
         letp lr, 9b
         add r8, r8, r10
         add r9, r9, r4
         subs r11, r11, #1
         bne 8b
         add r0, r0, r6
         add r1, r1, r7
         subs r5, #1
         bne 7b
         pop {{r4-r11, pc}}"
    )
}

#[repr(C)]
struct LatticeFrame {
    source: *const i8,
    target: *mut i8,
    n_inner: usize,
    n_outer: usize,
    source_stride: usize,
    target_stride: usize,
    source_outer: usize,
    target_outer: usize,
    source_inner: usize,
    target_inner: usize,
}

pub(super) fn copy_lattice(region: &mut [i8], lattice: Lattice) {
    let start = region.as_mut_ptr();
    let [n_inner, n_outer] = lattice.counts;
    let ([source_inner, source_outer], [target_inner, target_outer]) = (lattice.source_steps, lattice.target_steps);
    let frame = LatticeFrame {
        source: start.wrapping_add(lattice.source),
        target: start.wrapping_add(lattice.target),
        n_inner,
        n_outer,
        source_stride: source_inner.wrapping_mul(8),
        target_stride: target_inner.wrapping_mul(8),
        source_outer,
        target_outer,
        source_inner,
        target_inner,
    };
    // SAFETY: the caller found all elements in the region and eight neighbours within 16-bit offsets; there is one
    // element at least.
    unsafe { copied_lattice(&frame) }
}

/// Copies elements, eight at a time, gathered with the offsets q0 and scattered with the offsets q1.
#[unsafe(naked)]
unsafe extern "C" fn copied_lattice(frame: *const LatticeFrame) {
    naked_asm!(
        ".cpu cortex-m55
         push {{r3-r11, lr}}
         ldm r0, {{r1-r10}}
         movs r0, #0
         vidup.u16 q0, r0, #1
         vmul.i16 q1, q0, r10
         vmul.i16 q0, q0, r9
         2:
         mov r0, r1
         mov r12, r2
         dlstp.16 lr, r3
         3:
         vldrb.u16 q2, [r0, q0]
         vstrb.16 q2, [r12, q1]
         add r0, r0, r5
         add r12, r12, r6
         letp lr, 3b
         add r1, r1, r7
         add r2, r2, r8
         subs r4, r4, #1
         bne 2b
         pop {{r3-r11, pc}}"
    )
}

pub(super) fn clamp(outputs: &mut [i8], min: i8, max: i8) {
    // SAFETY: the instructions write the elements of the slice, one at least.
    unsafe { clamped(outputs.as_mut_ptr(), outputs.len(), min.into(), max.into()) }
}

/// Clamps sixteen elements at a time.
#[unsafe(naked)]
unsafe extern "C" fn clamped(outputs: *mut i8, n: usize, min: i32, max: i32) {
    naked_asm!(
        ".cpu cortex-m55
         push {{r3, lr}}
         vdup.8 q1, r2
         vdup.8 q2, r3
         dlstp.8 lr, r1
         2:
         vldrb.u8 q0, [r0]
         vmax.s8 q0, q0, q1
         vmin.s8 q0, q0, q2
         vstrb.8 q0, [r0], #16
         letp lr, 2b
         pop {{r3, pc}}"
    )
}

#[repr(C)]
struct SumFrame {
    a: *const i8,
    b: *const i8,
    output: *mut i8,
    a_factor: i32,
    b_factor: i32,
    addend: i32,
    shift: i32,
    n: usize,
    finish: Finish,
}

pub(super) fn add(region: &mut [i8], sum: Sum, finish: Finish) {
    let start = region.as_mut_ptr();
    let frame = SumFrame {
        a: start.wrapping_add(sum.a),
        b: start.wrapping_add(sum.b),
        output: start.wrapping_add(sum.output),
        a_factor: sum.multiplier.a,
        b_factor: sum.multiplier.b,
        addend: sum.addend,
        shift: -i32::from(sum.multiplier.shift),
        n: sum.n,
        finish,
    };
    // SAFETY: the caller found all three tensors in the region; they have one element at least.
    unsafe { summed(&frame) }
}

/// Scaled sums, four at a time.
#[unsafe(naked)]
unsafe extern "C" fn summed(frame: *const SumFrame) {
    naked_asm!(
        ".cpu cortex-m55
         push {{r4-r9, r10, lr}}
         ldm r0!, {{r1-r8}}
         ldm r0, {{r0, r9, r10}}
         vdup.32 q2, r0
         vdup.32 q3, r9
         dlstp.32 lr, r8
         2:
         vldrb.s32 q0, [r1], #4
         vmul.i32 q0, q0, r4
         vldrb.s32 q1, [r2], #4
         vmla.i32 q0, q1, r5
         vadd.i32 q0, q0, r6
         vrshl.s32 q0, r7
         vadd.i32 q0, q0, r10
         vmax.s32 q0, q0, q2
         vmin.s32 q0, q0, q3
         vstrb.32 q0, [r3], #4
         letp lr, 2b
         pop {{r4-r9, r10, pc}}"
    )
}

pub(in crate::kernels::mve) fn largest(region: &mut [i8], window: Window, target: usize) {
    let start = region.as_mut_ptr();
    let ([columns, rows], [step, row_step]) = (window.counts, window.steps);
    let frame = [columns, rows, step, row_step];
    let (source, target) = (start.wrapping_add(window.source), start.wrapping_add(target));
    // SAFETY: the caller found all taps and outputs in the region; there is one tap of one channel at least.
    unsafe { largest_taps(source, target, window.n_channels, &frame) }
}

/// Maximum over taps, sixteen channels at a time: r4 walks over the rows, r3 along them.
#[unsafe(naked)]
unsafe extern "C" fn largest_taps(source: *const i8, target: *mut i8, n_channels: usize, frame: *const [usize; 4]) {
    naked_asm!(
        ".cpu cortex-m55
         push {{r4-r9, r10, lr}}
         ldm r3, {{r6, r7, r8, r9}}
         2:
         vctp.8 r2
         vmov.i8 q0, #0x80
         mov r4, r0
         mov r5, r7
         3:
         mov r3, r4
         dls lr, r6
         4:
         vpst
         vldrbt.u8 q1, [r3]
         add r3, r3, r8
         vmax.s8 q0, q0, q1
         le lr, 4b
         add r4, r4, r9
         subs r5, r5, #1
         bne 3b
         vpst
         vstrbt.8 q0, [r1], #16
         adds r0, #16
         subs r2, #16
         bgt 2b
         pop {{r4-r9, r10, pc}}"
    )
}

pub(in crate::kernels::mve) fn sums(region: &[i8], window: Window, sums: &mut [i16; 8]) {
    let ([columns, rows], [step, row_step]) = (window.counts, window.steps);
    let frame = [columns, rows, step, row_step];
    let source = region.as_ptr().wrapping_add(window.source);
    // SAFETY: the caller found all taps in the region; there is one tap of one to eight channels at least.
    unsafe { summed_taps(source, sums, window.n_channels, &frame) }
}

/// Sums of taps, eight channels: r0 walks over the rows, r4 along them.
#[unsafe(naked)]
unsafe extern "C" fn summed_taps(source: *const i8, sums: *mut [i16; 8], n_channels: usize, frame: *const [usize; 4]) {
    naked_asm!(
        ".cpu cortex-m55
         push {{r4-r9, r10, lr}}
         ldm r3, {{r6, r7, r8, r9}}
         vctp.16 r2
         vmov.i32 q0, #0
         2:
         mov r4, r0
         dls lr, r6
         3:
         vpst
         vldrbt.s16 q1, [r4]
         add r4, r4, r8
         vadd.i16 q0, q0, q1
         le lr, 3b
         add r0, r0, r9
         subs r7, r7, #1
         bne 2b
         vstrh.16 q0, [r1]
         pop {{r4-r9, r10, pc}}"
    )
}
