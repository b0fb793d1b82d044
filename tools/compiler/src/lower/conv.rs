//! Conv to [`Operator::Conv2d`] and [`Operator::DepthwiseConv2d`].

use super::context::{Lowering, int, ints};
use super::window::Geometry;
use super::{Refusal, quantized};
use crate::graph::{Clamp, Operator};
use crate::import::OnnxNode;

/// Lowers a convolution; weights go from `[O, C / groups, k…]` to OHWI or HWC.
pub fn lower(lowering: &mut Lowering, node: &OnnxNode) -> Result<(), Refusal> {
    let x = lowering.input(node, 0)?;
    let x_shape = lowering.shape_of(x).to_vec();
    let weights = lowering
        .known_f32(node, 1)?
        .ok_or_else(|| Refusal::new("it has no weights", "check the file with onnx.checker"))?;
    let (w_shape, w) = (weights.shape(), weights.values());
    let (name, y_shape) = lowering.result(node)?;
    let rank = x_shape.len();
    if !(3..=4).contains(&rank) || w_shape.len() != rank || y_shape.len() != rank {
        return Err(Refusal::new(
            format!("its feature map has rank {rank}"),
            "one- and two-dimensional Conv (rank 3 and 4) are supported",
        ));
    }
    let kernel = &w_shape[2..];
    if let Some(stated) = ints(node, "kernel_shape")?
        && stated.iter().map(|&k| k as usize).ne(kernel.iter().copied())
    {
        return Err(Refusal::new(
            format!("kernel_shape {stated:?} differs from the weights' {kernel:?}"),
            "check the file with onnx.checker",
        ));
    }
    let geometry = Geometry::new(node, kernel, &x_shape[2..], &y_shape[2..])?;
    let Geometry { mut window, end_padding } = geometry;
    let groups = usize::try_from(int(node, "group", 1)?).unwrap_or(0);
    let (channels, n_outputs, per_group) = (x_shape[1], w_shape[0], w_shape[1]);
    if groups == 0 || per_group * groups != channels || n_outputs % groups != 0 {
        return Err(Refusal::new(
            format!("{groups} groups do not divide {channels} input and {n_outputs} output channels"),
            "check the file with onnx.checker",
        ));
    }
    let [kh, kw] = window.kernel;
    let area = kh * kw;
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
    let nhwc = lowering.shape_of(x).to_vec();
    let out = if rank == 3 { [1, y_shape[2]] } else { [y_shape[2], y_shape[3]] };
    // Kernels take no window that lies as a whole beyond the bottom or right edge: such zeros are made.
    if (0..2).any(|a| (out[a] - 1) * window.stride[a] >= nhwc[a + 1] + window.padding[a]) {
        let pads = vec![[0, 0], [window.padding[0], end_padding[0]], [window.padding[1], end_padding[1]], [0, 0]];
        let padded = nhwc.iter().zip(&pads).map(|(d, p)| d + p[0] + p[1]).collect();
        x = lowering.push_step(node, "pad", Operator::Pad { pads, value: 0.0 }, vec![x], padded);
        window.padding = [0, 0];
    }
    let (shape, operator) = if depthwise {
        let multiplier = n_outputs / channels;
        (vec![kh, kw, n_outputs], Operator::DepthwiseConv2d { window, multiplier, clamp: Clamp::default() })
    } else {
        (vec![n_outputs, kh, kw, per_group], Operator::Conv2d { window, groups, clamp: Clamp::default() })
    };
    let quantization = quantized::of_weights(lowering.imported, node, 0, if depthwise { 2 } else { 0 })?;
    let mut inputs = vec![x, lowering.constant(&format!("{name}_weights"), shape, moved)];
    lowering.set_quantization(inputs[1], quantization);
    if let Some(bias) = lowering.known_f32(node, 2)? {
        let bias = bias.values();
        if bias.len() != n_outputs {
            return Err(Refusal::new(
                format!("its bias has {} elements for {n_outputs} channels", bias.len()),
                "check the file with onnx.checker",
            ));
        }
        inputs.push(lowering.constant(&format!("{name}_bias"), vec![n_outputs], bias.to_vec()));
    }
    lowering.push_nhwc(node, operator, inputs)
}
