//! One JSON value as an Avro value, by the branches of its field.

use apache_avro::{BigDecimal, types::Value};
use jiff::civil;
use num_bigint::BigInt;
use serde::{Serialize, Serializer, ser::SerializeMap};
use serde_json::{Number, Value as Json};

use crate::{field_type::Branch, moment::Moment};

/// The significant digits that every float holds.
const HELD: usize = 15;

/// The value of the first branch that takes it; `None` if none does.
///
/// An older branch comes first, so that a text stays a text when its field becomes a date: the record is the same.
pub(super) fn value(branches: &[(Option<u32>, Branch)], json: &Json) -> Option<Value> {
    let wrapped = |place: Option<u32>, value| match place {
        Some(place) => Value::Union(place, Box::new(value)),
        None => value,
    };
    branches.iter().find_map(|(place, branch)| of_branch(*branch, json).map(|value| wrapped(*place, value))).or_else(
        // A field that became multi-valued, and a value from before.
        || match json {
            Json::String(text) => branches.iter().find_map(|(place, branch)| {
                (*branch == Branch::Texts).then(|| wrapped(*place, Value::Array(vec![Value::String(text.clone())])))
            }),
            _ => None,
        },
    )
}

fn of_branch(branch: Branch, json: &Json) -> Option<Value> {
    Some(match (branch, json) {
        (Branch::Text, Json::String(text)) => Value::String(text.clone()),
        (Branch::Json, json) => Value::String(text(json)),
        (Branch::Boolean, Json::Bool(flag)) => Value::Boolean(*flag),
        (Branch::Long, Json::Number(number)) => Value::Long(long(number)?),
        (Branch::Number, Json::Number(number)) => Value::BigDecimal(decimal(number)?),
        // The client gives a number that would be rounded as a text.
        (Branch::Number, Json::String(text)) => Value::BigDecimal(long_decimal(text)?),
        (Branch::Timestamp, Json::String(text)) => Value::TimestampMicros(Moment::parse(text)?.0),
        (Branch::Date, Json::String(text)) => Value::Date(days(text)?),
        (Branch::Texts, Json::Array(items)) => Value::Array(
            items.iter().map(|item| item.as_str().map(|text| Value::String(text.to_owned()))).collect::<Option<_>>()?,
        ),
        _ => return None,
    })
}

/// The number without a fraction; `None` if it has one, or is out of range.
fn long(number: &Number) -> Option<i64> {
    // Up to here, every whole number has a float of its own.
    const EXACT: f64 = 9_007_199_254_740_992.0;
    number.as_i64().or_else(|| {
        let float = number.as_f64().filter(|float| number.is_f64() && float.fract() == 0.0 && float.abs() <= EXACT)?;
        format!("{float:.0}").parse().ok()
    })
}

/// The number as it was written, without zeros at the end of its fraction.
fn decimal(number: &Number) -> Option<BigDecimal> {
    if let Some(whole) = number.as_i64() {
        return Some(BigDecimal::new(BigInt::from(whole), 0));
    }
    if let Some(whole) = number.as_u64() {
        return Some(BigDecimal::new(BigInt::from(whole), 0));
    }
    // Display writes the shortest digits that give the float, without an exponent.
    let text = number.as_f64()?.to_string();
    let (whole, fraction) = text.split_once('.').unwrap_or((&text, ""));
    let digits: BigInt = format!("{whole}{fraction}").parse().ok()?;
    Some(BigDecimal::new(digits, i64::try_from(fraction.len()).ok()?))
}

/// A number with more digits than any number of JSON here; `None` for other texts.
fn long_decimal(text: &str) -> Option<BigDecimal> {
    // Far more than anybody means, and few enough to be written out.
    const LONGEST: usize = 1_000;
    if text.len() <= HELD || text.len() > LONGEST {
        return None;
    }
    let (mantissa, exponent) = match text.split_once(['e', 'E']) {
        Some((mantissa, exponent)) => (mantissa, exponent.parse::<i16>().ok()?),
        None => (text, 0),
    };
    let (whole, fraction) = mantissa.split_once('.').unwrap_or((mantissa, ""));
    let digits = whole.strip_prefix('-').unwrap_or(whole).bytes().chain(fraction.bytes());
    if whole.is_empty() || !digits.clone().all(|byte| byte.is_ascii_digit()) || digits.count() <= HELD {
        return None;
    }
    let scale = i64::try_from(fraction.len()).ok()? - i64::from(exponent);
    // Within what every column for numbers takes.
    (-1_000..=1_000).contains(&scale).then_some(())?;
    Some(BigDecimal::new(format!("{whole}{fraction}").parse().ok()?, scale))
}

/// The days since 1970 of a date without time.
fn days(text: &str) -> Option<i32> {
    if text.len() != "2026-01-01".len() {
        return None;
    }
    let day: civil::Date = text.parse().ok()?;
    let since = civil::date(1970, 1, 1).until(day).ok()?;
    Some(since.get_days())
}

/// JSON with the members of objects sorted: equal values have equal texts, in whichever order Close writes them.
pub(super) fn text(json: &Json) -> String {
    serde_json::to_string(&Sorted(json)).unwrap_or_default()
}

/// As [`text`], for an object of these members.
pub(super) fn object_text(members: &[(&str, &Json)]) -> String {
    serde_json::to_string(&Members(members)).unwrap_or_default()
}

struct Sorted<'a>(&'a Json);
struct Members<'a>(&'a [(&'a str, &'a Json)]);

impl Serialize for Sorted<'_> {
    fn serialize<S: Serializer>(&self, serializer: S) -> Result<S::Ok, S::Error> {
        match self.0 {
            Json::Object(members) => {
                let members: Vec<_> = members.iter().map(|(name, json)| (&**name, json)).collect();
                Members(&members).serialize(serializer)
            }
            Json::Array(items) => serializer.collect_seq(items.iter().map(Sorted)),
            scalar => scalar.serialize(serializer),
        }
    }
}

impl Serialize for Members<'_> {
    fn serialize<S: Serializer>(&self, serializer: S) -> Result<S::Ok, S::Error> {
        let mut members: Vec<_> = self.0.iter().collect();
        members.sort_unstable_by_key(|(name, _)| *name);
        let mut map = serializer.serialize_map(Some(members.len()))?;
        for (name, json) in members {
            map.serialize_entry(name, &Sorted(json))?;
        }
        map.end()
    }
}

#[cfg(test)]
mod tests {
    use serde_json::json;

    use super::*;

    #[test]
    fn a_long_number_that_comes_as_a_text_keeps_all_its_digits() {
        let of = |text: &str| value(&[(None, Branch::Number)], &json!(text));
        for (text, digits, scale) in [
            ("1234567890.12345678901", "123456789012345678901", 11),
            ("-18446744073709551617", "-18446744073709551617", 0),
            ("1234567890123456789e-3", "1234567890123456789", 3),
        ] {
            let expected = BigDecimal::new(digits.parse::<BigInt>().unwrap(), scale);
            assert_eq!(of(text), Some(Value::BigDecimal(expected)), "{text}");
        }
        for text in
            ["12345", "1234567890123456x", "1234567890123456789e30000", "", "--1234567890123456", "2026-01-01T00:00"]
        {
            assert_eq!(of(text), None, "{text}");
        }
    }
}
