//! How many list requests a second one machine answers, client included: `cargo bench -p close-simulator --bench lists`.
//!
//! Connections are kept, each asks the next when it has its answer; the client is as thin as HTTP lets it be, because it shares the
//! processors with what it measures. The arguments are paths below `/api/v1/`; without any, some lists by page size.

#![allow(clippy::cast_precision_loss)]

use std::sync::Arc;
use std::sync::atomic::{AtomicU64, Ordering};
use std::time::{Duration, Instant};

use base64::Engine;
use close_simulator::world::change::{Actor, Body, Change};
use close_simulator::{Options, Simulator, model::Kind};
use tokio::io::{AsyncReadExt, AsyncWriteExt};

const LEADS: usize = 2_000;
const CONNECTIONS: usize = 8;
const TIME: Duration = Duration::from_secs(3);

#[tokio::main]
async fn main() {
    let paths: Vec<String> = std::env::args().skip(1).filter(|argument| !argument.starts_with("--")).collect();
    let paths = if paths.is_empty() {
        let lists = ["opportunity/", "contact/", "activity/", "lead/"];
        let sizes = [1, 10, 100];
        lists.iter().flat_map(|list| sizes.map(|size| format!("{list}?_limit={size}"))).chain(["me/".to_owned()]).collect()
    } else {
        paths
    };
    let options = Options { leads: LEADS, limits: close_simulator::options::OnOff::On, ..Options::default() };
    let running = Simulator::start(options).await.expect("a free port");
    populate(&running.simulator);
    running.simulator.limits.set(serde_json::json!({ "default": { "limit": 1_000_000_000 } }).as_object().unwrap()).unwrap();
    let key = running.key("admin").expect("the admin's key");
    let key = base64::engine::general_purpose::STANDARD.encode(format!("{key}:"));
    println!("{:<28} {:>10} {:>14} {:>10}", "list", "requests/s", "bytes/answer", "MB/s");
    for path in paths {
        let request = format!("GET /api/v1/{path} HTTP/1.1\r\nhost: close\r\nauthorization: Basic {key}\r\naccept: */*\r\n\r\n");
        let (requests, bytes) = (Arc::new(AtomicU64::new(0)), Arc::new(AtomicU64::new(0)));
        let begun = Instant::now();
        let mut clients = tokio::task::JoinSet::new();
        for _ in 0..CONNECTIONS {
            let (request, requests, bytes) = (request.clone(), Arc::clone(&requests), Arc::clone(&bytes));
            let address = running.address;
            clients.spawn(async move {
                let mut stream = tokio::net::TcpStream::connect(address).await.expect("a connection");
                stream.set_nodelay(true).expect("an option");
                let mut buffer = vec![0; 1 << 20];
                while begun.elapsed() < TIME {
                    stream.write_all(request.as_bytes()).await.expect("a request");
                    bytes.fetch_add(answer(&mut stream, &mut buffer).await as u64, Ordering::Relaxed);
                    requests.fetch_add(1, Ordering::Relaxed);
                }
            });
        }
        clients.join_all().await;
        let (requests, bytes) = (requests.load(Ordering::Relaxed), bytes.load(Ordering::Relaxed));
        let secs = begun.elapsed().as_secs_f64();
        let rate = requests as f64 / secs;
        println!("{path:<28} {rate:>10.0} {:>14} {:>10.1}", bytes / requests.max(1), bytes as f64 / secs / 1e6);
    }
}

/// Reads one answer with a content length and returns the length of its body.
async fn answer(stream: &mut tokio::net::TcpStream, buffer: &mut [u8]) -> usize {
    let mut filled = 0;
    loop {
        let read = stream.read(&mut buffer[filled..]).await.expect("an answer");
        assert!(read > 0, "the connection ended");
        filled += read;
        let Some(end) = buffer[..filled].windows(4).position(|window| window == b"\r\n\r\n") else { continue };
        let head = std::str::from_utf8(&buffer[..end]).expect("a head is ASCII");
        assert!(head.starts_with("HTTP/1.1 200"), "{head}");
        let length = head.lines().find_map(|line| line.strip_prefix("content-length: ")?.parse::<usize>().ok());
        let whole = end + 4 + length.expect("a length");
        while filled < whole {
            filled += stream.read(&mut buffer[filled..]).await.expect("the rest");
        }
        return length.unwrap_or(0);
    }
}

/// Something to list where the data set has nothing.
fn populate(simulator: &Simulator) {
    let mut world = simulator.world.write();
    if world.store.count(Kind::Opportunity) > 0 {
        return;
    }
    let founder = close_simulator::seed::foundation::founder();
    for n in 0..LEADS {
        let mut change = Change::begin(&mut world, Actor::user(founder));
        let body = |json: serde_json::Value| Body { map: json.as_object().cloned().unwrap_or_default(), offset_minutes: 0 };
        let contacts =
            serde_json::json!([{ "name": "Ada Composed", "emails": [{ "email": "ada@composed.example", "type": "office" }] }]);
        let lead = body(serde_json::json!({ "name": format!("Composed {n}"), "contacts": contacts }));
        let lead = change.create(Kind::Lead, &lead).expect("a lead");
        let lead = change.view().id_text(lead);
        for value in 0..2 {
            let opportunity = serde_json::json!({ "lead_id": lead, "value": value * 1_000, "note": "Composed" });
            change.create(Kind::Opportunity, &body(opportunity)).expect("an opportunity");
        }
        change.create(Kind::Note, &body(serde_json::json!({ "lead_id": lead, "note": "Called. ".repeat(20) }))).expect("a note");
    }
}
