//! Some elements of a tensor in another order: slices, transpositions and repetitions along an axis of one element.
//!
//! ```text
//! inputs:     x
//! parameters: 0 start u32   4 strides i32[5] of x, right-aligned to rank 5 .. 24
//! ```
//! Output element `i` is element `start + sum(i[axis] * strides[axis])` of x.

use super::{moved, sized};
use crate::image::TensorView;
use crate::image::bytes::{RecordWriter, i32_at, u32_at};
use crate::kernels::geometry::View;
use crate::kernels::portable::copy_view;
use crate::operators::{StepContext, StepOperands};
use crate::tensor::MAX_RANK;
use bytemuck::Pod;

sized! { check, run;
    /// View of elements of one byte.
    VIEW_B1: u8 = 0x0400, "view_b1";
    /// View of elements of two bytes.
    VIEW_B2: u16 = 0x0401, "view_b2";
    /// View of elements of four bytes.
    VIEW_B4: u32 = 0x0402, "view_b4";
    /// View of elements of eight bytes.
    VIEW_B8: u64 = 0x0403, "view_b8";
}

/// Parameters of a view.
#[derive(Clone, Copy, Debug, PartialEq, Eq)]
pub struct ViewRecord {
    /// The input element of the first one.
    pub start: u32,
    /// Input elements by which each axis of the output advances, right-aligned to rank 5.
    pub strides: [i32; MAX_RANK],
}

impl ViewRecord {
    /// The parameters' bytes.
    pub fn emit(&self) -> [u8; 24] {
        let writer = RecordWriter::default().put(0, &self.start.to_le_bytes());
        let strides = self.strides.iter().zip((4usize..).step_by(4));
        strides.fold(writer, |writer, (stride, at)| writer.put(at, &stride.to_le_bytes())).finish()
    }

    fn view(parameters: &[u8]) -> Option<Self> {
        let mut strides = [0; MAX_RANK];
        for (stride, at) in strides.iter_mut().zip((4usize..).step_by(4)) {
            *stride = i32_at(parameters, at)?;
        }
        Some(ViewRecord { start: u32_at(parameters, 0)?, strides })
    }
}

fn view(parameters: &[u8], input: &TensorView, output: &TensorView) -> Option<View> {
    let ViewRecord { start, strides } = ViewRecord::view(parameters)?;
    View { start, strides, dims: output.shape.broadcast_dims() }.check(input.shape.n_elements())
}

fn check(operands: &StepOperands<'_>, size_bytes: usize) -> Result<u64, &'static str> {
    let (input, output) = moved(operands, 0, size_bytes)?;
    view(operands.parameters(), &input, &output).ok_or("its view does not fit its shapes")?;
    Ok(output.shape.n_elements() as u64)
}

fn run<T: Pod>(ctx: &mut StepContext<'_, '_>) -> Option<()> {
    let view = view(ctx.parameters(), &ctx.input(0)?, &ctx.output(0)?)?;
    let map = ctx.map::<T, T>(0, 0)?;
    copy_view(&view, map.input, map.output)
}
