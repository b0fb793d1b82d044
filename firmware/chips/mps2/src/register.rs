//! Device registers.

use core::ptr;

/// One 32-bit device register.
#[derive(Debug, Clone, Copy)]
pub(crate) struct Register(usize);

impl Register {
    /// The register at that address.
    ///
    /// # Safety
    /// The address must be an aligned device register of the board, safe to read and to write at any time.
    pub(crate) const unsafe fn new(address: usize) -> Self {
        Self(address)
    }

    pub(crate) fn read(self) -> u32 {
        // SAFETY: `new` was promised a register.
        unsafe { ptr::with_exposed_provenance::<u32>(self.0).read_volatile() }
    }

    pub(crate) fn write(self, value: u32) {
        // SAFETY: `new` was promised a register.
        unsafe { ptr::with_exposed_provenance_mut::<u32>(self.0).write_volatile(value) }
    }
}
