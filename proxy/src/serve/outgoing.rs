//! A client's request as it goes to one account: path, query, headers, credential.

use std::{borrow::Cow, time::SystemTime};

use http::{HeaderMap, Method, Request, Uri, uri::PathAndQuery};
use isobar_config::{PathPiece, PathRewrite};
use serde_json::Value as Json;

use super::body::Replay;
use crate::{
    edge::headers::{self, About, Block, parameter_name},
    pool::{Account, Credential},
    route::{
        router::Captures,
        snapshot::{Edits, Value},
    },
};

/// Everything about a request that does not depend on the account.
pub(crate) struct Outgoing<'a> {
    pub(crate) method: &'a Method,
    /// Path after the route's rewrite.
    pub(crate) path: Cow<'a, str>,
    pub(crate) query: Option<&'a str>,
    pub(crate) headers: &'a HeaderMap,
    pub(crate) about: About<'a>,
    pub(crate) edits: &'a Edits,
    pub(crate) document: Option<&'a Json>,
}

/// A request that the route's settings make impossible to write.
#[derive(Debug, Clone, Copy, PartialEq, Eq, thiserror::Error)]
pub(crate) enum Unwritable {
    #[error("the rewritten path is not a path")]
    Path,
    #[error("a header's value, made from the request, cannot be sent")]
    Header,
    #[error("the request cannot be signed")]
    Signature,
}

impl Outgoing<'_> {
    /// Path and query at `account`.
    pub(crate) fn target(&self, account: &Account) -> Result<PathAndQuery, Unwritable> {
        let base = &account.settings.url.path;
        let mut target = String::with_capacity(
            base.len() + self.path.len() + self.query.map_or(0, |query| query.len() + 1),
        );
        target.push_str(base);
        target.push_str(&self.path);
        let credential = match &account.credential {
            Credential::Query(pair) => Some(pair.as_str()),
            Credential::None | Credential::Header(..) | Credential::Signature(_) => None,
        };
        match (self.query, credential) {
            (None, None) => {}
            (Some(query), None) => {
                target.push('?');
                target.push_str(query);
            }
            (query, Some(pair)) => {
                // A client's own, under any spelling of its name, gives way to the credential.
                let name = parameter_name(pair);
                let others = query
                    .unwrap_or_default()
                    .split('&')
                    .filter(|other| !other.is_empty() && parameter_name(other) != name);
                for (index, pair) in others.chain([pair]).enumerate() {
                    target.push(if index == 0 { '?' } else { '&' });
                    target.push_str(pair);
                }
            }
        }
        PathAndQuery::try_from(target).map_err(|_| Unwritable::Path)
    }

    /// Rewrites a client's header block for `account`.
    pub(crate) fn write_headers(
        &self,
        block: &mut impl Block,
        account: &Account,
    ) -> Result<(), Unwritable> {
        headers::to_vendor(block, account, &self.about);
        if !self.edits.is_empty() {
            // A client's own spelling of a header that the route decides about must not stand beside it.
            headers::drop_aliases(block, |name| self.edits.decide(name));
        }
        apply(self.edits, block, self.document)
    }

    /// The whole request for `account`.
    pub(crate) fn request(
        &self,
        account: &Account,
        body: Replay,
    ) -> Result<Request<Replay>, Unwritable> {
        let target = self.target(account)?;
        let mut block = self.headers.clone();
        // The connection says how the body ends.
        block.remove(http::header::CONTENT_LENGTH);
        self.write_headers(&mut block, account)?;
        let mut request = Request::new(body);
        *request.method_mut() = self.method.clone();
        *request.uri_mut() = Uri::from(target);
        *request.headers_mut() = block;
        Ok(request)
    }
}

/// Whether headers are those of a call of gRPC. gRPC-Web is plain HTTP.
pub(crate) fn is_grpc(headers: &HeaderMap) -> bool {
    let media_type = headers.get(http::header::CONTENT_TYPE);
    let rest = media_type.and_then(|value| value.as_bytes().strip_prefix(b"application/grpc"));
    rest.is_some_and(|rest| matches!(rest.first(), None | Some(b'+' | b';')))
}

/// Signs a request for an account that wants it, as the last thing before it is sent; `body` is the digest of a body that
/// is known.
pub(crate) fn sign<B>(
    request: Request<B>,
    account: &Account,
    body: Option<[u8; 32]>,
) -> Result<Request<B>, Unwritable> {
    let Credential::Signature(signature) = &account.credential else {
        return Ok(request);
    };
    let (mut parts, content) = request.into_parts();
    isobar_adapters::sign(&mut parts, body, signature, SystemTime::now())
        .map_err(|_| Unwritable::Signature)?;
    Ok(Request::from_parts(parts, content))
}

/// Applies a route's header edits.
pub(crate) fn apply(
    edits: &Edits,
    block: &mut impl Block,
    document: Option<&Json>,
) -> Result<(), Unwritable> {
    for name in &edits.remove {
        block.remove(name);
    }
    for (name, value) in &edits.set {
        let value = match value {
            Value::Fixed(value) => value.clone(),
            Value::Made(template) => {
                let made = template
                    .render(document.unwrap_or(&Json::Null))
                    .map_err(|_| Unwritable::Header)?;
                let text = match made {
                    None | Some(Json::Null) => continue,
                    Some(Json::String(text)) => text,
                    Some(other) => other.to_string(),
                };
                http::HeaderValue::try_from(text).map_err(|_| Unwritable::Header)?
            }
        };
        block.set(name.clone(), value);
    }
    Ok(())
}

/// The path that a rewrite makes of the client's.
pub(crate) fn rewrite(rewrite: &PathRewrite, captures: &Captures<'_>) -> String {
    let mut path = String::new();
    for piece in &rewrite.0 {
        match piece {
            PathPiece::Text(text) => path.push_str(text),
            PathPiece::Rest => path.push_str(captures.rest),
            PathPiece::Parameter(name) => {
                let found = captures.parameters.iter().find(|(known, _)| known == name);
                path.push_str(found.map_or("", |(_, value)| value));
            }
        }
    }
    path
}
