//! `towpath offsets show`.

use serde_json::{Value, json};
use towpath_api::{Result, StoredOffset};

use super::{Output, consumer, no_sink, owner};
use crate::{
    cli::{
        exit::{self, Exit},
        table::table,
    },
    config::{Selection, WorkerConfig},
    kafka::consumer::PartitionRange,
    plugin::ConnectorDefinition,
};

const HEADER: [&str; 7] = ["TOPIC", "PARTITION", "OFFSET", "EARLIEST", "END", "LAG", "OWNER"];

pub(super) async fn show(worker: &WorkerConfig, connector: &ConnectorDefinition, output: Output) -> Result<Exit> {
    let Some(mut offsets) = connector.stored_offsets(&owner(worker)).await? else { return Ok(no_sink(connector)) };
    let consumer = consumer(worker, connector)?;
    let stored = offsets.store.positions().await?;
    let topics = stored.iter().map(|stored| stored.partition.topic.to_string()).collect();
    let existing = consumer.partitions(&Selection::Names(topics)).await?;
    let mut rows = Vec::with_capacity(stored.len());
    for stored in stored {
        let exists = existing.contains(&stored.partition);
        let range = if exists { Some(consumer.range(&stored.partition).await?) } else { None };
        rows.push((stored, range));
    }
    match output {
        Output::Text => print!("{}", as_text(&rows)),
        Output::Json => println!("{:#}", rows.iter().map(as_json).collect::<Value>()),
    }
    if rows.is_empty() {
        eprintln!("the store has no offset of connector `{}` yet", connector.common.name);
    }
    Ok(exit::DONE)
}

/// A stored offset with the range of its partition; `None` if the topic no longer has the partition.
type Row = (StoredOffset, Option<PartitionRange>);

/// The number of offsets from the next offset to the end.
fn lag((stored, range): &Row) -> Option<i64> {
    range.as_ref().map(|range| range.end - stored.next_offset)
}

fn as_json(row: &Row) -> Value {
    let (stored, range) = row;
    json!({
        "topic": &*stored.partition.topic,
        "partition": stored.partition.partition,
        "offset": stored.next_offset,
        "earliest": range.as_ref().map(|range| range.beginning.earliest),
        "end": range.as_ref().map(|range| range.end),
        "lag": lag(row),
        "owner": stored.owner,
    })
}

fn as_text(rows: &[Row]) -> String {
    if rows.is_empty() {
        return String::new();
    }
    let number = |number: Option<i64>| number.map_or_else(|| "-".to_owned(), |number| number.to_string());
    let header = HEADER.map(ToOwned::to_owned);
    let cells = rows.iter().map(|row| {
        let (stored, range) = row;
        [
            stored.partition.topic.to_string(),
            stored.partition.partition.to_string(),
            stored.next_offset.to_string(),
            number(range.as_ref().map(|range| range.beginning.earliest)),
            number(range.as_ref().map(|range| range.end)),
            number(lag(row)),
            stored.owner.clone(),
        ]
    });
    table(&std::iter::once(header).chain(cells).collect::<Vec<_>>())
}

#[cfg(test)]
mod tests {
    use towpath_api::{Beginning, TopicPartition};

    use super::*;

    fn row(topic: &str, next_offset: i64, range: Option<(i64, i64)>) -> Row {
        let partition = TopicPartition { topic: topic.into(), partition: 0 };
        let stored = StoredOffset { partition, next_offset, epoch: 1, anchor: None, owner: "a@b".to_owned() };
        let range =
            range.map(|(earliest, end)| PartitionRange { beginning: Beginning { earliest, cluster_id: None }, end });
        (stored, range)
    }

    #[test]
    fn columns_are_aligned_and_a_missing_topic_has_dashes() {
        let rows = [row("acme.deals", 7, Some((0, 1_000))), row("b", 5, None)];
        let expected = "\
TOPIC       PARTITION  OFFSET  EARLIEST  END   LAG  OWNER
acme.deals  0          7       0         1000  993  a@b
b           0          5       -         -     -    a@b
";
        assert_eq!(as_text(&rows), expected);
        assert_eq!(as_text(&[]), "");
    }

    #[test]
    fn a_partition_as_json_has_its_lag() {
        let json = as_json(&row("t", 7, Some((2, 9))));
        let expected =
            json!({"topic": "t", "partition": 0, "offset": 7, "earliest": 2, "end": 9, "lag": 2, "owner": "a@b"});
        assert_eq!(json, expected);
        assert_eq!(as_json(&row("t", 7, None))["lag"], Value::Null);
    }
}
