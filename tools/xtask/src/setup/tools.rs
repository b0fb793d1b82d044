//! Tools that come from a language's own registry, kept in our cache and nowhere else.

use std::path::{Path, PathBuf};
use std::process::Command;

use anyhow::{Context, Result};

use super::{Purpose, Tool, Way};
use crate::process;
use crate::project::Project;
use crate::toolchain;

/// Decodes the log of a firmware.
pub fn defmt_print(project: &Project) -> Result<Tool<'_>> {
    let folder = project.tools_folder()?;
    let cached = folder.join("bin/defmt-print");
    let package = format!("defmt-print@{DEFMT_PRINT_VERSION}");
    let line = format!("cargo install --locked --debug {package} --root {}", folder.display());
    let install = move || {
        let mut command = toolchain::cargo("install", project.root());
        // Unoptimized, it is built in a third of the time and decodes faster than any board talks.
        // Its build must not land in, nor wait for, the target folder of whoever runs us.
        command.args(["--locked", "--debug", &package, "--root"]).arg(&folder).env_remove("CARGO_TARGET_DIR");
        process::run_quietly(&mut command)
    };
    Ok(Tool {
        name: "defmt-print".to_owned(),
        purpose: Purpose::Firmware,
        find: Box::new(move || find_working(&cached, "defmt-print")),
        ways: vec![Way::Steps { install: Box::new(install), line }],
    })
}

/// The Python with the packages that tests need.
pub fn python(project: &Project) -> Result<PathBuf> {
    Ok(project.tools_folder()?.join("imgtool/bin/python3"))
}

/// MCUboot's own tool, a second opinion on our image envelope; numpy, which reads test sets; onnx, which has a test
/// suite.
pub fn imgtool(project: &Project) -> Result<Tool<'_>> {
    let folder = project.tools_folder()?.join("imgtool");
    let program = folder.join("bin/imgtool");
    let python = python(project)?;
    let place = folder.display();
    let line = format!("python3 -m venv {place} && {place}/bin/pip install {}", PYTHON_PACKAGES.join(" "));
    let install = move || {
        // A half-made environment of an earlier try would stay broken.
        if folder.exists() {
            std::fs::remove_dir_all(&folder).with_context(|| format!("cannot remove {}", folder.display()))?;
        }
        process::run_quietly(Command::new("python3").args(["-m", "venv"]).arg(&folder))?;
        let mut pip = Command::new(folder.join("bin/pip"));
        process::run_quietly(pip.args(["install", "--quiet", "--disable-pip-version-check"]).args(PYTHON_PACKAGES))
    };
    let mut ways = vec![Way::Steps { install: Box::new(install), line }];
    if !process::succeeds(Command::new("python3").args(["-c", "import ensurepip, venv"])) {
        ways.insert(0, Way::Apt(&["python3-venv"]));
    }
    Ok(Tool {
        name: "imgtool, numpy, onnx".to_owned(),
        purpose: Purpose::Tests,
        find: Box::new(move || {
            let found = find_working(&program, "imgtool")?;
            process::succeeds(Command::new(&python).args(["-c", "import numpy, onnx"])).then_some(found)
        }),
        ways,
    })
}

/// In the cache, else in PATH; it must start.
fn find_working(cached: &Path, name: &str) -> Option<String> {
    let program = if cached.is_file() { cached.to_owned() } else { process::find(name)? };
    // imgtool has no --version, defmt-print no `version`: both know --help.
    process::succeeds(Command::new(&program).arg("--help")).then(|| program.display().to_string())
}

const DEFMT_PRINT_VERSION: &str = "1.2.0";
const PYTHON_PACKAGES: [&str; 3] = ["imgtool==2.5.0", "numpy==2.4.6", "onnx==1.22.0"];
