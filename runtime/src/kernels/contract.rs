//! Cases that the kernels of every CPU must pass: bit by bit what the portable ones give.
//!
//! Runs without a heap. Cases follow from the seed alone, so that two machines which run them print the same digest. They are chosen to hurt: saturation, zero points at -128 and 127, one-pixel images, odd channel
//! counts, strides beyond the kernel, dilation, padding wider than the kernel, groups of one channel, rows longer and
//! shorter than a vector.
//!
//! ```text
//! portable kernels   KernelSet    compare()          against a second writing of their definition (host);
//!                                 digests()          every machine gives the host's digests
//! fast kernels       Comparison   Comparison::run()  against the portable kernels, on each machine: the plain-Rust
//!                                                    twins on the host, the instructions on a device
//! ```
//!
//! # A new fast kernel
//! One [`Comparison`] in `comparisons/<isa>.rs` registers it for the host's 100,000 fuzzed cases. It says how to pack a layer's
//! weights, what scratch the layer needs and where its output may lie over its input; `None` from either means that the
//! kernel does not take the layer, and another is drawn. A case lays input, output and scratch out in one region, half of
//! the time with the output as far over the input as the kernel allows. Outputs must be equal, and no byte beside output
//! and scratch may change. [`Comparison::never`] names the edges that the kernel leaves to the portable one: the host's
//! test wants hundreds of cases with every other edge and none with these.

mod activations;
mod comparison;
pub mod comparisons;
mod edges;
mod layers;
mod pictures;
mod random;
#[cfg(test)]
mod tests;
mod windows;

use crate::kernels::Operand;
use crate::kernels::geometry::{Conv2d, MatMul, StridedLoops, Window2d};
use crate::kernels::parameters::{ChannelsI8, OutputF32};
use crate::kernels::portable::{self, AddI8, AveragePoolI8, BatchMatMulI8, BinaryF32, Divisor, MulI8, UnaryF32};

use random::Random;

pub use comparison::{Comparison, Fast, Kernel, MOST_DRAWS, Memory, Needs, Overlap, Places, Report};
pub use edges::{Edge, Edges};
pub use layers::{
    AddLayer, AveragePool2dLayer, BatchMatMulLayer, Channels, Conv2dLayer, DepthwiseConv2dLayer, FullyConnectedLayer,
    MaxPool2dLayer, MulLayer,
};
pub use pictures::pictures;

/// One implementation of every kernel, on the portable layouts.
///
/// A CPU whose kernels want packed weights packs them inside these functions.
#[allow(missing_docs, clippy::type_complexity)]
#[derive(Clone, Copy)]
pub struct KernelSet {
    pub conv_2d_i8: fn(&Conv2d, &ChannelsI8, &[i8], &[i8], &mut [i8]) -> Option<()>,
    pub conv_2d_f32: fn(&Conv2d, &OutputF32, &[f32], &[f32], &[f32], &mut [f32]) -> Option<()>,
    pub depthwise_conv_2d_i8: fn(&Window2d, &ChannelsI8, &[i8], &[i8], &mut [i8]) -> Option<()>,
    pub depthwise_conv_2d_f32: fn(&Window2d, &OutputF32, &[f32], &[f32], &[f32], &mut [f32]) -> Option<()>,
    pub fully_connected_i8: fn(usize, &ChannelsI8, &[i8], &[i8], &mut [i8]) -> Option<()>,
    pub fully_connected_f32: fn(usize, &OutputF32, &[f32], &[f32], &[f32], &mut [f32]) -> Option<()>,
    pub batch_matmul_i8: fn(&MatMul, &BatchMatMulI8, &[i8], &[i8], &mut [i8]) -> Option<()>,
    pub batch_matmul_f32: fn(&MatMul, &OutputF32, &[f32], &[f32], &mut [f32]) -> Option<()>,
    pub add_i8: fn(&StridedLoops<3>, &AddI8, &mut [i8], Operand<i8>, Operand<i8>, usize) -> Option<()>,
    pub mul_i8: fn(&StridedLoops<3>, &MulI8, &mut [i8], Operand<i8>, Operand<i8>, usize) -> Option<()>,
    pub binary_f32:
        fn(&StridedLoops<3>, BinaryF32, &OutputF32, &mut [f32], Operand<f32>, Operand<f32>, usize) -> Option<()>,
    pub table_lookup_i8: fn(&[i8; 256], &mut [i8], Operand<i8>, usize) -> Option<()>,
    pub unary_f32: fn(UnaryF32, &mut [f32], Operand<f32>, usize) -> Option<()>,
    pub max_pool_2d_i8: fn(&Window2d, &[i8], &mut [i8]) -> Option<()>,
    pub max_pool_2d_f32: fn(&Window2d, &[f32], &mut [f32]) -> Option<()>,
    pub average_pool_2d_i8: fn(&Window2d, &AveragePoolI8, Divisor, &[i8], &mut [i8]) -> Option<()>,
    pub average_pool_2d_f32: fn(&Window2d, &OutputF32, Divisor, &[f32], &mut [f32]) -> Option<()>,
    pub softmax_i8: fn(usize, &[u32; 256], &[i8], &mut [i8]) -> Option<()>,
    pub softmax_f32: fn(usize, &[f32], &mut [f32]) -> Option<()>,
    pub strided_copy_i8: fn(&StridedLoops<2>, &[i8], &mut [i8]) -> Option<()>,
    pub strided_copy_f32: fn(&StridedLoops<2>, &[f32], &mut [f32]) -> Option<()>,
}

/// The kernels that define the right answer.
pub const PORTABLE: KernelSet = KernelSet {
    conv_2d_i8: portable::conv_2d_i8,
    conv_2d_f32: portable::conv_2d_f32,
    depthwise_conv_2d_i8: portable::depthwise_conv_2d_i8,
    depthwise_conv_2d_f32: portable::depthwise_conv_2d_f32,
    fully_connected_i8: portable::fully_connected_i8,
    fully_connected_f32: portable::fully_connected_f32,
    batch_matmul_i8: portable::batch_matmul_i8,
    batch_matmul_f32: portable::batch_matmul_f32,
    add_i8: portable::add_i8,
    mul_i8: portable::mul_i8,
    binary_f32: portable::binary_f32,
    table_lookup_i8: portable::table_lookup_i8,
    unary_f32: portable::unary_f32,
    max_pool_2d_i8: portable::max_pool_2d_i8,
    max_pool_2d_f32: portable::max_pool_2d_f32,
    average_pool_2d_i8: portable::average_pool_2d_i8,
    average_pool_2d_f32: portable::average_pool_2d_f32,
    softmax_i8: portable::softmax_i8,
    softmax_f32: portable::softmax_f32,
    strided_copy_i8: portable::strided_copy,
    strided_copy_f32: portable::strided_copy,
};

/// Cases of the run that every machine repeats from seed 0, and what [`run`] answers to it everywhere.
///
/// A change of this number is a change of the arithmetic: images converted before give other results.
pub const PINNED_CASES: u32 = 500;
/// See [`PINNED_CASES`].
pub const PINNED_DIGEST: u64 = 0x5dc4_fda1_de2f_26ee;

/// Cases of each kernel in the emulators.
pub const EMULATOR_CASES: u32 = 2000;
/// What they are drawn from.
pub const EMULATOR_SEED: u64 = 1;

/// The first difference between two sets.
#[derive(Clone, Copy, Debug, PartialEq, Eq)]
pub struct Failure {
    /// Name of the kernel.
    pub kernel: &'static str,
    /// Which case of the run.
    pub case: u32,
    /// What is wrong.
    pub difference: Difference,
}

/// How a kernel breaks the contract.
#[derive(Clone, Copy, Debug, PartialEq, Eq)]
pub enum Difference {
    /// An output differs.
    Element {
        /// First element that does.
        element: usize,
        /// Bits of that element.
        expected: u32,
        /// Bits that were found instead.
        found: u32,
    },
    /// Only one of the two kernels gave an answer.
    Refused,
    /// Something was written that is neither output nor scratch.
    Outside {
        /// Where in the region.
        byte: usize,
        /// Where the output begins.
        output: usize,
    },
    /// Hardly any layer is one that the kernel takes.
    Starved,
}

impl core::fmt::Display for Failure {
    fn fmt(&self, f: &mut core::fmt::Formatter<'_>) -> core::fmt::Result {
        write!(f, "{}, case {}", self.kernel, self.case)?;
        match self.difference {
            Difference::Element { element, expected, found } => {
                write!(f, ", element {element}: expected bits {expected:#x}, found {found:#x}")
            }
            Difference::Refused => write!(f, ": accepted by one set of kernels and refused by the other"),
            Difference::Outside { byte, output } => {
                write!(f, ": byte {byte} of the region was written, the output begins at {output}")
            }
            Difference::Starved => write!(f, ": none of {MOST_DRAWS} layers is one that the kernel takes"),
        }
    }
}

/// Runs `n_cases` cases of every kernel on `set` and compares them with [`PORTABLE`].
///
/// The result is a digest of all outputs, to be compared with the one that another machine prints.
///
/// # Errors
/// The first difference.
pub fn run(set: &KernelSet, n_cases: u32, seed: u64) -> Result<u64, Failure> {
    compare(set, &PORTABLE, n_cases, seed)
}

/// Runs the cases of [`run`] on two sets.
///
/// # Errors
/// The first difference.
pub fn compare(set: &KernelSet, reference: &KernelSet, n_cases: u32, seed: u64) -> Result<u64, Failure> {
    let mut bench = Bench::new(seed);
    bench.run(set, reference, n_cases)?;
    Ok(bench.digest.value())
}

/// What the portable kernels answer to `n_cases` cases, kernel by kernel: the same on every machine.
///
/// # Errors
/// A kernel that gives two answers to one case.
pub fn digests(n_cases: u32, seed: u64) -> Result<[Tally; N_PORTABLE], Failure> {
    let mut bench = Bench::new(seed);
    bench.run(&PORTABLE, &PORTABLE, n_cases)?;
    Ok(bench.tallies)
}

/// What one portable kernel answered.
#[derive(Clone, Copy, Debug, PartialEq, Eq)]
pub struct Tally {
    /// Name of the kernel.
    pub kernel: &'static str,
    /// Cases.
    pub cases: u32,
    /// Digest of all outputs.
    pub digest: u64,
}

/// Names that portable kernels have in a run.
pub const N_PORTABLE: usize = 21;

/// Elements of each buffer.
const CAPACITY: usize = 1536;

/// FNV-1a (Fowler, Noll, Vo) over words of 32 bits.
#[derive(Clone, Copy, Debug)]
struct Digest(u64);

impl Default for Digest {
    fn default() -> Self {
        Digest(FNV_OFFSET)
    }
}

impl Digest {
    fn add(&mut self, word: u32) {
        self.0 = (self.0 ^ u64::from(word)).wrapping_mul(FNV_PRIME);
    }

    fn value(self) -> u64 {
        self.0
    }
}

const FNV_OFFSET: u64 = 0xcbf2_9ce4_8422_2325;
const FNV_PRIME: u64 = 0x100_0000_01b3;

/// Inputs and outputs of one element type.
struct Buffers<T> {
    input: [T; CAPACITY],
    weights: [T; CAPACITY],
    expected: [T; CAPACITY],
    found: [T; CAPACITY],
}

impl<T: Copy> Buffers<T> {
    fn new(value: T) -> Self {
        Self {
            input: [value; CAPACITY],
            weights: [value; CAPACITY],
            expected: [value; CAPACITY],
            found: [value; CAPACITY],
        }
    }
}

struct Bench {
    random: Random,
    digest: Digest,
    tallies: [Tally; N_PORTABLE],
    case: u32,
    kernel: &'static str,
    bytes: Buffers<i8>,
    floats: Buffers<f32>,
}

impl Bench {
    fn new(seed: u64) -> Self {
        Self {
            random: Random::new(seed),
            digest: Digest::default(),
            tallies: [Tally { kernel: "", cases: 0, digest: FNV_OFFSET }; N_PORTABLE],
            case: 0,
            kernel: "",
            bytes: Buffers::new(0),
            floats: Buffers::new(0.0),
        }
    }

    fn run(&mut self, set: &KernelSet, reference: &KernelSet, n_cases: u32) -> Result<(), Failure> {
        for case in 0..n_cases {
            self.case = case;
            windows::run(self, set, reference)?;
            activations::run(self, set, reference)?;
        }
        Ok(())
    }

    /// Compares two outputs and takes them into the digest.
    fn judge<T: Bits>(&mut self, answers: [Option<()>; 2], pick: fn(&Self) -> (&[T], &[T])) -> Result<(), Failure> {
        let failure = |difference| Failure { kernel: self.kernel, case: self.case, difference };
        if answers[0] != answers[1] {
            return Err(failure(Difference::Refused));
        }
        let (expected, found) = pick(self);
        let (mut digest, mut own) = (self.digest, Digest::default());
        for (element, (e, f)) in expected.iter().zip(found).enumerate() {
            let (expected, found) = (e.canonical_bits(), f.canonical_bits());
            if expected != found {
                return Err(failure(Difference::Element { element, expected, found }));
            }
            digest.add(found);
            own.add(found);
        }
        self.digest = digest;
        if let Some(tally) = self.tallies.iter_mut().find(|t| t.kernel == self.kernel || t.kernel.is_empty()) {
            let digest = (tally.digest ^ own.value()).wrapping_mul(FNV_PRIME);
            *tally = Tally { kernel: self.kernel, cases: tally.cases.wrapping_add(1), digest };
        }
        Ok(())
    }

    fn judge_bytes(&mut self, answers: [Option<()>; 2]) -> Result<(), Failure> {
        self.judge(answers, |bench| (&bench.bytes.expected, &bench.bytes.found))
    }

    fn judge_floats(&mut self, answers: [Option<()>; 2]) -> Result<(), Failure> {
        self.judge(answers, |bench| (&bench.floats.expected, &bench.floats.found))
    }
}

/// An element as comparable bits.
trait Bits: Copy {
    fn canonical_bits(self) -> u32;
}

impl Bits for i8 {
    fn canonical_bits(self) -> u32 {
        u32::from(self as u8)
    }
}

impl Bits for f32 {
    /// One NaN for all: processors differ in its sign and payload.
    fn canonical_bits(self) -> u32 {
        if self.is_nan() { 0x7fc0_0000 } else { self.to_bits() }
    }
}
