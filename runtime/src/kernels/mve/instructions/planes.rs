//! Depthwise convolution: a channel is copied to its plane, and convolved there.

use super::{Chunks, GROUP, PairLanes, Plane, Planes};
use crate::kernels::mve::layout::LANES;
use core::arch::naked_asm;

/// What [`convolved`] needs, in the order in which it loads it.
#[repr(C)]
struct PlanesFrame {
    source: *const i8,
    target: *mut i8,
    stream: *const u32,
    n_channels: usize,
    n_lines: usize,
    length: usize,
    source_line_step: usize,
    plane_line_step: usize,
    source_stride: usize,
    inside: *mut i8,
    zero_point: i32,
    two_steps: usize,
    six_steps: usize,
    target_stride: usize,
    plane: *const i8,
    to_next_plane_line: usize,
    to_next_target_line: usize,
    n_output_lines: usize,
    n_outputs: usize,
    source_offsets: [u16; GROUP],
    target_offsets: [u16; GROUP],
    offsets: [u8; LANES],
    half_group_offsets: [u8; LANES],
    first: [u8; LANES],
    second: [u8; LANES],
}

pub(super) fn convolve(region: &mut [i8], plane: &Plane<PairLanes>, planes: Planes, stream: &[u32], zero_point: i32) {
    let start = region.as_mut_ptr();
    let ([length, _], [before, lines_before]) = (plane.extents, planes.padding);
    let ([n_outputs, n_output_lines], [step, line_step]) = (plane.outputs, plane.steps);
    let ([source_step, source_line_step], [target_step, target_line_step]) = (planes.source_steps, planes.target_steps);
    let [count, line_count] = planes.source_counts;
    let plane_start = start.wrapping_add(planes.plane);
    let walked = n_outputs.next_multiple_of(GROUP);
    let multiples = |step: usize| [0, 1, 2, 3, 4, 5, 6, 7].map(|i: u16| i.wrapping_mul(step as u16));
    let half_group = step.wrapping_mul(GROUP / 2) as u8;
    let mut frame = PlanesFrame {
        source: start.wrapping_add(planes.source),
        target: start.wrapping_add(planes.target),
        stream: stream.as_ptr(),
        n_channels: planes.n_channels,
        // Nothing is copied when all windows lie in the padding.
        n_lines: if count == 0 { 0 } else { line_count },
        length: count,
        source_line_step,
        plane_line_step: length,
        source_stride: source_step.wrapping_mul(GROUP),
        inside: plane_start.wrapping_add(lines_before.wrapping_mul(length)).wrapping_add(before),
        zero_point,
        two_steps: step.wrapping_mul(2),
        six_steps: step.wrapping_mul(6),
        target_stride: target_step.wrapping_mul(GROUP),
        plane: plane_start,
        to_next_plane_line: line_step.wrapping_sub(walked.wrapping_mul(step)),
        to_next_target_line: target_line_step.wrapping_sub(walked.wrapping_mul(target_step)),
        n_output_lines,
        n_outputs,
        source_offsets: multiples(source_step),
        target_offsets: multiples(target_step),
        offsets: plane.taps.offsets,
        half_group_offsets: plane.taps.offsets.map(|offset| offset.wrapping_add(half_group)),
        first: plane.taps.first,
        second: plane.taps.second,
    };
    // SAFETY: the caller found input, outputs and the plane with all that whole groups read in the region, a block for
    // every channel in the stream, and all offsets in range; there is one channel and one output at least.
    unsafe { convolved(&mut frame) }
}

/// Copies a channel of the frame at r0 to its plane, goes to label 6, and to the next channel the next time.
///
/// Registers: r1 and r9 walk over the lines of input and plane, r2 and r3 along them, eight elements at a time.
macro_rules! copy_channel {
    () => {
        "ldr r1, [r0]
         adds r2, r1, #1
         str r2, [r0]
         add.w r2, r0, #16
         ldm r2, {{r4, r5, r6, r7, r8, r9}}
         cbz r4, 6f
         vldrh.u16 q5, [r0, #76]
         3:
         mov r2, r1
         mov r3, r9
         dlstp.16 lr, r5
         4:
         vldrb.u16 q4, [r2, q5]
         vstrb.16 q4, [r3], #8
         add r2, r2, r8
         letp lr, 4b
         add r1, r1, r6
         add r9, r9, r7
         subs r4, r4, #1
         bne 3b\n"
    };
}

/// All planes.
///
/// Registers: q0 and q1 gather the taps of outputs 0 and 1, 4 and 5 at r1, then of 2 and 3, 6 and 7; q2 and q3 are the
/// weights of either. q5 takes the even outputs and q6 the odd ones, so that narrowing both into one vector puts them
/// in order; q7 scatters them from r3 on. r5 is the bias, r7 and r8 are the factor, r9 is the zero point; lr counts the
/// outputs of the line. On the stack: the steps to the next lines, the lines left, the outputs of a line, the frame.
#[unsafe(naked)]
unsafe extern "C" fn convolved(frame: *mut PlanesFrame) {
    naked_asm!(
        ".cpu cortex-m55
         push {{r4-r11, lr}}
         vpush {{d8-d15}}
         sub sp, #20
         str r0, [sp, #16]
         vldrh.u16 q7, [r0, #92]
         vldrb.u8 q0, [r0, #108]
         vldrb.u8 q1, [r0, #124]
         2:\n",
        copy_channel!(),
        "6:
         ldr r1, [r0, #8]
         add.w r2, r0, #140
         vldrb.u8 q4, [r2]
         vldrb.u8 q2, [r1, q4]
         vldrb.u8 q4, [r2, #16]
         vldrb.u8 q3, [r1, q4]
         adds r1, #16
         ldm r1!, {{r5, r7, r8}}
         str r1, [r0, #8]
         ldr r3, [r0, #4]
         adds r2, r3, #1
         str r2, [r0, #4]
         add.w r2, r0, #40
         ldm r2, {{r9, r10, r11, r12}}
         adds r0, #56
         ldm r0, {{r1, r2, r4, r6, lr}}
         strd r2, r4, [sp]
         strd r6, lr, [sp, #8]
         5:
         vldrb.u8 q4, [r1, q0]
         vmlav.s8 r0, q4, q2
         vmlav.s8 r2, q4, q3
         vldrb.u8 q4, [r1, q1]
         vmlav.s8 r4, q4, q2
         vmlav.s8 r6, q4, q3
         add r1, r1, r10
         vmov q5[2], q5[0], r0, r4
         vmov q6[2], q6[0], r2, r6
         vldrb.u8 q4, [r1, q0]
         vmlav.s8 r0, q4, q2
         vmlav.s8 r2, q4, q3
         vldrb.u8 q4, [r1, q1]
         vmlav.s8 r4, q4, q2
         vmlav.s8 r6, q4, q3
         add r1, r1, r11
         vmov q5[3], q5[1], r0, r4
         vmov q6[3], q6[1], r2, r6
         vadd.i32 q5, q5, r5
         vadd.i32 q6, q6, r5
         vqdmulh.s32 q5, q5, r7
         vqdmulh.s32 q6, q6, r7
         vrshl.s32 q5, r8
         vrshl.s32 q6, r8
         vqmovnb.s32 q5, q5
         vqmovnt.s32 q5, q6
         vqadd.s16 q5, q5, r9
         vqmovnb.s16 q5, q5
         vctp.16 lr
         vpst
         vstrbt.16 q5, [r3, q7]
         add r3, r3, r12
         subs.w lr, lr, #8
         bgt 5b
         ldrd r2, r4, [sp]
         add r1, r1, r2
         add r3, r3, r4
         ldrd r0, lr, [sp, #8]
         subs r0, #1
         str r0, [sp, #8]
         bne 5b
         ldr r0, [sp, #16]
         ldr r2, [r0, #12]
         subs r2, #1
         str r2, [r0, #12]
         bne 2b
         add sp, #20
         vpop {{d8-d15}}
         pop {{r4-r11, pc}}"
    )
}

/// What [`convolved_chunks`] needs: words that it loads together are neighbours.
#[repr(C)]
struct ChunksFrame {
    /// Registers at the start of a group: r0, r2.
    zeros: [usize; 2],
    /// r3
    n_chunks: usize,
    r4: usize,
    /// r5, those of the channel.
    weights: *const u32,
    r6: usize,
    /// r7
    step: usize,
    r8: usize,
    /// r9
    to_next_chunk: usize,
    /// r10, r12, lr
    more_zeros: [usize; 3],
    /// At 48, as in a [`PlanesFrame`].
    source: *const i8,
    target: *mut i8,
    stream: *const u32,
    n_channels: usize,
    n_lines: usize,
    length: usize,
    source_line_step: usize,
    plane_line_step: usize,
    source_stride: usize,
    inside: *mut i8,
    /// At 88, of the channel: bias, multiplier, 31 - shift.
    factor: [u32; 3],
    zero_point: i32,
    to_next_group: usize,
    target_stride: usize,
    /// At 112, the next output of the channel, how many the line still has, lines left.
    next_output: *mut i8,
    n_outputs_left: usize,
    n_output_lines_left: usize,
    source_offsets: [u16; GROUP],
    target_offsets: [u16; GROUP],
    offsets: [u8; LANES],
    /// At 172.
    plane: *const i8,
    to_next_plane_line: usize,
    to_next_target_line: usize,
    n_output_lines: usize,
    n_outputs: usize,
}

pub(super) fn convolve_chunks(
    region: &mut [i8],
    plane: &Plane<Chunks>,
    planes: Planes,
    stream: &[u32],
    zero_point: i32,
) {
    let start = region.as_mut_ptr();
    let ([length, _], [before, lines_before]) = (plane.extents, planes.padding);
    let ([n_outputs, n_output_lines], [step, line_step]) = (plane.outputs, plane.steps);
    let ([source_step, source_line_step], [target_step, target_line_step]) = (planes.source_steps, planes.target_steps);
    let [count, line_count] = planes.source_counts;
    let plane_start = start.wrapping_add(planes.plane);
    let walked = n_outputs.next_multiple_of(GROUP);
    let multiples = |step: usize| [0, 1, 2, 3, 4, 5, 6, 7].map(|i: u16| i.wrapping_mul(step as u16));
    let chunks = plane.taps;
    let mut frame = ChunksFrame {
        zeros: [0; 2],
        n_chunks: chunks.count,
        r4: 0,
        weights: stream.as_ptr(),
        r6: 0,
        step,
        r8: 0,
        to_next_chunk: chunks.step.wrapping_sub(step.wrapping_mul(GROUP / 2 - 1)),
        more_zeros: [0; 3],
        source: start.wrapping_add(planes.source),
        target: start.wrapping_add(planes.target),
        stream: stream.as_ptr(),
        n_channels: planes.n_channels,
        // Nothing is copied when all windows lie in the padding.
        n_lines: if count == 0 { 0 } else { line_count },
        length: count,
        source_line_step,
        plane_line_step: length,
        source_stride: source_step.wrapping_mul(GROUP),
        inside: plane_start.wrapping_add(lines_before.wrapping_mul(length)).wrapping_add(before),
        factor: [0; 3],
        zero_point,
        to_next_group: step.wrapping_mul(GROUP).wrapping_sub(chunks.count.wrapping_mul(chunks.step)),
        target_stride: target_step.wrapping_mul(GROUP),
        next_output: start,
        n_outputs_left: 0,
        n_output_lines_left: 0,
        source_offsets: multiples(source_step),
        target_offsets: multiples(target_step),
        offsets: chunks.offsets,
        plane: plane_start,
        to_next_plane_line: line_step.wrapping_sub(walked.wrapping_mul(step)),
        to_next_target_line: target_line_step.wrapping_sub(walked.wrapping_mul(target_step)),
        n_output_lines,
        n_outputs,
    };
    // SAFETY: the caller found input, outputs and the plane with all that whole groups and chunks read in the region, a
    // block for every channel in the stream, and all offsets in range; there is one channel, one output and one chunk at
    // least.
    unsafe { convolved_chunks(&mut frame) }
}

/// All planes, in chunks.
///
/// Registers: r11 is the frame. r0 r2 r4 r6 and r8 r10 r12 lr sum eight outputs; q0 gathers a chunk of the first four at
/// r1, q1 of the others; q2 is the chunk's weights at r5; r3 counts the chunks. q5 takes the even outputs and q6 the odd
/// ones, q7 scatters them, as in [`convolved`].
#[unsafe(naked)]
unsafe extern "C" fn convolved_chunks(frame: *mut ChunksFrame) {
    naked_asm!(
        ".cpu cortex-m55
         push {{r4-r11, lr}}
         vpush {{d8-d15}}
         mov r11, r0
         vldrh.u16 q7, [r11, #140]
         vldrw.u32 q0, [r11, #156]
         ldr r2, [r11, #24]
         lsls r2, r2, #2
         vadd.i8 q1, q0, r2
         2:
         add.w r0, r11, #48\n",
        copy_channel!(),
        "6:
         ldr r1, [r11, #56]
         ldm r1!, {{r2, r3, r4}}
         add.w r0, r11, #88
         stm r0, {{r2, r3, r4}}
         str r1, [r11, #16]
         ldr r2, [r11, #8]
         add r1, r1, r2, lsl #4
         ldr r3, [r11, #52]
         adds r2, r3, #1
         strd r2, r1, [r11, #52]
         ldr r1, [r11, #172]
         ldrd r4, r2, [r11, #184]
         strd r3, r2, [r11, #112]
         str r4, [r11, #120]
         5:
         ldm r11, {{r0, r2-r10, r12, lr}}
         7:
         vldrb.u8 q2, [r5], #16
         vldrb.u8 q3, [r1, q0]
         vmlava.s8 r0, q3, q2
         vldrb.u8 q4, [r1, q1]
         vmlava.s8 r8, q4, q2
         add r1, r1, r7
         vldrb.u8 q3, [r1, q0]
         vmlava.s8 r2, q3, q2
         vldrb.u8 q4, [r1, q1]
         vmlava.s8 r10, q4, q2
         add r1, r1, r7
         vldrb.u8 q3, [r1, q0]
         vmlava.s8 r4, q3, q2
         vldrb.u8 q4, [r1, q1]
         vmlava.s8 r12, q4, q2
         add r1, r1, r7
         vldrb.u8 q3, [r1, q0]
         vmlava.s8 r6, q3, q2
         vldrb.u8 q4, [r1, q1]
         vmlava.s8 lr, q4, q2
         add r1, r1, r9
         subs r3, r3, #1
         bne 7b
         vmov q5[2], q5[0], r0, r8
         vmov q5[3], q5[1], r4, r12
         vmov q6[2], q6[0], r2, r10
         vmov q6[3], q6[1], r6, lr
         add.w r0, r11, #88
         ldm r0, {{r2-r9}}
         add r1, r1, r6
         vadd.i32 q5, q5, r2
         vadd.i32 q6, q6, r2
         vqdmulh.s32 q5, q5, r3
         vqdmulh.s32 q6, q6, r3
         vrshl.s32 q5, r4
         vrshl.s32 q6, r4
         vqmovnb.s32 q5, q5
         vqmovnt.s32 q5, q6
         vqadd.s16 q5, q5, r5
         vqmovnb.s16 q5, q5
         vctp.16 r9
         vpst
         vstrbt.16 q5, [r8, q7]
         add r8, r8, r7
         subs.w r9, r9, #8
         strd r8, r9, [r11, #112]
         bgt 5b
         ldrd r2, r3, [r11, #176]
         add r1, r1, r2
         add r8, r8, r3
         ldr r9, [r11, #188]
         strd r8, r9, [r11, #112]
         ldr r2, [r11, #120]
         subs r2, #1
         str r2, [r11, #120]
         bne 5b
         ldr r2, [r11, #60]
         subs r2, #1
         str r2, [r11, #60]
         bne 2b
         vpop {{d8-d15}}
         pop {{r4-r11, pc}}"
    )
}
