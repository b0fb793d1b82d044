//! What is known of a channel's values.

/// Every value of a channel, for every input and at every position, lies between two int8 steps.
///
/// In float32 graphs the only thing that is known is an exact zero, the interval of 0 alone; everything else is
/// [`Interval::ALL`].
#[derive(Clone, Copy, Debug, PartialEq, Eq)]
pub struct Interval {
    /// Smallest value.
    pub min: i8,
    /// Largest value, not below `min`.
    pub max: i8,
}

impl Interval {
    /// Nothing is known.
    pub const ALL: Self = Interval { min: i8::MIN, max: i8::MAX };

    /// A single value.
    pub fn of(value: i8) -> Self {
        Interval { min: value, max: value }
    }

    /// The values of a slice; nothing is known of an empty one.
    pub fn around(values: impl IntoIterator<Item = i8>) -> Self {
        values.into_iter().map(Interval::of).reduce(Interval::hull).unwrap_or(Interval::ALL)
    }

    /// The smallest interval around both.
    pub fn hull(self, other: Self) -> Self {
        Interval { min: self.min.min(other.min), max: self.max.max(other.max) }
    }

    /// The value, when there is only one.
    pub fn constant(self) -> Option<i8> {
        (self.min == self.max).then_some(self.min)
    }
}
