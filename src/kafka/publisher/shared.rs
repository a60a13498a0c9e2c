//! The publisher of sources without a position.
//!
//! The producer is idempotent and has no transactions: when a call fails, some of its events may be in their topics.
//! Publishing them again is harmless, since they keep their keys, ids and versions. No event is reported as placed
//! before the broker has acknowledged it.
//!
//! The broker refuses a whole batch because of its size or of one of its records, and records of many calls share a
//! batch. So a refusal says nothing about a record: it is sent again in a request of its own, by a second producer. The
//! records of a topic whose limit is below the producer's batches go there at once.

use std::{
    collections::HashSet,
    sync::{Arc, OnceLock},
    time::Duration,
};

use rdkafka::{
    ClientConfig,
    error::KafkaError,
    producer::{FutureRecord, future_producer::Delivery},
};
use towpath_api::{ChangeEvent, Error, Object, Placed, Publisher, Reaction, Result};

use super::{
    Outgoing, Router, TopicSettings,
    metrics::{ConnectorSeries, SourceMetrics},
    producer::{Instance, Producer, Sent},
    refusal::{explain, is_of_a_batch, is_size, label},
    settings::{guarantee, set_default, set_defaults},
};
use crate::{
    avro::registry::Registry,
    kafka::{client::KafkaSettings, codes},
};

/// A longer outage of the broker fails the call. A client that posts an event gets its answer within five seconds, and
/// librdkafka looks for timed-out messages only once a second.
const DELIVERY_TIMEOUT: Duration = Duration::from_millis(3_500);

/// The publisher of one source. Cheap to clone.
#[derive(Clone)]
pub struct KafkaPublisher {
    shared: Arc<Shared>,
}

struct Shared {
    connector: String,
    router: Router,
    settings: ClientConfig,
    producer: Producer,
    /// Sends each record in a request of its own. Created when it is first needed.
    single: OnceLock<Producer>,
    series: Arc<ConnectorSeries>,
}

/// A record of a call: the change of an event, or the tombstone after a delete.
struct Part<'a> {
    outgoing: &'a Outgoing<'a>,
    is_tombstone: bool,
    /// Send it in a request of its own.
    alone: bool,
    /// `None` until it is sent.
    delivered: Option<Result<Delivery, KafkaError>>,
}

impl Part<'_> {
    fn topic(&self) -> &str {
        &self.outgoing.route.topic
    }

    fn refusal(&self) -> Option<&KafkaError> {
        self.delivered.as_ref()?.as_ref().err()
    }
}

impl KafkaPublisher {
    /// Connects in the background.
    ///
    /// # Errors
    /// Fatal when librdkafka refuses a setting, or a setting would weaken the guarantees.
    pub fn new(
        kafka: &KafkaSettings,
        registry: Registry,
        topics: TopicSettings,
        connector: &str,
        metrics: SourceMetrics,
    ) -> Result<Self> {
        let series = Arc::new(metrics.connector(connector));
        let mut settings = kafka.client(connector);
        set_defaults(&mut settings);
        set_default(&mut settings, "message.timeout.ms", DELIVERY_TIMEOUT.as_millis().to_string());
        guarantee(&mut settings)?;
        let shared = Shared {
            connector: connector.to_owned(),
            router: Router::new(kafka, registry, topics, connector, Arc::clone(&series))?,
            producer: Producer::new(connector, settings.clone())?,
            single: OnceLock::new(),
            settings,
            series,
        };
        Ok(Self { shared: Arc::new(shared) })
    }

    /// The producer that sends each record in a request of its own.
    fn single(&self) -> Result<&Producer> {
        if let Some(single) = self.shared.single.get() {
            return Ok(single);
        }
        let mut settings = self.shared.settings.clone();
        settings.set("batch.num.messages", "1").set("linger.ms", "0");
        let single = Producer::new(&self.shared.connector, settings)?;
        Ok(self.shared.single.get_or_init(|| single))
    }

    /// Sends the parts at `chosen`, in their order, and waits for all that were queued: nothing of them is in flight
    /// when this returns. After a failure to queue one, the later ones are not sent.
    async fn deliver(&self, parts: &mut [Part<'_>], chosen: &[usize]) -> Result<()> {
        let shared = &self.shared.producer;
        let any = |alone| chosen.iter().any(|at| parts[*at].alone == alone);
        let single = any(true).then(|| self.single()).transpose()?;
        // All records are queued before the first acknowledgement is awaited, so that they keep their order.
        let (mut by_shared, mut by_single) = (None, None);
        if any(false) {
            by_shared = Some((shared, self.instance(shared).await?));
        }
        if let Some(single) = single {
            by_single = Some((single, self.instance(single).await?));
        }
        let mut queued: Vec<(usize, &Producer, Sent)> = Vec::with_capacity(chosen.len());
        for at in chosen {
            let part = &mut parts[*at];
            let Some((producer, instance)) = (if part.alone { &by_single } else { &by_shared }) else { break };
            let outgoing = part.outgoing;
            let mut record =
                FutureRecord::to(&outgoing.route.topic).key(&outgoing.encoded.key[..]).headers(outgoing.headers());
            record.payload = (!part.is_tombstone).then_some(&outgoing.encoded.value[..]);
            match producer.send(instance, record) {
                Ok(sent) => queued.push((*at, producer, sent)),
                Err(error) => {
                    part.delivered = Some(Err(error));
                    break;
                }
            }
        }
        // An instance that is held is not dropped.
        drop((by_shared, by_single));
        for (at, producer, sent) in queued {
            let part = &mut parts[at];
            let delivered = producer.acknowledged(&part.outgoing.route.topic, sent).await;
            if delivered.is_ok() {
                part.outgoing.route.written.inc();
            }
            part.delivered = Some(delivered);
        }
        for error in chosen.iter().filter_map(|at| parts[*at].refusal()) {
            self.shared.series.error(&label(error));
        }
        Ok(())
    }

    async fn instance(&self, producer: &Producer) -> Result<Arc<Instance>> {
        let instance = producer.instance().await;
        instance.map_err(|error| explain("publish: the producer is being renewed. Nothing was published", error))
    }

    /// The error of a call whose parts have all been answered, if one was not acknowledged.
    fn failure(&self, parts: &[Part<'_>]) -> Option<Error> {
        let acknowledged = parts.iter().filter(|part| matches!(part.delivered, Some(Ok(_)))).count();
        let mut failure = None;
        for part in parts {
            let Some(error) = part.refusal() else { continue };
            let mut doing = format!("publish to topic `{}`", part.topic());
            if is_of_a_batch(error) {
                doing = format!(
                    "{doing}: the broker refuses a record by itself. The other {acknowledged} of {} records of the \
                     call were published",
                    parts.len()
                );
            }
            let error = explain(doing, error.clone());
            // The topic is gone, or its limit is lower than it was or was not known.
            if [codes::UNKNOWN_TOPIC, codes::RECORD_TOO_LARGE].contains(&error.code) {
                self.shared.router.forget(&part.outgoing.route);
            }
            failure = Some(worse(failure, error));
        }
        failure
    }
}

impl Publisher for KafkaPublisher {
    async fn prepare(&self, object: &Arc<Object>) -> Result<()> {
        self.shared.router.route(object).await.map(drop)
    }

    async fn publish(&self, events: Vec<ChangeEvent>) -> Result<Vec<Placed>> {
        let Shared { router, series, .. } = &*self.shared;
        let _active = series.active(events.len());
        let outgoing = Outgoing::prepare(router, &events).await?;
        let mut parts = Vec::with_capacity(outgoing.len());
        for outgoing in &outgoing {
            let alone = outgoing.route.batch_limit.is_some();
            parts.push(Part { outgoing, is_tombstone: false, alone, delivered: None });
            if outgoing.needs_tombstone() {
                parts.push(Part { outgoing, is_tombstone: true, alone, delivered: None });
            }
        }
        let all: Vec<_> = (0..parts.len()).collect();
        self.deliver(&mut parts, &all).await?;
        let again = refused_with_others(&parts);
        if !again.is_empty() {
            for at in &again {
                let part = &mut parts[*at];
                if part.refusal().is_some_and(is_size) {
                    // The topic's limit is lower than it was, or was not known.
                    router.forget(&part.outgoing.route);
                }
                part.alone = true;
            }
            self.deliver(&mut parts, &again).await?;
        }
        if let Some(failure) = self.failure(&parts) {
            return Err(failure);
        }
        let changes = parts.iter().filter(|part| !part.is_tombstone);
        let placed = changes.filter_map(|part| {
            let Delivery { partition, offset, .. } = part.delivered.as_ref()?.as_ref().ok()?;
            series.acknowledged(part.outgoing.event.source_time_ms);
            Some(part.outgoing.placed(*partition, *offset))
        });
        Ok(placed.collect())
    }
}

/// The parts to send again, each in a request of its own: those that were refused together with others, and after each
/// of them the later parts of its key, so that the newest of a key stays the last. None if a part has another error:
/// the whole call is repeated then.
fn refused_with_others(parts: &[Part<'_>]) -> Vec<usize> {
    let may_be_sent_again = |part: &Part<'_>| match &part.delivered {
        Some(Err(error)) => is_of_a_batch(error),
        delivered => delivered.is_some(),
    };
    if !parts.iter().all(may_be_sent_again) {
        return Vec::new();
    }
    let mut keys = HashSet::new();
    let mut again = Vec::new();
    for (at, part) in parts.iter().enumerate() {
        let key = (part.topic(), &part.outgoing.encoded.key[..]);
        if keys.contains(&key) || !part.alone && part.refusal().is_some() {
            keys.insert(key);
            again.push(at);
        }
    }
    again
}

/// The error to report of two errors of one call: a retry repeats the whole call and finds a poisoned event then.
fn worse(first: Option<Error>, second: Error) -> Error {
    match first {
        Some(first) if first.reaction != Reaction::Poison => first,
        _ => second,
    }
}
