//! The idempotent producer, and a fresh one in its place when it can do nothing more.
//!
//! What the producer retries by itself is written once and in order. When a message times out it was perhaps written
//! and is never reported as acknowledged; librdkafka then lets what is in flight drain and goes on with a new producer
//! epoch, so the instance stays of use. Only an error that it calls fatal ends an instance.
//!
//! Measured against the broker of `dev/stack` on 2 cores, records of 12 columns, `acks=all`: what `linger.ms` costs and
//! gives.
//!
//! | linger | one call at a time, p50 | 64 calls at once | batches of 10,000 |
//! |---|---|---|---|
//! | 0 ms | 0.4 ms | 31,000/s | 227,000/s |
//! | 1 ms | 1.4 ms | 30,000/s | 267,000/s |
//! | 5 ms | 5.4 ms | 10,000/s | 225,000/s |
//!
//! 1 ms spares the brokers most of the requests of records that come close together. With it lz4 gave 182,000/s and
//! zstd 235,000/s in batches, so nothing is compressed unless the operator asks for it with `kafka.compression.type`.

use std::{
    sync::{PoisonError, RwLock},
    time::Duration,
};

use rdkafka::{
    error::{KafkaError, RDKafkaErrorCode as Code},
    producer::{DeliveryFuture, FutureProducer, FutureRecord, Producer as _, future_producer::Delivery},
};
use towpath_api::{Error, ErrorType, Result};

use crate::kafka::client::{KafkaSettings, code, refused_settings, unavailable};

/// A broker that is away for longer makes the call fail. Whoever posts an event must hear of it within five seconds,
/// and librdkafka looks for messages that are out of time once a second only.
const DELIVERY_TIMEOUT: Duration = Duration::from_millis(3_500);
/// For so long after its first use a topic may be unknown to the brokers without that being an error: it may have been
/// made just now.
const TOPIC_PROPAGATION: Duration = Duration::from_secs(3);
/// How long the producer waits for company of a record: enough for posts that arrive together, too short to be noticed.
const LINGER: Duration = Duration::from_millis(1);
/// What librdkafka takes for `message.max.bytes` when nobody says otherwise.
const MAX_BYTES: usize = 1_000_000;
/// What may wait in memory for the broker.
const BUFFER_KIB: u32 = 32 * 1_024;

/// Produces for one connector.
pub(super) struct Producer {
    kafka: KafkaSettings,
    connector: String,
    current: RwLock<Instance>,
    /// The most bytes that key and value of a record may have.
    max_bytes: usize,
}

/// One producer of librdkafka, and its number.
struct Instance {
    number: u64,
    producer: FutureProducer,
}

/// A record that was queued and whose acknowledgement can be waited for.
pub(super) struct Sent {
    delivery: DeliveryFuture,
    instance: u64,
}

impl Producer {
    /// Connects in the background.
    pub(super) fn new(kafka: &KafkaSettings, connector: &str) -> Result<Self> {
        let current = RwLock::new(Instance { number: 0, producer: producer(kafka, connector)? });
        let max_bytes =
            kafka.client(connector).get("message.max.bytes").and_then(|bytes| bytes.parse().ok()).unwrap_or(MAX_BYTES);
        Ok(Self { kafka: kafka.clone(), connector: connector.to_owned(), current, max_bytes })
    }

    /// Whether a record of so many bytes can be queued; asked for all records of a call before the first of them is.
    ///
    /// # Errors
    /// Poison when it cannot.
    pub(super) fn fits(&self, topic: &str, bytes: usize) -> Result<()> {
        if bytes <= self.max_bytes {
            return Ok(());
        }
        Err(explain(topic, KafkaError::MessageProduction(Code::MessageSizeTooLarge)))
    }

    /// Queues a record. Records of one key that are queued one after another are written in that order.
    pub(super) fn send(&self, record: FutureRecord<'_, [u8], [u8]>) -> Result<Sent, KafkaError> {
        let instance = self.current.read().unwrap_or_else(PoisonError::into_inner);
        let number = instance.number;
        let sent = instance.producer.send_result(record).map_err(|(error, _)| error);
        drop(instance);
        if sent.is_err() {
            self.renew_if_dead(number);
        }
        Ok(Sent { delivery: sent?, instance: number })
    }

    /// Waits until the broker has a record for good, or until it is certain that this will not be known.
    pub(super) async fn acknowledged(&self, sent: Sent) -> Result<Delivery, KafkaError> {
        match sent.delivery.await {
            Ok(Ok(delivery)) => Ok(delivery),
            Ok(Err((error, _))) => {
                self.renew_if_dead(sent.instance);
                Err(error)
            }
            // The instance was dropped, with what it had queued.
            Err(_) => Err(KafkaError::Canceled),
        }
    }

    /// Puts a fresh instance in the place of `number` if that one has had a fatal error.
    fn renew_if_dead(&self, number: u64) {
        let mut current = self.current.write().unwrap_or_else(PoisonError::into_inner);
        if current.number != number || current.producer.client().fatal_error().is_none() {
            return;
        }
        match producer(&self.kafka, &self.connector) {
            Ok(fresh) => {
                let dead = std::mem::replace(&mut *current, Instance { number: number + 1, producer: fresh });
                tracing::warn!(connector = %self.connector, "renewed the producer after a fatal error of the old one");
                // Dropping waits for what it still has in flight.
                std::thread::spawn(move || drop(dead));
            }
            Err(error) => {
                tracing::error!(connector = %self.connector, code = error.code, error = %error.chain(), "no fresh producer");
            }
        }
    }
}

fn producer(kafka: &KafkaSettings, connector: &str) -> Result<FutureProducer> {
    let mut settings = kafka.client(connector);
    // The operator may choose otherwise.
    for (name, value) in [
        ("message.timeout.ms", DELIVERY_TIMEOUT.as_millis().to_string()),
        ("linger.ms", LINGER.as_millis().to_string()),
        ("queue.buffering.max.kbytes", BUFFER_KIB.to_string()),
        // A topic that is gone is told apart from a broker that is away while somebody still waits for the answer.
        ("topic.metadata.propagation.max.ms", TOPIC_PROPAGATION.as_millis().to_string()),
        // As the Java clients choose, so that other producers of the topic agree on a key's partition.
        ("partitioner", "murmur2_random".to_owned()),
    ] {
        if settings.get(name).is_none() {
            settings.set(name, value);
        }
    }
    // What is promised rests on this one.
    settings.set("enable.idempotence", "true");
    settings.create().map_err(refused_settings)
}

/// What an error of the producer means for those who publish to `topic`.
pub(super) fn explain(topic: &str, error: KafkaError) -> Error {
    let doing = format!("publish to topic `{topic}`");
    match code(&error) {
        Some(Code::MessageSizeTooLarge | Code::MessageBatchTooLarge) => {
            Error::poison("kafka.record_too_large", ErrorType::TooLarge, doing).because(error)
        }
        Some(Code::QueueFull) => Error::retry("kafka.queue_full", ErrorType::Unavailable, doing).because(error),
        Some(code) if is_unknown_topic(code) => {
            Error::retry("kafka.unknown_topic", ErrorType::NotFound, doing).because(error)
        }
        Some(
            Code::Fatal
            | Code::OutOfOrderSequenceNumber
            | Code::UnknownProducerId
            | Code::InvalidProducerEpoch
            | Code::PurgeQueue
            | Code::PurgeInflight,
        ) => Error::retry("kafka.producer_renewed", ErrorType::Unavailable, doing).because(error),
        None if matches!(error, KafkaError::Canceled) => {
            Error::retry("kafka.producer_renewed", ErrorType::Unavailable, doing).because(error)
        }
        _ => unavailable(doing, error),
    }
}

fn is_unknown_topic(code: Code) -> bool {
    matches!(code, Code::UnknownTopic | Code::UnknownTopicOrPartition | Code::UnknownPartition)
}

/// The label that an error is counted by.
pub(super) fn label(error: &KafkaError) -> String {
    code(error).map_or_else(|| "unknown".to_owned(), |code| format!("{code:?}"))
}

#[cfg(test)]
mod tests {
    use towpath_api::Reaction;

    use super::*;

    #[test]
    fn only_a_record_that_is_too_large_is_poison() {
        for (code, expected, reaction) in [
            (Code::MessageSizeTooLarge, "kafka.record_too_large", Reaction::Poison),
            (Code::QueueFull, "kafka.queue_full", Reaction::Retry),
            (Code::UnknownTopicOrPartition, "kafka.unknown_topic", Reaction::Retry),
            (Code::MessageTimedOut, "kafka.timeout", Reaction::Retry),
            (Code::TopicAuthorizationFailed, "kafka.auth", Reaction::Retry),
            (Code::Fatal, "kafka.producer_renewed", Reaction::Retry),
            (Code::NotEnoughReplicas, "kafka.unavailable", Reaction::Retry),
        ] {
            let error = explain("t", KafkaError::MessageProduction(code));
            assert_eq!((error.code, error.reaction), (expected, reaction), "{code:?}");
        }
    }
}
