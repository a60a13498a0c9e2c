//! Accepting connections, and serving each until its end.
//!
//! The accept loop is our own because strangers reach it first: it has a deadline for the head of a request, which also
//! applies to a connection that never sends a byte, limits on connections, and a pause while the process is out of file
//! descriptors. Nothing here reads a body.

use std::{
    convert::Infallible,
    error::Error,
    io,
    pin::pin,
    sync::{
        Arc,
        atomic::{AtomicBool, Ordering},
    },
    time::Duration,
};

use hyper::{
    Request, Response,
    body::{Body, Incoming},
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
    stream::Stream,
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
    /// Spawns an accept loop per socket. `services` makes the service of each connection; `name` is for the log.
    pub fn start<M, S, B>(
        name: &'static str,
        sockets: Vec<TcpListener>,
        limits: Limits,
        metrics: ListenerMetrics,
        services: M,
    ) -> Self
    where
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

struct Loop<M> {
    name: &'static str,
    places: Arc<Places>,
    open: mpsc::Sender<Infallible>,
    stop: CancellationToken,
    services: M,
}

impl<M, S, B> Loop<M>
where
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
            let (stop, open) = (self.stop.clone(), self.open.clone());
            tokio::spawn(async move {
                serve(name, stream, peer, service, &places.metrics, stop).await;
                drop(open);
            });
        }
    }
}

async fn serve<S, B>(
    name: &'static str,
    socket: TcpStream,
    peer: Peer,
    service: S,
    metrics: &ListenerMetrics,
    stop: CancellationToken,
) where
    S: Service<Request<Incoming>, Response = Response<B>, Error = Infallible> + Sync,
    B: Body + 'static,
    B::Error: Into<Box<dyn Error + Send + Sync>>,
{
    let (unread, has_answered) = (Arc::new(AtomicBool::new(false)), AtomicBool::new(false));
    let service = service_fn(|request| {
        let answering = service.call(request);
        async {
            let answer = answering.await;
            has_answered.store(true, Ordering::Relaxed);
            answer
        }
    });
    let connection = http1::Builder::new()
        .timer(TokioTimer::new())
        .header_read_timeout(HEAD_DEADLINE)
        .max_buf_size(MAX_HEAD)
        .max_headers(MAX_HEADERS)
        .serve_connection(TokioIo::new(Stream::new(socket, unread.clone())), service);
    let mut connection = pin!(connection);
    let ended = tokio::select! {
        biased;
        ended = connection.as_mut() => ended,
        () = peer.is_displaced() => return,
        () = stop.cancelled() => {
            connection.as_mut().graceful_shutdown();
            timeout(DRAIN_DEADLINE, connection).await.unwrap_or(Ok(()))
        }
    };
    let Err(error) = ended else { return };
    let reason = if unread.load(Ordering::Relaxed) {
        Some(Closed::Unread)
    } else if error.is_timeout() {
        // An idle connection after an answer ends in the same way, and is nothing to count.
        (!has_answered.load(Ordering::Relaxed)).then_some(Closed::NoRequest)
    } else {
        is_timed_out(&error).then_some(Closed::Vanished)
    };
    if let Some(reason) = reason {
        metrics.closed(reason);
    }
    debug!(listener = name, error = %error, "a connection ended early");
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
