use super::*;
use crate::array::{ArrayData, write_npy, write_npz};
use crate::metrics::top1;
use crate::model_toml::ModelToml;
use tinfer::preprocess::{Binarise, Channels, Fit, Resize};

fn input(name: &str, shape: &[usize], batched: bool, element_type: ElementType) -> Interface {
    Interface { name: name.into(), shape: shape.to_vec(), batched, element_type: Some(element_type) }
}

fn x() -> Interface {
    input("x", &[1, 2, 3], true, ElementType::F32)
}

fn counting(shape: &[usize]) -> Array {
    let n: usize = shape.iter().product();
    Array::f32(shape.to_vec(), (0..n).map(|i| i as f32).collect())
}

fn integers(shape: &[usize], values: &[i64]) -> Array {
    Array::new(shape.to_vec(), ArrayData::I64(values.to_vec()))
}

/// Writes the arrays to a file and opens it.
fn open(arrays: &[(&str, Array)], inputs: &[Interface]) -> Result<Samples, SampleError> {
    let folder = tempfile::tempdir().unwrap();
    let path = folder.path().join("data.npz");
    let arrays: Vec<NamedArray> = arrays.iter().map(|(n, a)| NamedArray::new(n, a.clone())).collect();
    write_npz(&path, &arrays).unwrap();
    load_samples(&path, inputs, &BTreeMap::new(), &[])
}

#[test]
fn arrays_are_one_or_many_samples() {
    for (shape, n) in [(vec![1, 2, 3], 1), (vec![4, 2, 3], 4), (vec![4, 1, 2, 3], 4)] {
        let samples = open(&[("x", counting(&shape))], &[x()]).unwrap();
        assert_eq!((samples.len(), samples.has_labels()), (n, false), "{shape:?}");
        for (i, sample) in samples.iter().enumerate() {
            let sample = sample.unwrap();
            assert_eq!(sample.inputs[0].array.shape, [1, 2, 3]);
            assert_eq!(sample.inputs[0].array.to_f32()[0], (i * 6) as f32);
            assert_eq!(sample.name.ends_with(&format!("[{i}]")), n > 1, "{}", sample.name);
        }
    }
}

#[test]
fn several_inputs_keep_the_models_order_and_their_types() {
    let inputs = [input("b", &[2], false, ElementType::I8), x()];
    let arrays = [("x", counting(&[2, 2, 3])), ("other", counting(&[9])), ("b", integers(&[2, 2], &[1, -2, 3, -128]))];
    let samples = open(&arrays, &inputs).unwrap();
    let second = samples.get(1).unwrap();
    assert_eq!(second.inputs[0], NamedArray::new("b", Array::new(vec![2], ArrayData::I8(vec![3, -128]))));
    assert_eq!(second.inputs[1].name, "x");
}

#[test]
fn labels_are_classes_unless_they_are_an_input() {
    let samples = open(&[("x", counting(&[2, 2, 3])), (LABELS, integers(&[2, 1], &[7, 0]))], &[x()]).unwrap();
    assert!(samples.has_labels());
    let labels: Vec<_> = samples.iter().map(|s| s.unwrap().label).collect();
    assert_eq!(labels, [Some(7), Some(0)]);
    let own = input(LABELS, &[2], false, ElementType::I64);
    assert!(!open(&[(LABELS, integers(&[2], &[1, 2]))], &[own]).unwrap().has_labels());
}

#[test]
fn mistakes_in_arrays_are_explained() {
    let check = |arrays: &[(&str, Array)], inputs: &[Interface], code: &str, words: &str| {
        let error = open(arrays, inputs).unwrap_err();
        assert_eq!(error.code(), code, "{error}");
        assert!(error.to_string().contains(words) && error.to_string().contains("data.npz"), "{error}");
        assert!(!error.hint().is_empty());
    };
    let fixed = || input("x", &[4, 2], false, ElementType::F32);
    check(
        &[("y", counting(&[1, 2, 3]))],
        &[x()],
        "samples-missing-array",
        "no array named x, which the model needs; it has y [1, 2, 3]",
    );
    check(&[], &[x()], "samples-missing-array", "it has none");
    check(
        &[("x", counting(&[1, 3, 2]))],
        &[x()],
        "samples-shape",
        "has shape [1, 3, 2], input x takes [1, 2, 3] or [N, 2, 3]",
    );
    check(&[("x", counting(&[5, 2]))], &[fixed()], "samples-shape", "takes [4, 2] or [N, 4, 2]");
    check(&[("x", counting(&[0, 2, 3]))], &[x()], "samples-empty", "holds no samples");
    let tokens = input("x", &[2], false, ElementType::I8);
    check(&[("x", integers(&[2], &[1, 300]))], &[tokens], "samples-type", "array x of");
    let two = [x(), input("z", &[1, 2], true, ElementType::F32)];
    check(
        &[("x", counting(&[3, 2, 3])), ("z", counting(&[2, 2]))],
        &two,
        "samples-count",
        "2 samples in array z but 3 in array x",
    );
    check(
        &[("x", counting(&[1, 2, 3])), (LABELS, integers(&[2], &[1, 2]))],
        &[x()],
        "samples-labels",
        "shape [2] for 1 samples",
    );
    check(&[("x", counting(&[1, 2, 3])), (LABELS, integers(&[1], &[-1]))], &[x()], "samples-labels", "found -1");
}

#[test]
fn npy_is_for_models_with_one_input() {
    let folder = tempfile::tempdir().unwrap();
    let path = folder.path().join("x.npy");
    write_npy(&path, &counting(&[2, 2, 3])).unwrap();
    assert_eq!(load_samples(&path, &[x()], &BTreeMap::new(), &[]).unwrap().len(), 2);
    let two = [x(), input("z", &[2], false, ElementType::F32)];
    let error = load_samples(&path, &two, &BTreeMap::new(), &[]).unwrap_err();
    assert_eq!(error.code(), "samples-several-inputs");
    assert!(error.to_string().contains("2 inputs: x, z"), "{error}");
}

#[test]
fn files_that_hold_no_samples_are_refused() {
    let folder = tempfile::tempdir().unwrap();
    let check = |name: &str, content: Option<&[u8]>, code: &str| {
        let path = folder.path().join(name);
        if let Some(content) = content {
            std::fs::write(&path, content).unwrap();
        }
        let error = load_samples(&path, &[x()], &BTreeMap::new(), &[]).unwrap_err();
        assert_eq!(error.code(), code, "{error}");
        assert!(error.to_string().contains(name), "{error}");
    };
    check("missing.npz", None, "samples-file");
    check("broken.npz", Some(b"PK garbage"), "array-format");
    check("broken.npy", Some(b""), "array-format");
    check("sound.mid", Some(b"MThd"), "samples-kind");
    check("photo.png", Some(b""), "samples-no-preprocess");
    check("", None, "samples-no-preprocess");
}

fn gray(width: u16, height: u16) -> ImagePreprocess {
    ImagePreprocess {
        width,
        height,
        channels: Channels::Gray,
        resize: Resize::Area,
        fit: Fit::Stretch,
        binarise: Binarise::Never,
        scale: 1.0,
        mean: [128.0; 3],
        std: [1.0; 3],
    }
}

fn write_gray(path: &Path, width: u32, pixels: &[u8]) {
    std::fs::create_dir_all(path.parent().unwrap()).unwrap();
    image::GrayImage::from_raw(width, pixels.len() as u32 / width, pixels.to_vec()).unwrap().save(path).unwrap();
}

#[test]
fn pictures_fill_inputs_of_several_shapes_and_types() {
    let folder = tempfile::tempdir().unwrap();
    let path = folder.path().join("a.png");
    write_gray(&path, 4, &[0, 2, 100, 102, 10, 12, 255, 255]);
    let preprocess = BTreeMap::from([("x".to_string(), gray(2, 2))]);
    for shape in [&[1, 2, 2, 1][..], &[1, 1, 2, 2], &[2, 2], &[1, 4]] {
        for element_type in [ElementType::F32, ElementType::I8] {
            let samples = load_samples(&path, &[input("x", shape, true, element_type)], &preprocess, &[]).unwrap();
            let array = &samples.get(0).unwrap().inputs[0].array;
            assert_eq!((array.shape.as_slice(), array.element_type()), (shape, Some(element_type)));
            assert_eq!(array.to_f32(), [-127.0, -27.0, -117.0, 127.0]);
        }
    }
}

#[test]
fn colours_are_interleaved_or_planar_by_the_inputs_shape() {
    let folder = tempfile::tempdir().unwrap();
    let path = folder.path().join("a.png");
    image::RgbImage::from_raw(2, 1, vec![1, 2, 3, 4, 5, 6]).unwrap().save(&path).unwrap();
    let rgb = ImagePreprocess { channels: Channels::Rgb, mean: [0.0; 3], ..gray(2, 1) };
    let preprocess = BTreeMap::from([("x".to_string(), rgb)]);
    for (shape, expected) in
        [([1, 1, 2, 3], [1.0, 2.0, 3.0, 4.0, 5.0, 6.0]), ([1, 3, 1, 2], [1.0, 4.0, 2.0, 5.0, 3.0, 6.0])]
    {
        let samples = load_samples(&path, &[input("x", &shape, true, ElementType::F32)], &preprocess, &[]).unwrap();
        assert_eq!(samples.get(0).unwrap().inputs[0].array.to_f32(), expected, "{shape:?}");
    }
    let error =
        load_samples(&path, &[input("x", &[1, 2, 3, 1], true, ElementType::F32)], &preprocess, &[]).unwrap_err();
    assert_eq!(error.to_string(), "preprocessing makes 2 x 1 x 3 of a picture, input x has shape [1, 2, 3, 1]");
}

#[test]
fn folders_give_pictures_and_classes() {
    let folder = tempfile::tempdir().unwrap();
    for (name, value) in [("cat/b.png", 1), ("cat/a.png", 2), ("dog/a.jpg", 3), ("empty/readme.txt", 0)] {
        let path = folder.path().join(name);
        write_gray(&path.with_extension("png"), 1, &[value]);
        if name.ends_with("txt") {
            std::fs::remove_file(path.with_extension("png")).unwrap();
        }
        if name.ends_with("jpg") {
            std::fs::rename(path.with_extension("png"), &path).unwrap();
        }
    }
    let preprocess = BTreeMap::from([("x".to_string(), gray(1, 1))]);
    let inputs = [input("x", &[1, 1, 1, 1], true, ElementType::F32)];
    let check = |classes: &[&str], expected: &[usize]| {
        let classes: Vec<String> = classes.iter().map(|c| c.to_string()).collect();
        let samples = load_samples(folder.path(), &inputs, &preprocess, &classes).unwrap();
        let found: Vec<Sample> = samples.iter().map(Result::unwrap).collect();
        let values: Vec<f32> = found.iter().map(|s| s.inputs[0].array.to_f32()[0] + 128.0).collect();
        assert_eq!(values, [2.0, 1.0, 3.0]);
        assert_eq!(found.iter().filter_map(|s| s.label).collect::<Vec<_>>(), expected);
    };
    check(&[], &[0, 0, 1]);
    check(&["bird", "dog", "cat"], &[2, 2, 1]);
    let error = load_samples(folder.path(), &inputs, &preprocess, &["cat".into()]).unwrap_err();
    assert!(error.to_string().ends_with("dog is named as none of the model's classes (cat)"), "{error}");
    write_gray(&folder.path().join("z.png"), 1, &[9]);
    let direct = load_samples(folder.path(), &inputs, &preprocess, &[]).unwrap();
    assert_eq!((direct.len(), direct.has_labels()), (1, false));
    let empty = load_samples(&folder.path().join("empty"), &inputs, &preprocess, &[]).unwrap_err();
    assert_eq!(empty.code(), "samples-empty");
}

#[test]
fn a_broken_picture_is_named_when_it_is_read() {
    let folder = tempfile::tempdir().unwrap();
    let path = folder.path().join("a.png");
    std::fs::write(&path, b"not a picture").unwrap();
    let preprocess = BTreeMap::from([("x".to_string(), gray(1, 1))]);
    let samples = load_samples(&path, &[input("x", &[1, 1], true, ElementType::F32)], &preprocess, &[]).unwrap();
    let error = samples.get(0).unwrap_err();
    assert_eq!(error.code(), "samples-picture");
    assert!(error.to_string().contains("a.png"), "{error}");
    let token = [input("x", &[1, 1], true, ElementType::I8)];
    let fractions = BTreeMap::from([("x".to_string(), ImagePreprocess { scale: 0.3, ..gray(1, 1) })]);
    write_gray(&path, 1, &[1]);
    assert_eq!(load_samples(&path, &token, &fractions, &[]).unwrap().get(0).unwrap_err().code(), "samples-type");
}

#[test]
fn shipped_pictures_and_calibration_sets_are_recognised_by_their_models() {
    for model in ["digits-cnn", "fashion-mobilenet", "fashion-resnet8", "fashion-vgg", "mail-bert"] {
        let onnx = Path::new(env!("CARGO_MANIFEST_DIR")).join(format!("../../models/{model}/{model}.onnx"));
        let about = ModelToml::beside(&onnx).unwrap().unwrap();
        let imported = crate::import::import(&onnx, &Default::default()).unwrap();
        let reference = crate::import::Reference::new(&imported).unwrap();
        let class = |sample: &Sample| top1(&reference.run(&sample.inputs).unwrap()[0].array.to_f32());
        assert!(!about.samples.is_empty());
        for file in &about.samples {
            let samples = load_samples(&file.file, &imported.inputs, &about.preprocess, &about.labels).unwrap();
            let found = class(&samples.get(0).unwrap()).map(|c| &about.labels[c]);
            assert_eq!(found, file.label.as_ref(), "{}", file.file.display());
        }
        let calibration = about.calibration.unwrap();
        let samples = load_samples(&calibration, &imported.inputs, &about.preprocess, &about.labels).unwrap();
        assert!(samples.len() > 10 && class(&samples.get(3).unwrap()).is_some());
    }
}
