//! The tables of a Close source against what another public client of Close reads: `closeio`, unmodified.

use std::{
    collections::{BTreeMap, BTreeSet},
    path::Path,
    process::Command,
};

use serde_json::{Map, Value, json};

use super::{
    laboratory::{Organization, reader},
    truth::{self, fields, some, table_rows},
};
use crate::stack::{database, shared};

/// Each list with its parameters, its table, and the fields that the source leaves out: objects of their own, and
/// values that depend on the time of the request.
const LISTS: &[(&str, &str, &[&str])] = &[
    (
        "lead",
        "lead",
        &[
            "contacts",
            "opportunities",
            "tasks",
            "integration_links",
            "primary_email",
            "primary_phone",
            "contacts_summary",
            "localtime",
            "recent_calls",
            "summaries",
        ],
    ),
    ("contact", "contact", &["integration_links", "subscriptions", "recent_calls"]),
    (
        "opportunity",
        "opportunity",
        &[
            "integration_links",
            "comment_summary",
            "is_stalled",
            "stall_status",
            "suggested_action",
            "lead_primary_email",
            "lead_primary_phone",
        ],
    ),
    ("task?_type=all", "task", &["view"]),
    ("activity/note", "note", &[]),
    ("activity/call", "call", &[]),
    ("activity/email", "email", &[]),
    ("activity/emailthread", "email_thread", &["emails", "latest_emails"]),
    ("activity/sms", "sms", &[]),
    ("activity/whatsapp_message", "whatsapp_message", &[]),
    ("activity/meeting", "meeting", &[]),
    ("activity/custom", "custom_activity", &[]),
    ("activity/created", "created", &[]),
    ("activity/status_change/lead", "lead_status_change", &[]),
    ("activity/status_change/opportunity", "opportunity_status_change", &[]),
    ("activity/lead_merge", "lead_merge", &[]),
    ("activity/task_completed", "task_completed", &[]),
];

const KILLS: u64 = 3;

/// The leads of the organization; `TOWPATH_CLOSE_LEADS=50000` for a large one, in a release build.
fn leads() -> usize {
    std::env::var("TOWPATH_CLOSE_LEADS").ok().and_then(|leads| leads.parse().ok()).unwrap_or(40)
}

#[tokio::test(flavor = "multi_thread")]
async fn after_kills_in_a_storm_of_changes_the_tables_are_what_closeio_reads() {
    let _stack = shared().await;
    let leads = leads();
    let organization = Organization::with_leads(leads, 19).await;
    let tables: Vec<&str> = LISTS.iter().map(|(_, table, _)| *table).collect();
    let mut worker = reader("closeio", &organization, &format!("objects = \"{}\"\n", tables.join(","))).start().await;
    let changes = 1_000 + leads as u64 / 2;
    organization.control("changes/", json!({"count": changes, "rate_per_sec": 100 + leads / 200, "seed": 5})).await;
    for kill in 1..=KILLS {
        organization.changes_reach(changes * kill / (KILLS + 1)).await;
        worker.kill();
        worker.spawn();
    }
    organization.control("scenarios/merge_storm/", json!({"count": 3})).await;
    organization.changes_end().await;
    organization.control("clock/", json!({"advance_secs": 60})).await;
    worker.is_ready().await;
    let client = database().await;
    let kinds: Vec<&str> =
        tables.iter().map(|table| if *table == "task" { "task,notification" } else { table }).collect();
    truth::arrives(&organization, &client, &worker, &some(&kinds)).await;

    let python = run(Command::new(Path::new(env!("CARGO_MANIFEST_DIR")).join("dev/clients"))).await;
    let mut compared = 0;
    for (list, table, ignored) in LISTS {
        let rows = closeio(&organization, python.trim(), list).await;
        let stored = table_rows(&client, &worker.name, table).await.unwrap_or_default();
        let (here, there): (BTreeSet<_>, BTreeSet<_>) = (stored.keys().collect(), rows.keys().collect());
        assert_eq!(here, there, "{table}");
        assert!(!rows.is_empty(), "closeio reads no {table}");
        for (id, row) in &rows {
            let expected: Map<String, Value> = row
                .iter()
                .filter(|(field, _)| is_compared(field, ignored))
                .map(|(k, v)| (k.clone(), v.clone()))
                .collect();
            let wrong = fields(&stored[id], &expected);
            assert!(wrong.is_empty(), "{table} {id} is otherwise for closeio: {wrong:#?}");
        }
        compared += rows.len();
    }
    println!("{compared} rows of {leads} leads are what closeio reads, after {changes} changes and {KILLS} kills");
}

/// `custom` repeats the fields `custom.cf_…` by their names.
fn is_compared(field: &str, ignored: &[&str]) -> bool {
    !ignored.contains(&field) && field != "custom" && !field.starts_with("__")
}

/// The rows of a list by id, as `closeio` reads them.
async fn closeio(organization: &Organization, python: &str, list: &str) -> BTreeMap<String, Map<String, Value>> {
    let mut command = Command::new(python);
    let script = Path::new(env!("CARGO_MANIFEST_DIR")).join("tests/close-simulator/clients/closeio_dump.py");
    command.arg(script).arg(list);
    command.env("CLOSE_URL", organization.close.base_url()).env("CLOSE_KEY", organization.key("admin"));
    // The machine's proxy must not handle the loopback.
    command.env("NO_PROXY", "127.0.0.1");
    let mut read = BTreeMap::new();
    for line in run(command).await.lines() {
        let line: Value = serde_json::from_str(line).expect("a line of JSON");
        let row = line["row"].as_object().expect("a row").clone();
        let id = row["id"].as_str().expect("an id").to_owned();
        assert!(read.insert(id, row).is_none(), "{list}: a row twice");
    }
    read
}

async fn run(mut command: Command) -> String {
    let output = tokio::task::spawn_blocking(move || command.output()).await.expect("no panic");
    let output = output.expect("the command can be run");
    assert!(output.status.success(), "{}", String::from_utf8_lossy(&output.stderr));
    String::from_utf8(output.stdout).expect("text")
}
