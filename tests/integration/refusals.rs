//! Rows that the database refuses: by triggers with SQLSTATEs of their own, by policies, by size. Each is a dead letter
//! alone and without its values in a text, however the batch is written; but if the set-up refuses every row, the table
//! waits.

use towpath_api::{
    Applied, ApplyError, Arena, Body, Claim, OpenSink as _, Payload, Reaction, Record, RecordOp, Sink as _,
};
use towpath_postgres::PostgresSink;

use crate::{
    laboratory::{Laboratory, claim},
    stack::env,
};

/// A value of refused rows, which no text may quote.
const CANARY: &str = "canary-77f1";

/// States that a function may raise to refuse a row, whatever they mean elsewhere.
const STATES: [&str; 16] = [
    "UE001", "42501", "44000", "0A000", "42P01", "42883", "42804", "XX000", "28000", "25006", "54000", "P0001",
    "2BP01", "55000", "F0000", "ZZ999",
];

struct Feed<'l> {
    lab: &'l Laboratory,
    sink: PostgresSink,
    claim: Claim,
}

impl<'l> Feed<'l> {
    async fn of(lab: &'l Laboratory, keys: &[(&str, &str)]) -> Self {
        Self::at(lab, &env("DATABASE_URL"), keys).await
    }

    async fn at(lab: &'l Laboratory, url: &str, keys: &[(&str, &str)]) -> Self {
        let mut sink = lab.opener_at(url, "test", keys).open().await.unwrap();
        let claim = claim(&mut sink, &lab.partition(0)).await;
        Self { lab, sink, claim }
    }

    async fn try_apply(&mut self, records: Vec<Record>) -> Result<Applied, ApplyError> {
        self.sink.apply(&self.claim, &self.lab.batch(records[0].offset, records)).await
    }

    async fn apply(&mut self, records: Vec<Record>) -> Applied {
        self.try_apply(records).await.unwrap_or_else(|failed| panic!("{}", failed.error.chain()))
    }

    /// The batch must wait for a person: nothing is stored, and the text has none of its values.
    async fn waits(&mut self, records: Vec<Record>) {
        let (before, letters) = (self.lab.next_offset().await, self.letters().await);
        let failed = self.try_apply(records).await.unwrap_err();
        assert_eq!((failed.error.reaction, failed.error.code), (Reaction::Fatal, "postgres.setup"));
        assert!(!failed.error.chain().contains(CANARY), "{}", failed.error.chain());
        assert_eq!((self.lab.next_offset().await, self.letters().await), (before, letters));
    }

    /// The dead letters as `offset|code`; their texts have no values.
    async fn letters(&self) -> Vec<String> {
        let texts = self.lab.ask("SELECT error_text FROM towpath.dead_letter WHERE sink = '$'").await;
        assert!(texts.iter().all(|text| !text.contains(CANARY)), "{texts:?}");
        self.lab.ask("SELECT \"offset\", error_code FROM towpath.dead_letter WHERE sink = '$' ORDER BY 1").await
    }
}

fn letters(applied: &Applied) -> u64 {
    applied.dead_letters().map(|(_, records)| records).sum()
}

impl Laboratory {
    async fn run(&self, sql: &str) {
        self.client.batch_execute(&sql.replace('$', &self.name).replace("~~", "$$")).await.unwrap();
    }

    /// Adds a trigger that refuses each row whose `a` is a place in [`STATES`], in words that quote the row. `trigger`
    /// is its definition up to the table, `deferral` what follows the table.
    async fn refuses_by_state(&self, trigger: &str, table: &str, deferral: &str) {
        let states: Vec<_> = STATES.iter().map(|state| format!("'{state}'")).collect();
        self.run(&format!(
            "CREATE SCHEMA IF NOT EXISTS $; CREATE FUNCTION $.refuse() RETURNS trigger LANGUAGE plpgsql AS ~~ BEGIN
               IF NEW.a >= 0 THEN
                 RAISE EXCEPTION 'bad %', NEW.b USING ERRCODE = (ARRAY[{}])[NEW.a + 1], DETAIL = NEW.b, HINT = NEW.b,
                   TABLE = NEW.b, COLUMN = NEW.b, CONSTRAINT = NEW.b;
               END IF; RETURN NEW; END ~~;
             CREATE {trigger} INSERT OR UPDATE ON $.{table} {deferral} FOR EACH ROW EXECUTE FUNCTION $.refuse()",
            states.join(", ")
        ))
        .await;
    }

    /// Adds a trigger to the table that runs a statement for rows of which `when` is true.
    async fn runs_for(&self, when: &str, events: &str, statement: &str) {
        self.run(&format!(
            "CREATE FUNCTION $.runs() RETURNS trigger LANGUAGE plpgsql AS ~~ BEGIN {statement}; RETURN NEW; END ~~;
             CREATE TRIGGER runs AFTER {events} ON $.deals FOR EACH ROW WHEN ({when}) EXECUTE FUNCTION $.runs()"
        ))
        .await;
    }

    fn row(&self, offset: i64, a: i64) -> Record {
        self.change(offset, offset, RecordOp::Create, Some((a, CANARY)), None, None)
    }

    /// Accepted rows at even offsets, refused ones of each state at odd offsets.
    fn mixed(&self, from: i64) -> Vec<Record> {
        let pair = |(at, _)| {
            let at = i64::try_from(at).unwrap();
            [self.row(from + 2 * at, -1), self.row(from + 2 * at + 1, at)]
        };
        STATES.iter().enumerate().flat_map(pair).collect()
    }
}

/// The dead letters of [`Laboratory::mixed`].
fn refused(from: i64) -> Vec<String> {
    let offsets = (0..STATES.len()).map(|at| from + 2 * i64::try_from(at).unwrap() + 1);
    offsets.map(|offset| format!("{offset}|postgres.refused_value")).collect()
}

#[tokio::test]
async fn a_row_refused_with_any_sqlstate_of_a_trigger_is_dead_lettered_alone() {
    let accepted = u64::try_from(STATES.len()).unwrap();
    for (trigger, deferral) in [
        ("TRIGGER refuse BEFORE", ""),
        ("TRIGGER refuse AFTER", ""),
        // Refused at COMMIT.
        ("CONSTRAINT TRIGGER refuse AFTER", "DEFERRABLE INITIALLY DEFERRED"),
    ] {
        let lab = Laboratory::new("states").await;
        let mut sink = Feed::of(&lab, &[]).await;
        sink.apply(vec![lab.row(0, -1)]).await;
        lab.refuses_by_state(trigger, "deals", deferral).await;
        let applied = sink.apply(lab.mixed(1)).await;
        assert_eq!((applied.inserted, letters(&applied)), (accepted, accepted), "{trigger}");
        assert_eq!(sink.letters().await, refused(1), "{trigger}");
        let texts = lab.ask("SELECT error_text FROM towpath.dead_letter WHERE sink = '$' ORDER BY \"offset\"").await;
        for (text, state) in texts.iter().zip(STATES) {
            let expected = "a function of the database refuses the row";
            assert_eq!(text, &format!("{expected} (SQLSTATE {state}, function {}.refuse)", lab.name));
        }
    }
}

#[tokio::test]
async fn a_single_row_that_a_trigger_refuses_is_a_dead_letter_at_once() {
    let lab = Laboratory::new("single").await;
    let mut sink = Feed::of(&lab, &[]).await;
    sink.apply(vec![lab.row(0, -1)]).await;
    lab.refuses_by_state("TRIGGER refuse BEFORE", "deals", "").await;
    for (offset, a) in (1..).zip(0..i64::try_from(STATES.len()).unwrap()) {
        assert_eq!(letters(&sink.apply(vec![lab.row(offset, a)]).await), 1, "{a}");
    }
}

#[tokio::test]
async fn refusals_of_the_history_and_of_a_table_of_changes_are_isolated_too() {
    for (keys, table) in [(("history.enabled", "true"), "deals_history"), (("insert.mode", "insert"), "deals")] {
        let lab = Laboratory::new("logs").await;
        let mut sink = Feed::of(&lab, &[keys]).await;
        sink.apply(vec![lab.row(0, -1)]).await;
        lab.refuses_by_state("TRIGGER refuse BEFORE", table, "").await;
        let applied = sink.apply(lab.mixed(1)).await;
        assert_eq!(usize::try_from(letters(&applied)).unwrap(), STATES.len(), "{table}");
        assert_eq!(sink.letters().await, refused(1), "{table}");
        let kept = lab.ask(&format!("SELECT count(*) FROM $.{table} WHERE a = -1")).await;
        assert_eq!(kept, [(STATES.len() + 1).to_string()]);
    }
}

#[tokio::test]
async fn refusals_within_copy_are_isolated_too() {
    let lab = Laboratory::new("copied").await;
    let mut sink = Feed::of(&lab, &[]).await;
    let rows = |from: i64| (from..from + 300).map(|at| lab.row(at, -1)).collect::<Vec<_>>();
    sink.apply(rows(0)).await;
    lab.refuses_by_state("TRIGGER refuse BEFORE", "deals", "").await;
    let mut batch = rows(300);
    batch[7] = lab.row(307, 0);
    batch[250] = lab.row(550, 1);
    assert_eq!(letters(&sink.apply(batch).await), 2);
    assert_eq!(sink.letters().await, ["307|postgres.refused_value", "550|postgres.refused_value"]);
    assert_eq!(lab.ask("SELECT count(*) FROM $.deals").await, ["598"]);
}

#[tokio::test]
async fn a_row_that_a_policy_or_a_view_refuses_is_dead_lettered_and_a_missing_right_waits() {
    let lab = Laboratory::new("policy").await;
    let role = format!("role_{}", lab.name);
    Feed::of(&lab, &[]).await.apply(vec![lab.row(0, -1)]).await;
    lab.run(&format!(
        "CREATE ROLE {role}; GRANT USAGE ON SCHEMA $, towpath TO {role};
         GRANT SELECT, INSERT, UPDATE ON $.deals TO {role};
         GRANT SELECT, INSERT, UPDATE ON ALL TABLES IN SCHEMA towpath TO {role}; GRANT {role} TO CURRENT_USER;
         ALTER TABLE $.deals ENABLE ROW LEVEL SECURITY;
         CREATE POLICY low ON $.deals TO {role} USING (true) WITH CHECK (a < 100)"
    ))
    .await;
    let url = format!("{}?options=-c%20role%3D{role}", env("DATABASE_URL"));
    let mut sink = Feed::at(&lab, &url, &[]).await;
    // A single one; then one of many, twice, since COPY does not work with policies.
    assert_eq!(letters(&sink.apply(vec![lab.row(1, 100)]).await), 1);
    for from in [2, 302] {
        let mut batch: Vec<_> = (from..from + 300).map(|at| lab.row(at, -1)).collect();
        batch[9] = lab.row(from + 9, 100);
        assert_eq!(letters(&sink.apply(batch).await), 1);
    }
    assert_eq!(
        sink.letters().await,
        ["1|postgres.refused_value", "11|postgres.refused_value", "311|postgres.refused_value"]
    );
    lab.run(&format!("REVOKE INSERT ON $.deals FROM {role}")).await;
    sink.waits(vec![lab.row(602, -1), lab.row(603, -1)]).await;
    lab.run(&format!("GRANT INSERT ON $.deals TO {role}")).await;
    assert_eq!(sink.apply(vec![lab.row(602, -1), lab.row(603, -1)]).await.inserted, 2);
    drop(sink);
    lab.run(&format!("DROP OWNED BY {role}; DROP ROLE {role}")).await;

    let lab = Laboratory::new("view").await;
    lab.run(
        "CREATE SCHEMA $; CREATE TABLE $.all (id bigint PRIMARY KEY, a bigint, b text);
         CREATE VIEW $.low AS SELECT * FROM $.all WHERE a < 100 WITH CHECK OPTION",
    )
    .await;
    let forward = "INSERT INTO $.low VALUES (NEW.id, NEW.a, NEW.b)";
    let mut sink = Feed::of(&lab, &[]).await;
    sink.apply(vec![lab.row(0, -1)]).await;
    lab.runs_for("true", "INSERT", forward).await;
    assert_eq!(letters(&sink.apply(vec![lab.row(1, 100)]).await), 1);
    assert_eq!(letters(&sink.apply(vec![lab.row(2, -1), lab.row(3, 100), lab.row(4, -1)]).await), 1);
    assert_eq!(sink.letters().await, ["1|postgres.refused_value", "3|postgres.refused_value"]);
}

#[tokio::test]
async fn rows_that_are_too_large_are_dead_lettered_alone() {
    let long = |length: usize| {
        // Cannot be compressed.
        let mut state = 7_u64;
        let character = |_| {
            state = state.wrapping_mul(6_364_136_223_846_793_005).wrapping_add(1_442_695_040_888_963_407);
            char::from(b'!' + u8::try_from((state >> 33) % 90).unwrap())
        };
        format!("{CANARY}{}", (0..length).map(character).collect::<String>())
    };
    for (theme, alteration) in [
        ("index", "CREATE INDEX ON $.deals (b)"),
        ("plain", "ALTER TABLE $.deals ALTER COLUMN b SET STORAGE PLAIN"),
        (
            "deep",
            "CREATE FUNCTION $.deep() RETURNS void LANGUAGE plpgsql AS ~~ BEGIN PERFORM $.deep(); END ~~;
             CREATE FUNCTION $.runs() RETURNS trigger LANGUAGE plpgsql AS ~~ BEGIN PERFORM $.deep(); RETURN NEW; END ~~;
             CREATE TRIGGER runs BEFORE INSERT ON $.deals FOR EACH ROW WHEN (length(NEW.b) > 9000)
               EXECUTE FUNCTION $.runs()",
        ),
        (
            "memory",
            "CREATE FUNCTION $.runs() RETURNS trigger LANGUAGE plpgsql AS ~~ BEGIN
               NEW.b = repeat(NEW.b, 1000000); RETURN NEW; END ~~;
             CREATE TRIGGER runs BEFORE INSERT ON $.deals FOR EACH ROW WHEN (length(NEW.b) > 9000)
               EXECUTE FUNCTION $.runs()",
        ),
    ] {
        let lab = Laboratory::new(theme).await;
        let mut sink = Feed::of(&lab, &[]).await;
        sink.apply(vec![lab.row(0, -1)]).await;
        lab.run(alteration).await;
        let large = |offset| lab.change(offset, offset, RecordOp::Create, Some((1, &long(10_000))), None, None);
        assert_eq!(letters(&sink.apply(vec![lab.row(1, 1), large(2), lab.row(3, 1)]).await), 1, "{theme}");
        assert_eq!(letters(&sink.apply(vec![large(4)]).await), 1, "{theme}");
        assert_eq!(sink.letters().await, ["2|postgres.refused_value", "4|postgres.refused_value"], "{theme}");
    }
}

#[tokio::test]
async fn experiment_decides_between_a_row_and_a_trigger_that_works_for_none() {
    let lab = Laboratory::new("missing").await;
    let mut sink = Feed::of(&lab, &[]).await;
    sink.apply(vec![lab.row(0, -1)]).await;
    // The trigger needs a table that does not exist, for some rows.
    lab.runs_for("NEW.a >= 0", "INSERT", "INSERT INTO $.audit VALUES (NEW.b)").await;
    let applied = sink.apply(vec![lab.row(1, -1), lab.row(2, 0), lab.row(3, -1)]).await;
    assert_eq!((applied.inserted, letters(&applied)), (2, 1));
    assert_eq!(sink.letters().await, ["2|postgres.refused_row"]);
    // For all rows of a batch, however many.
    sink.waits(vec![lab.row(4, 0)]).await;
    let all = || (4..304).map(|at| lab.row(at, 0)).collect::<Vec<_>>();
    sink.waits(all()).await;
    lab.run("CREATE TABLE $.audit (b text)").await;
    assert_eq!(sink.apply(all()).await.inserted, 300, "once the cause is gone");
}

#[tokio::test]
async fn accepted_rows_prove_nothing_about_refused_deletes() {
    let lab = Laboratory::new("deletes").await;
    let mut sink = Feed::of(&lab, &[("delete.mode", "hard")]).await;
    sink.apply(vec![lab.row(0, -1), lab.row(1, -1)]).await;
    lab.runs_for("true", "DELETE", "INSERT INTO $.audit VALUES (OLD.b)").await;
    let delete = |offset, id| lab.change(offset, id, RecordOp::Delete, None, None, None);
    sink.waits(vec![lab.row(2, -1), delete(3, 0), lab.row(4, -1)]).await;
    lab.run("CREATE TABLE $.audit (b text)").await;
    assert_eq!(sink.apply(vec![lab.row(2, -1), delete(3, 0), lab.row(4, -1)]).await.deleted, 1);
}

/// A record that cannot be decoded, with these bytes and this header.
fn undecodable(arena: &mut Arena, offset: i64, value: &[u8], header: (&str, Option<&[u8]>)) -> Record {
    let payload =
        Payload { key: None, value: Some(arena.push(value)), headers: arena.push_headers([header].into_iter()) };
    let body = Body::Undecodable { code: "decode.framing", reason: "no \0 Avro: é".to_owned(), of_key: false };
    Record { offset, timestamp_ms: 1, body, payload }
}

#[tokio::test]
async fn a_dead_letter_is_stored_whatever_its_headers_and_the_encoding_of_the_database() {
    let lab = Laboratory::new("latin").await;
    let create = format!("CREATE DATABASE {} ENCODING LATIN1 TEMPLATE template0 LC_COLLATE 'C' LC_CTYPE 'C'", lab.name);
    lab.client.batch_execute(&create).await.unwrap();
    let url = env("DATABASE_URL");
    let url = format!("{}/{}", url.rsplit_once('/').unwrap().0, lab.name);
    let mut sink = Feed::at(&lab, &url, &[]).await;
    let mut batch = lab.batch(0, vec![]);
    let headers = [("plain", &b"text"[..]), ("日本", "日本".as_bytes()), ("nul", &b"a\0b"[..]), ("é", "é".as_bytes())];
    for (offset, (name, value)) in (0..).zip(headers) {
        batch.records.push(undecodable(&mut batch.arena, offset, b"bytes", (name, Some(value))));
    }
    batch.to = 4;
    assert_eq!(letters(&sink.sink.apply(&sink.claim, &batch).await.unwrap()), 4);
    let stored = sink.sink.unpublished(10).await.unwrap();
    let found: Vec<_> =
        stored.iter().map(|letter| (letter.headers[0].0.as_str(), letter.headers[0].1.as_deref().unwrap())).collect();
    assert_eq!(found, headers);
    drop(sink);
    lab.client.batch_execute(&format!("DROP DATABASE {} WITH (FORCE)", lab.name)).await.unwrap();
}

#[tokio::test]
async fn an_offset_that_held_two_records_keeps_both_dead_letters() {
    let lab = Laboratory::new("both").await;
    let mut sink = Feed::of(&lab, &[]).await;
    for value in ["old", "new", "new", "old", "third"] {
        let mut batch = lab.batch(0, vec![]);
        batch.records.push(undecodable(&mut batch.arena, 0, value.as_bytes(), ("h", None)));
        batch.to = 1;
        assert_eq!(letters(&sink.sink.apply(&sink.claim, &batch).await.unwrap()), 1);
        // The topic is read again from the beginning.
        lab.ask("UPDATE towpath.sink_partition SET next_offset = 0 WHERE sink = '$'").await;
    }
    let kept = "SELECT \"offset\", generation, convert_from(value, 'UTF8') FROM towpath.dead_letter WHERE sink = '$'
                ORDER BY generation";
    assert_eq!(lab.ask(kept).await, ["0|0|old", "0|1|new", "0|2|third"]);
    let letters = sink.sink.unpublished(10).await.unwrap();
    assert_eq!(letters.len(), 3);
    sink.sink.published(&letters[..1]).await.unwrap();
    let rest = sink.sink.unpublished(10).await.unwrap();
    assert_eq!(rest, letters[1..], "each is published by itself");
}

#[tokio::test]
async fn unpublished_dead_letters_are_read_up_to_a_limit_of_bytes() {
    let lab = Laboratory::new("bytes").await;
    let mut sink = Feed::of(&lab, &[]).await;
    lab.run(
        "INSERT INTO towpath.dead_letter
           (sink, topic, partition, \"offset\", stage, error_code, error_text, value, headers)
         SELECT '$', '$.deals', 0, at, 'decode', 'c', 't', convert_to(repeat('x', 1048576 * mib), 'UTF8'),
           jsonb_build_array(jsonb_build_array('h', repeat('y', 1048576 * header)))
         FROM (VALUES (0, 5, 0), (1, 5, 0), (2, 0, 5), (3, 5, 0), (4, 20, 0), (5, 1, 0)) AS x (at, mib, header)",
    )
    .await;
    for expected in [&[0, 1, 2][..], &[3], &[4], &[5], &[]] {
        let letters = sink.sink.unpublished(20).await.unwrap();
        let offsets: Vec<_> = letters.iter().map(|letter| letter.offset).collect();
        assert_eq!(offsets, expected);
        sink.sink.published(&letters).await.unwrap();
    }
}
