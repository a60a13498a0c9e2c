//! Sizes in bytes.

use std::{fmt, str::FromStr};

/// A number of bytes, written `1MiB`, `512KiB`, `64kB` or `100B`.
#[derive(Debug, Clone, Copy, PartialEq, Eq, PartialOrd, Ord, Hash)]
pub struct ByteSize(u64);

/// Units in the order for printing: binary units first, from the greatest.
const UNITS: [(&str, u64); 8] = [
    ("GiB", 1 << 30),
    ("MiB", 1 << 20),
    ("KiB", 1 << 10),
    ("B", 1),
    ("GB", 1_000_000_000),
    ("MB", 1_000_000),
    ("kB", 1_000),
    ("KB", 1_000),
];

impl ByteSize {
    /// `bytes` bytes.
    pub const fn bytes(bytes: u64) -> Self {
        Self(bytes)
    }

    /// A multiple of 1,024 bytes.
    pub const fn kib(kib: u64) -> Self {
        Self(kib << 10)
    }

    /// A multiple of 1,048,576 bytes.
    pub const fn mib(mib: u64) -> Self {
        Self(mib << 20)
    }

    pub const fn as_u64(self) -> u64 {
        self.0
    }

    /// The number of bytes, at most `usize::MAX`.
    pub fn as_usize(self) -> usize {
        usize::try_from(self.0).unwrap_or(usize::MAX)
    }
}

impl fmt::Display for ByteSize {
    fn fmt(&self, f: &mut fmt::Formatter<'_>) -> fmt::Result {
        let (unit, size) =
            UNITS.into_iter().find(|(_, size)| self.0 >= *size && self.0.is_multiple_of(*size)).unwrap_or(("B", 1));
        write!(f, "{}{unit}", self.0 / size)
    }
}

impl FromStr for ByteSize {
    type Err = ();

    /// An integer and its unit, with or without spaces between them.
    fn from_str(text: &str) -> Result<Self, ()> {
        let digits = text.find(|c: char| !c.is_ascii_digit()).ok_or(())?;
        let (number, unit) = text.split_at(digits);
        let (_, size) = UNITS.into_iter().find(|(name, _)| *name == unit.trim()).ok_or(())?;
        number.parse::<u64>().ok().and_then(|number| number.checked_mul(size)).map(Self).ok_or(())
    }
}

#[cfg(test)]
mod tests {
    use super::*;

    #[test]
    fn sizes_are_written_with_their_unit() {
        assert_eq!("1MiB".parse(), Ok(ByteSize::mib(1)));
        assert_eq!("64 kB".parse(), Ok(ByteSize::bytes(64_000)));
        for refused in ["1", "MiB", "1.5MiB", "-1B", "1 mib", "99999999999GiB", ""] {
            assert_eq!(refused.parse::<ByteSize>(), Err(()), "{refused}");
        }
    }

    #[test]
    fn a_size_prints_in_the_greatest_unit_that_fits_evenly() {
        let printed = [0, 1023, 1024, 1536, 1 << 20, 3 << 30].map(|bytes| ByteSize::bytes(bytes).to_string());
        assert_eq!(printed, ["0B", "1023B", "1KiB", "1536B", "1MiB", "3GiB"]);
    }
}
