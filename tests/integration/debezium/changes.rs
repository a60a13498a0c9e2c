//! Inserts, updates, deletes, key changes, large values, truncates and changes of schema.

use super::source::{Form, Source, Stream};
use crate::{stack::shared, worker::Worker};

/// Each table once with REPLICA IDENTITY DEFAULT (`_d`) and once with FULL (`_f`).
const TABLES: &str = "
    CREATE EXTENSION hstore;
    CREATE TABLE plain_d (id int PRIMARY KEY, v text, n numeric(10,2), at timestamptz NOT NULL DEFAULT '2024-01-01');
    CREATE TABLE pairs_d (a int, b text, v text, PRIMARY KEY (b, a));
    CREATE TABLE altered_d (id int PRIMARY KEY, a int, b text, c int);
    CREATE TABLE large_d (id int PRIMARY KEY, v text, big text, doc jsonb, j json, raw bytea, list text[], ints int[],
        bigs bigint[], uuids uuid[], days date[], x xml, h hstore);
    CREATE TABLE lost_d (id int PRIMARY KEY, v text, n numeric, bits varbit, flags bool[], doubles float8[],
        numbers numeric[], instants timestamptz[]);
    CREATE TABLE emptied (id int PRIMARY KEY, v text);
    DO $$ DECLARE c record; BEGIN
        FOR c IN SELECT table_name t, column_name c FROM information_schema.columns
            WHERE table_name IN ('large_d', 'lost_d') AND column_name NOT IN ('id', 'v') LOOP
            EXECUTE format('ALTER TABLE %s ALTER %s SET STORAGE EXTERNAL', c.t, c.c);
        END LOOP;
    END $$;
    INSERT INTO plain_d SELECT n, 'v' || n, n / 3.0, '2024-02-29 12:00:00.123456+00' FROM generate_series(1, 50) n;
    INSERT INTO pairs_d SELECT n, 'b' || n % 3, 'v' FROM generate_series(1, 20) n;
    INSERT INTO altered_d SELECT n, n, 'b', n FROM generate_series(1, 6) n;
    INSERT INTO large_d SELECT n, 'v', repeat('big', 3000), jsonb_build_object('k', repeat('doc', 3000)),
        ('{\"k\": \"' || repeat('json', 3000) || '\"}')::json, repeat('ab', 9000)::bytea,
        array_fill('é'::text, ARRAY[900]), array_fill(7, ARRAY[900]), array_fill(7::bigint, ARRAY[900]),
        array_fill(gen_random_uuid(), ARRAY[300]),
        array_fill('2024-02-29'::date, ARRAY[900]), ('<a>' || repeat('x', 9000) || '</a>')::xml,
        hstore('k', repeat('h', 9000)) FROM generate_series(1, 9) n;
    INSERT INTO lost_d SELECT n, 'v', repeat('1234567890', 2000)::numeric, repeat('1', 40000)::varbit,
        array_fill(true, ARRAY[9000]), array_fill(1.5::float8, ARRAY[900]), array_fill(1.5::numeric, ARRAY[900]),
        array_fill('2024-02-29 12:00+00'::timestamptz, ARRAY[900]) FROM generate_series(1, 3) n;
    INSERT INTO emptied SELECT n, 'old' FROM generate_series(1, 20) n;
    DO $$ DECLARE t text; BEGIN
        FOREACH t IN ARRAY ARRAY['plain', 'pairs', 'altered', 'large', 'lost'] LOOP
            EXECUTE format('CREATE TABLE %s_f (LIKE %s_d INCLUDING ALL)', t, t);
            EXECUTE format('INSERT INTO %s_f SELECT * FROM %s_d', t, t);
            EXECUTE format('ALTER TABLE %s_f REPLICA IDENTITY FULL', t);
        END LOOP;
    END $$;";

/// Each is a transaction; `$` is the replica identity.
const CHANGES: &[&str] = &[
    "INSERT INTO plain_$ SELECT n, 'new', -n FROM generate_series(51, 60) n",
    "UPDATE plain_$ SET v = v || '!', n = NULL WHERE id % 2 = 0",
    "DELETE FROM plain_$ WHERE id % 5 = 0",
    // Two rows change places, a row goes and comes back, and a key is deleted and inserted in one transaction.
    "UPDATE plain_$ SET id = -1 WHERE id = 1; UPDATE plain_$ SET id = 1 WHERE id = 2;
     UPDATE plain_$ SET id = 2 WHERE id = -1",
    "UPDATE plain_$ SET id = -3 WHERE id = 3; UPDATE plain_$ SET id = 3 WHERE id = -3",
    "DELETE FROM plain_$ WHERE id = 4; INSERT INTO plain_$ VALUES (4, 'again', 4)",
    "UPDATE plain_$ SET id = id + 1000 WHERE id BETWEEN 41 AND 44",
    "INSERT INTO plain_$ VALUES (7000, 'x'); SAVEPOINT s; INSERT INTO plain_$ VALUES (7001, 'never'); ROLLBACK TO s",
    "UPDATE pairs_$ SET v = 'u' WHERE a < 5; DELETE FROM pairs_$ WHERE a = 6;
     UPDATE pairs_$ SET b = 'other' WHERE a > 15",
    "UPDATE large_$ SET v = 'u' WHERE id <= 3",
    "UPDATE large_$ SET big = repeat('new', 4000), h = NULL WHERE id = 4",
    "DELETE FROM large_$ WHERE id = 5",
    // Changes of the schema: every row changes after each, so that an event carries its new columns.
    "ALTER TABLE altered_$ ADD d text; UPDATE altered_$ SET d = 'd' || id",
    "ALTER TABLE altered_$ ADD e int NOT NULL DEFAULT 5; UPDATE altered_$ SET d = 'e'",
    "ALTER TABLE altered_$ ALTER a TYPE bigint; UPDATE altered_$ SET a = 5000000000 + id",
    "ALTER TABLE altered_$ RENAME b TO bb; UPDATE altered_$ SET a = a + 1",
    "ALTER TABLE altered_$ DROP c; INSERT INTO altered_$ (id, a, bb) VALUES (7, 7, '7')",
    "ALTER TABLE altered_$ ADD \"Mixed Case\" text; UPDATE altered_$ SET \"Mixed Case\" = 'm'",
    "UPDATE lost_$ SET v = 'u' WHERE id = 1",
];

const TRUNCATED: &str = "TRUNCATE emptied; INSERT INTO emptied VALUES (1, 'new')";

/// The keys for the order of the source's log.
const VERSIONED: &str = "version.field = \"source.lsn\"\ntruncate.enabled = true\n";

/// A sink of a stream: its schema.
type Target<'a> = (&'a Stream, &'static str);

async fn changed(source: &Source) {
    for identity in ["d", "f"] {
        for change in CHANGES {
            source.run(&format!("BEGIN; {}; COMMIT", change.replace('$', identity))).await;
        }
    }
    source.run(TRUNCATED).await;
}

async fn agree(source: &Source, targets: &[Target<'_>]) {
    for (stream, schema) in targets {
        for table in ["plain", "pairs", "altered", "large"] {
            for identity in ["d", "f"] {
                source.agrees(stream, schema, &format!("{table}_{identity}")).await;
            }
        }
        source.agrees(stream, schema, "lost_f").await;
        // What Debezium loses: unchanged large values for which it has no placeholder.
        let live = format!("{}_live", stream.table(schema, "lost_d"));
        let lost = ["id", "v", "num_nonnulls(n, bits, flags, doubles, numbers, instants)"];
        source.becomes(&lost, &live, &["'1' | 'u' | '0'", "'2' | 'v' | '6'", "'3' | 'v' | '6'"]).await;
    }
}

#[tokio::test(flavor = "multi_thread")]
async fn source_and_target_agree_after_every_kind_of_change() {
    let _stack = shared().await;
    let source = Source::new("dbz_changes", TABLES).await;
    let json = source.stream(Form::Json, &[]).await;
    let avro = source.stream(Form::Avro, &[("tombstones.on.delete", "false")]).await;
    let workers = [
        source.sink(&json, "json_lsn", VERSIONED).await,
        source.sink(&json, "json_none", "").await,
        source.sink(&avro, "avro_lsn", VERSIONED).await,
        source.sink(&avro, "avro_none", "truncate.enabled = true\n").await,
    ];
    // Without waiting for the snapshot: a row that another partition brings only after the truncate stays away.
    changed(&source).await;
    let versioned = [(&json, "json_lsn"), (&avro, "avro_lsn")];
    let without = [(&json, "json_none"), (&avro, "avro_none")];
    agree(&source, &versioned).await;
    agree(&source, &without).await;
    for (stream, schema) in versioned {
        source.agrees(stream, schema, "emptied").await;
    }
    // Without a version, nothing says which rows of other partitions are older than the truncate.
    for (stream, schema) in without {
        source.becomes(&["count(*)"], &stream.table(schema, "emptied"), &["'20'"]).await;
    }
    let letters = async |worker: &Worker| source.dead_letters(worker).await;
    for worker in &workers[..3] {
        assert!(letters(worker).await.is_empty());
    }
    assert_eq!(letters(&workers[3]).await, ["emptied apply.truncate_across_partitions"]);
}

#[tokio::test(flavor = "multi_thread")]
async fn a_column_as_version_loses_no_delete_and_no_change_of_key() {
    let _stack = shared().await;
    let tables = "
        CREATE TABLE timed_d (id int PRIMARY KEY, v text, at timestamptz NOT NULL DEFAULT clock_timestamp(),
            tick bigint NOT NULL DEFAULT 1);
        INSERT INTO timed_d SELECT n, 'v' FROM generate_series(1, 20) n;
        CREATE TABLE timed_f (LIKE timed_d INCLUDING ALL); ALTER TABLE timed_f REPLICA IDENTITY FULL;
        INSERT INTO timed_f SELECT * FROM timed_d;";
    let source = Source::new("dbz_timed", tables).await;
    let json = source.stream(Form::Json, &[]).await;
    let avro = source.stream(Form::Avro, &[("tombstones.on.delete", "false")]).await;
    let _workers = [
        source.sink(&json, "json_at", "version.field = \"at\"\n").await,
        source.sink(&json, "json_tick", "version.field = \"tick\"\n").await,
        source.sink(&avro, "avro_at", "version.field = \"at\"\n").await,
        source.sink(&avro, "avro_tick", "version.field = \"tick\"\n").await,
    ];
    for table in ["timed_d", "timed_f"] {
        let now = "at = clock_timestamp(), tick = tick + 1";
        source
            .run(&format!(
                "UPDATE {table} SET v = 'u', {now} WHERE id < 5; DELETE FROM {table} WHERE id IN (1, 6, 7);
                 UPDATE {table} SET id = id + 100, {now} WHERE id > 15; UPDATE {table} SET id = id + 100 WHERE id = 15"
            ))
            .await;
    }
    for table in ["timed_d", "timed_f"] {
        for (stream, schema) in [(&json, "json_at"), (&json, "json_tick"), (&avro, "avro_at"), (&avro, "avro_tick")] {
            source.agrees(stream, schema, table).await;
        }
    }
}

#[tokio::test(flavor = "multi_thread")]
async fn a_changed_key_keeps_the_large_values_that_its_change_left_alone() {
    let _stack = shared().await;
    let source = Source::new("dbz_moved", TABLES).await;
    let json = source.stream(Form::Json, &[("topic.creation.default.partitions", "1")]).await;
    let avro = source.stream(Form::Avro, &[]).await;
    let _workers = [
        source.sink(&json, "json_none", "").await,
        source.sink(&json, "json_lsn", VERSIONED).await,
        source.sink(&avro, "avro_lsn", VERSIONED).await,
    ];
    source.run("UPDATE large_f SET id = 106 WHERE id = 6; UPDATE large_d SET id = 106, v = 'moved' WHERE id = 6").await;
    for (stream, schema) in [(&json, "json_none"), (&json, "json_lsn"), (&avro, "avro_lsn")] {
        source.agrees(stream, schema, "large_f").await;
        source.agrees(stream, schema, "large_d").await;
    }
}

#[tokio::test(flavor = "multi_thread")]
async fn rows_that_are_there_get_the_default_of_a_new_column() {
    let _stack = shared().await;
    let source = Source::new("dbz_default", TABLES).await;
    let json = source.stream(Form::Json, &[]).await;
    let _worker = source.sink(&json, "json_lsn", VERSIONED).await;
    source.agrees(&json, "json_lsn", "altered_d").await;
    // Without an event for the other rows.
    source.run("ALTER TABLE altered_d ADD h int NOT NULL DEFAULT 7, ADD t text NOT NULL DEFAULT 'x'").await;
    source.run("UPDATE altered_d SET a = 0 WHERE id = 1").await;
    source.agrees(&json, "json_lsn", "altered_d").await;
}
