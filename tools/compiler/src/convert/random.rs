//! Inputs for a model of which no samples are given.

use crate::array::{Array, ArrayData, NamedArray};
use crate::import::Interface;
use crate::quantize::Range;
use crate::samples::Sample;
use tinfer::tensor::ElementType;

/// Numbers in no order, the same in every run.
pub(super) struct Random(u64);

impl Default for Random {
    fn default() -> Self {
        Random(0x9e37_79b9_7f4a_7c15)
    }
}

impl Random {
    /// Numbers for every input: real ones in its range, bytes of all values, others 0 and 1, which are indices, lengths and
    /// flags that most models take.
    pub fn sample(&mut self, inputs: &[Interface], range: impl Fn(&Interface) -> Option<Range>) -> Sample {
        let inputs = inputs.iter().map(|input| self.input(input, range(input))).collect();
        Sample { name: "random numbers".into(), inputs, label: None }
    }

    /// Uniform from 0 to below 1.
    fn next(&mut self) -> f64 {
        // Knuth's multiplier; the high bits are the random ones.
        self.0 = self.0.wrapping_mul(6_364_136_223_846_793_005).wrapping_add(1_442_695_040_888_963_407);
        (self.0 >> 11) as f64 / (1u64 << 53) as f64
    }

    fn input(&mut self, input: &Interface, range: Option<Range>) -> NamedArray {
        let n: usize = input.shape.iter().product();
        let Range { min, max } = range.unwrap_or(Range { min: -1.0, max: 1.0 });
        let values: Vec<f64> = (0..n).map(|_| self.next()).collect();
        let values = values.into_iter();
        let data = match input.element_type {
            Some(ElementType::I8) => ArrayData::I8(values.map(|v| (256.0 * v - 128.0).floor() as i8).collect()),
            Some(ElementType::U8) => ArrayData::U8(values.map(|v| (256.0 * v) as u8).collect()),
            Some(ElementType::I16) => ArrayData::I16(values.map(|v| (2.0 * v) as i16).collect()),
            Some(ElementType::I32) => ArrayData::I32(values.map(|v| (2.0 * v) as i32).collect()),
            Some(ElementType::I64) => ArrayData::I64(values.map(|v| (2.0 * v) as i64).collect()),
            Some(ElementType::Bool) => ArrayData::Bool(values.map(|v| u8::from(v < 0.5)).collect()),
            Some(ElementType::F32) | None => ArrayData::F32(values.map(|v| (min + (max - min) * v) as f32).collect()),
        };
        NamedArray::new(&input.name, Array::new(input.shape.clone(), data))
    }
}
