//! What an image is converted for: a board, an instruction set, or this machine.

use crate::error::CompileError;
use crate::inspect::ImageReport;
use tinfer::isa::Isa;
use tinfer_build::{Board, Requirements, check_fit};

/// Where an image will run.
#[derive(Clone, Debug, PartialEq)]
pub enum Target {
    /// Any machine: portable packing, no limits.
    Host,
    /// Any board with these kernels.
    Isa(Isa),
    /// One board, with its memory.
    Board(Box<Board>),
}

impl Target {
    /// The target of this name, as the command line has it.
    ///
    /// # Errors
    /// [`CompileError::UnknownTarget`], which lists the choices.
    pub fn parse(name: &str) -> Result<Self, CompileError> {
        if name == HOST {
            return Ok(Target::Host);
        }
        if let Some(isa) = Isa::from_name(name) {
            return Ok(Target::Isa(isa));
        }
        match Board::find(name) {
            Ok(board) => Ok(Target::Board(Box::new(board))),
            Err(_) => Err(CompileError::UnknownTarget { name: name.into(), known: Self::names().join(", ") }),
        }
    }

    /// Every name that [`Target::parse`] knows.
    pub fn names() -> Vec<String> {
        let boards = Board::all().into_iter().map(|b| b.name);
        boards.chain(Isa::ALL.iter().map(|i| i.name().to_string())).chain([HOST.to_string()]).collect()
    }

    /// The name that it was given.
    pub fn name(&self) -> &str {
        match self {
            Target::Host => HOST,
            Target::Isa(isa) => isa.name(),
            Target::Board(board) => &board.name,
        }
    }

    /// Instruction set that weights are packed for.
    ///
    /// # Errors
    /// [`CompileError::UnknownTarget`] for a board whose instruction set this release has no kernels for.
    pub fn isa(&self) -> Result<Isa, CompileError> {
        match self {
            Target::Host => Ok(Isa::Portable),
            Target::Isa(isa) => Ok(*isa),
            Target::Board(board) => Isa::from_name(&board.isa).ok_or_else(|| CompileError::UnknownTarget {
                name: format!("{} of board {}", board.isa, board.name),
                known: Isa::ALL.map(Isa::name).join(", "),
            }),
        }
    }

    /// Clock of the board's CPU.
    pub fn clock_hz(&self) -> Option<u32> {
        match self {
            Target::Board(board) => Some(board.clock_hz),
            Target::Host | Target::Isa(_) => None,
        }
    }

    /// Whether a model fits the target's memory, and the board's memory that its arena will be in. Hosts and
    /// instruction sets have no limits.
    ///
    /// # Errors
    /// [`CompileError::DoesNotFit`], with the budget that is too small.
    pub fn check_fit(&self, model: &Requirements) -> Result<Option<&str>, CompileError> {
        match self {
            Target::Board(board) => match check_fit(board, model) {
                Ok(arena) => Ok(Some(&arena.memory)),
                Err(error) => Err(CompileError::DoesNotFit(error)),
            },
            _ => Ok(None),
        }
    }
}

/// Whether an image that exists already can run on a target.
///
/// # Errors
/// [`CompileError::DoesNotFit`], [`CompileError::WrongKernels`]
pub fn check_image(target: &Target, image: &ImageReport) -> Result<(), CompileError> {
    let isa = target.isa()?;
    if image.isa != Isa::Portable.name() && image.isa != isa.name() {
        let board = target.name().to_string();
        return Err(CompileError::WrongKernels { board, expected: isa.name(), found: image.isa });
    }
    target.check_fit(&Requirements {
        image_bytes: image.image_bytes as u64,
        arena_bytes: image.arena_bytes as u64,
        stack_bytes: image.stack_bytes as u64,
        state_bytes: image.state_bytes as u64,
    })?;
    Ok(())
}

const HOST: &str = "host";

#[cfg(test)]
mod tests {
    use super::*;

    #[test]
    fn every_name_is_a_target_of_that_name() {
        let names = Target::names();
        assert!(names.len() > Isa::ALL.len());
        for name in names {
            let target = Target::parse(&name).unwrap();
            assert_eq!(target.name(), name);
            target.isa().unwrap();
        }
    }

    #[test]
    fn an_unknown_name_lists_the_choices() {
        let error = Target::parse("mps2-an387").unwrap_err();
        assert_eq!(error.code(), "unknown-target");
        assert!(error.hint().contains("mps2-an386") && error.hint().contains("host"), "{}", error.hint());
    }

    #[test]
    fn only_boards_have_limits() {
        let model = Requirements { arena_bytes: u64::MAX, ..Requirements::default() };
        assert!(Target::Host.check_fit(&model).is_ok());
        let error = Target::parse("mps2-an386").unwrap().check_fit(&model).unwrap_err();
        assert_eq!((error.code(), error.is_refusal()), ("does-not-fit", true));
        assert!(error.to_string().contains("18446744073709551615"), "{error}");
    }
}
