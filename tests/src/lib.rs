//! What tests that cross crates share: where models and optional data are.

pub mod command_line;
pub mod onnx;

use std::path::{Path, PathBuf};

/// The project's root folder.
pub fn root() -> PathBuf {
    Path::new(env!("CARGO_MANIFEST_DIR")).join("..")
}

/// A file of the optional data folder `../shared/data`; says so when it is not there.
pub fn shared_data(file: &str) -> Option<PathBuf> {
    // A checkout may lie deeper than the folder beside which the data are.
    let path = root().canonicalize().ok()?.ancestors().map(|a| a.join("shared/data").join(file)).find(|p| p.is_file());
    if path.is_none() {
        println!("shared/data/{file} is not there: skipped");
    }
    path
}
