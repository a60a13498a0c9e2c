//! Decides if an existing column holds the values of a type without loss; if not, finds a type that it widens to.
//!
//! A column of somebody else takes each value that it holds exactly, whatever its type: numbers and times are compared
//! with its range and digits, and a text goes into a column of any type by a cast. A value that it does not hold is a
//! dead letter of its record. A column that Towpath added waits if its field becomes another kind of type.

use apache_avro::schema::Schema;

use super::catalog::CurrentColumn;
use crate::column::{ColumnType, Form, Route, TimeParts, not_null};

/// The fit of a type's values to a column.
#[derive(Debug, Clone, PartialEq, Eq)]
pub(crate) enum Fit {
    /// The column accepts them in this way.
    Accepts(Route),
    /// The column accepts them once widened to this type, which holds all existing values. If it cannot be widened, it
    /// may accept those that it holds in this way.
    Widened(String, Option<Route>),
    /// The column accepts them once it is jsonb, in which each existing value is its JSON.
    BecomesJson,
    /// No lossless change makes the column accept them.
    Refused,
}

/// Digits of the largest `integer` and `bigint`.
const INTEGER_DIGITS: i32 = 10;
const BIGINT_DIGITS: i32 = 19;
/// Decimal digits of a second.
const FRACTION: u32 = 6;

const CLOCK: &str = "time without time zone";
const ZONED_CLOCK: &str = "time with time zone";
const LOCAL: &str = "timestamp without time zone";
const INSTANT: &str = "timestamp with time zone";

/// The kind of a type. Within a kind, a column that Towpath added follows its field.
#[derive(Debug, Clone, Copy, PartialEq, Eq)]
enum Kind {
    Boolean,
    Number,
    Text,
    Bytes,
    Uuid,
    Moment,
    Clock,
    Interval,
    Json,
}

impl Kind {
    fn of_values(values: ColumnType) -> Self {
        use ColumnType as C;
        match values {
            C::Boolean => Self::Boolean,
            C::Integer
            | C::Bigint
            | C::MicroDuration
            | C::Real
            | C::DoublePrecision
            | C::Numeric { .. }
            | C::AnyNumeric => Self::Number,
            C::Text => Self::Text,
            C::Bytea | C::Bits => Self::Bytes,
            C::Uuid => Self::Uuid,
            C::Date | C::Timestamp | C::Timestamptz => Self::Moment,
            C::Time => Self::Clock,
            C::Interval => Self::Interval,
            C::Jsonb | C::Json | C::JsonText | C::Mixed => Self::Json,
        }
    }

    /// The kind of a type that Towpath gives to columns; `None` for all others.
    fn of_base(base: &str) -> Option<Self> {
        Some(match base {
            "boolean" => Self::Boolean,
            "integer" | "bigint" | "real" | "double precision" | "numeric" => Self::Number,
            "text" => Self::Text,
            "bytea" => Self::Bytes,
            "uuid" => Self::Uuid,
            "date" | LOCAL | INSTANT => Self::Moment,
            CLOCK => Self::Clock,
            "interval" => Self::Interval,
            "jsonb" => Self::Json,
            _ => return None,
        })
    }
}

fn plain() -> Fit {
    Fit::Accepts(Route::default())
}

/// Encoded for this type of column, and in this form.
fn encoded(wire: ColumnType, form: Form) -> Route {
    Route { wire: Some(wire), form, cast: None }
}

/// As the values are, and cast to this type by the server.
fn cast(ty: &str) -> Fit {
    Fit::Accepts(Route { cast: Some(ty.to_owned()), ..Route::default() })
}

/// As a text in this form, which the server casts to this type.
fn by_text(form: Form, ty: &str) -> Fit {
    Fit::Accepts(Route { wire: Some(ColumnType::Text), form, cast: Some(ty.to_owned()) })
}

/// Compares the type of the values with the column. `schema` is the schema of their field.
pub(crate) fn fit(values: ColumnType, schema: &Schema, column: &CurrentColumn) -> Fit {
    use ColumnType as C;
    let base = column.base.as_str();
    if values == C::Mixed {
        return match base {
            "jsonb" => plain(),
            "json" => cast("json"),
            _ => Fit::BecomesJson,
        };
    }
    if column.is_ours && !keeps_kind(values, base) {
        let becomes_json = Kind::of_values(values) == Kind::Json && base != "bytea";
        return if becomes_json { Fit::BecomesJson } else { Fit::Refused };
    }
    match base {
        "boolean" | "smallint" | "integer" | "bigint" | "real" | "double precision" | "numeric" | "money" => {
            number(values, column)
        }
        "text" | "character varying" | "character" | "\"char\"" | "name" => text(values, column),
        "date" | CLOCK | ZONED_CLOCK | LOCAL | INSTANT | "interval" => time(values, column),
        "bytea" => match values {
            C::Bytea | C::Bits => plain(),
            C::Text => Fit::Accepts(encoded(C::Bytea, Form::Plain)),
            _ => Fit::Refused,
        },
        "uuid" if values == C::Uuid => plain(),
        "jsonb" | "json" => {
            let wire = match (base, values) {
                ("json", C::Text | C::JsonText | C::Jsonb | C::Json) => C::Json,
                ("json", _) => {
                    return Fit::Accepts(Route { cast: Some("json".into()), ..encoded(C::Mixed, Form::Plain) });
                }
                (_, C::Text | C::JsonText | C::Json) => C::JsonText,
                (_, C::Jsonb) => C::Jsonb,
                _ => C::Mixed,
            };
            Fit::Accepts(encoded(wire, Form::Plain))
        }
        "bit" | "bit varying" => bits(values, column),
        _ => other(values, schema, column),
    }
}

/// Returns true if the values are of the kind of a column that Towpath added, or if each of them has a text there.
fn keeps_kind(values: ColumnType, base: &str) -> bool {
    let (from, Some(to)) = (Kind::of_values(values), Kind::of_base(base)) else { return true };
    let takes_text = to == Kind::Text && from != Kind::Bytes || (from, to) == (Kind::Text, Kind::Uuid);
    let is_exact = !matches!(
        (values, base),
        (ColumnType::Bigint, "real" | "double precision")
            | (ColumnType::Real | ColumnType::DoublePrecision, "bigint" | "numeric")
    );
    (from == to || takes_text) && is_exact
}

/// The modifier of a type: `numeric(12,2)` → 12 and 2, `timestamp(3) with time zone` → 3.
fn modifiers(ty: &str) -> Vec<i32> {
    let inner = ty.split_once('(').and_then(|(_, rest)| rest.split_once(')'));
    inner.map(|(list, _)| list.split(',').filter_map(|number| number.trim().parse().ok()).collect()).unwrap_or_default()
}

fn number(values: ColumnType, column: &CurrentColumn) -> Fit {
    use ColumnType as C;
    let checked = |wire| encoded(wire, Form::Plain);
    let widened = |ty: &str, route| Fit::Widened(ty.to_owned(), Some(route));
    let is_number = Kind::of_values(values) == Kind::Number;
    match (column.base.as_str(), values) {
        ("boolean", C::Boolean)
        | ("integer", C::Integer)
        | ("bigint", C::Bigint | C::MicroDuration)
        | ("real", C::Real)
        | ("double precision", C::DoublePrecision) => plain(),
        ("boolean", C::Text) => cast("boolean"),
        ("boolean", C::Integer | C::Bigint | C::Numeric { scale: 0, .. }) => {
            Fit::Accepts(encoded(C::Boolean, Form::Plain))
        }
        (base @ ("smallint" | "integer" | "bigint"), _) => {
            let (route, digits) = match base {
                "smallint" => (encoded(C::Integer, Form::Smallint), INTEGER_DIGITS),
                "integer" => (checked(C::Integer), INTEGER_DIGITS),
                _ => (checked(C::Bigint), BIGINT_DIGITS),
            };
            match values {
                C::Integer if base == "smallint" => widened("integer", route),
                C::Bigint | C::MicroDuration if base != "bigint" => widened("bigint", route),
                C::DoublePrecision if base != "bigint" => widened("double precision", route),
                C::Numeric { precision, scale } => {
                    let (precision, scale) = sizes(precision, scale);
                    widened(&numeric(digits.max(precision - scale), scale), route)
                }
                C::AnyNumeric => widened("numeric", route),
                C::Boolean | C::Text => Fit::Accepts(route),
                _ if is_number => Fit::Accepts(route),
                _ => Fit::Refused,
            }
        }
        ("real", C::Integer | C::DoublePrecision) => widened("double precision", checked(C::Real)),
        ("real", C::Bigint | C::MicroDuration | C::Text) => Fit::Accepts(checked(C::Real)),
        ("double precision", C::Integer | C::Real | C::Bigint | C::MicroDuration | C::Text) => {
            Fit::Accepts(checked(C::DoublePrecision))
        }
        ("numeric", C::Text) => digits(column, None),
        ("numeric", C::Integer) => digits(column, Some((INTEGER_DIGITS, 0))),
        ("numeric", C::Bigint | C::MicroDuration) => digits(column, Some((BIGINT_DIGITS, 0))),
        ("numeric", C::Numeric { precision, scale }) => {
            let (precision, scale) = sizes(precision, scale);
            digits(column, Some((precision - scale, scale)))
        }
        ("numeric", C::AnyNumeric) => match digits(column, None) {
            Fit::Accepts(route) if route.form != Form::Plain => widened("numeric", route),
            takes => takes,
        },
        ("numeric", _) if is_number => digits(column, None),
        ("money", C::Text) => by_text(Form::Money, "money"),
        ("money", _) if is_number => Fit::Accepts(Route {
            wire: Some(C::AnyNumeric),
            form: Form::Digits { precision: 19, scale: 2 },
            cast: Some("money".to_owned()),
        }),
        _ => Fit::Refused,
    }
}

fn sizes(precision: u32, scale: u32) -> (i32, i32) {
    // Neither is over 1,000.
    (i32::try_from(precision).unwrap_or(i32::MAX), i32::try_from(scale).unwrap_or(0))
}

/// `numeric` with this number of integer digits and decimal digits.
fn numeric(integer: i32, decimal: i32) -> String {
    format!("numeric({},{decimal})", integer + decimal)
}

/// The fit of values with this number of integer digits and decimal digits, or with any, to a `numeric` column.
fn digits(column: &CurrentColumn, values: Option<(i32, i32)>) -> Fit {
    let [precision, scale] = modifiers(&column.ty)[..] else {
        return Fit::Accepts(encoded(ColumnType::AnyNumeric, Form::Plain));
    };
    let checked = encoded(ColumnType::AnyNumeric, Form::Digits { precision, scale });
    let Some((integer, decimal)) = values else { return Fit::Accepts(checked) };
    let has_integer = precision - scale;
    if has_integer >= integer && scale >= decimal {
        // The scale pads the numbers of fewer digits, as the server does.
        return Fit::Accepts(encoded(ColumnType::AnyNumeric, Form::Plain));
    }
    Fit::Widened(numeric(has_integer.max(integer), scale.max(decimal).max(0)), Some(checked))
}

fn text(values: ColumnType, column: &CurrentColumn) -> Fit {
    use ColumnType as C;
    let base = column.base.as_str();
    let form = match (base, modifiers(&column.ty)[..].first()) {
        ("character varying" | "character", Some(&length)) => {
            let characters = usize::try_from(length).unwrap_or(usize::MAX);
            Form::Length { characters, padded: base == "character" }
        }
        ("\"char\"", _) => Form::Octets(1),
        ("name", _) => Form::Octets(63),
        _ => Form::Plain,
    };
    // `character` and `"char"` in a cast would cut the text.
    let by_name = ["character", "\"char\"", "name"].contains(&base);
    let route = Route {
        wire: Some(C::Text),
        form,
        cast: by_name.then(|| if base == "character" { "bpchar" } else { base }.to_owned()),
    };
    match values {
        C::Text if base == "character varying" && form != Form::Plain => Fit::Widened("text".to_owned(), Some(route)),
        C::Text | C::JsonText | C::Bytea | C::Bits => Fit::Accepts(route),
        // The server's text of a value converts back to the value. The assignment refuses it if it is too long.
        _ if !by_name || base == "character" => cast("text"),
        _ => Fit::Refused,
    }
}

fn time(values: ColumnType, column: &CurrentColumn) -> Fit {
    use ColumnType as C;
    let base = column.base.as_str();
    let modifier = modifiers(&column.ty)[..].first().copied();
    let digits = modifier.and_then(|digits| u32::try_from(digits).ok()).unwrap_or(FRACTION).min(FRACTION);
    let form = if digits < FRACTION { Form::Fraction(digits) } else { Form::Plain };
    let (wire, parts) = match base {
        "date" => (C::Date, TimeParts::Date),
        CLOCK => (C::Time, TimeParts::Clock),
        ZONED_CLOCK => (C::Text, TimeParts::ZonedClock),
        LOCAL => (C::Timestamp, TimeParts::Local),
        INSTANT => (C::Timestamptz, TimeParts::Instant),
        _ => (C::Interval, TimeParts::Span),
    };
    // The fields of `interval day to second` cut values without an error.
    if base == "interval" && !["interval", &format!("interval({digits})")].contains(&&*column.ty) {
        return Fit::Refused;
    }
    let route = || encoded(wire, form);
    match (values, base) {
        (C::Text, _) => by_text(Form::TimeText { digits: digits as usize, parts }, base),
        (C::Timestamptz, "date") => Fit::Widened(INSTANT.to_owned(), Some(route())),
        (C::Timestamp, "date") => Fit::Widened(LOCAL.to_owned(), Some(route())),
        (C::Date, "date" | LOCAL | INSTANT)
        | (C::Time, CLOCK | "interval")
        | (C::Timestamp, LOCAL)
        // The wall clock in UTC, as the JDBC sinks store it.
        | (C::Timestamptz, LOCAL | INSTANT)
        | (C::Interval | C::MicroDuration, "interval") => Fit::Accepts(route()),
        _ => Fit::Refused,
    }
}

fn bits(values: ColumnType, column: &CurrentColumn) -> Fit {
    let count = modifiers(&column.ty)[..].first().and_then(|bits| usize::try_from(*bits).ok());
    // `bit` has one.
    let count = count.unwrap_or(usize::from(column.base == "bit"));
    // Of `bit varying` it is the maximum, which the assignment checks. Debezium does not keep the number of bits.
    let made = if column.base == "bit" { count } else { 0 };
    match values {
        // The assignment compares the number of bits, which a cast to `bit(4)` would change.
        ColumnType::Text => by_text(Form::Plain, "bit varying"),
        ColumnType::Boolean if count <= 1 => by_text(Form::Bits(count), "bit varying"),
        ColumnType::Bits => by_text(Form::Bits(made), "bit varying"),
        _ => Fit::Refused,
    }
}

/// The types that only Postgres has: arrays, enums, ranges, composite types, and those of extensions.
fn other(values: ColumnType, schema: &Schema, column: &CurrentColumn) -> Fit {
    use ColumnType as C;
    let base = column.base.as_str();
    let name = base.rsplit('.').next().unwrap_or(base);
    match values {
        // Without a modifier: in a cast it cuts or rounds the items, in an assignment it refuses them.
        C::Jsonb | C::Text if base.ends_with("[]") => {
            let form = if values == C::Text { Form::Plain } else { Form::Array };
            let ty = match base {
                "bit[]" => "bit varying[]",
                "character[]" => "bpchar[]",
                plain => plain,
            };
            if values == C::Text || holds_items(schema, column) { by_text(form, ty) } else { Fit::Refused }
        }
        C::Text => cast(base),
        C::Jsonb if base == "point" => by_text(Form::Point, base),
        C::Jsonb | C::JsonText if name == "hstore" => by_text(Form::Hstore, base),
        C::Jsonb if ["vector", "halfvec"].contains(&name) => by_text(Form::JsonText, base),
        C::Integer | C::Bigint if ["oid", "xid", "xid8"].contains(&base) => cast(&format!("text::{base}")),
        C::Bytea | C::Bits | C::Jsonb | C::JsonText | C::Json | C::Mixed => Fit::Refused,
        // For example citext.
        _ if column.operators.is_some() => cast(&format!("text::{base}")),
        _ => Fit::Refused,
    }
}

/// Returns true if the items of an array column hold each item of the field's arrays.
fn holds_items(schema: &Schema, column: &CurrentColumn) -> bool {
    use ColumnType as C;
    let Schema::Array(array) = not_null(schema) else { return false };
    let mut items = &*array.items;
    while let Schema::Array(inner) = not_null(items) {
        items = &inner.items;
    }
    let Ok(values) = C::of(items) else { return false };
    let item = CurrentColumn { ty: column.ty.replace("[]", ""), base: column.base.replace("[]", ""), ..column.clone() };
    match (item.base.as_str(), values) {
        ("text" | "character varying" | "character" | "json" | "jsonb", _) => true,
        ("smallint" | "integer" | "bigint", _) => matches!(values, C::Integer | C::Bigint | C::Boolean | C::Text),
        ("boolean", _) => matches!(values, C::Boolean | C::Integer | C::Text),
        ("real", _) => matches!(values, C::Real),
        ("double precision", _) => matches!(values, C::Integer | C::Real | C::DoublePrecision),
        ("numeric", C::Text) | ("point", _) => item.ty == item.base,
        ("date" | CLOCK | ZONED_CLOCK | LOCAL | INSTANT | "interval" | "money", C::Text) => false,
        ("date" | CLOCK | LOCAL | INSTANT | "bytea" | "numeric", _) => {
            let fit = fit(values, items, &item);
            matches!(fit, Fit::Accepts(Route { form: Form::Plain, cast: None, .. }))
        }
        _ => matches!(values, C::Text | C::Integer | C::Bigint | C::Boolean | C::Uuid),
    }
}

#[cfg(test)]
mod tests;
