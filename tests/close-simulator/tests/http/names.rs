//! Quirks of section 12 and rows of section 6.5 all have tests by name, found in the sources of these tests.

use std::{
    collections::{BTreeMap, BTreeSet},
    path::Path,
};

use close_simulator::webhooks::catalogue;

/// The quirks of section 12 are numbered from 1.
const QUIRKS: u32 = 37;

/// The source of each test function by name.
fn tests() -> BTreeMap<String, String> {
    let mut tests = BTreeMap::new();
    for file in std::fs::read_dir(Path::new(env!("CARGO_MANIFEST_DIR")).join("tests/http")).expect("the tests") {
        let path = file.expect("a file").path();
        let source = std::fs::read_to_string(&path).expect("a source");
        // A test starts after its attribute and ends with a brace at the start of a line.
        for part in source.split("\n#[tokio::test]\n").skip(1).chain(source.split("\n#[test]\n").skip(1)) {
            let body = part.split("\n}\n").next().unwrap_or(part);
            let name = body.split_once("fn ").expect("a function").1;
            let name = name.split(['(', '<']).next().expect("a name").to_owned();
            assert!(
                tests.insert(name.clone(), body.to_owned()).is_none_or(|before| before != body),
                "{name} is there twice"
            );
        }
    }
    tests
}

/// The prefix of the tests of an object type's row: one row for all tasks, one for both spellings of a type.
fn row(object_type: &str) -> String {
    match object_type.split_once('.') {
        Some(("task", _)) => "row_task_".to_owned(),
        _ => format!("row_{}_", catalogue::canonical(object_type).replace('.', "_")),
    }
}

fn rows() -> BTreeSet<String> {
    catalogue::pairs().map(|(object_type, _)| row(object_type)).collect()
}

#[test]
fn every_quirk_and_every_row_has_a_test_by_name() {
    let tests = tests();
    let quirks: BTreeSet<String> = (1..=QUIRKS).map(|number| format!("quirk_{number:02}_")).collect();
    let rows = rows();
    // Of `row_comment_` and `row_comment_thread_` the longer prefix wins.
    let meant = |name: &str| {
        quirks.iter().chain(&rows).filter(|start| name.starts_with(start.as_str())).max_by_key(|start| start.len())
    };
    let named: BTreeMap<&String, &String> = tests.keys().filter_map(|name| Some((name, meant(name)?))).collect();
    let have: BTreeSet<&String> = named.values().copied().collect();
    let missing: Vec<&String> = quirks.iter().chain(&rows).filter(|start| !have.contains(start)).collect();
    assert!(missing.is_empty(), "without a test: {missing:?}");
    let strange: Vec<&String> = tests
        .keys()
        .filter(|name| name.starts_with("quirk_") || name.starts_with("row_"))
        .filter(|name| meant(name).is_none())
        .collect();
    assert!(strange.is_empty(), "no such quirk or row: {strange:?}");
    // These tests must use HTTP only.
    let inside: Vec<&&String> = named.keys().filter(|name| tests[**name].contains(".simulator")).collect();
    assert!(inside.is_empty(), "not over HTTP only: {inside:?}");
}

/// Every action of a row occurs in the name or the text of one of the row's tests.
#[test]
fn every_action_of_a_row_stands_in_its_tests() {
    let tests = tests();
    let rows = rows();
    for (object_type, action) in catalogue::pairs() {
        let row = row(object_type);
        let longer: Vec<&String> =
            rows.iter().filter(|other| other.len() > row.len() && other.starts_with(&row)).collect();
        let of_row = tests
            .iter()
            .filter(|(name, _)| name.starts_with(&row) && !longer.iter().any(|other| name.starts_with(other.as_str())));
        let said = of_row.map(|(name, body)| name.replace('_', " ") + body).collect::<String>();
        assert!(said.contains(action), "{object_type}.{action} is in no test of its row");
    }
}
