//! Functions of one float32 element.
//!
//! ```text
//! inputs:     x
//! parameters: 0 first f32, 4 second f32: slope, alpha, … of the function, 0 when it has none .. 8
//! ```

use crate::float_math;
use crate::image::bytes::{RecordWriter, f32_at};
use crate::kernels::portable::{functions, unary};
use crate::operators::{InPlace, Operator, StepContext, StepOperands};
use crate::tensor::ElementType;

/// Parameters of every operator of this file.
#[derive(Clone, Copy, Debug, Default, PartialEq)]
pub struct UnaryRecord {
    /// Numbers of the function in the order of its documentation, finite.
    pub numbers: [f32; 2],
}

impl UnaryRecord {
    /// The parameters' bytes.
    pub fn emit(&self) -> [u8; 8] {
        let [first, second] = self.numbers;
        RecordWriter::default().put(0, &first.to_le_bytes()).put(4, &second.to_le_bytes()).finish()
    }

    fn view(parameters: &[u8]) -> Option<[f32; 2]> {
        Some([f32_at(parameters, 0)?, f32_at(parameters, 4)?])
    }
}

macro_rules! functions {
    ($($(#[$doc:meta])* $constant:ident $code:literal $name:literal $function:expr;)*) => {$(
        $(#[$doc])*
        pub static $constant: Operator = Operator {
            code: $code,
            name: $name,
            in_place: InPlace::SameRange,
            check,
            run: |ctx| run(ctx, $function),
        };
    )*};
}

functions! {
    /// `|x|`
    ABS_F32 0x0300 "abs_f32" |x, _| x.abs();
    /// Square root, correctly rounded.
    SQRT_F32 0x0302 "sqrt_f32" |x, _| float_math::sqrt(x);
    /// `1 / x`
    RECIPROCAL_F32 0x0303 "reciprocal_f32" |x, _| functions::reciprocal(x);
    /// [`float_math::exp`]
    EXP_F32 0x0304 "exp_f32" |x, _| float_math::exp(x);
    /// [`float_math::log`]
    LOG_F32 0x0305 "log_f32" |x, _| float_math::log(x);
    /// [`functions::leaky_relu`]: slope.
    LEAKY_RELU_F32 0x0306 "leaky_relu_f32" |x, [slope, _]| functions::leaky_relu(x, slope);
    /// [`functions::elu`]: alpha.
    ELU_F32 0x0307 "elu_f32" |x, [alpha, _]| functions::elu(x, alpha);
    /// [`functions::celu`]: alpha.
    CELU_F32 0x0308 "celu_f32" |x, [alpha, _]| functions::celu(x, alpha);
    /// [`functions::selu`]: alpha, gamma.
    SELU_F32 0x0309 "selu_f32" |x, [alpha, gamma]| functions::selu(x, alpha, gamma);
    /// [`functions::hard_sigmoid`]: slope, offset.
    HARD_SIGMOID_F32 0x030a "hard_sigmoid_f32" |x, [slope, offset]| functions::hard_sigmoid(x, slope, offset);
    /// [`functions::hard_swish`]
    HARD_SWISH_F32 0x030b "hard_swish_f32" |x, _| functions::hard_swish(x);
    /// [`float_math::softplus`]
    SOFTPLUS_F32 0x030c "softplus_f32" |x, _| float_math::softplus(x);
    /// [`functions::softsign`]
    SOFTSIGN_F32 0x030d "softsign_f32" |x, _| functions::softsign(x);
    /// [`functions::thresholded_relu`]: threshold.
    THRESHOLDED_RELU_F32 0x030e "thresholded_relu_f32" |x, [threshold, _]| functions::thresholded_relu(x, threshold);
    /// [`functions::gelu`]
    GELU_F32 0x030f "gelu_f32" |x, _| functions::gelu(x);
    /// [`functions::gelu_tanh`]
    GELU_TANH_F32 0x0310 "gelu_tanh_f32" |x, _| functions::gelu_tanh(x);
    /// [`float_math::erf`]
    ERF_F32 0x0311 "erf_f32" |x, _| float_math::erf(x);
    /// [`functions::mish`]
    MISH_F32 0x0312 "mish_f32" |x, _| functions::mish(x);
    /// [`functions::swish`]: alpha.
    SWISH_F32 0x0313 "swish_f32" |x, [alpha, _]| functions::swish(x, alpha);
    /// [`functions::sign`]
    SIGN_F32 0x0314 "sign_f32" |x, _| functions::sign(x);
    /// [`float_math::floor`]
    FLOOR_F32 0x0315 "floor_f32" |x, _| float_math::floor(x);
    /// [`float_math::ceil`]
    CEIL_F32 0x0316 "ceil_f32" |x, _| float_math::ceil(x);
    /// [`float_math::round`]
    ROUND_F32 0x0317 "round_f32" |x, _| float_math::round(x);
    /// [`float_math::sin`]
    SIN_F32 0x0318 "sin_f32" |x, _| float_math::sin(x);
    /// [`float_math::cos`]
    COS_F32 0x0319 "cos_f32" |x, _| float_math::cos(x);
}

fn check(operands: &StepOperands<'_>) -> Result<u64, &'static str> {
    let numbers = UnaryRecord::view(operands.parameters()).ok_or("its parameters are missing")?;
    if !numbers.iter().all(|n| n.is_finite()) {
        return Err("its parameters are not finite");
    }
    let (input, output) = (operands.input(0, ElementType::F32)?, operands.output(0, ElementType::F32)?);
    if input.shape.n_elements() != output.shape.n_elements() {
        return Err("its input and output differ in size");
    }
    Ok(output.shape.n_elements() as u64)
}

#[inline(always)]
fn run(ctx: &mut StepContext<'_, '_>, function: impl Fn(f32, [f32; 2]) -> f32) -> Option<()> {
    let numbers = UnaryRecord::view(ctx.parameters())?;
    let (input, at) = (ctx.operand(0)?, ctx.output_elements::<f32>(0)?.start);
    unary(ctx.region()?, input, at, |x| function(x, numbers))
}
