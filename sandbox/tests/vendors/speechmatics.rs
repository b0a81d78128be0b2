//! `Speechmatics`.

use isobar_sandbox::faults::{Class, Fault, Rule};
use reqwest::RequestBuilder;
use serde_json::{Value, json};

use crate::support::{
    Bench, Got, HOTEL, WEATHER, WEATHER_TEXT, conforms, contract, every_class, multipart, send,
};

const KEY: &str = "Bearer sandbox-speechmatics-key";

fn english() -> Value {
    json!({ "type": "transcription", "transcription_config": { "language": "en", "operating_point": "enhanced", "diarization": "speaker" } })
}

fn submit(bench: &Bench, query: &str, config: &Value, file: Option<&[u8]>) -> RequestBuilder {
    let config = config.to_string();
    let file = file.map(|bytes| ("data_file", "a.wav", bytes));
    let (content_type, body) = multipart(&[("config", &config)], file);
    let request = bench.post(&format!("/v2/jobs{query}"));
    request
        .header("authorization", KEY)
        .header("content-type", content_type)
        .body(body)
}

async fn get(bench: &Bench, path: &str) -> Got {
    send(bench.get(path).header("authorization", KEY)).await
}

async fn delete(bench: &Bench, path: &str) -> Got {
    let request = bench.client.delete(bench.url(path));
    send(request.header("authorization", KEY)).await
}

fn schema(name: &str, body: &Value) {
    if let Some(mut description) = contract("speech/speechmatics-batch.swagger.json") {
        // A slip of theirs: `number,` is no type.
        let slip = "/definitions/SentimentSegment/properties/confidence/type";
        *description.pointer_mut(slip).unwrap() = json!("number");
        conforms(&description, &format!("#/definitions/{name}"), body);
    }
}

/// A job's id.
async fn submitted(bench: &Bench, config: &Value, audio: &[u8]) -> String {
    let body = send(submit(bench, "", config, Some(audio)))
        .await
        .expect(201)
        .json();
    schema("CreateJobResponse", &body);
    body["id"].as_str().unwrap().to_owned()
}

#[tokio::test]
async fn a_job_runs_and_is_done() {
    let bench = Bench::new("speechmatics").await;
    let id = submitted(&bench, &english(), WEATHER).await;
    assert_eq!(bench.last().facts["seconds"], 4.185);
    let path = format!("/v2/jobs/{id}");
    for status in ["running", "done", "done"] {
        let body = get(&bench, &path).await.expect(200).json();
        schema("RetrieveJobResponse", &body);
        assert_eq!(body["job"]["status"], status);
        assert_eq!(body["job"]["duration"], 5);
    }
    let transcript = format!("{path}/transcript");
    let body = get(&bench, &transcript).await.expect(200).json();
    schema("RetrieveTranscriptResponse", &body);
    assert_eq!(body["job"]["id"], id);
    let results = body["results"].as_array().unwrap();
    assert_eq!(results.len(), 16, "fourteen words and two full stops");
    assert_eq!(
        results[6],
        json!({ "alternatives": [{ "confidence": 0.99, "content": "today", "language": "en", "speaker": "S1" }], "end_time": 1.93, "start_time": 1.63, "type": "word" })
    );
    assert_eq!(
        (
            &results[7]["type"],
            &results[7]["attaches_to"],
            &results[7]["is_eos"]
        ),
        (&json!("punctuation"), &json!("previous"), &json!(true))
    );
    let text = get(&bench, &format!("{transcript}?format=txt"))
        .await
        .expect(200);
    assert!(text.header("content-type").starts_with("text/plain"));
    assert_eq!(text.text(), WEATHER_TEXT);
    let srt = get(&bench, &format!("{transcript}?format=srt"))
        .await
        .text();
    assert!(srt.starts_with("1\n00:00:00,180 --> "), "{srt}");
    let wrong = get(&bench, &format!("{transcript}?format=doc"))
        .await
        .expect(404)
        .json();
    assert_eq!(wrong["error"], "Format Not Supported");
    let listed = get(&bench, "/v2/jobs").await.expect(200).json();
    schema("RetrieveJobsResponse", &listed);
    assert_eq!(listed["jobs"][0]["id"], id);
}

#[tokio::test]
async fn a_transcript_asked_for_too_early_is_not_found() {
    let bench = Bench::new("speechmatics").await;
    let id = submitted(&bench, &english(), WEATHER).await;
    let path = format!("/v2/jobs/{id}/transcript");
    for text in ["Job In Progress", "Transcription not ready"] {
        let body = get(&bench, &path).await.expect(404).json();
        schema("ErrorResponse", &body);
        assert_eq!(body["error"], text);
    }
    get(&bench, &path).await.expect(200);

    let id = submitted(&bench, &english(), WEATHER).await;
    get(&bench, &format!("/v2/jobs/{id}/transcript?wait=10"))
        .await
        .expect(200);
}

#[tokio::test]
async fn waiting_embeds_the_transcript() {
    let bench = Bench::new("speechmatics").await;
    let auto = json!({ "type": "transcription", "transcription_config": { "language": "auto" } });
    let body = send(submit(&bench, "?wait=30", &auto, Some(HOTEL)))
        .await
        .expect(201)
        .json();
    schema("CreateJobResponse", &body);
    assert_eq!(body["status"], "done");
    let transcript = &body["json-v2"];
    let metadata = &transcript["metadata"];
    assert_eq!(
        metadata["language_identification"]["results"][0]["alternatives"][0]["language"],
        "en"
    );
    let word = &transcript["results"][0]["alternatives"][0];
    assert_eq!(
        (&word["content"], word.get("speaker")),
        (&json!("Thank"), None)
    );
    let text = send(submit(&bench, "?wait=30&format=txt", &auto, Some(WEATHER)))
        .await
        .json();
    assert_eq!(text["txt"], WEATHER_TEXT);
}

#[tokio::test]
async fn a_job_can_be_rejected() {
    let bench = Bench::new("speechmatics").await;
    bench
        .sandbox
        .faults()
        .set([Rule::at("speechmatics", Fault::FailJob).during("submit")]);
    let id = submitted(&bench, &english(), WEATHER).await;
    let path = format!("/v2/jobs/{id}");
    get(&bench, &path).await.expect(200);
    let body = get(&bench, &path).await.expect(200).json();
    schema("RetrieveJobResponse", &body);
    assert_eq!(body["job"]["status"], "rejected");
    assert!(body["job"]["errors"][0]["message"].is_string());
    let body = get(&bench, &format!("{path}/transcript"))
        .await
        .expect(404)
        .json();
    schema("ErrorResponse", &body);
    assert_eq!(body["error"], "Job rejected");

    bench.sandbox.faults().clear();
    let mut remote = english();
    remote["fetch_data"] = json!({ "url": "https://example.com/a.wav" });
    let body = send(submit(&bench, "?wait=5", &remote, None))
        .await
        .expect(201)
        .json();
    schema("CreateJobResponse", &body);
    assert_eq!(body["status"], "rejected");
}

#[tokio::test]
async fn jobs_are_deleted_when_they_have_ended_or_by_force() {
    let bench = Bench::new("speechmatics").await;
    let id = submitted(&bench, &english(), WEATHER).await;
    let path = format!("/v2/jobs/{id}");
    let locked = delete(&bench, &path).await.expect(423).json();
    schema("ErrorResponse", &locked);
    let body = delete(&bench, &format!("{path}?force=true"))
        .await
        .expect(200)
        .json();
    schema("DeleteJobResponse", &body);
    assert_eq!(body["job"]["status"], "deleted");
    get(&bench, &path).await.expect(404);
}

#[tokio::test]
async fn what_is_wrong_with_a_job_is_said() {
    let bench = Bench::new("speechmatics").await;
    let with = |pointer: &str, value: Value| {
        let mut config = english();
        *config.pointer_mut(pointer).unwrap() = value;
        config
    };
    let mut both = english();
    both["fetch_data"] = json!({ "url": "https://example.com/a.wav" });
    let garbage: &[u8] = b"not audio at all";
    for (config, file, error) in [
        (json!([]), Some(WEATHER), "Job rejected"),
        (
            with("/type", json!("alignment")),
            Some(WEATHER),
            "Job rejected",
        ),
        (
            with("/transcription_config", json!({})),
            Some(WEATHER),
            "No language selected",
        ),
        (
            with("/transcription_config/language", json!("tlh")),
            Some(WEATHER),
            "Job rejected",
        ),
        (
            with("/transcription_config/operating_point", json!("best")),
            Some(WEATHER),
            "Job rejected",
        ),
        (
            with("/transcription_config/diarization", json!(true)),
            Some(WEATHER),
            "Job rejected",
        ),
        (both, Some(WEATHER), "Job rejected"),
        (english(), None, "Missing data_file"),
        (
            english(),
            Some(garbage),
            "Job rejected due to invalid audio",
        ),
        (english(), Some(b""), "Job rejected due to invalid audio"),
    ] {
        let body = send(submit(&bench, "", &config, file))
            .await
            .expect(400)
            .json();
        schema("ErrorResponse", &body);
        assert_eq!(
            (&body["code"], &body["error"]),
            (&json!(400), &json!(error))
        );
        assert!(!bench.last().executed);
    }
    let request = bench.post("/v2/jobs").header("authorization", KEY);
    let body = send(request.json(&english())).await.expect(400).json();
    assert_eq!(body["error"], "Malformed request");
    get(&bench, "/v2/jobs/nothing").await.expect(404);
    get(&bench, "/v2/nothing").await.expect(404);
}

#[tokio::test]
async fn keys_are_checked_and_accounts_do_not_see_each_other_s_jobs() {
    let bench = Bench::new("speechmatics").await;
    let id = submitted(&bench, &english(), WEATHER).await;
    let path = format!("/v2/jobs/{id}");
    for wrong in ["Bearer nonsense", "Token sandbox-speechmatics-key", ""] {
        let got = send(bench.get(&path).header("authorization", wrong))
            .await
            .expect(401);
        assert_eq!(got.json()["error"], "Permission Denied");
        assert_eq!(bench.last().account, None);
    }
    let second = "Bearer sandbox-speechmatics-key-2";
    send(bench.get(&path).header("authorization", second))
        .await
        .expect(404);
    assert_eq!(bench.last().account.as_deref(), Some("speechmatics-2"));
}

#[tokio::test]
async fn every_error_has_the_vendor_s_shape() {
    let bench = Bench::new("speechmatics").await;
    let request = || submit(&bench, "", &english(), Some(WEATHER));
    every_class(&bench, request, |class, got| {
        let body = got.json();
        schema("ErrorResponse", &body);
        assert_eq!(body["code"], got.status);
        let expected = match class {
            Class::Auth => (401, "Permission Denied"),
            Class::Quota => (403, "Forbidden"),
            Class::Rate => (429, "Max concurrent running jobs exceeded"),
            Class::Invalid => (400, "Bad Request"),
            Class::TooLarge => (413, "Malformed request"),
            Class::Unsupported => (400, "Job rejected"),
            Class::NotFound => (404, "Job not found"),
            Class::Internal => (500, "Internal Server Error"),
            Class::Unavailable => (503, "Internal Server Error"),
        };
        assert_eq!((got.status, body["error"].as_str().unwrap()), expected);
    })
    .await;
}
