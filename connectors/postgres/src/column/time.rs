//! Dates, times and intervals in the numbers that Postgres keeps, without loss.

use std::ops::Range;

use apache_avro::types::Value;

use super::{Form, Unfit};

/// Microseconds from 1970 to 2000, where Postgres counts from.
pub(super) const EPOCH_MICROS: i64 = 946_684_800_000_000;
pub(super) const DAY_MICROS: i64 = 86_400_000_000;
/// The range of a timestamp, in microseconds since 2000 (`IS_VALID_TIMESTAMP`): from 4714 BC to 294276.
pub(super) const TIMESTAMPS: Range<i64> = -211_813_488_000_000_000..9_223_371_331_200_000_000;
/// Days from 1970 to 2000.
const EPOCH_DAYS: i32 = 10_957;

impl Form {
    /// Requires that the microseconds have no more decimal digits of a second than the column.
    pub(super) fn check_fraction(self, micros: i64) -> Result<(), Unfit> {
        match self {
            Self::Fraction(digits) if micros % 10_i64.pow(6_u32.saturating_sub(digits)) != 0 => Err(Unfit::DIGITS),
            _ => Ok(()),
        }
    }
}

/// The instant at which a day begins, in microseconds since 2000. The ends of the range mean infinity in both types.
pub(super) fn midnight(days: i32) -> Result<i64, Unfit> {
    match days {
        i32::MAX => Ok(i64::MAX),
        i32::MIN => Ok(i64::MIN),
        // Since 1970, the last days of the range would overflow.
        _ => (i64::from(days) - i64::from(EPOCH_DAYS))
            .checked_mul(DAY_MICROS)
            .filter(|micros| TIMESTAMPS.contains(micros))
            .ok_or(Unfit::RANGE),
    }
}

/// The day of a value since 2000. The ends of the range mean infinity to Postgres and to Debezium's connectors.
///
/// # Errors
/// The value is an instant within a day.
pub(super) fn date(value: &Value) -> Result<i32, Unfit> {
    let days = match value {
        Value::Date(days) => *days,
        _ => match instant(value)? {
            i64::MAX => i32::MAX,
            i64::MIN => i32::MIN,
            micros if micros % DAY_MICROS == 0 => i32::try_from(micros / DAY_MICROS).map_err(|_| Unfit::RANGE)?,
            _ => return Err(Unfit::EXACT),
        },
    };
    match days {
        i32::MIN | i32::MAX => Ok(days),
        _ => days.checked_sub(EPOCH_DAYS).filter(|days| *days != i32::MIN).ok_or(Unfit::RANGE),
    }
}

/// The microseconds of a time. They are the time of a day, or an amount of time as in `MySQL`.
pub(super) fn clock(value: &Value) -> Result<i64, Unfit> {
    match value {
        Value::TimeMillis(millis) => Ok(i64::from(*millis) * 1_000),
        Value::TimeMicros(micros) => Ok(*micros),
        _ => Err(Unfit::RANGE),
    }
}

/// The microseconds of a timestamp since 1970, whose ends mean infinity.
pub(super) fn instant(value: &Value) -> Result<i64, Unfit> {
    match value {
        Value::TimestampMillis(millis) | Value::LocalTimestampMillis(millis) => {
            millis.checked_mul(1_000).ok_or(Unfit::RANGE)
        }
        Value::TimestampMicros(micros) | Value::LocalTimestampMicros(micros) => Ok(*micros),
        _ => Err(Unfit::RANGE),
    }
}

/// The microseconds, days and months of an interval.
pub(super) fn interval(value: &Value) -> Result<(i64, i32, i32), Unfit> {
    match value {
        Value::Duration(duration) => {
            let days = i32::try_from(u32::from(duration.days())).map_err(|_| Unfit::RANGE)?;
            let months = i32::try_from(u32::from(duration.months())).map_err(|_| Unfit::RANGE)?;
            Ok((i64::from(u32::from(duration.millis())) * 1_000, days, months))
        }
        Value::Long(micros) => Ok((*micros, 0, 0)),
        _ => Ok((clock(value)?, 0, 0)),
    }
}
