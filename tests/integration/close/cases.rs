//! What broke other connectors for Close, as their users reported it: each case once, by its number in the collection
//! of inputs from the wild, 44 to 50.

use close_simulator::Options;
use serde_json::{Value, json};

use super::{
    ARRIVAL,
    kills::no_event_is_twice,
    laboratory::{Organization, compare, generation, reader, snapshot, snapshot_ends, source},
    truth::{self, EVERYTHING, RECORDS, some},
};
use crate::{
    stack::{database, rows, rows_become, shared, try_for},
    worker::Worker,
};

#[tokio::test(flavor = "multi_thread")]
async fn case_44_more_rows_than_max_skip_arrive_and_a_restart_goes_on() {
    let _stack = shared().await;
    let switches = vec![("max_skip".to_owned(), json!(200))];
    let organization = Organization::new(Options { leads: 30, seed: 5, switches, ..Options::default() }).await;
    organization.control("scenarios/email_backfill/", json!({"count": 900, "years": 6})).await;
    let keys = "objects = \"lead,email,email_thread\"\nsnapshot.readers = 1\n";
    let pages = || organization.requests(|group| group.starts_with("GET activity/"));
    let undisturbed = source(Worker::new("whole44x"), &organization, keys).start().await;
    snapshot_ends(&organization, &undisturbed, 1).await;
    drop(undisturbed);
    let without = pages().await;
    organization.clear("counters/").await;

    let limits = json!({"groups": {"GET activity": {"limit": 4, "window_secs": 1}}, "off": false});
    organization.set("limits/", limits).await;
    let mut worker = reader("case44x", &organization, keys).start().await;
    let half = try_for(ARRIVAL, || async { (pages().await >= without / 2).then_some(()) });
    assert!(half.await.is_some(), "half of {without} pages are read: {}", worker.log());
    worker.kill();
    organization.set("limits/", json!({"off": true})).await;
    worker.spawn();
    worker.is_ready().await;
    let (client, what) = (database().await, some(&["lead", "email", "email_thread"]));
    truth::equal(&organization, &client, &worker.name, &what).await;
    let with = pages().await;
    assert!(without >= 10 && with <= without + 1, "only the page in flight is read again: {without}, then {with}");
}

#[tokio::test(flavor = "multi_thread")]
async fn case_45_old_activities_back_dated_mail_and_meetings_ahead_arrive_within_a_poll() {
    let _stack = shared().await;
    let organization = Organization::with_leads(30, 7).await;
    let worker = reader("case45x", &organization, "").start().await;
    let client = database().await;
    let what = some(RECORDS);
    truth::equal(&organization, &client, &worker.name, &what).await;
    organization.control("scenarios/future_meetings/", json!({"count": 5, "days": 3})).await;
    organization.control("scenarios/email_backfill/", json!({"count": 40, "years": 6})).await;
    let note = organization.api("GET", "activity/note/?_limit=1&_fields=id", None).await;
    let note = note["data"][0]["id"].as_str().expect("a note").to_owned();
    organization.api("PUT", &format!("activity/note/{note}/"), Some(json!({"note": "changed later"}))).await;
    let text = format!("SELECT note FROM {}.note WHERE id = '{note}'", worker.name);
    organization.changes(200, 7).await;
    rows_become(&client, &text, &["changed later"]).await;
    truth::arrives(&organization, &client, &worker, &what).await;
    no_event_is_twice(&worker, "meeting");
}

#[tokio::test(flavor = "multi_thread")]
async fn case_46_a_field_becomes_multi_valued_renamed_retyped_and_deleted() {
    let _stack = shared().await;
    let organization = Organization::with_leads(10, 8).await;
    let mut worker = reader("case46x", &organization, "objects = \"lead,custom_field_lead\"\n").start().await;
    let client = database().await;
    let field = json!({"name": "Tags", "type": "choices", "choices": ["A", "B"]});
    let field = organization.api("POST", "custom_field/lead/", Some(field)).await;
    let field = field["id"].as_str().expect("an id").to_owned();
    let leads = organization.api("GET", "lead/?_limit=2&_fields=id", None).await;
    let [lead, other] = [0, 1].map(|at| leads["data"][at]["id"].as_str().expect("a lead").to_owned());
    let set = async |value: Value| {
        organization.api("PUT", &format!("lead/{lead}/"), Some(json!({format!("custom.{field}"): value}))).await;
    };
    let change = async |change: Value| {
        organization.api("PUT", &format!("custom_field/lead/{field}/"), Some(change)).await;
    };
    set(json!("A")).await;
    let column = async || {
        let sql = format!(
            "SELECT column_name FROM towpath.columns WHERE table_schema = '{}' AND field = '{field}'",
            worker.name
        );
        // The first sink of a database creates the table.
        let ask = || async {
            let asked = client.simple_query(&sql).await.is_ok();
            if asked { rows(&client, &sql).await.pop() } else { None }
        };
        let found = try_for(ARRIVAL, ask).await;
        found.expect("the field has a column")
    };
    let column = column().await;
    let value = format!("SELECT {column} FROM {}.lead WHERE id = '{lead}'", worker.name);
    rows_become(&client, &value, &["A"]).await;
    // The source is away while the field becomes multi-valued.
    worker.kill();
    change(json!({"accepts_multiple_values": true, "name": "Labels"})).await;
    set(json!(["A", "B"])).await;
    worker.spawn();
    worker.is_ready().await;
    rows_become(&client, &value, &["[\"A\", \"B\"]"]).await;
    let comment = format!(
        "SELECT col_description('{0}.lead'::regclass, attnum) LIKE '%Labels%' FROM pg_attribute
         WHERE attrelid = '{0}.lead'::regclass AND attname = '{column}'",
        worker.name
    );
    rows_become(&client, &comment, &["t"]).await;
    let changed = format!(
        "SELECT count(*) > 0 FROM towpath.schema_changes WHERE table_schema = '{}' AND column_name = '{column}'",
        worker.name
    );
    rows_become(&client, &changed, &["t"]).await;
    // Another field is retyped while source and sink run: its column takes numbers and texts from then on.
    let seats = organization.api("POST", "custom_field/lead/", Some(json!({"name": "Seats", "type": "number"}))).await;
    let seats = seats["id"].as_str().expect("an id").to_owned();
    let seats_of = async |lead: &str, value: Value| {
        organization.api("PUT", &format!("lead/{lead}/"), Some(json!({format!("custom.{seats}"): value}))).await;
    };
    seats_of(&lead, json!(12)).await;
    truth::arrives(&organization, &client, &worker, &some(&["lead"])).await;
    organization.control("scenarios/field_type_change/", json!({"id": seats, "type": "text"})).await;
    seats_of(&other, json!("many")).await;
    organization.control("clock/", json!({"advance_secs": 60})).await;
    truth::arrives(&organization, &client, &worker, &some(&["lead"])).await;
    organization.control("scenarios/choice_rename/", json!({"id": field, "from": "A", "to": "Else"})).await;
    compare(&organization, &worker).await;
    rows_become(&client, &value, &["[\"Else\", \"B\"]"]).await;
    organization.control("scenarios/field_delete/", json!({"id": field})).await;
    compare(&organization, &worker).await;
    rows_become(&client, &value, &[""]).await;
    truth::equal(&organization, &client, &worker.name, &some(&["lead"])).await;
    assert_eq!(worker.state("pg").await, "running");
}

#[tokio::test(flavor = "multi_thread")]
async fn case_47_names_that_neither_avro_nor_postgres_takes() {
    let _stack = shared().await;
    let organization = Organization::with_leads(10, 9).await;
    // The event log alone tells of new fields.
    let keys = "objects = \"lead,custom_field_lead\"\n\"lists.interval\" = \"1h\"\n";
    let worker = reader("case47x", &organization, keys).start().await;
    let client = database().await;
    let long = "ü".repeat(120);
    let names =
        [("Größe (m²)", "number"), ("Groesse m2", "number"), (&long, "text"), ("id", "text"), ("date_updated", "text")];
    let lead = organization.api("GET", "lead/?_limit=1&_fields=id", None).await;
    let lead = lead["data"][0]["id"].as_str().expect("a lead").to_owned();
    let (mut values, mut fields) = (serde_json::Map::new(), Vec::new());
    for (at, (name, ty)) in names.iter().enumerate() {
        let field = organization.api("POST", "custom_field/lead/", Some(json!({"name": name, "type": ty}))).await;
        let value = if *ty == "number" { json!(12.5) } else { json!(format!("value {at}")) };
        fields.push(field["id"].as_str().expect("an id").to_owned());
        values.insert(format!("custom.{}", fields[at]), value);
    }
    organization.api("PUT", &format!("lead/{lead}/"), Some(Value::Object(values))).await;
    organization.control("events/", json!({"object_type": "future.thing", "action": "invented"})).await;
    organization.changes(20, 3).await;
    truth::arrives(&organization, &client, &worker, &some(&["lead"])).await;
    let labelled = |labels: &str| {
        format!(
            "SELECT attname FROM pg_attribute WHERE attrelid = '{0}.lead'::regclass AND
             col_description(attrelid, attnum) ~ '({labels})' ORDER BY attnum",
            worker.name
        )
    };
    let columns = rows(&client, &labelled("Größe|Groesse m2|üüü")).await;
    assert_eq!(columns.len(), 3, "{columns:?}");
    let column = rows(&client, &labelled("Größe")).await.remove(0);
    let unknown = format!("connector=\"close-{}\",object_type=\"_unknown\",outcome=\"unknown\"", worker.name);
    assert!(worker.metric("towpath_close_events_total", &unknown).await >= 1.0, "the unknown event is counted");
    // A new field is a column before any record has a value, and a new label is a new comment: the column and its value
    // stay.
    organization.api("POST", "custom_field/lead/", Some(json!({"name": "Nobody has it", "type": "text"}))).await;
    let unset = format!("SELECT count(*) FROM ({}) unset", labelled("Nobody has it"));
    rows_become(&client, &unset, &["1"]).await;
    let renamed = format!("custom_field/lead/{}/", fields[0]);
    organization.api("PUT", &renamed, Some(json!({"name": "Fläche \"brutto\"; --"}))).await;
    rows_become(&client, &labelled("Fläche .brutto.; --"), &[&column]).await;
    assert_eq!(rows(&client, &labelled("Größe")).await, [""; 0]);
    truth::arrives(&organization, &client, &worker, &some(&["lead"])).await;
    assert_eq!(
        rows(&client, &format!("SELECT \"{}\" FROM {}.lead WHERE id = '{lead}'", column, worker.name)).await,
        ["12.5"]
    );
}

#[tokio::test(flavor = "multi_thread")]
async fn case_48_429_in_every_form_is_obeyed_and_the_snapshot_ends_complete() {
    let _stack = shared().await;
    for form in ["semicolon", "comma", "split", "x_split"] {
        let switches = vec![("limit_header".to_owned(), json!(form)), ("legacy_429_body".to_owned(), json!(false))];
        let organization = Organization::new(Options { leads: 250, seed: 6, switches, ..Options::default() }).await;
        // Leads and contacts need more searches than a window has.
        let limits = json!({"groups": {"POST data/search": {"limit": 2, "window_secs": 20}}, "off": false});
        organization.set("limits/", limits).await;
        let faults = json!({"faults": [
            {"endpoint": "GET opportunity", "kind": "html_429", "times": 3},
            {"endpoint": "activity", "kind": "html_429", "share": 0.2},
        ]});
        organization.set("faults/", faults).await;
        let objects = "objects = \"lead,contact,user,lead_status,opportunity,note\"\n";
        let worker = reader("case48x", &organization, objects).start().await;
        let client = database().await;
        // The other groups go on, also the one that was refused without a header.
        truth::equal(&organization, &client, &worker.name, &some(&["lead_status", "opportunity", "note"])).await;
        let status = snapshot(&worker).await;
        assert!(!status["running"].is_null(), "{form}: leads and contacts still wait: {status}");
        organization.set("limits/", json!({"off": true})).await;
        truth::equal(&organization, &client, &worker.name, &some(&["lead", "contact"])).await;
        let runs = try_for(ARRIVAL, || async { (worker.state("close").await == "running").then_some(()) });
        assert!(runs.await.is_some(), "{form}: the source runs once the allowance is there");

        let refused = organization.answers(|_| true, |status| status == 429).await;
        let counted = worker.metric("towpath_source_http_requests_total", "code=\"429\"").await;
        assert!(
            (counted - f64::from(u32::try_from(refused).expect("few"))).abs() < 0.5,
            "{form}: {counted} of {refused}"
        );
        let searches = organization.answers(|group| group == "POST data/search", |status| status == 429).await;
        assert!(refused >= 3 && searches <= 2, "{form}: the header is obeyed: {refused} refused, {searches} searches");
        let waited = worker.metric("towpath_source_ratelimit_wait_seconds_total", "reason=\"throttled\"").await;
        assert!(waited > 0.0, "{form}: a 429 is waited out");
    }
}

#[tokio::test(flavor = "multi_thread")]
async fn case_49_away_for_more_than_30_days_makes_a_new_snapshot_with_deletes() {
    let _stack = shared().await;
    let organization = Organization::with_leads(30, 10).await;
    // Every object may lose more than the brake allows.
    let more = "\"compare.deletes.max.share\" = \"100%\"\n";
    let mut worker = reader("case49x", &organization, more).start().await;
    let client = database().await;
    truth::equal(&organization, &client, &worker.name, EVERYTHING).await;
    let before = generation(&worker).await;
    worker.kill();
    organization.control("changes/", json!({"count": 500, "seed": 9, "spread_secs": 86_400})).await;
    organization.control("clock/", json!({"advance_secs": 3_456_000})).await;
    worker.spawn();
    worker.is_ready().await;
    truth::equal(&organization, &client, &worker.name, EVERYTHING).await;
    snapshot_ends(&organization, &worker, before + 1).await;
    assert!(worker.log().contains("event log"), "the gap is said");
}

#[tokio::test(flavor = "multi_thread")]
async fn case_49_late_events_and_cursors_that_expire_lose_nothing() {
    let _stack = shared().await;
    let switches = vec![
        ("event_lag_ms".to_owned(), json!(20_000)),
        ("event_late_share".to_owned(), json!(0.3)),
        ("event_cursor_secs".to_owned(), json!(1)),
    ];
    let organization = Organization::new(Options { leads: 20, seed: 12, switches, ..Options::default() }).await;
    let worker = reader("late49x", &organization, "").start().await;
    let client = database().await;
    organization.control("changes/", json!({"count": 600, "rate_per_sec": 60, "seed": 4})).await;
    let what = some(RECORDS);
    organization.changes_end().await;
    truth::arrives(&organization, &client, &worker, &what).await;
    for object in ["lead", "opportunity", "email"] {
        no_event_is_twice(&worker, object);
    }
}

#[tokio::test(flavor = "multi_thread")]
async fn case_50_changes_that_no_event_tells_are_found_by_the_comparison() {
    let _stack = shared().await;
    let organization = Organization::with_leads(40, 13).await;
    let worker = reader("case50x", &organization, "").start().await;
    let client = database().await;
    truth::equal(&organization, &client, &worker.name, EVERYTHING).await;
    let status = organization.api("GET", "lead/?_limit=1&_fields=status_id", None).await;
    let status = status["data"][0]["status_id"].as_str().expect("a status").to_owned();
    organization.control("scenarios/status_rename/", json!({"id": status, "label": "Later"})).await;
    organization.control("scenarios/user_rename/", json!({"first_name": "Noor", "last_name": "Haddad"})).await;
    organization.control("scenarios/invisible_migration/", json!({"count": 7})).await;
    organization.control("scenarios/merge_storm/", json!({"count": 10})).await;
    organization.control("scenarios/burst/", json!({"events": 5_000})).await;
    organization.control("clock/", json!({"advance_secs": 20})).await;
    // While a comparison runs.
    let shift = async {
        let runs = try_for(ARRIVAL, || async { (!snapshot(&worker).await["running"].is_null()).then_some(()) });
        assert!(runs.await.is_some(), "a comparison runs: {}", snapshot(&worker).await);
        organization.control("scenarios/page_shift/", json!({"deletes": 5, "inserts": 5})).await;
    };
    tokio::join!(compare(&organization, &worker), shift);
    truth::arrives(&organization, &client, &worker, EVERYTHING).await;
    let found = format!("connector=\"close-{}\",kind=\"changed\",object=\"lead\"", worker.name);
    let found = worker.metric("towpath_close_compare_differences_total", &found).await;
    assert!(found >= 7.0, "the comparison finds the seven leads of the migration: {found}");
}
