//! What a command answers, printed as text or as one JSON object.

use crate::failure::Failure;
use serde::Serialize;
use serde_json::{Value, json};
use std::fmt::Write as _;
use std::io::Write as _;
use std::process::ExitCode;

/// The form of the answer.
#[derive(Clone, Copy, Debug, PartialEq, Eq)]
pub enum Format {
    /// For people.
    Text,
    /// For scripts.
    Json,
}

/// What a command found out.
#[derive(Debug)]
pub struct Answer {
    text: String,
    json: Value,
    /// 0, or 1 when the answer is no.
    exit: u8,
}

impl Answer {
    /// An answer in both forms.
    pub fn new(text: String, json: &impl Serialize) -> Result<Self, Failure> {
        let json = serde_json::to_value(json).map_err(|e| Failure::internal(&e.to_string()))?;
        Ok(Answer { text, json, exit: 0 })
    }

    /// Whether the answer is not no.
    pub fn is_yes(&self) -> bool {
        self.exit == 0
    }

    /// The same, but the answer is no.
    pub fn refuse(mut self) -> Self {
        self.exit = 1;
        self
    }
}

impl Format {
    /// As the flag `--json` says.
    pub fn new(json: bool) -> Self {
        if json { Format::Json } else { Format::Text }
    }

    /// Prints an answer; gives the exit code.
    pub fn succeed(self, answer: &Answer) -> ExitCode {
        match self {
            Format::Text => print(answer.text.trim_end()),
            Format::Json => print(&answer.json.to_string()),
        }
        ExitCode::from(answer.exit)
    }

    /// Prints a failure; gives the exit code.
    pub fn fail(self, failure: &Failure) -> ExitCode {
        match self {
            Format::Text => {
                let _ = writeln!(std::io::stderr(), "{}", failure.text());
            }
            Format::Json => {
                let Failure { code, message, hint, .. } = failure;
                print(&json!({"error": {"code": code, "message": message, "hint": hint}}).to_string());
            }
        }
        ExitCode::from(failure.exit)
    }
}

/// Prints to stdout. Nobody is left to be told when the reader has gone.
pub fn print(text: &str) {
    let _ = writeln!(std::io::stdout(), "{}", text.trim_end());
}

/// Prints to stderr.
pub fn print_error(text: &str) {
    let _ = writeln!(std::io::stderr(), "{}", text.trim_end());
}

/// Rows of text in aligned columns. The first row is the heading; columns of numbers are aligned to the right.
pub fn table(heading: &[&str], rows: &[Vec<String>]) -> String {
    let width = |column: usize| {
        let cells = rows.iter().filter_map(|r| r.get(column)).map(|c| c.chars().count());
        cells.chain([heading[column].chars().count()]).max().unwrap_or(0)
    };
    let is_number = |text: &str| text.is_empty() || text == "-" || text.parse::<f64>().is_ok();
    let columns: Vec<(usize, bool)> = (0..heading.len())
        .map(|c| (width(c), !rows.is_empty() && rows.iter().all(|r| r.get(c).is_none_or(|text| is_number(text)))))
        .collect();
    let mut out = String::new();
    let heading: Vec<String> = heading.iter().map(|h| h.to_string()).collect();
    for row in std::iter::once(&heading).chain(rows) {
        let mut line = String::new();
        for (cell, &(width, right)) in row.iter().zip(&columns) {
            let _ = if right { write!(line, "{cell:>width$}  ") } else { write!(line, "{cell:<width$}  ") };
        }
        let _ = writeln!(out, "{}", line.trim_end());
    }
    out
}

/// A layer's name in a table for people. Names that another tool joined from those of all fused nodes are hundreds of
/// characters long; what tells them apart is at the start, and at the end where a layer runs in strips of rows.
pub fn shortened(name: &str) -> String {
    let n_characters = name.chars().count();
    if n_characters <= NAME_CHARACTERS {
        return name.to_string();
    }
    let head = name.chars().take(NAME_CHARACTERS - NAME_TAIL - 1);
    head.chain(['…']).chain(name.chars().skip(n_characters - NAME_TAIL)).collect()
}

const NAME_CHARACTERS: usize = 48;
const NAME_TAIL: usize = 15;

#[cfg(test)]
mod tests {
    use super::*;

    #[test]
    fn columns_are_aligned() {
        let rows = [vec!["conv".to_string(), "7".to_string()], vec!["a".to_string(), "123".to_string()]];
        assert_eq!(table(&["layer", "MACs"], &rows), "layer  MACs\nconv      7\na       123\n");
        assert_eq!(table(&["layer"], &[]), "layer\n");
    }

    #[test]
    fn long_names_keep_both_ends() {
        for (name, expected) in [
            ("conv1".to_string(), "conv1".to_string()),
            ("é".repeat(48), "é".repeat(48)),
            (
                format!("model/activation/Relu;{}model/conv2d/Conv2D rows 8..12", "model/".repeat(40)),
                "model/activation/Relu;model/mode…nv2D rows 8..12".to_string(),
            ),
        ] {
            assert_eq!(shortened(&name), expected);
        }
    }
}
