//! Elements that move keep their quantization.

use super::*;
use crate::graph::{Given, Move, Sampling, Weights};
use tinfer::kernels::geometry::BorderMode;
use tinfer::kernels::portable::{CoordinateMode, Interpolation, NearestMode, Outside, Reduction, ResizeAxis};

/// A table for twice as many elements.
fn table(b: &mut Builder, name: &str, n: usize, interpolation: Interpolation) -> (TensorId, usize) {
    let axis = ResizeAxis {
        input: n as u32,
        output: 2 * n as u32,
        scale: 2.0,
        region: [0.0, 1.0],
        coordinates: CoordinateMode::HalfPixel,
        interpolation,
        outside: Outside::Edge,
        reduction: Reduction::Plain,
    };
    let n_taps = axis.n_taps() as usize;
    let mut values = vec![0; 4 * n * n_taps];
    axis.fill(n_taps, &mut values).unwrap();
    (b.graph.add_constant(name, vec![2 * n, 2 * n_taps], Constant::I32(values)), n_taps)
}

#[test]
fn movement_is_exact_in_int8_and_resizing_nearly() {
    let (mut b, x) = Builder::new(7, &[1, 8, 8, 3]);
    let conv = b.conv("conv", x, 3, 4, RELU);
    let slice = Operator::Move(Move::Slice { starts: vec![0, 7, 1, 0], steps: vec![1, -1, 2, 1] });
    let y = b.node("slice", slice, &[conv], &[1, 8, 3, 4]);
    let operands = [Given::Absent; 3];
    let border = Move::Border { mode: BorderMode::Reflect, before: vec![0, 1, 1, 0], value: [0; 8], operands };
    let y = b.node("pad", Operator::Move(border), &[y], &[1, 10, 5, 4]);
    let indices = b.graph.add_constant("indices", vec![2], Constant::I64(vec![-1, 4]));
    let y = b.node("gather", Operator::Move(Move::Gather { axis: 1 }), &[y, indices], &[1, 2, 5, 4]);
    let (rows, n) = table(&mut b, "rows", 2, Interpolation::Nearest(NearestMode::Floor));
    let nearest = Move::Resize { axis: 1, taps: vec![n], sampling: Sampling::Nearest };
    let y = b.node("nearest", Operator::Move(nearest), &[y, rows], &[1, 4, 5, 4]);
    let (rows, n) = table(&mut b, "rows2", 4, Interpolation::Linear);
    let (columns, _) = table(&mut b, "columns2", 5, Interpolation::Linear);
    let sampling = Sampling::Weighted { beyond: 0.0, weights: Weights::Convex };
    let linear = Move::Resize { axis: 1, taps: vec![n, n], sampling };
    let z = b.node("linear", Operator::Move(linear), &[y, rows, columns], &[1, 8, 10, 4]);
    let graph = b.finish(&[y, z]);
    let int8 = check(&graph, 35.0);
    for name in ["slice", "pad", "gather", "nearest", "linear"] {
        assert_eq!(quantization(&int8, name), quantization(&int8, "conv"), "{name}");
    }
    assert_eq!(count(&int8, &Operator::Requantize), 0);
}
