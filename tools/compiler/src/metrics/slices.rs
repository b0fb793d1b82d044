//! Whether every part of an output has its signal: what is small beside the rest does not count in the SQNR of the whole.
//!
//! A detector's output holds boxes in pixels and scores below 1: with all scores 0 its SQNR may still be 40 dB. So each
//! index along a channel-like axis is compared on its own.

use crate::array::{Array, ArrayData};
use crate::graph::{Graph, Operator, TensorId, Unary};
use serde::{Deserialize, Serialize};

/// One index of an axis of an output.
#[derive(Clone, Copy, Debug, PartialEq, Serialize, Deserialize)]
pub struct Slice {
    /// The axis of the output in the ONNX file; `None` for the whole output.
    pub axis: Option<usize>,
    /// Position along the axis.
    pub index: usize,
    /// SQNR of these elements, within +-200 dB.
    pub sqnr_db: f64,
    /// Whether the image tells something about them, or the model does not either.
    pub has_signal: bool,
}

impl std::fmt::Display for Slice {
    fn fmt(&self, f: &mut std::fmt::Formatter<'_>) -> std::fmt::Result {
        match self.axis {
            Some(axis) => write!(f, "index {} of axis {axis}", self.index),
            None => f.write_str("all of it"),
        }
    }
}

/// How the parts of an output relate.
#[derive(Clone, Copy, Debug, Default, PartialEq, Eq)]
pub enum Parts {
    /// Each may hold another thing: boxes in pixels, scores.
    #[default]
    Apart,
    /// One Softmax or Sigmoid computed all of them, or they add up to 1: one that hardly varies beside another is a class or
    /// a place where nothing was seen.
    Shares,
}

impl Parts {
    /// Of an output of the graph.
    pub fn of(graph: &Graph, output: TensorId) -> Self {
        let mut id = output;
        while let Some(idx) = graph.producer(id) {
            let node = &graph.nodes[idx];
            match &node.operator {
                Operator::Softmax | Operator::Unary(Unary::Sigmoid | Unary::HardSigmoid { .. }) => {
                    return Parts::Shares;
                }
                Operator::Reshape
                | Operator::Requantize
                | Operator::Transpose { .. }
                | Operator::Unary(Unary::Snap(_) | Unary::Clamp(_)) => id = node.inputs[0],
                _ => break,
            }
        }
        Parts::Apart
    }
}

/// Comparison of an output with the reference, part by part, over samples.
#[derive(Clone, Debug, Default)]
pub struct Slices {
    parts: Parts,
    whole: Part,
    axes: Vec<(usize, Vec<Part>)>,
    /// Whether some reference value is no integer: what is made of integers only says yes or no, or which.
    is_real: bool,
    /// Whether elements are steps of a quantized model.
    is_steps: bool,
    /// The image's step of this output, in its units, if it has one.
    step: Option<f64>,
    /// Whether some reference value is not on these steps.
    is_off_grid: bool,
    /// Whether some row of reference values, along the last axis, does not add up to 1.
    has_other_sum: bool,
}

impl Slices {
    /// Of an output whose parts relate so.
    pub fn new(parts: Parts) -> Self {
        Slices { parts, ..Slices::default() }
    }

    /// For an output that the image has in steps of this size. A model whose values are on these steps, too, is quantized
    /// already: an error of one step is rounding then.
    pub fn in_steps(self, step: Option<f32>) -> Self {
        Slices { step: step.map(f64::from), ..self }
    }

    /// Tells what the model gives for a sample that is not compared: parts that are far larger elsewhere than in the samples
    /// that are compared sleep in these, and are not judged by them.
    pub fn expect(&mut self, reference: &Array) {
        for (known, peak) in self.parts(&reference.shape).zip(peaks(reference)) {
            known.known_peak = known.known_peak.max(peak);
        }
    }

    /// The whole, and each index of each axis.
    fn parts(&mut self, shape: &[usize]) -> impl Iterator<Item = &mut Part> {
        if self.axes.is_empty() {
            self.axes = axes_of(shape).into_iter().map(|(axis, n)| (axis, vec![Part::default(); n])).collect();
        }
        std::iter::once(&mut self.whole).chain(self.axes.iter_mut().flat_map(|(_, parts)| parts))
    }

    /// Adds one sample of an output. Results that are no real numbers (indices, booleans) have no signal in this sense and
    /// are left out, as are samples whose shapes differ.
    pub fn add(&mut self, reference: &Array, found: &Array) {
        let steps = matches!(reference.data, ArrayData::I8(_) | ArrayData::U8(_));
        let real = matches!(reference.data, ArrayData::F32(_) | ArrayData::F64(_));
        if !(steps || real) || reference.n_elements() != found.n_elements() {
            return;
        }
        if steps {
            (self.is_steps, self.step) = (true, Some(1.0));
        }
        self.add_values(&reference.shape, &reference.to_f32(), &found.to_f32());
    }

    /// As [`Slices::add`], of real values.
    pub fn add_values(&mut self, shape: &[usize], reference: &[f32], found: &[f32]) {
        self.is_real |= reference.iter().any(|r| r.fract() != 0.0);
        if let Some(step) = self.step {
            let off_grid = |&r: &f32| (f64::from(r) / step - (f64::from(r) / step).round()).abs() > 1e-2;
            self.is_off_grid |= reference.iter().any(off_grid);
        }
        let row = shape.last().copied().unwrap_or(1);
        let is_share = |row: &[f32]| (row.iter().sum::<f32>() - 1.0).abs() < 1e-3 && row.iter().all(|&v| v >= 0.0);
        self.has_other_sum |= row < 2 || !reference.chunks(row).all(is_share);
        let whole = std::iter::once((0, 1, reference.len()));
        let axes = axes_of(shape).into_iter();
        let parts = axes.flat_map(|(axis, n)| (0..n).map(move |i| (i, n, shape[axis + 1..].iter().product())));
        let places: Vec<(usize, usize, usize)> = whole.chain(parts).collect();
        for (part, (index, n, run)) in self.parts(shape).zip(places) {
            let runs = |values: &[f32]| -> Vec<f32> {
                values.chunks(run.max(1)).skip(index).step_by(n).flatten().copied().collect()
            };
            runs(reference).into_iter().zip(runs(found)).for_each(|(r, f)| part.add(r, f));
        }
    }

    /// The whole and all parts that have something to lose, in the order of their axes.
    pub fn all(&self) -> Vec<Slice> {
        if !self.is_real && !self.is_steps {
            return Vec::new();
        }
        let least_peak = self.whole.peak * DEAD;
        let rounding = if self.is_off_grid { 0.0 } else { 1.01 * self.step.unwrap_or_default() };
        let is_lost = |part: &Part| part.is_broken || (part.max_abs_error > rounding && part.is_lost());
        let slice = |axis: Option<usize>, index: usize, part: &Part, is_forgiven: bool| {
            let sqnr_db = part.sqnr_db().clamp(-200.0, 200.0);
            let has_signal = !is_lost(part) || (is_forgiven && part.varies());
            let slice = Slice { axis, index, sqnr_db, has_signal };
            let is_awake = part.peak > least_peak && part.peak >= AWAKE * part.known_peak;
            (part.is_broken || (part.n >= LEAST_VALUES && is_awake)).then_some(slice)
        };
        let parts = self.axes.iter().flat_map(|(axis, parts)| {
            let n = parts.len();
            let most = parts.iter().map(Part::deviation).fold(0.0, f64::max);
            let relation = if self.has_other_sum { self.parts } else { Parts::Shares };
            let least = match relation {
                Parts::Shares if parts.len() > MOST_SHARES => f64::INFINITY,
                Parts::Shares => FAINT * most,
                Parts::Apart => 0.0,
            };
            let parts = parts.iter().enumerate().filter(move |(_, part)| part.is_broken || part.deviation() >= least);
            // One noisy number in many, as of a state, is what quantization costs.
            let is_forgiven = parts.clone().filter(|(_, part)| is_lost(part)).count() <= n / MANY;
            parts.filter_map(move |(i, part)| slice(Some(*axis), i, part, is_forgiven))
        });
        slice(None, 0, &self.whole, false).into_iter().chain(parts).collect()
    }

    /// The part with the least SQNR, those without signal before all others.
    pub fn worst(&self) -> Option<Slice> {
        self.all()
            .into_iter()
            .min_by(|a, b| (a.has_signal, a.sqnr_db).partial_cmp(&(b.has_signal, b.sqnr_db)).expect("bounded"))
    }
}

/// The largest size of a finite value in the whole of an output, and in each of its parts: their order is the same for all
/// outputs of one shape.
pub fn peaks(output: &Array) -> Vec<f64> {
    let values = output.to_f32();
    let size = |v: &f32| if v.is_finite() { f64::from(v.abs()) } else { 0.0 };
    let mut peaks = vec![values.iter().map(size).fold(0.0, f64::max)];
    for (axis, n) in axes_of(&output.shape) {
        let run: usize = output.shape[axis + 1..].iter().product();
        let first = peaks.len();
        peaks.resize(first + n, 0.0);
        for (i, value) in values.iter().enumerate() {
            let peak: &mut f64 = &mut peaks[first + i / run % n];
            *peak = peak.max(size(value));
        }
    }
    peaks
}

/// [`channel_axes`] with their lengths.
fn axes_of(shape: &[usize]) -> Vec<(usize, usize)> {
    channel_axes(shape).into_iter().map(|axis| (axis, shape[axis])).collect()
}

/// The axes along which an output may hold different things: the second and the last one. Of a map of pixels the one that
/// is no side of it, as far as the shape tells; axes of very many indices are positions.
fn channel_axes(shape: &[usize]) -> Vec<usize> {
    let last = shape.len().saturating_sub(1);
    let mut axes = vec![1, last];
    axes.dedup();
    if let [_, second, third, fourth] = *shape {
        match (third == fourth, second == third) {
            (true, false) => axes = vec![1],
            (false, true) => axes = vec![3],
            _ => {}
        }
    }
    axes.retain(|&axis| axis < shape.len() && (2..=MOST_INDICES).contains(&shape[axis]));
    axes
}

/// Sums over the elements of a part.
#[derive(Clone, Copy, Debug)]
struct Part {
    n: usize,
    sum: f64,
    signal: f64,
    noise: f64,
    found: f64,
    product: f64,
    peak: f64,
    /// In samples that are not compared.
    known_peak: f64,
    max_abs_error: f64,
    found_bounds: [f32; 2],
    /// Values of which exactly one is finite, or that are different infinities.
    is_broken: bool,
}

impl Default for Part {
    fn default() -> Self {
        let found_bounds = [f32::INFINITY, f32::NEG_INFINITY];
        let zero = 0.0;
        Part {
            n: 0,
            sum: zero,
            signal: zero,
            noise: zero,
            found: zero,
            product: zero,
            peak: zero,
            known_peak: zero,
            max_abs_error: zero,
            found_bounds,
            is_broken: false,
        }
    }
}

impl Part {
    fn add(&mut self, reference: f32, found: f32) {
        if !reference.is_finite() || !found.is_finite() {
            self.is_broken |= reference != found && !(reference.is_nan() && found.is_nan());
            return;
        }
        let (r, f) = (f64::from(reference), f64::from(found));
        self.n += 1;
        self.sum += r;
        self.signal += r * r;
        self.noise += (r - f) * (r - f);
        self.found += f * f;
        self.product += r * f;
        self.peak = self.peak.max(r.abs());
        self.max_abs_error = self.max_abs_error.max((r - f).abs());
        self.found_bounds = [self.found_bounds[0].min(found), self.found_bounds[1].max(found)];
    }

    fn sqnr_db(&self) -> f64 {
        match (self.is_broken, self.noise) {
            (true, _) => f64::NEG_INFINITY,
            (false, 0.0) => f64::INFINITY,
            (false, noise) => 10.0 * (self.signal / noise).log10(),
        }
    }

    /// Standard deviation of the reference's values.
    fn deviation(&self) -> f64 {
        let n = self.n.max(1) as f64;
        (self.signal / n - (self.sum / n).powi(2)).max(0.0).sqrt()
    }

    /// Whether there are several values.
    fn varies(&self) -> bool {
        !self.is_broken && self.found_bounds[0] < self.found_bounds[1]
    }

    /// One value where the reference has many, or something else than the reference.
    fn is_lost(&self) -> bool {
        let varies = self.deviation() > VARIES * (self.signal / self.n.max(1) as f64).sqrt();
        let lengths = (self.signal * self.found).sqrt();
        let cosine = if lengths > 0.0 { self.product / lengths } else { 0.0 };
        (!self.varies() && varies) || (self.sqnr_db() < NO_SIGNAL_DB && cosine < NO_SIGNAL_COSINE)
    }
}

/// Below this SQNR there is no signal, unless values still go up and down with the reference's.
const NO_SIGNAL_DB: f64 = 3.0;
const NO_SIGNAL_COSINE: f64 = 0.7;
/// Deviation over size from which on values vary: a constant can be within 30 dB of what varies less.
const VARIES: f64 = 0.03;
/// One part in so many may be noise.
const MANY: usize = 64;
/// More shares than these are places, or classes whose sizes compare.
const MOST_SHARES: usize = 8;
/// What varies less than this beside another share tells that nothing is there: a few steps of 1/256.
const FAINT: f64 = 1.0 / 32.0;
/// What is smaller than this beside the largest value is float32 rounding.
const DEAD: f64 = 1e-7;
/// A part whose largest value is smaller than this beside that of other samples is not judged.
const AWAKE: f64 = 0.1;
/// Fewer values than these tell nothing.
const LEAST_VALUES: usize = 4;
/// Axes with more indices are positions, or classes by the thousand.
const MOST_INDICES: usize = 256;

#[cfg(test)]
mod tests {
    use super::*;

    const N: usize = 8;

    /// Two channels beside each other, compared as `[1, 2, N]`; gives the slices without signal.
    fn lost(
        reference: impl Fn(usize, usize) -> f32,
        found: impl Fn(usize, usize) -> f32,
    ) -> Vec<(Option<usize>, usize)> {
        let values = |f: &dyn Fn(usize, usize) -> f32| (0..2 * N).map(|i| f(i / N, i % N)).collect();
        let mut slices = Slices::default();
        let array = |values| Array::f32(vec![1, 2, N], values);
        slices.add(&array(values(&reference)), &array(values(&found)));
        slices.all().into_iter().filter(|s| !s.has_signal).map(|s| (s.axis, s.index)).collect()
    }

    fn wave(i: usize) -> f32 {
        (i as f32 * 1.7).sin()
    }

    #[test]
    fn small_parts_count_beside_large_ones() {
        let model = |c: usize, i: usize| if c == 0 { 600.0 * wave(i) } else { 0.002 * wave(i) + 0.003 };
        assert_eq!(lost(model, model), []);
        assert_eq!(lost(model, |c, i| if c == 0 { model(c, i) } else { 0.0 }), [(Some(1), 1)]);
        assert_eq!(lost(model, |c, i| if c == 0 { model(c, i) } else { 0.003 }), [(Some(1), 1)]);
        assert_eq!(lost(model, |c, i| model(c, i) * 1.1), []);
        assert_eq!(
            lost(model, |c, i| model(c, if c == 0 { i } else { (i + 2) % N }) - if c == 0 { 0.0 } else { 0.006 }),
            [(Some(1), 1)]
        );
        assert_eq!(lost(model, |c, i| if c == 1 && i == 3 { f32::NAN } else { model(c, i) }).len(), 3);
    }

    #[test]
    fn what_has_no_signal_loses_none() {
        let model = |c: usize, i: usize| if c == 0 { 1.0 + wave(i) } else { 0.0 };
        assert_eq!(lost(model, model), []);
        // Rounding beside large numbers, a constant, numbers that hardly vary, choices.
        assert_eq!(
            lost(|c, i| if c == 0 { wave(i) } else { 1e-9 * wave(i) }, |c, i| if c == 0 { wave(i) } else { 0.0 }),
            []
        );
        assert_eq!(lost(|c, i| if c == 0 { wave(i) } else { 0.31 }, |c, i| if c == 0 { wave(i) } else { 0.3 }), []);
        let steady = |c: usize, i: usize| if c == 0 { wave(i) } else { 0.9 + 0.01 * wave(i) };
        assert_eq!(lost(steady, |c, i| if c == 0 { wave(i) } else { 0.9 }), []);
        assert_eq!(lost(|_, i| (i % 4 == 0) as u8 as f32, |_, _| 0.0), []);
    }

    #[test]
    fn faint_shares_of_one_function_tell_that_nothing_is_there() {
        let check = |parts: Parts, faint: f32, expected: usize| {
            let scores = |faint: f32| {
                Array::f32(
                    vec![1, 2, N],
                    (0..2 * N).map(|i| (if i < N { 1.0 } else { faint }) * wave(i).abs()).collect(),
                )
            };
            let mut slices = Slices::new(parts);
            slices.add(&scores(faint), &scores(0.0));
            assert_eq!(slices.all().iter().filter(|s| !s.has_signal).count(), expected, "{parts:?} {faint}");
        };
        check(Parts::Shares, 0.01, 0);
        check(Parts::Shares, 0.1, 1);
        check(Parts::Apart, 0.01, 1);
    }

    #[test]
    fn one_step_of_a_quantized_model_is_rounding() {
        let check = |step: Option<f32>, found: f32, expected: bool| {
            let mut slices = Slices::default().in_steps(step);
            let reference = (0..N).map(|i| if i % 2 == 0 { 0.75 } else { 1.0 }).collect();
            slices.add(&Array::f32(vec![1, N], reference), &Array::f32(vec![1, N], vec![found; N]));
            assert_eq!(slices.worst().unwrap().has_signal, expected, "{step:?} {found}");
        };
        check(None, 1.0, false);
        check(Some(0.25), 1.0, true);
        check(Some(0.25), 0.5, false);
        check(Some(0.2), 0.8, false);
    }

    #[test]
    fn a_part_is_judged_by_samples_in_which_it_is_awake() {
        let scores = |rare: f32| {
            Array::f32(vec![1, 2, N], (0..2 * N).map(|i| if i < N { wave(i) } else { rare * wave(i) }).collect())
        };
        let check = |elsewhere: f32, expected: usize| {
            let mut slices = Slices::default();
            slices.expect(&scores(elsewhere));
            slices.add(&scores(0.001), &scores(0.0));
            assert_eq!(slices.all().iter().filter(|s| !s.has_signal).count(), expected, "{elsewhere}");
        };
        check(0.001, 1);
        check(1.0, 0);
        assert_eq!(peaks(&Array::f32(vec![1, 2, 2], vec![1.0, -3.0, f32::NAN, 2.0])), [3.0, 3.0, 2.0, 1.0, 3.0]);
    }

    #[test]
    fn channels_are_no_positions() {
        let check = |shape: &[usize], expected: &[usize]| assert_eq!(channel_axes(shape), expected, "{shape:?}");
        check(&[1, 84, 8400], &[1]);
        check(&[1, 8400, 85], &[2]);
        check(&[1, 10], &[1]);
        check(&[1, 1], &[]);
        check(&[4], &[0]);
        check(&[], &[]);
        check(&[1, 6, 20, 20], &[1]);
        check(&[1, 20, 20, 6], &[3]);
        check(&[1, 3, 20, 20, 85], &[1, 4]);
        check(&[1, 1000], &[]);
    }
}
