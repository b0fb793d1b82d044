//! What a step will cost on a board, before anything is flashed: executed instructions, as the emulator counts them.
//!
//! Every kernel has a formula: known instruction counts of its loops where they are assembly, and factors that were
//! fitted to emulator runs of 166 layers of many shapes for the rest, in the programs of `cargo xtask bench`. Those for
//! Armv7E-M and Helium are linked for size; firmware that is linked for speed runs portable kernels, like pooling, in
//! fewer instructions, on Helium in a third. `tinfer bench` prints the estimate beside what it measures.

mod armv7em;
mod mve;
mod portable;

use serde::Serialize;
use tinfer::image::{Image, StepView, TensorView};
use tinfer::isa::Isa;
use tinfer::kernels::geometry::Window2d;
use tinfer::operators::window::WindowRecord;

/// Estimated instructions of one step on the instruction set that an image is packed for: on a Cortex-M3 for portable
/// images, on a Cortex-M4 for Armv7E-M, on a Cortex-M55 for Helium.
///
/// `None` for kernels that have no formula, like those for float32.
pub fn instructions(image: &Image<'_>, step: &StepView<'_>) -> Option<u64> {
    let name = tinfer::operators::ALL.iter().find(|o| o.code == step.code)?.name;
    let shapes = Shapes::new(image, step)?;
    let instructions = match image.isa() {
        Isa::Portable => portable::CORTEX_M3.instructions(name, &shapes),
        Isa::Armv7em => {
            armv7em::instructions(name, &shapes).or_else(|| portable::CORTEX_M4.instructions(name, &shapes))
        }
        Isa::Mve => mve::instructions(name, &shapes).or_else(|| portable::CORTEX_M55.instructions(name, &shapes)),
        Isa::Neon => None,
    };
    instructions.map(|n| n.max(0.0) as u64)
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

/// Assumed, not measured: a Cortex-M4 with weights in zero-wait-state memory spends one cycle on an arithmetic
/// instruction and two or more on loads and taken branches.
pub const CYCLES_PER_INSTRUCTION: f64 = 1.3;

/// What the formulas read of a step.
struct Shapes {
    input: TensorView,
    output: TensorView,
    /// The second operand.
    weights: Option<TensorView>,
    /// Of steps whose parameters begin with a window.
    window: Option<Window2d>,
}

impl Shapes {
    fn new(image: &Image<'_>, step: &StepView<'_>) -> Option<Self> {
        let input = image.tensor(step.input(0)?)?;
        let output = image.tensor(step.output(0)?)?;
        let window = WindowRecord::view(step.parameters).and_then(|r| r.geometry(&input, &output));
        let weights = step.input(1).and_then(|index| image.tensor(index));
        Some(Shapes { input, output, weights, window })
    }

    fn n_outputs(&self) -> f64 {
        self.output.shape.n_elements() as f64
    }
}

/// `sum(factor * feature)`
fn linear<const N: usize>(factors: [f64; N], features: [f64; N]) -> f64 {
    factors.iter().zip(features).map(|(factor, feature)| factor * feature).sum()
}
