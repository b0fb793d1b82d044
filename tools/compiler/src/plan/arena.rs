//! Offsets for buffers with known lifetimes: dynamic storage allocation with overlaps, solved exactly where that is
//! affordable.
//!
//! ```text
//! buffers, overlaps -> which ones start together -> bodies and gaps between them (problem) -> offsets (search)
//! ```
//!
//! # Algorithm
//! 1. The largest sum of sizes that are live in one step, less what the step's kernel lets overlap, bounds every arena
//!    from below.
//! 2. Overlaps of the kind [`Kind::Together`] are choices: two buffers start at the same byte, or are apart. Buffers
//!    that start together form one body. Several choices are tried, all of them where there are few.
//! 3. Greedy: bodies in some order, each at the lowest offset that is free. Several orders, then random exchanges in the
//!    best one.
//! 4. If the bound is not met, a search that is exact within its budget: [`super::search`].
//!
//! Both have a budget of work, so that thousands of buffers cost seconds: the arena is then further above its bound, and
//! says so.
//!
//! All sizes are in units of [`ARENA_ALIGNMENT`](super::ARENA_ALIGNMENT).

use super::Effort;
use super::lifetimes::{Buffer, Kind, Overlap, saved_units};
use super::search::{Outcome, Problem, Search};
use std::collections::{BTreeSet, HashSet};

/// Offsets of all buffers and what is known about their quality.
pub(super) struct Arrangement {
    pub offsets: Vec<usize>,
    pub size: usize,
    /// Largest sum of sizes that are live together, less what may overlap.
    pub live_bound: usize,
    /// No arrangement is smaller than this.
    pub proven_bound: usize,
}

pub(super) fn arrange(buffers: &[Buffer], overlaps: &[Overlap], effort: Effort) -> Arrangement {
    let live_bound = live_bound(buffers, overlaps);
    let (mut choices, all_tried) = choices(overlaps);
    let search_work = match effort {
        Effort::Full => SEARCH_WORK,
        Effort::Estimate => 0,
    };
    if effort == Effort::Estimate {
        choices.truncate(1);
    }
    let mut best: Option<(Vec<usize>, usize)> = None;
    let mut is_exhausted = all_tried;
    let mut seen: BTreeSet<Vec<usize>> = BTreeSet::new();
    let mut greedy_work = GREEDY_WORK;
    for choice in &choices {
        if greedy_work == 0 {
            is_exhausted = false;
            break;
        }
        let body_of = bodies(buffers, overlaps, choice);
        if seen.contains(&body_of) {
            continue;
        }
        let problem = Problem::new(buffers, overlaps, &body_of);
        seen.insert(body_of);
        let target = best.as_ref().map_or(usize::MAX, |b| b.1);
        let (offsets, size) = problem.greedy(live_bound, &mut greedy_work);
        if size < target {
            best = Some((problem.of_buffers(&offsets), size));
        }
        let mut budget = search_work / (buffers.len() + 1) / choices.len();
        while let Some(size) = best.as_ref().map(|b| b.1).filter(|&size| size > live_bound) {
            match Search::new(&problem, size - 1, &mut budget).run() {
                Outcome::Found(offsets) => best = Some((problem.of_buffers(&offsets), problem.size(&offsets))),
                Outcome::Impossible => break,
                Outcome::GaveUp => {
                    is_exhausted = false;
                    break;
                }
            }
        }
        if best.as_ref().is_none_or(|b| b.1 <= live_bound) {
            break;
        }
    }
    let (offsets, size) = best.unwrap_or_default();
    let proven_bound = if is_exhausted { size } else { live_bound };
    Arrangement { offsets, size, live_bound, proven_bound }
}

/// The largest sum of sizes of what is live in one step, less the most that may overlap there.
fn live_bound(buffers: &[Buffer], overlaps: &[Overlap]) -> usize {
    // The live set only shrinks between two births, so the steps of birth see every maximum.
    let at = |step: usize| {
        let live: usize = buffers.iter().filter(|b| b.is_live_at(step)).map(Buffer::units).sum();
        live.saturating_sub(saved_units(overlaps, step, buffers))
    };
    buffers.iter().map(|b| at(b.first)).max().unwrap_or(0)
}

/// Sets of indices of overlaps whose buffers start together where the earlier ones of the set let them, and whether
/// these are all sets that differ.
fn choices(overlaps: &[Overlap]) -> (Vec<Vec<usize>>, bool) {
    let together: Vec<usize> = (0..overlaps.len()).filter(|&i| matches!(overlaps[i].kind, Kind::Together)).collect();
    let mut sets = vec![together.clone(), together.iter().rev().copied().collect()];
    let is_small = together.len() <= MOST_CHOICES;
    if is_small {
        let subset =
            |bits: u32| together.iter().enumerate().filter(|(i, _)| bits >> i & 1 == 1).map(|(_, &o)| o).collect();
        sets.extend((0..1u32 << together.len()).rev().map(subset));
    } else {
        sets.extend(together.iter().map(|&left| together.iter().copied().filter(|&o| o != left).collect()));
        sets.push(Vec::new());
    }
    (sets, is_small)
}

/// Per buffer the number of its body: buffers of one body start together. Overlaps are taken in the given order, where
/// all that are live at once may.
fn bodies(buffers: &[Buffer], overlaps: &[Overlap], taken: &[usize]) -> Vec<usize> {
    let mut body_of: Vec<usize> = (0..buffers.len()).collect();
    let mut members: Vec<Vec<usize>> = (0..buffers.len()).map(|i| vec![i]).collect();
    let together = overlaps.iter().filter(|o| o.kind == Kind::Together);
    let together: HashSet<(usize, usize)> = together.flat_map(|o| [(o.input, o.output), (o.output, o.input)]).collect();
    let may = |a: usize, b: usize| !buffers[a].is_live_with(&buffers[b]) || together.contains(&(a, b));
    for overlap in taken.iter().map(|&i| &overlaps[i]) {
        let (from, to) = (body_of[overlap.output], body_of[overlap.input]);
        if from != to && members[from].iter().all(|&a| members[to].iter().all(|&b| may(a, b))) {
            let moved = std::mem::take(&mut members[from]);
            moved.iter().for_each(|&b| body_of[b] = to);
            members[to].extend(moved);
        }
    }
    body_of
}

/// Most choices of which every combination is tried.
const MOST_CHOICES: usize = 5;
/// Neighbours that greedy placements look at, over all choices: about a second.
const GREEDY_WORK: usize = 60_000_000;
/// Nodes of the search times number of buffers: about a second.
const SEARCH_WORK: usize = 3_000_000;
