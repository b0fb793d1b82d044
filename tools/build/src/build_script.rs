//! The build script of a board's firmware, as one call.

use std::collections::BTreeSet;
use std::fmt::Write;
use std::path::{Path, PathBuf};
use std::{env, fs, io, process};

use tinfer::Image;
use tinfer::error::LoadError;
use tinfer::image::ALIGNMENT;
use tinfer::isa::Isa;
use tinfer::operators;

use crate::linker::arena_section;
use crate::operator_list::operator_list;
use crate::{ArenaBudget, Board, BoardError, FitError, Requirements, check_fit, memory_x};

/// What `firmware/boards/<board>/build.rs` calls, and all it does.
///
/// From the `board.toml` beside it, writes `memory.x` and `board.rs` (the constants of [`constants`]) to `OUT_DIR`,
/// tells Cargo how to link, and checks that the kernels are built for the board's instruction set. Ends the build with
/// a sentence when something is wrong.
///
/// With `TINFER_MODEL=image.tnf` in the environment only the operators of that model are linked, and the build also
/// ends when the model does not fit the board. Several images, separated as in `PATH`, are models that run one after the
/// other in one arena: it is as large as the largest of theirs.
pub fn board() {
    end(Environment::of_cargo().and_then(|environment| run(&environment, &["--nmagic", "-Tlink.x", "-Tdefmt.x"])));
}

/// The same for a program without a log that serves any board: the one named by `TINFER_BOARD`.
pub fn any_board() {
    end(Environment::of_any_board().and_then(|environment| {
        // Names of interrupts, for a program that brings its own vectors; there are none. A board's firmware finds the
        // file of its chip's crate, which this one would hide.
        write(&environment.out_dir.join("device.x"), "")?;
        run(&environment, &["--nmagic", "--icf=all", "-Tlink.x"])
    }));
}

fn end(outcome: Result<(), BuildScriptError>) {
    if let Err(err) = outcome {
        eprintln!("error: {err}");
        process::exit(1);
    }
}

/// Why a board's firmware cannot be built.
#[derive(Debug, thiserror::Error)]
pub enum BuildScriptError {
    /// A file could not be read or written.
    #[error("{path}: {source}")]
    File {
        /// The file.
        path: PathBuf,
        /// What the system said.
        source: io::Error,
    },
    /// `board.toml` is refused.
    #[error(transparent)]
    Board(#[from] BoardError),
    /// The folder, which names the package and the ELF file, has another name than the board.
    #[error("board.toml names the board `{found}`, its package is called `{expected}`")]
    Name {
        /// Name in `board.toml`.
        found: String,
        /// Name of the package.
        expected: String,
    },
    /// The compiler was not told the board's instruction set, or another one.
    #[error(
        "{board} needs kernels for {expected}, the compiler was told {found}: build with `cargo xtask firmware {board}`, \
         which passes `--cfg kernel_isa=\"{expected}\"`"
    )]
    InstructionSet {
        /// The board.
        board: String,
        /// Instruction set in `board.toml`.
        expected: String,
        /// What `--cfg kernel_isa` says.
        found: String,
    },
    /// The file in `TINFER_MODEL` is not a sound model image.
    #[error("TINFER_MODEL is {path}: {source}")]
    Model {
        /// The file.
        path: PathBuf,
        /// What is wrong with it.
        source: LoadError,
    },
    /// The model's weights are packed for another instruction set.
    #[error("{path} is packed for {found}, {board} runs {expected}: convert it with `--target {board}`")]
    ModelInstructionSet {
        /// The image.
        path: PathBuf,
        /// The board.
        board: String,
        /// Instruction set of the image.
        found: &'static str,
        /// Instruction set of the board.
        expected: String,
    },
    /// The program serves any board and was not told which.
    #[error("TINFER_BOARD names no board: build with `cargo xtask bench`, which sets it")]
    NoBoard,
    /// The model has a step that no operator of the runtime computes.
    #[error("{path} needs operator {code:#06x}, which this runtime does not have: convert it again")]
    UnknownOperator {
        /// The image.
        path: PathBuf,
        /// Code in its plan.
        code: u16,
    },
    /// The model does not fit the board.
    #[error("{path} does not fit: {source}")]
    Fit {
        /// The image.
        path: PathBuf,
        /// What does not fit.
        source: FitError,
    },
}

/// What Cargo and the user tell a build script.
struct Environment {
    /// Where `board.toml` is.
    folder: PathBuf,
    out_dir: PathBuf,
    /// Name that the board must have.
    board: String,
    kernel_isa: Option<String>,
    /// Images that the program is built for; none when it takes any.
    models: Vec<PathBuf>,
}

impl Environment {
    fn of_cargo() -> Result<Self, BuildScriptError> {
        Ok(Self {
            folder: variable("CARGO_MANIFEST_DIR").into(),
            out_dir: variable("OUT_DIR").into(),
            board: variable("CARGO_PKG_NAME"),
            kernel_isa: env::var("CARGO_CFG_KERNEL_ISA").ok(),
            models: env::var_os("TINFER_MODEL").iter().flat_map(|paths| env::split_paths(paths)).collect(),
        })
    }

    fn of_any_board() -> Result<Self, BuildScriptError> {
        println!("cargo::rerun-if-env-changed=TINFER_BOARD");
        let board = variable("TINFER_BOARD");
        if board.is_empty() {
            return Err(BuildScriptError::NoBoard);
        }
        let environment = Self::of_cargo()?;
        let folder = environment.folder.join("../boards").join(&board);
        Ok(Self { folder, board, ..environment })
    }
}

fn variable(name: &str) -> String {
    env::var(name).unwrap_or_default()
}

fn run(environment: &Environment, link_arguments: &[&str]) -> Result<(), BuildScriptError> {
    let path = environment.folder.join("board.toml");
    println!("cargo::rerun-if-changed={}", path.display());
    let text = fs::read_to_string(&path).map_err(|source| BuildScriptError::File { path, source })?;
    let board = Board::parse(&text)?;
    if board.name != environment.board {
        return Err(BuildScriptError::Name { found: board.name, expected: environment.board.clone() });
    }
    if environment.kernel_isa.as_ref() != Some(&board.isa) {
        return Err(BuildScriptError::InstructionSet {
            found: environment.kernel_isa.clone().unwrap_or_else(|| "nothing".to_owned()),
            expected: board.isa,
            board: board.name,
        });
    }
    println!("cargo::rerun-if-env-changed=TINFER_MODEL");
    let models = match environment.models.as_slice() {
        [] => ModelFacts::any(&board),
        paths => ModelFacts::of(&board, paths)?,
    };
    write(&environment.out_dir.join("memory.x"), &memory_x(&board))?;
    write(&environment.out_dir.join("board.rs"), &constants(&board, &models))?;
    println!("cargo::rustc-link-search={}", environment.out_dir.display());
    for argument in link_arguments {
        println!("cargo::rustc-link-arg-bins={argument}");
    }
    Ok(())
}

/// What a program that is built for some models knows of them.
struct ModelFacts {
    /// In the memory that they will run in.
    arena: ArenaBudget,
    /// A Rust expression: the list of operators.
    operators: String,
}

impl ModelFacts {
    /// For a program that takes any model for this board.
    fn any(board: &Board) -> Self {
        let runs_here = |isa: Isa| isa == Isa::Portable || isa.name() == board.isa;
        let here = operators::ALL.iter().map(|operator| operator.code);
        let here = here.filter(|&code| operators::isa(code).is_some_and(runs_here));
        Self { arena: board.largest_arena().clone(), operators: operator_list(&here.collect()) }
    }

    /// For a program that runs these models one after the other. They share the arena, and each keeps its state.
    fn of(board: &Board, paths: &[PathBuf]) -> Result<Self, BuildScriptError> {
        let mut together = Requirements::default();
        let mut codes = BTreeSet::new();
        let mut arena = board.largest_arena().clone();
        for path in paths {
            let (model, its_codes) = read_model(board, path)?;
            together.arena_bytes = together.arena_bytes.max(model.arena_bytes);
            together.state_bytes += model.state_bytes;
            codes.extend(its_codes);
            let fits = check_fit(
                board,
                &Requirements { image_bytes: model.image_bytes, stack_bytes: model.stack_bytes, ..together },
            );
            let fits = fits.map_err(|source| BuildScriptError::Fit { path: path.clone(), source })?;
            // What fits has a size of 32 bits.
            arena = ArenaBudget { memory: fits.memory.clone(), bytes: together.arena_bytes as u32 };
        }
        Ok(ModelFacts { arena, operators: operator_list(&codes) })
    }
}

/// Reads the image in that file: what it needs, and the codes of its operators. Refuses one that is packed for another
/// board.
fn read_model(board: &Board, path: &Path) -> Result<(Requirements, BTreeSet<u16>), BuildScriptError> {
    println!("cargo::rerun-if-changed={}", path.display());
    let owned = || path.to_owned();
    let bytes = fs::read(path).map_err(|source| BuildScriptError::File { path: owned(), source })?;
    // An image is read in place, so it must lie as in flash.
    let mut memory = vec![0; bytes.len() + ALIGNMENT];
    let start = memory.as_ptr().align_offset(ALIGNMENT);
    memory[start..start + bytes.len()].copy_from_slice(&bytes);
    let image = Image::check(&memory[start..start + bytes.len()])
        .map_err(|source| BuildScriptError::Model { path: owned(), source })?;
    let (isa, manifest) = (image.isa(), image.manifest());
    if isa != Isa::Portable && isa.name() != board.isa {
        let (board, expected) = (board.name.clone(), board.isa.clone());
        return Err(BuildScriptError::ModelInstructionSet { path: owned(), board, found: isa.name(), expected });
    }
    let needs = Requirements {
        image_bytes: bytes.len() as u64,
        arena_bytes: manifest.arena_bytes.into(),
        stack_bytes: manifest.stack_bytes.into(),
        state_bytes: manifest.state_bytes.into(),
    };
    let codes: BTreeSet<u16> = image.steps().map(|step| step.code).collect();
    match codes.iter().find(|&&code| operators::path(code).is_none()) {
        Some(&code) => Err(BuildScriptError::UnknownOperator { path: owned(), code }),
        None => Ok((needs, codes)),
    }
}

fn write(path: &Path, text: &str) -> Result<(), BuildScriptError> {
    fs::write(path, text).map_err(|source| BuildScriptError::File { path: path.to_owned(), source })
}

/// Rust constants for a `main.rs`, to be included from `OUT_DIR/board.rs`.
fn constants(board: &Board, models: &ModelFacts) -> String {
    let slot = board.model_slot;
    let (instructions, ticks) =
        fraction(board.emulator.as_ref().map_or(1.0, |emulator| emulator.instructions_per_tick));
    // A program uses those that it needs.
    format!(
        "/// Name of the board.\n\
         #[allow(dead_code)]\n\
         pub const BOARD: &str = {:?};\n\
         /// Instruction set of the kernels.\n\
         #[allow(dead_code)]\n\
         pub const ISA: &str = {:?};\n\
         /// First address of the model slot.\n\
         pub const MODEL_SLOT_ORIGIN: usize = {:#x};\n\
         /// Length of the model slot.\n\
         pub const MODEL_SLOT_BYTES: usize = {:#x};\n\
         /// Instructions that SysTick ticks of the emulator stand for, and how many ticks those are.\n\
         #[allow(dead_code)]\n\
         pub const INSTRUCTIONS_PER_TICK: (u32, u32) = ({instructions}, {ticks});\n\
         /// Clock of the CPU.\n\
         #[allow(dead_code)]\n\
         pub const CLOCK_HZ: u32 = {};\n\
         /// Operators that are linked.\n\
         pub static OPERATORS: &[&tinfer::operators::Operator] = {};\n\
         /// The arenas that the firmware reserves, fastest memory first. `None` the second time.\n\
         {}\
         /// The arena that the model needs; the largest when the program is built for any model. `None` the second time.\n\
         {}",
        board.name,
        board.isa,
        slot.origin,
        slot.length,
        board.clock_hz,
        models.operators,
        take_arenas("arenas", &board.budgets.arenas),
        take_arenas("model_arena", std::slice::from_ref(&models.arena)),
    )
}

/// A function that gives these arenas away once. Without a call of it they take no memory.
fn take_arenas(name: &str, arenas: &[ArenaBudget]) -> String {
    let mut text = format!(
        "#[allow(dead_code)]\npub fn {name}() -> Option<[&'static mut [u8]; {}]> {{\n    use tinfer_cortex_m::ArenaMemory;\n",
        arenas.len()
    );
    for arena in arenas {
        if let Some(section) = arena_section(arena) {
            let _ = writeln!(text, "    #[unsafe(link_section = {section:?})]");
        }
        let _ = writeln!(text, "    static {0}: ArenaMemory<{1}> = ArenaMemory::new();", arena.memory, arena.bytes);
    }
    let taken: Vec<String> = arenas.iter().map(|arena| format!("{}.take()", arena.memory)).collect();
    let _ = write!(
        text,
        "    cortex_m::singleton!(: () = ())?;\n    // SAFETY: the line above is passed once.\n    Some(unsafe {{ [{}] }})\n}}\n",
        taken.join(", ")
    );
    text
}

/// A positive number as a fraction over the smallest power of two that makes it exact, up to 2^10.
fn fraction(value: f64) -> (u32, u32) {
    let exact = |&exponent: &u32| (value * f64::from(1u32 << exponent)).fract() == 0.0;
    let denominator = 1u32 << (0..10).find(exact).unwrap_or(10);
    ((value * f64::from(denominator)).round() as u32, denominator)
}

#[cfg(test)]
mod tests;
