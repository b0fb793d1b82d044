//! Words that do not belong into a finished file.

use std::path::Path;

use super::Finding;

/// Unfinished work, and places that exist on one machine only.
pub fn check(file: &Path, text: &str, findings: &mut Vec<Finding>) {
    // This file and its tests have to spell the words out.
    if file.starts_with("tools/xtask/src/tidy") {
        return;
    }
    for (n, line) in text.lines().enumerate() {
        for word in UNFINISHED {
            if has_word(line, word) {
                findings.push(Finding::new(file, n + 1, format!("{word}: do it, or say what does not work")));
            }
        }
        for place in PLACES {
            if line.contains(place) {
                findings.push(Finding::new(file, n + 1, format!("{place}: a place that users do not have")));
            }
        }
        if line.contains(DATA) && !DATA_READERS.iter().any(|folder| file.starts_with(folder)) {
            findings.push(Finding::new(file, n + 1, format!("{DATA} outside of {}", DATA_READERS.join(" and "))));
        }
    }
}

fn has_word(line: &str, word: &str) -> bool {
    line.match_indices(word).any(|(at, _)| {
        let before = line[..at].chars().next_back();
        let after = line[at + word.len()..].chars().next();
        !before.is_some_and(char::is_alphanumeric) && !after.is_some_and(char::is_alphanumeric)
    })
}

const UNFINISHED: [&str; 4] = ["TODO", "FIXME", "XXX", "HACK"];
const PLACES: [&str; 3] = ["/root/", "/home/", "/Users/"];

/// Data that a checkout may have beside it; only what skips politely without it may look there.
const DATA: &str = "../shared";
const DATA_READERS: [&str; 2] = ["tests", "tools/xtask"];
