//! How to build for a target that is not this machine. Nothing else in the project knows.
//!
//! Two toolchains will do. The one in use, when `rustup` has added the target's standard library to it; else
//! Debian's, a complete compiler under `/usr/bin` that brings the library's sources, from which Cargo builds it
//! (`-Zbuild-std`). The second needs no server but the distribution's.

use std::path::{Path, PathBuf};
use std::process::Command;

use anyhow::{Result, bail};

use crate::process;

/// Debian packages that hold a compiler with sources, and the linker for bare metal.
pub const DEBIAN_PACKAGES: [&str; 4] = ["rustc-web", "cargo-web", "rust-web-src", "lld-22"];

/// A compiler that can build for one target.
#[derive(Debug, Clone, PartialEq, Eq)]
pub struct CrossToolchain {
    target: String,
    source: Source,
}

#[derive(Debug, Clone, PartialEq, Eq)]
enum Source {
    /// The toolchain in use has the target's libraries.
    Installed,
    /// Debian's toolchain builds them.
    Debian { linker: Option<PathBuf> },
}

impl CrossToolchain {
    /// Finds one, or `None` when `cargo xtask setup` has something to do.
    pub fn find(target: &str) -> Option<Self> {
        Some(Self { target: target.to_owned(), source: find_source(target)? })
    }

    /// Finds one.
    ///
    /// # Errors
    /// When there is none, with what to type.
    pub fn require(target: &str) -> Result<Self> {
        match Self::find(target) {
            Some(toolchain) => Ok(toolchain),
            None => bail!("no Rust compiler for {target}: run `cargo xtask setup`"),
        }
    }

    /// Where it comes from, for people.
    pub fn describe(&self) -> String {
        match &self.source {
            Source::Installed => "rustup target of the toolchain in use".to_owned(),
            Source::Debian { .. } => format!("{DEBIAN_CARGO} with -Zbuild-std"),
        }
    }

    /// `rustc 1.95.0`.
    ///
    /// # Errors
    /// A compiler that does not start.
    pub fn compiler_version(&self) -> Result<String> {
        let program = match &self.source {
            Source::Installed => "rustc",
            Source::Debian { .. } => DEBIAN_RUSTC,
        };
        let text = process::read(Command::new(program).arg("--version").env_remove("LD_LIBRARY_PATH"))?;
        Ok(text.split(' ').take(2).collect::<Vec<_>>().join(" "))
    }

    /// `cargo SUBCOMMAND --release --target T --target-dir FOLDER`, ready to be given a package.
    ///
    /// `flags` go to rustc beside those of the workspace's `.cargo/config.toml`.
    /// The environment of a surrounding Cargo is removed: this may be called from a build or a test.
    pub fn cargo(&self, subcommand: &str, target_folder: &Path, flags: &[String]) -> Command {
        let mut command = match &self.source {
            Source::Installed => Command::new(host_cargo()),
            Source::Debian { .. } => Command::new(DEBIAN_CARGO),
        };
        for variable in SURROUNDING_CARGO {
            command.env_remove(variable);
        }
        command.args([subcommand, "--release", "--target", &self.target]);
        command.arg("--target-dir").arg(target_folder);
        if let Source::Debian { linker } = &self.source {
            self.use_debian(&mut command, linker.as_deref());
        }
        if let Some(prefix) = self.gnu_prefix() {
            self.use_gnu(&mut command, prefix);
        }
        if !flags.is_empty() {
            // A list given here is added to the list in config.toml; an environment variable would replace it.
            self.configure(&mut command, "rustflags", flags);
        }
        command
    }

    fn use_debian(&self, command: &mut Command, linker: Option<&Path>) {
        let libraries = if self.is_bare_metal() { "core" } else { "std,panic_abort" };
        command.arg(format!("-Zbuild-std={libraries}"));
        // -Z options are refused by a release compiler unless this is set.
        command.env("RUSTC_BOOTSTRAP", "1");
        command.env("RUSTC", DEBIAN_RUSTC).env("RUSTDOC", "/usr/bin/rustdoc");
        // rustup adds the folder of its own compiler's libraries; Debian's compiler must not load those.
        command.env_remove("LD_LIBRARY_PATH").env_remove("RUSTUP_TOOLCHAIN");
        if let Some(linker) = linker {
            self.configure(command, "linker", linker);
        }
    }

    fn use_gnu(&self, command: &mut Command, prefix: &str) {
        let compiler = format!("{prefix}-gcc");
        let underscored = self.target.replace('-', "_");
        self.configure(command, "linker", &compiler);
        command.env(format!("CC_{underscored}"), &compiler);
        command.env(format!("AR_{underscored}"), format!("{prefix}-ar"));
    }

    /// Cargo reads the dots of `thumbv8m.main-none-eabihf` as steps into a table: the name stays unquoted.
    fn configure(&self, command: &mut Command, key: &str, value: impl std::fmt::Debug) {
        command.arg("--config").arg(format!("target.{}.{key}={value:?}", self.target));
    }

    fn is_bare_metal(&self) -> bool {
        self.target.contains("-none")
    }

    fn gnu_prefix(&self) -> Option<&'static str> {
        gnu_prefix(&self.target)
    }
}

/// Prefix of the GNU cross tools (`<prefix>-gcc`, `-strip`) of a Linux target; `None` for this machine and bare metal.
pub fn gnu_prefix(target: &str) -> Option<&'static str> {
    match target {
        "aarch64-unknown-linux-gnu" if cfg!(not(target_arch = "aarch64")) => Some("aarch64-linux-gnu"),
        "armv7-unknown-linux-gnueabihf" => Some("arm-linux-gnueabihf"),
        _ => None,
    }
}

/// The Cargo that runs us, for builds that run on this machine.
pub fn host_cargo() -> PathBuf {
    std::env::var_os("CARGO").map_or_else(|| PathBuf::from("cargo"), PathBuf::from)
}

/// `cargo SUBCOMMAND` for this machine, in `folder`.
pub fn cargo(subcommand: &str, folder: &Path) -> Command {
    let mut command = Command::new(host_cargo());
    command.arg(subcommand).current_dir(folder);
    command
}

fn find_source(target: &str) -> Option<Source> {
    if has_library("rustc", target) {
        return Some(Source::Installed);
    }
    if !is_debian_usable() {
        return None;
    }
    if !target.contains("-none") {
        return Some(Source::Debian { linker: None });
    }
    // Bare-metal targets name `rust-lld`, which Debian has in some releases only; its lld is the same program.
    let named = process::find("rust-lld").is_some();
    let linker = if named { None } else { Some(find_lld()?) };
    Some(Source::Debian { linker })
}

fn has_library(rustc: &str, target: &str) -> bool {
    let mut command = Command::new(rustc);
    command.args(["--print", "target-libdir", "--target", target]);
    let Ok(output) = command.output() else { return false };
    let folder = PathBuf::from(String::from_utf8_lossy(&output.stdout).trim());
    let Ok(files) = std::fs::read_dir(folder) else { return false };
    files.flatten().any(|file| file.file_name().to_string_lossy().starts_with("libcore-"))
}

fn is_debian_usable() -> bool {
    let sources = Path::new("/usr/lib/rustlib/src/rust/library/core/Cargo.toml").is_file();
    if !sources || !Path::new(DEBIAN_CARGO).is_file() {
        return false;
    }
    let Ok(output) = Command::new(DEBIAN_RUSTC).arg("--version").env_remove("LD_LIBRARY_PATH").output() else {
        return false;
    };
    minor_version(&String::from_utf8_lossy(&output.stdout)).is_some_and(|minor| minor >= OLDEST_MINOR)
}

/// 96 for `rustc 1.96.0 (...)`.
fn minor_version(version: &str) -> Option<u32> {
    version.strip_prefix("rustc 1.")?.split('.').next()?.parse().ok()
}

fn find_lld() -> Option<PathBuf> {
    let versioned = (15..=40).rev().map(|version| format!("ld.lld-{version}"));
    versioned.chain(["ld.lld".to_owned()]).find_map(|name| process::find(&name))
}

const DEBIAN_CARGO: &str = "/usr/bin/cargo";
const DEBIAN_RUSTC: &str = "/usr/bin/rustc";

/// `rust-version` of the workspace: edition 2024 and naked functions.
const OLDEST_MINOR: u32 = 94;

/// What Cargo and clippy tell the programs they run, and what would turn a firmware build into a host build.
const SURROUNDING_CARGO: [&str; 13] = [
    "CARGO",
    "CARGO_BUILD_TARGET",
    "CARGO_ENCODED_RUSTFLAGS",
    "CARGO_MAKEFLAGS",
    "CARGO_TARGET_DIR",
    "MAKEFLAGS",
    "MFLAGS",
    "RUSTC",
    "RUSTC_WORKSPACE_WRAPPER",
    "RUSTC_WRAPPER",
    "RUSTDOC",
    "RUSTFLAGS",
    "TARGET",
];

#[cfg(test)]
mod tests {
    use super::*;

    #[test]
    fn versions_are_read() {
        let cases = [("rustc 1.96.0 (ac68faa20 2026-05-25)", Some(96)), ("rustc 2.0.0", None), ("", None)];
        for (text, minor) in cases {
            assert_eq!(minor_version(text), minor, "{text}");
        }
    }

    #[test]
    fn commands_say_what_they_build() {
        let debian = Source::Debian { linker: Some("/usr/bin/ld.lld-22".into()) };
        let cases = [
            ("thumbv7em-none-eabihf", Source::Installed, "", ""),
            ("thumbv7em-none-eabihf", debian.clone(), "-Zbuild-std=core", "/usr/bin/ld.lld-22"),
            ("aarch64-unknown-linux-gnu", Source::Debian { linker: None }, "-Zbuild-std=std", "aarch64-linux-gnu-gcc"),
        ];
        for (target, source, argument, linker) in cases {
            let toolchain = CrossToolchain { target: target.to_owned(), source };
            let command = toolchain.cargo("build", Path::new("out"), &["--cfg".to_owned()]);
            let line = process::line(&command);
            assert!(line.contains(&format!("build --release --target {target} --target-dir out")), "{line}");
            assert!(line.contains(argument), "{line}");
            assert!(line.contains(linker), "{line}");
            assert!(line.contains(&format!(r#"target.{target}.rustflags=["--cfg"]"#)), "{line}");
        }
    }
}
