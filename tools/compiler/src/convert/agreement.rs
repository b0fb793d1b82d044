//! What vouches for the float values of a conversion that asks for none itself: float32, or scales that the file has.

use super::ConvertRequest;
use crate::array::{Array, ArrayData, NamedArray};
use crate::float_model::FloatModel;
use crate::graph::Graph;
use crate::import::{Imported, Interface};
use crate::samples::{Sample, Samples};
use tinfer::tensor::ElementType;

/// Whether a conversion compares the file in tract with its own float graph.
#[derive(Clone, Copy, Debug, PartialEq, Eq)]
pub enum Agreement {
    /// On the first and the last calibration sample, without samples on random numbers.
    Checked,
    /// Not at all where no calibration needs it: the caller compares, or wants tinfer's answer whatever others say.
    Unchecked,
}

/// The engine that vouches for the float graph, and what is to be said of it; `None` where neither implementation takes
/// the inputs.
pub(super) fn of(
    request: &ConvertRequest,
    imported: &Imported,
    graph: &Graph,
    samples: Option<&Samples>,
) -> Option<FloatModel> {
    if request.agreement == Agreement::Unchecked {
        return None;
    }
    let given = samples.and_then(|samples| samples.ends().ok());
    let trials = given.unwrap_or_else(|| vec![random(&imported.inputs)]);
    FloatModel::open(imported, Some(graph), &trials).ok()
}

/// Numbers for every input, the same every time: real ones between -1 and 1, others 0 and 1 in no order, which are indices,
/// lengths and flags that most models take.
fn random(inputs: &[Interface]) -> Sample {
    let mut state = 1u64;
    let mut next = || {
        // Knuth's multiplier; the high bits are the random ones.
        state = state.wrapping_mul(6_364_136_223_846_793_005).wrapping_add(1_442_695_040_888_963_407);
        (state >> 40) as f32 / (1 << 23) as f32 - 1.0
    };
    let array = |input: &Interface| {
        let n = input.shape.iter().product();
        let values: Vec<f32> = (0..n).map(|_| next()).collect();
        let bit = |v: &f32| u8::from(*v > 0.0);
        let data = match input.element_type {
            Some(ElementType::I8) => ArrayData::I8(values.iter().map(|v| (v * 127.0) as i8).collect()),
            Some(ElementType::U8) => ArrayData::U8(values.iter().map(|v| (v * 127.0 + 128.0) as u8).collect()),
            Some(ElementType::I16) => ArrayData::I16(values.iter().map(|v| i16::from(bit(v))).collect()),
            Some(ElementType::I32) => ArrayData::I32(values.iter().map(|v| i32::from(bit(v))).collect()),
            Some(ElementType::I64) => ArrayData::I64(values.iter().map(|v| i64::from(bit(v))).collect()),
            Some(ElementType::Bool) => ArrayData::Bool(values.iter().map(bit).collect()),
            Some(ElementType::F32) | None => ArrayData::F32(values),
        };
        NamedArray::new(&input.name, Array::new(input.shape.clone(), data))
    };
    Sample { name: "random numbers".into(), inputs: inputs.iter().map(array).collect(), label: None }
}
