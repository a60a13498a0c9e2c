//! The content of a record: its key, and our envelope as a [`Change`].

use std::sync::Arc;

use apache_avro::{schema::RecordField, types::Value};
use towpath_api::{Change, Identity, KeyType, Op, RecordKey, Version};

use super::fields;
use crate::avro::{
    read::{Malformed, Reader},
    shape::{Envelope, KeyShape, Nullable, Refusal, SourceStep, Step},
};

pub(super) fn decode_key(shape: &KeyShape, datum: &[u8]) -> Result<RecordKey, Refusal> {
    let mut reader = Reader::new(datum);
    let identity = match shape.ty {
        KeyType::Text => reader.text().map(|id| Identity::Text(id.to_owned())),
        KeyType::Long => reader.long().map(Identity::Long),
    };
    let identity = identity.map_err(|malformed| in_part(malformed, "the key"))?;
    nothing_left(&reader, "key")?;
    Ok(RecordKey { identity, schema: Arc::clone(&shape.schema) })
}

pub(super) fn decode_envelope(envelope: &Envelope, key: RecordKey, datum: &[u8]) -> Result<Change, Refusal> {
    let mut reader = Reader::new(datum);
    let mut change = Change {
        key: Some(key),
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

fn read_after(reader: &mut Reader, nullable: Nullable, fields: &[RecordField]) -> Result<Option<Vec<Value>>, Refusal> {
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
