//! `isobar top`: routes, accounts, breakers, latencies and the last failures of a running gateway, from its admin port.
//!
//! Two looks at the admin port make a page (`sample`, `page`), a page is drawn on cells (`draw`), and the cells are shown on
//! a terminal that is put back as it was (`screen`) or printed once as plain text.

mod draw;
mod page;
mod sample;
mod screen;

use std::{
    io::{self, Write as _},
    path::Path,
    process::ExitCode,
    sync::mpsc,
    time::{Duration, Instant},
};

use clap::Args;
use ratatui::{
    buffer::Buffer,
    crossterm::event::{self, Event, KeyCode, KeyEvent, KeyEventKind, KeyModifiers},
    layout::Rect,
};

use self::{
    page::Page,
    sample::{Sample, Source},
    screen::Screen,
};

/// How long keys are waited for before the page is looked at again.
const TICK: Duration = Duration::from_millis(100);
/// Width of a printed page where none is told.
const WIDTH: u16 = 110;

#[derive(Debug, Args)]
#[command(after_help = "Keys: q, Esc or Ctrl-C leaves.\n\
        Rates and latencies are those of the last interval; states are those of the moment.")]
pub(super) struct Arguments {
    /// The admin port, such as `127.0.0.1:9090`; without it, `admin` of the configuration
    #[arg(value_name = "ADDRESS")]
    address: Option<String>,
    #[command(flatten)]
    source: super::Source,
    /// Seconds between two looks
    #[arg(long, value_name = "SECONDS", default_value = "1", value_parser = clap::value_parser!(u16).range(1..=3600))]
    every: u16,
    /// Print one page as plain text, and leave
    #[arg(long)]
    once: bool,
}

pub(super) fn run(arguments: &Arguments) -> io::Result<ExitCode> {
    let address = match &arguments.address {
        Some(address) => address.clone(),
        None => configured(&arguments.source.config)?,
    };
    let source = Source::new(&address).map_err(io::Error::other)?;
    let every = Duration::from_secs(arguments.every.into());
    let runtime = tokio::runtime::Builder::new_multi_thread()
        .worker_threads(1)
        .enable_all()
        .build()?;
    // A gateway that is not there is told before anything is drawn.
    let first = runtime.block_on(source.look()).map_err(io::Error::other)?;
    if arguments.once {
        std::thread::sleep(every);
        let second = runtime.block_on(source.look()).map_err(io::Error::other)?;
        let page = Page::between(Some(&first), &second, source.name());
        let width = std::env::var("COLUMNS").ok();
        let width = width.and_then(|text| text.parse().ok()).unwrap_or(WIDTH);
        io::stdout()
            .lock()
            .write_all(text(&page, width).as_bytes())?;
        return Ok(ExitCode::SUCCESS);
    }
    let (looks, looked) = mpsc::channel();
    let name = source.name().to_owned();
    runtime.spawn(async move {
        loop {
            tokio::time::sleep(every).await;
            if looks.send(source.look().await).is_err() {
                return;
            }
        }
    });
    let shown = watch(first, &looked, &name);
    // A look that hangs is not waited for.
    runtime.shutdown_background();
    shown.map(|()| ExitCode::SUCCESS)
}

/// The admin port of a configuration.
fn configured(config: &Path) -> io::Result<String> {
    let give = "name the admin port: `isobar top 127.0.0.1:9090`";
    let loaded = isobar::load(config).map_err(|report| {
        let first = report
            .diagnostics()
            .first()
            .map(|first| first.message.clone());
        let why = first.unwrap_or_default();
        io::Error::other(format!(
            "{} cannot be read ({why}); mend it, or {give}",
            config.display()
        ))
    })?;
    let admin = loaded.checked.config.admin.ok_or_else(|| {
        io::Error::other(format!(
            "{} has no admin port; add `admin: \"127.0.0.1:9090\"` and restart the gateway, or {give}",
            config.display()
        ))
    })?;
    Ok(admin.to_string())
}

/// Shows pages until somebody has seen enough.
fn watch(
    first: Sample,
    looked: &mpsc::Receiver<Result<Sample, String>>,
    name: &str,
) -> io::Result<()> {
    let mut screen = Screen::enter()?;
    let mut page = Page::between(None, &first, name);
    let mut last = first;
    loop {
        screen.draw(|area, cells| draw::draw(&page, area, cells))?;
        let until = Instant::now() + TICK;
        while event::poll(until.saturating_duration_since(Instant::now()))? {
            if let Event::Key(key) = event::read()?
                && leaves(&key)
            {
                return Ok(());
            }
        }
        while let Ok(look) = looked.try_recv() {
            match look {
                Ok(sample) => {
                    page = Page::between(Some(&last), &sample, name);
                    last = sample;
                }
                Err(why) => page.trouble = Some(why),
            }
        }
    }
}

fn leaves(key: &KeyEvent) -> bool {
    let control = key.modifiers.contains(KeyModifiers::CONTROL);
    key.kind != KeyEventKind::Release
        && match key.code {
            KeyCode::Char('c') => control,
            KeyCode::Char('q') | KeyCode::Esc => true,
            _ => false,
        }
}

/// The page without colours, as wide as told and as high as it needs to be.
fn text(page: &Page, width: u16) -> String {
    let area = Rect::new(0, 0, width.max(40), draw::height(page));
    let mut cells = Buffer::empty(area);
    draw::draw(page, area, &mut cells);
    let mut text = String::new();
    for y in 0..area.height {
        let line: String = (0..area.width)
            .filter_map(|x| cells.cell((x, y)).map(|cell| cell.symbol()))
            .collect();
        text.push_str(line.trim_end());
        text.push('\n');
    }
    text
}

#[cfg(test)]
mod tests {
    use super::*;

    #[test]
    fn q_escape_and_control_c_leave() {
        let check = |code, modifiers, expected| {
            assert_eq!(
                leaves(&KeyEvent::new(code, modifiers)),
                expected,
                "{code:?}"
            );
        };
        check(KeyCode::Char('q'), KeyModifiers::NONE, true);
        check(KeyCode::Esc, KeyModifiers::NONE, true);
        check(KeyCode::Char('c'), KeyModifiers::CONTROL, true);
        check(KeyCode::Char('c'), KeyModifiers::NONE, false);
        check(KeyCode::Enter, KeyModifiers::NONE, false);
    }
}
