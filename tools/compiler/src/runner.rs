//! Runs a model image on this machine with arrays as the ONNX file describes them.
//!
//! The same runtime as on a board; this module adds what the host does for the board as well:
//! quantizing inputs, moving axes, and back.

use crate::aligned::AlignedBytes;
use crate::array::{Array, ArrayData, RealType};
use crate::graph::{Origin, transposed};
use crate::kept_channels::KeptChannels;
use crate::strip_rows::StripRows;
use std::collections::BTreeMap;
use tinfer::image::{Image, PortView, TensorView, doc};
use tinfer::session::{NoObserver, Observer, Session};
use tinfer::tensor::ElementType;
use tinfer::{BindError, LoadError, RunError, operators};

/// Why an image does not run here.
#[derive(Clone, Debug, PartialEq, thiserror::Error)]
pub enum RunnerError {
    /// Not an image.
    #[error("{0}")]
    Load(#[from] LoadError),
    /// It cannot be bound.
    #[error("{0}")]
    Bind(#[from] BindError),
    /// A run stopped.
    #[error("{0}")]
    Run(#[from] RunError),
    /// An array does not fit a port.
    #[error("input {name} takes {expected}, got {found}")]
    Input {
        /// The port.
        name: String,
        /// Type and shape that it takes.
        expected: String,
        /// Type and shape that were given.
        found: String,
    },
    /// The wrong number of inputs.
    #[error("the model has {expected} inputs, got {found}")]
    InputCount {
        /// Inputs of the model.
        expected: usize,
        /// Arrays that were given.
        found: usize,
    },
    /// A port's type has no conversion to its tensor's type.
    #[error("port {name} is {port} in the model and {tensor} in the image")]
    PortType {
        /// The port.
        name: String,
        /// Its type in the ONNX file.
        port: &'static str,
        /// Its tensor's type.
        tensor: &'static str,
    },
}

/// One layer as the image documents it.
#[derive(Clone, Debug, PartialEq, Eq)]
pub struct LayerDoc {
    /// Node name.
    pub name: String,
    /// ONNX operators that it came from.
    pub operator: String,
    /// ONNX tensor that its first output holds, with the axes in the image's order.
    pub origin: Option<Origin>,
}

/// A checked image with an arena of its own.
#[derive(Debug)]
pub struct ImageRunner<'i> {
    image: Image<'i>,
    arena: AlignedBytes,
    inputs: Vec<PortView<'i>>,
    outputs: Vec<PortView<'i>>,
}

impl<'i> ImageRunner<'i> {
    /// Checks an image and allocates its arena.
    ///
    /// # Errors
    /// What the runtime's reader says.
    pub fn new(bytes: &'i AlignedBytes) -> Result<Self, RunnerError> {
        let image = Image::check(bytes)?;
        let mut runner = ImageRunner {
            image,
            arena: AlignedBytes::zeroed(image.arena_bytes()),
            inputs: image.inputs().collect(),
            outputs: image.outputs().collect(),
        };
        Session::bind(&image, &mut runner.arena, operators::ALL)?;
        Ok(runner)
    }

    /// The image.
    pub fn image(&self) -> &Image<'i> {
        &self.image
    }

    /// Inputs in the order of the ONNX file.
    pub fn inputs(&self) -> &[PortView<'i>] {
        &self.inputs
    }

    /// Outputs in the order of the ONNX file.
    pub fn outputs(&self) -> &[PortView<'i>] {
        &self.outputs
    }

    /// The size of a step of an output, where the image has it in steps.
    pub fn output_step(&self, index: usize) -> Option<f32> {
        let tensor = self.image.tensor(self.outputs.get(index)?.tensor)?;
        matches!(tensor.element_type, ElementType::I8 | ElementType::I16).then_some(tensor.quantization.scale)
    }

    /// Class labels, if the image has any.
    pub fn labels(&self) -> Vec<String> {
        lines(self.image.doc(doc::Key::Labels))
    }

    /// Inputs and outputs whose real numbers have another width in the ONNX file.
    pub fn real_types(&self) -> BTreeMap<String, RealType> {
        let parse = |line: &String| {
            let (name, real) = line.split_once('\t')?;
            Some((name.to_string(), RealType::parse(real)?))
        };
        lines(self.image.doc(doc::Key::RealTypes)).iter().filter_map(parse).collect()
    }

    /// What each step is, as far as the image says.
    pub fn layers(&self) -> Vec<LayerDoc> {
        lines(self.image.doc(doc::Key::Layers)).iter().map(|line| layer_doc(line)).collect()
    }

    /// Runs one sample.
    ///
    /// # Errors
    /// [`RunnerError`] when an array does not fit its input.
    pub fn run(&mut self, inputs: &[Array]) -> Result<Vec<Array>, RunnerError> {
        self.run_observed(inputs, &mut NoObserver)
    }

    /// Runs one sample and shows every step to `observer`.
    ///
    /// # Errors
    /// As [`ImageRunner::run`].
    pub fn run_observed<O: Observer>(&mut self, inputs: &[Array], observer: &mut O) -> Result<Vec<Array>, RunnerError> {
        let encoded = self.encode_inputs(inputs)?;
        let mut session = Session::bind(&self.image, &mut self.arena, operators::ALL)?;
        for (i, bytes) in encoded.iter().enumerate() {
            session.set_input(i, bytes)?;
        }
        session.run_observed(observer)?;
        let bytes: Vec<Vec<u8>> =
            (0..self.outputs.len()).map(|i| session.output(i).map(<[u8]>::to_vec)).collect::<Result<_, _>>()?;
        bytes.iter().enumerate().map(|(i, b)| self.decode_output(i, b)).collect()
    }

    /// The bytes of all inputs as the board takes them: quantized, in the image's layout.
    ///
    /// # Errors
    /// As [`ImageRunner::run`].
    pub fn encode_inputs(&self, inputs: &[Array]) -> Result<Vec<Vec<u8>>, RunnerError> {
        if inputs.len() != self.inputs.len() {
            return Err(RunnerError::InputCount { expected: self.inputs.len(), found: inputs.len() });
        }
        self.inputs.iter().zip(inputs).map(|(port, array)| self.encode(port, array)).collect()
    }

    fn encode(&self, port: &PortView<'_>, array: &Array) -> Result<Vec<u8>, RunnerError> {
        let tensor = self.tensor(port);
        let dims = shape(port);
        let fits = array.shape == dims && array.data.element_type() == Some(port.element_type);
        if !fits {
            return Err(RunnerError::Input {
                name: port.name.to_string(),
                expected: format!("{} {dims:?}", port.element_type.name()),
                found: format!("{} {:?}", array.data.type_name(), array.shape),
            });
        }
        let order = transposed(&dims, &axes(port.permutation()));
        Ok(match (&array.data, tensor.element_type) {
            (ArrayData::F32(v), ElementType::I8) => {
                order.iter().map(|&i| tensor.quantization.quantize_i8(v[i]) as u8).collect()
            }
            (ArrayData::F32(v), ElementType::I16) => {
                order.iter().flat_map(|&i| tensor.quantization.quantize_i16(v[i]).to_le_bytes()).collect()
            }
            // A uint8 port is held as int8, 128 lower.
            (ArrayData::U8(v), ElementType::I8) => order.iter().map(|&i| v[i] ^ 0x80).collect(),
            (data, ty) if data.element_type() == Some(ty) => {
                let (bytes, size) = (data.to_le_bytes(), ty.size_bytes());
                order.iter().flat_map(|&i| &bytes[i * size..(i + 1) * size]).copied().collect()
            }
            _ => return Err(port_type(port, &tensor)),
        })
    }

    /// An output as the ONNX file describes it, from the bytes of its tensor.
    ///
    /// # Errors
    /// [`RunnerError::PortType`] for a pair of types without a conversion.
    pub fn decode_output(&self, index: usize, bytes: &[u8]) -> Result<Array, RunnerError> {
        let Some(port) = self.outputs.get(index) else {
            return Err(RunError::NoSuchPort { index: index as u32, n_ports: self.outputs.len() as u32 }.into());
        };
        let tensor = self.tensor(port);
        let dims = shape(port);
        let order = transposed(&dims, &axes(port.permutation()));
        let mut place = vec![0; order.len()];
        for (position, &i) in order.iter().enumerate() {
            place[i] = position;
        }
        let data = match (port.element_type, tensor.element_type) {
            (own, same) if own == same => {
                let size = own.size_bytes();
                let moved: Vec<u8> = place.iter().flat_map(|&p| &bytes[p * size..(p + 1) * size]).copied().collect();
                ArrayData::from_le_bytes(own, &moved)
            }
            (ElementType::F32, _) => {
                let values = real_values(&tensor, bytes).ok_or_else(|| port_type(port, &tensor))?;
                ArrayData::F32(place.iter().map(|&p| values[p]).collect())
            }
            (ElementType::U8, ElementType::I8) => ArrayData::U8(place.iter().map(|&p| bytes[p] ^ 0x80).collect()),
            _ => return Err(port_type(port, &tensor)),
        };
        Ok(Array { shape: dims, data })
    }

    fn tensor(&self, port: &PortView<'_>) -> TensorView {
        self.image.tensor(port.tensor).expect("a checked image has the tensors of its ports")
    }
}

/// The real values of a tensor's bytes; `None` for types without a meaning as reals.
pub fn real_values(tensor: &TensorView, bytes: &[u8]) -> Option<Vec<f32>> {
    match tensor.element_type {
        ElementType::F32 => Some(bytes.as_chunks::<4>().0.iter().map(|b| f32::from_le_bytes(*b)).collect()),
        ElementType::I8 => Some(bytes.iter().map(|&b| tensor.quantization.dequantize(i32::from(b as i8))).collect()),
        ElementType::I16 => {
            let steps = bytes.as_chunks::<2>().0.iter().map(|b| i32::from(i16::from_le_bytes(*b)));
            Some(steps.map(|q| tensor.quantization.dequantize(q)).collect())
        }
        _ => None,
    }
}

/// A port's shape in host integers.
pub fn shape(port: &PortView<'_>) -> Vec<usize> {
    port.dims().iter().map(|&d| d as usize).collect()
}

fn axes(permutation: &[u8]) -> Vec<usize> {
    permutation.iter().map(|&a| usize::from(a)).collect()
}

fn port_type(port: &PortView<'_>, tensor: &TensorView) -> RunnerError {
    RunnerError::PortType {
        name: port.name.to_string(),
        port: port.element_type.name(),
        tensor: tensor.element_type.name(),
    }
}

fn lines(bytes: Option<&[u8]>) -> Vec<String> {
    let text = bytes.map(String::from_utf8_lossy).unwrap_or_default();
    if text.is_empty() { Vec::new() } else { text.split('\n').map(str::to_string).collect() }
}

fn layer_doc(line: &str) -> LayerDoc {
    let mut fields = line.split('\t');
    let mut next = || fields.next().unwrap_or_default().to_string();
    let (name, operator, origin, axes) = (next(), next(), next(), next());
    let list = |numbers: &str| -> Vec<usize> { numbers.split(',').filter_map(|a| a.parse().ok()).collect() };
    let (permutation, factors) = axes.split_once(" of ").map_or((&*axes, None), |(p, factors)| (p, Some(factors)));
    let origin = Origin {
        name: origin,
        axes: factors.map_or(Vec::new(), |f| f.split('/').map(list).collect()),
        permutation: list(permutation),
        kept: KeptChannels::parse(&next()),
        rows: StripRows::parse(&next()),
    };
    LayerDoc { name, operator, origin: Some(origin).filter(|o| !o.name.is_empty()) }
}

#[cfg(test)]
mod tests {
    use super::*;

    #[test]
    fn layer_lines() {
        let layer = layer_doc("conv1\tConv+Relu\t/relu\t0,2,3,1");
        let mut origin = Origin { permutation: vec![0, 2, 3, 1], ..Origin::whole("/relu", &[]) };
        assert_eq!(layer.origin, Some(origin.clone()));
        origin.kept = Some(KeptChannels { of: 4, channels: vec![0, 3] });
        assert_eq!(layer_doc("conv1\tConv+Relu\t/relu\t0,2,3,1\t4:0,3").origin, Some(origin.clone()));
        (origin.kept, origin.rows) = (None, Some(StripRows { start: 2, of: 9 }));
        assert_eq!(layer_doc("conv1\tConv+Relu\t/relu\t0,2,3,1\t\t2/9").origin, Some(origin));
        let split =
            Origin { axes: vec![vec![1], vec![8, 50]], permutation: vec![0, 2, 1], ..Origin::whole("flat", &[]) };
        assert_eq!(layer_doc("flat\tFlatten\tflat\t0,2,1 of 1/8,50").origin, Some(split));
        assert_eq!(layer_doc("x\ty\t\t").origin, None);
    }
}
