//! Graphs of operators in which many elements decide about one.

use tinfer::kernels::portable::{BoxFormat, LpNorm, Order, Reading, ReduceFunction, Start, Statistic, Tie};
use tinfer::operators::reduction::non_max_suppression::SpareRows;
use tinfer::operators::reduction::normalization::NormalizationResult;
use tinfer::operators::reduction::selection::TopKResult;
use tinfer::tensor::ElementType;
use tinfer_compiler::graph::{
    Constant, Graph, Node, Normalization, Operator, Port, Quantization, Reduction, Tensor, TensorId,
};

/// Reductions, choices and sums of elements of this type.
pub fn choices(element_type: ElementType) -> Graph {
    let mut b = Builder::default();
    let x = b.input("x", &[2, 3, 4], element_type);
    let wide = matches!(element_type, ElementType::F32 | ElementType::I32 | ElementType::I64);
    let function = if wide { ReduceFunction::Mean } else { ReduceFunction::Max };
    let reduce = |function, axes: Option<&[usize]>, keeps_dims| {
        Operator::Reduction(Reduction::Reduce { function, axes: axes.map(<[usize]>::to_vec), keeps_dims })
    };
    let axes = b.constant("axes", Constant::I64(vec![-1, 0]));
    let fixed = b.node(reduce(function, Some(&[0, 2]), true), &[x], &[1, 3, 1], element_type);
    let given = b.node(reduce(ReduceFunction::Min, None, false), &[x, axes], &[3], element_type);
    let operator = Operator::Reduction(Reduction::ArgExtreme { axis: 1, order: Order::Ascending, tie: Tie::Last });
    let index = b.node(operator, &[x], &[2, 1, 4], ElementType::I64);
    let top = |result| Operator::Reduction(Reduction::TopK { axis: 2, order: Order::Descending, result });
    let values = b.node(top(TopKResult::Values), &[x], &[2, 3, 2], element_type);
    let indices = b.node(top(TopKResult::Indices), &[x], &[2, 3, 2], ElementType::I64);
    let mut outputs = vec![fixed, given, index, values, indices];
    if wide {
        let sum =
            |axis, start| Operator::Reduction(Reduction::CumulativeSum { axis, reading: Reading::Exclusive, start });
        let axis = b.constant("axis", Constant::I32(vec![1]));
        let y = b.node(sum(Some(0), Start::Front), &[x], &[2, 3, 4], element_type);
        outputs.push(b.node(sum(None, Start::Back), &[y, axis], &[2, 3, 4], element_type));
    }
    if element_type == ElementType::U8 {
        let truths = b.input("truths", &[2, 3, 4], ElementType::Bool);
        outputs.push(b.node(reduce(ReduceFunction::Max, Some(&[1]), false), &[truths], &[2, 4], ElementType::Bool));
    }
    b.finish(&outputs)
}

/// Normalizations, Softmax's kin, boxes.
pub fn normalizations() -> Graph {
    let (mut b, float) = (Builder::default(), ElementType::F32);
    let x = b.input("x", &[2, 6, 4], float);
    let scale = b.constant("scale", Constant::F32((0..6).map(|i| i as f32 * 0.5 - 1.0).collect()));
    let normalization = |result, statistic, n, groups, repeat| {
        Operator::Normalization(Normalization { result, statistic, epsilon: 1e-5, n, groups, repeat })
    };
    let (all, variance) = (NormalizationResult::Normalized, Statistic::Variance);
    let y = b.node(normalization(all, variance, 8, 3, 4), &[x, scale, scale], &[2, 6, 4], float);
    let mean = b.node(normalization(NormalizationResult::Mean, variance, 4, 1, 1), &[y], &[2, 6, 1], float);
    let inverse = NormalizationResult::InverseDeviation;
    let inverse = b.node(normalization(inverse, Statistic::MeanSquare, 24, 1, 1), &[y], &[2, 1, 1], float);
    let operator = Operator::Reduction(Reduction::LpNormalization { axis: 1, norm: LpNorm::L2 });
    let y = b.node(operator, &[y], &[2, 6, 4], float);
    let y = b.node(Operator::Reduction(Reduction::LogSoftmax), &[y], &[2, 6, 4], float);
    let y = b.node(Operator::Reduction(Reduction::Hardmax { axis: 0 }), &[y], &[2, 6, 4], float);
    let scores = b.input("scores", &[2, 3, 6], float);
    let most = b.constant("most", Constant::I64(vec![2]));
    let threshold = b.constant("threshold", Constant::F32(vec![0.25]));
    let operator = Reduction::NonMaxSuppression { format: BoxFormat::Center, spare_rows: SpareRows::Filled };
    let operands = [x, scores, most, threshold, threshold];
    let boxes = b.node(Operator::Reduction(operator), &operands, &[12, 3], ElementType::I64);
    b.finish(&[y, mean, inverse, boxes])
}

#[derive(Default)]
struct Builder {
    graph: Graph,
}

impl Builder {
    fn tensor(&mut self, shape: &[usize], element_type: ElementType) -> TensorId {
        self.graph.add_tensor(Tensor {
            name: format!("t{}", self.graph.tensors.len()),
            shape: shape.to_vec(),
            element_type,
            constant: None,
            quantization: (element_type == ElementType::I8).then(|| Quantization::per_tensor(0.05, 3)),
            origin: None,
        })
    }

    fn port(&self, name: &str, id: TensorId) -> Port {
        Port { name: name.into(), ..Port::of_tensor(id, self.graph.tensor(id)) }
    }

    fn input(&mut self, name: &str, shape: &[usize], element_type: ElementType) -> TensorId {
        let id = self.tensor(shape, element_type);
        let port = self.port(name, id);
        self.graph.inputs.push(port);
        id
    }

    fn constant(&mut self, name: &str, constant: Constant) -> TensorId {
        self.graph.add_constant(name, vec![constant.len()], constant)
    }

    fn node(
        &mut self,
        operator: Operator,
        inputs: &[TensorId],
        shape: &[usize],
        element_type: ElementType,
    ) -> TensorId {
        let output = self.tensor(shape, element_type);
        let (name, inputs) = (format!("n{}", self.graph.nodes.len()), inputs.to_vec());
        self.graph.nodes.push(Node { name, onnx: "Op".into(), operator, inputs, outputs: vec![output] });
        output
    }

    fn finish(mut self, outputs: &[TensorId]) -> Graph {
        for (i, &id) in outputs.iter().enumerate() {
            let port = self.port(&format!("y{i}"), id);
            self.graph.outputs.push(port);
        }
        self.graph.name = "reductions".into();
        self.graph
    }
}
