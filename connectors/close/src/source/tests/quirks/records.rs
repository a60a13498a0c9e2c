//! Items 17, 18, 20, 21 and 29: what changes in silence, and dates that are not now.

use super::*;

/// Compares each second.
const COMPARES: (&str, &str) = ("compare.interval", "1s");
const RARELY: (&str, &str) = ("compare.interval", "24h");

fn lead_of(topics: &Topics) -> String {
    topics.table("lead").pop_first().unwrap().0
}

#[tokio::test(flavor = "multi_thread", worker_threads = 2)]
async fn quirk_17_the_date_of_a_lead_that_moves_with_its_children_comes_by_a_comparison() {
    let (close, topics) = (Laboratory::new(5).await, Topics::default());
    let running = started(&close, &topics, "lead,note", &[RARELY]).await;
    let lead = lead_of(&topics);
    let before = value(&topics, "lead", &lead, "date_updated").unwrap();
    control(&close, "clock/", json!({"advance_secs": 3_600})).await;
    let note = id(&close.write(Method::POST, "activity/note/", json!({"lead_id": lead, "note": "called"})).await);
    topics.until("the note", |topics| topics.table("note").remove(&note)).await;
    assert_eq!(value(&topics, "lead", &lead, "date_updated").unwrap(), before, "no event of the lead tells it");
    drop(running);
    let _running = Running::start(&close, &topics, &[("objects", "lead,note"), COMPARES]);
    topics
        .until("the new date", |topics| value(topics, "lead", &lead, "date_updated").filter(|now| *now != before))
        .await;
    // Children are objects of their own, and no part of the lead.
    let lead = fields(topics.table("lead").remove(&lead).unwrap().after);
    assert!(lead.iter().all(|(name, _)| !["contacts", "opportunities", "tasks"].contains(&name.as_str())));
}

#[tokio::test(flavor = "multi_thread", worker_threads = 2)]
async fn quirk_18_meetings_ahead_and_mail_of_the_past_arrive_and_move_no_mark() {
    let (close, topics) = (Laboratory::new(10).await, Topics::default());
    control(&close, "scenarios/future_meetings/", json!({"count": 3, "days": 300})).await;
    control(&close, "scenarios/email_backfill/", json!({"count": 10, "years": 40})).await;
    let _running = started(&close, &topics, "meeting,email", &[RARELY]).await;
    control(&close, "scenarios/future_meetings/", json!({"count": 3, "days": 200, "seed": 2})).await;
    control(&close, "scenarios/email_backfill/", json!({"count": 10, "years": 30, "seed": 2})).await;
    for object in ["meeting", "email"] {
        let truth = true_ids(&close, object).await;
        topics.until(object, |topics| (ids(topics, object) == truth).then_some(())).await;
    }
    let newest = Moment::parse(&close.events().await[0].date_updated).unwrap();
    assert!(topics.position().log.unwrap() <= newest.plus(Duration::from_mins(1)), "the mark is not ahead");
}

#[tokio::test(flavor = "multi_thread", worker_threads = 2)]
async fn quirk_20_renamed_statuses_and_users_are_renamed_on_records_by_a_comparison() {
    let (close, topics) = (Laboratory::new(10).await, Topics::default());
    let running = started(&close, &topics, "lead", &[RARELY]).await;
    let lead = lead_of(&topics);
    let row = close.get(&format!("lead/{lead}/")).await;
    control(&close, "scenarios/status_rename/", json!({"id": row["status_id"], "label": "Later"})).await;
    let names = json!({"user": row["created_by"], "first_name": "Noor", "last_name": "Haddad"});
    control(&close, "scenarios/user_rename/", names).await;
    drop(running);
    let _running = Running::start(&close, &topics, &[("objects", "lead"), COMPARES]);
    becomes(&topics, "lead", &lead, "status_label", "Later").await;
    becomes(&topics, "lead", &lead, "created_by_name", "Noor Haddad").await;
}

#[tokio::test(flavor = "multi_thread", worker_threads = 2)]
async fn quirk_21_what_depends_on_the_time_of_the_request_is_no_difference() {
    let (close, topics) = (Laboratory::new(10).await, Topics::default());
    let objects = "lead,contact,opportunity,task";
    let running = started(&close, &topics, objects, &[RARELY]).await;
    let records = |topics: &Topics| objects.split(',').map(|object| topics.records(object).len()).sum::<usize>();
    let (before, generation) = (records(&topics), topics.position().generation);
    drop(running);
    // The local time of leads, and the view of tasks, are others now.
    control(&close, "clock/", json!({"advance_secs": 5 * 3_600})).await;
    let _running = Running::start(&close, &topics, &[("objects", objects), COMPARES]);
    topics
        .until("a comparison", |topics| {
            topics.position().last_run.filter(|run| run.generation > generation && run.complete())
        })
        .await;
    assert_eq!(records(&topics), before);
}

#[tokio::test(flavor = "multi_thread", worker_threads = 2)]
async fn quirk_29_a_migration_without_events_is_found_by_a_comparison() {
    let (close, topics) = (Laboratory::new(10).await, Topics::default());
    let running = started(&close, &topics, "lead,note", &[RARELY]).await;
    control(&close, "scenarios/invisible_migration/", json!({"count": 4})).await;
    let note = json!({"lead_id": lead_of(&topics), "note": "after it"});
    let note = id(&close.write(Method::POST, "activity/note/", note).await);
    topics.until("the note", |topics| topics.table("note").remove(&note)).await;
    let migrated = |topics: &Topics| {
        let names = topics.table("lead").into_values().filter_map(|row| {
            fields(row.after).into_iter().find(|(name, value)| name == "name" && value.contains("Migrated"))
        });
        names.count()
    };
    assert_eq!(migrated(&topics), 0, "no event tells it");
    drop(running);
    let _running = Running::start(&close, &topics, &[("objects", "lead,note"), COMPARES]);
    topics.until("the migration", |topics| (migrated(topics) == 4).then_some(())).await;
}
