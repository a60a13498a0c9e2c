//! `towpath offsets set`.

use std::io::{self, IsTerminal as _, Write as _};

use rdkafka::Message as _;
use towpath_api::{Anchor, Error, ErrorType, Result, StoredOffset, TopicPartition};

use super::{SetArgs, consumer, kafka, no_sink, owner};
use crate::{
    cli::{
        exit::{self, Exit},
        tap::{BoundedReader, Range},
    },
    config::{Selection, WorkerConfig},
    kafka::{codes, consumer::PartitionRange},
    plugin::ConnectorDefinition,
    task::sink::anchor,
};

/// The first number of offsets that is searched for the record before the new offset; each further search is larger.
const FIRST_WINDOW: i64 = 16;

/// The next offset to read.
#[derive(Debug, Clone, Copy, PartialEq, Eq)]
pub(super) enum Target {
    Earliest,
    End,
    Offset(i64),
}

impl Target {
    pub(super) fn parse(text: &str) -> Result<Self, String> {
        match text {
            "earliest" => Ok(Self::Earliest),
            "end" => Ok(Self::End),
            number => match number.parse::<i64>() {
                Ok(offset) if offset >= 0 => Ok(Self::Offset(offset)),
                _ => Err("expected a number of at least 0, `earliest` or `end`".to_owned()),
            },
        }
    }

    /// The offset in a partition with `range`.
    ///
    /// # Errors
    /// Fatal if the partition does not have the offset.
    fn within(self, partition: &TopicPartition, range: &PartitionRange) -> Result<i64> {
        let (earliest, end) = (range.beginning.earliest, range.end);
        match self {
            Self::Earliest => Ok(earliest),
            Self::End => Ok(end),
            Self::Offset(offset) if (earliest..=end).contains(&offset) => Ok(offset),
            Self::Offset(offset) => {
                let doing = format!(
                    "set the offset of {partition} to {offset}: the topic has {earliest}..{end}; nothing was changed"
                );
                Err(Error::fatal(codes::OFFSET_OUT_OF_RANGE, ErrorType::NotFound, doing)
                    .with_help(format!("set an offset from {earliest} to {end}")))
            }
        }
    }
}

pub(super) async fn set(worker: &WorkerConfig, connector: &ConnectorDefinition, args: SetArgs) -> Result<Exit> {
    if !args.yes && !args.dry_run && !io::stdin().is_terminal() {
        eprintln!("error: cannot ask, since standard input is not a terminal; nothing was changed");
        eprintln!("  = help: use --yes to set the offset without a question");
        return Ok(exit::USAGE);
    }
    let Some(mut offsets) = connector.stored_offsets(&owner(worker)).await? else { return Ok(no_sink(connector)) };
    let partition = TopicPartition { topic: args.topic.as_str().into(), partition: args.partition };
    if !offsets.selection.includes(&partition.topic) {
        let doing = format!(
            "set the offset of {partition}: connector `{}` does not read the topic; nothing was changed",
            connector.common.name
        );
        return Err(Error::fatal(codes::NOT_FOUND, ErrorType::NotFound, doing));
    }
    let consumer = consumer(worker, connector)?;
    let existing = consumer.partitions(&Selection::Names(vec![args.topic.clone()])).await?;
    if !existing.contains(&partition) {
        let doing = format!("set the offset of {partition}: there is no such partition; nothing was changed");
        return Err(Error::fatal(codes::NOT_FOUND, ErrorType::NotFound, doing));
    }
    let range = consumer.range(&partition).await?;
    let to = args.offset.within(&partition, &range)?;
    let stored = offsets.store.positions().await?.into_iter().find(|stored| stored.partition == partition);
    let earliest = range.beginning.earliest;
    if !args.new_records
        && let Some(stored) = &stored
    {
        let is_compacted = consumer.is_compacted(&partition.topic).await?;
        refuse_other_topic(worker, stored, &range, is_compacted).await?;
    }
    eprintln!("{}", plan(&partition, stored.map(|stored| stored.next_offset), to, earliest));
    if args.new_records {
        let superseded = offsets.store.seek_new_records(&partition, to, None, true).await?;
        superseded.iter().for_each(|found| eprintln!("  {}: {} {}", found.what, found.rows, found.effect));
    }
    if args.dry_run || (!args.yes && !confirmed()) {
        eprintln!("nothing was changed");
        return Ok(exit::DONE);
    }
    let anchor = anchor_before(worker, &partition, earliest, to).await?;
    if args.new_records {
        offsets.store.seek_new_records(&partition, to, anchor, false).await?;
    } else {
        offsets.store.seek(&partition, to, anchor).await?;
    }
    println!("{partition}: the next offset is {to}");
    Ok(exit::DONE)
}

/// Refuses to continue in a topic that no longer has the record that was applied last: its new records would be
/// compared with those that were applied at the same offsets.
async fn refuse_other_topic(
    worker: &WorkerConfig,
    stored: &StoredOffset,
    range: &PartitionRange,
    is_compacted: bool,
) -> Result<()> {
    let (partition, earliest, end) = (&stored.partition, range.beginning.earliest, range.end);
    // An anchor at or after the next offset predates a manual change of that offset.
    let anchor = stored.anchor.filter(|anchor| (earliest..stored.next_offset).contains(&anchor.offset));
    let is_same = match anchor {
        _ if stored.next_offset > end => false,
        None => true,
        Some(anchor) if anchor.offset >= end => false,
        Some(expected) => {
            let (topic, offset) = (partition.topic.to_string(), Some(expected.offset));
            let range = Range { topic, partition: Some(partition.partition), offset };
            let first = BoundedReader::open(kafka(worker).client("offsets"), range).await?.next().await?;
            match first.map(|first| anchor::of_message(&first)) {
                Some(found) if found.offset == expected.offset => found == expected,
                _ => is_compacted,
            }
        }
    };
    if is_same {
        return Ok(());
    }
    let doing = format!(
        "set the offset of {partition}: the topic no longer has the record that was applied last before offset {}, so \
         it was truncated, or deleted and re-created; nothing was changed",
        stored.next_offset
    );
    Err(Error::fatal(codes::TRUNCATED_OR_RECREATED, ErrorType::NotFound, doing)
        .with_help("add `--new-records`, so that no new record is taken for one that was applied"))
}

/// The effect of the change, for the operator.
fn plan(partition: &TopicPartition, from: Option<i64>, to: i64, earliest: i64) -> String {
    let count = |offsets: i64| format!("{offsets} offset{}", if offsets == 1 { "" } else { "s" });
    let skips = |offsets| format!("skips {}; their records are not stored", count(offsets));
    let Some(from) = from else {
        let effect = if to == earliest { "skips no record".to_owned() } else { skips(to - earliest) };
        return format!("{partition}: from no stored offset to {to}: {effect}");
    };
    let effect = match to - from {
        0 => "renews the anchor and moves nothing".to_owned(),
        skipped @ 1.. => skips(skipped),
        again => format!(
            "reads {} again; a replay cannot turn a row back, except with `metadata.columns=none`",
            count(-again)
        ),
    };
    format!("{partition}: from offset {from} to {to}: {effect}")
}

fn confirmed() -> bool {
    eprint!("Set the offset? [y/N] ");
    // A prompt that cannot be written is answered all the same.
    let _ = io::stderr().flush();
    let mut answer = String::new();
    io::stdin().read_line(&mut answer).is_ok() && matches!(answer.trim(), "y" | "Y" | "yes")
}

/// The last record before `to` that a `read_committed` reader sees; `None` if there is none from `earliest` on.
///
/// Compaction, aborted transactions and transaction markers leave gaps, so the search reaches back step by step.
async fn anchor_before(
    worker: &WorkerConfig,
    partition: &TopicPartition,
    earliest: i64,
    to: i64,
) -> Result<Option<Anchor>> {
    let mut window = FIRST_WINDOW;
    let mut searched = to;
    while searched > earliest {
        let from = to.saturating_sub(window).max(earliest);
        let range =
            Range { topic: partition.topic.to_string(), partition: Some(partition.partition), offset: Some(from) };
        let mut reader = BoundedReader::open(kafka(worker).client("offsets"), range).await?;
        let mut last = None;
        while let Some(message) = reader.next().await? {
            if message.offset() >= searched {
                break;
            }
            last = Some(anchor::of_message(&message));
        }
        if last.is_some() {
            return Ok(last);
        }
        searched = from;
        window = window.saturating_mul(16);
    }
    Ok(None)
}

#[cfg(test)]
mod tests {
    use towpath_api::Beginning;

    use super::*;

    fn partition() -> TopicPartition {
        TopicPartition { topic: "acme.deals".into(), partition: 3 }
    }

    #[test]
    fn an_offset_is_a_number_earliest_or_end() {
        assert_eq!(Target::parse("earliest"), Ok(Target::Earliest));
        assert_eq!(Target::parse("end"), Ok(Target::End));
        assert_eq!(Target::parse("17"), Ok(Target::Offset(17)));
        for refused in ["-1", "latest", "", "1.5"] {
            assert!(Target::parse(refused).is_err(), "{refused:?}");
        }
    }

    #[test]
    fn an_offset_must_be_in_the_topic_or_be_its_end() {
        let range = PartitionRange { beginning: Beginning { earliest: 5, cluster_id: None }, end: 9 };
        let within = |target: Target| target.within(&partition(), &range);
        assert_eq!((within(Target::Earliest).unwrap(), within(Target::End).unwrap()), (5, 9));
        assert_eq!((within(Target::Offset(5)).unwrap(), within(Target::Offset(9)).unwrap()), (5, 9));
        for refused in [4, 10] {
            let error = within(Target::Offset(refused)).unwrap_err();
            assert!(error.to_string().contains("the topic has 5..9"), "{error}");
            assert_eq!(error.help(), Some("set an offset from 5 to 9"));
        }
    }

    #[test]
    fn the_plan_counts_offsets_to_read_again_or_to_skip() {
        let plan = |from, to| plan(&partition(), from, to, 2);
        assert!(plan(Some(9), 4).starts_with("acme.deals[3]: from offset 9 to 4: reads 5 offsets again"));
        assert!(plan(Some(4), 9).contains("skips 5 offsets;"));
        assert!(plan(Some(4), 4).contains("moves nothing"));
        assert!(plan(None, 2).contains("skips no record"));
        assert!(plan(None, 6).contains("skips 4 offsets;"));
    }
}
