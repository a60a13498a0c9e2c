//! Random schemas and values.

use std::collections::HashMap;

use apache_avro::{
    BigDecimal, Days, Decimal, Duration, Millis, Months, Schema, Uuid,
    schema::{InnerDecimalSchema, RecordField},
    types::Value,
};
use proptest::{collection::vec, prelude::*, sample::subsequence};
use serde_json::{Value as Json, json};

use crate::avro::binary::read::is_nullable;

/// A schema of any type, some levels deep, with unique type names.
pub(crate) fn schemas() -> impl Strategy<Value = Schema> {
    types().prop_map(|mut json| {
        name_types(&mut json, &mut 0);
        Schema::parse(&json).unwrap()
    })
}

/// A record schema `Deal` with an `id` of type string and some fields of any type.
pub(crate) fn records() -> impl Strategy<Value = Schema> {
    vec(types(), 0..6).prop_map(|types| {
        let mut fields = vec![json!({"name": "id", "type": "string"})];
        fields.extend(
            types.into_iter().enumerate().map(|(number, ty)| json!({"name": format!("f{number}"), "type": ty})),
        );
        let mut json = json!({"type": "record", "name": "Deal", "fields": fields});
        name_types(&mut json["fields"], &mut 0);
        Schema::parse(&json).unwrap()
    })
}

/// A value of `schema` in apache-avro's form: each union names its branch.
pub(crate) fn values(schema: &Schema) -> BoxedStrategy<Value> {
    match schema {
        Schema::Null => Just(Value::Null).boxed(),
        Schema::Boolean => any::<bool>().prop_map(Value::Boolean).boxed(),
        Schema::Int => any::<i32>().prop_map(Value::Int).boxed(),
        Schema::Long => any::<i64>().prop_map(Value::Long).boxed(),
        Schema::Float => {
            any::<f32>().prop_filter("a number equals itself", |number| !number.is_nan()).prop_map(Value::Float).boxed()
        }
        Schema::Double => any::<f64>()
            .prop_filter("a number equals itself", |number| !number.is_nan())
            .prop_map(Value::Double)
            .boxed(),
        Schema::Bytes => vec(any::<u8>(), 0..200).prop_map(Value::Bytes).boxed(),
        Schema::String => any::<String>().prop_map(Value::String).boxed(),
        Schema::Date => any::<i32>().prop_map(Value::Date).boxed(),
        Schema::TimeMillis => any::<i32>().prop_map(Value::TimeMillis).boxed(),
        Schema::TimeMicros => any::<i64>().prop_map(Value::TimeMicros).boxed(),
        Schema::TimestampMillis => any::<i64>().prop_map(Value::TimestampMillis).boxed(),
        Schema::TimestampMicros => any::<i64>().prop_map(Value::TimestampMicros).boxed(),
        Schema::TimestampNanos => any::<i64>().prop_map(Value::TimestampNanos).boxed(),
        Schema::LocalTimestampMillis => any::<i64>().prop_map(Value::LocalTimestampMillis).boxed(),
        Schema::LocalTimestampMicros => any::<i64>().prop_map(Value::LocalTimestampMicros).boxed(),
        Schema::LocalTimestampNanos => any::<i64>().prop_map(Value::LocalTimestampNanos).boxed(),
        Schema::Decimal(decimal) => {
            let size = match &decimal.inner {
                InnerDecimalSchema::Bytes => 1..=17,
                InnerDecimalSchema::Fixed(fixed) => fixed.size..=fixed.size,
            };
            vec(any::<u8>(), size).prop_map(|bytes| Value::Decimal(Decimal::from(bytes))).boxed()
        }
        Schema::BigDecimal => (any::<i64>(), -30_i64..30)
            .prop_map(|(digits, scale)| Value::BigDecimal(BigDecimal::new(digits.into(), scale)))
            .boxed(),
        Schema::Uuid(_) => any::<[u8; 16]>().prop_map(|bytes| Value::Uuid(Uuid::from_bytes(bytes))).boxed(),
        Schema::Duration(_) => any::<(u32, u32, u32)>()
            .prop_map(|(months, days, millis)| {
                Value::Duration(Duration::new(Months::new(months), Days::new(days), Millis::new(millis)))
            })
            .boxed(),
        Schema::Fixed(fixed) => vec(any::<u8>(), fixed.size).prop_map(|bytes| Value::Fixed(bytes.len(), bytes)).boxed(),
        Schema::Enum(schema) => {
            let symbols = schema.symbols.clone();
            (0..symbols.len())
                .prop_map(move |index| Value::Enum(u32::try_from(index).unwrap(), symbols[index].clone()))
                .boxed()
        }
        Schema::Array(array) => vec(values(&array.items), 0..4).prop_map(Value::Array).boxed(),
        Schema::Map(map) => vec((any::<String>(), values(&map.types)), 0..4)
            .prop_map(|entries| Value::Map(HashMap::from_iter(entries)))
            .boxed(),
        Schema::Union(union) => {
            let branches = union.variants().iter().enumerate().map(|(branch, schema)| {
                let branch = u32::try_from(branch).unwrap();
                values(schema).prop_map(move |value| Value::Union(branch, Box::new(value))).boxed()
            });
            proptest::strategy::Union::new(branches).boxed()
        }
        Schema::Record(record) => fields(&record.fields).prop_map(Value::Record).boxed(),
        Schema::Ref { name } => panic!("generated schemas have no references, found {name:?}"),
    }
}

/// Names and values for `fields`.
pub(crate) fn fields(fields: &[RecordField]) -> BoxedStrategy<Vec<(String, Value)>> {
    let fields: Vec<_> = fields.iter().map(|field| (Just(field.name.clone()), values(&field.schema))).collect();
    fields.boxed()
}

/// Converts a value to the form of our reader: a union of null and one other type is bare.
pub(crate) fn bare(schema: &Schema, value: Value) -> Value {
    match (schema, value) {
        (Schema::Union(union), Value::Union(branch, value)) => {
            let value = bare(&union.variants()[branch as usize], *value);
            if is_nullable(union.variants()) { value } else { Value::Union(branch, Box::new(value)) }
        }
        (Schema::Array(array), Value::Array(values)) => {
            Value::Array(values.into_iter().map(|value| bare(&array.items, value)).collect())
        }
        (Schema::Map(map), Value::Map(entries)) => {
            Value::Map(entries.into_iter().map(|(key, value)| (key, bare(&map.types, value))).collect())
        }
        (Schema::Record(record), Value::Record(fields)) => {
            let fields = record.fields.iter().zip(fields);
            Value::Record(fields.map(|(field, (name, value))| (name, bare(&field.schema, value))).collect())
        }
        (_, value) => value,
    }
}

fn types() -> impl Strategy<Value = Json> {
    leaves().prop_recursive(3, 24, 5, |inner| {
        prop_oneof![
            inner.clone().prop_map(|items| json!({"type": "array", "items": items})),
            inner.clone().prop_map(|values| json!({"type": "map", "values": values})),
            inner
                .clone()
                .prop_filter("a union has no union", |ty| !ty.is_array() && *ty != "null")
                .prop_map(|ty| json!(["null", ty])),
            inner
                .clone()
                .prop_filter("a union has no union", |ty| !ty.is_array() && *ty != "null")
                .prop_map(|ty| json!([ty, "null"])),
            vec(inner.clone(), 0..5).prop_map(record),
            (vec(inner, 1..3), unions()).prop_map(|(types, mut branches)| {
                branches.push(record(types));
                Json::Array(branches)
            }),
        ]
    })
}

fn record(types: Vec<Json>) -> Json {
    let fields = types.into_iter().enumerate().map(|(number, ty)| json!({"name": format!("f{number}"), "type": ty}));
    json!({"type": "record", "name": "", "fields": fields.collect::<Vec<_>>()})
}

/// Branches of a union, all different.
fn unions() -> impl Strategy<Value = Vec<Json>> {
    let branches = [
        json!("null"),
        json!("boolean"),
        json!({"type": "int", "logicalType": "date"}),
        json!({"type": "long", "logicalType": "timestamp-micros"}),
        json!("double"),
        json!("string"),
        json!({"type": "bytes", "logicalType": "decimal", "precision": 20, "scale": 4}),
        json!({"type": "enum", "name": "", "symbols": ["a", "b"]}),
        json!({"type": "fixed", "name": "", "size": 3}),
    ];
    subsequence(branches.to_vec(), 0..branches.len()).prop_shuffle()
}

fn leaves() -> impl Strategy<Value = Json> {
    let logical = |ty: &str, logical: &str| json!({"type": ty, "logicalType": logical});
    let fixed = |size: usize, logical: &str| {
        let base = json!({"type": "fixed", "name": "", "size": size});
        json!({"type": base, "logicalType": logical})
    };
    prop_oneof![
        proptest::sample::select(
            ["null", "boolean", "int", "long", "float", "double", "bytes", "string"].map(Json::from).to_vec()
        ),
        proptest::sample::select(vec![
            // Nanoseconds are missing: as a column they become microseconds.
            logical("int", "date"),
            logical("int", "time-millis"),
            logical("long", "time-micros"),
            logical("long", "timestamp-millis"),
            logical("long", "timestamp-micros"),
            logical("long", "local-timestamp-millis"),
            logical("long", "local-timestamp-micros"),
            logical("string", "uuid"),
            logical("bytes", "big-decimal"),
            fixed(16, "uuid"),
            fixed(12, "duration"),
            json!({"type": "bytes", "logicalType": "decimal", "precision": 38, "scale": 9}),
            json!({"type": {"type": "fixed", "name": "", "size": 8},
                "logicalType": "decimal", "precision": 18, "scale": 2}),
            json!({"type": "fixed", "name": "", "size": 5}),
            json!({"type": "enum", "name": "", "symbols": ["new", "won", "lost"]}),
        ]),
    ]
}

/// Gives each type with an empty name a unique name.
fn name_types(json: &mut Json, next: &mut u32) {
    match json {
        Json::Object(members) => {
            if members.get("name").is_some_and(|name| name == "") {
                members.insert("name".into(), json!(format!("t{next}")));
                *next += 1;
            }
            members.values_mut().for_each(|member| name_types(member, next));
        }
        Json::Array(items) => items.iter_mut().for_each(|item| name_types(item, next)),
        _ => {}
    }
}
