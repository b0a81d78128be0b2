//! Promises about speed, measured: `benches/compare` runs Isobar beside what people use instead.
//!
//! Everything runs on loopback: `origin` (the upstream) and `load` (the clients) share one core, the proxy under test
//! has another. Rounds alternate between the subjects, since a machine's speed drifts; only ratios within one run mean
//! anything.

pub mod byhand;
pub mod calls;
pub mod composed;
pub mod contenders;
pub mod load;
pub mod process;
pub mod report;
pub mod rounds;
pub mod spread;

use std::fmt::Write as _;

/// Answer that every subject passes on: 200 bytes of JSON.
pub const SMALL: &str = concat!(
    r#"{"id":"evt_0123456789abcdef","object":"event","amount":1999,"currency":"eur","status":"succeeded","#,
    r#""created":1764000000,"livemode":false,"customer":"cus_0123456789","note":"two hundred bytes, padded"}"#,
    "..."
);

/// A translation in the shape of DeepL's.
pub const TRANSLATED: &str = concat!(
    r#"{"translations":[{"detected_source_language":"EN","text":"Le temps est beau à Londres aujourd'hui.","#,
    r#""billed_characters":37}]}"#
);

/// What the three calls of the composition that is measured are answered with: a text that was heard, how it feels, and
/// who is in it.
pub const HEARD: &str = concat!(
    r#"{"id":"call-4711","language":"en","duration":12.48,"confidence":0.9871,"#,
    r#""text":"Good morning, this is Ada Lovelace of Analytical Engines in London. I am very happy with the cards that you sent last week, and would like to order two hundred more.","#,
    r#""segments":[{"start":0.08,"end":4.21,"speaker":"a","text":"Good morning, this is Ada Lovelace of Analytical Engines in London."},"#,
    r#"{"start":4.4,"end":9.02,"speaker":"a","text":"I am very happy with the cards that you sent last week,"},"#,
    r#"{"start":9.02,"end":12.4,"speaker":"a","text":"and would like to order two hundred more."}]}"#
);
/// See [`HEARD`].
pub const MOOD: &str = concat!(
    r#"{"label":"positive","score":0.82,"confidence":0.94,"model":"mood-2","#,
    r#""scores":{"positive":0.91,"neutral":0.07,"negative":0.02}}"#
);
/// See [`HEARD`].
pub const PEOPLE: &str = concat!(
    r#"{"model":"entities-3","entities":[{"name":"Ada Lovelace","kind":"person","confidence":0.99,"start":22,"end":34},"#,
    r#"{"name":"Analytical Engines","kind":"organization","confidence":0.97,"start":38,"end":56},"#,
    r#"{"name":"London","kind":"place","confidence":0.98,"start":60,"end":66},"#,
    r#"{"name":"two hundred","kind":"quantity","confidence":0.88,"start":150,"end":161}]}"#
);

/// A transcription of about this many bytes, in the shape of Deepgram's.
pub fn answer(size: usize) -> Vec<u8> {
    let mut words = String::new();
    let mut number = 0_u32;
    while words.len() + 400 < size {
        let start = f64::from(number) * 0.32 + 0.08;
        if number > 0 {
            words.push(',');
        }
        let _ = write!(
            words,
            r#"{{"word":"weather{}","start":{start:.3},"end":{:.3},"confidence":0.99{:04},"punctuated_word":"Weather{},"}}"#,
            number % 10,
            start + 0.27,
            number % 10_000,
            number % 10,
        );
        number += 1;
    }
    let transcript = "Weather0, weather1, weather2.";
    format!(
        r#"{{"metadata":{{"request_id":"9b1f0c1e-0000-4000-8000-000000000000","sha256":"154e291ecfa8be6ab8343560bcc109008fa7853eb5372533e8efdefc9b504c33","created":"2026-11-22T06:30:00.000Z","duration":{:.3},"channels":1}},"results":{{"channels":[{{"alternatives":[{{"transcript":"{transcript}","confidence":0.9978,"words":[{words}]}}],"detected_language":"en"}}]}}}}"#,
        f64::from(number) * 0.32,
    )
    .into_bytes()
}

/// A WAV file of so many bytes of sound: 16 kHz, 16 bits, one channel, not silent.
pub fn recording(bytes: u32) -> Vec<u8> {
    let mut file = Vec::with_capacity(44 + bytes as usize);
    file.extend_from_slice(b"RIFF");
    file.extend_from_slice(&(36 + bytes).to_le_bytes());
    file.extend_from_slice(b"WAVEfmt ");
    for field in [16_u32, 0x0001_0001, 16_000, 32_000, 0x0010_0002] {
        file.extend_from_slice(&field.to_le_bytes());
    }
    file.extend_from_slice(b"data");
    file.extend_from_slice(&bytes.to_le_bytes());
    let sound = (0..bytes).map(|at| (at.wrapping_mul(2_654_435_761) >> 24).to_le_bytes()[0]);
    file.extend(sound);
    file
}
