//! How deep the stack can go: the deepest path through the call graph.
//!
//! ```text
//! bound(f) = frame(f) + max(bound(g) for every g that f may call or jump to)
//! frame(f) = all that the instructions of f take from the stack, wherever they stand
//! ```
//! A frame is right when no loop takes more than it gives back, which is how compilers and our assembly use the stack.
//! An instruction that does something else to the stack pointer ends the computation, and so does recursion.
//!
//! **Calls through a register.** Kernels call functions whose address stands in code or in data other than operators;
//! the session calls `run` of every operator of the program; everybody else may call any function whose address is
//! somewhere.

use std::collections::{BTreeMap, BTreeSet};

use anyhow::{Context, Result, bail};

use super::thumb::Effect;
use super::{Function, Program};

/// Bounds of a program's functions.
pub struct StackBounds<'p> {
    program: &'p Program,
    /// Functions whose address stands in code.
    in_code: BTreeSet<u32>,
    known: BTreeMap<u32, u32>,
}

impl<'p> StackBounds<'p> {
    /// Nothing is computed yet.
    pub fn new(program: &'p Program) -> Self {
        let in_code = program.functions.values().flat_map(|function| addresses(program, function)).collect();
        Self { program, in_code, known: BTreeMap::new() }
    }

    /// Bytes below the stack pointer of the function's caller that the function may write, interrupts apart.
    ///
    /// # Errors
    /// No such function; recursion; a stack pointer that is not understood; a call to who knows where.
    pub fn function(&mut self, name: &str) -> Result<u32> {
        let (address, _) = self.find(name)?;
        self.bound(address, &mut Vec::new())
    }

    /// The part of a run's bound that is not its operators': of [`super::RUN`] if operators used no stack.
    ///
    /// # Errors
    /// As [`StackBounds::function`].
    pub fn session(&mut self) -> Result<u32> {
        let (address, function) = self.find(super::RUN)?;
        let mut deepest = 0;
        for callee in self.callees(address, function)? {
            if !self.program.operators.iter().any(|it| it.run == callee) {
                deepest = deepest.max(self.bound(callee, &mut Vec::new())?);
            }
        }
        Ok(frame(function)? + deepest)
    }

    /// Bounds of `run` of each operator of the program, by name.
    ///
    /// # Errors
    /// As [`StackBounds::function`].
    pub fn operators(&mut self) -> Result<BTreeMap<&'static str, u32>> {
        let operators = &self.program.operators;
        operators.iter().map(|it| Ok((it.name, self.bound(it.run, &mut Vec::new())?))).collect()
    }

    /// Bytes that an interrupt may write below the stack pointer of what it interrupts: the frame of the exception and
    /// the deepest handler. Handlers of one priority, the state after reset, do not interrupt each other.
    ///
    /// # Errors
    /// As [`StackBounds::function`].
    pub fn interrupt(&mut self) -> Result<u32> {
        let mut deepest = 0;
        for &handler in &self.program.vectors {
            if self.program.functions[&handler].name != RESET {
                deepest = deepest.max(self.bound(handler, &mut Vec::new())?);
            }
        }
        Ok(EXCEPTION_BYTES + deepest)
    }

    fn find(&self, name: &str) -> Result<(u32, &'p Function)> {
        let found = self.program.functions.iter().find(|(_, function)| function.name == name);
        let (&address, function) = found.with_context(|| format!("the program has no function {name}"))?;
        Ok((address, function))
    }

    fn bound(&mut self, address: u32, path: &mut Vec<u32>) -> Result<u32> {
        if let Some(&known) = self.known.get(&address) {
            return Ok(known);
        }
        let name = |address: &u32| self.program.functions[address].name.as_str();
        if let Some(start) = path.iter().position(|&caller| caller == address) {
            let cycle: Vec<&str> = path[start..].iter().chain([&address]).map(name).collect();
            bail!("recursion has no bound: {}", cycle.join(" -> "));
        }
        path.push(address);
        let function = &self.program.functions[&address];
        let mut deepest = 0;
        for callee in self.callees(address, function)? {
            deepest = deepest.max(self.bound(callee, path)?);
        }
        path.pop();
        let bound = frame(function)? + deepest;
        self.known.insert(address, bound);
        Ok(bound)
    }

    fn callees(&self, start: u32, function: &Function) -> Result<BTreeSet<u32>> {
        let mut callees = BTreeSet::new();
        // A jump to a label of the function's own, as assembly does it.
        let takes_label = function
            .effects
            .iter()
            .any(|(_, it)| matches!(it, Effect::Address(to) if (start..function.end).contains(to)));
        for &(at, effect) in &function.effects {
            match effect {
                Effect::Branch(to) if (start..function.end).contains(&to) => {}
                Effect::Call(to) | Effect::Branch(to) => {
                    if !self.program.functions.contains_key(&to) {
                        bail!("{} goes to {to:#x} at {at:#x}, where no function starts", function.name);
                    }
                    callees.insert(to);
                }
                Effect::JumpRegister if takes_label => {}
                Effect::CallRegister | Effect::JumpRegister => {
                    let targets = self.targets(start, function);
                    if targets.is_empty() {
                        bail!(
                            "{} calls through a register at {at:#x}, and no function is known to be there",
                            function.name
                        );
                    }
                    callees.extend(targets);
                }
                _ => {}
            }
        }
        Ok(callees)
    }

    /// Where a call through a register may go.
    fn targets(&self, start: u32, function: &Function) -> BTreeSet<u32> {
        let operators = &self.program.operators;
        if function.name.starts_with("tinfer::session::") {
            return operators.iter().map(|it| it.run).collect();
        }
        let mut targets: BTreeSet<u32> = self.in_code.union(&self.program.in_data).copied().collect();
        let is_kernel = function.name.starts_with("tinfer::kernels::") || operators.iter().any(|it| it.run == start);
        if !is_kernel {
            targets.extend(operators.iter().flat_map(|it| it.functions.iter().copied()));
        }
        targets
    }
}

fn frame(function: &Function) -> Result<u32> {
    let mut bytes = 0u32;
    // Registers that hold a copy of the stack pointer, and how far below it; or of the frame pointer.
    let mut below = BTreeMap::new();
    let mut of_frame = BTreeSet::from([FRAME]);
    for &(at, effect) in &function.effects {
        match effect {
            Effect::Grow(by) => bytes += by,
            Effect::CopyStack { register, below: by } => {
                of_frame.remove(&register);
                below.insert(register, by);
            }
            Effect::CopyFrame { register } => {
                below.remove(&register);
                of_frame.insert(register);
            }
            Effect::Align { register, to } => {
                if let Some(by) = below.get_mut(&register) {
                    // The stack pointer is a multiple of four.
                    *by += to.saturating_sub(4);
                }
            }
            Effect::SetStack { register } => match below.get(&register) {
                Some(by) => bytes += by,
                // The end of the function: back to where its frame began.
                None if of_frame.contains(&register) => {}
                None => bail!("{} sets the stack pointer at {at:#x} from a register of unknown value", function.name),
            },
            Effect::Unknown => bail!("{} changes the stack pointer at {at:#x} by an unknown number", function.name),
            _ => {}
        }
    }
    Ok(bytes)
}

/// Functions whose address the code of this one puts together from two halves.
fn addresses(program: &Program, function: &Function) -> Vec<u32> {
    let mut low = BTreeMap::new();
    let mut found = Vec::new();
    for &(_, effect) in &function.effects {
        match effect {
            Effect::Low { register, half } => {
                low.insert(register, half);
                // The upper half may be zero and left out.
                found.extend(program.pointed_at(half));
            }
            Effect::High { register, half } => {
                let word = low.get(&register).map(|low| half << 16 | low);
                found.extend(word.and_then(|word| program.pointed_at(word)));
            }
            _ => {}
        }
    }
    found
}

const RESET: &str = "Reset";
const FRAME: u8 = 7;

/// Registers that an exception saves: 8, with a floating-point unit 26, and a word to align them. DDI 0403, B1.5.7.
const EXCEPTION_BYTES: u32 = 4 * (26 + 1);
