//! The texts, and the commands against a worker's API.

use std::sync::{Arc, Mutex};

use clap::Parser as _;
use tokio_util::sync::{CancellationToken, DropGuard};
use towpath_api::{
    Asking, Error, ErrorType, ObjectProgress, ObjectState, SnapshotApproval, SnapshotControl, SnapshotProgress,
    SnapshotRefused, SnapshotRequest, SnapshotState, SnapshotStatus,
};

use super::*;
use crate::{
    jobs::Snapshots,
    rest::{Api, Server},
    telemetry::{Metrics, Readiness, StatusBoard},
};

fn running() -> Value {
    json!({
        "state": "running",
        "running": {
            "generation": 2, "kind": "comparison", "reason": "daily", "began": "2026-08-01T00:00:00.000Z",
            "rows": 51_210, "rows_per_second": 409.6, "waited_share": 0.12, "left_seconds": 105,
            "left_is_lower_bound": true,
            "objects": [
                { "name": "lead", "state": "done", "rows": 50_000, "expected": 50_000, "note": null },
                { "name": "contact", "state": "reading", "rows": 1_210, "expected": 104_220, "note": null },
                { "name": "email", "state": "reading", "rows": 0, "expected": null, "note": null },
                { "name": "export", "state": "skipped", "rows": 0, "expected": null, "note": "no right" },
            ],
        },
        "queued": 1,
        "held": [{ "name": "task", "state": "awaits_approval", "rows": 0, "note": "deletes 9", "deletes": 9 }],
        "next": null,
        "completed": {
            "generation": 1, "kind": "first", "ended": "2026-07-31T10:00:00Z", "rows": 7, "complete": true,
            "objects": { "lead": { "check": { "counted": true } }, "comment": { "check": { "counted": false } } },
        },
    })
}

#[test]
fn a_status_shows_the_run_what_waits_and_the_last_run() {
    let expected = "\
snapshot 2 (comparison, daily), began 2026-08-01T00:00:00.000Z: 51,210 records, 410/s, 12 % of the time waiting for \
the rate limit, at least 1m45s left
OBJECT   STATE    RECORDS  EXPECTED  NOTE
lead     done     50000    50000
contact  reading  1210     104220
email    reading  0        -
export   skipped  0        -         no right
1 request is to be begun

1 object needs attention:
  task  awaits approval  deletes 9
approve the deletes with `towpath snapshot approve close`

last snapshot: 1 (first), ended 2026-07-31T10:00:00Z: 7 records; complete, and 1 of 2 have the number of \
records there
";
    assert_eq!(shown::status(&running(), "close"), expected);
    assert_eq!(shown::deletes(&shown::awaiting(&running(), &[])), json!({ "task": 9 }));
    let none = json!({ "state": "none", "running": null, "queued": 0, "held": [], "next": null, "completed": null });
    assert_eq!(shown::status(&none, "close"), "no snapshot of connector `close` runs\n");
}

#[test]
fn what_is_read_has_a_bar_and_the_whole_a_line() {
    let bars = shown::bars(&running());
    assert_eq!(bars.len(), 3);
    assert!(bars[0].starts_with("contact ") && bars[0].ends_with("░░ 1,210/104,220   1%"), "{}", bars[0]);
    assert!(bars[1].ends_with("0 read, total unknown"), "{}", bars[1]);
    assert!(bars[2].starts_with("snapshot 2: 2 of 4 objects, 51,210 records, 410/s"), "{}", bars[2]);
}

#[test]
fn a_watch_of_a_request_ends_when_another_snapshot_has_ended() {
    let status = |running: Value, queued: u32, completed: u32| {
        let completed = json!({ "generation": completed });
        json!({ "running": running, "queued": queued, "completed": completed })
    };
    let before = json!({ "generation": 1 });
    assert!(!watch::is_over(&status(Value::Null, 0, 1), Some(&before)), "the request has not begun");
    assert!(!watch::is_over(&status(Value::Null, 1, 2), Some(&before)), "others are to come");
    assert!(!watch::is_over(&status(json!({}), 0, 1), None));
    assert!(watch::is_over(&status(Value::Null, 0, 2), Some(&before)));
    assert!(watch::is_over(&status(Value::Null, 0, 1), None));
}

/// Runs a snapshot for each request, over at the second look; refuses the object `led`.
#[derive(Default)]
struct Control {
    asked: Mutex<Vec<SnapshotRequest>>,
    looks: Mutex<u32>,
    approved: Mutex<Vec<SnapshotApproval>>,
}

impl SnapshotControl for Control {
    fn status(&self) -> SnapshotStatus {
        let asked = self.asked.lock().unwrap().len();
        let mut looks = self.looks.lock().unwrap();
        *looks += u32::from(asked > 0);
        let held = ObjectProgress {
            name: "lead".to_owned(),
            state: ObjectState::AwaitsApproval,
            deletes: Some(7),
            ..ObjectProgress::default()
        };
        SnapshotStatus {
            state: if *looks > 2 { SnapshotState::AwaitsApproval } else { SnapshotState::Running },
            running: (asked > 0 && *looks <= 2).then(SnapshotProgress::default),
            held: vec![held],
            completed: (*looks > 2).then(|| json!({ "generation": 1 })),
            ..SnapshotStatus::default()
        }
    }

    fn start(&self, request: SnapshotRequest) -> Asking<'_, ()> {
        let answer = if request.objects.iter().any(|object| object == "led") {
            Err(SnapshotRefused::UnknownObject { name: "led".to_owned(), nearest: Some("lead".to_owned()) })
        } else {
            self.asked.lock().unwrap().push(request);
            Ok(())
        };
        Box::pin(std::future::ready(answer))
    }

    fn approve(&self, approval: SnapshotApproval) -> Asking<'_, Vec<String>> {
        let answer = if approval.objects.is_empty() {
            Ok(vec!["lead".to_owned()])
        } else {
            Err(SnapshotRefused::NothingWaits(approval.objects.first().cloned()))
        };
        self.approved.lock().unwrap().push(approval);
        Box::pin(std::future::ready(answer))
    }
}

/// A source that does not run.
struct Away;

impl SnapshotControl for Away {
    fn status(&self) -> SnapshotStatus {
        SnapshotStatus::default()
    }

    fn start(&self, _: SnapshotRequest) -> Asking<'_, ()> {
        Box::pin(std::future::ready(Err(SnapshotRefused::NotRunning)))
    }

    fn approve(&self, _: SnapshotApproval) -> Asking<'_, Vec<String>> {
        Box::pin(std::future::ready(Err(SnapshotRefused::NotRunning)))
    }
}

async fn serve() -> (String, Arc<Control>, DropGuard) {
    let (metrics, snapshots, control) = (Metrics::new(), Snapshots::new(), Arc::new(Control::default()));
    snapshots.register("close", Arc::clone(&control) as _);
    snapshots.register("failed", Arc::new(Away));
    let board = StatusBoard::new(&metrics);
    let error = Error::fatal("close.key_refused", ErrorType::Auth, "ask Close").with_help("set `close.api.key`");
    board.task("failed", 0).failed(&error);
    let api = Api::new(metrics.clone(), Readiness::new(), board).with_snapshots(snapshots);
    let server = Server::bind(&["http://127.0.0.1:0".parse().unwrap()], api).await.unwrap();
    let url = format!("http://{}/", server.addresses()[0]);
    let stop = CancellationToken::new();
    tokio::spawn(server.serve(stop.clone()));
    (url, control, stop.drop_guard())
}

async fn run(url: &str, line: &str) -> Exit {
    #[derive(Debug, clap::Parser)]
    struct Parsed {
        #[command(subcommand)]
        command: SnapshotCommand,
    }
    let words = ["snapshot"].into_iter().chain(line.split(' ')).chain(["--url", url]);
    snapshot(Parsed::try_parse_from(words).unwrap().command).await
}

#[tokio::test]
async fn commands_end_with_the_exit_code_of_the_answer() {
    let (url, control, _serving) = serve().await;
    assert_eq!(run(&url, "status close").await, exit::DONE);
    assert_eq!(run(&url, "status close -o json").await, exit::DONE);
    assert_eq!(run(&url, "status clsoe").await, exit::BAD_INPUT);
    assert_eq!(run(&url, "start close --object led").await, exit::BAD_INPUT);
    assert_eq!(run(&url, "approve close --object contact --yes").await, exit::TRY_LATER);
    assert_eq!(run(&url, "approve close --yes").await, exit::DONE);
    let at_most = control.approved.lock().unwrap().last().map(|approval| approval.at_most.clone());
    assert_eq!(at_most, Some([("lead".to_owned(), 7)].into()), "what was shown is approved, and no more");
    assert_eq!(control.asked.lock().unwrap().len(), 0);
    assert_eq!(run("http://127.0.0.1:1", "status close").await, exit::UNREACHABLE);
    assert_eq!(run("ftp://127.0.0.1", "status close").await, exit::CONFIG);
}

#[tokio::test]
async fn a_source_that_has_failed_is_not_watched_for_ever() {
    let (url, _control, _serving) = serve().await;
    for line in ["status failed", "status failed --watch"] {
        let ended = tokio::time::timeout(std::time::Duration::from_secs(30), run(&url, line)).await;
        assert_eq!(ended.expect("it ends"), exit::FOUND, "{line}");
    }
    let error = json!({ "code": "close.key_refused", "message": "ask Close: 401", "help": "set `close.api.key`" });
    let connectors = json!([{ "name": "failed", "state": "failed", "tasks": [{ "error": error }] }]);
    let expected = "error: connector `failed` has failed: ask Close: 401\n  = help: set `close.api.key`\n";
    assert_eq!(shown::failure(&connectors, "failed").as_deref(), Some(expected));
    assert_eq!(shown::failure(&connectors, "close"), None);
}

#[tokio::test]
async fn a_request_that_is_watched_ends_with_the_state_of_its_snapshot() {
    let (url, control, _serving) = serve().await;
    let line = "start close --object lead --id lead_1 --id lead_2 --watch";
    assert_eq!(run(&url, line).await, exit::FOUND, "it awaits approval");
    let ids = vec!["lead_1".to_owned(), "lead_2".to_owned()];
    let expected = SnapshotRequest { objects: vec!["lead".to_owned()], ids, ..SnapshotRequest::default() };
    assert_eq!(*control.asked.lock().unwrap(), [expected]);
}
