//! The reading of connectors' maps.

use super::*;

#[test]
fn a_map_without_a_class_or_of_an_unknown_one_says_so_and_nothing_else() {
    let read =
        |pairs: &[(&str, &str)]| ConnectorDefinition::read(&Flat::from_strings(pairs.iter().copied())).unwrap_err();
    let found = read(&[("name", "pg"), ("topics", "a")]);
    assert_eq!((found.len(), found[0].key.as_str(), found[0].code), (1, "connector.class", "config.missing_key"));
    let found = read(&[("name", "pg"), ("connector.class", "PostgreSink")]);
    assert_eq!((found.len(), found[0].suggestion.as_deref()), (1, Some("PostgresSink")));
}

#[test]
fn a_class_brings_its_own_keys_and_no_others() {
    let keys =
        [("name", "pg"), ("connector.class", "PostgresSink"), ("connection.url", "postgres://h/d"), ("topics", "a")];
    let (definition, warnings) = ConnectorDefinition::read(&Flat::from_strings(keys)).unwrap();
    assert!(definition.plugin.class() == "PostgresSink" && warnings.is_empty());
    let found = ConnectorDefinition::read(&Flat::from_strings(keys.into_iter().chain([("objects", "x")]))).unwrap_err();
    assert_eq!((found.len(), found[0].code), (1, "config.unknown_key"));
}

#[test]
fn a_sink_does_not_read_its_own_dead_letters() {
    let keys = [("name", "pg"), ("connector.class", "PostgresSink"), ("connection.url", "postgres://h/d")];
    let refused =
        |more: [(&str, &str); 2]| ConnectorDefinition::read(&Flat::from_strings(keys.into_iter().chain(more))).err();
    let queue = "errors.deadletterqueue.topic.name";
    let topics = ("topics", "b,a");
    let found = refused([topics, (queue, "a")]).unwrap();
    assert_eq!((found.len(), found[0].key.as_str(), found[0].code), (1, queue, "config.invalid_value"));
    assert!(
        found[0].message.starts_with("The DLQ topic 'a' may not be included in the list of topics ('topics"),
        "{}",
        found[0].message
    );
    assert!(refused([topics, (queue, "c")]).is_none() && refused([topics, (queue, "")]).is_none());
    let (config, _) =
        towpath_keys::read::<SinkConfig>(&Flat::from_strings([("topics.regex", "a|b"), (queue, "a")])).unwrap();
    let selection = config.selection().unwrap();
    assert!(selection.includes("b") && !selection.includes("a"), "a pattern leaves it out");
}

#[test]
fn two_topics_do_not_share_a_table() {
    let keys = [("name", "pg"), ("connector.class", "PostgresSink"), ("connection.url", "postgres://h/d")];
    let read = |more: [(&str, &str); 2]| {
        ConnectorDefinition::read(&Flat::from_strings(keys.into_iter().chain(more))).err().unwrap_or_default()
    };
    for format in ["table.name.format", "collection.name.format"] {
        for topics in [("topics", "a,b"), ("topics.regex", "a")] {
            let found = read([topics, (format, "deals")]);
            assert_eq!((found.len(), found[0].key.as_str(), found[0].code), (1, format, "config.invalid_value"));
            assert!(found[0].message.contains("two topics cannot share a table"), "{}", found[0].message);
            assert!(read([topics, (format, "t_${topic}")]).is_empty());
        }
        assert!(read([("topics", "a"), (format, "deals")]).is_empty());
    }
}

/// Reads a webhook source: keys that are enough, with `given` in their place or added.
fn webhook(given: &[(&str, &str)]) -> Result<(ConnectorDefinition, Vec<Problem>), Vec<Problem>> {
    let folder = tempfile::tempdir().unwrap();
    let schema = r#"{"type":"record","name":"deals","fields":[{"name":"id","type":"string"}]}"#;
    std::fs::write(folder.path().join("deals.avsc"), schema).unwrap();
    let needed = [
        ("name", "hook"),
        ("connector.class", "WebhookSource"),
        ("topic.prefix", "acme"),
        ("objects", "deals"),
        ("objects.deals.schema", "deals.avsc"),
        ("clients.acme.secret", "s"),
    ];
    let others = needed.iter().filter(|(key, _)| !given.iter().any(|(other, _)| key == other));
    let flat = Flat::from_strings(others.chain(given).copied()).with_base_dir(folder.path());
    ConnectorDefinition::read(&flat)
}

#[test]
fn a_prefix_and_an_object_make_a_name_that_a_topic_can_have() {
    assert!(webhook(&[("topic.prefix", &"x".repeat(243))]).is_ok());
    for (prefix, objects, messages) in [
        ("a b".to_owned(), "deals", &["as Kafka requires"][..]),
        ("x".repeat(244), "deals", &["over 249 bytes, as with object `deals`"]),
        ("x".repeat(244), "deals,Pasted", &["name 2 must be lower-case", "over 249 bytes, as with object `deals`"]),
        ("x".repeat(244), "deals,deals", &["must not name `deals` twice", "over 249 bytes"]),
    ] {
        let found = webhook(&[("topic.prefix", &prefix), ("objects", objects)]).unwrap_err();
        assert_eq!(found.len(), messages.len(), "{found:?}");
        for (problem, message) in found.iter().zip(messages) {
            assert!(problem.message.contains(message), "{}", problem.message);
        }
    }
}

#[test]
fn keys_that_do_nothing_for_a_webhook_are_warned_of() {
    let warned = |given: &[(&str, &str)]| {
        let (_, warnings) = webhook(given).unwrap();
        assert!(warnings.iter().all(|warning| warning.code == "config.warning"));
        warnings.into_iter().map(|warning| warning.key).collect::<Vec<_>>()
    };
    assert_eq!(warned(&[]), Vec::<String>::new());
    assert_eq!(warned(&[("tasks.max", "1")]), Vec::<String>::new());
    assert_eq!(warned(&[("tasks.max", "2")]), ["tasks.max"]);
    assert_eq!(warned(&[("errors.tolerance", "all")]), ["errors.tolerance"]);
    assert_eq!(warned(&[("errors.tolerance", "none"), ("tasks.max", "3")]), ["tasks.max", "errors.tolerance"]);
}

/// Reads a Close source: keys that are enough, with `given` added.
fn close(given: &[(&str, &str)]) -> Result<(ConnectorDefinition, Vec<Problem>), Vec<Problem>> {
    let needed = [
        ("name", "close"),
        ("connector.class", "CloseSource"),
        ("topic.prefix", "close"),
        ("close.api.key", "api_canary"),
    ];
    ConnectorDefinition::read(&Flat::from_strings(needed.iter().chain(given).copied()))
}

#[test]
fn a_key_and_a_prefix_are_enough_for_close() {
    let (definition, warnings) = close(&[]).unwrap();
    assert!(definition.plugin.class() == "CloseSource" && warnings.is_empty());
    assert!(!format!("{:?}", definition.plugin).contains("api_canary"));
}

#[test]
fn a_typo_in_an_objects_name_is_reported_with_the_nearest_name() {
    for key in ["objects", "objects.exclude"] {
        let found = close(&[(key, "contact,oportunity")]).unwrap_err();
        assert_eq!((found.len(), found[0].key.as_str(), found[0].suggestion.as_deref()), (1, key, Some("opportunity")));
        assert!(found[0].message.contains("`oportunity`, which is not an object of Close"), "{}", found[0].message);
    }
}

#[test]
fn keys_that_do_nothing_for_close_are_warned_of() {
    let warned = |given: &[(&str, &str)]| {
        let (_, warnings) = close(given).unwrap();
        warnings.into_iter().map(|warning| warning.key).collect::<Vec<_>>()
    };
    assert_eq!(warned(&[("tasks.max", "1")]), Vec::<String>::new());
    assert_eq!(warned(&[("tasks.max", "2"), ("errors.tolerance", "none")]), ["tasks.max", "errors.tolerance"]);
}
