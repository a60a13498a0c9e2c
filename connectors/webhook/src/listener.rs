//! The sockets on which posts arrive, shared by all webhook connectors of a worker.
//!
//! The accept loop is our own, since it is what strangers reach first: a deadline for the head of a request that also
//! holds for a connection that never sends a byte, a cap on connections, a pause when the process is out of file
//! descriptors. HTTP/1.1 without TLS; a proxy in front has that. Nothing here reads a body or knows what a post is.
//!
//! What always holds: the name of a connector that was ever announced is answered 503 while it is not running, and
//! never 404. A client takes 404 for final, and an event would be lost because a broker was away for a minute.

use std::{
    collections::HashMap,
    convert::Infallible,
    fmt, io,
    net::SocketAddr,
    pin::{Pin, pin},
    sync::{Arc, Mutex, PoisonError, RwLock},
    time::Duration,
};

use hyper::{Request, body::Incoming, server::conn::http1, service::service_fn};
use hyper_util::rt::{TokioIo, TokioTimer};
use tokio::{
    net::{TcpListener, TcpStream},
    sync::{OwnedSemaphorePermit, Semaphore},
    task::JoinSet,
    time::{sleep, timeout},
};
use tokio_util::sync::CancellationToken;
use towpath_api::Publisher;
use tracing::{debug, info, warn};

use crate::{
    receive::{Hook, discard},
    reply::{Answer, Refusal},
};

/// The head of a request arrives within this time, counted from the connection or the last answer.
const HEAD_DEADLINE: Duration = Duration::from_secs(10);
/// Bytes of the head of a request.
const MAX_HEAD: usize = 16 * 1024;
const MAX_HEADERS: usize = 64;
/// Connections at once; further ones wait in the backlog of the socket.
const MAX_CONNECTIONS: u32 = 4_096;
/// The pause after an accept that failed, such as for want of file descriptors.
const ACCEPT_PAUSE: Duration = Duration::from_millis(200);
/// What is under way when the listener stops has this long to be answered.
const DRAIN_DEADLINE: Duration = Duration::from_secs(9);

/// The sockets for webhooks. Clones share them.
#[derive(Clone)]
pub struct Listener {
    shared: Arc<Shared>,
}

struct Shared {
    /// Taken by the first `run`.
    sockets: Mutex<Vec<TcpListener>>,
    addrs: Vec<SocketAddr>,
    hooks: RwLock<HashMap<String, Slot>>,
}

/// What answers for a connector; nothing while it is not running.
type Slot = Option<Arc<dyn Answers>>;

/// A hook, whatever its publisher.
trait Answers: Send + Sync {
    fn answer(self: Arc<Self>, request: Request<Incoming>) -> Pin<Box<dyn Future<Output = Answer> + Send>>;
}

impl<P: Publisher> Answers for Hook<P> {
    fn answer(self: Arc<Self>, request: Request<Incoming>) -> Pin<Box<dyn Future<Output = Answer> + Send>> {
        Box::pin(async move { Hook::answer(&self, request).await })
    }
}

impl Listener {
    /// Binds to addresses of the form `http://host:port`, as in `webhook.listeners`.
    ///
    /// # Errors
    /// An address is of another form ([`io::ErrorKind::InvalidInput`]; [`Listener::check_address`] says so earlier) or
    /// taken.
    pub async fn bind<A: AsRef<str>>(addresses: &[A]) -> io::Result<Self> {
        let mut sockets = Vec::new();
        for address in addresses {
            let host_and_port = Self::check_address(address.as_ref())
                .map_err(|reason| io::Error::new(io::ErrorKind::InvalidInput, reason))?;
            let socket = TcpListener::bind(host_and_port).await;
            sockets.push(
                socket
                    .map_err(|error| io::Error::new(error.kind(), format!("bind to {}: {error}", address.as_ref())))?,
            );
        }
        let addrs = sockets.iter().map(TcpListener::local_addr).collect::<io::Result<_>>()?;
        Ok(Self { shared: Arc::new(Shared { sockets: Mutex::new(sockets), addrs, hooks: RwLock::default() }) })
    }

    /// The `host:port` of one address of `webhook.listeners`; an error says what is wrong with it, for a config check.
    pub fn check_address(address: &str) -> Result<&str, String> {
        if address.starts_with("https://") {
            return Err(format!(
                "`{address}`: TLS is not served here; listen on http:// and put a proxy with TLS in front"
            ));
        }
        let host_and_port = address.strip_prefix("http://").map(|rest| rest.strip_suffix('/').unwrap_or(rest));
        let well_formed = |text: &&str| {
            text.rsplit_once(':').is_some_and(|(host, port)| !host.is_empty() && port.parse::<u16>().is_ok())
        };
        host_and_port.filter(well_formed).ok_or_else(|| format!("`{address}`: expected http://host:port"))
    }

    /// The addresses bound to, with the real port where 0 was asked for.
    pub fn local_addrs(&self) -> &[SocketAddr] {
        &self.shared.addrs
    }

    /// Serves until `stop`, then lets what is under way end. Cancel `stop` once the sources have ended, so that their
    /// clients are told to come back instead of finding nobody. Only the first call serves.
    pub async fn run(&self, stop: CancellationToken) {
        let sockets = std::mem::take(&mut *self.shared.sockets.lock().unwrap_or_else(PoisonError::into_inner));
        let room = Arc::new(Semaphore::new(MAX_CONNECTIONS as usize));
        let mut loops = JoinSet::new();
        for socket in sockets {
            loops.spawn(accept(socket, self.shared.clone(), room.clone(), stop.clone()));
        }
        while loops.join_next().await.is_some() {}
        // Each connection ends by its own deadline.
        let _ = room.acquire_many(MAX_CONNECTIONS).await;
    }

    /// From now on `name` is known: without a hook it is answered 503.
    pub fn announce(&self, name: &str) {
        self.shared.hooks.write().unwrap_or_else(PoisonError::into_inner).entry(name.to_owned()).or_default();
    }

    /// Lets `hook` answer for `name` until the returned guard is dropped or another one is opened.
    pub(crate) fn open<P: Publisher>(&self, name: &str, hook: Arc<Hook<P>>) -> Open {
        let hook: Arc<dyn Answers> = hook;
        self.shared.hooks.write().unwrap_or_else(PoisonError::into_inner).insert(name.to_owned(), Some(hook.clone()));
        Open { listener: self.clone(), name: name.to_owned(), hook }
    }
}

impl fmt::Debug for Listener {
    fn fmt(&self, f: &mut fmt::Formatter<'_>) -> fmt::Result {
        f.debug_struct("Listener").field("addrs", &self.shared.addrs).finish_non_exhaustive()
    }
}

/// A hook that is open.
pub(crate) struct Open {
    listener: Listener,
    name: String,
    hook: Arc<dyn Answers>,
}

impl Drop for Open {
    fn drop(&mut self) {
        let mut hooks = self.listener.shared.hooks.write().unwrap_or_else(PoisonError::into_inner);
        if let Some(slot) = hooks.get_mut(&self.name)
            && slot.as_ref().is_some_and(|hook| Arc::ptr_eq(hook, &self.hook))
        {
            *slot = None;
        }
    }
}

async fn accept(socket: TcpListener, shared: Arc<Shared>, room: Arc<Semaphore>, stop: CancellationToken) {
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
            (Ok((stream, _)), Ok(place)) => drop(tokio::spawn(serve(stream, shared.clone(), place, stop.clone()))),
            (Err(error), _) => {
                warn!(error = %error, "cannot accept a connection for webhooks");
                sleep(ACCEPT_PAUSE).await;
            }
            // The semaphore is never closed.
            (_, Err(_)) => return,
        }
    }
}

async fn serve(stream: TcpStream, shared: Arc<Shared>, _place: OwnedSemaphorePermit, stop: CancellationToken) {
    // Answers are small and whole: waiting for more to send would only add latency.
    let _ = stream.set_nodelay(true);
    let service = service_fn(|request| {
        let shared = &shared;
        async move { Ok::<_, Infallible>(shared.answer(request).await) }
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

impl Shared {
    async fn answer(&self, request: Request<Incoming>) -> Answer {
        let path = request.uri().path();
        let slot = path
            .strip_prefix("/hooks/")
            .and_then(|name| self.hooks.read().unwrap_or_else(PoisonError::into_inner).get(name).cloned());
        let refusal = match slot {
            Some(Some(hook)) => return hook.answer(request).await,
            Some(None) => Refusal::not_running(),
            None => Refusal::unknown_connector(),
        };
        let answer = refusal.answer(path);
        discard(request.into_body());
        answer
    }
}

/// Says once where posts go.
pub(crate) fn log_open(listener: &Listener, connector: &str, path: &str) {
    let addrs = listener.local_addrs().iter().map(|addr| format!("http://{addr}{path}")).collect::<Vec<_>>().join(", ");
    info!(connector, "the webhook takes posts at {addrs}");
}

#[cfg(test)]
mod tests {
    use super::*;

    #[test]
    fn an_address_is_http_with_host_and_port() {
        assert_eq!(Listener::check_address("http://0.0.0.0:8080"), Ok("0.0.0.0:8080"));
        assert_eq!(Listener::check_address("http://[::1]:8080/"), Ok("[::1]:8080"));
        for refused in ["0.0.0.0:8080", "http://host", "http://:8080", "http://host:x", "http://host:80/path", ""] {
            assert!(Listener::check_address(refused).unwrap_err().ends_with("expected http://host:port"), "{refused}");
        }
        assert!(Listener::check_address("https://host:443").unwrap_err().contains("TLS is not served here"));
    }

    #[tokio::test]
    async fn a_taken_port_is_told_with_its_address() {
        let first = Listener::bind(&["http://127.0.0.1:0"]).await.unwrap();
        let taken = format!("http://{}", first.local_addrs()[0]);
        assert!(Listener::bind(&[&taken]).await.unwrap_err().to_string().starts_with(&format!("bind to {taken}: ")));
    }
}
