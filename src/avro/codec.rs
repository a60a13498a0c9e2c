//! Between events and the bytes of a topic: Confluent's framing around our envelope.
//!
//! ```text
//! ChangeEvent ─ Encoder::encode ─▶ 0, schema id, Avro ─ Decoder::decode ─▶ Body
//! ```
//!
//! Nothing here talks to Kafka, and only [`Decoder::learn`] talks to the registry. Both directions walk the schema
//! themselves (`read.rs`, `write.rs`) because apache-avro's generic reader and writer cost MEASURED.

use std::{
    collections::HashMap,
    sync::Arc,
    time::{Duration, SystemTime, UNIX_EPOCH},
};

use apache_avro::{Schema, schema::RecordField};
use towpath_api::{Body, Change, ChangeEvent, Error, ErrorType, Key, KeyType, Object, Op, Reaction, Result, Version};

use super::{
    envelope::TopicSchemas,
    read::{Malformed, Reader},
    registry::Registry,
    shape::{Envelope, Nullable, Prepared, Refusal, SourceStep, Step, ValueShape},
    write::{Misfit, write, write_count, write_long, write_sized},
};

/// The first byte of Confluent's framing; the schema id follows, big endian.
const MAGIC: u8 = 0;
const HEADER_BYTES: usize = 5;

/// Waits between the questions for an id that the registry does not know: three within a minute, in case that it lags
/// behind the one that registered it.
const UNKNOWN_ID_PAUSES: [Duration; 2] = [Duration::from_secs(1), Duration::from_secs(4)];

/// How many unknown ids are asked for three times; from then on once, lest rubbish in a topic holds a task up for hours.
const PATIENT_UNKNOWN_IDS: usize = 20;

/// Key and value of one record, framed.
#[derive(Debug, Clone, PartialEq, Eq)]
pub struct Encoded {
    /// The key.
    pub key: Vec<u8>,
    /// The value.
    pub value: Vec<u8>,
}

/// Encodes the events of one object for one topic.
#[derive(Debug)]
pub struct Encoder {
    connector: String,
    object: String,
    key_type: KeyType,
    after: Schema,
    key_id: u32,
    value_id: u32,
}

impl Encoder {
    /// An encoder for `schemas`, which the registry knows by the two ids.
    pub fn new(connector: &str, object: &Object, schemas: &TopicSchemas, key_id: u32, value_id: u32) -> Self {
        Self {
            connector: connector.to_owned(),
            object: object.name().to_owned(),
            key_type: object.key_type(),
            after: schemas.after.clone(),
            key_id,
            value_id,
        }
    }

    /// Encodes one event. `ts_ms` becomes the time of encoding.
    ///
    /// # Errors
    /// Poison `encode.misfit` when the event does not fit the object's schema; names the field, never a value.
    pub fn encode(&self, event: &ChangeEvent) -> Result<Encoded> {
        let mut key = frame(self.key_id, 48);
        match (&event.key, self.key_type) {
            (Key::Text(id), KeyType::Text) => write_sized(&mut key, id.as_bytes()),
            (Key::Long(id), KeyType::Long) => write_long(&mut key, *id),
            _ => return Err(self.misfit("the key is of another type than the object's `id`")),
        }
        let mut value = frame(self.value_id, 512);
        write_null(&mut value);
        self.write_after(&mut value, event)?;
        self.write_source(&mut value, event);
        write_sized(&mut value, event.op.letter().as_bytes());
        write_optional(&mut value, Some(now_ms()));
        write_changed(&mut value, event.changed.as_deref());
        Ok(Encoded { key, value })
    }

    fn write_after(&self, out: &mut Vec<u8>, event: &ChangeEvent) -> Result<()> {
        let Some(after) = &event.after else {
            if event.op != Op::Delete {
                return Err(self.misfit("only a delete may have no `after`"));
            }
            write_null(out);
            return Ok(());
        };
        let fields = fields(&self.after);
        let same_names = fields.len() == after.len() && fields.iter().zip(after).all(|(field, (name, _))| field.name == *name);
        if !same_names {
            return Err(self.misfit(&Misfit::Fields.to_string()));
        }
        write_long(out, 1);
        for (field, (_, value)) in fields.iter().zip(after) {
            let fits = write(out, &field.schema, value);
            fits.map_err(|misfit| self.misfit(&format!("field `{}`: {misfit}", field.name)))?;
        }
        Ok(())
    }

    fn write_source(&self, out: &mut Vec<u8>, event: &ChangeEvent) {
        write_sized(out, self.connector.as_bytes());
        write_sized(out, self.object.as_bytes());
        write_sized(out, event.event_id.as_bytes());
        write_optional(out, event.source_time_ms);
        write_optional(out, event.version.map(|version| version.ts));
        write_optional(out, event.version.map(|version| version.seq));
        write_optional(out, event.version.map(|version| version.rank.into()));
    }

    fn misfit(&self, reason: &str) -> Error {
        let doing = format!("encode an event of object `{}`: {reason}", self.object);
        Error::poison("encode.misfit", ErrorType::Serialization, doing)
    }
}

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
    schemas: HashMap<u32, Result<Arc<Prepared>, Refusal>>,
    unknown: usize,
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
    /// A decoder that knows no schema yet.
    pub fn new(registry: Registry) -> Self {
        Self { registry, schemas: HashMap::new(), unknown: 0 }
    }

    /// Decodes one record. Never waits. A null value is a tombstone, whatever its key.
    pub fn decode(&self, key: Option<&[u8]>, value: Option<&[u8]>) -> Decoded {
        let Some(value) = value else { return Decoded::Body(Body::Tombstone) };
        match self.change(key, value) {
            Ok(change) => Decoded::Body(Body::Change(Box::new(change))),
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
                    self.schemas.insert(id, Ok(prepared));
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

    fn change(&self, key: Option<&[u8]>, value: &[u8]) -> Result<Change, Stop> {
        let key = key.ok_or_else(|| Refusal::new("decode.key_absent", "the record has no key"))?;
        let (schema, datum) = self.unframe(key, "key")?;
        let key = decode_key(*schema.key.as_ref().map_err(Clone::clone)?, datum)?;
        let (schema, datum) = self.unframe(value, "value")?;
        let ValueShape::Envelope(envelope) = schema.value.as_ref().map_err(Clone::clone)?;
        Ok(decode_envelope(envelope, key, datum)?)
    }

    fn unframe<'a>(&self, bytes: &'a [u8], part: &str) -> Result<(&Prepared, &'a [u8]), Stop> {
        let Some((&[magic, a, b, c, d], datum)) = bytes.split_first_chunk::<HEADER_BYTES>() else {
            let reason = format!("the {part} has {} bytes, fewer than a schema id takes", bytes.len());
            return Err(Refusal::new("decode.framing", reason).into());
        };
        if magic != MAGIC {
            return Err(Refusal::new("decode.framing", format!("the {part} does not begin with a schema id")).into());
        }
        let id = u32::from_be_bytes([a, b, c, d]);
        match self.schemas.get(&id) {
            Some(Ok(prepared)) => Ok((prepared, datum)),
            Some(Err(refusal)) => Err(refusal.clone().into()),
            None => Err(Stop::Needs(id)),
        }
    }
}

fn decode_key(key_type: KeyType, datum: &[u8]) -> Result<Key, Refusal> {
    let mut reader = Reader::new(datum);
    let key = match key_type {
        KeyType::Text => reader.text().map(|id| Key::Text(id.to_owned())),
        KeyType::Long => reader.long().map(Key::Long),
    };
    let key = key.map_err(|malformed| in_part(malformed, "the key"))?;
    nothing_left(&reader, "key")?;
    Ok(key)
}

fn decode_envelope(envelope: &Envelope, key: Key, datum: &[u8]) -> Result<Change, Refusal> {
    let mut reader = Reader::new(datum);
    let mut change = Change {
        key,
        op: Op::Read,
        schema: envelope.after.clone(),
        after: None,
        changed: None,
        version: None,
        source_time_ms: None,
    };
    let fields = fields(&envelope.after);
    for step in &envelope.steps {
        match step {
            Step::After(nullable) => change.after = read_after(&mut reader, *nullable, fields)?,
            Step::Source(steps) => {
                read_source(&mut reader, steps, &mut change).map_err(|malformed| in_part(malformed, "`source`"))?;
            }
            Step::Op => {
                let letter = reader.text().map_err(|malformed| in_part(malformed, "`op`"))?;
                change.op =
                    Op::from_letter(letter).ok_or_else(|| Refusal::new("decode.unknown_op", "`op` is none of c, u, d and r"))?;
            }
            Step::Changed(nullable) => change.changed = read_changed(&mut reader, *nullable, fields)?,
            Step::Skip(schema) => reader.skip(schema).map_err(|malformed| in_part(malformed, "the envelope"))?,
        }
    }
    nothing_left(&reader, "value")?;
    if change.op == Op::Delete {
        change.after = None;
    } else if change.after.is_none() {
        return Err(Refusal::new("decode.no_after", "a change that is no delete has no `after`"));
    }
    Ok(change)
}

fn read_after(
    reader: &mut Reader,
    nullable: Nullable,
    fields: &[RecordField],
) -> Result<Option<Vec<apache_avro::types::Value>>, Refusal> {
    if is_null(reader, nullable).map_err(|malformed| in_part(malformed, "`after`"))? {
        return Ok(None);
    }
    let mut values = Vec::with_capacity(fields.len());
    for field in fields {
        let value = reader.value(&field.schema);
        values.push(value.map_err(|malformed| in_part(malformed, &format!("field `{}`", field.name)))?);
    }
    Ok(Some(values))
}

fn read_source(reader: &mut Reader, steps: &[SourceStep], change: &mut Change) -> Result<(), Malformed> {
    let (mut ts, mut seq, mut rank) = (None, None, None);
    for step in steps {
        match step {
            SourceStep::TimeMs(nullable) => change.source_time_ms = optional(reader, *nullable)?,
            SourceStep::VersionTs(nullable) => ts = optional(reader, *nullable)?,
            SourceStep::VersionSeq(nullable) => seq = optional(reader, *nullable)?,
            SourceStep::VersionRank(nullable) => rank = optional(reader, *nullable)?,
            SourceStep::Skip(schema) => reader.skip(schema)?,
        }
    }
    let rank = i8::try_from(rank.unwrap_or(0)).map_err(|_| Malformed::Number)?;
    change.version = ts.map(|ts| Version { ts, seq: seq.unwrap_or(0), rank });
    Ok(())
}

fn read_changed(reader: &mut Reader, nullable: Nullable, fields: &[RecordField]) -> Result<Option<Vec<u16>>, Refusal> {
    let malformed = |malformed| in_part(malformed, "`changed`");
    if is_null(reader, nullable).map_err(malformed)? {
        return Ok(None);
    }
    let mut positions = Vec::new();
    // Names mostly come in the schema's order, so the search goes on where the last one was found.
    let mut next = 0;
    loop {
        let count = reader.block(false).map_err(malformed)?;
        if count == 0 {
            break;
        }
        for _ in 0..count {
            let name = reader.text().map_err(malformed)?;
            let found = (next..fields.len()).chain(0..next).find(|&position| fields[position].name == name);
            let position = found.and_then(|position| u16::try_from(position).ok());
            let unknown = || Refusal::new("decode.unknown_field", "`changed` names a field that the schema does not have");
            positions.push(position.ok_or_else(unknown)?);
            next = found.map_or(0, |position| position + 1);
        }
    }
    if !positions.is_sorted() {
        positions.sort_unstable();
    }
    positions.dedup();
    Ok(Some(positions))
}

fn is_null(reader: &mut Reader, nullable: Nullable) -> Result<bool, Malformed> {
    Ok(reader.branch(2)? == nullable.null)
}

fn optional(reader: &mut Reader, nullable: Nullable) -> Result<Option<i64>, Malformed> {
    if is_null(reader, nullable)? { Ok(None) } else { reader.long().map(Some) }
}

fn in_part(malformed: Malformed, part: &str) -> Refusal {
    Refusal::new(malformed.code(), format!("{part}: {malformed}"))
}

fn nothing_left(reader: &Reader, part: &str) -> Result<(), Refusal> {
    match reader.left() {
        0 => Ok(()),
        left => Err(Refusal::new("decode.trailing_bytes", format!("the {part} has {left} bytes more than its schema"))),
    }
}

fn fields(record: &Schema) -> &[RecordField] {
    match record {
        Schema::Record(record) => &record.fields,
        _ => &[],
    }
}

fn frame(schema_id: u32, capacity: usize) -> Vec<u8> {
    let mut framed = Vec::with_capacity(capacity);
    framed.push(MAGIC);
    framed.extend_from_slice(&schema_id.to_be_bytes());
    framed
}

fn write_null(out: &mut Vec<u8>) {
    write_long(out, 0);
}

fn write_optional(out: &mut Vec<u8>, number: Option<i64>) {
    match number {
        None => write_null(out),
        Some(number) => {
            write_long(out, 1);
            write_long(out, number);
        }
    }
}

fn write_changed(out: &mut Vec<u8>, changed: Option<&[String]>) {
    let Some(changed) = changed else { return write_null(out) };
    write_long(out, 1);
    write_count(out, changed.len());
    changed.iter().for_each(|name| write_sized(out, name.as_bytes()));
    out.push(0);
}

fn now_ms() -> i64 {
    let since = SystemTime::now().duration_since(UNIX_EPOCH).unwrap_or_default();
    i64::try_from(since.as_millis()).unwrap_or(i64::MAX)
}

#[cfg(test)]
mod tests;
