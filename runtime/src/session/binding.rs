//! A plan that is proven, without memory.

use crate::Session;
use crate::error::BindError;
use crate::image::{ALIGNMENT, Image};
use crate::log;
use crate::operators::{self, Operator};

/// A plan that is proven against its operators, once, and borrows an arena only while it runs.
///
/// Models that run one after the other share one arena, as large as the largest of theirs: each gets it whole, by
/// [`Binding::session`], which costs two comparisons. A session overwrites what the one before left there, so take its
/// outputs first. No operator keeps a state from run to run; an image is all that a model needs to start again.
///
/// # Examples
/// ```no_run
/// use tinfer::session::Binding;
/// use tinfer::{Arena, Image, operators};
/// # fn slots() -> (&'static [u8], &'static [u8]) { (&[], &[]) }
/// let (first, second) = (Image::check(slots().0)?, Image::check(slots().1)?);
/// let mut arena = Arena::<16384>::new();
/// let models = [Binding::new(&first, operators::ALL)?, Binding::new(&second, operators::ALL)?];
/// for model in models.iter().cycle() {
///     let mut session = model.session(arena.bytes())?;
///     session.input(0)?.fill(0);
///     session.run()?;
///     let scores = session.output(0)?;
///     # let _ = scores;
/// }
/// # Ok::<(), Box<dyn std::error::Error>>(())
/// ```
#[derive(Clone, Copy, Debug)]
pub struct Binding<'a, 'i> {
    pub(super) image: &'a Image<'i>,
    pub(super) operators: &'a [&'a Operator],
}

impl<'a, 'i> Binding<'a, 'i> {
    /// Checks every step of the plan against its operator.
    ///
    /// # Errors
    /// The first rule that does not hold.
    pub fn new(image: &'a Image<'i>, operators: &'a [&'a Operator]) -> Result<Self, BindError> {
        operators::work(image, operators)?;
        log::debug!("bound {} steps for {} bytes of arena", image.n_steps(), image.arena_bytes());
        Ok(Self { image, operators })
    }

    /// Lends the model an arena.
    ///
    /// # Memory
    /// As for [`Session::bind`]: what is behind [`Image::arena_bytes`] is left alone.
    ///
    /// # Errors
    /// [`BindError::ArenaTooSmall`], [`BindError::ArenaMisaligned`].
    pub fn session<'m>(&self, arena: &'m mut [u8]) -> Result<Session<'m, 'i>, BindError>
    where
        'a: 'm,
    {
        Ok(Session::new(*self, arena_of(self.image, arena)?))
    }

    /// The image that is bound.
    pub fn image(&self) -> &'a Image<'i> {
        self.image
    }
}

/// The part of `arena` that the image uses.
pub(super) fn arena_of<'m>(image: &Image<'_>, arena: &'m mut [u8]) -> Result<&'m mut [u8], BindError> {
    let have_bytes = u32::try_from(arena.len()).unwrap_or(u32::MAX);
    let too_small = BindError::ArenaTooSmall { need_bytes: image.header().arena_bytes, have_bytes };
    let arena = arena.get_mut(..image.arena_bytes()).ok_or(too_small)?;
    if !arena.as_ptr().addr().is_multiple_of(ALIGNMENT) {
        return Err(BindError::ArenaMisaligned);
    }
    Ok(arena)
}
