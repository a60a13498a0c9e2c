//! The columns of the key, compared with those of the table. A primary key never changes; a column of it that was
//! renamed at its source is recognized.

use apache_avro::schema::Schema;

use super::{
    catalog::{CurrentColumn, CurrentTable},
    change::Widening,
    ddl,
    desired::DesiredTable,
    difference::TableDiff,
    fit::{Fit, fit},
    mismatch::Mismatch,
};
use crate::{
    column::{ColumnType, fields_of},
    config::SchemaEvolution,
    key::KeyColumn,
    name::identifier,
};

/// Types that write equal numbers in several ways.
const FRACTIONS: [&str; 4] = ["numeric", "real", "double precision", "money"];

/// Compares the columns of the key, and requires that they are unique together. No printed statement alters a key: it
/// is its owner's.
pub(super) fn compare_key(desired: &DesiredTable<'_>, current: &CurrentTable, diff: &mut TableDiff) {
    const UNCHANGED: &str =
        "; the sink never changes a key: say with `pk.fields` which fields are the key, or rename or alter the column";
    let evolves = desired.config.schema_evolution == SchemaEvolution::Evolve;
    for (at, key) in desired.keys.iter().enumerate() {
        let problem = |is: &str| format!("column `{}` of the key should be {} and is {is}", key.name, key.ty.sql());
        let should = |is: &str| Mismatch { problem: format!("{}{UNCHANGED}", problem(is)), remedy: None };
        let Some(have) = current.columns.get(&key.name) else {
            let (mismatch, renamed) = missing(desired, current, key, problem("missing"));
            diff.mismatches.push(mismatch);
            diff.renamed.extend(renamed);
            continue;
        };
        let have = CurrentColumn { is_ours: current.is_made_here(), ..have.clone() };
        diff.is_copyable &= have.base == key.ty.array_element();
        let row = &mut diff.keys[at];
        (row.operators, row.declared) = (have.operators.clone(), have.declared.clone());
        match fit(key.ty, &Schema::Null, &have) {
            _ if have.is_computed => diff.mismatches.push(should("computed by the database")),
            // `7.0` and `7` are two keys and one number.
            _ if key.ty == ColumnType::Text && FRACTIONS.contains(&&*have.base) => {
                diff.mismatches.push(should(&have.declared));
            }
            Fit::Widened(to, _) if evolves && !have.is_domain => diff.widened.push(Widening {
                column: key.name.clone(),
                field: None,
                from: have.ty.clone(),
                to,
                to_json: false,
            }),
            Fit::Accepts(route) | Fit::Widened(_, Some(route)) => {
                row.ty = route.wire.unwrap_or(key.ty);
                (row.form, row.cast) = (route.form, route.cast);
            }
            Fit::Widened(_, None) | Fit::BecomesJson | Fit::Refused => {
                diff.mismatches.push(should(&have.declared));
            }
        }
    }
    let names = || desired.keys.iter().map(|key| key.name.as_str());
    if !desired.keys.is_empty() && names().all(|name| current.columns.contains_key(name)) && !current.is_key(names()) {
        let list = ddl::key_list(&desired.keys);
        let remedy = format!("ALTER TABLE {} ADD UNIQUE ({list})", desired.name.sql());
        let problem = format!("({list}) has no unique index, which needs that no two rows have the same values");
        diff.mismatches.push(Mismatch { problem, remedy: Some(remedy) });
    }
}

/// The column that the table has in the place of a missing column of the key: the other columns of the key are unique
/// together with it, it takes the values, and it holds no field. `None` if there is none, or several.
fn earlier_name<'c>(desired: &DesiredTable<'_>, current: &'c CurrentTable, missing: &KeyColumn) -> Option<&'c str> {
    let is_other = |name: &str| desired.keys.iter().any(|key| key.name == name && key.name != missing.name);
    let holds_a_field = |name: &str| {
        let mut fields = desired.schemas.iter().flat_map(|schema| fields_of(schema));
        fields.any(|field| field.name == name || identifier(&field.name) == name)
    };
    let takes = |name: &str| {
        let column = current.columns.get(name);
        column.is_some_and(|have| matches!(fit(missing.ty, &Schema::Null, have), Fit::Accepts(_) | Fit::Widened(..)))
    };
    let mut found: Option<&str> = None;
    for unique in current.unique.iter().filter(|unique| unique.len() == desired.keys.len()) {
        let mut left = unique.iter().map(String::as_str).filter(|name| !is_other(name));
        let (Some(name), None) = (left.next(), left.next()) else { continue };
        if holds_a_field(name) || !takes(name) || found == Some(name) {
            continue;
        }
        if found.is_some() {
            return None;
        }
        found = Some(name);
    }
    found
}

/// The mismatch of a missing column of the key, and the column to rename. `problem` says that it is missing.
fn missing(
    desired: &DesiredTable<'_>,
    current: &CurrentTable,
    missing: &KeyColumn,
    problem: String,
) -> (Mismatch, Option<String>) {
    let Some(earlier) = earlier_name(desired, current, missing) else {
        return (Mismatch { problem, remedy: None }, None);
    };
    let has_view = current.has_live_view && desired.has_live_view();
    let mismatch = Mismatch {
        problem: format!("{problem}; the table has `{earlier}` in its place, which `pk.fields` can name"),
        remedy: Some(ddl::rename_column(desired.name, earlier, &missing.name, has_view)),
    };
    (mismatch, Some(earlier.to_owned()))
}
