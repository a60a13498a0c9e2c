//! Converts values of semantic types. Nothing is rounded: a value that cannot be represented is refused.

use apache_avro::types::Value;
use jiff::{Timestamp, civil, tz::TimeZone};

use super::semantic::Semantic;
use crate::avro::binary::read::{Malformed, Reader};

/// Debezium's values for `infinity` and `-infinity`, those of the Postgres JDBC driver.
const INFINITY: i64 = 9_223_372_036_825_200_000;
const MINUS_INFINITY: i64 = -9_223_372_036_832_400_000;

/// The same as text of `java.time`, with the numbers read as milliseconds and as microseconds.
const INFINITY_TEXTS: [&str; 3] = ["+292278994-08-16T23:00:00Z", "+294247-01-10T04:00:25.2Z", "infinity"];
const MINUS_INFINITY_TEXTS: [&str; 3] = ["-292275055-05-16T23:00:00Z", "-290308-12-21T19:59:27.6Z", "-infinity"];

/// Debezium's values for the infinities of a date: 5877611-06-21 and -5877611-06-22, as days since the epoch.
const INFINITE_DAY: i32 = 2_146_033_979;
const MINUS_INFINITE_DAY: i32 = -2_147_472_691;

impl Semantic {
    /// Reads and converts a value. The infinities of a date or timestamp become the maximum and minimum of the type.
    pub(super) fn read(self, reader: &mut Reader) -> Result<Value, Malformed> {
        Ok(match self {
            Self::Days => Value::Date(days(reader.int()?)),
            Self::LocalMillis => Value::LocalTimestampMicros(local_millis(reader.long()?)?),
            Self::LocalMicros => Value::LocalTimestampMicros(local_micros(reader.long()?)),
            Self::ZonedTimestamp => Value::TimestampMicros(zoned(reader.text()?)?),
            Self::IsoTimestamp => Value::LocalTimestampMicros(iso_timestamp(reader.text()?)?),
            Self::IsoDate => Value::Date(iso_date(reader.text()?)?),
            Self::IsoTime => Value::TimeMicros(iso_time(reader.text()?)?),
            Self::Json => {
                let text = reader.text()?;
                Value::String(reader.owned(text)?)
            }
            Self::VariableScaleDecimal { scale_first } => {
                let mut scale = if scale_first { reader.int()? } else { 0 };
                let unscaled = reader.sized()?;
                if !scale_first {
                    scale = reader.int()?;
                }
                Value::BigDecimal(reader.number(unscaled, scale.into())?)
            }
            Self::Zeros(zeros) => {
                let unscaled = reader.sized()?;
                Value::BigDecimal(reader.number(unscaled, -i64::from(zeros))?)
            }
            Self::NanoTime => Value::Long(reader.long()?),
        })
    }
}

fn local_millis(millis: i64) -> Result<i64, Malformed> {
    // For columns with a precision of at most 3, Debezium divides microseconds by 1,000, including those of an
    // infinity.
    match millis {
        _ if millis == INFINITY || millis == INFINITY / 1_000 => Ok(i64::MAX),
        _ if millis == MINUS_INFINITY || millis == MINUS_INFINITY / 1_000 => Ok(i64::MIN),
        _ => millis.checked_mul(1_000).ok_or(Malformed::OutOfRange),
    }
}

fn local_micros(micros: i64) -> i64 {
    match micros {
        INFINITY => i64::MAX,
        MINUS_INFINITY => i64::MIN,
        _ => micros,
    }
}

fn infinity(text: &str) -> Option<i64> {
    if INFINITY_TEXTS.contains(&text) {
        return Some(i64::MAX);
    }
    MINUS_INFINITY_TEXTS.contains(&text).then_some(i64::MIN)
}

fn days(days: i32) -> i32 {
    match days {
        INFINITE_DAY => i32::MAX,
        MINUS_INFINITE_DAY => i32::MIN,
        _ => days,
    }
}

fn zoned(text: &str) -> Result<i64, Malformed> {
    if let Some(infinity) = infinity(text) {
        return Ok(infinity);
    }
    let instant: Timestamp = text.parse().map_err(|_| Malformed::Time)?;
    if instant.subsec_nanosecond() % 1_000 != 0 {
        return Err(Malformed::Nanoseconds);
    }
    Ok(instant.as_microsecond())
}

/// Removes the `Z` that Debezium may append to dates and times without a zone.
fn without_zone(text: &str) -> &str {
    text.strip_suffix('Z').unwrap_or(text)
}

fn iso_timestamp(text: &str) -> Result<i64, Malformed> {
    if let Some(infinity) = infinity(text) {
        return Ok(infinity);
    }
    let local: civil::DateTime = without_zone(text).parse().map_err(|_| Malformed::Time)?;
    if local.subsec_nanosecond() % 1_000 != 0 {
        return Err(Malformed::Nanoseconds);
    }
    TimeZone::UTC.to_timestamp(local).map(Timestamp::as_microsecond).map_err(|_| Malformed::OutOfRange)
}

fn iso_date(text: &str) -> Result<i32, Malformed> {
    let day: civil::Date = without_zone(text).parse().map_err(|_| Malformed::Time)?;
    let since = day.since(civil::date(1970, 1, 1)).map_err(|_| Malformed::OutOfRange)?;
    Ok(since.get_days())
}

fn iso_time(text: &str) -> Result<i64, Malformed> {
    let time: civil::Time = without_zone(text).parse().map_err(|_| Malformed::Time)?;
    let nanos = time.duration_since(civil::Time::midnight()).as_nanos();
    if nanos % 1_000 != 0 {
        return Err(Malformed::Nanoseconds);
    }
    i64::try_from(nanos / 1_000).map_err(|_| Malformed::OutOfRange)
}
