//! Events of Close's log.

use serde::Deserialize;
use serde_json::{Map, Value as Json};
use towpath_api::{ChangeEvent, Key, Op, Version};

use super::{Misfits, Shape, Unusable, deleted, rank};
use crate::moment::Moment;

/// The fields with the time of the last change ([`Kind::updated`](crate::catalogue::Kind)).
const DATES: &[&str] = &["date_updated", "updated_at"];

/// An event of the log.
#[derive(Debug, Clone, Deserialize)]
pub(crate) struct LogEvent {
    pub(crate) id: String,
    pub(crate) date_updated: String,
    pub(crate) object_type: String,
    pub(crate) object_id: String,
    pub(crate) action: String,
    #[serde(default)]
    pub(crate) data: Option<Map<String, Json>>,
    #[serde(default)]
    pub(crate) previous_data: Option<Map<String, Json>>,
    #[serde(default)]
    pub(crate) meta: Option<Map<String, Json>>,
}

impl LogEvent {
    /// Its identity for deduplication, `<id>@<date_updated>`: the `event_id` of the record that it gives.
    pub(crate) fn identity(&self) -> String {
        format!("{}@{}", self.id, self.date_updated)
    }

    /// The event without what no record is made of: only a delete is made of the earlier row, and other events take no
    /// more of it than its dates.
    pub(crate) fn without_the_needless(mut self) -> Self {
        if self.action != "deleted"
            && let Some(previous) = &mut self.previous_data
        {
            previous.retain(|name, _| DATES.contains(&name.as_str()));
        }
        self
    }

    pub(crate) fn moment(&self) -> Option<Moment> {
        Moment::parse(&self.date_updated)
    }
}

/// The record that an event of the log gives: a delete for `deleted`, and the data for every other action, known or
/// not. The record is the one of the data: the object of `merged` may be either lead, its data is the remaining one.
pub(crate) fn log_event(shape: &Shape, event: &LogEvent) -> Result<(ChangeEvent, Misfits), Unusable> {
    let at = event.moment().ok_or(Unusable::NoTime)?;
    if event.action == "deleted" {
        let previous = event.previous_data.as_ref();
        let id = previous.and_then(|row| shape.fields.id(row)).unwrap_or_else(|| event.object_id.clone());
        let updated = previous.and_then(|row| shape.fields.updated(row)).map_or(at, |updated| updated.max(at));
        let version = Version { ts: updated.0, seq: at.0, rank: rank::DELETE };
        return Ok((deleted(shape, id, version, event.identity(), at), Misfits::default()));
    }
    if !shape.kind.whole_events {
        return Err(Unusable::NotWhole);
    }
    let data = event.data.as_ref().ok_or(Unusable::NoData)?;
    let id = shape.fields.id(data).unwrap_or_else(|| event.object_id.clone());
    let (after, misfits) = shape.fields.map(data, &id);
    // A revert of an import may set the date back: the record is newer than the one before all the same.
    let before = event.previous_data.as_ref().and_then(|row| shape.fields.updated(row));
    let updated = shape.fields.updated(data).unwrap_or(at).max(before.unwrap_or_default());
    let record = ChangeEvent {
        object: shape.object.clone(),
        key: Key::Text(id),
        op: if event.action == "created" { Op::Create } else { Op::Update },
        after: Some(after),
        changed: None,
        version: Some(Version { ts: updated.0, seq: at.0, rank: rank::EVENT }),
        event_id: event.identity(),
        source_time_ms: Some(at.millis()),
        traceparent: None,
    };
    Ok((record, misfits))
}

/// The delete of the lead that an event `merged` tells is gone, in case that its own `deleted` is missing. `shape` is
/// that of leads. Its children live on with the other lead.
pub(crate) fn merged_away(shape: &Shape, event: &LogEvent) -> Option<ChangeEvent> {
    let at = event.moment().filter(|_| event.object_type == "lead" && event.action == "merged")?;
    let source = event.meta.as_ref()?.get("merge_source_lead_id")?.as_str()?;
    let remains = event.data.as_ref().and_then(|data| shape.fields.id(data));
    if remains.as_deref() == Some(source) {
        return None;
    }
    let version = Version { ts: at.0, seq: at.0, rank: rank::DELETE };
    Some(deleted(shape, source.to_owned(), version, format!("{}/source", event.identity()), at))
}
