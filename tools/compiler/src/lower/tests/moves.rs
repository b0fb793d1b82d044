//! Movement: float32 images against the reference, and what is refused.

use super::{Case, absent, array, case, inputs, ints, lower, sqnr, unsupported};
use crate::array::{Array, ArrayData};
use crate::choose::Chosen;
use crate::graph::{Graph, Move, Operator, Sampling};
use crate::import::Reference;
use crate::import::build::{Attr, ModelBuilder};
use crate::pack::{PackOptions, pack};
use crate::passes::simplify;
use crate::plan::plan;
use crate::runner::ImageRunner;

fn is(values: &[i64]) -> Attr {
    Attr::Is(values.to_vec())
}

/// What an image of the graph computes.
fn run(graph: &Graph, samples: &[Array]) -> Vec<Array> {
    let packed = pack(graph, &plan(graph, &|_, _| Chosen::PORTABLE), &PackOptions::default()).unwrap();
    ImageRunner::new(&packed.bytes).unwrap().run(samples).unwrap()
}

fn cases() -> Vec<Case> {
    let floats = |v: &[f32]| Array::f32(vec![v.len()], v.to_vec());
    let scalar = |v: i64| Array::new(vec![], ArrayData::I64(vec![v]));
    let asymmetric = |mode| {
        vec![
            ("mode", Attr::S(mode)),
            ("coordinate_transformation_mode", Attr::S("asymmetric")),
            ("nearest_mode", Attr::S("floor")),
        ]
    };
    vec![
        case(
            "Slice",
            9,
            &[3, 4, 5],
            vec![],
            vec![("starts", is(&[1, -3])), ("ends", is(&[9, -1])), ("axes", is(&[0, 2]))],
        ),
        case("Slice", 13, &[3, 6], vec![ints(&[-1, 5]), ints(&[-9, 0]), ints(&[0, 1]), ints(&[-1, -2])], vec![]),
        case("Slice", 13, &[3, 6], vec![ints(&[0]), ints(&[9])], vec![]),
        case(
            "Gather",
            13,
            &[3, 4, 5],
            vec![Array::new(vec![2, 2], ArrayData::I64(vec![0, -1, 3, 1]))],
            vec![("axis", Attr::I(1))],
        ),
        case("Gather", 13, &[3, 4], vec![scalar(-2)], vec![]),
        case("GatherElements", 13, &[3, 2], vec![Array::new(vec![2, 2], ArrayData::I64(vec![0, 2, 1, 1]))], vec![]),
        case("Expand", 13, &[3, 1], vec![ints(&[2, 1, 4])], vec![]),
        case("Expand", 13, &[3, 4], vec![ints(&[1, 4])], vec![]),
        case("Tile", 13, &[2, 3], vec![ints(&[2, 3])], vec![]),
        case("Pad", 13, &[3, 4], vec![ints(&[1, 0, 0, 2])], vec![("mode", Attr::S("edge"))]),
        case("Pad", 13, &[3, 4], vec![ints(&[2, 1, 1, 3])], vec![("mode", Attr::S("reflect"))]),
        case("DepthToSpace", 13, &[1, 8, 2, 3], vec![], vec![("blocksize", Attr::I(2))]),
        case("DepthToSpace", 13, &[2, 8, 2, 3], vec![], vec![("blocksize", Attr::I(2))]),
        case("DepthToSpace", 13, &[2, 8, 2, 3], vec![], vec![("blocksize", Attr::I(2)), ("mode", Attr::S("CRD"))]),
        case("SpaceToDepth", 13, &[1, 2, 4, 6], vec![], vec![("blocksize", Attr::I(2))]),
        case("SpaceToDepth", 13, &[2, 2, 4, 6], vec![], vec![("blocksize", Attr::I(2))]),
        case("Trilu", 14, &[3, 4], vec![scalar(-1)], vec![("upper", Attr::I(0))]),
        case("Resize", 13, &[1, 2, 3, 4], vec![absent(), floats(&[1.0, 1.0, 2.0, 3.0])], asymmetric("nearest")),
        case("Resize", 13, &[1, 2, 3, 4], vec![absent(), absent(), ints(&[1, 2, 6, 4])], asymmetric("linear")),
        case(
            "Resize",
            13,
            &[1, 2, 3, 4],
            vec![absent(), absent(), ints(&[1, 2, 6, 8])],
            vec![("mode", Attr::S("linear"))],
        ),
    ]
}

#[test]
fn images_move_as_the_reference_does() {
    for case in cases() {
        let imported = case.model().import().unwrap();
        let graph = lower(&imported).unwrap_or_else(|e| panic!("{}: {e}", case.operator));
        let samples = inputs(&imported, 3);
        let expected = Reference::new(&imported).and_then(|r| r.run(&samples)).unwrap();
        let arrays: Vec<Array> = samples.into_iter().map(|n| n.array).collect();
        for (e, f) in expected.iter().zip(run(&graph, &arrays)) {
            assert_eq!(e.array.shape, f.shape, "{} {:?}", case.operator, case.attributes);
            let pairs = e.array.to_f64().into_iter().zip(f.to_f64());
            let off = pairs.map(|(e, f)| (e - f).abs()).fold(0.0, f64::max);
            assert!(off < 1e-5, "{} {:?}: off by {off}", case.operator, case.attributes);
        }
    }
}

#[test]
fn parts_of_a_split_are_slices() {
    let model = ModelBuilder::new(13).input("x", &[2, 7]).weight("n", ints(&[3, 4]));
    let model = model.node("Split", &["x", "n"], &["a", "b"], &[("axis", Attr::I(1))]).output("a").output("b");
    let graph = lower(&model.import().unwrap()).unwrap();
    let x = array(&[2, 7], 1);
    let values = x.as_f32().unwrap().to_vec();
    let found = run(&graph, &[x]);
    let part =
        |range: std::ops::Range<usize>| [&values[range.clone()], &values[range.start + 7..range.end + 7]].concat();
    assert_eq!(found, [Array::f32(vec![2, 3], part(0..3)), Array::f32(vec![2, 4], part(3..7))]);
    // Of parts that nobody reads nothing is left.
    let model = ModelBuilder::new(18).input("x", &[7]);
    let model = model.node("Split", &["x"], &["a", "b", "c"], &[("num_outputs", Attr::I(3))]).output("c");
    let graph = lower(&model.import().unwrap()).unwrap();
    let slice = Operator::Move(Move::Slice { starts: vec![6], steps: vec![1] });
    assert_eq!(graph.nodes.iter().map(|n| n.operator.clone()).collect::<Vec<_>>(), [slice]);
}

#[test]
fn two_neighbouring_axes_are_resized_at_once() {
    let sizes = ints(&[1, 5, 3, 9]);
    let resize = case("Resize", 13, &[1, 2, 3, 4], vec![absent(), absent(), sizes], vec![("mode", Attr::S("cubic"))]);
    let graph = lower(&resize.model().import().unwrap()).unwrap();
    let steps: Vec<_> = graph.nodes.iter().map(|n| n.operator.clone()).collect();
    let [
        Operator::Move(Move::Resize { axis: 1, taps: a, .. }),
        Operator::Move(Move::Resize { axis: 3, taps: b, sampling }),
    ] = &steps[..]
    else {
        panic!("{steps:?}")
    };
    assert_eq!((a.len(), b.len()), (1, 1));
    assert!(matches!(sampling, Sampling::Weighted { .. }));
    let sizes = ints(&[1, 2, 6, 9]);
    let resize = case("Resize", 13, &[1, 2, 3, 4], vec![absent(), absent(), sizes], vec![]);
    let graph = lower(&resize.model().import().unwrap()).unwrap();
    let nearest = Operator::Move(Move::Resize { axis: 2, taps: vec![1, 1], sampling: Sampling::Nearest });
    assert_eq!(graph.nodes.iter().map(|n| n.operator.clone()).collect::<Vec<_>>(), [nearest]);
    // The reference cannot run Upsample.
    let scales = Array::f32(vec![4], vec![1.0, 1.0, 2.0, 1.0]);
    let upsample = case("Upsample", 9, &[1, 1, 2, 2], vec![scales], vec![]);
    let graph = lower(&upsample.model().import().unwrap()).unwrap();
    let x = Array::f32(vec![1, 1, 2, 2], vec![1.0, 2.0, 3.0, 4.0]);
    assert_eq!(run(&graph, &[x])[0].as_f32().unwrap(), [1.0, 2.0, 1.0, 2.0, 3.0, 4.0, 3.0, 4.0]);
}

#[test]
fn what_cannot_move_is_refused_with_a_reason() {
    let scalar = |v: f32| Array::f32(vec![], vec![v]);
    let range = ["r0", "r1", "r2"];
    for (case, reason) in [
        (case("Slice", 13, &[3, 4], vec![ints(&[2]), ints(&[1])], vec![]), "takes nothing of axis 0"),
        (case("Slice", 13, &[3, 4], vec![ints(&[2, 1]), ints(&[3])], vec![]), "2 starts, 1 ends"),
        (case("Slice", 13, &[3, 4], vec![ints(&[0]), ints(&[3]), ints(&[2])], vec![]), "axis 2 is out of range"),
        (case("Gather", 13, &[3, 4], vec![ints(&[3])], vec![]), "index 3 is out of range"),
        (case("Gather", 13, &[3, 4], vec![scalar(1.0)], vec![]), "float32"),
        (case("Expand", 13, &[3, 4], vec![ints(&[2, 4])], vec![]), "does not broadcast"),
        (case("Pad", 13, &[3, 4], vec![ints(&[1, 1])], vec![]), "pads [1, 1] for axes"),
        (case("Pad", 13, &[3, 4], vec![ints(&[0; 4])], vec![("mode", Attr::S("mirror"))]), "mode 'mirror'"),
        (case("Trilu", 14, &[3], vec![], vec![]), "shape [3]"),
        (case("DepthToSpace", 13, &[1, 6, 2, 2], vec![], vec![("blocksize", Attr::I(2))]), "6 channels"),
        (case("SpaceToDepth", 13, &[1, 6, 3, 2], vec![], vec![("blocksize", Attr::I(2))]), "3 x 2 pixels"),
        (case("Resize", 13, &[1, 2], vec![absent(), absent(), ints(&[4])], vec![]), "1 lengths for 2 axes"),
        (case("Resize", 13, &[1, 2], vec![], vec![]), "not one of scales and sizes"),
        (
            case("Resize", 13, &[1, 2], vec![absent(), absent(), ints(&[1, 4])], vec![("mode", Attr::S("area"))]),
            "'area'",
        ),
    ] {
        let found = case.model().import().map(|imported| unsupported(&imported));
        let found = found.unwrap_or_else(|e| panic!("{}: {e}", case.operator));
        let reasons: Vec<&str> = found.iter().map(|u| &*u.reason).collect();
        assert!(reasons.iter().any(|r| r.contains(reason)), "{}: {reasons:?}, not '{reason}'", case.operator);
    }
    let model = ModelBuilder::new(13).input("x", &[3]).weight(range[0], scalar(0.0)).weight(range[1], scalar(3.0));
    let model = model.weight(range[2], scalar(0.0)).node("Range", &range, &["r"], &[]);
    let model = model.node("Add", &["x", "r"], &["y"], &[]).output("y");
    assert!(model.import().map_or(true, |imported| !unsupported(&imported).is_empty()));
}

/// Between convolutions nothing is transposed: what moves does so in NHWC.
#[test]
fn transposes_move_through_movement() {
    let model = ModelBuilder::new(13)
        .input("x", &[1, 3, 6, 6])
        .weight("w", array(&[4, 3, 3, 3], 1))
        .weight("v", array(&[2, 3, 1, 1], 2))
        .weight("scales", Array::f32(vec![4], vec![1.0, 1.0, 2.0, 2.0]))
        .weight("starts", ints(&[1]))
        .weight("ends", ints(&[4]))
        .weight("axes", ints(&[1]))
        .weight("indices", ints(&[2, 0, 1]))
        .node("Conv", &["x", "w"], &["a"], &[])
        .node("Resize", &["a", "", "scales"], &["b"], &[("mode", Attr::S("linear"))])
        .node("Slice", &["b", "starts", "ends", "axes"], &["c"], &[])
        .node("Gather", &["c", "indices"], &["d"], &[("axis", Attr::I(1))])
        .node("Conv", &["d", "v"], &["y"], &[])
        .output("y");
    let imported = model.import().unwrap();
    let graph = simplify(lower(&imported).unwrap()).graph;
    let n_transposes = graph.nodes.iter().filter(|n| matches!(n.operator, Operator::Transpose { .. })).count();
    assert_eq!((n_transposes, graph.nodes.len()), (0, 5));
    let samples = inputs(&imported, 3);
    let expected = Reference::new(&imported).and_then(|r| r.run(&samples)).unwrap();
    let arrays: Vec<Array> = samples.into_iter().map(|n| n.array).collect();
    assert!(sqnr(&expected[0].array, &run(&graph, &arrays)[0]) > 100.0);
}
