//! `memory.x`: the board's memory, as `cortex-m-rt`'s linker script wants it.

use std::fmt::Write;

use crate::{ArenaBudget, Board, MemoryKind};

/// The text of `memory.x` for a board.
///
/// Beside the regions it defines `_model_slot_start` and `_model_slot_end`, and ends the link with a sentence when
/// everything static leaves less RAM than the stack budget.
pub fn memory_x(board: &Board) -> String {
    let mut text = format!("/* Generated from board.toml of {}. */\nMEMORY\n{{\n", board.name);
    for region in &board.memory {
        let attributes = match region.kind {
            MemoryKind::Flash => "rx",
            MemoryKind::Ram => "rwx",
        };
        let (name, origin, length) = (&region.name, region.origin, region.length);
        let _ = writeln!(text, "  {name} ({attributes}) : ORIGIN = {origin:#010x}, LENGTH = {length:#010x}");
    }
    let slot = board.model_slot;
    let stack_bytes = board.budgets.stack_bytes;
    let _ = write!(
        text,
        "}}\n\
         _model_slot_start = {:#010x};\n\
         _model_slot_end = {:#010x};\n\
         ASSERT(_stack_start - _stack_end >= {stack_bytes}, \"\n\
         ERROR(tinfer-build): statics and arena leave less RAM than the {stack_bytes} bytes of stack in board.toml.\");\n",
        slot.origin,
        u64::from(slot.origin) + u64::from(slot.length),
    );
    for arena in board.budgets.arenas.iter().filter(|arena| arena_section(arena).is_some()) {
        let memory = &arena.memory;
        // Behind `.got`, the first section after which nobody asks where RAM ends.
        let _ = write!(
            text,
            "SECTIONS\n{{\n  .arena.{memory} (NOLOAD) : ALIGN(16) {{ *(.arena.{memory}); }} > {memory}\n}} INSERT AFTER .got;\n"
        );
    }
    text
}

/// Section of an arena's memory; `None` in RAM, where all variables are.
pub(crate) fn arena_section(arena: &ArenaBudget) -> Option<String> {
    (arena.memory != "RAM").then(|| format!(".arena.{}", arena.memory))
}

#[cfg(test)]
mod tests {
    use super::*;

    #[test]
    fn a_board_becomes_a_linker_script() {
        let text = memory_x(&Board::find("mps2-an386").unwrap());
        let lines = [
            "  FLASH (rx) : ORIGIN = 0x00000000, LENGTH = 0x00200000",
            "  RAM (rwx) : ORIGIN = 0x20000000, LENGTH = 0x00400000",
            "_model_slot_start = 0x00200000;",
            "_model_slot_end = 0x00400000;",
            "ASSERT(_stack_start - _stack_end >= 16384, \"",
        ];
        for line in lines {
            assert!(text.lines().any(|it| it == line), "{line}\nis missing in\n{text}");
        }
        assert!(!text.contains("SECTIONS"), "{text}");
    }

    #[test]
    fn an_arena_outside_of_ram_has_a_section_there() {
        let text = memory_x(&Board::find("mps3-an547").unwrap());
        let section =
            "SECTIONS\n{\n  .arena.DTCM (NOLOAD) : ALIGN(16) { *(.arena.DTCM); } > DTCM\n} INSERT AFTER .got;\n";
        assert!(text.ends_with(section), "{text}");
        assert!(text.contains("  DTCM (rwx) : ORIGIN = 0x20000000, LENGTH = 0x00080000\n"), "{text}");
    }
}
