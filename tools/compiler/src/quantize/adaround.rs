//! Rounding of weights learned on what a layer reads, instead of to the nearest step.
//!
//! (Nagel et al. 2020, "Up or Down? Adaptive Rounding for Post-Training Quantization", arXiv 2004.10568.)

use crate::array::Array;
use crate::graph::{Graph, Node, Operator, Origin, Window};
use std::collections::{BTreeMap, HashMap};
use std::sync::{Arc, Mutex, PoisonError};

/// What layers read during calibration: a few windows of each layer's input, by node name.
///
/// # Memory
/// At most 512 KiB for each layer, whatever the number of samples.
#[derive(Clone, Debug, Default)]
pub struct LayerInputs {
    layers: BTreeMap<String, Windows>,
    random: u64,
    /// What was learned already: a model is quantized many times when precisions are searched.
    learned: Arc<Mutex<HashMap<Question, Vec<i8>>>>,
}

/// Node, scales, largest step.
type Question = (String, Vec<u32>, i8);

#[derive(Clone, Debug)]
struct Windows {
    origin: Origin,
    /// Of the input, NHWC; `[rows, features]` for fully connected layers.
    shape: Vec<usize>,
    window: Option<Window>,
    output: [usize; 2],
    /// Elements of a window.
    length: usize,
    values: Vec<f32>,
}

impl LayerInputs {
    /// Ready to observe the inputs of the graph's layers.
    pub fn of_graph(graph: &Graph) -> Self {
        let layers = graph.nodes.iter().filter_map(|node| {
            let input = graph.tensor(*node.inputs.first()?);
            let window = match &node.operator {
                Operator::Conv2d { window, .. } | Operator::DepthwiseConv2d { window, .. } => Some(window.clone()),
                Operator::FullyConnected { .. } => None,
                _ => return None,
            };
            let channels = *input.shape.last()?;
            let output = &graph.tensor(node.outputs[0]).shape;
            let (length, output) = match &window {
                Some(window) => (window.kernel[0] * window.kernel[1] * channels, [*output.get(1)?, *output.get(2)?]),
                None => (channels, [input.n_elements().checked_div(channels)?, 1]),
            };
            let shape = input.shape.clone();
            let windows = Windows { origin: input.origin.clone()?, shape, window, output, length, values: Vec::new() };
            Some((node.name.clone(), windows))
        });
        LayerInputs { layers: layers.collect(), random: 1, learned: Arc::default() }
    }

    /// Takes some windows of an ONNX tensor's values.
    pub fn observe(&mut self, name: &str, values: &Array) {
        for layer in self.layers.values_mut().filter(|l| l.origin.name == name) {
            let data = values.to_f32();
            let data: Vec<f32> = layer.origin.order(&values.shape).into_iter().map(|i| data[i]).collect();
            if data.len() != layer.shape.iter().product::<usize>() {
                continue;
            }
            for _ in 0..WINDOWS_PER_SAMPLE {
                if layer.values.len() + layer.length > MOST_VALUES {
                    break;
                }
                let mut next = |n: usize| {
                    self.random =
                        self.random.wrapping_mul(6_364_136_223_846_793_005).wrapping_add(1_442_695_040_888_963_407);
                    (self.random >> 33) as usize % n.max(1)
                };
                let at = layer.output.map(&mut next);
                layer.take(&data, at);
            }
        }
    }

    /// The windows that a layer saw, each as long as its filter over all input channels; empty when it saw none.
    fn of(&self, node: &str) -> Option<(&[f32], usize)> {
        self.layers.get(node).map(|l| (&l.values[..], l.length)).filter(|(values, _)| !values.is_empty())
    }
}

impl Windows {
    /// Appends the window of one output position; what is outside the picture is 0.
    fn take(&mut self, data: &[f32], at: [usize; 2]) {
        let Some(window) = &self.window else {
            self.values.extend_from_slice(&data[at[0] * self.length..][..self.length]);
            return;
        };
        let [height, width, channels] = [self.shape[1], self.shape[2], self.shape[3]];
        for row in 0..window.kernel[0] {
            for column in 0..window.kernel[1] {
                let place = |axis: usize, tap: usize, n: usize| {
                    (at[axis] * window.stride[axis] + tap * window.dilation[axis])
                        .checked_sub(window.padding[axis])
                        .filter(|&p| p < n)
                };
                match (place(0, row, height), place(1, column, width)) {
                    (Some(y), Some(x)) => {
                        let start = (y * width + x) * channels;
                        self.values.extend_from_slice(&data[start..start + channels]);
                    }
                    _ => self.values.extend(std::iter::repeat_n(0.0, channels)),
                }
            }
        }
    }
}

/// What weights are rounded to.
#[derive(Clone, Copy)]
pub(super) struct Steps<'a> {
    /// One per output channel.
    pub scales: &'a [f32],
    /// The largest step of a weight.
    pub most: i8,
}

/// Steps for all weights of a layer, or `None` when nothing is known of what it reads.
pub(super) fn round_weights(
    inputs: &LayerInputs,
    graph: &Graph,
    node: &Node,
    weights: &[f32],
    Steps { scales, most }: Steps<'_>,
) -> Option<Vec<i8>> {
    let question = (node.name.clone(), scales.iter().map(|s| s.to_bits()).collect::<Vec<u32>>(), most);
    let known = || inputs.learned.lock().unwrap_or_else(PoisonError::into_inner);
    if let Some(steps) = known().get(&question) {
        return Some(steps.clone());
    }
    let (windows, length) = inputs.of(&node.name)?;
    let channels = *graph.tensor(node.inputs[0]).shape.last()?;
    let n_outputs = scales.len();
    let mut steps = vec![0i8; weights.len()];
    for (o, &scale) in scales.iter().enumerate() {
        // Where the weights of this output channel are, and which element of a window each of them meets.
        let taps: Vec<(usize, usize)> = match &node.operator {
            Operator::DepthwiseConv2d { multiplier, .. } => {
                (0..weights.len() / n_outputs).map(|k| (k * n_outputs + o, k * channels + o / multiplier)).collect()
            }
            operator => {
                let groups = if let Operator::Conv2d { groups, .. } = operator { *groups } else { 1 };
                let (filter, seen) = (weights.len() / n_outputs, channels / groups);
                let group = o / (n_outputs / groups).max(1);
                let place = |k: usize| (k / seen) * channels + group * seen + k % seen;
                (0..filter).map(|k| (o * filter + k, place(k))).collect()
            }
        };
        let rows: Vec<f32> =
            windows.chunks_exact(length).flat_map(|w| taps.iter().map(|&(_, place)| w[place])).collect();
        let targets: Vec<f32> = taps.iter().map(|&(at, _)| weights[at] / scale).collect();
        for (&(at, _), step) in taps.iter().zip(learn(&rows, &targets, most)) {
            steps[at] = step;
        }
    }
    known().insert(question, steps.clone());
    Some(steps)
}

/// Rounds one filter.
///
/// # Algorithm
/// Each weight is `floor(w) + h(v)` steps with `h(v) = clamp(1.2 * sigmoid(v) - 0.1, 0, 1)`. Adam minimizes
/// `|rows (steps - w)|^2 / E + lambda * sum(1 - |2 h - 1|^beta)`, `E` being that of rounding to nearest and `beta` falling
/// from 20 to 2, after which every h is near 0 or 1. What is left is rounded; then single weights are turned over as long
/// as that lowers the error, and nearest wins where it was better.
fn learn(rows: &[f32], weights: &[f32], most: i8) -> Vec<i8> {
    let most = f32::from(most);
    let n = weights.len();
    let nearest: Vec<f32> = weights.iter().map(|w| w.round().clamp(-most, most)).collect();
    let nearest_error = error(rows, weights, &nearest);
    let as_steps = |steps: &[f32]| steps.iter().map(|&s| s as i8).collect();
    if nearest_error <= 0.0 {
        return as_steps(&nearest);
    }
    let floors: Vec<f32> = weights.iter().map(|w| w.floor().clamp(-most, most - 1.0)).collect();
    let logit = |(w, floor): (&f32, &f32)| {
        let share = ((w - floor).clamp(0.01, 0.99) + 0.1) / 1.2;
        (share / (1.0 - share)).ln()
    };
    let mut v: Vec<f32> = weights.iter().zip(&floors).map(logit).collect();
    let (mut first, mut second) = (vec![0.0f32; n], vec![0.0f32; n]);
    let mut steps = nearest.clone();
    for iteration in 1..=ITERATIONS {
        let progress = iteration as f32 / ITERATIONS as f32;
        let beta = 2.0 + 18.0 * (1.0 - progress);
        for k in 0..n {
            steps[k] = floors[k] + stretched(v[k]).0;
        }
        let slopes = gradient(rows, weights, &steps);
        for k in 0..n {
            let (h, slope) = stretched(v[k]);
            let side = 2.0 * h - 1.0;
            let pull = -LAMBDA * 2.0 * beta * side.abs().powf(beta - 1.0) * side.signum();
            let pull = if progress < WARM_UP { 0.0 } else { pull };
            let g = (slopes[k] / nearest_error as f32 + pull / n as f32) * slope;
            first[k] = 0.9 * first[k] + 0.1 * g;
            second[k] = 0.999 * second[k] + 0.001 * g * g;
            let unbiased = |m: f32, decay: f32| m / (1.0 - decay.powi(iteration));
            v[k] -= RATE * unbiased(first[k], 0.9) / (unbiased(second[k], 0.999).sqrt() + 1e-12);
        }
    }
    let mut learned: Vec<f32> = (0..n).map(|k| floors[k] + if stretched(v[k]).0 >= 0.5 { 1.0 } else { 0.0 }).collect();
    turn(rows, weights, &floors, &mut learned);
    if error(rows, weights, &learned) < nearest_error { as_steps(&learned) } else { as_steps(&nearest) }
}

/// Turns over the weight that lowers the error most, up or down, until none does.
fn turn(rows: &[f32], weights: &[f32], floors: &[f32], steps: &mut [f32]) {
    let n = weights.len();
    let mut curvatures = vec![0.0f32; n];
    for row in rows.chunks_exact(n) {
        curvatures.iter_mut().zip(row).for_each(|(c, x)| *c += x * x);
    }
    for _ in 0..n {
        let slopes = gradient(rows, weights, steps);
        let change = |k: usize| {
            let by = if steps[k] > floors[k] { -1.0 } else { 1.0 };
            (by * slopes[k] + curvatures[k], by)
        };
        let best = (0..n).map(|k| (k, change(k))).min_by(|a, b| a.1.0.total_cmp(&b.1.0));
        match best {
            Some((k, (less, by))) if less < -1e-4 * curvatures[k] => steps[k] += by,
            _ => return,
        }
    }
}

/// `h(v)` and its slope.
fn stretched(v: f32) -> (f32, f32) {
    let sigmoid = 1.0 / (1.0 + (-v).exp());
    let h = 1.2 * sigmoid - 0.1;
    if (0.0..=1.0).contains(&h) { (h, 1.2 * sigmoid * (1.0 - sigmoid)) } else { (h.clamp(0.0, 1.0), 0.0) }
}

/// Sum of the squares of `rows (steps - weights)`.
fn error(rows: &[f32], weights: &[f32], steps: &[f32]) -> f64 {
    let of_row = |row: &[f32]| row.iter().zip(steps.iter().zip(weights)).map(|(x, (s, w))| x * (s - w)).sum::<f32>();
    rows.chunks_exact(weights.len()).map(|row| f64::from(of_row(row)).powi(2)).sum()
}

/// Derivative of [`error`] by each step.
fn gradient(rows: &[f32], weights: &[f32], steps: &[f32]) -> Vec<f32> {
    let differences: Vec<f32> = steps.iter().zip(weights).map(|(s, w)| s - w).collect();
    let mut slopes = vec![0.0f32; weights.len()];
    for row in rows.chunks_exact(weights.len()) {
        let result: f32 = row.iter().zip(&differences).map(|(x, d)| x * d).sum();
        slopes.iter_mut().zip(row).for_each(|(slope, x)| *slope += 2.0 * result * x);
    }
    slopes
}

const WINDOWS_PER_SAMPLE: usize = 8;
/// Values of all windows of a layer.
const MOST_VALUES: usize = 1 << 17;
const ITERATIONS: i32 = 400;
/// Part of the iterations without regularization.
const WARM_UP: f32 = 0.2;
const LAMBDA: f32 = 0.01;
const RATE: f32 = 0.05;

#[cfg(test)]
mod tests {
    use super::*;

    fn uniform(state: &mut u64) -> f32 {
        *state = state.wrapping_mul(6_364_136_223_846_793_005).wrapping_add(1_442_695_040_888_963_407);
        (*state >> 40) as f32 / (1 << 23) as f32 - 1.0
    }

    /// Inputs that are alike: errors of one weight can undo those of another one.
    #[test]
    fn learned_rounding_beats_the_nearest_where_inputs_are_alike() {
        let mut state = 7;
        let (mut better, mut ratio) = (0, 0.0);
        for _ in 0..20 {
            let weights: Vec<f32> = (0..24).map(|_| uniform(&mut state) * 40.0).collect();
            let mut rows = Vec::new();
            for _ in 0..100 {
                let all = 1.0 + uniform(&mut state);
                rows.extend((0..24).map(|_| all + 0.2 * uniform(&mut state)));
            }
            let steps: Vec<f32> = learn(&rows, &weights, 127).into_iter().map(f32::from).collect();
            let nearest: Vec<f32> = weights.iter().map(|w| w.round()).collect();
            assert!(steps.iter().zip(&weights).all(|(s, w)| (s - w).abs() <= 1.0));
            let (found, before) = (error(&rows, &weights, &steps), error(&rows, &weights, &nearest));
            assert!(found <= before);
            better += usize::from(found < 0.7 * before);
            ratio += found / before / 20.0;
        }
        assert!(better >= 15 && ratio < 0.5, "{better} of 20 better, {ratio:.3} of the error");
        std::println!("{ratio:.3} of the error of rounding to nearest");
    }

    #[test]
    fn weights_at_the_ends_stay_in_range() {
        assert_eq!(learn(&[1.0, 1.0], &[127.0, -127.0], 127), [127, -127]);
        let steps = learn(&[1.0, -1.0, 0.5, 2.0], &[126.6, -126.6], 127);
        assert!(steps.iter().all(|&s| (-127..=127).contains(&i32::from(s))), "{steps:?}");
        assert_eq!(learn(&[0.0, 0.0], &[0.4, 0.6], 127), [0, 1]);
    }
}
