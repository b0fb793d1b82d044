//! One-hot vectors.
//!
//! ```text
//! inputs:     values (off, on), indices (float32, int8, uint8, int32 or int64; negative ones count from the end)
//! parameters: 0 axis u8 of the output along which a vector lies .. 4
//! ```

use super::{moved, sized};
use crate::image::TensorView;
use crate::image::bytes::{RecordWriter, u8_at};
use crate::kernels::geometry::Gather;
use crate::kernels::portable::one_hot;
use crate::operators::{StepContext, StepOperands};
use crate::tensor::ElementType;
use bytemuck::Pod;

sized! { check, run;
    /// Vectors of elements of one byte.
    ONE_HOT_B1: u8 = 0x0438, "one_hot_b1";
    /// Vectors of elements of two bytes.
    ONE_HOT_B2: u16 = 0x0439, "one_hot_b2";
    /// Vectors of elements of four bytes.
    ONE_HOT_B4: u32 = 0x043a, "one_hot_b4";
    /// Vectors of elements of eight bytes.
    ONE_HOT_B8: u64 = 0x043b, "one_hot_b8";
}

/// Parameters of one-hot vectors.
#[derive(Clone, Copy, Debug, PartialEq, Eq)]
pub struct OneHotRecord {
    /// The axis of the output along which a vector lies.
    pub axis: u8,
}

impl OneHotRecord {
    /// The parameters' bytes.
    pub fn emit(&self) -> [u8; 4] {
        RecordWriter::default().put(0, &[self.axis]).finish()
    }
}

fn shapes(parameters: &[u8], output: &TensorView) -> Option<Gather> {
    Gather::new(output.shape.dims(), usize::from(u8_at(parameters, 0)?))
}

fn check(operands: &StepOperands<'_>, size_bytes: usize) -> Result<u64, &'static str> {
    let (values, output) = moved(operands, 0, size_bytes)?;
    if values.shape.n_elements() != 2 {
        return Err("its values are not two");
    }
    let indices = operands.any_input(1).ok_or("an input is missing")?;
    if matches!(indices.element_type, ElementType::I16 | ElementType::Bool) {
        return Err("an input has the wrong element type");
    }
    let shapes = shapes(operands.parameters(), &output).ok_or("its axis does not fit its output")?;
    if shapes.output_elements(1) != Some(indices.shape.n_elements()) {
        return Err("its indices do not fit its shapes");
    }
    Ok(output.shape.n_elements() as u64)
}

fn run<T: Pod>(ctx: &mut StepContext<'_, '_>) -> Option<()> {
    let Gather { n, inner, .. } = shapes(ctx.parameters(), &ctx.output(0)?)?;
    let element_type = ctx.input(1)?.element_type;
    let (inputs, output) = ctx.beside_output::<T>(0)?;
    let values = *inputs.get::<T>(0)?.first_chunk()?;
    match element_type {
        ElementType::F32 => one_hot(n, inner, values, inputs.get::<f32>(1)?, output),
        ElementType::I8 => one_hot(n, inner, values, inputs.get::<i8>(1)?, output),
        ElementType::U8 => one_hot(n, inner, values, inputs.get::<u8>(1)?, output),
        ElementType::I32 => one_hot(n, inner, values, inputs.get::<i32>(1)?, output),
        ElementType::I64 => one_hot(n, inner, values, inputs.get::<i64>(1)?, output),
        ElementType::I16 | ElementType::Bool => None,
    }
}
