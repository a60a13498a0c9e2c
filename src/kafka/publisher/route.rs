//! The route of an object: its topic, its schemas in the registry, and its encoder.

use std::{
    collections::{HashMap, VecDeque},
    sync::{Arc, PoisonError, RwLock},
    time::Instant,
};

use prometheus::IntCounter;
use rdkafka::{admin::AdminClient, client::DefaultClientContext};
use towpath_api::{Error, ErrorType, Object, Op, Reaction, Result};

use super::{
    TopicSettings,
    metrics::ConnectorSeries,
    settings::{max_batch, max_record, set_defaults},
};
use crate::{
    avro::{codec::Encoder, envelope::TopicSchemas, registry::Registry},
    kafka::{
        client::{KafkaSettings, refused_settings},
        topics,
    },
};

/// Routes of one object to keep: events with an older schema may still be on their way when a new one comes.
const VERSIONS: usize = 8;

pub(super) struct Route {
    pub(super) topic: Arc<str>,
    pub(super) encoder: Encoder,
    /// A batch of one record has at most this many bytes.
    pub(super) max_bytes: usize,
    /// The topic accepts batches of at most this many bytes; `None` if that is more than the producer's batches have.
    pub(super) batch_limit: Option<usize>,
    pub(super) written: IntCounter,
    pub(super) read: [IntCounter; Op::ALL.len()],
    object: Arc<Object>,
}

/// Each schema of an object, and its route; the newest first.
type Versions = VecDeque<(Arc<Object>, Arc<Route>)>;

/// Finds the route of an object, or creates it.
pub(super) struct Router {
    connector: String,
    registry: Registry,
    topics: TopicSettings,
    admin: Arc<AdminClient<DefaultClientContext>>,
    series: Arc<ConnectorSeries>,
    max_record: usize,
    max_batch: usize,
    compresses: bool,
    /// By the name of the object.
    routes: RwLock<HashMap<String, Versions>>,
    /// Held while a route is created; the last failure that a retry may cure.
    creating: tokio::sync::Mutex<Option<Outage>>,
}

struct Outage {
    at: Instant,
    code: &'static str,
    error_type: ErrorType,
    text: String,
}

impl Router {
    /// Connects in the background.
    ///
    /// # Errors
    /// Fatal when librdkafka refuses a setting.
    pub(super) fn new(
        kafka: &KafkaSettings,
        registry: Registry,
        topics: TopicSettings,
        connector: &str,
        series: Arc<ConnectorSeries>,
    ) -> Result<Self> {
        let mut producer = kafka.client(connector);
        set_defaults(&mut producer);
        let settings = kafka.client(&format!("{connector}-admin"));
        let compression = settings.get("compression.type").or_else(|| settings.get("compression.codec"));
        let compresses = compression.is_some_and(|codec| codec != "none");
        let admin = settings.create().map_err(refused_settings)?;
        Ok(Self {
            compresses,
            connector: connector.to_owned(),
            registry,
            topics,
            admin: Arc::new(admin),
            series,
            max_record: max_record(&producer),
            max_batch: max_batch(&producer),
            routes: RwLock::default(),
            creating: tokio::sync::Mutex::default(),
        })
    }

    /// A batch of one record has at most this many bytes, whatever its topic allows.
    pub(super) fn max_record(&self) -> usize {
        self.max_record
    }

    /// The route of an object; creates topic and subjects if needed.
    ///
    /// Calls for one object that arrive together create the route once and fail together. If each waiting call made an
    /// attempt of its own during an outage, the last caller would wait for all attempts.
    ///
    /// # Errors
    /// Those of [`Publisher::prepare`](towpath_api::Publisher::prepare).
    pub(super) async fn route(&self, object: &Arc<Object>) -> Result<Arc<Route>> {
        if let Some(route) = self.known(object) {
            return Ok(route);
        }
        let asked = Instant::now();
        let mut outage = self.creating.lock().await;
        if let Some(route) = self.known(object) {
            return Ok(route);
        }
        if let Some(Outage { code, error_type, text, .. }) = outage.as_ref().filter(|outage| outage.at >= asked) {
            let doing = format!("prepare the topic of object `{}`", object.name());
            return Err(Error::retry(code, *error_type, doing).because(text.as_str()));
        }
        let created = self.create(object).await;
        if let Err(error) = created.as_ref()
            && error.reaction == Reaction::Retry
        {
            *outage = Some(Outage {
                at: Instant::now(),
                code: error.code,
                error_type: error.error_type,
                text: error.chain(),
            });
        }
        created
    }

    /// Removes the routes to a topic that is gone or has other limits; the next call creates the topic again if needed.
    pub(super) fn forget(&self, route: &Route) {
        self.routes.write().unwrap_or_else(PoisonError::into_inner).remove(route.object.name());
    }

    async fn create(&self, object: &Arc<Object>) -> Result<Arc<Route>> {
        let Self { topics, registry, connector, .. } = self;
        let topic = format!("{}.{}", topics.prefix, object.name());
        let schemas = TopicSchemas::new(object, &topic)?;
        topics::ensure(&self.admin, &topic, topics.partitions, topics.replication, object.updates()).await?;
        let key_id = registry.register(&format!("{topic}-key"), &schemas.key).await?;
        let value_id = registry.register(&format!("{topic}-value"), &schemas.value).await?;
        let limit = topics::max_message_bytes(&self.admin, &topic).await;
        // The topic's limit holds for compressed batches: of a producer that compresses it says nothing about a record.
        let record_limit = limit.filter(|_| !self.compresses).unwrap_or(usize::MAX);
        let route = Arc::new(Route {
            max_bytes: self.max_record.min(record_limit),
            batch_limit: limit.filter(|limit| *limit < self.max_batch),
            object: Arc::clone(object),
            encoder: Encoder::new(connector, object, &schemas, key_id, value_id),
            written: self.series.written(&topic),
            read: self.series.read(object.name()),
            topic: topic.into(),
        });
        self.remember(object, &route);
        Ok(route)
    }

    fn known(&self, object: &Arc<Object>) -> Option<Arc<Route>> {
        let equal = {
            let routes = self.routes.read().unwrap_or_else(PoisonError::into_inner);
            let of_object = routes.get(object.name())?;
            if let Some((_, route)) = of_object.iter().find(|(known, _)| Arc::ptr_eq(known, object)) {
                return Some(Arc::clone(route));
            }
            of_object.iter().find(|(known, _)| known == object).map(|(_, route)| Arc::clone(route))?
        };
        // The comparison of two schemas takes longer than the encoding of an event.
        self.remember(object, &equal);
        Some(equal)
    }

    fn remember(&self, object: &Arc<Object>, route: &Arc<Route>) {
        let mut routes = self.routes.write().unwrap_or_else(PoisonError::into_inner);
        let of_object = routes.entry(object.name().to_owned()).or_default();
        of_object.push_front((Arc::clone(object), Arc::clone(route)));
        of_object.truncate(VERSIONS);
    }
}
