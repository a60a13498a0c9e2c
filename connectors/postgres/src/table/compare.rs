//! Compares the columns of a table with those that its records need, and adds the differences to a [`TableDiff`].

use apache_avro::schema::{RecordField, Schema};

use super::{
    Column,
    catalog::{CurrentColumn, CurrentTable},
    change::{Loosening, Relabelling, Widening},
    ddl,
    desired::DesiredTable,
    difference::TableDiff,
    fit::{Fit, fit},
    metadata::{MetadataColumn, Purpose},
    mismatch::Mismatch,
    remedy::remedy,
};
use crate::{
    column::ColumnType,
    config::{DeleteMode, SchemaEvolution},
};

pub(super) fn compare_metadata(desired: &DesiredTable<'_>, current: &CurrentTable, diff: &mut TableDiff) {
    for own in desired.metadata_columns() {
        match current.columns.get(own.name()) {
            None => diff.missing_metadata.push(own),
            Some(have) if have.ty == own.ty() && own == MetadataColumn::AppliedAt && !have.fills_itself() => {
                diff.is_copyable = false;
            }
            Some(have) if have.ty == own.ty() => {}
            Some(have) => diff.mismatches.push(Mismatch {
                problem: format!("column `{}` should be {} and is {}", own.name(), own.ty(), have.ty),
                remedy: Some(ddl::put_aside(desired.name, own.name())),
            }),
        }
    }
}

pub(super) fn compare_column(
    desired: &DesiredTable<'_>,
    wanted: &mut Column,
    have: &CurrentColumn,
    field: &RecordField,
    diff: &mut TableDiff,
) {
    let is_nullable = matches!(&field.schema, Schema::Union(union) if union.variants().contains(&Schema::Null));
    let may_be_null = is_nullable || desired.purpose == Purpose::Log || desired.config.delete_mode == DeleteMode::Soft;
    if have.is_computed || have.is_generated {
        let problem =
            format!("column `{}` is computed by the database; exclude its field with `fields.exclude`", wanted.name);
        diff.mismatches.push(Mismatch { problem, remedy: None });
    } else if have.not_null && may_be_null && !have.is_primary {
        let (column, field) = (wanted.name.clone(), wanted.field.clone());
        diff.loosened.push(Loosening { column, field, ty: have.ty.clone() });
    }
    let evolves = desired.config.schema_evolution == SchemaEvolution::Evolve;
    match fit(wanted.ty, &field.schema, have) {
        Fit::Widened(to, _) if evolves && !have.is_domain => diff.widened.push(Widening {
            column: wanted.name.clone(),
            field: Some(wanted.field.clone()),
            from: have.ty.clone(),
            to,
            to_json: false,
        }),
        Fit::Accepts(route) | Fit::Widened(_, Some(route)) => {
            diff.is_copyable &= route.cast.is_none() && have.base == route.wire.unwrap_or(wanted.ty).array_element();
            wanted.follow(route);
        }
        // Without the note, a text of an earlier schema would be taken for JSON.
        Fit::BecomesJson if evolves && diff.notes.is_some_and(|notes| notes.of_columns) => {
            if wanted.ty != ColumnType::JsonText {
                wanted.ty = ColumnType::Mixed;
            }
            diff.widened.push(Widening {
                column: wanted.name.clone(),
                field: Some(wanted.field.clone()),
                from: have.ty.clone(),
                to: "jsonb".to_owned(),
                to_json: true,
            });
        }
        // The text of JSON, from which the value can be read.
        Fit::BecomesJson if have.ty == have.base && ["text", "character varying"].contains(&&*have.base) => {
            wanted.cast = Some(have.ty.clone());
        }
        Fit::BecomesJson => {
            diff.retyped.push(wanted.name.clone());
            diff.mismatches.push(Mismatch {
                problem: format!("column `{}` should be jsonb and is {}", wanted.name, have.ty),
                remedy: Some(ddl::alter_to_json(desired.name, &wanted.name)),
            });
        }
        Fit::Widened(_, None) | Fit::Refused => {
            let (ty, statement) = remedy(desired.name, &wanted.name, wanted.ty, have);
            diff.retyped.push(wanted.name.clone());
            diff.mismatches.push(Mismatch {
                problem: format!("column `{}` should be {ty} and is {}", wanted.name, have.declared),
                remedy: Some(statement),
            });
        }
    }
}

/// Returns true if Towpath has written the comment on a column.
pub(super) fn has_our_comment(have: &CurrentColumn, field: &RecordField) -> bool {
    let rest = have.comment.as_ref().and_then(|comment| comment.strip_prefix(&*field.name));
    rest.is_some_and(|rest| rest.is_empty() || rest.starts_with(": "))
}

/// Compares the comment on a column with the label of its field, unless a person has written the comment.
pub(super) fn compare_label(wanted: &Column, have: &CurrentColumn, field: &RecordField, diff: &mut TableDiff) {
    let label = ddl::label(field);
    let Some(comment) = have.comment.as_ref().filter(|comment| **comment != label) else { return };
    if has_our_comment(have, field) && diff.notes.is_some_and(|notes| notes.of_columns) {
        diff.relabelled.push(Relabelling {
            column: wanted.name.clone(),
            field: wanted.field.clone(),
            ty: have.ty.clone(),
            from: comment.clone(),
            to: label,
        });
    }
}

/// Reports columns that are `NOT NULL`, have no default and are filled by no field.
pub(super) fn require_defaults(desired: &DesiredTable<'_>, current: &CurrentTable, diff: &mut TableDiff) {
    let own = desired.metadata_columns();
    for (name, column) in &current.columns {
        let ours = desired.keys.iter().any(|key| key.name == *name)
            || diff.renamed.contains(name)
            || diff.columns.iter().any(|column| column.name == *name)
            || own.iter().any(|own| own.name() == name);
        if !ours && column.not_null && !column.fills_itself() {
            let problem = format!("column `{name}` is NOT NULL without a default, and no field fills it");
            let remedy = (!column.is_primary).then(|| ddl::drop_not_null(desired.name, name));
            diff.mismatches.push(Mismatch { problem, remedy });
        }
    }
}
