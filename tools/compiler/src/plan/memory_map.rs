//! The arena over time, for people: which step needs most memory, and for what.

use super::lifetimes::Storage;
use super::{ARENA_ALIGNMENT, Planned, Region};
use crate::graph::{Graph, TensorId};
use std::fmt;

/// A tensor or scratch buffer during one step.
#[derive(Clone, Debug, PartialEq)]
pub struct LiveTensor {
    /// The tensors' names, joined by ` = ` where several share the memory; `scratch` for a scratch buffer.
    pub name: String,
    /// Where it is.
    pub region: Region,
}

/// One step's share of the arena.
#[derive(Clone, Debug, PartialEq)]
pub struct StepMemory {
    /// Name of the step's node.
    pub name: String,
    /// Bytes that are taken, each tensor rounded up to the alignment; what two tensors share counts once.
    pub live_bytes: usize,
    /// The live tensors, by offset.
    pub live: Vec<LiveTensor>,
}

/// All steps; its `Display` is a text for a terminal.
#[derive(Clone, Debug, PartialEq)]
pub struct MemoryMap {
    /// In execution order.
    pub steps: Vec<StepMemory>,
    /// Size of the arena.
    pub arena_bytes: usize,
}

impl MemoryMap {
    pub(super) fn new(graph: &Graph, planned: &Planned) -> Self {
        let steps = planned.steps.iter().enumerate().map(|(i, step)| {
            let mut live: Vec<LiveTensor> = Vec::new();
            for (b, buffer) in planned.buffers.iter().enumerate().filter(|(_, b)| b.is_live_at(i)) {
                let region = Region { offset: buffer.offset, bytes: buffer.bytes };
                let name = match buffer.scratch_of {
                    Some(_) => "scratch".to_string(),
                    None => names_during(graph, planned, b, i),
                };
                match live.iter_mut().find(|t| t.region == region) {
                    Some(same) => same.name = format!("{} = {name}", same.name),
                    None => live.push(LiveTensor { name, region }),
                }
            }
            live.sort_by_key(|t| t.region.offset);
            let live_bytes = occupied_bytes(&live);
            StepMemory { name: graph.nodes[step.node].name.clone(), live_bytes, live }
        });
        MemoryMap { steps: steps.collect(), arena_bytes: planned.arena_bytes }
    }

    /// The first step that needs the most memory.
    pub fn peak(&self) -> Option<&StepMemory> {
        let most = self.steps.iter().map(|s| s.live_bytes).max()?;
        self.steps.iter().find(|s| s.live_bytes == most)
    }
}

impl fmt::Display for MemoryMap {
    fn fmt(&self, f: &mut fmt::Formatter<'_>) -> fmt::Result {
        let Some(peak) = self.peak() else { return writeln!(f, "arena {} bytes, no steps", self.arena_bytes) };
        let width = self.steps.iter().map(|s| shortened(&s.name).chars().count()).max().unwrap_or(0);
        writeln!(
            f,
            "arena {} bytes, fullest in step {} with {} bytes:",
            self.arena_bytes,
            shortened(&peak.name),
            peak.live_bytes
        )?;
        for tensor in &peak.live {
            let Region { offset, bytes } = tensor.region;
            writeln!(f, "  {offset:>9} .. {:>9}  {bytes:>9} bytes  {}", offset + bytes, shortened(&tensor.name))?;
        }
        for (i, step) in self.steps.iter().enumerate() {
            let name = shortened(&step.name);
            let bar = "#".repeat(step.live_bytes * BAR_WIDTH / peak.live_bytes.max(1));
            writeln!(f, "{i:>5}  {name:<width$}  {:>9}  {bar}", step.live_bytes)?;
        }
        Ok(())
    }
}

/// Bytes in at least one of the regions, each rounded up to the alignment; the regions are in ascending order.
fn occupied_bytes(live: &[LiveTensor]) -> usize {
    let (mut bytes, mut end) = (0, 0);
    for region in live.iter().map(|t| t.region) {
        let region_end = region.offset + region.bytes.next_multiple_of(ARENA_ALIGNMENT);
        bytes += region_end.saturating_sub(end.max(region.offset));
        end = end.max(region_end);
    }
    bytes
}

/// Names of the tensors in a buffer that are read or written in the step, or else of the last one written there before
/// it.
fn names_during(graph: &Graph, planned: &Planned, buffer: usize, step: usize) -> String {
    let lives_here = |id: &TensorId| matches!(planned.storage[id.0], Storage::Buffer { buffer: b, .. } if b == buffer);
    let now = &planned.steps[step];
    let mut ids: Vec<TensorId> = now.inputs.iter().chain(&now.outputs).copied().filter(lives_here).collect();
    if ids.is_empty() {
        let before = planned.steps[..step].iter().rev().flat_map(|s| &s.outputs).copied().find(lives_here);
        ids.extend(before.or_else(|| graph.inputs.iter().map(|p| p.tensor).find(lives_here)));
    }
    ids.dedup();
    let names: Vec<&str> = ids.iter().map(|id| graph.tensor(*id).name.as_str()).collect();
    names.join(" = ")
}

/// Names of fused nodes can have hundreds of characters; both ends tell them apart.
fn shortened(name: &str) -> String {
    let n = name.chars().count();
    if n <= NAME_WIDTH {
        return name.to_string();
    }
    let half = (NAME_WIDTH - 1) / 2;
    name.chars().take(half).chain(['…']).chain(name.chars().skip(n - half)).collect()
}

const NAME_WIDTH: usize = 47;
const BAR_WIDTH: usize = 40;
