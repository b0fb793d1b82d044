//! Memory of an arena, in the region that the linker script gives its section.

use core::cell::UnsafeCell;
use core::mem::MaybeUninit;

use tinfer::Arena;

/// `N` bytes for a `static`. Nothing is assumed of them at reset: the startup code clears RAM only.
pub struct ArenaMemory<const N: usize>(UnsafeCell<MaybeUninit<Arena<N>>>);

// SAFETY: the memory is reached by `take` only, whose callers promise to call it once.
unsafe impl<const N: usize> Sync for ArenaMemory<N> {}

impl<const N: usize> ArenaMemory<N> {
    /// Memory that was not taken yet.
    #[allow(clippy::new_without_default)]
    pub const fn new() -> Self {
        Self(UnsafeCell::new(MaybeUninit::uninit()))
    }

    /// Clears the memory and gives it away.
    ///
    /// # Safety
    /// Must be called at most once.
    #[allow(clippy::mut_from_ref)]
    pub unsafe fn take(&'static self) -> &'static mut [u8] {
        let arena = self.0.get().cast::<Arena<N>>();
        // SAFETY: the pointer is that of a static of this type, which nobody else reaches, as the caller promises; an
        // arena of zeros is an arena. Cleared in place: a value would go over the stack.
        let arena = unsafe {
            arena.write_bytes(0, 1);
            &mut *arena
        };
        arena.bytes()
    }
}
