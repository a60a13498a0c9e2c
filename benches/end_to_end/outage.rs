//! Memory of a worker while the database is away, compared with its memory while it drains.

use std::{
    path::Path,
    process::Command,
    time::{Duration, Instant},
};

use crate::{
    Figures,
    ceilings::connect,
    process::{Worker, sink_config},
    sink::{fill, stored},
};

const ROWS: i64 = 600_000;
/// Long enough for every queue to be full.
const AWAY: Duration = Duration::from_secs(8);

pub(crate) async fn measure(figures: &mut Figures) {
    let prefix = format!("bencho{}", std::process::id());
    fill(&prefix, 2, ROWS, 1).await;
    let sink = format!("pg-{prefix}");
    let config = format!("{}errors.retry.delay.max.ms = 500\n", sink_config(&prefix));
    let worker = Worker::start(&[("postgres.toml", config)]);
    wait_for(&sink, ROWS / 3).await;
    let draining = worker.peak_rss_mib();
    stack("stop");
    tokio::time::sleep(AWAY).await;
    let away = worker.peak_rss_mib();
    stack("start");
    wait_for(&sink, ROWS).await;
    figures.insert("outage_rss_mib", away);
    figures.insert("outage_rss_ratio", away / draining);
    drop(worker);
    connect().await.batch_execute(&format!("DROP SCHEMA {prefix} CASCADE")).await.expect("the rows are deleted");
}

async fn wait_for(sink: &str, rows: i64) {
    let patience = Instant::now();
    loop {
        // Connects each time, because the server is restarted in between.
        let reached = stored(&connect().await, sink).await;
        if reached >= rows {
            return;
        }
        assert!(patience.elapsed() < Duration::from_mins(2), "{reached} of {rows} rows after 120 s");
        tokio::time::sleep(Duration::from_millis(20)).await;
    }
}

fn stack(what: &str) {
    let script = Path::new(env!("CARGO_MANIFEST_DIR")).join("dev/stack");
    assert!(Command::new(script).args([what, "postgres"]).status().expect("dev/stack can be run").success());
}
