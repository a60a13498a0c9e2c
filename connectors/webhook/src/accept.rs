//! Accepting connections on the webhook sockets.
//!
//! The accept loop is our own because strangers reach it first: it has a deadline for the head of a request, which also
//! applies to a connection that never sends a byte, a limit on connections, and a pause while the process is out of
//! file descriptors. HTTP/1.1 without TLS; a proxy in front provides TLS. Nothing here reads a body.

use std::{convert::Infallible, pin::pin, sync::Arc, time::Duration};

use hyper::{server::conn::http1, service::service_fn};
use hyper_util::rt::{TokioIo, TokioTimer};
use tokio::{
    net::{TcpListener, TcpStream},
    sync::{OwnedSemaphorePermit, Semaphore},
    task::JoinSet,
    time::{sleep, timeout},
};
use tokio_util::sync::CancellationToken;
use tracing::{debug, warn};

use crate::hooks::Hooks;

/// Time for the head of a request to arrive, counted from the connection or the previous answer.
const HEAD_DEADLINE: Duration = Duration::from_secs(10);
/// Maximum bytes of the head of a request.
const MAX_HEAD: usize = 16 * 1024;
const MAX_HEADERS: usize = 64;
/// Maximum connections at once; further connections wait in the backlog of the socket.
const MAX_CONNECTIONS: u32 = 4_096;
/// Pause after a failed accept, for example for lack of file descriptors.
const ACCEPT_PAUSE: Duration = Duration::from_millis(200);
/// Time for requests in flight to be answered after the sockets close.
const DRAIN_DEADLINE: Duration = Duration::from_secs(9);

/// The accept loops of bound sockets. Dropping it closes the sockets; connections end when they are idle.
pub(crate) struct Accepting {
    loops: JoinSet<()>,
    room: Arc<Semaphore>,
    stop: CancellationToken,
}

impl Accepting {
    /// Spawns an accept loop per socket; `hooks` answers.
    pub(crate) fn start(sockets: Vec<TcpListener>, hooks: &Arc<Hooks>) -> Self {
        let room = Arc::new(Semaphore::new(MAX_CONNECTIONS as usize));
        let stop = CancellationToken::new();
        let mut loops = JoinSet::new();
        for socket in sockets {
            loops.spawn(accept(socket, hooks.clone(), room.clone(), stop.clone()));
        }
        Self { loops, room, stop }
    }

    /// Closes the sockets and ends idle connections. Other connections end after their answer.
    pub(crate) async fn stop(&mut self) {
        self.stop.cancel();
        while self.loops.join_next().await.is_some() {}
    }

    /// Waits after [`Accepting::stop`] until every connection has ended, at most [`DRAIN_DEADLINE`].
    pub(crate) async fn drain(self) {
        let _ = self.room.acquire_many(MAX_CONNECTIONS).await;
    }
}

impl Drop for Accepting {
    fn drop(&mut self) {
        self.stop.cancel();
    }
}

async fn accept(socket: TcpListener, hooks: Arc<Hooks>, room: Arc<Semaphore>, stop: CancellationToken) {
    loop {
        let accepted = async {
            let place = room.clone().acquire_owned().await;
            (socket.accept().await, place)
        };
        let (accepted, place) = tokio::select! {
            biased;
            () = stop.cancelled() => return,
            accepted = accepted => accepted,
        };
        match (accepted, place) {
            (Ok((stream, _)), Ok(place)) => drop(tokio::spawn(serve(stream, hooks.clone(), place, stop.clone()))),
            (Err(error), _) => {
                warn!(error = %error, "cannot accept a connection for webhooks");
                sleep(ACCEPT_PAUSE).await;
            }
            // The semaphore is never closed.
            (_, Err(_)) => return,
        }
    }
}

async fn serve(stream: TcpStream, hooks: Arc<Hooks>, _place: OwnedSemaphorePermit, stop: CancellationToken) {
    // Answers are small and sent whole, so delaying a segment would only add latency.
    let _ = stream.set_nodelay(true);
    let service = service_fn(|request| {
        let hooks = &hooks;
        async move { Ok::<_, Infallible>(hooks.answer(request).await) }
    });
    let connection = http1::Builder::new()
        .timer(TokioTimer::new())
        .header_read_timeout(HEAD_DEADLINE)
        .max_buf_size(MAX_HEAD)
        .max_headers(MAX_HEADERS)
        .serve_connection(TokioIo::new(stream), service);
    let mut connection = pin!(connection);
    let ended = tokio::select! {
        biased;
        ended = connection.as_mut() => ended,
        () = stop.cancelled() => {
            connection.as_mut().graceful_shutdown();
            timeout(DRAIN_DEADLINE, connection).await.unwrap_or(Ok(()))
        }
    };
    if let Err(error) = ended {
        debug!(error = %error, "a webhook connection ended early");
    }
}
