//! Pooling over NHWC, for the DSP extension.
//!
//! ```text
//! inputs:     x [1, H, W, C] in the arena
//! parameters: as of the portable pools, see operators/pool_2d.rs
//! ```

use crate::kernels::armv7em::pool_2d::{average_pool_2d_i8, max_pool_2d_i8, takes_average};
use crate::operators::pool_2d::{average_of, check_max_i8, checked_average, geometry};
use crate::operators::window::lead;
use crate::operators::{InPlace, Operator, StepContext, StepOperands};

/// Maximum; parameters are a [`MaxPool2dRecord`](crate::operators::pool_2d::MaxPool2dRecord).
pub static MAX_POOL_2D_I8_ARMV7EM: Operator = Operator {
    code: 0x0182,
    name: "max_pool_2d_i8_armv7em",
    in_place: InPlace::Lead(lead),
    check: check_max_i8,
    run: run_max,
};

/// Average; parameters are an [`AveragePool2dI8Record`](crate::operators::pool_2d::AveragePool2dI8Record).
pub static AVERAGE_POOL_2D_I8_ARMV7EM: Operator = Operator {
    code: 0x0192,
    name: "average_pool_2d_i8_armv7em",
    in_place: InPlace::Lead(lead),
    check: check_average,
    run: run_average,
};

fn run_max(ctx: &mut StepContext<'_, '_>) -> Option<()> {
    max_pool_2d_i8(&geometry(ctx)?, ctx.placed()?)
}

fn check_average(operands: &StepOperands<'_>) -> Result<u64, &'static str> {
    let (window, average, work) = checked_average(operands)?;
    if takes_average(&window, average.requantizer) { Ok(work) } else { Err("its window or shift is too large") }
}

fn run_average(ctx: &mut StepContext<'_, '_>) -> Option<()> {
    let window = geometry(ctx)?;
    let (average, divisor) = average_of(ctx)?;
    average_pool_2d_i8(&window, &average, divisor, ctx.placed()?)
}
