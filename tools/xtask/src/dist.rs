//! `cargo xtask dist`: the `tinfer` binary for Arm Linux boards and for this kind of machine, stripped.

use std::path::{Path, PathBuf};
use std::process::Command;

use anyhow::{Context, Result, bail};
use clap::{Args, ValueEnum};

use crate::process;
use crate::project::Project;
use crate::toolchain::{self, CrossToolchain};

/// For which machines.
#[derive(Args)]
pub struct Options {
    /// Processor of the Linux machine; may be given several times
    #[arg(long = "target", required = true)]
    targets: Vec<Target>,
}

/// A Linux machine that `tinfer` runs on.
#[derive(Clone, Copy, ValueEnum)]
pub enum Target {
    /// Raspberry Pi 3 and later with a 64-bit system, and the like.
    #[value(name = "aarch64")]
    Aarch64,
    /// This kind of machine.
    #[value(name = "x86_64")]
    X86_64,
}

/// Builds each and prints where it is and how large.
///
/// # Errors
/// What [`build`] meets.
pub fn run(project: &Project, options: &Options) -> Result<()> {
    for &target in &options.targets {
        let binary = build(project, target)?;
        println!("{} {} bytes", binary.display(), binary.metadata()?.len());
    }
    Ok(())
}

/// Builds `dist/tinfer-<target>`.
///
/// # Errors
/// No compiler for the target, or what the compiler said.
pub fn build(project: &Project, target: Target) -> Result<PathBuf> {
    let triple = target.triple();
    let built = if triple == HOST { build_host(project)? } else { build_cross(project, triple)? };
    let folder = project.root().join("dist");
    std::fs::create_dir_all(&folder)?;
    let binary = folder.join(format!("tinfer-{}", target.name()));
    strip(triple, &built, &binary)?;
    Ok(binary)
}

/// The program behind QEMU's user-mode emulation, with the cross compiler's C library.
pub fn emulated(binary: &Path) -> Command {
    let Some(prefix) = toolchain::gnu_prefix(Target::Aarch64.triple()) else { return Command::new(binary) };
    let mut command = Command::new("qemu-aarch64");
    command.arg("-L").arg(format!("/usr/{prefix}")).arg(binary);
    command
}

impl Target {
    fn triple(self) -> &'static str {
        match self {
            Self::Aarch64 => "aarch64-unknown-linux-gnu",
            Self::X86_64 => "x86_64-unknown-linux-gnu",
        }
    }

    fn name(self) -> &'static str {
        match self {
            Self::Aarch64 => "aarch64",
            Self::X86_64 => "x86_64",
        }
    }
}

/// The ordinary release build, not one of its own: tract takes minutes.
fn build_host(project: &Project) -> Result<PathBuf> {
    process::run(toolchain::cargo("build", project.root()).args(["--release", "--package", "tinfer-cli"]))?;
    Ok(project.target_folder().join("release/tinfer"))
}

fn build_cross(project: &Project, triple: &str) -> Result<PathBuf> {
    let toolchain = CrossToolchain::require(triple)?;
    // A folder of its own: the compiler may be another one, and Cargo locks a folder while it builds.
    let target_folder = project.target_folder().join("dist");
    let mut command = toolchain.cargo("build", &target_folder, &[]);
    process::run(command.current_dir(project.root()).args(["--package", "tinfer-cli"]))?;
    Ok(target_folder.join(triple).join("release/tinfer"))
}

fn strip(triple: &str, built: &Path, binary: &Path) -> Result<()> {
    let program = match toolchain::gnu_prefix(triple) {
        Some(prefix) => format!("{prefix}-strip"),
        None => "strip".to_owned(),
    };
    let mut command = Command::new(&program);
    process::run(command.arg("-o").arg(binary).arg(built)).context("stripping needs binutils")?;
    if !binary.is_file() {
        bail!("{program} wrote nothing");
    }
    Ok(())
}

/// The target this program was compiled for, as far as `dist` knows targets.
const HOST: &str = if cfg!(all(target_arch = "x86_64", target_os = "linux")) {
    "x86_64-unknown-linux-gnu"
} else if cfg!(all(target_arch = "aarch64", target_os = "linux")) {
    "aarch64-unknown-linux-gnu"
} else {
    ""
};
