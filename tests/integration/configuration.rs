//! Config files through the binary: all problems at once, nothing started, no secret shown. The page about the keys is
//! current.

use std::{
    io::ErrorKind,
    net::TcpListener,
    path::{Path, PathBuf},
    process::Output,
};

use serde_json::{Value, json};
use tempfile::TempDir;

use crate::worker::towpath;

/// A secret that is in the files and must not be in the output.
const SECRET: &str = "canary-77d1-secret";
const SCHEMA: &str = r#"{"type":"record","name":"deals","fields":[{"name":"id","type":"string"}]}"#;

/// A folder with these files, and one schema.
fn folder(files: &[(&str, &str)]) -> TempDir {
    let folder = tempfile::tempdir().unwrap();
    for (file, text) in files.iter().chain(&[("deals.avsc", SCHEMA)]) {
        std::fs::write(folder.path().join(file), text).unwrap();
    }
    folder
}

/// Runs the binary; returns its exit code and all its output.
fn run(folder: &TempDir, arguments: &[&str]) -> (Option<i32>, String) {
    let Output { status, stdout, stderr } = towpath(folder.path()).args(arguments).output().unwrap();
    let printed = format!("{}{}", String::from_utf8(stdout).unwrap(), String::from_utf8(stderr).unwrap());
    assert!(!printed.contains(SECRET), "{printed}");
    (status.code(), printed)
}

/// The problems as one line each: `file:line:column code message`.
fn problems(printed: &str) -> Vec<String> {
    let mut problems = Vec::new();
    let mut lines = printed.lines();
    while let Some(line) = lines.next() {
        if let Some(problem) = line.strip_prefix("error[") {
            let place = lines.next().unwrap().trim_start().strip_prefix("--> ").unwrap();
            problems.push(format!("{place} {}", problem.replacen("]:", "", 1)));
        }
    }
    problems
}

const WEBHOOK: &str = r#"name = "hook"
connector.class = "WebhookSource"
topic.prefix = "acme"
topic.partition = 3
topic.replication.factor = "many"
objects = ["deals"]
"objects.deals.schema" = "deals.avsc"
clients.acme.secret = "canary-77d1-secret"
"#;

#[test]
fn all_problems_of_all_files_are_reported_at_once_before_any_start() {
    let asked = TcpListener::bind("127.0.0.1:0").unwrap();
    asked.set_nonblocking(true).unwrap();
    let address = asked.local_addr().unwrap();
    let worker = format!("bootstrap.servers = \"{address}\"\n\n[log]\nfromat = \"text\"\n");
    let sink = format!(
        "name = \"pg\"\nconnector.class = \"PostgresSink\"\ntopics = \"a\"\n\
         connection.url = \"postgres://{address}/d\"\nconnection.password = \"{SECRET}\"\n\
         conection.user = \"{SECRET}\"\n"
    );
    let folder = folder(&[("worker.toml", &worker), ("webhook.toml", WEBHOOK), ("postgres.toml", &sink)]);
    let (code, printed) = run(&folder, &["run", "worker.toml", "webhook.toml", "postgres.toml"]);
    assert_eq!(code, Some(78), "{printed}");
    let expected = [
        "worker.toml:4:1 config.unknown_key unknown key `log.fromat`",
        "worker.toml config.missing_key `schema.registry.url` is missing",
        "webhook.toml:4:1 config.unknown_key unknown key `topic.partition`",
        "webhook.toml:5:1 config.invalid_value `topic.replication.factor`: expected an integer, found a string `many`",
        "postgres.toml:6:1 config.unknown_key unknown key `conection.user`",
    ];
    assert_eq!(problems(&printed), expected, "{printed}");
    for nearest in ["log.format", "topic.partitions", "connection.user"] {
        assert!(printed.contains(&format!("did you mean `{nearest}`?")), "{printed}");
    }
    assert!(printed.ends_with("\n5 problems in 3 files; nothing was started\n"), "{printed}");
    assert_eq!(asked.accept().unwrap_err().kind(), ErrorKind::WouldBlock, "no connection was opened");
}

#[test]
fn invalid_toml_is_reported_with_its_line_and_without_its_text() {
    let folder = folder(&[("worker.toml", &format!("bootstrap.servers = \"b:9092\"\npassword = \"{SECRET}\n"))]);
    for command in [&["run", "worker.toml"][..], &["config", "validate", "worker.toml"]] {
        let (code, printed) = run(&folder, command);
        assert_eq!(code, Some(78), "{printed}");
        assert!(printed.contains("error[config.syntax]") && printed.contains("--> worker.toml:2:"), "{printed}");
    }
}

#[test]
fn an_unresolved_reference_is_reported_by_its_name() {
    let sink = "name = \"pg\"\nconnector.class = \"PostgresSink\"\ntopics = \"a\"\n\
                connection.url = \"postgres://h/d\"\nconnection.password = \"${env:TOWPATH_TEST_UNSET}\"\n";
    let folder = folder(&[("postgres.toml", sink)]);
    let (code, printed) = run(&folder, &["config", "validate", "postgres.toml"]);
    assert_eq!(code, Some(78));
    assert!(printed.contains("TOWPATH_TEST_UNSET") && printed.contains("--> postgres.toml:5:1"), "{printed}");
    let set = towpath(folder.path())
        .args(["config", "validate", "postgres.toml"])
        .env("TOWPATH_TEST_UNSET", SECRET)
        .output()
        .unwrap();
    assert_eq!(set.status.code(), Some(0));
    assert_eq!(String::from_utf8(set.stdout).unwrap(), "valid: connector `pg` (PostgresSink)\n");
    assert!(!String::from_utf8(set.stderr).unwrap().contains(SECRET));
}

#[test]
fn validate_gives_every_problem_as_json() {
    let folder = folder(&[("webhook.toml", WEBHOOK)]);
    let (code, printed) = run(&folder, &["config", "validate", "-o", "json", "webhook.toml"]);
    assert_eq!(code, Some(78));
    let found: Value = serde_json::from_str(&printed).unwrap();
    assert_eq!(found["valid"], false);
    let shown: Vec<_> = found["problems"]
        .as_array()
        .unwrap()
        .iter()
        .map(|problem| ["code", "key", "file", "line", "column", "suggestion"].map(|member| problem[member].clone()))
        .collect();
    let expected = [
        [
            json!("config.unknown_key"),
            json!("topic.partition"),
            json!("webhook.toml"),
            json!(4),
            json!(1),
            json!("topic.partitions"),
        ],
        [
            json!("config.invalid_value"),
            json!("topic.replication.factor"),
            json!("webhook.toml"),
            json!(5),
            json!(1),
            Value::Null,
        ],
    ];
    assert_eq!(shown, expected, "{found:#}");

    let right = WEBHOOK.replace("topic.partition =", "topic.partitions =").replace("\"many\"", "1");
    std::fs::write(folder.path().join("webhook.toml"), right).unwrap();
    let (code, printed) = run(&folder, &["config", "validate", "-o", "json", "webhook.toml"]);
    assert_eq!(
        (code, serde_json::from_str(&printed).unwrap()),
        (Some(0), json!({"valid": true, "problems": [], "warnings": []}))
    );
}

fn repository(path: &str) -> PathBuf {
    Path::new(env!("CARGO_MANIFEST_DIR")).join(path)
}

#[test]
fn the_configuration_page_matches_the_declared_keys() {
    let current = towpath::config::configuration_page(&towpath::plugin::catalogue());
    let page = repository("docs/configuration.md");
    if std::env::var_os("UPDATE_GOLDEN").is_some() {
        std::fs::write(&page, &current).unwrap();
    }
    let written = std::fs::read_to_string(&page).unwrap_or_default();
    let differs = current.lines().zip(written.lines()).find(|(code, page)| code != page);
    assert!(
        written == current,
        "docs/configuration.md is not current, {differs:?}; run this test with UPDATE_GOLDEN=1"
    );
}

#[test]
fn the_examples_are_valid_with_the_environment_of_the_stack() {
    let stack = std::process::Command::new(repository("dev/stack")).arg("env").output().unwrap();
    let lines = String::from_utf8(stack.stdout).unwrap();
    let variables = lines.lines().filter_map(|line| line.strip_prefix("export ")?.split_once('='));
    let mut validate = towpath(&repository("examples"));
    validate.args(["config", "validate", "worker.toml", "webhook.toml", "close.toml", "postgres.toml"]).envs(variables);
    let Output { status, stdout, stderr } = validate.output().unwrap();
    let expected = "valid: the worker\nvalid: connector `webhook` (WebhookSource)\nvalid: connector `close` \
         (CloseSource)\nvalid: connector `postgres` (PostgresSink)\n";
    assert_eq!(
        (String::from_utf8(stdout).unwrap().as_str(), String::from_utf8(stderr).unwrap().as_str()),
        (expected, "")
    );
    assert_eq!(status.code(), Some(0));

    // The secrets come only from the environment.
    let without = validate
        .env_remove("ACME_SECRET")
        .env_remove("TOWPATH_PG_PASSWORD")
        .env_remove("CLOSE_API_KEY")
        .output()
        .unwrap();
    let printed = String::from_utf8(without.stderr).unwrap();
    assert_eq!(without.status.code(), Some(78), "{printed}");
    assert!(printed.contains("ACME_SECRET") && printed.contains("TOWPATH_PG_PASSWORD"), "{printed}");
    assert!(printed.contains("CLOSE_API_KEY"), "{printed}");
}
