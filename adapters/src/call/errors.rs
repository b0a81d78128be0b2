//! What a vendor says is wrong.

use std::time::{Duration, SystemTime};

use isobar_config::follow;
use serde_json::Value;

use crate::{
    failure::{Failure, Kind},
    request::Response,
    tree::Tree,
    vendor::{Account, ErrorPath, Errors},
};

/// Longest excerpt of a vendor's message that is passed on, in characters.
const EXCERPT: usize = 200;

/// What is wrong with one document of a batch.
pub(super) fn document_failure(
    account: &Account,
    code: Option<String>,
    message: Option<String>,
) -> Failure {
    let kind = rule(
        &account.vendor.errors,
        200,
        code.as_deref(),
        message.as_deref(),
    )
    .unwrap_or(Kind::Invalid);
    Failure {
        code,
        ..Failure::new(kind, said(message.as_deref(), 200))
    }
}

/// What an answer says is wrong, if anything.
pub(super) fn failure_in(errors: &Errors, response: &Response) -> Option<Failure> {
    let success = response.status.is_success();
    if success && errors.in_success.is_empty() {
        return None;
    }
    let body: Value = serde_json::from_slice(&response.body).unwrap_or_default();
    if success {
        let tells = |(path, well): &(Vec<isobar_config::Step>, Vec<String>)| {
            let told = follow(&body, path).filter(|value| !value.is_null())?;
            let word = Tree::of(told).text();
            (!word.is_some_and(|word| well.iter().any(|known| *known == word))).then_some(())
        };
        errors.in_success.iter().find_map(tells)?;
    }
    let status = response.status.as_u16();
    let find = |paths: &[ErrorPath]| {
        paths.iter().find_map(|path| match path {
            ErrorPath::Body(steps) => follow(&body, steps)
                .map(Tree::of)
                .and_then(Tree::text)
                .map(std::borrow::Cow::into_owned),
            ErrorPath::Header(name) => response
                .headers
                .get(name)
                .and_then(|value| value.to_str().ok())
                .map(str::to_owned),
        })
    };
    // Error codes are often a type with a namespace before or a URL after it.
    let code = find(&errors.code).map(|code| {
        code.rsplit('#')
            .next()
            .unwrap_or(&code)
            .split(':')
            .next()
            .unwrap_or_default()
            .to_owned()
    });
    let message = find(&errors.message);
    let kind = rule(errors, status, code.as_deref(), message.as_deref()).unwrap_or_else(|| {
        if success {
            Kind::Internal
        } else {
            Kind::of_status(status)
        }
    });
    Some(Failure {
        kind,
        message: said(message.as_deref(), status),
        code,
        status: Some(status),
        retry_after: retry_after(
            response,
            errors
                .retry_after
                .iter()
                .find_map(|steps| follow(&body, steps)),
        ),
        evidence: None,
    })
}

pub(super) fn rule(
    errors: &Errors,
    status: u16,
    code: Option<&str>,
    message: Option<&str>,
) -> Option<Kind> {
    let message = message.map(str::to_lowercase);
    let fits = |rule: &&crate::vendor::ErrorRule| {
        let by_code = rule.code.is_empty()
            || code.is_some_and(|code| {
                rule.code.iter().any(|known| match known.strip_suffix('*') {
                    Some(start) => code.starts_with(start),
                    None => code == known,
                })
            });
        let by_message = rule.message.as_ref().is_none_or(|words| {
            message
                .as_ref()
                .is_some_and(|message| message.contains(words))
        });
        (rule.status.is_empty() || rule.status.contains(&status)) && by_code && by_message
    };
    errors.kinds.iter().find(fits).map(|rule| rule.kind)
}

/// A vendor's sentence, short and on one line.
pub(super) fn said(message: Option<&str>, status: u16) -> String {
    match message.map(str::trim).filter(|message| !message.is_empty()) {
        Some(message) => message
            .chars()
            .map(|c| if c.is_control() { ' ' } else { c })
            .take(EXCERPT)
            .collect(),
        None if status == 0 => "no reason is given".to_owned(),
        None => format!("the vendor answered {status}"),
    }
}

pub(super) fn retry_after(response: &Response, in_body: Option<&Value>) -> Option<Duration> {
    let seconds = in_body.and_then(|value| match value {
        Value::String(text) => text.trim_end_matches('s').parse::<f64>().ok(),
        other => other.as_f64(),
    });
    let header = |name: &str| {
        response
            .headers
            .get(name)
            .and_then(|value| value.to_str().ok())
    };
    let millis = || {
        header("retry-after-ms")
            .and_then(|text| text.parse::<f64>().ok())
            .map(|millis| millis / 1e3)
    };
    let plain = || header("retry-after").and_then(|text| text.parse::<f64>().ok());
    let date = || {
        let date = httpdate::parse_http_date(header("retry-after")?).ok()?;
        date.duration_since(SystemTime::now())
            .ok()
            .map(|wait| wait.as_secs_f64())
    };
    let seconds = seconds.or_else(millis).or_else(plain).or_else(date)?;
    Duration::try_from_secs_f64(seconds).ok()
}
