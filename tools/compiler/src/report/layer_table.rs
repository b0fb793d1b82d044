//! One line per step.

use super::dataflow::Dataflow;
use super::evidence::Evidence;
use super::numbers::{decibels, grouped, grouped_or_dash};
use crate::inspect::StepReport;
use crate::verify::VerifyReport;
use serde::Serialize;

/// For the template.
#[derive(Debug, Serialize)]
pub(super) struct LayerRow {
    pub name: String,
    pub operator: String,
    pub precision: &'static str,
    pub kernel: &'static str,
    pub macs: String,
    pub bytes: String,
    pub address: String,
    /// The last step that reads the result.
    pub until: String,
    pub estimate: String,
    /// Of a float32 image on this machine.
    pub sqnr_float: String,
    /// Of the image on this machine.
    pub sqnr_host: String,
    pub sqnr_is_low: bool,
    /// Of the image on the device.
    pub sqnr_device: String,
    pub device_differs: bool,
    /// Counted by the device.
    pub instructions: String,
}

impl LayerRow {
    /// All steps in their order.
    pub fn all(steps: &[StepReport], report: &VerifyReport, evidence: &Evidence, dataflow: &Dataflow) -> Vec<Self> {
        let float = evidence.float_sqnr_db();
        let row = |(i, step): (usize, &StepReport)| {
            let layer = &step.layer;
            let sqnr_db = report.layers.get(i).and_then(|l| l.sqnr_db);
            let device = report.device.as_ref().and_then(|d| d.layers.get(i));
            let last = dataflow.result_of(i as u32).map(|v| v.last);
            LayerRow {
                name: layer.name.clone(),
                operator: layer.operator.clone(),
                precision: layer.precision,
                kernel: layer.kernel,
                macs: grouped(layer.macs),
                bytes: grouped(layer.bytes as u64),
                address: grouped(layer.arena_offset as u64),
                until: last.map_or_else(String::new, |last| last.to_string()),
                estimate: grouped_or_dash(layer.instructions_estimate),
                sqnr_float: decibels(evidence.origin(i).and_then(|name| float.get(name).copied())),
                sqnr_host: decibels(sqnr_db),
                sqnr_is_low: sqnr_db.is_some_and(|db| db < report.min_sqnr_db),
                // A digest says whether the bits are the same, not how far others are away.
                sqnr_device: match device {
                    None => String::new(),
                    Some(d) if d.bit_exact => format!("{}, same bits", decibels(sqnr_db)),
                    Some(_) => "OTHER BITS".into(),
                },
                device_differs: device.is_some_and(|d| !d.bit_exact),
                instructions: device.map_or_else(String::new, |d| grouped(d.instructions)),
            }
        };
        steps.iter().enumerate().map(row).collect()
    }
}
