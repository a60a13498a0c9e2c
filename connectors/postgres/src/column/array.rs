//! The values of one column for all rows of a statement.

use apache_avro::{schema::Schema, types::Value};
use bytes::{BufMut as _, BytesMut};
use num_bigint::BigInt;
use tokio_postgres::types::{IsNull, ToSql, Type, to_sql_checked};
use towpath_api::{
    Identity,
    json::{hexadecimal, to_json},
};

use super::{
    ColumnType, Form, Unfit,
    exact::{self, Number},
    not_null,
    numeric::{numeric, special},
    text::{check, text_of},
    time::{DAY_MICROS, EPOCH_MICROS, TIMESTAMPS, clock, date, instant, interval, midnight},
};

/// Precedes the text of a jsonb on the wire (`jsonb_recv`).
const JSONB_VERSION: u8 = 1;

/// One parameter: the values of one column for all rows of a statement, as a one-dimensional array in binary format.
#[derive(Debug)]
pub(crate) struct ColumnArray {
    column: ColumnType,
    form: Form,
    elements: BytesMut,
    len: i32,
    has_null: bool,
}

impl ColumnArray {
    /// An empty array with room for `rows` elements of average size.
    pub(crate) fn with_capacity(column: ColumnType, rows: usize) -> Self {
        Self::of(column, Form::Plain, rows)
    }

    /// As [`ColumnArray::with_capacity`], for values that must have a form.
    pub(crate) fn of(column: ColumnType, form: Form, rows: usize) -> Self {
        Self { column, form, elements: BytesMut::with_capacity(rows * 16), len: 0, has_null: false }
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
    fn push_with(&mut self, write: impl FnOnce(&mut BytesMut) -> Result<(), Unfit>) -> Result<(), Unfit> {
        let start = self.elements.len();
        self.elements.put_i32(0);
        if let Err(error) = write(&mut self.elements) {
            self.elements.truncate(start);
            return Err(error);
        }
        let len = i32::try_from(self.elements.len() - start - 4).map_err(|_| Unfit::RANGE)?;
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

    /// Adds JSON text to an array of jsonb or json; the server refuses invalid JSON.
    pub(crate) fn push_json_text(&mut self, json: &str) {
        if self.column == ColumnType::Json {
            return self.push_text(json);
        }
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
    pub(crate) fn push_key(&mut self, part: &Identity, schema: &Schema) -> Result<(), Unfit> {
        let value = match (part, not_null(schema)) {
            (Identity::Boolean(flag), _) => Value::Boolean(*flag),
            (Identity::Text(text), _) => match self.column {
                ColumnType::Uuid => Value::Uuid(uuid::Uuid::parse_str(text).map_err(|_| Unfit::FORM)?),
                ColumnType::Text if !self.form.is_made() => return self.push_checked_text(text),
                _ => Value::String(text.clone()),
            },
            (Identity::Long(number), schema) => {
                let int = || i32::try_from(*number).map_err(|_| Unfit::RANGE);
                match schema {
                    Schema::Date => Value::Date(int()?),
                    Schema::TimeMillis => Value::TimeMillis(int()?),
                    Schema::TimeMicros => Value::TimeMicros(*number),
                    Schema::TimestampMillis => Value::TimestampMillis(*number),
                    Schema::TimestampMicros => Value::TimestampMicros(*number),
                    Schema::LocalTimestampMillis => Value::LocalTimestampMillis(*number),
                    Schema::LocalTimestampMicros => Value::LocalTimestampMicros(*number),
                    _ => Value::Long(*number),
                }
            }
            (Identity::Bytes(bytes), Schema::Uuid(_)) if self.column == ColumnType::Uuid => {
                Value::Uuid(uuid::Uuid::from_slice(bytes).map_err(|_| Unfit::FORM)?)
            }
            (Identity::Bytes(_), Schema::BigDecimal) => Value::BigDecimal(part.to_big_decimal().ok_or(Unfit::RANGE)?),
            (Identity::Bytes(bytes), Schema::Decimal(_)) => Value::Decimal(bytes.as_slice().into()),
            (Identity::Bytes(bytes), _) => Value::Bytes(bytes.clone()),
            _ => return Err(Unfit::RANGE),
        };
        self.push(&value, schema)
    }

    /// Adds a value of a record; `schema` is the schema of its field.
    ///
    /// # Errors
    /// The value does not have the schema's type, or the column does not hold it exactly; the array is then unchanged.
    pub(crate) fn push(&mut self, value: &Value, schema: &Schema) -> Result<(), Unfit> {
        match value {
            Value::Null => {
                self.push_null();
                return Ok(());
            }
            Value::String(text) if matches!(self.column, ColumnType::JsonText | ColumnType::Json) => {
                self.push_json_text(text);
                return Ok(());
            }
            _ if matches!(self.column, ColumnType::Jsonb | ColumnType::Mixed | ColumnType::Json) => {
                return self.push_json(value, schema);
            }
            Value::Union(_, inner) => return self.push(inner, schema),
            _ => {}
        }
        match (value, self.column) {
            (Value::TimestampNanos(_) | Value::LocalTimestampNanos(_), _) => return Err(Unfit::NANOSECONDS),
            (Value::String(text) | Value::Enum(_, text), ColumnType::Text) if !self.form.is_made() => {
                self.push_checked_text(text)?;
            }
            (_, ColumnType::Text) if self.form.is_made() => self.push_text(&text_of(self.form, value, schema)?),
            // As the server shows bytes.
            (Value::Bytes(bytes) | Value::Fixed(_, bytes), ColumnType::Text) => {
                self.push_checked_text(&hexadecimal(bytes))?;
            }
            (_, ColumnType::Boolean) => match exact::integer(value, schema)? {
                flag @ (0 | 1) => self.push_bool(flag == 1),
                _ => return Err(Unfit::RANGE),
            },
            (_, ColumnType::Integer) => {
                let number = i32::try_from(exact::integer(value, schema)?).map_err(|_| Unfit::RANGE)?;
                if self.form == Form::Smallint && i16::try_from(number).is_err() {
                    return Err(Unfit::RANGE);
                }
                self.push_bytes(&number.to_be_bytes());
            }
            (_, ColumnType::Bigint | ColumnType::MicroDuration) => self.push_i64(exact::integer(value, schema)?),
            (_, ColumnType::Real) => self.push_bytes(&exact::single(value)?.to_be_bytes()),
            (_, ColumnType::DoublePrecision) => self.push_bytes(&exact::double(value)?.to_be_bytes()),
            (_, ColumnType::Numeric { .. } | ColumnType::AnyNumeric) => self.push_number(Number::of(value, schema)?)?,
            (Value::Bytes(bytes) | Value::Fixed(_, bytes), ColumnType::Bytea | ColumnType::Bits) => {
                self.push_bytes(bytes);
            }
            (Value::String(text), ColumnType::Bytea) => {
                self.push_bytes(&text.strip_prefix("\\x").and_then(bytes_of_hexadecimal).ok_or(Unfit::FORM)?);
            }
            (Value::Uuid(uuid), ColumnType::Uuid) => self.push_bytes(uuid.as_bytes()),
            (_, ColumnType::Date) => self.push_bytes(&date(value)?.to_be_bytes()),
            (_, ColumnType::Time) => {
                let micros = clock(value)?;
                if !(0..=DAY_MICROS).contains(&micros) {
                    return Err(Unfit::CLOCK);
                }
                self.push_time(micros)?;
            }
            (_, ColumnType::Timestamp | ColumnType::Timestamptz) => match value {
                Value::Date(days) => self.push_i64(midnight(*days)?),
                _ => self.push_instant(instant(value)?)?,
            },
            (_, ColumnType::Interval) => {
                let (micros, days, months) = interval(value)?;
                self.form.check_fraction(micros)?;
                self.push_with(|out| {
                    out.put_i64(micros);
                    out.put_i32(days);
                    out.put_i32(months);
                    Ok(())
                })?;
            }
            _ => return Err(Unfit::RANGE),
        }
        Ok(())
    }

    fn push_checked_text(&mut self, text: &str) -> Result<(), Unfit> {
        if self.form != Form::Plain {
            check(self.form, text)?;
        }
        self.push_text(text);
        Ok(())
    }

    /// Adds a number, padded to the scale of the column.
    fn push_number(&mut self, number: Number) -> Result<(), Unfit> {
        if let Form::Digits { precision, scale } = self.form {
            number.within(precision, scale)?;
        }
        let (unscaled, scale) = match number {
            // `numeric(5,-2)` of Debezium has a scale of 2046. As long as this, zeros have no meaning.
            Number::Finite { scale, .. } if scale > 1_000 => match number.shortest() {
                Number::Finite { unscaled, scale } => (unscaled, scale),
                _ => return Err(Unfit::RANGE),
            },
            Number::Finite { unscaled, scale } => (unscaled, scale),
            other => return self.push_with(|out| special(&other, out)),
        };
        let wanted = match self.column {
            ColumnType::Numeric { scale, .. } => i64::from(scale),
            _ => 0,
        };
        let zeros = u32::try_from(wanted.max(0).saturating_sub(scale)).unwrap_or(0);
        let scale = u32::try_from(scale + i64::from(zeros)).map_err(|_| Unfit::RANGE)?;
        let unscaled = if zeros == 0 { unscaled } else { unscaled * BigInt::from(10).pow(zeros) };
        self.push_with(|out| numeric(&unscaled, scale, out))
    }

    fn push_time(&mut self, micros: i64) -> Result<(), Unfit> {
        self.form.check_fraction(micros)?;
        self.push_i64(micros);
        Ok(())
    }

    /// The ends of the range mean infinity, as in Debezium's connectors.
    fn push_instant(&mut self, micros: i64) -> Result<(), Unfit> {
        if micros == i64::MAX || micros == i64::MIN {
            self.push_i64(micros);
            return Ok(());
        }
        let micros = micros.checked_sub(EPOCH_MICROS).filter(|micros| TIMESTAMPS.contains(micros));
        self.push_time(micros.ok_or(Unfit::RANGE)?)
    }

    /// jsonb on the wire: version 1, then the text. json has no version.
    fn push_json(&mut self, value: &Value, schema: &Schema) -> Result<(), Unfit> {
        if matches!(value, Value::Union(_, inner) if **inner == Value::Null) {
            self.push_null();
            return Ok(());
        }
        let json = to_json(value, schema).map_err(|_| Unfit::RANGE)?;
        let is_versioned = self.column != ColumnType::Json;
        self.push_with(|out| {
            if is_versioned {
                out.put_u8(JSONB_VERSION);
            }
            serde_json::to_writer(out.writer(), &json).map_err(|_| Unfit::RANGE)
        })
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

/// The bytes of pairs of hexadecimal digits.
fn bytes_of_hexadecimal(digits: &str) -> Option<Vec<u8>> {
    let digits: Vec<u8> = digits.chars().map(|digit| digit.to_digit(16)?.try_into().ok()).collect::<Option<_>>()?;
    let pairs = digits.chunks(2).map(|pair| match pair {
        [high, low] => Some(high << 4 | low),
        _ => None,
    });
    pairs.collect()
}
