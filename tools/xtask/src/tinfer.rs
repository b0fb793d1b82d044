//! The `tinfer` command as the tasks use it: built here, asked for JSON.

use std::path::{Path, PathBuf};
use std::process::Command;

use anyhow::{Context, Result};
use serde::de::DeserializeOwned;

use crate::project::Project;
use crate::{process, toolchain};

/// The command line tool, built, and a folder for what it writes.
pub struct Tinfer {
    program: PathBuf,
    root: PathBuf,
    /// For what it writes.
    pub folder: PathBuf,
}

impl Tinfer {
    /// Builds it; its files go to the folder `name` in the target folder.
    pub fn build(project: &Project, name: &str) -> Result<Self> {
        process::run(toolchain::cargo("build", project.root()).args(["--release", "--package", "tinfer-cli"]))?;
        let folder = project.target_folder().join(name);
        std::fs::create_dir_all(&folder)?;
        Ok(Self { program: project.target_folder().join("release/tinfer"), root: project.root().to_owned(), folder })
    }

    /// Shows and runs one command with `--json`; its log goes to our stderr.
    pub fn ask<T: DeserializeOwned>(&self, fill: impl FnOnce(&mut Command)) -> Result<T> {
        self.ask_with(Echo::Command, fill)
    }

    /// Runs one command with `--json`; its log goes to our stderr.
    pub fn ask_with<T: DeserializeOwned>(&self, echo: Echo, fill: impl FnOnce(&mut Command)) -> Result<T> {
        let mut command = Command::new(&self.program);
        // In the checkout, where it finds the firmware that it builds.
        command.current_dir(&self.root);
        fill(&mut command);
        command.arg("--json");
        if echo == Echo::Command {
            let shown: Vec<String> = command.get_args().map(|word| short(Path::new(word))).collect();
            println!("$ tinfer {}", shown.join(" "));
        }
        let answer = process::read(&mut command)?;
        serde_json::from_str(&answer).with_context(|| format!("not the JSON expected: {answer}"))
    }
}

/// Whether a command is shown before it runs.
#[derive(Clone, Copy, PartialEq, Eq)]
pub enum Echo {
    /// As one would type it.
    Command,
    /// Nothing is printed.
    Silent,
}

/// File names say enough.
fn short(word: &Path) -> String {
    let name = if word.is_absolute() { word.file_name() } else { None };
    name.unwrap_or(word.as_os_str()).to_string_lossy().into_owned()
}
