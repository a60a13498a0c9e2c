//! The frame of a batch: a compare-and-set without its BEGIN, and a COMMIT that does not commit.

use towpath_api::{OpenSink as _, Reaction, Sink as _};

use crate::{
    laboratory::{Laboratory, beginning, claim},
    proxy::Proxy,
};

#[tokio::test]
async fn a_compare_and_set_whose_begin_was_cancelled_changes_nothing() {
    let (lab, proxy) = (Laboratory::new("begin").await, Proxy::start().await);
    let mut sink = lab.opener_at(&proxy.url(), "test", &[]).open().await.unwrap();
    let known = claim(&mut sink, &lab.partition(0)).await;
    sink.apply(&known, &lab.batch(0, vec![lab.whole(0, 1, 1)])).await.unwrap();
    proxy.replace_next("BEGIN ISOLATION", "DO $$BEGIN RAISE EXCEPTION USING ERRCODE = 'query_canceled'; END$$");
    let batch = lab.batch(1, vec![lab.whole(1, 2, 2)]);
    let error = sink.apply(&known, &batch).await.unwrap_err();
    assert!(proxy.has_tampered());
    assert_eq!(error.error.reaction, Reaction::Retry, "{}", error.error.chain());
    assert_eq!(lab.next_offset().await, ["1"], "the compare-and-set ran on its own");
    let known = sink.claim(&lab.partition(0), &beginning(), Some(&known)).await.unwrap();
    sink.apply(&known, &batch).await.unwrap();
    assert_eq!(lab.table().await, ["1|1|x|f|0", "2|2|x|f|1"]);
}

#[tokio::test]
async fn a_commit_of_a_failed_transaction_is_an_error() {
    let (lab, proxy) = (Laboratory::new("commit").await, Proxy::start().await);
    let mut sink = lab.opener_at(&proxy.url(), "test", &[]).open().await.unwrap();
    let known = claim(&mut sink, &lab.partition(0)).await;
    sink.apply(&known, &lab.batch(0, vec![lab.whole(0, 1, 1)])).await.unwrap();
    let batch = lab.batch(1, vec![lab.whole(1, 2, 2)]);
    // A transaction that failed, and one that ended, without our knowledge.
    for (before, known_end) in [("SELECT 1 / 0", "a failed"), ("ROLLBACK", "an ended")] {
        proxy.precede_next("SAVEPOINT is_open", before);
        let error = sink.apply(&known, &batch).await.unwrap_err();
        assert!(proxy.has_tampered());
        assert_eq!((error.error.reaction, error.error.code), (Reaction::Retry, "postgres.rolled_back"), "{known_end}");
        assert!(error.if_stored.is_none(), "{known_end}");
        assert_eq!(lab.next_offset().await, ["1"]);
    }
    sink.apply(&known, &batch).await.unwrap();
    assert_eq!(lab.table().await, ["1|1|x|f|0", "2|2|x|f|1"]);
}
