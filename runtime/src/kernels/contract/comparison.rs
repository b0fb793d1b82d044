//! One fast kernel beside the portable one, on memory as a plan lays it out.

use core::ops::Range;

use super::edges::{Edge, Edges};
use super::layers::{
    AddLayer, AveragePool2dLayer, BatchMatMulLayer, Conv2dLayer, DepthwiseConv2dLayer, FullyConnectedLayer, Layer,
    MaxPool2dLayer, MulLayer,
};
use super::random::Random;
use super::{Bits, CAPACITY, Difference, FNV_OFFSET, FNV_PRIME, Failure};
use crate::isa::Isa;
use crate::kernels::Placed;

/// A fast kernel that must equal the portable one.
pub struct Comparison {
    /// Name of its operator.
    pub name: &'static str,
    /// Whose instructions it uses.
    pub isa: Isa,
    /// Edges that no layer has which this kernel takes.
    pub never: &'static [Edge],
    /// The kernel.
    pub kernel: Kernel,
}

/// A fast kernel by the kind of layer that it computes.
pub enum Kernel {
    /// Convolution.
    Conv2d(Fast<Conv2dLayer>),
    /// Depthwise convolution.
    DepthwiseConv2d(Fast<DepthwiseConv2dLayer>),
    /// Fully connected layer.
    FullyConnected(Fast<FullyConnectedLayer>),
    /// Product of two activations.
    BatchMatMul(Fast<BatchMatMulLayer>),
    /// Sum.
    Add(Fast<AddLayer>),
    /// Product, element by element.
    Mul(Fast<MulLayer>),
    /// Maximum over windows.
    MaxPool2d(Fast<MaxPool2dLayer>),
    /// Average over windows.
    AveragePool2d(Fast<AveragePool2dLayer>),
}

/// How a kernel takes a layer.
pub struct Fast<L> {
    /// What the layer needs; `None` when the kernel does not take it.
    pub needs: fn(&L) -> Option<Needs>,
    /// Packs the weights and gives the words used; `None` when the kernel does not take them.
    pub pack: fn(&L, &[i8], &mut [u32]) -> Option<usize>,
    /// Computes the layer, reading the packed words.
    pub run: Run<L>,
}

/// Computes a layer from its packed words.
pub type Run<L> = fn(&L, &[u32], &mut Places<'_>) -> Option<()>;

/// What a kernel needs for a layer.
#[derive(Clone, Copy, Debug)]
pub struct Needs {
    /// Scratch.
    pub scratch_bytes: usize,
    /// Where the output may be.
    pub overlap: Overlap,
}

/// Whether the output may lie over an input, as an operator states it.
#[derive(Clone, Copy, Debug)]
pub enum Overlap {
    /// Nowhere.
    Never,
    /// Exactly over an input of its size.
    SameRange,
    /// From the first byte of the first input on.
    SameStart,
    /// At least so many bytes below the first input.
    Lead(u32),
}

/// Where a layer's activations lie.
pub struct Places<'a> {
    /// The memory.
    pub region: &'a mut [i8],
    /// Elements of the inputs.
    pub inputs: [Range<usize>; 2],
    /// Elements of the output.
    pub output: Range<usize>,
    /// Elements of the scratch.
    pub scratch: Range<usize>,
}

impl Places<'_> {
    /// As kernels with one input take it.
    pub fn placed(&mut self) -> Placed<'_, i8> {
        let [input, _] = self.inputs.clone();
        Placed { region: self.region, input, output: self.output.clone(), scratch: self.scratch.clone() }
    }
}

/// Everything that a comparison writes to; about 40 KiB.
#[repr(C, align(16))]
pub struct Memory {
    region: [i8; REGION_BYTES],
    stream: [u32; STREAM_WORDS],
    inputs: [[i8; CAPACITY]; 2],
    weights: [i8; CAPACITY],
    expected: [i8; CAPACITY],
}

impl Memory {
    /// Memory of zeros.
    pub const fn new() -> Self {
        Self {
            region: [0; REGION_BYTES],
            stream: [0; STREAM_WORDS],
            inputs: [[0; CAPACITY]; 2],
            weights: [0; CAPACITY],
            expected: [0; CAPACITY],
        }
    }
}

impl Default for Memory {
    fn default() -> Self {
        Self::new()
    }
}

/// What was compared.
#[derive(Clone, Copy, Debug, Default, PartialEq, Eq)]
pub struct Report {
    /// Layers that the kernel took.
    pub cases: u32,
    /// Layers that were drawn.
    pub drawn: u32,
    /// Digest of all outputs: the same on every machine.
    pub digest: u64,
    /// How many cases had each edge.
    pub edges: Edges,
}

impl Comparison {
    /// Compares `n_cases` layers that the kernel takes, drawn from `seed`.
    ///
    /// # Errors
    /// The first difference from the portable kernel, the first byte written outside of output and scratch, or a kernel
    /// that takes less than one layer in [`MOST_DRAWS`].
    pub fn run(&self, n_cases: u32, seed: u64, memory: &mut Memory) -> Result<Report, Failure> {
        match &self.kernel {
            Kernel::Conv2d(fast) => compare(self, fast, n_cases, seed, memory),
            Kernel::DepthwiseConv2d(fast) => compare(self, fast, n_cases, seed, memory),
            Kernel::FullyConnected(fast) => compare(self, fast, n_cases, seed, memory),
            Kernel::BatchMatMul(fast) => compare(self, fast, n_cases, seed, memory),
            Kernel::Add(fast) => compare(self, fast, n_cases, seed, memory),
            Kernel::Mul(fast) => compare(self, fast, n_cases, seed, memory),
            Kernel::MaxPool2d(fast) => compare(self, fast, n_cases, seed, memory),
            Kernel::AveragePool2d(fast) => compare(self, fast, n_cases, seed, memory),
        }
    }
}

fn compare<L: Layer>(
    comparison: &Comparison,
    fast: &Fast<L>,
    n_cases: u32,
    seed: u64,
    memory: &mut Memory,
) -> Result<Report, Failure> {
    let mut random = Random::new(seed);
    let mut report = Report { digest: FNV_OFFSET, ..Report::default() };
    let mut draws_left = MOST_DRAWS;
    while report.cases < n_cases {
        let failure = |difference| Failure { kernel: comparison.name, case: report.cases, difference };
        report.drawn = report.drawn.wrapping_add(1);
        let layer = L::draw(&mut random);
        let Some((mut edges, digest)) = try_layer(fast, &layer, &mut random, memory, report.digest).map_err(failure)?
        else {
            draws_left = draws_left.checked_sub(1).ok_or_else(|| failure(Difference::Starved))?;
            continue;
        };
        edges.add(&layer.edges());
        report.digest = digest;
        report.edges.add(&edges.at_most_once());
        report.cases = report.cases.wrapping_add(1);
        draws_left = MOST_DRAWS;
    }
    Ok(report)
}

/// The edges of the run and the digest; `None` when the kernel does not take the layer.
fn try_layer<L: Layer>(
    fast: &Fast<L>,
    layer: &L,
    random: &mut Random,
    memory: &mut Memory,
    digest: u64,
) -> Result<Option<(Edges, u64)>, Difference> {
    let Some(needs) = (fast.needs)(layer) else { return Ok(None) };
    let Some(plan) = Plan::draw(random, layer, &needs) else { return Ok(None) };
    let Memory { region, stream, inputs, weights, expected } = memory;
    let weights = &mut weights[..layer.weights()];
    random.fill_bytes(weights);
    let Some(words) = (fast.pack)(layer, weights, stream) else { return Ok(None) };
    let canary = random.bits() as i8;
    let region = &mut region[..plan.end];
    region.fill(canary);
    for ((input, place), n) in inputs.iter_mut().zip(&plan.inputs).zip(layer.inputs()) {
        random.fill_bytes(&mut input[..n]);
        region[place.clone()].copy_from_slice(&input[..n]);
    }
    let [a, b] = inputs;
    let inputs = [&a[..plan.inputs[0].len()], &b[..plan.inputs[1].len()]];
    let expected = &mut expected[..layer.outputs()];
    let mut places = Places {
        region: &mut *region,
        inputs: plan.inputs.clone(),
        output: plan.output.clone(),
        scratch: plan.scratch.clone(),
    };
    if layer.portable(inputs, weights, expected).is_none() || (fast.run)(layer, &stream[..words], &mut places).is_none()
    {
        return Err(Difference::Refused);
    }
    let mut digest = digest;
    for (element, (e, f)) in expected.iter().zip(&region[plan.output.clone()]).enumerate() {
        if e != f {
            return Err(Difference::Element { element, expected: e.canonical_bits(), found: f.canonical_bits() });
        }
        digest = (digest ^ u64::from(f.canonical_bits())).wrapping_mul(FNV_PRIME);
    }
    plan.check_untouched(region, inputs, canary)?;
    let saturated = expected.iter().any(|&v| v == i8::MIN || v == i8::MAX);
    let overlaps = plan.inputs.iter().any(|input| input.start < plan.output.end && plan.output.start < input.end);
    Ok(Some((Edges::default().with(Edge::Saturation, saturated).with(Edge::Overlap, overlaps), digest)))
}

/// Where the parts of a case lie, with gaps between them.
struct Plan {
    inputs: [Range<usize>; 2],
    output: Range<usize>,
    scratch: Range<usize>,
    end: usize,
}

impl Plan {
    /// Apart in half of the cases, else as close as the kernel allows; `None` when the parts do not fit.
    fn draw<L: Layer>(random: &mut Random, layer: &L, needs: &Needs) -> Option<Self> {
        let ([first, second], n_outputs) = (layer.inputs(), layer.outputs());
        let mut free = GAP;
        let mut place = |n: usize| {
            let start = free;
            free = (start + n).next_multiple_of(ALIGNMENT) + GAP;
            start..start + n
        };
        let over = random.one_in(2);
        let (mut inputs, output);
        match needs.overlap {
            Overlap::SameRange if over => {
                inputs = [place(first), place(second)];
                let target = if second == n_outputs && random.one_in(2) { 1 } else { 0 };
                output = if inputs[target].len() == n_outputs { inputs[target].clone() } else { place(n_outputs) };
            }
            Overlap::SameStart if over => {
                let start = place(first.max(n_outputs)).start;
                inputs = [start..start + first, 0..0];
                output = start..start + n_outputs;
                inputs[1] = place(second);
            }
            Overlap::Lead(lead) if over => {
                let lead = (lead as usize).next_multiple_of(ALIGNMENT);
                let start = place(n_outputs.max(lead + first)).start;
                inputs = [start + lead..start + lead + first, 0..0];
                output = start..start + n_outputs;
                inputs[1] = place(second);
            }
            _ if random.one_in(2) => {
                output = place(n_outputs);
                inputs = [place(first), place(second)];
            }
            _ => {
                inputs = [place(first), place(second)];
                output = place(n_outputs);
            }
        }
        let scratch = place(needs.scratch_bytes);
        (free <= REGION_BYTES).then_some(Self { inputs, output, scratch, end: free })
    }

    /// Everything but output and scratch is as it was.
    fn check_untouched(&self, region: &[i8], inputs: [&[i8]; 2], canary: i8) -> Result<(), Difference> {
        let mut bounds = [0; 8];
        for (bounds, part) in bounds.chunks_mut(2).zip([&self.inputs[0], &self.inputs[1], &self.output, &self.scratch])
        {
            bounds.copy_from_slice(&[part.start, part.end]);
        }
        bounds.sort_unstable();
        let mut at = 0;
        for end in bounds.into_iter().chain([self.end]) {
            let inside = |range: &Range<usize>| range.start <= at && end <= range.end;
            let piece = &region[at..end];
            let bad = if piece.is_empty() || inside(&self.output) || inside(&self.scratch) {
                None
            } else if let Some((range, input)) = self.inputs.iter().zip(inputs).find(|(range, _)| inside(range)) {
                piece.iter().zip(&input[at - range.start..]).position(|(found, before)| found != before)
            } else {
                piece.iter().position(|&found| found != canary)
            };
            if let Some(bad) = bad {
                return Err(Difference::Outside { byte: at + bad, output: self.output.start });
            }
            at = end;
        }
        Ok(())
    }
}

/// Layers that are drawn for one that the kernel takes.
pub const MOST_DRAWS: u32 = 2000;

/// Of tensors and scratch, as in every plan.
const ALIGNMENT: usize = 16;

/// Bytes between the parts of a case.
const GAP: usize = 32;
const REGION_BYTES: usize = 16 * 1024;
const STREAM_WORDS: usize = 4 * 1024;
