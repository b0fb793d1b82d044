//! `cargo xtask tidy`: the rules of the house that no compiler knows.

mod arrows;
mod source;
#[cfg(test)]
mod tests;
mod words;

use std::fmt;
use std::path::{Path, PathBuf};

use anyhow::{Context, Result, bail};
use walkdir::{DirEntry, WalkDir};

use crate::project::Project;
use source::Code;

/// Checks every file of the checkout and prints what is against the rules.
///
/// # Errors
/// When something is, or a file cannot be read.
pub fn run(project: &Project) -> Result<()> {
    let mut findings = Vec::new();
    let mut n_files = 0;
    let walk = WalkDir::new(project.root()).sort_by_file_name();
    for entry in walk.into_iter().filter_entry(is_ours) {
        let entry = entry?;
        let file = entry.path().strip_prefix(project.root())?;
        if !entry.file_type().is_file() || !is_text(file) {
            continue;
        }
        let text = std::fs::read_to_string(entry.path()).with_context(|| format!("cannot read {}", file.display()))?;
        check(file, &text, &mut findings);
        n_files += 1;
    }
    for finding in &findings {
        println!("{finding}");
    }
    if !findings.is_empty() {
        bail!("{} finding(s) in {n_files} files", findings.len());
    }
    println!("{n_files} files are tidy");
    Ok(())
}

/// One line against the rules.
#[derive(Debug, PartialEq, Eq)]
pub struct Finding {
    file: PathBuf,
    line: usize,
    text: String,
}

impl Finding {
    fn new(file: &Path, line: usize, text: impl Into<String>) -> Self {
        Self { file: file.to_owned(), line, text: text.into() }
    }
}

impl fmt::Display for Finding {
    fn fmt(&self, f: &mut fmt::Formatter<'_>) -> fmt::Result {
        write!(f, "{}:{}: {}", self.file.display(), self.line, self.text)
    }
}

/// All rules on one file; `file` is relative to the checkout.
fn check(file: &Path, text: &str, findings: &mut Vec<Finding>) {
    words::check(file, text, findings);
    if file.file_name().is_some_and(|name| name == "Cargo.toml") {
        arrows::check_manifest(file, text, findings);
    }
    if is_program(file) {
        check_length(file, text, findings);
    }
    if file.extension().is_some_and(|extension| extension == "rs") {
        let code = Code::new(text);
        arrows::check(file, &code, findings);
        check_module_names(file, &code, findings);
        check_unsafe(file, &code, findings);
        check_tract(file, &code, findings);
        check_printing(file, &code, findings);
    }
}

fn check_length(file: &Path, text: &str, findings: &mut Vec<Finding>) {
    let is_board = file.starts_with("firmware/boards") && file.ends_with("src/main.rs");
    let limit = if is_board { BOARD_LINES } else { FILE_LINES };
    let n_lines = text.lines().count();
    if n_lines > limit {
        findings.push(Finding::new(file, limit + 1, format!("{n_lines} lines, at most {limit}: split the file")));
    }
}

fn check_module_names(file: &Path, code: &Code, findings: &mut Vec<Finding>) {
    for word in code.words().filter(|word| NAMELESS.contains(&word.text)) {
        if word.before.ends_with("mod") {
            let text = format!("module {}: name it after what is in it", word.text);
            findings.push(Finding::new(file, word.line, text));
        }
    }
}

fn check_unsafe(file: &Path, code: &Code, findings: &mut Vec<Finding>) {
    if may_be_unsafe(file) {
        return;
    }
    for word in code.words().filter(|word| word.text == "unsafe") {
        let text = "unsafe outside of runtime/src/kernels/<isa>/instructions.rs and of the programs in firmware";
        findings.push(Finding::new(file, word.line, text));
    }
}

fn may_be_unsafe(file: &Path) -> bool {
    if UNSAFE_FOLDERS.iter().any(|folder| file.starts_with(folder)) {
        return true;
    }
    let Ok(kernel) = file.strip_prefix("runtime/src/kernels") else { return false };
    let parts: Vec<_> = kernel.iter().collect();
    matches!(parts[..], [_, part] if part == "instructions.rs")
        || matches!(parts[..], [_, part, ..] if part == "instructions")
}

/// Chips, and programs with a reset vector.
const UNSAFE_FOLDERS: [&str; 5] =
    ["firmware/boards", "firmware/chips", "firmware/bench", "firmware/contract", "firmware/realtime"];

fn check_tract(file: &Path, code: &Code, findings: &mut Vec<Finding>) {
    if file.starts_with("tools/compiler/src/import") {
        return;
    }
    for word in code.words().filter(|word| word.text.starts_with("tract_") && word.heads_path()) {
        findings.push(Finding::new(file, word.line, "tract is named outside of tools/compiler/src/import"));
    }
}

fn check_printing(file: &Path, code: &Code, findings: &mut Vec<Finding>) {
    if arrows::is_test_file(file) || !SILENT.iter().any(|folder| file.starts_with(folder)) {
        return;
    }
    for word in code.words().filter(|word| PRINTING.contains(&word.text) && word.is_macro_call() && !word.in_tests) {
        findings.push(Finding::new(file, word.line, format!("{}! in a library: return it, or log it", word.text)));
    }
}

/// Not what was built, fetched or is git's own.
fn is_ours(entry: &DirEntry) -> bool {
    let name = entry.file_name().to_string_lossy();
    let made = ["target", "dist", "__pycache__", "node_modules"].contains(&name.as_ref());
    !(entry.file_type().is_dir() && (made || name == ".git"))
}

fn is_text(file: &Path) -> bool {
    let Some(extension) = file.extension().and_then(|extension| extension.to_str()) else {
        return file.starts_with(".ci");
    };
    TEXT.contains(&extension)
}

fn is_program(file: &Path) -> bool {
    file.extension()
        .is_some_and(|extension| extension == "rs" || extension == "py" || extension == "sh" || extension == "s")
}

const FILE_LINES: usize = 800;
const BOARD_LINES: usize = 80;
const NAMELESS: [&str; 5] = ["utils", "util", "common", "misc", "helpers"];
const SILENT: [&str; 4] = ["runtime/src", "tools/compiler/src", "tools/flasher/src", "firmware/app/src"];
const PRINTING: [&str; 5] = ["print", "println", "eprint", "eprintln", "dbg"];
const TEXT: [&str; 11] = ["rs", "toml", "md", "py", "sh", "s", "x", "yml", "yaml", "txt", "html"];
