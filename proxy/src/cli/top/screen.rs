//! The terminal while it is ours: taken at the start, and put back as it was whatever happens, a panic included.

use std::io;

use ratatui::{DefaultTerminal, buffer::Buffer, layout::Rect};

/// A terminal in raw mode, on its other screen.
pub(super) struct Screen(DefaultTerminal);

impl Screen {
    /// Takes the terminal. From here on a panic puts it back before it is told.
    pub(super) fn enter() -> io::Result<Self> {
        Ok(Self(ratatui::try_init()?))
    }

    /// Fills the whole screen.
    pub(super) fn draw(&mut self, draw: impl FnOnce(Rect, &mut Buffer)) -> io::Result<()> {
        self.0
            .draw(|frame| draw(frame.area(), frame.buffer_mut()))?;
        Ok(())
    }
}

impl Drop for Screen {
    fn drop(&mut self) {
        // There is nobody left to tell.
        let _ = ratatui::try_restore();
    }
}

#[cfg(test)]
mod tests {
    use std::process::Command;

    use super::*;

    #[test]
    #[ignore = "run by the test below, in a terminal of its own"]
    fn panics_while_it_has_the_terminal() {
        let _screen = Screen::enter().unwrap();
        panic!("all is lost");
    }

    #[test]
    fn a_panic_gives_the_terminal_back_before_it_is_told() {
        let program = std::env::current_exe().unwrap();
        let name = "cli::top::screen::tests::panics_while_it_has_the_terminal";
        let inside = format!(
            "{} --exact {name} --ignored --nocapture; stty -a",
            program.display()
        );
        let ran = Command::new("script")
            .args(["-qec", &inside, "/dev/null"])
            .output();
        let Ok(ran) = ran else {
            eprintln!("skipped: there is no `script` here to make a terminal with");
            return;
        };
        let text = String::from_utf8_lossy(&ran.stdout).into_owned();
        let at = |words: &str| {
            text.find(words)
                .unwrap_or_else(|| panic!("no {words:?}: {text}"))
        };
        // To the other screen, back, and then the words where they can be read.
        assert!(at("\u{1b}[?1049h") < at("\u{1b}[?1049l"), "{text}");
        assert!(at("\u{1b}[?1049l") < at("all is lost"), "{text}");
        assert!(
            text.contains(" icanon") && text.contains(" echo "),
            "{text}"
        );
    }
}
