//! The simulated vendors, each in a file or folder of its own.

mod deepgram;

use crate::vendor::Vendor;

/// A fresh simulator of each, in alphabetical order.
pub(crate) fn all() -> Vec<Box<dyn Vendor>> {
    vec![Box::<deepgram::Deepgram>::default()]
}
