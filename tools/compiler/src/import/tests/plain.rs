//! Tensors in other forms give what they give in float32 and int8.

use super::*;
use crate::array::RealType;
use crate::float_model::OwnKernels;
use crate::lower::lower;
use crate::passes::simplify;
use tract_onnx::pb::tensor_proto::DataType;
use tract_onnx::pb::type_proto::Value as TypeValue;
use tract_onnx::pb::{SparseTensorProto, TensorProto};

/// Exact in half precision.
const FACTORS: [f32; 6] = [0.5, -1.25, 3.0, 0.0078125, -2.0, 1.0];

fn net() -> ModelBuilder {
    ModelBuilder::new(17)
        .input("x", &[1, 3])
        .weight("w", Array::f32(vec![3, 2], FACTORS.to_vec()))
        .node("Cast", &["x"], &["c"], &[("to", Attr::I(DataType::Float as i64))])
        .node("MatMul", &["c", "w"], &["m"], &[])
        .node("Sigmoid", &["m"], &["y"], &[])
        .output("y")
}

/// The net with its weight and, where `everywhere`, all else in another type.
fn in_type(real: DataType, bytes: impl Fn(f32) -> Vec<u8>, everywhere: &[&str]) -> ModelBuilder {
    let mut model = net();
    let graph = model.graph();
    graph.initializer[0].data_type = real as i32;
    graph.initializer[0].raw_data = FACTORS.iter().flat_map(|&v| bytes(v)).collect();
    for info in graph.input.iter_mut().chain(&mut graph.output).filter(|i| everywhere.contains(&&*i.name)) {
        if let Some(TypeValue::TensorType(ty)) = info.r#type.as_mut().and_then(|t| t.value.as_mut()) {
            ty.elem_type = real as i32;
        }
    }
    graph.node[0].attribute[0].i = real as i64;
    model
}

fn outputs(model: &ModelBuilder, x: &Array) -> Vec<Array> {
    let imported = model.import().unwrap();
    let graph = simplify(lower(&imported).unwrap()).graph;
    let inputs = [NamedArray::new("x", x.clone())];
    let own = OwnKernels::new(&imported, &graph).unwrap().run_with_taps(&inputs, &mut |_, _| {}).unwrap();
    let tract = Reference::new(&imported).unwrap().run(&inputs).unwrap();
    for (own, tract) in own.iter().zip(&tract) {
        let apart = own.array.to_f32().into_iter().zip(tract.array.to_f32()).map(|(a, b)| (a - b).abs());
        assert!(apart.fold(0.0, f32::max) < 1e-5, "{own:?} {tract:?}");
    }
    own.into_iter().map(|o| o.array).collect()
}

#[test]
fn real_numbers_of_any_width_are_float32() {
    let x = Array::f32(vec![1, 3], vec![0.25, -1.5, 0.75]);
    let expected = outputs(&net(), &x);
    let half = |v: f32| half::f16::from_f32(v).to_le_bytes().to_vec();
    let brain = |v: f32| half::bf16::from_f32(v).to_le_bytes().to_vec();
    let double = |v: f32| f64::from(v).to_le_bytes().to_vec();
    let all = ["x", "y"];
    assert_eq!(outputs(&in_type(DataType::Float16, half, &all), &x), expected);
    assert_eq!(outputs(&in_type(DataType::Bfloat16, brain, &[]), &x), expected);
    assert_eq!(outputs(&in_type(DataType::Double, double, &all), &x), expected);
    let real_types = in_type(DataType::Float16, half, &["y"]).import().unwrap().real_types;
    assert_eq!(real_types.into_iter().collect::<Vec<_>>(), [("y".to_string(), RealType::Float16)]);
    // Beyond float32, and cut off.
    let huge = in_type(DataType::Double, |_| 1e300f64.to_le_bytes().to_vec(), &[]);
    check(huge.import(), "weight-not-finite", "'w' holds 1e300, which is beyond float32, at index 0");
    let cut = in_type(DataType::Float16, |_| vec![0], &[]);
    check(cut.import(), "weight-size", "'w'");
}

#[test]
fn integers_of_4_and_2_bits_are_unpacked() {
    let check = |code: i32, bytes: &[u8], expected: ArrayData| {
        let n = expected.len();
        let mut model = ModelBuilder::new(21)
            .input("x", &[n])
            .weight("s", Array::f32(vec![], vec![0.5]))
            .node("DequantizeLinear", &["w", "s"], &["d"], &[])
            .node("Mul", &["x", "d"], &["y"], &[])
            .output("y");
        let (dims, raw_data) = (vec![n as i64], bytes.to_vec());
        model.graph().initializer.push(TensorProto {
            name: "w".into(),
            data_type: code,
            dims,
            raw_data,
            ..TensorProto::default()
        });
        let ones = Array::f32(vec![n], vec![1.0; n]);
        let halves = Array::new(vec![n], expected).to_f32().into_iter().map(|v| v / 2.0).collect();
        assert_eq!(outputs(&model, &ones), [Array::f32(vec![n], halves)], "{code}");
    };
    check(22, &[0x8f, 0x27, 0x01], ArrayData::I8(vec![-1, -8, 7, 2, 1]));
    check(21, &[0x8f, 0x27, 0x01], ArrayData::U8(vec![15, 8, 7, 2, 1]));
    check(26, &[0b11_10_01_00, 0b01], ArrayData::I8(vec![0, 1, -2, -1, 1]));
    check(25, &[0b11_10_01_00, 0b01], ArrayData::U8(vec![0, 1, 2, 3, 1]));
}

#[test]
fn the_type_of_an_attribute_becomes_a_zero_point() {
    let quantized = |code: i64, x: f32| {
        let model = ModelBuilder::new(21)
            .input("x", &[1])
            .weight("s", Array::f32(vec![], vec![1.0]))
            .node("QuantizeLinear", &["x", "s"], &["q"], &[("output_dtype", Attr::I(code))])
            .node("DequantizeLinear", &["q", "s"], &["y"], &[])
            .output("y");
        outputs(&model, &Array::f32(vec![1], vec![x]))[0].to_f32()[0]
    };
    for (code, [least, most]) in [(2, [0.0, 255.0]), (3, [-128.0, 127.0]), (21, [0.0, 15.0]), (22, [-8.0, 7.0])] {
        assert_eq!([quantized(code, -1000.0), quantized(code, 1000.0)], [least, most], "{code}");
        assert_eq!(quantized(code, 2.5), 2.0, "{code}");
    }
}

#[test]
fn sparse_weights_get_their_zeros() {
    let sparse = |indices: Array| {
        let mut model = ModelBuilder::new(17).input("x", &[2, 3]).node("Add", &["x", "w"], &["y"], &[]).output("y");
        model.graph().sparse_initializer.push(SparseTensorProto {
            values: Some(tensor::proto("w", &Array::f32(vec![2], vec![5.0, -7.0]))),
            indices: Some(tensor::proto("", &indices)),
            dims: vec![2, 3],
        });
        model
    };
    let zeros = Array::f32(vec![2, 3], vec![0.0; 6]);
    let expected = [Array::f32(vec![2, 3], vec![0.0, 5.0, 0.0, 0.0, 0.0, -7.0])];
    assert_eq!(outputs(&sparse(ints(&[1, 5])), &zeros), expected);
    let pairs = Array::new(vec![2, 2], ArrayData::I64(vec![0, 1, 1, 2]));
    assert_eq!(outputs(&sparse(pairs), &zeros), expected);
    check(sparse(ints(&[1, 6])).import(), "unsupported-feature", "an index out of range");
    check(sparse(ints(&[1])).import(), "unsupported-feature", "indices");
}

#[test]
fn what_is_empty_adds_nothing_to_a_concatenation() {
    let model = ModelBuilder::new(17)
        .input("x", &[1, 3])
        .weight("none", Array::f32(vec![1, 0], vec![]))
        .node("Concat", &["none", "x", "x", "none"], &["y"], &[("axis", Attr::I(1))])
        .output("y");
    let x = Array::f32(vec![1, 3], vec![1.0, 2.0, 3.0]);
    assert_eq!(outputs(&model, &x)[0].to_f32(), [1.0, 2.0, 3.0, 1.0, 2.0, 3.0]);
}

#[test]
fn weights_of_constant_nodes_count() {
    let weights = Array::f32(vec![3, 2], vec![1.0; 6]);
    let model = ModelBuilder::new(17).input("x", &[1, 3]).node("MatMul", &["x", "w"], &["y"], &[]).output("y");
    let initializer = model.clone().weight("w", weights.clone());
    let constant = model.node("Constant", &[], &["w"], &[("value", Attr::T(weights))]);
    assert_eq!([initializer, constant].map(|m| m.import().unwrap().n_parameters), [6, 6]);
}

#[test]
fn an_output_may_be_a_constant() {
    let model = net().weight("k", Array::f32(vec![2], vec![4.0, 5.0])).output("k");
    let x = Array::f32(vec![1, 3], vec![1.0, 2.0, 3.0]);
    assert_eq!(outputs(&model, &x)[1].to_f32(), [4.0, 5.0]);
}

#[test]
fn long_sums_of_integers_are_exact() {
    for k in [3, 258, 259, 700] {
        let model = ModelBuilder::new(17)
            .input("x", &[1, k])
            .weight("one", Array::f32(vec![], vec![1.0]))
            .weight("zero", Array::new(vec![], ArrayData::U8(vec![0])))
            .weight("w", Array::new(vec![k, 2], ArrayData::U8((0..2 * k).map(|i| (255 - i % 3) as u8).collect())))
            .weight("wz", Array::new(vec![], ArrayData::U8(vec![1])))
            .node("QuantizeLinear", &["x", "one", "zero"], &["q"], &[])
            .node("MatMulInteger", &["q", "w", "zero", "wz"], &["i"], &[])
            .node("Cast", &["i"], &["y"], &[("to", Attr::I(1))])
            .output("y");
        let x = Array::f32(vec![1, k], (0..k).map(|i| (255 - i % 5) as f32).collect());
        let sum = |o: usize| (0..k).map(|i| ((255 - i % 5) * (254 - (2 * i + o) % 3)) as i64).sum::<i64>() as f32;
        assert_eq!(outputs(&model, &x)[0].to_f32(), [sum(0), sum(1)], "{k}");
    }
}

#[test]
fn activations_in_16_bits_keep_their_range() {
    let model = |zero: ArrayData| {
        ModelBuilder::new(21)
            .input("x", &[4])
            .weight("s", Array::f32(vec![], vec![0.001]))
            .weight("z", Array::new(vec![], zero))
            .node("QuantizeLinear", &["x", "s", "z"], &["q"], &[])
            .node("DequantizeLinear", &["q", "s", "z"], &["y"], &[])
            .output("y")
    };
    let x = Array::f32(vec![4], vec![-1000.0, -0.25, 3.25, 1000.0]);
    let signed = model(ArrayData::I16(vec![1000]));
    assert_eq!(signed.import().unwrap().unplaced, Some("it quantizes activations to 16 bits"));
    let found = outputs(&signed, &x)[0].to_f32();
    let expected = [-33.768, -0.25, 3.25, 31.767];
    assert!(found.iter().zip(expected).all(|(f, e)| (f - e).abs() < 1e-5), "{found:?}");
}

/// Sum of `x[t] e^(sign 2 pi i t k / n)`, real and imaginary part.
fn bin(x: impl Fn(usize) -> [f64; 2], n: usize, k: usize, sign: f64) -> [f64; 2] {
    (0..n).fold([0.0, 0.0], |[re, im], t| {
        let (sin, cos) = (sign * std::f64::consts::TAU * (t * k) as f64 / n as f64).sin_cos();
        let [a, b] = x(t);
        [re + a * cos - b * sin, im + a * sin + b * cos]
    })
}

#[test]
fn transforms_of_known_length_are_products() {
    let value = |i: usize| ((i * 37 % 23) as f64 - 11.0) / 8.0;
    // Real and complex numbers, an axis that is not beside their parts, lengths that cut and pad.
    for (c, axis, length, inverse, onesided) in
        [(1, 1, None, 0, 1), (1, 1, Some(4), 0, 0), (2, 1, Some(9), 1, 0), (2, 0, None, 0, 0)]
    {
        let shape = [5, 6, c];
        let mut model = ModelBuilder::new(17).input("x", &shape);
        let attributes =
            [("axis", Attr::I(axis as i64)), ("inverse", Attr::I(inverse)), ("onesided", Attr::I(onesided))];
        let mut inputs = vec!["x"];
        if let Some(length) = length {
            model = model.weight("length", Array::new(vec![], ArrayData::I64(vec![length as i64])));
            inputs.push("length");
        }
        let model = model.node("DFT", &inputs, &["y"], &attributes).output("y");
        let n = length.unwrap_or(shape[axis]);
        let m = if onesided == 1 { n / 2 + 1 } else { n };
        let x = Array::f32(shape.to_vec(), (0..30 * c).map(|i| value(i) as f32).collect());
        let found = &outputs(&model, &x)[0];
        let (rows, columns) = if axis == 0 { (m, 6) } else { (5, m) };
        assert_eq!(found.shape, [rows, columns, 2]);
        let found = found.to_f32();
        for (row, column) in (0..rows).flat_map(|r| (0..columns).map(move |c| (r, c))) {
            let number = |t: usize| {
                let (i, j) = if axis == 0 { (t, column) } else { (row, t) };
                let part = |p: usize| if t < shape[axis] && p < c { value((i * 6 + j) * c + p) } else { 0.0 };
                [part(0), part(1)]
            };
            let k = if axis == 0 { row } else { column };
            let expected = bin(number, n, k, if inverse == 1 { 1.0 } else { -1.0 });
            let factor = if inverse == 1 { n as f64 } else { 1.0 };
            for (part, expected) in expected.into_iter().enumerate() {
                let found = f64::from(found[(row * columns + column) * 2 + part]);
                assert!((found - expected / factor).abs() < 1e-4, "{axis} {length:?}: {found} {expected}");
            }
        }
    }
}

#[test]
fn spectra_of_frames_are_convolutions() {
    for rank in [2, 3] {
        let shape = if rank == 2 { vec![1, 40] } else { vec![1, 40, 1] };
        let window = [0.1, 0.5, 1.0, 0.9, 0.5, 0.2];
        let model = ModelBuilder::new(17)
            .input("x", &shape)
            .weight("step", Array::new(vec![], ArrayData::I64(vec![4])))
            .weight("window", Array::f32(vec![6], window.to_vec()))
            .node("STFT", &["x", "step", "window"], &["y"], &[("onesided", Attr::I(1))])
            .output("y");
        let value = |t: usize| (t * 29 % 17) as f64 / 8.0 - 1.0;
        let x = Array::f32(shape, (0..40).map(|t| value(t) as f32).collect());
        let found = &outputs(&model, &x)[0];
        assert_eq!(found.shape, [1, 9, 4, 2]);
        for (i, found) in found.to_f32().into_iter().enumerate() {
            let (frame, k, part) = (i / 8, i / 2 % 4, i % 2);
            let expected = bin(|t| [value(4 * frame + t) * f64::from(window[t]), 0.0], 6, k, -1.0)[part];
            assert!((f64::from(found) - expected).abs() < 1e-4, "{i}: {found} {expected}");
        }
    }
}
