//! The version of a record from a configured field, instead of the version in the envelope or the offset.
//!
//! If the field is one of the record, a delete has no version, and its offset orders it after its row. The record
//! before the delete does not have the version reliably: with the default replica identity of Postgres it has only the
//! key, and Debezium sets every other NOT NULL column to its default.

use apache_avro::types::Value;
use towpath_api::{RecordOp, Version};

use crate::avro::{
    codes,
    refusal::Refusal,
    schema::shape::{Content, ValueShape},
};

/// The field with the version of a record.
#[derive(Debug, Clone, PartialEq, Eq)]
pub enum VersionField {
    /// A field of the envelope's `source`, such as `lsn`.
    Source(String),
    /// A field of the record.
    Record(String),
}

impl VersionField {
    /// Parses `source.<name>` or `<name>`.
    pub fn parse(text: &str) -> Self {
        match text.strip_prefix("source.") {
            Some(name) => Self::Source(name.to_owned()),
            None => Self::Record(text.to_owned()),
        }
    }
}

/// The location of the version field in values of one schema.
#[derive(Debug, Clone, Copy, PartialEq, Eq)]
pub(super) enum VersionAt {
    /// The position in `source`.
    Source(usize),
    /// The position in the record.
    Record(usize),
    /// The schema lacks the field.
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
            // Flattened records have the fields of `source` among their fields, under other names.
            (VersionField::Source(_), ValueShape::Plain(_)) | (_, ValueShape::Message) => None,
        };
        found.unwrap_or(Self::Nowhere)
    }
}

/// Converts a value to a version. Times become microseconds. The version is the value plus one, since 0 means that the
/// offset is the version.
pub(super) fn version(value: &Value) -> Result<Version, Refusal> {
    let number = match value {
        Value::Int(number) => Some(i64::from(*number)),
        Value::Long(number) | Value::TimestampMicros(number) | Value::LocalTimestampMicros(number) => Some(*number),
        Value::TimestampNanos(number) | Value::LocalTimestampNanos(number) => Some(number.div_euclid(1_000)),
        Value::TimestampMillis(number) | Value::LocalTimestampMillis(number) => number.checked_mul(1_000),
        Value::Date(days) => i64::from(*days).checked_mul(86_400_000_000),
        Value::String(text) => of_text(text),
        Value::Null => return Err(Refusal::new(codes::VERSION_NULL, "the version field is null")),
        Value::Union(_, inner) => return version(inner),
        _ => return Err(Refusal::new(codes::VERSION_TYPE, "the version field is not a number, date or timestamp")),
    };
    let unusable = || Refusal::new(codes::VERSION_RANGE, "the version is not a number from 0 to 2^63 - 2");
    let ts = number.filter(|number| *number >= 0).and_then(|number| number.checked_add(1)).ok_or_else(unusable)?;
    Ok(Version { ts, seq: 0, rank: 0 })
}

/// The version in a field of `source`. A snapshot that runs beside the stream has none in it (Debezium's incremental
/// snapshots write a null `lsn`): such a record has the place of its partition's order, as Debezium intends.
pub(super) fn of_source(value: &Value, op: RecordOp) -> Result<Option<Version>, Refusal> {
    match value {
        Value::Null if op == RecordOp::Read => Ok(None),
        Value::Union(_, inner) => of_source(inner, op),
        value => version(value).map(Some),
    }
}

pub(super) fn version_absent() -> Refusal {
    Refusal::new(codes::VERSION_ABSENT, "the schema lacks the field that `version.field` names")
}

/// Parses digits, or a position in the Postgres log such as `16/B374D848`.
fn of_text(text: &str) -> Option<i64> {
    match text.split_once('/') {
        None => text.parse().ok(),
        Some((high, low)) => {
            let (high, low) = (u32::from_str_radix(high, 16).ok()?, u32::from_str_radix(low, 16).ok()?);
            i64::try_from(u64::from(high) << 32 | u64::from(low)).ok()
        }
    }
}

#[cfg(test)]
mod tests {
    use super::*;

    #[test]
    fn a_date_whose_microseconds_overflow_is_no_version() {
        assert_eq!(version(&Value::Date(1)).map(|version| version.ts), Ok(86_400_000_001));
        for days in [i32::MAX, i32::MIN, 106_751_992, -1] {
            let refused = version(&Value::Date(days)).map_err(|refusal| refusal.code);
            assert_eq!(refused, Err(codes::VERSION_RANGE), "{days}");
        }
    }
}
