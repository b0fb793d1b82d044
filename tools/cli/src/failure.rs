//! Why a command did not do what it was asked.

use tinfer_compiler::array::ArrayError;
use tinfer_compiler::error::CompileError;
use tinfer_flash::FlashError;

/// One sentence, a stable code, what to do next, and the exit code.
#[derive(Debug, PartialEq, Eq)]
pub struct Failure {
    /// For scripts.
    pub code: String,
    /// For people.
    pub message: String,
    /// What to do next.
    pub hint: String,
    /// 1 when the answer is no, 2 when something is wrong with what was given.
    pub exit: u8,
}

impl Failure {
    /// Wrong arguments, in clap's words.
    pub fn usage(error: &clap::Error) -> Self {
        let text = error.to_string();
        let mut lines = text.lines().map(str::trim).filter(|l| !l.is_empty() && !l.starts_with("For more information"));
        let message = lines.next().unwrap_or_default().trim_start_matches("error: ").to_string();
        let (usage, details): (Vec<&str>, Vec<&str>) =
            lines.partition(|l| l.starts_with("Usage:") || l.starts_with("tip:"));
        let message = [&[message.as_str()], details.as_slice()].concat().join(" ");
        let hint = if usage.is_empty() { "see tinfer --help".to_string() } else { usage.join("; ") };
        Failure { code: "usage".into(), message, hint, exit: 2 }
    }

    /// A value of an argument that is not understood.
    pub fn argument(message: String, hint: &str) -> Self {
        Failure { code: "usage".into(), message, hint: hint.into(), exit: 2 }
    }

    /// Something that is planned.
    pub fn not_available(what: String, instead: &str) -> Self {
        CompileError::NotAvailable { what, instead: instead.into() }.into()
    }

    /// A defect of ours.
    pub fn internal(what: &str) -> Self {
        Failure {
            code: "internal".into(),
            message: format!("internal failure of tinfer: {what}"),
            hint: "this is a defect: please report it with the command and the model".into(),
            exit: 2,
        }
    }

    /// At most six lines, whatever the parts say.
    pub fn text(&self) -> String {
        let flat = |text: &str| text.lines().map(str::trim).filter(|l| !l.is_empty()).collect::<Vec<_>>().join("\n  ");
        let shorten = |text: String, n_lines: usize| text.lines().take(n_lines).collect::<Vec<_>>().join("\n");
        let message = shorten(format!("error: {}", flat(&self.message)), 4);
        let hint = shorten(format!("hint: {}", flat(&self.hint)), 2);
        if self.hint.is_empty() { message } else { format!("{message}\n{hint}") }
    }
}

impl From<CompileError> for Failure {
    fn from(error: CompileError) -> Self {
        Failure {
            code: error.code().into(),
            message: error.to_string(),
            hint: error.hint(),
            exit: if error.is_refusal() { 1 } else { 2 },
        }
    }
}

impl From<ArrayError> for Failure {
    fn from(error: ArrayError) -> Self {
        CompileError::from(error).into()
    }
}

impl From<FlashError> for Failure {
    fn from(error: FlashError) -> Self {
        let (code, hint, exit) = match &error {
            FlashError::Board(_) | FlashError::NotEmulated { .. } => ("unknown-board", "see `tinfer boards`", 2),
            FlashError::QemuMissing { .. } => ("emulator-missing", "", 2),
            FlashError::FirmwareFolder { .. } | FlashError::FirmwareMissing { .. } => ("firmware-missing", "", 2),
            FlashError::FirmwareBuild { .. } => ("firmware-build", "run `cargo xtask setup`, then try again", 2),
            FlashError::ImageTooLarge { .. } => ("does-not-fit", "choose a board with a larger model slot", 1),
            FlashError::Refused { .. } => {
                ("refused-by-device", "convert the model for this board, and verify it on the host", 1)
            }
            FlashError::NoSuchTensor { .. } | FlashError::InputSize { .. } => {
                ("device-input", "`tinfer inspect` shows what the image takes", 2)
            }
            _ => ("device", "run it again with -vv, which shows the device's log", 2),
        };
        Failure { code: code.into(), message: error.to_string(), hint: hint.into(), exit }
    }
}

#[cfg(test)]
mod tests {
    use super::*;

    #[test]
    fn no_text_is_longer_than_six_lines() {
        let many = "a\n\nb\nc\nd\ne\nf\ng".to_string();
        let failure = Failure { code: String::new(), message: many.clone(), hint: many, exit: 2 };
        assert_eq!(failure.text(), "error: a\n  b\n  c\n  d\nhint: a\n  b");
    }

    #[test]
    fn a_board_that_is_too_small_is_an_answer() {
        let error = FlashError::ImageTooLarge { board: "b".into(), image_bytes: 2, slot_bytes: 1 };
        assert_eq!(Failure::from(error).exit, 1);
        let error = CompileError::NotAvailable { what: "x".into(), instead: "y".into() };
        assert_eq!(Failure::from(error).exit, 2);
    }
}
