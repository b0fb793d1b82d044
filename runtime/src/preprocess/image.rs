//! Pictures: channels, size and normalisation.
//!
//! All steps up to the normalisation are integer arithmetic, so that host and board see the same pixels.

use super::frame::Frame;
use super::otsu::Levels;
use super::picture::Picture;
use crate::tensor::Quantization;

/// Colour channels of a model's input.
#[derive(Clone, Copy, Debug, PartialEq, Eq)]
#[repr(u8)]
pub enum Channels {
    /// One channel of luma with the weights of ITU-R BT.709, as the `image` crate has it.
    Gray = 0,
    /// Red, green, blue.
    Rgb = 1,
    /// Blue, green, red.
    Bgr = 2,
    /// One channel of luma with the weights of ITU-R BT.601, as Pillow, OpenCV and TensorFlow have it.
    Gray601 = 3,
}

impl Channels {
    /// The channels with this code.
    pub fn from_code(code: u8) -> Option<Self> {
        [Channels::Gray, Channels::Rgb, Channels::Bgr, Channels::Gray601].into_iter().find(|c| *c as u8 == code)
    }

    /// Number of values per pixel.
    pub fn count(self) -> usize {
        if matches!(self, Channels::Gray | Channels::Gray601) { 1 } else { 3 }
    }
}

/// How a picture is brought to the input's size.
#[derive(Clone, Copy, Debug, PartialEq, Eq)]
#[repr(u8)]
pub enum Resize {
    /// The nearest pixel.
    Nearest = 0,
    /// Linear interpolation of four pixels, as OpenCV and TensorFlow do it.
    Bilinear = 1,
    /// Mean of the covered area.
    Area = 2,
    /// Bilinear when enlarging; when shrinking over all pixels that the input's covers, as Pillow, torchvision and the
    /// `image` crate do it.
    Triangle = 3,
}

impl Resize {
    /// The method with this code.
    pub fn from_code(code: u8) -> Option<Self> {
        [Resize::Nearest, Resize::Bilinear, Resize::Area, Resize::Triangle].into_iter().find(|r| *r as u8 == code)
    }
}

/// What happens to a picture of other proportions than the input.
#[derive(Clone, Copy, Debug, PartialEq, Eq)]
pub enum Fit {
    /// It is stretched.
    Stretch,
    /// Its largest centred part with the input's proportions is taken.
    Crop,
    /// It is centred in the input; pixels around it have this value.
    Pad(u8),
}

/// Whether pixels become black or white after resampling.
#[derive(Clone, Copy, Debug, PartialEq, Eq)]
pub enum Binarise {
    /// They stay as they are.
    Never,
    /// Those above this value become 255, others 0.
    Above(u8),
    /// As [`Binarise::Above`] of the value that separates the picture's two kinds of pixels best, see [`Levels`].
    Otsu,
}

/// How a picture becomes an input: value = (pixel * scale - mean) / std, of pixels that are fitted, resampled and
/// binarised in this order.
#[derive(Clone, Copy, Debug, PartialEq)]
pub struct ImagePreprocess {
    /// Pixels per row of the input.
    pub width: u16,
    /// Rows of the input.
    pub height: u16,
    /// Channels of the input.
    pub channels: Channels,
    /// Resampling.
    pub resize: Resize,
    /// Proportions.
    pub fit: Fit,
    /// Black and white.
    pub binarise: Binarise,
    /// Factor for pixels in 0..=255.
    pub scale: f32,
    /// Subtracted per channel, in the model's channel order.
    pub mean: [f32; 3],
    /// Divisor per channel, in the model's channel order.
    pub std: [f32; 3],
}

/// Order of an input's values.
#[derive(Clone, Copy, Debug, PartialEq, Eq)]
pub enum PixelOrder {
    /// `[height, width, channels]`
    Interleaved,
    /// `[channels, height, width]`
    Planar,
}

impl ImagePreprocess {
    /// Number of values of the input.
    pub fn n_values(&self) -> usize {
        usize::from(self.width) * usize::from(self.height) * self.channels.count()
    }

    /// The value of a pixel's channel as the model takes it: (pixel * scale - mean) / std.
    pub fn normalise(&self, pixel: u8, channel: usize) -> f32 {
        let mean = self.mean.get(channel).copied().unwrap_or(0.0);
        let std = self.std.get(channel).copied().unwrap_or(1.0);
        (f32::from(pixel) * self.scale - mean) / std
    }

    /// Fills a float32 input; `None` when `input` does not have [`ImagePreprocess::n_values`] elements.
    pub fn fill_f32(&self, picture: &Picture<'_>, order: PixelOrder, input: &mut [f32]) -> Option<()> {
        self.fill(picture, order, input, |pixel, channel| self.normalise(pixel, channel))
    }

    /// Fills an int8 input of this quantization; `None` as in [`ImagePreprocess::fill_f32`].
    pub fn fill_i8(
        &self,
        picture: &Picture<'_>,
        order: PixelOrder,
        quantization: Quantization,
        input: &mut [i8],
    ) -> Option<()> {
        self.fill(picture, order, input, |pixel, channel| quantization.quantize_i8(self.normalise(pixel, channel)))
    }

    fn fill<T>(
        &self,
        picture: &Picture<'_>,
        order: PixelOrder,
        input: &mut [T],
        value: impl Fn(u8, usize) -> T,
    ) -> Option<()> {
        if input.len() != self.n_values() || input.is_empty() {
            return None;
        }
        // Not empty, so no side is 0; the compiler cannot know.
        let (width, n_channels) = (usize::from(self.width).max(1), self.channels.count());
        let plane = (width * usize::from(self.height)).max(1);
        let frame = Frame::new(self, picture);
        let threshold = match self.binarise {
            Binarise::Never => None,
            Binarise::Above(threshold) => Some(threshold),
            Binarise::Otsu => Some(self.otsu(picture, &frame)),
        };
        for (i, slot) in input.iter_mut().enumerate() {
            let (pixel, channel) = match order {
                PixelOrder::Interleaved => (i / n_channels, i % n_channels),
                PixelOrder::Planar => (i % plane, i / plane),
            };
            let (x, y) = ((pixel % width) as u32, (pixel / width) as u32);
            let pixel = self.resized(picture, &frame, x, y, channel).unwrap_or(self.surround());
            let pixel = threshold.map_or(pixel, |t| if pixel > t { 255 } else { 0 });
            *slot = value(pixel, channel);
        }
        Some(())
    }

    /// The value of pixels that the picture does not cover.
    fn surround(&self) -> u8 {
        if let Fit::Pad(value) = self.fit { value } else { 0 }
    }

    /// The threshold of the resampled picture; what surrounds it does not count.
    fn otsu(&self, picture: &Picture<'_>, frame: &Frame) -> u8 {
        let mut levels = Levels::default();
        for y in 0..u32::from(self.height) {
            for x in 0..u32::from(self.width) {
                for channel in 0..self.channels.count() {
                    self.resized(picture, frame, x, y, channel).into_iter().for_each(|pixel| levels.add(pixel));
                }
            }
        }
        levels.threshold()
    }
}

#[cfg(test)]
mod tests {
    use super::super::PixelFormat;
    use super::*;
    use std::vec;

    fn preprocess(width: u16, height: u16, channels: Channels) -> ImagePreprocess {
        ImagePreprocess {
            width,
            height,
            channels,
            resize: Resize::Nearest,
            fit: Fit::Stretch,
            binarise: Binarise::Never,
            scale: 1.0 / 255.0,
            mean: [0.0, 0.5, 1.0],
            std: [1.0, 0.5, 2.0],
        }
    }

    #[test]
    fn values_are_scaled_shifted_and_divided_per_channel() {
        let p = preprocess(1, 1, Channels::Rgb);
        assert_eq!([p.normalise(255, 0), p.normalise(0, 1), p.normalise(255, 2)], [1.0, -1.0, 0.0]);
    }

    #[test]
    fn orders_differ_only_in_where_values_go() {
        let pixels = [10, 20, 30, 40, 50, 60];
        let picture = Picture::new(2, 1, PixelFormat::Rgb, &pixels).unwrap();
        let check = |channels, order, expected: &[u8]| {
            let p = ImagePreprocess { scale: 1.0, mean: [0.0; 3], std: [1.0; 3], ..preprocess(2, 1, channels) };
            let mut input = vec![0.0; p.n_values()];
            p.fill_f32(&picture, order, &mut input).unwrap();
            let expected: std::vec::Vec<f32> = expected.iter().map(|&v| f32::from(v)).collect();
            assert_eq!(input, expected, "{channels:?} {order:?}");
        };
        check(Channels::Rgb, PixelOrder::Interleaved, &pixels);
        check(Channels::Rgb, PixelOrder::Planar, &[10, 40, 20, 50, 30, 60]);
        check(Channels::Bgr, PixelOrder::Interleaved, &[30, 20, 10, 60, 50, 40]);
        check(Channels::Gray, PixelOrder::Planar, &[19, 49]);
        check(Channels::Gray601, PixelOrder::Planar, &[18, 48]);
    }

    #[test]
    fn int8_inputs_are_the_quantized_float_ones() {
        let pixels = [0, 51, 255];
        let picture = Picture::new(3, 1, PixelFormat::Gray, &pixels).unwrap();
        let p = ImagePreprocess { mean: [0.0; 3], std: [1.0; 3], ..preprocess(3, 1, Channels::Gray) };
        let mut input = [0; 3];
        let quantization = Quantization { scale: 1.0 / 255.0, zero_point: -128 };
        p.fill_i8(&picture, PixelOrder::Interleaved, quantization, &mut input).unwrap();
        assert_eq!(input, [-128, -77, 127]);
    }

    #[test]
    fn black_and_white_is_decided_before_normalisation() {
        let pixels = [0, 100, 101, 255];
        let picture = Picture::new(4, 1, PixelFormat::Gray, &pixels).unwrap();
        let check = |binarise, expected: [f32; 6]| {
            let p =
                ImagePreprocess { binarise, fit: Fit::Pad(200), mean: [0.0; 3], ..preprocess(6, 1, Channels::Gray) };
            let mut input = [9.0; 6];
            p.fill_f32(&picture, PixelOrder::Interleaved, &mut input).unwrap();
            assert_eq!(input, expected, "{binarise:?}");
        };
        check(Binarise::Never, [200, 0, 100, 101, 255, 200].map(|v: u8| f32::from(v) * (1.0 / 255.0)));
        check(Binarise::Above(100), [1.0, 0.0, 0.0, 1.0, 1.0, 1.0]);
        check(Binarise::Otsu, [1.0, 0.0, 0.0, 0.0, 1.0, 1.0]);
    }

    #[test]
    fn input_of_another_size_is_refused() {
        let picture = Picture::new(1, 1, PixelFormat::Gray, &[0]).unwrap();
        assert_eq!(preprocess(2, 2, Channels::Gray).fill_f32(&picture, PixelOrder::Planar, &mut [0.0; 3]), None);
    }
}
