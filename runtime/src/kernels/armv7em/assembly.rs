//! Pieces of assembly that several inner loops share.

/// The DSP extension as the assembler knows it: Rust also reads assembly without the target's features, and on Armv8-M the
/// extension is one.
macro_rules! architecture {
    () => {
        ".arch armv7e-m"
    };
}

/// Two multiply-accumulates for both channels of word `\w`: pixels `\x` and `\y`.
macro_rules! products {
    ($w:literal, $x:literal, $y:literal) => {
        concat!(
            "smlad r2, ",
            $w,
            ", ",
            $x,
            ", r2\n",
            "smlad r4, ",
            $w,
            ", ",
            $y,
            ", r4\n",
            "sxtb16 ",
            $w,
            ", ",
            $w,
            "\n",
            "smlad r3, ",
            $w,
            ", ",
            $x,
            ", r3\n",
            "smlad r5, ",
            $w,
            ", ",
            $y,
            ", r5\n",
        )
    };
}

/// Eight taps: `{r10, r11, r12, lr}` from the stream, twice `{r6-r9}` from the patch.
macro_rules! eight_taps {
    () => {
        concat!(
            "ldmia r1!, {{r10, r11, r12, lr}}\n",
            "ldmia r0!, {{r6, r7, r8, r9}}\n",
            products!("r10", "r6", "r7"),
            products!("r11", "r8", "r9"),
            "ldmia r0!, {{r6, r7, r8, r9}}\n",
            products!("r12", "r6", "r7"),
            products!("lr", "r8", "r9"),
        )
    };
}

/// Four taps: `{r10, r11}` from the stream, `{r6-r9}` from the patch, in 48 bytes.
macro_rules! four_taps {
    () => {
        concat!(
            "ldmia r1!, {{r10, r11}}\n",
            "ldmia r0!, {{r6, r7, r8, r9}}\n",
            products!("r10", "r6", "r7"),
            products!("r11", "r8", "r9"),
        )
    };
}

/// Requantizes `\acc` by `\multiplier`, `\addend`, `\shift`.
macro_rules! finish {
    ($acc:literal, $multiplier:literal, $addend:literal, $shift:literal) => {
        concat!(
            "smmla ",
            $acc,
            ", ",
            $acc,
            ", ",
            $multiplier,
            ", ",
            $addend,
            "\n",
            "asr ",
            $acc,
            ", ",
            $acc,
            ", ",
            $shift,
            "\n",
            "ssat ",
            $acc,
            ", #8, ",
            $acc,
            "\n",
        )
    };
}
