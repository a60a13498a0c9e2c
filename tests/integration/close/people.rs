//! What people see and decide: letters, the record of each run, the status, the commands.

use serde_json::json;

use super::{
    ARRIVAL,
    laboratory::{Organization, reader, snapshot},
    mailbox::Mailbox,
};
use crate::{
    stack::{database, rows, rows_become, shared, try_for},
    worker::Worker,
};

/// Runs `towpath snapshot <arguments>` for the worker; returns the exit code and what it printed.
fn snapshots(worker: &Worker, arguments: &[&str]) -> (Option<i32>, String) {
    let connector = format!("close-{}", worker.name);
    let (command, more) = arguments.split_first().expect("a command");
    let line = [&["snapshot", command, &connector, "--url", worker.rest()], more].concat();
    let output = worker.command(&line);
    let text = [output.stdout, output.stderr].map(|text| String::from_utf8(text).expect("text")).concat();
    (output.status.code(), text)
}

#[tokio::test(flavor = "multi_thread")]
async fn after_a_month_away_letters_tell_of_it_and_many_deletes_wait_for_a_person() {
    let _stack = shared().await;
    let (organization, mailbox) = (Organization::with_leads(40, 3).await, Mailbox::open().await);
    let keys = format!("objects = \"lead,note\"\n{}", mailbox.keys());
    let mut worker = reader("people", &organization, &keys).start().await;
    let (client, name) = (database().await, worker.name.clone());
    let first = mailbox.letter(0, "everything is copied").await;
    assert!(first.contains("Is anything missing?") && first.contains("No. For 2 kinds of data"), "{first}");
    let sync_run =
        format!("SELECT generation, kind, complete, objects->'lead'->'check'->>'agrees' FROM {name}.sync_run");
    rows_become(&client, &sync_run, &["1|first|t|true"]).await;
    let live = format!("SELECT count(*) FROM {name}.note_live");
    let notes = organization.truth("note").await;
    rows_become(&client, &live, &[&notes.len().to_string()]).await;

    worker.kill();
    for note in &notes[..notes.len() / 2] {
        let path = format!("activity/note/{}/", note["id"].as_str().expect("an id"));
        organization.api("DELETE", &path, None).await;
    }
    organization.control("clock/", json!({ "advance_secs": 31 * 86_400 })).await;
    worker.spawn();
    worker.is_ready().await;
    mailbox.letter(1, "after a long pause").await;
    let asks = mailbox.letter(2, "your approval is needed for deleting notes").await;
    assert!(asks.contains(&format!("towpath snapshot approve close-{name} --object note")), "{asks}");
    assert_eq!(snapshot(&worker).await["state"], "awaits_approval");
    let (code, shown) = snapshots(&worker, &["status", "--watch"]);
    assert_eq!(code, Some(1), "{shown}");
    assert!(shown.contains("1 object needs attention:\n  note  awaits approval  "), "{shown}");
    assert_eq!(rows(&client, &live).await, [notes.len().to_string()], "nothing is deleted unasked");

    let (code, shown) = snapshots(&worker, &["approve"]);
    assert_eq!(code, Some(2), "a script must say --yes: {shown}");
    assert_eq!(snapshots(&worker, &["approve", "--object", "lead", "--yes"]).0, Some(75));
    let (code, shown) = snapshots(&worker, &["approve", "--object", "note", "--yes"]);
    assert_eq!(code, Some(0), "{shown}");
    let left = organization.truth("note").await.len();
    rows_become(&client, &live, &[&left.to_string()]).await;
    mailbox.letter(3, "what you approved was deleted").await;
    let calm = try_for(ARRIVAL, || async { (snapshot(&worker).await["state"] == "complete").then_some(()) });
    assert!(calm.await.is_some(), "{}", snapshot(&worker).await);
    let kinds = format!("SELECT kind FROM {name}.sync_run ORDER BY generation");
    rows_become(&client, &kinds, &["first", "comparison", "approved"]).await;
}

#[tokio::test(flavor = "multi_thread")]
async fn a_part_is_read_again_when_a_person_asks_for_it() {
    let _stack = shared().await;
    let organization = Organization::with_leads(20, 4).await;
    let worker = reader("asked", &organization, "objects = \"lead,note\"\n").start().await;
    let (code, shown) = snapshots(&worker, &["status", "--watch"]);
    assert_eq!(code, Some(0), "{shown}");
    let lead = organization.truth("lead").await[0]["id"].as_str().expect("an id").to_owned();
    let (code, shown) = snapshots(&worker, &["start", "--object", "lead", "--id", &lead, "--watch"]);
    assert_eq!(code, Some(0), "{shown}");
    assert!(shown.contains("last snapshot: 2 (requested)") && shown.contains(": 1 record; complete"), "{shown}");
    let (code, shown) = snapshots(&worker, &["start", "--object", "led"]);
    assert_eq!(code, Some(65), "{shown}");
    assert!(shown.contains("did you mean `lead`?"), "{shown}");
}
