//! Decodes the value of a record into a [`Change`]: our envelope, Debezium's envelope, or the plain record.

use std::sync::Arc;

use apache_avro::{
    schema::{RecordField, Schema},
    types::Value,
};
use towpath_api::{Body, Change, RecordKey, RecordOp, Version};

use super::{
    deleted::is_delete,
    settings::{Converter, KnownSchema},
    unavailable::Unavailable,
    version::{VersionAt, of_source, version, version_absent},
};
use crate::avro::{
    binary::read::{Malformed, Reader},
    codes,
    refusal::Refusal,
    schema::{
        plan::Plan,
        shape::{Content, Envelope, Meaning, Nullable, Plain, SourceField, Step, ValueShape},
    },
};

/// Settings that apply to values of one schema.
#[derive(Debug, Clone, Copy)]
struct ReadOptions<'a> {
    known: &'a KnownSchema,
    unavailable: &'a Unavailable,
    deleted_field: &'a str,
}

/// Decodes a value in Avro, without framing. Also returns the memory of its values, in bytes.
pub(super) fn decode_value(
    converter: &Converter,
    known: &KnownSchema,
    key: Option<RecordKey>,
    datum: &[u8],
) -> Result<(Body, usize), Refusal> {
    let options = ReadOptions { known, unavailable: &converter.unavailable, deleted_field: &converter.deleted };
    let mut reader = Reader::of(datum, &known.prepared.recursive, converter.truncates);
    let body = match known.prepared.value.as_ref().map_err(Clone::clone)? {
        ValueShape::Envelope(envelope) => decode_envelope(envelope, key, &mut reader, options)?,
        ValueShape::Plain(plain) => decode_plain(plain, key, &mut reader, options)?,
        ValueShape::Message => Body::Filtered,
    };
    Ok((body, reader.memory()))
}

fn decode_envelope<'a>(
    envelope: &'a Envelope,
    key: Option<RecordKey>,
    reader: &mut Reader<'a>,
    options: ReadOptions<'_>,
) -> Result<Body, Refusal> {
    let mut change = Change {
        key,
        op: RecordOp::Read,
        schema: Arc::clone(&envelope.after.schema),
        after: None,
        changed: None,
        version: None,
        source_time_ms: None,
    };
    let fields = envelope.after.fields();
    let placeholder = envelope.is_debezium.then_some(options.unavailable);
    let (mut version_field, mut filtered) = (None, false);
    for step in &envelope.steps {
        match step {
            Step::Skip(schema) => {
                reader.skip(schema).map_err(|malformed| with_part(malformed, "the envelope"))?;
            }
            Step::After(nullable) => {
                change.after = read_record(reader, Some(*nullable), &envelope.after, placeholder, "`after`")?;
            }
            Step::Source(steps) => {
                let read = read_source(reader, steps, &mut change, options.known.version_at);
                version_field = read.map_err(|malformed| with_part(malformed, "`source`"))?;
            }
            Step::Op => match reader.text().map_err(|malformed| with_part(malformed, "`op`"))? {
                "m" if envelope.is_debezium => filtered = true,
                letter => change.op = RecordOp::from_letter(letter).ok_or_else(Refusal::unknown_op)?,
            },
            Step::Changed(nullable) => change.changed = read_changed(reader, *nullable, fields)?,
        }
    }
    require_end(reader, "value")?;
    if filtered {
        return Ok(Body::Filtered);
    }
    match change.op {
        RecordOp::Delete | RecordOp::Truncate => change.after = None,
        _ if change.after.is_none() => return Err(Refusal::no_after()),
        _ => {}
    }
    if let Some(at) = options.known.version_at {
        change.version = match at {
            VersionAt::Nowhere => return Err(version_absent()),
            VersionAt::Source(_) => of_source(&version_field.unwrap_or(Value::Null), change.op)?,
            VersionAt::Record(position) => match change.op {
                // A truncate has no record, and that before a delete may contain only the key.
                RecordOp::Truncate | RecordOp::Delete => None,
                _ => Some(version(change.after.as_ref().map_or(&Value::Null, |record| &record[position]))?),
            },
        };
    }
    if envelope.is_debezium
        && let Some(after) = &mut change.after
    {
        change.changed = available(after, options.unavailable);
    }
    Ok(Body::Change(Box::new(change)))
}

fn decode_plain<'a>(
    plain: &'a Plain,
    key: Option<RecordKey>,
    reader: &mut Reader<'a>,
    options: ReadOptions<'_>,
) -> Result<Body, Refusal> {
    let after = read_record(reader, plain.nullable, &plain.content, Some(options.unavailable), "the value")?;
    require_end(reader, "value")?;
    let Some(mut after) = after else { return Ok(Body::Tombstone(key)) };
    let is_delete = match &options.known.deleted {
        Some(deleted) => is_delete(&after[deleted.position], options.deleted_field)?,
        None => false,
    };
    let version = match options.known.version_at {
        None => None,
        // As in an envelope: the record of a delete may contain only the key.
        Some(VersionAt::Record(_)) if is_delete => None,
        Some(VersionAt::Record(position)) => Some(version(&after[position])?),
        Some(VersionAt::Source(_) | VersionAt::Nowhere) if plain.is_about_debezium => return Ok(Body::Filtered),
        Some(VersionAt::Source(_) | VersionAt::Nowhere) => return Err(version_absent()),
    };
    let mut schema = &plain.content.schema;
    if let Some(deleted) = &options.known.deleted {
        after.remove(deleted.position);
        schema = &deleted.others;
    }
    let changed = available(&mut after, options.unavailable);
    Ok(Body::Change(Box::new(Change {
        key,
        op: if is_delete { RecordOp::Delete } else { RecordOp::Update },
        schema: Arc::clone(schema),
        after: (!is_delete).then_some(after),
        changed: changed.filter(|_| !is_delete),
        version,
        source_time_ms: None,
    })))
}

/// Replaces placeholders by null, and returns the positions of all other fields; `None` if there was no placeholder.
fn available(after: &mut [Value], unavailable: &Unavailable) -> Option<Vec<u16>> {
    if !after.iter().any(|value| unavailable.is(value)) {
        return None;
    }
    let mut positions = Vec::with_capacity(after.len());
    for (position, value) in after.iter_mut().enumerate() {
        if unavailable.is(value) {
            *value = Value::Null;
        } else {
            // Larger positions do not occur: Postgres has at most 1,600 columns.
            positions.extend(u16::try_from(position));
        }
    }
    positions.push(Change::UNAVAILABLE);
    Some(positions)
}

/// Reads a record; `None` for null. A field that cannot be converted may contain `placeholder` instead of a value.
fn read_record<'a>(
    reader: &mut Reader<'a>,
    nullable: Option<Nullable>,
    content: &'a Content,
    placeholder: Option<&Unavailable>,
    part: &str,
) -> Result<Option<Vec<Value>>, Refusal> {
    if let Some(nullable) = nullable
        && is_null(reader, nullable).map_err(|malformed| with_part(malformed, part))?
    {
        return Ok(None);
    }
    reader.count_values(content.plans.len()).map_err(|malformed| with_part(malformed, part))?;
    let mut values = Vec::with_capacity(content.plans.len());
    for (position, plan) in content.plans.iter().enumerate() {
        let named = |malformed| with_part(malformed, &format!("field `{}`", content.fields()[position].name));
        let start =
            if let Plan::As(_) = plan { None } else { placeholder.map(|placeholder| (placeholder, reader.clone())) };
        let value = match (plan.read(reader), start) {
            (Err(malformed), Some((placeholder, start))) => {
                let unread = Unread { start, written: &content.written[position] };
                unread.into_placeholder(reader, placeholder).ok_or(malformed)
            }
            (read, _) => read,
        };
        values.push(value.map_err(named)?);
    }
    Ok(Some(values))
}

/// A field whose bytes are not a value of its semantic type.
struct Unread<'a> {
    start: Reader<'a>,
    written: &'a Schema,
}

impl<'a> Unread<'a> {
    /// Returns the placeholder if the field contains it (for example, in an array of timestamps), and advances `reader`
    /// past the field.
    fn into_placeholder(mut self, reader: &mut Reader<'a>, placeholder: &Unavailable) -> Option<Value> {
        let written = self.start.value(self.written).ok()?;
        placeholder.is(&written).then(|| {
            *reader = self.start;
            Value::String(placeholder.text().to_owned())
        })
    }
}

/// Returns the value of the field that `version_at` locates in `source`, if any.
fn read_source(
    reader: &mut Reader,
    fields: &[SourceField],
    change: &mut Change,
    version_at: Option<VersionAt>,
) -> Result<Option<Value>, Malformed> {
    let (mut ts, mut seq, mut rank, mut version_field) = (None, None, None, None);
    for (position, field) in fields.iter().enumerate() {
        if version_at == Some(VersionAt::Source(position)) {
            version_field = Some(reader.clone().value(&field.schema)?);
        }
        match field.meaning {
            Meaning::TimeMs => change.source_time_ms = optional(reader, field.nullable)?,
            Meaning::VersionTs => ts = optional(reader, field.nullable)?,
            Meaning::VersionSeq => seq = optional(reader, field.nullable)?,
            Meaning::VersionRank => rank = optional(reader, field.nullable)?,
            Meaning::Nothing => reader.skip(&field.schema)?,
        }
    }
    let rank = i8::try_from(rank.unwrap_or(0)).map_err(|_| Malformed::Number)?;
    change.version = ts.map(|ts| Version { ts, seq: seq.unwrap_or(0), rank });
    Ok(version_field)
}

fn read_changed(reader: &mut Reader, nullable: Nullable, fields: &[RecordField]) -> Result<Option<Vec<u16>>, Refusal> {
    let malformed = |malformed| with_part(malformed, "`changed`");
    if is_null(reader, nullable).map_err(malformed)? {
        return Ok(None);
    }
    let mut positions = Vec::new();
    // Names are mostly in the order of the schema, so the search resumes after the last match.
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
            let unknown = || Refusal::new(codes::UNKNOWN_FIELD, "`changed` names a field that is not in the schema");
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

pub(super) fn is_null(reader: &mut Reader, nullable: Nullable) -> Result<bool, Malformed> {
    Ok(reader.branch(2)? == nullable.null)
}

fn optional(reader: &mut Reader, nullable: Option<Nullable>) -> Result<Option<i64>, Malformed> {
    match nullable {
        Some(nullable) if is_null(reader, nullable)? => Ok(None),
        _ => reader.long().map(Some),
    }
}

pub(super) fn with_part(malformed: Malformed, part: &str) -> Refusal {
    Refusal::new(malformed.code(), format!("{part}: {malformed}"))
}

pub(super) fn require_end(reader: &Reader, part: &str) -> Result<(), Refusal> {
    match reader.left() {
        0 => Ok(()),
        left => {
            Err(Refusal::new(codes::TRAILING_BYTES, format!("the {part} has {left} more bytes than its schema allows")))
        }
    }
}
