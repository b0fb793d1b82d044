//! Counters of a run's cost.

use core::sync::atomic::{AtomicU32, Ordering};

use cortex_m::peripheral::syst::SystClkSource;
use cortex_m::peripheral::{DCB, DWT, SCB, SYST};
use cortex_m_rt::exception;
use tinfer_app::Clock;
use tinfer_protocol::Counter;

/// Executed instructions, from SysTick in an emulator whose virtual time is instructions (`-icount shift=0`).
///
/// # Units and ranges
/// One tick, which is the resolution, stands for tens of instructions. SysTick counts 24 bits down; each time it starts
/// over its interrupt counts, so the sum wraps after 2^56 ticks.
pub struct InstructionClock {
    /// Held so that nobody else changes the counter.
    _syst: SYST,
    /// So many instructions in so many ticks.
    instructions_per_tick: (u32, u32),
}

impl InstructionClock {
    /// Starts SysTick at the core's clock; the pair says how many instructions are how many ticks.
    pub fn new(mut syst: SYST, instructions_per_tick: (u32, u32)) -> Self {
        start(&mut syst, RELOAD);
        Self { _syst: syst, instructions_per_tick }
    }

    /// Ticks since the start, of which [`Clock::now`] makes instructions.
    pub fn ticks(&self) -> u64 {
        ticks(RELOAD)
    }
}

impl Clock for InstructionClock {
    const COUNTER: Counter = Counter::Instructions;

    fn now(&mut self) -> u64 {
        let (instructions, ticks) = self.instructions_per_tick;
        self.ticks().wrapping_mul(u64::from(instructions)).checked_div(u64::from(ticks)).unwrap_or(0)
    }
}

/// Clock cycles of a real core, from the DWT unit.
///
/// # Units and ranges
/// The hardware counts 32 bits, 67 seconds at 64 MHz: [`Clock::now`] must be called more often than that.
#[derive(Debug)]
pub struct CycleClock {
    last: u32,
    sum: u64,
}

impl CycleClock {
    /// Starts the cycle counter.
    pub fn new(dcb: &mut DCB, dwt: &mut DWT) -> Self {
        dcb.enable_trace();
        dwt.enable_cycle_counter();
        Self { last: DWT::cycle_count(), sum: 0 }
    }
}

impl Clock for CycleClock {
    const COUNTER: Counter = Counter::Cycles;

    fn now(&mut self) -> u64 {
        let count = DWT::cycle_count();
        self.sum = self.sum.wrapping_add(u64::from(count.wrapping_sub(self.last)));
        self.last = count;
        self.sum
    }
}

/// Starts SysTick at the core's clock; it starts over after `reload + 1` ticks.
pub(crate) fn start(syst: &mut SYST, reload: u32) {
    syst.set_clock_source(SystClkSource::Core);
    syst.set_reload(reload);
    syst.clear_current();
    syst.enable_interrupt();
    syst.enable_counter();
}

/// Ticks since the start, for the reload value that SysTick was started with.
#[inline(always)]
pub(crate) fn ticks(reload: u32) -> u64 {
    loop {
        let before = ROUNDS.load(Ordering::Relaxed);
        let left = SYST::get_current();
        let is_uncounted = SCB::is_pendst_pending();
        let after = ROUNDS.load(Ordering::Relaxed);
        // When the counter starts over between the two, its value belongs to neither. A round that is over but not
        // counted yet is counted before the next try, because interrupts are on wherever the clock is read.
        if before == after && !is_uncounted {
            // The interrupt comes with the 0 that ends a round: 0 is the first tick of the next one.
            let elapsed = if left == 0 { 0 } else { reload.wrapping_add(1).wrapping_sub(left) };
            return u64::from(before) * (u64::from(reload) + 1) + u64::from(elapsed);
        }
    }
}

/// SysTick starts over: counts the round.
#[exception]
fn SysTick() {
    ROUNDS.fetch_add(1, Ordering::Relaxed);
    #[cfg(feature = "ticker")]
    crate::ticker::wake();
}

/// How often SysTick started over.
#[cfg(feature = "ticker")]
pub(crate) fn rounds() -> u32 {
    ROUNDS.load(Ordering::Relaxed)
}

/// Largest value of SysTick's 24 bits.
const RELOAD: u32 = 0x00ff_ffff;

static ROUNDS: AtomicU32 = AtomicU32::new(0);
