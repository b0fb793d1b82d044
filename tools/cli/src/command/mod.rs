//! One file per subcommand.

pub mod bench;
pub mod convert;
pub mod flash;
pub mod inspect;
pub mod run;
pub mod tables;
pub mod verify;

use crate::failure::Failure;

/// `NAME=N` of `--dim`.
pub fn dimension(text: &str) -> Result<(String, usize), String> {
    let parsed = text.rsplit_once('=').and_then(|(name, n)| Some((name.to_string(), n.parse::<usize>().ok()?)));
    parsed.filter(|(name, n)| !name.is_empty() && *n > 0).ok_or_else(|| "expected NAME=N with N of at least 1".into())
}

/// Bytes for people.
pub fn bytes(n: usize) -> String {
    let digits = n.to_string();
    let groups: Vec<&str> = digits.as_bytes().rchunks(3).rev().filter_map(|g| std::str::from_utf8(g).ok()).collect();
    groups.join(",")
}

/// A warning for people; scripts find it in the answer.
pub fn warn(warnings: &[String]) {
    for warning in warnings {
        log::warn!("{warning}");
    }
}

/// The folder of an output must exist before minutes of work.
pub fn check_output(path: &std::path::Path) -> Result<(), Failure> {
    let folder = path.parent().filter(|p| !p.as_os_str().is_empty());
    let problem = match folder {
        Some(folder) if !folder.is_dir() => Some(format!("there is no folder {}", folder.display())),
        _ if path.is_dir() => Some(format!("{} is a folder, not a file", path.display())),
        _ => None,
    };
    match problem {
        Some(message) => Err(Failure { code: "file".into(), ..Failure::argument(message, "choose another --output") }),
        None => Ok(()),
    }
}

#[cfg(test)]
mod tests {
    use super::*;

    #[test]
    fn dimensions_and_numbers() {
        assert_eq!(dimension("batch=4"), Ok(("batch".into(), 4)));
        assert_eq!(dimension("a=b=4"), Ok(("a=b".into(), 4)));
        for wrong in ["batch", "=3", "batch=0", "batch=-1", "batch=x"] {
            assert!(dimension(wrong).is_err(), "{wrong}");
        }
        assert_eq!(bytes(1_234_567), "1,234,567");
        assert_eq!(bytes(12), "12");
    }
}
