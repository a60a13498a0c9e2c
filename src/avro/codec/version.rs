//! The version of a record from a field that the configuration names, in place of the envelope's own or the offset.

use apache_avro::types::Value;
use towpath_api::Version;

use crate::avro::{
    codes,
    refusal::Refusal,
    schema::shape::{Content, ValueShape},
};

/// The greatest rank there is.
const RANK_OF_END: i8 = 3;

/// Which field holds the version.
#[derive(Debug, Clone, PartialEq, Eq)]
pub enum VersionField {
    /// A field of the envelope's `source`, such as `lsn`.
    Source(String),
    /// A field of the record.
    Record(String),
}

impl VersionField {
    /// Reads `source.<name>` or `<name>`.
    pub fn parse(text: &str) -> Self {
        match text.strip_prefix("source.") {
            Some(name) => Self::Source(name.to_owned()),
            None => Self::Record(text.to_owned()),
        }
    }
}

/// Where that field lies in values of one schema.
#[derive(Debug, Clone, Copy, PartialEq, Eq)]
pub(super) enum VersionAt {
    /// The position in `source`.
    Source(usize),
    /// The position in the record.
    Record(usize),
    /// The schema has no such field.
    Nowhere,
}

impl VersionAt {
    pub(super) fn find(field: &VersionField, shape: &ValueShape) -> Self {
        let in_record = |content: &Content, name: &str| content.fields().iter().position(|field| field.name == name);
        let found = match (field, shape) {
            (VersionField::Source(name), ValueShape::Envelope(envelope)) => {
                envelope.source().iter().position(|field| field.name == *name).map(Self::Source)
            }
            (VersionField::Record(name), ValueShape::Envelope(envelope)) => {
                in_record(&envelope.after, name).map(Self::Record)
            }
            (VersionField::Record(name), ValueShape::Plain(plain)) => in_record(&plain.content, name).map(Self::Record),
            // Flattened records have the source's fields among their own, under a name of their own.
            (VersionField::Source(_), ValueShape::Plain(_)) | (_, ValueShape::Message) => None,
        };
        found.unwrap_or(Self::Nowhere)
    }
}

/// The version that a value gives. Times become microseconds, whatever their unit; 0 stands for a version that is an
/// offset, so that all are one more than the value.
pub(super) fn version(value: &Value) -> Result<Version, Refusal> {
    let number = match value {
        Value::Int(number) => Some(i64::from(*number)),
        Value::Long(number)
        | Value::TimestampMicros(number)
        | Value::LocalTimestampMicros(number)
        // Nanoseconds are compared as they are.
        | Value::TimestampNanos(number)
        | Value::LocalTimestampNanos(number) => Some(*number),
        Value::TimestampMillis(number) | Value::LocalTimestampMillis(number) => number.checked_mul(1_000),
        Value::Date(days) => Some(i64::from(*days) * 86_400_000_000),
        Value::String(text) => of_text(text),
        Value::Null => return Err(Refusal::new(codes::VERSION_NULL, "the field that holds the version is null")),
        Value::Union(_, inner) => return version(inner),
        _ => return Err(Refusal::new(codes::VERSION_TYPE, "the field that holds the version is no number, date or timestamp")),
    };
    let unusable = || Refusal::new(codes::VERSION_RANGE, "the version is no number from 0 to 2^63 - 2");
    let ts = number.filter(|number| *number >= 0).and_then(|number| number.checked_add(1)).ok_or_else(unusable)?;
    Ok(Version { ts, seq: 0, rank: 0 })
}

/// The version of a delete from that of the row which it ends. The delete comes after its row and before all that is
/// newer, which the rank says. `None` without one: a delete may come without the record before it, or with nothing but
/// its key.
pub(super) fn version_of_end(before: Option<&Value>) -> Result<Option<Version>, Refusal> {
    match before {
        None | Some(Value::Null) => Ok(None),
        Some(before) => Ok(Some(Version { rank: RANK_OF_END, ..version(before)? })),
    }
}

pub(super) fn nowhere() -> Refusal {
    Refusal::new(codes::VERSION_ABSENT, "the schema has no field of the name that `version.field` gives")
}

/// A number in digits, or a position in Postgres' log such as `16/B374D848`.
fn of_text(text: &str) -> Option<i64> {
    match text.split_once('/') {
        None => text.parse().ok(),
        Some((high, low)) => {
            let (high, low) = (u32::from_str_radix(high, 16).ok()?, u32::from_str_radix(low, 16).ok()?);
            i64::try_from(u64::from(high) << 32 | u64::from(low)).ok()
        }
    }
}
