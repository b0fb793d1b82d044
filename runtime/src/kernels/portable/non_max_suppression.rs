//! Of boxes that overlap, the one with the highest score.

use super::selection::Ranked;

/// What the four numbers of a box are.
#[derive(Clone, Copy, Debug, PartialEq, Eq)]
#[repr(u8)]
pub enum BoxFormat {
    /// Two opposite corners: y1, x1, y2, x2.
    Corners = 0,
    /// Centre and size: x, y, width, height.
    Center = 1,
}

/// Sizes and limits.
#[derive(Clone, Copy, Debug, PartialEq)]
pub struct NonMaxSuppression {
    /// Pictures.
    pub n_batches: usize,
    /// Classes with scores of their own.
    pub n_classes: usize,
    /// Boxes of a picture.
    pub n_boxes: usize,
    /// What the numbers of a box are.
    pub format: BoxFormat,
    /// Most boxes that are chosen for each class of each picture.
    pub most: usize,
    /// A box is left out when its overlap with one that is chosen already is above this.
    pub iou_threshold: f32,
    /// Boxes whose score is not above this are not looked at.
    pub score_threshold: f32,
}

/// A box as its corners, lower one first.
#[derive(Clone, Copy)]
struct Corners {
    low: [f32; 2],
    high: [f32; 2],
}

impl Corners {
    fn new([a, b, c, d]: [f32; 4], format: BoxFormat) -> Self {
        let sorted = |a: f32, b: f32| if a <= b { [a, b] } else { [b, a] };
        let ([y0, y1], [x0, x1]) = match format {
            BoxFormat::Corners => (sorted(a, c), sorted(b, d)),
            BoxFormat::Center => {
                let (half_width, half_height) = (c / 2.0, d / 2.0);
                ([b - half_height, b + half_height], [a - half_width, a + half_width])
            }
        };
        Corners { low: [y0, x0], high: [y1, x1] }
    }

    fn area(&self) -> f32 {
        (self.high[0] - self.low[0]) * (self.high[1] - self.low[1])
    }

    /// Whether the intersection is more than `threshold` times the union. Boxes without an area overlap nothing.
    fn overlaps(&self, other: &Self, threshold: f32) -> bool {
        let larger = |a: f32, b: f32| if a > b { a } else { b };
        let smaller = |a: f32, b: f32| if a < b { a } else { b };
        let common = Corners {
            low: [larger(self.low[0], other.low[0]), larger(self.low[1], other.low[1])],
            high: [smaller(self.high[0], other.high[0]), smaller(self.high[1], other.high[1])],
        };
        if !(common.high[0] > common.low[0] && common.high[1] > common.low[1]) {
            return false;
        }
        let (intersection, areas) = (common.area(), [self.area(), other.area()]);
        let union = areas[0] + areas[1] - intersection;
        areas[0] > 0.0 && areas[1] > 0.0 && union > 0.0 && intersection / union > threshold
    }
}

/// Chooses boxes for each class of each picture; gives how many rows were written.
///
/// # Shapes
/// - `boxes`: `[n_batches, n_boxes, 4]` f32
/// - `scores`: `[n_batches, n_classes, n_boxes]` f32
/// - `rows`: `[at most, 3]` i64: batch, class, box
///
/// # Algorithm
/// As ONNX has it: in the order of their scores, of equal ones the first, each box is chosen unless it overlaps one that
/// is chosen already for the same class. The next box is found by a search of all, so the work is the number of boxes
/// above the score threshold times the number of boxes; nothing is sorted and no memory is needed.
///
/// # Errors
/// `None` when there are more boxes than rows.
pub fn non_max_suppression(
    sizes: &NonMaxSuppression,
    boxes: &[f32],
    scores: &[f32],
    rows: &mut [i64],
) -> Option<usize> {
    let (rows, _) = rows.as_chunks_mut::<3>();
    let (mut n_rows, mut at) = (0usize, 0usize);
    for batch in 0..sizes.n_batches {
        let first = batch.wrapping_mul(sizes.n_boxes);
        let own = boxes.as_chunks::<4>().0.get(first..)?.get(..sizes.n_boxes)?;
        for class in 0..sizes.n_classes {
            let scores = scores.get(at..)?.get(..sizes.n_boxes)?;
            at = at.wrapping_add(sizes.n_boxes);
            let start = n_rows;
            let mut before = None;
            while n_rows.wrapping_sub(start) < sizes.most {
                let Some((rank, index)) = next(scores, sizes.score_threshold, before) else { break };
                before = Some((rank, index));
                let candidate = Corners::new(*own.get(index)?, sizes.format);
                let mut is_free = true;
                for &[_, _, chosen] in rows.get(start..n_rows)? {
                    let chosen = Corners::new(*own.get(chosen as usize)?, sizes.format);
                    is_free = is_free && !chosen.overlaps(&candidate, sizes.iou_threshold);
                }
                if is_free {
                    *rows.get_mut(n_rows)? = [batch as i64, class as i64, index as i64];
                    n_rows = n_rows.wrapping_add(1);
                }
            }
        }
    }
    Some(n_rows)
}

/// Rank and index of the best score above the threshold that comes behind another.
fn next(scores: &[f32], threshold: f32, before: Option<(i64, usize)>) -> Option<(i64, usize)> {
    let mut best: Option<(i64, usize)> = None;
    for (i, &score) in scores.iter().enumerate() {
        if score > threshold {
            let rank = score.rank();
            let is_behind = before.is_none_or(|(r, j)| rank < r || (rank == r && i > j));
            if is_behind && best.is_none_or(|(r, _)| rank > r) {
                best = Some((rank, i));
            }
        }
    }
    best
}

#[cfg(test)]
mod tests {
    use super::*;

    const BOXES: [f32; 24] = [
        0.0, 0.0, 1.0, 1.0, 0.0, 0.1, 1.0, 1.1, 0.0, -0.1, 1.0, 0.9, 0.0, 10.0, 1.0, 11.0, 0.0, 10.1, 1.0, 11.1, 0.0,
        100.0, 1.0, 101.0,
    ];
    const SCORES: [f32; 6] = [0.9, 0.75, 0.6, 0.95, 0.5, 0.3];

    fn check(change: fn(&mut NonMaxSuppression), boxes: &[f32], scores: &[f32], expected: Option<&[i64]>) {
        let mut sizes = NonMaxSuppression {
            n_batches: 1,
            n_classes: 1,
            n_boxes: scores.len(),
            format: BoxFormat::Corners,
            most: 3,
            iou_threshold: 0.5,
            score_threshold: 0.0,
        };
        change(&mut sizes);
        let mut rows = [-1; 12];
        let found = non_max_suppression(&sizes, boxes, scores, &mut rows);
        assert_eq!(found, expected.map(|e| e.len() / 3));
        if let Some(expected) = expected {
            assert_eq!(rows[..expected.len()], *expected);
        }
    }

    #[test]
    fn boxes_that_overlap_a_better_one_are_left_out() {
        check(|_| {}, &BOXES, &SCORES, Some(&[0, 0, 3, 0, 0, 0, 0, 0, 5]));
        check(|s| s.most = 2, &BOXES, &SCORES, Some(&[0, 0, 3, 0, 0, 0]));
        check(|s| s.most = 0, &BOXES, &SCORES, Some(&[]));
        check(|s| s.score_threshold = 0.4, &BOXES, &SCORES, Some(&[0, 0, 3, 0, 0, 0]));
        check(|s| (s.iou_threshold, s.most) = (1.0, 6), &BOXES, &SCORES, None);
        // Equal scores: the first of them; boxes that only touch; corners the other way round.
        check(|_| {}, &[0.0, 0.0, 1.0, 1.0, 1.0, 1.0, 0.0, 0.0], &[0.5, 0.5], Some(&[0, 0, 0]));
        check(|_| {}, &[0.0, 0.0, 1.0, 1.0, 1.0, 0.0, 2.0, 1.0], &[0.5, 0.5], Some(&[0, 0, 0, 0, 0, 1]));
        // An overlap of a half exactly is not above a half.
        check(|_| {}, &[0.0, 0.0, 1.0, 1.0, 0.0, 0.0, 1.0, 0.5], &[0.9, 0.8], Some(&[0, 0, 0, 0, 0, 1]));
        check(
            |s| s.format = BoxFormat::Center,
            &[0.5, 0.5, 1.0, 1.0, 0.6, 0.5, 1.0, 1.0],
            &[0.9, 0.8],
            Some(&[0, 0, 0]),
        );
        // Every class for itself.
        let classes = [0.9, 0.75, 0.6, 0.95, 0.5, 0.3, 0.0, 0.75, 0.9, 0.0, 0.0, 0.0];
        let change = |s: &mut NonMaxSuppression| (s.n_classes, s.n_boxes, s.most) = (2, 6, 2);
        check(change, &BOXES, &classes, Some(&[0, 0, 3, 0, 0, 0, 0, 1, 2]));
    }
}
