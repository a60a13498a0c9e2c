//! Records that `ExtractNewRecordState` has unwrapped, in each of its ways to show a delete.

use super::source::{Form, Source, Stream};
use crate::{stack::shared, worker::Worker};

const TABLES: &str = "
    CREATE TABLE plain (id int PRIMARY KEY, v text, at timestamptz NOT NULL);
    INSERT INTO plain SELECT n, 'v', '2024-02-29 12:00+00' FROM generate_series(1, 20) n;";

const CHANGES: &str = "
    INSERT INTO plain VALUES (21, 'new', '9999-01-01'); UPDATE plain SET v = 'u' WHERE id <= 5;
    DELETE FROM plain WHERE id IN (6, 7); UPDATE plain SET id = 108 WHERE id = 8;
    DELETE FROM plain WHERE id = 9; INSERT INTO plain VALUES (9, 'again', '2025-01-01');";

/// A connector whose records are unwrapped, and its sink, of which `schema` is the schema.
async fn flat(source: &Source, form: Form, mode: &str, schema: &str, sink: &str) -> (Stream, Worker) {
    let unwrap = [
        ("transforms", "unwrap"),
        ("transforms.unwrap.type", "io.debezium.transforms.ExtractNewRecordState"),
        ("transforms.unwrap.delete.tombstone.handling.mode", mode),
        ("transforms.unwrap.add.fields", "source.lsn"),
    ];
    let stream = source.stream(form, &unwrap).await;
    let worker = source.sink(&stream, schema, sink).await;
    (stream, worker)
}

#[tokio::test(flavor = "multi_thread")]
async fn deletes_of_unwrapped_records_arrive_unless_debezium_drops_them() {
    let _stack = shared().await;
    let source = Source::new("dbz_flat", TABLES).await;
    let ordered = "version.field = \"__source_lsn\"\n";
    let kept = [
        ("tombstone", flat(&source, Form::Json, "tombstone", "tombstone", "").await),
        ("rewritten", flat(&source, Form::Avro, "rewrite-with-tombstone", "rewritten", ordered).await),
    ];
    let (drop, drops) = flat(&source, Form::Json, "drop", "dropped", "").await;
    source.run(CHANGES).await;
    for (schema, (stream, worker)) in &kept {
        source.agrees(stream, schema, "plain").await;
        assert!(source.dead_letters(worker).await.is_empty(), "{schema}");
    }
    // What Debezium loses: with `drop` no record says that these rows are gone.
    let live = format!("{}_live", drop.table("dropped", "plain"));
    source
        .compare(
            "dropped",
            &super::source::listed(
                &["id", "v"],
                "(SELECT id, v FROM plain UNION ALL VALUES (6, 'v'), (7, 'v'), (8, 'v')) x",
            ),
            &super::source::listed(&["id", "v"], &live),
        )
        .await;
    assert!(source.dead_letters(&drops).await.is_empty());
}

#[tokio::test(flavor = "multi_thread")]
async fn rewritten_deletes_arrive_and_large_values_stay() {
    let _stack = shared().await;
    let large = "
        CREATE TABLE large (id int PRIMARY KEY, v text, big text, doc jsonb, list text[], raw bytea);
        ALTER TABLE large ALTER big SET STORAGE EXTERNAL, ALTER doc SET STORAGE EXTERNAL,
            ALTER list SET STORAGE EXTERNAL, ALTER raw SET STORAGE EXTERNAL;
        INSERT INTO large SELECT n, 'v', repeat('big', 3000), jsonb_build_object('k', repeat('doc', 3000)),
            array_fill('é'::text, ARRAY[900]), repeat('ab', 9000)::bytea FROM generate_series(1, 5) n;";
    let source = Source::new("dbz_rewrite", &format!("{TABLES}{large}")).await;
    let ordered = "version.field = \"__source_lsn\"\n";
    let sinks = [
        ("json_none", flat(&source, Form::Json, "rewrite", "json_none", "").await),
        ("avro_lsn", flat(&source, Form::Avro, "rewrite", "avro_lsn", ordered).await),
        ("tombstone", flat(&source, Form::Json, "rewrite-with-tombstone", "tombstone", "").await),
    ];
    source.run(CHANGES).await;
    source.run("UPDATE large SET v = 'u' WHERE id = 1; UPDATE large SET big = 'new' WHERE id = 2").await;
    source.run("DELETE FROM large WHERE id = 3").await;
    for (schema, (stream, worker)) in &sinks {
        source.agrees(stream, schema, "plain").await;
        source.agrees(stream, schema, "large").await;
        assert!(source.dead_letters(worker).await.is_empty(), "{schema}");
    }
}
