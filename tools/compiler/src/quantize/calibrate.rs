//! Observed distributions of a model's tensors.

use super::histogram::Histogram;
use crate::array::Array;
use crate::graph::Graph;
use std::collections::BTreeMap;

/// Distributions by ONNX tensor name, of the tensors that a graph's quantization depends on.
///
/// # Memory
/// At most 32 KiB for each tensor, whatever the number of samples.
#[derive(Clone, Debug, Default, PartialEq)]
pub struct Ranges {
    histograms: BTreeMap<String, Histogram>,
    n_samples: usize,
}

impl Ranges {
    /// Ready to observe the ONNX tensors that the graph's tensors hold.
    pub fn of_graph(graph: &Graph) -> Self {
        let origins = graph.tensors.iter().filter(|t| t.constant.is_none()).filter_map(|t| t.origin.as_ref());
        let histograms = origins.map(|o| (o.name.clone(), Histogram::default())).collect();
        Ranges { histograms, n_samples: 0 }
    }

    /// Adds the values of a tensor; tensors that the graph does not hold are ignored.
    pub fn observe(&mut self, name: &str, values: &Array) {
        let Some(histogram) = self.histograms.get_mut(name) else { return };
        match values.as_f32() {
            Some(values) => histogram.add(values),
            None => histogram.add(&values.to_f32()),
        }
    }

    /// The distribution of an ONNX tensor, if any value was observed.
    pub fn histogram(&self, name: &str) -> Option<&Histogram> {
        self.histograms.get(name).filter(|h| h.n_values() + h.n_not_finite() > 0)
    }

    /// Number of samples that [`calibrate`] has run.
    pub fn n_samples(&self) -> usize {
        self.n_samples
    }
}

/// Runs a float model over samples and observes what it computes.
///
/// `run` runs one sample and shows every tensor: its ONNX name and its values as float32.
///
/// # Errors
/// The first error of `run`.
pub fn calibrate<S, E>(
    graph: &Graph,
    samples: impl IntoIterator<Item = S>,
    mut run: impl FnMut(S, &mut dyn FnMut(&str, &Array)) -> Result<(), E>,
) -> Result<Ranges, E> {
    let mut ranges = Ranges::of_graph(graph);
    for sample in samples {
        run(sample, &mut |name, values| ranges.observe(name, values))?;
        ranges.n_samples += 1;
    }
    Ok(ranges)
}
