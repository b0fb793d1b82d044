//! Where: a choice between two tensors, for elements of each size.
//!
//! ```text
//! inputs:     condition bool, a, b; a, b and the output have one element type
//! parameters: none
//! ```

use crate::image::TensorView;
use crate::kernels::geometry::StridedLoops;
use crate::kernels::portable::select;
use crate::operators::{InPlace, Operator, StepContext, StepOperands};
use crate::tensor::ElementType;
use bytemuck::Pod;

/// Elements of one byte.
pub static WHERE_B1: Operator =
    Operator { code: 0x0370, name: "where_b1", in_place: InPlace::Never, check: check::<1>, run: run::<u8> };

/// Elements of four bytes.
pub static WHERE_B4: Operator =
    Operator { code: 0x0371, name: "where_b4", in_place: InPlace::Never, check: check::<4>, run: run::<u32> };

/// Elements of eight bytes.
pub static WHERE_B8: Operator =
    Operator { code: 0x0372, name: "where_b8", in_place: InPlace::Never, check: check::<8>, run: run::<u64> };

fn loops(condition: &TensorView, a: &TensorView, b: &TensorView, output: &TensorView) -> Option<StridedLoops<4>> {
    let [condition, a, b, output] = [condition, a, b, output].map(|t| t.shape.broadcast_dims());
    StridedLoops::broadcast_three(condition, a, b, output)
}

fn check<const BYTES: usize>(operands: &StepOperands<'_>) -> Result<u64, &'static str> {
    let condition = operands.input(0, ElementType::Bool)?;
    let output = operands.any_output(0).ok_or("an output is missing")?;
    if output.element_type.size_bytes() != BYTES {
        return Err("an output has the wrong element type");
    }
    let (a, b) = (operands.input(1, output.element_type)?, operands.input(2, output.element_type)?);
    if a.quantization != output.quantization || b.quantization != output.quantization {
        return Err("its operands differ in their quantization");
    }
    loops(&condition, &a, &b, &output).ok_or("its operands do not broadcast to its output")?;
    Ok(output.shape.n_elements() as u64)
}

fn run<T: Pod>(ctx: &mut StepContext<'_, '_>) -> Option<()> {
    let loops = loops(&ctx.input(0)?, &ctx.input(1)?, &ctx.input(2)?, &ctx.output(0)?)?;
    let (inputs, output) = ctx.beside_output::<T>(0)?;
    select(&loops, inputs.get(0)?, inputs.get(1)?, inputs.get(2)?, output)
}
