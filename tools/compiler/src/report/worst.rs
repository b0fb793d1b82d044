//! The samples in which the image does worst.

use super::numbers::{decibels, significant};
use super::pixels::data_uri;
use crate::array::Array;
use crate::engine::Signature;
use crate::metrics::{Comparison, n_classes, top1};
use crate::samples::Sample;
use serde::Serialize;

/// The worst samples so far.
pub(super) struct Worst {
    /// Worst first, with how bad each is.
    samples: Vec<(f64, WorstSample)>,
}

/// For the template.
#[derive(Clone, Debug, Serialize)]
pub(super) struct WorstSample {
    /// File, or number in a file.
    pub name: String,
    pub pictures: Vec<SamplePicture>,
    /// Class names; absent where there are none.
    pub label: Option<String>,
    pub predicted: Option<String>,
    pub reference: Option<String>,
    pub is_wrong: bool,
    pub sqnr: String,
}

/// An input or output.
#[derive(Clone, Debug, Serialize)]
pub(super) struct SamplePicture {
    pub caption: String,
    /// A `data:` URI.
    pub uri: String,
}

impl Worst {
    pub fn new() -> Self {
        Worst { samples: Vec::new() }
    }

    /// Keeps a sample if it is among the worst.
    ///
    /// With a label the score is how far a wrong class is above it, so that errors come first, the surest at the top,
    /// then those that were nearly wrong; without one it is the error of all outputs in proportion to them.
    pub fn add(&mut self, sample: &Sample, signature: &Signature, expected: &[Array], found: &[Array]) {
        let mut comparison = Comparison::default();
        for (expected, found) in expected.iter().zip(found) {
            comparison.add(&expected.to_f32(), &found.to_f32());
        }
        let scores = |arrays: &[Array]| arrays.iter().find(|a| n_classes(&a.shape).is_some()).map(Array::to_f32);
        let (found_scores, expected_scores) = (scores(found), scores(expected));
        let badness = match (sample.label, &found_scores) {
            (Some(label), Some(scores)) => margin(scores, label),
            _ => -comparison.sqnr_db(),
        };
        let at = self.samples.iter().position(|(other, _)| badness > *other).unwrap_or(self.samples.len());
        if at >= N_WORST {
            return;
        }
        let class = |i: usize| signature.labels.get(i).cloned().unwrap_or_else(|| i.to_string());
        let best = |scores: &Option<Vec<f32>>| {
            let scores = scores.as_ref()?;
            let i = top1(scores)?;
            Some((i, format!("{} ({})", class(i), significant(scores[i].into()))))
        };
        let predicted = best(&found_scores);
        let entry = WorstSample {
            name: short(&sample.name),
            pictures: pictures(sample, signature, expected, found),
            label: sample.label.map(class),
            is_wrong: sample.label.is_some() && predicted.as_ref().map(|(i, _)| *i) != sample.label,
            predicted: predicted.map(|(_, text)| text),
            reference: best(&expected_scores).map(|(_, text)| text),
            sqnr: decibels(Some(comparison.sqnr_db().clamp(-200.0, 200.0))),
        };
        self.samples.insert(at, (badness, entry));
        self.samples.truncate(N_WORST);
    }

    /// Worst first.
    pub fn view(&self) -> Vec<WorstSample> {
        self.samples.iter().map(|(_, sample)| sample.clone()).collect()
    }
}

/// The file without its folder, but with the folder that may be its class.
fn short(name: &str) -> String {
    let path = std::path::Path::new(name);
    let keep = if name.ends_with(']') { 1 } else { 2 };
    let parts: Vec<_> = path.iter().map(|p| p.to_string_lossy()).collect();
    parts[parts.len().saturating_sub(keep)..].join("/")
}

/// How far the best other class is above `label`; more than anything for a label without a score.
fn margin(scores: &[f32], label: usize) -> f64 {
    let others = scores.iter().enumerate().filter(|&(i, s)| i != label && !s.is_nan()).map(|(_, &s)| s);
    let best = others.fold(f32::NEG_INFINITY, f32::max);
    match scores.get(label) {
        Some(own) if !own.is_nan() => f64::from(best) - f64::from(*own),
        _ => f64::INFINITY,
    }
}

/// Inputs, then outputs of the float model and of the image side by side.
fn pictures(sample: &Sample, signature: &Signature, expected: &[Array], found: &[Array]) -> Vec<SamplePicture> {
    let picture = |caption: String, array: &Array, like: &Array, name: &str| {
        Some(SamplePicture { caption, uri: data_uri(array, signature.preprocess.get(name), like)? })
    };
    let inputs = sample.inputs.iter().filter_map(|i| picture(i.name.clone(), &i.array, &i.array, &i.name));
    let outputs = signature.outputs.iter().zip(expected.iter().zip(found)).flat_map(|(port, (expected, found))| {
        let float = picture(format!("{}, float", port.name), expected, expected, "");
        [float, picture(format!("{}, image", port.name), found, expected, "")].into_iter().flatten()
    });
    inputs.chain(outputs).collect()
}

const N_WORST: usize = 12;

#[cfg(test)]
mod tests {
    use super::*;
    use crate::array::NamedArray;

    fn add(worst: &mut Worst, name: &str, label: Option<usize>, expected: [f32; 2], found: [f32; 2]) {
        let inputs = vec![NamedArray::new("x", Array::f32(vec![1, 8, 8], vec![0.5; 64]))];
        let sample = Sample { name: name.into(), inputs, label };
        let signature = Signature { labels: vec!["cat".into(), "dog".into()], ..Signature::default() };
        let array = |v: [f32; 2]| [Array::f32(vec![1, 2], v.to_vec())];
        worst.add(&sample, &signature, &array(expected), &array(found));
    }

    #[test]
    fn sure_errors_come_first_and_sure_successes_leave() {
        let mut worst = Worst::new();
        for i in 0..20 {
            add(&mut worst, &format!("right {i}"), Some(0), [1.0, 0.0], [1.0, 0.0]);
        }
        add(&mut worst, "unsure", Some(1), [0.4, 0.6], [0.45, 0.55]);
        add(&mut worst, "wrong", Some(1), [0.4, 0.6], [0.6, 0.4]);
        add(&mut worst, "surely wrong", Some(1), [0.1, 0.9], [0.9, 0.1]);
        let view = worst.view();
        let names: Vec<&str> = view.iter().take(4).map(|s| s.name.as_str()).collect();
        assert_eq!((names, view.len()), (vec!["surely wrong", "wrong", "unsure", "right 0"], N_WORST));
        let first = &view[0];
        assert_eq!(
            [&first.label, &first.predicted, &first.reference].map(|s| s.clone().unwrap()),
            ["dog", "cat (0.9)", "dog (0.9)"]
        );
        assert_eq!((first.is_wrong, view[2].is_wrong, first.pictures.len()), (true, false, 1));
    }

    #[test]
    fn without_labels_the_largest_error_comes_first() {
        let mut worst = Worst::new();
        add(&mut worst, "near", None, [1.0, 0.0], [0.9, 0.0]);
        add(&mut worst, "exact", None, [1.0, 0.0], [1.0, 0.0]);
        add(&mut worst, "far", None, [1.0, 0.0], [0.5, 0.0]);
        let view = worst.view();
        assert_eq!(view.iter().map(|s| s.name.as_str()).collect::<Vec<_>>(), ["far", "near", "exact"]);
        assert_eq!([&view[0].sqnr, &view[2].sqnr], ["6.0", "exact"]);
    }
}
