//! The limits of a journal's batches and records, learned from the broker's refusals.
//!
//! A journal whose transaction was refused is spent; the next journal must not send the same again. So all journals of
//! a connector share what was learned.

use std::{
    collections::HashMap,
    sync::{
        Arc, Mutex, MutexGuard, PoisonError,
        atomic::{AtomicUsize, Ordering},
    },
};

use towpath_api::{Error, ErrorType, Result};

/// Refused records to remember. They are few: each stops its source once.
const MAX_REFUSED: usize = 10_000;

/// What the journals of a connector have learned. Cheap to clone.
#[derive(Debug, Clone)]
pub struct BrokerLimits {
    /// A journal does not queue more bytes of a topic at once. Unlimited until the broker refuses a batch whose records
    /// may each be small enough: the limit of the topic is not known, as to a client that may not read it, or was
    /// lowered.
    batch: Arc<AtomicUsize>,
    refused: Arc<Mutex<RefusedRecords>>,
}

/// By topic and event id.
type RefusedRecords = HashMap<(Arc<str>, String), Refused>;

/// A record that the broker refuses by itself.
#[derive(Debug, Clone, Copy)]
struct Refused {
    /// A shorter record of the same event may be accepted; 0 if its size is not the reason.
    bytes: usize,
    code: &'static str,
    error_type: ErrorType,
}

impl Default for BrokerLimits {
    fn default() -> Self {
        Self { batch: Arc::new(AtomicUsize::new(usize::MAX)), refused: Arc::default() }
    }
}

impl BrokerLimits {
    pub(super) fn batch(&self) -> usize {
        self.batch.load(Ordering::Relaxed)
    }

    /// The broker has refused a batch of about `bytes`. In the end each record has a batch of its own, whose refusal is
    /// that of the record.
    pub(super) fn shrink_batch(&self, bytes: usize) {
        self.batch.fetch_min(bytes / 4, Ordering::Relaxed);
    }

    /// The broker has refused the record of an event for `reason`; `bytes` as in [`BrokerLimits::check`].
    pub(super) fn refuse(&self, topic: &Arc<str>, event_id: &str, bytes: usize, reason: &Error) {
        let bytes = if reason.error_type == ErrorType::TooLarge { bytes } else { 0 };
        let refused = Refused { bytes, code: reason.code, error_type: reason.error_type };
        let mut known = self.known();
        if known.len() >= MAX_REFUSED {
            known.clear();
        }
        known.insert((Arc::clone(topic), event_id.to_owned()), refused);
    }

    /// Checks a record of `bytes`, as the size of a batch that has no other.
    ///
    /// # Errors
    /// Poison if the broker has refused this record, or a shorter one of the same event.
    pub(super) fn check(&self, topic: &Arc<str>, event_id: &str, bytes: usize) -> Result<()> {
        let known = self.known();
        if known.is_empty() {
            return Ok(());
        }
        match known.get(&(Arc::clone(topic), event_id.to_owned())) {
            Some(refused) if bytes >= refused.bytes => {
                let doing = format!(
                    "publish to topic `{topic}`: the broker has refused a record of this event. Nothing of the call \
                     was published"
                );
                Err(Error::poison(refused.code, refused.error_type, doing))
            }
            _ => Ok(()),
        }
    }

    fn known(&self) -> MutexGuard<'_, RefusedRecords> {
        self.refused.lock().unwrap_or_else(PoisonError::into_inner)
    }
}

#[cfg(test)]
mod tests {
    use towpath_api::Reaction;

    use super::*;
    use crate::kafka::codes;

    #[test]
    fn a_refused_record_is_refused_again_unless_it_is_shorter() {
        let (limits, topic) = (BrokerLimits::default(), Arc::<str>::from("t"));
        limits.refuse(&topic, "a", 100, &Error::poison(codes::RECORD_TOO_LARGE, ErrorType::TooLarge, "publish"));
        limits.refuse(&topic, "b", 100, &Error::poison(codes::RECORD_REFUSED, ErrorType::BadRequest, "publish"));
        let check = |id: &str, bytes| {
            let checked = limits.clone().check(&topic, id, bytes);
            checked.map_err(|error| (error.reaction, error.code, error.error_type))
        };
        assert_eq!(check("a", 100), Err((Reaction::Poison, codes::RECORD_TOO_LARGE, ErrorType::TooLarge)));
        assert_eq!(check("a", 99), Ok(()));
        assert_eq!(check("b", 1), Err((Reaction::Poison, codes::RECORD_REFUSED, ErrorType::BadRequest)));
        assert_eq!(check("c", 1_000), Ok(()));
    }
}
