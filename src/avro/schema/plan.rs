//! Compiles a schema into a plan for reading its values, once per schema instead of once per record.
//!
//! Types without conversion, which includes all types of our own schemas, are read by [`Reader::value`]. A plan
//! descends only to the types that need conversion.

use std::collections::{BTreeMap, HashMap};

use apache_avro::{
    schema::{ArraySchema, MapSchema, RecordField, RecordSchema, Schema, UnionSchema, UnionSchemaBuilder},
    types::Value,
};

use super::semantic::{CONNECT_NAME, Semantic};
use crate::avro::{
    binary::read::{Malformed, Reader, is_nullable},
    codes,
    refusal::Refusal,
};

/// The attribute with the original name of a field whose name Avro does not allow.
pub(crate) const ORIGINAL_NAME: &str = "towpath.name";

/// The steps that read one value.
#[derive(Debug)]
pub(crate) enum Plan {
    /// Without conversion.
    As(Schema),
    /// With the conversion of a semantic type.
    Converted(Semantic),
    /// A union of null and one other type; gives the bare value.
    Nullable {
        null: usize,
        other: Box<Plan>,
    },
    /// Any other union; gives a `Value::Union`.
    OneOf(Vec<Plan>),
    Record(Vec<(String, Plan)>),
    Array(Box<Plan>),
    Map(Box<Plan>),
}

/// A plan, and the schema of the converted values.
#[derive(Debug)]
pub(crate) struct Planned {
    pub(crate) plan: Plan,
    pub(crate) schema: Schema,
    /// True for JSON text, nullable or not.
    json_text: bool,
}

impl Planned {
    /// Plans the reading of a schema without references.
    ///
    /// # Errors
    /// `decode.unusable_schema` for a union that is not valid after conversion.
    pub(crate) fn new(written: &Schema) -> Result<Self, Refusal> {
        match written {
            Schema::Record(record) => match Semantic::of_record(record) {
                Some(semantic) => Ok(Self::converted(semantic)),
                None => Self::record(record),
            },
            Schema::Union(union) => Self::union(union),
            Schema::Array(array) => {
                let items = Self::new(&array.items)?;
                let plan = if let Plan::As(_) = items.plan {
                    Plan::As(written.clone())
                } else {
                    Plan::Array(Box::new(items.plan))
                };
                let schema = ArraySchema { items: Box::new(items.schema), attributes: array.attributes.clone() };
                Ok(Self { plan, schema: Schema::Array(schema), json_text: false })
            }
            Schema::Map(map) => {
                let types = Self::new(&map.types)?;
                let plan = if let Plan::As(_) = types.plan {
                    Plan::As(written.clone())
                } else {
                    Plan::Map(Box::new(types.plan))
                };
                let schema = MapSchema { types: Box::new(types.schema), attributes: map.attributes.clone() };
                Ok(Self { plan, schema: Schema::Map(schema), json_text: false })
            }
            leaf => Ok(Self { plan: Plan::As(leaf.clone()), schema: leaf.clone(), json_text: false }),
        }
    }

    fn converted(semantic: Semantic) -> Self {
        let schema = match semantic {
            Semantic::LocalMillis | Semantic::LocalMicros | Semantic::IsoTimestamp => Schema::LocalTimestampMicros,
            Semantic::ZonedTimestamp => Schema::TimestampMicros,
            Semantic::Days | Semantic::IsoDate => Schema::Date,
            Semantic::IsoTime => Schema::TimeMicros,
            Semantic::Json => Schema::String,
            Semantic::VariableScaleDecimal { .. } | Semantic::Zeros(_) => Schema::BigDecimal,
            Semantic::NanoTime => Schema::Long,
        };
        Self { plan: Plan::Converted(semantic), schema, json_text: semantic == Semantic::Json }
    }

    fn record(record: &RecordSchema) -> Result<Self, Refusal> {
        let mut fields = Vec::with_capacity(record.fields.len());
        let mut plans = Vec::with_capacity(record.fields.len());
        for field in &record.fields {
            let planned = Self::new(&field.schema)?;
            let mut field = RecordField { schema: planned.schema, default: None, ..field.clone() };
            if planned.json_text {
                field.custom_attributes.insert(CONNECT_NAME.to_owned(), towpath_api::json::JSON_TEXT.into());
            }
            if let Some(serde_json::Value::String(name)) = field.custom_attributes.remove(ORIGINAL_NAME) {
                field.name = name;
            }
            plans.push((field.name.clone(), planned.plan));
            fields.push(field);
        }
        let unchanged = plans.iter().all(|(_, plan)| matches!(plan, Plan::As(_)));
        let plan = if unchanged { Plan::As(Schema::Record(record.clone())) } else { Plan::Record(plans) };
        let lookup = fields.iter().enumerate().map(|(position, field)| (field.name.clone(), position));
        let schema = RecordSchema {
            name: record.name.clone(),
            aliases: record.aliases.clone(),
            doc: record.doc.clone(),
            lookup: lookup.collect::<BTreeMap<_, _>>(),
            fields,
            attributes: record.attributes.clone(),
        };
        Ok(Self { plan, schema: Schema::Record(schema), json_text: false })
    }

    fn union(union: &UnionSchema) -> Result<Self, Refusal> {
        let branches = union.variants().iter().map(Self::new).collect::<Result<Vec<_>, _>>()?;
        let nullable = is_nullable(union.variants());
        let json_text = nullable && branches.iter().any(|branch| branch.json_text);
        if branches.iter().all(|branch| matches!(branch.plan, Plan::As(_))) {
            let schema = Self::union_of(branches.into_iter().map(|branch| branch.schema))?;
            return Ok(Self { plan: Plan::As(Schema::Union(union.clone())), schema, json_text });
        }
        let (plans, schemas): (Vec<_>, Vec<_>) =
            branches.into_iter().map(|branch| (branch.plan, branch.schema)).unzip();
        let schema = Self::union_of(schemas.into_iter())?;
        let plan = if nullable {
            let null = union.variants().iter().position(|branch| *branch == Schema::Null).unwrap_or(0);
            let other = plans.into_iter().nth(1 - null).map_or(Plan::As(Schema::Null), |other| other);
            Plan::Nullable { null, other: Box::new(other) }
        } else {
            Plan::OneOf(plans)
        };
        Ok(Self { plan, schema, json_text })
    }

    fn union_of(branches: impl Iterator<Item = Schema>) -> Result<Schema, Refusal> {
        let mut union = UnionSchemaBuilder::new();
        for branch in branches {
            union.variant(branch).map_err(|error| Refusal::new(codes::UNUSABLE_SCHEMA, error.to_string()))?;
        }
        Ok(Schema::Union(union.build()))
    }
}

impl Plan {
    /// Reads one value.
    ///
    /// # Errors
    /// The bytes do not match the schema or its semantic type.
    pub(crate) fn read(&self, reader: &mut Reader) -> Result<Value, Malformed> {
        Ok(match self {
            Self::As(schema) => reader.value(schema)?,
            Self::Converted(semantic) => semantic.read(reader)?,
            Self::Nullable { null, other } => {
                if reader.branch(2)? == *null {
                    Value::Null
                } else {
                    other.read(reader)?
                }
            }
            Self::OneOf(plans) => {
                let branch = reader.branch(plans.len())?;
                reader.count_values(1)?;
                Value::Union(
                    u32::try_from(branch).map_err(|_| Malformed::Branch)?,
                    Box::new(plans[branch].read(reader)?),
                )
            }
            Self::Record(fields) => {
                reader.count_fields(fields.len())?;
                let mut values = Vec::with_capacity(fields.len());
                for (name, plan) in fields {
                    values.push((reader.owned(name)?, plan.read(reader)?));
                }
                Value::Record(values)
            }
            // A converted item takes at least one byte, so the remaining bytes bound the count.
            Self::Array(items) => {
                let mut values = Vec::new();
                loop {
                    let count = reader.block(false)?;
                    if count == 0 {
                        break Value::Array(values);
                    }
                    reader.count_values(count)?;
                    for _ in 0..count {
                        values.push(items.read(reader)?);
                    }
                }
            }
            Self::Map(types) => {
                let mut entries = HashMap::new();
                loop {
                    let count = reader.block(false)?;
                    if count == 0 {
                        break Value::Map(entries);
                    }
                    reader.count_entries(count)?;
                    for _ in 0..count {
                        let key = reader.text()?;
                        let key = reader.owned(key)?;
                        entries.insert(key, types.read(reader)?);
                    }
                }
            }
        })
    }
}
