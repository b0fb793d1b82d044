//! Fourier transforms of known length, as products with a constant: DFT is a MatMul, STFT a convolution whose stride is
//! the step of its frames.
//!
//! ```text
//! DFT:   x [.., n, 1 or 2] -> [.., n * (1 or 2)] -> MatMul -> [.., m * 2] -> [.., m, 2]
//! STFT:  x [b, l] or [b, l, 1 or 2] -> [b, 1 or 2, l] -> Conv -> [b, m * 2, frames] -> [b, frames, m, 2]
//! ```

use super::{Fact, tensor};
use crate::array::{Array, ArrayData};
use std::collections::BTreeMap;
use std::f64::consts::TAU;
use tract_onnx::pb::attribute_proto::AttributeType;
use tract_onnx::pb::{AttributeProto, GraphProto, ModelProto, NodeProto};

/// Replaces every transform whose length is known. Whether there was one.
pub(super) fn to_products(
    proto: &mut ModelProto,
    facts: &BTreeMap<String, Fact>,
    weights: &mut BTreeMap<String, Array>,
) -> bool {
    let opset = proto.opset_import.iter().find(|o| o.domain.is_empty()).map_or(0, |o| o.version);
    let Some(graph) = &mut proto.graph else { return false };
    let nodes = std::mem::take(&mut graph.node);
    let n_before = nodes.len();
    for node in nodes {
        let mut product = Product { node: &node, facts, weights, graph };
        let written = match &*node.op_type {
            "DFT" if node.domain.is_empty() => product.dft(opset),
            "STFT" if node.domain.is_empty() => product.stft(),
            _ => None,
        };
        if written.is_none() {
            graph.node.push(node);
        }
    }
    // A product is several nodes.
    graph.node.len() != n_before
}

struct Product<'a> {
    node: &'a NodeProto,
    facts: &'a BTreeMap<String, Fact>,
    weights: &'a mut BTreeMap<String, Array>,
    graph: &'a mut GraphProto,
}

impl Product<'_> {
    fn fact(&self, i: usize) -> Option<&Fact> {
        self.facts.get(self.node.input.get(i).filter(|name| !name.is_empty())?)
    }

    fn is_given(&self, i: usize) -> bool {
        self.node.input.get(i).is_some_and(|name| !name.is_empty())
    }

    /// An integer that is known: `Some(None)` where it is not given.
    fn length(&self, i: usize) -> Option<Option<i64>> {
        if !self.is_given(i) {
            return Some(None);
        }
        let value = self.fact(i)?.value.as_ref()?.to_f64();
        Some(Some(*value.first()? as i64))
    }

    fn attribute(&self, name: &str, default: i64) -> i64 {
        self.node.attribute.iter().find(|a| a.name == name).map_or(default, |a| a.i)
    }

    fn dft(&mut self, opset: i64) -> Option<()> {
        let shape = self.fact(0)?.shape.clone();
        let rank = shape.len();
        let axis = match opset {
            ..20 => self.attribute("axis", 1),
            _ => self.length(2)?.unwrap_or(-2),
        };
        let axis = usize::try_from(if axis < 0 { axis + rank as i64 } else { axis }).ok()?;
        let (is_inverse, is_onesided) = (self.attribute("inverse", 0) != 0, self.attribute("onesided", 0) != 0);
        let c = *shape.last()?;
        if rank < 2 || axis + 1 >= rank || !(1..=2).contains(&c) {
            return None;
        }
        let given = shape[axis];
        let default = if is_inverse && is_onesided { 2 * given.checked_sub(1)? } else { given };
        let n = usize::try_from(self.length(1)?.unwrap_or(default as i64)).ok().filter(|&n| n > 0)?;
        let (matrix, m, of_result) = match (is_inverse, is_onesided) {
            (true, true) => (real_inverse(n, given, c), n, 1),
            (_, true) => (transform(n, given, c, n / 2 + 1, is_inverse), n / 2 + 1, 2),
            (_, false) => (transform(n, given, c, n, is_inverse), n, 2),
        };
        // The axis beside the parts of a number, and back.
        let mut order: Vec<i64> = (0..rank as i64).collect();
        order.swap(axis, rank - 2);
        let moves = axis != rank - 2;
        let x = self.node.input[0].clone();
        let moved = if moves { self.push("Transpose", "there", vec![x], vec![list("perm", order.clone())]) } else { x };
        let mut moved_shape: Vec<i64> = order.iter().map(|&a| shape[a as usize] as i64).collect();
        moved_shape.truncate(rank - 2);
        let flat = [&moved_shape[..], &[(given * c) as i64]].concat();
        let flat = self.shape("flat", flat);
        let flat = self.push("Reshape", "flat", vec![moved, flat], Vec::new());
        let matrix = self.weight("matrix", Array::f32(vec![given * c, m * of_result], matrix));
        let product = self.push("MatMul", "product", vec![flat, matrix], Vec::new());
        let pairs = [&moved_shape[..], &[m as i64, of_result as i64]].concat();
        let pairs = self.shape("pairs", pairs);
        let pairs = self.push("Reshape", "numbers", vec![product, pairs], Vec::new());
        if moves {
            self.push("Transpose", "back", vec![pairs], vec![list("perm", order)]);
        }
        self.finish()
    }

    fn stft(&mut self) -> Option<()> {
        let shape = self.fact(0)?.shape.clone();
        let (b, l, c) = match shape[..] {
            [b, l] => (b, l, 1),
            [b, l, c @ 1..=2] => (b, l, c),
            _ => return None,
        };
        let step = usize::try_from(self.length(1)??).ok().filter(|&step| step > 0)?;
        let window = match self.is_given(2) {
            true => Some(self.fact(2)?.value.as_ref()?.to_f64()),
            false => None,
        };
        let n = match (self.length(3)?, &window) {
            (Some(n), _) => usize::try_from(n).ok()?,
            (None, Some(window)) => window.len(),
            (None, None) => return None,
        };
        if n == 0 || n > l || window.as_ref().is_some_and(|w| w.len() != n) {
            return None;
        }
        let m = if self.attribute("onesided", 1) != 0 { n / 2 + 1 } else { n };
        let frames = 1 + (l - n) / step;
        let matrix = transform(n, n, c, m, false);
        // [n * c, m * 2] to [m * 2, c, n], each row times its window.
        let mut filters = vec![0.0; matrix.len()];
        for (i, value) in matrix.into_iter().enumerate() {
            let (row, column) = (i / (2 * m), i % (2 * m));
            let factor = window.as_ref().map_or(1.0, |w| w[row / c]);
            filters[(column * c + row % c) * n + row / c] = (f64::from(value) * factor) as f32;
        }
        let x = self.node.input[0].clone();
        let signal = if c == 1 {
            let apart = self.shape("signal", vec![b as i64, 1, l as i64]);
            self.push("Reshape", "signal_apart", vec![x, apart], Vec::new())
        } else {
            self.push("Transpose", "signal_apart", vec![x], vec![list("perm", vec![0, 2, 1])])
        };
        let filters = self.weight("filters", Array::f32(vec![2 * m, c, n], filters));
        let spectra = self.push("Conv", "spectra", vec![signal, filters], vec![list("strides", vec![step as i64])]);
        let spectra = self.push("Transpose", "frames", vec![spectra], vec![list("perm", vec![0, 2, 1])]);
        let pairs = self.shape("pairs", vec![b as i64, frames as i64, m as i64, 2]);
        self.push("Reshape", "numbers", vec![spectra, pairs], Vec::new());
        self.finish()
    }

    fn shape(&mut self, suffix: &str, dims: Vec<i64>) -> String {
        self.weight(&format!("{suffix}_shape"), Array::new(vec![dims.len()], ArrayData::I64(dims)))
    }

    fn weight(&mut self, suffix: &str, array: Array) -> String {
        let name = format!("{}/{suffix}", self.node.output[0]);
        self.graph.initializer.push(tensor::proto(&name, &array));
        self.weights.insert(name.clone(), array);
        name
    }

    fn push(&mut self, op_type: &str, suffix: &str, input: Vec<String>, attribute: Vec<AttributeProto>) -> String {
        let name = format!("{}/{suffix}", self.node.output[0]);
        self.graph.node.push(NodeProto {
            op_type: op_type.into(),
            name: name.clone(),
            input,
            output: vec![name.clone()],
            attribute,
            ..NodeProto::default()
        });
        name
    }

    /// The last node computes the result.
    fn finish(&mut self) -> Option<()> {
        self.graph.node.last_mut()?.output.clone_from(&self.node.output);
        Some(())
    }
}

/// `[given * c, m * 2]`: bins `0..m` of a transform of length `n`, real and imaginary part beside each other, of `given`
/// numbers, of which those beyond `n` do not count.
fn transform(n: usize, given: usize, c: usize, m: usize, is_inverse: bool) -> Vec<f32> {
    let (sign, factor) = if is_inverse { (1.0, 1.0 / n as f64) } else { (-1.0, 1.0) };
    let mut matrix = vec![0.0; given * c * m * 2];
    for (t, k) in (0..given.min(n)).flat_map(|t| (0..m).map(move |k| (t, k))) {
        // The product modulo n, so that the angle stays exact.
        let (sin, cos) = (sign * TAU * ((t * k) % n) as f64 / n as f64).sin_cos();
        // (re + i im) (cos + i sin)
        let real = &mut matrix[t * c * m * 2..];
        real[2 * k] = (factor * cos) as f32;
        real[2 * k + 1] = (factor * sin) as f32;
        if c == 2 {
            real[2 * m + 2 * k] = (-factor * sin) as f32;
            real[2 * m + 2 * k + 1] = (factor * cos) as f32;
        }
    }
    matrix
}

/// `[given * c, n]`: `n` real numbers of the first bins of their transform, the others being conjugates of these.
fn real_inverse(n: usize, given: usize, c: usize) -> Vec<f32> {
    let mut matrix = vec![0.0; given * c * n];
    for (k, t) in (0..given.min(n / 2 + 1)).flat_map(|k| (0..n).map(move |t| (k, t))) {
        let (sin, cos) = (TAU * ((t * k) % n) as f64 / n as f64).sin_cos();
        let factor = if k == 0 || 2 * k == n { 1.0 } else { 2.0 } / n as f64;
        matrix[k * c * n + t] = (factor * cos) as f32;
        if c == 2 {
            matrix[(k * c + 1) * n + t] = (-factor * sin) as f32;
        }
    }
    matrix
}

fn list(name: &str, ints: Vec<i64>) -> AttributeProto {
    AttributeProto { name: name.into(), r#type: AttributeType::Ints as i32, ints, ..AttributeProto::default() }
}
