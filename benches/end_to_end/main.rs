//! Performance of the whole path, as ratios to ceilings that are measured in the same run.
//!
//! `make bench` brings the stack up and runs this in release mode. It prints a table and writes
//! `target/bench/summary.json`, a flat map from the name of a figure to its number. Nothing here passes or fails.

mod ceilings;
mod close;
mod deals;
mod latency;
mod limit;
mod outage;
mod process;
mod restart;
mod sink;
mod webhook;

use std::{collections::BTreeMap, path::Path, time::Instant};

/// Figures by name, as in the summary.
pub(crate) type Figures = BTreeMap<&'static str, f64>;

/// The measurements of several rounds; the median of each is its figure.
#[derive(Debug, Default)]
pub(crate) struct Rounds(BTreeMap<&'static str, Vec<f64>>);

impl Rounds {
    pub(crate) fn note(&mut self, name: &'static str, value: f64) {
        self.0.entry(name).or_default().push(value);
    }

    fn into_figures(self, figures: &mut Figures) {
        for (name, mut values) in self.0 {
            values.sort_by(f64::total_cmp);
            eprintln!("  {name:<32} {values:.3?}");
            figures.insert(name, values[values.len() / 2]);
        }
    }
}

fn main() {
    let arguments: Vec<String> = std::env::args().collect();
    let runtime =
        tokio::runtime::Builder::new_multi_thread().worker_threads(2).enable_all().build().expect("a runtime");
    if let Some(at) = arguments.iter().position(|argument| argument == "bare-axum") {
        runtime.block_on(webhook::serve_bare(&arguments[at + 1]));
        return;
    }
    let begun = Instant::now();
    let mut figures = Figures::new();
    runtime.block_on(async {
        // Without arguments all parts run, otherwise only the named ones: `cargo bench --bench end_to_end -- webhook
        // latency`.
        let parts: Vec<&str> =
            arguments[1..].iter().map(String::as_str).filter(|argument| !argument.starts_with('-')).collect();
        let wanted = |part| parts.is_empty() || parts.contains(&part);
        if wanted("sink") {
            let mut rounds = Rounds::default();
            sink::measure(&mut rounds).await;
            rounds.into_figures(&mut figures);
        }
        if wanted("memory") {
            say("memory: the sink on 2 partitions of records of 450 bytes");
            let mut rounds = Rounds::default();
            sink::measure_memory(&mut rounds).await;
            rounds.into_figures(&mut figures);
        }
        if wanted("webhook") {
            say("webhook: requests with the broker's acknowledgement, and a bare axum handler");
            webhook::measure(&mut figures).await;
        }
        if wanted("latency") {
            say("latency: to the visible row at 1,000 events a second, from the post and from the producer");
            latency::measure(&mut figures).await;
        }
        if wanted("limit") {
            say("limit: a sink with write.rows.per.second, for over 10 s");
            limit::measure(&mut figures).await;
        }
        if wanted("outage") {
            say("outage: memory while Postgres is away in the middle of a topic");
            outage::measure(&mut figures).await;
        }
        if wanted("restart") {
            say("restart: kill -9 in the middle of a topic, and the next committed row");
            restart::measure(&mut figures).await;
        }
        if wanted("close") || wanted("close-snapshot") {
            say("close: the snapshot of 50,000 leads without limits");
            close::snapshot(&mut figures).await;
        }
        if wanted("close") || wanted("close-budget") {
            say("close: the use of a limited allowance");
            close::budget(&mut figures).await;
        }
        if wanted("close") || wanted("close-latency") {
            say("close: the way of a change, at the default poll interval");
            close::latency(&mut figures).await;
        }
    });
    print(&figures);
    let path = Path::new(env!("CARGO_MANIFEST_DIR")).join("target/bench/summary.json");
    std::fs::create_dir_all(path.parent().expect("a folder")).expect("the folder can be created");
    // Parts that did not run keep the figures of their last run.
    let earlier = std::fs::read_to_string(&path).ok().and_then(|text| serde_json::from_str(&text).ok());
    let mut summary: BTreeMap<String, f64> = earlier.unwrap_or_default();
    summary.extend(figures.iter().map(|(name, value)| ((*name).to_owned(), *value)));
    std::fs::write(&path, serde_json::to_string_pretty(&summary).expect("numbers") + "\n")
        .expect("the summary can be written");
    eprintln!("wrote target/bench/summary.json after {:.0} s", begun.elapsed().as_secs_f64());
}

/// Prints the part that runs next.
pub(crate) fn say(what: &str) {
    eprintln!("· {what}");
}

fn print(figures: &Figures) {
    println!("\n{:<32} {:>14}   aim", "figure", "measured");
    for (name, value) in figures {
        let aim = match *name {
            "sink_writer_ratio_1p" | "own_columns_ratio" | "close_budget_used_ratio" => "≥ 0.90",
            "sink_writer_ratio_2p" => "≥ 1.5",
            "offset_row_ratio" => "≥ 0.95",
            "replay_ratio" => "≥ 1",
            "sink_cpu_us_per_row" => "≤ 4",
            "sink_peak_rss_mib_2p" | "wide_peak_rss_mib_2p" => "≤ 80",
            "outage_rss_ratio" => "≤ 1.25",
            "produce_to_row_p50_ms" => "≤ 5",
            "produce_to_row_p99_ms" => "≤ 15",
            "rate_limit_ratio" => "0.97 to 1.00",
            "restart_to_row_ms" => "≤ 3000",
            "webhook_axum_ratio" => "≥ 0.25",
            "close_snapshot_records_per_s" => "≥ 20000",
            "close_snapshot_peak_rss_mib" => "≤ 128",
            "close_requests_refused" => "0",
            "post_to_row_p50_ms" => "≤ 30",
            "post_to_row_p99_ms" => "≤ 100",
            _ => "",
        };
        println!("{name:<32} {value:>14.3}   {aim}");
    }
}
