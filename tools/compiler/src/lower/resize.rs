//! Resize and Upsample: tables of taps for each axis, applied to one or two neighbouring axes at a time.
//!
//! What is known at conversion becomes constant tables. Scales, sizes that keep the aspect ratio, and regions that are
//! known at run time only become tables that the board makes; the shape of the result is the one that the file declares.

use super::Refusal;
use super::context::{Lowering, axis, float, int, ints, text};
use crate::graph::{Constant, Move, Operator, Sampling, TensorId, Weights};
use crate::import::{Attribute, OnnxNode};
use std::collections::BTreeMap;
use tinfer::kernels::portable::{CoordinateMode, Interpolation, NearestMode, Outside, Reduction, ResizeAxis};
use tinfer::operators::sized::resize_table::{Given, ResizeTableRecord};
use tinfer::tensor::{ElementType, MAX_RANK};

/// Upsample of operator sets 7 to 9: scales are an attribute, then an input.
pub fn upsample(lowering: &mut Lowering, node: &OnnxNode) -> Result<(), Refusal> {
    let interpolation = match text(node, "mode", "nearest")? {
        "nearest" => Interpolation::Nearest(NearestMode::Floor),
        "linear" | "bilinear" => Interpolation::Linear,
        other => return Err(unknown("mode", other)),
    };
    let x = lowering.any_input(node, 0)?;
    let rank = lowering.shape_of(x).len();
    let rules = Rules { interpolation, coordinates: CoordinateMode::Asymmetric, ..Rules::new(rank) };
    match node.attribute("scales") {
        Some(Attribute::Floats(scales)) => {
            let scales = scales.clone();
            fixed(lowering, node, x, &rules, &Lengths::Scales(scales), None)
        }
        _ => by_inputs(lowering, node, x, &rules, Inputs { given: Some((1, Given::Scales)), regions: None }),
    }
}

/// Resize from operator set 10.
pub fn lower(lowering: &mut Lowering, node: &OnnxNode) -> Result<(), Refusal> {
    let x = lowering.any_input(node, 0)?;
    let rules = Rules::of(lowering, node, lowering.shape_of(x).len())?;
    if lowering.imported.opset < 11 {
        return by_inputs(lowering, node, x, &rules, Inputs { given: Some((1, Given::Scales)), regions: None });
    }
    // An empty tensor stands for an absent one, too.
    let there = |lowering: &Lowering, i: usize| {
        lowering.input_name(node, i).is_some_and(|name| lowering.value(&name).is_none_or(|v| !v.data.is_empty()))
    };
    let given = match (there(lowering, 2), there(lowering, 3)) {
        (true, false) => Some((2, Given::Scales)),
        (false, true) => Some((3, rules.policy)),
        _ => None,
    };
    let wants_regions = rules.coordinates == CoordinateMode::CropAndResize;
    let regions = (wants_regions && there(lowering, 1)).then_some(1);
    if wants_regions && regions.is_none() {
        return Err(Refusal::new("it crops without a region of interest", "check the file with onnx.checker"));
    }
    by_inputs(lowering, node, x, &rules, Inputs { given, regions })
}

/// Attributes of Resize.
#[derive(Clone, Debug)]
struct Rules {
    interpolation: Interpolation,
    coordinates: CoordinateMode,
    outside: Outside,
    reduction: Reduction,
    /// How sizes are meant.
    policy: Given,
    /// What positions beyond the input get.
    beyond: f32,
    /// The axes that scales, sizes and regions speak of, in their order.
    axes: Vec<usize>,
}

/// Which inputs say what.
struct Inputs {
    given: Option<(usize, Given)>,
    regions: Option<usize>,
}

/// Scales or sizes that are known.
enum Lengths {
    Scales(Vec<f32>),
    Sizes(Given, Vec<i64>),
}

impl Rules {
    fn new(rank: usize) -> Self {
        Rules {
            interpolation: Interpolation::Nearest(NearestMode::Floor),
            coordinates: CoordinateMode::Asymmetric,
            outside: Outside::Edge,
            reduction: Reduction::Plain,
            policy: Given::Sizes,
            beyond: 0.0,
            axes: (0..rank).collect(),
        }
    }

    fn of(lowering: &Lowering, node: &OnnxNode, rank: usize) -> Result<Self, Refusal> {
        let nearest = if lowering.imported.opset < 11 {
            NearestMode::Floor
        } else {
            match text(node, "nearest_mode", "round_prefer_floor")? {
                "round_prefer_floor" => NearestMode::RoundPreferFloor,
                "round_prefer_ceil" => NearestMode::RoundPreferCeil,
                "floor" => NearestMode::Floor,
                "ceil" => NearestMode::Ceil,
                other => return Err(unknown("nearest_mode", other)),
            }
        };
        let interpolation = match text(node, "mode", "nearest")? {
            "nearest" => Interpolation::Nearest(nearest),
            "linear" => Interpolation::Linear,
            "cubic" => Interpolation::Cubic { coefficient: float(node, "cubic_coeff_a", -0.75)? },
            other => return Err(unknown("mode", other)),
        };
        let default = if lowering.imported.opset < 11 { "asymmetric" } else { "half_pixel" };
        let coordinates = match text(node, "coordinate_transformation_mode", default)? {
            "half_pixel" => CoordinateMode::HalfPixel,
            "half_pixel_symmetric" => CoordinateMode::HalfPixelSymmetric,
            "pytorch_half_pixel" => CoordinateMode::PytorchHalfPixel,
            "align_corners" => CoordinateMode::AlignCorners,
            "asymmetric" => CoordinateMode::Asymmetric,
            "tf_crop_and_resize" => CoordinateMode::CropAndResize,
            "tf_half_pixel_for_nn" => CoordinateMode::TfHalfPixelForNearest,
            other => return Err(unknown("coordinate_transformation_mode", other)),
        };
        let axes = match ints(node, "axes")? {
            None => (0..rank).collect(),
            Some(axes) => axes.into_iter().map(|a| axis(a, rank)).collect::<Result<Vec<_>, _>>()?,
        };
        Ok(Rules {
            interpolation,
            coordinates,
            outside: if int(node, "exclude_outside", 0)? == 0 { Outside::Edge } else { Outside::Excluded },
            reduction: if int(node, "antialias", 0)? == 0 { Reduction::Plain } else { Reduction::Antialiased },
            policy: match text(node, "keep_aspect_ratio_policy", "stretch")? {
                "stretch" => Given::Sizes,
                "not_larger" => Given::NotLarger,
                "not_smaller" => Given::NotSmaller,
                other => return Err(unknown("keep_aspect_ratio_policy", other)),
            },
            beyond: float(node, "extrapolation_value", 0.0)?,
            axes,
        })
    }

    fn axis(&self, input: usize, output: usize, scale: f64, region: [f64; 2]) -> ResizeAxis {
        ResizeAxis {
            input: input as u32,
            output: output as u32,
            scale,
            region,
            coordinates: self.coordinates,
            interpolation: self.interpolation,
            outside: self.outside,
            reduction: self.reduction,
        }
    }
}

fn by_inputs(
    lowering: &mut Lowering,
    node: &OnnxNode,
    x: TensorId,
    rules: &Rules,
    inputs: Inputs,
) -> Result<(), Refusal> {
    let Some((i, given)) = inputs.given else {
        return Err(Refusal::new("it has not one of scales and sizes", "check the file with onnx.checker"));
    };
    let regions_known = inputs.regions.is_none_or(|i| lowering.is_constant(node, i));
    let known = lowering.is_constant(node, i);
    if !regions_known || (!known && given != Given::Sizes) {
        return at_run_time(lowering, node, x, rules, (i, given), inputs.regions);
    }
    let mut x = x;
    let lengths = if given == Given::Scales {
        Lengths::Scales(lowering.known(node, i)?.map(|a| a.to_f32()).unwrap_or_default())
    } else if known {
        Lengths::Sizes(given, lowering.known_ints(node, i)?.unwrap_or_default())
    } else {
        let declared = lowering.declared_output(node, 0, "sizes")?;
        let sizes: Vec<i64> = rules.axes.iter().map(|&a| declared.get(a).map_or(0, |&n| n as i64)).collect();
        x = lowering.require(node, i, Constant::I64(sizes.clone()), x)?;
        Lengths::Sizes(given, sizes)
    };
    let regions = match inputs.regions {
        Some(i) => lowering.known(node, i)?.map(|a| a.to_f32()),
        None => None,
    };
    fixed(lowering, node, x, rules, &lengths, regions)
}

/// Everything is known.
fn fixed(
    lowering: &mut Lowering,
    node: &OnnxNode,
    x: TensorId,
    rules: &Rules,
    lengths: &Lengths,
    regions: Option<Vec<f32>>,
) -> Result<(), Refusal> {
    let shape = lowering.shape_of(x).to_vec();
    let n_axes = rules.axes.len();
    let n_given = match lengths {
        Lengths::Scales(scales) => scales.len(),
        Lengths::Sizes(_, sizes) => sizes.len(),
    };
    if n_given != n_axes || regions.as_ref().is_some_and(|r| r.len() != 2 * n_axes) {
        return Err(Refusal::new(
            format!("it has {n_given} lengths for {n_axes} axes"),
            "check the file with onnx.checker",
        ));
    }
    let declared = node.outputs.first().and_then(|name| lowering.declared(name));
    let mut axes = BTreeMap::new();
    for (k, &axis) in rules.axes.iter().enumerate() {
        let input = shape[axis];
        let (scale, output) = scale_and_length(lengths, k, rules, &shape, declared.and_then(|d| d.get(axis)).copied());
        if !scale.is_finite() || scale <= 0.0 || output == 0 {
            return Err(Refusal::new(
                format!("axis {axis} with {input} elements would get {output} by a scale of {scale}"),
                "images hold no empty tensors: resize to one element or more",
            ));
        }
        let region = regions.as_ref().map_or([0.0, 1.0], |r| [r[k], r[k + n_axes]].map(f64::from));
        if (scale - 1.0).abs() > 1e-9 || output != input || region != [0.0, 1.0] {
            axes.insert(axis, Resized::Known(rules.axis(input, output, scale, region)));
        }
    }
    push(lowering, node, x, rules, axes)
}

/// Scale and output length of the `k`-th resized axis. Exporters round scales, so of two lengths that a scale may lead
/// to, the one that the file declares counts.
fn scale_and_length(
    lengths: &Lengths,
    k: usize,
    rules: &Rules,
    shape: &[usize],
    declared: Option<usize>,
) -> (f64, usize) {
    let input = shape[rules.axes[k]];
    match lengths {
        Lengths::Scales(scales) => {
            let scale = scales[k];
            let lengths = [(scale * input as f32) as usize, (f64::from(scale) * input as f64) as usize];
            (f64::from(scale), declared.filter(|d| lengths.contains(d)).unwrap_or(lengths[0]))
        }
        Lengths::Sizes(Given::NotLarger | Given::NotSmaller, sizes) => {
            let scales = rules.axes.iter().zip(sizes).map(|(&axis, &size)| size as f64 / shape[axis] as f64);
            let scale = match rules.policy {
                Given::NotLarger => scales.fold(f64::INFINITY, f64::min),
                _ => scales.fold(0.0, f64::max),
            };
            (scale, (scale * input as f64 + 0.5) as usize)
        }
        Lengths::Sizes(_, sizes) => (sizes[k] as f64 / input as f64, usize::try_from(sizes[k]).unwrap_or(0)),
    }
}

/// Scales, sizes or regions are known at run time only.
fn at_run_time(
    lowering: &mut Lowering,
    node: &OnnxNode,
    x: TensorId,
    rules: &Rules,
    (given_input, given): (usize, Given),
    regions: Option<usize>,
) -> Result<(), Refusal> {
    let declared = lowering.declared_output(node, 0, "scales")?;
    let shape = lowering.shape_of(x).to_vec();
    if declared.len() != shape.len() || shape.len() > MAX_RANK {
        return Err(Refusal::new(
            format!("its input has shape {shape:?}, its output {declared:?}"),
            format!("resize tensors of rank {MAX_RANK} or less"),
        ));
    }
    let mut operands = vec![lowering.any_input(node, given_input)?];
    if let Some(i) = regions {
        operands.push(lowering.any_input(node, i)?);
    }
    let mut lengths = [0; MAX_RANK];
    for (length, &axis) in lengths.iter_mut().zip(&rules.axes) {
        *length = shape[axis] as u32;
    }
    let mut axes = BTreeMap::new();
    for (k, &axis) in rules.axes.iter().enumerate() {
        let record = ResizeTableRecord {
            coordinates: rules.coordinates,
            interpolation: rules.interpolation,
            outside: rules.outside,
            reduction: rules.reduction,
            given,
            position: k as u8,
            n_axes: rules.axes.len() as u8,
            regions: u8::from(regions.is_some()),
            lengths,
        };
        // The least scale that leads to the length has the most taps.
        let (input, output) = (shape[axis], declared[axis]);
        let shortest = if given == Given::Scales { output as f64 } else { output as f64 - 0.5 };
        let n_taps = rules.axis(input, output, shortest / input as f64, [0.0, 1.0]).n_taps() as usize;
        if n_taps == 0 {
            return Err(Refusal::new(format!("{input} elements become {output}"), "reduce in several steps"));
        }
        axes.insert(axis, Resized::AtRunTime { record, operands: operands.clone(), output, n_taps });
    }
    push(lowering, node, x, rules, axes)
}

/// One axis that is resized.
enum Resized {
    Known(ResizeAxis),
    AtRunTime { record: ResizeTableRecord, operands: Vec<TensorId>, output: usize, n_taps: usize },
}

/// A table, its taps, and the length of the axis.
struct Table {
    id: TensorId,
    n_taps: usize,
    output: usize,
    weights: Weights,
    /// Whether some position may be beyond the input.
    has_beyond: bool,
}

fn table(lowering: &mut Lowering, node: &OnnxNode, axis: usize, resized: Resized) -> Result<Table, Refusal> {
    let name = format!("table_{axis}");
    match resized {
        Resized::Known(known) => {
            let (n_taps, output) = (known.n_taps() as usize, known.output as usize);
            let mut values = vec![0; 2 * n_taps * output];
            known.fill(n_taps, &mut values).ok_or_else(|| {
                Refusal::new(format!("{} elements become {output}", known.input), "reduce in several steps")
            })?;
            let positions = || values.chunks_exact(2 * n_taps);
            let has_beyond = positions().any(|p| p[0] < 0);
            let negative = positions().any(|p| p[n_taps..].iter().any(|w| f32::from_bits(*w as u32) < 0.0));
            let weights = if has_beyond || negative { Weights::Any } else { Weights::Convex };
            let shape = vec![output, 2 * n_taps];
            let id = lowering.typed_constant(&format!("{}/{name}", node.name), shape, Constant::I32(values));
            Ok(Table { id, n_taps, output, weights, has_beyond })
        }
        Resized::AtRunTime { record, operands, output, n_taps } => {
            let has_beyond = record.coordinates == CoordinateMode::CropAndResize;
            let operator = Operator::Move(Move::ResizeTable(record));
            let shape = vec![output, 2 * n_taps];
            let id = lowering.push_typed_step(node, &name, operator, operands, shape, ElementType::I32);
            Ok(Table { id, n_taps, output, weights: Weights::Any, has_beyond })
        }
    }
}

/// Resizes the axes, two neighbours at a time.
fn push(
    lowering: &mut Lowering,
    node: &OnnxNode,
    x: TensorId,
    rules: &Rules,
    axes: BTreeMap<usize, Resized>,
) -> Result<(), Refusal> {
    let element_type = lowering.element_type(x);
    let mut tables = BTreeMap::new();
    for (axis, resized) in axes {
        tables.insert(axis, table(lowering, node, axis, resized)?);
    }
    let has_beyond = tables.values().any(|t| t.has_beyond);
    let convex = tables.values().all(|t| t.weights == Weights::Convex);
    let sampling = match rules.interpolation {
        Interpolation::Nearest(_) if !has_beyond => Sampling::Nearest,
        _ => {
            let weights = if convex { Weights::Convex } else { Weights::Any };
            Sampling::Weighted { beyond: rules.beyond, weights }
        }
    };
    if sampling != Sampling::Nearest && element_type != ElementType::F32 {
        return Err(Refusal::new(
            format!("it interpolates between elements of type {}", element_type.name()),
            "cast its input to float32, or use mode 'nearest'",
        ));
    }
    let mut at = x;
    let mut shape = lowering.shape_of(x).to_vec();
    while let Some((axis, first)) = tables.pop_first() {
        let mut inputs = vec![at, first.id];
        let mut taps = vec![first.n_taps];
        shape[axis] = first.output;
        if let Some(second) = tables.remove(&(axis + 1)) {
            inputs.push(second.id);
            taps.push(second.n_taps);
            shape[axis + 1] = second.output;
        }
        let operator = Operator::Move(Move::Resize { axis, taps, sampling });
        at = match tables.is_empty() {
            true => lowering.push_output(node, 0, operator, inputs, shape.clone(), element_type),
            false => {
                let name = format!("resize_{axis}");
                lowering.push_typed_step(node, &name, operator, inputs, shape.clone(), element_type)
            }
        };
    }
    lowering.bind_output(node, 0, at);
    Ok(())
}

fn unknown(attribute: &str, value: &str) -> Refusal {
    Refusal::new(format!("{attribute} '{value}' is not known"), "check the file with onnx.checker")
}
