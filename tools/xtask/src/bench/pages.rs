//! What was measured as tables of the documentation: from `tests/budgets.toml`, so that CI can compare without a run.

use anyhow::{Context, Result, bail};
use tinfer_build::Board;

use super::budgets::{Budget, Budgets, budgets};
use super::peers;
use super::row::{LayerCost, Row, error_percent};
use super::table::{grouped, shortened};
use crate::docs;
use crate::project::Project;

/// Every model on every board, beside the peer.
///
/// # Errors
/// Budgets that cannot be read, a board that does not exist.
pub fn costs(project: &Project) -> Result<String> {
    let titles = ["Model", "Board", "MACs", "Instructions", "per MAC", "of TFLM", "Arena", "Image", "Program"];
    per_board(&titles, &budgets(project)?, |model, board, budget| {
        let ratio = peers::find(model, board).map(|peer| budget.instructions as f64 / peer.instructions as f64);
        vec![
            grouped(budget.macs),
            grouped(budget.instructions),
            format!("{:.2}", budget.instructions as f64 / budget.macs.max(1) as f64),
            ratio.map_or_else(String::new, |ratio| format!("{ratio:.2}")),
            grouped(budget.arena_bytes),
            grouped(budget.image_bytes),
            grouped(budget.program_bytes),
        ]
    })
}

/// How far the cost model is off.
///
/// # Errors
/// As [`costs`].
pub fn estimates(project: &Project) -> Result<String> {
    let titles = ["Model", "Board", "Estimate", "Executed", "Error", "Smaller layers", "Worst layer"];
    per_board(&titles, &budgets(project)?, |_, _, budget| {
        let error = budget.estimate.map(|n| format!("{:+.1} %", error_percent(n, budget.instructions)));
        vec![
            budget.estimate.map_or_else(|| "none".to_owned(), grouped),
            grouped(budget.instructions),
            error.unwrap_or_default(),
            budget.worst_smaller_layer.map_or_else(String::new, grouped),
            budget.worst_layer.clone().unwrap_or_default(),
        ]
    })
}

/// Puts the profiles of the measured models into the page, beside those of others.
///
/// # Errors
/// A page that cannot be read or written.
pub fn write_profiles(project: &Project, rows: &[Row]) -> Result<()> {
    let file = project.root().join(PAGE);
    let old = std::fs::read_to_string(&file).with_context(|| format!("cannot read {}", file.display()))?;
    let new = docs::regenerate(&old, |name, body| {
        let Some(profile) = Profile::find(name) else {
            return Ok(body.to_owned());
        };
        let mut sections = sections(body);
        for row in rows.iter().filter(|row| profile.boards.contains(&row.board.as_str())) {
            let section = profile.section(row)?;
            match sections.iter_mut().find(|old| subject(old) == subject(&section)) {
                Some(old) => *old = section,
                None => sections.push(section),
            }
        }
        sections.sort();
        Ok(sections.join("\n"))
    })?;
    std::fs::write(&file, new).with_context(|| format!("cannot write {}", file.display()))
}

/// What a measured model's instructions are spent on, in a region of the page.
pub struct Profile {
    region: &'static str,
    boards: &'static [&'static str],
    table: fn(&Row) -> String,
}

impl Profile {
    /// The profile in a region of that name.
    pub fn find(region: &str) -> Option<&'static Self> {
        PROFILES.iter().find(|profile| profile.region == region)
    }

    /// The region as it is, if it is of the runs that the budgets are from.
    ///
    /// # Errors
    /// A model without a profile, or with one of another run.
    pub fn checked(&self, project: &Project, body: &str) -> Result<String> {
        let sections = sections(body);
        for (model, boards) in budgets(project)? {
            for board in self.boards {
                let Some(budget) = boards.get(*board) else { continue };
                let expected = title(&model, board, budget.instructions, budget.macs)?;
                if !sections.iter().any(|section| heading(section) == expected) {
                    bail!("{PAGE} has no {expected:?} as tests/budgets.toml has it: run `cargo xtask bench --write`");
                }
            }
        }
        Ok(body.trim().to_owned())
    }

    fn section(&self, row: &Row) -> Result<String> {
        let title = title(&row.model, &row.board, row.instructions, row.macs)?;
        Ok(format!("{title}\n\n{}\n", (self.table)(row)))
    }
}

fn per_board(titles: &[&str], budgets: &Budgets, cells: impl Fn(&str, &str, &Budget) -> Vec<String>) -> Result<String> {
    let mut rows = Vec::new();
    for (model, boards) in budgets {
        for (board, budget) in boards {
            let names = [model.clone(), with_cpu(board)?];
            rows.push(names.into_iter().chain(cells(model, board, budget)).collect());
        }
    }
    Ok(markdown(titles, &rows))
}

fn markdown(titles: &[&str], rows: &[Vec<String>]) -> String {
    let mut lines =
        vec![format!("| {} |", titles.join(" | ")), format!("|---|---|{}", "--:|".repeat(titles.len() - 2))];
    lines.extend(rows.iter().map(|row| format!("| {} |", row.join(" | "))));
    lines.join("\n")
}

/// A row for each kernel, those that take most first.
fn by_kernel(row: &Row) -> String {
    let mut kernels: Vec<(LayerCost, usize)> = Vec::new();
    for layer in &row.layers {
        add(&mut kernels, layer, |known| known.kernel == layer.kernel);
    }
    kernels.sort_by_key(|(kernel, _)| std::cmp::Reverse(kernel.instructions));
    let lines = kernels.into_iter().map(|(kernel, n_steps)| {
        let names = [kernel.kernel.clone(), n_steps.to_string()];
        names.into_iter().chain(numbers(&kernel, row)).collect()
    });
    markdown(&["Kernel", "Steps", "MACs", "Instructions", "per MAC", "Share", "Estimate"], &lines.collect::<Vec<_>>())
}

/// A row for each layer; strips of one layer are one layer here.
fn by_layer(row: &Row) -> String {
    let mut layers: Vec<(LayerCost, usize)> = Vec::new();
    for layer in &row.layers {
        let name = layer.name.split_once(STRIP).map_or(layer.name.as_str(), |(name, _)| name);
        let whole = LayerCost { name: name.to_owned(), ..layer.clone() };
        add(&mut layers, &whole, |known| known.name == name && known.kernel == layer.kernel);
    }
    let lines = layers.into_iter().map(|(layer, n_strips)| {
        let strips = if n_strips > 1 { format!(", {n_strips} strips") } else { String::new() };
        let names = [format!("{}{strips}", shortened(&layer.name)), layer.kernel.clone()];
        names.into_iter().chain(numbers(&layer, row)).collect()
    });
    markdown(&["Layer", "Kernel", "MACs", "Instructions", "per MAC", "Share", "Estimate"], &lines.collect::<Vec<_>>())
}

/// Adds a layer to the one that is like it, and counts both.
fn add(found: &mut Vec<(LayerCost, usize)>, layer: &LayerCost, is_like: impl Fn(&LayerCost) -> bool) {
    match found.iter_mut().find(|(known, _)| is_like(known)) {
        Some((known, n)) => {
            known.macs += layer.macs;
            known.instructions += layer.instructions;
            known.estimate = known.estimate.zip(layer.estimate).map(|(a, b)| a + b);
            *n += 1;
        }
        None => found.push((layer.clone(), 1)),
    }
}

/// MACs, instructions, instructions per MAC, share of the model, error of the estimate.
fn numbers(layer: &LayerCost, row: &Row) -> [String; 5] {
    let per_mac = match layer.macs {
        0 => String::new(),
        macs => format!("{:.2}", layer.instructions as f64 / macs as f64),
    };
    [
        grouped(layer.macs),
        grouped(layer.instructions),
        per_mac,
        format!("{:.1} %", 100.0 * layer.instructions as f64 / row.instructions.max(1) as f64),
        layer.error_percent().map_or_else(String::new, |percent| format!("{percent:+.1} %")),
    ]
}

fn title(model: &str, board: &str, instructions: u64, macs: u64) -> Result<String> {
    let per_mac = instructions as f64 / macs.max(1) as f64;
    let board = with_cpu(board)?;
    Ok(format!("{HEADING}{model} on {board}: {} instructions, {per_mac:.2} per MAC", grouped(instructions)))
}

fn with_cpu(board: &str) -> Result<String> {
    let cpu = Board::find(board)?.cpu.replace("cortex-m", "Cortex-M");
    Ok(format!("{board} ({cpu})"))
}

fn sections(body: &str) -> Vec<String> {
    let starts: Vec<usize> = body.match_indices(HEADING).map(|(at, _)| at).collect();
    let ends = starts.iter().skip(1).copied().chain([body.len()]);
    starts.iter().zip(ends).map(|(&start, end)| format!("{}\n", body[start..end].trim())).collect()
}

fn heading(section: &str) -> &str {
    section.lines().next().unwrap_or_default()
}

/// What follows the colon are numbers of one run.
fn subject(section: &str) -> &str {
    heading(section).split(':').next().unwrap_or_default()
}

const PAGE: &str = "runtime/docs/performance.md";
const PROFILES: [Profile; 2] = [
    Profile { region: "kernels", boards: &["mps2-an386", "mps2-an500", "mps3-an547"], table: by_kernel },
    Profile { region: "layers", boards: &["mps2-an386", "mps3-an547"], table: by_layer },
];
const HEADING: &str = "### ";
/// What `plan/strips.rs` of the compiler puts between the name of a layer and the rows of a strip.
const STRIP: &str = " rows ";

#[cfg(test)]
mod tests {
    use super::*;

    fn layer(name: &str, kernel: &str, instructions: u64) -> LayerCost {
        LayerCost {
            name: name.to_owned(),
            operator: "Conv".to_owned(),
            kernel: kernel.to_owned(),
            macs: 100,
            instructions,
            estimate: Some(instructions + 3),
        }
    }

    fn row(layers: Vec<LayerCost>) -> Row {
        Row { instructions: 100, ..Row::example(layers) }
    }

    #[test]
    fn strips_of_a_layer_are_added() {
        let row = row(vec![layer("a rows 0..2", "x", 30), layer("b", "y", 40), layer("a rows 2..4", "x", 30)]);
        let lines: Vec<String> = by_layer(&row).lines().skip(2).map(str::to_owned).collect();
        let expected = [
            "| a, 2 strips | x | 200 | 60 | 0.30 | 60.0 % | +10.0 % |",
            "| b | y | 100 | 40 | 0.40 | 40.0 % | +7.5 % |",
        ];
        assert_eq!(lines, expected);
    }

    #[test]
    fn kernels_are_added_and_the_most_expensive_is_first() {
        let row = row(vec![layer("a", "x", 10), layer("b", "y", 50), layer("c", "x", 30), layer("d", "x", 10)]);
        let lines: Vec<String> = by_kernel(&row).lines().skip(2).map(str::to_owned).collect();
        let expected =
            ["| x | 3 | 300 | 50 | 0.17 | 50.0 % | +18.0 % |", "| y | 1 | 100 | 50 | 0.50 | 50.0 % | +6.0 % |"];
        assert_eq!(lines, expected);
    }

    #[test]
    fn a_page_falls_into_its_sections() {
        let (ad, kws) = (title("ad", "mps2-an386", 1, 2).unwrap(), title("kws", "mps2-an386", 2, 2).unwrap());
        assert_eq!(ad, "### ad on mps2-an386 (Cortex-M4): 1 instructions, 0.50 per MAC");
        let body = format!("\n{ad}\n\n| x |\n\n{kws}\n\n| y |\n");
        let sections = sections(&body);
        assert_eq!(
            sections.iter().map(|s| subject(s)).collect::<Vec<_>>(),
            ["### ad on mps2-an386 (Cortex-M4)", "### kws on mps2-an386 (Cortex-M4)"]
        );
        assert_eq!(heading(&sections[1]), kws);
        assert_eq!(sections.join("\n").trim(), body.trim());
    }

    #[test]
    fn tables_are_aligned_after_the_second_column() {
        let rows = [["a", "b", "1"].map(str::to_owned).to_vec()];
        assert_eq!(markdown(&["A", "B", "N"], &rows), "| A | B | N |\n|---|---|--:|\n| a | b | 1 |");
    }
}
