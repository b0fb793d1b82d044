//! Pools over NHWC.
//!
//! ```text
//! inputs:             x [1, H, W, C]
//! parameters maximum: window (20 bytes)
//! parameters average: window, 20 multiplier i32, 24 shift u8, 25 count_include_pad u8, 26 limits (4 bytes), 30 reserved .. 32
//! ```

use super::{FACTOR_RULE, LimitsI16, check_symmetric, requantizer};
use crate::fixed_point::Requantizer;
use crate::image::bytes::{RecordWriter, u8_at};
use crate::kernels::geometry::Window2d;
use crate::kernels::portable::Divisor;
use crate::kernels::portable::int16::{average_pool_2d_i16_on, max_pool_2d_i16_on};
use crate::operators::window::{WINDOW_RULE, WindowRecord, lead};
use crate::operators::{InPlace, Operator, StepContext, StepOperands};
use crate::tensor::ElementType;

/// Maximum; input and output have the same scale.
pub static MAX_POOL_2D_I16: Operator =
    Operator { code: 0x0819, name: "max_pool_2d_i16", in_place: InPlace::Lead(lead), check: check_max, run: run_max };

/// Average.
pub static AVERAGE_POOL_2D_I16: Operator = Operator {
    code: 0x081a,
    name: "average_pool_2d_i16",
    in_place: InPlace::Lead(lead),
    check: check_average,
    run: run_average,
};

/// Parameters of [`AVERAGE_POOL_2D_I16`].
#[derive(Clone, Copy, Debug, PartialEq)]
pub struct AveragePool2dI16Record {
    /// Geometry.
    pub window: WindowRecord,
    /// The input's scale over the output's.
    pub requantizer: Requantizer,
    /// Whether padding counts in the divisor.
    pub count_include_pad: bool,
    /// Fused clamp.
    pub limits: LimitsI16,
}

impl AveragePool2dI16Record {
    /// The parameters' bytes.
    pub fn emit(&self) -> [u8; 32] {
        let writer = self
            .window
            .put(RecordWriter::default())
            .put(20, &self.requantizer.multiplier.to_le_bytes())
            .put(24, &[self.requantizer.shift, u8::from(self.count_include_pad)]);
        self.limits.put(26, writer).finish()
    }
}

fn checked(operands: &StepOperands<'_>) -> Result<u64, &'static str> {
    let (input, output) = (operands.input(0, ElementType::I16)?, operands.output(0, ElementType::I16)?);
    let window = WindowRecord::view(operands.parameters())
        .and_then(|r| r.geometry(&input, &output))
        .and_then(Window2d::check)
        .filter(|w| w.input[2] == w.output[2])
        .ok_or(WINDOW_RULE)?;
    check_symmetric(operands)?;
    Ok((window.output_elements() as u64).saturating_mul(window.kernel_elements() as u64))
}

fn geometry(ctx: &StepContext<'_, '_>) -> Option<Window2d> {
    WindowRecord::view(ctx.parameters())?.geometry(&ctx.input(0)?, &ctx.output(0)?)
}

fn check_max(operands: &StepOperands<'_>) -> Result<u64, &'static str> {
    let work = checked(operands)?;
    let scale = |tensor: Option<crate::image::TensorView>| tensor.map(|t| t.quantization.scale);
    if scale(operands.any_input(0)) != scale(operands.any_output(0)) {
        return Err("its input and output differ in quantization");
    }
    Ok(work)
}

fn run_max(ctx: &mut StepContext<'_, '_>) -> Option<()> {
    let window = geometry(ctx)?;
    max_pool_2d_i16_on(&window, &mut ctx.placed()?)
}

fn divisor(parameters: &[u8]) -> Option<Divisor> {
    match u8_at(parameters, 25)? {
        0 => Some(WindowRecord::view(parameters)?.divisor(false)),
        1 => Some(WindowRecord::view(parameters)?.divisor(true)),
        _ => None,
    }
}

fn check_average(operands: &StepOperands<'_>) -> Result<u64, &'static str> {
    divisor(operands.parameters()).ok_or("unknown divisor")?;
    requantizer(operands.parameters(), 20).ok_or(FACTOR_RULE)?;
    LimitsI16::check(operands.parameters(), 26)?;
    checked(operands)
}

fn run_average(ctx: &mut StepContext<'_, '_>) -> Option<()> {
    let window = geometry(ctx)?;
    let (requantizer, limits) = (requantizer(ctx.parameters(), 20)?, LimitsI16::view(ctx.parameters(), 26)?);
    let divisor = divisor(ctx.parameters())?;
    average_pool_2d_i16_on(&window, requantizer, limits, divisor, &mut ctx.placed()?)
}
