//! Layers as fast kernels see them: their numbers, how they are drawn, and what the right answer is.

use super::CAPACITY;
use super::edges::{Edge, Edges};
use super::random::Random;
use super::windows::{self, MAX_CHANNELS};
use crate::fixed_point::Requantizer;
use crate::kernels::Operand;
use crate::kernels::geometry::{Conv2d, MatMul, MatrixLayout, StridedLoops, Window2d};
use crate::kernels::parameters::{ChannelsI8, OutputI8};
use crate::kernels::portable::{self, AddI8, AveragePoolI8, BatchMatMulI8, Divisor, MulI8};

/// A kind of layer.
pub(super) trait Layer {
    /// Any layer of this kind whose operands fit the buffers.
    fn draw(random: &mut Random) -> Self;

    /// Elements of the activations, 0 for a second one that there is not.
    fn inputs(&self) -> [usize; 2];

    /// Elements of the weights.
    fn weights(&self) -> usize;

    /// Elements of the output.
    fn outputs(&self) -> usize;

    /// What the portable kernel gives.
    fn portable(&self, inputs: [&[i8]; 2], weights: &[i8], output: &mut [i8]) -> Option<()>;

    /// What is special about it.
    fn edges(&self) -> Edges;
}

/// Per-channel numbers of a layer.
pub struct Channels {
    n: usize,
    input_zero_point: i32,
    bias: [i32; MAX_CHANNELS],
    multipliers: [i32; MAX_CHANNELS],
    shifts: [u8; MAX_CHANNELS],
    output: OutputI8,
}

impl Channels {
    fn draw(random: &mut Random, n: usize, filter_elements: usize) -> Self {
        let mut channels = Self {
            n,
            input_zero_point: random.zero_point(),
            bias: [0; MAX_CHANNELS],
            multipliers: [0; MAX_CHANNELS],
            shifts: [1; MAX_CHANNELS],
            output: random.output(),
        };
        // Most fast kernels take a layer only when the shifts of all its channels are those of real layers.
        let any_factor = random.one_in(4);
        let magnitude = 4096 * (filter_elements as u32 + 1);
        for c in 0..n {
            channels.bias[c] = match random.below(20) {
                0 => random.bits() as i32,
                _ => random.below(65536) as i32 - 32768,
            };
            let factor = if any_factor { random.requantizer(magnitude) } else { random.usual_requantizer(magnitude) };
            (channels.multipliers[c], channels.shifts[c]) = (factor.multiplier, factor.shift);
        }
        channels
    }

    /// As the portable kernels take them.
    pub fn view(&self) -> ChannelsI8<'_> {
        ChannelsI8 {
            input_zero_point: self.input_zero_point,
            bias: &self.bias[..self.n],
            multipliers: &self.multipliers[..self.n],
            shifts: &self.shifts[..self.n],
            output: self.output,
        }
    }

    /// What a padded tap holds.
    pub fn padding(&self) -> i8 {
        self.input_zero_point as i8
    }

    /// Clamping limits of the output.
    pub fn limits(&self) -> [i8; 2] {
        [self.output.min, self.output.max]
    }

    /// One per channel, then others.
    pub fn requantizers(&self) -> [Requantizer; MAX_CHANNELS] {
        core::array::from_fn(|c| Requantizer { multiplier: self.multipliers[c], shift: self.shifts[c] })
    }

    fn edges(&self) -> Edges {
        Edges::default().zero_point(self.input_zero_point)
    }
}

/// A convolution; weights OHWI.
pub struct Conv2dLayer {
    /// Geometry.
    pub conv: Conv2d,
    /// Arithmetic.
    pub channels: Channels,
}

impl Layer for Conv2dLayer {
    fn draw(random: &mut Random) -> Self {
        let conv = if random.one_in(2) { windows::conv(random) } else { windows::usual_conv(random) };
        let channels = Channels::draw(random, conv.window.output[2] as usize, conv.filter_elements());
        Self { conv, channels }
    }

    fn inputs(&self) -> [usize; 2] {
        [self.conv.window.input_elements(), 0]
    }

    fn weights(&self) -> usize {
        self.conv.weight_elements()
    }

    fn outputs(&self) -> usize {
        self.conv.window.output_elements()
    }

    fn portable(&self, [input, _]: [&[i8]; 2], weights: &[i8], output: &mut [i8]) -> Option<()> {
        portable::conv_2d_i8(&self.conv, &self.channels.view(), input, weights, output)
    }

    fn edges(&self) -> Edges {
        self.channels.edges().window(&self.conv.window)
    }
}

/// A depthwise convolution; weights HWC.
pub struct DepthwiseConv2dLayer {
    /// Geometry.
    pub window: Window2d,
    /// Arithmetic.
    pub channels: Channels,
}

impl Layer for DepthwiseConv2dLayer {
    fn draw(random: &mut Random) -> Self {
        let (inputs, multiplier) = match random.below(8) {
            0 => (random.range(1, 8), random.range(2, 5)),
            1 | 2 => (16, 1),
            _ => (random.range(1, MAX_CHANNELS as u32), 1),
        };
        let outputs = inputs * multiplier;
        let window = match random.below(7) {
            0 | 1 => windows::window(random, inputs, outputs),
            2 => windows::long_window(random, inputs, outputs),
            _ => windows::usual_window(random, inputs, outputs),
        };
        let channels = Channels::draw(random, outputs as usize, window.kernel_elements());
        Self { window, channels }
    }

    fn inputs(&self) -> [usize; 2] {
        [self.window.input_elements(), 0]
    }

    fn weights(&self) -> usize {
        self.window.kernel_elements() * self.window.output[2] as usize
    }

    fn outputs(&self) -> usize {
        self.window.output_elements()
    }

    fn portable(&self, [input, _]: [&[i8]; 2], weights: &[i8], output: &mut [i8]) -> Option<()> {
        portable::depthwise_conv_2d_i8(&self.window, &self.channels.view(), input, weights, output)
    }

    fn edges(&self) -> Edges {
        self.channels.edges().window(&self.window)
    }
}

/// A fully connected layer; weights `[O, I]`.
pub struct FullyConnectedLayer {
    /// Vectors.
    pub rows: usize,
    /// Elements of a vector.
    pub inputs: usize,
    /// Output channels.
    pub outputs: usize,
    /// Arithmetic.
    pub channels: Channels,
}

impl Layer for FullyConnectedLayer {
    fn draw(random: &mut Random) -> Self {
        let inputs = match random.below(4) {
            0 => 64,
            1 => random.range(64, 300),
            _ => random.range(1, 70),
        } as usize;
        let outputs = random.range(1, (CAPACITY / inputs).min(MAX_CHANNELS) as u32) as usize;
        let rows = if random.one_in(4) { random.range(1, 5) as usize } else { 1 };
        let channels = Channels::draw(random, outputs, inputs);
        Self { rows, inputs, outputs, channels }
    }

    fn inputs(&self) -> [usize; 2] {
        [self.rows * self.inputs, 0]
    }

    fn weights(&self) -> usize {
        self.inputs * self.outputs
    }

    fn outputs(&self) -> usize {
        self.rows * self.outputs
    }

    fn portable(&self, [input, _]: [&[i8]; 2], weights: &[i8], output: &mut [i8]) -> Option<()> {
        portable::fully_connected_i8(self.inputs, &self.channels.view(), input, weights, output)
    }

    fn edges(&self) -> Edges {
        self.channels.edges().with(Edge::OnePixel, self.inputs == 1).with(Edge::OddChannels, self.outputs % 2 == 1)
    }
}

/// A product of two activations.
pub struct BatchMatMulLayer {
    /// Geometry.
    pub geometry: MatMul,
    /// Arithmetic.
    pub numbers: BatchMatMulI8,
}

impl Layer for BatchMatMulLayer {
    fn draw(random: &mut Random) -> Self {
        let (batch, m, k, n) = (random.range(1, 3), random.range(1, 9), random.range(1, 24), random.range(1, 20));
        let geometry = MatMul {
            batch,
            m,
            k,
            n,
            a_batch_stride: if random.one_in(3) { 0 } else { m * k },
            b_batch_stride: if random.one_in(3) { 0 } else { k * n },
            b_layout: if random.one_in(2) { MatrixLayout::Kn } else { MatrixLayout::Nk },
        };
        let numbers = BatchMatMulI8 {
            a_zero_point: random.zero_point(),
            b_zero_point: random.zero_point(),
            requantizer: random.requantizer(4096 * k),
            output: random.output(),
        };
        Self { geometry, numbers }
    }

    fn inputs(&self) -> [usize; 2] {
        [self.geometry.a_elements(), self.geometry.b_elements()]
    }

    fn weights(&self) -> usize {
        0
    }

    fn outputs(&self) -> usize {
        self.geometry.output_elements()
    }

    fn portable(&self, [a, b]: [&[i8]; 2], _: &[i8], output: &mut [i8]) -> Option<()> {
        portable::batch_matmul_i8(&self.geometry, &self.numbers, a, b, output)
    }

    fn edges(&self) -> Edges {
        Edges::default()
            .zero_point(self.numbers.a_zero_point)
            .zero_point(self.numbers.b_zero_point)
            .with(Edge::OnePixel, self.outputs() == 1)
            .with(Edge::OddChannels, self.geometry.n % 2 == 1)
    }
}

/// Elements of two tensors of one shape.
#[derive(Clone, Copy)]
struct Pairs(usize);

impl Pairs {
    fn draw(random: &mut Random) -> Self {
        let most = if random.one_in(2) { 40 } else { CAPACITY as u32 / 3 };
        Self(random.range(1, most) as usize)
    }

    fn edges(self) -> Edges {
        Edges::default().with(Edge::OnePixel, self.0 == 1).with(Edge::OddChannels, self.0 % 2 == 1)
    }

    /// Runs `kernel` on the loops over all elements, with both operands constant.
    fn run(
        self,
        [a, b]: [&[i8]; 2],
        output: &mut [i8],
        kernel: impl FnOnce(&StridedLoops<3>, &mut [i8], Operand<i8>, Operand<i8>) -> Option<()>,
    ) -> Option<()> {
        let shape = [1, 1, 1, 1, self.0 as u32];
        let loops = StridedLoops::broadcast(shape, shape, shape)?;
        kernel(&loops, output, Operand::Constant(a), Operand::Constant(b))
    }
}

/// A sum of two tensors of one shape.
pub struct AddLayer {
    pairs: Pairs,
    /// Arithmetic.
    pub numbers: AddI8,
}

impl AddLayer {
    /// Elements of each tensor.
    pub fn n(&self) -> usize {
        self.pairs.0
    }
}

impl Layer for AddLayer {
    fn draw(random: &mut Random) -> Self {
        let numbers = AddI8 {
            a_zero_point: random.zero_point(),
            b_zero_point: random.zero_point(),
            multiplier: random.pair(),
            output: random.output(),
        };
        Self { pairs: Pairs::draw(random), numbers }
    }

    fn inputs(&self) -> [usize; 2] {
        [self.n(); 2]
    }

    fn weights(&self) -> usize {
        0
    }

    fn outputs(&self) -> usize {
        self.n()
    }

    fn portable(&self, inputs: [&[i8]; 2], _: &[i8], output: &mut [i8]) -> Option<()> {
        let numbers = &self.numbers;
        self.pairs.run(inputs, output, |loops, region, a, b| portable::add_i8(loops, numbers, region, a, b, 0))
    }

    fn edges(&self) -> Edges {
        self.pairs.edges().zero_point(self.numbers.a_zero_point).zero_point(self.numbers.b_zero_point)
    }
}

/// A product of two tensors of one shape, element by element.
pub struct MulLayer {
    pairs: Pairs,
    /// Arithmetic.
    pub numbers: MulI8,
}

impl MulLayer {
    /// Elements of each tensor.
    pub fn n(&self) -> usize {
        self.pairs.0
    }
}

impl Layer for MulLayer {
    fn draw(random: &mut Random) -> Self {
        let numbers = MulI8 {
            a_zero_point: random.zero_point(),
            b_zero_point: random.zero_point(),
            requantizer: random.requantizer(16384),
            output: random.output(),
        };
        Self { pairs: Pairs::draw(random), numbers }
    }

    fn inputs(&self) -> [usize; 2] {
        [self.n(); 2]
    }

    fn weights(&self) -> usize {
        0
    }

    fn outputs(&self) -> usize {
        self.n()
    }

    fn portable(&self, inputs: [&[i8]; 2], _: &[i8], output: &mut [i8]) -> Option<()> {
        let numbers = &self.numbers;
        self.pairs.run(inputs, output, |loops, region, a, b| portable::mul_i8(loops, numbers, region, a, b, 0))
    }

    fn edges(&self) -> Edges {
        self.pairs.edges().zero_point(self.numbers.a_zero_point).zero_point(self.numbers.b_zero_point)
    }
}

/// A maximum over windows.
pub struct MaxPool2dLayer {
    /// Geometry.
    pub window: Window2d,
}

impl Layer for MaxPool2dLayer {
    fn draw(random: &mut Random) -> Self {
        Self { window: windows::pool(random) }
    }

    fn inputs(&self) -> [usize; 2] {
        [self.window.input_elements(), 0]
    }

    fn weights(&self) -> usize {
        0
    }

    fn outputs(&self) -> usize {
        self.window.output_elements()
    }

    fn portable(&self, [input, _]: [&[i8]; 2], _: &[i8], output: &mut [i8]) -> Option<()> {
        portable::max_pool_2d_i8(&self.window, input, output)
    }

    fn edges(&self) -> Edges {
        Edges::default().window(&self.window)
    }
}

/// An average over windows.
pub struct AveragePool2dLayer {
    /// Geometry.
    pub window: Window2d,
    /// Arithmetic.
    pub numbers: AveragePoolI8,
    /// What is divided by.
    pub divisor: Divisor,
}

impl Layer for AveragePool2dLayer {
    fn draw(random: &mut Random) -> Self {
        let divisor = match random.below(2) {
            0 => Divisor::Inside,
            _ => Divisor::Padded { bottom: random.below(3), right: random.below(3) },
        };
        let numbers = AveragePoolI8 {
            input_zero_point: random.zero_point(),
            requantizer: random.requantizer(128),
            output: random.output(),
        };
        Self { window: windows::pool(random), numbers, divisor }
    }

    fn inputs(&self) -> [usize; 2] {
        [self.window.input_elements(), 0]
    }

    fn weights(&self) -> usize {
        0
    }

    fn outputs(&self) -> usize {
        self.window.output_elements()
    }

    fn portable(&self, [input, _]: [&[i8]; 2], _: &[i8], output: &mut [i8]) -> Option<()> {
        portable::average_pool_2d_i8(&self.window, &self.numbers, self.divisor, input, output)
    }

    fn edges(&self) -> Edges {
        Edges::default().zero_point(self.numbers.input_zero_point).window(&self.window)
    }
}
