//! Values as texts that the input functions of Postgres read, for columns of types that only Postgres has.

use std::collections::BTreeMap;

use apache_avro::{schema::Schema, types::Value};
use serde_json::Value as Json;
use towpath_api::json::to_json;

use super::{Form, Unfit, exact};

/// The parts of a date or time that a column holds. The input functions drop the others without an error.
#[derive(Debug, Clone, Copy, PartialEq, Eq)]
pub(crate) enum TimeParts {
    Date,
    Clock,
    ZonedClock,
    Local,
    Instant,
    Span,
}

/// The text of a value in this form.
///
/// # Errors
/// The value does not have the form.
pub(super) fn text_of(form: Form, value: &Value, schema: &Schema) -> Result<String, Unfit> {
    match form {
        Form::Bits(bits) => bit_string(value, bits),
        Form::Array => {
            let json = to_json(value, schema).map_err(|_| Unfit::RANGE)?;
            let mut text = String::new();
            if json.is_array() { array(&json, &mut text).map(|()| text) } else { Err(Unfit::FORM) }
        }
        Form::Point => point(value),
        Form::Hstore => hstore(value, schema),
        Form::JsonText => Ok(to_json(value, schema).map_err(|_| Unfit::RANGE)?.to_string()),
        _ => Err(Unfit::FORM),
    }
}

/// Requires that a column of this form holds the text as it is.
///
/// # Errors
/// It is too long, has more digits, or has parts that the column does not have.
pub(super) fn check(form: Form, text: &str) -> Result<(), Unfit> {
    match form {
        Form::Length { characters, padded } => {
            let text = if padded { text.trim_end_matches(' ') } else { text };
            // A character has at least a byte.
            if text.len() > characters && text.chars().count() > characters { Err(Unfit::LENGTH) } else { Ok(()) }
        }
        Form::Octets(octets) if text.len() > octets => Err(Unfit::LENGTH),
        Form::Money => match text.rsplit_once('.') {
            Some((_, cents)) if cents.chars().filter(char::is_ascii_digit).count() > 2 => Err(Unfit::DIGITS),
            _ => Ok(()),
        },
        Form::TimeText { digits, parts } => {
            if decimal_digits(text) > digits {
                return Err(Unfit::DIGITS);
            }
            let (date, clock) = date_and_clock(text, parts);
            let is_word = |word: &str| word.is_empty() || ["am", "pm", "bc", "ad"].contains(&&*word.to_lowercase());
            let has_zone = clock.contains(['+', '-']) || !clock.split(|c: char| !c.is_alphabetic()).all(is_word);
            // The hour has two digits.
            let has_date = !clock.is_empty() && date.bytes().filter(u8::is_ascii_digit).count() > 2;
            let drops = match parts {
                TimeParts::Date => !clock.is_empty(),
                TimeParts::Clock => has_zone || has_date,
                TimeParts::ZonedClock => has_date,
                TimeParts::Local => has_zone,
                TimeParts::Instant | TimeParts::Span => false,
            };
            if drops { Err(Unfit::EXACT) } else { Ok(()) }
        }
        _ => Ok(()),
    }
}

/// The parts of a text before and after its first minute, or before and after its time of day in a text without colons,
/// such as `20260131T101112+02`.
fn date_and_clock(text: &str, parts: TimeParts) -> (&str, &str) {
    if let Some(parts) = text.split_once(':') {
        return parts;
    }
    let is_digit = |at: usize| text.as_bytes().get(at).is_some_and(u8::is_ascii_digit);
    let mut gaps = text.match_indices(['T', 't', ' ']).map(|(at, _)| at);
    match gaps.find(|at| *at > 0 && is_digit(at - 1) && is_digit(at + 1)) {
        Some(at) => (&text[..at], &text[at + 1..]),
        None if matches!(parts, TimeParts::Clock | TimeParts::ZonedClock) => ("", text),
        None => (text, ""),
    }
}

/// The longest run of digits after a decimal point, without zeros at its end.
fn decimal_digits(text: &str) -> usize {
    let runs = text.split(['.', ',']).skip(1).map(|rest| {
        let end = rest.find(|c: char| !c.is_ascii_digit()).unwrap_or(rest.len());
        rest[..end].trim_end_matches('0').len()
    });
    runs.max().unwrap_or(0)
}

/// `{x,NULL,"z,\"q"}`, with each text in quotes.
fn array(json: &Json, out: &mut String) -> Result<(), Unfit> {
    match json {
        Json::Array(items) => {
            // Within another array, the input function would drop an empty one.
            let is_nested = !out.is_empty();
            if is_nested && items.is_empty() {
                return Err(Unfit::FORM);
            }
            out.push('{');
            for (at, item) in items.iter().enumerate() {
                if at > 0 {
                    out.push(',');
                }
                array(item, out)?;
            }
            out.push('}');
        }
        Json::Null => out.push_str("NULL"),
        Json::Bool(flag) => out.push_str(if *flag { "t" } else { "f" }),
        Json::Number(number) => out.push_str(&number.to_string()),
        Json::String(text) => quote(text, out),
        Json::Object(_) => quote(&json.to_string(), out),
    }
    Ok(())
}

fn quote(text: &str, out: &mut String) {
    out.push('"');
    for character in text.chars() {
        if matches!(character, '"' | '\\') {
            out.push('\\');
        }
        out.push(character);
    }
    out.push('"');
}

/// The text of the type `bit`, whose first bit is the highest, from bytes whose first has the lowest bits.
fn bit_string(value: &Value, bits: usize) -> Result<String, Unfit> {
    let bytes = match value {
        Value::Boolean(flag) if bits <= 1 => return Ok(u8::from(*flag).to_string()),
        Value::Bytes(bytes) | Value::Fixed(_, bytes) => bytes,
        _ => return Err(Unfit::RANGE),
    };
    let is_set = |at: usize| bytes.get(at / 8).is_some_and(|byte| byte >> (at % 8) & 1 == 1);
    let used = (0..bytes.len() * 8).rev().find(|at| is_set(*at)).map_or(0, |last| last + 1);
    let bits = if bits == 0 { used } else { bits };
    if used > bits {
        return Err(Unfit::LENGTH);
    }
    Ok((0..bits).rev().map(|at| if is_set(at) { '1' } else { '0' }).collect())
}

fn point(value: &Value) -> Result<String, Unfit> {
    let Value::Record(fields) = value else { return Err(Unfit::FORM) };
    let part = |name: &str| {
        let (_, value) = fields.iter().find(|(field, _)| field == name).ok_or(Unfit::FORM)?;
        let number = exact::double(if let Value::Union(_, inner) = value { inner } else { value })?;
        Ok(match (number.is_infinite(), number > 0.0) {
            (false, _) => number.to_string(),
            (true, true) => "Infinity".to_owned(),
            (true, false) => "-Infinity".to_owned(),
        })
    };
    Ok(format!("({},{})", part("x")?, part("y")?))
}

fn hstore(value: &Value, schema: &Schema) -> Result<String, Unfit> {
    let entries: BTreeMap<String, Option<String>> = match value {
        Value::String(json) => serde_json::from_str(json).map_err(|_| Unfit::FORM)?,
        _ => serde_json::from_value(to_json(value, schema).map_err(|_| Unfit::RANGE)?).map_err(|_| Unfit::FORM)?,
    };
    let mut text = String::new();
    for (key, value) in &entries {
        if !text.is_empty() {
            text.push(',');
        }
        quote(key, &mut text);
        text.push_str("=>");
        match value {
            Some(value) => quote(value, &mut text),
            None => text.push_str("NULL"),
        }
    }
    Ok(text)
}

#[cfg(test)]
mod tests {
    use super::*;

    #[test]
    fn a_text_is_refused_where_the_input_function_would_drop_a_part() {
        use TimeParts as T;
        for (parts, text, taken) in [
            (T::Date, "2026-01-31", true),
            (T::Date, "0044-03-15 BC", true),
            (T::Date, "2026-01-31T10:00:00", false),
            (T::Date, "20260131", true),
            (T::Date, "20260131T101112", false),
            (T::Date, "20260131 101112", false),
            (T::Clock, "101112", true),
            (T::Clock, "101112+02", false),
            (T::Clock, "20260131T101112", false),
            (T::Local, "20260131T101112", true),
            (T::Local, "20260131T101112+0200", false),
            (T::Local, "2026-01-31", true),
            (T::Clock, "10:00:00.123000000", true),
            (T::Clock, "10:00:00.1234567", false),
            (T::Clock, "10:00 PM", true),
            (T::Clock, "10:00:00+02", false),
            (T::Clock, "2026-01-31 10:00:00", false),
            (T::ZonedClock, "10:00:00.123456Z", true),
            (T::ZonedClock, "10:00:00-05:30", true),
            (T::Local, "2026-01-31T10:00:00", true),
            (T::Local, "2026-01-31T10:00:00Z", false),
            (T::Local, "2026-01-31 10:00:00 Europe/Berlin", false),
            (T::Local, "0044-03-15 00:00:00 BC", true),
            (T::Instant, "2026-01-31T10:00:00.5-05", true),
            (T::Span, "P1Y2M3DT4H5M6.5S", true),
            (T::Span, "-838:59:59.9999999", false),
        ] {
            let checked = check(Form::TimeText { digits: 6, parts }, text);
            assert_eq!(checked.is_ok(), taken, "{text} as {parts:?}: {checked:?}");
        }
        let length = |padded, text: &str| check(Form::Length { characters: 3, padded }, text);
        assert_eq!((length(true, "EU   "), length(false, "Ö€𝄞")), (Ok(()), Ok(())));
        assert_eq!((length(true, "EURO"), length(false, "EU  ")), (Err(Unfit::LENGTH), Err(Unfit::LENGTH)));
        assert_eq!((check(Form::Money, "$1,234.56"), check(Form::Money, "1.005")), (Ok(()), Err(Unfit::DIGITS)));
    }

    #[test]
    fn values_have_the_text_of_their_type() {
        let of = |form, value: Value| text_of(form, &value, &Schema::Null);
        let bits = |bits, bytes: &[u8]| of(Form::Bits(bits), Value::Bytes(bytes.to_vec()));
        assert_eq!(bits(12, &[0x01, 0x08]).as_deref(), Ok("100000000001"));
        assert_eq!(bits(4, &[]).as_deref(), Ok("0000"));
        assert_eq!(bits(4, &[0x10]), Err(Unfit::LENGTH));
        assert_eq!(bits(0, &[0x05]).as_deref(), Ok("101"));
        assert_eq!(of(Form::Bits(1), Value::Boolean(true)).as_deref(), Ok("1"));
        let point = |x, y| {
            let (x, y) = (("x".to_owned(), Value::Double(x)), ("y".to_owned(), Value::Double(y)));
            of(Form::Point, Value::Record(vec![x, y]))
        };
        assert_eq!(point(1.5, f64::NEG_INFINITY).as_deref(), Ok("(1.5,-Infinity)"));
        assert_eq!(point(0.1, f64::NAN).as_deref(), Ok("(0.1,NaN)"));
        let hstore = of(Form::Hstore, Value::String(r#"{"b":"x\"\\","a":null}"#.into()));
        assert_eq!(hstore.as_deref(), Ok(r#""a"=>NULL,"b"=>"x\"\\""#));
        assert_eq!(of(Form::Hstore, Value::String(r#"{"a":[1]}"#.into())), Err(Unfit::FORM));
        let list = Schema::parse_str(r#"{"type":"array","items":["null","string"]}"#).unwrap();
        let items = ["x", "NULL", r#"z,"q\"#].map(|item| Value::String(item.into()));
        let value = Value::Array(items.into_iter().chain([Value::Null]).collect());
        assert_eq!(text_of(Form::Array, &value, &list).as_deref(), Ok(r#"{"x","NULL","z,\"q\\",NULL}"#));
        assert_eq!(text_of(Form::Array, &Value::Array(vec![]), &list).as_deref(), Ok("{}"));
    }
}
