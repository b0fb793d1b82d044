//! Gathering: slices along an axis, or single elements, that indices name.
//!
//! ```text
//! inputs:     x, indices (int32 or int64; negative ones count from the end)
//! parameters gather:          0 axis u8 of x .. 4
//! parameters gather elements: 0 axis u8, counted from the first of five right-aligned axes .. 4
//! ```
//! An index that names nothing ends the run.

use super::{moved, sized};
use crate::image::TensorView;
use crate::image::bytes::{RecordWriter, u8_at};
use crate::kernels::geometry::{Gather, View, row_major_strides};
use crate::kernels::portable;
use crate::operators::{StepContext, StepOperands};
use crate::tensor::ElementType;
use bytemuck::Pod;

sized! { check, run;
    /// Slices of elements of one byte.
    GATHER_B1: u8 = 0x0420, "gather_b1";
    /// Slices of elements of two bytes.
    GATHER_B2: u16 = 0x0421, "gather_b2";
    /// Slices of elements of four bytes.
    GATHER_B4: u32 = 0x0422, "gather_b4";
    /// Slices of elements of eight bytes.
    GATHER_B8: u64 = 0x0423, "gather_b8";
}

sized! { check_elements, run_elements;
    /// Elements of one byte, one by one.
    GATHER_ELEMENTS_B1: u8 = 0x0428, "gather_elements_b1";
    /// Elements of two bytes, one by one.
    GATHER_ELEMENTS_B2: u16 = 0x0429, "gather_elements_b2";
    /// Elements of four bytes, one by one.
    GATHER_ELEMENTS_B4: u32 = 0x042a, "gather_elements_b4";
    /// Elements of eight bytes, one by one.
    GATHER_ELEMENTS_B8: u64 = 0x042b, "gather_elements_b8";
}

/// Parameters of both operators.
#[derive(Clone, Copy, Debug, PartialEq, Eq)]
pub struct GatherRecord {
    /// The axis that indices count along.
    pub axis: u8,
}

impl GatherRecord {
    /// The parameters' bytes.
    pub fn emit(&self) -> [u8; 4] {
        RecordWriter::default().put(0, &[self.axis]).finish()
    }
}

const RULE: &str = "its indices do not fit its shapes";

/// The indices, int32 or int64.
fn indices(operands: &StepOperands<'_>) -> Result<TensorView, &'static str> {
    let indices = operands.any_input(1).ok_or("an input is missing")?;
    match indices.element_type {
        ElementType::I32 | ElementType::I64 => Ok(indices),
        _ => Err("an operand that must be integers is not"),
    }
}

fn shapes(parameters: &[u8], input: &TensorView) -> Option<Gather> {
    Gather::new(input.shape.dims(), usize::from(u8_at(parameters, 0)?))
}

fn check(operands: &StepOperands<'_>, size_bytes: usize) -> Result<u64, &'static str> {
    let (input, output) = moved(operands, 0, size_bytes)?;
    let n_indices = indices(operands)?.shape.n_elements();
    let expected = shapes(operands.parameters(), &input).and_then(|g| g.output_elements(n_indices));
    if expected != Some(output.shape.n_elements()) {
        return Err(RULE);
    }
    Ok(output.shape.n_elements() as u64)
}

fn run<T: Pod>(ctx: &mut StepContext<'_, '_>) -> Option<()> {
    let shapes = shapes(ctx.parameters(), &ctx.input(0)?)?;
    let element_type = ctx.input(1)?.element_type;
    let (inputs, output) = ctx.beside_output::<T>(0)?;
    let source = inputs.get(0)?;
    match element_type {
        ElementType::I64 => portable::gather(&shapes, inputs.get::<i64>(1)?, source, output),
        _ => portable::gather(&shapes, inputs.get::<i32>(1)?, source, output),
    }
}

/// The view of the input without the axis, and the axis' length and stride.
fn view(parameters: &[u8], input: &TensorView, output: &TensorView) -> Option<(View, [u32; 2])> {
    let axis = usize::from(u8_at(parameters, 0)?);
    let (source, dims) = (input.shape.broadcast_dims(), output.shape.broadcast_dims());
    let strides = row_major_strides(source);
    let along = [*source.get(axis)?, *strides.get(axis)?];
    let mut view = View { start: 0, strides: [0; 5], dims };
    for (i, ((target, stride), (n, dim))) in
        view.strides.iter_mut().zip(strides).zip(source.into_iter().zip(dims)).enumerate()
    {
        if i != axis {
            if dim > n {
                return None;
            }
            *target = i32::try_from(stride).ok()?;
        }
    }
    Some((view.check(input.shape.n_elements())?, along))
}

fn check_elements(operands: &StepOperands<'_>, size_bytes: usize) -> Result<u64, &'static str> {
    let (input, output) = moved(operands, 0, size_bytes)?;
    if indices(operands)?.shape.broadcast_dims() != output.shape.broadcast_dims() {
        return Err(RULE);
    }
    view(operands.parameters(), &input, &output).ok_or(RULE)?;
    Ok(output.shape.n_elements() as u64)
}

fn run_elements<T: Pod>(ctx: &mut StepContext<'_, '_>) -> Option<()> {
    let (view, along) = view(ctx.parameters(), &ctx.input(0)?, &ctx.output(0)?)?;
    let element_type = ctx.input(1)?.element_type;
    let (inputs, output) = ctx.beside_output::<T>(0)?;
    let source = inputs.get(0)?;
    match element_type {
        ElementType::I64 => portable::gather_elements(&view, along, inputs.get::<i64>(1)?, source, output),
        _ => portable::gather_elements(&view, along, inputs.get::<i32>(1)?, source, output),
    }
}
