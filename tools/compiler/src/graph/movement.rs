//! Operators that move elements of any type.

use super::{Operator, Reduction, WindowNd};
use tinfer::kernels::geometry::BorderMode;
use tinfer::kernels::portable::Triangle;
use tinfer::operators::reduction::selection::TopKResult;
use tinfer::operators::sized::resize_table::ResizeTableRecord;
use tinfer::operators::sized::shape_given::ShapeRule;

/// What moves where. The first input is what moves; its element type and quantization are those of the result.
#[derive(Clone, Debug, PartialEq)]
pub enum Move {
    /// inputs: x. The output's shape says how many.
    Slice {
        /// The first element of each axis.
        starts: Vec<usize>,
        /// Elements from one to the next along each axis, not 0.
        steps: Vec<i32>,
    },
    /// inputs: x, starts, ends, then axes and steps if they are there; integers known at run time only.
    SliceGiven {
        /// Whether there are axes and steps.
        axes_and_steps: [Given; 2],
    },
    /// Axes of one element are repeated. inputs: x.
    Expand,
    /// inputs: x, then pads, value and axes if they are there, known at run time only.
    Border {
        /// What stands beyond the edges.
        mode: BorderMode,
        /// Elements added before each axis, negative ones are taken away; not looked at when pads are an input.
        before: Vec<i32>,
        /// The value's bytes; not looked at when it is an input.
        value: [u8; 8],
        /// Whether there are pads, a value, axes.
        operands: [Given; 3],
    },
    /// Slices along an axis. inputs: x, indices.
    Gather {
        /// The axis.
        axis: usize,
    },
    /// Single elements along an axis. inputs: x, indices.
    GatherElements {
        /// The axis.
        axis: usize,
    },
    /// inputs: x, then k if it is known at run time only.
    Trilu {
        /// What stays.
        triangle: Triangle,
        /// Columns from the main diagonal to the one that counts.
        k: i32,
    },
    /// inputs: values (off, on), indices.
    OneHot {
        /// The axis of the result along which a vector lies.
        axis: usize,
    },
    /// Resizing along one axis, or two neighbouring ones. inputs: x, then a table of taps for each of these axes, with
    /// weights in float32, see [`tinfer::kernels::portable::Taps`].
    Resize {
        /// The first axis.
        axis: usize,
        /// Taps of each of the axes.
        taps: Vec<usize>,
        /// How values come from taps.
        sampling: Sampling,
    },
    /// A table of taps. inputs: scales or sizes, then regions if the mode has them.
    ResizeTable(ResizeTableRecord),
    /// x, checked. inputs: x, integers.
    ShapeGiven {
        /// How the integers lead to a shape.
        rule: ShapeRule,
        /// The shape that they must lead to.
        shape: Vec<usize>,
    },
}

/// Whether an optional operand is an input of the node.
#[derive(Clone, Copy, Debug, PartialEq, Eq)]
pub enum Given {
    /// It is not.
    Absent,
    /// It is.
    Input,
}

/// How [`Move::Resize`] makes values of taps.
#[derive(Clone, Copy, Debug, PartialEq)]
pub enum Sampling {
    /// The first tap is the value.
    Nearest,
    /// A weighted sum, with this value where the position is beyond the input.
    Weighted {
        /// The value beyond.
        beyond: f32,
        /// Whether int8 can express the weights.
        weights: Weights,
    },
}

/// What weights a table may have.
#[derive(Clone, Copy, Debug, PartialEq, Eq)]
pub enum Weights {
    /// None is negative, each position has some, and they are known: in int8, too.
    Convex,
    /// Any.
    Any,
}

impl Operator {
    /// Whether it moves or chooses elements of its first operand, or of all of them ([`Operator::Concat`]), and computes
    /// nothing: in int8, operand and result have one quantization.
    pub fn keeps_values(&self) -> bool {
        match self {
            Operator::Reshape
            | Operator::Rows { .. }
            | Operator::JoinRows
            | Operator::Transpose { .. }
            | Operator::Pad { .. }
            | Operator::Concat { .. }
            | Operator::MaxPool2d { .. }
            | Operator::WindowNd(WindowNd::MaxPool { .. })
            | Operator::Reduction(Reduction::TopK { result: TopKResult::Values, .. }) => true,
            Operator::Reduction(Reduction::Reduce { function, .. }) => function.chooses(),
            Operator::Move(movement) => movement.keeps_values(),
            _ => false,
        }
    }

    /// Whether it says where elements of its first operand are: steps are in the order of the numbers.
    pub fn finds_elements(&self) -> bool {
        matches!(
            self,
            Operator::Reduction(Reduction::ArgExtreme { .. } | Reduction::TopK { result: TopKResult::Indices, .. })
                | Operator::WindowNd(WindowNd::MaxPoolIndices { .. })
        )
    }
}

impl Move {
    /// Whether every element of the result is one of x, or lies between some, so that int8 needs no change of scale.
    pub fn keeps_values(&self) -> bool {
        match self {
            Move::Slice { .. }
            | Move::SliceGiven { .. }
            | Move::Expand
            | Move::Gather { .. }
            | Move::GatherElements { .. }
            | Move::ShapeGiven { .. } => true,
            Move::Border { mode, .. } => *mode != BorderMode::Constant,
            Move::Resize { sampling, .. } => {
                matches!(sampling, Sampling::Nearest | Sampling::Weighted { weights: Weights::Convex, .. })
            }
            Move::Trilu { .. } | Move::OneHot { .. } | Move::ResizeTable(_) => false,
        }
    }

    /// The same movement of a tensor whose axis `p[i]` is axis `i` here; `None` where there is no such one.
    pub fn on_axes(&self, p: &[usize]) -> Option<Move> {
        let back = |axis: usize| p.iter().position(|&a| a == axis);
        let all = || (0..p.len()).map(back).collect::<Option<Vec<_>>>();
        match self {
            Move::Slice { starts, steps } => {
                let back = all()?;
                let (starts, steps) = (back.iter().map(|&a| starts[a]), back.iter().map(|&a| steps[a]));
                Some(Move::Slice { starts: starts.collect(), steps: steps.collect() })
            }
            Move::Border {
                mode,
                before,
                value,
                operands: operands @ [Given::Absent, Given::Absent, Given::Absent],
            } => {
                let before = all()?.iter().map(|&a| before[a]).collect();
                Some(Move::Border { mode: *mode, before, value: *value, operands: *operands })
            }
            Move::Expand => Some(Move::Expand),
            Move::Gather { axis } => Some(Move::Gather { axis: p[*axis] }),
            Move::Resize { axis, taps, sampling } => {
                let neighbours = taps.len() == 1 || p.get(axis + 1) == Some(&(p[*axis] + 1));
                neighbours.then(|| Move::Resize { axis: p[*axis], taps: taps.clone(), sampling: *sampling })
            }
            _ => None,
        }
    }
}
