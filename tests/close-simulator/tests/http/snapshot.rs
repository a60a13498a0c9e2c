//! The whole state in a file and back.

use close_simulator::{Options, describe};
use serde_json::json;

use crate::client::Close;

/// Everything that can be read without an id: each list, the event log, the truth, every change.
async fn everything(close: &Close) -> Vec<(String, String)> {
    let lists = describe::rows().into_iter().filter(|row| row.method == "GET" && !row.path.contains('{'));
    let mut paths: Vec<String> = lists.map(|row| row.path.trim_start_matches('/').to_owned()).collect();
    paths.extend(["truth", "history", "switches", "keys", "clock"].map(|control| format!("/_control/{control}/")));
    let mut all = Vec::new();
    for path in paths {
        let reply = close.get(&path).await;
        all.push((path, format!("{} {}", reply.status, reply.text)));
    }
    all
}

async fn worked_on() -> Close {
    let close = Close::start().await;
    // The clock is stopped, so that time-dependent values are the same before and after.
    close.post("/_control/clock/", json!({ "rate": 0 })).await;
    for n in 0..3 {
        let lead = close.make("lead/", json!({ "name": format!("Lead {n} “ü”") })).await;
        let path = format!("lead/{}/", lead["id"].as_str().unwrap());
        close.advance(10.0).await;
        close.put(&path, json!({ "name": format!("Renamed {n}") })).await;
    }
    close.switch(json!({ "consolidation_ms": 1234, "short_pages": 0.25, "over_limit": "clamp" })).await;
    close.make("/_control/keys/", json!({ "name": "night", "role": "user" })).await;
    close
}

#[tokio::test]
async fn what_is_restored_reads_the_same_and_goes_on_the_same() {
    let directory = tempfile::tempdir().unwrap();
    let file = directory.path().join("state.sim");
    let close = worked_on().await;
    let written = close.make("/_control/snapshot/", json!({ "file": file })).await;
    assert_eq!(written["bytes"].as_u64(), Some(std::fs::metadata(&file).unwrap().len()));
    assert_eq!(std::fs::read_dir(directory.path()).unwrap().count(), 1, "nothing but the snapshot is left");
    let before = everything(&close).await;
    let next = close.make("lead/", json!({ "name": "After" })).await;

    // In a process with another start, and in the same one after further changes.
    let other = Close::with(Options { seed: 99, ..Options::default() }).await;
    for restored in [&other, &close] {
        restored.advance(50.0).await;
        let reply = restored.post("/_control/restore/", json!({ "file": file })).await;
        assert_eq!(reply.status, 200, "{}", reply.text);
        for ((path, was), (_, is)) in before.iter().zip(everything(restored).await) {
            assert_eq!(&is, was, "{path}");
        }
        assert_eq!(restored.make("lead/", json!({ "name": "After" })).await["id"], next["id"], "ids go on");
    }
    // Scheduled work runs at its time in both.
    for restored in [&other, &close] {
        restored.advance(7.0 * 86_400.0).await;
    }
    for ((path, one), (_, another)) in everything(&other).await.into_iter().zip(everything(&close).await) {
        assert_eq!(one, another, "{path}");
    }
}

#[tokio::test]
async fn the_command_line_begins_with_a_snapshot() {
    let directory = tempfile::tempdir().unwrap();
    let file = directory.path().join("state.sim");
    let close = worked_on().await;
    close.make("/_control/snapshot/", json!({ "file": file })).await;
    let options =
        Options { restore: Some(file.clone()), keys: vec![("admin".into(), "api_mine".into())], ..Options::default() };
    let restored = Close::with(options).await;
    assert_eq!(restored.running.key("admin").as_deref(), Some("api_mine"));
    assert_eq!(restored.get("lead/").await.body, close.get("lead/").await.body);
    std::fs::write(&file, "no snapshot").unwrap();
    let refused = close_simulator::Simulator::start(Options { restore: Some(file), ..Options::default() }).await;
    assert!(refused.err().unwrap().to_string().contains("is not a snapshot"));
}

#[tokio::test]
async fn a_file_that_is_no_whole_snapshot_is_refused_and_changes_nothing() {
    let directory = tempfile::tempdir().unwrap();
    let good = directory.path().join("good.sim");
    let close = worked_on().await;
    close.make("/_control/snapshot/", json!({ "file": good })).await;
    let bytes = std::fs::read(&good).unwrap();
    let before = everything(&close).await;
    let mut damaged = bytes.clone();
    damaged[bytes.len() / 2] ^= 1;
    let mut newer = bytes.clone();
    newer[8] += 1;
    for (what, content, reason) in [
        ("foreign", b"{\"hello\": 1}".to_vec(), "is not a snapshot"),
        ("empty", Vec::new(), "is not a snapshot"),
        ("truncated", bytes[..bytes.len() * 2 / 3].to_vec(), "is truncated"),
        ("all but the header missing", bytes[..12].to_vec(), "is truncated"),
        ("damaged", damaged, "is damaged"),
        ("newer", newer, "was written by another version"),
    ] {
        let file = directory.path().join(what);
        std::fs::write(&file, content).unwrap();
        let reply = close.post("/_control/restore/", json!({ "file": file })).await;
        assert_eq!(reply.status, 400, "{what}");
        assert!(reply.body["error"].as_str().unwrap().contains(reason), "{what}: {}", reply.text);
    }
    let reply = close.post("/_control/restore/", json!({ "file": directory.path().join("missing") })).await;
    assert!(reply.status == 400 && reply.text.contains("cannot read"), "{}", reply.text);
    let reply = close.post("/_control/snapshot/", json!({ "file": directory.path().join("no/such/place") })).await;
    assert!(reply.status == 400 && reply.text.contains("cannot write"), "{}", reply.text);
    assert_eq!(everything(&close).await, before);
}
