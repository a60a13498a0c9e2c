//! Throughput of list answers, compared with a bare HTTP server that answers the same bytes in the same run; time and
//! memory for a data set of 50,000 leads; and random changes per second.
//!
//! Prints a table and finally one line of JSON. `CLOSE_BENCH_SECS` (2) is the time for each list and server,
//! `CLOSE_BENCH_CHANGES` (100000) the number of changes, spread over 60 days of the organization's time per 50,000
//! changes.

#![allow(missing_docs, clippy::cast_precision_loss, clippy::cast_possible_truncation, clippy::cast_sign_loss)]

use std::{
    net::SocketAddr,
    sync::{
        Arc,
        atomic::{AtomicUsize, Ordering},
    },
    time::{Duration, Instant},
};

use base64::Engine;
use bytes::Bytes;
use close_simulator::{
    Options, Simulator,
    laboratory::changes::{Order, Run},
    seed,
};
use http_body_util::Full;
use hyper::service::service_fn;
use hyper_util::rt::TokioIo;
use serde_json::{Map, Value, json};
use tokio::{
    io::{AsyncReadExt, AsyncWriteExt},
    net::{TcpListener, TcpStream},
};

/// Concurrent connections.
const CONNECTIONS: usize = 16;
const LISTS: [&str; 5] =
    ["opportunity/?_limit=1", "opportunity/?_limit=10", "opportunity/?_limit=100", "event/", "lead/?_limit=10"];

fn main() {
    let runtime =
        tokio::runtime::Builder::new_multi_thread().worker_threads(2).enable_all().build().expect("a runtime");
    let data_set = data_set();
    let lists = runtime.block_on(lists());
    let changes = changes();
    println!("{}", json!({ "data_set": data_set, "lists": lists, "changes": changes }));
}

fn number(name: &str, default: u64) -> u64 {
    std::env::var(name).ok().and_then(|text| text.parse().ok()).unwrap_or(default)
}

/// Resident memory of this process in MiB.
fn resident() -> f64 {
    let status = std::fs::read_to_string("/proc/self/status").unwrap_or_default();
    let line = status.lines().find_map(|line| line.strip_prefix("VmRSS:")).unwrap_or("0");
    line.trim().trim_end_matches(" kB").parse::<f64>().unwrap_or(0.0) / 1024.0
}

fn data_set() -> Value {
    let (began, before) = (Instant::now(), resident());
    let world = seed::plant(&Options { leads: 50_000, ..Options::default() });
    let (secs, mib, records) = (began.elapsed().as_secs_f64(), resident() - before, world.store.len());
    let bytes = mib * 1_048_576.0 / records as f64;
    println!("50,000 leads: {records} records in {secs:.2} s, {mib:.0} MiB resident, {bytes:.0} bytes a record");
    json!({ "leads": 50_000, "records": records, "secs": secs, "mib": mib, "bytes_per_record": bytes })
}

async fn lists() -> Value {
    let running = Simulator::start(Options { leads: 10_000, ..Options::default() }).await.expect("a free port");
    let secret = base64::engine::general_purpose::STANDARD.encode(format!("{}:", running.key("admin").expect("a key")));
    let span = Duration::from_secs(number("CLOSE_BENCH_SECS", 2));
    println!("\n{:<28} {:>8} {:>12} {:>12} {:>7}", "list, 10,000 leads", "bytes", "requests/s", "bare/s", "ratio");
    let mut rows = Vec::new();
    for path in LISTS {
        let request: Bytes = format!(
            "GET /api/v1/{path} HTTP/1.1\r\nhost: localhost\r\nauthorization: Basic {secret}\r\n\
             accept: application/json\r\n\r\n"
        )
        .into();
        let body = ask_once(running.address, &request).await;
        let bare = bare(body.clone()).await;
        let (ours, theirs) = (rate(running.address, &request, span).await, rate(bare, &request, span).await);
        println!("{path:<28} {:>8} {ours:>12.0} {theirs:>12.0} {:>7.2}", body.len(), ours / theirs);
        rows.push(json!({
            "path": path, "bytes": body.len(), "per_sec": ours, "bare_per_sec": theirs, "ratio": ours / theirs
        }));
    }
    Value::Array(rows)
}

/// A server that only answers these bytes.
async fn bare(body: Bytes) -> SocketAddr {
    let listener = TcpListener::bind(("127.0.0.1", 0)).await.expect("a free port");
    let address = listener.local_addr().expect("an address");
    tokio::spawn(async move {
        while let Ok((stream, _)) = listener.accept().await {
            let _ = stream.set_nodelay(true);
            let body = body.clone();
            tokio::spawn(async move {
                let service = service_fn(move |_| {
                    let answer = hyper::Response::builder()
                        .header("content-type", "application/json")
                        .body(Full::new(body.clone()));
                    async move { answer }
                });
                let _ =
                    hyper::server::conn::http1::Builder::new().serve_connection(TokioIo::new(stream), service).await;
            });
        }
    });
    address
}

/// Answers per second over kept connections.
async fn rate(address: SocketAddr, request: &Bytes, span: Duration) -> f64 {
    let count = Arc::new(AtomicUsize::new(0));
    let began = Instant::now();
    let clients: Vec<_> = (0..CONNECTIONS)
        .map(|_| {
            let (count, request) = (Arc::clone(&count), request.clone());
            tokio::spawn(async move {
                let mut stream = TcpStream::connect(address).await.expect("a connection");
                stream.set_nodelay(true).expect("a socket");
                let mut buffer = Vec::new();
                while began.elapsed() < span {
                    exchange(&mut stream, &request, &mut buffer).await;
                    count.fetch_add(1, Ordering::Relaxed);
                }
            })
        })
        .collect();
    for client in clients {
        client.await.expect("a client");
    }
    count.load(Ordering::Relaxed) as f64 / began.elapsed().as_secs_f64()
}

async fn ask_once(address: SocketAddr, request: &Bytes) -> Bytes {
    let mut stream = TcpStream::connect(address).await.expect("a connection");
    let mut buffer = Vec::new();
    let from = exchange(&mut stream, request, &mut buffer).await;
    Bytes::copy_from_slice(&buffer[from..])
}

/// Sends a request and reads the whole answer into the buffer; returns where its body begins.
async fn exchange(stream: &mut TcpStream, request: &Bytes, buffer: &mut Vec<u8>) -> usize {
    stream.write_all(request).await.expect("the request is sent");
    buffer.clear();
    loop {
        assert!(stream.read_buf(buffer).await.expect("an answer") > 0, "the connection ended");
        let Some(end) = buffer.windows(4).position(|window| window == b"\r\n\r\n") else { continue };
        let head = std::str::from_utf8(&buffer[..end]).expect("a head in ASCII");
        assert!(head.starts_with("HTTP/1.1 200"), "{head}");
        let length = head.lines().find_map(|line| line.strip_prefix("content-length: ")).expect("a length");
        let whole = end + 4 + length.parse::<usize>().expect("a number");
        while buffer.len() < whole {
            assert!(stream.read_buf(buffer).await.expect("an answer") > 0, "the connection ended");
        }
        return end + 4;
    }
}

fn changes() -> Value {
    let count = number("CLOSE_BENCH_CHANGES", 100_000);
    let mut world = seed::plant(&Options { leads: 10_000, ..Options::default() });
    let days = 60 * count.div_ceil(50_000);
    let order = Order::new(count, 1, Some(days.cast_signed() * 86_400_000), &Map::new()).expect("an order");
    let mut run = Run::begin(&world, order);
    let (records, began) = (world.store.len(), Instant::now());
    let mut weights = Vec::new();
    println!("\n{:<12} {:>10} {:>10} {:>10} {:>10}", "changes", "seconds", "records", "events", "MiB");
    while !run.is_over() {
        run.go_on(&mut world, count.div_ceil(10));
        let (done, secs, mib) = (run.done + run.given_up, began.elapsed().as_secs_f64(), resident());
        println!("{done:<12} {secs:>10.2} {:>10} {:>10} {mib:>10.0}", world.store.len(), world.events.len());
        weights.push(json!({ "done": done, "records": world.store.len(), "events": world.events.len(), "mib": mib }));
    }
    let per_sec = count as f64 / began.elapsed().as_secs_f64();
    println!("{per_sec:.0} changes/s, {} given up; {records} records at the beginning", run.given_up);
    json!({ "count": count, "per_sec": per_sec, "given_up": run.given_up, "steps": weights })
}
