//! What the whole path reaches, as ratios to ceilings that are measured in the same run.
//!
//! `make bench` brings the stack up and runs this in release mode. It prints a table and writes `target/bench/summary.json`, a flat
//! map from the name of a figure to its number. Nothing here passes or fails.

mod ceilings;
mod deals;
mod latency;
mod limit;
mod process;
mod restart;
mod sink;
mod webhook;

use std::{collections::BTreeMap, path::Path, time::Instant};

/// Figures by name, as they go into the summary.
pub(crate) type Figures = BTreeMap<&'static str, f64>;

fn main() {
    let arguments: Vec<String> = std::env::args().collect();
    let runtime = tokio::runtime::Builder::new_multi_thread().worker_threads(2).enable_all().build().expect("a runtime");
    if let Some(at) = arguments.iter().position(|argument| argument == "bare-axum") {
        runtime.block_on(webhook::serve_bare(&arguments[at + 1]));
        return;
    }
    let begun = Instant::now();
    let mut figures = Figures::new();
    runtime.block_on(async {
        // Without arguments everything; with some only those parts: `cargo bench --bench end_to_end -- webhook latency`.
        let parts: Vec<&str> = arguments[1..].iter().map(String::as_str).filter(|argument| !argument.starts_with('-')).collect();
        let wanted = |part| parts.is_empty() || parts.contains(&part);
        if wanted("sink") {
            say("ceilings: binary COPY and a bare writer, 300,000 rows of 12 columns");
            let ceilings = ceilings::measure(&mut figures).await;
            for partitions in [1, 2] {
                say(&format!("sink: 300,000 inserts and an update of every row, {partitions} partition(s)"));
                sink::measure(partitions, &ceilings, &mut figures).await;
            }
        }
        if wanted("webhook") {
            say("webhook: requests with the broker's acknowledgement, and a bare axum handler");
            webhook::measure(&mut figures).await;
        }
        if wanted("latency") {
            say("latency: from post to visible row at 1,000 events a second");
            latency::measure(&mut figures).await;
        }
        if wanted("limit") {
            say("limit: a sink with write.rows.per.second, for over 10 s");
            limit::measure(&mut figures).await;
        }
        if wanted("restart") {
            say("restart: kill -9 in the middle of a topic, and the next committed row");
            restart::measure(&mut figures).await;
        }
    });
    print(&figures);
    let path = Path::new(env!("CARGO_MANIFEST_DIR")).join("target/bench/summary.json");
    std::fs::create_dir_all(path.parent().expect("a folder")).expect("the folder can be made");
    // Parts that did not run keep the figures of their last run.
    let earlier = std::fs::read_to_string(&path).ok().and_then(|text| serde_json::from_str(&text).ok());
    let mut summary: BTreeMap<String, f64> = earlier.unwrap_or_default();
    summary.extend(figures.iter().map(|(name, value)| ((*name).to_owned(), *value)));
    std::fs::write(&path, serde_json::to_string_pretty(&summary).expect("numbers") + "\n").expect("the summary can be written");
    eprintln!("wrote target/bench/summary.json after {:.0} s", begun.elapsed().as_secs_f64());
}

/// Says what the next minute goes into.
fn say(what: &str) {
    eprintln!("· {what}");
}

fn print(figures: &Figures) {
    println!("\n{:<32} {:>14}   aim", "figure", "measured");
    for (name, value) in figures {
        let aim = match *name {
            "sink_writer_ratio_1p" => "≥ 0.75",
            "sink_writer_ratio_2p" => "≥ 1.1",
            "webhook_axum_ratio" => "≥ 0.25",
            "post_to_row_p50_ms" => "≤ 30",
            "post_to_row_p99_ms" => "≤ 100",
            "rate_limit_ratio" => "0.97 to 1.00",
            "restart_to_row_ms" => "≤ 3000",
            "peak_rss_mib" => "≤ 128",
            _ => "",
        };
        println!("{name:<32} {value:>14.3}   {aim}");
    }
}
