//! Families of portable kernels, and what the instructions of each grow with: rows, elements, products.
//!
//! A kernel's loops lie one in the other; a feature counts how often one of them turns. What a turn costs on a CPU is in
//! [`super::factors`].

use super::Shapes;
use super::portable::{Inside, pixels, pool};
use tinfer::kernels::geometry::{ConvTranspose2d, Lanes, StridedLoops, TransposedAxis, row_major_strides};
use tinfer::tensor::MAX_RANK;

/// A kernel and what its instructions grow with.
pub(super) struct Features {
    /// The kernel's name, and behind a slash which of its functions it computes.
    pub key: String,
    /// One number for each of its factors.
    pub numbers: Vec<f64>,
}

/// The features of a kernel's step; `None` for kernels of no family.
pub(super) fn features(name: &str, shapes: &Shapes) -> Option<Features> {
    let (stem, _) = name.rsplit_once('_')?;
    let of = |key: String, numbers: &[f64]| Some(Features { key, numbers: numbers.to_vec() });
    let plain = |numbers: &[f64]| of(name.to_owned(), numbers);
    let function = |numbers: &[f64]| of(format!("{name}/{}", shapes.parameter(0)?), numbers);
    match stem {
        "add" | "mul" => plain(&pairs(shapes)?),
        "binary" => function(&pairs(shapes)?),
        "max" | "min" | "prelu" | "compare" | "where" => plain(&pairs(shapes)?),
        "unary" => function(&elements(shapes)),
        "cast_to" => of(format!("{name}/{}", shapes.input_type.name()), &elements(shapes)),
        "softmax" | "softmax_masked" | "softmax_scaled" | "log_softmax" | "row_normalization" => plain(&rows(shapes)),
        "normalization" | "lp_normalization" => plain(&rows(shapes)),
        "transpose" => plain(&transposed(shapes)?),
        "pad" => plain(&padded(shapes)?),
        "concat" => plain(&joined(shapes)?),
        "view" => plain(&view(shapes)?),
        "gather" => plain(&gathered(shapes)?),
        "fully_connected" => plain(&fully_connected(name, shapes)),
        "batch_matmul" => {
            let layout = if shapes.parameter(0)? == 0 { "kn" } else { "nk" };
            of(format!("{name}/{layout}"), &matrices(name, shapes)?)
        }
        "conv_transpose_2d" => plain(&conv_transpose(name, shapes)?),
        "conv_2d" => plain(&conv(name, shapes)?),
        "depthwise_conv_2d" => plain(&depthwise(name, shapes)?),
        "max_pool_2d" | "average_pool_2d" => plain(&pool(&shapes.window?)),
        "resize_nearest" | "resize" => plain(&resized(shapes)?),
        "reduce" => function(&reduced(shapes)?),
        "arg_extreme" | "hardmax" => plain(&lanes(shapes)?),
        "top_k" => plain(&chosen(shapes)?),
        "non_max_suppression" => plain(&suppressed(shapes)?),
        _ => plain(&elements(shapes)),
    }
}

/// Step, elements.
fn elements(shapes: &Shapes) -> [f64; 2] {
    [1.0, shapes.n_outputs()]
}

/// Step, rows of the last axis, elements.
fn rows(shapes: &Shapes) -> [f64; 3] {
    [1.0, shapes.n_outputs() / shapes.output_last.max(1) as f64, shapes.n_outputs()]
}

/// Step, innermost loops, stretches of 32 elements, stretches that are shorter, all elements, those in rows that start
/// anywhere in a word.
fn pairs(shapes: &Shapes) -> Option<[f64; 6]> {
    let [a, b] = *shapes.inputs.first_chunk::<2>()?;
    let loops = StridedLoops::broadcast(a, b, shapes.output)?;
    let [n, length] = [f64::from(loops.n_iterations()?), loops.row_length() as f64];
    let rows = n / length;
    let has_rest = f64::from(u8::from(length % 32.0 > 0.0));
    let unaligned = if is_aligned(&loops, shapes) { 0.0 } else { n };
    Some([1.0, rows, rows * (length / 32.0).floor(), rows * has_rest, n, unaligned])
}

/// Whether all rows of all operands start at a word; those that repeat one element are not read as rows.
fn is_aligned<const N: usize>(loops: &StridedLoops<N>, shapes: &Shapes) -> bool {
    let size = shapes.input_type.size_bytes() as u32;
    let outer = |strides: &[u32; MAX_RANK]| {
        let steps = loops.dims.iter().zip(strides).take(MAX_RANK - 1);
        steps.filter(|(dim, _)| **dim > 1).all(|(_, stride)| (stride * size).is_multiple_of(4))
    };
    loops.strides.iter().filter(|strides| strides[MAX_RANK - 1] != 0).all(outer)
}

/// Rows that are copied.
#[derive(Clone, Copy, Default)]
struct Copied {
    /// Turns of the loop around rows.
    turns: f64,
    /// Rows of fewer bytes side by side than [`SHORT`], and their elements.
    short: [f64; 2],
    /// Longer ones, their elements, and the elements of those that start anywhere in a word.
    long: [f64; 3],
    /// Rows of elements apart, and their elements.
    apart: [f64; 2],
}

impl Copied {
    /// So many elements in rows of this length, side by side.
    fn rows(n: f64, length: usize, is_aligned: bool, shapes: &Shapes) -> Self {
        let rows = n / length.max(1) as f64;
        if length * shapes.input_type.size_bytes() < SHORT {
            return Copied { short: [rows, n], ..Copied::default() };
        }
        Copied { long: [rows, n, if is_aligned { 0.0 } else { n }], ..Copied::default() }
    }

    fn of(loops: &StridedLoops<2>, shapes: &Shapes) -> Option<Self> {
        let n = f64::from(loops.n_iterations()?);
        let [outer @ .., _, length] = loops.dims;
        let copied = match loops.row_strides() {
            [1, 1] => Self::rows(n, length as usize, is_aligned(loops, shapes), shapes),
            _ => Copied { apart: [n / f64::from(length), n], ..Copied::default() },
        };
        Some(Copied { turns: outer.iter().map(|&dim| f64::from(dim)).product(), ..copied })
    }

    /// The same where one side starts at this element.
    fn from(self, start: u32, shapes: &Shapes) -> Self {
        let [rows, n, _] = self.long;
        let is_aligned = (start as usize * shapes.input_type.size_bytes()).is_multiple_of(4);
        if is_aligned { self } else { Copied { long: [rows, n, n], ..self } }
    }

    fn and(self, other: Self) -> Self {
        Copied {
            turns: self.turns + other.turns,
            short: std::array::from_fn(|i| self.short[i] + other.short[i]),
            long: std::array::from_fn(|i| self.long[i] + other.long[i]),
            apart: std::array::from_fn(|i| self.apart[i] + other.apart[i]),
        }
    }

    /// These numbers behind others.
    fn behind(self, first: &[f64]) -> Vec<f64> {
        [first, &[self.turns], &self.short, &self.long, &self.apart].concat()
    }
}

/// Bytes from which on rows are copied by words.
const SHORT: usize = 16;

/// Step, copies.
fn transposed(shapes: &Shapes) -> Option<Vec<f64>> {
    let permutation = *shapes.parameters.first_chunk::<MAX_RANK>()?;
    Some(Copied::of(&StridedLoops::transpose(*shapes.inputs.first()?, permutation)?, shapes)?.behind(&[1.0]))
}

/// Step, elements of the output, copies.
fn padded(shapes: &Shapes) -> Option<Vec<f64>> {
    let before = shapes.parameters.first_chunk::<20>()?.as_chunks::<4>().0;
    let strides = row_major_strides(shapes.output);
    let start: u32 = before.iter().zip(strides).map(|(&before, stride)| u32::from_le_bytes(before) * stride).sum();
    let copied = Copied::of(&StridedLoops::embed(*shapes.inputs.first()?, shapes.output)?, shapes)?;
    Some(copied.from(start, shapes).behind(&[1.0, shapes.n_outputs()]))
}

/// Step, inputs, copies.
fn joined(shapes: &Shapes) -> Option<Vec<f64>> {
    let mut all = Copied::default();
    for &input in &shapes.inputs {
        all = all.and(Copied::of(&StridedLoops::embed(input, shapes.output)?, shapes)?);
    }
    Some(all.behind(&[1.0, shapes.inputs.len() as f64]))
}

/// Step, elements that repeat one, copies.
fn view(shapes: &Shapes) -> Option<Vec<f64>> {
    let strides = shapes.parameters.get(4..)?.first_chunk::<20>()?.as_chunks::<4>().0;
    let stride = i32::from_le_bytes(*strides.last()?);
    let (n, length) = (shapes.n_outputs(), shapes.output_last.max(1));
    let size = shapes.input_type.size_bytes();
    let is_aligned = [length, shapes.input_last].iter().all(|n| (n * size).is_multiple_of(4));
    let copied = match stride {
        1 => Copied::rows(n, length, is_aligned, shapes),
        _ => Copied { apart: [n / length as f64, n], ..Copied::default() },
    };
    let start = u32::from_le_bytes(*shapes.parameters.first_chunk()?);
    Some(copied.from(start, shapes).behind(&[1.0, if stride == 0 { n } else { 0.0 }]))
}

/// Step, copies.
fn gathered(shapes: &Shapes) -> Option<Vec<f64>> {
    let axis = MAX_RANK.checked_sub(shapes.input_rank)? + usize::from(shapes.parameter(0)?);
    let Lanes { inner, .. } = Lanes::new(*shapes.inputs.first()?, axis)?;
    let is_aligned = (inner * shapes.input_type.size_bytes()).is_multiple_of(4);
    Some(Copied::rows(shapes.n_outputs(), inner, is_aligned, shapes).behind(&[1.0]))
}

/// Step, rows; of integers outputs and products, of float32 the same for blocks of 16, of 4 and of 1 outputs.
fn fully_connected(name: &str, shapes: &Shapes) -> Vec<f64> {
    let (n, taps) = (shapes.n_outputs(), shapes.input_last as f64);
    let rows = n / shapes.output_last.max(1) as f64;
    if name.ends_with("f32") {
        let blocks = blocks(shapes.output_last).map(|n| n * rows);
        return [1.0, rows].into_iter().chain(blocks).chain(blocks.map(|n| n * taps)).collect();
    }
    vec![1.0, rows, n, n * taps]
}

/// Blocks of 16, of 4, of 1.
fn blocks(n: usize) -> [f64; 3] {
    [n / 16, n % 16 / 4, n % 4].map(|n| n as f64)
}

/// Step, products of matrices, rows; of int8 elements of rows; blocks of outputs that are summed side by side, single
/// outputs, and the products of both. Blocks have 16 outputs in float32, in int8 8 of neighbouring columns and 4 of others.
/// Float32 has no blocks of others: elements of rows, outputs, products.
fn matrices(name: &str, shapes: &Shapes) -> Option<Vec<f64>> {
    let [.., m, k] = *shapes.inputs.first()?;
    let [.., n] = shapes.output;
    let [m, k, n] = [m, k, n].map(f64::from);
    let all = shapes.n_outputs();
    let (rows, batch) = (all / n, all / n / m);
    let is_transposed = shapes.parameter(0)? == 1;
    let block = match (name.ends_with("f32"), is_transposed) {
        (true, true) => return Some(vec![1.0, batch, rows, rows * k, all, all * k]),
        (true, false) => 16.0,
        (false, true) => 4.0,
        (false, false) => 8.0,
    };
    let [blocks, single] = [(n / block).floor() * rows, n % block * rows];
    let elements = (!name.ends_with("f32")).then_some(rows * k);
    let start = [1.0, batch, rows].into_iter().chain(elements);
    Some(start.chain([blocks, single, blocks * k, single * k]).collect())
}

/// Step, pixels; blocks of four channels and single channels: of a pixel, of a tap, of a product.
fn conv_transpose(name: &str, shapes: &Shapes) -> Option<Vec<f64>> {
    let conv = ConvTranspose2d { window: shapes.window?, groups: shapes.groups }.check()?;
    let [height, width, _] = conv.window.output;
    let reaching = |axis: TransposedAxis, n: u32| (0..n).map(|at| axis.taps(at as usize).count as f64).sum::<f64>();
    let taps = reaching(conv.vertical(), height) * reaching(conv.horizontal(), width) * f64::from(conv.groups);
    let pixels = pixels(&conv.window) * f64::from(conv.groups);
    let depth = conv.input_channels_per_group() as f64;
    let n = conv.output_channels_per_group();
    let blocks = match name.ends_with("f32") {
        true => blocks(n).to_vec(),
        false => vec![(n / 4) as f64, (n % 4) as f64],
    };
    let each = |of: f64| blocks.iter().map(move |&n| n * of).collect::<Vec<f64>>();
    Some([vec![1.0, pixels], each(pixels), each(taps), each(taps * depth)].concat())
}

/// Step, pixels; outputs, taps, products; of float32 the same for blocks of 16, of 4 and of 1 outputs.
fn conv(name: &str, shapes: &Shapes) -> Option<Vec<f64>> {
    let window = shapes.window?;
    let inside = Inside::of(&window);
    let groups = f64::from(shapes.groups);
    let depth = f64::from(window.input[2]) / groups;
    let per_group = window.output[2].checked_div(shapes.groups)? as usize;
    let blocks = match name.ends_with("f32") {
        true => blocks(per_group).to_vec(),
        false => vec![per_group as f64],
    };
    let each = |of: f64| blocks.iter().map(move |&n| n * of * groups).collect::<Vec<f64>>();
    Some(
        [vec![1.0, inside.pixels * groups], each(inside.pixels), each(inside.taps), each(inside.taps * depth)].concat(),
    )
}

/// Step, pixels; outputs, taps; of float32 the same for blocks of 16, of 4 and of 1 outputs.
fn depthwise(name: &str, shapes: &Shapes) -> Option<Vec<f64>> {
    let window = shapes.window?;
    let inside = Inside::of(&window);
    let channels = window.output[2] as usize;
    let blocks = match name.ends_with("f32") {
        true => blocks(channels).to_vec(),
        false => vec![channels as f64],
    };
    let each = |of: f64| blocks.iter().map(move |&n| n * of).collect::<Vec<f64>>();
    Some([vec![1.0, inside.pixels], each(inside.pixels), each(inside.taps)].concat())
}

/// Step, pixels, elements, taps of all pixels, taps of all elements.
fn resized(shapes: &Shapes) -> Option<[f64; 5]> {
    let axis = usize::from(shapes.parameter(0)?);
    let inner: u32 = shapes.output.get(axis + 2..)?.iter().product();
    let taps = [4, 6].map(|at| {
        let bytes = [shapes.parameter(at), shapes.parameter(at + 1)].map(|byte| byte.unwrap_or(0));
        f64::from(u16::from_le_bytes(bytes).max(1))
    });
    let n = shapes.n_outputs();
    let (pixels, taps) = (n / f64::from(inner.max(1)), taps[0] * taps[1]);
    Some([1.0, pixels, n, pixels * taps, n * taps])
}

/// Step, results, innermost loops, elements.
fn reduced(shapes: &Shapes) -> Option<[f64; 4]> {
    let dims = *shapes.inputs.first()?;
    let axes = shapes.parameter(2)?;
    let mut inner = 1.0;
    // Neighbouring axes are one loop.
    for (axis, dim) in dims.iter().enumerate().rev().skip_while(|(axis, dim)| **dim == 1 || (axes >> axis) & 1 == 0) {
        if *dim > 1 && (axes >> axis) & 1 == 0 {
            break;
        }
        inner *= f64::from(*dim);
    }
    let n = shapes.n_inputs as f64;
    Some([1.0, shapes.n_outputs(), n / inner, n])
}

/// The lanes along an axis that a record begins with.
fn along(shapes: &Shapes) -> Option<Lanes> {
    Lanes::new(*shapes.inputs.first()?, usize::from(shapes.parameter(0)?))
}

/// Step, lanes, elements.
fn lanes(shapes: &Shapes) -> Option<[f64; 3]> {
    Some([1.0, along(shapes)?.n_lanes() as f64, shapes.n_inputs as f64])
}

/// Step, lanes, results, comparisons: which of them change what is chosen depends on the elements.
fn chosen(shapes: &Shapes) -> Option<[f64; 4]> {
    let lanes = along(shapes)?;
    let results = shapes.n_outputs();
    Some([1.0, lanes.n_lanes() as f64, results, results * lanes.n as f64])
}

/// Step, scores that are looked at: every class is searched once, and again for each box that is found. How many those
/// are is in the picture; the estimate is for [`FOUND`].
fn suppressed(shapes: &Shapes) -> Option<[f64; 2]> {
    let scores: u32 = shapes.inputs.get(1)?.iter().product();
    Some([1.0, f64::from(scores) * (1.0 + FOUND)])
}

/// Boxes above the threshold, per class, in a detector's typical picture.
const FOUND: f64 = 1.0;
