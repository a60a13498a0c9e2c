//! A second reader, which finds out whether a range of offsets has records that can be read.
//!
//! Transaction markers and aborted records take offsets, and the reader of a partition never sees them. So it does not
//! know that it is at the end; a reader that starts there and is told so does.

use std::time::Duration;

use rdkafka::{
    ClientConfig, Message as _, Offset, TopicPartitionList,
    consumer::{Consumer as _, StreamConsumer},
    error::KafkaError,
};
use tokio::{sync::Mutex, time::timeout};
use towpath_api::{Error, ErrorType, Result, TopicPartition};

use super::{
    client::{refused_settings, unavailable},
    codes,
    committed::QuietAtEnd,
};

/// The maximum time of one look.
const TIMEOUT: Duration = Duration::from_secs(5);

/// The second reader of a task, for one partition at a time. Connects when it is first needed.
pub(super) struct Witness {
    settings: ClientConfig,
    client: Mutex<Option<StreamConsumer<QuietAtEnd>>>,
}

impl Witness {
    /// `settings` are those of the task's reader.
    pub(super) fn new(mut settings: ClientConfig) -> Self {
        settings
            .set("enable.partition.eof", "true")
            .set("fetch.wait.max.ms", "10")
            .set("statistics.interval.ms", "0")
            .set("queued.max.messages.kbytes", "64");
        Self { settings, client: Mutex::default() }
    }

    /// Returns true if the partition has no record from `from` up to `to` that can be read. `to` must not be beyond the
    /// partition's end.
    ///
    /// # Errors
    /// Retry while the broker does not answer.
    pub(super) async fn finds_nothing(&self, partition: &TopicPartition, from: i64, to: i64) -> Result<bool> {
        let mut place = self.client.lock().await;
        // After an error, or if this future is dropped, the next look has a fresh client.
        let client = match place.take() {
            Some(client) => client,
            None => self.settings.create_with_context(QuietAtEnd).map_err(refused_settings)?,
        };
        let doing = || format!("look for records of {partition} from offset {from}");
        let found = timeout(TIMEOUT, look(&client, partition, from)).await;
        let found = found.map_err(|_| Error::retry(codes::TIMEOUT, ErrorType::Timeout, doing()))?;
        let found = found.map_err(|error| unavailable(doing(), error))?;
        *place = Some(client);
        Ok(found.is_none_or(|offset| offset >= to))
    }
}

/// The offset of the first record from `from` on; `None` if the partition ends before there is a record.
async fn look(
    client: &StreamConsumer<QuietAtEnd>,
    partition: &TopicPartition,
    from: i64,
) -> Result<Option<i64>, KafkaError> {
    let mut assignment = TopicPartitionList::with_capacity(1);
    assignment.add_partition_offset(&partition.topic, partition.partition, Offset::Offset(from))?;
    client.assign(&assignment)?;
    let found = loop {
        match client.recv().await {
            Ok(message) if message.topic() == &*partition.topic && message.partition() == partition.partition => {
                break Ok(Some(message.offset()));
            }
            Ok(_) => {}
            Err(KafkaError::PartitionEOF(_)) => break Ok(None),
            Err(error) => break Err(error),
        }
    };
    client.unassign()?;
    found
}
