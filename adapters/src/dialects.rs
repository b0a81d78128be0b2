//! The shapes in which clients of other products want their answers.

pub mod subtitles;
