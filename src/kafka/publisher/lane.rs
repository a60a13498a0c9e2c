//! The thread of a transactional producer.

use std::{
    collections::HashMap,
    ops::Range,
    sync::{Arc, mpsc},
    time::{Duration, Instant},
};

use rdkafka::{
    error::{KafkaError, RDKafkaErrorCode as Code},
    producer::{BaseProducer, BaseRecord, Producer as _, PurgeConfig},
};
use towpath_api::{Error, ErrorType, Reaction, Result};

use super::{
    broker_limits::BrokerLimits,
    deliveries::Deliveries,
    metrics::ConnectorSeries,
    refusal::{explain, is_of_a_batch, is_size, label},
    request::{Ended, MESSAGE_TIMEOUT, Record, Request, TRANSACTION_TIMEOUT},
    watchdog::Progress,
};
use crate::kafka::{
    client::{code, unavailable},
    codes,
};

const INIT_TIMEOUT: Duration = Duration::from_secs(30);
/// Between two attempts while the coordinator ends the transaction of an older producer.
const SETTLING: Duration = Duration::from_millis(20);
const COMMIT_TIMEOUT: Duration = Duration::from_secs(30);
const ABORT_TIMEOUT: Duration = Duration::from_secs(10);
/// The maximum time for which records may stay unanswered beyond their timeout.
const DRAIN_SLACK: Duration = Duration::from_secs(5);
/// Between two looks for answers. `BaseProducer::poll` with a timeout always takes all of it, and spins for its last
/// millisecond, so it is only called without one.
const PAUSE: Duration = Duration::from_micros(200);
/// Events of the client that are served before a transaction: those of the time before do not count against it.
const EVENTS: u32 = 32;
/// Between two polls while no transaction is open.
const IDLE: Duration = Duration::from_secs(1);

/// The thread of one transactional producer.
pub(super) struct Lane {
    pub(super) task: String,
    pub(super) producer: BaseProducer<Deliveries>,
    /// A commit that takes longer leaves the producer spent.
    pub(super) slow_commit: Duration,
    pub(super) progress: Arc<Progress>,
    pub(super) limits: BrokerLimits,
    pub(super) series: Arc<ConnectorSeries>,
}

impl Lane {
    pub(super) fn init(&self) -> Result<()> {
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
    pub(super) fn serve(&self, requests: &mpsc::Receiver<Request>) {
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
        for _ in 0..EVENTS {
            self.producer.poll(Duration::ZERO);
        }
        self.deliveries().begin(records.len());
        self.progress.made();
        if let Err(error) = self.producer.begin_transaction() {
            return Ended::spent(self.failed("begin", error));
        }
        if let Err(error) = self.produce(records) {
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

    /// Sends the records and waits until each is answered.
    ///
    /// The broker refuses a batch that is larger than its topic allows, so no more than that is in the queue at once.
    fn produce(&self, records: &[Record]) -> Result<()> {
        let mut begun = 0;
        let mut queued = HashMap::<&str, usize>::new();
        for (slot, record) in records.iter().enumerate() {
            let limit = record.batch_limit.unwrap_or(usize::MAX).min(self.limits.batch());
            let bytes = queued.get(&*record.topic).copied().unwrap_or(0);
            if bytes > 0 && bytes.saturating_add(record.size()) > limit {
                self.drain(records, begun..slot)?;
                begun = slot;
                queued.clear();
            }
            *queued.entry(&record.topic).or_default() += record.size();
            if let Err(error) = self.queue(slot, record) {
                self.deliveries().drop_from(slot);
                self.producer.purge(PurgeConfig::default().queue());
                let error = self.refused(records, begun..slot, slot, error);
                let _ = self.drain(records, begun..slot);
                return Err(error);
            }
        }
        self.drain(records, begun..records.len())
    }

    fn queue(&self, slot: usize, record: &Record) -> Result<(), KafkaError> {
        let deadline = Instant::now() + MESSAGE_TIMEOUT;
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
                Ok(()) => return Ok(()),
                // A transaction may be larger than the queue.
                Err((KafkaError::MessageProduction(Code::QueueFull), refused)) if Instant::now() < deadline => {
                    headers = refused.headers;
                    self.poll();
                }
                Err((error, _)) => return Err(error),
            }
        }
    }

    /// Waits until every record up to the end of `sent` is answered. After the first failure the records that are still
    /// queued are dropped; those in flight are awaited.
    fn drain(&self, records: &[Record], sent: Range<usize>) -> Result<()> {
        let deadline = Instant::now() + MESSAGE_TIMEOUT + DRAIN_SLACK;
        let is_complete = || self.deliveries().is_complete(sent.end);
        let mut purged = false;
        loop {
            self.poll();
            if !purged && self.deliveries().first_failure().is_some() {
                self.producer.purge(PurgeConfig::default().queue());
                purged = true;
            }
            if is_complete() {
                break;
            }
            if Instant::now() > deadline {
                self.producer.purge(PurgeConfig::default().queue().inflight());
                self.poll();
                break;
            }
        }
        match self.deliveries().first_failure() {
            None if is_complete() => Ok(()),
            None => Err(self.failed("await", KafkaError::MessageProduction(Code::MessageTimedOut))),
            Some((slot, error)) => Err(self.refused(records, sent, slot, error)),
        }
    }

    /// Polls, and notes progress if a record was answered; otherwise waits for [`PAUSE`].
    fn poll(&self) {
        let before = self.deliveries().answered();
        self.producer.poll(Duration::ZERO);
        if self.deliveries().answered() > before {
            self.progress.made();
        } else {
            std::thread::sleep(PAUSE);
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

    /// The error of a record of `sent`, the records that were in the queue together.
    fn refused(&self, records: &[Record], sent: Range<usize>, slot: usize, error: KafkaError) -> Error {
        self.series.error(&label(&error));
        if self.is_fenced(&error) {
            return self.fenced(error);
        }
        let record = &records[slot];
        let topic = &record.topic;
        let doing = format!("publish to topic `{topic}`; nothing of the call was published");
        let with_it = records[sent].iter().filter(|record| record.topic == *topic);
        let (count, bytes) = with_it.fold((0, 0), |(count, bytes), record| (count + 1, bytes + record.size()));
        let is_known = count <= 1 || !is_of_a_batch(&error) || !is_size(&error) && self.deliveries().one_is_invalid();
        if is_known {
            let error = explain(doing, error);
            let Some(event_id) = record.event_id().filter(|_| error.reaction == Reaction::Poison) else { return error };
            // The journal is spent. The next one knows the record, and reports it before it sends anything.
            self.limits.refuse(topic, &event_id, record.size(), &error);
            let doing = format!("publish to topic `{topic}`; nothing of the call was published");
            return Error::retry(error.code, error.error_type, doing).because(error.chain());
        }
        // The broker gives the error of a batch to each of its records.
        self.limits.shrink_batch(if is_size(&error) { bytes } else { 0 });
        let doing =
            format!("{doing}: the broker refuses a batch of {count} records; the next attempt uses smaller ones");
        Error::retry(codes::RECORD_TOO_LARGE, ErrorType::TooLarge, doing).because(error)
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
