//! Writes values in Avro's binary encoding, and checks each value against the schema while writing.
//!
//! apache-avro's writer is not used: without its separate validation it writes a null as no bytes into a field that is
//! not nullable, writes a bare value into a union without the branch, and panics on a branch that does not exist. It
//! also builds a table of names for each record. A test in `codec/tests` asserts that both writers agree on all values
//! that match.

use apache_avro::{
    Decimal, Uuid,
    schema::{EnumSchema, InnerDecimalSchema, Schema, SchemaKind, UnionSchema, UuidSchema},
    types::{Value, ValueKind},
    writer::datum::GenericDatumWriter,
};

use super::read::is_nullable;

/// A mismatch between value and schema. The text never contains the value.
#[derive(Debug, Clone, Copy, PartialEq, Eq, thiserror::Error)]
pub(crate) enum WriteError {
    #[error("the value is of type {value:?}, the schema expects {schema:?}")]
    Type { value: ValueKind, schema: SchemaKind },
    #[error("the union has no branch for the value")]
    Branch,
    #[error("the enum does not have the symbol")]
    Symbol,
    #[error("the fields of the record differ from the schema")]
    Fields,
    #[error("the value has {value} bytes, the schema expects {schema}")]
    Size { value: usize, schema: usize },
    #[error("the string is not a uuid")]
    Uuid,
    #[error("the decimal cannot be written")]
    Decimal,
}

type Write = Result<(), WriteError>;

/// Appends `value` to `out`. For a union of null and one other type the value may be bare.
pub(crate) fn write(out: &mut Vec<u8>, schema: &Schema, value: &Value) -> Write {
    match (schema, value) {
        (Schema::Null, Value::Null) => {}
        (Schema::Boolean, Value::Boolean(value)) => out.push(u8::from(*value)),
        (Schema::Int, Value::Int(number))
        | (Schema::Date, Value::Date(number) | Value::Int(number))
        | (Schema::TimeMillis, Value::TimeMillis(number) | Value::Int(number)) => write_long(out, (*number).into()),
        (Schema::Long, Value::Long(number))
        | (Schema::TimeMicros, Value::TimeMicros(number) | Value::Long(number))
        | (Schema::TimestampMillis, Value::TimestampMillis(number) | Value::Long(number))
        | (Schema::TimestampMicros, Value::TimestampMicros(number) | Value::Long(number))
        | (Schema::TimestampNanos, Value::TimestampNanos(number) | Value::Long(number))
        | (Schema::LocalTimestampMillis, Value::LocalTimestampMillis(number) | Value::Long(number))
        | (Schema::LocalTimestampMicros, Value::LocalTimestampMicros(number) | Value::Long(number))
        | (Schema::LocalTimestampNanos, Value::LocalTimestampNanos(number) | Value::Long(number)) => {
            write_long(out, *number);
        }
        (Schema::Float, Value::Float(number)) => out.extend_from_slice(&number.to_le_bytes()),
        (Schema::Double, Value::Double(number)) => out.extend_from_slice(&number.to_le_bytes()),
        (Schema::Bytes, Value::Bytes(bytes)) => write_sized(out, bytes),
        (Schema::String, Value::String(text)) => write_sized(out, text.as_bytes()),
        (Schema::Union(union), value) => return write_union(out, union, value),
        (Schema::Decimal(decimal), Value::Decimal(value)) => return write_decimal(out, &decimal.inner, value),
        (Schema::Uuid(kind), Value::Uuid(uuid)) => return write_uuid(out, kind, *uuid),
        (Schema::Uuid(kind), Value::String(text)) => {
            return write_uuid(out, kind, Uuid::parse_str(text).map_err(|_| WriteError::Uuid)?);
        }
        (Schema::Fixed(fixed), Value::Fixed(_, bytes) | Value::Bytes(bytes)) => {
            return write_fixed(out, fixed.size, bytes);
        }
        (Schema::Enum(schema), Value::Enum(_, symbol) | Value::String(symbol)) => {
            return write_symbol(out, schema, symbol);
        }
        (Schema::Record(record), Value::Record(fields)) => {
            if record.fields.len() != fields.len() {
                return Err(WriteError::Fields);
            }
            for (field, (name, value)) in record.fields.iter().zip(fields) {
                if field.name != *name {
                    return Err(WriteError::Fields);
                }
                write(out, &field.schema, value)?;
            }
        }
        (Schema::Array(array), Value::Array(values)) => {
            write_count(out, values.len());
            values.iter().try_for_each(|value| write(out, &array.items, value))?;
            out.push(0);
        }
        (Schema::Map(map), Value::Map(entries)) => {
            write_count(out, entries.len());
            for (key, value) in entries {
                write_sized(out, key.as_bytes());
                write(out, &map.types, value)?;
            }
            out.push(0);
        }
        (Schema::Duration(_), Value::Duration(duration)) => {
            out.extend_from_slice(&<[u8; 12]>::from(*duration));
        }
        (Schema::BigDecimal, Value::BigDecimal(_)) => {
            let writer = GenericDatumWriter::builder(schema).build().map_err(|_| WriteError::Decimal)?;
            writer.write_value_ref(out, value).map_err(|_| WriteError::Decimal)?;
        }
        _ => return Err(type_mismatch(schema, value)),
    }
    Ok(())
}

/// Appends a `long`: zigzag, seven bits per byte, lowest first.
pub(crate) fn write_long(out: &mut Vec<u8>, number: i64) {
    let mut rest = (number.cast_unsigned() << 1) ^ (number >> 63).cast_unsigned();
    while rest >= 0x80 {
        out.push(rest.to_le_bytes()[0] | 0x80);
        rest >>= 7;
    }
    out.push(rest.to_le_bytes()[0]);
}

/// Appends the length of `bytes`, then `bytes`.
pub(crate) fn write_sized(out: &mut Vec<u8>, bytes: &[u8]) {
    write_len(out, bytes.len());
    out.extend_from_slice(bytes);
}

/// Appends the element count of an array or map, which is written as one block. An empty one has no block. The caller
/// appends the final 0.
pub(crate) fn write_count(out: &mut Vec<u8>, count: usize) {
    if count > 0 {
        write_len(out, count);
    }
}

fn write_len(out: &mut Vec<u8>, len: usize) {
    write_long(out, i64::try_from(len).unwrap_or(i64::MAX));
}

fn type_mismatch(schema: &Schema, value: &Value) -> WriteError {
    WriteError::Type { value: value.into(), schema: schema.into() }
}

fn write_union(out: &mut Vec<u8>, union: &UnionSchema, value: &Value) -> Write {
    let branches = union.variants();
    let (branch, value) = match value {
        Value::Union(branch, value) => (*branch as usize, &**value),
        Value::Null => {
            let null = branches.iter().position(|branch| matches!(branch, Schema::Null));
            (null.ok_or(WriteError::Branch)?, value)
        }
        _ if is_nullable(branches) => (usize::from(matches!(branches[0], Schema::Null)), value),
        _ => return Err(WriteError::Branch),
    };
    let schema = branches.get(branch).ok_or(WriteError::Branch)?;
    write_len(out, branch);
    write(out, schema, value)
}

fn write_decimal(out: &mut Vec<u8>, inner: &InnerDecimalSchema, value: &Decimal) -> Write {
    let bytes = Vec::try_from(value).map_err(|_| WriteError::Decimal)?;
    let InnerDecimalSchema::Fixed(fixed) = inner else {
        write_sized(out, &bytes);
        return Ok(());
    };
    let sign = if bytes.first().is_some_and(|first| first & 0x80 != 0) { 0xff } else { 0 };
    if let Some(missing) = fixed.size.checked_sub(bytes.len()) {
        out.extend(std::iter::repeat_n(sign, missing));
        out.extend_from_slice(&bytes);
        return Ok(());
    }
    let (excess, kept) = bytes.split_at(bytes.len() - fixed.size);
    let same_sign = kept.first().is_some_and(|first| first & 0x80 == sign & 0x80);
    if !same_sign || excess.iter().any(|byte| *byte != sign) {
        return Err(WriteError::Size { value: bytes.len(), schema: fixed.size });
    }
    out.extend_from_slice(kept);
    Ok(())
}

fn write_uuid(out: &mut Vec<u8>, kind: &UuidSchema, uuid: Uuid) -> Write {
    match kind {
        UuidSchema::String => {
            write_sized(out, uuid.as_hyphenated().encode_lower(&mut Uuid::encode_buffer()).as_bytes());
            Ok(())
        }
        UuidSchema::Bytes => {
            write_sized(out, uuid.as_bytes());
            Ok(())
        }
        UuidSchema::Fixed(fixed) => write_fixed(out, fixed.size, uuid.as_bytes()),
    }
}

fn write_fixed(out: &mut Vec<u8>, size: usize, bytes: &[u8]) -> Write {
    if bytes.len() != size {
        return Err(WriteError::Size { value: bytes.len(), schema: size });
    }
    out.extend_from_slice(bytes);
    Ok(())
}

fn write_symbol(out: &mut Vec<u8>, schema: &EnumSchema, symbol: &str) -> Write {
    let index = schema.symbols.iter().position(|known| known == symbol).ok_or(WriteError::Symbol)?;
    write_len(out, index);
    Ok(())
}

#[cfg(test)]
mod tests {
    use super::*;

    fn encoded(schema: &str, value: &Value) -> Result<Vec<u8>, WriteError> {
        let mut out = Vec::new();
        write(&mut out, &Schema::parse_str(schema).unwrap(), value)?;
        Ok(out)
    }

    #[test]
    fn a_nullable_value_may_be_bare_or_name_its_branch() {
        let bare = encoded(r#"["null","long"]"#, &Value::Long(1));
        assert_eq!(bare, Ok(vec![0x02, 0x02]));
        assert_eq!(bare, encoded(r#"["null","long"]"#, &Value::Union(1, Box::new(Value::Long(1)))));
        assert_eq!(encoded(r#"["long","null"]"#, &Value::Long(1)), Ok(vec![0x00, 0x02]));
        assert_eq!(encoded(r#"["null","long"]"#, &Value::Null), Ok(vec![0x00]));
    }

    #[test]
    fn a_value_that_does_not_match_is_an_error_and_never_bad_bytes() {
        let null_as_long = encoded(r#""long""#, &Value::Null);
        assert_eq!(null_as_long, Err(WriteError::Type { value: ValueKind::Null, schema: SchemaKind::Long }));
        assert_eq!(encoded(r#"["null","long","string"]"#, &Value::Long(1)), Err(WriteError::Branch));
        assert_eq!(encoded(r#"["null","long"]"#, &Value::Union(7, Box::new(Value::Long(1)))), Err(WriteError::Branch));
        let symbols = r#"{"type":"enum","name":"e","symbols":["a"]}"#;
        assert_eq!(encoded(symbols, &Value::Enum(0, "b".into())), Err(WriteError::Symbol));
        let fixed = r#"{"type":"fixed","name":"f","size":2}"#;
        assert_eq!(encoded(fixed, &Value::Fixed(3, vec![0; 3])), Err(WriteError::Size { value: 3, schema: 2 }));
        let record = r#"{"type":"record","name":"r","fields":[{"name":"a","type":"int"}]}"#;
        assert_eq!(encoded(record, &Value::Record(vec![("b".into(), Value::Int(1))])), Err(WriteError::Fields));
    }

    #[test]
    fn a_decimal_keeps_its_sign_in_a_fixed_size() {
        let fixed = r#"{"type":"fixed","name":"d","size":2,"logicalType":"decimal","precision":4}"#;
        let written = |bytes: &[u8]| encoded(fixed, &Value::Decimal(Decimal::from(bytes)));
        assert_eq!(written(&[0xff]), Ok(vec![0xff, 0xff]));
        assert_eq!(written(&[0x7f]), Ok(vec![0x00, 0x7f]));
        assert_eq!(written(&[0x00, 0x00, 0x7f]), Ok(vec![0x00, 0x7f]));
        assert_eq!(written(&[0x00, 0x80, 0x00]), Err(WriteError::Size { value: 3, schema: 2 }));
        assert_eq!(written(&[0xff, 0x7f, 0x00]), Err(WriteError::Size { value: 3, schema: 2 }));
    }
}
