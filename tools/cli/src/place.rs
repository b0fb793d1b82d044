//! Where an image runs: the value of `--on`.

use crate::failure::Failure;
use tinfer_build::Board;

/// Where an image runs.
#[derive(Clone, Debug, PartialEq)]
pub enum Place {
    /// This machine.
    Host,
    /// A board in QEMU.
    Emulator(Box<Board>),
}

impl Place {
    /// The place of this name: `host`, `emulator:BOARD`.
    pub fn parse(name: &str) -> Result<Self, Failure> {
        match name.split_once(':') {
            None if name == "host" => Ok(Place::Host),
            Some(("emulator", board)) => Ok(Place::Emulator(Box::new(emulated(board)?))),
            Some(("probe" | "serial", _)) => Err(Failure::not_available(format!("--on {name}"), HINT)),
            _ => Err(Failure::argument(format!("there is no place '{name}'"), HINT)),
        }
    }

    /// As on the command line.
    pub fn name(&self) -> String {
        match self {
            Place::Host => "host".into(),
            Place::Emulator(board) => format!("emulator:{}", board.name),
        }
    }
}

/// The board of this name.
fn board_named(name: &str) -> Result<Board, Failure> {
    Board::find(name).map_err(|e| Failure {
        code: "unknown-board".into(),
        ..Failure::argument(e.to_string(), "see `tinfer boards`")
    })
}

/// The board of this name, which must have an emulator: found out before its firmware is built.
pub fn emulated(name: &str) -> Result<Board, Failure> {
    let board = board_named(name)?;
    if board.emulator.is_none() {
        let message = format!("board {name} has no emulator");
        return Err(Failure { code: "unknown-board".into(), ..Failure::argument(message, "see `tinfer boards`") });
    }
    Ok(board)
}

const HINT: &str = "choose host or emulator:BOARD; `tinfer boards` lists the boards";

#[cfg(test)]
mod tests {
    use super::*;

    #[test]
    fn places_are_named_as_they_are_parsed() {
        for name in ["host", "emulator:mps2-an386"] {
            assert_eq!(Place::parse(name).unwrap().name(), name);
        }
        let code = |name: &str| Place::parse(name).unwrap_err().code;
        assert_eq!(code("emulator:nothing"), "unknown-board");
        assert_eq!(code("emulator:nrf52840-dk"), "unknown-board");
        assert_eq!(code("probe:nrf52840-dk"), "not-available");
        assert_eq!(code("emulator"), "usage");
    }
}
