//! The broker's answers to the records of one transaction.

use std::sync::{
    Mutex, MutexGuard, PoisonError,
    atomic::{AtomicBool, Ordering},
};

use rdkafka::{
    ClientContext, Message as _,
    error::{KafkaError, RDKafkaErrorCode as Code},
    message::DeliveryResult,
    producer::ProducerContext,
};

use crate::kafka::client::code;

/// Partition and offset of a record, or why it was refused; `None` until it is answered.
type Slot = Option<Result<(i32, i64), KafkaError>>;

/// The answers to the records of the present transaction.
#[derive(Default)]
pub(super) struct Deliveries {
    slots: Mutex<Vec<Slot>>,
    /// An error of a connection since the transaction began.
    troubled: AtomicBool,
}

impl Deliveries {
    pub(super) fn begin(&self, records: usize) {
        let mut slots = self.slots();
        slots.clear();
        slots.resize_with(records, || None);
        self.troubled.store(false, Ordering::Relaxed);
    }

    /// Forgets the records from `slot` on: they were not queued.
    pub(super) fn drop_from(&self, slot: usize) {
        self.slots().truncate(slot);
    }

    pub(super) fn answered(&self) -> usize {
        self.slots().iter().filter(|slot| slot.is_some()).count()
    }

    /// Returns true if the records before `slot` are answered.
    pub(super) fn is_complete(&self, slot: usize) -> bool {
        self.slots().iter().take(slot).all(Option::is_some)
    }

    /// Returns true if the broker has named the records of a batch that it refuses.
    pub(super) fn one_is_invalid(&self) -> bool {
        let other = |slot: &Slot| matches!(slot, Some(Err(error)) if code(error) == Some(Code::InvalidDifferentRecord));
        self.slots().iter().any(other)
    }

    /// The first failure other than of a record that failed because of another record.
    pub(super) fn first_failure(&self) -> Option<(usize, KafkaError)> {
        let slots = self.slots();
        let failures = || slots.iter().enumerate().filter_map(|(at, slot)| Some((at, slot.as_ref()?.as_ref().err()?)));
        let by_another = |error| matches!(code(error), Some(Code::PurgeQueue | Code::InvalidDifferentRecord));
        let cause = failures().find(|(_, error)| !by_another(error));
        cause.or_else(|| failures().next()).map(|(at, error)| (at, error.clone()))
    }

    pub(super) fn places(&self) -> Vec<(i32, i64)> {
        self.slots().iter().flatten().filter_map(|delivered| delivered.as_ref().ok().copied()).collect()
    }

    pub(super) fn is_troubled(&self) -> bool {
        self.troubled.load(Ordering::Relaxed)
    }

    fn slots(&self) -> MutexGuard<'_, Vec<Slot>> {
        self.slots.lock().unwrap_or_else(PoisonError::into_inner)
    }
}

impl ClientContext for Deliveries {
    fn error(&self, error: KafkaError, reason: &str) {
        self.troubled.store(true, Ordering::Relaxed);
        tracing::error!(target: "rdkafka::client", "librdkafka: {error}: {reason}");
    }
}

impl ProducerContext for Deliveries {
    type DeliveryOpaque = usize;

    fn delivery(&self, delivered: &DeliveryResult<'_>, slot: usize) {
        let delivered = match delivered {
            Ok(message) => Ok((message.partition(), message.offset())),
            Err((error, _)) => Err(error.clone()),
        };
        if let Some(slot) = self.slots().get_mut(slot) {
            *slot = Some(delivered);
        }
    }
}
