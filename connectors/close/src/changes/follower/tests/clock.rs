//! A clock of Close that was wrong, or is set back.

use super::*;
use crate::position::SnapshotPosition;

#[tokio::test]
async fn a_clock_of_close_that_is_set_back_loses_and_repeats_nothing() {
    let mut run = Run::new(5);
    run.event(1);
    run.pass(secs(7_200));
    run.event(2);
    run.deep().await;
    run.log.0.lock().unwrap().now = BEGIN.plus(secs(3_000));
    for id in 3..20 {
        run.event(id);
        run.quick().await;
        run.deep().await;
        run.pass(secs(100));
        if id % 4 == 0 {
            run.follower = None;
        }
    }
    run.assert_exactly_once();
}

#[tokio::test]
async fn a_mark_that_is_ahead_of_close_says_nothing_and_asks_for_a_comparison() {
    let mut run = Run::new(5);
    run.event(1);
    run.deep().await;
    run.event(2);
    {
        // A clock of Close that was wrong has moved all three.
        let (mut topics, ahead) = (run.ledger.0.lock().unwrap(), run.now().plus(secs(86_400)));
        let position = &mut topics.position;
        (position.log, position.gap, position.compared) = (Some(ahead), Some(ahead), Some(ahead));
        position.snapshot = Some(SnapshotPosition { began: ahead, ..SnapshotPosition::default() });
    }
    run.follower = None;
    run.pass(secs(7_200));
    run.event(3);
    run.deep().await;
    assert!(!run.published().iter().any(|id| id.starts_with("ev_2@")), "it is left to the comparison");
    let topics = run.ledger.0.lock().unwrap();
    let ClosePosition { log, gap, compared, snapshot, .. } = &topics.position;
    assert_eq!((topics.lost.len(), *gap), (1, Some(BEGIN.plus(secs(7_200)))));
    assert!(*log <= *gap && *compared < *gap, "a comparison is due, and makes it good");
    assert!(Some(snapshot.as_ref().unwrap().began) < *gap, "the one under way does not");
}
