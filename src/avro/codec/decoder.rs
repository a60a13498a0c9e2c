//! Decodes the bytes of a record.

use std::{
    collections::HashMap,
    sync::Arc,
    time::{Duration, Instant},
};

use apache_avro::{Uuid, util::max_allocation_bytes};
use towpath_api::{Body, Error, ErrorType, Identity, Reaction, RecordKey, Result};

use super::{
    change::decode_value,
    forms::{bare_key, bare_value, json_key, json_value, text_key, text_value},
    framing::{self, SchemaHeaders, header_id, prefix_id},
    key::decode_key,
    patience::{Place, now_ms},
    settings::{Form, KnownSchema, Reading},
};
use crate::avro::{codes, refusal::Refusal, registry::Registry, schema::shape::Prepared, schema_id::SchemaId};

/// How long the refusal of a schema is cached.
const REFUSED_FOR: Duration = Duration::from_secs(30);

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
    schemas: HashMap<u32, Result<KnownSchema, Refused>>,
    guids: HashMap<Uuid, Result<KnownSchema, Refused>>,
}

/// A schema that cannot be used for now.
#[derive(Debug)]
struct Refused {
    refusal: Refusal,
    until: Instant,
    /// The time of a refusal that does not apply to records that were young then: they wait for the schema.
    spares_young: Option<i64>,
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
        Self { registry, reading, schemas: HashMap::new(), guids: HashMap::new() }
    }

    /// Decodes a record without headers.
    pub fn decode(&self, key: Option<&[u8]>, value: Option<&[u8]>) -> Decoded {
        self.decode_with(key, value, SchemaHeaders::default())
    }

    /// Decodes one record without waiting. A null value is a tombstone for the key.
    pub fn decode_with(&self, key: Option<&[u8]>, value: Option<&[u8]>, headers: SchemaHeaders<'_>) -> Decoded {
        self.decode_sized(key, value, headers, 0).0
    }

    /// Decodes as [`Decoder::decode_with`] a record of the given time. Also returns the memory of the decoded
    /// values, in bytes.
    pub fn decode_sized(
        &self,
        key: Option<&[u8]>,
        value: Option<&[u8]>,
        headers: SchemaHeaders<'_>,
        timestamp_ms: i64,
    ) -> (Decoded, usize) {
        match self.body(key, value, headers, timestamp_ms) {
            Ok((body, memory)) => (Decoded::Body(body), memory),
            Err(Stop::Needs(id)) => (Decoded::NeedsSchema(id), 0),
            Err(Stop::Refused(refusal)) => (Decoded::Body(refusal.into()), 0),
        }
    }

    /// Fetches schema `id`, from the registry or its shared cache. A schema that the registry does not have, or that is
    /// not Avro, is cached as a failure for half a minute, and the records of this schema are undecodable.
    ///
    /// # Errors
    /// Retry while the registry is unavailable, rejects the credentials or the request, or while something else answers
    /// in its place.
    ///
    /// # Cancel safety
    /// May be dropped at any await; the cache is then unchanged.
    pub async fn learn(&mut self, id: impl Into<SchemaId>) -> Result<()> {
        let id = id.into();
        match self.registry.schema(id).await {
            Ok(prepared) => self.insert(id, prepared),
            Err(error) if error.reaction == Reaction::Poison => self.refuse(id, &error, None),
            Err(error) => return Err(error),
        }
        Ok(())
    }

    /// Fetches schema `id` for the record at `place`, as [`Decoder::learn`] does. A schema that the registry does not
    /// have is waited for; see `patience.rs`.
    ///
    /// # Errors
    /// As for [`Decoder::learn`], and retry `registry.unknown_schema` while the schema is waited for.
    pub async fn learn_for(&mut self, id: SchemaId, place: Place<'_>) -> Result<()> {
        let patience = &self.reading.converter.patience;
        match self.registry.schema(id).await {
            Ok(prepared) => {
                patience.found(id, place.partition);
                self.insert(id, prepared);
            }
            Err(error) if matches!(error.code, codes::UNKNOWN_SCHEMA | codes::NO_GUIDS) => {
                if patience.waits(id, place) {
                    let doing = format!("decode offset {} of {}", place.offset, place.partition);
                    let help = "register the schema, or restore the registry; the record is applied as soon as the \
                                schema is there, and becomes a dead letter after `schema.unknown.wait.ms`";
                    return Err(Error::retry(error.code, ErrorType::Schema, doing)
                        .because(error.chain())
                        .with_help(error.help().map_or_else(|| help.to_owned(), str::to_owned)));
                }
                self.refuse(id, &error, Some(now_ms()));
            }
            Err(error) if error.reaction == Reaction::Poison => self.refuse(id, &error, None),
            Err(error) => return Err(error),
        }
        Ok(())
    }

    /// Forgets which schemas could not be used.
    pub fn forget_refusals(&mut self) {
        self.schemas.retain(|_, known| known.is_ok());
        self.guids.retain(|_, known| known.is_ok());
    }

    fn refuse(&mut self, id: SchemaId, error: &Error, spares_young: Option<i64>) {
        let now = Instant::now();
        let is_current =
            |known: &Result<_, Refused>| known.as_ref().map_or_else(|refused| now < refused.until, |_| true);
        self.schemas.retain(|_, known| is_current(known));
        self.guids.retain(|_, known| is_current(known));
        let refusal = Refusal::new(error.code, error.chain());
        self.cache(id, Err(Refused { refusal, until: now + REFUSED_FOR, spares_young }));
    }

    pub(super) fn insert(&mut self, id: impl Into<SchemaId>, prepared: Arc<Prepared>) {
        self.cache(id.into(), Ok(self.reading.converter.locate_version(prepared)));
    }

    fn applies(&self, refused: &Refused, timestamp_ms: i64) -> bool {
        let patience = &self.reading.converter.patience;
        Instant::now() < refused.until && !refused.spares_young.is_some_and(|at| patience.is_young(timestamp_ms, at))
    }

    fn cache(&mut self, id: SchemaId, known: Result<KnownSchema, Refused>) {
        match id {
            SchemaId::Number(id) => self.schemas.insert(id, known),
            SchemaId::Guid(guid) => self.guids.insert(guid, known),
        };
    }

    fn body(
        &self,
        key: Option<&[u8]>,
        value: Option<&[u8]>,
        headers: SchemaHeaders<'_>,
        timestamp_ms: i64,
    ) -> Result<(Body, usize), Stop> {
        let converter = &*self.reading.converter;
        let key = match key {
            Some(key) => self.key(key, headers, timestamp_ms).map_err(|stop| match stop {
                Stop::Refused(refusal) => Stop::Refused(Refusal { of_key: true, ..refusal }),
                needs @ Stop::Needs(_) => needs,
            })?,
            None => None,
        };
        let of_key = key.as_ref().map_or(0, |key| memory_of(&key.identity));
        let Some(value) = value else { return Ok((Body::Tombstone(key), of_key)) };
        let (body, memory) = match converter.value {
            Form::Avro => {
                let (known, datum) =
                    self.unframe(value, headers.value, headers.of_apicurio.1, "value", timestamp_ms)?;
                decode_value(converter, known, key, datum)?
            }
            Form::JsonWithSchema => json_value(converter, key, value)?,
            Form::Json => bare_value(converter, key, value)?,
            Form::Text => text_value(key, value)?,
        };
        Ok((body, memory + of_key))
    }

    fn key(&self, key: &[u8], headers: SchemaHeaders<'_>, timestamp_ms: i64) -> Result<Option<RecordKey>, Stop> {
        let converter = &*self.reading.converter;
        Ok(match converter.key {
            Form::Avro => {
                let (known, datum) = self.unframe(key, headers.key, headers.of_apicurio.0, "key", timestamp_ms)?;
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
        of_apicurio: bool,
        part: &str,
        timestamp_ms: i64,
    ) -> Result<(&KnownSchema, &'a [u8]), Stop> {
        let (id, datum) = match header {
            Some(header) => (header_id(header, part)?, bytes),
            None if of_apicurio => return Err(framing::of_apicurio(part).into()),
            None => prefix_id(bytes, part)?,
        };
        let known = match &id {
            SchemaId::Number(id) => self.schemas.get(id),
            SchemaId::Guid(guid) => self.guids.get(guid),
        };
        match known {
            Some(Ok(known)) => Ok((known, datum)),
            Some(Err(refused)) if self.applies(refused, timestamp_ms) => Err(refused.refusal.clone().into()),
            Some(Err(_)) | None => Err(Stop::Needs(id)),
        }
    }
}

/// The memory of a key, in bytes.
fn memory_of(identity: &Identity) -> usize {
    size_of::<Identity>()
        + match identity {
            Identity::Text(text) => text.len(),
            Identity::Bytes(bytes) => bytes.len(),
            Identity::Long(_) | Identity::Boolean(_) => 0,
            Identity::Parts(parts) => parts.iter().map(memory_of).sum(),
        }
}
