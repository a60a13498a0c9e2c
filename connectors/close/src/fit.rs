//! Publishes what fits: a record that the journal can never store must not stop the others.
//!
//! A record that is too large is shortened: its largest texts are set to null, one after the other, until it fits, and
//! `_extra` names them under `_omitted`. A record that cannot be shortened, or that does not fit its schema, is left
//! out. Both are logged and counted. Nothing here shortens a record that fits.
//!
//! [`Journal::check`] finds the record without sending anything, so events and position stay in one transaction.

use apache_avro::{schema::Schema, types::Value};
use serde_json::{Map, Value as Json, json};
use towpath_api::{ChangeEvent, Error, ErrorType, Journal, Position, Reaction, Result};

use crate::metrics::Series;

/// The field with what no schema knows: JSON text, in every object.
const EXTRA: &str = "_extra";
/// The key in `_extra` with the names of the fields that were left out.
const OMITTED: &str = "_omitted";

/// Publishes `events` and sets the position. Events that can never be stored are left out.
///
/// # Errors
/// Those of [`Journal::publish`]; poison only if the journal contradicts its check.
pub(crate) async fn publish(
    journal: &mut impl Journal,
    events: Vec<ChangeEvent>,
    position: Position,
    series: &Series,
) -> Result<()> {
    let Err(error) = journal.publish(&events, position.clone()).await else { return Ok(()) };
    if error.reaction != Reaction::Poison {
        return Err(error);
    }
    let fitting = fitting(journal, events, series).await?;
    journal.publish(&fitting, position).await.map(drop)
}

/// The events that the journal accepts, some of them shortened.
async fn fitting(journal: &mut impl Journal, events: Vec<ChangeEvent>, series: &Series) -> Result<Vec<ChangeEvent>> {
    let mut fitting = Vec::with_capacity(events.len());
    for event in events {
        match journal.check(&event).await {
            Ok(()) => fitting.push(event),
            Err(refusal) if refusal.reaction == Reaction::Poison => {
                fitting.extend(shorten(journal, event, refusal, series).await?);
            }
            Err(error) => return Err(error),
        }
    }
    Ok(fitting)
}

/// Shortens a refused event until it is accepted. `None` if it cannot be: then it is reported as left out.
async fn shorten(
    journal: &mut impl Journal,
    mut event: ChangeEvent,
    mut refusal: Error,
    series: &Series,
) -> Result<Option<ChangeEvent>> {
    let mut omitted = Vec::new();
    let (object, id) = (event.object.name().to_owned(), event.key.to_string());
    loop {
        if refusal.error_type != ErrorType::TooLarge || !omit_largest(&mut event, &mut omitted) {
            series.skipped(&object, refusal.error_type.as_str());
            tracing::error!(
                object, id, event_id = event.event_id, code = refusal.code, error = %refusal.chain(),
                help = refusal.help(),
                "a change of {object} {id} is not published, since it can never be stored; it stays in Close, and all \
                 others are published"
            );
            return Ok(None);
        }
        match journal.check(&event).await {
            Ok(()) => break,
            Err(error) if error.reaction == Reaction::Poison => refusal = error,
            Err(error) => return Err(error),
        }
    }
    series.omitted(&object, omitted.len());
    let fields = omitted.join(", ");
    tracing::warn!(
        object,
        id,
        fields,
        "{object} {id} is too large for its topic: it is published without {fields}, which `_extra` says; raise \
         `max.message.bytes` of the topic to have the values"
    );
    Ok(Some(event))
}

/// Sets the largest of the event's texts that may be null to null, and names it in `_extra`. Returns false if there is
/// none.
fn omit_largest(event: &mut ChangeEvent, omitted: &mut Vec<String>) -> bool {
    let Some(after) = &mut event.after else { return false };
    let fields = event.object.fields();
    let candidates = after
        .iter()
        .zip(fields)
        .enumerate()
        .filter(|(_, ((name, _), field))| may_be_null(&field.schema) && !omitted.contains(name));
    // A text that is shorter than its name in `_extra` gains nothing.
    let sized = candidates.map(|(at, ((name, value), _))| (text_bytes(value).saturating_sub(name.len() + 3), at));
    let Some((_, largest)) = sized.filter(|(gain, _)| *gain > 0).max_by_key(|(gain, _)| *gain) else {
        return false;
    };
    let (name, value) = &mut after[largest];
    omitted.push(name.clone());
    *value = Value::Null;
    if let (Some(extra), true) = (after.iter_mut().find(|(name, _)| name == EXTRA), fields.iter().any(is_extra)) {
        extra.1 = with_omitted(&extra.1, omitted);
    }
    true
}

fn is_extra(field: &apache_avro::schema::RecordField) -> bool {
    field.name == EXTRA && may_be_null(&field.schema)
}

/// The text of `_extra`, with the names under `_omitted`.
fn with_omitted(extra: &Value, omitted: &[String]) -> Value {
    let text = match extra {
        Value::Union(_, inner) => inner,
        bare => bare,
    };
    let known = match text {
        Value::String(text) => serde_json::from_str::<Map<String, Json>>(text).unwrap_or_default(),
        _ => Map::new(),
    };
    let mut extra = known;
    extra.insert(OMITTED.to_owned(), json!(omitted));
    Value::String(Json::Object(extra).to_string())
}

/// Returns true for a union with null.
fn may_be_null(schema: &Schema) -> bool {
    matches!(schema, Schema::Union(union) if union.variants().contains(&Schema::Null))
}

/// The bytes of the texts in a value.
fn text_bytes(value: &Value) -> usize {
    match value {
        Value::String(text) => text.len(),
        Value::Bytes(bytes) => bytes.len(),
        Value::Union(_, inner) => text_bytes(inner),
        Value::Array(items) => items.iter().map(text_bytes).sum(),
        Value::Map(entries) => entries.iter().map(|(name, value)| name.len() + text_bytes(value)).sum(),
        Value::Record(fields) => fields.iter().map(|(_, value)| text_bytes(value)).sum(),
        _ => 0,
    }
}

#[cfg(test)]
mod tests;
