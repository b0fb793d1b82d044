//! Graphs of operators that move elements of any size.

use tinfer::kernels::geometry::BorderMode;
use tinfer::kernels::portable::{CoordinateMode, Interpolation, Outside, Reduction, Triangle};
use tinfer::operators::sized::resize_table::{Given as Lengths, ResizeTableRecord};
use tinfer::operators::sized::shape_given::ShapeRule;
use tinfer::tensor::ElementType;
use tinfer_compiler::graph::{
    Constant, Given, Graph, Move, Node, Operator, Port, Quantization, Sampling, Tensor, TensorId, Weights,
};

/// Every movement of elements of this type.
pub fn sized(element_type: ElementType) -> Graph {
    let mut b = Builder::new(element_type);
    let x = b.input("x", &[2, 3, 4]);
    let [starts, ends] = [[0, 1], [2, 3]].map(|v| b.integers("bounds", &v));
    let [axes, steps] = [[0, -1], [1, 1]].map(|v| b.integers("axes", &v));
    let slice = Move::Slice { starts: vec![1, 0, 3], steps: vec![1, 2, -1] };
    let y = b.moved(slice, &[x], &[1, 2, 4]);
    let y = b.moved(Move::Expand, &[y], &[3, 2, 4]);
    let y =
        b.moved(Move::SliceGiven { axes_and_steps: [Given::Input; 2] }, &[y, starts, ends, axes, steps], &[2, 2, 2]);
    let border =
        |mode, before: &[i32], operands| Move::Border { mode, before: before.to_vec(), value: [1; 8], operands };
    let y = b.moved(border(BorderMode::Wrap, &[0, 1, 0], [Given::Absent; 3]), &[y], &[2, 4, 2]);
    let pads = b.integers("pads", &[1, 0, 0, 2]);
    let value = b.constant(&[1]);
    let y = b.moved(border(BorderMode::Constant, &[0; 3], [Given::Input; 3]), &[y, pads, value, axes], &[3, 4, 4]);
    let indices = b.integers("indices", &[2, -1, 0]);
    let y = b.moved(Move::Gather { axis: 1 }, &[y, indices], &[3, 3, 4]);
    let indices = b.shaped("elements", &[1, 3, 2], &[0, 1, 2, -1, 0, -3]);
    let y = b.moved(Move::GatherElements { axis: 0 }, &[y, indices], &[1, 3, 2]);
    let y = b.concat(&[y, y], &[1, 3, 4]);
    let k = b.integers("k", &[1]);
    // What is quantized with a zero point has no triangles.
    let y = match element_type {
        ElementType::I8 => y,
        _ => b.moved(Move::Trilu { triangle: Triangle::Upper, k: 0 }, &[y, k], &[1, 3, 4]),
    };
    let shape = b.integers("shape", &[3, -1]);
    let rule = ShapeRule::Reshape;
    let y = b.moved(Move::ShapeGiven { rule, shape: vec![3, 4] }, &[y, shape], &[1, 3, 4]);
    let values = b.constant(&[2]);
    let indices = b.integers("hot", &[1, -1, 7]);
    let z = b.moved(Move::OneHot { axis: 0 }, &[values, indices], &[4, 3]);
    let table = b.table("double", &[0, 0, 1, 1, 2, 2], &[1.0; 6]);
    let resize = Move::Resize { axis: 1, taps: vec![1], sampling: Sampling::Nearest };
    let y = b.moved(resize, &[y, table], &[1, 6, 4]);
    b.finish(&[y, z])
}

/// Weighted sums, by a table that is known and, in float32, by one that is not.
pub fn resize(element_type: ElementType) -> Graph {
    let mut b = Builder::new(element_type);
    let x = b.input("x", &[1, 3, 4, 2]);
    let [up, down] = [("up", [0, 1, 1, 2]), ("down", [0, 3, 2, 3])].map(|(name, elements)| b.pairs(name, &elements));
    let sampling = Sampling::Weighted { beyond: 0.5, weights: Weights::Convex };
    let mut y = b.moved(Move::Resize { axis: 1, taps: vec![2, 2], sampling }, &[x, up, down], &[1, 2, 2, 2]);
    if element_type == ElementType::F32 {
        let scales = b.graph.add_constant("scales", vec![1], Constant::F32(vec![2.0]));
        let record = ResizeTableRecord {
            coordinates: CoordinateMode::HalfPixel,
            interpolation: Interpolation::Linear,
            outside: Outside::Edge,
            reduction: Reduction::Plain,
            given: Lengths::Scales,
            position: 0,
            n_axes: 1,
            regions: 0,
            lengths: [2, 0, 0, 0, 0],
        };
        let table = b.node(Operator::Move(Move::ResizeTable(record)), &[scales], &[4, 4], ElementType::I32);
        y = b.moved(Move::Resize { axis: 2, taps: vec![2], sampling }, &[y, table], &[1, 2, 4, 2]);
    }
    b.finish(&[y])
}

struct Builder {
    graph: Graph,
    element_type: ElementType,
}

impl Builder {
    fn new(element_type: ElementType) -> Self {
        Builder { graph: Graph { name: format!("moves of {}", element_type.name()), ..Graph::default() }, element_type }
    }

    fn quantization(&self, element_type: ElementType) -> Option<Quantization> {
        (element_type == ElementType::I8).then(|| Quantization::per_tensor(0.05, 3))
    }

    fn tensor(&mut self, name: &str, shape: &[usize], element_type: ElementType) -> TensorId {
        let quantization = self.quantization(element_type);
        let (name, shape) = (name.to_string(), shape.to_vec());
        self.graph.add_tensor(Tensor { name, shape, element_type, constant: None, quantization, origin: None })
    }

    fn input(&mut self, name: &str, shape: &[usize]) -> TensorId {
        let id = self.tensor(name, shape, self.element_type);
        let port = Port::of_tensor(id, self.graph.tensor(id));
        self.graph.inputs.push(port);
        id
    }

    fn node(&mut self, operator: Operator, inputs: &[TensorId], shape: &[usize], ty: ElementType) -> TensorId {
        let name = format!("n{}", self.graph.nodes.len());
        let output = self.tensor(&name, shape, ty);
        let (inputs, outputs) = (inputs.to_vec(), vec![output]);
        self.graph.nodes.push(Node { name, onnx: "Op".into(), operator, inputs, outputs });
        output
    }

    fn moved(&mut self, movement: Move, inputs: &[TensorId], shape: &[usize]) -> TensorId {
        self.node(Operator::Move(movement), inputs, shape, self.element_type)
    }

    fn concat(&mut self, inputs: &[TensorId], shape: &[usize]) -> TensorId {
        self.node(Operator::Concat { axis: shape.len() - 1 }, inputs, shape, self.element_type)
    }

    /// 0, 1, 2, .. in the type of the graph.
    fn constant(&mut self, shape: &[usize]) -> TensorId {
        let n = shape.iter().product::<usize>() as u8;
        let constant = match self.element_type {
            ElementType::F32 => Constant::F32((0..n).map(f32::from).collect()),
            ElementType::I8 => Constant::I8((0..n).map(|v| v as i8).collect()),
            ElementType::U8 => Constant::U8((0..n).collect()),
            ElementType::I16 => Constant::I16((0..n).map(i16::from).collect()),
            ElementType::I32 => Constant::I32((0..n).map(i32::from).collect()),
            ElementType::I64 => Constant::I64((0..n).map(i64::from).collect()),
            ElementType::Bool => Constant::Bool((0..n).map(|v| v & 1).collect()),
        };
        let id = self.graph.add_constant("c", shape.to_vec(), constant);
        self.graph.tensor_mut(id).quantization = self.quantization(self.element_type);
        id
    }

    fn integers(&mut self, name: &str, values: &[i64]) -> TensorId {
        self.shaped(name, &[values.len()], values)
    }

    fn shaped(&mut self, name: &str, shape: &[usize], values: &[i64]) -> TensorId {
        self.graph.add_constant(name, shape.to_vec(), Constant::I64(values.to_vec()))
    }

    /// One tap for each position.
    fn table(&mut self, name: &str, elements: &[i32], weights: &[f32]) -> TensorId {
        let values = elements.iter().zip(weights).flat_map(|(e, w)| [*e, w.to_bits() as i32]).collect();
        self.graph.add_constant(name, vec![elements.len(), 2], Constant::I32(values))
    }

    /// Two taps of half the weight for each position.
    fn pairs(&mut self, name: &str, elements: &[i32]) -> TensorId {
        let half = 0.5f32.to_bits() as i32;
        let values = elements.chunks(2).flat_map(|pair| [pair[0], pair[1], half, half]).collect();
        self.graph.add_constant(name, vec![elements.len() / 2, 4], Constant::I32(values))
    }

    fn finish(mut self, outputs: &[TensorId]) -> Graph {
        for &id in outputs {
            let port = Port::of_tensor(id, self.graph.tensor(id));
            self.graph.outputs.push(port);
        }
        self.graph
    }
}
