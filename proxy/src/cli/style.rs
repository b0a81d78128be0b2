//! Colours, where the reader is a terminal that wants them.

use std::{
    env,
    io::{self, IsTerminal as _},
};

/// Wraps texts in ANSI codes, or leaves them alone.
#[derive(Debug, Clone, Copy)]
pub(super) struct Style {
    colour: bool,
}

impl Style {
    pub(super) fn stdout() -> Self {
        Self::of(io::stdout().is_terminal())
    }

    pub(super) fn stderr() -> Self {
        Self::of(io::stderr().is_terminal())
    }

    /// No colour: <https://no-color.org>.
    fn of(terminal: bool) -> Self {
        let unwanted = env::var_os("NO_COLOR").is_some_and(|value| !value.is_empty());
        Self {
            colour: terminal && !unwanted,
        }
    }

    pub(super) fn is_coloured(self) -> bool {
        self.colour
    }

    pub(super) fn bold(self, text: &str) -> String {
        self.wrap("1", text)
    }

    pub(super) fn dim(self, text: &str) -> String {
        self.wrap("2", text)
    }

    pub(super) fn good(self, text: &str) -> String {
        self.wrap("32", text)
    }

    pub(super) fn bad(self, text: &str) -> String {
        self.wrap("31", text)
    }

    fn wrap(self, code: &str, text: &str) -> String {
        if self.colour {
            format!("\x1b[{code}m{text}\x1b[0m")
        } else {
            text.to_owned()
        }
    }
}
