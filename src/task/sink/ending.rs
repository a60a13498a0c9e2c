//! Moves the stored offset over the end of a topic that no record will ever fill.
//!
//! Transaction markers and aborted records take offsets, and a reader never sees them. If they are last, the stored
//! offset stays before them: the lag is never 0, and retention that removes them looks like a gap. So a quiet partition
//! stores the end as its next offset, in an empty batch with the same anchor.

use std::time::Duration;

use towpath_api::TopicPartition;

use crate::kafka::consumer::TopicConsumer;

/// Interval between looks of a quiet partition.
const LOOK: Duration = Duration::from_secs(1);

/// Waits until the topic has an end after `from`, and no record in between that can be read. Returns that end.
///
/// # Cancel safety
/// Safe.
pub(super) async fn end_without_records(consumer: &TopicConsumer, partition: &TopicPartition, from: i64) -> i64 {
    loop {
        tokio::time::sleep(LOOK).await;
        if consumer.end(partition).is_none_or(|end| end.stable <= from) {
            continue;
        }
        match consumer.empty_until(partition, from).await {
            Ok(Some(end)) => return end,
            // The records are on their way.
            Ok(None) => {}
            Err(error) => tracing::debug!(error = %error.chain(), "the end of {partition} was not found; trying again"),
        }
    }
}
