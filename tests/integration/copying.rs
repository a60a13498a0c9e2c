//! Batches of new rows, written by COPY, under faults: a connection cut during the COPY, a row that appears meanwhile,
//! a value that is refused. Nothing may be lost or duplicated. The database itself counts the COPY attempts.

use std::sync::Arc;

use apache_avro::{Schema, types::Value};
use rand::{Rng as _, SeedableRng as _, rngs::StdRng};
use towpath_api::{Applied, Batch, Body, Claim, ErrorType, OpenSink as _, Reaction, Sink as _};
use towpath_postgres::{OpenPostgresSink, PostgresSink};

use crate::{
    laboratory::{Laboratory, beginning, claim, record_schema},
    proxy::{Proxy, Way},
    stack::{database, eventually, rows, seed},
};

/// A sink that writes new rows by COPY; ids, offsets and `a` are the same numbers.
struct Copying {
    lab: Laboratory,
    proxy: Proxy,
    opener: OpenPostgresSink,
    sink: PostgresSink,
    claim: Claim,
    /// The schema of the records, if it differs from the laboratory's.
    with_date: Option<Arc<Schema>>,
}

impl Copying {
    async fn start(theme: &str) -> Self {
        Self::of(theme, None).await
    }

    async fn of(theme: &str, with_date: Option<Arc<Schema>>) -> Self {
        let (lab, proxy) = (Laboratory::new(theme).await, Proxy::start().await);
        let opener = lab.opener_at(&proxy.url(), "test", &[]);
        let mut sink = opener.open().await.unwrap();
        let claim = claim(&mut sink, &lab.partition(0)).await;
        let mut copying = Self { lab, proxy, opener, sink, claim, with_date };
        copying.warm_up().await;
        // A sequence also counts rows that were rolled back; the log has only committed ones.
        let log = format!(
            "CREATE SEQUENCE {0}.tries; CREATE TABLE {0}.row_log (id bigint, by_copy boolean);
             CREATE FUNCTION {0}.count_try() RETURNS trigger LANGUAGE plpgsql AS $$ BEGIN
                 IF current_query() LIKE 'COPY%' THEN PERFORM nextval('{0}.tries'); END IF; RETURN NEW; END $$;
             CREATE TRIGGER count_try BEFORE INSERT ON {0}.deals FOR EACH ROW EXECUTE FUNCTION {0}.count_try();
             CREATE FUNCTION {0}.log_row() RETURNS trigger LANGUAGE plpgsql AS $$ BEGIN
                 INSERT INTO {0}.row_log VALUES (NEW.id, current_query() LIKE 'COPY%'); RETURN NULL; END $$;
             CREATE TRIGGER log_row AFTER INSERT ON {0}.deals FOR EACH ROW EXECUTE FUNCTION {0}.log_row()",
            copying.lab.name
        );
        copying.lab.client.batch_execute(&log).await.unwrap();
        copying
    }

    /// A batch of `count` rows that the table does not have.
    fn new_rows(&self, rows: i64) -> Batch {
        let from = self.claim.next_offset;
        let record = |offset| {
            let mut record = self.lab.whole(offset, offset, offset);
            if let (Some(schema), Body::Change(change)) = (&self.with_date, &mut record.body) {
                change.schema = Arc::clone(schema);
                change.after.as_mut().unwrap().push(Value::Date(20_000));
            }
            record
        };
        self.lab.batch(from, (from..from + rows).map(record).collect())
    }

    /// Sets this field of the record at this place of the batch.
    fn spoil(batch: &mut Batch, at: usize, field: usize, value: Value) -> i64 {
        let Body::Change(change) = &mut batch.records[at].body else { unreachable!("a change") };
        change.after.as_mut().unwrap()[field] = value;
        batch.records[at].offset
    }

    async fn stores(&mut self, batch: &Batch) -> Applied {
        let applied =
            self.sink.apply(&self.claim, batch).await.unwrap_or_else(|error| panic!("{}", error.error.chain()));
        assert_eq!(applied.total(), u64::try_from(batch.records.len()).unwrap(), "{applied:?}");
        self.claim.next_offset = batch.to;
        applied
    }

    /// Stores a batch of new rows, so that the connection presumes that the next one is new too.
    async fn warm_up(&mut self) {
        let batch = self.new_rows(2);
        self.stores(&batch).await;
    }

    /// The worker's reaction to a transient error: a new connection, a new claim, and a second attempt for the unstored
    /// part. Returns whether the batch was already stored.
    async fn settle(&mut self, batch: &Batch) -> bool {
        self.sink = self.opener.open().await.unwrap();
        let next = self.sink.claim(&self.lab.partition(0), &beginning(), Some(&self.claim)).await.unwrap();
        assert!([batch.from, batch.to].contains(&next.next_offset), "the batch is stored as a whole or not at all");
        self.claim = next;
        let is_stored = self.claim.next_offset == batch.to;
        if !is_stored {
            self.stores(batch).await;
        }
        is_stored
    }

    /// The number of rows that the database has read from a COPY, whether or not they were committed.
    async fn tries(&self) -> i64 {
        let tries = self.lab.ask("SELECT CASE WHEN is_called THEN last_value ELSE 0 END FROM $.tries").await;
        tries[0].parse().unwrap()
    }

    async fn by_copy(&self) -> i64 {
        self.lab.ask("SELECT count(*) FROM $.row_log WHERE by_copy").await[0].parse().unwrap()
    }

    /// Asserts that the table has the rows up to the offset, except dead letters, each written once and by the record
    /// with its number.
    async fn is_right(&self, dead_letters: &[i64]) {
        let end = self.claim.next_offset;
        assert_eq!(self.lab.next_offset().await, [end.to_string()]);
        let wrong =
            "SELECT id, a, _towpath_offset FROM $.deals WHERE _towpath_deleted OR a <> id OR _towpath_offset <> id";
        assert_eq!(self.lab.ask(wrong).await, [""; 0]);
        let missing = format!(
            "SELECT n FROM generate_series(0, {end} - 1) AS n WHERE n NOT IN (SELECT id FROM $.deals) ORDER BY 1"
        );
        let dead_letters: Vec<String> = dead_letters.iter().map(ToString::to_string).collect();
        assert_eq!(self.lab.ask(&missing).await, dead_letters);
        assert_eq!(
            self.lab.ask("SELECT count(*) FROM $.deals").await,
            [(end - i64::try_from(dead_letters.len()).unwrap()).to_string()]
        );
        let letters = "SELECT \"offset\" FROM towpath.dead_letter WHERE sink = '$' ORDER BY 1";
        assert_eq!(self.lab.ask(letters).await, dead_letters);
        assert_eq!(
            self.lab.ask("SELECT id FROM $.row_log GROUP BY 1 HAVING count(*) > 1").await,
            [""; 0],
            "no row was written twice"
        );
    }
}

#[tokio::test]
async fn new_rows_are_written_by_copy() {
    let mut copying = Copying::start("copy").await;
    for rows in [300, 3_000] {
        let batch = copying.new_rows(rows);
        assert_eq!(copying.stores(&batch).await.inserted, rows.unsigned_abs());
    }
    assert_eq!((copying.by_copy().await, copying.tries().await), (3_300, 3_300));
    copying.is_right(&[]).await;
}

#[tokio::test]
async fn a_connection_cut_at_any_byte_of_a_copy_loses_and_duplicates_nothing() {
    let mut random = StdRng::seed_from_u64(seed("cuts within COPY"));
    let mut copying = Copying::start("copy_cut").await;
    let (mut within, mut lost) = (0, 0);
    for rows in [300, 1_000, 3_000] {
        copying.warm_up().await;
        copying.proxy.pass_all();
        let whole = copying.new_rows(rows);
        copying.stores(&whole).await;
        let bytes = copying.proxy.passed(Way::ToServer);
        for cut in 0..8 {
            copying.warm_up().await;
            let (batch, before) = (copying.new_rows(rows), copying.tries().await);
            // The first cut is just before the end of the data: the server has all rows and nothing else.
            let at = if cut == 0 { bytes - 60 } else { random.random_range(1..bytes) };
            copying.proxy.cut_after(Way::ToServer, at);
            let applied = copying.sink.apply(&copying.claim, &batch).await;
            copying.proxy.pass_all();
            if let Err(error) = &applied {
                assert_eq!(error.error.reaction, Reaction::Retry, "{}", error.error.chain());
            } else {
                // The number of bytes varies slightly between connections.
                assert_eq!(cut, 0, "this cut was at the very end");
            }
            // The next claim waits for the end of the transaction; its records are not written by COPY.
            lost += usize::from(!copying.settle(&batch).await);
            within += usize::from(copying.tries().await > before);
            copying.is_right(&[]).await;
        }
    }
    // Up to 1,250 rows are one message, which the server discards unless it is complete.
    assert!(within > 2 && lost > 8, "{within} cuts were within the rows, {lost} lost the batch");
}

#[tokio::test]
async fn a_row_that_appears_during_a_copy_is_overwritten_if_older() {
    let mut copying = Copying::start("copy_race").await;
    let other = database().await;
    let waits = format!(
        "SELECT pid FROM pg_stat_activity WHERE application_name = 'towpath/{}' AND wait_event_type = 'Lock'",
        copying.lab.name
    );
    // The end of the other transaction, or of our connection by the server, and the rows that the COPY has stored then.
    for (end, copied) in [("COMMIT", 0), ("ROLLBACK", 3_000), ("terminate", 0)] {
        copying.warm_up().await;
        let (batch, before, tried) = (copying.new_rows(3_000), copying.by_copy().await, copying.tries().await);
        let id = batch.from + 2_000;
        let row = format!(
            "BEGIN; INSERT INTO {}.deals (id, a, _towpath_ts, _towpath_seq, _towpath_offset, _towpath_partition,
             _towpath_deleted)
             VALUES ({id}, -1, 0, -1, -1, 0, false)",
            copying.lab.name
        );
        other.batch_execute(&row).await.unwrap();
        let meanwhile = async {
            let waiting = eventually("the COPY waits for the row", || async {
                rows(&copying.lab.client, &waits).await.first().cloned()
            });
            let pid = waiting.await;
            if end == "terminate" {
                rows(&copying.lab.client, &format!("SELECT pg_terminate_backend({pid})")).await;
            } else {
                other.batch_execute(end).await.unwrap();
            }
        };
        let (applied, ()) = tokio::join!(copying.sink.apply(&copying.claim, &batch), meanwhile);
        if end == "terminate" {
            assert_eq!(applied.unwrap_err().error.reaction, Reaction::Retry);
            other.batch_execute("ROLLBACK").await.unwrap();
            assert!(!copying.settle(&batch).await);
        } else {
            let applied = applied.unwrap_or_else(|error| panic!("{}", error.error.chain()));
            let updated = u64::from(end == "COMMIT");
            assert_eq!((applied.inserted, applied.updated), (3_000 - updated, updated), "{end}");
            copying.claim.next_offset = batch.to;
        }
        assert_eq!(copying.by_copy().await - before, copied, "{end}");
        assert!(copying.tries().await - tried >= 2_000, "{end}: COPY was tried");
        copying.is_right(&[]).await;
    }
    // A newer row stays.
    copying.warm_up().await;
    let batch = copying.new_rows(300);
    let (newer, id) = (batch.to + 1_000, batch.from + 100);
    let row = format!(
        "INSERT INTO {}.deals (id, a, _towpath_ts, _towpath_seq, _towpath_offset, _towpath_partition, _towpath_deleted)
         VALUES ({id}, -1, 0, {newer}, {newer}, 0, false)",
        copying.lab.name
    );
    other.batch_execute(&row).await.unwrap();
    let applied = copying.stores(&batch).await;
    assert_eq!((applied.inserted, applied.stale), (299, 1));
    assert_eq!(copying.lab.ask(&format!("SELECT a FROM $.deals WHERE id = {id}")).await, ["-1"]);
}

#[tokio::test]
async fn a_value_that_is_refused_within_a_copy_is_dead_lettered_alone() {
    let with_date = record_schema(
        r#"{"name":"id","type":"long"},{"name":"a","type":["null","long"]},{"name":"b","type":["null","string"]},
           {"name":"t","type":["null",{"type":"int","logicalType":"date"}]}"#,
    );
    let mut copying = Copying::of("copy_poison", Some(with_date)).await;
    let check = format!("ALTER TABLE {}.deals ADD CHECK (a <> -5)", copying.lab.name);
    copying.lab.client.batch_execute(&check).await.unwrap();
    let mut dead_letters = Vec::new();
    // Refused by the server while it reads the rows, by a check, and by the sink after the first part was sent.
    let spoilt: [(usize, Value, ErrorType); 3] = [
        (2, Value::String("nul \0".into()), ErrorType::Constraint),
        (1, Value::Long(-5), ErrorType::Constraint),
        (3, Value::Date(i32::MIN + 1), ErrorType::Mapping),
    ];
    for (field, value, error_type) in spoilt {
        for rows in [300, 3_000] {
            copying.warm_up().await;
            let (mut batch, tried, before) = (copying.new_rows(rows), copying.tries().await, copying.by_copy().await);
            let (last, middle) = (batch.records.len() - 1, batch.records.len() / 2);
            for at in [middle, last] {
                dead_letters.push(Copying::spoil(&mut batch, at, field, value.clone()));
            }
            let applied = copying.stores(&batch).await;
            assert_eq!(applied.dead_letters().collect::<Vec<_>>(), [(error_type, 2)]);
            assert_eq!(applied.inserted, rows.unsigned_abs() - 2);
            assert_eq!(copying.by_copy().await, before, "a COPY that is refused stores nothing");
            let is_sent = field != 3 || rows > 1_250;
            assert_eq!(copying.tries().await > tried, is_sent, "COPY was tried with field {field} in {rows} rows");
            copying.is_right(&dead_letters).await;
        }
    }
}
