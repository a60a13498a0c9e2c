//! JSON records into Avro values by an agreed schema. Pure: no network, no clock, no configuration.
//!
//! A source reads a JSON text with [`parse`], which enforces limits and keeps the digits of numbers, and maps its
//! records with the [`Mapper`] of their object. One [`Mapping`] covers one body: it collects every [`Misfit`], each
//! with a JSON pointer, a rule and a message for the sender.
//!
//! | file | subject |
//! |---|---|
//! | `json` | JSON within limits: depth, values, lengths |
//! | `mapper` | keys and records of one object, whole or partial |
//! | `value` | one JSON value into one Avro value |
//! | `scalar` | strings that encode a decimal, UUID or bytes |
//! | `time` | strings that encode a date, a time of day or a timestamp |
//! | `misfit` | violations of the schema, for the answer to the sender |
//!
//! It is not a mapping language: a field of the schema takes the JSON member of the same name. It knows neither HTTP
//! nor the shape of any envelope around the records.
//!
//! What always holds:
//! * A value is taken exactly or refused: nothing is rounded, truncated or converted to another time zone.
//! * Work is bounded by the limits of `json`, whatever the schema and the text.
//! * A mapping reports every misfit of a body, at most 100 of them in full.
//!
//! ```
//! use apache_avro::{Schema, types::Value};
//! use towpath_api::{Key, Object, Updates};
//! use towpath_mapping::{Contents, Json, Mapper, Path, parse};
//!
//! let schema = r#"{"type":"record","name":"deal","fields":[
//!     {"name":"id","type":"long"}, {"name":"title","type":"string"}, {"name":"closed","type":["null","boolean"]}]}"#;
//! let mapper = Mapper::new(Object::new("deal", Schema::parse_str(schema)?, Updates::Whole)?)?;
//!
//! let body = serde_json::from_str(r#"{"id": 7, "title": "Boat"}"#)?;
//! let json = parse(body).map_err(|malformed| malformed.to_string())?;
//! let Json::Object(members) = json else { panic!("not an object") };
//! let member = |name| members.iter().find(|(own, _)| own == name).map(|(_, json)| json);
//!
//! let mut mapping = mapper.begin();
//! let key = mapping.key(member("id").ok_or("no id")?, &Path::Root);
//! let given = members.iter().filter(|(name, _)| name != "id").map(|(name, json)| (&**name, json));
//! let record = mapping.record(Contents::Whole, key.as_ref(), given, &Path::Root);
//! assert_eq!(mapping.finish().total(), 0);
//! assert_eq!(key, Some(Key::Long(7)));
//! assert_eq!(record.after[1], ("title".to_owned(), Value::String("Boat".to_owned())));
//! # Ok::<(), Box<dyn std::error::Error>>(())
//! ```
#![cfg_attr(not(test), warn(clippy::unwrap_used))]

mod json;
mod mapper;
mod misfit;
mod scalar;
mod time;
mod value;

pub use json::{Json, Malformed, Members, as_text, members, offset, parse};
pub use mapper::{Contents, Mapper, Mapping, Record};
pub use misfit::{Misfit, Misfits, Path, Violation, expected, quote};
