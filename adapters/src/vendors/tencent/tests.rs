//! What Tencent Cloud is sent, and what is made of its answers.

use serde_json::json;

use crate::{
    call::{Job, Output},
    capability::Content,
    failure::{Failure, Kind},
    testing::{Canned, call, job, json_answer, recording},
    vendors::built_in,
};

const FIELDS: [(&str, &str); 2] = [("secret_id", "id"), ("secret_key", "key")];

async fn ask(operation: &str, asked: Job, transport: &Canned) -> Result<Output, Failure> {
    call(
        &built_in().0,
        "tencent",
        operation,
        &FIELDS,
        asked,
        transport,
    )
    .await
}

#[tokio::test]
async fn each_service_has_its_words_for_what_went_wrong() {
    for (operation, code, kind) in [
        (
            "text.sentiment",
            "ResourceInsufficient.QuotaRunOut",
            Kind::Quota,
        ),
        (
            "text.sentiment",
            "InvalidParameterValue.TextTooLongCode",
            Kind::TooLarge,
        ),
        (
            "speech.synthesize",
            "UnsupportedOperation.NoFreeAccount",
            Kind::Quota,
        ),
        (
            "speech.synthesize",
            "UnsupportedOperation.TextTooLong",
            Kind::TooLarge,
        ),
        (
            "translation.translate",
            "FailedOperation.NoFreeAmount",
            Kind::Quota,
        ),
        (
            "translation.translate",
            "FailedOperation.UserNotRegistered",
            Kind::Auth,
        ),
        (
            "translation.translate",
            "UnsupportedOperation.UnSupportedTargetLanguage",
            Kind::Unsupported,
        ),
        (
            "translation.translate",
            "RequestLimitExceeded.UinLimitExceeded",
            Kind::RateLimited,
        ),
        (
            "translation.translate",
            "AuthFailure.SignatureExpire",
            Kind::Auth,
        ),
        (
            "translation.translate",
            "InternalError.BackendTimeout",
            Kind::Timeout,
        ),
        (
            "translation.translate",
            "InternalError.ErrorUnknown",
            Kind::Internal,
        ),
        ("translation.translate", "MissingParameter", Kind::Invalid),
        ("translation.translate", "InvalidAction", Kind::Unsupported),
    ] {
        let answer = json_answer(
            &json!({ "Response": { "Error": { "Code": code, "Message": "no" }, "RequestId": "1" } }),
        );
        let fields = if operation == "translation.translate" {
            json!({ "text": "你好", "to": "en" })
        } else {
            json!({ "text": "你好" })
        };
        let failure = ask(operation, job(&fields), &Canned::answering([answer]))
            .await
            .unwrap_err();
        assert_eq!((failure.kind, failure.code.as_deref()), (kind, Some(code)));
    }
}

#[tokio::test]
async fn a_recording_goes_as_it_is_to_the_engine_of_its_language() {
    let words = json!([{ "Word": "a", "StartTime": 120, "EndTime": 810 }]);
    let transport = Canned::answering([json_answer(
        &json!({ "Response": { "Result": "A tone.", "AudioDuration": 2430, "WordSize": 1, "WordList": words, "RequestId": "1" } }),
    )]);
    let asked = recording(
        "tone_vbr_stereo.mp3",
        &json!({ "language": "en-US", "keywords": ["tone", "bell"] }),
    );
    let length = asked.blobs[0].1.length();
    let output = ask("speech.transcribe", asked, &transport).await.unwrap();
    let Content::Transcript(transcript) = &output.content else {
        panic!("{output:?}")
    };
    assert_eq!(
        (
            transcript.words[0].start,
            transcript.words[0].end,
            transcript.duration
        ),
        (0.12, 0.81, Some(2.43))
    );
    let body = transport.json(0);
    assert_eq!(
        (
            &body["VoiceFormat"],
            &body["EngSerViceType"],
            &body["DataLen"]
        ),
        (&json!("mp3"), &json!("16k_en"), &json!(length))
    );
    assert_eq!(body["HotwordList"], "tone,bell");
    let headers = transport.request(0).headers;
    assert_eq!(
        (&headers["x-tc-action"], &headers["x-tc-version"]),
        (
            &"SentenceRecognition".parse().unwrap(),
            &"2019-06-14".parse().unwrap()
        )
    );
    assert!(
        headers["authorization"]
            .to_str()
            .unwrap()
            .contains("/asr/tc3_request")
            && !headers.contains_key("x-tc-region")
    );
}

#[tokio::test]
async fn the_vendors_own_example_of_a_name_in_a_sentence() {
    let entity = json!({ "BeginOffset": 5, "Length": 4, "Name": "电影", "Type": "work.movie", "Word": "流浪地球" });
    let transport = Canned::answering([json_answer(
        &json!({ "Response": { "NormalText": "我很喜欢看流浪地球这个电影", "Entities": [entity], "RequestId": "1" } }),
    )]);
    let output = ask(
        "text.entities",
        job(&json!({ "text": "我很喜欢看流浪地球这个电影" })),
        &transport,
    )
    .await
    .unwrap();
    let Content::Entities(found) = &output.content else {
        panic!("{output:?}")
    };
    let found = &found.entities[0];
    assert_eq!(
        (
            found.kind.as_str(),
            found.vendor_type.as_deref(),
            found.offset,
            found.length
        ),
        ("work", Some("work.movie"), Some(5), Some(4))
    );
}

#[tokio::test]
async fn a_translation_names_its_region_and_leaves_out_what_is_not_asked_for() {
    let transport = Canned::answering([json_answer(
        &json!({ "Response": { "TargetText": "你好", "Source": "en", "Target": "zh-TW", "RequestId": "1" } }),
    )]);
    let output = ask(
        "translation.translate",
        job(&json!({ "text": "hello", "to": "zh-Hant" })),
        &transport,
    )
    .await
    .unwrap();
    let Content::Translation(translation) = &output.content else {
        panic!("{output:?}")
    };
    assert_eq!(
        (translation.text.as_str(), translation.from.as_deref()),
        ("你好", Some("en"))
    );
    assert_eq!(
        transport.json(0),
        json!({ "SourceText": "hello", "Source": "auto", "Target": "zh-TW", "ProjectId": 0 })
    );
    assert_eq!(transport.request(0).headers["x-tc-region"], "ap-guangzhou");
    let transport = Canned::answering([json_answer(
        &json!({ "Response": { "Lang": "jp", "RequestId": "1" } }),
    )]);
    let output = ask(
        "translation.detect",
        job(&json!({ "text": "こんにちは" })),
        &transport,
    )
    .await
    .unwrap();
    let Content::Language(language) = &output.content else {
        panic!("{output:?}")
    };
    assert_eq!(language.language, "ja");
}

#[tokio::test]
async fn a_recording_comes_back_in_base64() {
    let transport = Canned::answering([json_answer(
        &json!({ "Response": { "Audio": "UklGRg==", "SessionId": "s", "Subtitles": [], "RequestId": "1" } }),
    )]);
    let output = ask(
        "speech.synthesize",
        job(&json!({ "text": "hello", "language": "en-GB", "voice": "male", "format": "wav" })),
        &transport,
    )
    .await
    .unwrap();
    let Content::Speech(speech) = &output.content else {
        panic!("{output:?}")
    };
    assert_eq!(speech.audio.to_bytes().unwrap(), "RIFF");
    let body = transport.json(0);
    assert_eq!(
        (&body["VoiceType"], &body["PrimaryLanguage"], &body["Codec"]),
        (&json!(101_004), &json!(2), &json!("wav"))
    );
}
