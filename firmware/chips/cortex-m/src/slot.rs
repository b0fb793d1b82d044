//! The model slot: a piece of the address space that the linker leaves alone.

/// The model slot, from its origin and length in `board.toml`.
///
/// # Safety
/// The range must be readable memory that nothing writes while the firmware runs.
pub unsafe fn model_slot(origin: usize, n_bytes: usize) -> &'static [u8] {
    // SAFETY: the caller promises readable memory that nothing writes; bytes have no alignment and no invalid values,
    // and no slot is at address 0, where the vector table is.
    unsafe { core::slice::from_raw_parts(core::ptr::with_exposed_provenance(origin), n_bytes) }
}
