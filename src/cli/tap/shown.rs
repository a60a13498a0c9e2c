//! A record as people see it.

use std::fmt::Write as _;

use rdkafka::{Message, message::OwnedMessage};
use serde_json::{Map, Value, json};
use towpath_api::Result;

use crate::{
    avro::codec::display::{Readable, Shown, plain},
    kafka::headers,
};

/// Decodes a record. Its parts are `topic`, `partition`, `offset`, `timestamp`, `key`, `value` and `headers`; a part
/// that cannot be decoded is shown as it is, with the reason in `key_problem` or `value_problem`.
///
/// # Errors
/// Retry while the registry is away.
pub(super) async fn record(message: &OwnedMessage, readable: &mut Readable) -> Result<Value> {
    let key = show(message.key(), readable).await?;
    let value = show(message.payload(), readable).await?;
    let mut record = json!({
        "topic": message.topic(),
        "partition": message.partition(),
        "offset": message.offset(),
        "timestamp": message.timestamp().to_millis()
            .and_then(|millis| jiff::Timestamp::from_millisecond(millis).ok())
            .map(|time| format!("{time:.3}")),
    });
    put(&mut record, "key", key);
    put(&mut record, "value", value);
    record["headers"] = shown_headers(message);
    Ok(record)
}

async fn show(bytes: Option<&[u8]>, readable: &mut Readable) -> Result<Option<Shown>> {
    match bytes {
        Some(bytes) => readable.show(bytes).await.map(Some),
        None => Ok(None),
    }
}

fn put(record: &mut Value, part: &str, shown: Option<Shown>) {
    let Some(shown) = shown else {
        record[part] = Value::Null;
        return;
    };
    record[part] = shown.json;
    if let Some(id) = shown.schema_id {
        record[format!("{part}_schema_id")] = id.into();
    }
    if let Some(problem) = shown.problem {
        record[format!("{part}_problem")] = problem.into();
    }
}

/// Names to values; a name that comes several times has a list of them.
fn shown_headers(message: &OwnedMessage) -> Value {
    let mut shown = Map::new();
    for (name, value) in message.headers().into_iter().flat_map(headers::read) {
        let value = value.map_or(Value::Null, plain);
        match shown.get_mut(name) {
            None => drop(shown.insert(name.to_owned(), value)),
            Some(Value::Array(values)) => values.push(value),
            Some(first) => *first = Value::Array(vec![first.take(), value]),
        }
    }
    Value::Object(shown)
}

/// A head line, then each part that is there.
pub(super) fn as_text(record: &Value) -> String {
    let word = |part: &str| record[part].as_str().unwrap_or_default();
    let mut text =
        format!("{}[{}] offset {}  {}\n", word("topic"), record["partition"], record["offset"], word("timestamp"));
    let mut line = |name: &str, value: &str| {
        let _ = writeln!(text, "  {name:<8} {}", value.replace('\n', "\n           "));
    };
    line("key", &record["key"].to_string());
    for (name, value) in record["headers"].as_object().into_iter().flatten() {
        line("header", &format!("{name}: {}", value.as_str().map_or_else(|| value.to_string(), str::to_owned)));
    }
    let value =
        if record["value"].is_null() { "null (a tombstone)".to_owned() } else { format!("{:#}", record["value"]) };
    line("value", &value);
    for part in ["key_problem", "value_problem"] {
        if let Some(problem) = record[part].as_str() {
            line("problem", &format!("{}: {problem}", part.trim_end_matches("_problem")));
        }
    }
    text
}

#[cfg(test)]
mod tests {
    use rdkafka::{
        Timestamp,
        message::{Header, OwnedHeaders},
    };

    use super::*;
    use crate::avro::registry::Registry;

    async fn shown(value: Option<&[u8]>) -> Value {
        let header = |key, value: &'static str| Header { key, value: Some(value) };
        let headers =
            OwnedHeaders::new().insert(header("event_id", "e-1")).insert(header("x", "1")).insert(header("x", "2"));
        let message = OwnedMessage::new(
            value.map(<[u8]>::to_vec),
            Some(b"t-1".to_vec()),
            "acme.deals".into(),
            Timestamp::CreateTime(1_500),
            3,
            17,
            Some(headers),
        );
        let registry = Registry::new("http://127.0.0.1:1", &prometheus::Registry::new()).unwrap();
        record(&message, &mut Readable::new(registry)).await.unwrap()
    }

    #[tokio::test]
    async fn a_record_that_is_not_avro_is_shown_as_it_is_with_the_reason() {
        let record = shown(Some(b"text")).await;
        assert_eq!(record["timestamp"], "1970-01-01T00:00:01.500Z");
        assert_eq!((&record["key"], &record["value"]), (&json!("t-1"), &json!("text")));
        assert_eq!(record["value_problem"], "it does not begin with a schema id");
        assert_eq!(record["headers"], json!({ "event_id": "e-1", "x": ["1", "2"] }));
    }

    #[tokio::test]
    async fn a_tombstone_is_named_in_text_and_null_in_json() {
        let record = shown(None).await;
        assert_eq!(record["value"], Value::Null);
        let text = as_text(&record);
        assert!(text.starts_with("acme.deals[3] offset 17  1970-01-01T00:00:01.500Z\n  key      \"t-1\"\n"), "{text}");
        assert!(text.contains("  value    null (a tombstone)\n"), "{text}");
    }
}
