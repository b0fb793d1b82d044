//! The threshold between two kinds of pixels.

/// How many pixels have each value.
///
/// # Memory
/// 1 KiB.
#[derive(Debug)]
pub struct Levels {
    counts: [u32; 256],
}

impl Default for Levels {
    fn default() -> Self {
        Levels { counts: [0; 256] }
    }
}

impl Levels {
    /// Counts a pixel.
    pub fn add(&mut self, pixel: u8) {
        if let Some(count) = self.counts.get_mut(usize::from(pixel)) {
            *count = count.saturating_add(1);
        }
    }

    /// The value up to which pixels are dark; 0 when all pixels have one value or there are none.
    ///
    /// # Algorithm
    /// The first `t` with the largest variance between the classes `<= t` and `> t`: with `n` pixels of sum `S`, of which
    /// `w` with sum `s` are dark, `(s n - S w)^2 / (w (n - w))` grows with it. The difference is exact; the rest is
    /// binary32 in this order, so that all machines choose alike.
    /// Source: Otsu, A threshold selection method from gray-level histograms, 1979, equation (14).
    pub fn threshold(&self) -> u8 {
        let levels = || (0u8..=255).zip(self.counts.map(u64::from));
        let n: u64 = levels().map(|(_, count)| count).sum();
        let total: u64 = levels().map(|(level, count)| u64::from(level) * count).sum();
        let (mut dark, mut sum) = (0u64, 0u64);
        let (mut best, mut threshold) = (0.0, 0);
        for (level, count) in levels() {
            dark = dark.saturating_add(count);
            sum = sum.saturating_add(u64::from(level) * count);
            let bright = n.saturating_sub(dark);
            if dark == 0 || bright == 0 {
                continue;
            }
            // More than 2^27 pixels would saturate; no input has them.
            let difference = sum.saturating_mul(n).abs_diff(total.saturating_mul(dark)) as f32;
            let score = difference / (dark as f32) * (difference / (bright as f32));
            if score > best {
                (best, threshold) = (score, level);
            }
        }
        threshold
    }
}

#[cfg(test)]
mod tests {
    use super::*;
    use std::vec;
    use std::vec::Vec;

    fn threshold(pixels: &[u8]) -> u8 {
        let mut levels = Levels::default();
        pixels.iter().for_each(|&p| levels.add(p));
        levels.threshold()
    }

    /// The definition, in binary64 over the pixels themselves.
    fn oracle(pixels: &[u8]) -> Vec<u8> {
        let mean = |p: &[f64]| p.iter().sum::<f64>() / p.len() as f64;
        let score = |t: u8| {
            let (dark, bright): (Vec<f64>, Vec<f64>) =
                pixels.iter().map(|&p| f64::from(p)).partition(|&p| p <= f64::from(t));
            match dark.is_empty() || bright.is_empty() {
                true => 0.0,
                false => dark.len() as f64 * bright.len() as f64 * (mean(&dark) - mean(&bright)).powi(2),
            }
        };
        let scores: Vec<f64> = (0..=255).map(score).collect();
        let most = scores.iter().copied().fold(0.0, f64::max);
        (0..=255).filter(|&t| scores[usize::from(t)] >= most * (1.0 - 1e-6)).collect()
    }

    #[test]
    fn two_kinds_are_separated() {
        assert_eq!(threshold(&[10, 10, 12, 200, 210]), 12);
        assert_eq!(threshold(&[0, 255]), 0);
        assert_eq!([threshold(&[]), threshold(&[7; 9])], [0, 0]);
        assert_eq!(threshold(&[vec![254u8; 10_000], vec![255; 3]].concat()), 254);
    }

    #[test]
    fn the_definition_has_the_same_maximum() {
        let mut state = 1u32;
        let mut random = || {
            state = state.wrapping_mul(1_664_525).wrapping_add(1_013_904_223);
            (state >> 24) as u8
        };
        for n in [2, 3, 17, 500] {
            for _ in 0..20 {
                let (low, high) = (random() / 2, random());
                let pixels: Vec<u8> = (0..n)
                    .map(|_| if random() > 128 { low.wrapping_add(random() / 8) } else { high / 2 + random() / 4 })
                    .collect();
                let (found, expected) = (threshold(&pixels), oracle(&pixels));
                assert!(expected.contains(&found), "{found} is none of {expected:?} for {pixels:?}");
            }
        }
    }
}
