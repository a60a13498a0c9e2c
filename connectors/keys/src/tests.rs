//! Declaring and reading keys, from the outside.

use std::time::Duration;

use proptest::prelude::*;

use super::*;
use crate::{config_enum, config_keys};

config_enum! {
    /// How deletes arrive.
    pub(super) enum DeleteMode {
        /// The row stays.
        Soft = "soft",
        /// The row goes.
        Hard = "hard",
    }
}

config_keys! {
    /// One object.
    struct ObjectConfig {
        /// Its schema.
        #[key("schema")]
        schema: String,
        /// How updates arrive.
        #[key("update.mode")]
        update_mode: Option<String>,
    }
}

impl Check for ObjectConfig {
    fn check(&self, problems: &mut Problems) {
        if self.schema == "refused" {
            problems.invalid("schema", "must not be refused");
        }
        if self.update_mode.as_deref() == Some("odd") {
            problems.warn("update.mode", "is odd");
        }
    }
}

config_keys! {
    /// A sink.
    struct SinkConfig {
        /// Where the database is.
        ///
        /// More about it.
        #[key("connection.url")]
        url: String,
        /// Proves who we are.
        #[key("connection.password")]
        password: Option<Secret>,
        /// Rows in one transaction.
        #[key("batch.max.rows", alias = "batch.size", range = 1..=100_000)]
        max_rows: u32 = 5_000,
        /// How deletes arrive.
        #[key("delete.mode")]
        delete_mode: DeleteMode = DeleteMode::Soft,
        /// Which topics.
        #[key("topics")]
        topics: Vec<String> = vec![],
        /// How long to wait.
        #[key("timeout.ms", range = Duration::from_millis(100)..)]
        timeout: Option<Duration>,
        /// The objects.
        #[key("objects.{}")]
        objects: Named<ObjectConfig>,
        /// For the driver.
        #[key("driver.{}")]
        driver: Pairs,
    }
}

impl Check for SinkConfig {}

config_keys! {
    /// What every connector has.
    struct CommonConfig {
        /// The name.
        #[key("name")]
        name: String,
    }
}

impl Check for CommonConfig {}

fn sink(pairs: &[(&str, &str)]) -> Result<SinkConfig, Vec<Problem>> {
    let env = |name: &str| (name == "TYPO").then(|| "canary".to_owned());
    read_with(&Flat::from_strings(pairs.iter().copied()), &env).map(|(config, _)| config)
}

fn problems(pairs: &[(&str, &str)]) -> Vec<(&'static str, String)> {
    sink(pairs).unwrap_err().into_iter().map(|problem| (problem.code, problem.to_string())).collect()
}

#[test]
fn defaults_stand_in_for_absent_keys() {
    let config = sink(&[("connection.url", "u")]).unwrap();
    assert_eq!((config.url.as_str(), config.max_rows, config.delete_mode), ("u", 5_000, DeleteMode::Soft));
    assert!(config.topics.is_empty() && config.objects.is_empty() && config.driver.is_empty());
    assert!(config.password.is_none() && config.timeout.is_none());
}

#[test]
fn every_kind_of_field_is_read() {
    let config = sink(&[
        ("connection.url", "u"),
        ("connection.password", "${env:TYPO}"),
        ("batch.size", "7"),
        ("delete.mode", "hard"),
        ("topics", "a, b"),
        ("timeout.ms", "250"),
        ("objects", "no part of the group"),
        ("objects.agents.schema", "a.avsc"),
        ("objects.deals.schema", "d.avsc"),
        ("objects.agents.update.mode", "merge"),
        ("driver.linger.ms", "5"),
    ]);
    let Err(found) = config else { panic!("`objects` alone is not a key here") };
    assert_eq!((found.len(), found[0].key.as_str()), (1, "objects"));

    let config = sink(&[
        ("connection.url", "u"),
        ("connection.password", "${env:TYPO}"),
        ("batch.size", "7"),
        ("delete.mode", "hard"),
        ("topics", "a, b"),
        ("timeout.ms", "250"),
        ("objects.deals.schema", "d.avsc"),
        ("objects.agents.schema", "a.avsc"),
        ("objects.deals.update.mode", "merge"),
        ("driver.linger.ms", "5"),
    ])
    .unwrap();
    assert_eq!((config.max_rows, config.delete_mode.as_str(), config.topics.len()), (7, "hard", 2));
    assert_eq!(config.timeout, Some(Duration::from_millis(250)));
    assert_eq!(config.password.as_ref().map(Secret::reveal), Some("canary"));
    assert_eq!(config.objects.names().collect::<Vec<_>>(), ["deals", "agents"]);
    assert_eq!(config.objects.get("deals").unwrap().update_mode.as_deref(), Some("merge"));
    assert_eq!(config.driver.get("linger.ms"), Some("5"));
}

#[test]
fn all_problems_are_reported_at_once() {
    let found = problems(&[
        ("conection.url", "u"),
        ("poll.interval", "5s"),
        ("batch.max.rows", "many"),
        ("delete.mode", "sotf"),
        ("objects.deals.shema", "d.avsc"),
        ("name", "x"),
    ]);
    let mut codes: Vec<_> = found.iter().map(|(code, _)| *code).collect();
    codes.sort_unstable();
    let (invalid, missing, unknown) = ("config.invalid_value", "config.missing_key", "config.unknown_key");
    assert_eq!(codes, [invalid, invalid, missing, missing, unknown, unknown, unknown, unknown]);
    let said: Vec<&str> = found.iter().map(|(_, text)| text.as_str()).collect();
    for expected in [
        "unknown key `conection.url`, did you mean `connection.url`?",
        "unknown key `poll.interval`",
        "unknown key `name`",
        "unknown key `objects.deals.shema`, did you mean `objects.deals.schema`?",
        "`connection.url` is missing",
        "`objects.deals.schema` is missing",
        "`batch.max.rows`: expected an integer, found a string `many`",
        "`delete.mode`: expected `soft` or `hard`, found a string `sotf`, did you mean `soft`?",
    ] {
        assert!(said.contains(&expected), "{expected} is not in {said:#?}");
    }
}

#[test]
fn a_value_out_of_range_is_refused_under_the_name_that_was_written() {
    let found = problems(&[("connection.url", "u"), ("batch.size", "0"), ("timeout.ms", "99")]);
    assert_eq!(found[0].1, "`batch.size`: expected 1 to 100000, found a string `0`");
    assert_eq!(found[1].1, "`timeout.ms`: expected at least 100, found a string `99`");
}

#[test]
fn a_key_given_twice_or_under_two_names_is_refused() {
    let twice = problems(&[("connection.url", "u"), ("connection.url", "v")]);
    assert_eq!(twice, [("config.duplicate_key", "`connection.url` is given twice".to_owned())]);
    let two_names = problems(&[("connection.url", "u"), ("batch.size", "1"), ("batch.max.rows", "2")]);
    let message = "`batch.size` is an alias of `batch.max.rows`, which is given too";
    assert_eq!(two_names, [("config.duplicate_key", message.to_owned())]);
}

#[test]
fn two_structs_share_one_map() {
    let flat = Flat::from_strings([("name", "n"), ("connection.url", "u")]);
    let ((common, own), _) = read::<(CommonConfig, SinkConfig)>(&flat).unwrap();
    assert_eq!((common.name.as_str(), own.url.as_str()), ("n", "u"));
    let found = read::<(CommonConfig, SinkConfig)>(&Flat::from_strings([("nane", "n")])).unwrap_err();
    let keys: Vec<_> = found.iter().map(|problem| problem.key.as_str()).collect();
    assert_eq!(keys, ["nane", "name", "connection.url"]);
}

#[test]
fn checks_report_whole_keys_and_warnings_do_not_stop() {
    let found = problems(&[("connection.url", "u"), ("objects.deals.schema", "refused")]);
    assert_eq!(found, [("config.invalid_value", "`objects.deals.schema`: must not be refused".to_owned())]);
    let odd = [("connection.url", "u"), ("objects.deals.schema", "s"), ("objects.deals.update.mode", "odd")];
    let (_, warnings) = read::<SinkConfig>(&Flat::from_strings(odd)).unwrap();
    assert_eq!((warnings[0].code, warnings[0].key.as_str()), ("config.warning", "objects.deals.update.mode"));
}

#[test]
fn no_problem_and_no_debug_output_shows_a_secret_or_what_a_reference_stands_for() {
    let config = sink(&[("connection.url", "u"), ("connection.password", "canary"), ("driver.password", "canary")]);
    assert!(!format!("{:?}", config.unwrap()).contains("canary"));
    let config =
        sink(&[("connection.url", "u"), ("connection.password", "${env:TYPO:-canary}"), ("driver.x", "${env:TYPO}")]);
    let printed = format!("{:?}", config.unwrap());
    assert!(printed.contains("${env:TYPO}") && !printed.contains("canary"), "{printed}");

    let found = sink(&[
        ("connection.url", "${env:NONE}"),
        ("connection.password", "${env:NONE:?canary is not a message, but this is}"),
        ("conection.password", "canary"),
        ("batch.max.rows", "${env:TYPO}"),
        ("delete.mode", "a${env:TYPO}"),
        ("driver.secret", "${file:/nowhere}"),
    ])
    .unwrap_err();
    let said = format!("{found:#?}").replace("canary is not a message", "");
    assert!(!said.contains("canary"), "{said}");
    assert!(
        said.contains("cannot resolve `connection.url`: `${env:NONE}`: the environment variable `NONE` is not set")
    );
    assert!(said.contains("expected an integer, found another value in `${env:TYPO}`"));
    assert_eq!(found.iter().filter(|problem| problem.code == "config.unresolved_reference").count(), 3);
}

#[test]
fn definitions_tell_all_that_was_declared() {
    let definitions = SinkConfig::definitions();
    let keys: Vec<_> = definitions.iter().map(|definition| definition.key.as_str()).collect();
    assert_eq!(
        keys,
        [
            "connection.url",
            "connection.password",
            "batch.max.rows",
            "delete.mode",
            "topics",
            "timeout.ms",
            "objects.{}.schema",
            "objects.{}.update.mode",
            "driver.{}"
        ]
    );
    let [url, password, rows, mode, topics, timeout, schema, ..] = &definitions[..] else { panic!() };
    assert_eq!(url.documentation, "Where the database is.\n\nMore about it.");
    assert!(url.required && schema.required && !password.required && !rows.required);
    assert!(password.secret && password.type_name == "secret");
    assert_eq!((rows.default.as_deref(), rows.range.as_deref()), (Some("5000"), Some("1 to 100000")));
    assert_eq!(rows.aliases, ["batch.size"]);
    assert_eq!((mode.default.as_deref(), mode.values[1].documentation.as_str()), (Some("soft"), "The row goes."));
    assert_eq!((topics.type_name.as_str(), topics.default.as_deref()), ("list of string", Some("")));
    assert_eq!(timeout.range.as_deref(), Some("at least 100"));
    assert_eq!(schema.group.as_ref().map(|group| group.documentation.as_str()), Some("The objects."));
}

proptest! {
    #[test]
    fn free_pairs_come_out_as_they_went_in(
        pairs in prop::collection::btree_map("[a-z.]{1,10}", "[^$]{0,10}", 0..6),
    ) {
        let given = pairs.iter().map(|(key, value)| (format!("driver.{key}"), value.clone()));
        let flat = Flat::from_strings(given.chain([("connection.url".to_owned(), "u".to_owned())]));
        let (config, _) = read::<SinkConfig>(&flat).unwrap();
        let read: Vec<(&str, &str)> = config.driver.iter().collect();
        let expected: Vec<(&str, &str)> = pairs.iter().map(|(key, value)| (key.as_str(), value.as_str())).collect();
        prop_assert_eq!(read, expected);
    }

    #[test]
    fn a_typo_in_one_letter_of_a_declared_key_names_the_key(at in 0_usize..13, letter in "[a-z]") {
        let key = "connection.url";
        let mut typed = key.to_owned();
        typed.insert_str(at, &letter);
        let found = sink(&[(&typed, "u")]).unwrap_err();
        let unknown = found.iter().find(|problem| problem.code == "config.unknown_key").unwrap();
        prop_assert_eq!(unknown.suggestion.as_deref(), Some(key));
    }
}
