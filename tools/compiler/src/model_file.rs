//! A file that a command was given: an ONNX model or an image.

use crate::aligned::AlignedBytes;
use crate::error::CompileError;
use crate::import::ImportError;
use std::path::{Path, PathBuf};
use tinfer::image::envelope;

/// What a file is, by its first bytes.
#[derive(Clone, Debug)]
pub enum ModelFile {
    /// Anything else than an image: `import` says what is wrong with it if it is no ONNX file.
    Onnx(PathBuf),
    /// A model image that is not checked yet.
    Image(PathBuf, AlignedBytes),
}

impl ModelFile {
    /// Looks into a file.
    ///
    /// # Errors
    /// [`CompileError::Import`] for a file that cannot be read.
    pub fn open(path: &Path) -> Result<Self, CompileError> {
        let place = || path.display().to_string();
        if path.is_dir() {
            return Err(ImportError::Directory { path: place() }.into());
        }
        let bytes = std::fs::read(path).map_err(|e| match e.kind() {
            std::io::ErrorKind::NotFound => ImportError::Missing { path: place() },
            _ => ImportError::File { path: place(), reason: e.to_string() },
        })?;
        let is_image =
            bytes.starts_with(&envelope::MAGIC.to_le_bytes()) || path.extension().is_some_and(|e| e == "tnf");
        Ok(match is_image {
            true => ModelFile::Image(path.to_path_buf(), AlignedBytes::from_slice(&bytes)),
            false => ModelFile::Onnx(path.to_path_buf()),
        })
    }

    /// The bytes of an image.
    ///
    /// # Errors
    /// [`CompileError::NotAvailable`] for an ONNX file: `what` needs an image.
    pub fn into_image(self, what: &str) -> Result<(PathBuf, AlignedBytes), CompileError> {
        match self {
            ModelFile::Image(path, bytes) => Ok((path, bytes)),
            ModelFile::Onnx(path) => Err(CompileError::NotAvailable {
                what: format!("{what} of {}, which is no model image,", path.display()),
                instead: "make an image of the model first: tinfer convert MODEL.onnx -o IMAGE.tnf --target BOARD"
                    .into(),
            }),
        }
    }
}

#[cfg(test)]
mod tests {
    use super::*;

    #[test]
    fn the_first_bytes_decide() {
        let folder = tempfile::tempdir().unwrap();
        let is_image = |name: &str, bytes: &[u8]| {
            let path = folder.path().join(name);
            std::fs::write(&path, bytes).unwrap();
            matches!(ModelFile::open(&path).unwrap(), ModelFile::Image(..))
        };
        assert!(is_image("a", &envelope::MAGIC.to_le_bytes()));
        assert!(is_image("damaged.tnf", b"?"));
        assert!(!is_image("b.onnx", b"\x08\x08"));
        assert_eq!(ModelFile::open(&folder.path().join("no")).unwrap_err().code(), "missing-file");
        assert_eq!(ModelFile::open(folder.path()).unwrap_err().code(), "is-a-directory");
    }
}
