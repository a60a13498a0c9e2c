//! Avro values as JSON, without loss: for columns of type `jsonb`, and to show the records of a topic to people.

use apache_avro::{
    schema::{RecordField, Schema, UnionSchema, UuidSchema},
    types::Value,
};
use jiff::{Span, Timestamp, civil, tz::TimeZone};
use serde_json::{Map, Number, Value as Json, json};

/// The value of the attribute `connect.name` with which Debezium marks a text field as JSON
/// (`io.debezium.data.Json`).
pub const JSON_TEXT: &str = "io.debezium.data.Json";

/// The attribute of a field with the default that its schema states, in the units of the field's type; a decimal is a
/// text of its digits. For rows that were there before the field. Not set if the default is null.
pub const DEFAULT: &str = "towpath.default";

/// Returns true if the text of a field is JSON, which is stored as JSON: the attribute `connect.name` of the field is
/// [`JSON_TEXT`]. The type of such a field is `string`, or a union of `string` and null.
pub fn is_json_text(field: &RecordField) -> bool {
    field.custom_attributes.get("connect.name").is_some_and(|name| name == JSON_TEXT)
}

/// A value does not have the type of its schema, or a date or time is out of the calendar's range.
#[derive(Debug, Clone, Copy, PartialEq, Eq, thiserror::Error)]
#[error("a value does not fit its schema")]
pub struct Misfit;

/// The attribute of a field or a named type with its original name, if Avro does not allow that name.
pub const ORIGINAL_NAME: &str = "towpath.name";

/// Converts a value to JSON: records and maps become objects, bytes become hexadecimal text prefixed with `\x` as in
/// Postgres, decimals and dates become strings, so that no value is rounded. The value of a union is that of its
/// branch, inside an object with the name of the branch if [`branch_name`] returns one.
///
/// # Errors
/// Fails if the value does not have the type of the schema, or is out of range.
pub fn to_json(value: &Value, schema: &Schema) -> Result<Json, Misfit> {
    Ok(match (value, schema) {
        (Value::Null, _) => Json::Null,
        (Value::Union(branch, inner), Schema::Union(union)) => {
            let branch = *branch as usize;
            let schema = union.variants().get(branch).ok_or(Misfit)?;
            named(branch_name(union, branch), to_json(inner, schema)?)
        }
        // The value of a nullable type may be bare, without its union.
        (bare, Schema::Union(union)) => {
            let schema = union.variants().iter().find(|branch| !matches!(branch, Schema::Null)).ok_or(Misfit)?;
            to_json(bare, schema)?
        }
        (Value::Union(_, inner), schema) => to_json(inner, schema)?,
        (Value::Boolean(flag), _) => Json::Bool(*flag),
        (Value::Int(number), _) => Json::from(*number),
        (Value::Long(number), _) => Json::from(*number),
        (Value::Float(number), _) => float(f64::from(*number)),
        (Value::Double(number), _) => float(*number),
        (Value::String(text) | Value::Enum(_, text), _) => Json::String(text.clone()),
        (Value::Bytes(bytes) | Value::Fixed(_, bytes), _) => Json::String(hexadecimal(bytes)),
        (Value::Uuid(uuid), _) => Json::String(uuid.to_string()),
        (Value::Array(items), Schema::Array(array)) => {
            Json::Array(items.iter().map(|item| to_json(item, &array.items)).collect::<Result<_, _>>()?)
        }
        (Value::Map(entries), Schema::Map(map)) => {
            // Sorted, so that equal maps have equal texts.
            let mut sorted: Vec<_> = entries.iter().collect();
            sorted.sort_by_key(|(name, _)| *name);
            let entries = sorted.into_iter().map(|(name, value)| Ok((name.clone(), to_json(value, &map.types)?)));
            Json::Object(entries.collect::<Result<Map<_, _>, Misfit>>()?)
        }
        (Value::Record(values), Schema::Record(record)) => {
            let fields = record.fields.iter().zip(values);
            Json::Object(
                fields
                    .map(|(field, (_, value))| Ok((field.name.clone(), to_json(value, &field.schema)?)))
                    .collect::<Result<Map<_, _>, Misfit>>()?,
            )
        }
        (Value::Decimal(decimal), Schema::Decimal(schema)) => {
            let unscaled: num_bigint::BigInt = decimal.clone().into();
            Json::String(scaled(&unscaled.to_string(), i64::try_from(schema.scale).map_err(|_| Misfit)?)?)
        }
        (Value::BigDecimal(decimal), _) => {
            let (unscaled, scale) = decimal.as_bigint_and_exponent();
            Json::String(scaled(&unscaled.to_string(), scale)?)
        }
        (Value::Date(days), _) => date(*days)?,
        (Value::TimeMillis(millis), _) => time_of_day(i64::from(*millis) * 1_000)?,
        (Value::TimeMicros(micros), _) => time_of_day(*micros)?,
        (Value::TimestampMillis(millis), _) => instant(millis.checked_mul(1_000).ok_or(Misfit)?, true)?,
        (Value::TimestampMicros(micros), _) => instant(*micros, true)?,
        (Value::LocalTimestampMillis(millis), _) => instant(millis.checked_mul(1_000).ok_or(Misfit)?, false)?,
        (Value::LocalTimestampMicros(micros), _) => instant(*micros, false)?,
        (Value::TimestampNanos(nanos), _) => {
            Json::String(Timestamp::from_nanosecond((*nanos).into()).map_err(|_| Misfit)?.to_string())
        }
        (Value::LocalTimestampNanos(nanos), _) => {
            let instant = Timestamp::from_nanosecond((*nanos).into()).map_err(|_| Misfit)?;
            Json::String(TimeZone::UTC.to_datetime(instant).to_string())
        }
        (Value::Duration(duration), _) => json!({
            "months": u32::from(duration.months()),
            "days": u32::from(duration.days()),
            "millis": u32::from(duration.millis()),
        }),
        _ => return Err(Misfit),
    })
}

/// The name of a branch, if the JSON of its values does not show the branch: records beside records or maps, enums
/// beside enums or strings. It is the name in Avro's JSON encoding (Avro 1.12 specification, "JSON Encoding"): the full
/// name of a record, enum or fixed, otherwise the type.
pub fn branch_name(union: &UnionSchema, branch: usize) -> Option<String> {
    let schema = union.variants().get(branch)?;
    let form = Form::of(schema);
    let alike = || union.variants().iter().filter(|other| Form::of(other) == form);
    if form == Form::Other || alike().count() < 2 || alike().all(|branch| branch.name().is_none()) {
        return None;
    }
    let original = schema.custom_attributes().and_then(|attributes| attributes.get(ORIGINAL_NAME)?.as_str());
    Some(match (schema, original, schema.name()) {
        (_, Some(original), _) => original.to_owned(),
        (_, None, Some(name)) => name.fullname(None),
        (Schema::Map(_), ..) => "map".to_owned(),
        (Schema::String | Schema::Uuid(UuidSchema::String), ..) => "string".to_owned(),
        (Schema::Date | Schema::TimeMillis, ..) => "int".to_owned(),
        (Schema::Bytes | Schema::Uuid(_) | Schema::Decimal(_) | Schema::BigDecimal, ..) => "bytes".to_owned(),
        _ => "long".to_owned(),
    })
}

/// Puts a value into an object with the name of its branch, if there is a name. Null has no branch to tell apart.
pub fn named(branch: Option<String>, value: Json) -> Json {
    match branch {
        Some(name) => Json::Object([(name, value)].into_iter().collect()),
        None => value,
    }
}

/// The form of the JSON of a type.
#[derive(PartialEq, Eq)]
enum Form {
    Object,
    Text,
    /// The forms whose values are equal only if they mean the same: null, booleans, numbers, and arrays, of which a
    /// union has one.
    Other,
}

impl Form {
    fn of(schema: &Schema) -> Self {
        match schema {
            Schema::Record(_) | Schema::Map(_) | Schema::Duration(_) | Schema::Ref { .. } => Self::Object,
            Schema::Null
            | Schema::Boolean
            | Schema::Int
            | Schema::Long
            | Schema::Float
            | Schema::Double
            | Schema::Array(_)
            | Schema::Union(_) => Self::Other,
            _ => Self::Text,
        }
    }
}

fn date(days: i32) -> Result<Json, Misfit> {
    match days {
        i32::MAX => return Ok(Json::from("infinity")),
        i32::MIN => return Ok(Json::from("-infinity")),
        _ => {}
    }
    let (near, cycles) = near(days.into(), CYCLE_DAYS);
    // The constructor without `try_` panics beyond the calendar's range.
    let since = Span::new().try_days(near).map_err(|_| Misfit)?;
    let day = civil::date(1970, 1, 1).checked_add(since).map_err(|_| Misfit)?;
    Ok(Json::String(moved(&day.to_string(), cycles)?))
}

/// The days of 400 years, after which the calendar repeats.
const CYCLE_DAYS: i64 = 146_097;

/// Moves a number since the epoch into years that jiff knows by whole cycles of 400 years, each of `cycle`. Returns the
/// number and the cycles.
fn near(since: i64, cycle: i64) -> (i64, i64) {
    // 1970 to 2369, unless the number is of the years 1 to 9999 itself.
    let cycles = since.div_euclid(cycle);
    if (-4..20).contains(&cycles) { (since, 0) } else { (since.rem_euclid(cycle), cycles) }
}

/// Moves the year that a text begins with back by whole cycles, in the form that Postgres reads and writes: years
/// before 1 are of the era BC.
fn moved(text: &str, cycles: i64) -> Result<String, Misfit> {
    if cycles == 0 {
        return Ok(text.to_owned());
    }
    let (year, rest) = text.split_once('-').ok_or(Misfit)?;
    let year = year.parse::<i64>().map_err(|_| Misfit)? + cycles * 400;
    Ok(if year > 0 { format!("{year:04}-{rest}") } else { format!("{:04}-{rest} BC", 1 - year) })
}

fn time_of_day(micros: i64) -> Result<Json, Misfit> {
    if micros == 86_400_000_000 {
        return Ok(Json::from("24:00:00"));
    }
    let since = Span::new().try_microseconds(micros).map_err(|_| Misfit)?;
    let time = civil::time(0, 0, 0, 0).checked_add(since).map_err(|_| Misfit)?;
    Ok(Json::String(time.to_string()))
}

/// RFC 3339, with `Z` if the type is an instant, and without a zone if it is a local time.
fn instant(micros: i64, zoned: bool) -> Result<Json, Misfit> {
    // The ends of the range mean infinity, which Postgres writes in the same way.
    match micros {
        i64::MAX => return Ok(Json::from("infinity")),
        i64::MIN => return Ok(Json::from("-infinity")),
        _ => {}
    }
    let (near, cycles) = near(micros, CYCLE_DAYS * 86_400_000_000);
    let instant = Timestamp::from_microsecond(near).map_err(|_| Misfit)?;
    let text = if zoned { instant.to_string() } else { TimeZone::UTC.to_datetime(instant).to_string() };
    Ok(Json::String(moved(&text, cycles)?))
}

/// JSON has neither NaN nor infinities; they become the texts that Postgres uses.
fn float(number: f64) -> Json {
    Number::from_f64(number).map_or_else(
        || {
            let word = if number.is_nan() {
                "NaN"
            } else if number > 0.0 {
                "Infinity"
            } else {
                "-Infinity"
            };
            Json::String(word.to_owned())
        },
        Json::Number,
    )
}

/// `\x` and two hexadecimal digits per byte, as Postgres prints bytes.
pub fn hexadecimal(bytes: &[u8]) -> String {
    use std::fmt::Write as _;
    bytes.iter().fold("\\x".to_owned(), |mut text, byte| {
        let _ = write!(text, "{byte:02x}");
        text
    })
}

/// Maximum digits after the decimal point, or zeros before it, as in Postgres' numeric. Without a limit, a scale of a
/// few bytes would fill the memory.
const MAX_SCALE: i64 = 16_383;

/// Inserts the decimal point `scale` digits from the right, or appends zeros if `scale` is negative.
fn scaled(digits: &str, scale: i64) -> Result<String, Misfit> {
    if !(-MAX_SCALE..=MAX_SCALE).contains(&scale) {
        return Err(Misfit);
    }
    let zeros = |count: usize| "0".repeat(count);
    let places = usize::try_from(scale.unsigned_abs()).map_err(|_| Misfit)?;
    let (sign, digits) = digits.strip_prefix('-').map_or(("", digits), |digits| ("-", digits));
    if scale <= 0 {
        return Ok(if digits == "0" { digits.to_owned() } else { format!("{sign}{digits}{}", zeros(places)) });
    }
    let padded = format!("{}{digits}", zeros((places + 1).saturating_sub(digits.len())));
    let (whole, fraction) = padded.split_at(padded.len() - places);
    Ok(format!("{sign}{whole}.{fraction}"))
}

#[cfg(test)]
mod tests {
    use super::*;

    #[test]
    fn a_time_beyond_the_calendar_is_a_misfit_at_its_last_value_too() {
        for (value, schema) in [
            (Value::TimeMillis(i32::MAX), Schema::TimeMillis),
            (Value::TimeMicros(i64::MAX), Schema::TimeMicros),
            (Value::TimeMicros(i64::MIN), Schema::TimeMicros),
            (Value::TimestampMillis(i64::MAX), Schema::TimestampMillis),
            (Value::LocalTimestampMillis(i64::MIN), Schema::LocalTimestampMillis),
        ] {
            assert_eq!(to_json(&value, &schema), Err(Misfit), "{value:?}");
        }
        for (value, schema) in [
            (Value::Date(i32::MAX), Schema::Date),
            (Value::TimestampMicros(i64::MAX), Schema::TimestampMicros),
            (Value::LocalTimestampMicros(i64::MAX), Schema::LocalTimestampMicros),
        ] {
            assert_eq!(to_json(&value, &schema), Ok(json!("infinity")), "{value:?}");
        }
    }

    #[test]
    fn years_of_any_size_are_written_as_postgres_reads_them() {
        for (days, text) in [
            (4_759_110, "15000-01-01"),
            (-735_160, "0044-03-15 BC"),
            (2_932_896, "9999-12-31"),
            (2_932_897, "10000-01-01"),
            (-719_162, "0001-01-01"),
            (-719_163, "0001-12-31 BC"),
        ] {
            assert_eq!(to_json(&Value::Date(days), &Schema::Date), Ok(json!(text)));
        }
        for (micros, text) in [
            (411_218_638_828_000_000, "15000-12-31T23:40:28Z"),
            (253_402_300_799_000_000, "9999-12-31T23:59:59Z"),
            (-63_517_824_000_000_000, "0044-03-15T00:00:00Z BC"),
        ] {
            assert_eq!(to_json(&Value::TimestampMicros(micros), &Schema::TimestampMicros), Ok(json!(text)));
        }
        assert_eq!(to_json(&Value::TimeMicros(86_400_000_000), &Schema::TimeMicros), Ok(json!("24:00:00")));
    }

    #[test]
    fn a_decimal_has_its_zeros_and_no_more_than_numeric_has() {
        let decimal = |digits: i64, scale| Value::BigDecimal(apache_avro::BigDecimal::new(digits.into(), scale));
        for (digits, scale, text) in
            [(125, 1, "12.5"), (5, 3, "0.005"), (-5, 1, "-0.5"), (-12, -2, "-1200"), (0, -3, "0"), (0, 2, "0.00")]
        {
            assert_eq!(to_json(&decimal(digits, scale), &Schema::BigDecimal), Ok(json!(text)));
        }
        for scale in [16_384, -16_384, -20_000_000_000, 1 << 62, i64::MAX, i64::MIN] {
            assert_eq!(to_json(&decimal(1, scale), &Schema::BigDecimal), Err(Misfit), "{scale}");
        }
        let schema = r#"{"type":"bytes","logicalType":"decimal","precision":70000,"scale":70000}"#;
        let schema = Schema::parse_str(schema).unwrap();
        assert_eq!(to_json(&Value::Decimal(vec![1].into()), &schema), Err(Misfit));
    }

    #[test]
    fn branches_with_equal_json_are_named() {
        let schema = |branches: &str| Schema::parse_str(branches).unwrap();
        let shown = |schema: &Schema, branch, value| to_json(&Value::Union(branch, Box::new(value)), schema).unwrap();
        let text = |text: &str| Value::String(text.into());
        let paid_by = schema(
            r#"["null",{"type":"record","name":"a.Card","fields":[{"name":"no","type":"string"}]},
                {"type":"record","name":"Voucher","fields":[{"name":"no","type":"string"}]},
                {"type":"map","values":"string"},
                "long"]"#,
        );
        let no = || Value::Record(vec![("no".into(), text("A1"))]);
        assert_eq!(shown(&paid_by, 0, Value::Null), json!(null));
        assert_eq!(shown(&paid_by, 1, no()), json!({"a.Card": {"no": "A1"}}));
        assert_eq!(shown(&paid_by, 2, no()), json!({"Voucher": {"no": "A1"}}));
        let map = Value::Map([("no".to_owned(), text("A1"))].into());
        assert_eq!(shown(&paid_by, 3, map), json!({"map": {"no": "A1"}}));
        assert_eq!(shown(&paid_by, 4, Value::Long(1)), json!(1));

        let state =
            schema(r#"["string",{"type":"enum","name":"S","symbols":["on"]},{"type":"int","logicalType":"date"}]"#);
        assert_eq!(shown(&state, 0, text("on")), json!({"string": "on"}));
        assert_eq!(shown(&state, 1, Value::Enum(0, "on".into())), json!({"S": "on"}));
        assert_eq!(shown(&state, 2, Value::Date(0)), json!({"int": "1970-01-01"}));

        // Without a named type, and with one of a form, the value alone is enough.
        let plain = schema(r#"["string","bytes","long",{"type":"int","logicalType":"date"}]"#);
        assert_eq!(shown(&plain, 0, text("on")), json!("on"));
        let one = schema(r#"["long",{"type":"enum","name":"S","symbols":["on"]}]"#);
        assert_eq!(shown(&one, 1, Value::Enum(0, "on".into())), json!("on"));
    }

    #[test]
    fn nested_values_keep_their_meaning() {
        let schema = Schema::parse_str(
            r#"{"type":"record","name":"r","fields":[
                {"name":"at","type":{"type":"long","logicalType":"timestamp-millis"}},
                {"name":"on","type":{"type":"int","logicalType":"date"}},
                {"name":"sum","type":["null",{"type":"bytes","logicalType":"decimal","precision":9,"scale":2}]},
                {"name":"tags","type":{"type":"map","values":{"type":"array","items":"double"}}},
                {"name":"raw","type":"bytes"}]}"#,
        )
        .unwrap();
        let value = Value::Record(vec![
            ("at".into(), Value::TimestampMillis(1_700_000_000_123)),
            ("on".into(), Value::Date(-1)),
            (
                "sum".into(),
                Value::Decimal(apache_avro::Decimal::from(num_bigint::BigInt::from(-5).to_signed_bytes_be())),
            ),
            (
                "tags".into(),
                Value::Map([("a".into(), Value::Array(vec![Value::Double(f64::NAN), Value::Double(1.5)]))].into()),
            ),
            ("raw".into(), Value::Bytes(vec![0, 255])),
        ]);
        assert_eq!(
            to_json(&value, &schema).ok(),
            Some(json!({
                "at": "2023-11-14T22:13:20.123Z", "on": "1969-12-31", "sum": "-0.05",
                "tags": {"a": ["NaN", 1.5]}, "raw": "\\x00ff",
            }))
        );
    }
}
