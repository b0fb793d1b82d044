//! How far results are from reference results.

mod slices;

pub use slices::{Parts, Slice, Slices, peaks};

/// The difference between reference and found values of one tensor, collected over samples.
#[derive(Clone, Debug, Default, PartialEq)]
pub struct Comparison {
    n_samples: usize,
    signal: f64,
    noise: f64,
    /// Sum of the squares of the found values.
    found: f64,
    product: f64,
    max_abs_error: f64,
    /// Values of which exactly one is finite, or that are different infinities.
    n_broken: usize,
    n_top1: usize,
    n_top1_agreed: usize,
}

impl Comparison {
    /// Adds one sample. A sample without exactly as many found values as reference values counts as
    /// broken: it can never look like agreement.
    ///
    /// Values that are not finite must be equal (NaN equals NaN); otherwise the comparison is broken for good.
    pub fn add(&mut self, reference: &[f32], found: &[f32]) {
        self.n_samples += 1;
        self.n_broken += reference.len().abs_diff(found.len());
        for (&r, &f) in reference.iter().zip(found) {
            if !r.is_finite() || !f.is_finite() {
                let same = r == f || (r.is_nan() && f.is_nan());
                self.n_broken += usize::from(!same);
                continue;
            }
            let (r, f) = (f64::from(r), f64::from(f));
            self.signal += r * r;
            self.found += f * f;
            self.product += r * f;
            self.noise += (r - f) * (r - f);
            self.max_abs_error = self.max_abs_error.max((r - f).abs());
        }
    }

    /// As [`Comparison::add`] for scores of classes, and counts whether both give the same class.
    ///
    /// The found class agrees when no reference score is above that class's: ties are not held against it.
    pub fn add_scores(&mut self, reference: &[f32], found: &[f32]) {
        self.add(reference, found);
        let Some(class) = top1(found) else { return };
        self.n_top1 += 1;
        let best = top1(reference).and_then(|c| reference.get(c));
        self.n_top1_agreed += usize::from(best.is_some() && reference.get(class) == best);
    }

    /// Number of samples.
    pub fn n_samples(&self) -> usize {
        self.n_samples
    }

    /// Signal-to-quantization-noise ratio in dB: 10 log10 of reference power over error power.
    ///
    /// Infinite for equal values; minus infinity when a value is broken or everything but the error is 0.
    pub fn sqnr_db(&self) -> f64 {
        match (self.n_broken, self.noise) {
            (0, 0.0) => f64::INFINITY,
            (0, noise) => 10.0 * (self.signal / noise).log10(),
            _ => f64::NEG_INFINITY,
        }
    }

    /// Largest difference of two values, in the tensor's units; infinite when a value is broken.
    pub fn max_abs_error(&self) -> f64 {
        if self.n_broken == 0 { self.max_abs_error } else { f64::INFINITY }
    }

    /// Cosine of the angle between all reference and all found values; 1 when both are all zero,
    /// 0 when one is or a value is broken.
    pub fn cosine(&self) -> f64 {
        if self.n_broken > 0 {
            return 0.0;
        }
        match self.signal.sqrt() * self.found.sqrt() {
            0.0 if self.signal == self.found => 1.0,
            0.0 => 0.0,
            lengths => (self.product / lengths).clamp(-1.0, 1.0),
        }
    }

    /// Part of the samples in which both give the same class; `None` without scores.
    pub fn top1_agreement(&self) -> Option<f64> {
        (self.n_top1 > 0).then(|| self.n_top1_agreed as f64 / self.n_top1 as f64)
    }
}

/// Correct classifications.
#[derive(Clone, Copy, Debug, Default, PartialEq, Eq)]
pub struct Accuracy {
    n_correct: usize,
    n_samples: usize,
}

impl Accuracy {
    /// Adds a sample whose class is `label`.
    pub fn add(&mut self, scores: &[f32], label: usize) {
        self.n_samples += 1;
        self.n_correct += usize::from(top1(scores) == Some(label));
    }

    /// Part of the samples that were right; `None` without samples.
    pub fn value(&self) -> Option<f64> {
        (self.n_samples > 0).then(|| self.n_correct as f64 / self.n_samples as f64)
    }
}

/// Index of the highest score, the first of equal ones; `None` without a score that is a number.
pub fn top1(scores: &[f32]) -> Option<usize> {
    let numbers = scores.iter().enumerate().filter(|(_, s)| !s.is_nan());
    numbers
        .fold(None, |best: Option<(usize, f32)>, (i, &s)| match best {
            Some((_, b)) if b >= s => best,
            _ => Some((i, s)),
        })
        .map(|(i, _)| i)
}

/// The number of classes when a tensor of this shape holds one score per class: one dimension above 1.
pub fn n_classes(shape: &[usize]) -> Option<usize> {
    let n: usize = shape.iter().product();
    (n > 1 && shape.contains(&n)).then_some(n)
}

#[cfg(test)]
mod tests {
    use super::*;

    fn compare(reference: &[f32], found: &[f32]) -> Comparison {
        let mut comparison = Comparison::default();
        comparison.add_scores(reference, found);
        comparison
    }

    #[test]
    fn known_numbers() {
        let c = compare(&[3.0, 4.0], &[3.0, 4.5]);
        assert!((c.sqnr_db() - 20.0).abs() < 1e-9, "{}", c.sqnr_db());
        assert_eq!((c.max_abs_error(), c.top1_agreement(), c.n_samples()), (0.5, Some(1.0), 1));
        assert!((c.cosine() - 27.0 / (5.0 * 29.25f64.sqrt())).abs() < 1e-12);
    }

    #[test]
    fn edges_of_the_ratio() {
        let check = |reference: &[f32], found: &[f32], sqnr: f64, cosine: f64| {
            let c = compare(reference, found);
            assert_eq!((c.sqnr_db(), c.cosine()), (sqnr, cosine), "{reference:?} {found:?}");
        };
        check(&[1.0, 0.0], &[1.0, 0.0], f64::INFINITY, 1.0);
        check(&[0.0], &[0.0], f64::INFINITY, 1.0);
        check(&[0.0], &[1.0], f64::NEG_INFINITY, 0.0);
        check(&[1.0], &[f32::NAN], f64::NEG_INFINITY, 0.0);
        check(&[f32::INFINITY], &[f32::NEG_INFINITY], f64::NEG_INFINITY, 0.0);
        check(&[f32::NAN, 1.0], &[f32::NAN, 1.0], f64::INFINITY, 1.0);
        check(&[1.0, 1.0], &[1.0], f64::NEG_INFINITY, 0.0);
    }

    #[test]
    fn agreement_counts_samples_and_forgives_ties() {
        let mut c = Comparison::default();
        c.add_scores(&[0.1, 0.9], &[0.2, 0.8]);
        c.add_scores(&[0.9, 0.1], &[0.2, 0.8]);
        c.add_scores(&[0.5, 0.5], &[0.4, 0.6]);
        c.add_scores(&[f32::NAN; 2], &[0.4, 0.6]);
        assert_eq!(c.top1_agreement(), Some(0.5));
        assert_eq!(Comparison::default().top1_agreement(), None);
    }

    #[test]
    fn accuracy_takes_the_first_of_equal_scores() {
        let mut a = Accuracy::default();
        assert_eq!(a.value(), None);
        a.add(&[0.5, 0.5], 0);
        a.add(&[0.5, 0.5], 1);
        a.add(&[f32::NAN, 0.5], 1);
        a.add(&[f32::NAN], 0);
        assert_eq!(a.value(), Some(0.5));
    }

    #[test]
    fn scores_are_a_single_long_dimension() {
        for (shape, expected) in
            [(vec![1, 10], Some(10)), (vec![12], Some(12)), (vec![1, 2, 5], None), (vec![1, 1], None), (vec![], None)]
        {
            assert_eq!(n_classes(&shape), expected, "{shape:?}");
        }
    }
}
