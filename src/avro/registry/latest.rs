//! Looks up the latest schemas of a topic, before any record is read.

use std::sync::Arc;

use apache_avro::schema::Schema;
use towpath_api::{Error, ErrorType, Reaction, Result};

use super::Registry;
use crate::avro::{
    codes,
    schema::{
        inline::inlined,
        shape::{ValueShape, fields, nullable, without_field},
    },
};

/// The latest schemas of a topic, with the types of decoded records.
#[derive(Debug, Clone)]
pub struct LatestSchemas {
    /// The record of the key; `None` if keys have no schema.
    pub key: Option<Arc<Schema>>,
    /// The record in the value, or in its envelope.
    pub value: Arc<Schema>,
}

/// Looks up the subjects `<topic>-key` and `<topic>-value`. The inner `Err` is the reason why records cannot be
/// decoded, or that the subject does not exist. The field `deleted`, which marks deletes among plain records, is left
/// out.
///
/// # Errors
/// Retry while the registry is unavailable.
pub async fn latest_schemas(registry: &Registry, topic: &str, deleted: &str) -> Result<Result<LatestSchemas, String>> {
    let key = registry.latest(&format!("{topic}-key")).await?;
    let Some(value) = registry.latest(&format!("{topic}-value")).await? else {
        return Ok(Err(format!("the registry has no subject `{topic}-value` yet")));
    };
    let key = match key.as_ref().map(|key| key.key.as_ref()).transpose() {
        Ok(key) => key.map(|key| Arc::clone(&key.schema)),
        Err(refusal) => return Ok(Err(refusal.reason.clone())),
    };
    Ok(match &value.value {
        Ok(ValueShape::Envelope(envelope)) => Ok(LatestSchemas { key, value: Arc::clone(&envelope.after.schema) }),
        Ok(ValueShape::Plain(plain)) => {
            let whole = &plain.content.schema;
            let others = plain.mark(deleted).map(|position| Arc::new(without_field(whole, position)));
            Ok(LatestSchemas { key, value: others.unwrap_or_else(|| Arc::clone(whole)) })
        }
        Ok(ValueShape::Message) => Err("its values are logical decoding messages, which change no row".to_owned()),
        Err(refusal) => Err(refusal.reason.clone()),
    })
}

/// Looks up the latest schema of the records in `topic` as it was registered, with its defaults and attributes: the
/// record in the envelope's `after`, or the value itself. Named types are inlined. `None` when the subject
/// `<topic>-value` does not exist. Never from a cache.
///
/// # Errors
/// Retry while the registry is unavailable. Fatal [`codes::NOT_AVRO`] when the latest schema has no record.
pub async fn latest_record(registry: &Registry, topic: &str) -> Result<Option<Arc<Schema>>> {
    let subject = format!("{topic}-value");
    let unusable = |why: &str| {
        let doing = format!("look up the latest schema of subject `{subject}`: {why}");
        Error::fatal(codes::NOT_AVRO, ErrorType::Schema, doing)
            .with_help("another program has registered this schema: name another `topic.prefix`, or delete the subject")
    };
    let Some(id) = registry.latest_id(&subject).await? else { return Ok(None) };
    let written = registry.written_schema(id).await.map_err(|error| match error.reaction {
        Reaction::Poison if error.code == codes::NOT_AVRO => unusable("it is not an Avro schema").because(error),
        // The subject was deleted meanwhile.
        Reaction::Poison => Error::retry(error.code, error.error_type, format!("look up schema {id}")).because(error),
        _ => error,
    })?;
    let (written, _) = inlined(&written).map_err(|error| unusable("it cannot be used").because(error))?;
    match record_of(written) {
        Some(record) => Ok(Some(Arc::new(record))),
        None => Err(unusable("it is not a record")),
    }
}

/// The record in an envelope, or the record itself.
fn record_of(written: Schema) -> Option<Schema> {
    let field = |name: &str| fields(&written).iter().find(|field| field.name == name);
    let is_envelope = ["before", "after", "op", "source"].into_iter().all(|name| field(name).is_some());
    if !is_envelope {
        return matches!(written, Schema::Record(_)).then_some(written);
    }
    let after = &field("after")?.schema;
    let record = nullable(after).map_or(after, |(_, record)| record);
    matches!(record, Schema::Record(_)).then(|| record.clone())
}
