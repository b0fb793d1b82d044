//! The colours of plots. `page.css` names each as a fill or stroke and gives it the page's colour, so that one drawing
//! serves light, dark and printed pages.

use plotters::style::RGBColor;

/// Axes and their numbers.
pub(super) const INK: RGBColor = RGBColor(0x10, 0x14, 0x18);
/// Lines of a grid.
pub(super) const GRID: RGBColor = RGBColor(0xD5, 0xDA, 0xE1);
/// Bars of a histogram.
pub(super) const BAR: RGBColor = RGBColor(0x2F, 0x6F, 0xB5);
/// What int8 can express.
pub(super) const ZONE: RGBColor = RGBColor(0xDD, 0xEB, 0xFA);
/// Where int8 ends.
pub(super) const LIMIT: RGBColor = RGBColor(0xB5, 0x48, 0x2F);
/// Memory of a step alone.
pub(super) const SCRATCH: RGBColor = RGBColor(0xC4, 0xCA, 0xD2);
/// Model inputs.
pub(super) const INPUT: RGBColor = RGBColor(0xF2, 0xC1, 0x6B);
/// Results of steps, in turn.
pub(super) const TENSORS: [RGBColor; 4] =
    [RGBColor(0x8F, 0xBF, 0xE8), RGBColor(0x9B, 0xD3, 0xA8), RGBColor(0xD3, 0xB0, 0xE3), RGBColor(0xA9, 0xD6, 0xD9)];
