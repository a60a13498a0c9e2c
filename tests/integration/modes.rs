//! The effect of a record on its table, by the keys of the connector.

use std::sync::Arc;

use apache_avro::types::Value;
use towpath_api::{
    Applied, Arena, Batch, Body, Identity, OpenSink as _, Reaction, Record, RecordKey, RecordOp, Sink as _,
    TopicPartition,
};
use towpath_postgres::PostgresSink;

use crate::laboratory::{Laboratory, beginning, claim, record_schema};

/// A sink with these keys, and the outcome of each batch that it gets.
struct Bench<'l> {
    lab: &'l Laboratory,
    sink: PostgresSink,
    claim: towpath_api::Claim,
}

impl<'l> Bench<'l> {
    async fn of(lab: &'l Laboratory, keys: &[(&str, &str)]) -> Self {
        let mut sink = lab.opener(keys).open().await.unwrap();
        let claim = claim(&mut sink, &lab.partition(0)).await;
        Self { lab, sink, claim }
    }

    async fn apply(&mut self, records: Vec<Record>) -> Applied {
        let batch = self.lab.batch(self.claim.next_offset, records);
        self.apply_batch(&batch).await
    }

    async fn apply_batch(&mut self, batch: &Batch) -> Applied {
        let applied =
            self.sink.apply(&self.claim, batch).await.unwrap_or_else(|error| panic!("{}", error.error.chain()));
        assert_eq!(
            applied.total(),
            u64::try_from(batch.records.len()).unwrap(),
            "every record is accounted for: {applied:?}"
        );
        self.claim.next_offset = batch.to;
        applied
    }
}

#[tokio::test]
async fn the_fields_of_a_composite_key_are_the_primary_key_and_not_repeated() {
    let lab = Laboratory::new("composite").await;
    let mut bench = Bench::of(&lab, &[]).await;
    let key_schema = record_schema(
        r#"{"name":"tenant","type":"int"},{"name":"code","type":"string"},
            {"name":"day","type":{"type":"int","logicalType":"date"}}"#,
    );
    let schema = record_schema(
        r#"{"name":"tenant","type":"int"},{"name":"code","type":"string"},
            {"name":"day","type":{"type":"int","logicalType":"date"}},
           {"name":"amount","type":["null","long"]}"#,
    );
    let record = |offset, tenant: i32, code: &str, amount| {
        let parts = vec![Identity::Long(tenant.into()), Identity::Text(code.into()), Identity::Long(20_000)];
        let key = RecordKey { identity: Identity::Parts(parts), schema: Arc::clone(&key_schema) };
        let after = vec![Value::Int(tenant), Value::String(code.into()), Value::Date(20_000), Value::Long(amount)];
        Laboratory::record(offset, &key, RecordOp::Create, &schema, Some(after))
    };
    let applied = bench
        .apply(vec![record(0, 1, "a", 10), record(1, 2, "a", 20), record(2, 1, "a", 11), record(3, 1, "b", 30)])
        .await;
    assert_eq!((applied.inserted, applied.folded), (3, 1));
    assert_eq!(bench.apply(vec![record(4, 2, "a", 21)]).await.updated, 1);
    let table = lab.ask("SELECT tenant, code, day, amount FROM $.deals ORDER BY 1, 2").await;
    assert_eq!(table, ["1|a|2024-10-04|11", "1|b|2024-10-04|30", "2|a|2024-10-04|21"]);
}

#[tokio::test]
async fn a_primitive_key_can_be_renamed_and_a_key_can_come_from_the_value() {
    let lab = Laboratory::new("renamed").await;
    let mut bench = Bench::of(&lab, &[("pk.fields", "deal_no")]).await;
    bench.apply(vec![lab.whole(0, 7, 70)]).await;
    assert_eq!(lab.ask("SELECT deal_no, a FROM $.deals").await, ["7|70"]);

    let lab = Laboratory::new("by_value").await;
    let keys = [("pk.mode", "record_value"), ("pk.fields", "a,b"), ("delete.mode", "ignore")];
    let mut bench = Bench::of(&lab, &keys).await;
    let mut keyless = lab.whole(1, 2, 70);
    if let Body::Change(change) = &mut keyless.body {
        change.key = None;
    }
    let null = lab.change(2, 3, RecordOp::Create, None, None, None);
    let applied = bench.apply(vec![lab.whole(0, 1, 70), keyless, null]).await;
    assert_eq!((applied.inserted, applied.folded, applied.dead_letters().map(|(_, n)| n).sum::<u64>()), (1, 1, 1));
    assert_eq!(lab.ask("SELECT a, b, id FROM $.deals").await, ["70|x|2"]);
    assert_eq!(lab.ask("SELECT error_code FROM towpath.dead_letter WHERE sink = '$'").await, ["apply.key_absent"]);
}

#[tokio::test]
async fn in_mode_insert_every_record_is_a_row_and_a_replay_adds_none() {
    let lab = Laboratory::new("append").await;
    let mut bench = Bench::of(&lab, &[("insert.mode", "insert")]).await;
    let history = || {
        vec![
            lab.whole(0, 1, 1),
            lab.change(1, 1, RecordOp::Update, Some((2, "")), Some(vec![1]), None),
            lab.change(2, 1, RecordOp::Delete, None, None, None),
            lab.tombstone(3, 1),
        ]
    };
    assert_eq!(bench.apply(history()).await.inserted, 4);
    let sql = "SELECT __connect_topic = '$.deals', __connect_partition, __connect_offset, id, a, b, _towpath_op,
               _towpath_changed
               FROM $.deals ORDER BY 3";
    let expected = ["t|0|0|1|1|x|create|", "t|0|1|1|2||update|[\"a\"]", "t|0|2|1|||delete|", "t|0|3|1|||tombstone|"];
    assert_eq!(lab.ask(sql).await, expected);
    lab.ask("UPDATE towpath.sink_partition SET next_offset = 0 WHERE sink = '$'").await;
    bench.claim = claim(&mut bench.sink, &lab.partition(0)).await;
    assert_eq!(bench.apply(history()).await.stale, 4);
    assert_eq!(lab.ask(sql).await, expected);
}

#[tokio::test]
async fn a_repeated_event_is_one_row_if_its_id_is_the_key() {
    let lab = Laboratory::new("event_id").await;
    let mut bench = Bench::of(&lab, &[("insert.mode", "insert"), ("pk.mode", "event_id")]).await;
    let mut batch = lab.batch(0, vec![lab.whole(0, 1, 1), lab.whole(1, 1, 2), lab.whole(2, 1, 3), lab.whole(3, 1, 4)]);
    let mut arena = Arena::default();
    for (record, id) in batch.records.iter_mut().zip(["e-1", "e-2", "e-1"]) {
        record.payload.headers = arena.push_headers([("towpath_event_id", Some(id.as_bytes()))].into_iter());
    }
    batch.arena = arena;
    let applied = bench.apply_batch(&batch).await;
    assert_eq!((applied.inserted, applied.stale), (2, 1));
    assert_eq!(lab.ask("SELECT event_id, a FROM $.deals ORDER BY 1").await, ["e-1|1", "e-2|2"]);
    assert_eq!(
        lab.ask("SELECT \"offset\", error_code FROM towpath.dead_letter WHERE sink = '$'").await,
        ["3|apply.event_id_absent"]
    );
}

#[tokio::test]
async fn in_mode_update_a_record_without_a_row_is_skipped_and_counted() {
    let lab = Laboratory::new("update").await;
    Bench::of(&lab, &[]).await.apply(vec![lab.whole(0, 1, 1)]).await;
    let mut bench = Bench::of(&lab, &[("insert.mode", "update")]).await;
    let applied = bench.apply(vec![lab.whole(1, 1, 10), lab.whole(2, 2, 20)]).await;
    assert_eq!((applied.updated, applied.inserted, applied.filtered), (1, 0, 1));
    assert_eq!(lab.ask("SELECT id, a FROM $.deals").await, ["1|10"]);
}

#[tokio::test]
async fn a_tombstone_alone_deletes_its_row_softly_hard_or_not_at_all() {
    for (mode, left) in [("soft", vec!["1|t", "2|f", "77|t"]), ("hard", vec!["2|f"]), ("ignore", vec!["1|f", "2|f"])] {
        let lab = Laboratory::new("tombstone").await;
        let mut bench = Bench::of(&lab, &[("delete.mode", mode)]).await;
        let early = bench.apply(vec![lab.tombstone(0, 9)]).await;
        assert_eq!(early.tombstones + early.filtered, 1, "there is no table yet");
        bench.apply(vec![lab.whole(1, 1, 1), lab.whole(2, 2, 2)]).await;
        let applied = bench.apply(vec![lab.tombstone(3, 1), lab.tombstone(4, 77)]).await;
        match mode {
            "ignore" => assert_eq!(applied.filtered, 2),
            _ => assert_eq!((applied.deleted, applied.tombstones), (1, 1), "{mode}"),
        }
        assert_eq!(lab.ask("SELECT id, _towpath_deleted FROM $.deals ORDER BY 1").await, left, "{mode}");
        let again = bench.apply(vec![lab.tombstone(5, 1)]).await;
        assert_eq!(again.tombstones + again.filtered, 1, "{mode}: the row is already deleted");
        if mode == "soft" {
            assert_eq!(bench.apply(vec![lab.whole(6, 1, 100)]).await.updated, 1);
            assert_eq!(lab.ask("SELECT id, a, _towpath_deleted FROM $.deals WHERE id = 1").await, ["1|100|f"]);
        }
    }
}

#[tokio::test]
async fn a_delete_without_a_version_ends_a_versioned_row_for_good() {
    for mode in ["soft", "hard"] {
        let lab = Laboratory::new("unversioned").await;
        let mut bench = Bench::of(&lab, &[("delete.mode", mode)]).await;
        let versioned = |offset, ts| lab.change(offset, 1, RecordOp::Update, Some((ts, "v")), None, Some(ts));
        bench.apply(vec![versioned(0, 50), lab.tombstone(1, 1)]).await;
        let alive = "SELECT count(*) FROM $.deals WHERE NOT _towpath_deleted";
        assert_eq!(lab.ask(alive).await, ["0"], "{mode}");
        if mode == "soft" {
            assert_eq!(bench.apply(vec![versioned(2, 49)]).await.stale, 1, "older than the deleted version");
            assert_eq!(lab.ask(alive).await, ["0"]);
        }
        let next = if mode == "soft" { 3 } else { 2 };
        bench.apply(vec![versioned(next, 60), lab.change(next + 1, 1, RecordOp::Delete, None, None, None)]).await;
        assert_eq!(lab.ask(alive).await, ["0"], "{mode}");
        bench.apply(vec![versioned(next + 2, 70)]).await;
        assert_eq!(lab.ask("SELECT a FROM $.deals").await, ["70"], "{mode}");
    }
}

#[tokio::test]
async fn a_history_table_has_every_change_even_late_ones() {
    let lab = Laboratory::new("history").await;
    let mut bench = Bench::of(&lab, &[("history.enabled", "true")]).await;
    let versioned = |offset, ts| lab.change(offset, 1, RecordOp::Update, Some((ts, "v")), None, Some(ts));
    let applied = bench.apply(vec![versioned(0, 5), versioned(1, 7), versioned(2, 6)]).await;
    assert_eq!((applied.inserted, applied.folded, applied.stale), (1, 1, 1));
    assert_eq!(lab.ask("SELECT a FROM $.deals").await, ["7"]);
    assert_eq!(
        lab.ask("SELECT __connect_offset, a, _towpath_ts FROM $.deals_history ORDER BY 1").await,
        ["0|5|5", "1|7|7", "2|6|6"]
    );
    let other = TopicPartition { topic: format!("{}.deals_history", lab.name).into(), partition: 0 };
    let taken = lab.opener(&[]).open().await.unwrap().claim(&other, &beginning(), None).await.unwrap_err();
    assert_eq!(taken.code, "postgres.table_taken", "a topic of that name cannot also fill the history");
}

#[tokio::test]
async fn a_truncate_ends_every_earlier_row_if_the_order_is_known() {
    let truncate = |offset| {
        let schema = record_schema("");
        let change = towpath_api::Change {
            key: None,
            op: RecordOp::Truncate,
            schema,
            after: None,
            changed: None,
            version: None,
            source_time_ms: None,
        };
        Record {
            offset,
            timestamp_ms: 1,
            body: Body::Change(Box::new(change)),
            payload: towpath_api::Payload::default(),
        }
    };
    for (mode, left) in [("soft", vec!["1|t", "2|f", "3|f"]), ("hard", vec!["2|f", "3|f"])] {
        let lab = Laboratory::new("truncate").await;
        let mut bench = Bench::of(&lab, &[("delete.mode", mode), ("truncate.enabled", "true")]).await;
        let applied = bench
            .apply(vec![lab.whole(0, 1, 1), lab.whole(1, 2, 1), truncate(2), lab.whole(3, 2, 2), lab.whole(4, 3, 3)])
            .await;
        assert_eq!(applied.deleted, 1, "{mode}: the truncate is one record");
        assert_eq!(lab.ask("SELECT id, _towpath_deleted FROM $.deals ORDER BY 1").await, left, "{mode}");
        lab.ask("UPDATE $.deals SET _towpath_partition = 1 WHERE id = 3").await;
        let applied = bench.apply(vec![truncate(5)]).await;
        assert_eq!(applied.dead_letters().count(), 1, "{mode}: a row of another partition may be newer");
        assert_eq!(lab.ask("SELECT id, _towpath_deleted FROM $.deals ORDER BY 1").await, left, "{mode}");
    }
    let lab = Laboratory::new("truncate_off").await;
    let mut bench = Bench::of(&lab, &[]).await;
    assert_eq!(bench.apply(vec![lab.whole(0, 1, 1), truncate(1)]).await.filtered, 1);
}

#[tokio::test]
async fn fields_can_be_left_out_and_chosen() {
    let lab = Laboratory::new("fields").await;
    Bench::of(&lab, &[("fields.exclude", "b")]).await.apply(vec![lab.whole(0, 1, 1)]).await;
    assert_eq!(
        lab.ask("SELECT count(*) FROM information_schema.columns WHERE table_schema = '$' AND column_name = 'b'").await,
        ["0"]
    );
    let lab = Laboratory::new("chosen").await;
    Bench::of(&lab, &[("fields.include", "b")]).await.apply(vec![lab.whole(0, 1, 1)]).await;
    assert_eq!(lab.ask("SELECT id, b FROM $.deals").await, ["1|x"]);
}

#[tokio::test]
async fn batches_of_new_rows_and_of_others_end_in_the_same_rows() {
    let lab = Laboratory::new("newcomers").await;
    let mut bench = Bench::of(&lab, &[]).await;
    let many = |from: i64, ids: std::ops::Range<i64>, a: i64| -> Vec<Record> {
        ids.enumerate().map(|(at, id)| lab.whole(from + i64::try_from(at).unwrap(), id, a)).collect()
    };
    // The second and the third batch are presumed new; the third is not, and the fifth has one row that exists.
    for (from, ids, a, inserted, updated) in [
        (0, 0..300, 1, 300, 0),
        (300, 300..3_000, 2, 2_700, 0),
        (3_000, 200..500, 3, 0, 300),
        (3_300, 3_000..3_300, 4, 300, 0),
        (3_600, 3_299..3_600, 5, 300, 1),
    ] {
        let applied = bench.apply(many(from, ids, a)).await;
        assert_eq!((applied.inserted, applied.updated), (inserted, updated), "from {from}");
    }
    let sums =
        lab.ask("SELECT a, count(*), min(id), max(id), max(_towpath_offset) FROM $.deals GROUP BY a ORDER BY a").await;
    assert_eq!(
        sums,
        [
            "1|200|0|199|199",
            "2|2500|500|2999|2999",
            "3|300|200|499|3299",
            "4|299|3000|3298|3598",
            "5|301|3299|3599|3900"
        ]
    );
    let own = "SELECT DISTINCT b, _towpath_ts, _towpath_seq = _towpath_offset, _towpath_deleted, _towpath_partition,
                 _towpath_applied_at > now() - interval '1 hour' FROM $.deals";
    assert_eq!(lab.ask(own).await, ["x|0|t|f|0|t"]);

    // A refused value is dead-lettered from a batch of new rows as from any other.
    bench.apply(many(3_901, 10_000..10_300, 6)).await;
    let mut records = many(4_201, 10_300..10_600, 7);
    records[17] = lab.change(4_218, 10_317, RecordOp::Create, Some((1, "nul \0")), None, None);
    let applied = bench.apply(records).await;
    assert_eq!((applied.inserted, applied.dead_letters().count()), (299, 1));
}

#[tokio::test]
async fn a_row_that_refers_to_an_absent_one_waits_then_is_dead_lettered() {
    let lab = Laboratory::new("reference").await;
    let create = "CREATE SCHEMA $; CREATE TABLE $.agents (id bigint PRIMARY KEY);
                  CREATE TABLE $.deals (id bigint PRIMARY KEY, a bigint REFERENCES $.agents, b text)";
    lab.client.batch_execute(&create.replace('$', &lab.name)).await.unwrap();
    let mut patient = Bench::of(&lab, &[]).await;
    let batch = lab.batch(0, vec![lab.whole(0, 1, 7)]);
    let error = patient.sink.apply(&patient.claim, &batch).await.unwrap_err();
    assert_eq!(
        (error.error.reaction, error.error.code),
        (Reaction::Retry, "postgres.foreign_key_wait"),
        "{}",
        error.error.chain()
    );
    lab.ask("INSERT INTO $.agents VALUES (7)").await;
    assert_eq!(patient.apply_batch(&batch).await.inserted, 1);

    let sink = lab.opener_with_patience(std::time::Duration::ZERO).open().await.unwrap();
    let mut bench = Bench { lab: &lab, sink, claim: patient.claim.clone() };
    let applied = bench.apply(vec![lab.whole(1, 2, 7), lab.whole(2, 3, 99), lab.whole(3, 4, 7)]).await;
    assert_eq!(applied.inserted, 2);
    let letters = lab.ask("SELECT \"offset\", error_code FROM towpath.dead_letter WHERE sink = '$'").await;
    assert_eq!(letters, ["2|postgres.foreign_key"]);
}

#[tokio::test]
async fn rows_that_refer_to_each_other_arrive_in_any_order() {
    let lab = Laboratory::new("circle").await;
    let create = "CREATE SCHEMA $; CREATE TABLE $.deals (id bigint PRIMARY KEY, a bigint REFERENCES $.deals, b text)";
    lab.client.batch_execute(&create.replace('$', &lab.name)).await.unwrap();
    let mut bench = Bench::of(&lab, &[]).await;
    // The first refers to the last, which is too far away for one statement.
    let records = (0..3_000).map(|at| lab.whole(at, at, 2_999)).collect();
    assert_eq!(bench.apply(records).await.inserted, 3_000);
    // A reference to a missing row splits the batch; rows of the parts still arrive in any order.
    bench.sink = lab.opener_with_patience(std::time::Duration::ZERO).open().await.unwrap();
    let chain = [(3_000, 3_001), (3_001, 3_002), (3_002, 3_002), (3_003, 9_999)];
    let applied = bench.apply(chain.into_iter().map(|(id, a)| lab.whole(id, id, a)).collect()).await;
    assert_eq!((applied.inserted, applied.dead_letters().count()), (3, 1));
}

#[tokio::test]
async fn a_record_that_waited_is_not_written_after_a_later_one_of_its_key() {
    for (mode, metadata) in [("soft", "full"), ("hard", "full"), ("hard", "none"), ("soft", "version")] {
        let theme = format!("{mode} {metadata}");
        let lab = Laboratory::new("overtaken").await;
        let create =
            "CREATE SCHEMA $; CREATE TABLE $.deals (id bigint PRIMARY KEY, a bigint REFERENCES $.deals, b text)";
        lab.client.batch_execute(&create.replace('$', &lab.name)).await.unwrap();
        let truncates = if metadata == "none" { "false" } else { "true" };
        let keys = [("delete.mode", mode), ("metadata.columns", metadata), ("truncate.enabled", truncates)];
        let mut bench = Bench::of(&lab, &keys).await;
        bench.sink = lab.opener_with("test", std::time::Duration::ZERO, &keys).open().await.unwrap();
        let delete = |offset, id| lab.change(offset, id, RecordOp::Delete, None, None, None);
        let live = if mode == "soft" { "$.deals_live" } else { "$.deals" };
        let table = format!("SELECT id, a FROM {live} ORDER BY id");
        let letters = "SELECT \"offset\" FROM towpath.dead_letter WHERE sink = '$' ORDER BY 1";

        // 1 was deleted, 3 refers to itself in its later state; 9 is a permanent orphan, so the batch is halved.
        bench
            .apply(vec![
                lab.whole(0, 1, 2),
                delete(1, 1),
                lab.whole(2, 3, 2),
                lab.whole(3, 3, 3),
                lab.whole(4, 2, 2),
                lab.whole(5, 9, 999),
            ])
            .await;
        assert_eq!(lab.ask(&table).await, ["2|2", "3|3"], "{theme}");
        // A parent whose delete is refused is created again.
        bench
            .apply(vec![
                lab.whole(10, 4, 2),
                delete(11, 2),
                lab.whole(12, 2, 2),
                lab.whole(13, 4, 4),
                lab.whole(14, 9, 999),
            ])
            .await;
        assert_eq!(lab.ask(&table).await, ["2|2", "3|3", "4|4"], "{theme}");
        if metadata == "none" {
            continue;
        }
        // A truncate ends what came before it, also what was still waiting.
        let mut truncate = delete(21, 0);
        if let Body::Change(change) = &mut truncate.body {
            (change.op, change.key) = (RecordOp::Truncate, None);
        }
        bench.apply(vec![lab.whole(20, 5, 6), truncate, lab.whole(22, 6, 6), lab.whole(23, 9, 999)]).await;
        assert_eq!(lab.ask(&table).await, ["6|6"], "{theme}");
        let letters = lab.ask(letters).await;
        assert!(
            ["0", "5", "20", "23"].iter().all(|offset| letters.iter().any(|letter| letter == offset)),
            "{letters:?}"
        );
    }
}
