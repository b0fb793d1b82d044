//! Where things are: the checkout, its target folders, and the cache outside of it.

use std::path::{Path, PathBuf};

use anyhow::{Context, Result, bail};

/// The checkout that this program was built from.
pub struct Project {
    root: PathBuf,
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
}
