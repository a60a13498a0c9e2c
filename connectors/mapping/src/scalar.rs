//! Strings that encode one value: decimals, dates, times, timestamps, UUIDs, bytes.
//!
//! What always holds: a value is taken exactly or refused. Digits beyond the type's precision are refused unless they
//! are zeros; nothing is rounded, truncated or converted to another time zone.

use apache_avro::types::Value;
use base64::{Engine, engine::general_purpose::STANDARD};
use jiff::civil::{self, Date};
use num_bigint::BigInt;
use uuid::Uuid;

use crate::{
    json::MAX_EXPONENT,
    misfit::{Violation, quote},
};

type Result<T> = std::result::Result<T, Violation>;

const SECONDS_PER_DAY: i64 = 86_400;
/// Maximum bytes of a decimal, as written.
const MAX_DECIMAL: usize = 1_000;

fn format(what: &str, text: &str) -> Violation {
    Violation::new("format", format!("expected {what}, got {}", quote(text)))
}

/// The unscaled value of a decimal with `scale` digits after the point, as Avro encodes it: big-endian two's
/// complement in its shortest form.
pub(crate) fn decimal(text: &str, precision: usize, scale: usize) -> Result<Vec<u8>> {
    let wrong = || format(&format!("a decimal of at most {precision} digits, {scale} of them after the point"), text);
    if text.len() > MAX_DECIMAL {
        return Err(wrong());
    }
    let (mantissa, exponent) = text.split_once(['e', 'E']).unwrap_or((text, "0"));
    let exponent: i32 = exponent.parse().map_err(|_| wrong())?;
    let (negative, mantissa) = mantissa.strip_prefix('-').map_or((false, mantissa), |rest| (true, rest));
    let (whole, fraction) = mantissa.split_once('.').unwrap_or((mantissa, "0"));
    let digits_only = |part: &str| !part.is_empty() && part.bytes().all(|byte| byte.is_ascii_digit());
    if !digits_only(whole) || !digits_only(fraction) || exponent.abs() > MAX_EXPONENT {
        return Err(wrong());
    }
    // value = digits × 10^(exponent − length of fraction); unscaled = value × 10^scale
    let mut digits = [whole, fraction].concat();
    let point = i64::from(exponent) - count(fraction.len()) + count(scale);
    if digits.bytes().all(|digit| digit == b'0') {
        return Ok(vec![0]);
    }
    if let Ok(missing) = usize::try_from(point) {
        digits.extend(std::iter::repeat_n('0', missing));
    } else {
        let kept = digits.len().saturating_sub(usize::try_from(-point).unwrap_or(usize::MAX));
        if digits[kept..].bytes().any(|digit| digit != b'0') {
            let message = format!("more than {scale} digits after the point: {}", quote(text));
            return Err(Violation::new("precision", message));
        }
        digits.truncate(kept);
    }
    let digits = digits.trim_start_matches('0');
    if digits.len() > precision {
        let message = format!("more than {precision} digits, {scale} of them after the point: {}", quote(text));
        return Err(Violation::new("precision", message));
    }
    let unscaled: BigInt = digits.parse().map_err(|_| wrong())?;
    Ok(if negative { -unscaled } else { unscaled }.to_signed_bytes_be())
}

fn count(length: usize) -> i64 {
    i64::try_from(length).unwrap_or(i64::MAX)
}

/// `YYYY-MM-DD` as days since 1970-01-01.
pub(crate) fn date(text: &str) -> Result<i32> {
    days(text).and_then(|days| i32::try_from(days).ok()).ok_or_else(|| format("a date `YYYY-MM-DD`", text))
}

/// `HH:MM:SS[.fraction]` in units of 10^-`digits` seconds since midnight.
pub(crate) fn time(text: &str, digits: usize) -> Result<i64> {
    let (seconds, fraction) = clock(text).ok_or_else(|| format("a time of day `HH:MM:SS[.fraction]`", text))?;
    Ok(seconds * power(digits) + units(fraction, digits, text)?)
}

/// `YYYY-MM-DDTHH:MM:SS[.fraction]` and a time zone (RFC 3339), in units of 10^-`digits` seconds since the epoch.
pub(crate) fn timestamp(text: &str, digits: usize) -> Result<i64> {
    let what = "a timestamp with time zone (RFC 3339), for example `2026-01-31T12:00:00Z`";
    let (civil, offset) = split_zone(text).ok_or_else(|| format(what, text))?;
    let (seconds, fraction) = date_and_clock(civil).ok_or_else(|| format(what, text))?;
    scaled(seconds - offset, fraction, digits, text)
}

/// `YYYY-MM-DDTHH:MM:SS[.fraction]` without time zone, in units of 10^-`digits` seconds since the local epoch.
pub(crate) fn local_timestamp(text: &str, digits: usize) -> Result<i64> {
    let what = "a local date and time without time zone, for example `2026-01-31T12:00:00`";
    let (seconds, fraction) = date_and_clock(text).ok_or_else(|| format(what, text))?;
    scaled(seconds, fraction, digits, text)
}

/// A UUID with hyphens.
pub(crate) fn uuid(text: &str) -> Result<Uuid> {
    let parsed = (text.len() == 36).then(|| Uuid::try_parse(text).ok()).flatten();
    parsed.ok_or_else(|| format("a UUID with hyphens", text))
}

/// Base64 in the standard alphabet, padded (RFC 4648, section 4).
pub(crate) fn bytes(text: &str) -> Result<Vec<u8>> {
    STANDARD.decode(text).map_err(|_| format("bytes in padded base64", text))
}

/// [`bytes`] of an exact size.
pub(crate) fn fixed(text: &str, size: usize) -> Result<Value> {
    let decoded = bytes(text)?;
    if decoded.len() != size {
        return Err(Violation::new("range", format!("expected {size} bytes, got {}", decoded.len())));
    }
    Ok(Value::Fixed(size, decoded))
}

fn days(text: &str) -> Option<i64> {
    let [year, month, day] = fields(text, [4, 2, 2], b'-')?;
    let date = Date::new(i16::try_from(year).ok()?, i8::try_from(month).ok()?, i8::try_from(day).ok()?).ok()?;
    Some(date.duration_since(civil::date(1970, 1, 1)).as_hours() / 24)
}

/// Seconds since midnight and the digits of the fraction. A leap second is refused: no Avro type distinguishes it from
/// the next second.
fn clock(text: &str) -> Option<(i64, &str)> {
    let (whole, fraction) = match text.split_once('.') {
        Some((_, "")) => return None,
        Some((whole, fraction)) => (whole, fraction),
        None => (text, ""),
    };
    let [hours, minutes, seconds] = fields(whole, [2, 2, 2], b':')?;
    let valid = hours < 24 && minutes < 60 && seconds < 60 && fraction.bytes().all(|byte| byte.is_ascii_digit());
    valid.then_some((hours * 3_600 + minutes * 60 + seconds, fraction))
}

/// Seconds since the epoch and the digits of the fraction.
fn date_and_clock(text: &str) -> Option<(i64, &str)> {
    let (date, rest) = text.split_at_checked(10)?;
    let clock_text = rest.strip_prefix(['T', 't', ' '])?;
    let (seconds, fraction) = clock(clock_text)?;
    Some((days(date)? * SECONDS_PER_DAY + seconds, fraction))
}

/// Splits off the time zone and returns its offset from UTC in seconds.
fn split_zone(text: &str) -> Option<(&str, i64)> {
    if let Some(civil) = text.strip_suffix(['Z', 'z']) {
        return Some((civil, 0));
    }
    let (civil, zone) = text.split_at_checked(text.len().checked_sub(6)?)?;
    let (sign, zone) = match zone.split_at_checked(1)? {
        ("+", zone) => (1, zone),
        ("-", zone) => (-1, zone),
        _ => return None,
    };
    let [hours, minutes] = fields(zone, [2, 2], b':')?;
    (hours < 24 && minutes < 60).then_some((civil, sign * (hours * 3_600 + minutes * 60)))
}

/// Numbers of exactly these widths, separated by `separator`.
fn fields<const N: usize>(text: &str, widths: [usize; N], separator: u8) -> Option<[i64; N]> {
    let mut numbers = [0; N];
    let mut rest = text.as_bytes();
    for (index, (number, width)) in numbers.iter_mut().zip(widths).enumerate() {
        if index > 0 {
            rest = rest.strip_prefix(&[separator])?;
        }
        let (digits, tail) = rest.split_at_checked(width)?;
        rest = tail;
        for digit in digits {
            *number = *number * 10 + i64::from(char::from(*digit).to_digit(10)?);
        }
    }
    rest.is_empty().then_some(numbers)
}

fn scaled(seconds: i64, fraction: &str, digits: usize, text: &str) -> Result<i64> {
    let units = units(fraction, digits, text)?;
    let whole = seconds.checked_mul(power(digits)).and_then(|whole| whole.checked_add(units));
    whole.ok_or_else(|| Violation::new("range", format!("out of the range of the type: {}", quote(text))))
}

/// A fraction of a second in units of 10^-`digits`.
fn units(fraction: &str, digits: usize, text: &str) -> Result<i64> {
    let kept = &fraction[..fraction.len().min(digits)];
    if fraction[kept.len()..].bytes().any(|digit| digit != b'0') {
        return Err(Violation::new("precision", format!("more than {digits} digits of a second: {}", quote(text))));
    }
    let number = kept.bytes().fold(0, |number, digit| number * 10 + i64::from(digit - b'0'));
    Ok(number * power(digits - kept.len()))
}

fn power(digits: usize) -> i64 {
    (0..digits).fold(1, |power, _| power * 10)
}

#[cfg(test)]
mod tests {
    use proptest::prelude::*;

    use super::*;

    fn unscaled(text: &str, precision: usize, scale: usize) -> std::result::Result<i128, &'static str> {
        let bytes = decimal(text, precision, scale).map_err(|wrong| wrong.code)?;
        let sign = if bytes[0] & 0x80 == 0 { 0 } else { 0xff };
        let mut wide = [sign; 16];
        wide[16 - bytes.len()..].copy_from_slice(&bytes);
        Ok(i128::from_be_bytes(wide))
    }

    #[test]
    fn decimals_are_exact() {
        for (text, expected) in [
            ("12.10", 1210),
            ("0.1", 10),
            ("-0.01", -1),
            ("1e2", 10_000),
            ("12100e-3", 1210),
            ("0.100000", 10),
            ("-0", 0),
            ("0e400", 0),
            ("9999999999.99", 999_999_999_999),
        ] {
            assert_eq!(unscaled(text, 12, 2), Ok(expected), "{text}");
        }
    }

    #[test]
    fn a_decimal_beyond_precision_or_scale_is_refused() {
        for text in ["0.001", "1e-3", "10000000000.00", "1e11", "1e400", "1e-400"] {
            assert_eq!(unscaled(text, 12, 2), Err("precision"), "{text}");
        }
        for text in ["", "-", ".5", "5.", "+5", "1,5", "0x1", "1e", "1e999999999999", "NaN", " 1"] {
            assert_eq!(unscaled(text, 12, 2), Err("format"), "{text}");
        }
    }

    #[test]
    fn decimals_are_in_their_shortest_form() {
        for (text, expected) in [
            ("127", &[0x7f][..]),
            ("128", &[0, 0x80]),
            ("-128", &[0x80]),
            ("-129", &[0xff, 0x7f]),
            ("-1", &[0xff]),
            ("-256", &[0xff, 0]),
            ("256", &[1, 0]),
        ] {
            assert_eq!(decimal(text, 5, 0).unwrap(), expected, "{text}");
        }
    }

    #[test]
    fn dates_are_days_since_the_epoch() {
        assert_eq!((date("1970-01-01"), date("2026-03-01"), date("1969-12-31")), (Ok(0), Ok(20_513), Ok(-1)));
        for text in ["2026-02-29", "2026-1-1", "20260101", "2026-01-01T00:00:00Z", "", "2026-13-01"] {
            assert_eq!(date(text).unwrap_err().code, "format", "{text}");
        }
    }

    #[test]
    fn times_are_exact() {
        assert_eq!((time("00:00:01.5", 3), time("23:59:59.999999", 6)), (Ok(1_500), Ok(86_399_999_999)));
        assert_eq!(time("00:00:00.0010000", 3), Ok(1));
        assert_eq!(time("00:00:00.0001", 3).unwrap_err().code, "precision");
        for text in ["24:00:00", "12:00", "12:00:60", "12:00:00.", "12:00:00Z", "1:00:00"] {
            assert_eq!(time(text, 3).unwrap_err().code, "format", "{text}");
        }
    }

    #[test]
    fn a_timestamp_needs_a_zone_and_a_local_timestamp_refuses_it() {
        assert_eq!(timestamp("2026-01-31T12:00:00.250Z", 3), Ok(1_769_860_800_250));
        assert_eq!(timestamp("2026-01-31T14:00:00+02:00", 6), Ok(1_769_860_800_000_000));
        assert_eq!(timestamp("1969-12-31 23:59:59.5-00:00", 3), Ok(-500));
        assert_eq!(local_timestamp("2026-01-31T12:00:00", 3), Ok(1_769_860_800_000));
        assert_eq!(timestamp("2026-01-31T12:00:00", 3).unwrap_err().code, "format");
        assert_eq!(local_timestamp("2026-01-31T12:00:00Z", 3).unwrap_err().code, "format");
        assert_eq!(timestamp("2026-01-31T12:00:00.0001Z", 3).unwrap_err().code, "precision");
        assert_eq!(timestamp("9999-12-31T00:00:00Z", 9).unwrap_err().code, "range");
        for text in [
            "",
            "Z",
            "2026-01-31",
            "2026-01-31T12:00:00+2:00",
            "2026-01-31T12:00:00+24:00",
            "é026-01-31T12:00:00Z",
            "2026-01-31Té2:00:00Z",
        ] {
            assert_eq!(timestamp(text, 3).unwrap_err().code, "format", "{text}");
        }
    }

    #[test]
    fn uuids_and_bytes_have_one_spelling() {
        assert!(uuid("018f4f3e-0000-7000-8000-00000000000A").is_ok());
        for text in ["018f4f3e000070008000000000000001", "{018f4f3e-0000-7000-8000-000000000001}", ""] {
            assert_eq!(uuid(text).unwrap_err().code, "format", "{text}");
        }
        assert_eq!(bytes("AP8=").unwrap(), [0, 255]);
        assert_eq!(bytes("AP8").unwrap_err().code, "format");
        assert_eq!(fixed("AP8=", 2), Ok(Value::Fixed(2, vec![0, 255])));
        assert_eq!(fixed("AP8=", 3).unwrap_err().code, "range");
    }

    proptest! {
        #[test]
        fn every_decimal_survives_the_round_trip(number: i64, scale in 0_usize..=18) {
            let digits = format!("{:019}", number.unsigned_abs());
            let (whole, fraction) = digits.split_at(digits.len() - scale);
            let sign = if number < 0 { "-" } else { "" };
            let text = if scale == 0 { format!("{sign}{whole}") } else { format!("{sign}{whole}.{fraction}") };
            prop_assert_eq!(unscaled(&text, 20, scale), Ok(i128::from(number)));
        }

        #[test]
        fn timestamps_agree_with_jiff(
            seconds in -62_000_000_000_i64..200_000_000_000, micros in 0_i32..1_000_000, minutes in -839_i32..840,
        ) {
            let moment = jiff::Timestamp::new(seconds, micros * 1_000).unwrap();
            let zone = jiff::tz::TimeZone::fixed(jiff::tz::Offset::from_seconds(minutes * 60).unwrap());
            let text = moment.to_zoned(zone).strftime("%Y-%m-%dT%H:%M:%S%.f%:z").to_string();
            prop_assert_eq!(timestamp(&text, 6), Ok(moment.as_microsecond()));
        }

        #[test]
        fn no_text_causes_a_panic(text: String, near in r"[0-9:TZ.+eE -]{0,32}") {
            for text in [&text, &near] {
                let _ = (decimal(text, 10, 2), date(text), time(text, 3), timestamp(text, 6));
                let _ = (local_timestamp(text, 9), uuid(text), bytes(text));
            }
        }
    }
}
