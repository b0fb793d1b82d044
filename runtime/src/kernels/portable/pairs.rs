//! Functions of two elements whose result has a type of its own.

use crate::kernels::geometry::StridedLoops;

/// Any function of two elements, with broadcasting, written apart from both operands.
///
/// # Shapes
/// `loops` over (a, b, output) from [`StridedLoops::broadcast`].
pub fn pairs<A: Copy, B: Copy, O>(
    loops: &StridedLoops<3>,
    a: &[A],
    b: &[B],
    output: &mut [O],
    function: impl Fn(A, B) -> O,
) -> Option<()> {
    let [a_stride, b_stride, _] = loops.row_strides().map(|s| s as usize);
    let row_length = loops.row_length();
    loops.for_each_row(|[mut a_at, mut b_at, start]| {
        for target in output.get_mut(start..)?.get_mut(..row_length)? {
            *target = function(*a.get(a_at)?, *b.get(b_at)?);
            a_at = a_at.wrapping_add(a_stride);
            b_at = b_at.wrapping_add(b_stride);
        }
        Some(())
    })
}
