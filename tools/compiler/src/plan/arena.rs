//! Offsets for buffers with known lifetimes: dynamic storage allocation, solved exactly where
//! that is affordable.
//!
//! # Algorithm
//! 1. The largest sum of sizes that are live in one step bounds every arena from below.
//! 2. Greedy: buffers in some order, each at the lowest offset that is free during its whole life.
//!    Several orders, then random exchanges in the best one.
//! 3. If the bound is not met, branch and bound over *normal* arrangements, in which every buffer
//!    stands on the floor or on another one, placed in ascending offsets. A branch is cut when a
//!    step's remaining buffers cannot fit below the best known size, and a buffer is not placed
//!    above a hole into which another one fits. After Moffitt, "MiniMalloc: A Lightweight Memory
//!    Allocator for Hardware-Accelerated Machine Learning", ASPLOS 2023.
//!
//! All sizes are in units of [`ARENA_ALIGNMENT`](super::ARENA_ALIGNMENT).

use super::lifetimes::Buffer;

/// Offsets of all buffers and what is known about their quality.
pub(super) struct Arrangement {
    pub offsets: Vec<usize>,
    pub size: usize,
    /// Largest sum of sizes that are live together.
    pub live_bound: usize,
    /// No arrangement is smaller than this.
    pub proven_bound: usize,
}

pub(super) fn arrange(buffers: &[Buffer]) -> Arrangement {
    let problem = Problem::new(buffers);
    let live_bound = problem.live_bound();
    let (mut offsets, mut size) = problem.greedy(live_bound);
    let mut proven_bound = live_bound;
    let mut budget = SEARCH_WORK / (buffers.len() + 1);
    while size > live_bound {
        match Search::new(&problem, size - 1, &mut budget).run() {
            Outcome::Found(better) => {
                size = problem.size(&better);
                offsets = better;
            }
            Outcome::Impossible => {
                proven_bound = size;
                break;
            }
            Outcome::GaveUp => break,
        }
    }
    Arrangement { offsets, size, live_bound, proven_bound }
}

struct Problem {
    /// Sizes in units.
    sizes: Vec<usize>,
    /// First and last step, both included.
    lives: Vec<(usize, usize)>,
    /// Per buffer the ones that are live at the same time.
    neighbours: Vec<Vec<usize>>,
    /// Per step that can be the fullest, the buffers that are live in it.
    sections: Vec<Vec<usize>>,
}

impl Problem {
    fn new(buffers: &[Buffer]) -> Self {
        let n = buffers.len();
        let neighbours =
            (0..n).map(|i| (0..n).filter(|&j| j != i && buffers[i].is_live_with(&buffers[j])).collect()).collect();
        // The live set only shrinks between two births, so the steps of birth see every maximum.
        let mut births: Vec<usize> = buffers.iter().map(|b| b.first).collect();
        births.sort_unstable();
        births.dedup();
        let live_at = |&step: &usize| (0..n).filter(|&i| buffers[i].first <= step && step <= buffers[i].last).collect();
        Problem {
            sizes: buffers.iter().map(Buffer::units).collect(),
            lives: buffers.iter().map(|b| (b.first, b.last)).collect(),
            neighbours,
            sections: births.iter().map(live_at).collect(),
        }
    }

    fn live_bound(&self) -> usize {
        self.sections.iter().map(|s| s.iter().map(|&b| self.sizes[b]).sum()).max().unwrap_or(0)
    }

    fn size(&self, offsets: &[usize]) -> usize {
        offsets.iter().zip(&self.sizes).map(|(o, s)| o + s).max().unwrap_or(0)
    }

    /// The best of several orders, improved by random exchanges.
    fn greedy(&self, target: usize) -> (Vec<usize>, usize) {
        let length = |i: usize| self.lives[i].1 - self.lives[i].0 + 1;
        let pressure = |i: usize| -> usize { self.neighbours[i].iter().map(|&j| self.sizes[j]).sum() };
        type Key<'a> = Box<dyn Fn(usize) -> (usize, usize) + 'a>;
        let keys: [Key; 5] = [
            Box::new(|i| (self.sizes[i], length(i))),
            Box::new(|i| (self.sizes[i] * length(i), self.sizes[i])),
            Box::new(|i| (length(i), self.sizes[i])),
            Box::new(|i| (usize::MAX - self.lives[i].0, self.sizes[i])),
            Box::new(|i| (self.sizes[i] + pressure(i), self.sizes[i])),
        ];
        let mut best: Option<(Vec<usize>, Vec<usize>, usize)> = None;
        for key in keys {
            let mut order: Vec<usize> = (0..self.sizes.len()).collect();
            order.sort_by_key(|&i| std::cmp::Reverse(key(i)));
            let offsets = self.first_fit(&order);
            let size = self.size(&offsets);
            if best.as_ref().is_none_or(|b| size < b.2) {
                best = Some((order, offsets, size));
            }
        }
        let (mut order, mut offsets, mut size) = best.unwrap_or_default();
        let n = order.len() as u64;
        let mut random = 0x9e37_79b9_7f4a_7c15_u64;
        let mut next = || {
            random ^= random << 13;
            random ^= random >> 7;
            random ^= random << 17;
            (random % n.max(1)) as usize
        };
        for _ in 0..EXCHANGES {
            if size <= target {
                break;
            }
            let (a, b) = (next(), next());
            order.swap(a, b);
            let trial = self.first_fit(&order);
            let trial_size = self.size(&trial);
            if trial_size <= size {
                (offsets, size) = (trial, trial_size);
            } else {
                order.swap(a, b);
            }
        }
        (offsets, size)
    }

    /// Each buffer at the lowest offset that is free among those placed before it.
    fn first_fit(&self, order: &[usize]) -> Vec<usize> {
        let mut offsets = vec![usize::MAX; self.sizes.len()];
        let mut taken: Vec<(usize, usize)> = Vec::new();
        for &i in order {
            taken.clear();
            let placed = self.neighbours[i].iter().filter(|&&j| offsets[j] != usize::MAX);
            taken.extend(placed.map(|&j| (offsets[j], offsets[j] + self.sizes[j])));
            taken.sort_unstable();
            let mut offset = 0;
            for &(start, end) in &taken {
                if offset + self.sizes[i] <= start {
                    break;
                }
                offset = offset.max(end);
            }
            offsets[i] = offset;
        }
        offsets
    }
}

enum Outcome {
    Found(Vec<usize>),
    Impossible,
    GaveUp,
}

/// Depth-first search for an arrangement of at most `capacity`.
struct Search<'a> {
    problem: &'a Problem,
    capacity: usize,
    budget: &'a mut usize,
    offsets: Vec<usize>,
    is_placed: Vec<bool>,
}

impl<'a> Search<'a> {
    fn new(problem: &'a Problem, capacity: usize, budget: &'a mut usize) -> Self {
        let n = problem.sizes.len();
        Search { problem, capacity, budget, offsets: vec![0; n], is_placed: vec![false; n] }
    }

    fn run(mut self) -> Outcome {
        // Lowest offset of each buffer above its neighbours that are placed already.
        let floors = vec![0; self.problem.sizes.len()];
        match self.extend(&floors, (0, 0)) {
            Some(true) => Outcome::Found(self.offsets),
            Some(false) => Outcome::Impossible,
            None => Outcome::GaveUp,
        }
    }

    /// `Some(found)`, or `None` when the budget is used up. Buffers are placed in ascending
    /// (offset, index), each on its floor; `from` is the first such pair that is still allowed.
    fn extend(&mut self, floors: &[usize], from: (usize, usize)) -> Option<bool> {
        if *self.budget == 0 {
            return None;
        }
        *self.budget -= 1;
        let open: Vec<usize> = (0..floors.len()).filter(|&i| !self.is_placed[i]).collect();
        let lowest = |i: usize| floors[i].max(from.0);
        // Placing anything at or above the top of a buffer that could go below leaves a hole.
        let Some(ceiling) = open.iter().map(|&i| lowest(i) + self.problem.sizes[i]).min() else {
            return Some(true);
        };
        if open.iter().any(|&i| lowest(i) + self.problem.sizes[i] > self.capacity) || !self.sections_fit(&lowest) {
            return Some(false);
        }
        let mut candidates: Vec<usize> =
            open.into_iter().filter(|&i| (floors[i], i) >= from && floors[i] < ceiling).collect();
        candidates.sort_by_key(|&i| (floors[i], std::cmp::Reverse(self.problem.sizes[i])));
        for i in candidates {
            let offset = floors[i];
            self.is_placed[i] = true;
            self.offsets[i] = offset;
            let mut raised = floors.to_vec();
            for &j in &self.problem.neighbours[i] {
                raised[j] = raised[j].max(offset + self.problem.sizes[i]);
            }
            if self.extend(&raised, (offset, i + 1))? {
                return Some(true);
            }
            self.is_placed[i] = false;
        }
        Some(false)
    }

    /// Whether the open buffers of every step can stand on each other below the capacity.
    fn sections_fit(&self, lowest: &dyn Fn(usize) -> usize) -> bool {
        self.problem.sections.iter().all(|section| {
            let open = section.iter().copied().filter(|&i| !self.is_placed[i]);
            let (sum, floor) =
                open.fold((0, usize::MAX), |(sum, floor), i| (sum + self.problem.sizes[i], floor.min(lowest(i))));
            floor == usize::MAX || floor + sum <= self.capacity
        })
    }
}

const EXCHANGES: usize = 400;
/// Nodes of the search times number of buffers: well below a second.
const SEARCH_WORK: usize = 1_500_000;
