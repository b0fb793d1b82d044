//! What the float model computes on the calibration samples, as far as quantization needs it.

use super::Progress;
use super::auto::Floor;
use crate::array::Array;
use crate::error::CompileError;
use crate::float_model::FloatModel;
use crate::graph::Graph;
use crate::quantize::{ChannelStatistics, Corrections, Equalised, LayerInputs, Ranges, calibrate, equalise};
use crate::samples::Samples;
use std::sync::Arc;

/// What is done for the accuracy of quantized layers, besides a good range.
#[derive(Clone, Copy, Debug, Default, PartialEq)]
pub struct AccuracyTools {
    /// Balance the channels between layers, see [`equalise`].
    pub equalise: bool,
    /// Correct biases for the mean error of rounded weights.
    pub bias_correction: bool,
    /// Learn how weights are rounded.
    pub adaround: bool,
    /// What [`Precision::Auto`](super::Precision::Auto) must reach.
    pub floor: Floor,
    /// Try every method, and say what each gives and costs.
    pub compare_methods: bool,
}

/// A float model and samples for it.
pub(super) struct Calibration<'a> {
    pub reference: &'a FloatModel,
    pub samples: &'a Samples,
}

/// What came out.
pub(super) struct Calibrated {
    /// The float graph, with balanced channels if that was asked for.
    pub graph: Graph,
    pub ranges: Ranges,
    pub corrections: Corrections,
    pub equalised: Equalised,
    /// Outputs of the float model for the first samples.
    pub expected: Vec<Vec<Array>>,
}

impl Calibration<'_> {
    /// Runs the samples, twice where channels are balanced.
    pub fn run(
        &self,
        graph: Graph,
        tools: AccuracyTools,
        progress: &mut dyn FnMut(Progress),
    ) -> Result<Calibrated, CompileError> {
        let mut graph = graph;
        graph.compact();
        let mut equalised = Equalised::default();
        if tools.equalise {
            let mut statistics = ChannelStatistics::of_graph(&graph);
            for idx in 0..self.samples.len() {
                progress(Progress { stage: "balancing", done: idx, total: self.samples.len() });
                let sample = self.samples.get(idx)?;
                self.reference.run_with_taps(&sample.inputs, &mut |name, values| statistics.observe(name, values))?;
            }
            equalised = equalise(&mut graph, &statistics);
            graph.compact();
        }
        let mut statistics = tools.bias_correction.then(|| ChannelStatistics::of_graph(&graph));
        let mut inputs = tools.adaround.then(|| LayerInputs::of_graph(&graph));
        let mut expected = Vec::new();
        let mut n_kept = 0;
        let ranges = calibrate(&graph, 0..self.samples.len(), |idx, tap: &mut dyn FnMut(&str, &Array)| {
            progress(Progress { stage: "calibrating", done: idx, total: self.samples.len() });
            let sample = self.samples.get(idx)?;
            let outputs = self.reference.run_with_taps(&sample.inputs, &mut |name, values| {
                equalised.show(name, values, &mut |name, values| {
                    if let Some(statistics) = &mut statistics {
                        statistics.observe(name, values);
                    }
                    if let Some(inputs) = &mut inputs {
                        inputs.observe(name, values);
                    }
                    tap(name, values);
                });
            })?;
            n_kept += outputs.iter().map(|o| o.array.n_elements()).sum::<usize>();
            if n_kept <= MOST_EXPECTED || expected.is_empty() {
                expected.push(outputs.into_iter().map(|o| o.array).collect());
            }
            Ok::<(), CompileError>(())
        })?;
        let corrections = Corrections { statistics: statistics.map(Arc::new), inputs: inputs.map(Arc::new) };
        Ok(Calibrated { graph, ranges, corrections, equalised, expected })
    }
}

/// Elements of all outputs that are kept to compare with: 16 MiB.
const MOST_EXPECTED: usize = 1 << 22;
