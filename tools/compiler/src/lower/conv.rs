//! Conv and ConvTranspose. Over NHWC where the weights are constants, there is one sample, and at most two spatial axes:
//! such layers have int8 kernels. Everything else stays in the file's own layout.

use super::context::{Lowering, int, ints};
use super::window::Geometry;
use super::{Refusal, quantized};
use crate::graph::{Clamp, Operator, TensorId, WindowNd};
use crate::import::OnnxNode;
use tinfer::tensor::ElementType;

/// Lowers a convolution; weights go from `[O, C / groups, k…]` to OHWI or HWC.
pub fn lower(lowering: &mut Lowering, node: &OnnxNode) -> Result<(), Refusal> {
    let x = lowering.input(node, 0)?;
    let x_shape = lowering.shape_of(x).to_vec();
    let w_shape = weights_shape(lowering, node, x_shape.len())?;
    let geometry = Geometry::new(node, &w_shape[2..], &x_shape[2..])?;
    let groups = usize::try_from(int(node, "group", 1)?).unwrap_or(0);
    let (channels, n_outputs, per_group) = (x_shape[1], w_shape[0], w_shape[1]);
    if groups == 0 || per_group * groups != channels || n_outputs % groups != 0 {
        return Err(group_refusal(groups, channels, n_outputs));
    }
    let y_shape: Vec<usize> = [x_shape[0], n_outputs].into_iter().chain(geometry.output.iter().copied()).collect();
    let Some(mut window) = geometry.window().filter(|_| x_shape[0] == 1 && has_constants(lowering, node)) else {
        if geometry.begins_beyond() {
            return Err(Refusal::new("a window lies in the padding entirely", "export the model with less padding"));
        }
        let operator = WindowNd::Conv { window: geometry.window_3d(), groups };
        return push_nd(lowering, node, operator, x, y_shape, n_outputs);
    };
    let weights = lowering.known_f32(node, 1)?.ok_or_else(no_weights)?;
    let w = weights.values();
    let area = window.kernel[0] * window.kernel[1];
    let mut moved = vec![0.0; w.len()];
    let depthwise = groups == channels && groups > 1;
    for o in 0..n_outputs {
        for i in 0..per_group {
            for k in 0..area {
                let at = if depthwise { k * n_outputs + o } else { (o * area + k) * per_group + i };
                moved[at] = w[(o * per_group + i) * area + k];
            }
        }
    }
    let mut x = lowering.push_to_nhwc(node, x)?;
    // Kernels take no window that lies as a whole beyond the bottom or right edge: such zeros are made.
    if geometry.begins_beyond() {
        let nhwc = lowering.shape_of(x).to_vec();
        let behind = geometry.window_3d().padding_after;
        let pads = vec![[0, 0], [window.padding[0], behind[1]], [window.padding[1], behind[2]], [0, 0]];
        let padded = nhwc.iter().zip(&pads).map(|(d, p)| d + p[0] + p[1]).collect();
        x = lowering.push_step(node, "pad", Operator::Pad { pads, value: 0.0 }, vec![x], padded);
        window.padding = [0, 0];
    }
    let [kh, kw] = window.kernel;
    let (shape, operator) = if depthwise {
        let multiplier = n_outputs / channels;
        (vec![kh, kw, n_outputs], Operator::DepthwiseConv2d { window, multiplier, clamp: Clamp::default() })
    } else {
        (vec![n_outputs, kh, kw, per_group], Operator::Conv2d { window, groups, clamp: Clamp::default() })
    };
    let axis = if depthwise { 2 } else { 0 };
    let inputs = layer_inputs(lowering, node, x, (shape, moved), (0, axis), n_outputs)?;
    lowering.push_nhwc(node, operator, inputs, &y_shape)
}

/// Lowers a transposed convolution; weights go from `[C, O / groups, k…]` to OHWI.
pub fn transposed(lowering: &mut Lowering, node: &OnnxNode) -> Result<(), Refusal> {
    let x = lowering.input(node, 0)?;
    let x_shape = lowering.shape_of(x).to_vec();
    let w_shape = weights_shape(lowering, node, x_shape.len())?;
    let geometry = Geometry::transposed(node, &w_shape[2..], &x_shape[2..])?;
    let groups = usize::try_from(int(node, "group", 1)?).unwrap_or(0);
    let (channels, outputs_per_group) = (x_shape[1], w_shape[1]);
    let n_outputs = outputs_per_group * groups;
    if groups == 0 || w_shape[0] != channels || channels % groups != 0 {
        return Err(group_refusal(groups, channels, n_outputs));
    }
    let y_shape: Vec<usize> = [x_shape[0], n_outputs].into_iter().chain(geometry.output.iter().copied()).collect();
    let Some(window) = geometry.window().filter(|_| x_shape[0] == 1 && has_constants(lowering, node)) else {
        let beyond =
            |i: usize| (geometry.input[i] - 1) * geometry.stride[i] >= geometry.output[i] + geometry.padding[i];
        if (0..geometry.input.len()).any(beyond) {
            return Err(Refusal::new(
                "its padding takes away all that some input position adds",
                "export the model with less padding, or with constant weights",
            ));
        }
        let operator = WindowNd::ConvTranspose { window: geometry.window_3d(), groups };
        return push_nd(lowering, node, operator, x, y_shape, n_outputs);
    };
    let weights = lowering.known_f32(node, 1)?.ok_or_else(no_weights)?;
    let w = weights.values();
    let ([kh, kw], per_group) = (window.kernel, channels / groups);
    let area = kh * kw;
    let mut moved = vec![0.0; w.len()];
    for o in 0..n_outputs {
        let (group, own) = (o / outputs_per_group, o % outputs_per_group);
        for i in 0..per_group {
            for k in 0..area {
                let from = ((group * per_group + i) * outputs_per_group + own) * area + k;
                moved[(o * area + k) * per_group + i] = w[from];
            }
        }
    }
    let x = lowering.push_to_nhwc(node, x)?;
    let shape = vec![n_outputs, kh, kw, per_group];
    // The file's axis of output channels; with groups it is no axis of the file.
    let inputs = layer_inputs(lowering, node, x, (shape, moved), (1, 0), n_outputs)?;
    if lowering.quantization_of(inputs[1]).is_some_and(|q| q.scales.len() > 1 && q.scales.len() != n_outputs) {
        return Err(Refusal::new(
            "its weights are quantized along an axis that is no output channel",
            "quantize the weights per tensor",
        ));
    }
    lowering.push_nhwc(node, Operator::ConvTranspose2d { window, groups, clamp: Clamp::default() }, inputs, &y_shape)
}

/// The shape of the weights, which agrees with `kernel_shape` and with the rank of the map.
fn weights_shape(lowering: &mut Lowering, node: &OnnxNode, rank: usize) -> Result<Vec<usize>, Refusal> {
    let name = lowering.input_name(node, 1).ok_or_else(no_weights)?;
    let shape = lowering.shape(&name)?;
    if !(3..=5).contains(&rank) || shape.len() != rank {
        return Err(Refusal::new(
            format!("its feature map has rank {rank}, its weights have rank {}", shape.len()),
            "one to three spatial axes (rank 3 to 5) are supported",
        ));
    }
    let kernel = &shape[2..];
    if let Some(stated) = ints(node, "kernel_shape")?
        && stated.iter().map(|&k| k as usize).ne(kernel.iter().copied())
    {
        return Err(Refusal::new(
            format!("kernel_shape {stated:?} differs from the weights' {kernel:?}"),
            "check the file with onnx.checker",
        ));
    }
    Ok(shape)
}

/// Whether weights and bias are known.
fn has_constants(lowering: &Lowering, node: &OnnxNode) -> bool {
    let is_known = |i: usize| lowering.known(node, i).is_ok();
    is_known(1) && is_known(2)
}

/// The layer in the file's own layout, with weights and bias as they are.
fn push_nd(
    lowering: &mut Lowering,
    node: &OnnxNode,
    operator: WindowNd,
    x: TensorId,
    y_shape: Vec<usize>,
    n_outputs: usize,
) -> Result<(), Refusal> {
    let mut inputs = vec![x, lowering.input(node, 1)?];
    if lowering.input_name(node, 2).is_some() {
        let bias = lowering.input(node, 2)?;
        check_bias(lowering.shape_of(bias).iter().product(), n_outputs)?;
        inputs.push(bias);
    }
    lowering.push_output(node, 0, Operator::WindowNd(operator), inputs, y_shape, ElementType::F32);
    Ok(())
}

/// Operands of a layer over NHWC: the map, weights in their new layout, and the bias if there is one.
fn layer_inputs(
    lowering: &mut Lowering,
    node: &OnnxNode,
    x: TensorId,
    (shape, weights): (Vec<usize>, Vec<f32>),
    (file_axis, axis): (usize, usize),
    n_outputs: usize,
) -> Result<Vec<TensorId>, Refusal> {
    let name = node.outputs.first().cloned().unwrap_or_default();
    let quantization = quantized::of_weights(lowering.imported, node, file_axis, axis)?;
    let mut inputs = vec![x, lowering.constant(&format!("{name}_weights"), shape, weights)];
    lowering.set_quantization(inputs[1], quantization);
    if let Some(bias) = lowering.known_f32(node, 2)? {
        let bias = bias.values();
        check_bias(bias.len(), n_outputs)?;
        inputs.push(lowering.constant(&format!("{name}_bias"), vec![n_outputs], bias.to_vec()));
    }
    Ok(inputs)
}

fn check_bias(n: usize, n_outputs: usize) -> Result<(), Refusal> {
    if n == n_outputs {
        return Ok(());
    }
    Err(Refusal::new(format!("its bias has {n} elements for {n_outputs} channels"), "check the file with onnx.checker"))
}

fn no_weights() -> Refusal {
    Refusal::new("it has no weights", "check the file with onnx.checker")
}

fn group_refusal(groups: usize, channels: usize, n_outputs: usize) -> Refusal {
    Refusal::new(
        format!("{groups} groups do not divide {channels} input and {n_outputs} output channels"),
        "check the file with onnx.checker",
    )
}
