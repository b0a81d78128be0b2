//! Whether a job at the vendor is done.

use std::time::Duration;

use isobar_config::follow;
use serde_json::Value;

use super::errors::{retry_after, rule, said};
use crate::{
    failure::{Failure, Kind},
    request::Response,
    tree::Tree,
    vendor::{Errors, Poll},
};

pub(super) enum Progress {
    Done,
    /// Still running; the vendor may say when to ask again.
    Running(Option<Duration>),
}

pub(super) fn progress(
    poll: &Poll,
    errors: &Errors,
    response: &Response,
) -> Result<Progress, Failure> {
    let Some(until) = &poll.until else {
        return Ok(Progress::Done);
    };
    let body: Value =
        serde_json::from_slice(&response.body).map_err(|_| crate::projection::Misread::NotJson)?;
    let state = follow(&body, until).map(Tree::of).and_then(Tree::text);
    // A state that is left out is the zero of vendors that leave zeros out: not done.
    let state = state.unwrap_or_default();
    if poll.done.iter().any(|word| *word == state) {
        return Ok(Progress::Done);
    }
    if poll.failed.iter().any(|word| *word == state) {
        let reason = poll
            .message
            .as_ref()
            .and_then(|steps| follow(&body, steps))
            .and_then(Value::as_str);
        let code = poll
            .code
            .as_ref()
            .and_then(|steps| follow(&body, steps))
            .map(Tree::of)
            .and_then(Tree::text)
            .map(std::borrow::Cow::into_owned);
        let status = code
            .as_ref()
            .and_then(|code| code.parse().ok())
            .filter(|status| (400..600).contains(status));
        let kind = rule(errors, status.unwrap_or_default(), code.as_deref(), reason)
            .or(status.map(Kind::of_status))
            .unwrap_or(Kind::Internal);
        let message = format!("the vendor's job failed: {}", said(reason, 0));
        return Err(Failure {
            code,
            status: Some(response.status.as_u16()),
            ..Failure::new(kind, message)
        });
    }
    Ok(Progress::Running(retry_after(response, None)))
}
