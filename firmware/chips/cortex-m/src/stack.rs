//! How deep the stack went: unused stack is painted, and what lost its paint was used.

use core::ptr;

use tinfer_app::{StackMeter, StackUse};

/// The stack between the end of all statics and the top of RAM, as `cortex-m-rt` lays it out.
///
/// ```text
///   _stack_end                    SP at start                 _stack_start
///   |  paint ... paint | used by the run | used before the run |
///                      ^ lowest word without paint
/// ```
#[derive(Debug, Default)]
pub struct PaintedStack {
    started_at: usize,
    /// Lowest address ever seen without paint.
    lowest: Option<usize>,
}

impl PaintedStack {
    /// A stack that nothing is known about yet.
    pub fn new() -> Self {
        Self::default()
    }
}

impl StackMeter for PaintedStack {
    #[inline(never)]
    fn start(&mut self) {
        let sp = stack_pointer();
        self.started_at = sp;
        let (bottom, _) = limits();
        let mut address = bottom;
        while address < sp.saturating_sub(OWN_FRAME_BYTES) {
            // SAFETY: between the end of all statics and the stack pointer there is RAM that nobody owns; an
            // interrupt that uses it meanwhile has returned before the next write and keeps nothing there.
            unsafe { ptr::with_exposed_provenance_mut::<u32>(address).write_volatile(PAINT) };
            address += WORD_BYTES;
        }
    }

    #[inline(never)]
    fn stop(&mut self) -> StackUse {
        let (bottom, top) = limits();
        let sp = stack_pointer();
        let mut lowest = bottom;
        // SAFETY: as in `start`; reading aligned words of RAM.
        while lowest < sp && unsafe { ptr::with_exposed_provenance::<u32>(lowest).read_volatile() } == PAINT {
            lowest += WORD_BYTES;
        }
        let ever = self.lowest.map_or(lowest, |ever| ever.min(lowest));
        self.lowest = Some(ever);
        StackUse {
            high_water_bytes: top.saturating_sub(ever) as u32,
            run_bytes: self.started_at.saturating_sub(lowest) as u32,
        }
    }
}

/// Lowest and highest address of the stack.
fn limits() -> (usize, usize) {
    unsafe extern "C" {
        static _stack_start: u32;
        static _stack_end: u32;
    }
    ((&raw const _stack_end).addr(), (&raw const _stack_start).addr())
}

fn stack_pointer() -> usize {
    cortex_m::register::msp::read() as usize
}

const PAINT: u32 = 0xa5a5_5a5a;
const WORD_BYTES: usize = size_of::<u32>();

/// What the painting function itself has on the stack, which must keep its values.
const OWN_FRAME_BYTES: usize = 64;
