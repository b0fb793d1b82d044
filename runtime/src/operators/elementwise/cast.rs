//! Changes of the element type: one operator for each type of the result, from every other.
//!
//! ```text
//! inputs:     x: float32, int8, uint8, int32, int64 or bool
//! parameters: none
//! ```

use crate::kernels::portable::{CastTo, cast, cast_from_bool, cast_to_bool};
use crate::operators::{InPlace, Operator, StepContext, StepOperands};
use crate::tensor::ElementType;
use bytemuck::Pod;

macro_rules! casts {
    ($($(#[$doc:meta])* $constant:ident $code:literal $name:literal $type:ty, $element_type:ident;)*) => {$(
        $(#[$doc])*
        pub static $constant: Operator = Operator {
            code: $code,
            name: $name,
            in_place: InPlace::Never,
            check: |operands| check(operands, ElementType::$element_type),
            run: run::<$type>,
        };
    )*};
}

casts! {
    /// To float32.
    CAST_TO_F32 0x0380 "cast_to_f32" f32, F32;
    /// To int8.
    CAST_TO_I8 0x0381 "cast_to_i8" i8, I8;
    /// To uint8.
    CAST_TO_U8 0x0382 "cast_to_u8" u8, U8;
    /// To int32.
    CAST_TO_I32 0x0383 "cast_to_i32" i32, I32;
    /// To int64.
    CAST_TO_I64 0x0384 "cast_to_i64" i64, I64;
}

/// To truths.
pub static CAST_TO_BOOL: Operator = Operator {
    code: 0x0385,
    name: "cast_to_bool",
    in_place: InPlace::Never,
    check: |operands| check(operands, ElementType::Bool),
    run: run_to_bool,
};

fn check(operands: &StepOperands<'_>, element_type: ElementType) -> Result<u64, &'static str> {
    let (input, output) = (operands.any_input(0).ok_or("an input is missing")?, operands.output(0, element_type)?);
    if input.element_type == ElementType::I16 {
        return Err("an input has the wrong element type");
    }
    if input.shape.n_elements() != output.shape.n_elements() {
        return Err("its input and output differ in size");
    }
    Ok(output.shape.n_elements() as u64)
}

fn run<T: Pod>(ctx: &mut StepContext<'_, '_>) -> Option<()>
where
    f32: CastTo<T>,
    i8: CastTo<T>,
    u8: CastTo<T>,
    i32: CastTo<T>,
    i64: CastTo<T>,
{
    let from = ctx.input(0)?.element_type;
    let (inputs, output) = ctx.beside_output::<T>(0)?;
    match from {
        ElementType::F32 => cast::<f32, T>(inputs.get(0)?, output),
        ElementType::I8 => cast::<i8, T>(inputs.get(0)?, output),
        ElementType::U8 => cast::<u8, T>(inputs.get(0)?, output),
        ElementType::I32 => cast::<i32, T>(inputs.get(0)?, output),
        ElementType::I64 => cast::<i64, T>(inputs.get(0)?, output),
        ElementType::Bool => cast_from_bool(inputs.get(0)?, output),
        ElementType::I16 => None,
    }
}

fn run_to_bool(ctx: &mut StepContext<'_, '_>) -> Option<()> {
    let from = ctx.input(0)?.element_type;
    let (inputs, output) = ctx.beside_output::<u8>(0)?;
    match from {
        ElementType::F32 => cast_to_bool::<f32>(inputs.get(0)?, output),
        ElementType::I8 | ElementType::U8 | ElementType::Bool => cast_to_bool::<u8>(inputs.get(0)?, output),
        ElementType::I32 => cast_to_bool::<i32>(inputs.get(0)?, output),
        ElementType::I64 => cast_to_bool::<i64>(inputs.get(0)?, output),
        ElementType::I16 => None,
    }
}
