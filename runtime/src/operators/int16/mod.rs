//! Operators on int16 activations, symmetric (zero point 0), with int8 weights ("int16x8").

pub mod elements;
pub mod layers;
pub mod pools;

pub use elements::{ADD_I16, AddI16Record, CLAMP_I16, ClampI16Record, MUL_I16, MulI16Record, SOFTMAX_I16, TABLE_I16};
pub use layers::{CONV_2D_I16, Conv2dI16Record, DEPTHWISE_CONV_2D_I16, DepthwiseI16Record, FULLY_CONNECTED_I16};
pub use pools::{AVERAGE_POOL_2D_I16, AveragePool2dI16Record, MAX_POOL_2D_I16};

use super::StepOperands;
use crate::fixed_point::Requantizer;
use crate::image::bytes::{RecordWriter, array, i32_at, u8_at};
use crate::kernels::portable::int16::OutputI16;
use crate::tensor::ElementType;

/// Clamp of an int16 result: `min i16, max i16`.
#[derive(Clone, Copy, Debug, PartialEq, Eq)]
pub struct LimitsI16 {
    /// Lower limit in steps.
    pub min: i16,
    /// Upper limit in steps.
    pub max: i16,
}

impl LimitsI16 {
    /// The parameters' bytes of limits alone.
    pub fn emit(&self) -> [u8; 4] {
        self.put(0, RecordWriter::default()).finish()
    }

    fn put<const N: usize>(&self, at: usize, writer: RecordWriter<N>) -> RecordWriter<N> {
        writer.put(at, &self.min.to_le_bytes()).put(at + 2, &self.max.to_le_bytes())
    }

    fn view(parameters: &[u8], at: usize) -> Option<OutputI16> {
        let word = |at: usize| array(parameters, at).map(i16::from_le_bytes);
        Some(OutputI16 { min: word(at)?, max: word(at + 2)? })
    }

    fn check(parameters: &[u8], at: usize) -> Result<OutputI16, &'static str> {
        Self::view(parameters, at).filter(|limits| limits.min <= limits.max).ok_or("its output limits are out of order")
    }
}

/// Whether the zero points of all int16 tensors of a step are 0.
fn check_symmetric(operands: &StepOperands<'_>) -> Result<(), &'static str> {
    let inputs = (0..operands.n_inputs()).filter_map(|i| operands.any_input(i));
    let outputs = (0..operands.n_outputs()).filter_map(|o| operands.any_output(o));
    let mut tensors = inputs.chain(outputs).filter(|tensor| tensor.element_type == ElementType::I16);
    if tensors.all(|tensor| tensor.quantization.zero_point == 0) { Ok(()) } else { Err("a zero point is not 0") }
}

/// `multiplier i32` at `at`, `shift u8` behind it.
fn requantizer(parameters: &[u8], at: usize) -> Option<Requantizer> {
    Requantizer::from_parts(i32_at(parameters, at)?, u8_at(parameters, at + 4)?)
}

const FACTOR_RULE: &str = "its multiplier is out of range";
