//! How far an image is from the float model: outputs, accuracy, every layer; and whether a device computes
//! the same bits as this machine.

mod device;
mod layers;

pub use device::{DeviceLayerReport, DeviceReport, DeviceRun, DeviceStep};
pub(crate) use layers::LayerComparison;

use crate::aligned::AlignedBytes;
use crate::array::Array;
use crate::convert::Progress;
use crate::engine::{Signature, arrays, float_image};
use crate::error::CompileError;
use crate::float_model::FloatModel;
use crate::import::{ImportOptions, Imported, Interface, import};
use crate::inspect::{precision, steps};
use crate::lower::lower;
use crate::metrics::{Accuracy, Comparison, Parts, Slice, Slices, n_classes};
use crate::passes::simplify;
use crate::report::{self, Conversion, Evidence, significant};
use crate::runner::ImageRunner;
use crate::samples::Samples;
use crate::spare_rows::filled;
use device::DeviceComparison;
use serde::Serialize;
use std::path::{Path, PathBuf};
use tinfer::image::doc;

/// What to compare, and what must hold.
#[derive(Clone, Debug)]
pub struct VerifyRequest {
    /// The ONNX file.
    pub model: PathBuf,
    /// The image's file, for messages.
    pub image: PathBuf,
    /// Numbers of free dimensions, as for `convert`.
    pub import: ImportOptions,
    /// Samples, with labels for accuracy.
    pub inputs: PathBuf,
    /// Least SQNR of every output in dB; without it 90 for float32 images and 20 for others.
    pub min_sqnr_db: Option<f64>,
    /// Most that accuracy may be below the reference's, as a part of 1.
    pub max_accuracy_drop: Option<f64>,
    /// Samples that the device runs as well.
    pub n_device_samples: usize,
    /// Where to write a page for people.
    pub report: Option<PathBuf>,
    /// What `convert --json` printed, for the page.
    pub conversion: Option<PathBuf>,
}

/// Its fields are keys of `tinfer verify --json`.
#[derive(Clone, Debug, Serialize)]
pub struct VerifyReport {
    /// Where the image ran besides this machine.
    pub on: String,
    /// What computed the values that the image's are compared with: `tract` or `tinfer`.
    pub reference: &'static str,
    /// Samples that were compared on this machine.
    pub samples: usize,
    /// Whether every stated tolerance holds.
    pub passed: bool,
    /// Tolerances that do not hold, in words.
    pub missed: Vec<String>,
    /// Number format of the image.
    pub precision: &'static str,
    /// SQNR that every output must have, in dB.
    pub min_sqnr_db: f64,
    /// The model's outputs.
    pub outputs: Vec<OutputReport>,
    /// Parts of the samples that are classified as labelled.
    pub accuracy: Option<AccuracyReport>,
    /// Steps in execution order.
    pub layers: Vec<LayerReport>,
    /// What the device did.
    pub device: Option<DeviceReport>,
    /// What the user should know.
    pub warnings: Vec<String>,
    /// The page for people.
    pub report: Option<String>,
}

/// One output of the image against the reference.
#[derive(Clone, Debug, Serialize)]
pub struct OutputReport {
    /// Name in the ONNX file.
    pub name: String,
    /// Signal-to-quantization-noise ratio, within +-200 dB.
    pub sqnr_db: f64,
    /// Largest difference in the output's units.
    pub max_abs_error: f64,
    /// Cosine of the angle between all values.
    pub cosine: f64,
    /// Part of the samples with the same best class; `None` when the output holds no scores.
    pub top1_agreement: Option<f64>,
    /// Its parts along channel-like axes, as far as the model has a signal there.
    pub slices: Vec<Slice>,
}

/// Correct classifications as parts of 1.
#[derive(Clone, Copy, Debug, Serialize)]
pub struct AccuracyReport {
    /// Of the float model.
    pub reference: f64,
    /// Of the image.
    pub image: f64,
}

/// One step of the image against the reference.
#[derive(Clone, Debug, Serialize)]
pub struct LayerReport {
    /// Node name.
    pub name: String,
    /// ONNX operators that it came from.
    pub operator: String,
    /// As for outputs; `None` when no ONNX tensor holds the same values.
    pub sqnr_db: Option<f64>,
}

/// Runs one sample, given as the image takes it, on a board.
pub type RunOnDevice<'a, E> = dyn FnMut(&[Vec<u8>]) -> Result<DeviceRun, E> + 'a;

/// Runs the float model and the image over the samples, and the first ones on `device`, and compares. Writes the page that
/// the request names.
///
/// `device` takes the inputs in the image's own form and gives what the board computed.
///
/// # Errors
/// [`CompileError`], also as the device's error.
pub fn verify<E: From<CompileError>>(
    request: &VerifyRequest,
    bytes: &AlignedBytes,
    on: &str,
    mut device: Option<&mut RunOnDevice<'_, E>>,
    progress: &mut dyn FnMut(Progress),
) -> Result<VerifyReport, E> {
    let conversion = request.conversion.as_deref().map(Conversion::read).transpose()?;
    // What int8 costs is told from what the lowering costs by an image that has only the latter.
    let float = request.report.as_ref().map(|_| float_image(&request.model, &request.import, progress));
    let mut comparison = Setup::new(request, bytes, float.as_ref())?;
    let n = comparison.samples.len();
    for idx in 0..n {
        progress(Progress { stage: "comparing", done: idx, total: n });
        let on_device = device.as_mut().filter(|_| idx < request.n_device_samples);
        comparison.compare(idx, on_device)?;
    }
    let evidence = comparison.evidence();
    let mut verified = comparison.report(request, on);
    if let (Some(path), Some(evidence)) = (&request.report, &evidence) {
        report::write(path, request, bytes, &verified, evidence, conversion.as_ref())?;
        verified.report = Some(path.display().to_string());
    }
    Ok(verified)
}

/// Reference, image, samples, and what was found so far.
struct Setup<'i> {
    reference: FloatModel,
    runner: ImageRunner<'i>,
    signature: Signature,
    samples: Samples,
    layers: LayerComparison,
    outputs: Vec<Comparison>,
    /// The same part by part.
    slices: Vec<Slices>,
    /// Correct classifications of reference and image.
    accuracy: [Accuracy; 2],
    device: Option<DeviceComparison>,
    warnings: Vec<String>,
    /// What only the page shows.
    evidence: Option<Evidence>,
    /// A float32 image of the same model.
    float: Option<(ImageRunner<'i>, LayerComparison)>,
}

impl<'i> Setup<'i> {
    fn new(
        request: &VerifyRequest,
        bytes: &'i AlignedBytes,
        float: Option<&'i Result<AlignedBytes, CompileError>>,
    ) -> Result<Self, CompileError> {
        let imported = import(&request.model, &request.import)?;
        let not_an_image = |reason| CompileError::NotAnImage { path: request.image.display().to_string(), reason };
        let runner = ImageRunner::new(bytes).map_err(not_an_image)?;
        let mut warnings = check_same_model(request, &imported, &runner)?;
        let signature = Signature::of_image(&runner);
        let about = Signature::of_onnx(&request.model, &imported)?;
        // An older image may lack what model.toml says by now.
        let with_pictures = if signature.preprocess.is_empty() { &about } else { &signature };
        let samples = with_pictures.load(&request.inputs)?;
        let shown = || Signature { preprocess: with_pictures.preprocess.clone(), ..signature.clone() };
        let evidence = request.report.as_ref().map(|_| Evidence::new(&runner, shown()));
        let float = match float {
            Some(Ok(bytes)) => {
                let runner = ImageRunner::new(bytes).map_err(not_an_image)?;
                let layers = LayerComparison::new(&runner);
                Some((runner, layers))
            }
            Some(Err(reason)) => {
                warnings.push(format!("the report says nothing of float32 layers: {reason}"));
                None
            }
            None => None,
        };
        let graph = lower(&imported).ok().map(|graph| simplify(graph).graph);
        let reference = FloatModel::open(&imported, graph.as_ref(), &samples.ends()?)?;
        let parts = |i: usize| graph.as_ref().map_or(Parts::Apart, |graph| Parts::of(graph, graph.outputs[i].tensor));
        let slices = |i| Slices::new(parts(i)).in_steps(runner.output_step(i));
        warnings.extend(reference.warning());
        Ok(Setup {
            reference,
            layers: LayerComparison::new(&runner),
            outputs: vec![Comparison::default(); runner.outputs().len()],
            slices: (0..runner.outputs().len()).map(slices).collect(),
            accuracy: [Accuracy::default(); 2],
            device: None,
            signature,
            samples,
            runner,
            warnings,
            evidence,
            float,
        })
    }

    fn compare<E: From<CompileError>>(
        &mut self,
        idx: usize,
        device: Option<&mut &mut RunOnDevice<'_, E>>,
    ) -> Result<(), E> {
        let sample = self.samples.get(idx).map_err(CompileError::from)?;
        let mut comparisons = vec![&mut self.layers];
        comparisons.extend(self.float.as_mut().map(|(_, layers)| layers));
        let expected = LayerComparison::run_reference(&mut comparisons, &self.reference, &sample.inputs)?;
        let inputs = arrays(&sample);
        if let Some((runner, layers)) = &mut self.float {
            layers.run_image(runner, &inputs)?;
        }
        let (found, digests) = self.layers.run_image(&mut self.runner, &inputs)?;
        let expected = expected.into_iter().zip(&found).map(|(expected, found)| filled(expected, &found.shape));
        let expected: Vec<Array> = expected.collect();
        for (i, output) in self.signature.outputs.iter().enumerate() {
            self.slices[i].add(&expected[i], &found[i]);
            let (expected, found) = (expected[i].to_f32(), found[i].to_f32());
            match n_classes(&output.shape) {
                Some(_) => self.outputs[i].add_scores(&expected, &found),
                None => self.outputs[i].add(&expected, &found),
            }
        }
        let scores = |arrays: &[Array]| arrays.iter().find(|a| n_classes(&a.shape).is_some()).map(Array::to_f32);
        if let (Some(label), Some(a), Some(b)) = (sample.label, scores(&expected), scores(&found)) {
            self.accuracy[0].add(&a, label);
            self.accuracy[1].add(&b, label);
        }
        let on_device = match device {
            Some(run) => {
                let encoded = self.runner.encode_inputs(&inputs).map_err(CompileError::from)?;
                let seen = run(&encoded)?;
                let outputs = seen.outputs.iter().enumerate();
                let outputs = outputs.map(|(i, b)| Ok(self.runner.decode_output(i, b)?));
                let outputs = outputs.collect::<Result<Vec<Array>, CompileError>>()?;
                let comparison = self.device.get_or_insert_with(|| DeviceComparison::new(digests.len()));
                comparison.add(&seen, &digests, outputs == found);
                Some(outputs)
            }
            None => None,
        };
        if let Some(evidence) = &mut self.evidence {
            evidence.add(&sample, &self.layers, &expected, &found, on_device.as_deref());
        }
        Ok(())
    }

    /// What the page shows, complete.
    fn evidence(&mut self) -> Option<Evidence> {
        let mut evidence = self.evidence.take()?;
        if let Some((_, layers)) = &self.float {
            evidence.set_float(layers.sqnr_db_by_origin().into_iter().map(|(name, db)| (name, bounded(db))).collect());
        }
        Some(evidence)
    }

    fn report(self, request: &VerifyRequest, on: &str) -> VerifyReport {
        let steps = steps(self.runner.image(), &self.runner.layers());
        let precision = precision(&steps);
        let floor = if precision == "float32" { FLOAT_FLOOR_DB } else { INTEGER_FLOOR_DB };
        let min_sqnr_db = request.min_sqnr_db.unwrap_or(floor);
        let compared = self.outputs.iter().zip(&self.slices);
        let outputs = self.signature.outputs.iter().zip(compared).map(|(port, (c, s))| output_report(port, c, s));
        let outputs: Vec<OutputReport> = outputs.collect();
        let accuracy = match self.accuracy.map(|a| a.value()) {
            [Some(reference), Some(image)] => Some(AccuracyReport { reference, image }),
            _ => None,
        };
        let layers = steps.iter().zip(self.layers.sqnr_db()).map(|(step, sqnr_db)| LayerReport {
            name: step.layer.name.clone(),
            operator: step.layer.operator.clone(),
            sqnr_db: sqnr_db.map(bounded),
        });
        let layers = layers.collect();
        let device = self.device.map(|d| d.report(&steps));
        let missed = missed(request, min_sqnr_db, &outputs, accuracy, device.as_ref());
        VerifyReport {
            on: on.to_string(),
            reference: self.reference.name(),
            samples: self.samples.len(),
            passed: missed.is_empty(),
            missed,
            precision,
            min_sqnr_db,
            outputs,
            accuracy,
            layers,
            device,
            warnings: self.warnings,
            report: None,
        }
    }
}

fn output_report(port: &Interface, comparison: &Comparison, slices: &Slices) -> OutputReport {
    OutputReport {
        name: port.name.clone(),
        sqnr_db: bounded(comparison.sqnr_db()),
        max_abs_error: comparison.max_abs_error().min(f64::MAX),
        cosine: comparison.cosine(),
        top1_agreement: comparison.top1_agreement(),
        slices: slices.all(),
    }
}

fn missed(
    request: &VerifyRequest,
    min_sqnr_db: f64,
    outputs: &[OutputReport],
    accuracy: Option<AccuracyReport>,
    device: Option<&DeviceReport>,
) -> Vec<String> {
    let mut missed = Vec::new();
    for output in outputs.iter().filter(|o| o.sqnr_db < min_sqnr_db) {
        missed.push(format!(
            "output {} has SQNR {:.1} dB, at least {min_sqnr_db} is asked for",
            output.name, output.sqnr_db
        ));
    }
    for output in outputs {
        let mut lost = output.slices.iter().filter(|s| !s.has_signal);
        let Some(first) = lost.next() else { continue };
        let others = match lost.count() {
            0 => String::new(),
            n => format!(", nor in {n} more parts"),
        };
        missed.push(format!("output {} has no signal in {first} ({:.1} dB){others}", output.name, first.sqnr_db));
    }
    // 0.9 - 0.89 is above 0.01 in binary64; a single sample of a million is far more than this.
    let rounding = 1e-9;
    match (request.max_accuracy_drop, accuracy) {
        (Some(most), Some(AccuracyReport { reference, image })) if reference - image > most + rounding => {
            missed.push(format!(
                "accuracy drops by {:.2} points from {:.2} %, at most {} is asked for",
                100.0 * (reference - image),
                100.0 * reference,
                significant(100.0 * most)
            ));
        }
        (Some(_), None) => missed.push("accuracy cannot be judged: the samples have no labels".into()),
        _ => {}
    }
    if let Some(device) = device.filter(|d| !d.bit_exact) {
        let first = device.layers.iter().find(|l| !l.bit_exact).map_or("its outputs", |l| &l.name);
        missed.push(format!("the device differs from this machine, first in {first}"));
    }
    missed
}

/// Refuses an image whose inputs or outputs are not the model's; warns when only the file differs.
fn check_same_model(
    request: &VerifyRequest,
    imported: &Imported,
    runner: &ImageRunner<'_>,
) -> Result<Vec<String>, CompileError> {
    let describe =
        |ports: &[Interface]| ports.iter().map(|p| format!("{} {:?}", p.name, p.shape)).collect::<Vec<_>>().join(", ");
    let side = |what, image: Vec<Interface>, model: &[Interface]| {
        let same = image.len() == model.len() && image.iter().zip(model).all(|(image, model)| is_same(image, model));
        (!same).then(|| format!("its {what} are {}, the model's are {}", describe(&image), describe(model)))
    };
    let inputs = side("inputs", runner.inputs().iter().map(Interface::from).collect(), &imported.inputs);
    let outputs = side("outputs", runner.outputs().iter().map(Interface::from).collect(), &imported.outputs);
    let name = |p: &Path| p.display().to_string();
    if let Some(reason) = inputs.or(outputs) {
        return Err(CompileError::Mismatch { image: name(&request.image), model: name(&request.model), reason });
    }
    let same_file = runner.image().doc(doc::Key::OnnxDigest).is_none_or(|digest| digest == imported.sha256);
    let warning = || format!("{} was converted from another version of {}", name(&request.image), name(&request.model));
    Ok(if same_file { Vec::new() } else { vec![warning()] })
}

/// The shape of a result that depends on the values is not known before they are.
fn is_same(image: &Interface, model: &Interface) -> bool {
    let is_unknown = model.shape.is_empty() && model.element_type.is_none();
    image.name == model.name && (image.shape == model.shape || is_unknown)
}

/// JSON has no infinity: equal values count as 200 dB.
fn bounded(sqnr_db: f64) -> f64 {
    sqnr_db.clamp(-200.0, 200.0)
}

/// Least SQNR of a float32 image: 1e-4 relative would be 80 dB, rounding alone leaves more than 110.
const FLOAT_FLOOR_DB: f64 = 90.0;
/// Least SQNR of an int8 image that is worth having.
const INTEGER_FLOOR_DB: f64 = 20.0;

#[cfg(test)]
mod tests {
    use super::*;

    fn request(max_accuracy_drop: Option<f64>) -> VerifyRequest {
        VerifyRequest {
            model: "m.onnx".into(),
            image: "m.tnf".into(),
            import: ImportOptions::default(),
            inputs: "x.npz".into(),
            min_sqnr_db: None,
            max_accuracy_drop,
            n_device_samples: 3,
            report: None,
            conversion: None,
        }
    }

    fn check(drop: Option<f64>, sqnr_db: f64, accuracy: Option<(f64, f64)>, expected: &[&str]) {
        check_slices(drop, sqnr_db, Vec::new(), accuracy, expected);
    }

    fn check_slices(
        drop: Option<f64>,
        sqnr_db: f64,
        slices: Vec<Slice>,
        accuracy: Option<(f64, f64)>,
        expected: &[&str],
    ) {
        let (name, top1_agreement) = ("y".into(), None);
        let output = OutputReport { name, sqnr_db, max_abs_error: 0.0, cosine: 1.0, top1_agreement, slices };
        let accuracy = accuracy.map(|(reference, image)| AccuracyReport { reference, image });
        let found = missed(&request(drop), 20.0, &[output], accuracy, None);
        assert_eq!(found.len(), expected.len(), "{found:?}");
        for (found, expected) in found.iter().zip(expected) {
            assert!(found.contains(expected), "{found}");
        }
    }

    #[test]
    fn tolerances_are_missed_in_words() {
        check(None, 20.0, None, &[]);
        check(None, 19.9, None, &["SQNR 19.9 dB"]);
        check(Some(0.01), 30.0, Some((0.9, 0.89)), &[]);
        check(Some(0.01), 30.0, Some((0.9, 0.88)), &["drops by 2.00 points from 90.00 %, at most 1 is"]);
        check(Some(0.01), 30.0, None, &["no labels"]);
        check(None, -200.0, Some((0.9, 0.1)), &["SQNR"]);
    }

    #[test]
    fn a_part_without_signal_is_missed_whatever_the_whole_has() {
        let slice = |index, has_signal| Slice { axis: Some(1), index, sqnr_db: 0.0, has_signal };
        check_slices(None, 45.0, vec![slice(0, true), slice(1, true)], None, &[]);
        let words = "output y has no signal in index 1 of axis 1 (0.0 dB)";
        check_slices(None, 45.0, vec![slice(0, true), slice(1, false)], None, &[words]);
        let words = "index 0 of axis 1 (0.0 dB), nor in 1 more parts";
        check_slices(None, 45.0, vec![slice(0, false), slice(1, false)], None, &[words]);
    }

    #[test]
    fn equal_values_have_a_number() {
        assert_eq!(bounded(f64::INFINITY), 200.0);
        assert_eq!(bounded(f64::NEG_INFINITY), -200.0);
    }
}
