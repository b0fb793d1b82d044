//! A progress bar for what takes longer than a second.

use indicatif::{ProgressBar, ProgressDrawTarget, ProgressStyle};
use std::io::IsTerminal;
use std::time::{Duration, Instant};
use tinfer_compiler::convert::Progress;

/// Shows nothing for a second, then a bar on a terminal.
pub struct Patience {
    start: Instant,
    wanted: bool,
    bar: Option<ProgressBar>,
}

impl Patience {
    /// A new clock; quiet ones never show anything.
    pub fn new(quiet: bool) -> Self {
        Patience { start: Instant::now(), wanted: !quiet && std::io::stderr().is_terminal(), bar: None }
    }

    /// Takes note of progress.
    pub fn note(&mut self, progress: Progress) {
        if !self.wanted || self.start.elapsed() < IMPATIENCE {
            return;
        }
        let bar = self.bar.get_or_insert_with(|| {
            let bar = ProgressBar::with_draw_target(None, ProgressDrawTarget::stderr());
            let style = ProgressStyle::with_template("{msg:<12} [{bar:40}] {pos}/{len} {eta}");
            bar.set_style(style.unwrap_or_else(|_| ProgressStyle::default_bar()).progress_chars("=> "));
            bar
        });
        bar.set_message(progress.stage);
        bar.set_length(progress.total as u64);
        bar.set_position(progress.done as u64);
    }

    /// Takes the bar away.
    pub fn end(&mut self) {
        if let Some(bar) = self.bar.take() {
            bar.finish_and_clear();
        }
    }
}

const IMPATIENCE: Duration = Duration::from_secs(1);
