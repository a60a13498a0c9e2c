//! Cases that have broken other sinks, each by name.

use std::sync::Arc;

use apache_avro::{Schema, types::Value};
use serde_json::json;
use towpath_api::{Batch, Body, ErrorType, OpenSink as _, Reaction, RecordOp, Sink as _};
use towpath_postgres::PostgresSink;

use crate::{
    crash::{all_is_right, watch},
    laboratory::{Laboratory, beginning, claim},
    stack::{database, eventually, rows, rows_become, shared},
    worker::{SECRET, Worker},
};

#[tokio::test]
async fn the_same_key_twice_in_a_batch_ends_in_its_last_state() {
    let lab = Laboratory::new("twice").await;
    let mut sink = lab.open().await;
    let claim = claim(&mut sink, &lab.partition(0)).await;
    let records = vec![
        lab.whole(0, 1, 10),
        lab.whole(1, 2, 20),
        lab.whole(2, 1, 11),
        lab.change(3, 2, RecordOp::Delete, None, None, None),
        lab.change(4, 1, RecordOp::Update, Some((12, "")), Some(vec![1]), None),
    ];
    let applied = sink.apply(&claim, &lab.batch(0, records)).await.unwrap();
    assert_eq!((applied.folded, applied.total()), (2, 5), "{applied:?}");
    assert_eq!(lab.table().await, ["1|12|x|f|4", "2|20|x|t|3"]);
}

#[tokio::test]
async fn a_tombstone_after_its_delete_neither_fails_nor_restores_the_row() {
    let _stack = shared().await;
    let worker = Worker::new("tombs").webhook("\"objects.agents.update.mode\" = \"replace\"\n").sink("").start().await;
    let database = database().await;
    worker.accept("agents", "create", 1, json!({"name": "Ines"})).await;
    worker.accept("agents", "delete", 1, json!(null)).await;
    worker.accept("agents", "delete", 2, json!(null)).await;
    worker.accept("agents", "create", 3, json!({"name": "Tom"})).await;
    let agents = format!("SELECT id, name, _towpath_deleted FROM {}.agents ORDER BY id", worker.name);
    rows_become(&database, &agents, &["1|Ines|t", "2||t", "3|Tom|f"]).await;
    eventually("both tombstones are counted", || async {
        (worker.metric("towpath_sink_records_skipped_total", "reason=\"tombstone\"").await > 1.5).then_some(())
    })
    .await;
    let letters = format!("SELECT * FROM towpath.dead_letter WHERE sink = 'pg-{}'", worker.name);
    assert_eq!(rows(&database, &letters).await, [""; 0]);
}

/// Records 0 and 2 of the first schema, and 1 of a schema with one more field.
fn with_a_new_field(lab: &Laboratory) -> Batch {
    let wider = Schema::parse_str(
        r#"{"type":"record","name":"deal","fields":[{"name":"id","type":"long"},{"name":"a","type":["null","long"]},
            {"name":"b","type":["null","string"]},{"name":"extra","type":["null","string"]}]}"#,
    );
    let mut second = lab.whole(1, 2, 2);
    if let Body::Change(change) = &mut second.body {
        change.schema = Arc::new(wider.unwrap());
        change.after.as_mut().unwrap().push(Value::String("new".to_owned()));
    }
    lab.batch(0, vec![lab.whole(0, 1, 1), second, lab.whole(2, 3, 3)])
}

async fn open_with(lab: &Laboratory, evolution: &str) -> PostgresSink {
    lab.opener(&[("schema.evolution", evolution)]).open().await.unwrap()
}

#[tokio::test]
async fn a_new_field_in_mid_batch_becomes_a_column() {
    let lab = Laboratory::new("evolves").await;
    let mut sink = lab.open().await;
    let claim = claim(&mut sink, &lab.partition(0)).await;
    assert_eq!(sink.apply(&claim, &with_a_new_field(&lab)).await.unwrap().inserted, 3);
    let extra = format!("SELECT id, extra FROM {}.deals ORDER BY id", lab.name);
    assert_eq!(rows(&lab.client, &extra).await, ["1|", "2|new", "3|"]);
}

/// A table that a person has created, without the new field.
async fn made_by_hand(lab: &Laboratory) {
    let mut sink = lab.open().await;
    let claim = claim(&mut sink, &lab.partition(0)).await;
    sink.apply(&claim, &lab.batch(0, vec![lab.whole(0, 1, 1)])).await.unwrap();
    let rewind = format!("UPDATE towpath.sink_partition SET next_offset = 0 WHERE sink = '{}'", lab.name);
    lab.client.batch_execute(&rewind).await.unwrap();
}

#[tokio::test]
async fn a_new_field_under_validate_waits_for_the_statement_in_the_error() {
    let lab = Laboratory::new("validates").await;
    made_by_hand(&lab).await;
    let mut sink = open_with(&lab, "validate").await;
    let claim = claim(&mut sink, &lab.partition(0)).await;
    let error = sink.apply(&claim, &with_a_new_field(&lab)).await.unwrap_err();
    assert_ne!(error.error.reaction, Reaction::Poison, "the record is not at fault: {}", error.error.chain());
    let text = error.error.help().unwrap_or_default();
    let at = text.find("ALTER TABLE").unwrap_or_else(|| panic!("no statement in: {error:?}"));
    assert!(text[at..].contains("extra"), "{text}");
    assert_eq!((lab.next_offset().await, lab.table().await), (vec!["0".to_owned()], vec!["1|1|x|f|0".to_owned()]));
    lab.client.batch_execute(&format!("ALTER TABLE {}.deals ADD COLUMN extra text", lab.name)).await.unwrap();
    let mut sink = open_with(&lab, "validate").await;
    let claim = sink.claim(&lab.partition(0), &beginning(), Some(&claim)).await.unwrap();
    sink.apply(&claim, &with_a_new_field(&lab)).await.unwrap();
    let extra = format!("SELECT id, extra FROM {}.deals ORDER BY id", lab.name);
    assert_eq!(rows(&lab.client, &extra).await, ["1|", "2|new", "3|"]);
}

#[tokio::test]
async fn a_new_field_with_evolution_off_changes_no_table() {
    let lab = Laboratory::new("frozen").await;
    made_by_hand(&lab).await;
    let mut sink = open_with(&lab, "off").await;
    let claim = claim(&mut sink, &lab.partition(0)).await;
    sink.apply(&claim, &with_a_new_field(&lab)).await.unwrap();
    assert_eq!(lab.table().await, ["1|1|x|f|0", "2|2|x|f|1", "3|3|x|f|2"]);
    let columns = format!(
        "SELECT count(*) FROM pg_attribute WHERE attrelid = '{}.deals'::regclass AND attname = 'extra'",
        lab.name
    );
    assert_eq!(rows(&lab.client, &columns).await, ["0"]);
}

#[tokio::test]
async fn one_poisoned_value_among_thousands_is_dead_lettered_alone() {
    let lab = Laboratory::new("poisoned").await;
    let mut sink = lab.open().await;
    let claim = claim(&mut sink, &lab.partition(0)).await;
    let mut records: Vec<_> = (0..2_000).map(|at| lab.whole(at, at, at)).collect();
    records[1_234] = lab.change(1_234, 1_234, RecordOp::Create, Some((1, "nul \0")), None, None);
    let applied = sink.apply(&claim, &lab.batch(0, records)).await.unwrap();
    assert_eq!((applied.inserted, applied.total()), (1_999, 2_000));
    assert_eq!(applied.dead_letters().collect::<Vec<_>>(), [(ErrorType::Constraint, 1)]);
    let letters = format!("SELECT \"offset\" FROM towpath.dead_letter WHERE sink = '{}'", lab.name);
    assert_eq!(rows(&lab.client, &letters).await, ["1234"]);
    assert_eq!(lab.next_offset().await, ["2000"]);
}

#[tokio::test]
async fn a_stale_redelivery_does_not_take_the_table_back_in_time() {
    let lab = Laboratory::new("stale").await;
    let mut sink = lab.open().await;
    let claim = claim(&mut sink, &lab.partition(0)).await;
    let state =
        |offset, id, version| lab.change(offset, id, RecordOp::Update, Some((version, "v")), None, Some(version));
    let deleted = |offset, id, version| lab.change(offset, id, RecordOp::Delete, None, None, Some(version));
    sink.apply(&claim, &lab.batch(0, vec![state(0, 1, 10), state(1, 1, 30), state(2, 2, 10), deleted(3, 2, 30)]))
        .await
        .unwrap();
    let expected = ["1|30|v|f|1", "2|10|v|t|3"];
    assert_eq!(lab.table().await, expected);
    // The source sends all records again, later in the topic, then a new one.
    let again =
        vec![state(4, 1, 10), deleted(5, 1, 20), state(6, 2, 10), state(7, 2, 20), state(8, 1, 30), deleted(9, 2, 30)];
    let applied = sink.apply(&claim, &lab.batch(4, again)).await.unwrap();
    // The newest of each record is applied again: of equal versions the later record wins.
    assert_eq!((applied.stale + applied.folded, applied.total()), (4, 6), "{applied:?}");
    assert_eq!(lab.table().await, ["1|30|v|f|8", "2|10|v|t|9"]);
    sink.apply(&claim, &lab.batch(10, vec![state(10, 1, 40)])).await.unwrap();
    assert_eq!(lab.table().await, ["1|40|v|f|10", "2|10|v|t|9"]);
}

#[tokio::test]
async fn a_timestamp_in_milliseconds_keeps_them_alone_and_in_a_full_batch() {
    let _stack = shared().await;
    let worker = Worker::new("millis").webhook("").sink("").start().await;
    let database = database().await;
    let closed = |millis: u32| json!({"title": "t", "closed_at": format!("2026-11-24T10:00:00.{millis:03}Z")});
    worker.accept("deals", "create", "alone", closed(7)).await;
    let alone = format!("SELECT closed_at AT TIME ZONE 'UTC' FROM {}.deals WHERE id = 'alone'", worker.name);
    rows_become(&database, &alone, &["2026-11-24 10:00:00.007"]).await;
    let many: Vec<_> =
        (0..1_000).map(|at| json!({"id": format!("m-{at:03}"), "action": "create", "data": closed(at)})).collect();
    let body = json!({"clientid": "acme", "clientSecret": SECRET, "objectname": "deals", "data": many});
    assert_eq!(worker.post_raw(body.to_string()).await.unwrap().status(), 202);
    let right = format!(
        "SELECT count(*) FROM {}.deals WHERE id = 'm-' || to_char(closed_at AT TIME ZONE 'UTC', 'MS')
         AND extract(microseconds FROM closed_at)::int % 1000 = 0",
        worker.name
    );
    rows_become(&database, &right, &["1000"]).await;
}

#[tokio::test]
async fn a_kill_halfway_through_a_topic_writes_nothing_twice_and_skips_nothing() {
    let _stack = shared().await;
    let mut worker = Worker::new("halfway").webhook("").sink("batch.max.rows = 25\n").start().await;
    let database = database().await;
    watch(&database, &worker).await;
    // Slow enough for a kill halfway: each transaction of 25 rows takes 50 ms.
    let slow = format!(
        "CREATE FUNCTION {0}.slow() RETURNS trigger LANGUAGE plpgsql AS $$ BEGIN PERFORM pg_sleep(0.05); RETURN NULL;
         END $$;
         CREATE TRIGGER slow AFTER INSERT ON {0}.deals FOR EACH STATEMENT EXECUTE FUNCTION {0}.slow()",
        worker.name
    );
    database.batch_execute(&slow).await.unwrap();
    let count = format!("SELECT count(*) FROM {}.deals", worker.name);
    let count = || async { rows(&database, &count).await[0].parse::<u32>().unwrap() };
    for thousand in 0..2 {
        let many: Vec<_> = (0..1_000)
            .map(|at| json!({"id": format!("h-{thousand}{at:03}"), "action": "create", "data": {"title": "t"}}))
            .collect();
        let body = json!({"clientid": "acme", "clientSecret": SECRET, "objectname": "deals", "data": many});
        assert_eq!(worker.post_raw(body.to_string()).await.unwrap().status(), 202);
        let all = 1 + 1_000 * (thousand + 1);
        eventually("the first rows are there", || async { (count().await > all - 1_000).then_some(()) }).await;
        worker.kill();
        assert!(count().await < all, "killed halfway");
        worker.spawn();
        worker.is_ready().await;
    }
    let expected = (0..2_000).map(|at| format!("h-{at:04}|t|||f")).collect();
    all_is_right(&database, &worker, expected).await;
}
