//! The reports of a sink task, once a second: lag, leaders that do not answer, and progress in the consumer group.

use std::{
    collections::{BTreeMap, BTreeSet},
    sync::Arc,
    time::{Duration, SystemTime},
};

use tokio::task::JoinHandle;
use towpath_api::{Error, ErrorType, OpenSink, TopicPartition};

use super::{context::SinkContext, progress::Progress};
use crate::{kafka::codes::LEADER_UNREACHABLE, telemetry::Stage};

/// Interval between reports.
pub(super) const REPORT: Duration = Duration::from_secs(1);
/// Time without an answer after which the state reports a leader. A restart of a broker is often shorter.
const UNREACHABLE_FOR: Duration = Duration::from_secs(10);
/// Seconds between reports of the same leader.
const REPORTED_EVERY: u64 = 10;
/// Maximum time that an unavailable broker delays the end of the task.
const LAST_COMMIT: Duration = Duration::from_secs(2);

type Partitions = BTreeMap<TopicPartition, Arc<Progress>>;

/// Reports on the partitions of one task.
#[derive(Default)]
pub(super) struct Reporter {
    /// Partitions whose leaders were reported as unreachable.
    unreachable: BTreeSet<TopicPartition>,
    /// The commit to the consumer group that is under way.
    commit: Option<JoinHandle<()>>,
}

impl Reporter {
    pub(super) fn report<O: OpenSink>(&mut self, context: &SinkContext<O>, partitions: &Partitions) {
        self.unreachable.retain(|partition| partitions.contains_key(partition));
        for (partition, progress) in partitions {
            measure(context, partition, progress);
            self.report_leader(context, partition, progress);
        }
        if self.commit.as_ref().is_none_or(JoinHandle::is_finished) {
            self.commit = commit(context, partitions);
        }
    }

    /// Commits the last offsets to the consumer group.
    pub(super) async fn finish<O: OpenSink>(&mut self, context: &SinkContext<O>, partitions: &Partitions) {
        let earlier = self.commit.take();
        let committed = async {
            for commit in [earlier, None] {
                if let Some(commit) = commit.or_else(|| self::commit(context, partitions)) {
                    let _ = commit.await;
                }
            }
        };
        let _ = tokio::time::timeout(LAST_COMMIT, committed).await;
    }

    /// Reports a leader that does not answer: librdkafka reports it only if every broker is away.
    fn report_leader<O: OpenSink>(
        &mut self,
        context: &SinkContext<O>,
        partition: &TopicPartition,
        progress: &Progress,
    ) {
        let trouble = context.consumer.unreachable(partition);
        let Some(trouble) = trouble else {
            if self.unreachable.remove(partition) {
                progress.working();
                context.health.report_running(&partition.to_string());
            }
            return;
        };
        let seconds = trouble.since.elapsed().as_secs();
        // The partition may wait for something else, which is more than a broker.
        let is_new = !self.unreachable.contains(partition) && !progress.status().waits();
        let is_known = self.unreachable.contains(partition) && seconds.is_multiple_of(REPORTED_EVERY);
        if seconds < UNREACHABLE_FOR.as_secs() || !(is_new || is_known) {
            return;
        }
        let doing = format!("read {partition}: {}", trouble.why);
        let error = Error::retry(LEADER_UNREACHABLE, ErrorType::Unavailable, doing)
            .with_help("check the broker, and the network to its advertised address; reading goes on by itself");
        progress.waiting(&error);
        let attempt = u32::try_from(seconds).unwrap_or(u32::MAX);
        context.health.report_retrying(&partition.to_string(), Stage::Consume, &error, attempt, REPORT);
        self.unreachable.insert(partition.clone());
    }
}

/// Measures the lag of a partition. It is unknown while the leader does not answer.
fn measure<O: OpenSink>(context: &SinkContext<O>, partition: &TopicPartition, progress: &Progress) {
    let (Some(next), Some(metrics)) = (progress.next_offset(), progress.metrics()) else { return };
    let Some(end) = context.consumer.end(partition).map(|end| end.high) else {
        progress.status().lag_unknown();
        metrics.lag_unknown();
        return;
    };
    progress.status().lag(end - next);
    metrics.lag(end - next);
    if end <= next {
        metrics.caught_up(SystemTime::now());
    }
}

/// Starts to commit the stored offsets that the consumer group does not have yet.
fn commit<O: OpenSink>(context: &SinkContext<O>, partitions: &Partitions) -> Option<JoinHandle<()>> {
    let uncommitted: Vec<_> = partitions
        .iter()
        .filter_map(|(partition, progress)| Some((partition.clone(), progress.uncommitted()?, Arc::clone(progress))))
        .collect();
    if uncommitted.is_empty() {
        return None;
    }
    let consumer = context.consumer.clone();
    Some(tokio::spawn(async move {
        let offsets = uncommitted.iter().map(|(partition, offset, _)| (partition.clone(), *offset)).collect();
        let committed: BTreeMap<_, _> = consumer.show_progress(offsets).await.into_iter().collect();
        for (partition, offset, progress) in uncommitted {
            if committed.get(&partition) == Some(&offset) {
                progress.committed(offset);
            }
        }
    }))
}
