//! One run, measured.

use tinfer::error::RunError;
use tinfer::session::{Observer, StepDone};
use tinfer::{Progress, Session};

use crate::{Clock, StackMeter, StackUse};

/// What a run cost.
#[derive(Debug, Clone, Copy, PartialEq, Eq)]
pub(crate) struct RunCost {
    /// In the unit of the clock.
    pub(crate) instructions: u64,
    pub(crate) stack: StackUse,
}

/// One step of a run with taps.
#[derive(Debug, Clone, Copy, PartialEq, Eq)]
pub(crate) struct StepCost {
    pub(crate) index: u32,
    pub(crate) digest: u64,
    pub(crate) instructions: u64,
}

/// Runs the whole plan at once: what an application pays.
pub(crate) fn run<C: Clock, S: StackMeter>(
    session: &mut Session<'_, '_>,
    clock: &mut C,
    stack: &mut S,
) -> Result<RunCost, RunError> {
    stack.start();
    let start = clock.now();
    let outcome = session.run();
    let instructions = clock.now().saturating_sub(start);
    let stack = stack.stop();
    outcome.map(|()| RunCost { instructions, stack })
}

/// Runs step by step and shows each to `tap`. The cost is the sum of the steps, without the digests and the taps.
pub(crate) fn run_with_taps<C: Clock, S: StackMeter>(
    session: &mut Session<'_, '_>,
    clock: &mut C,
    stack: &mut S,
    mut tap: impl FnMut(StepCost),
) -> Result<RunCost, RunError> {
    let mut total = 0u64;
    let mut deepest = StackUse::default();
    session.restart();
    loop {
        let mut meter = Meter { clock, start: 0, step: None };
        stack.start();
        let progress = session.step(&mut meter);
        let step = meter.step;
        let used = stack.stop();
        deepest.high_water_bytes = deepest.high_water_bytes.max(used.high_water_bytes);
        deepest.run_bytes = deepest.run_bytes.max(used.run_bytes);
        if progress? == Progress::Done {
            return Ok(RunCost { instructions: total, stack: deepest });
        }
        if let Some(step) = step {
            total = total.saturating_add(step.instructions);
            tap(step);
        }
    }
}

/// Reads the clock next to the operator and computes the digest afterwards.
struct Meter<'c, C> {
    clock: &'c mut C,
    start: u64,
    step: Option<StepCost>,
}

impl<C: Clock> Observer for Meter<'_, C> {
    fn step_start(&mut self, _index: u32) {
        self.start = self.clock.now();
    }

    fn step_done(&mut self, step: &StepDone<'_>) {
        let instructions = self.clock.now().saturating_sub(self.start);
        self.step = Some(StepCost { index: step.index, digest: step.digest(), instructions });
    }
}
