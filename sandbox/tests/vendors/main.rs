//! Every simulated vendor over real sockets: success, each class of error, authentication, and answers checked against
//! the vendor's own schema where `ISOBAR_CONTRACTS` names the folder that has it.

#![allow(
    clippy::unwrap_used,
    clippy::panic,
    clippy::indexing_slicing,
    reason = "tests and what they share"
)]

mod assemblyai;
mod aws;
mod azure;
mod baidu;
mod deepgram;
mod deepl;
mod elevenlabs;
mod gladia;
mod google;
mod groq;
mod iflytek;
mod libretranslate;
mod machinery;
mod openai;
mod speechmatics;
mod support;
mod tencent;
