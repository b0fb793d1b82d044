//! The `tinfer` command as a user runs it.

use serde_json::Value;
use std::ffi::OsStr;
use std::path::PathBuf;
use std::process::Command;
use std::sync::OnceLock;

/// What a command did.
#[derive(Clone, Debug)]
pub struct Outcome {
    /// Exit code.
    pub code: i32,
    /// Everything on stdout.
    pub stdout: String,
    /// Everything on stderr.
    pub stderr: String,
}

impl Outcome {
    /// The JSON object on stdout, where nothing else may be.
    ///
    /// # Panics
    /// When it is none.
    pub fn json(&self) -> Value {
        let value: Value = serde_json::from_str(&self.stdout).unwrap_or_else(|e| panic!("{e}: {self:?}"));
        assert!(value.is_object(), "{value}");
        value
    }

    /// The same outcome, which must be a success.
    ///
    /// # Panics
    /// When it is not.
    pub fn ok(self) -> Self {
        assert_eq!(self.code, 0, "{self:?}");
        self
    }
}

/// Runs `tinfer` with these arguments.
///
/// # Panics
/// When the program cannot be built or started, or ends by a signal.
pub fn tinfer<S: AsRef<OsStr>>(arguments: &[S]) -> Outcome {
    let output = Command::new(program()).args(arguments).env_remove("RUST_LOG").output().expect("tinfer starts");
    let text = |bytes: Vec<u8>| String::from_utf8(bytes).expect("tinfer writes UTF-8");
    let code = output.status.code().expect("tinfer ends by itself");
    Outcome { code, stdout: text(output.stdout), stderr: text(output.stderr) }
}

/// The program, built from the sources that are tested: tests of another package do not build it by themselves.
fn program() -> &'static PathBuf {
    static PROGRAM: OnceLock<PathBuf> = OnceLock::new();
    PROGRAM.get_or_init(|| {
        let test = std::env::current_exe().expect("a test knows its file");
        let folder = test.parent().and_then(|deps| deps.parent()).expect("tests lie in target/PROFILE/deps");
        let mut cargo = Command::new(env!("CARGO"));
        cargo.args(["build", "--quiet", "--package", "tinfer-cli"]).current_dir(crate::root());
        if folder.ends_with("release") {
            cargo.arg("--release");
        }
        assert!(cargo.status().expect("cargo starts").success(), "tinfer-cli does not build");
        folder.join(format!("tinfer{}", std::env::consts::EXE_SUFFIX))
    })
}
