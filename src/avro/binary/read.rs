//! Reads Avro's binary encoding straight into values, by the writer's schema.
//!
//! apache-avro's reader is not used: it reads a null where the bytes end inside a boolean, a string or a union, it
//! allocates the announced length before checking that the bytes exist, and it clones the name of every field. A test
//! in `codec/tests` asserts that both readers agree on all well-formed bytes.
//!
//! Invariant: no allocation exceeds what the remaining bytes could fill. A larger length or count is refused first.
//! Values are larger in memory than on the wire, without limit if their encoding is empty: see `memory.rs`.
//! Schemas have no references here, except those of a type to itself (see
//! [`inlined`](crate::avro::schema::inline::inlined)), whose values are nested at most [`MAX_NESTED`] times.

mod memory;

use std::collections::HashMap;

use apache_avro::{
    Duration, Uuid,
    schema::{InnerDecimalSchema, Name, Schema, UnionSchema, UuidSchema},
    types::Value,
};

pub(crate) use self::memory::{MAX_DECODED, MAX_SCALE};
use crate::avro::codes;

/// Maximum array items in one datum whose encoding is empty (null, an empty record): the size of the input does not
/// bound these.
const MAX_EMPTY_VALUES: usize = 65_536;

/// Maximum nesting of values whose type contains itself, so that no datum can exhaust the stack.
const MAX_NESTED: usize = 100;

/// Initial capacity of arrays and maps; they grow as elements are read.
const FIRST_CAPACITY: usize = 64;

/// A mismatch between bytes and schema. The text never contains their content.
#[derive(Debug, Clone, Copy, PartialEq, Eq, thiserror::Error)]
pub(crate) enum Malformed {
    #[error("the bytes end early")]
    Truncated,
    #[error("a string is not UTF-8")]
    Utf8,
    #[error("a number is too large for its type")]
    Number,
    #[error("a length is negative or exceeds the remaining bytes")]
    Length,
    #[error("a boolean is neither 0 nor 1")]
    Boolean,
    #[error("the branch of a union does not exist")]
    Branch,
    #[error("the symbol of an enum does not exist")]
    Symbol,
    #[error("a uuid is not valid")]
    Uuid,
    #[error("a string is not a valid date or time")]
    Time,
    #[error("a time is more precise than microseconds, and `nanoseconds=truncate` is not set")]
    Nanoseconds,
    #[error("a number is outside the range of its type")]
    OutOfRange,
    #[error("the type is not supported")]
    Unsupported,
    #[error("a value contains values of its own type more than {MAX_NESTED} times")]
    Nested,
    #[error("the values take more memory than a record may take, {} MiB", MAX_DECODED >> 20)]
    TooLarge,
}

impl Malformed {
    /// The code for dead letters.
    pub(crate) fn code(self) -> &'static str {
        match self {
            Self::Truncated => codes::TRUNCATED,
            Self::Utf8 => codes::UTF8,
            Self::Length => codes::LENGTH,
            Self::Nanoseconds => codes::NANOSECONDS,
            Self::OutOfRange => codes::OUT_OF_RANGE,
            Self::Nested | Self::TooLarge => codes::TOO_LARGE,
            _ => codes::MALFORMED,
        }
    }
}

type Read<T> = Result<T, Malformed>;

/// Reads values from the front of a slice.
#[derive(Clone)]
pub(crate) struct Reader<'a> {
    bytes: &'a [u8],
    empty_values_left: usize,
    memory: usize,
    /// The types that contain themselves.
    recursive: Option<&'a HashMap<Name, Schema>>,
    nested: usize,
    truncates: bool,
}

impl<'a> Reader<'a> {
    pub(crate) fn new(bytes: &'a [u8]) -> Self {
        Self { bytes, empty_values_left: MAX_EMPTY_VALUES, memory: 0, recursive: None, nested: 0, truncates: false }
    }

    /// As [`Reader::new`], with the definitions of the types that contain themselves. If `truncates` is true, times
    /// lose the digits after the microseconds; otherwise they are refused if these are not zero.
    pub(crate) fn of(bytes: &'a [u8], recursive: &'a HashMap<Name, Schema>, truncates: bool) -> Self {
        Self { recursive: Some(recursive), truncates, ..Self::new(bytes) }
    }

    /// Returns the microseconds of a time in nanoseconds.
    pub(crate) fn micros(&self, nanos: i128) -> Read<i64> {
        if nanos.rem_euclid(1_000) != 0 && !self.truncates {
            return Err(Malformed::Nanoseconds);
        }
        i64::try_from(nanos.div_euclid(1_000)).map_err(|_| Malformed::OutOfRange)
    }

    /// Reads a value of a type that contains itself, by its definition.
    pub(crate) fn nested<T>(&mut self, name: &Name, read: impl FnOnce(&mut Self, &'a Schema) -> Read<T>) -> Read<T> {
        let definition = self.recursive.and_then(|recursive| recursive.get(name)).ok_or(Malformed::Unsupported)?;
        if self.nested == MAX_NESTED {
            return Err(Malformed::Nested);
        }
        self.nested += 1;
        let value = read(self, definition);
        self.nested -= 1;
        value
    }

    /// The number of unread bytes.
    pub(crate) fn left(&self) -> usize {
        self.bytes.len()
    }

    /// Reads one value. A union of null and one other type gives the bare value, at any depth; any other union gives a
    /// `Value::Union`.
    pub(crate) fn value(&mut self, schema: &Schema) -> Read<Value> {
        Ok(match schema {
            Schema::Null => Value::Null,
            Schema::Boolean => Value::Boolean(self.boolean()?),
            Schema::Int => Value::Int(self.int()?),
            Schema::Long => Value::Long(self.long()?),
            Schema::Float => Value::Float(f32::from_le_bytes(self.array()?)),
            Schema::Double => Value::Double(f64::from_le_bytes(self.array()?)),
            Schema::Bytes => {
                let bytes = self.sized()?;
                Value::Bytes(self.owned_bytes(bytes)?)
            }
            Schema::String => Value::String(self.owned_text()?),
            Schema::Union(union) => self.union(union)?,
            Schema::Date => Value::Date(self.int()?),
            Schema::TimeMillis => Value::TimeMillis(self.int()?),
            Schema::TimeMicros => Value::TimeMicros(self.long()?),
            Schema::TimestampMillis => Value::TimestampMillis(self.long()?),
            Schema::TimestampMicros => Value::TimestampMicros(self.long()?),
            Schema::TimestampNanos => Value::TimestampNanos(self.long()?),
            Schema::LocalTimestampMillis => Value::LocalTimestampMillis(self.long()?),
            Schema::LocalTimestampMicros => Value::LocalTimestampMicros(self.long()?),
            Schema::LocalTimestampNanos => Value::LocalTimestampNanos(self.long()?),
            Schema::Decimal(decimal) => {
                let unscaled = match &decimal.inner {
                    InnerDecimalSchema::Bytes => self.sized()?,
                    InnerDecimalSchema::Fixed(fixed) => self.take(fixed.size)?,
                };
                self.decimal(unscaled, decimal.scale)?
            }
            Schema::Uuid(UuidSchema::String) => {
                Value::Uuid(Uuid::parse_str(self.text()?).map_err(|_| Malformed::Uuid)?)
            }
            Schema::Uuid(UuidSchema::Bytes) => {
                Value::Uuid(Uuid::from_slice(self.sized()?).map_err(|_| Malformed::Uuid)?)
            }
            Schema::Uuid(UuidSchema::Fixed(_)) => Value::Uuid(Uuid::from_bytes(self.array()?)),
            Schema::Fixed(fixed) => {
                let bytes = self.take(fixed.size)?;
                Value::Fixed(fixed.size, self.owned_bytes(bytes)?)
            }
            Schema::Enum(symbols) => {
                let index = self.int()?;
                let symbol = usize::try_from(index).ok().and_then(|index| symbols.symbols.get(index));
                Value::Enum(index.cast_unsigned(), self.owned(symbol.ok_or(Malformed::Symbol)?)?)
            }
            Schema::Record(record) => {
                self.count_fields(record.fields.len())?;
                let mut fields = Vec::with_capacity(record.fields.len());
                for field in &record.fields {
                    fields.push((self.owned(&field.name)?, self.value(&field.schema)?));
                }
                Value::Record(fields)
            }
            Schema::Array(array) => self.items(&array.items)?,
            Schema::Map(map) => self.entries(&map.types)?,
            Schema::Duration(_) => Value::Duration(Duration::from(self.array::<12>()?)),
            Schema::BigDecimal => self.big_decimal()?,
            // Such values are read as JSON (`schema/tree.rs`).
            Schema::Ref { .. } => return Err(Malformed::Unsupported),
        })
    }

    /// Skips one value. Nothing that takes memory is built, and a number may be of any size.
    pub(crate) fn skip(&mut self, schema: &Schema) -> Read<()> {
        match schema {
            Schema::Bytes | Schema::String | Schema::BigDecimal => self.sized().map(drop),
            Schema::Fixed(fixed) => self.take(fixed.size).map(drop),
            Schema::Decimal(decimal) => match &decimal.inner {
                InnerDecimalSchema::Bytes => self.sized().map(drop),
                InnerDecimalSchema::Fixed(fixed) => self.take(fixed.size).map(drop),
            },
            Schema::Union(union) => {
                let branch = self.branch(union.variants().len())?;
                self.skip(&union.variants()[branch])
            }
            Schema::Record(record) => record.fields.iter().try_for_each(|field| self.skip(&field.schema)),
            Schema::Array(array) => self.skip_blocks(is_empty(&array.items), |reader| reader.skip(&array.items)),
            Schema::Map(map) => self.skip_blocks(false, |reader| {
                reader.sized()?;
                reader.skip(&map.types)
            }),
            Schema::Ref { name } => self.nested(name, Self::skip),
            other => self.value(other).map(drop),
        }
    }

    fn skip_blocks(&mut self, empty: bool, mut skip: impl FnMut(&mut Self) -> Read<()>) -> Read<()> {
        loop {
            let count = self.block(empty)?;
            if count == 0 {
                return Ok(());
            }
            for _ in 0..count {
                skip(self)?;
            }
        }
    }

    /// Reads a `long`: zigzag, seven bits per byte, lowest first.
    pub(crate) fn long(&mut self) -> Read<i64> {
        let mut number = 0_u64;
        for (position, &byte) in self.bytes.iter().take(10).enumerate() {
            if position == 9 && byte > 1 {
                return Err(Malformed::Number);
            }
            number |= u64::from(byte & 0x7f) << (7 * position);
            if byte & 0x80 == 0 {
                self.bytes = &self.bytes[position + 1..];
                return Ok((number >> 1).cast_signed() ^ -(number & 1).cast_signed());
            }
        }
        Err(Malformed::Truncated)
    }

    pub(crate) fn int(&mut self) -> Read<i32> {
        i32::try_from(self.long()?).map_err(|_| Malformed::Number)
    }

    /// Reads a `string` without copying it.
    pub(crate) fn text(&mut self) -> Read<&'a str> {
        std::str::from_utf8(self.sized()?).map_err(|_| Malformed::Utf8)
    }

    /// Reads the branch of a union with `branches` branches; the result is less than `branches`.
    pub(crate) fn branch(&mut self, branches: usize) -> Read<usize> {
        let branch = usize::try_from(self.long()?).map_err(|_| Malformed::Branch)?;
        if branch < branches { Ok(branch) } else { Err(Malformed::Branch) }
    }

    /// Reads the element count of the next block of an array or map; 0 is the end.
    pub(crate) fn block(&mut self, element_is_empty: bool) -> Read<usize> {
        let mut count = self.long()?;
        if count < 0 {
            // The size of the block in bytes follows; only needed to skip the block.
            self.long()?;
            count = count.checked_neg().ok_or(Malformed::Length)?;
        }
        let count = usize::try_from(count).map_err(|_| Malformed::Length)?;
        if element_is_empty {
            self.empty_values_left = self.empty_values_left.checked_sub(count).ok_or(Malformed::Length)?;
        } else if count > self.bytes.len() {
            return Err(Malformed::Length);
        }
        Ok(count)
    }

    fn boolean(&mut self) -> Read<bool> {
        match self.array::<1>()? {
            [0] => Ok(false),
            [1] => Ok(true),
            _ => Err(Malformed::Boolean),
        }
    }

    fn union(&mut self, union: &UnionSchema) -> Read<Value> {
        let branches = union.variants();
        let branch = self.branch(branches.len())?;
        let value = self.value(&branches[branch])?;
        if is_nullable(branches) {
            return Ok(value);
        }
        self.count_boxed()?;
        Ok(Value::Union(u32::try_from(branch).map_err(|_| Malformed::Branch)?, Box::new(value)))
    }

    fn items(&mut self, items: &Schema) -> Read<Value> {
        let empty = is_empty(items);
        let mut values = Vec::new();
        loop {
            let count = self.block(empty)?;
            if count == 0 {
                // A long array has room for up to twice its items.
                if values.len() > FIRST_CAPACITY {
                    values.shrink_to_fit();
                }
                return Ok(Value::Array(values));
            }
            self.count_values(count)?;
            values.reserve(count.min(FIRST_CAPACITY));
            for _ in 0..count {
                values.push(self.value(items)?);
            }
        }
    }

    fn entries(&mut self, types: &Schema) -> Read<Value> {
        let mut entries = HashMap::new();
        loop {
            let count = self.block(false)?;
            if count == 0 {
                return Ok(Value::Map(entries));
            }
            self.count_entries(count)?;
            entries.reserve(count.min(FIRST_CAPACITY));
            for _ in 0..count {
                let key = self.owned_text()?;
                entries.insert(key, self.value(types)?);
            }
        }
    }

    /// Reads bytes that contain a sized unscaled number and a scale.
    fn big_decimal(&mut self) -> Read<Value> {
        let mut inner = Reader::new(self.sized()?);
        let (unscaled, scale) = (inner.sized()?, inner.long()?);
        self.number(unscaled, scale).map(Value::BigDecimal)
    }

    /// Reads a length, then as many bytes.
    pub(crate) fn sized(&mut self) -> Read<&'a [u8]> {
        let size = usize::try_from(self.long()?).map_err(|_| Malformed::Length)?;
        if size > self.bytes.len() {
            return Err(Malformed::Length);
        }
        self.take(size)
    }

    fn take(&mut self, size: usize) -> Read<&'a [u8]> {
        let (taken, rest) = self.bytes.split_at_checked(size).ok_or(Malformed::Truncated)?;
        self.bytes = rest;
        Ok(taken)
    }

    fn array<const N: usize>(&mut self) -> Read<[u8; N]> {
        let (taken, rest) = self.bytes.split_first_chunk::<N>().ok_or(Malformed::Truncated)?;
        self.bytes = rest;
        Ok(*taken)
    }
}

/// Returns true for a union of null and one other type, in either order. Its values are read bare.
pub(crate) fn is_nullable(branches: &[Schema]) -> bool {
    matches!(branches, [Schema::Null, _] | [_, Schema::Null])
}

/// Returns true if the encoding of every value is empty.
fn is_empty(schema: &Schema) -> bool {
    match schema {
        Schema::Null => true,
        Schema::Fixed(fixed) => fixed.size == 0,
        Schema::Record(record) => record.fields.iter().all(|field| is_empty(&field.schema)),
        Schema::Decimal(decimal) => matches!(&decimal.inner, InnerDecimalSchema::Fixed(fixed) if fixed.size == 0),
        _ => false,
    }
}

#[cfg(test)]
mod tests;
