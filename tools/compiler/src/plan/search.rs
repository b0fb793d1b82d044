//! Bodies in one arena, by first fit and by branch and bound.
//!
//! # Algorithm
//! A body below another one needs a *gap* between the two offsets: its size, or only the lead of a kernel that writes the
//! lower one over the upper one. First fit and the search know nothing else about overlap.
//!
//! The search visits *normal* arrangements, in which every body stands at a gap above another one or on the floor, placed
//! in ascending offsets. A branch is cut when a step's remaining bodies cannot fit below the capacity, and a body is not
//! placed above a hole into which another one fits. After Moffitt, "MiniMalloc: A Lightweight Memory Allocator for
//! Hardware-Accelerated Machine Learning", ASPLOS 2023.

use super::lifetimes::{Buffer, Kind, Overlap};
use std::collections::HashMap;

/// Bodies to be placed.
pub(super) struct Problem {
    /// Per buffer the body that it is in.
    body_of: Vec<usize>,
    /// Size of the largest buffer of each body.
    sizes: Vec<usize>,
    /// First and last step, both included.
    lives: Vec<(usize, usize)>,
    /// Per body the ones that are live at the same time.
    neighbours: Vec<Vec<Neighbour>>,
    /// Per step that can be the fullest, what is live in it.
    sections: Vec<Section>,
}

struct Neighbour {
    body: usize,
    /// How far above this body the other one may start.
    above: usize,
    /// How far below this body the other one may start.
    below: usize,
}

/// One step.
struct Section {
    /// Body and size of the largest of its buffers that are live.
    live: Vec<(usize, usize)>,
    /// Pairs of bodies and by how much they may overlap.
    overlaps: Vec<([usize; 2], usize)>,
}

impl Problem {
    /// `body_of[i]` is the index of any one buffer, the same for all buffers that start together.
    pub fn new(buffers: &[Buffer], overlaps: &[Overlap], body_of: &[usize]) -> Self {
        let mut names: Vec<usize> = body_of.to_vec();
        names.sort_unstable();
        names.dedup();
        let body_of: Vec<usize> = body_of.iter().map(|b| names.binary_search(b).unwrap_or(0)).collect();
        let mut members: Vec<Vec<usize>> = vec![Vec::new(); names.len()];
        body_of.iter().enumerate().for_each(|(i, &b)| members[b].push(i));
        let leads = overlaps.iter().filter_map(|o| match o.kind {
            Kind::Lead { units } => Some(((o.output, o.input), units)),
            Kind::Together => None,
        });
        // The first one of a pair counts.
        let mut lead_of: HashMap<(usize, usize), usize> = HashMap::new();
        leads.for_each(|(pair, units)| {
            lead_of.entry(pair).or_insert(units);
        });
        // Where the first of two buffers is below the second.
        let gap_of_buffers = |low: usize, high: usize| {
            if !buffers[low].is_live_with(&buffers[high]) {
                return None;
            }
            Some(lead_of.get(&(low, high)).copied().unwrap_or(buffers[low].units()))
        };
        let gap = |low: usize, high: usize| {
            let pairs = members[low].iter().flat_map(|&l| members[high].iter().map(move |&h| (l, h)));
            pairs.filter_map(|(l, h)| gap_of_buffers(l, h)).max()
        };
        let neighbours = (0..members.len()).map(|i| {
            let others = (0..members.len()).filter(|&j| j != i);
            others.filter_map(|j| Some(Neighbour { body: j, above: gap(i, j)?, below: gap(j, i)? })).collect::<Vec<_>>()
        });
        let neighbours = neighbours.collect();
        let mut births: Vec<usize> = buffers.iter().map(|b| b.first).collect();
        births.sort_unstable();
        births.dedup();
        let section = |&step: &usize| {
            let size =
                |m: &[usize]| m.iter().map(|&i| &buffers[i]).filter(|b| b.is_live_at(step)).map(Buffer::units).max();
            let leads = overlaps.iter().filter(|o| o.kind != Kind::Together && o.is_live_at(step, buffers));
            let pairs = leads.map(|o| ([body_of[o.input], body_of[o.output]], o.saved_units(buffers)));
            Section {
                live: (0..members.len()).filter_map(|b| Some((b, size(&members[b])?))).collect(),
                overlaps: pairs.filter(|([a, b], _)| a != b).collect(),
            }
        };
        Problem {
            sizes: members.iter().map(|m| m.iter().map(|&i| buffers[i].units()).max().unwrap_or(0)).collect(),
            lives: members
                .iter()
                .map(|m| {
                    let lives = m.iter().map(|&i| (buffers[i].first, buffers[i].last));
                    lives.fold((usize::MAX, 0), |(first, last), (f, l)| (first.min(f), last.max(l)))
                })
                .collect(),
            neighbours,
            sections: births.iter().map(section).collect(),
            body_of,
        }
    }

    /// Offsets of buffers from those of bodies.
    pub fn of_buffers(&self, offsets: &[usize]) -> Vec<usize> {
        self.body_of.iter().map(|&b| offsets[b]).collect()
    }

    /// Size of the arena.
    pub fn size(&self, offsets: &[usize]) -> usize {
        offsets.iter().zip(&self.sizes).map(|(o, s)| o + s).max().unwrap_or(0)
    }

    /// The best of several orders, improved by random exchanges until `target` is met.
    /// Takes what it does from `work`, at least one order's worth.
    pub fn greedy(&self, target: usize, work: &mut usize) -> (Vec<usize>, usize) {
        let of_order = self.neighbours.iter().map(Vec::len).sum::<usize>() + self.neighbours.len();
        let length = |i: usize| self.lives[i].1 - self.lives[i].0 + 1;
        let pressure = |i: usize| -> usize { self.neighbours[i].iter().map(|n| self.sizes[n.body]).sum() };
        type Key<'a> = Box<dyn Fn(usize) -> (usize, usize) + 'a>;
        let keys: [Key; 7] = [
            Box::new(|i| (self.sizes[i], length(i))),
            Box::new(|i| (self.sizes[i] * length(i), self.sizes[i])),
            Box::new(|i| (length(i), self.sizes[i])),
            Box::new(|i| (usize::MAX - self.lives[i].0, self.sizes[i])),
            // Where outputs lie below inputs, the last one is at the bottom.
            Box::new(|i| (self.lives[i].0, self.sizes[i])),
            Box::new(|i| (self.lives[i].1, self.sizes[i])),
            Box::new(|i| (self.sizes[i] + pressure(i), self.sizes[i])),
        ];
        let mut best: Option<(Vec<usize>, Vec<usize>, usize)> = None;
        for key in keys {
            let mut order: Vec<usize> = (0..self.sizes.len()).collect();
            order.sort_by_key(|&i| std::cmp::Reverse(key(i)));
            if *work == 0 && best.is_some() {
                break;
            }
            *work = work.saturating_sub(of_order);
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
            if size <= target || *work == 0 {
                break;
            }
            *work = work.saturating_sub(of_order);
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

    /// Each body at the lowest offset that is free among those placed before it.
    fn first_fit(&self, order: &[usize]) -> Vec<usize> {
        let mut offsets = vec![usize::MAX; self.sizes.len()];
        // Between the first offset that still fits below a placed body and the first one above it.
        let mut taken: Vec<(isize, usize)> = Vec::new();
        for &i in order {
            taken.clear();
            let placed = self.neighbours[i].iter().filter(|n| offsets[n.body] != usize::MAX);
            taken.extend(placed.map(|n| (offsets[n.body] as isize - n.above as isize, offsets[n.body] + n.below)));
            taken.sort_unstable();
            let mut offset = 0;
            for &(last_below, first_above) in &taken {
                if offset as isize <= last_below {
                    break;
                }
                offset = offset.max(first_above);
            }
            offsets[i] = offset;
        }
        offsets
    }
}

pub(super) enum Outcome {
    Found(Vec<usize>),
    Impossible,
    GaveUp,
}

/// Depth-first search for an arrangement of at most `capacity`.
pub(super) struct Search<'a> {
    problem: &'a Problem,
    capacity: usize,
    budget: &'a mut usize,
    offsets: Vec<usize>,
    is_placed: Vec<bool>,
}

impl<'a> Search<'a> {
    pub fn new(problem: &'a Problem, capacity: usize, budget: &'a mut usize) -> Self {
        let n = problem.sizes.len();
        Search { problem, capacity, budget, offsets: vec![0; n], is_placed: vec![false; n] }
    }

    pub fn run(mut self) -> Outcome {
        // Lowest offset of each body above its neighbours that are placed already.
        let floors = vec![0; self.problem.sizes.len()];
        match self.extend(&floors, (0, 0)) {
            Some(true) => Outcome::Found(self.offsets),
            Some(false) => Outcome::Impossible,
            None => Outcome::GaveUp,
        }
    }

    /// `Some(found)`, or `None` when the budget is used up. Bodies are placed in ascending
    /// (offset, index), each on its floor; `from` is the first such pair that is still allowed.
    fn extend(&mut self, floors: &[usize], from: (usize, usize)) -> Option<bool> {
        if *self.budget == 0 {
            return None;
        }
        *self.budget -= 1;
        let open: Vec<usize> = (0..floors.len()).filter(|&i| !self.is_placed[i]).collect();
        let lowest = |i: usize| floors[i].max(from.0);
        // Placing anything at or above the top of a body that could go below leaves a hole.
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
            for n in &self.problem.neighbours[i] {
                raised[n.body] = raised[n.body].max(offset + n.above);
            }
            if self.extend(&raised, (offset, i + 1))? {
                return Some(true);
            }
            self.is_placed[i] = false;
        }
        Some(false)
    }

    /// Whether the open bodies of every step can stand on each other below the capacity.
    fn sections_fit(&self, lowest: &dyn Fn(usize) -> usize) -> bool {
        self.problem.sections.iter().all(|section| {
            let open = section.live.iter().copied().filter(|&(body, _)| !self.is_placed[body]);
            let (sum, floor) =
                open.fold((0, usize::MAX), |(sum, floor), (body, size)| (sum + size, floor.min(lowest(body))));
            let both_open = section.overlaps.iter().filter(|(pair, _)| pair.iter().all(|&b| !self.is_placed[b]));
            let saved: usize = both_open.map(|&(_, saved)| saved).sum();
            floor == usize::MAX || (floor + sum).saturating_sub(saved) <= self.capacity
        })
    }
}

const EXCHANGES: usize = 400;
