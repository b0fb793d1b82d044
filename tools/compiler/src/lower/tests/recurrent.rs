//! Recurrent layers with random attributes against the definition, written out in binary64.

use crate::array::{Array, ArrayData, NamedArray};
use crate::float_model::{FloatModel, OwnKernels};
use crate::import::build::{Attr, ModelBuilder};
use crate::lower::lower;
use crate::passes::simplify;
use crate::samples::Sample;

/// An activation; the file has its numbers in lists of their own, where only those stand that a function takes.
#[derive(Clone, Copy, Debug)]
struct Function {
    name: &'static str,
    alpha: Option<f32>,
    beta: Option<f32>,
}

impl Function {
    fn of(name: &'static str) -> Self {
        Function { name, alpha: None, beta: None }
    }

    fn evaluate(self, v: f64) -> f64 {
        let (alpha, beta) = (self.alpha.map_or(0.0, f64::from), self.beta.map_or(0.0, f64::from));
        match self.name {
            "Relu" => v.max(0.0),
            "Tanh" => v.tanh(),
            "Sigmoid" => 1.0 / (1.0 + (-v).exp()),
            "Softsign" => v / (1.0 + v.abs()),
            "Softplus" => v.exp().ln_1p(),
            "Affine" => alpha * v + beta,
            "LeakyRelu" => {
                if v < 0.0 {
                    alpha * v
                } else {
                    v
                }
            }
            "ThresholdedRelu" => {
                if v > alpha {
                    v
                } else {
                    0.0
                }
            }
            "ScaledTanh" => alpha * (beta * v).tanh(),
            "HardSigmoid" => (alpha * v + beta).clamp(0.0, 1.0),
            "Elu" => {
                if v < 0.0 {
                    alpha * v.exp_m1()
                } else {
                    v
                }
            }
            other => panic!("no function {other}"),
        }
    }
}

/// A layer of ONNX operator set 14.
#[derive(Clone, Debug)]
struct Layer {
    operator: &'static str,
    /// Order of the steps of each direction: whether it is backwards.
    backwards: Vec<bool>,
    activations: Option<Vec<Function>>,
    clip: Option<f32>,
    input_forget: bool,
    linear_before_reset: bool,
    batch_first: bool,
    lengths: Option<Vec<i32>>,
    /// steps, batch, inputs, hidden
    sizes: [usize; 4],
    w: Vec<f32>,
    r: Vec<f32>,
    b: Option<Vec<f32>>,
    h0: Option<Vec<f32>>,
    c0: Option<Vec<f32>>,
    peepholes: Option<Vec<f32>>,
}

pub(super) struct Random(pub u64);

impl Random {
    pub fn below(&mut self, n: u64) -> u64 {
        self.0 = self.0.wrapping_mul(6_364_136_223_846_793_005).wrapping_add(1_442_695_040_888_963_407);
        (self.0 >> 33) % n
    }

    pub fn one_of<T: Copy>(&mut self, values: &[T]) -> T {
        values[self.below(values.len() as u64) as usize]
    }

    pub fn yes(&mut self) -> bool {
        self.below(2) == 0
    }

    pub fn values(&mut self, n: usize, size: f32) -> Vec<f32> {
        (0..n).map(|_| (self.below(2001) as f32 / 1000.0 - 1.0) * size).collect()
    }

    fn function(&mut self) -> Function {
        let plain = ["Relu", "Tanh", "Sigmoid", "Softsign", "Softplus"];
        let numbered = ["Affine", "LeakyRelu", "ThresholdedRelu", "ScaledTanh", "HardSigmoid", "Elu"];
        if self.yes() {
            return Function::of(self.one_of(&plain));
        }
        let name = self.one_of(&numbered);
        let mut number = || Some(0.1 + self.below(80) as f32 / 100.0);
        let beta = if ["Affine", "ScaledTanh", "HardSigmoid"].contains(&name) { number() } else { None };
        Function { name, alpha: number(), beta }
    }

    fn layer(&mut self) -> Layer {
        let operator = self.one_of(&["LSTM", "GRU", "RNN"]);
        let (gates, n_activations) = match operator {
            "LSTM" => (4, 3),
            "GRU" => (3, 2),
            _ => (1, 1),
        };
        let backwards = self.one_of(&[&[false][..], &[true], &[false, true]]).to_vec();
        let directions = backwards.len();
        let sizes = [
            1 + self.below(5) as usize,
            1 + self.below(3) as usize,
            1 + self.below(4) as usize,
            1 + self.below(5) as usize,
        ];
        let [steps, batch, inputs, hidden] = sizes;
        let activations = self.yes().then(|| (0..n_activations * directions).map(|_| self.function()).collect());
        let lengths = (self.below(3) == 0).then(|| (0..batch).map(|_| self.below(steps as u64 + 1) as i32).collect());
        let mut optional = |n: usize| self.yes().then(|| self.values(n, 0.5));
        let b = optional(directions * 2 * gates * hidden);
        let h0 = optional(directions * batch * hidden);
        let (c0, peepholes) = match operator {
            "LSTM" => (optional(directions * batch * hidden), optional(directions * 3 * hidden)),
            _ => (None, None),
        };
        Layer {
            operator,
            activations,
            clip: (self.below(3) == 0).then(|| 0.2 + self.below(100) as f32 / 50.0),
            input_forget: operator == "LSTM" && self.below(4) == 0,
            linear_before_reset: operator == "GRU" && self.yes(),
            batch_first: self.below(3) == 0,
            lengths,
            w: self.values(directions * gates * hidden * inputs, 0.7),
            r: self.values(directions * gates * hidden * hidden, 0.5),
            backwards,
            sizes,
            b,
            h0,
            c0,
            peepholes,
        }
    }
}

impl Layer {
    fn n_gates(&self) -> usize {
        self.w.len() / (self.backwards.len() * self.sizes[3] * self.sizes[2])
    }

    fn model(&self) -> ModelBuilder {
        let [steps, batch, inputs, hidden] = self.sizes;
        let (d, rows) = (self.backwards.len(), self.n_gates() * hidden);
        let mut model = ModelBuilder::new(14)
            .input("x", &if self.batch_first { [batch, steps, inputs] } else { [steps, batch, inputs] })
            .weight("w", Array::f32(vec![d, rows, inputs], self.w.clone()))
            .weight("r", Array::f32(vec![d, rows, hidden], self.r.clone()));
        let state = if self.batch_first { vec![batch, d, hidden] } else { vec![d, batch, hidden] };
        let mut names = vec!["x", "w", "r", "", "", "", "", ""];
        let given = [
            (3, "b", vec![d, 2 * rows], &self.b),
            (5, "h0", state.clone(), &self.h0),
            (6, "c0", state, &self.c0),
            (7, "p", vec![d, 3 * hidden], &self.peepholes),
        ];
        for (at, name, shape, values) in given {
            if let Some(values) = values {
                model = model.weight(name, Array::f32(shape, values.clone()));
                names[at] = name;
            }
        }
        if let Some(lengths) = &self.lengths {
            model = model.weight("lengths", Array::new(vec![batch], ArrayData::I32(lengths.clone())));
            names[4] = "lengths";
        }
        let direction = match self.backwards[..] {
            [false] => "forward",
            [true] => "reverse",
            _ => "bidirectional",
        };
        let mut attributes = vec![
            ("hidden_size", Attr::I(hidden as i64)),
            ("direction", Attr::S(direction)),
            ("layout", Attr::I(self.batch_first.into())),
        ];
        if let Some(functions) = &self.activations {
            attributes.push(("activations", Attr::Ss(functions.iter().map(|f| f.name).collect())));
            let numbers = [("activation_alpha", 0), ("activation_beta", 1)];
            for (name, which) in numbers {
                let given: Vec<f32> = functions.iter().filter_map(|f| [f.alpha, f.beta][which]).collect();
                if !given.is_empty() {
                    attributes.push((name, Attr::Fs(given)));
                }
            }
        }
        attributes.extend(self.clip.map(|limit| ("clip", Attr::F(limit))));
        attributes.extend(self.input_forget.then_some(("input_forget", Attr::I(1))));
        attributes.extend(self.linear_before_reset.then_some(("linear_before_reset", Attr::I(1))));
        let outputs: &[&str] = if self.operator == "LSTM" { &["y", "yh", "yc"] } else { &["y", "yh"] };
        model = model.node(self.operator, &names, outputs, &attributes);
        outputs.iter().fold(model, |model, name| model.output(name))
    }

    /// The states of one direction and one sequence, as ONNX and, for what it leaves open, onnxruntime have it: each step's h, the last
    /// h and the last c.
    fn sequence(
        &self,
        direction: usize,
        batch: usize,
        x: &dyn Fn(usize) -> Vec<f64>,
    ) -> (Vec<Vec<f64>>, Vec<f64>, Vec<f64>) {
        let [steps, n_batch, inputs, hidden] = self.sizes;
        let rows = self.n_gates() * hidden;
        let state = |values: &Option<Vec<f32>>| -> Vec<f64> {
            let at =
                if self.batch_first { batch * self.backwards.len() + direction } else { direction * n_batch + batch };
            let from = |v: &Vec<f32>| v[at * hidden..(at + 1) * hidden].iter().map(|&v| f64::from(v)).collect();
            values.as_ref().map_or(vec![0.0; hidden], from)
        };
        let (mut h, mut c) = (state(&self.h0), state(&self.c0));
        let bias = |row: usize| self.b.as_ref().map_or(0.0, |b| f64::from(b[direction * 2 * rows + row]));
        let product = |weights: &[f32], n: usize, row: usize, v: &[f64]| -> f64 {
            (0..n).map(|k| f64::from(weights[(direction * rows + row) * n + k]) * v[k]).sum()
        };
        let defaults: &[&str] = match self.operator {
            "LSTM" => &["Sigmoid", "Tanh", "Tanh"],
            "GRU" => &["Sigmoid", "Tanh"],
            _ => &["Tanh"],
        };
        let function = |which: usize, v: f64| {
            let own = self.activations.as_ref().map(|functions| functions[direction * defaults.len() + which]);
            own.unwrap_or(Function::of(defaults[which])).evaluate(v)
        };
        let gate = |which: usize, v: f64| {
            let limit = self.clip.map_or(f64::INFINITY, f64::from);
            function(which, v.clamp(-limit, limit))
        };
        let peephole = |i: usize, k: usize, c: &[f64]| {
            self.peepholes.as_ref().map_or(0.0, |p| f64::from(p[(direction * 3 + i) * hidden + k]) * c[k])
        };
        let length = self.lengths.as_ref().map_or(steps, |l| l[batch] as usize);
        let mut shown = vec![vec![0.0; hidden]; steps];
        for step in 0..length {
            let at = if self.backwards[direction] { length - 1 - step } else { step };
            let input = x(at);
            let from_x = |row: usize| product(&self.w, inputs, row, &input) + bias(row);
            let sum = |row: usize| from_x(row) + product(&self.r, hidden, row, &h) + bias(rows + row);
            let (old_h, old_c) = (h.clone(), c.clone());
            match self.operator {
                "RNN" => h = (0..hidden).map(|k| gate(0, sum(k))).collect(),
                "GRU" => {
                    let z: Vec<f64> = (0..hidden).map(|k| gate(0, sum(k))).collect();
                    let r: Vec<f64> = (0..hidden).map(|k| gate(0, sum(hidden + k))).collect();
                    let reset: Vec<f64> = r.iter().zip(&old_h).map(|(r, h)| r * h).collect();
                    h = (0..hidden)
                        .map(|k| {
                            let row = 2 * hidden + k;
                            let state = match self.linear_before_reset {
                                true => r[k] * (product(&self.r, hidden, row, &old_h) + bias(rows + row)),
                                false => product(&self.r, hidden, row, &reset) + bias(rows + row),
                            };
                            (1.0 - z[k]) * gate(1, from_x(row) + state) + z[k] * old_h[k]
                        })
                        .collect();
                }
                _ => {
                    for k in 0..hidden {
                        let i = gate(0, sum(k) + peephole(0, k, &old_c));
                        let f = match self.input_forget {
                            true => 1.0 - i,
                            false => gate(0, sum(2 * hidden + k) + peephole(2, k, &old_c)),
                        };
                        c[k] = f * old_c[k] + i * gate(1, sum(3 * hidden + k));
                    }
                    h = (0..hidden)
                        .map(|k| gate(0, sum(hidden + k) + peephole(1, k, &c)) * function(2, c[k]))
                        .collect();
                }
            }
            shown[at] = h.clone();
        }
        if length == 0 {
            // What onnxruntime gives, whatever the initial state.
            (h, c) = (vec![0.0; hidden], vec![0.0; hidden]);
        }
        (shown, h, c)
    }

    /// Y, Y_h and, of an LSTM, Y_c.
    fn outputs(&self, x: &[f32]) -> Vec<Vec<f64>> {
        let [steps, batch, inputs, hidden] = self.sizes;
        let d = self.backwards.len();
        let mut y = vec![0.0; steps * d * batch * hidden];
        let (mut yh, mut yc) = (vec![0.0; d * batch * hidden], vec![0.0; d * batch * hidden]);
        for direction in 0..d {
            for b in 0..batch {
                let at = |step: usize| if self.batch_first { b * steps + step } else { step * batch + b };
                let row =
                    |step: usize| x[at(step) * inputs..(at(step) + 1) * inputs].iter().map(|&v| f64::from(v)).collect();
                let (shown, h, c) = self.sequence(direction, b, &row);
                for (step, values) in shown.iter().enumerate() {
                    let at = match self.batch_first {
                        true => (b * steps + step) * d + direction,
                        false => (step * d + direction) * batch + b,
                    };
                    y[at * hidden..(at + 1) * hidden].copy_from_slice(values);
                }
                let at = if self.batch_first { b * d + direction } else { direction * batch + b };
                yh[at * hidden..(at + 1) * hidden].copy_from_slice(&h);
                yc[at * hidden..(at + 1) * hidden].copy_from_slice(&c);
            }
        }
        if self.operator == "LSTM" { vec![y, yh, yc] } else { vec![y, yh] }
    }
}

/// The image on tinfer's kernels, and whatever engine answers for the file.
#[test]
fn random_layers_compute_what_the_definition_says() {
    let n: usize = std::env::var("TINFER_TEST_GRAPHS").ok().and_then(|n| n.parse().ok()).unwrap_or(150);
    let mut random = Random(4);
    for idx in 0..n {
        let layer = random.layer();
        let imported = layer.model().import().unwrap();
        let graph = simplify(lower(&imported).unwrap_or_else(|e| panic!("layer {idx}: {e}: {layer:?}"))).graph;
        let shape = imported.inputs[0].shape.clone();
        let x = random.values(shape.iter().product(), 1.5);
        let expected = layer.outputs(&x);
        let inputs = [NamedArray::new("x", Array::f32(shape, x))];
        let own = OwnKernels::new(&imported, &graph).unwrap().run_with_taps(&inputs, &mut |_, _| {}).unwrap();
        let trial = Sample { name: String::new(), inputs: inputs.to_vec(), label: None };
        let model = FloatModel::open(&imported, Some(&graph), &[trial]).unwrap();
        let answered = model.run_with_taps(&inputs, &mut |_, _| {}).unwrap();
        for (engine, found) in [("tinfer", own), (model.name(), answered)] {
            for (expected, found) in expected.iter().zip(&found) {
                let found = found.array.to_f64();
                assert_eq!(found.len(), expected.len(), "layer {idx} in {engine}: {layer:?}");
                let worst =
                    expected.iter().zip(&found).map(|(e, f)| (e - f).abs() / (1.0 + e.abs())).fold(0.0, f64::max);
                assert!(worst < 2e-5, "layer {idx} in {engine}: {worst}: {layer:?}");
            }
        }
    }
}
