//! Operators whose results follow from shapes and numbers that are known: Shape, Size, ConstantOfShape, Range, EyeLike.

use super::Refusal;
use super::context::{Lowering, int};
use crate::array::ArrayData;
use crate::graph::Constant;
use crate::import::{Attribute, OnnxNode};
use tinfer::tensor::ElementType;

/// The dimensions, or some of them from operator set 15.
pub fn shape(lowering: &mut Lowering, node: &OnnxNode) -> Result<(), Refusal> {
    let x = lowering.any_input(node, 0)?;
    let shape: Vec<i64> = lowering.shape_of(x).iter().map(|&d| d as i64).collect();
    let rank = shape.len() as i64;
    let bound = |i: i64| (if i < 0 { i + rank } else { i }).clamp(0, rank) as usize;
    let (start, end) = (bound(int(node, "start", 0)?), bound(int(node, "end", rank)?));
    let part = shape.get(start..end).unwrap_or(&[]).to_vec();
    bind(lowering, node, vec![part.len()], Constant::I64(part))
}

/// The number of elements.
pub fn size(lowering: &mut Lowering, node: &OnnxNode) -> Result<(), Refusal> {
    let x = lowering.any_input(node, 0)?;
    let n = lowering.shape_of(x).iter().product::<usize>() as i64;
    bind(lowering, node, vec![], Constant::I64(vec![n]))
}

/// One value in every element; float32 zeros by default.
pub fn constant_of_shape(lowering: &mut Lowering, node: &OnnxNode) -> Result<(), Refusal> {
    let wanted = lowering.known_ints(node, 0)?.unwrap_or_default();
    let shape = wanted.iter().map(|&d| usize::try_from(d).ok()).collect::<Option<Vec<_>>>();
    let shape =
        shape.ok_or_else(|| Refusal::new(format!("its shape is {wanted:?}"), "check the file with onnx.checker"))?;
    let value = match node.attribute("value") {
        None => Some(Constant::F32(vec![0.0])),
        Some(Attribute::Tensor(Some(array))) => Constant::from_data(array.data.clone()),
        Some(_) => None,
    };
    let n = shape.iter().product();
    let all = value.and_then(|one| one.gathered(std::iter::repeat_n(0, n)));
    let all = all.ok_or_else(|| Refusal::new("its value is no single number", "check the file with onnx.checker"))?;
    bind(lowering, node, shape, all)
}

/// Numbers from a start to before a limit.
pub fn range(lowering: &mut Lowering, node: &OnnxNode) -> Result<(), Refusal> {
    let mut data = Vec::with_capacity(3);
    for i in 0..3 {
        data.extend(lowering.known(node, i)?.map(|a| a.data.clone()));
    }
    let count = |distance: f64, delta: f64| (distance / delta).ceil().max(0.0) as usize;
    let zero = || Refusal::new("its delta is 0", "check the file with onnx.checker");
    macro_rules! integers {
        ($start:expr, $limit:expr, $delta:expr, $constant:path) => {{
            let (&[start], &[limit], &[delta]) = (&$start[..], &$limit[..], &$delta[..]) else { return Err(zero()) };
            let distance = i128::from(limit) - i128::from(start);
            let delta_wide = i128::from(delta);
            if delta == 0 {
                return Err(zero());
            }
            let n = if (distance > 0) == (delta_wide > 0) {
                distance.unsigned_abs().div_ceil(delta_wide.unsigned_abs()) as i128
            } else {
                0
            };
            $constant((0..n).map(|i| (i128::from(start) + i * delta_wide) as _).collect())
        }};
    }
    let constant = match &data[..] {
        [ArrayData::I64(start), ArrayData::I64(limit), ArrayData::I64(delta)] => {
            integers!(start, limit, delta, Constant::I64)
        }
        [ArrayData::I32(start), ArrayData::I32(limit), ArrayData::I32(delta)] => {
            integers!(start, limit, delta, Constant::I32)
        }
        [ArrayData::F32(start), ArrayData::F32(limit), ArrayData::F32(delta)] => {
            let (&[start], &[limit], &[delta]) = (&start[..], &limit[..], &delta[..]) else { return Err(zero()) };
            if delta == 0.0 {
                return Err(zero());
            }
            let n = count(f64::from(limit) - f64::from(start), f64::from(delta));
            Constant::F32((0..n).map(|i| start + i as f32 * delta).collect())
        }
        _ => {
            return Err(Refusal::new("its numbers have no one type of float32, int32, int64", "cast them to one type"));
        }
    };
    bind(lowering, node, vec![constant.len()], constant)
}

/// Ones on a diagonal, zeros elsewhere.
pub fn eye_like(lowering: &mut Lowering, node: &OnnxNode) -> Result<(), Refusal> {
    let x = lowering.any_input(node, 0)?;
    let shape = lowering.shape_of(x).to_vec();
    let &[rows, columns] = &shape[..] else {
        return Err(Refusal::new(format!("its input has shape {shape:?}"), "give it a matrix"));
    };
    let k = int(node, "k", 0)?;
    let ones: Vec<u8> =
        (0..rows * columns).map(|i| u8::from((i % columns) as i64 - (i / columns) as i64 == k)).collect();
    let element_type = match node.attribute("dtype") {
        None => lowering.element_type(x),
        Some(Attribute::Int(1)) => ElementType::F32,
        Some(Attribute::Int(2)) => ElementType::U8,
        Some(Attribute::Int(3)) => ElementType::I8,
        Some(Attribute::Int(6)) => ElementType::I32,
        Some(Attribute::Int(7)) => ElementType::I64,
        Some(Attribute::Int(9)) => ElementType::Bool,
        Some(other) => return Err(Refusal::new(format!("dtype {other:?} is not held by images"), "use float32")),
    };
    let constant = match element_type {
        ElementType::F32 => Constant::F32(ones.iter().map(|&b| f32::from(b)).collect()),
        ElementType::U8 => Constant::U8(ones),
        ElementType::Bool => Constant::Bool(ones),
        ElementType::I8 => Constant::I8(ones.iter().map(|&b| b as i8).collect()),
        ElementType::I16 => Constant::I16(ones.iter().map(|&b| i16::from(b)).collect()),
        ElementType::I32 => Constant::I32(ones.iter().map(|&b| i32::from(b)).collect()),
        ElementType::I64 => Constant::I64(ones.iter().map(|&b| i64::from(b)).collect()),
    };
    bind(lowering, node, shape, constant)
}

fn bind(lowering: &mut Lowering, node: &OnnxNode, shape: Vec<usize>, constant: Constant) -> Result<(), Refusal> {
    let name = node.outputs.first().cloned().unwrap_or_default();
    let id = lowering.typed_constant(&name, shape, constant);
    lowering.bind_output(node, 0, id);
    Ok(())
}
