//! `tinfer verify --report`: what is on the page, and that it stands alone.

use roxmltree::{Document, Node, ParsingOptions};
use std::path::{Path, PathBuf};
use tinfer_compiler::array::NamedArray;
use tinfer_compiler::array::{Array, ArrayData, read_npz, write_npz};
use tinfer_tests::command_line::tinfer;
use tinfer_tests::root;

/// A shipped model under a name that is markup, and labelled samples of it.
struct Case {
    folder: tempfile::TempDir,
    model: String,
    image: String,
    n_samples: usize,
}

impl Case {
    fn new(precision: &str, samples: &str) -> Self {
        let folder = tempfile::tempdir().unwrap();
        let path = |name: &str| folder.path().join(name).display().to_string();
        let (model, image) = (path("a<img src='x'>&\".onnx"), path("m.tnf"));
        std::fs::copy(root().join("models/digits-cnn/digits-cnn.onnx"), &model).unwrap();
        let calibration = root().join("models/digits-cnn/calibration.npz");
        let mut arrays = read_npz(&calibration).unwrap();
        let n_samples = arrays[0].array.shape[0];
        // The samples are digits in turn, so that nearly every label is wrong.
        let labels = (0..n_samples as i64).map(|i| (i + 1) % 10).collect();
        arrays.push(NamedArray::new("labels", Array::new(vec![n_samples], ArrayData::I64(labels))));
        write_npz(Path::new(&path(samples)), &arrays).unwrap();
        let calibration = calibration.display().to_string();
        let arguments = ["--precision", precision, "--calibration", &calibration, "--target", "mps2-an386"];
        tinfer(&[&["convert", &model, "-o", &image][..], &arguments].concat()).ok();
        Case { folder, model, image, n_samples }
    }

    fn path(&self, name: &str) -> PathBuf {
        self.folder.path().join(name)
    }

    fn report(&self, samples: &str, page: &Path) -> String {
        let (samples, page_name) = (self.path(samples).display().to_string(), page.display().to_string());
        let told =
            tinfer(&["verify", &self.model, &self.image, "--inputs", &samples, "--report", &page_name, "--json"]);
        assert_eq!(told.ok().json()["report"], page_name.as_str());
        std::fs::read_to_string(page).unwrap()
    }
}

fn parse(page: &str) -> Document<'_> {
    let options = ParsingOptions { allow_dtd: true, ..ParsingOptions::default() };
    Document::parse_with_options(page, options).unwrap_or_else(|e| panic!("{e}"))
}

fn section<'a>(page: &'a Document<'_>, id: &str) -> Node<'a, 'a> {
    page.descendants().find(|n| n.attribute("id") == Some(id)).unwrap_or_else(|| panic!("section {id}"))
}

fn all<'a>(node: Node<'a, 'a>, name: &'a str) -> impl Iterator<Item = Node<'a, 'a>> {
    node.descendants().filter(move |n| n.has_tag_name(name) || n.tag_name().name() == name)
}

fn text(node: Node<'_, '_>) -> String {
    node.descendants().filter_map(|n| n.text().filter(|_| n.is_text())).collect()
}

#[test]
fn every_layer_and_tensor_is_on_the_page() {
    let case = Case::new("int8", "samples.npz");
    let page = case.report("samples.npz", &case.path("out.html"));
    let page = parse(&page);
    let inspected = tinfer(&["inspect", &case.image, "--json"]).ok().json();
    let layers = inspected["layers"].as_array().unwrap();

    let body = all(section(&page, "layers"), "tbody").next().unwrap();
    let rows: Vec<Vec<String>> =
        all(body, "tr").map(|row| row.children().filter(Node::is_element).map(text).collect()).collect();
    assert_eq!(rows.len(), layers.len());
    for (row, layer) in rows.iter().zip(layers) {
        let expected = ["name", "operator", "precision", "kernel"].map(|key| layer[key].as_str().unwrap());
        assert_eq!(row[1..5], expected);
        assert_eq!(row[5].replace(',', ""), layer["macs"].to_string());
        // Lowered alone, a layer has rounding errors only; in int8 it has more.
        let [float, host] =
            [&row[10], &row[11]].map(|db| if db == "exact" { 200.0 } else { db.parse::<f64>().unwrap() });
        assert!(float > 100.0 && (20.0..=float).contains(&host), "{row:?}");
    }

    let titles: Vec<String> = all(section(&page, "memory"), "title").map(text).collect();
    assert!(titles.len() > layers.len(), "{titles:?}");
    assert!(titles[0].starts_with("image: 1×28×28×1 int8, 784 bytes at "), "{}", titles[0]);
    let boxes = all(section(&page, "graph"), "g").count();
    assert_eq!(boxes, layers.len() + 2);

    // One for the input, one for each ONNX tensor that a step holds.
    let captions: Vec<String> = all(section(&page, "ranges"), "figcaption").map(text).collect();
    assert!(captions.len() >= 7 && captions[0].starts_with("imagefloat 0 … 1int8 "), "{captions:?}");

    let cells = all(section(&page, "confusion"), "td").filter(|c| c.attribute("title").is_some());
    let counts = cells.map(|c| text(c).parse::<usize>().unwrap_or(0));
    assert_eq!(counts.sum::<usize>(), case.n_samples);
    let pictures: Vec<_> = all(section(&page, "worst"), "img").filter_map(|i| i.attribute("src")).collect();
    assert_eq!(pictures.len(), 12);
    let errors = section(&page, "worst").descendants().filter(|n| n.attribute("class") == Some("wrong")).count();
    assert_eq!(errors, 12, "nearly every label is wrong");
}

#[test]
fn the_page_needs_nothing_else() {
    let case = Case::new("float32", "s&<.npz");
    let out = case.path("out.html");
    std::fs::write(&out, "an older page").unwrap();
    let page = case.report("s&<.npz", &out);
    let document = parse(&page);
    assert!(page.contains("a&lt;img src=&#x27;x&#x27;&gt;&amp;&quot;.onnx"), "the model's name, escaped");
    for node in document.descendants().filter(Node::is_element) {
        assert!(!["script", "link", "iframe", "object", "embed", "base"].contains(&node.tag_name().name()), "{node:?}");
        for attribute in node.attributes().filter(|a| ["src", "href", "srcset", "data"].contains(&a.name())) {
            assert!(attribute.value().starts_with("data:image/png;base64,"), "{attribute:?}");
        }
    }
    let without_namespaces = page.replace("xmlns=\"http://www.w3.org/2000/svg\"", "");
    assert!(!without_namespaces.contains("//www") && !without_namespaces.contains("http"));
    assert!(!page.contains("@import"));
    assert!(page.match_indices("url(").all(|(at, _)| page[at..].starts_with("url(#")));
    let left: Vec<_> = std::fs::read_dir(case.folder.path()).unwrap().map(|e| e.unwrap().file_name()).collect();
    assert!(!left.iter().any(|name| name.to_string_lossy().starts_with(".tinfer-")), "{left:?}");
}

#[test]
fn a_page_that_cannot_be_written_is_an_error() {
    let case = Case::new("float32", "samples.npz");
    let (samples, folder) = (case.path("samples.npz").display().to_string(), case.folder.path().display().to_string());
    let told = tinfer(&["verify", &case.model, &case.image, "--inputs", &samples, "--report", &folder, "--json"]);
    assert_eq!((told.code, &told.json()["error"]["code"]), (2, &"file".into()), "{told:?}");
    assert!(told.stdout.contains("it is a directory"), "{}", told.stdout);
}
