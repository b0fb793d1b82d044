//! Pools over feature maps. Over NHWC where there is one sample and at most two spatial axes: such pools have int8
//! kernels. Everything else stays in the file's own layout.

use super::Refusal;
use super::context::{Lowering, element_type_refusal, float, int, ints};
use super::window::Geometry;
use crate::graph::{Clamp, Counted, IndexOrder, Operator, TensorId, Window, WindowNd};
use crate::import::OnnxNode;
use tinfer::kernels::portable::SumOrder;
use tinfer::tensor::ElementType;

/// MaxPool; `storage_order` concerns the indices only.
pub fn max_pool(lowering: &mut Lowering, node: &OnnxNode) -> Result<(), Refusal> {
    let pool = Pool::new(lowering, node, is_ordered)?;
    if lowering.is_wanted(node, 1) {
        let order = match int(node, "storage_order", 0)? {
            0 => IndexOrder::RowMajor,
            1 => IndexOrder::ColumnMajor,
            other => {
                return Err(Refusal::new(
                    format!("storage_order {other} is not known"),
                    "check the file with onnx.checker",
                ));
            }
        };
        let operator = Operator::WindowNd(WindowNd::MaxPoolIndices { window: pool.geometry.window_3d(), order });
        lowering.push_output(node, 1, operator, vec![pool.x], pool.shape.clone(), ElementType::I64);
    }
    if !lowering.is_wanted(node, 0) {
        return Ok(());
    }
    match pool.nhwc_window() {
        Some(window) => pool.push_nhwc(lowering, node, Operator::MaxPool2d { window }),
        None => pool.push_nd(lowering, node, WindowNd::MaxPool { window: pool.geometry.window_3d() }),
    }
}

/// AveragePool.
pub fn average_pool(lowering: &mut Lowering, node: &OnnxNode) -> Result<(), Refusal> {
    let pool = Pool::new(lowering, node, is_f32)?;
    let g = &pool.geometry;
    let include = int(node, "count_include_pad", 0)? != 0;
    // With ceil_mode the last window may reach beyond the padding that counts; over NHWC that padding follows from the
    // window.
    let beyond = (0..g.input.len())
        .any(|i| (g.output[i] - 1) * g.stride[i] + g.extent(i) > g.padding[i] + g.input[i] + g.end_padding[i]);
    match pool.nhwc_window().filter(|_| !(include && beyond)) {
        Some(window) => {
            let operator = Operator::AveragePool2d {
                window,
                count_include_pad: include,
                sums: SumOrder::Taps,
                clamp: Clamp::default(),
            };
            pool.push_nhwc(lowering, node, operator)
        }
        None => {
            let counted = if include { Counted::Padded } else { Counted::Inside };
            pool.push_nd(lowering, node, WindowNd::AveragePool { window: g.window_3d(), counted })
        }
    }
}

/// LpPool.
pub fn lp_pool(lowering: &mut Lowering, node: &OnnxNode) -> Result<(), Refusal> {
    let pool = Pool::new(lowering, node, is_f32)?;
    pool.push_nd(lowering, node, WindowNd::LpPool { window: pool.geometry.window_3d(), p: exponent(node)? })
}

/// The mean of each channel.
pub fn global_average_pool(lowering: &mut Lowering, node: &OnnxNode) -> Result<(), Refusal> {
    let pool = Pool::global(lowering, node, is_f32)?;
    match pool.nhwc_window() {
        Some(window) => {
            let sums = SumOrder::FourLanes;
            let operator = Operator::AveragePool2d { window, count_include_pad: false, sums, clamp: Clamp::default() };
            pool.push_nhwc(lowering, node, operator)
        }
        None => {
            let operator = WindowNd::AveragePool { window: pool.geometry.window_3d(), counted: Counted::Inside };
            pool.push_nd(lowering, node, operator)
        }
    }
}

/// The largest element of each channel.
pub fn global_max_pool(lowering: &mut Lowering, node: &OnnxNode) -> Result<(), Refusal> {
    let pool = Pool::global(lowering, node, is_ordered)?;
    match pool.nhwc_window() {
        Some(window) => pool.push_nhwc(lowering, node, Operator::MaxPool2d { window }),
        None => pool.push_nd(lowering, node, WindowNd::MaxPool { window: pool.geometry.window_3d() }),
    }
}

/// The norm of each channel.
pub fn global_lp_pool(lowering: &mut Lowering, node: &OnnxNode) -> Result<(), Refusal> {
    let pool = Pool::global(lowering, node, is_f32)?;
    pool.push_nd(lowering, node, WindowNd::LpPool { window: pool.geometry.window_3d(), p: exponent(node)? })
}

/// LRN.
pub fn local_response_norm(lowering: &mut Lowering, node: &OnnxNode) -> Result<(), Refusal> {
    let x = lowering.input(node, 0)?;
    let shape = lowering.shape_of(x).to_vec();
    let size = u32::try_from(int(node, "size", 0)?).unwrap_or(0);
    if size == 0 || shape.len() < 2 {
        return Err(Refusal::new(
            format!("its size is {size}, its map has rank {}", shape.len()),
            "check the file with onnx.checker",
        ));
    }
    let operator = WindowNd::LocalResponseNorm {
        size,
        alpha: float(node, "alpha", 1e-4)?,
        beta: float(node, "beta", 0.75)?,
        bias: float(node, "bias", 1.0)?,
    };
    lowering.push_output(node, 0, Operator::WindowNd(operator), vec![x], shape, ElementType::F32);
    Ok(())
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
    let operator = Operator::AveragePool2d {
        window: whole(&shape),
        count_include_pad: false,
        sums: SumOrder::Taps,
        clamp: Clamp::default(),
    };
    // All that follows has as many elements as channels, so any layout is a reshape of any other.
    let y = lowering.push_step(node, "pool", operator, vec![x], vec![shape[0], 1, 1, shape[3]]);
    lowering.push_output(node, 0, Operator::Reshape, vec![y], result, ElementType::F32);
    Ok(())
}

/// The window that covers a whole NHWC map.
fn whole(nhwc: &[usize]) -> Window {
    Window { kernel: [nhwc[1], nhwc[2]], stride: [1, 1], dilation: [1, 1], padding: [0, 0] }
}

/// A pool as its node says it.
struct Pool {
    x: TensorId,
    /// Shape of the result in the file's layout.
    shape: Vec<usize>,
    geometry: Geometry,
    /// Whether the map has real numbers, in float32 or in the steps of a quantized model.
    is_real: bool,
}

impl Pool {
    fn new(lowering: &mut Lowering, node: &OnnxNode, takes: fn(ElementType) -> bool) -> Result<Self, Refusal> {
        let kernel = ints(node, "kernel_shape")?.unwrap_or_default();
        let kernel: Vec<usize> = kernel.into_iter().map(|k| usize::try_from(k).unwrap_or(0)).collect();
        Self::over(lowering, node, takes, |_| Ok(kernel))
    }

    /// A pool over whole maps.
    fn global(lowering: &mut Lowering, node: &OnnxNode, takes: fn(ElementType) -> bool) -> Result<Self, Refusal> {
        Self::over(lowering, node, takes, |spatial| Ok(spatial.to_vec()))
    }

    fn over(
        lowering: &mut Lowering,
        node: &OnnxNode,
        takes: fn(ElementType) -> bool,
        kernel: impl FnOnce(&[usize]) -> Result<Vec<usize>, Refusal>,
    ) -> Result<Self, Refusal> {
        let x = lowering.any_input(node, 0)?;
        let element_type = lowering.element_type(x);
        if !takes(element_type) {
            return Err(element_type_refusal(&node.inputs[0], element_type.name()));
        }
        let x_shape = lowering.shape_of(x).to_vec();
        if !(3..=5).contains(&x_shape.len()) {
            return Err(Refusal::new(
                format!("its feature map has rank {}", x_shape.len()),
                "one- to three-dimensional pools (rank 3 to 5) are supported",
            ));
        }
        let geometry = Geometry::new(node, &kernel(&x_shape[2..])?, &x_shape[2..])?;
        // A window without any element of the input has no maximum and no mean.
        if !geometry.covers_input() || geometry.begins_beyond() {
            return Err(Refusal::new("a window lies in the padding entirely", "export the model with less padding"));
        }
        let shape = x_shape[..2].iter().chain(&geometry.output).copied().collect();
        Ok(Pool { x, shape, geometry, is_real: element_type == ElementType::F32 })
    }

    /// The window over NHWC if there is a kernel for it.
    fn nhwc_window(&self) -> Option<Window> {
        self.geometry.window().filter(|_| self.shape[0] == 1 && self.is_real)
    }

    fn push_nhwc(&self, lowering: &mut Lowering, node: &OnnxNode, operator: Operator) -> Result<(), Refusal> {
        let x = lowering.push_to_nhwc(node, self.x)?;
        lowering.push_nhwc(node, operator, vec![x], &self.shape)
    }

    fn push_nd(&self, lowering: &mut Lowering, node: &OnnxNode, operator: WindowNd) -> Result<(), Refusal> {
        let element_type = lowering.element_type(self.x);
        let operator = Operator::WindowNd(operator);
        lowering.push_output(node, 0, operator, vec![self.x], self.shape.clone(), element_type);
        Ok(())
    }
}

fn is_f32(element_type: ElementType) -> bool {
    element_type == ElementType::F32
}

fn is_ordered(element_type: ElementType) -> bool {
    matches!(element_type, ElementType::F32 | ElementType::I8 | ElementType::U8)
}

/// The exponent of a norm.
fn exponent(node: &OnnxNode) -> Result<u32, Refusal> {
    let p = int(node, "p", 2)?;
    u32::try_from(p)
        .ok()
        .filter(|&p| p > 0)
        .ok_or_else(|| Refusal::new(format!("its exponent p is {p}"), "norms with p of 1 and above are supported"))
}
