//! The guards of the sink against the real database: each test fails if its guard is removed from the SQL.
//!
//! The sink is called as the worker calls it, with batches made by a [`Laboratory`], without Kafka.

use std::sync::Arc;

use apache_avro::{Schema, types::Value};
use towpath_api::{Applied, Body, Claim, ErrorType, OpenSink as _, Reaction, RecordOp, Sink as _, TopicPartition};
use towpath_postgres::PostgresSink;

use crate::{
    laboratory::{Laboratory, beginning, claim},
    stack::{database, rows},
};

#[tokio::test]
async fn a_claim_fences_every_older_claim_of_the_partition() {
    let lab = Laboratory::new("fence").await;
    let (mut old, mut new) = (lab.open().await, lab.opener_of("another", &[]).open().await.unwrap());
    let old_claim = claim(&mut old, &lab.partition(0)).await;
    let new_claim = claim(&mut new, &lab.partition(0)).await;
    assert!(new_claim.epoch > old_claim.epoch);

    let zombie = old.apply(&old_claim, &lab.batch(0, vec![lab.whole(0, 1, 666)])).await.unwrap_err();
    assert_eq!(zombie.error.reaction, Reaction::Fenced, "{}", zombie.error.chain());
    new.apply(&new_claim, &lab.batch(0, vec![lab.whole(0, 1, 1)])).await.unwrap();
    assert_eq!(lab.table().await, ["1|1|x|f|0"]);
    let lost = old.claim(&lab.partition(0), &beginning(), Some(&old_claim)).await.unwrap_err();
    assert_eq!(lost.reaction, Reaction::Fenced, "a zombie does not take the partition back: {}", lost.chain());
}

#[tokio::test]
async fn a_claim_whose_answer_was_lost_does_not_fence_its_own_worker() {
    let lab = Laboratory::new("lost").await;
    let mut sink = lab.open().await;
    let known = claim(&mut sink, &lab.partition(0)).await;
    // The server has made this claim, and the worker does not know of it.
    sink.claim(&lab.partition(0), &beginning(), Some(&known)).await.unwrap();
    let again = lab.open().await.claim(&lab.partition(0), &beginning(), Some(&known)).await.unwrap();
    assert_eq!(again.epoch, known.epoch + 2);
}

#[tokio::test]
async fn a_batch_that_is_already_stored_changes_nothing_when_it_is_repeated() {
    let lab = Laboratory::new("offset").await;
    let mut sink = lab.open().await;
    let claim = claim(&mut sink, &lab.partition(0)).await;
    let batch = lab.batch(0, vec![lab.whole(0, 1, 1), lab.whole(1, 2, 2)]);
    sink.apply(&claim, &batch).await.unwrap();
    lab.client.batch_execute(&format!("UPDATE {}.deals SET a = 100, _towpath_seq = -1", lab.name)).await.unwrap();

    let again = sink.apply(&claim, &batch).await.unwrap_err();
    assert_eq!((again.error.reaction, again.error.code), (Reaction::Retry, "postgres.offset_moved"));
    assert_eq!(lab.table().await, ["1|100|x|f|0", "2|100|x|f|1"], "not even rows that the version guard would accept");
    let gap = sink.apply(&claim, &lab.batch(5, vec![lab.whole(5, 3, 3)])).await.unwrap_err();
    assert_eq!(gap.error.code, "postgres.offset_moved", "a batch that skips offsets is also refused");
    assert_eq!(lab.next_offset().await, ["2"]);
}

#[tokio::test]
async fn an_older_version_never_turns_a_row_back() {
    let lab = Laboratory::new("version").await;
    let mut sink = lab.open().await;
    let claim = claim(&mut sink, &lab.partition(0)).await;
    let versioned = |offset, a, ts| lab.change(offset, 1, RecordOp::Update, Some((a, "v")), None, Some(ts));
    sink.apply(&claim, &lab.batch(0, vec![versioned(0, 50, 50)])).await.unwrap();
    let stale = sink.apply(&claim, &lab.batch(1, vec![versioned(1, 40, 40)])).await.unwrap();
    assert_eq!((stale.stale, stale.updated), (1, 0));
    let delete = lab.change(2, 1, RecordOp::Delete, None, None, Some(30));
    assert_eq!(sink.apply(&claim, &lab.batch(2, vec![delete])).await.unwrap().stale, 1, "an old delete is old as well");
    assert_eq!(lab.table().await, ["1|50|v|f|0"]);
    let newer = sink.apply(&claim, &lab.batch(3, vec![versioned(3, 60, 60)])).await.unwrap();
    assert_eq!((newer.stale, newer.updated), (0, 1));
    assert_eq!(lab.table().await, ["1|60|v|f|3"]);
}

#[tokio::test]
async fn a_replay_from_the_start_changes_no_row() {
    let lab = Laboratory::new("replay").await;
    let mut sink = lab.open().await;
    let mut claim = claim(&mut sink, &lab.partition(0)).await;
    let history = || {
        vec![
            lab.whole(0, 1, 1),
            lab.change(1, 1, RecordOp::Update, Some((10, "")), Some(vec![1]), None),
            lab.whole(2, 2, 2),
            lab.change(3, 2, RecordOp::Delete, None, None, None),
            lab.change(4, 2, RecordOp::Update, Some((0, "back")), Some(vec![2]), None),
            lab.change(5, 1, RecordOp::Delete, None, None, None),
        ]
    };
    for record in history() {
        let (from, batch) = (record.offset, lab.batch(record.offset, vec![record]));
        assert_eq!(sink.apply(&claim, &batch).await.unwrap().total(), 1, "offset {from}");
    }
    let expected = ["1|10|x|t|5", "2||back|f|4"];
    assert_eq!(lab.table().await, expected, "a record after a delete starts from an empty row");
    let stamps = format!("SELECT id, xmin, _towpath_applied_at FROM {}.deals ORDER BY id", lab.name);
    let before = rows(&lab.client, &stamps).await;

    for size in [1, 2, 6] {
        rewind(&lab, &mut sink, &mut claim).await;
        let mut applied = Applied::default();
        let mut from = 0;
        let mut history = history();
        while !history.is_empty() {
            let rest = history.split_off(size.min(history.len()));
            let batch = lab.batch(from, history);
            (from, history) = (batch.to, rest);
            applied += sink.apply(&claim, &batch).await.unwrap();
        }
        assert_eq!((applied.total(), applied.stale + applied.folded), (6, 6), "in batches of {size}: {applied:?}");
        assert_eq!(rows(&lab.client, &stamps).await, before, "in batches of {size}");
    }
    let letters = format!("SELECT * FROM towpath.dead_letter WHERE sink = '{}'", lab.name);
    assert!(rows(&lab.client, &letters).await.is_empty(), "a replayed partial update is not a dead letter");
}

/// The steps of an operator who replays a partition from its start.
async fn rewind(lab: &Laboratory, sink: &mut PostgresSink, claim: &mut Claim) {
    let sql = format!("UPDATE towpath.sink_partition SET next_offset = 0 WHERE sink = '{}'", lab.name);
    lab.client.batch_execute(&sql).await.unwrap();
    *claim = sink.claim(&lab.partition(0), &beginning(), Some(claim)).await.unwrap();
    assert_eq!(claim.next_offset, 0);
}

#[tokio::test]
async fn a_partial_update_older_than_its_row_becomes_a_dead_letter() {
    let lab = Laboratory::new("partial").await;
    let mut sink = lab.open().await;
    let claim = claim(&mut sink, &lab.partition(0)).await;
    let first = lab.change(0, 1, RecordOp::Create, Some((1, "x")), None, Some(50));
    sink.apply(&claim, &lab.batch(0, vec![first])).await.unwrap();
    let partial = |offset, a, ts| lab.change(offset, 1, RecordOp::Update, Some((a, "")), Some(vec![1]), Some(ts));
    let applied = sink.apply(&claim, &lab.batch(1, vec![partial(1, 2, 40)])).await.unwrap();
    assert_eq!(applied.dead_letters().collect::<Vec<_>>(), [(ErrorType::Conflict, 1)]);
    let same = sink.apply(&claim, &lab.batch(2, vec![partial(2, 3, 50)])).await.unwrap();
    assert_eq!(same.updated, 1, "within one version partial updates follow the topic");
    assert_eq!(lab.table().await, ["1|3|x|f|2"]);
    let letters = format!("SELECT \"offset\", stage, error_code FROM towpath.dead_letter WHERE sink = '{}'", lab.name);
    assert_eq!(rows(&lab.client, &letters).await, ["1|apply|stale_partial_update"]);
}

#[tokio::test]
async fn one_poisoned_record_is_dead_lettered_and_its_neighbors_are_stored() {
    let lab = Laboratory::new("poison").await;
    let mut sink = lab.open().await;
    let claim = claim(&mut sink, &lab.partition(0)).await;
    let mut records: Vec<_> = (0..100).map(|at| lab.whole(at, at, at)).collect();
    for (at, id) in [(17, 17), (60, 60)] {
        records[at] = lab.change(id, id, RecordOp::Create, Some((1, "nul \0 byte")), None, None);
    }
    let mut batch = lab.batch(0, records);
    let span = batch.arena.push(b"the bytes of record 17");
    batch.records[17].payload.value = Some(span);
    let applied = sink.apply(&claim, &batch).await.unwrap();
    assert_eq!((applied.inserted, applied.total()), (98, 100));
    let count = format!("SELECT count(*), min(id), max(id) FROM {}.deals", lab.name);
    assert_eq!(rows(&lab.client, &count).await, ["98|0|99"]);
    assert_eq!(lab.next_offset().await, ["100"]);
    let letters = format!(
        "SELECT \"offset\", error_code, convert_from(value, 'UTF8'), error_text FROM towpath.dead_letter
         WHERE sink = '{}' ORDER BY 1",
        lab.name
    );
    let letters = rows(&lab.client, &letters).await;
    assert_eq!(letters.len(), 2, "{letters:?}");
    assert!(letters[0].starts_with("17|postgres.refused_value|the bytes of record 17|"), "{letters:?}");
    assert!(!letters.concat().contains("nul"), "the reason quotes no value: {letters:?}");
}

#[tokio::test]
async fn an_uncommitted_transaction_leaves_nothing() {
    let lab = Laboratory::new("cut").await;
    let mut sink = lab.open().await;
    let mut claim = claim(&mut sink, &lab.partition(0)).await;
    sink.apply(&claim, &lab.batch(0, vec![lab.whole(0, 1, 1)])).await.unwrap();
    // Another session has locked a row of the batch, so the batch waits in the middle of its transaction.
    lab.client.batch_execute(&format!("BEGIN; SELECT * FROM {}.deals FOR UPDATE", lab.name)).await.unwrap();
    let batch = lab.batch(1, vec![lab.whole(1, 2, 2), lab.whole(2, 1, 100)]);
    let killer = database().await;
    let blocked = format!(
        "SELECT pg_terminate_backend(pid) FROM pg_stat_activity WHERE application_name = 'towpath/{}'
         AND wait_event_type = 'Lock'",
        lab.name
    );
    let (error, ()) = tokio::join!(
        async { sink.apply(&claim, &batch).await.unwrap_err() },
        crate::stack::eventually("the batch waits for the row", || async {
            (!rows(&killer, &blocked).await.is_empty()).then_some(())
        })
    );
    assert_eq!(error.error.reaction, Reaction::Retry, "{}", error.error.chain());
    lab.client.batch_execute("ROLLBACK").await.unwrap();
    assert_eq!((lab.table().await, lab.next_offset().await), (vec!["1|1|x|f|0".to_owned()], vec!["1".to_owned()]));

    let mut fresh = lab.open().await;
    claim = fresh.claim(&lab.partition(0), &beginning(), Some(&claim)).await.unwrap();
    assert_eq!(claim.next_offset, 1);
    fresh.apply(&claim, &batch).await.unwrap();
    assert_eq!(lab.table().await, ["1|100|x|f|2", "2|2|x|f|1"]);
}

#[tokio::test]
async fn a_table_of_another_shape_is_refused_with_both_types() {
    let lab = Laboratory::new("shape").await;
    let table = format!("CREATE SCHEMA {0}; CREATE TABLE {0}.deals (id uuid PRIMARY KEY)", lab.name);
    lab.client.batch_execute(&table).await.unwrap();
    let mut sink = lab.open().await;
    let claim = claim(&mut sink, &lab.partition(0)).await;
    let error = sink.apply(&claim, &lab.batch(0, vec![lab.whole(0, 1, 1)])).await.unwrap_err();
    assert_eq!((error.error.reaction, error.error.code), (Reaction::Retry, "postgres.schema_mismatch"));
    assert!(error.error.to_string().contains("column `id` of the key should be bigint and is uuid"), "{error:?}");
    assert!(error.error.help().is_none(), "no statement changes a key: {error:?}");
    assert_eq!(lab.next_offset().await, ["0"]);
}

#[tokio::test]
async fn two_topics_cannot_share_a_table() {
    let lab = Laboratory::new("share").await;
    let mut sink = lab.opener(&[("table.name.format", "${topic}")]).open().await.unwrap();
    claim(&mut sink, &lab.partition(0)).await;
    claim(&mut sink, &lab.partition(1)).await;
    let other = TopicPartition { topic: format!("{}.Deals", lab.name).into(), partition: 0 };
    let error = sink.claim(&other, &beginning(), None).await.unwrap_err();
    assert_eq!((error.reaction, error.code), (Reaction::Fatal, "postgres.table_taken"), "{}", error.chain());
}

#[tokio::test]
async fn hard_deletes_remove_the_row() {
    let lab = Laboratory::new("hard").await;
    let mut sink = lab.opener(&[("delete.mode", "hard")]).open().await.unwrap();
    let claim = claim(&mut sink, &lab.partition(0)).await;
    let records = vec![lab.whole(0, 1, 1), lab.whole(1, 2, 2)];
    sink.apply(&claim, &lab.batch(0, records)).await.unwrap();
    let applied =
        sink.apply(&claim, &lab.batch(2, vec![lab.change(2, 1, RecordOp::Delete, None, None, None)])).await.unwrap();
    assert_eq!((applied.deleted, applied.total()), (1, 1));
    assert_eq!(lab.table().await, ["2|2|x|f|1"]);
    let versioned = lab.change(3, 2, RecordOp::Update, Some((5, "v")), None, Some(50));
    sink.apply(&claim, &lab.batch(3, vec![versioned])).await.unwrap();
    let old = sink
        .apply(&claim, &lab.batch(4, vec![lab.change(4, 2, RecordOp::Delete, None, None, Some(40))]))
        .await
        .unwrap();
    assert_eq!((old.deleted, old.stale), (0, 1), "an old delete keeps a newer row");
    assert_eq!(lab.table().await, ["2|5|v|f|3"]);
}

#[tokio::test]
async fn a_new_field_becomes_a_column_and_the_live_view_shows_it() {
    let lab = Laboratory::new("evolve").await;
    let mut sink = lab.open().await;
    let claim = claim(&mut sink, &lab.partition(0)).await;
    let wider = Schema::parse_str(
        r#"{"type":"record","name":"deal","fields":[{"name":"id","type":"long"},{"name":"a","type":["null","long"]},
            {"name":"b","type":["null","string"]},{"name":"closedAt","type":["null",
            {"type":"long","logicalType":"timestamp-micros"}],"doc":"when it closed"}]}"#,
    );
    let wider = Arc::new(wider.unwrap());
    let mut second = lab.whole(1, 2, 2);
    if let Body::Change(change) = &mut second.body {
        change.schema = wider;
        change.after.as_mut().unwrap().push(Value::TimestampMicros(1_700_000_000_000_001));
    }
    sink.apply(&claim, &lab.batch(0, vec![lab.whole(0, 1, 1)])).await.unwrap();
    sink.apply(
        &claim,
        &lab.batch(1, vec![second, lab.whole(2, 3, 3), lab.change(3, 1, RecordOp::Delete, None, None, None)]),
    )
    .await
    .unwrap();
    let live = format!("SELECT id, a, closed_at AT TIME ZONE 'UTC' FROM {}.deals_live ORDER BY id", lab.name);
    assert_eq!(rows(&lab.client, &live).await, ["2|2|2023-11-14 22:13:20.000001", "3|3|"]);
    let comment = format!(
        "SELECT col_description('{}.deals'::regclass, attnum) FROM pg_attribute WHERE attrelid = '{0}.deals'::regclass
         AND attname = 'closed_at'",
        lab.name
    );
    assert_eq!(rows(&lab.client, &comment.replace("{0}", &lab.name)).await, ["closedAt: when it closed"]);
}
