//! Every embedded board, and every way a `board.toml` can be wrong.

use super::*;

#[test]
fn every_board_of_this_release_is_sound() {
    let mut names = Vec::new();
    for text in EMBEDDED {
        let board = Board::parse(text).unwrap_or_else(|err| panic!("{err}\n{text}"));
        assert_eq!(Board::find(&board.name), Ok(board.clone()));
        names.push(board.name);
    }
    assert!(names.is_sorted() && names.len() >= 3, "{names:?}");
}

#[test]
fn an_unknown_name_lists_the_boards() {
    let names: Vec<String> = Board::all().into_iter().map(|board| board.name).collect();
    let error = Board::find("mps3").unwrap_err().to_string();
    assert_eq!(error, format!("no board is called `mps3`; boards: {}", names.join(", ")));
}

#[test]
fn a_wrong_file_is_refused_with_its_cause() {
    let cases = [
        ("clock_hz = 64_000_000", "clock_hz = -1", "board.toml cannot be read: "),
        ("clock_hz = 64_000_000", "clock = 1", "unknown field `clock`"),
        ("name = \"RAM\"", "name = \"SRAM\"", "board nrf52840-dk: no [[memory]] is called RAM"),
        ("kind = \"ram\"", "kind = \"flash\"", "board nrf52840-dk: memory RAM must be of kind Ram"),
        ("[model_slot]\norigin = 0x000a_0000", "[model_slot]\norigin = 0x0009_FFFF", "FLASH and model_slot overlap"),
        (
            "bytes = 163_840",
            "bytes = 262_144",
            "board nrf52840-dk: budgets for stack and arena are 278528 bytes in RAM, which has 262144",
        ),
        (
            "memory = \"RAM\"",
            "memory = \"DTCM\"",
            "the arena in DTCM must be the only one there, in a [[memory]] of kind ram",
        ),
        ("memory = \"RAM\"", "memory = \"FLASH\"", "the arena in FLASH must be the only one there"),
        (
            "bytes = 163_840",
            "bytes = 163_841",
            "the arena in RAM must be the only one there, in a [[memory]] of kind ram, a mul",
        ),
        ("[[budgets.arena]]\nmemory = \"RAM\"\nbytes = 163_840", "arena = []", "no [[budgets.arena]] is stated"),
        (
            "[[budgets.arena]]",
            "[[budgets.arena]]\nmemory = \"RAM\"\nbytes = 16\n[[budgets.arena]]",
            "the arena in RAM must be the only one there",
        ),
    ];
    let sound = EMBEDDED.iter().find(|text| text.contains("nrf52840-dk")).unwrap();
    for (from, to, expected) in cases {
        assert!(sound.contains(from), "{from}");
        let error = Board::parse(&sound.replace(from, to)).unwrap_err().to_string();
        assert!(error.contains(expected), "{from} -> {to}: {error}");
    }
}

#[test]
fn a_model_runs_in_the_fastest_memory_with_room() {
    let board = Board::find("mps3-an547").unwrap();
    let memory = |n_bytes| board.arena_for(n_bytes).map(|arena| arena.memory.as_str());
    assert_eq!(
        [0, 262_144, 262_145, 524_288, 524_289].map(memory),
        [Some("DTCM"), Some("DTCM"), Some("RAM"), Some("RAM"), None]
    );
    assert_eq!(board.largest_arena().memory, "RAM");
}
