//! The task that takes what time is left: inferences, one after the other.

use core::sync::atomic::{AtomicU32, Ordering};

use embassy_futures::yield_now;
use tinfer::image::{ALIGNMENT, Envelope};
use tinfer::session::{NoObserver, digest};
use tinfer::{Progress, Session};
use tinfer_cortex_m::{Ticker, semihosting};

use crate::report::line;

static N_INFERENCES: AtomicU32 = AtomicU32::new(0);
static N_STEPS: AtomicU32 = AtomicU32::new(0);
static WORST_STEP_TICKS: AtomicU32 = AtomicU32::new(0);

/// Runs the model for ever on the input that lies behind its image, and lets the other task run after every step.
///
/// Reports the digest of the first inference's first output; ends the program when another one differs.
#[embassy_executor::task]
pub async fn task(mut session: Session<'static, 'static>, slot: &'static [u8]) {
    let mut first = None;
    loop {
        if fill_input(&mut session, slot).is_none() {
            line("no_input", 1);
            semihosting::fail()
        }
        loop {
            let start = Ticker::now();
            let progress = session.step(&mut NoObserver);
            let ticks = Ticker::now().wrapping_sub(start) as u32;
            WORST_STEP_TICKS.fetch_max(ticks, Ordering::Relaxed);
            match progress {
                Ok(Progress::Running) => N_STEPS.fetch_add(1, Ordering::Relaxed),
                Ok(Progress::Done) => break,
                Err(_) => semihosting::fail(),
            };
            yield_now().await;
        }
        let found = session.output(0).map(digest).unwrap_or(0);
        if *first.get_or_insert(found) != found {
            line("changed", found);
            semihosting::fail()
        }
        if N_INFERENCES.fetch_add(1, Ordering::Relaxed) == 0 {
            line("digest", found);
        }
        yield_now().await;
    }
}

/// What was done so far.
pub fn report() {
    line("inferences", N_INFERENCES.load(Ordering::Relaxed).into());
    line("steps", N_STEPS.load(Ordering::Relaxed).into());
    line("worst_step", WORST_STEP_TICKS.load(Ordering::Relaxed).into());
}

fn fill_input(session: &mut Session<'_, '_>, slot: &[u8]) -> Option<()> {
    let image_bytes = Envelope::open(slot).ok()?.image_bytes();
    let bytes = slot.get(image_bytes.next_multiple_of(ALIGNMENT)..)?;
    let input = session.input(0).ok()?;
    let bytes = bytes.get(..input.len())?;
    for (to, from) in input.iter_mut().zip(bytes) {
        *to = *from;
    }
    Some(())
}
