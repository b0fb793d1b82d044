//! The list of fast kernels: one entry here, and the host fuzzes the kernel and every emulator runs it.

mod armv7em;
mod mve;
mod portable;

use super::comparison::Comparison;
use crate::isa::Isa;

/// All fast kernels of all instruction sets.
pub fn all() -> impl Iterator<Item = &'static Comparison> {
    [portable::LIST, armv7em::LIST, mve::LIST].into_iter().flatten()
}

/// Those whose instructions this build has: on a host all of them, as their plain-Rust twins.
pub fn native() -> impl Iterator<Item = &'static Comparison> {
    all().filter(|comparison| comparison.isa.runs_here())
}

/// Those that a board of this instruction set runs.
pub fn of(isa: Isa) -> impl Iterator<Item = &'static Comparison> {
    all().filter(move |comparison| comparison.isa == Isa::Portable || comparison.isa == isa)
}
