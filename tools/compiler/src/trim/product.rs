//! Convolutions and fully connected layers, channel by channel.

use super::interval::Interval;
use crate::choose::{ChannelArrays, output_i8, window_2d};
use crate::graph::{Clamp, Constant, Graph, Node, Operator};
use std::ops::Range;
use tinfer::fixed_point::Requantizer;
use tinfer::kernels::geometry::Axis;
use tinfer::kernels::parameters::{OutputF32, OutputI8};
use tinfer::tensor::ElementType;

/// A node that sums products of its input's channels and constant weights.
///
/// Sums are those of `bias + sum((x - input_zero_point) * w)` over the taps inside the image, which is what kernels
/// compute: a tap in the padding sees the zero point.
pub(super) struct Product {
    /// Channels of the output.
    pub n_outputs: usize,
    /// Channels of the input.
    pub n_inputs: usize,
    /// Input channels that one output channel sees.
    pub n_seen: usize,
    /// Weights; in float32 only whether they differ from 0.
    weights: Vec<i32>,
    /// Whether the output channel is the last axis of the weights, or the first.
    channel_last: bool,
    kernel: [usize; 2],
    /// Sets of taps that lie inside the image, as rows and columns of the kernel: one for each kind of position.
    patterns: Vec<[Range<usize>; 2]>,
    arithmetic: Arithmetic,
}

enum Arithmetic {
    I8 { bias: Vec<i64>, requantizers: Vec<Requantizer>, input_zero_point: i32, output: OutputI8 },
    F32 { bias: Vec<f32>, limits: OutputF32 },
}

/// Limits of an accumulator before requantization.
#[derive(Clone, Copy, Debug, PartialEq, Eq)]
pub(super) struct Accumulator {
    pub min: i64,
    pub max: i64,
}

impl Product {
    /// `None` for nodes of other kinds, and where an accumulator could leave 32 bits: nothing is known of those.
    pub fn new(graph: &Graph, node: &Node) -> Option<Self> {
        let (clamp, window, groups) = match &node.operator {
            Operator::Conv2d { window, groups, clamp } => (clamp, Some(window), *groups),
            Operator::DepthwiseConv2d { window, clamp, .. } => {
                (clamp, Some(window), *graph.tensor(node.inputs[0]).shape.last()?)
            }
            Operator::FullyConnected { clamp } => (clamp, None, 1),
            _ => return None,
        };
        let input = graph.tensor(node.inputs[0]);
        let (n_inputs, n_outputs) = (*input.shape.last()?, *graph.tensor(node.outputs[0]).shape.last()?);
        if input.constant.is_some() || groups == 0 || n_inputs == 0 || n_outputs == 0 {
            return None;
        }
        let (weights, arithmetic) = arithmetic(graph, node, *clamp)?;
        let patterns = match window {
            Some(window) => {
                let window = window_2d(graph, node, window)?.check()?;
                let [height, width, _] = window.output.map(|n| n as usize);
                let columns = inside(window.horizontal(), width);
                let rows = inside(window.vertical(), height);
                rows.iter().flat_map(|r| columns.iter().map(|c| [r.clone(), c.clone()])).collect()
            }
            None => vec![[0..1, 0..1]],
        };
        let product = Product {
            n_outputs,
            n_inputs,
            n_seen: n_inputs / groups,
            channel_last: matches!(node.operator, Operator::DepthwiseConv2d { .. }),
            kernel: window.map_or([1, 1], |w| w.kernel),
            weights,
            patterns,
            arithmetic,
        };
        product.stays_in_32_bits().then_some(product)
    }

    /// The input channels that an output channel sees.
    pub fn seen(&self, output: usize) -> Range<usize> {
        let n_groups = self.n_inputs / self.n_seen;
        let group = output / (self.n_outputs / n_groups).max(1);
        group * self.n_seen..(group + 1) * self.n_seen
    }

    /// Bounds of all output channels.
    pub fn bounds(&self, input: &[Interval]) -> Vec<Interval> {
        (0..self.n_outputs).map(|o| self.channel_bounds(o, input)).collect()
    }

    /// The hull of an output channel's accumulator over all inputs and positions; `None` in float32.
    pub fn accumulator(&self, output: usize, input: &[Interval]) -> Option<Accumulator> {
        let Arithmetic::I8 { bias, input_zero_point, .. } = &self.arithmetic else { return None };
        let ends = |tap: usize| {
            self.seen(output).enumerate().fold((0, 0), |(min, max), (k, channel)| {
                let w = i64::from(self.weight(output, tap, k));
                let at = |x: i8| w * i64::from(i32::from(x) - input_zero_point);
                let (a, b) = (at(input[channel].min), at(input[channel].max));
                (min + a.min(b), max + a.max(b))
            })
        };
        let ends: Vec<(i64, i64)> = (0..self.n_taps()).map(ends).collect();
        let sum = |pattern: &[Range<usize>; 2]| {
            let taps = self.taps(pattern).map(|t| ends[t]);
            let (min, max) = taps.fold((0, 0), |(min, max), (a, b)| (min + a, max + b));
            Accumulator { min: bias[output] + min, max: bias[output] + max }
        };
        self.patterns.iter().map(sum).reduce(|a, b| Accumulator { min: a.min.min(b.min), max: a.max.max(b.max) })
    }

    /// Whether any position of an output channel depends on its `k`th seen input channel.
    pub fn reads(&self, output: usize, k: usize) -> bool {
        self.patterns.iter().any(|p| self.taps(p).any(|t| self.weight(output, t, k) != 0))
    }

    /// What the `k`th seen input channel adds to an output channel's accumulator when all its values are `value`.
    ///
    /// `None` when that is not the same at all positions: some taps lie in the padding, which has another value.
    pub fn contribution(&self, output: usize, k: usize, value: i8) -> Option<i64> {
        let zero_point = match &self.arithmetic {
            Arithmetic::I8 { input_zero_point, .. } => *input_zero_point,
            Arithmetic::F32 { .. } => 0,
        };
        let real = i64::from(i32::from(value) - zero_point);
        let sum = |p: &[Range<usize>; 2]| self.taps(p).map(|t| i64::from(self.weight(output, t, k)) * real).sum();
        let mut sums = self.patterns.iter().map(sum);
        let first: i64 = sums.next()?;
        sums.all(|s| s == first).then_some(first)
    }

    /// An output channel's bias in the graph's form; `None` in float32.
    pub fn bias(&self, output: usize) -> Option<i64> {
        match &self.arithmetic {
            Arithmetic::I8 { bias, .. } => bias.get(output).copied(),
            Arithmetic::F32 { .. } => None,
        }
    }

    fn channel_bounds(&self, output: usize, input: &[Interval]) -> Interval {
        match &self.arithmetic {
            Arithmetic::I8 { requantizers, output: finish, .. } => {
                let Some(Accumulator { min, max }) = self.accumulator(output, input) else { return Interval::ALL };
                let (Ok(min), Ok(max)) = (i32::try_from(min), i32::try_from(max)) else { return Interval::ALL };
                // Multipliers are not negative and rounding is monotone, so the ends belong to the ends.
                let at = |acc| finish.requantize(requantizers[output], acc);
                Interval { min: at(min), max: at(max) }
            }
            Arithmetic::F32 { bias, limits } => {
                let zero =
                    |(k, channel): (usize, usize)| input[channel].constant() == Some(0) || !self.reads(output, k);
                let is_zero = limits.finish(bias[output]) == 0.0 && self.seen(output).enumerate().all(zero);
                if is_zero { Interval::of(0) } else { Interval::ALL }
            }
        }
    }

    fn weight(&self, output: usize, tap: usize, k: usize) -> i32 {
        let at = match self.channel_last {
            true => tap * self.n_outputs + output,
            false => (output * self.n_taps() + tap) * self.n_seen + k,
        };
        self.weights[at]
    }

    fn n_taps(&self) -> usize {
        self.kernel[0] * self.kernel[1]
    }

    fn taps<'a>(&'a self, [rows, columns]: &'a [Range<usize>; 2]) -> impl Iterator<Item = usize> + 'a {
        rows.clone().flat_map(move |y| columns.clone().map(move |x| y * self.kernel[1] + x))
    }

    /// Whether no choice of int8 inputs, and no sum in which some of them are missing, overflows.
    fn stays_in_32_bits(&self) -> bool {
        let Arithmetic::I8 { bias, .. } = &self.arithmetic else { return true };
        (0..self.n_outputs).all(|o| {
            let taps = (0..self.n_taps()).flat_map(|t| (0..self.n_seen).map(move |k| (t, k)));
            let weights: i64 = taps.map(|(t, k)| i64::from(self.weight(o, t, k).unsigned_abs())).sum();
            bias[o].abs() + weights * LARGEST_FACTOR <= i64::from(i32::MAX)
        })
    }
}

/// An int8 value minus its zero point is at most 255; the zero point that packing folds into the bias is 128 more.
const LARGEST_FACTOR: i64 = 255 + 128;

fn arithmetic(graph: &Graph, node: &Node, clamp: Clamp) -> Option<(Vec<i32>, Arithmetic)> {
    let input = graph.tensor(node.inputs[0]);
    if input.element_type == ElementType::F32 {
        let weights = graph.tensor(node.inputs[1]).constant.as_ref()?.as_f32()?;
        let n_outputs = *graph.tensor(node.outputs[0]).shape.last()?;
        let bias = match node.inputs.get(2) {
            Some(&id) => graph.tensor(id).constant.as_ref()?.as_f32()?.to_vec(),
            None => vec![0.0; n_outputs],
        };
        if bias.len() != n_outputs || !weights.iter().all(|w| w.is_finite()) {
            return None;
        }
        let limits = OutputF32 { min: clamp.min.unwrap_or(f32::NEG_INFINITY), max: clamp.max.unwrap_or(f32::INFINITY) };
        let weights = weights.iter().map(|&w| i32::from(w != 0.0)).collect();
        return Some((weights, Arithmetic::F32 { bias, limits }));
    }
    let ChannelArrays { weights, bias: folded, requantizers } = ChannelArrays::new(graph, node).ok()?;
    let zero_point = input.quantization.as_ref()?.zero_point;
    let bias = match node.inputs.get(2).map(|&id| &graph.tensor(id).constant) {
        Some(Some(Constant::I32(bias))) => bias.iter().map(|&b| i64::from(b)).collect(),
        Some(_) => return None,
        None => vec![0; folded.len()],
    };
    let output = output_i8(graph, node, clamp).ok()?;
    let weights = weights.into_iter().map(i32::from).collect();
    Some((weights, Arithmetic::I8 { bias, requantizers, input_zero_point: zero_point, output }))
}

/// The different sets of taps inside the image, over all output positions of an axis.
fn inside(axis: Axis, n_outputs: usize) -> Vec<Range<usize>> {
    let mut all: Vec<Range<usize>> = Vec::new();
    for position in 0..n_outputs {
        let taps = axis.taps(position);
        let range = if taps.count == 0 { 0..0 } else { taps.first..taps.first + taps.count };
        if !all.contains(&range) {
            all.push(range);
        }
    }
    all
}
