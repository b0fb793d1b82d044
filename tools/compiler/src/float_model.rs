//! The float model on samples: in tract, or in tinfer's own kernels where tract cannot run it.

use crate::aligned::AlignedBytes;
use crate::array::{Array, NamedArray};
use crate::choose::Chosen;
use crate::error::CompileError;
use crate::evaluate::transpose;
use crate::graph::{Graph, Origin};
use crate::import::{ImportError, Imported, Interface, Reference};
use crate::pack::{PackOptions, pack};
use crate::passes::permutation;
use crate::plan::plan;
use crate::runner::{ImageRunner, LayerDoc, real_values};
use std::collections::BTreeSet;
use tinfer::session::{Observer, StepDone};

/// What computes the float values that quantized ones are calibrated by and compared with.
#[derive(Debug)]
pub enum FloatModel {
    /// tract, which shares nothing with the runtime but the file.
    Tract(Box<Reference>),
    /// A float32 image on the portable kernels. It says what quantization costs, and nothing of the lowering, which both sides share.
    Own(OwnKernels),
}

/// The float graph as an image.
#[derive(Debug)]
pub struct OwnKernels {
    image: AlignedBytes,
    inputs: Vec<Interface>,
    outputs: Vec<String>,
    /// Why tract does not run the model.
    why: String,
}

impl FloatModel {
    /// tract when it runs the first sample, otherwise the float graph itself.
    ///
    /// # Errors
    /// What tract says, when the graph does not run either; [`ImportError::InputMismatch`].
    pub fn open(imported: &Imported, graph: &Graph, first: &[NamedArray]) -> Result<Self, CompileError> {
        let reference = Reference::new(imported).and_then(|reference| reference.run(first).map(|_| reference));
        let why = match reference {
            Ok(reference) => return Ok(FloatModel::Tract(Box::new(reference))),
            Err(why @ ImportError::Reference { .. }) => why,
            Err(other) => return Err(other.into()),
        };
        let mut graph = graph.clone();
        graph.compact();
        let planned = plan(&graph, &|_, _| Chosen::PORTABLE);
        let Ok(packed) = pack(&graph, &planned, &PackOptions::default()) else { return Err(why.into()) };
        let own = OwnKernels {
            image: packed.bytes,
            inputs: imported.inputs.clone(),
            outputs: imported.outputs.iter().map(|o| o.name.clone()).collect(),
            why: why.to_string(),
        };
        match own.run_with_taps(first, &mut |_, _| {}) {
            Ok(_) => Ok(FloatModel::Own(own)),
            Err(_) => Err(why.into()),
        }
    }

    /// What the user must know when tract does not vouch for the values.
    pub fn warning(&self) -> Option<String> {
        match self {
            FloatModel::Tract(_) => None,
            FloatModel::Own(own) => Some(format!("{}: tinfer's own float32 kernels stand in for it", own.why)),
        }
    }

    /// Runs one sample and shows every tensor under its ONNX name and in its ONNX layout, inputs first; returns the
    /// outputs in the file's order.
    ///
    /// # Errors
    /// As [`Reference::run_with_taps`].
    pub fn run_with_taps(
        &self,
        inputs: &[NamedArray],
        tap: &mut dyn FnMut(&str, &Array),
    ) -> Result<Vec<NamedArray>, CompileError> {
        match self {
            FloatModel::Tract(reference) => Ok(reference.run_with_taps(inputs, tap)?),
            FloatModel::Own(own) => own.run_with_taps(inputs, tap),
        }
    }
}

impl OwnKernels {
    fn run_with_taps(
        &self,
        inputs: &[NamedArray],
        tap: &mut dyn FnMut(&str, &Array),
    ) -> Result<Vec<NamedArray>, CompileError> {
        let mut runner = ImageRunner::new(&self.image)?;
        let mut arrays = Vec::new();
        for port in &self.inputs {
            let given = inputs.iter().find(|i| i.name == port.name);
            arrays.extend(given.map(|i| i.array.clone()));
        }
        for (port, array) in self.inputs.iter().zip(&arrays) {
            tap(&port.name, &Array::f32(array.shape.clone(), array.to_f32()));
        }
        let layers = runner.layers();
        let outputs = runner.run_observed(&arrays, &mut Taps { layers: &layers, shown: BTreeSet::new(), tap })?;
        Ok(self.outputs.iter().zip(outputs).map(|(name, array)| NamedArray::new(name, array)).collect())
    }
}

struct Taps<'a> {
    layers: &'a [LayerDoc],
    /// Several layers hold one ONNX tensor where it is moved.
    shown: BTreeSet<&'a str>,
    tap: &'a mut dyn FnMut(&str, &Array),
}

impl Observer for Taps<'_> {
    fn step_done(&mut self, step: &StepDone<'_>) {
        let origin = self.layers.get(step.index as usize).and_then(|l| l.origin.as_ref());
        let (Some(origin), Some((tensor, bytes))) = (origin, step.output(0)) else { return };
        let Some(values) = real_values(&tensor, bytes) else { return };
        let shape = tensor.shape.dims().iter().map(|&d| d as usize).collect();
        if !self.shown.insert(&origin.name) {
            return;
        }
        (self.tap)(&origin.name, &in_onnx_layout(origin, shape, values));
    }
}

/// Elements in the order of the ONNX tensor that they are.
fn in_onnx_layout(origin: &Origin, shape: Vec<usize>, values: Vec<f32>) -> Array {
    let axes = &origin.permutation;
    if axes.len() != shape.len() {
        // Reshaped: the order is the ONNX tensor's.
        return Array::f32(shape, values);
    }
    let back = permutation::inverse(axes);
    Array::f32(permutation::apply(&back, &shape), transpose(&values, &shape, &back))
}

#[cfg(test)]
mod tests {
    use super::*;
    use crate::import::build::{Attr, ModelBuilder};
    use crate::lower::lower;
    use crate::passes::simplify;

    /// tract has no BatchNormalization in training mode. Feature maps are in NHWC inside, what is shown is not.
    #[test]
    fn the_float_graph_stands_in_for_tract() {
        let weights = [0.5, -1.0, 0.25, 2.0, 1.0, -0.5];
        let channels = |values: [f32; 2]| Array::f32(vec![2], values.to_vec());
        let model = ModelBuilder::new(17)
            .input("x", &[1, 3, 4, 5])
            .weight("w", Array::f32(vec![2, 3, 1, 1], weights.to_vec()))
            .weight("scale", channels([3.0, 2.0]))
            .weight("bias", channels([0.0, 1.0]))
            .weight("any", channels([1.0, 1.0]))
            .node("Conv", &["x", "w"], &["z"], &[])
            .node(
                "BatchNormalization",
                &["z", "scale", "bias", "any", "any"],
                &["y"],
                &[("training_mode", Attr::I(1))],
            );
        let imported = model.output("y").import().unwrap();
        let graph = simplify(lower(&imported).unwrap()).graph;
        let x: Vec<f32> = (0..60).map(|i| (i as f32 * 0.37).sin()).collect();
        let inputs = [NamedArray::new("x", Array::f32(vec![1, 3, 4, 5], x.clone()))];
        let model = FloatModel::open(&imported, &graph, &inputs).unwrap();
        assert!(model.warning().unwrap().contains("own float32 kernels"));
        let mut seen = Vec::new();
        let mut tap = |name: &str, array: &Array| seen.push((name.to_string(), array.clone()));
        let outputs = model.run_with_taps(&inputs, &mut tap).unwrap();
        let names: Vec<&str> = seen.iter().map(|(name, _)| &**name).collect();
        assert_eq!(names, ["x", "z", "y"]);
        assert_eq!(seen[2].1, outputs[0].array);
        for c in 0..2 {
            let z = |i: usize| (0..3).map(|k| weights[3 * c + k] * x[20 * k + i]).sum::<f32>();
            let mean = (0..20).map(z).sum::<f32>() / 20.0;
            let variance = (0..20).map(|i| (z(i) - mean).powi(2)).sum::<f32>() / 20.0;
            for i in 0..20 {
                let y = (z(i) - mean) / (variance + 1e-5).sqrt() * [3.0, 2.0][c] + [0.0, 1.0][c];
                let found = [&seen[1].1, &seen[2].1].map(|array| array.to_f32()[20 * c + i]);
                assert!((found[0] - z(i)).abs() < 1e-5 && (found[1] - y).abs() < 1e-4, "{found:?} {} {y}", z(i));
            }
        }
    }

    #[test]
    fn values_return_to_their_onnx_layout() {
        let origin = Origin { name: "x".into(), permutation: vec![0, 2, 1], kept: None, rows: None };
        let array = in_onnx_layout(&origin, vec![1, 2, 3], vec![0.0, 1.0, 2.0, 10.0, 11.0, 12.0]);
        assert_eq!(array, Array::f32(vec![1, 3, 2], vec![0.0, 10.0, 1.0, 11.0, 2.0, 12.0]));
        let flat = Origin { permutation: vec![0, 1], ..origin };
        assert_eq!(in_onnx_layout(&flat, vec![3], vec![1.0, 2.0, 3.0]).shape, [3]);
    }
}
