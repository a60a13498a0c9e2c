//! Keys of Kafka Connect that no key here equals, with the way to get the same.

const SMT: &str = "there are no transforms: Debezium's envelope is read as it is; `table.name.format` with \
                   `table.name.regex` routes topics to tables, `fields.include` and `fields.exclude` choose fields";
const CLIENT: &str = "give settings of the Kafka client in the worker's file, as `kafka.<setting of librdkafka>`";

/// Keys and help.
pub(super) const FOREIGN: &[(&str, &str)] = &[
    ("transforms*", SMT),
    ("predicates*", SMT),
    ("consumer.override.*", CLIENT),
    ("producer.override.*", CLIENT),
    ("admin.override.*", CLIENT),
    ("errors.log.*", "remove it: failures are always logged, with the reason and without the record"),
    ("header.converter*", "remove it: headers are not converted, and dead letters keep them unchanged"),
    ("config.action.reload", "remove it: a restart of the worker reads the file and its references again"),
    ("tasks.max.enforce", "remove it: there are never more tasks than `tasks.max`"),
    ("key.converter.schema.registry.*", "set the worker's `schema.registry.url`"),
    ("value.converter.schema.registry.*", "set the worker's `schema.registry.url`"),
    ("key.converter.*", "remove it: of a converter, only `key.converter.schemas.enable` is a key"),
    (
        "value.converter.*",
        "remove it: of a converter, only `value.converter.schemas.enable` is a key; a null stays null",
    ),
];
