//! Connections that end at the worst moment: around a COMMIT, and at any byte of a transaction. Each batch must be
//! stored exactly once, whatever answer the worker got.

use std::{
    collections::{BTreeMap, BTreeSet},
    sync::{
        Arc,
        atomic::{AtomicU64, Ordering},
    },
    time::Duration,
};

use rand::{Rng as _, SeedableRng as _, rngs::StdRng};
use tokio_postgres::Client;
use towpath_api::{ApplyError, Batch, Claim, OpenSink as _, Reaction, Record, RecordOp, Sink as _};
use towpath_postgres::{OpenPostgresSink, PostgresSink};

use crate::{
    crash::{Load, all_is_right, watch},
    laboratory::{Laboratory, beginning, claim, id_of},
    proxy::{Fault, Moment, Proxy, Way},
    stack::{database, eventually, rows, seed, shared},
    worker::Worker,
};

/// Ambiguous commits of the sink called directly; a real worker adds [`OF_A_WORKER`].
const AMBIGUOUS: usize = 160;
const OF_A_WORKER: u64 = 50;

/// One partition that is fed through a proxy. As in the worker, the sink is opened and claimed again after each error.
struct Feed {
    lab: Laboratory,
    proxy: Proxy,
    opener: OpenPostgresSink,
    sink: PostgresSink,
    claim: Claim,
    random: StdRng,
    /// The expected table: `a` by id, and the offset that wrote it.
    rows: BTreeMap<i64, (i64, i64)>,
    letters: BTreeSet<i64>,
}

impl Feed {
    async fn start(theme: &str, seed: u64) -> Self {
        let (lab, proxy) = (Laboratory::new(theme).await, Proxy::start().await);
        let opener = lab.opener_at(&proxy.url(), "test", &[]);
        let mut sink = opener.open().await.unwrap();
        let claim = claim(&mut sink, &lab.partition(0)).await;
        let random = StdRng::seed_from_u64(seed);
        let mut feed =
            Self { lab, proxy, opener, sink, claim, random, rows: BTreeMap::new(), letters: BTreeSet::new() };
        // Creates the table, and the triggers that log each step.
        let first = feed.batch(false);
        feed.sink.apply(&feed.claim, &first).await.unwrap();
        feed.take(&first);
        feed.write_down().await;
        feed
    }

    /// An append-only log: each attempt to write a row, even one that changes nothing, and each step of the offset.
    async fn write_down(&self) {
        let name = &self.lab.name;
        let sql = format!(
            "CREATE TABLE {name}.row_log (\"offset\" bigint);
             CREATE FUNCTION {name}.log_row() RETURNS trigger LANGUAGE plpgsql AS $$ BEGIN
                 INSERT INTO {name}.row_log VALUES (NEW._towpath_offset); RETURN NEW; END $$;
             CREATE TRIGGER log_row BEFORE INSERT ON {name}.deals FOR EACH ROW
             EXECUTE FUNCTION {name}.log_row();
             CREATE TABLE {name}.step_log (was bigint, becomes bigint);
             CREATE FUNCTION {name}.log_step() RETURNS trigger LANGUAGE plpgsql AS $$ BEGIN
                 INSERT INTO {name}.step_log VALUES (OLD.next_offset, NEW.next_offset); RETURN NULL; END $$;
             CREATE TRIGGER log_step_{name} AFTER UPDATE OF next_offset ON towpath.sink_partition FOR EACH ROW
                 WHEN (NEW.sink = '{name}') EXECUTE FUNCTION {name}.log_step();
             INSERT INTO {name}.step_log SELECT -1, next_offset FROM towpath.sink_partition WHERE sink = '{name}'"
        );
        self.lab.client.batch_execute(&sql).await.unwrap();
    }

    /// The next records: inserts, updates, deletes, a repeated key, and sometimes a dead letter.
    fn batch(&mut self, with_poison: bool) -> Batch {
        let from = self.claim.next_offset;
        let mut records: Vec<Record> = (from..from + self.random.random_range(2..6))
            .map(|offset| self.lab.whole(offset, self.random.random_range(0..20), offset))
            .collect();
        if with_poison {
            let offset = from + i64::try_from(records.len()).unwrap();
            records.push(self.lab.change(offset, 100 + offset, RecordOp::Create, Some((1, "nul \0")), None, None));
        }
        self.lab.batch(from, records)
    }

    /// Records in the model that a batch is stored.
    fn take(&mut self, batch: &Batch) {
        for record in &batch.records {
            let id = id_of(record);
            if id >= 100 {
                self.letters.insert(record.offset);
            } else {
                self.rows.insert(id, (record.offset, record.offset));
            }
        }
        self.claim.next_offset = batch.to;
    }

    /// Claims over a new connection; returns whether the batch turned out to be stored.
    async fn settle(&mut self, batch: &Batch) -> bool {
        self.sink = self.opener.open().await.unwrap();
        let next = self.sink.claim(&self.lab.partition(0), &beginning(), Some(&self.claim)).await.unwrap();
        let stored = next.next_offset == batch.to;
        assert!(
            stored || next.next_offset == batch.from,
            "{} is neither {} nor {}",
            next.next_offset,
            batch.from,
            batch.to
        );
        self.claim = next;
        stored
    }

    /// Asserts that the table, the dead letters, the offset and the log of steps equal the model.
    async fn is_right(&self) {
        let name = &self.lab.name;
        let expected: Vec<String> =
            self.rows.iter().map(|(id, (a, offset))| format!("{id}|{a}|x|f|{offset}")).collect();
        assert_eq!(self.lab.table().await, expected);
        let letters = format!("SELECT \"offset\" FROM towpath.dead_letter WHERE sink = '{name}' ORDER BY 1");
        let expected: Vec<String> = self.letters.iter().map(ToString::to_string).collect();
        assert_eq!(rows(&self.lab.client, &letters).await, expected);
        assert_eq!(self.lab.next_offset().await, [self.claim.next_offset.to_string()]);
        let twice = format!("SELECT \"offset\" FROM {name}.row_log GROUP BY 1 HAVING count(*) > 1");
        assert_eq!(rows(&self.lab.client, &twice).await, [""; 0], "no record was applied twice");
        let steps = format!(
            "SELECT was, becomes FROM (SELECT *, lag(becomes) OVER (ORDER BY was, becomes) AS before
             FROM {name}.step_log) AS s
             WHERE becomes <= was OR was >= 0 AND before IS DISTINCT FROM was"
        );
        assert_eq!(rows(&self.lab.client, &steps).await, [""; 0], "the ranges adjoin");
        self.lab
            .client
            .batch_execute(&format!("DROP TRIGGER log_step_{name} ON towpath.sink_partition"))
            .await
            .unwrap();
    }
}

#[tokio::test(flavor = "multi_thread", worker_threads = 2)]
async fn ambiguous_commits_lose_nothing_and_duplicate_nothing() {
    let mut feed = Feed::start("ambiguous", seed("ambiguous commits")).await;
    let mut outcomes = BTreeMap::new();
    for number in 0..AMBIGUOUS {
        let batch = feed.batch(number % 8 == 0);
        // All moments that leave the client without an answer.
        let moment = [Moment::BeforeServer, Moment::AtServer, Moment::BeforeClient][feed.random.random_range(0..3)];
        feed.proxy.next_commit(moment, Fault::Cut);
        let ApplyError { error, if_stored } = feed.sink.apply(&feed.claim, &batch).await.unwrap_err();
        assert_eq!((error.reaction, error.code), (Reaction::Retry, "postgres.commit_unknown"), "{}", error.chain());
        let if_stored = if_stored.expect("the outcome of the batch if it is stored");
        assert_eq!(if_stored.total(), u64::try_from(batch.records.len()).unwrap());
        let stored = feed.settle(&batch).await;
        assert_eq!(
            stored,
            moment != Moment::BeforeServer,
            "the outcome that the claim reports after a cut at {moment:?}"
        );
        *outcomes.entry((moment, stored)).or_insert(0) += 1;
        if !stored {
            assert_eq!(feed.sink.apply(&feed.claim, &batch).await.unwrap(), *if_stored);
        }
        feed.take(&batch);
    }
    println!("{outcomes:?}");
    feed.is_right().await;
}

#[tokio::test(flavor = "multi_thread", worker_threads = 2)]
async fn a_connection_cut_at_any_byte_of_a_transaction_loses_and_duplicates_nothing() {
    /// Cuts in each direction.
    const CUTS: u64 = 100;
    let mut feed = Feed::start("bytes", seed("cuts at any byte")).await;
    for way in [Way::ToServer, Way::ToClient] {
        // The bytes of a connection's first transaction, with all statements that it prepares.
        let batch = feed.batch(true);
        assert!(!feed.settle(&batch).await);
        feed.proxy.pass_all();
        feed.sink.apply(&feed.claim, &batch).await.unwrap();
        let bytes = feed.proxy.passed(way);
        feed.take(&batch);
        let stride = (bytes / CUTS).max(1);
        let (mut at, mut failed) = (feed.random.random_range(0..stride), 0);
        while at < bytes {
            let batch = feed.batch(true);
            assert!(!feed.settle(&batch).await);
            feed.proxy.cut_after(way, at);
            let applied = feed.sink.apply(&feed.claim, &batch).await;
            feed.proxy.pass_all();
            if let Err(error) = &applied {
                assert_eq!(error.error.reaction, Reaction::Retry, "{way:?} {at}: {}", error.error.chain());
                failed += 1;
                if feed.settle(&batch).await {
                    assert_eq!(error.error.code, "postgres.commit_unknown", "{way:?} {at}: {}", error.error.chain());
                } else {
                    feed.sink.apply(&feed.claim, &batch).await.unwrap();
                }
            }
            feed.take(&batch);
            at += stride;
        }
        println!("{way:?}: {bytes} bytes, a cut every {stride}, {failed} transactions failed");
        assert!(failed > 80, "the cuts hit transactions");
    }
    feed.is_right().await;
}

#[tokio::test(flavor = "multi_thread", worker_threads = 2)]
async fn a_stalled_commit_holds_the_next_claim_until_its_outcome_is_known() {
    let mut feed = Feed::start("stall", seed("a stalled commit")).await;
    let name = feed.lab.name.clone();
    let waits = format!(
        "SELECT count(*) FROM pg_stat_activity WHERE application_name = 'towpath/{name}' AND wait_event_type = 'Lock'"
    );
    let partition = feed.lab.partition(0);
    for moment in [Moment::BeforeServer, Moment::AtServer, Moment::BeforeClient] {
        let batch = feed.batch(false);
        let reached = Arc::new(AtomicU64::new(0));
        let tell = Arc::clone(&reached);
        feed.proxy.script(move |now, is_batch| {
            let hits = is_batch && now == moment && tell.fetch_add(1, Ordering::SeqCst) == 0;
            if hits { Fault::Stall } else { Fault::Nothing }
        });
        let mut other = feed.lab.opener_of("another", &[]).open().await.unwrap();
        let has_stalled = || async { (reached.load(Ordering::SeqCst) > 0).then_some(()) };
        let claim_meanwhile = async {
            eventually("the commit has stalled", has_stalled).await;
            let releases = async {
                if moment == Moment::BeforeServer {
                    // A transaction that may still commit, and does, has locked the row.
                    eventually("the claim waits", || async {
                        (rows(&feed.lab.client, &waits).await == ["1"]).then_some(())
                    })
                    .await;
                    feed.proxy.release();
                }
            };
            let start = beginning();
            let (claimed, ()) = tokio::join!(other.claim(&partition, &start, None), releases);
            // A transaction that the server has committed blocks no claim, even if its client does not know the
            // outcome.
            feed.proxy.release();
            claimed.unwrap()
        };
        let (applied, claimed) = tokio::join!(feed.sink.apply(&feed.claim, &batch), claim_meanwhile);
        applied.unwrap();
        assert_eq!(claimed.next_offset, batch.to, "{moment:?}: the claim has seen the end of the previous batch");
        let fenced = feed.sink.apply(&feed.claim, &batch).await.unwrap_err();
        assert_eq!(fenced.error.reaction, Reaction::Fenced, "{}", fenced.error.chain());
        feed.take(&batch);
        feed.claim = feed.sink.claim(&partition, &beginning(), None).await.unwrap();
    }
    feed.is_right().await;
}

#[tokio::test(flavor = "multi_thread", worker_threads = 2)]
async fn a_worker_whose_network_cuts_commits_loses_and_duplicates_nothing() {
    let _stack = shared().await;
    let seed = seed("a worker with ambiguous commits");
    let proxy = Proxy::start().await;
    let worker =
        Worker::new("proxied").webhook("").sink_at(&proxy.url(), "errors.retry.delay.max.ms = 20\n").start().await;
    let database: Client = database().await;
    watch(&database, &worker).await;
    let load = Load::start(&worker);
    let (unknown, mut random) = (Arc::new(AtomicU64::new(0)), StdRng::seed_from_u64(seed));
    let count = Arc::clone(&unknown);
    proxy.script(move |moment, is_batch| {
        if count.load(Ordering::SeqCst) >= OF_A_WORKER {
            return Fault::Nothing;
        }
        match random.random_range(0..12) {
            0 => {
                // Commits of claims are cut as well; only batches count.
                let leaves_open = is_batch && moment != Moment::AtClient;
                count.fetch_add(u64::from(leaves_open), Ordering::SeqCst);
                Fault::Cut
            }
            1 => Fault::Delay(Duration::from_millis(random.random_range(1..20))),
            _ => Fault::Nothing,
        }
    });
    eventually("the commits were cut", || async { (unknown.load(Ordering::SeqCst) >= OF_A_WORKER).then_some(()) })
        .await;
    load.more(50).await;
    let expected = load.end().await;
    all_is_right(&database, &worker, expected).await;
    // A batch whose commit was lost and then found is counted too: this process has read every record of the topic
    // once.
    let next = format!("SELECT sum(next_offset) FROM towpath.sink_partition WHERE topic = '{}.deals'", worker.name);
    let read = || worker.metric("towpath_sink_records_read_total", "deals\"");
    eventually("each record is counted once", || async {
        (read().await.to_string() == rows(&database, &next).await[0]).then_some(())
    })
    .await;
    let counted = worker.metric("towpath_sink_transactions_total", "outcome=\"unknown\"").await;
    assert_eq!(
        counted.to_string(),
        OF_A_WORKER.to_string(),
        "each cut that left a commit open is counted as such, and nothing else"
    );
}
