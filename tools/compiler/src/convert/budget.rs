//! What a board leaves for a model, and what an inference may cost.

use super::{ConvertRequest, finish};
use crate::cost::{CYCLES_PER_INSTRUCTION, Estimate};
use crate::error::CompileError;
use crate::graph::Graph;
use crate::pack::PackOptions;
use crate::target::Target;
use tinfer::image::Image;
use tinfer_build::Requirements;

/// The most that an inference may cost, by estimate.
#[derive(Clone, Copy, Debug, Default, PartialEq)]
pub struct CostLimits {
    /// Instructions.
    pub instructions: Option<u64>,
    /// Milliseconds at the board's clock.
    pub milliseconds: Option<f64>,
}

impl CostLimits {
    /// The lower of both limits, in instructions.
    ///
    /// # Errors
    /// [`CompileError::NotAvailable`] for a time on a target without a clock.
    pub(super) fn instructions_on(&self, target: &Target) -> Result<Option<u64>, CompileError> {
        let Some(milliseconds) = self.milliseconds else { return Ok(self.instructions) };
        let Some(clock_hz) = target.clock_hz() else {
            return Err(CompileError::NotAvailable {
                what: format!("a limit in milliseconds on {}", target.name()),
                instead: "name a board, which has a clock, or limit the instructions (--max-instructions)".into(),
            });
        };
        let in_time = (milliseconds * 1e-3 * f64::from(clock_hz) / CYCLES_PER_INSTRUCTION) as u64;
        Ok(Some(self.instructions.map_or(in_time, |n| n.min(in_time))))
    }
}

/// The limits of one conversion.
pub(super) struct Budget<'a> {
    request: &'a ConvertRequest,
    options: PackOptions,
    most_instructions: Option<u64>,
}

impl<'a> Budget<'a> {
    /// # Errors
    /// As [`CostLimits::instructions_on`].
    pub fn new(request: &'a ConvertRequest, options: PackOptions) -> Result<Self, CompileError> {
        Ok(Budget { request, options, most_instructions: request.limits.instructions_on(&request.target)? })
    }

    /// Whether anything can be too much.
    fn is_limited(&self) -> bool {
        matches!(self.request.target, Target::Board(_)) || self.most_instructions.is_some()
    }

    /// What of a quantized graph is too much, in words; `None` when it fits. What has no estimate costs nothing here:
    /// [`Budget::unknown`] says so of the answer.
    ///
    /// # Errors
    /// As [`pack`](crate::pack::pack).
    pub fn excess(&self, graph: &Graph) -> Result<Option<String>, CompileError> {
        if !self.is_limited() {
            return Ok(None);
        }
        let finished = finish(self.request, graph.clone())?;
        let (packed, planned) = finished.pack(self.request, &self.options)?;
        let Ok(image) = Image::check(&packed.bytes) else { return Ok(None) };
        let requirements = Requirements {
            image_bytes: packed.bytes.len() as u64,
            arena_bytes: planned.arena_bytes as u64,
            stack_bytes: image.manifest().stack_bytes.into(),
            state_bytes: image.manifest().state_bytes.into(),
        };
        match self.request.target.check_fit(&requirements) {
            Err(CompileError::DoesNotFit(error)) => return Ok(Some(error.to_string())),
            other => other.map(|_| ())?,
        }
        Ok(self.too_slow(Estimate::of(&image, None)))
    }

    /// The sentence about an inference that costs too much.
    pub fn too_slow(&self, estimate: Option<Estimate>) -> Option<String> {
        let (most, found) = (self.most_instructions?, estimate?.instructions);
        (found > most).then(|| format!("an inference costs about {found} instructions, the limit is {most}"))
    }

    /// The sentence about a limit that could not be checked.
    pub fn unknown(&self, estimate: Option<Estimate>, kernels: &[&str]) -> Option<String> {
        let most = self.most_instructions.filter(|_| estimate.is_none())?;
        let kernels = kernels.join(", ");
        Some(format!("the limit of {most} instructions was not checked: there is no estimate for {kernels}"))
    }
}

#[cfg(test)]
mod tests {
    use super::*;

    fn check(limits: CostLimits, target: &str, expected: Option<u64>) {
        let target = Target::parse(target).unwrap();
        assert_eq!(limits.instructions_on(&target).unwrap(), expected);
    }

    #[test]
    fn a_time_becomes_instructions_at_the_board_s_clock() {
        let limits = |instructions, milliseconds| CostLimits { instructions, milliseconds };
        check(limits(None, None), "host", None);
        check(limits(Some(7), None), "host", Some(7));
        // 64 MHz
        check(limits(None, Some(13.0)), "nrf52840-dk", Some(640_000));
        check(limits(Some(600_000), Some(13.0)), "nrf52840-dk", Some(600_000));
        let host = Target::parse("host").unwrap();
        let error = limits(None, Some(1.0)).instructions_on(&host).unwrap_err();
        assert!(error.hint().contains("--max-instructions"), "{}", error.hint());
    }
}
