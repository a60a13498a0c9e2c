//! The journal against the real broker: events and position are committed together or not at all, at any crash.

mod kills;
mod numbers;
mod raw;
mod read_back;

use std::{
    sync::{Arc, atomic::Ordering},
    time::Duration,
};

use rdkafka::producer::{BaseRecord, Producer as _};
use serde_json::json;
use towpath::kafka::{
    codes,
    compacted::{CompactedTopic, END_TIMEOUT},
};
use towpath_api::{Error, Journal as _, Lifecycle, OpenSource as _, Position, Reaction, Source as _};

use self::{
    numbers::{Laboratory, OpenNumbers, event, events, position},
    raw::{create_topic, producer, read},
};
use crate::{
    publisher::limits::{PROBE, set_limit},
    stack::{eventually, shared},
};

fn reaction(error: &Error) -> (Reaction, &'static str) {
    (error.reaction, error.code)
}

#[tokio::test]
async fn events_and_position_are_committed_together() {
    let _stack = shared().await;
    let lab = Laboratory::new("together");
    let mut journal = lab.open().await;
    assert_eq!(journal.position().await.unwrap(), None);
    let placed = journal.publish(&events(0..30), position(30)).await.unwrap();
    assert_eq!(journal.position().await.unwrap(), Some(position(30)));
    let found = read(&lab.topic(), "read_committed");
    assert_eq!(found.len(), 30);
    for (number, place) in (0..30).zip(&placed) {
        let at = |record: &&raw::Found| (record.partition, record.offset) == (place.partition, place.offset);
        assert_eq!(found.iter().find(at).expect("a record at that offset").number, number);
    }
    drop(journal);
    assert_eq!(lab.open().await.position().await.unwrap(), Some(position(30)));
    let stored = read(&lab.offsets, "read_committed").pop().unwrap();
    assert_eq!(stored.key, json!([lab.connector, 0]).to_string());
    assert_eq!(stored.value, Some(json!({"version": 1, "position": {"next": 30}}).to_string()));
}

#[tokio::test]
async fn a_position_without_events_moves_and_a_delete_has_a_tombstone() {
    let _stack = shared().await;
    let lab = Laboratory::new("alone");
    let mut journal = lab.open().await;
    assert_eq!(journal.publish(&[], position(5)).await.unwrap(), []);
    let mut delete = event(7);
    (delete.op, delete.after) = (towpath_api::Op::Delete, None);
    let placed = journal.publish(&[delete, event(8)], position(9)).await.unwrap();
    assert_eq!(placed.len(), 2);
    let mut found = read(&lab.topic(), "read_committed");
    found.retain(|record| record.number == 7);
    let kinds: Vec<_> = found.iter().map(|record| (record.offset, record.value.is_some())).collect();
    assert_eq!(kinds, [(placed[0].offset, true), (placed[0].offset + 1, false)]);
    assert_eq!(lab.open().await.position().await.unwrap(), Some(position(9)));
}

#[tokio::test]
async fn a_second_instance_fences_the_first() {
    let _stack = shared().await;
    let lab = Laboratory::new("fence");
    let mut first = lab.open().await;
    first.publish(&events(0..3), position(3)).await.unwrap();
    let mut second = lab.open().await;
    for _ in 0..2 {
        let error = first.publish(&events(3..4), position(4)).await.unwrap_err();
        assert_eq!(reaction(&error), (Reaction::Fenced, codes::FENCED), "{}", error.chain());
    }
    second.publish(&events(3..5), position(5)).await.unwrap();
    let mut numbers: Vec<_> = read(&lab.topic(), "read_committed").iter().map(|record| record.number).collect();
    numbers.sort_unstable();
    assert_eq!(numbers, [0, 1, 2, 3, 4]);
}

#[tokio::test]
async fn a_poisoned_event_sends_nothing_and_the_journal_continues() {
    let _stack = shared().await;
    let lab = Laboratory::new("poison");
    let mut journal = lab.open().await;
    let mut misfit = event(1);
    misfit.key = towpath_api::Key::Long(1);
    let error = journal.publish(&[event(0), misfit], position(2)).await.unwrap_err();
    assert_eq!(reaction(&error), (Reaction::Poison, "encode.misfit"));
    let mut large = event(1);
    large.after.as_mut().unwrap()[1].1 = towpath_api::apache_avro::types::Value::String("x".repeat(2_000_000));
    let error = journal.publish(&[event(0), large], position(2)).await.unwrap_err();
    assert_eq!(reaction(&error), (Reaction::Poison, codes::RECORD_TOO_LARGE));
    assert_eq!(read(&lab.topic(), "read_uncommitted").len(), 0);
    journal.publish(&events(0..1), position(2)).await.unwrap();
    assert_eq!(lab.open().await.position().await.unwrap(), Some(position(2)));
}

#[tokio::test]
async fn a_record_too_large_for_its_topic_is_poison_and_the_journal_continues() {
    let _stack = shared().await;
    let lab = Laboratory::new("limit");
    create_topic(&lab.topic(), &[("max.message.bytes", "20000")]).await;
    let mut journal = lab.open().await;
    let mut large = event(1);
    large.after.as_mut().unwrap()[1].1 = towpath_api::apache_avro::types::Value::String("x".repeat(30_000));
    let error = journal.publish(&[event(0), large], position(2)).await.unwrap_err();
    assert_eq!(reaction(&error), (Reaction::Poison, codes::RECORD_TOO_LARGE), "{}", error.chain());
    assert_eq!(journal.position().await.unwrap(), None);
    journal.publish(&events(0..1), position(2)).await.unwrap();
    let numbers: Vec<_> = read(&lab.topic(), "read_committed").iter().map(|record| record.number).collect();
    assert_eq!(numbers, [0]);
}

#[tokio::test]
async fn a_journal_is_spent_after_an_abort_and_a_new_one_resumes() {
    let _stack = shared().await;
    let lab = Laboratory::new("spent");
    create_topic(&lab.topic(), &[]).await;
    let mut journal = lab.open().await;
    journal.publish(&events(0..3), position(3)).await.unwrap();
    // Each record is small enough, but the broker refuses their batch: the journal does not know the limit.
    set_limit(&lab.topic(), 2_000).await;
    let error = journal.publish(&events(3..1_000), position(1_000)).await.unwrap_err();
    assert_eq!(reaction(&error), (Reaction::Retry, codes::RECORD_TOO_LARGE), "{}", error.chain());
    for _ in 0..2 {
        let error = journal.publish(&events(3..4), position(4)).await.unwrap_err();
        assert_eq!(reaction(&error), (Reaction::Retry, codes::PRODUCER_RENEWED), "{}", error.chain());
        assert_eq!(reaction(&journal.position().await.unwrap_err()), (Reaction::Retry, codes::PRODUCER_RENEWED));
    }
    let mut fresh = lab.open().await;
    assert_eq!(fresh.position().await.unwrap(), Some(position(3)));
    fresh.publish(&events(3..1_000), position(1_000)).await.unwrap();
    assert_eq!(numbers_of("k3", &lab), (3..1_000).step_by(7).collect::<Vec<_>>());
    assert_eq!(committed(&lab), 1_000);
}

/// The numbers of a key, in their order.
fn numbers_of(key: &str, lab: &Laboratory) -> Vec<u64> {
    let found = read(&lab.topic(), "read_committed");
    found.iter().filter(|record| record.key.contains(key)).map(|record| record.number).collect()
}

/// Committed records that are events of ours.
fn committed(lab: &Laboratory) -> usize {
    read(&lab.topic(), "read_committed").iter().filter(|record| record.key != PROBE).count()
}

#[tokio::test]
async fn a_transaction_may_be_larger_than_a_batch_of_its_topic() {
    let _stack = shared().await;
    let lab = Laboratory::new("batches");
    create_topic(&lab.topic(), &[("max.message.bytes", "20000")]).await;
    let mut journal = lab.open().await;
    journal.publish(&events(0..2_000), position(2_000)).await.unwrap();
    assert_eq!(numbers_of("k5", &lab), (5..2_000).step_by(7).collect::<Vec<_>>());
    assert_eq!(committed(&lab), 2_000);
}

#[tokio::test]
async fn a_limit_that_the_journal_cannot_read_ends_in_batches_that_fit() {
    let _stack = shared().await;
    let lab = Laboratory::new("unread");
    create_topic(&lab.topic(), &[]).await;
    // A journal that reads the limit while it is high, and meets a lower one, each time.
    for attempt in 0..8 {
        set_limit(&lab.topic(), 1_000_000).await;
        let mut journal = lab.open().await;
        journal.prepare(&event(0).object).await.unwrap();
        set_limit(&lab.topic(), 2_000).await;
        match journal.publish(&events(0..500), position(500)).await {
            Ok(placed) => {
                assert!(attempt > 0, "the first batch is too large");
                assert_eq!((placed.len(), committed(&lab)), (500, 500));
                return;
            }
            Err(error) => assert_eq!(reaction(&error), (Reaction::Retry, codes::RECORD_TOO_LARGE), "{}", error.chain()),
        }
    }
    panic!("the batches do not become small enough");
}

#[tokio::test]
async fn a_record_that_the_broker_refuses_by_itself_is_poison_for_the_next_journal() {
    let _stack = shared().await;
    let lab = Laboratory::new("itself").with_compression();
    create_topic(&lab.topic(), &[("max.message.bytes", "20000")]).await;
    let mut journal = lab.open().await;
    let mut large = event(1);
    let noise: String = (0..60_000).map(|_| char::from(rand::random_range(b'!'..=b'~'))).collect();
    large.after.as_mut().unwrap()[1].1 = towpath_api::apache_avro::types::Value::String(noise);
    journal.check(&large).await.unwrap();
    let call = [event(0), large.clone()];
    // The broker refuses the batch first, and then the record.
    for _ in 0..8 {
        match journal.publish(&call, position(2)).await.unwrap_err() {
            error if error.reaction == Reaction::Poison => break,
            error => {
                assert_eq!(reaction(&error), (Reaction::Retry, codes::RECORD_TOO_LARGE), "{}", error.chain());
                assert!(error.chain().contains("nothing of the call was published"), "{}", error.chain());
                journal = lab.open().await;
            }
        }
    }
    let error = journal.check(&large).await.unwrap_err();
    assert_eq!(reaction(&error), (Reaction::Poison, codes::RECORD_TOO_LARGE), "{}", error.chain());
    journal.check(&event(1)).await.unwrap();
    assert_eq!((journal.position().await.unwrap(), committed(&lab)), (None, 0));
    journal.publish(&events(0..2), position(2)).await.unwrap();
    assert_eq!(committed(&lab), 2);
}

#[tokio::test]
async fn a_dropped_future_spends_the_journal() {
    let _stack = shared().await;
    let lab = Laboratory::new("dropped");
    let mut journal = lab.open().await;
    journal.publish(&events(0..1), position(1)).await.unwrap();
    let dropped = events(1..900);
    {
        let mut publishing = std::pin::pin!(journal.publish(&dropped, position(900)));
        // Past the encoding, which lets other work run at times, into the transaction.
        for _ in 0..30 {
            assert!(futures::poll!(&mut publishing).is_pending());
        }
    }
    let error = journal.publish(&events(1..2), position(2)).await.unwrap_err();
    assert_eq!(reaction(&error), (Reaction::Retry, codes::PRODUCER_RENEWED));
    // All records of the dropped call, or none.
    let Position(found) = lab.open().await.position().await.unwrap().unwrap();
    let next = found["next"].as_u64().unwrap();
    assert_eq!(read(&lab.topic(), "read_committed").len() as u64, next);
    assert!([1, 900].contains(&next));
}

#[tokio::test]
async fn opening_ends_a_dead_transaction_before_it_reads_the_position() {
    let _stack = shared().await;
    let lab = Laboratory::new("settle");
    lab.open().await.publish(&events(0..2), position(2)).await.unwrap();
    let dead = producer(&lab.transactional_id());
    dead.begin_transaction().unwrap();
    let key = json!([lab.connector, 0]).to_string();
    dead.send(BaseRecord::to(&lab.offsets).key(&key).payload(r#"{"version":1,"position":{"next":99}}"#)).unwrap();
    dead.flush(Duration::from_secs(10)).unwrap();
    let begun = std::time::Instant::now();
    assert_eq!(lab.open().await.position().await.unwrap(), Some(position(2)));
    assert!(begun.elapsed() < Duration::from_secs(15), "{:?}", begun.elapsed());
    assert!(dead.commit_transaction(Duration::from_secs(10)).is_err(), "the dead instance is fenced");
}

#[tokio::test]
async fn the_position_is_read_beyond_an_open_transaction_of_another_producer() {
    let _stack = shared().await;
    let lab = Laboratory::new("beyond");
    lab.open().await.publish(&events(0..1), position(1)).await.unwrap();
    let foreign = producer(&format!("{}-foreign", lab.connector));
    foreign.begin_transaction().unwrap();
    for partition in 0..3 {
        foreign.send(BaseRecord::to(&lab.offsets).partition(partition).key("x").payload("y")).unwrap();
    }
    foreign.flush(Duration::from_secs(10)).unwrap();
    // Committed, but above the last stable offset while the foreign transaction is open.
    let opening = tokio::spawn({
        let lab = lab.clone();
        async move { lab.open().await.position().await.unwrap() }
    });
    // A reader of the same topic gives up; the journal, which began before it, still waits.
    let topic = CompactedTopic::new(&Laboratory::kafka(), &lab.offsets, 3, None).unwrap();
    let mut reader = topic.reader().await.unwrap();
    let error = reader.read_to_end(Duration::from_secs(1), |_| {}).await.unwrap_err();
    assert_eq!(error.code, codes::END_NOT_REACHED, "{}", error.chain());
    assert!(!opening.is_finished(), "the end cannot be reached yet");
    foreign.abort_transaction(Duration::from_secs(10)).unwrap();
    assert_eq!(opening.await.unwrap(), Some(position(1)));
}

#[tokio::test]
async fn a_transaction_that_stays_open_is_a_retry_that_names_its_partition() {
    let _stack = shared().await;
    let lab = Laboratory::new("hanging");
    let topic = CompactedTopic::new(&Laboratory::kafka(), &lab.offsets, 3, None).unwrap();
    topic.ensure().await.unwrap();
    let foreign = producer(&format!("{}-foreign", lab.connector));
    foreign.begin_transaction().unwrap();
    foreign.send(BaseRecord::to(&lab.offsets).partition(1).key("x").payload("y")).unwrap();
    foreign.flush(Duration::from_secs(10)).unwrap();
    let mut reader = topic.reader().await.unwrap();
    let error = reader.read_to_end(Duration::from_millis(500), |_| {}).await.unwrap_err();
    assert_eq!(reaction(&error), (Reaction::Retry, codes::END_NOT_REACHED));
    assert!(error.chain().contains(&format!("{}[1]", lab.offsets)), "{}", error.chain());
    assert!(error.help().is_some_and(|help| help.contains("kafka-transactions.sh")));
    foreign.abort_transaction(Duration::from_secs(10)).unwrap();
}

#[tokio::test]
async fn a_compacted_topic_is_read_to_its_end_and_followed() {
    let _stack = shared().await;
    let lab = Laboratory::new("follow");
    let topic = CompactedTopic::new(&Laboratory::kafka(), &lab.offsets, 3, None).unwrap();
    topic.ensure().await.unwrap();
    topic.ensure().await.unwrap();
    assert_eq!(topic.partitions().await.unwrap(), [0, 1, 2]);
    let mut empty = topic.reader().await.unwrap();
    empty.read_to_end(END_TIMEOUT, |record| panic!("{record:?}")).await.unwrap();

    let writer = producer(&format!("{}-writer", lab.connector));
    let write = |key: &str, value: Option<&str>, commit: bool| {
        writer.begin_transaction().unwrap();
        let mut record = BaseRecord::to(&lab.offsets).partition(2).key(key);
        record.payload = value;
        writer.send::<str, str>(record).unwrap();
        writer.flush(Duration::from_secs(10)).unwrap();
        let ended = if commit { writer.commit_transaction(END_TIMEOUT) } else { writer.abort_transaction(END_TIMEOUT) };
        ended.unwrap();
    };
    write("a", Some("1"), true);
    write("a", Some("aborted"), false);
    write("a", None, true);
    // The topic ends with control records, which readers never see.
    write("b", Some("aborted"), false);
    let mut found = Vec::new();
    let mut reader = topic.reader().await.unwrap();
    reader.read_to_end(END_TIMEOUT, |record| found.push((record.key, record.value))).await.unwrap();
    assert_eq!(found, [(b"a".to_vec(), Some(b"1".to_vec())), (b"a".to_vec(), None)]);

    // A dropped wait loses nothing.
    assert!(tokio::time::timeout(Duration::from_millis(50), reader.next()).await.is_err());
    write("c", Some("3"), true);
    let next = tokio::time::timeout(Duration::from_secs(10), reader.next()).await.unwrap().unwrap();
    assert_eq!((next.partition, next.key, next.value), (2, b"c".to_vec(), Some(b"3".to_vec())));
}

#[tokio::test]
async fn an_offsets_topic_that_is_not_compacted_is_refused() {
    let _stack = shared().await;
    let lab = Laboratory::new("policy");
    create_topic(&lab.offsets, &[("cleanup.policy", "delete")]).await;
    let error = lab.try_open().await.err().unwrap();
    assert_eq!(reaction(&error), (Reaction::Fatal, codes::NOT_COMPACTED));
    assert!(error.help().is_some_and(|help| help.contains(&lab.offsets)), "{:?}", error.help());
}

#[tokio::test]
async fn a_position_of_a_newer_version_is_refused() {
    let _stack = shared().await;
    let lab = Laboratory::new("newer");
    lab.open().await.publish(&[], position(1)).await.unwrap();
    let writer = producer(&format!("{}-writer", lab.connector));
    writer.begin_transaction().unwrap();
    let partition = read(&lab.offsets, "read_committed")[0].partition;
    let key = json!([lab.connector, 0]).to_string();
    let newer = BaseRecord::to(&lab.offsets).partition(partition).key(&key).payload(r#"{"version":2}"#);
    writer.send(newer).unwrap();
    writer.commit_transaction(END_TIMEOUT).unwrap();
    let error = lab.try_open().await.err().unwrap();
    assert_eq!(reaction(&error), (Reaction::Fatal, codes::POSITION_UNREADABLE));
    assert!(error.help().is_some_and(|help| help.contains("newer")), "{:?}", error.help());
}

#[tokio::test]
async fn a_reopened_source_resumes_where_it_was() {
    let _stack = shared().await;
    let lab = Laboratory::new("afresh");
    let opener = OpenNumbers { pause: Duration::from_millis(5), published: Arc::default() };
    for _ in 0..3 {
        let mut source = opener.open(0).await.unwrap();
        let mut journal = lab.open().await;
        let life = Lifecycle::default();
        let stop = async {
            life.started().await;
            let published = || opener.published.load(Ordering::SeqCst);
            let enough = published() + 5;
            eventually("more is published", || async { (published() >= enough).then_some(()) }).await;
            life.stop().cancel();
        };
        tokio::join!(async { source.run(&mut journal, life.clone()).await.unwrap() }, stop);
    }
    numbers::agree(&lab).await;
}
