//! The role's own `search_path`: functions of triggers, constraints and defaults find what they name without a schema,
//! and no object of somebody else takes the place of a built-in one in a statement of the sink.

use towpath_api::{OpenSink as _, Record, RecordOp, Sink as _};

use crate::{
    laboratory::{Laboratory, claim},
    stack::env,
};

/// Runs statements with `%` for the name of the laboratory.
async fn prepare(lab: &Laboratory, sql: &str) {
    lab.client.batch_execute(&sql.replace('%', &lab.name)).await.unwrap();
}

/// A role whose search path in this database is this one, and the URL to connect as it.
async fn role_with(lab: &Laboratory, path: &str) -> String {
    prepare(
        lab,
        &format!(
            "CREATE ROLE % LOGIN SUPERUSER PASSWORD 'first'; CREATE SCHEMA %; CREATE SCHEMA %_own;
             ALTER ROLE % IN DATABASE towpath SET search_path = {path}"
        ),
    )
    .await;
    let url = env("DATABASE_URL");
    format!("postgres://{}:first@{}", lab.name, url.rsplit_once('@').unwrap().1)
}

#[tokio::test]
async fn triggers_constraints_and_defaults_find_names_without_a_schema() {
    let lab = Laboratory::new("path").await;
    let url = role_with(&lab, "\"$user\", %_own").await;
    prepare(
        &lab,
        "CREATE TABLE %_own.audit (id bigint, late boolean); CREATE SEQUENCE %_own.numbers;
         CREATE TABLE %_own.allowed (a bigint); INSERT INTO %_own.allowed SELECT generate_series(0, 9);
         CREATE FUNCTION %.next() RETURNS bigint LANGUAGE plpgsql AS $f$ BEGIN RETURN nextval('numbers'); END $f$;
         CREATE FUNCTION %.is_allowed(bigint) RETURNS boolean LANGUAGE plpgsql
           AS $f$ BEGIN RETURN EXISTS (SELECT FROM allowed WHERE a = $1); END $f$;
         CREATE FUNCTION %.note() RETURNS trigger LANGUAGE plpgsql
           AS $f$ BEGIN INSERT INTO audit VALUES (NEW.id, TG_NAME = 'late'); RETURN NEW; END $f$;
         CREATE TABLE %.deals (id bigint PRIMARY KEY, a bigint CHECK (%.is_allowed(a)), b text,
           no bigint DEFAULT %.next());
         CREATE TRIGGER soon AFTER INSERT OR UPDATE ON %.deals FOR EACH ROW EXECUTE FUNCTION %.note();
         CREATE CONSTRAINT TRIGGER late AFTER INSERT ON %.deals DEFERRABLE INITIALLY DEFERRED
           FOR EACH ROW EXECUTE FUNCTION %.note()",
    )
    .await;
    let mut sink = lab.opener_at(&url, "test", &[]).open().await.unwrap();
    let claim = claim(&mut sink, &lab.partition(0)).await;
    // The last one is refused, and isolated: by the check, not for want of a table.
    let records = vec![lab.whole(0, 1, 1), lab.whole(1, 2, 2), lab.whole(2, 3, 10)];
    let applied = sink.apply(&claim, &lab.batch(0, records)).await.unwrap();
    assert_eq!(applied.inserted, 2, "{applied:?}");
    assert_eq!(lab.ask("SELECT id, a, no > 0 FROM $.deals ORDER BY 1").await, ["1|1|t", "2|2|t"]);
    assert_eq!(lab.ask("SELECT * FROM $_own.audit ORDER BY 2, 1").await, ["1|f", "2|f", "1|t", "2|t"]);
    let letters = "SELECT \"offset\", error_text LIKE '%23514%' FROM towpath.dead_letter WHERE sink = '$'";
    assert_eq!(lab.ask(letters).await, ["2|t"]);
}

#[tokio::test]
async fn a_trigger_whose_table_is_missing_is_named_with_that_table() {
    let lab = Laboratory::new("lacks").await;
    prepare(
        &lab,
        "CREATE SCHEMA %; CREATE TABLE %.deals (id bigint PRIMARY KEY, a bigint, b text);
         CREATE FUNCTION %.note() RETURNS trigger LANGUAGE plpgsql
           AS $f$ BEGIN INSERT INTO nowhere VALUES (NEW.id); RETURN NEW; END $f$;
         CREATE TRIGGER note AFTER INSERT ON %.deals FOR EACH ROW EXECUTE FUNCTION %.note()",
    )
    .await;
    let mut sink = lab.open().await;
    let claim = claim(&mut sink, &lab.partition(0)).await;
    let failed = sink.apply(&claim, &lab.batch(0, vec![lab.whole(0, 1, 1)])).await.unwrap_err().error;
    let text = failed.chain();
    assert_eq!(failed.code, "postgres.setup", "{text}");
    assert!(text.contains("\"nowhere\"") && text.contains(&format!("function {}.note", lab.name)), "{text}");
}

/// Functions and operators that fit the statements of the sink better than the built-in ones, and refuse every call.
const TRAPS: &str = "
CREATE FUNCTION %_own.trap() RETURNS boolean LANGUAGE plpgsql AS $f$ BEGIN RAISE 'captured'; END $f$;
CREATE FUNCTION %_own.unnest(text[]) RETURNS SETOF text LANGUAGE sql AS 'SELECT %_own.trap()::text';
CREATE FUNCTION %_own.unnest(bigint[]) RETURNS SETOF bigint LANGUAGE sql AS 'SELECT %_own.trap()::int::bigint';
CREATE FUNCTION %_own.unnest(boolean[]) RETURNS SETOF boolean LANGUAGE sql AS 'SELECT %_own.trap()';
CREATE FUNCTION %_own.get_bit(bytea, integer) RETURNS integer LANGUAGE sql AS 'SELECT %_own.trap()::int';
CREATE FUNCTION %_own.trap(bigint[], bigint) RETURNS bigint[] LANGUAGE plpgsql AS $f$ BEGIN RAISE 'captured'; END $f$;
CREATE AGGREGATE %_own.array_agg(bigint) (SFUNC = %_own.trap, STYPE = bigint[]);
CREATE FUNCTION %_own.current_setting(unknown_ text, flag boolean) RETURNS text LANGUAGE sql
  AS 'SELECT %_own.trap()::text';
CREATE FUNCTION %_own.more(varchar, text) RETURNS boolean LANGUAGE sql AS 'SELECT %_own.trap()';
CREATE OPERATOR %_own.= (LEFTARG = varchar, RIGHTARG = text, FUNCTION = %_own.more);
CREATE FUNCTION %_own.times(numeric, integer) RETURNS numeric LANGUAGE sql AS 'SELECT %_own.trap()::int::numeric';
CREATE OPERATOR %_own.* (LEFTARG = numeric, RIGHTARG = integer, FUNCTION = %_own.times);
CREATE OPERATOR %_own.+ (LEFTARG = numeric, RIGHTARG = integer, FUNCTION = %_own.times);
CREATE FUNCTION %_own.less(bigint, numeric) RETURNS boolean LANGUAGE sql AS 'SELECT %_own.trap()';
CREATE OPERATOR %_own.> (LEFTARG = bigint, RIGHTARG = numeric, FUNCTION = %_own.less);
CREATE FUNCTION %_own.int_is(integer, integer) RETURNS boolean LANGUAGE sql AS 'SELECT %_own.trap()';
CREATE OPERATOR %_own.= (LEFTARG = integer, RIGHTARG = integer, FUNCTION = %_own.int_is);
CREATE OPERATOR %_own.<> (LEFTARG = integer, RIGHTARG = integer, FUNCTION = %_own.int_is);";

#[tokio::test]
async fn nobody_elses_function_or_operator_is_called_by_a_statement_of_the_sink() {
    let lab = Laboratory::new("traps").await;
    let url = role_with(&lab, "%_own, public").await;
    prepare(&lab, TRAPS).await;
    prepare(&lab, "CREATE TABLE %.deals (id bigint PRIMARY KEY, a bigint, b varchar(9) UNIQUE)").await;
    let captured = lab.ask("SELECT 1 FROM pg_proc p WHERE p.pronamespace = '$_own'::regnamespace").await;
    assert!(captured.len() > 8, "the traps are set");
    let named = |offset, id, b: &str| lab.change(offset, id, RecordOp::Create, Some((1, b)), None, None);
    let partial = |offset, id| lab.change(offset, id, RecordOp::Update, Some((7, "")), Some(vec![1]), None);
    let delete = |offset, id| lab.change(offset, id, RecordOp::Delete, None, None, None);
    let truncate = |offset| lab.change(offset, 0, RecordOp::Truncate, None, None, Some(9));
    for (mode, at) in [("soft", 0), ("hard", 1_000)] {
        let keys = [("delete.mode", mode), ("truncate.enabled", "true"), ("history.enabled", "true")];
        let mut sink = lab.opener_at(&url, "test", &keys).open().await.unwrap();
        let mut claim = claim(&mut sink, &lab.partition(0)).await;
        let batches: Vec<Vec<Record>> = vec![
            vec![named(at, 1, "x"), named(at + 1, 2, "y"), named(at + 2, 3, "z")],
            vec![named(at + 3, 1, "x1"), partial(at + 4, 2), delete(at + 5, 3), lab.tombstone(at + 6, 3)],
            vec![named(at + 7, 4, "y"), named(at + 8, 5, "z")],
            vec![lab.tombstone(at + 9, 1), lab.tombstone(at + 10, 9), truncate(at + 11)],
            (20..400).map(|id| named(at + id, id, &format!("n{id}"))).collect(),
            (400..800).map(|id| named(at + id, id, &format!("n{id}"))).collect(),
        ];
        for records in batches {
            claim.next_offset = records[0].offset;
            let batch = lab.batch(records[0].offset, records);
            let set = format!(
                "UPDATE towpath.sink_partition SET next_offset = {} WHERE sink = '{}'",
                claim.next_offset, lab.name
            );
            lab.client.batch_execute(&set).await.unwrap();
            let applied = sink.apply(&claim, &batch).await;
            assert!(
                !applied.as_ref().is_err_and(|failed| failed.error.code != "postgres.unique_value_wait"),
                "{mode}: {:?}",
                applied.map_err(|failed| failed.error.chain())
            );
        }
    }
    let letters = lab.ask("SELECT error_code, error_text FROM towpath.dead_letter WHERE sink = '$'").await;
    assert!(!letters.concat().contains("function"), "{letters:?}");
    assert_eq!(lab.ask("SELECT count(*) FROM $.deals WHERE id >= 20").await, ["780"]);
}
