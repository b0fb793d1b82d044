//! Arrays that look like pictures, as PNG files inside a page.

use crate::array::{Array, ArrayData};
use crate::samples::order_in;
use base64::Engine as _;
use base64::engine::general_purpose::STANDARD;
use image::ExtendedColorType;
use image::ImageEncoder as _;
use image::codecs::png::PngEncoder;
use tinfer::preprocess::{Channels, ImagePreprocess, PixelOrder};

/// Where the pixels of an array are.
#[derive(Clone, Copy, Debug, PartialEq, Eq)]
struct Pixels {
    width: usize,
    height: usize,
    n_channels: usize,
    order: PixelOrder,
}

/// The data URI of an array that looks like a picture: it has preprocessing, or one or three channels of sides that
/// no list of classes and no window of a signal has.
///
/// Without preprocessing it is drawn as light as `like` would be, so that two of the same kind can be compared.
pub(super) fn data_uri(array: &Array, preprocess: Option<&ImagePreprocess>, like: &Array) -> Option<String> {
    let pixels = match preprocess {
        Some(p) => {
            let (width, height, n_channels) = (usize::from(p.width), usize::from(p.height), p.channels.count());
            Pixels { width, height, n_channels, order: order_in(&array.shape, width, height, n_channels)? }
        }
        None => pixels_of(&array.shape)?,
    };
    let bytes = bytes(array, preprocess, like, &pixels);
    // A page needs no more detail than a screen shows; every n-th pixel keeps sharp edges.
    let stride = pixels.width.max(pixels.height).div_ceil(MOST_SIDE);
    let (width, height) = (pixels.width.div_ceil(stride), pixels.height.div_ceil(stride));
    let mut rgb = Vec::with_capacity(width * height * pixels.n_channels);
    for y in (0..pixels.height).step_by(stride) {
        for x in (0..pixels.width).step_by(stride) {
            for channel in 0..pixels.n_channels {
                let channel = match preprocess {
                    Some(p) if p.channels == Channels::Bgr => 2 - channel,
                    _ => channel,
                };
                let at = match pixels.order {
                    PixelOrder::Interleaved => (y * pixels.width + x) * pixels.n_channels + channel,
                    PixelOrder::Planar => (channel * pixels.height + y) * pixels.width + x,
                };
                rgb.push(*bytes.get(at)?);
            }
        }
    }
    let color = if pixels.n_channels == 3 { ExtendedColorType::Rgb8 } else { ExtendedColorType::L8 };
    let mut png = Vec::new();
    PngEncoder::new(&mut png).write_image(&rgb, width as u32, height as u32, color).ok()?;
    Some(format!("data:image/png;base64,{}", STANDARD.encode(png)))
}

/// `[.., H, W]`, `[.., H, W, C]` or `[.., C, H, W]` with all other dimensions 1.
fn pixels_of(shape: &[usize]) -> Option<Pixels> {
    let first = shape.iter().position(|&d| d != 1)?;
    let is_picture = |width: usize, height: usize| width.min(height) >= LEAST_SIDE;
    let found = |height, width, n_channels, order| {
        (is_picture(width, height)).then_some(Pixels { width, height, n_channels, order })
    };
    match shape[first..] {
        [height, width] | [height, width, 1] => found(height, width, 1, PixelOrder::Interleaved),
        [height, width, 3] => found(height, width, 3, PixelOrder::Interleaved),
        [3, height, width] => found(height, width, 3, PixelOrder::Planar),
        _ => None,
    }
}

/// Values as pixels: back through the preprocessing, else 0 to 1 or 0 to 255 as they are, else from the least to the most
/// of `like`.
fn bytes(array: &Array, preprocess: Option<&ImagePreprocess>, like: &Array, pixels: &Pixels) -> Vec<u8> {
    if let (ArrayData::U8(values), None) = (&array.data, preprocess) {
        return values.clone();
    }
    let (values, like) = (array.to_f32(), like.to_f32());
    let finite = || like.iter().copied().filter(|v| v.is_finite());
    let (min, max) = (finite().fold(f32::INFINITY, f32::min), finite().fold(f32::NEG_INFINITY, f32::max));
    let pixel = |i: usize, value: f32| match preprocess {
        Some(p) => {
            let channel = match pixels.order {
                PixelOrder::Interleaved => i % pixels.n_channels,
                PixelOrder::Planar => i / (pixels.width * pixels.height),
            };
            (value * p.std[channel] + p.mean[channel]) / p.scale
        }
        None if min >= 0.0 && max <= 1.0 => value * 255.0,
        None if min >= 0.0 && max <= 255.0 && max > 128.0 => value,
        None => (value - min) / (max - min).max(f32::MIN_POSITIVE) * 255.0,
    };
    // The cast saturates, and makes 0 of NaN.
    values.iter().enumerate().map(|(i, &v)| pixel(i, v).round() as u8).collect()
}

/// Shorter sides are rows of features.
const LEAST_SIDE: usize = 8;
/// Longer sides are thinned out.
const MOST_SIDE: usize = 160;

#[cfg(test)]
mod tests {
    use super::*;
    use tinfer::preprocess::{Binarise, Fit, PixelFormat, Resize};

    #[test]
    fn pictures_are_told_by_their_shape() {
        let check = |shape: &[usize], expected: Option<(usize, usize, usize)>| {
            assert_eq!(pixels_of(shape).map(|p| (p.width, p.height, p.n_channels)), expected, "{shape:?}");
        };
        check(&[1, 28, 20, 1], Some((20, 28, 1)));
        check(&[1, 1, 28, 20], Some((20, 28, 1)));
        check(&[1, 3, 28, 20], Some((20, 28, 3)));
        check(&[28, 20, 3], Some((20, 28, 3)));
        check(&[1, 10], None);
        check(&[1, 128, 6], None);
        check(&[1, 28, 28, 16], None);
        check(&[1, 1], None);
    }

    fn decoded(uri: &str) -> image::RgbImage {
        let png = STANDARD.decode(uri.strip_prefix("data:image/png;base64,").unwrap()).unwrap();
        image::load_from_memory(&png).unwrap().into_rgb8()
    }

    #[test]
    fn preprocessing_is_undone() {
        let preprocess = ImagePreprocess {
            width: 2,
            height: 1,
            channels: Channels::Bgr,
            resize: Resize::Nearest,
            fit: Fit::Stretch,
            binarise: Binarise::Never,
            scale: 1.0 / 255.0,
            mean: [0.5, 0.0, 0.0],
            std: [0.5, 1.0, 2.0],
        };
        let mut values = [0.0; 6];
        let rgb = [10, 20, 30, 200, 100, 0];
        let picture = tinfer::preprocess::Picture::new(2, 1, PixelFormat::Rgb, &rgb).unwrap();
        for (order, shape) in [(PixelOrder::Interleaved, vec![1, 1, 2, 3]), (PixelOrder::Planar, vec![1, 3, 1, 2])] {
            preprocess.fill_f32(&picture, order, &mut values).unwrap();
            let array = Array::f32(shape, values.to_vec());
            let uri = data_uri(&array, Some(&preprocess), &array).unwrap();
            assert_eq!(decoded(&uri).into_raw(), rgb, "{order:?}");
        }
    }

    #[test]
    fn large_pictures_are_thinned_and_odd_values_are_drawn() {
        let values = (0..400 * 320).map(|i| if i == 0 { f32::NAN } else { i as f32 - 50.0 }).collect();
        let array = Array::f32(vec![400, 320], values);
        let picture = decoded(&data_uri(&array, None, &array).unwrap());
        assert_eq!((picture.width(), picture.height()), (107, 134));
        let scores = Array::f32(vec![1, 10], vec![0.0; 10]);
        assert_eq!(data_uri(&scores, None, &scores), None);
    }

    #[test]
    fn pictures_of_one_kind_have_the_same_shades() {
        let array = |shade: f32| Array::f32(vec![8, 8], (0..64).map(|i| if i == 0 { -2.0 } else { shade }).collect());
        let last = |shade: f32| {
            let uri = data_uri(&array(shade), None, &array(2.0)).unwrap();
            decoded(&uri).get_pixel(7, 7).0[0]
        };
        // From -2, black, to 2, white; lighter is not drawn.
        assert_eq!([last(2.0), last(1.0), last(3.0)], [255, 191, 255]);
    }
}
