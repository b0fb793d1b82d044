//! A model bound to an arena: fill inputs, run, read outputs.

mod arena;
mod binding;
mod observer;

pub use arena::Arena;
pub use binding::Binding;
pub use observer::{NoObserver, Observer, StepDone, digest};

use crate::error::{BindError, RunError};
use crate::image::plan::Steps;
use crate::image::port::Direction;
use crate::image::{Image, StepView, TensorView};
use crate::operators::{self, Operator, StepContext, arena_range};

/// What [`Session::step`] reached.
#[derive(Clone, Copy, Debug, PartialEq, Eq)]
pub enum Progress {
    /// There are more steps.
    Running,
    /// The outputs are ready; the next call starts over.
    Done,
}

/// A checked plan with its memory.
///
/// # Examples
/// ```no_run
/// use tinfer::{Arena, Image, Session, operators};
/// # fn get() -> &'static [u8] { &[] }
/// let image = Image::check(get()).map_err(|_| "no model")?;
/// let mut arena = Arena::<4096>::new();
/// let mut session = Session::bind(&image, arena.bytes(), operators::ALL).map_err(|_| "does not fit")?;
/// session.input(0).map_err(|_| "no input")?.fill(0);
/// session.run().map_err(|_| "cannot run")?;
/// let scores = session.output(0).map_err(|_| "no output")?;
/// # let _ = scores; Ok::<(), &'static str>(())
/// ```
#[derive(Debug)]
pub struct Session<'a, 'i> {
    image: &'a Image<'i>,
    arena: &'a mut [u8],
    operators: &'a [&'a Operator],
    steps: Steps<'i>,
}

impl<'a, 'i> Session<'a, 'i> {
    /// Checks every step of the plan against its operator and the arena, once.
    ///
    /// # Memory
    /// `arena` holds all activations and scratch: [`Image::arena_bytes`], starting at a 16-byte
    /// boundary (see [`Arena`]). What is behind that is left alone. To share it with other models, see [`Binding`].
    ///
    /// # Errors
    /// The first rule that does not hold.
    pub fn bind(image: &'a Image<'i>, arena: &'a mut [u8], operators: &'a [&'a Operator]) -> Result<Self, BindError> {
        let arena = binding::arena_of(image, arena)?;
        Ok(Self::new(Binding::new(image, operators)?, arena))
    }

    fn new(binding: Binding<'a, 'i>, arena: &'a mut [u8]) -> Self {
        let Binding { image, operators } = binding;
        Session { image, arena, operators, steps: image.steps() }
    }

    /// The memory of input `index` in the tensor's own type and layout, to be filled before a run.
    ///
    /// The plan may reuse it once the input is consumed: fill it again for every run.
    ///
    /// # Errors
    /// [`RunError::NoSuchPort`].
    pub fn input(&mut self, index: usize) -> Result<&mut [u8], RunError> {
        let tensor = self.port_tensor(Direction::Input, index)?;
        arena_range(&tensor).and_then(|r| self.arena.get_mut(r)).ok_or(RunError::Inconsistent { step: 0 })
    }

    /// Copies `bytes` into input `index`.
    ///
    /// # Errors
    /// [`RunError::NoSuchPort`], [`RunError::InputSize`].
    pub fn set_input(&mut self, index: usize, bytes: &[u8]) -> Result<(), RunError> {
        let input = self.input(index)?;
        if input.len() != bytes.len() {
            return Err(RunError::InputSize { need_bytes: input.len() as u32, have_bytes: bytes.len() as u32 });
        }
        for (target, source) in input.iter_mut().zip(bytes) {
            *target = *source;
        }
        Ok(())
    }

    /// The data of output `index` in the tensor's own type and layout, valid after a run.
    ///
    /// # Errors
    /// [`RunError::NoSuchPort`].
    pub fn output(&self, index: usize) -> Result<&[u8], RunError> {
        let tensor = self.port_tensor(Direction::Output, index)?;
        arena_range(&tensor).and_then(|r| self.arena.get(r)).ok_or(RunError::Inconsistent { step: 0 })
    }

    /// Runs the whole plan.
    ///
    /// Not inlined: tools compute the worst-case stack of the function with this name.
    ///
    /// # Errors
    /// See [`RunError`]; none can occur with filled inputs after a successful bind.
    #[inline(never)]
    pub fn run(&mut self) -> Result<(), RunError> {
        self.run_observed(&mut NoObserver)
    }

    /// Runs the whole plan and shows every step to `observer`.
    ///
    /// # Errors
    /// As [`Session::run`].
    pub fn run_observed<O: Observer>(&mut self, observer: &mut O) -> Result<(), RunError> {
        self.restart();
        while self.step(observer)? == Progress::Running {}
        Ok(())
    }

    /// Goes back to the first step.
    pub fn restart(&mut self) {
        self.steps = self.image.steps();
    }

    /// Runs the next step of the plan, so that a caller can do other work between steps.
    ///
    /// # Errors
    /// As [`Session::run`].
    pub fn step<O: Observer>(&mut self, observer: &mut O) -> Result<Progress, RunError> {
        let Some(step) = self.next_step() else {
            self.restart();
            return Ok(Progress::Done);
        };
        let inconsistent = RunError::Inconsistent { step: step.index };
        let operator = operators::find(self.operators, step.code).ok_or(inconsistent)?;
        observer.step_start(step.index);
        let mut context = StepContext::new(self.image, &step, self.arena);
        (operator.run)(&mut context).ok_or(inconsistent)?;
        observer.step_done(&StepDone {
            index: step.index,
            operator,
            image: self.image,
            step: &step,
            arena: self.arena,
        });
        Ok(Progress::Running)
    }

    /// Not inlined: [`Session::step`] is compiled once for each type of observer.
    #[inline(never)]
    fn next_step(&mut self) -> Option<StepView<'i>> {
        self.steps.next()
    }

    /// The image that is bound.
    pub fn image(&self) -> &'a Image<'i> {
        self.image
    }

    #[inline(never)]
    fn port_tensor(&self, direction: Direction, index: usize) -> Result<TensorView, RunError> {
        let mut n_ports = 0;
        for port in self.image.ports().filter(|port| port.direction == direction) {
            if n_ports == index as u32 {
                return self.image.tensor(port.tensor).ok_or(RunError::Inconsistent { step: 0 });
            }
            n_ports = n_ports.saturating_add(1);
        }
        Err(RunError::NoSuchPort { index: index as u32, n_ports })
    }
}
