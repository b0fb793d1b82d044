mod in_slices;
mod in_strips;

use super::lifetimes::{Buffer, Kind};
use super::*;
use crate::choose::Overlap;
use crate::graph::{Binary, Clamp, Operator, Port, Tensor, Unary};
use tinfer::tensor::ElementType;

/// A graph of int8 tensors, built in execution order.
struct Builder(Graph);

impl Builder {
    fn new() -> Self {
        Builder(Graph::default())
    }

    fn tensor(&mut self, name: &str, bytes: usize) -> TensorId {
        self.0.add_tensor(Tensor {
            name: name.into(),
            shape: vec![bytes],
            element_type: ElementType::I8,
            constant: None,
            quantization: None,
            origin: None,
        })
    }

    fn port(&self, tensor: TensorId) -> Port {
        let t = self.0.tensor(tensor);
        Port {
            name: t.name.clone(),
            shape: t.shape.clone(),
            batched: false,
            element_type: t.element_type,
            tensor,
            permutation: vec![0],
        }
    }

    fn input(&mut self, name: &str, bytes: usize) -> TensorId {
        let tensor = self.tensor(name, bytes);
        let port = self.port(tensor);
        self.0.inputs.push(port);
        tensor
    }

    fn output(&mut self, tensor: TensorId) {
        let port = self.port(tensor);
        self.0.outputs.push(port);
    }

    fn node(&mut self, operator: Operator, inputs: &[TensorId], bytes: usize) -> TensorId {
        let name = format!("n{}", self.0.nodes.len());
        let output = self.tensor(&format!("{name}_out"), bytes);
        self.0.nodes.push(Node { name, onnx: String::new(), operator, inputs: inputs.to_vec(), outputs: vec![output] });
        output
    }
}

const ADD: Operator = Operator::Binary { function: Binary::Add, clamp: Clamp { min: None, max: None } };
const SIGMOID: Operator = Operator::Unary(Unary::Sigmoid);
/// Any operator that cannot work in place.
const OTHER: Operator = Operator::Softmax;

fn no_scratch(_: &Graph, _: &Node) -> Chosen {
    Chosen::PORTABLE
}

/// Plans, and checks everything that must hold of any plan by executing it: each tensor must
/// still have the value that its writer left whenever it is read.
fn check(graph: &Graph, choose: &dyn Fn(&Graph, &Node) -> Chosen) -> Planned {
    let planned = plan(graph, choose);
    // Per byte of the arena the tensor and the byte of it that was written there last.
    let mut memory: Vec<Option<(TensorId, usize)>> = vec![None; planned.arena_bytes];
    let views = views::Views::new(graph);
    let value = |id: TensorId, i: usize| Some((views.of(id).root, views.of(id).start + i));
    let write = |memory: &mut Vec<Option<(TensorId, usize)>>, id: TensorId| {
        let region = planned.region(id).unwrap();
        assert_eq!(region.offset % ARENA_ALIGNMENT, 0);
        assert_eq!(region.bytes, graph.tensor(id).n_bytes());
        memory[region.offset..].iter_mut().take(region.bytes).enumerate().for_each(|(i, m)| *m = value(id, i));
        region
    };
    let read = |memory: &[Option<(TensorId, usize)>], id: TensorId| {
        let root = views.of(id).root;
        if graph.tensor(root).constant.is_some() {
            assert_eq!(planned.placement[id.0], Placement::Constant(root));
            return None;
        }
        let region = planned.region(id).unwrap();
        let mut live = memory[region.offset..region.offset + region.bytes].iter().enumerate();
        assert!(live.all(|(i, m)| *m == value(id, i)), "{} was overwritten", graph.tensor(id).name);
        Some(region)
    };
    for port in &graph.inputs {
        write(&mut memory, port.tensor);
    }
    for step in &planned.steps {
        let operands: Vec<Region> = step.inputs.iter().filter_map(|&id| read(&memory, id)).collect();
        if let Some(scratch) = step.scratch {
            let free = operands
                .iter()
                .all(|r| r.offset + r.bytes <= scratch.offset || scratch.offset + scratch.bytes <= r.offset);
            assert!(free, "scratch over an operand");
            memory[scratch.offset..scratch.offset + scratch.bytes].fill(None);
        }
        for &output in &step.outputs {
            let region = write(&mut memory, output);
            let elementwise = matches!(
                graph.nodes[step.node].operator,
                Operator::Unary(_) | Operator::Binary { .. } | Operator::Requantize
            );
            for (i, operand) in operands.iter().enumerate() {
                let disjoint =
                    region.offset + region.bytes <= operand.offset || operand.offset + operand.bytes <= region.offset;
                let admitted = match step.kernel.overlap {
                    Overlap::Never => false,
                    Overlap::SameStart => i == 0 && region.offset == operand.offset,
                    Overlap::Lead(lead) => i == 0 && region.offset + lead <= operand.offset,
                };
                let in_place = elementwise && *operand == region;
                assert!(disjoint || admitted || in_place, "overlap in {}", graph.nodes[step.node].name);
            }
        }
        if let Some(scratch) = step.scratch {
            assert!(
                memory[scratch.offset..scratch.offset + scratch.bytes].iter().all(Option::is_none),
                "result over scratch"
            );
        }
    }
    for port in &graph.outputs {
        read(&memory, port.tensor);
    }
    assert!(planned.lower_bound_bytes <= planned.arena_bytes);
    planned
}

#[test]
fn chain_needs_the_largest_neighbours() {
    let mut b = Builder::new();
    let mut x = b.input("x", 100);
    for bytes in [300, 50, 200] {
        x = b.node(OTHER, &[x], bytes);
    }
    b.output(x);
    let planned = check(&b.0, &no_scratch);
    assert_eq!((planned.arena_bytes, planned.proof), (112 + 304, Proof::Optimal));
}

#[test]
fn residual_block_adds_in_place() {
    let mut b = Builder::new();
    let x = b.input("x", 160);
    let a = b.node(OTHER, &[x], 160);
    let y = b.node(OTHER, &[a], 160);
    let sum = b.node(ADD, &[x, y], 160);
    b.output(sum);
    let planned = check(&b.0, &no_scratch);
    assert_eq!(planned.arena_bytes, 480);
    assert!([planned.region(x), planned.region(y)].contains(&planned.region(sum)));
}

#[test]
fn in_place_only_over_a_dying_operand_of_equal_size() {
    let mut b = Builder::new();
    let x = b.input("x", 16);
    let wide = b.node(ADD, &[x, x], 32);
    let kept = b.node(SIGMOID, &[wide], 32);
    let last = b.node(SIGMOID, &[wide], 32);
    b.output(kept);
    b.output(last);
    let planned = check(&b.0, &no_scratch);
    assert_ne!(planned.region(x).unwrap().offset, planned.region(wide).unwrap().offset);
    assert_ne!(planned.region(kept), planned.region(wide));
    assert_eq!(planned.region(last), planned.region(wide));
}

#[test]
fn requantize_to_another_element_size_is_not_in_place() {
    let mut b = Builder::new();
    let x = b.input("x", 64);
    b.0.tensor_mut(x).element_type = ElementType::F32;
    let y = b.node(Operator::Requantize, &[x], 64);
    b.output(y);
    assert_eq!(check(&b.0, &no_scratch).arena_bytes, 256 + 64);
}

#[test]
fn reshape_is_no_step_and_keeps_memory_alive() {
    let mut b = Builder::new();
    let x = b.input("x", 64);
    let flat = b.node(Operator::Reshape, &[x], 64);
    let y = b.node(SIGMOID, &[x], 64);
    let z = b.node(ADD, &[flat, y], 64);
    b.output(z);
    let planned = check(&b.0, &no_scratch);
    assert_eq!(planned.steps.len(), 2);
    assert_eq!(planned.region(flat), planned.region(x));
    assert_eq!(planned.arena_bytes, 128);
}

#[test]
fn constants_and_their_reshapes_stay_in_the_image() {
    let mut b = Builder::new();
    let x = b.input("x", 4);
    let c = b.0.add_constant("c", vec![4], crate::graph::Constant::I8(vec![1, 2, 3, 4]));
    let r = b.node(Operator::Reshape, &[c], 4);
    let y = b.node(ADD, &[x, r], 4);
    b.output(y);
    let planned = check(&b.0, &no_scratch);
    assert_eq!(planned.placement[r.0], Placement::Constant(c));
    assert_eq!(planned.arena_bytes, 16);
}

#[test]
fn graph_without_steps_and_input_that_is_an_output() {
    let mut b = Builder::new();
    let x = b.input("x", 20);
    b.output(x);
    assert_eq!(check(&b.0, &no_scratch).arena_bytes, 32);
}

#[test]
fn unread_graph_input_does_not_clash_with_the_first_step() {
    let mut b = Builder::new();
    let x = b.input("x", 16);
    b.input("ignored", 48);
    let y = b.node(OTHER, &[x], 32);
    b.output(y);
    check(&b.0, &no_scratch);
}

#[test]
fn memory_map_names_the_fullest_step_and_what_lives_in_it() {
    let mut b = Builder::new();
    let x = b.input("x", 16);
    let big = b.node(OTHER, &[x], 64);
    let y = b.node(SIGMOID, &[big], 64);
    b.output(y);
    let planned =
        check(&b.0, &|_, node| Chosen { scratch_bytes: if node.name == "n0" { 40 } else { 0 }, ..Chosen::PORTABLE });
    assert_eq!(planned.scratch_bytes(), 40);
    let map = planned.memory_map(&b.0);
    let peak = map.peak().unwrap();
    assert_eq!((peak.name.as_str(), peak.live_bytes), ("n0", 16 + 64 + 48));
    let mut names: Vec<&str> = peak.live.iter().map(|t| t.name.as_str()).collect();
    names.sort_unstable();
    assert_eq!(names, ["n0_out", "scratch", "x"]);
    assert_eq!(map.steps[1].live[0].name, "n0_out = n1_out");
    assert!(map.to_string().contains("fullest in step n0 with 128 bytes"));
    b.0.nodes[0].name = "layer/".repeat(30);
    let text = planned.memory_map(&b.0).to_string();
    assert!(text.lines().all(|l| l.chars().count() <= 120), "{text}");
}

/// xorshift64*, fixed seed.
struct Random(u64);

impl Random {
    fn below(&mut self, n: usize) -> usize {
        self.0 ^= self.0 >> 12;
        self.0 ^= self.0 << 25;
        self.0 ^= self.0 >> 27;
        ((self.0.wrapping_mul(0x2545_f491_4f6c_dd1d) >> 33) % n as u64) as usize
    }
}

#[test]
fn random_graphs_never_lose_a_value() {
    let mut random = Random(7);
    for _ in 0..300 {
        let mut b = Builder::new();
        let mut ids = vec![b.input("x", 16), b.input("y", 1 + random.below(90))];
        ids.push(b.0.add_constant("c", vec![16], crate::graph::Constant::I8(vec![0; 16])));
        for _ in 0..1 + random.below(25) {
            let recent = ids.len().saturating_sub(5);
            let a = ids[recent + random.below(ids.len() - recent)];
            let c = ids[random.below(ids.len())];
            let bytes = b.0.tensor(a).n_bytes();
            let id = match random.below(5) {
                0 => b.node(Operator::Reshape, &[a], bytes),
                1 => b.node(SIGMOID, &[a], bytes),
                2 if b.0.tensor(c).n_bytes() <= bytes => b.node(ADD, &[a, c], bytes),
                3 => b.node(OTHER, &[a, c], 1 + random.below(200)),
                _ => b.node(OTHER, &[a], 1 + random.below(200)),
            };
            ids.push(id);
        }
        for _ in 0..1 + random.below(2) {
            let id = ids[ids.len() - 1 - random.below(3)];
            b.output(id);
        }
        check(&b.0, &|_, node| {
            let n = node.outputs[0].0;
            let overlap = match (n / 2 % 3, &node.operator) {
                (1, &OTHER) => Overlap::SameStart,
                (2, &OTHER) => Overlap::Lead(n * 29 % 90),
                _ => Overlap::Never,
            };
            Chosen { scratch_bytes: n * 13 % 40, overlap, ..Chosen::PORTABLE }
        });
    }
}

fn random_buffers(random: &mut Random, n: usize, steps: usize) -> Vec<Buffer> {
    let one = |random: &mut Random| {
        let first = random.below(steps);
        let last = first + random.below(steps - first);
        Buffer { first, last, bytes: 1 + random.below(160), scratch_of: None, offset: 0 }
    };
    (0..n).map(|_| one(random)).collect()
}

/// Overlaps wherever one buffer dies as another one is born, of any kind; one pair at most per step.
fn random_overlaps(random: &mut Random, buffers: &[Buffer]) -> Vec<lifetimes::Overlap> {
    let mut overlaps: Vec<lifetimes::Overlap> = Vec::new();
    for (input, dying) in buffers.iter().enumerate() {
        for (output, born) in buffers.iter().enumerate() {
            let step = dying.last;
            let taken = overlaps.iter().any(|o| buffers[o.input].last == step);
            if input == output || born.first != step || taken || random.below(4) == 0 {
                continue;
            }
            let kind = match random.below(2) {
                0 => Kind::Together,
                _ => Kind::Lead { units: 1 + random.below(born.units()) },
            };
            overlaps.push(lifetimes::Overlap { input, output, kind });
        }
    }
    overlaps
}

/// Whether two buffers may have these offsets, in units.
fn may_lie(
    buffers: &[Buffer],
    overlaps: &[lifetimes::Overlap],
    (i, at): (usize, usize),
    (j, other): (usize, usize),
) -> bool {
    if !buffers[i].is_live_with(&buffers[j]) || other + buffers[j].units() <= at || at + buffers[i].units() <= other {
        return true;
    }
    overlaps.iter().any(|o| {
        let (input, output) = match (o.input, o.output) {
            pair if pair == (i, j) => (at, other),
            pair if pair == (j, i) => (other, at),
            _ => return false,
        };
        match o.kind {
            Kind::Together => input == output,
            Kind::Lead { units } => output + units <= input,
        }
    })
}

/// Whether the buffers from index `offsets.len()` on have a place below `capacity`, by trying every offset.
fn fits(buffers: &[Buffer], overlaps: &[lifetimes::Overlap], capacity: usize, offsets: &mut Vec<usize>) -> bool {
    let i = offsets.len();
    if i == buffers.len() {
        return true;
    }
    (0..(capacity + 1).saturating_sub(buffers[i].units())).any(|at| {
        if !(0..i).all(|j| may_lie(buffers, overlaps, (i, at), (j, offsets[j]))) {
            return false;
        }
        offsets.push(at);
        let found = fits(buffers, overlaps, capacity, offsets);
        offsets.pop();
        found
    })
}

#[test]
fn small_problems_are_solved_as_well_as_by_trying_every_offset() {
    let mut random = Random(11);
    let (mut n_overlaps, mut n_smaller) = (0, 0);
    for round in 0..400 {
        let n = 2 + random.below(5);
        let buffers = random_buffers(&mut random, n, 7);
        let overlaps = if round % 4 == 0 { Vec::new() } else { random_overlaps(&mut random, &buffers) };
        let found = arena::arrange(&buffers, &overlaps, Effort::Full);
        let smallest = |overlaps: &[lifetimes::Overlap]| {
            (0..).find(|&capacity| fits(&buffers, overlaps, capacity, &mut Vec::new())).unwrap()
        };
        let best = smallest(&overlaps);
        assert_eq!((found.size, found.proven_bound), (best, best), "{buffers:?} {overlaps:?}");
        assert!(found.live_bound <= best);
        n_overlaps += overlaps.len();
        n_smaller += usize::from(best < smallest(&[]));
    }
    assert!(n_overlaps > 200 && n_smaller > 50, "{n_overlaps} overlaps, {n_smaller} arenas smaller by them");
}

#[test]
fn large_problems_never_overlap_and_state_a_true_gap() {
    let mut random = Random(3);
    let mut optimal = 0;
    for round in 0..20 {
        let buffers = random_buffers(&mut random, 20 + round * 8, 40 + round * 5);
        let overlaps = if round % 2 == 0 { Vec::new() } else { random_overlaps(&mut random, &buffers) };
        let found = arena::arrange(&buffers, &overlaps, Effort::Full);
        for (i, a) in buffers.iter().enumerate() {
            assert!(found.offsets[i] + a.units() <= found.size);
            for j in i + 1..buffers.len() {
                assert!(may_lie(&buffers, &overlaps, (i, found.offsets[i]), (j, found.offsets[j])));
            }
        }
        assert!(found.live_bound <= found.proven_bound && found.proven_bound <= found.size);
        optimal += usize::from(found.proven_bound == found.size);
    }
    assert!(optimal >= 10, "only {optimal} of 20 proven");
}

#[test]
fn an_arena_above_the_live_sum_is_proven_necessary() {
    let lives = [
        (3, 3, 2),
        (7, 7, 1),
        (1, 5, 1),
        (6, 6, 3),
        (2, 2, 3),
        (5, 7, 3),
        (0, 0, 2),
        (3, 5, 2),
        (1, 3, 1),
        (7, 7, 2),
        (0, 0, 3),
        (0, 2, 1),
        (1, 1, 3),
    ];
    let buffer =
        |(first, last, units)| Buffer { first, last, bytes: units * ARENA_ALIGNMENT, scratch_of: None, offset: 0 };
    let buffers: Vec<Buffer> = lives.map(buffer).to_vec();
    assert!(!fits(&buffers, &[], 6, &mut Vec::new()) && fits(&buffers, &[], 7, &mut Vec::new()));
    let found = arena::arrange(&buffers, &[], Effort::Full);
    assert_eq!((found.live_bound, found.proven_bound, found.size), (6, 7, 7));
}

#[test]
fn shipped_models_need_no_more_than_their_fullest_step() {
    for (model, arena_bytes) in [("digits-cnn", 27_040), ("fashion-resnet8", 37_632)] {
        let file = std::path::Path::new(env!("CARGO_MANIFEST_DIR")).join(format!("../../models/{model}/{model}.onnx"));
        let imported = crate::import::import(&file, &Default::default()).unwrap();
        let mut graph = crate::passes::simplify(crate::lower::lower(&imported).unwrap()).graph;
        for tensor in graph.tensors.iter_mut().filter(|t| t.constant.is_none()) {
            tensor.element_type = ElementType::I8;
        }
        let planned = check(&graph, &no_scratch);
        assert_eq!((planned.arena_bytes, planned.lower_bound_bytes), (arena_bytes, arena_bytes), "{model}");
        assert_eq!(planned.proof, Proof::Optimal);
    }
}
