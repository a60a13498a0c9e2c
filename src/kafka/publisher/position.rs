//! The record of a position in the topic `offset.storage.topic`.
//!
//! Key: `["<connector>",<task>]`. Value: `{"version":1,"position":{…}}`. A tombstone removes the position.

use serde_json::{Map, Value as Json, json};
use towpath_api::{Error, ErrorType, Position, Result};

use crate::kafka::codes;

/// The version of the value that this build reads and writes.
const VERSION: u64 = 1;

pub(super) fn key(connector: &str, task: u32) -> Vec<u8> {
    json!([connector, task]).to_string().into_bytes()
}

pub(super) fn encode(position: &Position) -> Vec<u8> {
    json!({ "version": VERSION, "position": position.0 }).to_string().into_bytes()
}

/// # Errors
/// Fatal [`codes::POSITION_UNREADABLE`] for a newer version, or for anything else than a position.
pub(super) fn decode(task: &str, value: &[u8]) -> Result<Position> {
    let unreadable = |reason: &str, help: &'static str| {
        let doing = format!("read the position of task {task}: {reason}");
        Error::fatal(codes::POSITION_UNREADABLE, ErrorType::Serialization, doing).with_help(help)
    };
    let reset = "restore the record, or write a tombstone with its key to begin again";
    let Ok(Json::Object(mut record)) = serde_json::from_slice::<Json>(value) else {
        return Err(unreadable("the record is not a JSON object", reset));
    };
    match record.get("version").and_then(Json::as_u64) {
        Some(VERSION) => {}
        Some(newer) => {
            let reason = format!("the record has version {newer}, and this build knows version {VERSION}");
            return Err(unreadable(&reason, "run the newer Towpath that wrote the position"));
        }
        None => return Err(unreadable("the record has no `version`", reset)),
    }
    match record.remove("position") {
        Some(Json::Object(position)) => Ok(Position(Map::from_iter(position))),
        _ => Err(unreadable("the record has no object `position`", reset)),
    }
}

#[cfg(test)]
mod tests {
    use towpath_api::Reaction;

    use super::*;

    #[test]
    fn a_position_survives_its_record() {
        let position = Position(json!({"next": 7, "cursor": null}).as_object().unwrap().clone());
        assert_eq!(encode(&position), br#"{"version":1,"position":{"next":7,"cursor":null}}"#);
        assert_eq!(decode("close-0", &encode(&position)).unwrap(), position);
        assert_eq!(key("close", 0), br#"["close",0]"#);
    }

    #[test]
    fn a_newer_version_and_a_foreign_record_are_refused() {
        for value in [r#"{"version":2,"position":{}}"#, r#"{"position":{}}"#, r#"{"version":1}"#, "x"] {
            let error = decode("close-0", value.as_bytes()).unwrap_err();
            assert_eq!((error.reaction, error.code), (Reaction::Fatal, codes::POSITION_UNREADABLE), "{value}");
            assert!(error.help().is_some(), "{value}");
        }
    }
}
