//! A model that int8 ruins, and what repairs it: channels of very different size between a convolution and a depthwise
//! one share a scale. Budgets that leave no room for the repair are refused with what was reached.

use roxmltree::{Document, Node, ParsingOptions};
use serde_json::Value;
use std::path::Path;
use tinfer_compiler::array::{Array, ArrayData, NamedArray, read_npz, write_npz};
use tinfer_tests::command_line::{Outcome, tinfer};
use tinfer_tests::onnx::{Model, Weight};

const INPUTS: usize = 4;
const CHANNELS: usize = 16;
const CLASSES: usize = 8;
const SIDE: usize = 8;

struct Random(u64);

impl Random {
    /// Evenly from -1 to 1.
    fn next(&mut self) -> f32 {
        self.0 = self.0.wrapping_mul(6_364_136_223_846_793_005).wrapping_add(1_442_695_040_888_963_407);
        (self.0 >> 40) as f32 / (1 << 23) as f32 - 1.0
    }

    fn many(&mut self, n: usize) -> Vec<f32> {
        (0..n).map(|_| self.next()).collect()
    }
}

/// Two channels up to 3000 times as large as the others, which the depthwise layer makes equal again.
fn unbalanced(random: &mut Random) -> Vec<u8> {
    let factor = |c: usize| if c.is_multiple_of(8) { 3000.0 } else { 1.0 + c as f32 };
    let scaled = |values: Vec<f32>, per_channel: usize, by: &dyn Fn(usize) -> f32| -> Vec<f32> {
        values.iter().enumerate().map(|(i, v)| v * by(i / per_channel)).collect()
    };
    let first = scaled(random.many(CHANNELS * INPUTS), INPUTS, &factor);
    let first_bias = scaled(random.many(CHANNELS), 1, &|c| 0.3 * factor(c));
    let depthwise = scaled(random.many(CHANNELS * 9), 9, &|c| 1.0 / factor(c));
    let depthwise_bias = random.many(CHANNELS);
    let last = random.many(CHANNELS * CLASSES);
    let (n, i, k) = (CHANNELS as u64, INPUTS as u64, CLASSES as u64);
    Model::new(&[1, i, SIDE as u64, SIDE as u64])
        .weight(&Weight { name: "w1", dims: &[n, i, 1, 1], values: &first })
        .weight(&Weight { name: "b1", dims: &[n], values: &first_bias })
        .weight(&Weight { name: "w2", dims: &[n, 1, 3, 3], values: &depthwise })
        .weight(&Weight { name: "b2", dims: &[n], values: &depthwise_bias })
        .weight(&Weight { name: "w3", dims: &[n, k], values: &last })
        .node("Conv", &["x", "w1", "b1"], "a")
        .node("Relu", &["a"], "b")
        .node_with("Conv", &["b", "w2", "b2"], "c", &[("group", n)])
        .node("Relu", &["c"], "d")
        .node("GlobalAveragePool", &["d"], "e")
        .node("Flatten", &["e"], "f")
        .node("MatMul", &["f", "w3"], "y")
        .bytes()
}

/// A sample's number, class, and by how much that is ahead of the next.
fn best(sample: usize, scores: &[f32]) -> (usize, i64, f32) {
    let mut order: Vec<usize> = (0..scores.len()).collect();
    order.sort_by(|&a, &b| scores[b].total_cmp(&scores[a]));
    (sample, order[0] as i64, scores[order[0]] - scores[order[1]])
}

/// The model in a folder, with calibration and evaluation samples labelled by the float model.
struct Case {
    folder: tempfile::TempDir,
}

impl Case {
    fn new() -> Self {
        let case = Case { folder: tempfile::tempdir().unwrap() };
        let mut random = Random(3);
        std::fs::write(case.path("m.onnx"), unbalanced(&mut random)).unwrap();
        for (name, n) in [("calibration.npz", 200), ("evaluation.npz", 400)] {
            let mut values = Vec::new();
            for _ in 0..2 * n * INPUTS {
                let level = random.next();
                values.extend(random.many(SIDE * SIDE).iter().map(|v| level + 0.2 * v));
            }
            let x = |n: usize, values: &[f32]| {
                NamedArray::new("x", Array::f32(vec![n, INPUTS, SIDE, SIDE], values.to_vec()))
            };
            let (samples, out) = (case.path(name), case.path("float.npz"));
            write_npz(Path::new(&samples), &[x(2 * n, &values)]).unwrap();
            tinfer(&["run", &case.path("m.onnx"), "--backend", "tract", "--input", &samples, "--output", &out]).ok();
            let scores = read_npz(Path::new(&out)).unwrap().remove(0).array.to_f32().to_vec();
            // The half that is told apart best: what is left to lose is lost by noise, not by a coin's toss.
            let mut order: Vec<(usize, i64, f32)> =
                scores.chunks(CLASSES).enumerate().map(|(i, row)| best(i, row)).collect();
            order.sort_by(|a, b| b.2.total_cmp(&a.2));
            order.truncate(n);
            let size = INPUTS * SIDE * SIDE;
            let kept: Vec<f32> = order.iter().flat_map(|&(i, ..)| values[i * size..][..size].to_vec()).collect();
            let labels = Array::new(vec![n], ArrayData::I64(order.iter().map(|&(_, label, _)| label).collect()));
            write_npz(Path::new(&samples), &[x(n, &kept), NamedArray::new("labels", labels)]).unwrap();
        }
        case
    }

    fn path(&self, name: &str) -> String {
        self.folder.path().join(name).display().to_string()
    }

    fn convert(&self, options: &[&str]) -> Outcome {
        let [model, image, samples] = ["m.onnx", "m.tnf", "calibration.npz"].map(|name| self.path(name));
        let fixed = ["convert", &model, "-o", &image, "--calibration", &samples, "--calibration-method", "minmax"];
        tinfer(&[&fixed[..], &["--json"], options].concat())
    }

    /// Whether the image loses at most one point; writes the page.
    fn verify(&self, conversion: &Outcome) -> (Outcome, String) {
        let [model, image, samples, page, told] =
            ["m.onnx", "m.tnf", "evaluation.npz", "page.html", "convert.json"].map(|name| self.path(name));
        std::fs::write(&told, &conversion.stdout).unwrap();
        let fixed = ["verify", &model, &image, "--inputs", &samples, "--max-accuracy-drop", "1", "--min-sqnr", "0"];
        let page_options = ["--report", &page, "--conversion", &told, "--json"];
        let outcome = tinfer(&[&fixed[..], &page_options].concat());
        (outcome, std::fs::read_to_string(page).unwrap())
    }
}

fn text(node: Node<'_, '_>) -> String {
    node.descendants().filter_map(|n| n.text().filter(|_| n.is_text())).collect()
}

/// The rows of the tables in the section about methods.
fn rows(page: &str) -> Vec<Vec<String>> {
    let options = ParsingOptions { allow_dtd: true, ..ParsingOptions::default() };
    let page = Document::parse_with_options(page, options).unwrap();
    let section = page.descendants().find(|n| n.attribute("id") == Some("methods")).expect("section methods");
    let rows = section.descendants().filter(|n| n.tag_name().name() == "tr");
    rows.map(|row| row.children().filter(Node::is_element).map(text).collect()).collect()
}

/// The accuracy in the row that begins with this text, in percent.
fn accuracy(rows: &[Vec<String>], method: &str) -> f64 {
    let row = rows.iter().find(|row| row[0].starts_with(method)).unwrap_or_else(|| panic!("{method} in {rows:?}"));
    row[1].strip_suffix(" %").unwrap_or_else(|| panic!("{row:?}")).parse().unwrap()
}

fn drop(verified: &Outcome) -> f64 {
    let accuracy = &verified.json()["accuracy"];
    100.0 * (accuracy["reference"].as_f64().unwrap() - accuracy["image"].as_f64().unwrap())
}

#[test]
fn balanced_channels_repair_what_one_scale_ruins() {
    let case = Case::new();
    // Without, parts of the output have no signal in int8: layers go to int16.
    let plain = case.convert(&[]).ok();
    let raised = plain.json()["raised"].as_array().unwrap().clone();
    let is_spared = |layer: &serde_json::Value| {
        let reason = layer["reason"].as_str().unwrap();
        layer["precision"] == "int16" && reason.contains("output y has parts that its steps cannot tell apart")
    };
    assert!(!raised.is_empty() && raised.iter().all(is_spared), "{raised:?}");
    let (spared, _) = case.verify(&plain);
    assert!(spared.code == 0 && drop(&spared) <= 1.0, "{spared:?}");

    let equalised = case.convert(&["--equalise", "--compare-methods"]).ok();
    assert_eq!(equalised.json()["raised"].as_array().unwrap().len(), 0);
    let (repaired, page) = case.verify(&equalised);
    assert!(repaired.code == 0 && drop(&repaired) <= 1.0, "{repaired:?}");
    let rows = rows(&page);
    println!("{rows:?}");
    let [image, before, after] = ["this image", "int8, minmax", "equalised int8, minmax"].map(|m| accuracy(&rows, m));
    assert!(before < 75.0 && after >= 99.0 && image >= 99.0, "{rows:?}");
    assert!(page.contains("Channels balanced between layers"));
}

#[test]
fn auto_precision_repairs_what_one_scale_ruins() {
    let case = Case::new();
    let auto = case.convert(&["--precision", "auto", "--max-accuracy-drop", "1", "--compare-methods"]).ok();
    let raised = auto.json()["raised"].as_array().unwrap().clone();
    let (repaired, page) = case.verify(&auto);
    assert!(repaired.code == 0 && drop(&repaired) <= 1.0, "{repaired:?}");
    let rows = rows(&page);
    println!("{rows:?}");
    assert!(accuracy(&rows, "int8, minmax") < 75.0 && accuracy(&rows, "auto") >= 99.0, "{rows:?}");
    // Not everything: the last layer is as good in int8.
    assert!((1..4).contains(&raised.len()), "{raised:?}");
    for layer in raised {
        let row = ["layer", "operator", "precision", "reason"].map(|key| layer[key].as_str().unwrap().to_string());
        assert!(rows.iter().any(|r| r[..] == row), "{row:?} in {rows:?}");
        assert!(row[3].contains("of the noise of int8 comes from it"), "{row:?}");
    }
}

#[test]
fn a_budget_bounds_what_auto_precision_may_raise() {
    let case = Case::new();
    let auto = ["--precision", "auto", "--max-accuracy-drop", "1"];
    let instructions = |outcome: &Value| outcome["estimate"]["instructions"].as_u64();
    let int8 = instructions(&case.convert(&["--target", "mps2-an386", "--force"]).ok().json()).unwrap();
    // Not even int8 costs so little.
    let outcome = case.convert(&[&["--target", "mps2-an386", "--max-instructions", "1000"][..]].concat());
    let error = &outcome.json()["error"];
    assert_eq!((outcome.code, error["code"].as_str()), (1, Some("too-slow")), "{error}");
    let expected = format!("an inference costs about {int8} instructions, the limit is 1000");
    assert_eq!(error["message"].as_str(), Some(&*expected));
    // A floor that nothing holds.
    let outcome = case.convert(&["--precision", "auto", "--min-sqnr", "190"]);
    let error = &outcome.json()["error"];
    assert_eq!((outcome.code, error["code"].as_str()), (1, Some("floor-not-reached")), "{error}");
    let message = error["message"].as_str().unwrap();
    assert!(message.contains("SQNR of at least 190 dB") && message.contains("float32 in every layer"), "{message}");
    // A time needs a clock.
    let outcome = case.convert(&[&auto[..], &["--max-latency", "1"]].concat());
    assert_eq!((outcome.code, outcome.json()["error"]["code"].as_str()), (2, Some("not-available")));
    // In time on the board, answers hold the floor and fit.
    let outcome = case.convert(&[&auto[..], &["--target", "mps2-an386", "--max-latency", "1000"]].concat()).ok();
    assert!(!outcome.json()["raised"].as_array().unwrap().is_empty());
}
