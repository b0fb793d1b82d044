//! Pictures as samples: decoded here, resized and normalised by the code that also runs on the device.

use super::SampleError;
use crate::array::{Array, ArrayData};
use crate::import::Interface;
use std::path::Path;
use tinfer::preprocess::{ImagePreprocess, Picture, PixelFormat, PixelOrder};
use tinfer::tensor::ElementType;

/// Endings of the files that are taken for pictures, in lower case.
pub(super) const ENDINGS: [&str; 3] = ["png", "jpg", "jpeg"];

/// How pictures become one model input; its shape and the preprocessing agree.
#[derive(Clone, Debug)]
pub(super) struct PictureReader {
    input: Interface,
    preprocess: ImagePreprocess,
    order: PixelOrder,
}

impl PictureReader {
    pub fn new(input: &Interface, preprocess: &ImagePreprocess) -> Result<Self, SampleError> {
        let (width, height) = (usize::from(preprocess.width), usize::from(preprocess.height));
        let channels = preprocess.channels.count();
        let order = order_in(&input.shape, width, height, channels).ok_or_else(|| SampleError::PreprocessShape {
            input: input.name.clone(),
            width: preprocess.width,
            height: preprocess.height,
            channels,
            shape: input.shape.clone(),
        })?;
        Ok(PictureReader { input: input.clone(), preprocess: *preprocess, order })
    }

    /// Decodes a file and makes the input of it.
    pub fn read(&self, path: &Path) -> Result<Array, SampleError> {
        let place = || path.display().to_string();
        let file = |e: std::io::Error| SampleError::File { path: place(), reason: e.to_string() };
        let refused = |reason: String| SampleError::Picture { path: place(), reason };
        // The content decides, not the name. The decoder's own limits keep a small file from taking all memory.
        let reader = image::ImageReader::open(path).map_err(file)?.with_guessed_format().map_err(file)?;
        let decoded = reader.decode().map_err(|e| refused(e.to_string()))?;
        let (width, height) = (decoded.width(), decoded.height());
        let (format, pixels) = match decoded.color().has_color() {
            true => (PixelFormat::Rgb, decoded.into_rgb8().into_raw()),
            false => (PixelFormat::Gray, decoded.into_luma8().into_raw()),
        };
        let picture = Picture::new(width, height, format, &pixels)
            .ok_or_else(|| refused(format!("{width} x {height} pixels, sides may have up to 65535")))?;
        let mut values = vec![0.0; self.preprocess.n_values()];
        // The lengths agree by construction.
        let _ = self.preprocess.fill_f32(&picture, self.order, &mut values);
        let array = Array::new(self.input.shape.clone(), ArrayData::F32(values));
        let wanted = self.input.element_type.unwrap_or(ElementType::F32);
        array.convert(wanted).ok_or_else(|| SampleError::Type {
            path: place(),
            array: self.input.name.clone(),
            found: "float32 after preprocessing",
            expected: wanted.name(),
        })
    }
}

/// Whether a shape is `[.., H, W, C]`, `[.., C, H, W]`, or `[.., H, W]` and `[.., H W]` for one channel.
pub(crate) fn order_in(shape: &[usize], width: usize, height: usize, channels: usize) -> Option<PixelOrder> {
    let n_elements: usize = shape.iter().product();
    if n_elements != width * height * channels {
        return None;
    }
    // With as many elements, all dimensions before such an end are 1.
    let one_channel = channels == 1 && (shape.ends_with(&[height, width]) || shape.ends_with(&[height * width]));
    if one_channel || shape.ends_with(&[height, width, channels]) {
        Some(PixelOrder::Interleaved)
    } else {
        shape.ends_with(&[channels, height, width]).then_some(PixelOrder::Planar)
    }
}
