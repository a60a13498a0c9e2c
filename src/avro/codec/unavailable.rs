//! Debezium's placeholder for unavailable values: large values that an update did not change, and that the log of the
//! database therefore does not contain.

use apache_avro::{Uuid, types::Value};

/// Debezium's default placeholder.
pub const UNAVAILABLE_VALUE: &str = "__debezium_unavailable_value";

/// The uuid that Debezium derives from the default placeholder (version 3, without a namespace), for arrays of uuids.
const UNAVAILABLE_UUID: Uuid = Uuid::from_u128(0xb68a_35a7_17ad_35b3_af2a_ae46_edb4_545a);

/// The placeholder, in the form for each column type.
#[derive(Debug, Clone)]
pub(crate) struct Unavailable {
    text: String,
    /// For an hstore as JSON: the placeholder as key and as value.
    hstore: String,
    uuid: Option<Uuid>,
}

impl Unavailable {
    pub(crate) fn new(placeholder: &str) -> Self {
        let hstore = serde_json::json!({ placeholder: placeholder }).to_string();
        Self {
            text: placeholder.to_owned(),
            hstore,
            uuid: (placeholder == UNAVAILABLE_VALUE).then_some(UNAVAILABLE_UUID),
        }
    }

    pub(crate) fn text(&self) -> &str {
        &self.text
    }

    /// Returns true if `value` is the placeholder.
    pub(crate) fn is(&self, value: &Value) -> bool {
        match value {
            Value::String(text) => *text == self.text || *text == self.hstore,
            Value::Bytes(bytes) => bytes == self.text.as_bytes(),
            Value::Array(items) => self.is_items(items),
            // The record that marks a semantic type.
            Value::Record(fields) => matches!(fields.as_slice(), [(_, value)] if self.is(value)),
            Value::Map(entries) => entries.len() == 1 && entries.contains_key(&self.text),
            _ => false,
        }
    }

    /// An array of strings, bytes or uuids contains the placeholder as its only item. An array of numbers contains each
    /// byte of the placeholder as a number.
    fn is_items(&self, items: &[Value]) -> bool {
        match items {
            [Value::Uuid(uuid)] => Some(*uuid) == self.uuid,
            [item @ (Value::String(_) | Value::Bytes(_) | Value::Record(_))] => {
                self.is(item)
                    || matches!(item, Value::String(text) if self.uuid.is_some_and(|uuid| uuid.to_string() == *text))
            }
            _ => {
                items.len() == self.text.len()
                    && items.iter().zip(self.text.bytes()).all(|(item, byte)| is_byte(item, byte))
            }
        }
    }
}

fn is_byte(item: &Value, byte: u8) -> bool {
    match item {
        Value::Int(number) | Value::Date(number) | Value::TimeMillis(number) => *number == i32::from(byte),
        Value::Long(number)
        | Value::TimeMicros(number)
        | Value::TimestampMillis(number)
        | Value::LocalTimestampNanos(number) => *number == i64::from(byte),
        // Converted from milliseconds in some cases.
        Value::LocalTimestampMicros(number) | Value::TimestampMicros(number) => {
            *number == i64::from(byte) || *number == i64::from(byte) * 1_000
        }
        Value::Float(number) => number.to_bits() == f32::from(byte).to_bits(),
        Value::Double(number) => number.to_bits() == f64::from(byte).to_bits(),
        _ => false,
    }
}
