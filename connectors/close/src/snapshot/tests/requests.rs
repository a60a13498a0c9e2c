//! Snapshots that people ask for.

use std::collections::{BTreeMap, BTreeSet};

use towpath_api::{Key, Op};

use super::laboratory::Laboratory;
use crate::{moment::Moment, position::SnapshotRequest};

fn of(object: &str) -> SnapshotRequest {
    SnapshotRequest { objects: vec![object.to_owned()], ..SnapshotRequest::default() }
}

#[tokio::test]
async fn a_requested_object_is_published_again_even_if_equal() {
    let laboratory = Laboratory::new(20, "note,call").await;
    let _running = laboratory.start().await;
    laboratory.run_ends(1).await;
    let (notes, calls) = (laboratory.topics.records("note").len(), laboratory.topics.records("call").len());
    laboratory.report.request(of("note")).await.unwrap();
    let run = laboratory.run_ends(2).await;
    assert_eq!(run.objects.keys().collect::<Vec<_>>(), ["note"]);
    assert_eq!(laboratory.topics.records("note").len(), 2 * notes);
    assert_eq!(laboratory.topics.records("call").len(), calls);
    assert!(laboratory.topics.position().requests.is_empty());
}

#[tokio::test]
async fn a_range_of_time_is_published_again() {
    let laboratory = Laboratory::new(60, "note,lead").await;
    let _running = laboratory.start().await;
    laboratory.run_ends(1).await;
    for (number, object) in [(2, "note"), (3, "lead")] {
        let created = |row: &serde_json::Value| Moment::parse(row["date_created"].as_str().unwrap()).unwrap();
        let truth = laboratory.truth(object).await;
        let mut dates: Vec<Moment> = truth.values().map(created).collect();
        dates.sort_unstable();
        let (since, until) = (dates[dates.len() / 4].second(), dates[dates.len() / 2].second());
        let wanted: BTreeSet<String> =
            truth.iter().filter(|(_, row)| (since..until).contains(&created(row))).map(|(id, _)| id.clone()).collect();
        let before = laboratory.topics.records(object).len();
        let request = SnapshotRequest { since: Some(since), until: Some(until), ..of(object) };
        laboratory.report.request(request).await.unwrap();
        laboratory.run_ends(number).await;
        let records = laboratory.topics.records(object).split_off(before);
        let read: BTreeSet<String> = records.into_iter().map(|record| record.key.to_string()).collect();
        assert_eq!(read, wanted, "{object}");
    }
}

#[tokio::test]
async fn rows_by_id_are_published_and_those_that_are_gone_deleted() {
    let laboratory = Laboratory::new(20, "note").await;
    let _running = laboratory.start().await;
    laboratory.run_ends(1).await;
    let ids: Vec<String> = laboratory.true_ids("note").await.into_iter().take(3).collect();
    laboratory.delete("activity/note", [&ids[0]]).await;
    let before = laboratory.topics.records("note").len();
    let mut asked = ids.clone();
    asked.push("acti_never".to_owned());
    laboratory.report.request(SnapshotRequest { ids: asked, ..of("note") }).await.unwrap();
    laboratory.run_ends(2).await;
    let records = laboratory.topics.records("note").split_off(before);
    let mut told: Vec<(Key, Option<Op>)> = records.into_iter().map(|record| (record.key, record.op)).collect();
    told.sort_by_key(|(key, _)| key.to_string());
    let key = |id: &String| Key::Text(id.clone());
    let expected = [(&ids[0], Op::Delete), (&ids[1], Op::Read), (&ids[2], Op::Read)];
    assert_eq!(told, expected.map(|(id, op)| (key(id), Some(op))));
}

#[tokio::test]
async fn a_request_survives_kills_and_goes_on() {
    let laboratory = Laboratory::new(150, "note,call").await.key("snapshot.readers", "1");
    laboratory.until_run(1).await;
    let before = laboratory.topics.records("note").len();
    laboratory.topics.change_position(|position| position.requests.push(of("note")));
    for _ in 0..3 {
        laboratory.topics.fail_after(Some(2));
        laboratory.start().await.ends().await.expect("it is killed");
    }
    laboratory.topics.fail_after(None);
    let run = laboratory.until_run(2).await;
    assert_eq!(run.objects["note"].tally.rows, before as u64);
    assert_eq!(laboratory.topics.records("note").len(), 2 * before);
}

#[tokio::test]
async fn a_request_waits_for_the_run_under_way() {
    let laboratory = Laboratory::new(60, "note,call").await;
    let _running = laboratory.start().await;
    laboratory.topics.until(|topics| topics.position().snapshot.map(drop)).await;
    laboratory.report.request(of("call")).await.unwrap();
    let run = laboratory.run_ends(2).await;
    assert_eq!(run.objects.keys().collect::<Vec<_>>(), ["call"]);
}

#[tokio::test]
async fn what_the_connector_does_not_read_cannot_be_asked_for() {
    let laboratory = Laboratory::new(1, "note").await;
    assert!(laboratory.report.request(of("note")).await.is_err(), "no source runs");
    let _running = laboratory.start().await;
    laboratory.run_ends(1).await;
    let refused = laboratory.report.request(of("lead")).await.unwrap_err();
    assert!(refused.0.contains("`lead`"), "{refused:?}");
    assert!(laboratory.report.approve(Vec::new(), BTreeMap::new()).await.is_err());
    assert_eq!(laboratory.topics.position().requests, []);
}
