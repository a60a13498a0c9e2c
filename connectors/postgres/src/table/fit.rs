//! Decides if an existing column holds the values of a type without loss; if not, finds a type that it widens to.

use super::catalog::CurrentColumn;
use crate::column::ColumnType;

/// The fit of a type's values to a column.
#[derive(Debug, Clone, PartialEq, Eq)]
pub(crate) enum Fit {
    /// The column accepts them, after this cast if there is one.
    Accepts(Option<String>),
    /// The column accepts them once widened to this type, which holds all existing values.
    Widened(String),
    /// The column accepts them once it is jsonb, in which each existing value is its JSON.
    BecomesJson,
    /// No lossless change makes the column accept them.
    Refused,
}

/// Digits of the largest `integer` and `bigint`.
const INTEGER_DIGITS: u32 = 10;
const BIGINT_DIGITS: u32 = 19;

/// Types of columns that hold no JSON. A text may hold JSON, which must not become a JSON string.
const SCALARS: [&str; 13] = [
    "boolean",
    "smallint",
    "integer",
    "bigint",
    "real",
    "double precision",
    "numeric",
    "date",
    "time without time zone",
    "timestamp without time zone",
    "timestamp with time zone",
    "uuid",
    "interval",
];

/// Compares the type of the values with the column.
pub(crate) fn fit(values: ColumnType, column: &CurrentColumn) -> Fit {
    use ColumnType as C;
    if column.ty == values.sql() {
        return Fit::Accepts(None);
    }
    let takes = Fit::Accepts(None);
    let cast = || Fit::Accepts(Some(column.ty.clone()));
    let widened = |ty: &str| Fit::Widened(ty.to_owned());
    match (values, column.base.as_str()) {
        (C::Integer, "smallint") => widened("integer"),
        (C::Bigint, "smallint" | "integer") => widened("bigint"),
        (C::Integer, "bigint" | "double precision") | (C::Real, "double precision") => takes,
        (C::DoublePrecision, "real" | "smallint" | "integer") => widened("double precision"),
        (C::Integer, "numeric") => digits(column, INTEGER_DIGITS, 0),
        (C::Bigint, "numeric") => digits(column, BIGINT_DIGITS, 0),
        (C::Numeric { precision, scale }, "numeric") => digits(column, precision.saturating_sub(scale), scale),
        (C::Numeric { precision, scale }, "smallint" | "integer") => {
            Fit::Widened(numeric(INTEGER_DIGITS.max(precision.saturating_sub(scale)), scale))
        }
        (C::Numeric { precision, scale }, "bigint") => {
            Fit::Widened(numeric(BIGINT_DIGITS.max(precision.saturating_sub(scale)), scale))
        }
        (C::AnyNumeric, "numeric" | "smallint" | "integer" | "bigint") => widened("numeric"),
        // A text that is too long is refused by the server, which affects only that record.
        (C::Text, "character varying") => widened_text(column),
        (C::Text, "xml" | "uuid") | (C::Text | C::JsonText, "json" | "jsonb") | (C::Jsonb | C::Mixed, "json") => cast(),
        (C::Text, _) if column.is_enum => cast(),
        (C::Text, citext) if citext == "citext" || citext.ends_with(".citext") => cast(),
        (C::Mixed, _) => Fit::BecomesJson,
        (C::Jsonb | C::JsonText, base) if column.ty == column.base && SCALARS.contains(&base) => Fit::BecomesJson,
        // The server's text of a value converts back to the value.
        (values, "text" | "character varying") if column.ty == column.base && values != C::Bytea => cast(),
        (C::Date, "timestamp without time zone" | "timestamp with time zone")
        // The wall clock in UTC, as the JDBC sinks store it; the session's time zone is UTC.
        | (C::Timestamptz, "timestamp without time zone")
            if column.ty == column.base =>
        {
            takes
        }
        (C::Timestamptz, "date") => widened("timestamp with time zone"),
        (C::Timestamp, "date") => widened("timestamp without time zone"),
        _ => Fit::Refused,
    }
}

/// `numeric` with this number of integer digits and decimal digits.
fn numeric(integer: u32, decimal: u32) -> String {
    format!("numeric({},{decimal})", integer + decimal)
}

/// The fit of values with this number of integer digits and decimal digits to a `numeric` column.
fn digits(column: &CurrentColumn, integer: u32, decimal: u32) -> Fit {
    let Some((precision, scale)) = modifier(&column.ty) else { return Fit::Accepts(None) };
    let (has_integer, has_decimal) = (precision.saturating_sub(scale), scale);
    if has_integer >= integer && has_decimal >= decimal {
        return Fit::Accepts(None);
    }
    Fit::Widened(numeric(has_integer.max(integer), has_decimal.max(decimal)))
}

/// `numeric(12,2)` → 12 and 2; `None` without a modifier.
fn modifier(ty: &str) -> Option<(u32, u32)> {
    let (precision, scale) = ty.strip_prefix("numeric(")?.strip_suffix(')')?.split_once(',')?;
    Some((precision.parse().ok()?, scale.parse().ok()?))
}

/// `character varying` accepts every text without a limit, and is widened if it has one.
fn widened_text(column: &CurrentColumn) -> Fit {
    if column.ty == column.base { Fit::Accepts(None) } else { Fit::Widened("text".to_owned()) }
}

#[cfg(test)]
mod tests {
    use super::*;

    fn column(ty: &str, base: &str) -> CurrentColumn {
        CurrentColumn {
            ty: ty.to_owned(),
            base: base.to_owned(),
            is_enum: false,
            not_null: false,
            comment: None,
            fills_itself: false,
            generated: false,
        }
    }

    #[test]
    fn a_column_becomes_json_for_values_of_several_types() {
        use ColumnType as C;
        let plain = |ty: &'static str| column(ty, ty);
        for there in ["text", "bigint", "numeric", "boolean", "timestamp with time zone", "text[]"] {
            assert_eq!(fit(C::Mixed, &plain(there)), Fit::BecomesJson, "{there}");
        }
        assert_eq!(fit(C::Mixed, &column("numeric(12,2)", "numeric")), Fit::BecomesJson);
        assert_eq!(fit(C::Mixed, &plain("jsonb")), Fit::Accepts(None));
        assert_eq!(fit(C::Mixed, &plain("json")), Fit::Accepts(Some("json".to_owned())));
        // Of one type: JSON in a column of another type, but not in a text, which may hold JSON already.
        for values in [C::Jsonb, C::JsonText] {
            assert_eq!(fit(values, &plain("bigint")), Fit::BecomesJson);
            assert_eq!(fit(values, &plain("text")), Fit::Accepts(Some("text".to_owned())));
            assert_eq!(fit(values, &plain("bytea")), Fit::Refused);
        }
    }

    #[test]
    fn columns_accept_only_lossless_values_and_are_only_widened() {
        use ColumnType as C;
        let plain = |ty: &'static str| column(ty, ty);
        let of = |values, column: &CurrentColumn| fit(values, column);
        let widened = |ty: &str| Fit::Widened(ty.to_owned());
        let takes = Fit::Accepts(None);
        assert_eq!(of(C::Bigint, &plain("integer")), widened("bigint"));
        assert_eq!(of(C::Integer, &plain("bigint")), takes);
        assert_eq!(of(C::Bigint, &plain("numeric")), takes);
        assert_eq!(of(C::Bigint, &column("numeric(12,2)", "numeric")), widened("numeric(21,2)"));
        let decimal = C::Numeric { precision: 20, scale: 4 };
        assert_eq!(of(decimal, &column("numeric(12,2)", "numeric")), widened("numeric(20,4)"));
        assert_eq!(of(decimal, &plain("bigint")), widened("numeric(23,4)"));
        assert_eq!(of(C::Numeric { precision: 9, scale: 2 }, &column("numeric(12,2)", "numeric")), takes);
        assert_eq!(of(C::Text, &column("character varying(20)", "character varying")), widened("text"));
        assert_eq!(of(C::Timestamptz, &plain("date")), widened("timestamp with time zone"));
        for (values, there) in [
            (C::Text, "integer"),
            (C::DoublePrecision, "bigint"),
            (C::Bigint, "double precision"),
            (C::Timestamp, "timestamp with time zone"),
            (C::Boolean, "integer"),
            (C::Bytea, "text"),
            (decimal, "double precision"),
        ] {
            assert_eq!(of(values, &plain(there)), Fit::Refused, "{values:?} into {there}");
        }
        assert_eq!(of(C::Integer, &plain("text")), Fit::Accepts(Some("text".to_owned())));
        // Rounding to whole seconds would lose digits.
        let seconds = column("timestamp(0) with time zone", "timestamp with time zone");
        assert_eq!(of(C::Timestamptz, &seconds), Fit::Refused);
    }
}
