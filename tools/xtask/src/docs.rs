//! `cargo xtask docs`: tables in the documentation that are made from what they describe.
//!
//! A table lies between `<!-- generated: NAME -->` and `<!-- end -->`. NAME is a subcommand of `tinfer`, or one of
//! `costs`, `estimates`, `kernels` and `layers`, which `cargo xtask bench --write` measured.

use std::process::Command;

use anyhow::{Context, Result, bail};
use clap::Args;
use serde_json::Value;

use crate::bench::pages;
use crate::process;
use crate::project::Project;
use crate::toolchain;

/// What to do with stale tables.
#[derive(Args, Default)]
pub struct Options {
    /// Write nothing; exit with 1 when a table is stale
    #[arg(long)]
    pub check: bool,
}

/// Rewrites the tables, or says that they are stale.
///
/// # Errors
/// A broken or unknown region, a command that fails; with `--check` a stale table.
pub fn run(project: &Project, options: &Options) -> Result<()> {
    process::run(toolchain::cargo("build", project.root()).args(["--release", "--quiet", "--package", "tinfer-cli"]))?;
    let tinfer = project.target_folder().join("release/tinfer");
    for page in PAGES {
        let file = project.root().join(page);
        let old = std::fs::read_to_string(&file).with_context(|| format!("cannot read {}", file.display()))?;
        let new = regenerate(&old, |name, body| match (name, pages::Profile::find(name)) {
            (_, Some(profile)) => profile.checked(project, body),
            ("costs", _) => pages::costs(project),
            ("estimates", _) => pages::estimates(project),
            (command, _) => {
                let answer = process::read(Command::new(&tinfer).args([command, "--json"]))?;
                table(command, &serde_json::from_str(&answer)?)
            }
        })?;
        if new == old {
            eprintln!("{page} is up to date");
            continue;
        }
        if options.check {
            bail!("{page} is stale: run `cargo xtask docs`");
        }
        std::fs::write(&file, new)?;
        eprintln!("{page} rewritten");
    }
    Ok(())
}

/// Replaces what is between the marks of each region; `generate` gets its name and what is there.
///
/// # Errors
/// A region without a name or an end, and what `generate` says.
pub fn regenerate(text: &str, generate: impl Fn(&str, &str) -> Result<String>) -> Result<String> {
    let mut new = String::new();
    let mut rest = text;
    while let Some(at) = rest.find(BEGIN) {
        let head = at + rest[at..].find(MARK_END).context("a generated region has no name")? + MARK_END.len();
        let name = rest[at + BEGIN.len()..head - MARK_END.len()].trim();
        let body = rest[head..].find(END).with_context(|| format!("generated region {name} has no {END}"))?;
        new += &rest[..head];
        new += &format!("\n{}\n", generate(name, &rest[head..head + body])?.trim());
        rest = &rest[head + body..];
    }
    Ok(new + rest)
}

/// A Markdown table of the objects in the list `name` of `answer`.
fn table(name: &str, answer: &Value) -> Result<String> {
    let Some((_, columns)) = TABLES.iter().find(|(table, _)| *table == name) else {
        bail!("no table {name}; there are: {}", TABLES.map(|(table, _)| table).join(", "));
    };
    let rows = answer[name].as_array().with_context(|| format!("`tinfer {name} --json` has no list {name}"))?;
    let titles: Vec<&str> = columns.iter().map(|&(title, _)| title).collect();
    let mut lines = vec![format!("| {} |", titles.join(" | ")), format!("|{}", "---|".repeat(titles.len()))];
    for row in rows {
        let cells: Vec<String> = columns.iter().map(|&(_, key)| cell(&row[key])).collect();
        lines.push(format!("| {} |", cells.join(" | ")));
    }
    Ok(lines.join("\n"))
}

fn cell(value: &Value) -> String {
    match value {
        Value::Null => String::new(),
        Value::String(text) => text.replace('|', "\\|"),
        Value::Bool(yes) => if *yes { "yes" } else { "no" }.to_owned(),
        Value::Array(values) => values.iter().map(cell).collect::<Vec<_>>().join(", "),
        other => other.to_string(),
    }
}

/// Pages with regions.
const PAGES: [&str; 2] = ["README.md", "runtime/docs/performance.md"];

/// Region, then title and JSON key of each column.
const TABLES: [(&str, &[(&str, &str)]); 2] = [
    ("operators", &[("ONNX operator", "name"), ("Definitions, by operator set", "since"), ("Notes", "notes")]),
    ("boards", &[("Board", "name"), ("What", "description"), ("Kernels", "isa"), ("Emulated", "emulated")]),
];

const BEGIN: &str = "<!-- generated:";
const MARK_END: &str = "-->";
const END: &str = "<!-- end -->";

#[cfg(test)]
mod tests {
    use serde_json::json;

    use super::*;

    #[test]
    fn regions_are_replaced_and_the_rest_is_kept() {
        let text = "a\n<!-- generated: x -->\nold\n<!-- end -->\nb\n<!-- generated: y -->\n<!-- end -->\nc\n";
        let new = regenerate(text, |name, _| Ok(format!("new {name}"))).unwrap();
        let expected =
            "a\n<!-- generated: x -->\nnew x\n<!-- end -->\nb\n<!-- generated: y -->\nnew y\n<!-- end -->\nc\n";
        assert_eq!(new, expected);
        assert_eq!(regenerate(&new, |name, _| Ok(format!("new {name}"))).unwrap(), new);
    }

    #[test]
    fn a_region_without_an_end_is_an_error() {
        let error = regenerate("<!-- generated: x -->\nold", |_, _| Ok(String::new())).unwrap_err().to_string();
        assert!(error.contains("region x has no"), "{error}");
    }

    #[test]
    fn a_table_has_a_row_for_each_object() {
        let answer = json!({"boards": [{"name": "b", "description": "x|y", "isa": null, "emulated": true}]});
        let expected = "| Board | What | Kernels | Emulated |\n|---|---|---|---|\n| b | x\\|y |  | yes |";
        assert_eq!(table("boards", &answer).unwrap(), expected);
        assert!(table("cheese", &answer).unwrap_err().to_string().contains("operators, boards"));
        assert!(table("operators", &answer).is_err());
    }
}
