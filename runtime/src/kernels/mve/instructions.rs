//! Inner loops in vector instructions; off target the same loops in plain Rust.
//!
//! Each function checks that its instructions stay inside the slices that it is given.

// The only unsafe code of these kernels.
#![cfg_attr(all(target_arch = "arm", kernel_isa = "mve"), allow(unsafe_code))]

use super::layout::{CHANNELS, DEPTHWISE_WORDS, Plane, padded_taps, stream_words};
use crate::fixed_point::PairMultiplier;
use crate::kernels::parameters::OutputI8;

#[cfg(not(all(target_arch = "arm", kernel_isa = "mve")))]
use super::twins as implementation;

/// Zero point and limits of the output.
#[derive(Clone, Copy, Debug)]
#[repr(C)]
pub(super) struct Finish {
    pub min: i32,
    pub max: i32,
    pub zero_point: i32,
}

impl From<OutputI8> for Finish {
    fn from(output: OutputI8) -> Self {
        Self { min: output.min.into(), max: output.max.into(), zero_point: output.zero_point }
    }
}

/// Pixels in a row, each of which is multiplied with all filters of a layer.
#[derive(Clone, Copy, Debug)]
pub(super) struct Pixels {
    /// First tap of the first pixel.
    pub source: usize,
    /// Elements from one pixel's first tap to the next one's.
    pub source_step: usize,
    /// Taps of a pixel, all neighbours.
    pub taps: usize,
    /// First output of the first pixel; the outputs of all pixels are neighbours.
    pub target: usize,
    /// Outputs of a pixel.
    pub n_outputs: usize,
    /// Pixels, one at least.
    pub n_pixels: usize,
}

/// Multiplies the taps of pixels with all filters of a layer, two pixels at a time in ascending order.
///
/// # Shapes
/// - `region`: input and output; [`padded_taps`] elements are read of each pixel
/// - `stream`: blocks of four channels, see [`super::layout`]
pub(super) fn multiply(region: &mut [i8], pixels: Pixels, stream: &[u32], finish: Finish) -> Option<()> {
    let last = pixels.n_pixels.checked_sub(1)?;
    let read_end = last.checked_mul(pixels.source_step)?.checked_add(pixels.source)?;
    let write_end = pixels.n_pixels.checked_mul(pixels.n_outputs)?.checked_add(pixels.target)?;
    let reach = read_end.checked_add(padded_taps(pixels.taps))?.max(write_end);
    if reach > region.len() || pixels.taps == 0 || pixels.n_outputs == 0 {
        return None;
    }
    let stream = stream.get(..stream_words(pixels.taps, pixels.n_outputs))?;
    let n_paired = pixels.n_pixels & !1;
    if n_paired > 0 {
        implementation::multiply_pairs(region, Pixels { n_pixels: n_paired, ..pixels }, stream, finish);
    }
    if n_paired < pixels.n_pixels {
        let source = pixels.source.wrapping_add(n_paired.wrapping_mul(pixels.source_step));
        let target = pixels.target.wrapping_add(n_paired.wrapping_mul(pixels.n_outputs));
        implementation::multiply_one(region, Pixels { source, target, n_pixels: 1, ..pixels }, stream, finish);
    }
    Some(())
}

/// Runs of neighbouring elements at equal distances.
#[derive(Clone, Copy, Debug)]
pub(super) struct Runs {
    pub source: usize,
    pub target: usize,
    /// Elements of a run.
    pub length: usize,
    pub n_runs: usize,
    /// From one run to the next.
    pub source_step: usize,
    pub target_step: usize,
}

/// Copies runs inside a region; sources and targets are apart.
pub(super) fn copy_runs(region: &mut [i8], runs: Runs) -> Option<()> {
    let Some(last) = runs.n_runs.checked_sub(1).filter(|_| runs.length > 0) else { return Some(()) };
    for (start, step) in [(runs.source, runs.source_step), (runs.target, runs.target_step)] {
        if last.checked_mul(step)?.checked_add(start)?.checked_add(runs.length)? > region.len() {
            return None;
        }
    }
    implementation::copy_runs(region, runs);
    Some(())
}

/// Single elements along two axes, inner and outer.
#[derive(Clone, Copy, Debug)]
pub(super) struct Lattice {
    pub source: usize,
    pub target: usize,
    pub counts: [usize; 2],
    pub source_steps: [usize; 2],
    pub target_steps: [usize; 2],
}

impl Lattice {
    /// The two axes exchanged.
    pub fn transposed(self) -> Self {
        let swap = |[a, b]: [usize; 2]| [b, a];
        Self {
            counts: swap(self.counts),
            source_steps: swap(self.source_steps),
            target_steps: swap(self.target_steps),
            ..self
        }
    }

    /// Whether eight elements along the inner axis are within the reach of 16-bit offsets.
    pub fn is_near(&self) -> bool {
        let far = |[step, _]: [usize; 2]| step > usize::from(u16::MAX) / 8;
        !far(self.source_steps) && !far(self.target_steps)
    }
}

/// Copies single elements inside a region; sources and targets are apart.
pub(super) fn copy_lattice(region: &mut [i8], lattice: Lattice) -> Option<()> {
    let [inner, outer] = lattice.counts;
    let (Some(last_inner), Some(last_outer)) = (inner.checked_sub(1), outer.checked_sub(1)) else { return Some(()) };
    if !lattice.is_near() {
        return None;
    }
    for (start, [inner, outer]) in [(lattice.source, lattice.source_steps), (lattice.target, lattice.target_steps)] {
        let along = last_inner.checked_mul(inner)?.checked_add(last_outer.checked_mul(outer)?)?;
        if along.checked_add(start)? >= region.len() {
            return None;
        }
    }
    implementation::copy_lattice(region, lattice);
    Some(())
}

/// One channel of a depthwise convolution.
#[derive(Clone, Copy, Debug)]
pub(super) struct Channel {
    /// First element of the plane.
    pub plane: usize,
    /// Output of the first window.
    pub target: usize,
    /// From one output to the next along the plane's inner and outer axis.
    pub target_steps: [usize; 2],
}

/// Convolves the plane of one channel.
///
/// # Shapes
/// - `region`: plane ([`Plane::bytes`]) and output
/// - `block`: of a depthwise stream, see [`super::layout`]
pub(super) fn convolve(
    region: &mut [i8],
    plane: &Plane,
    channel: Channel,
    block: &[u32; DEPTHWISE_WORDS],
    finish: Finish,
) -> Option<()> {
    let [inner, outer] = plane.outputs;
    let (last_inner, last_outer) = (inner.checked_sub(1)?, outer.checked_sub(1)?);
    let [step_inner, step_outer] = channel.target_steps;
    let write_end = last_inner.checked_mul(step_inner)?.checked_add(last_outer.checked_mul(step_outer)?)?;
    let read_end = channel.plane.checked_add(plane.bytes())?;
    if write_end.checked_add(channel.target)? >= region.len() || read_end > region.len() {
        return None;
    }
    // The last group of four outputs on each line may start up to three outputs before the end.
    let groups_end = last_inner.wrapping_div_euclid(CHANNELS).wrapping_mul(CHANNELS).wrapping_add(CHANNELS - 1);
    let [plane_inner, plane_outer] = plane.steps;
    let last_window = groups_end.checked_mul(plane_inner)?.checked_add(last_outer.checked_mul(plane_outer)?)?;
    if last_window.checked_add(plane.reach)? >= plane.bytes() || plane.reach.checked_add(plane_inner)? > 255 {
        return None;
    }
    implementation::convolve(region, plane, channel, block, finish);
    Some(())
}

/// Sums of two tensors of one shape.
#[derive(Clone, Copy, Debug)]
pub(super) struct Sum {
    pub a: usize,
    pub b: usize,
    pub output: usize,
    pub n: usize,
    pub multiplier: PairMultiplier,
    /// `-(a_zero_point * a + b_zero_point * b)`
    pub addend: i32,
}

/// Adds two tensors inside a region; the output may be one of them.
pub(super) fn add(region: &mut [i8], sum: Sum, finish: Finish) -> Option<()> {
    for start in [sum.a, sum.b, sum.output] {
        if start.checked_add(sum.n)? > region.len() {
            return None;
        }
    }
    if sum.n > 0 {
        implementation::add(region, sum, finish);
    }
    Some(())
}

#[cfg(all(target_arch = "arm", kernel_isa = "mve"))]
mod implementation {
    use super::{CHANNELS, Channel, DEPTHWISE_WORDS, Finish, Lattice, Pixels, Plane, Runs, Sum};
    use crate::kernels::mve::layout::{LANES, padded_taps};
    use core::arch::naked_asm;

    /// The first nine words become the frame of [`pixel_pairs`].
    #[repr(C)]
    struct PairsFrame {
        target_end: *mut i8,
        first: *const i8,
        second: *const i8,
        n_steps_less_1: usize,
        stream: *const u32,
        source_step: usize,
        target_step: usize,
        n_pairs: usize,
        target: *mut i8,
        distance: usize,
        finish: Finish,
    }

    pub(super) fn multiply_pairs(region: &mut [i8], pixels: Pixels, stream: &[u32], finish: Finish) {
        let start = region.as_mut_ptr();
        let (first, target) = (start.wrapping_add(pixels.source), start.wrapping_add(pixels.target));
        let frame = PairsFrame {
            target_end: target.wrapping_add(pixels.n_outputs),
            first,
            second: first.wrapping_add(pixels.source_step),
            n_steps_less_1: padded_taps(pixels.taps) / LANES - 1,
            stream: stream.as_ptr(),
            source_step: pixels.source_step.wrapping_mul(2),
            target_step: pixels.n_outputs.wrapping_mul(2),
            n_pairs: pixels.n_pixels / 2,
            target,
            distance: pixels.n_outputs,
            finish,
        };
        // SAFETY: the caller found all pixels and outputs in the region and all blocks in the stream; there is one pair,
        // one tap and one output at least.
        unsafe { pixel_pairs(&frame) }
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
    /// stream, r7 to the first pixel's outputs, r11 is the distance to the second's; r9 counts double steps. q4 is the
    /// zero point, q5 and q6 are the limits. Predication cuts the last block to the outputs that there are.
    #[unsafe(naked)]
    unsafe extern "C" fn pixel_pairs(frame: *const PairsFrame) {
        naked_asm!(
            ".cpu cortex-m55
             push {{r4-r11, lr}}
             vpush {{d8-d13}}
             sub sp, #36
             ldm r0!, {{r1-r9}}
             stm sp, {{r1-r9}}
             ldr r11, [r0], #4
             ldm r0, {{r1, r2, r3}}
             vdup.32 q5, r1
             vdup.32 q6, r2
             vdup.32 q4, r3
             2:
             ldr r5, [sp, #16]
             ldr r7, [sp, #32]
             ldm sp, {{r0, r1, r3, r9}}
             subs r0, r0, r7
             3:
             vctp.32 r0
             lsrs r9, r9, #1
             ldm r5, {{r0, r2, r4, r6}}
             ldm r5!, {{r8, r10, r12, lr}}
             bcc 5f
             4:\n",
            pair_step!(),
            "5:\n",
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
             vadd.i32 q0, q0, q4
             vadd.i32 q1, q1, q4
             vmax.s32 q0, q0, q5
             vmax.s32 q1, q1, q5
             vmin.s32 q0, q0, q6
             vmin.s32 q1, q1, q6
             add r3, r7, r11
             vpstt
             vstrbt.32 q0, [r7], #4
             vstrbt.32 q1, [r3]
             ldm sp, {{r0, r1, r3, r9}}
             subs r0, r0, r7
             bgt 3b
             ldr r2, [sp, #20]
             add r1, r1, r2
             add r3, r3, r2
             strd r1, r3, [sp, #4]
             ldr r4, [sp, #24]
             ldr r6, [sp, #32]
             add r6, r6, r4
             str r6, [sp, #32]
             ldr r0, [sp]
             add r0, r0, r4
             str r0, [sp]
             ldr r2, [sp, #28]
             subs r2, r2, #1
             str r2, [sp, #28]
             bne 2b
             add sp, #36
             vpop {{d8-d13}}
             pop {{r4-r11, pc}}"
        )
    }

    #[repr(C)]
    struct OneFrame {
        stream: *const u32,
        target: *mut i8,
        source: *const i8,
        n_double_steps: usize,
        starts_in_the_middle: usize,
        target_end: *mut i8,
        finish: Finish,
    }

    pub(super) fn multiply_one(region: &mut [i8], pixel: Pixels, stream: &[u32], finish: Finish) {
        let start = region.as_mut_ptr();
        let target = start.wrapping_add(pixel.target);
        let n_steps = padded_taps(pixel.taps) / LANES;
        let frame = OneFrame {
            stream: stream.as_ptr(),
            target,
            source: start.wrapping_add(pixel.source),
            n_double_steps: n_steps.div_ceil(2),
            starts_in_the_middle: n_steps % 2,
            target_end: target.wrapping_add(pixel.n_outputs),
            finish,
        };
        // SAFETY: the caller found the pixel and its outputs in the region and all blocks in the stream; there is one tap
        // and one output at least.
        unsafe { one_pixel(&frame) }
    }

    /// Sixteen taps of one pixel and four outputs.
    macro_rules! one_step {
        () => {
            "vldrb.u8 q0, [r1], #16
             vldrb.u8 q1, [r5], #16
             vmlava.s8 r0, q0, q1
             vldrb.u8 q2, [r5], #16
             vmlava.s8 r2, q0, q2
             vldrb.u8 q1, [r5], #16
             vmlava.s8 r4, q0, q1
             vldrb.u8 q2, [r5], #16
             vmlava.s8 r6, q0, q2\n"
        };
    }

    /// One pixel times all filters.
    #[unsafe(naked)]
    unsafe extern "C" fn one_pixel(frame: *const OneFrame) {
        naked_asm!(
            ".cpu cortex-m55
             push {{r3-r11, lr}}
             vpush {{d8-d9}}
             ldm r0!, {{r5, r7, r8, r9, r10, r11}}
             ldm r0, {{r1, r2, r3}}
             vdup.32 q3, r1
             vdup.32 q4, r2
             2:
             mov r1, r8
             sub r12, r11, r7
             vctp.32 r12
             ldm r5!, {{r0, r2, r4, r6}}
             cmp r10, #0
             dls lr, r9
             bne 4f
             3:\n",
            one_step!(),
            "4:\n",
            one_step!(),
            "le lr, 3b
             vmov q0[2], q0[0], r0, r4
             vmov q0[3], q0[1], r2, r6
             vldrw.u32 q1, [r5], #16
             vldrw.u32 q2, [r5], #16
             vqdmulh.s32 q0, q0, q1
             vrshl.s32 q0, q0, q2
             vadd.i32 q0, q0, r3
             vmax.s32 q0, q0, q3
             vmin.s32 q0, q0, q4
             vpst
             vstrbt.32 q0, [r7], #4
             cmp r7, r11
             blo 2b
             vpop {{d8-d9}}
             pop {{r3-r11, pc}}"
        )
    }

    pub(super) fn copy_runs(region: &mut [i8], runs: Runs) {
        let start = region.as_mut_ptr();
        let (source, target) = (start.wrapping_add(runs.source), start.wrapping_add(runs.target));
        // SAFETY: the caller found all runs in the region; there is one run of one element at least.
        unsafe { copied_runs(source, target, runs.length, runs.n_runs, runs.source_step, runs.target_step) }
    }

    /// Copies runs: up to sixteen elements in one go, longer ones in a loop each.
    #[unsafe(naked)]
    unsafe extern "C" fn copied_runs(
        source: *const i8,
        target: *mut i8,
        length: usize,
        n_runs: usize,
        source_step: usize,
        target_step: usize,
    ) {
        naked_asm!(
            ".cpu cortex-m55
             push {{r3-r7, lr}}
             ldrd r6, r7, [sp, #24]
             cmp r2, #16
             bhi 3f
             vctp.8 r2
             dls lr, r3
             2:
             vpstt
             vldrbt.u8 q0, [r0]
             vstrbt.8 q0, [r1]
             add r0, r0, r6
             add r1, r1, r7
             le lr, 2b
             pop {{r3-r7, pc}}
             3:
             mov r4, r0
             mov r5, r1
             dlstp.8 lr, r2
             4:
             vldrb.u8 q0, [r4], #16
             vstrb.8 q0, [r5], #16
             letp lr, 4b
             add r0, r0, r6
             add r1, r1, r7
             subs r3, r3, #1
             bne 3b
             pop {{r3-r7, pc}}"
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

    /// The first six words become the frame of [`convolved`].
    #[repr(C)]
    struct PlaneFrame {
        source: *const i8,
        target: *mut i8,
        n_outer: usize,
        n_tail: usize,
        source_outer: usize,
        target_outer: usize,
        bias: u32,
        multiplier: u32,
        shift: u32,
        zero_point: i32,
        source_stride: usize,
        target_stride: usize,
        n_groups: usize,
        min: i32,
        max: i32,
        weights: *const u32,
        target_offsets: [u32; CHANNELS],
        tap_offsets: [u8; LANES],
        next_tap_offsets: [u8; LANES],
    }

    pub(super) fn convolve(
        region: &mut [i8],
        plane: &Plane,
        channel: Channel,
        block: &[u32; DEPTHWISE_WORDS],
        finish: Finish,
    ) {
        let start = region.as_mut_ptr();
        let ([n_inner, n_outer], [source_inner, source_outer]) = (plane.outputs, plane.steps);
        let [target_inner, target_outer] = channel.target_steps;
        let [_, _, _, _, bias, multiplier, shift] = *block;
        let frame = PlaneFrame {
            source: start.wrapping_add(channel.plane),
            target: start.wrapping_add(channel.target),
            n_outer,
            n_tail: n_inner % CHANNELS,
            source_outer,
            target_outer,
            bias,
            multiplier,
            shift,
            zero_point: finish.zero_point,
            source_stride: source_inner.wrapping_mul(2),
            target_stride: target_inner.wrapping_mul(CHANNELS),
            n_groups: n_inner / CHANNELS,
            min: finish.min,
            max: finish.max,
            weights: block.as_ptr(),
            target_offsets: [0, 1, 2, 3].map(|i: u32| i.wrapping_mul(target_inner as u32)),
            tap_offsets: plane.tap_offsets,
            next_tap_offsets: plane.tap_offsets.map(|offset| offset.wrapping_add(source_inner as u8)),
        };
        // SAFETY: the caller found the plane with all that groups of four read, and the outputs, in the region.
        unsafe { convolved(&frame) }
    }

    /// Four outputs in q4.
    macro_rules! group {
        () => {
            "vldrb.u8 q3, [r1, q0]
             vmlav.s8 r0, q3, q2
             vldrb.u8 q3, [r1, q1]
             vmlav.s8 r2, q3, q2
             add r1, r1, r10
             vldrb.u8 q3, [r1, q0]
             vmlav.s8 r4, q3, q2
             vldrb.u8 q3, [r1, q1]
             vmlav.s8 r6, q3, q2
             add r1, r1, r10
             vmov q4[2], q4[0], r0, r4
             vmov q4[3], q4[1], r2, r6
             vadd.i32 q4, q4, r5
             vqdmulh.s32 q4, q4, r7
             vrshl.s32 q4, r8
             vadd.i32 q4, q4, r9
             vmax.s32 q4, q4, q6
             vmin.s32 q4, q4, q7\n"
        };
    }

    /// All outputs of one plane: q0 and q1 gather the taps of two outputs, q2 holds the weights, q5 scatters four outputs.
    #[unsafe(naked)]
    unsafe extern "C" fn convolved(frame: *const PlaneFrame) {
        naked_asm!(
            ".cpu cortex-m55
             push {{r4-r11, lr}}
             vpush {{d8-d15}}
             sub sp, #28
             ldm r0!, {{r1-r6}}
             stm sp, {{r1-r6}}
             ldm r0!, {{r5, r7, r8, r9, r10, r11, r12}}
             ldm r0!, {{r1, r2, r3}}
             vdup.32 q6, r1
             vdup.32 q7, r2
             vldrb.u8 q2, [r3]
             vldrw.u32 q5, [r0]
             vldrb.u8 q0, [r0, #16]
             vldrb.u8 q1, [r0, #32]
             2:
             ldrd r1, r3, [sp]
             wls lr, r12, 4f
             3:\n",
            group!(),
            "vstrb.32 q4, [r3, q5]
             add r3, r3, r11
             le lr, 3b
             4:
             ldr lr, [sp, #12]
             cmp lr, #0
             beq 5f
             vctp.32 lr\n",
            group!(),
            "vpst
             vstrbt.32 q4, [r3, q5]
             5:
             ldrd r0, r2, [sp]
             ldrd r4, r6, [sp, #16]
             add r0, r0, r4
             add r2, r2, r6
             strd r0, r2, [sp]
             ldr r0, [sp, #8]
             subs r0, r0, #1
             str r0, [sp, #8]
             bne 2b
             add sp, #28
             vpop {{d8-d15}}
             pop {{r4-r11, pc}}"
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
}
