//! What a step will cost on a board, before anything is flashed: executed instructions, as the emulator counts them.
//!
//! Every kernel has a formula: known instruction counts of its loops where they are assembly, and factors that were
//! fitted to emulator runs of 166 layers of many shapes for the rest, in the programs of `cargo xtask bench`. Those for
//! Armv7E-M and Helium are linked for size; firmware that is linked for speed runs portable kernels, like pooling, in
//! fewer instructions, on Helium in a third. `tinfer bench` prints the estimate beside what it measures.

mod armv7em;
mod mve;
mod portable;

use crate::choose::window_2d;
use crate::graph::{Binary, Graph, Node, Operator};
use serde::Serialize;
use tinfer::image::{Image, StepView};
use tinfer::isa::Isa;
use tinfer::kernels::geometry::Window2d;
use tinfer::operators::window::WindowRecord;

/// Estimated instructions of one step on the instruction set that an image is packed for: on a Cortex-M3 for portable
/// images, on a Cortex-M4 for Armv7E-M, on a Cortex-M55 for Helium.
///
/// `None` for kernels that have no formula, like those for float32.
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
        Operator::Softmax | Operator::MaskedSoftmax => "softmax_i8",
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
    match isa {
        Isa::Portable => portable::CORTEX_M3.instructions(name, shapes),
        Isa::Armv7em => armv7em::instructions(name, shapes).or_else(|| portable::CORTEX_M4.instructions(name, shapes)),
        Isa::Mve => mve::instructions(name, shapes).or_else(|| portable::CORTEX_M55.instructions(name, shapes)),
        Isa::Neon => None,
    }
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
        })
    }

    fn of_node(graph: &Graph, node: &Node) -> Option<Self> {
        let [input, output] = [graph.tensor(*node.inputs.first()?), graph.tensor(*node.outputs.first()?)];
        let window = match &node.operator {
            Operator::Conv2d { window, .. }
            | Operator::DepthwiseConv2d { window, .. }
            | Operator::MaxPool2d { window }
            | Operator::AveragePool2d { window, .. } => Some(window_2d(graph, node, window)?.check()?),
            _ => None,
        };
        Some(Shapes {
            n_inputs: input.n_elements(),
            input_last: input.shape.last().copied().unwrap_or(1),
            n_outputs: output.n_elements(),
            output_last: output.shape.last().copied().unwrap_or(1),
            n_weights: node.inputs.get(1).map(|&id| graph.tensor(id).n_elements()),
            window,
        })
    }

    fn n_outputs(&self) -> f64 {
        self.n_outputs as f64
    }
}

/// `sum(factor * feature)`
fn linear<const N: usize>(factors: [f64; N], features: [f64; N]) -> f64 {
    factors.iter().zip(features).map(|(factor, feature)| factor * feature).sum()
}
