//! Pooling over NHWC, for Helium; parameters are those of the portable kernels (operators/pool_2d.rs).

use crate::kernels::geometry::Window2d;
use crate::kernels::mve::pool_2d::{MOST_TAPS, average_pool_2d_i8, max_pool_2d_i8};
use crate::operators::pool_2d::{average_of, check_max_i8, checked_average, geometry};
use crate::operators::window::lead;
use crate::operators::{InPlace, Operator, StepContext, StepOperands};

/// Maximum in int8; input and output have the same quantization.
pub static MAX_POOL_2D_I8_MVE: Operator = Operator {
    code: 0x0282,
    name: "max_pool_2d_i8_mve",
    in_place: InPlace::Lead(lead),
    check: check_max_i8,
    run: run_max,
};

/// Average in int8 over windows of up to [`MOST_TAPS`] pixels.
pub static AVERAGE_POOL_2D_I8_MVE: Operator = Operator {
    code: 0x0292,
    name: "average_pool_2d_i8_mve",
    in_place: InPlace::Lead(lead),
    check: check_average,
    run: run_average,
};

fn run_max(ctx: &mut StepContext<'_, '_>) -> Option<()> {
    let window = geometry(ctx)?;
    max_pool_2d_i8(&window, ctx.placed()?)
}

fn check_average(operands: &StepOperands<'_>) -> Result<u64, &'static str> {
    let (window, _, work) = checked_average(operands)?;
    if has_few_taps(&window) { Ok(work) } else { Err("its window is too large") }
}

fn run_average(ctx: &mut StepContext<'_, '_>) -> Option<()> {
    let window = geometry(ctx)?;
    let (q, divisor) = average_of(ctx)?;
    average_pool_2d_i8(&window, &q, divisor, ctx.placed()?)
}

/// Whether [`AVERAGE_POOL_2D_I8_MVE`] takes a window.
pub fn has_few_taps(window: &Window2d) -> bool {
    let ([height, width, _], [kernel_height, kernel_width]) = (window.input, window.kernel);
    let taps = u64::from(kernel_height.min(height)).saturating_mul(kernel_width.min(width).into());
    taps <= MOST_TAPS as u64
}
