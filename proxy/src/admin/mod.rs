//! The admin port: health, metrics, status, configuration, reload. On a thread and runtime of its own, so that it
//! answers while the data plane is busy.

pub(crate) mod failures;
pub(crate) mod metrics;
mod status;

use std::{io, net::TcpListener, sync::Arc, thread::JoinHandle};

use axum::{
    Json, Router,
    extract::State,
    http::{StatusCode, header},
    response::{IntoResponse, Response},
    routing::{get, post},
};
use serde_json::json;
use tokio::sync::oneshot;

use crate::host::{Inner, ReloadError};

type Shared = State<Arc<Inner>>;

/// Stops the admin port.
pub(crate) struct Stop {
    tell: Option<oneshot::Sender<()>>,
    thread: Option<JoinHandle<()>>,
}

impl Stop {
    pub(crate) fn stop(mut self) {
        if let Some(tell) = self.tell.take() {
            let _ = tell.send(());
        }
        if let Some(thread) = self.thread.take() {
            let _ = thread.join();
        }
    }
}

/// Serves the admin port on `socket`.
pub(crate) fn start(socket: TcpListener, inner: Arc<Inner>) -> io::Result<Stop> {
    let runtime = tokio::runtime::Builder::new_current_thread()
        .enable_all()
        .build()?;
    let (tell, told) = oneshot::channel::<()>();
    let thread =
        std::thread::Builder::new()
            .name("admin".to_owned())
            .spawn(move || {
                runtime.block_on(async move {
            let Ok(listener) = tokio::net::TcpListener::from_std(socket) else { return };
            tokio::select! {
                served = axum::serve(listener, routes(inner)) => if let Err(error) = served {
                    log::error!("the admin port stopped: {error}");
                },
                _ = told => {}
            }
        });
            })?;
    Ok(Stop {
        tell: Some(tell),
        thread: Some(thread),
    })
}

fn routes(inner: Arc<Inner>) -> Router {
    Router::new()
        .route("/healthz", get(|| async { "ok\n" }))
        .route("/readyz", get(ready))
        .route("/metrics", get(metrics_text))
        .route(
            "/status",
            get(|State(inner): Shared| async move { Json(status::status(&inner)) }),
        )
        .route(
            "/config",
            get(|State(inner): Shared| async move {
                Json(isobar_config::redacted(&inner.plan.load().config))
            }),
        )
        .route("/reload", post(reload))
        .with_state(inner)
}

async fn ready(State(inner): Shared) -> (StatusCode, &'static str) {
    if inner.is_draining() {
        (StatusCode::SERVICE_UNAVAILABLE, "draining\n")
    } else {
        (StatusCode::OK, "ready\n")
    }
}

async fn metrics_text(State(inner): Shared) -> Response {
    let plan = inner.plan.load_full();
    let text = inner
        .registry
        .metrics
        .render(&status::scrape(&inner, &plan));
    ([(header::CONTENT_TYPE, "text/plain; version=0.0.4")], text).into_response()
}

/// Every metric as it stands.
pub(crate) fn families(inner: &Inner) -> Vec<prometheus::proto::MetricFamily> {
    let plan = inner.plan.load_full();
    let scrape = status::scrape(inner, &plan);
    inner.registry.metrics.gather(&scrape)
}

async fn reload(State(inner): Shared) -> Response {
    match inner.reload().await {
        Ok(reload) => {
            Json(json!({ "generation": reload.generation, "needs_restart": reload.needs_restart }))
                .into_response()
        }
        Err(ReloadError::Mistakes(report)) => {
            (StatusCode::UNPROCESSABLE_ENTITY, Json(report.json())).into_response()
        }
        Err(error) => (
            StatusCode::CONFLICT,
            Json(json!({ "error": error.to_string() })),
        )
            .into_response(),
    }
}
