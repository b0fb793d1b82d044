//! The task that must run every millisecond.

use core::sync::atomic::{AtomicU32, Ordering};

use tinfer_cortex_m::{Ticker, semihosting};

use crate::report::line;
use crate::{PERIODS, inference};

/// Low-pass of a signal, as a control loop would have one.
static FILTERED: AtomicU32 = AtomicU32::new(0);

/// Runs once in every period, counts the periods in which it could not, and ends the program.
#[embassy_executor::task]
pub async fn task(mut ticker: Ticker) {
    let (mut n_missed, mut worst_delay) = (0, 0);
    let mut n_periods = 0;
    while n_periods < PERIODS {
        let period = ticker.next().await;
        n_periods += 1 + period.n_missed;
        worst_delay = worst_delay.max(period.delay_ticks);
        let filtered = FILTERED.load(Ordering::Relaxed);
        FILTERED.store(filtered - filtered / 8 + n_periods % 64, Ordering::Relaxed);
        // Work that ends in the next period is late, too.
        n_missed += period.n_missed + u32::from(ticker.is_over());
    }
    line("periods", n_periods.into());
    line("missed", n_missed.into());
    line("delay", worst_delay.into());
    inference::report();
    if n_missed == 0 { semihosting::succeed() } else { semihosting::fail() }
}
