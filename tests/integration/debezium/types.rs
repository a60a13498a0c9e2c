//! Every column type of Postgres: `tests/fixtures/debezium_types.txt` has the values and the results.

use std::{cell::RefCell, path::Path};

use super::source::{Form, Source, Stream, listed, rest};
use crate::{
    stack::{PATIENCE, shared, try_for},
    worker::Worker,
};

const NEEDED: &str = r#"
    CREATE EXTENSION citext; CREATE EXTENSION hstore; CREATE EXTENSION ltree;
    CREATE TYPE mood AS ENUM ('happy', 'so-so, "sad"');
    CREATE DOMAIN d_amount AS numeric(7,2); CREATE DOMAIN d_code AS varchar(9) CHECK (VALUE ~ '^[A-Z]');
"#;

/// A column type, and what becomes of it.
struct Case {
    name: String,
    ty: String,
    values: String,
    created: String,
    by_hand: String,
}

impl Case {
    fn created(&self) -> &str {
        &self.created
    }

    fn by_hand(&self) -> &str {
        &self.by_hand
    }
}

fn cases() -> Vec<Case> {
    let file = Path::new(env!("CARGO_MANIFEST_DIR")).join("tests/fixtures/debezium_types.txt");
    let text = std::fs::read_to_string(file).expect("the table of types");
    let lines = text.lines().filter(|line| !line.is_empty() && !line.starts_with('#'));
    let case = |line: &str| {
        let mut cells = line.split(" | ").map(|cell| cell.trim().to_owned());
        let mut next = || cells.next().unwrap_or_else(|| panic!("a cell is missing: {line}"));
        Case { name: next(), ty: next(), values: next(), created: next(), by_hand: next() }
    };
    lines.map(case).collect()
}

fn is_generated(case: &Case) -> bool {
    case.ty.ends_with("STORED")
}

fn table_of(case: &Case) -> String {
    let (name, ty) = (&case.name, &case.ty);
    // A generated column takes no value.
    let columns = if is_generated(case) { "id" } else { "id, v" };
    let rows: Vec<_> = case
        .values
        .split("; ")
        .zip(1..)
        .map(|(value, id)| if is_generated(case) { format!("({id})") } else { format!("({id}, {value})") })
        .collect();
    format!(
        "CREATE TABLE t_{name} (id int PRIMARY KEY, v {ty}, n int);
         INSERT INTO t_{name} ({columns}) OVERRIDING SYSTEM VALUE VALUES {};",
        rows.join(", ")
    )
}

/// One sink of one stream, and the result of each case in it.
struct Target<'a> {
    stream: &'a Stream,
    schema: &'static str,
    live: &'static str,
    worker: &'a Worker,
    result: fn(&Case) -> &str,
}

/// What differs from the expected result; `None` if nothing does.
async fn differs(source: &Source, target: &Target<'_>, case: &Case) -> Option<String> {
    let (name, result) = (&case.name, (target.result)(case));
    let what = format!("{} {name}", target.schema);
    let table = format!("{}{}", target.stream.table(target.schema, &format!("t_{name}")), target.live);
    if result == "waits" {
        let log = target.worker.log();
        let said = log.lines().any(|line| {
            ["postgres.schema_mismatch", &format!("t_{name}"), "`v`"].iter().all(|part| line.contains(part))
        });
        return (!said).then(|| format!("{what} does not wait"));
    }
    let letters = source.dead_letters(target.worker).await;
    if result.contains('.') && !result.contains('(') {
        let expected = format!("t_{name} {result}");
        return (!letters.contains(&expected)).then(|| format!("{what} has no dead letters {result}"));
    }
    let (result, shown) = result.split_once(" => ").unwrap_or((result, "v"));
    let expected = source
        .texts(&listed(&["id", result, "n"], &format!("t_{name}")))
        .await
        .unwrap_or_else(|e| panic!("{what}: {e}"));
    let found = match source.texts(&listed(&["id", shown, "n"], &table)).await {
        Ok(found) if found == expected => return None,
        Ok(found) => found,
        Err(error) => vec![error],
    };
    let letters: Vec<_> = letters.iter().filter(|letter| letter.starts_with(&format!("t_{name} "))).collect();
    let only = |these: &[String], those: &[String]| {
        these
            .iter()
            .filter(|row| !those.contains(row))
            .map(|row| row.chars().take(150).collect())
            .collect::<Vec<String>>()
    };
    Some(format!("{what}: source {:?}, target {:?}, {letters:?}", only(&expected, &found), only(&found, &expected)))
}

#[tokio::test(flavor = "multi_thread")]
async fn every_type_of_postgres_comes_out_as_it_went_in() {
    let _stack = shared().await;
    let cases = cases();
    let tables: String = cases.iter().map(table_of).collect();
    let source = Source::new("dbz_types", &format!("{NEEDED}{tables}")).await;
    let one = [("topic.creation.default.partitions", "1")];
    let (json, avro) = (source.stream(Form::Json, &one).await, source.stream(Form::Avro, &one).await);
    for (stream, schema) in [(&json, "json_hand"), (&avro, "avro_hand")] {
        source.run(&format!("CREATE SCHEMA {schema}")).await;
        for case in &cases {
            let name = format!("t_{}", case.name);
            source.run(&format!("CREATE TABLE {} (LIKE {name} INCLUDING ALL)", stream.table(schema, &name))).await;
        }
    }
    let by_hand = "schema.evolution = \"off\"\nmetadata.columns = \"none\"\ndelete.mode = \"hard\"\n";
    let workers = [
        source.sink(&json, "json", "").await,
        source.sink(&avro, "avro", "version.field = \"source.lsn\"\n").await,
        source.sink(&json, "json_hand", by_hand).await,
        source.sink(&avro, "avro_hand", by_hand).await,
    ];
    for case in &cases {
        let name = &case.name;
        let columns = if is_generated(case) { "id" } else { "id, v" };
        let copied = columns.replace("id", "id + 100");
        // An update, a delete and a null, too.
        source
            .run(&format!(
                "INSERT INTO t_{name} ({columns}) OVERRIDING SYSTEM VALUE SELECT {copied} FROM t_{name};
                 UPDATE t_{name} SET n = 7 WHERE id = 101; INSERT INTO t_{name} (id) VALUES (201);
                 DELETE FROM t_{name} WHERE id = 201"
            ))
            .await;
        if !name.starts_with("identity") && name != "serial" {
            source.run(&format!("INSERT INTO t_{name} (id) VALUES (200)")).await;
        }
    }
    let targets = [
        Target { stream: &json, schema: "json", live: "_live", worker: &workers[0], result: Case::created },
        Target { stream: &avro, schema: "avro", live: "_live", worker: &workers[1], result: Case::created },
        Target { stream: &json, schema: "json_hand", live: "", worker: &workers[2], result: Case::by_hand },
        Target { stream: &avro, schema: "avro_hand", live: "", worker: &workers[3], result: Case::by_hand },
    ];
    let wrong = RefCell::new(Vec::new());
    let probe = || async {
        let mut found = Vec::new();
        for target in &targets {
            for case in &cases {
                found.extend(differs(&source, target, case).await);
            }
        }
        let done = found.is_empty();
        if !done {
            rest().await;
        }
        wrong.replace(found);
        done.then_some(())
    };
    let done = try_for(PATIENCE, probe).await;
    assert!(done.is_some(), "{}", wrong.borrow().join("\n"));
}

/// A result for people.
fn shown(result: &str) -> String {
    match result {
        "v" => "equal".to_owned(),
        "waits" => "the table waits, by name".to_owned(),
        code if code.contains('.') && !code.contains('(') => format!("dead letters `{code}`"),
        expression => format!("`{}`", expression.replace('|', "\\|")),
    }
}

#[test]
fn the_page_shows_the_result_of_each_type() {
    let path = Path::new(env!("CARGO_MANIFEST_DIR")).join("docs/debezium.md");
    let page = std::fs::read_to_string(&path).expect("the page");
    let row = |case: &Case| {
        format!("| {} ({}) | {} | {} |\n", case.ty, case.name, shown(&case.created), shown(&case.by_hand))
    };
    let rows: String = cases().iter().map(row).collect();
    let (before, table) = page.split_once("\n|---|---|---|\n| smallint (").expect("the table of types");
    let behind = table.split_once("\n\n").map_or("", |(_, behind)| behind);
    let gap = if behind.is_empty() { "" } else { "\n" };
    let right = format!("{before}\n|---|---|---|\n{rows}{gap}{behind}");
    if std::env::var_os("UPDATE_GOLDEN").is_some() {
        std::fs::write(&path, &right).expect("the page can be written");
    }
    assert!(page == right, "docs/debezium.md is not up to date: run this test with UPDATE_GOLDEN=1");
}
