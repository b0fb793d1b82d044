//! What the app needs from a board.

use tinfer_protocol::Counter;

/// The board's parts, as the traits that the app uses them through.
#[derive(Debug)]
pub struct Hardware<Link, Lamp, Button, C, S> {
    /// Serial link to the host: `embedded_io::{Read, ReadReady, Write}`.
    pub link: Link,
    /// Lit while a model runs: `embedded_hal::digital::OutputPin`, high is lit.
    pub lamp: Lamp,
    /// Runs the model on the inputs it has: `embedded_hal::digital::InputPin`, high is pressed.
    pub button: Button,
    /// Counts the cost of a run.
    pub clock: C,
    /// Measures the stack.
    pub stack: S,
}

/// What the board is called.
#[derive(Debug, Clone, Copy)]
pub struct Identity {
    /// Name of the board: its folder under `firmware/boards`.
    pub board: &'static str,
    /// Instruction set of the kernels in this firmware.
    pub isa: &'static str,
}

/// Counts instructions or cycles since some moment before the first call.
pub trait Clock {
    /// What is counted.
    const COUNTER: Counter;

    /// The count now; never decreases, never wraps.
    fn now(&mut self) -> u64;
}

/// Finds out how deep the stack went.
pub trait StackMeter {
    /// Starts a measurement below the caller's frame.
    fn start(&mut self);

    /// How deep the stack went since [`StackMeter::start`].
    fn stop(&mut self) -> StackUse;
}

/// How deep the stack went.
#[derive(Debug, Clone, Copy, PartialEq, Eq, Default)]
pub struct StackUse {
    /// Deepest use of the whole stack since reset, from its top.
    pub high_water_bytes: u32,
    /// Deepest use below the frame that started the measurement.
    pub run_bytes: u32,
}
