//! Packs a planned graph into a model image.
//!
//! Everything that a kernel needs at run time is computed here once: weights in the kernel's
//! layout, the input's zero point folded into the bias, multipliers, integer limits, tables.

mod builder;
mod elementwise;
mod int16;
mod int4;
mod movement;
mod moves;
mod pairs;
mod products;
mod reduction;
mod row_normalization;
mod stack;
mod step;
mod window_nd;
mod windows;

#[cfg(test)]
mod tests;

use crate::aligned::AlignedBytes;
use crate::array::RealType;
use crate::cost::Estimate;
use crate::graph::{Graph, Operator, Origin, Port, Tensor};
use crate::plan::Planned;
use builder::{ImageBuilder, PortSpec, Sizes};
use serde::Serialize;
use std::collections::BTreeMap;
use step::StepPacker;
use tinfer::image::doc::Key;
use tinfer::image::port::{Direction, PortView};
use tinfer::image::{Image, Manifest};
use tinfer::isa::Isa;
use tinfer::operators;
use tinfer::preprocess::ImagePreprocess;
use tinfer::tensor::{ElementType, Quantization};

/// What goes into an image besides the graph.
#[derive(Clone, Debug, Default)]
pub struct PackOptions {
    /// Semantic version of the model.
    pub version: [u16; 3],
    /// Board or instruction set that the image is for, as the user named it.
    pub target: String,
    /// Its instruction set; `None` is portable.
    pub isa: Option<Isa>,
    /// Clock of the board, for estimates.
    pub clock_hz: Option<u32>,
    /// Class labels in the order of the output.
    pub labels: Vec<String>,
    /// Licence of the model.
    pub licence: Option<String>,
    /// SHA-256 of the ONNX file.
    pub onnx_digest: Option<[u8; 32]>,
    /// Inputs and outputs whose real numbers have another width in the ONNX file.
    pub real_types: BTreeMap<String, RealType>,
    /// How pictures become inputs, by input name.
    pub preprocess: BTreeMap<String, ImagePreprocess>,
}

/// An image and what is in it.
#[derive(Clone, Debug)]
pub struct Packed {
    /// The image, starting at a 16-byte boundary.
    pub bytes: AlignedBytes,
    /// One entry per step.
    pub layers: Vec<PackedLayer>,
    /// Size of all constants.
    pub weights_bytes: usize,
}

/// One step of an image, for reports.
#[derive(Clone, Debug, Serialize)]
pub struct PackedLayer {
    /// Node name.
    pub name: String,
    /// ONNX operators that it came from.
    pub operator: String,
    /// Operator of the plan that runs it.
    pub kernel: &'static str,
    /// Number format of its first output.
    pub precision: &'static str,
    /// Multiply-accumulates.
    pub macs: u64,
    /// Where its first output is in the arena.
    pub arena_offset: usize,
    /// Size of its first output.
    pub bytes: usize,
    /// See [`Estimate`].
    pub instructions_estimate: Option<u64>,
    /// The same as time, on boards whose clock is known.
    pub milliseconds_estimate: Option<f64>,
}

/// Why a graph cannot be packed.
#[derive(Clone, Debug, PartialEq, thiserror::Error)]
pub enum PackError {
    /// A part of the image does not fit its field.
    #[error("the {what} is too large for a model image")]
    TooLarge {
        /// Which part.
        what: &'static str,
    },
    /// A tensor has a shape that images cannot express.
    #[error("tensor {tensor} has shape {shape:?}, images hold up to 5 dimensions and 2^32 elements")]
    Shape {
        /// The tensor.
        tensor: String,
        /// Its shape.
        shape: Vec<usize>,
    },
    /// A node has operands or parameters that no kernel takes.
    #[error("node {node} cannot be packed: {reason}")]
    Node {
        /// The node.
        node: String,
        /// Why not.
        reason: String,
    },
    /// The runtime refuses what was packed: a defect of the compiler.
    #[error("the runtime refuses the packed image: {reason}")]
    Refused {
        /// The runtime's error.
        reason: String,
    },
}

/// Packs a planned graph.
///
/// # Errors
/// [`PackError`]; the result is checked by the runtime's own reader before it is returned.
pub fn pack(graph: &Graph, planned: &Planned, options: &PackOptions) -> Result<Packed, PackError> {
    let mut steps = StepPacker::new(graph, planned);
    let mut layers = Vec::with_capacity(planned.steps.len());
    for step in &planned.steps {
        let node = &graph.nodes[step.node];
        let packer = match &node.operator {
            Operator::Reshape | Operator::Rows { .. } | Operator::JoinRows => continue,
            Operator::Requantize => elementwise::pack,
            Operator::Require => movement::pack,
            Operator::Move(_) => moves::pack,
            Operator::Normalization(_) if graph.tensor(node.outputs[0]).element_type == ElementType::I8 => {
                row_normalization::pack
            }
            _ if is_int16(graph, node) => int16::pack,
            Operator::Conv2d { .. }
            | Operator::ConvTranspose2d { .. }
            | Operator::DepthwiseConv2d { .. }
            | Operator::FullyConnected { .. }
            | Operator::BatchMatmul { .. } => products::pack,
            Operator::MaxPool2d { .. } | Operator::AveragePool2d { .. } => windows::pack,
            Operator::WindowNd(_) => window_nd::pack,
            Operator::Binary { .. } | Operator::Unary(_) | Operator::Softmax | Operator::MaskedSoftmax => {
                elementwise::pack
            }
            Operator::Pair(_) | Operator::Where | Operator::Cast => pairs::pack,
            Operator::Transpose { .. } | Operator::Pad { .. } | Operator::Concat { .. } => movement::pack,
            Operator::Reduction(_) | Operator::Normalization(_) => reduction::pack,
        };
        steps.begin(step);
        let kernel = packer(&mut steps, node)?;
        layers.push(layer(graph, planned, node, kernel));
    }
    let ports = ports(graph, &mut steps, options)?;
    let mut image = steps.into_image();
    documentation(&mut image, graph, planned, options);
    let sizes = Sizes {
        arena_bytes: u32::try_from(planned.arena_bytes).map_err(|_| PackError::TooLarge { what: "arena" })?,
        scratch_bytes: u32::try_from(planned.scratch_bytes()).map_err(|_| PackError::TooLarge { what: "scratch" })?,
        stack_bytes: 0,
        macs: graph.macs(),
        work: u64::MAX,
    };
    let mut manifest = Manifest::new(&graph.name, &options.target, options.version);
    manifest.arena_bytes = sizes.arena_bytes;
    manifest.scratch_bytes = sizes.scratch_bytes;
    manifest.macs = sizes.macs;
    let isa = options.isa.unwrap_or(Isa::Portable);
    let specs: Vec<PortSpec> = ports.iter().map(|(port, view)| PortSpec { name: &port.name, view: *view }).collect();
    let draft = AlignedBytes::from_slice(&image.finish(isa, &specs, &manifest, &sizes)?);
    let refused = |reason: String| PackError::Refused { reason };
    let checked = Image::check(&draft).map_err(|e| refused(e.to_string()))?;
    let work = operators::work(&checked, operators::ALL).map_err(|e| refused(e.to_string()))?;
    for (layer, step) in layers.iter_mut().zip(checked.steps()) {
        let estimate = Estimate::of_step(&checked, &step, options.clock_hz);
        layer.instructions_estimate = estimate.map(|e| e.instructions);
        layer.milliseconds_estimate = estimate.and_then(|e| e.milliseconds);
    }
    let stack_bytes = stack::stack_bytes(&checked, isa);
    manifest.stack_bytes = stack_bytes;
    let bytes = image.finish(isa, &specs, &manifest, &Sizes { stack_bytes, work, ..sizes })?;
    Ok(Packed { bytes: AlignedBytes::from_slice(&bytes), layers, weights_bytes: image.weights_bytes() })
}

fn layer(graph: &Graph, planned: &Planned, node: &crate::graph::Node, kernel: &'static str) -> PackedLayer {
    let output = node.outputs[0];
    let region = planned.region(output);
    PackedLayer {
        name: node.name.clone(),
        operator: node.onnx.clone(),
        kernel,
        precision: graph.tensor(output).element_type.name(),
        macs: graph.node_macs(node),
        arena_offset: region.map_or(0, |r| r.offset),
        bytes: region.map_or(0, |r| r.bytes),
        instructions_estimate: None,
        milliseconds_estimate: None,
    }
}

fn ports<'g>(
    graph: &'g Graph,
    steps: &mut StepPacker<'_>,
    options: &PackOptions,
) -> Result<Vec<(&'g Port, PortView<'g>)>, PackError> {
    let directed = graph.inputs.iter().map(|p| (Direction::Input, p));
    let directed = directed.chain(graph.outputs.iter().map(|p| (Direction::Output, p)));
    directed
        .map(|(direction, port)| {
            let shape = || PackError::Shape { tensor: port.name.clone(), shape: port.shape.clone() };
            let dims: Vec<u32> = port.shape.iter().map(|&d| d as u32).collect();
            let permutation: Vec<u8> = port.permutation.iter().map(|&a| a as u8).collect();
            let preprocess = match direction {
                Direction::Input => options.preprocess.get(&port.name).copied(),
                Direction::Output => None,
            };
            let tensor = steps.tensor(port.tensor)?;
            PortView::new(
                direction,
                &port.name,
                port.element_type,
                port.batched,
                tensor,
                &dims,
                &permutation,
                preprocess,
            )
            .map(|view| (port, view))
            .ok_or_else(shape)
        })
        .collect()
}

fn documentation(image: &mut ImageBuilder, graph: &Graph, planned: &Planned, options: &PackOptions) {
    if let Some(licence) = &options.licence {
        image.doc(Key::Licence, licence.as_bytes());
    }
    if let Some(digest) = &options.onnx_digest {
        image.doc(Key::OnnxDigest, digest);
    }
    let lines: Vec<String> = planned
        .steps
        .iter()
        .map(|step| {
            let node = &graph.nodes[step.node];
            let (name, onnx) = (clean(&node.name), clean(&node.onnx));
            let Some(Origin { name: origin, axes: factors, permutation, kept, rows }) =
                &graph.tensor(node.outputs[0]).origin
            else {
                return format!("{name}\t{onnx}\t\t");
            };
            let list = |numbers: &[usize]| numbers.iter().map(usize::to_string).collect::<Vec<_>>().join(",");
            let mut axes = list(permutation);
            // Where an axis of the file is split, the reader cannot know how.
            if factors.iter().any(|f| f.len() > 1) {
                let factors: Vec<String> = factors.iter().map(|f| list(f)).collect();
                axes = format!("{axes} of {}", factors.join("/"));
            }
            let kept = kept.as_ref().map_or(String::new(), ToString::to_string);
            let rows = rows.map_or(String::new(), |rows| rows.to_string());
            format!("{name}\t{onnx}\t{}\t{axes}\t{kept}\t{rows}", clean(origin)).trim_end_matches('\t').to_string()
        })
        .collect();
    image.doc(Key::Layers, lines.join("\n").as_bytes());
    if !options.real_types.is_empty() {
        let line = |(name, real): (&String, &RealType)| format!("{}\t{}", clean(name), real.name());
        let lines: Vec<String> = options.real_types.iter().map(line).collect();
        image.doc(Key::RealTypes, lines.join("\n").as_bytes());
    }
    if !options.labels.is_empty() {
        image.doc(Key::Labels, options.labels.join("\n").as_bytes());
    }
}

/// A name without the characters that separate fields.
fn clean(name: &str) -> String {
    name.replace(['\t', '\n'], " ")
}

/// Whether a node computes on quantized int16.
fn is_int16(graph: &Graph, node: &crate::graph::Node) -> bool {
    let mut tensors = node.outputs.iter().map(|&id| graph.tensor(id));
    tensors.any(|t| t.element_type == ElementType::I16 && t.quantization.is_some())
}

/// Quantization as the image records it: 1 and 0 for tensors that have none.
fn quantization(tensor: &Tensor) -> Quantization {
    match &tensor.quantization {
        Some(q) if q.scales.len() == 1 => Quantization { scale: q.scales[0], zero_point: q.zero_point },
        _ => Quantization { scale: 1.0, zero_point: 0 },
    }
}
