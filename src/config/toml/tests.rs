use proptest::prelude::*;

use super::*;

proptest! {
    #[test]
    fn any_text_gives_a_map_or_problems(text in "[a-b=.\\[\\]{}\"'\\\\#, é0-1\n]{0,40}") {
        match parse(Path::new("a.toml"), &text) {
            Ok(flat) => prop_assert!(flat.entries().iter().all(|entry| entry.origin.is_some())),
            Err(problems) => prop_assert!(!problems.is_empty()),
        }
    }
}

fn flat(text: &str) -> Flat {
    parse(Path::new("conf/a.toml"), text).unwrap_or_else(|problems| panic!("{problems:#?}"))
}

/// `key=value` of each entry, in order.
fn pairs(text: &str) -> Vec<String> {
    flat(text).entries().iter().map(|entry| format!("{}={}", entry.key, entry.value)).collect()
}

fn said(text: &str) -> Vec<String> {
    parse(Path::new("a.toml"), text).unwrap_err().iter().map(ToString::to_string).collect()
}

#[test]
fn a_key_may_have_a_value_and_keys_below_it() {
    let text = "objects = [\"transactions\", \"agents\"]\nobjects.transactions.schema = \"t.avsc\"\n\
                objects.transactions.update.mode = \"merge\"\n";
    let expected =
        ["objects=transactions,agents", "objects.transactions.schema=t.avsc", "objects.transactions.update.mode=merge"];
    assert_eq!(pairs(text), expected);
    let backwards: Vec<&str> = text.lines().rev().collect();
    assert_eq!(pairs(&backwards.join("\n")).len(), 3);
    assert_eq!(pairs("objects = [\"transactions\"]\n[objects.transactions]\nschema = \"t.avsc\"").len(), 2);
}

#[test]
fn the_files_of_the_design_are_read_as_they_are_written() {
    let webhook = r#"
# webhook.toml
name = "webhook"
connector.class = "WebhookSource"
topic.prefix = "acme"
topic.partitions = 6
objects = ["transactions", "agents"]
objects.transactions.schema = "transactions.avsc"
objects.transactions.update.mode = "merge"
clients.acme.secret = "${env:ACME_SECRET}"
"#;
    let postgres = r#"
name = "postgres"
connector.class = "PostgresSink"
topics.regex = "acme\\..*"
connection.url = "postgres://127.0.0.1:29432/towpath"
connection.user = "towpath"
connection.password = "${env:TOWPATH_PG_PASSWORD}"
table.name.format = "${topic}"
delete.mode = "soft"
"#;
    let close = r#"
name = "close"
connector.class = "CloseSource"
topic.prefix = "close"
close.api.key = "${env:CLOSE_API_KEY}"
close.api.url = "https://api.close.com/api/v1"
poll.interval = "5s"
"#;
    assert_eq!(pairs(webhook).len(), 8);
    assert_eq!(pairs(webhook)[7], "clients.acme.secret=${env:ACME_SECRET}");
    assert_eq!(flat(webhook).get("topic.partitions"), Some(&Scalar::Integer(6)));
    assert_eq!(pairs(postgres)[2], r"topics.regex=acme\..*");
    assert_eq!((pairs(postgres).len(), pairs(close).len()), (8, 6));
}

#[test]
fn tables_inline_tables_and_quoted_keys_all_give_dotted_keys() {
    let expected = ["a.b.c=1", "a.b.d=2"];
    for text in [
        "a.b.c = 1\na.b.d = 2",
        "[a]\nb.c = 1\nb.d = 2",
        "[a.b]\nc = 1\nd = 2",
        "[a]\n[a.b]\nc = 1\n[a.b]\nd = 2",
        "a = { b = { c = 1, d = 2 } }",
        "a = { b.c = 1, b.d = 2 }",
        "\"a.b.c\" = 1\n'a.b.d' = 2",
        "a . \"b\" . c = 1\n[a]\n'b'.d = 2",
    ] {
        assert_eq!(pairs(text), expected, "{text}");
    }
}

#[test]
fn arrays_over_lines_comments_and_long_strings_are_read() {
    let text = "# first = 0\na = [ # one\n  \"x\",\n  # b.c = 5\n  \"y\", # two\n]\n\
                long = \"\"\"\nnot.a.key = 1\n# no comment\n\"\"\" # end\nliteral = '''\na.b = '${x}' '''\n\
                last = 0x10\n";
    let expected =
        ["a=x,y", "long=not.a.key = 1\n# no comment\n", "literal=a.b = '${x}' ", "last=16"].map(ToOwned::to_owned);
    assert_eq!(pairs(text), expected);
}

#[test]
fn every_kind_of_value_keeps_its_type() {
    let flat =
        flat("s = \"1\"\ni = -1_000\nf = 6.5\nb = true\nd = 2026-01-02\nl = [1, [2, true]]\nw = \"C:\\\\a\"\r\n");
    let list = Scalar::List(vec![Scalar::Integer(1), Scalar::List(vec![Scalar::Integer(2), Scalar::Bool(true)])]);
    let expected = [
        Scalar::String("1".to_owned()),
        Scalar::Integer(-1000),
        Scalar::Float(6.5),
        Scalar::Bool(true),
        Scalar::String("2026-01-02".to_owned()),
        list,
        Scalar::String("C:\\a".to_owned()),
    ];
    assert!(flat.entries().iter().map(|entry| &entry.value).eq(&expected), "{:?}", flat.entries());
}

#[test]
fn each_key_knows_its_place() {
    let flat = flat("\n[objects.deals]\n  update.mode = 'merge'\n  wide = { \"é\" = 1, b = [\n1]}\n");
    let place = |key: &str| {
        let origin = flat.entries().iter().find(|entry| entry.key == key).unwrap().origin.clone().unwrap();
        format!("{origin} {} {}", origin.key_text(), origin.value_text())
    };
    assert_eq!(place("objects.deals.update.mode"), "conf/a.toml:3:3 update.mode 'merge'");
    assert_eq!(place("objects.deals.wide.é"), "conf/a.toml:4:12 \"é\" 1");
    assert_eq!(place("objects.deals.wide.b"), "conf/a.toml:4:21 b [\n1]");
    assert_eq!(flat.base_dir().resolve("x.avsc"), Path::new("conf/x.avsc"));
}

#[test]
fn what_is_no_toml_is_named_with_its_place_and_never_quoted() {
    for (text, expected) in [
        ("a = 1\npassword = canary\n", "a.toml:2:12"),
        ("password = \"canary\n", "a.toml:1:19"),
        ("password \"canary\"\n", "a.toml:1:10"),
        ("password = \"canary\" canary\n", "a.toml:1:21"),
        ("password = \"\\canary\"\n", "a.toml:1:14"),
        ("password = 'canary' = 'canary'\n", "a.toml:1:21"),
        ("= \"canary\"\n", "a.toml:1:1"),
        ("[canary\na = 1\n", "a.toml:1:8"),
        ("[[canary]]\na = 1\n", "a.toml:1:1"),
        ("a = [{ canary = 1 }]\n", "a.toml:1:6"),
        ("a = 99999999999999999999\n", "a.toml:1:5"),
        ("a = [\"canary\"\nb = 1\n", "a.toml:"),
        ("a = { b = \"canary\"\n", "a.toml:"),
    ] {
        let problems = parse(Path::new("a.toml"), text).unwrap_err();
        let said: Vec<String> = problems.iter().map(ToString::to_string).collect();
        assert!(said[0].starts_with(expected), "{text}: {said:?}");
        assert!(!format!("{said:?} {problems:?}").contains("canary"), "{text}: {said:?}");
        assert!(problems.iter().all(|problem| problem.code == "config.syntax" && !problem.value_shown));
    }
}

#[test]
fn all_syntax_errors_of_a_file_are_reported_at_once() {
    let said = said("a = \nb = 1\nc 2\nd = yes\n");
    let places: Vec<&str> = said.iter().map(|text| &text[..8]).collect();
    assert_eq!(places, ["a.toml:1", "a.toml:3", "a.toml:4"], "{said:?}");
}

#[test]
fn a_file_that_is_not_there_is_a_problem_of_the_file() {
    let problems = load(Path::new("/nowhere/worker.toml")).unwrap_err();
    assert!(problems[0].to_string().starts_with("/nowhere/worker.toml: cannot read the file: "), "{problems:?}");
}
