//! Text in, checked configuration out.
//!
//! `Source` (a file's text) → `Document` (every value with its place) → `Config` (known to be right), or every mistake in it.
//! This crate knows no vendor, opens no socket, and reads files only in `load`.

pub mod model;
