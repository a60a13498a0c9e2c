//! From the bytes of a record to what it means.

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

/// Waits between the questions for an id that the registry does not know: three within a minute, in case that it lags
/// behind the one that registered it.
const UNKNOWN_ID_PAUSES: [Duration; 2] = [Duration::from_secs(1), Duration::from_secs(4)];

/// How many unknown ids are asked for three times; from then on once, lest rubbish in a topic holds a task up for
/// hours.
const PATIENT_UNKNOWN_IDS: usize = 20;

/// What apache-avro may allocate for one value that it reads itself; ours are bounded by the bytes there are.
const MAX_ALLOCATION_BYTES: usize = 64 * 1024 * 1024;

/// What became of the bytes of a record.
#[derive(Debug)]
pub enum Decoded {
    /// What the record means.
    Body(Body),
    /// A schema is missing: [`Decoder::learn`] it, then decode again.
    NeedsSchema(SchemaId),
}

/// Decodes records; one for each task, with the schemas that it has met.
#[derive(Debug)]
pub struct Decoder {
    registry: Registry,
    reading: Reading,
    /// By number. Looked up for each record, so that the rarer guids have a map of their own.
    schemas: HashMap<u32, Result<KnownSchema, Refusal>>,
    guids: HashMap<Uuid, Result<KnownSchema, Refusal>>,
    unknown: usize,
}

/// Why a record has no change to give.
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
    /// A decoder that knows no schema yet and reads as [`Reading::default`] says.
    pub fn new(registry: Registry) -> Self {
        Self::reading(registry, Reading::default())
    }

    /// A decoder that knows no schema yet.
    pub fn reading(registry: Registry, reading: Reading) -> Self {
        max_allocation_bytes(MAX_ALLOCATION_BYTES);
        Self { registry, reading, schemas: HashMap::new(), guids: HashMap::new(), unknown: 0 }
    }

    /// Decodes a record without headers.
    pub fn decode(&self, key: Option<&[u8]>, value: Option<&[u8]>) -> Decoded {
        self.decode_with(key, value, SchemaHeaders::default())
    }

    /// Decodes one record. Never waits. A null value is a tombstone of the record that the key names.
    pub fn decode_with(&self, key: Option<&[u8]>, value: Option<&[u8]>, headers: SchemaHeaders<'_>) -> Decoded {
        match self.body(key, value, headers) {
            Ok(body) => Decoded::Body(body),
            Err(Stop::Needs(id)) => Decoded::NeedsSchema(id),
            Err(Stop::Refused(refusal)) => Decoded::Body(refusal.into()),
        }
    }

    /// Fetches schema `id`, or finds it in the registry's shared cache.
    ///
    /// An id that the registry does not know is asked for three times within some seconds and then remembered: from
    /// there on its records are undecodable. The same holds for a schema that is no Avro.
    ///
    /// # Errors
    /// Retry `registry.unavailable` while the registry is away; fatal when it refuses to talk to us.
    ///
    /// # Cancel safety
    /// May be dropped at any await; nothing is remembered then.
    pub async fn learn(&mut self, id: impl Into<SchemaId>) -> Result<()> {
        let id = id.into();
        let pauses = if self.unknown < PATIENT_UNKNOWN_IDS { &UNKNOWN_ID_PAUSES[..] } else { &[] };
        let mut pauses = pauses.iter();
        loop {
            match self.registry.schema(id).await {
                Ok(prepared) => {
                    self.keep(id, prepared);
                    return Ok(());
                }
                Err(error) if error.reaction == Reaction::Poison => {
                    let pause = pauses.next().filter(|_| error.code == codes::UNKNOWN_SCHEMA);
                    let Some(pause) = pause else {
                        self.unknown += 1;
                        self.remember(id, Err(Refusal::new(error.code, error.chain())));
                        return Ok(());
                    };
                    tokio::time::sleep(*pause).await;
                }
                Err(error) => return Err(error),
            }
        }
    }

    /// Keeps a schema under its id.
    pub(super) fn keep(&mut self, id: impl Into<SchemaId>, prepared: Arc<Prepared>) {
        self.remember(id.into(), Ok(self.reading.converter.know(prepared)));
    }

    fn remember(&mut self, id: SchemaId, known: Result<KnownSchema, Refusal>) {
        match id {
            SchemaId::Number(id) => self.schemas.insert(id, known),
            SchemaId::Guid(guid) => self.guids.insert(guid, known),
        };
    }

    fn body(&self, key: Option<&[u8]>, value: Option<&[u8]>, headers: SchemaHeaders<'_>) -> Result<Body, Stop> {
        let converter = &*self.reading.converter;
        let key = match key {
            Some(key) => self.key(key, headers.key)?,
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

    /// The schema of some bytes, by their header or what stands in front of them, and the bytes by that schema.
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
