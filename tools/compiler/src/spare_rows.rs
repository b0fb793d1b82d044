//! Results whose number of rows depends on the values: an image has room for the most, and fills what is left with -1.

use crate::array::{Array, ArrayData};

/// A result of the model itself with as many rows as `shape` has, if it is of this kind.
pub(crate) fn filled(mut array: Array, shape: &[usize]) -> Array {
    let ([n_rows, row @ ..], [n_wanted, wanted_row @ ..]) = (&array.shape[..], shape) else { return array };
    if let ArrayData::I64(values) = &mut array.data
        && row == wanted_row
        && n_rows < n_wanted
    {
        values.resize(shape.iter().product(), -1);
        array.shape = shape.to_vec();
    }
    array
}

#[cfg(test)]
mod tests {
    use super::*;

    fn rows(shape: &[usize], values: &[i64]) -> Array {
        Array::new(shape.to_vec(), ArrayData::I64(values.to_vec()))
    }

    #[test]
    fn only_missing_rows_are_filled() {
        assert_eq!(filled(rows(&[1, 2], &[4, 5]), &[3, 2]), rows(&[3, 2], &[4, 5, -1, -1, -1, -1]));
        assert_eq!(filled(rows(&[0, 2], &[]), &[3, 2]), rows(&[3, 2], &[-1; 6]));
        for other in [rows(&[3, 2], &[1; 6]), rows(&[4, 2], &[1; 8]), rows(&[1, 3], &[1; 3]), rows(&[], &[1])] {
            assert_eq!(filled(other.clone(), &[3, 2]), other);
        }
        let floats = Array::f32(vec![1, 2], vec![0.0; 2]);
        assert_eq!(filled(floats.clone(), &[3, 2]), floats);
    }
}
