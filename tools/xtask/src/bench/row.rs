//! One model on one board, measured.

use anyhow::{Result, bail};
use serde::Serialize;
use tinfer_build::Board;

use super::emulator::Measured;
use super::models::{Converted, Model};
use super::peers::{self, Peer};
use super::reference::Reference;

/// What a model costs on a board; its fields are keys of `cargo xtask bench --json`.
#[derive(Debug, Serialize)]
pub struct Row {
    pub model: String,
    pub board: String,
    pub isa: String,
    /// Multiply-accumulates of one inference.
    pub macs: u64,
    /// Of one inference.
    pub instructions: u64,
    pub instructions_per_mac: f64,
    /// Flash without the model.
    pub program_bytes: u64,
    pub image_bytes: u64,
    /// Tensors and scratch.
    pub arena_bytes: u64,
    /// Worst case of a run, from the call graph; 0 when unknown.
    pub stack_bytes: u64,
    /// What the run used, from the paint that it removed.
    pub stack_high_water_bytes: u64,
    pub layers: Vec<LayerCost>,
    /// The peer's numbers, where there are any.
    pub peer: Option<Peer>,
    /// Instructions by the peer's.
    pub ratio: Option<f64>,
}

/// One step.
#[derive(Debug, Serialize)]
pub struct LayerCost {
    pub name: String,
    /// In ONNX.
    pub operator: String,
    pub kernel: String,
    pub macs: u64,
    pub instructions: u64,
}

impl Row {
    pub fn new(
        model: &Model,
        board: &Board,
        converted: Converted,
        program_bytes: &u64,
        measured: &Measured,
        reference: &Reference,
    ) -> Self {
        let peer = peers::find(&model.name, &board.name);
        let instructions = measured.instructions;
        let steps = reference.steps.iter().zip(&measured.steps).zip(converted.layers);
        let layers = steps.map(|((step, &instructions), layer)| LayerCost {
            name: layer.name,
            operator: layer.operator,
            kernel: step.kernel.to_owned(),
            macs: layer.macs,
            instructions,
        });
        Self {
            model: model.name.clone(),
            board: board.name.clone(),
            isa: board.isa.clone(),
            macs: converted.macs,
            instructions,
            instructions_per_mac: instructions as f64 / converted.macs.max(1) as f64,
            program_bytes: *program_bytes,
            image_bytes: converted.image_bytes,
            arena_bytes: converted.arena_bytes,
            stack_bytes: converted.stack_bytes,
            stack_high_water_bytes: measured.stack_bytes,
            layers: layers.collect(),
            ratio: peer.as_ref().map(|peer| instructions as f64 / peer.instructions as f64),
            peer,
        }
    }

    /// A bound that is no bound is an error.
    pub fn check_stack(&self) -> Result<()> {
        let (seen, bound) = (self.stack_high_water_bytes, self.stack_bytes);
        if bound != 0 && seen > bound {
            bail!("the run used {seen} bytes of stack, its bound is {bound}: run `cargo xtask stack --write`");
        }
        Ok(())
    }
}
