//! Which panics the linker kept in a firmware, and who calls them.
//!
//! The runtime never panics: a function of crate `tinfer` that calls one is always refused. (Code of the runtime that the
//! optimizer moved into a board's `main` counts as `main`'s.) What a board's other
//! crates (log, protocol, drivers) may call is listed in `tests/budgets.toml`:
//!
//! ```toml
//! [panic_symbols]
//! mps2-an386 = ["core::panicking::panic_fmt"]
//! ```

mod branches;

pub use branches::branch_offset;

use std::collections::{BTreeMap, BTreeSet};
use std::path::Path;

use anyhow::{Context, Result, bail};
use object::{Object, ObjectSection, ObjectSymbol, SymbolKind};
use serde::Deserialize;

use crate::project::Project;

/// Compares the panics in `elf` with the board's list.
///
/// # Errors
/// A panic that is not on the list, or that the runtime calls, by name; or a program without symbols, which would prove
/// nothing.
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

/// Panic functions by name, each with the names of its callers.
type Panics = BTreeMap<String, BTreeSet<String>>;

fn compare(board: &str, found: &Panics, allowed: &[String]) -> Result<String> {
    let is_new = |name: &String, callers: &BTreeSet<String>| {
        !allowed.contains(name) || callers.iter().any(|caller| is_runtime(caller))
    };
    let new: Vec<String> = found
        .iter()
        .filter(|(name, callers)| is_new(name, callers))
        .map(|(name, callers)| format!("{name}, called by {}", Vec::from_iter(callers.clone()).join(", ")))
        .collect();
    if !new.is_empty() {
        bail!(
            "{board}: {} panic function(s) that should not be there\n  {}\n\
             make the callers total; where the runtime (tinfer::) is not one of them, \
             the function may be listed under [panic_symbols] in tests/budgets.toml",
            new.len(),
            new.join("\n  ")
        );
    }
    let gone: Vec<&str> = allowed.iter().filter(|name| !found.contains_key(*name)).map(String::as_str).collect();
    let gone = if gone.is_empty() { String::new() } else { format!(" (no longer there: {})", gone.join(", ")) };
    Ok(format!("{board}: {} panic function(s), all known, none called by the runtime{gone}", found.len()))
}

/// `tinfer::session::run` and `<tinfer::image::Image as core::fmt::Debug>::fmt`.
fn is_runtime(function: &str) -> bool {
    function.starts_with("tinfer::") || function.starts_with("<tinfer::")
}

fn panics(elf: &[u8]) -> Result<Panics> {
    let program = object::File::parse(elf)?;
    let mut addresses = BTreeMap::new();
    let mut found = Panics::new();
    let functions: Vec<_> = program.symbols().filter(|symbol| symbol.kind() == SymbolKind::Text).collect();
    if functions.is_empty() {
        bail!("no symbols: the program was stripped");
    }
    for function in &functions {
        let name = demangle(function.name()?);
        if is_panic(&name) {
            addresses.insert(without_thumb_bit(function.address()), name.clone());
            found.insert(name, BTreeSet::new());
        }
    }
    for function in &functions {
        let Some(section) = function.section_index() else { continue };
        let start = without_thumb_bit(function.address());
        let section = program.section_by_index(section)?;
        let Ok(Some(code)) = section.data_range(u64::from(start), function.size()) else { continue };
        let caller = demangle(function.name()?);
        for target in branches::targets(code, start) {
            let callee = addresses.get(&target).filter(|callee| **callee != caller);
            if let Some(callers) = callee.and_then(|callee| found.get_mut(callee)) {
                callers.insert(caller.clone());
            }
        }
    }
    Ok(found)
}

fn demangle(name: &str) -> String {
    format!("{:#}", rustc_demangle::demangle(name))
}

/// The lowest bit of a function's address says that it is Thumb code. Addresses of Cortex-M have 32 bits.
fn without_thumb_bit(address: u64) -> u32 {
    (address & 0xffff_fffe) as u32
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
        let found =
            |caller: &str| Panics::from([("core::panicking::panic".to_owned(), BTreeSet::from([caller.to_owned()]))]);
        let error = compare("m4", &found("defmt::write"), &[]).unwrap_err().to_string();
        assert!(error.contains("core::panicking::panic, called by defmt::write"), "{error}");

        let allowed = ["core::panicking::panic".to_owned(), "core::option::unwrap_failed".to_owned()];
        let text = compare("m4", &found("defmt::write"), &allowed).unwrap();
        assert!(text.contains("1 panic function(s)"), "{text}");
        assert!(text.contains("no longer there: core::option::unwrap_failed"), "{text}");

        for runtime in ["tinfer::session::run", "<tinfer::image::Image>::check"] {
            let error = compare("m4", &found(runtime), &allowed).unwrap_err().to_string();
            assert!(error.contains(runtime), "{error}");
        }
    }

    #[test]
    fn symbols_of_this_program_are_read() {
        let this = std::fs::read(std::env::current_exe().unwrap()).unwrap();
        assert!(panics(&this).unwrap().keys().any(|name| name.starts_with("core::panicking::")));
        assert!(panics(b"not a program").is_err());
    }
}
