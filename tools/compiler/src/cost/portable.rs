//! Portable kernels as rustc compiles them for thumbv7em.

use super::{Shapes, linear};

/// Instructions on a Cortex-M4.
pub(super) fn on_armv7em(name: &str, shapes: &Shapes) -> Option<f64> {
    let n = shapes.n_outputs();
    let last = shapes.input.shape.last() as f64;
    Some(match name {
        "table_i8" => linear([835.0, 4.75], [1.0, n]),
        "add_i8" => linear([3795.0, 27.6], [1.0, n]),
        "mul_i8" => linear([2783.0, 46.5], [1.0, n]),
        "softmax_i8" => linear([1132.0, 25.5], [1.0, n]),
        "fully_connected_i8" => linear([2347.0, 72.8, 4.76], [1.0, n, n * last]),
        "max_pool_2d_i8" => pool(shapes, [1218.0, 52.8, 105.1, 33.4, 34.7, 131.0, 2.4, 14.75])?,
        "average_pool_2d_i8" => pool(shapes, [1771.0, 68.8, 671.2, 14.3, 98.6, 79.0, 9.0, 8.86])?,
        "conv_2d_i8" => conv(shapes)?,
        "depthwise_conv_2d_i8" => depthwise(shapes)?,
        _ => return None,
    })
}

/// Channels run in vectors of 16; the rest run one by one.
fn pool(shapes: &Shapes, factors: [f64; 8]) -> Option<f64> {
    let ([rows, columns, channels], [height, width]) = shapes.windowed()?;
    let pixels = rows * columns;
    let taps = pixels * height * width;
    let (vectors, rest) = ((channels / 16.0).floor(), channels % 16.0);
    let has_rest = f64::from(u8::from(rest > 0.0));
    let [v, h, r] = [vectors, has_rest, rest];
    Some(linear(factors, [1.0, pixels, pixels * v, pixels * h, pixels * r, taps * v, taps * h, taps * r]))
}

fn conv(shapes: &Shapes) -> Option<f64> {
    let ([rows, columns, channels], [height, width]) = shapes.windowed()?;
    let pixels = rows * columns;
    let taps = height * width * shapes.input.shape.last() as f64;
    let outputs = pixels * channels;
    let copied = linear([192.3, 118.1, 4.08], [pixels, pixels * height, pixels * taps]);
    // Short filters run on a copied patch, in vectors of 16.
    let products = if taps <= 512.0 {
        linear([69.0, 56.75], [outputs, outputs * (taps / 16.0).ceil()])
    } else {
        linear([69.0, 7.4], [outputs, outputs * taps])
    };
    Some(2827.0 + copied + products)
}

fn depthwise(shapes: &Shapes) -> Option<f64> {
    let ([rows, columns, channels], [height, width]) = shapes.windowed()?;
    let pixels = rows * columns;
    let taps = pixels * height * width;
    let (vectors, rest) = ((channels / 16.0).floor(), channels % 16.0);
    let features = [1.0, pixels, pixels * vectors, pixels * rest, taps * vectors, taps * rest, taps];
    Some(linear([5244.0, 509.8, 1279.0, 135.2, 49.7, -5.64, 67.3], features))
}
