//! Pictures in memory, and how a pixel of another size is computed from them.

use super::image::{Channels, ImagePreprocess, Resize};

/// An 8-bit picture: rows from the top, pixels from the left, channels together.
#[derive(Clone, Copy, Debug)]
pub struct Picture<'p> {
    width: u32,
    height: u32,
    channels: Channels,
    pixels: &'p [u8],
}

impl<'p> Picture<'p> {
    /// A picture of `width * height * channels` bytes; `None` when there are fewer, more, or none,
    /// or when a side is longer than 65,535 pixels.
    pub fn new(width: u32, height: u32, channels: Channels, pixels: &'p [u8]) -> Option<Self> {
        let expected = u64::from(width) * u64::from(height) * channels.count() as u64;
        let fits = width.max(height) <= u32::from(u16::MAX) && expected > 0 && expected == pixels.len() as u64;
        fits.then_some(Picture { width, height, channels, pixels })
    }

    /// One value of a pixel: channel `channel` of `wanted`, whatever the picture's own channels are.
    ///
    /// Luma is `(19595 R + 38470 G + 7471 B + 32768) >> 16` (ITU-R BT.601, rounded as Pillow does).
    fn value(&self, x: u32, y: u32, wanted: Channels, channel: usize) -> u8 {
        let start = (y as usize * self.width as usize + x as usize) * self.channels.count();
        let at = |offset: usize| self.pixels.get(start + offset).copied().unwrap_or(0);
        match (self.channels, wanted) {
            (Channels::Gray, _) => at(0),
            (own, Channels::Gray) => {
                let (red, blue) = if own == Channels::Bgr { (at(2), at(0)) } else { (at(0), at(2)) };
                let luma = 19595 * u32::from(red) + 38470 * u32::from(at(1)) + 7471 * u32::from(blue);
                ((luma + 32768) >> 16) as u8
            }
            (own, wanted) if own == wanted => at(channel),
            _ => at(2usize.saturating_sub(channel)),
        }
    }
}

impl ImagePreprocess {
    /// Pixel (x, y) of the picture brought to the input's size.
    ///
    /// # Algorithm
    /// With a side of `s` source and `d` input pixels, input pixel `x` covers `[x, x + 1) * s / d`.
    /// - nearest: the source pixel under its centre, `floor((2 x + 1) s / (2 d))`;
    /// - bilinear: between the centres of the source pixels around its centre, weights in 1/2048,
    ///   no smoothing when shrinking (as OpenCV's `INTER_LINEAR` and TensorFlow's half-pixel centres);
    /// - area: the mean of the source pixels that it covers, weighted by the covered part.
    ///
    /// Each rounds once, half up.
    pub(super) fn resized(&self, picture: &Picture<'_>, x: u32, y: u32, channel: usize) -> u8 {
        let source = |x: u64, y: u64| u64::from(picture.value(x as u32, y as u32, self.channels, channel));
        let (columns, rows) = (
            Axis { source: picture.width.max(1).into(), input: self.width.max(1).into() },
            Axis { source: picture.height.max(1).into(), input: self.height.max(1).into() },
        );
        let (x, y) = (u64::from(x), u64::from(y));
        match self.resize {
            Resize::Nearest => source(columns.nearest(x), rows.nearest(y)) as u8,
            Resize::Bilinear => {
                let ((x, x1, right), (y, y1, lower)) = (columns.between(x), rows.between(y));
                let (left, upper) = (WEIGHT - right, WEIGHT - lower);
                let top = source(x, y) * left + source(x1, y) * right;
                let bottom = source(x, y1) * left + source(x1, y1) * right;
                ((top * upper + bottom * lower + WEIGHT * WEIGHT / 2) / (WEIGHT * WEIGHT)) as u8
            }
            Resize::Area => {
                let mut sum = 0;
                for y_source in rows.covered(y) {
                    for x_source in columns.covered(x) {
                        sum += source(x_source, y_source) * columns.overlap(x, x_source) * rows.overlap(y, y_source);
                    }
                }
                let area = (columns.source * rows.source).max(1);
                ((sum + area / 2) / area) as u8
            }
        }
    }
}

/// Lengths of one side, at least 1.
struct Axis {
    source: u64,
    input: u64,
}

impl Axis {
    fn nearest(&self, x: u64) -> u64 {
        (2 * x + 1) * self.source / (2 * self.input)
    }

    /// The two source pixels around the centre of `x`, and the weight of the second.
    fn between(&self, x: u64) -> (u64, u64, u64) {
        // The position in units of 1 / (2 input), counted from the centre of source pixel 0.
        let position = ((2 * x + 1) * self.source).saturating_sub(self.input);
        let unit = 2 * self.input;
        let first = position / unit;
        let weight = ((position % unit) * WEIGHT + self.input) / unit;
        (first, (first + 1).min(self.source - 1), weight)
    }

    /// The source pixels of which `x` covers a part.
    fn covered(&self, x: u64) -> core::ops::Range<u64> {
        x * self.source / self.input..((x + 1) * self.source).div_ceil(self.input)
    }

    /// The part of source pixel `s` that `x` covers, in units of 1 / input of a pixel.
    fn overlap(&self, x: u64, s: u64) -> u64 {
        let (start, end) = ((x * self.source).max(s * self.input), ((x + 1) * self.source).min((s + 1) * self.input));
        end.saturating_sub(start)
    }
}

const WEIGHT: u64 = 2048;

#[cfg(test)]
mod tests {
    use super::*;
    use std::vec;
    use std::vec::Vec;

    fn resize(resize: Resize, from: (u32, u32), pixels: &[u8], to: (u16, u16)) -> Vec<u8> {
        let p = ImagePreprocess {
            width: to.0,
            height: to.1,
            channels: Channels::Gray,
            resize,
            scale: 1.0,
            mean: [0.0; 3],
            std: [1.0; 3],
        };
        let picture = Picture::new(from.0, from.1, Channels::Gray, pixels).unwrap();
        let at = |i: u32| p.resized(&picture, i % u32::from(to.0), i / u32::from(to.0), 0);
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
    }

    #[test]
    fn same_size_keeps_every_pixel() {
        let pixels: Vec<u8> = (0..35u8).map(|i| i.wrapping_mul(57)).collect();
        for method in [Resize::Nearest, Resize::Bilinear, Resize::Area] {
            assert_eq!(resize(method, (7, 5), &pixels, (7, 5)), pixels, "{method:?}");
        }
    }

    #[test]
    fn flat_pictures_stay_flat_at_every_size() {
        for method in [Resize::Nearest, Resize::Bilinear, Resize::Area] {
            for (from, to) in [((1, 1), (5, 3)), ((13, 7), (4, 6)), ((3, 300), (28, 28))] {
                let n = (from.0 * from.1) as usize;
                assert!(resize(method, from, &vec![255; n], to).iter().all(|&v| v == 255), "{method:?} {from:?}");
            }
        }
    }

    #[test]
    fn luma_weighs_the_colours() {
        for (channels, pixel, luma) in [
            (Channels::Rgb, [255, 0, 0], 76),
            (Channels::Bgr, [255, 0, 0], 29),
            (Channels::Rgb, [0, 255, 0], 150),
            (Channels::Bgr, [255, 255, 255], 255),
        ] {
            let picture = Picture::new(1, 1, channels, &pixel).unwrap();
            assert_eq!(picture.value(0, 0, Channels::Gray, 0), luma, "{channels:?} {pixel:?}");
        }
    }

    #[test]
    fn pictures_of_the_wrong_length_are_refused() {
        for (width, height, n) in [(2, 2, 3), (2, 2, 5), (0, 0, 0), (70_000, 1, 70_000)] {
            assert!(Picture::new(width, height, Channels::Gray, &vec![0; n]).is_none(), "{width} x {height}");
        }
    }
}
