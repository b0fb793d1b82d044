//! Which layers run in strips of rows, and in how many.

use super::lifetimes::Lifetimes;
use super::strips::{self, Pair};
use super::{Effort, Planned, place, plan};
use crate::choose::Chosen;
use crate::graph::{Graph, Node, Operator};
use serde::Serialize;

/// Two layers that run in strips of rows.
#[derive(Clone, Debug, PartialEq, Eq, Serialize)]
pub struct Streamed {
    /// Name of the node that makes the wide tensor.
    pub producer: String,
    /// Name of the node that reads it.
    pub consumer: String,
    /// Number of strips.
    pub n_strips: usize,
    /// Multiply-accumulates that are computed again because the windows of neighbouring strips overlap, less those of
    /// rows that nobody reads and no strip computes.
    pub repeated_macs: i64,
}

/// Plans a graph, with pairs of layers in strips of rows where that makes the arena much smaller.
///
/// Gives the graph that was planned, the plan, and what was split.
///
/// # Algorithm
/// Again and again the pair and the number of strips with the lowest cost, while that lowers the cost by 7 % or more.
/// The cost of a graph is `arena * (1 + 4 * r + n / 250)` with `r` the part of its multiply-accumulates that is
/// repeated and `n` its number of strips: a hundredth of repeated work must buy four hundredths of arena. Arenas are
/// estimated by first fit; what wins is planned in full, and taken if it is smaller than the graph as it was.
pub fn plan_in_strips(graph: Graph, choose: &dyn Fn(&Graph, &Node) -> Chosen) -> (Graph, Planned, Vec<Streamed>) {
    let whole = plan(&graph, choose);
    let macs = graph.macs().max(1);
    let cost = |graph: &Graph, arena_bytes: usize, n_strips: usize| {
        let repeated = (graph.macs() - macs.min(graph.macs())) as f64 / macs as f64;
        arena_bytes as f64 * (1.0 + REPEATED_WEIGHT * repeated + STRIP_WEIGHT * n_strips as f64)
    };
    let mut best = graph.clone();
    let mut streamed: Vec<Streamed> = Vec::new();
    let mut best_cost = cost(&best, whole.arena_bytes, 0);
    for _ in 0..MOST_PAIRS {
        let n_before: usize = streamed.iter().map(|s| s.n_strips).sum();
        let candidates = strips::pairs(&best).into_iter().flat_map(|pair| STRIPS.map(|n| (pair, n)));
        let candidates = candidates.filter(|(pair, _)| best.tensor(pair.wide).n_bytes() * 4 >= whole.arena_bytes);
        let tried = candidates.filter_map(|(pair, n)| {
            let split = strips::split(&best, pair, n)?;
            let arena_bytes = estimate(&split, choose);
            let cost = cost(&split, arena_bytes, n_before + n);
            Some((cost, split, pair))
        });
        let Some((cost, split, pair)) = tried.min_by(|a, b| a.0.total_cmp(&b.0)) else { break };
        if cost > LEAST_GAIN * best_cost {
            break;
        }
        streamed.push(report(&best, &split, pair));
        (best, best_cost) = (split, cost);
    }
    if streamed.is_empty() {
        return (graph, whole, streamed);
    }
    let planned = plan(&best, choose);
    if planned.arena_bytes < whole.arena_bytes { (best, planned, streamed) } else { (graph, whole, Vec::new()) }
}

fn estimate(graph: &Graph, choose: &dyn Fn(&Graph, &Node) -> Chosen) -> usize {
    let order: Vec<usize> = (0..graph.nodes.len()).collect();
    place(Lifetimes::new(graph, &order, choose), graph, Effort::Estimate).arena_bytes
}

fn report(before: &Graph, split: &Graph, pair: Pair) -> Streamed {
    let joins = |n: &&Node| n.operator == Operator::JoinRows && n.outputs == before.nodes[pair.consumer].outputs;
    let n_strips = split.nodes.iter().find(joins).map_or(0, |n| n.inputs.len());
    let name = |node: usize| before.nodes[node].name.clone();
    Streamed {
        producer: name(pair.producer),
        consumer: name(pair.consumer),
        n_strips,
        repeated_macs: split.macs() as i64 - before.macs() as i64,
    }
}

/// Numbers of strips that are tried.
const STRIPS: [usize; 7] = [2, 3, 4, 6, 8, 12, 16];
/// Most pairs that are split.
const MOST_PAIRS: usize = 4;
/// Hundredths of arena that a hundredth of repeated work must buy.
const REPEATED_WEIGHT: f64 = 4.0;
/// What a strip costs: its steps in the image, and the start of two kernels.
const STRIP_WEIGHT: f64 = 0.004;
/// A cost that is worth a change, over the one before.
const LEAST_GAIN: f64 = 0.93;
