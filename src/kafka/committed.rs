//! The parts of reading a topic to its end as committed records: `compacted.rs` and `publisher/published.rs` use them,
//! and `witness.rs` its [`QuietAtEnd`].
//!
//! **The end.** A reader is complete when it has passed every record that was in the topic when it began. The
//! end-of-partition event alone does not prove that: for a committed read it fires at the last stable offset, which an
//! open transaction of any producer holds back while later records are committed. So the high watermark is fetched
//! first, by a client that reads uncommitted records ([`watermarks`]); then the last stable offset has to reach it
//! ([`wait_until_stable`]); and only then the fetch begins ([`assign`]), so that its end-of-partition event is at or
//! after the high watermark.

use std::{sync::Arc, time::Duration};

use rdkafka::{
    ClientConfig, ClientContext, Offset, TopicPartitionList,
    consumer::{Consumer, ConsumerContext},
    error::{KafkaError, RDKafkaErrorCode},
};
use tokio::time::Instant;
use towpath_api::{Error, ErrorType, Result};

use super::{
    client::{KafkaSettings, blocking, code, unavailable},
    codes,
};

/// The maximum time of one request.
pub(super) const REQUEST_TIMEOUT: Duration = Duration::from_secs(5);
/// Pause between polls of the last stable offset.
const PAUSE: Duration = Duration::from_millis(20);

/// The settings of a client that reads without a group, and reports the end of a partition.
pub(super) fn settings(kafka: &KafkaSettings, role: &str, isolation: &str) -> ClientConfig {
    let mut settings = kafka.client(role);
    settings
        // librdkafka assigns partitions only with a group; it is never joined and never has offsets.
        .set("group.id", format!("towpath-{}", kafka.group()))
        .set("enable.auto.commit", "false")
        .set("enable.auto.offset.store", "false")
        // Records that vanish under the reader fail it; they are not skipped.
        .set("auto.offset.reset", "error")
        .set("check.crcs", "true")
        .set("enable.partition.eof", "true")
        .set("fetch.wait.max.ms", "100")
        .set("isolation.level", isolation);
    settings
}

/// Logs the errors of a client, but not the end of a partition, which rdkafka takes for one.
#[derive(Debug)]
pub(super) struct QuietAtEnd;

impl ClientContext for QuietAtEnd {
    fn error(&self, error: KafkaError, reason: &str) {
        if code(&error) == Some(RDKafkaErrorCode::PartitionEOF) {
            tracing::trace!(%error, "{reason}");
        } else {
            tracing::error!(target: "rdkafka::client", %error, "{reason}");
        }
    }
}

impl ConsumerContext for QuietAtEnd {}

/// The offsets that a partition has.
#[derive(Debug, Clone, Copy, PartialEq, Eq)]
pub(super) struct Watermarks {
    pub(super) partition: i32,
    /// The first offset.
    pub(super) low: i64,
    /// The next offset, as the isolation level of the client shows it: the high watermark, or the last stable offset.
    pub(super) end: i64,
}

/// The watermarks of `partitions`, in their order.
///
/// # Errors
/// Retry while a leader does not answer.
pub(super) async fn watermarks<X: ConsumerContext + 'static>(
    client: &Arc<impl Consumer<X> + Send + Sync + 'static>,
    topic: &Arc<str>,
    partitions: &[i32],
) -> Result<Vec<Watermarks>> {
    let doing = format!("fetch the offsets of topic `{topic}`");
    let (client, topic, partitions) = (Arc::clone(client), Arc::clone(topic), partitions.to_vec());
    blocking(&doing, move || {
        let fetch = |partition: i32| {
            let (low, end) = client.fetch_watermarks(&topic, partition, REQUEST_TIMEOUT)?;
            Ok(Watermarks { partition, low, end })
        };
        partitions.into_iter().map(fetch).collect()
    })
    .await
}

/// Waits until the last stable offset of each partition has reached its end in `ends`. `client` reads committed
/// records.
///
/// # Errors
/// Retry while a leader does not answer. Retry [`codes::END_NOT_REACHED`] at `deadline`, which is after `limit`.
pub(super) async fn wait_until_stable<X: ConsumerContext + 'static>(
    client: &Arc<impl Consumer<X> + Send + Sync + 'static>,
    topic: &Arc<str>,
    ends: &[Watermarks],
    limit: Duration,
    deadline: Instant,
) -> Result<()> {
    for end in ends {
        // For a client that reads committed records, this is the last stable offset.
        while watermarks(client, topic, &[end.partition]).await?.iter().any(|stable| stable.end < end.end) {
            if Instant::now() >= deadline {
                return Err(end_not_reached(topic, end.partition, limit));
            }
            tokio::time::sleep(PAUSE).await;
        }
    }
    Ok(())
}

/// Starts to read partitions of `topic`, and only these.
///
/// # Errors
/// Retry when the client refuses the partitions.
pub(super) fn assign<X: ConsumerContext>(
    client: &impl Consumer<X>,
    topic: &str,
    partitions: impl IntoIterator<Item = (i32, Offset)>,
) -> Result<()> {
    let mut assignment = TopicPartitionList::new();
    let mut starts = partitions.into_iter();
    let added = starts.try_for_each(|(partition, start)| assignment.add_partition_offset(topic, partition, start));
    added.and_then(|()| client.assign(&assignment)).map_err(|error| failed(topic, error))
}

/// The error of a reader whose client has failed.
pub(super) fn failed(topic: &str, error: KafkaError) -> Error {
    unavailable(format!("read topic `{topic}`"), error)
}

/// The error of a reader that was not at the end of a partition within `limit`.
pub(super) fn end_not_reached(topic: &str, partition: i32, limit: Duration) -> Error {
    let doing = format!(
        "read topic `{topic}` to its end within {limit:?}: a transaction in {topic}[{partition}] is probably still open"
    );
    Error::retry(codes::END_NOT_REACHED, ErrorType::Timeout, doing).with_help(format!(
        "find the producer with `kafka-transactions.sh find-hanging` or `describe-producers --topic {topic} \
         --partition {partition}`; a producer that has died is aborted at its transaction.timeout.ms"
    ))
}

#[cfg(test)]
mod tests {
    use std::sync::atomic::{AtomicUsize, Ordering};

    use tracing::{Event, Level, Subscriber};
    use tracing_subscriber::{
        Layer,
        layer::{Context, SubscriberExt as _},
    };

    use super::*;

    /// Counts errors and warnings.
    #[derive(Clone, Default)]
    struct Loud(Arc<AtomicUsize>);

    impl<S: Subscriber> Layer<S> for Loud {
        fn on_event(&self, event: &Event<'_>, _: Context<'_, S>) {
            if *event.metadata().level() <= Level::WARN {
                self.0.fetch_add(1, Ordering::Relaxed);
            }
        }
    }

    #[test]
    fn the_end_of_a_partition_is_not_logged_as_an_error() {
        let loud = Loud::default();
        let logged = |code| {
            let log = || QuietAtEnd.error(KafkaError::Global(code), "words");
            tracing::subscriber::with_default(tracing_subscriber::registry().with(loud.clone()), log);
            loud.0.swap(0, Ordering::Relaxed)
        };
        assert_eq!(logged(RDKafkaErrorCode::PartitionEOF), 0);
        assert_eq!(logged(RDKafkaErrorCode::AllBrokersDown), 1);
    }
}
