//! Accuracy of a rate limit: rows in more than ten seconds, as a share of the limit.

use std::time::{Duration, Instant};

use crate::{
    Figures,
    ceilings::{connect, rate},
    process::{Worker, sink_config},
    sink::{fill, stored},
};

const LIMIT: u32 = 5_000;
/// Twelve seconds of rows plus the initial burst.
const ROWS: i64 = 70_000;

pub(crate) async fn measure(figures: &mut Figures) {
    let prefix = format!("benchq{}", std::process::id());
    fill(&prefix, 2, ROWS, 1).await;
    let client = connect().await;
    let config = format!("{}tasks.max = 2\nwrite.rows.per.second = {LIMIT}\n", sink_config(&prefix));
    let worker = Worker::start(&[("postgres.toml", config)]);
    let sink = format!("pg-{prefix}");
    let patience = Instant::now();
    // The clock starts after the initial burst and the creation of the table.
    let (first, begun) = loop {
        let rows = stored(&client, &sink).await;
        if rows > i64::from(LIMIT) {
            break (rows, Instant::now());
        }
        assert!(patience.elapsed() < Duration::from_mins(1), "{rows} rows after 60 s");
        tokio::time::sleep(Duration::from_millis(1)).await;
    };
    tokio::time::sleep(Duration::from_secs(11)).await;
    let reached = rate(stored(&client, &sink).await - first, begun);
    figures.insert("rate_limit_ratio", reached / f64::from(LIMIT));
    drop(worker);
    client.batch_execute(&format!("DROP SCHEMA {prefix} CASCADE")).await.expect("the rows are deleted");
}
