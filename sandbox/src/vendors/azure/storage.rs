//! Blobs: what batch transcription reads and where its results lie. One shared signature opens all of them.

use std::collections::VecDeque;

use bytes::Bytes;
use parking_lot::Mutex;

use super::{KEYS, errors};
use crate::{answer::Answer, auth::same, call::Call, jobs::CAPACITY, vendor::Class};

const SIGNATURE: &str = "sandbox-azure-sas";

/// Blobs by `{container}/{name}`; the oldest are forgotten.
#[derive(Debug, Default)]
pub(super) struct Blobs {
    held: Mutex<VecDeque<(String, Bytes)>>,
}

impl Blobs {
    /// Keeps a blob, in place of one of that name.
    pub(super) fn put(&self, name: &str, content: Bytes) {
        let mut held = self.held.lock();
        held.retain(|(known, _)| known != name);
        if held.len() >= CAPACITY {
            held.pop_front();
        }
        held.push_back((name.to_owned(), content));
    }

    fn get(&self, name: &str) -> Option<Bytes> {
        let held = self.held.lock();
        let found = held.iter().find(|(known, _)| known == name);
        found.map(|(_, content)| content.clone())
    }

    fn remove(&self, name: &str) -> bool {
        let mut held = self.held.lock();
        let before = held.len();
        held.retain(|(known, _)| known != name);
        held.len() < before
    }

    /// What a URL with a signature opens, if it leads here.
    pub(super) fn open(&self, call: &Call, url: &str) -> Option<Bytes> {
        let rest = url.strip_prefix(&format!("{}/blob/", call.base))?;
        let (name, query) = rest.split_once('?')?;
        signed(query).then(|| self.get(name)).flatten()
    }

    /// URLs of everything in a container that a URL with a signature opens.
    pub(super) fn within(&self, call: &Call, url: &str) -> Vec<String> {
        let base = format!("{}/blob/", call.base);
        let rest = url
            .strip_prefix(&base)
            .and_then(|rest| rest.split_once('?'));
        let Some((container, query)) = rest.filter(|(_, query)| signed(query)) else {
            return Vec::new();
        };
        let prefix = format!("{}/", container.trim_end_matches('/'));
        let held = self.held.lock();
        let names = held.iter().map(|(name, _)| name);
        names
            .filter(|name| name.starts_with(&prefix))
            .map(|name| format!("{base}{name}?{query}"))
            .collect()
    }

    /// Forgets all.
    pub(super) fn clear(&self) {
        self.held.lock().clear();
    }
}

/// Where a blob is, with its signature.
pub(super) fn url(call: &Call, name: &str) -> String {
    format!(
        "{}/blob/{name}?sv=2024-08-04&sr=b&sp=r&sig={SIGNATURE}",
        call.base
    )
}

fn signed(query: &str) -> bool {
    let signature = query.split('&').find_map(|pair| pair.strip_prefix("sig="));
    signature.is_some_and(|signature| same(signature, SIGNATURE))
}

/// A URL's signature stands for the first account.
pub(super) fn authenticate(call: &Call) -> Result<String, Answer> {
    if signed(&call.raw_query) {
        return Ok(KEYS.vendor.to_owned());
    }
    let message = "Server failed to authenticate the request.";
    Err(errors::storage(call, 403, "AuthenticationFailed", message))
}

/// One blob.
pub(super) fn serve(call: &Call, blobs: &Blobs) -> Result<Answer, Answer> {
    let name = call.path.trim_start_matches("/blob/");
    let missing = || {
        let message = "The specified blob does not exist.";
        errors::class(call, Class::NotFound, message)
    };
    if !name.contains('/') {
        let message = "A container and a name are required.";
        return Err(errors::class(call, Class::Invalid, message));
    }
    match call.method.as_str() {
        "PUT" => {
            if call.header("x-ms-blob-type") != Some("BlockBlob") {
                let message = "An HTTP header that's mandatory for this request is not specified.";
                return Err(errors::storage(call, 400, "MissingRequiredHeader", message));
            }
            blobs.put(name, call.body.clone());
            Ok(Answer::empty(201).header("x-ms-request-id", call.uuid("request")))
        }
        "DELETE" if blobs.remove(name) => Ok(Answer::empty(202)),
        "DELETE" => Err(missing()),
        _ => {
            let content = blobs.get(name).ok_or_else(missing)?;
            let kind = if content.starts_with(b"{") {
                "application/json"
            } else {
                "application/octet-stream"
            };
            Ok(Answer::bytes(200, kind, content).header("x-ms-blob-type", "BlockBlob"))
        }
    }
}
