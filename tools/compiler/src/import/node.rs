//! An ONNX node in plain types, so that lowering needs no protobuf.

use super::{ImportError, tensor};
use crate::array::Array;
use tract_onnx::pb::NodeProto;
use tract_onnx::pb::attribute_proto::AttributeType;

/// The value of a node's attribute.
#[derive(Clone, Debug, PartialEq)]
pub enum Attribute {
    /// One real number.
    Float(f32),
    /// One integer.
    Int(i64),
    /// Text.
    String(String),
    /// A tensor; `None` when its element type has no [`Array`].
    Tensor(Option<Array>),
    /// Real numbers.
    Floats(Vec<f32>),
    /// Integers.
    Ints(Vec<i64>),
    /// Texts.
    Strings(Vec<String>),
    /// A graph, a type, sparse tensors: nothing that any supported operator has.
    Other,
}

/// One node of an ONNX graph.
#[derive(Clone, Debug, PartialEq)]
pub struct OnnxNode {
    /// The node's name, or its first output's if it has none. Unique.
    pub name: String,
    /// Operator type, as `Conv`.
    pub operator: String,
    /// Operator domain; empty for `ai.onnx`.
    pub domain: String,
    /// Operands; an empty string stands for an optional one that is absent.
    pub inputs: Vec<String>,
    /// Results; an empty string stands for one that nobody wants.
    pub outputs: Vec<String>,
    /// Attributes in the file's order.
    pub attributes: Vec<(String, Attribute)>,
}

impl OnnxNode {
    /// The attribute of this name.
    pub fn attribute(&self, name: &str) -> Option<&Attribute> {
        self.attributes.iter().find(|(n, _)| n == name).map(|(_, value)| value)
    }

    pub(super) fn new(proto: &NodeProto, name: String) -> Result<Self, ImportError> {
        let text = |bytes: &[u8]| String::from_utf8_lossy(bytes).into_owned();
        let attributes = proto.attribute.iter().map(|a| {
            let value = match AttributeType::try_from(a.r#type) {
                Ok(AttributeType::Float) => Attribute::Float(a.f),
                Ok(AttributeType::Int) => Attribute::Int(a.i),
                Ok(AttributeType::String) => Attribute::String(text(&a.s)),
                Ok(AttributeType::Tensor) => Attribute::Tensor(a.t.as_ref().map(tensor::array).transpose()?.flatten()),
                Ok(AttributeType::Floats) => Attribute::Floats(a.floats.clone()),
                Ok(AttributeType::Ints) => Attribute::Ints(a.ints.clone()),
                Ok(AttributeType::Strings) => Attribute::Strings(a.strings.iter().map(|s| text(s)).collect()),
                _ => Attribute::Other,
            };
            Ok((a.name.clone(), value))
        });
        Ok(OnnxNode {
            name,
            operator: proto.op_type.clone(),
            domain: if proto.domain == "ai.onnx" { String::new() } else { proto.domain.clone() },
            inputs: proto.input.clone(),
            outputs: proto.output.clone(),
            attributes: attributes.collect::<Result<_, ImportError>>()?,
        })
    }
}
