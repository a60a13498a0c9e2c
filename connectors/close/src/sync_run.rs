//! A run of the snapshot that has ended, as it is told: in the status, in the topic `<topic.prefix>.sync_run`, in
//! notices. Pure.

use std::{collections::BTreeMap, sync::Arc};

use apache_avro::{Schema, types::Value};
use serde_json::{Map, Value as Json, json};
use towpath_api::{ChangeEvent, Error, ErrorType, Key, Object, Op, Result, Updates, Version};

use crate::{
    codes,
    position::{Check, FinishedObject, FinishedRun, ObjectState},
};

/// The name of the object that the connector itself writes.
pub(crate) const NAME: &str = "sync_run";

impl FinishedRun {
    pub(crate) fn published(&self) -> u64 {
        self.objects.values().map(|object| object.tally.published).sum()
    }

    pub(crate) fn deleted(&self) -> u64 {
        self.objects.values().map(|object| object.tally.deleted).sum()
    }

    /// Objects that were not read, or not whole.
    pub(crate) fn skipped(&self) -> u64 {
        self.objects.values().filter(|object| object.state != ObjectState::Done).count() as u64
    }

    /// Objects that differ from Close.
    pub(crate) fn differing(&self) -> usize {
        self.objects.values().filter(|object| object.check.as_ref().is_some_and(|check| !check.agrees())).count()
    }

    pub(crate) fn seconds(&self) -> f64 {
        self.ended.since(self.began).as_secs_f64()
    }

    /// The objects that were not read whole, or await approval, or differ from Close, with the state.
    pub(crate) fn attention(&self) -> BTreeMap<String, ObjectState> {
        let lacking = self.objects.iter().filter(|(_, object)| !object.complete());
        lacking.map(|(name, object)| (name.clone(), object.state)).collect()
    }

    /// The objects whose deletes await approval.
    pub(crate) fn awaits_approval(&self) -> Vec<&str> {
        let awaits = self.objects.iter().filter(|(_, object)| object.state == ObjectState::AwaitsApproval);
        awaits.map(|(name, _)| name.as_str()).collect()
    }

    /// The run for programs: the status over REST, and signed posts.
    pub(crate) fn json(&self) -> Json {
        let objects: Map<String, Json> =
            self.objects.iter().map(|(name, object)| (name.clone(), object.json())).collect();
        json!({
            "generation": self.generation,
            "kind": self.kind.as_str(),
            "reason": self.reason,
            "whole": self.whole,
            "began": self.began.text(),
            "ended": self.ended.text(),
            "duration_seconds": self.seconds(),
            "complete": self.complete(),
            "rows": self.rows(),
            "published": self.published(),
            "deleted": self.deleted(),
            "skipped": self.skipped(),
            "waited_share": self.waited_share,
            "objects": objects,
            "schema_changes": self.schema_changes,
        })
    }

    /// The record of the run; the same whenever it is made.
    pub(crate) fn event(&self, object: &Arc<Object>, organization: &str) -> ChangeEvent {
        let some = |value: Value| Value::Union(1, Box::new(value));
        let text = |text: &str| some(Value::String(text.to_owned()));
        let long = |count: u64| some(Value::Long(i64::try_from(count).unwrap_or(i64::MAX)));
        let unusable = self.objects.values().map(|object| object.tally.unusable).sum();
        let id = format!("{organization}/{}", self.generation);
        let after = [
            ("id", Value::String(id.clone())),
            ("organization_id", text(organization)),
            ("generation", long(u64::from(self.generation))),
            ("kind", text(self.kind.as_str())),
            ("reason", text(&self.reason)),
            ("began", some(Value::TimestampMicros(self.began.0))),
            ("ended", some(Value::TimestampMicros(self.ended.0))),
            ("duration_seconds", some(Value::Double(self.seconds()))),
            ("complete", some(Value::Boolean(self.complete()))),
            ("rows", long(self.rows())),
            ("published", long(self.published())),
            ("deleted", long(self.deleted())),
            ("unusable", long(unusable)),
            ("skipped", long(self.skipped())),
            ("waited_share", some(Value::Double(self.waited_share))),
            ("objects", text(&self.json()["objects"].to_string())),
            ("schema_changes", text(&json!(self.schema_changes).to_string())),
        ];
        ChangeEvent {
            object: Arc::clone(object),
            key: Key::Text(id.clone()),
            op: Op::Create,
            after: Some(after.into_iter().map(|(name, value)| (name.to_owned(), value)).collect()),
            changed: None,
            version: Some(Version { ts: self.ended.0, seq: self.ended.0, rank: 1 }),
            event_id: format!("{NAME}/{id}"),
            source_time_ms: Some(self.ended.millis()),
            traceparent: None,
        }
    }
}

impl FinishedObject {
    fn json(&self) -> Json {
        let check = self.check.as_ref().map(Check::json);
        json!({
            "state": self.state,
            "reason": self.reason,
            "rows": self.tally.rows,
            "published": self.tally.published,
            "deleted": self.tally.deleted,
            "unusable": self.tally.unusable,
            "check": check,
        })
    }
}

/// The object of the runs.
///
/// # Errors
/// Fatal for a schema that is wrong, which a test excludes.
pub(crate) fn object() -> Result<Object> {
    let wrong = || Error::fatal(codes::SCHEMA, ErrorType::Internal, format!("read the schema of object {NAME}"));
    let schema = Schema::parse_str(include_str!("../../../avro/close/sync_run.avsc"));
    let schema = schema.map_err(|error| wrong().because(error))?;
    Object::new(NAME, schema, Updates::Whole).map_err(|error| wrong().because(error))
}

#[cfg(test)]
pub(crate) mod tests {
    use super::*;
    use crate::{
        moment::Moment,
        position::{Count, Ids, RunKind, SchemaChanges, Tally},
    };

    /// A field that was added.
    pub(crate) fn added(object: &str, field: &str, label: &str) -> SchemaChanges {
        let change = json!({object: [{"field": field, "change": "added", "to": label}]});
        serde_json::from_value(change).unwrap()
    }

    /// Close counts `close` rows, and the topic has `here`.
    pub(crate) fn check(close: u64, here: u64) -> Check {
        let ids = Ids { listed: here, listed_sum: 7, here, here_sum: 7, meanwhile: 0 };
        Check { ids, count: Some(Count { close, here, unsettled: 0 }) }
    }

    /// A first run: leads and opportunities as at Close, no notes, and one object in another state.
    pub(crate) fn first(name: &str, state: ObjectState, reason: &str) -> FinishedRun {
        let done = |rows: u64| {
            let mut object = FinishedObject {
                state: ObjectState::Done,
                reason: None,
                tally: Tally::default(),
                check: Some(check(rows, rows)),
            };
            (object.tally.rows, object.tally.published) = (rows, rows);
            object
        };
        let other = FinishedObject { state, reason: Some(reason.to_owned()), tally: Tally::default(), check: None };
        FinishedRun {
            generation: 1,
            kind: RunKind::First,
            reason: "nothing was read yet".to_owned(),
            whole: true,
            began: Moment(1_785_000_000_000_000),
            ended: Moment(1_785_007_440_000_000),
            waited_share: 0.25,
            objects: BTreeMap::from([
                ("lead".to_owned(), done(50_000)),
                ("opportunity".to_owned(), done(1_234)),
                ("note".to_owned(), done(0)),
                (name.to_owned(), other),
            ]),
            schema_changes: SchemaChanges::new(),
        }
    }

    pub(crate) fn complete() -> FinishedRun {
        let mut run = first("export", ObjectState::Skipped, "Close answers 403");
        run.objects.remove("export");
        run
    }

    #[test]
    fn a_run_gives_the_same_record_whenever_it_is_made() {
        let (run, object) = (first("export", ObjectState::Skipped, "Close answers 403"), Arc::new(object().unwrap()));
        let run = FinishedRun { schema_changes: added("lead", "cf_1", "Seats"), ..run };
        let event = run.event(&object, "orga_1");
        assert_eq!((event.event_id.as_str(), &event.key), ("sync_run/orga_1/1", &Key::Text("orga_1/1".to_owned())));
        let fields = event.after.clone().unwrap();
        for ((name, value), field) in fields.iter().zip(object.fields()) {
            assert_eq!(*name, field.name);
            assert!(value.validate(&field.schema), "{name}: {value:?}");
        }
        assert_eq!(fields.len(), object.fields().len());
        assert_eq!(run.event(&object, "orga_1").after, event.after);
    }

    #[test]
    fn a_run_with_a_skipped_object_or_a_difference_is_not_complete() {
        let mut run = complete();
        assert!(run.complete() && run.attention().is_empty());
        assert_eq!((run.rows(), run.published(), run.deleted()), (51_234, 51_234, 0));
        run.objects.get_mut("lead").unwrap().check = Some(check(2, 1));
        assert!(!run.complete());
        assert_eq!(run.attention(), BTreeMap::from([("lead".to_owned(), ObjectState::Done)]));
        let json = run.json();
        assert_eq!((&json["complete"], &json["objects"]["lead"]["check"]["agrees"]), (&json!(false), &json!(false)));
        assert_eq!(
            (&json["began"], &json["duration_seconds"]),
            (&json!("2026-07-25T17:20:00.000000Z"), &json!(7440.0))
        );
        let skipped = first("export", ObjectState::Skipped, "Close answers 403");
        assert!(!skipped.complete() && skipped.attention().contains_key("export"));
    }
}
