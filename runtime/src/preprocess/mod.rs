//! From what a sensor gives to what a model takes; the same code in calibration and on the device.
//!
//! ```text
//! Picture (any PixelFormat) -> channels -> Fit and Resize -> Binarise -> (pixel * scale - mean) / std -> input
//! ```
//! Pixels are computed one by one as the input is filled: no buffer for a picture of another size is needed.

mod frame;
pub mod image;
mod otsu;
mod picture;

pub use image::{Binarise, Channels, Fit, ImagePreprocess, PixelOrder, Resize};
pub use otsu::Levels;
pub use picture::{Picture, PixelFormat};
