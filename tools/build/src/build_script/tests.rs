//! The build script in a folder of its own.

use super::*;

// What the model computes is the emulator tests' business.
#[allow(dead_code)]
#[path = "../../../../firmware/app/tests/tiny/mod.rs"]
mod tiny;

/// Runs the build script over the board.toml of mps2-an386 with `change` applied to it.
fn check(package: &str, kernel_isa: Option<&str>, change: (&str, &str)) -> Result<(String, String), String> {
    check_with_models(package, kernel_isa, change, &[])
}

/// As [`check`], with these bytes as the files in `TINFER_MODEL`.
fn check_with_models(
    package: &str,
    kernel_isa: Option<&str>,
    change: (&str, &str),
    models: &[&[u8]],
) -> Result<(String, String), String> {
    let folder = tempfile::tempdir().unwrap();
    let boards = Path::new(env!("CARGO_MANIFEST_DIR")).join("../../firmware/boards");
    let text = fs::read_to_string(boards.join("mps2-an386/board.toml")).unwrap();
    if !change.0.is_empty() {
        fs::write(folder.path().join("board.toml"), text.replace(change.0, change.1)).unwrap();
    }
    let environment = Environment {
        folder: folder.path().to_owned(),
        out_dir: folder.path().to_owned(),
        board: package.to_owned(),
        kernel_isa: kernel_isa.map(str::to_owned),
        models: (1..=models.len()).map(|n| folder.path().join(format!("model{n}.tnf"))).collect(),
    };
    for (path, bytes) in environment.models.iter().zip(models) {
        fs::write(path, bytes).unwrap();
    }
    run(&environment, &[]).map_err(|err| err.to_string())?;
    let read = |name| fs::read_to_string(folder.path().join(name)).unwrap();
    Ok((read("memory.x"), read("board.rs")))
}

#[test]
fn ticks_may_stand_for_a_fraction_of_an_instruction() {
    for (value, expected) in [(1.0, (1, 1)), (40.0, (40, 1)), (31.25, (125, 4)), (0.5, (1, 2)), (0.1, (102, 1024))] {
        assert_eq!(fraction(value), expected, "{value}");
    }
}

const UNCHANGED: (&str, &str) = ("[board]", "[board]");

#[test]
fn a_board_becomes_a_linker_script_and_constants() {
    let (memory, constants) = check("mps2-an386", Some("armv7em"), UNCHANGED).unwrap();
    assert_eq!(memory, memory_x(&Board::find("mps2-an386").unwrap()));
    for line in [
        "pub const BOARD: &str = \"mps2-an386\";",
        "pub const ISA: &str = \"armv7em\";",
        "pub const MODEL_SLOT_ORIGIN: usize = 0x200000;",
        "pub const MODEL_SLOT_BYTES: usize = 0x200000;",
        "pub const INSTRUCTIONS_PER_TICK: (u32, u32) = (40, 1);",
        "pub fn arenas() -> Option<[&'static mut [u8]; 1]> {",
        "    static RAM: ArenaMemory<524288> = ArenaMemory::new();",
        "pub fn model_arena() -> Option<[&'static mut [u8]; 1]> {",
        "pub static OPERATORS: &[&tinfer::operators::Operator] = &[",
        "    &tinfer::operators::conv_2d::CONV_2D_I8,",
        "    &tinfer::operators::armv7em::conv_2d::CONV_2D_I8_ARMV7EM,",
    ] {
        assert!(constants.lines().any(|it| it == line), "{line}\nis missing in\n{constants}");
    }
    assert!(!constants.contains("operators::mve"), "{constants}");
}

#[test]
fn a_wrong_build_ends_with_a_sentence() {
    let cases = [
        (
            check("other", Some("armv7em"), UNCHANGED),
            "board.toml names the board `mps2-an386`, its package is called `other`",
        ),
        (
            check("mps2-an386", None, UNCHANGED),
            "mps2-an386 needs kernels for armv7em, the compiler was told nothing: build with \
             `cargo xtask firmware mps2-an386`, which passes `--cfg kernel_isa=\"armv7em\"`",
        ),
        (check("mps2-an386", Some("armv7em"), ("[budgets]", "[budget]")), "unknown field `budget`"),
        (check("mps2-an386", Some("armv7em"), ("", "")), "board.toml: No such file or directory"),
    ];
    for (outcome, expected) in cases {
        let error = outcome.unwrap_err();
        assert!(error.contains(expected), "{error}");
    }
}

#[test]
fn a_model_that_does_not_fit_ends_the_build() {
    let check = |bytes: &[u8]| check_with_models("mps2-an386", Some("armv7em"), UNCHANGED, &[bytes]);
    for isa in [Isa::Portable, Isa::Armv7em] {
        let (_, constants) = check(&tiny::image(100, 524_288, isa)).unwrap();
        let list = "Operator] = &[\n    &tinfer::operators::";
        assert!(constants.contains(list), "{constants}");
        assert!(constants.contains("static RAM: ArenaMemory<524288>"), "{constants}");
    }
    let cases = [
        (
            tiny::image(100, 524_304, Isa::Armv7em),
            "model1.tnf does not fit: arena too small on mps2-an386: the model needs 524304 bytes, the firmware reserves \
             at most 524288, in RAM (budgets.arena in board.toml)",
        ),
        (
            tiny::image(100, 112, Isa::Mve),
            "model1.tnf is packed for mve, mps2-an386 runs armv7em: convert it with `--target mps2-an386`",
        ),
        (b"text".to_vec(), "model1.tnf: not a model image: starts with 0x74786574"),
    ];
    for (bytes, expected) in cases {
        let error = check(&bytes).unwrap_err();
        assert!(error.contains(expected), "{error}");
    }
}

#[test]
fn models_that_run_one_after_the_other_share_an_arena() {
    let images = [1600, 4096, 524_304].map(|n| tiny::image(100, n, Isa::Armv7em));
    let check = |models: &[&[u8]]| check_with_models("mps2-an386", Some("armv7em"), UNCHANGED, models);
    for models in [[&images[0][..], &images[1]], [&images[1], &images[0]]] {
        let (_, constants) = check(&models).unwrap();
        assert!(constants.contains("static RAM: ArenaMemory<4096>"), "{constants}");
        let (_, alone) = check(&models[..1]).unwrap();
        let operators = |text: &str| text.split("OPERATORS").nth(1).unwrap().split(';').next().unwrap().to_owned();
        assert_eq!(operators(&constants), operators(&alone));
    }
    let error = check(&[&images[1], &images[2]]).unwrap_err();
    let expected = "model2.tnf does not fit: arena too small on mps2-an386: the model needs 524304 bytes, the firmware \
                    reserves at most 524288, in RAM";
    assert!(error.contains(expected), "{error}");
}
