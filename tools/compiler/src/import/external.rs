//! Weights outside of the model file: loaded into the protobuf, and only from the model's own folder.

use super::ImportError;
use std::io::{Read, Seek, SeekFrom};
use std::path::{Component, Path};
use tract_onnx::pb::tensor_proto::DataLocation;
use tract_onnx::pb::{ModelProto, TensorProto};

/// Loads every external weight. `folder` is the model's; a model from memory has none.
pub(super) fn load(proto: &mut ModelProto, folder: Option<&Path>) -> Result<(), ImportError> {
    let Some(graph) = &mut proto.graph else { return Ok(()) };
    let attributes = graph.node.iter_mut().flat_map(|n| &mut n.attribute).filter_map(|a| a.t.as_mut());
    for tensor in graph.initializer.iter_mut().chain(attributes) {
        if tensor.data_location == Some(DataLocation::External as i32) {
            tensor.raw_data = read(tensor, folder)?;
            tensor.data_location = None;
            tensor.external_data.clear();
        }
    }
    Ok(())
}

fn read(tensor: &TensorProto, folder: Option<&Path>) -> Result<Vec<u8>, ImportError> {
    let entry = |key: &str| tensor.external_data.iter().find(|e| e.key == key).map(|e| e.value.as_str());
    let location = entry("location").unwrap_or_default();
    let unreadable = |reason: String| ImportError::ExternalUnreadable {
        tensor: tensor.name.clone(),
        location: location.into(),
        reason,
    };
    let outside = || ImportError::ExternalOutside { tensor: tensor.name.clone(), location: location.into() };
    let number = |key: &str| {
        entry(key)
            .map(|v| v.parse::<u64>().map_err(|_| unreadable(format!("its {key} '{v}' is not a number"))))
            .transpose()
    };
    let Some(folder) = folder else { return Err(unreadable("the model was not read from a folder".into())) };
    if location.is_empty() {
        return Err(unreadable("it has no location".into()));
    }
    // Refused by its words before the file system is asked, so that nothing outside can be probed.
    if location.contains('\\')
        || !Path::new(location).components().all(|c| matches!(c, Component::Normal(_) | Component::CurDir))
    {
        return Err(outside());
    }
    let folder = if folder.as_os_str().is_empty() { Path::new(".") } else { folder };
    let folder = folder.canonicalize().map_err(|e| unreadable(e.to_string()))?;
    let path = folder.join(location).canonicalize().map_err(|e| unreadable(e.to_string()))?;
    if !path.starts_with(&folder) {
        return Err(outside());
    }
    let mut file = std::fs::File::open(&path).map_err(|e| unreadable(e.to_string()))?;
    let metadata = file.metadata().map_err(|e| unreadable(e.to_string()))?;
    if !metadata.is_file() {
        return Err(unreadable("it is not a regular file".into()));
    }
    let offset = number("offset")?.unwrap_or(0);
    let rest = metadata.len().saturating_sub(offset);
    let length = number("length")?.unwrap_or(rest);
    if offset > metadata.len() || length > rest {
        return Err(unreadable(format!("it needs {length} bytes at {offset}, the file has {}", metadata.len())));
    }
    let mut bytes = Vec::with_capacity(length as usize);
    file.seek(SeekFrom::Start(offset)).map_err(|e| unreadable(e.to_string()))?;
    file.take(length).read_to_end(&mut bytes).map_err(|e| unreadable(e.to_string()))?;
    Ok(bytes)
}
