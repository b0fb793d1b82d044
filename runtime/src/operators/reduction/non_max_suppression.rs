//! Of boxes that overlap, the one with the highest score.
//!
//! ```text
//! inputs:     boxes f32 [B, N, 4], scores f32 [B, C, N], most i64 [1], threshold of the overlap f32 [1], threshold of
//!             the score f32 [1]; constants or computed
//! output:     i64 [rows, 3]: batch, class, box
//! parameters: 0 format u8 (0 corners, 1 centre and size), 1 rows u8 (0 all are needed, 1 the rest is -1), 2 reserved .. 4
//! ```

use super::SHAPE_RULE;
use crate::image::TensorView;
use crate::image::bytes::{RecordWriter, u8_at};
use crate::kernels::portable::{BoxFormat, NonMaxSuppression, non_max_suppression};
use crate::operators::{InPlace, Operator, StepContext, StepOperands};
use crate::tensor::ElementType;

/// float32.
pub static NON_MAX_SUPPRESSION_F32: Operator =
    Operator { code: 0x0571, name: "non_max_suppression_f32", in_place: InPlace::Never, check, run };

/// What becomes of rows that no box needs.
#[derive(Clone, Copy, Debug, PartialEq, Eq)]
#[repr(u8)]
pub enum SpareRows {
    /// There must be none: the run ends with an error.
    Refused = 0,
    /// They are -1.
    Filled = 1,
}

/// Parameters of [`NON_MAX_SUPPRESSION_F32`].
#[derive(Clone, Copy, Debug, PartialEq, Eq)]
pub struct NonMaxSuppressionRecord {
    /// What the numbers of a box are.
    pub format: BoxFormat,
    /// What becomes of rows that no box needs.
    pub spare_rows: SpareRows,
}

impl NonMaxSuppressionRecord {
    /// The parameters' bytes.
    pub fn emit(&self) -> [u8; 4] {
        RecordWriter::default().put(0, &[self.format as u8, self.spare_rows as u8]).finish()
    }

    fn view(parameters: &[u8]) -> Option<Self> {
        Some(NonMaxSuppressionRecord {
            format: match u8_at(parameters, 0)? {
                0 => BoxFormat::Corners,
                1 => BoxFormat::Center,
                _ => return None,
            },
            spare_rows: match u8_at(parameters, 1)? {
                0 => SpareRows::Refused,
                1 => SpareRows::Filled,
                _ => return None,
            },
        })
    }
}

/// Batches, classes, boxes.
fn sizes(boxes: &TensorView, scores: &TensorView) -> Option<[usize; 3]> {
    let ([b, n, 4], [batches, classes, n_scores]) = (boxes.shape.dims(), scores.shape.dims()) else { return None };
    (b == batches && n == n_scores).then_some([*b as usize, *classes as usize, *n as usize])
}

fn check(operands: &StepOperands<'_>) -> Result<u64, &'static str> {
    let (boxes, scores) = (operands.input(0, ElementType::F32)?, operands.input(1, ElementType::F32)?);
    let numbers = [
        operands.input(2, ElementType::I64)?,
        operands.input(3, ElementType::F32)?,
        operands.input(4, ElementType::F32)?,
    ];
    let output = operands.output(0, ElementType::I64)?;
    NonMaxSuppressionRecord::view(operands.parameters()).ok_or("unknown format of boxes")?;
    let [_, _, n] = sizes(&boxes, &scores).ok_or("its boxes and scores do not fit together")?;
    if numbers.iter().any(|t| t.shape.n_elements() != 1) {
        return Err("a limit is not one number");
    }
    if output.shape.rank() != 2 || output.shape.last() != 3 {
        return Err(SHAPE_RULE);
    }
    // Each box may be a candidate: a search of all, and a look at all that are chosen.
    Ok((scores.shape.n_elements() as u64).saturating_mul(n as u64).saturating_mul(2))
}

fn run(ctx: &mut StepContext<'_, '_>) -> Option<()> {
    let record = NonMaxSuppressionRecord::view(ctx.parameters())?;
    let [n_batches, n_classes, n_boxes] = sizes(&ctx.input(0)?, &ctx.input(1)?)?;
    let (inputs, rows) = ctx.beside_output::<i64>(0)?;
    let sizes = NonMaxSuppression {
        n_batches,
        n_classes,
        n_boxes,
        format: record.format,
        most: usize::try_from((*inputs.get::<i64>(2)?.first()?).max(0)).unwrap_or(usize::MAX),
        iou_threshold: *inputs.get(3)?.first()?,
        score_threshold: *inputs.get(4)?.first()?,
    };
    let n_rows = non_max_suppression(&sizes, inputs.get(0)?, inputs.get(1)?, rows)?;
    let spare = rows.get_mut(n_rows.checked_mul(3)?..)?;
    if record.spare_rows == SpareRows::Refused && !spare.is_empty() {
        return None;
    }
    spare.fill(-1);
    Some(())
}
