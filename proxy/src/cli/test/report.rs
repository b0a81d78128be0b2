//! What came of cases: for people, for programs, and for build servers.

use std::{collections::BTreeMap, fmt::Write as _, time::Duration};

use isobar_compositions::cases::{Coverage, Point};
use serde_json::{Value, json};

use super::super::{check::count, style::Style};

/// What came of one case.
pub(super) struct Outcome {
    pub(super) file: String,
    pub(super) line: u32,
    pub(super) composition: String,
    pub(super) name: String,
    pub(super) took: Duration,
    pub(super) differences: Vec<String>,
}

/// What came of all.
#[derive(Default)]
pub(super) struct Done {
    pub(super) outcomes: Vec<Outcome>,
    pub(super) coverage: Vec<Coverage>,
}

impl Outcome {
    fn worked(&self) -> bool {
        self.differences.is_empty()
    }

    /// A line, and one for each difference.
    pub(super) fn line(&self, style: Style) -> String {
        let mark = if self.worked() {
            style.good("✓")
        } else {
            style.bad("✗")
        };
        let took = format!("{:.0} ms", self.took.as_secs_f64() * 1e3);
        let mut text = format!("  {mark} {:<72} {}\n", self.name, style.dim(&took));
        for difference in &self.differences {
            let _ = writeln!(text, "      {difference}");
        }
        if !self.worked() {
            let place = format!("{}:{}", self.file, self.line);
            let _ = writeln!(text, "      {}", style.dim(&place));
        }
        text
    }
}

impl Done {
    pub(super) fn add(&mut self, other: Self) {
        self.outcomes.extend(other.outcomes);
        self.coverage.extend(other.coverage);
    }

    pub(super) fn failed(&self) -> usize {
        self.outcomes
            .iter()
            .filter(|outcome| !outcome.worked())
            .count()
    }

    /// Coverage and counts.
    pub(super) fn summary(&self, style: Style) -> String {
        let mut text = String::new();
        let _ = writeln!(text, "\n{}", style.bold("coverage"));
        for coverage in &self.coverage {
            let (reached, all) = coverage.count();
            let _ = writeln!(
                text,
                "  {:<28} {:>3} %  {reached} of {all}",
                coverage.composition,
                percent(coverage)
            );
            for (step, words) in missed(coverage) {
                let never = format!("no case where `{step}` {}", words.join(" or "));
                let _ = writeln!(text, "      {}", style.dim(&never));
            }
        }
        let failed = self.failed();
        let verdict = if failed == 0 {
            style.good("ok")
        } else {
            style.bad("failed")
        };
        let cases = count(self.outcomes.len(), "case");
        let _ = writeln!(text, "\n{verdict}  {cases}, {failed} failed");
        text
    }

    pub(super) fn json(&self) -> Value {
        let case = |outcome: &Outcome| {
            json!({
                "file": outcome.file, "line": outcome.line, "composition": outcome.composition, "name": outcome.name,
                "ok": outcome.worked(), "took_ms": (outcome.took.as_secs_f64() * 1e6).round() / 1e3,
                "differences": outcome.differences,
            })
        };
        let covered = |coverage: &Coverage| {
            let (reached, all) = coverage.count();
            json!({
                "composition": coverage.composition, "percent": percent(coverage), "reached": reached, "possible": all,
                "points": coverage.points,
            })
        };
        json!({
            "ok": self.failed() == 0,
            "cases": self.outcomes.iter().map(case).collect::<Vec<_>>(),
            "coverage": self.coverage.iter().map(covered).collect::<Vec<_>>(),
        })
    }

    /// JUnit's XML, as build servers read it.
    pub(super) fn junit(&self) -> String {
        let mut files: BTreeMap<&str, Vec<&Outcome>> = BTreeMap::new();
        for outcome in &self.outcomes {
            files.entry(&outcome.file).or_default().push(outcome);
        }
        let seconds = |outcomes: &[&Outcome]| {
            let took: Duration = outcomes.iter().map(|outcome| outcome.took).sum();
            format!("{:.3}", took.as_secs_f64())
        };
        let mut text = "<?xml version=\"1.0\" encoding=\"UTF-8\"?>\n".to_owned();
        let all: Vec<&Outcome> = self.outcomes.iter().collect();
        let _ = writeln!(
            text,
            "<testsuites name=\"isobar\" tests=\"{}\" failures=\"{}\" time=\"{}\">",
            all.len(),
            self.failed(),
            seconds(&all)
        );
        for (file, outcomes) in files {
            let failed = outcomes.iter().filter(|outcome| !outcome.worked()).count();
            let _ = writeln!(
                text,
                "  <testsuite name=\"{}\" tests=\"{}\" failures=\"{failed}\" time=\"{}\">",
                escaped(file),
                outcomes.len(),
                seconds(&outcomes)
            );
            for outcome in &outcomes {
                let _ = write!(
                    text,
                    "    <testcase classname=\"{}\" name=\"{}\" file=\"{}\" line=\"{}\" time=\"{}\"",
                    escaped(&outcome.composition),
                    escaped(&outcome.name),
                    escaped(file),
                    outcome.line,
                    seconds(&[outcome])
                );
                match outcome.differences.first() {
                    None => text.push_str("/>\n"),
                    Some(first) => {
                        let _ = writeln!(
                            text,
                            ">\n      <failure message=\"{}\">{}</failure>\n    </testcase>",
                            escaped(first),
                            escaped(&outcome.differences.join("\n"))
                        );
                    }
                }
            }
            text.push_str("  </testsuite>\n");
        }
        text.push_str("</testsuites>\n");
        text
    }
}

fn percent(coverage: &Coverage) -> usize {
    let (reached, all) = coverage.count();
    (reached * 100).checked_div(all).unwrap_or(100)
}

/// What no case reaches, by step.
fn missed(coverage: &Coverage) -> Vec<(&str, Vec<&'static str>)> {
    let mut steps: Vec<(&str, Vec<&'static str>)> = Vec::new();
    let missed = coverage.points.iter().filter(|point| !point.reached);
    for Point { step, what, .. } in missed {
        match steps.last_mut() {
            Some((last, words)) if last == step => words.push(what.words()),
            _ => steps.push((step, vec![what.words()])),
        }
    }
    steps
}

/// A text within XML; what XML cannot have is left out.
fn escaped(text: &str) -> String {
    let mut escaped = String::with_capacity(text.len());
    for letter in text.chars() {
        match letter {
            '&' => escaped.push_str("&amp;"),
            '<' => escaped.push_str("&lt;"),
            '>' => escaped.push_str("&gt;"),
            '"' => escaped.push_str("&quot;"),
            '\n' => escaped.push_str("&#10;"),
            '\t' => escaped.push(' '),
            letter if letter.is_control() => {}
            letter => escaped.push(letter),
        }
    }
    escaped
}
