//! Pictures in memory, in the form that a decoder or a camera gives.

use super::image::Channels;

/// What the bytes of a picture are.
#[derive(Clone, Copy, Debug, PartialEq, Eq)]
pub enum PixelFormat {
    /// One byte of luma per pixel.
    Gray,
    /// Red, green, blue: three bytes.
    Rgb,
    /// Blue, green, red: three bytes.
    Bgr,
    /// Five bits of red from the top, six of green, five of blue: a little-endian word.
    Rgb565,
    /// The same with the high byte first, as cameras on a parallel port send it.
    Rgb565Be,
    /// Y0 U Y1 V for two pixels side by side (YUV 4:2:2, ITU-R BT.601, Y 16 to 235).
    Yuyv,
    /// U Y0 V Y1 for two pixels side by side.
    Uyvy,
}

impl PixelFormat {
    /// Bytes of a pixel on average.
    pub fn bytes_per_pixel(self) -> usize {
        match self {
            PixelFormat::Gray => 1,
            PixelFormat::Rgb | PixelFormat::Bgr => 3,
            PixelFormat::Rgb565 | PixelFormat::Rgb565Be | PixelFormat::Yuyv | PixelFormat::Uyvy => 2,
        }
    }
}

/// A picture: rows from the top, pixels from the left.
#[derive(Clone, Copy, Debug)]
pub struct Picture<'p> {
    width: u32,
    height: u32,
    format: PixelFormat,
    pixels: &'p [u8],
}

impl<'p> Picture<'p> {
    /// A picture of exactly this many pixels; `None` when there are fewer bytes, more, or none, when a side is longer
    /// than 65,535 pixels, or when pixels that share their colour do not come in pairs.
    pub fn new(width: u32, height: u32, format: PixelFormat, pixels: &'p [u8]) -> Option<Self> {
        let expected = u64::from(width) * u64::from(height) * format.bytes_per_pixel() as u64;
        let in_pairs = matches!(format, PixelFormat::Yuyv | PixelFormat::Uyvy);
        let fits = width.max(height) <= u32::from(u16::MAX)
            && expected > 0
            && expected == pixels.len() as u64
            && (!in_pairs || width.is_multiple_of(2));
        fits.then_some(Picture { width, height, format, pixels })
    }

    /// Pixels per row.
    pub fn width(&self) -> u32 {
        self.width
    }

    /// Rows.
    pub fn height(&self) -> u32 {
        self.height
    }

    /// One value of a pixel: channel `channel` of `wanted`, whatever the picture's own format is.
    ///
    /// # Algorithm
    /// Luma is `(2126 R + 7152 G + 722 B + 5000) / 10000` (ITU-R BT.709, as the `image` crate does), or
    /// `(19595 R + 38470 G + 7471 B + 32768) >> 16` (ITU-R BT.601, rounded as Pillow does). Colours of 16 bits are
    /// widened by repeating their upper bits.
    pub(super) fn value(&self, x: u32, y: u32, wanted: Channels, channel: usize) -> u8 {
        if self.format == PixelFormat::Gray {
            return self.byte(y as usize * self.width as usize + x as usize);
        }
        let [red, green, blue] = self.rgb(x, y);
        let weighed = |r: u32, g: u32, b: u32| r * u32::from(red) + g * u32::from(green) + b * u32::from(blue);
        match (wanted, channel) {
            (Channels::Gray, _) => ((weighed(2126, 7152, 722) + 5000) / 10_000) as u8,
            (Channels::Gray601, _) => ((weighed(19595, 38470, 7471) + 32768) >> 16) as u8,
            (_, 1) => green,
            (Channels::Rgb, 0) | (Channels::Bgr, 2) => red,
            (Channels::Rgb | Channels::Bgr, _) => blue,
        }
    }

    /// Red, green and blue of a pixel of a coloured picture.
    fn rgb(&self, x: u32, y: u32) -> [u8; 3] {
        let pixel = y as usize * self.width as usize + x as usize;
        let at = |start: usize, offsets: [usize; 3]| offsets.map(|offset| self.byte(start + offset));
        // Two pixels share four bytes.
        let (pair, second) = (pixel / 2 * 4, pixel % 2 * 2);
        match self.format {
            PixelFormat::Gray => [self.byte(pixel); 3],
            PixelFormat::Rgb => at(pixel * 3, [0, 1, 2]),
            PixelFormat::Bgr => at(pixel * 3, [2, 1, 0]),
            PixelFormat::Rgb565 => rgb_of_565(u16::from_le_bytes([self.byte(pixel * 2), self.byte(pixel * 2 + 1)])),
            PixelFormat::Rgb565Be => rgb_of_565(u16::from_be_bytes([self.byte(pixel * 2), self.byte(pixel * 2 + 1)])),
            PixelFormat::Yuyv => rgb_of_yuv(at(pair, [second, 1, 3])),
            PixelFormat::Uyvy => rgb_of_yuv(at(pair, [second + 1, 0, 2])),
        }
    }

    fn byte(&self, at: usize) -> u8 {
        self.pixels.get(at).copied().unwrap_or(0)
    }
}

fn rgb_of_565(word: u16) -> [u8; 3] {
    let (red, green, blue) = (word >> 11, word >> 5 & 63, word & 31);
    [(red << 3 | red >> 2) as u8, (green << 2 | green >> 4) as u8, (blue << 3 | blue >> 2) as u8]
}

/// # Algorithm
/// Integer form of ITU-R BT.601 with factors in 1/256: `298 (Y - 16)` plus `409 V'`, minus `100 U' + 208 V'`, plus `516 U'`,
/// with `U' = U - 128`, `V' = V - 128`; rounded half up, limited to a byte.
fn rgb_of_yuv([y, u, v]: [u8; 3]) -> [u8; 3] {
    let (y, u, v) = (298 * (i32::from(y) - 16), i32::from(u) - 128, i32::from(v) - 128);
    [y + 409 * v, y - 100 * u - 208 * v, y + 516 * u].map(|c| ((c + 128) >> 8).clamp(0, 255) as u8)
}

#[cfg(test)]
mod tests {
    use super::*;
    use std::vec;

    fn rgb(format: PixelFormat, width: u32, pixels: &[u8], x: u32) -> [u8; 3] {
        let picture = Picture::new(width, 1, format, pixels).unwrap();
        [0, 1, 2].map(|channel| picture.value(x, 0, Channels::Rgb, channel))
    }

    #[test]
    fn every_format_has_the_same_colours() {
        let check = |format, width, pixels: &[u8], x, expected: [u8; 3]| {
            assert_eq!(rgb(format, width, pixels, x), expected, "{format:?} {pixels:?}");
            let picture = Picture::new(width, 1, format, pixels).unwrap();
            let [r, g, b] = expected;
            assert_eq!([0, 1, 2].map(|c| picture.value(x, 0, Channels::Bgr, c)), [b, g, r], "{format:?}");
        };
        check(PixelFormat::Gray, 2, &[9, 70], 1, [70; 3]);
        check(PixelFormat::Rgb, 1, &[1, 2, 3], 0, [1, 2, 3]);
        check(PixelFormat::Bgr, 1, &[1, 2, 3], 0, [3, 2, 1]);
        check(PixelFormat::Rgb565, 1, &[0x1f, 0xf8], 0, [255, 0, 255]);
        check(PixelFormat::Rgb565, 1, &[0x00, 0x04], 0, [0, 130, 0]);
        check(PixelFormat::Rgb565Be, 2, &[0, 0, 0x84, 0x10], 1, [132, 130, 132]);
        // Black, white, and the red of ITU-R BT.601 colour bars at full amplitude.
        check(PixelFormat::Yuyv, 2, &[16, 128, 235, 128], 0, [0; 3]);
        check(PixelFormat::Yuyv, 2, &[16, 128, 235, 128], 1, [255; 3]);
        check(PixelFormat::Uyvy, 2, &[90, 16, 240, 81], 1, [255, 0, 0]);
        check(PixelFormat::Yuyv, 4, &[0, 0, 0, 0, 81, 90, 16, 240], 2, [255, 0, 0]);
    }

    #[test]
    fn luma_weighs_the_colours() {
        for (format, pixel, bt709, bt601) in [
            (PixelFormat::Rgb, [255, 0, 0], 54, 76),
            (PixelFormat::Bgr, [255, 0, 0], 18, 29),
            (PixelFormat::Rgb, [0, 255, 0], 182, 150),
            (PixelFormat::Bgr, [255, 255, 255], 255, 255),
        ] {
            let picture = Picture::new(1, 1, format, &pixel).unwrap();
            let luma = [Channels::Gray, Channels::Gray601].map(|c| picture.value(0, 0, c, 0));
            assert_eq!(luma, [bt709, bt601], "{format:?} {pixel:?}");
        }
    }

    #[test]
    fn pictures_of_the_wrong_length_are_refused() {
        for (width, height, format, n) in [
            (2, 2, PixelFormat::Gray, 3),
            (2, 2, PixelFormat::Gray, 5),
            (0, 0, PixelFormat::Gray, 0),
            (70_000, 1, PixelFormat::Gray, 70_000),
            (2, 1, PixelFormat::Rgb565, 3),
            (3, 2, PixelFormat::Yuyv, 12),
        ] {
            assert!(Picture::new(width, height, format, &vec![0; n]).is_none(), "{width} x {height} {format:?}");
        }
    }
}
