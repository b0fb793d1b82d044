//! Pools over feature maps.

use super::Refusal;
use super::context::{Lowering, int, ints};
use super::window::Geometry;
use crate::graph::{Clamp, Operator, TensorId, Window};
use crate::import::OnnxNode;
use tinfer::tensor::ElementType;

/// MaxPool without indices. `storage_order` concerns the indices only.
pub fn max_pool(lowering: &mut Lowering, node: &OnnxNode) -> Result<(), Refusal> {
    let (x, geometry, _) = windowed(lowering, node)?;
    let operator = Operator::MaxPool2d { window: geometry.window };
    let x = lowering.push_to_nhwc(node, x)?;
    lowering.push_nhwc(node, operator, vec![x])
}

/// AveragePool.
pub fn average_pool(lowering: &mut Lowering, node: &OnnxNode) -> Result<(), Refusal> {
    let (x, geometry, [input, output]) = windowed(lowering, node)?;
    let Geometry { window, end_padding } = geometry;
    let include = int(node, "count_include_pad", 0)? != 0;
    let beyond = (0..2).any(|i| {
        let extent = (window.kernel[i] - 1) * window.dilation[i] + 1;
        (output[i] - 1) * window.stride[i] + extent > window.padding[i] + input[i] + end_padding[i]
    });
    if include && beyond {
        return Err(Refusal::new(
            "with ceil_mode a window reaches beyond the padding that counts",
            "export the model without ceil_mode",
        ));
    }
    let operator = Operator::AveragePool2d { window, count_include_pad: include, clamp: Clamp::default() };
    let x = lowering.push_to_nhwc(node, x)?;
    lowering.push_nhwc(node, operator, vec![x])
}

/// The mean of each channel.
pub fn global_average_pool(lowering: &mut Lowering, node: &OnnxNode) -> Result<(), Refusal> {
    let x = lowering.input(node, 0)?;
    let x = lowering.push_to_nhwc(node, x)?;
    let window = whole(lowering.shape_of(x));
    lowering.push_nhwc(
        node,
        Operator::AveragePool2d { window, count_include_pad: false, clamp: Clamp::default() },
        vec![x],
    )
}

/// The largest element of each channel.
pub fn global_max_pool(lowering: &mut Lowering, node: &OnnxNode) -> Result<(), Refusal> {
    let x = lowering.input(node, 0)?;
    let x = lowering.push_to_nhwc(node, x)?;
    let window = whole(lowering.shape_of(x));
    lowering.push_nhwc(node, Operator::MaxPool2d { window }, vec![x])
}

/// Where the channels of a feature map are.
#[derive(Clone, Copy, Debug, PartialEq, Eq)]
pub enum Channels {
    /// `[N, C, L]` or `[N, C, H, W]`.
    First,
    /// `[N, L, C]` or `[N, H, W, C]`.
    Last,
}

/// The mean of each channel of `x` over all other axes but the first: ReduceMean, which exporters write for a global pool.
pub fn mean(
    lowering: &mut Lowering,
    node: &OnnxNode,
    x: TensorId,
    result: Vec<usize>,
    channels: Channels,
) -> Result<(), Refusal> {
    let x = if channels == Channels::First {
        lowering.push_to_nhwc(node, x)?
    } else if let [n, l, c] = *lowering.shape_of(x) {
        lowering.push_step(node, "to_4d", Operator::Reshape, vec![x], vec![n, 1, l, c])
    } else {
        x
    };
    let shape = lowering.shape_of(x).to_vec();
    let operator = Operator::AveragePool2d { window: whole(&shape), count_include_pad: false, clamp: Clamp::default() };
    // All that follows has as many elements as channels, so any layout is a reshape of any other.
    let y = lowering.push_step(node, "pool", operator, vec![x], vec![shape[0], 1, 1, shape[3]]);
    lowering.push_output(node, 0, Operator::Reshape, vec![y], result, ElementType::F32);
    Ok(())
}

/// The window that covers a whole NHWC map.
fn whole(nhwc: &[usize]) -> Window {
    Window { kernel: [nhwc[1], nhwc[2]], stride: [1, 1], dilation: [1, 1], padding: [0, 0] }
}

/// Input, window, and the spatial sizes of input and output with height 1 for one-dimensional maps.
fn windowed(lowering: &mut Lowering, node: &OnnxNode) -> Result<(TensorId, Geometry, [[usize; 2]; 2]), Refusal> {
    let x = lowering.input(node, 0)?;
    let x_shape = lowering.shape_of(x).to_vec();
    let (_, y_shape) = lowering.result(node)?;
    let kernel = ints(node, "kernel_shape")?.unwrap_or_default();
    let kernel: Vec<usize> = kernel.into_iter().map(|k| usize::try_from(k).unwrap_or(0)).collect();
    if !(3..=4).contains(&x_shape.len()) || y_shape.len() != x_shape.len() {
        return Err(Refusal::new(
            format!("its feature map has rank {}", x_shape.len()),
            "one- and two-dimensional pools (rank 3 and 4) are supported",
        ));
    }
    let geometry = Geometry::new(node, &kernel, &x_shape[2..], &y_shape[2..])?;
    // A window without any element of the input has no maximum and no mean.
    let spatial = |s: &[usize]| if s.len() == 3 { [1, s[2]] } else { [s[2], s[3]] };
    let (input, output) = (spatial(&x_shape), spatial(&y_shape));
    for i in 0..2 {
        let w = &geometry.window;
        let covers = |at: usize| {
            (0..w.kernel[i])
                .any(|k| (w.padding[i]..w.padding[i] + input[i]).contains(&(at * w.stride[i] + k * w.dilation[i])))
        };
        if !(0..output[i]).all(covers) {
            return Err(Refusal::new("a window lies in the padding entirely", "export the model with less padding"));
        }
    }
    Ok((x, geometry, [input, output]))
}
