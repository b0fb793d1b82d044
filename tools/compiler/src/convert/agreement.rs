//! What vouches for the float values of a conversion that asks for none itself: float32, or scales that the file has.

use super::ConvertRequest;
use super::random::Random;
use crate::float_model::FloatModel;
use crate::graph::Graph;
use crate::import::Imported;
use crate::samples::Samples;

/// Whether a conversion compares the file in tract with its own float graph.
#[derive(Clone, Copy, Debug, PartialEq, Eq)]
pub enum Agreement {
    /// On the first and the last calibration sample, without samples on random numbers.
    Checked,
    /// Not at all where no calibration needs it: the caller compares, or wants tinfer's answer whatever others say.
    Unchecked,
}

/// The engine that vouches for the float graph, and what is to be said of it; `None` where neither implementation takes
/// the inputs.
pub(super) fn of(
    request: &ConvertRequest,
    imported: &Imported,
    graph: &Graph,
    samples: Option<&Samples>,
) -> Option<FloatModel> {
    if request.agreement == Agreement::Unchecked {
        return None;
    }
    let given = samples.and_then(|samples| samples.ends().ok());
    let trials = given.unwrap_or_else(|| vec![Random::default().sample(&imported.inputs, |_| None)]);
    FloatModel::open(imported, Some(graph), &trials).ok()
}
