//! Differences between a table and its records that the sink may not or cannot remove.

use towpath_api::{Error, ErrorType};

use crate::{codes, config::SchemaMismatch, name::TableName};

/// A difference, and the statement that removes it.
#[derive(Debug)]
pub(super) struct Mismatch {
    pub(super) problem: String,
    /// `None` if no single statement removes it.
    pub(super) remedy: Option<String>,
}

/// The error that lists all mismatches of a table, with all statements that remove them as help.
///
/// Retry or poison, as `schema.mismatch` says.
pub(super) fn mismatch_error(
    table: &TableName,
    reaction: SchemaMismatch,
    mismatches: &[Mismatch],
    remedies: &[String],
) -> Error {
    let problems: Vec<_> = mismatches.iter().map(|mismatch| mismatch.problem.as_str()).collect();
    let error = unfit(table, reaction, &problems.join("; "));
    if remedies.is_empty() { error } else { error.with_help(format!("run: {}", remedies.join("; "))) }
}

/// The error of keys that `pk.fields` cannot be applied to, whatever the record.
pub(crate) fn key_mismatch(table: &TableName, reaction: SchemaMismatch, problem: &str) -> Error {
    unfit(table, reaction, problem).with_help(
        "name fields of the key in `pk.fields`, all of them or some, in any order; or as many other names as the key \
         has fields, for its columns by position; and restart the worker",
    )
}

fn unfit(table: &TableName, reaction: SchemaMismatch, problems: &str) -> Error {
    let doing = |fate: &str| format!("write to table {table}: {problems}; {fate}");
    match reaction {
        SchemaMismatch::Pause => Error::retry(
            codes::SCHEMA_MISMATCH,
            ErrorType::Schema,
            doing("nothing was written, and the records wait until the table fits"),
        ),
        SchemaMismatch::DeadLetter => {
            Error::poison(codes::SCHEMA_MISMATCH, ErrorType::Schema, doing("the record was not written"))
        }
    }
}
