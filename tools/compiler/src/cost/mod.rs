//! What a step will cost on a board, before anything is flashed: executed instructions, as the emulator counts them.
//!
//! Most kernels have a formula: known instruction counts of their loops where they are assembly, and factors that were
//! fitted to emulator runs of layers of many shapes for the rest, in the programs of `cargo xtask bench`. Those for
//! Armv7E-M and Helium are linked for size; firmware that is linked for speed runs portable kernels, like pooling, in
//! fewer instructions, on Helium in a third. `tinfer bench` prints the estimate beside what it measures.

mod armv7em;
mod factors;
mod families;
mod mve;
mod portable;

use crate::choose::window_2d;
use crate::graph::{Binary, Graph, Node, Operator};
use factors::FACTORS;
use families::{Features, features};
use serde::Serialize;
use tinfer::image::{Image, StepView};
use tinfer::isa::Isa;
use tinfer::kernels::geometry::Window2d;
use tinfer::operators::window::WindowRecord;
use tinfer::tensor::{ElementType, MAX_RANK};

/// Estimated instructions of one step on the instruction set that an image is packed for: on a Cortex-M3 for portable
/// images, on a Cortex-M4 for Armv7E-M, on a Cortex-M55 for Helium.
///
/// `None` for kernels that have no formula.
pub fn instructions(image: &Image<'_>, step: &StepView<'_>) -> Option<u64> {
    let name = tinfer::operators::ALL.iter().find(|o| o.code == step.code)?.name;
    of_kernel(image.isa(), name, &Shapes::of_step(image, step)?).map(|n| n.max(0.0) as u64)
}

/// The same for a node before it has an image, on a kernel of the set `kernels` in an image for `isa`.
pub fn of_node(graph: &Graph, node: &Node, isa: Isa, kernels: Isa) -> Option<f64> {
    let name = match &node.operator {
        Operator::Conv2d { .. } => "conv_2d_i8",
        Operator::DepthwiseConv2d { .. } => "depthwise_conv_2d_i8",
        Operator::FullyConnected { .. } => "fully_connected_i8",
        Operator::BatchMatmul { .. } => "batch_matmul_i8",
        Operator::Binary { function: Binary::Add | Binary::Sub, .. } => "add_i8",
        Operator::Binary { function: Binary::Mul, .. } => "mul_i8",
        Operator::MaxPool2d { .. } => "max_pool_2d_i8",
        Operator::AveragePool2d { .. } => "average_pool_2d_i8",
        Operator::Softmax => "softmax_i8",
        Operator::MaskedSoftmax => "softmax_masked_i8",
        Operator::Normalization(_) => "row_normalization_i8",
        Operator::ConvTranspose2d { .. } => "conv_transpose_2d_i8",
        Operator::Transpose { .. } => "transpose_i8",
        Operator::Concat { .. } => "concat_i8",
        Operator::Unary(_) => "table_i8",
        _ => return None,
    };
    let suffix = match kernels {
        Isa::Portable => "",
        Isa::Armv7em => "_armv7em",
        Isa::Mve => "_mve",
        Isa::Neon => return None,
    };
    of_kernel(isa, &format!("{name}{suffix}"), &Shapes::of_node(graph, node)?)
}

/// The same for a convolution by Winograd's method.
pub(crate) fn of_winograd(graph: &Graph, node: &Node) -> Option<f64> {
    of_kernel(Isa::Armv7em, "conv_2d_winograd_i8_armv7em", &Shapes::of_node(graph, node)?)
}

fn of_kernel(isa: Isa, name: &str, shapes: &Shapes) -> Option<f64> {
    let (fast, windows, cpu) = match isa {
        Isa::Portable => (None, &portable::CORTEX_M3, 0),
        Isa::Armv7em => (armv7em::instructions(name, shapes), &portable::CORTEX_M4, 1),
        Isa::Mve => (mve::instructions(name, shapes), &portable::CORTEX_M55, 2),
        Isa::Neon => return None,
    };
    fast.or_else(|| windows.instructions(name, shapes)).or_else(|| of_family(name, shapes, cpu))
}

/// A kernel of one of the [`families`].
fn of_family(name: &str, shapes: &Shapes, cpu: usize) -> Option<f64> {
    let Features { key, numbers } = features(name, shapes)?;
    let (_, factors) = FACTORS.iter().find(|(name, _)| *name == key)?;
    let factors = factors.get(cpu).filter(|factors| factors.len() == numbers.len())?;
    Some(factors.iter().zip(&numbers).map(|(factor, number)| factor * number).sum())
}

/// What a step or a whole inference is expected to cost on a board.
#[derive(Clone, Copy, Debug, PartialEq, Serialize)]
pub struct Estimate {
    /// Instructions, see [`instructions`].
    pub instructions: u64,
    /// The same at the board's clock, with [`CYCLES_PER_INSTRUCTION`]; `None` when the target is no board.
    pub milliseconds: Option<f64>,
}

impl Estimate {
    /// The sum over all steps; `None` when one of them has no estimate.
    pub fn of(image: &Image<'_>, clock_hz: Option<u32>) -> Option<Self> {
        let instructions = image.steps().map(|step| self::instructions(image, &step)).sum::<Option<u64>>()?;
        Some(Self::new(instructions, clock_hz))
    }

    /// One step; `None` when its kernel has no formula.
    pub fn of_step(image: &Image<'_>, step: &StepView<'_>, clock_hz: Option<u32>) -> Option<Self> {
        instructions(image, step).map(|instructions| Self::new(instructions, clock_hz))
    }

    fn new(instructions: u64, clock_hz: Option<u32>) -> Self {
        let milliseconds = clock_hz
            .map(|hz| instructions as f64 * CYCLES_PER_INSTRUCTION * 1e3 / f64::from(hz.max(1)))
            .map(|ms| (ms * 1e3).round() / 1e3);
        Estimate { instructions, milliseconds }
    }
}

/// The step that costs the most: nothing that waits for a step to end waits longer.
#[derive(Clone, Copy, Debug, PartialEq, Serialize)]
pub struct WorstStep {
    /// Its number in the plan.
    pub step: u32,
    /// What it costs.
    pub estimate: Estimate,
}

impl WorstStep {
    /// The first of the most expensive steps; `None` when one of them has no estimate.
    pub fn of(image: &Image<'_>, clock_hz: Option<u32>) -> Option<Self> {
        let costs = image.steps().map(|step| self::instructions(image, &step)).collect::<Option<Vec<u64>>>()?;
        let (step, &most) = costs.iter().enumerate().rev().max_by_key(|&(_, &n)| n)?;
        Some(WorstStep { step: step as u32, estimate: Estimate::new(most, clock_hz) })
    }
}

/// Assumed, not measured: a Cortex-M4 with weights in zero-wait-state memory spends one cycle on an arithmetic
/// instruction and two or more on loads and taken branches.
pub const CYCLES_PER_INSTRUCTION: f64 = 1.3;

/// What the formulas read of a step.
struct Shapes {
    /// Elements of the first input and of its last axis.
    n_inputs: usize,
    input_last: usize,
    /// Elements of the output and of its last axis.
    n_outputs: usize,
    output_last: usize,
    /// Elements of the second operand: weights, of portable kernels as in the model.
    n_weights: Option<usize>,
    /// Of steps whose parameters begin with a window.
    window: Option<Window2d>,
    groups: u32,
    /// Of the first input.
    input_rank: usize,
    input_type: ElementType,
    /// Dimensions of all inputs and of the output, right-aligned.
    inputs: Vec<[u32; MAX_RANK]>,
    output: [u32; MAX_RANK],
    /// As the step has them; of a node those that a formula reads.
    parameters: Vec<u8>,
}

impl Shapes {
    fn of_step(image: &Image<'_>, step: &StepView<'_>) -> Option<Self> {
        let input = image.tensor(step.input(0)?)?;
        let output = image.tensor(step.output(0)?)?;
        let window = WindowRecord::view(step.parameters).and_then(|r| r.geometry(&input, &output));
        let weights = step.input(1).and_then(|index| image.tensor(index));
        Some(Shapes {
            n_inputs: input.shape.n_elements(),
            input_last: input.shape.last(),
            n_outputs: output.shape.n_elements(),
            output_last: output.shape.last(),
            n_weights: weights.map(|weights| weights.shape.n_elements()),
            window,
            groups: step.parameters.get(20..).and_then(|p| p.first_chunk()).map_or(1, |&g| u32::from_le_bytes(g)),
            input_rank: input.shape.rank(),
            input_type: input.element_type,
            inputs: (0..step.n_inputs())
                .filter_map(|i| Some(image.tensor(step.input(i)?)?.shape.broadcast_dims()))
                .collect(),
            output: output.shape.broadcast_dims(),
            parameters: step.parameters.to_vec(),
        })
    }

    fn of_node(graph: &Graph, node: &Node) -> Option<Self> {
        let [input, output] = [graph.tensor(*node.inputs.first()?), graph.tensor(*node.outputs.first()?)];
        let window = match &node.operator {
            Operator::Conv2d { window, .. }
            | Operator::DepthwiseConv2d { window, .. }
            | Operator::MaxPool2d { window }
            | Operator::AveragePool2d { window, .. } => Some(window_2d(graph, node, window)?.check()?),
            // Its window is that of the convolution that it transposes.
            Operator::ConvTranspose2d { window, .. } => Some(window_2d(graph, node, window)?),
            _ => None,
        };
        let parameters = match &node.operator {
            Operator::BatchMatmul { transpose_b } => vec![u8::from(*transpose_b)],
            Operator::Transpose { permutation } => {
                let first = MAX_RANK.checked_sub(permutation.len())?;
                (0..first).chain(permutation.iter().map(|axis| axis + first)).map(|axis| axis as u8).collect()
            }
            _ => Vec::new(),
        };
        Some(Shapes {
            n_inputs: input.n_elements(),
            input_last: input.shape.last().copied().unwrap_or(1),
            n_outputs: output.n_elements(),
            output_last: output.shape.last().copied().unwrap_or(1),
            n_weights: node.inputs.get(1).map(|&id| graph.tensor(id).n_elements()),
            window,
            groups: match node.operator {
                Operator::Conv2d { groups, .. } | Operator::ConvTranspose2d { groups, .. } => groups as u32,
                _ => 1,
            },
            input_rank: input.shape.len(),
            input_type: input.element_type,
            inputs: node.inputs.iter().map(|&id| right_aligned(&graph.tensor(id).shape)).collect(),
            output: right_aligned(&output.shape),
            parameters,
        })
    }

    fn n_outputs(&self) -> f64 {
        self.n_outputs as f64
    }

    /// A byte of the parameters.
    fn parameter(&self, at: usize) -> Option<u8> {
        self.parameters.get(at).copied()
    }
}

/// Dimensions with ones before them.
fn right_aligned(shape: &[usize]) -> [u32; MAX_RANK] {
    let mut dims = [1; MAX_RANK];
    for (dim, &own) in dims.iter_mut().rev().zip(shape.iter().rev()) {
        *dim = own as u32;
    }
    dims
}

/// `sum(factor * feature)`
fn linear<const N: usize>(factors: [f64; N], features: [f64; N]) -> f64 {
    factors.iter().zip(features).map(|(factor, feature)| factor * feature).sum()
}

#[cfg(test)]
mod tests {
    use super::*;

    #[test]
    fn factors_are_of_kernels_that_there_are() {
        let names: Vec<&str> = FACTORS.iter().map(|(key, _)| *key).collect();
        assert!(names.is_sorted() && names.windows(2).all(|pair| pair[0] != pair[1]));
        for (key, cpus) in FACTORS {
            let name = key.split('/').next().unwrap();
            assert!(tinfer::operators::ALL.iter().any(|operator| operator.name == name), "{key}");
            let counts: Vec<usize> = cpus.iter().map(|factors| factors.len()).filter(|&n| n > 0).collect();
            assert!(!counts.is_empty() && counts.windows(2).all(|pair| pair[0] == pair[1]), "{key}: {counts:?}");
        }
    }
}
