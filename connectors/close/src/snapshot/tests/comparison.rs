//! Comparisons: what differs is published, what is gone is deleted, with a brake.

use std::collections::{BTreeMap, BTreeSet};

use reqwest::Method;
use serde_json::{Map, Value, json};
use towpath_api::{Key, Op, Version};

use super::laboratory::Laboratory;
use crate::{catalogue::kind, client::Lane, position::ObjectState, record, snapshot::known::Known};

#[tokio::test]
async fn a_comparison_without_changes_publishes_nothing() {
    let objects = "lead,contact,opportunity,task,note,email,call,custom_object,comment_thread,comment";
    let laboratory = Laboratory::new(40, objects).await;
    laboratory.until_run(1).await;
    laboratory.compares_now();
    let run = laboratory.until_run(2).await;
    for (name, object) in &run.objects {
        laboratory.shows_differences(name);
        assert_eq!((object.tally.published, object.tally.deleted), (0, 0), "{name}");
        assert!(object.tally.rows > 0, "{name}");
    }
    assert!(run.complete());
}

/// Case 50.
#[tokio::test]
async fn changes_without_an_event_are_found() {
    let laboratory = Laboratory::new(60, "lead,opportunity,note").await;
    laboratory.until_run(1).await;
    let lead = laboratory.truth("lead").await.into_values().next().unwrap();
    laboratory.control("scenarios/status_rename/", &json!({"id": lead["status_id"], "label": "Later"})).await;
    laboratory.control("scenarios/invisible_migration/", &json!({"count": 7})).await;
    laboratory.compares_now();
    let run = laboratory.until_run(2).await;
    assert!(run.objects["lead"].tally.published > 0);
    let truth = laboratory.truth("lead").await;
    let table = laboratory.topics.table("lead");
    for (id, row) in &truth {
        let label = format!("{:?}", table[id].1["status_label"]);
        assert!(label.contains(row["status_label"].as_str().unwrap()), "{id}: {label}");
    }
    laboratory.compares_now();
    let again = laboratory.until_run(3).await;
    assert_eq!(again.objects["lead"].tally.published, 0);
}

#[tokio::test]
async fn rows_that_are_gone_are_deleted() {
    let laboratory = Laboratory::new(40, "note,call").await;
    laboratory.until_run(1).await;
    let gone: Vec<String> = laboratory.true_ids("note").await.into_iter().take(3).collect();
    laboratory.delete("activity/note", &gone).await;
    laboratory.compares_now();
    let run = laboratory.until_run(2).await;
    assert_eq!(run.objects["note"].tally.deleted, 3);
    assert_eq!(laboratory.topics.ids("note"), laboratory.true_ids("note").await);
    assert!(run.complete());
}

#[tokio::test]
async fn too_many_deletes_wait_for_approval() {
    let laboratory = Laboratory::new(60, "note,call").await;
    laboratory.until_run(1).await;
    let all = laboratory.true_ids("note").await;
    let gone: Vec<String> = all.iter().take(20).cloned().collect();
    laboratory.delete("activity/note", &gone).await;
    laboratory.compares_now();
    let _running = laboratory.start().await;
    let run = laboratory.run_ends(2).await;
    assert_eq!(run.objects["note"].state, ObjectState::AwaitsApproval);
    assert_eq!(run.objects["call"].state, ObjectState::Done);
    assert_eq!(laboratory.topics.ids("note"), all, "nothing is deleted unasked");
    let none = BTreeMap::new;
    assert!(laboratory.report.approve(vec!["call".to_owned()], none()).await.unwrap_err().0.contains("note"));
    assert_eq!(laboratory.report.approve(Vec::new(), none()).await, Ok(vec!["note".to_owned()]));
    let run = laboratory.run_ends(3).await;
    assert_eq!(run.objects["note"].tally.deleted, 20);
    assert_eq!(laboratory.topics.ids("note"), laboratory.true_ids("note").await);
    assert!(laboratory.topics.position().held.is_empty());
}

#[tokio::test]
async fn an_approval_is_for_what_was_shown() {
    let laboratory = Laboratory::new(60, "note,call").await;
    laboratory.until_run(1).await;
    let all = laboratory.true_ids("note").await;
    let gone: Vec<String> = all.iter().take(60).cloned().collect();
    laboratory.delete("activity/note", &gone[..20]).await;
    laboratory.compares_now();
    let _running = laboratory.start().await;
    let shown = laboratory.run_ends(2).await.objects["note"].reason.clone().unwrap();
    assert!(shown.starts_with(&format!("Close no longer lists 20 of {} records", all.len())), "{shown}");
    // Then the key no longer sees many others.
    laboratory.delete("activity/note", &gone[20..]).await;
    laboratory.report.approve(Vec::new(), BTreeMap::new()).await.unwrap();
    let run = laboratory.run_ends(3).await;
    assert_eq!(run.objects["note"].state, ObjectState::AwaitsApproval);
    assert_eq!(laboratory.topics.ids("note"), all, "nothing was deleted");
    // Who still looks at the old number approves that one.
    let at_most = BTreeMap::from([("note".to_owned(), 20)]);
    laboratory.report.approve(Vec::new(), at_most).await.unwrap();
    assert_eq!(laboratory.run_ends(4).await.objects["note"].state, ObjectState::AwaitsApproval);
    laboratory.report.approve(Vec::new(), BTreeMap::new()).await.unwrap();
    assert_eq!(laboratory.run_ends(5).await.objects["note"].tally.deleted, 60);
    assert_eq!(laboratory.topics.ids("note"), laboratory.true_ids("note").await);
}

/// The delete of a row at a time after its last change, as the log tells of it.
async fn delete_by_log(laboratory: &Laboratory, object: &str, id: &str) {
    let (context, _publishing) = laboratory.context().await;
    let shape = context.structure().shape(kind(object).unwrap()).cloned().unwrap();
    let at = laboratory.topics.position().compared.unwrap();
    laboratory.topics.put(&record::missing(&shape, id, at, at.minus(std::time::Duration::from_hours(1))));
}

#[tokio::test]
async fn a_row_that_is_there_again_with_its_old_date_is_published() {
    let laboratory = Laboratory::new(20, "note,lead").await;
    laboratory.until_run(1).await;
    for object in ["note", "lead"] {
        let id = laboratory.topics.ids(object).into_iter().next().unwrap();
        delete_by_log(&laboratory, object, &id).await;
        assert!(!laboratory.topics.ids(object).contains(&id));
    }
    laboratory.compares_now();
    let run = laboratory.until_run(2).await;
    for object in ["note", "lead"] {
        assert_eq!(run.objects[object].tally.published, 1, "{object}");
        assert_eq!(laboratory.topics.ids(object), laboratory.true_ids(object).await, "{object}");
    }
    assert!(run.complete());
    laboratory.compares_now();
    assert_eq!(laboratory.until_run(3).await.objects["note"].tally.published, 0);
}

/// A search may show a lead for some time after its delete.
#[tokio::test]
async fn a_deleted_row_that_a_list_still_shows_stays_deleted() {
    let laboratory = Laboratory::new(20, "lead").await;
    laboratory.until_run(1).await;
    laboratory.switches(&json!({"search_lag_ms": 3_600_000}));
    let id = laboratory.topics.ids("lead").into_iter().next().unwrap();
    laboratory.delete("lead", [&id]).await;
    delete_by_log(&laboratory, "lead", &id).await;
    laboratory.compares_now();
    let run = laboratory.until_run(2).await;
    assert_eq!(run.objects["lead"].tally.rows, 20, "the search still has it");
    assert!(!laboratory.topics.ids("lead").contains(&id));
}

#[tokio::test]
async fn a_record_that_was_shortened_is_not_published_again() {
    let laboratory = Laboratory::new(10, "note").await;
    let (context, _publishing) = laboratory.context().await;
    laboratory.until_run(1).await;
    let id = laboratory.topics.ids("note").into_iter().next().unwrap();
    let row = context.close.get(Lane::Changes, &format!("activity/note/{id}/"), &[]).await.unwrap();
    let shape = context.structure().shape(kind("note").unwrap()).cloned().unwrap();
    let (mut event, _) = record::read_row(&shape, &row.body, row.read_at).unwrap();
    // As `fit` publishes it.
    for (name, value) in event.after.iter_mut().flatten().filter(|(name, _)| name.starts_with("note")) {
        println!("{name} is left out");
        *value = apache_avro::types::Value::Null;
    }
    event.version = event.version.map(|version| Version { seq: i64::MAX / 2, ..version });
    laboratory.topics.put(&event);
    assert_eq!(laboratory.topics.table("note")[&id].1["note"], "Null");
    laboratory.compares_now();
    assert_eq!(laboratory.until_run(2).await.objects["note"].tally.published, 0);
}

#[tokio::test]
async fn children_of_a_lead_that_is_gone_do_not_count_for_the_brake() {
    let laboratory = Laboratory::new(60, "lead,note,created").await;
    laboratory.until_run(1).await;
    // Leads with many notes: fewer than five leads, more than five notes.
    let mut leads: Vec<(usize, String)> = Vec::new();
    let notes = laboratory.truth("note").await;
    for lead in laboratory.true_ids("lead").await {
        leads.push((notes.values().filter(|note| note["lead_id"] == *lead).count(), lead));
    }
    leads.sort_unstable();
    let gone: Vec<String> = leads.into_iter().rev().take(4).map(|(_, lead)| lead).collect();
    laboratory.delete("lead", &gone).await;
    laboratory.compares_now();
    let run = laboratory.until_run(2).await;
    assert!(run.objects["note"].tally.deleted > 5, "{:?}", run.objects["note"]);
    for object in ["lead", "note", "created"] {
        assert_eq!(laboratory.topics.ids(object), laboratory.true_ids(object).await, "{object}");
    }
}

#[tokio::test]
async fn rows_that_a_list_leaves_out_are_kept() {
    let laboratory = Laboratory::new(60, "note").await;
    laboratory.until_run(1).await;
    laboratory.switches(&json!({"short_pages": 0.2}));
    laboratory.compares_now();
    let run = laboratory.until_run(2).await;
    assert_eq!(run.objects["note"].tally.deleted, 0);
    assert!(run.complete() && run.objects["note"].tally.published == 0);
    assert_eq!(laboratory.topics.ids("note"), laboratory.true_ids("note").await);
}

/// A row as Close shows it by its id, changed by `change`, as a record of the log would have it.
async fn put_changed(laboratory: &Laboratory, object: &str, change: impl FnOnce(&mut Map<String, Value>)) -> String {
    let (context, _publishing) = laboratory.context().await;
    let id = laboratory.topics.ids(object).into_iter().next().unwrap();
    let kind = kind(object).unwrap();
    let mut row = context.close.get(Lane::Changes, &format!("{}{id}/", kind.path), &[]).await.unwrap();
    change(&mut row.body);
    let shape = context.structure().shape(kind).cloned().unwrap();
    let (event, _) = record::read_row(&shape, &row.body, row.read_at).unwrap();
    laboratory.topics.put(&event);
    id
}

#[tokio::test]
async fn a_newer_record_of_the_log_is_not_overwritten_by_a_search_that_lags() {
    let laboratory = Laboratory::new(10, "lead").await;
    laboratory.until_run(1).await;
    laboratory.switches(&json!({"search_lag_ms": 3_600_000}));
    let id = laboratory.topics.ids("lead").into_iter().next().unwrap();
    laboratory.write(Method::PUT, &format!("lead/{id}/"), &json!({"description": "changed"})).await;
    // The log has told of the change.
    put_changed(&laboratory, "lead", |_| {}).await;
    laboratory.compares_now();
    let run = laboratory.until_run(2).await;
    assert_eq!(run.objects["lead"].tally.published, 0);
    assert!(laboratory.topics.table("lead")[&id].1["description"].contains("changed"));
}

#[tokio::test]
async fn a_field_that_a_search_does_not_give_is_not_taken_out() {
    let laboratory = Laboratory::new(5, "lead").await;
    laboratory.until_run(1).await;
    let (context, _publishing) = laboratory.context().await;
    let (lead, id) = (kind("lead").unwrap(), laboratory.topics.ids("lead").into_iter().next().unwrap());
    let row = context.close.get(Lane::Changes, &format!("lead/{id}/"), &[]).await.unwrap();
    let shape = context.structure().shape(lead).cloned().unwrap();
    let event = |row: &Map<String, Value>, read_at| record::read_row(&shape, row, read_at).unwrap().0;
    let mut known = Known::read(&laboratory.topics, "lead").await.unwrap();
    let mut found = row.body.clone();
    found.remove("display_name").expect("a field that each lead has");
    assert!(!known.compare(&mut event(&found, row.read_at), false));
    assert_eq!(known.doubtful(), [id], "it is read by its id");
    assert!(!known.differs(&mut event(&row.body, row.read_at)), "and has not changed");
    // What a list gives whole has changed in silence.
    assert!(known.compare(&mut event(&found, row.read_at), true));
}

/// The revert of an import sets dates back (`close-api.md`, 8.2), and the record of before is newer then.
#[tokio::test]
async fn a_row_whose_date_was_set_back_is_published_once() {
    let laboratory = Laboratory::new(10, "note,lead").await;
    laboratory.until_run(1).await;
    for (object, field) in [("note", "note"), ("lead", "description")] {
        let id = put_changed(&laboratory, object, |row| {
            row.insert(field.to_owned(), json!("before the revert"));
            row.insert("date_updated".to_owned(), json!("2031-01-01T00:00:00+00:00"));
        });
        let id = id.await;
        assert!(laboratory.topics.table(object)[&id].1[field].contains("before the revert"));
        laboratory.compares_now();
        let generation = laboratory.topics.position().generation + 1;
        let run = laboratory.until_run(generation).await;
        assert_eq!(run.objects[object].tally.published, 1, "{object}");
        assert!(!laboratory.topics.table(object)[&id].1[field].contains("before the revert"), "{object}");
        laboratory.compares_now();
        assert_eq!(laboratory.until_run(generation + 1).await.objects[object].tally.published, 0, "{object}");
    }
}

#[tokio::test]
async fn a_comparison_that_is_killed_deletes_no_more_than_what_is_gone() {
    let laboratory = Laboratory::new(120, "note,email").await.key("snapshot.readers", "1");
    laboratory.until_run(1).await;
    let gone: Vec<String> = laboratory.true_ids("note").await.into_iter().take(2).collect();
    laboratory.delete("activity/note", &gone).await;
    laboratory.compares_now();
    for _ in 0..3 {
        laboratory.topics.fail_after(Some(3));
        laboratory.start().await.ends().await.expect("it is killed");
    }
    laboratory.topics.fail_after(None);
    laboratory.until_run(2).await;
    for object in ["note", "email"] {
        assert_eq!(laboratory.topics.ids(object), laboratory.true_ids(object).await, "{object}");
    }
    let deleted: BTreeSet<Key> = laboratory
        .topics
        .records("note")
        .into_iter()
        .filter(|record| record.op == Some(Op::Delete))
        .map(|record| record.key)
        .collect();
    assert_eq!(deleted, gone.into_iter().map(Key::Text).collect());
}

#[tokio::test]
async fn a_gap_in_the_log_is_made_good_by_a_comparison() {
    let laboratory = Laboratory::new(10, "note").await;
    laboratory.until_run(1).await;
    let gap = laboratory.topics.position().compared.unwrap().plus(std::time::Duration::from_millis(1));
    laboratory.topics.change_position(|position| position.gap = Some(gap));
    let run = laboratory.until_run(2).await;
    assert!(run.reason.contains("event log"), "{}", run.reason);
}
