//! The statement with which a person gives a column a type that takes its field. It runs on a table with rows, and
//! loses none of their values: where no narrower type is sure to hold them, the column becomes a text.

use super::{catalog::CurrentColumn, ddl};
use crate::{
    column::ColumnType,
    name::{TableName, quoted},
};

/// The type that the column should have for values of this type, and the statement.
pub(super) fn remedy(
    name: &TableName,
    column: &str,
    values: ColumnType,
    have: &CurrentColumn,
) -> (&'static str, String) {
    use ColumnType as C;
    let value = quoted(column);
    let (ty, using) = match (values, have.base.as_str()) {
        (C::Jsonb | C::Json | C::JsonText | C::Mixed, _) => ("jsonb", format!("to_jsonb({value})")),
        (C::Bytea | C::Bits, _) => ("bytea", format!("convert_to({value}::text, 'UTF8')")),
        (C::Timestamp, "timestamp with time zone") => {
            ("timestamp without time zone", format!("{value} AT TIME ZONE 'UTC'"))
        }
        // The text of a number has all its digits.
        (C::Numeric { .. } | C::AnyNumeric | C::Bigint | C::MicroDuration, "real" | "double precision") => {
            ("numeric", format!("{value}::text::numeric"))
        }
        (C::Interval | C::Time | C::MicroDuration, "interval") => ("interval", format!("{value}::interval")),
        _ => ("text", format!("{value}::text")),
    };
    // The default of another type would be in the way. An identity is dropped first, by itself.
    let without = match (have.has_default, have.is_identity) {
        (_, true) => format!("ALTER TABLE {} ALTER COLUMN {value} DROP IDENTITY; ", name.sql()),
        (true, _) if ty != "text" => format!("ALTER TABLE {} ALTER COLUMN {value} DROP DEFAULT; ", name.sql()),
        _ => String::new(),
    };
    (ty, without + &ddl::alter_type(name, column, ty, &using))
}
