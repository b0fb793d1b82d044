//! Portable kernels, as rustc compiles them for each instruction set in the programs of `cargo xtask bench`.

use super::{Shapes, linear};
use tinfer::kernels::geometry::Window2d;

/// What each kernel's features cost on a CPU.
pub(super) struct Factors {
    /// See [`pool`].
    max_pool: [f64; 8],
    average_pool: [f64; 8],
    average_pool_dequantized: [f64; 8],
    /// See [`conv`].
    conv: [f64; 13],
    /// See [`depthwise`].
    depthwise: [f64; 9],
}

impl Factors {
    /// Instructions of a step.
    pub fn instructions(&self, name: &str, shapes: &Shapes) -> Option<f64> {
        Some(match name {
            "max_pool_2d_i8" => linear(self.max_pool, pool(&shapes.window?)),
            "average_pool_2d_i8" => linear(self.average_pool, pool(&shapes.window?)),
            "average_pool_2d_dequantized_i8" => linear(self.average_pool_dequantized, pool(&shapes.window?)),
            "conv_2d_i8" => linear(self.conv, conv(&shapes.window?, shapes.n_weights? as f64)),
            "depthwise_conv_2d_i8" => linear(self.depthwise, depthwise(&shapes.window?)),
            _ => return None,
        })
    }
}

/// Step, pixels, and blocks of 16 channels, whether channels are left, channels that are left: per pixel, per tap.
pub(super) fn pool(window: &Window2d) -> [f64; 8] {
    let [pixels, taps] = [pixels(window), pixels(window) * taps(window)];
    let channels = f64::from(window.output[2]);
    let (vectors, rest) = ((channels / 16.0).floor(), channels % 16.0);
    let has_rest = f64::from(u8::from(rest > 0.0));
    [1.0, pixels, pixels * vectors, pixels * has_rest, pixels * rest, taps * vectors, taps * has_rest, taps * rest]
}

/// Step and pixels; of filters up to 512 taps, which run on a copied patch, pixels at a border, copied rows, copied
/// taps, padding, outputs, vectors of 16 taps, taps of filters that end less than a vector before the last; of longer
/// ones outputs, rows, taps, taps outside the image.
fn conv(window: &Window2d, weights: f64) -> [f64; 13] {
    let Inside { pixels, padded, rows, taps: taps_inside } = Inside::of(window);
    let [depth, outputs] = [window.input[2], window.output[2]].map(f64::from);
    let filter = weights / outputs;
    let groups = taps(window) * depth / filter;
    if filter > PATCH_TAPS {
        let products = pixels * outputs;
        let [rows, inside, outside] =
            [rows * outputs, taps_inside * depth / groups * outputs, padded * outputs * filter];
        return [1.0, pixels, 0.0, 0.0, 0.0, 0.0, 0.0, 0.0, 0.0, products, rows, inside, outside];
    }
    let vectors = (filter / 16.0).ceil();
    let last = outputs.min((vectors * 16.0 / filter).ceil() - 1.0);
    let [whole, rest] = [pixels * (outputs - last) * vectors, pixels * last * filter];
    let [padding, copied] = [padded * filter * groups, taps_inside * depth];
    let products = pixels * outputs;
    [1.0, pixels, padded, rows * groups, copied, padding, products, whole, rest, 0.0, 0.0, 0.0, 0.0]
}

/// Step, pixels; blocks of 16, of 4 and of 1 channels: per pixel, per tap; taps of blocks at a border.
fn depthwise(window: &Window2d) -> [f64; 9] {
    let Inside { pixels, padded, .. } = Inside::of(window);
    let channels = f64::from(window.output[2]);
    let [a, b, c] = [(channels / 16.0).floor(), (channels % 16.0 / 4.0).floor(), channels % 4.0];
    let kernel = taps(window);
    let [taps, at_border] = [pixels * kernel, padded * kernel * (a + b + c)];
    [1.0, pixels, pixels * a, pixels * b, pixels * c, taps * a, taps * b, taps * c, at_border]
}

/// How much of a layer's windows lies inside the image.
pub(super) struct Inside {
    pub pixels: f64,
    /// Pixels whose window does not.
    padded: f64,
    /// Kernel rows of all pixels.
    rows: f64,
    /// Taps of all pixels.
    pub taps: f64,
}

impl Inside {
    pub fn of(window: &Window2d) -> Self {
        let counts = [window.vertical(), window.horizontal()].into_iter().zip(window.output).zip(window.kernel);
        let mut counts = counts.map(|((axis, n), kernel)| {
            let counts: Vec<usize> = (0..n as usize).map(|i| axis.taps(i).count).collect();
            let is = |wanted: &dyn Fn(usize) -> bool| counts.iter().filter(|&&n| wanted(n)).count() as f64;
            [is(&|n| n == kernel as usize), is(&|n| n > 0), counts.iter().sum::<usize>() as f64]
        });
        let mut next = || counts.next().unwrap_or_default();
        let ([whole_rows, _, rows], [whole_columns, used_columns, columns]) = (next(), next());
        let pixels = pixels(window);
        let padded = pixels - whole_rows * whole_columns;
        Inside { pixels, padded, rows: rows * used_columns, taps: rows * columns }
    }
}

pub(super) fn pixels(window: &Window2d) -> f64 {
    f64::from(window.output[0]) * f64::from(window.output[1])
}

fn taps(window: &Window2d) -> f64 {
    window.kernel_elements() as f64
}

/// `PATCH_ELEMENTS` of the kernel.
const PATCH_TAPS: f64 = 512.0;

/// Armv7-M, linked for speed. It has no floating-point unit: adding a zero costs a dequantized average less than adding
/// something else. Half of the values were zeros, as behind a ReLU; where none are, it takes a quarter more.
pub(super) const CORTEX_M3: Factors = Factors {
    max_pool: [954.0, 52.12, 104.75, 35.35, 36.62, 121.26, 1.92, 13.39],
    average_pool: [1348.0, 61.22, 709.05, 19.65, 143.89, 71.13, 7.62, 7.68],
    average_pool_dequantized: [1194.0, 600.0, 7200.0, 0.0, 450.0, 1920.0, 0.0, 120.0],
    conv: [2460.0, 273.35, 36.5, 86.12, 3.47, 1.64, 72.21, 55.72, 4.66, 71.97, 361.68, 3.04, 5.63],
    depthwise: [1942.0, 81.19, 1034.15, 297.3, 179.68, 123.24, 55.17, 29.12, 5.4],
};

/// Armv7E-M, linked for size. A dequantized average takes a tenth less on a Cortex-M33, the factors lie between.
pub(super) const CORTEX_M4: Factors = Factors {
    max_pool: [811.0, 49.53, 87.78, 11.87, 13.14, 132.78, 4.18, 15.59],
    average_pool: [1248.0, 53.97, 713.56, 16.95, 131.7, 80.09, 3.24, 10.23],
    average_pool_dequantized: [1664.0, 79.09, 576.43, -44.63, 122.75, 116.6, 17.3, 10.5],
    conv: [2294.0, 225.15, 26.46, 64.83, 4.07, 3.16, 69.05, 80.01, 5.06, 134.49, 675.85, 2.17, 11.88],
    depthwise: [1836.0, 88.04, 1021.26, 310.84, 161.35, 122.59, 62.02, 28.81, 5.64],
};

/// Armv8.1-M, linked for size: loops are not vectorized.
pub(super) const CORTEX_M55: Factors = Factors {
    max_pool: [820.0, 45.79, 113.26, 23.53, 24.9, 107.3, 1.1, 13.44],
    average_pool: [1200.0, 53.79, 466.52, 14.65, 114.49, 77.01, 2.65, 10.31],
    average_pool_dequantized: [1594.0, 74.62, 502.23, -48.15, 120.5, 123.86, 17.21, 11.23],
    conv: [2209.0, 202.22, 30.91, 59.64, 3.08, 3.17, 57.9, 64.05, 4.09, 67.72, 340.3, 2.32, 5.12],
    depthwise: [1810.0, 74.13, 776.03, 255.93, 145.46, 122.82, 61.8, 28.78, 5.63],
};
