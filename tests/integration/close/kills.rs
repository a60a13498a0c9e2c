//! SIGKILL during the snapshot and the stream: a kill costs a page, at the end the tables equal the truth, and nothing
//! is twice in its topic.

use std::collections::{HashMap, HashSet};

use serde_json::json;

use super::{
    ARRIVAL,
    laboratory::{Organization, generation, reader, source},
    truth::{self, RECORDS, some, tables},
};
use crate::{
    stack::{database, rows_become, seed, shared, try_for},
    worker::Worker,
};

const KILLS: u64 = 20;
/// More pages than any snapshot of these tests has.
const MOST_PAGES: u64 = 2_000;

/// The objects of a snapshot whose lists have pages, and the groups of requests that read these.
const PAGED: &[&str] = &[
    "lead",
    "contact",
    "opportunity",
    "task,notification",
    "note",
    "call",
    "email",
    "email_thread",
    "sms",
    "meeting",
    "custom_activity",
    "created",
    "lead_status_change",
    "opportunity_status_change",
    "task_completed",
];

/// Returns true for requests of pages: lists, and searches of leads and contacts.
fn is_page(group: &str) -> bool {
    group.starts_with("GET activity/") || ["POST data/search", "GET opportunity", "GET task"].contains(&group)
}

fn objects(what: &[(&str, &[&str])]) -> String {
    format!("objects = \"{}\"\n", tables(what))
}

/// One page is in flight at a time (`snapshot.readers = 1`), so a kill costs one page; with more readers, as many. The
/// kills are spread by the pages that were read, so that each hits the reading on any machine: a limit keeps the worker
/// from being far ahead when it is seen. The last requests are the counts of the check, which a kill would repeat.
#[tokio::test(flavor = "multi_thread")]
async fn twenty_kills_in_a_snapshot_of_50_000_records_cost_a_page_each() {
    let _stack = shared().await;
    let organization = Organization::with_leads(4_050, 17).await;
    let what = some(PAGED);
    let keys = format!("{}snapshot.readers = 1\n\"lists.interval\" = \"1h\"\n", objects(&what));
    let undisturbed = source(Worker::new("paged"), &organization, &keys).start().await;
    ends_its_snapshot(&organization, &undisturbed).await;
    drop(undisturbed);
    let without = organization.requests(is_page).await;
    organization.clear("counters/").await;

    organization.set("limits/", json!({"default": {"limit": 40, "window_secs": 2}, "off": false})).await;
    let mut worker = reader("killed", &organization, &keys).start().await;
    for kill in 1..=KILLS {
        let place = without * kill / (KILLS + 4);
        while_pages_are_read(&organization, &worker, || async { organization.requests(is_page).await >= place }).await;
        worker.kill();
        worker.spawn();
    }
    organization.set("limits/", json!({"off": true})).await;
    worker.is_ready().await;
    ends_its_snapshot(&organization, &worker).await;
    let with = organization.requests(is_page).await;
    println!("{without} pages without a kill, {with} with {KILLS} kills");

    let (client, mut records) = (database().await, 0);
    for (kinds, tables) in &what {
        let truth = organization.truth(kinds).await.len();
        rows_become(&client, &format!("SELECT count(*) FROM {}.{}", worker.name, tables[0]), &[&truth.to_string()])
            .await;
        records += truth;
    }
    assert!(records >= 50_000, "{records} records");
    truth::equal(&organization, &client, &worker.name, &what).await;
    let published: usize =
        what.iter().flat_map(|(_, tables)| *tables).map(|table| none_is_twice(&worker, table, |_| true).len()).sum();
    assert_eq!(published, records, "each record is in its topic once");
    assert!(with <= without + KILLS + without / 100, "{with} pages, {without} without {KILLS} kills");
}

async fn ends_its_snapshot(organization: &Organization, worker: &Worker) {
    while_pages_are_read(organization, worker, || async { generation(worker).await > 0 }).await;
}

/// Waits for `done`, as long as a page is read in each [`ARRIVAL`]: how long all of them take depends on the machine.
async fn while_pages_are_read<F: Future<Output = bool>>(
    organization: &Organization,
    worker: &Worker,
    done: impl Fn() -> F,
) {
    loop {
        let pages = organization.requests(is_page).await;
        assert!(pages < MOST_PAGES, "the pages are read again and again: {}", worker.log());
        let probe = || async { (done().await || organization.requests(is_page).await > pages).then_some(()) };
        assert!(try_for(ARRIVAL, probe).await.is_some(), "no page follows {pages}: {}", worker.log());
        if done().await {
            return;
        }
    }
}

#[tokio::test(flavor = "multi_thread")]
async fn after_kills_among_changes_the_tables_equal_the_truth_and_no_event_is_twice() {
    const CHANGES: u64 = 1_500;
    let _stack = shared().await;
    let seed = seed("close kills");
    let organization = Organization::with_leads(120, seed % 1_000).await;
    organization.set("switches/", json!({"event_lag_ms": 1500, "event_late_share": 0.3})).await;
    let records = some(RECORDS);
    let mut worker = reader("closekill", &organization, &objects(&records)).start().await;
    organization.control("changes/", json!({"count": CHANGES, "rate_per_sec": 100, "seed": seed % 10_007})).await;
    for kill in 1..=10 {
        organization.changes_reach(CHANGES * kill / 11).await;
        worker.kill();
        worker.spawn();
    }
    worker.is_ready().await;
    let client = database().await;
    organization.changes_end().await;
    truth::arrives(&organization, &client, &worker, &records).await;
    for (_, tables) in records {
        for table in tables {
            no_event_is_twice(&worker, table);
        }
    }
}

/// Each event of the log is at most once in the topic, for a reader of committed records. Returns their ids.
pub(super) fn no_event_is_twice(worker: &Worker, object: &str) -> HashSet<String> {
    none_is_twice(worker, object, |id| id.starts_with("ev_"))
}

/// Each record with such an event id is at most once in the topic; returns these ids.
fn none_is_twice(worker: &Worker, object: &str, of: impl Fn(&str) -> bool) -> HashSet<String> {
    let mut seen = HashMap::new();
    for record in worker.tap(object, &[]) {
        let id = record["headers"]["towpath_event_id"].as_str().unwrap_or_default().to_owned();
        // A delete has a tombstone with the same id.
        if of(&id) && !record["value"].is_null() {
            *seen.entry(id).or_insert(0) += 1;
        }
    }
    let twice: Vec<_> = seen.iter().filter(|(_, times)| **times > 1).take(5).collect();
    assert!(twice.is_empty(), "{object}: records that are in the topic more than once: {twice:?}");
    seen.into_keys().collect()
}
