//! Makes the topics that a source needs, and refuses those that would lose its data.

use std::time::Duration;

use rdkafka::{
    admin::{AdminClient, AdminOptions, NewTopic, ResourceSpecifier, TopicReplication},
    client::DefaultClientContext,
    error::{KafkaError, RDKafkaErrorCode},
};
use towpath_api::{Error, ErrorType, Result, Updates};

use super::client::unavailable;

const TIMEOUT: Duration = Duration::from_secs(4);
/// Seven days: for so long every version of a record can be read, although the topic is compacted.
const MIN_COMPACTION_LAG_MS: &str = "604800000";

/// Makes sure that `topic` exists and keeps what `updates` need kept.
///
/// # Errors
/// Retry while no broker answers; fatal `kafka.compacted_topic` when the topic is compacted although updates are partial:
/// compaction would keep only the fields of the last one.
pub async fn ensure(
    admin: &AdminClient<DefaultClientContext>,
    topic: &str,
    partitions: i32,
    replication: Option<i32>,
    updates: Updates,
) -> Result<()> {
    let new = NewTopic::new(topic, partitions, TopicReplication::Fixed(replication.unwrap_or(-1)));
    let new = match updates {
        Updates::Whole => new.set("cleanup.policy", "compact").set("min.compaction.lag.ms", MIN_COMPACTION_LAG_MS),
        Updates::Partial => new.set("cleanup.policy", "delete").set("retention.ms", "-1"),
    };
    let doing = || format!("create topic `{topic}`");
    let options = AdminOptions::new().request_timeout(Some(TIMEOUT)).operation_timeout(Some(TIMEOUT));
    let created = admin.create_topics([&new], &options).await.map_err(|error| unavailable(doing(), error))?;
    match created.into_iter().next() {
        Some(Ok(_)) => {
            tracing::info!(topic, partitions, "created topic `{topic}` with {partitions} partitions");
            Ok(())
        }
        Some(Err((_, RDKafkaErrorCode::TopicAlreadyExists))) => check(admin, topic, updates, &options).await,
        Some(Err((
            _,
            code @ (RDKafkaErrorCode::InvalidReplicationFactor
            | RDKafkaErrorCode::InvalidPartitions
            | RDKafkaErrorCode::InvalidTopic),
        ))) => {
            let doing = format!("{}; check `topic.prefix`, `topic.partitions` and `topic.replication.factor`", doing());
            Err(Error::fatal("kafka.topic_refused", ErrorType::Config, doing).because(KafkaError::AdminOp(code)))
        }
        Some(Err((_, code))) => Err(unavailable(doing(), KafkaError::AdminOp(code))),
        None => Err(Error::retry("kafka.unavailable", ErrorType::Unavailable, doing())),
    }
}

/// A topic that was there before must not throw away what partial updates need.
async fn check(admin: &AdminClient<DefaultClientContext>, topic: &str, updates: Updates, options: &AdminOptions) -> Result<()> {
    if updates == Updates::Whole {
        return Ok(());
    }
    let doing = || format!("look at the settings of topic `{topic}`");
    let found =
        admin.describe_configs([&ResourceSpecifier::Topic(topic)], options).await.map_err(|error| unavailable(doing(), error))?;
    let config = found.into_iter().next().and_then(std::result::Result::ok);
    let config = config.ok_or_else(|| Error::retry("kafka.unavailable", ErrorType::Unavailable, doing()))?;
    let policy = config.get("cleanup.policy").and_then(|entry| entry.value.as_deref()).unwrap_or_default();
    if policy.split(',').any(|part| part.trim() == "compact") {
        return Err(Error::fatal(
            "kafka.compacted_topic",
            ErrorType::Config,
            format!(
                "publish partial updates to topic `{topic}`: it has cleanup.policy={policy}, and compaction would lose fields. Nothing was published; \
                 set `update.mode` of the object to `replace`, or the topic to cleanup.policy=delete"
            ),
        ));
    }
    Ok(())
}
