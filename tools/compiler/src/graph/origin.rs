//! Where a tensor of the graph comes from.

use crate::kept_channels::KeptChannels;
use crate::strip_rows::StripRows;

/// Which ONNX tensor a tensor of this graph holds, for calibration and for comparing layers.
///
/// The values are those of ONNX tensor `name` after a reshape to the factors of its `axes`, `transpose(permutation)` and
/// a reshape to this tensor's shape, of which only the `kept` channels are left. Passes that fuse nodes keep the origin
/// of the *last* fused one.
#[derive(Clone, Debug, PartialEq, Eq)]
pub struct Origin {
    /// Name of the tensor in the ONNX file.
    pub name: String,
    /// Each dimension of the ONNX tensor, as the factors that are told apart, outer ones first. Most have one; what an
    /// image records of a tensor without more is none at all.
    pub axes: Vec<Vec<usize>>,
    /// The factors in our order; identity when nothing moved.
    pub permutation: Vec<usize>,
    /// Set when channels were taken out.
    pub kept: Option<KeptChannels>,
    /// Set for some rows of the values.
    pub rows: Option<StripRows>,
}

impl Origin {
    /// The ONNX tensor as it is.
    pub fn whole(name: &str, shape: &[usize]) -> Self {
        let axes = shape.iter().map(|&d| vec![d]).collect();
        Origin { name: name.to_string(), axes, permutation: (0..shape.len()).collect(), kept: None, rows: None }
    }

    /// The origin of a tensor of this shape after its axes are permuted; `None` where the tensor's axes are no factors of
    /// the ONNX tensor's.
    pub fn permuted(&self, shape: &[usize], p: &[usize]) -> Option<Origin> {
        let dims = self.axes.concat();
        let own: Vec<usize> = self.permutation.iter().map(|&at| *dims.get(at).unwrap_or(&0)).collect();
        if own == shape {
            let permutation = p.iter().map(|&axis| self.permutation[axis]).collect();
            return Some(Origin { permutation, ..self.clone() });
        }
        let parts = common_factors(&own, shape)?;
        // The factors of each of `dims`, and for each axis of the tensor which of them it has.
        let mut split: Vec<Vec<usize>> = dims.iter().map(|&d| if d == 1 { vec![1] } else { Vec::new() }).collect();
        let mut of_axis: Vec<Vec<(usize, usize)>> = vec![Vec::new(); shape.len()];
        for (place, axis, factor) in parts {
            let at = self.permutation[place];
            of_axis[axis].push((at, split[at].len()));
            split[at].push(factor);
        }
        let start = |at: usize| split[..at].iter().map(Vec::len).sum::<usize>();
        let ones = (0..dims.len()).filter(|&at| dims[at] == 1).map(start);
        let moved = p.iter().flat_map(|&axis| of_axis[axis].iter().map(|&(at, part)| start(at) + part));
        let permutation = ones.chain(moved).collect();
        let mut rest = split.iter();
        let axes = self.axes.iter().map(|factors| rest.by_ref().take(factors.len()).flatten().copied().collect());
        Some(Origin { axes: axes.collect(), permutation, ..self.clone() })
    }

    /// For each element of the tensor its position in the ONNX tensor, which has this shape.
    pub fn order(&self, shape: &[usize]) -> Vec<usize> {
        let n = shape.iter().product();
        // Splitting an axis gives one more.
        let dims = if self.permutation.len() == shape.len() { shape.to_vec() } else { self.axes.concat() };
        if self.permutation.len() != dims.len() || dims.iter().product::<usize>() != n {
            return (0..n).collect();
        }
        transposed(&dims, &self.permutation)
    }

    /// Whether the elements are in the ONNX tensor's order.
    pub fn keeps_order(&self) -> bool {
        self.permutation.is_sorted()
    }
}

/// For each element of an array transposed by `permutation` its position in the array.
pub fn transposed(dims: &[usize], permutation: &[usize]) -> Vec<usize> {
    let mut strides = vec![1; dims.len()];
    for i in (1..dims.len()).rev() {
        strides[i - 1] = strides[i] * dims[i];
    }
    let mut positions = vec![0];
    for &axis in permutation {
        positions = positions
            .iter()
            .flat_map(|p| (0..dims[axis]).map(move |i| (p, i)))
            .map(|(p, i)| p + i * strides[axis])
            .collect();
    }
    positions
}

/// Factors of two shapes of the same elements: (axis in a, axis in b, size), all larger than 1.
fn common_factors(a: &[usize], b: &[usize]) -> Option<Vec<(usize, usize, usize)>> {
    let mut parts = Vec::new();
    let larger = |shape: &[usize]| -> Vec<(usize, usize)> {
        shape.iter().copied().enumerate().filter(|&(_, d)| d != 1).collect()
    };
    let (mut a, mut b) = (larger(a).into_iter(), larger(b).into_iter());
    let (mut left, mut right) = (a.next(), b.next());
    while let (Some((i, m)), Some((k, n))) = (left, right) {
        // The outer factor comes first, so that what is left is the inner one.
        let factor = m.min(n);
        if factor == 0 || m % factor != 0 || n % factor != 0 {
            return None;
        }
        parts.push((i, k, factor));
        left = if m == factor { a.next() } else { Some((i, m / factor)) };
        right = if n == factor { b.next() } else { Some((k, n / factor)) };
    }
    (left.is_none() && right.is_none()).then_some(parts)
}

#[cfg(test)]
mod tests {
    use super::*;

    #[test]
    fn transposed_positions() {
        assert_eq!(transposed(&[2, 3], &[1, 0]), [0, 3, 1, 4, 2, 5]);
        assert_eq!(transposed(&[1, 2, 1, 2], &[0, 2, 3, 1]), [0, 2, 1, 3]);
        assert_eq!(transposed(&[], &[]), [0]);
    }

    /// A tensor is permuted and reshaped by turns; its origin says where each element is.
    #[test]
    fn permutations_and_reshapes_are_followed() {
        let check = |shape: &[usize], steps: &[(&[usize], &[usize])]| {
            let mut origin = Origin::whole("x", shape);
            let mut elements: Vec<usize> = (0..shape.iter().product()).collect();
            for (reshaped, p) in steps {
                origin = origin.permuted(reshaped, p).unwrap();
                elements = crate::evaluate::transpose(&elements, reshaped, p);
            }
            assert_eq!(origin.order(shape), elements, "{steps:?} {origin:?}");
        };
        check(&[1, 8, 50], &[(&[1, 8, 1, 50], &[0, 2, 3, 1]), (&[1, 50, 8], &[0, 2, 1])]);
        check(&[1, 400], &[(&[1, 8, 50], &[0, 2, 1]), (&[1, 5, 10, 8], &[0, 2, 1, 3])]);
        check(&[2, 3, 4], &[(&[2, 3, 4], &[1, 0, 2]), (&[6, 4], &[1, 0]), (&[2, 2, 1, 3, 2], &[4, 1, 3, 2, 0])]);
        check(&[1, 1], &[(&[1], &[0]), (&[1, 1, 1], &[2, 0, 1])]);
        check(&[], &[(&[1, 1], &[1, 0])]);
        assert_eq!(Origin::whole("x", &[6, 4]).permuted(&[4, 6], &[1, 0]), None);
    }
}
