//! Normalization in float32.
//!
//! ```text
//! inputs:     x; for the normalized elements scale and bias, or scale, or nothing
//! output:     normalized elements like x, or the mean or the inverse deviation of each row
//! parameters: 0 result u8 (0 normalized, 1 mean, 2 inverse deviation), 1 statistic u8 (0 mean square, 1 variance),
//!             2 reserved, 4 epsilon f32, 8 elements of a row u32, 12 groups u32, 16 repeat u32 .. 20
//! inputs lp:  x
//! output lp:  like x
//! parameters: 0 axis u8, 1 norm u8 (1, 2), 2 reserved .. 4
//! ```
//! What rows, groups and repeat are: [`Normalization`].

use super::{AXIS_RULE, SHAPE_RULE, lanes};
use crate::image::bytes::{RecordWriter, f32_at, u8_at, u32_at};
use crate::kernels::portable::{
    LpNorm, Normalization, Statistic, lp_normalization_f32, normalization_f32, statistic_f32,
};
use crate::operators::{InPlace, Operator, StepContext, StepOperands};
use crate::tensor::ElementType;

/// Layer, group, instance and root-mean-square normalization.
pub static NORMALIZATION_F32: Operator =
    Operator { code: 0x0551, name: "normalization_f32", in_place: InPlace::Never, check, run };

/// Division by the length of each lane.
pub static LP_NORMALIZATION_F32: Operator =
    Operator { code: 0x0561, name: "lp_normalization_f32", in_place: InPlace::Never, check: check_lp, run: run_lp };

/// What a step of [`NORMALIZATION_F32`] gives.
#[derive(Clone, Copy, Debug, PartialEq, Eq)]
#[repr(u8)]
pub enum NormalizationResult {
    /// The elements, normalized.
    Normalized = 0,
    /// The mean of each row.
    Mean = 1,
    /// What each row is multiplied by.
    InverseDeviation = 2,
}

/// Parameters of [`NORMALIZATION_F32`].
#[derive(Clone, Copy, Debug, PartialEq)]
pub struct NormalizationRecord {
    /// What the output is.
    pub result: NormalizationResult,
    /// What is subtracted.
    pub statistic: Statistic,
    /// Added to the variance.
    pub epsilon: f32,
    /// Elements that are normalized together.
    pub n: u32,
    /// Rows with factors of their own.
    pub groups: u32,
    /// Neighbours that share a factor.
    pub repeat: u32,
}

impl NormalizationRecord {
    /// The parameters' bytes.
    pub fn emit(&self) -> [u8; 20] {
        RecordWriter::default()
            .put(0, &[self.result as u8, self.statistic as u8])
            .put(4, &self.epsilon.to_le_bytes())
            .put(8, &self.n.to_le_bytes())
            .put(12, &self.groups.to_le_bytes())
            .put(16, &self.repeat.to_le_bytes())
            .finish()
    }

    fn view(parameters: &[u8]) -> Option<Self> {
        Some(NormalizationRecord {
            result: match u8_at(parameters, 0)? {
                0 => NormalizationResult::Normalized,
                1 => NormalizationResult::Mean,
                2 => NormalizationResult::InverseDeviation,
                _ => return None,
            },
            statistic: match u8_at(parameters, 1)? {
                0 => Statistic::MeanSquare,
                1 => Statistic::Variance,
                _ => return None,
            },
            epsilon: f32_at(parameters, 4)?,
            n: u32_at(parameters, 8)?,
            groups: u32_at(parameters, 12)?,
            repeat: u32_at(parameters, 16)?,
        })
    }

    fn geometry(&self) -> Normalization {
        Normalization {
            n: self.n as usize,
            groups: self.groups as usize,
            repeat: self.repeat as usize,
            statistic: self.statistic,
            epsilon: self.epsilon,
        }
    }

    /// Factors of all rows, when neighbours that share one do not lie in two rows.
    fn n_factors(&self) -> Option<u32> {
        let whole = self.n.checked_rem(self.repeat)? == 0;
        self.n.checked_div(self.repeat)?.checked_mul(self.groups).filter(|&n| whole && n > 0)
    }
}

fn check(operands: &StepOperands<'_>) -> Result<u64, &'static str> {
    let (input, output) = (operands.input(0, ElementType::F32)?, operands.output(0, ElementType::F32)?);
    let record = NormalizationRecord::view(operands.parameters()).ok_or("unknown result")?;
    let n_factors = record.n_factors().ok_or("its factors do not fit its rows")?;
    if !record.epsilon.is_finite() {
        return Err("its epsilon is not finite");
    }
    let n_elements = input.shape.n_elements();
    let n_outputs = match record.result {
        NormalizationResult::Normalized => {
            for i in 1..operands.n_inputs() {
                if operands.input(i, ElementType::F32)?.shape.n_elements() != n_factors as usize {
                    return Err("its factors do not fit its rows");
                }
            }
            n_elements
        }
        _ => n_elements.checked_div(record.n as usize).unwrap_or(0),
    };
    if n_elements.checked_rem(record.n as usize) != Some(0) || n_outputs != output.shape.n_elements() {
        return Err(SHAPE_RULE);
    }
    Ok((n_elements as u64).saturating_mul(3))
}

fn run(ctx: &mut StepContext<'_, '_>) -> Option<()> {
    let record = NormalizationRecord::view(ctx.parameters())?;
    let n_inputs = ctx.n_inputs();
    let (inputs, output) = ctx.beside_output::<f32>(0)?;
    let (x, geometry) = (inputs.get(0)?, record.geometry());
    match record.result {
        NormalizationResult::Normalized => {
            let scale = if n_inputs > 1 { Some(inputs.get(1)?) } else { None };
            let bias = if n_inputs > 2 { Some(inputs.get(2)?) } else { None };
            normalization_f32(&geometry, x, scale, bias, output)
        }
        NormalizationResult::Mean => statistic_f32(&geometry, x, |(mean, _)| mean, output),
        NormalizationResult::InverseDeviation => statistic_f32(&geometry, x, |(_, inverse)| inverse, output),
    }
}

/// Parameters of [`LP_NORMALIZATION_F32`].
#[derive(Clone, Copy, Debug, PartialEq, Eq)]
pub struct LpNormalizationRecord {
    /// The axis.
    pub axis: u8,
    /// What length is.
    pub norm: LpNorm,
}

impl LpNormalizationRecord {
    /// The parameters' bytes.
    pub fn emit(&self) -> [u8; 4] {
        RecordWriter::default().put(0, &[self.axis, self.norm as u8]).finish()
    }
}

fn norm(parameters: &[u8]) -> Option<LpNorm> {
    match u8_at(parameters, 1)? {
        1 => Some(LpNorm::L1),
        2 => Some(LpNorm::L2),
        _ => None,
    }
}

fn check_lp(operands: &StepOperands<'_>) -> Result<u64, &'static str> {
    let (input, output) = (operands.input(0, ElementType::F32)?, operands.output(0, ElementType::F32)?);
    norm(operands.parameters()).ok_or("unknown norm")?;
    lanes(operands.parameters(), &input).ok_or(AXIS_RULE)?;
    if input.shape != output.shape {
        return Err(SHAPE_RULE);
    }
    Ok((input.shape.n_elements() as u64).saturating_mul(2))
}

fn run_lp(ctx: &mut StepContext<'_, '_>) -> Option<()> {
    let (lanes, norm) = (lanes(ctx.parameters(), &ctx.input(0)?)?, norm(ctx.parameters())?);
    let map = ctx.map(0, 0)?;
    lp_normalization_f32(&lanes, norm, map.input, map.output)
}
