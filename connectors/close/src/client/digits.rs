//! Numbers with more digits than a number in memory holds.
//!
//! JSON's numbers are read as 64-bit integers or floats. A number that would be rounded, or that has no float, is made
//! a text before it is parsed, so that all of its digits are kept: a field for numbers takes it as it is written
//! (`record::value`), and any other keeps it as a text.

use std::borrow::Cow;

/// The significant digits that every float holds.
const HELD: usize = 15;

/// The same JSON, with quotes around numbers that would be rounded. Borrowed if there is none.
pub(super) fn kept(json: &[u8]) -> Cow<'_, [u8]> {
    let mut quoted: Option<Vec<u8>> = None;
    let (mut at, mut copied) = (0, 0);
    while let Some(&byte) = json.get(at) {
        match byte {
            b'"' => at = end_of_text(json, at),
            b'-' | b'0'..=b'9' => {
                let is_of_number = |byte: &u8| matches!(byte, b'0'..=b'9' | b'-' | b'+' | b'.' | b'e' | b'E');
                let length = json[at..].iter().take_while(|byte| is_of_number(byte)).count();
                let number = &json[at..at + length];
                if length > HELD && std::str::from_utf8(number).is_ok_and(|number| !is_held(number)) {
                    let quoted = quoted.get_or_insert_default();
                    quoted.extend_from_slice(&json[copied..at]);
                    quoted.push(b'"');
                    quoted.extend_from_slice(number);
                    quoted.push(b'"');
                    copied = at + length;
                }
                at += length;
            }
            _ => at += 1,
        }
    }
    match quoted {
        None => Cow::Borrowed(json),
        Some(mut quoted) => {
            quoted.extend_from_slice(&json[copied..]);
            Cow::Owned(quoted)
        }
    }
}

/// The place behind a text that begins at `at`.
fn end_of_text(json: &[u8], mut at: usize) -> usize {
    at += 1;
    while let Some(&byte) = json.get(at) {
        match byte {
            b'"' => return at + 1,
            b'\\' => at += 2,
            _ => at += 1,
        }
    }
    at
}

/// Returns true for a number that is read without loss, and for what is not a number of JSON.
fn is_held(number: &str) -> bool {
    if number.parse::<i64>().is_ok() || number.parse::<u64>().is_ok() {
        return true;
    }
    let Some(written) = significant(number) else { return true };
    let float: f64 = number.parse().unwrap_or(f64::INFINITY);
    float.is_finite() && significant(&format!("{float:e}")).is_some_and(|read| read == written)
}

/// The digits of a number without zeros at both ends, and the exponent of the last one; `None` if it is not a number.
fn significant(number: &str) -> Option<(String, i64)> {
    let (mantissa, exponent) = match number.split_once(['e', 'E']) {
        Some((mantissa, exponent)) => (mantissa, exponent.parse::<i64>().ok()?),
        None => (number, 0),
    };
    let (whole, fraction) = mantissa.split_once('.').unwrap_or((mantissa, ""));
    let digits = format!("{}{fraction}", whole.trim_start_matches('-'));
    if digits.is_empty() || !digits.bytes().all(|byte| byte.is_ascii_digit()) {
        return None;
    }
    let held = digits.trim_end_matches('0');
    if held.is_empty() {
        return Some((String::new(), 0));
    }
    let exponent = exponent.checked_sub(i64::try_from(fraction.len()).ok()?)?;
    let exponent = exponent.checked_add(i64::try_from(digits.len() - held.len()).ok()?)?;
    Some((held.trim_start_matches('0').to_owned(), exponent))
}

#[cfg(test)]
mod tests {
    use proptest::prelude::*;
    use serde_json::Value as Json;

    use super::*;

    fn shown(json: &str) -> String {
        String::from_utf8(kept(json.as_bytes()).into_owned()).unwrap()
    }

    #[test]
    fn a_number_that_would_be_rounded_is_a_text_with_all_its_digits() {
        for (number, is_quoted) in [
            ("9007199254740993", false),
            ("18446744073709551615", false),
            ("18446744073709551616", true),
            ("-9223372036854775809", true),
            ("0.30000000000000004", false),
            ("1234567890.12345678901", true),
            ("100000000000000000000000", false),
            ("1.0000000000000000000000", false),
            ("0.000000000000000000001", false),
            ("123456789012345678.9e1000", true),
            ("-0.0000000000000000000", false),
        ] {
            let expected =
                if is_quoted { format!(r#"{{"a": ["{number}"]}}"#) } else { format!(r#"{{"a": [{number}]}}"#) };
            assert_eq!(shown(&format!(r#"{{"a": [{number}]}}"#)), expected);
        }
    }

    #[test]
    fn texts_and_what_is_not_json_stay_as_they_are() {
        for json in [
            r#"{"18446744073709551616": "18446744073709551617", "b": "\" 18446744073709551618 "}"#,
            r#"{"a": "18446744073709551616"#,
            r#"{"a": "\"#,
            "---------------------",
            "",
        ] {
            assert_eq!(shown(json), json);
        }
    }

    proptest! {
        #[test]
        fn nothing_else_changes(text in "[ -~]{0,40}", float in any::<f64>(), whole in any::<i64>()) {
            let json = serde_json::json!({"text": text, "float": float, "whole": whole, "list": [whole, {"a": text}]});
            let written = json.to_string();
            prop_assert_eq!(serde_json::from_slice::<Json>(&kept(written.as_bytes())).unwrap(), json);
        }
    }
}
