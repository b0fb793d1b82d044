//! Images on boards, in the words of the compiler.

use crate::failure::Failure;
use tinfer_build::Board;
use tinfer_compiler::bench::DeviceCost;
use tinfer_compiler::verify::{DeviceRun, DeviceStep};
use tinfer_flash::{Device, firmware_elf, open_emulator};

/// Starts a board with an image in its slot.
pub fn open(board: &Board, image: &[u8]) -> Result<Device, Failure> {
    let device = open_emulator(board, &firmware_elf(board)?, image)?;
    let hello = device.hello();
    log::info!("{} {} with {} kernels", hello.board, hello.firmware_version, hello.isa);
    Ok(device)
}

/// Runs one sample with taps.
pub fn run_tapped(device: &mut Device, inputs: &[Vec<u8>]) -> Result<DeviceRun, Failure> {
    set_inputs(device, inputs)?;
    let report = device.run(true)?;
    let outputs = outputs(device)?;
    show_log(device);
    Ok(DeviceRun {
        instructions: report.instructions,
        stack_high_water_bytes: report.stack_high_water_bytes,
        run_stack_bytes: report.run_stack_bytes,
        steps: report.steps.iter().map(|s| DeviceStep { digest: s.digest, instructions: s.instructions }).collect(),
        outputs,
    })
}

/// Runs one sample; gives its outputs in the image's own form.
pub fn run(device: &mut Device, inputs: &[Vec<u8>]) -> Result<Vec<Vec<u8>>, Failure> {
    set_inputs(device, inputs)?;
    let report = device.run(false)?;
    log::info!("{} {}", report.instructions, device.hello().counter.unit());
    let outputs = outputs(device)?;
    show_log(device);
    Ok(outputs)
}

/// What a run costs, and each of its steps.
pub fn cost(device: &mut Device, inputs: &[Vec<u8>]) -> Result<DeviceCost, Failure> {
    set_inputs(device, inputs)?;
    let whole = device.run(false)?.instructions;
    set_inputs(device, inputs)?;
    let steps = device.run(true)?.steps.iter().map(|s| s.instructions).collect();
    show_log(device);
    Ok(DeviceCost { unit: device.hello().counter.unit(), run: whole, steps })
}

fn set_inputs(device: &mut Device, inputs: &[Vec<u8>]) -> Result<(), Failure> {
    for (i, bytes) in inputs.iter().enumerate() {
        device.set_input(i, bytes)?;
    }
    Ok(())
}

fn outputs(device: &mut Device) -> Result<Vec<Vec<u8>>, Failure> {
    let n = device.model().outputs.len();
    (0..n).map(|i| Ok(device.read_output(i)?)).collect()
}

fn show_log(device: &mut Device) {
    for line in device.log() {
        log::info!("device: {line}");
    }
}
