//! Which step reads what another one wrote, and how long each value takes its bytes of the arena.
//!
//! An image says this by addresses alone: tensors that are views of each other's memory are different records. So bytes
//! are followed: a value is what one step, or the caller, writes at one place; it lives until its last byte that anybody
//! reads.

use super::numbers::dims;
use crate::runner::LayerDoc;
use tinfer::image::{Image, Placement, TensorView};

/// All values of a run.
pub(super) struct Dataflow {
    /// In the order in which they are written.
    pub values: Vec<Value>,
    /// Names of inputs.
    pub inputs: Vec<String>,
    /// Names of outputs.
    pub outputs: Vec<String>,
    pub n_steps: u32,
    pub arena_bytes: usize,
}

/// Bytes in the arena that are written once.
pub(super) struct Value {
    pub source: Source,
    /// ONNX tensor, or the node that makes it.
    pub name: String,
    /// Shape and element type.
    pub form: String,
    pub offset: usize,
    pub bytes: usize,
    /// First step that needs it.
    pub first: u32,
    /// Last step that needs it.
    pub last: u32,
    /// Each once, in order.
    pub readers: Vec<Reader>,
}

/// Who writes.
#[derive(Clone, Copy, Debug, PartialEq, Eq)]
pub(super) enum Source {
    /// The caller, input of this number.
    Input(usize),
    /// A step.
    Step(u32),
    /// A step, for itself alone.
    Scratch(u32),
}

/// Who reads.
#[derive(Clone, Copy, Debug, PartialEq, Eq)]
pub(super) enum Reader {
    /// A step.
    Step(u32),
    /// The caller, output of this number.
    Output(usize),
}

impl Dataflow {
    /// Follows the bytes of a checked image.
    pub fn of(image: &Image<'_>, layers: &[LayerDoc]) -> Self {
        let arena = |index: u16| image.tensor(index).and_then(|t| Some((place(&t)?, t)));
        let mut owners = Owners::default();
        for (i, port) in image.inputs().enumerate() {
            let Some((offset, tensor)) = arena(port.tensor) else { continue };
            owners.write(value(Source::Input(i), port.name.to_string(), &tensor, offset, 0));
        }
        let mut n_steps = 0;
        for step in image.steps() {
            n_steps = step.index + 1;
            for (offset, tensor) in (0..step.n_inputs()).filter_map(|i| arena(step.input(i)?)) {
                owners.read(offset, tensor.n_bytes(), Reader::Step(step.index), step.index);
            }
            let layer = layers.get(step.index as usize);
            if step.scratch_bytes > 0 {
                owners.values.push(Value {
                    source: Source::Scratch(step.index),
                    name: format!("scratch of {}", layer.map_or("", |l| &l.name)),
                    form: "bytes".into(),
                    offset: step.scratch_offset as usize,
                    bytes: step.scratch_bytes as usize,
                    first: step.index,
                    last: step.index,
                    readers: Vec::new(),
                });
            }
            for (offset, tensor) in (0..step.n_outputs()).filter_map(|i| arena(step.output(i)?)) {
                let name = layer.map(|l| l.origin.as_ref().map_or(&l.name, |o| &o.name)).cloned().unwrap_or_default();
                owners.write(value(Source::Step(step.index), name, &tensor, offset, step.index));
            }
        }
        for (i, port) in image.outputs().enumerate() {
            let Some((offset, tensor)) = arena(port.tensor) else { continue };
            owners.read(offset, tensor.n_bytes(), Reader::Output(i), n_steps.saturating_sub(1));
        }
        Dataflow {
            values: owners.values,
            inputs: image.inputs().map(|p| p.name.to_string()).collect(),
            outputs: image.outputs().map(|p| p.name.to_string()).collect(),
            n_steps,
            arena_bytes: image.arena_bytes(),
        }
    }

    /// The first value that a step writes for others.
    pub fn result_of(&self, step: u32) -> Option<&Value> {
        self.values.iter().find(|v| v.source == Source::Step(step))
    }
}

fn value(source: Source, name: String, tensor: &TensorView, offset: usize, step: u32) -> Value {
    let form = format!("{} {}", dims(&tensor.shape), tensor.element_type.name());
    Value { source, name, form, offset, bytes: tensor.n_bytes(), first: step, last: step, readers: Vec::new() }
}

fn place(tensor: &TensorView) -> Option<usize> {
    match tensor.placement {
        Placement::Arena(offset) => Some(offset as usize),
        Placement::Weights(_) => None,
    }
}

/// Which value the bytes of the arena hold.
#[derive(Default)]
struct Owners {
    values: Vec<Value>,
    /// Start, end, index of the value; they do not overlap.
    ranges: Vec<(usize, usize, usize)>,
}

impl Owners {
    fn write(&mut self, value: Value) {
        let (start, end) = (value.offset, value.offset + value.bytes);
        let left = std::mem::take(&mut self.ranges);
        for (a, b, owner) in left {
            let parts = [(a, b.min(start)), (a.max(end), b)];
            self.ranges.extend(parts.into_iter().filter(|(a, b)| a < b).map(|(a, b)| (a, b, owner)));
        }
        self.ranges.push((start, end, self.values.len()));
        self.values.push(value);
    }

    fn read(&mut self, offset: usize, n_bytes: usize, reader: Reader, step: u32) {
        for &(start, end, owner) in &self.ranges {
            let Some(value) = self.values.get_mut(owner) else { continue };
            if start < offset + n_bytes && offset < end {
                value.last = step;
                if !value.readers.contains(&reader) {
                    value.readers.push(reader);
                }
            }
        }
    }
}

#[cfg(test)]
mod tests {
    use super::*;

    fn written(name: &str, offset: usize, bytes: usize, step: u32) -> Value {
        let source = Source::Step(step);
        Value {
            source,
            name: name.into(),
            form: String::new(),
            offset,
            bytes,
            first: step,
            last: step,
            readers: Vec::new(),
        }
    }

    #[test]
    fn a_reader_of_joined_strips_reads_all_that_it_covers() {
        let mut owners = Owners::default();
        owners.write(written("top", 0, 16, 0));
        owners.write(written("bottom", 16, 16, 1));
        owners.write(written("elsewhere", 32, 16, 1));
        owners.read(0, 32, Reader::Step(2), 2);
        owners.write(written("over the middle", 8, 16, 2));
        owners.read(0, 16, Reader::Output(0), 5);
        let found: Vec<_> = owners.values.iter().map(|v| (v.name.as_str(), v.last, v.readers.len())).collect();
        assert_eq!(found, [("top", 5, 2), ("bottom", 2, 1), ("elsewhere", 1, 0), ("over the middle", 5, 1)]);
    }
}
