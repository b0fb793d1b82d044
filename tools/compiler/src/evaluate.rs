//! A plain, slow interpreter of float graphs in f64: what a graph means, written once without any
//! thought of speed. Passes are proven by it: they must not change its outputs.

mod reduction;

use crate::array::{Array, NamedArray};
use crate::graph::{Binary, Clamp, Constant, Graph, Node, Operator, TensorId, Window};
use crate::lower::run_alone;
use tinfer::tensor::ElementType;

/// Why a graph could not be evaluated.
#[derive(Clone, Debug, PartialEq, thiserror::Error)]
pub enum EvaluateError {
    /// An input is missing or has another shape.
    #[error("graph input '{name}' needs shape {expected:?}, found {found:?}")]
    Input {
        /// Name of the port.
        name: String,
        /// Its shape.
        expected: Vec<usize>,
        /// The shape given, empty if none is.
        found: Vec<usize>,
    },
    /// The graph is broken or holds quantized operators.
    #[error("node '{node}' cannot be evaluated in float: {reason}")]
    Node {
        /// The node.
        node: String,
        /// What is wrong with it.
        reason: String,
    },
}

/// Runs one sample; inputs and outputs are in the ONNX file's layout.
///
/// # Errors
/// [`EvaluateError`].
pub fn evaluate(graph: &Graph, inputs: &[NamedArray]) -> Result<Vec<NamedArray>, EvaluateError> {
    evaluate_with_taps(graph, inputs, &mut |_, _| {})
}

/// As [`evaluate`], and shows every tensor that is computed.
///
/// # Errors
/// [`EvaluateError`].
pub fn evaluate_with_taps(
    graph: &Graph,
    inputs: &[NamedArray],
    tap: &mut dyn FnMut(TensorId, &[f64]),
) -> Result<Vec<NamedArray>, EvaluateError> {
    let mut values: Vec<Option<Vec<f64>>> = vec![None; graph.tensors.len()];
    for (value, tensor) in values.iter_mut().zip(&graph.tensors) {
        *value = tensor.constant.as_ref().and_then(|c| c.as_f32()).map(|v| v.iter().map(|&x| f64::from(x)).collect());
    }
    for port in &graph.inputs {
        let found = inputs.iter().find(|i| i.name == port.name);
        let array = found.map(|i| &i.array).filter(|a| a.shape == port.shape);
        let array = array.ok_or_else(|| EvaluateError::Input {
            name: port.name.clone(),
            expected: port.shape.clone(),
            found: found.map(|i| i.array.shape.clone()).unwrap_or_default(),
        })?;
        values[port.tensor.0] = Some(transpose(&array.to_f64(), &port.shape, &port.permutation));
    }
    for node in &graph.nodes {
        let broken = |reason: &str| EvaluateError::Node { node: node.name.clone(), reason: reason.into() };
        let operands: Vec<&[f64]> = node
            .inputs
            .iter()
            .map(|i| values[i.0].as_deref())
            .collect::<Option<_>>()
            .ok_or_else(|| broken("an operand is not computed"))?;
        let result = compute(graph, node, &operands).map_err(|reason| broken(&reason))?;
        let &output = node.outputs.first().ok_or_else(|| broken("it has no result"))?;
        if result.len() != graph.tensor(output).n_elements() {
            return Err(broken(&format!("{} elements for shape {:?}", result.len(), graph.tensor(output).shape)));
        }
        tap(output, &result);
        values[output.0] = Some(result);
    }
    let outputs = graph.outputs.iter().map(|port| {
        let missing = || EvaluateError::Node { node: port.name.clone(), reason: "the output is not computed".into() };
        let value = values[port.tensor.0].as_ref().ok_or_else(missing)?;
        let moved: Vec<usize> = port.permutation.iter().map(|&axis| port.shape[axis]).collect();
        let mut inverse = vec![0; moved.len()];
        for (i, &axis) in port.permutation.iter().enumerate() {
            inverse[axis] = i;
        }
        let back = transpose(value, &moved, &inverse);
        Ok(NamedArray::new(&port.name, Array::f32(port.shape.clone(), back.iter().map(|&x| x as f32).collect())))
    });
    outputs.collect()
}

/// A real number as the nearest one towards zero that an element type has.
fn cast(x: f64, element_type: ElementType) -> f64 {
    match element_type {
        ElementType::F32 => x,
        ElementType::I8 => f64::from(x as i8),
        ElementType::U8 => f64::from(x as u8),
        ElementType::I16 => f64::from(x as i16),
        ElementType::I32 => f64::from(x as i32),
        ElementType::I64 => x.trunc(),
        ElementType::Bool => f64::from(u8::from(x != 0.0)),
    }
}

/// Elements of an array whose axis i is axis `permutation[i]` of `x`.
pub fn transpose<T: Copy>(x: &[T], shape: &[usize], permutation: &[usize]) -> Vec<T> {
    let strides = strides(shape);
    let moved: Vec<usize> = permutation.iter().map(|&axis| shape[axis]).collect();
    let moved_strides: Vec<usize> = permutation.iter().map(|&axis| strides[axis]).collect();
    indices(&moved).map(|index| x[dot(&index, &moved_strides)]).collect()
}

fn compute(graph: &Graph, node: &Node, x: &[&[f64]]) -> Result<Vec<f64>, String> {
    let shape = |i: usize| &graph.tensor(node.inputs[i]).shape[..];
    let out = &graph.tensor(node.outputs[0]).shape[..];
    let bias = |c: usize| x.get(2).map_or(0.0, |b| b[c]);
    Ok(match &node.operator {
        Operator::Conv2d { window, groups, clamp } => {
            let (per_group, per_group_out) = (shape(1)[3], shape(1)[0] / groups);
            let taps = Taps::new(window, shape(0), out)?;
            let weights = |o: usize, k: usize, i: usize| x[1][(o * taps.area() + k) * per_group + i];
            map(out, |index| {
                let o = index[3];
                let first = o / per_group_out * per_group;
                let mut sum = bias(o);
                taps.each(index, |k, at| (0..per_group).for_each(|i| sum += x[0][at + first + i] * weights(o, k, i)));
                clamped(sum, clamp)
            })
        }
        Operator::ConvTranspose2d { window, groups, clamp } => {
            let (own, area) = (shape(0), window.kernel[0] * window.kernel[1]);
            let (per_group, per_group_out) = (shape(1)[3], shape(1)[0] / groups);
            // The input position that reaches output position `at` through tap `k`.
            let from = |axis: usize, at: usize, k: usize| {
                let distance = (at + window.padding[axis]).checked_sub(k * window.dilation[axis])?;
                let i = distance / window.stride[axis];
                (distance % window.stride[axis] == 0 && i < own[axis + 1]).then_some(i)
            };
            map(out, |index| {
                let o = index[3];
                let first = o / per_group_out * per_group;
                let mut sum = bias(o);
                for k in 0..area {
                    let (ky, kx) = (k / window.kernel[1], k % window.kernel[1]);
                    let (Some(y), Some(x_at)) = (from(0, index[1], ky), from(1, index[2], kx)) else { continue };
                    let at = ((index[0] * own[1] + y) * own[2] + x_at) * own[3] + first;
                    sum += (0..per_group).map(|i| x[0][at + i] * x[1][(o * area + k) * per_group + i]).sum::<f64>();
                }
                clamped(sum, clamp)
            })
        }
        // In float32: the runtime itself.
        Operator::WindowNd(_) => {
            let mut known = graph.clone();
            for (&id, values) in node.inputs.iter().zip(x) {
                let values = values.iter().map(|&v| v as f32).collect();
                known.tensor_mut(id).constant = Some(Constant::F32(values));
            }
            let results = run_alone(&known, node).ok_or("the runtime does not run it alone")?;
            let values = results.first().and_then(Constant::as_f32).ok_or("its result is not float32")?;
            values.iter().map(|&v| f64::from(v)).collect()
        }
        Operator::DepthwiseConv2d { window, multiplier, clamp } => {
            let taps = Taps::new(window, shape(0), out)?;
            map(out, |index| {
                let c = index[3];
                let mut sum = bias(c);
                taps.each(index, |k, at| sum += x[0][at + c / multiplier] * x[1][k * out[3] + c]);
                clamped(sum, clamp)
            })
        }
        Operator::FullyConnected { clamp } => {
            let (n_outputs, n_inputs) = (shape(1)[0], shape(1)[1]);
            let rows = x[0].chunks(n_inputs);
            let row = |row: &[f64], o: usize| {
                let weights = &x[1][o * n_inputs..(o + 1) * n_inputs];
                clamped(bias(o) + row.iter().zip(weights).map(|(a, b)| a * b).sum::<f64>(), clamp)
            };
            rows.flat_map(|r| (0..n_outputs).map(|o| row(r, o)).collect::<Vec<_>>()).collect()
        }
        Operator::BatchMatmul { transpose_b } => {
            let (a, b) = (shape(0), shape(1));
            let k = a[a.len() - 1];
            let (a_strides, b_strides) = (broadcast_strides(a, out), broadcast_strides(b, out));
            let batch = out.len() - 2;
            let (b_k, b_n) = if *transpose_b { (1, k) } else { (b[b.len() - 1], 1) };
            map(out, |index| {
                let a_at = dot(&index[..batch], &a_strides[..batch]) + index[batch] * k;
                let b_at = dot(&index[..batch], &b_strides[..batch]) + index[batch + 1] * b_n;
                (0..k).map(|i| x[0][a_at + i] * x[1][b_at + i * b_k]).sum()
            })
        }
        Operator::Binary { function, clamp } => {
            let (a, b) = (broadcast_strides(shape(0), out), broadcast_strides(shape(1), out));
            map(out, |index| {
                let (a, b) = (x[0][dot(index, &a)], x[1][dot(index, &b)]);
                let y = match function {
                    Binary::Add => a + b,
                    Binary::Sub => a - b,
                    Binary::Mul => a * b,
                };
                clamped(y, clamp)
            })
        }
        Operator::Unary(function) => x[0].iter().map(|&v| function.evaluate(v)).collect(),
        Operator::Pair(function) if function.is_real() => {
            let (a, b) = (broadcast_strides(shape(0), out), broadcast_strides(shape(1), out));
            map(out, |index| function.evaluate(x[0][dot(index, &a)], x[1][dot(index, &b)]).unwrap_or(f64::NAN))
        }
        Operator::Cast => {
            let element_type = graph.tensor(node.outputs[0]).element_type;
            x[0].iter().map(|&v| cast(v, element_type)).collect()
        }
        Operator::Pair(_) | Operator::Where => return Err("its operands are no real numbers".into()),
        Operator::MaxPool2d { window } => {
            let taps = Taps::new(window, shape(0), out)?;
            map(out, |index| {
                let mut best = f64::NEG_INFINITY;
                taps.each(index, |_, at| best = best.max(x[0][at + index[3]]));
                best
            })
        }
        Operator::AveragePool2d { window, count_include_pad, clamp, .. } => {
            let taps = Taps::new(window, shape(0), out)?;
            map(out, |index| {
                let (mut sum, mut n) = (0.0, 0);
                taps.each(index, |_, at| {
                    sum += x[0][at + index[3]];
                    n += 1;
                });
                clamped(sum / if *count_include_pad { taps.area() } else { n } as f64, clamp)
            })
        }
        Operator::Softmax => {
            let last = out.last().copied().unwrap_or(1);
            let softmax = |row: &[f64]| {
                let top = row.iter().copied().fold(f64::NEG_INFINITY, f64::max);
                let exp: Vec<f64> = row.iter().map(|v| (v - top).exp()).collect();
                let sum: f64 = exp.iter().sum();
                exp.into_iter().map(move |e| e / sum)
            };
            x[0].chunks(last).flat_map(|row| softmax(row).collect::<Vec<_>>()).collect()
        }
        Operator::Reduction(reduction) => reduction::reduction(reduction, x[0], shape(0))?,
        Operator::Normalization(normalization) => reduction::normalization(normalization, x),
        Operator::Reshape => x[0].to_vec(),
        Operator::Rows { start } => {
            let row: usize = out[2..].iter().product();
            x[0][start * row..(start + out[1]) * row].to_vec()
        }
        Operator::JoinRows => x.concat(),
        Operator::Require => x[0].to_vec(),
        Operator::Move(_) => return Err("its operands move as the runtime knows only".into()),
        Operator::Transpose { permutation } => transpose(x[0], shape(0), permutation),
        Operator::Pad { pads, value } => {
            let (own, strides) = (shape(0), strides(shape(0)));
            map(out, |index| {
                let at = index
                    .iter()
                    .zip(pads)
                    .zip(own)
                    .map(|((&i, p), &d)| i.checked_sub(p[0]).filter(|&i| i < d))
                    .collect::<Option<Vec<_>>>();
                at.map_or(f64::from(*value), |at| x[0][dot(&at, &strides)])
            })
        }
        Operator::Concat { axis } => {
            let outer: usize = out[..*axis].iter().product();
            let chunk = |i: usize| shape(i)[*axis..].iter().product::<usize>();
            (0..outer)
                .flat_map(|o| (0..x.len()).flat_map(move |i| x[i][o * chunk(i)..(o + 1) * chunk(i)].iter().copied()))
                .collect()
        }
        other => return Err(format!("{other:?} is no float operator")),
    })
}

/// Positions of a window over an NHWC map.
struct Taps<'a> {
    window: &'a Window,
    input: [usize; 4],
}

impl<'a> Taps<'a> {
    fn new(window: &'a Window, input: &[usize], output: &[usize]) -> Result<Self, String> {
        match (input, output) {
            (&[n, h, w, c], &[_, _, _, _]) => Ok(Taps { window, input: [n, h, w, c] }),
            _ => Err(format!("a map of shape {input:?} is not NHWC")),
        }
    }

    fn area(&self) -> usize {
        self.window.kernel[0] * self.window.kernel[1]
    }

    /// Calls with the index of the kernel element and the offset of the pixel, for pixels inside the map.
    fn each(&self, index: &[usize], mut call: impl FnMut(usize, usize)) {
        let Window { kernel, stride, dilation, padding } = self.window;
        let [_, h, w, c] = self.input;
        for ky in 0..kernel[0] {
            for kx in 0..kernel[1] {
                let y = (index[1] * stride[0] + ky * dilation[0]).checked_sub(padding[0]).filter(|&y| y < h);
                let x = (index[2] * stride[1] + kx * dilation[1]).checked_sub(padding[1]).filter(|&x| x < w);
                if let (Some(y), Some(x)) = (y, x) {
                    call(ky * kernel[1] + kx, ((index[0] * h + y) * w + x) * c);
                }
            }
        }
    }
}

fn clamped(x: f64, clamp: &Clamp) -> f64 {
    let low = clamp.min.map_or(x, |min| x.max(f64::from(min)));
    clamp.max.map_or(low, |max| low.min(f64::from(max)))
}

fn map(shape: &[usize], mut f: impl FnMut(&[usize]) -> f64) -> Vec<f64> {
    indices(shape).map(|index| f(&index)).collect()
}

/// All indices of a shape in row-major order.
fn indices(shape: &[usize]) -> impl Iterator<Item = Vec<usize>> {
    let strides = strides(shape);
    let shape = shape.to_vec();
    (0..shape.iter().product())
        .map(move |flat: usize| shape.iter().zip(&strides).map(|(&d, &s)| flat / s % d).collect())
}

fn strides(shape: &[usize]) -> Vec<usize> {
    let mut strides = vec![1; shape.len()];
    for i in (1..shape.len()).rev() {
        strides[i - 1] = strides[i] * shape[i];
    }
    strides
}

/// Strides of an operand under numpy broadcasting to `out`: 0 along repeated axes.
fn broadcast_strides(shape: &[usize], out: &[usize]) -> Vec<usize> {
    let own = strides(shape);
    let missing = out.len() - shape.len();
    (0..out.len()).map(|i| if i < missing || shape[i - missing] == 1 { 0 } else { own[i - missing] }).collect()
}

fn dot(index: &[usize], strides: &[usize]) -> usize {
    index.iter().zip(strides).map(|(i, s)| i * s).sum()
}
