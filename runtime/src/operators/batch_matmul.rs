//! Matrix products of two tensors that are both computed.
//!
//! ```text
//! inputs:     a [.., M, K], b [.., K, N] or [.., N, K]; batch dimensions broadcast to those of the output
//! parameters: 0 layout u8 (0 KN, 1 NK); int8: 1 shift u8, 2 limits (2 bytes), 4 multiplier i32 .. 8
//! ```

use super::limits::{LimitsI8, zero_point_i8};
use super::{InPlace, Operator, StepOperands};
use crate::fixed_point::Requantizer;
use crate::image::TensorView;
use crate::image::bytes::{RecordWriter, i32_at, u8_at};
use crate::kernels::geometry::{MatMul, MatrixLayout, StridedLoops};
use crate::kernels::parameters::{OutputF32, OutputI8};
use crate::kernels::portable::{BatchMatMulI8, batch_matmul_f32, batch_matmul_i8};
use crate::operators::{StepContext, arena_range};
use crate::tensor::{ElementType, MAX_RANK};

/// int8.
pub static BATCH_MATMUL_I8: Operator =
    Operator { code: 0x0042, name: "batch_matmul_i8", in_place: InPlace::Never, check: check_i8, run: run_i8 };

/// float32.
pub static BATCH_MATMUL_F32: Operator =
    Operator { code: 0x0041, name: "batch_matmul_f32", in_place: InPlace::Never, check: check_f32, run: run_f32 };

/// Parameters of the int8 operator; the float32 one uses the layout alone.
#[derive(Clone, Copy, Debug, PartialEq, Eq)]
pub struct BatchMatmulRecord {
    /// How the right matrix lies in memory.
    pub layout: MatrixLayout,
    /// From the accumulator to output steps.
    pub requantizer: Requantizer,
    /// Clamp.
    pub limits: LimitsI8,
}

impl BatchMatmulRecord {
    /// The parameters' bytes.
    pub fn emit(&self) -> [u8; 8] {
        let writer = RecordWriter::default()
            .put(0, &[self.layout as u8, self.requantizer.shift])
            .put(4, &self.requantizer.multiplier.to_le_bytes());
        self.limits.put(2, writer)
    }
}

/// The products of a step: some in a row, which a kernel computes at once, and where those rows start.
struct Products {
    /// Rows of products, over (a, b, output); the innermost loop is that of [`Products::row`].
    rows: StridedLoops<3>,
    row: MatMul,
}

impl Products {
    /// Calls `row` with the first elements of a, b and the output, for every row of products.
    fn for_each_row(&self, row: impl FnMut([usize; 3]) -> Option<()>) -> Option<()> {
        self.rows.for_each_row(row)
    }

    fn macs(&self) -> Option<u64> {
        let all = u64::from(self.rows.n_iterations()?);
        MatMul { batch: 1, ..self.row }.macs().checked_mul(all)
    }
}

fn products(parameters: &[u8], a: &TensorView, b: &TensorView, output: &TensorView) -> Option<Products> {
    let b_layout = match u8_at(parameters, 0)? {
        0 => MatrixLayout::Kn,
        1 => MatrixLayout::Nk,
        _ => return None,
    };
    let (batch, [m, n]) = output.shape.dims().split_last_chunk::<2>()?;
    let (a_batch, [a_m, k]) = a.shape.dims().split_last_chunk::<2>()?;
    let (b_batch, [b_first, b_second]) = b.shape.dims().split_last_chunk::<2>()?;
    let (b_k, b_n) = if b_layout == MatrixLayout::Kn { (b_first, b_second) } else { (b_second, b_first) };
    if a_m != m || b_k != k || b_n != n {
        return None;
    }
    let mut rows = StridedLoops::broadcast(right_aligned(a_batch), right_aligned(b_batch), right_aligned(batch))?;
    let matrices = [m.checked_mul(*k)?, k.checked_mul(*n)?, m.checked_mul(*n)?];
    for (strides, matrix) in rows.strides.iter_mut().zip(matrices) {
        for stride in strides {
            *stride = stride.checked_mul(matrix)?;
        }
    }
    let [a_batch_stride, b_batch_stride, _] = rows.row_strides();
    let batch = u32::try_from(rows.row_length()).ok()?;
    let row = MatMul { batch, m: *m, k: *k, n: *n, a_batch_stride, b_batch_stride, b_layout }.check()?;
    Some(Products { rows, row })
}

/// Batch dimensions as [`StridedLoops::broadcast`] takes them.
fn right_aligned(batch: &[u32]) -> [u32; MAX_RANK] {
    let mut dims = [1; MAX_RANK];
    for (dim, &own) in dims.iter_mut().rev().zip(batch.iter().rev()) {
        *dim = own;
    }
    dims
}

fn checked(operands: &StepOperands<'_>, element_type: ElementType) -> Result<u64, &'static str> {
    let (a, b) = (operands.input(0, element_type)?, operands.input(1, element_type)?);
    let output = operands.output(0, element_type)?;
    // They are borrowed side by side when the step runs: one and the same, or apart.
    if let (Some(a), Some(b)) = (arena_range(&a), arena_range(&b))
        && a != b
        && a.start < b.end
        && b.start < a.end
    {
        return Err("its operands overlap");
    }
    products(operands.parameters(), &a, &b, &output)
        .and_then(|products| products.macs())
        .ok_or("its matrices do not fit together")
}

fn factors(parameters: &[u8], a: &TensorView, b: &TensorView, output: OutputI8) -> Option<BatchMatMulI8> {
    Some(BatchMatMulI8 {
        a_zero_point: zero_point_i8(a)?,
        b_zero_point: zero_point_i8(b)?,
        requantizer: Requantizer::from_parts(i32_at(parameters, 4)?, u8_at(parameters, 1)?)?,
        output,
    })
}

fn check_i8(operands: &StepOperands<'_>) -> Result<u64, &'static str> {
    let macs = checked(operands, ElementType::I8)?;
    let (a, b) = (operands.input(0, ElementType::I8)?, operands.input(1, ElementType::I8)?);
    let output = LimitsI8::check(operands, 2)?;
    factors(operands.parameters(), &a, &b, output).ok_or("its multiplier or a zero point is out of range")?;
    Ok(macs)
}

fn run_i8(ctx: &mut StepContext<'_, '_>) -> Option<()> {
    let (a, b, output) = (ctx.input(0)?, ctx.input(1)?, ctx.output(0)?);
    let products = products(ctx.parameters(), &a, &b, &output)?;
    let factors = factors(ctx.parameters(), &a, &b, LimitsI8::of(ctx, 2)?)?;
    let map = ctx.map2()?;
    products.for_each_row(|[a, b, output]| {
        batch_matmul_i8(&products.row, &factors, map.a.get(a..)?, map.b.get(b..)?, map.output.get_mut(output..)?)
    })
}

fn check_f32(operands: &StepOperands<'_>) -> Result<u64, &'static str> {
    checked(operands, ElementType::F32)
}

fn run_f32(ctx: &mut StepContext<'_, '_>) -> Option<()> {
    let products = products(ctx.parameters(), &ctx.input(0)?, &ctx.input(1)?, &ctx.output(0)?)?;
    let (row, limits) = (&products.row, &OutputF32::UNBOUNDED);
    let map = ctx.map2()?;
    products.for_each_row(|[a, b, output]| {
        batch_matmul_f32(row, limits, map.a.get(a..)?, map.b.get(b..)?, map.output.get_mut(output..)?)
    })
}
