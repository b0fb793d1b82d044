//! `board.toml`: what a board is.

use serde::Deserialize;
use tinfer::image::ALIGNMENT;

/// One board, as its `board.toml` states it. Addresses and lengths in bytes.
#[derive(Debug, Clone, PartialEq)]
pub struct Board {
    /// Name of the board: its folder, its firmware package, the word on the command line.
    pub name: String,
    /// One line for people.
    pub description: String,
    /// Core, as `-C target-cpu` names it.
    pub cpu: String,
    /// Instruction set of the kernels, as images name it; the value of `--cfg kernel_isa`.
    pub isa: String,
    /// Rust target of the firmware.
    pub target: String,
    /// Frequency of the core and of its SysTick.
    pub clock_hz: u32,
    /// How to emulate the board; absent when only the real one exists.
    pub emulator: Option<Emulator>,
    /// Memory that the firmware is linked into: regions `FLASH` and `RAM` at least.
    pub memory: Vec<MemoryRegion>,
    /// Where the model image lies, outside of all linked memory.
    pub model_slot: Region,
    /// RAM that the firmware reserves.
    pub budgets: Budgets,
}

/// How QEMU emulates the board.
#[derive(Debug, Clone, PartialEq, Deserialize)]
#[serde(deny_unknown_fields)]
pub struct Emulator {
    /// Value of QEMU's `-M`.
    pub machine: String,
    /// Instructions that one SysTick tick stands for under `-icount shift=0`: one per nanosecond.
    pub instructions_per_tick: f64,
}

/// A named piece of the address space.
#[derive(Debug, Clone, PartialEq, Eq, Deserialize)]
#[serde(deny_unknown_fields)]
pub struct MemoryRegion {
    /// Name in the linker script.
    pub name: String,
    /// What it is made of.
    pub kind: MemoryKind,
    /// First address.
    pub origin: u32,
    /// Size.
    pub length: u32,
}

/// What a memory region is made of.
#[derive(Debug, Clone, Copy, PartialEq, Eq, Deserialize)]
#[serde(rename_all = "lowercase")]
pub enum MemoryKind {
    /// Read in place, kept without power.
    Flash,
    /// Read and written.
    Ram,
}

/// A piece of the address space.
#[derive(Debug, Clone, Copy, PartialEq, Eq, Deserialize)]
#[serde(deny_unknown_fields)]
pub struct Region {
    /// First address.
    pub origin: u32,
    /// Size.
    pub length: u32,
}

/// RAM that the firmware reserves.
#[derive(Debug, Clone, PartialEq, Eq, Deserialize)]
#[serde(deny_unknown_fields)]
pub struct Budgets {
    /// Stack of everything that runs, the model included; it is in the region RAM.
    pub stack_bytes: u32,
    /// Arenas, at most one in a memory, fastest memory first: a model runs in the first one that is large enough.
    #[serde(rename = "arena")]
    pub arenas: Vec<ArenaBudget>,
}

/// Memory for a model's tensors and states, and for the inputs kept between runs.
#[derive(Debug, Clone, PartialEq, Eq, Deserialize)]
#[serde(deny_unknown_fields)]
pub struct ArenaBudget {
    /// Name of the region that it is in.
    pub memory: String,
    /// Size, a multiple of 16.
    pub bytes: u32,
}

impl Board {
    /// Every board of this release, sorted by name.
    ///
    /// # Panics
    /// Never in a release: a test reads all embedded files.
    pub fn all() -> Vec<Self> {
        EMBEDDED.iter().map(|text| Self::parse(text).expect("embedded board.toml is tested")).collect()
    }

    /// The board of that name.
    ///
    /// # Errors
    /// [`BoardError::Unknown`], which lists the boards that exist.
    pub fn find(name: &str) -> Result<Self, BoardError> {
        let mut boards = Self::all();
        match boards.iter().position(|board| board.name == name) {
            Some(idx) => Ok(boards.swap_remove(idx)),
            None => Err(BoardError::Unknown {
                name: name.to_owned(),
                known: boards.into_iter().map(|board| board.name).collect::<Vec<_>>().join(", "),
            }),
        }
    }

    /// Reads the text of a `board.toml` and checks that its regions make sense together.
    ///
    /// # Errors
    /// Every variant of [`BoardError`] but `Unknown`.
    pub fn parse(text: &str) -> Result<Self, BoardError> {
        let file: BoardFile = toml::from_str(text).map_err(|err| BoardError::Syntax(err.to_string()))?;
        let BoardFile { board: facts, emulator, memory, model_slot, budgets } = file;
        let board = Self {
            name: facts.name,
            description: facts.description,
            cpu: facts.cpu,
            isa: facts.isa,
            target: facts.target,
            clock_hz: facts.clock_hz,
            emulator,
            memory,
            model_slot,
            budgets,
        };
        board.check_regions()?;
        Ok(board)
    }

    /// The linked region of that name.
    pub fn region(&self, name: &str) -> Option<&MemoryRegion> {
        self.memory.iter().find(|region| region.name == name)
    }

    /// The arena in the fastest memory where one has so many bytes.
    pub fn arena_for(&self, n_bytes: u64) -> Option<&ArenaBudget> {
        self.budgets.arenas.iter().find(|arena| u64::from(arena.bytes) >= n_bytes)
    }

    /// The largest arena.
    pub fn largest_arena(&self) -> &ArenaBudget {
        let largest = self.budgets.arenas.iter().max_by_key(|arena| arena.bytes);
        largest.expect("a board without an arena is refused when it is read")
    }

    fn check_regions(&self) -> Result<(), BoardError> {
        let board = || self.name.clone();
        let missing = |name| BoardError::MissingRegion { board: board(), name };
        let flash = self.region("FLASH").ok_or_else(|| missing("FLASH"))?;
        let ram = self.region("RAM").ok_or_else(|| missing("RAM"))?;
        for (region, kind) in [(flash, MemoryKind::Flash), (ram, MemoryKind::Ram)] {
            if region.kind != kind {
                return Err(BoardError::WrongKind { board: board(), name: region.name.clone(), expected: kind });
            }
        }
        let slot = ("model_slot", self.model_slot.origin, self.model_slot.length);
        let mut regions: Vec<_> = self.memory.iter().map(|it| (it.name.as_str(), it.origin, it.length)).collect();
        regions.push(slot);
        regions.sort_by_key(|&(_, origin, _)| origin);
        for pair in regions.windows(2) {
            let [(first, origin, length), (second, next, _)] = pair else { continue };
            if u64::from(*origin) + u64::from(*length) > u64::from(*next) {
                let (first, second) = ((*first).to_owned(), (*second).to_owned());
                return Err(BoardError::Overlap { board: board(), first, second });
            }
        }
        self.check_arenas()
    }

    fn check_arenas(&self) -> Result<(), BoardError> {
        let arenas = &self.budgets.arenas;
        if arenas.is_empty() {
            return Err(BoardError::NoArena { board: self.name.clone() });
        }
        for (idx, arena) in arenas.iter().enumerate() {
            let (board, memory) = (self.name.clone(), arena.memory.clone());
            let is_first = !arenas[..idx].iter().any(|other| other.memory == memory);
            let region = self.region(&memory).filter(|region| region.kind == MemoryKind::Ram && is_first);
            let Some(region) = region.filter(|_| arena.bytes.is_multiple_of(ALIGNMENT as u32)) else {
                return Err(BoardError::WrongArena { board, memory });
            };
            let stack_bytes = if memory == "RAM" { self.budgets.stack_bytes } else { 0 };
            let reserved_bytes = u64::from(stack_bytes) + u64::from(arena.bytes);
            if reserved_bytes > u64::from(region.length) {
                return Err(BoardError::BudgetsExceedMemory {
                    board,
                    memory,
                    reserved_bytes,
                    have_bytes: region.length,
                });
            }
        }
        Ok(())
    }
}

/// Why a board is not known or its `board.toml` is refused.
#[derive(Debug, Clone, PartialEq, Eq, thiserror::Error)]
pub enum BoardError {
    /// No board of that name.
    #[error("no board is called `{name}`; boards: {known}")]
    Unknown {
        /// The name asked for.
        name: String,
        /// The names that exist.
        known: String,
    },
    /// Not TOML, or not the fields of a board.
    #[error("board.toml cannot be read: {0}")]
    Syntax(String),
    /// A region that every firmware is linked into is not stated.
    #[error("board {board}: no [[memory]] is called {name}")]
    MissingRegion {
        /// The board.
        board: String,
        /// The region.
        name: &'static str,
    },
    /// FLASH is not flash or RAM is not RAM.
    #[error("board {board}: memory {name} must be of kind {expected:?}")]
    WrongKind {
        /// The board.
        board: String,
        /// The region.
        name: String,
        /// What it must be.
        expected: MemoryKind,
    },
    /// Two regions share addresses.
    #[error("board {board}: {first} and {second} overlap")]
    Overlap {
        /// The board.
        board: String,
        /// The region at the lower address.
        first: String,
        /// The region at the higher address.
        second: String,
    },
    /// Models have nowhere to run.
    #[error("board {board}: no [[budgets.arena]] is stated")]
    NoArena {
        /// The board.
        board: String,
    },
    /// An arena that cannot be where it is stated.
    #[error(
        "board {board}: the arena in {memory} must be the only one there, in a [[memory]] of kind ram, a multiple of 16 bytes"
    )]
    WrongArena {
        /// The board.
        board: String,
        /// Where it is stated to be.
        memory: String,
    },
    /// What is reserved in a memory does not fit there.
    #[error(
        "board {board}: budgets for stack and arena are {reserved_bytes} bytes in {memory}, which has {have_bytes}"
    )]
    BudgetsExceedMemory {
        /// The board.
        board: String,
        /// The region.
        memory: String,
        /// Arena, and stack when it is there.
        reserved_bytes: u64,
        /// Length of the region.
        have_bytes: u32,
    },
}

#[derive(Deserialize)]
#[serde(deny_unknown_fields)]
struct BoardFile {
    board: Facts,
    emulator: Option<Emulator>,
    memory: Vec<MemoryRegion>,
    model_slot: Region,
    budgets: Budgets,
}

#[derive(Deserialize)]
#[serde(deny_unknown_fields)]
struct Facts {
    name: String,
    description: String,
    cpu: String,
    isa: String,
    target: String,
    clock_hz: u32,
}

const EMBEDDED: &[&str] = include!(concat!(env!("OUT_DIR"), "/boards.rs"));

#[cfg(test)]
mod tests;
