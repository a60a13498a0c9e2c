//! The listener that all webhook connectors of a worker share.
//!
//! Its sockets are open while it knows a connector: the first [`Listener::announce`] binds, forgetting the last name
//! closes. A worker without webhooks has no open port.
//!
//! What always holds: a connector that is announced and not running is answered 503 with `Retry-After`, never 404.

use std::{
    convert::Infallible,
    fmt,
    net::SocketAddr,
    sync::{Arc, PoisonError, RwLock},
};

use bytes::Bytes;
use hyper::{HeaderMap, StatusCode, service::service_fn};
use tokio::{net::TcpListener, sync::Mutex};
use towpath_api::{Error, ErrorType, Publisher, Result};
use towpath_keys::ListenerAddress;
use towpath_listener::{Accepting, ListenerMetrics, Peer};
use tracing::info;

use crate::{
    codes,
    door::{Door, DoorLimits},
    hooks::{Hooks, Open},
    lent::Lent,
    metrics::WebhookMetrics,
    receive::Hook,
};

/// The port of an address without one.
const DEFAULT_PORT: u16 = 8080;

/// The shared listener. Clones share it.
#[derive(Clone)]
pub struct Listener {
    shared: Arc<Shared>,
}

struct Shared {
    addresses: Vec<ListenerAddress>,
    limits: DoorLimits,
    metrics: ListenerMetrics,
    door: Arc<Door>,
    hooks: Arc<Hooks>,
    /// `None` while no name is known. The lock orders binding and closing.
    accepting: Mutex<Option<Accepting>>,
    bound: RwLock<Vec<SocketAddr>>,
}

impl Listener {
    /// A listener for `addresses`, the value of `webhook.listeners`, without sockets yet, with the default limits.
    pub fn new(addresses: Vec<ListenerAddress>) -> Self {
        Self::with_limits(addresses, DoorLimits::default(), &WebhookMetrics::default())
    }

    /// The same with these limits, which counts its connections in `metrics`.
    pub fn with_limits(addresses: Vec<ListenerAddress>, limits: DoorLimits, metrics: &WebhookMetrics) -> Self {
        let (hooks, accepting, bound) = (Hooks::new(metrics), Mutex::default(), RwLock::default());
        let (door, metrics) = (Door::new(&limits), metrics.of_listener());
        Self { shared: Arc::new(Shared { addresses, limits, metrics, door, hooks, accepting, bound }) }
    }

    /// Adds the name of a connector that is about to be announced, without binding. Connectors that start together are
    /// expected before the first one is announced, or a post for the second one could arrive before its name is known
    /// and be answered 404.
    pub fn expect(&self, name: &str) {
        self.shared.hooks.add(name);
    }

    /// Makes connectors known: from now on each is answered 503 until its source runs, and again after it ends. Binds
    /// to all addresses if no connector was known before. Announcing a known name again changes nothing.
    ///
    /// # Errors
    /// Fatal, code `webhook.listener`: an address cannot be bound to, for example because another process has it. No
    /// name is added then, and no socket stays open.
    ///
    /// # Cancel safety
    /// Safe: a dropped call has either done everything or nothing.
    pub async fn announce<'n>(&self, names: impl IntoIterator<Item = &'n str>) -> Result<()> {
        let names: Vec<&str> = names.into_iter().collect();
        if names.is_empty() {
            return Ok(());
        }
        let mut accepting = self.shared.accepting.lock().await;
        let sockets = if accepting.is_none() { Some(self.bind().await?) } else { None };
        // Names are added before the first connection is accepted, so that none of them is ever answered 404.
        names.into_iter().for_each(|name| self.shared.hooks.add(name));
        if let Some(sockets) = sockets {
            *accepting = Some(self.accept(sockets));
        }
        Ok(())
    }

    /// Removes a connector that no longer exists: it is answered 404 from now on. Stop its source first. After the last
    /// name the sockets are closed when this returns; connections end after the answer in flight.
    pub async fn forget(&self, name: &str) {
        let mut accepting = self.shared.accepting.lock().await;
        if self.shared.hooks.remove(name) {
            self.unbind(accepting.take()).await;
        }
    }

    /// Closes the listener for good, with every name, and waits for the answers in flight, at most 9 seconds. On
    /// shutdown, call it after the sources have ended: until then clients get 503 instead of a refused connection.
    pub async fn close(&self) {
        let mut accepting = self.shared.accepting.lock().await;
        let ended = self.unbind(accepting.take()).await;
        if let Some(ended) = ended {
            ended.drain().await;
        }
        // After the drain: a request whose head was half received is answered 503, not 404.
        self.shared.hooks.clear();
    }

    /// The bound addresses, with the actual port where 0 was configured; empty while no name is known.
    pub fn local_addrs(&self) -> Vec<SocketAddr> {
        self.shared.bound.read().unwrap_or_else(PoisonError::into_inner).clone()
    }

    pub(crate) fn open<P: Publisher>(&self, name: &str, hook: Arc<Hook<P>>) -> Open {
        self.shared.hooks.open(name, hook)
    }

    /// Lets `answer` answer the posts to `/hooks/<name>`, for a connector that is not a webhook of this crate: it gets
    /// the headers and the whole body, of at most `body_max_bytes`, and returns the status. It refuses a post of a
    /// stranger with 401, before any work. Before this call and after the guard is dropped, posts are answered 503 if
    /// the name was announced.
    ///
    /// # Errors
    /// Fatal, code `webhook.config`: the name cannot be part of a path.
    pub fn lend<F, A>(&self, name: &str, body_max_bytes: usize, answer: F) -> Result<LentHook>
    where
        F: Fn(HeaderMap, Bytes) -> A + Send + Sync + 'static,
        A: Future<Output = StatusCode> + Send + 'static,
    {
        check_name(name)?;
        let hook = Lent::new(name, body_max_bytes, self.door(), answer);
        Ok(LentHook { _open: self.shared.hooks.open(name, Arc::new(hook)) })
    }

    /// The state that all webhooks share for posts of unknown senders.
    pub(crate) fn door(&self) -> Arc<Door> {
        self.shared.door.clone()
    }

    fn accept(&self, sockets: Vec<TcpListener>) -> Accepting {
        let Shared { limits, metrics, hooks, .. } = &*self.shared;
        let (hooks, strays) = (hooks.clone(), hooks.clone());
        let refusal = move |status| strays.unreadable(status);
        let services = move |peer: Peer| {
            let hooks = hooks.clone();
            service_fn(move |request| {
                let (hooks, peer) = (hooks.clone(), peer.clone());
                async move { Ok::<_, Infallible>(hooks.answer(request, peer).await) }
            })
        };
        Accepting::start("webhook", sockets, limits.connections.clone(), metrics.clone(), services, refusal)
    }

    async fn bind(&self) -> Result<Vec<TcpListener>> {
        let (mut sockets, mut bound) = (Vec::new(), Vec::new());
        for address in &self.shared.addresses {
            let unavailable = |error| {
                Error::fatal(codes::LISTENER, ErrorType::Unavailable, format!("listen on `{address}`"))
                    .because(error)
                    .with_help("stop the process that has the address, or change `webhook.listeners`")
            };
            let socket = TcpListener::bind(address.socket(DEFAULT_PORT)).await.map_err(unavailable)?;
            bound.push(socket.local_addr().map_err(unavailable)?);
            sockets.push(socket);
        }
        *self.shared.bound.write().unwrap_or_else(PoisonError::into_inner) = bound;
        Ok(sockets)
    }

    async fn unbind(&self, accepting: Option<Accepting>) -> Option<Accepting> {
        let mut accepting = accepting?;
        accepting.stop().await;
        self.shared.bound.write().unwrap_or_else(PoisonError::into_inner).clear();
        Some(accepting)
    }
}

impl fmt::Debug for Listener {
    fn fmt(&self, f: &mut fmt::Formatter<'_>) -> fmt::Result {
        f.debug_struct("Listener").field("bound", &self.local_addrs()).finish_non_exhaustive()
    }
}

/// Guard of a hook that answers for another connector.
pub struct LentHook {
    _open: Open,
}

impl fmt::Debug for LentHook {
    fn fmt(&self, f: &mut fmt::Formatter<'_>) -> fmt::Result {
        f.debug_struct("LentHook").finish_non_exhaustive()
    }
}

/// # Errors
/// Fatal, code `webhook.config`: the name cannot be part of a path.
pub(crate) fn check_name(name: &str) -> Result<()> {
    let plain = |byte: u8| byte.is_ascii_alphanumeric() || matches!(byte, b'-' | b'.' | b'_' | b'~');
    if !name.is_empty() && name.bytes().all(plain) {
        return Ok(());
    }
    let doing = format!("serve `/hooks/{name}`: the connector's name cannot be part of a path");
    Err(Error::fatal(codes::CONFIG, ErrorType::Config, doing)
        .with_help("name a webhook connector with letters, digits, `-`, `.`, `_` and `~` only"))
}

/// Logs the URLs of a connector that has started.
pub(crate) fn log_open(listener: &Listener, connector: &str, path: &str) {
    let addrs = listener.local_addrs().iter().map(|addr| format!("http://{addr}{path}")).collect::<Vec<_>>().join(", ");
    info!(connector, "the webhook accepts posts at {addrs}");
}

#[cfg(test)]
mod tests {
    use super::*;

    fn listener(url: &str) -> Listener {
        Listener::new(vec![url.parse().unwrap()])
    }

    #[tokio::test]
    async fn a_taken_port_is_reported_with_its_address() {
        let first = listener("http://127.0.0.1:0");
        first.announce(["acme"]).await.unwrap();
        let taken = format!("http://{}", first.local_addrs()[0]);
        let error = listener(&taken).announce(["acme"]).await.unwrap_err();
        assert!(error.chain().starts_with(&format!("listen on `{taken}`: ")), "{}", error.chain());
        assert_eq!(error.code, "webhook.listener");
        assert!(error.help().unwrap().contains("`webhook.listeners`"));
    }

    #[tokio::test]
    async fn sockets_are_open_while_a_name_is_known() {
        let listener = listener("http://127.0.0.1:0");
        assert!(listener.local_addrs().is_empty());
        listener.announce(["acme", "globex"]).await.unwrap();
        let address = listener.local_addrs()[0];
        listener.announce(["acme"]).await.unwrap();
        listener.forget("acme").await;
        assert_eq!(listener.local_addrs(), [address]);
        drop(TcpListener::bind(address).await.unwrap_err());
        listener.forget("globex").await;
        assert!(listener.local_addrs().is_empty());
        drop(TcpListener::bind(address).await.unwrap());
        listener.announce(["acme"]).await.unwrap();
        assert_eq!(listener.local_addrs().len(), 1);
    }
}
