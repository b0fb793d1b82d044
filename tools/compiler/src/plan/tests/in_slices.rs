//! Layers in slices give what they give as a whole, and no step costs more than it may.

use super::check;
use super::in_strips::{Chain, average_pool, conv, depthwise, max_pool, run, window};
use crate::choose::for_isa;
use crate::graph::{Graph, Node, Operator, Window};
use crate::plan::{plan, plan_in_strips, slice};
use tinfer::isa::Isa;

/// A stand-in for instructions: elements that a step makes.
fn elements(graph: &Graph, node: &Node) -> Option<u64> {
    let is_step = !matches!(node.operator, Operator::Rows { .. } | Operator::JoinRows | Operator::Reshape);
    is_step.then(|| graph.tensor(node.outputs[0]).n_elements() as u64)
}

#[test]
fn slices_give_the_bits_of_the_whole_and_stay_below_the_limit() {
    let choose = for_isa(Isa::Portable);
    let mut n_sliced = 0;
    for first in [window(1, 1, 1, 0), window(3, 1, 1, 1), window(3, 2, 1, 1), window(2, 1, 2, 1)] {
        for (second, operator) in [
            (window(3, 2, 1, 1), depthwise as fn(Window) -> Operator),
            (window(5, 1, 1, 2), conv),
            (window(2, 2, 1, 0), max_pool),
            (window(3, 2, 1, 1), average_pool),
        ] {
            let windows = [first.clone(), second];
            let graph = Chain { size: [17, 12], channels: [4, 8, 4], windows, second: operator }.graph();
            let whole = run(&graph, &check(&graph, &choose));
            // Rows of 12 pixels of 8 channels at most.
            for most in [12 * 8, 250, 500] {
                let (sliced, report) = slice(&graph, most, &elements);
                n_sliced += report.len();
                let planned = check(&sliced, &choose);
                assert_eq!(run(&sliced, &planned), whole, "at most {most} of {:?}", graph.nodes);
                for step in &planned.steps {
                    let node = &sliced.nodes[step.node];
                    assert!(elements(&sliced, node) <= Some(most), "{} above {most}", node.name);
                }
                assert_eq!(sliced.macs(), graph.macs(), "nothing is computed twice");
                let n_slices: usize = report.iter().map(|s| s.n_slices).sum();
                assert_eq!(planned.steps.len(), graph.nodes.len() - report.len() + n_slices);
            }
        }
    }
    assert!(n_sliced > 60, "{n_sliced}");
}

#[test]
fn strips_can_be_sliced() {
    let choose = for_isa(Isa::Portable);
    let windows = [window(1, 1, 1, 0), window(3, 2, 1, 1)];
    let graph = Chain { size: [48, 48], channels: [4, 32, 4], windows, second: depthwise }.graph();
    let (strips, planned, streamed) = plan_in_strips(graph, &choose);
    assert!(!streamed.is_empty());
    let (sliced, report) = slice(&strips, 48 * 32, &elements);
    assert!(report.iter().any(|s| s.layer.contains("rows")), "{report:?}");
    assert_eq!(run(&sliced, &check(&sliced, &choose)), run(&strips, &planned));
}

#[test]
fn rows_cannot_be_divided() {
    let choose = for_isa(Isa::Portable);
    let windows = [window(3, 1, 1, 1), window(3, 1, 1, 1)];
    let graph = Chain { size: [12, 12], channels: [4, 4, 4], windows, second: conv }.graph();
    let (sliced, report) = slice(&graph, 10, &elements);
    let rows = |s: &crate::plan::Sliced| (s.n_slices, s.instructions_estimate);
    assert_eq!(report.iter().map(rows).collect::<Vec<_>>(), [(12, 48); 3]);
    assert_eq!(run(&sliced, &check(&sliced, &choose)), run(&graph, &plan(&graph, &choose)));
    let (same, report) = slice(&graph, 12 * 48, &elements);
    assert_eq!((same.nodes.len(), report), (graph.nodes.len(), Vec::new()));
}
