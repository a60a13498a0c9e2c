//! Records in `towpath.waiting`, without a worker: the batches are made here.

use std::time::Duration;

use towpath_api::{Applied, Batch, Claim, DeadLetterStreak, OpenSink as _, RecordOp, Sink as _};

use crate::{
    laboratory::{Laboratory, claim},
    stack::eventually,
};

async fn laboratory(theme: &str) -> Laboratory {
    let lab = Laboratory::new(theme).await;
    let create = "CREATE SCHEMA $; CREATE TABLE $.deals (id bigint PRIMARY KEY, a bigint REFERENCES $.deals, b text)";
    lab.client.batch_execute(&create.replace('$', &lab.name)).await.unwrap();
    lab
}

/// Applies a batch as the worker does, until it is stored.
async fn store(lab: &Laboratory, patience: Duration, batch: &Batch) -> (Claim, Applied) {
    let opener = lab.opener_with("test", patience, &[]);
    eventually("the batch is stored", || async {
        let mut sink = opener.open().await.unwrap();
        let claim = claim(&mut sink, &batch.partition).await;
        let applied = sink.apply(&claim, batch).await.ok()?;
        Some((claim, applied))
    })
    .await
}

#[tokio::test]
async fn a_batch_of_waiting_records_keeps_the_streak_and_its_limit() {
    let lab = laboratory("streak").await;
    let patience = Duration::from_mins(5);
    let (_, applied) = store(&lab, patience, &lab.batch(0, vec![lab.whole(0, 1, 99)])).await;
    assert_eq!((applied.waiting, applied.total()), (1, 0));
    let mut sink = lab.opener_with("test", patience, &[]).open().await.unwrap();
    let mut claim = claim(&mut sink, &lab.partition(0)).await;
    claim.streak = DeadLetterStreak::with_limit(0);
    let again = Batch { from: 1, to: 1, ..lab.batch(0, vec![lab.whole(0, 1, 99)]) };
    let applied = sink.apply(&claim, &again).await.unwrap();
    assert_eq!((applied.waiting, applied.streak), (1, claim.streak));
}

#[tokio::test]
async fn new_records_at_the_offset_of_a_waiting_one_make_it_a_dead_letter() {
    let lab = laboratory("refilled").await;
    let records = vec![lab.whole(0, 1, 99), lab.whole(1, 2, 2), lab.whole(2, 3, 99)];
    store(&lab, Duration::from_mins(5), &lab.batch(0, records)).await;
    let mut sink = lab.open().await;
    for count_only in [true, false] {
        let superseded = sink.seek_new_records(&lab.partition(0), 1, None, count_only).await.unwrap();
        let counts: Vec<_> = superseded.iter().map(|found| (found.what.as_str(), found.rows)).collect();
        let rows = format!("rows of {}.deals", lab.name);
        assert_eq!(counts, [(rows.as_str(), 1), ("dead letters", 0), ("waiting records", 1)]);
    }
    let letters = "SELECT \"offset\", error_code FROM towpath.dead_letter WHERE sink = '$'";
    assert_eq!(lab.ask(letters).await, ["2|postgres.waiting_superseded"]);
    // The topic still has this one's place, so no new record has its offset.
    let waiting = sink.waiting(&lab.partition(0)).await.unwrap();
    assert_eq!(waiting.iter().map(|record| record.offset).collect::<Vec<_>>(), [0]);
}

#[tokio::test]
async fn a_reference_beside_a_truncate_is_waited_for() {
    let lab = laboratory("emptied").await;
    let keys = [("truncate.enabled", "true")];
    let mut sink = lab.opener_with("test", Duration::from_secs(2), &keys).open().await.unwrap();
    let claim = claim(&mut sink, &lab.partition(0)).await;
    let truncate = lab.change(1, 0, RecordOp::Truncate, None, None, None);
    let batch = lab.batch(0, vec![lab.whole(0, 5, 5), truncate, lab.whole(2, 1, 99)]);
    let failed = sink.apply(&claim, &batch).await.unwrap_err();
    assert_eq!(failed.error.code, "postgres.foreign_key_wait");
    let applied = eventually("the wait is over", || async {
        let mut sink = lab.opener_with("test", Duration::ZERO, &keys).open().await.unwrap();
        sink.apply(&claim, &batch).await.ok()
    })
    .await;
    assert_eq!(applied.dead_letters().map(|(_, records)| records).sum::<u64>(), 1);
}

#[tokio::test]
async fn records_that_no_order_of_the_references_permits_do_not_hold_up_their_partition() {
    let lab = laboratory("disorder").await;
    // The first refers to the last, and only the second can be written before that.
    let delete = lab.change(1, 1, RecordOp::Delete, None, None, None);
    let parent = lab.change(2, 2, RecordOp::Update, Some((0, "parent")), Some(vec![2]), None);
    let (_, applied) =
        store(&lab, Duration::from_millis(500), &lab.batch(0, vec![lab.whole(0, 1, 2), delete, parent])).await;
    assert_eq!(applied.waiting, 0);
    assert_eq!(lab.ask("SELECT id, b, _towpath_deleted FROM $.deals ORDER BY 1").await, ["1||t", "2|parent|f"]);
    assert_eq!(lab.ask("SELECT \"offset\" FROM towpath.dead_letter WHERE sink = '$'").await, ["0"]);
}
