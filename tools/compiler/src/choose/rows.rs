//! Fully connected layers over many rows as pointwise convolutions, which the DSP extension has a faster kernel for.
//!
//! ```text
//! x [.., R, I] -> FullyConnected -> y [.., R, O]
//! x -> Reshape [1, R, 1, I] -> Conv2d 1x1 -> [1, R, 1, O] -> Reshape -> y
//! ```
//! Reshapes are no steps, and both kernels requantize alike: the bytes of `y` stay what they are.

use super::choose;
use crate::cost;
use crate::graph::{Graph, Node, Operator, Tensor, TensorId, Window};
use tinfer::isa::Isa;

/// The graph with every fully connected layer as a convolution that should cost fewer instructions as one.
pub fn rows_as_pixels(graph: &Graph, isa: Isa) -> Graph {
    let mut changed = graph.clone();
    let mut nodes = Vec::with_capacity(graph.nodes.len());
    for node in &graph.nodes {
        match as_convolution(&mut changed, node, isa) {
            Some(three) => nodes.extend(three),
            None => nodes.push(node.clone()),
        }
    }
    changed.nodes = nodes;
    changed.compact();
    changed
}

/// The nodes that compute what `node` does; `None` when it stays as it is.
fn as_convolution(graph: &mut Graph, node: &Node, isa: Isa) -> Option<[Node; 3]> {
    let Operator::FullyConnected { clamp } = node.operator else { return None };
    let (&[input, weights, ref bias @ ..], &[output]) = (&node.inputs[..], &node.outputs[..]) else { return None };
    let [outputs, inputs] = graph.tensor(weights).shape[..] else { return None };
    let rows = graph.tensor(input).n_elements() / inputs.max(1);
    if rows < 2 || graph.tensor(input).constant.is_some() || choose(graph, node, isa).isa != Isa::Portable {
        return None;
    }
    let before = cost::of_node(graph, node, isa, Isa::Portable)?;
    // Tensors that turn out not to be needed are dropped with the other unused ones.
    let pixels = shaped(graph, input, vec![1, rows, 1, inputs]);
    let filters = shaped(graph, weights, vec![outputs, 1, 1, inputs]);
    let results = shaped(graph, output, vec![1, rows, 1, outputs]);
    let window = Window { kernel: [1, 1], stride: [1, 1], dilation: [1, 1], padding: [0, 0] };
    let node = |operator, inputs, output| Node { operator, inputs, outputs: vec![output], ..node.clone() };
    let operands = [pixels, filters].into_iter().chain(bias.iter().copied()).collect();
    let convolution = node(Operator::Conv2d { window, groups: 1, clamp }, operands, results);
    let kernel = choose(graph, &convolution, isa).isa;
    if kernel == Isa::Portable || cost::of_node(graph, &convolution, isa, kernel)? >= before {
        return None;
    }
    Some([node(Operator::Reshape, vec![input], pixels), convolution, node(Operator::Reshape, vec![results], output)])
}

/// A tensor that holds the elements of another.
fn shaped(graph: &mut Graph, id: TensorId, shape: Vec<usize>) -> TensorId {
    let tensor = graph.tensor(id).clone();
    let name = format!("{} as pixels", tensor.name);
    graph.add_tensor(Tensor { name, shape, origin: None, ..tensor })
}

#[cfg(test)]
mod tests {
    use super::*;
    use crate::array::{Array, ArrayData};
    use crate::choose::for_isa;
    use crate::graph::{Clamp, Constant, Port, Quantization};
    use crate::pack::{PackOptions, pack};
    use crate::plan::plan;
    use crate::runner::ImageRunner;
    use tinfer::tensor::ElementType;

    /// A fully connected layer from `shape` to `outputs`, with weights and a bias of every size, and a clamp.
    fn layer(shape: &[usize], outputs: usize) -> Graph {
        let mut graph = Graph::default();
        let inputs = shape[shape.len() - 1];
        let whole = [&shape[..shape.len() - 1], &[outputs]].concat();
        let [x, y] =
            [("x", shape.to_vec(), 0.05, -7), ("y", whole, 0.11, 5)].map(|(name, shape, scale, zero_point)| {
                let (name, element_type) = (name.into(), ElementType::I8);
                let quantization = Some(Quantization::per_tensor(scale, zero_point));
                graph.add_tensor(Tensor { name, shape, element_type, constant: None, quantization, origin: None })
            });
        let byte = |i: usize| ((i as u32).wrapping_mul(2_654_435_761) >> 24) as u8 as i8;
        let weights = (0..inputs * outputs).map(|i| byte(i).max(-127)).collect();
        let weights = graph.add_constant("w", vec![outputs, inputs], Constant::I8(weights));
        let scales = (0..outputs).map(|o| 0.004 + 0.0007 * (o % 5) as f32).collect();
        graph.tensor_mut(weights).quantization = Some(Quantization { scales, zero_point: 0, axis: 0 });
        let bias = (0..outputs).map(|o| i32::from(byte(o + 77)) * 40).collect();
        let bias = graph.add_constant("b", vec![outputs], Constant::I32(bias));
        let clamp = Clamp { min: Some(-6.0), max: Some(9.0) };
        let (operator, inputs) = (Operator::FullyConnected { clamp }, vec![x, weights, bias]);
        graph.nodes.push(Node { name: "dense".into(), onnx: "Gemm".into(), operator, inputs, outputs: vec![y] });
        graph.inputs.push(Port::of_tensor(x, graph.tensor(x)));
        graph.outputs.push(Port::of_tensor(y, graph.tensor(y)));
        graph
    }

    fn run(graph: &Graph, isa: Isa) -> Array {
        let packed = pack(graph, &plan(graph, &for_isa(isa)), &PackOptions::default()).unwrap();
        let shape = graph.inputs[0].shape.clone();
        let data = ArrayData::I8((0..shape.iter().product()).map(|i: usize| (i * 89 % 256) as u8 as i8).collect());
        ImageRunner::new(&packed.bytes).unwrap().run(&[Array { shape, data }]).unwrap().remove(0)
    }

    #[test]
    fn rows_give_the_same_bytes_as_pixels() {
        for (shape, outputs) in [
            (&[1, 12, 16][..], 8),
            (&[7, 33], 5),
            (&[2, 3, 5, 20], 17),
            (&[1, 64, 64], 64),
            (&[1, 3, 300], 9),
            (&[2, 4], 1),
        ] {
            let before = layer(shape, outputs);
            let after = rows_as_pixels(&before, Isa::Armv7em);
            let operators = after.nodes.iter().filter(|node| matches!(node.operator, Operator::Conv2d { .. })).count();
            // The last has so few products that the step around them decides.
            assert_eq!(operators, usize::from(outputs > 1), "{shape:?} {outputs}");
            assert_eq!(run(&after, Isa::Armv7em), run(&before, Isa::Portable), "{shape:?} {outputs}");
        }
    }

    #[test]
    fn single_rows_and_other_boards_keep_their_layers() {
        for (shape, isa) in [(&[1, 64][..], Isa::Armv7em), (&[1, 12, 64], Isa::Mve), (&[1, 12, 64], Isa::Portable)] {
            let after = rows_as_pixels(&layer(shape, 16), isa);
            assert!(matches!(after.nodes[..], [Node { operator: Operator::FullyConnected { .. }, .. }]), "{isa:?}");
        }
    }
}
