//! Maximum and average over windows, see [`crate::kernels::armv7em::pool_2d`].

use crate::kernels::armv7em::loops::{Mean, Windows};
use core::arch::naked_asm;

pub(in crate::kernels::armv7em) fn maximum(windows: &Windows, region: &mut [i8]) -> Option<()> {
    let shape = Shape::new(windows);
    let start = region.as_mut_ptr();
    // SAFETY: the caller found all taps and outputs in the region, and one of each at least.
    unsafe { maxima(start.add(windows.source), start.add(windows.target), &shape) }
    Some(())
}

pub(in crate::kernels::armv7em) fn mean(windows: &Windows, region: &mut [i8], mean: &Mean) -> Option<()> {
    let shape = MeanShape { shape: Shape::new(windows), mean: *mean };
    let start = region.as_mut_ptr();
    // SAFETY: as above.
    unsafe { means(start.add(windows.source), start.add(windows.target), &shape) }
    Some(())
}

/// What [`maxima`] reads; gaps are bytes from behind the last to the next first.
#[repr(C)]
struct Shape {
    columns: usize,
    rows: usize,
    tap_step: usize,
    row_gap: usize,
    pixel_gap: usize,
    channels: usize,
    n_pixels: usize,
}

impl Shape {
    fn new(windows: &Windows) -> Self {
        Self {
            columns: windows.columns,
            rows: windows.rows,
            tap_step: windows.tap_step,
            row_gap: windows.row_step.wrapping_sub(windows.columns.wrapping_mul(windows.tap_step)),
            pixel_gap: windows.pixel_step.wrapping_sub(windows.channels),
            channels: windows.channels,
            n_pixels: windows.n_pixels,
        }
    }
}

/// What [`means`] reads.
#[repr(C)]
struct MeanShape {
    shape: Shape,
    mean: Mean,
}

/// Loads the shape: pixels to go at `[sp]`, channels to go in `r3`, steps in `r8` and `r9`; `1:` begins a pixel.
macro_rules! prologue {
    () => {
        concat!(
            "push {{r4, r5, r6, r7, r8, r9, r10, r11, r12, lr}}\n",
            "sub sp, #8\n",
            "ldr r3, [r2, #24]\n",
            "str r3, [sp]\n",
            "ldrd r8, r9, [r2, #8]\n",
            "1:\n",
            "ldr r3, [r2, #20]\n",
        )
    };
}

/// Goes to the next pixel while there is one.
macro_rules! epilogue {
    () => {
        concat!(
            "ldr r6, [r2, #16]\n",
            "ldr r7, [sp]\n",
            "add r0, r6\n",
            "subs r7, #1\n",
            "str r7, [sp]\n",
            "bne 1b\n",
            "add sp, #8\n",
            "pop {{r4, r5, r6, r7, r8, r9, r10, r11, r12, pc}}\n",
        )
    };
}

/// Runs `\tap` for every tap from `r0` on, whose address is `r10`; uses `r11` and `r12`.
macro_rules! each_tap {
    ($row:literal, $column:literal, $tap:expr) => {
        concat!(
            "mov r10, r0\n",
            "ldr r11, [r2, #4]\n",
            $row,
            ":\n",
            "ldr r12, [r2]\n",
            $column,
            ":\n",
            $tap,
            "add r10, r8\n",
            "subs r12, #1\n",
            "bne ",
            $column,
            "b\n",
            "add r10, r9\n",
            "subs r11, #1\n",
            "bne ",
            $row,
            "b\n",
        )
    };
}

/// The larger ones of four channels, `\x` and the largest so far.
macro_rules! larger {
    ($largest:literal, $x:literal) => {
        concat!("ssub8 lr, ", $x, ", ", $largest, "\n", "sel ", $largest, ", ", $x, ", ", $largest, "\n",)
    };
}

/// # Safety
/// Taps and outputs as `shape` says, one of each at least.
#[unsafe(naked)]
unsafe extern "C" fn maxima(_source: *const i8, _target: *mut i8, _shape: *const Shape) {
    naked_asm!(
        architecture!(),
        prologue!(),
        "subs r3, #8",
        "blo 5f",
        // Eight channels.
        "2:",
        "mov r4, #0x80808080",
        "mov r5, r4",
        each_tap!(
            "3",
            "4",
            concat!("ldr r6, [r10]\n", "ldr r7, [r10, #4]\n", larger!("r4", "r6"), larger!("r5", "r7"))
        ),
        "str r4, [r1], #4",
        "str r5, [r1], #4",
        "add r0, #8",
        "subs r3, #8",
        "bhs 2b",
        "5:",
        "adds r3, #4",
        "bmi 8f",
        // Four.
        "mov r4, #0x80808080",
        each_tap!("6", "7", concat!("ldr r6, [r10]\n", larger!("r4", "r6"))),
        "str r4, [r1], #4",
        "add r0, #4",
        "subs r3, #4",
        "8:",
        "adds r3, #4",
        "beq 12f",
        // One.
        "9:",
        "mvn r4, #127",
        each_tap!("10", "11", concat!("ldrsb r6, [r10]\n", "cmp r6, r4\n", "it gt\n", "movgt r4, r6\n")),
        "strb r4, [r1], #1",
        "add r0, #1",
        "subs r3, #1",
        "bne 9b",
        "12:",
        epilogue!(),
    )
}

/// One output from half `\half` of the sums `\sums`.
macro_rules! one_mean {
    ($half:literal, $sums:literal) => {
        concat!(
            "smlaw",
            $half,
            " lr, r10, ",
            $sums,
            ", r11\n",
            "asr lr, lr, r12\n",
            "ssat lr, #8, lr\n",
            "strb lr, [r1], #1\n",
        )
    };
}

/// # Safety
/// As [`maxima`].
#[unsafe(naked)]
unsafe extern "C" fn means(_source: *const i8, _target: *mut i8, _shape: *const MeanShape) {
    naked_asm!(
        architecture!(),
        prologue!(),
        "subs r3, #8",
        "blo 5f",
        // Eight channels: the even ones of four in r4 and r6, the odd ones in r5 and r7.
        "2:",
        "ldr r4, [r2, #28]",
        "mov r5, r4",
        "mov r6, r4",
        "mov r7, r4",
        each_tap!(
            "3",
            "4",
            concat!(
                "ldr lr, [r10]\n",
                "sxtab16 r4, r4, lr\n",
                "sxtab16 r5, r5, lr, ror #8\n",
                "ldr lr, [r10, #4]\n",
                "sxtab16 r6, r6, lr\n",
                "sxtab16 r7, r7, lr, ror #8\n",
            )
        ),
        "ldrd r10, r11, [r2, #32]",
        "ldr r12, [r2, #40]",
        one_mean!("b", "r4"),
        one_mean!("b", "r5"),
        one_mean!("t", "r4"),
        one_mean!("t", "r5"),
        one_mean!("b", "r6"),
        one_mean!("b", "r7"),
        one_mean!("t", "r6"),
        one_mean!("t", "r7"),
        "add r0, #8",
        "subs r3, #8",
        "bhs 2b",
        "5:",
        "adds r3, #8",
        "beq 9f",
        // One.
        "6:",
        "ldr r4, [r2, #28]",
        each_tap!("7", "8", concat!("ldrsb lr, [r10]\n", "add r4, lr\n")),
        "ldrd r10, r11, [r2, #32]",
        "ldr r12, [r2, #40]",
        one_mean!("b", "r4"),
        "add r0, #1",
        "subs r3, #1",
        "bne 6b",
        "9:",
        epilogue!(),
    )
}
