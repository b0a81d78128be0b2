//! The compositions that are shipped, ready to use and to learn from.

/// Names and texts of them.
static LIBRARY: [(&str, &str); 2] = [
    (
        "voice-insights",
        include_str!("../library/voice-insights.yaml"),
    ),
    (
        "multilingual-feedback",
        include_str!("../library/multilingual-feedback.yaml"),
    ),
];

/// Compositions that are shipped: names and texts.
pub fn library() -> &'static [(&'static str, &'static str)] {
    &LIBRARY
}
