//! Puts events into topics, and returns when the broker has them for good.
//!
//! The producer is idempotent but has no transactions, so of the events of one call that fails some may be written;
//! publishing them again is harmless, since they keep their keys, ids and versions. No event is reported as placed that
//! the broker has not acknowledged.

mod metrics;
mod producer;

use std::{
    collections::HashMap,
    sync::{Arc, PoisonError, RwLock},
    time::Instant,
};

use prometheus::IntCounter;
use rdkafka::{
    admin::AdminClient,
    client::DefaultClientContext,
    error::KafkaError,
    message::{Header, OwnedHeaders},
    producer::{FutureRecord, future_producer::Delivery},
};
use towpath_api::{ChangeEvent, EVENT_ID_HEADER, Error, ErrorType, Object, Op, Placed, Publisher, Reaction, Result};

pub use self::metrics::SourceMetrics;
use self::{
    metrics::ConnectorSeries,
    producer::{Producer, Sent, explain, label},
};
use super::{
    client::{KafkaSettings, refused_settings},
    topics,
};
use crate::avro::{codec::Encoder, envelope::TopicSchemas, registry::Registry};

/// The header of W3C trace context.
pub const TRACE_HEADER: &str = "traceparent";

/// Where the events of a source go.
#[derive(Debug, Clone)]
pub struct TopicSettings {
    /// The topic of object `o` is `<prefix>.o`.
    pub prefix: String,
    /// Partitions of a topic that is made.
    pub partitions: i32,
    /// Its replicas; `None`: as the broker has it.
    pub replication: Option<i32>,
}

/// The publisher of one source. Cheap to clone.
#[derive(Clone)]
pub struct KafkaPublisher {
    shared: Arc<Shared>,
}

struct Shared {
    connector: String,
    registry: Registry,
    topics: TopicSettings,
    admin: Arc<AdminClient<DefaultClientContext>>,
    producer: Producer,
    /// What is known of each object, by its name.
    routes: RwLock<HashMap<String, Arc<Route>>>,
    /// Held while a route is made; knows why that failed last.
    preparing: tokio::sync::Mutex<Option<Outage>>,
    series: ConnectorSeries,
}

/// An attempt to make a route that time may cure.
struct Outage {
    at: Instant,
    code: &'static str,
    error_type: ErrorType,
    told: String,
}

/// The way of one object: its topic, and how it is written.
struct Route {
    object: Arc<Object>,
    topic: Arc<str>,
    encoder: Encoder,
    written: IntCounter,
    read: [IntCounter; Op::ALL.len()],
}

impl KafkaPublisher {
    /// Makes the publisher of `connector`. Connects in the background.
    ///
    /// # Errors
    /// Fatal when librdkafka refuses a setting.
    pub fn new(
        kafka: &KafkaSettings,
        registry: Registry,
        topics: TopicSettings,
        connector: &str,
        metrics: SourceMetrics,
    ) -> Result<Self> {
        let admin = kafka.client(&format!("{connector}-admin")).create().map_err(refused_settings)?;
        let shared = Shared {
            connector: connector.to_owned(),
            registry,
            topics,
            admin: Arc::new(admin),
            producer: Producer::new(kafka, connector)?,
            routes: RwLock::default(),
            preparing: tokio::sync::Mutex::default(),
            series: metrics.connector(connector),
        };
        Ok(Self { shared: Arc::new(shared) })
    }

    /// The way of an object; found or made. Several first events of one object make it once, and fail together: each
    /// that waited for an attempt which met an outage would otherwise begin one of its own, and the last would wait for
    /// all.
    async fn route(&self, object: &Arc<Object>) -> Result<Arc<Route>> {
        if let Some(route) = self.known(object) {
            return Ok(route);
        }
        let asked = Instant::now();
        let mut outage = self.shared.preparing.lock().await;
        if let Some(route) = self.known(object) {
            return Ok(route);
        }
        if let Some(Outage { code, error_type, told, .. }) = outage.as_ref().filter(|outage| outage.at >= asked) {
            let doing = format!("prepare the topic of object `{}`", object.name());
            return Err(Error::retry(code, *error_type, doing).because(told.as_str()));
        }
        let made = self.make_route(object).await;
        if let Err(error) = made.as_ref()
            && error.reaction == Reaction::Retry
        {
            *outage = Some(Outage {
                at: Instant::now(),
                code: error.code,
                error_type: error.error_type,
                told: error.chain(),
            });
        }
        made
    }

    async fn make_route(&self, object: &Arc<Object>) -> Result<Arc<Route>> {
        let Shared { topics, registry, connector, .. } = &*self.shared;
        let topic = format!("{}.{}", topics.prefix, object.name());
        let schemas = TopicSchemas::new(object, &topic)?;
        topics::ensure(&self.shared.admin, &topic, topics.partitions, topics.replication, object.updates()).await?;
        let key_id = registry.register(&format!("{topic}-key"), &schemas.key).await?;
        let value_id = registry.register(&format!("{topic}-value"), &schemas.value).await?;
        let route = Arc::new(Route {
            object: Arc::clone(object),
            encoder: Encoder::new(connector, object, &schemas, key_id, value_id),
            written: self.shared.series.written(&topic),
            read: self.shared.series.read(object.name()),
            topic: topic.into(),
        });
        let mut routes = self.shared.routes.write().unwrap_or_else(PoisonError::into_inner);
        routes.insert(object.name().to_owned(), Arc::clone(&route));
        Ok(route)
    }

    fn known(&self, object: &Arc<Object>) -> Option<Arc<Route>> {
        let routes = self.shared.routes.read().unwrap_or_else(PoisonError::into_inner);
        routes.get(object.name()).filter(|route| Arc::ptr_eq(&route.object, object) || route.object == *object).cloned()
    }

    /// Hands one record to the producer.
    fn send(&self, route: &Route, event: &ChangeEvent, key: &[u8], value: Option<&[u8]>) -> Result<Sent> {
        let id = Header { key: EVENT_ID_HEADER, value: Some(event.event_id.as_bytes()) };
        let mut headers = OwnedHeaders::new_with_capacity(2).insert(id);
        if let Some(trace) = &event.traceparent {
            headers = headers.insert(Header { key: TRACE_HEADER, value: Some(trace.as_bytes()) });
        }
        let mut record = FutureRecord::to(&route.topic).key(key).headers(headers);
        record.payload = value;
        self.shared.producer.send(record).map_err(|error| self.failed(route, error))
    }

    async fn acknowledged(&self, route: &Route, sent: Sent) -> Result<Delivery> {
        let delivery = self.shared.producer.acknowledged(sent).await.map_err(|error| self.failed(route, error))?;
        route.written.inc();
        Ok(delivery)
    }

    /// Counts an error and says what it means. A topic that is gone is made again by the next call.
    fn failed(&self, route: &Route, error: KafkaError) -> Error {
        self.shared.series.error(&label(&error));
        let error = explain(&route.topic, error);
        if error.code == "kafka.unknown_topic" {
            self.shared.routes.write().unwrap_or_else(PoisonError::into_inner).remove(route.object.name());
        }
        error
    }
}

impl Publisher for KafkaPublisher {
    async fn prepare(&self, object: &Arc<Object>) -> Result<()> {
        self.route(object).await.map(drop)
    }

    async fn publish(&self, events: Vec<ChangeEvent>) -> Result<Vec<Placed>> {
        let _active = self.shared.series.active(events.len());
        let mut routes = Vec::with_capacity(events.len());
        for event in &events {
            let route = self.route(&event.object).await?;
            route.read[event.op as usize].inc();
            routes.push(route);
        }
        // Encoded before anything is sent: an event that cannot be encoded holds all others back.
        let encode = events.iter().zip(&routes).map(|(event, route)| route.encoder.encode(event));
        let encoded = encode.collect::<Result<Vec<_>>>()?;
        for (route, encoded) in routes.iter().zip(&encoded) {
            self.shared.producer.fits(&route.topic, encoded.key.len() + encoded.value.len())?;
        }
        // All are queued before the first is waited for, so that their order is kept.
        let mut sent = Vec::with_capacity(events.len());
        let mut failure = None;
        for ((event, route), encoded) in events.iter().zip(&routes).zip(&encoded) {
            let change = self.send(route, event, &encoded.key, Some(&encoded.value));
            let both = change.and_then(|change| {
                let tombstone =
                    (event.op == Op::Delete).then(|| self.send(route, event, &encoded.key, None)).transpose()?;
                Ok((change, tombstone))
            });
            match both {
                Ok(both) => sent.push(both),
                Err(error) => {
                    failure = Some(error);
                    break;
                }
            }
        }
        let mut placed = Vec::with_capacity(events.len());
        // Each is waited for, also after one has failed: nothing of this call is under way when it returns.
        for (((change, tombstone), route), event) in sent.into_iter().zip(&routes).zip(&events) {
            let change = self.acknowledged(route, change).await;
            let tombstone = match tombstone {
                Some(tombstone) => self.acknowledged(route, tombstone).await.map(drop),
                None => Ok(()),
            };
            match change.and_then(|delivery| tombstone.map(|()| delivery)) {
                Ok(Delivery { partition, offset, .. }) => {
                    self.shared.series.acknowledged(event.source_time_ms);
                    placed.push(Placed { topic: Arc::clone(&route.topic), partition, offset });
                }
                Err(error) => failure = Some(worse(failure, error)),
            }
        }
        failure.map_or(Ok(placed), Err)
    }
}

/// Of two errors of one call the one to report: a retry does all again, and finds a poisoned event then.
fn worse(first: Option<Error>, second: Error) -> Error {
    match first {
        Some(first) if first.reaction != Reaction::Poison => first,
        _ => second,
    }
}
