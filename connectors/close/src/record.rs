//! Rows and events of Close as events of the contract. Pure.
//!
//! `fields` maps a row to the fields of a schema, `value` one value, `hash` sums up a record, and `part` says what a
//! user is. Nothing here refuses a row for a value: what does not fit its field goes into `_extra`, and is counted.
//!
//! What always holds: nothing is dropped but the fields that the catalogue ignores, and nothing is rounded. A number
//! with more digits than one in memory holds comes as a text (`client::digits`): a decimal field takes all of its
//! digits, and otherwise it stays a text, in its field or in `_extra`.

mod event;
mod fields;
mod hash;
mod part;
mod shape;
#[cfg(test)]
mod tests;
mod value;

use serde_json::{Map, Value as Json};
use towpath_api::{ChangeEvent, Key, Op, Version};

pub(crate) use self::{
    event::{LogEvent, log_event, merged_away},
    fields::{Fields, row_id},
    hash::content_hash,
    part::part,
    shape::Shape,
};
use crate::moment::Moment;

/// The ranks of versions: what of the same time is newer.
mod rank {
    pub(super) const ROW: i8 = 1;
    pub(super) const EVENT: i8 = 2;
    pub(super) const DELETE: i8 = 3;
}

/// Bytes of an id at most within an event's id, which has 200 altogether.
const MAX_ID: usize = 120;

/// Why a row or an event gives no record.
#[derive(Debug, Clone, Copy, PartialEq, Eq)]
pub(crate) enum Unusable {
    /// The row has no `id`.
    NoId,
    /// The event has no `data`, which Close hides after an hour from keys of other users than admins.
    NoData,
    /// The event's data is not the whole row ([`Kind::whole_events`](crate::catalogue::Kind)): the list is to be read.
    NotWhole,
    /// The event has no time that can be read.
    NoTime,
}

/// What did not fit the schema and went into `_extra`.
#[derive(Debug, Default, Clone, PartialEq, Eq)]
pub(crate) struct Misfits {
    /// Fields that no schema knows.
    pub(crate) unknown: u32,
    /// Values that are not of the field's type.
    pub(crate) mistyped: u32,
    /// True if one of them is a custom field: the structure is too old.
    pub(crate) custom: bool,
}

/// A row as it was read from a list, at `read_at` or later.
pub(crate) fn read_row(
    shape: &Shape,
    row: &Map<String, Json>,
    read_at: Moment,
) -> Result<(ChangeEvent, Misfits), Unusable> {
    let id = shape.fields.id(row).ok_or(Unusable::NoId)?;
    let (after, misfits) = shape.fields.map(row, &id);
    let updated = shape.fields.updated(row).unwrap_or(read_at);
    let event_id = format!("{}@{:016x}", place(shape, &id), content_hash(Op::Read, Some(&after)));
    let event = ChangeEvent {
        object: shape.object.clone(),
        key: Key::Text(id),
        op: Op::Read,
        after: Some(after),
        changed: None,
        version: Some(Version { ts: updated.0, seq: read_at.0, rank: rank::ROW }),
        event_id,
        source_time_ms: Some(updated.millis()),
        traceparent: None,
    };
    Ok((event, misfits))
}

/// The hash of a row as a list gave it, from the id of the event that [`read_row`] made of it.
pub(crate) fn listed_hash(event_id: &str) -> Option<u64> {
    let (_, hash) = event_id.rsplit_once('@').filter(|(_, hash)| hash.len() == 16)?;
    u64::from_str_radix(hash, 16).ok()
}

/// The delete of a record that a comparison no longer found. `updated` is the version of the record that is there.
pub(crate) fn missing(shape: &Shape, id: &str, updated: Moment, read_at: Moment) -> ChangeEvent {
    let version = Version { ts: updated.0, seq: read_at.0, rank: rank::DELETE };
    deleted(shape, id.to_owned(), version, format!("{}@gone:{}", place(shape, id), read_at.0), read_at)
}

fn deleted(shape: &Shape, id: String, version: Version, event_id: String, at: Moment) -> ChangeEvent {
    ChangeEvent {
        object: shape.object.clone(),
        key: Key::Text(id),
        op: Op::Delete,
        after: None,
        changed: None,
        version: Some(version),
        event_id,
        source_time_ms: Some(at.millis()),
        traceparent: None,
    }
}

/// `<object>/<id>`; a long id is replaced by its hash.
fn place(shape: &Shape, id: &str) -> String {
    if id.len() <= MAX_ID {
        format!("{}/{id}", shape.kind.name)
    } else {
        format!("{}/#{:016x}", shape.kind.name, hash::text_hash(id))
    }
}
