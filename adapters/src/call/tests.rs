//! A vendor made for each test, over canned answers.

use bytes::Bytes;
use isobar_config::{Report, Source};
use serde_json::{Value, json};

use super::Job;
use crate::{
    blob::Blob,
    capability::Content,
    failure::Kind,
    manifest::Files,
    testing::{Canned, answer, call, job, json_answer, recording},
    vendors::Vendors,
};

const VENDOR: &str = "vendor: acme\naccount: { key: { secret: true } }\nbase: https://acme.example\nauth: { bearer: $.account.key }\n";
const IGNORED: &str =
    "  ignores: [language, model, prompt, keywords, words, speakers, speakers_max, temperature]\n";
const KEY: [(&str, &str); 1] = [("key", "k")];

/// The vendor `acme` with this in its own file and in that of speech.
fn acme(vendor: &str, speech: &str) -> (Vendors, Report) {
    let source = |name: &str, text: String| Source {
        name: format!("acme/{name}.yaml"),
        text,
    };
    let sources = vec![
        source("vendor", format!("{VENDOR}{vendor}")),
        source("speech", speech.to_owned()),
    ];
    Vendors::default().with(&[Files {
        folder: "acme".to_owned(),
        sources,
    }])
}

fn listening(convert: &str) -> String {
    format!(
        "transcribe:\n  convert: {convert}\n  call: POST /listen\n  headers: {{ bytes: $.audio.bytes, file: $.audio.name }}\n  body: {{ raw: $.audio }}\n  returns: {{ text: $.body.text }}\n  price: {{ usd: 1, per: second }}\n{IGNORED}"
    )
}

#[tokio::test]
async fn a_recording_is_converted_before_it_is_sent_and_billed() {
    let (vendors, report) = acme("", &listening("{ audio: wav_16k_mono }"));
    assert!(report.is_empty(), "{}", report.text(false));
    let transport = Canned::answering([json_answer(&json!({ "text": "a tone" }))]);
    let job = recording("tone_vbr_stereo.mp3", &json!({}));
    let seconds = job.blobs[0].1.media().duration.unwrap();
    let output = call(&vendors, "acme", "speech.transcribe", &KEY, job, &transport)
        .await
        .unwrap();
    assert!(
        (output.usage.quantity - seconds).abs() < 0.1,
        "{:?}",
        output.usage
    );
    assert_eq!(*transport.blocked.lock(), 1);
    let request = transport.request(0);
    let sent = request.body.to_bytes().unwrap();
    let media = crate::media::probe(&sent, sent.len() as u64);
    assert_eq!((media.sample_rate, media.channels), (Some(16_000), Some(1)));
    assert_eq!(request.headers["content-type"], "audio/wav");
    assert_eq!(request.headers["bytes"], sent.len().to_string());
    assert_eq!(request.headers["file"], "tone_vbr_stereo.wav");
}

#[tokio::test]
async fn a_recording_that_cannot_be_converted_is_not_sent() {
    let (vendors, _) = acme("", &listening("{ audio: pcm_16k_mono }"));
    let transport = Canned::default();
    let blob = Blob::of_bytes(
        Bytes::from_static(b"RIFF\x24\0\0\0WAVEfmt nothing"),
        "x.wav",
    );
    let job = Job {
        blobs: vec![("audio", blob)],
        ..job(&json!({}))
    };
    let failure = call(&vendors, "acme", "speech.transcribe", &KEY, job, &transport)
        .await
        .unwrap_err();
    assert_eq!(failure.kind, Kind::Unsupported, "{failure}");
    assert!(transport.requests.lock().is_empty());
}

#[tokio::test]
async fn an_error_in_a_good_answer_is_seen_at_each_place_that_is_named() {
    let errors = "errors: { code: [$.body.error, $.body.code], in_success: [ $.body.error, { path: $.body.code, unless: [0, ok] } ] }\n";
    let (vendors, report) = acme(errors, &listening("{ audio: wav_16k_mono }"));
    assert!(report.is_empty(), "{}", report.text(false));
    let ask = async |body: Value| {
        let transport = Canned::answering([json_answer(&body)]);
        call(
            &vendors,
            "acme",
            "speech.transcribe",
            &KEY,
            recording("tone.wav", &json!({})),
            &transport,
        )
        .await
    };
    for body in [
        json!({ "text": "a" }),
        json!({ "text": "a", "code": 0 }),
        json!({ "text": "a", "code": "ok", "error": null }),
    ] {
        assert!(ask(body.clone()).await.is_ok(), "{body}");
    }
    for (body, code) in [
        (json!({ "error": "E1", "code": 0 }), "E1"),
        (json!({ "text": "a", "code": 7 }), "7"),
    ] {
        assert_eq!(ask(body).await.unwrap_err().code.as_deref(), Some(code));
    }
}

#[tokio::test]
async fn json_is_no_recording() {
    let speech = "synthesize:\n  call: POST /speak\n  body: { json: { text: $.text } }\n  returns: { audio: $.body }\n  ignores: [language, model, voice, format, speed, instructions]\n";
    let (vendors, report) = acme("", speech);
    assert!(report.is_empty(), "{}", report.text(false));
    let ask = async |answer| {
        call(
            &vendors,
            "acme",
            "speech.synthesize",
            &KEY,
            job(&json!({ "text": "a" })),
            &Canned::answering([answer]),
        )
        .await
    };
    let Content::Speech(speech) = ask(answer("audio/wav", "RIFF....WAVE"))
        .await
        .unwrap()
        .content
    else {
        panic!("no speech")
    };
    assert_eq!(speech.audio.to_bytes().unwrap(), "RIFF....WAVE");
    assert_eq!(
        ask(answer("application/json;charset=utf-8", "{}"))
            .await
            .unwrap_err()
            .kind,
        Kind::Misread
    );
}

#[tokio::test]
async fn words_without_an_end_last_until_the_next() {
    let speech = format!(
        "transcribe:\n  call: POST /listen\n  body: {{ raw: $.audio }}\n  returns: {{ duration: $.body.length, words: {{ each: $.body.words, as: {{ text: $.text, start: $.start, end: $.end }} }} }}\n{IGNORED}"
    );
    let (vendors, report) = acme("", &speech);
    assert!(report.is_empty(), "{}", report.text(false));
    let words = json!([{ "text": "b", "start": 1.0, "end": 1.0 }, { "text": "c", "start": 2.0 }, { "text": "a", "start": 0.5 }]);
    let transport = Canned::answering([json_answer(&json!({ "length": 3.0, "words": words }))]);
    let output = call(
        &vendors,
        "acme",
        "speech.transcribe",
        &KEY,
        recording("tone.wav", &json!({})),
        &transport,
    )
    .await
    .unwrap();
    let Content::Transcript(transcript) = &output.content else {
        panic!("{output:?}")
    };
    let times: Vec<_> = transcript
        .words
        .iter()
        .map(|word| (word.text.as_str(), word.start, word.end))
        .collect();
    assert_eq!(times, [("a", 0.5, 1.0), ("b", 1.0, 1.0), ("c", 2.0, 3.0)]);
}

#[test]
fn conversions_and_signs_of_error_are_checked() {
    for (sign, convert, expected) in [
        (
            "$.body.error",
            "{ audio: wav_8k }",
            "`wav_8k` is not one of the choices",
        ),
        (
            "$.body.error",
            "{ video: wav_16k_mono }",
            "`video` is not a key of `convert`",
        ),
        ("$.body.error", "wav_16k_mono", "this should be a map"),
        (
            "[ { unless: [0] } ]",
            "{ audio: pcm_16k_mono }",
            "`path` is missing",
        ),
        (
            "[ { path: $.body.code, if: [0] } ]",
            "{ audio: pcm_16k_mono }",
            "`if` is not a key of `in_success`",
        ),
        (
            "[ $.error ]",
            "{ audio: pcm_16k_mono }",
            "`$.error` is not a place in the answer's body",
        ),
    ] {
        let report = acme(
            &format!("errors: {{ in_success: {sign} }}\n"),
            &listening(convert),
        )
        .1
        .text(false);
        assert!(report.contains(expected), "{report}");
    }
}
