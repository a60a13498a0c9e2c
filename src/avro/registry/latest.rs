//! What the registry says of a topic before a record is read.

use std::sync::Arc;

use apache_avro::schema::Schema;
use towpath_api::Result;

use super::Registry;
use crate::avro::schema::shape::ValueShape;

/// The newest schemas of a topic, as its records have them once they are decoded.
#[derive(Debug, Clone)]
pub struct LatestSchemas {
    /// The record of the key; `None` where the keys have no schema.
    pub key: Option<Arc<Schema>>,
    /// The record that the values are, or that their envelopes carry.
    pub value: Arc<Schema>,
}

/// Looks `topic` up in the registry, under the subjects `<topic>-key` and `<topic>-value`. `Err` within says why its
/// records cannot be decoded, or that there is no such subject.
///
/// # Errors
/// Retry while the registry is away.
pub async fn latest_schemas(registry: &Registry, topic: &str) -> Result<Result<LatestSchemas, String>> {
    let key = registry.newest(&format!("{topic}-key")).await?;
    let Some(value) = registry.newest(&format!("{topic}-value")).await? else {
        return Ok(Err(format!("the registry has no subject `{topic}-value` yet")));
    };
    let key = match key.as_ref().map(|key| key.key.as_ref()).transpose() {
        Ok(key) => key.map(|key| Arc::clone(&key.schema)),
        Err(refusal) => return Ok(Err(refusal.reason.clone())),
    };
    Ok(match &value.value {
        Ok(ValueShape::Envelope(envelope)) => Ok(LatestSchemas { key, value: Arc::clone(&envelope.after.schema) }),
        Ok(ValueShape::Plain(plain)) => Ok(LatestSchemas { key, value: Arc::clone(&plain.content.schema) }),
        Ok(ValueShape::Message) => Err("its values are messages that change no row".to_owned()),
        Err(refusal) => Err(refusal.reason.clone()),
    })
}
