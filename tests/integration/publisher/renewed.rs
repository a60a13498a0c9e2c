//! A producer that delivers nothing although the broker answers others is replaced while the worker runs.

use crate::{
    crash::Load,
    stack::{database, rows_become, shared},
    worker::Worker,
};

#[tokio::test(flavor = "multi_thread", worker_threads = 2)]
async fn posts_are_acknowledged_again_by_a_fresh_producer_of_the_same_worker() {
    let _stack = shared().await;
    let mut worker = Worker::new("stuck").webhook("").sink("");
    // The first producer delivers nothing.
    worker.failpoints("producer_opened=1*return(error)");
    let worker = worker.start().await;
    let load = Load::start(&worker);
    load.more(500).await;
    let expected = load.end().await;
    let log = worker.log();
    assert_eq!(log.matches("the producer is renewed").count(), 1, "{log}");
    let deals =
        format!("SELECT id, title, amount, won, _towpath_deleted FROM {}.deals ORDER BY id COLLATE \"C\"", worker.name);
    let expected: Vec<_> = expected.iter().map(String::as_str).collect();
    rows_become(&database().await, &deals, &expected).await;
}
