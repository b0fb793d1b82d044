//! Fixing the free dimensions of graph inputs.

use super::{ImportError, tensor};
use std::collections::{BTreeMap, BTreeSet, HashMap};
use tinfer::tensor::ElementType;
use tract_onnx::pb::tensor_shape_proto::Dimension;
use tract_onnx::pb::tensor_shape_proto::dimension::Value as DimensionValue;
use tract_onnx::pb::type_proto::Value as TypeValue;
use tract_onnx::pb::{GraphProto, ValueInfoProto};

/// A graph input or output as the outside sees it.
#[derive(Clone, Debug, PartialEq)]
pub struct Interface {
    /// Name in the file.
    pub name: String,
    /// Dimensions, all fixed.
    pub shape: Vec<usize>,
    /// Whether the first dimension is a batch: it is 1 and the file has 1 or a symbol there.
    pub batched: bool,
    /// Element type; `None` for one that no image has (float64, float16, string, …).
    pub element_type: Option<ElementType>,
}

/// What the file says of a tensor.
#[derive(Clone, Debug, PartialEq)]
pub struct Declared {
    /// Dimensions, all of them positive numbers.
    pub shape: Vec<usize>,
    /// Element type; `None` for one that no image has.
    pub element_type: Option<ElementType>,
}

/// What the file says of its outputs and of tensors between nodes, where every dimension is a number.
pub(super) fn declared(graph: &GraphProto) -> BTreeMap<String, Declared> {
    let read = |info: &ValueInfoProto| {
        let TypeValue::TensorType(ty) = info.r#type.as_ref()?.value.as_ref()?;
        let number = |d: &Dimension| match d.value {
            Some(DimensionValue::DimValue(n)) if n > 0 => usize::try_from(n).ok(),
            _ => None,
        };
        let shape = ty.shape.as_ref()?.dim.iter().map(number).collect::<Option<_>>()?;
        Some((info.name.clone(), Declared { shape, element_type: tensor::element_type(ty.elem_type) }))
    };
    graph.value_info.iter().chain(&graph.output).filter_map(read).collect()
}

/// Fixes every dimension of every input, in the protobuf too, and drops the shapes that follow from them.
pub(super) fn fix(graph: &mut GraphProto, opset: i64, dims: &[(String, usize)]) -> Result<Vec<Interface>, ImportError> {
    let initializers: BTreeSet<String> = graph.initializer.iter().map(|t| t.name.clone()).collect();
    let given: HashMap<&str, usize> = dims.iter().map(|(name, n)| (&**name, *n)).collect();
    let mut known = BTreeSet::new();
    let mut inputs = Vec::new();
    let mut symbols: HashMap<String, usize> = HashMap::new();
    let zero = if opset <= LAST_WITH_ZERO_BATCH { Zero::Batch } else { Zero::Empty };
    for input in graph.input.iter_mut().filter(|i| !initializers.contains(&i.name)) {
        inputs.push(fix_input(input, zero, &given, &mut known, &mut symbols)?);
    }
    if let Some((name, _)) = dims.iter().find(|(name, _)| !known.contains(name)) {
        return Err(ImportError::UnknownDimension { name: name.clone(), known: known.into_iter().collect() });
    }
    graph.value_info.clear();
    Ok(inputs)
}

/// Whether the first dimension that the file gives to a tensor may stand for a batch: 1, free, or not said.
pub(super) fn may_batch(info: &ValueInfoProto) -> bool {
    let Some(TypeValue::TensorType(ty)) = info.r#type.as_ref().and_then(|t| t.value.as_ref()) else { return true };
    let Some(shape) = &ty.shape else { return true };
    shape.dim.first().is_some_and(|d| !matches!(d.value, Some(DimensionValue::DimValue(n)) if n > 1))
}

fn fix_input(
    input: &mut ValueInfoProto,
    zero: Zero,
    given: &HashMap<&str, usize>,
    known: &mut BTreeSet<String>,
    symbols: &mut HashMap<String, usize>,
) -> Result<Interface, ImportError> {
    let may_batch = may_batch(input);
    let name = input.name.clone();
    let unsupported =
        |what: &str| ImportError::UnsupportedFeature { place: format!("input '{name}'"), what: what.into() };
    let Some(TypeValue::TensorType(ty)) = input.r#type.as_mut().and_then(|t| t.value.as_mut()) else {
        return Err(unsupported("not a tensor"));
    };
    let Some(shape) = &mut ty.shape else { return Err(unsupported("of unknown rank")) };
    let mut fixed = Vec::with_capacity(shape.dim.len());
    for (axis, dim) in shape.dim.iter_mut().enumerate() {
        let place = format!("{name}:{axis}");
        let n = match free_symbol(dim, axis, zero) {
            None => match dim.value {
                Some(DimensionValue::DimValue(n)) => n.max(0) as usize,
                _ => 0,
            },
            Some(symbol) => {
                known.insert(if symbol == "?" { place.clone() } else { symbol.clone() });
                let chosen = given.get(&*symbol).or_else(|| given.get(&*place)).copied();
                if given.contains_key(&*place) {
                    known.insert(place.clone());
                }
                let n = chosen.or_else(|| symbols.get(&symbol).copied()).or((axis == 0).then_some(1));
                let n = n.ok_or_else(|| ImportError::FreeDimension {
                    input: name.clone(),
                    axis,
                    symbol: symbol.clone(),
                    flag: if symbol == "?" || symbol.contains(' ') { format!("\"{place}\"") } else { symbol.clone() },
                })?;
                if symbol != "?" {
                    symbols.insert(symbol, n);
                }
                n
            }
        };
        *dim = Dimension {
            denotation: std::mem::take(&mut dim.denotation),
            value: Some(DimensionValue::DimValue(n as i64)),
        };
        fixed.push(n);
    }
    if fixed.contains(&0) {
        return Err(ImportError::ZeroDimension { tensor: name, shape: fixed });
    }
    let elements = fixed.iter().fold(1u64, |n, &d| n.saturating_mul(d as u64));
    if elements > tensor::MAX_ELEMENTS {
        return Err(ImportError::TooLarge { tensor: name, elements, limit: tensor::MAX_ELEMENTS });
    }
    let element_type = tensor::element_type(ty.elem_type);
    Ok(Interface { batched: may_batch && fixed.first() == Some(&1), name, shape: fixed, element_type })
}

/// The symbol of a free dimension, `?` if it has none; `None` for a number.
///
/// Exporters wrote an unknown batch as 0 or -1 too; a zero on another axis is an empty tensor.
fn free_symbol(dim: &Dimension, axis: usize, zero: Zero) -> Option<String> {
    match &dim.value {
        Some(DimensionValue::DimValue(n)) if *n > 0 || (*n == 0 && (axis > 0 || zero == Zero::Empty)) => None,
        Some(DimensionValue::DimParam(symbol)) if !symbol.is_empty() => Some(symbol.clone()),
        _ => Some("?".into()),
    }
}

/// What a first dimension of 0 means.
#[derive(Clone, Copy, PartialEq, Eq)]
enum Zero {
    /// Unknown, to be fixed.
    Batch,
    /// No element at all.
    Empty,
}

/// Operator set of the last exporters that were seen to write 0 for an unknown batch.
const LAST_WITH_ZERO_BATCH: i64 = 13;
