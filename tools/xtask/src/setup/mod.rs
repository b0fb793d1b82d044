//! `cargo xtask setup`: finds or installs every tool that is not Cargo's, one line for each.
//!
//! What cannot be installed (no rights, no network) gets the one line to type, and setup goes on with the next.

mod apt;
mod tools;

use std::process::Command;

use anyhow::{Result, bail};
use clap::Args;
use tinfer_build::Board;

use crate::process;
use crate::project::Project;
use crate::toolchain::{self, CrossToolchain, DEBIAN_PACKAGES};
use apt::Apt;
pub use tools::python;

/// What setup may do.
#[derive(Args, Default)]
pub struct Options {
    /// Install nothing; exit with 1 when something is missing
    #[arg(long)]
    check: bool,
    /// Print no line for what is there
    #[arg(skip)]
    silent_when_found: bool,
}

impl Options {
    /// For tasks that need some tools and have more to say than where those are.
    pub fn silent_when_found() -> Self {
        Self { silent_when_found: true, ..Self::default() }
    }
}

/// Finds or installs everything.
///
/// # Errors
/// When something is missing at the end; the lines printed say what.
pub fn run(project: &Project, options: &Options) -> Result<()> {
    let n_missing = prepare(project, options, &Purpose::ALL)?;
    if n_missing > 0 {
        bail!("{n_missing} missing: see the lines above");
    }
    Ok(())
}

/// What a tool is for: a task asks for the tools of its purpose only.
#[derive(Clone, Copy, PartialEq, Eq)]
pub enum Purpose {
    /// Build firmware and run it in the emulator.
    Firmware,
    /// Build the `tinfer` binary for Linux boards and try it here.
    Dist,
    /// Compare with other implementations.
    Tests,
}

impl Purpose {
    const ALL: [Self; 3] = [Self::Firmware, Self::Dist, Self::Tests];
}

/// Finds or installs what serves one of `purposes`; returns how many tools are missing.
///
/// # Errors
/// A project whose boards cannot be read. A tool that is missing is no error.
pub fn prepare(project: &Project, options: &Options, purposes: &[Purpose]) -> Result<usize> {
    let mut apt = Apt::find();
    let mut n_missing = 0;
    for tool in tools(project)?.iter().filter(|tool| purposes.contains(&tool.purpose)) {
        let (word, what) = match (tool.find)() {
            Some(place) => ("found", place),
            None if options.check => ("missing", tool.to_type(&apt)),
            None => install(tool, &mut apt),
        };
        n_missing += usize::from(word == "missing");
        if word != "found" || !options.silent_when_found {
            println!("{word:<10}{:<36}{what}", tool.name);
        }
    }
    Ok(n_missing)
}

/// One thing to have.
struct Tool<'a> {
    name: String,
    purpose: Purpose,
    /// Where it is, when it is there and works.
    find: Box<dyn Fn() -> Option<String> + 'a>,
    /// In this order; the first that makes `find` succeed is the last.
    ways: Vec<Way<'a>>,
}

/// A way to install a tool.
enum Way<'a> {
    /// `rustup target add`.
    RustupTarget(String),
    /// Debian packages.
    Apt(&'a [&'a str]),
    /// Our own steps, and the one line that does the same by hand.
    Steps { install: Box<dyn Fn() -> Result<()> + 'a>, line: String },
}

impl Tool<'_> {
    fn to_type(&self, apt: &Apt) -> String {
        let lines: Vec<String> = self.ways.iter().filter_map(|way| way.line(apt)).collect();
        if lines.is_empty() {
            "no apt-get here: install it the way this system installs programs".to_owned()
        } else {
            format!("type: {}", lines.join("   or: "))
        }
    }
}

impl Way<'_> {
    fn line(&self, apt: &Apt) -> Option<String> {
        match self {
            Self::RustupTarget(target) => process::find("rustup").map(|_| format!("rustup target add {target}")),
            Self::Apt(packages) => apt.line(packages),
            Self::Steps { line, .. } => Some(line.clone()),
        }
    }

    /// Says what was done.
    fn install(&self, apt: &mut Apt) -> Result<String> {
        match self {
            Self::RustupTarget(target) => {
                let mut command = Command::new("rustup");
                process::run_quietly(command.args(["target", "add", target]))?;
                Ok(process::line(&command))
            }
            Self::Apt(packages) => apt.install(packages),
            Self::Steps { install, line } => install().map(|()| line.clone()),
        }
    }
}

fn install(tool: &Tool, apt: &mut Apt) -> (&'static str, String) {
    let mut reasons = Vec::new();
    for way in &tool.ways {
        if way.line(apt).is_none() {
            continue;
        }
        match way.install(apt) {
            Ok(done) => match (tool.find)() {
                Some(place) => return ("installed", format!("{place} ({done})")),
                None => reasons.push(format!("`{done}` did not bring it")),
            },
            Err(error) => reasons.push(format!("{error:#}").lines().next().unwrap_or_default().to_owned()),
        }
    }
    let reasons = if reasons.is_empty() { String::new() } else { format!(" ({})", reasons.join("; ")) };
    ("missing", format!("{}{reasons}", tool.to_type(apt)))
}

fn tools(project: &Project) -> Result<Vec<Tool<'_>>> {
    let mut targets: Vec<String> = Board::all().into_iter().map(|board| board.target).collect();
    targets.sort();
    targets.dedup();
    let mut tools: Vec<Tool> = targets.into_iter().map(|target| rust_for(target, Purpose::Firmware)).collect();
    tools.push(program("qemu-system-arm", Purpose::Firmware, &["qemu-system-arm"]));
    tools.push(tools::defmt_print(project)?);
    let target = dist_target();
    if let Some(prefix) = toolchain::gnu_prefix(target) {
        tools.push(program(
            &format!("{prefix}-gcc"),
            Purpose::Dist,
            &["gcc-aarch64-linux-gnu", "libc6-dev-arm64-cross"],
        ));
        tools.push(program("qemu-aarch64", Purpose::Dist, &["qemu-user"]));
        tools.push(rust_for(target.to_owned(), Purpose::Dist));
    }
    tools.push(tools::imgtool(project)?);
    Ok(tools)
}

/// The Linux target that `dist` is tested with.
pub fn dist_target() -> &'static str {
    "aarch64-unknown-linux-gnu"
}

fn rust_for(target: String, purpose: Purpose) -> Tool<'static> {
    let wanted = target.clone();
    Tool {
        name: format!("Rust for {}", target.trim_end_matches("-unknown-linux-gnu")),
        purpose,
        find: Box::new(move || CrossToolchain::find(&wanted).map(|toolchain| toolchain.describe())),
        ways: vec![Way::RustupTarget(target), Way::Apt(&DEBIAN_PACKAGES)],
    }
}

fn program<'a>(name: &str, purpose: Purpose, packages: &'a [&'a str]) -> Tool<'a> {
    let wanted = name.to_owned();
    Tool {
        name: name.to_owned(),
        purpose,
        find: Box::new(move || process::find(&wanted).map(|place| place.display().to_string())),
        ways: vec![Way::Apt(packages)],
    }
}
