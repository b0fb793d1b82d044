//! Sums of all elements up to each along an axis.
//!
//! ```text
//! inputs:     x; axis i32 or i64, one element, when it is known at run time only
//! output:     like x
//! parameters: 0 axis u8 (255: an operand), 1 reading u8 (0 inclusive, 1 exclusive), 2 start u8 (0 front, 1 back),
//!             3 reserved .. 4
//! ```

use super::{AXIS_RULE, SHAPE_RULE, right_aligned};
use crate::image::bytes::{RecordWriter, u8_at};
use crate::kernels::geometry::Lanes;
use crate::kernels::portable::{CumulativeSum, Reading, Start, cumulative_sum};
use crate::operators::{InPlace, Operator, StepContext, StepOperands};
use crate::tensor::{ElementType, MAX_RANK};
use bytemuck::Pod;

/// One operator for each element type.
macro_rules! sums {
    ($($name:ident: $element:ty as $element_type:ident = $code:literal, $text:literal;)*) => {$(
        #[doc = concat!("Sums of ", stringify!($element), ".")]
        pub static $name: Operator = Operator {
            code: $code,
            name: $text,
            in_place: InPlace::Never,
            check: |operands| check(operands, ElementType::$element_type),
            run: run::<$element>,
        };
    )*};
}
sums! {
    CUMULATIVE_SUM_F32: f32 as F32 = 0x0541, "cumulative_sum_f32";
    CUMULATIVE_SUM_I32: i32 as I32 = 0x0544, "cumulative_sum_i32";
    CUMULATIVE_SUM_I64: i64 as I64 = 0x0545, "cumulative_sum_i64";
}

/// In place of an axis: it is an operand.
const GIVEN: u8 = 255;

/// Parameters of a cumulative sum.
#[derive(Clone, Copy, Debug, PartialEq, Eq)]
pub struct CumulativeSumRecord {
    /// The axis; `None` when it is an operand.
    pub axis: Option<u8>,
    /// Whether a sum includes its own element.
    pub reading: Reading,
    /// Where the sums start.
    pub start: Start,
}

impl CumulativeSumRecord {
    /// The parameters' bytes.
    pub fn emit(&self) -> [u8; 4] {
        let axis = self.axis.unwrap_or(GIVEN);
        RecordWriter::default().put(0, &[axis, self.reading as u8, self.start as u8]).finish()
    }

    fn view(parameters: &[u8]) -> Option<Self> {
        Some(CumulativeSumRecord {
            axis: Some(u8_at(parameters, 0)?).filter(|&axis| axis != GIVEN),
            reading: match u8_at(parameters, 1)? {
                0 => Reading::Inclusive,
                1 => Reading::Exclusive,
                _ => return None,
            },
            start: match u8_at(parameters, 2)? {
                0 => Start::Front,
                1 => Start::Back,
                _ => return None,
            },
        })
    }
}

fn check(operands: &StepOperands<'_>, element_type: ElementType) -> Result<u64, &'static str> {
    let (input, output) = (operands.input(0, element_type)?, operands.output(0, element_type)?);
    let record = CumulativeSumRecord::view(operands.parameters()).ok_or("unknown direction")?;
    if input.shape != output.shape {
        return Err(SHAPE_RULE);
    }
    match record.axis {
        Some(axis) if usize::from(axis) >= MAX_RANK => return Err(AXIS_RULE),
        Some(_) => {}
        None => {
            let given = operands.any_input(1).ok_or("an input is missing")?;
            if !matches!(given.element_type, ElementType::I32 | ElementType::I64) || given.shape.n_elements() != 1 {
                return Err("its axis is not one integer");
            }
        }
    }
    Ok(input.shape.n_elements() as u64)
}

fn run<T: Pod + CumulativeSum>(ctx: &mut StepContext<'_, '_>) -> Option<()> {
    let record = CumulativeSumRecord::view(ctx.parameters())?;
    let shape = ctx.input(0)?.shape;
    let axis = match record.axis {
        Some(axis) => usize::from(axis),
        None => {
            let axis = match ctx.input(1)?.element_type {
                ElementType::I32 => i64::from(*ctx.values::<i32>(1)?.first()?),
                _ => *ctx.values::<i64>(1)?.first()?,
            };
            right_aligned(axis, shape.rank())?
        }
    };
    let lanes = Lanes::new(shape.broadcast_dims(), axis)?;
    let map = ctx.map::<T, T>(0, 0)?;
    cumulative_sum(&lanes, record.reading, record.start, map.input, map.output)
}
