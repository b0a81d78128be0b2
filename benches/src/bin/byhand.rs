//! Two calls of capabilities as one would write them by hand for one vendor each, with axum and reqwest: what a gateway
//! that can do any vendor's is measured against.
//!
//! `byhand LISTEN BASE DEEPGRAM_KEY DEEPL_KEY`: vendors are at `BASE/deepgram` and `BASE/deepl`.

use std::{env, sync::Arc};

use axum::{
    Json, Router,
    body::Body,
    extract::State,
    http::{HeaderMap, StatusCode, header},
    response::{IntoResponse, Response},
    routing::post,
};
use isobar_benches::byhand;
use serde::{Deserialize, Serialize};

#[global_allocator]
static ALLOCATOR: mimalloc::MiMalloc = mimalloc::MiMalloc;

struct Site {
    client: reqwest::Client,
    base: String,
    deepgram: String,
    deepl: String,
}

fn main() -> Result<(), Box<dyn std::error::Error>> {
    let arguments: Vec<String> = env::args().skip(1).collect();
    let [listen, base, deepgram, deepl] = arguments.as_slice() else {
        return Err("byhand LISTEN BASE DEEPGRAM_KEY DEEPL_KEY".into());
    };
    // The client asks for a provider even where nothing is encrypted.
    let _ = rustls::crypto::ring::default_provider().install_default();
    // As the gateway in this bench: one thread.
    let runtime = tokio::runtime::Builder::new_current_thread()
        .enable_all()
        .build()?;
    runtime.block_on(async {
        let site = Site {
            client: reqwest::Client::builder()
                .no_proxy()
                .tcp_nodelay(true)
                .build()?,
            base: base.clone(),
            deepgram: deepgram.clone(),
            deepl: deepl.clone(),
        };
        let routes = Router::new()
            .route("/v1/audio/transcriptions", post(transcribe))
            .route("/v1/translate", post(translate))
            .with_state(Arc::new(site));
        let listener = tokio::net::TcpListener::bind(listen).await?;
        axum::serve(listener, routes).await?;
        Ok(())
    })
}

/// Anything that goes wrong is the caller's or the vendor's fault; which does not matter here.
struct Failed(StatusCode);

impl IntoResponse for Failed {
    fn into_response(self) -> Response {
        self.0.into_response()
    }
}

fn bad<E>(_: E) -> Failed {
    Failed(StatusCode::BAD_REQUEST)
}

fn gone<E>(_: E) -> Failed {
    Failed(StatusCode::BAD_GATEWAY)
}

async fn transcribe(
    State(site): State<Arc<Site>>,
    headers: HeaderMap,
    body: Body,
) -> Result<Response, Failed> {
    let told = headers
        .get(header::CONTENT_TYPE)
        .and_then(|value| value.to_str().ok())
        .unwrap_or_default();
    let boundary = multer::parse_boundary(told).map_err(bad)?;
    let mut form = multer::Multipart::new(body.into_data_stream(), boundary);
    let (mut audio, mut language) = (None, None);
    while let Some(part) = form.next_field().await.map_err(bad)? {
        match part.name() {
            Some("file") => audio = Some(part.bytes().await.map_err(bad)?),
            Some("language") => language = Some(part.text().await.map_err(bad)?),
            _ => {}
        }
    }
    let audio = audio.ok_or(Failed(StatusCode::BAD_REQUEST))?;
    let language = match language {
        None => "detect_language=true".to_owned(),
        Some(tag) if tag.chars().all(|c| c.is_ascii_alphanumeric() || c == '-') => {
            format!("language={tag}")
        }
        Some(_) => return Err(Failed(StatusCode::BAD_REQUEST)),
    };
    let answer = site
        .client
        .post(format!(
            "{}/deepgram/v1/listen?model=nova-3&smart_format=true&{language}",
            site.base
        ))
        .header(header::AUTHORIZATION, format!("Token {}", site.deepgram))
        .header(header::CONTENT_TYPE, "audio/wav")
        .body(audio)
        .send()
        .await
        .and_then(reqwest::Response::error_for_status)
        .map_err(gone)?;
    let answer = answer.bytes().await.map_err(gone)?;
    let transcript = byhand::transcript(&answer).ok_or(Failed(StatusCode::BAD_GATEWAY))?;
    Ok(Json(transcript).into_response())
}

#[derive(Deserialize)]
struct Wanted {
    text: String,
    from: Option<String>,
    to: String,
}

#[derive(Serialize)]
struct Asked<'a> {
    text: [&'a str; 1],
    #[serde(skip_serializing_if = "Option::is_none")]
    source_lang: Option<String>,
    target_lang: String,
    show_billed_characters: bool,
}

#[derive(Deserialize)]
struct Told {
    translations: Vec<Translated>,
}

#[derive(Deserialize)]
struct Translated {
    detected_source_language: String,
    text: String,
    billed_characters: u64,
}

#[derive(Serialize)]
struct Answer {
    text: String,
    from: String,
    to: String,
    billed: u64,
}

async fn translate(
    State(site): State<Arc<Site>>,
    Json(wanted): Json<Wanted>,
) -> Result<Json<Answer>, Failed> {
    let asked = Asked {
        text: [&wanted.text],
        source_lang: wanted.from.as_ref().map(|tag| tag.to_uppercase()),
        target_lang: wanted.to.to_uppercase(),
        show_billed_characters: true,
    };
    let answer = site
        .client
        .post(format!("{}/deepl/v2/translate", site.base))
        .header(
            header::AUTHORIZATION,
            format!("DeepL-Auth-Key {}", site.deepl),
        )
        .json(&asked)
        .send()
        .await
        .and_then(reqwest::Response::error_for_status)
        .map_err(gone)?;
    let told: Told = answer.json().await.map_err(gone)?;
    let first = told
        .translations
        .into_iter()
        .next()
        .ok_or(Failed(StatusCode::BAD_GATEWAY))?;
    Ok(Json(Answer {
        text: first.text,
        from: first.detected_source_language.to_lowercase(),
        to: wanted.to,
        billed: first.billed_characters,
    }))
}
