//! Opens a claimed partition for reading, and checks that the topic was not re-created since the last batch.

use rdkafka::Message as _;
use towpath_api::{Anchor, Claim, OpenSink, Result};

use super::{
    anchor::{self, FirstRecord},
    collect::Collector,
    holding::Holding,
};
use crate::kafka::{codes::OFFSET_OUT_OF_RANGE, consumer::PartitionReader};

/// Starts to read at the claim's offset, or at the anchor if there is one to check. Returns `None` if the task
/// is stopped meanwhile.
///
/// # Errors
/// Fatal if the topic was truncated or re-created, with the next step.
pub(super) async fn resume<O: OpenSink>(
    holding: &Holding<O>,
    claim: &Claim,
    collector: &mut Collector,
) -> Result<Option<PartitionReader>> {
    let consumer = &holding.context.consumer;
    let Some(anchor) = claim.anchor else { return consumer.open(&holding.partition, claim.next_offset).map(Some) };
    let reader = consumer.open(&holding.partition, anchor.offset)?;
    let first = tokio::select! {
        () = holding.context.stop.cancelled() => return Ok(None),
        first = reader.next() => first,
    };
    match first {
        Ok(first) => match anchor::compare(&anchor, &first) {
            FirstRecord::Anchor => collector.remember(&first).await?,
            FirstRecord::Another => return Err(anchor::recreated(claim, &anchor)),
            FirstRecord::After => {
                accept_without_anchor(holding, claim, &anchor, first.offset()).await?;
                collector.accept(&first);
            }
        },
        // Retention has passed the anchor since the topic was asked for its beginning.
        Err(error) if error.code == OFFSET_OUT_OF_RANGE => {
            let range = consumer.range(&holding.partition).await?;
            anchor::require_in_range(claim, &range)?;
            if range.beginning.earliest <= anchor.offset {
                return Err(error);
            }
            drop(reader);
            return consumer.open(&holding.partition, claim.next_offset).map(Some);
        }
        Err(error) => return Err(error),
    }
    Ok(Some(reader))
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
