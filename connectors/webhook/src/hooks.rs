//! The connectors that a listener knows by name, and the answers to requests for them.
//!
//! What always holds: a known connector that is not running is answered 503, never 404. Clients treat 404 as final, and
//! an event would be lost because a broker was away for a minute.

use std::{
    collections::HashMap,
    pin::Pin,
    sync::{Arc, PoisonError, RwLock, RwLockReadGuard, RwLockWriteGuard},
};

use hyper::{Request, body::Incoming};
use towpath_api::Publisher;
use towpath_listener::Peer;

use crate::{
    discard::discard,
    receive::Hook,
    reply::{Answer, Refusal},
};

/// The known connectors, by name.
#[derive(Default)]
pub(crate) struct Hooks(RwLock<HashMap<String, Slot>>);

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
    fn read(&self) -> RwLockReadGuard<'_, HashMap<String, Slot>> {
        self.0.read().unwrap_or_else(PoisonError::into_inner)
    }

    fn write(&self) -> RwLockWriteGuard<'_, HashMap<String, Slot>> {
        self.0.write().unwrap_or_else(PoisonError::into_inner)
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
        let slot = request.uri().path().strip_prefix("/hooks/").and_then(|name| self.read().get(name).cloned());
        let refusal = match slot {
            Some(Some(hook)) => return hook.answer(request, peer).await,
            Some(None) => Refusal::not_running(),
            None => Refusal::unknown_connector(),
        };
        let (head, body) = request.into_parts();
        discard(&head.headers, body);
        refusal.answer_to(&peer, head.uri.path())
    }
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
