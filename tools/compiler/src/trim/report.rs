//! What was taken out of a graph, and why that changes nothing.

use super::bounds::{Bounds, n_channels};
use super::kept::Kept;
use super::product::Product;
use crate::graph::{Graph, Node};
use serde::Serialize;
use std::fmt;

/// Channels that were taken out of a graph; its fields are keys of `tinfer convert --json`.
#[derive(Clone, Debug, Default, Serialize)]
pub struct TrimReport {
    /// Multiply-accumulates of an inference with all channels.
    pub macs_before: u64,
    /// Multiply-accumulates of an inference without them.
    pub macs_after: u64,
    /// Bytes of constants with all channels, before they are packed.
    pub weights_bytes_before: usize,
    /// Bytes of constants without them.
    pub weights_bytes_after: usize,
    /// The nodes that got smaller.
    pub layers: Vec<TrimmedLayer>,
}

/// A node that lost channels of its result or of its operand.
#[derive(Clone, Debug, Serialize)]
pub struct TrimmedLayer {
    /// Node name.
    pub name: String,
    /// ONNX operators that it came from.
    pub operator: String,
    /// Channels that its result had.
    pub channels: usize,
    /// Those that are gone because their value is the same for every input.
    pub constant: Vec<ConstantChannel>,
    /// Those that are gone because nothing reads them.
    pub unread: Vec<usize>,
    /// Its multiply-accumulates before.
    pub macs_before: u64,
    /// Its multiply-accumulates after.
    pub macs_after: u64,
    /// Bytes of its constants before.
    pub weights_bytes_before: usize,
    /// Bytes of its constants after.
    pub weights_bytes_after: usize,
}

/// A channel with one value, and the proof.
#[derive(Clone, Copy, Debug, PartialEq, Serialize)]
pub struct ConstantChannel {
    /// Index of the channel.
    pub channel: usize,
    /// Its int8 value; 0 in float32 models, which only lose exact zeros.
    pub value: i8,
    /// Its real value.
    pub real: f32,
    /// The smallest and the largest accumulator over all inputs and positions, which both give `value`; for layers
    /// that have one.
    pub accumulator: Option<[i64; 2]>,
}

impl TrimReport {
    /// Number of channels that are gone.
    pub fn n_channels(&self) -> usize {
        self.layers.iter().map(|l| l.constant.len() + l.unread.len()).sum()
    }

    pub(super) fn new(
        before: &Graph,
        after: &Graph,
        products: &[Option<Product>],
        bounds: &Bounds,
        kept: &Kept,
    ) -> TrimReport {
        let survivor = |node: &Node| after.nodes.iter().find(|n| n.name == node.name);
        let layer = |(node, product): (&Node, &Option<Product>)| {
            let survivor = survivor(node);
            let output = node.outputs[0];
            let tensor = before.tensor(output);
            let gone = (0..n_channels(tensor)).filter(|&c| !kept.stays(output, c));
            let (constant, unread): (Vec<usize>, Vec<usize>) =
                gone.partition(|&c| bounds.of(output)[c].constant().is_some());
            let proof = |channel: usize| {
                let value = bounds.of(output)[channel].constant().unwrap_or(0);
                let real = tensor.quantization.as_ref().map_or(f32::from(value), |q| {
                    q.scales.first().copied().unwrap_or(1.0) * (i32::from(value) - q.zero_point) as f32
                });
                let accumulator = product.as_ref().and_then(|p| p.accumulator(channel, bounds.of(node.inputs[0])));
                ConstantChannel { channel, value, real, accumulator: accumulator.map(|a| [a.min, a.max]) }
            };
            TrimmedLayer {
                name: node.name.clone(),
                operator: node.onnx.clone(),
                channels: n_channels(tensor),
                constant: constant.into_iter().map(proof).collect(),
                unread,
                macs_before: before.node_macs(node),
                macs_after: survivor.map_or(0, |n| after.node_macs(n)),
                weights_bytes_before: constant_bytes(before, node),
                weights_bytes_after: survivor.map_or(0, |n| constant_bytes(after, n)),
            }
        };
        let layers = before.nodes.iter().zip(products).filter(|(n, _)| !n.outputs.is_empty()).map(layer);
        let all: Vec<TrimmedLayer> = layers.collect();
        TrimReport {
            macs_before: before.macs(),
            macs_after: after.macs(),
            weights_bytes_before: all.iter().map(|l| l.weights_bytes_before).sum(),
            weights_bytes_after: all.iter().map(|l| l.weights_bytes_after).sum(),
            layers: all.into_iter().filter(TrimmedLayer::is_smaller).collect(),
        }
    }
}

impl TrimmedLayer {
    fn is_smaller(&self) -> bool {
        !self.constant.is_empty() || !self.unread.is_empty() || self.macs_after < self.macs_before
    }
}

impl fmt::Display for TrimReport {
    fn fmt(&self, f: &mut fmt::Formatter<'_>) -> fmt::Result {
        writeln!(
            f,
            "{:>9} {:>9} {:>9} {:>21} {:>17}  layer",
            "channels", "constant", "unread", "MACs", "weight bytes"
        )?;
        for l in &self.layers {
            let (channels, constant, unread) = (l.channels, l.constant.len(), l.unread.len());
            let macs = format!("{} -> {}", l.macs_before, l.macs_after);
            let bytes = format!("{} -> {}", l.weights_bytes_before, l.weights_bytes_after);
            write!(f, "{channels:>9} {constant:>9} {unread:>9} {macs:>21} {bytes:>17}  {}", l.name)?;
            let mut values: Vec<i8> = l.constant.iter().map(|c| c.value).collect();
            values.sort_unstable();
            values.dedup();
            match values[..] {
                [] => writeln!(f)?,
                [one] => writeln!(f, " (all {one})")?,
                [first, .., last] => writeln!(f, " ({} values from {first} to {last})", values.len())?,
            }
        }
        let (before, after) = (self.macs_before, self.macs_after);
        write!(f, "{} channels are gone: {before} -> {after} MACs", self.n_channels())
    }
}

fn constant_bytes(graph: &Graph, node: &Node) -> usize {
    node.inputs.iter().map(|&id| graph.tensor(id)).filter(|t| t.constant.is_some()).map(|t| t.n_bytes()).sum()
}
