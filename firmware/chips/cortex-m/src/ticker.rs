//! Periods of a fixed length, for a task that runs once in each.

use core::future::poll_fn;
use core::task::Poll;

use cortex_m::peripheral::SYST;
use embassy_sync::waitqueue::AtomicWaker;

use crate::clock::{rounds, start, ticks};

/// SysTick as the clock of one task: a round of the counter is a period, and its interrupt wakes the task.
///
/// # Units and ranges
/// Ticks of the core's clock. A period has 2 to 2^24 of them; the number of periods wraps after 2^32.
pub struct Ticker {
    /// Held so that nobody else changes the counter.
    _syst: SYST,
    /// Periods that began before the last call.
    seen: u32,
}

/// The period that a task was woken for.
pub struct Period {
    /// From its start until the task ran.
    pub delay_ticks: u32,
    /// Periods that went by since the one before, without the task.
    pub n_missed: u32,
}

impl Ticker {
    /// Starts the clock with the first period.
    pub fn start(mut syst: SYST, period_ticks: u32) -> Self {
        start(&mut syst, period_ticks.saturating_sub(1));
        Self { _syst: syst, seen: rounds() }
    }

    /// Waits until another period has begun. One task may wait.
    pub async fn next(&mut self) -> Period {
        poll_fn(|context| {
            WAKER.register(context.waker());
            if self.is_over() { Poll::Ready(()) } else { Poll::Pending }
        })
        .await;
        let reload = SYST::get_reload();
        let now = ticks(reload);
        let period_ticks = u64::from(reload) + 1;
        let begun = (now / period_ticks) as u32;
        let n_missed = begun.wrapping_sub(self.seen).saturating_sub(1);
        self.seen = begun;
        Period { delay_ticks: (now % period_ticks) as u32, n_missed }
    }

    /// Whether the next period has begun.
    pub fn is_over(&self) -> bool {
        rounds() != self.seen
    }

    /// Ticks since the start.
    pub fn now() -> u64 {
        ticks(SYST::get_reload())
    }
}

/// Called by the interrupt at the start of each period.
pub(crate) fn wake() {
    WAKER.wake();
}

static WAKER: AtomicWaker = AtomicWaker::new();
