//! A client of HTTP/2: GETs on the streams of one connection.

use std::io;

use h2::client::SendRequest;
use http::{Request, StatusCode};
use isobar_benches::load::HOST;

use super::{requests::Arguments, wire::Wire};

/// A stream's worth of a connection.
#[derive(Clone)]
pub(super) struct Client {
    connection: SendRequest<bytes::Bytes>,
    request: Request<()>,
}

/// Begins to speak.
pub(super) async fn connect(wire: Box<dyn Wire>, arguments: &Arguments) -> io::Result<Client> {
    let (sender, connection) = h2::client::handshake(wire)
        .await
        .map_err(io::Error::other)?;
    // Ends with the last of its clients.
    tokio::spawn(connection);
    let request = Request::get(format!("https://{HOST}{}", arguments.path))
        .header("user-agent", "load")
        .header("accept", "*/*")
        .header("authorization", &arguments.authorization)
        .body(())
        .map_err(io::Error::other)?;
    Ok(Client {
        connection: sender,
        request,
    })
}

impl Client {
    /// One request and its whole answer; whether it was 200.
    pub(super) async fn exchange(&mut self) -> io::Result<bool> {
        let mut connection = self
            .connection
            .clone()
            .ready()
            .await
            .map_err(io::Error::other)?;
        let (answer, _) = connection
            .send_request(self.request.clone(), true)
            .map_err(io::Error::other)?;
        let answer = answer.await.map_err(io::Error::other)?;
        let ok = answer.status() == StatusCode::OK;
        let mut body = answer.into_body();
        while let Some(piece) = body.data().await {
            let piece = piece.map_err(io::Error::other)?;
            let _ = body.flow_control().release_capacity(piece.len());
        }
        Ok(ok)
    }
}
