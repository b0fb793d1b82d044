//! Panics: none may reach the user as such.

use crate::failure::Failure;
use std::panic::{AssertUnwindSafe, catch_unwind, set_hook};
use std::sync::{Mutex, PoisonError};

/// Runs `work`; a panic inside becomes a failure that says where it was.
pub fn run<T>(work: impl FnOnce() -> Result<T, Failure>) -> Result<T, Failure> {
    set_hook(Box::new(|info| {
        let place = info.location().map(|l| format!(" at {}:{}", l.file(), l.line())).unwrap_or_default();
        let words = info.payload_as_str().unwrap_or("no message");
        *LAST.lock().unwrap_or_else(PoisonError::into_inner) = Some(format!("{words}{place}"));
    }));
    catch_unwind(AssertUnwindSafe(work)).unwrap_or_else(|_| {
        let what = LAST.lock().unwrap_or_else(PoisonError::into_inner).take();
        Err(Failure::internal(&what.unwrap_or_else(|| "no message".into())))
    })
}

static LAST: Mutex<Option<String>> = Mutex::new(None);

#[cfg(test)]
mod tests {
    use super::*;

    #[test]
    fn a_panic_becomes_a_failure_that_names_the_place() {
        let failure = run::<()>(|| panic!("index 3 of 2")).unwrap_err();
        assert!(
            failure.message.contains("index 3 of 2") && failure.message.contains("guard.rs"),
            "{}",
            failure.message
        );
        assert!(failure.hint.contains("report"), "{}", failure.hint);
    }
}
