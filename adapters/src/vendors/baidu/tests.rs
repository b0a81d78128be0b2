//! What Baidu is sent, and what is made of its answers and of its many ways to fail.

use serde_json::{Value, json};

use crate::{
    capability::Content,
    failure::Kind,
    request::Response,
    testing::{Canned, answer, call, job, json_answer, recording},
    vendors::built_in,
};

const FIELDS: [(&str, &str); 2] = [("api_key", "key"), ("secret_key", "secret")];

fn token() -> Response {
    json_answer(&json!({ "access_token": "24.token", "expires_in": 2_592_000 }))
}

async fn ask(
    operation: &str,
    asked: crate::call::Job,
    transport: &Canned,
) -> Result<crate::call::Output, crate::failure::Failure> {
    call(&built_in().0, "baidu", operation, &FIELDS, asked, transport).await
}

#[tokio::test]
async fn a_recording_is_sent_as_bare_samples_with_its_length_and_the_token_beside_it() {
    let transport = Canned::answering([
        token(),
        json_answer(
            &json!({ "err_no": 0, "err_msg": "success.", "result": ["a tone"], "sn": "1" }),
        ),
    ]);
    let asked = recording("tone_vbr_stereo.mp3", &json!({ "language": "en-GB" }));
    let seconds = asked.blobs[0].1.media().duration.unwrap();
    let output = ask("speech.transcribe", asked, &transport).await.unwrap();
    let Content::Transcript(transcript) = &output.content else {
        panic!("{output:?}")
    };
    assert_eq!(
        (transcript.text.as_str(), transcript.language.as_deref()),
        ("a tone", Some("en-GB"))
    );
    assert!((transcript.duration.unwrap() - seconds).abs() < 0.1);
    assert_eq!(
        transport.request(0).uri,
        "https://aip.baidubce.com/oauth/2.0/token?grant_type=client_credentials&client_id=key&client_secret=secret"
    );
    assert_eq!(transport.request(1).uri, "https://vop.baidu.com/server_api");
    let body = transport.json(1);
    let bytes = body["len"].as_f64().unwrap();
    assert!(
        (bytes / 32_000.0 - seconds).abs() < 0.1,
        "{bytes} {seconds}"
    );
    assert_eq!(
        (
            &body["dev_pid"],
            &body["token"],
            &body["format"],
            &body["rate"]
        ),
        (
            &json!(1737),
            &json!("24.token"),
            &json!("pcm"),
            &json!(16_000)
        )
    );
    let sent = base64::Engine::decode(
        &base64::engine::general_purpose::STANDARD,
        body["speech"].as_str().unwrap(),
    )
    .unwrap();
    assert_eq!(Value::from(sent.len()), body["len"]);
}

#[tokio::test]
async fn an_error_is_seen_wherever_the_service_puts_it() {
    for (operation, body, kind) in [
        (
            "speech.transcribe",
            json!({ "err_no": 3304, "err_msg": "request pv too much." }),
            Kind::RateLimited,
        ),
        (
            "speech.transcribe",
            json!({ "err_no": 3305, "err_msg": "request pv too much." }),
            Kind::Quota,
        ),
        (
            "speech.transcribe",
            json!({ "err_no": 3301, "err_msg": "speech quality error." }),
            Kind::Unsupported,
        ),
        (
            "speech.transcribe",
            json!({ "err_no": 3308, "err_msg": "?" }),
            Kind::TooLarge,
        ),
        (
            "speech.transcribe",
            json!({ "err_no": 3300, "err_msg": "?" }),
            Kind::Invalid,
        ),
        (
            "speech.transcribe",
            json!({ "err_no": 3307, "err_msg": "?" }),
            Kind::Internal,
        ),
        (
            "speech.synthesize",
            json!({ "err_no": 502, "err_subcode": 17, "err_msg": "authentication failed." }),
            Kind::Quota,
        ),
        (
            "speech.synthesize",
            json!({ "err_no": 502, "err_subcode": 18, "err_msg": "authentication failed." }),
            Kind::RateLimited,
        ),
        (
            "speech.synthesize",
            json!({ "err_no": 501, "err_msg": "parameter error." }),
            Kind::Invalid,
        ),
        (
            "text.sentiment",
            json!({ "error_code": 18, "error_msg": "Open api qps request limit reached" }),
            Kind::RateLimited,
        ),
        (
            "text.sentiment",
            json!({ "error_code": 19, "error_msg": "Open api total request limit reached" }),
            Kind::Quota,
        ),
        (
            "text.sentiment",
            json!({ "error_code": 2, "error_msg": "?" }),
            Kind::Unavailable,
        ),
        (
            "text.sentiment",
            json!({ "error_code": 282_131, "error_msg": "input text too long" }),
            Kind::TooLarge,
        ),
        (
            "text.sentiment",
            json!({ "error_code": 282_133, "error_msg": "?" }),
            Kind::Invalid,
        ),
        (
            "text.sentiment",
            json!({ "error_code": 282_000, "error_msg": "internal error" }),
            Kind::Internal,
        ),
        (
            "translation.translate",
            json!({ "error_code": 31_005, "error_msg": "?" }),
            Kind::Internal,
        ),
    ] {
        let asked = match operation {
            "speech.transcribe" => recording("tone.wav", &json!({ "language": "zh" })),
            "translation.translate" => job(&json!({ "text": "好", "to": "en" })),
            _ => job(&json!({ "text": "好" })),
        };
        let failure = ask(
            operation,
            asked,
            &Canned::answering([token(), json_answer(&body)]),
        )
        .await
        .unwrap_err();
        assert_eq!(failure.kind, kind, "{operation} {body}");
    }
}

#[tokio::test]
async fn a_token_that_is_no_longer_taken_is_replaced_once() {
    let refused =
        || json_answer(&json!({ "error_code": 111, "error_msg": "Access token expired" }));
    let said = json_answer(
        &json!({ "items": [{ "sentiment": 2, "confidence": 0.88, "positive_prob": 0.95, "negative_prob": 0.05 }] }),
    );
    let asked = || job(&json!({ "text": "好" }));
    let transport = Canned::answering([token(), refused(), token(), said]);
    let output = ask("text.sentiment", asked(), &transport).await.unwrap();
    let Content::Sentiment(sentiment) = &output.content else {
        panic!("{output:?}")
    };
    assert_eq!(
        (
            sentiment.score,
            sentiment.probabilities.as_ref().unwrap().neutral
        ),
        (0.9, None)
    );
    assert_eq!(
        transport.request(1).uri.query(),
        Some("charset=UTF-8&access_token=24.token")
    );
    let failure = ask(
        "text.sentiment",
        asked(),
        &Canned::answering([token(), refused(), token(), refused()]),
    )
    .await
    .unwrap_err();
    assert_eq!(failure.kind, Kind::Auth);
    let refusal = json_answer(
        &json!({ "error": "invalid_client", "error_description": "unknown client id" }),
    );
    let failure = ask("text.sentiment", asked(), &Canned::answering([refusal]))
        .await
        .unwrap_err();
    assert_eq!(failure.kind, Kind::Auth);
}

#[tokio::test]
async fn a_text_to_be_spoken_is_encoded_twice() {
    let transport = Canned::answering([token(), answer("audio/wav", "RIFF....WAVE")]);
    ask(
        "speech.synthesize",
        job(&json!({ "text": "你 &", "format": "wav" })),
        &transport,
    )
    .await
    .unwrap();
    assert_eq!(
        transport.text(1),
        "tex=%25E4%25BD%25A0%2520%2526&tok=24.token&cuid=isobar&ctp=1&lan=zh&per=0&aue=6"
    );
}

#[tokio::test]
async fn names_are_told_from_words_and_places_counted_in_characters() {
    let item = |item: &str, name: &str, offset: u64| json!({ "item": item, "ne": name, "pos": "", "byte_offset": offset, "byte_length": item.len() });
    let transport = Canned::answering([
        token(),
        json_answer(
            &json!({ "items": [item("百度", "ORG", 0), item("在", "", 6), item("北京", "LOC", 9)] }),
        ),
    ]);
    let output = ask(
        "text.entities",
        job(&json!({ "text": "百度在北京" })),
        &transport,
    )
    .await
    .unwrap();
    let Content::Entities(found) = &output.content else {
        panic!("{output:?}")
    };
    let found: Vec<_> = found
        .entities
        .iter()
        .map(|entity| (entity.name.as_str(), entity.kind.as_str(), entity.offset))
        .collect();
    assert_eq!(
        found,
        [
            ("百度", "organization", Some(0)),
            ("北京", "location", Some(3))
        ]
    );
}

#[tokio::test]
async fn lines_are_put_together_and_codes_of_languages_are_the_vendors_own() {
    let lines = json!([{ "src": "a", "dst": "甲" }, { "src": "b", "dst": "乙" }]);
    let transport = Canned::answering([
        token(),
        json_answer(
            &json!({ "result": { "from": "jp", "to": "cht", "trans_result": lines }, "log_id": 1 }),
        ),
    ]);
    let output = ask(
        "translation.translate",
        job(&json!({ "text": "a\nb", "to": "zh-TW" })),
        &transport,
    )
    .await
    .unwrap();
    let Content::Translation(translation) = &output.content else {
        panic!("{output:?}")
    };
    assert_eq!(
        (
            translation.text.as_str(),
            translation.from.as_deref(),
            translation.to.as_str()
        ),
        ("甲\n乙", Some("ja"), "zh-TW")
    );
    assert_eq!(
        transport.json(1),
        json!({ "q": "a\nb", "from": "auto", "to": "cht" })
    );
}
