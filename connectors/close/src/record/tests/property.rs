//! What holds for any row.

use apache_avro::{reader::datum::GenericDatumReader, types::Value, writer::datum::GenericDatumWriter};
use proptest::prelude::*;
use serde_json::{Map, Value as Json, json};
use towpath_api::Op;

use super::{READ_AT, read, shape, structure, value};
use crate::{
    record::{content_hash, read_row},
    structure::Structure,
};

/// A value as the decoder gives it back: every nullable one within its union.
fn wrapped(value: Value) -> Value {
    match value {
        Value::Union(..) => value,
        Value::Null => Value::Union(0, Box::new(Value::Null)),
        other => Value::Union(1, Box::new(other)),
    }
}

/// The fields of a record after it was written and read again.
fn through_avro(structure: &Structure, after: Vec<(String, Value)>) -> Vec<(String, Value)> {
    let schema = shape(structure).object.schema();
    let record = Value::Record(after).resolve(schema).unwrap();
    let mut bytes = Vec::new();
    GenericDatumWriter::builder(schema).build().unwrap().write_value_ref(&mut bytes, &record).unwrap();
    let read = GenericDatumReader::builder(schema).build().unwrap().read_value(&mut bytes.as_slice()).unwrap();
    let Value::Record(fields) = read else { panic!("not a record") };
    fields
}

fn any_json() -> impl Strategy<Value = Json> {
    let leaf = prop_oneof![
        Just(Json::Null),
        any::<bool>().prop_map(Json::from),
        any::<i64>().prop_map(Json::from),
        (-1_000_000..1_000_000, 0..6).prop_map(|(n, scale)| json!(f64::from(n) / 10_f64.powi(scale))),
        ".{0,12}".prop_map(Json::from),
        Just(json!("2026-02-03")),
        Just(json!("2026-02-03T09:15:33.478000+00:00")),
    ];
    leaf.prop_recursive(3, 24, 4, |inner| {
        prop_oneof![
            proptest::collection::vec(inner.clone(), 0..4).prop_map(Json::from),
            proptest::collection::btree_map("[a-c]{1,2}", inner, 0..4)
                .prop_map(|members| Json::Object(members.into_iter().collect())),
        ]
    })
}

const FIELDS: [(&str, &str, bool); 6] = [
    ("cf_text", "text", false),
    ("cf_many", "user", true),
    ("cf_number", "number", false),
    ("cf_date", "date", false),
    ("cf_time", "datetime", false),
    ("cf_json", "hidden", false),
];

proptest! {
    #![proptest_config(ProptestConfig::with_cases(256))]

    #[test]
    fn no_value_is_lost_and_every_record_fits_its_schema(
        values in proptest::collection::vec(any_json(), 8), unknown in any_json(), fraction in any::<f64>(),
    ) {
        let leads = structure("lead", "lead", &FIELDS);
        let mut row = Map::new();
        row.insert("id".into(), json!("lead_A"));
        for ((id, ..), json) in FIELDS.iter().zip(&values) {
            row.insert(format!("custom.{id}"), json.clone());
        }
        row.insert("addresses".into(), values[6].clone());
        row.insert("name".into(), values[7].clone());
        row.insert("unknown".into(), unknown.clone());
        row.insert("custom.cf_float".into(), json!(fraction));
        let (event, misfits) = read_row(shape(&leads), &row, READ_AT).unwrap();

        // Every member is in its field or in `_extra`.
        let extra: Map<String, Json> = match value(&event, "_extra") {
            Value::String(text) => serde_json::from_str(text).unwrap(),
            _ => Map::new(),
        };
        prop_assert_eq!(extra.len(), usize::try_from(misfits.unknown + misfits.mistyped).unwrap());
        for (name, json) in &row {
            let own = name.strip_prefix("custom.").unwrap_or(name);
            let field = shape(&leads).object.fields().iter().find(|field| field.name == own);
            let is_there = match field {
                _ if json.is_null() => true,
                Some(field) if extra.get(own).is_none() => {
                    let back = towpath_api::json::to_json(value(&event, own), &field.schema).unwrap();
                    !back.is_null()
                }
                _ => extra.get(own) == Some(json),
            };
            prop_assert!(is_there, "{}: {}", name, json);
        }

        // The record fits its schema, and its hash does not depend on unions and on the order of fields.
        let after = event.after.clone().unwrap();
        let record = Value::Record(after.clone());
        prop_assert!(record.validate(shape(&leads).object.schema()));
        let mut read_back: Vec<_> = after
            .iter()
            .map(|(name, value)| (name.clone(), if name == "id" { value.clone() } else { wrapped(value.clone()) }))
            .collect();
        read_back.reverse();
        prop_assert_eq!(content_hash(Op::Read, Some(&after)), content_hash(Op::Update, Some(&read_back)));
        let hash = content_hash(Op::Read, Some(&after));
        prop_assert_eq!(content_hash(Op::Read, Some(&through_avro(&leads, after))), hash);
    }

    #[test]
    fn a_number_keeps_its_value(digits in any::<i64>(), float in -1e300..1e300_f64) {
        let leads = structure("lead", "lead", &FIELDS);
        let number = |json: Json| {
            let (event, _) = read(&leads, json!({"id": "lead_A", "custom.cf_number": json}));
            let Value::BigDecimal(number) = value(&event, "cf_number") else { panic!() };
            number.clone()
        };
        prop_assert_eq!(number(json!(digits)).to_string(), digits.to_string());
        let back: f64 = number(json!(float)).to_plain_string().parse().unwrap();
        // A number has no sign of zero.
        prop_assert_eq!((back + 0.0).to_bits(), (float + 0.0).to_bits());
    }
}
