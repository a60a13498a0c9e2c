//! Time from the start of a process, whose predecessor was killed while reading a topic, to its first committed row.

use std::time::{Duration, Instant};

use crate::{
    Figures,
    ceilings::connect,
    process::{Worker, sink_config},
    sink::{fill, stored},
};

const ROWS: i64 = 200_000;
const KILLS: usize = 5;

/// The median of five restarts.
pub(crate) async fn measure(figures: &mut Figures) {
    let prefix = format!("benchk{}", std::process::id());
    fill(&prefix, 1, ROWS, 1).await;
    let client = connect().await;
    // Slow enough that the topic lasts for all kills.
    let config = format!("{}write.rows.per.second = 20000\n", sink_config(&prefix));
    let sink = format!("pg-{prefix}");
    let mut took = Vec::new();
    for _ in 0..=KILLS {
        let begun = Instant::now();
        let before = stored(&client, &sink).await;
        let worker = Worker::start(&[("postgres.toml", config.clone())]);
        while stored(&client, &sink).await == before {
            assert!(begun.elapsed() < Duration::from_mins(1), "no row after 60 s");
            tokio::time::sleep(Duration::from_millis(1)).await;
        }
        took.push(begun.elapsed().as_secs_f64() * 1e3);
        tokio::time::sleep(Duration::from_millis(300)).await;
        // The kill hits an arbitrary step.
        drop(worker);
    }
    assert!(stored(&client, &sink).await < ROWS, "the topic lasted");
    // The first start created the table.
    took.remove(0);
    took.sort_by(f64::total_cmp);
    figures.insert("restart_to_row_ms", took[took.len() / 2]);
    client.batch_execute(&format!("DROP SCHEMA {prefix} CASCADE")).await.expect("the rows are deleted");
}
