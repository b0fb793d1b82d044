//! Kernels for Helium.

use crate::isa::Isa;
use crate::kernels::contract::{Channels, Comparison, Edge, Fast, Kernel, Needs, Overlap};
use crate::kernels::geometry::{Strip, Window2d};
use crate::kernels::mve::add::add_i8;
use crate::kernels::mve::conv_2d::conv_2d_i8;
use crate::kernels::mve::depthwise_conv_2d::{depthwise_conv_2d_i8, depthwise_windows_i8};
use crate::kernels::mve::fully_connected::fully_connected_i8;
use crate::kernels::mve::layout::{
    DEPTHWISE_WORDS, Products, conv_2d_lead_bytes, conv_2d_scratch_bytes, fully_connected_scratch_bytes,
    is_convolution, stream_words,
};
use crate::kernels::mve::plane::Plane;
use crate::kernels::mve::pool_2d::{average_pool_2d_i8, max_pool_2d_i8};

pub(super) static LIST: &[Comparison] = &[
    Comparison {
        name: "conv_2d_i8_mve",
        isa: Isa::Mve,
        never: &[],
        kernel: Kernel::Conv2d(Fast {
            needs: |layer| {
                let overlap = Overlap::Lead(conv_2d_lead_bytes(&layer.conv));
                let scratch_bytes = conv_2d_scratch_bytes(&layer.conv);
                is_convolution(&layer.conv).then_some(Needs { scratch_bytes, overlap })
            },
            pack: |layer, weights, words| {
                let n = stream_words(layer.conv.filter_elements(), layer.channels.view().bias.len());
                let kernel = layer.conv.window.kernel.map(|v| v as usize);
                products(&layer.channels, weights, |products| products.pack(kernel, words.get_mut(..n)?))?;
                Some(n)
            },
            run: |layer, words, places| {
                let channels = &layer.channels;
                conv_2d_i8(&layer.conv, channels.padding(), channels.view().output, words, places.placed())
            },
        }),
    },
    Comparison {
        name: "depthwise_conv_2d_i8_mve",
        isa: Isa::Mve,
        never: &[],
        kernel: Kernel::DepthwiseConv2d(Fast {
            needs: |layer| {
                let scratch_bytes = Plane::new(&layer.window)?.bytes();
                Some(Needs { scratch_bytes, overlap: Overlap::SameStart })
            },
            pack: |layer, weights, words| {
                let n = layer.channels.view().bias.len() * DEPTHWISE_WORDS;
                products(&layer.channels, weights, |products| products.pack_depthwise(words.get_mut(..n)?))?;
                Some(n)
            },
            run: |layer, words, places| {
                let channels = &layer.channels;
                depthwise_conv_2d_i8(&layer.window, channels.padding(), channels.view().output, words, places.placed())
            },
        }),
    },
    Comparison {
        name: "depthwise_windows_i8_mve",
        isa: Isa::Mve,
        never: &[],
        kernel: Kernel::DepthwiseConv2d(Fast {
            needs: |layer| {
                let scratch_bytes = Plane::in_chunks(&layer.window)?.bytes();
                Some(Needs { scratch_bytes, overlap: Overlap::SameStart })
            },
            pack: |layer, weights, words| {
                let plane = Plane::in_chunks(&layer.window)?;
                let n = layer.channels.view().bias.len() * plane.words();
                products(&layer.channels, weights, |products| products.pack_windows(&plane, words.get_mut(..n)?))?;
                Some(n)
            },
            run: |layer, words, places| {
                let channels = &layer.channels;
                depthwise_windows_i8(&layer.window, channels.padding(), channels.view().output, words, places.placed())
            },
        }),
    },
    Comparison {
        name: "fully_connected_i8_mve",
        isa: Isa::Mve,
        never: &[Edge::StrideBeyondKernel, Edge::Dilation, Edge::PaddingBeyondKernel, Edge::Overlap],
        kernel: Kernel::FullyConnected(Fast {
            needs: |layer| {
                let scratch_bytes = fully_connected_scratch_bytes(layer.inputs);
                Some(Needs { scratch_bytes, overlap: Overlap::Never })
            },
            pack: |layer, weights, words| {
                let n = stream_words(layer.inputs, layer.channels.view().bias.len());
                products(&layer.channels, weights, |products| products.pack([1, 1], words.get_mut(..n)?))?;
                Some(n)
            },
            run: |layer, words, places| {
                let channels = layer.channels.view();
                fully_connected_i8([layer.inputs, channels.bias.len()], channels.output, words, places.placed())
            },
        }),
    },
    Comparison {
        name: "add_i8_mve",
        isa: Isa::Mve,
        never: &Edge::OF_WINDOWS,
        kernel: Kernel::Add(Fast {
            needs: |_| Some(Needs { scratch_bytes: 0, overlap: Overlap::SameRange }),
            pack: |_, _, _| Some(0),
            run: |layer, _, places| {
                let [a, b] = places.inputs.clone();
                add_i8(&layer.numbers, places.region, a, b, places.output.clone())
            },
        }),
    },
    Comparison {
        name: "max_pool_2d_i8_mve",
        isa: Isa::Mve,
        never: &[Edge::ZeroPointMin, Edge::ZeroPointMax],
        kernel: Kernel::MaxPool2d(Fast {
            needs: |layer| Some(pool_needs(&layer.window)),
            pack: |_, _, _| Some(0),
            run: |layer, _, places| max_pool_2d_i8(&layer.window, places.placed()),
        }),
    },
    Comparison {
        name: "average_pool_2d_i8_mve",
        isa: Isa::Mve,
        never: &[],
        kernel: Kernel::AveragePool2d(Fast {
            needs: |layer| Some(pool_needs(&layer.window)),
            pack: |_, _, _| Some(0),
            run: |layer, _, places| average_pool_2d_i8(&layer.window, &layer.numbers, layer.divisor, places.placed()),
        }),
    },
];

fn pool_needs(window: &Window2d) -> Needs {
    Needs { scratch_bytes: 0, overlap: Overlap::Lead(window.lead_elements(Strip::Pixels(1))) }
}

fn products<R>(channels: &Channels, weights: &[i8], pack: impl FnOnce(&Products<'_>) -> Option<R>) -> Option<R> {
    let view = channels.view();
    let requantizers = channels.requantizers();
    pack(&Products { weights, bias: view.bias, requantizers: requantizers.get(..view.bias.len())? })
}
