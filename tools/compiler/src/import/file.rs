//! Bytes of a model file to its protobuf, with a good word for everything that is not one.

use super::ImportError;
use super::guard::{explain, guard};
use std::path::Path;
use tract_onnx::pb::ModelProto;
use tract_onnx::prelude::Framework;

/// Reads a model file.
pub(super) fn read(path: &Path) -> Result<Vec<u8>, ImportError> {
    let name = path.display().to_string();
    let metadata = match std::fs::metadata(path) {
        Ok(metadata) => metadata,
        Err(e) if e.kind() == std::io::ErrorKind::NotFound => return Err(ImportError::Missing { path: name }),
        Err(e) => return Err(ImportError::File { path: name, reason: e.to_string() }),
    };
    if metadata.is_dir() {
        return Err(ImportError::Directory { path: name });
    }
    if metadata.len() > MAX_FILE_BYTES {
        let reason = format!("{} bytes are more than a protobuf can hold ({MAX_FILE_BYTES})", metadata.len());
        return Err(ImportError::File { path: name, reason });
    }
    std::fs::read(path).map_err(|e| ImportError::File { path: name, reason: e.to_string() })
}

/// Parses the protobuf. `path` is what errors call the file.
pub(super) fn parse(bytes: &[u8], path: &str) -> Result<ModelProto, ImportError> {
    let path = path.to_string();
    if bytes.is_empty() {
        return Err(ImportError::Empty { path });
    }
    if let Some((_, what)) = OTHER_FORMATS.iter().find(|(magic, _)| bytes.starts_with(magic)) {
        return Err(ImportError::OtherFormat { path, what });
    }
    check_fields(bytes, &path)?;
    let decoded = guard(|| tract_onnx::onnx().proto_model_for_read(&mut &*bytes).map_err(|e| explain(&e)));
    let proto = decoded.map_err(|reason| ImportError::NotOnnx {
        path: path.clone(),
        reason: format!("its protobuf is damaged ({reason})"),
    })?;
    if proto.graph.is_none() || proto.ir_version == 0 {
        let reason = if proto.graph.is_none() { "it has no graph" } else { "it has no IR version" };
        return Err(ImportError::NotOnnx { path, reason: reason.into() });
    }
    Ok(proto)
}

/// Walks the top-level fields of a `ModelProto`: tells a cut file from one that never was a model.
fn check_fields(bytes: &[u8], path: &str) -> Result<(), ImportError> {
    let not_onnx = |offset: usize, reason: &str| ImportError::NotOnnx {
        path: path.into(),
        reason: format!("{reason} at byte {offset}"),
    };
    let mut at = 0;
    while at < bytes.len() {
        let start = at;
        let truncated =
            |needed: u64, found: usize| ImportError::Truncated { path: path.into(), offset: start, needed, found };
        // A file that breaks in its very first field was never a model, as far as one can tell.
        let cut = |needed, found| if start == 0 { not_onnx(0, "no protobuf field") } else { truncated(needed, found) };
        let (tag, n) = varint(&bytes[at..]).ok_or_else(|| cut(1, 0))?;
        at += n;
        if !MODEL_FIELDS.contains(&(tag >> 3)) {
            return Err(not_onnx(start, "no field of a model"));
        }
        match tag & 7 {
            0 => at += varint(&bytes[at..]).ok_or_else(|| cut(1, bytes.len() - at))?.1,
            2 => {
                let (length, n) = varint(&bytes[at..]).ok_or_else(|| cut(1, bytes.len() - at))?;
                at += n;
                if length > (bytes.len() - at) as u64 {
                    return Err(cut(length, bytes.len() - at));
                }
                at += length as usize;
            }
            _ => return Err(not_onnx(start, "no field of a model")),
        }
    }
    Ok(())
}

/// A base-128 number and its length in bytes; `None` if it does not end.
fn varint(bytes: &[u8]) -> Option<(u64, usize)> {
    let mut value = 0u64;
    for (i, &byte) in bytes.iter().take(10).enumerate() {
        value |= u64::from(byte & 0x7f) << (7 * i);
        if byte & 0x80 == 0 {
            return Some((value, i + 1));
        }
    }
    None
}

/// Field numbers of `ModelProto` (onnx.proto, IR version 11).
const MODEL_FIELDS: [u64; 12] = [1, 2, 3, 4, 5, 6, 7, 8, 14, 20, 25, 26];

/// Protobuf's own limit.
const MAX_FILE_BYTES: u64 = i32::MAX as u64;

/// First bytes of what users give by mistake.
const OTHER_FORMATS: [(&[u8], &str); 10] = [
    (b"\x89PNG\r\n", "a PNG picture"),
    (b"\xff\xd8\xff", "a JPEG picture"),
    (b"GIF8", "a GIF picture"),
    (b"\x3d\xb8\xf3\x96", "a tinfer model image"),
    (b"PK\x03\x04", "a ZIP archive (a PyTorch, Keras or .npz file)"),
    (b"\x89HDF", "an HDF5 file (a Keras model)"),
    (b"\x93NUMPY", "a numpy array"),
    (b"\x7fELF", "an executable"),
    (b"%PDF", "a PDF document"),
    (b"RIFF", "a RIFF file (sound or WebP)"),
];
