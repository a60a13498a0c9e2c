//! Creates the topics that Towpath needs, and refuses existing ones that would lose data.

use std::{
    sync::Arc,
    time::{Duration, Instant},
};

use rdkafka::{
    admin::{AdminClient, AdminOptions, NewTopic, ResourceSpecifier, TopicReplication},
    client::DefaultClientContext,
    error::{KafkaError, RDKafkaErrorCode as Code},
};
use towpath_api::{Error, ErrorType, Result, Updates};

use super::{
    client::{blocking, unavailable},
    codes,
};

const TIMEOUT: Duration = Duration::from_secs(4);
/// Pause between requests to a broker that does not know its new partition yet.
const PAUSE: Duration = Duration::from_millis(10);
/// Seven days: every version of a record stays readable for this long, although the topic is compacted.
const MIN_COMPACTION_LAG_MS: &str = "604800000";

pub(super) type Admin = AdminClient<DefaultClientContext>;

/// Creates `topic` if it is absent, and checks that it keeps everything that `updates` need. `replication` of `None` is
/// the broker's default.
///
/// # Errors
/// Retry while no broker answers. Fatal [`codes::COMPACTED_TOPIC`] when the topic is compacted although updates are
/// partial: compaction would keep only the fields of the last update. Fatal [`codes::TOPIC_REFUSED`] when the broker
/// cannot create such a topic.
pub async fn ensure(
    admin: &Arc<Admin>,
    topic: &str,
    partitions: i32,
    replication: Option<i32>,
    updates: Updates,
) -> Result<()> {
    let new = NewTopic::new(topic, partitions, factor(replication));
    let new = match updates {
        Updates::Whole => new.set("cleanup.policy", "compact").set("min.compaction.lag.ms", MIN_COMPACTION_LAG_MS),
        Updates::Partial => new.set("cleanup.policy", "delete").set("retention.ms", "-1"),
    };
    let help = "check `topic.prefix`, `topic.partitions` and `topic.replication.factor`";
    match create(admin, &new, help).await? {
        Creation::Created => Ok(()),
        Creation::Exists => accept(admin, topic, partitions, updates).await,
        // Somebody else may have created the topic for a client that may not.
        Creation::Denied(denied) => accept(admin, topic, partitions, updates).await.map_err(|error| {
            if error.code == codes::COMPACTED_TOPIC { error } else { unavailable(doing(topic), denied) }
        }),
    }
}

/// Creates the compacted topic `topic` if it is absent, and refuses an existing one that is not compacted.
///
/// # Errors
/// Retry while no broker answers. Fatal [`codes::NOT_COMPACTED`] when the topic exists and is not compacted; fatal
/// [`codes::TOPIC_REFUSED`] when the broker cannot create such a topic.
pub(super) async fn ensure_compacted(
    admin: &Arc<Admin>,
    topic: &str,
    partitions: i32,
    replication: Option<i32>,
) -> Result<()> {
    let new = NewTopic::new(topic, partitions, factor(replication)).set("cleanup.policy", "compact");
    let help = "check the keys of this topic: its name, `.partitions` and `.replication.factor`";
    let created = create(admin, &new, help).await?;
    if matches!(created, Creation::Created) {
        return Ok(());
    }
    match (cleanup_policy(admin, topic).await, created) {
        (Ok(policy), _) if policy.trim() == "compact" => Ok(()),
        // A broker that has just heard of the topic from another client.
        (Ok(policy), _) if policy.trim().is_empty() => {
            let doing = format!("use topic `{topic}`: the broker does not know its cleanup.policy yet");
            Err(Error::retry(codes::UNAVAILABLE, ErrorType::Unavailable, doing))
        }
        (Ok(policy), _) => Err(Error::fatal(
            codes::NOT_COMPACTED,
            ErrorType::Config,
            format!("use topic `{topic}`: it has cleanup.policy={policy}, so the broker would delete records by age"),
        )
        .with_help(format!("set cleanup.policy=compact on topic `{topic}`, or name another topic"))),
        (Err(_), Creation::Denied(denied)) => Err(unavailable(doing(topic), denied)),
        (Err(error), _) => Err(error),
    }
}

/// Creates the topic `topic` for dead letters if it is absent, with a single partition.
///
/// # Errors
/// Retry while no broker answers. Fatal [`codes::TOPIC_REFUSED`] when the broker cannot create such a topic.
pub(super) async fn ensure_queue(admin: &Arc<Admin>, topic: &str, replication: i32) -> Result<()> {
    let new = NewTopic::new(topic, 1, TopicReplication::Fixed(replication)).set("cleanup.policy", "delete");
    let help = "check `errors.deadletterqueue.topic.name` and `errors.deadletterqueue.topic.replication.factor`; the \
                dead letters are kept in the store until then";
    // A topic that exists is not checked, and neither is one that this client may not create: the first record fails
    // if the topic is absent.
    create(admin, &new, help).await.map(drop)
}

enum Creation {
    Created,
    Exists,
    /// The client may not create topics.
    Denied(KafkaError),
}

async fn create(admin: &Arc<Admin>, new: &NewTopic<'_>, help: &'static str) -> Result<Creation> {
    let (topic, partitions) = (new.name, new.num_partitions);
    let created = admin.create_topics([new], &options()).await.map_err(|error| unavailable(doing(topic), error))?;
    match created.into_iter().next() {
        Some(Ok(_)) => {
            tracing::info!(topic, partitions, "created topic `{topic}` with {partitions} partitions");
            wait_for_leaders(admin, topic, partitions).await?;
            Ok(Creation::Created)
        }
        Some(Err((_, Code::TopicAlreadyExists))) => Ok(Creation::Exists),
        Some(Err((_, code @ (Code::TopicAuthorizationFailed | Code::ClusterAuthorizationFailed)))) => {
            Ok(Creation::Denied(KafkaError::AdminOp(code)))
        }
        Some(Err((
            _,
            code @ (Code::InvalidReplicationFactor
            | Code::InvalidPartitions
            | Code::InvalidTopic
            | Code::PolicyViolation),
        ))) => {
            let refused = Error::fatal(codes::TOPIC_REFUSED, ErrorType::Config, doing(topic));
            Err(refused.because(KafkaError::AdminOp(code)).with_help(help))
        }
        Some(Err((_, code))) => Err(unavailable(doing(topic), KafkaError::AdminOp(code))),
        None => Err(Error::retry(codes::UNAVAILABLE, ErrorType::Unavailable, doing(topic))),
    }
}

fn doing(topic: &str) -> String {
    format!("create topic `{topic}`")
}

/// -1 is the broker's default.
fn factor(replication: Option<i32>) -> TopicReplication<'static> {
    TopicReplication::Fixed(replication.unwrap_or(-1))
}

/// Waits, at most [`TIMEOUT`], until the leaders of a new topic's partitions know them: they refuse earlier records.
async fn wait_for_leaders(admin: &Arc<Admin>, topic: &str, partitions: i32) -> Result<()> {
    let (admin, name) = (Arc::clone(admin), topic.to_owned());
    let doing = format!("wait for the partitions of topic `{topic}`");
    blocking(&doing, move || {
        let begun = Instant::now();
        for partition in 0..partitions {
            // Only the leader answers this request.
            while admin.inner().fetch_watermarks(&name, partition, TIMEOUT).is_err() {
                if begun.elapsed() > TIMEOUT {
                    return Ok(());
                }
                std::thread::sleep(PAUSE);
            }
        }
        Ok(())
    })
    .await
}

/// Accepts an existing topic, unless it would lose fields of partial updates.
async fn accept(admin: &Arc<Admin>, topic: &str, partitions: i32, updates: Updates) -> Result<()> {
    if updates == Updates::Partial {
        let policy = cleanup_policy(admin, topic).await?;
        if is_compaction(&policy) {
            return Err(Error::fatal(
                codes::COMPACTED_TOPIC,
                ErrorType::Config,
                format!(
                    "publish partial updates to topic `{topic}`: it has cleanup.policy={policy}, and compaction would \
                     lose fields. Nothing was published"
                ),
            )
            .with_help("set `update.mode` of the object to `replace`, or cleanup.policy=delete on the topic"));
        }
    }
    let found = partitions_of(admin, topic).await?.len();
    if i32::try_from(found) != Ok(partitions) {
        tracing::warn!(
            topic,
            partitions,
            found,
            "topic `{topic}` keeps its {found} partitions, although {partitions} are configured"
        );
    }
    Ok(())
}

/// Returns true if a topic with this `cleanup.policy` loses records that a later record of their key replaces.
pub(super) fn is_compaction(policy: &str) -> bool {
    policy.split(',').any(|part| part.trim() == "compact")
}

/// The `cleanup.policy` of a topic.
pub(super) async fn cleanup_policy(admin: &Admin, topic: &str) -> Result<String> {
    Ok(setting(admin, topic, "cleanup.policy").await?.unwrap_or_default())
}

/// The `max.message.bytes` of a topic; `None` if the broker does not say, as to a client that may not read settings.
pub(super) async fn max_message_bytes(admin: &Admin, topic: &str) -> Option<usize> {
    setting(admin, topic, "max.message.bytes").await.ok()??.parse().ok()
}

async fn setting(admin: &Admin, topic: &str, name: &str) -> Result<Option<String>> {
    let doing = || format!("read the settings of topic `{topic}`");
    let found = admin.describe_configs([&ResourceSpecifier::Topic(topic)], &options()).await;
    let found = found.map_err(|error| unavailable(doing(), error))?;
    let config =
        found.into_iter().next().ok_or_else(|| Error::retry(codes::UNAVAILABLE, ErrorType::Unavailable, doing()))?;
    let config = config.map_err(|code| unavailable(doing(), KafkaError::AdminOp(code)))?;
    Ok(config.get(name).and_then(|entry| entry.value.clone()))
}

/// The partitions of a topic, in ascending order; none if the topic does not exist.
pub(super) async fn partitions_of(admin: &Arc<Admin>, topic: &str) -> Result<Vec<i32>> {
    let doing = format!("list the partitions of topic `{topic}`");
    let (admin, topic) = (Arc::clone(admin), topic.to_owned());
    blocking(&doing, move || {
        let metadata = admin.inner().fetch_metadata(Some(&topic), TIMEOUT)?;
        let mut partitions: Vec<_> = metadata
            .topics()
            .iter()
            .flat_map(|topic| topic.partitions().iter().map(rdkafka::metadata::MetadataPartition::id))
            .collect();
        partitions.sort_unstable();
        Ok(partitions)
    })
    .await
}

fn options() -> AdminOptions {
    AdminOptions::new().request_timeout(Some(TIMEOUT)).operation_timeout(Some(TIMEOUT))
}
