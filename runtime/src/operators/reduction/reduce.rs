//! Reductions over any axes.
//!
//! ```text
//! inputs:     x; axes i64 [at most 5] when they are known at run time only
//! parameters: 0 function u8 (0 mean, 1 sum, 2 max, 3 min, 4 product, 5 L1, 6 L2, 7 sum of squares, 8 logarithm of the
//!             sum, 9 logarithm of the sum of exponentials), 1 flags u8 (bit 0: axes stay with length 1; bit 1: axes are
//!             an operand), 2 axes u8 (bit i: axis i), 3 reserved .. 4
//! ```

use super::{SHAPE_RULE, right_aligned};
use crate::image::TensorView;
use crate::image::bytes::{RecordWriter, u8_at};
use crate::kernels::portable::{Reduce, ReduceFunction, ReduceLoops, reduce};
use crate::operators::{InPlace, Operator, StepContext, StepOperands};
use crate::tensor::{ElementType, MAX_RANK};
use bytemuck::Pod;

/// One operator for each element type.
macro_rules! reductions {
    ($($(#[$doc:meta])* $name:ident: $element:ty as $element_type:ident = $code:literal, $text:literal;)*) => {$(
        $(#[$doc])*
        pub static $name: Operator = Operator {
            code: $code,
            name: $text,
            in_place: InPlace::Never,
            check: |operands| check(operands, ElementType::$element_type),
            run: run::<$element>,
        };
    )*};
}
reductions! {
    /// float32: every function.
    REDUCE_F32: f32 as F32 = 0x0501, "reduce_f32";
    /// Plain or quantized int8: largest and smallest.
    REDUCE_I8: i8 as I8 = 0x0502, "reduce_i8";
    /// uint8: largest and smallest.
    REDUCE_U8: u8 as U8 = 0x0503, "reduce_u8";
    /// int32: what needs no root and no logarithm.
    REDUCE_I32: i32 as I32 = 0x0504, "reduce_i32";
    /// int64: what needs no root and no logarithm.
    REDUCE_I64: i64 as I64 = 0x0505, "reduce_i64";
    /// Truths: whether any, or all of them.
    REDUCE_BOOL: u8 as Bool = 0x0506, "reduce_bool";
}

/// Which axes are joined.
#[derive(Clone, Copy, Debug, PartialEq, Eq)]
pub enum ReduceAxes {
    /// Those whose bits are set, counted in shapes right-aligned to rank 5.
    Fixed(u8),
    /// Those that input 1 lists when the step runs.
    Given,
}

/// Parameters of a reduction.
#[derive(Clone, Copy, Debug, PartialEq, Eq)]
pub struct ReduceRecord {
    /// What is computed.
    pub function: ReduceFunction,
    /// Whether axes stay with length 1.
    pub keeps_dims: bool,
    /// Which axes.
    pub axes: ReduceAxes,
}

impl ReduceRecord {
    /// The parameters' bytes.
    pub fn emit(&self) -> [u8; 4] {
        let (flags, axes) = match self.axes {
            ReduceAxes::Fixed(axes) => (0, axes),
            ReduceAxes::Given => (2, 0),
        };
        RecordWriter::default().put(0, &[self.function as u8, u8::from(self.keeps_dims) | flags, axes]).finish()
    }

    fn view(parameters: &[u8]) -> Option<Self> {
        let (flags, axes) = (u8_at(parameters, 1)?, u8_at(parameters, 2)?);
        Some(ReduceRecord {
            function: *ReduceFunction::ALL.get(usize::from(u8_at(parameters, 0)?))?,
            keeps_dims: flags & 1 == 1,
            axes: match flags & 2 {
                0 => ReduceAxes::Fixed(axes),
                _ => ReduceAxes::Given,
            },
        })
    }

    /// Whether a result over these axes has the shape of the output.
    fn fits(&self, axes: u8, input: &TensorView, output: &TensorView) -> bool {
        let first = MAX_RANK.saturating_sub(input.shape.rank());
        let is_joined = |i: usize| (axes >> i.saturating_add(first)) & 1 == 1;
        let dims = input.shape.dims().iter().enumerate();
        let expected = dims.filter_map(|(i, &dim)| match (is_joined(i), self.keeps_dims) {
            (false, _) => Some(dim),
            (true, true) => Some(1),
            (true, false) => None,
        });
        axes >> MAX_RANK == 0 && expected.eq(output.shape.dims().iter().copied())
    }
}

fn check(operands: &StepOperands<'_>, element_type: ElementType) -> Result<u64, &'static str> {
    let (input, output) = (operands.input(0, element_type)?, operands.output(0, element_type)?);
    let record = ReduceRecord::view(operands.parameters()).ok_or("unknown function")?;
    let has_function = match element_type {
        ElementType::F32 => true,
        ElementType::I32 | ElementType::I64 => record.function.is_algebraic(),
        _ => record.function.chooses(),
    };
    if !has_function {
        return Err("its element type does not have its function");
    }
    if input.quantization != output.quantization {
        return Err("its input and output differ in quantization");
    }
    match record.axes {
        ReduceAxes::Fixed(axes) if !record.fits(axes, &input, &output) => return Err(SHAPE_RULE),
        ReduceAxes::Given if operands.input(1, ElementType::I64)?.shape.n_elements() > MAX_RANK => {
            return Err("there are more axes than an image has");
        }
        _ => {}
    }
    Ok((input.shape.n_elements() as u64).saturating_mul(2))
}

fn run<T: Pod + Reduce>(ctx: &mut StepContext<'_, '_>) -> Option<()> {
    let record = ReduceRecord::view(ctx.parameters())?;
    let (input, output) = (ctx.input(0)?, ctx.output(0)?);
    let axes = match record.axes {
        ReduceAxes::Fixed(axes) => axes,
        ReduceAxes::Given => {
            let given = ctx.values::<i64>(1)?;
            let axis = |axes: u8, &axis: &i64| Some(axes | 1u8 << (right_aligned(axis, input.shape.rank())? & 7));
            given.iter().try_fold(0, axis)?
        }
    };
    if !record.fits(axes, &input, &output) {
        return None;
    }
    let map = ctx.map::<T, T>(0, 0)?;
    reduce(&ReduceLoops::new(input.shape.broadcast_dims(), axes), record.function, map.input, map.output)
}
