//! Records that lack large values which did not change at their source (Debezium, `REPLICA IDENTITY DEFAULT`): no value
//! is lost in silence.

use towpath_api::{Change, Record, RecordOp, Sink as _};

use crate::{
    edges::{Feed, letters},
    laboratory::Laboratory,
};

/// A record without the value of `b`.
fn lacking(lab: &Laboratory, offset: i64, id: i64, op: RecordOp) -> Record {
    lab.change(offset, id, op, Some((7, "")), Some(vec![0, 1, Change::UNAVAILABLE]), None)
}

/// Applies the events of a change of the key from 1 to 2. Returns the code of the error of the last batch.
async fn change_key(lab: &Laboratory, feed: &mut Feed<'_>, old_key: &str, together: bool) -> Option<&'static str> {
    let delete = lab.change(1, 1, RecordOp::Delete, None, None, None);
    let mut create = lacking(lab, 3, 2, RecordOp::Create);
    let mut records = vec![delete, lab.tombstone(2, 1)];
    if !together {
        feed.apply(std::mem::take(&mut records)).await;
    }
    let mut batch = lab.batch(feed.claim.next_offset, Vec::new());
    let headers = [("__debezium.oldkey", Some(old_key.as_bytes()))];
    create.payload.headers = batch.arena.push_headers(headers.into_iter());
    records.push(create);
    (batch.records, batch.to) = (records, 4);
    let applied = feed.sink.apply(&feed.claim, &batch).await;
    feed.claim.next_offset = 4;
    match applied {
        Ok(applied) => {
            assert_eq!(letters(&applied), 0, "{applied:?}");
            None
        }
        Err(failed) => Some(failed.error.code),
    }
}

#[tokio::test]
async fn a_change_of_the_key_takes_unavailable_values_from_the_old_row() {
    let with_schema = r#"{"schema":{"type":"struct"},"payload":{"id":1}}"#;
    for (old_key, together) in [(r#"{"id":1}"#, false), (r#"{"id":1}"#, true), (with_schema, false)] {
        let lab = Laboratory::new("oldkey").await;
        let mut feed = Feed::of(&lab, &[]).await;
        feed.apply(vec![lab.change(0, 1, RecordOp::Create, Some((1, "large")), None, None)]).await;
        assert_eq!(change_key(&lab, &mut feed, old_key, together).await, None);
        let rows = lab.ask("SELECT id, a, b, _towpath_offset FROM $.deals_live").await;
        assert_eq!(rows, ["2|7|large|3"], "{old_key} {together}");
    }
}

#[tokio::test]
async fn an_earlier_life_of_the_old_key_lends_no_value() {
    let lab = Laboratory::new("lives").await;
    let mut feed = Feed::of(&lab, &[]).await;
    let delete = |offset| lab.change(offset, 1, RecordOp::Delete, None, None, None);
    feed.apply(vec![lab.change(0, 1, RecordOp::Create, Some((1, "old")), None, None)]).await;
    feed.apply(vec![delete(1)]).await;
    // The key comes back and changes, all in one batch.
    let mut create = lacking(&lab, 4, 2, RecordOp::Create);
    let again = lab.change(2, 1, RecordOp::Create, Some((1, "new")), None, None);
    let mut batch = lab.batch(2, Vec::new());
    create.payload.headers = batch.arena.push_headers([("__debezium.oldkey", Some(&br#"{"id":1}"#[..]))].into_iter());
    (batch.records, batch.to) = (vec![again, delete(3), create], 5);
    let applied = feed.sink.apply(&feed.claim, &batch).await.unwrap();
    assert_eq!(letters(&applied), 0, "{applied:?}");
    assert_eq!(lab.ask("SELECT id, b FROM $.deals_live").await, ["2|new"]);
}

#[tokio::test]
async fn an_excluded_field_may_be_unavailable() {
    let lab = Laboratory::new("excluded").await;
    let mut feed = Feed::of(&lab, &[("fields.exclude", "b"), ("delete.mode", "hard")]).await;
    let applied = feed.apply(vec![lacking(&lab, 0, 1, RecordOp::Update)]).await;
    assert_eq!(letters(&applied), 0, "{applied:?}");
    assert_eq!(lab.ask("SELECT id, a FROM $.deals").await, ["1|7"]);
}

#[tokio::test]
async fn a_record_without_a_value_and_without_a_row_that_has_it_is_a_dead_letter() {
    for (mode, deleted) in [("soft", false), ("soft", true), ("hard", true)] {
        let lab = Laboratory::new("lacks").await;
        let mut feed = Feed::of(&lab, &[("delete.mode", mode)]).await;
        feed.apply(vec![lab.whole(0, 1, 1), lab.whole(1, 2, 1)]).await;
        if deleted {
            feed.apply(vec![lab.change(2, 1, RecordOp::Delete, None, None, None)]).await;
        }
        let id = if deleted { 1 } else { 3 };
        let applied =
            feed.apply(vec![lacking(&lab, 3, id, RecordOp::Update), lacking(&lab, 4, 2, RecordOp::Update)]).await;
        assert_eq!((applied.updated, letters(&applied)), (1, 1), "{mode} {deleted}: {applied:?}");
        let letter = "SELECT \"offset\", error_code, error_text LIKE '%`b`%' FROM towpath.dead_letter WHERE sink = '$'";
        assert_eq!(lab.ask(letter).await, ["3|apply.unavailable_values|t"], "{mode} {deleted}");
        let rows = lab.ask("SELECT id, a, b FROM $.deals WHERE id > 1").await;
        assert_eq!(rows, ["2|7|x"], "the value that is there stays");
    }
}

#[tokio::test]
async fn a_key_that_changed_in_hard_mode_or_before_its_delete_loses_nothing_in_silence() {
    let lab = Laboratory::new("hardkey").await;
    let mut feed = Feed::of(&lab, &[("delete.mode", "hard")]).await;
    feed.apply(vec![lab.whole(0, 1, 1)]).await;
    feed.apply(vec![lab.change(1, 1, RecordOp::Delete, None, None, None)]).await;
    let applied = feed.apply(vec![lacking(&lab, 2, 2, RecordOp::Create)]).await;
    assert_eq!(letters(&applied), 1, "{applied:?}");

    let lab = Laboratory::new("livekey").await;
    let mut feed = Feed::of(&lab, &[]).await;
    feed.apply(vec![lab.whole(0, 9, 1)]).await;
    // The row of key 1 is to come, from another partition.
    assert_eq!(change_key(&lab, &mut feed, r#"{"id":1}"#, false).await, Some("postgres.foreign_key_wait"));
}
