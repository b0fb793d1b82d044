//! The rows that a strip of an image is.

use std::fmt;

/// Neighbouring rows of an image [1, H, W, C]; how many is in the shape of the tensor that holds them.
///
/// # Examples
/// As text it is the first row and the number of rows of the whole: `12/24`.
#[derive(Clone, Copy, Debug, PartialEq, Eq)]
pub struct StripRows {
    /// The first row.
    pub start: usize,
    /// Rows of the whole image.
    pub of: usize,
}

impl StripRows {
    /// Reads the text form; `None` for anything else.
    pub fn parse(text: &str) -> Option<Self> {
        let (start, of) = text.split_once('/')?;
        let (start, of) = (start.parse().ok()?, of.parse().ok()?);
        (start < of).then_some(StripRows { start, of })
    }

    /// `n` elements of the whole image's values, from the first row on; `None` when they are not there.
    pub fn select<'a, T>(&self, values: &'a [T], n: usize) -> Option<&'a [T]> {
        let row = values.len().checked_div(self.of)?;
        values.get(self.start.checked_mul(row)?..)?.get(..n)
    }
}

impl fmt::Display for StripRows {
    fn fmt(&self, f: &mut fmt::Formatter<'_>) -> fmt::Result {
        write!(f, "{}/{}", self.start, self.of)
    }
}

#[cfg(test)]
mod tests {
    use super::*;

    #[test]
    fn text_and_back() {
        let rows = StripRows { start: 12, of: 24 };
        assert_eq!(StripRows::parse(&rows.to_string()), Some(rows));
        for wrong in ["", "3", "/", "3/", "24/24", "-1/3", "1/x"] {
            assert_eq!(StripRows::parse(wrong), None, "{wrong}");
        }
    }

    #[test]
    fn elements_of_whole_rows() {
        let values: Vec<usize> = (0..12).collect();
        assert_eq!(StripRows { start: 2, of: 4 }.select(&values, 3), Some(&values[6..9]));
        assert_eq!(StripRows { start: 3, of: 4 }.select(&values, 6), None);
        assert_eq!(StripRows { start: 0, of: 0 }.select(&values, 1), None);
    }
}
