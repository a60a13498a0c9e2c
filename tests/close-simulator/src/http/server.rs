//! The listener: one task a connection, HTTP/1.1 and HTTP/2 without TLS.

use std::net::SocketAddr;
use std::sync::Arc;

use bytes::Bytes;
use futures::StreamExt;
use http_body_util::combinators::BoxBody;
use http_body_util::{BodyExt, Full, StreamBody};
use hyper::body::Incoming;
use hyper::service::service_fn;
use hyper_util::rt::{TokioExecutor, TokioIo};
use hyper_util::server::conn::auto;
use tokio::net::TcpListener;
use tokio_util::sync::CancellationToken;

use super::answer::{Answer, answer};
use super::request::Request;
use crate::{Simulator, control};

/// What an answer carries: bytes at hand, or lines as they are written.
type Body = BoxBody<Bytes, std::io::Error>;

/// The largest body that is read, in bytes.
const MAX_BODY: usize = 64 << 20;

/// Serves connections until `stop`.
pub async fn serve(listener: TcpListener, simulator: Arc<Simulator>, stop: CancellationToken) {
    loop {
        let (stream, peer) = tokio::select! {
            () = stop.cancelled() => return,
            accepted = listener.accept() => match accepted {
                Ok(accepted) => accepted,
                // Out of descriptors, or a peer that was gone already: the next accept may succeed.
                Err(error) => {
                    tracing::warn!(%error, "cannot accept a connection");
                    tokio::time::sleep(std::time::Duration::from_millis(50)).await;
                    continue;
                }
            },
        };
        let _ = stream.set_nodelay(true);
        let simulator = Arc::clone(&simulator);
        let stop = stop.clone();
        tokio::spawn(async move {
            let service = service_fn(|request| respond(Arc::clone(&simulator), peer, request));
            let builder = auto::Builder::new(TokioExecutor::new());
            let connection = builder.serve_connection(TokioIo::new(stream), service);
            tokio::select! {
                () = stop.cancelled() => {}
                served = connection => if let Err(error) = served {
                    tracing::debug!(%error, %peer, "connection ended");
                }
            }
        });
    }
}

async fn respond(
    simulator: Arc<Simulator>,
    _peer: SocketAddr,
    request: hyper::Request<Incoming>,
) -> Result<hyper::Response<Body>, std::io::Error> {
    let (head, body) = request.into_parts();
    let Ok(body) = http_body_util::Limited::new(body, MAX_BODY).collect().await else {
        return Ok(response(Answer::json(413, &serde_json::json!({ "error": "Request body too large." }))));
    };
    let mut headers: Vec<(String, String)> = head
        .headers
        .iter()
        .map(|(name, value)| (name.as_str().to_owned(), String::from_utf8_lossy(value.as_bytes()).into_owned()))
        .collect();
    // HTTP/2 has the host in the target.
    if let (None, Some(host)) = (head.headers.get("host"), head.uri.authority()) {
        headers.push(("host".to_owned(), host.to_string()));
    }
    let request = Request::new(head.method.as_str(), head.uri.path(), head.uri.query().unwrap_or(""), headers, body.to_bytes());
    if let Some(lines) = control::lines(&simulator, &request) {
        let frames = received(lines).map(|chunk| Ok(hyper::body::Frame::data(chunk)));
        let response = hyper::Response::builder().header("content-type", "application/x-ndjson");
        return Ok(response.body(BodyExt::boxed(StreamBody::new(frames))).expect("headers are plain text"));
    }
    if request.path.starts_with(control::ROOT) {
        return Ok(response(control::answer(&simulator, &request)));
    }
    if request.path.starts_with(super::files::ROOT) {
        return Ok(response(super::files::answer(&simulator, &request)));
    }
    Ok(response(answer(&simulator, request)))
}

fn response(answer: Answer) -> hyper::Response<Body> {
    let mut builder = hyper::Response::builder().status(answer.status);
    if !answer.content_type.is_empty() {
        builder = builder.header("content-type", answer.content_type);
    }
    for (name, value) in answer.headers {
        builder = builder.header(name, value);
    }
    builder.body(Full::new(answer.body.into()).map_err(|never| match never {}).boxed()).expect("headers are plain text")
}

fn received(mut lines: tokio::sync::mpsc::Receiver<Bytes>) -> impl futures::Stream<Item = Bytes> {
    futures::stream::poll_fn(move |context| lines.poll_recv(context))
}
