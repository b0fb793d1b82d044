//! Functions of two plain integers, or of two truths, with numpy broadcasting.
//!
//! ```text
//! inputs:     a, b, either may be constant
//! parameters: 0 function u8, see IntegerFunction, 1 reserved .. 4
//! powers:     a, n, which may also be float32; no parameters
//! ```

use crate::float_math;
use crate::image::bytes::{RecordWriter, u8_at};
use crate::kernels::geometry::StridedLoops;
use crate::kernels::portable::{Integer, IntegerFunction, binary, pairs};
use crate::operators::{InPlace, Operator, StepContext, StepOperands};
use crate::tensor::ElementType;
use bytemuck::Pod;

/// Parameters of the operators of this file that have a function.
#[derive(Clone, Copy, Debug, PartialEq, Eq)]
pub struct IntegerRecord {
    /// What is computed.
    pub function: IntegerFunction,
}

impl IntegerRecord {
    /// The parameters' bytes.
    pub fn emit(&self) -> [u8; 4] {
        RecordWriter::default().put(0, &[self.function as u8]).finish()
    }

    fn view(parameters: &[u8]) -> Option<IntegerFunction> {
        IntegerFunction::from_code(u8_at(parameters, 0)?)
    }
}

macro_rules! integers {
    ($($(#[$doc:meta])* $constant:ident $code:literal $name:literal $type:ty, $element_type:ident;)*) => {$(
        $(#[$doc])*
        pub static $constant: Operator = Operator {
            code: $code,
            name: $name,
            in_place: InPlace::SameRange,
            check: |operands| check(operands, ElementType::$element_type),
            run: run::<$type>,
        };
    )*};
}

integers! {
    /// int8 as plain integers; also the larger or smaller of two of one quantization.
    BINARY_S8 0x0350 "binary_s8" i8, I8;
    /// uint8 as plain integers.
    BINARY_U8 0x0351 "binary_u8" u8, U8;
    /// int32.
    BINARY_I32 0x0352 "binary_i32" i32, I32;
    /// int64.
    BINARY_I64 0x0353 "binary_i64" i64, I64;
    /// Truths: And, Or and Xor.
    BINARY_BOOL 0x0354 "binary_bool" u8, Bool;
}

/// Powers of int32.
pub static POW_I32: Operator = Operator {
    code: 0x0355,
    name: "pow_i32",
    in_place: InPlace::Never,
    check: |operands| check_power(operands, ElementType::I32),
    run: |ctx| run_power::<i32>(ctx, f64::from, |x| x as i32, i64::from),
};

/// Powers of int64.
pub static POW_I64: Operator = Operator {
    code: 0x0356,
    name: "pow_i64",
    in_place: InPlace::Never,
    check: |operands| check_power(operands, ElementType::I64),
    run: |ctx| run_power::<i64>(ctx, |x| x as f64, |x| x as i64, |n| n),
};

/// Loops over inputs 0 and 1 and output 0.
pub(super) fn loops(ctx: &StepContext<'_, '_>) -> Option<StridedLoops<3>> {
    let (a, b, output) = (ctx.input(0)?, ctx.input(1)?, ctx.output(0)?);
    StridedLoops::broadcast(a.shape.broadcast_dims(), b.shape.broadcast_dims(), output.shape.broadcast_dims())
}

/// Checks types of (a, b, output) and that the operands broadcast; gives the elements of the output.
pub(super) fn checked_pair(operands: &StepOperands<'_>, types: [ElementType; 3]) -> Result<u64, &'static str> {
    let [a, b, output] = types;
    let (a, b, output) = (operands.input(0, a)?, operands.input(1, b)?, operands.output(0, output)?);
    StridedLoops::broadcast(a.shape.broadcast_dims(), b.shape.broadcast_dims(), output.shape.broadcast_dims())
        .ok_or("its operands do not broadcast to its output")?;
    Ok(output.shape.n_elements() as u64)
}

fn check(operands: &StepOperands<'_>, element_type: ElementType) -> Result<u64, &'static str> {
    let function = IntegerRecord::view(operands.parameters()).ok_or("unknown function")?;
    let is_logical = matches!(function, IntegerFunction::And | IntegerFunction::Or | IntegerFunction::Xor);
    if element_type == ElementType::Bool && !is_logical {
        return Err("truths have no arithmetic");
    }
    checked_pair(operands, [element_type; 3])
}

fn run<T: Integer + Pod>(ctx: &mut StepContext<'_, '_>) -> Option<()> {
    let loops = loops(ctx)?;
    let function = IntegerRecord::view(ctx.parameters())?;
    let (a, b, at) = (ctx.operand(0)?, ctx.operand(1)?, ctx.output_elements::<T>(0)?.start);
    binary(&loops, ctx.region()?, a, b, at, |a, b| T::apply(function, a, b))
}

fn check_power(operands: &StepOperands<'_>, element_type: ElementType) -> Result<u64, &'static str> {
    let exponent = operands.any_input(1).ok_or("an input is missing")?.element_type;
    let exponent = if exponent == ElementType::F32 { exponent } else { element_type };
    checked_pair(operands, [element_type, exponent, element_type])
}

/// Integer powers by squaring; with a fraction in the exponent the binary64 power towards zero.
fn run_power<T: Integer + Pod>(
    ctx: &mut StepContext<'_, '_>,
    real: fn(T) -> f64,
    integer: fn(f64) -> T,
    exponent: fn(T) -> i64,
) -> Option<()> {
    let loops = loops(ctx)?;
    let is_float = ctx.input(1)?.element_type == ElementType::F32;
    let (inputs, output) = ctx.beside_output::<T>(0)?;
    let a = inputs.get::<T>(0)?;
    if is_float {
        pairs(&loops, a, inputs.get::<f32>(1)?, output, |a, n| {
            if float_math::is_integer(n) { T::power(a, n as i64) } else { integer(float_math::pow_f64(real(a), n)) }
        })
    } else {
        pairs(&loops, a, inputs.get::<T>(1)?, output, |a, n| T::power(a, exponent(n)))
    }
}
