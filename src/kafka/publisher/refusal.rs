//! The meaning of a producer's errors for the call that publishes.

use rdkafka::error::{KafkaError, RDKafkaErrorCode as Code};
use towpath_api::{Error, ErrorType};

use crate::kafka::{
    client::{code, unavailable},
    codes,
};

/// Explains an error of a producer. A refusal is taken as one of the record itself: see [`is_of_a_batch`].
pub(super) fn explain(doing: impl Into<String>, error: KafkaError) -> Error {
    let doing = doing.into();
    match code(&error) {
        Some(Code::MessageSizeTooLarge | Code::MessageBatchTooLarge) => {
            Error::poison(codes::RECORD_TOO_LARGE, ErrorType::TooLarge, doing)
                .with_help("shorten the record, or raise `max.message.bytes` of the topic or `kafka.message.max.bytes`")
        }
        Some(Code::InvalidRecord) => Error::poison(codes::RECORD_REFUSED, ErrorType::BadRequest, doing)
            .with_help("the broker's log names the rule of the topic that the record breaks"),
        Some(Code::InvalidTimestamp) => Error::retry(codes::UNAVAILABLE, ErrorType::Unavailable, doing).with_help(
            "compare the clocks of worker and broker, and check `message.timestamp.before.max.ms` and \
             `message.timestamp.after.max.ms` of the topic",
        ),
        Some(Code::QueueFull) => Error::retry(codes::QUEUE_FULL, ErrorType::Unavailable, doing),
        Some(code) if is_unknown_topic(code) => Error::retry(codes::UNKNOWN_TOPIC, ErrorType::NotFound, doing),
        Some(
            Code::Fatal
            | Code::OutOfOrderSequenceNumber
            | Code::UnknownProducerId
            | Code::InvalidProducerEpoch
            | Code::PurgeQueue
            | Code::PurgeInflight,
        ) => Error::retry(codes::PRODUCER_RENEWED, ErrorType::Unavailable, doing),
        None if matches!(error, KafkaError::Canceled) => {
            Error::retry(codes::PRODUCER_RENEWED, ErrorType::Unavailable, doing)
        }
        _ => return unavailable(doing, error),
    }
    .because(error)
}

/// Returns true if the broker refuses a batch with this error because of its size or because of one of its records. It
/// says nothing about the other records: librdkafka gives the error of a batch to each of them.
pub(in crate::kafka) fn is_of_a_batch(error: &KafkaError) -> bool {
    matches!(
        code(error),
        Some(
            Code::MessageSizeTooLarge
                | Code::MessageBatchTooLarge
                | Code::InvalidRecord
                | Code::InvalidDifferentRecord
                | Code::InvalidTimestamp
        )
    )
}

/// Returns true if the batch, or the record, is too large for its topic.
pub(in crate::kafka) fn is_size(error: &KafkaError) -> bool {
    matches!(code(error), Some(Code::MessageSizeTooLarge | Code::MessageBatchTooLarge))
}

fn is_unknown_topic(code: Code) -> bool {
    matches!(code, Code::UnknownTopic | Code::UnknownTopicOrPartition | Code::UnknownPartition)
}

/// The label `code` of an error.
pub(super) fn label(error: &KafkaError) -> String {
    code(error).map_or_else(|| "unknown".to_owned(), |code| format!("{code:?}"))
}

#[cfg(test)]
mod tests {
    use towpath_api::Reaction;

    use super::*;

    #[test]
    fn only_a_record_that_is_refused_itself_is_poison() {
        for (code, expected, reaction) in [
            (Code::MessageSizeTooLarge, "kafka.record_too_large", Reaction::Poison),
            (Code::MessageBatchTooLarge, "kafka.record_too_large", Reaction::Poison),
            (Code::InvalidRecord, "kafka.record_refused", Reaction::Poison),
            (Code::InvalidDifferentRecord, "kafka.unavailable", Reaction::Retry),
            (Code::InvalidTimestamp, "kafka.unavailable", Reaction::Retry),
            (Code::QueueFull, "kafka.queue_full", Reaction::Retry),
            (Code::UnknownTopicOrPartition, "kafka.unknown_topic", Reaction::Retry),
            (Code::MessageTimedOut, "kafka.timeout", Reaction::Retry),
            (Code::TopicAuthorizationFailed, "kafka.auth", Reaction::Retry),
            (Code::Fatal, "kafka.producer_renewed", Reaction::Retry),
            (Code::NotEnoughReplicas, "kafka.unavailable", Reaction::Retry),
        ] {
            let error = explain("publish to topic `t`", KafkaError::MessageProduction(code));
            assert_eq!((error.code, error.reaction), (expected, reaction), "{code:?}");
            let batch = is_of_a_batch(&KafkaError::MessageProduction(code));
            assert_eq!(batch, reaction == Reaction::Poison || format!("{code:?}").starts_with("Invalid"), "{code:?}");
        }
    }
}
