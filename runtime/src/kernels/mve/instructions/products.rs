//! Sums of products: pixels times filters.

use super::{CHANNELS, Finish, Pixels};
use crate::kernels::mve::layout::{LANES, block_words, padded_taps};
use core::arch::naked_asm;

/// Bytes from one unrolled step to the next: every vector instruction has four.
const PAIR_STEP_BYTES: usize = 14 * 4;
const EIGHT_STEP_BYTES: usize = 17 * 4;
/// Steps of sixteen taps that a loop is unrolled to.
const UNROLLED: usize = 4;

/// How often a loop of [`UNROLLED`] steps goes back, and how many bytes of its first round are left out.
fn rounds(taps: usize, step_bytes: usize) -> (usize, usize) {
    let less_one = (padded_taps(taps) / LANES).wrapping_sub(1);
    let skipped = (UNROLLED - 1).wrapping_sub(less_one % UNROLLED);
    (less_one / UNROLLED, skipped.wrapping_mul(step_bytes))
}

/// The first nine words become the frame of [`pixel_pairs`].
#[repr(C)]
struct PairsFrame {
    first: *const i8,
    second: *const i8,
    n_rounds_less_1: usize,
    skipped_bytes: usize,
    stream: *const u32,
    source_step: usize,
    target: *mut i8,
    n_outputs: usize,
    n_pairs: usize,
    finish: Finish,
    /// First four outputs of both pixels, as elements from the first pixel's.
    target_offsets: [u16; 2 * CHANNELS],
}

pub(super) fn multiply_pairs(region: &mut [i8], pixels: Pixels, stream: &[u32], finish: Finish) {
    let start = region.as_mut_ptr();
    let first = start.wrapping_add(pixels.source);
    let (n_rounds_less_1, skipped_bytes) = rounds(pixels.taps, PAIR_STEP_BYTES);
    let second = pixels.n_outputs as u16;
    let frame = PairsFrame {
        first,
        second: first.wrapping_add(pixels.source_step),
        n_rounds_less_1,
        skipped_bytes,
        stream: stream.as_ptr(),
        source_step: pixels.source_step.wrapping_mul(2),
        target: start.wrapping_add(pixels.target),
        n_outputs: pixels.n_outputs,
        n_pairs: pixels.n_pixels / 2,
        finish,
        target_offsets: [0, second, 1, second + 1, 2, second + 2, 3, second + 3],
    };
    // SAFETY: the caller found all pixels and outputs in the region and all blocks in the stream, and the outputs of
    // two pixels within 16-bit offsets; there is one pair, one tap and one output at least.
    unsafe { if pixels.taps <= LANES { short_pairs(&frame) } else { pixel_pairs(&frame) } }
}

/// Sixteen taps of two pixels and four outputs.
macro_rules! pair_step {
    () => {
        "vldrb.u8 q0, [r1], #16
         vldrb.u8 q1, [r3], #16
         vldrb.u8 q2, [r5], #16
         vmlava.s8 r0, q0, q2
         vmlava.s8 r8, q1, q2
         vldrb.u8 q3, [r5], #16
         vmlava.s8 r2, q0, q3
         vmlava.s8 r10, q1, q3
         vldrb.u8 q2, [r5], #16
         vmlava.s8 r4, q0, q2
         vmlava.s8 r12, q1, q2
         vldrb.u8 q3, [r5], #16
         vmlava.s8 r6, q0, q3
         vmlava.s8 lr, q1, q3\n"
    };
}

/// Pairs of pixels times all filters.
///
/// Registers: r0 r2 r4 r6 and r8 r10 r12 lr sum four outputs of two pixels, r1 and r3 point to their taps, r5 into the
/// stream, r7 to the first pixel's outputs, which end at r11; r9 counts rounds. q4 is the zero point, q5 and q6 are the
/// limits, q7 scatters the outputs of both pixels, which alternate in a vector. Predication cuts the last block to the
/// outputs that there are: one 32-bit lane of the predicate is one output of both pixels.
#[unsafe(naked)]
unsafe extern "C" fn pixel_pairs(frame: *const PairsFrame) {
    naked_asm!(
        ".cpu cortex-m55
         push {{r4-r11, lr}}
         vpush {{d8-d15}}
         sub sp, #36
         ldm r0!, {{r1-r9}}
         adr.w r10, 4f
         add r4, r4, r10
         orr r4, r4, #1
         stm sp, {{r1-r9}}
         ldm r0!, {{r1, r2, r3}}
         vdup.16 q5, r1
         vdup.16 q6, r2
         vdup.16 q4, r3
         vldrh.u16 q7, [r0]
         2:
         ldr r5, [sp, #16]
         ldrd r7, r11, [sp, #24]
         vctp.32 r11
         add r11, r11, r7
         3:
         ldm sp, {{r1, r3, r9}}
         ldm r5, {{r0, r2, r4, r6}}
         ldm r5!, {{r8, r10, r12, lr}}
         ldr pc, [sp, #12]
         .p2align 2
         4:\n",
        pair_step!(),
        pair_step!(),
        pair_step!(),
        pair_step!(),
        "subs r9, r9, #1
         bpl 4b
         vmov q0[2], q0[0], r0, r4
         vmov q0[3], q0[1], r2, r6
         vmov q1[2], q1[0], r8, r12
         vmov q1[3], q1[1], r10, lr
         vldrw.u32 q2, [r5], #16
         vldrw.u32 q3, [r5], #16
         vqdmulh.s32 q0, q0, q2
         vqdmulh.s32 q1, q1, q2
         vrshl.s32 q0, q0, q3
         vrshl.s32 q1, q1, q3
         vqmovnb.s32 q0, q0
         vqmovnt.s32 q0, q1
         vqadd.s16 q0, q0, q4
         vmax.s16 q0, q0, q5
         vmin.s16 q0, q0, q6
         vpst
         vstrbt.16 q0, [r7, q7]
         add.w r7, r7, #4
         subs r1, r11, r7
         vctp.32 r1
         bgt 3b
         ldm sp, {{r1, r3}}
         ldrd r2, r4, [sp, #28]
         add r11, r11, r2
         str r11, [sp, #24]
         ldr r2, [sp, #20]
         add r1, r1, r2
         add r3, r3, r2
         strd r1, r3, [sp]
         subs r4, r4, #1
         str r4, [sp, #32]
         bne 2b
         add sp, #36
         vpop {{d8-d15}}
         pop {{r4-r11, pc}}"
    )
}

/// Pairs of pixels with up to sixteen taps, which stay in q0 and q1.
///
/// Registers: as in [`pixel_pairs`], but r9 is the zero point and q4 takes multipliers and shifts.
#[unsafe(naked)]
unsafe extern "C" fn short_pairs(frame: *const PairsFrame) {
    naked_asm!(
        ".cpu cortex-m55
         push {{r4-r11, lr}}
         vpush {{d8-d15}}
         sub sp, #36
         ldm r0!, {{r1-r9}}
         stm sp, {{r1-r9}}
         ldm r0!, {{r1, r2, r9}}
         vdup.16 q5, r1
         vdup.16 q6, r2
         vldrh.u16 q7, [r0]
         2:
         ldr r5, [sp, #16]
         ldrd r7, r11, [sp, #24]
         vctp.32 r11
         add r11, r11, r7
         ldrd r1, r3, [sp]
         vldrb.u8 q0, [r1]
         vldrb.u8 q1, [r3]
         3:
         ldm r5, {{r0, r2, r4, r6}}
         ldm r5!, {{r8, r10, r12, lr}}
         vldrb.u8 q2, [r5], #16
         vmlava.s8 r0, q0, q2
         vmlava.s8 r8, q1, q2
         vldrb.u8 q3, [r5], #16
         vmlava.s8 r2, q0, q3
         vmlava.s8 r10, q1, q3
         vldrb.u8 q2, [r5], #16
         vmlava.s8 r4, q0, q2
         vmlava.s8 r12, q1, q2
         vldrb.u8 q3, [r5], #16
         vmlava.s8 r6, q0, q3
         vmlava.s8 lr, q1, q3
         vmov q2[2], q2[0], r0, r4
         vmov q2[3], q2[1], r2, r6
         vmov q3[2], q3[0], r8, r12
         vmov q3[3], q3[1], r10, lr
         vldrw.u32 q4, [r5], #16
         vqdmulh.s32 q2, q2, q4
         vqdmulh.s32 q3, q3, q4
         vldrw.u32 q4, [r5], #16
         vrshl.s32 q2, q2, q4
         vrshl.s32 q3, q3, q4
         vqmovnb.s32 q2, q2
         vqmovnt.s32 q2, q3
         vqadd.s16 q2, q2, r9
         vmax.s16 q2, q2, q5
         vmin.s16 q2, q2, q6
         vpst
         vstrbt.16 q2, [r7, q7]
         add.w r7, r7, #4
         subs r1, r11, r7
         vctp.32 r1
         bgt 3b
         ldm sp, {{r1, r3}}
         ldrd r2, r4, [sp, #28]
         add r11, r11, r2
         str r11, [sp, #24]
         ldr r2, [sp, #20]
         add r1, r1, r2
         add r3, r3, r2
         strd r1, r3, [sp]
         subs r4, r4, #1
         str r4, [sp, #32]
         bne 2b
         add sp, #36
         vpop {{d8-d15}}
         pop {{r4-r11, pc}}"
    )
}

#[repr(C)]
struct OneFrame {
    source: *const i8,
    block_bytes: usize,
    n_rounds_less_1: usize,
    /// Becomes the address in the loop where the first round starts.
    skipped_bytes: usize,
    n_steps: usize,
    target_end: *mut i8,
    stream: *const u32,
    target: *mut i8,
    finish: Finish,
}

pub(super) fn multiply_one(region: &mut [i8], pixel: Pixels, stream: &[u32], finish: Finish) {
    let start = region.as_mut_ptr();
    let target = start.wrapping_add(pixel.target);
    let (n_rounds_less_1, skipped_bytes) = rounds(pixel.taps, EIGHT_STEP_BYTES);
    let mut frame = OneFrame {
        source: start.wrapping_add(pixel.source),
        block_bytes: block_words(pixel.taps).wrapping_mul(4),
        n_rounds_less_1,
        skipped_bytes,
        n_steps: padded_taps(pixel.taps) / LANES,
        target_end: target.wrapping_add(pixel.n_outputs),
        stream: stream.as_ptr(),
        target,
        finish,
    };
    // SAFETY: the caller found the pixel and its outputs in the region and all blocks in the stream; there is one tap
    // and one output at least.
    unsafe { one_pixel(&mut frame) }
}

/// Sixteen taps of one pixel and eight outputs.
macro_rules! eight_step {
    () => {
        "vldrb.u8 q0, [r1], #16
         vldrb.u8 q1, [r5], #16
         vmlava.s8 r0, q0, q1
         vldrb.u8 q2, [r5], #16
         vmlava.s8 r2, q0, q2
         vldrb.u8 q1, [r5], #16
         vmlava.s8 r4, q0, q1
         vldrb.u8 q2, [r5], #16
         vmlava.s8 r6, q0, q2
         vldrb.u8 q1, [r3], #16
         vmlava.s8 r8, q0, q1
         vldrb.u8 q2, [r3], #16
         vmlava.s8 r10, q0, q2
         vldrb.u8 q1, [r3], #16
         vmlava.s8 r12, q0, q1
         vldrb.u8 q2, [r3], #16
         vmlava.s8 lr, q0, q2\n"
    };
}

/// One pixel times all filters: two blocks at once as long as there are eight outputs, then one by one.
///
/// Registers: as in [`pixel_pairs`], but r8 r10 r12 lr sum the second block, to which r3 points; r11 points to the
/// frame.
#[unsafe(naked)]
unsafe extern "C" fn one_pixel(frame: *mut OneFrame) {
    naked_asm!(
        ".cpu cortex-m55
         push {{r3-r11, lr}}
         vpush {{d8-d11}}
         mov r11, r0
         adr.w r1, 7f
         ldr r2, [r0, #12]
         add r1, r1, r2
         orr r1, r1, #1
         str r1, [r0, #12]
         add r0, r0, #20
         ldm r0, {{r0, r5, r7, r8, r9, r10}}
         vdup.32 q3, r8
         vdup.32 q4, r9
         vdup.32 q5, r10
         subs r0, r0, r7
         cmp r0, #8
         blt 4f
         6:
         ldm r11, {{r1, r3, r9}}
         add r3, r3, r5
         ldm r5!, {{r0, r2, r4, r6}}
         ldm r3!, {{r8, r10, r12, lr}}
         ldr pc, [r11, #12]
         .p2align 2
         7:\n",
        eight_step!(),
        eight_step!(),
        eight_step!(),
        eight_step!(),
        "subs r9, r9, #1
         bpl 7b
         vmov q0[2], q0[0], r0, r4
         vmov q0[3], q0[1], r2, r6
         vldrw.u32 q2, [r5]
         vqdmulh.s32 q0, q0, q2
         vldrw.u32 q2, [r5, #16]
         vrshl.s32 q0, q0, q2
         vmov q1[2], q1[0], r8, r12
         vmov q1[3], q1[1], r10, lr
         vldrw.u32 q2, [r3], #16
         vqdmulh.s32 q1, q1, q2
         vldrw.u32 q2, [r3], #16
         vrshl.s32 q1, q1, q2
         vadd.i32 q0, q0, q5
         vadd.i32 q1, q1, q5
         vmax.s32 q0, q0, q3
         vmax.s32 q1, q1, q3
         vmin.s32 q0, q0, q4
         vmin.s32 q1, q1, q4
         vstrb.32 q0, [r7], #4
         vstrb.32 q1, [r7], #4
         ldr r0, [r11, #20]
         mov r5, r3
         sub r0, r0, r7
         cmp r0, #8
         bge 6b
         4:
         cbz r0, 5f
         vctp.32 r0
         ldr r1, [r11]
         ldr r9, [r11, #16]
         ldm r5!, {{r0, r2, r4, r6}}
         dls lr, r9
         3:
         vldrb.u8 q0, [r1], #16
         vldrb.u8 q1, [r5], #16
         vmlava.s8 r0, q0, q1
         vldrb.u8 q2, [r5], #16
         vmlava.s8 r2, q0, q2
         vldrb.u8 q1, [r5], #16
         vmlava.s8 r4, q0, q1
         vldrb.u8 q2, [r5], #16
         vmlava.s8 r6, q0, q2
         le lr, 3b
         vmov q0[2], q0[0], r0, r4
         vmov q0[3], q0[1], r2, r6
         vldrw.u32 q1, [r5], #16
         vldrw.u32 q2, [r5], #16
         vqdmulh.s32 q0, q0, q1
         vrshl.s32 q0, q0, q2
         vadd.i32 q0, q0, q5
         vmax.s32 q0, q0, q3
         vmin.s32 q0, q0, q4
         vpst
         vstrbt.32 q0, [r7], #4
         ldr r0, [r11, #20]
         subs r0, r0, r7
         bgt 4b
         5:
         vpop {{d8-d11}}
         pop {{r3-r11, pc}}"
    )
}
