//! Planted channels, and what must and must not become of them.

mod network;

use super::{trim, trim_for};
use crate::graph::{Binary, Constant, Graph, Operator};
use crate::kept_channels::KeptChannels;
use Planted::{Clamped, Constant as Fixed, Living};
use network::{Network, OPEN, Planted, RELU, ZERO_POINT, check, check_equal, window};
use std::num::NonZeroUsize;

const ZERO: Planted = Fixed(ZERO_POINT as i8);

#[test]
fn constants_fold_into_the_next_bias_where_nothing_is_padded() {
    let (mut n, x) = Network::new(1, &[1, 5, 5, 3]);
    let a = n.conv("a", x, window(3, 1, 1), OPEN, &[Living, Fixed(40), Living, Fixed(-90), ZERO]);
    let b = n.conv("b", a, window(3, 1, 0), OPEN, &[Living, Living]);
    let graph = n.finish(&[b]);
    let report = check(&graph, &[("a", 2), ("b", 2)]);
    let layer = &report.layers[0];
    let values: Vec<(usize, i8)> = layer.constant.iter().map(|c| (c.channel, c.value)).collect();
    assert_eq!(values, [(1, 40), (3, -90), (4, ZERO_POINT as i8)]);
    assert_eq!(layer.constant[0].accumulator, Some([47 * 64, 47 * 64]));
    assert!((layer.constant[0].real - 2.35).abs() < 1e-6);
    assert_eq!((layer.macs_before, layer.macs_after), (25 * 27 * 5, 25 * 27 * 2));
    assert_eq!((layer.weights_bytes_before, layer.weights_bytes_after), (5 * 27 + 20, 2 * 27 + 8));
}

#[test]
fn channels_that_fill_a_word_stay_where_that_is_cheaper() {
    let (mut n, x) = Network::new(1, &[1, 5, 5, 3]);
    let a = n.conv("a", x, window(1, 1, 0), OPEN, &[Living, ZERO, ZERO, Living, Living, ZERO]);
    let b = n.depthwise("b", a, window(3, 1, 1), OPEN);
    let c = n.conv("c", b, window(1, 1, 0), OPEN, &[Living, Living]);
    let graph = n.finish(&[c]);
    let channels = |graph: &Graph| {
        ["a", "b", "c"]
            .map(|name| graph.tensors.iter().find(|t| t.name == name).map_or(0, |t| *t.shape.last().unwrap()))
    };
    for (multiple, expected) in [(1, [3, 3, 2]), (2, [4, 4, 2]), (4, [4, 4, 2]), (8, [6, 6, 2])] {
        assert_eq!(channels(&trim(&graph, NonZeroUsize::new(multiple).unwrap()).graph), expected, "{multiple}");
    }
    // Odd numbers of channels cost more, as on a processor that reads pairs.
    let odd = |graph: &Graph| Some(channels(graph).map(|n| n as u64 + 10 * (n as u64 % 2)).iter().sum());
    assert_eq!(channels(&trim_for(&graph, odd).graph), [4, 4, 2]);
    assert_eq!(channels(&trim_for(&graph, |graph| Some(channels(graph)[0] as u64)).graph), [3, 3, 2]);
    assert_eq!(channels(&trim_for(&graph, |_| None).graph), [3, 3, 2]);
}

#[test]
fn padding_sees_the_zero_point_and_not_the_constant() {
    let padded = |planted: Planted| {
        let (mut n, x) = Network::new(2, &[1, 4, 4, 2]);
        let a = n.conv("a", x, window(1, 1, 0), OPEN, &[Living, planted, Living]);
        let b = n.conv("b", a, window(3, 1, 1), OPEN, &[Living, Living, Living]);
        (n, b)
    };
    let (n, b) = padded(ZERO);
    check(&n.finish(&[b]), &[("a", 2)]);
    let (n, b) = padded(Fixed(50));
    check(&n.finish(&[b]), &[("a", 3)]);
    let (mut n, b) = padded(Fixed(50));
    n.only_middle("b", 1);
    check(&n.finish(&[b]), &[("a", 2)]);
    let (mut n, b) = padded(Fixed(50));
    n.ignore("b", 1);
    check(&n.finish(&[b]), &[("a", 2)]);
}

#[test]
fn depthwise_convolutions_pass_constants_on_unless_the_border_differs() {
    for (planted, padding, channels) in
        [(ZERO, 1, 2), (Fixed(30), 0, 2), (Fixed(30), 1, 3), (Clamped, 1, 2), (Living, 1, 3)]
    {
        let (mut n, x) = Network::new(3, &[1, 5, 5, 2]);
        let a = n.conv("a", x, window(1, 1, 0), RELU, &[Living, planted, Living]);
        let b = n.depthwise("b", a, window(3, 1, padding), OPEN);
        let c = n.conv("c", b, window(1, 1, 0), OPEN, &[Living, Living]);
        check(&n.finish(&[c]), &[("a", channels), ("b", channels), ("c", 2)]);
    }
}

#[test]
fn unread_channels_go_backwards_through_the_whole_chain() {
    let (mut n, x) = Network::new(4, &[1, 5, 5, 2]);
    let a = n.conv("a", x, window(3, 1, 1), RELU, &[Living; 4]);
    let b = n.depthwise("b", a, window(3, 1, 1), RELU);
    let c = n.max_pool("c", b, window(2, 1, 0));
    let d = n.conv("d", c, window(3, 1, 1), RELU, &[Living; 3]);
    let e = n.conv("e", d, window(1, 1, 0), OPEN, &[Living; 2]);
    n.ignore("d", 2);
    n.ignore("e", 1);
    let report = check(&n.finish(&[e]), &[("a", 3), ("b", 3), ("c", 3), ("d", 2)]);
    assert_eq!(report.layers[0].unread, [2]);
    assert_eq!(report.n_channels(), 4);
    let text = report.to_string();
    assert!(text.contains("4 channels are gone: 4524 -> 2953 MACs"), "{text}");
}

#[test]
fn sums_lose_a_channel_only_on_both_sides() {
    let sum = |planted_a: Planted, planted_b: Planted, function: Binary| {
        let (mut n, x) = Network::new(5, &[1, 3, 3, 2]);
        let a = n.conv("a", x, window(1, 1, 0), OPEN, &[Living, planted_a, Living]);
        let b = n.conv("b", x, window(3, 1, 1), OPEN, &[Living, planted_b, Living]);
        let c = n.binary("c", function, a, b);
        let d = n.conv("d", c, window(1, 1, 0), OPEN, &[Living, Living]);
        n.finish(&[d])
    };
    for function in [Binary::Add, Binary::Sub, Binary::Mul] {
        check(&sum(Fixed(20), Fixed(-30), function), &[("a", 2), ("b", 2), ("c", 2)]);
    }
    check(&sum(Fixed(20), Living, Binary::Add), &[("a", 3), ("b", 3), ("c", 3)]);
    check(&sum(Living, Fixed(20), Binary::Mul), &[("a", 3), ("b", 3), ("c", 3)]);
    // Times zero is zero.
    check(&sum(Living, ZERO, Binary::Mul), &[("a", 2), ("b", 2), ("c", 2)]);
}

#[test]
fn residuals_and_constant_operands_are_cut_together() {
    let (mut n, x) = Network::new(6, &[1, 4, 4, 3]);
    let a = n.conv("a", x, window(1, 1, 0), RELU, &[Living, Clamped, Living, ZERO]);
    let b = n.conv("b", a, window(3, 1, 1), OPEN, &[Living, Fixed(3), Living, Living]);
    let offset = n.constant("offset", &[4], vec![1, 2, 3, 4]);
    let b = n.binary("b_offset", Binary::Add, b, offset);
    let factor = n.constant("factor", &[1], vec![13]);
    let b = n.binary("b_factor", Binary::Mul, b, factor);
    let sum = n.binary("sum", Binary::Add, a, b);
    let out = n.conv("out", sum, window(1, 1, 0), OPEN, &[Living, Living]);
    let (after, _) = check_equal(&n.finish(&[out]));
    let find = |name: &str| after.tensors.iter().find(|t| t.name == name).unwrap();
    // Channel 1 is constant on both sides; channel 3 only on one.
    assert_eq!(find("sum").shape, [1, 4, 4, 3]);
    assert_eq!(find("offset").constant, Some(Constant::I8(vec![1, 3, 4])));
    assert_eq!(find("factor").shape, [1]);
    let kept = find("sum").origin.as_ref().and_then(|o| o.kept.clone());
    assert_eq!(kept, Some(KeptChannels { of: 4, channels: vec![0, 2, 3] }));
}

#[test]
fn concatenations_are_cut_piece_by_piece() {
    let (mut n, x) = Network::new(7, &[1, 4, 4, 2]);
    let a = n.conv("a", x, window(1, 1, 0), OPEN, &[Living, Fixed(9)]);
    let b = n.conv("b", x, window(3, 1, 1), OPEN, &[Fixed(1), Fixed(2)]);
    let fixed = n.constant("fixed", &[1, 4, 4, 1], (0..16).collect());
    let c = n.conv("c", x, window(1, 1, 0), OPEN, &[Fixed(-9), Living, Living]);
    let all = n.concat("all", &[a, b, fixed, c]);
    let out = n.conv("out", all, window(2, 1, 0), OPEN, &[Living, Living]);
    n.ignore("out", 6);
    let graph = n.finish(&[out]);
    check(&graph, &[("a", 1), ("b", 0), ("fixed", 1), ("c", 1), ("all", 3)]);
}

#[test]
fn pools_and_flattening_take_constants_along() {
    let (mut n, x) = Network::new(8, &[1, 6, 6, 2]);
    let a = n.conv("a", x, window(3, 1, 1), RELU, &[Living, Fixed(60), Clamped, Living]);
    let b = n.average_pool("b", a, window(2, 2, 0));
    let c = n.flatten("c", b);
    let d = n.fully_connected("d", c, OPEN, &[Living, Fixed(5), Living]);
    let report = check(&n.finish(&[d]), &[("a", 2), ("b", 2), ("c", 18), ("d", 3)]);
    assert_eq!(report.layers.len(), 4);
    let (mut n, x) = Network::new(8, &[1, 6, 6, 2]);
    let a = n.conv("a", x, window(3, 1, 1), RELU, &[Living, Fixed(60), Clamped, Living]);
    // Padded zeros count: the border of channel 1 has other averages.
    let b = n.average_pool("b", a, window(3, 1, 1));
    let c = n.flatten("c", b);
    let d = n.fully_connected("d", c, OPEN, &[Living, Living]);
    check(&n.finish(&[d]), &[("a", 3), ("c", 108)]);
}

#[test]
fn inputs_and_outputs_keep_their_shapes() {
    let (mut n, x) = Network::new(9, &[1, 3, 3, 3]);
    let a = n.conv("a", x, window(1, 1, 0), RELU, &[Living, Fixed(3), Clamped]);
    let b = n.conv("b", a, window(1, 1, 0), RELU, &[Fixed(3), Fixed(4), Living]);
    n.ignore("a", 1);
    check(&n.finish(&[b, a]), &[("x", 3), ("a", 3), ("b", 3)]);
}

#[test]
fn constant_outputs_need_no_inputs() {
    let (mut n, x) = Network::new(10, &[1, 3, 3, 3]);
    let a = n.conv("a", x, window(1, 1, 0), OPEN, &[Living; 5]);
    // Reads everything, but the clamp leaves nothing of it.
    let b = n.conv("b", a, window(3, 1, 1), RELU, &[Clamped, Living, Clamped]);
    (0..4).for_each(|c| n.ignore("b", c));
    let graph = n.finish(&[b]);
    check(&graph, &[("a", 1), ("b", 3)]);
    // All of it constant: one channel stays, because a layer reads something.
    let (mut n, x) = Network::new(10, &[1, 3, 3, 3]);
    let a = n.conv("a", x, window(1, 1, 0), OPEN, &[Living; 5]);
    let b = n.conv("b", a, window(3, 1, 1), RELU, &[Clamped, Clamped]);
    check(&n.finish(&[b]), &[("a", 1), ("b", 2)]);
}

#[test]
fn groups_go_as_a_whole() {
    let (mut n, x) = Network::new(11, &[1, 3, 3, 2]);
    let a = n.conv("a", x, window(1, 1, 0), OPEN, &[Living, Living, Fixed(4), Living, Fixed(1), Fixed(2)]);
    let b = n.grouped("b", a, window(3, 1, 1), 3, OPEN, &[Living; 6]);
    let c = n.conv("c", b, window(1, 1, 0), OPEN, &[Living, Living]);
    [2, 3].into_iter().for_each(|o| n.ignore("c", o));
    n.ignore("c", 5);
    let (after, report) = check_equal(&n.finish(&[c]));
    let groups = after.nodes.iter().find_map(|n| match n.operator {
        Operator::Conv2d { groups, .. } if n.name == "b" => Some(groups),
        _ => None,
    });
    assert_eq!(groups, Some(2), "{report}");
}

#[test]
fn a_sum_that_may_overflow_is_left_alone() {
    let (mut n, x) = Network::new(12, &[1, 2, 2, 2]);
    let a = n.conv("a", x, window(1, 1, 0), OPEN, &[Living, Fixed(100), Living]);
    let b = n.conv("b", a, window(1, 1, 0), OPEN, &[Living, Living]);
    let bias = n.graph.tensors.iter_mut().find(|t| t.name == "b.b").unwrap();
    bias.constant = Some(Constant::I32(vec![i32::MAX - 5_000, 5]));
    check(&n.finish(&[b]), &[("a", 3)]);
}

/// Networks of random shapes, operators and planted channels: what comes out must not change.
#[test]
fn random_networks_give_the_same() {
    let mut n_gone = 0;
    for seed in 100..160 {
        let (_, report) = check_equal(&random_network(seed));
        n_gone += report.n_channels();
        assert!(report.macs_after <= report.macs_before);
    }
    assert!(n_gone > 300, "{n_gone}");
}

fn random_network(seed: u64) -> crate::graph::Graph {
    let depth = 1 + (seed as usize % 3);
    let (mut n, x) = Network::new(seed, &[1, 5, 4, depth]);
    let mut at = x;
    for layer in 0..3 + seed % 4 {
        let name = format!("l{layer}");
        let clamp = if n.below(2) == 0 { RELU } else { OPEN };
        let n_outputs = 2 + n.below(6);
        let planted: Vec<Planted> = (0..n_outputs)
            .map(|_| match n.below(6) {
                0 => ZERO,
                1 => Fixed(n.below(100) as i8),
                2 => Clamped,
                _ => Living,
            })
            .collect();
        let kernel = 1 + 2 * n.below(2);
        let channels = *n.shape(at).last().unwrap();
        at = match n.below(6) {
            0 => n.depthwise(&name, at, window(3, 1, 1), clamp),
            1 => n.max_pool(&name, at, window(3, 1, 1)),
            2 => {
                let other = n.conv(&format!("{name}.other"), at, window(kernel, 1, kernel / 2), clamp, &planted);
                let own = n.conv(&format!("{name}.own"), at, window(1, 1, 0), clamp, &planted);
                n.binary(&name, if n_outputs % 2 == 0 { Binary::Add } else { Binary::Mul }, own, other)
            }
            3 => {
                let other = n.conv(&format!("{name}.other"), at, window(kernel, 1, kernel / 2), clamp, &planted);
                n.concat(&name, &[other, at])
            }
            _ => n.conv(&name, at, window(kernel, 1, kernel / 2), clamp, &planted),
        };
        if let Some(last) = n.graph.nodes.last().filter(|l| matches!(l.operator, Operator::Conv2d { .. })) {
            let name = last.name.clone();
            let ignored = n.below(channels);
            n.ignore(&name, ignored);
        }
    }
    let flat = n.flatten("flat", at);
    let out = n.fully_connected("out", flat, OPEN, &[Living, Living, Fixed(1)]);
    n.finish(&[out])
}
