//! The webhook as a [`Source`]: prepares its objects, opens its hook, and closes it in order.
//!
//! It waits for nothing that is away: when the broker or the registry cannot be reached at the start, `run` returns
//! that error and the worker tries again, visibly. Clients get 503 meanwhile, for the listener knows the name from
//! [`WebhookSource::new`] on.

use std::sync::Arc;

use tokio::sync::mpsc;
use towpath_api::{ChangeEvent, Error, ErrorType, Lifecycle, Object, Publisher, Result, Source};
use tracing::info;

use crate::{
    config::WebhookConfig,
    listener::{Listener, log_open},
    map::map,
    metrics::WebhookMetrics,
    receive::{Hook, Setup},
    verify::{Clients, verify},
};

/// Takes posts at `/hooks/<name>` and publishes the events in them.
#[derive(Debug)]
pub struct WebhookSource {
    setup: Arc<Setup>,
    listener: Listener,
}

impl WebhookSource {
    /// Makes the source of connector `name` and announces it at `listener`. Reads the schema files; connects to
    /// nothing.
    ///
    /// # Errors
    /// Fatal: a schema file cannot be used, or `name` cannot stand in a path as it is.
    #[expect(clippy::needless_pass_by_value, reason = "a source owns its config; nobody else should go on with it")]
    pub fn new(name: &str, config: WebhookConfig, listener: Listener, metrics: WebhookMetrics) -> Result<Self> {
        let refused = |doing: String| Error::fatal("webhook.config", ErrorType::Config, doing);
        let plain = |byte: u8| byte.is_ascii_alphanumeric() || matches!(byte, b'-' | b'.' | b'_' | b'~');
        if name.is_empty() || !name.bytes().all(plain) {
            return Err(refused(format!(
                "serve `/hooks/{name}`: a webhook's name has letters, digits, `-`, `.`, `_` and `~` only"
            )));
        }
        let mappers = config.mappers().map_err(|problems| {
            let problems: Vec<String> =
                problems.into_iter().map(|(key, message)| format!("`{key}`: {message}")).collect();
            refused(format!("load the agreed schemas: {}", problems.join("; ")))
        })?;
        let objects: Vec<&str> = mappers.keys().map(String::as_str).collect();
        let setup = Setup {
            name: name.to_owned(),
            path: format!("/hooks/{name}"),
            metrics: metrics.of_connector(name, config.clients.names(), &objects),
            clients: Clients::new(config.clients.iter().map(|(id, client)| (id, client.secret.reveal()))),
            body_max_bytes: config.body_max.as_usize(),
            requests_max: config.requests_max_in_flight,
            mappers,
        };
        listener.announce(name);
        Ok(Self { setup: Arc::new(setup), listener })
    }

    /// The objects that it emits, by name.
    pub fn objects(&self) -> impl Iterator<Item = &Arc<Object>> {
        self.setup.mappers.values().map(towpath_mapping::Mapper::object)
    }

    /// The events that the body of a post comes to, without publishing them; `None` when it would be refused. For
    /// benchmarks.
    #[doc(hidden)]
    pub fn events_of(&self, body: &[u8]) -> Option<Vec<ChangeEvent>> {
        let (_, post) = verify(body, &self.setup.clients).ok()?;
        map(&post, &self.setup.mappers, None).ok().map(|mapped| mapped.events)
    }
}

impl<P: Publisher> Source<P> for WebhookSource {
    async fn run(&mut self, out: &mut P, life: Lifecycle) -> Result<()> {
        let stop = life.stop();
        for mapper in self.setup.mappers.values() {
            tokio::select! {
                biased;
                () = stop.cancelled() => return Ok(()),
                prepared = out.prepare(mapper.object()) => prepared?,
            }
        }
        let (failed, mut failure) = mpsc::channel(1);
        let hook = Arc::new(Hook::new(self.setup.clone(), out.clone(), stop.child_token(), failed));
        let open = self.listener.open(&self.setup.name, hook.clone());
        log_open(&self.listener, &self.setup.name, &self.setup.path);
        life.has_started();
        let failed = tokio::select! {
            () = stop.cancelled() => None,
            error = failure.recv() => error,
        };
        hook.drain().await;
        drop(open);
        info!(connector = self.setup.name, "the webhook takes no more posts");
        failed.map_or(Ok(()), Err)
    }
}
