use std::collections::HashSet;

use serde_json::Value;

use super::*;
use crate::catalogue::KINDS;

/// The placeholders of a query: the table, and whether an expression follows.
fn placeholders(sql: &str) -> Vec<(&str, bool)> {
    let starts =
        sql.match_indices('{').filter(|(at, _)| sql[at + 1..].starts_with(|first: char| first.is_ascii_lowercase()));
    starts
        .map(|(at, _)| {
            let inside = sql[at + 1..].split('}').next().unwrap();
            assert!(!inside.contains('{'), "{inside}");
            inside.split_once(':').map_or((inside, false), |(table, _)| (table, true))
        })
        .collect()
}

#[test]
fn a_view_reads_the_tables_that_it_declares_and_no_others() {
    for view in standard_views() {
        let declared: HashSet<&str> = view.tables.iter().map(|table| table.name).collect();
        let used: HashSet<&str> = placeholders(view.sql).into_iter().map(|(table, _)| table).collect();
        assert_eq!(declared.len(), view.tables.len(), "{}", view.name);
        let used: HashSet<&str> = used.into_iter().filter(|name| *name != "schema").collect();
        assert_eq!(used, declared, "{}", view.name);
        assert!(view.tables.iter().any(|table| table.is_required), "{}", view.name);
        assert!(!view.sql.contains(';'), "{}", view.name);
    }
}

#[test]
fn views_read_objects_of_the_catalogue_and_have_other_names() {
    let kinds: HashSet<&str> = KINDS.iter().map(|kind| kind.name).collect();
    for view in standard_views() {
        for table in view.tables {
            assert!(base(table.name).is_some(), "{} reads {}", view.name, table.name);
        }
        // The sink also makes views and tables of these names.
        for name in [view.name, view.name.trim_end_matches("_live"), view.name.trim_end_matches("_history")] {
            assert!(!kinds.contains(name), "{name} is the name of a table");
        }
    }
}

/// The schema of an object, without custom fields. One object is written by the connector itself.
fn base(object: &str) -> Option<&'static str> {
    let kind = KINDS.iter().find(|kind| kind.name == object).map(|kind| kind.base);
    kind.or_else(|| (object == "sync_run").then_some(include_str!("../../../../avro/close/sync_run.avsc")))
}

#[test]
fn the_columns_that_views_read_are_fields_of_the_objects() {
    for view in standard_views() {
        for table in view.tables {
            let base: Value = serde_json::from_str(base(table.name).unwrap()).unwrap();
            for (column, ty) in table.columns {
                let field = base["fields"].as_array().unwrap().iter().find(|field| field["name"] == *column);
                let field = field.unwrap_or_else(|| panic!("{} has no {column}", table.name));
                let avro = field["type"].as_array().and_then(|branches| branches.last()).unwrap_or(&field["type"]);
                let as_column = match (avro.as_str(), avro["logicalType"].as_str()) {
                    (Some("string"), _) if field["connect.name"] == "io.debezium.data.Json" => "jsonb",
                    (Some("string"), _) => "text",
                    (Some("long"), _) => "bigint",
                    (Some("double"), _) => "double precision",
                    (Some("boolean"), _) => "boolean",
                    (_, Some("timestamp-micros")) => "timestamptz",
                    (_, Some("date")) => "date",
                    _ => panic!("no column for {field}"),
                };
                assert_eq!(as_column, *ty, "{}.{column}", table.name);
            }
        }
    }
}

#[test]
fn every_view_and_every_column_is_described() {
    for view in standard_views() {
        let names: HashSet<&str> = view.columns.iter().map(|(name, _)| *name).collect();
        assert_eq!(names.len(), view.columns.len(), "{}", view.name);
        let texts = view.columns.iter().map(|(_, text)| *text).chain([view.about]);
        assert!(texts.clone().all(|text| text.ends_with('.')), "{}", view.name);
    }
}
