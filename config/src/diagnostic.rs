//! One mistake: a code that never changes, a sentence, a place, a next step; and all of them, rendered.

use std::{collections::HashMap, fmt, fmt::Write as _, sync::Arc};

use miette::{
    GraphicalReportHandler, GraphicalTheme, LabeledSpan, MietteError, MietteSpanContents,
    SourceCode, SourceSpan, SpanContents,
};
use percent_encoding::{AsciiSet, NON_ALPHANUMERIC, utf8_percent_encode};
use serde_json::{Value, json};

use crate::{
    load::Source,
    place::{Location, Span},
};

/// Mistakes shown to a person at once; nobody reads more, and a program gets them all.
const SHOWN: usize = 100;
/// Mistakes that get a "did you mean", which has to look at every name known.
const SUGGESTED: usize = 100;
/// Names that are listed when none is near, and places of a warning after its first.
const LISTED: usize = 16;
/// Longest line of an excerpt, in bytes; of a longer one only the part around the mistake is shown.
const WIDEST: usize = 160;
/// Longest message, in characters: what is quoted in it may be a whole file.
const LONGEST: usize = 400;

/// How bad it is.
#[derive(Debug, Clone, Copy, PartialEq, Eq)]
pub enum Severity {
    /// The configuration cannot be used.
    Error,
    /// It can, and something is probably not meant so.
    Warning,
}

/// One mistake in a configuration.
#[derive(Debug, Clone, PartialEq, Eq, thiserror::Error)]
#[error("{message}")]
pub struct Diagnostic {
    /// Stable code, with a page of that name in `docs/errors`.
    pub code: &'static str,
    /// How bad it is.
    pub severity: Severity,
    /// What is wrong, in one sentence.
    pub message: String,
    /// What to do about it.
    pub help: Option<String>,
    pub(crate) at: Span,
}

impl Diagnostic {
    /// An error at a place.
    pub fn error(code: &'static str, at: Span, message: impl Into<String>) -> Self {
        Self {
            code,
            severity: Severity::Error,
            message: shortened(message.into()),
            help: None,
            at,
        }
    }

    /// A warning at a place.
    pub fn warning(code: &'static str, at: Span, message: impl Into<String>) -> Self {
        Self {
            severity: Severity::Warning,
            ..Self::error(code, at, message)
        }
    }

    /// Adds the next step.
    #[must_use]
    pub fn help(mut self, help: impl Into<String>) -> Self {
        self.help = Some(help.into());
        self
    }

    /// Adds a "did you mean" when something known is near, or else what is known. `before` mistakes were found already.
    #[must_use]
    pub fn did_you_mean<'a>(
        self,
        written: &str,
        known: impl IntoIterator<Item = &'a str>,
        before: usize,
    ) -> Self {
        let known: Vec<&str> = known.into_iter().collect();
        let near = (before < SUGGESTED)
            .then(|| nearest(written, &known))
            .flatten();
        if let Some(near) = near {
            return self.help(format!("did you mean `{near}`?"));
        }
        if known.is_empty() {
            return self;
        }
        let mut listed = known
            .iter()
            .take(LISTED)
            .map(|name| format!("`{name}`"))
            .collect::<Vec<_>>()
            .join(", ");
        if known.len() > LISTED {
            listed = format!("{listed} and {} more", known.len() - LISTED);
        }
        self.help(format!("known here: {listed}"))
    }
}

/// The known name nearest to what was written, if it is near enough to be a slip.
fn nearest<'a>(written: &str, known: &[&'a str]) -> Option<&'a str> {
    let lower = written.to_lowercase();
    let length = lower.chars().count();
    // A slip leaves most of a name as it was; a name of one letter has no slips.
    let most = (length / 3).max(1).min(length.saturating_sub(1));
    if length > 64 {
        return None;
    }
    known
        .iter()
        .take(1_000)
        .filter(|name| name.chars().count().abs_diff(length) <= most)
        .map(|name| (strsim::osa_distance(&lower, &name.to_lowercase()), *name))
        .filter(|(distance, _)| *distance <= most)
        .min_by_key(|(distance, _)| *distance)
        .map(|(_, name)| name)
}

/// A message with its middle left out, if it is too long to read.
fn shortened(message: String) -> String {
    let count = message.chars().count();
    if count <= LONGEST {
        return message;
    }
    let start: String = message.chars().take(LONGEST / 2).collect();
    let end: String = message.chars().skip(count - LONGEST / 4).collect();
    format!("{start} […] {end}")
}

/// Diagnostics that are shown as one.
struct Group<'a> {
    first: &'a Diagnostic,
    others: Vec<&'a Diagnostic>,
}

impl Group<'_> {
    fn len(&self) -> usize {
        1 + self.others.len()
    }
}

/// Everything that was found in a configuration, in the order of the files.
#[derive(Debug, Clone, Default)]
pub struct Report {
    sources: Arc<Vec<Source>>,
    diagnostics: Vec<Diagnostic>,
}

impl Report {
    /// Puts what was found in order.
    pub fn new(sources: Vec<Source>, mut diagnostics: Vec<Diagnostic>) -> Self {
        diagnostics.sort_by_key(|diagnostic| {
            (
                diagnostic.at.source,
                diagnostic.at.line,
                diagnostic.at.column,
            )
        });
        diagnostics.dedup();
        Self {
            sources: Arc::new(sources),
            diagnostics,
        }
    }

    /// Both reports as one.
    #[must_use]
    pub fn and(self, other: Self) -> Self {
        let mut sources = self.sources.to_vec();
        let shift = sources.len();
        sources.extend(other.sources.iter().cloned());
        let mut diagnostics = self.diagnostics;
        diagnostics.extend(other.diagnostics.into_iter().map(|mut diagnostic| {
            diagnostic.at.source += shift;
            diagnostic
        }));
        Self::new(sources, diagnostics)
    }

    /// Whether anything makes the configuration unusable.
    pub fn has_errors(&self) -> bool {
        self.diagnostics
            .iter()
            .any(|diagnostic| diagnostic.severity == Severity::Error)
    }

    /// Whether nothing was found.
    pub fn is_empty(&self) -> bool {
        self.diagnostics.is_empty()
    }

    /// Everything found.
    pub fn diagnostics(&self) -> &[Diagnostic] {
        &self.diagnostics
    }

    /// Where a diagnostic points.
    pub fn location(&self, diagnostic: &Diagnostic) -> Location {
        let file = self
            .sources
            .get(diagnostic.at.source)
            .map_or("", |source| &source.name);
        Location {
            file: file.into(),
            line: diagnostic.at.line,
            column: diagnostic.at.column,
        }
    }

    /// For a person: excerpt, place, code and next step of each. Warnings that say the same are one, with all places.
    pub fn text(&self, colour: bool) -> String {
        let theme = if colour {
            GraphicalTheme::unicode()
        } else {
            GraphicalTheme::unicode_nocolor()
        };
        let handler = GraphicalReportHandler::new_themed(theme)
            .with_width(100)
            .with_links(false);
        let groups = self.groups();
        let mut text = String::new();
        for group in groups.iter().take(SHOWN) {
            let excerpt = self
                .sources
                .get(group.first.at.source)
                .map(|source| Excerpt::new(source, group.first.at));
            let shown = Shown {
                diagnostic: group.first,
                excerpt,
            };
            let _ = handler.render_report(&mut text, &shown);
            text.push_str(&self.also(group));
            text.push('\n');
        }
        let more: usize = groups.iter().skip(SHOWN).map(Group::len).sum();
        if more > 0 {
            let _ = writeln!(text, "and {more} more; `--json` prints them all\n");
        }
        text
    }

    /// Every error by itself, and warnings by what they say, in the order of the files.
    fn groups(&self) -> Vec<Group<'_>> {
        let mut groups: Vec<Group> = Vec::new();
        let mut warnings = HashMap::new();
        for diagnostic in &self.diagnostics {
            let said = (diagnostic.code, &diagnostic.message, &diagnostic.help);
            let known = match diagnostic.severity {
                Severity::Warning => *warnings.entry(said).or_insert(groups.len()),
                Severity::Error => groups.len(),
            };
            match groups.get_mut(known) {
                Some(group) => group.others.push(diagnostic),
                None => groups.push(Group {
                    first: diagnostic,
                    others: Vec::new(),
                }),
            }
        }
        groups
    }

    /// The places of a group after the first, as a line, a file's name once.
    fn also(&self, group: &Group<'_>) -> String {
        let mut file = self.location(group.first).file;
        let mut places = Vec::new();
        for other in group.others.iter().take(LISTED) {
            let at = self.location(other);
            if at.file == file {
                places.push(format!("{}:{}", at.line, at.column));
            } else {
                places.push(at.to_string());
                file = at.file;
            }
        }
        if let more @ 1.. = group.others.len().saturating_sub(LISTED) {
            places.push(format!("and {more} more"));
        }
        if places.is_empty() {
            return String::new();
        }
        format!("  also at: {}\n", places.join(", "))
    }

    /// For a program.
    pub fn json(&self) -> Value {
        let one = |diagnostic: &Diagnostic| {
            let at = self.location(diagnostic);
            json!({
                "code": diagnostic.code,
                "severity": diagnostic.severity.name(),
                "message": diagnostic.message,
                "file": at.file,
                "line": at.line,
                "column": at.column,
                "help": diagnostic.help,
            })
        };
        json!({
            "ok": !self.has_errors(),
            "diagnostics": self.diagnostics.iter().map(one).collect::<Vec<_>>(),
        })
    }

    /// The stretch of a diagnostic, in characters, as SARIF says it.
    fn region(&self, diagnostic: &Diagnostic) -> Value {
        let at = diagnostic.at;
        let marked = self
            .sources
            .get(at.source)
            .and_then(|source| source.text.get(at.offset..at.offset + at.length));
        let mut region = json!({ "startLine": at.line, "startColumn": at.column });
        if let (Some(marked), Some(fields)) = (marked, region.as_object_mut())
            && !marked.is_empty()
        {
            let end = at.column as usize + marked.chars().count();
            fields.insert("endColumn".to_owned(), json!(end));
        }
        region
    }

    /// For code hosts: SARIF 2.1.0.
    pub fn sarif(&self) -> Value {
        let mut codes: Vec<&str> = self
            .diagnostics
            .iter()
            .map(|diagnostic| diagnostic.code)
            .collect();
        codes.sort_unstable();
        codes.dedup();
        let result = |diagnostic: &Diagnostic| {
            let at = self.location(diagnostic);
            let text = match &diagnostic.help {
                Some(help) => format!("{}; {help}", diagnostic.message),
                None => diagnostic.message.clone(),
            };
            json!({
                "ruleId": diagnostic.code,
                "ruleIndex": codes.iter().position(|code| *code == diagnostic.code),
                "level": diagnostic.severity.name(),
                "message": { "text": text },
                "locations": [{ "physicalLocation": {
                    "artifactLocation": { "uri": uri(&at.file) },
                    "region": self.region(diagnostic),
                } }],
            })
        };
        json!({
            "version": "2.1.0",
            "$schema": "https://json.schemastore.org/sarif-2.1.0.json",
            "runs": [{
                "columnKind": "unicodeCodePoints",
                "tool": { "driver": {
                    "name": "isobar",
                    "version": env!("CARGO_PKG_VERSION"),
                    "rules": codes.iter().map(|code| json!({ "id": code })).collect::<Vec<_>>(),
                } },
                "results": self.diagnostics.iter().map(result).collect::<Vec<_>>(),
            }],
        })
    }
}

/// A file's name as a URI: relative ones stay so, for code hosts to find the file by.
fn uri(file: &str) -> String {
    /// What a path may have in a URI besides letters and digits.
    const KEPT: &AsciiSet = &NON_ALPHANUMERIC
        .remove(b'/')
        .remove(b'-')
        .remove(b'.')
        .remove(b'_')
        .remove(b'~');
    let path = utf8_percent_encode(file.strip_prefix("./").unwrap_or(file), KEPT);
    if file.starts_with('/') {
        format!("file://{path}")
    } else {
        path.to_string()
    }
}

impl Severity {
    fn name(self) -> &'static str {
        match self {
            Self::Error => "error",
            Self::Warning => "warning",
        }
    }
}

/// A diagnostic with its source, as miette wants it.
#[derive(Debug, thiserror::Error)]
#[error("{}", .diagnostic.message)]
struct Shown<'a> {
    diagnostic: &'a Diagnostic,
    excerpt: Option<Excerpt<'a>>,
}

impl miette::Diagnostic for Shown<'_> {
    fn code<'a>(&'a self) -> Option<Box<dyn fmt::Display + 'a>> {
        Some(Box::new(self.diagnostic.code))
    }

    fn severity(&self) -> Option<miette::Severity> {
        Some(match self.diagnostic.severity {
            Severity::Error => miette::Severity::Error,
            Severity::Warning => miette::Severity::Warning,
        })
    }

    fn help<'a>(&'a self) -> Option<Box<dyn fmt::Display + 'a>> {
        let help = self.diagnostic.help.as_ref()?;
        Some(Box::new(help))
    }

    fn source_code(&self) -> Option<&dyn miette::SourceCode> {
        let excerpt = self.excerpt.as_ref()?;
        Some(excerpt)
    }

    fn labels(&self) -> Option<Box<dyn Iterator<Item = LabeledSpan> + '_>> {
        let label = LabeledSpan::new_with_span(None, self.excerpt.as_ref()?.marked);
        Some(Box::new(std::iter::once(label)))
    }
}

/// The lines around a mistake. Found from its place outwards, so that a large file costs no more than a small one.
#[derive(Debug)]
struct Excerpt<'a> {
    name: &'a str,
    /// The line, with those before and after it unless one of them is too wide to show.
    shown: &'a str,
    /// Where `shown` starts: bytes, lines from 0, characters from 0.
    offset: usize,
    line: usize,
    column: usize,
    pub(crate) at: Span,
    marked: SourceSpan,
}

impl<'a> Excerpt<'a> {
    fn new(source: &'a Source, at: Span) -> Self {
        let text = source.text.as_str();
        let offset = text.floor_char_boundary(at.offset);
        let (before, after) = text.split_at(offset);
        let start = before.rfind(BREAKS).map_or(0, |found| found + 1);
        let end = offset + after.find(BREAKS).unwrap_or(after.len());
        let earlier = text.get(..start).unwrap_or_default();
        let earlier = earlier
            .strip_suffix("\r\n")
            .or_else(|| earlier.strip_suffix(BREAKS));
        let first = earlier.map(|lines| lines.rfind(BREAKS).map_or(0, |found| found + 1));
        let later = text.get(end..).unwrap_or_default();
        let later = later
            .strip_prefix("\r\n")
            .or_else(|| later.strip_prefix(BREAKS));
        let last =
            later.map(|lines| text.len() - lines.len() + lines.find(BREAKS).unwrap_or(lines.len()));
        let line = at.line.saturating_sub(1) as usize;
        let length = after.get(..at.length).map_or(0, str::len).min(end - offset);
        let marked = SourceSpan::new(offset.into(), length.clamp(1, WIDEST));
        let (from, to) = (first.unwrap_or(start), last.unwrap_or(end));
        let narrow = to - from <= 3 * WIDEST && end - start <= WIDEST;
        let (from, to, line, column) = if narrow {
            (from, to, line - usize::from(first.is_some() && line > 0), 0)
        } else {
            let from = text.ceil_char_boundary(start.max(offset.saturating_sub(WIDEST / 2)));
            let to = text.floor_char_boundary(end.min(offset + WIDEST));
            let cut = before.get(from..).unwrap_or_default().chars().count();
            (from, to, line, (at.column as usize).saturating_sub(1 + cut))
        };
        Self {
            name: &source.name,
            shown: text.get(from..to).unwrap_or_default(),
            offset: from,
            line,
            column,
            at,
            marked,
        }
    }
}

/// What ends a line of YAML.
const BREAKS: [char; 2] = ['\n', '\r'];

impl SourceCode for Excerpt<'_> {
    fn read_span<'s>(
        &'s self,
        _: &SourceSpan,
        context_before: usize,
        _: usize,
    ) -> Result<Box<dyn SpanContents<'s> + 's>, MietteError> {
        // Without context it is the place that is asked for, with context the lines.
        let (line, column) = if context_before == 0 {
            (
                self.at.line.saturating_sub(1) as usize,
                self.at.column.saturating_sub(1) as usize,
            )
        } else {
            (self.line, self.column)
        };
        // Nothing is no line; a blank is one.
        let shown = if self.shown.is_empty() {
            " "
        } else {
            self.shown
        };
        Ok(Box::new(MietteSpanContents::new_named(
            self.name.to_owned(),
            shown.as_bytes(),
            SourceSpan::new(self.offset.into(), shown.len()),
            line,
            column,
            shown.lines().count(),
        )))
    }
}

#[cfg(test)]
mod tests {
    use super::{Diagnostic, Report};
    use crate::{load::Source, place::Span};

    fn source(name: &str, text: &str) -> Source {
        Source {
            name: name.to_owned(),
            text: text.to_owned(),
        }
    }

    /// The place of a word that stands once in a text of one file.
    fn at(sources: &[Source], source: usize, word: &str) -> Span {
        let text = &sources[source].text;
        let offset = text.find(word).unwrap();
        let before = &text[..offset];
        let line = before.matches('\n').count();
        let column = before.len() - before.rfind('\n').map_or(0, |found| found + 1);
        Span {
            source,
            offset,
            length: word.len(),
            whole: word.len(),
            line: u32::try_from(line).unwrap() + 1,
            column: u32::try_from(column).unwrap() + 1,
        }
    }

    #[test]
    fn what_is_warned_of_in_many_places_is_said_once_with_all_of_them() {
        let sources = [
            source("a.yaml", "one: 1\ntwo: 2\nthree: 3\n"),
            source("b.yaml", "four: 4\nfive: 5\n"),
        ];
        let same = |source, word| {
            Diagnostic::warning("E0604", at(&sources, source, word), "a secret").help("move it")
        };
        let other = Diagnostic::warning("E0604", at(&sources, 0, "2"), "a password");
        let found = vec![
            same(0, "1"),
            other,
            same(0, "3"),
            same(1, "4"),
            same(1, "5"),
        ];
        let report = Report::new(sources.to_vec(), found);
        let text = report.text(false);
        assert_eq!(text.matches("a secret").count(), 1, "{text}");
        assert_eq!(text.matches("a password").count(), 1, "{text}");
        assert!(
            text.contains("help: move it\n  also at: 3:8, b.yaml:1:7, 2:7\n"),
            "{text}"
        );
        assert_eq!(report.json()["diagnostics"].as_array().unwrap().len(), 5);
    }

    #[test]
    fn errors_that_say_the_same_are_shown_one_by_one() {
        let sources = [source("a.yaml", "one: 1\ntwo: 2\n")];
        let wrong = |word| Diagnostic::error("E0201", at(&sources, 0, word), "not a key");
        let report = Report::new(sources.to_vec(), vec![wrong("one"), wrong("two")]);
        assert_eq!(report.text(false).matches("not a key").count(), 2);
    }

    #[test]
    fn beyond_what_anyone_reads_all_are_counted() {
        let text: String = (0..300).map(|line| format!("w{line:03}\n")).collect();
        let sources = [source("a.yaml", &text)];
        let found = (0..300)
            .map(|line| {
                let at = at(&sources, 0, &format!("w{line:03}"));
                match line % 2 {
                    0 => Diagnostic::warning("E0604", at, "a secret"),
                    _ => Diagnostic::error("E0201", at, "not a key"),
                }
            })
            .collect();
        let text = Report::new(sources.to_vec(), found).text(false);
        assert!(text.contains(", and 133 more\n"), "{text}");
        assert!(
            text.contains("and 51 more; `--json` prints them all"),
            "{text}"
        );
    }
}
