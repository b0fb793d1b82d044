//! A second implementation of the envelope, MCUboot's `imgtool`, accepts what we write.

use std::path::PathBuf;
use std::process::Command;
use tinfer_compiler::choose::Chosen;
use tinfer_compiler::import::{ImportOptions, import};
use tinfer_compiler::lower::lower;
use tinfer_compiler::pack::{PackOptions, pack};
use tinfer_compiler::passes::simplify;
use tinfer_compiler::plan::plan;
use tinfer_tests::root;

/// Where `cargo xtask setup` puts it.
fn imgtool() -> Option<PathBuf> {
    let cache = std::env::var_os("XDG_CACHE_HOME").map(PathBuf::from);
    let cache = cache.or_else(|| Some(PathBuf::from(std::env::var_os("HOME")?).join(".cache")))?;
    let program = cache.join("tinfer/tools/imgtool/bin/imgtool");
    if !program.is_file() {
        println!("imgtool is not there (cargo xtask setup installs it): skipped");
        return None;
    }
    Some(program)
}

#[test]
fn imgtool_verifies_an_image_and_refuses_a_damaged_one() {
    let Some(imgtool) = imgtool() else { return };
    let imported = import(&root().join("models/digits-cnn/digits-cnn.onnx"), &ImportOptions::default()).unwrap();
    let graph = simplify(lower(&imported).unwrap()).graph;
    let packed = pack(&graph, &plan(&graph, &|_, _| Chosen::PORTABLE), &PackOptions::default()).unwrap();
    let folder = tempfile::tempdir().unwrap();
    let file = folder.path().join("image.bin");
    let verify = |bytes: &[u8]| {
        std::fs::write(&file, bytes).unwrap();
        let output = Command::new(&imgtool).arg("verify").arg(&file).output().unwrap();
        let text = String::from_utf8_lossy(&output.stdout).into_owned() + &String::from_utf8_lossy(&output.stderr);
        (output.status.success(), text)
    };
    let (accepted, text) = verify(&packed.bytes);
    assert!(accepted && text.contains("Image was correctly validated"), "{text}");
    let mut damaged = packed.bytes.clone();
    damaged[300] ^= 1;
    let (accepted, text) = verify(&damaged);
    assert!(!accepted, "{text}");
}
