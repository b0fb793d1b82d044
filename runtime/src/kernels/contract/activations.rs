//! Products of activations, elementwise functions, softmax and copies.

use super::{Bench, CAPACITY, Difference, Failure, KernelSet, random::Random};
use crate::kernels::Operand;
use crate::kernels::geometry::{MatMul, MatrixLayout, StridedLoops};
use crate::kernels::portable::{AddI8, BatchMatMulI8, BinaryF32, MulI8, UnaryF32, softmax_table_bits};
use crate::tensor::MAX_RANK;

/// One case of every kernel of this file.
pub(super) fn run(bench: &mut Bench, set: &KernelSet, reference: &KernelSet) -> Result<(), Failure> {
    products(bench, set, reference)?;
    sums(bench, set, reference)?;
    functions(bench, set, reference)?;
    softmax(bench, set, reference)?;
    copies(bench, set, reference)
}

fn refill(bench: &mut Bench) {
    bench.random.fill_bytes(&mut bench.bytes.input);
    bench.random.fill_bytes(&mut bench.bytes.weights);
    bench.random.fill_floats(&mut bench.floats.input);
    bench.random.fill_floats(&mut bench.floats.weights);
}

fn products(bench: &mut Bench, set: &KernelSet, reference: &KernelSet) -> Result<(), Failure> {
    refill(bench);
    let r = &mut bench.random;
    let (batch, m, k, n) = (r.range(1, 3), r.range(1, 9), r.range(1, 24), r.range(1, 20));
    let geometry = MatMul {
        batch,
        m,
        k,
        n,
        a_batch_stride: if r.one_in(3) { 0 } else { m * k },
        b_batch_stride: if r.one_in(3) { 0 } else { k * n },
        b_layout: if r.one_in(2) { MatrixLayout::Kn } else { MatrixLayout::Nk },
    };
    let q = BatchMatMulI8 {
        a_zero_point: r.zero_point(),
        b_zero_point: r.zero_point(),
        requantizer: r.requantizer(4096 * k),
        output: r.output(),
    };
    let limits = r.limits();
    let (a, b_elements, outputs) = (geometry.a_elements(), geometry.b_elements(), geometry.output_elements());
    bench.kernel = "batch_matmul_i8";
    let b = &mut bench.bytes;
    let answers = [(reference, &mut b.expected), (set, &mut b.found)].map(|(kernels, output)| {
        (kernels.batch_matmul_i8)(&geometry, &q, &b.input[..a], &b.weights[..b_elements], &mut output[..outputs])
    });
    bench.judge_bytes(answers)?;
    bench.kernel = "batch_matmul_f32";
    let b = &mut bench.floats;
    let answers = [(reference, &mut b.expected), (set, &mut b.found)].map(|(kernels, output)| {
        (kernels.batch_matmul_f32)(&geometry, &limits, &b.input[..a], &b.weights[..b_elements], &mut output[..outputs])
    });
    bench.judge_floats(answers)
}

/// Shapes of (a, b, output) that broadcast, each of less than a third of the buffers.
fn broadcast_shapes(random: &mut Random) -> [[u32; MAX_RANK]; 3] {
    loop {
        let mut shapes = [[1; MAX_RANK]; 3];
        let style = random.below(4);
        let [a_shape, b_shape, output] = &mut shapes;
        let first = MAX_RANK - random.range(0, 5) as usize;
        for (axis, ((a_dim, b_dim), o_dim)) in a_shape.iter_mut().zip(b_shape).zip(output).enumerate().skip(first) {
            let dim = random.range(1, if axis == 4 { 70 } else { 6 });
            let (a, b) = match style {
                0 => (dim, dim),
                1 => (dim, if axis == 4 { dim } else { 1 }),
                2 => (1, dim),
                _ => match random.below(3) {
                    0 => (dim, 1),
                    1 => (1, dim),
                    _ => (dim, dim),
                },
            };
            (*a_dim, *b_dim, *o_dim) = (a, b, a.max(b));
        }
        if count(shapes[2]) <= CAPACITY / 3 - 4 {
            return shapes;
        }
    }
}

fn count(shape: [u32; MAX_RANK]) -> usize {
    shape.iter().product::<u32>() as usize
}

/// Where the operands and the output of an elementwise case lie.
struct Places {
    a: (usize, usize),
    b: Option<(usize, usize)>,
    output: usize,
}

/// Apart, in place over `a`, in place over `b`, or `b` constant.
fn places(random: &mut Random, [a, b, output]: [[u32; MAX_RANK]; 3]) -> Places {
    const THIRD: usize = CAPACITY / 3;
    let (a_at, b_at) = ((random.below(3) as usize, count(a)), (THIRD + 2, count(b)));
    let apart = 2 * THIRD;
    match random.below(4) {
        0 if a == output => Places { a: a_at, b: Some(b_at), output: a_at.0 },
        1 if b == output && a != output => Places { a: a_at, b: Some(b_at), output: b_at.0 },
        2 => Places { a: a_at, b: None, output: apart },
        _ => Places { a: a_at, b: Some(b_at), output: apart },
    }
}

impl Places {
    fn a<T>(&self) -> Operand<'_, T> {
        Operand::Region { offset: self.a.0, len: self.a.1 }
    }

    fn b<'a, T>(&self, constant: &'a [T], shape: [u32; MAX_RANK]) -> Operand<'a, T> {
        match self.b {
            Some((offset, len)) => Operand::Region { offset, len },
            None => Operand::Constant(&constant[..count(shape)]),
        }
    }
}

fn sums(bench: &mut Bench, set: &KernelSet, reference: &KernelSet) -> Result<(), Failure> {
    refill(bench);
    let shapes = broadcast_shapes(&mut bench.random);
    let at = places(&mut bench.random, shapes);
    bench.kernel = "broadcast geometry";
    let Some(loops) = StridedLoops::broadcast(shapes[0], shapes[1], shapes[2]) else {
        return Err(Failure { kernel: bench.kernel, case: bench.case, difference: Difference::Refused });
    };
    let r = &mut bench.random;
    let add =
        AddI8 { a_zero_point: r.zero_point(), b_zero_point: r.zero_point(), multiplier: r.pair(), output: r.output() };
    let mul = MulI8 {
        a_zero_point: r.zero_point(),
        b_zero_point: r.zero_point(),
        requantizer: r.requantizer(16384),
        output: r.output(),
    };
    let function = match r.below(4) {
        0 => BinaryF32::Add,
        1 => BinaryF32::Sub,
        2 => BinaryF32::Mul,
        _ => BinaryF32::Div,
    };
    let limits = r.limits();

    bench.kernel = "add_i8";
    let b = &mut bench.bytes;
    (b.expected, b.found) = (b.input, b.input);
    let answers = [(reference, &mut b.expected), (set, &mut b.found)].map(|(kernels, region)| {
        (kernels.add_i8)(&loops, &add, region, at.a(), at.b(&b.weights, shapes[1]), at.output)
    });
    bench.judge_bytes(answers)?;
    bench.kernel = "mul_i8";
    let b = &mut bench.bytes;
    (b.expected, b.found) = (b.input, b.input);
    let answers = [(reference, &mut b.expected), (set, &mut b.found)].map(|(kernels, region)| {
        (kernels.mul_i8)(&loops, &mul, region, at.a(), at.b(&b.weights, shapes[1]), at.output)
    });
    bench.judge_bytes(answers)?;
    bench.kernel = "binary_f32";
    let b = &mut bench.floats;
    (b.expected, b.found) = (b.input, b.input);
    let answers = [(reference, &mut b.expected), (set, &mut b.found)].map(|(kernels, region)| {
        (kernels.binary_f32)(&loops, function, &limits, region, at.a(), at.b(&b.weights, shapes[1]), at.output)
    });
    bench.judge_floats(answers)
}

fn functions(bench: &mut Bench, set: &KernelSet, reference: &KernelSet) -> Result<(), Failure> {
    refill(bench);
    let r = &mut bench.random;
    let mut table = [0; 256];
    r.fill_bytes(&mut table);
    let len = r.range(1, CAPACITY as u32 / 3) as usize;
    let offset = r.below(4) as usize;
    let (operand_is_constant, output) = match r.below(3) {
        0 => (false, offset),
        1 => (false, CAPACITY / 2),
        _ => (true, offset),
    };
    let function = match r.below(12) {
        0 => UnaryF32::Clip(r.limits()),
        1 => UnaryF32::LeakyRelu(0.01),
        2 => UnaryF32::Abs,
        3 => UnaryF32::Neg,
        4 => UnaryF32::Reciprocal,
        5 => UnaryF32::Sqrt,
        6 => UnaryF32::Exp,
        7 => UnaryF32::Sigmoid,
        8 => UnaryF32::Tanh,
        9 => UnaryF32::Silu,
        10 => UnaryF32::HardSigmoid { slope: 0.2, offset: 0.5 },
        _ => UnaryF32::HardSwish,
    };
    bench.kernel = "table_lookup_i8";
    let b = &mut bench.bytes;
    (b.expected, b.found) = (b.input, b.input);
    let region = Operand::Region { offset, len };
    let input = if operand_is_constant { Operand::Constant(&b.weights[..len]) } else { region };
    let answers = [(reference, &mut b.expected), (set, &mut b.found)]
        .map(|(kernels, region)| (kernels.table_lookup_i8)(&table, region, input, output));
    bench.judge_bytes(answers)?;
    bench.kernel = "unary_f32";
    let b = &mut bench.floats;
    (b.expected, b.found) = (b.input, b.input);
    let region = Operand::Region { offset, len };
    let input = if operand_is_constant { Operand::Constant(&b.weights[..len]) } else { region };
    let answers = [(reference, &mut b.expected), (set, &mut b.found)]
        .map(|(kernels, region)| (kernels.unary_f32)(function, region, input, output));
    bench.judge_floats(answers)
}

fn softmax(bench: &mut Bench, set: &KernelSet, reference: &KernelSet) -> Result<(), Failure> {
    refill(bench);
    let r = &mut bench.random;
    let n = match r.below(8) {
        0 => r.range(513, CAPACITY as u32),
        1 => 1,
        _ => r.range(2, 200),
    } as usize;
    let rows = CAPACITY / n;
    // Halves every few steps, as e^-d does, from 1 down to 0.
    let one = 1u32 << softmax_table_bits(n as u32);
    let decay = r.range(1, 40);
    let mut table = [0; 256];
    for (d, entry) in table.iter_mut().enumerate() {
        let halvings = d as u32 / decay;
        *entry = if halvings > 31 { 0 } else { (one - (d as u32 % decay) * (one / 2 / decay)) >> halvings };
    }
    bench.kernel = "softmax_i8";
    let b = &mut bench.bytes;
    let answers = [(reference, &mut b.expected), (set, &mut b.found)]
        .map(|(kernels, output)| (kernels.softmax_i8)(n, &table, &b.input[..rows * n], &mut output[..rows * n]));
    bench.judge_bytes(answers)?;
    bench.kernel = "softmax_f32";
    let b = &mut bench.floats;
    let answers = [(reference, &mut b.expected), (set, &mut b.found)]
        .map(|(kernels, output)| (kernels.softmax_f32)(n, &b.input[..rows * n], &mut output[..rows * n]));
    bench.judge_floats(answers)
}

fn copies(bench: &mut Bench, set: &KernelSet, reference: &KernelSet) -> Result<(), Failure> {
    refill(bench);
    let r = &mut bench.random;
    let [shape, ..] = broadcast_shapes(r);
    let mut permutation = [0, 1, 2, 3, 4];
    for i in 0..MAX_RANK {
        permutation.swap(i, r.below(MAX_RANK as u32) as usize);
    }
    let mut whole = shape;
    if r.one_in(2) {
        let axis = r.below(MAX_RANK as u32) as usize;
        if count(whole) / whole[axis] as usize * (whole[axis] as usize + 2) <= CAPACITY {
            whole[axis] += 2;
        }
    }
    for (kernel, loops) in
        [("transpose", StridedLoops::transpose(shape, permutation)), ("embed", StridedLoops::embed(shape, whole))]
    {
        bench.kernel = kernel;
        let Some(loops) = loops else {
            return Err(Failure { kernel, case: bench.case, difference: Difference::Refused });
        };
        let b = &mut bench.bytes;
        (b.expected, b.found) = (b.weights, b.weights);
        let answers = [(reference, &mut b.expected), (set, &mut b.found)]
            .map(|(kernels, target)| (kernels.strided_copy_i8)(&loops, &b.input[..count(shape)], target));
        bench.judge_bytes(answers)?;
        let b = &mut bench.floats;
        (b.expected, b.found) = (b.weights, b.weights);
        let answers = [(reference, &mut b.expected), (set, &mut b.found)]
            .map(|(kernels, target)| (kernels.strided_copy_f32)(&loops, &b.input[..count(shape)], target));
        bench.judge_floats(answers)?;
    }
    Ok(())
}
