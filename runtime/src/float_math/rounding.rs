//! Rounding to integers. Whatever is at least 2^23 is one already; signs survive, those of zeros too.

const FIRST_WITHOUT_FRACTION: f32 = 8_388_608.0;

/// The nearest integer, ties to even.
#[inline]
pub fn round(x: f32) -> f32 {
    let magnitude = x.abs();
    if magnitude < FIRST_WITHOUT_FRACTION {
        ((magnitude + FIRST_WITHOUT_FRACTION) - FIRST_WITHOUT_FRACTION).copysign(x)
    } else {
        x
    }
}

/// The largest integer that is not above `x`.
#[inline]
pub fn floor(x: f32) -> f32 {
    if x.abs() < FIRST_WITHOUT_FRACTION {
        let truncated = (x as i32) as f32;
        (if truncated > x { truncated - 1.0 } else { truncated }).copysign(x)
    } else {
        x
    }
}

/// The smallest integer that is not below `x`.
#[inline]
pub fn ceil(x: f32) -> f32 {
    -floor(-x)
}

#[cfg(test)]
mod tests {
    extern crate std;
    use super::*;

    #[test]
    fn they_are_those_of_the_standard_library() {
        type Case = (&'static str, fn(f32) -> f32, fn(f32) -> f32);
        let cases: [Case; 3] =
            [("round", round, f32::round_ties_even), ("floor", floor, f32::floor), ("ceil", ceil, f32::ceil)];
        let halves = (0..4000).map(|i| i as f32 * 0.25);
        let all = (0..=f32::INFINITY.to_bits()).step_by(1009).map(f32::from_bits);
        for x in halves.chain(all).chain([8_388_607.5, 4_194_303.5, 4_194_304.5]).flat_map(|x| [x, -x]) {
            for (name, function, exact) in cases {
                assert_eq!(function(x).to_bits(), exact(x).to_bits(), "{name} {x}");
            }
        }
        assert!([round, floor, ceil].iter().all(|f| f(f32::NAN).is_nan()));
    }
}
