//! The channels that a tensor has kept of those that its ONNX tensor has.

use std::fmt;

/// Some channels, indices on the last axis, of a tensor that had more.
///
/// # Examples
/// As text it is the number of channels that there were, and those that are left, as ranges: `8:0-2,5`.
#[derive(Clone, Debug, PartialEq, Eq)]
pub struct KeptChannels {
    /// How many there were.
    pub of: usize,
    /// Those that are left, ascending.
    pub channels: Vec<usize>,
}

impl KeptChannels {
    /// Reads the text form; `None` for anything else.
    pub fn parse(text: &str) -> Option<Self> {
        let (of, ranges) = text.split_once(':')?;
        let of = of.parse().ok()?;
        let mut channels = Vec::new();
        for range in ranges.split(',').filter(|r| !r.is_empty()) {
            let (first, last) = range.split_once('-').unwrap_or((range, range));
            let (first, last): (usize, usize) = (first.parse().ok()?, last.parse().ok()?);
            if last >= of || channels.last().is_some_and(|&c| first <= c) {
                return None;
            }
            channels.extend(first..=last);
        }
        Some(KeptChannels { of, channels })
    }

    /// The kept elements of a tensor's values, row-major, channels last; `None` when they are no whole rows.
    pub fn select<T: Copy>(&self, values: &[T]) -> Option<Vec<T>> {
        if values.len().checked_rem(self.of) != Some(0) {
            return None;
        }
        let row = |row: &[T]| -> Vec<T> { self.channels.iter().map(|&c| row[c]).collect() };
        Some(values.chunks_exact(self.of).flat_map(row).collect())
    }
}

impl fmt::Display for KeptChannels {
    fn fmt(&self, f: &mut fmt::Formatter<'_>) -> fmt::Result {
        write!(f, "{}:", self.of)?;
        let ranges = self.channels.chunk_by(|a, b| a + 1 == *b);
        for (i, range) in ranges.enumerate() {
            let comma = if i == 0 { "" } else { "," };
            match range {
                [one] => write!(f, "{comma}{one}")?,
                [first, .., last] => write!(f, "{comma}{first}-{last}")?,
                [] => {}
            }
        }
        Ok(())
    }
}

#[cfg(test)]
mod tests {
    use super::*;

    #[test]
    fn text_and_back() {
        for (of, channels, text) in [
            (8, vec![0, 1, 2, 5], "8:0-2,5"),
            (4, vec![3], "4:3"),
            (2, vec![], "2:"),
            (6, vec![0, 2, 4, 5], "6:0,2,4-5"),
        ] {
            let kept = KeptChannels { of, channels };
            assert_eq!(kept.to_string(), text);
            assert_eq!(KeptChannels::parse(text), Some(kept));
        }
        for wrong in ["", "8", "8:x", "8:8", "8:3-1,2,2", "8:2,1", "-1:0"] {
            assert_eq!(KeptChannels::parse(wrong).filter(|k| !k.channels.is_empty()), None, "{wrong}");
        }
    }

    #[test]
    fn selects_of_every_row() {
        let kept = KeptChannels { of: 3, channels: vec![0, 2] };
        assert_eq!(kept.select(&[1, 2, 3, 4, 5, 6]), Some(vec![1, 3, 4, 6]));
        assert_eq!(kept.select(&[1, 2, 3, 4]), None);
    }
}
