//! Operands of whatever types around an output that overlaps none of them.

use super::{StepContext, arena_range, constant};
use crate::image::{Image, StepView};
use bytemuck::Pod;

/// Everything that a step may read while it writes its output.
#[derive(Debug)]
pub struct Inputs<'b, 'i> {
    image: &'b Image<'i>,
    step: &'b StepView<'i>,
    /// The arena below the output.
    below: &'b [u8],
    /// The arena from here on, behind the output.
    above: &'b [u8],
    above_start: usize,
}

impl<'b, 'i: 'b> Inputs<'b, 'i> {
    /// Elements of input `i`, in the arena or constant.
    pub fn get<T: Pod>(&self, i: usize) -> Option<&'b [T]> {
        let tensor = self.image.tensor(self.step.input(i)?)?;
        let Some(range) = arena_range(&tensor) else {
            return constant(self.image, &tensor);
        };
        let bytes = match range.start.checked_sub(self.above_start) {
            Some(start) => self.above.get(start..range.end.checked_sub(self.above_start)?)?,
            None => self.below.get(range)?,
        };
        bytemuck::try_cast_slice(bytes).ok()
    }
}

impl<'i> StepContext<'_, 'i> {
    /// Output 0, and the inputs, which do not overlap it but may overlap each other.
    pub fn apart<O: Pod>(&mut self) -> Option<(Inputs<'_, 'i>, &mut [O])> {
        let output = arena_range(&self.output(0)?)?;
        let (image, step, arena) = self.raw_parts();
        let (rest, above) = arena.split_at_mut_checked(output.end)?;
        let (below, bytes) = rest.split_at_mut_checked(output.start)?;
        let inputs = Inputs { image, step, below, above, above_start: output.end };
        Some((inputs, bytemuck::try_cast_slice_mut(bytes).ok()?))
    }
}
