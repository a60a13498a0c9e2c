//! The connectors that a listener knows by name, and the answers to requests for them.
//!
//! What always holds: a known connector that is not running is answered 503, never 404. Clients treat 404 as final, and
//! an event would be lost because a broker was away for a minute.

use std::{
    collections::HashMap,
    pin::Pin,
    sync::{Arc, PoisonError, RwLock, RwLockReadGuard, RwLockWriteGuard},
};

use hyper::{Request, StatusCode, body::Incoming};
use towpath_api::Publisher;
use towpath_listener::Peer;
use towpath_mapping::quote;
use tracing::debug;

use crate::{
    metrics::{HookMetrics, WebhookMetrics},
    receive::Hook,
    reply::{Answer, Refusal},
};

/// The known connectors, by name.
pub(crate) struct Hooks {
    known: RwLock<HashMap<String, Slot>>,
    metrics: WebhookMetrics,
    /// Of requests that name no known connector.
    nowhere: HookMetrics,
}

/// The hook of a connector; `None` while it is not running.
type Slot = Option<Arc<dyn Answers>>;

/// A hook, independent of its publisher's type.
pub(crate) trait Answers: Send + Sync {
    fn answer(self: Arc<Self>, request: Request<Incoming>, peer: Peer) -> Pin<Box<dyn Future<Output = Answer> + Send>>;
}

impl<P: Publisher> Answers for Hook<P> {
    fn answer(self: Arc<Self>, request: Request<Incoming>, peer: Peer) -> Pin<Box<dyn Future<Output = Answer> + Send>> {
        Box::pin(async move { Hook::answer(&self, request, &peer).await })
    }
}

impl Hooks {
    /// Knows no connector; what it answers itself is counted in `metrics`.
    pub(crate) fn new(metrics: &WebhookMetrics) -> Arc<Self> {
        Arc::new(Self { known: RwLock::default(), metrics: metrics.clone(), nowhere: metrics.of_nowhere() })
    }

    fn read(&self) -> RwLockReadGuard<'_, HashMap<String, Slot>> {
        self.known.read().unwrap_or_else(PoisonError::into_inner)
    }

    fn write(&self) -> RwLockWriteGuard<'_, HashMap<String, Slot>> {
        self.known.write().unwrap_or_else(PoisonError::into_inner)
    }

    /// Makes `name` known. A hook that is open for it stays open.
    pub(crate) fn add(&self, name: &str) {
        self.write().entry(name.to_owned()).or_default();
    }

    /// Forgets `name`; returns true if no name is left.
    pub(crate) fn remove(&self, name: &str) -> bool {
        let mut hooks = self.write();
        hooks.remove(name);
        hooks.is_empty()
    }

    pub(crate) fn clear(&self) {
        self.write().clear();
    }

    /// Lets `hook` answer for `name` until the guard is dropped or another hook opens. An unknown name stays unknown.
    pub(crate) fn open(self: &Arc<Self>, name: &str, hook: Arc<dyn Answers>) -> Open {
        if let Some(slot) = self.write().get_mut(name) {
            *slot = Some(hook.clone());
        }
        Open { hooks: self.clone(), name: name.to_owned(), hook }
    }

    /// Answers one request, by the name in its path.
    pub(crate) async fn answer(&self, request: Request<Incoming>, peer: Peer) -> Answer {
        let name = name_in(request.uri().path());
        let slot = name.as_ref().and_then(|name| self.read().get(name).cloned());
        let stopped = match (slot, &name) {
            (Some(Some(hook)), _) => return hook.answer(request, peer).await,
            (Some(None), Some(name)) => Some(self.metrics.of_name(name)),
            _ => None,
        };
        let refusal = if stopped.is_some() { Refusal::not_running() } else { Refusal::unknown_connector() };
        let (head, body) = request.into_parts();
        let path = head.uri.path();
        count(&refusal, stopped.as_ref().unwrap_or(&self.nowhere), &quote(path));
        refusal.unread(&head, body).answer_to(&peer, path)
    }

    /// The answer to a head that cannot be read: 400 if it is not HTTP/1, 431 if it is too large. It ends its
    /// connection.
    pub(crate) fn unreadable(&self, status: StatusCode) -> Answer {
        let refusal = Refusal::unreadable(status);
        count(&refusal, &self.nowhere, "unreadable");
        refusal.answer("")
    }
}

/// Counts and logs a refusal that no running connector gives. `path` is what is known of the path.
fn count(refusal: &Refusal, metrics: &HookMetrics, path: &str) {
    let mut request = metrics.request();
    if let Some(reason) = refusal.reason {
        request.rejected(reason);
    }
    request.answered(refusal.status);
    debug!(path, code = refusal.code, status = refusal.status.as_u16(), "refused a request");
}

/// The name of the connector in the path `/hooks/<name>`. Slashes may be doubled or at the end, as joined and pasted
/// addresses have them, and characters may be percent-encoded; an encoded slash is a part of the name.
fn name_in(path: &str) -> Option<String> {
    let mut parts = path.split('/').filter(|part| !part.is_empty()).map(decoded);
    let is_hook = parts.next()?? == "hooks";
    let name = parts.next()??;
    (is_hook && parts.next().is_none()).then_some(name)
}

/// `part` without its percent-encoding (RFC 3986, section 2.1); `None` if it is not well formed.
fn decoded(part: &str) -> Option<String> {
    let mut bytes = part.bytes();
    let mut plain = Vec::with_capacity(part.len());
    while let Some(byte) = bytes.next() {
        let hex = |byte: u8| char::from(byte).to_digit(16).and_then(|digit| u8::try_from(digit).ok());
        plain.push(if byte == b'%' { hex(bytes.next()?)? * 16 + hex(bytes.next()?)? } else { byte });
    }
    String::from_utf8(plain).ok()
}

/// Guard of an open hook.
pub(crate) struct Open {
    hooks: Arc<Hooks>,
    name: String,
    hook: Arc<dyn Answers>,
}

impl Drop for Open {
    fn drop(&mut self) {
        if let Some(slot) = self.hooks.write().get_mut(&self.name)
            && slot.as_ref().is_some_and(|hook| Arc::ptr_eq(hook, &self.hook))
        {
            *slot = None;
        }
    }
}

#[cfg(test)]
mod tests {
    use super::name_in;

    #[test]
    fn a_path_names_its_connector_however_it_is_spelled() {
        for path in [
            "/hooks/acme",
            "/hooks/acme/",
            "/hooks/acme//",
            "//hooks/acme",
            "/hooks//acme",
            "/hooks/ac%6De",
            "/hooks/ac%6de/",
            "/%68ooks/acme",
        ] {
            assert_eq!(name_in(path).as_deref(), Some("acme"), "{path}");
        }
        for path in
            ["/", "", "/hooks", "/hooks/", "/acme", "/hook/acme", "/Hooks/acme", "/hooks/acme/x", "/x/hooks/acme"]
        {
            assert_eq!(name_in(path), None, "{path}");
        }
        for path in ["/hooks%2Facme", "/hooks/ac%6", "/hooks/ac%", "/hooks/%ff", "/hooks/ac%zze", "/hooks/ac%+6e"] {
            assert_eq!(name_in(path), None, "{path}");
        }
        assert_eq!(name_in("/hooks/acme%2F").as_deref(), Some("acme/"));
        assert_eq!(name_in("/hooks/acme%252F").as_deref(), Some("acme%2F"));
    }
}
