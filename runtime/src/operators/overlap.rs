//! Which memory the operands of a step may share.
//!
//! ```text
//! SameRange   |---- input i ----|
//!             |---- output -----|
//!
//! SameStart   |---- input 0 -----------|
//!             |---- output ----|
//!
//! Lead        |<- lead ->|---- input 0 ----|       the kernel runs forward: what it writes lies below
//!             |---- output ----|                   the input that it still reads
//! ```
//! Everything else is apart: other inputs from the output, outputs from each other, scratch from all.

use super::StepOperands;
use crate::image::{Image, Placement, StepView, TensorView};

/// Whether an operator may write over an input.
#[derive(Clone, Copy, Debug)]
pub enum InPlace {
    /// Output and inputs are disjoint.
    Never,
    /// An output may have the same memory as an input of the same size in bytes.
    SameRange,
    /// The output may start at the first byte of input 0, whatever their sizes, for kernels that copy a part of the
    /// input to scratch before they write the same part of the output. Input 0 is in the arena.
    SameStart,
    /// The output may overlap input 0 when it starts so many bytes below it, or more. `None` when the operands make no
    /// sense, which the operator's own check says better. Input 0 is in the arena.
    Lead(fn(&StepOperands<'_>) -> Option<u32>),
}

/// First byte and the one behind the last.
type Bytes = (u32, u32);

/// Whether the operands of a step lie as its operator allows.
pub(super) fn check(image: &Image<'_>, step: &StepView<'_>, in_place: InPlace) -> Result<(), &'static str> {
    let scratch = (step.scratch_offset, step.scratch_offset.saturating_add(step.scratch_bytes));
    let input = |i| bytes(image, step.input(i));
    let output = |o| bytes(image, step.output(o));
    if matches!(in_place, InPlace::SameStart | InPlace::Lead(_)) && input(0).is_none() {
        return Err("its first input is a constant");
    }
    for i in 0..step.n_inputs() {
        if overlap(input(i), Some(scratch)) {
            return Err("scratch overlaps an input");
        }
    }
    for o in 0..step.n_outputs() {
        if output(o).is_none() {
            return Err("an output is a constant");
        }
        if overlap(output(o), Some(scratch)) {
            return Err("scratch overlaps an output");
        }
        for i in 0..step.n_inputs() {
            if overlap(input(i), output(o)) && !may_overlap(image, step, in_place, i, input(i), output(o)) {
                return Err("an output overlaps an input");
            }
        }
        for other in 0..o {
            if overlap(output(o), output(other)) {
                return Err("outputs overlap");
            }
        }
    }
    Ok(())
}

fn may_overlap(
    image: &Image<'_>,
    step: &StepView<'_>,
    in_place: InPlace,
    i: usize,
    input: Option<Bytes>,
    output: Option<Bytes>,
) -> bool {
    let (Some(input), Some(output)) = (input, output) else { return false };
    match in_place {
        InPlace::Never => false,
        InPlace::SameRange => input == output,
        InPlace::SameStart => i == 0 && input.0 == output.0,
        InPlace::Lead(lead) => {
            let least = lead(&StepOperands::new(image, step)).and_then(|lead| output.0.checked_add(lead));
            i == 0 && least.is_some_and(|least| least <= input.0)
        }
    }
}

/// Where a tensor is in the arena; `None` when it is elsewhere.
#[inline(never)]
fn bytes(image: &Image<'_>, index: Option<u16>) -> Option<Bytes> {
    match index.and_then(|index| image.tensor(index)) {
        Some(tensor @ TensorView { placement: Placement::Arena(offset), .. }) => {
            Some((offset, offset.saturating_add(u32::try_from(tensor.n_bytes()).unwrap_or(u32::MAX))))
        }
        _ => None,
    }
}

fn overlap(a: Option<Bytes>, b: Option<Bytes>) -> bool {
    match (a, b) {
        (Some(a), Some(b)) => a.0 < b.1 && b.0 < a.1,
        _ => false,
    }
}
