//! What data cannot say: plain functions without I/O, named by a manifest, at home in the vendor's folder.

use std::fmt;

use serde_json::Value;

/// Changes the answer of an operation's last step before `returns` reads it. The error is a short sentence.
#[derive(Clone, Copy)]
pub(crate) struct Hook(pub(crate) fn(Value) -> Result<Value, &'static str>);

impl fmt::Debug for Hook {
    fn fmt(&self, f: &mut fmt::Formatter<'_>) -> fmt::Result {
        f.write_str("Hook")
    }
}
