//! Looks up the latest schemas of a topic, before any record is read.

use std::sync::Arc;

use apache_avro::schema::Schema;
use towpath_api::Result;

use super::Registry;
use crate::avro::schema::shape::ValueShape;

/// The latest schemas of a topic, with the types of decoded records.
#[derive(Debug, Clone)]
pub struct LatestSchemas {
    /// The record of the key; `None` if keys have no schema.
    pub key: Option<Arc<Schema>>,
    /// The record in the value, or in its envelope.
    pub value: Arc<Schema>,
}

/// Looks up the subjects `<topic>-key` and `<topic>-value`. The inner `Err` is the reason why records cannot be
/// decoded, or that the subject does not exist.
///
/// # Errors
/// Retry while the registry is unavailable.
pub async fn latest_schemas(registry: &Registry, topic: &str) -> Result<Result<LatestSchemas, String>> {
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
        Ok(ValueShape::Plain(plain)) => Ok(LatestSchemas { key, value: Arc::clone(&plain.content.schema) }),
        Ok(ValueShape::Message) => Err("its values are logical decoding messages, which change no row".to_owned()),
        Err(refusal) => Err(refusal.reason.clone()),
    })
}
