//! Dense arrays that cross the compiler's borders: model inputs and outputs, `.npy` and `.npz` files.

mod npy;

pub use npy::{
    ArrayError, from_npy_bytes, from_npz_bytes, read_npy, read_npz, to_npy_bytes, to_npz_bytes, write_npy, write_npz,
    write_npz_as,
};

use half::{bf16, f16};
use tinfer::tensor::ElementType;

/// Elements of an [`Array`], row-major.
#[derive(Clone, Debug, PartialEq)]
pub enum ArrayData {
    /// IEEE 754 binary32.
    F32(Vec<f32>),
    /// IEEE 754 binary64: only in files, models of this compiler have none.
    F64(Vec<f64>),
    /// Signed 8-bit integers.
    I8(Vec<i8>),
    /// Unsigned 8-bit integers.
    U8(Vec<u8>),
    /// Signed 16-bit integers.
    I16(Vec<i16>),
    /// Signed 32-bit integers.
    I32(Vec<i32>),
    /// Signed 64-bit integers.
    I64(Vec<i64>),
    /// One byte each, 0 or 1.
    Bool(Vec<u8>),
}

/// Evaluates `$body` with `$v` bound to the vector of whatever type the data have.
macro_rules! each_type {
    ($data:expr, $v:ident => $body:expr) => {
        match $data {
            ArrayData::F32($v) => $body,
            ArrayData::F64($v) => $body,
            ArrayData::I8($v) => $body,
            ArrayData::U8($v) => $body,
            ArrayData::I16($v) => $body,
            ArrayData::I32($v) => $body,
            ArrayData::I64($v) => $body,
            ArrayData::Bool($v) => $body,
        }
    };
}

/// Real numbers of a file that are computed in float32.
#[derive(Clone, Copy, Debug, PartialEq, Eq)]
pub enum RealType {
    /// IEEE 754 binary16.
    Float16,
    /// The upper half of a float32.
    Bfloat16,
    /// IEEE 754 binary64.
    Float64,
}

impl RealType {
    /// As NumPy and ONNX call it.
    pub fn name(self) -> &'static str {
        match self {
            RealType::Float16 => "float16",
            RealType::Bfloat16 => "bfloat16",
            RealType::Float64 => "float64",
        }
    }

    /// What is left of float32 numbers in this type: float64 as such, narrower ones rounded to it. Other arrays stay.
    pub fn applied(self, array: Array) -> Array {
        let Array { shape, data } = array;
        let data = match (self, data) {
            (RealType::Float16, ArrayData::F32(v)) => {
                ArrayData::F32(v.into_iter().map(|x| f16::from_f32(x).to_f32()).collect())
            }
            (RealType::Bfloat16, ArrayData::F32(v)) => {
                ArrayData::F32(v.into_iter().map(|x| bf16::from_f32(x).to_f32()).collect())
            }
            (RealType::Float64, ArrayData::F32(v)) => ArrayData::F64(v.into_iter().map(f64::from).collect()),
            (_, data) => data,
        };
        Array { shape, data }
    }

    /// The type of this name.
    pub fn parse(name: &str) -> Option<Self> {
        [RealType::Float16, RealType::Bfloat16, RealType::Float64].into_iter().find(|t| t.name() == name)
    }
}

impl ArrayData {
    /// Number of elements.
    pub fn len(&self) -> usize {
        each_type!(self, v => v.len())
    }

    /// Whether there is no element at all.
    pub fn is_empty(&self) -> bool {
        self.len() == 0
    }

    /// Name of the element type as in ONNX and numpy: `float32`, `float64`, `int8`, …
    pub fn type_name(&self) -> &'static str {
        match self {
            ArrayData::F64(_) => "float64",
            other => other.element_type().map_or("float64", ElementType::name),
        }
    }

    /// Element type; `None` for float64, which no model of this compiler has.
    pub fn element_type(&self) -> Option<ElementType> {
        Some(match self {
            ArrayData::F32(_) => ElementType::F32,
            ArrayData::F64(_) => return None,
            ArrayData::I8(_) => ElementType::I8,
            ArrayData::U8(_) => ElementType::U8,
            ArrayData::I16(_) => ElementType::I16,
            ArrayData::I32(_) => ElementType::I32,
            ArrayData::I64(_) => ElementType::I64,
            ArrayData::Bool(_) => ElementType::Bool,
        })
    }

    /// The elements as images hold them.
    pub fn to_le_bytes(&self) -> Vec<u8> {
        each_type!(self, v => v.iter().flat_map(|x| x.to_le_bytes()).collect())
    }

    /// Elements of [`ArrayData::to_le_bytes`]; bytes behind the last whole element are left out.
    pub fn from_le_bytes(element_type: ElementType, bytes: &[u8]) -> ArrayData {
        macro_rules! elements {
            ($t:ty) => {
                bytes.as_chunks().0.iter().map(|b| <$t>::from_le_bytes(*b)).collect()
            };
        }
        match element_type {
            ElementType::F32 => ArrayData::F32(elements!(f32)),
            ElementType::I8 => ArrayData::I8(elements!(i8)),
            ElementType::U8 => ArrayData::U8(bytes.to_vec()),
            ElementType::I16 => ArrayData::I16(elements!(i16)),
            ElementType::I32 => ArrayData::I32(elements!(i32)),
            ElementType::I64 => ArrayData::I64(elements!(i64)),
            ElementType::Bool => ArrayData::Bool(bytes.to_vec()),
        }
    }

    /// The elements `range` as data of their own.
    fn slice(&self, range: std::ops::Range<usize>) -> ArrayData {
        match self {
            ArrayData::F32(v) => ArrayData::F32(v[range].to_vec()),
            ArrayData::F64(v) => ArrayData::F64(v[range].to_vec()),
            ArrayData::I8(v) => ArrayData::I8(v[range].to_vec()),
            ArrayData::U8(v) => ArrayData::U8(v[range].to_vec()),
            ArrayData::I16(v) => ArrayData::I16(v[range].to_vec()),
            ArrayData::I32(v) => ArrayData::I32(v[range].to_vec()),
            ArrayData::I64(v) => ArrayData::I64(v[range].to_vec()),
            ArrayData::Bool(v) => ArrayData::Bool(v[range].to_vec()),
        }
    }
}

/// A dense row-major array.
#[derive(Clone, Debug, PartialEq)]
pub struct Array {
    /// Dimensions; their product is the number of elements. Empty for a scalar.
    pub shape: Vec<usize>,
    /// Elements.
    pub data: ArrayData,
}

impl Array {
    /// An array of float32 elements.
    ///
    /// # Panics
    /// When the shape does not have as many elements as `data`.
    pub fn f32(shape: Vec<usize>, data: Vec<f32>) -> Self {
        Self::new(shape, ArrayData::F32(data))
    }

    /// An array of this shape and these elements.
    ///
    /// # Panics
    /// When the shape does not have as many elements as `data`.
    pub fn new(shape: Vec<usize>, data: ArrayData) -> Self {
        assert_eq!(shape.iter().product::<usize>(), data.len(), "elements of an array of shape {shape:?}");
        Array { shape, data }
    }

    /// Number of elements.
    pub fn n_elements(&self) -> usize {
        self.data.len()
    }

    /// Element type; `None` for float64.
    pub fn element_type(&self) -> Option<ElementType> {
        self.data.element_type()
    }

    /// The float32 elements, when that is what they are.
    pub fn as_f32(&self) -> Option<&[f32]> {
        match &self.data {
            ArrayData::F32(v) => Some(v),
            _ => None,
        }
    }

    /// All elements as float32, whatever their type (bool: 0 and 1; float64 and wide integers are rounded).
    pub fn to_f32(&self) -> Vec<f32> {
        match &self.data {
            ArrayData::F32(v) => v.clone(),
            ArrayData::F64(v) => v.iter().map(|&x| x as f32).collect(),
            ArrayData::I8(v) => v.iter().map(|&x| f32::from(x)).collect(),
            ArrayData::U8(v) | ArrayData::Bool(v) => v.iter().map(|&x| f32::from(x)).collect(),
            ArrayData::I16(v) => v.iter().map(|&x| f32::from(x)).collect(),
            ArrayData::I32(v) => v.iter().map(|&x| x as f32).collect(),
            ArrayData::I64(v) => v.iter().map(|&x| x as f32).collect(),
        }
    }

    /// The same array in another element type, if every element keeps its value; float64 to float32 is rounded.
    ///
    /// Returns `None` when some element would change: a fraction to an integer, 300 to uint8.
    pub fn convert(&self, to: ElementType) -> Option<Array> {
        if self.element_type() == Some(to) {
            return Some(self.clone());
        }
        let wide: Vec<f64> = match &self.data {
            ArrayData::I64(v) => {
                v.iter().map(|&x| if (x as f64) as i64 == x { Some(x as f64) } else { None }).collect::<Option<_>>()?
            }
            ArrayData::F64(v) => v.clone(),
            _ => self.to_f64(),
        };
        fn integers<T: TryFrom<i64>>(wide: &[f64]) -> Option<Vec<T>> {
            wide.iter()
                .map(|&x| if x.fract() == 0.0 && x.abs() < 9.0e18 { T::try_from(x as i64).ok() } else { None })
                .collect()
        }
        let data = match to {
            ElementType::F32 if matches!(self.data, ArrayData::F64(_)) => {
                ArrayData::F32(wide.iter().map(|&x| x as f32).collect())
            }
            ElementType::F32 => ArrayData::F32(
                wide.iter().map(|&x| (f64::from(x as f32) == x).then_some(x as f32)).collect::<Option<_>>()?,
            ),
            ElementType::I8 => ArrayData::I8(integers(&wide)?),
            ElementType::U8 => ArrayData::U8(integers(&wide)?),
            ElementType::I16 => ArrayData::I16(integers(&wide)?),
            ElementType::I32 => ArrayData::I32(integers(&wide)?),
            ElementType::I64 => ArrayData::I64(integers(&wide)?),
            ElementType::Bool => {
                let bits: Vec<u8> = integers(&wide)?;
                ArrayData::Bool(bits.iter().all(|&b| b < 2).then_some(bits)?)
            }
        };
        Some(Array { shape: self.shape.clone(), data })
    }

    /// How many samples of a model input of shape `input` the array holds.
    ///
    /// An array of exactly the input's shape is one sample. An array `[N, *input]`, or
    /// `[N, *input[1..]]` when the input is batched (its first dimension is 1 or a symbol), is N
    /// samples. `None` when the shape fits neither.
    pub fn n_samples(&self, input: &[usize], first_dimension: FirstDimension) -> Option<usize> {
        let fits = self.shape == input
            || self.shape.get(1..) == Some(input)
            || (first_dimension == FirstDimension::Batch
                && self.shape.len() == input.len()
                && self.shape.get(1..) == input.get(1..));
        let size: usize = input.iter().product();
        (fits && size > 0).then(|| self.n_elements() / size)
    }

    /// Sample `idx` of [`Array::n_samples`], in the input's shape.
    ///
    /// # Panics
    /// When there are not so many samples.
    pub fn sample(&self, input: &[usize], idx: usize) -> Array {
        let size: usize = input.iter().product();
        Array::new(input.to_vec(), self.data.slice(idx * size..(idx + 1) * size))
    }

    /// All samples of [`Array::n_samples`].
    pub fn samples(&self, input: &[usize], first_dimension: FirstDimension) -> Option<Vec<Array>> {
        let n = self.n_samples(input, first_dimension)?;
        Some((0..n).map(|i| self.sample(input, i)).collect())
    }

    /// All elements as float64 (int64 beyond 2^53 is rounded).
    pub fn to_f64(&self) -> Vec<f64> {
        match &self.data {
            ArrayData::F64(v) => v.clone(),
            ArrayData::I32(v) => v.iter().map(|&x| f64::from(x)).collect(),
            ArrayData::I64(v) => v.iter().map(|&x| x as f64).collect(),
            _ => self.to_f32().into_iter().map(f64::from).collect(),
        }
    }
}

/// What the first dimension of a model input means.
#[derive(Clone, Copy, Debug, PartialEq, Eq)]
pub enum FirstDimension {
    /// 1 or a symbol in the file: samples may be stacked along it.
    Batch,
    /// Part of the sample.
    Data,
}

/// An array and the name of the model input or output that it belongs to.
#[derive(Clone, Debug, PartialEq)]
pub struct NamedArray {
    /// Name of the tensor in the ONNX file, or of the array in the `.npz` file.
    pub name: String,
    /// The elements.
    pub array: Array,
}

impl NamedArray {
    /// A named array.
    pub fn new(name: &str, array: Array) -> Self {
        NamedArray { name: name.to_string(), array }
    }
}

#[cfg(test)]
mod tests {
    use super::*;

    #[test]
    fn samples_follow_the_rule_of_the_command_line() {
        let check = |shape: &[usize], input: &[usize], first, expected: Option<usize>| {
            let n = shape.iter().product::<usize>();
            let array = Array::f32(shape.to_vec(), (0..n).map(|i| i as f32).collect());
            let samples = array.samples(input, first);
            assert_eq!(samples.as_ref().map(Vec::len), expected, "{shape:?} as samples of {input:?}");
            for (i, sample) in samples.into_iter().flatten().enumerate() {
                assert_eq!(sample.shape, input);
                assert_eq!(sample.to_f32()[0] as usize, i * sample.n_elements());
            }
        };
        check(&[1, 3, 2], &[1, 3, 2], FirstDimension::Batch, Some(1));
        check(&[5, 3, 2], &[1, 3, 2], FirstDimension::Batch, Some(5));
        check(&[5, 3, 2], &[1, 3, 2], FirstDimension::Data, None);
        check(&[5, 1, 3, 2], &[1, 3, 2], FirstDimension::Data, Some(5));
        check(&[4], &[4], FirstDimension::Data, Some(1));
        check(&[3, 4], &[4], FirstDimension::Data, Some(3));
        check(&[5, 2, 3], &[1, 3, 2], FirstDimension::Batch, None);
    }

    #[test]
    fn conversion_never_changes_an_integer() {
        let check = |data: ArrayData, to, expected: Option<ArrayData>| {
            let array = Array::new(vec![data.len()], data);
            assert_eq!(array.convert(to).map(|a| a.data), expected, "{array:?} to {to:?}");
        };
        check(ArrayData::F64(vec![0.1]), ElementType::F32, Some(ArrayData::F32(vec![0.1])));
        check(ArrayData::U8(vec![7]), ElementType::F32, Some(ArrayData::F32(vec![7.0])));
        check(ArrayData::I64(vec![300]), ElementType::U8, None);
        check(ArrayData::F32(vec![-3.0]), ElementType::I8, Some(ArrayData::I8(vec![-3])));
        check(ArrayData::F32(vec![0.5]), ElementType::I8, None);
        check(ArrayData::F32(vec![f32::NAN]), ElementType::I64, None);
        check(ArrayData::I32(vec![16_777_217]), ElementType::F32, None);
        check(ArrayData::I64(vec![2]), ElementType::Bool, None);
    }
}
