//! Unique values that the source has freed: by a delete, by a change, or by an exchange.

use std::time::Duration;

use towpath_api::{Applied, Batch, OpenSink as _, Record, RecordOp, Sink as _};

use crate::{
    edges::{Feed, letters},
    laboratory::{Laboratory, claim},
    stack::eventually,
};

async fn laboratory(theme: &str, columns: &str) -> Laboratory {
    let lab = Laboratory::new(theme).await;
    let create = format!("CREATE SCHEMA %; CREATE TABLE %.deals (id bigint PRIMARY KEY, {columns})");
    lab.client.batch_execute(&create.replace('%', &lab.name)).await.unwrap();
    lab
}

impl Laboratory {
    fn named(&self, offset: i64, id: i64, a: i64, b: &str) -> Record {
        self.change(offset, id, RecordOp::Create, Some((a, b)), None, None)
    }

    fn deleted(&self, offset: i64, id: i64) -> Record {
        self.change(offset, id, RecordOp::Delete, None, None, None)
    }
}

#[tokio::test]
async fn a_value_that_a_deleted_row_still_has_goes_to_the_row_that_needs_it() {
    for (theme, columns) in [
        ("unique", "a bigint, b text UNIQUE"),
        ("composite", "a bigint, b text, UNIQUE (a, b)"),
        ("expression", "a bigint, b text, EXCLUDE (lower(b) WITH =)"),
        ("required", "a bigint, b text UNIQUE"),
    ] {
        for tombstone in [false, true] {
            let lab = laboratory(theme, columns).await;
            let mut feed = Feed::of(&lab, &[]).await;
            feed.apply(vec![lab.named(0, 1, 5, "mail"), lab.named(1, 9, 9, "other")]).await;
            if theme == "required" {
                let require = format!("ALTER TABLE {}.deals ALTER b SET NOT NULL", lab.name);
                lab.client.batch_execute(&require).await.unwrap();
            }
            let end = if tombstone { lab.tombstone(2, 1) } else { lab.deleted(2, 1) };
            feed.apply(vec![end]).await;
            let applied = feed.apply(vec![lab.named(3, 2, 5, "mail"), lab.named(4, 3, 5, "third")]).await;
            assert_eq!((applied.inserted, letters(&applied)), (2, 0), "{theme}: {applied:?}");
            let rows = lab.ask("SELECT id, b FROM $.deals WHERE NOT _towpath_deleted ORDER BY 1").await;
            assert_eq!(rows, ["2|mail", "3|third", "9|other"], "{theme}");
            let old = lab.ask("SELECT a FROM $.deals WHERE id = 1 AND _towpath_deleted").await;
            let expected: &[&str] = match theme {
                "required" => &[],
                "composite" => &[""],
                _ => &["5"],
            };
            assert_eq!(old, expected, "{theme}");
        }
    }
}

#[tokio::test]
async fn a_value_is_freed_and_taken_in_one_batch_in_either_order() {
    for mode in ["soft", "hard"] {
        for swapped in [false, true] {
            let lab = laboratory("onebatch", "a bigint, b text UNIQUE").await;
            let mut feed = Feed::of(&lab, &[("delete.mode", mode)]).await;
            feed.apply(vec![lab.named(0, 1, 1, "x"), lab.named(1, 3, 3, "z")]).await;
            let records = if swapped {
                vec![lab.named(2, 2, 2, "x"), lab.deleted(3, 1), lab.named(4, 4, 4, "w")]
            } else {
                vec![lab.deleted(2, 1), lab.named(3, 2, 2, "x"), lab.named(4, 4, 4, "w")]
            };
            let applied = feed.apply(records).await;
            assert_eq!((applied.inserted, applied.deleted, letters(&applied)), (2, 1, 0), "{mode} {swapped}");
            let sql = if mode == "soft" { "SELECT id, b FROM $.deals_live" } else { "SELECT id, b FROM $.deals" };
            assert_eq!(lab.ask(&format!("{sql} ORDER BY 1")).await, ["2|x", "3|z", "4|w"], "{mode} {swapped}");
        }
    }
}

#[tokio::test]
async fn rows_exchange_their_values_in_one_batch() {
    let lab = laboratory("exchange", "a bigint UNIQUE, b text UNIQUE").await;
    let mut feed = Feed::of(&lab, &[]).await;
    feed.apply(vec![lab.named(0, 1, 1, "x"), lab.named(1, 2, 2, "y"), lab.named(2, 3, 3, "z")]).await;
    let round = vec![lab.named(3, 1, 2, "y"), lab.named(4, 2, 3, "z"), lab.named(5, 3, 1, "x")];
    let applied = feed.apply(round).await;
    assert_eq!((applied.updated, letters(&applied)), (3, 0), "{applied:?}");
    assert_eq!(lab.ask("SELECT id, a, b FROM $.deals ORDER BY 1").await, ["1|2|y", "2|3|z", "3|1|x"]);
    // By way of a third value, as a source without deferred constraints does it.
    let swap = vec![lab.named(6, 1, 9, "w"), lab.named(7, 2, 2, "y"), lab.named(8, 1, 3, "z")];
    let applied = feed.apply(swap).await;
    assert_eq!(letters(&applied), 0, "{applied:?}");
    assert_eq!(lab.ask("SELECT id, a, b FROM $.deals ORDER BY 1").await, ["1|3|z", "2|2|y", "3|1|x"]);
}

#[tokio::test]
async fn an_exchange_takes_nothing_that_the_records_do_not_set_again() {
    let lab = laboratory("carried", "a bigint UNIQUE, b text, slug text UNIQUE, archived boolean").await;
    let partial = "CREATE UNIQUE INDEX ON %.deals (b) WHERE NOT archived".replace('%', &lab.name);
    lab.client.batch_execute(&partial).await.unwrap();
    let mut feed = Feed::of(&lab, &[]).await;
    feed.apply(vec![lab.named(0, 1, 1, "x"), lab.named(1, 2, 2, "y")]).await;
    let theirs = "UPDATE %.deals SET slug = 's' || id, archived = false".replace('%', &lab.name);
    lab.client.batch_execute(&theirs).await.unwrap();
    let applied = feed.apply(vec![lab.named(2, 1, 2, "y"), lab.named(3, 2, 1, "x")]).await;
    assert_eq!((applied.updated, letters(&applied)), (2, 0), "{applied:?}");
    let rows = lab.ask("SELECT id, a, b, slug, archived FROM $.deals ORDER BY 1").await;
    assert_eq!(rows, ["1|2|y|s1|f", "2|1|x|s2|f"]);
}

/// Applies a batch as the worker does, until it is stored.
async fn store(lab: &Laboratory, patience: Duration, batch: &Batch) -> Applied {
    let opener = lab.opener_with("test", patience, &[("delete.mode", "hard")]);
    eventually("the batch is stored", || async {
        let mut sink = opener.open().await.unwrap();
        let claim = claim(&mut sink, &batch.partition).await;
        sink.apply(&claim, batch).await.ok()
    })
    .await
}

#[tokio::test]
async fn a_value_that_another_partition_frees_later_is_waited_for() {
    let lab = laboratory("moves", "a bigint, b text UNIQUE").await;
    let patience = Duration::from_mins(5);
    store(&lab, patience, &lab.batch(0, vec![lab.named(0, 1, 1, "x")])).await;
    let other = |from, records| Batch { partition: lab.partition(1), ..lab.batch(from, records) };
    let taken = lab.named(0, 2, 2, "x");
    let applied = store(&lab, patience, &other(0, vec![taken.clone(), lab.named(1, 3, 3, "y")])).await;
    assert_eq!((applied.waiting, applied.inserted), (1, 1), "only this record waits: {applied:?}");
    store(&lab, patience, &lab.batch(1, vec![lab.named(1, 1, 1, "z")])).await;
    let again = Batch { to: 2, ..other(2, vec![taken]) };
    let applied = store(&lab, patience, &again).await;
    assert_eq!((applied.waiting, applied.inserted), (0, 1), "{applied:?}");
    assert_eq!(lab.ask("SELECT id, b FROM $.deals ORDER BY 1").await, ["1|z", "2|x", "3|y"]);
}

#[tokio::test]
async fn a_value_that_is_never_freed_ends_as_a_dead_letter_that_names_the_constraint() {
    let lab = laboratory("kept", "a bigint, b text CONSTRAINT one_b UNIQUE").await;
    let batch = lab.batch(0, vec![lab.named(0, 1, 1, "x"), lab.named(1, 2, 2, "x")]);
    let applied = store(&lab, Duration::from_millis(100), &batch).await;
    if applied.waiting > 0 {
        let again = Batch { from: 2, to: 2, ..lab.batch(2, vec![lab.named(1, 2, 2, "x")]) };
        let applied = eventually("its time is over", || async {
            let mut sink = lab.opener_with("test", Duration::from_millis(100), &[]).open().await.unwrap();
            let claim = claim(&mut sink, &again.partition).await;
            sink.apply(&claim, &again).await.ok().filter(|applied| applied.waiting == 0)
        })
        .await;
        assert_eq!(letters(&applied), 1, "{applied:?}");
    }
    let sql = "SELECT error_code, error_text LIKE '%one_b%DEFERRABLE%' FROM towpath.dead_letter WHERE sink = '$'";
    assert_eq!(lab.ask(sql).await, ["postgres.unique_value|t"]);
}
