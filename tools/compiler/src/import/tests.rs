//! Every refusal with its words, dimensions, facts, and the reference.

mod plain;
mod rewrites;

use super::build::{Attr, Dim, ModelBuilder};
use super::*;
use crate::array::{Array, ArrayData, NamedArray};
use crate::lower::tests::{array, ints};
use std::fs;

/// A protobuf field of bytes.
fn field(number: u8, bytes: &[u8]) -> Vec<u8> {
    let mut out = vec![number << 3 | 2];
    let mut n = bytes.len();
    while n >= 0x80 {
        out.push(n as u8 | 0x80);
        n >>= 7;
    }
    out.push(n as u8);
    out.extend(bytes);
    out
}

/// An encoded model y = x + w with w = [1, 2], whose weight is `weight` (fields of a TensorProto after name, type and dims).
fn encoded(weight: &[u8]) -> Vec<u8> {
    let node = [field(1, b"x"), field(1, b"w"), field(2, b"y"), field(4, b"Add")].concat();
    let shape = field(2, &field(1, &[0x08, 2]));
    let info = |name: &[u8]| [field(1, name), field(2, &field(1, &[vec![0x08, 1], shape.clone()].concat()))].concat();
    let tensor = [vec![0x08, 2, 0x10, 1], field(8, b"w"), weight.to_vec()].concat();
    let graph =
        [field(1, &node), field(2, b"g"), field(5, &tensor), field(11, &info(b"x")), field(12, &info(b"y"))].concat();
    [vec![0x08, 8], field(7, &graph), field(8, &[0x10, 13])].concat()
}

fn raw(values: &[f32]) -> Vec<u8> {
    field(9, &values.iter().flat_map(|x| x.to_le_bytes()).collect::<Vec<u8>>())
}

fn check(result: Result<Imported, ImportError>, code: &str, words: &str) {
    let error = result.err().unwrap_or_else(|| panic!("{code} was accepted"));
    assert_eq!(error.code(), code, "{error}");
    assert!(error.to_string().contains(words), "{error}");
    assert!(!error.to_string().contains('\n') && !error.hint().is_empty(), "{error}");
}

#[test]
fn files_that_are_no_models_are_refused() {
    let folder = tempfile::tempdir().unwrap();
    let options = ImportOptions::default();
    let good = encoded(&raw(&[1.0, 2.0]));
    let import_as = |name: &str, bytes: &[u8]| {
        let path = folder.path().join(name);
        fs::write(&path, bytes).unwrap();
        import(&path, &options)
    };
    assert_eq!(import_as("good.onnx", &good).unwrap().name, "g");
    check(import(&folder.path().join("missing.onnx"), &options), "missing-file", "there is no file");
    check(import(folder.path(), &options), "is-a-directory", "is a directory");
    check(import_as("empty.onnx", b""), "empty-file", "is empty");
    check(import_as("x.png", b"\x89PNG\r\n\x1a\n0000"), "other-format", "a PNG picture");
    check(import_as("x.jpg", b"\xff\xd8\xff\xe0"), "other-format", "a JPEG picture");
    check(import_as("x.tnf", b"\x3d\xb8\xf3\x96rest"), "other-format", "a tinfer model image");
    check(import_as("x.npz", b"PK\x03\x04"), "other-format", "a ZIP archive");
    check(import_as("text.onnx", b"hello, this is not a model"), "not-onnx", "text.onnx is not an ONNX model");
    check(import_as("cut.onnx", &good[..good.len() / 2]), "truncated-file", "is truncated: a field at byte 2 needs");
    check(import_as("nograph.onnx", &[0x08, 8]), "not-onnx", "it has no graph");
    // Damaged inside: every field is there, but the graph's bytes are none.
    check(
        import_as("damaged.onnx", &[vec![0x08, 8], field(7, &[0xff; 30])].concat()),
        "not-onnx",
        "its protobuf is damaged",
    );
}

#[test]
fn no_byte_string_panics() {
    let good = encoded(&raw(&[1.0, 2.0]));
    let mut state = 1u64;
    for i in 0..2000 {
        let mut bytes = good.clone();
        for _ in 0..1 + i % 4 {
            state = state.wrapping_mul(6_364_136_223_846_793_005).wrapping_add(1_442_695_040_888_963_407);
            let at = (state >> 33) as usize % bytes.len();
            bytes[at] = (state >> 20) as u8;
        }
        // Whatever comes out is a model or an error.
        let _ = import_bytes(&bytes, "fuzzed", &ImportOptions::default())
            .map(|imported| crate::lower::lower(&imported).map(crate::passes::simplify));
        let _ = import_bytes(&good[..i % good.len()], "cut", &ImportOptions::default());
    }
}

#[test]
fn external_data_come_from_the_models_folder_only() {
    let folder = tempfile::tempdir().unwrap();
    let inside = folder.path().join("model");
    fs::create_dir_all(inside.join("sub")).unwrap();
    let weights: Vec<u8> = [0.0f32, 3.0, 4.0].iter().flat_map(|x| x.to_le_bytes()).collect();
    for place in [inside.join("w.bin"), inside.join("sub/w.bin"), folder.path().join("outside.bin")] {
        fs::write(place, &weights).unwrap();
    }
    #[cfg(unix)]
    std::os::unix::fs::symlink("../outside.bin", inside.join("link.bin")).unwrap();
    let import_at = |entries: &[(&str, &str)]| {
        let entry =
            |(key, value): &(&str, &str)| field(13, &[field(1, key.as_bytes()), field(2, value.as_bytes())].concat());
        let tensor: Vec<u8> = entries.iter().flat_map(entry).chain([0x70, 1]).collect();
        fs::write(inside.join("m.onnx"), encoded(&tensor)).unwrap();
        import(&inside.join("m.onnx"), &ImportOptions::default())
    };
    for location in ["w.bin", "sub/w.bin", "./w.bin"] {
        let imported = import_at(&[("location", location), ("offset", "4"), ("length", "8")]).unwrap();
        assert_eq!(imported.value("w").unwrap().to_f32(), [3.0, 4.0]);
    }
    let absolute = folder.path().join("outside.bin");
    for location in ["../outside.bin", "sub/../../outside.bin", absolute.to_str().unwrap(), "..\\outside.bin"] {
        check(import_at(&[("location", location)]), "external-data-outside", "outside of the model's folder");
    }
    #[cfg(unix)]
    check(import_at(&[("location", "link.bin")]), "external-data-outside", "'link.bin'");
    check(import_at(&[("location", "none.bin")]), "external-data-unreadable", "weight 'w'");
    check(import_at(&[("location", "sub")]), "external-data-unreadable", "not a regular file");
    check(
        import_at(&[("location", "w.bin"), ("offset", "8"), ("length", "8")]),
        "external-data-unreadable",
        "needs 8 bytes at 8, the file has 12",
    );
    check(
        import_at(&[("location", "w.bin"), ("length", "99999999999999")]),
        "external-data-unreadable",
        "needs 99999999999999 bytes",
    );
    check(import_at(&[("location", "w.bin")]), "weight-size", "needs 8 bytes, has 12");
}

#[test]
fn broken_graphs_are_refused() {
    let base = || ModelBuilder::new(13).input("x", &[1, 4]);
    let relu = |model: ModelBuilder, x: &str, y: &str| model.node("Relu", &[x], &[y], &[]);
    check(relu(relu(base(), "b", "a"), "a", "b").output("b").import(), "graph-cycle", "a cycle through node");
    // A node behind a cycle is not on it.
    let behind = relu(relu(relu(base(), "b", "a"), "a", "b"), "b", "c").output("c").import();
    assert!(!behind.unwrap_err().to_string().contains("c_node"));
    check(relu(base(), "nowhere", "y").output("y").import(), "missing-tensor", "node 'y_node' reads tensor 'nowhere'");
    check(relu(base(), "x", "y").output("z").import(), "missing-output", "'z'");
    check(relu(base(), "x", "y").import(), "no-output", "no output");
    check(relu(relu(base(), "x", "y"), "x", "y").output("y").import(), "duplicate-tensor", "'y' is defined twice");
    check(relu(base(), "x", "x").output("x").import(), "duplicate-tensor", "'x'");
    let weight = |operator: &str, v: Vec<f32>| {
        base().weight("w", Array::f32(vec![v.len()], v)).node(operator, &["x", "w"], &["y"], &[]).output("y").import()
    };
    check(weight("Add", vec![0.0, f32::NAN, 0.0, 0.0]), "weight-not-finite", "'w' holds NaN at index 1");
    let infinite = || vec![0.0, 0.0, 0.0, f32::NEG_INFINITY];
    check(weight("Mul", infinite()), "weight-not-finite", "'w' holds -inf at index 3");
    // A mask, or no limit.
    assert!(weight("Add", infinite()).is_ok() && weight("Max", infinite()).is_ok());
    let attribute =
        base().node("Constant", &[], &["c"], &[("value", Attr::T(Array::f32(vec![2], vec![0.0, f32::NAN])))]);
    check(
        attribute.node("Add", &["x", "c"], &["y"], &[]).output("y").import(),
        "weight-not-finite",
        "'c' holds NaN at index 1",
    );
    let mut short = base().weight("w", array(&[4], 1)).node("Add", &["x", "w"], &["y"], &[]).output("y");
    short.graph().initializer[0].raw_data.pop();
    check(short.import(), "weight-size", "'w' of shape [4] and type float32 needs 16 bytes, has 15");
    short.graph().initializer[0].dims = vec![1 << 40, 1 << 40];
    check(short.import(), "tensor-too-large", "'w'");
    short.graph().initializer[0].dims = vec![-4];
    check(short.import(), "unsupported-feature", "negative dimension");
    short.graph().initializer[0].dims = vec![4];
    short.graph().initializer[0].data_type = 99;
    check(short.import(), "unsupported-feature", "of element type unknown");
    check(relu(ModelBuilder::new(13).input("x", &[1, 0]), "x", "y").output("y").import(), "zero-dimension", "[1, 0]");
    check(
        relu(ModelBuilder::new(13).input("x", &[1 << 20, 1 << 20]), "x", "y").output("y").import(),
        "tensor-too-large",
        "'x'",
    );
    let huge = base().weight("s", ints(&[1 << 20, 1 << 20])).node("ConstantOfShape", &["s"], &["y"], &[]).output("y");
    check(huge.import(), "tensor-too-large", "'y'");
    check(
        relu(ModelBuilder::new(99).input("x", &[1]), "x", "y").output("y").import(),
        "unsupported-version",
        "operator set version 99",
    );
    let mut old = relu(base(), "x", "y").output("y");
    old.0.ir_version = 2;
    check(old.import(), "unsupported-version", "IR version 2");
}

#[test]
fn nodes_are_sorted_and_named() {
    let mut model = ModelBuilder::new(13)
        .input("x", &[1, 4])
        .node("Relu", &["a"], &["b"], &[])
        .node("Neg", &["x"], &["a"], &[])
        .output("b");
    model.graph().node.iter_mut().for_each(|n| n.name = "same".into());
    let names: Vec<String> = model.import().unwrap().nodes.into_iter().map(|n| n.name).collect();
    assert_eq!(names, ["a", "b"]);
}

#[test]
fn free_dimensions_are_fixed() {
    use Dim::{N, S};
    let shape = |dims: &[Dim], fixed: &[(&str, usize)]| {
        let model = ModelBuilder::new(13).symbolic_input("x", dims).node("Relu", &["x"], &["y"], &[]).output("y");
        model.import_with(fixed)
    };
    let ok = |dims: &[Dim], fixed: &[(&str, usize)], expected: &[usize], batched: bool| {
        let imported = shape(dims, fixed).unwrap();
        assert_eq!((&imported.inputs[0].shape[..], imported.inputs[0].batched), (expected, batched), "{dims:?}");
        assert_eq!(
            (&imported.outputs[0].shape[..], imported.outputs[0].batched),
            (expected, expected.first() == Some(&1)),
            "{dims:?}"
        );
        Reference::new(&imported).unwrap();
    };
    ok(&[S("batch"), N(4)], &[], &[1, 4], true);
    ok(&[N(-1), N(4)], &[], &[1, 4], true);
    ok(&[N(0), N(4)], &[], &[1, 4], true);
    ok(&[S("batch"), N(4)], &[("batch", 3)], &[3, 4], false);
    ok(&[S("batch"), S("length")], &[("length", 7)], &[1, 7], true);
    ok(&[N(2), N(-1)], &[("x:1", 7)], &[2, 7], false);
    ok(&[S("n"), N(4), S("n")], &[], &[1, 4, 1], true);
    check(shape(&[N(1), S("length")], &[]), "free-dimension", "dimension 1 of input 'x' is 'length'");
    assert_eq!(shape(&[N(1), S("length")], &[]).unwrap_err().hint(), "fix it with --dim length=N");
    assert_eq!(shape(&[N(1), N(-1)], &[]).unwrap_err().hint(), "fix it with --dim \"x:1\"=N");
    check(shape(&[S("batch"), N(4)], &[("nobody", 3)]), "unknown-dimension", "'nobody'");
    assert!(shape(&[S("batch"), N(4)], &[("nobody", 3)]).unwrap_err().hint().contains("batch"));
    check(shape(&[S("batch"), N(4)], &[("batch", 0)]), "zero-dimension", "[0, 4]");
}

/// x times the transpose of a weight that is stored in int8 with one scale per column.
fn quantized_weight() -> ModelBuilder {
    ModelBuilder::new(13)
        .input("x", &[1, 2])
        .weight("q", Array::new(vec![2, 2], ArrayData::I8(vec![1, 2, 3, 4])))
        .weight("s", Array::f32(vec![2], vec![1.0, 10.0]))
        .weight("z", Array::new(vec![2], ArrayData::I8(vec![0, 1])))
        .node("DequantizeLinear", &["q", "s", "z"], &["w"], &[("axis", Attr::I(1))])
        .node("Transpose", &["w"], &["t"], &[])
        .node("MatMul", &["x", "t"], &["y"], &[])
        .output("y")
}

#[test]
fn quantized_weights_of_float_models_are_dequantized() {
    let imported = quantized_weight().import().unwrap();
    assert_eq!(imported.value("w").unwrap().to_f32(), [1.0, 10.0, 3.0, 30.0]);
    assert_eq!(crate::lower::unsupported(&imported), []);
    let x = NamedArray::new("x", Array::f32(vec![1, 2], vec![1.0, 2.0]));
    let y = Reference::new(&imported).unwrap().run(&[x]).unwrap();
    assert_eq!(y[0].array.to_f32(), [21.0, 63.0]);
}

#[test]
fn quantized_models_keep_the_scales_of_their_weights() {
    let model = quantized_weight().node("QuantizeLinear", &["y", "s1", "z1"], &["r"], &[]).output("r");
    let model =
        model.weight("s1", Array::f32(vec![], vec![1.0])).weight("z1", Array::new(vec![], ArrayData::I8(vec![0])));
    let imported = model.import().unwrap();
    // All scales, where tract would read the first only; nobody needs the integers any more.
    assert_eq!(imported.value("w").unwrap().to_f32(), [1.0, 10.0, 3.0, 30.0]);
    assert_eq!((&imported.quantizations["w"].scales[..], imported.quantizations["w"].axis), (&[1.0, 10.0][..], 1));
    assert!(imported.value("q").is_none() && imported.value("s").is_none());
    // Transposed they are scales of input channels, which no integer sum can have: the weights are real numbers.
    let graph = crate::lower::lower(&imported).unwrap();
    assert_eq!(crate::quantize::real_weights(&graph), ["y_node"]);
}

#[test]
fn weights_behind_a_pair_are_rounded_to_their_scales() {
    let model = ModelBuilder::new(13)
        .input("x", &[1, 2])
        .weight("real", Array::f32(vec![2, 2], vec![0.26, -9.0, 0.24, 1.26]))
        .weight("s", Array::f32(vec![2], vec![0.5, 0.01]))
        .weight("z", Array::new(vec![2], ArrayData::I8(vec![0, 0])))
        .node("QuantizeLinear", &["real", "s", "z"], &["q"], &[("axis", Attr::I(-1))])
        .node("DequantizeLinear", &["q", "s", "z"], &["w"], &[("axis", Attr::I(-1))])
        .pair("x", "xq", (0.1, 3))
        .node("MatMul", &["xq", "w"], &["m"], &[])
        .pair("m", "y", (0.2, 0))
        .output("y");
    let imported = model.import().unwrap();
    assert_eq!(imported.value("w").unwrap().to_f32(), [0.5, -1.28, 0.0, 1.26]);
    assert_eq!(imported.quantizations["w"].axis, 1);
    assert_eq!(imported.nodes.iter().filter(|n| n.operator == "QuantizeLinear").count(), 2);
    // The integers stay where somebody else wants them.
    let imported = model.int8_output("q").import().unwrap();
    assert_eq!(imported.value("q").unwrap().data, ArrayData::I8(vec![1, -128, 0, 126]));
}

/// tract's declutter makes a wrong table of a softmax between integers, and tract reads one scale of a weight only.
#[test]
fn quantized_models_never_pass_through_declutter() {
    let model = ModelBuilder::new(13)
        .int8_input("x", &[1, 4])
        .dequantize("x", "xr", (0.1, 0))
        .quantized_weight("w", Array::new(vec![4, 2], ArrayData::I8(vec![1, 2, 3, 4, 5, 6, 7, 8])), &[0.1, 1.0], 1)
        .node("Softmax", &["xr"], &["s"], &[("axis", Attr::I(-1))])
        .pair("s", "sq", (1.0 / 256.0, -128))
        .node("MatMul", &["sq", "w"], &["m"], &[])
        .quantize("m", "y", (0.1, 0))
        .int8_output("y");
    let imported = model.import().unwrap();
    let x = NamedArray::new("x", Array::new(vec![1, 4], ArrayData::I8(vec![0, 10, 20, 30])));
    // exp of 0, 1, 2, 3 over their sum, in steps of 1/256: 8, 22, 61, 165. Products with 1, 3, 5, 7 times 0.1 and with
    // 2, 4, 6, 8, in steps of 0.1: 5.99 and 69.92.
    let expected = ArrayData::I8(vec![6, 70]);
    let reference = Reference::new(&imported).unwrap().run(std::slice::from_ref(&x)).unwrap();
    let backend = TractBackend::new(&imported).unwrap().run(&[x]).unwrap();
    assert_eq!((&reference[0].array.data, &backend[0].array.data), (&expected, &expected));
}

#[test]
fn the_reference_shows_every_tensor() {
    let model = ModelBuilder::new(13)
        .input("x", &[1, 1, 3, 3])
        .weight("w", array(&[2, 1, 2, 2], 1))
        .weight("b", array(&[2], 2));
    let model = model.node("Conv", &["x", "w", "b"], &["c"], &[]).node("Identity", &["c"], &["i"], &[]).node(
        "Relu",
        &["i"],
        &["r"],
        &[],
    );
    let model = model.node("Flatten", &["r"], &["f"], &[]).node("Softmax", &["f"], &["y"], &[]).output("y").output("r");
    let imported = model.import().unwrap();
    let x = vec![NamedArray::new("x", array(&[1, 1, 3, 3], 9))];
    let mut taps = std::collections::BTreeMap::new();
    let outputs = Reference::new(&imported)
        .unwrap()
        .run_with_taps(&x, &mut |name, a| drop(taps.insert(name.to_string(), a.clone())))
        .unwrap();
    assert_eq!(taps.keys().map(String::as_str).collect::<Vec<_>>(), ["c", "f", "i", "r", "x", "y"]);
    assert_eq!(taps["c"].shape, [1, 2, 2, 2]);
    assert_eq!(taps["c"], taps["i"]);
    assert_eq!((&*outputs[0].name, &*outputs[1].name), ("y", "r"));
    assert_eq!((&outputs[0].array, &outputs[1].array), (&taps["y"], &taps["r"]));
    let fast = TractBackend::new(&imported).unwrap().run(&x).unwrap();
    for (a, b) in outputs.iter().zip(&fast) {
        assert!(a.array.to_f32().iter().zip(b.array.to_f32()).all(|(a, b)| (a - b).abs() < 1e-6));
    }
}

#[test]
fn runs_with_wrong_inputs_are_refused() {
    let imported =
        ModelBuilder::new(13).input("x", &[1, 4]).node("Relu", &["x"], &["y"], &[]).output("y").import().unwrap();
    let reference = Reference::new(&imported).unwrap();
    let check = |inputs: &[NamedArray], words: &str| {
        let error = reference.run(inputs).unwrap_err();
        assert_eq!(error.code(), "input-mismatch");
        assert!(error.to_string().contains(words), "{error}");
    };
    check(&[], "input 'x' needs shape float32 [1, 4], found nothing");
    check(&[NamedArray::new("x", array(&[2, 4], 1))], "found float32 [2, 4]");
    check(&[NamedArray::new("x", ints(&[1, 2, 3, 4]))], "found int64 [4]");
}

#[test]
fn tract_runs_what_the_image_cannot() {
    let model = ModelBuilder::new(13)
        .input("x", &[1, 3])
        .node("LeakyRelu", &["x"], &["y"], &[("alpha", Attr::F(0.5))])
        .output("y");
    let x = NamedArray::new("x", Array::f32(vec![1, 3], vec![-2.0, 0.0, 3.0]));
    let y = TractBackend::new(&model.import().unwrap()).unwrap().run(&[x]).unwrap();
    assert_eq!(y[0].array.to_f32(), [-1.0, 0.0, 3.0]);
    let unknown = ModelBuilder::new(13)
        .input("x", &[1, 3])
        .node("NoSuchOperator", &["x"], &["y"], &[])
        .output("y")
        .import()
        .unwrap();
    assert_eq!(Reference::new(&unknown).unwrap_err().code(), "reference-failed");
    assert_eq!(TractBackend::new(&unknown).unwrap_err().code(), "reference-failed");
}
