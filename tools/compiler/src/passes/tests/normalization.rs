//! Normalizations that exporters spell out.

use super::{check, simplified};
use crate::array::{Array, ArrayData};
use crate::graph::{Normalization, Operator};
use crate::import::build::{Attr, ModelBuilder};
use crate::lower::tests::array;
use tinfer::kernels::portable::Statistic;

fn scalar(x: f32) -> Array {
    Array::f32(vec![], vec![x])
}

/// `x / sqrt(mean(x^2) + epsilon)` of tensor `d`, as exporters write it, into tensor `y`; `words` say how.
fn quotient(model: ModelBuilder, d: &str, y: &str, words: &[&str]) -> ModelBuilder {
    let has = |word: &str| words.contains(&word);
    let axes = if has("two axes") { vec![-1, -2] } else { vec![-1] };
    let model = model.weight("epsilon", scalar(1e-3)).weight("two", scalar(2.0)).weight("half", scalar(-0.5));
    let model = if has("casts") {
        model.node("Cast", &[d], &["d_cast"], &[("to", Attr::I(1))]).node("Identity", &["d_cast"], &["d_same"], &[])
    } else {
        model.node("Identity", &[d], &["d_same"], &[])
    };
    let model = match has("product") {
        true => model.node("Mul", &["d_same", "d_same"], &["square"], &[]),
        false => model.node("Pow", &["d_same", "two"], &["square"], &[]),
    };
    let model = model.node("ReduceMean", &["square"], &["variance"], &[("axes", Attr::Is(axes))]);
    let model = model.node("Add", &["epsilon", "variance"], &["sum"], &[]);
    if has("power") {
        return model.node("Pow", &["sum", "half"], &["inverse"], &[]).node("Mul", &["inverse", d], &[y], &[]);
    }
    let model = model.node("Sqrt", &["sum"], &["deviation"], &[]);
    if has("reciprocal") {
        let model = model.node("Reciprocal", &["deviation"], &["inverse"], &[]);
        return model.node("Mul", &[d, "inverse"], &[y], &[]);
    }
    model.node("Div", &[d, "deviation"], &[y], &[])
}

fn centred(model: ModelBuilder, words: &[&str]) -> ModelBuilder {
    let axes = if words.contains(&"two axes") { vec![1, 2] } else { vec![2] };
    model.node("ReduceMean", &["x"], &["mean"], &[("axes", Attr::Is(axes))]).node("Sub", &["x", "mean"], &["d"], &[])
}

#[test]
fn every_spelling_becomes_one_node() {
    for words in [&[][..], &["casts"], &["product"], &["reciprocal", "casts"], &["power", "product"], &["two axes"]] {
        let start = || ModelBuilder::new(13).input("x", &[2, 5, 8]);
        let factors = |model: ModelBuilder| {
            model
                .weight("scale", array(&[8], 3))
                .weight("bias", array(&[1, 8], 4))
                .node("Mul", &["n", "scale"], &["scaled"], &[])
                .node("Add", &["bias", "scaled"], &["y"], &[])
                .output("y")
        };
        let plain = quotient(centred(start(), words), "d", "y", words).output("y");
        check(plain, &["Normalization"]);
        let with_factors = factors(quotient(centred(start(), words), "d", "n", words));
        // A factor that differs from row to row of two normalized axes is no factor of the node.
        let expected: &[&str] =
            if words == ["two axes"] { &["Normalization", "Binary", "Binary"] } else { &["Normalization"] };
        check(with_factors, expected);
        let mean_square = factors(quotient(start(), "x", "n", words)).import().unwrap();
        let graph = simplified(&mean_square, 100.0).unwrap().graph;
        let Operator::Normalization(Normalization { statistic, .. }) = &graph.nodes[0].operator else { panic!() };
        assert_eq!(*statistic, Statistic::MeanSquare, "{words:?}");
    }
}

#[test]
fn what_only_looks_like_it_stays() {
    // The mean of other values, and a mean that is not over the last axes.
    let other = centred(ModelBuilder::new(13).input("x", &[2, 5, 8]), &[]).node("Exp", &["d"], &["e"], &[]);
    let other = quotient(other, "e", "r", &[]).node("Div", &["d", "deviation"], &["y"], &[]).output("y");
    let graph = simplified(&other.import().unwrap(), 100.0).unwrap().graph;
    assert!(!graph.nodes.iter().any(|n| matches!(n.operator, Operator::Normalization(_))));
    let first = ModelBuilder::new(13)
        .input("x", &[2, 5, 8])
        .node("ReduceMean", &["x"], &["mean"], &[("axes", Attr::Is(vec![0]))])
        .node("Sub", &["x", "mean"], &["d"], &[])
        .node("Mul", &["d", "d"], &["square"], &[])
        .node("ReduceMean", &["square"], &["variance"], &[("axes", Attr::Is(vec![0]))])
        .weight("epsilon", scalar(1e-3))
        .node("Add", &["variance", "epsilon"], &["sum"], &[])
        .node("Sqrt", &["sum"], &["deviation"], &[])
        .node("Div", &["d", "deviation"], &["y"], &[])
        .output("y");
    let graph = simplified(&first.import().unwrap(), 100.0).unwrap().graph;
    assert!(!graph.nodes.iter().any(|n| matches!(n.operator, Operator::Normalization(_))));
}

/// The mean of a tensor over the last axis: in one node, or as a sum whose axis goes and comes back.
fn mean(model: ModelBuilder, x: &str, y: &str, words: &[&str]) -> ModelBuilder {
    if !words.contains(&"sums") {
        return model.node("ReduceMean", &[x], &[y], &[("axes", Attr::Is(vec![-1]))]);
    }
    let (sum, whole) = (format!("{y}_sum"), format!("{y}_whole"));
    model
        .node("ReduceSum", &[x, "last"], &[&sum], &[("keepdims", Attr::I(0))])
        .node("Mul", &[&sum, "share"], &[&whole], &[])
        .node("Unsqueeze", &[&whole, "last"], &[y], &[])
}

#[test]
fn a_mean_of_squares_less_a_squared_mean_is_a_variance() {
    for words in [&[][..], &["kept above 0"], &["sums", "kept above 0"], &["folded"], &["folded", "without bias"]] {
        let has = |word: &str| words.contains(&word);
        let mut model = ModelBuilder::new(13)
            .input("x", &[2, 5, 8])
            .weight("last", Array::new(vec![1], ArrayData::I64(vec![2])))
            .weight("share", scalar(0.125))
            .weight("zero", scalar(0.0))
            .weight("epsilon", scalar(1e-3))
            .weight("scale", array(&[8], 3))
            .weight("bias", array(&[8], 4))
            .node("Mul", &["x", "x"], &["square"], &[]);
        model = mean(mean(model, "x", "mean", words), "square", "squares", words)
            .node("Mul", &["mean", "mean"], &["squared"], &[])
            .node("Sub", &["squares", "squared"], &["difference"], &[])
            .node("Max", &["zero", "difference"], &["limited"], &[]);
        let variance = if has("kept above 0") { "limited" } else { "difference" };
        model = model
            .node("Add", &[variance, "epsilon"], &["sum"], &[])
            .node("Sqrt", &["sum"], &["deviation"], &[])
            .node("Reciprocal", &["deviation"], &["inverse"], &[])
            .node("Mul", &["inverse", "scale"], &["scaled"], &[]);
        model = match (has("folded"), has("without bias")) {
            (true, without_bias) => {
                let model = model
                    .node("Mul", &["x", "scaled"], &["a"], &[])
                    .node("Mul", &["scaled", "mean"], &["b"], &[])
                    .node("Sub", &["bias", "b"], &["shift"], &[]);
                match without_bias {
                    true => model.node("Sub", &["a", "b"], &["y"], &[]),
                    false => model.node("Add", &["a", "shift"], &["y"], &[]),
                }
            }
            _ => model.node("Sub", &["x", "mean"], &["d"], &[]).node("Mul", &["d", "scaled"], &["n"], &[]).node(
                "Add",
                &["n", "bias"],
                &["y"],
                &[],
            ),
        };
        check(model.output("y"), &["Normalization"]);
    }
}
