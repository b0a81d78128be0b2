//! The compositions that are shipped, ready to use and to learn from.

/// Names and texts of them.
static LIBRARY: [(&str, &str); 6] = [
    (
        "voice-insights",
        include_str!("../library/voice-insights.yaml"),
    ),
    (
        "multilingual-feedback",
        include_str!("../library/multilingual-feedback.yaml"),
    ),
    ("call-summary", include_str!("../library/call-summary.yaml")),
    ("dub", include_str!("../library/dub.yaml")),
    (
        "consensus-transcript",
        include_str!("../library/consensus-transcript.yaml"),
    ),
    (
        "archive-and-analyze",
        include_str!("../library/archive-and-analyze.yaml"),
    ),
];

/// Compositions that are shipped: names and texts.
pub fn library() -> &'static [(&'static str, &'static str)] {
    &LIBRARY
}
