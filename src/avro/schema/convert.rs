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

/// Debezium's values for the infinities of a date, as days since the epoch: overflows that differ between its snapshot,
/// its stream and its versions (seen with 3.6).
const INFINITE_DAYS: [i32; 3] = [2_146_033_979, -622_191_234, -2_147_472_692];
const MINUS_INFINITE_DAYS: [i32; 2] = [-625_821_272, -2_147_472_691];

impl Semantic {
    /// Reads and converts a value. The infinities of a date or timestamp become the maximum and minimum of the type.
    pub(super) fn read(self, reader: &mut Reader) -> Result<Value, Malformed> {
        Ok(match self {
            Self::Days => Value::Date(days(reader.int()?)),
            Self::LocalMillis => Value::LocalTimestampMicros(local_millis(reader.long()?)?),
            Self::LocalMicros => Value::LocalTimestampMicros(local_micros(reader.long()?)),
            Self::Millis => Value::TimestampMicros(local_millis(reader.long()?)?),
            Self::ZonedTimestamp => Value::TimestampMicros(zoned(reader)?),
            Self::IsoTimestamp => Value::LocalTimestampMicros(iso_timestamp(reader)?),
            Self::IsoDate => Value::Date(iso_date(reader.text()?)?),
            Self::IsoTime => Value::TimeMicros(iso_time(reader)?),
            // A finer time is kept, and refused where it is written to a column, if it is.
            Self::Nanos | Self::LocalNanos | Self::NanosOfDay => {
                let nanos = reader.long()?;
                match (self, reader.micros(nanos.into())) {
                    (Self::Nanos, Ok(micros)) => Value::TimestampMicros(micros),
                    (Self::LocalNanos, Ok(micros)) => Value::LocalTimestampMicros(micros),
                    (_, Ok(micros)) => Value::TimeMicros(micros),
                    (Self::Nanos, Err(_)) => Value::TimestampNanos(nanos),
                    (_, Err(_)) => Value::LocalTimestampNanos(nanos),
                }
            }
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
            Self::Bits => {
                let bits = reader.sized()?;
                Value::Bytes(reader.owned_bytes(bits)?)
            }
            Self::NanoTime | Self::MicroDuration => Value::Long(reader.long()?),
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
        _ if INFINITE_DAYS.contains(&days) => i32::MAX,
        _ if MINUS_INFINITE_DAYS.contains(&days) => i32::MIN,
        _ => days,
    }
}

fn zoned(reader: &mut Reader) -> Result<i64, Malformed> {
    let text = reader.text()?;
    if let Some(infinity) = infinity(text) {
        return Ok(infinity);
    }
    if let Ok(instant) = text.parse::<Timestamp>() {
        return reader.micros(instant.as_nanosecond());
    }
    let Near { text, days } = Near::of(text).ok_or(Malformed::Time)?;
    let instant: Timestamp = text.parse().map_err(|_| Malformed::Time)?;
    far(reader.micros(instant.as_nanosecond())?, days)
}

/// Removes the `Z` that Debezium may append to dates and times without a zone.
fn without_zone(text: &str) -> &str {
    text.strip_suffix('Z').unwrap_or(text)
}

fn iso_timestamp(reader: &mut Reader) -> Result<i64, Malformed> {
    let text = reader.text()?;
    if let Some(infinity) = infinity(text) {
        return Ok(infinity);
    }
    let Near { text, days } = Near::of(without_zone(text)).ok_or(Malformed::Time)?;
    let local: civil::DateTime = text.parse().map_err(|_| Malformed::Time)?;
    let near = TimeZone::UTC.to_timestamp(local).map_err(|_| Malformed::OutOfRange)?;
    far(reader.micros(near.as_nanosecond())?, days)
}

fn iso_date(text: &str) -> Result<i32, Malformed> {
    match without_zone(text) {
        "infinity" => return Ok(i32::MAX),
        "-infinity" => return Ok(i32::MIN),
        _ => {}
    }
    let Near { text, days } = Near::of(without_zone(text)).ok_or(Malformed::Time)?;
    let day: civil::Date = text.parse().map_err(|_| Malformed::Time)?;
    let since = day.since(civil::date(1970, 1, 1)).map_err(|_| Malformed::OutOfRange)?;
    i32::try_from(days + i64::from(since.get_days())).map_err(|_| Malformed::OutOfRange)
}

fn iso_time(reader: &mut Reader) -> Result<i64, Malformed> {
    let time: civil::Time = without_zone(reader.text()?).parse().map_err(|_| Malformed::Time)?;
    reader.micros(time.duration_since(civil::Time::midnight()).as_nanos())
}

/// A date or timestamp, moved into the range of jiff by whole cycles of the calendar: after 400 years its days repeat.
struct Near {
    text: String,
    /// The days by which the text was moved towards the present.
    days: i64,
}

impl Near {
    const CYCLE_YEARS: i32 = 400;
    const CYCLE_DAYS: i64 = 146_097;

    /// Moves a text whose year has a sign or any number of digits, as `java.time` writes years before 0 and after 9999.
    fn of(text: &str) -> Option<Self> {
        let (sign, digits) = match text.strip_prefix('-') {
            Some(digits) => (-1, digits),
            None => (1, text.strip_prefix('+').unwrap_or(text)),
        };
        let (year, rest) = digits.split_once('-')?;
        if year.len() < 4 || !year.bytes().all(|digit| digit.is_ascii_digit()) {
            return None;
        }
        let year = sign * year.parse::<i32>().ok()?;
        // 2000 to 2399, whose dates jiff knows with every offset.
        let near = 2_000 + year.rem_euclid(Self::CYCLE_YEARS);
        let cycles = (i64::from(year) - i64::from(near)) / i64::from(Self::CYCLE_YEARS);
        Some(Self { text: format!("{near:04}-{rest}"), days: cycles * Self::CYCLE_DAYS })
    }
}

/// Moves microseconds back by days. The ends of the range are the infinities, not times.
fn far(micros: i64, days: i64) -> Result<i64, Malformed> {
    let moved = i128::from(micros) + i128::from(days) * 86_400_000_000;
    let moved = i64::try_from(moved).map_err(|_| Malformed::OutOfRange)?;
    if moved == i64::MAX || moved == i64::MIN { Err(Malformed::OutOfRange) } else { Ok(moved) }
}

#[cfg(test)]
mod tests {
    use proptest::prelude::*;

    use super::*;

    fn zoned_text(text: &str) -> Result<i64, Malformed> {
        let mut datum = vec![u8::try_from(text.len() * 2).unwrap()];
        datum.extend_from_slice(text.as_bytes());
        zoned(&mut Reader::new(&datum))
    }

    #[test]
    fn years_of_any_size_are_read() {
        for (text, micros) in [
            ("+15000-12-31T23:40:28Z", 411_218_638_828_000_000),
            ("-0043-03-15T00:00:00Z", -63_517_824_000_000_000),
            ("9999-12-31T00:00:00.000000Z", 253_402_214_400_000_000),
            ("+9999-12-31T00:00:00Z", 253_402_214_400_000_000),
            ("-4712-01-01T00:00:00Z", -210_863_520_000_000_000),
            ("+15000-12-31T23:40:28.5+01:00", 411_218_635_228_500_000),
        ] {
            assert_eq!(zoned_text(text), Ok(micros), "{text}");
        }
        assert_eq!(zoned_text("+294276-12-31T00:00:00Z"), Err(Malformed::OutOfRange));
        for text in
            ["15-01-01T00:00:00Z", "+2026-02-30T00:00:00Z", "2100-02-29T00:00:00Z", "+99999999999-01-01T00:00:00Z", ""]
        {
            assert_eq!(zoned_text(text), Err(Malformed::Time), "{text}");
        }
        assert_eq!(iso_date("+15000-01-01Z"), Ok(4_759_110));
        assert_eq!(iso_date("-0043-03-15Z"), Ok(-735_160));
    }

    proptest! {
        #[test]
        fn a_moved_text_means_the_same(micros in -62_000_000_000_000_000_i64..253_000_000_000_000_000) {
            let instant = Timestamp::from_microsecond(micros).unwrap();
            let Near { text, days } = Near::of(&instant.to_string()).unwrap();
            let near: Timestamp = text.parse().unwrap();
            prop_assert_eq!(far(near.as_microsecond(), days), Ok(micros));
        }
    }
}
