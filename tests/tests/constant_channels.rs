//! Images without constant and unread channels give what the images with them give, bit for bit.

use std::collections::{BTreeMap, HashSet};
use tinfer::session::{Observer, StepDone};
use tinfer_compiler::aligned::AlignedBytes;
use tinfer_compiler::array::{Array, ArrayData};
use tinfer_compiler::convert::{ConvertReport, ConvertRequest, Converted, Precision, convert};
use tinfer_compiler::graph::Origin;
use tinfer_compiler::runner::{ImageRunner, shape};
use tinfer_compiler::target::Target;
use tinfer_compiler::trim::ConstantChannels;
use tinfer_tests::shared_data;

fn converted(file: &str, target: &str, constant_channels: ConstantChannels) -> Option<Converted> {
    let request = ConvertRequest {
        constant_channels,
        ..ConvertRequest::new(
            shared_data(&format!("mlperf_tiny/{file}"))?,
            Target::parse(target).unwrap(),
            Precision::Int8,
        )
    };
    Some(convert(&request, &mut |_| {}).unwrap())
}

/// All smallest, all largest, checkerboards, stripes, ramps, then random ones with more or less contrast.
fn inputs(shape: &[usize], n: usize) -> Vec<Array> {
    let n_elements: usize = shape.iter().product();
    let [.., width, depth] = shape[..] else { panic!("{shape:?}") };
    let at = |i: usize| (i / depth / width, i / depth % width, i % depth);
    let either = |high: bool| if high { 127i8 } else { -128 };
    let patterns: [&dyn Fn(usize) -> i8; 9] = [
        &|_| -128,
        &|_| 127,
        &|_| 0,
        &|i| either((at(i).0 + at(i).1).is_multiple_of(2)),
        &|i| either(!(at(i).0 + at(i).1).is_multiple_of(2)),
        &|i| either(at(i).0.is_multiple_of(2)),
        &|i| either(at(i).1.is_multiple_of(2)),
        &|i| either(at(i).2.is_multiple_of(2)),
        &|i| i as u8 as i8,
    ];
    let mut seed = 5u64;
    let mut random = move || {
        seed = seed.wrapping_mul(6_364_136_223_846_793_005).wrapping_add(1_442_695_040_888_963_407);
        (seed >> 56) as u8 as i8
    };
    let array = |values: Vec<i8>| Array::new(shape.to_vec(), ArrayData::I8(values));
    let fixed = patterns.iter().map(|p| array((0..n_elements).map(p).collect()));
    let noise = (0..n - patterns.len()).map(|k| {
        let (contrast, offset) = (1 + (k % 3) as i8, random() / 2);
        array((0..n_elements).map(|_| (random() / contrast).saturating_add(offset)).collect())
    });
    fixed.chain(noise.collect::<Vec<_>>()).collect()
}

/// The number of rows (of an image) and the bytes of every step's result.
#[derive(Default)]
struct Steps(Vec<(usize, Vec<u8>)>);

impl Observer for Steps {
    fn step_done(&mut self, step: &StepDone<'_>) {
        let (tensor, bytes) = step.output(0).unwrap();
        self.0.push((tensor.shape.dims().get(1).map_or(1, |&n| n as usize), bytes.to_vec()));
    }
}

/// Values of each tensor of the model; those that exist a few rows at a time are put together.
fn values(origins: &[Option<Origin>], steps: &Steps) -> BTreeMap<String, Vec<u8>> {
    let mut values = BTreeMap::<String, Vec<u8>>::new();
    for (origin, (n_rows, bytes)) in origins.iter().zip(&steps.0) {
        let Some(origin) = origin else { continue };
        let whole = values.entry(origin.name.clone()).or_default();
        let Some(rows) = origin.rows else {
            whole.clone_from(bytes);
            continue;
        };
        let row = bytes.len() / n_rows;
        whole.resize(row * rows.of, 0);
        whole[rows.start * row..][..bytes.len()].copy_from_slice(bytes);
    }
    values
}

/// Runs `n` inputs through both images: outputs are equal, and every layer has the values of the channels that it kept.
fn check_equal(whole: &AlignedBytes, trimmed: &AlignedBytes, n: usize) {
    let (mut whole, mut trimmed) = (ImageRunner::new(whole).unwrap(), ImageRunner::new(trimmed).unwrap());
    let origins = |runner: &ImageRunner<'_>| runner.layers().into_iter().map(|l| l.origin).collect::<Vec<_>>();
    let (all_origins, origins) = (origins(&whole), origins(&trimmed));
    let mut features = HashSet::new();
    for input in inputs(&shape(&whole.inputs()[0]), n) {
        let (mut expected, mut found) = (Steps::default(), Steps::default());
        let output = whole.run_observed(std::slice::from_ref(&input), &mut expected).unwrap();
        assert_eq!(trimmed.run_observed(&[input], &mut found).unwrap(), output);
        let (expected, found_values) = (values(&all_origins, &expected), values(&origins, &found));
        assert!(expected.keys().eq(found_values.keys()) && !expected.is_empty());
        for (name, found) in &found_values {
            let kept = origins.iter().flatten().find(|o| o.name == *name).and_then(|o| o.kept.as_ref());
            let expected = kept.map_or_else(|| expected[name].clone(), |kept| kept.select(&expected[name]).unwrap());
            assert!(expected == *found, "{name}");
        }
        features.extend(found.0.into_iter().rev().nth(2).map(|(_, bytes)| bytes));
    }
    assert!(features.len() > n / 2, "the inputs tell little: {} different features", features.len());
}

#[test]
fn visual_wake_words_lose_half_of_their_work() {
    let file = "vww_96_int8.onnx";
    let Some(trimmed) = converted(file, "host", ConstantChannels::Remove) else { return };
    let whole = converted(file, "host", ConstantChannels::Keep).unwrap();
    assert!(whole.report.constant_channels.is_none());
    let report = trimmed.report.constant_channels.clone().unwrap();
    // Rows of strips that are computed again are no work of the model.
    let macs =
        |report: &ConvertReport| report.macs.strict_sub_signed(report.streamed.iter().map(|s| s.repeated_macs).sum());
    assert_eq!((report.macs_before, macs(&whole.report)), (7_489_664, 7_489_664));
    assert_eq!(report.macs_after, macs(&trimmed.report));
    assert!(report.macs_after as f64 <= 0.55 * report.macs_before as f64, "{report}");
    assert!(trimmed.report.image_bytes * 3 < whole.report.image_bytes);
    check_equal(&whole.image, &trimmed.image, 1000);
}

#[test]
fn kernels_of_every_cpu_agree_on_it() {
    for isa in ["armv7em", "mve"] {
        let of = |channels| converted("vww_96_int8.onnx", isa, channels);
        let Some(trimmed) = of(ConstantChannels::Remove) else { return };
        check_equal(&of(ConstantChannels::Keep).unwrap().image, &trimmed.image, 24);
    }
}

#[test]
fn models_without_such_channels_stay_what_they_are() {
    for file in ["kws_ref_model.onnx", "pretrainedResnet_quant.onnx"] {
        let Some(trimmed) = converted(file, "host", ConstantChannels::Remove) else { return };
        let whole = converted(file, "host", ConstantChannels::Keep).unwrap();
        assert_eq!(trimmed.report.constant_channels.map(|r| r.n_channels()), Some(0));
        assert_eq!(trimmed.image, whole.image);
    }
}
