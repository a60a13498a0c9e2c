//! Encodes an event as the bytes of a record.
//!
//! The envelope is written field by field, in the order of `avro/envelope.avsc`.

use std::time::{SystemTime, UNIX_EPOCH};

use apache_avro::Schema;
use towpath_api::{ChangeEvent, Error, ErrorType, Key, KeyType, Object, Op, Result};

use super::framing::frame;
use crate::avro::{
    binary::write::{WriteError, write, write_count, write_long, write_sized},
    codes,
    schema::{envelope::TopicSchemas, shape::fields},
};

/// Key and value of one record, framed.
#[derive(Debug, Clone, PartialEq, Eq)]
pub struct Encoded {
    /// The framing, then the key; never empty.
    pub key: Vec<u8>,
    /// The framing, then the envelope.
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
    /// Creates an encoder for `schemas`, which are registered under `key_id` and `value_id`.
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

    /// Encodes one event. `ts_ms` is the time of encoding.
    ///
    /// # Errors
    /// Poison `encode.misfit` when the event does not match the object's schema; names the field, never a value.
    pub fn encode(&self, event: &ChangeEvent) -> Result<Encoded> {
        let mut key = frame(self.key_id, 48);
        match (&event.key, self.key_type) {
            (Key::Text(id), KeyType::Text) => write_sized(&mut key, id.as_bytes()),
            (Key::Long(id), KeyType::Long) => write_long(&mut key, *id),
            _ => return Err(self.misfit("the type of the key differs from the object's `id`")),
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
                return Err(self.misfit("`after` is missing, which only a delete allows"));
            }
            write_null(out);
            return Ok(());
        };
        let fields = fields(&self.after);
        let same_names =
            fields.len() == after.len() && fields.iter().zip(after).all(|(field, (name, _))| field.name == *name);
        if !same_names {
            return Err(self.misfit(&WriteError::Fields.to_string()));
        }
        write_long(out, 1);
        for (field, (_, value)) in fields.iter().zip(after) {
            let fits = write(out, &field.schema, value);
            fits.map_err(|mismatch| self.misfit(&format!("field `{}`: {mismatch}", field.name)))?;
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
        Error::poison(codes::ENCODE_MISFIT, ErrorType::Serialization, doing)
    }
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
