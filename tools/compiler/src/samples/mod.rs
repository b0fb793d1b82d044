//! Samples for calibration, verification and running: model inputs, and the class where it is known.
//!
//! | file | samples |
//! |---|---|
//! | `.npz` | one array per model input, named as the input; optional array `labels` |
//! | `.npy` | the input of a model with one input |
//! | `.png`, `.jpg` | one picture, for an input with preprocessing |
//! | folder | its pictures, or those of its sub-folders, each named as a class |
//!
//! Pictures are decoded one by one as the samples are read.

mod error;
mod picture;
#[cfg(test)]
mod tests;

pub use error::SampleError;
pub(crate) use picture::order_in;

use crate::array::{Array, FirstDimension, NamedArray, read_npy, read_npz};
use crate::graph::Port;
use crate::import::Interface;
use picture::PictureReader;
use std::collections::BTreeMap;
use std::path::{Path, PathBuf};
use tinfer::image::PortView;
use tinfer::preprocess::ImagePreprocess;
use tinfer::tensor::ElementType;

/// Name of the array with the classes.
pub const LABELS: &str = "labels";

/// One set of model inputs.
#[derive(Clone, Debug, PartialEq)]
pub struct Sample {
    /// Where it is from, for messages: `FILE` or `FILE[3]`.
    pub name: String,
    /// In the order, shapes and types of the model's inputs.
    pub inputs: Vec<NamedArray>,
    /// Its class, if that is known.
    pub label: Option<usize>,
}

/// Samples of a file or folder; the pictures in it are read when they are asked for.
#[derive(Clone, Debug)]
pub struct Samples {
    path: PathBuf,
    source: Source,
    /// One class per sample, or none at all.
    labels: Vec<usize>,
    len: usize,
}

#[derive(Clone, Debug)]
enum Source {
    /// One array of all samples per input.
    Arrays(Vec<(Interface, Array)>),
    Pictures(PictureReader, String, Vec<PathBuf>),
}

impl Samples {
    /// Number of samples, at least 1.
    #[expect(clippy::len_without_is_empty, reason = "it never is")]
    pub fn len(&self) -> usize {
        self.len
    }

    /// Whether every sample has a class.
    pub fn has_labels(&self) -> bool {
        !self.labels.is_empty()
    }

    /// Reads sample `idx`.
    ///
    /// # Errors
    /// [`SampleError::Picture`] and the like for a picture that cannot be read.
    ///
    /// # Panics
    /// When there are not so many samples.
    pub fn get(&self, idx: usize) -> Result<Sample, SampleError> {
        let label = self.labels.get(idx).copied();
        let place = self.path.display();
        match &self.source {
            Source::Arrays(arrays) => {
                let inputs = arrays.iter().map(|(i, a)| NamedArray::new(&i.name, a.sample(&i.shape, idx))).collect();
                let name = if self.len == 1 { place.to_string() } else { format!("{place}[{idx}]") };
                Ok(Sample { name, inputs, label })
            }
            Source::Pictures(reader, input, files) => {
                let inputs = vec![NamedArray::new(input, reader.read(&files[idx])?)];
                Ok(Sample { name: files[idx].display().to_string(), inputs, label })
            }
        }
    }

    /// The first and the last sample, once if there is one only: what implementations are compared on.
    ///
    /// # Errors
    /// As [`Samples::get`].
    pub fn ends(&self) -> Result<Vec<Sample>, SampleError> {
        let mut ends = vec![self.get(0)?];
        if self.len > 1 {
            ends.push(self.get(self.len - 1)?);
        }
        Ok(ends)
    }

    /// The samples one after the other.
    pub fn iter(&self) -> impl Iterator<Item = Result<Sample, SampleError>> + '_ {
        (0..self.len).map(|i| self.get(i))
    }
}

/// Opens a file or folder of samples for a model with these inputs.
///
/// `preprocess` says how pictures become inputs, by input name. `classes` are the model's class
/// names; without them the sub-folders of a folder are numbered in alphabetical order, or by
/// their names if all of these are numbers.
///
/// # Errors
/// [`SampleError`]; single pictures are opened later, by [`Samples::get`].
pub fn load_samples(
    path: &Path,
    inputs: &[Interface],
    preprocess: &BTreeMap<String, ImagePreprocess>,
    classes: &[String],
) -> Result<Samples, SampleError> {
    let place = path.display().to_string();
    let kind = std::fs::metadata(path).map_err(|e| file_error(path, &e))?;
    if kind.is_dir() {
        let (files, labels) = pictures_in(path, classes)?;
        return from_pictures(path, files, labels, inputs, preprocess);
    }
    match ending(path).as_str() {
        "npz" => from_npz(path, read_npz(path)?, inputs),
        "npy" => {
            let [input] = inputs else {
                return Err(SampleError::SeveralInputs { path: place, n_inputs: inputs.len(), inputs: names(inputs) });
            };
            from_npz(path, vec![NamedArray::new(&input.name, read_npy(path)?)], inputs)
        }
        ending if picture::ENDINGS.contains(&ending) => {
            from_pictures(path, vec![path.to_path_buf()], Vec::new(), inputs, preprocess)
        }
        _ => Err(SampleError::Kind { path: place }),
    }
}

impl From<&Port> for Interface {
    fn from(port: &Port) -> Self {
        Interface {
            name: port.name.clone(),
            shape: port.shape.clone(),
            batched: port.batched,
            element_type: Some(port.element_type),
        }
    }
}

impl From<&PortView<'_>> for Interface {
    fn from(port: &PortView<'_>) -> Self {
        Interface {
            name: port.name.to_string(),
            shape: port.dims().iter().map(|&d| d as usize).collect(),
            batched: port.batched,
            element_type: Some(port.element_type),
        }
    }
}

fn from_npz(path: &Path, mut arrays: Vec<NamedArray>, inputs: &[Interface]) -> Result<Samples, SampleError> {
    let place = path.display().to_string();
    let listing: Vec<String> = arrays.iter().map(|a| format!("{} {:?}", a.name, a.array.shape)).collect();
    let mut found: Vec<(Interface, Array)> = Vec::new();
    let mut count: Option<(String, usize)> = None;
    for input in inputs {
        let at = arrays.iter().position(|a| a.name == input.name).ok_or_else(|| SampleError::MissingArray {
            path: place.clone(),
            input: input.name.clone(),
            found: if listing.is_empty() { "none".into() } else { listing.join(", ") },
        })?;
        let array = arrays.swap_remove(at).array;
        let first = if input.batched { FirstDimension::Batch } else { FirstDimension::Data };
        let n = array.n_samples(&input.shape, first).ok_or_else(|| SampleError::Shape {
            path: place.clone(),
            array: input.name.clone(),
            found: array.shape.clone(),
            expected: accepted_shapes(input),
        })?;
        match &count {
            Some((first, expected)) if *expected != n => {
                let (array, first) = (input.name.clone(), first.clone());
                return Err(SampleError::Count { path: place, array, found: n, first, expected: *expected });
            }
            _ => count = Some((input.name.clone(), n)),
        }
        let wanted = input.element_type.unwrap_or(ElementType::F32);
        let converted = array.convert(wanted).ok_or_else(|| SampleError::Type {
            path: place.clone(),
            array: input.name.clone(),
            found: array.data.type_name(),
            expected: wanted.name(),
        })?;
        found.push((input.clone(), converted));
    }
    let len = count.map_or(1, |(_, n)| n);
    if len == 0 {
        return Err(SampleError::Empty { path: place });
    }
    let labels = match arrays.iter().find(|a| a.name == LABELS) {
        Some(labels) => classes_of(&labels.array, len).map_err(|found| SampleError::Labels { path: place, found })?,
        None => Vec::new(),
    };
    Ok(Samples { path: path.to_path_buf(), source: Source::Arrays(found), labels, len })
}

/// One class number per sample, or what was found in their place.
fn classes_of(array: &Array, n_samples: usize) -> Result<Vec<usize>, String> {
    if array.n_elements() != n_samples {
        return Err(format!("shape {:?} for {n_samples} samples", array.shape));
    }
    let class = |v: f64| {
        if v >= 0.0 && v.fract() == 0.0 && v < f64::from(u32::MAX) { Ok(v as usize) } else { Err(v.to_string()) }
    };
    array.to_f64().into_iter().map(class).collect()
}

fn from_pictures(
    path: &Path,
    files: Vec<PathBuf>,
    labels: Vec<usize>,
    inputs: &[Interface],
    preprocess: &BTreeMap<String, ImagePreprocess>,
) -> Result<Samples, SampleError> {
    let place = path.display().to_string();
    if files.is_empty() {
        return Err(SampleError::Empty { path: place });
    }
    let [input] = inputs else {
        return Err(SampleError::SeveralInputs { path: place, n_inputs: inputs.len(), inputs: names(inputs) });
    };
    let Some(how) = preprocess.get(&input.name) else {
        return Err(SampleError::NoPreprocess { path: place, input: input.name.clone() });
    };
    let reader = PictureReader::new(input, how)?;
    let len = files.len();
    Ok(Samples { path: path.to_path_buf(), source: Source::Pictures(reader, input.name.clone(), files), labels, len })
}

/// The pictures of a folder by name, and their classes when they are in sub-folders.
fn pictures_in(folder: &Path, classes: &[String]) -> Result<(Vec<PathBuf>, Vec<usize>), SampleError> {
    let is_picture = |p: &PathBuf| p.is_file() && picture::ENDINGS.contains(&ending(p).as_str());
    let entries = sorted_entries(folder)?;
    let direct: Vec<PathBuf> = entries.iter().filter(|p| is_picture(p)).cloned().collect();
    if !direct.is_empty() {
        return Ok((direct, Vec::new()));
    }
    let folders: Vec<PathBuf> = entries.into_iter().filter(|p| p.is_dir()).collect();
    let numbers: Option<Vec<usize>> = folders.iter().map(|f| file_name(f).parse().ok()).collect();
    let (mut files, mut labels) = (Vec::new(), Vec::new());
    for (i, sub_folder) in folders.iter().enumerate() {
        let pictures: Vec<PathBuf> = sorted_entries(sub_folder)?.into_iter().filter(is_picture).collect();
        if pictures.is_empty() {
            continue;
        }
        let class = match (classes.iter().position(|c| *c == file_name(sub_folder)), &numbers) {
            (Some(class), _) => class,
            (None, Some(numbers)) => numbers[i],
            (None, None) if classes.is_empty() => i,
            (None, None) => {
                let path = sub_folder.display().to_string();
                return Err(SampleError::Class { path, classes: classes.join(", ") });
            }
        };
        labels.extend(pictures.iter().map(|_| class));
        files.extend(pictures);
    }
    Ok((files, labels))
}

fn sorted_entries(folder: &Path) -> Result<Vec<PathBuf>, SampleError> {
    let refused = |e: std::io::Error| file_error(folder, &e);
    let entries = std::fs::read_dir(folder).map_err(refused)?;
    let mut paths = entries.map(|e| e.map(|e| e.path())).collect::<Result<Vec<_>, _>>().map_err(refused)?;
    paths.sort();
    Ok(paths)
}

fn file_error(path: &Path, error: &std::io::Error) -> SampleError {
    SampleError::File { path: path.display().to_string(), reason: error.to_string() }
}

fn ending(path: &Path) -> String {
    path.extension().map(|e| e.to_string_lossy().to_lowercase()).unwrap_or_default()
}

fn file_name(path: &Path) -> String {
    path.file_name().map(|n| n.to_string_lossy().into_owned()).unwrap_or_default()
}

fn names(inputs: &[Interface]) -> String {
    inputs.iter().map(|i| i.name.as_str()).collect::<Vec<_>>().join(", ")
}

/// The shapes that [`Array::n_samples`] takes, in words.
fn accepted_shapes(input: &Interface) -> String {
    let many = |dims: &[usize]| {
        let dims: Vec<String> = std::iter::once("N".to_string()).chain(dims.iter().map(usize::to_string)).collect();
        format!("[{}]", dims.join(", "))
    };
    let stacked = many(if input.batched { &input.shape[1..] } else { &input.shape });
    format!("{:?} or {stacked}", input.shape)
}
