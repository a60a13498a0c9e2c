//! What a schema of the registry means to us: a key, and a value that is an envelope, a plain record or a bare value.
//!
//! Decided once for each schema, so that decoding a record asks nothing again. Envelopes are told by their fields, not
//! by their names: another tool may have written them.

mod envelope;
mod key;

use std::sync::Arc;

use apache_avro::schema::{Name, RecordField, RecordSchema, Schema, UnionSchema};
use towpath_api::Body;

pub(crate) use self::{
    envelope::{Envelope, Meaning, SourceField, Step},
    key::{KeyParts, KeyShape},
};
use super::{
    inline::inlined,
    plan::{Plan, Planned},
    semantic::Semantic,
};

/// Why records of a schema cannot be decoded; becomes [`Body::Undecodable`].
#[derive(Debug, Clone, PartialEq, Eq)]
pub struct Refusal {
    /// The code, `decode.reason`.
    pub code: &'static str,
    /// The reason, without any payload.
    pub reason: String,
}

impl Refusal {
    pub(crate) fn new(code: &'static str, reason: impl Into<String>) -> Self {
        Self { code, reason: reason.into() }
    }

    /// For a key, or a part of one, that is null.
    pub(crate) fn key_null(what: &str) -> Self {
        Self::new("decode.key_null", format!("{what} is null, so it names no record"))
    }

    /// For an envelope whose `op` has no meaning.
    pub(crate) fn unknown_op() -> Self {
        Self::new("decode.unknown_op", "`op` is none of c, u, d, r, t and m")
    }

    /// For an envelope that changes a record and does not say to what.
    pub(crate) fn no_after() -> Self {
        Self::new("decode.no_after", "a change that is no delete has no `after`")
    }
}

impl From<Refusal> for Body {
    fn from(refusal: Refusal) -> Self {
        Self::Undecodable { code: refusal.code, reason: refusal.reason }
    }
}

/// A schema of the registry, made ready for decoding.
#[derive(Debug)]
pub(crate) struct Prepared {
    /// What it means in a key.
    pub(crate) key: Result<KeyShape, Refusal>,
    /// What it means in a value.
    pub(crate) value: Result<ValueShape, Refusal>,
}

impl Prepared {
    /// Looks at `schema` from both sides. Never fails: what cannot be used says so for each record.
    pub(crate) fn new(schema: &Schema) -> Self {
        match inlined(schema) {
            Ok(schema) => Self { key: KeyShape::recognise(&schema), value: ValueShape::recognise(&schema) },
            Err(error) => {
                let refusal = Refusal::new("decode.unusable_schema", error.to_string());
                Self { key: Err(refusal.clone()), value: Err(refusal) }
            }
        }
    }
}

/// A shape of value that we can decode.
#[derive(Debug)]
pub(crate) enum ValueShape {
    /// An envelope around the record before and after a change.
    Envelope(Envelope),
    /// A message that Debezium has passed on and that changes no row.
    Message,
    /// The record itself.
    Plain(Plain),
}

impl ValueShape {
    fn recognise(schema: &Schema) -> Result<Self, Refusal> {
        if let Some(envelope) = Envelope::recognise(schema) {
            return envelope.map(Self::Envelope);
        }
        if envelope::is_message(schema) {
            return Ok(Self::Message);
        }
        Plain::recognise(schema).map(Self::Plain)
    }
}

/// A value that is the record after the change.
#[derive(Debug)]
pub(crate) struct Plain {
    /// Where null lies when the whole record may be null, which is a tombstone.
    pub(crate) nullable: Option<Nullable>,
    pub(crate) content: Content,
}

impl Plain {
    fn recognise(schema: &Schema) -> Result<Self, Refusal> {
        let (nullable, content) = match Content::of_whole(schema)? {
            Some(found) => found,
            None if *schema == Schema::Null => {
                return Err(Refusal::new("decode.unusable_schema", "the value is always null"));
            }
            None => {
                let content = Content::of(&single_field("value", schema.clone()))?;
                (None, content.ok_or_else(|| Refusal::new("decode.unusable_schema", ""))?)
            }
        };
        Ok(Self { nullable, content })
    }
}

/// A record, and how to read each of its fields.
#[derive(Debug)]
pub(crate) struct Content {
    /// The record without references, with the types that its values have once they are read.
    pub(crate) schema: Arc<Schema>,
    /// One for each field.
    pub(crate) plans: Vec<Plan>,
    /// The types as they are written, one for each field.
    pub(crate) written: Vec<Schema>,
}

impl Content {
    /// The record that a key or value is, and where its null lies if it may be null; `None` as for [`Content::of`].
    fn of_whole(schema: &Schema) -> Result<Option<(Option<Nullable>, Self)>, Refusal> {
        let (nullable, record) = match nullable(schema) {
            Some((nullable, record)) => (Some(nullable), record),
            None => (None, schema),
        };
        Ok(Self::of(record)?.map(|content| (nullable, content)))
    }

    /// `None` when the schema is no record, or one that stands for a value.
    fn of(schema: &Schema) -> Result<Option<Self>, Refusal> {
        let Schema::Record(written) = schema else { return Ok(None) };
        let written = with_columns_refused(written);
        let planned = Planned::new(&Schema::Record(written.clone()))?;
        if !matches!(planned.schema, Schema::Record(_)) {
            return Ok(None);
        }
        let plans = match planned.plan {
            Plan::Record(fields) => fields.into_iter().map(|(_, plan)| plan).collect(),
            _ => written.fields.iter().map(|field| Plan::As(field.schema.clone())).collect(),
        };
        let written = written.fields.into_iter().map(|field| field.schema).collect();
        Ok(Some(Self { schema: Arc::new(planned.schema), plans, written }))
    }

    pub(crate) fn fields(&self) -> &[RecordField] {
        match &*self.schema {
            Schema::Record(record) => &record.fields,
            _ => &[],
        }
    }
}

/// The record with a type for times of a day in nanoseconds that no column takes, where they would be columns. Avro
/// itself has none.
fn with_columns_refused(record: &RecordSchema) -> RecordSchema {
    let mut record = record.clone();
    for field in &mut record.fields {
        let is_refused =
            |ty: &Schema| matches!(ty, Schema::Record(ty) if Semantic::of_record(ty) == Some(Semantic::NanoTime));
        let nanos = Schema::LocalTimestampNanos;
        match nullable(&field.schema) {
            Some((at, ty)) if is_refused(ty) => {
                let branches = if at.null == 0 { vec![Schema::Null, nanos] } else { vec![nanos, Schema::Null] };
                field.schema = UnionSchema::new(branches).map_or(Schema::LocalTimestampNanos, Schema::Union);
            }
            None if is_refused(&field.schema) => field.schema = nanos,
            _ => {}
        }
    }
    record
}

/// A record of one field; its bytes are those of the field.
pub(crate) fn single_field(name: &str, schema: Schema) -> Schema {
    record_of(vec![(name.to_owned(), schema)])
}

/// A record of fields that are no part of a written schema.
pub(crate) fn record_of(fields: Vec<(String, Schema)>) -> Schema {
    let lookup = fields.iter().enumerate().map(|(position, (name, _))| (name.clone(), position)).collect();
    let field = |(name, schema)| RecordField {
        name,
        doc: None,
        aliases: Vec::new(),
        default: None,
        schema,
        custom_attributes: std::collections::BTreeMap::new(),
    };
    Schema::Record(RecordSchema {
        name: Name::new("record").expect("the name is valid"),
        aliases: None,
        doc: None,
        fields: fields.into_iter().map(field).collect(),
        lookup,
        attributes: std::collections::BTreeMap::new(),
    })
}

/// Where the null lies in a union of null and one other type.
#[derive(Debug, Clone, Copy, PartialEq, Eq)]
pub(crate) struct Nullable {
    pub(crate) null: usize,
}

pub(crate) fn nullable(schema: &Schema) -> Option<(Nullable, &Schema)> {
    let Schema::Union(union) = schema else { return None };
    match union.variants() {
        [Schema::Null, other] => Some((Nullable { null: 0 }, other)),
        [other, Schema::Null] => Some((Nullable { null: 1 }, other)),
        _ => None,
    }
}
