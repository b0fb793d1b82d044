//! ONNX models written in code, for tests.

use super::{ImportError, ImportOptions, Imported, from_proto, tensor};
use crate::array::{Array, ArrayData};
use tract_onnx::pb::attribute_proto::AttributeType;
use tract_onnx::pb::tensor_proto::DataType;
use tract_onnx::pb::tensor_shape_proto::{Dimension, dimension};
use tract_onnx::pb::*;

/// A model under construction.
#[derive(Clone, Debug)]
pub struct ModelBuilder(pub ModelProto);

/// A dimension in a file.
#[derive(Clone, Debug)]
pub enum Dim {
    /// A number.
    N(i64),
    /// A symbol.
    S(&'static str),
}

/// A node's attribute.
#[derive(Clone, Debug)]
pub enum Attr {
    /// One real number.
    F(f32),
    /// One integer.
    I(i64),
    /// Text.
    S(&'static str),
    /// Real numbers.
    Fs(Vec<f32>),
    /// Integers.
    Is(Vec<i64>),
    /// Texts.
    Ss(Vec<&'static str>),
    /// A tensor.
    T(Array),
}

impl ModelBuilder {
    /// An empty model of an operator set.
    pub fn new(opset: i64) -> Self {
        ModelBuilder(ModelProto {
            ir_version: 8,
            opset_import: vec![OperatorSetIdProto { domain: String::new(), version: opset }],
            graph: Some(GraphProto { name: "test".into(), ..Default::default() }),
            ..Default::default()
        })
    }

    /// The graph.
    pub fn graph(&mut self) -> &mut GraphProto {
        self.0.graph.get_or_insert_with(Default::default)
    }

    /// A float32 input of fixed shape.
    pub fn input(self, name: &str, shape: &[usize]) -> Self {
        let dims: Vec<Dim> = shape.iter().map(|&d| Dim::N(d as i64)).collect();
        self.symbolic_input(name, &dims)
    }

    /// A float32 input.
    pub fn symbolic_input(mut self, name: &str, dims: &[Dim]) -> Self {
        let info = value_info(name, DataType::Float, Some(dims));
        self.graph().input.push(info);
        self
    }

    /// An int8 input of fixed shape.
    pub fn int8_input(mut self, name: &str, shape: &[usize]) -> Self {
        let dims: Vec<Dim> = shape.iter().map(|&d| Dim::N(d as i64)).collect();
        let info = value_info(name, DataType::Int8, Some(&dims));
        self.graph().input.push(info);
        self
    }

    /// An int8 output.
    pub fn int8_output(mut self, name: &str) -> Self {
        let info = value_info(name, DataType::Int8, None);
        self.graph().output.push(info);
        self
    }

    /// QuantizeLinear of `x` to int8, named as its result.
    pub fn quantize(self, x: &str, y: &str, (scale, zero_point): (f32, i8)) -> Self {
        self.with_grid(y, scale, zero_point).grid_node("QuantizeLinear", x, y)
    }

    /// DequantizeLinear of the int8 tensor `x`, named as its result.
    pub fn dequantize(self, x: &str, y: &str, (scale, zero_point): (f32, i8)) -> Self {
        self.with_grid(y, scale, zero_point).grid_node("DequantizeLinear", x, y)
    }

    /// `x` to int8 and back, named as the result.
    pub fn pair(self, x: &str, y: &str, grid: (f32, i8)) -> Self {
        let steps = format!("{y}_steps");
        self.quantize(x, &steps, grid).dequantize(&steps, y, grid)
    }

    /// An int8 weight with one scale for each slice along `axis`, dequantized to `name`.
    pub fn quantized_weight(self, name: &str, steps: Array, scales: &[f32], axis: i64) -> Self {
        let [q, s, z] = ["q", "s", "z"].map(|suffix| format!("{name}_{suffix}"));
        self.weight(&q, steps)
            .weight(&s, Array::f32(vec![scales.len()], scales.to_vec()))
            .weight(&z, Array::new(vec![scales.len()], ArrayData::I8(vec![0; scales.len()])))
            .node("DequantizeLinear", &[&q, &s, &z], &[name], &[("axis", Attr::I(axis))])
    }

    fn with_grid(self, y: &str, scale: f32, zero_point: i8) -> Self {
        self.weight(&format!("{y}_scale"), Array::f32(vec![], vec![scale]))
            .weight(&format!("{y}_zero"), Array::new(vec![], ArrayData::I8(vec![zero_point])))
    }

    fn grid_node(self, operator: &str, x: &str, y: &str) -> Self {
        let (scale, zero) = (format!("{y}_scale"), format!("{y}_zero"));
        self.node(operator, &[x, &scale, &zero], &[y], &[])
    }

    /// A float32 output.
    pub fn output(mut self, name: &str) -> Self {
        let info = value_info(name, DataType::Float, None);
        self.graph().output.push(info);
        self
    }

    /// A weight.
    pub fn weight(mut self, name: &str, array: Array) -> Self {
        let tensor = tensor::proto(name, &array);
        self.graph().initializer.push(tensor);
        self
    }

    /// A node named as its first output.
    pub fn node(mut self, operator: &str, inputs: &[&str], outputs: &[&str], attributes: &[(&str, Attr)]) -> Self {
        let node = NodeProto {
            op_type: operator.into(),
            name: outputs.first().map(|o| format!("{o}_node")).unwrap_or_default(),
            input: inputs.iter().map(|s| s.to_string()).collect(),
            output: outputs.iter().map(|s| s.to_string()).collect(),
            attribute: attributes.iter().map(|(name, value)| attribute(name, value)).collect(),
            ..Default::default()
        };
        self.graph().node.push(node);
        self
    }

    /// Checks and analyses it.
    pub fn import(&self) -> Result<Imported, ImportError> {
        self.import_with(&[])
    }

    /// As [`ModelBuilder::import`] with `--dim`.
    pub fn import_with(&self, dims: &[(&str, usize)]) -> Result<Imported, ImportError> {
        let dims = dims.iter().map(|(name, n)| (name.to_string(), *n)).collect();
        self.import_as(&ImportOptions { dims, ..ImportOptions::default() })
    }

    /// As [`ModelBuilder::import`] with what a user says.
    pub fn import_as(&self, options: &ImportOptions) -> Result<Imported, ImportError> {
        from_proto(self.0.clone(), "test", (0, [0; 32]), options)
    }
}

fn value_info(name: &str, ty: DataType, dims: Option<&[Dim]>) -> ValueInfoProto {
    let dim = |d: &Dim| Dimension {
        denotation: String::new(),
        value: Some(match d {
            Dim::N(n) => dimension::Value::DimValue(*n),
            Dim::S(s) => dimension::Value::DimParam(s.to_string()),
        }),
    };
    let shape = dims.map(|dims| TensorShapeProto { dim: dims.iter().map(dim).collect() });
    let tensor = type_proto::Tensor { elem_type: ty as i32, shape };
    let ty = TypeProto { denotation: String::new(), value: Some(type_proto::Value::TensorType(tensor)) };
    ValueInfoProto { name: name.into(), r#type: Some(ty), doc_string: String::new() }
}

fn attribute(name: &str, value: &Attr) -> AttributeProto {
    let mut proto = AttributeProto { name: name.into(), ..Default::default() };
    let ty = match value {
        Attr::F(x) => {
            proto.f = *x;
            AttributeType::Float
        }
        Attr::I(x) => {
            proto.i = *x;
            AttributeType::Int
        }
        Attr::S(x) => {
            proto.s = x.as_bytes().to_vec();
            AttributeType::String
        }
        Attr::Fs(x) => {
            proto.floats = x.clone();
            AttributeType::Floats
        }
        Attr::Is(x) => {
            proto.ints = x.clone();
            AttributeType::Ints
        }
        Attr::Ss(x) => {
            proto.strings = x.iter().map(|s| s.as_bytes().to_vec()).collect();
            AttributeType::Strings
        }
        Attr::T(x) => {
            proto.t = Some(tensor::proto("", x));
            AttributeType::Tensor
        }
    };
    proto.r#type = ty as i32;
    proto
}
