//! Slices whose bounds the model gives at run time.
//!
//! ```text
//! inputs:     x, starts, ends, then axes and steps as far as they exist; int32 or int64
//! parameters: 0 optional operands u8 (1 axes, 2 steps)   1 reserved .. 4
//! ```
//! Bounds that lead to another shape than the output's end the run.

use super::{Integers, check_integers, moved, right_aligned, sized};
use crate::image::bytes::{RecordWriter, u8_at};
use crate::kernels::geometry::{SliceAxis, View};
use crate::kernels::portable::copy_view;
use crate::operators::{StepContext, StepOperands};
use crate::tensor::MAX_RANK;
use bytemuck::Pod;

sized! { check, run;
    /// Slice of elements of one byte.
    SLICE_B1: u8 = 0x0408, "slice_b1";
    /// Slice of elements of two bytes.
    SLICE_B2: u16 = 0x0409, "slice_b2";
    /// Slice of elements of four bytes.
    SLICE_B4: u32 = 0x040a, "slice_b4";
    /// Slice of elements of eight bytes.
    SLICE_B8: u64 = 0x040b, "slice_b8";
}

/// Parameters of a slice.
#[derive(Clone, Copy, Debug, PartialEq, Eq)]
pub struct SliceRecord {
    /// Sum of [`SliceRecord::AXES`] and [`SliceRecord::STEPS`].
    pub operands: u8,
}

impl SliceRecord {
    /// The axes are an operand; otherwise they are the first ones.
    pub const AXES: u8 = 1;
    /// The steps are an operand; otherwise they are 1.
    pub const STEPS: u8 = 2;

    /// The parameters' bytes.
    pub fn emit(&self) -> [u8; 4] {
        RecordWriter::default().put(0, &[self.operands]).finish()
    }

    /// Input of the axes and of the steps.
    fn optional(parameters: &[u8]) -> Option<[Option<usize>; 2]> {
        match u8_at(parameters, 0)? {
            0 => Some([None, None]),
            1 => Some([Some(3), None]),
            2 => Some([None, Some(3)]),
            3 => Some([Some(3), Some(4)]),
            _ => None,
        }
    }
}

fn check(operands: &StepOperands<'_>, size_bytes: usize) -> Result<u64, &'static str> {
    let (_, output) = moved(operands, 0, size_bytes)?;
    let optional = SliceRecord::optional(operands.parameters()).ok_or("unknown operands")?;
    for i in [1, 2].into_iter().chain(optional.into_iter().flatten()) {
        check_integers(operands, i)?;
    }
    Ok(output.shape.n_elements() as u64)
}

fn view(ctx: &StepContext<'_, '_>) -> Option<View> {
    let (input, output) = (ctx.input(0)?, ctx.output(0)?);
    let (dims, rank) = (input.shape.broadcast_dims(), input.shape.rank());
    let (starts, ends) = (Integers::read(ctx, 1)?, Integers::read(ctx, 2)?);
    let [axes, steps] = SliceRecord::optional(ctx.parameters())?;
    let (axes, steps) = (Integers::read_optional(ctx, axes)?, Integers::read_optional(ctx, steps)?);
    let mut slices = [SliceAxis { start: 0, step: 1, count: 1 }; MAX_RANK];
    for (slice, dim) in slices.iter_mut().zip(dims) {
        slice.count = dim;
    }
    for (i, (start, end)) in starts.values().iter().zip(ends.values()).enumerate() {
        let axis = match &axes {
            Some(axes) => *axes.values().get(i)?,
            None => i as i64,
        };
        let step = match &steps {
            Some(steps) => *steps.values().get(i)?,
            None => 1,
        };
        let axis = right_aligned(axis, rank)?;
        *slices.get_mut(axis)? = SliceAxis::new(*dims.get(axis)?, *start, *end, step)?;
    }
    let view = SliceAxis::view(slices, dims)?;
    (view.dims == output.shape.broadcast_dims()).then_some(view)
}

fn run<T: Pod>(ctx: &mut StepContext<'_, '_>) -> Option<()> {
    let view = view(ctx)?;
    let map = ctx.map::<T, T>(0, 0)?;
    copy_view(&view, map.input, map.output)
}
