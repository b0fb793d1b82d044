//! `tinfer flash`

use super::bytes;
use crate::answer::Answer;
use crate::device;
use crate::failure::Failure;
use crate::place::emulated;
use serde_json::json;
use std::fmt::Write as _;
use std::path::PathBuf;
use tinfer_compiler::inspect::inspect_image;
use tinfer_compiler::model_file::ModelFile;
use tinfer_compiler::target::{Target, check_image};

#[derive(clap::Args)]
pub struct Options {
    /// The image
    #[arg(value_name = "IMAGE.tnf")]
    image: PathBuf,
    /// The board
    #[arg(long)]
    board: String,
    /// How the board is reached: emulator
    #[arg(long, default_value = "emulator", value_name = "LINK")]
    on: String,
}

pub fn run(options: &Options) -> Result<Answer, Failure> {
    if options.on != "emulator" {
        let known = ["probe", "uf2"].contains(&&*options.on) || options.on.starts_with("serial:");
        let hint = "choose --on emulator";
        return Err(match known {
            true => Failure::not_available(format!("--on {}", options.on), hint),
            false => Failure::argument(format!("there is no link '{}'", options.on), hint),
        });
    }
    let board = emulated(&options.board)?;
    let (path, image) = ModelFile::open(&options.image)?.into_image("flashing")?;
    check_image(&Target::Board(Box::new(board.clone())), &inspect_image(&path, &image)?)?;
    let mut device = device::open(&board, &image)?;
    let (hello, model) = (device.hello().clone(), device.model().clone());
    let log = device.log();
    let mut text = format!("{}: firmware {}, {} kernels\n", hello.board, hello.firmware_version, hello.isa);
    let _ =
        writeln!(text, "model {}: {} steps, {} bytes of arena", model.name, model.n_steps, bytes(model.arena_bytes));
    let tensors = |tensors: &[tinfer_flash::TensorInfo]| {
        tensors.iter().map(|t| json!({"name": t.name, "bytes": t.bytes})).collect::<Vec<_>>()
    };
    for line in &log {
        let _ = writeln!(text, "  {line}");
    }
    let json = json!({
        "board": hello.board,
        "on": options.on,
        "isa": hello.isa,
        "firmware_version": hello.firmware_version,
        "protocol_version": hello.protocol_version,
        "model": {
            "name": model.name, "n_steps": model.n_steps, "arena_bytes": model.arena_bytes,
            "inputs": tensors(&model.inputs), "outputs": tensors(&model.outputs),
        },
        "log": log,
    });
    Answer::new(text, &json)
}
