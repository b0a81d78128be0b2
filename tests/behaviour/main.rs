//! What each capability means, shown for every vendor that offers it: `speech::transcribes_a_recording::deepgram`.
//!
//! Vendors are the sandbox's simulators, behind a whole gateway on real sockets. A vendor that joins a capability is in
//! the suite by having a manifest; one without a simulator fails it.

#![allow(
    clippy::unwrap_used,
    clippy::expect_used,
    clippy::panic,
    clippy::indexing_slicing,
    clippy::large_futures,
    reason = "a test fails by panicking, and may be slow"
)]

mod failing;
mod languages;
mod options;
mod pools;
mod speech;
mod support;
mod text;
mod translation;

use std::process::ExitCode;

fn main() -> ExitCode {
    let arguments = libtest_mimic::Arguments::from_args();
    let mut trials = Vec::new();
    trials.extend(speech::trials());
    trials.extend(text::trials());
    trials.extend(translation::trials());
    trials.extend(languages::trials());
    trials.extend(options::trials());
    trials.extend(failing::trials());
    trials.extend(pools::trials());
    libtest_mimic::run(&arguments, trials).exit_code()
}
