//! A choice between two tensors, element by element, with broadcasting.

use crate::kernels::geometry::StridedLoops;

/// `condition ? a : b`. A condition that is not 0 holds.
///
/// # Shapes
/// `loops` over (condition, a, b, output) from [`StridedLoops::broadcast_three`].
pub fn select<T: Copy>(loops: &StridedLoops<4>, condition: &[u8], a: &[T], b: &[T], output: &mut [T]) -> Option<()> {
    let [c_stride, a_stride, b_stride, _] = loops.row_strides().map(|s| s as usize);
    let row_length = loops.row_length();
    loops.for_each_row(|[mut c_at, mut a_at, mut b_at, start]| {
        for target in output.get_mut(start..)?.get_mut(..row_length)? {
            let chosen = if *condition.get(c_at)? != 0 { a.get(a_at) } else { b.get(b_at) };
            *target = *chosen?;
            c_at = c_at.wrapping_add(c_stride);
            a_at = a_at.wrapping_add(a_stride);
            b_at = b_at.wrapping_add(b_stride);
        }
        Some(())
    })
}

#[cfg(test)]
mod tests {
    use super::*;
    use crate::tensor::Shape;

    #[test]
    fn all_three_operands_broadcast() {
        let dims = |d: &[u32]| Shape::new(d).unwrap().broadcast_dims();
        let (c, a, b, o) = (dims(&[2, 1]), dims(&[3]), dims(&[1]), dims(&[2, 3]));
        let loops = StridedLoops::broadcast_three(c, a, b, o).unwrap();
        let mut output = [0i64; 6];
        select(&loops, &[0, 2], &[1, 2, 3], &[-1], &mut output).unwrap();
        assert_eq!(output, [-1, -1, -1, 1, 2, 3]);
        assert_eq!(select(&loops, &[0, 2], &[1, 2], &[-1], &mut output), None);
        assert!(StridedLoops::broadcast_three(c, a, b, dims(&[2, 2])).is_none());
        assert!(StridedLoops::broadcast_three(b, b, b, o).is_none());
    }
}
