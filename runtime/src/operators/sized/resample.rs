//! Resizing along one or two neighbouring axes by tables of taps.
//!
//! ```text
//! inputs:     x, then the tables of the axes that have one, first axis first: int32 [output positions, 2 * taps]
//! parameters: 0 axis u8, the first of two, counted from the first of five right-aligned axes   1 reserved
//!             4 taps u16[2], 0 for an axis without a table   8 value beyond the input f32 .. 12
//! ```
//! A table has for each output position the elements of its taps, then their weights:
//! [`crate::kernels::portable::Taps`]. It is a constant, or made at run time by
//! [`super::resize_table`]. A table that names elements which do not exist ends the run.

use super::{moved, sized};
use crate::image::TensorView;
use crate::image::bytes::{RecordWriter, f32_at, u8_at, u16_at};
use crate::kernels::geometry::elements;
use crate::kernels::portable::{Resample, Taps, resample_f32, resample_i8, resample_nearest};
use crate::operators::{InPlace, Inputs, Operator, StepContext, StepOperands};
use crate::tensor::{ElementType, MAX_RANK};
use bytemuck::Pod;

sized! { check, run_nearest;
    /// Nearest elements of one byte.
    RESIZE_NEAREST_B1: u8 = 0x0440, "resize_nearest_b1";
    /// Nearest elements of two bytes.
    RESIZE_NEAREST_B2: u16 = 0x0441, "resize_nearest_b2";
    /// Nearest elements of four bytes.
    RESIZE_NEAREST_B4: u32 = 0x0442, "resize_nearest_b4";
    /// Nearest elements of eight bytes.
    RESIZE_NEAREST_B8: u64 = 0x0443, "resize_nearest_b8";
}

/// Weighted sums in float32.
pub static RESIZE_F32: Operator =
    Operator { code: 0x0444, name: "resize_f32", in_place: InPlace::Never, check: check_f32, run: run_f32 };

/// Weighted sums in int8, all weights 0 or more.
pub static RESIZE_I8: Operator =
    Operator { code: 0x0445, name: "resize_i8", in_place: InPlace::Never, check: check_i8, run: run_i8 };

/// Parameters of a resampling.
#[derive(Clone, Copy, Debug, PartialEq)]
pub struct ResampleRecord {
    /// The first of the two axes, counted in shapes right-aligned to rank 5.
    pub axis: u8,
    /// Taps of every position on each of the two axes; 0 for one that stays as it is.
    pub taps: [u16; 2],
    /// What positions beyond the input get, in float32 only.
    pub beyond: f32,
}

impl ResampleRecord {
    /// The parameters' bytes.
    pub fn emit(&self) -> [u8; 12] {
        let [a, b] = self.taps;
        let writer = RecordWriter::default().put(0, &[self.axis]).put(4, &a.to_le_bytes()).put(6, &b.to_le_bytes());
        writer.put(8, &self.beyond.to_le_bytes()).finish()
    }

    fn view(parameters: &[u8]) -> Option<Self> {
        let taps = [u16_at(parameters, 4)?, u16_at(parameters, 6)?];
        Some(ResampleRecord { axis: u8_at(parameters, 0)?, taps, beyond: f32_at(parameters, 8)? })
    }

    fn shapes(&self, input: &TensorView, output: &TensorView) -> Option<Resample> {
        let (from, to) = (input.shape.broadcast_dims(), output.shape.broadcast_dims());
        let axis = usize::from(self.axis);
        let behind = axis.checked_add(2).filter(|b| *b <= MAX_RANK)?;
        let (before, inner) = (from.get(..axis)?, from.get(behind..)?);
        if to.get(..axis)? != before || to.get(behind..)? != inner {
            return None;
        }
        let input = *from.get(axis..)?.first_chunk()?;
        let output: [u32; 2] = *to.get(axis..)?.first_chunk()?;
        for ((from, to), taps) in input.iter().zip(&output).zip(self.taps) {
            if taps == 0 && from != to {
                return None;
            }
        }
        Resample { outer: elements(before)?, input, output, inner: elements(inner)? }.check()
    }
}

fn checked(operands: &StepOperands<'_>, size_bytes: usize) -> Result<(ResampleRecord, u64), &'static str> {
    let (input, output) = moved(operands, 0, size_bytes)?;
    let rule = "its tables do not fit its shapes";
    let record = ResampleRecord::view(operands.parameters()).ok_or("its parameters are missing")?;
    let shapes = record.shapes(&input, &output).ok_or("its axes do not fit its shapes")?;
    let mut i = 1usize;
    let mut visits = output.shape.n_elements() as u64;
    for (taps, output) in record.taps.into_iter().zip(shapes.output) {
        if taps == 0 {
            continue;
        }
        let table = operands.input(i, ElementType::I32)?;
        if elements(&[output, u32::from(taps), 2]).map(|n| n as usize) != Some(table.shape.n_elements()) {
            return Err(rule);
        }
        visits = visits.saturating_mul(u64::from(taps));
        i = i.wrapping_add(1);
    }
    Ok((record, visits))
}

fn check(operands: &StepOperands<'_>, size_bytes: usize) -> Result<u64, &'static str> {
    checked(operands, size_bytes).map(|(_, visits)| visits)
}

fn check_f32(operands: &StepOperands<'_>) -> Result<u64, &'static str> {
    operands.input(0, ElementType::F32)?;
    check(operands, 4)
}

fn check_i8(operands: &StepOperands<'_>) -> Result<u64, &'static str> {
    operands.input(0, ElementType::I8)?;
    check(operands, 1)
}

/// The tables of both axes.
fn tables<'b>(record: &ResampleRecord, inputs: &Inputs<'b, '_>) -> Option<[Taps<'b>; 2]> {
    let mut i = 1usize;
    let mut tables = [Taps { table: &[], n: 0 }; 2];
    for (table, n) in tables.iter_mut().zip(record.taps) {
        if n != 0 {
            *table = Taps { table: inputs.get(i)?, n: u32::from(n) };
            i = i.wrapping_add(1);
        }
    }
    Some(tables)
}

fn run_nearest<T: Pod>(ctx: &mut StepContext<'_, '_>) -> Option<()> {
    let record = ResampleRecord::view(ctx.parameters())?;
    let shapes = record.shapes(&ctx.input(0)?, &ctx.output(0)?)?;
    let (inputs, output) = ctx.beside_output::<T>(0)?;
    resample_nearest(&shapes, tables(&record, &inputs)?, inputs.get(0)?, output)
}

fn run_f32(ctx: &mut StepContext<'_, '_>) -> Option<()> {
    let record = ResampleRecord::view(ctx.parameters())?;
    let shapes = record.shapes(&ctx.input(0)?, &ctx.output(0)?)?;
    let (inputs, output) = ctx.beside_output::<f32>(0)?;
    resample_f32(&shapes, tables(&record, &inputs)?, record.beyond, inputs.get(0)?, output)
}

fn run_i8(ctx: &mut StepContext<'_, '_>) -> Option<()> {
    let record = ResampleRecord::view(ctx.parameters())?;
    let shapes = record.shapes(&ctx.input(0)?, &ctx.output(0)?)?;
    let (inputs, output) = ctx.beside_output::<i8>(0)?;
    resample_i8(&shapes, tables(&record, &inputs)?, inputs.get(0)?, output)
}
