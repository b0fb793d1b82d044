//! Where things are: the checkout, its target folder, its boards, and the cache outside of it.

use std::path::{Path, PathBuf};

use anyhow::{Context, Result, bail};
use serde::Deserialize;

/// The checkout that this program was built from.
pub struct Project {
    root: PathBuf,
}

/// The facts of `firmware/boards/<board>/board.toml` that decide how to compile for it.
#[derive(Debug, Clone, Deserialize, PartialEq, Eq)]
pub struct Board {
    /// Folder, package and `--target` name.
    pub name: String,
    /// Rust target triple.
    pub target: String,
    /// Instruction set the kernels are chosen for.
    pub isa: String,
    /// Whether QEMU has this board.
    #[serde(skip)]
    pub emulated: bool,
}

#[derive(Deserialize)]
struct BoardFile {
    board: Board,
    emulator: Option<toml::Table>,
}

impl Project {
    /// # Errors
    /// When the folder this program was compiled in is gone.
    pub fn find() -> Result<Self> {
        // Cargo sets the variable for `cargo run`: right even when a cached program serves another checkout.
        let manifest = std::env::var("CARGO_MANIFEST_DIR").unwrap_or_else(|_| env!("CARGO_MANIFEST_DIR").to_owned());
        let root = Path::new(&manifest).ancestors().nth(2).context("xtask lies outside of a project")?;
        if !root.join("tools/xtask/Cargo.toml").is_file() {
            bail!("{} is not a checkout of tinfer; run `cargo xtask` inside one", root.display());
        }
        Ok(Self { root: root.to_owned() })
    }

    /// Top folder of the checkout.
    pub fn root(&self) -> &Path {
        &self.root
    }

    /// Where Cargo puts what it builds for the host.
    pub fn target_folder(&self) -> PathBuf {
        match std::env::var_os("CARGO_TARGET_DIR") {
            Some(folder) => self.root.join(folder),
            None => self.root.join("target"),
        }
    }

    /// Where Cargo puts firmware: always inside the checkout, so that its path is the same for everyone.
    pub fn firmware_target_folder(&self) -> PathBuf {
        self.root.join("firmware/target")
    }

    /// What is kept between checkouts: tools, and nothing that cannot be made again.
    ///
    /// # Errors
    /// When neither XDG_CACHE_HOME nor HOME is set.
    pub fn cache_folder(&self) -> Result<PathBuf> {
        if let Some(folder) = std::env::var_os("XDG_CACHE_HOME").filter(|folder| !folder.is_empty()) {
            return Ok(Path::new(&folder).join("tinfer"));
        }
        let home = std::env::home_dir().context("no home folder: set XDG_CACHE_HOME")?;
        Ok(home.join(".cache/tinfer"))
    }

    /// Root of tools installed by `cargo xtask setup`; programs are in its `bin`.
    ///
    /// # Errors
    /// As [`Project::cache_folder`].
    pub fn tools_folder(&self) -> Result<PathBuf> {
        Ok(self.cache_folder()?.join("tools"))
    }

    /// All boards, sorted by name.
    ///
    /// # Errors
    /// A `board.toml` that cannot be read.
    pub fn boards(&self) -> Result<Vec<Board>> {
        let folder = self.root.join("firmware/boards");
        let mut boards = Vec::new();
        for entry in std::fs::read_dir(&folder).with_context(|| format!("no boards in {}", folder.display()))? {
            let file = entry?.path().join("board.toml");
            if file.is_file() {
                boards.push(read_board(&file)?);
            }
        }
        boards.sort_by(|a, b| a.name.cmp(&b.name));
        Ok(boards)
    }

    /// The board of this name.
    ///
    /// # Errors
    /// No such board; the text lists those there are.
    pub fn board(&self, name: &str) -> Result<Board> {
        let boards = self.boards()?;
        let Some(board) = boards.iter().find(|board| board.name == name) else {
            let names: Vec<&str> = boards.iter().map(|board| board.name.as_str()).collect();
            bail!("no board {name}; there are: {}", names.join(", "));
        };
        Ok(board.clone())
    }
}

fn read_board(file: &Path) -> Result<Board> {
    let text = std::fs::read_to_string(file)?;
    let parsed: BoardFile = toml::from_str(&text).with_context(|| format!("in {}", file.display()))?;
    let mut board = parsed.board;
    board.emulated = parsed.emulator.is_some();
    let folder = file.parent().and_then(Path::file_name).unwrap_or_default();
    if *folder != *board.name {
        bail!("{}: board.name is {:?}, its folder is {folder:?}", file.display(), board.name);
    }
    Ok(board)
}
