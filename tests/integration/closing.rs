//! Two topics of tens of thousands of records, one in the format of Debezium's Postgres connector and one of our own.
//! Two workers with one name read them at once; both are killed again and again, behind a network that cuts
//! connections. Then the topics are replayed from the start in the same way. The tables must equal the model, and
//! nothing may have been applied twice.

mod debezium;
mod model;
mod ours;

use std::{
    sync::{
        Arc,
        atomic::{AtomicU64, Ordering},
    },
    time::{Duration, Instant},
};

use rand::{Rng as _, SeedableRng as _, rngs::StdRng};
use tokio_postgres::Client;

use self::{
    debezium::{KEY, Orders, envelope},
    model::Model,
    ours::Deals,
};
use crate::{
    proxy::{Fault, Moment, Proxy, Way},
    stack::{PATIENCE, database, rows, rows_become, seed, shared},
    types::foreign::Topic,
    worker::Worker,
};

/// Partitions of each topic.
const PARTITIONS: i32 = debezium::PARTITIONS;

/// Two workers with one name, and their topics and tables.
struct Pair {
    name: String,
    workers: [Worker; 2],
    proxy: Proxy,
    database: Client,
    random: StdRng,
    /// The expected claims of `sink_partition`, in order.
    ends: Vec<String>,
    kills: usize,
}

impl Pair {
    fn steps(&self, what: &str) -> String {
        format!("SELECT {what} FROM towpath.sink_partition WHERE sink = 'pg-{}'", self.name)
    }

    async fn has_read_all(&self) -> bool {
        let ends = self.steps("topic || ':' || partition || ':' || next_offset") + " ORDER BY topic, partition";
        rows(&self.database, &ends).await == self.ends
    }

    /// Kills one worker within its first COPY, and lets the other run until both tables have rows from COPY.
    async fn copies_rows(&mut self) {
        if cfg!(feature = "failpoints") {
            self.workers[0].failpoints("mid_copy=1*return(kill)");
            self.workers[0].spawn();
            self.workers[0].ended().await;
            assert!(self.workers[0].log().contains("failpoint mid_copy: kill"));
            self.workers[0].failpoints("");
        }
        self.workers[1].spawn();
        let copied = format!("SELECT DISTINCT topic FROM {}.copy_log WHERE rows >= 250 ORDER BY 1", self.name);
        rows_become(&self.database, &copied, &["deals", "orders"]).await;
        self.workers[1].kill();
    }

    /// Starts both, then kills workers and cuts connections until everything is read.
    async fn reads_everything_under_kills(&mut self) {
        self.workers.iter_mut().for_each(Worker::spawn);
        while !self.has_read_all().await {
            let victim = self.random.random_range(0..2);
            for _ in 0..self.random.random_range(1..6) {
                self.go_on().await;
            }
            if self.random.random_bool(0.5) {
                self.cut_somewhere().await;
            }
            // At an arbitrary step of the worker.
            let moment = Duration::from_millis(self.random.random_range(0..150));
            tokio::time::timeout(moment, std::future::pending::<()>()).await.unwrap_err();
            // A worker does not reclaim the other's partitions by itself: an operator starts it again.
            let failpoints = if self.random.random_bool(0.4) { "mid_copy=1*return(kill)" } else { "" };
            self.workers[victim].kill();
            self.workers[victim].failpoints(failpoints);
            self.workers[victim].spawn();
            self.kills += 1;
        }
        self.workers.iter_mut().for_each(Worker::kill);
    }

    /// Waits until a batch is stored, or until no worker can store one: each was killed or fenced.
    async fn go_on(&mut self) {
        let before = rows(&self.database, &self.steps("sum(next_offset)")).await;
        let (begun, mut tick) = (Instant::now(), tokio::time::interval(Duration::from_millis(10)));
        while rows(&self.database, &self.steps("sum(next_offset)")).await == before && !self.stands_still().await {
            assert!(
                begun.elapsed() < PATIENCE,
                "the workers make progress:\n{}\n--- the other\n{}",
                self.workers[0].log(),
                self.workers[1].log()
            );
            tick.tick().await;
        }
    }

    /// Returns true if nothing will be stored until a worker is started again.
    async fn stands_still(&mut self) -> bool {
        for worker in &mut self.workers {
            // Only a running worker is asked for its state.
            if worker.is_alive() && !worker.has_lost_a_partition().await {
                return self.has_read_all().await;
            }
        }
        true
    }

    /// Ends every connection within a message, after at most as many bytes as a batch may have.
    async fn cut_somewhere(&mut self) {
        let way = if self.random.random_bool(0.7) { Way::ToServer } else { Way::ToClient };
        let bytes = self.random.random_range(1..if way == Way::ToServer { 400_000 } else { 2_000 });
        self.proxy.cut_after(way, bytes);
        let mut tick = tokio::time::interval(Duration::from_millis(10));
        while self.proxy.passed(way) <= bytes && !self.stands_still().await {
            tick.tick().await;
        }
        self.proxy.pass_all();
    }

    /// Creates the logs that the database keeps: each record that became a row, each row that went back, each step of
    /// an offset, each COPY.
    async fn write_down(&self) {
        let name = &self.name;
        let mut sql = format!(
            "CREATE TABLE {name}.row_log (topic text, partition int, \"offset\" bigint);
             CREATE TABLE {name}.back_log (topic text, id bigint, was bigint, becomes bigint);
             CREATE TABLE {name}.copy_log (topic text, rows bigint);
             CREATE TABLE {name}.step_log (topic text, partition int, was bigint, becomes bigint);
             CREATE FUNCTION {name}.log_row() RETURNS trigger LANGUAGE plpgsql AS $$ BEGIN
                 INSERT INTO {name}.row_log VALUES (TG_TABLE_NAME, NEW._towpath_partition, NEW._towpath_offset);
                 RETURN NULL; END $$;
             CREATE FUNCTION {name}.log_back() RETURNS trigger LANGUAGE plpgsql AS $$ BEGIN
                 INSERT INTO {name}.back_log VALUES (TG_TABLE_NAME, NEW.id, OLD._towpath_offset, NEW._towpath_offset);
                 RETURN NULL; END $$;
             CREATE FUNCTION {name}.log_copy() RETURNS trigger LANGUAGE plpgsql AS $$ BEGIN
                 IF current_query() LIKE 'COPY%' THEN INSERT INTO {name}.copy_log
                     SELECT TG_TABLE_NAME, count(*) FROM added; END IF;
                 RETURN NULL; END $$;
             CREATE FUNCTION {name}.log_step() RETURNS trigger LANGUAGE plpgsql AS $$ BEGIN
                 INSERT INTO {name}.step_log VALUES (NEW.topic, NEW.partition, OLD.next_offset, NEW.next_offset);
                 RETURN NULL; END $$;
             CREATE TRIGGER log_step_{name} AFTER UPDATE OF next_offset ON towpath.sink_partition FOR EACH ROW
                 WHEN (NEW.sink = 'pg-{name}') EXECUTE FUNCTION {name}.log_step();"
        );
        for table in ["orders", "deals"] {
            sql += &format!(
                "CREATE TRIGGER log_row AFTER INSERT OR UPDATE ON {name}.{table} FOR EACH ROW
                 EXECUTE FUNCTION {name}.log_row();
                 CREATE TRIGGER log_copy AFTER INSERT ON {name}.{table} REFERENCING NEW TABLE AS added
                     FOR EACH STATEMENT EXECUTE FUNCTION {name}.log_copy();
                 CREATE TRIGGER log_back AFTER UPDATE ON {name}.{table} FOR EACH ROW
                     WHEN ((NEW._towpath_ts, NEW._towpath_seq) < (OLD._towpath_ts, OLD._towpath_seq) OR
                     NEW._towpath_offset <= OLD._towpath_offset)
                     EXECUTE FUNCTION {name}.log_back();"
            );
        }
        self.database.batch_execute(&sql).await.unwrap();
    }

    /// Asserts that nothing was applied twice, went back, was left out or was dead-lettered.
    async fn went_forward_only(&self) {
        let name = &self.name;
        let ask = async |sql: String| rows(&self.database, &sql).await;
        let twice = format!(
            "SELECT topic, partition, \"offset\" FROM {name}.row_log GROUP BY 1, 2, 3 HAVING count(*) > 1 LIMIT 5"
        );
        assert_eq!(ask(twice).await, [""; 0], "no record became a row twice");
        assert_eq!(ask(format!("SELECT * FROM {name}.back_log LIMIT 5")).await, [""; 0], "no row went back in time");
        let steps = format!(
            "SELECT topic, partition, was, becomes FROM (SELECT *, lag(becomes, 1, first)
                 OVER (PARTITION BY topic, partition ORDER BY was, becomes) AS before
             FROM (SELECT *, min(was) OVER (PARTITION BY topic, partition) AS first FROM {name}.step_log) AS f) AS s
             WHERE becomes <= was OR before <> was LIMIT 5"
        );
        assert_eq!(ask(steps).await, [""; 0], "the applied ranges adjoin and do not overlap");
        let letters = format!(
            "SELECT topic, \"offset\", error_code, error_text FROM towpath.dead_letter WHERE sink = 'pg-{name}' LIMIT 5"
        );
        assert_eq!(ask(letters).await, [""; 0], "no record was dead-lettered");
    }

    async fn equals(&self, table: &str, columns: &str, model: &Model) {
        let name = &self.name;
        let state = format!(
            "SELECT id, {columns}, _towpath_deleted, _towpath_partition, _towpath_offset FROM {name}.{table}
             ORDER BY id"
        );
        same(table, &rows(&self.database, &state).await, &model.table());
        let history = format!(
            "SELECT __connect_partition, __connect_offset, id, _towpath_op, {columns} FROM {name}.{table}_history
             ORDER BY 1, 2"
        );
        same("history", &rows(&self.database, &history).await, &model.history());
    }
}

/// Compares long lists and shows the first difference.
fn same(what: &str, found: &[String], expected: &[String]) {
    let parts = found.iter().zip(expected).position(|(found, expected)| found != expected);
    let at = parts.unwrap_or(found.len().min(expected.len()));
    let near = |lines: &[String]| lines[at.min(lines.len())..lines.len().min(at + 3)].to_vec();
    assert!(
        found == expected,
        "{what}, line {at} of {}:\n{:#?}\nshould be\n{:#?}",
        expected.len(),
        near(found),
        near(expected)
    );
}

#[tokio::test(flavor = "multi_thread", worker_threads = 2)]
async fn topics_of_debezium_and_ours_equal_the_model_under_kills_and_cuts() {
    let _stack = shared().await;
    let begun = Instant::now();
    let seed = seed("the closing test");
    let proxy = Proxy::start().await;
    let keys = "history.enabled = true\ntasks.max = 2\nerrors.retry.delay.max.ms = 20\nbatch.max.bytes = \"8MiB\"\n";
    let first = Worker::new("closing").sink_at(&proxy.url(), keys);
    let name = first.name.clone();
    // Full batches in one topic, several batches between two faults in the other.
    let second = Worker::named(name.clone()).sink_at(&proxy.url(), &format!("{keys}batch.max.rows = 1000\n"));

    // The first records create the tables, so that the logging triggers can be created.
    let (mut orders, mut deals) = (Orders::new(seed), Deals::new(&name, PARTITIONS, seed));
    let topic = Topic::with_partitions(&format!("{name}.orders"), PARTITIONS).await.avro(KEY, &envelope(false)).await;
    topic.send_all(orders.snapshot(1)).await;
    deals.fill(0..1).await;
    let database = database().await;
    let mut first = first.start().await;
    for table in ["orders", "deals"] {
        rows_become(&database, &format!("SELECT count(*) FROM {name}.{table}_history"), &["1"]).await;
    }
    first.kill();
    let random = StdRng::seed_from_u64(seed);
    let mut pair =
        Pair { name: name.clone(), workers: [first, second], proxy, database, random, ends: Vec::new(), kills: 0 };
    pair.write_down().await;

    // Snapshots, then changes, with a new column in the middle.
    topic.send_all(orders.snapshot(40_000)).await;
    topic.send_all(orders.changes(5_000)).await;
    orders.has_stage = true;
    let topic = topic.avro(KEY, &envelope(true)).await;
    topic.send_all(orders.changes(6_000)).await;
    deals.fill(1..30_000).await;
    deals.change(12_000).await;
    assert!(deals.model.stale > 100, "some records were late");
    for (table, model) in [("deals", &deals.model), ("orders", &orders.model)] {
        let ends = model.ends();
        assert_eq!(ends.len(), 2);
        pair.ends.extend(ends.iter().map(|(partition, end)| format!("{name}.{table}:{partition}:{end}")));
    }
    println!("{} records written after {:?}", orders.model.records() + deals.model.records(), begun.elapsed());

    pair.copies_rows().await;
    let cuts = Arc::new(AtomicU64::new(0));
    let (count, mut random) = (Arc::clone(&cuts), StdRng::seed_from_u64(seed));
    pair.proxy.script(move |moment, is_batch| match random.random_range(0..20) {
        0 => {
            count.fetch_add(u64::from(is_batch && moment != Moment::AtClient), Ordering::SeqCst);
            Fault::Cut
        }
        _ => Fault::Nothing,
    });
    let mut stamps = Vec::new();
    for round in ["once", "again"] {
        pair.reads_everything_under_kills().await;
        println!("read {round} after {:?}, {} kills", begun.elapsed(), pair.kills);
        pair.went_forward_only().await;
        pair.equals("orders", "title, amount, (extract(epoch FROM at) * 1000000)::bigint, body, stage", &orders.model)
            .await;
        pair.equals("deals", "title, amount, won", &deals.model).await;
        // A replay changes no row, not even the transaction that wrote it.
        let of = |table: &str| format!("SELECT '{table}', id, xmin::text FROM {name}.{table}");
        let now = rows(&pair.database, &format!("{} UNION ALL {} ORDER BY 1, 2", of("deals"), of("orders"))).await;
        if round == "again" {
            same("transactions", &now, &stamps);
        }
        stamps = now;
        let rewind = format!(
            "TRUNCATE {name}.step_log; ALTER TABLE towpath.sink_partition DISABLE TRIGGER log_step_{name};
             UPDATE towpath.sink_partition SET next_offset = 0 WHERE sink = 'pg-{name}';
             ALTER TABLE towpath.sink_partition ENABLE TRIGGER log_step_{name}"
        );
        pair.database.batch_execute(&rewind).await.unwrap();
    }
    // The intended faults have happened.
    let copies =
        rows(&pair.database, &format!("SELECT topic, count(*), max(rows) FROM {name}.copy_log GROUP BY 1 ORDER BY 1"))
            .await;
    println!("by COPY: {copies:?}; {} commits cut", cuts.load(Ordering::SeqCst));
    let sizes = |table: &str| format!("SELECT count(*) AS n FROM {name}.{table}_history GROUP BY xmin");
    let largest = format!("SELECT max(n) FROM ({} UNION ALL {}) AS b", sizes("orders"), sizes("deals"));
    assert_eq!(rows(&pair.database, &largest).await, ["5000"], "there were full batches");
    assert!(pair.kills >= 6, "{} kills", pair.kills);
    assert!(cuts.load(Ordering::SeqCst) > 0, "commits were cut");
    pair.database.batch_execute(&format!("DROP TRIGGER log_step_{name} ON towpath.sink_partition")).await.unwrap();
}
