//! Every operator, lowered and evaluated, against the reference; and every refusal.

mod conv_transpose;
mod elementwise;
mod moves;
mod recurrent;

use super::{lower, unsupported};
use crate::array::{Array, ArrayData, NamedArray};
use crate::evaluate::evaluate;
use crate::graph::{Graph, Operator, WindowNd};
use crate::import::build::{Attr, ModelBuilder};
use crate::import::{Imported, Reference};

/// Deterministic numbers in [-2, 2).
pub fn numbers(n: usize, seed: u64) -> Vec<f32> {
    let mut state = seed.wrapping_mul(0x9E37_79B9_7F4A_7C15) | 1;
    let next = || {
        state ^= state << 13;
        state ^= state >> 7;
        state ^= state << 17;
        (state >> 40) as f32 / (1 << 22) as f32 - 2.0
    };
    std::iter::repeat_with(next).take(n).collect()
}

/// An array of deterministic numbers.
pub fn array(shape: &[usize], seed: u64) -> Array {
    Array::f32(shape.to_vec(), numbers(shape.iter().product(), seed))
}

/// An array of integers.
pub fn ints(values: &[i64]) -> Array {
    Array::new(vec![values.len()], ArrayData::I64(values.to_vec()))
}

/// Deterministic inputs of a model.
pub fn inputs(imported: &Imported, seed: u64) -> Vec<NamedArray> {
    imported
        .inputs
        .iter()
        .enumerate()
        .map(|(i, p)| NamedArray::new(&p.name, array(&p.shape, seed + i as u64)))
        .collect()
}

/// Signal over error of `got`, in dB; 200 when they are equal.
pub fn sqnr(reference: &Array, got: &Array) -> f64 {
    assert_eq!(reference.shape, got.shape);
    let (r, g) = (reference.to_f64(), got.to_f64());
    let signal: f64 = r.iter().map(|x| x * x).sum();
    let error: f64 = r.iter().zip(&g).map(|(x, y)| (x - y) * (x - y)).sum();
    if error == 0.0 { 200.0 } else { 10.0 * (signal / error).log10() }
}

/// The lowest SQNR of the graph's outputs against the reference's on a few samples, in dB.
pub fn compare(imported: &Imported, graph: &Graph) -> Result<f64, String> {
    let reference = Reference::new(imported).map_err(|e| e.to_string())?;
    let mut worst = 200.0_f64;
    for seed in 1..3 {
        let inputs = inputs(imported, seed * 100);
        let expected = reference.run(&inputs).map_err(|e| e.to_string())?;
        let got = evaluate(graph, &inputs).map_err(|e| e.to_string())?;
        assert_eq!(expected.len(), got.len());
        for (e, g) in expected.iter().zip(&got) {
            if e.name != g.name || e.array.shape != g.array.shape {
                return Err(format!("output {} {:?} instead of {} {:?}", g.name, g.array.shape, e.name, e.array.shape));
            }
            worst = worst.min(sqnr(&e.array, &g.array));
        }
    }
    Ok(worst)
}

/// [`compare`] reaches a floor.
pub fn check_against_reference(imported: &Imported, graph: &Graph, floor: f64) {
    let db = compare(imported, graph).unwrap();
    assert!(db >= floor, "{db:.1} dB");
}

/// A one-operator model: input x, weights in order, output y.
#[expect(missing_docs)]
pub struct Case {
    pub operator: &'static str,
    pub opset: i64,
    pub x: Vec<usize>,
    pub weights: Vec<Array>,
    pub attributes: Vec<(&'static str, Attr)>,
}

impl Case {
    /// The model.
    pub fn model(&self) -> ModelBuilder {
        let names: Vec<String> = (0..self.weights.len()).map(|i| format!("w{i}")).collect();
        let mut model = ModelBuilder::new(self.opset).input("x", &self.x);
        for (name, weight) in names.iter().zip(&self.weights) {
            // An empty array stands for an absent input.
            if weight.n_elements() > 0 {
                model = model.weight(name, weight.clone());
            }
        }
        let mut inputs = vec!["x"];
        inputs.extend(names.iter().zip(&self.weights).map(|(n, w)| if w.n_elements() > 0 { &**n } else { "" }));
        model.node(self.operator, &inputs, &["y"], &self.attributes).output("y")
    }
}

fn case(
    operator: &'static str,
    opset: i64,
    x: &[usize],
    weights: Vec<Array>,
    attributes: Vec<(&'static str, Attr)>,
) -> Case {
    Case { operator, opset, x: x.to_vec(), weights, attributes }
}

fn scalar(x: f32) -> Array {
    Array::f32(vec![], vec![x])
}

fn absent() -> Array {
    Array::f32(vec![0], vec![])
}

/// One-operator models that are supported.
pub fn supported_cases() -> Vec<Case> {
    let is = |v: &[i64]| Attr::Is(v.to_vec());
    let (w, b) = (|shape: &[usize]| array(shape, 7), |n: usize| array(&[n], 8));
    let positive = |n: usize| Array::f32(vec![n], numbers(n, 9).iter().map(|x| x.abs() + 0.5).collect());
    vec![
        case("Conv", 11, &[1, 3, 8, 7], vec![w(&[4, 3, 3, 3]), b(4)], vec![]),
        case(
            "Conv",
            11,
            &[1, 3, 8, 7],
            vec![w(&[4, 3, 3, 2])],
            vec![("pads", is(&[0, 1, 2, 0])), ("strides", is(&[2, 1]))],
        ),
        case(
            "Conv",
            11,
            &[1, 3, 9, 9],
            vec![w(&[4, 3, 3, 3]), b(4)],
            vec![("dilations", is(&[2, 3])), ("kernel_shape", is(&[3, 3]))],
        ),
        case("Conv", 11, &[1, 4, 6, 6], vec![w(&[6, 2, 3, 3]), b(6)], vec![("group", Attr::I(2))]),
        case(
            "Conv",
            11,
            &[1, 4, 6, 6],
            vec![w(&[4, 1, 3, 3]), b(4)],
            vec![("group", Attr::I(4)), ("pads", is(&[1, 1, 1, 1]))],
        ),
        case("Conv", 11, &[1, 4, 6, 6], vec![w(&[12, 1, 3, 3])], vec![("group", Attr::I(4))]),
        case(
            "Conv",
            11,
            &[1, 2, 7, 8],
            vec![w(&[3, 2, 3, 3])],
            vec![("auto_pad", Attr::S("SAME_UPPER")), ("strides", is(&[2, 2]))],
        ),
        case(
            "Conv",
            11,
            &[1, 2, 7, 8],
            vec![w(&[3, 2, 4, 3])],
            vec![("auto_pad", Attr::S("SAME_LOWER")), ("strides", is(&[1, 3]))],
        ),
        case("Conv", 11, &[1, 2, 7, 8], vec![w(&[3, 2, 3, 3])], vec![("auto_pad", Attr::S("VALID"))]),
        case(
            "Conv",
            11,
            &[1, 3, 12],
            vec![w(&[5, 3, 4]), b(5)],
            vec![("pads", is(&[1, 2])), ("strides", is(&[2])), ("dilations", is(&[2]))],
        ),
        case(
            "Conv",
            11,
            &[1, 3, 12],
            vec![w(&[3, 1, 3])],
            vec![("group", Attr::I(3)), ("auto_pad", Attr::S("SAME_UPPER"))],
        ),
        case(
            "Conv",
            11,
            &[1, 3, 4, 4],
            vec![w(&[2, 3, 2, 2])],
            vec![("pads", is(&[1, 2, 3, 2])), ("strides", is(&[1, 2]))],
        ),
        case("Conv", 11, &[2, 3, 6, 5], vec![w(&[4, 3, 3, 3]), b(4)], vec![("pads", is(&[0, 1, 1, 0]))]),
        case("Conv", 11, &[1, 2, 4, 5, 6], vec![w(&[3, 2, 2, 3, 2]), b(3)], vec![("strides", is(&[1, 2, 1]))]),
        case("ConvTranspose", 11, &[1, 3, 4, 5], vec![w(&[3, 4, 3, 2]), b(4)], vec![]),
        case(
            "ConvTranspose",
            11,
            &[1, 4, 5, 4],
            vec![w(&[4, 3, 4, 4]), b(3)],
            vec![("strides", is(&[2, 2])), ("pads", is(&[1, 1, 1, 1]))],
        ),
        case(
            "ConvTranspose",
            11,
            &[1, 4, 5, 4],
            vec![w(&[4, 3, 3, 3])],
            vec![("group", Attr::I(2)), ("strides", is(&[2, 3])), ("output_padding", is(&[1, 2]))],
        ),
        case("ConvTranspose", 11, &[1, 3, 7], vec![w(&[3, 2, 4]), b(2)], vec![("strides", is(&[2]))]),
        case("LRN", 13, &[2, 5, 3, 4], vec![], vec![("size", Attr::I(3)), ("alpha", Attr::F(0.1))]),
        case("MaxPool", 12, &[2, 3, 9, 8], vec![], vec![("kernel_shape", is(&[3, 2])), ("strides", is(&[2, 2]))]),
        case("AveragePool", 11, &[1, 2, 5, 6, 4], vec![], vec![("kernel_shape", is(&[2, 3, 2]))]),
        case("BatchNormalization", 9, &[3, 4, 5, 2], vec![b(4), b(4), b(4), positive(4)], vec![]),
        case("Gemm", 11, &[1, 6], vec![w(&[6, 4]), b(4)], vec![]),
        case(
            "Gemm",
            11,
            &[2, 6],
            vec![w(&[4, 6]), w(&[2, 4])],
            vec![("transB", Attr::I(1)), ("alpha", Attr::F(0.5)), ("beta", Attr::F(-2.0))],
        ),
        case("Gemm", 11, &[6, 2], vec![w(&[6, 4]), scalar(3.0)], vec![("transA", Attr::I(1))]),
        case("MatMul", 13, &[1, 5, 6], vec![w(&[6, 4])], vec![]),
        case("MatMul", 13, &[3, 6], vec![w(&[6])], vec![]),
        case("MatMul", 13, &[6], vec![w(&[6, 4])], vec![]),
        case("MatMul", 13, &[2, 5, 6], vec![w(&[2, 6, 3])], vec![]),
        case("MatMul", 13, &[3, 1, 4, 6], vec![w(&[2, 6, 3])], vec![]),
        case("Einsum", 12, &[2, 3, 4, 5], vec![w(&[2, 3, 6, 5])], vec![("equation", Attr::S("bhid,bhjd->bhij"))]),
        case("Einsum", 12, &[2, 4, 3, 5], vec![w(&[2, 6, 3, 5])], vec![("equation", Attr::S("bihd,bjhd->bhij"))]),
        case("Einsum", 12, &[3, 4], vec![w(&[4, 5])], vec![("equation", Attr::S("ij, jk"))]),
        case("Einsum", 12, &[2, 3, 4], vec![w(&[4, 5])], vec![("equation", Attr::S("...ij,jk->...ki"))]),
        case("Einsum", 12, &[3, 4, 5], vec![], vec![("equation", Attr::S("abc->cab"))]),
        case("Einsum", 12, &[3, 4, 5], vec![], vec![("equation", Attr::S("abc->ca"))]),
        case("Einsum", 12, &[3, 4, 5], vec![w(&[4, 6])], vec![("equation", Attr::S("abc,bd->ac"))]),
        case("Einsum", 12, &[7], vec![w(&[7])], vec![("equation", Attr::S("i,i->"))]),
        case("Einsum", 12, &[3], vec![w(&[4])], vec![("equation", Attr::S("i,j->ji"))]),
        case("Add", 13, &[1, 3, 4, 5], vec![w(&[3, 1, 1])], vec![]),
        case("Sub", 13, &[1, 3, 4, 5], vec![w(&[5])], vec![]),
        case("Mul", 13, &[1, 3, 4, 5], vec![w(&[1, 3, 4, 1])], vec![]),
        case("Mul", 13, &[4, 1], vec![w(&[2, 1, 5])], vec![]),
        case("Div", 13, &[1, 3, 4], vec![positive(4)], vec![]),
        case("Neg", 13, &[1, 3], vec![], vec![]),
        case("Relu", 13, &[1, 3, 4], vec![], vec![]),
        case("Clip", 7, &[1, 3, 4], vec![], vec![("min", Attr::F(-0.5)), ("max", Attr::F(0.75))]),
        case("Clip", 7, &[1, 3, 4], vec![], vec![("max", Attr::F(0.75))]),
        case("Clip", 13, &[1, 3, 4], vec![scalar(-0.5), scalar(0.75)], vec![]),
        case("Clip", 13, &[1, 3, 4], vec![absent(), scalar(0.75)], vec![]),
        case("Sigmoid", 13, &[1, 3, 4], vec![], vec![]),
        case("Tanh", 13, &[1, 3, 4], vec![], vec![]),
        case(
            "MaxPool",
            12,
            &[1, 3, 8, 7],
            vec![],
            vec![("kernel_shape", is(&[3, 2])), ("strides", is(&[2, 2])), ("pads", is(&[1, 0, 1, 1]))],
        ),
        case(
            "MaxPool",
            12,
            &[1, 3, 8, 8],
            vec![],
            vec![("kernel_shape", is(&[3, 3])), ("strides", is(&[2, 2])), ("ceil_mode", Attr::I(1))],
        ),
        case("MaxPool", 12, &[1, 3, 9, 9], vec![], vec![("kernel_shape", is(&[2, 2])), ("dilations", is(&[2, 2]))]),
        case("MaxPool", 12, &[1, 3, 9], vec![], vec![("kernel_shape", is(&[3])), ("auto_pad", Attr::S("SAME_UPPER"))]),
        case(
            "AveragePool",
            11,
            &[1, 3, 8, 7],
            vec![],
            vec![("kernel_shape", is(&[3, 2])), ("strides", is(&[2, 2])), ("pads", is(&[1, 0, 1, 1]))],
        ),
        case(
            "AveragePool",
            11,
            &[1, 3, 8, 7],
            vec![],
            vec![("kernel_shape", is(&[3, 3])), ("pads", is(&[1, 1, 1, 1])), ("count_include_pad", Attr::I(1))],
        ),
        case(
            "AveragePool",
            11,
            &[1, 3, 8, 7],
            vec![],
            vec![("kernel_shape", is(&[3, 3])), ("auto_pad", Attr::S("SAME_LOWER"))],
        ),
        case("GlobalAveragePool", 11, &[1, 3, 8, 7], vec![], vec![]),
        case("GlobalAveragePool", 11, &[1, 3, 8], vec![], vec![]),
        case("GlobalMaxPool", 11, &[1, 3, 8, 7], vec![], vec![]),
        case("ReduceMean", 13, &[1, 3, 8, 7], vec![], vec![("axes", is(&[-1, 2])), ("keepdims", Attr::I(0))]),
        case("ReduceMean", 18, &[1, 8, 7, 3], vec![ints(&[1, 2])], vec![]),
        case("ReduceMean", 13, &[2, 3, 4, 5], vec![], vec![("axes", is(&[0, 3]))]),
        case("ReduceSum", 13, &[2, 3, 4, 5], vec![ints(&[-1, 0])], vec![("keepdims", Attr::I(0))]),
        case("ReduceSum", 11, &[2, 3, 4], vec![], vec![]),
        case("ReduceMax", 13, &[2, 3, 4], vec![], vec![("axes", is(&[1]))]),
        case("ReduceMin", 13, &[2, 3, 4], vec![], vec![("axes", is(&[1])), ("keepdims", Attr::I(0))]),
        case("ReduceProd", 13, &[2, 3, 4], vec![], vec![("axes", is(&[-1]))]),
        case("ReduceL1", 13, &[2, 3, 4], vec![], vec![("axes", is(&[0, 2]))]),
        case("ReduceL2", 13, &[2, 3, 4], vec![], vec![("axes", is(&[0]))]),
        case("ReduceSumSquare", 13, &[2, 3, 4], vec![], vec![("axes", is(&[2, 1]))]),
        case("ReduceLogSumExp", 13, &[2, 3, 4], vec![], vec![("axes", is(&[2, 1]))]),
        case("LogSoftmax", 13, &[2, 3, 4], vec![], vec![("axis", Attr::I(1))]),
        case("LogSoftmax", 11, &[2, 3, 4], vec![], vec![]),
        case("LayerNormalization", 17, &[2, 3, 4], vec![w(&[4]), b(4)], vec![]),
        case(
            "LayerNormalization",
            17,
            &[2, 3, 4],
            vec![w(&[3, 4])],
            vec![("axis", Attr::I(1)), ("epsilon", Attr::F(0.01))],
        ),
        case("InstanceNormalization", 7, &[2, 3, 4, 5], vec![b(3), w(&[3])], vec![("epsilon", Attr::F(0.01))]),
        case(
            "BatchNormalization",
            15,
            &[1, 3, 4, 5],
            vec![b(3), b(3), b(3), positive(3)],
            vec![("epsilon", Attr::F(0.01))],
        ),
        case(
            "BatchNormalization",
            9,
            &[1, 3, 4],
            vec![b(3), b(3), b(3), positive(3)],
            vec![("momentum", Attr::F(0.01))],
        ),
        case("BatchNormalization", 9, &[2, 3], vec![b(3), b(3), b(3), positive(3)], vec![]),
        case("Softmax", 11, &[2, 3, 4], vec![], vec![]),
        case("Softmax", 11, &[2, 3, 4], vec![], vec![("axis", Attr::I(2))]),
        case("Softmax", 13, &[2, 3, 4], vec![], vec![]),
        case("Softmax", 13, &[2, 3, 4], vec![], vec![("axis", Attr::I(1))]),
        case("Reshape", 13, &[1, 3, 4], vec![ints(&[0, -1, 2])], vec![]),
        case("Flatten", 13, &[1, 3, 4], vec![], vec![]),
        case("Flatten", 13, &[2, 3, 4], vec![], vec![("axis", Attr::I(-1))]),
        case("Squeeze", 11, &[1, 3, 1], vec![], vec![("axes", is(&[2]))]),
        case("Squeeze", 13, &[1, 3, 1], vec![ints(&[0])], vec![]),
        case("Unsqueeze", 11, &[1, 3], vec![], vec![("axes", is(&[0, 3]))]),
        case("Unsqueeze", 13, &[1, 3], vec![ints(&[-1])], vec![]),
        case("Transpose", 13, &[1, 3, 4, 2], vec![], vec![("perm", is(&[2, 0, 3, 1]))]),
        case("Transpose", 13, &[1, 3, 4], vec![], vec![]),
        case("Pad", 10, &[1, 3, 4], vec![], vec![("pads", is(&[0, 1, 2, 0, 0, 1])), ("value", Attr::F(0.5))]),
        case("Pad", 13, &[1, 3, 4], vec![ints(&[0, 1, 2, 0, 0, 1]), scalar(-1.0)], vec![("mode", Attr::S("constant"))]),
        case("Pad", 18, &[1, 3, 4], vec![ints(&[1, 0, 2, 0, 3, 0]), scalar(0.5), ints(&[-1, 0, 1])], vec![]),
        case("Pad", 18, &[1, 3, 4], vec![ints(&[1, 2]), absent(), ints(&[-1])], vec![]),
        case("Concat", 13, &[1, 3, 4], vec![w(&[1, 2, 4])], vec![("axis", Attr::I(-2))]),
        case("Identity", 13, &[1, 3, 4], vec![], vec![]),
        case("Dropout", 13, &[1, 3, 4], vec![], vec![]),
        case("Dropout", 10, &[1, 3, 4], vec![], vec![("ratio", Attr::F(0.5))]),
        case("Cast", 13, &[1, 3, 4], vec![], vec![("to", Attr::I(1))]),
        case("Abs", 13, &[1, 3, 4], vec![], vec![]),
        case("Sign", 13, &[1, 3, 4], vec![], vec![]),
        case("Exp", 13, &[1, 3, 4], vec![], vec![]),
        case("Erf", 13, &[1, 3, 4], vec![], vec![]),
        case("Floor", 13, &[1, 3, 4], vec![], vec![]),
        case("Ceil", 13, &[1, 3, 4], vec![], vec![]),
        case("Round", 11, &[1, 3, 4], vec![], vec![]),
        case("Sin", 7, &[1, 3, 4], vec![], vec![]),
        case("Cos", 7, &[1, 3, 4], vec![], vec![]),
        case("Reciprocal", 13, &[1, 3, 4], vec![], vec![]),
        case("LeakyRelu", 6, &[1, 3, 4], vec![], vec![("alpha", Attr::F(0.3))]),
        case("Elu", 6, &[1, 3, 4], vec![], vec![("alpha", Attr::F(0.7))]),
        // For other values of alpha the reference differs from onnxruntime, whose golden values cover them.
        case("Celu", 12, &[1, 3, 4], vec![], vec![]),
        case("Selu", 6, &[1, 3, 4], vec![], vec![("alpha", Attr::F(1.5)), ("gamma", Attr::F(1.1))]),
        case("HardSigmoid", 6, &[1, 3, 4], vec![], vec![("alpha", Attr::F(0.4)), ("beta", Attr::F(0.6))]),
        case("HardSwish", 14, &[1, 3, 4], vec![], vec![]),
        case("Softplus", 1, &[1, 3, 4], vec![], vec![]),
        case("Softsign", 1, &[1, 3, 4], vec![], vec![]),
        case("ThresholdedRelu", 10, &[1, 3, 4], vec![], vec![("alpha", Attr::F(0.5))]),
        case("PRelu", 9, &[1, 3, 4], vec![w(&[3, 1])], vec![]),
        case("PRelu", 9, &[1, 3, 4], vec![scalar(0.25)], vec![]),
        case("Max", 13, &[1, 3, 4], vec![w(&[3, 1]), scalar(0.25)], vec![]),
        case("Min", 13, &[1, 3, 4], vec![w(&[4]), w(&[1, 3, 4])], vec![]),
        case("Sum", 13, &[1, 3, 4], vec![w(&[4]), w(&[1, 3, 4])], vec![]),
        case("Mean", 13, &[1, 3, 4], vec![w(&[4]), w(&[1, 3, 4])], vec![]),
        case("Pow", 13, &[1, 3, 4], vec![scalar(2.0)], vec![]),
        case("Pow", 13, &[1, 3, 4], vec![scalar(3.0)], vec![]),
    ]
}

#[test]
fn every_operator_equals_the_reference() {
    let mut failures = Vec::new();
    for case in supported_cases() {
        let check = || -> Result<f64, String> {
            let imported = case.model().import().map_err(|e| e.to_string())?;
            compare(&imported, &lower(&imported).map_err(|e| e.to_string())?)
        };
        match check() {
            Ok(db) if db >= 100.0 => {}
            other => failures
                .push(format!("{} of operator set {} {:?}: {other:?}", case.operator, case.opset, case.attributes)),
        }
    }
    assert!(failures.is_empty(), "{}", failures.join("\n"));
}

/// Any change of a shape or an attribute gives the reference's result, or an error from either.
#[test]
fn changed_models_are_right_or_refused() {
    let mut state = 1u64;
    let mut next = |n: u64| {
        state = state.wrapping_mul(6_364_136_223_846_793_005).wrapping_add(1_442_695_040_888_963_407);
        (state >> 33) % n
    };
    let (mut failures, mut n_right) = (Vec::new(), 0);
    for _ in 0..20 {
        for mut case in supported_cases() {
            let delta = [-2, -1, 1, 2][next(4) as usize];
            let (n_dims, n_weights, n_attributes) =
                (case.x.len() as u64, case.weights.len() as u64, case.attributes.len() as u64);
            match next(4) {
                0 => {
                    let d = &mut case.x[next(n_dims) as usize];
                    *d = d.saturating_add_signed(delta as isize).max(1);
                }
                1 if n_weights > 0 => {
                    let weight = &mut case.weights[next(n_weights) as usize];
                    let axis = next(weight.shape.len().max(1) as u64) as usize;
                    if let Some(d) = weight.shape.get_mut(axis).filter(|d| **d > 0) {
                        *d = d.saturating_add_signed(delta as isize).max(1);
                        let shape = weight.shape.clone();
                        *weight = if weight.as_f32().is_some() { array(&shape, 3) } else { ints(&vec![1; shape[0]]) };
                    }
                }
                2 if n_attributes > 0 => match &mut case.attributes[next(n_attributes) as usize].1 {
                    Attr::I(i) => *i += delta,
                    Attr::Is(v) => {
                        let at = next(v.len() as u64) as usize;
                        v[at] += delta;
                    }
                    _ => {}
                },
                _ => case.opset = 7 + next(15) as i64,
            }
            let Ok(imported) = case.model().import() else { continue };
            let Ok(graph) = lower(&imported) else { continue };
            let simplified = crate::passes::simplify(graph.clone()).graph;
            match (compare(&imported, &graph), compare(&imported, &simplified)) {
                // The reference refuses what it inferred shapes for; nothing to compare with.
                (Err(_), _) if Reference::new(&imported).is_err() => {}
                (Ok(a), Ok(b)) if a >= 90.0 && b >= 90.0 => n_right += 1,
                other => failures
                    .push(format!("{} {} x {:?} {:?}: {other:?}", case.operator, case.opset, case.x, case.attributes)),
            }
        }
    }
    assert!(failures.is_empty(), "{} wrong, {n_right} right: {}", failures.len(), failures.join("\n"));
    assert!(n_right > 200, "{n_right}");
}

#[test]
fn partial_support_is_an_error() {
    let check = |case: Case, words: &str| {
        let imported = case.model().import().unwrap();
        let error = lower(&imported).unwrap_err();
        assert!(error.to_string().contains(words), "{error}");
        assert_eq!(error.code(), "unsupported-operator");
        assert!(!error.hint().is_empty());
        let all = unsupported(&imported);
        assert_eq!((&*all[0].node, &*all[0].operator, all[0].opset), ("y_node", case.operator, case.opset));
    };
    let is = |v: &[i64]| Attr::Is(v.to_vec());
    check(case("Conv", 11, &[1, 3], vec![array(&[4, 3], 1)], vec![]), "rank 2");
    check(
        case("Conv", 11, &[1, 3, 5, 5], vec![array(&[4, 3, 3, 3], 1)], vec![("surprise", Attr::I(1))]),
        "attribute 'surprise' is not known",
    );
    check(
        case("Add", 6, &[1, 3], vec![array(&[3], 1)], vec![]),
        "node 'y_node' (Add, operator set 6) is not supported: operator set 6 is older than 7",
    );
    check(case("Cast", 13, &[1, 3], vec![], vec![("to", Attr::I(12))]), "converts to a type that no image has");
    check(case("Mod", 13, &[1, 3], vec![array(&[3], 1)], vec![]), "element type float32");
    check(case("Gelu", 20, &[1, 3], vec![], vec![("approximate", Attr::S("some"))]), "'some' is not known");
    check(case("Celu", 12, &[1, 3], vec![], vec![("alpha", Attr::F(0.0))]), "its alpha is 0");
    check(case("PRelu", 16, &[1, 1, 3], vec![array(&[2, 3], 1)], vec![]), "does not broadcast");
    check(case("And", 7, &[1, 3], vec![array(&[3], 1)], vec![]), "element type float32");
    check(case("Equal", 13, &[1, 3], vec![ints(&[1, 2, 3])], vec![]), "float32 and int64");
    check(case("ReduceMean", 13, &[1, 3, 4], vec![], vec![("axes", is(&[0, 3]))]), "axis 3 is out of range");
    check(case("LpNormalization", 7, &[1, 3], vec![], vec![("p", Attr::I(3))]), "its norm is of order 3");
    check(case("TopK", 11, &[1, 3], vec![ints(&[4])], vec![]), "it chooses 4 elements of 3");
    check(
        case(
            "GroupNormalization",
            21,
            &[1, 6, 4],
            vec![array(&[6], 1), array(&[6], 2)],
            vec![("num_groups", Attr::I(4))],
        ),
        "4 groups",
    );
    check(case("LayerNormalization", 17, &[2, 3, 4], vec![array(&[3], 1)], vec![]), "does not broadcast");
    // From operator set 18 the axes are an input; nobody would read the attribute.
    check(
        case("ReduceMean", 18, &[1, 3, 8, 7], vec![], vec![("axes", is(&[2, 3]))]),
        "its axes are not where operator set 18 has them",
    );
    check(case("NoSuchOperator", 13, &[1, 3], vec![], vec![]), "there is no such operator");
}

#[test]
fn products_take_operands_that_are_known_at_run_time_only() {
    let attributes =
        [("transA", Attr::I(1)), ("transB", Attr::I(1)), ("alpha", Attr::F(0.25)), ("beta", Attr::F(-3.0))];
    let equation = [("equation", Attr::S("bij,bkj->bki"))];
    let none: &[(&str, Attr)] = &[];
    for (operator, shapes, attributes) in [
        ("Gemm", vec![vec![4, 3], vec![5, 4], vec![1, 5]], &attributes[..]),
        ("Gemm", vec![vec![4, 3], vec![5, 4], vec![]], &attributes[..]),
        ("Gemm", vec![vec![4, 3], vec![3, 5], vec![4, 1]], none),
        ("Gemm", vec![vec![4, 3], vec![3, 5]], none),
        ("MatMul", vec![vec![3, 1, 2, 4], vec![2, 4, 5]], none),
        ("MatMul", vec![vec![2, 1, 3, 2, 4], vec![1, 2, 1, 4, 5]], none),
        ("MatMul", vec![vec![4], vec![2, 4, 5]], none),
        ("MatMul", vec![vec![3, 2, 4], vec![4]], none),
        ("Einsum", vec![vec![2, 3, 4], vec![2, 5, 4]], &equation[..]),
    ] {
        let names = ["a", "b", "c"].iter().zip(&shapes).map(|(name, _)| *name).collect::<Vec<_>>();
        let model =
            names.iter().zip(&shapes).fold(ModelBuilder::new(13), |model, (name, shape)| model.input(name, shape));
        let imported = model.node(operator, &names, &["y"], attributes).output("y").import().unwrap();
        let graph = lower(&imported).unwrap();
        let db = compare(&imported, &graph).unwrap();
        assert!(db > 120.0, "{operator} {shapes:?}: {db}");
    }
}

#[test]
fn sums_that_are_no_products_are_refused() {
    let w = |shape: &[usize]| array(shape, 2);
    for (equation, x, weights, words) in [
        ("ii->i", &[3, 3][..], vec![], "takes a diagonal"),
        ("ij,jk,kl->il", &[2, 3], vec![w(&[3, 4]), w(&[4, 5])], "has 3 operands"),
    ] {
        let imported = case("Einsum", 12, x, weights, vec![("equation", Attr::S(equation))]).model().import().unwrap();
        let error = lower(&imported).unwrap_err().to_string();
        assert!(error.contains(words), "{error}");
    }
}

#[test]
fn weights_computed_at_run_time_stay_in_the_file_s_layout() {
    let model = ModelBuilder::new(13)
        .input("x", &[1, 2, 4, 4])
        .input("w", &[3, 2, 3, 3])
        .node("Conv", &["x", "w"], &["y"], &[])
        .output("y");
    let imported = model.import().unwrap();
    let graph = lower(&imported).unwrap();
    assert!(matches!(graph.nodes[0].operator, Operator::WindowNd(WindowNd::Conv { .. })), "{:?}", graph.nodes);
    check_against_reference(&imported, &graph, 100.0);
}

#[test]
fn all_unsupported_nodes_are_listed() {
    let model = ModelBuilder::new(13)
        .input("x", &[1, 4])
        .node("NoSuchFunction", &["x"], &["a"], &[])
        .node("Relu", &["a"], &["b"], &[])
        .node("NoSuchOperator", &["b"], &["c"], &[])
        .node("Relu", &["c"], &["d"], &[])
        .node("NoSuchResult", &["d"], &["y"], &[])
        .output("y");
    let found: Vec<String> = unsupported(&model.import().unwrap()).into_iter().map(|u| u.operator).collect();
    assert_eq!(found, ["NoSuchFunction", "NoSuchOperator", "NoSuchResult"]);
}

#[test]
fn shape_arithmetic_is_folded() {
    // torch's x.view(x.size(0), -1).
    let model = ModelBuilder::new(13)
        .input("x", &[1, 3, 4])
        .weight("zero", Array::new(vec![], ArrayData::I64(vec![0])))
        .weight("minus_one", ints(&[-1]))
        .weight("axes", ints(&[0]))
        .node("Shape", &["x"], &["shape"], &[])
        .node("Gather", &["shape", "zero"], &["n"], &[("axis", Attr::I(0))])
        .node("Unsqueeze", &["n", "axes"], &["n1"], &[])
        .node("Concat", &["n1", "minus_one"], &["target"], &[("axis", Attr::I(0))])
        .node("Reshape", &["x", "target"], &["y"], &[])
        .output("y");
    let imported = model.import().unwrap();
    let graph = lower(&imported).unwrap();
    assert_eq!(graph.nodes.len(), 1);
    assert_eq!(graph.outputs[0].shape, [1, 12]);
    check_against_reference(&imported, &graph, 199.0);
}
