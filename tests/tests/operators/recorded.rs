//! Models with inputs and outputs, as the recipes beside the archives store them.

use std::collections::BTreeMap;
use std::path::PathBuf;
use tinfer_compiler::array::{Array, ArrayData, NamedArray, read_npz, write_npz};
use tinfer_compiler::convert::{ConvertRequest, Converted, Precision, convert};
use tinfer_compiler::runner::ImageRunner;
use tinfer_compiler::target::Target;
use tinfer_compiler::trim::ConstantChannels;
use tinfer_tests::root;

/// A model and what was recorded for it.
pub struct Recorded {
    /// Its name in the archive.
    pub name: String,
    model: Vec<u8>,
    /// Inputs and outputs by name.
    pub arrays: BTreeMap<String, Array>,
}

/// Archives of a folder below `tests`, by name.
pub fn archives(folder: &str) -> Vec<String> {
    let files = std::fs::read_dir(root().join("tests").join(folder)).unwrap().map(|e| e.unwrap().path());
    let archives = files.filter(|f| f.extension().is_some_and(|e| e == "npz"));
    let mut names: Vec<String> = archives.map(|f| f.file_stem().unwrap().to_str().unwrap().to_string()).collect();
    names.sort();
    names
}

/// The cases of an archive.
pub fn read(folder: &str, archive: &str) -> Vec<Recorded> {
    let path: PathBuf = root().join("tests").join(folder).join(format!("{archive}.npz"));
    let mut cases: BTreeMap<String, BTreeMap<String, Array>> = BTreeMap::new();
    for entry in read_npz(&path).unwrap() {
        let (case, name) = entry.name.split_once('/').unwrap();
        cases.entry(case.into()).or_default().insert(name.into(), entry.array);
    }
    let recorded = |(name, mut arrays): (String, BTreeMap<String, Array>)| {
        let Some(ArrayData::U8(model)) = arrays.remove("model").map(|m| m.data) else { panic!("{name} has no model") };
        Recorded { name, model, arrays }
    };
    cases.into_iter().map(recorded).collect()
}

impl Recorded {
    /// Converts it; with the recorded inputs as calibration samples if it is to be quantized with `calibration`.
    pub fn convert(&self, precision: Precision, calibration: Calibration) -> Result<Converted, String> {
        let folder = tempfile::tempdir().unwrap();
        let model = folder.path().join("model.onnx");
        std::fs::write(&model, &self.model).unwrap();
        let samples = folder.path().join("samples.npz");
        let calibration = (calibration == Calibration::Recorded).then_some(samples);
        if let Some(samples) = &calibration {
            // Outputs lie beside the inputs, nobody asks for them.
            let inputs = self.arrays.iter().filter(|(name, _)| name.len() == 1);
            let inputs: Vec<NamedArray> = inputs.map(|(n, a)| NamedArray::new(n, a.clone())).collect();
            write_npz(samples, &inputs).unwrap();
        }
        let request = ConvertRequest {
            calibration,
            constant_channels: ConstantChannels::Keep,
            ..ConvertRequest::new(model, Target::parse("portable").unwrap(), precision)
        };
        convert(&request, &mut |_| {}).map_err(|e| format!("{e} ({})", e.hint()))
    }

    /// The outputs of one run, each with its recorded values.
    pub fn run(&self, runner: &mut ImageRunner<'_>) -> Result<Vec<(Array, Array)>, String> {
        let given: Vec<Array> = runner.inputs().iter().map(|p| self.arrays[p.name].clone()).collect();
        let names: Vec<String> = runner.outputs().iter().map(|p| p.name.to_string()).collect();
        let found = runner.run(&given).map_err(|e| e.to_string())?;
        Ok(names.iter().map(|name| self.arrays[name].clone()).zip(found).collect())
    }
}

/// Where ranges come from.
#[derive(Clone, Copy, PartialEq, Eq)]
pub enum Calibration {
    /// Nowhere.
    None,
    /// From the recorded inputs.
    Recorded,
}

/// Kernels of the steps, in their order.
pub fn kernels(converted: &Converted) -> String {
    converted.report.layers.iter().map(|l| l.kernel).collect::<Vec<_>>().join(" ")
}
