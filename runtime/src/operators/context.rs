//! Typed views of a step's operands while it runs.

use crate::image::{Image, Placement, StepView, TensorView};
use crate::kernels::{Operand, Placed};
use crate::operators::constant;
use bytemuck::Pod;
use core::ops::Range;

/// Operands of a step that runs. All methods give `None` instead of touching what was not checked.
#[derive(Debug)]
pub struct StepContext<'a, 'i> {
    image: &'a Image<'i>,
    step: &'a StepView<'i>,
    arena: &'a mut [u8],
}

/// One input, one output and the scratch of a step.
#[derive(Debug)]
pub struct Map<'b, I, O> {
    /// Input, in the arena or constant.
    pub input: &'b [I],
    /// Output.
    pub output: &'b mut [O],
    /// Scratch, empty if the plan gives none.
    pub scratch: &'b mut [u8],
}

/// Two inputs, one output and the scratch of a step.
#[derive(Debug)]
pub struct Map2<'b, I, O> {
    /// First input.
    pub a: &'b [I],
    /// Second input.
    pub b: &'b [I],
    /// Output.
    pub output: &'b mut [O],
    /// Scratch, empty if the plan gives none.
    pub scratch: &'b mut [u8],
}

/// All inputs of a step, beside one output that none of them overlaps.
#[derive(Clone, Copy, Debug)]
pub struct Inputs<'b, 'i> {
    image: &'b Image<'i>,
    step: &'b StepView<'i>,
    below: &'b [u8],
    above: &'b [u8],
    above_starts: usize,
}

impl<'b, 'i: 'b> Inputs<'b, 'i> {
    /// Data of input `i`, in the arena or constant.
    pub fn get<T: Pod>(&self, i: usize) -> Option<&'b [T]> {
        let tensor = self.image.tensor(self.step.input(i)?)?;
        let Some(range) = arena_range(&tensor) else { return constant(self.image, &tensor) };
        let bytes = match range.start.checked_sub(self.above_starts) {
            Some(start) => self.above.get(start..start.checked_add(range.len())?),
            None => self.below.get(range),
        };
        cast(bytes?)
    }
}

impl<'a, 'i> StepContext<'a, 'i> {
    pub(crate) fn new(image: &'a Image<'i>, step: &'a StepView<'i>, arena: &'a mut [u8]) -> Self {
        StepContext { image, step, arena }
    }

    /// The operator's parameters.
    pub fn parameters(&self) -> &'i [u8] {
        self.step.parameters
    }

    /// Number of inputs.
    pub fn n_inputs(&self) -> usize {
        self.step.n_inputs()
    }

    /// Record of input `i`.
    #[inline(never)]
    pub fn input(&self, i: usize) -> Option<TensorView> {
        self.image.tensor(self.step.input(i)?)
    }

    /// Record of output `i`.
    #[inline(never)]
    pub fn output(&self, i: usize) -> Option<TensorView> {
        self.image.tensor(self.step.output(i)?)
    }

    /// Data of a constant input.
    pub fn constant<T: Pod>(&self, i: usize) -> Option<&'i [T]> {
        constant(self.image, &self.input(i)?)
    }

    /// Data of input `i`, in the arena or constant, before anything is written.
    pub fn values<T: Pod>(&self, i: usize) -> Option<&[T]> {
        let tensor = self.input(i)?;
        match arena_range(&tensor) {
            Some(range) => cast(self.arena.get(range)?),
            None => constant(self.image, &tensor),
        }
    }

    /// Input `i` and output `o`, which do not overlap.
    pub fn map<I: Pod, O: Pod>(&mut self, i: usize, o: usize) -> Option<Map<'_, I, O>> {
        let output = arena_range(&self.output(o)?)?;
        let scratch = self.scratch_range();
        let tensor = self.input(i)?;
        let (input, output, scratch) = match arena_range(&tensor) {
            None => {
                let [output, scratch] = self.arena.get_disjoint_mut([output, scratch]).ok()?;
                (constant(self.image, &tensor)?, output, scratch)
            }
            Some(range) => {
                let [input, output, scratch] = self.arena.get_disjoint_mut([range, output, scratch]).ok()?;
                (cast(input)?, output, scratch)
            }
        };
        Some(Map { input, output: cast_mut(output)?, scratch })
    }

    /// Inputs 0 and 1, which may be the same, and output 0, which overlaps none of them.
    pub fn map2<I: Pod, O: Pod>(&mut self) -> Option<Map2<'_, I, O>> {
        let output = arena_range(&self.output(0)?)?;
        let scratch = self.scratch_range();
        let (a, b) = (self.input(0)?, self.input(1)?);
        let (image, arena) = (self.image, &mut *self.arena);
        let (a, b, output, scratch) = match (arena_range(&a), arena_range(&b)) {
            (None, None) => {
                let [output, scratch] = arena.get_disjoint_mut([output, scratch]).ok()?;
                (constant(image, &a)?, constant(image, &b)?, output, scratch)
            }
            (Some(range), None) => {
                let [a, output, scratch] = arena.get_disjoint_mut([range, output, scratch]).ok()?;
                (cast(a)?, constant(image, &b)?, output, scratch)
            }
            (None, Some(range)) => {
                let [b, output, scratch] = arena.get_disjoint_mut([range, output, scratch]).ok()?;
                (constant(image, &a)?, cast(b)?, output, scratch)
            }
            (Some(a), Some(b)) if a == b => {
                let [both, output, scratch] = arena.get_disjoint_mut([a, output, scratch]).ok()?;
                let both = &*both;
                (cast(both)?, cast(both)?, output, scratch)
            }
            (Some(a), Some(b)) => {
                let [a, b, output, scratch] = arena.get_disjoint_mut([a, b, output, scratch]).ok()?;
                (cast(a)?, cast(b)?, output, scratch)
            }
        };
        Some(Map2 { a, b, output: cast_mut(output)?, scratch })
    }

    /// Output `o` beside all inputs, however many there are; `None` from [`Inputs::get`] for one that it overlaps.
    pub fn beside_output<O: Pod>(&mut self, o: usize) -> Option<(Inputs<'_, 'i>, &mut [O])> {
        let range = arena_range(&self.output(o)?)?;
        let (below, rest) = self.arena.split_at_mut_checked(range.start)?;
        let (output, above) = rest.split_at_mut_checked(range.len())?;
        let inputs = Inputs { image: self.image, step: self.step, below, above, above_starts: range.end };
        Some((inputs, cast_mut(output)?))
    }

    /// The whole arena as elements, for kernels that may work in place.
    pub fn region<T: Pod>(&mut self) -> Option<&mut [T]> {
        cast_mut(self.arena)
    }

    /// Input `i` as an operand of a kernel that works on [`StepContext::region`].
    pub fn operand<T: Pod>(&self, i: usize) -> Option<Operand<'i, T>> {
        let tensor = self.input(i)?;
        match arena_range(&tensor) {
            Some(range) => {
                let range = elements::<T>(range)?;
                Some(Operand::Region { offset: range.start, len: range.len() })
            }
            None => constant(self.image, &tensor).map(Operand::Constant),
        }
    }

    /// Input `i` in elements of [`StepContext::region`]; `None` when it is a constant.
    pub fn arena_elements<T: Pod>(&self, i: usize) -> Option<Range<usize>> {
        elements::<T>(arena_range(&self.input(i)?)?)
    }

    /// Output `o` in elements of [`StepContext::region`].
    pub fn output_elements<T: Pod>(&self, o: usize) -> Option<Range<usize>> {
        elements::<T>(arena_range(&self.output(o)?)?)
    }

    /// Input 0, output 0 and the scratch as elements of the whole arena, for kernels whose output may overlap the input.
    ///
    /// `None` when input 0 is a constant.
    pub fn placed<T: Pod>(&mut self) -> Option<Placed<'_, T>> {
        self.placed_as(&self.input(0)?, &self.output(0)?)
    }

    /// [`StepContext::placed`] for the records of input 0 and output 0, which take time to read.
    pub fn placed_as<T: Pod>(&mut self, input: &TensorView, output: &TensorView) -> Option<Placed<'_, T>> {
        let input = elements::<T>(arena_range(input)?)?;
        let output = elements::<T>(arena_range(output)?)?;
        let scratch = elements::<T>(self.scratch_range())?;
        Some(Placed { region: self.region()?, input, output, scratch })
    }

    /// Scratch as a range of the arena. An empty one is put at the end, where it overlaps nothing.
    fn scratch_range(&self) -> Range<usize> {
        if self.step.scratch_bytes == 0 {
            return self.arena.len()..self.arena.len();
        }
        let start = self.step.scratch_offset as usize;
        start..start.saturating_add(self.step.scratch_bytes as usize)
    }
}

/// Bytes of an arena tensor.
pub(crate) fn arena_range(tensor: &TensorView) -> Option<Range<usize>> {
    match tensor.placement {
        Placement::Arena(offset) => {
            let start = offset as usize;
            Some(start..start.checked_add(tensor.n_bytes())?)
        }
        Placement::Weights(_) => None,
    }
}

fn elements<T>(bytes: Range<usize>) -> Option<Range<usize>> {
    let size = size_of::<T>();
    Some(bytes.start.checked_div(size)?..bytes.end.checked_div(size)?)
}

fn cast<T: Pod>(bytes: &[u8]) -> Option<&[T]> {
    bytemuck::try_cast_slice(bytes).ok()
}

fn cast_mut<T: Pod>(bytes: &mut [u8]) -> Option<&mut [T]> {
    bytemuck::try_cast_slice_mut(bytes).ok()
}
