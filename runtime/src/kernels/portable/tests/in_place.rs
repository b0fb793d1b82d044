//! The windowed kernels with their output over their input, exactly as far below it as they need.

use super::*;
use crate::kernels::Placed;
use crate::kernels::geometry::Strip;
use std::vec;

/// Around what a kernel may touch.
const MARGIN: usize = 3;

const AT_LEAD: KernelSet = KernelSet {
    conv_2d_i8: |conv, channels, x, weights, out| {
        in_place(&conv.window, 0, x, out, |memory| conv_2d_i8_on(conv, channels, memory, weights))
    },
    conv_2d_f32: |conv, limits, x, weights, bias, out| {
        in_place(&conv.window, 0, x, out, |memory| conv_2d_f32_on(conv, limits, memory, weights, bias))
    },
    depthwise_conv_2d_i8: |window, channels, x, weights, out| {
        in_place(window, 0, x, out, |memory| depthwise_conv_2d_i8_on(window, channels, memory, weights))
    },
    depthwise_conv_2d_f32: |window, limits, x, weights, bias, out| {
        in_place(window, 0, x, out, |memory| depthwise_conv_2d_f32_on(window, limits, memory, weights, bias))
    },
    max_pool_2d_i8: |window, x, out| in_place(window, 0, x, out, |memory| max_pool_2d_i8_on(window, memory)),
    max_pool_2d_f32: |window, x, out| in_place(window, 0, x, out, |memory| max_pool_2d_f32_on(window, memory)),
    average_pool_2d_i8: |window, q, divisor, x, out| {
        in_place(window, 0, x, out, |memory| average_pool_2d_i8_on(window, q, divisor, memory))
    },
    average_pool_2d_f32: |window, limits, divisor, x, out| {
        in_place(window, 0, x, out, |memory| average_pool_2d_f32_on(window, limits, divisor, memory))
    },
    ..PORTABLE
};

/// Runs a kernel with its output `lead - missing` elements below its input.
fn in_place<T: Copy + Default + PartialOrd>(
    window: &Window2d,
    missing: usize,
    x: &[T],
    out: &mut [T],
    run: impl FnOnce(&mut Placed<T>) -> Option<()>,
) -> Option<()> {
    let lead = window.lead_elements(Strip::Pixels(1)) as usize - missing;
    let (output, input) = (MARGIN..MARGIN + out.len(), MARGIN + lead..MARGIN + lead + x.len());
    let mut region = vec![T::default(); output.end.max(input.end) + MARGIN];
    region[input.clone()].copy_from_slice(x);
    let before = region.clone();
    run(&mut Placed { region: &mut region, input, output: output.clone(), scratch: 0..0 })?;
    out.copy_from_slice(&region[output.clone()]);
    // A NaN equals nothing, not even itself.
    let untouched =
        |at: usize| output.contains(&at) || region[at] == before[at] || before[at].partial_cmp(&before[at]).is_none();
    (0..region.len()).all(untouched).then_some(())
}

#[test]
fn windowed_kernels_give_the_same_at_their_lead() {
    for seed in 0..3 {
        if let Err(failure) = contract::compare(&AT_LEAD, &PORTABLE, 1500, seed) {
            panic!("seed {seed}: {failure}");
        }
    }
}

/// A pixel and an element below the lead, a kernel writes over the input of the next pixel: the test above can fail.
#[test]
fn a_lead_that_is_too_small_breaks_a_kernel() {
    let wrong = KernelSet {
        depthwise_conv_2d_i8: |window, channels, x, weights, out| {
            let missing = window.output[2] as usize + 1;
            if (window.lead_elements(Strip::Pixels(1)) as usize) < missing {
                return depthwise_conv_2d_i8(window, channels, x, weights, out);
            }
            in_place(window, missing, x, out, |memory| depthwise_conv_2d_i8_on(window, channels, memory, weights))
        },
        ..PORTABLE
    };
    let failure = contract::compare(&wrong, &PORTABLE, 1500, 0).unwrap_err();
    assert_eq!(failure.kernel, "depthwise_conv_2d_i8");
}
