//! The webhook as a [`Source`]: prepares its objects, opens its hook, and closes it in order.
//!
//! It does not wait for outside systems: if the broker or the registry is away at the start, `run` returns the error
//! and the worker retries. Meanwhile clients get 503, because the listener has known the name since it was announced.
//! An object that cannot be prepared alone is retried while the others are served.

use std::sync::Arc;

use tokio::sync::mpsc;
use towpath_api::{
    ChangeEvent, Error, ErrorType, Lifecycle, Object, OpenSource, Placement, Publisher, Reaction, Result, Source,
};
use towpath_mapping::Mapper;
use tracing::info;

use crate::{
    codes,
    config::WebhookConfig,
    listener::{Listener, check_name, log_open},
    map::map,
    metrics::WebhookMetrics,
    receive::{Hook, Setup},
    unready::Unready,
    verify::{Clients, verify},
};

/// Opens the source of one webhook connector.
#[derive(Debug, Clone)]
pub struct OpenWebhookSource {
    name: String,
    config: WebhookConfig,
    listener: Listener,
    metrics: WebhookMetrics,
}

impl OpenWebhookSource {
    /// For connector `name`, whose posts arrive at `listener`.
    pub fn new(name: &str, config: WebhookConfig, listener: Listener, metrics: WebhookMetrics) -> Self {
        Self { name: name.to_owned(), config, listener, metrics }
    }
}

impl OpenSource for OpenWebhookSource {
    type Source = WebhookSource;

    /// Every worker listens, as a load balancer in front of them expects.
    fn placement(&self) -> Placement {
        Placement::EveryWorker
    }

    /// One, whatever `max` is: it serves requests in parallel.
    fn tasks(&self, _max: u32) -> u32 {
        1
    }

    /// Announces the connector at its listener, which changes nothing if the worker has done so, and reads the schema
    /// files. Does not connect to anything.
    ///
    /// # Errors
    /// Fatal: an address of the listener cannot be bound to, a schema file cannot be used, or the name cannot be part
    /// of a path.
    async fn open(&self, _task: u32) -> Result<WebhookSource> {
        self.listener.announce([self.name.as_str()]).await?;
        WebhookSource::new(&self.name, &self.config, self.listener.clone(), &self.metrics)
    }
}

/// Accepts posts at `/hooks/<name>` and publishes their events.
#[derive(Debug)]
pub struct WebhookSource {
    setup: Arc<Setup>,
    listener: Listener,
}

impl WebhookSource {
    fn new(name: &str, config: &WebhookConfig, listener: Listener, metrics: &WebhookMetrics) -> Result<Self> {
        check_name(name)?;
        let mappers = config.mappers().map_err(|problems| {
            let problems: Vec<String> =
                problems.into_iter().map(|(key, message)| format!("`{key}`: {message}")).collect();
            let doing = format!("load the agreed schemas: {}", problems.join("; "));
            Error::fatal(codes::CONFIG, ErrorType::Config, doing)
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
        Ok(Self { setup: Arc::new(setup), listener })
    }

    /// The objects whose events it publishes, by name.
    pub fn objects(&self) -> impl Iterator<Item = &Arc<Object>> {
        self.setup.mappers.values().map(Mapper::object)
    }

    /// Prepares each object.
    ///
    /// # Errors
    /// Retry if no object can be prepared, and waiting may help: broker or registry are probably away. Fenced if
    /// another instance has taken over.
    async fn prepare(&self, out: &impl Publisher, unready: &Unready) -> Result<()> {
        let (mut is_any_ready, mut outage) = (false, None);
        for object in self.objects() {
            match out.prepare(object).await {
                Ok(()) => is_any_ready = true,
                Err(error) if error.reaction == Reaction::Fenced => return Err(error),
                Err(error) => {
                    unready.failed(object.name());
                    if error.reaction == Reaction::Retry {
                        outage.get_or_insert(error);
                    }
                }
            }
        }
        outage.filter(|_| !is_any_ready).map_or(Ok(()), Err)
    }

    /// Prepares the objects that are not ready, whenever one is due.
    ///
    /// # Errors
    /// Fenced if another instance has taken over. Does not return otherwise.
    async fn prepare_again(&self, out: &impl Publisher, unready: &Unready) -> Error {
        loop {
            let due = unready.due().await;
            let Some(object) = self.setup.mappers.get(&due).map(Mapper::object) else {
                unready.prepared(&due);
                continue;
            };
            match out.prepare(object).await {
                Ok(()) => unready.prepared(&due),
                Err(error) if error.reaction == Reaction::Fenced => return error,
                Err(_) => unready.failed(&due),
            }
        }
    }

    /// The events in the body of a post, not published; `None` if the post would be refused. For benchmarks.
    #[doc(hidden)]
    pub fn events_of(&self, body: &[u8]) -> Option<Vec<ChangeEvent>> {
        let (_, post) = verify(body, &self.setup.clients).ok()?;
        map(&post, &self.setup.mappers, None).ok().map(|mapped| mapped.events)
    }
}

impl<P: Publisher> Source<P> for WebhookSource {
    async fn run(&mut self, out: &mut P, life: Lifecycle) -> Result<()> {
        let stop = life.stop();
        let unready = Arc::<Unready>::default();
        tokio::select! {
            biased;
            () = stop.cancelled() => return Ok(()),
            prepared = self.prepare(out, &unready) => prepared?,
        }
        let (failed, mut failure) = mpsc::channel(1);
        let (setup, door) = (self.setup.clone(), self.listener.door());
        let hook = Arc::new(Hook::new(setup, door, out.clone(), unready.clone(), stop.child_token(), failed));
        let open = self.listener.open(&self.setup.name, hook.clone());
        log_open(&self.listener, &self.setup.name, &self.setup.path);
        life.has_started();
        let failed = tokio::select! {
            () = stop.cancelled() => None,
            error = failure.recv() => error,
            error = self.prepare_again(out, &unready) => Some(error),
        };
        hook.drain().await;
        drop(open);
        info!(connector = self.setup.name, "the webhook accepts no more posts");
        failed.map_or(Ok(()), Err)
    }
}
