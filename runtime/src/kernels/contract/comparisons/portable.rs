//! Portable kernels with their output over their input.

use crate::isa::Isa;
use crate::kernels::contract::{Comparison, Edge, Fast, Kernel, Needs, Overlap};
use crate::kernels::geometry::{Strip, Window2d};
use crate::kernels::portable::{average_pool_2d_i8_on, conv_2d_i8_on, depthwise_conv_2d_i8_on, max_pool_2d_i8_on};
use bytemuck::{cast_slice, cast_slice_mut};

pub(super) static LIST: &[Comparison] = &[
    Comparison {
        name: "conv_2d_i8_in_place",
        isa: Isa::Portable,
        never: &[],
        kernel: Kernel::Conv2d(Fast {
            needs: |layer| Some(needs(&layer.conv.window)),
            pack: |_, weights, words| copy(weights, words),
            run: |layer, words, places| {
                let weights = cast_slice(words).get(..layer.conv.weight_elements())?;
                conv_2d_i8_on(&layer.conv, &layer.channels.view(), &mut places.placed(), weights)
            },
        }),
    },
    Comparison {
        name: "depthwise_conv_2d_i8_in_place",
        isa: Isa::Portable,
        never: &[],
        kernel: Kernel::DepthwiseConv2d(Fast {
            needs: |layer| Some(needs(&layer.window)),
            pack: |_, weights, words| copy(weights, words),
            run: |layer, words, places| {
                depthwise_conv_2d_i8_on(&layer.window, &layer.channels.view(), &mut places.placed(), cast_slice(words))
            },
        }),
    },
    Comparison {
        name: "max_pool_2d_i8_in_place",
        isa: Isa::Portable,
        never: &[Edge::ZeroPointMin, Edge::ZeroPointMax],
        kernel: Kernel::MaxPool2d(Fast {
            needs: |layer| Some(needs(&layer.window)),
            pack: |_, _, _| Some(0),
            run: |layer, _, places| max_pool_2d_i8_on(&layer.window, &mut places.placed()),
        }),
    },
    Comparison {
        name: "average_pool_2d_i8_in_place",
        isa: Isa::Portable,
        never: &[],
        kernel: Kernel::AveragePool2d(Fast {
            needs: |layer| Some(needs(&layer.window)),
            pack: |_, _, _| Some(0),
            run: |layer, _, places| {
                average_pool_2d_i8_on(&layer.window, &layer.numbers, layer.divisor, &mut places.placed())
            },
        }),
    },
];

fn needs(window: &Window2d) -> Needs {
    Needs { scratch_bytes: 0, overlap: Overlap::Lead(window.lead_elements(Strip::Pixels(1))) }
}

fn copy(weights: &[i8], words: &mut [u32]) -> Option<usize> {
    cast_slice_mut(words).get_mut(..weights.len())?.copy_from_slice(weights);
    Some(weights.len().div_ceil(size_of::<u32>()))
}
