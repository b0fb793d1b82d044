//! Transposition, padding and concatenation, with the parameters of the other precisions.

use crate::operators::movement::{
    PadRecord, check_concat, check_pad, check_transpose, run_concat, run_pad, run_transpose,
};
use crate::operators::{InPlace, Operator, StepContext};
use crate::tensor::ElementType;

/// Transposition.
pub static TRANSPOSE_I16: Operator = Operator {
    code: 0x081b,
    name: "transpose_i16",
    in_place: InPlace::Never,
    check: |o| check_transpose(o, ElementType::I16),
    run: run_transpose::<i16>,
};

/// Constant padding; the value is in the lower half of its word.
pub static PAD_I16: Operator = Operator {
    code: 0x081c,
    name: "pad_i16",
    in_place: InPlace::Never,
    check: |o| check_pad(o, ElementType::I16),
    run: run_pad_i16,
};

/// Concatenation.
pub static CONCAT_I16: Operator = Operator {
    code: 0x081d,
    name: "concat_i16",
    in_place: InPlace::Never,
    check: |o| check_concat(o, ElementType::I16),
    run: run_concat::<i16>,
};

fn run_pad_i16(ctx: &mut StepContext<'_, '_>) -> Option<()> {
    let record = PadRecord::view(ctx.parameters())?;
    run_pad(ctx, &record, record.value as i16)
}
