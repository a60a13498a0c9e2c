//! Recognizes envelopes: ours, and Debezium's, which lacks `changed` and a version.

use apache_avro::schema::{RecordSchema, Schema};

use super::content::{Content, Nullable, nullable};
use crate::avro::refusal::Refusal;

/// An envelope, as one step per field, in the order of the encoding.
#[derive(Debug)]
pub(crate) struct Envelope {
    pub(crate) steps: Vec<Step>,
    /// The record in `after`.
    pub(crate) after: Content,
    /// True for Debezium's envelope, in which placeholders mark unavailable values.
    pub(crate) is_debezium: bool,
}

/// The handling of one field of an envelope.
#[derive(Debug)]
pub(crate) enum Step {
    After(Nullable),
    Source(Vec<SourceField>),
    Op,
    Changed(Nullable),
    Skip(Schema),
}

#[derive(Debug)]
pub(crate) struct SourceField {
    pub(crate) name: String,
    pub(crate) schema: Schema,
    /// The branch of null, if nullable.
    pub(crate) nullable: Option<Nullable>,
    pub(crate) meaning: Meaning,
}

/// The use of a field of `source`.
#[derive(Debug, Clone, Copy, PartialEq, Eq)]
pub(crate) enum Meaning {
    TimeMs,
    VersionTs,
    VersionSeq,
    VersionRank,
    Nothing,
}

impl Envelope {
    /// Returns `None` when the schema is not an envelope, an error when the record in it cannot be read.
    pub(super) fn recognize(schema: &Schema) -> Option<Result<Self, Refusal>> {
        let Schema::Record(record) = schema else { return None };
        let (after_null, after) = nullable(field(record, "after")?)?;
        field(record, "before")?;
        if !matches!(after, Schema::Record(_)) || *field(record, "op")? != Schema::String {
            return None;
        }
        let Schema::Record(source) = field(record, "source")? else { return None };
        let changed = match field(record, "changed") {
            Some(changed) => {
                let (null, names) = nullable(changed)?;
                if !matches!(names, Schema::Array(array) if *array.items == Schema::String) {
                    return None;
                }
                Some(null)
            }
            None => None,
        };
        let is_debezium = changed.is_none();
        let source = source_fields(source, is_debezium)?;
        let content = match Content::of(after) {
            Ok(content) => content?,
            Err(refusal) => return Some(Err(refusal)),
        };
        let mut source = Some(source);
        let steps = record.fields.iter().map(|field| match (field.name.as_str(), changed) {
            ("after", _) => Step::After(after_null),
            ("source", _) => Step::Source(source.take().unwrap_or_default()),
            ("op", _) => Step::Op,
            ("changed", Some(changed)) => Step::Changed(changed),
            _ => Step::Skip(field.schema.clone()),
        });
        Some(Ok(Self { steps: steps.collect(), after: content, is_debezium }))
    }

    pub(crate) fn source(&self) -> &[SourceField] {
        self.steps
            .iter()
            .find_map(|step| if let Step::Source(fields) = step { Some(&**fields) } else { None })
            .unwrap_or_default()
    }
}

/// Returns true for Debezium's form of a logical decoding message: one that an application wrote to the log of the
/// database.
pub(super) fn is_message(schema: &Schema) -> bool {
    let Schema::Record(record) = schema else { return false };
    field(record, "op") == Some(&Schema::String)
        && matches!(field(record, "source"), Some(Schema::Record(_)))
        && field(record, "message").is_some()
        && field(record, "after").is_none()
}

fn field<'a>(record: &'a RecordSchema, name: &str) -> Option<&'a Schema> {
    record.fields.iter().find(|field| field.name == name).map(|field| &field.schema)
}

/// Returns `None` when a field of our envelope that we read has an unexpected type.
fn source_fields(source: &RecordSchema, is_debezium: bool) -> Option<Vec<SourceField>> {
    let meaning = |name: &str, schema: &Schema| {
        let (expected, meaning) = match name {
            "ts_ms" => (Schema::Long, Meaning::TimeMs),
            _ if is_debezium => return Some(Meaning::Nothing),
            "v_ts" => (Schema::Long, Meaning::VersionTs),
            "v_seq" => (Schema::Long, Meaning::VersionSeq),
            "v_rank" => (Schema::Int, Meaning::VersionRank),
            _ => return Some(Meaning::Nothing),
        };
        let number = nullable(schema).map_or(schema, |(_, number)| number);
        if *number == expected { Some(meaning) } else { is_debezium.then_some(Meaning::Nothing) }
    };
    let fields = source.fields.iter().map(|field| {
        let meaning = meaning(&field.name, &field.schema)?;
        let nullable = nullable(&field.schema).map(|(null, _)| null);
        Some(SourceField { name: field.name.clone(), schema: field.schema.clone(), nullable, meaning })
    });
    fields.collect()
}
