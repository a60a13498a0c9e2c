//! A transactional producer on a thread of its own, since its calls block.
//!
//! librdkafka does not raise the producer epoch with each transaction, so a delayed request of one transaction may hit
//! the next. A producer is therefore *spent*, and used for no further transaction, after an abort, an unknown outcome,
//! an error of the connection since the transaction began, or a slow commit. A fresh producer with the same
//! `transactional.id` fences the spent one and settles its transaction.

use std::{
    sync::{Arc, mpsc},
    time::Duration,
};

use rdkafka::message::{Headers as _, OwnedHeaders};
use tokio::sync::oneshot;
use towpath_api::{Error, ErrorType, Result};

use super::{
    batches::BatchBytes,
    deliveries::Deliveries,
    lane::Lane,
    metrics::ConnectorSeries,
    outgoing::batch_of_one,
    settings::{guarantee, set_defaults},
    watchdog::{Progress, WATCHDOG},
};
use crate::kafka::{
    client::{KafkaSettings, refused_settings},
    codes,
};

/// The maximum time for which librdkafka retries a record. Shorter than the transaction timeout, so that the outcome of
/// each record is known before the broker ends the transaction.
pub(super) const MESSAGE_TIMEOUT: Duration = Duration::from_secs(20);
/// After this time the broker aborts the transaction of a dead producer.
pub(super) const TRANSACTION_TIMEOUT: Duration = Duration::from_secs(40);
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
    /// The topic refuses larger batches; `None` if the producer's batches are smaller anyway.
    pub(super) batch_limit: Option<usize>,
}

impl Record {
    /// The bytes of a batch that contains only this record.
    pub(super) fn size(&self) -> usize {
        let headers = self.headers.iter().flat_map(|headers| headers.iter());
        let headers = headers.map(|header| (header.key.len(), header.value.map_or(0, <[u8]>::len)));
        batch_of_one(self.key.len(), self.value.as_ref().map_or(0, Vec::len), headers)
    }
}

/// The end of one transaction.
pub(super) struct Ended {
    /// Partition and offset of each record, in their order.
    pub(super) result: Result<Vec<(i32, i64)>>,
    /// False if the producer is spent.
    pub(super) reusable: bool,
}

impl Ended {
    pub(super) fn spent(error: Error) -> Self {
        Self { result: Err(error), reusable: false }
    }
}

/// The handle to the thread of one transactional producer. The thread ends after the handle was dropped.
pub(super) struct Transactions {
    task: String,
    requests: mpsc::Sender<Request>,
    progress: Arc<Progress>,
}

pub(super) struct Request {
    pub(super) records: Vec<Record>,
    pub(super) reply: oneshot::Sender<Ended>,
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
        batches: BatchBytes,
        series: Arc<ConnectorSeries>,
    ) -> Result<Self> {
        let mut settings = kafka.client(&format!("{task}-journal"));
        set_defaults(&mut settings);
        guarantee(&mut settings)?;
        settings
            .set("transactional.id", transactional_id)
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
            batches,
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
