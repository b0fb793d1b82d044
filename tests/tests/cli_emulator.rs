//! The command line against boards in the emulator. Without QEMU there is nothing to test.

use tinfer_tests::command_line::{Outcome, tinfer};
use tinfer_tests::root;

/// What a command did, unless there is no emulator on this machine.
fn with_emulator(arguments: &[&str]) -> Option<Outcome> {
    let told = tinfer(&[arguments, &["--json"]].concat());
    let missing = told.code == 2 && told.json()["error"]["code"] == "emulator-missing";
    if missing {
        println!("QEMU is not installed: skipped");
    }
    (!missing).then_some(told)
}

#[test]
fn the_board_computes_the_bits_of_this_machine() {
    let folder = tempfile::tempdir().unwrap();
    let model = root().join("models/digits-cnn");
    let file = |name: &str| model.join(name).display().to_string();
    let (onnx, samples) = (file("digits-cnn.onnx"), file("calibration.npz"));
    let image = folder.path().join("m.tnf").display().to_string();
    tinfer(&["convert", &onnx, "-o", &image, "--target", "mps2-an386"]).ok();
    let place = "emulator:mps2-an386";
    let verify = ["verify", &onnx, &image, "--inputs", &samples, "--on", place, "--device-samples", "2"];
    let Some(told) = with_emulator(&verify) else { return };
    let report = told.ok().json();
    let device = &report["device"];
    assert_eq!((&device["bit_exact"], &device["samples"]), (&true.into(), &2.into()), "{device}");
    assert!(device["layers"].as_array().unwrap().iter().all(|l| l["bit_exact"] == true), "{device}");
    assert!(device["instructions_per_inference"].as_u64() > Some(0), "{device}");
    assert!(device["stack_high_water_bytes"].as_u64() > Some(0), "{device}");

    let bench = tinfer(&["bench", &image, "--on", place, "--json"]).ok().json();
    assert!(bench["instructions_per_mac"].as_f64() > Some(0.0), "{bench}");
    assert!(bench["layers"].as_array().unwrap().iter().all(|l| l["instructions"].as_u64() > Some(0)), "{bench}");

    let flash = tinfer(&["flash", &image, "--board", "mps2-an386", "--json"]).ok().json();
    assert_eq!((&flash["board"], &flash["model"]["name"]), (&"mps2-an386".into(), &"digits-cnn".into()), "{flash}");

    let picture = file("samples/seven.png");
    let run = tinfer(&["run", &image, "--input", &picture, "--on", place, "--json"]).ok().json();
    assert_eq!(run["top"][0]["label"], "7", "{run}");
}

#[test]
fn the_page_shows_what_the_board_drew() {
    let folder = tempfile::tempdir().unwrap();
    let file = |name: &str| root().join("models/fashion-generator").join(name).display().to_string();
    let (onnx, samples) = (file("fashion-generator.onnx"), file("calibration.npz"));
    let path = |name: &str| folder.path().join(name).display().to_string();
    let (image, page) = (path("m.tnf"), path("out.html"));
    tinfer(&["convert", &onnx, "-o", &image, "--target", "mps2-an386"]).ok();
    let verify = ["verify", &onnx, &image, "--inputs", &samples, "--on", "emulator:mps2-an386", "--report", &page];
    let Some(told) = with_emulator(&[&verify[..], &["--device-samples", "2"]].concat()) else { return };
    assert_eq!(told.ok().json()["device"]["bit_exact"], true);
    let page = std::fs::read_to_string(page).unwrap();
    let drawn = |who: &str, i: usize| {
        let (before, _) = page.split_once(&format!("\" alt=\"{who} {i}\""))?;
        Some(before.rsplit_once('"')?.1.to_string())
    };
    for i in 0..2 {
        let [float, host, device] = ["float", "host", "device"].map(|who| drawn(who, i).unwrap());
        assert!(device.starts_with("data:image/png;base64,") && device == host && host != float, "sample {i}");
    }
    assert_eq!((drawn("device", 2), drawn("host", 11).is_some(), drawn("host", 12)), (None, true, None));
}

#[test]
fn float_and_int8_images_have_the_same_bits_on_every_emulated_board() {
    let folder = tempfile::tempdir().unwrap();
    for (model, precision, weights, board) in [
        ("digits-cnn", "float32", "int8", "mps2-an386"),
        ("fashion-resnet8", "float32", "int8", "mps2-an500"),
        ("fashion-resnet8", "int8", "int8", "mps2-an386"),
        ("fashion-resnet8", "int8", "int8", "mps2-an500"),
        ("fashion-resnet8", "int8", "int8", "mps3-an547"),
        ("fashion-resnet8", "int8", "int4", "mps2-an386"),
    ] {
        let file = |name: String| root().join("models").join(model).join(name).display().to_string();
        let (onnx, samples) = (file(format!("{model}.onnx")), file("calibration.npz".into()));
        let image = folder.path().join("m.tnf").display().to_string();
        let formats = ["--precision", precision, "--weights", weights];
        tinfer(&[&["convert", &onnx, "-o", &image, "--target", board][..], &formats].concat()).ok();
        let place = format!("emulator:{board}");
        // What four bits cost is no matter here.
        let least_db = if weights == "int4" { "5" } else { "20" };
        let verify = ["verify", &onnx, &image, "--inputs", &samples, "--on", &place, "--device-samples", "1"];
        let Some(told) = with_emulator(&[&verify[..], &["--min-sqnr", least_db]].concat()) else { return };
        let report = told.ok().json();
        assert_eq!(report["device"]["bit_exact"], true, "{model} {precision} {board}: {}", report["device"]);
    }
}

#[test]
fn a_board_without_an_emulator_is_refused() {
    let folder = tempfile::tempdir().unwrap();
    let onnx = root().join("models/digits-cnn/digits-cnn.onnx").display().to_string();
    let image = folder.path().join("m.tnf").display().to_string();
    tinfer(&["convert", &onnx, "-o", &image]).ok();
    let told = tinfer(&["bench", &image, "--on", "emulator:nrf52840-dk", "--json"]);
    assert_eq!(told.code, 2, "{told:?}");
    assert_eq!(told.json()["error"]["code"], "unknown-board", "{told:?}");
}
