//! Files that are there completely, or not at all.

use crate::error::CompileError;
use std::io::Write as _;
use std::path::Path;

/// Writes a file under another name and renames it.
///
/// # Errors
/// [`CompileError::File`]; what was at `path` is then still there.
pub(crate) fn write_whole(path: &Path, bytes: &[u8]) -> Result<(), CompileError> {
    let failed = |reason: String| CompileError::File { action: "write", path: path.display().to_string(), reason };
    if path.is_dir() {
        return Err(failed("it is a directory".into()));
    }
    let folder = path.parent().filter(|p| !p.as_os_str().is_empty()).unwrap_or(Path::new("."));
    // Beside the target, because only a rename within one file system replaces it in one step.
    let mut builder = tempfile::Builder::new();
    let mut file = builder.prefix(".tinfer-").tempfile_in(folder).map_err(|e| failed(e.to_string()))?;
    file.write_all(bytes).and_then(|()| file.as_file().sync_all()).map_err(|e| failed(e.to_string()))?;
    readable_by_all(file.as_file()).map_err(|e| failed(e.to_string()))?;
    file.persist(path).map_err(|e| failed(e.error.to_string()))?;
    Ok(())
}

/// Temporary files are private; results are as public as any file that a compiler writes.
#[cfg(unix)]
fn readable_by_all(file: &std::fs::File) -> std::io::Result<()> {
    use std::os::unix::fs::PermissionsExt;
    file.set_permissions(std::fs::Permissions::from_mode(0o644))
}

#[cfg(not(unix))]
fn readable_by_all(_: &std::fs::File) -> std::io::Result<()> {
    Ok(())
}
