//! Random histories of an organization during snapshot and stream, with everything that may go wrong on the way: late
//! events, merges, imports, bursts, custom fields that are made, changed and deleted, faults of the API, jumps of its
//! clock, lost and repeated posts of its webhook, and SIGKILL. At rest the tables equal the truth, and each event is
//! once in its topic.

use std::{collections::HashSet, time::Duration};

use close_simulator::Options;
use rand::{Rng as _, SeedableRng as _, rngs::StdRng, seq::SliceRandom as _};
use serde_json::{Value, json};

use super::{
    ARRIVAL,
    kills::no_event_is_twice,
    laboratory::{Organization, reader_with},
    truth::{self, RECORDS, some},
};
use crate::{
    stack::{database, rows, seed, shared, try_for},
    worker::Worker,
};

/// The objects that histories change, and those that they need. A source of fewer objects starts sooner.
const OBJECTS: &[&str] = &[
    "lead",
    "contact",
    "opportunity",
    "task,notification",
    "note",
    "call",
    "email",
    "email_thread",
    "sms",
    "whatsapp_message",
    "meeting",
    "custom_activity",
    "comment",
    "comment_thread",
    "created",
    "lead_merge",
    "lead_status_change",
    "opportunity_status_change",
    "task_completed",
    "custom_object",
    "sequence_subscription",
    "user",
    "membership",
    "group",
    "lead_status",
    "email_template",
    "sms_template",
    "custom_field",
];

/// The histories of one run of the test; `TOWPATH_CLOSE_SEEDS=100` for a long one.
fn histories() -> u64 {
    std::env::var("TOWPATH_CLOSE_SEEDS").ok().and_then(|count| count.parse().ok()).unwrap_or(10)
}

#[tokio::test(flavor = "multi_thread")]
async fn whatever_happens_the_tables_equal_the_truth_at_rest() {
    let first = seed("close histories");
    let mut events = 0;
    for at in 0..histories() {
        let seed = first.wrapping_add(at);
        println!("history of seed {seed}, after {events} events");
        events += history(seed).await;
    }
    // One alone may have none: its kill was before the first start.
    assert!(events > 0 || histories() < 10, "no history has events after the start of its source");
}

/// Returns the number of events after the start of the source.
async fn history(seed: u64) -> usize {
    // For each history anew, so that a test that needs the stack alone waits for one of them only.
    let _stack = shared().await;
    let mut random = StdRng::seed_from_u64(seed);
    let switches = [
        ("event_lag_ms", json!(random.random_range(0..3_000))),
        ("event_late_share", json!(0.3)),
        ("merge_step_ms", json!(100)),
        ("merged_children", json!(if random.random() { "move" } else { "recreate" })),
        ("merged_object", json!(if random.random() { "destination" } else { "source" })),
        ("consolidate_into_created", json!(random.random::<bool>())),
        ("nested_in_lead_events", json!(random.random::<bool>())),
        ("cursor_date", json!(["ignore", "honour", "refuse"][random.random_range(0..3)])),
        ("search_lag_ms", json!(random.random_range(0..500))),
    ];
    let switches = switches.map(|(name, value)| (name.to_owned(), value)).to_vec();
    let leads = random.random_range(10..40);
    let organization = Organization::new(Options { leads, seed, switches, ..Options::default() }).await;
    let worker = Worker::new("model");
    // Small organizations lose a large share quickly.
    let what = some(OBJECTS);
    let more = format!(
        "objects = \"{},sequence,custom_object_type\"\n\"compare.deletes.max.share\" = \"100%\"\n\
         request.timeout = \"2s\"\npoll.interval = \"{}\"\nwebhook.url = \"{}\"\n",
        truth::tables(&what),
        ["200ms", "2s"][random.random_range(0..2)],
        worker.hook().replace("/hook-", "/close-")
    );
    let posts = json!({"lose": 0.3, "duplicate": 0.3, "reorder_ms": random.random_range(0..2_000)});
    organization.set("webhooks/faults/", posts).await;
    let mut worker = reader_with(worker, &organization, &more, "").start().await;
    let mut fields = CustomFields::default();
    // Each history has a merge, a burst, an import and a kill.
    let mut actions = vec![0, 1, 2, 6];
    actions.extend((0..random.random_range(1..4)).map(|_| random.random_range(3..10)));
    actions.shuffle(&mut random);
    for action in actions {
        match action {
            0 => drop(organization.control("scenarios/merge_storm/", json!({"count": 2})).await),
            1 => drop(organization.control("scenarios/burst/", json!({"events": 200})).await),
            2 => drop(organization.control("scenarios/bulk_import/", json!({"leads": 15})).await),
            3 => drop(organization.control("scenarios/email_backfill/", json!({"count": 20, "years": 3})).await),
            4 => drop(organization.control("clock/", json!({"advance_secs": random.random_range(1..7_200)})).await),
            5 => drop(organization.set("faults/", faults(&mut random)).await),
            6 => {
                worker.kill();
                worker.spawn();
            }
            7 | 8 => fields.change(&organization, &mut random).await,
            _ => organization.changes(random.random_range(10..150), random.random_range(0..10_000)).await,
        }
        tokio::time::sleep(Duration::from_millis(random.random_range(0..1_200))).await;
    }
    organization.set("faults/", json!({"faults": []})).await;
    // Imports and merges end by the clock.
    organization.control("clock/", json!({"advance_secs": 60})).await;
    worker.is_ready().await;
    let client = database().await;
    truth::arrives(&organization, &client, &worker, &what).await;
    let mut published = HashSet::new();
    for (_, tables) in what.iter().filter(|(kinds, _)| RECORDS.contains(kinds)) {
        for table in *tables {
            published.extend(no_event_is_twice(&worker, table));
        }
    }
    // The log is followed from before the first snapshot; a kill may have been before that.
    let sql = format!(
        "SELECT to_char(began AT TIME ZONE 'UTC', 'YYYY-MM-DD\"T\"HH24:MI:SS.US') FROM {}.sync_run
         WHERE generation = 1",
        worker.name
    );
    let began = try_for(ARRIVAL, || async { rows(&client, &sql).await.pop() }).await;
    let began = began.expect("the time of the first snapshot");
    each_event_is_published(&organization, &began, &published).await
}

/// Each event of records from `began` on has given a record, in the version in which the log has it at last. Returns
/// their number.
async fn each_event_is_published(organization: &Organization, began: &str, published: &HashSet<String>) -> usize {
    let mut events = 0;
    for event in organization.events(began).await {
        let [object, action, id, version] =
            ["object_type", "action", "id", "date_updated"].map(|field| event[field].as_str().expect("a text"));
        let object = object.trim_start_matches("activity.").split('.').next().unwrap_or(object);
        if RECORDS.iter().any(|kinds| kinds.split(',').any(|kind| kind == object)) {
            let is_published = published.contains(&format!("{id}@{version}"));
            assert!(is_published, "no record has event {id} of {version}, {object} {action}: {event}");
            events += 1;
        }
    }
    events
}

/// The custom fields that a history has made.
#[derive(Default)]
struct CustomFields(Vec<CustomField>);

struct CustomField {
    /// The object that has it.
    on: &'static str,
    id: String,
    /// True if its type allows several values.
    takes_many: bool,
    multiple: bool,
}

impl CustomFields {
    /// Makes a field, or renames, widens or deletes one, and gives some of its objects values of it.
    async fn change(&mut self, organization: &Organization, random: &mut StdRng) {
        let number: u32 = random.random();
        if self.0.is_empty() || random.random_range(0..3) == 0 {
            let on = ["lead", "contact", "opportunity"][random.random_range(0..3)];
            let choices = random.random::<bool>();
            let mut made = json!({"name": format!("Made {number}"), "type": if choices { "choices" } else { "text" }});
            if choices {
                made["choices"] = json!(["A", "B", "C"]);
            }
            let made = organization.api("POST", &format!("custom_field/{on}/"), Some(made)).await;
            let id = made["id"].as_str().expect("an id").to_owned();
            self.0.push(CustomField { on, id, takes_many: choices, multiple: false });
            return self.fill(organization, self.0.len() - 1).await;
        }
        let at = random.random_range(0..self.0.len());
        let CustomField { on, id, takes_many, multiple } = &mut self.0[at];
        let path = format!("custom_field/{on}/{id}/");
        match random.random_range(0..3) {
            0 => drop(organization.api("PUT", &path, Some(json!({"name": format!("Named {number}")}))).await),
            1 if *takes_many => {
                *multiple = true;
                organization.api("PUT", &path, Some(json!({"accepts_multiple_values": true}))).await;
            }
            1 => return,
            _ => {
                organization.api("DELETE", &path, None).await;
                self.0.remove(at);
                return;
            }
        }
        self.fill(organization, at).await;
    }

    async fn fill(&self, organization: &Organization, at: usize) {
        let CustomField { on, id, multiple, .. } = &self.0[at];
        let value = if *multiple { json!(["A", "C"]) } else { json!("B") };
        for row in organization.truth(on).await.iter().take(4) {
            let path = format!("{on}/{}/", row["id"].as_str().expect("an id"));
            organization.api("PUT", &path, Some(json!({(format!("custom.{id}")): value}))).await;
        }
    }
}

/// Some faults of the API, each for a share of the requests of the source.
fn faults(random: &mut StdRng) -> Value {
    let kinds = ["status", "empty", "html_429", "html_502", "cut_body", "bad_json", "reset", "hang"];
    let one = |kind: &str| match kind {
        "status" => json!({"endpoint": "*", "kind": kind, "status": 503, "share": 0.1, "times": 20, "key": "admin"}),
        "hang" => json!({"endpoint": "*", "kind": kind, "delay_ms": 4_000, "share": 0.02, "times": 2, "key": "admin"}),
        _ => json!({"endpoint": "*", "kind": kind, "share": 0.1, "times": 10, "key": "admin"}),
    };
    let some: Vec<Value> = (0..3).map(|_| one(kinds[random.random_range(0..kinds.len())])).collect();
    json!({"faults": some})
}
