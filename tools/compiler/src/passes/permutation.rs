//! Arithmetic of axis permutations. `p` says: axis i of the result is axis `p[i]` of the operand.

/// The permutation that undoes `p`.
pub fn inverse(p: &[usize]) -> Vec<usize> {
    let mut inverse = vec![0; p.len()];
    for (i, &axis) in p.iter().enumerate() {
        inverse[axis] = i;
    }
    inverse
}

/// First `first`, then `second`.
pub fn compose(first: &[usize], second: &[usize]) -> Vec<usize> {
    second.iter().map(|&axis| first[axis]).collect()
}

/// `shape` after the permutation.
pub fn apply(p: &[usize], shape: &[usize]) -> Vec<usize> {
    p.iter().map(|&axis| shape[axis]).collect()
}

/// Whether nothing moves.
pub fn is_identity(p: &[usize]) -> bool {
    p.iter().enumerate().all(|(i, &axis)| i == axis)
}

/// Whether only axes of size 1 move, so that the elements stay in order.
pub fn keeps_order(p: &[usize], shape: &[usize]) -> bool {
    p.iter().filter(|&&axis| shape[axis] != 1).is_sorted()
}

/// Shape and permutation with the fewest axes that move the elements of a tensor of shape `shape` as `p` does.
pub fn fewest_axes(p: &[usize], shape: &[usize]) -> (Vec<usize>, Vec<usize>) {
    let kept: Vec<usize> = (0..shape.len()).filter(|&axis| shape[axis] != 1).collect();
    let moved: Vec<usize> = p.iter().filter_map(|axis| kept.iter().position(|k| k == axis)).collect();
    let mut runs: Vec<Vec<usize>> = Vec::new();
    for axis in moved {
        match runs.last_mut() {
            Some(run) if run.last().is_some_and(|last| last + 1 == axis) => run.push(axis),
            _ => runs.push(vec![axis]),
        }
    }
    let mut in_order: Vec<usize> = (0..runs.len()).collect();
    in_order.sort_by_key(|&run| runs[run][0]);
    let size = |run: &usize| runs[*run].iter().map(|&axis| shape[kept[axis]]).product();
    (in_order.iter().map(size).collect(), inverse(&in_order))
}

/// Where each element of a tensor of shape `shape` goes: element i of the permuted tensor is
/// element `order[i]`.
pub fn element_order(p: &[usize], shape: &[usize]) -> Vec<usize> {
    let elements: Vec<usize> = (0..shape.iter().product()).collect();
    crate::evaluate::transpose(&elements, shape, p)
}

/// The number of leading axes that stay and hold `leading` elements together, if there is one.
pub fn fixed_prefix(p: &[usize], shape: &[usize], leading: usize) -> Option<usize> {
    let fixed = p.iter().enumerate().take_while(|&(i, &axis)| i == axis).count();
    (0..=fixed).find(|&k| shape[..k].iter().product::<usize>() == leading)
}

#[cfg(test)]
mod tests {
    use super::*;

    #[test]
    fn permutations_behave() {
        let p = [0, 3, 1, 2];
        assert!(is_identity(&compose(&p, &inverse(&p))));
        assert_eq!(apply(&p, &[1, 4, 5, 3]), [1, 3, 4, 5]);
        assert!(keeps_order(&p, &[1, 1, 1, 3]) && keeps_order(&p, &[2, 7, 1, 1]) && !keeps_order(&p, &[1, 2, 1, 3]));
        assert_eq!(element_order(&[1, 0], &[2, 3]), [0, 3, 1, 4, 2, 5]);
        let windows = fewest_axes(&[0, 1, 3, 2, 4, 5], &[2, 3, 7, 4, 7, 5]);
        assert_eq!(windows, (vec![6, 7, 4, 35], vec![0, 2, 1, 3]));
        assert_eq!(fewest_axes(&[2, 3, 0, 1], &[3, 1, 4, 5]), (vec![3, 20], vec![1, 0]));
        assert_eq!(fewest_axes(&[1, 0], &[1, 1]), (vec![], vec![]));
        let (p, shape) = ([3, 5, 0, 1, 4, 2], [2, 3, 2, 1, 2, 3]);
        let (merged, moved) = fewest_axes(&p, &shape);
        assert_eq!(element_order(&moved, &merged), element_order(&p, &shape));
        assert_eq!(fixed_prefix(&[0, 1, 3, 2], &[2, 3, 4, 5], 6), Some(2));
        assert_eq!(fixed_prefix(&[0, 2, 1], &[2, 3, 4], 3), None);
    }
}
