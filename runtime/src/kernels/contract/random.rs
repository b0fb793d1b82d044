//! Numbers that follow from a seed, and the shapes of data that break kernels.

use crate::fixed_point::{PairMultiplier, Requantizer};
use crate::kernels::parameters::{OutputF32, OutputI8};

/// SplitMix64 (Steele, Lea, Flood 2014).
pub(super) struct Random {
    state: u64,
}

impl Random {
    pub(super) fn new(seed: u64) -> Self {
        Self { state: seed }
    }

    pub(super) fn bits(&mut self) -> u64 {
        self.state = self.state.wrapping_add(0x9e37_79b9_7f4a_7c15);
        let z = (self.state ^ (self.state >> 30)).wrapping_mul(0xbf58_476d_1ce4_e5b9);
        let z = (z ^ (z >> 27)).wrapping_mul(0x94d0_49bb_1331_11eb);
        z ^ (z >> 31)
    }

    /// In `0..n`; 0 when `n` is 0.
    pub(super) fn below(&mut self, n: u32) -> u32 {
        ((self.bits() >> 32).wrapping_mul(u64::from(n)) >> 32) as u32
    }

    /// In `low..=high`.
    pub(super) fn range(&mut self, low: u32, high: u32) -> u32 {
        low + self.below(high + 1 - low)
    }

    pub(super) fn one_in(&mut self, n: u32) -> bool {
        self.below(n) == 0
    }

    /// Anything, extremes only, small values, or one value throughout. The quantizer keeps weights in -127..=127;
    /// kernels must bear -128 too.
    pub(super) fn fill_bytes(&mut self, target: &mut [i8]) {
        let style = self.below(5);
        let constant = self.bits() as i8;
        for t in target {
            let bits = self.bits();
            *t = match style {
                0 | 1 => bits as i8,
                2 if bits & 1 == 0 => i8::MIN,
                2 => i8::MAX,
                3 => (bits % 7) as i8 - 3,
                _ => constant,
            };
        }
    }

    /// Plain numbers, huge, denormal, with any bits at all (NaN, infinities) or negative zeros between.
    pub(super) fn fill_floats(&mut self, target: &mut [f32]) {
        let style = self.below(8);
        for t in target {
            let bits = self.bits();
            let plain = (bits as i32 >> 8) as f32 / 4_194_304.0;
            *t = match style {
                0 => plain * 1e30,
                1 => plain * 1e-38,
                2 if bits >> 60 == 0 => f32::from_bits(bits as u32),
                3 if bits >> 61 == 0 => -0.0,
                _ => plain,
            };
        }
    }

    pub(super) fn zero_point(&mut self) -> i32 {
        match self.below(4) {
            0 => -128,
            1 => 127,
            2 => 0,
            _ => self.below(256) as i32 - 128,
        }
    }

    /// Output range: full, from the zero point up (Relu), or narrow.
    pub(super) fn output(&mut self) -> OutputI8 {
        let zero_point = self.zero_point();
        let (min, max) = match self.below(3) {
            0 => (-128, 127),
            1 => (zero_point as i8, 127),
            _ => {
                let (a, b) = (self.bits() as i8, self.bits() as i8);
                (a.min(b), a.max(b))
            }
        };
        OutputI8 { zero_point, min, max }
    }

    pub(super) fn limits(&mut self) -> OutputF32 {
        match self.below(3) {
            0 => OutputF32::UNBOUNDED,
            1 => OutputF32 { min: 0.0, max: f32::INFINITY },
            _ => OutputF32 { min: -0.5, max: 6.0 },
        }
    }

    /// A factor that brings accumulators of about `magnitude` to the int8 range; now and then any factor at all.
    pub(super) fn requantizer(&mut self, magnitude: u32) -> Requantizer {
        let multiplier = match self.below(16) {
            0 => 0,
            1 => i32::MAX,
            2 => 1 << 30,
            _ => (1 << 30) | (self.bits() as i32 & 0x3fff_ffff),
        };
        let shift = match self.below(12) {
            0 => self.range(1, 62),
            _ => (24 + magnitude.max(1).ilog2() + self.below(4)).min(62),
        };
        Requantizer { multiplier, shift: shift as u8 }
    }

    /// A factor that brings accumulators of about `magnitude` to the int8 range, saturating now and then.
    pub(super) fn usual_requantizer(&mut self, magnitude: u32) -> Requantizer {
        let multiplier = (1 << 30) | (self.bits() as i32 & 0x3fff_ffff);
        Requantizer { multiplier, shift: (24 + magnitude.max(1).ilog2() + self.below(4)).min(62) as u8 }
    }

    pub(super) fn pair(&mut self) -> PairMultiplier {
        const MAX: u32 = PairMultiplier::MAX_MULTIPLIER as u32;
        let shift = if self.one_in(4) { self.range(1, 30) } else { self.range(18, 22) };
        let mut factor = || match self.below(6) {
            0 => PairMultiplier::MAX_MULTIPLIER,
            1 => -PairMultiplier::MAX_MULTIPLIER,
            2 => -(self.below(MAX) as i32),
            _ => self.below(MAX) as i32,
        };
        PairMultiplier { a: factor(), b: factor(), shift: shift as u8 }
    }
}
