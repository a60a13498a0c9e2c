//! A database that is restored to an older copy under the running worker.

use std::fmt::Write as _;

use serde_json::json;
use tokio_postgres::Client;

use crate::{
    stack::{database, eventually, rows, rows_become, shared},
    worker::Worker,
};

/// A worker with ten deals in three partitions, of which the copy has six.
async fn with_a_copy(theme: &str) -> (Worker, Client) {
    let worker = Worker::new(theme).webhook("").sink("").start().await;
    let (database, name) = (database().await, worker.name.clone());
    let count = format!("SELECT count(*) FROM {name}.deals");
    for number in 0..6 {
        worker.accept("deals", "create", format!("d{number}"), json!({"title": "before"})).await;
    }
    rows_become(&database, &count, &["6"]).await;
    let copy = format!(
        "CREATE TABLE {name}.copy AS TABLE {name}.deals;
         CREATE TABLE {name}.copy_of_offsets AS SELECT * FROM towpath.sink_partition WHERE sink = 'pg-{name}'"
    );
    database.batch_execute(&copy).await.unwrap();
    for number in 3..10 {
        worker.accept("deals", "create", format!("d{number}"), json!({"title": "after"})).await;
    }
    rows_become(&database, &count, &["10"]).await;
    rows_become(&database, &format!("SELECT count(*) FROM {name}.deals WHERE title = 'after'"), &["7"]).await;
    (worker, database)
}

/// Restores the copy, and cuts the connections if `cut`, as a restored server would.
async fn restore(database: &Client, name: &str, cut: bool) {
    let mut sql = format!(
        "BEGIN; LOCK towpath.sink_partition; DELETE FROM {name}.deals;
         INSERT INTO {name}.deals SELECT * FROM {name}.copy;
         DELETE FROM towpath.sink_partition WHERE sink = 'pg-{name}';
         INSERT INTO towpath.sink_partition SELECT * FROM {name}.copy_of_offsets; COMMIT;"
    );
    if cut {
        let _ = write!(
            sql,
            "SELECT pg_terminate_backend(pid) FROM pg_stat_activity WHERE application_name = 'towpath/pg-{name}'"
        );
    }
    database.batch_execute(&sql).await.unwrap();
}

async fn all_ten_are_back(worker: &Worker, database: &Client) {
    let deals = format!("SELECT string_agg(title, ' ' ORDER BY id) FROM {}.deals", worker.name);
    rows_become(database, &deals, &["before before before after after after after after after after"]).await;
    eventually("the log reports the step back", || async {
        worker.log().contains("the store has gone back from offset").then_some(())
    })
    .await;
    let letters = format!("SELECT * FROM towpath.dead_letter WHERE sink = 'pg-{}'", worker.name);
    assert_eq!(rows(database, &letters).await, [""; 0]);
}

#[tokio::test]
async fn a_restored_database_catches_up_even_without_new_records() {
    let _stack = shared().await;
    let (worker, database) = with_a_copy("quiet").await;
    restore(&database, &worker.name, true).await;
    all_ten_are_back(&worker, &database).await;
}

#[tokio::test]
async fn an_offset_set_back_under_the_running_worker_is_noticed_at_the_next_record() {
    let _stack = shared().await;
    let (worker, database) = with_a_copy("seek").await;
    restore(&database, &worker.name, false).await;
    // In one partition; the others learn of it.
    worker.accept("deals", "create", "d9", json!({"title": "after"})).await;
    all_ten_are_back(&worker, &database).await;
}
