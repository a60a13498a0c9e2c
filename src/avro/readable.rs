//! Records of a topic as JSON for people: any Avro schema, not only our envelope.
//!
//! Timestamps, dates, decimals and uuids become the text that a person would write, bytes become hex. The result is for
//! reading; nothing reads it back.

use std::collections::HashMap;

use apache_avro::{Decimal, schema::Schema, types::Value};
use jiff::{SignedDuration, Timestamp, civil};
use serde_json::{Map, Value as Json, json};
use towpath_api::{Reaction, Result};

use super::{inline::inlined, read::Reader, registry::Registry};

/// Decodes keys and values one by one, with the schemas that it has met.
#[derive(Debug)]
pub struct Readable {
    registry: Registry,
    schemas: HashMap<u32, Result<Schema, String>>,
}

/// The bytes of a key or a value, for people.
#[derive(Debug, Clone, PartialEq)]
pub struct Shown {
    /// The decoded datum, or the bytes as text or hex when they cannot be decoded.
    pub json: Json,
    /// The schema's id, when the bytes name one.
    pub schema_id: Option<u32>,
    /// Why the bytes could not be decoded.
    pub problem: Option<String>,
}

impl Readable {
    /// Knows no schema yet.
    pub fn new(registry: Registry) -> Self {
        Self { registry, schemas: HashMap::new() }
    }

    /// Decodes a framed datum. What cannot be decoded is shown as it is, with the reason.
    ///
    /// # Errors
    /// Retry while the registry is away.
    pub async fn show(&mut self, bytes: &[u8]) -> Result<Shown> {
        let Some((&[0, a, b, c, d], datum)) = bytes.split_first_chunk::<5>() else {
            let problem = Some("it does not begin with a schema id".to_owned());
            return Ok(Shown { json: plain(bytes), schema_id: None, problem });
        };
        let id = u32::from_be_bytes([a, b, c, d]);
        let decoded = match self.schema(id).await? {
            Ok(schema) => decode(schema, datum),
            Err(why) => Err(why.clone()),
        };
        Ok(match decoded {
            Ok(json) => Shown { json, schema_id: Some(id), problem: None },
            Err(why) => Shown { json: plain(bytes), schema_id: Some(id), problem: Some(why) },
        })
    }

    async fn schema(&mut self, id: u32) -> Result<&Result<Schema, String>> {
        if !self.schemas.contains_key(&id) {
            let schema = match self.registry.written_schema(id).await {
                Ok(schema) => inlined(&schema).map_err(|error| error.to_string()),
                Err(error) if error.reaction == Reaction::Retry => return Err(error),
                Err(error) => Err(error.chain()),
            };
            self.schemas.insert(id, schema);
        }
        Ok(&self.schemas[&id])
    }
}

fn decode(schema: &Schema, datum: &[u8]) -> Result<Json, String> {
    let mut reader = Reader::new(datum);
    let value = reader.value(schema).map_err(|malformed| malformed.to_string())?;
    match reader.left() {
        0 => Ok(readable(schema, &value)),
        left => Err(format!("it has {left} bytes more than its schema")),
    }
}

/// Bytes that follow no schema: as text where they are text, otherwise as hex.
pub fn plain(bytes: &[u8]) -> Json {
    match std::str::from_utf8(bytes) {
        Ok(text) if !text.contains(|c: char| c.is_control() && !c.is_whitespace()) => text.into(),
        _ => hex(bytes),
    }
}

fn hex(bytes: &[u8]) -> Json {
    use std::fmt::Write as _;
    let mut text = String::from("0x");
    for byte in bytes {
        let _ = write!(text, "{byte:02x}");
    }
    text.into()
}

/// `value` was read by [`Reader::value`] with `schema`, so a union of null and one other type has a bare value.
fn readable(schema: &Schema, value: &Value) -> Json {
    match (schema, value) {
        (Schema::Union(union), Value::Union(branch, value)) => {
            union.variants().get(*branch as usize).map_or(Json::Null, |schema| readable(schema, value))
        }
        (_, Value::Null) => Json::Null,
        (Schema::Union(union), value) => {
            let schema = union.variants().iter().find(|schema| **schema != Schema::Null);
            schema.map_or(Json::Null, |schema| readable(schema, value))
        }
        (Schema::Record(record), Value::Record(fields)) => {
            let field = |(field, (name, value)): (&apache_avro::schema::RecordField, &(String, Value))| {
                (name.clone(), readable(&field.schema, value))
            };
            Json::Object(record.fields.iter().zip(fields).map(field).collect())
        }
        (Schema::Array(array), Value::Array(items)) => items.iter().map(|item| readable(&array.items, item)).collect(),
        (Schema::Map(map), Value::Map(entries)) => {
            let mut sorted: Vec<_> = entries.iter().collect();
            sorted.sort_by_key(|(key, _)| *key);
            let entries: Map<_, _> = sorted.into_iter().map(|(key, value)| (key.clone(), readable(&map.types, value))).collect();
            Json::Object(entries)
        }
        (Schema::Decimal(schema), Value::Decimal(decimal)) => {
            decimal_text(decimal, schema.scale).map_or(Json::Null, Json::String)
        }
        (_, value) => scalar(value),
    }
}

fn scalar(value: &Value) -> Json {
    match value {
        Value::Boolean(value) => json!(value),
        Value::Int(number) => json!(number),
        Value::Long(number) => json!(number),
        // JSON has no word for what is no number.
        Value::Float(number) if !number.is_finite() => number.to_string().into(),
        Value::Double(number) if !number.is_finite() => number.to_string().into(),
        Value::Float(number) => json!(number),
        Value::Double(number) => json!(number),
        Value::String(text) | Value::Enum(_, text) => json!(text),
        Value::Bytes(bytes) | Value::Fixed(_, bytes) => hex(bytes),
        Value::Uuid(uuid) => uuid.to_string().into(),
        Value::BigDecimal(decimal) => decimal.to_string().into(),
        Value::Date(days) => date(*days).unwrap_or_else(|| json!(days)),
        Value::TimeMillis(millis) => time(SignedDuration::from_millis((*millis).into())).unwrap_or_else(|| json!(millis)),
        Value::TimeMicros(micros) => time(SignedDuration::from_micros(*micros)).unwrap_or_else(|| json!(micros)),
        Value::TimestampMillis(number) => instant(Timestamp::from_millisecond(*number), *number),
        Value::TimestampMicros(number) => instant(Timestamp::from_microsecond(*number), *number),
        Value::TimestampNanos(number) => instant(Timestamp::from_nanosecond((*number).into()), *number),
        Value::LocalTimestampMillis(number) => local(Timestamp::from_millisecond(*number), *number),
        Value::LocalTimestampMicros(number) => local(Timestamp::from_microsecond(*number), *number),
        Value::LocalTimestampNanos(number) => local(Timestamp::from_nanosecond((*number).into()), *number),
        Value::Duration(duration) => json!({
            "months": u32::from(duration.months()),
            "days": u32::from(duration.days()),
            "millis": u32::from(duration.millis()),
        }),
        // A value that does not fit its schema; the reader makes none.
        _ => Json::Null,
    }
}

/// An instant in UTC; the bare number where the calendar ends.
fn instant(time: Result<Timestamp, jiff::Error>, number: i64) -> Json {
    time.map_or_else(|_| json!(number), |time| time.to_string().into())
}

/// The time on a clock of no zone.
fn local(time: Result<Timestamp, jiff::Error>, number: i64) -> Json {
    let on_the_clock = |time: Timestamp| time.to_zoned(jiff::tz::TimeZone::UTC).datetime().to_string().into();
    time.map_or_else(|_| json!(number), on_the_clock)
}

fn date(days: i32) -> Option<Json> {
    let day = civil::date(1970, 1, 1).checked_add(SignedDuration::from_hours(i64::from(days) * 24));
    day.ok().map(|day| day.to_string().into())
}

fn time(since_midnight: SignedDuration) -> Option<Json> {
    civil::Time::midnight().checked_add(since_midnight).ok().map(|time| time.to_string().into())
}

/// `-12.50` for the unscaled number -1250 and scale 2; exact at any length.
fn decimal_text(decimal: &Decimal, scale: usize) -> Option<String> {
    let bytes = Vec::<u8>::try_from(decimal).ok()?;
    let negative = bytes.first().is_some_and(|byte| byte & 0x80 != 0);
    let mut digits = magnitude(bytes, negative);
    if digits.len() <= scale {
        let zeros = "0".repeat(scale + 1 - digits.len());
        digits.insert_str(0, &zeros);
    }
    if scale > 0 {
        digits.insert(digits.len() - scale, '.');
    }
    Some(if negative { format!("-{digits}") } else { digits })
}

/// The digits of a big-endian number in two's complement, without its sign.
fn magnitude(mut bytes: Vec<u8>, negative: bool) -> String {
    if negative {
        let mut carry = true;
        for byte in bytes.iter_mut().rev() {
            (*byte, carry) = (!*byte).overflowing_add(u8::from(carry));
        }
    }
    // Schoolbook division by ten. The numbers are short and only people wait for it.
    let mut digits = Vec::new();
    while bytes.iter().any(|byte| *byte != 0) {
        let mut rest = 0_u16;
        for byte in &mut bytes {
            let part = rest * 256 + u16::from(*byte);
            *byte = u8::try_from(part / 10).unwrap_or(u8::MAX);
            rest = part % 10;
        }
        digits.push(char::from_digit(rest.into(), 10).unwrap_or('0'));
    }
    if digits.is_empty() {
        digits.push('0');
    }
    digits.iter().rev().collect()
}

#[cfg(test)]
mod tests {
    use super::*;

    fn shown(schema: &str, value: Value) -> Json {
        let schema = Schema::parse_str(schema).unwrap();
        let datum =
            apache_avro::writer::datum::GenericDatumWriter::builder(&schema).build().unwrap().write_value_to_vec(value).unwrap();
        decode(&inlined(&schema).unwrap(), &datum).unwrap()
    }

    #[test]
    fn times_read_as_a_person_writes_them() {
        let logical = |base: &str, kind: &str| format!(r#"{{"type":"{base}","logicalType":"{kind}"}}"#);
        for (base, kind, value, expected) in [
            ("long", "timestamp-millis", Value::TimestampMillis(1_795_536_123_450), "2026-11-24T16:02:03.45Z"),
            ("long", "timestamp-micros", Value::TimestampMicros(-1), "1969-12-31T23:59:59.999999Z"),
            ("long", "local-timestamp-millis", Value::LocalTimestampMillis(0), "1970-01-01T00:00:00"),
            ("int", "date", Value::Date(-1), "1969-12-31"),
            ("int", "date", Value::Date(20_781), "2026-11-24"),
            ("int", "time-millis", Value::TimeMillis(56_700_001), "15:45:00.001"),
        ] {
            assert_eq!(shown(&logical(base, kind), value), json!(expected), "{kind}");
        }
    }

    #[test]
    fn a_decimal_keeps_its_scale_at_any_length() {
        let text = |bytes: &[u8], scale| decimal_text(&Decimal::from(bytes), scale).unwrap();
        assert_eq!(text(&[0x04, 0xe2], 2), "12.50");
        assert_eq!(text(&[0xfb, 0x1e], 2), "-12.50");
        assert_eq!(text(&[0xff], 3), "-0.001");
        assert_eq!(text(&[0], 2), "0.00");
        assert_eq!(text(&[0x80, 0x00], 0), "-32768");
        assert_eq!(text(&[0x7f; 20], 0), "727885129180488904360266563744972327436484050815");
    }

    #[test]
    fn unions_are_shown_without_their_branch_and_records_in_their_order() {
        let schema = r#"{"type":"record","name":"r","fields":[
            {"name":"z","type":["null","long"]},
            {"name":"a","type":["null",{"type":"bytes","logicalType":"decimal","precision":9,"scale":2}]},
            {"name":"u","type":["string","long","boolean"]}]}"#;
        let value = Value::Record(vec![
            ("z".into(), Value::Union(0, Box::new(Value::Null))),
            ("a".into(), Value::Union(1, Box::new(Value::Decimal(Decimal::from(vec![0x04, 0xe2]))))),
            ("u".into(), Value::Union(1, Box::new(Value::Long(7)))),
        ]);
        assert_eq!(shown(schema, value).to_string(), r#"{"z":null,"a":"12.50","u":7}"#);
    }

    #[test]
    fn bytes_without_a_schema_are_shown_as_text_or_hex() {
        assert_eq!(plain(b"hello"), json!("hello"));
        assert_eq!(plain(&[0, 0xff]), json!("0x00ff"));
    }

    #[tokio::test]
    async fn bytes_that_cannot_be_decoded_say_why() {
        let registry = Registry::new("http://127.0.0.1:1", &prometheus::Registry::new()).unwrap();
        let mut readable = Readable::new(registry);
        let shown = readable.show(b"plain text").await.unwrap();
        assert_eq!((shown.json, shown.schema_id), (json!("plain text"), None));
        assert_eq!(shown.problem.as_deref(), Some("it does not begin with a schema id"));
        assert!(readable.show(&[0, 0, 0, 0, 1, 2]).await.is_err(), "the registry is away");
    }
}
