//! The anchor of a partition: the last record of the previous batch, by which the topic is recognized.
//!
//! After a topic was deleted and re-created, or truncated and filled again, the same offset is another record. So
//! reading begins one record early, at the record that was applied last, which must be unchanged. Only this record is
//! checked. Gaps between other offsets are normal: transaction markers and aborted records take offsets too. Everything
//! here is pure; [`super::resume`] reads.

use rdkafka::Message;
use sha2::{Digest as _, Sha256};
use towpath_api::{Anchor, Batch, Claim, Error, ErrorType, Result};

use crate::kafka::{codes, consumer::PartitionRange};

/// Returns the anchor after a batch: its last record; `None` for an empty batch.
pub(super) fn of_batch(batch: &Batch) -> Option<Anchor> {
    let last = batch.records.last()?;
    let piece = |span| batch.arena.get(span);
    let hash = hash(last.payload.key.map(piece), last.payload.value.map(piece), last.timestamp_ms);
    Some(Anchor { offset: last.offset, hash })
}

/// Returns the record as an anchor.
pub(crate) fn of_message(message: &impl Message) -> Anchor {
    let hash = hash(message.key(), message.payload(), message.timestamp().to_millis().unwrap_or(0));
    Anchor { offset: message.offset(), hash }
}

/// Each part is prefixed with a presence byte and its length, so null differs from empty, and bytes cannot shift from
/// key to value.
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

/// The anchor of a claim, if the topic can still show it.
///
/// An anchor at or after the next offset predates a manual change of that offset. An anchor before the topic's
/// beginning was removed by retention after it was applied.
pub(super) fn checkable(claim: &Claim, range: &PartitionRange) -> Option<Anchor> {
    claim.anchor.filter(|anchor| (range.beginning.earliest..claim.next_offset).contains(&anchor.offset))
}

/// A record, compared with the anchor.
#[derive(Debug, PartialEq, Eq)]
pub(super) enum Compared {
    /// A record before the anchor.
    Before,
    /// The anchor, unchanged.
    Anchor,
    /// Another record at the anchor's offset.
    Another,
    /// A record after the anchor, which is gone.
    After,
}

pub(super) fn compare(anchor: &Anchor, record: &impl Message) -> Compared {
    if record.offset() < anchor.offset {
        Compared::Before
    } else if record.offset() > anchor.offset {
        Compared::After
    } else if of_message(record) == *anchor {
        Compared::Anchor
    } else {
        Compared::Another
    }
}

/// Checks that the topic has the next offset, or ends there.
///
/// # Errors
/// Fatal, with the numbers and the next step.
pub(super) fn require_in_range(claim: &Claim, range: &PartitionRange) -> Result<()> {
    let (next, earliest, end) = (claim.next_offset, range.beginning.earliest, range.end);
    if (earliest..=end).contains(&next) {
        return Ok(());
    }
    if next < earliest {
        let removed = earliest - next;
        let why = format!(
            "the topic begins at offset {earliest}, so {removed} offsets were removed by retention before they were \
             applied"
        );
        let help = format!("to continue without them: {}", set_offset(claim, &earliest.to_string()));
        return Err(other_topic(claim, codes::RETENTION_GAP, &why, &help));
    }
    let why = format!("the topic has only {earliest}..{end}, so it was truncated, or deleted and re-created");
    let help = new_records(claim);
    Err(other_topic(claim, codes::TRUNCATED_OR_RECREATED, &why, &help))
}

/// The error of a topic with another record at the anchor's offset.
pub(super) fn recreated(claim: &Claim, anchor: &Anchor) -> Error {
    let why = format!(
        "offset {} holds another record than the applied one, so the topic was truncated and filled again, or deleted \
         and re-created",
        anchor.offset
    );
    let help = new_records(claim);
    other_topic(claim, codes::TRUNCATED_OR_RECREATED, &why, &help)
}

/// The error of a topic that has lost the anchor although it is not compacted; its next record is at `found`.
pub(super) fn missing(claim: &Claim, anchor: &Anchor, found: i64) -> Error {
    let why = format!(
        "the topic has lost the record that was applied last, at offset {}, and continues at {found}; it is \
         not compacted, so it was truncated and filled again, or deleted and re-created",
        anchor.offset
    );
    let help = new_records(claim);
    other_topic(claim, codes::ANCHOR_MISSING, &why, &help)
}

/// The error of a topic that was re-created while it was read, and whose records cannot be compared.
pub(super) fn recreated_while_read(claim: &Claim) -> Error {
    let why = "the topic was deleted and re-created while it was read, and no record shows that the new topic has the \
               applied records at the same offsets";
    let help = new_records(claim);
    other_topic(claim, codes::TRUNCATED_OR_RECREATED, why, &help)
}

/// The section of docs/operations.md with the considerations.
const SECTION: &str = "Replay, and going on after a gap";

/// The way to continue in a topic that was truncated or re-created, which loses nothing. The first new offset is
/// unknown, so all records of the topic are read.
fn new_records(claim: &Claim) -> String {
    format!(
        "to read all that the topic has now, and to keep all that was applied: {}; if the topic was truncated and you \
         know the first offset that was written after that, give it instead of `earliest`",
        set_offset(claim, "earliest --new-records")
    )
}

/// The command that sets the next offset.
fn set_offset(claim: &Claim, offset: &str) -> String {
    let (topic, partition) = (&claim.partition.topic, claim.partition.partition);
    format!(
        "stop the worker, run `towpath offsets set --worker worker.toml CONNECTOR.toml {topic} {partition} {offset}`, \
         start the worker"
    )
}

fn other_topic(claim: &Claim, code: &'static str, why: &str, help: &str) -> Error {
    let doing = format!("read {} from offset {}: {why}. Nothing was written", claim.partition, claim.next_offset);
    let help = format!("{help}; read first: docs/operations.md, section \"{SECTION}\"");
    Error::fatal(code, ErrorType::NotFound, doing).with_help(help)
}

#[cfg(test)]
mod tests {
    use std::collections::BTreeSet;

    use towpath_api::{Beginning, DeadLetterStreak, TopicPartition};

    use super::*;

    #[test]
    fn the_command_is_complete_and_the_manual_has_the_section() {
        let partition = TopicPartition { topic: "t".into(), partition: 3 };
        let claim = Claim {
            partition,
            epoch: 1,
            next_offset: 5,
            anchor: None,
            target: "t".into(),
            streak: DeadLetterStreak::default(),
        };
        let range = |earliest, end| PartitionRange { beginning: Beginning { earliest, cluster_id: None }, end };
        let refused = |range| require_in_range(&claim, &range).unwrap_err();
        let command = |offset: &str| format!("`towpath offsets set --worker worker.toml CONNECTOR.toml t 3 {offset}`");
        let (gap, truncated) = (refused(range(9, 20)), refused(range(0, 4)));
        assert!(gap.to_string().contains("4 offsets were removed"), "{gap}");
        assert!(gap.help().unwrap().contains(&command("9")), "{gap:?}");
        let page = include_str!("../../../docs/operations.md");
        let anchor = Anchor { offset: 4, hash: [0; 32] };
        let others = [truncated, recreated(&claim, &anchor), missing(&claim, &anchor, 7)];
        for other in &others {
            assert!(other.help().unwrap().contains(&command("earliest --new-records")), "{other:?}");
        }
        for refused in others.into_iter().chain([gap]) {
            let section = refused.help().unwrap().rsplit('"').nth(1).unwrap();
            assert!(page.contains(&format!("\n## {section}\n")), "{section}");
        }
    }

    #[test]
    fn different_records_have_different_hashes() {
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
        let hashes: BTreeSet<_> = records.iter().map(|(key, value, time)| hash(*key, *value, *time)).collect();
        assert_eq!(hashes.len(), records.len());
    }

    #[test]
    fn an_anchor_is_checked_if_the_topic_can_still_show_it() {
        let checked = |anchor, next_offset, earliest| {
            let partition = TopicPartition { topic: "t".into(), partition: 0 };
            let anchor = Some(Anchor { offset: anchor, hash: [0; 32] });
            let claim = Claim {
                partition,
                epoch: 1,
                next_offset,
                anchor,
                target: "t".into(),
                streak: DeadLetterStreak::default(),
            };
            let range = PartitionRange { beginning: Beginning { earliest, cluster_id: None }, end: 100 };
            checkable(&claim, &range).is_some()
        };
        assert!(checked(9, 10, 0) && checked(5, 10, 5) && checked(9, 10, 9));
        assert!(!checked(9, 10, 10), "retention has removed it after it was applied");
        assert!(!checked(9, 9, 0) && !checked(9, 0, 0), "the next offset was set back");
    }
}
