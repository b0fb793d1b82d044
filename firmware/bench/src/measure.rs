//! One model: checked, bound, run whole, run step by step.

use tinfer::image::{ALIGNMENT, Envelope};
use tinfer::operators::Operator;
use tinfer::session::{Observer, StepDone, digest};
use tinfer::{Image, Progress, Session};
use tinfer_app::StackMeter;
use tinfer_cortex_m::InstructionClock;

use crate::report::Report;

/// What failed. The host runs the same image and has the sentence.
#[derive(Clone, Copy)]
pub enum Stage {
    /// The slot holds no sound image.
    Check = 1,
    /// The image cannot run here.
    Bind = 2,
    /// The slot ends before the inputs do.
    Inputs = 3,
    /// A run stopped.
    Run = 4,
}

/// Checks the image in the slot, digest included, and reports what its runs cost.
pub fn measure(
    slot: &[u8],
    arena: &mut [u8],
    operators: &[&Operator],
    clock: &InstructionClock,
    stack: &mut impl StackMeter,
) -> Result<(), Stage> {
    let image = Image::check(slot).map_err(|_| Stage::Check)?;
    let mut session = Session::bind(&image, arena, operators).map_err(|_| Stage::Bind)?;

    fill_inputs(&mut session, slot)?;
    stack.start();
    let start = clock.ticks();
    let outcome = session.run();
    let ticks = clock.ticks().wrapping_sub(start);
    let used = stack.stop();
    outcome.map_err(|_| Stage::Run)?;
    Report.line(b'r', ticks);
    Report.line(b's', used.run_bytes.into());
    let mut index = 0;
    while let Ok(output) = session.output(index) {
        Report.line(b'o', digest(output));
        index += 1;
    }

    fill_inputs(&mut session, slot)?;
    let mut steps = Steps { clock, start: 0 };
    loop {
        match session.step(&mut steps) {
            Ok(Progress::Running) => {}
            Ok(Progress::Done) => return Ok(()),
            Err(_) => return Err(Stage::Run),
        }
    }
}

/// Copies the inputs from behind the image.
fn fill_inputs(session: &mut Session<'_, '_>, slot: &[u8]) -> Result<(), Stage> {
    let image_bytes = Envelope::open(slot).map_err(|_| Stage::Inputs)?.image_bytes();
    let mut rest = slot.get(image_bytes.next_multiple_of(ALIGNMENT)..).ok_or(Stage::Inputs)?;
    let mut index = 0;
    while let Ok(input) = session.input(index) {
        let (bytes, behind) = rest.split_at_checked(input.len()).ok_or(Stage::Inputs)?;
        for (to, from) in input.iter_mut().zip(bytes) {
            *to = *from;
        }
        rest = behind;
        index += 1;
    }
    Ok(())
}

/// Reads the clock next to each operator, and reports afterwards.
struct Steps<'c> {
    clock: &'c InstructionClock,
    start: u64,
}

impl Observer for Steps<'_> {
    fn step_start(&mut self, _index: u32) {
        self.start = self.clock.ticks();
    }

    fn step_done(&mut self, step: &StepDone<'_>) {
        let ticks = self.clock.ticks().wrapping_sub(self.start);
        Report.line(b't', ticks);
        Report.line(b'd', step.digest());
    }
}
