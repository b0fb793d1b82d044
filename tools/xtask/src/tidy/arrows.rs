//! Who may import whom.

use std::path::Path;

use super::Finding;
use super::source::Code;

/// A folder, the crate that lives in it, and the crates of this project that it may name.
struct Crate {
    folder: &'static str,
    name: &'static str,
    may_name: &'static [&'static str],
}

/// `cli -> {compiler, flasher, build}`, `compiler -> {runtime, build}`, `flasher -> {runtime, protocol, build}`,
/// `build -> runtime`, `boards -> chips -> app -> {runtime, protocol}`. The longest folder that fits a file counts; the folder
/// `tests` may name everything.
const CRATES: [Crate; 11] = [
    Crate { folder: "runtime", name: "tinfer", may_name: &[] },
    Crate { folder: "firmware/protocol", name: "tinfer_protocol", may_name: &[] },
    Crate { folder: "firmware/app", name: "tinfer_app", may_name: &["tinfer", "tinfer_protocol"] },
    Crate { folder: "firmware/chips/cortex-m", name: "tinfer_cortex_m", may_name: BELOW_CHIPS },
    Crate { folder: "firmware/chips", name: "tinfer_mps2", may_name: CHIPS },
    Crate { folder: "firmware", name: "", may_name: BOARDS },
    Crate { folder: "tools/build", name: "tinfer_build", may_name: &["tinfer"] },
    Crate { folder: "tools/compiler", name: "tinfer_compiler", may_name: &["tinfer", "tinfer_build"] },
    Crate { folder: "tools/flasher", name: "tinfer_flash", may_name: &["tinfer", "tinfer_protocol", "tinfer_build"] },
    Crate {
        folder: "tools/cli",
        name: "tinfer_cli",
        may_name: &["tinfer", "tinfer_compiler", "tinfer_flash", "tinfer_build"],
    },
    Crate { folder: "tools/xtask", name: "xtask", may_name: &["tinfer", "tinfer_build"] },
];

const BELOW_CHIPS: &[&str] = &["tinfer", "tinfer_protocol", "tinfer_app"];
const CHIPS: &[&str] = &["tinfer", "tinfer_protocol", "tinfer_app", "tinfer_cortex_m"];
const BOARDS: &[&str] = &["tinfer", "tinfer_protocol", "tinfer_app", "tinfer_cortex_m", "tinfer_mps2", "tinfer_build"];

/// Inside the runtime: `session -> operators -> {kernels, image} -> {preprocess, tensor, fixed_point, isa}`.
/// `error` writes the sentences of all layers and needs the constants of `image` for them.
/// What is not listed may name everything, and only `session` and `lib.rs` should be so.
const RUNTIME: [(&str, &[&str]); 9] = [
    ("error", &["isa", "tensor", "fixed_point", "image"]),
    ("isa", FOUNDATION),
    ("tensor", FOUNDATION),
    ("fixed_point", FOUNDATION),
    ("preprocess", &["error", "isa", "tensor", "fixed_point", "preprocess"]),
    ("security", &["error", "isa", "tensor", "fixed_point", "security", "image"]),
    ("kernels", &["error", "isa", "tensor", "fixed_point", "preprocess", "kernels"]),
    ("image", &["error", "isa", "tensor", "fixed_point", "preprocess", "image"]),
    ("operators", &["error", "isa", "tensor", "fixed_point", "preprocess", "kernels", "image", "operators"]),
];

const FOUNDATION: &[&str] = &["error", "isa", "tensor", "fixed_point"];

/// Modules of the runtime that an arrow is about; macros and re-exports of `lib.rs` are not.
const RUNTIME_MODULES: [&str; 10] =
    ["error", "isa", "tensor", "fixed_point", "preprocess", "security", "kernels", "image", "operators", "session"];

/// Wrong arrows of one Rust file.
pub fn check(file: &Path, code: &Code, findings: &mut Vec<Finding>) {
    if let Some(this) = crate_of(file) {
        check_crates(this, file, code, findings);
    }
    if let Some(module) = runtime_module(file) {
        check_modules(module, file, code, findings);
    }
}

/// Wrong arrows of one `Cargo.toml`: the same table, at the root of the matter.
pub fn check_manifest(file: &Path, text: &str, findings: &mut Vec<Finding>) {
    let Some(this) = crate_of(file) else { return };
    let Ok(manifest) = text.parse::<toml::Table>() else { return };
    for kind in ["dependencies", "build-dependencies"] {
        let Some(dependencies) = manifest.get(kind).and_then(|table| table.as_table()) else { continue };
        for name in dependencies.keys().map(|name| name.replace('-', "_")) {
            if let Some(problem) = wrong_crate(this, &name) {
                let line = text.lines().position(|line| line.replace('-', "_").starts_with(&name));
                findings.push(Finding::new(file, line.map_or(1, |line| line + 1), problem));
            }
        }
    }
}

fn check_crates(this: &Crate, file: &Path, code: &Code, findings: &mut Vec<Finding>) {
    if is_test_file(file) {
        return;
    }
    for word in code.words().filter(|word| word.heads_path() && !word.in_tests) {
        if let Some(problem) = wrong_crate(this, word.text) {
            findings.push(Finding::new(file, word.line, problem));
        }
    }
}

fn wrong_crate(this: &Crate, name: &str) -> Option<String> {
    let known = CRATES.iter().any(|other| other.name == name);
    if !known || name == this.name || this.may_name.contains(&name) {
        return None;
    }
    let allowed =
        if this.may_name.is_empty() { "nothing of this project".to_owned() } else { this.may_name.join(", ") };
    Some(format!("wrong arrow: {} names {name}, but may name {allowed}", this.folder))
}

fn check_modules(module: &str, file: &Path, code: &Code, findings: &mut Vec<Finding>) {
    let Some((_, allowed)) = RUNTIME.iter().find(|(name, _)| *name == module) else { return };
    if is_test_file(file) {
        return;
    }
    for word in code.words().filter(|word| word.text == "crate" && !word.in_tests) {
        for other in word.continuations() {
            if RUNTIME_MODULES.contains(&other) && other != module && !allowed.contains(&other) {
                let text = format!(
                    "wrong arrow: runtime::{module} names runtime::{other}, but may name {}",
                    allowed.join(", ")
                );
                findings.push(Finding::new(file, word.line, text));
            }
        }
    }
}

fn crate_of(file: &Path) -> Option<&'static Crate> {
    CRATES.iter().filter(|this| file.starts_with(this.folder)).max_by_key(|this| this.folder.len())
}

/// `kernels` for `runtime/src/kernels/mve/add.rs` and for `runtime/src/kernels.rs`.
fn runtime_module(file: &Path) -> Option<&str> {
    let first = file.strip_prefix("runtime/src").ok()?.iter().next()?.to_str()?;
    Some(first.strip_suffix(".rs").unwrap_or(first))
}

/// Tests look across layers; what ships does not.
pub fn is_test_file(file: &Path) -> bool {
    file.file_stem().is_some_and(|stem| stem == "tests") || file.iter().any(|part| part == "tests" || part == "benches")
}
