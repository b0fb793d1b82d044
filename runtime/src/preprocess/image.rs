//! Pictures: channels, size and normalisation.

/// Colour channels of a model's input.
#[derive(Clone, Copy, Debug, PartialEq, Eq)]
#[repr(u8)]
pub enum Channels {
    /// One channel of luma.
    Gray = 0,
    /// Red, green, blue.
    Rgb = 1,
    /// Blue, green, red.
    Bgr = 2,
}

impl Channels {
    /// The channels with this code.
    pub fn from_code(code: u8) -> Option<Self> {
        [Channels::Gray, Channels::Rgb, Channels::Bgr].into_iter().find(|c| *c as u8 == code)
    }

    /// Number of values per pixel.
    pub fn count(self) -> usize {
        if self == Channels::Gray { 1 } else { 3 }
    }
}

/// How a picture is brought to the input's size.
#[derive(Clone, Copy, Debug, PartialEq, Eq)]
#[repr(u8)]
pub enum Resize {
    /// The nearest pixel.
    Nearest = 0,
    /// Linear interpolation of four pixels.
    Bilinear = 1,
    /// Mean of the covered area.
    Area = 2,
}

impl Resize {
    /// The method with this code.
    pub fn from_code(code: u8) -> Option<Self> {
        [Resize::Nearest, Resize::Bilinear, Resize::Area].into_iter().find(|r| *r as u8 == code)
    }
}

/// How a picture becomes an input: value = (pixel * scale - mean) / std.
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
    /// Factor for pixels in 0..=255.
    pub scale: f32,
    /// Subtracted per channel, in the model's channel order.
    pub mean: [f32; 3],
    /// Divisor per channel, in the model's channel order.
    pub std: [f32; 3],
}
