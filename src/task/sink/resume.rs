//! Opens a claimed partition for reading, and checks that the topic was not re-created since the last batch.

use std::sync::Arc;

use rdkafka::Message;
use towpath_api::{Anchor, Claim, Error, ErrorType, OpenSink, Reaction, Result};

use super::{
    anchor::{self, Compared},
    collect::Collector,
    holding::Holding,
};
use crate::{
    kafka::{codes::OFFSET_OUT_OF_RANGE, consumer::PartitionReader},
    telemetry::Stage,
};

/// The offsets before the anchor that are read again for their deletes, whose tombstones may still come.
const READ_BACK: i64 = 32;

/// Starts to read at the claim's offset, or before the anchor if there is one to check. Returns `None` if the task
/// is stopped meanwhile.
///
/// # Errors
/// Fatal if the topic was truncated or re-created, with the next step.
pub(super) async fn resume<O: OpenSink>(
    holding: &mut Holding<O>,
    claim: &Claim,
    collector: &mut Collector,
) -> Result<Option<PartitionReader>> {
    let context = Arc::clone(&holding.context);
    let consumer = &context.consumer;
    let Some(anchor) = claim.anchor else {
        return open_unchecked(holding, claim).map(Some);
    };
    let reader = consumer.open(&holding.partition, (anchor.offset - READ_BACK).max(holding.earliest))?;
    loop {
        let record = tokio::select! {
            () = holding.context.stop.cancelled() => return Ok(None),
            record = reader.next() => record,
        };
        match record {
            Ok(record) => match anchor::compare(&anchor, &record) {
                found @ (Compared::Before | Compared::Anchor) => {
                    if !remember(holding, collector, &record).await? {
                        return Ok(None);
                    }
                    if matches!(found, Compared::Anchor) {
                        break;
                    }
                }
                Compared::Another => return Err(anchor::recreated(claim, &anchor)),
                Compared::After => {
                    require_recognized(holding, claim, &reader)?;
                    accept_without_anchor(holding, claim, &anchor, record.offset()).await?;
                    collector.accept(&record);
                    break;
                }
            },
            // Retention has passed the first offset since the topic was asked for its beginning.
            Err(error) if error.code == OFFSET_OUT_OF_RANGE => {
                let range = consumer.range(&holding.partition).await?;
                anchor::require_in_range(claim, &range)?;
                if range.beginning.earliest <= anchor.offset {
                    let doing = format!("read {} from its last applied records", holding.partition);
                    return Err(Error::retry(OFFSET_OUT_OF_RANGE, ErrorType::Unavailable, doing).because(error));
                }
                drop(reader);
                return open_unchecked(holding, claim).map(Some);
            }
            Err(error) => return Err(error),
        }
    }
    consumer.recognize(&reader);
    Ok(Some(reader))
}

/// Reads an applied record again. While the registry is unavailable, the partition waits with its claim. Returns false
/// if the task is stopped meanwhile.
async fn remember<O: OpenSink>(
    holding: &mut Holding<O>,
    collector: &mut Collector,
    record: &impl Message,
) -> Result<bool> {
    while let Err(error) = collector.remember(record).await {
        if error.reaction != Reaction::Retry {
            return Err(error);
        }
        if !holding.wait(Stage::Consume, &error).await {
            return Ok(false);
        }
        if holding.has_lost_the_store() {
            holding.require_unmoved().await?;
        }
    }
    Ok(true)
}

/// Starts to read at the claim's offset, without an anchor that shows that it is the same topic.
fn open_unchecked<O: OpenSink>(holding: &Holding<O>, claim: &Claim) -> Result<PartitionReader> {
    let consumer = &holding.context.consumer;
    let reader = consumer.open(&holding.partition, claim.next_offset)?;
    require_recognized(holding, claim, &reader)?;
    consumer.recognize(&reader);
    Ok(reader)
}

/// Requires that the topic is known to be the one that the stored offset is from, if no record shows it.
///
/// # Errors
/// Fatal if the topic was re-created while the task ran, unless it is read from its beginning.
fn require_recognized<O: OpenSink>(holding: &Holding<O>, claim: &Claim, reader: &PartitionReader) -> Result<()> {
    if claim.next_offset == 0 || holding.context.consumer.is_recognized(reader) {
        return Ok(());
    }
    Err(anchor::recreated_while_read(claim))
}

/// Accepts that the anchor is gone and the next record is at `found`, if compaction or retention may have removed the
/// anchor.
async fn accept_without_anchor<O: OpenSink>(
    holding: &Holding<O>,
    claim: &Claim,
    anchor: &Anchor,
    found: i64,
) -> Result<()> {
    let (consumer, partition) = (&holding.context.consumer, &holding.partition);
    let why = if consumer.is_compacted(&partition.topic).await? {
        "compaction"
    } else {
        let range = consumer.range(partition).await?;
        anchor::require_in_range(claim, &range)?;
        if range.beginning.earliest <= anchor.offset {
            return Err(anchor::missing(claim, anchor, found));
        }
        "retention"
    };
    tracing::info!(
        topic = %partition.topic, partition = partition.partition, anchor = anchor.offset, offset = found,
        "{why} has removed the last applied record of {partition}, offset {}; continuing with offset {found}",
        anchor.offset
    );
    Ok(())
}
