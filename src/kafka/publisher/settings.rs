//! The settings of producers: our defaults, which the operator may overrule, and the guarantees, which nobody may.

use std::time::Duration;

use rdkafka::ClientConfig;
use towpath_api::{Error, ErrorType, Result};

use crate::kafka::codes;

/// A topic may be unknown to the brokers for this long after its first use: it may have been created just before.
const TOPIC_PROPAGATION: Duration = Duration::from_secs(3);
/// The time for which a record waits for other records of the same request.
const LINGER: Duration = Duration::from_millis(1);
/// Memory for records that wait for the broker.
const BUFFER_BYTES: usize = 32 * 1_024 * 1_024;
/// The default of `batch.size` in librdkafka.
const BATCH_BYTES: usize = 1_000_000;

/// Properties that would weaken a guarantee, and the values that do not.
const GUARANTEES: [(&str, &[&str]); 5] = [
    ("enable.idempotence", &["true"]),
    ("acks", &["all", "-1"]),
    ("request.required.acks", &["all", "-1"]),
    // A producer with another id would not be fenced, or would never begin a transaction.
    ("transactional.id", &[]),
    // Brokers within the process, which keep nothing.
    ("test.mock.num.brokers", &["0"]),
];

/// Sets the guarantees of every producer: an acknowledged record is on all in-sync replicas, once and in order.
///
/// # Errors
/// Fatal [`codes::CONFIG`] when a property of the operator contradicts them.
pub(in crate::kafka) fn guarantee(settings: &mut ClientConfig) -> Result<()> {
    for (name, allowed) in GUARANTEES {
        let Some(value) = settings.get(name) else { continue };
        if !allowed.contains(&value) {
            let doing = format!("create a producer: `kafka.{name}` would weaken what an acknowledgement guarantees");
            let help = format!("remove `kafka.{name}` from the config of the worker");
            return Err(Error::fatal(codes::CONFIG, ErrorType::Config, doing).with_help(help));
        }
    }
    settings.set("enable.idempotence", "true").set("acks", "all");
    Ok(())
}

/// Defaults of every producer of events, which the operator may overrule.
pub(super) fn set_defaults(settings: &mut ClientConfig) {
    for (name, value) in [
        ("linger.ms", LINGER.as_millis().to_string()),
        // A single record may be as large as its topic allows; `batch.size` bounds requests of several records.
        ("message.max.bytes", BUFFER_BYTES.to_string()),
        // A missing topic is distinguished from an absent broker while the client still waits for its answer.
        ("topic.metadata.propagation.max.ms", TOPIC_PROPAGATION.as_millis().to_string()),
        // As the Java clients do, so that other producers of the topic agree on the partition of a key.
        ("partitioner", "murmur2_random".to_owned()),
    ] {
        set_default(settings, name, value);
    }
    // A record that is larger than the buffer would never be queued.
    let buffer = BUFFER_BYTES.max(max_record(settings));
    set_default(settings, "queue.buffering.max.kbytes", buffer.div_ceil(1_024).to_string());
}

pub(in crate::kafka) fn set_default(settings: &mut ClientConfig, name: &str, value: impl Into<String>) {
    if settings.get(name).is_none() {
        settings.set(name, value);
    }
}

/// The producer refuses larger records, whatever their topic allows.
pub(super) fn max_record(settings: &ClientConfig) -> usize {
    number(settings, "message.max.bytes").unwrap_or(BUFFER_BYTES)
}

/// A batch of several records has at most this many bytes.
pub(super) fn max_batch(settings: &ClientConfig) -> usize {
    number(settings, "batch.size").unwrap_or(BATCH_BYTES).min(max_record(settings))
}

fn number(settings: &ClientConfig, name: &str) -> Option<usize> {
    settings.get(name)?.parse().ok()
}

#[cfg(test)]
mod tests {
    use std::sync::{Arc, Mutex};

    use rdkafka::{
        ClientContext,
        config::RDKafkaLogLevel,
        message::DeliveryResult,
        producer::{BaseProducer, FutureProducer, ProducerContext},
    };
    use towpath_api::Reaction;

    use super::*;

    #[derive(Clone, Default)]
    struct Printed(Arc<Mutex<String>>);

    impl ClientContext for Printed {
        fn log(&self, _level: RDKafkaLogLevel, _facility: &str, line: &str) {
            self.0.lock().unwrap().push_str(&format!("{line}\n"));
        }
    }

    impl ProducerContext for Printed {
        type DeliveryOpaque = ();

        fn delivery(&self, _delivered: &DeliveryResult<'_>, _opaque: ()) {}
    }

    fn with(name: &str, value: &str) -> ClientConfig {
        let mut settings = ClientConfig::new();
        settings.set("bootstrap.servers", "127.0.0.1:1").set(name, value);
        settings
    }

    #[test]
    fn a_property_that_weakens_a_guarantee_is_refused_by_name() {
        for (name, value) in [
            ("enable.idempotence", "false"),
            ("acks", "1"),
            ("request.required.acks", "0"),
            ("transactional.id", "canary"),
            ("test.mock.num.brokers", "3"),
        ] {
            let error = guarantee(&mut with(name, value)).unwrap_err();
            assert_eq!((error.reaction, error.code), (Reaction::Fatal, codes::CONFIG), "{name}");
            assert!(error.chain().contains(name) && error.help().unwrap().contains(name), "{}", error.chain());
            assert!(!error.chain().contains("canary"), "{}", error.chain());
        }
    }

    #[test]
    fn the_native_producer_is_idempotent_and_waits_for_all_replicas() {
        let mut settings = with("linger.ms", "0");
        guarantee(&mut settings).unwrap();
        // The configuration that an instance of librdkafka runs with, as it prints it.
        let printed = Printed::default();
        settings.set("debug", "conf").set_log_level(RDKafkaLogLevel::Debug);
        let producer: BaseProducer<_> = settings.create_with_context(printed.clone()).unwrap();
        for _ in 0..20 {
            producer.poll(Duration::from_millis(50));
        }
        let printed = printed.0.lock().unwrap().clone();
        for line in ["enable.idempotence = true", "request.required.acks = -1"] {
            assert!(printed.contains(line), "{line}: {printed}");
        }
        // librdkafka itself refuses these for an idempotent producer only.
        for (name, value) in [("max.in.flight", "100"), ("retries", "0"), ("queuing.strategy", "lifo")] {
            let mut settings = with(name, value);
            guarantee(&mut settings).unwrap();
            assert!(settings.create::<FutureProducer>().is_err(), "{name}={value}");
            settings.remove("enable.idempotence").remove("acks");
            assert!(settings.create::<FutureProducer>().is_ok(), "{name}={value} without idempotence");
        }
    }

    #[test]
    fn the_buffer_has_room_for_the_largest_record() {
        let mut settings = with("message.max.bytes", "100000000");
        set_defaults(&mut settings);
        assert_eq!(number(&settings, "queue.buffering.max.kbytes"), Some(97_657));
        assert_eq!((max_record(&settings), max_batch(&settings)), (100_000_000, BATCH_BYTES));
        let mut settings = with("batch.size", "5000");
        set_defaults(&mut settings);
        assert_eq!((max_record(&settings), max_batch(&settings)), (BUFFER_BYTES, 5_000));
    }
}
