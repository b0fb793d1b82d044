//! Kernels for the DSP extension.

use crate::isa::Isa;
use crate::kernels::armv7em::add::{add_i8, takes};
use crate::kernels::armv7em::conv_2d::conv_2d_i8;
use crate::kernels::armv7em::depthwise_conv_2d::{depthwise_conv_2d_i8, depthwise_windows_i8};
use crate::kernels::armv7em::fully_connected::fully_connected_i8;
use crate::kernels::armv7em::layout::{
    Block, DEPTHWISE_WORDS, Products, WindowPlane, Winograd, conv_2d_lead_bytes, conv_2d_scratch_bytes, conv_2d_taps,
    depthwise_scratch_bytes, fully_connected_scratch_bytes, is_depthwise_3x3, padded_taps,
};
use crate::kernels::armv7em::pool_2d::{average_pool_2d_i8, max_pool_2d_i8, takes_average};
use crate::kernels::armv7em::winograd::conv_2d_winograd_i8;
use crate::kernels::contract::{Channels, Comparison, Edge, Fast, Kernel, Needs, Overlap};
use crate::kernels::geometry::{Strip, Window2d};

pub(super) static LIST: &[Comparison] = &[
    Comparison {
        name: "conv_2d_i8_armv7em",
        isa: Isa::Armv7em,
        never: &[],
        kernel: Kernel::Conv2d(Fast {
            needs: |layer| {
                let overlap = Overlap::Lead(conv_2d_lead_bytes(&layer.conv));
                (layer.conv.groups == 1).then(|| Needs { scratch_bytes: conv_2d_scratch_bytes(&layer.conv), overlap })
            },
            pack: |layer, weights, words| {
                let [taps, _] = conv_2d_taps(&layer.conv);
                let [_, width] = layer.conv.window.kernel.map(|v| v as usize);
                let row_taps = width * layer.conv.input_channels_per_group();
                pack(&layer.channels, weights, row_taps, taps, Block::Pair, words)
            },
            run: |layer, words, places| {
                let channels = &layer.channels;
                conv_2d_i8(&layer.conv, channels.padding(), channels.limits(), words, places.placed())
            },
        }),
    },
    Comparison {
        name: "conv_2d_winograd_i8_armv7em",
        isa: Isa::Armv7em,
        never: &[Edge::OddChannels, Edge::StrideBeyondKernel, Edge::Dilation, Edge::Overlap],
        kernel: Kernel::Conv2d(Fast {
            needs: |layer| {
                let shapes = Winograd::new(&layer.conv.window).filter(|_| layer.conv.groups == 1)?;
                Some(Needs { scratch_bytes: shapes.scratch_bytes(), overlap: Overlap::Never })
            },
            pack: |layer, weights, words| {
                let shapes = Winograd::new(&layer.conv.window)?;
                let n = shapes.stream_words();
                products(&layer.channels, weights, 3, |products| products.pack_winograd(&shapes, words.get_mut(..n)?))?;
                Some(n)
            },
            run: |layer, words, places| {
                let channels = &layer.channels;
                conv_2d_winograd_i8(&layer.conv.window, channels.padding(), channels.limits(), words, places.placed())
            },
        }),
    },
    Comparison {
        name: "depthwise_conv_2d_i8_armv7em",
        isa: Isa::Armv7em,
        never: &[Edge::StrideBeyondKernel, Edge::Dilation],
        kernel: Kernel::DepthwiseConv2d(Fast {
            needs: |layer| {
                let scratch_bytes = depthwise_scratch_bytes(&layer.window);
                is_depthwise_3x3(&layer.window).then_some(Needs { scratch_bytes, overlap: Overlap::SameStart })
            },
            pack: |layer, weights, words| {
                let n = layer.channels.view().bias.len() * DEPTHWISE_WORDS;
                products(&layer.channels, weights, 3, |products| products.pack_depthwise(words.get_mut(..n)?))?;
                Some(n)
            },
            run: |layer, words, places| {
                let channels = &layer.channels;
                depthwise_conv_2d_i8(&layer.window, channels.padding(), channels.limits(), words, places.placed())
            },
        }),
    },
    Comparison {
        name: "depthwise_windows_i8_armv7em",
        isa: Isa::Armv7em,
        never: &[Edge::Dilation],
        kernel: Kernel::DepthwiseConv2d(Fast {
            needs: |layer| {
                let plane = WindowPlane::new(&layer.window)?;
                Some(Needs { scratch_bytes: plane.cells() * 2, overlap: Overlap::SameStart })
            },
            pack: |layer, weights, words| {
                let plane = WindowPlane::new(&layer.window)?;
                let n = layer.channels.view().bias.len() * plane.words();
                let [_, row_taps] = layer.window.kernel.map(|v| v as usize);
                products(&layer.channels, weights, row_taps, |products| {
                    products.pack_windows(&plane, words.get_mut(..n)?)
                })?;
                Some(n)
            },
            run: |layer, words, places| {
                let channels = &layer.channels;
                depthwise_windows_i8(&layer.window, channels.padding(), channels.limits(), words, places.placed())
            },
        }),
    },
    Comparison {
        name: "fully_connected_i8_armv7em",
        isa: Isa::Armv7em,
        never: &[Edge::StrideBeyondKernel, Edge::Dilation, Edge::PaddingBeyondKernel, Edge::Overlap],
        kernel: Kernel::FullyConnected(Fast {
            needs: |layer| {
                let scratch_bytes = fully_connected_scratch_bytes(layer.inputs);
                (layer.rows == 1).then_some(Needs { scratch_bytes, overlap: Overlap::Never })
            },
            pack: |layer, weights, words| {
                pack(&layer.channels, weights, layer.inputs, padded_taps(layer.inputs), Block::Quad, words)
            },
            run: |layer, words, places| fully_connected_i8(layer.channels.limits(), words, places.placed()),
        }),
    },
    Comparison {
        name: "add_i8_armv7em",
        isa: Isa::Armv7em,
        never: &Edge::OF_WINDOWS,
        kernel: Kernel::Add(Fast {
            needs: |layer| {
                takes(layer.numbers.multiplier).then_some(Needs { scratch_bytes: 0, overlap: Overlap::SameRange })
            },
            pack: |_, _, _| Some(0),
            run: |layer, _, places| {
                let [a, b] = &places.inputs;
                let starts = [a.start, b.start, places.output.start];
                add_i8(&layer.numbers, places.region, starts, layer.n())
            },
        }),
    },
    Comparison {
        name: "max_pool_2d_i8_armv7em",
        isa: Isa::Armv7em,
        never: &[Edge::ZeroPointMin, Edge::ZeroPointMax],
        kernel: Kernel::MaxPool2d(Fast {
            needs: |layer| Some(pool_needs(&layer.window)),
            pack: |_, _, _| Some(0),
            run: |layer, _, places| max_pool_2d_i8(&layer.window, places.placed()),
        }),
    },
    Comparison {
        name: "average_pool_2d_i8_armv7em",
        isa: Isa::Armv7em,
        never: &[],
        kernel: Kernel::AveragePool2d(Fast {
            needs: |layer| takes_average(&layer.window, layer.numbers.requantizer).then(|| pool_needs(&layer.window)),
            pack: |_, _, _| Some(0),
            run: |layer, _, places| average_pool_2d_i8(&layer.window, &layer.numbers, layer.divisor, places.placed()),
        }),
    },
];

fn pool_needs(window: &Window2d) -> Needs {
    Needs { scratch_bytes: 0, overlap: Overlap::Lead(window.lead_elements(Strip::Pixels(1))) }
}

fn pack(
    channels: &Channels,
    weights: &[i8],
    row_taps: usize,
    padded: usize,
    block: Block,
    words: &mut [u32],
) -> Option<usize> {
    let n = block.stream_words(padded, channels.view().bias.len());
    products(channels, weights, row_taps, |products| products.pack(block, words.get_mut(..n)?))?;
    Some(n)
}

fn products<R>(
    channels: &Channels,
    weights: &[i8],
    row_taps: usize,
    pack: impl FnOnce(&Products<'_>) -> Option<R>,
) -> Option<R> {
    let view = channels.view();
    let requantizers = channels.requantizers();
    pack(&Products {
        weights,
        row_taps,
        bias: view.bias,
        requantizers: requantizers.get(..view.bias.len())?,
        output_zero_point: view.output.zero_point,
    })
}
