//! The composition of `benches/compositions` as one would write it by hand with axum, reqwest and `serde_json::Value`: one
//! call, then two at once with a value of the first one's answer, merged.
//!
//! `aggregate LISTEN BASE`: the calls go to `BASE/heard`, `BASE/mood` and `BASE/people`.

use std::{env, sync::Arc};

use axum::{Json, Router, extract::State, http::StatusCode, routing::post};
use serde_json::{Value, json};

#[global_allocator]
static ALLOCATOR: mimalloc::MiMalloc = mimalloc::MiMalloc;

struct Site {
    client: reqwest::Client,
    base: String,
}

fn main() -> Result<(), Box<dyn std::error::Error>> {
    let arguments: Vec<String> = env::args().skip(1).collect();
    let [listen, base] = arguments.as_slice() else {
        return Err("aggregate LISTEN BASE".into());
    };
    // The client asks for a provider even where nothing is encrypted.
    let _ = rustls::crypto::ring::default_provider().install_default();
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
        };
        let routes = Router::new()
            .route("/v1/insights", post(insights))
            .with_state(Arc::new(site));
        let listener = tokio::net::TcpListener::bind(listen).await?;
        axum::serve(listener, routes).await?;
        Ok(())
    })
}

impl Site {
    async fn call(&self, path: &str, body: &Value) -> Result<Value, StatusCode> {
        let gone = |_| StatusCode::BAD_GATEWAY;
        let answer = self
            .client
            .post(format!("{}{path}", self.base))
            .json(body)
            .send()
            .await
            .and_then(reqwest::Response::error_for_status)
            .map_err(gone)?;
        answer.json().await.map_err(gone)
    }
}

async fn insights(
    State(site): State<Arc<Site>>,
    Json(asked): Json<Value>,
) -> Result<Json<Value>, StatusCode> {
    let call = asked
        .get("call")
        .and_then(Value::as_str)
        .ok_or(StatusCode::BAD_REQUEST)?;
    let heard = site.call("/heard", &json!({ "call": call })).await?;
    let text = json!({ "text": heard.get("text"), "language": heard.get("language") });
    let (mood, people) = tokio::try_join!(site.call("/mood", &text), site.call("/people", &text))?;
    let names: Vec<&Value> = people
        .get("entities")
        .and_then(Value::as_array)
        .into_iter()
        .flatten()
        .filter_map(|entity| entity.get("name"))
        .collect();
    Ok(Json(json!({
        "text": heard.get("text"),
        "mood": mood.get("label"),
        "score": mood.get("score"),
        "people": names,
        "english": heard.get("language").and_then(Value::as_str) == Some("en"),
    })))
}
