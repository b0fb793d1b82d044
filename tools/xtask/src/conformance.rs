//! `cargo xtask conformance`: the test suite of the `onnx` package through images and through `tinfer run MODEL.onnx`;
//! what images do is a page of the documentation.

use std::collections::BTreeMap;
use std::fmt::Write;
use std::path::PathBuf;
use std::process::Command;

use anyhow::{Context, Result, bail};
use clap::Args;
use serde::Deserialize;

use crate::project::Project;
use crate::setup::{self, Purpose};
use crate::{process, toolchain};

/// What to do with the page.
#[derive(Args, Default)]
pub struct Options {
    /// Write nothing; exit with 1 when the page is stale
    #[arg(long)]
    pub check: bool,
}

/// Runs the suite and writes the page, or compares it.
///
/// # Errors
/// A case with a wrong answer or a panic, as an image or as a file; a model that does not pass; with `--check` a stale page.
pub fn run(project: &Project, options: &Options) -> Result<()> {
    if setup::prepare(project, &setup::Options::silent_when_found(), &[Purpose::Tests])? > 0 {
        bail!("the test suite is in the Python package onnx: see the line above");
    }
    let answer: Answer = serde_json::from_str(&process::read(&mut suite(project)?)?)?;
    let mut n_bad = 0;
    for case in answer.cases.iter().chain(&answer.models) {
        for (way, result) in [("image", &case.image), ("file", &case.file)] {
            if let Some(Outcome { outcome, reason }) = result.as_ref().filter(|r| r.is_bad()) {
                n_bad += 1;
                println!("{} as {way} {outcome}: {reason}", case.name);
            }
        }
    }
    let page = project.root().join(PAGE);
    let old = std::fs::read_to_string(&page).unwrap_or_default();
    let new = render(&answer);
    let images = answer.cases.iter().filter_map(|c| c.image.as_ref());
    let files = answer.cases.iter().filter_map(|c| c.file.as_ref());
    for (way, results) in [("images", images.collect::<Vec<_>>()), ("files", files.collect())] {
        let counted = |outcome: &str| results.iter().filter(|r| r.outcome == outcome).count();
        println!("{} node cases as {way}: {} passed, {} refused", results.len(), counted("passed"), counted("refused"));
    }
    if n_bad > 0 {
        bail!("{n_bad} cases have a wrong answer: a case that cannot be computed must be refused");
    }
    if new == old {
        println!("{PAGE} is up to date");
    } else if options.check {
        let lost: Vec<&str> = old.lines().filter(|line| !new.contains(line)).take(5).collect();
        bail!("{PAGE} is stale: run `cargo xtask conformance`; it had\n{}", lost.join("\n"));
    } else {
        std::fs::write(&page, new).with_context(|| format!("cannot write {PAGE}"))?;
        println!("{PAGE} rewritten");
    }
    Ok(())
}

/// The program that runs the suite, in the release profile of everything else.
fn suite(project: &Project) -> Result<Command> {
    let mut build = toolchain::cargo("build", project.root());
    build.args(["--release", "--quiet", "--package", "tinfer-cli", "--package", "tinfer-tests", "--bins", "--example"]);
    process::run(build.arg("conformance"))?;
    let script = "import importlib.util as u; print(u.find_spec('onnx').submodule_search_locations[0])";
    let package = process::read(Command::new(setup::python(project)?).args(["-c", script]))?;
    let mut command = Command::new(project.target_folder().join("release/examples/conformance"));
    command.arg(PathBuf::from(package.trim()).join("backend/test/data"));
    Ok(command)
}

#[derive(Deserialize)]
struct Answer {
    cases: Vec<Case>,
    models: Vec<Case>,
}

#[derive(Deserialize)]
struct Case {
    name: String,
    #[serde(default)]
    operator: String,
    /// Of a float32 image; `None` for a case that no image can hold.
    image: Option<Outcome>,
    /// Of `tinfer run MODEL.onnx`, whatever engine answers; `None` for the topologies, which take minutes.
    file: Option<Outcome>,
}

#[derive(Deserialize)]
struct Outcome {
    outcome: String,
    reason: String,
}

impl Outcome {
    fn is_bad(&self) -> bool {
        self.outcome == "failed" || self.outcome == "crashed"
    }
}

impl Case {
    fn passes_as_image(&self) -> bool {
        self.image.as_ref().is_some_and(|r| r.outcome == "passed")
    }

    /// What an image was refused for, without the names of the case.
    fn why(&self) -> &str {
        let reason = self.image.as_ref().map_or("", |r| &r.reason);
        let reason = reason.split_once("is not supported: ").map_or(reason, |(_, why)| why);
        reason.split_once(" (and ").map_or(reason, |(why, _)| why)
    }
}

fn render(answer: &Answer) -> String {
    let mut operators: BTreeMap<&str, Vec<&Case>> = BTreeMap::new();
    for case in answer.cases.iter().filter(|c| c.image.is_some()) {
        operators.entry(&case.operator).or_default().push(case);
    }
    let is_known = |cases: &[&Case]| !cases.iter().all(|c| c.why() == UNKNOWN);
    let (known, unknown): (Vec<_>, Vec<_>) = operators.into_iter().partition(|(_, cases)| is_known(cases));
    let n_cases: usize = known.iter().map(|(_, cases)| cases.len()).sum();
    let passed = |cases: &[&Case]| cases.iter().filter(|c| c.passes_as_image()).count();
    let n_passed: usize = known.iter().map(|(_, cases)| passed(cases)).sum();
    let percent = 100.0 * n_passed as f64 / n_cases.max(1) as f64;
    let mut page = format!(
        "# Conformance\n\nThe node cases of the `onnx` package (1.22.0) whose element types and ranks an image can hold, each \
         converted to a float32\nimage and run on the host. Written by `cargo xtask conformance`, checked by CI.\n\n\
         {n_passed} of {n_cases} cases of supported operators pass ({percent:.1} %), none has a wrong answer; the others \
         are refused.\n\n| Operator | Passed | Refused | Reasons |\n|---|--:|--:|---|\n"
    );
    for (operator, cases) in &known {
        let mut reasons: Vec<&str> = cases.iter().filter(|c| !c.passes_as_image()).map(|c| c.why()).collect();
        let n_refused = reasons.len();
        reasons.sort_unstable();
        reasons.dedup();
        let reasons = reasons.join("; ").replace('|', "\\|").replace('\n', " ");
        let _ = writeln!(page, "| {operator} | {} | {n_refused} | {reasons} |", passed(cases));
    }
    let names: Vec<String> = unknown.iter().map(|(name, cases)| format!("{name} ({})", cases.len())).collect();
    let _ = writeln!(
        page,
        "\nOperators without a form in the image, with the number of their cases: {}.",
        names.join(", ")
    );
    let _ = writeln!(page, "\n## Topologies\n\n| Model | Result |\n|---|---|");
    for (model, image) in answer.models.iter().filter_map(|m| Some((m, m.image.as_ref()?))) {
        let reason = if image.reason.is_empty() { String::new() } else { format!(": {}", model.why()) };
        let _ = writeln!(page, "| {} | {}{reason} |", model.name.trim_start_matches("light_"), image.outcome);
    }
    page
}

/// The reason of operators that are not in the list.
const UNKNOWN: &str = "there is no such operator in the image";
const PAGE: &str = "tests/conformance.md";
