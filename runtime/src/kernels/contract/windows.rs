//! Convolutions, fully connected layers and pooling.

use super::{Bench, CAPACITY, Failure, KernelSet, random::Random};
use crate::kernels::geometry::{Conv2d, Window2d};
use crate::kernels::parameters::ChannelsI8;
use crate::kernels::portable::{AveragePoolI8, Divisor};

/// Most output channels of a case.
pub(super) const MAX_CHANNELS: usize = 40;

/// Per-channel numbers of a case.
struct Channels {
    bias: [i32; MAX_CHANNELS],
    bias_f32: [f32; MAX_CHANNELS],
    multipliers: [i32; MAX_CHANNELS],
    shifts: [u8; MAX_CHANNELS],
}

impl Channels {
    fn new(random: &mut Random, filter_elements: usize) -> Self {
        let mut channels = Self {
            bias: [0; MAX_CHANNELS],
            bias_f32: [0.0; MAX_CHANNELS],
            multipliers: [0; MAX_CHANNELS],
            shifts: [1; MAX_CHANNELS],
        };
        let magnitude = 4096 * (filter_elements as u32 + 1);
        random.fill_floats(&mut channels.bias_f32);
        for ((bias, multiplier), shift) in
            channels.bias.iter_mut().zip(&mut channels.multipliers).zip(&mut channels.shifts)
        {
            *bias = if random.one_in(20) { random.bits() as i32 } else { random.below(65536) as i32 - 32768 };
            let factor = random.requantizer(magnitude);
            (*multiplier, *shift) = (factor.multiplier, factor.shift);
        }
        channels
    }

    fn view(&self, random: &mut Random, n: usize) -> ChannelsI8<'_> {
        ChannelsI8 {
            input_zero_point: random.zero_point(),
            bias: &self.bias[..n],
            multipliers: &self.multipliers[..n],
            shifts: &self.shifts[..n],
            output: random.output(),
        }
    }
}

/// A window whose tensors fit the buffers.
pub(super) fn window(random: &mut Random, input_channels: u32, output_channels: u32) -> Window2d {
    loop {
        let one_dimensional = random.one_in(6);
        let mut axis = |flat: bool| {
            if flat {
                return [1, 1, 1, 1, 0, 1];
            }
            let (kernel, stride, dilation) = match random.below(4) {
                0 => (1, random.range(1, 3), 1),
                1 => (3, random.range(1, 2), 1),
                _ => (random.range(1, 5), random.range(1, 6), random.range(1, 3)),
            };
            let input = if random.one_in(8) { 1 } else { random.range(1, 12) };
            let reach = (kernel - 1) * dilation;
            let (before, after) =
                if random.one_in(3) { (0, 0) } else { (random.below(reach + 2), random.below(reach + 2)) };
            let output = (input + before + after).saturating_sub(reach + 1) / stride + 1;
            [input, kernel, stride, dilation, before, output]
        };
        let (y, x) = (axis(one_dimensional), axis(false));
        let window = Window2d {
            input: [y[0], x[0], input_channels],
            kernel: [y[1], x[1]],
            stride: [y[2], x[2]],
            dilation: [y[3], x[3]],
            padding: [y[4], x[4]],
            output: [y[5], x[5], output_channels],
        };
        let fits = window.input_elements() <= CAPACITY && window.output_elements() <= CAPACITY;
        if let (Some(window), true) = (window.check(), fits) {
            return window;
        }
    }
}

/// A convolution whose tensors and weights fit the buffers.
pub(super) fn conv(random: &mut Random) -> Conv2d {
    loop {
        let groups = if random.one_in(3) { random.range(2, 4) } else { 1 };
        let (inputs, outputs) = match random.below(4) {
            0 => (1, random.range(1, 5)),
            1 => (16, 8),
            2 => (random.range(1, 9), random.range(1, 20)),
            _ => (random.range(1, 33), random.range(1, 9)),
        };
        let (inputs, outputs) = (inputs * groups, outputs * groups);
        if outputs as usize > MAX_CHANNELS {
            continue;
        }
        let conv = Conv2d { window: window(random, inputs, outputs), groups };
        if let Some(conv) = conv.check().filter(|c| c.weight_elements() <= CAPACITY) {
            return conv;
        }
    }
}

/// A window as real networks have them: square, stride 1 or 2, padding on all sides or on none.
pub(super) fn usual_window(random: &mut Random, input_channels: u32, output_channels: u32) -> Window2d {
    loop {
        let kernel = [1, 3, 3, 5][random.below(4) as usize];
        let stride = random.range(1, 2);
        let padding = if random.one_in(2) { kernel / 2 } else { 0 };
        let mut axis = || {
            let input = random.range(1, 9);
            [input, (input + 2 * padding).saturating_sub(kernel) / stride + 1]
        };
        let (y, x) = (axis(), axis());
        let window = Window2d {
            input: [y[0], x[0], input_channels],
            kernel: [kernel; 2],
            stride: [stride; 2],
            dilation: [1; 2],
            padding: [padding; 2],
            output: [y[1], x[1], output_channels],
        };
        let fits = window.input_elements() <= CAPACITY && window.output_elements() <= CAPACITY;
        if let (Some(window), true) = (window.check(), fits) {
            return window;
        }
    }
}

/// A window over time: many taps along one axis, up to three along the other.
pub(super) fn long_window(random: &mut Random, input_channels: u32, output_channels: u32) -> Window2d {
    loop {
        let is_high = random.one_in(2);
        let mut axis = |is_long: bool| {
            let kernel = if is_long { random.range(5, 40) } else { random.range(1, 3) };
            let stride = random.range(1, 2);
            let padding = if random.one_in(2) { kernel / 2 } else { 0 };
            let input = if is_long { random.range(5, 50) } else { random.range(1, 4) };
            [input, kernel, stride, padding, (input + 2 * padding).saturating_sub(kernel) / stride + 1]
        };
        let (y, x) = (axis(is_high), axis(!is_high));
        let window = Window2d {
            input: [y[0], x[0], input_channels],
            kernel: [y[1], x[1]],
            stride: [y[2], x[2]],
            dilation: [1; 2],
            padding: [y[3], x[3]],
            output: [y[4], x[4], output_channels],
        };
        let fits = [
            window.input_elements(),
            window.output_elements(),
            window.kernel_elements().saturating_mul(output_channels as usize),
        ];
        if let (Some(window), true) = (window.check(), fits.iter().all(|&n| n <= CAPACITY)) {
            return window;
        }
    }
}

/// A convolution with one group and a [`usual_window`].
pub(super) fn usual_conv(random: &mut Random) -> Conv2d {
    loop {
        let (inputs, outputs) = (random.range(1, 20), random.range(1, 20));
        let conv = Conv2d { window: usual_window(random, inputs, outputs), groups: 1 };
        if let Some(conv) = conv.check().filter(|c| c.weight_elements() <= CAPACITY) {
            return conv;
        }
    }
}

/// The window of a pool.
pub(super) fn pool(random: &mut Random) -> Window2d {
    let channels = if random.one_in(3) { 16 } else { random.range(1, MAX_CHANNELS as u32) };
    if random.one_in(2) { window(random, channels, channels) } else { usual_window(random, channels, channels) }
}

/// One case of every kernel of this file.
pub(super) fn run(bench: &mut Bench, set: &KernelSet, reference: &KernelSet) -> Result<(), Failure> {
    convolutions(bench, set, reference)?;
    depthwise(bench, set, reference)?;
    fully_connected(bench, set, reference)?;
    pools(bench, set, reference)
}

fn refill(bench: &mut Bench) {
    bench.random.fill_bytes(&mut bench.bytes.input);
    bench.random.fill_bytes(&mut bench.bytes.weights);
    bench.random.fill_floats(&mut bench.floats.input);
    bench.random.fill_floats(&mut bench.floats.weights);
}

fn convolutions(bench: &mut Bench, set: &KernelSet, reference: &KernelSet) -> Result<(), Failure> {
    refill(bench);
    let conv = conv(&mut bench.random);
    let outputs = conv.window.output[2] as usize;
    let numbers = Channels::new(&mut bench.random, conv.filter_elements());
    let channels = numbers.view(&mut bench.random, outputs);
    let (inputs, weights) = (conv.window.input_elements(), conv.weight_elements());
    bench.kernel = "conv_2d_i8";
    let b = &mut bench.bytes;
    let answers = [(reference, &mut b.expected), (set, &mut b.found)].map(|(kernels, output)| {
        let output = &mut output[..conv.window.output_elements()];
        (kernels.conv_2d_i8)(&conv, &channels, &b.input[..inputs], &b.weights[..weights], output)
    });
    bench.judge_bytes(answers)?;
    bench.kernel = "conv_2d_f32";
    let limits = bench.random.limits();
    let b = &mut bench.floats;
    let bias = &numbers.bias_f32[..outputs];
    let answers = [(reference, &mut b.expected), (set, &mut b.found)].map(|(kernels, output)| {
        let output = &mut output[..conv.window.output_elements()];
        (kernels.conv_2d_f32)(&conv, &limits, &b.input[..inputs], &b.weights[..weights], bias, output)
    });
    bench.judge_floats(answers)
}

fn depthwise(bench: &mut Bench, set: &KernelSet, reference: &KernelSet) -> Result<(), Failure> {
    refill(bench);
    let (inputs, multiplier) = match bench.random.below(3) {
        0 => (bench.random.range(1, 8), bench.random.range(2, 5)),
        1 => (16, 1),
        _ => (bench.random.range(1, MAX_CHANNELS as u32), 1),
    };
    let outputs = (inputs * multiplier) as usize;
    let window = window(&mut bench.random, inputs, outputs as u32);
    let taps = window.kernel_elements();
    let numbers = Channels::new(&mut bench.random, taps);
    let channels = numbers.view(&mut bench.random, outputs);
    let (inputs, weights) = (window.input_elements(), taps * outputs);
    bench.kernel = "depthwise_conv_2d_i8";
    let b = &mut bench.bytes;
    let answers = [(reference, &mut b.expected), (set, &mut b.found)].map(|(kernels, output)| {
        let output = &mut output[..window.output_elements()];
        (kernels.depthwise_conv_2d_i8)(&window, &channels, &b.input[..inputs], &b.weights[..weights], output)
    });
    bench.judge_bytes(answers)?;
    bench.kernel = "depthwise_conv_2d_f32";
    let limits = bench.random.limits();
    let b = &mut bench.floats;
    let bias = &numbers.bias_f32[..outputs];
    let answers = [(reference, &mut b.expected), (set, &mut b.found)].map(|(kernels, output)| {
        let output = &mut output[..window.output_elements()];
        (kernels.depthwise_conv_2d_f32)(&window, &limits, &b.input[..inputs], &b.weights[..weights], bias, output)
    });
    bench.judge_floats(answers)
}

fn fully_connected(bench: &mut Bench, set: &KernelSet, reference: &KernelSet) -> Result<(), Failure> {
    refill(bench);
    let inputs = if bench.random.one_in(4) { 64 } else { bench.random.range(1, 70) } as usize;
    let outputs = bench.random.range(1, (CAPACITY / inputs).min(MAX_CHANNELS) as u32) as usize;
    let rows = if bench.random.one_in(2) { 1 } else { bench.random.range(1, 5) as usize };
    let numbers = Channels::new(&mut bench.random, inputs);
    let channels = numbers.view(&mut bench.random, outputs);
    bench.kernel = "fully_connected_i8";
    let b = &mut bench.bytes;
    let (input, weights) = (&b.input[..rows * inputs], &b.weights[..inputs * outputs]);
    let answers = [(reference, &mut b.expected), (set, &mut b.found)].map(|(kernels, output)| {
        (kernels.fully_connected_i8)(inputs, &channels, input, weights, &mut output[..rows * outputs])
    });
    bench.judge_bytes(answers)?;
    bench.kernel = "fully_connected_f32";
    let limits = bench.random.limits();
    let b = &mut bench.floats;
    let (input, weights) = (&b.input[..rows * inputs], &b.weights[..inputs * outputs]);
    let bias = &numbers.bias_f32[..outputs];
    let answers = [(reference, &mut b.expected), (set, &mut b.found)].map(|(kernels, output)| {
        (kernels.fully_connected_f32)(inputs, &limits, input, weights, bias, &mut output[..rows * outputs])
    });
    bench.judge_floats(answers)
}

fn pools(bench: &mut Bench, set: &KernelSet, reference: &KernelSet) -> Result<(), Failure> {
    refill(bench);
    let channels = if bench.random.one_in(3) { 16 } else { bench.random.range(1, MAX_CHANNELS as u32) };
    let window = window(&mut bench.random, channels, channels);
    let (inputs, outputs) = (window.input_elements(), window.output_elements());
    let divisor = match bench.random.below(2) {
        0 => Divisor::Inside,
        _ => Divisor::Padded { bottom: bench.random.below(3), right: bench.random.below(3) },
    };
    let q = AveragePoolI8 {
        input_zero_point: bench.random.zero_point(),
        requantizer: bench.random.requantizer(128),
        output: bench.random.output(),
    };
    bench.kernel = "max_pool_2d_i8";
    let b = &mut bench.bytes;
    let answers = [(reference, &mut b.expected), (set, &mut b.found)]
        .map(|(kernels, output)| (kernels.max_pool_2d_i8)(&window, &b.input[..inputs], &mut output[..outputs]));
    bench.judge_bytes(answers)?;
    bench.kernel = "average_pool_2d_i8";
    let b = &mut bench.bytes;
    let answers = [(reference, &mut b.expected), (set, &mut b.found)].map(|(kernels, output)| {
        (kernels.average_pool_2d_i8)(&window, &q, divisor, &b.input[..inputs], &mut output[..outputs])
    });
    bench.judge_bytes(answers)?;
    bench.kernel = "max_pool_2d_f32";
    let limits = bench.random.limits();
    let b = &mut bench.floats;
    let answers = [(reference, &mut b.expected), (set, &mut b.found)]
        .map(|(kernels, output)| (kernels.max_pool_2d_f32)(&window, &b.input[..inputs], &mut output[..outputs]));
    bench.judge_floats(answers)?;
    bench.kernel = "average_pool_2d_f32";
    let b = &mut bench.floats;
    let answers = [(reference, &mut b.expected), (set, &mut b.found)].map(|(kernels, output)| {
        (kernels.average_pool_2d_f32)(&window, &limits, divisor, &b.input[..inputs], &mut output[..outputs])
    });
    bench.judge_floats(answers)
}
