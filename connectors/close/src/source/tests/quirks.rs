//! The quirks of Close (`close-api.md`, section 12) that no other test has by its number: each against the simulator
//! that shows it. `quirk_` and the number name all of them, here and beside the code.

mod jobs;
mod paging;
mod records;
mod transport;

use super::*;

/// A source of these objects, after its first snapshot.
async fn started(close: &Laboratory, topics: &Topics, objects: &str, keys: &[(&str, &str)]) -> Running {
    let keys: Vec<(&str, &str)> = keys.iter().copied().chain([("objects", objects)]).collect();
    let running = Running::start(close, topics, &keys);
    first_run(topics).await;
    running
}

/// The value of a field, as the topic has it; `None` if it is not set.
fn value(topics: &Topics, object: &str, id: &str, field: &str) -> Option<String> {
    let row = topics.table(object).remove(id)?;
    fields(row.after).into_iter().find(|(name, _)| name == field).map(|(_, value)| value)
}

/// Waits until a field has a value that contains `text`.
async fn becomes(topics: &Topics, object: &str, id: &str, field: &str, text: &str) {
    let what = format!("{object} {id}: {field} becomes {text}");
    topics.until(&what, |topics| value(topics, object, id, field).filter(|value| value.contains(text))).await;
}

fn id(row: &serde_json::Map<String, serde_json::Value>) -> String {
    row["id"].as_str().unwrap().to_owned()
}

/// The ids of the truth.
async fn true_ids(close: &Laboratory, objects: &str) -> BTreeSet<String> {
    close.truth(objects).await.iter().map(id).collect()
}

fn ids(topics: &Topics, object: &str) -> BTreeSet<String> {
    topics.table(object).into_keys().collect()
}
