//! The type of a field: null, and one or more branches.

use apache_avro::schema::{ArraySchema, RecordField, Schema, SchemaKind, UnionSchema};
use towpath_api::json::is_json_text;

/// The type of a field that may be null.
#[derive(Debug, Clone)]
pub(crate) struct FieldType {
    /// The types of values, beside null, oldest first. More than one after a custom field changed its type.
    branches: Vec<Schema>,
    /// True if the values are JSON texts. They take any value, so that such a field never gets another branch.
    is_json: bool,
}

/// The kind of values of a branch.
#[derive(Debug, Clone, Copy, PartialEq, Eq)]
pub(crate) enum Branch {
    Boolean,
    Long,
    Text,
    /// A text that is JSON.
    Json,
    Number,
    Date,
    Timestamp,
    Texts,
    /// A type that somebody else put into the registry. No value is mapped to it.
    Foreign,
}

impl FieldType {
    /// The type of a field of a schema, with or without null.
    pub(crate) fn of_field(field: &RecordField) -> Self {
        let branches = match &field.schema {
            Schema::Union(union) => {
                union.variants().iter().filter(|branch| !matches!(branch, Schema::Null)).cloned().collect()
            }
            single => vec![single.clone()],
        };
        Self { branches, is_json: is_json_text(field) }
    }

    /// `big-decimal` keeps every number that JSON can write, whatever its scale. A type that is not known here takes
    /// any value, as JSON. `ty` is in Close's words; `multiple` is true if values are lists.
    pub(crate) fn of_type(ty: &str, multiple: bool) -> Self {
        let (branch, is_json) = match (ty, multiple) {
            ("text" | "textarea" | "choices" | "user" | "contact" | "custom_object", false) => (Schema::String, false),
            ("text" | "textarea" | "choices" | "user" | "contact" | "custom_object", true) => {
                let array =
                    ArraySchema { items: Box::new(Schema::String), attributes: std::collections::BTreeMap::new() };
                (Schema::Array(array), false)
            }
            ("number", false) => (Schema::BigDecimal, false),
            ("date", false) => (Schema::Date, false),
            ("datetime", false) => (Schema::TimestampMicros, false),
            _ => (Schema::String, true),
        };
        Self { branches: vec![branch], is_json }
    }

    /// The type that holds the values of both. Branches of `self` stay where they are.
    pub(crate) fn widened(mut self, other: &Self) -> Self {
        if self.is_json {
            return self;
        }
        for branch in &other.branches {
            // Avro has no union of two types with the same encoding. The values that do not fit go into `_extra`.
            if !self.branches.iter().any(|own| encoding(own) == encoding(branch)) {
                self.branches.push(branch.clone());
            }
        }
        self
    }

    pub(crate) fn is_json(&self) -> bool {
        self.is_json
    }

    /// The Avro type: a union, null first.
    pub(crate) fn schema(&self) -> apache_avro::AvroResult<Schema> {
        let branches = std::iter::once(Schema::Null).chain(self.branches.iter().cloned()).collect();
        Ok(Schema::Union(UnionSchema::new(branches)?))
    }

    /// The branches of a field, each with its place in the union; `None` if the field has no union.
    pub(crate) fn branches(field: &RecordField) -> Vec<(Option<u32>, Branch)> {
        let is_json = is_json_text(field);
        match &field.schema {
            Schema::Union(union) => (0..)
                .zip(union.variants())
                .filter(|(_, branch)| !matches!(branch, Schema::Null))
                .map(|(place, branch)| (Some(place), Branch::of(branch, is_json)))
                .collect(),
            single => vec![(None, Branch::of(single, is_json))],
        }
    }
}

impl Branch {
    fn of(schema: &Schema, is_json: bool) -> Self {
        match schema {
            Schema::Boolean => Self::Boolean,
            Schema::Long => Self::Long,
            Schema::String if is_json => Self::Json,
            Schema::String => Self::Text,
            Schema::BigDecimal => Self::Number,
            Schema::Date => Self::Date,
            Schema::TimestampMicros => Self::Timestamp,
            Schema::Array(array) if *array.items == Schema::String => Self::Texts,
            _ => Self::Foreign,
        }
    }
}

/// The type without its logical type, by which Avro finds the branch of a union.
fn encoding(schema: &Schema) -> SchemaKind {
    match schema {
        Schema::Date | Schema::TimeMillis => SchemaKind::Int,
        Schema::TimeMicros
        | Schema::TimestampMillis
        | Schema::TimestampMicros
        | Schema::TimestampNanos
        | Schema::LocalTimestampMillis
        | Schema::LocalTimestampMicros
        | Schema::LocalTimestampNanos => SchemaKind::Long,
        Schema::BigDecimal | Schema::Decimal(_) => SchemaKind::Bytes,
        Schema::Uuid(_) => SchemaKind::String,
        other => SchemaKind::from(other),
    }
}
