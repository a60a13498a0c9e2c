//! The readings of everything, of all organizations.

use towpath_api::{StandardView, ViewHome};

use super::required;

pub(super) const SYNC_RUNS: StandardView = StandardView {
    name: "sync_runs",
    home: ViewHome::Bookkeeping,
    about: "One row per reading of everything at Close, or a part of it, that has ended; of every organization in this \
            database.",
    tables: &[required(
        "sync_run",
        &[
            ("id", "text"),
            ("organization_id", "text"),
            ("generation", "bigint"),
            ("kind", "text"),
            ("reason", "text"),
            ("began", "timestamptz"),
            ("ended", "timestamptz"),
            ("duration_seconds", "double precision"),
            ("complete", "boolean"),
            ("rows", "bigint"),
            ("published", "bigint"),
            ("deleted", "bigint"),
            ("unusable", "bigint"),
            ("skipped", "bigint"),
            ("waited_share", "double precision"),
            ("objects", "jsonb"),
            ("schema_changes", "jsonb"),
        ],
    )],
    columns: &[
        ("schema", "The schema of the organization's tables."),
        ("organization_id", "The organization."),
        ("generation", "The number of the run, from 1."),
        ("kind", "first, comparison, approved or requested."),
        ("reason", "The reason of the run."),
        ("began_at", "When it began, by Close's clock."),
        ("ended_at", "When it ended, by Close's clock."),
        ("duration_seconds", "The time between."),
        ("is_complete", "True if all objects were read whole and no check found a difference."),
        ("rows", "Records that Close listed."),
        (
            "published",
            "Records that were written: in a first run all but those of lists, in a comparison those that differed.",
        ),
        ("deleted", "Records that Close no longer has."),
        ("unusable", "Rows without an id, which gave no record."),
        ("skipped", "Objects that could not be read, or not whole, or that await approval."),
        ("waited_share", "Share of the time in which requests waited for the rate limit, from 0 to 1."),
        ("objects", "By object: state, counts, and the check."),
        ("schema_changes", "By object: the fields that were added, renamed, retyped or removed since the run before."),
    ],
    sql: include_str!("../../views/sync_runs.sql"),
};
