//! What iFlytek is sent, and what is made of a session.

use http::StatusCode;
use serde_json::{Value, json};

use crate::{
    call::Output,
    capability::Content,
    failure::{Failure, Kind},
    request::{Response, Talk},
    testing::{Canned, call, json_answer, recording},
    vendors::built_in,
};

const FIELDS: [(&str, &str); 3] = [
    ("app_id", "app"),
    ("api_key", "key"),
    ("api_secret", "secret"),
];

async fn ask(transport: &Canned) -> Result<Output, Failure> {
    call(
        &built_in().0,
        "iflytek",
        "speech.transcribe",
        &FIELDS,
        recording("tone.flac", &json!({ "language": "en" })),
        transport,
    )
    .await
}

fn said(number: i64, status: i64, frame: i64, word: &str) -> Value {
    json!({ "code": 0, "data": { "status": status, "result": { "sn": number, "ws": [{ "bg": frame, "cw": [{ "w": word, "sc": 0 }] }] } } })
}

#[tokio::test]
async fn a_session_is_one_answer_of_many_messages() {
    let transport = Canned::answering([json_answer(&json!([
        said(1, 1, 12, "hello"),
        said(2, 1, 53, " world"),
        said(3, 2, 0, ".")
    ]))]);
    let output = ask(&transport).await.unwrap();
    let Content::Transcript(transcript) = &output.content else {
        panic!("{output:?}")
    };
    assert_eq!(transcript.text, "hello world.");
    let times: Vec<_> = transcript
        .words
        .iter()
        .map(|word| (word.text.as_str(), word.start, word.end))
        .collect();
    assert_eq!(
        times,
        [
            ("hello", 0.12, 0.53),
            ("world.", 0.53, transcript.duration.unwrap().max(0.53))
        ]
    );
}

#[tokio::test]
async fn samples_go_in_frames_with_what_they_are_said_in_the_first() {
    let transport = Canned::answering([json_answer(&json!([said(1, 2, 0, "hello")]))]);
    ask(&transport).await.unwrap();
    let request = transport.request(0);
    assert!(
        request
            .uri
            .to_string()
            .starts_with("wss://iat-api.xfyun.cn/v2/iat?authorization="),
        "{}",
        request.uri
    );
    let Talk::Socket { messages, pace, .. } = &request.talk else {
        panic!("no socket")
    };
    let frames: Vec<Value> = messages
        .iter()
        .map(|message| serde_json::from_slice(message).unwrap())
        .collect();
    let (first, last) = (&frames[0], &frames[frames.len() - 1]);
    assert_eq!(
        (
            &first["common"]["app_id"],
            &first["business"]["language"],
            &first["data"]["status"]
        ),
        (&json!("app"), &json!("en_us"), &json!(0))
    );
    assert_eq!(
        (
            &frames[1]["data"]["status"],
            frames[1].get("business"),
            *pace
        ),
        (&json!(1), None, 40)
    );
    assert_eq!(
        (&last["data"]["status"], &last["data"]["audio"]),
        (&json!(2), &json!(""))
    );
    assert!(
        frames
            .iter()
            .all(|frame| frame["data"]["audio"].as_str().unwrap().len() <= 1_708)
    );
}

#[tokio::test]
async fn an_error_may_end_a_session_at_any_time() {
    for (body, kind) in [
        (
            json!([said(1, 1, 0, "hi"), { "code": 11_202, "message": "licc limit" }]),
            Kind::RateLimited,
        ),
        (
            json!([{ "code": 10_313, "message": "invalid appid" }]),
            Kind::Auth,
        ),
        (
            json!([{ "code": 11_201, "message": "licc limit" }]),
            Kind::Quota,
        ),
        (
            json!([{ "code": 10_163, "message": "param validate error" }]),
            Kind::Invalid,
        ),
        (
            json!([{ "code": 10_114, "message": "session timeout" }]),
            Kind::Timeout,
        ),
        (json!([{ "code": 10_101, "message": "?" }]), Kind::Internal),
    ] {
        let failure = ask(&Canned::answering([json_answer(&body)]))
            .await
            .unwrap_err();
        assert_eq!(failure.kind, kind, "{body}");
    }
    let refused = Response {
        status: StatusCode::UNAUTHORIZED,
        ..json_answer(&json!({ "message": "HMAC signature does not match" }))
    };
    let failure = ask(&Canned::answering([refused])).await.unwrap_err();
    assert_eq!(
        (failure.kind, failure.message.as_str()),
        (Kind::Auth, "HMAC signature does not match")
    );
}
