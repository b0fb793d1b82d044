//! Movement of elements of every size: what it moves, what bind refuses, what ends a run.

use super::case::{Case, Tensor};
use crate::error::BindError;
use crate::kernels::geometry::BorderMode;
use crate::kernels::portable::{CoordinateMode, Interpolation, NearestMode, Outside, Reduction, Triangle};
use crate::operators::Operator;
use crate::operators::sized::border::{BORDER_B1, BORDER_B2, BORDER_B4, BORDER_B8, BorderRecord};
use crate::operators::sized::concat::{CONCAT_B1, CONCAT_B2, CONCAT_B4, CONCAT_B8};
use crate::operators::sized::gather::{
    GATHER_B1, GATHER_B2, GATHER_B4, GATHER_B8, GATHER_ELEMENTS_B1, GATHER_ELEMENTS_B2, GATHER_ELEMENTS_B4,
    GATHER_ELEMENTS_B8, GatherRecord,
};
use crate::operators::sized::one_hot::{ONE_HOT_B1, ONE_HOT_B2, ONE_HOT_B4, ONE_HOT_B8, OneHotRecord};
use crate::operators::sized::resample::{
    RESIZE_F32, RESIZE_I8, RESIZE_NEAREST_B1, RESIZE_NEAREST_B2, RESIZE_NEAREST_B4, RESIZE_NEAREST_B8, ResampleRecord,
};
use crate::operators::sized::resize_table::{Given, RESIZE_TABLE, ResizeTableRecord};
use crate::operators::sized::shape_given::{SHAPE_GIVEN, ShapeGivenRecord, ShapeRule};
use crate::operators::sized::slice::{SLICE_B1, SLICE_B2, SLICE_B4, SLICE_B8, SliceRecord};
use crate::operators::sized::trilu::{TRILU_B1, TRILU_B2, TRILU_B4, TRILU_B8, TriluRecord};
use crate::operators::sized::view::{VIEW_B1, VIEW_B2, VIEW_B4, VIEW_B8, ViewRecord};
use crate::tensor::{ElementType, Shape};
use std::vec::Vec;

/// A tensor of these integers in any type.
fn tensor(element_type: ElementType, shape: &[u32], values: &[i64]) -> Tensor {
    let bytes: Vec<u8> = match element_type {
        ElementType::F32 => values.iter().flat_map(|v| (*v as f32).to_le_bytes()).collect(),
        _ => values.iter().flat_map(|v| v.to_le_bytes()[..element_type.size_bytes()].to_vec()).collect(),
    };
    Tensor::new(element_type, shape, &bytes)
}

fn i64s(values: &[i64]) -> Tensor {
    tensor(ElementType::I64, &[values.len() as u32], values)
}

/// 0, 1, 2, ..
fn counted(element_type: ElementType, shape: &[u32]) -> Tensor {
    let n = shape.iter().product::<u32>();
    tensor(element_type, shape, &(0..i64::from(n)).collect::<Vec<_>>())
}

const TYPES: [ElementType; 7] = ElementType::ALL;

/// What a step of one operator and any type moves.
struct Moved<'a> {
    operators: [&'static Operator; 4],
    input: &'a [u32],
    others: &'a [Tensor],
    output: &'a [u32],
    parameters: &'a [u8],
    /// Elements of the input, -1 for 0; `None` when the run ends.
    expected: Option<&'a [i64]>,
}

/// Runs the step in every type.
fn check(moved: &Moved<'_>) {
    for element_type in TYPES {
        let operator = crate::operators::sized::of_size(moved.operators, element_type);
        let x = counted(element_type, moved.input);
        let n = moved.output.iter().product::<u32>() as usize;
        let mut inputs = std::vec![x];
        inputs.extend(moved.others.iter().cloned());
        let y = tensor(element_type, moved.output, &std::vec![0; n]);
        let found = Case::new(operator, &inputs, y, moved.parameters).attempt();
        let found = found.unwrap_or_else(|e| panic!("{}: {e}", operator.name));
        let expected = moved.expected.map(|values| {
            let values: Vec<i64> = values.iter().map(|v| (*v).max(0)).collect();
            tensor(element_type, moved.output, &values).bytes
        });
        assert_eq!(found, expected, "{} {element_type:?}", operator.name);
    }
}

/// The rule that bind names for a step.
fn refused(case: &Case) -> &'static str {
    match case.run() {
        Err(BindError::Step { rule, .. }) => rule,
        other => panic!("{}: {other:?}", case.operator.name),
    }
}

const VIEWS: [&Operator; 4] = [&VIEW_B1, &VIEW_B2, &VIEW_B4, &VIEW_B8];
const SLICES: [&Operator; 4] = [&SLICE_B1, &SLICE_B2, &SLICE_B4, &SLICE_B8];
const BORDERS: [&Operator; 4] = [&BORDER_B1, &BORDER_B2, &BORDER_B4, &BORDER_B8];
const GATHERS: [&Operator; 4] = [&GATHER_B1, &GATHER_B2, &GATHER_B4, &GATHER_B8];
const GATHERS_OF_ELEMENTS: [&Operator; 4] =
    [&GATHER_ELEMENTS_B1, &GATHER_ELEMENTS_B2, &GATHER_ELEMENTS_B4, &GATHER_ELEMENTS_B8];

#[test]
fn views_reverse_transpose_and_repeat() {
    for (input, output, start, strides, expected) in [
        (&[2, 3][..], &[2, 3][..], 5, [0, 0, 0, -3, -1], &[5, 4, 3, 2, 1, 0][..]),
        (&[2, 3], &[3, 2], 0, [0, 0, 0, 1, 3], &[0, 3, 1, 4, 2, 5]),
        (&[3, 1], &[2, 3, 2], 0, [0, 0, 0, 1, 0], &[0, 0, 1, 1, 2, 2, 0, 0, 1, 1, 2, 2]),
        (&[2, 2, 3], &[2, 1, 2], 2, [0, 0, 6, 3, -2], &[2, 0, 8, 6]),
    ] {
        let parameters = &ViewRecord { start, strides }.emit();
        check(&Moved { operators: VIEWS, input, others: &[], output, parameters, expected: Some(expected) });
    }
    let x = counted(ElementType::U8, &[2, 3]);
    let record = ViewRecord { start: 1, strides: [0, 0, 0, 3, 1] };
    let case = Case::new(&VIEW_B1, core::slice::from_ref(&x), x.clone(), &record.emit());
    assert_eq!(refused(&case), "its view does not fit its shapes");
    let y = counted(ElementType::Bool, &[2, 2]);
    let case = Case::new(&VIEW_B1, core::slice::from_ref(&x), y, &record.emit());
    assert_eq!(refused(&case), "its input and output differ in element type");
    let case = Case::new(&VIEW_B4, core::slice::from_ref(&x), x.clone(), &record.emit());
    assert_eq!(refused(&case), "an input has the wrong element type");
    let mut y = counted(ElementType::U8, &[2, 2]);
    y.quantization.zero_point = 3;
    assert_eq!(refused(&Case::new(&VIEW_B1, &[x], y, &record.emit())), "its input and output differ in quantization");
}

#[test]
fn slices_take_their_bounds_at_run_time() {
    let with = |operands| SliceRecord { operands }.emit();
    for (output, others, operands, expected) in [
        (&[1, 3][..], &[i64s(&[1]), i64s(&[9])][..], 0, Some(&[3, 4, 5][..])),
        (&[2, 2], &[i64s(&[-1]), i64s(&[-9]), i64s(&[-1]), i64s(&[-2])], 3, Some(&[2, 0, 5, 3])),
        (&[2, 1], &[i64s(&[0]), i64s(&[3]), i64s(&[1]), i64s(&[5])], 3, Some(&[0, 3])),
        (&[1, 2], &[i64s(&[1, 0]), i64s(&[2, 3]), i64s(&[1, 2])], 2, Some(&[3, 5])),
        // Another shape, a step of 0, an axis that does not exist, nothing at all.
        (&[2, 3], &[i64s(&[1]), i64s(&[9])], 0, None),
        (&[2, 3], &[i64s(&[0]), i64s(&[3]), i64s(&[1]), i64s(&[0])], 3, None),
        (&[2, 3], &[i64s(&[0]), i64s(&[3]), i64s(&[2])], 1, None),
        (&[2, 3], &[i64s(&[2]), i64s(&[3])], 0, None),
    ] {
        let parameters = &with(operands);
        check(&Moved { operators: SLICES, input: &[2, 3], others, output, parameters, expected });
    }
    let x = counted(ElementType::I32, &[2, 3]);
    let of = |bounds: Tensor, operands| {
        Case::new(&SLICE_B4, &[x.clone(), bounds.clone(), bounds], x.clone(), &with(operands))
    };
    assert_eq!(refused(&of(i64s(&[0]), 4)), "unknown operands");
    assert_eq!(refused(&of(i64s(&[0]), 1)), "an input is missing");
    assert_eq!(refused(&of(i64s(&[0; 11]), 0)), "an operand has too many numbers");
    assert_eq!(refused(&of(Tensor::f32(&[1], &[0.0]), 0)), "an operand that must be integers is not");
}

#[test]
fn tensors_are_padded_cropped_and_repeated() {
    use BorderMode::{Constant, Edge, Reflect, Wrap};
    for (mode, output, before, expected) in [
        (Constant, &[3, 4][..], [0, 0, 0, 1, 0], &[-1, -1, -1, -1, 0, 1, 2, -1, 3, 4, 5, -1][..]),
        (Constant, &[1, 3], [0, 0, 0, -1, 1], &[-1, 3, 4]),
        (Edge, &[2, 6], [0, 0, 0, 0, 2], &[0, 0, 0, 1, 2, 2, 3, 3, 3, 4, 5, 5]),
        (Reflect, &[3, 4], [0, 0, 0, 1, 1], &[4, 3, 4, 5, 1, 0, 1, 2, 4, 3, 4, 5]),
        (Wrap, &[3, 4], [0, 0, 0, 0, 0], &[0, 1, 2, 0, 3, 4, 5, 3, 0, 1, 2, 0]),
    ] {
        let parameters = &BorderRecord { mode, operands: 0, before, value: [0; 8] }.emit();
        check(&Moved { operators: BORDERS, input: &[2, 3], others: &[], output, parameters, expected: Some(expected) });
        // The same numbers as operands, for the last axis first.
        let [.., rows, columns] = before;
        let (after_rows, after_columns) = (output[0] as i32 - 2 - rows, output[1] as i32 - 3 - columns);
        let pads = [columns, rows, after_columns, after_rows].map(i64::from);
        let others = &[i64s(&pads), i64s(&[-1, 0])];
        let record = BorderRecord { mode, operands: 5, before: [9; 5], value: [0; 8] };
        let moved = Moved {
            operators: BORDERS,
            input: &[2, 3],
            others,
            output,
            parameters: &record.emit(),
            expected: Some(expected),
        };
        check(&moved);
        let others = &[i64s(&[pads[0], pads[1], pads[2] + 1, pads[3]]), i64s(&[-1, 0])];
        check(&Moved { others, expected: None, ..moved });
    }
    let x = counted(ElementType::I64, &[2]);
    let y = counted(ElementType::I64, &[4]);
    let record = BorderRecord { mode: Constant, operands: 0, before: [0, 0, 0, 0, 1], value: (-7i64).to_le_bytes() };
    let case = Case::new(&BORDER_B8, core::slice::from_ref(&x), y.clone(), &record.emit());
    assert_eq!(case.run().unwrap(), i64s(&[-7, 0, 1, -7]).bytes);
    let record = BorderRecord { operands: BorderRecord::VALUE, ..record };
    let case = Case::new(&BORDER_B8, &[x.clone(), i64s(&[5])], y.clone(), &record.emit());
    assert_eq!(case.run().unwrap(), i64s(&[5, 0, 1, 5]).bytes);
    let case = Case::new(&BORDER_B8, &[x.clone(), i64s(&[5, 5])], y.clone(), &record.emit());
    assert_eq!(refused(&case), "its value is not one element of its input's type");
    for (mode, before, operands, rule) in [
        (Edge, -1, 0, "its padding does not fit its shapes"),
        (Wrap, 3, 0, "its padding does not fit its shapes"),
        (Constant, i32::MIN, 0, "its padding does not fit its shapes"),
        (Constant, 0, 4, "unknown mode or operands"),
        (Constant, 0, 1, "an input is missing"),
    ] {
        let record = BorderRecord { mode, operands, before: [0, 0, 0, 0, before], value: [0; 8] };
        let case = Case::new(&BORDER_B8, core::slice::from_ref(&x), y.clone(), &record.emit());
        assert_eq!(refused(&case), rule, "{mode:?} {before}");
    }
}

#[test]
fn indices_gather_slices_and_elements() {
    let others = |indices: &[i64]| [i64s(indices)];
    let axis = |axis| GatherRecord { axis }.emit();
    let gather = |at, output: &[u32], indices: &[i64], expected: Option<&[i64]>| {
        let (others, parameters) = (&others(indices), &axis(at));
        check(&Moved { operators: GATHERS, input: &[2, 3], others, output, parameters, expected });
    };
    gather(0, &[3, 3], &[1, -2, 1], Some(&[3, 4, 5, 0, 1, 2, 3, 4, 5]));
    gather(1, &[2, 2], &[-1, 0], Some(&[2, 0, 5, 3]));
    gather(1, &[2, 2], &[3, 0], None);
    gather(1, &[2, 2], &[0, -4], None);
    let elements = |at, output: &[u32], indices: &[i64], expected: Option<&[i64]>| {
        let others = &[tensor(ElementType::I64, output, indices)];
        let parameters = &axis(at);
        check(&Moved { operators: GATHERS_OF_ELEMENTS, input: &[2, 3], others, output, parameters, expected });
    };
    elements(3, &[1, 3], &[1, 0, -1], Some(&[3, 1, 5]));
    elements(4, &[2, 2], &[1, 0, -1, -3], Some(&[1, 0, 5, 3]));
    elements(4, &[2, 2], &[1, 0, -1, 3], None);

    let (x, y) = (counted(ElementType::I8, &[2, 3]), counted(ElementType::I8, &[2, 2]));
    let indices = |n| tensor(ElementType::I32, &[n], &std::vec![0; n as usize]);
    let case = |operator, indices, at| Case::new(operator, &[x.clone(), indices, x.clone()], y.clone(), &axis(at));
    assert_eq!(case(&GATHER_B1, indices(2), 1).run().unwrap(), [0, 0, 3, 3]);
    let rule = "its indices do not fit its shapes";
    assert_eq!(refused(&case(&GATHER_B1, indices(2), 0)), rule);
    assert_eq!(refused(&case(&GATHER_B1, indices(2), 2)), rule);
    assert_eq!(refused(&case(&GATHER_B1, x.clone(), 1)), "an operand that must be integers is not");
    assert_eq!(refused(&case(&GATHER_ELEMENTS_B1, indices(2), 4)), rule);
    let wide = tensor(ElementType::I32, &[2, 2], &[0; 4]);
    assert_eq!(refused(&case(&GATHER_ELEMENTS_B1, wide, 5)), rule);
}

#[test]
fn concatenation_takes_every_size() {
    use crate::operators::movement::ConcatRecord;
    let operators = [&CONCAT_B1, &CONCAT_B2, &CONCAT_B4, &CONCAT_B8];
    for element_type in TYPES {
        let operator = crate::operators::sized::of_size(operators, element_type);
        let inputs = [tensor(element_type, &[2, 1], &[8, 9]), counted(element_type, &[2, 2])];
        let y = tensor(element_type, &[2, 3], &[8, 0, 1, 9, 2, 3]);
        let case = Case::new(operator, &inputs, y.clone(), &ConcatRecord { axis: 4 }.emit());
        assert_eq!(case.run().unwrap(), y.bytes);
        let other = if element_type == ElementType::I8 { ElementType::U8 } else { ElementType::I8 };
        let mut broken = case.clone();
        broken.inputs[1].element_type = other;
        assert_eq!(refused(&broken), "an input has the wrong element type");
    }
}

#[test]
fn triangles_are_kept() {
    let operators = [&TRILU_B1, &TRILU_B2, &TRILU_B4, &TRILU_B8];
    for (triangle, k, expected) in [
        (Triangle::Lower, 0, &[0, -1, -1, 3, 4, -1, 6, -1, -1, 9, 10, -1][..]),
        (Triangle::Upper, 1, &[-1, 1, 2, -1, -1, 5, -1, 7, 8, -1, -1, 11]),
        (Triangle::Upper, -9, &[0, 1, 2, 3, 4, 5, 6, 7, 8, 9, 10, 11]),
        (Triangle::Lower, -9, &[-1; 12]),
    ] {
        let shape = &[2, 2, 3][..];
        let (input, output, expected) = (shape, shape, Some(expected));
        let parameters = &TriluRecord { triangle, k }.emit();
        check(&Moved { operators, input, others: &[], output, parameters, expected });
        let parameters = &TriluRecord { triangle, k: 77 }.emit();
        let others = &[tensor(ElementType::I64, &[], &[k.into()])];
        check(&Moved { operators, input, others, output, parameters, expected });
    }
    let x = Tensor::i8(&[2, 2], 3, &[0; 4]);
    let record = TriluRecord { triangle: Triangle::Lower, k: 0 };
    let case = Case::new(&TRILU_B1, core::slice::from_ref(&x), x.clone(), &record.emit());
    assert_eq!(refused(&case), "its zeros would not be 0");
}

#[test]
fn one_hot_vectors_have_one_on_or_none() {
    let operators = [&ONE_HOT_B1, &ONE_HOT_B2, &ONE_HOT_B4, &ONE_HOT_B8];
    for index_type in [ElementType::F32, ElementType::I8, ElementType::I32, ElementType::I64] {
        for (axis, output, expected) in [(1, &[3, 2][..], &[0, 1, 1, 0, 0, 0][..]), (0, &[2, 3], &[0, 1, 0, 1, 0, 0])] {
            for element_type in TYPES {
                let operator = crate::operators::sized::of_size(operators, element_type);
                let values = tensor(element_type, &[2], &[0, 1]);
                let indices = tensor(index_type, &[3], &[1, -2, 2]);
                let y = tensor(element_type, output, expected);
                let case = Case::new(operator, &[values, indices], y.clone(), &OneHotRecord { axis }.emit());
                assert_eq!(case.run().unwrap(), y.bytes, "{index_type:?} {element_type:?} {axis}");
            }
        }
    }
    let (values, indices) = (counted(ElementType::U8, &[2]), i64s(&[0, 1, 2]));
    let y = counted(ElementType::U8, &[3, 2]);
    let case =
        |values, indices, axis| Case::new(&ONE_HOT_B1, &[values, indices], y.clone(), &OneHotRecord { axis }.emit());
    assert_eq!(refused(&case(y.clone(), indices.clone(), 1)), "its values are not two");
    assert_eq!(refused(&case(values.clone(), indices.clone(), 0)), "its indices do not fit its shapes");
    assert_eq!(refused(&case(values.clone(), indices, 2)), "its axis does not fit its output");
    let bools = counted(ElementType::Bool, &[3]);
    assert_eq!(refused(&case(values, bools, 1)), "an input has the wrong element type");
}

const LINEAR: ResizeTableRecord = ResizeTableRecord {
    coordinates: CoordinateMode::HalfPixel,
    interpolation: Interpolation::Linear,
    outside: Outside::Edge,
    reduction: Reduction::Plain,
    given: Given::Scales,
    position: 1,
    n_axes: 2,
    regions: 0,
    lengths: [1, 2, 0, 0, 0],
};

/// A table of 4 positions with 2 taps.
fn table(record: &ResizeTableRecord, inputs: &[Tensor]) -> Case {
    let y = Tensor::new(ElementType::I32, &[4, 4], &[0; 64]);
    Case::new(&RESIZE_TABLE, inputs, y, &record.emit())
}

#[test]
fn tables_follow_from_what_is_given_at_run_time() {
    let scales = |s: f32| [Tensor::f32(&[2], &[1.0, s])];
    let quarter = |w: f32| w.to_bits() as i32;
    let expected = [
        [0, 0, quarter(0.25), quarter(0.75)],
        [0, 1, quarter(0.75), quarter(0.25)],
        [0, 1, quarter(0.25), quarter(0.75)],
        [1, 1, quarter(0.75), quarter(0.25)],
    ];
    let expected: &[u8] = bytemuck::cast_slice(&expected);
    assert_eq!(table(&LINEAR, &scales(2.0)).run().unwrap(), expected);
    for wrong in [1.0, 2.5, -2.0, f32::NAN, f32::INFINITY] {
        assert_eq!(table(&LINEAR, &scales(wrong)).attempt().unwrap(), None, "{wrong}");
    }
    for (given, sizes, fits) in [
        (Given::Sizes, [1, 4], true),
        (Given::Sizes, [1, 5], false),
        (Given::NotLarger, [2, 7], true),
        (Given::NotLarger, [1, 7], false),
        (Given::NotSmaller, [2, 3], true),
        (Given::NotSmaller, [3, 3], false),
    ] {
        let found = table(&ResizeTableRecord { given, ..LINEAR }, &[i64s(&sizes)]).attempt().unwrap();
        assert_eq!(found.as_deref(), fits.then_some(expected), "{given:?} {sizes:?}");
    }
    let regions = ResizeTableRecord { coordinates: CoordinateMode::CropAndResize, regions: 1, ..LINEAR };
    let [scales_of_2] = scales(2.0);
    let operands = [scales_of_2, Tensor::f32(&[4], &[0.0, 0.0, 1.0, 3.0])];
    let found = table(&regions, &operands).run().unwrap();
    assert_eq!(&found[16..], bytemuck::cast_slice::<i32, u8>(&[0, 1, 0, quarter(1.0), -1, 0, 0, 0, -1, 0, 0, 0]));
    assert_eq!(refused(&table(&regions, &operands[..1])), "an input is missing");
    assert_eq!(refused(&table(&LINEAR, &[Tensor::f32(&[1], &[2.0])])), "its operands do not fit its axes");
    let rule = "unknown mode, or an axis that does not exist";
    assert_eq!(refused(&table(&ResizeTableRecord { position: 2, ..LINEAR }, &operands)), rule);
}

#[test]
fn tables_resize_two_axes() {
    let operators = [&RESIZE_NEAREST_B1, &RESIZE_NEAREST_B2, &RESIZE_NEAREST_B4, &RESIZE_NEAREST_B8];
    let (floor, one) = (Interpolation::Nearest(NearestMode::Floor), 1.0f32.to_bits() as i32);
    assert_eq!(ResizeTableRecord { interpolation: floor, ..LINEAR }.emit()[1], 2);
    let double = tensor(ElementType::I32, &[4, 2], &[0, one, 0, one, 1, one, 1, one].map(i64::from));
    let record = ResampleRecord { axis: 3, taps: [1, 1], beyond: 0.0 };
    check(&Moved {
        operators,
        input: &[1, 2, 2],
        others: &[double.clone(), double.clone()],
        output: &[1, 4, 4],
        parameters: &record.emit(),
        expected: Some(&[0, 0, 1, 1, 0, 0, 1, 1, 2, 2, 3, 3, 2, 2, 3, 3]),
    });
    let beyond = tensor(ElementType::I32, &[1, 2], &[2, 0]);
    check(&Moved {
        operators,
        input: &[2, 2, 2],
        others: &[beyond],
        output: &[1, 2, 2],
        parameters: &ResampleRecord { axis: 2, taps: [1, 0], beyond: 0.0 }.emit(),
        expected: None,
    });
    let half = 0.5f32.to_bits() as i32;
    let mean = tensor(ElementType::I32, &[1, 4], &[0, 1, half, half].map(i64::from));
    let x = Tensor::f32(&[2, 2, 2], &[0.0, 1.0, 2.0, 3.0, 4.0, 5.0, 6.0, 7.0]);
    let y = Tensor::f32(&[1, 1, 2], &[3.0, 4.0]);
    let record = ResampleRecord { axis: 2, taps: [2, 2], beyond: 9.0 };
    let case = Case::new(&RESIZE_F32, &[x.clone(), mean.clone(), mean], y.clone(), &record.emit());
    assert_eq!(case.run().unwrap(), y.bytes);
    let mean = tensor(ElementType::I32, &[1, 4], &[0, 1, 1024, 1024]);
    let (x, y) = (Tensor::i8(&[2, 2], -5, &[-128, -127, 3, 5]), Tensor::i8(&[1, 1], -5, &[-62]));
    let record = ResampleRecord { axis: 3, taps: [2, 2], beyond: 0.0 };
    let case = Case::new(&RESIZE_I8, &[x, mean.clone(), mean], y.clone(), &record.emit());
    assert_eq!(case.run().unwrap(), y.bytes);
    for (expected, break_one) in [
        ("its axes do not fit its shapes", (|c| c.parameters[0] = 4) as fn(&mut Case)),
        ("its axes do not fit its shapes", |c| c.parameters[4] = 0),
        ("its tables do not fit its shapes", |c| c.parameters[4] = 1),
        ("an input is missing", |c| c.inputs.truncate(2)),
        ("its input and output differ in quantization", |c| c.output.quantization.zero_point = 0),
    ] {
        let mut broken = case.clone();
        break_one(&mut broken);
        assert_eq!(refused(&broken), expected);
    }
}

#[test]
fn shapes_given_at_run_time_are_checked() {
    let record = ShapeGivenRecord { rule: ShapeRule::Reshape, shape: Shape::new(&[2, 3]).unwrap() };
    let x = counted(ElementType::I64, &[3, 2]);
    let case = |numbers: &[i64]| Case::new(&SHAPE_GIVEN, &[x.clone(), i64s(numbers)], x.clone(), &record.emit());
    for in_place in [None, Some(0)] {
        let given = Case { in_place, ..case(&[2, -1]) };
        assert_eq!(given.run().unwrap(), x.bytes, "{in_place:?}");
    }
    let mut constant = case(&[2, 3]);
    constant.inputs[0].is_constant = true;
    assert_eq!(constant.run().unwrap(), x.bytes);
    assert_eq!(case(&[3, 2]).attempt().unwrap(), None);
    for (expected, break_one) in [
        ("an operand has too many numbers", (|c| c.inputs[1] = i64s(&[1; 11])) as fn(&mut Case)),
        ("unknown rule, or no shape", |c| c.parameters[0] = 5),
        ("unknown rule, or no shape", |c| c.parameters[1] = 6),
        ("its shapes differ in length", |c| c.parameters[4] = 3),
        ("its input and output differ in type or length", |c| c.output = counted(ElementType::I64, &[7])),
        ("its input and output differ in type or length", |c| c.output.element_type = ElementType::I32),
    ] {
        let mut broken = case(&[2, 3]);
        break_one(&mut broken);
        assert_eq!(refused(&broken), expected);
    }
}
