//! Columns that other people made: each takes the values that it holds exactly, and says by name what it does not.

use std::sync::Arc;

use apache_avro::{Duration, Millis, Months, Schema, types::Value};
use towpath_api::{Applied, Error, Identity, OpenSink as _, Record, RecordKey, RecordOp, Sink as _};
use towpath_postgres::PostgresSink;

use crate::laboratory::{Laboratory, claim, record_schema};

/// A table of somebody else, which nobody alters.
const THEIRS: [(&str, &str); 3] = [("schema.evolution", "off"), ("metadata.columns", "none"), ("delete.mode", "hard")];

const INT: &str = r#""int""#;
const LONG: &str = r#""long""#;
const DOUBLE: &str = r#""double""#;
const TEXT: &str = r#""string""#;
const BYTES: &str = r#""bytes""#;
const BOOLEAN: &str = r#""boolean""#;
const UUID: &str = r#"{"type":"string","logicalType":"uuid"}"#;
const DATE: &str = r#"{"type":"int","logicalType":"date"}"#;
const TIME: &str = r#"{"type":"long","logicalType":"time-micros"}"#;
const LOCAL: &str = r#"{"type":"long","logicalType":"local-timestamp-micros"}"#;
const INSTANT: &str = r#"{"type":"long","logicalType":"timestamp-micros"}"#;
const DECIMAL: &str = r#"{"type":"bytes","logicalType":"decimal","precision":20,"scale":4}"#;
const TEXTS: &str = r#"{"type":"array","items":["null","string"]}"#;
const NUMBERS: &str = r#"{"type":"array","items":{"type":"array","items":"int"}}"#;
const POINT: &str =
    r#"{"type":"record","name":"p","fields":[{"name":"x","type":"double"},{"name":"y","type":"double"}]}"#;
const STRINGS: &str = r#"{"type":"map","values":["null","string"]}"#;

fn text(text: &str) -> Value {
    Value::String(text.to_owned())
}

fn decimal(unscaled: i64) -> Value {
    Value::Decimal(apache_avro::Decimal::from(unscaled.to_be_bytes()))
}

fn list(items: &[&str]) -> Value {
    Value::Array(items.iter().map(|item| text(item)).collect())
}

/// The schema of records with these fields, each with its type and perhaps with a name of Connect or Debezium.
fn schema(fields: &[(String, &str, &str)]) -> Arc<Schema> {
    let field = |(name, ty, semantic): &(String, &str, &str)| {
        let semantic = if semantic.is_empty() { String::new() } else { format!(r#","connect.name":"{semantic}""#) };
        format!(r#",{{"name":"{name}","type":["null",{ty}]{semantic}}}"#)
    };
    record_schema(&format!(r#"{{"name":"id","type":"long"}}{}"#, fields.iter().map(field).collect::<String>()))
}

struct Feed<'l> {
    lab: &'l Laboratory,
    sink: PostgresSink,
    claim: towpath_api::Claim,
    offset: i64,
}

impl<'l> Feed<'l> {
    async fn of(lab: &'l Laboratory, keys: &[(&str, &str)]) -> Self {
        let mut sink = lab.opener(keys).open().await.unwrap();
        let claim = claim(&mut sink, &lab.partition(0)).await;
        let offset = claim.next_offset;
        Self { lab, sink, claim, offset }
    }

    fn record(&self, at: i64, id: i64, schema: &Arc<Schema>, values: Vec<Value>) -> Record {
        let key = RecordKey { identity: Identity::Long(id), schema: Arc::clone(&self.lab.key_schema) };
        let after = std::iter::once(Value::Long(id)).chain(values).collect();
        Laboratory::record(self.offset + at, &key, RecordOp::Update, schema, Some(after))
    }

    async fn apply(&mut self, records: Vec<Record>) -> Result<Applied, Error> {
        let batch = self.lab.batch(self.offset, records);
        let applied = self.sink.apply(&self.claim, &batch).await?;
        self.offset = batch.to;
        Ok(applied)
    }

    /// Applies one record with a field `v`.
    async fn put(&mut self, id: i64, ty: &str, semantic: &str, value: Value) -> Result<Applied, Error> {
        let schema = schema(&[("v".to_owned(), ty, semantic)]);
        self.apply(vec![self.record(0, id, &schema, vec![value])]).await
    }

    async fn letters(&self) -> Vec<String> {
        self.lab
            .ask("SELECT error_code, error_text FROM towpath.dead_letter WHERE sink = '$' ORDER BY \"offset\"")
            .await
    }
}

/// A column, a field, a value with the text of the column, and a value that the column does not hold, with the reason.
struct Case(&'static str, (&'static str, &'static str), Value, &'static str, Option<(Value, &'static str)>);

#[expect(clippy::too_many_lines, reason = "a table of types; a row each")]
fn cases() -> Vec<Case> {
    let no = |value: Value, why: &'static str| Some((value, why));
    let bits = "io.debezium.data.Bits";
    let json = "io.debezium.data.Json";
    let micros = "io.debezium.time.MicroDuration";
    let duration = Value::Duration(Duration::new(Months::new(1), apache_avro::Days::new(2), Millis::new(3)));
    let interval = r#"{"type":"fixed","name":"d","size":12,"logicalType":"duration"}"#;
    let point = |x, y| Value::Record(vec![("x".to_owned(), Value::Double(x)), ("y".to_owned(), Value::Double(y))]);
    let rows = |rows: &[&[i32]]| {
        Value::Array(rows.iter().map(|row| Value::Array(row.iter().map(|n| Value::Int(*n)).collect())).collect())
    };
    let (range, digits, form) = ("is out of the range of", "has more decimal digits than", "does not have the form of");
    vec![
        Case("smallint", (INT, ""), Value::Int(-32_768), "-32768", no(Value::Int(32_768), range)),
        Case("integer", (LONG, ""), Value::Long(7), "7", no(Value::Long(1 << 31), range)),
        Case("bigint", (DECIMAL, ""), decimal(120_000), "12", no(decimal(120_001), digits)),
        Case("bigint", (TEXT, ""), text("-5"), "-5", no(text("five"), form)),
        Case("boolean", (INT, ""), Value::Int(1), "true", no(Value::Int(2), range)),
        Case("boolean", (TEXT, ""), text("yes"), "true", no(text("perhaps"), "SQLSTATE 22P02")),
        Case("integer", (BOOLEAN, ""), Value::Boolean(true), "1", None),
        Case("real", (DOUBLE, ""), Value::Double(0.5), "0.5", no(Value::Double(0.1), "is not held exactly by")),
        Case(
            "double precision",
            (LONG, ""),
            Value::Long(1 << 60),
            "1.152921504606847e+18",
            no(Value::Long((1 << 60) + 1), "is not held exactly by"),
        ),
        Case("numeric", (DOUBLE, ""), Value::Double(0.1), "0.1", None),
        Case("numeric(5,-2)", (LONG, ""), Value::Long(12_300), "12300", no(Value::Long(12_345), digits)),
        Case("numeric(6,2)", (DECIMAL, ""), decimal(12_500), "1.25", no(decimal(12_501), digits)),
        Case("numeric(6,2)", (TEXT, ""), text("1.5"), "1.50", no(text("1.555"), digits)),
        Case("numeric(6,2)", (DECIMAL, ""), decimal(-99_999_900), "-9999.99", no(decimal(100_000_000), range)),
        Case("money", (DECIMAL, ""), decimal(12_500), "$1.25", no(decimal(12_501), digits)),
        Case("money", (TEXT, ""), text("$1,234.50"), "$1,234.50", no(text("1.555"), digits)),
        Case("char(3)", (TEXT, ""), text("EUR"), "EUR", no(text("EURO"), "is longer than")),
        Case("varchar(5)", (TEXT, ""), text("Ann"), "Ann", no(text("Ann   "), "is longer than")),
        Case(
            "varchar(36)",
            (UUID, ""),
            Value::Uuid(apache_avro::Uuid::from_u128(7)),
            "00000000-0000-0000-0000-000000000007",
            None,
        ),
        Case("varchar(2)", (INT, ""), Value::Int(12), "12", no(Value::Int(123), "SQLSTATE 22001")),
        Case("\"char\"", (TEXT, ""), text("x"), "x", no(text("xy"), "is longer than")),
        Case("text", (TEXT, ""), text("a"), "a", no(text("a\0"), "SQLSTATE 22021")),
        Case("text", (BYTES, ""), Value::Bytes(vec![0, 255]), "\\x00ff", None),
        Case("bytea", (TEXT, ""), text("\\x00ff"), "\\x00ff", no(text("AP8="), form)),
        Case("timestamp(6)", (LOCAL, ""), Value::LocalTimestampMicros(1), "1970-01-01 00:00:00.000001", None),
        Case(
            "timestamp(3)",
            (LOCAL, ""),
            Value::LocalTimestampMicros(1_000),
            "1970-01-01 00:00:00.001",
            no(Value::LocalTimestampMicros(1), digits),
        ),
        Case(
            "timestamptz(3)",
            (INSTANT, ""),
            Value::TimestampMicros(1_000),
            "1970-01-01 00:00:00.001+00",
            no(Value::TimestampMicros(1_001), digits),
        ),
        Case(
            "timestamptz(0)",
            (TEXT, ""),
            text("2026-01-31T10:00:00.000Z"),
            "2026-01-31 10:00:00+00",
            no(text("2026-01-31T10:00:00.5Z"), digits),
        ),
        Case("timestamp", (INSTANT, ""), Value::TimestampMicros(0), "1970-01-01 00:00:00", None),
        Case(
            "timestamp",
            (TEXT, ""),
            text("2026-01-31T10:00:00"),
            "2026-01-31 10:00:00",
            no(text("2026-01-31T10:00:00Z"), "is not held exactly by"),
        ),
        Case("timestamp", (DATE, ""), Value::Date(1), "1970-01-02 00:00:00", None),
        Case(
            "date",
            (INSTANT, ""),
            Value::TimestampMicros(86_400_000_000),
            "1970-01-02",
            no(Value::TimestampMicros(1), "is not held exactly by"),
        ),
        Case("date", (TEXT, ""), text("2026-01-31"), "2026-01-31", no(text("31st of May"), "SQLSTATE 22007")),
        Case(
            "time",
            (TIME, ""),
            Value::TimeMicros(86_400_000_000),
            "24:00:00",
            no(Value::TimeMicros(-3_600_000_000), "is not from 00:00:00 to 24:00:00"),
        ),
        Case("time(0)", (TIME, ""), Value::TimeMicros(1_000_000), "00:00:01", no(Value::TimeMicros(1), digits)),
        Case("timetz", (TEXT, ""), text("10:00:00.123456Z"), "10:00:00.123456+00", no(text("later"), "SQLSTATE 22007")),
        Case("interval", (TIME, ""), Value::TimeMicros(3_020_399_000_000), "838:59:59", None),
        Case("interval", (TIME, ""), Value::TimeMicros(-3_600_000_000), "-01:00:00", None),
        Case(
            "interval",
            (TEXT, ""),
            text("P1Y2M3DT4H5M6S"),
            "1 year 2 mons 3 days 04:05:06",
            no(text("soon"), "SQLSTATE 22007"),
        ),
        Case("interval", (LONG, micros), Value::Long(1_500_000), "00:00:01.5", None),
        Case("interval(0)", (interval, ""), duration.clone(), "", no(duration, digits)),
        Case("bit(4)", (TEXT, ""), text("1010"), "1010", no(text("10101"), "SQLSTATE 22026")),
        Case(
            "bit(12)",
            (BYTES, bits),
            Value::Bytes(vec![1, 8]),
            "100000000001",
            no(Value::Bytes(vec![0, 16]), "is longer than"),
        ),
        Case("bit(1)", (BOOLEAN, ""), Value::Boolean(true), "1", None),
        Case("varbit(20)", (BYTES, bits), Value::Bytes(vec![1, 8]), "100000000001", None),
        Case("integer", (TEXT, ""), text("7"), "7", no(text("007"), "form")),
        Case(
            "date[]",
            (r#"{"type":"array","items":{"type":"int","logicalType":"date"}}"#, ""),
            Value::Array(vec![Value::Date(-735_160), Value::Date(4_759_110)]),
            r#"{"0044-03-15 BC",15000-01-01}"#,
            None,
        ),
        Case(
            "timestamptz[]",
            (r#"{"type":"array","items":{"type":"long","logicalType":"timestamp-micros"}}"#, ""),
            Value::Array(vec![Value::TimestampMicros(-63_517_824_000_000_000)]),
            r#"{"0044-03-15 00:00:00+00 BC"}"#,
            None,
        ),
        Case("varbit(12)", (BYTES, bits), Value::Bytes(vec![1, 8]), "100000000001", None),
        Case("inet", (TEXT, ""), text("10.0.0.1/8"), "10.0.0.1/8", no(text("ten"), "SQLSTATE 22P02")),
        Case("cidr", (TEXT, ""), text("10.0.0.0/8"), "10.0.0.0/8", no(text("10.0.0.1/8"), "SQLSTATE 22P02")),
        Case("macaddr", (TEXT, ""), text("08:00:2b:01:02:03"), "08:00:2b:01:02:03", None),
        Case("tsvector", (TEXT, ""), text("'a' 'b'"), "'a' 'b'", no(text("'a"), "SQLSTATE 42601")),
        Case(
            "daterange",
            (TEXT, ""),
            text("[2026-01-01,2026-02-01)"),
            "[2026-01-01,2026-02-01)",
            no(text("[2,1]"), "SQLSTATE 22"),
        ),
        Case("xml", (TEXT, ""), text("<a/>"), "<a/>", None),
        Case("oid", (LONG, ""), Value::Long(4_294_967_295), "4294967295", None),
        Case("$.pair", (TEXT, ""), text("(1,a)"), "(1,a)", no(text("(1)"), "SQLSTATE 22P02")),
        Case("$.mood", (TEXT, ""), text("good"), "good", no(text("none"), "SQLSTATE 22P02")),
        Case("$.code", (TEXT, ""), text("AB"), "AB", no(text("ABC"), "is longer than")),
        Case("$.net", (TEXT, ""), text("10.0.0.1"), "10.0.0.1/32", None),
        Case("$.cents", (LONG, ""), Value::Long(5), "5.00", no(Value::Long(1 << 40), range)),
        Case("point", (POINT, ""), point(1.5, -2.0), "(1.5,-2)", None),
        Case(
            "text[]",
            (TEXTS, ""),
            Value::Array(vec![text("x"), Value::Null, text("z,\"q")]),
            r#"{x,NULL,"z,\"q"}"#,
            None,
        ),
        Case("varchar(2)[]", (TEXTS, ""), list(&["ab"]), "{ab}", no(list(&["abc"]), "SQLSTATE 22001")),
        Case(
            "int[]",
            (NUMBERS, ""),
            rows(&[&[1, 2], &[3, 4]]),
            "{{1,2},{3,4}}",
            no(rows(&[&[1], &[2, 3]]), "SQLSTATE 22"),
        ),
        Case("text[]", (TEXT, ""), text("{a,b}"), "{a,b}", no(text("a,b"), "SQLSTATE 22P02")),
        Case(
            "json",
            (TEXT, json),
            text(r#"{"b": 1, "a": 1.0, "a": 1e2, "n": "\u0000"}"#),
            r#"{"b": 1, "a": 1.0, "a": 1e2, "n": "\u0000"}"#,
            no(text("{"), "SQLSTATE 22P02"),
        ),
        Case("jsonb", (TEXT, json), text(r#"{"a": 1}"#), r#"{"a": 1}"#, no(text(r#""\u0000""#), "SQLSTATE 22P05")),
        Case("json", (STRINGS, ""), Value::Map([("a".to_owned(), text("b"))].into()), r#"{"a":"b"}"#, None),
        Case("jsonb", (INT, ""), Value::Int(7), "7", None),
    ]
}

#[tokio::test]
async fn a_column_of_any_type_takes_what_it_holds_exactly_and_names_what_it_does_not() {
    let lab = Laboratory::new("fit").await;
    let cases = cases();
    let columns: Vec<String> = cases.iter().enumerate().map(|(at, Case(ty, ..))| format!("v{at} {ty}")).collect();
    let create = format!(
        "CREATE SCHEMA $; CREATE TYPE $.pair AS (a int, b text); CREATE TYPE $.mood AS ENUM ('good');
         CREATE DOMAIN $.code AS varchar(2); CREATE DOMAIN $.net AS inet; CREATE DOMAIN $.money AS numeric(6,2);
         CREATE DOMAIN $.cents AS $.money CHECK (VALUE > 0);
         CREATE TABLE $.deals (id bigint GENERATED ALWAYS AS IDENTITY PRIMARY KEY, {})",
        columns.join(", ")
    );
    lab.client.batch_execute(&create.replace('$', &lab.name)).await.unwrap();
    let mut feed = Feed::of(&lab, &THEIRS).await;
    // Twice: inserted, and updated.
    for _ in 0..2 {
        let good: Vec<_> = cases.iter().enumerate().filter(|(_, Case(_, _, _, shown, _))| !shown.is_empty()).collect();
        let fields: Vec<_> = good.iter().map(|(at, Case(_, (ty, name), ..))| (format!("v{at}"), *ty, *name)).collect();
        let values = good.iter().map(|(_, Case(_, _, value, ..))| value.clone()).collect();
        let record = feed.record(0, 1, &schema(&fields), values);
        feed.apply(vec![record]).await.unwrap_or_else(|error| panic!("{}: {:?}", error.chain(), error.help()));
        assert_eq!(feed.letters().await, [""; 0]);
    }
    for (at, Case(ty, (of, name), _, shown, _)) in cases.iter().enumerate() {
        if !shown.is_empty() {
            let found = lab.ask(&format!("SELECT v{at}::text FROM $.deals")).await;
            assert_eq!(found, [*shown], "{ty} from {of} {name}");
        }
    }
    let bad: Vec<_> = cases.iter().enumerate().filter_map(|(at, case)| Some((at, case, case.4.as_ref()?))).collect();
    let records = bad.iter().enumerate().map(|(place, (at, Case(_, (ty, name), ..), (value, _)))| {
        let schema = schema(&[(format!("v{at}"), ty, name)]);
        feed.record(i64::try_from(place).unwrap(), 100 + i64::try_from(*at).unwrap(), &schema, vec![value.clone()])
    });
    let mut records: Vec<_> = records.collect();
    let fine = feed.record(i64::try_from(records.len()).unwrap(), 2, &schema(&[]), vec![]);
    records.push(fine);
    feed.apply(records).await.unwrap_or_else(|error| panic!("{}: {:?}", error.chain(), error.help()));
    let letters = feed.letters().await;
    assert_eq!(lab.ask("SELECT id FROM $.deals ORDER BY 1").await, ["1", "2"], "no refused value is stored");
    assert_eq!(letters.len(), bad.len(), "{letters:#?}");
    for (letter, (at, Case(ty, ..), (_, why))) in letters.iter().zip(&bad) {
        let named = letter.contains(&format!("field `v{at}`")) && letter.contains(&format!("column `v{at}`"));
        assert!(named && letter.contains(why), "{ty}: {letter}, not {why}");
    }
}

#[tokio::test]
async fn extensions_have_columns_and_keys() {
    let lab = Laboratory::new("extensions").await;
    let create = "CREATE SCHEMA $; CREATE EXTENSION IF NOT EXISTS ltree; CREATE EXTENSION IF NOT EXISTS hstore;
                  CREATE TABLE $.deals (id ltree PRIMARY KEY, h hstore, m hstore)";
    lab.client.batch_execute(&create.replace('$', &lab.name)).await.unwrap();
    let key_schema = record_schema(r#"{"name":"id","type":"string"}"#);
    let of_value = r#"{"name":"h","type":"string","connect.name":"io.debezium.data.Json"},{"name":"m","type":"#;
    let value_schema = record_schema(&format!("{of_value}{STRINGS}}}"));
    let mut feed = Feed::of(&lab, &THEIRS).await;
    for (offset, a) in [(0, "b"), (1, "c")] {
        let key = RecordKey { identity: Identity::Text("a.b".into()), schema: Arc::clone(&key_schema) };
        let map = Value::Map([("k".to_owned(), Value::Null)].into());
        let after = vec![text(&format!(r#"{{"a":"{a}"}}"#)), map];
        let record = Laboratory::record(offset, &key, RecordOp::Update, &value_schema, Some(after));
        feed.apply(vec![record]).await.unwrap();
    }
    assert_eq!(feed.letters().await, [""; 0]);
    assert_eq!(lab.ask("SELECT id::text, h::text, m::text FROM $.deals").await, [r#"a.b|"a"=>"c"|"k"=>NULL"#]);
}

#[tokio::test]
async fn each_printed_statement_runs_on_rows_and_the_records_flow() {
    let json = "io.debezium.data.Json";
    let local = || Value::LocalTimestampMicros(1);
    // The column, a value that is there, the value afterwards, and the field that does not fit.
    for (ty, there, kept, (of, name), value) in [
        ("boolean DEFAULT false", "true", "true", (DOUBLE, ""), Value::Double(1.0)),
        ("boolean", "true", "true", (DATE, ""), Value::Date(1)),
        ("int DEFAULT 7", "1", "1", (UUID, ""), Value::Uuid(apache_avro::Uuid::from_u128(7))),
        ("int GENERATED BY DEFAULT AS IDENTITY", "1", "1", (UUID, ""), Value::Uuid(apache_avro::Uuid::from_u128(7))),
        ("text", "'1'", "1", (UUID, ""), Value::Null),
        ("text[]", "'{a,b}'", r#"["a", "b"]"#, (STRINGS, ""), Value::Map([("a".to_owned(), Value::Null)].into())),
        ("real[]", "'{1.5}'", "[1.5]", (r#"{"type":"array","items":"double"}"#, ""), Value::Array(vec![])),
        ("double precision DEFAULT 1", "0.1", "0.1", (DECIMAL, ""), decimal(1)),
        ("timestamptz DEFAULT now()", "'1970-01-01 00:00:01+00'", "1970-01-01 00:00:01", (LOCAL, ""), local()),
        ("interval year to month", "'1 year'", "1 year", (TEXT, ""), text("P1D")),
        (
            "uuid",
            "'00000000-0000-0000-0000-000000000007'",
            "00000000-0000-0000-0000-000000000007",
            (INT, ""),
            Value::Int(1),
        ),
        ("bytea", "'\\x00'", "\\x00", (INT, ""), Value::Int(1)),
        ("date", "'2026-01-31'", "2026-01-31", (TIME, ""), Value::TimeMicros(1)),
        ("bigint DEFAULT 5", "1", "1", (TEXT, json), text("{}")),
        ("inet", "'10.0.0.1'", "\\x31302e302e302e312f3332", (BYTES, ""), Value::Bytes(vec![1])),
        ("jsonb", "'{\"a\": 1}'", "\\x7b2261223a20317d", (BYTES, ""), Value::Null),
        ("xml", "'<a/>'", "<a/>", (BOOLEAN, ""), Value::Boolean(true)),
    ] {
        let lab = Laboratory::new("remedy").await;
        let create = format!(
            "CREATE SCHEMA $; CREATE TABLE $.deals (id bigint PRIMARY KEY, v {ty});
             INSERT INTO $.deals VALUES (9, {there})"
        );
        lab.client.batch_execute(&create.replace('$', &lab.name)).await.unwrap();
        let mut feed = Feed::of(&lab, &THEIRS).await;
        match feed.put(1, of, name, value.clone()).await {
            Ok(_) => {}
            Err(error) => {
                assert_eq!(error.code, "postgres.schema_mismatch", "{ty} from {of}: {}", error.chain());
                let statements = error.help().and_then(|help| help.strip_prefix("run: ")).expect("a statement");
                let ran = lab.client.batch_execute(statements).await;
                ran.unwrap_or_else(|error| panic!("{ty} from {of}: {statements}: {error:?}"));
                feed.put(1, of, name, value).await.unwrap();
                assert_eq!(lab.ask("SELECT v::text FROM $.deals WHERE id = 9").await, [kept], "{ty} from {of}");
            }
        }
        assert_eq!(feed.letters().await, [""; 0], "{ty} from {of}");
        assert_eq!(lab.ask("SELECT count(*) FROM $.deals").await, ["2"]);
    }
}

#[tokio::test]
async fn a_column_of_ours_waits_for_another_kind_of_field_with_a_statement_that_runs() {
    let json = "io.debezium.data.Json";
    for ((before, name, first), (of, value), kept) in [
        ((INT, "", Value::Int(1)), (TEXT, text("t")), "1"),
        ((INT, "", Value::Int(1)), (UUID, Value::Uuid(apache_avro::Uuid::from_u128(7))), "1"),
        ((TEXT, json, text(r#"{"a": 1}"#)), (TEXT, text("t")), r#"{"a": 1}"#),
        ((DOUBLE, "", Value::Double(0.1)), (DECIMAL, decimal(1)), "0.1"),
        ((BOOLEAN, "", Value::Boolean(true)), (INT, Value::Int(2)), "true"),
        ((TEXT, "", text("a\\b")), (BYTES, Value::Bytes(vec![0])), "\\x615c62"),
        ((BYTES, "", Value::Bytes(vec![1])), (TEXT, text("t")), "\\x01"),
        ((TIME, "", Value::TimeMicros(1)), (LONG, Value::Long(1)), "00:00:00.000001"),
        ((INSTANT, "", Value::TimestampMicros(0)), (LOCAL, Value::LocalTimestampMicros(1)), "1970-01-01 00:00:00"),
    ] {
        let lab = Laboratory::new("retyped").await;
        let mut feed = Feed::of(&lab, &[]).await;
        feed.put(1, before, name, first).await.unwrap();
        let error = feed.put(2, of, "", value.clone()).await.unwrap_err();
        assert_eq!(error.code, "postgres.schema_mismatch", "{before} then {of}: {}", error.chain());
        let statements = error.help().and_then(|help| help.strip_prefix("run: ")).expect("a statement");
        let ran = lab.client.batch_execute(statements).await;
        ran.unwrap_or_else(|error| panic!("{before} then {of}: {statements}: {error:?}"));
        feed.put(2, of, "", value).await.unwrap();
        assert_eq!(feed.letters().await, [""; 0], "{before} then {of}");
        assert_eq!(lab.ask("SELECT v::text FROM $.deals_live WHERE id = 1").await, [kept], "{before} then {of}");
    }
}

#[tokio::test]
async fn rows_that_are_there_get_the_default_of_a_new_field() {
    let lab = Laboratory::new("defaults").await;
    let mut feed = Feed::of(&lab, &[]).await;
    feed.put(1, INT, "", Value::Int(1)).await.unwrap();
    let field = |name: &str, ty: &str, default: &str| {
        format!(r#",{{"name":"{name}","type":{ty},"towpath.default":{default}}}"#)
    };
    let fields: String = [
        field("h", INT, "7"),
        field("s", TEXT, r#""it's""#),
        field("d", DECIMAL, r#""1.2500""#),
        field("ref", UUID, r#""""#),
        field("b", BOOLEAN, "true"),
        field("at", INSTANT, "0"),
        field("day", DATE, "1"),
        field("zoned", INSTANT, r#""1970-01-01T00:00:00.000000Z""#),
    ]
    .concat();
    let wider = record_schema(&format!(r#"{{"name":"id","type":"long"}}{fields}"#));
    let values = vec![
        Value::Int(8),
        text("x"),
        decimal(1),
        Value::Uuid(apache_avro::Uuid::from_u128(7)),
        Value::Boolean(false),
        Value::TimestampMicros(1),
        Value::Date(2),
        Value::TimestampMicros(1),
    ];
    let record = feed.record(0, 2, &wider, values);
    feed.apply(vec![record]).await.unwrap();
    feed.put(3, INT, "", Value::Int(3)).await.unwrap();
    let rows = "SELECT id, h, s, d, b, at, day, zoned FROM $.deals ORDER BY id";
    let second = "2|8|x|0.0001|f|1970-01-01 00:00:00.000001+00|1970-01-03|1970-01-01 00:00:00.000001+00";
    assert_eq!(lab.ask(rows).await, ["1|7|it's|1.2500|t||1970-01-02|", second, "3|||||||"]);
}

#[tokio::test]
async fn dropped_columns_count_towards_the_limit_of_a_table_and_are_named() {
    let lab = Laboratory::new("dropped_columns").await;
    let mut feed = Feed::of(&lab, &[]).await;
    feed.put(1, INT, "", Value::Int(1)).await.unwrap();
    let list = |form: &str| (0..1_590).map(|at| form.replace('#', &at.to_string())).collect::<Vec<_>>().join(", ");
    for form in ["ADD COLUMN x# int", "DROP COLUMN x#"] {
        lab.client.batch_execute(&format!("ALTER TABLE {}.deals {}", lab.name, list(form))).await.unwrap();
    }
    let fields: Vec<_> = (0..10).map(|at| (format!("n{at}"), INT, "")).collect();
    let record = feed.record(0, 2, &schema(&fields), vec![Value::Int(1); 10]);
    let error = feed.apply(vec![record]).await.unwrap_err();
    assert_eq!(error.code, "postgres.schema_mismatch", "{}", error.chain());
    assert!(error.to_string().contains("1590 that were dropped count"), "{error}");
}

#[tokio::test]
async fn a_column_of_somebody_else_is_widened_only_by_evolution() {
    let lab = Laboratory::new("widened").await;
    let create = "CREATE SCHEMA $; CREATE DOMAIN $.short AS varchar(3);
                  CREATE TABLE $.deals (id bigint PRIMARY KEY, v varchar(5), w $.short, n numeric(5,-2))";
    lab.client.batch_execute(&create.replace('$', &lab.name)).await.unwrap();
    let mut feed = Feed::of(&lab, &[]).await;
    let fields = schema(&[("v".into(), TEXT, ""), ("w".into(), TEXT, ""), ("n".into(), LONG, "")]);
    let records = vec![
        feed.record(0, 1, &fields, vec![text("Annabel"), text("abc"), Value::Long(12_345)]),
        feed.record(1, 2, &fields, vec![text("Ann"), text("abcd"), Value::Long(1)]),
    ];
    feed.apply(records).await.unwrap();
    assert_eq!(lab.ask("SELECT id, v, w, n FROM $.deals").await, ["1|Annabel|abc|12345"]);
    let types = "SELECT format_type(atttypid, atttypmod) FROM pg_attribute
                 WHERE attrelid = '$.deals'::regclass AND attname IN ('v', 'w', 'n') ORDER BY attnum";
    let domain = format!("{}.short", lab.name);
    assert_eq!(lab.ask(types).await, ["text", &domain, "numeric(19,0)"], "a domain stays");
    assert!(feed.letters().await[0].contains("field `w`"));
}
