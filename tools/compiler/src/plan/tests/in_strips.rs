//! Layers in strips of rows give what they give as a whole, in less memory.

use super::{Random, check};
use crate::array::{Array, ArrayData};
use crate::choose::for_isa;
use crate::graph::{Clamp, Constant, Graph, Node, Operator, Port, Tensor, TensorId, Window};
use crate::pack::{PackOptions, pack};
use crate::plan::{Planned, plan, plan_in_strips, strips};
use crate::runner::ImageRunner;
use tinfer::isa::Isa;
use tinfer::kernels::portable::SumOrder;
use tinfer::tensor::ElementType;

/// Convolution, second layer with any window, third layer 1x1, in float32 where a wrong row shows in every bit.
pub(super) struct Chain {
    pub size: [usize; 2],
    pub channels: [usize; 3],
    pub windows: [Window; 2],
    pub second: fn(Window) -> Operator,
}

impl Chain {
    pub fn graph(&self) -> Graph {
        let mut graph = Graph { name: "chain".into(), ..Graph::default() };
        let mut random = Random(5);
        let tensor = |graph: &mut Graph, name: &str, shape: Vec<usize>| {
            let (element_type, name) = (ElementType::F32, name.to_string());
            graph.add_tensor(Tensor { name, shape, element_type, constant: None, quantization: None, origin: None })
        };
        let x = tensor(&mut graph, "x", vec![1, self.size[0], self.size[1], self.channels[0]]);
        let mut size = self.size;
        let mut last = x;
        let point = Window { kernel: [1, 1], stride: [1, 1], dilation: [1, 1], padding: [0, 0] };
        for i in 0..3 {
            let window = self.windows.get(i).unwrap_or(&point).clone();
            let channels = self.channels[i.clamp(1, 2)];
            let inputs = graph.tensor(last).shape[3];
            size = [0, 1].map(|a| {
                let reach = (window.kernel[a] - 1) * window.dilation[a] + 1;
                (size[a] + 2 * window.padding[a] - reach) / window.stride[a] + 1
            });
            let [kernel_height, kernel_width] = window.kernel;
            let operator = match i {
                1 => (self.second)(window),
                _ => Operator::Conv2d { window, groups: 1, clamp: Clamp::default() },
            };
            let (weights, outputs) = match operator {
                Operator::Conv2d { .. } => (Some(vec![channels, kernel_height, kernel_width, inputs]), channels),
                Operator::DepthwiseConv2d { .. } => (Some(vec![kernel_height, kernel_width, inputs]), inputs),
                _ => (None, inputs),
            };
            let mut operands = vec![last];
            for shape in weights.into_iter().chain([vec![outputs]]).take(if operator.clamp().is_some() { 2 } else { 0 })
            {
                let values = (0..shape.iter().product()).map(|_| random.below(2001) as f32 / 1000.0 - 1.0).collect();
                operands.push(graph.add_constant("c", shape, Constant::F32(values)));
            }
            last = tensor(&mut graph, &format!("t{i}"), vec![1, size[0], size[1], outputs]);
            graph.nodes.push(Node {
                name: format!("n{i}"),
                onnx: String::new(),
                operator,
                inputs: operands,
                outputs: vec![last],
            });
        }
        for (id, is_output) in [(x, false), (last, true)] {
            let port = port(&graph, id);
            if is_output { graph.outputs.push(port) } else { graph.inputs.push(port) }
        }
        graph
    }
}

fn port(graph: &Graph, tensor: TensorId) -> Port {
    let t = graph.tensor(tensor);
    let (name, shape) = (t.name.clone(), t.shape.clone());
    Port { name, shape, batched: true, element_type: ElementType::F32, tensor, permutation: vec![0, 1, 2, 3] }
}

pub(super) fn run(graph: &Graph, planned: &Planned) -> Vec<f32> {
    let packed = pack(graph, planned, &PackOptions::default()).unwrap();
    let mut runner = ImageRunner::new(&packed.bytes).unwrap();
    let shape = graph.inputs[0].shape.clone();
    let n: usize = shape.iter().product();
    let data = ArrayData::F32((0..n).map(|i| ((i * 7919) % 101) as f32 / 50.0 - 1.0).collect());
    match &runner.run(&[Array { shape, data }]).unwrap()[0].data {
        ArrayData::F32(v) => v.clone(),
        other => panic!("{other:?}"),
    }
}

pub(super) fn window(kernel: usize, stride: usize, dilation: usize, padding: usize) -> Window {
    Window { kernel: [kernel; 2], stride: [stride; 2], dilation: [dilation; 2], padding: [padding; 2] }
}

pub(super) fn depthwise(window: Window) -> Operator {
    Operator::DepthwiseConv2d { window, multiplier: 1, clamp: Clamp::default() }
}

pub(super) fn conv(window: Window) -> Operator {
    Operator::Conv2d { window, groups: 1, clamp: Clamp::default() }
}

pub(super) fn max_pool(window: Window) -> Operator {
    Operator::MaxPool2d { window }
}

pub(super) fn average_pool(window: Window) -> Operator {
    Operator::AveragePool2d { window, count_include_pad: false, sums: SumOrder::Taps, clamp: Clamp::default() }
}

#[test]
fn strips_give_the_bits_of_the_whole() {
    let choose = for_isa(Isa::Portable);
    let mut n_split = 0;
    for first in [window(1, 1, 1, 0), window(3, 1, 1, 1), window(3, 2, 1, 1), window(2, 1, 2, 1)] {
        for (second, consumer) in [
            (window(3, 2, 1, 1), depthwise as fn(Window) -> Operator),
            (window(3, 1, 1, 1), depthwise),
            (window(5, 1, 1, 2), conv),
            (window(3, 1, 2, 2), conv),
            (window(2, 2, 1, 0), max_pool),
            (window(3, 2, 1, 1), average_pool),
        ] {
            let windows = [first.clone(), second];
            let graph = Chain { size: [17, 12], channels: [4, 8, 4], windows, second: consumer }.graph();
            let whole = run(&graph, &check(&graph, &choose));
            let pair = strips::pairs(&graph)[0];
            for n in [2, 3, 5, 16] {
                let Some(split) = strips::split(&graph, pair, n) else { continue };
                assert_eq!(run(&split, &check(&split, &choose)), whole, "{n} strips of {:?}", graph.nodes);
                n_split += 1;
            }
        }
    }
    assert!(n_split > 60, "{n_split}");
}

#[test]
fn a_wide_tensor_in_strips_makes_the_arena_smaller_and_says_what_it_costs() {
    let choose = for_isa(Isa::Portable);
    let windows = [window(1, 1, 1, 0), window(3, 2, 1, 1)];
    let graph = Chain { size: [48, 48], channels: [4, 32, 4], windows, second: depthwise }.graph();
    let whole = plan(&graph, &choose);
    let (split, planned, streamed) = plan_in_strips(graph.clone(), &choose);
    let [streamed] = &streamed[..] else { panic!("{streamed:?}") };
    assert_eq!((streamed.producer.as_str(), streamed.consumer.as_str()), ("n0", "n1"));
    assert_eq!(streamed.repeated_macs, split.macs() as i64 - graph.macs() as i64);
    assert!(streamed.n_strips > 1 && streamed.repeated_macs > 0);
    assert!(planned.arena_bytes * 2 < whole.arena_bytes, "{} of {}", planned.arena_bytes, whole.arena_bytes);
    assert_eq!(run(&split, &planned), run(&graph, &whole));
    check(&split, &choose);
}

#[test]
fn layers_that_save_nothing_stay_whole() {
    let windows = [window(3, 1, 1, 1), window(3, 1, 1, 1)];
    let graph = Chain { size: [12, 12], channels: [4, 4, 4], windows, second: conv }.graph();
    let (same, planned, streamed) = plan_in_strips(graph.clone(), &for_isa(Isa::Portable));
    assert_eq!((streamed, same.nodes.len()), (Vec::new(), 3));
    assert_eq!(planned.arena_bytes, plan(&graph, &for_isa(Isa::Portable)).arena_bytes);
}
