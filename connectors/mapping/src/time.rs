//! Dates, times of day and timestamps in the extended format of ISO 8601.
//!
//! RFC 3339 is the norm. Beyond it are taken the forms that widespread libraries print and that have one meaning only:
//! no seconds, a comma before the fraction, a space for the `T` and before the offset, an offset without colon or
//! without minutes, `UTC` and `GMT` for `Z`, and 24:00 for the end of a day.
//!
//! What always holds: a text is taken exactly or refused. Digits beyond the type's precision are refused unless they
//! are zeros, an offset is never guessed, and the name of a time zone is not looked up.

#[cfg(test)]
mod tests;

use jiff::civil::{self, Date};

use crate::misfit::{Violation, quote};

type Result<T> = std::result::Result<T, Violation>;
/// A part of a text, or the reason why the text cannot be taken; empty if it has no form that is known.
type Parsed<T> = std::result::Result<T, &'static str>;

const SECONDS_PER_DAY: i64 = 86_400;
const NO_ZONE: &str = "it has no time zone";
const HAS_ZONE: &str = "it has a time zone, or more";
const ZONE_NAME: &str = "the name of a time zone is not taken, only an offset such as `+01:00`";

/// `YYYY-MM-DD` as days since 1970-01-01.
pub(crate) fn date(text: &str) -> Result<i32> {
    let days = days(text).and_then(|days| i32::try_from(days).map_err(|_| ""));
    days.map_err(|why| refused("a date `YYYY-MM-DD`", why, text))
}

/// `HH:MM[:SS[.fraction]]` in units of 10^-`digits` seconds since midnight.
pub(crate) fn time(text: &str, digits: usize) -> Result<i64> {
    let what = "a time of day `HH:MM:SS[.fraction]`";
    let clock = clock(text).and_then(|clock| match clock {
        Clock { rest: "", seconds: SECONDS_PER_DAY, .. } => Err("24:00 belongs to the next day"),
        Clock { rest: "", .. } => Ok(clock),
        _ => Err(HAS_ZONE),
    });
    let clock = clock.map_err(|why| refused(what, why, text))?;
    scaled(clock.seconds, clock.fraction, digits, text)
}

/// A date, a time of day and an offset from UTC, in units of 10^-`digits` seconds since the epoch.
pub(crate) fn timestamp(text: &str, digits: usize) -> Result<i64> {
    let what = "a timestamp with time zone (RFC 3339), for example `2026-01-31T12:00:00Z`";
    let read = || {
        let (day, clock) = date_and_clock(text)?;
        Ok((day + clock.seconds - offset(clock.rest)?, clock.fraction))
    };
    let (seconds, fraction) = read().map_err(|why| refused(what, why, text))?;
    scaled(seconds, fraction, digits, text)
}

/// A date and a time of day without time zone, in units of 10^-`digits` seconds since the local epoch.
pub(crate) fn local_timestamp(text: &str, digits: usize) -> Result<i64> {
    let what = "a local date and time without time zone, for example `2026-01-31T12:00:00`";
    let local = date_and_clock(text).and_then(|read| if read.1.rest.is_empty() { Ok(read) } else { Err(HAS_ZONE) });
    let (day, clock) = local.map_err(|why| refused(what, why, text))?;
    scaled(day + clock.seconds, clock.fraction, digits, text)
}

fn refused(what: &str, why: &str, text: &str) -> Violation {
    let colon = if why.is_empty() { "" } else { ": " };
    Violation::new("format", format!("expected {what}, got {}{colon}{why}", quote(text)))
}

fn days(text: &str) -> Parsed<i64> {
    let (year, rest) = number(text, 4)?;
    let (month, rest) = number(rest.strip_prefix('-').ok_or("")?, 2)?;
    let (day, rest) = number(rest.strip_prefix('-').ok_or("")?, 2)?;
    if !rest.is_empty() {
        return Err("it has more than a date");
    }
    let small = |number: i64| i8::try_from(number).unwrap_or(0);
    let date = Date::new(i16::try_from(year).unwrap_or(0), small(month), small(day));
    let date = date.map_err(|_| "the calendar has no such day")?;
    Ok(date.duration_since(civil::date(1970, 1, 1)).as_hours() / 24)
}

/// A time of day.
struct Clock<'t> {
    /// Whole seconds since midnight; [`SECONDS_PER_DAY`] for 24:00.
    seconds: i64,
    /// The digits of the fraction.
    fraction: &'t str,
    /// The text after it: the offset, if there is one.
    rest: &'t str,
}

/// A leap second is refused: no Avro type distinguishes it from the next second.
fn clock(text: &str) -> Parsed<Clock<'_>> {
    let (hours, rest) = number(text, 2)?;
    let (minutes, mut rest) = number(rest.strip_prefix(':').ok_or("")?, 2)?;
    let (mut seconds, mut fraction) = (0, "");
    if let Some(text) = rest.strip_prefix(':') {
        (seconds, rest) = number(text, 2)?;
        if let Some(text) = rest.strip_prefix(['.', ',']) {
            (fraction, rest) = text.split_at(text.bytes().take_while(u8::is_ascii_digit).count());
            if fraction.is_empty() {
                return Err("");
            }
        }
    }
    let is_midnight = hours == 24 && minutes == 0 && seconds == 0 && fraction.bytes().all(|digit| digit == b'0');
    if (hours > 23 && !is_midnight) || minutes > 59 || seconds > 60 {
        return Err("there is no such time of day");
    }
    if seconds == 60 {
        return Err("no type has a value for a leap second");
    }
    Ok(Clock { seconds: hours * 3_600 + minutes * 60 + seconds, fraction, rest })
}

/// Seconds from the epoch to the beginning of the day, and the time of day.
fn date_and_clock(text: &str) -> Parsed<(i64, Clock<'_>)> {
    let (date, rest) = text.split_at_checked(10).ok_or("")?;
    let day = days(date)? * SECONDS_PER_DAY;
    if rest.is_empty() {
        return Err("it has no time of day");
    }
    Ok((day, clock(rest.strip_prefix(['T', 't', ' ']).ok_or("")?)?))
}

/// Seconds east of UTC: `Z`, `UTC`, `GMT`, `±HH`, `±HHMM`, `±HH:MM` or `±HH:MM:SS`.
fn offset(zone: &str) -> Parsed<i64> {
    let zone = zone.strip_prefix(' ').unwrap_or(zone);
    if ["Z", "UTC", "GMT"].iter().any(|utc| zone.eq_ignore_ascii_case(utc)) {
        return Ok(0);
    }
    if zone.is_empty() {
        return Err(NO_ZONE);
    }
    if zone.contains(|letter: char| letter.is_alphabetic()) {
        return Err(ZONE_NAME);
    }
    let (sign, zone) = match zone.split_at_checked(1) {
        Some(("+", zone)) => (1, zone),
        Some(("-", zone)) => (-1, zone),
        _ => return Err(""),
    };
    let (hours, mut rest) = number(zone, 2)?;
    let (mut minutes, mut seconds) = (0, 0);
    if let Some(text) = rest.strip_prefix(':') {
        (minutes, rest) = number(text, 2)?;
        if let Some(text) = rest.strip_prefix(':') {
            (seconds, rest) = number(text, 2)?;
        }
    } else if !rest.is_empty() {
        (minutes, rest) = number(rest, 2)?;
    }
    if !rest.is_empty() {
        return Err("");
    }
    if hours > 23 || minutes > 59 || seconds > 59 {
        return Err("there is no such offset");
    }
    Ok(sign * (hours * 3_600 + minutes * 60 + seconds))
}

/// A number of exactly `width` digits, and the text after it.
fn number(text: &str, width: usize) -> Parsed<(i64, &str)> {
    let (digits, rest) = text.split_at_checked(width).ok_or("")?;
    let is_number = digits.bytes().all(|digit| digit.is_ascii_digit());
    let value = digits.bytes().fold(0, |number, digit| number * 10 + i64::from(digit.wrapping_sub(b'0')));
    if is_number { Ok((value, rest)) } else { Err("") }
}

/// Seconds and a fraction in units of 10^-`digits` seconds.
fn scaled(seconds: i64, fraction: &str, digits: usize, text: &str) -> Result<i64> {
    let kept = &fraction[..fraction.len().min(digits)];
    if fraction[kept.len()..].bytes().any(|digit| digit != b'0') {
        return Err(Violation::new("precision", format!("more than {digits} digits of a second: {}", quote(text))));
    }
    let units = kept.bytes().fold(0, |number, digit| number * 10 + i64::from(digit - b'0'));
    let whole =
        seconds.checked_mul(power(digits)).and_then(|whole| whole.checked_add(units * power(digits - kept.len())));
    whole.ok_or_else(|| Violation::new("range", format!("out of the range of the type: {}", quote(text))))
}

fn power(digits: usize) -> i64 {
    (0..digits).fold(1, |power, _| power * 10)
}
