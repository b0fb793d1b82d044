//! From what a sensor gives to what a model takes; the same code in calibration and on the device.

pub mod image;
mod picture;

pub use image::{Channels, ImagePreprocess, PixelOrder, Resize};
pub use picture::Picture;
