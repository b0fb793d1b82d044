//! Other programs: found, run, and blamed by name when they fail.

use std::path::{Path, PathBuf};
use std::process::{Command, Output, Stdio};
use std::sync::mpsc;
use std::thread;
use std::time::Duration;

use anyhow::{Context, Result, bail};

/// Runs to the end, output going where ours goes.
///
/// # Errors
/// The command line and its exit status when it cannot start or does not succeed.
pub fn run(command: &mut Command) -> Result<()> {
    let status = command.stdin(Stdio::null()).status().with_context(|| format!("cannot start `{}`", line(command)))?;
    if !status.success() {
        bail!("`{}` failed: {status}", line(command));
    }
    Ok(())
}

/// Runs to the end and returns what was printed on stdout; stderr goes where ours goes.
///
/// # Errors
/// As [`run`].
pub fn read(command: &mut Command) -> Result<String> {
    let output = capture(command.stderr(Stdio::inherit()))?;
    if !output.status.success() {
        bail!("`{}` failed: {}\n{}", line(command), output.status, String::from_utf8_lossy(&output.stdout).trim_end());
    }
    Ok(String::from_utf8(output.stdout)?)
}

/// Runs to the end in silence.
///
/// # Errors
/// The command line, its exit status and the last lines it wrote.
pub fn run_quietly(command: &mut Command) -> Result<()> {
    let output = capture(command.stderr(Stdio::piped()))?;
    if !output.status.success() {
        let text = String::from_utf8_lossy(&output.stderr);
        let tail: Vec<&str> = text.trim_end().lines().rev().take(8).collect();
        let tail: Vec<&str> = tail.into_iter().rev().collect();
        bail!("`{}` failed: {}\n{}", line(command), output.status, tail.join("\n"));
    }
    Ok(())
}

/// Runs to the end and returns all that was printed.
///
/// # Errors
/// A command that cannot start, or that still runs after `limit`; then it is ended.
pub fn output_within(command: &mut Command, limit: Duration) -> Result<Output> {
    let shown = line(command);
    let piped = command.stdin(Stdio::null()).stdout(Stdio::piped()).stderr(Stdio::piped());
    let child = piped.spawn().with_context(|| format!("cannot start `{shown}`"))?;
    let id = child.id();
    let (sender, receiver) = mpsc::channel();
    thread::spawn(move || sender.send(child.wait_with_output()));
    match receiver.recv_timeout(limit) {
        Ok(output) => Ok(output?),
        Err(_) => {
            succeeds(Command::new("kill").arg(id.to_string()));
            bail!("`{shown}` still ran after {} s", limit.as_secs())
        }
    }
}

/// Whether the command starts and succeeds; its output is dropped.
pub fn succeeds(command: &mut Command) -> bool {
    command
        .stdin(Stdio::null())
        .stdout(Stdio::null())
        .stderr(Stdio::null())
        .status()
        .is_ok_and(|status| status.success())
}

/// Where in PATH the program is.
pub fn find(program: &str) -> Option<PathBuf> {
    find_in(program, &std::env::var_os("PATH")?)
}

/// The command as one would type it.
pub fn line(command: &Command) -> String {
    let mut words = vec![command.get_program().to_string_lossy().into_owned()];
    words.extend(command.get_args().map(|word| word.to_string_lossy().into_owned()));
    words.join(" ")
}

fn capture(command: &mut Command) -> Result<Output> {
    command
        .stdin(Stdio::null())
        .stdout(Stdio::piped())
        .output()
        .with_context(|| format!("cannot start `{}`", line(command)))
}

fn find_in(program: &str, path: &std::ffi::OsStr) -> Option<PathBuf> {
    std::env::split_paths(path).map(|folder| folder.join(program)).find(|candidate| is_executable(candidate))
}

#[cfg(unix)]
fn is_executable(file: &Path) -> bool {
    use std::os::unix::fs::PermissionsExt;
    file.metadata().is_ok_and(|metadata| metadata.is_file() && metadata.permissions().mode() & 0o111 != 0)
}

#[cfg(not(unix))]
fn is_executable(file: &Path) -> bool {
    file.is_file() || file.with_extension("exe").is_file()
}

#[cfg(test)]
mod tests {
    use super::*;

    #[test]
    fn a_failure_names_the_command_and_its_last_words() {
        let mut command = Command::new("sh");
        command.args(["-c", "echo lost >&2; exit 3"]);
        let text = format!("{:#}", run_quietly(&mut command).unwrap_err());
        assert!(text.contains("sh -c") && text.contains("3") && text.ends_with("lost"), "{text}");
    }

    #[test]
    fn a_missing_program_is_not_found() {
        assert_eq!(find_in("sh", "/nowhere".as_ref()), None);
        assert!(find("sh").is_some());
        assert!(!succeeds(&mut Command::new("no-such-program-anywhere")));
    }
}
