//! What a journal has published is read back: complete, committed only, from any offset.

use std::{sync::Arc, time::Duration};

use rdkafka::{
    TopicPartitionList,
    admin::AdminOptions,
    producer::{BaseRecord, Producer as _},
};
use towpath_api::{
    Depth, Journal as _, Key, Object, Op, Published, PublishedRecords, Updates, Version,
    apache_avro::{Schema, schema::RecordSchema, types::Value},
    json::is_json_text,
};

use super::{
    numbers::{Laboratory, event, events, position},
    raw::{admin, create_topic, producer, read},
};
use crate::stack::shared;

const OBJECT: &str = "numbers";

async fn read_back(records: &Arc<dyn PublishedRecords>, from: &[i64], depth: Depth) -> Vec<Published> {
    let mut found = Vec::new();
    let read = records.read(OBJECT, from, depth, &mut |published| found.push(published)).await;
    read.unwrap_or_else(|error| panic!("{}", error.chain()));
    found
}

/// The event ids as numbers, ascending.
fn numbers(found: &[Published]) -> Vec<u64> {
    let mut numbers: Vec<u64> = found.iter().map(|found| found.event_id.as_ref().unwrap().parse().unwrap()).collect();
    numbers.sort_unstable();
    numbers
}

#[tokio::test]
async fn published_records_are_read_back_whole_and_without_tombstones() {
    let _stack = shared().await;
    let lab = Laboratory::new("whole");
    let mut journal = lab.open().await;
    let records = journal.records();
    assert_eq!(records.ends(OBJECT).await.unwrap(), [0i64; 0], "the topic does not exist");
    assert_eq!(read_back(&records, &[], Depth::Whole).await, []);

    let mut delete = event(8);
    (delete.op, delete.after) = (Op::Delete, None);
    let version = Version { ts: 1_700_000_000_000_000, seq: 5, rank: 3 };
    delete.version = Some(version);
    let placed = journal.publish(&[event(1), delete], position(9)).await.unwrap();
    let found = read_back(&records, &[], Depth::Whole).await;
    // Both have the key k1, and so one partition.
    assert_eq!(found.len(), 2, "{found:?}");
    let expected = |at: usize, op, after, version| Published {
        partition: placed[at].partition,
        offset: placed[at].offset,
        key: Key::Text("k1".into()),
        event_id: Some(["1", "8"][at].to_owned()),
        op: Some(op),
        after,
        version,
    };
    assert_eq!(found[0], expected(0, Op::Update, event(1).after, None));
    assert_eq!(found[1], expected(1, Op::Delete, None, Some(version)));

    let ids = read_back(&records, &[], Depth::Ids).await;
    let bare = |found: &Published| Published { op: None, after: None, version: None, ..found.clone() };
    assert_eq!(ids, found.iter().map(bare).collect::<Vec<_>>());
}

#[tokio::test]
async fn records_are_read_from_noted_ends_and_from_the_beginning_if_those_are_unknown() {
    let _stack = shared().await;
    let lab = Laboratory::new("ends");
    create_topic(&lab.topic(), &[("cleanup.policy", "delete")]).await;
    let mut journal = lab.open().await;
    let records = journal.records();
    journal.publish(&events(0..50), position(50)).await.unwrap();
    let ends = records.ends(OBJECT).await.unwrap();
    assert_eq!(ends.len(), 3);
    assert_eq!(read_back(&records, &ends, Depth::Ids).await, []);
    journal.publish(&events(50..80), position(80)).await.unwrap();
    assert_eq!(numbers(&read_back(&records, &ends, Depth::Ids).await), (50..80).collect::<Vec<_>>());
    assert_eq!(numbers(&read_back(&records, &[], Depth::Ids).await), (0..80).collect::<Vec<_>>());
    // Offsets of an earlier topic of this name.
    let beyond: Vec<_> = ends.iter().map(|end| end + 1_000).collect();
    assert_eq!(numbers(&read_back(&records, &beyond, Depth::Whole).await), (0..80).collect::<Vec<_>>());
    // Of the first partition only.
    let of_first = read_back(&records, &ends[..1], Depth::Ids).await;
    assert!(of_first.iter().all(|found| found.partition != 0 || found.offset >= ends[0]));
    assert!(of_first.len() > 30, "{}", of_first.len());

    // Retention removes the beginning.
    let partition = (0..3).find(|partition| ends[*partition] > 2).unwrap();
    let number = i32::try_from(partition).unwrap();
    let mut before = TopicPartitionList::new();
    before.add_partition_offset(&lab.topic(), number, rdkafka::Offset::Offset(ends[partition])).unwrap();
    let deleted = admin().delete_records(&before, &AdminOptions::new()).await.unwrap();
    deleted.elements()[0].error().unwrap();
    let found = read_back(&records, &[0, 0, 0], Depth::Ids).await;
    let kept = |found: &&Published| found.partition == number;
    assert!(found.iter().filter(kept).all(|found| found.offset >= ends[partition]));
    assert_eq!(found.iter().filter(kept).count(), of_first_after(&records, &ends, number).await);
}

async fn of_first_after(records: &Arc<dyn PublishedRecords>, ends: &[i64], partition: i32) -> usize {
    read_back(records, ends, Depth::Ids).await.iter().filter(|found| found.partition == partition).count()
}

#[tokio::test]
async fn records_of_other_producers_are_left_out_and_aborted_ones_never_seen() {
    let _stack = shared().await;
    let lab = Laboratory::new("foreign");
    // A compacted topic refuses records without a key.
    create_topic(&lab.topic(), &[("cleanup.policy", "delete")]).await;
    let mut journal = lab.open().await;
    let records = journal.records();
    journal.publish(&events(0..3), position(3)).await.unwrap();
    let ours = read(&lab.topic(), "read_committed");
    let unframed = producer(&format!("{}-foreign", lab.connector));
    let topic = lab.topic();
    let send = |key: Option<&[u8]>, value: Option<&[u8]>| {
        let mut record = BaseRecord::<[u8], [u8]>::to(&topic).partition(0);
        (record.key, record.payload) = (key, value);
        unframed.send(record).unwrap();
    };
    unframed.begin_transaction().unwrap();
    send(Some(b"text"), Some(b"text"));
    send(None, Some(b"text"));
    send(Some(b"text"), None);
    send(None, None);
    send(Some(&[0, 0, 0, 255, 255, 2, b'a']), Some(&[0, 0, 0, 255, 255]));
    unframed.commit_transaction(Duration::from_secs(10)).unwrap();
    unframed.begin_transaction().unwrap();
    send(Some(b"aborted"), Some(b"aborted"));
    unframed.flush(Duration::from_secs(10)).unwrap();
    unframed.abort_transaction(Duration::from_secs(10)).unwrap();
    for depth in [Depth::Ids, Depth::Whole] {
        assert_eq!(numbers(&read_back(&records, &[], depth).await), [0, 1, 2], "{depth:?}");
    }

    // A record of ours that was copied without its headers.
    let (key, value) = raw_record(&lab.topic(), ours[0].partition, ours[0].offset);
    unframed.begin_transaction().unwrap();
    send(Some(&key), Some(&value));
    unframed.commit_transaction(Duration::from_secs(10)).unwrap();
    let found = read_back(&records, &[], Depth::Whole).await;
    let without: Vec<_> = found.iter().filter(|found| found.event_id.is_none()).collect();
    assert_eq!((found.len(), without.len()), (4, 1), "{found:?}");
    assert!(without[0].after.is_some());
}

/// The bytes of a record.
fn raw_record(topic: &str, partition: i32, offset: i64) -> (Vec<u8>, Vec<u8>) {
    use rdkafka::{
        Message as _,
        consumer::{BaseConsumer, Consumer as _},
    };
    let consumer: BaseConsumer = super::raw::client().set("group.id", "raw").create().unwrap();
    let mut assignment = TopicPartitionList::new();
    assignment.add_partition_offset(topic, partition, rdkafka::Offset::Offset(offset)).unwrap();
    consumer.assign(&assignment).unwrap();
    let message = consumer.poll(Duration::from_secs(20)).unwrap().unwrap();
    (message.key().unwrap().to_vec(), message.payload().unwrap().to_vec())
}

#[tokio::test]
async fn a_read_waits_for_a_transaction_that_is_open_when_it_begins() {
    let _stack = shared().await;
    let lab = Laboratory::new("open");
    let mut journal = lab.open().await;
    let records = journal.records();
    journal.prepare(&event(0).object).await.unwrap();
    let foreign = producer(&format!("{}-foreign", lab.connector));
    foreign.begin_transaction().unwrap();
    for partition in 0..3 {
        foreign.send(BaseRecord::to(&lab.topic()).partition(partition).key("x").payload("y")).unwrap();
    }
    foreign.flush(Duration::from_secs(10)).unwrap();
    // Committed, but above the last stable offset.
    journal.publish(&events(0..20), position(20)).await.unwrap();
    assert_eq!(records.ends(OBJECT).await.unwrap(), [0, 0, 0], "nothing can be read yet");
    let reading = tokio::spawn({
        let records = Arc::clone(&records);
        async move { numbers(&read_back(&records, &[], Depth::Ids).await) }
    });
    // Long enough for a reader that does not wait.
    tokio::time::sleep(Duration::from_secs(2)).await;
    assert!(!reading.is_finished());
    foreign.abort_transaction(Duration::from_secs(10)).unwrap();
    assert_eq!(reading.await.unwrap(), (0..20).collect::<Vec<_>>());
}

#[tokio::test]
async fn a_topic_is_read_to_its_end_while_it_grows_and_outlives_its_journal() {
    let _stack = shared().await;
    let lab = Laboratory::new("grows");
    let mut journal = lab.open().await;
    let records = journal.records();
    journal.publish(&events(0..500), position(500)).await.unwrap();
    let mut next = 500;
    let reading = read_back(&records, &[], Depth::Whole);
    tokio::pin!(reading);
    let found = loop {
        let more = events(next..next + 10);
        tokio::select! {
            found = &mut reading => break found,
            published = journal.publish(&more, position(next + 10)) => {
                published.unwrap();
                next += 10;
            }
        }
    };
    let found = numbers(&found);
    let mut distinct = found.clone();
    distinct.dedup();
    assert!(found.len() >= 500 && found[..500].iter().copied().eq(0..500) && distinct == found, "{}", found.len());
    drop(journal);
    // The journal was dropped in the middle of a call; its successor settles that.
    lab.open().await;
    let all = numbers(&read_back(&records, &[], Depth::Ids).await);
    assert!(all.len() as u64 >= next, "{} of {next}", all.len());
}

fn object(more: &str) -> Arc<Object> {
    let schema = format!(
        r#"{{"type":"record","name":"Number","doc":"A number.","fields":[{{"name":"id","type":"string"}},
            {{"name":"text","type":["null","string"],"default":null,"doc":"The text."}},
            {{"name":"more","type":["null","string"],"default":null,"connect.name":"io.debezium.data.Json"}}{more}]}}"#
    );
    Arc::new(Object::new(OBJECT, Schema::parse_str(&schema).unwrap(), Updates::Whole).unwrap())
}

fn record(schema: Option<&Schema>) -> RecordSchema {
    let Some(Schema::Record(record)) = schema else { panic!("a record") };
    record.clone()
}

#[tokio::test]
async fn a_new_version_of_a_schema_is_published_beside_the_old_one() {
    let _stack = shared().await;
    let lab = Laboratory::new("versions");
    let mut journal = lab.open().await;
    let records = journal.records();
    assert_eq!(records.schema(OBJECT).await.unwrap(), None);
    let old = object("");
    journal.prepare(&old).await.unwrap();
    let found = record(records.schema(OBJECT).await.unwrap().as_deref());
    assert_eq!(found.fields, record(Some(old.schema())).fields);
    assert!(found.fields[2].default.is_some() && is_json_text(&found.fields[2]));

    // The new version comes while events of the old one are still made.
    let new = object(r#",{"name":"cf_a","type":["null","long"],"default":null,"doc":"Label"}"#);
    let event_of = |object: &Arc<Object>, number: u64| {
        let mut event = event(number);
        event.object = Arc::clone(object);
        let after = event.after.as_mut().unwrap();
        after.push(("more".into(), Value::Null));
        if Arc::ptr_eq(object, &new) {
            after.push(("cf_a".into(), Value::Long(7)));
        }
        event
    };
    journal.publish(&[event_of(&old, 0)], position(1)).await.unwrap();
    journal.prepare(&new).await.unwrap();
    let found = record(records.schema(OBJECT).await.unwrap().as_deref());
    assert_eq!(found.fields.last().map(|field| (&*field.name, field.doc.as_deref())), Some(("cf_a", Some("Label"))));
    let mixed = [event_of(&old, 1), event_of(&new, 2), event_of(&old, 3), event_of(&new, 4)];
    journal.publish(&mixed, position(5)).await.unwrap();
    assert_eq!(
        record(records.schema(OBJECT).await.unwrap().as_deref()).fields.len(),
        4,
        "the old version is not the latest again"
    );
    let mut found = read_back(&records, &[], Depth::Whole).await;
    found.sort_by_key(|found| found.event_id.clone());
    let fields: Vec<_> = found.iter().map(|found| found.after.as_ref().unwrap().len()).collect();
    assert_eq!(fields, [3, 3, 4, 3, 4]);
    assert_eq!(versions(&lab).await, 2);

    // Neither version makes the journal forget the other: each time that would cost requests to broker and registry.
    let alternating: Vec<_> =
        (7..2_007).map(|number| event_of(if number % 2 == 0 { &old } else { &new }, number)).collect();
    let begun = std::time::Instant::now();
    journal.publish(&alternating, position(2_007)).await.unwrap();
    assert!(begun.elapsed() < Duration::from_secs(5), "{:?}", begun.elapsed());

    // A field that an old reader needs may not go: the registry says so, and the old one stays usable.
    let narrower = object(r#",{"name":"cf_b","type":"long"}"#);
    let error = journal.prepare(&narrower).await.unwrap_err();
    assert_eq!(error.code, "registry.incompatible", "{}", error.chain());
    journal.publish(&[event_of(&new, 5), event_of(&old, 6)], position(2_007)).await.unwrap();
    assert_eq!(versions(&lab).await, 2);
}

/// The number of versions of the values' schema.
async fn versions(lab: &Laboratory) -> usize {
    let url = format!("{}/subjects/{}-value/versions", crate::stack::env("SCHEMA_REGISTRY_URL"), lab.topic());
    let answer: Vec<u32> = reqwest::get(url).await.unwrap().json().await.unwrap();
    answer.len()
}

#[tokio::test]
async fn a_topic_with_other_partitions_and_no_records_has_ends() {
    let _stack = shared().await;
    let lab = Laboratory::new("empty");
    create_topic(&lab.topic(), &[]).await;
    let records = lab.open().await.records();
    assert_eq!(records.ends(OBJECT).await.unwrap(), [0, 0, 0]);
    assert_eq!(read_back(&records, &[5, 5], Depth::Whole).await, []);
}
