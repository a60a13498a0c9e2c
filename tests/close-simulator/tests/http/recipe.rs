//! A consumer that follows section 11 ends with the truth: it reads every object once while changes continue, then
//! follows the event log with five minutes of overlap, whatever happens meanwhile. The test lists the differences that
//! such a consumer cannot detect; no other difference is allowed.

use std::collections::{BTreeMap, BTreeSet, HashMap};

use close_simulator::{
    Options, Simulator,
    model::{Kind, Moment},
};
use rand::{Rng, SeedableRng, rngs::StdRng};
use serde_json::{Value, json};

use crate::client::Close;

/// Seconds by which a sweep overlaps the previous one (reference, section 6.2).
const OVERLAP_SECS: i64 = 300;

/// The consumer's copy of an object.
struct Row {
    data: Value,
    version: Moment,
}

/// The consumer: it only reads, and uses only Close's API, except for the snapshot's rows.
#[derive(Default)]
struct Consumer {
    rows: HashMap<String, Row>,
    gone: BTreeSet<String>,
    mark: Option<Moment>,
    /// The content of each version of an event.
    seen: HashMap<(String, String), Value>,
    /// Leads to read again.
    again: BTreeSet<String>,
}

fn moment(value: &Value) -> Option<Moment> {
    value.as_str().and_then(|text| Moment::parse(text, 0))
}

fn version(data: &Value) -> Moment {
    moment(&data["date_updated"]).or(moment(&data["updated_at"])).unwrap_or(Moment(i64::MIN))
}

impl Consumer {
    fn apply(&mut self, event: &Value) {
        let id = event["object_id"].as_str().expect("an id").to_owned();
        let key = (
            event["id"].as_str().expect("an id").to_owned(),
            event["date_updated"].as_str().expect("a stamp").to_owned(),
        );
        if let Some(before) = self.seen.get(&key) {
            assert_eq!(before, event, "one version of an event with two contents");
        } else {
            self.seen.insert(key, event.clone());
        }
        if event["action"] == "deleted" {
            self.rows.remove(&id);
            self.gone.insert(id);
            return;
        }
        if event["action"] == "deactivated" {
            // Not final: a membership may be activated again (reference, section 8.2).
            self.rows.remove(&id);
            return;
        }
        // After a failed merge both leads are read again (reference, section 8.5).
        if event["data"]["merge_status"] == "errored" {
            for lead in ["source_lead_id", "destination_lead_id"] {
                self.again.extend(event["data"][lead].as_str().map(str::to_owned));
            }
        }
        // The lead of a `merged` event may be the deleted one.
        let id = event["data"]["id"].as_str().map_or(id, str::to_owned);
        if self.gone.contains(&id) || event["data"].is_null() {
            return;
        }
        let new = version(&event["data"]);
        if self.rows.get(&id).is_none_or(|row| row.version <= new) {
            self.rows.insert(id, Row { data: event["data"].clone(), version: new });
        }
    }
}

/// A company, its consumer, and the changes that the consumer cannot detect.
struct Course {
    close: Close,
    consumer: Consumer,
    random: StdRng,
    /// Leads that changed invisibly.
    invisible: BTreeSet<String>,
    /// Custom fields whose values changed on records without events.
    fields: BTreeSet<String>,
    imports: Vec<String>,
    done: BTreeMap<String, usize>,
}

impl Course {
    async fn start(seed: u64, switches: Value) -> Self {
        let close = Close::with(Options { leads: 25, seed, rate: 0.0, ..Options::default() }).await;
        close.switch(switches).await;
        let random = StdRng::seed_from_u64(seed);
        Self {
            close,
            consumer: Consumer::default(),
            random,
            invisible: BTreeSet::new(),
            fields: BTreeSet::new(),
            imports: Vec::new(),
            done: BTreeMap::new(),
        }
    }

    fn simulator(&self) -> &Simulator {
        &self.close.running.simulator
    }

    async fn control(&mut self, path: &str, body: Value) -> Option<Value> {
        let reply = self.close.post(&format!("/_control/{path}/"), body.clone()).await;
        assert!(reply.status < 500, "{path} {body}: {}", reply.text);
        *self.done.entry(path.to_owned()).or_default() += usize::from(reply.status < 300);
        (reply.status < 300).then_some(reply.body)
    }

    async fn some(&mut self, path: &str) -> Option<String> {
        let reply = self.close.get(&format!("{path}/?_limit=50")).await;
        let rows = reply.rows();
        (!rows.is_empty())
            .then(|| rows[self.random.random_range(0..rows.len())]["id"].as_str().expect("an id").to_owned())
    }

    /// Makes a random change.
    async fn step(&mut self) {
        let seed: u32 = self.random.random();
        match self.random.random_range(0..26) {
            0..=6 => {
                let (count, spread) =
                    (self.random.random_range(5..60), [0, 1, 20, 600][self.random.random_range(0..4)]);
                self.control("changes", json!({ "count": count, "seed": seed, "spread_secs": spread })).await;
            }
            7 => drop(self.control("scenarios/merge_storm", json!({ "count": 3, "seed": seed })).await),
            8 => drop(self.control("scenarios/cascade", json!({ "seed": seed })).await),
            9 => drop(self.control("scenarios/bulk_import", json!({ "leads": 30, "seed": seed })).await),
            10 => drop(self.control("scenarios/page_shift", json!({ "deletes": 2, "inserts": 3, "seed": seed })).await),
            11 => drop(self.control("scenarios/email_backfill", json!({ "count": 8, "seed": seed })).await),
            12 => drop(self.control("scenarios/future_meetings", json!({ "count": 4, "days": 2, "seed": seed })).await),
            13 => {
                let names = ["status_rename", "user_rename", "field_rename", "delete_user"];
                let name = names[self.random.random_range(0..names.len())];
                self.control(&format!("scenarios/{name}"), json!({ "seed": seed })).await;
            }
            14 => {
                let names = ["field_delete", "choice_rename", "field_type_change"];
                let name = names[self.random.random_range(0..names.len())];
                if let Some(answer) = self.control(&format!("scenarios/{name}"), json!({ "seed": seed })).await {
                    self.fields.insert(format!("custom.{}", answer["id"].as_str().expect("an id")));
                }
            }
            15 => drop(self.control("scenarios/burst", json!({ "events": 70, "seed": seed })).await),
            16 => {
                if let Some(answer) =
                    self.control("scenarios/invisible_migration", json!({ "count": 2, "seed": seed })).await
                {
                    self.invisible.extend(
                        answer["ids"].as_array().expect("ids").iter().map(|id| id.as_str().unwrap().to_owned()),
                    );
                }
            }
            17 => {
                let Some(lead) = self.some("lead").await else { return };
                let rows =
                    json!([{ "name": "Imported" }, { "id": lead, "name": "Touched", "description": "by an import" }]);
                let id = self.control("import", json!({ "leads": rows })).await.expect("an import")["id"].clone();
                self.imports.push(id.as_str().expect("an id").to_owned());
            }
            18 => {
                if let Some(id) = self.imports.pop() {
                    self.control(&format!("import/{id}/revert"), json!({})).await;
                }
            }
            19 => {
                let Some(lead) = self.some("lead").await else { return };
                let query = json!({ "type": "id", "object_type": "lead", "value": lead });
                let status = self.some("status/lead").await;
                let (path, body) = if self.random.random_bool(0.3) {
                    ("bulk_action/delete/", json!({ "s_query": { "query": query }, "send_done_email": false }))
                } else {
                    let body =
                        json!({ "s_query": { "query": query }, "type": "set_lead_status", "lead_status_id": status });
                    ("bulk_action/edit/", body)
                };
                let reply = self.close.post(path, body).await;
                assert!(reply.status < 300, "{path}: {}", reply.text);
            }
            20 => {
                // A user edits one object repeatedly, and others read.
                let path = ["lead", "contact", "opportunity", "task"][self.random.random_range(0..4)];
                let Some(id) = self.some(path).await else { return };
                let field = match path {
                    "task" => "text",
                    "opportunity" => "note",
                    _ => "name",
                };
                for n in 0..self.random.random_range(2..5) {
                    self.close.put(&format!("{path}/{id}/"), json!({ field: format!("edit {n} {seed}") })).await;
                    if self.random.random_bool(0.5) {
                        self.page("").await;
                    }
                    if self.random.random_bool(0.5) {
                        let secs = self.random.random_range(0.0..4.0);
                        self.close.advance(secs).await;
                    }
                }
            }
            _ => {
                let secs = [0.3, 2.0, 7.0, 40.0, 400.0, 3_600.0, 90_000.0][self.random.random_range(0..7)];
                self.close.advance(secs).await;
            }
        }
    }

    /// Reads the objects one after the other, each in its state at that time.
    async fn snapshot(&mut self) {
        let newest = self.page("").await.0;
        self.consumer.mark = newest.first().and_then(|event| moment(&event["date_updated"]));
        let names: BTreeSet<&str> = told().map(|kind| kind.resource().name).collect();
        for (at, name) in names.into_iter().enumerate() {
            let reply = self.close.get(&format!("/_control/truth/?object={name}")).await;
            assert_eq!(reply.status, 200, "{}", reply.text);
            for line in reply.text.lines() {
                let data: Value = serde_json::from_str(line).expect("JSON");
                let id = data["id"].as_str().expect("an id").to_owned();
                self.consumer.rows.insert(id, Row { version: version(&data), data });
            }
            if at % 4 == 0 {
                self.step().await;
            }
        }
    }

    async fn page(&mut self, cursor: &str) -> (Vec<Value>, Option<String>) {
        let reply = self.close.get(&format!("event/?_cursor={cursor}")).await;
        let page = reply.rows().to_vec();
        for event in &page {
            // Every read checks the content of an event's version.
            let key = (event["id"].as_str().unwrap().to_owned(), event["date_updated"].as_str().unwrap().to_owned());
            if let Some(before) = self.consumer.seen.get(&key) {
                assert_eq!(before, event, "one version of an event with two contents");
            }
            self.consumer.seen.insert(key, event.clone());
        }
        (page, reply.body["cursor_next"].as_str().map(str::to_owned))
    }

    /// Walks from the newest event to the last known one, and applies the events in ascending order.
    async fn sweep(&mut self, disturbed: bool) {
        let until = self.consumer.mark.map_or(Moment(i64::MIN), |mark| mark.plus_secs(-OVERLAP_SECS));
        let (mut walk, mut next) = self.page("").await;
        let mark = walk.first().and_then(|event| moment(&event["date_updated"]));
        while let Some(cursor) = next
            && walk.last().and_then(|event| moment(&event["date_updated"])).is_some_and(|at| at >= until)
        {
            if disturbed && self.random.random_bool(0.2) {
                Box::pin(self.step()).await;
            }
            let page = self.page(&cursor).await;
            walk.extend(page.0);
            next = page.1;
        }
        for event in walk.iter().rev() {
            self.consumer.apply(event);
        }
        for lead in std::mem::take(&mut self.consumer.again) {
            let reply = self.close.get(&format!("lead/{lead}/")).await;
            if reply.status == 200 {
                self.consumer.rows.insert(lead, Row { version: version(&reply.body), data: reply.body });
            }
        }
        self.consumer.mark = self.consumer.mark.max(mark);
    }

    /// Unexplained differences from the truth, by object and field.
    async fn differences(&self) -> BTreeMap<String, Vec<String>> {
        let mut found: BTreeMap<String, Vec<String>> = BTreeMap::new();
        let mut alive = BTreeSet::new();
        let reply = self.close.get("/_control/truth/").await;
        for line in reply.text.lines() {
            let truth: Value = serde_json::from_str(line).expect("JSON");
            let id = truth["id"].as_str().expect("an id");
            let Some(kind) = self.simulator().world.read().parse_id(id).map(close_simulator::model::Id::kind) else {
                continue;
            };
            if !told().any(|told| told == kind) {
                continue;
            }
            let name = kind.resource().name;
            alive.insert(id.to_owned());
            let Some(row) = self.consumer.rows.get(id) else {
                found.entry(format!("{name}: missing")).or_default().push(id.to_owned());
                continue;
            };
            for (field, value) in truth.as_object().expect("an object") {
                if row.data.get(field) != Some(value) && !self.explained(name, id, field) {
                    let said = format!("{id}: {:?} is {value}", row.data.get(field));
                    found.entry(format!("{name}.{field}")).or_default().push(said);
                }
            }
            for field in row.data.as_object().expect("an object").keys().filter(|field| field.starts_with("custom.")) {
                if truth.get(field).is_none() && !self.explained(name, id, field) {
                    found.entry(format!("{name}.{field}")).or_default().push(format!("{id}: no longer there"));
                }
            }
        }
        for (id, row) in self.consumer.rows.iter().filter(|(id, _)| !alive.contains(*id)) {
            if purged(row) {
                continue;
            }
            let kind = self.simulator().world.read().parse_id(id).map(|id| id.kind().resource().name);
            found.entry(format!("{kind:?}: left over")).or_default().push(id.clone());
        }
        found
    }

    fn explained(&self, name: &str, id: &str, field: &str) -> bool {
        silent(name, field)
            || self.fields.contains(field)
            || self.invisible.contains(id)
                && matches!(field, "name" | "display_name" | "date_updated" | "updated_by" | "updated_by_name")
    }
}

/// Kinds that have events.
fn told() -> impl Iterator<Item = Kind> {
    Kind::ALL.iter().copied().filter(|kind| {
        let resource = kind.resource();
        resource.event.is_some() && !resource.fields.is_empty() && *kind != Kind::Created
    })
}

/// Completed system tasks are purged without events.
fn purged(row: &Row) -> bool {
    row.data.get("_type").and_then(Value::as_str).is_some_and(|ty| ty != "lead")
        && row.data.get("is_complete") == Some(&Value::Bool(true))
}

/// Fields that change without an event of their object (reference, sections 6.5 and 8.2).
#[allow(clippy::match_same_arms)]
fn silent(name: &str, field: &str) -> bool {
    match (name, field) {
        // A lead moves with its children, and shows the names of its contacts.
        ("lead", "date_updated" | "updated_by" | "updated_by_name") => true,
        ("lead", "display_name" | "primary_email" | "primary_phone" | "contacts_summary" | "status_label") => true,
        // Looked-up fields are renamed with their object.
        (_, "lead_name" | "contact_name" | "lead_primary_email" | "lead_primary_phone") => true,
        (_, "created_by_name" | "updated_by_name" | "user_name" | "assigned_to_name" | "task_assigned_to_name") => true,
        // A task about an opportunity shows its present value.
        ("notification", field) if field.starts_with("opportunity_") => true,
        ("lead_status_change", "new_status_label" | "old_status_label") => true,
        _ => false,
    }
}

async fn runs(seeds: std::ops::Range<u64>, switches: Value, lag: i64) {
    let mut bad = Vec::new();
    for seed in seeds {
        let mut course = Course::start(seed, switches.clone()).await;
        course.close.switch(json!({ "event_lag_ms": lag })).await;
        course.snapshot().await;
        for _ in 0..40 {
            course.step().await;
            if course.random.random_bool(0.5) {
                course.sweep(true).await;
            }
        }
        // All scheduled work is done, and late events are visible.
        course.sweep(false).await;
        course.close.advance(700.0).await;
        course.sweep(false).await;
        let found = course.differences().await;
        let told: Vec<String> =
            found.iter().map(|(what, examples)| format!("{what} ({}): {}", examples.len(), examples[0])).collect();
        if !found.is_empty() {
            bad.push(format!("seed {seed}, {:?}:\n{}", course.done, told.join("\n")));
        }
    }
    assert!(bad.is_empty(), "{}", bad.join("\n"));
}

#[tokio::test]
async fn a_consumer_that_follows_the_recipe_ends_with_the_truth() {
    runs(5..9, json!({}), 0).await;
}

#[tokio::test]
async fn the_recipe_ends_with_the_truth_when_events_come_a_minute_late() {
    runs(115..119, json!({ "consolidation_ms": 30_000, "consolidate_any_context": true }), 60_000).await;
}

#[tokio::test]
async fn the_recipe_ends_with_the_truth_without_consolidation_and_with_re_created_children() {
    runs(205..209, json!({ "consolidation_ms": 0, "merged_children": "recreate", "merge_errors": 0.4 }), 20_000).await;
}

#[tokio::test]
async fn the_recipe_ends_with_the_truth_when_creations_absorb_updates() {
    let switches = json!({
        "consolidate_into_created": true, "merged_object": "source", "merge_spelling": "plain",
        "legacy_note_type": true,
        "nested_in_lead_events": true, "revert_moves_back": false,
    });
    runs(317..321, switches, 5_000).await;
}
