//! A page on cells, for a terminal or for plain text alike.

use std::time::Duration;

use ratatui::{
    buffer::Buffer,
    layout::{Constraint, Layout, Rect},
    style::{Modifier, Style, Stylize as _},
    text::{Line, Span},
    widgets::{Block, Borders, Row, Table, Widget as _},
};

use super::page::{AccountRow, FailureRow, Page, Route};

/// Failures on a page that is printed.
const PRINTED_FAILURES: usize = 20;
/// Lines of a table beside its rows: a title, and a heading.
const FRAME: u16 = 2;

/// Lines that the whole page takes.
pub(super) fn height(page: &Page) -> u16 {
    let failures = page.failures.len().min(PRINTED_FAILURES);
    lines(head(page).len()) + tall(page.routes.len()) + tall(page.accounts.len()) + tall(failures)
}

fn tall(rows: usize) -> u16 {
    FRAME + lines(rows.max(1))
}

fn lines(count: usize) -> u16 {
    u16::try_from(count).unwrap_or(u16::MAX / 8)
}

/// Draws the page, as much of it as there is room for.
pub(super) fn draw(page: &Page, area: Rect, cells: &mut Buffer) {
    let head = head(page);
    let wanted = [page.routes.len(), page.accounts.len(), page.failures.len()].map(tall);
    let rest = area.height.saturating_sub(lines(head.len()));
    let [routes, accounts, failures] = shares(rest, wanted);
    let areas = Layout::vertical([
        Constraint::Length(lines(head.len())),
        Constraint::Length(routes),
        Constraint::Length(accounts),
        Constraint::Min(failures),
    ])
    .split(area);
    let mut areas = areas.iter().copied();
    let mut next = || areas.next().unwrap_or_default();
    let top = next();
    for (line, y) in head.into_iter().zip(top.y..top.bottom()) {
        line.render(
            Rect {
                y,
                height: 1,
                ..top
            },
            cells,
        );
    }
    routes_table(&page.routes, next(), cells);
    accounts_table(&page.accounts, next(), cells);
    failures_table(&page.failures, next(), cells);
}

/// Lines for each of three, the needs of the small ones first.
fn shares(mut room: u16, wanted: [u16; 3]) -> [u16; 3] {
    let mut order = [0, 1, 2];
    order.sort_by_key(|index| wanted.get(*index).copied());
    let mut given = [0; 3];
    for (index, left) in order.into_iter().zip([3, 2, 1]) {
        if let (Some(given), Some(wanted)) = (given.get_mut(index), wanted.get(index)) {
            *given = (*wanted).min(room / left);
            room -= *given;
        }
    }
    given
}

fn head(page: &Page) -> Vec<Line<'static>> {
    let state = Span::raw(page.state.clone());
    let state = if page.state == "serving" {
        state.green()
    } else {
        state.yellow()
    };
    let mut lines = vec![Line::from(vec![
        Span::raw("isobar ").bold(),
        Span::raw(page.version.clone()).bold(),
        Span::raw("  "),
        state,
        Span::raw(format!(
            "  plan {}  up {}  connections {}  in flight {}  ",
            page.generation,
            age(page.up),
            page.connections,
            page.in_flight
        )),
        Span::raw(page.name.clone()).dim(),
    ])];
    if let Some(trouble) = &page.trouble {
        lines.push(Line::from(trouble.clone()).red().bold());
    }
    for warning in &page.warnings {
        lines.push(Line::from(warning.clone()).yellow());
    }
    lines
}

fn routes_table(routes: &[Route], area: Rect, cells: &mut Buffer) {
    let rows = routes.iter().map(|route| {
        let row = Row::new([
            route.name.clone(),
            rate(route.requests),
            percent(route.broken),
            rate(route.limited),
            latency(route.p50),
            latency(route.p99),
            bytes(route.bytes_in),
            bytes(route.bytes_out),
        ]);
        row.style(if route.broken > 0.05 {
            Style::new().red()
        } else {
            Style::new()
        })
    });
    let widths = [
        Constraint::Min(20),
        Constraint::Length(8),
        Constraint::Length(6),
        Constraint::Length(8),
        Constraint::Length(8),
        Constraint::Length(8),
        Constraint::Length(9),
        Constraint::Length(9),
    ];
    let heading = [
        "route", "req/s", "5xx", "429/s", "p50", "p99", "in/s", "out/s",
    ];
    table("routes", rows.collect(), heading, &widths, area, cells);
}

fn accounts_table(accounts: &[AccountRow], area: Rect, cells: &mut Buffer) {
    let rows = accounts.iter().map(|account| {
        let row = Row::new([
            account.name.clone(),
            account.condition.clone(),
            format!("{}/{}", account.in_flight, account.permits),
            rate(account.attempts),
            percent(account.failed),
            latency(account.p95),
            latency((account.latency_ms > 0.0).then_some(account.latency_ms / 1_000.0)),
        ]);
        row.style(if account.is_well {
            Style::new()
        } else {
            Style::new().yellow()
        })
    });
    let widths = [
        Constraint::Length(18),
        Constraint::Min(20),
        Constraint::Length(10),
        Constraint::Length(8),
        Constraint::Length(6),
        Constraint::Length(8),
        Constraint::Length(8),
    ];
    let heading = [
        "account",
        "state",
        "in flight",
        "att/s",
        "fail",
        "p95",
        "ewma",
    ];
    table("accounts", rows.collect(), heading, &widths, area, cells);
}

fn failures_table(failures: &[FailureRow], area: Rect, cells: &mut Buffer) {
    let rows = failures.iter().map(|failure| {
        let row = Row::new([
            failure.time.clone(),
            failure.route.clone(),
            failure.outcome.clone(),
            failure.attempts.clone(),
            failure.request.chars().take(12).collect(),
        ]);
        row.style(if failure.felt {
            Style::new().red()
        } else {
            Style::new()
        })
    });
    let widths = [
        Constraint::Length(8),
        Constraint::Length(18),
        Constraint::Length(24),
        Constraint::Min(20),
        Constraint::Length(12),
    ];
    let heading = ["UTC", "route", "answer", "attempts", "request"];
    table(
        "last failures",
        rows.collect(),
        heading,
        &widths,
        area,
        cells,
    );
}

fn table<const N: usize>(
    title: &str,
    rows: Vec<Row<'_>>,
    heading: [&str; N],
    widths: &[Constraint],
    area: Rect,
    cells: &mut Buffer,
) {
    let room = usize::from(area.height.saturating_sub(FRAME));
    let title = if rows.len() > room {
        format!(" {title} ({room} of {}) ", rows.len())
    } else {
        format!(" {title} ")
    };
    let rows = if rows.is_empty() {
        vec![Row::new(["none"]).dim()]
    } else {
        rows
    };
    let heading = Row::new(heading).style(Style::new().add_modifier(Modifier::DIM));
    let block = Block::new()
        .borders(Borders::TOP)
        .title(Span::raw(title).bold());
    Table::new(rows, widths.iter().copied())
        .header(heading)
        .block(block)
        .column_spacing(1)
        .render(area, cells);
}

/// `0`, `0.4`, `37`, `12k`.
fn rate(each_second: f64) -> String {
    match each_second {
        none if none < 0.05 => "0".to_owned(),
        small if small < 10.0 => format!("{small:.1}"),
        middling if middling < 10_000.0 => format!("{middling:.0}"),
        large => format!("{:.0}k", large / 1_000.0),
    }
}

fn percent(share: f64) -> String {
    match share * 100.0 {
        none if none <= 0.0 => "-".to_owned(),
        little if little < 1.0 => "<1%".to_owned(),
        some => format!("{some:.0}%"),
    }
}

/// `0.8 ms`, `120 ms`, `2.1 s`.
fn latency(seconds: Option<f64>) -> String {
    match seconds {
        None => "-".to_owned(),
        Some(seconds) if seconds < 0.01 => format!("{:.1} ms", seconds * 1_000.0),
        Some(seconds) if seconds < 1.0 => format!("{:.0} ms", seconds * 1_000.0),
        Some(seconds) => format!("{seconds:.1} s"),
    }
}

fn bytes(each_second: f64) -> String {
    let units = [(1e9, "GB"), (1e6, "MB"), (1e3, "kB")];
    match units.iter().find(|(unit, _)| each_second >= *unit) {
        Some((unit, name)) => format!("{:.1} {name}", each_second / unit),
        None if each_second < 0.5 => "0".to_owned(),
        None => format!("{each_second:.0} B"),
    }
}

/// `4s`, `3m 4s`, `2h 3m`, `5d 2h`.
fn age(duration: Duration) -> String {
    let seconds = duration.as_secs();
    let (minutes, hours, days) = (seconds / 60, seconds / 3_600, seconds / 86_400);
    match (days, hours, minutes) {
        (0, 0, 0) => format!("{seconds}s"),
        (0, 0, minutes) => format!("{minutes}m {}s", seconds % 60),
        (0, hours, minutes) => format!("{hours}h {}m", minutes % 60),
        (days, hours, _) => format!("{days}d {}h", hours % 24),
    }
}

#[cfg(test)]
mod tests {
    use ratatui::{Terminal, backend::TestBackend};

    use super::{super::page, *};

    fn drawn(page: &Page, width: u16, height: u16) -> String {
        let mut terminal = Terminal::new(TestBackend::new(width, height)).unwrap();
        terminal
            .draw(|frame| draw(page, frame.area(), frame.buffer_mut()))
            .unwrap();
        terminal.backend().to_string()
    }

    #[test]
    fn a_page_is_drawn_as_it_always_was() {
        let page = page::tests::page();
        insta::assert_snapshot!("whole", drawn(&page, 110, 18));
        insta::assert_snapshot!("narrow", drawn(&page, 80, 12));
    }

    #[test]
    fn trouble_stands_on_top() {
        let mut page = page::tests::page();
        page.trouble = Some("cannot reach the admin port".to_owned());
        let text = drawn(&page, 110, 18);
        let second = text.lines().nth(1).unwrap();
        assert!(second.contains("cannot reach the admin port"), "{text}");
    }

    #[test]
    fn nothing_is_drawn_outside_however_little_room_there_is() {
        let page = page::tests::page();
        for (width, height) in [(1, 1), (5, 3), (40, 4), (200, 2), (3, 60)] {
            drawn(&page, width, height);
        }
        drawn(&Page::default(), 80, 24);
    }

    #[test]
    fn room_goes_to_the_small_first() {
        let check = |room, wanted, expected: [u16; 3]| {
            assert_eq!(shares(room, wanted), expected, "{room} {wanted:?}");
        };
        check(30, [5, 6, 7], [5, 6, 7]);
        check(30, [100, 6, 7], [17, 6, 7]);
        check(30, [100, 100, 100], [10, 10, 10]);
        check(2, [5, 5, 5], [0, 1, 1]);
    }

    #[test]
    fn numbers_are_short() {
        assert_eq!(
            [0.0, 0.44, 37.2, 12_345.0].map(rate),
            ["0", "0.4", "37", "12k"]
        );
        assert_eq!([0.0, 0.004, 0.5].map(percent), ["-", "<1%", "50%"]);
        assert_eq!(
            [None, Some(0.0008), Some(0.12), Some(2.13)].map(latency),
            ["-", "0.8 ms", "120 ms", "2.1 s"]
        );
        assert_eq!(
            [0.0, 12.0, 1_500.0, 4.2e6].map(bytes),
            ["0", "12 B", "1.5 kB", "4.2 MB"]
        );
        let ages = [4, 184, 7_384, 439_200].map(|seconds| age(Duration::from_secs(seconds)));
        assert_eq!(ages, ["4s", "3m 4s", "2h 3m", "5d 2h"]);
    }
}
