//! What was measured, as tables to read and as JSON to compute with.

use std::fmt::Write as _;

use serde::{Deserialize, Serialize};

use crate::spread::Spread;

/// Which way a figure is better.
#[derive(Debug, Clone, Copy, PartialEq, Eq, Serialize, Deserialize)]
#[serde(rename_all = "snake_case")]
pub enum Better {
    /// Time, memory.
    Less,
    /// Requests a second.
    More,
}

/// One thing that was measured in every round.
#[derive(Debug, Clone, Serialize, Deserialize)]
pub struct Figure {
    /// Name and unit, the head of a column.
    pub name: String,
    /// Which way it is better.
    pub better: Better,
    /// Whether its ratio to the first row's is of interest.
    pub compared: bool,
    /// As measured, in order.
    pub samples: Vec<f64>,
}

impl Figure {
    /// A figure of which less is better.
    pub fn cost(name: &str, samples: impl IntoIterator<Item = f64>) -> Self {
        Self {
            name: name.to_owned(),
            better: Better::Less,
            compared: false,
            samples: samples.into_iter().collect(),
        }
    }

    /// A figure of which more is better.
    pub fn gain(name: &str, samples: impl IntoIterator<Item = f64>) -> Self {
        Self {
            better: Better::More,
            ..Self::cost(name, samples)
        }
    }

    /// Shows its ratio to the first row's.
    #[must_use]
    pub fn compared(mut self) -> Self {
        self.compared = true;
        self
    }

    /// Median, and the quartile of the quieter rounds.
    pub fn middle_and_quiet(&self) -> (f64, f64) {
        let spread = Spread::of(&self.samples);
        let quiet = match self.better {
            Better::Less => spread.lower,
            Better::More => spread.upper,
        };
        (spread.median, quiet)
    }
}

/// One contender's figures.
#[derive(Debug, Clone, Serialize, Deserialize)]
pub struct Row {
    /// Contender.
    pub name: String,
    /// What was measured of it.
    pub figures: Vec<Figure>,
}

/// One workload's table. Ratios are to its first row.
#[derive(Debug, Clone, Serialize, Deserialize)]
pub struct Section {
    /// What it is selected by.
    pub key: String,
    /// Heading.
    pub title: String,
    /// What must be known to read it.
    pub note: String,
    /// Contenders.
    pub rows: Vec<Row>,
}

impl Section {
    /// A contender's figure: its median and the quartile of the quieter rounds.
    pub fn figure(&self, row: &str, name: &str) -> Option<(f64, f64)> {
        let row = self.rows.iter().find(|known| known.name == row)?;
        let figure = row.figures.iter().find(|known| known.name == name)?;
        (!figure.samples.is_empty()).then(|| figure.middle_and_quiet())
    }

    /// A heading, the note and a table.
    pub fn markdown(&self) -> String {
        let mut text = format!("\n### {}\n\n", self.title);
        if !self.note.is_empty() {
            let _ = writeln!(text, "{}\n", self.note);
        }
        let first = self.rows.first().map(|row| &*row.figures);
        let columns = first.unwrap_or_default();
        let (mut head, mut rule) = ("| |".to_owned(), "| --- |".to_owned());
        for column in columns {
            let _ = write!(head, " {} |", column.name);
            rule.push_str(" --- |");
            if column.compared {
                head.push_str(" ratio | of quiet quartiles |");
                rule.push_str(" --- | --- |");
            }
        }
        let _ = writeln!(text, "{head}\n{rule}");
        for row in &self.rows {
            let _ = write!(text, "| {} |", row.name);
            for base in columns {
                let figure = row.figures.iter().find(|known| known.name == base.name);
                text.push_str(&cells(figure, base));
            }
            text.push('\n');
        }
        text
    }
}

/// A figure's cell, and those of its ratios where they are shown.
fn cells(figure: Option<&Figure>, base: &Figure) -> String {
    let Some(figure) = figure.filter(|figure| !figure.samples.is_empty()) else {
        return if base.compared {
            " – | – | – |".to_owned()
        } else {
            " – |".to_owned()
        };
    };
    let spread = Spread::of(&figure.samples);
    let mut text = format!(" {}", number(spread.median));
    if figure.samples.len() > 1 && base.compared {
        let _ = write!(
            text,
            " ({} to {})",
            number(spread.least),
            number(spread.most)
        );
    }
    text.push_str(" |");
    if base.compared {
        let ((middle, quiet), (base, base_quiet)) =
            (figure.middle_and_quiet(), base.middle_and_quiet());
        let _ = write!(
            text,
            " {} | {} |",
            ratio(middle, base),
            ratio(quiet, base_quiet)
        );
    }
    text
}

/// Three figures of a number.
pub fn number(value: f64) -> String {
    match value.abs() {
        size if size >= 100.0 => format!("{value:.0}"),
        size if size >= 10.0 => format!("{value:.1}"),
        _ => format!("{value:.2}"),
    }
}

/// A ratio, or a dash where there is none.
pub fn ratio(value: f64, base: f64) -> String {
    let ratio = value / base;
    match ratio.is_finite() {
        true if ratio.abs() < 0.1 => format!("{ratio:.3}"),
        true => format!("{ratio:.2}"),
        false => "–".to_owned(),
    }
}

#[cfg(test)]
mod tests {
    use super::{Figure, Row, Section};

    #[test]
    fn ratios_are_to_the_first_row_and_what_is_missing_is_a_dash() {
        let row = |name: &str, cpu: [f64; 3], rate: Option<f64>| Row {
            name: name.to_owned(),
            figures: vec![
                Figure::cost("CPU µs", cpu).compared(),
                Figure::gain("requests/s", rate),
            ],
        };
        let section = Section {
            key: "small".to_owned(),
            title: "Small answers".to_owned(),
            note: String::new(),
            rows: vec![
                row("floor", [20.0, 10.0, 40.0], Some(1000.0)),
                row("other", [15.0, 30.0, 10.0], None),
            ],
        };
        assert_eq!(
            section.markdown(),
            "\n### Small answers\n\n\
             | | CPU µs | ratio | of quiet quartiles | requests/s |\n\
             | --- | --- | --- | --- | --- |\n\
             | floor | 20.0 (10.0 to 40.0) | 1.00 | 1.00 | 1000 |\n\
             | other | 15.0 (10.0 to 30.0) | 0.75 | 1.00 | – |\n"
        );
        assert_eq!(section.figure("floor", "CPU µs"), Some((20.0, 10.0)));
        assert_eq!(section.figure("other", "requests/s"), None);
    }
}
