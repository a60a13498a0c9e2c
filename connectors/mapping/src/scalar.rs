//! Strings that encode one value: decimals, UUIDs, bytes.
//!
//! What always holds: a value is taken exactly or refused. Digits beyond the type's precision are refused unless they
//! are zeros; nothing is rounded or truncated.

use apache_avro::types::Value;
use base64::{Engine, engine::general_purpose::STANDARD};
use num_bigint::BigInt;
use uuid::Uuid;

use crate::misfit::{Violation, quote};

type Result<T> = std::result::Result<T, Violation>;

/// Maximum characters of a number or a decimal, as written. The longest double has 1,077, written out exactly.
pub(crate) const MAX_NUMBER: usize = 2_000;
/// Maximum exponent, positive or negative. A number with a larger one would take gigabytes when written out.
const MAX_EXPONENT: i32 = 400;

fn format(what: &str, text: &str) -> Violation {
    Violation::new("format", format!("expected {what}, got {}", quote(text)))
}

/// The unscaled value of a decimal with `scale` digits after the point, as Avro encodes it: big-endian two's
/// complement in its shortest form.
pub(crate) fn decimal(text: &str, precision: usize, scale: usize) -> Result<Vec<u8>> {
    let wrong = || format(&format!("a decimal of at most {precision} digits, {scale} of them after the point"), text);
    if text.len() > MAX_NUMBER {
        return Err(too_long(text));
    }
    let (mantissa, power) = text.split_once(['e', 'E']).unwrap_or((text, "0"));
    let (negative, mantissa) = mantissa.strip_prefix('-').map_or((false, mantissa), |rest| (true, rest));
    let (whole, fraction) = mantissa.split_once('.').unwrap_or((mantissa, "0"));
    let digits_only = |part: &str| !part.is_empty() && part.bytes().all(|byte| byte.is_ascii_digit());
    if !digits_only(whole) || !digits_only(fraction) || !digits_only(power.strip_prefix(['+', '-']).unwrap_or(power)) {
        return Err(wrong());
    }
    let mut digits = [whole, fraction].concat();
    if digits.bytes().all(|digit| digit == b'0') {
        return Ok(vec![0]);
    }
    let exponent = power.parse().ok().filter(|power| (-MAX_EXPONENT..=MAX_EXPONENT).contains(power));
    let exponent = exponent
        .ok_or_else(|| Violation::new("precision", format!("an exponent over {MAX_EXPONENT}: {}", quote(text))))?;
    // value = digits × 10^(exponent − length of fraction); unscaled = value × 10^scale
    let point = i64::from(exponent) - count(fraction.len()) + count(scale);
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

/// The refusal of a number of over [`MAX_NUMBER`] characters.
pub(crate) fn too_long(text: &str) -> Violation {
    Violation::new("range", format!("more than {MAX_NUMBER} characters in a number: {}", quote(text)))
}

fn count(length: usize) -> i64 {
    i64::try_from(length).unwrap_or(i64::MAX)
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
            ("0e-99999999999", 0),
            ("9999999999.99", 999_999_999_999),
        ] {
            assert_eq!(unscaled(text, 12, 2), Ok(expected), "{text}");
        }
    }

    #[test]
    fn a_decimal_beyond_precision_or_scale_is_refused() {
        for text in ["0.001", "1e-3", "10000000000.00", "1e11", "1e400", "1e-400", "1e401", "1e-401", "1e999999999999"]
        {
            assert_eq!(unscaled(text, 12, 2), Err("precision"), "{text}");
        }
        for text in ["", "-", ".5", "5.", "+5", "1,5", "0x1", "1e", "1e+", "1e1e1", "1e0.5", "NaN", " 1"] {
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
        fn no_text_causes_a_panic(text: String, near in r"[0-9.+eE -]{0,32}") {
            for text in [&text, &near] {
                let _ = (decimal(text, 10, 2), uuid(text), bytes(text));
            }
        }
    }
}
