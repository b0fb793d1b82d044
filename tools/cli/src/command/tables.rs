//! `tinfer boards` and `tinfer operators`: tables from the code.

use super::bytes;
use crate::answer::{Answer, table};
use crate::failure::Failure;
use serde_json::json;
use tinfer_build::{ArenaBudget, Board};
use tinfer_compiler::lower::OPERATORS;

pub fn boards() -> Result<Answer, Failure> {
    let boards = Board::all();
    let row = |b: &Board| {
        let arena = |a: &ArenaBudget| format!("{} {}", bytes(a.bytes as usize), a.memory);
        let arenas = b.budgets.arenas.iter().map(arena).collect::<Vec<_>>().join(", ");
        let sizes = [bytes(b.model_slot.length as usize), arenas];
        let emulated = if b.emulator.is_some() { "yes" } else { "no" };
        let words = [&b.name, &b.isa, emulated].map(String::from);
        words.into_iter().chain(sizes).chain([b.description.clone()]).collect()
    };
    let rows: Vec<Vec<String>> = boards.iter().map(row).collect();
    let json: Vec<_> = boards
        .iter()
        .map(|b| {
            json!({
                "name": b.name, "description": b.description, "cpu": b.cpu, "isa": b.isa, "target": b.target,
                "clock_hz": b.clock_hz, "emulated": b.emulator.is_some(),
                "model_slot_bytes": b.model_slot.length, "arena_bytes": b.largest_arena().bytes,
                "arenas": b.budgets.arenas.iter().map(|a| json!({"memory": a.memory, "bytes": a.bytes})).collect::<Vec<_>>(),
                "stack_bytes": b.budgets.stack_bytes,
            })
        })
        .collect();
    let text = table(&["board", "kernels", "emulated", "model slot", "arenas", "what"], &rows);
    Answer::new(text, &json!({"boards": json}))
}

pub fn operators() -> Result<Answer, Failure> {
    let rows: Vec<Vec<String>> = OPERATORS
        .iter()
        .map(|o| {
            vec![o.name.into(), o.since.first().map_or(String::new(), |s| format!("{s} and newer")), o.note.into()]
        })
        .collect();
    let json: Vec<_> = OPERATORS
        .iter()
        .map(|o| json!({"name": o.name, "since": o.since, "float32": true, "int8": true, "notes": o.note}))
        .collect();
    let text = table(&["operator", "operator set", "note"], &rows) + "\nEach of them in float32 and in int8.\n";
    Answer::new(text, &json!({"operators": json}))
}
