//! Points in time, to the microsecond, in each of Close's written forms (reference, section 8.1).

use jiff::{civil, tz::Offset};
use serde::{Deserialize, Serialize};

/// Microseconds since 1970-01-01T00:00:00Z.
#[derive(Clone, Copy, Debug, PartialEq, Eq, PartialOrd, Ord, Hash, Serialize, Deserialize)]
pub struct Moment(pub i64);

/// A day of the Gregorian calendar, as days since 1970-01-01.
#[derive(Clone, Copy, Debug, PartialEq, Eq, PartialOrd, Ord, Hash, Serialize, Deserialize)]
pub struct Day(pub i32);

/// The written form of a kind's moments.
#[derive(Clone, Copy, Debug, PartialEq, Eq)]
pub enum Stamps {
    /// `2026-02-03T09:15:33.478000+00:00`; a fraction of zero is left out.
    Offset,
    /// `2026-02-03T09:15:33.478000`; a fraction of zero is left out.
    Naive,
}

impl Moment {
    /// The date of built-in roles, written `0001-01-01T00:00:00`.
    pub const SENTINEL: Moment = Moment(i64::MIN);
    /// Earlier than every moment that can be parsed.
    pub const FIRST: Moment = Moment(i64::MIN + 1);
    /// Later than every moment that can be parsed.
    pub const LAST: Moment = Moment(i64::MAX);

    pub fn plus_millis(self, millis: i64) -> Self {
        Self(self.0.saturating_add(millis.saturating_mul(1_000)))
    }

    pub fn plus_secs(self, secs: i64) -> Self {
        self.plus_millis(secs.saturating_mul(1_000))
    }

    /// Adds days of 24 hours.
    pub fn plus_days(self, days: i64) -> Self {
        self.plus_secs(days.saturating_mul(86_400))
    }

    /// Milliseconds since `earlier`; negative if `earlier` is later.
    pub fn millis_since(self, earlier: Self) -> i64 {
        self.0.saturating_sub(earlier.0) / 1_000
    }

    /// Truncates to the millisecond, the precision of a document store.
    pub fn to_millis(self) -> Self {
        Self(self.0.div_euclid(1_000) * 1_000)
    }

    /// Truncates to the second.
    pub fn to_secs(self) -> Self {
        Self(self.0.div_euclid(1_000_000) * 1_000_000)
    }

    /// The day at an offset in minutes from UTC.
    pub fn day(self, offset_minutes: i32) -> Day {
        let local = self.0.saturating_add(i64::from(offset_minutes) * 60_000_000);
        Day(i32::try_from(local.div_euclid(86_400_000_000)).unwrap_or(0))
    }

    /// The machine's time, to the millisecond.
    pub fn system() -> Self {
        Self(jiff::Timestamp::now().as_microsecond()).to_millis()
    }

    /// The form of the header `date`, without the fraction; `None` for years that it cannot show.
    pub fn http_date(self) -> Option<String> {
        let at = jiff::Timestamp::from_microsecond(self.to_secs().0).ok()?;
        jiff::fmt::rfc2822::DateTimePrinter::new().timestamp_to_rfc9110_string(&at).ok()
    }

    /// Appends the written form, without quotes.
    pub fn write(self, stamps: Stamps, out: &mut Vec<u8>) {
        if self == Self::SENTINEL {
            out.extend_from_slice(b"0001-01-01T00:00:00");
            return;
        }
        let at = jiff::Timestamp::from_microsecond(self.0).unwrap_or(jiff::Timestamp::UNIX_EPOCH);
        let at = Offset::UTC.to_datetime(at);
        write_date(at.date(), out);
        out.push(b'T');
        digits(at.hour().unsigned_abs().into(), 2, out);
        out.push(b':');
        digits(at.minute().unsigned_abs().into(), 2, out);
        out.push(b':');
        digits(at.second().unsigned_abs().into(), 2, out);
        let micros = at.subsec_nanosecond().unsigned_abs() / 1_000;
        if micros > 0 {
            out.push(b'.');
            digits(micros, 6, out);
        }
        if stamps == Stamps::Offset {
            out.extend_from_slice(b"+00:00");
        }
    }

    pub fn text(self, stamps: Stamps) -> String {
        let mut out = Vec::with_capacity(32);
        self.write(stamps, &mut out);
        String::from_utf8(out).expect("ASCII")
    }

    /// Parses a date or a date with time. A text without offset is read at `offset_minutes` from UTC.
    pub fn parse(text: &str, offset_minutes: i32) -> Option<Self> {
        // A `+` of an offset that was not percent-encoded arrives as a blank.
        let text = text.trim().replacen(
            ' ',
            if text.trim().matches(' ').count() == 1 && text.contains('T') { "+" } else { "T" },
            1,
        );
        if let Ok(at) = text.parse::<jiff::Timestamp>() {
            return Some(Self(at.as_microsecond()));
        }
        let local =
            text.parse::<civil::DateTime>().ok().or_else(|| Some(text.parse::<civil::Date>().ok()?.at(0, 0, 0, 0)))?;
        let at = Offset::from_seconds(offset_minutes.checked_mul(60)?).ok()?.to_timestamp(local).ok()?;
        Some(Self(at.as_microsecond()))
    }
}

impl Day {
    /// Appends `YYYY-MM-DD`.
    pub fn write(self, out: &mut Vec<u8>) {
        write_date(self.civil(), out);
    }

    /// The midnight that begins the day, at an offset in minutes from UTC.
    pub fn start(self, offset_minutes: i32) -> Moment {
        Moment(i64::from(self.0) * 86_400_000_000 - i64::from(offset_minutes) * 60_000_000)
    }

    /// Parses `YYYY-MM-DD`, or the date part of a date with time.
    pub fn parse(text: &str) -> Option<Self> {
        let date: civil::Date = text.trim().get(..10)?.parse().ok()?;
        if text.trim().len() > 10 {
            Moment::parse(text, 0)?;
        }
        let days = date.since(civil::Date::constant(1970, 1, 1)).ok()?.get_days();
        Some(Self(days))
    }

    fn civil(self) -> civil::Date {
        civil::Date::constant(1970, 1, 1).checked_add(jiff::Span::new().days(self.0)).unwrap_or(civil::Date::MAX)
    }
}

fn write_date(date: civil::Date, out: &mut Vec<u8>) {
    digits(date.year().unsigned_abs().into(), 4, out);
    out.push(b'-');
    digits(date.month().unsigned_abs().into(), 2, out);
    out.push(b'-');
    digits(date.day().unsigned_abs().into(), 2, out);
}

fn digits(mut value: u32, width: usize, out: &mut Vec<u8>) {
    let start = out.len();
    out.resize(start + width, b'0');
    for byte in out[start..].iter_mut().rev() {
        *byte = b'0' + (value % 10) as u8;
        value /= 10;
    }
}

#[cfg(test)]
mod tests {
    use super::*;

    #[test]
    fn a_zero_fraction_is_left_out_and_others_have_six_digits() {
        let at = Moment::parse("2026-02-03T09:15:33.478Z", 0).unwrap();
        assert_eq!(at.text(Stamps::Offset), "2026-02-03T09:15:33.478000+00:00");
        assert_eq!(at.to_secs().text(Stamps::Naive), "2026-02-03T09:15:33");
        assert_eq!(Moment::SENTINEL.text(Stamps::Naive), "0001-01-01T00:00:00");
    }

    #[test]
    fn what_has_no_offset_is_local_to_the_caller() {
        let utc = Moment::parse("2026-02-03T12:00:00Z", 0);
        assert_eq!(Moment::parse("2026-02-03T08:00:00", -240), utc);
        assert_eq!(Moment::parse("2026-02-03T12:00:00+00:00", -240), utc);
        assert_eq!(Moment::parse("2026-02-03T12:00:00 00:00", -240), utc, "a plus that the URL decoding ate");
        assert_eq!(Moment::parse("2026-02-03 12:00:00", 0), utc);
        assert_eq!(Moment::parse("2026-02-03", 0).unwrap().day(0), Day::parse("2026-02-03").unwrap());
        assert_eq!(Moment::parse("yesterday", 0), None);
    }

    #[test]
    fn days_before_1970_and_after_are_written_back() {
        for text in ["1969-12-31", "1970-01-01", "2026-02-28", "2028-02-29"] {
            let mut out = Vec::new();
            Day::parse(text).unwrap().write(&mut out);
            assert_eq!(out, text.as_bytes());
        }
    }
}
