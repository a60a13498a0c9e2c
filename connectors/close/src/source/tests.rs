//! The whole source against the simulator, with topics in memory.

mod quirks;
mod topics;
mod webhook;

use std::collections::{BTreeMap, BTreeSet};

use reqwest::Method;
use serde_json::json;
use tokio::task::JoinHandle;
use tokio_util::sync::CancellationToken;
use towpath_api::Published;

use self::topics::Topics;
use super::*;
use crate::{
    catalogue::{KINDS, laboratory::Laboratory},
    client::tests::config,
    moment::Moment,
    record::read_row,
};

/// A source that runs. It is killed when it is dropped.
struct Running {
    stop: CancellationToken,
    task: JoinHandle<Result<()>>,
}

impl Drop for Running {
    fn drop(&mut self) {
        self.task.abort();
    }
}

impl Running {
    fn start(close: &Laboratory, topics: &Topics, keys: &[(&str, &str)]) -> Self {
        Self::start_with(close, &close.key("admin"), topics, keys)
    }

    fn start_with(close: &Laboratory, key: &str, topics: &Topics, keys: &[(&str, &str)]) -> Self {
        let usual = [("poll.interval", "100ms"), ("lists.interval", "1s")];
        let mut all: Vec<(&str, &str)> = keys.to_vec();
        all.extend(usual.iter().filter(|(usual, _)| !keys.iter().any(|(name, _)| name == usual)));
        let open = OpenCloseSource::new("close", config(&close.url(), key, &all), CloseMetrics::unregistered());
        let (stop, mut topics) = (CancellationToken::new(), topics.clone());
        let life = Lifecycle::new(stop.clone());
        let task = tokio::spawn(async move { Box::pin(open.open(0).await?.run(&mut topics, life)).await });
        Self { stop, task }
    }

    /// The end of a source that ends by itself.
    async fn ends(mut self) -> Result<()> {
        tokio::time::timeout(Duration::from_mins(1), &mut self.task).await.expect("it ends").unwrap()
    }
}

/// What Close lists of an object, by id, as records.
async fn listed(
    close: &Laboratory,
    structure: &Structure,
    kind: &'static Kind,
) -> BTreeMap<String, Vec<(String, String)>> {
    let shape = structure.shape(kind).unwrap();
    let rows = close.rows(kind).await;
    let record = |row| read_row(shape, row, Moment(0)).unwrap().0;
    rows.iter().map(record).map(|record| (record.key.to_string(), fields(record.after))).collect()
}

fn fields(after: Option<Vec<(String, apache_avro::types::Value)>>) -> Vec<(String, String)> {
    let text = |value: &apache_avro::types::Value| match value {
        apache_avro::types::Value::Union(_, inner) => format!("{inner:?}"),
        value => format!("{value:?}"),
    };
    let set = after.unwrap_or_default().into_iter().map(|(name, value)| (name, text(&value)));
    let mut set: Vec<(String, String)> = set.filter(|(_, value)| value != "Null").collect();
    set.sort();
    set
}

/// A field that changes in silence, when something else is renamed or moved; and the part of a membership, which is
/// ours.
fn is_silent(object: &str, field: &str) -> bool {
    field.ends_with("_name")
        || field.starts_with("opportunity_value")
        || [("lead", "date_updated"), ("membership", "part")].contains(&(object, field))
}

/// What Close and the topics do not have in common, as texts; empty if they agree. What changes in silence is left out:
/// the comparison brings it.
async fn differences(close: &Laboratory, topics: &Topics, without: &[&str]) -> Vec<String> {
    let (structure, mut differences) = (close.structure().await, Vec::new());
    let silent = ["created", "import_update"];
    for kind in KINDS.iter().filter(|kind| !silent.contains(&kind.name) && !without.contains(&kind.name)) {
        let (listed, table) = (listed(close, &structure, kind).await, topics.table(kind.name));
        let ids: BTreeSet<&String> = listed.keys().chain(table.keys()).collect();
        for id in ids {
            let Some(there) = listed.get(id) else {
                differences.push(format!("{} {id} is not at Close", kind.name));
                continue;
            };
            let Some(here) = table.get(id) else {
                differences.push(format!("{} {id} is not in the topic", kind.name));
                continue;
            };
            let here: BTreeMap<_, _> = fields(here.after.clone()).into_iter().collect();
            let there: BTreeMap<_, _> = there.iter().cloned().collect();
            let names: BTreeSet<&String> = here.keys().chain(there.keys()).collect();
            for name in names.into_iter().filter(|name| !is_silent(kind.name, name)) {
                let (here, there) = (here.get(name), there.get(name));
                if here != there {
                    differences.push(format!("{} {id} {name}: here {here:?}, there {there:?}", kind.name));
                }
            }
        }
    }
    differences
}

/// Waits until Close and the topics agree.
async fn agree(close: &Laboratory, topics: &Topics) {
    agree_without(close, topics, &[]).await;
}

/// Waits until Close and the topics agree, but for these objects.
async fn agree_without(close: &Laboratory, topics: &Topics, objects: &[&str]) {
    let mut last = Vec::new();
    for _ in 0..100 {
        last = differences(close, topics, objects).await;
        if last.is_empty() {
            return;
        }
        tokio::time::sleep(Duration::from_millis(200)).await;
    }
    panic!("{} differences:\n{}", last.len(), last.into_iter().take(40).collect::<Vec<_>>().join("\n"));
}

async fn first_run(topics: &Topics) {
    topics.until("the first snapshot", |topics| topics.position().compared).await;
}

async fn control(close: &Laboratory, path: &str, body: serde_json::Value) {
    close.control(Method::POST, path, Some(body)).await;
}

#[tokio::test(flavor = "multi_thread", worker_threads = 2)]
async fn everything_arrives_once_and_then_every_change() {
    let (close, topics) = (Laboratory::new(20).await, Topics::default());
    let running = Running::start(&close, &topics, &[]);
    first_run(&topics).await;
    agree(&close, &topics).await;
    control(&close, "changes/", json!({"count": 300, "seed": 7})).await;
    control(&close, "scenarios/merge_storm/", json!({"count": 4})).await;
    agree(&close, &topics).await;
    assert_eq!(topics.repeated(), [""; 0]);
    running.stop.cancel();
    let began = std::time::Instant::now();
    running.ends().await.unwrap();
    assert!(began.elapsed() < Duration::from_secs(10));
}

#[tokio::test(flavor = "multi_thread", worker_threads = 2)]
async fn kills_at_any_step_lose_and_repeat_nothing_while_events_are_late() {
    let (close, topics) = (Laboratory::new(20).await, Topics::default());
    close.switch("event_lag_ms", json!(3_000)).await;
    close.switch("event_late_share", json!(0.5)).await;
    control(&close, "changes/", json!({"count": 1_500, "rate_per_sec": 100, "seed": 9})).await;
    for steps in 0..24 {
        topics.kill_after(Some((steps % 7, steps % 2 == 0)));
        let error = Running::start(&close, &topics, &[]).ends().await.unwrap_err();
        assert_eq!(error.code, "test.killed", "{}", error.chain());
        topics.kill_after(None);
    }
    let _running = Running::start(&close, &topics, &[]);
    first_run(&topics).await;
    agree(&close, &topics).await;
    assert_eq!(topics.repeated(), [""; 0]);
}

#[tokio::test(flavor = "multi_thread", worker_threads = 2)]
async fn case_45_edits_of_old_activities_old_mail_and_meetings_ahead_arrive_within_a_poll() {
    let (close, topics) = (Laboratory::new(10).await, Topics::default());
    let _running = Running::start(&close, &topics, &[]);
    first_run(&topics).await;
    control(&close, "scenarios/future_meetings/", json!({"count": 5, "days": 3})).await;
    control(&close, "scenarios/email_backfill/", json!({"count": 40, "years": 6})).await;
    let note = topics.table("note").into_keys().next().unwrap();
    close.write(Method::PUT, &format!("activity/note/{note}/"), json!({"note": "changed later"})).await;
    control(&close, "changes/", json!({"count": 200, "seed": 7})).await;
    agree(&close, &topics).await;
    let mark = topics.position().log.unwrap();
    let newest = Moment::parse(close.events().await.first().map(|event| event.date_updated.as_str()).unwrap()).unwrap();
    assert!(mark <= newest.plus(Duration::from_mins(1)), "the mark is not ahead");
    assert_eq!(topics.repeated(), [""; 0]);
}

#[tokio::test(flavor = "multi_thread", worker_threads = 2)]
async fn case_49_away_for_40_days_is_made_good_by_a_comparison() {
    let (close, topics) = (Laboratory::new(10).await, Topics::default());
    let running = Running::start(&close, &topics, &[]);
    first_run(&topics).await;
    running.stop.cancel();
    running.ends().await.unwrap();
    let before = topics.position();
    control(&close, "changes/", json!({"count": 300, "seed": 9, "spread_secs": 86_400})).await;
    control(&close, "clock/", json!({"advance_secs": 40 * 86_400})).await;
    let _running = Running::start(&close, &topics, &[("compare.deletes.max.share", "100%")]);
    let gap = topics.until("the gap", |topics| topics.position().gap).await;
    assert!(gap > before.log.unwrap().plus(Duration::from_hours(24 * 39)));
    topics.until("the comparison", |topics| topics.position().compared.filter(|compared| *compared >= gap)).await;
    agree(&close, &topics).await;
    assert_eq!(topics.repeated(), [""; 0]);
}

#[tokio::test(flavor = "multi_thread", worker_threads = 2)]
async fn quirk_27_events_without_data_are_completed_by_the_object_itself() {
    let (close, topics) = (Laboratory::new(10).await, Topics::default());
    let key = close.key("second");
    let running = Running::start_with(&close, &key, &topics, &[]);
    first_run(&topics).await;
    running.stop.cancel();
    running.ends().await.unwrap();
    control(&close, "changes/", json!({"count": 200, "seed": 3})).await;
    control(&close, "clock/", json!({"advance_secs": 7_200})).await;
    let _running = Running::start_with(&close, &key, &topics, &[]);
    // Each user sees only its own.
    agree_without(&close, &topics, &["send_as", "export"]).await;
    assert_eq!(topics.repeated(), [""; 0]);
}

#[tokio::test(flavor = "multi_thread", worker_threads = 2)]
async fn quirk_28_merges_in_every_spelling_delete_the_source_and_move_its_children() {
    for (name, value) in [("merged_object", "source"), ("merge_spelling", "plain"), ("legacy_note_type", "true")] {
        let (close, topics) = (Laboratory::new(12).await, Topics::default());
        close.switch(name, if value == "true" { json!(true) } else { json!(value) }).await;
        let _running = Running::start(&close, &topics, &[]);
        first_run(&topics).await;
        control(&close, "scenarios/merge_storm/", json!({"count": 4})).await;
        control(&close, "changes/", json!({"count": 50, "seed": 5})).await;
        agree(&close, &topics).await;
        let gone = |record: &Published| record.event_id.as_ref().is_some_and(|id| id.ends_with("/source"));
        topics
            .until("the deletes of merged leads", |topics| {
                (topics.records("lead").iter().filter(|record| gone(record)).count() == 4).then_some(())
            })
            .await;
        assert_eq!(topics.repeated(), [""; 0]);
    }
}

#[tokio::test(flavor = "multi_thread", worker_threads = 2)]
async fn quirk_30_an_unknown_type_of_event_does_not_stop_the_walk() {
    let (close, topics) = (Laboratory::new(5).await, Topics::default());
    let _running = Running::start(&close, &topics, &[]);
    first_run(&topics).await;
    control(&close, "events/", json!({"object_type": "future.thing", "action": "invented"})).await;
    control(&close, "changes/", json!({"count": 20, "seed": 5})).await;
    agree(&close, &topics).await;
    assert!(topics.objects().iter().all(|object| !object.contains("future")));
}

#[tokio::test(flavor = "multi_thread", worker_threads = 2)]
async fn a_new_custom_field_is_a_field_of_the_next_record() {
    let (close, topics) = (Laboratory::new(5).await, Topics::default());
    let _running = Running::start(&close, &topics, &[("lists.interval", "1h")]);
    first_run(&topics).await;
    let field = close.write(Method::POST, "custom_field/lead/", json!({"name": "Seats", "type": "number"})).await;
    let id = field["id"].as_str().unwrap().to_owned();
    let lead = topics.table("lead").into_keys().next().unwrap();
    close.write(Method::PUT, &format!("lead/{lead}/"), json!({(format!("custom.{id}")): 12})).await;
    let value = topics.until("the field", |topics| {
        let row = topics.table("lead").remove(&lead)?;
        fields(row.after).into_iter().find(|(name, _)| *name == id)
    });
    assert!(value.await.1.contains("12"));
}

#[tokio::test(flavor = "multi_thread", worker_threads = 2)]
async fn a_schema_that_has_changed_is_carried_by_a_record() {
    let (close, topics) = (Laboratory::new(5).await, Topics::default());
    let running = Running::start(&close, &topics, &[("lists.interval", "1h")]);
    first_run(&topics).await;
    let made = async |name: &str| {
        let field = close.write(Method::POST, "custom_field/lead/", json!({"name": name, "type": "number"})).await;
        field["id"].as_str().unwrap().to_owned()
    };
    let has = |topics: &Topics, id: &str| {
        let after = topics.records("lead").pop()?.after?;
        after.iter().any(|(name, _)| name == id).then_some(())
    };
    let seats = made("Seats").await;
    topics.until("a record with the new field", |topics| has(topics, &seats)).await;
    running.stop.cancel();
    running.ends().await.unwrap();
    // While the source is away, Close has a new field, and a new version of Towpath has one more in two objects.
    let places = made("Places").await;
    let (statuses, addresses) = (topics.table("lead_status"), topics.table("unsubscribed_email"));
    topics.had_no("lead_status", "label");
    topics.had_no("unsubscribed_email", "_extra");
    let running = Running::start(&close, &topics, &[("lists.interval", "1h")]);
    topics.until("a record with the next field", |topics| has(topics, &places)).await;
    topics.until("the end of it", |topics| topics.position().carries.is_empty().then_some(())).await;
    assert_eq!(topics.table("lead_status"), statuses);
    assert_eq!(topics.table("unsubscribed_email"), addresses);
    running.stop.cancel();
    running.ends().await.unwrap();
    let records = topics.records("lead").len();
    // A third start has nothing to carry.
    let _running = Running::start(&close, &topics, &[("lists.interval", "1h")]);
    agree(&close, &topics).await;
    assert_eq!(topics.records("lead").len(), records);
}

#[tokio::test(flavor = "multi_thread", worker_threads = 2)]
async fn what_has_no_events_is_read_again_and_published_once() {
    let (close, topics) = (Laboratory::new(5).await, Topics::default());
    let running = Running::start(&close, &topics, &[]);
    first_run(&topics).await;
    let part = |topics: &Topics, id: &str| {
        let row = topics.table("membership").remove(id)?;
        fields(row.after).into_iter().find(|(name, _)| name == "part").map(|(_, value)| value)
    };
    let memberships = topics.table("membership");
    let agent = memberships.keys().find(|id| part(&topics, id).is_some_and(|part| part.contains("agent"))).unwrap();
    close.write(Method::PUT, &format!("membership/{agent}/"), json!({"role_id": "admin"})).await;
    topics.until("the role", |topics| part(topics, agent).filter(|part| part.contains("admin"))).await;
    let link = json!({"name": "Map", "url": "https://maps.example/{{ lead.id }}", "type": "lead"});
    let link = close.write(Method::POST, "integration_link/", link).await["id"].as_str().unwrap().to_owned();
    topics.until("the link", |topics| topics.table("integration_link").remove(&link)).await;
    close.write(Method::DELETE, &format!("integration_link/{link}/"), json!({})).await;
    topics.until("the delete", |topics| (!topics.table("integration_link").contains_key(&link)).then_some(())).await;
    agree(&close, &topics).await;
    // A start reads the topics, and publishes nothing again.
    running.stop.cancel();
    running.ends().await.unwrap();
    let counts =
        |topics: &Topics| ["user", "role", "membership", "pipeline"].map(|object| topics.records(object).len());
    let before = counts(&topics);
    let _running = Running::start(&close, &topics, &[]);
    topics.until("another round", |topics| topics.position().log.filter(|log| *log > Moment(0))).await;
    tokio::time::sleep(Duration::from_secs(3)).await;
    assert_eq!(counts(&topics), before);
}

#[tokio::test(flavor = "multi_thread", worker_threads = 2)]
async fn a_key_that_is_revoked_ends_the_source_and_says_so() {
    let (close, topics) = (Laboratory::new(3).await, Topics::default());
    let made = close.control(Method::POST, "keys/", Some(json!({"name": "night", "role": "admin"}))).await;
    let made: serde_json::Value = serde_json::from_str(&made).unwrap();
    let key = made["key"].as_str().or_else(|| made["secret"].as_str()).unwrap_or_else(|| panic!("{made}")).to_owned();
    let running = Running::start_with(&close, &key, &topics, &[]);
    first_run(&topics).await;
    close.control(Method::DELETE, "keys/?name=night", None).await;
    let error = running.ends().await.unwrap_err();
    assert_eq!(error.code, codes::KEY_REFUSED);
    assert!(error.help().is_some() && !error.chain().contains(&key), "{}", error.chain());
}

#[tokio::test(flavor = "multi_thread", worker_threads = 2)]
async fn an_object_that_the_registry_refuses_waits_alone_and_is_read_later() {
    let (close, topics) = (Laboratory::new(5).await, Topics::default());
    topics.change(|state| state.refused.insert("note".to_owned()));
    let running = Running::start(&close, &topics, &[]);
    first_run(&topics).await;
    assert!(topics.table("note").is_empty() && !topics.table("call").is_empty());
    topics.change(|state| state.refused.clear());
    topics.until("the notes", |topics| (!topics.table("note").is_empty()).then_some(())).await;
    agree(&close, &topics).await;
    drop(running);

    // Refused again: changes that are left out meanwhile are made good.
    topics.change(|state| state.refused.insert("note".to_owned()));
    let _running = Running::start(&close, &topics, &[]);
    topics.until("the wait", |topics| topics.position().held.contains_key("note").then_some(())).await;
    let mut notes = topics.table("note").into_keys();
    let mut path = || format!("activity/note/{}/", notes.next().unwrap());
    close.write(Method::PUT, &path(), json!({"note": "edited meanwhile"})).await;
    close.write(Method::DELETE, &path(), json!({})).await;
    // The overlap of the log passes.
    control(&close, "clock/", json!({"advance_secs": 7_200})).await;
    let passed = topics.position().log.map(|log| log.plus(Duration::from_hours(1)));
    topics.until("the log", |topics| (topics.position().log > passed).then_some(())).await;
    topics.change(|state| state.refused.clear());
    agree(&close, &topics).await;
}

#[tokio::test(flavor = "multi_thread", worker_threads = 2)]
async fn the_position_of_another_organization_is_refused() {
    let (close, topics) = (Laboratory::new(1).await, Topics::default());
    topics.set_position(&ClosePosition { organization: "orga_other".to_owned(), ..ClosePosition::default() });
    let error = Running::start(&close, &topics, &[]).ends().await.unwrap_err();
    assert_eq!(error.code, codes::OTHER_ORGANIZATION);
}
