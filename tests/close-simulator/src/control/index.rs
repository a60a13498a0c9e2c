//! `GET /_control/`: the list of controls.

use serde_json::{Value as Json, json};

use crate::http::Answer;

/// Method, path and effect.
const CONTROLS: &[(&str, &str, &str)] = &[
    ("GET", "clock/", "the organization's time and its rate"),
    ("POST", "clock/", "moves the clock: `advance_secs` or `to`, `rate`"),
    ("GET", "changes/", "progress of the random changes in the background, and the kinds of change with their weights"),
    ("POST", "changes/", "runs random changes: `count`, `seed`, `spread_secs` or `rate_per_sec`, `weights`"),
    ("DELETE", "changes/", "stops the changes in the background"),
    ("GET", "scenarios/", "the scenarios with their parameters"),
    ("POST", "scenarios/{name}/", "runs a scenario"),
    ("GET", "perform/", "actions that happen without a caller of the API"),
    ("POST", "perform/", "performs an action: `action` and its members"),
    ("POST", "import/", "starts an import: `leads`, a number or a list"),
    ("POST", "import/{id}/revert/", "reverts an import"),
    ("POST", "events/", "adds an event of any kind: `object_type`, `action`, …"),
    ("GET", "webhooks/", "pending deliveries and delivery results"),
    ("PUT", "webhooks/faults/", "sets delivery faults: `duplicate`, `lose`, `reorder_ms`, `delay_ms`"),
    ("GET", "switches/", "behaviors and their values"),
    ("PUT", "switches/", "sets behaviors"),
    ("GET", "limits/", "rate limits"),
    ("PUT", "limits/", "sets limits: `off`, `default`, `groups`, `extra`, `unauthorized`, `organization_factor`"),
    ("GET", "faults/", "faults and their hits"),
    ("PUT", "faults/", "replaces all faults"),
    ("DELETE", "faults/", "removes all faults"),
    ("GET", "counters/", "requests by endpoint, key and status, and the peak of each limit"),
    ("DELETE", "counters/", "resets all counters"),
    ("GET", "keys/", "API keys and OAuth clients with their secrets"),
    ("POST", "keys/", "adds a key: `name`, `role` or `user`, `secret`"),
    ("DELETE", "keys/?name={name}", "removes a key"),
    ("GET", "truth/?object={name}&at={moment}", "all objects, now or in the past, one line of JSON each"),
    ("GET", "truth/digest/?at={moment}&buckets=1", "counts and checksums of the truth"),
    ("GET", "history/?since={number}", "every change in order, one line of JSON each"),
    ("POST", "snapshot/", "writes the state to `file`"),
    ("POST", "restore/", "restores the state from `file`"),
];

pub(super) fn get() -> Answer {
    let controls: Vec<Json> = CONTROLS
        .iter()
        .map(|(method, path, meaning)| {
            json!({
                "method": method, "path": format!("{}{path}", super::ROOT), "meaning": meaning
            })
        })
        .collect();
    Answer::json(200, &json!({ "data": controls }))
}
