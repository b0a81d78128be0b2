//! What the vendors find out: always the same for the same input, whichever vendor is asked.
//!
//! Content only, in plain units (seconds, code points, 0 to 1); each vendor renders it in its own shape, codes and units.

pub(crate) mod audio;
pub(crate) mod language;
pub(crate) mod markup;
pub(crate) mod private;
pub(crate) mod recorded;
pub(crate) mod speech;
pub(crate) mod subtitles;
pub(crate) mod text;
pub(crate) mod tokens;
pub(crate) mod translation;
pub(crate) mod units;
pub(crate) mod voice;
