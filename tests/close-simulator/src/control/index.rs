//! `GET /_control/`: the list of controls.

use serde_json::{Value as Json, json};

use crate::http::Answer;

/// Method, path and effect.
const CONTROLS: &[(&str, &str, &str)] = &[
    ("GET", "clock/", "the organization's time and how fast it runs"),
    ("POST", "clock/", "moves it: `advance_secs` or `to`, `rate`"),
    ("GET", "changes/", "how far the random changes in the background are, and the kinds of change with their weights"),
    ("POST", "changes/", "random changes: `count`, `seed`, `spread_secs` or `rate_per_sec`, `weights`"),
    ("DELETE", "changes/", "stops those in the background"),
    ("GET", "scenarios/", "the scenarios with their parameters"),
    ("POST", "scenarios/{name}/", "runs one"),
    ("GET", "perform/", "what can happen without a caller of the API"),
    ("POST", "perform/", "lets it happen: `action` and what it takes"),
    ("POST", "import/", "starts an import: `leads`, a number or a list"),
    ("POST", "import/{id}/revert/", "takes one back"),
    ("POST", "events/", "an event that no page announces: `object_type`, `action`, …"),
    ("GET", "webhooks/", "what waits for receivers and how deliveries went"),
    ("PUT", "webhooks/faults/", "what goes wrong with them: `duplicate`, `lose`, `reorder_ms`, `delay_ms`"),
    ("GET", "switches/", "behaviours as they are chosen"),
    ("PUT", "switches/", "chooses"),
    ("GET", "limits/", "rate limits"),
    ("PUT", "limits/", "sets them: `off`, `default`, `groups`, `extra`, `unauthorized`, `organization_factor`"),
    ("GET", "faults/", "faults and how often each struck"),
    ("PUT", "faults/", "sets all of them"),
    ("DELETE", "faults/", "none any more"),
    ("GET", "counters/", "requests by endpoint, key and answer, and the peak of each limit"),
    ("DELETE", "counters/", "begins to count anew"),
    ("GET", "keys/", "API keys and OAuth clients with their secrets"),
    ("POST", "keys/", "a new key: `name`, `role` or `user`, `secret`"),
    ("DELETE", "keys/?name={name}", "takes a key away"),
    ("GET", "truth/?object={name}&at={moment}", "what there is or was, a line of JSON each"),
    ("GET", "truth/digest/?at={moment}&buckets=1", "counts and checksums of it"),
    ("GET", "history/?since={number}", "every change in its order, a line of JSON each"),
    ("POST", "snapshot/", "writes the state to `file`"),
    ("POST", "restore/", "reads it back"),
];

pub(super) fn get() -> Answer {
    let controls: Vec<Json> = CONTROLS
        .iter()
        .map(|(method, path, meaning)| json!({ "method": method, "path": format!("{}{path}", super::ROOT), "meaning": meaning }))
        .collect();
    Answer::json(200, &json!({ "data": controls }))
}
