//! Calls into tract: a panic there becomes an error here.

use std::cell::Cell;
use std::panic::{AssertUnwindSafe, catch_unwind};
use std::sync::Once;

/// Runs `call`. A panic inside is caught, prints nothing, and is returned as its message.
///
/// The panic hook is global, so it is wrapped once by one that is silent on threads inside a guard
/// and otherwise does what it did before.
pub(super) fn guard<T>(call: impl FnOnce() -> Result<T, String>) -> Result<T, String> {
    static INSTALL: Once = Once::new();
    INSTALL.call_once(|| {
        let previous = std::panic::take_hook();
        std::panic::set_hook(Box::new(move |info| {
            if !GUARDED.get() {
                previous(info);
            }
        }));
    });
    let outer = GUARDED.replace(true);
    let result = catch_unwind(AssertUnwindSafe(call));
    GUARDED.set(outer);
    result.unwrap_or_else(|payload| {
        let text = payload.downcast_ref::<String>().map(String::as_str).or(payload.downcast_ref::<&str>().copied());
        Err(format!("internal failure: {}", one_line(text.unwrap_or("no message"))))
    })
}

/// The causes of a tract error, outermost first, as one line of bounded length.
pub(super) fn explain(error: &tract_onnx::prelude::TractError) -> String {
    let causes: Vec<String> = error.chain().map(|cause| one_line(&cause.to_string())).collect();
    shorten(causes.join(": "), 400)
}

fn one_line(text: &str) -> String {
    shorten(text.split_whitespace().collect::<Vec<_>>().join(" "), 200)
}

fn shorten(mut text: String, most: usize) -> String {
    if let Some((cut, _)) = text.char_indices().nth(most) {
        text.truncate(cut);
        text.push('…');
    }
    text
}

thread_local! {
    static GUARDED: Cell<bool> = const { Cell::new(false) };
}

#[cfg(test)]
mod tests {
    use super::*;

    #[test]
    fn a_panic_becomes_an_error() {
        let error = guard::<()>(|| panic!("attempt to\n  divide")).unwrap_err();
        assert_eq!(error, "internal failure: attempt to divide");
        assert_eq!(guard(|| Ok(3)), Ok(3));
        assert!(std::panic::catch_unwind(|| panic!("outside")).is_err());
    }
}
