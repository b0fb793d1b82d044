//! LayerNormalization and RMSNormalization over the last axis, in integers.
//!
//! ```text
//! inputs:     x i8 or i16 [.., n], scale i16 [n], bias i32 [n], see the kernel
//! parameters: 0 epsilon u64, 8 centre u8 (0 mean, 1 zero point), 9 fraction bits u8, 10 scale shift u8, 11 reserved,
//!             12 limits (2 bytes), 14 reserved .. 16
//! ```

use super::limits::LimitsI8;
use super::{InPlace, Operator, StepOperands};
use crate::image::TensorView;
use crate::image::bytes::{RecordWriter, u8_at, u64_at};
use crate::kernels::parameters::OutputI8;
use crate::kernels::portable::{Centre, RowNormalization, normalize_rows};
use crate::operators::StepContext;
use crate::tensor::ElementType;
use bytemuck::Pod;

/// From int8 to int8.
pub static ROW_NORMALIZATION_I8: Operator = Operator {
    code: 0x0702,
    name: "row_normalization_i8",
    in_place: InPlace::Never,
    check: |o| check(o, ElementType::I8, 8),
    run: run::<i8>,
};

/// From int16 to int8.
pub static ROW_NORMALIZATION_I16: Operator = Operator {
    code: 0x0703,
    name: "row_normalization_i16",
    in_place: InPlace::Never,
    check: |o| check(o, ElementType::I16, 16),
    run: run::<i16>,
};

/// What rows are measured from.
#[derive(Clone, Copy, Debug, PartialEq, Eq)]
#[repr(u8)]
pub enum RowCentre {
    /// Their mean: LayerNormalization.
    Mean = 0,
    /// The zero point of the input: RMSNormalization.
    ZeroPoint = 1,
}

/// Parameters of the operators.
#[derive(Clone, Copy, Debug, PartialEq, Eq)]
pub struct RowNormalizationRecord {
    /// See [`RowNormalization::epsilon`].
    pub epsilon: u64,
    /// What rows are measured from.
    pub centre: RowCentre,
    /// See [`RowNormalization::fraction_bits`].
    pub fraction_bits: u8,
    /// See [`RowNormalization::scale_shift`].
    pub scale_shift: u8,
    /// Clamp.
    pub limits: LimitsI8,
}

impl RowNormalizationRecord {
    /// The parameters' bytes.
    pub fn emit(&self) -> [u8; 16] {
        let numbers = [self.centre as u8, self.fraction_bits, self.scale_shift];
        self.limits.put(12, RecordWriter::default().put(0, &self.epsilon.to_le_bytes()).put(8, &numbers))
    }
}

fn arithmetic(parameters: &[u8], input: &TensorView, output: OutputI8) -> Option<RowNormalization> {
    Some(RowNormalization {
        epsilon: u64_at(parameters, 0)?,
        centre: match u8_at(parameters, 8)? {
            0 => Centre::Mean,
            1 => Centre::ZeroPoint(input.quantization.zero_point),
            _ => return None,
        },
        fraction_bits: u8_at(parameters, 9)?,
        scale_shift: u8_at(parameters, 10)?,
        output,
    })
}

fn check(operands: &StepOperands<'_>, element_type: ElementType, bits: u32) -> Result<u64, &'static str> {
    let (input, output) = (operands.input(0, element_type)?, operands.output(0, ElementType::I8)?);
    if input.shape != output.shape {
        return Err("its input and output differ in shape");
    }
    let n = input.shape.last();
    operands.constant::<i16>(1, ElementType::I16, n)?;
    operands.constant::<i32>(2, ElementType::I32, n)?;
    arithmetic(operands.parameters(), &input, LimitsI8::check(operands, 12)?)
        .filter(|arithmetic| arithmetic.is_valid(n, bits))
        .ok_or("its numbers could overflow")?;
    Ok(output.shape.n_elements() as u64)
}

fn run<T: Pod + Into<i32>>(ctx: &mut StepContext<'_, '_>) -> Option<()> {
    let input = ctx.input(0)?;
    let arithmetic = arithmetic(ctx.parameters(), &input, LimitsI8::of(ctx, 12)?)?;
    let (scale, bias) = (ctx.constant(1)?, ctx.constant(2)?);
    let map = ctx.map::<T, i8>(0, 0)?;
    normalize_rows(input.shape.last(), &arithmetic, scale, bias, map.input, map.output)
}
