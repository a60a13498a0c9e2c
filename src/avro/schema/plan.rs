//! Compiles a schema into a plan for reading its values, once per schema instead of once per record.
//!
//! Types without conversion, which includes all types of our own schemas, are read by [`Reader::value`]. A plan
//! descends only to the types that need conversion.

use std::collections::{BTreeMap, HashMap};

use apache_avro::{
    schema::{ArraySchema, MapSchema, RecordField, RecordSchema, Schema, UnionSchema, UnionSchemaBuilder},
    types::Value,
};
use serde_json::Value as Json;
use towpath_api::json::DEFAULT;

use super::{
    semantic::{CONNECT_NAME, Semantic},
    tree,
};
use crate::avro::{
    binary::read::{Malformed, Reader, is_nullable},
    codes,
    refusal::Refusal,
};

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
    /// As the text of its JSON, for a type that contains itself; gives null for the JSON null.
    Tree(Schema),
}

/// A plan, and the schema of the converted values.
#[derive(Debug)]
pub(crate) struct Planned {
    pub(crate) plan: Plan,
    pub(crate) schema: Schema,
    /// The semantic name that a field of this type keeps, nullable or not.
    kept_name: Option<&'static str>,
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
                None => Self::record(record, Self::new),
            },
            Schema::Union(union) => Self::union(union, Self::new),
            Schema::Array(array) => {
                let items = Self::new(&array.items)?;
                let plan = if let Plan::As(_) = items.plan {
                    Plan::As(written.clone())
                } else {
                    Plan::Array(Box::new(items.plan))
                };
                let schema = ArraySchema { items: Box::new(items.schema), attributes: array.attributes.clone() };
                Ok(Self { plan, schema: Schema::Array(schema), kept_name: None })
            }
            Schema::Map(map) => {
                let types = Self::new(&map.types)?;
                let plan = if let Plan::As(_) = types.plan {
                    Plan::As(written.clone())
                } else {
                    Plan::Map(Box::new(types.plan))
                };
                let schema = MapSchema { types: Box::new(types.schema), attributes: map.attributes.clone() };
                Ok(Self { plan, schema: Schema::Map(schema), kept_name: None })
            }
            leaf => Ok(Self { plan: Plan::As(leaf.clone()), schema: leaf.clone(), kept_name: None }),
        }
    }

    /// Plans the reading of a record whose fields become columns. A column has one type: times in nanoseconds become
    /// microseconds, and the values of a type that contains itself become JSON.
    ///
    /// # Errors
    /// As for [`Planned::new`].
    pub(crate) fn columns(record: &RecordSchema) -> Result<Self, Refusal> {
        Self::record(record, Self::column)
    }

    fn column(written: &Schema) -> Result<Self, Refusal> {
        match written {
            _ if tree::is_recursive(written) => {
                let nullable = matches!(written, Schema::Union(union) if union.variants().contains(&Schema::Null));
                let schema =
                    if nullable { Self::union_of([Schema::Null, Schema::String].into_iter())? } else { Schema::String };
                Ok(Self { plan: Plan::Tree(written.clone()), schema, kept_name: Some(towpath_api::json::JSON_TEXT) })
            }
            Schema::TimestampNanos => Ok(Self::converted(Semantic::Nanos)),
            Schema::LocalTimestampNanos => Ok(Self::converted(Semantic::LocalNanos)),
            Schema::Record(record) if Semantic::of_record(record) == Some(Semantic::NanoTime) => {
                Ok(Self::converted(Semantic::NanosOfDay))
            }
            Schema::Union(union) if is_nullable(union.variants()) => Self::union(union, Self::column),
            _ => Self::new(written),
        }
    }

    fn converted(semantic: Semantic) -> Self {
        Self { plan: Plan::Converted(semantic), schema: semantic.schema(), kept_name: semantic.kept_name() }
    }

    fn record(record: &RecordSchema, of_field: impl Fn(&Schema) -> Result<Self, Refusal>) -> Result<Self, Refusal> {
        let mut fields = Vec::with_capacity(record.fields.len());
        let mut plans = Vec::with_capacity(record.fields.len());
        for field in &record.fields {
            let planned = of_field(&field.schema)?;
            let default = default_of(field, &planned);
            let mut field = RecordField { schema: planned.schema, default: None, ..field.clone() };
            field.custom_attributes.remove(DEFAULT);
            if let Some(default) = default {
                field.custom_attributes.insert(DEFAULT.to_owned(), default);
            }
            if let Some(name) = planned.kept_name {
                field.custom_attributes.insert(CONNECT_NAME.to_owned(), name.into());
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
        Ok(Self { plan, schema: Schema::Record(schema), kept_name: None })
    }

    fn union(union: &UnionSchema, of_branch: impl Fn(&Schema) -> Result<Self, Refusal>) -> Result<Self, Refusal> {
        let branches = union.variants().iter().map(of_branch).collect::<Result<Vec<_>, _>>()?;
        let nullable = is_nullable(union.variants());
        let kept_name = branches.iter().find_map(|branch| branch.kept_name).filter(|_| nullable);
        if branches.iter().all(|branch| matches!(branch.plan, Plan::As(_))) {
            let schema = Self::union_of(branches.into_iter().map(|branch| branch.schema))?;
            return Ok(Self { plan: Plan::As(Schema::Union(union.clone())), schema, kept_name });
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
        Ok(Self { plan, schema, kept_name })
    }

    fn union_of(branches: impl Iterator<Item = Schema>) -> Result<Schema, Refusal> {
        let mut union = UnionSchemaBuilder::new();
        for branch in branches {
            union.variant(branch).map_err(|error| Refusal::new(codes::UNUSABLE_SCHEMA, error.to_string()))?;
        }
        Ok(Schema::Union(union.build()))
    }
}

/// The default of a field, as [`DEFAULT`] has it; `None` for null, and for types whose defaults nobody reads.
fn default_of(field: &RecordField, planned: &Planned) -> Option<Json> {
    let default =
        field.custom_attributes.get(DEFAULT).or(field.default.as_ref()).filter(|default| !default.is_null())?;
    let plan = match &planned.plan {
        Plan::Nullable { other, .. } => other,
        plan => plan,
    };
    let schema = match &planned.schema {
        Schema::Union(union) => union.variants().iter().find(|branch| **branch != Schema::Null)?,
        schema => schema,
    };
    match (plan, schema, default) {
        (Plan::Converted(Semantic::Nanos | Semantic::LocalNanos | Semantic::NanosOfDay), _, nanos) => {
            let nanos = nanos.as_i64().filter(|nanos| nanos % 1_000 == 0)?;
            Some((nanos / 1_000).into())
        }
        (Plan::Converted(Semantic::LocalMillis | Semantic::Millis), _, millis) => {
            Some(millis.as_i64()?.checked_mul(1_000)?.into())
        }
        (Plan::Converted(Semantic::VariableScaleDecimal { .. } | Semantic::Zeros(_)), ..) => None,
        (_, Schema::Decimal(ty), Json::String(bytes)) => {
            let bytes: Vec<u8> = bytes.chars().map(|byte| u8::try_from(byte).ok()).collect::<Option<_>>()?;
            let unscaled = num_bigint::BigInt::from_signed_bytes_be(&bytes);
            Some(apache_avro::BigDecimal::new(unscaled, i64::try_from(ty.scale).ok()?).to_string().into())
        }
        _ => Some(default.clone()),
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
            Self::Tree(schema) => match tree::json(reader, schema)? {
                serde_json::Value::Null => Value::Null,
                json => Value::String(json.to_string()),
            },
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
