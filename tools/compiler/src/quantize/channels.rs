//! What calibration sees of each channel of a tensor.

use crate::array::Array;
use crate::graph::{Graph, Origin};
use std::collections::BTreeMap;

/// Largest magnitude and mean of every channel (index on the last axis) of the graph's tensors, by ONNX tensor name.
///
/// # Memory
/// Twenty bytes for each channel, whatever the number of samples.
#[derive(Clone, Debug, Default, PartialEq)]
pub struct ChannelStatistics {
    tensors: BTreeMap<String, Channels>,
}

/// The channels of one tensor.
#[derive(Clone, Debug, Default, PartialEq)]
pub struct Channels {
    /// Where its values are in the ONNX tensor.
    origin: Option<Origin>,
    /// Largest magnitude of each channel.
    pub largest: Vec<f32>,
    sums: Vec<f64>,
    /// Values of each channel.
    n_values: u64,
}

impl Channels {
    /// Mean of each channel.
    pub fn means(&self) -> Vec<f64> {
        self.sums.iter().map(|sum| sum / self.n_values.max(1) as f64).collect()
    }
}

impl ChannelStatistics {
    /// Ready to observe the ONNX tensors that the graph's tensors hold.
    pub fn of_graph(graph: &Graph) -> Self {
        let computed = graph.tensors.iter().filter(|t| t.constant.is_none());
        let with_channels = computed.filter_map(|t| Some((t.origin.as_ref()?, *t.shape.last()?)));
        let tensors = with_channels.map(|(origin, n)| {
            let channels =
                Channels { origin: Some(origin.clone()), largest: vec![0.0; n], sums: vec![0.0; n], n_values: 0 };
            (origin.name.clone(), channels)
        });
        ChannelStatistics { tensors: tensors.collect() }
    }

    /// Adds the values of an ONNX tensor; others than the graph's are ignored.
    pub fn observe(&mut self, name: &str, values: &Array) {
        let Some(channels) = self.tensors.get_mut(name) else { return };
        let n = channels.largest.len();
        let data = values.to_f32();
        if n == 0 || !data.len().is_multiple_of(n) {
            return;
        }
        let moved = channels.origin.as_ref().map(|origin| origin.order(&values.shape));
        let order = moved.unwrap_or_else(|| (0..data.len()).collect());
        for (position, index) in order.into_iter().enumerate() {
            let (value, channel) = (data[index], position % n);
            channels.largest[channel] = channels.largest[channel].max(value.abs());
            channels.sums[channel] += f64::from(value);
        }
        channels.n_values += (data.len() / n) as u64;
    }

    /// The channels of the ONNX tensor that a tensor holds; `None` when it was not observed.
    pub fn of(&self, origin: Option<&Origin>) -> Option<&Channels> {
        self.tensors.get(&origin?.name).filter(|channels| channels.n_values > 0)
    }
}

#[cfg(test)]
mod tests {
    use super::*;
    use crate::graph::Tensor;
    use tinfer::tensor::ElementType;

    #[test]
    fn channels_are_those_of_our_layout() {
        let mut graph = Graph::default();
        let origin = Origin { permutation: vec![0, 2, 1], ..Origin::whole("x", &[1, 2, 3]) };
        graph.add_tensor(Tensor {
            name: "x".into(),
            shape: vec![1, 3, 2],
            element_type: ElementType::F32,
            constant: None,
            quantization: None,
            origin: Some(origin.clone()),
        });
        let mut statistics = ChannelStatistics::of_graph(&graph);
        assert_eq!(statistics.of(Some(&origin)), None);
        statistics.observe("x", &Array::f32(vec![1, 2, 3], vec![1.0, -5.0, 1.0, 0.5, 0.25, 0.75]));
        statistics.observe("elsewhere", &Array::f32(vec![1], vec![9.0]));
        let channels = statistics.of(Some(&origin)).unwrap();
        assert_eq!((&channels.largest[..], &channels.means()[..]), (&[5.0, 0.75][..], &[-1.0, 0.5][..]));
    }
}
