//! The gateway as Pingora's pipeline calls it.

use std::sync::Arc;

use async_trait::async_trait;
use http::header;
use pingora_core::{Error, Result, upstreams::peer::HttpPeer};
use pingora_http::{RequestHeader, ResponseHeader};
use pingora_proxy::{FailToProxy, ProxyHttp, ProxyWarnLogContext, Session};

use super::{context::Context, front, gateway::Gateway, upgrade};

/// Hooks of the pipeline; what they do is in `gateway.rs` and `upgrade.rs`.
pub(crate) struct Hooks(pub(crate) Arc<Gateway>);

#[async_trait]
impl ProxyHttp for Hooks {
    type CTX = Context;

    fn new_ctx(&self) -> Context {
        Context::new()
    }

    fn init_downstream_modules(&self, _: &mut pingora_core::modules::http::HttpModules) {}

    async fn early_request_filter(&self, session: &mut Session, cx: &mut Context) -> Result<()> {
        front::request_began();
        self.0.begin(session, cx);
        Ok(())
    }

    async fn request_filter(&self, session: &mut Session, cx: &mut Context) -> Result<bool> {
        self.0.answer(session, cx).await
    }

    async fn upstream_peer(
        &self,
        session: &mut Session,
        cx: &mut Context,
    ) -> Result<Box<HttpPeer>> {
        upgrade::peer(&self.0.registry, session, cx).await
    }

    fn fail_to_connect(
        &self,
        session: &mut Session,
        _: &HttpPeer,
        cx: &mut Context,
        error: Box<Error>,
    ) -> Box<Error> {
        upgrade::connect_failed(session, cx, error)
    }

    async fn upstream_request_filter(
        &self,
        session: &mut Session,
        request: &mut RequestHeader,
        cx: &mut Context,
    ) -> Result<()> {
        upgrade::write_request(session, request, cx)
    }

    async fn upstream_response_filter(
        &self,
        session: &mut Session,
        answer: &mut ResponseHeader,
        cx: &mut Context,
    ) -> Result<()> {
        upgrade::answered(session, answer, cx)
    }

    async fn response_filter(
        &self,
        session: &mut Session,
        answer: &mut ResponseHeader,
        _: &mut Context,
    ) -> Result<()> {
        // Pingora writes chunks to everybody. A client of HTTP/1.0 knows none; its answer ends with the connection.
        if session.req_header().version == http::Version::HTTP_10 {
            answer.remove_header(&header::TRANSFER_ENCODING);
        }
        Ok(())
    }

    fn error_while_proxy(
        &self,
        _: &HttpPeer,
        session: &mut Session,
        error: Box<Error>,
        cx: &mut Context,
        _: bool,
    ) -> Box<Error> {
        upgrade::broken(session, cx, error)
    }

    async fn fail_to_proxy(
        &self,
        session: &mut Session,
        error: &Error,
        cx: &mut Context,
    ) -> FailToProxy {
        FailToProxy {
            error_code: self.0.fail(session, cx, error).await,
            can_reuse_downstream: false,
        }
    }

    fn suppress_error_log(&self, _: &Session, _: &Context, _: &Error) -> bool {
        // The access log and the metrics tell every failure, with its attempts.
        true
    }

    fn suppress_proxy_warn_log(
        &self,
        _: &Session,
        _: &Context,
        _: &Error,
        _: ProxyWarnLogContext,
    ) -> bool {
        true
    }

    async fn logging(&self, session: &mut Session, _: Option<&Error>, cx: &mut Context) {
        front::request_ended();
        self.0.settle(session, cx);
    }
}
