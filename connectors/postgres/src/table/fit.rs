//! Whether a column that is there holds values of a type without loss, and what it could become to hold them.

use super::catalog::CurrentColumn;
use crate::column::ColumnType;

/// How values of a type and a column go together.
#[derive(Debug, Clone, PartialEq, Eq)]
pub(crate) enum Fit {
    /// The column takes them, after this cast if there is one.
    Accepts(Option<String>),
    /// The column takes them once it has this type, which holds all that is there.
    Widened(String),
    /// Neither.
    Refused,
}

/// Digits of the largest `integer` and `bigint`.
const INTEGER_DIGITS: u32 = 10;
const BIGINT_DIGITS: u32 = 19;

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
        // A text that is too long for the column is an error of the server, and so of that record alone.
        (C::Text, "character varying") => widened_text(column),
        (C::Text, "xml" | "uuid") | (C::Text | C::JsonText, "json" | "jsonb") | (C::Jsonb, "json") => cast(),
        (C::Text, _) if column.is_enum => cast(),
        (C::Text, citext) if citext == "citext" || citext.ends_with(".citext") => cast(),
        // The server's text of a value reads back as the value.
        (values, "text" | "character varying") if column.ty == column.base && values != C::Bytea => cast(),
        (C::Date, "timestamp without time zone" | "timestamp with time zone")
        // The wall clock of UTC, as the JDBC sinks store it; the session's zone is UTC.
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

/// `numeric` with so many digits before and behind the point.
fn numeric(before: u32, behind: u32) -> String {
    format!("numeric({},{behind})", before + behind)
}

/// Whether a `numeric` column has so many digits before and behind the point, or what it would be with them.
fn digits(column: &CurrentColumn, before: u32, behind: u32) -> Fit {
    let Some((precision, scale)) = modifier(&column.ty) else { return Fit::Accepts(None) };
    let (has_before, has_behind) = (precision.saturating_sub(scale), scale);
    if has_before >= before && has_behind >= behind {
        return Fit::Accepts(None);
    }
    Fit::Widened(numeric(has_before.max(before), has_behind.max(behind)))
}

/// `numeric(12,2)` → 12 and 2; `None` without a modifier.
fn modifier(ty: &str) -> Option<(u32, u32)> {
    let (precision, scale) = ty.strip_prefix("numeric(")?.strip_suffix(')')?.split_once(',')?;
    Some((precision.parse().ok()?, scale.parse().ok()?))
}

/// `character varying` without a limit takes every text; one with a limit is widened.
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
            fills_itself: false,
            generated: false,
        }
    }

    #[test]
    fn columns_take_what_they_hold_without_loss_and_are_widened_only_upwards() {
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
        // Rounding to whole seconds would lose something.
        let seconds = column("timestamp(0) with time zone", "timestamp with time zone");
        assert_eq!(of(C::Timestamptz, &seconds), Fit::Refused);
    }
}
