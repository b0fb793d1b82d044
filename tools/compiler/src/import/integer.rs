//! Integer products and dynamic quantization, as operators on real numbers.
//!
//! Dynamically quantized layers (the pattern of exporters: DynamicQuantizeLinear, MatMulInteger, Cast, Mul) become
//! products with the dequantized weights: the image is quantized statically, with calibration, or not at all. What is
//! left of MatMulInteger and ConvInteger computes the same integers as float32, which holds them exactly as long as no
//! sum can leave 24 bits: longer ones are two products, of multiples of 16 and of what is left of the second operand.
//! Sums that are longer still stay, and are refused.

use std::collections::HashMap;
use tract_onnx::pb::attribute_proto::AttributeType;
use tract_onnx::pb::tensor_proto::DataType;
use tract_onnx::pb::tensor_shape_proto::dimension::Value as DimensionValue;
use tract_onnx::pb::type_proto::Value as TypeValue;
use tract_onnx::pb::{AttributeProto, GraphProto, NodeProto, TensorProto};

/// Replaces every such node. Whether there was one.
pub(super) fn to_real(graph: &mut GraphProto) -> bool {
    let is_one = |node: &NodeProto| ["ConvInteger", "DynamicQuantizeLinear", "MatMulInteger"].contains(&&*node.op_type);
    if !graph.node.iter().any(is_one) {
        return false;
    }
    static_layers(graph);
    let shapes = shapes(graph);
    let mut constants = Vec::new();
    for node in std::mem::take(&mut graph.node) {
        let standard = node.domain.is_empty() || node.domain == "ai.onnx";
        let terms = |axes: &dyn Fn(&[i64]) -> i64| node.input.get(1).and_then(|w| shapes.get(w)).map(|s| axes(s));
        let parts = |n: Option<i64>| match n? {
            ..=0 => None,
            n if n <= MOST_TERMS => Some(Parts::One),
            n => (n <= MOST_SPLIT_TERMS).then_some(Parts::Two),
        };
        let mut rewriting = Rewriting { node: &node, nodes: Vec::new(), constants: &mut constants };
        match &*node.op_type {
            "MatMulInteger" if standard && let Some(parts) = parts(terms(&|s| s[s.len().saturating_sub(2)])) => {
                rewriting.product("MatMul", Vec::new(), [Some(2), None], parts)
            }
            "ConvInteger" if standard && let Some(parts) = parts(terms(&|s| s.iter().skip(1).product())) => {
                let rank = node.input.get(1).and_then(|w| shapes.get(w)).map(Vec::len);
                rewriting.product("Conv", node.attribute.clone(), [None, rank], parts);
            }
            "DynamicQuantizeLinear" if standard => rewriting.dynamic(),
            _ => rewriting.nodes.push(node.clone()),
        }
        graph.node.extend(rewriting.nodes);
    }
    graph.initializer.extend(constants);
    true
}

/// Layers whose operand is quantized dynamically and whose result is brought back to real numbers at once.
fn static_layers(graph: &mut GraphProto) {
    let constants: Vec<String> = graph.initializer.iter().map(|t| t.name.clone()).collect();
    let is_constant = |name: &String| constants.contains(name);
    let mut consumers: HashMap<String, Vec<usize>> = HashMap::new();
    let mut producers: HashMap<String, usize> = HashMap::new();
    for (i, node) in graph.node.iter().enumerate() {
        node.input.iter().for_each(|name| consumers.entry(name.clone()).or_default().push(i));
        node.output.iter().for_each(|name| {
            producers.insert(name.clone(), i);
        });
    }
    let outputs: Vec<String> = graph.output.iter().map(|o| o.name.clone()).collect();
    let only_reader = |graph: &GraphProto, name: &String, op_type: &str| match consumers.get(name).map(|c| &c[..]) {
        Some(&[one]) if graph.node[one].op_type == op_type && !outputs.contains(name) => Some(one),
        _ => None,
    };
    let maker = |graph: &GraphProto, name: &String, op_type: &str| {
        producers.get(name).copied().filter(|&i| graph.node[i].op_type == op_type)
    };
    for idx in 0..graph.node.len() {
        let found = (|| {
            let product = &graph.node[idx];
            let operator = match &*product.op_type {
                "MatMulInteger" => "MatMul",
                "ConvInteger" => "Conv",
                _ => return None,
            };
            let quantizer = &graph.node[maker(graph, product.input.first()?, "DynamicQuantizeLinear")?];
            let (weights, zero_point) = (product.input.get(1)?, product.input.get(3));
            let zero_point = zero_point.filter(|z| !z.is_empty());
            if !is_constant(weights) || zero_point.is_some_and(|z| !is_constant(z)) {
                return None;
            }
            let cast = only_reader(graph, product.output.first()?, "Cast")?;
            let scaled = only_reader(graph, graph.node[cast].output.first()?, "Mul")?;
            let scale = graph.node[scaled].input.iter().find(|i| **i != graph.node[cast].output[0])?;
            let scales = &graph.node[maker(graph, scale, "Mul")?].input;
            let weight_scale = scales.iter().find(|s| Some(*s) != quantizer.output.get(1))?;
            if !is_constant(weight_scale) || !scales.contains(quantizer.output.get(1)?) {
                return None;
            }
            let real = format!("{weights}/real");
            let mut inputs = vec![weights.clone(), weight_scale.clone()];
            inputs.extend(zero_point.cloned());
            let dequantize = node("DequantizeLinear", &real, inputs, Vec::new());
            let layer = NodeProto {
                op_type: operator.into(),
                name: product.name.clone(),
                input: vec![quantizer.input.first()?.clone(), real],
                output: graph.node[scaled].output.clone(),
                attribute: product.attribute.clone(),
                ..NodeProto::default()
            };
            Some((scaled, dequantize, layer))
        })();
        if let Some((scaled, dequantize, layer)) = found {
            graph.node[scaled] = layer;
            if !graph.node.iter().any(|n| n.output == dequantize.output) {
                graph.node.insert(0, dequantize);
                // Indices moved: look again.
                return static_layers(graph);
            }
        }
    }
}

/// In how many parts the second operand of a product is multiplied, so that float32 holds every sum.
#[derive(Clone, Copy)]
enum Parts {
    One,
    /// Multiples of 16, and what is left.
    Two,
}

struct Rewriting<'a> {
    node: &'a NodeProto,
    nodes: Vec<NodeProto>,
    constants: &'a mut Vec<TensorProto>,
}

impl Rewriting<'_> {
    /// The product of two integer operands less their zero points, as int32. `leading` says of which operands several
    /// zero points belong to the first of so many axes; otherwise to the last.
    fn product(&mut self, op_type: &str, attributes: Vec<AttributeProto>, leading: [Option<usize>; 2], parts: Parts) {
        let [a, b] = [self.less_zero_point(0, 2, leading[0]), self.less_zero_point(1, 3, leading[1])];
        match parts {
            Parts::One => {
                self.sum(op_type, "", [a, b], attributes);
            }
            Parts::Two => {
                let [sixteenth, sixteen] =
                    [("sixteenth", 1.0 / 16.0), ("sixteen", 16.0)].map(|(name, value)| self.constant(name, value));
                let scaled = self.push("Mul", "scaled", vec![b.clone(), sixteenth], Vec::new());
                let upper = self.push("Floor", "upper", vec![scaled], Vec::new());
                let multiples = self.push("Mul", "multiples", vec![upper.clone(), sixteen], Vec::new());
                let lower = self.push("Sub", "lower", vec![b, multiples], Vec::new());
                let upper = self.sum(op_type, "upper_", [a.clone(), upper], attributes.clone());
                let lower = self.sum(op_type, "lower_", [a, lower], attributes);
                let factor = format!("{}/factor", self.node.output[0]);
                let int32_data = vec![16];
                self.constants.push(TensorProto {
                    name: factor.clone(),
                    data_type: DataType::Int32 as i32,
                    int32_data,
                    ..TensorProto::default()
                });
                let upper = self.push("Mul", "upper_result", vec![upper, factor], Vec::new());
                self.push("Add", "whole", vec![upper, lower], Vec::new());
            }
        }
        self.finish(0);
    }

    /// A product whose sums float32 holds, as int32.
    fn sum(&mut self, op_type: &str, part: &str, inputs: [String; 2], attributes: Vec<AttributeProto>) -> String {
        let sum = self.push(op_type, &format!("{part}sum"), inputs.into(), attributes);
        let to_integer = vec![integer("to", DataType::Int32 as i64)];
        self.push("Cast", &format!("{part}integer"), vec![sum], to_integer)
    }

    fn less_zero_point(&mut self, i: usize, zero_point: usize, leading: Option<usize>) -> String {
        let real = |name: &str| vec![name.to_string()];
        let to_float = || vec![integer("to", DataType::Float as i64)];
        let x = self.push("Cast", &format!("real_{i}"), real(&self.node.input[i]), to_float());
        match self.node.input.get(zero_point).filter(|z| !z.is_empty()) {
            None => x,
            Some(z) => {
                let mut z = self.push("Cast", &format!("zero_{i}"), real(z), to_float());
                if let Some(rank) = leading {
                    let shape = format!("{}/zero_{i}_shape", self.node.output[0]);
                    let dims: Vec<i64> = std::iter::once(-1).chain(std::iter::repeat_n(1, rank - 1)).collect();
                    self.constants.push(TensorProto {
                        name: shape.clone(),
                        dims: vec![rank as i64],
                        data_type: DataType::Int64 as i32,
                        int64_data: dims,
                        ..TensorProto::default()
                    });
                    z = self.push("Reshape", &format!("zeros_{i}"), vec![z, shape], Vec::new());
                }
                self.push("Sub", &format!("steps_{i}"), vec![x, z], Vec::new())
            }
        }
    }

    /// DynamicQuantizeLinear as the specification has it: uint8, a range with 0 in it, ties to even.
    fn dynamic(&mut self) {
        let x = self.node.input.first().cloned().unwrap_or_default();
        let [zero, one, most] = [("zero", 0.0), ("one", 1.0), ("most", 255.0)].map(|(n, v)| self.constant(n, v));
        let all = || vec![integer("keepdims", 0)];
        let max = self.push("ReduceMax", "max", vec![x.clone()], all());
        let min = self.push("ReduceMin", "min", vec![x.clone()], all());
        let max = self.push("Max", "upper", vec![max, zero.clone()], Vec::new());
        let min = self.push("Min", "lower", vec![min, zero.clone()], Vec::new());
        let range = self.push("Sub", "range", vec![max, min.clone()], Vec::new());
        let step = self.push("Div", "step", vec![range.clone(), most.clone()], Vec::new());
        let empty = self.push("Equal", "empty", vec![range, zero.clone()], Vec::new());
        let scale = self.push("Where", "scale", vec![empty, one, step], Vec::new());
        let scale = self.finish_as(1, scale);
        let steps = self.push("Div", "below", vec![min, scale.clone()], Vec::new());
        let steps = self.push("Neg", "offset", vec![steps], Vec::new());
        let steps = self.push("Clip", "clipped", vec![steps, zero, most], Vec::new());
        let steps = self.push("Round", "rounded", vec![steps], Vec::new());
        let point = self.push("Cast", "zero_point", vec![steps], vec![integer("to", DataType::Uint8 as i64)]);
        let point = self.finish_as(2, point);
        self.push("QuantizeLinear", "quantized", vec![x, scale, point], Vec::new());
        self.finish(0);
    }

    fn constant(&mut self, suffix: &str, value: f32) -> String {
        let name = format!("{}/{suffix}", self.node.output[0]);
        self.constants.push(TensorProto {
            name: name.clone(),
            data_type: DataType::Float as i32,
            float_data: vec![value],
            ..TensorProto::default()
        });
        name
    }

    fn push(&mut self, op_type: &str, suffix: &str, input: Vec<String>, attribute: Vec<AttributeProto>) -> String {
        let name = format!("{}/{suffix}", self.node.output[0]);
        self.nodes.push(node(op_type, &name, input, attribute));
        name
    }

    /// The last node computes output `slot`.
    fn finish(&mut self, slot: usize) {
        if let Some(last) = self.nodes.last_mut() {
            last.output = vec![self.node.output[slot].clone()];
        }
    }

    /// As [`Rewriting::finish`] for an output that may be unwanted; returns the tensor's name.
    fn finish_as(&mut self, slot: usize, name: String) -> String {
        match self.node.output.get(slot).filter(|n| !n.is_empty()) {
            Some(_) => {
                self.finish(slot);
                self.node.output[slot].clone()
            }
            None => name,
        }
    }
}

fn node(op_type: &str, name: &str, input: Vec<String>, attribute: Vec<AttributeProto>) -> NodeProto {
    let (name, output) = (name.to_string(), vec![name.to_string()]);
    NodeProto { op_type: op_type.into(), name, input, output, attribute, ..NodeProto::default() }
}

fn integer(name: &str, i: i64) -> AttributeProto {
    AttributeProto { name: name.into(), r#type: AttributeType::Int as i32, i, ..AttributeProto::default() }
}

/// Shapes of weights and inputs, where they are numbers.
fn shapes(graph: &GraphProto) -> HashMap<String, Vec<i64>> {
    let mut shapes: HashMap<String, Vec<i64>> =
        graph.initializer.iter().map(|t| (t.name.clone(), t.dims.clone())).collect();
    for info in &graph.input {
        let Some(TypeValue::TensorType(ty)) = info.r#type.as_ref().and_then(|t| t.value.as_ref()) else { continue };
        let number = |d: &tract_onnx::pb::tensor_shape_proto::Dimension| match d.value {
            Some(DimensionValue::DimValue(n)) => Some(n),
            _ => None,
        };
        if let Some(dims) = ty.shape.as_ref().and_then(|s| s.dim.iter().map(number).collect()) {
            shapes.entry(info.name.clone()).or_insert(dims);
        }
    }
    shapes
}

/// Products of 255 by 255 whose sum is below 2^24.
const MOST_TERMS: i64 = (1 << 24) / (255 * 255);
/// The same of 255 by 16.
const MOST_SPLIT_TERMS: i64 = (1 << 24) / (255 * 16);
