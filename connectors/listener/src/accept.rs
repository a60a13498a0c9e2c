//! Accepting connections, and serving each until its end.
//!
//! The accept loop is our own because strangers reach it first: it has a deadline for the head of a request, which also
//! applies to a connection that never sends a byte, limits on connections, and a pause while the process is out of file
//! descriptors. Nothing here reads a body.

use std::{
    convert::Infallible,
    error::Error,
    io,
    sync::{Arc, atomic::Ordering},
    time::Duration,
};

use http_body_util::{BodyExt as _, Collected};
use hyper::{
    Request, Response, StatusCode,
    body::{Body, Incoming},
    header::{CONNECTION, CONTENT_LENGTH},
    server::conn::http1,
    service::{Service, service_fn},
};
use hyper_util::rt::{TokioIo, TokioTimer};
use tokio::{
    net::{TcpListener, TcpStream},
    sync::mpsc,
    task::JoinSet,
    time::{Instant, sleep, timeout},
};
use tokio_util::sync::CancellationToken;
use tracing::{debug, warn};

use crate::{
    metrics::{Closed, ListenerMetrics},
    places::{Limits, Peer, Places},
    stream::{Seen, Stream},
};

/// Time for the head of a request to arrive, counted from the connection or the previous answer.
const HEAD_DEADLINE: Duration = Duration::from_secs(10);
/// Maximum bytes of the head of a request.
const MAX_HEAD: usize = 16 * 1024;
const MAX_HEADERS: usize = 64;
/// Pause after a failed accept, for example for lack of file descriptors.
const ACCEPT_PAUSE: Duration = Duration::from_millis(200);
/// Time between warnings about a full listener.
const WARNING_PAUSE: Duration = Duration::from_mins(1);
/// Time for requests in flight to be answered after the sockets close.
const DRAIN_DEADLINE: Duration = Duration::from_secs(9);

/// The accept loops of bound sockets. Dropping it closes the sockets; connections end when they are idle.
#[derive(Debug)]
pub struct Accepting {
    loops: JoinSet<()>,
    stop: CancellationToken,
    /// Closed after the last connection has ended.
    connections: mpsc::Receiver<Infallible>,
}

impl Accepting {
    /// Spawns an accept loop per socket. `services` makes the service of each connection, and `refusal` the answer to a
    /// head that is not HTTP/1 (400), or has over 16 KiB or 64 headers (431); `name` is for the log.
    pub fn start<M, S, B, R>(
        name: &'static str,
        sockets: Vec<TcpListener>,
        limits: Limits,
        metrics: ListenerMetrics,
        services: M,
        refusal: R,
    ) -> Self
    where
        R: Fn(StatusCode) -> Response<B> + Clone + Send + Sync + 'static,
        M: Fn(Peer) -> S + Clone + Send + 'static,
        S: Service<Request<Incoming>, Response = Response<B>, Error = Infallible> + Send + Sync + 'static,
        S::Future: Send,
        B: Body + Send + 'static,
        B::Data: Send,
        B::Error: Into<Box<dyn Error + Send + Sync>>,
    {
        let stop = CancellationToken::new();
        let (open, connections) = mpsc::channel(1);
        let places = Places::new(limits, metrics);
        let mut loops = JoinSet::new();
        for socket in sockets {
            let accepting = Loop {
                name,
                places: places.clone(),
                open: open.clone(),
                stop: stop.clone(),
                services: services.clone(),
                refusal: refusal.clone(),
            };
            loops.spawn(accepting.run(socket));
        }
        Self { loops, stop, connections }
    }

    /// Closes the sockets and ends idle connections. Other connections end after their answer.
    pub async fn stop(&mut self) {
        self.stop.cancel();
        while self.loops.join_next().await.is_some() {}
    }

    /// Waits after [`Accepting::stop`] until every connection has ended, at most 9 seconds.
    pub async fn drain(mut self) {
        let _ = timeout(DRAIN_DEADLINE, self.connections.recv()).await;
    }
}

impl Drop for Accepting {
    fn drop(&mut self) {
        self.stop.cancel();
    }
}

struct Loop<M, R> {
    name: &'static str,
    places: Arc<Places>,
    open: mpsc::Sender<Infallible>,
    stop: CancellationToken,
    services: M,
    refusal: R,
}

impl<M, S, B, R> Loop<M, R>
where
    R: Fn(StatusCode) -> Response<B> + Clone + Send + Sync + 'static,
    M: Fn(Peer) -> S + Send + 'static,
    S: Service<Request<Incoming>, Response = Response<B>, Error = Infallible> + Send + Sync + 'static,
    S::Future: Send,
    B: Body + Send + 'static,
    B::Data: Send,
    B::Error: Into<Box<dyn Error + Send + Sync>>,
{
    async fn run(self, socket: TcpListener) {
        let name = self.name;
        let mut warned: Option<Instant> = None;
        loop {
            let accepted = tokio::select! {
                biased;
                () = self.stop.cancelled() => return,
                accepted = socket.accept() => accepted,
            };
            let (stream, address) = match accepted {
                Ok(accepted) => accepted,
                Err(error) => {
                    warn!(listener = name, error = %error, "cannot accept a connection");
                    sleep(ACCEPT_PAUSE).await;
                    continue;
                }
            };
            let Some(peer) = self.places.take(address.ip()) else {
                if warned.is_none_or(|warned| warned.elapsed() > WARNING_PAUSE) {
                    warned = Some(Instant::now());
                    warn!(
                        listener = name,
                        "refused a connection: known clients hold all places, in all or of its address"
                    );
                }
                continue;
            };
            let (service, places) = ((self.services)(peer.clone()), self.places.clone());
            let (stop, open, refusal) = (self.stop.clone(), self.open.clone(), self.refusal.clone());
            tokio::spawn(async move {
                let refused = serve(name, stream, &peer, service, &places.metrics, stop).await;
                if let Some((stream, status)) = refused {
                    let answer = written(refusal(status)).await;
                    tokio::select! {
                        () = stream.refuse(&answer) => {}
                        () = peer.is_displaced() => {}
                    }
                }
                drop(open);
            });
        }
    }
}

/// Serves a connection until its end. Returns its stream with a status if it ended at a head that is refused.
async fn serve<S, B>(
    name: &'static str,
    socket: TcpStream,
    peer: &Peer,
    service: S,
    metrics: &ListenerMetrics,
    stop: CancellationToken,
) -> Option<(Stream, StatusCode)>
where
    S: Service<Request<Incoming>, Response = Response<B>, Error = Infallible> + Sync,
    B: Body + 'static,
    B::Error: Into<Box<dyn Error + Send + Sync>>,
{
    let seen = Arc::<Seen>::default();
    let service = service_fn(|request| {
        seen.requests.fetch_add(1, Ordering::Relaxed);
        let answering = service.call(request);
        async {
            let answer = answering.await;
            seen.answers.fetch_add(1, Ordering::Relaxed);
            answer
        }
    });
    let mut connection = http1::Builder::new()
        .timer(TokioTimer::new())
        .header_read_timeout(HEAD_DEADLINE)
        .max_buf_size(MAX_HEAD)
        .max_headers(MAX_HEADERS)
        .serve_connection(TokioIo::new(Stream::new(socket, seen.clone())), service);
    let ended = tokio::select! {
        biased;
        ended = &mut connection => ended,
        () = peer.is_displaced() => return None,
        () = stop.cancelled() => {
            std::pin::Pin::new(&mut connection).graceful_shutdown();
            timeout(DRAIN_DEADLINE, &mut connection).await.unwrap_or(Ok(()))
        }
    };
    let error = ended.err()?;
    debug!(listener = name, error = %error, "a connection ended early");
    if error.is_parse() {
        let is_large = error.is_parse_too_large();
        let status = if is_large { StatusCode::REQUEST_HEADER_FIELDS_TOO_LARGE } else { StatusCode::BAD_REQUEST };
        return Some((connection.into_parts().io.into_inner(), status));
    }
    let reason = if seen.unread.load(Ordering::Relaxed) {
        Some(Closed::Unread)
    } else if error.is_timeout() {
        // An idle connection after an answer ends in the same way, and is nothing to count.
        (seen.answers.load(Ordering::Relaxed) == 0).then_some(Closed::NoRequest)
    } else {
        is_timed_out(&error).then_some(Closed::Vanished)
    };
    if let Some(reason) = reason {
        metrics.closed(reason);
    }
    None
}

/// The last answer of a connection, as it is sent.
async fn written<B: Body>(answer: Response<B>) -> Vec<u8> {
    let (head, body) = answer.into_parts();
    // The body is made by this process; an error of it leaves it empty.
    let body = body.collect().await.map(Collected::to_bytes).unwrap_or_default();
    let mut written =
        format!("HTTP/1.1 {}\r\nconnection: close\r\ncontent-length: {}\r\n", head.status, body.len()).into_bytes();
    for (name, value) in head.headers.iter().filter(|(name, _)| **name != CONNECTION && **name != CONTENT_LENGTH) {
        written.extend([name.as_str().as_bytes(), b": ", value.as_bytes(), b"\r\n"].concat());
    }
    written.extend(b"\r\n");
    written.extend(body);
    written
}

/// Returns true if the kernel gave the connection up.
fn is_timed_out(error: &hyper::Error) -> bool {
    let mut source = error.source();
    while let Some(error) = source {
        if error.downcast_ref::<io::Error>().is_some_and(|error| error.kind() == io::ErrorKind::TimedOut) {
            return true;
        }
        source = error.source();
    }
    false
}

#[cfg(test)]
mod tests;
