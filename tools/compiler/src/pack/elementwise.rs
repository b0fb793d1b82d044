//! Elementwise functions and Softmax: factors and tables.

use super::PackError;
use super::step::{Precision, StepPacker, limits_f32};
use crate::choose::pair_multiplier;
use crate::graph::{Binary, Clamp, Node, Operator, Unary};
use tinfer::fixed_point::Requantizer;
use tinfer::isa::Isa;
use tinfer::kernels::portable::{BinaryF32, softmax_table_bits};
use tinfer::operators::armv7em::add::ADD_I8_ARMV7EM;
use tinfer::operators::binary::{ADD_I8, AddRecord, BINARY_F32, BinaryF32Record, MUL_I8, MulRecord};
use tinfer::operators::conversion::{
    DEQUANTIZE_I8, DEQUANTIZE_I16, NARROW_I16, QUANTIZE_I8, QUANTIZE_I16, RESCALE_I16, RescaleRecord, WIDEN_I8,
};
use tinfer::operators::elementwise::binary_f32::POW_F32;
use tinfer::operators::elementwise::unary_f32::{self as unary, UnaryRecord};
use tinfer::operators::mve::add::ADD_I8_MVE;
use tinfer::operators::softmax::{SOFTMAX_F32, SOFTMAX_I8, SOFTMAX_MASKED_I8, SOFTMAX_SCALED_I8, SoftmaxScaledRecord};
use tinfer::operators::unary::{TABLE_I8, UNARY_F32, UnaryF32Record, UnaryFunction};
use tinfer::tensor::{ElementType, quantize_i8};

pub(super) fn pack(steps: &mut StepPacker<'_>, node: &Node) -> Result<&'static str, PackError> {
    if node.operator == Operator::Requantize {
        return requantize(steps, node);
    }
    let precision = steps.precision(node)?;
    match (&node.operator, precision) {
        (Operator::Binary { function, clamp }, Precision::I8) => binary_i8(steps, node, *function, *clamp),
        (Operator::Binary { function, clamp }, Precision::F32) => {
            let function = match function {
                Binary::Add => BinaryF32::Add,
                Binary::Sub => BinaryF32::Sub,
                Binary::Mul => BinaryF32::Mul,
            };
            let record = BinaryF32Record { function, limits: limits_f32(*clamp) };
            steps.emit(node, &BINARY_F32, &node.inputs, &[], &record.emit())
        }
        (Operator::Unary(function), Precision::I8) => table(steps, node, |x| function.evaluate(x)),
        (Operator::Unary(function), Precision::F32) => unary_f32(steps, node, function),
        (Operator::Softmax, Precision::I8) => match steps.quantized(node, steps.output(node))? {
            (scale, -128) if scale == 1.0 / 256.0 => softmax_i8(steps, node, &SOFTMAX_I8, &[]),
            (scale, _) => {
                let requantizer = Requantizer::from_real(1.0 / (scale * f64::from(1u32 << 30)));
                let requantizer = requantizer.ok_or_else(|| steps.error(node, "its steps are too small"))?;
                softmax_i8(steps, node, &SOFTMAX_SCALED_I8, &SoftmaxScaledRecord { steps: requantizer }.emit())
            }
        },
        (Operator::MaskedSoftmax, Precision::I8) => softmax_i8(steps, node, &SOFTMAX_MASKED_I8, &[]),
        (Operator::Softmax | Operator::MaskedSoftmax, Precision::F32) => {
            steps.emit(node, &SOFTMAX_F32, &node.inputs, &[], &[])
        }
        _ => Err(steps.error(node, "it is not elementwise at this precision")),
    }
}

/// A change of element type or quantization.
fn requantize(steps: &mut StepPacker<'_>, node: &Node) -> Result<&'static str, PackError> {
    let [from, to] = [steps.input(node, 0), steps.output(node)];
    let (operator, rescales) = match (from.element_type, to.element_type) {
        (ElementType::I8, ElementType::I8) => return table(steps, node, |x| x),
        (ElementType::F32, ElementType::I8) => (&QUANTIZE_I8, false),
        (ElementType::F32, ElementType::I16) => (&QUANTIZE_I16, false),
        (ElementType::I8, ElementType::F32) => (&DEQUANTIZE_I8, false),
        (ElementType::I16, ElementType::F32) => (&DEQUANTIZE_I16, false),
        (ElementType::I8, ElementType::I16) => (&WIDEN_I8, true),
        (ElementType::I16, ElementType::I8) => (&NARROW_I16, true),
        (ElementType::I16, ElementType::I16) => (&RESCALE_I16, true),
        (from, to) => {
            return Err(steps.error(node, format!("there is no step from {} to {}", from.name(), to.name())));
        }
    };
    let mut scales = Vec::new();
    for tensor in [from, to].into_iter().filter(|t| t.element_type != ElementType::F32) {
        scales.push(steps.steps_of(node, tensor)?.0);
    }
    let parameters = match scales[..] {
        [from, to] if rescales => {
            let requantizer =
                Requantizer::from_real(from / to).ok_or_else(|| steps.error(node, "its scales are too far apart"))?;
            RescaleRecord { requantizer }.emit().to_vec()
        }
        _ => Vec::new(),
    };
    steps.emit(node, operator, &node.inputs, &[], &parameters)
}

fn binary_i8(
    steps: &mut StepPacker<'_>,
    node: &Node,
    function: Binary,
    clamp: Clamp,
) -> Result<&'static str, PackError> {
    let limits = steps.limits_i8(node, clamp)?;
    let too_far = || steps.error(node, "its scales are too far apart");
    if function == Binary::Mul {
        let (a, _) = steps.quantized(node, steps.input(node, 0))?;
        let (b, _) = steps.quantized(node, steps.input(node, 1))?;
        let (output, _) = steps.quantized(node, steps.output(node))?;
        let requantizer = Requantizer::from_real(a * b / output).ok_or_else(too_far)?;
        return steps.emit(node, &MUL_I8, &node.inputs, &[], &MulRecord { requantizer, limits }.emit());
    }
    let multiplier = pair_multiplier(steps.graph, node).ok_or_else(too_far)?;
    let operator = match steps.isa() {
        Isa::Armv7em => &ADD_I8_ARMV7EM,
        Isa::Mve => &ADD_I8_MVE,
        Isa::Portable | Isa::Neon => &ADD_I8,
    };
    steps.emit(node, operator, &node.inputs, &[], &AddRecord { multiplier, limits }.emit())
}

/// A step that looks up `function`, computed in binary64 for each of the 256 inputs.
fn table(steps: &mut StepPacker<'_>, node: &Node, function: impl Fn(f64) -> f64) -> Result<&'static str, PackError> {
    let (input_scale, input_zero_point) = steps.quantized(node, steps.input(node, 0))?;
    let (output_scale, output_zero_point) = steps.quantized(node, steps.output(node))?;
    let entries: Vec<i8> = (0..=255u8)
        .map(|q| {
            let real = input_scale * f64::from(i32::from(q as i8) - input_zero_point);
            quantize_i8(function(real), output_scale, output_zero_point)
        })
        .collect();
    let entries = steps.array(node, ElementType::I8, &entries)?;
    steps.emit(node, &TABLE_I8, &node.inputs, &[entries], &[])
}

fn unary_f32(steps: &mut StepPacker<'_>, node: &Node, function: &Unary) -> Result<&'static str, PackError> {
    let mut first = |function, clamp| {
        let record = UnaryF32Record { function, limits: limits_f32(clamp) };
        steps.emit(node, &UNARY_F32, &node.inputs, &[], &record.emit())
    };
    let (operator, numbers) = match *function {
        Unary::Clamp(clamp) => return first(UnaryFunction::Clip, clamp),
        Unary::Sigmoid => return first(UnaryFunction::Sigmoid, Clamp::default()),
        Unary::Tanh => return first(UnaryFunction::Tanh, Clamp::default()),
        Unary::Power { exponent } => {
            let exponent = steps.array(node, ElementType::F32, &[exponent])?;
            return steps.emit(node, &POW_F32, &node.inputs, &[exponent], &[]);
        }
        Unary::Composed(_) => return Err(steps.error(node, "it is a table, images of float32 have none")),
        Unary::Snap(_) => return Err(steps.error(node, "it quantizes, images of float32 do not")),
        Unary::Abs => (&unary::ABS_F32, [0.0; 2]),
        Unary::Sqrt => (&unary::SQRT_F32, [0.0; 2]),
        Unary::Reciprocal => (&unary::RECIPROCAL_F32, [0.0; 2]),
        Unary::Exp => (&unary::EXP_F32, [0.0; 2]),
        Unary::Log => (&unary::LOG_F32, [0.0; 2]),
        Unary::LeakyRelu { slope } => (&unary::LEAKY_RELU_F32, [slope, 0.0]),
        Unary::Elu { alpha } => (&unary::ELU_F32, [alpha, 0.0]),
        Unary::Celu { alpha } => (&unary::CELU_F32, [alpha, 0.0]),
        Unary::Selu { alpha, gamma } => (&unary::SELU_F32, [alpha, gamma]),
        Unary::HardSigmoid { slope, offset } => (&unary::HARD_SIGMOID_F32, [slope, offset]),
        Unary::HardSwish => (&unary::HARD_SWISH_F32, [0.0; 2]),
        Unary::Softplus => (&unary::SOFTPLUS_F32, [0.0; 2]),
        Unary::Softsign => (&unary::SOFTSIGN_F32, [0.0; 2]),
        Unary::ThresholdedRelu { threshold } => (&unary::THRESHOLDED_RELU_F32, [threshold, 0.0]),
        Unary::Gelu => (&unary::GELU_F32, [0.0; 2]),
        Unary::GeluTanh => (&unary::GELU_TANH_F32, [0.0; 2]),
        Unary::Erf => (&unary::ERF_F32, [0.0; 2]),
        Unary::Mish => (&unary::MISH_F32, [0.0; 2]),
        Unary::Swish { alpha } => (&unary::SWISH_F32, [alpha, 0.0]),
        Unary::Sign => (&unary::SIGN_F32, [0.0; 2]),
        Unary::Floor => (&unary::FLOOR_F32, [0.0; 2]),
        Unary::Ceil => (&unary::CEIL_F32, [0.0; 2]),
        Unary::Round => (&unary::ROUND_F32, [0.0; 2]),
        Unary::Sin => (&unary::SIN_F32, [0.0; 2]),
        Unary::Cos => (&unary::COS_F32, [0.0; 2]),
    };
    steps.emit(node, operator, &node.inputs, &[], &UnaryRecord { numbers }.emit())
}

fn softmax_i8(
    steps: &mut StepPacker<'_>,
    node: &Node,
    operator: &tinfer::operators::Operator,
    parameters: &[u8],
) -> Result<&'static str, PackError> {
    let (scale, _) = steps.quantized(node, steps.input(node, 0))?;
    let n = *steps.input(node, 0).shape.last().unwrap_or(&1);
    let one = f64::from(1u32 << softmax_table_bits(n as u32));
    let table: Vec<u32> = (0..256).map(|d| (one * (-f64::from(d) * scale).exp()).round() as u32).collect();
    let table = steps.array(node, ElementType::I32, &table)?;
    steps.emit(node, operator, &node.inputs, &[table], parameters)
}
