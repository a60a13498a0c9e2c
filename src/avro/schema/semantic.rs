//! What Kafka Connect and Debezium mean by a type, which Avro itself cannot say: the attribute `connect.name`.
//!
//! apache-avro drops attributes of primitive types, so they are looked at in the schema's text before it is parsed.
//! Where Avro has a logical type of the same meaning, the text gets that one. Where values must be converted, the type
//! is wrapped in a record of one field with a name of ours, which takes the same bytes; [`Plan`](super::plan::Plan)
//! finds it again.
//!
//! A text without such attributes, as our own are, is parsed as it is.

use std::collections::HashSet;

use apache_avro::{Schema, schema::RecordSchema};
use serde_json::{Map, Value as Json, json};

/// How Connect marks what a type means.
pub(crate) const CONNECT_NAME: &str = "connect.name";

/// The namespace of the records that stand for a semantic type.
const NAMESPACE: &str = "towpath.semantic";

/// The digits that Connect's Avro converter writes for a decimal whose number of digits is not known.
const UNKNOWN_PRECISION: u64 = 64;

/// A type whose values are converted as they are read, or that is refused by name.
#[derive(Debug, Clone, Copy, PartialEq, Eq)]
pub(crate) enum Semantic {
    /// Days since the epoch, with two numbers for the infinities.
    Days,
    /// Milliseconds or microseconds since the epoch without a zone, with two numbers for the infinities.
    LocalMillis,
    LocalMicros,
    /// A text with date, time and offset.
    ZonedTimestamp,
    /// Texts in ISO's form, without an offset or with `Z`.
    IsoDate,
    IsoTime,
    IsoTimestamp,
    /// A text that is JSON.
    Json,
    /// A record of a scale and an unscaled value.
    VariableScaleDecimal {
        scale_first: bool,
    },
    /// Nanoseconds of a day. No column of a time keeps all digits, which is for the sink to say; within other values it
    /// is a number.
    NanoTime,
    /// A decimal that counts tens or hundreds: digits, and so many zeros behind them.
    Zeros(u16),
}

/// What the record is called that stands for [`Semantic::Zeros`]; their number follows.
const ZEROS: &str = "Zeros";

impl Semantic {
    /// Those that stand in a record of ours, with its name and the type within.
    const MARKED: [(Self, &'static str, &'static str); 9] = [
        (Self::Days, "Days", "int"),
        (Self::LocalMillis, "LocalMillis", "long"),
        (Self::LocalMicros, "LocalMicros", "long"),
        (Self::ZonedTimestamp, "ZonedTimestamp", "string"),
        (Self::IsoDate, "IsoDate", "string"),
        (Self::IsoTime, "IsoTime", "string"),
        (Self::IsoTimestamp, "IsoTimestamp", "string"),
        (Self::Json, "Json", "string"),
        (Self::NanoTime, "NanoTime", "long"),
    ];

    /// The meaning of a record: one of ours, or Debezium's decimal with a scale of its own.
    pub(crate) fn of_record(record: &RecordSchema) -> Option<Self> {
        if is_marker(record) {
            let name = record.name.name();
            if let Some(zeros) = name.strip_prefix(ZEROS) {
                return zeros.parse().ok().map(Self::Zeros);
            }
            let marked = Self::MARKED.iter().find(|(_, marked, _)| *marked == name);
            return marked.map(|(semantic, ..)| *semantic);
        }
        let own = "io.debezium.data.VariableScaleDecimal";
        let named =
            record.attributes.get(CONNECT_NAME).is_some_and(|name| name == own) || record.name.fullname(None) == own;
        let [first, second] = record.fields.as_slice() else { return None };
        let scale_first = match (first.name.as_str(), &first.schema, second.name.as_str(), &second.schema) {
            ("scale", Schema::Int, "value", Schema::Bytes) => true,
            ("value", Schema::Bytes, "scale", Schema::Int) => false,
            _ => return None,
        };
        named.then_some(Self::VariableScaleDecimal { scale_first })
    }

    /// What Debezium's and Connect's names mean on a type that must be converted.
    fn of_name(name: &str, base: &str) -> Option<Self> {
        let (semantic, expected) = match name {
            "io.debezium.time.Date" => (Self::Days, "int"),
            "io.debezium.time.Timestamp" => (Self::LocalMillis, "long"),
            "io.debezium.time.MicroTimestamp" => (Self::LocalMicros, "long"),
            "io.debezium.time.NanoTime" => (Self::NanoTime, "long"),
            "io.debezium.time.ZonedTimestamp" => (Self::ZonedTimestamp, "string"),
            "io.debezium.time.IsoDate" => (Self::IsoDate, "string"),
            "io.debezium.time.IsoTime" => (Self::IsoTime, "string"),
            "io.debezium.time.IsoTimestamp" => (Self::IsoTimestamp, "string"),
            towpath_api::json::JSON_TEXT => (Self::Json, "string"),
            _ => return None,
        };
        (base == expected).then_some(semantic)
    }
}

/// The logical type of Avro that means the same as Connect's or Debezium's name.
fn logical_type(name: &str, base: &str) -> Option<&'static str> {
    Some(match (name, base) {
        ("org.apache.kafka.connect.data.Date", "int") => "date",
        ("io.debezium.time.Time" | "org.apache.kafka.connect.data.Time", "int") => "time-millis",
        ("io.debezium.time.MicroTime", "long") => "time-micros",
        ("org.apache.kafka.connect.data.Timestamp", "long") => "timestamp-millis",
        ("io.debezium.time.NanoTimestamp", "long") => "local-timestamp-nanos",
        ("io.debezium.data.Uuid", "string") => "uuid",
        _ => return None,
    })
}

/// Parses a schema's text and keeps what its `connect.name`s mean.
///
/// # Errors
/// It is no Avro schema.
pub(crate) fn parse(text: &str) -> apache_avro::AvroResult<Schema> {
    if !text.contains(CONNECT_NAME) {
        return Schema::parse_str(text);
    }
    // What is no JSON is told by the parser of schemas.
    let Ok(json) = serde_json::from_str(text) else { return Schema::parse_str(text) };
    parse_json(json)
}

/// As [`parse`], from JSON.
///
/// # Errors
/// It is no Avro schema.
pub(crate) fn parse_json(mut schema: Json) -> apache_avro::AvroResult<Schema> {
    Marking::default().mark(&mut schema);
    Schema::parse(&schema)
}

/// Whether a record is one of ours that stands for a semantic type.
pub(crate) fn is_marker(record: &RecordSchema) -> bool {
    record.name.namespace() == Some(NAMESPACE)
}

/// Walks a schema's JSON. Its depth is bounded by the parser of JSON.
#[derive(Default)]
struct Marking {
    /// The records of ours that the schema defines so far; Avro wants each name defined once.
    defined: HashSet<String>,
}

impl Marking {
    fn mark(&mut self, schema: &mut Json) {
        match schema {
            Json::Array(branches) => branches.iter_mut().for_each(|branch| self.mark(branch)),
            Json::Object(object) => match object.get("type").and_then(Json::as_str) {
                Some("record" | "error") => self.mark_fields(object),
                Some("array") => self.mark_within(object, "items"),
                Some("map") => self.mark_within(object, "values"),
                Some(base) => {
                    if let Some(marked) = self.primitive(object, base) {
                        *schema = marked;
                    }
                }
                None => self.mark_within(object, "type"),
            },
            _ => {}
        }
    }

    fn mark_within(&mut self, object: &mut Map<String, Json>, key: &str) {
        if let Some(inner) = object.get_mut(key) {
            self.mark(inner);
        }
    }

    fn mark_fields(&mut self, record: &mut Map<String, Json>) {
        for field in record.get_mut("fields").and_then(Json::as_array_mut).into_iter().flatten() {
            let Some(field) = field.as_object_mut() else { continue };
            // Nothing reads defaults here, and one may not fit the record that stands for its type.
            field.remove("default");
            self.mark_within(field, "type");
        }
    }

    /// What takes the place of a type with a `connect.name`.
    fn primitive(&mut self, object: &Map<String, Json>, base: &str) -> Option<Json> {
        let name = object.get(CONNECT_NAME)?.as_str()?;
        if let Some(logical) = logical_type(name, base) {
            return Some(json!({"type": base, "logicalType": logical}));
        }
        if name == "org.apache.kafka.connect.data.Decimal" && base == "bytes" {
            return Some(self.decimal(object));
        }
        Semantic::of_name(name, base).map(|semantic| self.marker(semantic))
    }

    fn decimal(&mut self, object: &Map<String, Json>) -> Json {
        let parameter = |name: &str| object.get("connect.parameters")?.get(name)?.as_str()?.parse::<i64>().ok();
        let scale = object.get("scale").and_then(Json::as_i64).or_else(|| parameter("scale")).unwrap_or(0);
        let Ok(scale) = u64::try_from(scale) else {
            let zeros = u16::try_from(scale.unsigned_abs()).unwrap_or(u16::MAX);
            return self.defined_once(format!("{ZEROS}{zeros}"), "bytes");
        };
        let precision =
            object.get("precision").and_then(Json::as_i64).or_else(|| parameter("connect.decimal.precision"));
        let precision = precision.and_then(|digits| u64::try_from(digits).ok()).unwrap_or(UNKNOWN_PRECISION);
        // Postgres has numeric(2, 5), Avro does not.
        json!({"type": "bytes", "logicalType": "decimal", "precision": precision.max(scale).max(1), "scale": scale})
    }

    fn marker(&mut self, semantic: Semantic) -> Json {
        let marked = Semantic::MARKED.iter().find(|(marked, ..)| *marked == semantic);
        let (_, name, base) =
            marked.expect("the decimal with a scale of its own is a record already and is not marked");
        self.defined_once((*name).to_owned(), base)
    }

    fn defined_once(&mut self, name: String, base: &str) -> Json {
        let full = format!("{NAMESPACE}.{name}");
        if self.defined.insert(name) {
            json!({"type": "record", "name": full, "fields": [{"name": "value", "type": base}]})
        } else {
            json!(full)
        }
    }
}
