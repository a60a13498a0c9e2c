//! Semantic types of Kafka Connect and Debezium, which Avro lacks: the attribute `connect.name`.
//!
//! apache-avro drops attributes of primitive types, so the text of a schema is rewritten before parsing. If Avro has an
//! equivalent logical type, the type gets this logical type. If values need conversion, the type is wrapped in a
//! marker: a record with one field and a reserved name, which has the same encoding. [`Plan`](super::plan::Plan)
//! recognizes markers.
//!
//! Names that Avro does not allow are replaced in the same walk (`names.rs`).

use std::collections::HashSet;

use apache_avro::{Schema, schema::RecordSchema};
use serde_json::{Map, Value as Json, json};

use super::names;

/// Connect's attribute for the semantic type.
pub(crate) const CONNECT_NAME: &str = "connect.name";

const BITS: &str = "io.debezium.data.Bits";
const MICRO_DURATION: &str = "io.debezium.time.MicroDuration";

/// The namespace of markers.
const NAMESPACE: &str = "towpath.semantic";

/// The precision that Connect's Avro converter writes for a decimal of unknown precision.
const UNKNOWN_PRECISION: u64 = 64;

/// A type whose values are converted while reading.
#[derive(Debug, Clone, Copy, PartialEq, Eq)]
pub(crate) enum Semantic {
    /// Days since the epoch, with two special values for the infinities.
    Days,
    /// Milliseconds or microseconds since the epoch without a zone, with two special values for the infinities.
    LocalMillis,
    LocalMicros,
    /// A string with date, time and offset.
    ZonedTimestamp,
    /// Strings in ISO 8601, without an offset or with `Z`.
    IsoDate,
    IsoTime,
    IsoTimestamp,
    /// A string that contains JSON.
    Json,
    /// Bits, the lowest first; read as bytes.
    Bits,
    /// An amount of time in microseconds; read as a number.
    MicroDuration,
    /// A record with a scale and an unscaled value.
    VariableScaleDecimal {
        scale_first: bool,
    },
    /// Nanoseconds since midnight, within other values: a number.
    NanoTime,
    /// Columns of nanoseconds: since midnight, or since the epoch with and without a zone.
    NanosOfDay,
    Nanos,
    LocalNanos,
    /// Milliseconds since the epoch in UTC, with two special values for the infinities.
    Millis,
    /// A decimal with a negative scale: the unscaled value is followed by this number of zeros.
    Zeros(u16),
}

/// Name prefix of the marker for [`Semantic::Zeros`], followed by the number of zeros.
const ZEROS: &str = "Zeros";

impl Semantic {
    /// Types with a marker: its name, and the type of its field.
    const MARKED: [(Self, &'static str, &'static str); 12] = [
        (Self::Days, "Days", "int"),
        (Self::LocalMillis, "LocalMillis", "long"),
        (Self::LocalMicros, "LocalMicros", "long"),
        (Self::ZonedTimestamp, "ZonedTimestamp", "string"),
        (Self::IsoDate, "IsoDate", "string"),
        (Self::IsoTime, "IsoTime", "string"),
        (Self::IsoTimestamp, "IsoTimestamp", "string"),
        (Self::Json, "Json", "string"),
        (Self::Bits, "Bits", "bytes"),
        (Self::MicroDuration, "MicroDuration", "long"),
        (Self::NanoTime, "NanoTime", "long"),
        (Self::Millis, "Millis", "long"),
    ];

    /// Returns the semantic type of a marker or of Debezium's `VariableScaleDecimal`.
    pub(crate) fn of_record(record: &RecordSchema) -> Option<Self> {
        if is_marker(record) {
            let name = record.name.name();
            if let Some(zeros) = name.strip_prefix(ZEROS) {
                return zeros.parse().ok().map(Self::Zeros);
            }
            let marked = Self::MARKED.iter().find(|(_, marked, _)| *marked == name);
            return marked.map(|(semantic, ..)| *semantic);
        }
        let variable_scale = "io.debezium.data.VariableScaleDecimal";
        let named = record.attributes.get(CONNECT_NAME).is_some_and(|name| name == variable_scale)
            || record.name.fullname(None) == variable_scale;
        let [first, second] = record.fields.as_slice() else { return None };
        let scale_first = match (first.name.as_str(), &first.schema, second.name.as_str(), &second.schema) {
            ("scale", Schema::Int, "value", Schema::Bytes) => true,
            ("value", Schema::Bytes, "scale", Schema::Int) => false,
            _ => return None,
        };
        named.then_some(Self::VariableScaleDecimal { scale_first })
    }

    /// The schema of the converted values.
    pub(crate) fn schema(self) -> Schema {
        match self {
            Self::LocalMillis | Self::LocalMicros | Self::LocalNanos | Self::IsoTimestamp => {
                Schema::LocalTimestampMicros
            }
            Self::Millis | Self::Nanos | Self::ZonedTimestamp => Schema::TimestampMicros,
            Self::Days | Self::IsoDate => Schema::Date,
            Self::IsoTime | Self::NanosOfDay => Schema::TimeMicros,
            Self::Json => Schema::String,
            Self::VariableScaleDecimal { .. } | Self::Zeros(_) => Schema::BigDecimal,
            Self::Bits => Schema::Bytes,
            Self::NanoTime | Self::MicroDuration => Schema::Long,
        }
    }

    /// The `connect.name` that a field keeps, because its values mean more than their type in Avro.
    pub(crate) fn kept_name(self) -> Option<&'static str> {
        match self {
            Self::Json => Some(towpath_api::json::JSON_TEXT),
            Self::Bits => Some(BITS),
            Self::MicroDuration => Some(MICRO_DURATION),
            _ => None,
        }
    }

    /// Returns the semantic type for a `connect.name` on the primitive type `base`, if values need conversion.
    fn of_name(name: &str, base: &str) -> Option<Self> {
        let (semantic, expected) = match name {
            "io.debezium.time.Date" => (Self::Days, "int"),
            "io.debezium.time.Timestamp" => (Self::LocalMillis, "long"),
            "io.debezium.time.MicroTimestamp" => (Self::LocalMicros, "long"),
            "org.apache.kafka.connect.data.Timestamp" => (Self::Millis, "long"),
            "io.debezium.time.NanoTime" => (Self::NanoTime, "long"),
            "io.debezium.time.ZonedTimestamp" => (Self::ZonedTimestamp, "string"),
            "io.debezium.time.IsoDate" => (Self::IsoDate, "string"),
            "io.debezium.time.IsoTime" => (Self::IsoTime, "string"),
            "io.debezium.time.IsoTimestamp" => (Self::IsoTimestamp, "string"),
            towpath_api::json::JSON_TEXT => (Self::Json, "string"),
            BITS => (Self::Bits, "bytes"),
            MICRO_DURATION => (Self::MicroDuration, "long"),
            _ => return None,
        };
        (base == expected).then_some(semantic)
    }
}

/// Returns Avro's logical type that is equivalent to a `connect.name` on the primitive type `base`.
fn logical_type(name: &str, base: &str) -> Option<&'static str> {
    Some(match (name, base) {
        ("org.apache.kafka.connect.data.Date", "int") => "date",
        ("io.debezium.time.Time" | "org.apache.kafka.connect.data.Time", "int") => "time-millis",
        ("io.debezium.time.MicroTime", "long") => "time-micros",
        ("io.debezium.time.NanoTimestamp", "long") => "local-timestamp-nanos",
        ("io.debezium.data.Uuid", "string") => "uuid",
        _ => return None,
    })
}

/// Parses a schema, including its semantic types.
///
/// # Errors
/// The text is not an Avro schema.
pub(crate) fn parse(text: &str) -> apache_avro::AvroResult<Schema> {
    // For anything but JSON, the schema parser returns the error.
    let Ok(json) = serde_json::from_str(text) else { return Schema::parse_str(text) };
    parse_json(json)
}

/// Parses a schema as it is written, without its semantic types.
///
/// # Errors
/// The text is not an Avro schema.
pub(crate) fn parse_written(text: &str) -> apache_avro::AvroResult<Schema> {
    Schema::parse_str(text).or_else(|error| {
        let Ok(mut schema) = serde_json::from_str(text) else { return Err(error) };
        Marking { written: true, ..Marking::default() }.mark(&mut schema);
        Schema::parse(&schema)
    })
}

/// As [`parse`], from JSON.
///
/// # Errors
/// The JSON is not an Avro schema.
pub(crate) fn parse_json(mut schema: Json) -> apache_avro::AvroResult<Schema> {
    Marking::default().mark(&mut schema);
    Schema::parse(&schema)
}

/// Returns true if a record is a marker.
pub(crate) fn is_marker(record: &RecordSchema) -> bool {
    record.name.namespace() == Some(NAMESPACE)
}

/// Walks the JSON of a schema. The JSON parser bounds its depth.
#[derive(Default)]
struct Marking {
    /// The markers defined so far; Avro allows one definition per name.
    defined: HashSet<String>,
    /// True if semantic types are left as they are written.
    written: bool,
}

impl Marking {
    fn mark(&mut self, schema: &mut Json) {
        match schema {
            Json::String(reference) => names::allow(reference),
            Json::Array(branches) => branches.iter_mut().for_each(|branch| self.mark(branch)),
            Json::Object(object) => match object.get("type").and_then(Json::as_str) {
                // Unknown logical types are ignored (Avro 1.12 specification, "Logical Types"), and so is a number.
                _ if object.get("logicalType").is_some_and(|ty| !ty.is_string()) => {
                    object.remove("logicalType");
                    self.mark(schema);
                }
                Some("record" | "error") => {
                    names::allow_type(object);
                    self.mark_fields(object);
                }
                Some("enum") => {
                    names::allow_type(object);
                    names::allow_symbols(object);
                }
                Some("fixed") => names::allow_type(object),
                Some("array") => self.mark_within(object, "items"),
                Some("map") => self.mark_within(object, "values"),
                Some(base) => match self.primitive(object, base) {
                    Some(marked) => *schema = marked,
                    None => self.mark_within(object, "type"),
                },
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
        let fields = record.get_mut("fields").and_then(Json::as_array_mut).into_iter().flatten();
        for (position, field) in fields.filter_map(Json::as_object_mut).enumerate() {
            names::allow_field(field, position);
            self.mark_within(field, "type");
        }
    }

    /// Returns the replacement for a primitive type with a `connect.name`.
    fn primitive(&mut self, object: &Map<String, Json>, base: &str) -> Option<Json> {
        if self.written {
            return None;
        }
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
        // Postgres allows numeric(2, 5), Avro does not.
        json!({"type": "bytes", "logicalType": "decimal", "precision": precision.max(scale).max(1), "scale": scale})
    }

    fn marker(&mut self, semantic: Semantic) -> Json {
        let marked = Semantic::MARKED.iter().find(|(marked, ..)| *marked == semantic);
        let (_, name, base) = marked.expect("of_name returns only types in MARKED");
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
