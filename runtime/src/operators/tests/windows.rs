//! Operators over windows in both layouts: golden values of `tests/operators/windows.py`, and what bind must refuse.

use super::case::{Case, Tensor};
use super::golden::{FULL, Golden, UNLIMITED, compare, files};
use super::refusals::{Break, channels, check, put, resize};
use crate::kernels::portable::{CountedTaps, IndexOrder};
use crate::operators::batch_normalization::BatchNormalizationRecord;
use crate::operators::conv_nd::{CONV_ND_F32, CONV_TRANSPOSE_ND_F32, ConvNdRecord};
use crate::operators::conv_transpose_2d::{CONV_TRANSPOSE_2D_F32, CONV_TRANSPOSE_2D_I8, ConvTranspose2dRecord};
use crate::operators::local_response_norm::{LOCAL_RESPONSE_NORM_F32, LocalResponseNormRecord};
use crate::operators::pool_nd::{
    AVERAGE_POOL_ND_F32, AveragePoolNdRecord, LP_POOL_ND_F32, LpPoolNdRecord, MAX_POOL_INDICES_ND_U8, MAX_POOL_ND_I8,
    MaxPoolIndicesNdRecord, MaxPoolNdRecord,
};
use crate::operators::window::WindowRecord;
use crate::operators::window_nd::WindowNdRecord;
use crate::operators::{ALL, Operator, batch_normalization};
use crate::tensor::ElementType;
use std::vec;
use std::vec::Vec;

fn window_nd(golden: &Golden) -> WindowNdRecord {
    let triple = |name: &str| *golden.numbers(name, |v| v as u16).first_chunk().unwrap();
    WindowNdRecord {
        kernel: triple("kernel"),
        stride: triple("stride"),
        dilation: triple("dilation"),
        padding: triple("padding"),
        padding_after: triple("padding_after"),
    }
}

/// The step that a file describes.
fn case(golden: &Golden, operator: &'static Operator) -> Case {
    let named = |names: &[&str]| names.iter().map(|name| golden.tensor(name, 0)).collect::<Vec<_>>();
    // Files have no uint8 and no int64: such arrays are int32.
    let integers =
        |name: &str, element_type| Tensor::of(element_type, golden.shape(name), &golden.numbers(name, |v| v as i64));
    let y = || golden.tensor("y", 0);
    let (inputs, output, parameters): (Vec<Tensor>, Tensor, Vec<u8>) = match operator.name {
        "conv_transpose_2d_f32" => {
            let (window, groups) = (golden.window(), golden.first("groups"));
            (golden.channels_f32(), y(), ConvTranspose2dRecord { window, groups, limits: UNLIMITED }.emit().into())
        }
        "conv_transpose_2d_i8" => {
            let (window, groups) = (golden.window(), golden.first("groups"));
            let mut inputs = golden.channels_i8(|_| 0);
            // Its bias does not hold the zero point.
            inputs[2] = Tensor::i32(&golden.numbers("bias", |v| v as i32));
            let record = ConvTranspose2dRecord { window, groups, limits: FULL };
            (inputs, golden.tensor("y", 1), record.emit().into())
        }
        "conv_nd_f32" | "conv_transpose_nd_f32" => {
            let record = ConvNdRecord { window: window_nd(golden), groups: golden.first("groups") };
            (named(&["x", "weights", "bias"]), y(), record.emit().into())
        }
        "max_pool_nd_f32" | "max_pool_nd_i8" => {
            (named(&["x"]), y(), MaxPoolNdRecord { window: window_nd(golden) }.emit().into())
        }
        "max_pool_nd_u8" => {
            let record = MaxPoolNdRecord { window: window_nd(golden) };
            (vec![integers("x", ElementType::U8)], integers("y", ElementType::U8), record.emit().into())
        }
        "max_pool_indices_nd_f32" | "max_pool_indices_nd_i8" | "max_pool_indices_nd_u8" => {
            let order = [IndexOrder::RowMajor, IndexOrder::ColumnMajor][golden.first("order") as usize];
            let record = MaxPoolIndicesNdRecord { window: window_nd(golden), order };
            let x = match operator.name {
                "max_pool_indices_nd_u8" => integers("x", ElementType::U8),
                _ => golden.tensor("x", 0),
            };
            (vec![x], integers("y", ElementType::I64), record.emit().into())
        }
        "average_pool_nd_f32" => {
            let counted = [CountedTaps::Inside, CountedTaps::Padded][golden.first("count_include_pad") as usize];
            (named(&["x"]), y(), AveragePoolNdRecord { window: window_nd(golden), counted }.emit().into())
        }
        "lp_pool_nd_f32" => {
            let record = LpPoolNdRecord { window: window_nd(golden), p: golden.first("p") };
            (named(&["x"]), y(), record.emit().into())
        }
        "local_response_norm_f32" => {
            let [alpha, beta, bias] = *golden.numbers("numbers", |v| v as f32).first_chunk().unwrap();
            let record = LocalResponseNormRecord { size: golden.first("size"), alpha, beta, bias };
            (named(&["x"]), y(), record.emit().into())
        }
        "batch_normalization_f32" => {
            let record = BatchNormalizationRecord { epsilon: golden.numbers("epsilon", |v| v as f32)[0] };
            (named(&["x", "scale", "bias", "mean", "variance"]), y(), record.emit().into())
        }
        other => panic!("no golden values are known for {other}"),
    };
    Case::new(operator, &inputs, output, &parameters)
}

#[test]
fn operators_over_windows_agree_with_onnxruntime() {
    let mut n_cases = 0;
    for operator in ALL.iter().filter(|o| (0x0600..0x0700).contains(&o.code)) {
        for path in files(operator.name) {
            let case = case(&Golden::read(&path), operator);
            let name = std::format!("{} {}", operator.name, path.display());
            let found = case.run().unwrap_or_else(|e| panic!("{name}: {e}"));
            match case.output.element_type {
                ElementType::F32 | ElementType::I8 => compare(&name, &case.output, &found),
                _ => assert_eq!(found, case.output.bytes, "{name}"),
            }
            // Weights and statistics may come from anywhere.
            if operator.name.ends_with("nd_f32") || operator.name.starts_with("batch_normalization") {
                let constants =
                    case.inputs.iter().enumerate().map(|(i, t)| if i == 0 { t.clone() } else { t.clone().constant() });
                let case = Case { inputs: constants.collect(), ..case };
                assert_eq!(case.run().as_ref(), Ok(&found), "{name}");
            }
            n_cases += 1;
        }
    }
    assert!(n_cases > 60, "only {n_cases} cases");
}

const RULE: &str = "its window does not fit its tensors";

#[test]
fn transposed_convolutions_refuse_what_their_kernels_cannot_bear() {
    let window = WindowRecord { kernel: [4, 3], stride: [2, 1], dilation: [1, 2], padding: [1, 0, 1, 0] };
    let x = Tensor::i8(&[1, 3, 4, 4], -3, &[7; 48]);
    let y = Tensor::i8(&[1, 6, 8, 6], 5, &[0; 288]);
    let record = ConvTranspose2dRecord { window, groups: 2, limits: FULL };
    let inputs = channels(x, Tensor::i8(&[6, 4, 3, 2], 0, &[1; 144]), 6);
    let breaks: &[(&str, Break)] = &[
        (RULE, |c| put(c, 0, &[0, 0])),
        (RULE, |c| put(c, 4, &[0, 0])),
        (RULE, |c| put(c, 10, &[0, 0])),
        (RULE, |c| put(c, 12, &[0xff, 0xff])),
        (RULE, |c| put(c, 20, &[0, 0, 0, 0])),
        (RULE, |c| put(c, 20, &[4, 0, 0, 0])),
        (RULE, |c| c.output.shape = vec![6, 8, 6]),
        (RULE, |c| c.parameters.truncate(16)),
        ("a constant has the wrong length", |c| put(c, 20, &[1, 0, 0, 0])),
        ("a constant has the wrong length", |c| resize(&mut c.inputs[1], 143)),
        ("a constant has the wrong length", |c| resize(&mut c.inputs[2], 5)),
        ("an output overlaps an input", |c| c.in_place = Some(0)),
    ];
    let case = Case::new(&CONV_TRANSPOSE_2D_I8, &inputs, y, &record.emit());
    check(&case, breaks);
    check(
        &case,
        &[
            ("a multiplier, shift or zero point is out of range", |c| c.inputs[4].bytes[1] = 0),
            ("a multiplier, shift or zero point is out of range", |c| c.inputs[0].quantization.zero_point = 128),
            ("its output limits or zero point are out of range", |c| put(c, 24, &[5, 4])),
        ],
    );
    let inputs = [
        Tensor::f32(&[1, 3, 4, 4], &[1.0; 48]),
        Tensor::f32(&[2, 4, 3, 2, 3], &[1.0; 144]).constant(),
        Tensor::f32(&[6], &[0.0; 6]).constant(),
    ];
    let record = ConvTranspose2dRecord { window, groups: 2, limits: UNLIMITED };
    let case = Case::new(&CONV_TRANSPOSE_2D_F32, &inputs, Tensor::f32(&[1, 6, 8, 6], &[0.0; 288]), &record.emit());
    check(&case, breaks);
    check(&case, &[("its output limits are out of order", |c| put(c, 24, &f32::NAN.to_le_bytes()))]);
}

const WINDOW: WindowNdRecord = WindowNdRecord {
    kernel: [1, 3, 2],
    stride: [1, 2, 1],
    dilation: [1, 1, 2],
    padding: [0, 1, 0],
    padding_after: [0, 1, 0],
};

/// Breaks of everything that has a window in the file's own layout.
const BREAKS: &[(&str, Break)] = &[
    (RULE, |c| put(c, 0, &[0, 0])),
    (RULE, |c| put(c, 6, &[0, 0])),
    (RULE, |c| put(c, 8, &[9, 0])),
    (RULE, |c| put(c, 16, &[0, 0])),
    (RULE, |c| put(c, 20, &[0xff, 0xff])),
    (RULE, |c| put(c, 26, &[0xff, 0xff])),
    (RULE, |c| c.inputs[0].shape = vec![48, 5]),
    ("an input is missing", |c| c.inputs.clear()),
    ("an input has the wrong element type", |c| c.inputs[0].element_type = ElementType::Bool),
    ("an output has the wrong element type", |c| c.output.element_type = ElementType::Bool),
    ("an output overlaps an input", |c| c.output_moved_by = -16),
];

#[test]
fn operators_over_windows_refuse_what_their_kernels_cannot_bear() {
    let x = Tensor::f32(&[2, 4, 6, 5], &[1.0; 240]);
    let y = Tensor::f32(&[2, 4, 3, 3], &[0.0; 72]);
    let numbers = ConvNdRecord { window: WINDOW, groups: 2 }.emit();
    let weights = Tensor::f32(&[4, 2, 3, 2], &[1.0; 48]);
    let bias = Tensor::f32(&[4], &[1.0; 4]);
    let own: &[(&str, Break)] = &[
        (RULE, |c| put(c, 32, &[3])),
        (RULE, |c| put(c, 32, &[0])),
        (RULE, |c| c.parameters.truncate(32)),
        (RULE, |c| c.inputs[0].shape = vec![1, 8, 6, 5]),
        ("its weights have the wrong length", |c| put(c, 32, &[1])),
        ("its weights have the wrong length", |c| c.inputs[1].shape = vec![47]),
        ("its bias has the wrong length", |c| c.inputs[2].shape = vec![3]),
    ];
    let case = Case::new(&CONV_ND_F32, &[x.clone(), weights.clone(), bias.clone()], y.clone(), &numbers);
    check(&case, BREAKS);
    check(&case, own);
    // What the convolution reads, the transposed one writes.
    let case = Case::new(&CONV_TRANSPOSE_ND_F32, &[y.clone(), weights, bias], x.clone(), &numbers);
    check(&case, &[(RULE, |c| put(c, 32, &[3])), (RULE, |c| put(c, 8, &[9, 0]))]);

    let average = AveragePoolNdRecord { window: WINDOW, counted: CountedTaps::Padded }.emit();
    let case = Case::new(&AVERAGE_POOL_ND_F32, core::slice::from_ref(&x), y.clone(), &average);
    check(&case, BREAKS);
    check(&case, &[("unknown divisor", |c| put(c, 30, &[2])), (RULE, |c| c.output.shape = vec![4, 2, 3, 3])]);
    let norm = LpPoolNdRecord { window: WINDOW, p: 2 }.emit();
    let case = Case::new(&LP_POOL_ND_F32, &[x], y, &norm);
    check(&case, BREAKS);
    check(&case, &[("its exponent is not positive", |c| put(c, 32, &[0]))]);

    let x = Tensor::i8(&[2, 4, 6, 5], -3, &[1; 240]);
    let y = Tensor::i8(&[2, 4, 3, 3], -3, &[0; 72]);
    let maximum = MaxPoolNdRecord { window: WINDOW }.emit();
    let case = Case::new(&MAX_POOL_ND_I8, &[x], y, &maximum);
    check(&case, BREAKS);
    check(&case, &[("its input and output differ in quantization", |c| c.output.quantization.zero_point = 0)]);
    let x = Tensor::of(ElementType::U8, &[2, 4, 6, 5], &[1; 240]);
    let y = Tensor::of(ElementType::I64, &[2, 4, 3, 3], &[0; 72]);
    let indices = MaxPoolIndicesNdRecord { window: WINDOW, order: IndexOrder::RowMajor }.emit();
    let case = Case::new(&MAX_POOL_INDICES_ND_U8, &[x], y, &indices);
    check(&case, BREAKS);
    check(&case, &[("unknown order of indices", |c| put(c, 30, &[2]))]);
}

#[test]
fn norms_over_channels_refuse_what_their_kernels_cannot_bear() {
    let x = Tensor::f32(&[2, 3, 4], &[1.0; 24]);
    let record = LocalResponseNormRecord { size: 3, alpha: 1.0, beta: 0.5, bias: 1.0 };
    let case = Case::new(&LOCAL_RESPONSE_NORM_F32, core::slice::from_ref(&x), x.clone(), &record.emit());
    check(
        &case,
        &[
            ("its input and output differ in shape", |c| c.output.shape = vec![2, 4, 3]),
            ("it has no channels or its size is 0", |c| put(c, 0, &[0])),
            ("it has no channels or its size is 0", |c| c.parameters.truncate(12)),
            ("it has no channels or its size is 0", |c| {
                c.inputs[0].shape = vec![24];
                c.output.shape = vec![24];
            }),
        ],
    );
    let channel = || Tensor::f32(&[3], &[1.0; 3]);
    let inputs = [x.clone(), channel(), channel(), channel(), channel()];
    let record = BatchNormalizationRecord { epsilon: 0.0 };
    let case = Case::new(&batch_normalization::BATCH_NORMALIZATION_F32, &inputs, x, &record.emit());
    check(
        &case,
        &[
            ("its input and output differ in shape", |c| c.output.shape = vec![2, 4, 3]),
            ("a parameter is not one number per channel", |c| c.inputs[4].shape = vec![2]),
            ("an input is missing", |c| c.inputs.truncate(4)),
            ("its epsilon is missing", |c| c.parameters.clear()),
        ],
    );
}
