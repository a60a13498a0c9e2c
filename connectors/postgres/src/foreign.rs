//! Keys of the JDBC sinks of Confluent, Aiven and Debezium that no key here equals, with the way to get the same. Keys
//! of equal meaning are aliases in [`config`](crate::config).

const CREATION: &str = "set `schema.evolution`: `evolve` creates tables and adds columns, as auto.create=true and \
                        auto.evolve=true do together; `validate` and `off` change nothing";
const QUOTES: &str = "remove it: names are always quoted. A table, schema or column that exists under the exact name \
                      is taken; new ones get names in lower snake case";
const ZONE: &str = "remove it: an instant is stored as `timestamp with time zone`, or in UTC in a `timestamp` column";
const NAMING: &str = "set `table.name.format`, with groups of `table.name.regex`";
const RETRIES: &str = "remove it: outages are retried without a limit, with pauses of up to \
                       `errors.retry.delay.max.ms`; `errors.retry.timeout` limits the wait for rows referred to";
const POOL: &str = "set `connections.max`, the number of connections per task";
const DRIVER: &str = "remove it: there is no JDBC driver; `connection.url` has the settings of the connection";
const DIALECT: &str = "remove it: the database is always Postgres";

/// Keys and help.
pub(crate) const FOREIGN: &[(&str, &str)] = &[
    (
        "delete.enabled",
        "set `delete.mode`: `hard` for delete.enabled=true, `ignore` for false; the default `soft` keeps deleted rows, \
         marked",
    ),
    ("auto.create", CREATION),
    ("auto.evolve", CREATION),
    ("quote.sql.identifiers", QUOTES),
    ("sql.quote.identifiers", QUOTES),
    ("quote.identifiers", QUOTES),
    ("table.name.normalize", QUOTES),
    (
        "topics.to.tables.mapping",
        "set `table.name.format` with groups of `table.name.regex`, or use a connector for each table whose name no \
         rule gives",
    ),
    ("collection.naming.strategy*", NAMING),
    ("table.naming.strategy*", NAMING),
    (
        "column.naming.*",
        "remove it: a column that exists under the exact name of its field is taken; a new one is named in lower snake \
         case, and `pk.fields` names those of the key",
    ),
    ("db.timezone", ZONE),
    ("date.timezone", ZONE),
    ("use.time.zone", ZONE),
    ("database.time_zone", ZONE),
    ("date.calendar.system", "remove it: dates are in the proleptic Gregorian calendar, as in Postgres"),
    ("timestamp.precision.mode", "remove it: timestamps have microseconds"),
    ("timestamp.fields.list", "remove it: the type of a field is that of its schema, or of its column"),
    ("max.retries", RETRIES),
    ("retry.backoff.ms", RETRIES),
    ("flush.max.retries", RETRIES),
    ("flush.retry.delay.ms", RETRIES),
    ("connection.attempts", RETRIES),
    ("connection.backoff.ms", RETRIES),
    ("connection.restart.on.errors", RETRIES),
    ("use.reduction.buffer", "remove it: records of one key in a batch are always written once; see `batch.max.rows`"),
    (
        "table.types",
        "remove it: tables and partitioned tables are written, and no views; `table.name.format` names them",
    ),
    ("dialect.*", DIALECT),
    ("mssql.*", DIALECT),
    ("trim.sensitive.log", "remove it: logs, errors and metrics never contain values of records"),
    ("replace.null.with.default", "remove it: a null stays null"),
    ("connection.pool.*", POOL),
    ("connection.provider", DRIVER),
    ("connection.ssl", "set `sslmode` in `connection.url`, and `connection.ssl.ca` for a private authority"),
    ("hibernate.*", DRIVER),
    ("connection.*", DRIVER),
];
