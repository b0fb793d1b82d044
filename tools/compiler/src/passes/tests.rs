//! Passes keep every output, and leave no transpose where none is needed.

mod images;
mod normalization;

use super::{Simplified, simplify};
use crate::array::NamedArray;
use crate::evaluate::evaluate;
use crate::graph::{Graph, Operator};
use crate::import::build::{Attr, ModelBuilder};
use crate::import::{ImportOptions, Imported, import};
use crate::lower::lower;
use crate::lower::tests::{array, compare, inputs, ints, sqnr, supported_cases};
use std::path::PathBuf;

/// Simplifies a model and compares it with the reference.
fn simplified(imported: &Imported, floor: f64) -> Result<Simplified, String> {
    let simplified = simplify(lower(imported).map_err(|e| e.to_string())?);
    well_formed(&simplified.graph)?;
    let db = compare(imported, &simplified.graph)?;
    if db < floor { Err(format!("{db:.1} dB\n{}", listing(&simplified.graph))) } else { Ok(simplified) }
}

fn listing(graph: &Graph) -> String {
    let tensor = |id: &crate::graph::TensorId| format!("{}{:?}", graph.tensor(*id).name, graph.tensor(*id).shape);
    let line = |n: &crate::graph::Node| {
        format!("{:?} {:?} -> {:?}", n.operator, n.inputs.iter().map(tensor).collect::<Vec<_>>(), tensor(&n.outputs[0]))
    };
    graph.nodes.iter().map(line).collect::<Vec<_>>().join("\n")
}

/// Order, names and origins of a graph are what its documentation says.
fn well_formed(graph: &Graph) -> Result<(), String> {
    let mut known: Vec<bool> = graph.tensors.iter().map(|t| t.constant.is_some()).collect();
    graph.inputs.iter().for_each(|p| known[p.tensor.0] = true);
    for node in &graph.nodes {
        if let Some(id) = node.inputs.iter().find(|id| !known[id.0]) {
            return Err(format!("'{}' reads {} before it is computed", node.name, graph.tensor(*id).name));
        }
        node.outputs.iter().for_each(|id| known[id.0] = true);
    }
    for (kind, names) in [
        ("tensor", graph.tensors.iter().map(|t| &t.name).collect::<Vec<_>>()),
        ("node", graph.nodes.iter().map(|n| &n.name).collect()),
    ] {
        let mut sorted = names.clone();
        sorted.sort();
        if let Some(twice) = sorted.windows(2).find(|w| w[0] == w[1]) {
            return Err(format!("two {kind}s are called '{}'", twice[0]));
        }
    }
    Ok(())
}

/// Every tensor with an origin holds what the reference computes under that name.
fn origins_hold(imported: &Imported, graph: &Graph) -> Result<(), String> {
    let reference = crate::import::Reference::new(imported).map_err(|e| e.to_string())?;
    let inputs = inputs(imported, 5);
    let mut taps = std::collections::HashMap::new();
    reference
        .run_with_taps(&inputs, &mut |name, array| drop(taps.insert(name.to_string(), array.clone())))
        .map_err(|e| e.to_string())?;
    let mut problem = Ok(());
    let mut tap = |id: crate::graph::TensorId, values: &[f64]| {
        let Some(origin) = &graph.tensor(id).origin else { return };
        let Some(array) = taps.get(&origin.name) else { return };
        let array_values = array.to_f64();
        let moved: Vec<f64> = origin.order(&array.shape).into_iter().map(|i| array_values[i]).collect();
        let error: f64 = moved.iter().zip(values).map(|(a, b)| (a - b) * (a - b)).sum();
        let signal: f64 = moved.iter().map(|a| a * a).sum();
        if moved.len() != values.len() || error > 1e-9 * signal {
            problem = Err(format!("tensor '{}' does not hold {origin:?}", graph.tensor(id).name));
        }
    };
    crate::evaluate::evaluate_with_taps(graph, &inputs, &mut tap).map_err(|e| e.to_string())?;
    problem
}

#[test]
fn every_operator_survives() {
    let mut failures = Vec::new();
    for case in supported_cases() {
        let imported = case.model().import().unwrap();
        if let Err(e) = simplified(&imported, 100.0).and_then(|s| origins_hold(&imported, &s.graph)) {
            failures.push(format!("{} of operator set {} {:?}: {e}", case.operator, case.opset, case.attributes));
        }
    }
    assert!(failures.is_empty(), "{}", failures.join("\n"));
}

/// A model whose expected operators after all passes are known.
fn check(model: ModelBuilder, expected: &[&str]) {
    let imported = model.import().unwrap();
    let Simplified { graph, report } = simplified(&imported, 100.0).unwrap();
    origins_hold(&imported, &graph).unwrap();
    let names: Vec<&str> = graph.nodes.iter().map(|n| name(&n.operator)).filter(|n| *n != "Reshape").collect();
    assert_eq!(names, expected, "{}", listing(&graph));
    assert_eq!(report.transposes.len(), names.iter().filter(|n| **n == "Transpose").count());
}

fn name(operator: &Operator) -> &'static str {
    match operator {
        Operator::Conv2d { .. } => "Conv2d",
        Operator::ConvTranspose2d { .. } => "ConvTranspose2d",
        Operator::WindowNd(_) => "WindowNd",
        Operator::DepthwiseConv2d { .. } => "DepthwiseConv2d",
        Operator::FullyConnected { .. } => "FullyConnected",
        Operator::BatchMatmul { .. } => "BatchMatmul",
        Operator::Binary { .. } => "Binary",
        Operator::Unary(_) => "Unary",
        Operator::Pair(_) => "Pair",
        Operator::Where => "Where",
        Operator::Cast => "Cast",
        Operator::MaxPool2d { .. } => "MaxPool2d",
        Operator::AveragePool2d { .. } => "AveragePool2d",
        Operator::Softmax => "Softmax",
        Operator::Reshape => "Reshape",
        Operator::Rows { .. } => "Rows",
        Operator::JoinRows => "JoinRows",
        Operator::Transpose { .. } => "Transpose",
        Operator::Pad { .. } => "Pad",
        Operator::Concat { .. } => "Concat",
        Operator::Requantize => "Requantize",
        Operator::Require => "Require",
        Operator::MaskedSoftmax => "MaskedSoftmax",
        Operator::Move(_) => "Move",
        Operator::Reduction(_) => "Reduction",
        Operator::Normalization(_) => "Normalization",
    }
}

fn conv(model: ModelBuilder, x: &str, y: &str, i: usize, o: usize) -> ModelBuilder {
    let (w, pads) = (format!("{y}_w"), Attr::Is(vec![1, 1, 1, 1]));
    model.weight(&w, array(&[o, i, 3, 3], o as u64)).node("Conv", &[x, &w], &[y], &[("pads", pads)])
}

fn bn(model: ModelBuilder, x: &str, y: &str, c: usize) -> ModelBuilder {
    let names: Vec<String> = ["s", "b", "m", "v"].iter().map(|n| format!("{y}_{n}")).collect();
    let variance = crate::array::Array::f32(vec![c], array(&[c], 4).to_f32().iter().map(|v| v.abs() + 0.5).collect());
    let model = model
        .weight(&names[0], array(&[c], 1))
        .weight(&names[1], array(&[c], 2))
        .weight(&names[2], array(&[c], 3))
        .weight(&names[3], variance);
    model.node("BatchNormalization", &[x, &names[0], &names[1], &names[2], &names[3]], &[y], &[])
}

#[test]
fn normalization_and_activation_fuse() {
    let model = bn(conv(ModelBuilder::new(13).input("x", &[1, 3, 6, 5]), "x", "c", 3, 4), "c", "n", 4);
    check(model.node("Relu", &["n"], &["y"], &[]).output("y"), &["Conv2d"]);
    let model = bn(ModelBuilder::new(13).input("x", &[1, 3, 6, 5]), "x", "n", 3);
    check(conv(model.node("Relu", &["n"], &["r"], &[]), "r", "y", 3, 2).output("y"), &["DepthwiseConv2d", "Conv2d"]);
    let strides = Attr::Is(vec![2, 2]);
    let model = ModelBuilder::new(13).input("x", &[1, 3, 4, 5]).weight("w", array(&[3, 4, 3, 2], 1)).node(
        "ConvTranspose",
        &["x", "w"],
        &["c"],
        &[("strides", strides)],
    );
    check(bn(model, "c", "n", 4).node("Relu", &["n"], &["y"], &[]).output("y"), &["ConvTranspose2d"]);
    let model = ModelBuilder::new(13).input("x", &[1, 6]).weight("w", array(&[6, 4], 1)).node(
        "MatMul",
        &["x", "w"],
        &["m"],
        &[],
    );
    let model = bn(model.weight("b", array(&[4], 2)).node("Add", &["b", "m"], &["a"], &[]), "a", "n", 4);
    check(model.node("Relu", &["n"], &["y"], &[]).output("y"), &["FullyConnected"]);
}

#[test]
fn a_second_reader_prevents_fusion() {
    let model = conv(ModelBuilder::new(13).input("x", &[1, 3, 6, 5]), "x", "c", 3, 3).node("Relu", &["c"], &["r"], &[]);
    check(model.node("Add", &["c", "r"], &["y"], &[]).output("y"), &["Conv2d", "Unary", "Binary"]);
}

#[test]
fn residual_blocks_keep_no_transpose() {
    let model = conv(ModelBuilder::new(13).input("x", &[1, 4, 6, 5]), "x", "a", 4, 4).node("Relu", &["a"], &["r"], &[]);
    let model = conv(model, "r", "b", 4, 4).node("Add", &["b", "x"], &["s"], &[]).node("Relu", &["s"], &["t"], &[]);
    let model = conv(model, "t", "c", 4, 2).node("Concat", &["c", "t"], &["y"], &[("axis", Attr::I(1))]).output("y");
    check(model, &["Conv2d", "Conv2d", "Binary", "Conv2d", "Concat"]);
}

#[test]
fn flatten_goes_into_the_columns() {
    let model =
        conv(ModelBuilder::new(13).input("x", &[1, 3, 6, 5]), "x", "c", 3, 4).node("Flatten", &["c"], &["f"], &[]);
    let model = model
        .node("Relu", &["f"], &["r"], &[])
        .weight("w", array(&[120, 7], 3))
        .node("MatMul", &["r", "w"], &["y"], &[])
        .output("y");
    check(model, &["Conv2d", "FullyConnected"]);
    // Two maps side by side, and a function of single elements between.
    let model =
        conv(ModelBuilder::new(13).input("x", &[1, 3, 6, 5]), "x", "c", 3, 4).node("Flatten", &["c"], &["f"], &[]);
    let model = model.node("Flatten", &["x"], &["g"], &[]).node("Concat", &["f", "g"], &["k"], &[("axis", Attr::I(1))]);
    let model = model.node("Tanh", &["k"], &["t"], &[]).weight("w", array(&[5, 210], 3)).node(
        "Gemm",
        &["t", "w"],
        &["y"],
        &[("transB", Attr::I(1))],
    );
    check(model.output("y"), &["Conv2d", "Concat", "Unary", "FullyConnected"]);
}

#[test]
fn a_decoder_takes_the_rows() {
    let model = ModelBuilder::new(13).input("x", &[1, 6]).weight("w", array(&[6, 60], 1)).weight("b", array(&[60], 2));
    let model = model
        .node("Gemm", &["x", "w", "b"], &["g"], &[])
        .node("Relu", &["g"], &["r"], &[])
        .weight("s", ints(&[1, 3, 4, 5]));
    check(
        conv(model.node("Reshape", &["r", "s"], &["m"], &[]), "m", "y", 3, 2).output("y"),
        &["FullyConnected", "Conv2d"],
    );
}

#[test]
fn squeeze_and_excite_keeps_no_transpose() {
    let model = conv(ModelBuilder::new(13).input("x", &[1, 3, 6, 5]), "x", "c", 3, 4).node(
        "GlobalAveragePool",
        &["c"],
        &["g"],
        &[],
    );
    let model = conv(model, "g", "e", 4, 4).node("Sigmoid", &["e"], &["s"], &[]).node("Mul", &["c", "s"], &["m"], &[]);
    check(conv(model, "m", "y", 4, 3).output("y"), &["Conv2d", "AveragePool2d", "Conv2d", "Unary", "Binary", "Conv2d"]);
}

#[test]
fn tensorflow_models_keep_no_transpose() {
    // NHWC input and output around NCHW operators, as tf2onnx writes them.
    let model = ModelBuilder::new(13).input("x", &[1, 6, 5, 3]).node(
        "Transpose",
        &["x"],
        &["t"],
        &[("perm", Attr::Is(vec![0, 3, 1, 2]))],
    );
    let model = conv(model, "t", "c", 3, 4).node("Relu", &["c"], &["r"], &[]).node(
        "Transpose",
        &["r"],
        &["u"],
        &[("perm", Attr::Is(vec![0, 2, 3, 1]))],
    );
    let model =
        model.weight("s", ints(&[1, -1])).node("Reshape", &["u", "s"], &["f"], &[]).weight("w", array(&[120, 5], 3));
    check(
        model.node("MatMul", &["f", "w"], &["m"], &[]).node("Softmax", &["m"], &["y"], &[]).output("y"),
        &["Conv2d", "FullyConnected", "Softmax"],
    );
}

#[test]
fn normalization_of_the_input_is_hoisted() {
    let model = ModelBuilder::new(13)
        .input("x", &[1, 3, 6, 5])
        .weight("mean", array(&[3, 1, 1], 1))
        .weight("std", array(&[1, 3, 1, 1], 2));
    let model = model.node("Sub", &["x", "mean"], &["s"], &[]).node("Mul", &["s", "std"], &["n"], &[]);
    check(conv(model, "n", "y", 3, 4).output("y"), &["Binary", "Binary", "Conv2d"]);
}

#[test]
fn zero_padding_goes_into_the_window() {
    let model = ModelBuilder::new(13).input("x", &[1, 3, 6, 5]).weight("p", ints(&[0, 0, 0, 1, 0, 0, 1, 1]));
    let model = conv(model.node("Pad", &["x", "p"], &["q"], &[]), "q", "c", 3, 4).weight("z", ints(&[0; 8]));
    check(model.node("Pad", &["c", "z"], &["y"], &[]).output("y"), &["Conv2d"]);
    let model = ModelBuilder::new(13).input("x", &[1, 3, 6, 5]).weight("p", ints(&[0, 0, 1, 1, 0, 0, 1, 1]));
    let model = model.node("Pad", &["x", "p"], &["q"], &[]).node(
        "AveragePool",
        &["q"],
        &["y"],
        &[("kernel_shape", Attr::Is(vec![3, 3]))],
    );
    check(model.output("y"), &["AveragePool2d"]);
    let model = ModelBuilder::new(13).input("x", &[1, 3, 6, 5]).weight("p", ints(&[0, 0, 1, 1, 0, 0, 1, 1]));
    let model = model.node("Pad", &["x", "p"], &["q"], &[]).node(
        "MaxPool",
        &["q"],
        &["y"],
        &[("kernel_shape", Attr::Is(vec![3, 3]))],
    );
    check(model.output("y"), &["Pad", "MaxPool2d"]);
}

#[test]
fn windows_of_a_feature_map_fit_an_image() {
    // As window attention cuts a feature map, and puts it together again.
    let model = ModelBuilder::new(13)
        .input("x", &[1, 6, 8, 5])
        .weight("six", ints(&[1, 2, 3, 2, 4, 5]))
        .weight("windows", ints(&[4, 12, 5]))
        .weight("back", ints(&[1, 2, 2, 3, 4, 5]))
        .weight("map", ints(&[1, 6, 8, 5]));
    let swap = || [("perm", Attr::Is(vec![0, 1, 3, 2, 4, 5]))];
    let model = model
        .node("Reshape", &["x", "six"], &["a"], &[])
        .node("Transpose", &["a"], &["b"], &swap())
        .node("Reshape", &["b", "windows"], &["c"], &[])
        .node("Softmax", &["c"], &["d"], &[("axis", Attr::I(1))])
        .node("Reshape", &["d", "back"], &["e"], &[])
        .node("Transpose", &["e"], &["f"], &swap())
        .node("Reshape", &["f", "map"], &["y"], &[]);
    let graph = simplified(&model.output("y").import().unwrap(), 100.0).unwrap().graph;
    assert!(graph.tensors.iter().all(|t| t.shape.len() <= 5), "{}", listing(&graph));
}

#[test]
fn one_dimensional_models_keep_no_transpose() {
    let model = ModelBuilder::new(13)
        .input("x", &[1, 3, 12])
        .weight("w", array(&[4, 3, 3], 1))
        .weight("v", array(&[4, 4, 3], 2));
    let pads = ("pads", Attr::Is(vec![1, 1]));
    let model = model.node("Conv", &["x", "w"], &["c"], std::slice::from_ref(&pads)).node("Relu", &["c"], &["r"], &[]);
    let model = model.node("Conv", &["r", "v"], &["d"], &[pads]).node("Add", &["d", "r"], &["a"], &[]);
    let model =
        model.node("MaxPool", &["a"], &["m"], &[("kernel_shape", Attr::Is(vec![2])), ("strides", Attr::Is(vec![2]))]);
    let model = model.node("Flatten", &["m"], &["f"], &[]).weight("u", array(&[24, 2], 1));
    check(
        model.node("MatMul", &["f", "u"], &["y"], &[]).output("y"),
        &["Conv2d", "Conv2d", "Binary", "MaxPool2d", "FullyConnected"],
    );
}

#[test]
fn a_transpose_that_must_stay_is_reported() {
    let model = conv(ModelBuilder::new(13).input("x", &[1, 3, 6, 5]), "x", "c", 3, 4)
        .node("Flatten", &["c"], &["y"], &[])
        .output("y");
    let imported = model.import().unwrap();
    let Simplified { report, .. } = simplified(&imported, 100.0).unwrap();
    assert_eq!(report.transposes.len(), 1);
    assert!(report.transposes[0].reason.contains("'c_node' (Conv) writes it in one order"), "{:?}", report.transposes);
}

/// Random graphs of the operators that move layouts about.
#[test]
fn random_graphs_keep_their_outputs() {
    let mut failures = Vec::new();
    for seed in 1..=300u64 {
        let model = random_model(seed);
        let imported = model.import().unwrap();
        let lowered = lower(&imported).unwrap();
        let n_lowered = lowered.nodes.iter().filter(|n| matches!(n.operator, Operator::Transpose { .. })).count();
        let x = inputs(&imported, seed);
        let before = evaluate(&lowered, &x).unwrap();
        let Simplified { graph, report } = simplify(lowered);
        let worst = |after: Vec<NamedArray>| {
            before.iter().zip(&after).map(|(b, a)| sqnr(&b.array, &a.array)).fold(200.0, f64::min)
        };
        let result = well_formed(&graph).and_then(|()| evaluate(&graph, &x).map_err(|e| e.to_string())).map(worst);
        let origins = origins_hold(&imported, &graph);
        if !result.as_ref().is_ok_and(|db| *db >= 90.0) || origins.is_err() || report.transposes.len() > n_lowered {
            failures.push(format!(
                "seed {seed}: {result:?} {origins:?} {} of {n_lowered} transposes stay\n{}",
                report.transposes.len(),
                listing(&graph)
            ));
        }
    }
    assert!(failures.is_empty(), "{} fail, the first: {}", failures.len(), failures[0]);
}

fn random_model(seed: u64) -> ModelBuilder {
    let mut state = seed.wrapping_mul(0x9E37_79B9_7F4A_7C15) | 1;
    let mut next = |n: usize| {
        state ^= state << 13;
        state ^= state >> 7;
        state ^= state << 17;
        (state >> 33) as usize % n
    };
    let mut model = ModelBuilder::new(13).input("x", &[1, 4, 4, 4]);
    // All maps are 4x4x4, so that every pair of them can be combined in any layout.
    let mut maps = vec!["x".to_string()];
    for k in 0..3 + next(9) {
        let y = format!("y{k}");
        let x = maps[next(maps.len())].clone();
        let other = maps[maps.len() - 1].clone();
        let perms = [[0, 2, 3, 1], [0, 3, 1, 2], [0, 1, 3, 2], [0, 3, 2, 1]];
        model = match next(13) {
            0 | 1 => conv(model, &x, &y, 4, 4),
            2 => bn(model, &x, &y, 4),
            3 => model.node("Relu", &[&x], &[&y], &[]),
            4 => model.node("Sigmoid", &[&x], &[&y], &[]),
            5 => model.node("Add", &[&x, &other], &[&y], &[]),
            6 => model.node("Transpose", &[&x], &[&y], &[("perm", Attr::Is(perms[next(4)].to_vec()))]),
            7 => {
                let w = format!("{y}_w");
                let shapes: [&[usize]; 5] = [&[4, 1, 1], &[4], &[1], &[1, 4, 1, 4], &[4, 4, 4]];
                let operator = ["Mul", "Add", "Sub"][next(3)];
                model = model.weight(&w, array(shapes[next(5)], seed));
                if next(2) == 0 {
                    model.node(operator, &[&x, &w], &[&y], &[])
                } else {
                    model.node(operator, &[&w, &x], &[&y], &[])
                }
            }
            8 => model.node("Softmax", &[&x], &[&y], &[("axis", Attr::I(1 + next(3) as i64))]),
            9 => {
                let (s, t, m) = (format!("{y}_s"), format!("{y}_t"), format!("{y}_m"));
                let middle: [&[i64]; 4] = [&[1, 64], &[1, 4, 16], &[1, 16, 4], &[4, 4, 2, 2]];
                model = model.weight(&s, ints(middle[next(4)])).weight(&t, ints(&[1, 4, 4, 4])).node(
                    "Reshape",
                    &[&x, &s],
                    &[&m],
                    &[],
                );
                let (r, m) = (format!("{y}_r"), m);
                model.node("Relu", &[&m], &[&r], &[]).node("Reshape", &[&r, &t], &[&y], &[])
            }
            10 => {
                let (c, w) = (format!("{y}_c"), format!("{y}_w"));
                let axis = 1 + next(3) as i64;
                model = model.node("Concat", &[&x, &other], &[&c], &[("axis", Attr::I(axis))]);
                let kernel = [vec![2, 1, 1], vec![1, 2, 1], vec![1, 1, 2]][axis as usize - 1].clone();
                if axis == 1 {
                    model.weight(&w, array(&[4, 8, 1, 1], seed)).node("Conv", &[&c, &w], &[&y], &[])
                } else {
                    let kernel = Attr::Is(kernel[1..].to_vec());
                    model.node("MaxPool", &[&c], &[&y], &[("kernel_shape", kernel.clone()), ("strides", kernel)])
                }
            }
            11 => {
                let (f, w, g, t) = (format!("{y}_f"), format!("{y}_w"), format!("{y}_g"), format!("{y}_t"));
                model = model.node("Flatten", &[&x], &[&f], &[]).weight(&w, array(&[64, 64], seed)).node(
                    "MatMul",
                    &[&f, &w],
                    &[&g],
                    &[],
                );
                model.weight(&t, ints(&[1, 4, 4, 4])).node("Reshape", &[&g, &t], &[&y], &[])
            }
            _ => {
                let (g, p) = (format!("{y}_g"), format!("{y}_p"));
                model = model.weight(&p, ints(&[0, 1, 0, 0, 0, 0, 1, 1])).node("Pad", &[&x, &p], &[&g], &[]);
                let w = format!("{y}_w");
                model.weight(&w, array(&[4, 5, 2, 2], seed)).node("Conv", &[&g, &w], &[&y], &[])
            }
        };
        maps.push(y);
    }
    let last = maps[maps.len() - 1].clone();
    let other = maps[maps.len() / 2].clone();
    let model = model.output(&last);
    if other != last && other != "x" { model.output(&other) } else { model }
}

/// The folder of real models beside the workspace, if there is one.
fn real_models() -> Option<PathBuf> {
    let folder = PathBuf::from(env!("CARGO_MANIFEST_DIR"))
        .ancestors()
        .map(|a| a.join("shared/data/mlperf_tiny"))
        .find(|p| p.is_dir());
    if folder.is_none() {
        println!("skipped: no shared/data/mlperf_tiny beside the workspace");
    }
    folder
}

#[test]
fn real_models_keep_no_transpose() {
    let Some(folder) = real_models() else { return };
    let check = |file: &str, macs: u64| {
        let imported = import(&folder.join(file), &ImportOptions::default()).unwrap();
        let Simplified { graph, report } = simplified(&imported, 100.0).unwrap();
        println!("{file}: {} nodes, {} MACs", graph.nodes.len(), graph.macs());
        assert_eq!(report.transposes, [], "{file}");
        assert_eq!(graph.macs(), macs, "{file}");
        origins_hold(&imported, &graph).unwrap();
    };
    check("pretrainedResnet.onnx", 12_501_632);
    check("vww_96_float.onnx", 7_489_664);
    check("ad01_fp32.onnx", 264_192);
    check("kws_ref_model_float32.onnx", 2_656_768);
}
