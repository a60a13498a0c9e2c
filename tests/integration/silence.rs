//! A network that drops packets and closes nothing, with the limits on waiting shortened to less than a second.

use serde_json::json;

use crate::{
    crash::{Load, all_is_right, watch},
    proxy::{Fault, Moment, Proxy},
    stack::{database, eventually, rows_become, shared},
    worker::Worker,
};

/// A worker whose patience with a silent store is short.
async fn impatient(theme: &str, proxy: &Proxy) -> Worker {
    let mut worker = Worker::new(theme).webhook("").sink_at(&proxy.url(), "errors.retry.delay.max.ms = 200\n");
    worker.failpoints("silence=return(300);silence_given_up=return(500)");
    worker.start().await
}

/// Waits until a partition waits for an answer, or none does.
async fn waits_for_an_answer(worker: &Worker, waits: bool) {
    let state = if waits { "retrying" } else { "running" };
    eventually(&format!("the sink is {state}"), || async {
        let (_, text) = worker.get("/towpath/v1/connectors").await;
        (text.contains("sink.no_answer") == waits && worker.state("pg").await == state).then_some(())
    })
    .await;
}

#[tokio::test(flavor = "multi_thread", worker_threads = 2)]
async fn a_network_that_drops_every_packet_is_reported_given_up_and_loses_nothing() {
    let _stack = shared().await;
    let (proxy, database) = (Proxy::start().await, database().await);
    let worker = impatient("silence", &proxy).await;
    watch(&database, &worker).await;
    let load = Load::start(&worker);
    for _ in 0..3 {
        load.more(50).await;
        let before = proxy.silenced();
        proxy.swallow(true);
        waits_for_an_answer(&worker, true).await;
        // The silent connection is given up for a new one, which is silent as well.
        eventually("a second connection is tried", || async { (proxy.silenced() > before).then_some(()) }).await;
        proxy.swallow(false);
        waits_for_an_answer(&worker, false).await;
    }
    load.more(50).await;
    let expected = load.end().await;
    all_is_right(&database, &worker, expected).await;
}

#[tokio::test(flavor = "multi_thread", worker_threads = 2)]
async fn a_commit_whose_answer_never_comes_is_found_stored_and_not_repeated() {
    let _stack = shared().await;
    let (proxy, database) = (Proxy::start().await, database().await);
    let worker = impatient("answerless", &proxy).await;
    watch(&database, &worker).await;
    proxy.next_commit(Moment::BeforeClient, Fault::Stall);
    worker.accept("deals", "create", "a", json!({"title": "a"})).await;
    waits_for_an_answer(&worker, true).await;
    waits_for_an_answer(&worker, false).await;
    worker.accept("deals", "create", "b", json!({"title": "b"})).await;
    let titles = format!("SELECT id FROM {}.deals WHERE id <> 'first' ORDER BY id", worker.name);
    rows_become(&database, &titles, &["a", "b"]).await;
    let unknown = worker.metric("towpath_sink_records_skipped_total", "reason=\"unknown\"").await;
    assert!((unknown - 1.0).abs() < 0.5, "the record that is stored without an answer is counted as such: {unknown}");
    all_is_right(&database, &worker, vec!["a|a|||f".to_owned(), "b|b|||f".to_owned()]).await;
}
