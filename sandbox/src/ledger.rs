//! What reached the vendors, and what was done.

use std::collections::VecDeque;

use parking_lot::Mutex;
use serde::{Deserialize, Serialize};
use serde_json::{Map, Value};

/// Most entries kept; the oldest go first.
pub const CAPACITY: usize = 10_000;

/// One request to one vendor.
#[derive(Debug, Clone, PartialEq, Serialize, Deserialize)]
pub struct Entry {
    /// Running number over all vendors, from 1.
    pub n: u64,
    /// Vendor.
    pub vendor: String,
    /// The vendor's own name of the call: `StartTranscriptionJob`.
    pub call: String,
    /// The operation that it is part of: `speech.transcribe`; absent for what belongs to none.
    pub operation: Option<String>,
    /// The credential that was accepted: the vendor's name, with `-2` for the second; absent if none was.
    pub account: Option<String>,
    /// Method.
    pub method: String,
    /// The vendor's own path and query, as received, at most 2048 bytes.
    pub path: String,
    /// Status answered; absent if the connection was dropped without one.
    pub status: Option<u16>,
    /// Whether what was asked for was done.
    pub executed: bool,
    /// Name of the scripted fault that struck.
    pub fault: Option<String>,
    /// Hexadecimal SHA-256 of the request's body.
    pub digest: String,
    /// Bytes of the request's body.
    pub bytes: usize,
    /// What the vendor noted: model, characters, job …
    pub facts: Map<String, Value>,
}

/// Entries in order.
#[derive(Debug, Default)]
pub struct Ledger {
    entries: Mutex<VecDeque<Entry>>,
}

impl Ledger {
    /// Everything, or what one vendor received, oldest first.
    pub fn entries(&self, vendor: Option<&str>) -> Vec<Entry> {
        let entries = self.entries.lock();
        let wanted = entries
            .iter()
            .filter(|entry| vendor.is_none_or(|name| entry.vendor == name));
        wanted.cloned().collect()
    }

    /// How many calls of a vendor were executed under this name (its own or the operation's).
    pub fn executed(&self, vendor: &str, name: &str) -> usize {
        let entries = self.entries.lock();
        let named = |entry: &&Entry| {
            entry.executed
                && entry.vendor == vendor
                && (entry.call == name || entry.operation.as_deref() == Some(name))
        };
        entries.iter().filter(named).count()
    }

    /// Forgets everything.
    pub fn clear(&self) {
        self.entries.lock().clear();
    }

    pub(crate) fn record(&self, entry: Entry) {
        let mut entries = self.entries.lock();
        if entries.len() >= CAPACITY {
            entries.pop_front();
        }
        entries.push_back(entry);
    }
}
