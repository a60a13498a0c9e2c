//! The views against values computed from the simulator's truth, in Rust and without the database.

mod people;
mod sales;
mod work;

use std::collections::{BTreeMap, BTreeSet};

use close_simulator::{Options, Running, Simulator};
use rust_decimal::{Decimal, RoundingStrategy};
use serde_json::{Map, Value as Json, json};
use tokio_postgres::Client;

use super::tables::{Tables, micros};
use crate::stack::{rows, seed};

/// The objects of an organization as they stand, by the names of their tables and by id.
#[derive(Default)]
pub(crate) struct Truth {
    objects: BTreeMap<&'static str, BTreeMap<String, Json>>,
}

impl Truth {
    /// Reads everything that views show. `part` gives the part of a membership, from its role and rights.
    pub(crate) async fn read(close: &Running, part: impl Fn(&Json, &Json) -> &'static str) -> Self {
        let mut truth = Self::default();
        let text = get(close, &format!("http://{}/_control/truth/", close.address)).await;
        for line in text.lines() {
            let object: Json = serde_json::from_str(line).expect("a line of JSON");
            if let Some(table) = table(&object) {
                truth.insert(table, object);
            }
        }
        // The truth does not have what depends on the way of reading.
        let list = |path: &str| format!("{}{path}", close.base_url());
        for id in truth.of("group").keys().cloned().collect::<Vec<_>>() {
            let group: Json = serde_json::from_str(&get(close, &list(&format!("group/{id}/"))).await).expect("JSON");
            truth.insert("group", group);
        }
        for (path, table) in
            [("custom_field/lead/", "custom_field_lead"), ("custom_field/shared/", "custom_field_shared")]
        {
            let fields: Json = serde_json::from_str(&get(close, &list(path)).await).expect("JSON");
            for field in fields["data"].as_array().expect("a list") {
                truth.insert(table, field.clone());
            }
        }
        let id = truth.of("organization").keys().next().expect("an organization").clone();
        let expand = "_expand=memberships__user,inactive_memberships__user";
        let organization = get(close, &list(&format!("organization/{id}/?{expand}"))).await;
        let organization: Json = serde_json::from_str(&organization).expect("JSON");
        for (name, is_active) in [("memberships", true), ("inactive_memberships", false)] {
            for membership in organization[name].as_array().expect("a list") {
                let mut membership = membership.clone();
                let role = membership["role_id"].as_str().and_then(|role| truth.get("role", role));
                membership["part"] = json!(part(&membership, role.unwrap_or(&Json::Null)));
                membership["is_active"] = json!(is_active);
                truth.insert("membership", membership);
            }
        }
        truth
    }

    fn insert(&mut self, table: &'static str, object: Json) {
        let id = object["id"].as_str().expect("an id").to_owned();
        self.objects.entry(table).or_default().insert(id, object);
    }

    fn of(&self, table: &'static str) -> &BTreeMap<String, Json> {
        static NONE: BTreeMap<String, Json> = BTreeMap::new();
        self.objects.get(table).unwrap_or(&NONE)
    }

    fn all(&self, table: &'static str) -> impl Iterator<Item = &Json> {
        self.of(table).values()
    }

    fn get(&self, table: &'static str, id: &str) -> Option<&Json> {
        self.of(table).get(id)
    }

    /// The first and last name of a user, or the full name in the membership.
    fn name(&self, user: &str) -> Json {
        let full = self.get("user", user).map(|user| {
            let parts = ["first_name", "last_name"].map(|part| user[part].as_str().unwrap_or("").to_owned());
            parts.join(" ").trim().to_owned()
        });
        let of_membership =
            || self.all("membership").find(|of| of["user_id"] == user).map(|of| of["user_full_name"].clone());
        full.filter(|name| !name.is_empty()).map(Json::from).or_else(of_membership).unwrap_or(Json::Null)
    }

    /// The label and type of an opportunity's status, by the status itself.
    fn status_type<'t>(&'t self, status: &'t Json, otherwise: &'t Json) -> &'t Json {
        status.as_str().and_then(|id| self.get("opportunity_status", id)).map_or(otherwise, |status| &status["type"])
    }
}

/// The table of an object; `None` if no view reads it.
fn table(object: &Json) -> Option<&'static str> {
    let id = object["id"].as_str().expect("an id");
    Some(match (id.split('_').next().unwrap_or(id), object["_type"].as_str()) {
        ("lead", _) => "lead",
        ("cont", _) => "contact",
        ("oppo", _) => "opportunity",
        ("task" | "noti", _) => "task",
        ("user", _) if object.get("email").is_some() => "user",
        ("role", _) => "role",
        (_, None) if object.get("permissions").is_some() => "role",
        ("group", _) => "group",
        ("orga", _) => "organization",
        ("stat", _) if object.get("pipeline_id").is_some() => "opportunity_status",
        ("stat", _) => "lead_status",
        ("pipe", _) => "pipeline",
        (_, Some("Call")) => "call",
        (_, Some("Email")) => "email",
        (_, Some("SMS")) => "sms",
        (_, Some("WhatsAppMessage")) => "whatsapp_message",
        (_, Some("Meeting")) => "meeting",
        (_, Some("Note")) => "note",
        (_, Some("CustomActivity")) => "custom_activity",
        (_, Some("FormSubmission")) => "form_submission",
        (_, Some("TaskCompleted")) => "task_completed",
        (_, Some("LeadStatusChange")) => "lead_status_change",
        (_, Some("OpportunityStatusChange")) => "opportunity_status_change",
        _ => return None,
    })
}

async fn get(close: &Running, url: &str) -> String {
    let key = close.key("admin").expect("a key");
    let http = reqwest::Client::builder().no_proxy().build().expect("a client");
    let answer = http.get(url).basic_auth(key, Some("")).send().await.expect("an answer");
    assert!(answer.status().is_success(), "{url}: {}", answer.status());
    answer.text().await.expect("a body")
}

async fn control(close: &Running, path: &str, body: &Json) {
    let http = reqwest::Client::builder().no_proxy().build().expect("a client");
    let answer = http.post(format!("http://{}/_control/{path}", close.address)).json(body).send().await;
    let answer = answer.expect("an answer");
    let (status, text) = (answer.status(), answer.text().await.unwrap_or_default());
    assert!(status.is_success(), "{path}: {status} {text}");
}

/// The rights of those who lead others, by the default of `role.map`.
const OF_MANAGERS: &[&str] =
    &["manage_others_opportunities", "manage_others_activities", "call_coach_listen", "call_coach_barge"];

/// The part of a user by the role and its rights, as the connector has it by default.
pub(crate) fn part(membership: &Json, role: &Json) -> &'static str {
    let has = |right: &str| {
        [&role["permissions"], &membership["permissions_granted"]]
            .into_iter()
            .any(|rights| rights.as_array().is_some_and(|rights| rights.iter().any(|has| has == right)))
    };
    match () {
        () if has("manage_organization") => "admin",
        () if membership["role_id"] == "superuser" || OF_MANAGERS.iter().any(|right| has(right)) => "manager",
        () => "agent",
    }
}

/// Compares the views in `schema` with the truth. This is all that a test of the whole path needs.
pub(crate) async fn compare(client: &Client, schema: &str, truth: &Truth) {
    // In one transaction, now() stays what it is.
    client.batch_execute("BEGIN").await.expect("a transaction");
    let now = rows(client, "SELECT (extract(epoch FROM now()) * 1000000)::bigint").await;
    let now: i64 = now[0].parse().expect("a number");
    let standing =
        rows(client, &format!("SELECT table_name FROM information_schema.tables WHERE table_schema = '{schema}'"))
            .await;
    for (view, expected) in [
        ("user_access", people::user_access(truth)),
        ("productivity_daily", work::productivity_daily(truth, &standing)),
        ("pipeline_overview", sales::pipeline_overview(truth, now)),
        ("opportunity_stage_history", sales::opportunity_stage_history(truth, now)),
        ("lead_overview", work::lead_overview(truth, now)),
    ] {
        let sql = format!("SET timezone = 'UTC'; SELECT to_jsonb(v) FROM {schema}.{view} AS v");
        let found = rows(client, &sql).await;
        let found: BTreeSet<Row> = found.iter().map(|row| Row::of(serde_json::from_str(row).expect("JSON"))).collect();
        let expected: BTreeSet<Row> = expected.into_iter().map(Row::of).collect();
        let missing: Vec<&Row> = expected.difference(&found).collect();
        if let Some(wrong) = found.difference(&expected).next() {
            let nearest = missing.iter().max_by_key(|row| row.0.iter().filter(|field| wrong.0.contains(field)).count());
            let differs =
                |row: &&Row| row.0.iter().filter(|field| !wrong.0.contains(field)).cloned().collect::<Vec<_>>();
            panic!("{view} has {wrong:#?}; the nearest row that it lacks has {:#?}", nearest.map(differs));
        }
        assert!(missing.is_empty(), "{view} lacks {missing:#?}");
        assert!(!expected.is_empty(), "{view} is empty, so this compares nothing");
    }
    client.batch_execute("COMMIT").await.expect("the transaction ends");
}

/// A row in a form that can be compared: times in microseconds, numbers without zeros at their end.
#[derive(Debug, Clone, PartialEq, Eq, PartialOrd, Ord)]
struct Row(Vec<(String, String)>);

impl Row {
    fn of(row: Json) -> Self {
        let Json::Object(fields) = row else { panic!("{row} is not a row") };
        let fields: Map<String, Json> = fields;
        let field = |(name, value): (String, Json)| {
            let text = match &value {
                Json::String(time) if name.ends_with("_at") => micros(time).to_string(),
                Json::Number(number) => number.to_string().parse::<Decimal>().expect("decimal").normalize().to_string(),
                Json::Object(members) => format!("{:?}", members.iter().collect::<BTreeMap<_, _>>()),
                other => other.to_string(),
            };
            (name, text)
        };
        let mut fields: Vec<_> = fields.into_iter().map(field).collect();
        fields.sort();
        Self(fields)
    }
}

/// A number as the database rounds it.
fn rounded(number: Decimal, places: u32) -> Json {
    let text = number.round_dp_with_strategy(places, RoundingStrategy::MidpointAwayFromZero).to_string();
    serde_json::from_str(&text).expect("a number")
}

fn cents(value: &Json) -> Decimal {
    Decimal::new(value.as_i64().unwrap_or(0), 2)
}

/// A value of one year.
fn annualized(opportunity: &Json) -> Decimal {
    let times = if opportunity["value_period"] == "monthly" { 12 } else { 1 };
    cents(&opportunity["value"]) * Decimal::from(times)
}

/// The first of these fields that has a time, in microseconds.
fn moment(object: &Json, fields: &[&str]) -> Option<i64> {
    fields.iter().find_map(|field| object[*field].as_str()).map(micros)
}

fn days(micros: i64) -> Decimal {
    Decimal::from(micros) / Decimal::from(86_400_000_000_i64)
}

/// Fills tables with what is true now: rows that changed since `before`, and deletes.
async fn fill(tables: &mut Tables, before: &Truth, truth: &Truth) {
    for (table, objects) in truth.objects.iter().filter(|(table, _)| **table != "organization") {
        let plain = |object: &Json| {
            let fields = object.as_object().expect("an object").iter();
            // As the connector names custom fields.
            Json::Object(
                fields.map(|(name, value)| (name.trim_start_matches("custom.").to_owned(), value.clone())).collect(),
            )
        };
        let changed = objects.iter().filter(|(id, object)| before.get(table, id) != Some(*object));
        let changed: Vec<Json> = changed.map(|(_, object)| plain(object)).collect();
        tables.put(table, &changed).await;
    }
    for (table, objects) in before.objects.iter().filter(|(table, _)| **table != "organization") {
        let gone: Vec<&str> = objects.keys().filter(|id| truth.get(table, id).is_none()).map(String::as_str).collect();
        tables.delete(table, &gone).await;
    }
}

#[tokio::test]
async fn the_views_equal_the_truth_after_a_storm_of_changes() {
    let seed = seed("views") % 1_000_000;
    let close = Simulator::start(Options { seed, leads: 60, ..Options::default() }).await.expect("it starts");
    let mut tables = Tables::new("truth").await;
    let first = Truth::read(&close, part).await;
    for field in first.all("custom_field_lead").chain(first.all("custom_field_shared")) {
        if field["type"] == "user" {
            let ty = if field["accepts_multiple_values"] == true { "jsonb" } else { "text" };
            tables.also("lead", field["id"].as_str().expect("an id"), ty);
        }
    }
    fill(&mut tables, &Truth::default(), &first).await;
    tables.all_stand().await;
    compare(&tables.client, &tables.name, &first).await;
    let mut before = first;
    for round in 0..3_u64 {
        let changes = json!({ "count": 400, "seed": seed + round, "spread_secs": 40_000,
            // Custom fields that come, go and change are not what this tests.
            "weights": {} });
        control(&close, "changes/", &changes).await;
        control(&close, "scenarios/merge_storm/", &json!({ "count": 5 })).await;
        control(&close, "scenarios/status_rename/", &json!({})).await;
        control(&close, "clock/", &json!({ "advance_secs": 600 })).await;
        let truth = Truth::read(&close, part).await;
        fill(&mut tables, &before, &truth).await;
        compare(&tables.client, &tables.name, &truth).await;
        before = truth;
    }
}
