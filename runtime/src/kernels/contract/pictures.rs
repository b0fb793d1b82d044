//! Pictures that every machine must bring to the same input, bit by bit.

use super::{Digest, Random, Tally};
use crate::preprocess::{Binarise, Channels, Fit, ImagePreprocess, Picture, PixelFormat, PixelOrder, Resize};
use crate::tensor::Quantization;

/// Pictures of every format, from one pixel to [`LONGEST`] on a side, as inputs of every kind; what they become, as a
/// digest.
///
/// `None` when a picture is refused: none of them should be.
pub fn pictures(n_cases: u32, seed: u64) -> Option<Tally> {
    let mut random = Random::new(seed);
    let mut digest = Digest::default();
    let (mut pixels, mut reals, mut steps) = ([0i8; BYTES], [0f32; VALUES], [0i8; VALUES]);
    for _ in 0..n_cases {
        let format = pick(&mut random, &FORMATS)?;
        let (halves, height) = (random.range(1, LONGEST / 2), random.range(1, LONGEST));
        let width = match format {
            PixelFormat::Yuyv | PixelFormat::Uyvy => halves * 2,
            _ => random.range(1, LONGEST),
        };
        let bytes = pixels.get_mut(..width as usize * height as usize * format.bytes_per_pixel())?;
        random.fill_bytes(bytes);
        let picture = Picture::new(width, height, format, bytemuck::cast_slice(bytes))?;
        let preprocess = preprocess(&mut random)?;
        let order = pick(&mut random, &[PixelOrder::Interleaved, PixelOrder::Planar])?;
        let (reals, steps) = (reals.get_mut(..preprocess.n_values())?, steps.get_mut(..preprocess.n_values())?);
        preprocess.fill_f32(&picture, order, reals)?;
        reals.iter().for_each(|x| digest.add(x.to_bits()));
        let quantization = Quantization { scale: 1.0 / 64.0, zero_point: random.zero_point() };
        preprocess.fill_i8(&picture, order, quantization, steps)?;
        steps.iter().for_each(|&x| digest.add(u32::from(x as u8)));
    }
    Some(Tally { kernel: "preprocess", cases: n_cases, digest: digest.value() })
}

fn preprocess(random: &mut Random) -> Option<ImagePreprocess> {
    let value = random.below(256) as u8;
    Some(ImagePreprocess {
        width: random.range(1, LONGEST_INPUT) as u16,
        height: random.range(1, LONGEST_INPUT) as u16,
        channels: pick(random, &[Channels::Gray, Channels::Rgb, Channels::Bgr, Channels::Gray601])?,
        resize: pick(random, &[Resize::Nearest, Resize::Bilinear, Resize::Area, Resize::Triangle])?,
        fit: pick(random, &[Fit::Stretch, Fit::Crop, Fit::Pad(value)])?,
        binarise: pick(random, &[Binarise::Never, Binarise::Never, Binarise::Above(value), Binarise::Otsu])?,
        scale: pick(random, &[1.0, 1.0 / 255.0])?,
        mean: [0.485, 0.456, 0.406],
        std: [0.229, 0.224, 0.225],
    })
}

fn pick<T: Copy>(random: &mut Random, choices: &[T]) -> Option<T> {
    choices.get(random.below(choices.len() as u32) as usize).copied()
}

const FORMATS: [PixelFormat; 7] = [
    PixelFormat::Gray,
    PixelFormat::Rgb,
    PixelFormat::Bgr,
    PixelFormat::Rgb565,
    PixelFormat::Rgb565Be,
    PixelFormat::Yuyv,
    PixelFormat::Uyvy,
];

/// Pixels on a side of a picture: a whole number of pairs.
const LONGEST: u32 = 20;
/// Pixels on a side of an input.
const LONGEST_INPUT: u32 = 12;
const BYTES: usize = (LONGEST * LONGEST * 3) as usize;
const VALUES: usize = (LONGEST_INPUT * LONGEST_INPUT * 3) as usize;

#[cfg(test)]
mod tests {
    use super::*;

    #[test]
    fn no_picture_is_refused_and_seeds_matter() {
        let a = pictures(300, 1).unwrap();
        assert_eq!((a.kernel, a.cases), ("preprocess", 300));
        assert_eq!(pictures(300, 1), Some(a));
        assert_ne!(pictures(300, 2).unwrap().digest, a.digest);
        assert_ne!(pictures(301, 1).unwrap().digest, a.digest);
    }
}
