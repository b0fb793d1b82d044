//! Every step of the image against the ONNX tensor that holds the same values.

use crate::array::{Array, ArrayData, NamedArray};
use crate::error::CompileError;
use crate::float_model::FloatModel;
use crate::graph::Origin;
use crate::metrics::Comparison;
use crate::runner::{ImageRunner, real_values};
use std::collections::HashMap;
use tinfer::session::{Observer, StepDone};
use tinfer::tensor::Quantization;

/// Comparisons of all steps, over samples.
pub(crate) struct LayerComparison {
    /// ONNX tensor, order of its axes and channels for each step that has one.
    origins: Vec<Option<Origin>>,
    comparisons: Vec<Comparison>,
    /// What the reference computed for the current sample, by ONNX tensor.
    expected: HashMap<String, Array>,
}

impl LayerComparison {
    pub(crate) fn new(runner: &ImageRunner<'_>) -> Self {
        let mut origins: Vec<_> = runner.layers().into_iter().map(|l| l.origin).collect();
        origins.resize(runner.image().n_steps(), None);
        let expected = origins.iter().flatten().map(|o| (o.name.clone(), Array::f32(vec![0], vec![]))).collect();
        LayerComparison { comparisons: vec![Comparison::default(); origins.len()], origins, expected }
    }

    /// Runs the float model and keeps what the steps of each comparison will be compared with; returns its outputs.
    pub(crate) fn run_reference(
        comparisons: &mut [&mut Self],
        reference: &FloatModel,
        inputs: &[NamedArray],
    ) -> Result<Vec<Array>, CompileError> {
        for comparison in comparisons.iter_mut() {
            comparison.expected.values_mut().for_each(|kept| *kept = Array::f32(vec![0], vec![]));
        }
        let outputs = reference.run_with_taps(inputs, &mut |name, values| {
            for comparison in comparisons.iter_mut() {
                if let Some(kept) = comparison.expected.get_mut(name) {
                    *kept = values.clone();
                }
            }
        })?;
        Ok(outputs.into_iter().map(|o| o.array).collect())
    }

    /// Runs the image; returns its outputs and the digest of every step.
    pub(super) fn run_image(
        &mut self,
        runner: &mut ImageRunner<'_>,
        inputs: &[Array],
    ) -> Result<(Vec<Array>, Vec<u64>), CompileError> {
        let mut watch = Watch { layers: self, digests: Vec::new() };
        let outputs = runner.run_observed(inputs, &mut watch)?;
        Ok((outputs, watch.digests))
    }

    /// SQNR of every step in dB; `None` where there was nothing to compare with.
    pub(super) fn sqnr_db(&self) -> Vec<Option<f64>> {
        self.comparisons.iter().map(|c| (c.n_samples() > 0).then(|| c.sqnr_db())).collect()
    }

    /// The lowest SQNR among the steps that hold each ONNX tensor, in dB.
    pub(super) fn sqnr_db_by_origin(&self) -> HashMap<String, f64> {
        let mut found = HashMap::new();
        for (origin, comparison) in self.origins.iter().zip(&self.comparisons) {
            let Some(origin) = origin.as_ref().filter(|_| comparison.n_samples() > 0) else { continue };
            let db: &mut f64 = found.entry(origin.name.clone()).or_insert(f64::INFINITY);
            *db = db.min(comparison.sqnr_db());
        }
        found
    }

    /// What the float model computed for a step's result in the current sample, in the image's order, of all rows.
    ///
    /// Integers of a quantized model are real values by `quantization`.
    pub(crate) fn reference_values(&self, index: usize, quantization: &Quantization) -> Option<Vec<f32>> {
        let origin = self.origins.get(index)?.as_ref()?;
        let expected = self.expected.get(&origin.name).filter(|e| !e.shape.contains(&0))?;
        let values = match &expected.data {
            ArrayData::I8(steps) => steps.iter().map(|&q| quantization.dequantize(i32::from(q))).collect(),
            // A uint8 tensor is held as int8, 128 lower.
            ArrayData::U8(steps) => steps.iter().map(|&q| quantization.dequantize(i32::from(q) - 128)).collect(),
            _ => expected.to_f32(),
        };
        let expected: Vec<f32> = match origin.keeps_order() {
            true => values,
            false => origin.order(&expected.shape).into_iter().map(|i| values[i]).collect(),
        };
        match &origin.kept {
            Some(kept) => Some(kept.select(&expected).unwrap_or_default()),
            None => Some(expected),
        }
    }

    fn compare(&mut self, index: usize, quantization: &Quantization, found: &[f32]) {
        let Some(expected) = self.reference_values(index, quantization) else { return };
        let rows = self.origins.get(index).and_then(|o| o.as_ref()?.rows);
        let expected = match rows {
            Some(rows) => rows.select(&expected, found.len()).unwrap_or_default(),
            None => &expected,
        };
        if expected.len() == found.len() {
            self.comparisons[index].add(expected, found);
        }
    }
}

struct Watch<'a> {
    layers: &'a mut LayerComparison,
    digests: Vec<u64>,
}

impl Observer for Watch<'_> {
    fn step_done(&mut self, step: &StepDone<'_>) {
        self.digests.push(step.digest());
        let Some((tensor, bytes)) = step.output(0) else { return };
        if let Some(values) = real_values(&tensor, bytes) {
            self.layers.compare(step.index as usize, &tensor.quantization, &values);
        }
    }
}
