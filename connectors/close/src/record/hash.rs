//! A hash of a record's content, to compare what Close shows with what is in the topic.
//!
//! The hashes of fields are summed up, so that their order, which differs between versions of a schema, does not count.
//! It is part of event ids, so it must stay as it is.

use apache_avro::types::Value;
use towpath_api::Op;

/// The hash of a delete.
const DELETED: u64 = 1;

/// A hash of the content of a record: equal for equal values, whichever schema version wrote them. Fields that are null
/// count as absent.
pub(crate) fn content_hash(op: Op, after: Option<&[(String, Value)]>) -> u64 {
    if op == Op::Delete {
        return DELETED;
    }
    after.unwrap_or_default().iter().fold(0, |sum, (name, value)| match bare(value) {
        Value::Null => sum,
        value => {
            let mut hash = Hash::new();
            hash.text(name);
            hash.value(value);
            sum.wrapping_add(hash.finish())
        }
    })
}

/// The hash of a text.
pub(super) fn text_hash(text: &str) -> u64 {
    let mut hash = Hash::new();
    hash.text(text);
    hash.finish()
}

/// The value within a union.
fn bare(value: &Value) -> &Value {
    match value {
        Value::Union(_, inner) => bare(inner),
        other => other,
    }
}

/// Words of 8 bytes, multiplied to 128 bits and folded, as in wyhash.
struct Hash(u64);

impl Hash {
    const START: u64 = 0x9e37_79b9_7f4a_7c15;
    const FACTOR: u64 = 0xd6e8_feb8_6659_fd93;

    fn new() -> Self {
        Self(Self::START)
    }

    fn word(&mut self, word: u64) {
        let product = u128::from(self.0 ^ word ^ Self::FACTOR) * u128::from(Self::START | 1);
        let [low, high] = [product & u128::from(u64::MAX), product >> 64].map(|half| u64::try_from(half).unwrap_or(0));
        self.0 = (low ^ high).wrapping_add(self.0.rotate_left(23)).wrapping_mul(Self::FACTOR);
    }

    /// The length and the bytes.
    fn bytes(&mut self, bytes: &[u8]) {
        self.word(bytes.len() as u64);
        let (words, rest) = bytes.as_chunks::<8>();
        for word in words {
            self.word(u64::from_le_bytes(*word));
        }
        let mut last = [0; 8];
        last[..rest.len()].copy_from_slice(rest);
        self.word(u64::from_le_bytes(last));
    }

    fn text(&mut self, text: &str) {
        self.bytes(text.as_bytes());
    }

    /// The kind of the value and the value.
    fn value(&mut self, value: &Value) {
        match bare(value) {
            Value::Null => self.word(0),
            Value::Boolean(flag) => {
                self.word(1);
                self.word(u64::from(*flag));
            }
            Value::Int(number) | Value::Date(number) | Value::TimeMillis(number) => self.number((*number).into()),
            Value::Long(number)
            | Value::TimeMicros(number)
            | Value::TimestampMillis(number)
            | Value::TimestampMicros(number)
            | Value::TimestampNanos(number)
            | Value::LocalTimestampMillis(number)
            | Value::LocalTimestampMicros(number)
            | Value::LocalTimestampNanos(number) => self.number(*number),
            Value::Float(number) => self.number(i64::from(number.to_bits())),
            Value::Double(number) => self.number(number.to_bits().cast_signed()),
            Value::String(text) | Value::Enum(_, text) => {
                self.word(3);
                self.text(text);
            }
            Value::BigDecimal(number) => {
                self.word(4);
                let (digits, scale) = number.normalized().into_bigint_and_exponent();
                self.bytes(&digits.to_signed_bytes_be());
                self.word(scale.cast_unsigned());
            }
            Value::Array(items) => {
                self.word(5);
                self.word(items.len() as u64);
                items.iter().for_each(|item| self.value(item));
            }
            // No field of Close has another type.
            other => {
                self.word(6);
                self.text(&format!("{other:?}"));
            }
        }
    }

    fn number(&mut self, number: i64) {
        self.word(2);
        self.word(number.cast_unsigned());
    }

    fn finish(mut self) -> u64 {
        self.word(0);
        self.0 ^ (self.0 >> 32)
    }
}
