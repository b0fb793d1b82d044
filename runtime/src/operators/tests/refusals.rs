//! What bind must refuse: each case is a step that runs, with one thing broken.

use super::case::{Case, Tensor};
use super::golden::{FULL, UNLIMITED, softmax_table};
use crate::error::BindError;
use crate::fixed_point::{PairMultiplier, Requantizer};
use crate::kernels::geometry::MatrixLayout;
use crate::kernels::portable::BinaryF32;
use crate::kernels::portable::SumOrder;
use crate::operators::limits::LimitsI8;
use crate::operators::window::WindowRecord;
use crate::operators::{
    armv7em, batch_matmul, binary, conv_2d, depthwise_conv_2d, fully_connected, movement, pool_2d, softmax, unary,
};
use crate::tensor::{ElementType, Quantization};
use std::vec;
use std::vec::Vec;

const WINDOW: WindowRecord = WindowRecord { kernel: [3, 3], stride: [2, 1], dilation: [1, 1], padding: [1, 1, 1, 1] };
const HALF: Requantizer = Requantizer { multiplier: 1 << 30, shift: 31 };

/// Breaks one thing of a case.
pub(super) type Break = fn(&mut Case);

/// Runs `case`, then `case` broken in each way, and compares the rule that bind names.
pub(super) fn check(case: &Case, breaks: &[(&str, Break)]) {
    let name = case.operator.name;
    case.run().unwrap_or_else(|e| panic!("{name}: {e}"));
    for (i, (expected, break_one)) in breaks.iter().enumerate() {
        let mut broken = case.clone();
        break_one(&mut broken);
        match broken.run() {
            Err(BindError::Step { step: 0, operator, rule }) if operator == name => {
                assert_eq!(rule, *expected, "{name}, break {i}");
            }
            other => panic!("{name}, break {i}: expected '{expected}', got {other:?}"),
        }
    }
}

pub(super) fn put(case: &mut Case, at: usize, bytes: &[u8]) {
    case.parameters[at..at + bytes.len()].copy_from_slice(bytes);
}

pub(super) fn resize(tensor: &mut Tensor, n: usize) {
    let size = tensor.element_type.size_bytes();
    tensor.shape = vec![n as u32];
    tensor.bytes.resize(n * size, 0);
}

pub(super) fn channels(x: Tensor, weights: Tensor, n: usize) -> Vec<Tensor> {
    let multipliers = Tensor::i32(&vec![1 << 30; n]);
    vec![x, weights.constant(), Tensor::i32(&vec![0; n]), multipliers, Tensor::u8(&vec![35; n])]
}

/// Breaks of everything that has per-channel numbers; limits come last in all of their parameters.
const CHANNEL_BREAKS: &[(&str, Break)] = &[
    ("an input is missing", |c| c.inputs.truncate(4)),
    ("an input has the wrong element type", |c| c.inputs[0].element_type = ElementType::U8),
    ("an output has the wrong element type", |c| c.output.element_type = ElementType::U8),
    ("a constant has the wrong length", |c| resize(&mut c.inputs[1], 7)),
    ("a constant has the wrong length", |c| resize(&mut c.inputs[2], 3)),
    ("a constant has the wrong length", |c| resize(&mut c.inputs[3], 5)),
    ("a constant has the wrong length", |c| resize(&mut c.inputs[4], 3)),
    ("an operand that must be a constant is not", |c| c.inputs[1].is_constant = false),
    ("a multiplier, shift or zero point is out of range", |c| c.inputs[3].bytes[3] = 0x20),
    ("a multiplier, shift or zero point is out of range", |c| c.inputs[4].bytes[1] = 0),
    ("a multiplier, shift or zero point is out of range", |c| c.inputs[4].bytes[1] = 63),
    ("a multiplier, shift or zero point is out of range", |c| c.inputs[0].quantization.zero_point = 128),
    ("its output limits or zero point are out of range", |c| c.output.quantization.zero_point = -129),
    ("an output overlaps an input", |c| c.output_moved_by = -16),
];

/// Breaks of kernels that may run in place.
const LEAD_BREAKS: &[(&str, Break)] = &[
    ("its first input is a constant", |c| c.inputs[0].is_constant = true),
    ("an output overlaps an input", |c| c.in_place = Some(0)),
    ("an output overlaps an input", |c| (c.in_place, c.output_moved_by) = (Some(0), 16)),
];

const WINDOW_BREAKS: &[(&str, Break)] = &[
    ("its window does not fit its tensors", |c| put(c, 0, &[0, 0])),
    ("its window does not fit its tensors", |c| put(c, 4, &[0, 0])),
    ("its window does not fit its tensors", |c| put(c, 10, &[0, 0])),
    ("its window does not fit its tensors", |c| put(c, 12, &[0xff, 0xff])),
    ("its window does not fit its tensors", |c| put(c, 4, &[9, 0])),
    ("its window does not fit its tensors", |c| c.output.shape = vec![1, 9, 6, 4]),
    ("its window does not fit its tensors", |c| c.output.shape = vec![3, 6, 4]),
    ("its window does not fit its tensors", |c| c.parameters.truncate(16)),
];

#[test]
fn convolutions_refuse_what_their_kernels_cannot_bear() {
    let x = Tensor::i8(&[1, 5, 6, 4], -3, &[7; 120]);
    let y = Tensor::i8(&[1, 3, 6, 4], 5, &[0; 72]);
    let record = conv_2d::Conv2dRecord { window: WINDOW, groups: 2, limits: FULL };
    let weights = Tensor::i8(&[4, 3, 3, 2], 0, &[1; 72]);
    let case = Case::new(&conv_2d::CONV_2D_I8, &channels(x.clone(), weights, 4), y.clone(), &record.emit());
    check(&case, CHANNEL_BREAKS);
    check(&case, WINDOW_BREAKS);
    check(&case, LEAD_BREAKS);
    check(
        &case,
        &[
            ("its window does not fit its tensors", |c| put(c, 20, &[3, 0, 0, 0])),
            ("its window does not fit its tensors", |c| put(c, 20, &[0, 0, 0, 0])),
            ("a constant has the wrong length", |c| put(c, 20, &[1, 0, 0, 0])),
            ("its output limits or zero point are out of range", |c| put(c, 24, &[5, 4])),
        ],
    );

    let record = depthwise_conv_2d::DepthwiseConv2dRecord { window: WINDOW, limits: FULL };
    let weights = Tensor::i8(&[3, 3, 4], 0, &[1; 36]);
    let inputs = channels(x, weights, 4);
    let case = Case::new(&depthwise_conv_2d::DEPTHWISE_CONV_2D_I8, &inputs, y, &record.emit());
    check(&case, CHANNEL_BREAKS);
    check(&case, WINDOW_BREAKS);
    check(&case, LEAD_BREAKS);

    let f32_inputs = [
        Tensor::f32(&[1, 5, 6, 4], &[1.0; 120]),
        Tensor::f32(&[2, 3, 3, 2, 2], &[1.0; 72]).constant(),
        Tensor::f32(&[4], &[0.0; 4]).constant(),
    ];
    let y = Tensor::f32(&[1, 3, 6, 4], &[0.0; 72]);
    let record = conv_2d::Conv2dRecord { window: WINDOW, groups: 2, limits: UNLIMITED };
    let case = Case::new(&conv_2d::CONV_2D_F32, &f32_inputs, y, &record.emit());
    check(&case, WINDOW_BREAKS);
    check(&case, LEAD_BREAKS);
    check(
        &case,
        &[
            ("a constant has the wrong length", |c| resize(&mut c.inputs[1], 71)),
            ("a constant has the wrong length", |c| resize(&mut c.inputs[2], 5)),
            ("its output limits are out of order", |c| put(c, 24, &f32::NAN.to_le_bytes())),
            ("its output limits are out of order", |c| put(c, 24, &[0, 0, 0, 0, 0, 0, 0x80, 0xbf])),
        ],
    );
}

#[test]
fn products_refuse_what_their_kernels_cannot_bear() {
    let inputs = channels(Tensor::i8(&[3, 6], 2, &[9; 18]), Tensor::i8(&[4, 6], 0, &[1; 24]), 4);
    let record = fully_connected::FullyConnectedRecord { limits: FULL };
    let y = Tensor::i8(&[3, 4], 0, &[0; 12]);
    let case = Case::new(&fully_connected::FULLY_CONNECTED_I8, &inputs, y, &record.emit());
    check(&case, CHANNEL_BREAKS);
    check(
        &case,
        &[
            ("its input and output have different numbers of rows", |c| c.output.shape = vec![2, 4]),
            ("a constant has the wrong length", |c| c.output.shape = vec![3, 5]),
        ],
    );

    let record = batch_matmul::BatchMatmulRecord { layout: MatrixLayout::Kn, requantizer: HALF, limits: FULL };
    let inputs = [Tensor::i8(&[2, 3, 4], 1, &[3; 24]), Tensor::i8(&[2, 4, 5], -1, &[2; 40])];
    let y = Tensor::i8(&[2, 3, 5], 0, &[0; 30]);
    check(
        &Case::new(&batch_matmul::BATCH_MATMUL_I8, &inputs, y, &record.emit()),
        &[
            ("its matrices do not fit together", |c| put(c, 0, &[1])),
            ("its matrices do not fit together", |c| put(c, 0, &[2])),
            ("its matrices do not fit together", |c| c.inputs[1].shape = vec![2, 5, 4]),
            ("its matrices do not fit together", |c| c.inputs[0].shape = vec![24]),
            ("its matrices do not fit together", |c| c.inputs[0].shape = vec![3, 2, 4]),
            ("its multiplier or a zero point is out of range", |c| put(c, 1, &[0])),
            ("its multiplier or a zero point is out of range", |c| put(c, 4, &[0, 0, 0, 0x80])),
            ("its multiplier or a zero point is out of range", |c| c.inputs[1].quantization.zero_point = 200),
            ("its output limits or zero point are out of range", |c| put(c, 2, &[1, 0])),
            ("an output overlaps an input", |c| c.in_place = Some(0)),
            // The second operand follows the first one, which now reaches into it.
            ("its operands overlap", |c| {
                c.inputs[0].shape = vec![3, 3, 4];
                c.inputs[1].shape = vec![1, 4, 5];
                c.output.shape = vec![3, 3, 5];
            }),
        ],
    );
}

#[test]
fn kernels_that_read_the_arena_refuse_constants() {
    let constant = "an operand that must be in the arena is a constant";
    let stream = Tensor::i32(&[0; 32]);
    let record = armv7em::fully_connected::FullyConnectedArmv7emRecord { limits: FULL };
    let (x, y) = (Tensor::i8(&[1, 16], 0, &[1; 16]), Tensor::i8(&[1, 4], 0, &[0; 4]));
    let operator = &armv7em::fully_connected::FULLY_CONNECTED_I8_ARMV7EM;
    check(&Case::new(operator, &[x, stream], y, &record.emit()), &[(constant, |c| c.inputs[0].is_constant = true)]);

    let multiplier = PairMultiplier { a: 1 << 19, b: 1 << 20, shift: 20 };
    let x = Tensor::i8(&[2, 8], 0, &[1; 16]);
    let record = binary::AddRecord { multiplier, limits: FULL };
    check(
        &Case::new(&armv7em::add::ADD_I8_ARMV7EM, &[x.clone(), x.clone()], x, &record.emit()),
        &[(constant, |c| c.inputs[0].is_constant = true), (constant, |c| c.inputs[1].is_constant = true)],
    );
}

#[test]
fn elementwise_operators_refuse_what_their_kernels_cannot_bear() {
    let inputs = [Tensor::i8(&[2, 3, 4], 1, &[3; 24]), Tensor::i8(&[3, 1], -1, &[2; 3])];
    let y = Tensor::i8(&[2, 3, 4], 0, &[0; 24]);
    let multiplier = PairMultiplier { a: 1 << 19, b: 1 << 20, shift: 20 };
    let add = binary::AddRecord { multiplier, limits: FULL }.emit();
    let shapes: &[(&str, Break)] = &[
        ("its operands do not broadcast to its output", |c| c.inputs[1].shape = vec![1, 1, 3]),
        ("its operands do not broadcast to its output", |c| c.output.shape = vec![2, 3, 5]),
        ("its operands do not broadcast to its output", |c| c.inputs[0].shape = vec![4, 3, 2]),
        ("an input is missing", |c| c.inputs.truncate(1)),
        ("an output overlaps an input", |c| c.in_place = Some(1)),
        ("an output overlaps an input", |c| (c.in_place, c.output_moved_by) = (Some(0), 16)),
    ];
    let case = Case::new(&binary::ADD_I8, &inputs, y.clone(), &add);
    check(&case, shapes);
    check(
        &case,
        &[
            ("a multiplier or zero point is out of range", |c| put(c, 0, &((1i32 << 21) + 1).to_le_bytes())),
            ("a multiplier or zero point is out of range", |c| put(c, 4, &i32::MIN.to_le_bytes())),
            ("a multiplier or zero point is out of range", |c| put(c, 8, &[0])),
            ("a multiplier or zero point is out of range", |c| put(c, 8, &[31])),
            ("a multiplier or zero point is out of range", |c| c.inputs[0].quantization.zero_point = 128),
            ("its output limits or zero point are out of range", |c| put(c, 10, &[127, 126])),
        ],
    );
    let mul = binary::MulRecord { requantizer: HALF, limits: LimitsI8 { min: -5, max: 5 } };
    let case = Case::new(&binary::MUL_I8, &inputs, y, &mul.emit());
    check(&case, shapes);
    check(
        &case,
        &[
            ("its multiplier or a zero point is out of range", |c| put(c, 0, &[0, 0, 0, 1])),
            ("its multiplier or a zero point is out of range", |c| c.inputs[1].quantization.zero_point = -129),
        ],
    );
    let inputs = [Tensor::f32(&[2, 3, 4], &[3.0; 24]), Tensor::f32(&[3, 1], &[2.0; 3])];
    let record = binary::BinaryF32Record { function: BinaryF32::Sub, limits: UNLIMITED };
    let case = Case::new(&binary::BINARY_F32, &inputs, Tensor::f32(&[2, 3, 4], &[0.0; 24]), &record.emit());
    check(&case, shapes);
    check(&case, &[("unknown function", |c| put(c, 0, &[4]))]);

    let table = Tensor::i8(&[256], 0, &[1; 256]).constant();
    let inputs = [Tensor::i8(&[2, 5], 0, &[3; 10]), table];
    let case = Case::new(&unary::TABLE_I8, &inputs, Tensor::i8(&[10], 0, &[0; 10]), &[]);
    check(
        &case,
        &[
            ("a constant has the wrong length", |c| resize(&mut c.inputs[1], 255)),
            ("its input and output differ in size", |c| c.output.shape = vec![11]),
            ("an operand that must be a constant is not", |c| c.inputs[1].is_constant = false),
        ],
    );
}

#[test]
fn pools_and_softmax_refuse_what_their_kernels_cannot_bear() {
    let x = Tensor::i8(&[1, 5, 6, 4], -3, &[7; 120]);
    let y = Tensor::i8(&[1, 3, 6, 4], -3, &[0; 72]);
    let record = pool_2d::MaxPool2dRecord { window: WINDOW };
    let case = Case::new(&pool_2d::MAX_POOL_2D_I8, core::slice::from_ref(&x), y.clone(), &record.emit());
    check(&case, WINDOW_BREAKS);
    check(&case, LEAD_BREAKS);
    check(
        &case,
        &[
            ("its input and output differ in channels", |c| c.output.shape = vec![1, 3, 6, 3]),
            ("its input and output differ in quantization", |c| c.output.quantization.zero_point = 0),
        ],
    );
    let record =
        pool_2d::AveragePool2dI8Record { window: WINDOW, requantizer: HALF, count_include_pad: true, limits: FULL };
    let case = Case::new(&pool_2d::AVERAGE_POOL_2D_I8, core::slice::from_ref(&x), y.clone(), &record.emit());
    check(
        &case,
        &[
            ("its window does not fit its tensors", |c| put(c, 0, &[0, 0])),
            ("its multiplier or zero point is out of range", |c| put(c, 24, &[63])),
            ("its multiplier or zero point is out of range", |c| c.inputs[0].quantization.zero_point = 300),
            ("unknown divisor", |c| put(c, 25, &[2])),
        ],
    );
    let record = pool_2d::AveragePool2dDequantizedI8Record {
        window: WINDOW,
        count_include_pad: true,
        sums: SumOrder::FourLanes,
        limits: FULL,
    };
    let case = Case::new(&pool_2d::AVERAGE_POOL_2D_DEQUANTIZED_I8, &[x], y, &record.emit());
    check(
        &case,
        &[
            ("its window does not fit its tensors", |c| put(c, 0, &[0, 0])),
            ("a scale, a zero point or the order of sums is out of range", |c| {
                c.inputs[0].quantization.zero_point = 300
            }),
            ("a scale, a zero point or the order of sums is out of range", |c| put(c, 21, &[2])),
            ("unknown divisor", |c| put(c, 20, &[2])),
        ],
    );

    let quantization = Quantization { scale: 1.0 / 256.0, zero_point: -128 };
    let y = Tensor { quantization, ..Tensor::i8(&[3, 10], -128, &[0; 30]) };
    let inputs = [Tensor::i8(&[3, 10], 4, &[1; 30]), softmax_table(10, 0.1)];
    for operator in [&softmax::SOFTMAX_I8, &softmax::SOFTMAX_MASKED_I8] {
        check(
            &Case::new(operator, &inputs, y.clone(), &[]),
            &[
                ("its table is not one of exponentials", |c| c.inputs[1].bytes[0] = 1),
                ("its table is not one of exponentials", |c| c.inputs[1].bytes[1023] = 0x7f),
                ("a constant has the wrong length", |c| resize(&mut c.inputs[1], 257)),
                ("its output is not in steps of 1/256 from -128", |c| c.output.quantization.zero_point = 0),
                ("its output is not in steps of 1/256 from -128", |c| c.output.quantization.scale = 0.1),
                ("its input and output differ in shape", |c| c.output.shape = vec![10, 3]),
            ],
        );
    }
    let record = softmax::SoftmaxScaledRecord { steps: HALF };
    check(
        &Case::new(&softmax::SOFTMAX_SCALED_I8, &inputs, Tensor::i8(&[3, 10], 7, &[0; 30]), &record.emit()),
        &[
            ("its table is not one of exponentials", |c| c.inputs[1].bytes[0] = 1),
            ("its multiplier is out of range", |c| put(c, 4, &[63])),
            ("its input and output differ in shape", |c| c.output.shape = vec![10, 3]),
        ],
    );
}

#[test]
fn moves_refuse_what_their_kernels_cannot_bear() {
    let x = Tensor::i8(&[2, 3, 4], 0, &[5; 24]);
    let record = movement::TransposeRecord { permutation: [0, 1, 4, 2, 3] };
    let case = Case::new(
        &movement::TRANSPOSE_I8,
        core::slice::from_ref(&x),
        Tensor::i8(&[4, 2, 3], 0, &[0; 24]),
        &record.emit(),
    );
    let rule = "its permutation does not fit its shapes";
    check(
        &case,
        &[
            (rule, |c| put(c, 2, &[3])),
            (rule, |c| put(c, 0, &[5])),
            (rule, |c| put(c, 0, &[1])),
            (rule, |c| c.output.shape = vec![4, 3, 2]),
            ("its input and output differ in quantization", |c| c.output.quantization.zero_point = 1),
            ("an output overlaps an input", |c| c.in_place = Some(0)),
        ],
    );
    let record = movement::PadRecord { before: [0, 0, 1, 0, 2], value: 9 };
    let case =
        Case::new(&movement::PAD_I8, core::slice::from_ref(&x), Tensor::i8(&[4, 3, 6], 0, &[0; 72]), &record.emit());
    let rule = "its padding does not fit its shapes";
    check(
        &case,
        &[
            (rule, |c| put(c, 16, &[3])),
            (rule, |c| put(c, 8, &u32::MAX.to_le_bytes())),
            (rule, |c| c.output.shape = vec![4, 2, 9]),
            (rule, |c| c.parameters.truncate(16)),
        ],
    );
    let record = movement::ConcatRecord { axis: 3 };
    let inputs = [x, Tensor::i8(&[2, 2, 4], 0, &[6; 16])];
    let case = Case::new(&movement::CONCAT_I8, &inputs, Tensor::i8(&[2, 5, 4], 0, &[0; 40]), &record.emit());
    let rule = "its inputs do not add up to its output";
    check(
        &case,
        &[
            (rule, |c| put(c, 0, &[4])),
            (rule, |c| put(c, 0, &[5])),
            (rule, |c| c.output.shape = vec![2, 4, 4]),
            (rule, |c| c.output.shape = vec![2, 6, 4]),
            (rule, |c| c.inputs.truncate(1)),
            ("its input and output differ in quantization", |c| c.inputs[1].quantization.zero_point = 1),
        ],
    );
}

/// The least distance that bind admits gives the same results as memory apart, in both precisions; 16 bytes less do
/// not bind.
#[test]
fn windowed_operators_run_at_their_lead() {
    let window = WindowRecord { kernel: [3, 3], stride: [1, 1], dilation: [1, 1], padding: [1, 1, 1, 1] };
    let values: Vec<i8> = (0..210).map(|i| (i * 37 % 256) as u8 as i8).collect();
    let floats: Vec<f32> = values.iter().map(|&v| f32::from(v)).collect();
    let (x, y) = (Tensor::i8(&[1, 5, 6, 7], -3, &values), Tensor::i8(&[1, 5, 6, 7], 5, &values));
    let (x_f32, y_f32) = (Tensor::f32(&[1, 5, 6, 7], &floats), Tensor::f32(&[1, 5, 6, 7], &floats));
    let weights = channels(x.clone(), Tensor::i8(&[3, 3, 7], 0, &values[..63]), 7);
    let weights_f32 = [x_f32, Tensor::f32(&[63], &floats[..63]).constant(), Tensor::f32(&[7], &floats[..7]).constant()];
    let depthwise = depthwise_conv_2d::DepthwiseConv2dRecord { window, limits: FULL }.emit();
    let depthwise_f32 = depthwise_conv_2d::DepthwiseConv2dRecord { window, limits: UNLIMITED }.emit();
    let pool = pool_2d::MaxPool2dRecord { window }.emit();
    // Three rows of one before, and one pixel more than a row: 7 * (6 + 1 + 1) elements.
    let lead = 56;
    for (case, lead_bytes) in [
        (Case::new(&depthwise_conv_2d::DEPTHWISE_CONV_2D_I8, &weights, y.clone(), &depthwise), lead),
        (Case::new(&depthwise_conv_2d::DEPTHWISE_CONV_2D_F32, &weights_f32, y_f32, &depthwise_f32), 4 * lead),
        (Case::new(&pool_2d::MAX_POOL_2D_I8, &[Tensor { quantization: y.quantization, ..x }], y, &pool), lead),
    ] {
        let name = case.operator.name;
        let apart = case.run().unwrap_or_else(|e| panic!("{name}: {e}"));
        let least = (lead_bytes as i64 + 15) / 16 * 16;
        let at =
            |bytes: i64| Case { in_place: Some(0), output_moved_by: -bytes, room_below: 512, ..case.clone() }.run();
        assert_eq!(at(least).as_ref(), Ok(&apart), "{name}");
        match at(least - 16) {
            Err(BindError::Step { rule: "an output overlaps an input", .. }) => {}
            other => panic!("{name}: {other:?}"),
        }
    }
}

/// The same results wherever the output lies, over either operand too.
#[test]
fn elementwise_operators_run_in_place() {
    let values: Vec<i8> = (0..150).map(|i| (i * 37 % 256) as u8 as i8).collect();
    let multiplier = PairMultiplier { a: 1 << 19, b: -1 << 20, shift: 20 };
    let sum = binary::AddRecord { multiplier, limits: FULL }.emit();
    let a = Tensor::i8(&[3, 50], 1, &values);
    let y = Tensor::i8(&[3, 50], 0, &values);
    let table: Vec<i8> = (0..=255u8).map(|i| (i as i8).wrapping_mul(3)).collect();
    let table = Tensor::i8(&[256], 0, &table).constant();
    let cases = [
        (Case::new(&binary::ADD_I8, &[a.clone(), a.clone()], y.clone(), &sum), 2),
        (Case::new(&binary::ADD_I8, &[a.clone(), Tensor::i8(&[50], 0, &values[..50]).constant()], y.clone(), &sum), 1),
        (Case::new(&unary::TABLE_I8, &[a, table], y, &[]), 1),
    ];
    for (case, n_places) in cases {
        let apart = case.run().unwrap();
        for place in 0..n_places {
            let in_place = Case { in_place: Some(place), ..case.clone() }.run();
            assert_eq!(in_place.as_ref(), Ok(&apart), "{} over input {place}", case.operator.name);
        }
    }
}

#[test]
fn tables_are_indexed_by_the_bits_of_the_input() {
    let table: Vec<i8> = (0..=255u8).map(|i| i as i8 ^ 0x55).collect();
    let inputs = [Tensor::i8(&[5], 0, &[0, 1, 127, -128, -1]), Tensor::i8(&[256], 0, &table).constant()];
    let found = Case::new(&unary::TABLE_I8, &inputs, Tensor::i8(&[5], 0, &[0; 5]), &[]).run().unwrap();
    assert_eq!(found, [0, 1, 127, 128, 255].map(|x: u8| x ^ 0x55));
}
