//! Numbers that kernels share: how results are brought to the output's steps and range.

use crate::fixed_point::Requantizer;

/// Zero point and clamping limits of an int8 output.
#[derive(Clone, Copy, Debug, PartialEq, Eq)]
pub struct OutputI8 {
    /// The integer that stands for 0, in -128..=127.
    pub zero_point: i32,
    /// Lower limit, from the fused activation or -128.
    pub min: i8,
    /// Upper limit, not below `min`.
    pub max: i8,
}

impl OutputI8 {
    /// `clamp(zero_point + steps, min, max)`.
    #[inline(always)]
    pub fn finish(&self, steps: i32) -> i8 {
        self.zero_point.saturating_add(steps).max(i32::from(self.min)).min(i32::from(self.max)) as i8
    }

    /// `clamp(zero_point + requantize(acc), min, max)`.
    #[inline(always)]
    pub fn requantize(&self, requantizer: Requantizer, acc: i32) -> i8 {
        // The clamp is narrower than 32 bits, so saturating in between would change nothing.
        self.finish_wide(requantizer.requantize_wide(acc))
    }

    /// `clamp(zero_point + steps, min, max)` for steps that need not fit 32 bits.
    #[inline(always)]
    pub fn finish_wide(&self, steps: i64) -> i8 {
        let value = i64::from(self.zero_point).wrapping_add(steps);
        value.max(i64::from(self.min)).min(i64::from(self.max)) as i8
    }

    /// Whether the numbers are in range.
    pub fn is_valid(&self) -> bool {
        (-128..=127).contains(&self.zero_point) && self.min <= self.max
    }
}

/// Per-channel arithmetic of an int8 convolution or fully connected layer.
///
/// All three arrays have one entry per output channel.
#[derive(Clone, Copy, Debug)]
pub struct ChannelsI8<'a> {
    /// The integer that stands for 0 in the input: what a padded tap multiplies.
    pub input_zero_point: i32,
    /// The bias at scale_in * scale_w, **minus** `input_zero_point` times the sum of the channel's weights.
    pub bias: &'a [i32],
    /// See [`Requantizer::multiplier`].
    pub multipliers: &'a [i32],
    /// See [`Requantizer::shift`].
    pub shifts: &'a [u8],
    /// Zero point and limits of the output.
    pub output: OutputI8,
}

/// The numbers of one output channel.
#[derive(Clone, Copy, Debug)]
pub struct ChannelI8 {
    /// See [`ChannelsI8::bias`].
    pub bias: i32,
    /// From the accumulator to output steps.
    pub requantizer: Requantizer,
}

impl<'a> ChannelsI8<'a> {
    /// The output channels from `first` on.
    #[inline]
    pub fn from(&self, first: usize) -> Option<impl Iterator<Item = ChannelI8> + use<'a>> {
        let bias = self.bias.get(first..)?;
        let factors = self.multipliers.get(first..)?.iter().zip(self.shifts.get(first..)?);
        Some(
            bias.iter().zip(factors).map(|(&bias, (&multiplier, &shift))| ChannelI8 {
                bias,
                requantizer: Requantizer { multiplier, shift },
            }),
        )
    }

    /// Whether there are `n` channels, all with valid factors, and the zero points are in range.
    pub fn is_valid(&self, n: usize) -> bool {
        self.bias.len() == n
            && self.multipliers.len() == n
            && self.shifts.len() == n
            && (-128..=127).contains(&self.input_zero_point)
            && self.output.is_valid()
            && self.multipliers.iter().zip(self.shifts).all(|(&m, &s)| Requantizer::from_parts(m, s).is_some())
    }
}

/// Clamping limits of a float32 output, infinite when there are none.
#[derive(Clone, Copy, Debug, PartialEq)]
pub struct OutputF32 {
    /// Lower limit.
    pub min: f32,
    /// Upper limit, not below `min`.
    pub max: f32,
}

impl OutputF32 {
    /// No limits.
    pub const UNBOUNDED: Self = Self { min: f32::NEG_INFINITY, max: f32::INFINITY };

    /// `value` inside the limits; NaN stays NaN.
    #[inline(always)]
    pub fn finish(&self, value: f32) -> f32 {
        let value = if value < self.min { self.min } else { value };
        if value > self.max { self.max } else { value }
    }

    /// Whether the limits are in order and neither is NaN.
    pub fn is_valid(&self) -> bool {
        self.min <= self.max
    }
}
