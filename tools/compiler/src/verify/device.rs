//! A device against this machine, bit by bit.

use crate::inspect::StepReport;
use serde::Serialize;

/// What a device did with one sample.
#[derive(Clone, Debug, Default)]
pub struct DeviceRun {
    /// Cost of the run in what the device counts.
    pub instructions: u64,
    /// Deepest use of the whole stack since reset.
    pub stack_high_water_bytes: u32,
    /// Deepest use by the run alone.
    pub run_stack_bytes: u32,
    /// Every step in its order.
    pub steps: Vec<DeviceStep>,
    /// Outputs in the image's own form.
    pub outputs: Vec<Vec<u8>>,
}

/// What a device did in one step.
#[derive(Clone, Copy, Debug)]
pub struct DeviceStep {
    /// Digest of the step's outputs.
    pub digest: u64,
    /// Cost of the step.
    pub instructions: u64,
}

/// Its fields are keys of `tinfer verify --json`.
#[derive(Clone, Debug, Serialize)]
pub struct DeviceReport {
    /// Whether every step and every output has the bits that this machine computes.
    pub bit_exact: bool,
    /// Samples that the device ran.
    pub samples: usize,
    /// Mean over the samples.
    pub instructions_per_inference: u64,
    /// Deepest use of the whole stack.
    pub stack_high_water_bytes: u32,
    /// Deepest use by a run alone.
    pub run_stack_bytes: u32,
    /// Steps in execution order.
    pub layers: Vec<DeviceLayerReport>,
}

/// One step on the device.
#[derive(Clone, Debug, Serialize)]
pub struct DeviceLayerReport {
    /// Node name.
    pub name: String,
    /// Whether its outputs had the bits that this machine computes, in every sample.
    pub bit_exact: bool,
    /// Mean over the samples.
    pub instructions: u64,
}

/// What was found so far.
pub(super) struct DeviceComparison {
    n_samples: u64,
    same_outputs: bool,
    instructions: u64,
    stack_high_water_bytes: u32,
    run_stack_bytes: u32,
    /// Whether each step was the same in all samples, and the sum of its costs.
    steps: Vec<(bool, u64)>,
}

impl DeviceComparison {
    pub(super) fn new(n_steps: usize) -> Self {
        DeviceComparison {
            n_samples: 0,
            same_outputs: true,
            instructions: 0,
            stack_high_water_bytes: 0,
            run_stack_bytes: 0,
            steps: vec![(true, 0); n_steps],
        }
    }

    /// Adds a sample; `digests` are those of this machine.
    pub(super) fn add(&mut self, run: &DeviceRun, digests: &[u64], same_outputs: bool) {
        self.n_samples += 1;
        self.same_outputs &= same_outputs && run.steps.len() == self.steps.len();
        self.instructions += run.instructions;
        self.stack_high_water_bytes = self.stack_high_water_bytes.max(run.stack_high_water_bytes);
        self.run_stack_bytes = self.run_stack_bytes.max(run.run_stack_bytes);
        for (i, (same, sum)) in self.steps.iter_mut().enumerate() {
            let step = run.steps.get(i);
            *same &= step.is_some_and(|s| digests.get(i) == Some(&s.digest));
            *sum += step.map_or(0, |s| s.instructions);
        }
    }

    pub(super) fn report(self, steps: &[StepReport]) -> DeviceReport {
        let n = self.n_samples.max(1);
        let layers: Vec<DeviceLayerReport> = steps
            .iter()
            .zip(&self.steps)
            .map(|(step, &(bit_exact, sum))| DeviceLayerReport {
                name: step.layer.name.clone(),
                bit_exact,
                instructions: sum / n,
            })
            .collect();
        DeviceReport {
            bit_exact: self.same_outputs && layers.iter().all(|l| l.bit_exact),
            samples: self.n_samples as usize,
            instructions_per_inference: self.instructions / n,
            stack_high_water_bytes: self.stack_high_water_bytes,
            run_stack_bytes: self.run_stack_bytes,
            layers,
        }
    }
}

#[cfg(test)]
mod tests {
    use super::*;

    fn run(digests: &[u64], instructions: u64) -> DeviceRun {
        let steps = digests.iter().map(|&digest| DeviceStep { digest, instructions }).collect();
        DeviceRun { instructions: instructions * digests.len() as u64, steps, ..DeviceRun::default() }
    }

    fn check(runs: &[DeviceRun], same_outputs: bool, expected: [bool; 2]) -> bool {
        let mut comparison = DeviceComparison::new(2);
        runs.iter().for_each(|r| comparison.add(r, &[7, 8], same_outputs));
        assert_eq!(comparison.steps.iter().map(|s| s.0).collect::<Vec<_>>(), expected);
        comparison.same_outputs && expected == [true; 2]
    }

    #[test]
    fn one_differing_step_of_one_sample_is_seen() {
        assert!(check(&[run(&[7, 8], 10), run(&[7, 8], 20)], true, [true, true]));
        assert!(!check(&[run(&[7, 8], 10), run(&[7, 9], 20)], true, [true, false]));
        assert!(!check(&[run(&[7], 10)], true, [true, false]));
        assert!(!check(&[run(&[7, 8, 9], 10)], true, [true, true]));
        assert!(!check(&[run(&[7, 8], 10)], false, [true, true]));
    }
}
