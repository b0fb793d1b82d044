//! ONNX files written byte by byte, so that tests can be wrong in every way.
//!
//! Source: `onnx.proto3` of ONNX 1.17, whose field numbers stand beside each function.

/// A model under construction.
#[derive(Clone, Debug)]
pub struct Model {
    graph: Vec<u8>,
}

/// A weight.
#[derive(Clone, Debug)]
pub struct Weight<'a> {
    /// Tensor name.
    pub name: &'a str,
    /// Dimensions.
    pub dims: &'a [u64],
    /// Row-major values.
    pub values: &'a [f32],
}

impl Model {
    /// A graph with one float32 input `x` of this shape and one output `y` of unknown shape.
    pub fn new(input: &[u64]) -> Self {
        let mut graph = text(2, "g");
        graph.extend(message(11, &value_info("x", Some(input))));
        graph.extend(message(12, &value_info("y", None)));
        Model { graph }
    }

    /// Adds a node without attributes.
    pub fn node(self, operator: &str, inputs: &[&str], output: &str) -> Self {
        self.node_with(operator, inputs, output, &[])
    }

    /// Adds a node with integer attributes.
    pub fn node_with(mut self, operator: &str, inputs: &[&str], output: &str, attributes: &[(&str, u64)]) -> Self {
        // NodeProto: input 1, output 2, op_type 4, attribute 5; AttributeProto: name 1, i 3, type 20 (2 = INT).
        let attribute =
            |(name, value): &(&str, u64)| message(5, &[text(1, name), number(3, *value), number(20, 2)].concat());
        let inputs = inputs.iter().flat_map(|i| text(1, i));
        let node = inputs.chain(text(2, output)).chain(text(4, operator));
        let node: Vec<u8> = node.chain(attributes.iter().flat_map(attribute)).collect();
        self.graph.extend(message(1, &node));
        self
    }

    /// Adds a weight.
    pub fn weight(mut self, weight: &Weight<'_>) -> Self {
        let raw: Vec<u8> = weight.values.iter().flat_map(|v| v.to_le_bytes()).collect();
        let tensor = [tensor_header(weight.name, weight.dims), message(9, &raw)].concat();
        self.graph.extend(message(5, &tensor));
        self
    }

    /// Adds a weight whose values are in another file.
    pub fn external_weight(mut self, name: &str, dims: &[u64], location: &str) -> Self {
        // TensorProto: external_data 13 (key 1, value 2), data_location 14 = EXTERNAL.
        let entry = [text(1, "location"), text(2, location)].concat();
        let tensor = [tensor_header(name, dims), message(13, &entry), number(14, 1)].concat();
        self.graph.extend(message(5, &tensor));
        self
    }

    /// The file.
    pub fn bytes(&self) -> Vec<u8> {
        // ModelProto: ir_version 1, graph 7, opset_import 8 (domain 1, version 2).
        [number(1, 8), message(7, &self.graph), message(8, &number(2, 17))].concat()
    }
}

/// TensorProto: dims 1, data_type 2 = FLOAT, name 8.
fn tensor_header(name: &str, dims: &[u64]) -> Vec<u8> {
    let dims = dims.iter().flat_map(|&d| number(1, d));
    dims.chain(number(2, 1)).chain(text(8, name)).collect()
}

/// ValueInfoProto: name 1, type 2; TypeProto: tensor_type 1; its elem_type 1 = FLOAT, shape 2; dim 1; dim_value 1.
fn value_info(name: &str, dims: Option<&[u64]>) -> Vec<u8> {
    let mut tensor = number(1, 1);
    if let Some(dims) = dims {
        let shape: Vec<u8> = dims.iter().flat_map(|&d| message(1, &number(1, d))).collect();
        tensor.extend(message(2, &shape));
    }
    [text(1, name), message(2, &message(1, &tensor))].concat()
}

fn number(field: u64, value: u64) -> Vec<u8> {
    [varint(field << 3), varint(value)].concat()
}

fn text(field: u64, value: &str) -> Vec<u8> {
    message(field, value.as_bytes())
}

fn message(field: u64, value: &[u8]) -> Vec<u8> {
    [varint(field << 3 | 2), varint(value.len() as u64), value.to_vec()].concat()
}

fn varint(mut value: u64) -> Vec<u8> {
    let mut bytes = Vec::new();
    while value >= 0x80 {
        bytes.push(value as u8 | 0x80);
        value >>= 7;
    }
    bytes.push(value as u8);
    bytes
}
