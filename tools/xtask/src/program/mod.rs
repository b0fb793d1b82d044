//! A linked program, read from its ELF file: functions with their instructions, and the places that hold their addresses.

mod stack;
mod thumb;

use std::collections::{BTreeMap, BTreeSet};
use std::path::Path;

use anyhow::{Context, Result, bail};
use object::{Object, ObjectSection, ObjectSymbol, SectionFlags, SectionKind, SymbolKind, elf};
use tinfer::operators;

pub use stack::StackBounds;
use thumb::Effect;

/// A program for a Cortex-M.
pub struct Program {
    functions: BTreeMap<u32, Function>,
    /// Functions whose address is in data that is not an operator, constants between instructions included.
    in_data: BTreeSet<u32>,
    /// Functions in the vector table.
    vectors: BTreeSet<u32>,
    operators: Vec<LinkedOperator>,
}

/// A function.
struct Function {
    /// Without the hash.
    name: String,
    effects: Vec<(u32, Effect)>,
    end: u32,
}

/// An operator that the program has, and its functions.
struct LinkedOperator {
    name: &'static str,
    /// `Operator::run`.
    run: u32,
    /// All functions that its value names.
    functions: BTreeSet<u32>,
}

/// A named piece of flash.
#[derive(Debug, Clone, PartialEq, Eq)]
pub struct Piece {
    /// Without the hash; of several names for one address, the first.
    pub name: String,
    /// Code, or constants and first values.
    pub bytes: u64,
}

impl Program {
    /// Reads an ELF file.
    ///
    /// # Errors
    /// A file that is no program with symbols.
    pub fn read(elf: &Path) -> Result<Self> {
        let bytes = std::fs::read(elf).with_context(|| format!("cannot read {}", elf.display()))?;
        Self::parse(&bytes).with_context(|| format!("in {}", elf.display()))
    }

    fn parse(elf: &[u8]) -> Result<Self> {
        let file = object::File::parse(elf)?;
        let functions = functions(&file)?;
        let mut program = Self { functions, in_data: BTreeSet::new(), vectors: BTreeSet::new(), operators: Vec::new() };
        program.operators = program.operators_of(&file)?;
        program.find_pointers(&file)?;
        Ok(program)
    }

    fn find_pointers(&mut self, file: &object::File<'_>) -> Result<()> {
        let values: Vec<_> = operator_symbols(file).map(|(_, start)| start..start + OPERATOR_BYTES).collect();
        let data = Data::of(file)?;
        for section in file.sections().filter(is_stored) {
            let is_vectors = section.name()? == ".vector_table";
            let is_code = section.kind() == SectionKind::Text;
            for (address, word) in words(&section)? {
                if is_code && data.end_of(address).is_none() {
                    continue;
                }
                let Some(function) = self.pointed_at(word) else { continue };
                if is_vectors {
                    self.vectors.insert(function);
                } else if !values.iter().any(|value| value.contains(&address)) {
                    self.in_data.insert(function);
                }
            }
        }
        Ok(())
    }

    fn operators_of(&self, file: &object::File<'_>) -> Result<Vec<LinkedOperator>> {
        let mut found = Vec::new();
        for (operator, start) in operator_symbols(file) {
            let section =
                file.sections().find(|it| it.address() <= start.into() && u64::from(start) < it.address() + it.size());
            let words = words(&section.context("an operator lies in no section")?)?;
            let value = words.into_iter().filter(|(address, _)| (start..start + OPERATOR_BYTES).contains(address));
            let words: Vec<u32> = value.map(|(_, word)| word).collect();
            let run = words.last().and_then(|&word| self.pointed_at(word));
            let run = run.with_context(|| format!("{} does not end with a pointer to its function", operator.name))?;
            let functions = words.iter().filter_map(|&word| self.pointed_at(word)).collect();
            found.push(LinkedOperator { name: operator.name, run, functions });
        }
        Ok(found)
    }

    /// The function whose Thumb address this word is.
    fn pointed_at(&self, word: u32) -> Option<u32> {
        let function = word & !1;
        (word & 1 == 1 && self.functions.contains_key(&function)).then_some(function)
    }
}

/// What the program takes of the flash, without the model: code, constants, and the first values of variables.
///
/// # Errors
/// A file that is no ELF file.
pub fn flash_bytes(elf: &Path) -> Result<u64> {
    let bytes = std::fs::read(elf).with_context(|| format!("cannot read {}", elf.display()))?;
    let program = object::File::parse(&*bytes)?;
    Ok(program.sections().filter(is_stored).map(|section| section.size()).sum())
}

/// [`flash_bytes`] in pieces, in no order; what no symbol covers is a piece by the section's name.
///
/// # Errors
/// A file that is no ELF file.
pub fn pieces(elf: &Path) -> Result<Vec<Piece>> {
    let bytes = std::fs::read(elf).with_context(|| format!("cannot read {}", elf.display()))?;
    let file = object::File::parse(&*bytes)?;
    let mut pieces = Vec::new();
    for section in file.sections().filter(is_stored) {
        // By address, so that a second name for the same bytes adds nothing.
        let mut symbols = BTreeMap::new();
        for symbol in file.symbols().filter(|it| it.section_index() == Some(section.index()) && it.size() > 0) {
            let start = symbol.address() & !u64::from(symbol.kind() == SymbolKind::Text);
            let end = symbol.address() + symbol.size();
            let entry = symbols.entry(start).or_insert((end, String::new()));
            if entry.1.is_empty() || entry.0 < end {
                *entry = (end, demangle(symbol.name()?));
            }
        }
        let (mut covered_to, mut rest) = (section.address(), section.size());
        for (start, (end, name)) in symbols {
            let bytes = end.saturating_sub(start.max(covered_to));
            covered_to = covered_to.max(end);
            rest = rest.saturating_sub(bytes);
            if bytes > 0 {
                pieces.push(Piece { name, bytes });
            }
        }
        if rest > 0 {
            pieces.push(Piece { name: format!("{} without a name", section.name()?), bytes: rest });
        }
    }
    Ok(pieces)
}

fn is_stored(section: &object::Section<'_, '_>) -> bool {
    match section.flags() {
        SectionFlags::Elf { sh_flags } => {
            sh_flags & u64::from(elf::SHF_ALLOC) != 0 && section.kind() != SectionKind::UninitializedData
        }
        _ => false,
    }
}

fn functions(file: &object::File<'_>) -> Result<BTreeMap<u32, Function>> {
    let mut found: BTreeMap<u32, (String, u32)> = BTreeMap::new();
    for symbol in file.symbols().filter(|symbol| symbol.kind() == SymbolKind::Text && symbol.section_index().is_some())
    {
        let start = (symbol.address() & 0xffff_fffe) as u32;
        let name = demangle(symbol.name()?);
        // Folded functions have several names; one size.
        let entry = found.entry(start).or_insert((name, 0));
        entry.1 = entry.1.max(symbol.size() as u32);
    }
    if found.is_empty() {
        bail!("no symbols: the program was stripped");
    }
    let data = Data::of(file)?;
    let starts: Vec<u32> = found.keys().copied().collect();
    let mut functions = BTreeMap::new();
    for (position, (start, (name, size))) in found.into_iter().enumerate() {
        let section = file.sections().find(|it| {
            it.kind() == SectionKind::Text
                && it.address() <= start.into()
                && u64::from(start) < it.address() + it.size()
        });
        let Some(section) = section else { continue };
        let section_end = (section.address() + section.size()) as u32;
        // Functions written in assembly may have no size.
        let next = starts.get(position + 1).copied().unwrap_or(section_end).min(section_end);
        let end = if size == 0 { next } else { start + size };
        let code = section.data_range(start.into(), (end - start).into())?.context("a function without code")?;
        functions.insert(start, Function { name, effects: effects(code, start, &data), end });
    }
    Ok(functions)
}

fn effects(code: &[u8], start: u32, data: &Data) -> Vec<(u32, Effect)> {
    let mut effects = Vec::new();
    let mut at = 0;
    while at < code.len() {
        let address = start + at as u32;
        if let Some(end) = data.end_of(address) {
            at = (end - start) as usize;
            continue;
        }
        let Some((length, effect)) = thumb::decode(&code[at..], address) else { break };
        if effect != Effect::None {
            effects.push((address, effect));
        }
        at += length;
    }
    effects
}

/// Where constants lie between instructions.
///
/// Source: ELF for the Arm Architecture (AAELF32), section "Mapping symbols".
struct Data {
    /// By address: whether what follows is data.
    marks: BTreeMap<u32, bool>,
}

impl Data {
    fn of(file: &object::File<'_>) -> Result<Self> {
        let mut marks = BTreeMap::new();
        for symbol in file.symbols() {
            let name = symbol.name()?;
            if name == "$d" || name.starts_with("$d.") {
                marks.insert(symbol.address() as u32, true);
            } else if name == "$t" || name.starts_with("$t.") {
                marks.insert(symbol.address() as u32, false);
            }
        }
        // Every section of code begins with a mark of its own.
        Ok(Self { marks })
    }

    /// The end of the data that `address` lies in.
    fn end_of(&self, address: u32) -> Option<u32> {
        let (_, &is_data) = self.marks.range(..=address).next_back()?;
        if !is_data {
            return None;
        }
        Some(self.marks.range(address + 1..).find(|(_, is_data)| !**is_data).map_or(u32::MAX, |(&end, _)| end))
    }
}

/// Operators of the runtime that the program has, and their addresses.
fn operator_symbols<'f>(
    file: &'f object::File<'_>,
) -> impl Iterator<Item = (&'static operators::Operator, u32)> + use<'f> {
    let names: BTreeMap<String, &'static operators::Operator> = operators::ALL
        .iter()
        .filter_map(|operator| {
            Some((format!("tinfer::operators::{}", operators::path(operator.code)?.join("::")), *operator))
        })
        .collect();
    file.symbols().filter_map(move |symbol| {
        if symbol.size() != u64::from(OPERATOR_BYTES) {
            return None;
        }
        Some((*names.get(&demangle(symbol.name().ok()?))?, symbol.address() as u32))
    })
}

fn words(section: &object::Section<'_, '_>) -> Result<Vec<(u32, u32)>> {
    let start = section.address() as u32;
    // A word is aligned in memory, wherever its section starts.
    let skipped = start.next_multiple_of(4) - start;
    let data = section.data()?;
    let words = data.get(skipped as usize..).unwrap_or_default().as_chunks::<4>().0;
    Ok((start + skipped..).step_by(4).zip(words).map(|(at, word)| (at, u32::from_le_bytes(*word))).collect())
}

fn demangle(name: &str) -> String {
    format!("{:#}", rustc_demangle::demangle(name))
}

/// The function whose worst-case stack is that of a run.
pub const RUN: &str = "tinfer::session::Session::run";

/// `size_of::<Operator>()` on a machine of 32 bits.
const OPERATOR_BYTES: u32 = 28;
