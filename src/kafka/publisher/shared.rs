//! The publisher of sources without a position.
//!
//! The producer is idempotent and has no transactions: when a call fails, some of its events may be in their topics.
//! Publishing them again is harmless, since they keep their keys, ids and versions. No event is reported as placed
//! before the broker has acknowledged it.

use std::sync::Arc;

use rdkafka::{
    error::KafkaError,
    producer::{FutureRecord, future_producer::Delivery},
};
use towpath_api::{ChangeEvent, Error, Object, Placed, Publisher, Reaction, Result};

use super::{
    Outgoing, Router, TopicSettings,
    metrics::{ConnectorSeries, SourceMetrics},
    producer::{Producer, Sent, explain, label},
    route::Route,
};
use crate::{
    avro::registry::Registry,
    kafka::{client::KafkaSettings, codes},
};

/// The publisher of one source. Cheap to clone.
#[derive(Clone)]
pub struct KafkaPublisher {
    shared: Arc<Shared>,
}

struct Shared {
    router: Router,
    producer: Producer,
    series: Arc<ConnectorSeries>,
}

impl KafkaPublisher {
    /// Connects in the background.
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
        let series = Arc::new(metrics.connector(connector));
        let shared = Shared {
            router: Router::new(kafka, registry, topics, connector, Arc::clone(&series))?,
            producer: Producer::new(kafka, connector)?,
            series,
        };
        Ok(Self { shared: Arc::new(shared) })
    }

    /// Queues the change of an event, and a tombstone after a delete.
    fn send(&self, outgoing: &Outgoing) -> Result<(Sent, Option<Sent>)> {
        let send = |value| {
            let mut record =
                FutureRecord::to(&outgoing.route.topic).key(&outgoing.encoded.key[..]).headers(outgoing.headers());
            record.payload = value;
            self.shared.producer.send(record).map_err(|error| self.failed(&outgoing.route, error))
        };
        let change = send(Some(&outgoing.encoded.value[..]))?;
        let tombstone = outgoing.needs_tombstone().then(|| send(None)).transpose()?;
        Ok((change, tombstone))
    }

    /// Waits for the records of an event; returns the place of its change.
    async fn placed(&self, outgoing: &Outgoing, (change, tombstone): (Sent, Option<Sent>)) -> Result<Placed> {
        let change = self.delivered(outgoing, change).await;
        let tombstone = match tombstone {
            Some(tombstone) => self.delivered(outgoing, tombstone).await.map(drop),
            None => Ok(()),
        };
        let Delivery { partition, offset, .. } = change.and_then(|delivery| tombstone.map(|()| delivery))?;
        self.shared.series.acknowledged(outgoing.event.source_time_ms);
        Ok(outgoing.placed(partition, offset))
    }

    async fn delivered(&self, outgoing: &Outgoing, sent: Sent) -> Result<Delivery> {
        let delivered = self.shared.producer.acknowledged(sent).await;
        let delivered = delivered.map_err(|error| self.failed(&outgoing.route, error))?;
        outgoing.route.written.inc();
        Ok(delivered)
    }

    /// Counts an error and explains it.
    fn failed(&self, route: &Route, error: KafkaError) -> Error {
        self.shared.series.error(&label(&error));
        let error = explain(&route.topic, error);
        if error.code == codes::UNKNOWN_TOPIC {
            self.shared.router.forget(route);
        }
        error
    }
}

impl Publisher for KafkaPublisher {
    async fn prepare(&self, object: &Arc<Object>) -> Result<()> {
        self.shared.router.route(object).await.map(drop)
    }

    async fn publish(&self, events: Vec<ChangeEvent>) -> Result<Vec<Placed>> {
        let Shared { router, series, .. } = &*self.shared;
        let _active = series.active(events.len());
        let outgoing = Outgoing::prepare(router, events).await?;
        // All records are queued before the first acknowledgement is awaited, so that they keep their order.
        let mut failure = None;
        let mut sent = Vec::with_capacity(outgoing.len());
        for outgoing in &outgoing {
            match self.send(outgoing) {
                Ok(records) => sent.push(records),
                Err(error) => {
                    failure = Some(error);
                    break;
                }
            }
        }
        let mut placed = Vec::with_capacity(sent.len());
        // Every record is awaited, also after a failure: nothing of this call is in flight when it returns.
        for (outgoing, sent) in outgoing.iter().zip(sent) {
            match self.placed(outgoing, sent).await {
                Ok(place) => placed.push(place),
                Err(error) => failure = Some(worse(failure, error)),
            }
        }
        failure.map_or(Ok(placed), Err)
    }
}

/// The error to report of two errors of one call: a retry repeats the whole call and finds a poisoned event then.
fn worse(first: Option<Error>, second: Error) -> Error {
    match first {
        Some(first) if first.reaction != Reaction::Poison => first,
        _ => second,
    }
}
