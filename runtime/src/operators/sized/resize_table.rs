//! Tables of taps of an axis whose scale the model gives at run time.
//!
//! ```text
//! inputs:     scales (float32) or sizes (int64) of the resized axes, then their regions (float32, starts, then ends)
//!             when the mode has them
//! output:     int32 [output positions, 2 * taps], see [`super::resample`]
//! parameters: 0 coordinate mode u8   1 interpolation u8 (0..=3 nearest, 4 linear, 5 cubic)   2 outside u8
//!             3 reduction u8         4 cubic coefficient f32
//!             8 given u8 (0 scales, 1 sizes, 2 not larger, 3 not smaller)   9 this axis among the resized ones u8
//!             10 resized axes u8     11 regions u8 (1 when there are some)  12 input lengths of the axes u32[5] .. 32
//! ```
//! Scales or sizes that lead to another length than the output's end the run.

use crate::image::bytes::{RecordWriter, f32_at, u8_at, u32_at};
use crate::kernels::portable::{CoordinateMode, Interpolation, NearestMode, Outside, Reduction, ResizeAxis};
use crate::operators::{InPlace, Operator, StepContext, StepOperands};
use crate::tensor::{ElementType, MAX_RANK};

/// The table of one axis.
pub static RESIZE_TABLE: Operator =
    Operator { code: 0x0446, name: "resize_table", in_place: InPlace::Never, check, run };

/// What the model says about lengths.
#[derive(Clone, Copy, Debug, PartialEq, Eq)]
#[repr(u8)]
pub enum Given {
    /// Output over input, float32.
    Scales = 0,
    /// Lengths of the output, int64.
    Sizes = 1,
    /// Lengths that none may exceed; all axes have the smallest scale.
    NotLarger = 2,
    /// Lengths that all must reach; all axes have the largest scale.
    NotSmaller = 3,
}

/// Parameters of a table.
#[derive(Clone, Copy, Debug, PartialEq)]
pub struct ResizeTableRecord {
    /// Where an output position lies in the input.
    pub coordinates: CoordinateMode,
    /// How a position between elements gets its value.
    pub interpolation: Interpolation,
    /// What elements beyond an edge count.
    pub outside: Outside,
    /// How wide the kernel of a reduced axis is.
    pub reduction: Reduction,
    /// What the first operand says.
    pub given: Given,
    /// Which of the resized axes this is.
    pub position: u8,
    /// How many axes the operands speak of.
    pub n_axes: u8,
    /// Whether a second operand has regions: 1 or 0.
    pub regions: u8,
    /// Input lengths of these axes.
    pub lengths: [u32; MAX_RANK],
}

impl ResizeTableRecord {
    /// The parameters' bytes.
    pub fn emit(&self) -> [u8; 32] {
        let (interpolation, coefficient) = match self.interpolation {
            Interpolation::Nearest(mode) => (mode as u8, 0.0),
            Interpolation::Linear => (LINEAR, 0.0),
            Interpolation::Cubic { coefficient } => (CUBIC, coefficient),
        };
        let head = [self.coordinates as u8, interpolation, self.outside as u8, self.reduction as u8];
        let writer = RecordWriter::default()
            .put(0, &head)
            .put(4, &coefficient.to_le_bytes())
            .put(8, &[self.given as u8, self.position, self.n_axes, self.regions]);
        let lengths = self.lengths.iter().zip((12usize..).step_by(4));
        lengths.fold(writer, |writer, (length, at)| writer.put(at, &length.to_le_bytes())).finish()
    }

    fn view(parameters: &[u8]) -> Option<Self> {
        let byte = |at| u8_at(parameters, at);
        let mut lengths = [0; MAX_RANK];
        for (length, at) in lengths.iter_mut().zip((12usize..).step_by(4)) {
            *length = u32_at(parameters, at)?;
        }
        let interpolation = match byte(1)? {
            LINEAR => Interpolation::Linear,
            CUBIC => Interpolation::Cubic { coefficient: f32_at(parameters, 4)? },
            nearest => Interpolation::Nearest(NearestMode::from_code(nearest)?),
        };
        let record = ResizeTableRecord {
            coordinates: CoordinateMode::from_code(byte(0)?)?,
            interpolation,
            outside: if byte(2)? == 0 { Outside::Edge } else { Outside::Excluded },
            reduction: if byte(3)? == 0 { Reduction::Plain } else { Reduction::Antialiased },
            given: match byte(8)? {
                0 => Given::Scales,
                1 => Given::Sizes,
                2 => Given::NotLarger,
                3 => Given::NotSmaller,
                _ => return None,
            },
            position: byte(9)?,
            n_axes: byte(10)?,
            regions: byte(11)?,
            lengths,
        };
        let own = record.lengths.get(..usize::from(record.n_axes))?.get(usize::from(record.position));
        own.filter(|length| **length > 0).map(|_| record)
    }
}

const LINEAR: u8 = 4;
const CUBIC: u8 = 5;

fn check(operands: &StepOperands<'_>) -> Result<u64, &'static str> {
    let record =
        ResizeTableRecord::view(operands.parameters()).ok_or("unknown mode, or an axis that does not exist")?;
    let n_axes = usize::from(record.n_axes);
    let given = if record.given == Given::Scales { ElementType::F32 } else { ElementType::I64 };
    let mut fits = operands.input(0, given)?.shape.n_elements() == n_axes;
    if record.regions != 0 {
        fits &= operands.input(1, ElementType::F32)?.shape.n_elements() == n_axes.saturating_mul(2);
    }
    if !fits {
        return Err("its operands do not fit its axes");
    }
    let output = operands.output(0, ElementType::I32)?;
    match output.shape.dims() {
        [_, taps] if taps.is_multiple_of(2) => Ok(output.shape.n_elements() as u64),
        _ => Err("its output is no table"),
    }
}

/// The axis with the scale that the operands lead to.
fn axis(ctx: &StepContext<'_, '_>, output: u32) -> Option<ResizeAxis> {
    let record = ResizeTableRecord::view(ctx.parameters())?;
    let (position, n_axes) = (usize::from(record.position), usize::from(record.n_axes));
    let input = *record.lengths.get(position)?;
    let length = f64::from(input);
    let (scale, found) = match record.given {
        Given::Scales => {
            let scale = f64::from(*ctx.values::<f32>(0)?.get(position)?);
            (scale, scale * length)
        }
        Given::Sizes => {
            let size = *ctx.values::<i64>(0)?.get(position)? as f64;
            (size / length, size)
        }
        Given::NotLarger | Given::NotSmaller => {
            let mut best: Option<f64> = None;
            for (size, length) in ctx.values::<i64>(0)?.iter().zip(record.lengths) {
                let scale = *size as f64 / f64::from(length);
                best = Some(match best {
                    Some(best) if (scale < best) != (record.given == Given::NotLarger) => best,
                    _ => scale,
                });
            }
            let scale = best?;
            (scale, scale * length + 0.5)
        }
    };
    // What is before the point; 0 for negative numbers and for NaN, which is no length.
    if found as u64 != u64::from(output) {
        return None;
    }
    let region = if record.regions == 0 {
        [0.0, 1.0]
    } else {
        let regions = ctx.values::<f32>(1)?;
        [*regions.get(position)?, *regions.get(n_axes.checked_add(position)?)?].map(f64::from)
    };
    let ResizeTableRecord { coordinates, interpolation, outside, reduction, .. } = record;
    Some(ResizeAxis { input, output, scale, region, coordinates, interpolation, outside, reduction })
}

fn run(ctx: &mut StepContext<'_, '_>) -> Option<()> {
    let [output, columns] = *ctx.output(0)?.shape.dims().first_chunk()?;
    let axis = axis(ctx, output)?;
    let (_, table) = ctx.beside_output::<i32>(0)?;
    axis.fill(columns as usize / 2, table)
}
