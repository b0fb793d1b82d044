//! Distribution of a tensor's values in bounded memory.

/// A histogram whose bins widen as the values spread.
///
/// # Algorithm
/// Bin k covers `[k * w, (k + 1) * w)` with `w` a power of two. When a value would need more than
/// [`MAX_BINS`] bins between the smallest and the largest, `w` doubles and pairs of bins are merged, which
/// is exact because a wide bin is always the union of two narrow ones. Each bin keeps the mean of its values,
/// so that data on a grid (pixels) keep their exact values. Zeros are counted apart: after a Relu they are
/// many, and quantization is exact for them.
///
/// # Memory
/// At most 32 KiB, however many values are added.
#[derive(Clone, Debug, PartialEq)]
pub struct Histogram {
    /// Index of the first bin.
    first: i64,
    /// Bin width is `2^exponent`.
    exponent: i32,
    bins: Vec<Bin>,
    n_zeros: u64,
    n_values: u64,
    n_not_finite: u64,
    min: f32,
    max: f32,
}

/// Values that are close to each other.
#[derive(Clone, Copy, Debug, PartialEq)]
pub struct Bin {
    /// How many there are.
    pub count: u64,
    /// Their sum.
    sum: f64,
}

impl Bin {
    /// Their mean.
    pub fn value(&self) -> f64 {
        self.sum / self.count as f64
    }
}

impl Default for Histogram {
    fn default() -> Self {
        Histogram {
            first: 0,
            exponent: FINEST_EXPONENT,
            bins: Vec::new(),
            n_zeros: 0,
            n_values: 0,
            n_not_finite: 0,
            min: f32::INFINITY,
            max: f32::NEG_INFINITY,
        }
    }
}

impl Histogram {
    /// Adds values. Those that are not finite are only counted.
    pub fn add(&mut self, values: &[f32]) {
        let finite = || values.iter().copied().filter(|v| v.is_finite());
        for value in finite() {
            self.min = self.min.min(value);
            self.max = self.max.max(value);
        }
        if self.min <= self.max {
            self.cover(self.min);
            self.cover(self.max);
        }
        for value in finite() {
            self.n_values += 1;
            if value == 0.0 {
                self.n_zeros += 1;
                continue;
            }
            let idx = (self.bin(value) - self.first) as usize;
            self.bins[idx].count += 1;
            self.bins[idx].sum += f64::from(value);
        }
        self.n_not_finite += values.iter().filter(|v| !v.is_finite()).count() as u64;
    }

    /// Exact smallest and largest finite value; `None` when there is none.
    pub fn min_max(&self) -> Option<(f32, f32)> {
        (self.min <= self.max).then_some((self.min, self.max))
    }

    /// Number of finite values.
    pub fn n_values(&self) -> u64 {
        self.n_values
    }

    /// Number of NaN and infinite values.
    pub fn n_not_finite(&self) -> u64 {
        self.n_not_finite
    }

    /// All finite values in ascending order: groups that are not empty, zeros as one of them.
    pub fn groups(&self) -> Vec<Bin> {
        let (negative, positive): (Vec<Bin>, Vec<Bin>) =
            self.bins.iter().filter(|b| b.count > 0).partition(|b| b.sum < 0.0);
        let zeros = (self.n_zeros > 0).then_some(Bin { count: self.n_zeros, sum: 0.0 });
        negative.into_iter().chain(zeros).chain(positive).collect()
    }

    fn bin(&self, value: f32) -> i64 {
        (f64::from(value) / f64::from(self.exponent).exp2()).floor() as i64
    }

    /// Makes room for a value.
    fn cover(&mut self, value: f32) {
        loop {
            let bin = self.bin(value);
            if bin.unsigned_abs() >= FARTHEST_BIN {
                self.widen();
                continue;
            }
            if self.bins.is_empty() {
                self.first = bin;
            }
            let last = bin.max(self.first + self.bins.len() as i64 - 1);
            let first = bin.min(self.first);
            if last - first < MAX_BINS as i64 {
                let empty = Bin { count: 0, sum: 0.0 };
                self.bins.splice(0..0, (first..self.first).map(|_| empty));
                self.bins.resize((last - first + 1) as usize, empty);
                self.first = first;
                return;
            }
            self.widen();
        }
    }

    /// Doubles the width of the bins.
    fn widen(&mut self) {
        let first = self.first.div_euclid(2);
        let mut merged = Vec::new();
        for (bin, i) in self.bins.iter().zip(self.first..) {
            let idx = (i.div_euclid(2) - first) as usize;
            merged.resize(idx + 1, merged.get(idx).copied().unwrap_or(Bin { count: 0, sum: 0.0 }));
            merged[idx].count += bin.count;
            merged[idx].sum += bin.sum;
        }
        self.first = first;
        self.bins = merged;
        self.exponent += 1;
    }
}

/// Bins of a histogram at most.
pub const MAX_BINS: usize = 2048;

/// Bin width at the start: far below what a model's activations resolve.
const FINEST_EXPONENT: i32 = -100;

/// Bin indices stay below this, so that none was saturated and sums of them cannot overflow.
const FARTHEST_BIN: u64 = 1 << 50;

#[cfg(test)]
mod tests {
    use super::*;

    fn of(values: &[f32]) -> Histogram {
        let mut histogram = Histogram::default();
        values.chunks(3).for_each(|v| histogram.add(v));
        histogram
    }

    #[test]
    fn known_numbers() {
        let h = of(&[0.0, 1.0, -2.0, 0.0, 3.5, f32::NAN, f32::INFINITY, 1.0]);
        assert_eq!(h.min_max(), Some((-2.0, 3.5)));
        assert_eq!((h.n_values(), h.n_not_finite()), (6, 2));
        let groups: Vec<(f64, u64)> = h.groups().iter().map(|b| (b.value(), b.count)).collect();
        assert_eq!(groups, [(-2.0, 1), (0.0, 2), (1.0, 2), (3.5, 1)]);
        assert_eq!(of(&[]).min_max(), None);
        assert_eq!(of(&[f32::NAN]).min_max(), None);
    }

    #[test]
    fn any_values_fit_and_none_is_lost() {
        let check = |values: &[f32]| {
            let h = of(values);
            assert!(h.bins.len() <= MAX_BINS, "{} bins", h.bins.len());
            let groups = h.groups();
            assert_eq!(groups.iter().map(|b| b.count).sum::<u64>(), values.len() as u64);
            let mean = |sum: f64| sum / values.len() as f64;
            let sum = mean(groups.iter().map(|b| b.value() * b.count as f64).sum());
            let expected = mean(values.iter().map(|&v| f64::from(v)).sum());
            let scale = values.iter().fold(0.0, |m: f64, &v| m.max(f64::from(v).abs()));
            assert!((sum - expected).abs() <= 1e-9 * scale, "mean {sum}, expected {expected}");
            assert!(groups.windows(2).all(|w| w[0].value() < w[1].value()));
        };
        check(&[f32::MAX, f32::MIN, f32::MIN_POSITIVE, -1e-45, 0.0]);
        check(&[1e-40, 2e-40, -1e-38]);
        check(&(0..5000).map(|i| (i as f32 * 0.7).sin() * (i as f32).exp2().min(1e30)).collect::<Vec<_>>());
        check(&(0..256).map(|i| i as f32).collect::<Vec<_>>());
        check(&vec![-7.25; 1000]);
    }

    #[test]
    fn bins_are_finer_than_int8_steps() {
        let values: Vec<f32> = (0..100_000).map(|i| (i as f32 * 1.618).sin() * 3.0).collect();
        let width = f64::from(of(&values).exponent).exp2();
        assert!(width <= 6.0 / 1023.0, "{width}");
    }

    #[test]
    fn data_on_a_grid_keep_their_values() {
        let pixels: Vec<f32> = (0..2000).map(|i| ((i * 37) % 256) as f32).collect();
        assert!(of(&pixels).groups().iter().all(|b| b.value().fract() == 0.0));
    }
}
