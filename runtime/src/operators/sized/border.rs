//! Padding in every mode, cropping, and repetition of a whole tensor.
//!
//! ```text
//! inputs:     x, then pads (int32 or int64, before all axes, then behind), value, axes as far as they are operands
//! parameters: 0 mode u8   1 operands u8 (1 pads, 2 value, 4 axes)   2 reserved
//!             4 before i32[5], right-aligned to rank 5   24 value, lowest bytes first .. 32
//! ```
//! Elements behind each axis follow from the shapes. Pads at run time that lead to another shape end the run.

use super::{Integers, check_integers, moved, right_aligned, sized};
use crate::image::TensorView;
use crate::image::bytes::{RecordWriter, array, i32_at, u8_at};
use crate::kernels::geometry::{Border, BorderMode};
use crate::kernels::portable::pad;
use crate::operators::{StepContext, StepOperands};
use crate::tensor::MAX_RANK;
use bytemuck::Pod;

sized! { check, run;
    /// Padding of elements of one byte.
    BORDER_B1: u8 = 0x0410, "pad_b1";
    /// Padding of elements of two bytes.
    BORDER_B2: u16 = 0x0411, "pad_b2";
    /// Padding of elements of four bytes.
    BORDER_B4: u32 = 0x0412, "pad_b4";
    /// Padding of elements of eight bytes.
    BORDER_B8: u64 = 0x0413, "pad_b8";
}

/// Parameters of a padding.
#[derive(Clone, Copy, Debug, PartialEq, Eq)]
pub struct BorderRecord {
    /// What stands beyond the edges. Only constant mode crops.
    pub mode: BorderMode,
    /// Sum of [`BorderRecord::PADS`], [`BorderRecord::VALUE`] and [`BorderRecord::AXES`].
    pub operands: u8,
    /// Elements before each axis, right-aligned to rank 5; not looked at when pads are an operand.
    pub before: [i32; MAX_RANK],
    /// The value's bytes; not looked at when it is an operand.
    pub value: [u8; 8],
}

impl BorderRecord {
    /// The pads are an operand.
    pub const PADS: u8 = 1;
    /// The value is an operand.
    pub const VALUE: u8 = 2;
    /// The axes of the pads are an operand; otherwise they are all axes.
    pub const AXES: u8 = 4;

    /// The parameters' bytes.
    pub fn emit(&self) -> [u8; 32] {
        let writer = RecordWriter::default().put(0, &[self.mode as u8, self.operands]).put(24, &self.value);
        let before = self.before.iter().zip((4usize..).step_by(4));
        before.fold(writer, |writer, (before, at)| writer.put(at, &before.to_le_bytes())).finish()
    }

    fn view(parameters: &[u8]) -> Option<Self> {
        let mut before = [0; MAX_RANK];
        for (before, at) in before.iter_mut().zip((4usize..).step_by(4)) {
            *before = i32_at(parameters, at)?;
        }
        let mode = BorderMode::from_code(u8_at(parameters, 0)?)?;
        let operands = u8_at(parameters, 1)?;
        let known = operands < 8 && (operands & Self::AXES == 0 || operands & Self::PADS != 0);
        known.then_some(BorderRecord { mode, operands, before, value: array(parameters, 24)? })
    }

    /// Inputs of pads, value and axes.
    fn inputs(&self) -> [Option<usize>; 3] {
        let mut next = 1usize;
        [Self::PADS, Self::VALUE, Self::AXES].map(|operand| {
            if self.operands & operand == 0 {
                return None;
            }
            let own = next;
            next = next.wrapping_add(1);
            Some(own)
        })
    }

    fn border(&self, input: &TensorView, output: &TensorView) -> Option<Border> {
        let (input, output) = (input.shape.broadcast_dims(), output.shape.broadcast_dims());
        Border { mode: self.mode, before: self.before, input, output }.check()
    }
}

fn check(operands: &StepOperands<'_>, size_bytes: usize) -> Result<u64, &'static str> {
    let (input, output) = moved(operands, 0, size_bytes)?;
    let record = BorderRecord::view(operands.parameters()).ok_or("unknown mode or operands")?;
    let [pads, value, axes] = record.inputs();
    for i in [pads, axes].into_iter().flatten() {
        check_integers(operands, i)?;
    }
    if let Some(i) = value {
        let value = operands.any_input(i).ok_or("an input is missing")?;
        if value.element_type != input.element_type || value.shape.n_elements() != 1 {
            return Err("its value is not one element of its input's type");
        }
    }
    if pads.is_none() {
        record.border(&input, &output).ok_or("its padding does not fit its shapes")?;
    }
    Ok(output.shape.n_elements() as u64)
}

/// Elements before each axis, when those behind lead to the output's shape.
fn before(ctx: &StepContext<'_, '_>, pads: usize, axes: Option<usize>) -> Option<[i32; MAX_RANK]> {
    let (input, output) = (ctx.input(0)?, ctx.output(0)?);
    let rank = input.shape.rank();
    let (pads, axes) = (Integers::read(ctx, pads)?, Integers::read_optional(ctx, axes)?);
    let (first, last) = pads.values().split_at_checked(pads.values().len() / 2)?;
    let mut before = [0; MAX_RANK];
    let mut sizes = input.shape.broadcast_dims().map(i64::from);
    for (i, (start, end)) in first.iter().zip(last).enumerate() {
        let axis = match &axes {
            Some(axes) => *axes.values().get(i)?,
            None => i as i64,
        };
        let axis = right_aligned(axis, rank)?;
        *before.get_mut(axis)? = i32::try_from(*start).ok()?;
        let size = sizes.get_mut(axis)?;
        *size = size.checked_add(*start)?.checked_add(*end)?;
    }
    (sizes == output.shape.broadcast_dims().map(i64::from)).then_some(before)
}

fn run<T: Pod>(ctx: &mut StepContext<'_, '_>) -> Option<()> {
    let mut record = BorderRecord::view(ctx.parameters())?;
    let [pads, value, axes] = record.inputs();
    if let Some(pads) = pads {
        record.before = before(ctx, pads, axes)?;
    }
    let value = match value {
        Some(i) => *ctx.values::<T>(i)?.first()?,
        None => bytemuck::try_pod_read_unaligned(record.value.get(..size_of::<T>())?).ok()?,
    };
    let border = record.border(&ctx.input(0)?, &ctx.output(0)?)?;
    let map = ctx.map::<T, T>(0, 0)?;
    pad(&border, value, map.input, map.output)
}
