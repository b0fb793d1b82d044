//! Movement of elements of any type: slices, borders, gathering, resizing.

use super::PackError;
use super::step::StepPacker;
use crate::graph::{Constant, Given, Move, Node, Operator, Sampling, Tensor};
use tinfer::kernels::geometry::{SliceAxis, row_major_strides};
use tinfer::kernels::portable::WEIGHT_BITS;
use tinfer::operators::Operator as Kernel;
use tinfer::operators::sized::border::{BORDER_B1, BORDER_B2, BORDER_B4, BORDER_B8, BorderRecord};
use tinfer::operators::sized::gather::{
    GATHER_B1, GATHER_B2, GATHER_B4, GATHER_B8, GATHER_ELEMENTS_B1, GATHER_ELEMENTS_B2, GATHER_ELEMENTS_B4,
    GATHER_ELEMENTS_B8, GatherRecord,
};
use tinfer::operators::sized::of_size;
use tinfer::operators::sized::one_hot::{ONE_HOT_B1, ONE_HOT_B2, ONE_HOT_B4, ONE_HOT_B8, OneHotRecord};
use tinfer::operators::sized::resample::{
    RESIZE_F32, RESIZE_I8, RESIZE_NEAREST_B1, RESIZE_NEAREST_B2, RESIZE_NEAREST_B4, RESIZE_NEAREST_B8, ResampleRecord,
};
use tinfer::operators::sized::resize_table::RESIZE_TABLE;
use tinfer::operators::sized::shape_given::{SHAPE_GIVEN, ShapeGivenRecord};
use tinfer::operators::sized::slice::{SLICE_B1, SLICE_B2, SLICE_B4, SLICE_B8, SliceRecord};
use tinfer::operators::sized::trilu::{TRILU_B1, TRILU_B2, TRILU_B4, TRILU_B8, TriluRecord};
use tinfer::operators::sized::view::{VIEW_B1, VIEW_B2, VIEW_B4, VIEW_B8, ViewRecord};
use tinfer::tensor::{ElementType, MAX_RANK, Shape};

pub(super) fn pack(steps: &mut StepPacker<'_>, node: &Node) -> Result<&'static str, PackError> {
    let Operator::Move(movement) = &node.operator else { return Err(steps.error(node, "it moves nothing")) };
    let (x, y) = (steps.input(node, 0), steps.output(node));
    let ranks = [x, y].map(|t| t.shape.len());
    if let Some(rank) = ranks.into_iter().find(|r| *r > MAX_RANK) {
        return Err(steps.error(node, format!("it has rank {rank}, images hold up to {MAX_RANK}")));
    }
    let (first, element_type) = (MAX_RANK - ranks[0], y.element_type);
    let sized = |operators: [&'static Kernel; 4]| of_size(operators, element_type);
    let aligned = |axis: usize| (axis + first) as u8;
    let all = &node.inputs;
    match movement {
        Move::Slice { starts, steps: by } => {
            let mut axes = [SliceAxis { start: 0, step: 1, count: 1 }; MAX_RANK];
            for (i, axis) in axes[first..].iter_mut().enumerate() {
                *axis = SliceAxis { start: starts[i] as u32, step: by[i], count: y.shape[i] as u32 };
            }
            let view = SliceAxis::view(axes, dims(x)).ok_or_else(|| steps.error(node, "it slices beyond its input"))?;
            let record = ViewRecord { start: view.start, strides: view.strides };
            steps.emit(node, sized(VIEWS), all, &[], &record.emit())
        }
        Move::Expand => {
            let (from, own) = (dims(x), row_major_strides(dims(x)));
            let mut strides = [0; MAX_RANK];
            for (stride, (dim, own)) in strides.iter_mut().zip(from.into_iter().zip(own)) {
                *stride = if dim == 1 { 0 } else { own as i32 };
            }
            steps.emit(node, sized(VIEWS), all, &[], &ViewRecord { start: 0, strides }.emit())
        }
        Move::SliceGiven { axes_and_steps: [axes, by] } => {
            let operands = bit(*axes, SliceRecord::AXES) | bit(*by, SliceRecord::STEPS);
            let kernels = [&SLICE_B1, &SLICE_B2, &SLICE_B4, &SLICE_B8];
            steps.emit(node, sized(kernels), all, &[], &SliceRecord { operands }.emit())
        }
        Move::Border { mode, before, value, operands: [pads, given_value, axes] } => {
            let operands = bit(*pads, BorderRecord::PADS)
                | bit(*given_value, BorderRecord::VALUE)
                | bit(*axes, BorderRecord::AXES);
            let mut aligned = [0; MAX_RANK];
            for (slot, before) in aligned[first..].iter_mut().zip(before) {
                *slot = *before;
            }
            let record = BorderRecord { mode: *mode, operands, before: aligned, value: *value };
            steps.emit(node, sized([&BORDER_B1, &BORDER_B2, &BORDER_B4, &BORDER_B8]), all, &[], &record.emit())
        }
        Move::Gather { axis } => {
            let kernels = [&GATHER_B1, &GATHER_B2, &GATHER_B4, &GATHER_B8];
            steps.emit(node, sized(kernels), all, &[], &GatherRecord { axis: *axis as u8 }.emit())
        }
        Move::GatherElements { axis } => {
            let kernels = [&GATHER_ELEMENTS_B1, &GATHER_ELEMENTS_B2, &GATHER_ELEMENTS_B4, &GATHER_ELEMENTS_B8];
            steps.emit(node, sized(kernels), all, &[], &GatherRecord { axis: aligned(*axis) }.emit())
        }
        Move::Trilu { triangle, k } => {
            let record = TriluRecord { triangle: *triangle, k: *k };
            steps.emit(node, sized([&TRILU_B1, &TRILU_B2, &TRILU_B4, &TRILU_B8]), all, &[], &record.emit())
        }
        Move::OneHot { axis } => {
            let kernels = [&ONE_HOT_B1, &ONE_HOT_B2, &ONE_HOT_B4, &ONE_HOT_B8];
            steps.emit(node, sized(kernels), all, &[], &OneHotRecord { axis: *axis as u8 }.emit())
        }
        Move::Resize { axis, taps, sampling } => resize(steps, node, usize::from(aligned(*axis)), taps, *sampling),
        Move::ResizeTable(record) => steps.emit(node, &RESIZE_TABLE, all, &[], &record.emit()),
        Move::ShapeGiven { rule, shape } => {
            let dims: Vec<u32> = shape.iter().map(|&d| d as u32).collect();
            let shape = Shape::new(&dims).map_err(|e| steps.error(node, e.to_string()))?;
            steps.emit(node, &SHAPE_GIVEN, all, &[], &ShapeGivenRecord { rule: *rule, shape }.emit())
        }
    }
}

/// Resizing along the axes from `axis` on, counted in shapes right-aligned to [`MAX_RANK`].
fn resize(
    steps: &mut StepPacker<'_>,
    node: &Node,
    axis: usize,
    taps: &[usize],
    sampling: Sampling,
) -> Result<&'static str, PackError> {
    let element_type = steps.output(node).element_type;
    let (axis, taps) = match *taps {
        [a, b] => (axis, [a, b]),
        [a] if axis + 1 == MAX_RANK => (axis - 1, [0, a]),
        [a] => (axis, [a, 0]),
        _ => return Err(steps.error(node, "it resizes neither one nor two axes")),
    };
    let (beyond, kernel) = match (sampling, element_type) {
        (Sampling::Nearest, _) => {
            let kernels = [&RESIZE_NEAREST_B1, &RESIZE_NEAREST_B2, &RESIZE_NEAREST_B4, &RESIZE_NEAREST_B8];
            (0.0, of_size(kernels, element_type))
        }
        (Sampling::Weighted { beyond, .. }, ElementType::F32) => (beyond, &RESIZE_F32),
        (Sampling::Weighted { beyond, .. }, ElementType::I8) => (beyond, &RESIZE_I8),
        (_, other) => return Err(steps.error(node, format!("there is no kernel for {}", other.name()))),
    };
    let record = ResampleRecord { axis: axis as u8, taps: taps.map(|n| n as u16), beyond };
    if kernel.code != RESIZE_I8.code {
        return steps.emit(node, kernel, &node.inputs, &[], &record.emit());
    }
    let mut tables = Vec::new();
    for (i, n) in taps.into_iter().filter(|n| *n > 0).enumerate() {
        let table = steps.input(node, i + 1);
        let Some(Constant::I32(values)) = &table.constant else {
            return Err(steps.error(node, "its scales are not known, as int8 needs them"));
        };
        let values = fixed_point(values, n);
        tables.push(steps.array(node, ElementType::I32, &values)?);
    }
    steps.emit(node, kernel, &node.inputs[..1], &tables, &record.emit())
}

/// A table with weights in 2^-[`WEIGHT_BITS`] that add up to 1 at every position.
fn fixed_point(table: &[i32], n: usize) -> Vec<i32> {
    let mut fixed = table.to_vec();
    for position in fixed.chunks_exact_mut(2 * n) {
        let weights = &mut position[n..];
        let one = (1 << WEIGHT_BITS) as f32;
        for weight in weights.iter_mut() {
            *weight = (f32::from_bits(*weight as u32) * one).round() as i32;
        }
        // What rounding left over goes where it matters least.
        let missing = (1 << WEIGHT_BITS) - weights.iter().sum::<i32>();
        if let Some(largest) = weights.iter_mut().max_by_key(|w| **w) {
            *largest += missing;
        }
    }
    fixed
}

/// Dimensions right-aligned to [`MAX_RANK`], filled with ones.
pub(super) fn dims(tensor: &Tensor) -> [u32; MAX_RANK] {
    let mut dims = [1; MAX_RANK];
    for (slot, dim) in dims.iter_mut().rev().zip(tensor.shape.iter().rev()) {
        *slot = *dim as u32;
    }
    dims
}

fn bit(given: Given, bit: u8) -> u8 {
    if given == Given::Input { bit } else { 0 }
}

const VIEWS: [&Kernel; 4] = [&VIEW_B1, &VIEW_B2, &VIEW_B4, &VIEW_B8];

#[cfg(test)]
mod tests {
    use super::*;

    #[test]
    fn fixed_point_weights_add_up_to_one() {
        let bits = |w: f32| w.to_bits() as i32;
        let table =
            [0, 1, 2, bits(1.0 / 3.0), bits(1.0 / 3.0), bits(1.0 / 3.0), 4, 4, 4, bits(0.0), bits(1.0), bits(0.0)];
        let fixed = fixed_point(&table, 3);
        for (position, elements) in fixed.chunks_exact(6).zip([[0, 1, 2], [4, 4, 4]]) {
            assert_eq!(position[..3], elements);
            assert_eq!(position[3..].iter().sum::<i32>(), 2048);
            assert!(position[3..].iter().all(|w| *w >= 0));
        }
    }
}
