//! The same image on this machine: what the device must compute.

use anyhow::{Result, anyhow};
use tinfer::image::ALIGNMENT;
use tinfer::session::{Observer, StepDone, digest};
use tinfer::{ElementType, Image, Session, operators};

/// A run on this machine.
pub struct Reference {
    /// Content of the device's model slot: the image, and behind it the inputs.
    pub slot: Vec<u8>,
    /// Every step in its order.
    pub steps: Vec<Step>,
    /// Digest of each output.
    pub outputs: Vec<u64>,
}

/// One step.
pub struct Step {
    /// Name of its operator.
    pub kernel: &'static str,
    /// Of its outputs.
    pub digest: u64,
}

/// Runs an image on inputs that look like data.
///
/// # Errors
/// What the runtime says.
pub fn run(image_bytes: &[u8]) -> Result<Reference> {
    let mut memory = aligned(image_bytes.len());
    let bytes: &mut [u8] = bytemuck::cast_slice_mut(&mut memory);
    bytes[..image_bytes.len()].copy_from_slice(image_bytes);
    let image = Image::check(&bytes[..image_bytes.len()]).map_err(|error| anyhow!("{error}"))?;
    let mut arena = aligned(image.arena_bytes());
    let mut session = Session::bind(&image, bytemuck::cast_slice_mut(&mut arena), operators::ALL)
        .map_err(|error| anyhow!("{error}"))?;
    let mut slot = image_bytes.to_vec();
    slot.resize(slot.len().next_multiple_of(ALIGNMENT), 0);
    for (index, port) in image.inputs().enumerate() {
        let element_type = image.tensor(port.tensor).map_or(ElementType::I8, |tensor| tensor.element_type);
        let input = session.input(index).map_err(|error| anyhow!("{error}"))?;
        fill(input, element_type);
        slot.extend_from_slice(input);
    }
    let mut taps = Taps::default();
    session.run_observed(&mut taps).map_err(|error| anyhow!("{error}"))?;
    let outputs = (0..).map_while(|index| session.output(index).ok().map(digest)).collect();
    Ok(Reference { slot, steps: taps.steps, outputs })
}

#[derive(Default)]
struct Taps {
    steps: Vec<Step>,
}

impl Observer for Taps {
    fn step_done(&mut self, step: &StepDone<'_>) {
        self.steps.push(Step { kernel: step.operator.name, digest: step.digest() });
    }
}

/// All values of a byte in disorder; as fractions of 1 in float32, as numbers from 0 to 255 in wide integers, which are
/// mostly places in a list.
fn fill(input: &mut [u8], element_type: ElementType) {
    // Knuth's multiplicative hash of the index, its upper bits.
    let byte = |index: usize| ((index as u32).wrapping_mul(2_654_435_761) >> 24) as u8;
    match element_type {
        ElementType::F32 => {
            for (index, place) in input.as_chunks_mut::<4>().0.iter_mut().enumerate() {
                *place = (f32::from(byte(index)) / 255.0).to_le_bytes();
            }
        }
        ElementType::I32 => {
            for (index, place) in input.as_chunks_mut::<4>().0.iter_mut().enumerate() {
                *place = i32::from(byte(index)).to_le_bytes();
            }
        }
        ElementType::I64 => {
            for (index, place) in input.as_chunks_mut::<8>().0.iter_mut().enumerate() {
                *place = i64::from(byte(index)).to_le_bytes();
            }
        }
        _ => {
            for (index, place) in input.iter_mut().enumerate() {
                *place = byte(index);
            }
        }
    }
}

/// Zeros that start at a 16-byte boundary.
fn aligned(n_bytes: usize) -> Vec<u128> {
    vec![0; n_bytes.div_ceil(ALIGNMENT)]
}
