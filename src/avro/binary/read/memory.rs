//! Counts the memory of values before they are built, and refuses a datum beyond [`MAX_DECODED`].
//!
//! A value in memory is larger than its bytes: a boolean in an array takes 56 times as much, a null has no bytes at
//! all, and the text of a number has zeros that its bytes do not have.

use apache_avro::{BigDecimal, Decimal, types::Value};
use num_bigint::BigInt;

use super::{Malformed, Read, Reader};

/// Maximum memory of the values of one datum.
pub(crate) const MAX_DECODED: usize = 64 * 1024 * 1024;

/// Maximum digits after the decimal point, or zeros before it: the digits after the point of Postgres' numeric. Bounds
/// the text of a number.
pub(crate) const MAX_SCALE: i64 = 16_383;

/// Maximum bytes of an unscaled number: numeric has at most 131,072 + 16,383 digits.
const MAX_UNSCALED: usize = 61_232;

/// The part of a heap allocation that is not used, on average.
const ALLOCATION: usize = 16;

impl Reader<'_> {
    /// The memory of the values that were read, in bytes: about what they occupy, or their text as JSON if that is
    /// longer.
    pub(crate) fn memory(&self) -> usize {
        self.memory
    }

    /// Counts the memory of a value that is about to be built.
    pub(crate) fn count(&mut self, bytes: usize) -> Read<()> {
        self.memory = self.memory.saturating_add(bytes);
        if self.memory > MAX_DECODED { Err(Malformed::TooLarge) } else { Ok(()) }
    }

    /// Counts the memory of values side by side.
    pub(crate) fn count_values(&mut self, values: usize) -> Read<()> {
        self.count(values.saturating_mul(size_of::<Value>()))
    }

    /// Counts the memory of entries of a map with their keys, without the text of the keys. A table has room for up to
    /// twice its entries.
    pub(crate) fn count_entries(&mut self, entries: usize) -> Read<()> {
        self.count(entries.saturating_mul(2 * size_of::<(String, Value)>()))
    }

    /// Counts the memory of fields side by side, without the text of their names.
    pub(crate) fn count_fields(&mut self, fields: usize) -> Read<()> {
        self.count(fields.saturating_mul(size_of::<(String, Value)>()))
    }

    /// Counts the memory of a value in a box.
    pub(super) fn count_boxed(&mut self) -> Read<()> {
        self.count(size_of::<Value>() + ALLOCATION)
    }

    /// Copies a text.
    pub(crate) fn owned(&mut self, text: &str) -> Read<String> {
        self.count(text.len() + ALLOCATION)?;
        Ok(text.to_owned())
    }

    /// Copies bytes.
    pub(crate) fn owned_bytes(&mut self, bytes: &[u8]) -> Read<Vec<u8>> {
        self.count(bytes.len() + ALLOCATION)?;
        Ok(bytes.to_vec())
    }

    pub(super) fn owned_text(&mut self) -> Read<String> {
        let text = self.text()?;
        self.owned(text)
    }

    /// Builds a number of `unscaled` bytes and `scale`. Refuses what numeric cannot hold.
    pub(crate) fn number(&mut self, unscaled: &[u8], scale: i64) -> Read<BigDecimal> {
        if unscaled.len() > MAX_UNSCALED || !(-MAX_SCALE..=MAX_SCALE).contains(&scale) {
            return Err(Malformed::OutOfRange);
        }
        // A byte is 2.4 digits.
        let zeros = usize::try_from(scale.unsigned_abs()).unwrap_or(usize::MAX);
        self.count(3 * unscaled.len() + zeros + ALLOCATION)?;
        Ok(BigDecimal::new(BigInt::from_signed_bytes_be(unscaled), scale))
    }

    pub(super) fn decimal(&mut self, unscaled: &[u8], scale: usize) -> Read<Value> {
        if unscaled.len() > MAX_UNSCALED {
            return Err(Malformed::OutOfRange);
        }
        self.count((3 * unscaled.len() + ALLOCATION).saturating_add(scale))?;
        Ok(Value::Decimal(Decimal::from(unscaled)))
    }
}
