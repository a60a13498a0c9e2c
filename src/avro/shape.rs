//! What a schema of the registry means to us: a key, a value envelope, or neither.
//!
//! Decided once for each schema, so that decoding a record asks nothing again. Our envelope is told by its fields, not by
//! its name: another tool may have written it. **Other shapes (Debezium's own envelopes, plain records) are to be added
//! in [`ValueShape::recognise`].**

use std::sync::Arc;

use apache_avro::schema::{RecordSchema, Schema};
use towpath_api::{Body, KeyType};

use super::inline::inlined;

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
            Ok(schema) => Self { key: recognise_key(&schema), value: ValueShape::recognise(&schema) },
            Err(error) => {
                let refusal = Refusal::new("decode.unusable_schema", error.to_string());
                Self { key: Err(refusal.clone()), value: Err(refusal) }
            }
        }
    }
}

/// A shape of key that we can decode.
#[derive(Debug)]
pub(crate) struct KeyShape {
    pub(crate) ty: KeyType,
    /// The record that the key is, without references.
    pub(crate) schema: Arc<Schema>,
}

/// A shape of value that we can decode.
#[derive(Debug)]
pub(crate) enum ValueShape {
    /// Our envelope.
    Envelope(Envelope),
}

impl ValueShape {
    fn recognise(schema: &Schema) -> Result<Self, Refusal> {
        if let Some(envelope) = Envelope::recognise(schema) {
            return Ok(Self::Envelope(envelope));
        }
        Err(Refusal::new("decode.not_an_envelope", "the value is no envelope with before, after, source, op and changed"))
    }
}

/// Our envelope: what to do with each field, in the order in which they lie in the bytes.
#[derive(Debug)]
pub(crate) struct Envelope {
    pub(crate) steps: Vec<Step>,
    /// The record in `after`, without references.
    pub(crate) after: Arc<Schema>,
}

/// What to do with one field of an envelope.
#[derive(Debug)]
pub(crate) enum Step {
    After(Nullable),
    Source(Vec<SourceStep>),
    Op,
    Changed(Nullable),
    Skip(Schema),
}

/// What to do with one field of `source`.
#[derive(Debug)]
pub(crate) enum SourceStep {
    TimeMs(Nullable),
    VersionTs(Nullable),
    VersionSeq(Nullable),
    VersionRank(Nullable),
    Skip(Schema),
}

/// Where the null lies in a union of null and one other type.
#[derive(Debug, Clone, Copy, PartialEq, Eq)]
pub(crate) struct Nullable {
    pub(crate) null: usize,
}

impl Envelope {
    fn recognise(schema: &Schema) -> Option<Self> {
        let Schema::Record(record) = schema else { return None };
        let field = |name: &str| record.fields.iter().find(|field| field.name == name).map(|field| &field.schema);
        field("before")?;
        let (_, after) = nullable(field("after")?)?;
        if !matches!(after, Schema::Record(_)) {
            return None;
        }
        let (after_null, _) = nullable(field("after")?)?;
        let Schema::Record(source) = field("source")? else { return None };
        let (changed, names) = nullable(field("changed")?)?;
        if !matches!(names, Schema::Array(array) if *array.items == Schema::String) || *field("op")? != Schema::String {
            return None;
        }
        let source = source_steps(source)?;
        let mut source = Some(source);
        let steps = record.fields.iter().map(|field| match field.name.as_str() {
            "after" => Step::After(after_null),
            "source" => Step::Source(source.take().unwrap_or_default()),
            "op" => Step::Op,
            "changed" => Step::Changed(changed),
            _ => Step::Skip(field.schema.clone()),
        });
        Some(Self { steps: steps.collect(), after: Arc::new(after.clone()) })
    }
}

/// `None` when a field that we read has another type than ours.
fn source_steps(source: &RecordSchema) -> Option<Vec<SourceStep>> {
    let numbers = |schema: &Schema, expected: &Schema| match nullable(schema) {
        Some((null, number)) if number == expected => Some(null),
        _ => None,
    };
    let step = |name: &str, schema: &Schema| {
        Some(match name {
            "ts_ms" => SourceStep::TimeMs(numbers(schema, &Schema::Long)?),
            "v_ts" => SourceStep::VersionTs(numbers(schema, &Schema::Long)?),
            "v_seq" => SourceStep::VersionSeq(numbers(schema, &Schema::Long)?),
            "v_rank" => SourceStep::VersionRank(numbers(schema, &Schema::Int)?),
            _ => SourceStep::Skip(schema.clone()),
        })
    };
    source.fields.iter().map(|field| step(&field.name, &field.schema)).collect()
}

fn nullable(schema: &Schema) -> Option<(Nullable, &Schema)> {
    let Schema::Union(union) = schema else { return None };
    match union.variants() {
        [Schema::Null, other] => Some((Nullable { null: 0 }, other)),
        [other, Schema::Null] => Some((Nullable { null: 1 }, other)),
        _ => None,
    }
}

fn recognise_key(schema: &Schema) -> Result<KeyShape, Refusal> {
    let refused = |reason: &str| Err(Refusal::new("decode.key_type", reason));
    let Schema::Record(record) = schema else { return refused("the key is no record with an `id`") };
    let ty = match record.fields.as_slice() {
        [id] if id.name == "id" => match id.schema {
            Schema::String => KeyType::Text,
            Schema::Long => KeyType::Long,
            _ => return refused("the key's `id` is neither string nor long"),
        },
        _ => return refused("the key has other fields than `id`"),
    };
    Ok(KeyShape { ty, schema: Arc::new(schema.clone()) })
}
