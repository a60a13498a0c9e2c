//! Encodes a payload of Connect's JSON in Avro. Decimals are converted digit by digit, never through a float.

use std::{borrow::Cow, collections::HashMap};

use apache_avro::{
    BigDecimal,
    schema::{RecordSchema, Schema},
    types::Value,
};
use base64::{Engine as _, engine::general_purpose::STANDARD};
use num_bigint::BigInt;
use serde_json::value::RawValue;

use super::schema::PAYLOAD_DEFAULT;
use crate::avro::{
    binary::{
        read::{MAX_DECODED, MAX_SCALE, Malformed},
        write::{write_count, write_long, write_sized},
    },
    codes,
    refusal::Refusal,
    schema::{
        semantic::{self, Semantic},
        shape::nullable,
    },
};

/// Maximum length of the text of a decimal: the digits of Postgres' numeric, with sign, point and exponent.
const MAX_DECIMAL_TEXT: usize = 147_500;

/// A payload does not match its schema.
struct PayloadMismatch;

impl<E: std::error::Error> From<E> for PayloadMismatch {
    fn from(_: E) -> Self {
        Self
    }
}

/// Encodes `payload` by `schema`, which has no references.
///
/// # Errors
/// `decode.json_payload`, with the path of the field that does not match; `decode.too_large` for a payload that is far
/// larger in Avro, by exponents or by fields that it leaves out.
pub(crate) fn datum(schema: &Schema, payload: &RawValue) -> Result<Vec<u8>, Refusal> {
    let mut writer = Writer { out: Vec::with_capacity(payload.get().len()), fields: 0, path: Vec::new() };
    if let Err(PayloadMismatch) = writer.write(schema, payload) {
        if writer.is_too_large() {
            return Err(Refusal::new(codes::TOO_LARGE, format!("the payload: {}", Malformed::TooLarge)));
        }
        let place =
            if writer.path.is_empty() { "the payload".to_owned() } else { format!("`{}`", writer.path.join(".")) };
        return Err(Refusal::new(codes::JSON_PAYLOAD, format!("{place} does not match the schema of the record")));
    }
    Ok(writer.out)
}

struct Writer {
    out: Vec<u8>,
    /// The memory of the names of all fields, also of those that the payload leaves out.
    fields: usize,
    /// Names of the enclosing fields, outermost first. After an error, the path to the field at fault.
    path: Vec<String>,
}

impl Writer {
    fn is_too_large(&self) -> bool {
        self.out.len() + self.fields > MAX_DECODED
    }

    fn write(&mut self, schema: &Schema, raw: &RawValue) -> Result<(), PayloadMismatch> {
        if self.is_too_large() {
            return Err(PayloadMismatch);
        }
        let text = raw.get();
        match schema {
            Schema::Union(_) => {
                let (nullable, other) = nullable(schema).ok_or(PayloadMismatch)?;
                let (null, some) = (nullable.null, 1 - nullable.null);
                let branch = if text == "null" { null } else { some };
                write_long(&mut self.out, i64::try_from(branch)?);
                return if text == "null" { Ok(()) } else { self.write(other, raw) };
            }
            Schema::Boolean => self.out.push(u8::from(serde_json::from_str::<bool>(text)?)),
            Schema::Int | Schema::Date | Schema::TimeMillis => {
                write_long(&mut self.out, serde_json::from_str::<i32>(text)?.into());
            }
            Schema::Long | Schema::TimeMicros | Schema::TimestampMillis | Schema::LocalTimestampNanos => {
                write_long(&mut self.out, serde_json::from_str(text)?);
            }
            Schema::Float => self.out.extend_from_slice(&float::<f32>(text)?.to_le_bytes()),
            Schema::Double => self.out.extend_from_slice(&float::<f64>(text)?.to_le_bytes()),
            Schema::String | Schema::Uuid(_) => write_sized(&mut self.out, string(text)?.as_bytes()),
            Schema::Bytes => write_sized(&mut self.out, &STANDARD.decode(&*string(text)?)?),
            Schema::Decimal(decimal) => self.decimal(i64::try_from(decimal.scale)?, text)?,
            Schema::Record(record) if semantic::is_marker(record) => match Semantic::of_record(record) {
                Some(Semantic::Zeros(zeros)) => self.decimal(-i64::from(zeros), text)?,
                _ => return self.write(&record.fields.first().ok_or(PayloadMismatch)?.schema, raw),
            },
            Schema::Record(record) => return self.record(record, text),
            Schema::Array(array) => {
                let items: Vec<&RawValue> = serde_json::from_str(text)?;
                write_count(&mut self.out, items.len());
                items.into_iter().try_for_each(|item| self.write(&array.items, item))?;
                self.end_of_blocks();
            }
            Schema::Map(map) => {
                let entries: HashMap<String, &RawValue> = serde_json::from_str(text)?;
                write_count(&mut self.out, entries.len());
                for (key, value) in entries {
                    write_sized(&mut self.out, key.as_bytes());
                    self.write(&map.types, value)?;
                }
                self.end_of_blocks();
            }
            _ => return Err(PayloadMismatch),
        }
        Ok(())
    }

    fn record(&mut self, record: &RecordSchema, text: &str) -> Result<(), PayloadMismatch> {
        // An entry of a map whose keys are not strings.
        if text.starts_with('[') {
            let parts: Vec<&RawValue> = serde_json::from_str(text)?;
            if parts.len() != record.fields.len() {
                return Err(PayloadMismatch);
            }
            return record.fields.iter().zip(parts).try_for_each(|(field, part)| self.write(&field.schema, part));
        }
        let values: HashMap<String, &RawValue> = serde_json::from_str(text)?;
        for field in &record.fields {
            self.fields += field.name.len() + size_of::<(String, Value)>();
            self.path.push(field.name.clone());
            let given = values.get(&field.name).copied();
            match field.custom_attributes.get(PAYLOAD_DEFAULT) {
                // As Connect's converter: a field that is left out has its default, and so has a null of a required
                // type. The null of an optional type is kept, which that converter replaces too by default.
                Some(default)
                    if given.is_none_or(|given| given.get() == "null" && nullable(&field.schema).is_none()) =>
                {
                    self.write(&field.schema, &serde_json::value::to_raw_value(default)?)?;
                }
                _ => self.write(&field.schema, given.unwrap_or(RawValue::NULL))?,
            }
            self.path.pop();
        }
        Ok(())
    }

    /// Writes a decimal from base64 or from a number, the two values of the converter's `decimal.format`.
    fn decimal(&mut self, wanted: i64, text: &str) -> Result<(), PayloadMismatch> {
        if text.starts_with('"') {
            write_sized(&mut self.out, &STANDARD.decode(&*string(text)?)?);
            return Ok(());
        }
        if text.len() > MAX_DECIMAL_TEXT {
            return Err(PayloadMismatch);
        }
        let (digits, scale) = text.parse::<BigDecimal>()?.into_bigint_and_scale();
        let missing = wanted.checked_sub(scale).ok_or(PayloadMismatch)?;
        if !(-MAX_SCALE..=MAX_SCALE).contains(&missing) {
            return Err(PayloadMismatch);
        }
        let ten = BigInt::from(10).pow(u32::try_from(missing.unsigned_abs())?);
        let unscaled = if missing >= 0 {
            digits * ten
        } else if &digits % &ten == BigInt::ZERO {
            digits / ten
        } else {
            // Digits beyond the scale of the schema would be lost.
            return Err(PayloadMismatch);
        };
        write_sized(&mut self.out, &unscaled.to_signed_bytes_be());
        Ok(())
    }

    fn end_of_blocks(&mut self) {
        self.out.push(0);
    }
}

fn string(text: &str) -> Result<Cow<'_, str>, PayloadMismatch> {
    // Borrowed if nothing is escaped.
    match text.strip_prefix('"').and_then(|text| text.strip_suffix('"')) {
        Some(plain) if !plain.contains('\\') => Ok(Cow::Borrowed(plain)),
        _ => Ok(Cow::Owned(serde_json::from_str(text)?)),
    }
}

/// A number of IEEE 754.
trait Float: std::str::FromStr + Copy {
    fn is_infinite(self) -> bool;
}

impl Float for f32 {
    fn is_infinite(self) -> bool {
        self.is_infinite()
    }
}

impl Float for f64 {
    fn is_infinite(self) -> bool {
        self.is_infinite()
    }
}

/// Parses a number. Connect writes NaN and the infinities as strings; a number that is too large is none of them.
fn float<T: Float>(text: &str) -> Result<T, PayloadMismatch> {
    let word = match text {
        "\"NaN\"" => "NaN",
        "\"Infinity\"" => "inf",
        "\"-Infinity\"" => "-inf",
        _ if text.starts_with(|c: char| c == '-' || c.is_ascii_digit()) => {
            let number: T = text.parse().map_err(|_| PayloadMismatch)?;
            return if number.is_infinite() { Err(PayloadMismatch) } else { Ok(number) };
        }
        _ => return Err(PayloadMismatch),
    };
    word.parse().map_err(|_| PayloadMismatch)
}
