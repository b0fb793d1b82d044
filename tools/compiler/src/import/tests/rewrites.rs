//! Functions, branches and quantized operators become plain nodes.

use super::super::build::{Attr, ModelBuilder};
use super::super::*;
use crate::array::{Array, ArrayData, NamedArray};
use tract_onnx::pb::attribute_proto::AttributeType;
use tract_onnx::pb::{AttributeProto, FunctionProto, GraphProto, NodeProto, OperatorSetIdProto, ValueInfoProto};

fn node(op_type: &str, domain: &str, input: &[&str], output: &[&str], attribute: Vec<AttributeProto>) -> NodeProto {
    let names = |list: &[&str]| list.iter().map(|s| s.to_string()).collect();
    NodeProto {
        op_type: op_type.into(),
        domain: domain.into(),
        name: format!("{}_call", output[0]),
        input: names(input),
        output: names(output),
        attribute,
        ..NodeProto::default()
    }
}

/// `scaled(a) = LeakyRelu(a, alpha = slope) + a`, called twice, once through another function.
fn with_functions(opset: i64) -> ModelBuilder {
    let mut b = ModelBuilder::new(17).input("x", &[1, 3]).output("z");
    let slope = |f: f32| AttributeProto {
        name: "slope".into(),
        r#type: AttributeType::Float as i32,
        f,
        ..AttributeProto::default()
    };
    let reference = AttributeProto {
        name: "alpha".into(),
        ref_attr_name: "slope".into(),
        r#type: AttributeType::Float as i32,
        ..AttributeProto::default()
    };
    let opset_import = vec![OperatorSetIdProto { domain: String::new(), version: opset }];
    let function = |name: &str, nodes: Vec<NodeProto>| FunctionProto {
        name: Some(name.into()),
        domain: Some("local".into()),
        input: vec!["a".into()],
        output: vec!["b".into()],
        attribute: vec!["slope".into()],
        node: nodes,
        opset_import: opset_import.clone(),
        ..FunctionProto::default()
    };
    let inner = AttributeProto { ref_attr_name: "slope".into(), ..slope(0.0) };
    b.0.functions = vec![
        function(
            "scaled",
            vec![node("LeakyRelu", "", &["a"], &["h"], vec![reference]), node("Add", "", &["h", "a"], &["b"], vec![])],
        ),
        function("outer", vec![node("scaled", "local", &["a"], &["b"], vec![inner])]),
    ];
    b.graph().node.push(node("scaled", "local", &["x"], &["y"], vec![slope(0.5)]));
    b.graph().node.push(node("outer", "local", &["y"], &["z"], vec![slope(0.25)]));
    b
}

#[test]
fn functions_are_inlined() {
    let imported = with_functions(17).import().unwrap();
    let operators: Vec<&str> = imported.nodes.iter().map(|n| &*n.operator).collect();
    assert_eq!(operators, ["LeakyRelu", "Add", "LeakyRelu", "Add"]);
    let x = NamedArray::new("x", Array::f32(vec![1, 3], vec![-2.0, 0.0, 4.0]));
    let z = Reference::new(&imported).unwrap().run(&[x]).unwrap();
    // -2 -> -3 -> -3.75; 4 -> 8 -> 16.
    assert_eq!(z[0].array.to_f32(), [-3.75, 0.0, 16.0]);
}

#[test]
fn functions_of_another_operator_set_and_recursive_ones_are_refused() {
    assert_eq!(with_functions(13).import().unwrap_err().code(), "unsupported-feature");
    let mut recursive = with_functions(17);
    recursive.0.functions[0].node[0] = node("outer", "local", &["a"], &["h"], vec![]);
    assert_eq!(recursive.import().unwrap_err().code(), "unsupported-feature");
}

#[test]
fn a_default_of_a_function_that_is_not_read_is_refused() {
    let mut optional = with_functions(17);
    optional.graph().node[0].attribute.clear();
    // Without a default the operator's own one holds.
    assert!(optional.import().is_ok());
    optional.0.functions[0].attribute.clear();
    let refusal = optional.import().unwrap_err().to_string();
    assert!(refusal.contains("attribute 'slope'") && refusal.contains("default"), "{refusal}");
}

/// `y = Neg(x)` if the condition holds, `y = x` (named as outside) if not.
fn branch(nodes: Vec<NodeProto>, output: &str) -> GraphProto {
    let output = ValueInfoProto { name: output.into(), ..ValueInfoProto::default() };
    GraphProto { node: nodes, output: vec![output], ..GraphProto::default() }
}

fn graph(name: &str, g: GraphProto) -> AttributeProto {
    AttributeProto { name: name.into(), r#type: AttributeType::Graph as i32, g: Some(g), ..AttributeProto::default() }
}

fn with_if(condition: bool) -> ModelBuilder {
    let mut b = ModelBuilder::new(17).input("x", &[1, 3]).output("y");
    b = b.weight("yes", Array::new(vec![], ArrayData::Bool(vec![u8::from(condition)])));
    let taken = branch(vec![node("Abs", "", &["x"], &["t"], vec![]), node("Neg", "", &["t"], &["r"], vec![])], "r");
    let branches = vec![graph("then_branch", taken), graph("else_branch", branch(vec![], "x"))];
    b.graph().node.push(node("If", "", &["yes"], &["y"], branches));
    b
}

#[test]
fn branches_of_known_conditions_are_taken() {
    for (condition, operators) in [(true, vec!["Abs", "Neg"]), (false, vec!["Identity"])] {
        let imported = with_if(condition).import().unwrap();
        assert_eq!(imported.nodes.iter().map(|n| &*n.operator).collect::<Vec<_>>(), operators);
        assert_eq!(imported.facts["y"].shape, [1, 3]);
    }
}

/// `y = rate == 8 ? -x : (last axis of |x| is 3 ? |x| : x)`: the inner branch reads what the outer one computes.
fn with_nested_if() -> ModelBuilder {
    let one = |name: &str, i: i64| (name.to_string(), Array::new(vec![1], ArrayData::I64(vec![i])));
    let mut b = ModelBuilder::new(17).input("x", &[1, 3]).output("y");
    for (name, array) in [one("eight", 8), one("three", 3), one("last", 1)] {
        b = b.weight(&name, array);
    }
    let rate = b.graph().input[0].clone();
    b.graph().input.push(ValueInfoProto { name: "rate".into(), ..rate });
    let inner = vec![
        node("Abs", "", &["x"], &["a"], vec![]),
        node("Shape", "", &["a"], &["shape"], vec![]),
        node("Gather", "", &["shape", "last"], &["n"], vec![]),
        node("Equal", "", &["n", "three"], &["is_three"], vec![]),
        node(
            "If",
            "",
            &["is_three"],
            &["o"],
            vec![
                graph("then_branch", branch(vec![node("Identity", "", &["a"], &["t"], vec![])], "t")),
                graph("else_branch", branch(vec![node("Identity", "", &["x"], &["e"], vec![])], "e")),
            ],
        ),
    ];
    let integer = AttributeProto { name: "to".into(), r#type: AttributeType::Int as i32, i: 7, ..Default::default() };
    let zero =
        AttributeProto { name: "keepdims".into(), r#type: AttributeType::Int as i32, i: 0, ..Default::default() };
    b.graph().node.extend([
        node("ReduceMax", "", &["rate"], &["top"], vec![zero]),
        node("Cast", "", &["top"], &["whole"], vec![integer]),
        node("Equal", "", &["whole", "eight"], &["is_eight"], vec![]),
        node(
            "If",
            "",
            &["is_eight"],
            &["y"],
            vec![
                graph("then_branch", branch(vec![node("Neg", "", &["x"], &["m"], vec![])], "m")),
                graph("else_branch", branch(inner, "o")),
            ],
        ),
    ]);
    b
}

#[test]
fn inputs_of_given_value_decide_branches_in_branches() {
    let import = |name: &str, value: f64| {
        let values = vec![(name.to_string(), value)];
        with_nested_if().import_as(&ImportOptions { values, ..ImportOptions::default() })
    };
    let found = |value: f64| {
        let imported = import("rate", value).unwrap();
        assert_eq!(imported.inputs.iter().map(|i| &*i.name).collect::<Vec<_>>(), ["x"]);
        let x = NamedArray::new("x", Array::f32(vec![1, 3], vec![-1.0, 2.0, -3.0]));
        Reference::new(&imported).unwrap().run(&[x]).unwrap()[0].array.to_f32()
    };
    assert_eq!(found(8.0), [1.0, -2.0, 3.0]);
    assert_eq!(found(16.0), [1.0, 2.0, 3.0]);
    let error = import("speed", 1.0).unwrap_err();
    assert_eq!((error.code(), error.to_string()), ("unknown-input", "no input is called 'speed'".into()));
    assert_eq!(error.hint(), "the model's inputs are x, rate");
    assert_eq!(import("rate", f64::INFINITY).unwrap_err().code(), "input-value");
}

#[test]
fn quantized_operators_become_qdq_form() {
    let zero = |name: &str| (name.to_string(), Array::new(vec![], ArrayData::I8(vec![0])));
    let weights = Array::new(vec![4, 3, 3, 3], ArrayData::I8((0..108).map(|i| (i % 13) as i8 - 6).collect()));
    let mut b = ModelBuilder::new(17).int8_input("x", &[1, 3, 8, 8]).int8_output("y").weight("w", weights);
    for (name, scale) in [("xs", 0.02), ("ys", 0.1)] {
        b = b.weight(name, Array::f32(vec![], vec![scale]));
    }
    b = b.weight("ws", Array::f32(vec![4], vec![0.01, 0.02, 0.03, 0.04]));
    for (name, array) in [zero("xz"), zero("wz"), zero("yz")] {
        b = b.weight(&name, array);
    }
    b = b.weight("wz4", Array::new(vec![4], ArrayData::I8(vec![0; 4])));
    b = b.weight("bias", Array::new(vec![4], ArrayData::I32(vec![100, -50, 0, 25])));
    let inputs = ["x", "xs", "xz", "w", "ws", "wz4", "ys", "yz", "bias"];
    let imported = b.node("QLinearConv", &inputs, &["y"], &[("pads", Attr::Is(vec![1, 1, 1, 1]))]).import().unwrap();
    let operators: Vec<&str> = imported.nodes.iter().map(|n| &*n.operator).collect();
    assert_eq!(operators, ["DequantizeLinear", "Conv", "QuantizeLinear"]);
    let conv = &imported.nodes[1];
    assert_eq!(imported.quantizations[&conv.inputs[1]].scales, [0.01, 0.02, 0.03, 0.04]);
    let bias = imported.value(&conv.inputs[2]).unwrap().to_f32();
    assert!((bias[1] - -50.0 * 0.02 * 0.02).abs() < 1e-7, "{bias:?}");
    // The same integers as in the file come out of quantization.
    let graph = crate::passes::simplify(crate::lower::lower(&imported).unwrap()).graph;
    assert!(crate::quantize::is_quantized(&graph));
}
