//! Where a kernel with one input reads and writes.

use super::Placed;

/// Input and output of a kernel that bears their overlap: it looks at neither while it holds the other.
pub trait Activations<T> {
    /// The input as it is now: where the output overlaps it, what was written there.
    fn input(&self) -> &[T];

    /// The output.
    fn output(&mut self) -> &mut [T];
}

/// Input and output that do not overlap.
#[derive(Debug)]
pub struct Apart<'a, T> {
    /// Read only.
    pub input: &'a [T],
    /// Written only.
    pub output: &'a mut [T],
}

impl<T> Activations<T> for Apart<'_, T> {
    #[inline(always)]
    fn input(&self) -> &[T] {
        self.input
    }

    #[inline(always)]
    fn output(&mut self) -> &mut [T] {
        self.output
    }
}

impl<T> Activations<T> for Placed<'_, T> {
    #[inline(always)]
    fn input(&self) -> &[T] {
        self.region.get(self.input.clone()).unwrap_or(&[])
    }

    #[inline(always)]
    fn output(&mut self) -> &mut [T] {
        self.region.get_mut(self.output.clone()).unwrap_or(&mut [])
    }
}
