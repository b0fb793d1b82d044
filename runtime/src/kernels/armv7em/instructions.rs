//! Inner loops in instructions of the DSP extension, the only unsafe code of these kernels.
//!
//! Lengths are checked by [`super::loops`]; what each function relies on is said there and at the blocks.

#![allow(unsafe_code)]

mod depthwise_conv_2d;
mod pool_2d;
mod winograd;

pub(super) use depthwise_conv_2d::convolve_windows;
pub(super) use pool_2d::{maximum, mean};
pub(super) use winograd::{multiply_tiles, transform_tiles};

use super::loops::{PixelPairs, Places, Plane, Sum};
use crate::kernels::armv7em::layout::{Block, DEPTHWISE_WORDS};
use core::arch::naked_asm;

pub(super) fn multiply_pairs(
    pairs: &PixelPairs,
    region: &mut [i8],
    places: Places,
    n_pairs: usize,
    stream: &[u32],
) -> Option<()> {
    let weight_bytes = pairs.rows * pairs.row_taps * 2;
    let main_bytes = weight_bytes / 64 * 64;
    let pairs_words = pairs.n_outputs / 2 * Block::Pair.words(pairs.rows * pairs.row_taps);
    let start = region.as_mut_ptr();
    // SAFETY: the caller found all three places in the region.
    let [source, target, patch] = [places.source, places.target, places.patch].map(|place| unsafe { start.add(place) });
    if !patch.addr().is_multiple_of(4) {
        return None;
    }
    let frame = Frame {
        main_bytes,
        rest_groups: (weight_bytes - main_bytes) / 8,
        patch,
        end: stream.as_ptr(),
        stream: stream.as_ptr(),
        source,
        pixel_step: pairs.pixel_step,
        row_gap: pairs.row_step.wrapping_sub(pairs.row_taps),
        rows: pairs.rows,
        row_groups: pairs.row_taps / 4,
        target,
        n_outputs: pairs.n_outputs,
        n_pairs,
        pairs_end: stream.as_ptr().wrapping_add(pairs_words),
        stream_end: stream.as_ptr_range().end,
    };
    // SAFETY: the caller found room for the taps and outputs of all pairs and for the patch, and cut the stream to
    // size; there is one pair, one kernel row, one group of taps and one output at least.
    unsafe { pixel_pairs(&frame) }
    Some(())
}

pub(super) fn multiply_vector(input: &[i8], stream: &[u32], output: &mut [[i8; 4]]) -> Option<()> {
    if !input.as_ptr().addr().is_multiple_of(4) {
        return None;
    }
    if output.is_empty() {
        return Some(());
    }
    let weight_bytes = (input.len() * 4) as u32;
    let main_bytes = weight_bytes / 64 * 64;
    let counts = Counts { n_blocks: output.len() as u32, main_bytes, tail_bytes: weight_bytes - main_bytes };
    // SAFETY: as above; `input` starts at a word boundary, which LDRD needs.
    unsafe { vector(input.as_ptr(), stream.as_ptr(), output.as_mut_ptr().cast(), &counts) }
    Some(())
}

/// What [`pixel_pairs`] keeps on its stack, from byte 16 on.
#[repr(C)]
struct Frame {
    main_bytes: usize,
    rest_groups: usize,
    patch: *mut i8,
    end: *const u32,
    stream: *const u32,
    source: *const i8,
    pixel_step: usize,
    row_gap: usize,
    rows: usize,
    row_groups: usize,
    target: *mut i8,
    n_outputs: usize,
    n_pairs: usize,
    pairs_end: *const u32,
    stream_end: *const u32,
}

/// Bytes of stream per block that the unrolled loop and the loop of four taps take.
#[repr(C)]
struct Counts {
    n_blocks: u32,
    main_bytes: u32,
    tail_bytes: u32,
}

/// # Safety
/// Memory as [`Frame`] says, and one pair, row, group and output at least.
///
/// `r2` and `r4` sum `256 * A + B` of the two pixels, `r3` and `r5` sum `B`.
/// Stack: 0 end of the main loop, 4 address of the rest, 8 outputs, 16 [`Frame`], 76 outputs of an odd channel, 84 its
/// spill.
#[unsafe(naked)]
unsafe extern "C" fn pixel_pairs(_frame: *const Frame) {
    naked_asm!(
        architecture!(),
        "push {{r4, r5, r6, r7, r8, r9, r10, r11, r12, lr}}",
        "sub sp, #88",
        "add r1, sp, #16",
        "ldmia r0!, {{r2, r3, r4, r5, r6, r7, r8}}",
        "stmia r1!, {{r2, r3, r4, r5, r6, r7, r8}}",
        "ldmia r0, {{r2, r3, r4, r5, r6, r7, r8, r9}}",
        "stmia r1, {{r2, r3, r4, r5, r6, r7, r8, r9}}",
        // Where a block goes on after the taps that fill the main loop: behind all groups of four but the rest.
        "adr.w r2, 7f",
        "ldr r3, [sp, #20]",
        "mov r4, #48",
        "mls r2, r3, r4, r2",
        "orr r2, #1",
        "str r2, [sp, #4]",
        "adr.w r3, 5f",
        "orr r3, #1",
        "ldr r4, [sp, #16]",
        "cmp r4, #0",
        "it eq",
        "moveq r3, r2",
        "str r3, [sp, #20]",
        "1:",
        "ldrd r0, r5, [sp, #36]",
        "ldr r2, [sp, #24]",
        "add r1, r0, r5",
        "add r5, r1",
        "str r5, [sp, #36]",
        "ldrd r8, r9, [sp, #44]",
        "2:",
        "ldr r3, [sp, #52]",
        "3:",
        "ldr r4, [r0], #4",
        "ldr r5, [r1], #4",
        "subs r3, #1",
        "sxtb16 r6, r4, ror #8",
        "sxtb16 r7, r5, ror #8",
        "sxtb16 r4, r4",
        "sxtb16 r5, r5",
        "stmia r2!, {{r4, r5, r6, r7}}",
        "bne 3b",
        "add r0, r8",
        "add r1, r8",
        "subs r9, #1",
        "bne 2b",
        "ldrd r2, r3, [sp, #56]",
        "add r4, r2, r3",
        "strd r2, r4, [sp, #8]",
        "add r4, r3",
        "str r4, [sp, #56]",
        "ldr r1, [sp, #32]",
        "ldr r8, [sp, #68]",
        "str r8, [sp, #28]",
        "b 10f",
        "4:",
        "ldrd r6, r7, [sp, #16]",
        "ldr r3, [r1], #4",
        "ldr r0, [sp, #24]",
        "add r6, r1",
        "mov r2, r3",
        "mov r4, r3",
        "mov r5, r3",
        "str r6, [sp]",
        "bx r7",
        // Thirty-two taps at a time.
        "5:",
        eight_taps!(),
        eight_taps!(),
        eight_taps!(),
        eight_taps!(),
        "ldr r6, [sp]",
        "cmp r1, r6",
        "bne 5b",
        "ldr pc, [sp, #4]",
        // What is left, by fours.
        "6:",
        four_taps!(),
        four_taps!(),
        four_taps!(),
        four_taps!(),
        four_taps!(),
        four_taps!(),
        four_taps!(),
        "7:",
        "ldmia r1!, {{r6, r7, r8, r9, r10, r11, r12}}",
        "sub r2, r2, r3",
        "sub r4, r4, r5",
        "add r2, r6, r2, asr #8",
        "add r4, r6, r4, asr #8",
        finish!("r2", "r7", "r8", "r9"),
        finish!("r4", "r7", "r8", "r9"),
        "ldrd r6, r7, [sp, #8]",
        finish!("r3", "r10", "r11", "r12"),
        finish!("r5", "r10", "r11", "r12"),
        "ldr r8, [sp, #28]",
        "strb r3, [r6, #1]",
        "strb r2, [r6], #2",
        "strb r5, [r7, #1]",
        "strb r4, [r7], #2",
        "strd r6, r7, [sp, #8]",
        "10:",
        "cmp r1, r8",
        "bne 4b",
        "ldr r8, [sp, #72]",
        "cmp r1, r8",
        "beq 8f",
        // The last of an odd number of channels goes through the stack, because its partner has no place.
        "str r8, [sp, #28]",
        "ldrd r6, r7, [sp, #8]",
        "strd r6, r7, [sp, #76]",
        "add r6, sp, #84",
        "add r7, sp, #86",
        "strd r6, r7, [sp, #8]",
        "b 4b",
        "8:",
        "ldr r6, [sp, #68]",
        "cmp r6, r8",
        "beq 9f",
        "ldrd r6, r7, [sp, #76]",
        "ldrb r2, [sp, #84]",
        "ldrb r4, [sp, #86]",
        "strb r2, [r6]",
        "strb r4, [r7]",
        "9:",
        "ldr r6, [sp, #64]",
        "subs r6, #1",
        "str r6, [sp, #64]",
        "bne 1b",
        "add sp, #88",
        "pop {{r4, r5, r6, r7, r8, r9, r10, r11, r12, pc}}",
    )
}

/// Two multiply-accumulates for two pairs of channels: words `\w` (a, b) and `\v` (c, d), taps `\x`.
macro_rules! quad {
    ($w:literal, $v:literal, $x:literal) => {
        concat!(
            "smlad r2, ",
            $w,
            ", ",
            $x,
            ", r2\n",
            "smlad r4, ",
            $v,
            ", ",
            $x,
            ", r4\n",
            "sxtb16 ",
            $w,
            ", ",
            $w,
            "\n",
            "sxtb16 ",
            $v,
            ", ",
            $v,
            "\n",
            "smlad r3, ",
            $w,
            ", ",
            $x,
            ", r3\n",
            "smlad r5, ",
            $v,
            ", ",
            $x,
            ", r5\n",
        )
    };
}

macro_rules! quad_eight_taps {
    () => {
        concat!(
            "ldrd r6, r8, [r0], #8\n",
            "ldmia r1!, {{r10, r11, r12, lr}}\n",
            "sxtb16 r7, r6, ror #8\n",
            "sxtb16 r9, r8, ror #8\n",
            "sxtb16 r6, r6\n",
            "sxtb16 r8, r8\n",
            quad!("r10", "r11", "r6"),
            quad!("r12", "lr", "r7"),
            "ldmia r1!, {{r10, r11, r12, lr}}\n",
            quad!("r10", "r11", "r8"),
            quad!("r12", "lr", "r9"),
        )
    };
}

/// Adds the sums of the channels above since the last fold to their totals: `r2 - r3` and `r4 - r5` are 256 times
/// those sums and start again at zero. `r6` and `r7` are overwritten.
macro_rules! fold {
    () => {
        concat!(
            "ldrd r6, r7, [sp, #28]\n",
            "sub r2, r2, r3\n",
            "sub r4, r4, r5\n",
            "add r6, r6, r2, asr #8\n",
            "add r7, r7, r4, asr #8\n",
        )
    };
}

/// # Safety
/// At least one block; `stream`, `input` and `output` as long as `counts` says; `input` at a word boundary.
///
/// `r2` and `r4` sum `256 * A + B` and `256 * C + D`, `r3` and `r5` sum `B` and `D`.
/// Stack: 0 end of the segment, 4 end of the main loop, 8 output, 12 blocks, 16 bytes of both loops, 24 input,
/// 28 totals of A and C.
#[unsafe(naked)]
unsafe extern "C" fn vector(_input: *const i8, _stream: *const u32, _output: *mut i8, _counts: *const Counts) {
    naked_asm!(
        architecture!(),
        "push {{r4, r5, r6, r7, r8, r9, r10, r11, r12, lr}}",
        "sub sp, #40",
        "ldr r6, [r3]",
        "strd r2, r6, [sp, #8]",
        "ldrd r4, r5, [r3, #4]",
        "strd r4, r5, [sp, #16]",
        "str r0, [sp, #24]",
        "1:",
        "ldr r6, [sp, #16]",
        "ldr r0, [sp, #24]",
        "ldmia r1!, {{r3, r5, r8, r9}}",
        "add r7, r6, r1",
        "strd r8, r9, [sp, #28]",
        "str r7, [sp, #4]",
        "mov r2, r3",
        "mov r4, r5",
        "cmp r6, #0",
        "beq 4f",
        // A segment: at most 512 taps, after which the sums of A and C may need more than 24 bits.
        "2:",
        "ldr r7, [sp, #4]",
        "sub r6, r7, r1",
        "cmp r6, #2048",
        "it hi",
        "movhi r6, #2048",
        "add r6, r1",
        "str r6, [sp]",
        "3:",
        quad_eight_taps!(),
        quad_eight_taps!(),
        "ldr r6, [sp]",
        "cmp r1, r6",
        "bne 3b",
        fold!(),
        "strd r6, r7, [sp, #28]",
        "mov r2, r3",
        "mov r4, r5",
        "ldr r7, [sp, #4]",
        "cmp r1, r7",
        "bne 2b",
        "4:",
        "ldr r6, [sp, #20]",
        "cbz r6, 6f",
        "add r6, r1",
        "str r6, [sp]",
        "5:",
        "ldr r6, [r0], #4",
        "ldmia r1!, {{r10, r11, r12, lr}}",
        "sxtb16 r7, r6, ror #8",
        "sxtb16 r6, r6",
        quad!("r10", "r11", "r6"),
        quad!("r12", "lr", "r7"),
        "ldr r6, [sp]",
        "cmp r1, r6",
        "bne 5b",
        "6:",
        fold!(),
        "mov r2, r6",
        "mov r4, r7",
        "ldmia r1!, {{r6, r7, r8, r9, r10, r11}}",
        finish!("r2", "r6", "r7", "r8"),
        finish!("r3", "r9", "r10", "r11"),
        "ldmia r1!, {{r6, r7, r8, r9, r10, r11}}",
        finish!("r4", "r6", "r7", "r8"),
        finish!("r5", "r9", "r10", "r11"),
        "ldrd r6, r7, [sp, #8]",
        "strb r2, [r6], #1",
        "strb r3, [r6], #1",
        "strb r4, [r6], #1",
        "strb r5, [r6], #1",
        "subs r7, #1",
        "strd r6, r7, [sp, #8]",
        "bne 1b",
        "add sp, #40",
        "pop {{r4, r5, r6, r7, r8, r9, r10, r11, r12, pc}}",
    )
}

pub(super) fn copy_rows(
    source: &[i8],
    target: &mut [i8],
    run: usize,
    n_rows: usize,
    [source_pitch, target_pitch]: [usize; 2],
) -> Option<()> {
    let rows = [n_rows, source_pitch.wrapping_sub(run), target_pitch.wrapping_sub(run)];
    // SAFETY: the caller cut both slices to the last element of the last run, and there is one run of one byte.
    unsafe { rows_of_bytes(source.as_ptr(), target.as_mut_ptr(), run, &rows) }
    Some(())
}

pub(super) fn copy_channel(
    source: &[i8],
    width: usize,
    depth: usize,
    plane: &mut [i16],
    pitch: usize,
    [rows, columns]: [usize; 2],
) -> Option<()> {
    let (source_gap, target_gap) = ((width - columns) * depth, (pitch - columns) * 2);
    let shape = [depth, columns, rows, source_gap, target_gap];
    // SAFETY: the caller cut both slices to their last element and found at least one row and column.
    unsafe { channel(source.as_ptr(), plane.as_mut_ptr(), &shape) }
    Some(())
}

pub(super) fn convolve_plane(
    plane: &Plane,
    block: &[u32; DEPTHWISE_WORDS],
    cells: &[i16],
    target: &mut [i8],
) -> Option<()> {
    if !cells.as_ptr().addr().is_multiple_of(4) {
        return None;
    }
    let pitch_bytes = plane.pitch * 2;
    let shape = [pitch_bytes, pitch_bytes * plane.stride, plane.rows, plane.columns, plane.depth];
    let function = if plane.stride == 1 { plane_stride_1 } else { plane_stride_2 };
    // SAFETY: the caller cut the plane to its last window and the target to its last output; there is one output at
    // least, rows start at word boundaries because the pitch is even.
    unsafe { function(cells.as_ptr(), block, target.as_mut_ptr(), &shape) }
    Some(())
}

pub(super) fn add(region: &mut [i8], places: [usize; 3], n: usize, sum: &Sum) -> Option<()> {
    let start = region.as_mut_ptr();
    // SAFETY: the caller found `n` elements behind each place.
    let [x, y, target] = places.map(|place| unsafe { start.add(place) });
    let places = [x, y, target];
    if n > 0 {
        // SAFETY: as above; there is one element at least.
        unsafe { sums(&places, n, sum) }
    }
    Some(())
}

/// One element: byte `\byte` of `r8` and `r9`.
macro_rules! one_sum {
    ($rotation:literal, $offset:literal) => {
        concat!(
            "sxtb r10, r8, ror #",
            $rotation,
            "\n",
            "sxtb r11, r9, ror #",
            $rotation,
            "\n",
            "mla r12, r10, r4, r6\n",
            "mla r12, r11, r5, r12\n",
            "asr r12, r12, r7\n",
            "ssat r12, #8, r12\n",
            "strb r12, [r2, #",
            $offset,
            "]\n",
        )
    };
}

/// # Safety
/// `n` elements, at least one, behind both sources and the target.
#[unsafe(naked)]
unsafe extern "C" fn sums(_places: *const [*mut i8; 3], _n: usize, _sum: *const Sum) {
    naked_asm!(
        architecture!(),
        "push {{r4, r5, r6, r7, r8, r9, r10, r11, r12, lr}}",
        "ldmia r2, {{r4, r5, r6, r7}}",
        "mov r3, r1",
        "ldmia r0, {{r0, r1, r2}}",
        "subs r3, #4",
        "blo 2f",
        "1:",
        "ldr r8, [r0], #4",
        "ldr r9, [r1], #4",
        one_sum!("0", "0"),
        one_sum!("8", "1"),
        one_sum!("16", "2"),
        one_sum!("24", "3"),
        "add r2, #4",
        "subs r3, #4",
        "bhs 1b",
        "2:",
        "adds r3, #4",
        "beq 4f",
        "3:",
        "ldrb r8, [r0], #1",
        "ldrb r9, [r1], #1",
        one_sum!("0", "0"),
        "add r2, #1",
        "subs r3, #1",
        "bne 3b",
        "4:",
        "pop {{r4, r5, r6, r7, r8, r9, r10, r11, r12, pc}}",
    )
}

/// # Safety
/// At least one run of at least one byte; `rows` is the number of runs and the gaps behind them.
#[unsafe(naked)]
unsafe extern "C" fn rows_of_bytes(_source: *const i8, _target: *mut i8, _run: usize, _rows: *const [usize; 3]) {
    naked_asm!(
        architecture!(),
        "push {{r4, r5, r6, r7, r8, lr}}",
        "ldmia r3, {{r4, r5, r6}}",
        "1:",
        "subs r7, r2, #4",
        "blo 3f",
        "2:",
        "ldr r8, [r0], #4",
        "subs r7, #4",
        "str r8, [r1], #4",
        "bhs 2b",
        "3:",
        "adds r7, #4",
        "beq 5f",
        "4:",
        "ldrb r8, [r0], #1",
        "subs r7, #1",
        "strb r8, [r1], #1",
        "bne 4b",
        "5:",
        "add r0, r5",
        "add r1, r6",
        "subs r4, #1",
        "bne 1b",
        "pop {{r4, r5, r6, r7, r8, pc}}",
    )
}

/// # Safety
/// `shape`: distance of the elements in the source, columns, rows, bytes behind a row in source and plane.
#[unsafe(naked)]
unsafe extern "C" fn channel(_source: *const i8, _plane: *mut i16, _shape: *const [usize; 5]) {
    naked_asm!(
        architecture!(),
        "push {{r4, r5, r6, r7, r8, r9, r10, r11, r12, lr}}",
        "ldmia r2, {{r4, r5, r6, r7, r8}}",
        "add r9, r4, r4, lsl #1",
        "1:",
        "subs r2, r5, #4",
        "blo 3f",
        "2:",
        "ldrsb r3, [r0]",
        "ldrsb r10, [r0, r4]",
        "ldrsb r11, [r0, r4, lsl #1]",
        "ldrsb r12, [r0, r9]",
        "add r0, r0, r4, lsl #2",
        "strh r3, [r1], #8",
        "strh r10, [r1, #-6]",
        "strh r11, [r1, #-4]",
        "strh r12, [r1, #-2]",
        "subs r2, #4",
        "bhs 2b",
        "3:",
        "adds r2, #4",
        "beq 5f",
        "4:",
        "ldrsb r3, [r0]",
        "add r0, r4",
        "subs r2, #1",
        "strh r3, [r1], #2",
        "bne 4b",
        "5:",
        "add r0, r7",
        "add r1, r8",
        "subs r6, #1",
        "bne 1b",
        "pop {{r4, r5, r6, r7, r8, r9, r10, r11, r12, pc}}",
    )
}

/// Loads a channel's block and the shape: weights in `r4` to `r9`, on the stack
/// 0 bias, 4 multiplier, 8 addend, 12 shift, 16 distance of outputs, 20 pitch, 24 row step, 28 rows, 32 columns,
/// 36 start of the row, 40 columns to go.
macro_rules! plane_prologue {
    () => {
        concat!(
            "push {{r4, r5, r6, r7, r8, r9, r10, r11, r12, lr}}\n",
            "sub sp, #44\n",
            "ldmia r3, {{r4, r5, r6, r7, r8}}\n",
            "strd r8, r4, [sp, #16]\n",
            "strd r5, r6, [sp, #24]\n",
            "strd r7, r0, [sp, #32]\n",
            "ldmia r1, {{r4, r6, r8, r9, r10, r11, r12}}\n",
            "strd r9, r10, [sp]\n",
            "strd r11, r12, [sp, #8]\n",
            "sxtb16 r5, r4, ror #8\n",
            "sxtb16 r7, r6, ror #8\n",
            "sxtb16 r9, r8, ror #8\n",
            "sxtb16 r4, r4\n",
            "sxtb16 r6, r6\n",
            "sxtb16 r8, r8\n",
        )
    };
}

/// One output at `r2` from the rows at `r0`, `r1`, `r3`, which advance by `\step` bytes.
macro_rules! one_output {
    ($step:literal) => {
        concat!(
            "ldr r10, [sp]\n",
            "ldrd r11, r12, [r0], #",
            $step,
            "\n",
            "smlad r10, r11, r4, r10\n",
            "smlabt r10, r12, r5, r10\n",
            "ldrd r11, r12, [r1], #",
            $step,
            "\n",
            "smlad r10, r11, r6, r10\n",
            "smlabt r10, r12, r7, r10\n",
            "ldrd r11, r12, [r3], #",
            $step,
            "\n",
            "smlad r10, r11, r8, r10\n",
            "smlabt r10, r12, r9, r10\n",
            "ldrd r11, r12, [sp, #4]\n",
            "smmla r10, r10, r11, r12\n",
            "ldrd r11, r12, [sp, #12]\n",
            "asr r10, r10, r11\n",
            "ssat r10, #8, r10\n",
            "strb r10, [r2]\n",
            "add r2, r12\n",
        )
    };
}

/// Row pointers from the start of the row, which moves on by the row step.
macro_rules! next_row {
    () => {
        concat!(
            "ldr r0, [sp, #36]\n",
            "ldrd r10, r11, [sp, #20]\n",
            "add r1, r0, r10\n",
            "add r3, r1, r10\n",
            "add r11, r0\n",
            "str r11, [sp, #36]\n",
        )
    };
}

/// Counts the rows down and goes to `1` while there is one.
macro_rules! plane_epilogue {
    () => {
        concat!(
            "ldr r10, [sp, #28]\n",
            "subs r10, #1\n",
            "str r10, [sp, #28]\n",
            "bne 1b\n",
            "add sp, #44\n",
            "pop {{r4, r5, r6, r7, r8, r9, r10, r11, r12, pc}}\n",
        )
    };
}

/// # Safety
/// `shape`: bytes of a plane row, of a row step, rows, columns, distance of the outputs; one output at least.
#[unsafe(naked)]
unsafe extern "C" fn plane_stride_1(
    _cells: *const i16,
    _block: *const [u32; DEPTHWISE_WORDS],
    _target: *mut i8,
    _shape: *const [usize; 5],
) {
    naked_asm!(
        architecture!(),
        plane_prologue!(),
        "1:",
        next_row!(),
        "ldr r10, [sp, #32]",
        "subs r10, #2",
        "blo 3f",
        "2:",
        "str r10, [sp, #40]",
        "ldr r10, [sp]",
        "ldrd r11, r12, [r0], #4",
        "mov lr, r10",
        "smlad r10, r11, r4, r10",
        "smlatb lr, r11, r4, lr",
        "smlabt r10, r12, r5, r10",
        "smlad lr, r12, r5, lr",
        "ldrd r11, r12, [r1], #4",
        "smlad r10, r11, r6, r10",
        "smlatb lr, r11, r6, lr",
        "smlabt r10, r12, r7, r10",
        "smlad lr, r12, r7, lr",
        "ldrd r11, r12, [r3], #4",
        "smlad r10, r11, r8, r10",
        "smlatb lr, r11, r8, lr",
        "smlabt r10, r12, r9, r10",
        "smlad lr, r12, r9, lr",
        "ldrd r11, r12, [sp, #4]",
        "smmla r10, r10, r11, r12",
        "smmla lr, lr, r11, r12",
        "ldrd r11, r12, [sp, #12]",
        "asr r10, r10, r11",
        "asr lr, lr, r11",
        "ssat r10, #8, r10",
        "ssat lr, #8, lr",
        "strb r10, [r2]",
        "strb lr, [r2, r12]",
        "ldr r10, [sp, #40]",
        "add r2, r2, r12, lsl #1",
        "subs r10, #2",
        "bhs 2b",
        "3:",
        "adds r10, #2",
        "beq 5f",
        one_output!("4"),
        "5:",
        plane_epilogue!(),
    )
}

/// # Safety
/// As [`plane_stride_1`].
#[unsafe(naked)]
unsafe extern "C" fn plane_stride_2(
    _cells: *const i16,
    _block: *const [u32; DEPTHWISE_WORDS],
    _target: *mut i8,
    _shape: *const [usize; 5],
) {
    naked_asm!(
        architecture!(),
        plane_prologue!(),
        "1:",
        next_row!(),
        "ldr lr, [sp, #32]",
        "2:",
        one_output!("4"),
        "subs lr, #1",
        "bne 2b",
        plane_epilogue!(),
    )
}
