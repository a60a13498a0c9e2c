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

use tokio::sync::oneshot;
use towpath_api::{Error, ErrorType, Result};

use super::{
    broker_limits::BrokerLimits,
    deliveries::Deliveries,
    lane::Lane,
    metrics::ConnectorSeries,
    request::{Ended, MESSAGE_TIMEOUT, Record, Request, TRANSACTION_TIMEOUT},
    settings::{guarantee, set_defaults},
    watchdog::{Progress, WATCHDOG},
};
use crate::kafka::{
    client::{KafkaSettings, refused_settings},
    codes,
};

/// The default of `socket.timeout.ms` in librdkafka.
const SOCKET_TIMEOUT: Duration = Duration::from_mins(1);

/// The handle to the thread of one transactional producer. The thread ends after the handle was dropped.
pub(super) struct Transactions {
    task: String,
    requests: mpsc::Sender<Request>,
    progress: Arc<Progress>,
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
        limits: BrokerLimits,
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
            limits,
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
