//! Row-streamed execution: of a wide tensor between two layers only some rows exist at a time.
//!
//! ```text
//!             whole                          in strips
//!   x    [ 48 x 48 x  8 ]     x    [ rows ][ rows ][ rows ]        views of x
//!           | conv                    | conv    | conv ..          the same weights, one step per strip
//!   wide [ 48 x 48 x 16 ]     wide [ rows+1 ]                      lives for two steps; neighbouring strips overlap
//!           | depthwise, stride 2     | depthwise                  where the second window does
//!   y    [ 24 x 24 x 16 ]     y    [ rows ][ rows ][ rows ]        views of y
//! ```
//! Steps of strips are ordinary steps of the same kernels: every pixel is computed by the same arithmetic, some rows of
//! the wide tensor more than once. [`Lifetimes`](super::lifetimes::Lifetimes) sees that `y` may grow over the rows of `x`
//! that are used up.

use super::ARENA_ALIGNMENT;
use crate::graph::{Graph, Node, Operator, Origin, Tensor, TensorId, Window};
use crate::strip_rows::StripRows;
use std::ops::Range;

/// Two layers with a tensor between them that nobody else reads.
#[derive(Clone, Copy, Debug, PartialEq, Eq)]
pub(super) struct Pair {
    /// Indices in [`Graph::nodes`].
    pub producer: usize,
    pub consumer: usize,
    pub wide: TensorId,
}

/// All pairs of a graph that can run in strips.
pub(super) fn pairs(graph: &Graph) -> Vec<Pair> {
    let pair = |(producer, node): (usize, &Node)| {
        matches!(node.operator, Operator::Conv2d { .. } | Operator::DepthwiseConv2d { .. }).then_some(())?;
        let [wide] = node.outputs[..] else { return None };
        let mut readers = (0..graph.nodes.len()).filter(|&i| graph.nodes[i].inputs.contains(&wide));
        let (consumer, None) = (readers.next()?, readers.next()) else { return None };
        let reader = &graph.nodes[consumer];
        let is_input = reader.inputs[0] == wide && !reader.inputs[1..].contains(&wide);
        let is_seen_outside = graph.outputs.iter().any(|p| p.tensor == wide);
        let images = [node.inputs[0], wide, reader.outputs[0]];
        let are_images =
            images.iter().all(|&id| matches!(graph.tensor(id).shape[..], [1, ..]) && graph.tensor(id).shape.len() == 4);
        let is_constant = graph.tensor(node.inputs[0]).constant.is_some();
        window(&reader.operator)?;
        (is_input && !is_seen_outside && are_images && !is_constant).then_some(Pair { producer, consumer, wide })
    };
    graph.nodes.iter().enumerate().filter_map(pair).collect()
}

/// The graph with a pair in `n_strips` strips, or fewer where the rows do not suffice.
///
/// `None` when a strip would start at an address that no tensor may have, or would see no row.
pub(super) fn split(graph: &Graph, pair: Pair, n_strips: usize) -> Option<Graph> {
    let (producer, consumer) = (&graph.nodes[pair.producer], &graph.nodes[pair.consumer]);
    let (x, y) = (producer.inputs[0], consumer.outputs[0]);
    let height = graph.tensor(y).shape[1];
    let rows_per_strip =
        height.div_ceil(n_strips).next_multiple_of(ARENA_ALIGNMENT / shared(row_bytes(graph.tensor(y))));
    let mut split = graph.clone();
    let mut nodes = Vec::new();
    let mut strips = Vec::new();
    for start in (0..height).step_by(rows_per_strip) {
        let y_rows = start..(start + rows_per_strip).min(height);
        let (wide_rows, below) = seen(window(&consumer.operator)?, &y_rows, graph.tensor(pair.wide).shape[1])?;
        let (x_rows, above) = seen(window(&producer.operator)?, &wide_rows, graph.tensor(x).shape[1])?;
        if !(x_rows.start * row_bytes(graph.tensor(x))).is_multiple_of(ARENA_ALIGNMENT) {
            return None;
        }
        let [x_strip, wide_strip, y_strip] = [(x, &x_rows), (pair.wide, &wide_rows), (y, &y_rows)]
            .map(|(whole, rows)| split.add_tensor(strip_of(graph.tensor(whole), rows)));
        nodes.push(Node {
            name: split.tensor(x_strip).name.clone(),
            onnx: String::new(),
            operator: Operator::Rows { start: x_rows.start },
            inputs: vec![x],
            outputs: vec![x_strip],
        });
        nodes.push(strip_node(producer, above, &wide_rows, x_strip, wide_strip));
        nodes.push(strip_node(consumer, below, &y_rows, wide_strip, y_strip));
        strips.push(y_strip);
    }
    nodes.push(Node {
        name: graph.tensor(y).name.clone(),
        onnx: String::new(),
        operator: Operator::JoinRows,
        inputs: strips,
        outputs: vec![y],
    });
    split.nodes.splice(pair.consumer..=pair.consumer, nodes);
    split.nodes.remove(pair.producer);
    Some(split)
}

/// The rows of an image of `height` rows that a window sees when it makes `rows`, and the padding above them.
pub(super) fn seen(window: &Window, rows: &Range<usize>, height: usize) -> Option<(Range<usize>, usize)> {
    let top = window.padding[0];
    let start = (rows.start * window.stride[0]).saturating_sub(top);
    let reach = (rows.end - 1) * window.stride[0] + (window.kernel[0] - 1) * window.dilation[0] + 1;
    let end = reach.saturating_sub(top).min(height);
    (start < end).then(|| (start..end, top.saturating_sub(rows.start * window.stride[0])))
}

pub(super) fn strip_of(whole: &Tensor, rows: &Range<usize>) -> Tensor {
    let mut shape = whole.shape.clone();
    shape[1] = rows.len();
    // Rows of rows: counted in the image that the ONNX tensor is.
    let origin = whole.origin.clone().map(|origin| {
        let whole_rows = origin.rows.unwrap_or(StripRows { start: 0, of: whole.shape[1] });
        Origin { rows: Some(StripRows { start: whole_rows.start + rows.start, ..whole_rows }), ..origin }
    });
    Tensor { name: format!("{} rows {}..{}", whole.name, rows.start, rows.end), shape, origin, ..whole.clone() }
}

pub(super) fn strip_node(
    node: &Node,
    padding_above: usize,
    rows: &Range<usize>,
    input: TensorId,
    output: TensorId,
) -> Node {
    let mut strip = node.clone();
    strip.name = format!("{} rows {}..{}", node.name, rows.start, rows.end);
    strip.inputs[0] = input;
    strip.outputs = vec![output];
    if let Operator::Conv2d { window, .. }
    | Operator::DepthwiseConv2d { window, .. }
    | Operator::MaxPool2d { window }
    | Operator::AveragePool2d { window, .. } = &mut strip.operator
    {
        window.padding[0] = padding_above;
    }
    strip
}

/// The window of an operator whose result does not depend on rows that it does not see: an average over padding does.
pub(super) fn window(operator: &Operator) -> Option<&Window> {
    match operator {
        Operator::Conv2d { window, .. }
        | Operator::DepthwiseConv2d { window, .. }
        | Operator::MaxPool2d { window }
        | Operator::AveragePool2d { window, count_include_pad: false, .. } => Some(window),
        _ => None,
    }
}

pub(super) fn row_bytes(image: &Tensor) -> usize {
    image.n_bytes() / image.shape[1]
}

/// Greatest common divisor of a size and the alignment, which is a power of two.
fn shared(bytes: usize) -> usize {
    1 << bytes.trailing_zeros().min(ARENA_ALIGNMENT.trailing_zeros())
}
