//! Changes of the element type.

/// A number that becomes a `T`: float32 towards zero, what is out of range to the nearest limit, NaN to 0; integers
/// keep their low bits.
pub trait CastTo<T> {
    /// The number as a `T`.
    fn cast(self) -> T;
}

macro_rules! casts {
    ($($from:ty => $($to:ty),+;)*) => {$($(
        impl CastTo<$to> for $from {
            #[inline(always)]
            fn cast(self) -> $to {
                self as $to
            }
        }
    )+)*};
}

casts! {
    f32 => f32, i8, u8, i32, i64;
    i8 => f32, i8, u8, i32, i64;
    u8 => f32, i8, u8, i32, i64;
    i32 => f32, i8, u8, i32, i64;
    i64 => f32, i8, u8, i32, i64;
}

/// Changes the type of every element.
///
/// # Shapes
/// Input and output have the same length.
pub fn cast<I: Copy + CastTo<O>, O>(input: &[I], output: &mut [O]) -> Option<()> {
    convert(input, output, I::cast)
}

/// 1 for every number that is not 0, NaN included.
///
/// # Shapes
/// Input and output have the same length.
pub fn cast_to_bool<I: Copy + Default + PartialEq>(input: &[I], output: &mut [u8]) -> Option<()> {
    convert(input, output, |x| u8::from(x != I::default()))
}

/// The number 1 for every byte that is not 0.
///
/// # Shapes
/// Input and output have the same length.
pub fn cast_from_bool<O>(input: &[u8], output: &mut [O]) -> Option<()>
where
    u8: CastTo<O>,
{
    convert(input, output, |x| x.min(1).cast())
}

fn convert<I: Copy, O>(input: &[I], output: &mut [O], function: impl Fn(I) -> O) -> Option<()> {
    if input.len() != output.len() {
        return None;
    }
    for (target, x) in output.iter_mut().zip(input) {
        *target = function(*x);
    }
    Some(())
}

#[cfg(test)]
mod tests {
    use super::*;

    #[test]
    fn numbers_become_others() {
        let floats = [1.9, -1.9, 300.0, -300.0, f32::NAN, 0.0, -0.0];
        let mut bytes = [0i8; 7];
        cast(&floats, &mut bytes).unwrap();
        assert_eq!(bytes, [1, -1, 127, -128, 0, 0, 0]);
        let mut truths = [7; 7];
        cast_to_bool(&floats, &mut truths).unwrap();
        assert_eq!(truths, [1, 1, 1, 1, 1, 0, 0]);
        let mut low = [0u8; 3];
        cast(&[257i64, -1, 5], &mut low).unwrap();
        assert_eq!(low, [1, 255, 5]);
        let mut float = [0f32; 3];
        cast_from_bool(&[1, 0, 9], &mut float).unwrap();
        assert_eq!(float, [1.0, 0.0, 1.0]);
        assert_eq!(cast(&[1i32], &mut float), None);
    }
}
