//! Gelu, which exporters write as several nodes.

use super::rewrite::{constant, only_consumer, producer};
use crate::graph::{Binary, Clamp, Graph, Node, Operator, TensorId, Unary};
use std::f64::consts::{FRAC_1_SQRT_2, FRAC_2_PI};

/// `x * (1 + erf(x / sqrt 2)) / 2`, and its form with tanh, whatever the order of the factors.
pub fn spelled_out(graph: &mut Graph, i: usize) -> bool {
    let Some((x, function, onnx)) = gelu_of(graph, i) else { return false };
    if graph.tensor(x).shape != graph.tensor(graph.nodes[i].outputs[0]).shape {
        return false;
    }
    let node = &mut graph.nodes[i];
    node.operator = Operator::Unary(function);
    node.onnx = onnx.into();
    node.inputs = vec![x];
    true
}

fn gelu_of(graph: &Graph, i: usize) -> Option<(TensorId, Unary, &'static str)> {
    let (factor, tensors) = factors(graph, graph.nodes.get(i)?)?;
    let &[a, b] = &tensors[..] else { return None };
    if !near(factor, 0.5) {
        return None;
    }
    [(a, b), (b, a)].into_iter().find_map(|(x, gate)| {
        let inner = producer(graph, plus_constant(graph, gate, 1.0)?)?;
        match inner.operator {
            Operator::Unary(Unary::Erf) => {
                let (factor, tensors) = factors(graph, producer(graph, inner.inputs[0])?)?;
                let is_gelu = near(factor, FRAC_1_SQRT_2) && tensors == [x];
                is_gelu.then_some((x, Unary::Gelu, "Div+Erf+Add+Mul"))
            }
            Operator::Unary(Unary::Tanh) => {
                let (factor, tensors) = factors(graph, producer(graph, inner.inputs[0])?)?;
                let &[sum] = &tensors[..] else { return None };
                let is_gelu = near(factor, FRAC_2_PI.sqrt()) && is_cubic(graph, sum, x);
                is_gelu.then_some((x, Unary::GeluTanh, "Pow+Mul+Add+Tanh+Mul"))
            }
            _ => None,
        }
    })
}

/// Whether a tensor is `x + 0.044715 x^3`.
fn is_cubic(graph: &Graph, sum: TensorId, x: TensorId) -> bool {
    let find = || {
        let node = producer(graph, sum).filter(|n| is_binary(n, Binary::Add))?;
        let cube = node.inputs.iter().copied().find(|&id| id != x).filter(|_| node.inputs.contains(&x))?;
        let (factor, tensors) = factors(graph, producer(graph, cube)?)?;
        let cubed = match tensors[..] {
            [power] => producer(graph, power)
                .is_some_and(|n| n.operator == Operator::Unary(Unary::Power { exponent: 3.0 }) && n.inputs == [x]),
            _ => tensors == [x, x, x],
        };
        Some(cubed && near(factor, 0.044_715))
    };
    find().unwrap_or(false)
}

/// The factors of a product: constants of one element together, then everything else.
fn factors(graph: &Graph, node: &Node) -> Option<(f64, Vec<TensorId>)> {
    if !is_binary(node, Binary::Mul) {
        return None;
    }
    let (mut product, mut tensors) = (1.0, Vec::new());
    for &id in &node.inputs {
        if let Some(&[value]) = constant(graph, id) {
            product *= f64::from(value);
            continue;
        }
        match producer(graph, id).filter(|_| only_consumer(graph, id).is_some()).and_then(|n| factors(graph, n)) {
            Some((factor, inner)) => {
                product *= factor;
                tensors.extend(inner);
            }
            None => tensors.push(id),
        }
    }
    Some((product, tensors))
}

/// The other operand of a sum with this constant.
fn plus_constant(graph: &Graph, id: TensorId, value: f64) -> Option<TensorId> {
    let node = producer(graph, id).filter(|n| is_binary(n, Binary::Add))?;
    let is_constant = |id: TensorId| matches!(constant(graph, id), Some(&[v]) if near(f64::from(v), value));
    let (a, b) = (node.inputs[0], node.inputs[1]);
    if is_constant(b) { Some(a) } else { Some(b).filter(|_| is_constant(a)) }
}

fn is_binary(node: &Node, wanted: Binary) -> bool {
    matches!(&node.operator, Operator::Binary { function, clamp } if *function == wanted && *clamp == Clamp::default())
}

/// Constants in files are rounded to a few digits.
fn near(a: f64, b: f64) -> bool {
    (a - b).abs() <= 1e-4 * b.abs()
}

#[cfg(test)]
mod tests {
    use super::*;
    use crate::array::{Array, ArrayData};
    use crate::import::build::ModelBuilder;
    use crate::lower::lower;
    use crate::lower::tests::check_against_reference;
    use crate::passes::simplify;

    fn scalar(value: f32) -> Array {
        Array::new(vec![], ArrayData::F32(vec![value]))
    }

    fn check(model: ModelBuilder, expected: &[Operator]) {
        let imported = model.output("y").import().unwrap();
        let graph = simplify(lower(&imported).unwrap()).graph;
        let found: Vec<&Operator> = graph.nodes.iter().map(|n| &n.operator).collect();
        assert_eq!(found, expected.iter().collect::<Vec<_>>());
        check_against_reference(&imported, &graph, 100.0);
    }

    fn model(constants: &[(&str, f32)]) -> ModelBuilder {
        let model = ModelBuilder::new(13).input("x", &[2, 3, 4]);
        constants.iter().fold(model, |model, (name, value)| model.weight(name, scalar(*value)))
    }

    #[test]
    fn products_with_erf_become_one_node_in_any_order() {
        let constants = [("root", std::f32::consts::SQRT_2), ("one", 1.0), ("half", 0.5)];
        let gate = || {
            model(&constants).node("Div", &["x", "root"], &["d"], &[]).node("Erf", &["d"], &["e"], &[]).node(
                "Add",
                &["e", "one"],
                &["g"],
                &[],
            )
        };
        let gelu = [Operator::Unary(Unary::Gelu)];
        check(gate().node("Mul", &["x", "g"], &["m"], &[]).node("Mul", &["m", "half"], &["y"], &[]), &gelu);
        check(gate().node("Mul", &["x", "half"], &["h"], &[]).node("Mul", &["h", "g"], &["y"], &[]), &gelu);
        check(gate().node("Mul", &["half", "g"], &["h"], &[]).node("Mul", &["h", "x"], &["y"], &[]), &gelu);
    }

    #[test]
    fn the_form_with_tanh_becomes_one_node() {
        let constants = [("three", 3.0), ("c", 0.044_715), ("root", 0.797_884_6), ("one", 1.0), ("half", 0.5)];
        let model = model(&constants)
            .node("Pow", &["x", "three"], &["p"], &[])
            .node("Mul", &["p", "c"], &["pc"], &[])
            .node("Add", &["x", "pc"], &["s"], &[])
            .node("Mul", &["s", "root"], &["r"], &[])
            .node("Tanh", &["r"], &["t"], &[])
            .node("Add", &["t", "one"], &["g"], &[])
            .node("Mul", &["x", "g"], &["m"], &[])
            .node("Mul", &["m", "half"], &["y"], &[]);
        check(model, &[Operator::Unary(Unary::GeluTanh)]);
    }

    #[test]
    fn other_factors_stay() {
        let constants = [("root", 1.5), ("one", 1.0), ("half", 0.5)];
        let model = model(&constants)
            .node("Div", &["x", "root"], &["d"], &[])
            .node("Erf", &["d"], &["e"], &[])
            .node("Add", &["e", "one"], &["g"], &[])
            .node("Mul", &["x", "g"], &["m"], &[])
            .node("Mul", &["m", "half"], &["y"], &[]);
        let imported = model.output("y").import().unwrap();
        assert_eq!(simplify(lower(&imported).unwrap()).graph.nodes.len(), 5);
    }
}
