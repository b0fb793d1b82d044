//! Transposed convolutions with random attributes against the definition, written out in binary64.

use super::recurrent::Random;
use crate::array::{Array, NamedArray};
use crate::float_model::{FloatModel, OwnKernels};
use crate::import::build::{Attr, ModelBuilder};
use crate::lower::lower;
use crate::passes::simplify;
use crate::samples::Sample;

#[derive(Clone, Debug)]
struct Layer {
    groups: usize,
    /// Channels of a group: read, written.
    channels: [usize; 2],
    input: Vec<usize>,
    kernel: Vec<usize>,
    strides: Vec<usize>,
    dilations: Vec<usize>,
    auto_pad: Option<&'static str>,
    pads: Option<Vec<usize>>,
    output_padding: Option<Vec<usize>>,
    output_shape: Option<Vec<usize>>,
    w: Vec<f32>,
    b: Option<Vec<f32>>,
}

impl Layer {
    fn random(random: &mut Random) -> Self {
        let n = 1 + random.below(2) as usize;
        let mut numbers = |least: u64, n_values: u64| -> Vec<usize> {
            (0..n).map(|_| (least + random.below(n_values)) as usize).collect()
        };
        let (input, kernel) = (numbers(2, 4), numbers(1, 4));
        let (strides, dilations) = (numbers(1, 3), numbers(1, 2));
        let more: Vec<usize> = numbers(0, 3).iter().zip(&strides).map(|(more, stride)| more % stride).collect();
        let [before, after] = [numbers(0, 2), numbers(0, 2)];
        let less = numbers(0, 3);
        let [groups, read, written] = [0; 3].map(|_| 1 + random.below(2) as usize);
        let mut layer = Layer {
            groups,
            channels: [read, written],
            w: random.values(groups * read * written * kernel.iter().product::<usize>(), 1.0),
            b: random.yes().then(|| random.values(groups * written, 1.0)),
            auto_pad: None,
            pads: None,
            output_padding: random.yes().then_some(more),
            output_shape: None,
            input,
            kernel,
            strides,
            dilations,
        };
        match random.below(4) {
            0 => layer.pads = Some([before, after].concat()),
            1 => layer.auto_pad = Some(random.one_of(&["SAME_UPPER", "SAME_LOWER", "VALID"])),
            2 => {
                let whole = layer.whole();
                layer.output_shape = Some((0..n).map(|i| whole[i].saturating_sub(less[i]).max(1)).collect());
                layer.auto_pad = random.yes().then(|| random.one_of(&["SAME_UPPER", "SAME_LOWER"]));
            }
            _ => {}
        }
        layer
    }

    /// Positions without padding.
    fn whole(&self) -> Vec<usize> {
        let size = |i: usize| {
            let more = self.output_padding.as_ref().map_or(0, |more| more[i]);
            self.strides[i] * (self.input[i] - 1) + more + (self.kernel[i] - 1) * self.dilations[i] + 1
        };
        (0..self.input.len()).map(size).collect()
    }

    /// Padding before each axis and the size of the result; `None` where ONNX leaves it open or nothing is left.
    fn geometry(&self) -> Option<(Vec<usize>, Vec<usize>)> {
        let n = self.input.len();
        let same = self.auto_pad.filter(|way| way.starts_with("SAME"));
        let by_stride = || (0..n).map(|i| self.input[i] * self.strides[i]).collect();
        let mut sizes = (Vec::new(), Vec::new());
        for (i, whole) in self.whole().into_iter().enumerate() {
            let stated: Option<Vec<usize>> = self.output_shape.clone().or_else(|| same.map(|_| by_stride()));
            let (before, size) = match (stated, &self.pads) {
                (Some(stated), _) => {
                    let total = whole.checked_sub(stated[i])?;
                    let before = if same == Some("SAME_UPPER") { total / 2 } else { total - total / 2 };
                    (before, stated[i])
                }
                (None, Some(pads)) => (pads[i], whole.checked_sub(pads[i] + pads[n + i]).filter(|&size| size > 0)?),
                (None, None) => (0, whole),
            };
            sizes.0.push(before);
            sizes.1.push(size);
        }
        Some(sizes)
    }

    fn model(&self) -> ModelBuilder {
        let [read, written] = self.channels;
        let list = |values: &[usize]| Attr::Is(values.iter().map(|&v| v as i64).collect());
        let mut attributes = vec![
            ("kernel_shape", list(&self.kernel)),
            ("strides", list(&self.strides)),
            ("dilations", list(&self.dilations)),
            ("group", Attr::I(self.groups as i64)),
        ];
        attributes.extend(self.auto_pad.map(|way| ("auto_pad", Attr::S(way))));
        let optional =
            [("pads", &self.pads), ("output_padding", &self.output_padding), ("output_shape", &self.output_shape)];
        attributes.extend(optional.into_iter().filter_map(|(name, values)| Some((name, list(values.as_ref()?)))));
        let w = [&[self.groups * read, written], &self.kernel[..]].concat();
        let mut model = ModelBuilder::new(11).input("x", &[&[1, self.groups * read], &self.input[..]].concat());
        model = model.weight("w", Array::f32(w, self.w.clone()));
        let mut names = vec!["x", "w"];
        if let Some(b) = &self.b {
            model = model.weight("b", Array::f32(vec![b.len()], b.clone()));
            names.push("b");
        }
        model.node("ConvTranspose", &names, &["y"], &attributes).output("y")
    }

    /// Every input position adds its kernel to the result.
    fn evaluate(&self, x: &[f32], (before, size): &(Vec<usize>, Vec<usize>)) -> Vec<f64> {
        let [read, written] = self.channels;
        let (n_in, n_taps, n_out): (usize, usize, usize) =
            (self.input.iter().product(), self.kernel.iter().product(), size.iter().product());
        let mut y: Vec<f64> = (0..self.groups * written)
            .flat_map(|o| vec![self.b.as_ref().map_or(0.0, |b| f64::from(b[o])); n_out])
            .collect();
        for at in 0..n_in {
            for tap in 0..n_taps {
                let (from, taps) = (coordinates(at, &self.input), coordinates(tap, &self.kernel));
                let to: Option<usize> = (0..size.len()).try_fold(0, |flat, i| {
                    let to = (from[i] * self.strides[i] + taps[i] * self.dilations[i]).checked_sub(before[i])?;
                    (to < size[i]).then_some(flat * size[i] + to)
                });
                let Some(to) = to else { continue };
                for c in 0..self.groups * read {
                    for o in 0..written {
                        let weight = self.w[(c * written + o) * n_taps + tap];
                        y[(c / read * written + o) * n_out + to] += f64::from(x[c * n_in + at]) * f64::from(weight);
                    }
                }
            }
        }
        y
    }
}

fn coordinates(flat: usize, shape: &[usize]) -> Vec<usize> {
    let mut left = flat;
    let mut found: Vec<usize> = shape.iter().rev().map(|&d| (left % d, left /= d).0).collect();
    found.reverse();
    found
}

/// The image on tinfer's kernels, and whatever engine answers for the file; what is left open is refused.
#[test]
fn random_layers_compute_what_the_definition_says() {
    let n: usize = std::env::var("TINFER_TEST_GRAPHS").ok().and_then(|n| n.parse().ok()).unwrap_or(150);
    let mut random = Random(9);
    for idx in 0..n {
        let layer = Layer::random(&mut random);
        let imported = layer.model().import();
        let Some(geometry) = layer.geometry() else {
            assert!(imported.is_err() || lower(&imported.unwrap()).is_err(), "layer {idx}: {layer:?}");
            continue;
        };
        let imported = imported.unwrap_or_else(|e| panic!("layer {idx}: {e}: {layer:?}"));
        let lowered = lower(&imported);
        let graph = simplify(lowered.unwrap_or_else(|e| panic!("layer {idx}: {e}: {layer:?}"))).graph;
        let shape = imported.inputs[0].shape.clone();
        let x = random.values(shape.iter().product(), 1.5);
        let expected = layer.evaluate(&x, &geometry);
        let inputs = vec![NamedArray::new("x", Array::f32(shape, x))];
        let own = OwnKernels::new(&imported, &graph).unwrap().run_with_taps(&inputs, &mut |_, _| {}).unwrap();
        let trial = Sample { name: String::new(), inputs: inputs.clone(), label: None };
        let model = FloatModel::open(&imported, Some(&graph), &[trial]).unwrap();
        let answered = model.run_with_taps(&inputs, &mut |_, _| {}).unwrap();
        for (engine, found) in [("tinfer", own), (model.name(), answered)] {
            assert_eq!(found[0].array.shape[2..], geometry.1, "layer {idx} in {engine}: {layer:?}");
            let pairs = expected.iter().zip(found[0].array.to_f64());
            let worst = pairs.map(|(e, f)| (e - f).abs()).fold(0.0, f64::max);
            assert!(worst < 1e-5, "layer {idx} in {engine}: {worst}: {layer:?}");
        }
    }
}
