//! Which panics the linker kept in a firmware.
//!
//! The runtime never panics; a `core::panicking` function in the linked program says that somewhere the compiler
//! could not prove it. Each board has a list of those it may have, in `tests/budgets.toml`:
//!
//! ```toml
//! [panic_symbols]
//! mps2-an386 = ["core::panicking::panic_fmt"]
//! ```

use std::collections::{BTreeMap, BTreeSet};
use std::path::Path;

use anyhow::{Context, Result, bail};
use object::{Object, ObjectSymbol};
use serde::Deserialize;

use crate::project::Project;

/// Compares the panics in `elf` with the board's list.
///
/// # Errors
/// A panic that is not on the list, by name; or a program without symbols, which would prove nothing.
pub fn check(project: &Project, board: &str, elf: &Path) -> Result<String> {
    let bytes = std::fs::read(elf).with_context(|| format!("cannot read {}", elf.display()))?;
    let found = panics(&bytes).with_context(|| format!("in {}", elf.display()))?;
    let file = project.root().join("tests/budgets.toml");
    let text = std::fs::read_to_string(&file).unwrap_or_default();
    let budgets: Budgets = toml::from_str(&text).with_context(|| format!("in {}", file.display()))?;
    compare(board, &found, budgets.panic_symbols.get(board).map_or(&[], Vec::as_slice))
}

#[derive(Deserialize)]
struct Budgets {
    #[serde(default)]
    panic_symbols: BTreeMap<String, Vec<String>>,
}

fn compare(board: &str, found: &BTreeSet<String>, allowed: &[String]) -> Result<String> {
    let new: Vec<&str> = found.iter().filter(|name| !allowed.contains(name)).map(String::as_str).collect();
    if !new.is_empty() {
        bail!(
            "{board}: {} new panic function(s) in the program: {}; \
             make the code that needs them total, or list them under [panic_symbols] in tests/budgets.toml",
            new.len(),
            new.join(", ")
        );
    }
    let gone: Vec<&str> = allowed.iter().filter(|name| !found.contains(*name)).map(String::as_str).collect();
    let gone = if gone.is_empty() { String::new() } else { format!(" (no longer there: {})", gone.join(", ")) };
    Ok(format!("{board}: {} panic function(s), all known{gone}", found.len()))
}

fn panics(elf: &[u8]) -> Result<BTreeSet<String>> {
    let program = object::File::parse(elf)?;
    let mut n_symbols = 0;
    let mut found = BTreeSet::new();
    for symbol in program.symbols() {
        let Ok(mangled) = symbol.name() else { continue };
        n_symbols += 1;
        let name = format!("{:#}", rustc_demangle::demangle(mangled));
        if is_panic(&name) {
            found.insert(name);
        }
    }
    if n_symbols == 0 {
        bail!("no symbols: the program was stripped");
    }
    Ok(found)
}

/// Functions of `core` that exist only to panic.
fn is_panic(name: &str) -> bool {
    let in_core = name.starts_with("core::");
    in_core && (name.starts_with("core::panicking::") || name.ends_with("_failed") || name.ends_with("_fail"))
}

#[cfg(test)]
mod tests {
    use super::*;

    #[test]
    fn panics_are_told_from_other_functions() {
        let cases = [
            ("core::panicking::panic_bounds_check", true),
            ("core::option::unwrap_failed", true),
            ("core::slice::index::slice_index_fail", true),
            ("core::result::unwrap_failed", true),
            ("core::fmt::write", false),
            ("tinfer::session::load_failed", false),
        ];
        for (name, expected) in cases {
            assert_eq!(is_panic(name), expected, "{name}");
        }
    }

    #[test]
    fn a_new_panic_is_refused_by_name_and_a_known_one_is_not() {
        let found = BTreeSet::from(["core::panicking::panic".to_owned()]);
        let error = compare("m4", &found, &[]).unwrap_err().to_string();
        assert!(error.contains("m4: 1 new") && error.contains("core::panicking::panic"), "{error}");
        let allowed = ["core::panicking::panic".to_owned(), "core::option::unwrap_failed".to_owned()];
        let text = compare("m4", &found, &allowed).unwrap();
        assert!(text.contains("no longer there: core::option::unwrap_failed"), "{text}");
    }

    #[test]
    fn symbols_of_this_program_are_read() {
        let this = std::fs::read(std::env::current_exe().unwrap()).unwrap();
        assert!(panics(&this).unwrap().iter().any(|name| name.starts_with("core::panicking::")));
        assert!(panics(b"not a program").is_err());
    }
}
