//! Avro types as columns, and values in Postgres's binary format.
//!
//! A batch is sent as one array per column ([`ColumnArray`]): values are encoded straight from the decoded record into
//! the buffer that is sent.

mod array;
mod numeric;

use apache_avro::schema::{RecordField, RecordSchema, Schema};
use tokio_postgres::types::Type;
use towpath_api::json::is_json_text;

pub(crate) use self::array::ColumnArray;

/// The type of a column that holds the values of an Avro type without loss.
#[derive(Debug, Clone, Copy, PartialEq, Eq)]
pub(crate) enum ColumnType {
    Boolean,
    Integer,
    Bigint,
    Real,
    DoublePrecision,
    Text,
    Bytea,
    Uuid,
    Date,
    Time,
    Timestamp,
    Timestamptz,
    Numeric {
        precision: u32,
        scale: u32,
    },
    /// Any number of digits, for decimals that carry their scale.
    AnyNumeric,
    Interval,
    Jsonb,
    /// jsonb, from a string that is already JSON.
    JsonText,
    /// jsonb, from values of several types, now or in earlier schemas: a string becomes a JSON string.
    Mixed,
}

/// A value does not have the type of its schema, or is out of the range of its column.
#[derive(Debug, Clone, Copy, PartialEq, Eq, thiserror::Error)]
#[error("a value is out of the range of its column")]
pub(crate) struct OutOfRange;

impl ColumnType {
    /// The column for a field of a record.
    ///
    /// # Errors
    /// As for [`ColumnType::of`].
    pub(crate) fn of_field(field: &RecordField) -> Result<Self, String> {
        if is_json_text(field) { Ok(Self::JsonText) } else { Self::of(&field.schema) }
    }

    /// The column for an Avro type, nullable or not.
    ///
    /// # Errors
    /// The name of the type, if no column holds it without loss.
    pub(crate) fn of(schema: &Schema) -> Result<Self, String> {
        Ok(match schema {
            Schema::Boolean => Self::Boolean,
            Schema::Int => Self::Integer,
            Schema::Long => Self::Bigint,
            Schema::Float => Self::Real,
            Schema::Double => Self::DoublePrecision,
            Schema::String | Schema::Enum(_) => Self::Text,
            Schema::Bytes | Schema::Fixed(_) => Self::Bytea,
            Schema::Uuid(_) => Self::Uuid,
            Schema::Date => Self::Date,
            Schema::TimeMillis | Schema::TimeMicros => Self::Time,
            Schema::TimestampMillis | Schema::TimestampMicros => Self::Timestamptz,
            Schema::LocalTimestampMillis | Schema::LocalTimestampMicros => Self::Timestamp,
            Schema::TimestampNanos | Schema::LocalTimestampNanos => {
                return Err("nanoseconds: Postgres keeps microseconds".to_owned());
            }
            Schema::Decimal(decimal) => {
                let size = |digits: usize| u32::try_from(digits).ok().filter(|digits| *digits <= 1_000);
                match (size(decimal.precision), size(decimal.scale)) {
                    (Some(precision), Some(scale)) => Self::Numeric { precision, scale },
                    _ => {
                        return Err(format!(
                            "decimal({}, {}): Postgres has 1000 digits",
                            decimal.precision, decimal.scale
                        ));
                    }
                }
            }
            Schema::BigDecimal => Self::AnyNumeric,
            Schema::Duration(_) => Self::Interval,
            Schema::Record(_) | Schema::Map(_) | Schema::Array(_) => Self::Jsonb,
            Schema::Null => return Err("null alone".to_owned()),
            Schema::Union(union) => {
                let mut types = union.variants().iter().filter(|branch| !matches!(branch, Schema::Null));
                match (types.next(), types.next()) {
                    (None, _) => return Err("null alone".to_owned()),
                    (Some(one), None) => Self::of(one)?,
                    (Some(_), Some(_)) => Self::Mixed,
                }
            }
            Schema::Ref { name } => return Err(format!("a reference to `{name}` that is not resolved")),
        })
    }

    /// The type in DDL, in the form that `format_type` prints.
    pub(crate) fn sql(self) -> String {
        match self {
            Self::Numeric { precision, scale } => format!("numeric({precision},{scale})"),
            plain => plain.array_element().to_owned(),
        }
    }

    /// The type without its modifier, for the casts of parameters.
    pub(crate) fn array_element(self) -> &'static str {
        match self {
            Self::Boolean => "boolean",
            Self::Integer => "integer",
            Self::Bigint => "bigint",
            Self::Real => "real",
            Self::DoublePrecision => "double precision",
            Self::Text => "text",
            Self::Bytea => "bytea",
            Self::Uuid => "uuid",
            Self::Date => "date",
            Self::Time => "time without time zone",
            Self::Timestamp => "timestamp without time zone",
            Self::Timestamptz => "timestamp with time zone",
            Self::Numeric { .. } | Self::AnyNumeric => "numeric",
            Self::Interval => "interval",
            Self::Jsonb | Self::JsonText | Self::Mixed => "jsonb",
        }
    }

    /// The type of one element on the wire.
    pub(crate) fn element(self) -> Type {
        match self {
            Self::Boolean => Type::BOOL,
            Self::Integer => Type::INT4,
            Self::Bigint => Type::INT8,
            Self::Real => Type::FLOAT4,
            Self::DoublePrecision => Type::FLOAT8,
            Self::Text => Type::TEXT,
            Self::Bytea => Type::BYTEA,
            Self::Uuid => Type::UUID,
            Self::Date => Type::DATE,
            Self::Time => Type::TIME,
            Self::Timestamp => Type::TIMESTAMP,
            Self::Timestamptz => Type::TIMESTAMPTZ,
            Self::Numeric { .. } | Self::AnyNumeric => Type::NUMERIC,
            Self::Interval => Type::INTERVAL,
            Self::Jsonb | Self::JsonText | Self::Mixed => Type::JSONB,
        }
    }
}

/// The type that holds the values of both types without loss, if there is one.
pub(crate) fn common_type(a: ColumnType, b: ColumnType) -> Option<ColumnType> {
    use ColumnType as C;
    let digits = |ty| match ty {
        C::Integer => Some((10, 0)),
        C::Bigint => Some((19, 0)),
        C::Numeric { precision, scale } => Some((precision.saturating_sub(scale), scale)),
        _ => None,
    };
    Some(match (a, b) {
        _ if a == b => a,
        (C::Mixed, other) | (other, C::Mixed) if other != C::JsonText => C::Mixed,
        (C::Integer, C::Bigint) | (C::Bigint, C::Integer) => C::Bigint,
        (C::Real | C::Integer, C::DoublePrecision) | (C::DoublePrecision, C::Real | C::Integer) => C::DoublePrecision,
        (C::Date, C::Timestamptz) | (C::Timestamptz, C::Date) => C::Timestamptz,
        (C::Date, C::Timestamp) | (C::Timestamp, C::Date) => C::Timestamp,
        (C::AnyNumeric, other) | (other, C::AnyNumeric) if digits(other).is_some() => C::AnyNumeric,
        _ => {
            let ((integer_a, scale_a), (integer_b, scale_b)) = (digits(a)?, digits(b)?);
            let scale = scale_a.max(scale_b);
            C::Numeric { precision: integer_a.max(integer_b) + scale, scale }
        }
    })
}

/// The fields of a record schema.
pub(crate) fn fields_of(schema: &Schema) -> &[RecordField] {
    match schema {
        Schema::Record(RecordSchema { fields, .. }) => fields,
        _ => &[],
    }
}

#[cfg(test)]
mod tests;
