//! `cargo xtask stack`: worst-case stack of every operator on every instruction set, which `tinfer convert` puts into
//! images.
//!
//! ```text
//! the measuring program of each board, with all operators, linked for size and for speed
//!   -> call graph, frames -> bound of the session, bound of `run` of each operator
//!   -> the larger of all with one instruction set -> tools/compiler/src/stack.toml
//! ```

use std::collections::BTreeMap;
use std::path::PathBuf;

use anyhow::{Context, Result, bail};
use clap::Args;
use serde::{Deserialize, Serialize};
use tinfer_build::Board;

use crate::bench::program::{self, Kind};
use crate::program::{Program, StackBounds};
use crate::project::Project;
use crate::toolchain::CrossToolchain;

/// What to do with the bounds.
#[derive(Args, Default)]
pub struct Options {
    /// Write them to tools/compiler/src/stack.toml, instead of comparing them with it
    #[arg(long)]
    write: bool,
}

/// Bounds of one instruction set, in bytes.
#[derive(Debug, Clone, Default, PartialEq, Eq, Serialize, Deserialize)]
#[serde(deny_unknown_fields)]
struct Bounds {
    /// Of a run without its operators.
    session: u32,
    /// Of each operator.
    operators: BTreeMap<String, u32>,
}

/// Bounds by instruction set.
type Table = BTreeMap<String, Bounds>;

/// Computes the bounds of every board that this machine can build for, and writes or compares them.
///
/// # Errors
/// A program whose stack has no bound; a bound that is larger than the table says.
pub fn run(project: &Project, options: &Options) -> Result<()> {
    let mut found = Table::new();
    for board in Board::all() {
        if CrossToolchain::find(&board.target).is_none() {
            eprintln!("{}: skipped, there is no Rust compiler for {}", board.name, board.target);
            continue;
        }
        let bounds = found.entry(board.isa.clone()).or_default();
        for kind in [Kind::Measuring, Kind::MeasuringForSpeed] {
            let elf = program::build_kind(project, &board, None, kind)?;
            bounds.add(&Program::read(&elf)?).with_context(|| format!("{}, {}", board.name, elf.display()))?;
        }
    }
    for (isa, bounds) in &found {
        println!(
            "{isa}: {} bytes of stack at most, session and {} operators",
            bounds.deepest(),
            bounds.operators.len()
        );
    }
    let mut table = table(project)?;
    if options.write {
        table.extend(found);
        let file = path(project);
        return std::fs::write(&file, text(&table)?).with_context(|| format!("cannot write {}", file.display()));
    }
    let over = over(&found, &table);
    if !over.is_empty() {
        bail!("{}; if that is meant, run `cargo xtask stack --write`", over.join("\n       "));
    }
    Ok(())
}

impl Bounds {
    fn add(&mut self, program: &Program) -> Result<()> {
        let mut bounds = StackBounds::new(program);
        let operators = bounds.operators()?;
        if operators.is_empty() {
            bail!("the program has no operators");
        }
        for (name, bytes) in operators {
            let known = self.operators.entry(name.to_owned()).or_default();
            *known = bytes.max(*known);
        }
        self.session = self.session.max(bounds.session()?);
        Ok(())
    }

    fn deepest(&self) -> u32 {
        self.session + self.operators.values().max().unwrap_or(&0)
    }
}

fn over(found: &Table, table: &Table) -> Vec<String> {
    let mut over = Vec::new();
    for (isa, bounds) in found {
        let allowed = table.get(isa).cloned().unwrap_or_default();
        let mut compare = |what: &str, found: u32, allowed: u32| {
            if found > allowed {
                over.push(format!("{what} on {isa} may use {found} bytes of stack, the table says {allowed}"));
            }
        };
        compare("the session", bounds.session, allowed.session);
        for (name, &bytes) in &bounds.operators {
            compare(name, bytes, allowed.operators.get(name).copied().unwrap_or(0));
        }
    }
    over
}

fn table(project: &Project) -> Result<Table> {
    let file = path(project);
    let text = std::fs::read_to_string(&file).with_context(|| format!("cannot read {}", file.display()))?;
    toml::from_str(&text).with_context(|| format!("in {}", file.display()))
}

fn text(table: &Table) -> Result<String> {
    Ok(format!("{HEAD}\n{}", toml::to_string(table)?))
}

fn path(project: &Project) -> PathBuf {
    project.root().join("tools/compiler/src/stack.toml")
}

const HEAD: &str = "\
# Worst-case stack in bytes, by instruction set: of a run without its operators, and of each operator.
# Written by `cargo xtask stack --write` from the call graphs of the measuring programs of all boards.
";

#[cfg(test)]
mod tests {
    use super::*;

    fn table(session: u32, operator: u32) -> Table {
        let operators = BTreeMap::from([("add_i8".to_owned(), operator)]);
        Table::from([("portable".to_owned(), Bounds { session, operators })])
    }

    #[test]
    fn more_stack_than_the_table_says_is_refused_by_name() {
        assert!(over(&table(100, 200), &table(100, 200)).is_empty());
        assert!(over(&table(1, 2), &table(100, 200)).is_empty());
        let expected = "add_i8 on portable may use 204 bytes of stack, the table says 200";
        assert_eq!(over(&table(100, 204), &table(100, 200)), [expected]);
        assert_eq!(over(&table(104, 204), &Table::new()).len(), 2);
    }

    #[test]
    fn the_table_is_read_as_it_is_written() {
        let written = text(&table(100, 200)).unwrap();
        assert_eq!(toml::from_str::<Table>(&written).unwrap(), table(100, 200));
    }
}
