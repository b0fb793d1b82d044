//! Debian's package manager, when there is one and we may use it.

use std::process::Command;

use anyhow::{Result, bail};

use crate::process;

/// What may be done with `apt-get` here.
pub struct Apt {
    rights: Rights,
    updated: bool,
}

#[derive(Clone, Copy, PartialEq, Eq)]
enum Rights {
    Root,
    /// `sudo` asks for no password.
    Sudo,
    /// Somebody has to type it.
    None,
    /// Not a Debian.
    NoApt,
}

impl Apt {
    /// Looks for `apt-get` and for the right to use it; asks for no password.
    pub fn find() -> Self {
        Self { rights: find_rights(), updated: false }
    }

    /// What one would type, or `None` where there is no apt.
    pub fn line(&self, packages: &[&str]) -> Option<String> {
        let packages = packages.join(" ");
        match self.rights {
            Rights::NoApt => None,
            Rights::Root => Some(format!("apt-get install -y {packages}")),
            Rights::Sudo | Rights::None => Some(format!("sudo apt-get install -y {packages}")),
        }
    }

    /// Installs, after one `apt-get update` for all installs of this run. Says what was done.
    ///
    /// # Errors
    /// No rights, or what apt said last.
    pub fn install(&mut self, packages: &[&str]) -> Result<String> {
        if matches!(self.rights, Rights::None | Rights::NoApt) {
            bail!("apt-get needs a password");
        }
        if !self.updated {
            // A failing update may still leave good lists: the install has the last word.
            let _ = process::run_quietly(self.command().arg("update"));
            self.updated = true;
        }
        process::run_quietly(self.command().args(["install", "-y", "--no-install-recommends"]).args(packages))?;
        Ok(format!("apt-get install {}", packages.join(" ")))
    }

    fn command(&self) -> Command {
        let mut command = if self.rights == Rights::Sudo {
            let mut command = Command::new("sudo");
            command.args(["-n", "DEBIAN_FRONTEND=noninteractive", "apt-get"]);
            command
        } else {
            Command::new("apt-get")
        };
        command.env("DEBIAN_FRONTEND", "noninteractive").args(["-q", "-o", "DPkg::Lock::Timeout=120"]);
        command
    }
}

fn find_rights() -> Rights {
    if process::find("apt-get").is_none() {
        return Rights::NoApt;
    }
    let user = Command::new("id").arg("-u").output();
    if user.is_ok_and(|output| output.stdout.trim_ascii() == b"0") {
        return Rights::Root;
    }
    if process::succeeds(Command::new("sudo").args(["-n", "true"])) { Rights::Sudo } else { Rights::None }
}

#[cfg(test)]
mod tests {
    use super::*;

    #[test]
    fn the_line_to_type_fits_the_rights() {
        let cases = [
            (Rights::Root, Some("apt-get install -y a b")),
            (Rights::None, Some("sudo apt-get install -y a b")),
            (Rights::NoApt, None),
        ];
        for (rights, line) in cases {
            assert_eq!(Apt { rights, updated: false }.line(&["a", "b"]).as_deref(), line);
        }
    }

    #[test]
    fn without_rights_nothing_is_tried() {
        let error = Apt { rights: Rights::None, updated: false }.install(&["a"]).unwrap_err();
        assert_eq!(error.to_string(), "apt-get needs a password");
    }
}
