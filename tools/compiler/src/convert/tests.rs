//! A model that int8 with one range per tensor ruins, and what repairs it.

use super::calibration::Calibrated;
use super::*;
use crate::array::{Array, NamedArray, write_npz};
use crate::import::build::{Attr, ModelBuilder};
use crate::samples::Sample;

mod parts;
mod relative;

/// Uniform between -1 and 1.
struct Random(u64);

impl Random {
    fn next(&mut self) -> f32 {
        self.0 = self.0.wrapping_mul(6_364_136_223_846_793_005).wrapping_add(1_442_695_040_888_963_407);
        (self.0 >> 40) as f32 / (1 << 23) as f32 - 1.0
    }

    fn array(&mut self, shape: &[usize], size: f32) -> Array {
        Array::f32(shape.to_vec(), (0..shape.iter().product()).map(|_| self.next() * size).collect())
    }
}

/// A classifier whose depthwise channels differ in size by up to 2^14; the next layer reads the small ones with weights
/// as much larger, so that all matter alike.
fn unbalanced() -> ModelBuilder {
    let mut random = Random(5);
    let n = 16;
    let size = |c: usize| 2f32.powi(((c * 5) % n) as i32 - 8);
    let mut depthwise = random.array(&[n, 1, 3, 3], 0.8);
    let mut bias = random.array(&[n], 0.1);
    let mut pointwise = random.array(&[24, n, 1, 1], 0.5);
    let scaled = |array: &mut Array, factor: &dyn Fn(usize) -> f32| {
        let values = array.to_f32().iter().enumerate().map(|(i, v)| v * factor(i)).collect();
        *array = Array::f32(array.shape.clone(), values);
    };
    scaled(&mut depthwise, &|i| size(i / 9));
    scaled(&mut bias, &size);
    scaled(&mut pointwise, &|i| 1.0 / size(i % n));
    let window = [("kernel_shape", Attr::Is(vec![3, 3])), ("pads", Attr::Is(vec![1, 1, 1, 1]))];
    let grouped = [window[0].clone(), window[1].clone(), ("group", Attr::I(n as i64))];
    ModelBuilder::new(13)
        .input("x", &[1, 3, 8, 8])
        .weight("w1", random.array(&[n, 3, 3, 3], 0.4))
        .weight("b1", random.array(&[n], 0.2))
        .weight("w2", depthwise)
        .weight("b2", bias)
        .weight("w3", pointwise)
        .weight("w4", random.array(&[24, 6], 0.6))
        .node("Conv", &["x", "w1", "b1"], &["c1"], &window)
        .node("Relu", &["c1"], &["r1"], &[])
        .node("Conv", &["r1", "w2", "b2"], &["c2"], &grouped)
        .node("Relu", &["c2"], &["r2"], &[])
        .node("Conv", &["r2", "w3"], &["c3"], &[])
        .node("Relu", &["c3"], &["r3"], &[])
        .node("GlobalAveragePool", &["r3"], &["p"], &[])
        .node("Flatten", &["p"], &["f"], &[])
        .node("MatMul", &["f", "w4"], &["y"], &[])
        .output("y")
}

struct Prepared {
    imported: Imported,
    reference: FloatModel,
    samples: Samples,
    graph: Graph,
}

/// The unbalanced model and samples.
fn prepared() -> Prepared {
    Prepared::new(&unbalanced(), Random(77).array(&[80, 3, 8, 8], 1.0))
}

impl Prepared {
    /// The model, and samples whose labels are the float model's classes.
    fn new(model: &ModelBuilder, x: Array) -> Self {
        let imported = model.import().unwrap();
        let graph = simplify(lower(&imported).unwrap()).graph;
        let shape = imported.inputs[0].shape.clone();
        let sample = |values: &[f32]| [NamedArray::new("x", Array::f32(shape.clone(), values.to_vec()))];
        let size = shape.iter().product();
        let reference = {
            let zeros = Sample { name: String::new(), inputs: sample(&vec![0.0; size]).to_vec(), label: None };
            FloatModel::open(&imported, Some(&graph), &[zeros]).unwrap()
        };
        let values = x.to_f32();
        let labels = values.chunks(size).map(|values| {
            let outputs = reference.run_with_taps(&sample(values), &mut |_, _| {}).unwrap();
            crate::metrics::top1(&outputs[0].array.to_f32()).unwrap() as i64
        });
        let labels = Array::new(vec![x.shape[0]], crate::array::ArrayData::I64(labels.collect()));
        let folder = tempfile::tempdir().unwrap();
        let path = folder.path().join("samples.npz");
        write_npz(&path, &[NamedArray::new("x", x), NamedArray::new("labels", labels)]).unwrap();
        let samples = load_samples(&path, &imported.inputs, &Default::default(), &[]).unwrap();
        Prepared { imported, reference, samples, graph }
    }

    fn calibrated(&self, tools: AccuracyTools) -> Calibrated {
        let calibration = Calibration { reference: &self.reference, samples: &self.samples };
        calibration.run(self.graph.clone(), tools, &mut |_| {}).unwrap()
    }

    fn methods(&self, calibrated: &Calibrated, precisions: &Choice) -> Vec<Method> {
        let options = QuantizeOptions {
            corrections: calibrated.corrections.clone(),
            precisions: precisions.precisions.clone(),
            ..QuantizeOptions::default()
        };
        self.search(calibrated).methods("", &options, &mut |_| {}).unwrap()
    }

    fn search<'a>(&'a self, calibrated: &'a Calibrated) -> Search<'a> {
        Search { calibrated, samples: &self.samples, isa: Isa::Portable }
    }
}

fn request(target: Target, limits: CostLimits) -> ConvertRequest {
    ConvertRequest {
        method: Some(RangeMethod::MinMax),
        limits,
        ..ConvertRequest::new("m.onnx", target, Precision::Auto)
    }
}

/// A board as large as this answer takes it; one that is smaller gets another answer or a reason.
#[test]
fn auto_keeps_within_a_board() {
    let model = prepared();
    let calibrated = model.calibrated(AccuracyTools::default());
    let options = QuantizeOptions { method: RangeMethod::MinMax, ..QuantizeOptions::default() };
    let floor = Floor { min_sqnr_db: Some(25.0), max_accuracy_drop: None };
    let Target::Board(board) = Target::parse("mps2-an386").unwrap() else { panic!("a board") };
    let choose = |slot_bytes: usize, arena_bytes: usize| {
        let mut board = board.clone();
        board.model_slot.length = slot_bytes as u32;
        board.budgets.arenas.truncate(1);
        board.budgets.arenas[0].bytes = arena_bytes as u32;
        let request = request(Target::Board(board), CostLimits::default());
        let packing = PackOptions { isa: Some(Isa::Armv7em), ..PackOptions::default() };
        let budget = Budget::new(&request, packing.clone()).unwrap();
        let choice = model.search(&calibrated).choose(&options, &floor, &budget, &mut |_| {})?;
        let options = QuantizeOptions { precisions: choice.precisions, ..options.clone() };
        let graph = quantize(calibrated.graph.clone(), &calibrated.ranges, &options)?;
        let (packed, planned) = finish(&request, graph)?.pack(&request, &packing)?;
        Ok::<_, CompileError>((packed.bytes.len(), planned.arena_bytes))
    };
    let (image_bytes, arena_bytes) = choose(1 << 20, 1 << 20).unwrap();
    assert_eq!(choose(image_bytes, arena_bytes).unwrap(), (image_bytes, arena_bytes));
    for (slot, arena, words) in [(image_bytes * 3 / 5, 1 << 20, "image too large"), (1 << 20, 1024, "arena too small")]
    {
        let error = choose(slot, arena).unwrap_err();
        assert_eq!((error.code(), error.is_refusal()), ("floor-not-reached", true));
        let text = error.to_string();
        assert!(text.contains(words) && text.contains("the best within gives SQNR "), "{text}");
    }
    match choose(image_bytes - 1, 1 << 20) {
        Ok((other, _)) => assert!(other < image_bytes),
        Err(error) => assert_eq!(error.code(), "floor-not-reached"),
    }
}

fn method<'m>(methods: &'m [Method], name: &str) -> &'m Method {
    methods.iter().find(|m| m.method == name).unwrap_or_else(|| panic!("{name} in {methods:#?}"))
}

#[test]
fn equalisation_repairs_unbalanced_channels() {
    let model = prepared();
    assert_eq!(model.imported.inputs.len(), 1);
    let plain = model.methods(&model.calibrated(AccuracyTools::default()), &Choice::default());
    let tools = AccuracyTools { equalise: true, ..AccuracyTools::default() };
    let calibrated = model.calibrated(tools);
    let pairs = &calibrated.equalised.pairs;
    assert_eq!(pairs.len(), 3, "{pairs:?}");
    assert!(pairs.iter().any(|p| p.spread >= 100.0), "{pairs:?}");
    let balanced = model.methods(&calibrated, &Choice::default());
    let (before, after) = (method(&plain, "int8, minmax"), method(&balanced, "int8, minmax"));
    assert!(before.sqnr_db < 10.0 && before.accuracy < Some(0.8), "{before:?}");
    assert!(after.sqnr_db > 25.0 && after.accuracy > Some(0.93), "{after:?}");
    assert!(method(&balanced, "float32").sqnr_db > 100.0);
    // Rows of weights that differ as much as the channels lose their small ones in int8, whatever activations are.
    let [narrow, wide] = [&plain, &balanced].map(|methods| method(methods, "int16x8"));
    assert!(narrow.accuracy > before.accuracy && wide.sqnr_db > after.sqnr_db, "{narrow:?} {wide:?}");
}

#[test]
fn no_method_is_clearly_better_than_the_best() {
    let model = prepared();
    for equalise in [false, true] {
        let calibrated = model.calibrated(AccuracyTools { equalise, ..AccuracyTools::default() });
        let best = model.search(&calibrated).best_method(&QuantizeOptions::default(), &mut |_| {}).unwrap();
        let methods = model.methods(&calibrated, &Choice::default());
        let sqnr_db = |way: RangeMethod| method(&methods, &format!("int8, {}", way.name())).sqnr_db;
        for other in RangeMethod::ALL {
            assert!(sqnr_db(other) < sqnr_db(best) + 0.6, "{} is not the best: {methods:#?}", best.name());
        }
    }
}

#[test]
fn auto_repairs_unbalanced_channels_with_few_layers() {
    let model = prepared();
    let calibrated = model.calibrated(AccuracyTools::default());
    let options = QuantizeOptions { method: RangeMethod::MinMax, ..QuantizeOptions::default() };
    let floor = Floor { min_sqnr_db: Some(25.0), max_accuracy_drop: Some(0.05) };
    let search = model.search(&calibrated);
    let request = request(Target::Host, CostLimits::default());
    let budget = Budget::new(&request, PackOptions::default()).unwrap();
    let choice = search.choose(&options, &floor, &budget, &mut |_| {}).unwrap();
    let layers: Vec<&str> = choice.raised.iter().map(|r| &*r.layer).collect();
    assert!(!layers.is_empty() && layers.len() <= 3, "{:#?}", choice.raised);
    assert!(choice.raised[0].reason.contains('%'));
    let chosen = QuantizeOptions { precisions: choice.precisions.clone(), ..options };
    let methods = search.methods("", &chosen, &mut |_| {}).unwrap();
    let (auto, int8, float) = (method(&methods, "auto"), method(&methods, "int8, minmax"), method(&methods, "float32"));
    assert!(auto.sqnr_db >= 25.0 && auto.accuracy >= Some(0.95), "{auto:?}");
    assert!(int8.image_bytes < auto.image_bytes && auto.image_bytes < float.image_bytes, "{methods:#?}");
    let easy = Floor { min_sqnr_db: Some(-50.0), max_accuracy_drop: None };
    assert_eq!(search.choose(&chosen, &easy, &budget, &mut |_| {}).unwrap().raised, []);
    let none = search.choose(&chosen, &Floor::default(), &budget, &mut |_| {}).unwrap_err();
    assert!(none.to_string().contains("without a floor"), "{none}");
}

/// Both lower the error of layers that are rounded coarsely, on samples that they were not learned from as well.
#[test]
fn corrections_help() {
    let model = prepared();
    let tools = AccuracyTools { equalise: true, bias_correction: true, adaround: true, ..AccuracyTools::default() };
    let methods = model.methods(&model.calibrated(tools), &Choice::default());
    let plain = method(&methods, "int8, percentile").sqnr_db;
    for name in ["int8, bias correction", "int8, adaround", "int8, bias correction, adaround"] {
        let found = method(&methods, name).sqnr_db;
        assert!(found > plain + 2.0, "{name}: {found:.2} dB, {plain:.2} dB without");
    }
}
