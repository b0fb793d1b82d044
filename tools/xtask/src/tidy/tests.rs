//! One bad snippet for each rule, and the good one next to it.

use std::path::Path;

use super::{Finding, check};

fn findings(file: &str, text: &str) -> Vec<Finding> {
    let mut findings = Vec::new();
    check(Path::new(file), text, &mut findings);
    findings
}

#[track_caller]
fn refused(file: &str, text: &str, line: usize, word: &str) {
    let found = findings(file, text);
    assert_eq!(found.len(), 1, "{file}: {text:?}: {found:?}");
    assert_eq!(found[0].line, line, "{file}: {text:?}");
    assert!(found[0].text.contains(word), "{file}: {text:?}: {}", found[0].text);
}

#[track_caller]
fn accepted(file: &str, text: &str) {
    assert_eq!(findings(file, text), [], "{file}: {text:?}");
}

#[test]
fn crates_import_one_way() {
    let cases = [
        ("tools/compiler/src/plan/mod.rs", "use tinfer_flash::Emulator;", 1, "tinfer_flash"),
        ("tools/compiler/src/plan/mod.rs", "fn f() {\n    tinfer_flash::start();\n}", 2, "tinfer_flash"),
        ("tools/flasher/src/serial.rs", "use tinfer_compiler::Graph;", 1, "tinfer_compiler"),
        ("tools/build/src/fit.rs", "use tinfer_flash::Device;", 1, "tinfer_flash"),
        ("runtime/src/lib.rs", "use tinfer_build::Board;", 1, "nothing of this project"),
        ("runtime/src/lib.rs", "pub use tinfer_protocol::Frame;", 1, "nothing of this project"),
        ("firmware/protocol/src/lib.rs", "use tinfer::Isa;", 1, "names tinfer,"),
        ("firmware/app/src/update.rs", "use tinfer_build::Board;", 1, "tinfer_build"),
        ("firmware/app/src/update.rs", "use tinfer_mps2::Uart;", 1, "tinfer_mps2"),
        (
            "tools/build/Cargo.toml",
            "[dependencies]\nserde = \"1\"\ntinfer-compiler.workspace = true",
            3,
            "tinfer_compiler",
        ),
    ];
    for (file, text, line, word) in cases {
        refused(file, text, line, word);
    }
    let good = [
        ("tools/cli/src/command/run.rs", "use tinfer_compiler::Graph; use tinfer_flash::Emulator;"),
        ("tools/compiler/src/plan/mod.rs", "use tinfer_build::Board; use tinfer::image;"),
        ("tools/flasher/src/serial.rs", "use tinfer_protocol::Frame;"),
        ("firmware/boards/mps2-an386/src/main.rs", "use tinfer_mps2::Uart; use tinfer_app::run;"),
        ("tools/compiler/src/plan/mod.rs", "// tinfer_flash::start\nlet s = \"tinfer_flash::start\";"),
        ("tests/tests/end_to_end.rs", "use tinfer_compiler::Graph; use tinfer_protocol::Frame;"),
        ("tools/flasher/Cargo.toml", "[dev-dependencies]\ntinfer-compiler.workspace = true"),
    ];
    for (file, text) in good {
        accepted(file, text);
    }
}

#[test]
fn the_runtime_imports_one_way() {
    let cases = [
        ("runtime/src/kernels/portable/add.rs", "use crate::image::Image;", "runtime::image"),
        ("runtime/src/kernels/mve/add.rs", "use crate::{tensor::Shape, session::Session};", "runtime::session"),
        ("runtime/src/image/mod.rs", "use crate::operators::ADD;", "runtime::operators"),
        ("runtime/src/operators/add.rs", "fn f() { crate::session::run() }", "runtime::session"),
        ("runtime/src/tensor.rs", "use crate::kernels::portable;", "runtime::kernels"),
    ];
    for (file, text, word) in cases {
        refused(file, text, 1, word);
    }
    let good = [
        ("runtime/src/session/run.rs", "use crate::{operators, kernels, image, tensor};"),
        ("runtime/src/operators/add.rs", "use crate::kernels::portable::add; use crate::image::Step;"),
        ("runtime/src/kernels/portable/add.rs", "//! See [`crate::session`].\nuse crate::fixed_point::requantize;"),
        ("runtime/src/kernels/portable/add.rs", "fn f() {}\n#[cfg(test)]\nmod tests { use crate::image::Image; }"),
    ];
    for (file, text) in good {
        accepted(file, text);
    }
}

#[test]
fn files_stay_short() {
    refused("tools/cli/src/main.rs", &"//\n".repeat(801), 801, "801 lines");
    accepted("tools/cli/src/main.rs", &"//\n".repeat(800));
    refused("firmware/boards/mps2-an386/src/main.rs", &"//\n".repeat(81), 81, "at most 80");
    accepted("README.md", &"x\n".repeat(2000));
}

#[test]
fn modules_have_names() {
    for name in ["utils", "common", "misc", "helpers"] {
        refused("tools/cli/src/main.rs", &format!("use a;\npub mod {name};"), 2, name);
    }
    accepted("tools/cli/src/main.rs", "mod command; let common = 1;");
}

#[test]
fn unsafe_stays_in_its_folders() {
    for file in ["runtime/src/session/run.rs", "runtime/src/kernels/mve/add.rs", "tools/cli/src/main.rs"] {
        refused(file, "fn f() {\n    unsafe { g() }\n}", 2, "unsafe");
    }
    accepted("runtime/src/kernels/mve/instructions.rs", "unsafe { g() }");
    accepted("runtime/src/kernels/mve/instructions/load.rs", "unsafe { g() }");
    accepted("firmware/boards/mps2-an386/src/main.rs", "unsafe { g() }");
    accepted("runtime/src/lib.rs", "#![forbid(unsafe_code)] // no unsafe here");
}

#[test]
fn tract_stays_in_import() {
    refused("tools/compiler/src/lower/conv.rs", "use tract_onnx::prelude::*;", 1, "tract");
    refused("tools/compiler/src/lower/conv.rs", "tract_onnx::onnx()", 1, "tract");
    accepted("tools/compiler/src/import/mod.rs", "use tract_onnx::prelude::*;");
    accepted("tools/cli/src/main.rs", "Backend::Tract; let s = \"tract\";");
}

#[test]
fn libraries_print_nothing() {
    refused("tools/compiler/src/plan/mod.rs", "fn f() { println!(\"x\") }", 1, "println");
    accepted("tools/compiler/src/plan/mod.rs", "fn f() {}\n#[cfg(test)]\nmod tests { fn g() { println!() } }");
    accepted("tools/cli/src/main.rs", "println!()");
}

#[test]
fn unfinished_and_private_words_are_found() {
    refused("runtime/src/lib.rs", "\n// TODO: later", 2, "TODO");
    refused("models/digits-cnn/train/train.py", "# FIXME", 1, "FIXME");
    refused("README.md", "see /home/me/x", 1, "/home/");
    refused("tools/cli/src/main.rs", "let data = \"../shared/data\";", 1, "../shared");
    accepted("tests/tests/end_to_end.rs", "let data = \"../shared/data\";");
    accepted("runtime/src/lib.rs", "// TODOS are no word; a path like firmware/app/src is no place");
}
