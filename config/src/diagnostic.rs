//! One mistake: a code that never changes, a sentence, a place, a next step; and all of them, rendered.

use std::{fmt, sync::Arc};

use miette::{GraphicalReportHandler, GraphicalTheme, LabeledSpan, NamedSource, SourceSpan};
use serde_json::{Value, json};

use crate::{
    load::Source,
    place::{Location, Span},
};

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
    at: Span,
}

impl Diagnostic {
    /// An error at a place.
    pub fn error(code: &'static str, at: Span, message: impl Into<String>) -> Self {
        Self {
            code,
            severity: Severity::Error,
            message: message.into(),
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
    pub fn help(mut self, help: impl Into<String>) -> Self {
        self.help = Some(help.into());
        self
    }

    /// Adds a "did you mean" when something known is near.
    pub fn did_you_mean<'a>(
        self,
        written: &str,
        known: impl IntoIterator<Item = &'a str>,
    ) -> Self {
        let known: Vec<&str> = known.into_iter().collect();
        if let Some(near) = nearest(written, &known) {
            return self.help(format!("did you mean `{near}`?"));
        }
        if known.is_empty() {
            return self;
        }
        let listed = known
            .iter()
            .map(|name| format!("`{name}`"))
            .collect::<Vec<_>>()
            .join(", ");
        self.help(format!("known here: {listed}"))
    }
}

/// The known name nearest to what was written, if it is near enough to be a slip.
fn nearest<'a>(written: &str, known: &[&'a str]) -> Option<&'a str> {
    let lower = written.to_lowercase();
    let distance = |name: &&str| strsim::damerau_levenshtein(&lower, &name.to_lowercase());
    let near = known.iter().copied().min_by_key(distance)?;
    (distance(&near) <= (written.chars().count() / 3).max(1)).then_some(near)
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

    /// For a person: excerpt, place, code and next step of each.
    pub fn text(&self, colour: bool) -> String {
        let theme = if colour {
            GraphicalTheme::unicode()
        } else {
            GraphicalTheme::unicode_nocolor()
        };
        let handler = GraphicalReportHandler::new_themed(theme)
            .with_width(100)
            .with_links(false);
        let mut text = String::new();
        for diagnostic in &self.diagnostics {
            let shown = Shown {
                diagnostic,
                text: self.named(diagnostic),
            };
            let _ = handler.render_report(&mut text, &shown);
        }
        text
    }

    fn named(&self, diagnostic: &Diagnostic) -> NamedSource<String> {
        let source = self.sources.get(diagnostic.at.source);
        let (name, text) = source.map_or(("", ""), |source| (&source.name, &source.text));
        // An empty source has no line to show.
        NamedSource::new(
            name,
            if text.is_empty() {
                " ".to_owned()
            } else {
                text.to_owned()
            },
        )
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

    /// For code hosts: SARIF 2.1.0.
    pub fn sarif(&self) -> Value {
        let result = |diagnostic: &Diagnostic| {
            let at = self.location(diagnostic);
            let text = match &diagnostic.help {
                Some(help) => format!("{}; {help}", diagnostic.message),
                None => diagnostic.message.clone(),
            };
            json!({
                "ruleId": diagnostic.code,
                "level": diagnostic.severity.name(),
                "message": { "text": text },
                "locations": [{ "physicalLocation": {
                    "artifactLocation": { "uri": at.file },
                    "region": { "startLine": at.line, "startColumn": at.column },
                } }],
            })
        };
        let mut codes: Vec<&str> = self
            .diagnostics
            .iter()
            .map(|diagnostic| diagnostic.code)
            .collect();
        codes.sort_unstable();
        codes.dedup();
        json!({
            "version": "2.1.0",
            "$schema": "https://json.schemastore.org/sarif-2.1.0.json",
            "runs": [{
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
    text: NamedSource<String>,
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
        Some(&self.text)
    }

    fn labels(&self) -> Option<Box<dyn Iterator<Item = LabeledSpan> + '_>> {
        let at = SourceSpan::new(
            self.diagnostic.at.offset.into(),
            self.diagnostic.at.length.max(1),
        );
        Some(Box::new(std::iter::once(LabeledSpan::new_with_span(
            None, at,
        ))))
    }
}
