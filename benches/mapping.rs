//! From the body of a post to its events: credentials, JSON and the agreed schema. For comparison, `serde_json` parses
//! the same body into a tree of values.

use std::hint::black_box;

use criterion::{Criterion, Throughput, criterion_group, criterion_main};
use serde_json::{Value, json};
use towpath_api::OpenSource;
use towpath_keys::{Flat, read};
use towpath_webhook::{Listener, OpenWebhookSource, WebhookConfig, WebhookMetrics, WebhookSource};

const SCHEMA: &str = r#"{"type":"record","name":"deals","fields":[
    {"name":"id","type":"string"},{"name":"agent_id","type":["null","long"],"default":null},
    {"name":"title","type":["null","string"],"default":null},
    {"name":"amount","type":["null",{"type":"bytes","logicalType":"decimal","precision":12,"scale":2}],"default":null},
    {"name":"currency","type":["null","string"],"default":null},{"name":"rate","type":["null","double"],"default":null},
    {"name":"won","type":["null","boolean"],"default":null},
    {"name":"booked_on","type":["null",{"type":"int","logicalType":"date"}],"default":null},
    {"name":"closed_at","type":["null",{"type":"long","logicalType":"timestamp-millis"}],"default":null},
    {"name":"stage","type":["null",{"type":"enum","name":"stage","symbols":["open","won","lost"]}],"default":null},
    {"name":"seats","type":["null","int"],"default":null},{"name":"note","type":["null","string"],"default":null}]}"#;

fn source() -> WebhookSource {
    let folder = tempfile::tempdir().expect("a folder");
    let path = folder.path().join("deals.avsc");
    std::fs::write(&path, SCHEMA).expect("the schema can be written");
    let path = path.display().to_string();
    let keys = [("objects", "deals"), ("objects.deals.schema", path.as_str()), ("clients.acme.secret", "bench-secret")];
    let (config, _) = read::<WebhookConfig>(&Flat::from_strings(keys)).expect("a config");
    let runtime = tokio::runtime::Builder::new_current_thread().enable_all().build().expect("a runtime");
    // Without an address the source opens no socket.
    let listener = Listener::new(Vec::new());
    let metrics = WebhookMetrics::register(&prometheus::Registry::new()).expect("metrics");
    let opener = OpenWebhookSource::new("hook", config, listener, metrics);
    runtime.block_on(opener.open(0)).expect("a source")
}

fn body(records: usize) -> Vec<u8> {
    let record = |id: usize| {
        json!({"id": format!("deal-{id}"), "action": "create", "data": {
            "agent_id": id, "title": format!("Deal number {id}"), "amount": "1250.50",
            "currency": "EUR", "rate": 0.05, "won": true, "booked_on": "2026-11-24",
            "closed_at": "2026-11-24T10:00:00.123+01:00",
            "stage": "won", "seats": 12, "note": "a note"}})
    };
    let records: Vec<Value> = (0..records).map(record).collect();
    json!({"clientid": "acme", "clientSecret": "bench-secret", "objectname": "deals", "data": records})
        .to_string()
        .into_bytes()
}

fn mapping(criterion: &mut Criterion) {
    let source = source();
    for records in [1, 100] {
        let body = body(records);
        assert_eq!(source.events_of(&body).map(|events| events.len()), Some(records), "the post is accepted");
        let mut group = criterion.benchmark_group(format!("post of {records}"));
        group.throughput(Throughput::Elements(records as u64));
        group.bench_function("towpath", |bencher| bencher.iter(|| source.events_of(black_box(&body))));
        group
            .bench_function("serde_json", |bencher| bencher.iter(|| serde_json::from_slice::<Value>(black_box(&body))));
        group.finish();
    }
}

criterion_group!(benches, mapping);
criterion_main!(benches);
