//! Decodes the bytes of a record.

use std::{collections::HashMap, sync::Arc, time::Duration};

use apache_avro::{Uuid, util::max_allocation_bytes};
use towpath_api::{Body, Reaction, RecordKey, Result};

use super::{
    change::decode_value,
    forms::{bare_key, bare_value, json_key, json_value, text_key, text_value},
    framing::{SchemaHeaders, header_id, prefix_id},
    key::decode_key,
    settings::{Form, KnownSchema, Reading},
};
use crate::avro::{codes, refusal::Refusal, registry::Registry, schema::shape::Prepared, schema_id::SchemaId};

/// Pauses before retrying the lookup of an unknown id: a replica of the registry may lag behind the one that registered
/// the schema.
const UNKNOWN_ID_PAUSES: [Duration; 2] = [Duration::from_secs(1), Duration::from_secs(4)];

/// Number of unknown ids whose lookup is retried. Further ids are looked up once, so that garbage in a topic cannot
/// delay a task for hours.
const PATIENT_UNKNOWN_IDS: usize = 20;

/// Maximum allocation of apache-avro for one value. Our own reader is bounded by the size of the input.
const MAX_ALLOCATION_BYTES: usize = 64 * 1024 * 1024;

/// The result of decoding a record.
#[derive(Debug)]
pub enum Decoded {
    /// The decoded record, or the reason why it cannot be decoded.
    Body(Body),
    /// The schema is not cached: call [`Decoder::learn`], then decode again.
    NeedsSchema(SchemaId),
}

/// Decodes records, with a cache of schemas. Each task has its own.
#[derive(Debug)]
pub struct Decoder {
    registry: Registry,
    reading: Reading,
    /// By number. Separate from the rarer guids, since each record needs a lookup.
    schemas: HashMap<u32, Result<KnownSchema, Refusal>>,
    guids: HashMap<Uuid, Result<KnownSchema, Refusal>>,
    unknown: usize,
}

/// A reason to stop decoding a record.
enum Stop {
    Needs(SchemaId),
    Refused(Refusal),
}

impl From<Refusal> for Stop {
    fn from(refusal: Refusal) -> Self {
        Self::Refused(refusal)
    }
}

impl Decoder {
    /// Creates a decoder for Avro keys and values, as [`Reading::default`].
    pub fn new(registry: Registry) -> Self {
        Self::reading(registry, Reading::default())
    }

    /// Creates a decoder with an empty cache.
    pub fn reading(registry: Registry, reading: Reading) -> Self {
        max_allocation_bytes(MAX_ALLOCATION_BYTES);
        Self { registry, reading, schemas: HashMap::new(), guids: HashMap::new(), unknown: 0 }
    }

    /// Decodes a record without headers.
    pub fn decode(&self, key: Option<&[u8]>, value: Option<&[u8]>) -> Decoded {
        self.decode_with(key, value, SchemaHeaders::default())
    }

    /// Decodes one record without waiting. A null value is a tombstone for the key.
    pub fn decode_with(&self, key: Option<&[u8]>, value: Option<&[u8]>, headers: SchemaHeaders<'_>) -> Decoded {
        match self.body(key, value, headers) {
            Ok(body) => Decoded::Body(body),
            Err(Stop::Needs(id)) => Decoded::NeedsSchema(id),
            Err(Stop::Refused(refusal)) => Decoded::Body(refusal.into()),
        }
    }

    /// Fetches schema `id`, from the registry or its shared cache.
    ///
    /// The lookup of an unknown id is retried for some seconds. After that the decoder caches the failure, and the
    /// records of this schema are undecodable. A schema that is not Avro is cached as a failure at once.
    ///
    /// # Errors
    /// Retry while the registry is unavailable or rejects the credentials; fatal `registry.refused` when it rejects the
    /// request.
    ///
    /// # Cancel safety
    /// May be dropped at any await; the cache is then unchanged.
    pub async fn learn(&mut self, id: impl Into<SchemaId>) -> Result<()> {
        let id = id.into();
        let pauses = if self.unknown < PATIENT_UNKNOWN_IDS { &UNKNOWN_ID_PAUSES[..] } else { &[] };
        let mut pauses = pauses.iter();
        loop {
            match self.registry.schema(id).await {
                Ok(prepared) => {
                    self.insert(id, prepared);
                    return Ok(());
                }
                Err(error) if error.reaction == Reaction::Poison => {
                    let pause = pauses.next().filter(|_| error.code == codes::UNKNOWN_SCHEMA);
                    let Some(pause) = pause else {
                        self.unknown += 1;
                        self.cache(id, Err(Refusal::new(error.code, error.chain())));
                        return Ok(());
                    };
                    tokio::time::sleep(*pause).await;
                }
                Err(error) => return Err(error),
            }
        }
    }

    pub(super) fn insert(&mut self, id: impl Into<SchemaId>, prepared: Arc<Prepared>) {
        self.cache(id.into(), Ok(self.reading.converter.locate_version(prepared)));
    }

    fn cache(&mut self, id: SchemaId, known: Result<KnownSchema, Refusal>) {
        match id {
            SchemaId::Number(id) => self.schemas.insert(id, known),
            SchemaId::Guid(guid) => self.guids.insert(guid, known),
        };
    }

    fn body(&self, key: Option<&[u8]>, value: Option<&[u8]>, headers: SchemaHeaders<'_>) -> Result<Body, Stop> {
        let converter = &*self.reading.converter;
        let key = match key {
            Some(key) => self.key(key, headers.key).map_err(|stop| match stop {
                Stop::Refused(refusal) => Stop::Refused(Refusal { of_key: true, ..refusal }),
                needs @ Stop::Needs(_) => needs,
            })?,
            None => None,
        };
        let Some(value) = value else { return Ok(Body::Tombstone(key)) };
        Ok(match converter.value {
            Form::Avro => {
                let (known, datum) = self.unframe(value, headers.value, "value")?;
                decode_value(known, key, datum, &converter.unavailable)?
            }
            Form::JsonWithSchema => json_value(converter, key, value)?,
            Form::Json => bare_value(converter, key, value)?,
            Form::Text => text_value(key, value)?,
        })
    }

    fn key(&self, key: &[u8], header: Option<&[u8]>) -> Result<Option<RecordKey>, Stop> {
        let converter = &*self.reading.converter;
        Ok(match converter.key {
            Form::Avro => {
                let (known, datum) = self.unframe(key, header, "key")?;
                Some(decode_key(known.prepared.key.as_ref().map_err(Clone::clone)?, datum)?)
            }
            Form::JsonWithSchema => json_key(converter, key)?,
            Form::Json => bare_key(converter, key)?,
            Form::Text => Some(text_key(key)?),
        })
    }

    /// Returns the schema of `bytes`, by the id in the header or before the bytes, and the bytes without framing.
    fn unframe<'a>(
        &self,
        bytes: &'a [u8],
        header: Option<&[u8]>,
        part: &str,
    ) -> Result<(&KnownSchema, &'a [u8]), Stop> {
        let (id, datum) = match header {
            Some(header) => (header_id(header, part)?, bytes),
            None => prefix_id(bytes, part)?,
        };
        let known = match &id {
            SchemaId::Number(id) => self.schemas.get(id),
            SchemaId::Guid(guid) => self.guids.get(guid),
        };
        match known {
            Some(Ok(known)) => Ok((known, datum)),
            Some(Err(refusal)) => Err(refusal.clone().into()),
            None => Err(Stop::Needs(id)),
        }
    }
}
