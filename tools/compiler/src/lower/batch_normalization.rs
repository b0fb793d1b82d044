//! BatchNormalization in inference: one factor and one offset per channel.

use super::context::{Lowering, float, int};
use super::{Refusal, normalization};
use crate::graph::{Binary, Clamp, Operator, Window, WindowNd};
use crate::import::OnnxNode;
use tinfer::tensor::ElementType;

/// y = x * s + (b - mean * s) with s = scale / sqrt(variance + epsilon), computed in f64.
///
/// A feature map gets a depthwise 1x1 convolution, which fusion merges into a convolution before it;
/// rank 2 gets a product and a sum. Statistics that are computed at run time and maps of several samples or three axes
/// have an operator of their own. `momentum` concerns training only. In training mode the statistics are the operand's
/// own: those of one sample are an instance normalization, which exporters write for weights that are standardized.
pub fn lower(lowering: &mut Lowering, node: &OnnxNode) -> Result<(), Refusal> {
    let gives_statistics = (1..5).any(|slot| lowering.is_wanted(node, slot));
    let x = lowering.input(node, 0)?;
    let x_shape = lowering.shape_of(x).to_vec();
    let trains = int(node, "training_mode", 0)? != 0;
    if trains && !gives_statistics && x_shape.first() == Some(&1) {
        return normalization::instance(lowering, node);
    }
    if trains || int(node, "spatial", 1)? != 1 || gives_statistics {
        return Err(Refusal::new(
            "it is in training mode or not spatial",
            "export the model for inference (model.eval())",
        ));
    }
    let channels = x_shape.get(1).copied().unwrap_or(1);
    let all_known = (1..5).all(|i| lowering.is_constant(node, i));
    let (rank, samples) = (x_shape.len(), x_shape.first().copied().unwrap_or(1));
    if !all_known || rank > 4 || (rank > 2 && samples > 1) {
        return on_its_own(lowering, node, x_shape);
    }
    let mut parameters: [Vec<f32>; 4] = Default::default();
    for (i, parameter) in parameters.iter_mut().enumerate() {
        match lowering.known_f32(node, i + 1)? {
            Some(v) if v.values().len() == channels => *parameter = v.values().to_vec(),
            _ => {
                return Err(Refusal::new(
                    format!("its input {} is not one number per channel", i + 1),
                    "check the file with onnx.checker",
                ));
            }
        }
    }
    let [scale, bias, mean, variance] = parameters;
    let epsilon = f64::from(float(node, "epsilon", 1e-5)?);
    let factor = |c: usize| f64::from(scale[c]) / (f64::from(variance[c]) + epsilon).sqrt();
    let factors: Vec<f32> = (0..channels).map(|c| factor(c) as f32).collect();
    let offsets: Vec<f32> =
        (0..channels).map(|c| (f64::from(bias[c]) - f64::from(mean[c]) * factor(c)) as f32).collect();
    if !factors.iter().chain(&offsets).all(|x| x.is_finite()) {
        return Err(Refusal::new(
            "its variance and epsilon give no finite factor",
            "train again: a variance is negative or zero",
        ));
    }
    let name = node.outputs.first().map_or("", |name| name);
    let (factor_name, offset_name) = (format!("{name}_factor"), format!("{name}_offset"));
    if x_shape.len() == 2 {
        let factor = lowering.constant(&factor_name, vec![channels], factors);
        let offset = lowering.constant(&offset_name, vec![channels], offsets);
        let mul = Operator::Binary { function: Binary::Mul, clamp: Clamp::default() };
        let scaled = lowering.push_step(node, "scale", mul, vec![x, factor], x_shape.clone());
        let add = Operator::Binary { function: Binary::Add, clamp: Clamp::default() };
        lowering.push_output(node, 0, add, vec![scaled, offset], x_shape, ElementType::F32);
        return Ok(());
    }
    let x = lowering.push_to_nhwc(node, x)?;
    let factor = lowering.constant(&factor_name, vec![1, 1, channels], factors);
    let offset = lowering.constant(&offset_name, vec![channels], offsets);
    let window = Window { kernel: [1, 1], stride: [1, 1], dilation: [1, 1], padding: [0, 0] };
    let operator = Operator::DepthwiseConv2d { window, multiplier: 1, clamp: Clamp::default() };
    lowering.push_nhwc(node, operator, vec![x, factor, offset], &x_shape)
}

/// The operator in the file's own layout.
fn on_its_own(lowering: &mut Lowering, node: &OnnxNode, shape: Vec<usize>) -> Result<(), Refusal> {
    let channels = shape.get(1).copied().unwrap_or(0);
    let mut inputs = vec![lowering.input(node, 0)?];
    for i in 1..5 {
        let parameter = lowering.input(node, i)?;
        if lowering.shape_of(parameter).iter().product::<usize>() != channels {
            return Err(Refusal::new(
                format!("its input {i} is not one number per channel"),
                "check the file with onnx.checker",
            ));
        }
        inputs.push(parameter);
    }
    let operator = WindowNd::BatchNormalization { epsilon: float(node, "epsilon", 1e-5)? };
    lowering.push_output(node, 0, Operator::WindowNd(operator), inputs, shape, ElementType::F32);
    Ok(())
}
