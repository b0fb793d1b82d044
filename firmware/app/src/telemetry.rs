//! The log: one place that knows what is worth a line, and the only one that names defmt.
//!
//! Which levels exist in the binary is decided by `DEFMT_LOG` when it is built; which are written, by
//! [`LogLevel`] while it runs.

use tinfer_protocol::{Counter, LogLevel};

use crate::model::Bound;
use crate::run::{RunCost, StepCost};
use crate::{Identity, Model};

/// Writes log lines.
#[derive(Debug, Clone, Copy)]
pub(crate) struct Telemetry {
    pub(crate) level: LogLevel,
    pub(crate) counter: Counter,
}

macro_rules! line {
    ($kind:ident, $($arg:tt)*) => {{
        #[cfg(feature = "defmt")]
        ::defmt::$kind!($($arg)*);
        #[cfg(not(feature = "defmt"))]
        { let _ = ($($arg)*); }
    }};
}

impl Telemetry {
    /// What is in the slot, once after reset.
    pub(crate) fn start(self, identity: &Identity, model: &Model<'_, '_>) {
        if self.level < LogLevel::Normal {
            return;
        }
        line!(info, "tinfer on {=str}, kernels for {=str}", identity.board, identity.isa);
        match &model.bound {
            Ok(bound) => {
                let image = bound.image();
                let (name, arena_bytes, n_steps) = (image.manifest().name(), image.arena_bytes(), image.n_steps());
                let at = bound.arena_address();
                line!(
                    info,
                    "model {=str}: arena {=usize} bytes at {=usize:#x}, {=usize} steps",
                    name,
                    arena_bytes,
                    at,
                    n_steps
                );
            }
            Err(crate::Refusal::Load(_error)) => {
                #[cfg(feature = "defmt")]
                line!(error, "no model: {}", _error);
            }
            Err(crate::Refusal::Bind(_error)) => {
                #[cfg(feature = "defmt")]
                line!(error, "model refused: {}", _error);
            }
        }
    }

    /// A request came.
    pub(crate) fn request(self, name: &'static str) {
        if self.level >= LogLevel::Verbose {
            line!(info, "request: {=str}", name);
        }
    }

    /// One step of a run with taps.
    pub(crate) fn step(self, step: &StepCost) {
        if self.level >= LogLevel::Verbose {
            let (index, digest, cost, unit) = (step.index, step.digest, step.instructions, self.counter.unit());
            line!(info, "step {=u32}: {=u64} {=str}, digest {=u64:016x}", index, cost, unit, digest);
        }
    }

    /// A run is complete.
    pub(crate) fn run(self, cost: &RunCost, bound: &Bound<'_, '_>) {
        if self.level < LogLevel::Normal {
            return;
        }
        let (unit, stack_bytes) = (self.counter.unit(), cost.stack.run_bytes);
        line!(info, "run: {=u64} {=str}, {=u32} bytes of stack", cost.instructions, unit, stack_bytes);
        if let Some((idx, value)) = bound.largest_element() {
            line!(info, "result: element {=usize} is the largest, {=i8}", idx, value);
        }
    }

    /// A request was not carried out.
    pub(crate) fn refused(self, text: &str) {
        line!(error, "{=str}", text);
    }
}
