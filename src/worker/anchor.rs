//! The record by which a topic is known again: the last one of the batch before.
//!
//! An offset says nothing of a topic that was deleted and made anew, or cut and filled again: it is then the offset of
//! another record. So the reading begins one record early, at the last one that was applied, and that one must be what
//! it was. Only this record is looked at: holes between others are the rule, since transaction markers and aborted
//! records take offsets as well.

use rdkafka::{Message, message::BorrowedMessage};
use sha2::{Digest as _, Sha256};
use towpath_api::{Anchor, Batch, Claim, Error, ErrorType, OpenSink, Result};

use super::{collect::Collector, sink_partition::SinkPartition};
use crate::kafka::consumer::{PartitionRange, PartitionReader};

/// The anchor that a batch with these records leaves behind.
pub(super) fn of(batch: &Batch) -> Option<Anchor> {
    let last = batch.records.last()?;
    let piece = |span| batch.arena.get(span);
    let hash = hash(last.payload.key.map(piece), last.payload.value.map(piece), last.timestamp_ms);
    Some(Anchor { offset: last.offset, hash })
}

/// No two records have the same: what is null is told from what is empty, and the key's end from the value's beginning.
fn hash(key: Option<&[u8]>, value: Option<&[u8]>, timestamp_ms: i64) -> [u8; 32] {
    let mut hash = Sha256::new();
    for piece in [key, value] {
        hash.update([u8::from(piece.is_some())]);
        hash.update((piece.map_or(0, <[u8]>::len) as u64).to_be_bytes());
        hash.update(piece.unwrap_or_default());
    }
    hash.update(timestamp_ms.to_be_bytes());
    hash.finalize().into()
}

/// The anchor of a claim, where the topic can still show it.
///
/// One that does not lie before the next offset is of a time before somebody set that offset by hand. One that is older
/// than the topic's beginning went with what retention removed, which was applied.
pub(super) fn checkable(claim: &Claim, range: &PartitionRange) -> Option<Anchor> {
    claim.anchor.filter(|anchor| (range.beginning.earliest..claim.next_offset).contains(&anchor.offset))
}

/// What the first record that was read says.
#[derive(Debug, PartialEq, Eq)]
enum Found {
    /// The anchor as it was.
    Anchor,
    /// Another record at its offset.
    Another,
    /// A record behind it.
    Behind,
}

fn compare(anchor: &Anchor, first: &BorrowedMessage<'_>) -> Found {
    if first.offset() != anchor.offset {
        return Found::Behind;
    }
    let same = hash(first.key(), first.payload(), first.timestamp().to_millis().unwrap_or(0)) == anchor.hash;
    if same { Found::Anchor } else { Found::Another }
}

impl<O: OpenSink> SinkPartition<O> {
    /// Begins to read where the claim says, and makes sure that the topic is the one that the claim was made for.
    /// `None` when the task is stopped meanwhile.
    ///
    /// # Errors
    /// Fatal when it is another one, with the ways out.
    pub(super) async fn resume(&self, claim: &Claim, collector: &mut Collector) -> Result<Option<PartitionReader>> {
        let consumer = &self.shared.consumer;
        let Some(anchor) = claim.anchor else { return consumer.open(&self.partition, claim.next_offset).map(Some) };
        let reader = consumer.open(&self.partition, anchor.offset)?;
        let first = tokio::select! {
            () = self.shared.stop.cancelled() => return Ok(None),
            first = reader.next() => first,
        };
        match first {
            Ok(first) => match compare(&anchor, &first) {
                Found::Anchor => collector.remember(&first).await?,
                Found::Another => return Err(made_anew(&self.shared.connector, claim, &anchor)),
                Found::Behind => {
                    self.accept_without_anchor(claim, &anchor, first.offset()).await?;
                    collector.take_in(&first, || first.detach());
                }
            },
            // Retention has passed the anchor since the topic was asked for its beginning.
            Err(error) if error.code == "kafka.offset_out_of_range" => {
                let range = consumer.range(&self.partition).await?;
                require_in_range(&self.shared.connector, claim, &range)?;
                if range.beginning.earliest <= anchor.offset {
                    return Err(error);
                }
                drop(reader);
                return consumer.open(&self.partition, claim.next_offset).map(Some);
            }
            Err(error) => return Err(error),
        }
        Ok(Some(reader))
    }

    /// The anchor is not where it was, and the next record lies at `found`. Compaction and retention may rightly have
    /// removed it.
    async fn accept_without_anchor(&self, claim: &Claim, anchor: &Anchor, found: i64) -> Result<()> {
        let (consumer, partition) = (&self.shared.consumer, &self.partition);
        let why = if consumer.is_compacted(&partition.topic).await? {
            "compaction"
        } else {
            let range = consumer.range(partition).await?;
            require_in_range(&self.shared.connector, claim, &range)?;
            if range.beginning.earliest <= anchor.offset {
                return Err(anchor_missing(&self.shared.connector, claim, anchor, found));
            }
            "retention"
        };
        tracing::info!(
            topic = %partition.topic, partition = partition.partition, anchor = anchor.offset, offset = found,
            "{why} has removed the last applied record of {partition}, offset {}; going on with offset {found}", anchor.offset
        );
        Ok(())
    }
}

/// Makes sure that the topic has the next offset, or ends there. `sink` is the name of the connector.
///
/// # Errors
/// Fatal, with the numbers and the ways out.
pub(super) fn require_in_range(sink: &str, claim: &Claim, range: &PartitionRange) -> Result<()> {
    let (next, earliest, end) = (claim.next_offset, range.beginning.earliest, range.end);
    if (earliest..=end).contains(&next) {
        return Ok(());
    }
    if next < earliest {
        let why = format!(
            "the topic begins at offset {earliest}, so {} offsets were removed by retention before they were applied",
            earliest - next
        );
        let way = format!("To go on without them: {}", going_on(sink, claim, &earliest.to_string()));
        return Err(other_topic(claim, "kafka.retention_gap", &why, &way));
    }
    let why = format!("the topic has only {earliest}..{end}, so it was truncated, or deleted and made anew");
    let way =
        format!("If it was truncated, to go on with what comes next: {}", going_on(sink, claim, &end.to_string()));
    Err(other_topic(claim, "kafka.truncated_or_recreated", &why, &way))
}

fn made_anew(sink: &str, claim: &Claim, anchor: &Anchor) -> Error {
    let why = format!(
        "offset {} holds another record than the one that was applied, so the topic was truncated and filled again, or deleted and made anew",
        anchor.offset
    );
    let way = format!("If it was truncated: {}", going_on(sink, claim, "<the first offset of the new records>"));
    other_topic(claim, "kafka.truncated_or_recreated", &why, &way)
}

fn anchor_missing(sink: &str, claim: &Claim, anchor: &Anchor, found: i64) -> Error {
    let why = format!(
        "the topic has no record any more at offset {}, the last one that was applied, and goes on at {found}; it is not compacted, so it was \
         truncated and filled again, or deleted and made anew",
        anchor.offset
    );
    let way = format!("If it was truncated, to go on at {found}: {}", going_on(sink, claim, &found.to_string()));
    other_topic(claim, "kafka.anchor_missing", &why, &way)
}

/// The section of docs/operations.md with what to consider.
const SECTION: &str = "Replay, and going on after a gap";

/// What an operator runs to go on at `offset`.
fn going_on(sink: &str, claim: &Claim, offset: &str) -> String {
    let text = |name: &str| name.replace('\'', "''");
    format!(
        "stop the worker, run `UPDATE towpath.sink_partition SET next_offset = {offset}, anchor_offset = NULL, anchor_hash = NULL WHERE \
         sink = '{}' AND topic = '{}' AND partition = {}`, start it",
        text(sink),
        text(&claim.partition.topic),
        claim.partition.partition
    )
}

fn other_topic(claim: &Claim, code: &'static str, why: &str, way: &str) -> Error {
    let doing = format!(
        "read {} from offset {}: {why}. Nothing was written. {way}; what to consider: docs/operations.md, section \"{SECTION}\"",
        claim.partition, claim.next_offset
    );
    Error::fatal(code, ErrorType::NotFound, doing)
}

#[cfg(test)]
mod tests {
    use towpath_api::{Beginning, TopicPartition};

    use super::*;

    #[test]
    fn what_an_operator_is_told_to_run_is_whole_and_the_section_is_there() {
        let claim = Claim {
            partition: TopicPartition { topic: "t".into(), partition: 3 },
            epoch: 1,
            next_offset: 5,
            anchor: None,
            target: "t".into(),
        };
        let range = |earliest, end| PartitionRange { beginning: Beginning { earliest, cluster_id: None }, end };
        let told = |range| require_in_range("o'pg", &claim, &range).unwrap_err().to_string();
        let statement = |offset| {
            format!(
                "`UPDATE towpath.sink_partition SET next_offset = {offset}, anchor_offset = NULL, anchor_hash = NULL WHERE sink = 'o''pg' AND \
                 topic = 't' AND partition = 3`"
            )
        };
        let (gap, truncated) = (told(range(9, 20)), told(range(0, 4)));
        assert!(gap.contains("4 offsets were removed") && gap.contains(&statement(9)), "{gap}");
        assert!(truncated.contains(&statement(4)), "{truncated}");
        let page = include_str!("../../docs/operations.md");
        for told in [gap, truncated] {
            let section = told.rsplit('"').nth(1).unwrap();
            assert!(page.contains(&format!("\n## {section}\n")), "{told}");
        }
    }

    #[test]
    fn no_two_records_have_one_hash() {
        let records = [
            (None, None, 0),
            (Some(&b""[..]), None, 0),
            (None, Some(&b""[..]), 0),
            (Some(&b""[..]), Some(&b""[..]), 0),
            (Some(&b"a"[..]), Some(&b"b"[..]), 0),
            (Some(&b"ab"[..]), Some(&b""[..]), 0),
            (Some(&b"ab"[..]), None, 0),
            (Some(&b"a"[..]), Some(&b"b"[..]), 1),
        ];
        let hashes: std::collections::BTreeSet<_> =
            records.iter().map(|(key, value, time)| hash(*key, *value, *time)).collect();
        assert_eq!(hashes.len(), records.len());
    }

    #[test]
    fn an_anchor_is_checked_where_the_topic_can_still_show_it() {
        let checked = |anchor, next_offset, earliest| {
            let partition = TopicPartition { topic: "t".into(), partition: 0 };
            let anchor = Some(Anchor { offset: anchor, hash: [0; 32] });
            let claim = Claim { partition, epoch: 1, next_offset, anchor, target: "t".into() };
            let range = PartitionRange { beginning: Beginning { earliest, cluster_id: None }, end: 100 };
            checkable(&claim, &range).is_some()
        };
        assert!(checked(9, 10, 0) && checked(5, 10, 5) && checked(9, 10, 9));
        assert!(!checked(9, 10, 10), "retention has removed it after it was applied");
        assert!(!checked(9, 9, 0) && !checked(9, 0, 0), "the next offset was set back by hand");
    }
}
