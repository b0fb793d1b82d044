//! Inputs that the user gives a value for: they become weights, and what follows from them is folded.

use super::{ImportError, Interface, tensor};
use crate::array::{Array, ArrayData};
use std::collections::BTreeMap;
use tinfer::tensor::ElementType;
use tract_onnx::pb::GraphProto;

/// Makes weights of the inputs that are named.
///
/// # Errors
/// [`ImportError::UnknownInput`], [`ImportError::InputValue`].
pub(super) fn values(
    graph: &mut GraphProto,
    inputs: &mut Vec<Interface>,
    weights: &mut BTreeMap<String, Array>,
    values: &[(String, f64)],
) -> Result<(), ImportError> {
    for (name, value) in values {
        let Some(idx) = inputs.iter().position(|input| input.name == *name) else {
            let known = inputs.iter().map(|input| input.name.clone()).collect();
            return Err(ImportError::UnknownInput { name: name.clone(), known });
        };
        let input = inputs.remove(idx);
        let data = filled(input.element_type, input.shape.iter().product(), *value).ok_or_else(|| {
            let element_type = input.element_type.map_or("of another type", ElementType::name);
            ImportError::InputValue { name: name.clone(), value: *value, element_type }
        })?;
        let array = Array::new(input.shape, data);
        graph.input.retain(|info| info.name != *name);
        graph.initializer.push(tensor::proto(name, &array));
        weights.insert(name.clone(), array);
    }
    Ok(())
}

/// `n` elements of this value; `None` when the type has no such value.
fn filled(element_type: Option<ElementType>, n: usize, value: f64) -> Option<ArrayData> {
    let is_whole = value.fract() == 0.0;
    macro_rules! whole {
        ($T:ty, $variant:ident) => {
            (is_whole && (<$T>::MIN as f64..=<$T>::MAX as f64).contains(&value))
                .then(|| ArrayData::$variant(vec![value as $T; n]))
        };
    }
    match element_type? {
        ElementType::F32 => value.is_finite().then(|| ArrayData::F32(vec![value as f32; n])),
        ElementType::I8 => whole!(i8, I8),
        ElementType::U8 => whole!(u8, U8),
        ElementType::I16 => whole!(i16, I16),
        ElementType::I32 => whole!(i32, I32),
        ElementType::I64 => whole!(i64, I64),
        ElementType::Bool => [0.0, 1.0].contains(&value).then(|| ArrayData::Bool(vec![value as u8; n])),
    }
}
