//! Topics whose offsets hold other records than those that were applied, because they were truncated or re-created:
//! after `offsets set --new-records` every new record is applied, and nothing of the earlier ones is lost.

use towpath_api::{Applied, Body, Claim, OpenSink as _, Payload, Record, RecordOp, Sink as _, Superseded};
use towpath_postgres::PostgresSink;

use crate::laboratory::{Laboratory, claim};

/// A sink that has applied offsets 0 to 9 of partition 0: record `n` sets `a` of id `n % 5` to `n`.
struct Filled<'l> {
    lab: &'l Laboratory,
    sink: PostgresSink,
    claim: Claim,
}

impl<'l> Filled<'l> {
    async fn with(lab: &'l Laboratory, keys: &[(&str, &str)]) -> Self {
        let mut sink = lab.opener(keys).open().await.unwrap();
        let claim = claim(&mut sink, &lab.partition(0)).await;
        let mut filled = Self { lab, sink, claim };
        filled.apply((0..10).map(|at| lab.whole(at, at % 5, at)).collect()).await;
        filled
    }

    async fn apply(&mut self, records: Vec<Record>) -> Applied {
        let mut batch = self.lab.batch(records[0].offset, records);
        batch.partition = self.claim.partition.clone();
        self.sink.apply(&self.claim, &batch).await.unwrap_or_else(|failed| panic!("{}", failed.error.chain()))
    }

    /// Sets the offset of new records, first as a plan, which must change nothing and count the same.
    async fn new_records_from(&mut self, to: i64) -> Vec<Superseded> {
        let partition = self.lab.partition(0);
        let before = self.lab.next_offset().await;
        let plan = self.sink.seek_new_records(&partition, to, None, true).await.unwrap();
        assert_eq!(self.lab.next_offset().await, before);
        let done = self.sink.seek_new_records(&partition, to, None, false).await.unwrap();
        assert_eq!(counts(&plan), counts(&done));
        self.claim = claim(&mut self.sink, &partition).await;
        assert_eq!(self.claim.next_offset, to);
        done
    }
}

fn counts(superseded: &[Superseded]) -> Vec<(String, u64)> {
    superseded.iter().map(|found| (found.what.clone(), found.rows)).collect()
}

#[tokio::test]
async fn new_records_at_old_offsets_are_applied_whatever_the_metadata_columns() {
    for columns in ["full", "version", "none"] {
        for to in [0, 5] {
            let lab = Laboratory::new("refilled").await;
            let mode = if columns == "none" { "hard" } else { "soft" };
            let mut filled = Filled::with(&lab, &[("metadata.columns", columns), ("delete.mode", mode)]).await;
            let done = filled.new_records_from(to).await;
            let rows = format!("rows of {}.deals", lab.name);
            let letters = ("dead letters".to_owned(), 0);
            let expected = if columns == "none" { vec![letters] } else { vec![(rows, 5), letters] };
            assert_eq!(counts(&done), expected, "{columns}");
            let partial = lab.change(to + 1, 1, RecordOp::Update, Some((0, "new")), Some(vec![2]), None);
            let delete = lab.change(to + 2, 2, RecordOp::Delete, None, None, None);
            let applied = filled.apply(vec![lab.whole(to, 0, 100), partial, delete, lab.tombstone(to + 3, 3)]).await;
            let changed = applied.inserted + applied.updated + applied.deleted;
            assert_eq!((changed, applied.stale), (4, 0), "{columns} from {to}: {applied:?}");
            assert_eq!(lab.ask("SELECT id, a, b FROM $.deals WHERE id < 2 ORDER BY 1").await, ["0|100|x", "1|6|new"]);
            // A replay of the new records does not turn the rows back.
            if columns != "none" {
                assert_eq!(
                    lab.ask("SELECT id, a, _towpath_deleted FROM $.deals ORDER BY 1").await,
                    ["0|100|f", "1|6|f", "2|7|t", "3|8|t", "4|9|f"]
                );
                lab.ask(&format!("UPDATE towpath.sink_partition SET next_offset = {to} WHERE sink = '$'")).await;
                assert_eq!(filled.apply(vec![lab.whole(to, 0, 99)]).await.stale, 1);
            }
        }
    }
}

#[tokio::test]
async fn a_history_and_a_table_of_changes_keep_old_and_new_changes_of_an_offset() {
    let renamed = [("insert.mode", "insert"), ("pk.mode", "kafka"), ("pk.fields", "topic,part,off")];
    let usual = ["__connect_topic", "__connect_partition", "__connect_offset"];
    for (keys, table, [topic, _, offset]) in [
        (&[("history.enabled", "true")][..], "deals_history", usual),
        (&[("insert.mode", "insert")], "deals", usual),
        (&renamed, "deals", ["topic", "part", "off"]),
    ] {
        let lab = Laboratory::new("changes").await;
        let mut filled = Filled::with(&lab, keys).await;
        let done = filled.new_records_from(6).await;
        assert!(counts(&done).contains(&(format!("rows of {}.{table}", lab.name), 4)), "{done:?}");
        filled.apply((6..9).map(|at| lab.whole(at, at % 5, at + 100)).collect()).await;
        let all = format!("SELECT {offset}, a, {topic} = '$.deals' FROM $.{table} ORDER BY {offset}, a");
        let expected = [
            "0|0|t", "1|1|t", "2|2|t", "3|3|t", "4|4|t", "5|5|t", "6|6|f", "6|106|t", "7|7|f", "7|107|t", "8|8|f",
            "8|108|t", "9|9|f",
        ];
        assert_eq!(lab.ask(&all).await, expected, "{table}");
        // Once more: each generation stays apart.
        filled.new_records_from(6).await;
        filled.apply(vec![lab.whole(6, 1, 206)]).await;
        let sixth = format!("SELECT a, {topic} = '$.deals' FROM $.{table} WHERE {offset} = 6 ORDER BY a");
        assert_eq!(lab.ask(&sixth).await, ["6|f", "106|f", "206|t"], "{table}");
    }
}

#[tokio::test]
async fn versions_of_the_source_stay_and_deletes_without_a_version_still_end_their_rows() {
    for to in [0, 5] {
        let lab = Laboratory::new("versions").await;
        let mut filled = Filled::with(&lab, &[]).await;
        let versioned = |offset, ts| lab.change(offset, 7, RecordOp::Create, Some((ts, "v")), None, Some(ts));
        filled.apply(vec![versioned(10, 50)]).await;
        filled.new_records_from(to).await;
        assert_eq!(filled.apply(vec![versioned(to, 40)]).await.stale, 1, "an older version of the source");
        assert_eq!(filled.apply(vec![lab.tombstone(to + 1, 7)]).await.deleted, 1);
        let row = lab.ask("SELECT a, _towpath_ts, _towpath_deleted FROM $.deals WHERE id = 7").await;
        assert_eq!(row, ["50|50|t"]);
    }
}

#[tokio::test]
async fn keys_of_a_recreated_topic_may_be_in_other_partitions() {
    let lab = Laboratory::new("repartitioned").await;
    let mut filled = Filled::with(&lab, &[]).await;
    filled.new_records_from(0).await;
    filled.claim = claim(&mut filled.sink, &lab.partition(1)).await;
    let applied = filled.apply(vec![lab.whole(0, 0, 100), lab.tombstone(1, 1)]).await;
    assert_eq!((applied.updated, applied.deleted), (1, 1), "{applied:?}");
    assert_eq!(
        lab.ask("SELECT id, a, _towpath_deleted FROM $.deals WHERE id < 2 ORDER BY 1").await,
        ["0|100|f", "1|6|t"]
    );
}

#[tokio::test]
async fn dead_letters_at_old_offsets_stay_beside_new_ones() {
    let lab = Laboratory::new("letters").await;
    let mut filled = Filled::with(&lab, &[]).await;
    let letter = |offset, timestamp_ms| Record {
        offset,
        timestamp_ms,
        body: Body::Undecodable { code: "decode.framing", reason: "none".to_owned(), of_key: false },
        payload: Payload::default(),
    };
    filled.apply(vec![letter(10, 1), letter(11, 1)]).await;
    let done = filled.new_records_from(10).await;
    assert_eq!(counts(&done), [(format!("rows of {}.deals", lab.name), 0), ("dead letters".to_owned(), 2)]);
    filled.apply(vec![letter(10, 2), letter(11, 1)]).await;
    let letters = "SELECT \"offset\", generation FROM towpath.dead_letter WHERE sink = '$' ORDER BY 1, 2";
    assert_eq!(lab.ask(letters).await, ["10|0", "10|1", "11|0"]);
}

#[tokio::test]
async fn waiting_records_are_read_again_or_stay_or_become_dead_letters() {
    let lab = Laboratory::new("waits").await;
    let mut filled = Filled::with(&lab, &[]).await;
    let partition = lab.partition(0);
    let wait = "INSERT INTO towpath.waiting
                  (sink, topic, partition, \"offset\", key, value, header_names, header_values, record_time)
                SELECT '$', '$.deals', 0, at, 'k', NULL, ARRAY['h'::bytea], ARRAY['x'::bytea], 7
                FROM unnest(ARRAY[3, 8]) AS at";
    let offsets = |waiting: Vec<towpath_api::WaitingRecord>| waiting.iter().map(|w| w.offset).collect::<Vec<_>>();
    let letters = "SELECT \"offset\", generation, error_code, convert_from(key, 'UTF8'), headers
                   FROM towpath.dead_letter WHERE sink = '$' ORDER BY 1, 2";
    lab.ask(wait).await;
    // Forward: they stay. Back: the records from there on are read from the topic again.
    filled.sink.seek(&partition, 20, None).await.unwrap();
    assert_eq!(offsets(filled.sink.waiting(&partition).await.unwrap()), [3, 8]);
    filled.sink.seek(&partition, 5, None).await.unwrap();
    assert_eq!(offsets(filled.sink.waiting(&partition).await.unwrap()), [3]);
    assert_eq!(lab.ask(letters).await, [""; 0]);

    // Other records have the offsets now: the topic does not have the waiting ones any more.
    lab.ask("DELETE FROM towpath.waiting WHERE sink = '$'").await;
    lab.ask(wait).await;
    let done = filled.new_records_from(6).await;
    assert!(counts(&done).contains(&("waiting records".to_owned(), 1)), "{done:?}");
    assert_eq!(offsets(filled.sink.waiting(&partition).await.unwrap()), [3]);
    let letter = r#"8|0|postgres.waiting_superseded|k|[["h", "x"]]"#;
    assert_eq!(lab.ask(letters).await, [letter]);
    // A new record at the same offset waits and fails by itself.
    filled.apply((6..9).map(|at| lab.whole(at, at % 5, at + 100)).collect()).await;
    assert_eq!(lab.ask(letters).await, [letter]);
}
