//! From the bytes of a record to what it means.

use std::{collections::HashMap, sync::Arc, time::Duration};

use apache_avro::util::max_allocation_bytes;
use towpath_api::{Body, Reaction, RecordKey, Result};

use super::{
    HEADER_BYTES, MAGIC,
    change::{Asked, decode_envelope, decode_plain},
    key::decode_key,
    reading::Reading,
    version::VersionAt,
};
use crate::avro::{
    registry::Registry,
    shape::{Prepared, Refusal, ValueShape},
};

/// Waits between the questions for an id that the registry does not know: three within a minute, in case that it lags
/// behind the one that registered it.
const UNKNOWN_ID_PAUSES: [Duration; 2] = [Duration::from_secs(1), Duration::from_secs(4)];

/// How many unknown ids are asked for three times; from then on once, lest rubbish in a topic holds a task up for hours.
const PATIENT_UNKNOWN_IDS: usize = 20;

/// What apache-avro may allocate for one value that it reads itself; ours are bounded by the bytes there are.
const MAX_ALLOCATION_BYTES: usize = 64 * 1024 * 1024;

/// What became of the bytes of a record.
#[derive(Debug)]
pub enum Decoded {
    /// What the record means.
    Body(Body),
    /// A schema is missing: [`Decoder::learn`] it, then decode again.
    NeedsSchema(u32),
}

/// Decodes records; one for each task, with the schemas that it has met.
#[derive(Debug)]
pub struct Decoder {
    registry: Registry,
    reading: Reading,
    schemas: HashMap<u32, Result<Known, Refusal>>,
    unknown: usize,
}

/// A schema, and where in it the configuration looks for the version.
#[derive(Debug)]
struct Known {
    prepared: Arc<Prepared>,
    version_at: Option<VersionAt>,
}

/// Why a record has no change to give.
enum Stop {
    Needs(u32),
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
        Self { registry, reading, schemas: HashMap::new(), unknown: 0 }
    }

    /// Decodes one record. Never waits. A null value is a tombstone of the record that the key names.
    pub fn decode(&self, key: Option<&[u8]>, value: Option<&[u8]>) -> Decoded {
        match self.body(key, value) {
            Ok(body) => Decoded::Body(body),
            Err(Stop::Needs(id)) => Decoded::NeedsSchema(id),
            Err(Stop::Refused(refusal)) => Decoded::Body(refusal.into()),
        }
    }

    /// Fetches schema `id`, or finds it in the registry's shared cache.
    ///
    /// An id that the registry does not know is asked for three times within some seconds and then remembered: from there on
    /// its records are undecodable. The same holds for a schema that is no Avro.
    ///
    /// # Errors
    /// Retry `registry.unavailable` while the registry is away; fatal when it refuses to talk to us.
    ///
    /// # Cancel safety
    /// May be dropped at any await; nothing is remembered then.
    pub async fn learn(&mut self, id: u32) -> Result<()> {
        let pauses = if self.unknown < PATIENT_UNKNOWN_IDS { &UNKNOWN_ID_PAUSES[..] } else { &[] };
        let mut pauses = pauses.iter();
        loop {
            match self.registry.schema(id).await {
                Ok(prepared) => {
                    self.keep(id, prepared);
                    return Ok(());
                }
                Err(error) if error.reaction == Reaction::Poison => {
                    let pause = pauses.next().filter(|_| error.code == "registry.unknown_schema");
                    let Some(pause) = pause else {
                        self.unknown += 1;
                        self.schemas.insert(id, Err(Refusal::new(error.code, error.chain())));
                        return Ok(());
                    };
                    tokio::time::sleep(*pause).await;
                }
                Err(error) => return Err(error),
            }
        }
    }

    /// Keeps a schema under its id.
    pub(super) fn keep(&mut self, id: u32, prepared: Arc<Prepared>) {
        let version = self.reading.shared.version.as_ref().zip(prepared.value.as_ref().ok());
        let version_at = version.map(|(field, shape)| VersionAt::find(field, shape));
        self.schemas.insert(id, Ok(Known { prepared, version_at }));
    }

    fn body(&self, key: Option<&[u8]>, value: Option<&[u8]>) -> Result<Body, Stop> {
        let key = key.map(|key| self.key(key)).transpose()?;
        let Some(value) = value else { return Ok(Body::Tombstone(key)) };
        let (known, datum) = self.unframe(value, "value")?;
        let asked = Asked { version_at: known.version_at, unavailable: &self.reading.shared.unavailable };
        Ok(match known.prepared.value.as_ref().map_err(Clone::clone)? {
            ValueShape::Envelope(envelope) => decode_envelope(envelope, key, datum, asked)?,
            ValueShape::Plain(plain) => decode_plain(plain, key, datum, asked)?,
            ValueShape::Message => Body::Filtered,
        })
    }

    fn key(&self, key: &[u8]) -> Result<RecordKey, Stop> {
        let (known, datum) = self.unframe(key, "key")?;
        Ok(decode_key(known.prepared.key.as_ref().map_err(Clone::clone)?, datum)?)
    }

    fn unframe<'a>(&self, bytes: &'a [u8], part: &str) -> Result<(&Known, &'a [u8]), Stop> {
        let Some((&[magic, a, b, c, d], datum)) = bytes.split_first_chunk::<HEADER_BYTES>() else {
            let reason = format!("the {part} has {} bytes, fewer than a schema id takes", bytes.len());
            return Err(Refusal::new("decode.framing", reason).into());
        };
        if magic != MAGIC {
            return Err(Refusal::new("decode.framing", format!("the {part} does not begin with a schema id")).into());
        }
        let id = u32::from_be_bytes([a, b, c, d]);
        match self.schemas.get(&id) {
            Some(Ok(known)) => Ok((known, datum)),
            Some(Err(refusal)) => Err(refusal.clone().into()),
            None => Err(Stop::Needs(id)),
        }
    }
}
