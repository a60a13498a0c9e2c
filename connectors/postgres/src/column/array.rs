//! The values of one column for all rows of a statement.

use std::ops::Range;

use apache_avro::{schema::Schema, types::Value};
use bytes::{BufMut as _, BytesMut};
use num_bigint::BigInt;
use tokio_postgres::types::{IsNull, ToSql, Type, to_sql_checked};
use towpath_api::{Identity, json::to_json};

use super::{ColumnType, OutOfRange, numeric::numeric};

/// Microseconds from 1970 to 2000, where Postgres counts from.
const EPOCH_MICROS: i64 = 946_684_800_000_000;
const DAY_MICROS: i64 = 86_400_000_000;
/// The range of a timestamp, in microseconds since 2000 (`IS_VALID_TIMESTAMP`): from 4714 BC to 294276.
const TIMESTAMPS: Range<i64> = -211_813_488_000_000_000..9_223_371_331_200_000_000;
/// Precedes the text of a jsonb on the wire (`jsonb_recv`).
const JSONB_VERSION: u8 = 1;
/// Days from 1970 to 2000.
const EPOCH_DAYS: i32 = 10_957;

/// One parameter: the values of one column for all rows of a statement, as a one-dimensional array in binary format.
#[derive(Debug)]
pub(crate) struct ColumnArray {
    column: ColumnType,
    elements: BytesMut,
    len: i32,
    has_null: bool,
}

impl ColumnArray {
    /// An empty array with room for `rows` elements of average size.
    pub(crate) fn with_capacity(column: ColumnType, rows: usize) -> Self {
        Self { column, elements: BytesMut::with_capacity(rows * 16), len: 0, has_null: false }
    }

    /// The elements, each after its length in 4 bytes; -1 means null.
    pub(crate) fn elements(&self) -> &[u8] {
        &self.elements
    }

    #[cfg(test)]
    pub(super) fn len(&self) -> i32 {
        self.len
    }

    pub(crate) fn column(&self) -> ColumnType {
        self.column
    }

    pub(crate) fn push_null(&mut self) {
        self.elements.put_i32(-1);
        self.len += 1;
        self.has_null = true;
    }

    /// Adds the bytes that `write` appends to the buffer, after their length. After an error the array is unchanged.
    fn push_with(&mut self, write: impl FnOnce(&mut BytesMut) -> Result<(), OutOfRange>) -> Result<(), OutOfRange> {
        let start = self.elements.len();
        self.elements.put_i32(0);
        if let Err(error) = write(&mut self.elements) {
            self.elements.truncate(start);
            return Err(error);
        }
        let len = i32::try_from(self.elements.len() - start - 4).map_err(|_| OutOfRange)?;
        self.elements[start..start + 4].copy_from_slice(&len.to_be_bytes());
        self.len += 1;
        Ok(())
    }

    fn push_bytes(&mut self, bytes: &[u8]) {
        // A value of a record is far below 2 GiB, because the broker limits records.
        self.elements.put_i32(i32::try_from(bytes.len()).unwrap_or(i32::MAX));
        self.elements.put_slice(bytes);
        self.len += 1;
    }

    /// Adds a number to an array of bigint.
    pub(crate) fn push_i64(&mut self, number: i64) {
        self.push_bytes(&number.to_be_bytes());
    }

    /// Adds a boolean to an array of boolean.
    pub(crate) fn push_bool(&mut self, flag: bool) {
        self.push_bytes(&[u8::from(flag)]);
    }

    /// Adds bytes to an array of bytea.
    pub(crate) fn push_bytea(&mut self, bytes: &[u8]) {
        self.push_bytes(bytes);
    }

    /// Adds a text to an array of text.
    pub(crate) fn push_text(&mut self, text: &str) {
        self.push_bytes(text.as_bytes());
    }

    /// Adds JSON text to an array of jsonb; the server refuses invalid JSON.
    pub(crate) fn push_json_text(&mut self, json: &str) {
        // A string of a record is far below 2 GiB, because the broker limits records.
        self.elements.put_i32(i32::try_from(json.len() + 1).unwrap_or(i32::MAX));
        self.elements.put_u8(JSONB_VERSION);
        self.elements.put_slice(json.as_bytes());
        self.len += 1;
    }

    /// Adds a part of a key, which is never null; `schema` is the schema of its field.
    ///
    /// # Errors
    /// As for [`ColumnArray::push`].
    pub(crate) fn push_key(&mut self, part: &Identity, schema: &Schema) -> Result<(), OutOfRange> {
        match (part, self.column) {
            (Identity::Text(text), ColumnType::Text) => self.push_text(text),
            (Identity::Bytes(bytes), ColumnType::Bytea | ColumnType::Uuid) => self.push_bytes(bytes),
            (Identity::Boolean(flag), ColumnType::Boolean) => self.push_bool(*flag),
            (Identity::Text(text), ColumnType::Uuid) => {
                self.push_bytes(uuid::Uuid::parse_str(text).map_err(|_| OutOfRange)?.as_bytes());
            }
            (Identity::Long(number), ty) => {
                let int = || i32::try_from(*number).map_err(|_| OutOfRange);
                let value = match plain(schema) {
                    Schema::Int if ty == ColumnType::Integer => Value::Int(int()?),
                    Schema::Date => Value::Date(int()?),
                    Schema::TimeMillis => Value::TimeMillis(int()?),
                    Schema::TimeMicros => Value::TimeMicros(*number),
                    Schema::TimestampMillis => Value::TimestampMillis(*number),
                    Schema::TimestampMicros => Value::TimestampMicros(*number),
                    Schema::LocalTimestampMillis => Value::LocalTimestampMillis(*number),
                    Schema::LocalTimestampMicros => Value::LocalTimestampMicros(*number),
                    _ => Value::Long(*number),
                };
                self.push(&value, schema)?;
            }
            (Identity::Bytes(_), ColumnType::AnyNumeric) if *plain(schema) == Schema::BigDecimal => {
                self.push(&Value::BigDecimal(part.to_big_decimal().ok_or(OutOfRange)?), schema)?;
            }
            (Identity::Bytes(bytes), ColumnType::Numeric { .. } | ColumnType::AnyNumeric) => {
                self.push(&Value::Decimal(bytes.as_slice().into()), schema)?;
            }
            _ => return Err(OutOfRange),
        }
        Ok(())
    }

    /// Adds a value of a record; `schema` is the schema of its field.
    ///
    /// # Errors
    /// The value does not have the schema's type, or is out of the column's range; the array is then unchanged.
    pub(crate) fn push(&mut self, value: &Value, schema: &Schema) -> Result<(), OutOfRange> {
        if matches!(self.column, ColumnType::Jsonb | ColumnType::Mixed) {
            return self.push_json(value, schema);
        }
        match (value, self.column) {
            (Value::Null, _) => self.push_null(),
            (Value::String(text), ColumnType::JsonText) => self.push_json_text(text),
            (Value::Union(_, inner), _) => return self.push(inner, schema),
            (Value::Boolean(flag), ColumnType::Boolean) => self.push_bool(*flag),
            (Value::Int(number), ColumnType::Integer) => self.push_bytes(&number.to_be_bytes()),
            (Value::Long(number), ColumnType::Bigint) => self.push_i64(*number),
            // The type of an older schema, in a column that has since been widened.
            (Value::Int(number), ColumnType::Bigint) => self.push_i64(i64::from(*number)),
            (Value::Int(number), ColumnType::DoublePrecision) => self.push_bytes(&f64::from(*number).to_be_bytes()),
            (Value::Float(number), ColumnType::DoublePrecision) => self.push_bytes(&f64::from(*number).to_be_bytes()),
            (Value::Int(number), ColumnType::Numeric { .. } | ColumnType::AnyNumeric) => {
                self.push_number((*number).into(), 0)?;
            }
            (Value::Long(number), ColumnType::Numeric { .. } | ColumnType::AnyNumeric) => {
                self.push_number((*number).into(), 0)?;
            }
            (Value::Date(days), ColumnType::Timestamp | ColumnType::Timestamptz) => {
                self.push_i64(midnight(*days)?);
            }
            (Value::Float(number), ColumnType::Real) => self.push_bytes(&number.to_be_bytes()),
            (Value::Double(number), ColumnType::DoublePrecision) => self.push_bytes(&number.to_be_bytes()),
            (Value::String(text) | Value::Enum(_, text), ColumnType::Text) => self.push_bytes(text.as_bytes()),
            (Value::Bytes(bytes) | Value::Fixed(_, bytes), ColumnType::Bytea) => self.push_bytes(bytes),
            (Value::Uuid(uuid), ColumnType::Uuid) => self.push_bytes(uuid.as_bytes()),
            (Value::Date(days), ColumnType::Date) => {
                // The two ends of the range mean "infinity" to Postgres and to Debezium's connectors.
                let days = match *days {
                    i32::MIN | i32::MAX => *days,
                    _ => days.checked_sub(EPOCH_DAYS).filter(|days| *days != i32::MIN).ok_or(OutOfRange)?,
                };
                self.push_bytes(&days.to_be_bytes());
            }
            (Value::TimeMillis(millis), ColumnType::Time) => self.push_i64(i64::from(*millis) * 1_000),
            (Value::TimeMicros(micros), ColumnType::Time) => self.push_i64(*micros),
            (Value::TimestampMillis(millis), ColumnType::Timestamptz)
            | (Value::LocalTimestampMillis(millis), ColumnType::Timestamp) => {
                self.push_instant(millis.checked_mul(1_000).ok_or(OutOfRange)?)?;
            }
            (Value::TimestampMicros(micros), ColumnType::Timestamptz)
            | (Value::LocalTimestampMicros(micros), ColumnType::Timestamp) => self.push_instant(*micros)?,
            (Value::Decimal(decimal), ColumnType::Numeric { .. } | ColumnType::AnyNumeric) => {
                let Schema::Decimal(ty) = plain(schema) else { return Err(OutOfRange) };
                let unscaled: BigInt = decimal.clone().into();
                // A numeric with a precision has at most 1,000 digits, so longer numbers need no conversion.
                if unscaled.bits() > 3_400 {
                    return Err(OutOfRange);
                }
                self.push_number(unscaled, u32::try_from(ty.scale).map_err(|_| OutOfRange)?)?;
            }
            (Value::BigDecimal(decimal), ColumnType::AnyNumeric) => {
                let (unscaled, scale) = decimal.as_bigint_and_exponent();
                let (unscaled, scale) = if scale < 0 {
                    let zeros = u32::try_from(-scale).ok().filter(|zeros| *zeros <= 1_000).ok_or(OutOfRange)?;
                    (unscaled * BigInt::from(10).pow(zeros), 0)
                } else {
                    (unscaled, u32::try_from(scale).map_err(|_| OutOfRange)?)
                };
                self.push_with(|out| numeric(&unscaled, scale, out))?;
            }
            (Value::Duration(duration), ColumnType::Interval) => {
                let micros = i64::from(u32::from(duration.millis())) * 1_000;
                let days = i32::try_from(u32::from(duration.days())).map_err(|_| OutOfRange)?;
                let months = i32::try_from(u32::from(duration.months())).map_err(|_| OutOfRange)?;
                self.push_with(|out| {
                    out.put_i64(micros);
                    out.put_i32(days);
                    out.put_i32(months);
                    Ok(())
                })?;
            }
            _ => return Err(OutOfRange),
        }
        Ok(())
    }

    /// Adds a number with `scale` decimal digits, padded to the scale of the column.
    fn push_number(&mut self, unscaled: BigInt, scale: u32) -> Result<(), OutOfRange> {
        let (unscaled, scale) = match self.column {
            ColumnType::Numeric { scale: wanted, .. } if wanted > scale => {
                (unscaled * BigInt::from(10).pow(wanted - scale), wanted)
            }
            _ => (unscaled, scale),
        };
        self.push_with(|out| numeric(&unscaled, scale, out))
    }

    /// The ends of the range mean infinity, as in Debezium's connectors.
    fn push_instant(&mut self, micros: i64) -> Result<(), OutOfRange> {
        if micros == i64::MAX || micros == i64::MIN {
            self.push_i64(micros);
            return Ok(());
        }
        let micros = micros.checked_sub(EPOCH_MICROS).ok_or(OutOfRange)?;
        // The two ends of the range mean "infinity" to Postgres.
        if micros == i64::MIN || micros == i64::MAX {
            return Err(OutOfRange);
        }
        self.push_i64(micros);
        Ok(())
    }

    /// jsonb on the wire: version 1, then the text.
    fn push_json(&mut self, value: &Value, schema: &Schema) -> Result<(), OutOfRange> {
        let is_null = matches!(value, Value::Null) || matches!(value, Value::Union(_, inner) if **inner == Value::Null);
        if is_null {
            self.push_null();
            return Ok(());
        }
        let json = to_json(value, schema).map_err(|_| OutOfRange)?;
        self.push_with(|out| {
            out.put_u8(JSONB_VERSION);
            serde_json::to_writer(out.writer(), &json).map_err(|_| OutOfRange)
        })
    }
}

/// The instant at which a day begins, in microseconds since 2000. The ends of the range mean infinity in both types.
fn midnight(days: i32) -> Result<i64, OutOfRange> {
    match days {
        i32::MAX => Ok(i64::MAX),
        i32::MIN => Ok(i64::MIN),
        // Since 1970, the last days of the range would overflow.
        _ => (i64::from(days) - i64::from(EPOCH_DAYS))
            .checked_mul(DAY_MICROS)
            .filter(|micros| TIMESTAMPS.contains(micros))
            .ok_or(OutOfRange),
    }
}

/// The type without null.
fn plain(schema: &Schema) -> &Schema {
    match schema {
        Schema::Union(union) => {
            union.variants().iter().find(|branch| !matches!(branch, Schema::Null)).unwrap_or(schema)
        }
        other => other,
    }
}

impl ToSql for ColumnArray {
    fn to_sql(&self, _: &Type, out: &mut BytesMut) -> Result<IsNull, Box<dyn std::error::Error + Sync + Send>> {
        // Array header: dimensions, null flag, element type, length, lower bound (src/backend/utils/adt/arrayfuncs.c,
        // array_recv).
        out.put_i32(1);
        out.put_i32(i32::from(self.has_null));
        out.put_u32(self.column.element().oid());
        out.put_i32(self.len);
        out.put_i32(1);
        out.put_slice(&self.elements);
        Ok(IsNull::No)
    }

    fn accepts(ty: &Type) -> bool {
        matches!(ty.kind(), tokio_postgres::types::Kind::Array(_))
    }

    to_sql_checked!();
}
