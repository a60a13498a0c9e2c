//! How Debezium writes numbers, times, intervals, maps and bytes, and the defaults that its converters fill in.

use super::source::{Form, Source, listed};
use crate::stack::shared;

const TABLES: &str = "
    CREATE EXTENSION hstore;
    CREATE TABLE modes (id int PRIMARY KEY, amount numeric(10,2), free numeric, price money, day date, clock time,
        wall timestamp, instant timestamptz, span interval, h hstore, raw bytea, filled text DEFAULT 'default');
    INSERT INTO modes VALUES (1, 1.10, 12345678901234567890.5, 12.34, '2024-02-29', '12:34:56.789012',
        '2024-02-29 12:00:00.123456', '2024-02-29 12:00:00.123456+02', '1 year 2 mons 3 days 04:05:06.789',
        'a=>1, b=>NULL', '\\x00ff10', 'x');
    INSERT INTO modes (id) VALUES (2);";

/// Columns whose value no mode changes.
const SAME: [&str; 2] = ["id", "instant"];

/// What the target has of the source, for the settings of a connector.
struct Mode {
    schema: &'static str,
    form: Form,
    settings: &'static [(&'static str, &'static str)],
    /// Expressions over the source, and over the target.
    columns: &'static [(&'static str, &'static str)],
}

const MODES: &[Mode] = &[
    Mode {
        schema: "texts",
        form: Form::Json,
        settings: &[
            ("decimal.handling.mode", "string"),
            ("time.precision.mode", "isostring"),
            ("interval.handling.mode", "string"),
            ("hstore.handling.mode", "map"),
            ("binary.handling.mode", "base64"),
        ],
        columns: &[
            ("amount", "amount"),
            ("free", "free"),
            ("price::numeric", "price"),
            ("day", "day"),
            ("clock", "clock"),
            ("wall", "wall"),
            ("span", "span::interval"),
            ("hstore_to_jsonb(h)", "h"),
            ("encode(raw, 'base64')", "raw"),
            ("filled", "filled"),
        ],
    },
    Mode {
        schema: "doubles",
        form: Form::Avro,
        settings: &[
            ("decimal.handling.mode", "double"),
            ("time.precision.mode", "connect"),
            ("hstore.handling.mode", "json"),
            ("binary.handling.mode", "hex"),
        ],
        columns: &[
            ("amount::float8", "amount"),
            ("free::float8", "free"),
            ("price::numeric::float8", "price"),
            ("day", "day"),
            // What Debezium loses: with `connect` the digits after the milliseconds, and that it is not an instant.
            ("date_trunc('milliseconds', clock)::time", "clock"),
            ("date_trunc('milliseconds', wall) AT TIME ZONE 'UTC'", "wall"),
            ("hstore_to_jsonb(h)", "h"),
            ("encode(raw, 'hex')", "raw"),
            // What Apicurio's converter loses, in spite of `replace.null.with.default=false`.
            ("coalesce(filled, 'default')", "filled"),
        ],
    },
    Mode {
        schema: "micros",
        form: Form::Json,
        settings: &[
            ("time.precision.mode", "microseconds"),
            ("value.converter.replace.null.with.default", "true"),
            ("binary.handling.mode", "base64-url-safe"),
        ],
        columns: &[
            ("amount", "amount"),
            ("free", "free"),
            ("price::numeric", "price"),
            ("day", "day"),
            ("clock", "clock"),
            ("wall", "wall"),
            ("translate(encode(raw, 'base64'), '+/', '-_')", "raw"),
            // What Debezium's converter loses: a null is written as the column's default.
            ("coalesce(filled, 'default')", "filled"),
        ],
    },
];

#[tokio::test(flavor = "multi_thread")]
async fn each_mode_of_debezium_comes_out_as_it_is_meant() {
    let _stack = shared().await;
    let source = Source::new("dbz_modes", TABLES).await;
    let mut targets = Vec::new();
    for mode in MODES {
        let stream = source.stream(mode.form, mode.settings).await;
        let worker = source.sink(&stream, mode.schema, "version.field = \"source.lsn\"\n").await;
        targets.push((mode, stream, worker));
    }
    // The same values from the log, and a null where the column has a default.
    source
        .run(
            "INSERT INTO modes SELECT id + 2, amount, free, price, day, clock, wall, instant, span, h, raw, NULL
                FROM modes;
             UPDATE modes SET amount = -0.01 WHERE id = 3;
             INSERT INTO modes (id) VALUES (9); DELETE FROM modes WHERE id = 9",
        )
        .await;
    for (mode, stream, worker) in &targets {
        let live = format!("{}_live", stream.table(mode.schema, "modes"));
        let same = SAME.iter().map(|column| (*column, *column));
        let (of_source, of_target): (Vec<_>, Vec<_>) = same.chain(mode.columns.iter().copied()).unzip();
        source.compare(mode.schema, &listed(&of_source, "modes"), &listed(&of_target, &live)).await;
        assert!(source.dead_letters(worker).await.is_empty(), "{}", mode.schema);
    }
}

#[tokio::test(flavor = "multi_thread")]
async fn far_dates_arrive_whatever_the_precision_of_times() {
    let _stack = shared().await;
    let tables = "
        CREATE TABLE far (id int PRIMARY KEY, day date, wall timestamp, instant timestamptz);
        CREATE TABLE endless (id int PRIMARY KEY, wall timestamp);";
    let source = Source::new("dbz_far", tables).await;
    let iso = source.stream(Form::Json, &[("time.precision.mode", "isostring")]).await;
    let connect = source.stream(Form::Avro, &[("time.precision.mode", "connect")]).await;
    let workers = [source.sink(&iso, "iso", "").await, source.sink(&connect, "connect", "").await];
    source
        .run(
            "INSERT INTO far VALUES (1, '9999-12-31', '9999-12-31 23:59:59', '9999-12-31 23:59:59+00'),
                (2, '15000-01-01', '15000-01-01', '15000-01-01+00'),
                (3, '0044-03-15 BC', '0044-03-15 12:00 BC', '0044-03-15 12:00+00 BC');
             INSERT INTO endless VALUES (1, 'infinity'), (2, '-infinity'), (3, '2024-02-29')",
        )
        .await;
    let wall = "wall AT TIME ZONE 'UTC'";
    let far = format!("{}_live", iso.table("iso", "far"));
    let same = ["id", "day", "wall", "instant"];
    source.compare("iso", &listed(&same, "far"), &listed(&same, &far)).await;
    let far = format!("{}_live", connect.table("connect", "far"));
    source.compare("connect", &listed(&["id", "day", wall, "instant"], "far"), &listed(&same, &far)).await;
    for (stream, schema, wall) in [(&iso, "iso", "wall"), (&connect, "connect", wall)] {
        let live = format!("{}_live", stream.table(schema, "endless"));
        source.compare(schema, &listed(&["id", wall], "endless"), &listed(&["id", "wall"], &live)).await;
    }
    for worker in &workers {
        assert!(source.dead_letters(worker).await.is_empty());
    }
}
