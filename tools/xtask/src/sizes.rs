//! `cargo xtask sizes`: what takes the flash of a program, from the symbols of its ELF file.
//!
//! Counted is what `cargo xtask bench` counts as `program_bytes`: every byte of the program in flash, vectors, startup,
//! code, constants and the first values of variables, without the model. Code that the optimizer moved into its caller
//! counts as the caller's.

use std::collections::BTreeMap;
use std::path::PathBuf;

use anyhow::{Result, bail};
use clap::Args;
use tinfer_build::Board;

use crate::bench::program::{self, Kind};
use crate::program::{Piece, pieces};
use crate::project::Project;

/// Which program, and how much of it to show.
#[derive(Args, Default)]
pub struct Options {
    /// The board that it is for
    #[arg(long, default_value = "mps2-an386")]
    board: String,
    /// The measuring program of this model image; with all operators when not given
    #[arg(long, conflicts_with = "bare")]
    image: Option<PathBuf>,
    /// The program that checks, binds and runs int8 dense layers and does nothing else
    #[arg(long)]
    bare: bool,
    /// Every function and constant of at least this size, in bytes
    #[arg(long)]
    symbols: Option<u64>,
    /// Fail when the whole is larger than this, in bytes
    #[arg(long)]
    limit: Option<u64>,
}

impl Options {
    /// What CI runs: the bare program on a Cortex-M4 does not grow.
    pub fn bare_check() -> Self {
        Self { board: "mps2-an386".to_owned(), bare: true, limit: Some(BARE_LIMIT_BYTES), ..Self::default() }
    }
}

/// Builds the program and prints its parts, the largest first.
///
/// # Errors
/// A program that cannot be built, or is larger than the limit.
pub fn run(project: &Project, options: &Options) -> Result<()> {
    let board = Board::find(&options.board)?;
    let kind = if options.bare { Kind::Bare } else { Kind::Measuring };
    // Cargo runs elsewhere.
    let image = options.image.as_ref().map(std::path::absolute).transpose()?;
    let pieces = pieces(&program::build_kind(project, &board, image.as_deref(), kind)?)?;
    print!("{}", text(&pieces, options.symbols));
    let total: u64 = pieces.iter().map(|piece| piece.bytes).sum();
    match options.limit {
        Some(limit) if total > limit => {
            bail!("the program takes {total} bytes of flash, {} over {limit}", total - limit)
        }
        _ => Ok(()),
    }
}

fn text(pieces: &[Piece], symbols: Option<u64>) -> String {
    let mut parts: BTreeMap<String, u64> = BTreeMap::new();
    for piece in pieces {
        *parts.entry(part(&piece.name)).or_default() += piece.bytes;
    }
    let mut lines: Vec<(String, u64)> = parts.into_iter().collect();
    lines.push(("total".to_owned(), pieces.iter().map(|piece| piece.bytes).sum()));
    if let Some(least) = symbols {
        let large = pieces.iter().filter(|piece| piece.bytes >= least);
        lines.extend(large.map(|piece| (format!("  {}", piece.name), piece.bytes)));
    }
    let is_symbol = |name: &str| name.starts_with("  ");
    // Parts, their total, symbols; each from large to small.
    lines.sort_by_key(|(name, bytes)| (is_symbol(name), name == "total", u64::MAX - bytes));
    lines.iter().map(|(name, bytes)| format!("{bytes:>8}  {}\n", name.trim_end())).collect()
}

/// The part of the program that a symbol belongs to.
fn part(name: &str) -> String {
    // `<tinfer::image::Image as core::fmt::Debug>::fmt` is where it is implemented; `core::ptr::write::<u8>` as well.
    let path = name.trim_start_matches('<').trim_start_matches('&');
    let is_formatting = name.contains("core::fmt::") || name.contains("fmt::Formatter");
    let segments: Vec<&str> = path.split("::").collect();
    match segments.as_slice() {
        _ if is_formatting => "formatting".to_owned(),
        ["tinfer", folder @ ("operators" | "kernels"), module, rest @ ..] if !rest.is_empty() => match rest {
            [file, _, ..] if matches!(*module, "armv7em" | "mve" | "portable") => format!("{folder}::{module}::{file}"),
            _ => format!("{folder}::{module}"),
        },
        ["tinfer", module, _, ..] => format!("runtime: {module}"),
        ["tinfer", ..] => "runtime".to_owned(),
        ["core" | "alloc" | "compiler_builtins", ..] => "core".to_owned(),
        ["tinfer_bench" | "tinfer_bare" | "tinfer_app" | "tinfer_cortex_m", ..] => "the program around it".to_owned(),
        ["cortex_m" | "cortex_m_rt", ..] => "startup and vectors".to_owned(),
        [name] if name.starts_with("__aeabi") || name.starts_with("mem") => "core".to_owned(),
        [name] if name.contains("without a name") => {
            format!("constants and gaps in {}", name.replace(" without a name", ""))
        }
        [name] if STARTUP.contains(name) => "startup and vectors".to_owned(),
        [first, _, ..] => format!("crate {first}"),
        _ => "other".to_owned(),
    }
}

const STARTUP: [&str; 10] = [
    "Reset",
    "main",
    "__RESET_VECTOR",
    "__EXCEPTIONS",
    "__INTERRUPTS",
    "__pre_init",
    "DefaultHandler_",
    "DefaultPreInit",
    "HardFault",
    "HardFaultTrampoline",
];

/// Startup, SHA-256, the checks of a whole image, `Session` and one dense kernel.
const BARE_LIMIT_BYTES: u64 = 14_100;

#[cfg(test)]
mod tests {
    use super::*;

    #[test]
    fn symbols_are_told_apart_by_their_paths() {
        for (name, expected) in [
            ("tinfer::kernels::portable::conv_2d::conv_2d_i8", "kernels::portable::conv_2d"),
            ("tinfer::operators::armv7em::add::run", "operators::armv7em::add"),
            ("tinfer::operators::table_i8", "runtime: operators"),
            ("tinfer::operators::softmax::SOFTMAX_I8", "operators::softmax"),
            ("tinfer::image::plan::check", "runtime: image"),
            ("<tinfer::image::Image as core::fmt::Debug>::fmt", "formatting"),
            ("<core::fmt::Formatter>::pad", "formatting"),
            ("core::panicking::panic_fmt", "core"),
            ("__aeabi_memcpy", "core"),
            ("sha2::sha256::compress256", "crate sha2"),
            ("__RESET_VECTOR", "startup and vectors"),
            (".rodata without a name", "constants and gaps in .rodata"),
        ] {
            assert_eq!(part(name), expected, "{name}");
        }
    }

    #[test]
    fn parts_are_printed_from_large_to_small_with_their_total() {
        let piece = |name: &str, bytes| Piece { name: name.to_owned(), bytes };
        let pieces = [piece("core::slice::f", 10), piece("tinfer::image::a", 20), piece("tinfer::image::b", 5)];
        let expected = "      25  runtime: image\n      10  core\n      35  total\n";
        assert_eq!(text(&pieces, None), expected);
        assert_eq!(text(&pieces, Some(20)), format!("{expected}      20    tinfer::image::a\n"));
    }
}
