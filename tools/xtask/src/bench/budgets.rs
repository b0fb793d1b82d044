//! What was agreed to be spent, in `tests/budgets.toml`.

use std::collections::BTreeMap;
use std::path::PathBuf;

use anyhow::{Context, Result};
use serde::Deserialize;
use tinfer_build::Board;

use super::row::Row;
use crate::project::Project;
use crate::toolchain::CrossToolchain;

/// What one inference of a model on a board may cost.
#[derive(Debug, Clone, PartialEq, Eq, Deserialize)]
#[serde(deny_unknown_fields)]
pub struct Budget {
    /// Multiply-accumulates: a fact, kept for the table in README.md.
    pub macs: u64,
    /// Executed instructions in QEMU.
    pub instructions: u64,
    /// Flash without the model.
    pub program_bytes: u64,
    /// The model.
    pub image_bytes: u64,
    /// Tensors and scratch.
    pub arena_bytes: u64,
    /// Worst case of a run.
    pub stack_bytes: u64,
    /// Instructions that the cost model expects: a fact, kept for a table.
    pub estimate: Option<u64>,
    /// The layer whose estimate is worst, with its error: a fact, too.
    pub worst_layer: Option<String>,
    /// The largest error of the layers that are too small for that one, in instructions: a fact, too.
    pub worst_smaller_layer: Option<u64>,
    /// Of the compiler that the numbers were taken with: `rustc 1.95.0`.
    pub compiler: String,
}

/// Budgets by model, then by board.
pub type Budgets = BTreeMap<String, BTreeMap<String, Budget>>;

/// The budgets in the checkout.
///
/// # Errors
/// A file that cannot be read or understood.
pub fn budgets(project: &Project) -> Result<Budgets> {
    #[derive(Deserialize)]
    struct File {
        #[serde(default)]
        models: Budgets,
    }
    let file = path(project);
    let text = std::fs::read_to_string(&file).with_context(|| format!("cannot read {}", file.display()))?;
    let content: File = toml::from_str(&text).with_context(|| format!("in {}", file.display()))?;
    Ok(content.models)
}

/// Puts the rows into the file, beside those of other models and boards.
///
/// # Errors
/// A file that cannot be read, understood or written.
pub fn write(project: &Project, rows: &[Row]) -> Result<()> {
    let mut budgets = budgets(project)?;
    for row in rows {
        let budget = Budget {
            macs: row.macs,
            instructions: row.instructions,
            program_bytes: row.program_bytes,
            image_bytes: row.image_bytes,
            arena_bytes: row.arena_bytes,
            stack_bytes: row.stack_bytes,
            estimate: row.estimate,
            worst_layer: row.worst_layer().map(|(layer, percent)| {
                format!("{percent:+.1} %, {} ({})", super::table::shortened(&layer.name), layer.kernel)
            }),
            worst_smaller_layer: row.worst_smaller_layer(),
            compiler: compiler(&row.board)?,
        };
        budgets.entry(row.model.clone()).or_default().insert(row.board.clone(), budget);
    }
    let file = path(project);
    let old = std::fs::read_to_string(&file)?;
    let head = old.find(GENERATED).map_or(old.as_str(), |at| &old[..at]).trim_end();
    let mut text = format!("{head}\n\n{GENERATED}\n");
    for (model, boards) in &budgets {
        for (board, budget) in boards {
            text += &format!("\n[models.{model}.{board}]\n{}", lines(budget));
        }
    }
    std::fs::write(&file, text).with_context(|| format!("cannot write {}", file.display()))
}

/// A sentence for each number that is over its budget by more than the tolerance.
///
/// # Errors
/// A file that cannot be read or understood.
pub fn exceeded(project: &Project, rows: &[Row]) -> Result<Vec<String>> {
    let budgets = budgets(project)?;
    let mut found = Vec::new();
    for row in rows {
        match budgets.get(&row.model).and_then(|boards| boards.get(&row.board)) {
            Some(budget) => found.extend(over(row, budget, &compiler(&row.board)?)),
            None => {
                found.push(format!("{} on {} has no budget: run `cargo xtask bench --write`", row.model, row.board))
            }
        }
    }
    Ok(found)
}

fn over(row: &Row, budget: &Budget, compiler: &str) -> Vec<String> {
    // Another compiler generates other code; the same one always the same.
    let percent = if budget.compiler == compiler { SAME_COMPILER_PERCENT } else { OTHER_COMPILER_PERCENT };
    let pairs = [
        ("instructions", row.instructions, budget.instructions),
        ("bytes of program", row.program_bytes, budget.program_bytes),
        ("bytes of image", row.image_bytes, budget.image_bytes),
        ("bytes of arena", row.arena_bytes, budget.arena_bytes),
        ("bytes of stack", row.stack_bytes, budget.stack_bytes),
    ];
    let is_over = |found: u64, allowed: u64| found * 100 > allowed * (100 + percent);
    let over = pairs.into_iter().filter(|&(_, found, allowed)| is_over(found, allowed));
    let over = over.map(|(what, found, allowed)| {
        let more = 100.0 * (found as f64 / allowed.max(1) as f64 - 1.0);
        format!("{} on {}: {found} {what}, budget {allowed} (+{more:.1} %)", row.model, row.board)
    });
    let lost = row.without_estimate().filter(|_| budget.estimate.is_some());
    let lost = lost.map(|kernel| format!("{} on {}: no estimate, no formula for {kernel}", row.model, row.board));
    over.chain(lost).collect()
}

fn lines(budget: &Budget) -> String {
    let Budget { macs, instructions, program_bytes, image_bytes, arena_bytes, stack_bytes, .. } = budget;
    let Budget { estimate, worst_layer, worst_smaller_layer, compiler, .. } = budget;
    let estimate = estimate.map(|n| format!("estimate = {n}\n")).unwrap_or_default();
    let worst_layer = worst_layer.as_ref().map(|text| format!("worst_layer = {text:?}\n")).unwrap_or_default();
    let smaller = worst_smaller_layer.map(|n| format!("worst_smaller_layer = {n}\n")).unwrap_or_default();
    format!(
        "macs = {macs}\ninstructions = {instructions}\nprogram_bytes = {program_bytes}\nimage_bytes = {image_bytes}\n\
         arena_bytes = {arena_bytes}\nstack_bytes = {stack_bytes}\n{estimate}{worst_layer}{smaller}compiler = {compiler:?}\n"
    )
}

fn compiler(board: &str) -> Result<String> {
    CrossToolchain::require(&Board::find(board)?.target)?.compiler_version()
}

fn path(project: &Project) -> PathBuf {
    project.root().join("tests/budgets.toml")
}

const SAME_COMPILER_PERCENT: u64 = 1;
const OTHER_COMPILER_PERCENT: u64 = 10;

const GENERATED: &str = "# By model and board, written by `cargo xtask bench --write`; `--check` allows 1 % more.";

#[cfg(test)]
mod tests {
    use super::*;
    use crate::bench::row::LayerCost;

    fn row(instructions: u64) -> Row {
        Row { instructions, ..Row::example(Vec::new()) }
    }

    fn budget(instructions: u64) -> Budget {
        Budget {
            macs: 1,
            instructions,
            program_bytes: 1,
            image_bytes: 1,
            arena_bytes: 1,
            stack_bytes: 0,
            estimate: None,
            worst_layer: None,
            worst_smaller_layer: None,
            compiler: "rustc 1.95.0".to_owned(),
        }
    }

    #[test]
    fn one_percent_more_is_too_much() {
        let budget = budget(1_000);
        assert!(over(&row(1_010), &budget, "rustc 1.95.0").is_empty());
        assert_eq!(over(&row(1_011), &budget, "rustc 1.95.0"), ["m on b: 1011 instructions, budget 1000 (+1.1 %)"]);
        assert!(over(&row(1_100), &budget, "rustc 1.96.0").is_empty());
        assert_eq!(over(&row(1_101), &budget, "rustc 1.96.0").len(), 1);
    }

    #[test]
    fn an_estimate_that_there_was_must_stay() {
        let layer = LayerCost {
            name: "a".to_owned(),
            operator: "Sin".to_owned(),
            kernel: "sin_f32".to_owned(),
            macs: 0,
            instructions: 1_000,
            estimate: None,
        };
        let row = Row { instructions: 1_000, ..Row::example(vec![layer]) };
        let budget = |estimate| Budget { estimate, ..budget(1_000) };
        let found = over(&row, &budget(Some(900)), "rustc 1.95.0");
        assert_eq!(found, ["m on b: no estimate, no formula for sin_f32"]);
        assert!(over(&row, &budget(None), "rustc 1.95.0").is_empty());
    }

    #[test]
    fn budgets_are_read_as_they_are_written() {
        let budget = Budget {
            macs: 2,
            instructions: 3,
            program_bytes: 4,
            image_bytes: 5,
            arena_bytes: 6,
            stack_bytes: 7,
            estimate: Some(8),
            worst_layer: Some("+9.0 %, a \"b\" (c)".to_owned()),
            worst_smaller_layer: Some(10),
            compiler: "rustc 1.95.0".to_owned(),
        };
        assert_eq!(toml::from_str::<Budget>(&lines(&budget)).unwrap(), budget);
    }
}
