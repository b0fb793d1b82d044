//! Matrix products of two tensors that are both computed.
//!
//! ```text
//! inputs:     a [.., M, K], b [.., K, N] or [.., N, K]; batch dimensions equal, or all 1 on one side
//! parameters: 0 layout u8 (0 KN, 1 NK); int8: 1 shift u8, 2 limits (2 bytes), 4 multiplier i32 .. 8
//! ```

use super::limits::{LimitsI8, zero_point_i8};
use super::{InPlace, Operator, StepOperands};
use crate::fixed_point::Requantizer;
use crate::image::TensorView;
use crate::image::bytes::{RecordWriter, i32_at, u8_at};
use crate::kernels::geometry::{MatMul, MatrixLayout};
use crate::kernels::parameters::{OutputF32, OutputI8};
use crate::kernels::portable::{BatchMatMulI8, batch_matmul_f32, batch_matmul_i8};
use crate::operators::{StepContext, arena_range};
use crate::tensor::ElementType;

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

fn geometry(parameters: &[u8], a: &TensorView, b: &TensorView, output: &TensorView) -> Option<MatMul> {
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
    let product = |dims: &[u32]| dims.iter().try_fold(1u32, |p, &d| p.checked_mul(d));
    // Either one matrix for all products, or as many as there are products.
    let stride = |operand: &[u32], matrix: u32| {
        if operand.iter().all(|&d| d == 1) {
            Some(0)
        } else {
            let same = operand.iter().rev().eq(batch.iter().rev());
            if same { Some(matrix) } else { None }
        }
    };
    Some(MatMul {
        batch: product(batch)?,
        m: *m,
        k: *k,
        n: *n,
        a_batch_stride: stride(a_batch, m.checked_mul(*k)?)?,
        b_batch_stride: stride(b_batch, k.checked_mul(*n)?)?,
        b_layout,
    })
}

fn checked(operands: &StepOperands<'_>, element_type: ElementType) -> Result<MatMul, &'static str> {
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
    geometry(operands.parameters(), &a, &b, &output).and_then(MatMul::check).ok_or("its matrices do not fit together")
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
    let matmul = checked(operands, ElementType::I8)?;
    let (a, b) = (operands.input(0, ElementType::I8)?, operands.input(1, ElementType::I8)?);
    let output = LimitsI8::check(operands, 2)?;
    factors(operands.parameters(), &a, &b, output).ok_or("its multiplier or a zero point is out of range")?;
    Ok(matmul.macs())
}

fn run_i8(ctx: &mut StepContext<'_, '_>) -> Option<()> {
    let (a, b, output) = (ctx.input(0)?, ctx.input(1)?, ctx.output(0)?);
    let matmul = geometry(ctx.parameters(), &a, &b, &output)?;
    let factors = factors(ctx.parameters(), &a, &b, LimitsI8::of(ctx, 2)?)?;
    let map = ctx.map2()?;
    batch_matmul_i8(&matmul, &factors, map.a, map.b, map.output)
}

fn check_f32(operands: &StepOperands<'_>) -> Result<u64, &'static str> {
    Ok(checked(operands, ElementType::F32)?.macs())
}

fn run_f32(ctx: &mut StepContext<'_, '_>) -> Option<()> {
    let matmul = geometry(ctx.parameters(), &ctx.input(0)?, &ctx.input(1)?, &ctx.output(0)?)?;
    let map = ctx.map2()?;
    batch_matmul_f32(&matmul, &OutputF32::UNBOUNDED, map.a, map.b, map.output)
}
