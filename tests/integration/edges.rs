//! Rare sequences in which a record could be lost, duplicated, or mistaken for another one.

use std::{sync::Arc, time::Duration};

use apache_avro::types::Value;
use towpath_api::{
    Applied, Body, Change, Error, Identity, OpenSink as _, Payload, Reaction, Record, RecordKey, RecordOp, Sink as _,
    Version,
};
use towpath_postgres::PostgresSink;

use crate::laboratory::{Laboratory, claim, record_schema};

/// A sink that gets one batch after the other, each from the end of the last one.
pub(crate) struct Feed<'l> {
    lab: &'l Laboratory,
    pub(crate) sink: PostgresSink,
    pub(crate) claim: towpath_api::Claim,
}

impl<'l> Feed<'l> {
    pub(crate) async fn of(lab: &'l Laboratory, keys: &[(&str, &str)]) -> Self {
        Self::of_partition(lab, 0, keys).await
    }

    pub(crate) async fn of_partition(lab: &'l Laboratory, partition: i32, keys: &[(&str, &str)]) -> Self {
        let mut sink = lab.opener(keys).open().await.unwrap();
        let claim = claim(&mut sink, &lab.partition(partition)).await;
        Self { lab, sink, claim }
    }

    pub(crate) async fn try_apply(&mut self, records: Vec<Record>) -> Result<Applied, Error> {
        let mut batch = self.lab.batch(self.claim.next_offset, records);
        batch.partition = self.claim.partition.clone();
        let applied = self.sink.apply(&self.claim, &batch).await?;
        assert_eq!(
            applied.total(),
            u64::try_from(batch.records.len()).unwrap(),
            "every record is accounted for: {applied:?}"
        );
        self.claim.next_offset = batch.to;
        Ok(applied)
    }

    pub(crate) async fn apply(&mut self, records: Vec<Record>) -> Applied {
        self.try_apply(records).await.unwrap_or_else(|error| panic!("{}", error.chain()))
    }
}

pub(crate) fn letters(applied: &Applied) -> u64 {
    applied.dead_letters().map(|(_, records)| records).sum()
}

#[tokio::test]
async fn a_tombstone_keeps_a_row_that_another_partition_wrote_with_a_version() {
    for mode in ["soft", "hard"] {
        let lab = Laboratory::new("moved").await;
        let mut new = Feed::of_partition(&lab, 1, &[("delete.mode", mode)]).await;
        new.apply(vec![lab.change(0, 1, RecordOp::Create, Some((7, "new")), None, Some(7))]).await;
        let mut old = Feed::of(&lab, &[("delete.mode", mode)]).await;
        let delete = lab.change(0, 1, RecordOp::Delete, None, None, Some(6));
        let applied = old.apply(vec![delete, lab.tombstone(1, 1)]).await;
        assert_eq!((applied.stale, letters(&applied)), (1, 1), "{mode}");
        assert_eq!(lab.ask("SELECT a, _towpath_deleted FROM $.deals").await, ["7|f"], "{mode}");
        let codes = lab.ask("SELECT error_code FROM towpath.dead_letter WHERE sink = '$'").await;
        assert_eq!(codes, ["apply.undecided_delete"], "{mode}");
    }
}

#[tokio::test]
async fn a_truncate_with_a_version_ends_older_rows_of_every_partition() {
    for (mode, left) in [("soft", ["1|t", "2|f", "4|f"].as_slice()), ("hard", &["2|f", "4|f"])] {
        truncate_with_a_version(mode, left).await;
    }
}

async fn truncate_with_a_version(mode: &str, left: &[&str]) {
    let lab = Laboratory::new("truncate_lsn").await;
    let keys = [("truncate.enabled", "true"), ("delete.mode", mode)];
    let versioned = |offset, id, lsn| lab.change(offset, id, RecordOp::Create, Some((lsn, "x")), None, Some(lsn));
    Feed::of(&lab, &keys).await.apply(vec![versioned(0, 1, 10), versioned(1, 2, 30)]).await;
    let mut other = Feed::of_partition(&lab, 1, &keys).await;
    let change = Change {
        key: None,
        op: RecordOp::Truncate,
        schema: record_schema(""),
        after: None,
        changed: None,
        version: Some(Version { ts: 20, seq: 0, rank: 0 }),
        source_time_ms: None,
    };
    let truncate = |change: &Change| {
        let body = Body::Change(Box::new(change.clone()));
        Record { offset: 0, timestamp_ms: 1, body, payload: Payload::default() }
    };
    assert_eq!(other.apply(vec![truncate(&change)]).await.deleted, 1);
    // An older record that is read later brings no row back.
    let mut late = Feed::of_partition(&lab, 2, &keys).await;
    let applied = late.apply(vec![versioned(0, 3, 15), versioned(1, 4, 25), versioned(2, 1, 12)]).await;
    assert_eq!((applied.stale, applied.inserted), (2, 1), "{applied:?}");
    assert_eq!(lab.ask("SELECT id, _towpath_deleted FROM $.deals ORDER BY 1").await, left);
    // A table that is not there yet has been truncated as well.
    let other = Laboratory::new("truncate_first").await;
    let mut feed = Feed::of_partition(&other, 1, &keys).await;
    assert_eq!(feed.apply(vec![truncate(&change)]).await.filtered, 1);
    let applied = Feed::of(&other, &keys).await.apply(vec![versioned(0, 1, 10), versioned(1, 2, 30)]).await;
    assert_eq!((applied.stale, applied.inserted), (1, 1), "{applied:?}");
}

#[tokio::test]
async fn values_stay_intact_after_their_column_was_altered() {
    let lab = Laboratory::new("altered").await;
    let many = |from: i64| (from..from + 300).map(|at| lab.whole(at, at, at % 1_000)).collect::<Vec<_>>();
    let mut feed = Feed::of(&lab, &[]).await;
    feed.apply(many(0)).await;
    feed.apply(many(300)).await;
    // A numeric column would misread a number in the form of bigint.
    lab.client
        .batch_execute(&format!("ALTER TABLE {}.deals ALTER COLUMN a TYPE numeric(21,2)", lab.name))
        .await
        .unwrap_err();
    let alter = "DROP VIEW $.deals_live; ALTER TABLE $.deals ALTER COLUMN a TYPE numeric(21,2)";
    lab.client.batch_execute(&alter.replace('$', &lab.name)).await.unwrap();
    feed.apply(many(600)).await;
    feed.apply(many(900)).await;
    assert_eq!(lab.ask("SELECT count(*) FROM $.deals WHERE a <> id % 1000").await, ["0"]);
    assert_eq!(lab.ask("SELECT count(*) FROM $.deals").await, ["1200"]);
}

#[tokio::test]
async fn a_column_that_was_dropped_is_created_again_while_the_worker_runs() {
    let lab = Laboratory::new("taken").await;
    let mut feed = Feed::of(&lab, &[]).await;
    feed.apply(vec![lab.whole(0, 1, 1)]).await;
    lab.client.batch_execute(&format!("ALTER TABLE {}.deals DROP COLUMN b CASCADE", lab.name)).await.unwrap();
    feed.apply(vec![lab.whole(1, 2, 2)]).await;
    assert_eq!(lab.ask("SELECT id, b FROM $.deals_live ORDER BY 1").await, ["1|", "2|x"]);
}

#[tokio::test]
async fn a_record_overtaken_by_a_later_one_of_its_key_is_dead_lettered() {
    let lab = Laboratory::new("behind").await;
    let create = "CREATE SCHEMA $; CREATE TABLE $.deals (id bigint PRIMARY KEY, a bigint REFERENCES $.deals, b text)";
    lab.client.batch_execute(&create.replace('$', &lab.name)).await.unwrap();
    let mut feed = Feed::of(&lab, &[]).await;
    feed.sink = lab.opener_with_patience(Duration::ZERO).open().await.unwrap();
    feed.apply(vec![lab.change(0, 1, RecordOp::Create, Some((1, "own")), None, None)]).await;
    let partial = |offset, a, b, fields: &[u16]| {
        lab.change(offset, 1, RecordOp::Update, Some((a, b)), Some(fields.to_vec()), None)
    };
    // The first record refers to the last; the second is of the same row; the one before the last is a permanent
    // orphan.
    let batch =
        vec![partial(1, 50, "", &[1]), partial(2, 0, "named", &[2]), lab.whole(3, 7, 999), lab.whole(4, 50, 50)];
    let applied = feed.apply(batch).await;
    assert_eq!((applied.updated, applied.inserted, letters(&applied)), (1, 1, 2), "{applied:?}");
    assert_eq!(lab.ask("SELECT id, a, b FROM $.deals ORDER BY 1").await, ["1|1|named", "50|50|x"]);
    assert_eq!(lab.ask("SELECT \"offset\" FROM towpath.dead_letter WHERE sink = '$' ORDER BY 1").await, ["1", "3"]);
}

#[tokio::test]
async fn a_field_that_only_an_absorbed_record_carries_gets_its_column() {
    let lab = Laboratory::new("absorbed").await;
    let mut feed = Feed::of(&lab, &[]).await;
    let wide = record_schema(
        r#"{"name":"id","type":"long"},{"name":"a","type":["null","long"]},{"name":"c","type":["null","long"]}"#,
    );
    let narrow = record_schema(r#"{"name":"id","type":"long"},{"name":"a","type":["null","long"]}"#);
    let key = RecordKey { identity: Identity::Long(1), schema: Arc::clone(&lab.key_schema) };
    let first = Laboratory::record(
        0,
        &key,
        RecordOp::Create,
        &wide,
        Some(vec![Value::Long(1), Value::Long(1), Value::Long(3)]),
    );
    let second = Laboratory::record(1, &key, RecordOp::Update, &narrow, Some(vec![Value::Long(1), Value::Long(2)]));
    feed.apply(vec![first, second]).await;
    assert_eq!(lab.ask("SELECT id, a, c FROM $.deals").await, ["1|2|3"]);
}

#[tokio::test]
async fn keys_of_different_types_stay_distinct() {
    let lab = Laboratory::new("scales").await;
    let mut feed = Feed::of(&lab, &[("schema.mismatch", "dead_letter")]).await;
    let decimal = |scale: u32| {
        record_schema(&format!(
            r#"{{"name":"no","type":{{"type":"bytes","logicalType":"decimal","precision":10,"scale":{scale}}}}}"#
        ))
    };
    let (whole, tenths) = (decimal(0), decimal(1));
    let value = record_schema(r#"{"name":"a","type":["null","long"]}"#);
    let record = |offset, schema: &Arc<_>, a| {
        let key = RecordKey { identity: Identity::Bytes(vec![5]), schema: Arc::clone(schema) };
        Laboratory::record(offset, &key, RecordOp::Create, &value, Some(vec![Value::Long(a)]))
    };
    feed.apply(vec![record(0, &whole, 50), record(1, &tenths, 5)]).await;
    assert_eq!(lab.ask("SELECT no, a FROM $.deals ORDER BY no").await, ["0.5|5", "5.0|50"]);

    // A key of another type harms no other record.
    let odd = record_schema(r#"{"name":"no","type":"string"}"#);
    let key = RecordKey { identity: Identity::Text("five".into()), schema: odd };
    let odd = Laboratory::record(3, &key, RecordOp::Create, &value, Some(vec![Value::Long(1)]));
    let applied = feed.apply(vec![record(2, &whole, 51), odd, record(4, &whole, 52)]).await;
    assert_eq!((applied.updated + applied.folded, letters(&applied)), (2, 1));
}

#[tokio::test]
async fn a_field_with_the_name_of_the_key_and_another_value_is_kept() {
    let lab = Laboratory::new("namesake").await;
    let mut feed = Feed::of(&lab, &[]).await;
    let key = RecordKey {
        identity: Identity::Text("customer-5".into()),
        schema: record_schema(r#"{"name":"id","type":"string"}"#),
    };
    let value = record_schema(r#"{"name":"id","type":"long"},{"name":"a","type":["null","long"]}"#);
    feed.apply(vec![Laboratory::record(0, &key, RecordOp::Create, &value, Some(vec![Value::Long(5), Value::Long(1)]))])
        .await;
    let columns = lab.ask("SELECT column_name FROM towpath.columns WHERE table_schema = '$' AND field = 'id'").await;
    assert_eq!(lab.ask(&format!("SELECT id, {} FROM $.deals", columns[0])).await, ["customer-5|5"]);
}

#[tokio::test]
async fn in_mode_update_an_old_record_is_stale_and_not_a_dead_letter() {
    let lab = Laboratory::new("late_update").await;
    let versioned = |offset, ts| lab.change(offset, 1, RecordOp::Update, Some((ts, "v")), None, Some(ts));
    Feed::of(&lab, &[]).await.apply(vec![versioned(0, 5)]).await;
    let mut feed = Feed::of(&lab, &[("insert.mode", "update")]).await;
    let applied = feed.apply(vec![versioned(1, 4)]).await;
    assert_eq!((applied.stale, letters(&applied)), (1, 0));
}

#[tokio::test]
async fn a_replay_changes_nothing_if_only_the_version_is_stored_with_the_row() {
    let lab = Laboratory::new("version_only").await;
    let keys = [("metadata.columns", "version")];
    let history = || {
        vec![
            lab.change(0, 1, RecordOp::Create, Some((5, "v")), None, Some(5)),
            lab.change(1, 1, RecordOp::Delete, None, None, Some(6)),
            lab.tombstone(2, 1),
            lab.change(3, 1, RecordOp::Create, Some((7, "v")), None, Some(7)),
            lab.change(4, 1, RecordOp::Update, Some((8, "")), Some(vec![1]), Some(7)),
        ]
    };
    let table = "SELECT a, b, _towpath_deleted FROM $.deals";
    Feed::of(&lab, &keys).await.apply(history()).await;
    assert_eq!(lab.ask(table).await, ["8|v|f"]);
    for size in [1, 2, 5] {
        lab.ask("UPDATE towpath.sink_partition SET next_offset = 0 WHERE sink = '$'").await;
        let mut feed = Feed::of(&lab, &keys).await;
        let mut rest = history();
        while !rest.is_empty() {
            let later = rest.split_off(size.min(rest.len()));
            let applied = feed.apply(std::mem::replace(&mut rest, later)).await;
            assert_eq!(letters(&applied), 0, "in batches of {size}");
        }
        assert_eq!(lab.ask(table).await, ["8|v|f"], "in batches of {size}");
    }
}

#[tokio::test]
async fn partitioned_tables_and_caseless_keys_are_written_as_others_are() {
    let lab = Laboratory::new("partitioned").await;
    let create =
        "CREATE SCHEMA $; CREATE TABLE $.deals (id bigint PRIMARY KEY, a bigint, b text) PARTITION BY HASH (id);
                  CREATE TABLE $.part PARTITION OF $.deals FOR VALUES WITH (MODULUS 1, REMAINDER 0)";
    lab.client.batch_execute(&create.replace('$', &lab.name)).await.unwrap();
    let mut feed = Feed::of(&lab, &[]).await;
    feed.apply(vec![lab.whole(0, 1, 1)]).await;
    let applied = feed.apply(vec![lab.whole(1, 1, 2), lab.whole(2, 2, 2)]).await;
    assert_eq!((applied.inserted, applied.updated), (1, 1));
    assert_eq!(lab.ask("SELECT id, a FROM $.deals ORDER BY 1").await, ["1|2", "2|2"]);

    let lab = Laboratory::new("caseless").await;
    let create = "CREATE EXTENSION IF NOT EXISTS citext WITH SCHEMA public;
                  CREATE SCHEMA $; CREATE TABLE $.deals (id public.citext PRIMARY KEY, a bigint)";
    lab.client.batch_execute(&create.replace('$', &lab.name)).await.unwrap();
    let mut feed = Feed::of(&lab, &[]).await;
    let (schema, value) =
        (record_schema(r#"{"name":"id","type":"string"}"#), record_schema(r#"{"name":"a","type":["null","long"]}"#));
    let record = |offset, id: &str, a, changed: Option<Vec<u16>>| {
        let key = RecordKey { identity: Identity::Text(id.into()), schema: Arc::clone(&schema) };
        let mut record = Laboratory::record(offset, &key, RecordOp::Update, &value, Some(vec![Value::Long(a)]));
        if let Body::Change(change) = &mut record.body {
            change.changed = changed;
        }
        record
    };
    feed.apply(vec![record(0, "Abc", 1, None)]).await;
    assert_eq!(feed.apply(vec![record(1, "abc", 2, Some(vec![0]))]).await.updated, 1);
    // Two keys that the database considers equal are applied in order, whichever way they are written.
    feed.apply(vec![record(2, "ABC", 3, None), record(3, "aBC", 4, None)]).await;
    feed.apply(vec![record(4, "ABC", 5, Some(vec![0])), record(5, "aBC", 6, Some(vec![0]))]).await;
    assert_eq!(lab.ask("SELECT a FROM $.deals").await, ["6"]);
}

#[tokio::test]
async fn a_row_that_a_trigger_refuses_is_dead_lettered_alone() {
    let lab = Laboratory::new("raises").await;
    let mut feed = Feed::of(&lab, &[]).await;
    feed.apply(vec![lab.whole(0, 1, 1)]).await;
    let trigger = "CREATE FUNCTION $.no() RETURNS trigger LANGUAGE plpgsql AS $f$ BEGIN RAISE EXCEPTION 'not %', NEW.b;
                   END $f$;
                   CREATE TRIGGER no BEFORE INSERT OR UPDATE ON $.deals FOR EACH ROW WHEN (NEW.id = 3)
                   EXECUTE FUNCTION $.no()";
    lab.client.batch_execute(&trigger.replace("$.", &format!("{}.", lab.name))).await.unwrap();
    let applied = feed.apply((1..6).map(|at| lab.whole(at, at, 2)).collect()).await;
    assert_eq!((applied.inserted + applied.updated, letters(&applied)), (4, 1));
}

#[tokio::test]
async fn a_role_that_may_not_create_views_can_write_a_complete_table() {
    let lab = Laboratory::new("modest").await;
    Feed::of(&lab, &[]).await.apply(vec![lab.whole(0, 1, 1)]).await;
    lab.client.batch_execute(&format!("DROP VIEW {}.deals_live", lab.name)).await.unwrap();
    let role = format!("modest_{}", lab.name);
    let grants = format!(
        "CREATE ROLE {role}; GRANT USAGE ON SCHEMA {0}, towpath TO {role};
         GRANT SELECT, INSERT, UPDATE ON {0}.deals TO {role};
         GRANT SELECT, INSERT, UPDATE ON ALL TABLES IN SCHEMA towpath TO {role}; GRANT {role} TO CURRENT_USER",
        lab.name
    );
    lab.client.batch_execute(&grants).await.unwrap();
    let url = format!("{}?options=-c%20role%3D{role}", crate::stack::env("DATABASE_URL"));
    let mut sink = lab.opener_at(&url, "test", &[]).open().await.unwrap();
    let claim = claim(&mut sink, &lab.partition(0)).await;
    let stored = sink.apply(&claim, &lab.batch(1, vec![lab.whole(1, 2, 2)])).await;
    drop(sink);
    lab.client.batch_execute(&format!("DROP OWNED BY {role}; DROP ROLE {role}")).await.unwrap();
    assert_eq!(
        stored
            .map_err(|error| (error.error.reaction == Reaction::Retry, error.error.chain()))
            .map(|applied| applied.inserted),
        Ok(1)
    );
}
