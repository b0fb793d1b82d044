//! From real numbers to steps and back, and from steps to other steps.

use crate::fixed_point::Requantizer;
use crate::kernels::Operand;
use crate::tensor::nearest;
use core::cell::Cell;

/// An integer that a quantized tensor consists of.
pub trait Step: Copy {
    /// Its smallest and largest value.
    const ENDS: (i32, i32);

    /// The step nearest to `value` in [`Step::ENDS`].
    fn saturate(value: i64) -> Self;

    /// The step as a number.
    fn number(self) -> i32;
}

impl Step for i8 {
    const ENDS: (i32, i32) = (-128, 127);

    #[inline(always)]
    fn saturate(value: i64) -> Self {
        value.clamp(-128, 127) as i8
    }

    #[inline(always)]
    fn number(self) -> i32 {
        i32::from(self)
    }
}

impl Step for i16 {
    const ENDS: (i32, i32) = (-32768, 32767);

    #[inline(always)]
    fn saturate(value: i64) -> Self {
        value.clamp(-32768, 32767) as i16
    }

    #[inline(always)]
    fn number(self) -> i32 {
        i32::from(self)
    }
}

/// Steps of real numbers.
///
/// # Shapes
/// `input` and `output` have the same length.
///
/// # Algorithm
/// `saturate(round(x / scale) + zero_point)` as ONNX QuantizeLinear has it: one IEEE division in binary32, ties to even.
/// NaN becomes the zero point.
pub fn quantize<T: Step>(scale: f32, zero_point: i32, input: &[f32], output: &mut [T]) -> Option<()> {
    for (target, &x) in output.iter_mut().zip(input) {
        *target = T::saturate(i64::from(nearest(x, scale, zero_point)));
    }
    Some(())
}

/// Real numbers of steps.
///
/// # Shapes
/// As [`quantize`].
///
/// # Algorithm
/// `scale * (q - zero_point)`: the difference is exact, the product is one IEEE operation.
pub fn dequantize<T: Step>(scale: f32, zero_point: i32, input: &[T], output: &mut [f32]) -> Option<()> {
    for (target, &q) in output.iter_mut().zip(input) {
        *target = scale * q.number().saturating_sub(zero_point) as f32;
    }
    Some(())
}

/// Arithmetic of [`requantize`].
#[derive(Clone, Copy, Debug, PartialEq, Eq)]
pub struct Rescale {
    /// The integer that stands for 0 in the input.
    pub input_zero_point: i32,
    /// The input's scale over the output's.
    pub requantizer: Requantizer,
    /// The integer that stands for 0 in the output.
    pub output_zero_point: i32,
}

impl Rescale {
    /// `saturate(output_zero_point + requantize(q - input_zero_point))`
    #[inline(always)]
    pub fn step<I: Step, O: Step>(&self, q: I) -> O {
        let steps = self.requantizer.requantize_wide(q.number().wrapping_sub(self.input_zero_point));
        O::saturate(steps.wrapping_add(i64::from(self.output_zero_point)))
    }
}

/// Steps of another size or type.
///
/// # Shapes
/// As [`quantize`].
pub fn requantize<I: Step, O: Step>(rescale: &Rescale, input: &[I], output: &mut [O]) -> Option<()> {
    for (target, &q) in output.iter_mut().zip(input) {
        *target = rescale.step(q);
    }
    Some(())
}

/// [`requantize`] of int16 to int16, which may run in place.
///
/// # Shapes
/// The output lies in `region` from `output_offset` on.
pub fn requantize_i16(
    rescale: &Rescale,
    region: &mut [i16],
    input: Operand<'_, i16>,
    output_offset: usize,
) -> Option<()> {
    let cells = Cell::from_mut(region).as_slice_of_cells();
    match input {
        Operand::Region { offset, len } => {
            let output = cells.get(output_offset..)?.get(..len)?;
            for (target, q) in output.iter().zip(cells.get(offset..)?.get(..len)?) {
                target.set(rescale.step(q.get()));
            }
        }
        Operand::Constant(slice) => {
            for (target, &q) in cells.get(output_offset..)?.get(..slice.len())?.iter().zip(slice) {
                target.set(rescale.step(q));
            }
        }
    }
    Some(())
}

#[cfg(test)]
mod tests {
    use super::*;

    #[test]
    fn reals_become_the_nearest_steps() {
        let cases = [
            (0.0, 3),
            (0.25, 3),
            (0.75, 5),
            (-0.25, 3),
            (-0.75, 1),
            (0.2500001, 4),
            (61.9, 127),
            (1e30, 127),
            (-1e30, -128),
            (f32::INFINITY, 127),
            (f32::NEG_INFINITY, -128),
            (f32::NAN, 3),
        ];
        for (x, expected) in cases {
            let mut steps = [0i8];
            quantize(0.5, 3, &[x], &mut steps).unwrap();
            assert_eq!(steps[0], expected, "{x}");
        }
        let mut steps = [0i16; 3];
        quantize(0.5, 0, &[20_000.0, -1e9, 8191.25], &mut steps).unwrap();
        assert_eq!(steps, [32767, -32768, 16382]);
    }

    #[test]
    fn every_step_comes_back() {
        for (scale, zero_point) in [(0.1, 0), (1.0, -128), (3e-5, 127), (1e20, 5)] {
            let all: [i8; 256] = core::array::from_fn(|i| i as u8 as i8);
            let (mut reals, mut back) = ([0.0; 256], [0; 256]);
            dequantize(scale, zero_point, &all, &mut reals).unwrap();
            quantize(scale, zero_point, &reals, &mut back).unwrap();
            assert_eq!(all, back, "{scale} {zero_point}");
        }
        for q in i16::MIN..=i16::MAX {
            let (mut real, mut back) = ([0.0], [0i16]);
            dequantize(0.013, 0, &[q], &mut real).unwrap();
            quantize(0.013, 0, &real, &mut back).unwrap();
            assert_eq!(q, back[0]);
        }
    }

    #[test]
    fn steps_of_other_sizes() {
        let fine =
            Rescale { input_zero_point: -3, requantizer: Requantizer::from_real(200.0).unwrap(), output_zero_point: 0 };
        let mut wide = [0i16; 4];
        requantize(&fine, &[-128i8, -3, 0, 127], &mut wide).unwrap();
        assert_eq!(wide, [-25_000, 0, 600, 26_000]);
        let coarse = Rescale {
            input_zero_point: 0,
            requantizer: Requantizer::from_real(1.0 / 200.0).unwrap(),
            output_zero_point: -3,
        };
        let mut back = [0i8; 4];
        requantize(&coarse, &wide, &mut back).unwrap();
        assert_eq!(back, [-128, -3, 0, 127]);
        let half = Rescale { requantizer: Requantizer::from_real(0.5).unwrap(), ..coarse };
        let mut region = [1, 32767, -3, 0];
        requantize_i16(&half, &mut region, Operand::Region { offset: 0, len: 3 }, 0).unwrap();
        assert_eq!(region, [-2, 16381, -4, 0]);
        requantize_i16(&half, &mut region, Operand::Constant(&[100]), 3).unwrap();
        assert_eq!(region[3], 47);
        assert!(requantize_i16(&half, &mut region, Operand::Constant(&[1, 2]), 3).is_none());
    }
}
