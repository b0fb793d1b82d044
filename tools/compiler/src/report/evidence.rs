//! What the page shows beyond the numbers of `verify`, collected while the samples run.

use super::confusion::{Confusion, ConfusionView};
use super::drawn::{Drawn, DrawnOutput};
use super::ranges::TensorRange;
use super::worst::{Worst, WorstSample};
use crate::array::Array;
use crate::engine::Signature;
use crate::metrics::n_classes;
use crate::quantize::Histogram;
use crate::runner::ImageRunner;
use crate::samples::Sample;
use crate::verify::LayerComparison;
use std::collections::{BTreeSet, HashMap};
use tinfer::image::{PortView, TensorView};
use tinfer::tensor::{ElementType, Quantization};

/// Everything that one pass over the samples tells.
///
/// # Memory
/// 32 KiB for each tensor, and the pictures of two dozen samples, however many are added.
pub(crate) struct Evidence {
    signature: Signature,
    /// One for each input.
    inputs: Vec<TensorRange>,
    /// One for each ONNX tensor that a step holds, with the first such step.
    results: Vec<(usize, TensorRange)>,
    /// ONNX tensor of each step.
    origins: Vec<Option<String>>,
    confusion: Option<Confusion>,
    worst: Worst,
    drawn: Drawn,
    float_sqnr_db: HashMap<String, f64>,
}

impl Evidence {
    /// Ready for the samples of an image; the signature is the one that they are loaded by.
    pub(crate) fn new(runner: &ImageRunner<'_>, signature: Signature) -> Self {
        let image = runner.image();
        let range = |name: &str, tensor: TensorView| TensorRange {
            name: name.to_string(),
            quantization: quantization(&tensor),
            histogram: Histogram::default(),
        };
        let input = |port: &PortView<'_>| Some(range(port.name, image.tensor(port.tensor)?));
        let mut origins: Vec<Option<String>> = runner.layers().into_iter().map(|l| Some(l.origin?.name)).collect();
        origins.resize(image.n_steps(), None);
        // Strips of one tensor are one tensor.
        let mut seen = BTreeSet::new();
        let results = image.steps().filter_map(|step| {
            let index = step.index as usize;
            let name = origins.get(index)?.as_ref().filter(|name| seen.insert(name.to_string()))?;
            Some((index, range(name, image.tensor(step.output(0)?)?)))
        });
        Evidence {
            inputs: runner.inputs().iter().filter_map(input).collect(),
            results: results.collect(),
            confusion: signature.outputs.iter().find_map(|o| n_classes(&o.shape)).and_then(Confusion::new),
            worst: Worst::new(),
            drawn: Drawn::new(&signature.outputs),
            float_sqnr_db: HashMap::new(),
            origins,
            signature,
        }
    }

    /// Adds one sample, of which `layers` still hold what the float model computed.
    pub(crate) fn add(
        &mut self,
        sample: &Sample,
        layers: &LayerComparison,
        expected: &[Array],
        found: &[Array],
        on_device: Option<&[Array]>,
    ) {
        for (range, input) in self.inputs.iter_mut().zip(&sample.inputs) {
            range.histogram.add(&input.array.to_f32());
        }
        for (index, range) in &mut self.results {
            let unquantized = Quantization { scale: 1.0, zero_point: 0 };
            let values = layers.reference_values(*index, &range.quantization.unwrap_or(unquantized));
            range.histogram.add(&values.unwrap_or_default());
        }
        let scores = |arrays: &[Array]| arrays.iter().find(|a| n_classes(&a.shape).is_some()).map(Array::to_f32);
        if let (Some(label), Some(a), Some(b)) = (sample.label, scores(expected), scores(found))
            && let Some(confusion) = &mut self.confusion
        {
            confusion.add(label, &a, &b);
        }
        self.worst.add(sample, &self.signature, expected, found);
        self.drawn.add(expected, found, on_device);
    }

    /// How far the layers of a float32 image are from the float model, by ONNX tensor.
    pub(crate) fn set_float(&mut self, sqnr_db: HashMap<String, f64>) {
        self.float_sqnr_db = sqnr_db;
    }

    pub(super) fn float_sqnr_db(&self) -> &HashMap<String, f64> {
        &self.float_sqnr_db
    }

    /// The ONNX tensor that a step holds.
    pub(super) fn origin(&self, step: usize) -> Option<&str> {
        self.origins.get(step)?.as_deref()
    }

    pub(super) fn ranges(&self) -> impl Iterator<Item = &TensorRange> {
        self.inputs.iter().chain(self.results.iter().map(|(_, range)| range))
    }

    pub(super) fn confusion(&self) -> Option<ConfusionView> {
        self.confusion.as_ref()?.view(&self.signature.labels)
    }

    pub(super) fn drawn(&self) -> Vec<DrawnOutput> {
        self.drawn.view()
    }

    pub(super) fn worst(&self) -> Vec<WorstSample> {
        self.worst.view()
    }
}

fn quantization(tensor: &TensorView) -> Option<Quantization> {
    (tensor.element_type == ElementType::I8).then_some(tensor.quantization)
}
