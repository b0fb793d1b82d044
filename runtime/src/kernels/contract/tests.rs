//! Fast kernels of every instruction set as their plain-Rust twins, against the portable kernels.

extern crate std;

use super::comparison::Run;
use super::{Comparison, Edge, Fast, Kernel, MaxPool2dLayer, Memory, Needs, Overlap, Report, comparisons};
use crate::isa::Isa;
use crate::kernels::contract;
use std::boxed::Box;
use std::string::String;
use std::sync::Mutex;
use std::vec::Vec;
use std::{format, println, thread};

/// Cases of every kernel.
const CASES: u32 = 100_000;
/// Seeds that the cases are drawn from, so that both cores have something to do.
const SHARDS: u32 = 20;

/// Least cases with each edge among [`CASES`].
const LEAST_OF_AN_EDGE: u32 = 200;

#[test]
fn fast_kernels_equal_the_portable_ones() {
    let jobs = comparisons::all().flat_map(|comparison| (1..=SHARDS).map(move |seed| (comparison, seed)));
    let jobs: Mutex<Vec<_>> = Mutex::new(jobs.collect());
    let reports: Mutex<Vec<(&str, Report)>> = Mutex::new(Vec::new());
    thread::scope(|scope| {
        for _ in 0..thread::available_parallelism().map_or(1, |n| n.get()) {
            scope.spawn(|| {
                let mut memory = Box::new(Memory::new());
                loop {
                    let Some((comparison, seed)) = jobs.lock().unwrap().pop() else { return };
                    match comparison.run(CASES / SHARDS, seed.into(), &mut memory) {
                        Ok(report) => reports.lock().unwrap().push((comparison.name, report)),
                        Err(failure) => panic!("seed {seed}: {failure}"),
                    }
                }
            });
        }
    });
    let reports = reports.into_inner().unwrap();
    let mut missed = Vec::new();
    for comparison in comparisons::all() {
        let of_this = || reports.iter().filter(|(name, _)| *name == comparison.name).map(|(_, report)| report);
        let n_cases: u32 = of_this().map(|report| report.cases).sum();
        let n_drawn: u32 = of_this().map(|report| report.drawn).sum();
        let count = |edge| of_this().map(|report| report.edges.count(edge)).sum::<u32>();
        let counts = Edge::ALL.map(|edge| format!("{edge:?} {}", count(edge)));
        println!("{}: {n_cases} cases of {n_drawn} layers; {}", comparison.name, counts.join(", "));
        assert_eq!(n_cases, CASES, "{}", comparison.name);
        for edge in Edge::ALL {
            let is_right = match comparison.never.contains(&edge) {
                true => count(edge) == 0,
                false => count(edge) >= LEAST_OF_AN_EDGE,
            };
            if !is_right {
                missed.push(format!("{}: {} cases with {edge:?}", comparison.name, count(edge)));
            }
        }
    }
    assert!(missed.is_empty(), "{missed:#?}");
}

fn failure(needs: fn(&MaxPool2dLayer) -> Option<Needs>, run: Run<MaxPool2dLayer>) -> String {
    let kernel = Kernel::MaxPool2d(Fast { needs, pack: |_, _, _| Some(0), run });
    let comparison = Comparison { name: "wrong", isa: Isa::Portable, never: &[], kernel };
    format!("{}", comparison.run(50, 0, &mut Memory::new()).unwrap_err())
}

#[test]
fn a_wrong_fast_kernel_is_found_and_named() {
    use crate::kernels::portable::max_pool_2d_i8_on as right;
    let apart = |_: &MaxPool2dLayer| Some(Needs { scratch_bytes: 0, overlap: Overlap::Never });
    let cases: [(_, Run<MaxPool2dLayer>, _); 5] = [
        (
            apart as fn(&_) -> _,
            |layer, _, places| {
                right(&layer.window, &mut places.placed())?;
                let last = places.output.end - 1;
                places.region[last] = places.region[last].wrapping_add(1);
                Some(())
            },
            "wrong, case 0, element ",
        ),
        (apart, |_, _, _| None, "wrong, case 0: accepted by one set of kernels and refused by the other"),
        (
            apart,
            |layer, _, places| {
                right(&layer.window, &mut places.placed())?;
                let behind = places.output.end;
                places.region[behind] = places.region[behind].wrapping_add(1);
                Some(())
            },
            "was written, the output begins at",
        ),
        (|_| None, |_, _, _| None, "none of 2000 layers"),
        // Too small a lead: inputs are written over before they are read.
        (
            |_| Some(Needs { scratch_bytes: 0, overlap: Overlap::Lead(0) }),
            |layer, _, places| right(&layer.window, &mut places.placed()),
            "element ",
        ),
    ];
    for (needs, run, expected) in cases {
        let text = failure(needs, run);
        assert!(text.contains(expected), "{text}");
    }
}

#[test]
fn a_digest_follows_from_the_seed_alone() {
    let comparison = comparisons::all().next().unwrap();
    let mut memory = Memory::new();
    let mut digest = |seed| comparison.run(20, seed, &mut memory).unwrap().digest;
    assert_eq!(digest(7), digest(7));
    assert_ne!(digest(7), digest(8));
}

#[test]
fn every_portable_kernel_has_its_digest() {
    let tallies = contract::digests(3, 0).unwrap();
    for tally in tallies {
        // Copies of bytes and of floats go under one name.
        let n = if matches!(tally.kernel, "transpose" | "embed") { 6 } else { 3 };
        assert_eq!(tally.cases, n, "{tally:?}");
        assert!(!tally.kernel.is_empty());
    }
}

#[test]
fn names_are_unique() {
    let mut names: Vec<&str> = comparisons::all().map(|comparison| comparison.name).collect();
    let n = names.len();
    names.sort_unstable();
    names.dedup();
    assert_eq!(names.len(), n);
}
