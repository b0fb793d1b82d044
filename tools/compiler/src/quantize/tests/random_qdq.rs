//! Random files with QuantizeLinear and DequantizeLinear against their definition, as tract computes it node by node.

use super::*;
use crate::array::{ArrayData, NamedArray};
use crate::import::Reference;
use crate::import::build::{Attr, ModelBuilder};
use crate::lower::lower;
use crate::passes::simplify;

/// A tensor of real numbers behind a DequantizeLinear, `[1, channels, side, side]`.
#[derive(Clone)]
struct Live {
    name: String,
    channels: usize,
    side: usize,
    step: f32,
}

struct File {
    model: ModelBuilder,
    random: u64,
    n: usize,
    /// Of the newest grid.
    step: f32,
    live: Vec<Live>,
    story: Vec<String>,
}

impl File {
    fn draw(&mut self, n: usize) -> usize {
        self.random = self.random.wrapping_mul(6_364_136_223_846_793_005).wrapping_add(1_442_695_040_888_963_407);
        (self.random >> 33) as usize % n
    }

    fn fresh(&mut self, what: &str) -> String {
        self.n += 1;
        format!("{what}{}", self.n)
    }

    fn edit(&mut self, f: impl FnOnce(ModelBuilder) -> ModelBuilder) {
        let model = std::mem::replace(&mut self.model, ModelBuilder::new(17));
        self.model = f(model);
    }

    fn node(&mut self, operator: &str, inputs: &[&str], attributes: &[(&str, Attr)]) -> String {
        let y = self.fresh("t");
        self.story.push(operator.into());
        self.edit(|model| model.node(operator, inputs, &[&y], attributes));
        y
    }

    fn weight(&mut self, array: Array) -> String {
        let name = self.fresh("k");
        self.edit(|model| model.weight(&name, array));
        name
    }

    /// Steps of `x` on a random grid and back, sometimes clipped or at their largest on the way, sometimes uint8, sometimes
    /// with a scale that a node computes.
    fn on_grid(&mut self, x: &str) -> String {
        let is_unsigned = self.draw(3) == 0;
        let zero = self.draw(41) as i32 - 20 + if is_unsigned { 128 } else { 0 };
        let of_type = |value: i32| match is_unsigned {
            true => Array::new(vec![], ArrayData::U8(vec![value as u8])),
            false => Array::new(vec![], ArrayData::I8(vec![value as i8])),
        };
        // Ratios at which steps meet between two others are a matter of the rule for ties.
        let scale = 0.03 + self.draw(10_007) as f32 / 200_003.0;
        self.step = scale;
        let scale = if self.draw(4) == 0 {
            let [a, b] = [scale * 4.0, 0.25].map(|v| self.weight(Array::f32(vec![], vec![v])));
            self.node("Mul", &[&a, &b], &[])
        } else {
            self.weight(Array::f32(vec![], vec![scale]))
        };
        let zero_point = self.weight(of_type(zero));
        let mut steps = self.node("QuantizeLinear", &[x, &scale, &zero_point], &[]);
        match self.draw(8) {
            0 => {
                let [least, most] = [zero - 60, zero + 40].map(|end| self.weight(of_type(end)));
                steps = self.node("Clip", &[&steps, &least, &most], &[]);
            }
            1 => {
                let least = self.weight(of_type(zero));
                steps = self.node("Max", &[&steps, &least], &[]);
            }
            _ => {}
        }
        self.node("DequantizeLinear", &[&steps, &scale, &zero_point], &[])
    }

    fn keep(&mut self, name: String, channels: usize, side: usize) {
        self.live.push(Live { name, channels, side, step: self.step });
    }

    fn any(&mut self) -> Live {
        let i = self.draw(self.live.len());
        self.live[i].clone()
    }

    fn convolution(&mut self) {
        let x = self.any();
        let (o, kernel) = (1 + self.draw(5), [1, 3][self.draw(2)]);
        let n = o * x.channels * kernel * kernel;
        let values: Vec<i8> = (0..n).map(|_| self.draw(255) as i32 as i8).map(|v| v.max(-127)).collect();
        let steps = self.weight(Array::new(vec![o, x.channels, kernel, kernel], ArrayData::I8(values)));
        // Brevitas clips what needs none.
        let steps = match self.draw(3) {
            0 => {
                let [least, most] = [-127, 127].map(|v| self.weight(Array::new(vec![], ArrayData::I8(vec![v]))));
                self.node("Clip", &[&steps, &least, &most], &[])
            }
            _ => steps,
        };
        let is_per_channel = self.draw(2) == 0;
        let n_scales = if is_per_channel { o } else { 1 };
        let fan_in = (x.channels * kernel * kernel) as f32;
        let scales = (0..n_scales).map(|_| (0.5 + self.draw(100) as f32 / 100.0) / 100.0 / fan_in.sqrt()).collect();
        let shape = if is_per_channel { vec![o] } else { vec![] };
        let scales = self.weight(Array::f32(shape.clone(), scales));
        let zeros = self.weight(Array::new(shape, ArrayData::I8(vec![0; n_scales])));
        let attributes: &[(&str, Attr)] = if is_per_channel { &[("axis", Attr::I(0))] } else { &[] };
        let weights = self.node("DequantizeLinear", &[&steps, &scales, &zeros], attributes);
        let pads = vec![(kernel / 2) as i64; 4];
        let mut y = self.node("Conv", &[&x.name, &weights], &[("pads", Attr::Is(pads))]);
        if self.draw(2) == 0 {
            y = self.node("Relu", &[&y], &[]);
        }
        // Sometimes for two readers, each with its own grid.
        for _ in 0..1 + self.draw(4) / 3 {
            let on_grid = self.on_grid(&y);
            self.keep(on_grid, o, x.side);
        }
    }

    fn layer(&mut self) {
        match self.draw(7) {
            0..=2 => self.convolution(),
            3 => {
                let (a, b) = (self.any(), self.any());
                if (a.channels, a.side) == (b.channels, b.side) {
                    let y = self.node("Add", &[&a.name, &b.name], &[]);
                    let y = self.on_grid(&y);
                    self.keep(y, a.channels, a.side);
                }
            }
            4 => {
                let (a, b) = (self.any(), self.any());
                if a.side == b.side {
                    let y = self.node("Concat", &[&a.name, &b.name], &[("axis", Attr::I(1))]);
                    let y = self.on_grid(&y);
                    self.keep(y, a.channels + b.channels, a.side);
                }
            }
            5 => {
                let x = self.any();
                if x.side > 2 {
                    let window = [("kernel_shape", Attr::Is(vec![2, 2])), ("strides", Attr::Is(vec![2, 2]))];
                    let y = self.node("MaxPool", &[&x.name], &window);
                    let y = self.on_grid(&y);
                    self.keep(y, x.channels, x.side / 2);
                }
            }
            _ => {
                let x = self.any();
                if x.channels > 1 {
                    let at = 1 + self.draw(x.channels - 1);
                    for (from, to) in [(0, at), (at, x.channels)] {
                        let numbers = [from, to, 1].map(|v| Array::new(vec![1], ArrayData::I64(vec![v as i64])));
                        let [from_name, to_name, axis] = numbers.map(|array| self.weight(array));
                        let y = self.node("Slice", &[&x.name, &from_name, &to_name, &axis], &[]);
                        let y = self.on_grid(&y);
                        self.keep(y, to - from, x.side);
                    }
                }
            }
        }
    }
}

/// What is wrong with the image of a random file.
fn problem(seed: u64) -> Option<String> {
    let model = ModelBuilder::new(17).input("x", &[1, 3, 6, 6]);
    let random = (seed + 1).wrapping_mul(0x9e37_79b9_7f4a_7c15);
    let mut file = File { model, random, n: 0, step: 0.0, live: Vec::new(), story: Vec::new() };
    for _ in 0..1 + file.draw(2) {
        let x = file.on_grid("x");
        file.keep(x, 3, 6);
    }
    file.convolution();
    for _ in 0..2 + file.draw(5) {
        file.layer();
    }
    let last = file.live.last().cloned()?;
    let y = file.node("Flatten", &[&last.name], &[]);
    let story = file.story.join(" ");
    let imported = file.model.clone().output(&y).import().unwrap_or_else(|e| panic!("{seed}: {e}: {story}"));
    let graph = lower(&imported).map_err(|e| e.to_string()).map(|graph| simplify(graph).graph);
    let options = QuantizeOptions { without_range: WithoutRange::Float32, ..QuantizeOptions::default() };
    let graph = graph.and_then(|graph| quantize(graph, &Ranges::default(), &options).map_err(|e| e.to_string()));
    let graph = match graph {
        Ok(graph) => graph,
        Err(reason) => return Some(format!("{reason}: {story}")),
    };
    let packed = match pack(&graph, &plan(&graph, &|_, _| Chosen::PORTABLE), &PackOptions::default()) {
        Ok(packed) => packed,
        Err(reason) => return Some(format!("{reason}: {story}")),
    };
    let mut runner = ImageRunner::new(&packed.bytes).unwrap();
    let reference = Reference::new(&imported).unwrap();
    let x: Vec<f32> = (0..108).map(|_| file.draw(2000) as f32 / 250.0 - 4.0).collect();
    let x = Array::f32(vec![1, 3, 6, 6], x);
    let expected = reference.run(&[NamedArray::new("x", x.clone())]).unwrap().remove(0).array.to_f64();
    let found = runner.run(&[x]).unwrap().remove(0).to_f64();
    let apart: Vec<f64> = expected.iter().zip(&found).map(|(e, f)| (e - f).abs() / f64::from(last.step)).collect();
    let n_beyond = apart.iter().filter(|&&d| d > 1.01).count();
    let n_off = apart.iter().filter(|&&d| d > 0.01).count();
    // A sum near the middle between two steps is one step off, and so may be what is computed of it.
    let largest = apart.iter().fold(0.0, |m: f64, &d| m.max(d));
    let is_near = largest < 4.01 && n_beyond <= 1 + apart.len() / 20 && n_off <= 3 + apart.len() / 8;
    let is_fine = expected.len() == found.len() && is_near;
    (!is_fine).then(|| format!("{n_off} of {} off, {n_beyond} beyond a step: {story}", apart.len()))
}

/// `TINFER_TEST_GRAPHS=2000` tries as many.
#[test]
fn random_files_compute_what_they_say() {
    let n = std::env::var("TINFER_TEST_GRAPHS").ok().and_then(|n| n.parse().ok()).unwrap_or(100);
    let problems: Vec<String> = (0..n).filter_map(|seed| Some(format!("{seed}: {}", problem(seed)?))).collect();
    assert!(problems.is_empty(), "{} of {n}:\n{}", problems.len(), problems.join("\n"));
}
