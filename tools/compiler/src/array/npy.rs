//! `.npy` and `.npz` files (format of `numpy.lib.format`, versions 1 to 3).

use super::{Array, ArrayData, NamedArray, RealType};
use half::f16;
use npyz::npz::{NpzArchive, NpzWriter};
use npyz::{DType, Endianness, NpyFile, Order, TypeChar, WriterBuilder};
use std::collections::BTreeMap;
use std::io::{Cursor, Read, Seek, Write};
use std::path::Path;

/// Why an array file could not be read or written.
#[derive(Debug, thiserror::Error)]
pub enum ArrayError {
    /// The file system refused.
    #[error("cannot access the array file {path}: {reason}")]
    File {
        /// The path as given.
        path: String,
        /// The system's words.
        reason: String,
    },
    /// Not a `.npy` or `.npz` file, or a damaged one.
    #[error("{place} is not a readable array: {reason}")]
    Format {
        /// File, and name of the array inside it.
        place: String,
        /// What is wrong.
        reason: String,
    },
    /// An element type that no model has.
    #[error("{place} has element type {descr}, which is not supported")]
    ElementType {
        /// File, and name of the array inside it.
        place: String,
        /// The type as numpy writes it.
        descr: String,
    },
}

impl ArrayError {
    /// Stable name for scripts.
    pub fn code(&self) -> &'static str {
        match self {
            ArrayError::File { .. } => "array-file",
            ArrayError::Format { .. } => "array-format",
            ArrayError::ElementType { .. } => "array-element-type",
        }
    }

    /// What to do about it.
    pub fn hint(&self) -> String {
        match self {
            ArrayError::File { .. } => "check the path and its permissions".into(),
            ArrayError::Format { .. } => "write the file again with numpy.save or numpy.savez".into(),
            ArrayError::ElementType { .. } => {
                "convert it with .astype to float32, float64, int8, uint8, int16, int32, int64 or bool".into()
            }
        }
    }
}

/// Reads a `.npy` file. C and Fortran order give the same row-major array.
///
/// # Errors
/// Every [`ArrayError`].
pub fn read_npy(path: &Path) -> Result<Array, ArrayError> {
    from_npy_bytes(&read_file(path)?, &path.display().to_string())
}

/// Reads all arrays of a `.npz` file, in the order of the file.
///
/// # Errors
/// Every [`ArrayError`].
pub fn read_npz(path: &Path) -> Result<Vec<NamedArray>, ArrayError> {
    from_npz_bytes(&read_file(path)?, &path.display().to_string())
}

/// As [`read_npy`], from memory. `place` is what errors call the file.
///
/// # Errors
/// [`ArrayError::Format`], [`ArrayError::ElementType`].
pub fn from_npy_bytes(bytes: &[u8], place: &str) -> Result<Array, ArrayError> {
    let file = NpyFile::new(Cursor::new(bytes)).map_err(|e| format_error(place, e))?;
    decode(file, place)
}

/// As [`read_npz`], from memory. `place` is what errors call the file.
///
/// # Errors
/// [`ArrayError::Format`], [`ArrayError::ElementType`].
pub fn from_npz_bytes(bytes: &[u8], place: &str) -> Result<Vec<NamedArray>, ArrayError> {
    let mut archive = NpzArchive::new(Cursor::new(bytes)).map_err(|e| format_error(place, e))?;
    // The archive lists its entries in a hash order; the zip directory has the file's order.
    let zip = archive.zip_archive();
    let mut names = Vec::new();
    for i in 0..zip.len() {
        let entry = zip.by_index(i).map_err(|e| format_error(place, e))?;
        names.extend(npyz::npz::array_name_from_file_name(entry.name()).map(str::to_string));
    }
    let mut arrays = Vec::new();
    for name in names {
        let place = format!("array '{name}' of {place}");
        let file = archive.by_name(&name).map_err(|e| format_error(&place, e))?;
        let file = file.ok_or_else(|| format_error(&place, "the entry is missing"))?;
        arrays.push(NamedArray { array: decode(file, &place)?, name });
    }
    Ok(arrays)
}

/// Writes a `.npy` file in C order.
///
/// # Errors
/// [`ArrayError::File`].
pub fn write_npy(path: &Path, array: &Array) -> Result<(), ArrayError> {
    write_file(path, &to_npy_bytes(array))
}

/// Writes a compressed `.npz` file.
///
/// # Errors
/// [`ArrayError::File`].
pub fn write_npz(path: &Path, arrays: &[NamedArray]) -> Result<(), ArrayError> {
    write_file(path, &to_npz_bytes(arrays))
}

/// The same with float32 arrays in these types, by name. There is no bfloat16 in the format: such numbers are rounded to it,
/// and written as float32.
///
/// # Errors
/// [`ArrayError::File`].
pub fn write_npz_as(path: &Path, arrays: &[NamedArray], types: &BTreeMap<String, RealType>) -> Result<(), ArrayError> {
    let mut out = Cursor::new(Vec::new());
    // As in `to_npz_bytes`.
    let _ = put_npz(&mut out, arrays, types);
    write_file(path, &out.into_inner())
}

/// The bytes of a `.npy` file in C order.
pub fn to_npy_bytes(array: &Array) -> Vec<u8> {
    npy_bytes(array, None)
}

fn npy_bytes(array: &Array, real: Option<RealType>) -> Vec<u8> {
    let mut out = Vec::new();
    macro_rules! put {
        ($values:expr, $T:ty) => {{
            let writer =
                npyz::WriteOptions::<$T>::new().default_dtype().shape(&dimensions(array)).writer(&mut out).begin_nd();
            // Writing to a vector cannot fail.
            if let Ok(mut writer) = writer {
                let _ = writer.extend($values);
                let _ = writer.finish();
            }
        }};
    }
    match &array.data {
        ArrayData::F32(v) => match real {
            None => put!(v.iter().copied(), f32),
            Some(RealType::Float16) => put!(v.iter().map(|&x| f16::from_f32(x)), f16),
            Some(real @ RealType::Bfloat16) => return npy_bytes(&real.applied(array.clone()), None),
            Some(RealType::Float64) => put!(v.iter().map(|&x| f64::from(x)), f64),
        },
        ArrayData::F64(v) => put!(v.iter().copied(), f64),
        ArrayData::I8(v) => put!(v.iter().copied(), i8),
        ArrayData::U8(v) => put!(v.iter().copied(), u8),
        ArrayData::I16(v) => put!(v.iter().copied(), i16),
        ArrayData::I32(v) => put!(v.iter().copied(), i32),
        ArrayData::I64(v) => put!(v.iter().copied(), i64),
        ArrayData::Bool(v) => put!(v.iter().map(|&b| b != 0), bool),
    }
    out
}

/// The bytes of a compressed `.npz` file.
pub fn to_npz_bytes(arrays: &[NamedArray]) -> Vec<u8> {
    let mut out = Cursor::new(Vec::new());
    // Writing to memory cannot fail; two arrays of one name can, and the callers' names are unique.
    let _ = put_npz(&mut out, arrays, &BTreeMap::new());
    out.into_inner()
}

fn put_npz(
    out: &mut (impl Write + Seek),
    arrays: &[NamedArray],
    types: &BTreeMap<String, RealType>,
) -> std::io::Result<()> {
    let mut npz = NpzWriter::new(out);
    for NamedArray { name, array } in arrays {
        let zip = npz.zip_writer();
        zip.start_file(npyz::npz::file_name_from_array_name(name), Default::default())
            .map_err(std::io::Error::other)?;
        zip.write_all(&npy_bytes(array, types.get(name).copied()))?;
    }
    Ok(())
}

fn dimensions(array: &Array) -> Vec<u64> {
    array.shape.iter().map(|&d| d as u64).collect()
}

fn decode<R: Read>(file: NpyFile<R>, place: &str) -> Result<Array, ArrayError> {
    let dtype = file.dtype();
    let DType::Plain(ty) = &dtype else {
        return Err(ArrayError::ElementType { place: place.to_string(), descr: dtype.descr() });
    };
    let shape: Vec<usize> = file.shape().iter().map(|&d| d as usize).collect();
    let (order, kind, size, endianness) = (file.order(), ty.type_char(), ty.size_field() as usize, ty.endianness());
    let n_bytes = shape.iter().try_fold(size, |n, &d| n.checked_mul(d)).filter(|&n| n <= MAX_BYTES);
    let n_bytes = n_bytes.ok_or_else(|| format_error(place, format!("shape {shape:?} is too large")))?;
    // Never trust the header with an allocation: read what is there, then compare.
    let mut bytes = Vec::new();
    file.into_inner().take(n_bytes as u64).read_to_end(&mut bytes).map_err(|e| format_error(place, e))?;
    if bytes.len() != n_bytes {
        return Err(format_error(
            place,
            format!("shape {shape:?} needs {n_bytes} bytes, the file has {}", bytes.len()),
        ));
    }
    macro_rules! take {
        ($T:ty) => {
            bytes
                .chunks_exact(size_of::<$T>())
                .map(|b| {
                    let mut word = [0; size_of::<$T>()];
                    word.copy_from_slice(b);
                    if endianness == Endianness::Big { <$T>::from_be_bytes(word) } else { <$T>::from_le_bytes(word) }
                })
                .collect::<Vec<$T>>()
        };
    }
    fn rows<T: Copy>(shape: &[usize], order: Order, v: Vec<T>) -> Vec<T> {
        if order == Order::C { v } else { from_fortran(shape, &v) }
    }
    let data = match (kind, size) {
        (TypeChar::Float, 2) => {
            let values = take!(u16).into_iter().map(|bits| f16::from_bits(bits).to_f32()).collect();
            ArrayData::F32(rows(&shape, order, values))
        }
        (TypeChar::Float, 4) => ArrayData::F32(rows(&shape, order, take!(f32))),
        (TypeChar::Float, 8) => ArrayData::F64(rows(&shape, order, take!(f64))),
        (TypeChar::Int, 1) => ArrayData::I8(rows(&shape, order, take!(i8))),
        (TypeChar::Uint, 1) => ArrayData::U8(rows(&shape, order, bytes)),
        (TypeChar::Int, 2) => ArrayData::I16(rows(&shape, order, take!(i16))),
        (TypeChar::Int, 4) => ArrayData::I32(rows(&shape, order, take!(i32))),
        (TypeChar::Int, 8) => ArrayData::I64(rows(&shape, order, take!(i64))),
        (TypeChar::Bool, 1) => ArrayData::Bool(rows(&shape, order, bytes.iter().map(|&b| u8::from(b != 0)).collect())),
        _ => return Err(ArrayError::ElementType { place: place.to_string(), descr: dtype.descr() }),
    };
    Ok(Array { shape, data })
}

/// Elements of a column-major array in row-major order.
fn from_fortran<T: Copy>(shape: &[usize], v: &[T]) -> Vec<T> {
    let mut index = vec![0; shape.len()];
    let mut out = Vec::with_capacity(v.len());
    for _ in 0..v.len() {
        let at = index.iter().zip(shape).rev().fold(0, |at, (&i, &d)| at * d + i);
        out.push(v[at]);
        for (i, &d) in index.iter_mut().zip(shape).rev() {
            *i += 1;
            if *i < d {
                break;
            }
            *i = 0;
        }
    }
    out
}

fn read_file(path: &Path) -> Result<Vec<u8>, ArrayError> {
    std::fs::read(path).map_err(|e| ArrayError::File { path: path.display().to_string(), reason: e.to_string() })
}

fn write_file(path: &Path, bytes: &[u8]) -> Result<(), ArrayError> {
    std::fs::write(path, bytes)
        .map_err(|e| ArrayError::File { path: path.display().to_string(), reason: e.to_string() })
}

fn format_error(place: &str, reason: impl std::fmt::Display) -> ArrayError {
    ArrayError::Format { place: place.to_string(), reason: reason.to_string() }
}

/// Larger arrays are a damaged header, not data for a microcontroller.
const MAX_BYTES: usize = 8 << 30;

#[cfg(test)]
mod tests {
    use super::*;

    fn npy(header: &str, data: &[u8]) -> Vec<u8> {
        let mut out = b"\x93NUMPY\x01\x00".to_vec();
        out.extend((header.len() as u16).to_le_bytes());
        out.extend(header.as_bytes());
        out.extend(data);
        out
    }

    #[test]
    fn every_type_survives_a_round_trip() {
        let all = [
            ArrayData::F32(vec![1.5, -0.0]),
            ArrayData::F64(vec![0.1, 1e300]),
            ArrayData::I8(vec![-128, 127]),
            ArrayData::U8(vec![0, 255]),
            ArrayData::I16(vec![-32768, 5]),
            ArrayData::I32(vec![i32::MIN, 5]),
            ArrayData::I64(vec![i64::MAX, 5]),
            ArrayData::Bool(vec![0, 1]),
        ];
        let arrays: Vec<_> = all
            .into_iter()
            .enumerate()
            .map(|(i, data)| NamedArray::new(&format!("z{i}/a:0"), Array::new(vec![2, 1], data)))
            .collect();
        assert_eq!(from_npz_bytes(&to_npz_bytes(&arrays), "test").unwrap(), arrays);
        let scalar = Array::new(vec![], ArrayData::I64(vec![7]));
        assert_eq!(from_npy_bytes(&to_npy_bytes(&scalar), "test").unwrap(), scalar);
    }

    #[test]
    fn fortran_order_and_big_endian_are_read_right() {
        let header = "{'descr': '>i2', 'fortran_order': True, 'shape': (2, 3), }\n";
        // Columns of [[1, 2, 3], [4, 5, 6]].
        let data: Vec<u8> = [1i16, 4, 2, 5, 3, 6].iter().flat_map(|x| x.to_be_bytes()).collect();
        let array = from_npy_bytes(&npy(header, &data), "test").unwrap();
        assert_eq!(array, Array::new(vec![2, 3], ArrayData::I16(vec![1, 2, 3, 4, 5, 6])));
    }

    #[test]
    fn bad_files_are_refused() {
        let check = |bytes: &[u8], code, words: &str| {
            let error = from_npy_bytes(bytes, "x.npy").unwrap_err();
            assert_eq!(error.code(), code, "{error}");
            assert!(error.to_string().contains(words), "{error}");
            assert!(!error.hint().is_empty());
        };
        check(b"", "array-format", "x.npy is not a readable array");
        check(b"not an array at all", "array-format", "x.npy");
        let f4 = "{'descr': '<f4', 'fortran_order': False, 'shape': (4,), }\n";
        check(&npy(f4, &[0; 3]), "array-format", "needs 16 bytes, the file has 3");
        let huge = "{'descr': '<f4', 'fortran_order': False, 'shape': (4294967296, 4294967296), }\n";
        check(&npy(huge, &[]), "array-format", "");
        let complex = "{'descr': '<c8', 'fortran_order': False, 'shape': (1,), }\n";
        check(&npy(complex, &[0; 8]), "array-element-type", "c8");
        let missing = read_npz(Path::new("/no/such/file.npz")).unwrap_err();
        assert_eq!(missing.code(), "array-file");
        assert!(from_npz_bytes(b"PK\x03\x04rubbish", "x.npz").is_err());
    }
}
