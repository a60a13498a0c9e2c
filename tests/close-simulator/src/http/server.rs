//! The listener: one task per connection, HTTP/1.1 and HTTP/2 without TLS (by prior knowledge).

use std::{io, net::SocketAddr, sync::Arc};

use bytes::Bytes;
use futures::StreamExt;
use http_body_util::{BodyExt, Full, StreamBody, combinators::BoxBody};
use hyper::{
    body::Incoming,
    header::{DATE, HeaderValue},
    service::service_fn,
};
use hyper_util::{
    rt::{TokioExecutor, TokioIo},
    server::conn::auto,
};
use tokio::net::TcpListener;
use tokio_util::sync::CancellationToken;

use super::{
    answer::{self, Answer},
    compress,
    damage::{CutBody, Outcome, damage},
    faults::Fault,
    group::{Group, Who},
    request::Request,
    router::route,
    socket::{Connection, Socket},
};
use crate::{Simulator, control};

/// Maximum bytes of a body.
const MAX_BODY: usize = 64 << 20;

/// The body is complete, streamed line by line, or cut by a fault.
type Response = hyper::Response<BoxBody<Bytes, io::Error>>;

/// Serves connections until `stop` is cancelled.
pub async fn serve(listener: TcpListener, simulator: Arc<Simulator>, stop: CancellationToken) {
    loop {
        let (stream, peer) = tokio::select! {
            () = stop.cancelled() => return,
            accepted = listener.accept() => match accepted {
                Ok(accepted) => accepted,
                // Out of descriptors, or the peer is already gone: the next accept may succeed.
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
            let connection = Arc::new(Connection::new(stream));
            let service = service_fn(|request| respond(Arc::clone(&simulator), Arc::clone(&connection), peer, request));
            let builder = auto::Builder::new(TokioExecutor::new());
            let served = builder.serve_connection(TokioIo::new(Socket(Arc::clone(&connection))), service);
            tokio::select! {
                () = stop.cancelled() => {}
                () = connection.ended.notified() => {}
                served = served => if let Err(error) = served {
                    tracing::debug!(%error, %peer, "connection ended");
                }
            }
        });
    }
}

/// An answer with the organization's time as its date: Close has one clock.
async fn respond(
    simulator: Arc<Simulator>,
    connection: Arc<Connection>,
    peer: SocketAddr,
    request: hyper::Request<Incoming>,
) -> io::Result<Response> {
    let mut response = undated(Arc::clone(&simulator), connection, peer, request).await?;
    let now = simulator.world.read().clock.now();
    if let Some(date) = now.http_date().and_then(|date| HeaderValue::from_str(&date).ok()) {
        response.headers_mut().insert(DATE, date);
    }
    Ok(response)
}

async fn undated(
    simulator: Arc<Simulator>,
    connection: Arc<Connection>,
    peer: SocketAddr,
    request: hyper::Request<Incoming>,
) -> io::Result<Response> {
    let (head, body) = request.into_parts();
    let Ok(body) = http_body_util::Limited::new(body, MAX_BODY).collect().await else {
        return Ok(whole(Answer::json(413, &serde_json::json!({ "error": "Request body too large." })), false));
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
    let mut request =
        Request::new(head.method.as_str(), head.uri.path(), head.uri.query().unwrap_or(""), headers, body.to_bytes());
    request.peer = Some(peer.ip());
    let without_body = request.method == "HEAD";
    if let Some(lines) = control::lines(&simulator, &request) {
        let frames = received(lines).map(|chunk| Ok(hyper::body::Frame::data(chunk)));
        let response = hyper::Response::builder().header("content-type", "application/x-ndjson");
        return Ok(response.body(BodyExt::boxed(StreamBody::new(frames))).expect("headers are plain text"));
    }
    if request.path.starts_with(super::files::ROOT) {
        return Ok(whole(super::files::answer(&simulator, &request), without_body));
    }
    if request.path.starts_with(control::ROOT) {
        // Controls may take seconds: a snapshot, thousands of changes.
        let answer =
            tokio::task::spawn_blocking(move || answer::guarded(&simulator, || control::answer(&simulator, &request)))
                .await;
        return Ok(whole(answer.map_err(io::Error::other)?, without_body));
    }
    let wants_gzip = request.header("accept-encoding").is_some_and(compress::accepts_gzip);
    let finish = |simulator: &Simulator, answer: Answer| {
        if wants_gzip { compress::compressed(simulator, answer) } else { answer }
    };
    let Some(fault) = meets(&simulator, &request) else {
        let answer = answer::answer(&simulator, request);
        return Ok(whole(finish(&simulator, answer), without_body));
    };
    if let Some(delay) = fault.delay().filter(|_| fault.spec.kind == super::faults::Kind::Slow && !fault.spec.after) {
        tokio::time::sleep(delay).await;
    }
    let made = if fault.carries_out() {
        Some(answer::answer(&simulator, request))
    } else {
        lost(&simulator, &request, &fault)
    };
    if let Some(delay) = fault.delay().filter(|_| fault.spec.kind == super::faults::Kind::Slow && fault.spec.after) {
        tokio::time::sleep(delay).await;
    }
    match damage(&simulator.faults, &fault, made) {
        Outcome::Answer(answer) => Ok(whole(finish(&simulator, answer), without_body)),
        Outcome::Cut(answer, part) => {
            let builder = started(&answer);
            Ok(builder.body(BodyExt::boxed(CutBody::new(answer.body.into(), part))).expect("headers are plain text"))
        }
        Outcome::Reset => {
            connection.reset();
            std::future::pending().await
        }
        Outcome::Silence(None) => std::future::pending().await,
        Outcome::Silence(Some(time)) => {
            tokio::time::sleep(time).await;
            Err(io::Error::other("no answer, as asked for"))
        }
    }
}

fn meets(simulator: &Simulator, request: &Request) -> Option<Arc<Fault>> {
    let path = answer::inner_path(&request.path)?;
    let key = || super::auth::caller(&simulator.world.read(), request).map(|caller| caller.name);
    simulator.faults.draw(simulator.options.seed, &request.method, &path, key)
}

/// Counts a request that is not carried out, under the status of its fault, or 0 for no answer.
fn lost(simulator: &Simulator, request: &Request, fault: &Fault) -> Option<Answer> {
    use super::faults::Kind;
    let status = match fault.spec.kind {
        Kind::Html429 => 429,
        Kind::Html502 => 502,
        Kind::Status => fault.spec.status.unwrap_or(503),
        Kind::Empty => fault.spec.status.unwrap_or(200),
        _ => 0,
    };
    let caller = super::auth::caller(&simulator.world.read(), request);
    let found = answer::inner_path(&request.path).and_then(|path| route(&path));
    let group = Group::of(&request.method, found.as_ref());
    simulator.counters.count(group, Who::of(caller.as_ref(), request.peer), caller.as_ref(), status);
    None
}

fn started(answer: &Answer) -> hyper::http::response::Builder {
    let mut builder = hyper::Response::builder().status(answer.status);
    if !answer.content_type.is_empty() {
        builder = builder.header("content-type", answer.content_type);
    }
    for (name, value) in &answer.headers {
        builder = builder.header(*name, value);
    }
    builder
}

fn whole(answer: Answer, without_body: bool) -> Response {
    let mut builder = started(&answer);
    let mut body = answer.body;
    if without_body {
        builder = builder.header("content-length", body.len());
        body = Vec::new();
    }
    builder
        .body(BodyExt::boxed(Full::new(body.into()).map_err(|never| match never {})))
        .expect("headers are plain text")
}

fn received(mut lines: tokio::sync::mpsc::Receiver<Bytes>) -> impl futures::Stream<Item = Bytes> {
    futures::stream::poll_fn(move |context| lines.poll_recv(context))
}
