//! Winograd tiles, see [`crate::kernels::armv7em::winograd`].

use crate::kernels::armv7em::layout::Winograd;
use core::arch::naked_asm;

pub(in crate::kernels::armv7em) fn transform_tiles(
    n_inputs: usize,
    pitch: usize,
    source: &[i8],
    patch: &mut [u32],
) -> Option<()> {
    for tile in 0..2 {
        let (source, patch) = (source.get(tile * 2 * n_inputs..)?, patch.get_mut(tile..)?);
        // SAFETY: the caller cut four lines of six pixels for two tiles, and the patch to 16 positions; there are two
        // fours of channels at least.
        unsafe { transform(source.as_ptr(), n_inputs, patch.as_mut_ptr(), pitch) }
    }
    Some(())
}

pub(in crate::kernels::armv7em) fn multiply_tiles(
    shapes: &Winograd,
    patch: &[u32],
    stream: &[u32],
    output: &mut [i8],
    pitch: usize,
) -> Option<()> {
    // Of the fours of a position the first starts the sums; the others go through the unrolled loop from here on.
    let first = (shapes.n_inputs / 4).wrapping_neg().wrapping_add(1) % 4;
    let frame = Frame {
        position_bytes: shapes.n_inputs * 4,
        entry: first * GROUP_BYTES,
        patch: patch.as_ptr(),
        n_pairs: shapes.n_outputs / 2,
        target: output.as_mut_ptr(),
        pixel_step: shapes.n_outputs,
        row_step: pitch,
    };
    // SAFETY: the caller cut patch, stream and output to size; there are two fours of input channels and one pair of
    // output channels at least.
    unsafe { multiply(&frame, stream.as_ptr()) }
    Some(())
}

/// Instructions of `four_channels!` in bytes: all are wide.
const GROUP_BYTES: usize = 40;

/// What [`multiply`] keeps on its stack, from byte 12 on.
#[repr(C)]
struct Frame {
    position_bytes: usize,
    entry: usize,
    patch: *const u32,
    n_pairs: usize,
    target: *mut i8,
    pixel_step: usize,
    row_step: usize,
}

/// Loads the four taps of a line at `r0` to `\a` .. `\d`, two channels of each.
macro_rules! line {
    ($a:literal, $b:literal, $c:literal, $d:literal, $half:literal) => {
        concat!(
            "ldr ",
            $a,
            ", [r0]\n",
            "ldr ",
            $b,
            ", [r0, r1]\n",
            "ldr ",
            $c,
            ", [r0, r1, lsl #1]\n",
            "add ",
            $d,
            ", r0, r1, lsl #1\n",
            "ldr ",
            $d,
            ", [",
            $d,
            ", r1]\n",
            "sxtb16 ",
            $a,
            ", ",
            $a,
            $half,
            "\n",
            "sxtb16 ",
            $b,
            ", ",
            $b,
            $half,
            "\n",
            "sxtb16 ",
            $c,
            ", ",
            $c,
            $half,
            "\n",
            "sxtb16 ",
            $d,
            ", ",
            $d,
            $half,
            "\n",
        )
    };
}

/// The differences of a line: `\a`, `\t`, `\c`, `\d`; `\b` is overwritten.
macro_rules! differences {
    ($a:literal, $b:literal, $c:literal, $d:literal, $t:literal) => {
        concat!(
            "ssub16 ", $a, ", ", $a, ", ", $c, "\n", "ssub16 ", $d, ", ", $b, ", ", $d, "\n", "sadd16 ", $t, ", ", $b,
            ", ", $c, "\n", "ssub16 ", $c, ", ", $c, ", ", $b, "\n",
        )
    };
}

/// Stores a row of the transformed tile at `r2`, and goes to the next.
macro_rules! store {
    ($a:literal, $b:literal, $c:literal, $d:literal) => {
        concat!(
            "str ",
            $a,
            ", [r2]\n",
            "str ",
            $b,
            ", [r2, r1, lsl #2]\n",
            "str ",
            $c,
            ", [r2, r1, lsl #3]\n",
            "add r2, r2, r1, lsl #3\n",
            "str ",
            $d,
            ", [r2, r1, lsl #2]\n",
            "add r2, r2, r1, lsl #3\n",
        )
    };
}

/// `\x = \p \op \q` of four registers.
macro_rules! each {
    ($op:literal, [$x0:literal, $x1:literal, $x2:literal, $x3:literal], [$p0:literal, $p1:literal, $p2:literal, $p3:literal], [$q0:literal, $q1:literal, $q2:literal, $q3:literal]) => {
        concat!(
            $op, " ", $x0, ", ", $p0, ", ", $q0, "\n", $op, " ", $x1, ", ", $p1, ", ", $q1, "\n", $op, " ", $x2, ", ",
            $p2, ", ", $q2, "\n", $op, " ", $x3, ", ", $p3, ", ", $q3, "\n",
        )
    };
}

/// Two channels of a tile: lines 2, 0, 1, 3 are read, rows 0 to 3 are written. `r0` ends at line 3, `r2` behind row 3.
macro_rules! two_channels {
    ($half:literal) => {
        concat!(
            "ldr lr, [sp]\n",
            "add r0, r0, lr, lsl #1\n",
            line!("r8", "r9", "r10", "r11", $half),
            differences!("r8", "r9", "r10", "r11", "r4"),
            "sub r0, r0, lr, lsl #1\n",
            line!("r3", "r5", "r6", "r7", $half),
            differences!("r3", "r5", "r6", "r7", "r9"),
            each!("ssub16", ["r3", "r9", "r6", "r7"], ["r3", "r9", "r6", "r7"], ["r8", "r4", "r10", "r11"]),
            store!("r3", "r9", "r6", "r7"),
            "add r0, lr\n",
            line!("r3", "r5", "r6", "r7", $half),
            differences!("r3", "r5", "r6", "r7", "r9"),
            "sadd16 r5, r3, r8\n",
            "ssub16 r8, r8, r3\n",
            "sadd16 r12, r9, r4\n",
            "ssub16 r4, r4, r9\n",
            "str r5, [r2]\n",
            "str r12, [r2, r1, lsl #2]\n",
            "sadd16 r5, r6, r10\n",
            "ssub16 r10, r10, r6\n",
            "sadd16 r12, r7, r11\n",
            "ssub16 r11, r11, r7\n",
            "str r5, [r2, r1, lsl #3]\n",
            "add r2, r2, r1, lsl #3\n",
            "str r12, [r2, r1, lsl #2]\n",
            "add r2, r2, r1, lsl #3\n",
            store!("r8", "r4", "r10", "r11"),
            "add r0, r0, lr, lsl #1\n",
            line!("r8", "r4", "r10", "r11", $half),
            differences!("r8", "r4", "r10", "r11", "r5"),
            each!("ssub16", ["r3", "r9", "r6", "r7"], ["r3", "r9", "r6", "r7"], ["r8", "r5", "r10", "r11"]),
            store!("r3", "r9", "r6", "r7"),
        )
    };
}

/// # Safety
/// Four lines of four pixels of `n_inputs` bytes at `source`, `pitch` bytes apart; 16 positions of `n_inputs` words at
/// `patch`, of which every other one is written; `n_inputs` is a multiple of four and not 0.
///
/// Stack: 0 distance of lines, 4 channels to go.
#[unsafe(naked)]
unsafe extern "C" fn transform(_source: *const i8, _n_inputs: usize, _patch: *mut u32, _pitch: usize) {
    naked_asm!(
        architecture!(),
        "push {{r4, r5, r6, r7, r8, r9, r10, r11, r12, lr}}",
        "sub sp, #8",
        "strd r3, r1, [sp]",
        "1:",
        two_channels!(""),
        // Back to line 0, and to the second words of the position.
        "add r3, lr, lr, lsl #1",
        "sub r0, r3",
        "sub r2, r2, r1, lsl #6",
        "add r2, #8",
        two_channels!(", ror #8"),
        "add r3, lr, lr, lsl #1",
        "sub r0, r3",
        "sub r2, r2, r1, lsl #6",
        "ldr r4, [sp, #4]",
        "add r0, #4",
        "add r2, #8",
        "subs r4, #4",
        "str r4, [sp, #4]",
        "bne 1b",
        "add sp, #8",
        "pop {{r4, r5, r6, r7, r8, r9, r10, r11, r12, pc}}",
    )
}

/// Four input channels of two output channels, `{r10, r11, r12, lr}`, and of two tiles, `{r6-r9}`.
macro_rules! four_channels {
    () => {
        concat!(
            "ldmia r1!, {{r10, r11, r12, lr}}\n",
            "ldmia r0!, {{r6, r7, r8, r9}}\n",
            "smlad r2, r10, r6, r2\n",
            "smlad r3, r10, r7, r3\n",
            "smlad r4, r11, r6, r4\n",
            "smlad r5, r11, r7, r5\n",
            "smlad r2, r12, r8, r2\n",
            "smlad r3, r12, r9, r3\n",
            "smlad r4, lr, r8, r4\n",
            "smlad r5, lr, r9, r5\n",
        )
    };
}

/// # Safety
/// Memory as [`Frame`] says.
///
/// `r2` and `r3` sum the first channel of both tiles, `r4` and `r5` the second.
/// Stack: 0 end of the position, 4 place of its sums, 8 last place of sums, 12 [`Frame`], 40 sums of 16 positions.
#[unsafe(naked)]
unsafe extern "C" fn multiply(_frame: *const Frame, _stream: *const u32) {
    naked_asm!(
        architecture!(),
        "push {{r4, r5, r6, r7, r8, r9, r10, r11, r12, lr}}",
        "sub sp, #296",
        "ldmia r0, {{r2, r3, r4, r5, r6, r7, r8}}",
        "adr.w r9, 5f",
        "add r3, r9",
        "orr r3, #1",
        "add r0, sp, #12",
        "stmia r0, {{r2, r3, r4, r5, r6, r7, r8}}",
        "add r2, sp, #280",
        "str r2, [sp, #8]",
        // A pair of output channels.
        "1:",
        "ldr r0, [sp, #20]",
        "add r2, sp, #40",
        "str r2, [sp, #4]",
        // A position.
        "2:",
        "ldr r2, [sp, #12]",
        "add r2, r0",
        "str r2, [sp]",
        "ldmia r1!, {{r10, r11, r12, lr}}",
        "ldmia r0!, {{r6, r7, r8, r9}}",
        "smuad r2, r10, r6",
        "smuad r3, r10, r7",
        "smuad r4, r11, r6",
        "smuad r5, r11, r7",
        "smlad r2, r12, r8, r2",
        "smlad r3, r12, r9, r3",
        "smlad r4, lr, r8, r4",
        "smlad r5, lr, r9, r5",
        "ldr pc, [sp, #16]",
        "5:",
        four_channels!(),
        four_channels!(),
        four_channels!(),
        four_channels!(),
        "ldr r6, [sp]",
        "cmp r0, r6",
        "bne 5b",
        "ldrd r6, r7, [sp, #4]",
        "cmp r6, r7",
        "stmia r6!, {{r2, r3, r4, r5}}",
        "str r6, [sp, #4]",
        "bne 2b",
        // Both channels of both tiles: the sums of a position are 16 bytes from those of the next.
        "ldrd r12, r10, [sp, #28]",
        "ldr r11, [sp, #36]",
        "add r0, sp, #40",
        "3:",
        "mov lr, r12",
        "4:",
        "ldr r2, [r0]",
        "ldr r3, [r0, #16]",
        "ldr r4, [r0, #32]",
        "ldr r5, [r0, #48]",
        "add r2, r3",
        "add r2, r4",
        "sub r3, r4",
        "sub r3, r5",
        "ldr r4, [r0, #64]",
        "ldr r5, [r0, #80]",
        "ldr r6, [r0, #96]",
        "ldr r7, [r0, #112]",
        "add r4, r5",
        "add r4, r6",
        "sub r5, r6",
        "sub r5, r7",
        "ldr r6, [r0, #128]",
        "ldr r7, [r0, #144]",
        "ldr r8, [r0, #160]",
        "ldr r9, [r0, #176]",
        "add r6, r7",
        "add r6, r8",
        "sub r7, r8",
        "sub r7, r9",
        "add r2, r4",
        "add r2, r6",
        "add r3, r5",
        "add r3, r7",
        "sub r4, r6",
        "sub r5, r7",
        "ldr r6, [r0, #192]",
        "ldr r7, [r0, #208]",
        "ldr r8, [r0, #224]",
        "ldr r9, [r0, #240]",
        "add r6, r7",
        "add r6, r8",
        "sub r7, r8",
        "sub r7, r9",
        "sub r4, r6",
        "sub r5, r7",
        "ldmia r1, {{r6, r7, r8, r9}}",
        "add r2, r6, r2, asr #2",
        "add r3, r6, r3, asr #2",
        "add r4, r6, r4, asr #2",
        "add r5, r6, r5, asr #2",
        finish!("r2", "r7", "r8", "r9"),
        finish!("r3", "r7", "r8", "r9"),
        finish!("r4", "r7", "r8", "r9"),
        finish!("r5", "r7", "r8", "r9"),
        "add r6, lr, r11",
        "strb r2, [lr]",
        "strb r3, [lr, r10]",
        "strb r4, [r6]",
        "strb r5, [r6, r10]",
        // The next tile, then the next channel.
        "add lr, lr, r10, lsl #1",
        "add r0, #4",
        "tst r0, #4",
        "bne 4b",
        "add r1, #16",
        "add r12, #1",
        "add r6, sp, #56",
        "cmp r0, r6",
        "bne 3b",
        "str r12, [sp, #28]",
        "ldr r6, [sp, #24]",
        "subs r6, #1",
        "str r6, [sp, #24]",
        "bne 1b",
        "add sp, #296",
        "pop {{r4, r5, r6, r7, r8, r9, r10, r11, r12, pc}}",
    )
}
