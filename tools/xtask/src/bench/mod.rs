//! `cargo xtask bench`: what each model costs on each emulated board, next to the peers.
//!
//! ```text
//! model -> tinfer convert -> image -> program with its operators only -> QEMU -> counts, digests -> table, budgets
//!                              \-> the same image on this machine -> digests: both must be equal
//! ```
//! Counts are instructions, not cycles.

mod budgets;
mod emulator;
mod models;
pub mod pages;
mod peers;
pub mod program;
pub mod reference;
mod row;
mod table;

use anyhow::{Context, Result, bail};
use clap::Args;
use tinfer_build::Board;

use crate::docs;
use crate::project::Project;
use crate::setup::{self, Purpose};
use crate::tinfer::{Echo, Tinfer};
use crate::toolchain::CrossToolchain;

use models::{Converted, Model};
use row::{Linked, Row};

/// What to measure and what to do with it.
#[derive(Args, Default)]
pub struct Options {
    /// Print one JSON object and nothing else on stdout
    #[arg(long)]
    json: bool,
    /// Print every layer
    #[arg(long)]
    layers: bool,
    /// Write what was measured to tests/budgets.toml and to the tables in the documentation
    #[arg(long)]
    write: bool,
    /// Fail when something costs over 1 % more than tests/budgets.toml says
    #[arg(long)]
    check: bool,
    /// One board per instruction set
    #[arg(long)]
    quick: bool,
    /// Only boards with one of these in their name
    #[arg(long = "board")]
    boards: Vec<String>,
    /// Only models with one of these in their name
    #[arg(long = "model")]
    models: Vec<String>,
}

impl Options {
    /// What CI runs.
    pub fn quick_check() -> Self {
        Self { check: true, quick: true, ..Self::default() }
    }
}

/// Measures, prints, compares, writes.
///
/// # Errors
/// A model that cannot be measured, a device that computes something else than this machine, a stack deeper than its
/// bound, an estimate that is far from the count; with `--check` a cost over its budget.
pub fn run(project: &Project, options: &Options) -> Result<()> {
    setup::prepare(project, &setup::Options::silent_when_found(), &[Purpose::Firmware])?;
    let tinfer = Tinfer::build(project, "bench")?;
    let boards = boards(options)?;
    let models = models::all(project)?.into_iter().filter(|model| is_wanted(&model.name, &options.models));
    let mut rows = Vec::new();
    let mut problems = Vec::new();
    for model in models {
        for board in &boards {
            eprintln!("{} on {}", model.name, board.name);
            match measure(project, &tinfer, &model, board) {
                Ok(row) => {
                    if let Err(error) = row.check_estimates() {
                        problems.push(format!("{} on {}: {error:#}", model.name, board.name));
                    }
                    rows.push(row);
                }
                Err(error) => problems.push(format!("{} on {}: {error:#}", model.name, board.name)),
            }
        }
    }
    if options.json {
        println!("{}", serde_json::json!({ "results": rows, "problems": problems }));
    } else {
        print!("{}", table::costs(&rows));
        if options.layers {
            print!("{}", table::layers(&rows));
        }
    }
    if options.write {
        budgets::write(project, &rows)?;
        pages::write_profiles(project, &rows)?;
        docs::run(project, &docs::Options::default())?;
    }
    if options.check {
        problems.extend(budgets::exceeded(project, &rows)?);
    }
    if !problems.is_empty() {
        bail!("{}", problems.join("\n       "));
    }
    Ok(())
}

fn boards(options: &Options) -> Result<Vec<Board>> {
    let emulated = Board::all().into_iter().filter(|board| board.emulator.is_some());
    let mut boards: Vec<Board> = emulated.filter(|board| is_wanted(&board.name, &options.boards)).collect();
    if options.quick {
        let mut seen = Vec::new();
        boards.retain(|board| {
            let is_new = !seen.contains(&board.isa);
            seen.push(board.isa.clone());
            is_new
        });
    }
    // Without the compiler of a target there is nothing to measure there, as in `setup`.
    boards.retain(|board| {
        let found = CrossToolchain::find(&board.target).is_some();
        if !found {
            eprintln!("{}: skipped, there is no Rust compiler for {}", board.name, board.target);
        }
        found
    });
    if boards.is_empty() {
        bail!("no emulated board of that name that this machine can build for");
    }
    Ok(boards)
}

fn is_wanted(name: &str, parts: &[String]) -> bool {
    parts.is_empty() || parts.iter().any(|part| name.contains(part.as_str()))
}

fn measure(project: &Project, tinfer: &Tinfer, model: &Model, board: &Board) -> Result<Row> {
    let image = tinfer.folder.join(format!("{}-{}.tnf", model.name, board.name));
    let converted: Converted = tinfer.ask_with(Echo::Silent, |command| model.convert(command, board, &image))?;
    let bytes = std::fs::read(&image)?;
    let reference = reference::run(&bytes).context("on this machine")?;
    let elf = program::build(project, board, Some(&image))?;
    let measured = emulator::run(board, &elf, &reference.slot, &tinfer.folder)?;
    measured.compare(&reference)?;
    let linked = Linked::read(&elf)?;
    linked.check_stack(&measured, &converted)?;
    Ok(Row::new(model, board, converted, &linked, &measured, &reference))
}
