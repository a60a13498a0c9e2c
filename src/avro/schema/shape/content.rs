//! The fields of a record: their types, and the plans for reading them.

use std::sync::Arc;

use apache_avro::schema::{Name, RecordField, RecordSchema, Schema};

use crate::avro::{
    refusal::Refusal,
    schema::{
        plan::{Plan, Planned},
        semantic::Semantic,
    },
};

/// A record, with a plan for reading each field.
#[derive(Debug)]
pub(crate) struct Content {
    /// The record without references, with the types after conversion.
    pub(crate) schema: Arc<Schema>,
    /// One per field.
    pub(crate) plans: Vec<Plan>,
    /// The types before conversion, one per field.
    pub(crate) written: Vec<Schema>,
}

impl Content {
    /// Returns the record of a whole key or value, and the branch of null if it is nullable; `None` as for
    /// [`Content::of`].
    pub(super) fn of_whole(schema: &Schema) -> Result<Option<(Option<Nullable>, Self)>, Refusal> {
        let (nullable, record) = match nullable(schema) {
            Some((nullable, record)) => (Some(nullable), record),
            None => (None, schema),
        };
        Ok(Self::of(record)?.map(|content| (nullable, content)))
    }

    /// Returns `None` when the schema is not a record, or a record that is converted to a single value.
    pub(super) fn of(schema: &Schema) -> Result<Option<Self>, Refusal> {
        let Schema::Record(written) = schema else { return Ok(None) };
        if Semantic::of_record(written).is_some() {
            return Ok(None);
        }
        let planned = Planned::columns(written)?;
        let plans = match planned.plan {
            Plan::Record(fields) => fields.into_iter().map(|(_, plan)| plan).collect(),
            _ => written.fields.iter().map(|field| Plan::As(field.schema.clone())).collect(),
        };
        let written = written.fields.iter().map(|field| field.schema.clone()).collect();
        Ok(Some(Self { schema: Arc::new(planned.schema), plans, written }))
    }

    pub(crate) fn fields(&self) -> &[RecordField] {
        fields(&self.schema)
    }
}

/// Returns the fields of a record; empty for any other type.
pub(crate) fn fields(record: &Schema) -> &[RecordField] {
    match record {
        Schema::Record(record) => &record.fields,
        _ => &[],
    }
}

/// Returns a record with one field; its encoding is that of the field.
pub(crate) fn single_field(name: &str, schema: Schema) -> Schema {
    record_of(vec![(name.to_owned(), schema)])
}

/// Returns a record without one of its fields.
pub(crate) fn without_field(record: &Schema, position: usize) -> Schema {
    let mut record = record.clone();
    if let Schema::Record(record) = &mut record {
        record.fields.remove(position);
        record.lookup = record.fields.iter().enumerate().map(|(at, field)| (field.name.clone(), at)).collect();
    }
    record
}

/// Returns a record that is not part of any registered schema.
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

/// The branch of null in a union of null and one other type: 0 or 1.
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
