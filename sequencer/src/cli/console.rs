//! Where a command writes.

use std::fmt;
use std::io::{IsTerminal as _, Write};

/// The two streams of a command. A closed pipe is not an error: whoever reads has seen enough.
pub struct Console {
    out: Box<dyn Write + Send>,
    err: Box<dyn Write + Send>,
    progress: Progress,
    is_closed: bool,
}

/// Whether somebody watches.
#[derive(Clone, Copy, PartialEq, Eq, Debug)]
enum Progress {
    Shown,
    Hidden,
}

impl fmt::Debug for Console {
    fn fmt(&self, f: &mut fmt::Formatter<'_>) -> fmt::Result {
        f.debug_struct("Console").field("progress", &self.progress).finish_non_exhaustive()
    }
}

impl Console {
    /// Standard output and standard error; progress is shown where the latter is a terminal.
    #[must_use]
    pub fn standard() -> Self {
        let progress = if std::io::stderr().is_terminal() { Progress::Shown } else { Progress::Hidden };
        Self { out: Box::new(std::io::stdout()), err: Box::new(std::io::stderr()), progress, is_closed: false }
    }

    /// Other streams, without progress.
    #[must_use]
    pub fn new(out: impl Write + Send + 'static, err: impl Write + Send + 'static) -> Self {
        Self { out: Box::new(out), err: Box::new(err), progress: Progress::Hidden, is_closed: false }
    }

    /// The same, with progress.
    #[must_use]
    pub fn with_progress(mut self) -> Self {
        self.progress = Progress::Shown;
        self
    }

    /// Whether progress is shown.
    pub(super) fn shows_progress(&self) -> bool {
        self.progress == Progress::Shown
    }

    /// Writes a line of the answer.
    pub fn say(&mut self, line: impl fmt::Display) {
        let written = writeln!(self.out, "{line}");
        self.is_closed |= written.is_err();
    }

    /// Writes the answer as it is, at once.
    pub(super) fn draw(&mut self, text: &str) {
        let drawn = self.out.write_all(text.as_bytes()).and_then(|()| self.out.flush());
        self.is_closed |= drawn.is_err();
    }

    /// Whether nobody reads the answer any more.
    pub(super) const fn is_closed(&self) -> bool {
        self.is_closed
    }

    /// Writes a line beside the answer.
    pub fn complain(&mut self, line: impl fmt::Display) {
        let _ = writeln!(self.err, "{line}");
    }

    /// Replaces the line of progress, where somebody watches.
    pub(super) fn progress(&mut self, line: impl fmt::Display) {
        if self.shows_progress() {
            let _ = write!(self.err, "\r\x1b[2K{line}");
            let _ = self.err.flush();
        }
    }

    /// Takes the line of progress away.
    pub(super) fn end_progress(&mut self) {
        if self.shows_progress() {
            let _ = write!(self.err, "\r\x1b[2K");
            let _ = self.err.flush();
        }
    }
}
