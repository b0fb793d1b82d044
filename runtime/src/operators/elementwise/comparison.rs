//! Comparisons of two elements with numpy broadcasting, to truths.
//!
//! ```text
//! inputs:     a, b, either may be constant
//! parameters: 0 relation u8, see Relation, 1 reserved .. 4
//! ```

use super::integers::{checked_pair, loops};
use crate::image::bytes::{RecordWriter, u8_at};
use crate::kernels::portable::{Relation, compare};
use crate::operators::{InPlace, Operator, StepContext, StepOperands};
use crate::tensor::ElementType;
use bytemuck::Pod;

/// Parameters of every operator of this file.
#[derive(Clone, Copy, Debug, PartialEq, Eq)]
pub struct ComparisonRecord {
    /// How a is compared with b.
    pub relation: Relation,
}

impl ComparisonRecord {
    /// The parameters' bytes.
    pub fn emit(&self) -> [u8; 4] {
        RecordWriter::default().put(0, &[self.relation as u8]).finish()
    }

    fn view(parameters: &[u8]) -> Option<Relation> {
        Relation::from_code(u8_at(parameters, 0)?)
    }
}

macro_rules! comparisons {
    ($($(#[$doc:meta])* $constant:ident $code:literal $name:literal $type:ty, $element_type:ident;)*) => {$(
        $(#[$doc])*
        pub static $constant: Operator = Operator {
            code: $code,
            name: $name,
            in_place: InPlace::Never,
            check: |operands| check(operands, ElementType::$element_type),
            run: run::<$type>,
        };
    )*};
}

comparisons! {
    /// float32.
    COMPARE_F32 0x0360 "compare_f32" f32, F32;
    /// int8.
    COMPARE_I8 0x0361 "compare_i8" i8, I8;
    /// uint8.
    COMPARE_U8 0x0362 "compare_u8" u8, U8;
    /// int32.
    COMPARE_I32 0x0363 "compare_i32" i32, I32;
    /// int64.
    COMPARE_I64 0x0364 "compare_i64" i64, I64;
    /// Truths.
    COMPARE_BOOL 0x0365 "compare_bool" u8, Bool;
}

fn check(operands: &StepOperands<'_>, element_type: ElementType) -> Result<u64, &'static str> {
    ComparisonRecord::view(operands.parameters()).ok_or("unknown relation")?;
    checked_pair(operands, [element_type, element_type, ElementType::Bool])
}

fn run<T: Pod + PartialOrd>(ctx: &mut StepContext<'_, '_>) -> Option<()> {
    let loops = loops(ctx)?;
    let relation = ComparisonRecord::view(ctx.parameters())?;
    let (inputs, output) = ctx.beside_output::<u8>(0)?;
    compare::<T>(&loops, relation, inputs.get(0)?, inputs.get(1)?, output)
}
