//! Schemas and records as other producers write them: names that Avro does not allow, defaults that do not fit,
//! branches of unions, types that contain themselves, JSON with defaults, times of any year, rewritten deletes. The
//! registry is a stub, because Apicurio refuses some of the schemas that others have accepted.

use axum::{Json, Router, extract::Path, routing::get};
use serde_json::json;

use crate::{
    stack::{database, rows, rows_become, shared},
    types::foreign::Topic,
    worker::Worker,
};

/// Schemas and their records: a topic, its schema, the hexadecimal data of its records, a query and its rows. `$` in a
/// query is the table.
type Case = (&'static str, &'static str, &'static [&'static str], &'static str, &'static [&'static str]);

const CASES: &[Case] = &[
    (
        "dashed",
        r#"{"type":"record","name":"Value","namespace":"my-server.public.users","fields":[
            {"name":"user_no","type":"long"},{"name":"name","type":["null","string"],"default":null}]}"#,
        &["0e0206416e6e"],
        "SELECT id, user_no, name FROM $",
        &["0|7|Ann"],
    ),
    (
        "digits",
        r#"{"type":"record","name":"Value","namespace":"1st.users","fields":[{"name":"at","type":
            {"type":"record","name":"my-server.Address","fields":[{"name":"city","type":"string"}]}}]}"#,
        &["0242"],
        "SELECT at FROM $",
        &[r#"{"city": "B"}"#],
    ),
    (
        "letters",
        r#"{"type":"record","name":"V","fields":[{"name":"größe","type":"long"},{"name":"$type","type":"string"},
            {"name":"state","type":{"type":"enum","name":"S","symbols":["in-progress","done"]}}]}"#,
        &["54024100"],
        "SELECT to_jsonb(t) - '{id}'::text[] - array(SELECT attname::text FROM pg_attribute
            WHERE attrelid = '$'::regclass AND attname LIKE '\\_towpath%') FROM $ t",
        &[r#"{"state": "in-progress", "_type_6fa74d2f": "A", "gr__e_d353a267": 42}"#],
    ),
    (
        "number",
        r#"{"type":"record","name":"V","fields":[{"name":"amount","type":"int","default":"0"}]}"#,
        &["0a"],
        "SELECT amount FROM $",
        &["5"],
    ),
    (
        "nothing",
        r#"{"type":"record","name":"V","fields":[{"name":"amount","type":["null","long"],"default":""}]}"#,
        &["020a"],
        "SELECT amount FROM $",
        &["5"],
    ),
    (
        "uuids",
        r#"{"type":"record","name":"V","fields":[
            {"name":"ref","type":{"type":"string","logicalType":"uuid"},"default":""}]}"#,
        &["4864653331623063362d303030302d343030302d383030302d303030303030303030303031"],
        "SELECT pg_typeof(ref), ref FROM $",
        &["uuid|de31b0c6-0000-4000-8000-000000000001"],
    ),
    (
        "branches",
        r#"{"type":"record","name":"E","fields":[{"name":"paid_by","type":[
            {"type":"record","name":"Card","fields":[{"name":"no","type":"string"}]},
            {"type":"record","name":"Voucher","fields":[{"name":"no","type":"string"}]}]}]}"#,
        &["00044131", "02044131"],
        "SELECT paid_by FROM $ ORDER BY id",
        &[r#"{"Card": {"no": "A1"}}"#, r#"{"Voucher": {"no": "A1"}}"#],
    ),
    (
        "itself",
        r#"{"type":"record","name":"Node","fields":[{"name":"label","type":"string"},
            {"name":"next","type":["null","Node"],"default":null}]}"#,
        &["024102024200", "024300"],
        "SELECT label, pg_typeof(next), next FROM $ ORDER BY id",
        &[r#"A|jsonb|{"next": null, "label": "B"}"#, "C|jsonb|"],
    ),
];

async fn registry() -> String {
    let listener = tokio::net::TcpListener::bind("127.0.0.1:0").await.expect("a port");
    let url = format!("http://{}", listener.local_addr().expect("an address"));
    let schema = async |Path(id): Path<usize>| Json(json!({"schema": CASES[id - 1].1}));
    let router =
        Router::new().route("/subjects", get(|| async { Json(json!([])) })).route("/schemas/ids/{id}", get(schema));
    tokio::spawn(async move { axum::serve(listener, router).await });
    url
}

#[tokio::test]
async fn schemas_that_only_others_accept_fill_their_tables() {
    let _stack = shared().await;
    let keys = "\"key.converter\" = \"json\"\n\"key.converter.schemas.enable\" = false\n";
    let worker = Worker::new("wild").setting("schema.registry.url", &registry().await).sink(keys).start().await;
    let mut topics = Vec::new();
    for (number, (name, _, records, ..)) in (1_u8..).zip(CASES) {
        let topic = Topic::with_partitions(&format!("{}.{name}", worker.name), 1).await;
        for (at, datum) in records.iter().enumerate() {
            let bytes = datum.as_bytes().chunks(2).map(|two| std::str::from_utf8(two).expect("digits"));
            let bytes = bytes.map(|two| u8::from_str_radix(two, 16).expect("digits"));
            let value: Vec<u8> = [0, 0, 0, 0, number].into_iter().chain(bytes).collect();
            topic.send_bytes(at.to_string().as_bytes(), &value, &[]).await;
        }
        topics.push(topic);
    }
    let database = database().await;
    for (topic, (_, _, _, query, expected)) in topics.iter().zip(CASES) {
        rows_become(&database, &query.replace('$', topic.table()), expected).await;
    }
    // Framing of Apicurio, whose id has eight bytes, is refused with the way out.
    topics[0].send_bytes(b"9", b"\0\0\0\0\0\0\0\0\x01\x0e\x00", &[]).await;
    rows_become(&database, &topics[0].dead_letters(), &["1|decode.framing"]).await;
    let why = rows(&database, &topics[0].dead_letters().replace("error_code", "error_text")).await.concat();
    assert!(why.contains("eight bytes") && why.contains("apicurio.registry.as-confluent"), "{why}");
    let id = [("apicurio.value.contentId", &[0, 0, 0, 0, 0, 0, 0, 1][..]), ("apicurio.value.encoding", b"BINARY")];
    topics[1].send_bytes(b"9", b"\0\0\0\0\x63", &id).await;
    rows_become(&database, &topics[1].dead_letters(), &["1|decode.framing"]).await;
    let why = rows(&database, &topics[1].dead_letters().replace("error_code", "error_text")).await.concat();
    assert!(why.contains("headers") && why.contains("apicurio.registry.headers.enabled=false"), "{why}");
}

/// A value of Connect's JSON converter.
fn connect(fields: &serde_json::Value, payload: &serde_json::Value) -> Vec<u8> {
    json!({"schema": {"type": "struct", "optional": false, "fields": fields}, "payload": payload})
        .to_string()
        .into_bytes()
}

#[tokio::test]
async fn json_of_connect_has_its_defaults_years_and_rewritten_deletes() {
    let _stack = shared().await;
    let json =
        "\"key.converter\" = \"json\"\n\"key.converter.schemas.enable\" = false\n\"value.converter\" = \"json\"\n";
    let worker = Worker::new("connect").sink(json).start().await;
    let topic = async |name: &str| Topic::with_partitions(&format!("{}.{name}", worker.name), 1).await;
    let [defaults, years, deletes] = [topic("defaults").await, topic("years").await, topic("deletes").await];
    let letters = topic("letters").await;
    let fields = json!([{"field": "größe", "type": "int64"}, {"field": "$type", "type": "string"}]);
    letters.send_bytes(b"1", &connect(&fields, &json!({"größe": 42, "$type": "A"})), &[]).await;

    let fields = json!([
        {"field": "name", "type": "string", "optional": false},
        {"field": "status", "type": "string", "optional": false, "default": "new"},
        {"field": "n", "type": "int32", "optional": true, "default": 7},
        {"field": "amount", "type": "bytes", "name": "org.apache.kafka.connect.data.Decimal", "optional": false,
            "parameters": {"scale": "2"}, "default": "BNI="},
    ]);
    defaults.send_bytes(b"1", &connect(&fields, &json!({"name": "Ann"})), &[]).await;
    defaults.send_bytes(b"2", &connect(&fields, &json!({"name": "Bo", "status": null, "n": null})), &[]).await;

    let fields = json!([
        {"field": "at", "type": "string", "optional": true, "name": "io.debezium.time.ZonedTimestamp"},
        {"field": "day", "type": "string", "optional": true, "name": "io.debezium.time.IsoDate"},
    ]);
    let year = |at: &str, day: &str| connect(&fields, &json!({"at": at, "day": day}));
    years.send_bytes(b"1", &year("+15000-12-31T23:40:28Z", "+15000-01-01Z"), &[]).await;
    years.send_bytes(b"2", &year("-0043-03-15T00:00:00Z", "-0043-03-15Z"), &[]).await;
    years.send_bytes(b"3", &year("9999-12-31T00:00:00.000000Z", "9999-12-31"), &[]).await;

    let fields = json!([
        {"field": "name", "type": "string", "optional": true},
        {"field": "__deleted", "type": "string", "optional": true},
        {"field": "__op", "type": "string", "optional": true},
    ]);
    let flat = |name: Option<&str>, deleted: &str| {
        connect(
            &fields,
            &json!({"name": name, "__deleted": deleted, "__op": if deleted == "true" { "d" } else { "c" }}),
        )
    };
    deletes.send_bytes(b"1", &flat(Some("Ann"), "false"), &[]).await;
    deletes.send_bytes(b"1", &flat(None, "true"), &[]).await;
    deletes.send_bytes(b"2", &flat(Some("Bo"), "false"), &[]).await;

    let database = database().await;
    // The same columns as from Avro.
    let named = format!("SELECT gr__e_d353a267, _type_6fa74d2f FROM {}", letters.table());
    rows_become(&database, &named, &["42|A"]).await;
    let defaulted = format!("SELECT name, status, n, amount FROM {} ORDER BY id", defaults.table());
    rows_become(&database, &defaulted, &["Ann|new|7|12.34", "Bo|new||12.34"]).await;
    let shown = format!("SELECT at AT TIME ZONE 'UTC', day FROM {} ORDER BY id", years.table());
    let expected =
        ["15000-12-31 23:40:28|15000-01-01", "0044-03-15 00:00:00 BC|0044-03-15 BC", "9999-12-31 00:00:00|9999-12-31"];
    rows_become(&database, &shown, &expected).await;
    let live = format!("SELECT id, name, __op, _towpath_deleted FROM {} ORDER BY id", deletes.table());
    rows_become(&database, &live, &["1|Ann|c|t", "2|Bo|c|f"]).await;
    let columns = format!(
        "SELECT count(*) FROM pg_attribute WHERE attrelid = '{}'::regclass AND attname = '__deleted'",
        deletes.table()
    );
    assert_eq!(rows(&database, &columns).await, ["0"]);
}
