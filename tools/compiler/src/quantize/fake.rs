//! A model that is quantized already, as a float32 image computes it: its roundings as operators on real numbers.
//!
//! ```text
//! Snap(scale, zero_point):  x -> Div scale -> Round -> Clamp to the steps -> Mul scale
//! ```

use super::Range;
use crate::graph::{Binary, Clamp, Constant, Graph, Grid, Node, Operator, Pair, Port, Tensor, TensorId, Unary};
use tinfer::tensor::ElementType;

/// Replaces every rounding to a grid by float32 operators that round, and gives quantized inputs and outputs the element
/// type that they have in the file; `None` when an output has steps whose size nobody says.
pub fn fake_quantized(graph: Graph) -> Option<Graph> {
    let mut graph = graph;
    let outputs: Vec<Option<Grid>> = (0..graph.outputs.len()).map(|i| output_grid(&graph, i)).collect::<Option<_>>()?;
    let nodes = std::mem::take(&mut graph.nodes);
    let mut building = Building { graph };
    for input in 0..building.graph.inputs.len() {
        building.input(input);
    }
    for node in nodes {
        match node.operator {
            Operator::Unary(Unary::Snap(grid)) => building.snap(&node, grid),
            _ => building.graph.nodes.push(node),
        }
    }
    for (output, grid) in outputs.into_iter().enumerate() {
        if let Some(grid) = grid {
            building.output(output, grid);
        }
    }
    Some(building.graph)
}

/// The same model before it was quantized, as far as that is known: what rounded keeps its range, and weights are the steps
/// that the file has. `None` for a model whose inputs or outputs are steps.
pub fn without_steps(mut graph: Graph) -> Option<Graph> {
    let has_steps =
        |port: &Port| graph.tensor(port.tensor).quantization.is_some() || port.element_type == ElementType::I8;
    if graph.inputs.iter().chain(&graph.outputs).any(has_steps) {
        return None;
    }
    for node in &mut graph.nodes {
        if let Operator::Unary(Unary::Snap(grid)) = node.operator {
            let Range { min, max } = Range::of_quantization(&grid.into());
            node.operator = Operator::Unary(Unary::Clamp(Clamp { min: Some(min as f32), max: Some(max as f32) }));
        }
    }
    Some(graph)
}

/// The grid of an output that has steps in the file, in the file's integers: `Some(None)` for one that has none, `None`
/// where it is not known.
fn output_grid(graph: &Graph, output: usize) -> Option<Option<Grid>> {
    let port = &graph.outputs[output];
    if graph.tensor(port.tensor).element_type == port.element_type {
        return Some(None);
    }
    let mut id = port.tensor;
    loop {
        let given = graph.tensor(id).quantization.as_ref();
        let grid = match (given, graph.producer(id).map(|i| &graph.nodes[i])) {
            (Some(given), None) => Grid { scale: given.scales[0], zero_point: given.zero_point },
            (_, Some(Node { operator: Operator::Unary(Unary::Snap(grid)), .. })) => *grid,
            (_, Some(node))
                if node.operator.keeps_values() || matches!(node.operator, Operator::Unary(Unary::Clamp(_))) =>
            {
                id = node.inputs[0];
                continue;
            }
            _ => return None,
        };
        return in_file(grid, port.element_type).map(Some);
    }
}

struct Building {
    graph: Graph,
}

impl Building {
    /// An input that holds steps in the file: its real values follow from them.
    fn input(&mut self, input: usize) {
        let port = &self.graph.inputs[input];
        let (real, element_type) = (port.tensor, port.element_type);
        let Some(grid) = self.grid_in_file(real, element_type) else { return };
        let tensor = self.graph.tensor(real).clone();
        let name = format!("{}_steps", tensor.name);
        let steps = self.graph.add_tensor(Tensor { name, element_type, quantization: None, origin: None, ..tensor });
        self.graph.inputs[input].tensor = steps;
        let name = self.graph.tensor(real).name.clone();
        let numbers = self.step(&format!("{name}/real"), Operator::Cast, &[steps], ElementType::F32);
        let zero = self.number(&name, "zero", grid.zero_point as f32);
        let steps = self.step(&format!("{name}/moved"), binary(Binary::Sub), &[numbers, zero], ElementType::F32);
        let scale = self.number(&name, "scale", grid.scale);
        self.push(&format!("{name}/dequantized"), binary(Binary::Mul), vec![steps, scale], real);
        self.graph.tensor_mut(real).quantization = None;
    }

    /// An output that holds steps in the file.
    fn output(&mut self, output: usize, grid: Grid) {
        let port = &self.graph.outputs[output];
        let (real, element_type, name) = (port.tensor, port.element_type, port.name.clone());
        let scale = self.number(&name, "scale_out", grid.scale);
        let steps = self.step(&format!("{name}/steps"), Operator::Pair(Pair::Div), &[real, scale], ElementType::F32);
        let steps = self.step(&format!("{name}/rounded"), Operator::Unary(Unary::Round), &[steps], ElementType::F32);
        let zero = self.number(&name, "zero_out", grid.zero_point as f32);
        let steps = self.step(&format!("{name}/moved_out"), binary(Binary::Add), &[steps, zero], ElementType::F32);
        self.graph.outputs[output].tensor = self.step(&format!("{name}/cast"), Operator::Cast, &[steps], element_type);
    }

    fn snap(&mut self, node: &Node, grid: Grid) {
        let (x, y) = (node.inputs[0], node.outputs[0]);
        let scale = self.number(&node.name, "scale", grid.scale);
        let name = |step: &str| format!("{}/{step}", node.name);
        let steps = self.step(&name("divided"), Operator::Pair(Pair::Div), &[x, scale], ElementType::F32);
        let steps = self.step(&name("rounded"), Operator::Unary(Unary::Round), &[steps], ElementType::F32);
        let limit = |step: i32| Some((step - grid.zero_point) as f32);
        let clamp = Clamp { min: limit(-128), max: limit(127) };
        let steps = self.step(&name("saturated"), Operator::Unary(Unary::Clamp(clamp)), &[steps], ElementType::F32);
        self.push(&node.name, binary(Binary::Mul), vec![steps, scale], y);
        if let Some(last) = self.graph.nodes.last_mut() {
            last.onnx.clone_from(&node.onnx);
        }
    }

    /// Scale and zero point of an input in the file's own integers.
    fn grid_in_file(&self, id: TensorId, element_type: ElementType) -> Option<Grid> {
        let quantization = self.graph.tensor(id).quantization.as_ref()?;
        in_file(Grid { scale: quantization.scales[0], zero_point: quantization.zero_point }, element_type)
    }

    fn number(&mut self, node: &str, what: &str, value: f32) -> TensorId {
        self.graph.add_constant(&format!("{node}/{what}"), vec![], Constant::F32(vec![value]))
    }

    /// Adds a node with a result of its own, of the first operand's shape.
    fn step(&mut self, name: &str, operator: Operator, inputs: &[TensorId], element_type: ElementType) -> TensorId {
        let shape = self.graph.tensor(inputs[0]).shape.clone();
        let tensor =
            Tensor { name: name.into(), shape, element_type, constant: None, quantization: None, origin: None };
        let output = self.graph.add_tensor(tensor);
        self.push(name, operator, inputs.to_vec(), output);
        output
    }

    fn push(&mut self, name: &str, operator: Operator, inputs: Vec<TensorId>, output: TensorId) {
        let node = Node { name: name.into(), onnx: String::new(), operator, inputs, outputs: vec![output] };
        self.graph.nodes.push(node);
    }
}

/// A grid of int8 steps in the integers of the file; `None` for an element type that has none.
fn in_file(grid: Grid, element_type: ElementType) -> Option<Grid> {
    match element_type {
        ElementType::I8 => Some(grid),
        ElementType::U8 => Some(Grid { zero_point: grid.zero_point + 128, ..grid }),
        _ => None,
    }
}

fn binary(function: Binary) -> Operator {
    Operator::Binary { function, clamp: Clamp::default() }
}
