//! The targets, each with what it takes.

mod door;
mod files;
mod values;
mod vendors;

/// Name and function; `fuzz/run` reads the names from here.
pub(crate) const ALL: &[(&str, fn(&[u8]))] = &[
    // Files of people: any text.
    ("config", files::config),
    ("manifest", files::manifest),
    ("composition", files::composition),
    ("cases", files::cases),
    // A head, as HTTP/1 has it; then what is read of one.
    ("head", isobar::fuzz::head),
    ("caching", isobar::fuzz::caching),
    // What stands before a connection's first byte.
    ("announced", isobar::fuzz::announced),
    // A token; a key set in the first line and a token in the second.
    ("token", isobar::fuzz::token),
    // JSON of clients.
    ("strict", isobar::fuzz::strict),
    // A connection's bytes, to a gateway that serves routes, capabilities and compositions.
    ("door", door::connection),
    // A head, to be signed.
    ("signature", values::signature),
    // A path, an expression or a template in the first line, a document in the rest.
    ("path", values::path),
    ("expression", values::expression),
    // A vendor's answer, as HTTP/1 has it, behind a byte that says how it comes.
    ("response", isobar::fuzz::response),
    // A vendor's answer: which operation, which status, the body.
    ("answer", vendors::answer),
    // A recording.
    ("media", vendors::media),
];
