//! Puts events into topics, and returns when the broker has them for good.
//!
//! The producer is idempotent: what it retries by itself is written once and in order. It has no transactions, so of the events of
//! one call that fails some may be written; publishing them again is harmless.

use std::{
    collections::HashMap,
    sync::{Arc, PoisonError, RwLock},
    time::Duration,
};

use futures::future::join_all;
use prometheus::{Histogram, HistogramOpts, HistogramVec, IntCounterVec, IntGauge, IntGaugeVec, Opts};
use rdkafka::{
    admin::AdminClient,
    client::DefaultClientContext,
    error::{KafkaError, RDKafkaErrorCode},
    message::{Header, OwnedHeaders},
    producer::{FutureProducer, FutureRecord, future_producer::DeliveryFuture},
};
use towpath_api::{ChangeEvent, Error, ErrorType, Object, Op, Placed, Publisher, Result};

use super::{
    client::{KafkaSettings, refused_settings, unavailable},
    topics,
};
use crate::avro::{codec::Encoder, envelope::TopicSchemas, registry::Registry};

/// The header that names an event for ever.
pub const EVENT_ID_HEADER: &str = "towpath_event_id";
/// The header of W3C trace context.
pub const TRACE_HEADER: &str = "traceparent";

/// A broker that is away for longer makes the call fail; whoever posts an event must hear of it within five seconds.
const DELIVERY_TIMEOUT: Duration = Duration::from_millis(4_500);
/// How long the producer waits for company of a record: enough for posts that arrive together, too short to be noticed.
const LINGER: Duration = Duration::from_millis(1);
/// What may wait in memory for the broker.
const BUFFER_KIB: u32 = 32 * 1_024;

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

/// What all publishers of a process count.
#[derive(Debug, Clone)]
pub struct SourceMetrics {
    written: IntCounterVec,
    active: IntGaugeVec,
    change_age: HistogramVec,
    errors: IntCounterVec,
}

impl SourceMetrics {
    /// Creates the families.
    ///
    /// # Errors
    /// They are registered already.
    pub fn register(registry: &prometheus::Registry) -> prometheus::Result<Self> {
        let opts = |name: &str, help: &str| Opts::new(name, help);
        let age = HistogramOpts::new(
            "towpath_source_change_age_seconds",
            "From the change at the source to the broker's acknowledgement.",
        )
        .buckets(vec![0.1, 0.25, 0.5, 1.0, 2.5, 5.0, 10.0, 30.0, 60.0, 120.0, 300.0, 900.0, 3600.0, 21600.0]);
        let metrics = Self {
            written: IntCounterVec::new(
                opts("towpath_source_records_written_total", "Records that Kafka has acknowledged, tombstones included."),
                &["connector", "topic"],
            )?,
            active: IntGaugeVec::new(
                opts("towpath_source_records_active", "Events that were read and are not acknowledged yet."),
                &["connector"],
            )?,
            change_age: HistogramVec::new(age, &["connector"])?,
            errors: IntCounterVec::new(
                opts("towpath_kafka_errors_total", "Errors of the Kafka client by its code."),
                &["connector", "code"],
            )?,
        };
        registry.register(Box::new(metrics.written.clone()))?;
        registry.register(Box::new(metrics.active.clone()))?;
        registry.register(Box::new(metrics.change_age.clone()))?;
        registry.register(Box::new(metrics.errors.clone()))?;
        Ok(metrics)
    }
}

/// The publisher of one source. Cheap to clone.
#[derive(Clone)]
pub struct KafkaPublisher {
    shared: Arc<Shared>,
}

struct Shared {
    kafka: KafkaSettings,
    connector: String,
    registry: Registry,
    topics: TopicSettings,
    admin: AdminClient<DefaultClientContext>,
    /// Replaced by a fresh one after an error that librdkafka calls fatal.
    producer: RwLock<FutureProducer>,
    /// What is known of each object, by its name.
    ready: RwLock<HashMap<String, Arc<Route>>>,
    preparing: tokio::sync::Mutex<()>,
    metrics: SourceMetrics,
    active: IntGauge,
    change_age: Histogram,
}

/// The way of one object: its topic, and how it is written.
struct Route {
    object: Arc<Object>,
    topic: Arc<str>,
    encoder: Encoder,
    written: prometheus::IntCounter,
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
        let producer = producer(kafka, connector)?;
        let shared = Shared {
            kafka: kafka.clone(),
            connector: connector.to_owned(),
            registry,
            topics,
            admin,
            producer: RwLock::new(producer),
            ready: RwLock::default(),
            preparing: tokio::sync::Mutex::default(),
            active: metrics.active.with_label_values(&[connector]),
            change_age: metrics.change_age.with_label_values(&[connector]),
            metrics,
        };
        Ok(Self { shared: Arc::new(shared) })
    }

    /// The way of an object; found or made.
    async fn route(&self, object: &Arc<Object>) -> Result<Arc<Route>> {
        if let Some(route) = self.known(object) {
            return Ok(route);
        }
        let _preparing = self.shared.preparing.lock().await;
        if let Some(route) = self.known(object) {
            return Ok(route);
        }
        let Shared { topics, registry, connector, .. } = &*self.shared;
        let topic = format!("{}.{}", topics.prefix, object.name());
        let schemas = TopicSchemas::new(object, &topic)?;
        topics::ensure(&self.shared.admin, &topic, topics.partitions, topics.replication, object.updates()).await?;
        let key_id = registry.register(&format!("{topic}-key"), &schemas.key).await?;
        let value_id = registry.register(&format!("{topic}-value"), &schemas.value).await?;
        let route = Arc::new(Route {
            object: Arc::clone(object),
            encoder: Encoder::new(connector, object, &schemas, key_id, value_id),
            written: self.shared.metrics.written.with_label_values(&[connector.as_str(), topic.as_str()]),
            topic: topic.into(),
        });
        let mut ready = self.shared.ready.write().unwrap_or_else(PoisonError::into_inner);
        ready.insert(object.name().to_owned(), Arc::clone(&route));
        Ok(route)
    }

    fn known(&self, object: &Arc<Object>) -> Option<Arc<Route>> {
        let ready = self.shared.ready.read().unwrap_or_else(PoisonError::into_inner);
        ready.get(object.name()).filter(|route| Arc::ptr_eq(&route.object, object) || route.object == *object).cloned()
    }

    /// Hands one record to the producer.
    fn send(&self, route: &Route, event: &ChangeEvent, key: &[u8], value: Option<&[u8]>) -> Result<DeliveryFuture> {
        let mut headers =
            OwnedHeaders::new_with_capacity(2).insert(Header { key: EVENT_ID_HEADER, value: Some(event.event_id.as_bytes()) });
        if let Some(trace) = &event.traceparent {
            headers = headers.insert(Header { key: TRACE_HEADER, value: Some(trace.as_bytes()) });
        }
        let mut record = FutureRecord::to(&route.topic).key(key).headers(headers);
        record.payload = value;
        let producer = self.shared.producer.read().unwrap_or_else(PoisonError::into_inner);
        producer.send_result(record).map_err(|(error, _)| self.explain(&route.topic, error))
    }

    /// What an error of the producer means.
    fn explain(&self, topic: &str, error: KafkaError) -> Error {
        let code = error.rdkafka_error_code();
        let label = code.map_or_else(|| "unknown".to_owned(), |code| format!("{code:?}"));
        self.shared.metrics.errors.with_label_values(&[&self.shared.connector, &label]).inc();
        let doing = format!("publish to topic `{topic}`");
        match code {
            Some(RDKafkaErrorCode::MessageSizeTooLarge) => {
                Error::poison("kafka.record_too_large", ErrorType::TooLarge, doing).because(error)
            }
            Some(RDKafkaErrorCode::QueueFull) => Error::retry("kafka.queue_full", ErrorType::Unavailable, doing).because(error),
            Some(RDKafkaErrorCode::Fatal) => {
                self.renew();
                Error::retry("kafka.producer_renewed", ErrorType::Unavailable, doing).because(error)
            }
            _ => unavailable(doing, error),
        }
    }

    /// Puts a fresh producer in the place of one that can do nothing more.
    fn renew(&self) {
        match producer(&self.shared.kafka, &self.shared.connector) {
            Ok(fresh) => *self.shared.producer.write().unwrap_or_else(PoisonError::into_inner) = fresh,
            Err(error) => {
                tracing::error!(connector = %self.shared.connector, code = error.code, error = %error.chain(), "no fresh producer")
            }
        }
    }
}

fn producer(kafka: &KafkaSettings, connector: &str) -> Result<FutureProducer> {
    let mut settings = kafka.client(connector);
    settings
        .set("enable.idempotence", "true")
        .set("message.timeout.ms", DELIVERY_TIMEOUT.as_millis().to_string())
        .set("linger.ms", LINGER.as_millis().to_string())
        .set("queue.buffering.max.kbytes", BUFFER_KIB.to_string())
        // As the Java clients choose, so that other producers of the topic agree on a key's partition.
        .set("partitioner", "murmur2_random");
    settings.create().map_err(refused_settings)
}

impl Publisher for KafkaPublisher {
    async fn prepare(&self, object: &Arc<Object>) -> Result<()> {
        self.route(object).await.map(drop)
    }

    async fn publish(&self, events: Vec<ChangeEvent>) -> Result<Vec<Placed>> {
        let _active = Active::new(&self.shared.active, events.len());
        let mut ways = Vec::with_capacity(events.len());
        for event in &events {
            ways.push(self.route(&event.object).await?);
        }
        // Encoded before anything is sent: an event that cannot be encoded holds all others back.
        let encoded = events.iter().zip(&ways).map(|(event, route)| route.encoder.encode(event)).collect::<Result<Vec<_>>>()?;
        // All are queued before the first is waited for, so that their order is kept.
        let mut sent = Vec::with_capacity(events.len());
        for ((event, route), encoded) in events.iter().zip(&ways).zip(&encoded) {
            let placed = self.send(route, event, &encoded.key, Some(&encoded.value))?;
            let tombstone = (event.op == Op::Delete).then(|| self.send(route, event, &encoded.key, None)).transpose()?;
            sent.push((placed, tombstone));
        }
        let mut placed = Vec::with_capacity(events.len());
        let delivered = join_all(sent.into_iter().map(|(event, tombstone)| async {
            let event = event.await;
            match tombstone {
                None => (event, None),
                Some(tombstone) => (event, Some(tombstone.await)),
            }
        }));
        for (((event, tombstone), route), change) in delivered.await.into_iter().zip(&ways).zip(&events) {
            let topic = &route.topic;
            let explain = |delivered: Option<DeliveryResult>| match delivered {
                Some(Ok(Ok(delivery))) => Ok(Some(delivery)),
                Some(Ok(Err((error, _)))) => Err(self.explain(topic, error)),
                // The producer was dropped, with what it had queued.
                Some(Err(_)) => {
                    Err(Error::retry("kafka.producer_renewed", ErrorType::Unavailable, format!("publish to topic `{topic}`")))
                }
                None => Ok(None),
            };
            let records = if explain(tombstone)?.is_some() { 2 } else { 1 };
            if let Some(delivery) = explain(Some(event))? {
                placed.push(Placed { topic: Arc::clone(topic), partition: delivery.partition, offset: delivery.offset });
            }
            route.written.inc_by(records);
            if let Some(time) = change.source_time_ms {
                self.shared.change_age.observe(age_seconds(time));
            }
        }
        Ok(placed)
    }
}

/// What a delivery comes to: cancelled, failed with the record, or done.
type DeliveryResult =
    std::result::Result<rdkafka::producer::future_producer::OwnedDeliveryResult, futures::channel::oneshot::Canceled>;

/// Seconds since `time_ms`; 0 for a clock that is ahead of ours.
fn age_seconds(time_ms: i64) -> f64 {
    let then = Duration::from_millis(u64::try_from(time_ms).unwrap_or(0));
    let now = std::time::SystemTime::now().duration_since(std::time::UNIX_EPOCH).unwrap_or_default();
    now.saturating_sub(then).as_secs_f64()
}

/// Counts events as active for as long as it lives, also when the call is dropped.
struct Active<'a> {
    gauge: &'a IntGauge,
    events: i64,
}

impl<'a> Active<'a> {
    fn new(gauge: &'a IntGauge, events: usize) -> Self {
        let events = i64::try_from(events).unwrap_or(i64::MAX);
        gauge.add(events);
        Self { gauge, events }
    }
}

impl Drop for Active<'_> {
    fn drop(&mut self) {
        self.gauge.sub(self.events);
    }
}
