//! The idempotent producer, and its replacement after a fatal error.
//!
//! Records that the producer retries by itself are written once and in order. A record that times out may have been
//! written and is never reported as acknowledged; librdkafka then drains the records in flight and continues with a new
//! producer epoch, so the instance stays usable. Only an error that librdkafka calls fatal ends an instance.
//!
//! The cost and the gain of `linger.ms`, measured against the broker of `dev/stack` on 2 cores with records of 12
//! columns and `acks=all`:
//!
//! | linger | one call at a time, p50 | 64 calls at once | batches of 10,000 |
//! |---|---|---|---|
//! | 0 ms | 0.4 ms | 31,000/s | 227,000/s |
//! | 1 ms | 1.4 ms | 30,000/s | 267,000/s |
//! | 5 ms | 5.4 ms | 10,000/s | 225,000/s |
//!
//! With 1 ms, records that arrive close together share most of their requests. Compression then gave 182,000/s (lz4)
//! and 235,000/s (zstd) in batches, so nothing is compressed unless the operator sets `kafka.compression.type`.

use std::{
    sync::{PoisonError, RwLock},
    time::Duration,
};

use rdkafka::{
    ClientConfig,
    error::{KafkaError, RDKafkaErrorCode as Code},
    producer::{DeliveryFuture, FutureProducer, FutureRecord, Producer as _, future_producer::Delivery},
};
use towpath_api::{Error, ErrorType, Result};

use crate::kafka::{
    client::{KafkaSettings, code, refused_settings, unavailable},
    codes,
};

/// A longer outage of the broker fails the call. A client that posts an event gets its answer within five seconds, and
/// librdkafka looks for timed-out messages only once a second.
const DELIVERY_TIMEOUT: Duration = Duration::from_millis(3_500);
/// A topic may be unknown to the brokers for this long after its first use: it may have been created just before.
const TOPIC_PROPAGATION: Duration = Duration::from_secs(3);
/// The time for which a record waits for other records of the same request.
const LINGER: Duration = Duration::from_millis(1);
/// Memory for records that wait for the broker.
const BUFFER_KIB: u32 = 32 * 1_024;

pub(super) struct Producer {
    kafka: KafkaSettings,
    connector: String,
    current: RwLock<Instance>,
}

/// One producer of librdkafka, and its number.
struct Instance {
    number: u64,
    producer: FutureProducer,
}

/// A queued record whose acknowledgement can be awaited.
pub(super) struct Sent {
    delivery: DeliveryFuture,
    instance: u64,
}

impl Producer {
    /// Connects in the background.
    pub(super) fn new(kafka: &KafkaSettings, connector: &str) -> Result<Self> {
        let current = RwLock::new(Instance { number: 0, producer: producer(kafka, connector)? });
        Ok(Self { kafka: kafka.clone(), connector: connector.to_owned(), current })
    }

    /// Queues a record. Records of one key are written in the order in which they were queued.
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

    /// Waits until the broker has a record for good, or until the outcome is certain to stay unknown.
    pub(super) async fn acknowledged(&self, sent: Sent) -> Result<Delivery, KafkaError> {
        match sent.delivery.await {
            Ok(Ok(delivery)) => Ok(delivery),
            Ok(Err((error, _))) => {
                self.renew_if_dead(sent.instance);
                Err(error)
            }
            // The instance was dropped together with its queue.
            Err(_) => Err(KafkaError::Canceled),
        }
    }

    /// Replaces instance `number` if it is current and has had a fatal error.
    fn renew_if_dead(&self, number: u64) {
        let mut current = self.current.write().unwrap_or_else(PoisonError::into_inner);
        if current.number != number || current.producer.client().fatal_error().is_none() {
            return;
        }
        match producer(&self.kafka, &self.connector) {
            Ok(fresh) => {
                let dead = std::mem::replace(&mut *current, Instance { number: number + 1, producer: fresh });
                tracing::warn!(connector = %self.connector, "renewed the producer after a fatal error");
                // Dropping waits for records in flight.
                std::thread::spawn(move || drop(dead));
            }
            Err(error) => {
                tracing::error!(
                    connector = %self.connector, code = error.code, error = %error.chain(), help = error.help(),
                    "cannot renew the producer"
                );
            }
        }
    }
}

fn producer(kafka: &KafkaSettings, connector: &str) -> Result<FutureProducer> {
    let mut settings = kafka.client(connector);
    set_defaults(&mut settings);
    set_default(&mut settings, "message.timeout.ms", DELIVERY_TIMEOUT.as_millis().to_string());
    // The guarantees of the publisher rest on idempotence.
    settings.set("enable.idempotence", "true");
    settings.create().map_err(refused_settings)
}

/// Defaults of every producer of events, which the operator may overrule.
pub(super) fn set_defaults(settings: &mut ClientConfig) {
    for (name, value) in [
        ("linger.ms", LINGER.as_millis().to_string()),
        ("queue.buffering.max.kbytes", BUFFER_KIB.to_string()),
        // A missing topic is distinguished from an absent broker while the client still waits for its answer.
        ("topic.metadata.propagation.max.ms", TOPIC_PROPAGATION.as_millis().to_string()),
        // As the Java clients do, so that other producers of the topic agree on the partition of a key.
        ("partitioner", "murmur2_random".to_owned()),
    ] {
        set_default(settings, name, value);
    }
}

fn set_default(settings: &mut ClientConfig, name: &str, value: String) {
    if settings.get(name).is_none() {
        settings.set(name, value);
    }
}

/// Explains an error of the idempotent producer to the publisher of a record of `topic`.
pub(super) fn explain(topic: &str, error: KafkaError) -> Error {
    let doing = format!("publish to topic `{topic}`");
    match code(&error) {
        Some(Code::MessageSizeTooLarge | Code::MessageBatchTooLarge) => {
            Error::poison(codes::RECORD_TOO_LARGE, ErrorType::TooLarge, doing).because(error)
        }
        Some(Code::QueueFull) => Error::retry(codes::QUEUE_FULL, ErrorType::Unavailable, doing).because(error),
        Some(code) if is_unknown_topic(code) => {
            Error::retry(codes::UNKNOWN_TOPIC, ErrorType::NotFound, doing).because(error)
        }
        Some(
            Code::Fatal
            | Code::OutOfOrderSequenceNumber
            | Code::UnknownProducerId
            | Code::InvalidProducerEpoch
            | Code::PurgeQueue
            | Code::PurgeInflight,
        ) => Error::retry(codes::PRODUCER_RENEWED, ErrorType::Unavailable, doing).because(error),
        None if matches!(error, KafkaError::Canceled) => {
            Error::retry(codes::PRODUCER_RENEWED, ErrorType::Unavailable, doing).because(error)
        }
        _ => unavailable(doing, error),
    }
}

fn is_unknown_topic(code: Code) -> bool {
    matches!(code, Code::UnknownTopic | Code::UnknownTopicOrPartition | Code::UnknownPartition)
}

/// The label `code` of an error.
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
