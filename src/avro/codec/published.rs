//! Decodes the records that a source has published itself, when it reads them back.
//!
//! A record of somebody else is not an error here: the sinks of the topic report it.

use apache_avro::{schema::Schema, types::Value};
use towpath_api::{Body, Change, Depth, Identity, Key, Op, RecordKey, RecordOp, Result, Version};

use super::{Decoded, Decoder, SchemaHeaders};
use crate::avro::{registry::Registry, schema::shape::fields, schema_id::SchemaId};

/// Decodes records of one source's topics, with a cache of schemas.
#[derive(Debug)]
pub struct PublishedDecoder(Decoder);

/// The content of a record that a source has published.
#[derive(Debug, Clone, PartialEq)]
pub struct PublishedContent {
    pub key: Key,
    /// `None` at [`Depth::Ids`].
    pub op: Option<Op>,
    /// `None` at [`Depth::Ids`], and for a delete.
    pub after: Option<Vec<(String, Value)>>,
    /// `None` at [`Depth::Ids`], and for a record without a version.
    pub version: Option<Version>,
}

/// The result of decoding a record that is read back.
#[derive(Debug)]
pub enum ReadBack {
    Record(PublishedContent),
    /// A source of ours does not write such records.
    Foreign {
        /// Without any payload.
        reason: String,
    },
    /// The schema is not cached: call [`PublishedDecoder::learn`], then decode again.
    NeedsSchema(SchemaId),
}

impl PublishedDecoder {
    /// Creates a decoder with an empty cache.
    pub fn new(registry: Registry) -> Self {
        Self(Decoder::new(registry))
    }

    #[cfg(test)]
    pub(super) fn of(decoder: Decoder) -> Self {
        Self(decoder)
    }

    /// Decodes one record without waiting. At [`Depth::Ids`], `value` is not read.
    pub fn decode(&self, key: &[u8], value: &[u8], depth: Depth) -> ReadBack {
        let value = (depth == Depth::Whole).then_some(value);
        match self.0.decode_with(Some(key), value, SchemaHeaders::default()) {
            Decoded::NeedsSchema(id) => ReadBack::NeedsSchema(id),
            // A key without a value, since the value was left out.
            Decoded::Body(Body::Tombstone(Some(key))) if depth == Depth::Ids => match key_of(key) {
                Some(key) => ReadBack::Record(PublishedContent { key, op: None, after: None, version: None }),
                None => foreign("its key is neither text nor a number"),
            },
            Decoded::Body(Body::Change(change)) => content(*change),
            Decoded::Body(Body::Undecodable { reason, .. }) => ReadBack::Foreign { reason },
            Decoded::Body(Body::Tombstone(_) | Body::Filtered) => foreign("it is not a change"),
        }
    }

    /// Fetches schema `id`. The records of a schema that the registry does not have, or that is not Avro, are foreign.
    ///
    /// # Errors
    /// Retry while the registry is unavailable, or something else answers in its place.
    ///
    /// # Cancel safety
    /// Safe.
    pub async fn learn(&mut self, id: SchemaId) -> Result<()> {
        self.0.learn(id).await
    }
}

fn content(change: Change) -> ReadBack {
    let Change { key, op, schema, after, version, .. } = change;
    let op = match op {
        RecordOp::Create => Op::Create,
        RecordOp::Update => Op::Update,
        RecordOp::Delete => Op::Delete,
        RecordOp::Read => Op::Read,
        RecordOp::Truncate => return foreign("it truncates"),
    };
    let Some(key) = key.and_then(key_of) else { return foreign("its key is neither text nor a number") };
    let after = after.map(|values| named(&schema, values));
    ReadBack::Record(PublishedContent { key, op: Some(op), after, version })
}

fn named(schema: &Schema, values: Vec<Value>) -> Vec<(String, Value)> {
    fields(schema).iter().map(|field| field.name.clone()).zip(values).collect()
}

fn key_of(key: RecordKey) -> Option<Key> {
    match key.identity {
        Identity::Text(text) => Some(Key::Text(text)),
        Identity::Long(number) => Some(Key::Long(number)),
        Identity::Boolean(_) | Identity::Bytes(_) | Identity::Parts(_) => None,
    }
}

fn foreign(reason: &str) -> ReadBack {
    ReadBack::Foreign { reason: reason.to_owned() }
}
