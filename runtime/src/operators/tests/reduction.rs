//! Reductions, choices and normalizations: golden values, and what bind must refuse.

use super::case::{Case, Tensor};
use super::golden::{Golden, compare, files};
use super::refusals::{check, put};
use crate::kernels::portable::{BoxFormat, LpNorm, Order, Reading, ReduceFunction, Start, Statistic, Tie};
use crate::operators::reduction::cumulative_sum::{CUMULATIVE_SUM_F32, CumulativeSumRecord};
use crate::operators::reduction::non_max_suppression::{NON_MAX_SUPPRESSION_F32, NonMaxSuppressionRecord, SpareRows};
use crate::operators::reduction::normalization::{
    LP_NORMALIZATION_F32, LpNormalizationRecord, NORMALIZATION_F32, NormalizationRecord, NormalizationResult,
};
use crate::operators::reduction::reduce::{REDUCE_F32, REDUCE_I32, REDUCE_U8, ReduceAxes, ReduceRecord};
use crate::operators::reduction::selection::{
    ARG_EXTREME_F32, ArgExtremeRecord, HARDMAX_F32, HardmaxRecord, TOP_K_I32, TopKRecord, TopKResult,
};
use crate::operators::{ALL, Operator};
use crate::tensor::ElementType;
use std::collections::BTreeSet;
use std::string::ToString;
use std::vec::Vec;

/// The step that a file describes: its operands, its parameters byte by byte.
fn case(operator: &'static Operator, golden: &Golden) -> Case {
    let names = ["i0", "i1", "i2", "i3", "i4"].into_iter().filter(|name| golden.contains(name));
    let inputs: Vec<Tensor> = names.map(|name| golden.tensor(name, 0)).collect();
    let mut parameters = golden.numbers("parameters", |v| v as u8);
    if golden.contains("epsilon") {
        parameters.extend(golden.numbers("epsilon", |v| v as f32)[0].to_le_bytes());
        parameters.extend(golden.numbers("rows", |v| v as u32).iter().flat_map(|n| n.to_le_bytes()));
    }
    Case::new(operator, &inputs, golden.tensor("y", 0), &parameters)
}

#[test]
fn operators_agree_with_onnxruntime() {
    let mut seen = BTreeSet::new();
    for path in files("reduction") {
        let name = path.file_name().unwrap().to_string_lossy().to_string();
        let own = name.split('.').next().unwrap();
        let operator = ALL.iter().find(|o| o.name == own).unwrap_or_else(|| panic!("no operator for {name}"));
        let mut case = case(operator, &Golden::read(&path));
        compare(&name, &case.output, &case.run().unwrap_or_else(|e| panic!("{name}: {e}")));
        // And with the other operands in flash.
        for second in case.inputs.iter_mut().skip(1) {
            second.is_constant = true;
        }
        compare(&name, &case.output, &case.run().unwrap());
        seen.insert(operator.code);
    }
    let missing: Vec<&str> =
        ALL.iter().filter(|o| (0x0500..0x0600).contains(&o.code) && !seen.contains(&o.code)).map(|o| o.name).collect();
    assert!(missing.is_empty(), "no golden values for {missing:?}");
}

const SHAPES: &str = "its input and output do not fit together";
const AXIS: &str = "its axis is not one of its input";

#[test]
fn reductions_refuse_what_their_kernels_cannot_bear() {
    let x = Tensor::f32(&[2, 3], &[1.0; 6]);
    let record = ReduceRecord { function: ReduceFunction::Sum, keeps_dims: false, axes: ReduceAxes::Fixed(1 << 4) };
    check(
        &Case::new(&REDUCE_F32, core::slice::from_ref(&x), Tensor::f32(&[2], &[0.0; 2]), &record.emit()),
        &[
            ("unknown function", |c| put(c, 0, &[10])),
            ("unknown function", |c| c.parameters.truncate(0)),
            (SHAPES, |c| put(c, 1, &[1])),
            (SHAPES, |c| put(c, 2, &[1 << 3])),
            (SHAPES, |c| put(c, 2, &[1 << 4 | 1 << 6])),
            ("an input is missing", |c| put(c, 1, &[2])),
            ("an output has the wrong element type", |c| c.output.element_type = ElementType::I32),
            ("its input and output differ in quantization", |c| c.output.quantization.zero_point = 1),
        ],
    );
    let record = ReduceRecord { axes: ReduceAxes::Given, ..record };
    let axes = Tensor::plain(ElementType::I64, &[1], &[-1i64]);
    check(
        &Case::new(&REDUCE_F32, &[x.clone(), axes], Tensor::f32(&[2], &[0.0; 2]), &record.emit()),
        &[
            ("an input has the wrong element type", |c| c.inputs[1].element_type = ElementType::F32),
            ("there are more axes than an image has", |c| {
                c.inputs[1] = Tensor::plain(ElementType::I64, &[6], &[0i64; 6]);
            }),
        ],
    );
    let bytes = Tensor::plain(ElementType::U8, &[2, 3], &[7u8; 6]);
    let record = ReduceRecord { function: ReduceFunction::Max, keeps_dims: false, axes: ReduceAxes::Fixed(1 << 4) };
    check(
        &Case::new(&REDUCE_U8, &[bytes], Tensor::plain(ElementType::U8, &[2], &[0u8; 2]), &record.emit()),
        &[("its element type does not have its function", |c| put(c, 0, &[1]))],
    );
    let ints = Tensor::plain(ElementType::I32, &[2, 3], &[7i32; 6]);
    check(
        &Case::new(
            &REDUCE_I32,
            core::slice::from_ref(&ints),
            Tensor::plain(ElementType::I32, &[2], &[0i32; 2]),
            &record.emit(),
        ),
        &[("its element type does not have its function", |c| put(c, 0, &[6]))],
    );
    let record = TopKRecord { axis: 4, order: Order::Ascending, result: TopKResult::Values };
    check(
        &Case::new(
            &TOP_K_I32,
            core::slice::from_ref(&ints),
            Tensor::plain(ElementType::I32, &[2, 2], &[0i32; 4]),
            &record.emit(),
        ),
        &[
            ("unknown order", |c| put(c, 1, &[2])),
            ("unknown result", |c| put(c, 2, &[2])),
            ("an output has the wrong element type", |c| put(c, 2, &[1])),
            (SHAPES, |c| put(c, 0, &[3])),
            (SHAPES, |c| put(c, 0, &[5])),
            ("its input and output differ in quantization", |c| c.output.quantization.zero_point = 1),
        ],
    );
    let record = ArgExtremeRecord { axis: 4, order: Order::Descending, tie: Tie::First };
    let indices = Tensor::plain(ElementType::I64, &[2], &[0i64; 2]);
    check(
        &Case::new(&ARG_EXTREME_F32, core::slice::from_ref(&x), indices, &record.emit()),
        &[("unknown order", |c| put(c, 2, &[2])), (AXIS, |c| put(c, 0, &[5])), (SHAPES, |c| put(c, 0, &[3]))],
    );
    check(
        &Case::new(&HARDMAX_F32, core::slice::from_ref(&x), x.clone(), &HardmaxRecord { axis: 4 }.emit()),
        &[(AXIS, |c| put(c, 0, &[5])), (SHAPES, |c| c.output.shape = Vec::from([3, 2]))],
    );
    let record = CumulativeSumRecord { axis: Some(4), reading: Reading::Inclusive, start: Start::Back };
    check(
        &Case::new(&CUMULATIVE_SUM_F32, core::slice::from_ref(&x), x.clone(), &record.emit()),
        &[
            (AXIS, |c| put(c, 0, &[5])),
            ("an input is missing", |c| put(c, 0, &[255])),
            ("unknown direction", |c| put(c, 2, &[2])),
            (SHAPES, |c| c.output.shape = Vec::from([3, 2])),
        ],
    );
    let record = CumulativeSumRecord { axis: None, ..record };
    check(
        &Case::new(&CUMULATIVE_SUM_F32, &[x.clone(), Tensor::i32(&[1])], x, &record.emit()),
        &[("its axis is not one integer", |c| c.inputs[1].element_type = ElementType::F32)],
    );
}

#[test]
fn normalizations_and_boxes_refuse_what_their_kernels_cannot_bear() {
    let x = Tensor::f32(&[2, 6], &[1.0; 12]);
    let record = NormalizationRecord {
        result: NormalizationResult::Normalized,
        statistic: Statistic::Variance,
        epsilon: 1e-5,
        n: 6,
        groups: 1,
        repeat: 2,
    };
    let factors = "its factors do not fit its rows";
    let scale = Tensor::f32(&[3], &[2.0; 3]);
    check(
        &Case::new(&NORMALIZATION_F32, &[x.clone(), scale.clone(), scale], x.clone(), &record.emit()),
        &[
            ("unknown result", |c| put(c, 0, &[3])),
            ("unknown result", |c| put(c, 1, &[2])),
            ("its epsilon is not finite", |c| put(c, 4, &f32::INFINITY.to_le_bytes())),
            (factors, |c| put(c, 8, &[0])),
            (factors, |c| put(c, 16, &[0])),
            (factors, |c| put(c, 16, &[4])),
            (factors, |c| put(c, 12, &[2])),
            (factors, |c| c.inputs[2].shape = Vec::from([2])),
            (SHAPES, |c| c.output.shape = Vec::from([2, 5])),
            (SHAPES, |c| put(c, 0, &[1])),
        ],
    );
    let record = LpNormalizationRecord { axis: 4, norm: LpNorm::L2 };
    check(
        &Case::new(&LP_NORMALIZATION_F32, core::slice::from_ref(&x), x.clone(), &record.emit()),
        &[
            ("unknown norm", |c| put(c, 1, &[0])),
            (AXIS, |c| put(c, 0, &[5])),
            (SHAPES, |c| c.output.shape = Vec::from([3, 4])),
        ],
    );
    let case = boxes(SpareRows::Filled);
    check(
        &case,
        &[
            ("unknown format of boxes", |c| put(c, 0, &[2])),
            ("unknown format of boxes", |c| put(c, 1, &[2])),
            ("its boxes and scores do not fit together", |c| c.inputs[1].shape = Vec::from([1, 2])),
            ("its boxes and scores do not fit together", |c| c.inputs[0].shape = Vec::from([1, 1, 8])),
            ("a limit is not one number", |c| c.inputs[3].shape = Vec::from([2])),
            ("an input has the wrong element type", |c| c.inputs[2].element_type = ElementType::F32),
            (SHAPES, |c| c.output.shape = Vec::from([9])),
        ],
    );
    let rows: Vec<i64> = case.run().unwrap().as_chunks().0.iter().map(|b| i64::from_le_bytes(*b)).collect();
    assert_eq!(rows, [0, 0, 1, -1, -1, -1, -1, -1, -1], "spare rows");
}

/// Two boxes of which one is chosen, in three rows.
fn boxes(spare_rows: SpareRows) -> Case {
    let inputs = [
        Tensor::f32(&[1, 2, 4], &[0.0, 0.0, 1.0, 1.0, 0.0, 0.0, 1.0, 0.9]),
        Tensor::f32(&[1, 1, 2], &[0.5, 0.75]),
        Tensor::plain(ElementType::I64, &[1], &[3i64]),
        Tensor::f32(&[1], &[0.5]),
        Tensor::f32(&[1], &[0.0]),
    ];
    let record = NonMaxSuppressionRecord { format: BoxFormat::Corners, spare_rows };
    let output = Tensor::plain(ElementType::I64, &[3, 3], &[0i64; 9]);
    Case::new(&NON_MAX_SUPPRESSION_F32, &inputs, output, &record.emit())
}

#[test]
#[should_panic(expected = "what binds also runs")]
fn spare_rows_that_are_not_wanted_end_the_run() {
    let _ = boxes(SpareRows::Refused).run();
}

#[test]
#[should_panic(expected = "what binds also runs")]
fn axes_that_lead_to_another_shape_end_the_run() {
    let record = ReduceRecord { function: ReduceFunction::Sum, keeps_dims: false, axes: ReduceAxes::Given };
    let axes = Tensor::plain(ElementType::I64, &[1], &[0i64]);
    let inputs = [Tensor::f32(&[2, 3], &[1.0; 6]), axes];
    let _ = Case::new(&REDUCE_F32, &inputs, Tensor::f32(&[2], &[0.0; 2]), &record.emit()).run();
}
