//! The first snapshot.

use std::collections::{BTreeMap, BTreeSet};

use serde_json::json;
use towpath_api::Key;

use super::laboratory::{Laboratory, Topics};
use crate::{
    client::tests as client,
    position::{ObjectState, SnapshotRequest},
    report::Report,
};

/// Objects whose truth has the same name.
const OBJECTS: &str = "lead,contact,opportunity,note,call,email,email_thread,sms,whatsapp_message,meeting,\
                       custom_activity,created,form_submission,lead_status_change,opportunity_status_change,\
                       task_completed,custom_object,comment_thread,comment,sequence,sequence_subscription,\
                       custom_object_type,email_template";

fn objects() -> impl Iterator<Item = &'static str> {
    OBJECTS.split(',').map(str::trim)
}

/// How often each id is in a topic.
fn times(topics: &Topics, object: &str) -> BTreeMap<String, usize> {
    let mut times = BTreeMap::new();
    for record in topics.records(object) {
        let Key::Text(id) = record.key else { panic!("ids are text") };
        *times.entry(id).or_default() += 1;
    }
    times
}

#[tokio::test]
async fn each_row_of_each_object_is_published_once() {
    let laboratory = Laboratory::new(60, OBJECTS).await;
    let run = laboratory.until_run(1).await;
    for object in objects() {
        let times = times(&laboratory.topics, object);
        assert_eq!(times.keys().cloned().collect::<BTreeSet<_>>(), laboratory.true_ids(object).await, "{object}");
        assert!(times.values().all(|times| *times == 1), "{object}");
        assert_eq!(run.objects[object].state, ObjectState::Done, "{object}");
        let check = run.objects[object].check.clone().unwrap();
        assert!(check.agrees() && check.ids.meanwhile == 0, "{object}: {check:?}");
        assert_eq!(check.ids.listed, times.len() as u64, "{object}");
        // Only lists of parents and bare lists have no number.
        let uncounted = ["custom_object", "comment", "sequence_subscription", "custom_object_type", "comment_thread"];
        assert!(check.count.is_some() || uncounted.contains(&object), "{object}");
        assert!(check.count.is_none() || object != "comment" && object != "custom_object", "{object}");
    }
    assert!(run.complete() && run.rows() > 500);
    let position = laboratory.topics.position();
    assert!(position.snapshot.is_none() && position.compared == Some(run.began));
    assert!(objects().all(|object| position.whole.contains_key(object)));
}

#[tokio::test]
async fn quirk_10_tasks_of_all_types_are_read() {
    let laboratory = Laboratory::new(40, "task").await;
    laboratory.until_run(1).await;
    let ids = laboratory.topics.ids("task");
    assert!(ids.iter().any(|id| id.starts_with("task_")) && ids.iter().any(|id| id.starts_with("noti_")));
}

/// Case 44: more rows than `_skip` reaches, and pages that lack rows which Close cannot show.
#[tokio::test]
async fn quirk_07_more_rows_than_skips_are_cut_by_their_dates() {
    let laboratory = Laboratory::new(300, "email,lead,contact,note").await;
    laboratory.switches(&json!({"max_skip": 200}));
    laboratory.control("scenarios/email_backfill/", &json!({"count": 900, "years": 6})).await;
    let run = laboratory.until_run(1).await;
    assert!(run.complete());
    for object in ["email", "lead", "contact", "note"] {
        assert_eq!(laboratory.topics.ids(object), laboratory.true_ids(object).await, "{object}");
        assert!(times(&laboratory.topics, object).values().all(|times| *times == 1), "{object}");
    }
}

#[tokio::test]
async fn quirk_07_short_pages_lose_only_what_close_never_lists() {
    let laboratory = Laboratory::new(150, "email,note").await;
    laboratory.switches(&json!({"max_skip": 200, "short_pages": 0.1}));
    laboratory.control("scenarios/email_backfill/", &json!({"count": 900, "years": 6})).await;
    laboratory.until_run(1).await;
    let (ids, truth) = (laboratory.topics.ids("email"), laboratory.true_ids("email").await);
    assert!(ids.is_subset(&truth) && ids.len() * 100 > truth.len() * 80, "{} of {}", ids.len(), truth.len());
    // The simulator never lists these, whichever page is asked for.
    let client = client::client(&laboratory.close);
    for id in truth.difference(&ids) {
        let answer = client.get(crate::client::Lane::Snapshot, "activity/email/", &[("id__in", id)]).await.unwrap();
        assert_eq!(answer.body["data"], json!([]), "{id} could have been read");
    }
}

#[tokio::test]
async fn kills_cost_the_pages_in_flight_and_publish_nothing_twice() {
    let mut laboratory =
        Laboratory::new(300, "lead,contact,opportunity,note,email,call").await.key("snapshot.readers", "2");
    laboratory.until_run(1).await;
    let baseline = laboratory.requests("").await;
    laboratory.topics.clear_records();
    laboratory.topics.change_position(|position| {
        *position = crate::position::ClosePosition { log: position.log, ..Default::default() };
    });
    laboratory.report = Report::default();
    let (mut kills, mut opening) = (0_u64, 0);
    loop {
        let before = laboratory.requests("").await;
        let context = laboratory.context().await;
        opening += laboratory.requests("").await - before;
        drop(context);
        laboratory.topics.fail_after(Some(5));
        let running = laboratory.start().await;
        if running.ends().await.is_none() {
            break;
        }
        kills += 1;
        assert!(kills < 100);
    }
    laboratory.topics.fail_after(None);
    let run = laboratory.run_ends(1).await;
    assert!(kills >= 5 && run.complete(), "{kills}");
    for object in ["lead", "contact", "opportunity", "note", "email", "call"] {
        assert_eq!(laboratory.topics.ids(object), laboratory.true_ids(object).await, "{object}");
        assert!(times(&laboratory.topics, object).values().all(|times| *times == 1), "{object}");
    }
    // A process also reads the structure when it begins, and checks the fields of searches: three rows of two objects.
    let again = laboratory.requests("").await - baseline - 2 * opening;
    let allowed = baseline + (kills + 1) * 6 + kills * 2 + baseline / 100;
    assert!(again <= allowed, "{again} requests with {kills} kills, {baseline} without");
}

#[tokio::test]
async fn a_page_shift_while_the_snapshot_runs_hides_no_row() {
    let laboratory = Laboratory::new(200, "lead,contact,opportunity,note,email,task").await;
    let running = laboratory.start().await;
    laboratory.topics.until(|topics| (topics.records("note").len() >= 100).then_some(())).await;
    laboratory.control("scenarios/page_shift/", &json!({"deletes": 5})).await;
    laboratory.run_ends(1).await;
    drop(running);
    for object in ["lead", "contact", "opportunity", "note", "email"] {
        let missing: Vec<_> =
            laboratory.true_ids(object).await.difference(&laboratory.topics.ids(object)).cloned().collect();
        assert_eq!(missing, Vec::<String>::new(), "{object}");
    }
}

#[tokio::test]
async fn rows_of_a_search_equal_the_rows_by_id() {
    for switches in [json!({}), json!({"unknown_fields": true})] {
        let laboratory = Laboratory::new(30, "lead,contact").await;
        laboratory.switches(&switches);
        laboratory.until_run(1).await;
        let (context, _publishing) = laboratory.context().await;
        for object in ["lead", "contact"] {
            let kind = crate::catalogue::kind(object).unwrap();
            for (id, (_, fields)) in laboratory.topics.table(object) {
                let path = format!("{object}/{id}/");
                let row = context.close.get(crate::client::Lane::Snapshot, &path, &[]).await.unwrap();
                let shape = context.structure().shape(kind).cloned().unwrap();
                let (event, _) = crate::record::read_row(&shape, &row.body, row.read_at).unwrap();
                let whole = event.after.unwrap().into_iter().map(|(name, value)| (name, format!("{value:?}")));
                assert_eq!(fields, whole.collect::<BTreeMap<_, _>>(), "{switches}");
            }
        }
    }
}

#[tokio::test]
async fn meetings_in_the_future_and_old_mail_are_read() {
    let laboratory = Laboratory::new(20, "meeting,email").await;
    laboratory.control("scenarios/future_meetings/", &json!({"count": 5, "days": 300})).await;
    laboratory.control("scenarios/email_backfill/", &json!({"count": 40, "years": 60})).await;
    laboratory.until_run(1).await;
    for object in ["meeting", "email"] {
        assert_eq!(laboratory.topics.ids(object), laboratory.true_ids(object).await, "{object}");
    }
}

#[tokio::test]
async fn an_object_without_a_right_is_skipped_and_the_others_go_on() {
    let laboratory = Laboratory::new(20, "call,note").await;
    client::set_faults(&laboratory.close, &[json!({"endpoint": "GET activity/call", "kind": "status", "status": 403})]);
    let run = laboratory.until_run(1).await;
    assert_eq!(run.objects["call"].state, ObjectState::Skipped);
    assert_eq!(run.objects["note"].state, ObjectState::Done);
    assert!(!run.complete() && laboratory.topics.ids("call").is_empty());
    assert_eq!(laboratory.topics.ids("note"), laboratory.true_ids("note").await);
    // The next comparison tries again.
    client::set_faults(&laboratory.close, &[]);
    laboratory.compares_now();
    let run = laboratory.until_run(2).await;
    assert!(run.complete() && laboratory.topics.position().held.is_empty());
    assert_eq!(laboratory.topics.ids("call"), laboratory.true_ids("call").await);
}

#[tokio::test]
async fn nothing_is_read_before_the_mark_of_the_log_is_fixed() {
    let laboratory = Laboratory::new(5, "note").await;
    laboratory.topics.change_position(|position| position.log = None);
    let running = laboratory.start().await;
    let before = laboratory.requests("GET activity/note").await;
    tokio::time::sleep(std::time::Duration::from_millis(300)).await;
    assert_eq!(laboratory.requests("GET activity/note").await, before);
    running.context.outbox.publish(Vec::new(), |position| position.log = Some(crate::moment::Moment(1))).await.unwrap();
    laboratory.run_ends(1).await;
    assert_eq!(laboratory.topics.ids("note"), laboratory.true_ids("note").await);
}

#[tokio::test]
async fn an_object_that_is_added_later_is_read_alone() {
    let mut laboratory = Laboratory::new(10, "note").await;
    laboratory.until_run(1).await;
    let notes = laboratory.topics.records("note").len();
    laboratory.set("objects", "note,call");
    let run = laboratory.until_run(2).await;
    assert_eq!(run.objects.keys().collect::<Vec<_>>(), ["call"]);
    assert_eq!(laboratory.topics.records("note").len(), notes);
    assert_eq!(laboratory.topics.ids("call"), laboratory.true_ids("call").await);
}

#[tokio::test]
async fn an_object_that_is_excluded_needs_no_attention_and_is_read_whole_later() {
    let mut laboratory = Laboratory::new(20, "call,note").await;
    client::set_faults(&laboratory.close, &[json!({"endpoint": "GET activity/call", "kind": "status", "status": 403})]);
    laboratory.until_run(1).await;
    laboratory.set("objects", "note");
    let forgets = |object: &'static str| {
        move |topics: &Topics| {
            let position = topics.position();
            (!position.held.contains_key(object) && !position.whole.contains_key(object)).then_some(())
        }
    };
    let running = laboratory.start().await;
    laboratory.topics.until(forgets("call")).await;
    drop(running);
    laboratory.compares_now();
    let running = laboratory.start().await;
    assert!(running.ends().await.is_none(), "the comparison ends");
    assert_eq!(laboratory.report.status().state, towpath_api::SnapshotState::Complete);
    client::set_faults(&laboratory.close, &[]);
    laboratory.set("objects", "call");
    let run = laboratory.until_run(3).await;
    assert_eq!(run.objects.keys().collect::<Vec<_>>(), ["call"]);
    let _running = laboratory.start().await;
    laboratory.topics.until(forgets("note")).await;
}

/// Close counts rows that it cannot list: nobody else could notice.
#[tokio::test]
async fn rows_that_close_counts_and_never_lists_are_a_difference() {
    let laboratory = Laboratory::new(150, "email,note").await;
    laboratory.switches(&json!({"short_pages": 0.1}));
    let _running = laboratory.start().await;
    let run = laboratory.run_ends(1).await;
    let (missing, check) =
        (laboratory.true_ids("note").await.len() - laboratory.topics.ids("note").len(), &run.objects["note"].check);
    let count = check.as_ref().and_then(|check| check.count.clone()).unwrap();
    assert!(missing > 0 && count.close - count.here == missing as u64 && !run.complete(), "{check:?}");
    assert!(check.as_ref().is_some_and(|check| check.ids.agree()), "what was listed is there");
    // What differs is compared again at once, and then as usual.
    let again = laboratory.run_ends(2).await;
    assert!(again.reason.contains("differ") && !again.whole && !again.complete(), "{}", again.reason);
    let held = laboratory.topics.until(|topics| topics.position().held.remove("note").filter(|held| held.again)).await;
    let status = laboratory.report.status();
    assert_eq!(status.state, towpath_api::SnapshotState::Incomplete);
    let note = status.held.iter().find(|object| object.name == "note").and_then(|object| object.note.clone()).unwrap();
    assert!(note.contains(&format!("Close counts {missing} more than the copy has")), "{note}: {held:?}");
    // The rows can be listed again.
    laboratory.switches(&json!({"short_pages": 0.0}));
    laboratory.report.request(SnapshotRequest::default()).await.unwrap();
    let run = laboratory.run_ends(3).await;
    assert!(run.complete() && laboratory.topics.position().held.is_empty());
    assert_eq!(laboratory.topics.ids("note"), laboratory.true_ids("note").await);
}

#[tokio::test]
async fn a_record_that_is_lost_on_its_way_is_a_difference() {
    let laboratory = Laboratory::new(20, "note").await.key("snapshot.mode", "never");
    laboratory.topics.change_position(|position| position.requests.push(SnapshotRequest::default()));
    laboratory.topics.loses("note", 3);
    let run = laboratory.until_run(1).await;
    let check = run.objects["note"].check.clone().unwrap();
    let count = check.count.clone().unwrap();
    assert_eq!((check.ids.listed - check.ids.here, count.close - count.here), (3, 3), "{check:?}");
    assert!(!run.complete());
}

#[tokio::test]
async fn changes_while_the_snapshot_reads_are_no_difference() {
    let laboratory = Laboratory::new(100, "note,call").await.key("snapshot.readers", "1");
    let _running = laboratory.start().await;
    laboratory.topics.until(|topics| (topics.records("note").len() >= 100).then_some(())).await;
    // Some of these were read already. The log would tell of them.
    let gone: Vec<String> = laboratory.topics.ids("note").into_iter().take(4).collect();
    laboratory.delete("activity/note", &gone).await;
    let (context, _publishing) = laboratory.context().await;
    let shape = context.structure().shape(crate::catalogue::kind("note").unwrap()).cloned().unwrap();
    let (now, began) = (context.close.now().unwrap(), laboratory.topics.position().snapshot.unwrap().began);
    for id in &gone {
        laboratory.topics.put(&crate::record::missing(&shape, id, now, began));
    }
    let run = laboratory.run_ends(1).await;
    assert_eq!(run.objects["note"].check.as_ref().map(|check| check.ids.meanwhile), Some(4));
    assert!(run.complete(), "{:?}", run.objects["note"].check);
}

#[tokio::test]
async fn close_says_how_many_rows_are_expected() {
    let laboratory = Laboratory::new(40, "note").await;
    let (context, _publishing) = laboratory.context().await;
    for object in ["lead", "contact", "opportunity"] {
        let kind = crate::catalogue::kind(object).unwrap();
        let number = super::super::count::expected(&context.close, kind).await.unwrap();
        assert_eq!(number, Some(laboratory.true_ids(object).await.len() as u64), "{object}");
    }
    let kind = crate::catalogue::kind("comment").unwrap();
    assert_eq!(super::super::count::expected(&context.close, kind).await.unwrap(), None);
    // The number of activities is searched, whatever is guessed.
    let notes = laboratory.true_ids("note").await.len() as u64;
    let kind = crate::catalogue::kind("note").unwrap();
    let began = context.close.now().unwrap();
    for guess in [0, 1, 2, notes / 3, notes - 1, notes, notes + 1, notes * 9] {
        let counted = super::super::count::count(&context.close, kind, began, guess).await.unwrap();
        assert_eq!(counted.map(|(number, _)| number), Some(notes), "{guess}");
    }
}

#[tokio::test]
async fn quirk_12_lists_of_parents_that_are_not_selected_are_read() {
    let objects = ["custom_object", "comment", "sequence_subscription"];
    let laboratory = Laboratory::new(40, &objects.join(",")).await;
    laboratory.until_run(1).await;
    for object in objects {
        let ids = laboratory.topics.ids(object);
        assert!(!ids.is_empty());
        assert_eq!(ids, laboratory.true_ids(object).await, "{object}");
    }
}
