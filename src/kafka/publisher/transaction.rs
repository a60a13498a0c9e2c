//! A transactional producer on a thread of its own, since its calls block.
//!
//! librdkafka does not raise the producer epoch with each transaction, so a delayed request of one transaction may hit
//! the next. A producer is therefore *spent*, and used for no further transaction, after an abort, an unknown outcome,
//! an error of the connection since the transaction began, or a slow commit. A fresh producer with the same
//! `transactional.id` fences the spent one and settles its transaction.

use std::{
    sync::{Arc, mpsc},
    time::{Duration, Instant},
};

use rdkafka::{
    error::{KafkaError, RDKafkaErrorCode as Code},
    message::OwnedHeaders,
    producer::{BaseProducer, BaseRecord, Producer as _, PurgeConfig},
};
use tokio::sync::oneshot;
use towpath_api::{Error, ErrorType, Reaction, Result};

use super::{
    deliveries::Deliveries,
    metrics::ConnectorSeries,
    producer::{explain, label, set_defaults},
    watchdog::{Progress, WATCHDOG},
};
use crate::kafka::{
    client::{KafkaSettings, code, refused_settings, unavailable},
    codes,
};

/// The maximum time for which librdkafka retries a record. Shorter than the transaction timeout, so that the outcome of
/// each record is known before the broker ends the transaction.
const MESSAGE_TIMEOUT: Duration = Duration::from_secs(20);
/// After this time the broker aborts the transaction of a dead producer.
const TRANSACTION_TIMEOUT: Duration = Duration::from_secs(40);
const INIT_TIMEOUT: Duration = Duration::from_secs(30);
/// Between two attempts while the coordinator ends the transaction of an older producer.
const SETTLING: Duration = Duration::from_millis(20);
const COMMIT_TIMEOUT: Duration = Duration::from_secs(30);
const ABORT_TIMEOUT: Duration = Duration::from_secs(10);
/// The maximum time for which records may stay unanswered beyond their timeout.
const DRAIN_SLACK: Duration = Duration::from_secs(5);
/// `BaseProducer::poll` always takes this long, so a long poll would delay every commit.
const POLL: Duration = Duration::from_millis(1);
/// Between two polls while no transaction is open.
const IDLE: Duration = Duration::from_secs(1);
/// The default of `socket.timeout.ms` in librdkafka.
const SOCKET_TIMEOUT: Duration = Duration::from_mins(1);

/// A record of a transaction.
pub(super) struct Record {
    pub(super) topic: Arc<str>,
    /// `None` lets the key decide.
    pub(super) partition: Option<i32>,
    pub(super) key: Vec<u8>,
    pub(super) value: Option<Vec<u8>>,
    pub(super) headers: Option<OwnedHeaders>,
}

/// The end of one transaction.
pub(super) struct Ended {
    /// Partition and offset of each record, in their order.
    pub(super) result: Result<Vec<(i32, i64)>>,
    /// False if the producer is spent.
    pub(super) reusable: bool,
}

impl Ended {
    fn spent(error: Error) -> Self {
        Self { result: Err(error), reusable: false }
    }
}

/// The handle to the thread of one transactional producer. The thread ends after the handle was dropped.
pub(super) struct Transactions {
    task: String,
    requests: mpsc::Sender<Request>,
    progress: Arc<Progress>,
}

struct Request {
    records: Vec<Record>,
    reply: oneshot::Sender<Ended>,
}

impl Transactions {
    /// Creates a producer and initializes it: this fences every older producer of `transactional_id`, and settles its
    /// transaction.
    ///
    /// # Errors
    /// Retry while no broker answers. Fatal when librdkafka or the broker refuses a setting, and
    /// [`codes::NO_PROGRESS`].
    pub(super) async fn open(
        kafka: &KafkaSettings,
        task: &str,
        transactional_id: &str,
        series: Arc<ConnectorSeries>,
    ) -> Result<Self> {
        let mut settings = kafka.client(&format!("{task}-journal"));
        set_defaults(&mut settings);
        settings
            .set("transactional.id", transactional_id)
            .set("enable.idempotence", "true")
            .set("message.timeout.ms", MESSAGE_TIMEOUT.as_millis().to_string())
            .set("transaction.timeout.ms", TRANSACTION_TIMEOUT.as_millis().to_string());
        let socket_timeout = settings.get("socket.timeout.ms").and_then(|millis| millis.parse().ok());
        let socket_timeout = socket_timeout.map_or(SOCKET_TIMEOUT, Duration::from_millis);
        let producer = settings.create_with_context(Deliveries::default()).map_err(refused_settings)?;
        let progress = Arc::new(Progress::default());
        let lane = Lane {
            task: task.to_owned(),
            producer,
            slow_commit: socket_timeout / 2,
            progress: Arc::clone(&progress),
            series,
        };
        let (requests, received) = mpsc::channel();
        let (ready, initialized) = oneshot::channel();
        let doing = format!("initialize the transactions of task {task}");
        std::thread::Builder::new()
            .name(format!("journal {task}"))
            .spawn(move || {
                let initialized = lane.init();
                let usable = initialized.is_ok();
                if ready.send(initialized).is_ok() && usable {
                    lane.serve(&received);
                }
            })
            .map_err(|error| Error::retry(codes::UNAVAILABLE, ErrorType::Internal, doing.as_str()).because(error))?;
        progress.watch(initialized, &doing, WATCHDOG).await??;
        Ok(Self { task: task.to_owned(), requests, progress })
    }

    /// Writes `records` in one transaction and commits it.
    ///
    /// # Cancel safety
    /// Not safe: the outcome stays unknown, so the producer is spent.
    pub(super) async fn commit(&self, records: Vec<Record>) -> Ended {
        let doing = format!("publish {} records of task {} in a transaction", records.len(), self.task);
        let (reply, ended) = oneshot::channel();
        self.progress.made();
        // Fails only if the thread is gone; the reply says so.
        let _ = self.requests.send(Request { records, reply });
        self.progress.watch(ended, &doing, WATCHDOG).await.unwrap_or_else(Ended::spent)
    }
}

/// The thread of one transactional producer.
struct Lane {
    task: String,
    producer: BaseProducer<Deliveries>,
    slow_commit: Duration,
    progress: Arc<Progress>,
    series: Arc<ConnectorSeries>,
}

impl Lane {
    fn init(&self) -> Result<()> {
        let doing = format!("initialize the transactions of task {}", self.task);
        let deadline = Instant::now() + INIT_TIMEOUT;
        let initialized = loop {
            match self.producer.init_transactions(deadline.saturating_duration_since(Instant::now())) {
                Err(error) if is_settling(&error) && Instant::now() < deadline => std::thread::sleep(SETTLING),
                ended => break ended,
            }
        };
        self.progress.made();
        initialized.map_err(|error| {
            self.series.error(&label(&error));
            match code(&error) {
                Some(Code::InvalidTransactionTimeout) => Error::fatal(codes::CONFIG, ErrorType::Config, doing)
                    .because(error)
                    .with_help("set the broker's `transaction.max.timeout.ms` to 40000 or more"),
                _ => unavailable(doing, error),
            }
        })
    }

    /// Serves requests until the producer is spent or the handle is gone.
    fn serve(&self, requests: &mpsc::Receiver<Request>) {
        loop {
            match requests.recv_timeout(IDLE) {
                Ok(Request { records, reply }) => {
                    let started = Instant::now();
                    let mut ended = self.transaction(&records);
                    if started.elapsed() >= TRANSACTION_TIMEOUT {
                        ended.result = ended.result.map_err(|error| self.timed_out(error));
                    }
                    let reusable = ended.reusable;
                    let _ = reply.send(ended);
                    if !reusable {
                        return;
                    }
                }
                // Serves events of the client, so that those of an idle hour do not count against a transaction.
                Err(mpsc::RecvTimeoutError::Timeout) => self.producer.poll(Duration::ZERO),
                Err(mpsc::RecvTimeoutError::Disconnected) => return,
            }
        }
    }

    fn transaction(&self, records: &[Record]) -> Ended {
        self.producer.poll(POLL);
        self.deliveries().begin(records.len());
        self.progress.made();
        if let Err(error) = self.producer.begin_transaction() {
            return Ended::spent(self.failed("begin", error));
        }
        if let Err(error) = self.produce(records).and_then(|()| self.drain(records)) {
            return self.abort(error);
        }
        let begun = Instant::now();
        // Nothing is in flight: with records in flight, this call would poll in steps of 100 ms.
        let committed = self.producer.commit_transaction(COMMIT_TIMEOUT);
        self.progress.made();
        match committed {
            Ok(()) => {
                let reusable = begun.elapsed() < self.slow_commit && !self.deliveries().is_troubled();
                if !reusable {
                    tracing::warn!(
                        task = self.task,
                        "the transaction is committed; the producer is renewed because the broker was slow or away"
                    );
                }
                Ended { result: Ok(self.deliveries().places()), reusable }
            }
            Err(error @ KafkaError::Transaction(_)) if requires_abort(&error) => {
                self.abort(self.failed("commit", error))
            }
            Err(error) => Ended::spent(self.failed("commit with an unknown outcome", error)),
        }
    }

    fn produce(&self, records: &[Record]) -> Result<()> {
        let deadline = Instant::now() + MESSAGE_TIMEOUT;
        for (slot, record) in records.iter().enumerate() {
            let mut headers = record.headers.clone();
            loop {
                let outgoing = BaseRecord::<[u8], [u8], usize> {
                    topic: &record.topic,
                    partition: record.partition,
                    payload: record.value.as_deref(),
                    key: Some(&record.key),
                    timestamp: None,
                    headers: headers.take(),
                    delivery_opaque: slot,
                };
                match self.producer.send(outgoing) {
                    Ok(()) => break,
                    // A transaction may be larger than the queue.
                    Err((KafkaError::MessageProduction(Code::QueueFull), refused)) if Instant::now() < deadline => {
                        headers = refused.headers;
                        self.poll();
                    }
                    Err((error, _)) => {
                        self.deliveries().drop_from(slot);
                        self.producer.purge(PurgeConfig::default().queue());
                        let error = self.refused(record, error);
                        let _ = self.drain(records);
                        return Err(error);
                    }
                }
            }
        }
        Ok(())
    }

    /// Waits until every record is answered. After the first failure the records that are still queued are dropped;
    /// those in flight are awaited.
    fn drain(&self, records: &[Record]) -> Result<()> {
        let deadline = Instant::now() + MESSAGE_TIMEOUT + DRAIN_SLACK;
        let mut purged = false;
        loop {
            self.poll();
            if !purged && self.deliveries().first_failure().is_some() {
                self.producer.purge(PurgeConfig::default().queue());
                purged = true;
            }
            if self.deliveries().is_complete() {
                break;
            }
            if Instant::now() > deadline {
                self.producer.purge(PurgeConfig::default().queue().inflight());
                self.producer.poll(POLL);
                break;
            }
        }
        match self.deliveries().first_failure() {
            None if self.deliveries().is_complete() => Ok(()),
            None => Err(self.failed("await", KafkaError::MessageProduction(Code::MessageTimedOut))),
            Some((slot, error)) => Err(self.refused(&records[slot], error)),
        }
    }

    /// Polls, and notes progress if a record was answered.
    fn poll(&self) {
        let before = self.deliveries().answered();
        self.producer.poll(POLL);
        if self.deliveries().answered() > before {
            self.progress.made();
        }
    }

    /// Aborts, so that readers need not wait until the transaction times out.
    fn abort(&self, error: Error) -> Ended {
        if let Err(error) = self.producer.abort_transaction(ABORT_TIMEOUT) {
            tracing::debug!(task = self.task, %error, "the next producer aborts the transaction");
        }
        self.progress.made();
        Ended::spent(error)
    }

    fn refused(&self, record: &Record, error: KafkaError) -> Error {
        self.series.error(&label(&error));
        match code(&error) {
            _ if self.is_fenced(&error) => self.fenced(error),
            Some(Code::MessageSizeTooLarge | Code::MessageBatchTooLarge) => {
                let doing = format!(
                    "publish to topic `{}`: each record is small enough, but the broker refuses a batch of them. \
                     Nothing of the call was published",
                    record.topic
                );
                Error::fatal(codes::RECORD_TOO_LARGE, ErrorType::TooLarge, doing)
                    .because(error)
                    .with_help("raise `max.message.bytes` of the topic, or set `kafka.batch.size` below it")
            }
            _ => explain(&record.topic, error),
        }
    }

    fn failed(&self, step: &str, error: KafkaError) -> Error {
        self.series.error(&label(&error));
        if self.is_fenced(&error) {
            return self.fenced(error);
        }
        unavailable(format!("{step} a transaction of task {}; events and position stay together", self.task), error)
    }

    fn fenced(&self, error: KafkaError) -> Error {
        let doing = format!(
            "publish for task {}: another instance of the task has taken over, or the broker has timed out the \
             transaction. Nothing of the call was published",
            self.task
        );
        Error::fenced(codes::FENCED, doing).because(error)
    }

    /// After the transaction timeout the broker itself has fenced the producer, for example because the process was
    /// frozen. Nobody has taken over then, so a fresh journal may go on; if somebody has, its fence is newer.
    fn timed_out(&self, error: Error) -> Error {
        if error.reaction != Reaction::Fenced {
            return error;
        }
        let doing = format!(
            "publish for task {}: the broker has ended the transaction after {TRANSACTION_TIMEOUT:?}; nothing of the \
             call was published",
            self.task
        );
        Error::retry(codes::TIMEOUT, ErrorType::Timeout, doing).because(error)
    }

    /// Records of a fenced producer may fail with another code; the fatal error of the client says why.
    fn is_fenced(&self, error: &KafkaError) -> bool {
        let fenced = |code| matches!(code, Code::Fenced | Code::ProducerFenced | Code::InvalidProducerEpoch);
        code(error).is_some_and(fenced) || self.producer.client().fatal_error().is_some_and(|(code, _)| fenced(code))
    }

    fn deliveries(&self) -> &Deliveries {
        self.producer.context()
    }
}

/// Returns true while the coordinator still ends the transaction of an older producer.
fn is_settling(error: &KafkaError) -> bool {
    matches!(error, KafkaError::Transaction(error)
        if error.is_retriable() || error.code() == Code::ConcurrentTransactions)
}

fn requires_abort(error: &KafkaError) -> bool {
    matches!(error, KafkaError::Transaction(error) if error.txn_requires_abort())
}
