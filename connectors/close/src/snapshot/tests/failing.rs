//! Objects and rows that Close does not give.

use std::time::Duration;

use reqwest::Method;
use serde_json::json;

use super::laboratory::Laboratory;
use crate::{client::tests::set_faults, position::ObjectState};

#[tokio::test]
async fn an_object_that_keeps_failing_is_left_out_and_read_by_the_next_run() {
    let mut laboratory = Laboratory::new(20, "note,call").await;
    laboratory.patience = Duration::from_secs(1);
    set_faults(&laboratory.close, &[json!({"endpoint": "GET activity/note", "kind": "status", "status": 500})]);
    let run = laboratory.until_run(1).await;
    let note = &run.objects["note"];
    assert_eq!((note.state, run.objects["call"].state), (ObjectState::Skipped, ObjectState::Done));
    assert!(note.reason.as_ref().is_some_and(|reason| reason.contains("answers other requests")), "{note:?}");
    set_faults(&laboratory.close, &[]);
    laboratory.compares_now();
    let run = laboratory.until_run(2).await;
    assert_eq!(run.objects["note"].state, ObjectState::Done);
    assert_eq!(laboratory.topics.ids("note"), laboratory.true_ids("note").await);
}

#[tokio::test]
async fn a_row_that_close_refuses_costs_itself_alone() {
    let laboratory = Laboratory::new(5, "group,lead").await;
    let mut groups = Vec::new();
    for name in ["one", "two", "three"] {
        let row = laboratory.write(Method::POST, "group/", &json!({"name": name, "members": []})).await;
        groups.push(row["id"].as_str().unwrap().to_owned());
    }
    // The rows that a search is compared with are refused as well.
    let refused = |endpoint: String, status: u16| json!({"endpoint": endpoint, "kind": "status", "status": status});
    let faults = [refused(format!("GET group/{}", groups[1]), 400), refused("GET lead".to_owned(), 403)];
    set_faults(&laboratory.close, &faults);
    let run = laboratory.until_run(1).await;
    let group = &run.objects["group"];
    assert_eq!((group.state, group.tally.unusable), (ObjectState::Done, 1), "{group:?}");
    let mut expected = laboratory.true_ids("group").await;
    expected.remove(&groups[1]);
    assert_eq!(laboratory.topics.ids("group"), expected);
    assert_eq!(run.objects["lead"].state, ObjectState::Done);
    assert_eq!(laboratory.topics.ids("lead"), laboratory.true_ids("lead").await);
    // It is not taken for gone, and is read once Close gives it.
    set_faults(&laboratory.close, &[]);
    laboratory.compares_now();
    laboratory.until_run(2).await;
    assert_eq!(laboratory.topics.ids("group"), laboratory.true_ids("group").await);
}

#[tokio::test]
async fn a_page_that_is_too_large_is_read_in_parts_and_a_row_that_is_left_out() {
    let mut laboratory = Laboratory::new(60, "note,lead").await;
    laboratory.largest = 50_000;
    let text = "x".repeat(60_000);
    let lead = laboratory.true_ids("lead").await.into_iter().next().unwrap();
    let mut large = Vec::new();
    for (object, path, body) in [
        ("note", "activity/note/", json!({"lead_id": lead, "note": text})),
        ("lead", "lead/", json!({"name": "Large", "description": text})),
    ] {
        let row = laboratory.write(Method::POST, path, &body).await;
        large.push((object, row["id"].as_str().unwrap().to_owned()));
    }
    let run = laboratory.until_run(1).await;
    for (object, id) in large {
        let mut expected = laboratory.true_ids(object).await;
        expected.remove(&id);
        assert_eq!(laboratory.topics.ids(object), expected, "{object}");
        let end = &run.objects[object];
        assert_eq!((end.state, end.tally.unusable), (ObjectState::Done, 1), "{object}: {end:?}");
    }
}
