use reqwest::Method;
use serde_json::json;

use super::*;
use crate::{
    changes::{follower::Follower, records::Records},
    client::tests::set_faults,
    codes,
    position::ObjectEnd,
    publish::Publishing,
    snapshot::tests::laboratory::Laboratory,
};

const LEAD: &str = "lead_1";

fn place(id: &str, at: i64) -> Place {
    Place::new(kind("lead").unwrap(), id.to_owned(), Moment(at))
}

#[test]
fn a_row_waits_until_it_is_read_as_it_was_at_its_event_or_later() {
    let mut position = ClosePosition::default();
    note(&mut position, vec![place(LEAD, 5), place(LEAD, 4)], Moment(9));
    forget(&mut position, &[place(LEAD, 4), place("lead_2", 9)]);
    assert_eq!(position.unread["lead"][LEAD], Moment(5));
    forget(&mut position, &[place(LEAD, 5)]);
    assert!(position.unread.is_empty());
}

#[test]
fn instead_of_too_many_rows_the_object_is_compared() {
    let mut position = ClosePosition::default();
    for round in 0..3 {
        note(&mut position, (0..=MOST).map(|id| place(&format!("lead_{id}"), round)).collect(), Moment(round));
    }
    assert!(position.unread.is_empty());
    let held = &position.held["lead"];
    assert!(matches!(held.end, ObjectEnd::Differs { .. }) && !held.again && held.since == Moment(2), "{held:?}");
}

/// The follower of the log and the reading of rows, as a process has them that has just begun.
async fn begin(laboratory: &Laboratory) -> (Follower<crate::client::Close, Records>, Unread) {
    let (context, publishing): (Context, Publishing) = laboratory.context().await;
    let mut topics = laboratory.topics.clone();
    tokio::spawn(async move { drop(publishing.run(&mut topics).await) });
    let (overlap, unread) = (context.config.poll_overlap, Unread::new(&context));
    (Follower::start(context.close.clone(), Records::new(context), overlap).await.unwrap(), unread)
}

#[tokio::test]
async fn a_row_that_close_does_not_give_holds_up_no_other_and_is_never_forgotten() {
    let mut laboratory = Laboratory::new(3, "group").await;
    laboratory.patience = Duration::from_secs(1);
    laboratory.topics.change_position(|position| position.log = None);
    let (mut log, mut unread) = begin(&laboratory).await;
    log.deep().await.unwrap();
    let mut made = Vec::new();
    for name in ["one", "two"] {
        let row = laboratory.write(Method::POST, "group/", &json!({"name": name, "members": []})).await;
        made.push(row["id"].as_str().unwrap().to_owned());
    }
    let failing = json!({"endpoint": format!("GET group/{}", made[0]), "kind": "status", "status": 500});
    set_faults(&laboratory.close, &[failing]);
    log.deep().await.unwrap();
    let groups = laboratory.topics.ids("group");
    assert!(groups.contains(&made[1]) && !groups.contains(&made[0]), "{groups:?}");
    assert_eq!(laboratory.seen.wait_of("events of group").await.0, codes::FAILING);
    // The overlap passes, the row fails on, and the process is killed.
    laboratory.control("clock/", &json!({"advance_secs": 7_200})).await;
    for _ in 0..2 {
        log.deep().await.unwrap();
        unread.again().await.unwrap();
    }
    let (mut log, mut unread) = begin(&laboratory).await;
    log.deep().await.unwrap();
    unread.again().await.unwrap();
    assert!(laboratory.topics.position().unread["group"].contains_key(&made[0]));
    set_faults(&laboratory.close, &[]);
    unread.again().await.unwrap();
    assert!(laboratory.topics.ids("group").contains(&made[0]));
    laboratory.seen.works_again("events of group").await;
    assert!(laboratory.topics.position().unread.is_empty());
}
