//! What a client does while it is served: it sends the rest of its body, or it leaves.

use std::time::Duration;

use pingora_core::{Error, ErrorType, Result, protocols::http::ServerSession as Session};

use super::gateway::{Unread, too_large};
use crate::serve::live::Feed;

/// A body on its way from the client, if there is more of it to come.
#[derive(Debug, Default)]
pub(super) struct Upload {
    feed: Option<Feed>,
    limit: u64,
    read: u64,
    idle: Duration,
}

impl Upload {
    /// A body that is passed on as it comes, of at most `limit` bytes, with no silence longer than `idle`.
    pub(super) fn new(feed: Feed, limit: u64, idle: Duration) -> Self {
        Self {
            feed: Some(feed),
            limit,
            read: 0,
            idle,
        }
    }

    /// Passes the body on, then watches that the client is still there. Resolves only when the request cannot go on; may
    /// be dropped and called again.
    pub(super) async fn go_on(&mut self, session: &mut Session) -> Unread {
        loop {
            let going = match &self.feed {
                Some(feed) if !feed.is_whole() => {
                    feed.wanted().await;
                    self.pass_on(session).await
                }
                _ => {
                    let watched = session.read_body_or_idle(true).await;
                    watched
                        .map(|_| ())
                        .map_err(|error| Unread::Gone(error.into_down()))
                }
            };
            if let Err(unread) = going {
                return unread;
            }
        }
    }

    async fn pass_on(&mut self, session: &mut Session) -> Result<(), Unread> {
        let Some(feed) = &self.feed else {
            return Ok(());
        };
        let piece = if session.is_http2() {
            // Pingora limits the time of HTTP/1 alone.
            let read = tokio::time::timeout(self.idle, session.read_request_body());
            read.await.map_err(|_| Unread::slow())?
        } else {
            session.read_request_body().await
        };
        match piece.map_err(Unread::from_client)? {
            Some(piece) => {
                self.read += piece.len() as u64;
                if self.read > self.limit {
                    return Err(Unread::Problem(too_large(self.limit)));
                }
                feed.push(piece);
            }
            None => {
                feed.finish();
                if !feed.is_whole() {
                    let error =
                        Error::explain(ErrorType::ConnectionClosed, "the body is too short");
                    return Err(Unread::Gone(error.into_down()));
                }
            }
        }
        Ok(())
    }

    /// Whether the vendor is busy with the body, or with waiting for it, so that its silence means nothing.
    pub(super) fn is_moving(&self, patience: Duration) -> bool {
        let feed = self.feed.as_ref();
        feed.is_some_and(|feed| feed.is_moving(patience))
    }
}
