//! Avro types as columns, and values in Postgres's binary format.
//!
//! A batch is sent as one array per column ([`ColumnArray`]): values are encoded straight from the decoded record into
//! the buffer that is sent.

mod array;
mod exact;
mod numeric;
mod text;
mod time;

use apache_avro::schema::{RecordField, RecordSchema, Schema};
use tokio_postgres::types::Type;
use towpath_api::json::is_json_text;

pub(crate) use self::{array::ColumnArray, text::TimeParts};

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
    /// bigint, from a number of microseconds.
    MicroDuration,
    /// bytea, from bits of which the last byte has the first ones.
    Bits,
    Jsonb,
    /// json, which keeps each letter of a string that is already JSON. Only columns of others have the type.
    Json,
    /// jsonb, from a string that is already JSON.
    JsonText,
    /// jsonb, from values of several types, now or in earlier schemas: a string becomes a JSON string.
    Mixed,
}

/// The form of a column's values beyond their type.
#[derive(Debug, Clone, Copy, Default, PartialEq, Eq)]
pub(crate) enum Form {
    #[default]
    Plain,
    /// An integer of 16 bits.
    Smallint,
    /// At most this number of digits, of which `scale` are decimal digits; less than none if it is negative.
    Digits { precision: i32, scale: i32 },
    /// A text of at most this number of characters. Spaces at the end do not count if they have no meaning.
    Length { characters: usize, padded: bool },
    /// A text of at most this number of bytes.
    Octets(usize),
    /// A time with at most this number of decimal digits of a second.
    Fraction(u32),
    /// The text of a date or time with at most this number of decimal digits, and these parts.
    TimeText { digits: usize, parts: TimeParts },
    /// The text of an amount of money with at most two decimal digits.
    Money,
    /// The text of this number of bits; 0: as many as are set.
    Bits(usize),
    /// The text of an array.
    Array,
    /// The text of a point, from a record of `x` and `y`.
    Point,
    /// The text of a hstore, from an object of texts.
    Hstore,
    /// The text of JSON.
    JsonText,
}

impl Form {
    /// Returns true if the text is made from a value of another type.
    fn is_made(self) -> bool {
        matches!(self, Self::Bits(_) | Self::Array | Self::Point | Self::Hstore | Self::JsonText)
    }
}

/// The way of values into an existing column.
#[derive(Debug, Clone, Default, PartialEq, Eq)]
pub(crate) struct Route {
    /// The type of the values on the wire, if it differs from their own.
    pub(crate) wire: Option<ColumnType>,
    pub(crate) form: Form,
    /// The type that they are cast to, if the column's type differs from theirs.
    pub(crate) cast: Option<String>,
}

/// A column does not hold a value exactly. The text is the middle of a sentence: `the value … column x`.
#[derive(Debug, Clone, Copy, PartialEq, Eq, thiserror::Error)]
#[error("a value {0} its column")]
pub(crate) struct Unfit(pub(crate) &'static str);

impl Unfit {
    /// The value does not have the type of its schema, or is out of the range of its column.
    pub(crate) const RANGE: Self = Self("is out of the range of");
    pub(super) const DIGITS: Self = Self("has more decimal digits than");
    pub(super) const LENGTH: Self = Self("is longer than");
    pub(super) const EXACT: Self = Self("is not held exactly by");
    pub(super) const CLOCK: Self = Self("is not from 00:00:00 to 24:00:00, the range of");
    pub(super) const NANOSECONDS: Self =
        Self("is more precise than microseconds, and `nanoseconds=truncate` is not set; not held by");
    pub(super) const FORM: Self = Self("does not have the form of");
}

impl ColumnType {
    /// The column for a field of a record.
    ///
    /// # Errors
    /// As for [`ColumnType::of`].
    pub(crate) fn of_field(field: &RecordField) -> Result<Self, String> {
        Ok(match (semantic_name(field), Self::of(&field.schema)?) {
            (_, Self::Text) if is_json_text(field) => Self::JsonText,
            (Some("io.debezium.time.MicroDuration"), Self::Bigint) => Self::MicroDuration,
            (Some("io.debezium.data.Bits"), Self::Bytea) => Self::Bits,
            (_, plain) => plain,
        })
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
                    // More than a type can have; without a scale, a number may have more.
                    _ => Self::AnyNumeric,
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
            Self::Bigint | Self::MicroDuration => "bigint",
            Self::Real => "real",
            Self::DoublePrecision => "double precision",
            Self::Text => "text",
            Self::Bytea | Self::Bits => "bytea",
            Self::Uuid => "uuid",
            Self::Date => "date",
            Self::Time => "time without time zone",
            Self::Timestamp => "timestamp without time zone",
            Self::Timestamptz => "timestamp with time zone",
            Self::Numeric { .. } | Self::AnyNumeric => "numeric",
            Self::Interval => "interval",
            Self::Json => "json",
            Self::Jsonb | Self::JsonText | Self::Mixed => "jsonb",
        }
    }

    /// The type of one element on the wire.
    pub(crate) fn element(self) -> Type {
        match self {
            Self::Boolean => Type::BOOL,
            Self::Integer => Type::INT4,
            Self::Bigint | Self::MicroDuration => Type::INT8,
            Self::Real => Type::FLOAT4,
            Self::DoublePrecision => Type::FLOAT8,
            Self::Text => Type::TEXT,
            Self::Bytea | Self::Bits => Type::BYTEA,
            Self::Uuid => Type::UUID,
            Self::Date => Type::DATE,
            Self::Time => Type::TIME,
            Self::Timestamp => Type::TIMESTAMP,
            Self::Timestamptz => Type::TIMESTAMPTZ,
            Self::Numeric { .. } | Self::AnyNumeric => Type::NUMERIC,
            Self::Interval => Type::INTERVAL,
            Self::Json => Type::JSON,
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
        (C::Integer | C::MicroDuration, C::Bigint) | (C::Bigint, C::Integer | C::MicroDuration) => C::Bigint,
        (C::Bits, C::Bytea) | (C::Bytea, C::Bits) => C::Bytea,
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

/// The type without null.
pub(crate) fn not_null(schema: &Schema) -> &Schema {
    match schema {
        Schema::Union(union) => {
            union.variants().iter().find(|branch| !matches!(branch, Schema::Null)).unwrap_or(schema)
        }
        other => other,
    }
}

/// The name of the semantic type that a field has in Connect or Debezium, if Avro has no equal.
fn semantic_name(field: &RecordField) -> Option<&str> {
    field.custom_attributes.get("connect.name")?.as_str()
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
