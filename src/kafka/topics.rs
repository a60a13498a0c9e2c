//! Makes the topics that a source needs, and refuses those that would lose its data.

use std::{
    sync::Arc,
    time::{Duration, Instant},
};

use rdkafka::{
    admin::{AdminClient, AdminOptions, NewTopic, ResourceSpecifier, TopicReplication},
    client::DefaultClientContext,
    error::{KafkaError, RDKafkaErrorCode},
};
use towpath_api::{Error, ErrorType, Result, Updates};

use super::client::unavailable;

const TIMEOUT: Duration = Duration::from_secs(4);
/// Between two questions to a broker that does not know its new partition yet.
const PAUSE: Duration = Duration::from_millis(10);
/// Seven days: for so long every version of a record can be read, although the topic is compacted.
const MIN_COMPACTION_LAG_MS: &str = "604800000";

/// What asks the brokers.
type Admin = AdminClient<DefaultClientContext>;

/// Makes sure that `topic` exists and keeps what `updates` need kept. `replication` of `None` is the brokers' default.
///
/// # Errors
/// Retry while no broker answers; fatal `kafka.compacted_topic` when the topic is compacted although updates are
/// partial: compaction would keep only the fields of the last one; fatal `kafka.topic_refused` when the broker cannot
/// make such a topic.
pub async fn ensure(
    admin: &Arc<Admin>,
    topic: &str,
    partitions: i32,
    replication: Option<i32>,
    updates: Updates,
) -> Result<()> {
    use RDKafkaErrorCode as Code;
    let new = NewTopic::new(topic, partitions, TopicReplication::Fixed(replication.unwrap_or(-1)));
    let new = match updates {
        Updates::Whole => new.set("cleanup.policy", "compact").set("min.compaction.lag.ms", MIN_COMPACTION_LAG_MS),
        Updates::Partial => new.set("cleanup.policy", "delete").set("retention.ms", "-1"),
    };
    let doing = || format!("create topic `{topic}`");
    let created = admin.create_topics([&new], &options()).await.map_err(|error| unavailable(doing(), error))?;
    match created.into_iter().next() {
        Some(Ok(_)) => {
            tracing::info!(topic, partitions, "created topic `{topic}` with {partitions} partitions");
            wait_for_leaders(admin, topic, partitions).await
        }
        Some(Err((_, Code::TopicAlreadyExists))) => accept(admin, topic, partitions, updates).await,
        // Who may not make topics may have been given this one.
        Some(Err((_, code @ (Code::TopicAuthorizationFailed | Code::ClusterAuthorizationFailed)))) => {
            let accepted = accept(admin, topic, partitions, updates).await;
            accepted.map_err(|error| {
                if error.code == "kafka.compacted_topic" {
                    error
                } else {
                    unavailable(doing(), KafkaError::AdminOp(code))
                }
            })
        }
        Some(Err((
            _,
            code @ (Code::InvalidReplicationFactor
            | Code::InvalidPartitions
            | Code::InvalidTopic
            | Code::PolicyViolation),
        ))) => {
            let doing = format!("{}; check `topic.prefix`, `topic.partitions` and `topic.replication.factor`", doing());
            Err(Error::fatal("kafka.topic_refused", ErrorType::Config, doing).because(KafkaError::AdminOp(code)))
        }
        Some(Err((_, code))) => Err(unavailable(doing(), KafkaError::AdminOp(code))),
        None => Err(Error::retry("kafka.unavailable", ErrorType::Unavailable, doing())),
    }
}

/// Makes sure that a topic for dead letters exists; a new one gets a single partition.
///
/// # Errors
/// Retry while no broker answers; fatal `kafka.topic_refused` when the broker cannot make such a topic.
pub(super) async fn ensure_queue(admin: &Arc<Admin>, topic: &str, replication: i32) -> Result<()> {
    use RDKafkaErrorCode as Code;
    let new = NewTopic::new(topic, 1, TopicReplication::Fixed(replication)).set("cleanup.policy", "delete");
    let doing = || format!("create topic `{topic}` for dead letters");
    let created = admin.create_topics([&new], &options()).await.map_err(|error| unavailable(doing(), error))?;
    match created.into_iter().next() {
        Some(Ok(_)) => wait_for_leaders(admin, topic, 1).await,
        // Who may not make topics may have been given this one; if not, the first record says so.
        Some(Err((
            _,
            Code::TopicAlreadyExists | Code::TopicAuthorizationFailed | Code::ClusterAuthorizationFailed,
        ))) => Ok(()),
        Some(Err((_, code @ (Code::InvalidReplicationFactor | Code::InvalidTopic | Code::PolicyViolation)))) => {
            let doing = format!(
                "{}; check `errors.deadletterqueue.topic.name` and `errors.deadletterqueue.topic.replication.factor` ({replication}). What \
                 was set aside is in the store",
                doing()
            );
            Err(Error::fatal("kafka.topic_refused", ErrorType::Config, doing).because(KafkaError::AdminOp(code)))
        }
        Some(Err((_, code))) => Err(unavailable(doing(), KafkaError::AdminOp(code))),
        None => Err(Error::retry("kafka.unavailable", ErrorType::Unavailable, doing())),
    }
}

/// Waits until the brokers that lead the partitions of a fresh topic know of them, as far as time allows: they refuse a
/// record that comes earlier, and whoever posted it would have to come back.
async fn wait_for_leaders(admin: &Arc<Admin>, topic: &str, partitions: i32) -> Result<()> {
    let (admin, name) = (Arc::clone(admin), topic.to_owned());
    let asking = tokio::task::spawn_blocking(move || {
        let begun = Instant::now();
        for partition in 0..partitions {
            // Only a leader answers this question.
            while admin.inner().fetch_watermarks(&name, partition, TIMEOUT).is_err() {
                if begun.elapsed() > TIMEOUT {
                    return;
                }
                std::thread::sleep(PAUSE);
            }
        }
    });
    let doing = || format!("wait for the partitions of topic `{topic}`");
    asking.await.map_err(|panic| Error::fatal("internal.panic", ErrorType::Internal, doing()).because(panic))
}

/// Takes a topic that was there before, unless it would throw away what partial updates need.
async fn accept(admin: &Arc<Admin>, topic: &str, partitions: i32, updates: Updates) -> Result<()> {
    if updates == Updates::Partial {
        let policy = cleanup_policy(admin, topic).await?;
        if is_compaction(&policy) {
            return Err(Error::fatal(
                "kafka.compacted_topic",
                ErrorType::Config,
                format!(
                    "publish partial updates to topic `{topic}`: it has cleanup.policy={policy}, and compaction would lose fields. Nothing was published; \
                     set `update.mode` of the object to `replace`, or the topic to cleanup.policy=delete"
                ),
            ));
        }
    }
    let found = count_partitions(admin, topic).await?;
    if i32::try_from(found) != Ok(partitions) {
        tracing::warn!(
            topic,
            partitions,
            found,
            "topic `{topic}` has {found} partitions and stays so, though {partitions} are configured"
        );
    }
    Ok(())
}

/// Whether a `cleanup.policy` lets records go that later ones of their key replace.
pub(super) fn is_compaction(policy: &str) -> bool {
    policy.split(',').any(|part| part.trim() == "compact")
}

/// The `cleanup.policy` of a topic.
pub(super) async fn cleanup_policy(admin: &Admin, topic: &str) -> Result<String> {
    let doing = || format!("look at the settings of topic `{topic}`");
    let found = admin.describe_configs([&ResourceSpecifier::Topic(topic)], &options()).await;
    let found = found.map_err(|error| unavailable(doing(), error))?;
    let config =
        found.into_iter().next().ok_or_else(|| Error::retry("kafka.unavailable", ErrorType::Unavailable, doing()))?;
    let config = config.map_err(|code| unavailable(doing(), KafkaError::AdminOp(code)))?;
    Ok(config.get("cleanup.policy").and_then(|entry| entry.value.clone()).unwrap_or_default())
}

async fn count_partitions(admin: &Arc<Admin>, topic: &str) -> Result<usize> {
    let doing = format!("count the partitions of topic `{topic}`");
    let (admin, topic) = (Arc::clone(admin), topic.to_owned());
    let asked = tokio::task::spawn_blocking(move || {
        let metadata = admin.inner().fetch_metadata(Some(&topic), TIMEOUT)?;
        Ok(metadata.topics().iter().map(|topic| topic.partitions().len()).sum())
    });
    match asked.await {
        Ok(answer) => answer.map_err(|error| unavailable(doing, error)),
        Err(panic) => Err(Error::fatal("internal.panic", ErrorType::Internal, doing).because(panic)),
    }
}

fn options() -> AdminOptions {
    AdminOptions::new().request_timeout(Some(TIMEOUT)).operation_timeout(Some(TIMEOUT))
}
