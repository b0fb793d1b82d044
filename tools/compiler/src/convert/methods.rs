//! Every way to quantize a model side by side.

use super::Progress;
use super::auto::{Choice, MOST_MACS, Search};
use super::instructions;
use crate::choose::for_weights;
use crate::error::CompileError;
use crate::pack::{PackOptions, pack};
use crate::plan::plan;
use crate::quantize::{Corrections, Level, Precisions, QuantizeOptions, RangeMethod, WeightFormat, quantize};
use serde::{Deserialize, Serialize};
use tinfer::isa::Isa;

/// One way to quantize a model: what it gives on the calibration samples, and what it costs.
#[derive(Clone, Debug, PartialEq, Serialize, Deserialize)]
pub struct Method {
    /// Calibration method, tools and precision.
    pub method: String,
    /// Least SQNR of an output, in dB.
    pub sqnr_db: f64,
    /// Part of the samples that are classified as labelled.
    pub accuracy: Option<f64>,
    /// Part of the samples with the float model's class.
    pub top1_agreement: Option<f64>,
    /// Length of the image with portable kernels.
    pub image_bytes: usize,
    /// Activations.
    pub arena_bytes: usize,
    /// Estimate for the target; `None` where a kernel has none.
    pub instructions: Option<u64>,
}

impl Search<'_> {
    /// The way to ranges that gives the best SQNR of all outputs in int8: [`RangeMethod::default`] unless another one is
    /// better by [`CLEARLY_DB`].
    ///
    /// # Errors
    /// What quantization or a run says.
    pub fn best_method(
        &self,
        options: &QuantizeOptions,
        progress: &mut dyn FnMut(Progress),
    ) -> Result<RangeMethod, CompileError> {
        // A share of the work that a whole comparison may be: this one is made by every conversion.
        let n = self.n_samples(MOST_MACS / 8);
        let mut best = (RangeMethod::default(), f64::NEG_INFINITY);
        for (done, method) in RangeMethod::ALL.into_iter().enumerate() {
            progress(Progress { stage: "choosing ranges", done, total: RangeMethod::ALL.len() });
            let options = QuantizeOptions { method, corrections: Corrections::default(), ..options.clone() };
            let advantage = if method == RangeMethod::default() { CLEARLY_DB } else { 0.0 };
            let sqnr_db = self.score(&options, n)?.sqnr_db + advantage;
            if sqnr_db > best.1 {
                best = (method, sqnr_db);
            }
        }
        Ok(best.0)
    }

    /// All methods side by side: ranges, tools as far as they were calibrated, precisions. Their names begin with `title`.
    ///
    /// # Errors
    /// What quantization or a run says.
    pub fn methods(
        &self,
        title: &str,
        chosen: &QuantizeOptions,
        progress: &mut dyn FnMut(Progress),
    ) -> Result<Vec<Method>, CompileError> {
        let plain = QuantizeOptions {
            precisions: Precisions::default(),
            corrections: Corrections::default(),
            ..chosen.clone()
        };
        let weights = if chosen.weights == WeightFormat::Int4 { ", int4 weights" } else { "" };
        let way = |method: RangeMethod| {
            (format!("int8, {}{weights}", method.name()), QuantizeOptions { method, ..plain.clone() })
        };
        let mut ways: Vec<(String, QuantizeOptions)> = RangeMethod::ALL.map(way).to_vec();
        let Corrections { statistics, inputs } = chosen.corrections.clone();
        if statistics.is_some() {
            let corrections = Corrections { statistics, inputs: None };
            ways.push(("int8, bias correction".into(), QuantizeOptions { corrections, ..plain.clone() }));
        }
        if inputs.is_some() {
            let corrections = Corrections { statistics: None, inputs };
            ways.push(("int8, adaround".into(), QuantizeOptions { corrections, ..plain.clone() }));
        }
        if let Corrections { statistics: Some(_), inputs: Some(_) } = &chosen.corrections {
            let both = QuantizeOptions { corrections: chosen.corrections.clone(), ..plain.clone() };
            ways.push(("int8, bias correction, adaround".into(), both));
        }
        if !chosen.precisions.nodes.is_empty() {
            ways.push(("auto".into(), chosen.clone()));
        }
        for (name, level) in [("int16x8", Level::Int16), ("float32", Level::Float32)] {
            let precisions = Choice::all(level).precisions;
            ways.push((name.into(), QuantizeOptions { precisions, ..plain.clone() }));
        }
        let n = self.n_samples(MOST_MACS);
        let total = ways.len();
        let rows = ways.into_iter().enumerate().map(|(done, (method, options))| {
            progress(Progress { stage: "comparing methods", done, total });
            let graph = quantize(self.calibrated.graph.clone(), &self.calibrated.ranges, &options)?;
            let planned = plan(&graph, &for_weights(Isa::Portable, options.weights));
            let image_bytes = pack(&graph, &planned, &PackOptions::default())?.bytes.len();
            let score = self.score_graph(&graph, n)?;
            Ok(Method {
                method: format!("{title}{method}"),
                sqnr_db: score.sqnr_db,
                accuracy: score.accuracy,
                top1_agreement: score.agreement,
                image_bytes,
                arena_bytes: planned.arena_bytes,
                instructions: instructions(&graph, self.isa),
            })
        });
        rows.collect()
    }
}

/// What another method must gain over the default one, in dB: less is chance.
const CLEARLY_DB: f64 = 0.5;
