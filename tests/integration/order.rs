//! The order of a record and its row: equal versions, no versions, and rows that another partition wrote.

use std::time::{SystemTime, UNIX_EPOCH};

use towpath_api::{Record, RecordOp};

use crate::{
    edges::{Feed, letters},
    laboratory::{Laboratory, claim},
    stack::{database, eventually, rows},
};

/// The codes and offsets of the dead letters of partition 0.
const LETTERS: &str =
    "SELECT \"offset\", error_code FROM towpath.dead_letter WHERE sink = '$' AND partition = 0 ORDER BY 1";
const ROW: &str = "SELECT a, b, _towpath_deleted FROM $.deals WHERE id = 1";

/// A time long after the database writes a row in this test.
fn later() -> i64 {
    let now = SystemTime::now().duration_since(UNIX_EPOCH).unwrap();
    i64::try_from(now.as_millis()).unwrap() + 3_600_000
}

fn at(time: i64, mut record: Record) -> Record {
    record.timestamp_ms = time;
    record
}

#[tokio::test]
async fn of_one_version_the_later_record_of_a_partition_wins() {
    let lab = Laboratory::new("ticks").await;
    let mut feed = Feed::of(&lab, &[]).await;
    let whole = |offset, a| lab.change(offset, 1, RecordOp::Update, Some((a, "x")), None, Some(50));
    let delete = |offset| lab.change(offset, 1, RecordOp::Delete, None, None, Some(50));
    let partial = |offset, a| lab.change(offset, 1, RecordOp::Update, Some((a, "")), Some(vec![1]), Some(50));
    let history = || vec![whole(0, 1), whole(1, 2), partial(2, 3), delete(3), whole(4, 4), partial(5, 5)];
    feed.apply(vec![whole(0, 1)]).await;
    for (record, row) in history().into_iter().zip(["1|x|f", "2|x|f", "3|x|f", "3|x|t", "4|x|f", "5|x|f"]).skip(1) {
        let applied = feed.apply(vec![record]).await;
        assert_eq!((applied.stale, lab.ask(ROW).await), (0, vec![row.to_owned()]), "{applied:?}");
    }
    // The same in one batch, and again, which changes nothing.
    let stamps = "SELECT xmin, _towpath_offset, _towpath_seq FROM $.deals";
    for again in [false, true] {
        if !again {
            lab.ask("DELETE FROM $.deals").await;
        }
        let before = lab.ask(stamps).await;
        lab.ask("UPDATE towpath.sink_partition SET next_offset = 0 WHERE sink = '$'").await;
        feed.claim = claim(&mut feed.sink, &lab.partition(0)).await;
        let applied = feed.apply(history()).await;
        assert_eq!((letters(&applied), lab.ask(ROW).await), (0, vec!["5|x|f".to_owned()]));
        assert!(!again || lab.ask(stamps).await == before, "a replay changes no row");
    }

    let lab = Laboratory::new("ticks_hard").await;
    let mut feed = Feed::of(&lab, &[("delete.mode", "hard")]).await;
    let delete = lab.change(1, 1, RecordOp::Delete, None, None, Some(50));
    feed.apply(vec![lab.change(0, 1, RecordOp::Update, Some((1, "x")), None, Some(50))]).await;
    assert_eq!(feed.apply(vec![delete]).await.deleted, 1);
    assert_eq!(lab.ask(ROW).await, [""; 0]);
    let again = lab.change(2, 1, RecordOp::Update, Some((2, "x")), None, Some(50));
    assert_eq!(feed.apply(vec![again]).await.inserted, 1);
}

#[tokio::test]
async fn a_record_without_a_version_follows_a_versioned_row_of_its_partition() {
    let lab = Laboratory::new("mixed").await;
    let mut feed = Feed::of(&lab, &[]).await;
    let versioned = |offset, a, ts| lab.change(offset, 1, RecordOp::Update, Some((a, "x")), None, Some(ts));
    let history = || {
        vec![
            versioned(0, 1, 50),
            lab.whole(1, 1, 2),
            lab.change(2, 1, RecordOp::Update, Some((0, "y")), Some(vec![2]), None),
            versioned(3, 4, 49),
        ]
    };
    for again in [false, true] {
        lab.ask("UPDATE towpath.sink_partition SET next_offset = 0 WHERE sink = '$'").await;
        feed.claim = claim(&mut feed.sink, &lab.partition(0)).await;
        let applied = feed.apply(history()).await;
        assert_eq!((applied.stale, letters(&applied)), (if again { 3 } else { 1 }, 0), "{applied:?}");
        assert_eq!(lab.ask("SELECT a, b, _towpath_ts FROM $.deals").await, ["2|y|50"], "the row keeps its version");
    }
}

#[tokio::test]
async fn a_key_that_moves_between_partitions_ends_right_or_in_the_dead_letters() {
    for mode in ["soft", "hard"] {
        let lab = Laboratory::new("moves").await;
        let keys = [("delete.mode", mode)];
        let mut old = Feed::of_partition(&lab, 1, &keys).await;
        old.apply(vec![lab.whole(0, 99, 0), lab.whole(10, 1, 1)]).await;
        let mut new = Feed::of(&lab, &keys).await;
        let partial = |offset, a, fields: &[u16]| {
            lab.change(offset, 1, RecordOp::Update, Some((a, "p")), Some(fields.into()), None)
        };
        let delete = |offset| lab.change(offset, 1, RecordOp::Delete, None, None, None);
        // Close to the time at which the row was written: in either order of offsets, alone and folded.
        let batches = [
            vec![partial(0, 5, &[1]), partial(1, 6, &[2])],
            vec![lab.whole(2, 1, 77)],
            vec![delete(3)],
            vec![lab.tombstone(4, 1), lab.tombstone(5, 1)],
            vec![lab.whole(20, 1, 78), lab.whole(21, 1, 79), partial(22, 6, &[2]), lab.whole(23, 2, 2)],
            vec![partial(24, 5, &[1]), delete(25), delete(26), lab.tombstone(27, 3)],
        ];
        for batch in batches {
            let of_row = batch.iter().filter(|record| ![23, 27].contains(&record.offset)).count();
            let applied = new.apply(batch).await;
            assert_eq!((letters(&applied), applied.stale), (of_row.try_into().unwrap(), 0), "{mode}: {applied:?}");
            assert_eq!(lab.ask(ROW).await, ["1|x|f"], "{mode}");
        }
        let expected = ["0", "1", "2", "3 d", "4 d", "5 d", "20", "21", "22", "24", "25 d", "26 d"].map(|letter| {
            let (offset, kind) = letter.split_once(' ').map_or((letter, "change"), |(offset, _)| (offset, "delete"));
            format!("{offset}|apply.undecided_{kind}")
        });
        assert_eq!(lab.ask(LETTERS).await, expected, "{mode}");

        // Long after: each kind of record is applied, and from then on the row is one of this partition.
        let applied = new.apply(vec![at(later(), partial(30, 5, &[1])), partial(31, 0, &[2])]).await;
        assert_eq!(letters(&applied), 2, "one of the two may be older: {applied:?}");
        let applied = new.apply(vec![at(later(), partial(32, 5, &[1]))]).await;
        assert_eq!((applied.updated, lab.ask(ROW).await), (1, vec!["5|x|f".to_owned()]), "{mode}");
        assert_eq!(new.apply(vec![lab.whole(33, 1, 6)]).await.updated, 1);
        let back = old.apply(vec![at(later(), lab.whole(11, 1, 7))]).await;
        assert_eq!((back.updated, lab.ask(ROW).await), (1, vec!["7|x|f".to_owned()]), "{mode}");
        let applied = new.apply(vec![at(later(), delete(34))]).await;
        assert_eq!((applied.deleted, letters(&applied)), (1, 0), "{mode}");
        old.apply(vec![at(later(), lab.whole(12, 1, 8))]).await;
        let applied = new.apply(vec![at(later(), lab.tombstone(35, 1))]).await;
        assert_eq!((applied.deleted, letters(&applied)), (1, 0), "{mode}");
        assert_eq!(lab.ask("SELECT id FROM $.deals WHERE id = 1 AND NOT _towpath_deleted").await, [""; 0], "{mode}");
    }
}

#[tokio::test]
async fn many_records_of_a_moved_key_do_not_stop_their_partition() {
    let lab = Laboratory::new("moves_busily").await;
    Feed::of_partition(&lab, 1, &[]).await.apply(vec![lab.whole(0, 1, 1)]).await;
    let mut new = Feed::of(&lab, &[]).await;
    let applied = new.apply((0..150).map(|offset| lab.whole(offset, 1, 2)).collect()).await;
    assert_eq!(letters(&applied), 150);
    new.apply(vec![at(later(), lab.whole(150, 1, 3))]).await;
    assert_eq!(lab.ask(ROW).await, ["3|x|f"]);
}

#[tokio::test]
async fn equal_versions_of_two_partitions_have_no_order() {
    let lab = Laboratory::new("moved_ticks").await;
    let versioned = |offset, a, ts| lab.change(offset, 1, RecordOp::Update, Some((a, "x")), None, Some(ts));
    let mut old = Feed::of_partition(&lab, 1, &[]).await;
    old.apply(vec![versioned(10, 1, 50)]).await;
    let mut new = Feed::of(&lab, &[]).await;
    let delete = |offset| lab.change(offset, 1, RecordOp::Delete, None, None, Some(50));
    let applied = new.apply(vec![versioned(20, 2, 49), versioned(21, 3, 50), delete(22)]).await;
    assert_eq!((letters(&applied), applied.stale + applied.folded), (3, 0), "the absorbed record as well: {applied:?}");
    assert_eq!(new.apply(vec![versioned(23, 4, 49)]).await.stale, 1, "versions order these two");
    assert_eq!(lab.ask(ROW).await, ["1|x|f"]);
    assert_eq!(new.apply(vec![at(later(), delete(24))]).await.deleted, 1);
    assert_eq!(old.apply(vec![versioned(11, 5, 51)]).await.updated, 1);
    assert_eq!(lab.ask(ROW).await, ["5|x|f"]);

    // Without the time at which the row was written, only a person can decide.
    let lab = Laboratory::new("untimed").await;
    let keys = [("metadata.columns", "version")];
    Feed::of_partition(&lab, 1, &keys).await.apply(vec![lab.whole(0, 1, 1)]).await;
    let applied = Feed::of(&lab, &keys).await.apply(vec![at(later(), lab.whole(5, 1, 2))]).await;
    assert_eq!((letters(&applied), lab.ask(ROW).await), (1, vec!["1|x|f".to_owned()]));
}

#[tokio::test]
async fn a_row_that_appears_during_a_batch_is_contention_and_not_poison() {
    let lab = Laboratory::new("appears").await;
    let mut feed = Feed::of(&lab, &[]).await;
    feed.apply(vec![lab.whole(0, 99, 0)]).await;
    let other = database().await;
    // As an earlier row of the same partition, and as one that another partition writes.
    for (partition, first) in [(0, "INSERT"), (1, "INSERT"), (0, "UPDATE"), (1, "UPDATE")] {
        let mut offset = feed.claim.next_offset.max(1) + 1_000 * i64::from(partition);
        offset += if first == "UPDATE" { 10_000 } else { 0 };
        let columns = "_towpath_ts, _towpath_seq, _towpath_offset, _towpath_partition, _towpath_deleted";
        let insert = |id: i64| {
            format!(
                "INSERT INTO {}.deals (id, a, b, {columns}) VALUES ({id}, -1, 'x', 0, 0, 0, {partition}, false)",
                lab.name
            )
        };
        let ids = [offset + 1, offset + 2, offset + 3];
        let all = ids.map(insert).join(";");
        let touch = format!("UPDATE {}.deals SET a = -2 WHERE id IN ({}, {}, {})", lab.name, ids[0], ids[1], ids[2]);
        let open = if first == "INSERT" { format!("BEGIN; {all}") } else { format!("{all}; BEGIN; {touch}") };
        other.batch_execute(&open).await.unwrap();
        let partial = lab.change(offset, ids[0], RecordOp::Update, Some((5, "")), Some(vec![1]), None);
        let delete = lab.change(offset + 1, ids[1], RecordOp::Delete, None, None, None);
        let records = [partial, delete, lab.tombstone(offset + 2, ids[2])].map(|record| at(later(), record));
        let waits = format!(
            "SELECT 1 FROM pg_stat_activity WHERE application_name = 'towpath/{}' AND wait_event_type = 'Lock'",
            lab.name
        );
        lab.ask(&format!("UPDATE towpath.sink_partition SET next_offset = {offset} WHERE sink = '$'")).await;
        feed.claim = claim(&mut feed.sink, &lab.partition(0)).await;
        let (applied, ()) = tokio::join!(feed.apply(records.into()), async {
            eventually("the batch waits for the rows", || async {
                (!rows(&lab.client, &waits).await.is_empty()).then_some(())
            })
            .await;
            other.batch_execute("COMMIT").await.unwrap();
        });
        assert_eq!(
            (applied.updated, applied.deleted, letters(&applied)),
            (1, 2, 0),
            "{first} {partition}: {applied:?}"
        );
        let table = format!("SELECT id, a, _towpath_deleted FROM $.deals WHERE id > {offset} AND id < {offset} + 9");
        let left = if first == "INSERT" { -1 } else { -2 };
        let expected = [format!("{}|5|f", ids[0]), format!("{}|{left}|t", ids[1]), format!("{}|{left}|t", ids[2])];
        assert_eq!(lab.ask(&format!("{table} ORDER BY 1")).await, expected, "{first} {partition}");
    }
}
