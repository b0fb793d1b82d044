//! Which elements of an axis a resized one reads, with which weights.
//!
//! The compiler makes tables of it when a model's scales are known; otherwise the board does, with the same numbers. All
//! of it is binary64, as in the reference implementation of ONNX: additions, multiplications and divisions in this order.

/// Where an output position lies in the input.
#[derive(Clone, Copy, Debug, PartialEq, Eq)]
#[repr(u8)]
pub enum CoordinateMode {
    /// `(x + 0.5) / scale - 0.5`
    HalfPixel = 0,
    /// The same, about the middle of the output when its length is rounded.
    HalfPixelSymmetric = 1,
    /// The same, `-0.5` for an output of one element.
    PytorchHalfPixel = 2,
    /// Corners lie on corners.
    AlignCorners = 3,
    /// `x / scale`
    Asymmetric = 4,
    /// Corners lie on those of a region of the input; what is beyond the input has one value.
    CropAndResize = 5,
    /// `(x + 0.5) / scale`, for the nearest element.
    TfHalfPixelForNearest = 6,
}

/// How a position between elements gets its value.
#[derive(Clone, Copy, Debug, PartialEq)]
pub enum Interpolation {
    /// One element.
    Nearest(NearestMode),
    /// Two elements.
    Linear,
    /// Four elements, by the cubic kernel with this coefficient.
    Cubic {
        /// Keys' `a`.
        coefficient: f32,
    },
}

/// Which of two elements is the nearest.
#[derive(Clone, Copy, Debug, PartialEq, Eq)]
#[repr(u8)]
pub enum NearestMode {
    /// The nearer one, the lower one in the middle.
    RoundPreferFloor = 0,
    /// The nearer one, the upper one in the middle.
    RoundPreferCeil = 1,
    /// The lower one.
    Floor = 2,
    /// The upper one.
    Ceil = 3,
}

/// What elements beyond an edge count.
#[derive(Clone, Copy, Debug, PartialEq, Eq)]
#[repr(u8)]
pub enum Outside {
    /// They are the element at the edge.
    Edge = 0,
    /// They have no weight, and the other weights add up to 1.
    Excluded = 1,
}

/// How wide the kernel of a reduced axis is.
#[derive(Clone, Copy, Debug, PartialEq, Eq)]
#[repr(u8)]
pub enum Reduction {
    /// As wide as that of an enlarged one: elements are left out.
    Plain = 0,
    /// So wide that it covers all elements that one stands for.
    Antialiased = 1,
}

impl CoordinateMode {
    /// The mode with this code.
    pub fn from_code(code: u8) -> Option<Self> {
        let all = [
            Self::HalfPixel,
            Self::HalfPixelSymmetric,
            Self::PytorchHalfPixel,
            Self::AlignCorners,
            Self::Asymmetric,
            Self::CropAndResize,
            Self::TfHalfPixelForNearest,
        ];
        all.into_iter().find(|m| *m as u8 == code)
    }
}

impl NearestMode {
    /// The mode with this code.
    pub fn from_code(code: u8) -> Option<Self> {
        [Self::RoundPreferFloor, Self::RoundPreferCeil, Self::Floor, Self::Ceil].into_iter().find(|m| *m as u8 == code)
    }
}

/// One axis that is resized.
///
/// # Algorithm
/// ONNX Resize (opset 19), its reference implementation: `n` neighbours of the position, those beyond an edge being the
/// element at the edge; with [`Reduction::Antialiased`] the kernel of a reduced axis is stretched by `1 / scale`.
#[derive(Clone, Copy, Debug, PartialEq)]
pub struct ResizeAxis {
    /// Elements of the input.
    pub input: u32,
    /// Elements of the output.
    pub output: u32,
    /// Output over input, as the model says; not always the quotient of the lengths.
    pub scale: f64,
    /// First and last position of [`CoordinateMode::CropAndResize`], in parts of the input.
    pub region: [f64; 2],
    /// Where an output position lies in the input.
    pub coordinates: CoordinateMode,
    /// How a position between elements gets its value.
    pub interpolation: Interpolation,
    /// What elements beyond an edge count.
    pub outside: Outside,
    /// How wide the kernel of a reduced axis is.
    pub reduction: Reduction,
}

impl ResizeAxis {
    /// Elements that every output position reads; at most [`ResizeAxis::MAX_TAPS`], 0 for scales that are no number.
    pub fn n_taps(&self) -> u32 {
        let support = match self.interpolation {
            Interpolation::Nearest(_) => return 1,
            Interpolation::Linear => 1.0,
            Interpolation::Cubic { .. } => 2.0,
        };
        let first = floor(-support / self.kernel_scale()) + 1.0;
        let n = 2.0 - 2.0 * first;
        if n <= f64::from(Self::MAX_TAPS) { n as u32 } else { 0 }
    }

    /// Most taps: antialiasing of an axis that becomes more than 256 times shorter is not computed.
    pub const MAX_TAPS: u32 = 1024;

    /// The taps of output position `at`, lowest first: `tap(element, weight)`. None at all where the position is beyond
    /// the input in [`CoordinateMode::CropAndResize`].
    pub fn for_each_tap(&self, at: u32, mut tap: impl FnMut(u32, f64)) {
        let position = self.position(f64::from(at));
        let last = f64::from(self.input) - 1.0;
        let beyond = position < 0.0 || position > last;
        if self.coordinates == CoordinateMode::CropAndResize && beyond {
            return;
        }
        let below = floor(position);
        let element = |x: f64| {
            if x < 0.0 {
                0
            } else if x > last {
                last as u32
            } else {
                x as u32
            }
        };
        if let Interpolation::Nearest(mode) = self.interpolation {
            return tap(element(nearest(mode, below, position - below)), 1.0);
        }
        // A position on an element is one behind the element before.
        let (base, ratio) = if below == position { (position - 1.0, 1.0) } else { (below, position - below) };
        let n = self.n_taps();
        let first = 1.0 - f64::from(n) * 0.5;
        let outside = |i: f64| self.outside == Outside::Excluded && (base + i < 0.0 || base + i > last);
        let weight = |i: f64| if outside(i) { 0.0 } else { self.kernel((i - ratio) * self.kernel_scale()) };
        let mut sum = 0.0;
        for i in 0..n {
            sum += weight(first + f64::from(i));
        }
        // Plain linear and cubic weights add up to 1 but for their rounding.
        let divisor = if (self.reduction == Reduction::Antialiased || self.outside == Outside::Excluded) && sum != 0.0 {
            sum
        } else {
            1.0
        };
        for i in 0..n {
            let i = first + f64::from(i);
            tap(element(base + i), weight(i) / divisor);
        }
    }

    /// Writes the taps of every output position as [`super::Taps`] has them, with float32 weights and room for `n` taps.
    ///
    /// `None` when there are more taps, or `table` has not `output` positions.
    pub fn fill(&self, n: usize, table: &mut [i32]) -> Option<()> {
        let n_taps = self.n_taps() as usize;
        if n_taps == 0 || n_taps > n || table.len() != n.checked_mul(2)?.checked_mul(self.output as usize)? {
            return None;
        }
        table.fill(0);
        for (at, position) in (0u32..).zip(table.chunks_exact_mut(n.wrapping_mul(2).max(1))) {
            let (elements, weights) = position.split_at_mut_checked(n)?;
            let mut slots = elements.iter_mut().zip(weights);
            let mut found = false;
            self.for_each_tap(at, |element, weight| {
                found = true;
                if let Some((e, w)) = slots.next() {
                    (*e, *w) = (element as i32, (weight as f32).to_bits() as i32);
                }
            });
            if !found {
                *position.first_mut()? = -1;
            }
        }
        Some(())
    }

    /// Where output position `x` lies in the input.
    fn position(&self, x: f64) -> f64 {
        let (n, scale) = (f64::from(self.input), self.scale);
        let length = scale * n;
        let half_pixel = (x + 0.5) / scale - 0.5;
        match self.coordinates {
            CoordinateMode::HalfPixel => half_pixel,
            CoordinateMode::HalfPixelSymmetric => {
                let adjustment = f64::from(self.output) / length;
                n / 2.0 * (1.0 - adjustment) + (x + 0.5) / scale - 0.5
            }
            CoordinateMode::PytorchHalfPixel if length == 1.0 => -0.5,
            CoordinateMode::PytorchHalfPixel => half_pixel,
            CoordinateMode::AlignCorners if length == 1.0 => 0.0,
            CoordinateMode::AlignCorners => x * (n - 1.0) / (length - 1.0),
            CoordinateMode::Asymmetric => x / scale,
            CoordinateMode::TfHalfPixelForNearest => (x + 0.5) / scale,
            CoordinateMode::CropAndResize => {
                let [start, end] = self.region;
                let inside = if length == 1.0 {
                    (end - start) * (n - 1.0) / 2.0
                } else {
                    x * (end - start) * (n - 1.0) / (length - 1.0)
                };
                inside + start * (n - 1.0)
            }
        }
    }

    /// What distances are multiplied by before the kernel.
    fn kernel_scale(&self) -> f64 {
        if self.reduction == Reduction::Antialiased && self.scale < 1.0 { self.scale } else { 1.0 }
    }

    /// The weight of an element at this distance.
    fn kernel(&self, distance: f64) -> f64 {
        let x = if distance < 0.0 { -distance } else { distance };
        match self.interpolation {
            Interpolation::Nearest(_) => 1.0,
            Interpolation::Linear => {
                if x < 1.0 {
                    1.0 - x
                } else {
                    0.0
                }
            }
            Interpolation::Cubic { coefficient } => {
                let a = f64::from(coefficient);
                if x <= 1.0 {
                    ((a + 2.0) * x - (a + 3.0)) * x * x + 1.0
                } else if x < 2.0 {
                    ((a * x - 5.0 * a) * x + 8.0 * a) * x - 4.0 * a
                } else {
                    0.0
                }
            }
        }
    }
}

fn nearest(mode: NearestMode, below: f64, ratio: f64) -> f64 {
    let above = match mode {
        NearestMode::RoundPreferFloor => ratio > 0.5,
        NearestMode::RoundPreferCeil => ratio >= 0.5,
        NearestMode::Floor => false,
        NearestMode::Ceil => ratio > 0.0,
    };
    if above { below + 1.0 } else { below }
}

/// The largest integer not above `x`, for what fits 64 bits. Core has no `floor`.
fn floor(x: f64) -> f64 {
    let truncated = x as i64 as f64;
    if truncated > x { truncated - 1.0 } else { truncated }
}

#[cfg(test)]
mod tests {
    use super::*;
    use std::vec::Vec;

    fn taps(axis: &ResizeAxis, at: u32) -> Vec<(u32, f64)> {
        let mut taps = Vec::new();
        axis.for_each_tap(at, |element, weight| taps.push((element, weight)));
        taps
    }

    const UP: ResizeAxis = ResizeAxis {
        input: 2,
        output: 4,
        scale: 2.0,
        region: [0.0, 1.0],
        coordinates: CoordinateMode::HalfPixel,
        interpolation: Interpolation::Linear,
        outside: Outside::Edge,
        reduction: Reduction::Plain,
    };

    #[test]
    fn positions_are_those_of_onnx() {
        use CoordinateMode::*;
        let axis = |coordinates, input, output, scale| ResizeAxis { coordinates, input, output, scale, ..UP };
        for (axis, at, expected) in [
            (axis(HalfPixel, 2, 4, 2.0), 3, 1.25),
            (axis(HalfPixelSymmetric, 2, 4, 2.25), 0, -0.5 + 0.5 / 2.25 + 1.0 - 4.0 / 4.5),
            (axis(PytorchHalfPixel, 4, 1, 0.25), 0, -0.5),
            (axis(AlignCorners, 2, 4, 2.0), 3, 1.0),
            (axis(AlignCorners, 4, 1, 0.25), 0, 0.0),
            (axis(Asymmetric, 2, 4, 2.0), 3, 1.5),
            (axis(TfHalfPixelForNearest, 2, 4, 2.0), 3, 1.75),
            (ResizeAxis { region: [0.25, 0.75], ..axis(CropAndResize, 5, 3, 0.6) }, 1, 2.0),
            (ResizeAxis { region: [0.25, 0.75], ..axis(CropAndResize, 5, 1, 0.2) }, 0, 2.0),
        ] {
            assert!((axis.position(f64::from(at)) - expected).abs() < 1e-12, "{axis:?}");
        }
    }

    #[test]
    fn taps_lie_inside_and_weigh_one() {
        assert_eq!(taps(&UP, 0), [(0, 0.25), (0, 0.75)]);
        assert_eq!(taps(&UP, 1), [(0, 0.75), (1, 0.25)]);
        assert_eq!(taps(&ResizeAxis { outside: Outside::Excluded, ..UP }, 0), [(0, 0.0), (0, 1.0)]);
        let beyond = ResizeAxis { coordinates: CoordinateMode::CropAndResize, region: [-1.0, 1.0], ..UP };
        assert_eq!(taps(&beyond, 0), []);
        for interpolation in [Interpolation::Linear, Interpolation::Cubic { coefficient: -0.75 }] {
            for reduction in [Reduction::Plain, Reduction::Antialiased] {
                for (input, output) in [(9, 4), (4, 9), (5, 5), (7, 1)] {
                    let scale = f64::from(output) / f64::from(input);
                    let axis = ResizeAxis { input, output, scale, interpolation, reduction, ..UP };
                    for at in 0..output {
                        let taps = taps(&axis, at);
                        assert_eq!(taps.len(), axis.n_taps() as usize);
                        assert!(taps.iter().all(|(element, _)| *element < input));
                        let sum: f64 = taps.iter().map(|(_, weight)| weight).sum();
                        assert!((sum - 1.0).abs() < 1e-12, "{axis:?} at {at}: {sum}");
                    }
                }
            }
        }
    }

    #[test]
    fn tables_hold_taps_and_what_lies_beyond() {
        let [one, quarter, rest] = [1.0f32, 0.25, 0.75].map(|w| w.to_bits() as i32);
        let mut table = [7; 24];
        UP.fill(3, &mut table).unwrap();
        assert_eq!(table[..12], [0, 0, 0, quarter, rest, 0, 0, 1, 0, rest, quarter, 0]);
        assert_eq!(UP.fill(1, &mut [0; 8]), None);
        assert_eq!(UP.fill(2, &mut [0; 15]), None);
        let region = [-0.5, 1.5];
        let crop = ResizeAxis { coordinates: CoordinateMode::CropAndResize, region, input: 3, scale: 4.0 / 3.0, ..UP };
        let mut table = [7; 16];
        crop.fill(2, &mut table).unwrap();
        assert_eq!(table[..4], [-1, 0, 0, 0]);
        assert_eq!(table[4 + 2..8].iter().map(|w| f32::from_bits(*w as u32)).sum::<f32>(), 1.0);
        let nearest = ResizeAxis { interpolation: Interpolation::Nearest(NearestMode::Floor), ..UP };
        let mut table = [7; 8];
        nearest.fill(1, &mut table).unwrap();
        assert_eq!(table, [0, one, 0, one, 0, one, 1, one]);
    }

    #[test]
    fn ties_go_where_the_mode_says() {
        for (mode, expected) in [
            (NearestMode::RoundPreferFloor, [0, 0, 1, 1]),
            (NearestMode::RoundPreferCeil, [0, 1, 1, 1]),
            (NearestMode::Floor, [0, 0, 1, 1]),
            (NearestMode::Ceil, [0, 1, 1, 1]),
        ] {
            let coordinates = CoordinateMode::Asymmetric;
            let axis = ResizeAxis { coordinates, interpolation: Interpolation::Nearest(mode), ..UP };
            let found: Vec<u32> = (0..4).flat_map(|at| taps(&axis, at)).map(|(element, _)| element).collect();
            assert_eq!(found, expected, "{mode:?}");
        }
    }

    #[test]
    fn scales_that_are_no_number_have_no_taps() {
        for scale in [f64::NAN, 0.0, 1e-9] {
            let axis = ResizeAxis { reduction: Reduction::Antialiased, scale, ..UP };
            assert!(axis.n_taps() == 0 || scale.is_nan(), "{scale}");
        }
    }
}
