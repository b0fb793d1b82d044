//! Embeds every `firmware/boards/*/board.toml`, so that a board is known by its folder alone.

use std::fmt::Write;
use std::path::{Path, PathBuf};
use std::{env, fs, io};

fn main() -> io::Result<()> {
    let boards = Path::new(&env::var("CARGO_MANIFEST_DIR").map_err(io::Error::other)?).join("../../firmware/boards");
    println!("cargo::rerun-if-changed={}", boards.display());
    let mut files: Vec<PathBuf> = fs::read_dir(&boards)?
        .map(|entry| entry.map(|entry| entry.path().join("board.toml")))
        .collect::<io::Result<_>>()?;
    files.retain(|file| file.is_file());
    files.sort();
    let mut list = String::from("&[\n");
    for file in files {
        let file = file.canonicalize()?;
        println!("cargo::rerun-if-changed={}", file.display());
        writeln!(list, "    include_str!({file:?}),").map_err(io::Error::other)?;
    }
    list.push_str("]\n");
    let out = env::var("OUT_DIR").map_err(io::Error::other)?;
    fs::write(Path::new(&out).join("boards.rs"), list)
}
