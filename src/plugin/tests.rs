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

/// A Postgres sink with these keys beside the required ones.
fn postgres(given: &[(&str, &str)]) -> Result<Vec<Problem>, Vec<Problem>> {
    let needed = [
        ("name", "pg"),
        ("connector.class", "PostgresSink"),
        ("connection.url", "postgres://h/d"),
        ("topics", "srv.shop.a,srv.shop.b"),
    ];
    let has_regex = given.iter().any(|(key, _)| *key == "topics.regex");
    let needed = needed
        .into_iter()
        .filter(|(key, _)| !(given.iter().any(|(other, _)| other == key) || has_regex && *key == "topics"));
    ConnectorDefinition::read(&Flat::from_strings(needed.chain(given.iter().copied()))).map(|(_, warnings)| warnings)
}

#[test]
fn a_filter_of_a_topic_that_is_not_read_is_refused() {
    for key in ["fields.exclude", "fields.include", "field.exclude.list", "fields.whitelist"] {
        assert!(postgres(&[(key, "note,srv.shop.a:secret,srv.shop.b:a:b")]).is_ok());
        let found = postgres(&[(key, "note,srv.shop.c:secret")]).unwrap_err();
        assert_eq!((found.len(), found[0].key.as_str()), (1, key));
        assert!(found[0].message.contains("`srv.shop.c` is not read"), "{}", found[0].message);
        assert!(postgres(&[("topics.regex", r"srv\..*"), (key, "srv.shop.c:secret")]).is_ok());
        assert!(postgres(&[("topics.regex", r"srv\..*"), (key, "shop.c:secret")]).is_err());
        for empty in [":note", "srv.shop.a:"] {
            assert!(postgres(&[(key, empty)]).is_err(), "{empty}");
        }
    }
}

#[test]
fn groups_of_a_pattern_name_tables() {
    let (format, regex) = ("table.name.format", "table.name.regex");
    assert!(postgres(&[(format, "${1}.${2}"), (regex, r"srv\.(\w+)\.(\w+)")]).unwrap().is_empty());
    assert!(postgres(&[(format, "${1}.${t}"), ("topics.regex", r"srv\.(\w+)\.(?<t>\w+)")]).unwrap().is_empty());
    for (keys, key, says) in [
        (&[(format, "${1}")][..], format, "no `table.name.regex`"),
        (&[(format, "${2}"), (regex, r"srv\.(.*)")], format, "`${2}`"),
        (&[(format, "${2}"), ("topics.regex", r"srv\.(.*)")], format, "`topics.regex`"),
        (&[(format, "${1}"), (regex, r"srv\.shop\.(a)")], regex, "`srv.shop.b` does not match"),
        (&[(format, "${source.schema}.${source.table}")], format, "`${source.schema}`"),
        (&[(format, "deals"), (regex, r"srv\.(.*)")], format, "two topics cannot share a table"),
    ] {
        let found = postgres(keys).unwrap_err();
        assert!(found.iter().any(|it| it.key == key && it.message.contains(says)), "{found:?}");
    }
    let warned = postgres(&[(regex, r"srv\.(.*)")]).unwrap();
    assert_eq!((warned.len(), warned[0].key.as_str()), (1, regex));
}

/// Keys of the JDBC sinks of Confluent, Aiven and Debezium, and of Kafka Connect, that are read as they are, each with
/// a value.
const ACCEPTED: &[(&str, &str)] = &[
    ("connection.url", "postgres://h/d"),
    ("connection.user", "u"),
    ("connection.username", "u"),
    ("connection.password", "p"),
    ("insert.mode", "upsert"),
    ("batch.size", "3000"),
    ("table.name.format", "${topic}"),
    ("collection.name.format", "t_${topic}"),
    ("pk.mode", "record_key"),
    ("primary.key.mode", "record_key"),
    ("pk.fields", "id"),
    ("primary.key.fields", "id"),
    ("fields.whitelist", "a,b"),
    ("field.include.list", "srv.shop.a:a"),
    ("field.exclude.list", "a"),
    ("truncate.enabled", "true"),
    ("tasks.max", "2"),
    ("topics", "srv.shop.a"),
    ("topics.regex", "srv.*"),
    ("key.converter", "org.apache.kafka.connect.json.JsonConverter"),
    ("value.converter", "io.confluent.connect.avro.AvroConverter"),
    ("value.converter.schemas.enable", "true"),
    ("errors.tolerance", "all"),
    ("errors.retry.timeout", "0"),
    ("errors.retry.delay.max.ms", "60000"),
    ("errors.deadletterqueue.topic.name", "letters"),
    ("errors.deadletterqueue.topic.replication.factor", "1"),
    ("errors.deadletterqueue.context.headers.enable", "true"),
];

/// Keys of theirs that are refused, each with what the help must name.
const REFUSED: &[(&str, &str)] = &[
    ("delete.enabled", "`delete.mode`"),
    ("auto.create", "`schema.evolution`"),
    ("auto.evolve", "`schema.evolution`"),
    ("quote.sql.identifiers", "exact name"),
    ("sql.quote.identifiers", "exact name"),
    ("quote.identifiers", "exact name"),
    ("table.name.normalize", "exact name"),
    ("topics.to.tables.mapping", "`table.name.regex`"),
    ("collection.naming.strategy", "`table.name.format`"),
    ("table.naming.strategy", "`table.name.format`"),
    ("column.naming.strategy", "exact name"),
    ("db.timezone", "UTC"),
    ("date.timezone", "UTC"),
    ("use.time.zone", "UTC"),
    ("database.time_zone", "UTC"),
    ("date.calendar.system", "Gregorian"),
    ("timestamp.precision.mode", "microseconds"),
    ("timestamp.fields.list", "schema"),
    ("max.retries", "`errors.retry.delay.max.ms`"),
    ("retry.backoff.ms", "`errors.retry.delay.max.ms`"),
    ("flush.max.retries", "`errors.retry.delay.max.ms`"),
    ("flush.retry.delay.ms", "`errors.retry.delay.max.ms`"),
    ("connection.attempts", "`errors.retry.delay.max.ms`"),
    ("connection.backoff.ms", "`errors.retry.delay.max.ms`"),
    ("connection.restart.on.errors", "`errors.retry.delay.max.ms`"),
    ("use.reduction.buffer", "`batch.max.rows`"),
    ("table.types", "`table.name.format`"),
    ("dialect.name", "Postgres"),
    ("dialect.postgres.postgis.schema", "Postgres"),
    ("dialect.sqlserver.identity.insert", "Postgres"),
    ("mssql.use.merge.holdlock", "Postgres"),
    ("trim.sensitive.log", "never contain values"),
    ("replace.null.with.default", "null"),
    ("connection.pool.min_size", "`connections.max`"),
    ("connection.pool.max_size", "`connections.max`"),
    ("connection.pool.acquire_increment", "`connections.max`"),
    ("connection.pool.timeout", "`connections.max`"),
    ("connection.provider", "`connection.url`"),
    ("connection.loginTimeout", "`connection.url`"),
    ("hibernate.c3p0.idle_test_period", "`connection.url`"),
    ("transforms", "`table.name.regex`"),
    ("transforms.route.regex", "`table.name.regex`"),
    ("predicates", "`table.name.regex`"),
    ("consumer.override.auto.offset.reset", "`kafka."),
    ("consumer.override.max.poll.records", "`kafka."),
    ("producer.override.acks", "`kafka."),
    ("errors.log.enable", "logged"),
    ("errors.log.include.messages", "logged"),
    ("header.converter", "unchanged"),
    ("config.action.reload", "restart"),
    ("tasks.max.enforce", "`tasks.max`"),
    ("key.converter.schema.registry.url", "`schema.registry.url`"),
    ("value.converter.schema.registry.url", "`schema.registry.url`"),
    ("value.converter.replace.null.with.default", "null"),
];

#[test]
fn every_key_of_a_jdbc_sink_is_read_or_refused_with_the_way_out() {
    for pair in ACCEPTED {
        let warnings = postgres(&[*pair]).unwrap_or_else(|found| panic!("{}: {found:?}", pair.0));
        assert!(warnings.is_empty(), "{}: {warnings:?}", pair.0);
    }
    for (key, names) in REFUSED {
        let found = postgres(&[(key, "x")]).unwrap_err();
        assert_eq!((found.len(), found[0].key.as_str(), found[0].code), (1, *key, "config.unknown_key"), "{found:?}");
        let help = found[0].help.as_deref().unwrap_or_default();
        assert!(help.contains(names), "{key}: {help}");
    }
    for class in [
        "io.confluent.connect.jdbc.JdbcSinkConnector",
        "io.aiven.connect.jdbc.JdbcSinkConnector",
        "io.debezium.connector.jdbc.JdbcSinkConnector",
    ] {
        let found = postgres(&[("connector.class", class)]).unwrap_err();
        assert_eq!((found.len(), found[0].suggestion.as_deref()), (1, Some("PostgresSink")), "{class}");
    }
}
