//! Where a picture lies in an input, and how a pixel of the input is computed from it.

use super::image::{Fit, ImagePreprocess, Resize};
use super::picture::Picture;

/// The part of a picture that is used, and the part of an input that it fills.
pub(super) struct Frame {
    columns: Axis,
    rows: Axis,
}

impl Frame {
    pub fn new(preprocess: &ImagePreprocess, picture: &Picture<'_>) -> Self {
        let source = [picture.width(), picture.height()].map(|n| u64::from(n).max(1));
        let input = [preprocess.width, preprocess.height].map(|n| u64::from(n).max(1));
        let ([source_width, source_height], [width, height]) = (source, input);
        let axes = |source: [u64; 2], input: [u64; 2]| Frame {
            columns: Axis::centred(source_width, source[0], width, input[0]),
            rows: Axis::centred(source_height, source[1], height, input[1]),
        };
        match preprocess.fit {
            Fit::Stretch => axes(source, input),
            Fit::Crop => {
                let part = [proportional(source_height, width, height), proportional(source_width, height, width)];
                axes([part[0].min(source_width), part[1].min(source_height)], input)
            }
            Fit::Pad(_) => {
                let part = [
                    proportional(height, source_width, source_height),
                    proportional(width, source_height, source_width),
                ];
                axes(source, [part[0].min(width), part[1].min(height)])
            }
        }
    }
}

/// `length * numerator / denominator`, rounded half up, at least 1.
fn proportional(length: u64, numerator: u64, denominator: u64) -> u64 {
    ((2 * length * numerator + denominator) / (2 * denominator).max(1)).max(1)
}

impl ImagePreprocess {
    /// Pixel (x, y) of the picture brought to the input's size; `None` where the picture does not reach.
    ///
    /// # Algorithm
    /// With a side of `s` source and `d` input pixels, input pixel `x` covers `[x, x + 1) * s / d`.
    /// - nearest: the source pixel under its centre, `floor((2 x + 1) s / (2 d))`;
    /// - bilinear: between the centres of the source pixels around its centre, weights in 1/2048,
    ///   no smoothing when shrinking (as OpenCV's `INTER_LINEAR` and TensorFlow's half-pixel centres);
    /// - area: the mean of the source pixels that it covers, weighted by the covered part;
    /// - triangle: source pixels weighted by `1 - |distance of the centres| / max(s / d, 1)` where that is positive,
    ///   divided by the sum of the weights (Pillow's `BILINEAR`, the `image` crate's `Triangle`); rows in 1/4096.
    ///
    /// Each rounds half up, at the end.
    pub(super) fn resized(&self, picture: &Picture<'_>, frame: &Frame, x: u32, y: u32, channel: usize) -> Option<u8> {
        let (columns, rows) = (&frame.columns, &frame.rows);
        let (x, y) = (columns.inside(x)?, rows.inside(y)?);
        let source = |x: u64, y: u64| {
            let (x, y) = (columns.source_start + x, rows.source_start + y);
            u64::from(picture.value(x as u32, y as u32, self.channels, channel))
        };
        let pixel = match self.resize {
            Resize::Nearest => source(columns.nearest(x), rows.nearest(y)),
            Resize::Bilinear => {
                let ((x, x1, right), (y, y1, lower)) = (columns.between(x), rows.between(y));
                let (left, upper) = (WEIGHT - right, WEIGHT - lower);
                let top = source(x, y) * left + source(x1, y) * right;
                let bottom = source(x, y1) * left + source(x1, y1) * right;
                (top * upper + bottom * lower + WEIGHT * WEIGHT / 2) / (WEIGHT * WEIGHT)
            }
            Resize::Area => {
                let mut sum = 0;
                for y_source in rows.covered(y) {
                    for x_source in columns.covered(x) {
                        sum += source(x_source, y_source) * columns.overlap(x, x_source) * rows.overlap(y, y_source);
                    }
                }
                let area = (columns.source * rows.source).max(1);
                (sum + area / 2) / area
            }
            Resize::Triangle => {
                let (mut sum, mut weights) = (0, 0);
                for y_source in rows.near(y) {
                    let (mut row, mut row_weights) = (0, 0);
                    for x_source in columns.near(x) {
                        let weight = columns.nearness(x, x_source);
                        row += source(x_source, y_source) * weight;
                        row_weights += weight;
                    }
                    // Weights of both axes together could need more than 64 bits.
                    let row = (row * ROW_UNIT + row_weights / 2) / row_weights.max(1);
                    let weight = rows.nearness(y, y_source);
                    sum += row * weight;
                    weights += weight;
                }
                let unit = (weights * ROW_UNIT).max(1);
                (sum + unit / 2) / unit
            }
        };
        Some(pixel as u8)
    }
}

/// One side: lengths of the used part of the source and of the filled part of the input, at least 1, and their starts.
struct Axis {
    source: u64,
    source_start: u64,
    input: u64,
    input_start: u64,
}

impl Axis {
    /// `source` of `source_side` pixels in `input` of `input_side` pixels, from the middle.
    fn centred(source_side: u64, source: u64, input_side: u64, input: u64) -> Self {
        Axis {
            source,
            source_start: source_side.saturating_sub(source) / 2,
            input,
            input_start: input_side.saturating_sub(input) / 2,
        }
    }

    /// A pixel of the input, counted from the start of the filled part.
    fn inside(&self, x: u32) -> Option<u64> {
        u64::from(x).checked_sub(self.input_start).filter(|x| *x < self.input)
    }

    fn nearest(&self, x: u64) -> u64 {
        (2 * x + 1) * self.source / (2 * self.input).max(1)
    }

    /// The two source pixels around the centre of `x`, and the weight of the second.
    fn between(&self, x: u64) -> (u64, u64, u64) {
        // The position in units of 1 / (2 input), counted from the centre of source pixel 0.
        let position = ((2 * x + 1) * self.source).saturating_sub(self.input);
        let unit = (2 * self.input).max(1);
        let first = position / unit;
        let weight = ((position % unit) * WEIGHT + self.input) / unit;
        (first, (first + 1).min(self.source - 1), weight)
    }

    /// The source pixels of which `x` covers a part.
    fn covered(&self, x: u64) -> core::ops::Range<u64> {
        let input = self.input.max(1);
        x * self.source / input..((x + 1) * self.source).div_ceil(input)
    }

    /// The part of source pixel `s` that `x` covers, in units of 1 / input of a pixel.
    fn overlap(&self, x: u64, s: u64) -> u64 {
        let (start, end) = ((x * self.source).max(s * self.input), ((x + 1) * self.source).min((s + 1) * self.input));
        end.saturating_sub(start)
    }

    /// The source pixels whose centre is less than a pixel of the coarser side from the centre of `x`, or more.
    fn near(&self, x: u64) -> core::ops::RangeInclusive<u64> {
        let (centre, unit) = ((2 * x + 1) * self.source, (2 * self.input).max(1));
        let first = centre.saturating_sub(self.reach() + self.input) / unit;
        first..=((centre + self.reach()) / unit).min(self.source - 1)
    }

    /// The weight of source pixel `s`: what the distance of the centres leaves of the reach, in units of 1 / (2 input).
    fn nearness(&self, x: u64, s: u64) -> u64 {
        self.reach().saturating_sub(((2 * s + 1) * self.input).abs_diff((2 * x + 1) * self.source))
    }

    fn reach(&self) -> u64 {
        2 * self.source.max(self.input)
    }
}

const WEIGHT: u64 = 2048;
/// Resolution of a row before rows are added.
const ROW_UNIT: u64 = 4096;

#[cfg(test)]
mod tests {
    use super::super::{Binarise, Channels, PixelFormat};
    use super::*;
    use std::vec;
    use std::vec::Vec;

    fn resize(resize: Resize, from: (u32, u32), pixels: &[u8], to: (u16, u16)) -> Vec<u8> {
        fitted(Fit::Stretch, resize, from, pixels, to)
    }

    /// What the picture does not reach is 9.
    fn fitted(fit: Fit, resize: Resize, from: (u32, u32), pixels: &[u8], to: (u16, u16)) -> Vec<u8> {
        let p = ImagePreprocess {
            width: to.0,
            height: to.1,
            channels: Channels::Gray,
            resize,
            fit,
            binarise: Binarise::Never,
            scale: 1.0,
            mean: [0.0; 3],
            std: [1.0; 3],
        };
        let picture = Picture::new(from.0, from.1, PixelFormat::Gray, pixels).unwrap();
        let frame = Frame::new(&p, &picture);
        let at = |i: u32| p.resized(&picture, &frame, i % u32::from(to.0), i / u32::from(to.0), 0).unwrap_or(9);
        (0..u32::from(to.0) * u32::from(to.1)).map(at).collect()
    }

    #[test]
    fn known_pixels() {
        let check = |method, from, pixels: &[u8], to, expected: &[u8]| {
            assert_eq!(resize(method, from, pixels, to), expected, "{method:?} {from:?} to {to:?}");
        };
        check(Resize::Nearest, (4, 1), &[1, 2, 3, 4], (2, 1), &[2, 4]);
        check(Resize::Nearest, (2, 1), &[1, 2], (5, 1), &[1, 1, 2, 2, 2]);
        // Half-pixel centres: -0.25, 0.25, 0.75, 1.25 between two pixels.
        check(Resize::Bilinear, (2, 1), &[0, 100], (4, 1), &[0, 25, 75, 100]);
        check(Resize::Bilinear, (2, 2), &[0, 100, 200, 60], (1, 1), &[90]);
        check(Resize::Area, (4, 2), &[0, 10, 20, 30, 40, 50, 60, 70], (2, 1), &[25, 45]);
        // Each output covers one pixel and a half.
        check(Resize::Area, (3, 1), &[0, 90, 240], (2, 1), &[30, 190]);
        check(Resize::Area, (1, 1), &[7], (2, 2), &[7; 4]);
        check(Resize::Triangle, (2, 1), &[0, 100], (4, 1), &[0, 25, 75, 100]);
        // Distances 0.5, 0.5, 1.5 of 2: weights 3, 3, 1 of 7 for 0, 0, 80 and for 240, 80, 0.
        check(Resize::Triangle, (4, 1), &[0, 0, 80, 240], (2, 1), &[11, 137]);
    }

    #[test]
    fn same_size_keeps_every_pixel() {
        let pixels: Vec<u8> = (0..35u8).map(|i| i.wrapping_mul(57)).collect();
        for method in [Resize::Nearest, Resize::Bilinear, Resize::Area, Resize::Triangle] {
            assert_eq!(resize(method, (7, 5), &pixels, (7, 5)), pixels, "{method:?}");
        }
    }

    #[test]
    fn flat_pictures_stay_flat_at_every_size() {
        for method in [Resize::Nearest, Resize::Bilinear, Resize::Area, Resize::Triangle] {
            for (from, to) in [((1, 1), (5, 3)), ((13, 7), (4, 6)), ((3, 300), (28, 28))] {
                let n = (from.0 * from.1) as usize;
                assert!(resize(method, from, &vec![255; n], to).iter().all(|&v| v == 255), "{method:?} {from:?}");
            }
        }
    }

    #[test]
    fn proportions_are_kept_around_the_middle() {
        let check = |fit, from, pixels: &[u8], to, expected: &[u8]| {
            assert_eq!(fitted(fit, Resize::Nearest, from, pixels, to), expected, "{fit:?} {from:?} to {to:?}");
        };
        check(Fit::Crop, (4, 2), &[1, 2, 3, 4, 5, 6, 7, 8], (2, 2), &[2, 3, 6, 7]);
        check(Fit::Crop, (1, 4), &[1, 2, 3, 4], (2, 2), &[2, 2, 2, 2]);
        check(
            Fit::Pad(0),
            (4, 2),
            &[1, 2, 3, 4, 5, 6, 7, 8],
            (4, 4),
            &[9, 9, 9, 9, 1, 2, 3, 4, 5, 6, 7, 8, 9, 9, 9, 9],
        );
        check(Fit::Pad(0), (1, 2), &[1, 2], (5, 2), &[9, 9, 1, 9, 9, 9, 9, 2, 9, 9]);
        check(Fit::Pad(0), (100, 1), &[5; 100], (3, 3), &[9, 9, 9, 5, 5, 5, 9, 9, 9]);
        check(Fit::Stretch, (2, 1), &[1, 2], (2, 2), &[1, 2, 1, 2]);
    }

    #[test]
    fn extreme_sides_do_not_overflow() {
        for method in [Resize::Nearest, Resize::Bilinear, Resize::Area, Resize::Triangle] {
            assert_eq!(resize(method, (65_535, 1), &vec![255; 65_535], (1, 1)), [255], "{method:?}");
            assert_eq!(resize(method, (1, 1), &[255], (u16::MAX, 1))[65_534], 255, "{method:?}");
        }
    }
}
