//! Looking at a run from outside: time, tensors and digests per step.

use crate::image::{Image, StepView, TensorView};
use crate::operators::Operator;
use crate::operators::arena_range;

/// Called around every step of a run.
pub trait Observer {
    /// A step begins.
    fn step_start(&mut self, index: u32) {
        let _ = index;
    }

    /// A step ended; its outputs can be read.
    fn step_done(&mut self, step: &StepDone<'_>) {
        let _ = step;
    }
}

/// Observes nothing.
#[derive(Clone, Copy, Debug, Default)]
pub struct NoObserver;

impl Observer for NoObserver {}

/// A step that just ended.
#[derive(Debug)]
pub struct StepDone<'a> {
    /// Position in the plan.
    pub index: u32,
    /// What ran.
    pub operator: &'a Operator,
    pub(super) image: &'a Image<'a>,
    pub(super) step: &'a StepView<'a>,
    pub(super) arena: &'a [u8],
}

impl StepDone<'_> {
    /// Number of outputs.
    pub fn n_outputs(&self) -> usize {
        self.step.n_outputs()
    }

    /// Record and data of output `i`.
    pub fn output(&self, i: usize) -> Option<(TensorView, &[u8])> {
        let tensor = self.image.tensor(self.step.output(i)?)?;
        Some((tensor, self.arena.get(arena_range(&tensor)?)?))
    }

    /// [`digest`] over all outputs in order.
    pub fn digest(&self) -> u64 {
        (0..self.n_outputs()).filter_map(|i| self.output(i)).fold(DIGEST_START, |d, (_, bytes)| update(d, bytes))
    }
}

const DIGEST_START: u64 = 0xcbf2_9ce4_8422_2325;

/// 64-bit FNV-1a, which tells whether two machines computed the same bytes.
///
/// Source: draft-eastlake-fnv, section 6.3 (offset basis and prime).
pub fn digest(bytes: &[u8]) -> u64 {
    update(DIGEST_START, bytes)
}

fn update(digest: u64, bytes: &[u8]) -> u64 {
    bytes.iter().fold(digest, |d, &b| (d ^ u64::from(b)).wrapping_mul(0x0000_0100_0000_01b3))
}

#[cfg(test)]
mod tests {
    #[test]
    fn digest_is_fnv_1a() {
        assert_eq!(super::digest(b""), 0xcbf29ce484222325);
        assert_eq!(super::digest(b"a"), 0xaf63dc4c8601ec8c);
        assert_eq!(super::digest(b"foobar"), 0x85944171f73967e8);
    }
}
