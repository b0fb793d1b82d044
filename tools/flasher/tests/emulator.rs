//! The firmware in QEMU, as the tools meet it.

use std::time::{Duration, Instant};

use tinfer::isa::Isa;
use tinfer_flash::{Board, Counter, Device, ErrorCode, FlashError, firmware_elf, open_emulator};

#[path = "../../../firmware/app/tests/tiny/mod.rs"]
mod tiny;

const BOARDS: [&str; 2] = ["mps2-an386", "mps2-an500"];

fn open(board: &str, image: &[u8]) -> Result<Device, FlashError> {
    let board = Board::find(board)?;
    open_emulator(&board, &firmware_elf(&board)?, image)
}

/// Boots every emulated board with `image` in its slot and expects this refusal.
fn refused(image: &[u8], code: ErrorCode, sentence: &str) {
    for board in BOARDS {
        refused_by(board, image, code, sentence);
    }
}

fn refused_by(board: &str, image: &[u8], code: ErrorCode, sentence: &str) {
    match open(board, image) {
        Err(FlashError::Refused { board: of, code: found, text }) => {
            assert_eq!((of.as_str(), found, text.as_str()), (board, code, sentence));
        }
        other => panic!("{board}: expected a refusal, got {other:?}"),
    }
}

#[test]
fn an_empty_slot_is_told() {
    refused(&[], ErrorCode::ImageRefused, "the model slot is empty");
    refused(&[0xff; 64], ErrorCode::ImageRefused, "the model slot is empty");
}

#[test]
fn garbage_in_the_slot_is_told() {
    let sentence = "not a model image: starts with 0x67452301, expected 0x96f3b83d";
    refused(&[0x01, 0x23, 0x45, 0x67, 0x89], ErrorCode::ImageRefused, sentence);
}

/// The same answer, cost and digests twice on one board and once on the next: a model that runs is the same everywhere.
#[test]
fn a_model_runs_with_the_same_bytes_and_the_same_cost_every_time() {
    let image = tiny::image(N_BYTES, N_BYTES.next_multiple_of(16), Isa::Armv7em);
    let input: Vec<u8> = (0..N_BYTES).map(|idx| (idx * 5) as u8).collect();
    for board in BOARDS {
        let mut device = open(board, &image).unwrap();
        assert_eq!((device.hello().board.as_str(), device.hello().isa.as_str()), (board, "armv7em"));
        assert_eq!(device.hello().counter, Counter::Instructions);
        assert_eq!((device.model().name.as_str(), device.model().n_steps), ("tiny", tiny::N_STEPS));
        assert_eq!(device.model().digest, image[image.len() - 32..]);
        device.set_input(0, &input).unwrap();
        let [first, second] = [false, false].map(|taps| device.run(taps).unwrap());
        assert_eq!(device.read_output(0).unwrap(), tiny::expected(&input), "the input is kept from run to run");
        assert_eq!(first.run_stack_bytes, second.run_stack_bytes);
        // A count is exact to one tick, 40 instructions, at its start and at its end.
        assert!(first.instructions.abs_diff(second.instructions) <= 80, "{first:?} {second:?}");
        let least = (N_BYTES * tiny::N_STEPS) as u64;
        assert!((least..100 * least).contains(&first.instructions), "{first:?}");
        let tapped = device.run(true).unwrap();
        assert_eq!(tapped.instructions, tapped.steps.iter().map(|step| step.instructions).sum::<u64>());
        let digests: Vec<u64> = tapped.steps.iter().map(|step| step.digest).collect();
        let expected: Vec<u64> = (1..=tiny::N_STEPS as u8)
            .map(|n| tinfer::session::digest(&input.iter().map(|byte| byte.wrapping_add(n)).collect::<Vec<_>>()))
            .collect();
        assert_eq!(digests, expected);
        // What `tinfer-build` sets aside for the firmware around a run, in `fit.rs`.
        let around = tapped.stack_high_water_bytes - tapped.run_stack_bytes;
        assert!((64..8_192).contains(&around), "{tapped:?}");
        assert!(tapped.run_stack_bytes > 0, "{tapped:?}");
        find_log(&mut device, "model tiny: arena 1504 bytes at 0x20000");
    }
}

#[test]
fn a_model_runs_in_the_fastest_memory_where_it_fits() {
    let input: Vec<u8> = (0..N_BYTES).map(|idx| (idx * 3) as u8).collect();
    for (board, isa, arena_bytes, memory) in [
        ("mps2-an500", Isa::Armv7em, 524_288, 0x2000_0000..0x2040_0000),
        ("mps2-an500", Isa::Armv7em, 600_000, 0x6000_0000..0x6000_0001),
        ("mps3-an547", Isa::Mve, 262_144, 0x2000_0000..0x2000_0001),
        ("mps3-an547", Isa::Mve, 262_160, 0x2100_0000..0x2140_0000),
    ] {
        let mut device = open(board, &tiny::image(N_BYTES, arena_bytes, isa)).unwrap();
        device.set_input(0, &input).unwrap();
        // The second run takes the inputs that were kept, in the other memory.
        for _ in 0..2 {
            device.run(false).unwrap();
            assert_eq!(device.read_output(0).unwrap(), tiny::expected(&input), "{board} {arena_bytes}");
        }
        let Some(line) = find_log(&mut device, "model tiny: arena ") else { continue };
        let address = line.split("at 0x").nth(1).and_then(|rest| rest.split(',').next()).expect(&line);
        let address = usize::from_str_radix(address, 16).expect(&line);
        assert!(memory.contains(&address), "{board} {arena_bytes}: {line}");
    }
}

#[test]
fn an_arena_that_is_too_small_is_told_with_both_numbers() {
    for (board, have_bytes) in [("mps2-an386", 524_288), ("mps2-an500", 2_097_152)] {
        let sentence = format!("arena too small: need 2100000 bytes, have {have_bytes}");
        refused_by(board, &tiny::image(N_BYTES, 2_100_000, Isa::Armv7em), ErrorCode::BindRefused, &sentence);
    }
}

#[test]
fn an_image_for_another_processor_is_told() {
    let image = tiny::image(N_BYTES, 1504, Isa::Mve);
    let sentence = "model image is packed for mve, which this build cannot run: convert it for this board";
    refused(&image, ErrorCode::ImageRefused, sentence);
}

/// Waits for a line of the log, which is decoded beside the conversation. `None` without a decoder.
fn find_log(device: &mut Device, part: &str) -> Option<String> {
    let end = Instant::now() + Duration::from_secs(30);
    let mut lines = Vec::new();
    while Instant::now() < end {
        lines.extend(device.log());
        if lines.iter().any(|line| line.contains("defmt-print is missing")) {
            return None;
        }
        if let Some(line) = lines.iter().find(|line| line.contains(part)) {
            return Some(line.clone());
        }
        std::thread::sleep(Duration::from_millis(20));
    }
    panic!("no line says `{part}`: {lines:#?}");
}

const N_BYTES: usize = 1500;
