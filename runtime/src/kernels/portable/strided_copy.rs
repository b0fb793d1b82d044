//! Moving elements: transposition, concatenation and padding are one strided copy.

use crate::kernels::geometry::StridedLoops;

/// Copies elements from `source` to `target`, each with its own strides.
///
/// # Shapes
/// `loops` over (source, target): [`StridedLoops::transpose`] for a transposition, [`StridedLoops::embed`] for one
/// operand of a concatenation or the inside of a padded tensor, with `target` beginning at its first element there.
/// A source stride of 0 repeats elements.
pub fn strided_copy<T: Copy>(loops: &StridedLoops<2>, source: &[T], target: &mut [T]) -> Option<()> {
    let row_length = loops.row_length();
    let [source_stride, target_stride] = loops.row_strides().map(|s| s as usize);
    loops.for_each_row(|[from, to]| {
        let (source, target) = (source.get(from..)?, target.get_mut(to..)?);
        match (source_stride, target_stride) {
            (1, 1) => {
                for (t, s) in target.get_mut(..row_length)?.iter_mut().zip(source.get(..row_length)?) {
                    *t = *s;
                }
            }
            (0, _) => {
                let value = *source.first()?;
                for t in target.iter_mut().step_by(target_stride.max(1)).take(row_length) {
                    *t = value;
                }
            }
            _ => {
                let targets = target.iter_mut().step_by(target_stride.max(1)).take(row_length);
                for (t, s) in targets.zip(source.iter().step_by(source_stride)) {
                    *t = *s;
                }
            }
        }
        Some(())
    })
}

/// Sets every element, for instance the border of a padded tensor.
pub fn fill<T: Copy>(target: &mut [T], value: T) {
    for t in target {
        *t = value;
    }
}
