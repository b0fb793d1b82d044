//! Instruction sets, as stored in the image header.

/// The instruction set that the weights of an image are packed for.
///
/// A board declares its own with `--cfg kernel_isa="…"`; host builds leave it out and run the
/// plain-Rust twins of every packing.
#[derive(Clone, Copy, Debug, PartialEq, Eq)]
#[repr(u8)]
pub enum Isa {
    /// Plain layouts; runs everywhere.
    Portable = 0,
    /// Cortex-M4, M7, M33: the DSP extension.
    Armv7em = 1,
    /// Cortex-M55, M85: Helium.
    Mve = 2,
    /// Arm Linux with Advanced SIMD.
    Neon = 3,
}

impl Isa {
    /// All of them, in the order of their codes.
    pub const ALL: [Isa; 4] = [Isa::Portable, Isa::Armv7em, Isa::Mve, Isa::Neon];

    /// Name as written in `board.toml` and on the command line.
    pub const fn name(self) -> &'static str {
        match self {
            Isa::Portable => "portable",
            Isa::Armv7em => "armv7em",
            Isa::Mve => "mve",
            Isa::Neon => "neon",
        }
    }

    /// The instruction set with this code.
    pub fn from_code(code: u8) -> Option<Self> {
        Self::ALL.into_iter().find(|i| *i as u8 == code)
    }

    /// The instruction set with this name.
    pub fn from_name(name: &str) -> Option<Self> {
        Self::ALL.into_iter().find(|i| i.name() == name)
    }

    /// Whether this build can run an image packed for `self`.
    pub fn runs_here(self) -> bool {
        match NATIVE {
            Some(native) => self == Isa::Portable || self == native,
            None => true,
        }
    }
}

/// The instruction set of this build's board; `None` on a host, which runs every packing.
pub const NATIVE: Option<Isa> = if cfg!(kernel_isa = "portable") {
    Some(Isa::Portable)
} else if cfg!(kernel_isa = "armv7em") {
    Some(Isa::Armv7em)
} else if cfg!(kernel_isa = "mve") {
    Some(Isa::Mve)
} else {
    None
};

/// Changes whenever the meaning of an operator record or the packing of a weight changes.
pub const KERNEL_ABI: u16 = 2;
