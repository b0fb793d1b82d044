//! From what a sensor gives to what a model takes; the same code in calibration and on the device.

pub mod image;

pub use image::{Channels, ImagePreprocess, Resize};
