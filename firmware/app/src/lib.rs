#![no_std]
//! The firmware without a board: what it does with a model, a link, a lamp and a button.
//!
//! ```text
//!   model slot --Image::check--> Image --Model::bind--> Model --App::new--> App --poll--> replies, lamp, log
//! ```
//!
//! A board's `main.rs` makes the hardware, checks the image, and polls for ever. The app never panics: a slot that is
//! empty or holds something else is answered with the reason, for ever, until the slot holds a model.
#![cfg_attr(
    not(test),
    deny(
        clippy::indexing_slicing,
        clippy::arithmetic_side_effects,
        clippy::unwrap_used,
        clippy::expect_used,
        clippy::panic
    )
)]

mod desk;
mod hardware;
mod model;
mod run;
mod telemetry;

pub use desk::App;
pub use hardware::{Clock, Hardware, Identity, StackMeter, StackUse};
pub use model::{Model, Refusal};
