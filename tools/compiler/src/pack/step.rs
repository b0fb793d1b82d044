//! What all packers of steps share: tensor indices, constants, fused clamps.

use super::builder::ImageBuilder;
use super::{PackError, quantization};
use crate::choose::{Method, output_i8};
use crate::graph::{Clamp, Constant, Graph, Node, Tensor, TensorId};
use crate::plan::{Placement, Planned, Region, Step};
use std::collections::HashMap;
use tinfer::isa::Isa;
use tinfer::kernels::parameters::OutputI8;
use tinfer::operators::Operator;
use tinfer::operators::limits::{LimitsF32, LimitsI8};
use tinfer::tensor::{ElementType, Quantization};

/// Packs one step after the other into an image.
pub(super) struct StepPacker<'g> {
    pub graph: &'g Graph,
    planned: &'g Planned,
    image: ImageBuilder,
    /// Tensors that have a record, by graph tensor.
    records: HashMap<TensorId, u16>,
    scratch: Option<Region>,
    isa: Isa,
    method: Method,
}

impl<'g> StepPacker<'g> {
    pub fn new(graph: &'g Graph, planned: &'g Planned) -> Self {
        StepPacker {
            graph,
            planned,
            image: ImageBuilder::default(),
            records: HashMap::new(),
            scratch: None,
            isa: Isa::Portable,
            method: Method::Direct,
        }
    }

    /// The step that the following calls belong to.
    pub fn begin(&mut self, step: &Step) {
        self.scratch = step.scratch;
        self.isa = step.kernel.isa;
        self.method = step.kernel.method;
    }

    /// The set of kernels that was chosen for the step.
    pub fn isa(&self) -> Isa {
        self.isa
    }

    /// How the step is computed.
    pub fn method(&self) -> Method {
        self.method
    }

    pub fn into_image(self) -> ImageBuilder {
        self.image
    }

    /// The graph's tensor `i` among the inputs of a node.
    pub fn input(&self, node: &Node, i: usize) -> &'g Tensor {
        self.graph.tensor(node.inputs[i])
    }

    /// The first output of a node.
    pub fn output(&self, node: &Node) -> &'g Tensor {
        self.graph.tensor(node.outputs[0])
    }

    /// Index of a graph tensor's record; made at the first call.
    pub fn tensor(&mut self, id: TensorId) -> Result<u16, PackError> {
        if let Some(&index) = self.records.get(&id) {
            return Ok(index);
        }
        let tensor = self.graph.tensor(id);
        let index = match self.planned.placement[id.0] {
            Placement::Arena(region) => self.image.arena_tensor(
                &tensor.name,
                tensor.element_type,
                &tensor.shape,
                region.offset,
                quantization(tensor),
            )?,
            Placement::Constant(source) => {
                let bytes = self.graph.tensor(source).constant.as_ref().map(Constant::to_bytes).ok_or_else(|| {
                    PackError::Node { node: tensor.name.clone(), reason: "its constant has no data".into() }
                })?;
                self.image.constant(&tensor.name, tensor.element_type, &tensor.shape, bytes, quantization(tensor))?
            }
            Placement::Unused => {
                return Err(PackError::Node { node: tensor.name.clone(), reason: "it has no memory".into() });
            }
        };
        self.records.insert(id, index);
        Ok(index)
    }

    /// Record of an array that is not a tensor of the graph: packed weights, multipliers, tables.
    pub fn array<T: bytemuck::NoUninit>(
        &mut self,
        node: &Node,
        element_type: ElementType,
        data: &[T],
    ) -> Result<u16, PackError> {
        let none = Quantization { scale: 1.0, zero_point: 0 };
        let shape = [std::mem::size_of_val(data) / element_type.size_bytes()];
        self.image.constant(&node.name, element_type, &shape, bytemuck::cast_slice(data).to_vec(), none)
    }

    /// Writes the step: graph inputs `inputs` first, then `arrays`, then the node's outputs.
    pub fn emit(
        &mut self,
        node: &Node,
        operator: &Operator,
        inputs: &[TensorId],
        arrays: &[u16],
        parameters: &[u8],
    ) -> Result<&'static str, PackError> {
        let mut indices = inputs.iter().map(|&id| self.tensor(id)).collect::<Result<Vec<u16>, _>>()?;
        indices.extend(arrays);
        let outputs = node.outputs.iter().map(|&id| self.tensor(id)).collect::<Result<Vec<u16>, _>>()?;
        let scratch = self.scratch.map_or((0, 0), |r| (r.offset, r.bytes));
        self.image.step(operator.code, &indices, &outputs, scratch, parameters)?;
        Ok(operator.name)
    }

    pub fn error(&self, node: &Node, reason: impl Into<String>) -> PackError {
        PackError::Node { node: node.name.clone(), reason: reason.into() }
    }

    /// Element type on which a node computes: that of its first output.
    pub fn precision(&self, node: &Node) -> Result<Precision, PackError> {
        match self.output(node).element_type {
            ElementType::F32 => Ok(Precision::F32),
            ElementType::I8 => Ok(Precision::I8),
            other => Err(self.error(node, format!("there is no kernel for {}", other.name()))),
        }
    }

    /// The per-tensor quantization of an int8 tensor.
    pub fn quantized(&self, node: &Node, tensor: &Tensor) -> Result<(f64, i32), PackError> {
        match tensor.element_type {
            ElementType::I8 => self.steps_of(node, tensor),
            _ => Err(self.error(node, format!("tensor {} is not quantized per tensor to int8", tensor.name))),
        }
    }

    /// The per-tensor quantization of an int8 or int16 tensor.
    pub fn steps_of(&self, node: &Node, tensor: &Tensor) -> Result<(f64, i32), PackError> {
        match (&tensor.quantization, tensor.element_type) {
            (Some(q), ElementType::I8 | ElementType::I16) if q.scales.len() == 1 => {
                Ok((f64::from(q.scales[0]), q.zero_point))
            }
            (_, found) => {
                Err(self.error(node, format!("tensor {} is not quantized per tensor to {}", tensor.name, found.name())))
            }
        }
    }

    /// A clamp in steps of the node's output.
    pub fn limits_i8(&self, node: &Node, clamp: Clamp) -> Result<LimitsI8, PackError> {
        let OutputI8 { min, max, .. } = output_i8(self.graph, node, clamp).map_err(|e| self.error(node, e.reason))?;
        Ok(LimitsI8 { min, max })
    }
}

/// Which kernels a node runs on.
#[derive(Clone, Copy, Debug, PartialEq, Eq)]
pub(super) enum Precision {
    F32,
    I8,
}

/// A clamp in real units.
pub(super) fn limits_f32(clamp: Clamp) -> LimitsF32 {
    LimitsF32 { min: clamp.min.unwrap_or(f32::NEG_INFINITY), max: clamp.max.unwrap_or(f32::INFINITY) }
}
