//! What long commands show while they work.

use std::time::Duration;

use anyhow::Context;
use indicatif::{ProgressBar, ProgressStyle};

use super::Failure;

/// A bar on standard error, while that is a terminal.
///
/// # Errors
/// When the template is none of indicatif's.
pub fn bar(length: u64, template: &str) -> Result<ProgressBar, Failure> {
    let style = ProgressStyle::with_template(template).context("the progress bar is broken")?;
    Ok(ProgressBar::new(length).with_style(style))
}

/// A line on standard error that says what is going on, while standard error is a terminal.
pub struct Progress(ProgressBar);

impl Progress {
    /// Begins with that.
    pub fn start(doing: &'static str) -> Self {
        let bar = ProgressBar::new_spinner().with_message(doing);
        bar.enable_steady_tick(Duration::from_millis(100));
        Self(bar)
    }

    /// Says what is going on now.
    pub fn say(&self, doing: &str) {
        self.0.set_message(doing.to_owned());
    }

    /// Takes the line away.
    pub fn end(&self) {
        self.0.finish_and_clear();
    }
}

impl Drop for Progress {
    /// An error is told on a line of its own.
    fn drop(&mut self) {
        self.0.finish_and_clear();
    }
}
