//! The data set: the same seed gives the same bytes, and it covers the reference.

use close_simulator::Options;
use serde_json::Value;

use crate::client::Close;

fn options(seed: u64, leads: usize) -> Options {
    Options { seed, leads, ..Options::default() }
}

/// Lists that together show every kind of a lead's objects, and the event log.
const LISTS: &[&str] = &[
    "lead/?_limit=100",
    "contact/?_limit=100",
    "opportunity/?_limit=100",
    "task/?_type=all&_limit=100",
    "activity/note/?_limit=100",
    "activity/email/?_limit=100",
    "activity/meeting/?_limit=100",
    "user/",
    "event/",
];

/// A list without the values that depend on the time of the request.
async fn told(close: &Close, path: &str) -> Value {
    let reply = close.get(path).await;
    assert_eq!(reply.status, 200, "{path}: {}", reply.text);
    let mut rows = reply.body["data"].clone();
    for row in rows.as_array_mut().expect("rows") {
        for volatile in ["localtime", "recent_calls", "summaries", "view"] {
            row.as_object_mut().expect("an object").remove(volatile);
        }
        if let Some(contacts) = row.get_mut("contacts").and_then(Value::as_array_mut) {
            contacts
                .iter_mut()
                .for_each(|contact| drop(contact.as_object_mut().map(|contact| contact.remove("recent_calls"))));
        }
    }
    rows
}

#[tokio::test]
async fn the_same_seed_gives_the_same_lists_and_another_seed_others() {
    let (one, same, other) =
        (Close::with(options(5, 300)).await, Close::with(options(5, 300)).await, Close::with(options(6, 300)).await);
    let digest = "/_control/truth/digest?at=2026-09-01T12:00:00Z";
    let of_one = one.get(digest).await;
    assert_eq!((of_one.status, &of_one.body), (200, &same.get(digest).await.body), "{}", of_one.text);
    assert_ne!(of_one.body, other.get(digest).await.body);
    for path in LISTS {
        let rows = told(&one, path).await;
        assert!(!rows.as_array().unwrap().is_empty(), "nothing in {path}");
        assert_eq!(rows, told(&same, path).await, "{path}");
        assert_ne!(rows, told(&other, path).await, "{path}");
    }
}

#[tokio::test]
async fn leads_have_from_none_to_many_contacts_and_names_repeat() {
    let close = Close::with(options(1, 1_500)).await;
    let mut counts: std::collections::BTreeMap<String, usize> = std::collections::BTreeMap::new();
    let mut names: std::collections::BTreeMap<String, usize> = std::collections::BTreeMap::new();
    let mut leads = 0;
    for skip in (0..).step_by(100) {
        let reply = close.get(&format!("lead/?_skip={skip}&_limit=100&_fields=id,name")).await;
        for lead in reply.rows() {
            leads += 1;
            counts.insert(lead["id"].as_str().unwrap().to_owned(), 0);
            *names.entry(lead["name"].as_str().unwrap_or_default().to_owned()).or_default() += 1;
        }
        if reply.body["has_more"] == false {
            break;
        }
    }
    for skip in (0..).step_by(100) {
        let reply = close.get(&format!("contact/?_skip={skip}&_limit=100&_fields=id,lead_id")).await;
        for contact in reply.rows() {
            *counts.entry(contact["lead_id"].as_str().unwrap().to_owned()).or_default() += 1;
        }
        if reply.body["has_more"] == false {
            break;
        }
    }
    assert!((1_400..=1_600).contains(&leads), "{leads} leads after the changes of the last 30 days");
    assert!(counts.values().filter(|count| **count == 0).count() > 50, "leads without contacts");
    assert!(counts.values().filter(|count| **count > 10).count() >= 5, "leads with many contacts");
    assert!(counts.values().all(|count| *count <= 60));
    assert!(names["Acme Inc"] > 5, "duplicates by name");
    assert!(
        names.keys().any(|name| name.chars().any(|c| ('\u{600}'..'\u{700}').contains(&c))),
        "names from right to left"
    );
    assert!(names.keys().any(|name| name.contains('\u{301}')), "combining marks");
}

#[tokio::test]
async fn the_initial_event_log_covers_only_the_last_thirty_days() {
    let close = Close::with(options(2, 200)).await;
    let events = close.get("event/").await;
    assert_eq!(events.rows().len(), 50);
    let now = close.get("/_control/clock/").await.body["now"].as_str().unwrap().to_owned();
    for event in events.rows() {
        let at = event["date_updated"].as_str().unwrap();
        assert!(at < now.as_str() && at > "2026-08-02", "{at}");
    }
}

#[tokio::test]
async fn meetings_lie_in_the_future_and_synced_mails_years_back_in_whole_seconds() {
    // Section 12, item 18.
    let close = Close::with(options(3, 400)).await;
    let meetings = close.get("activity/meeting/?_limit=100").await;
    assert!(
        meetings.rows().iter().any(|row| row["date_created"].as_str().unwrap() > "2026-09-01T12"),
        "a meeting that is to come"
    );
    let mails = close.get("activity/email/?date_created__lt=2024-01-01T00:00:00").await;
    assert!(!mails.rows().is_empty(), "mails that are older than the organization");
    for mail in mails.rows() {
        assert!(!mail["date_created"].as_str().unwrap().contains('.'), "{}", mail["date_created"]);
    }
}

#[tokio::test]
async fn equal_stamps_and_zero_fractions_are_there() {
    // Section 12, items 15 and 25.
    let close = Close::with(options(4, 400)).await;
    let rows = close.get("contact/?_limit=100").await;
    let stamps: Vec<&str> = rows.rows().iter().map(|row| row["date_created"].as_str().unwrap()).collect();
    let distinct: std::collections::BTreeSet<&&str> = stamps.iter().collect();
    assert!(distinct.len() < stamps.len(), "contacts of one lead have one stamp");
    assert!(
        stamps.iter().any(|at| at.contains('.')) && stamps.iter().any(|at| !at.contains('.')),
        "with and without a fraction"
    );
}
