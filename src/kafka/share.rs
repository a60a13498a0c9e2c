//! Assigns partitions to the tasks of a sink.

use towpath_api::TopicPartition;

/// Returns true if task `task` of `tasks` reads `partition`.
///
/// The partitions of a topic go round the tasks, beginning with a task that the topic's name decides. A new topic or
/// partition moves no other.
pub fn is_mine(partition: &TopicPartition, task: u32, tasks: u32) -> bool {
    // FNV-1a is stable across builds and machines; the standard hasher is not.
    let hash =
        partition.topic.bytes().fold(0x811c_9dc5_u32, |hash, byte| (hash ^ u32::from(byte)).wrapping_mul(0x0100_0193));
    let number = u32::try_from(partition.partition).unwrap_or(0);
    (hash % tasks + number % tasks) % tasks == task
}

#[cfg(test)]
mod tests {
    use super::*;

    #[test]
    fn each_partition_has_one_task_and_tasks_share_a_topic_evenly() {
        for tasks in 1..=5 {
            let mut shares = vec![0; tasks as usize];
            for number in 0..10 * i32::try_from(tasks).unwrap() {
                let partition = TopicPartition { topic: "acme.deals".into(), partition: number };
                let owners: Vec<_> = (0..tasks).filter(|task| is_mine(&partition, *task, tasks)).collect();
                assert_eq!(owners.len(), 1);
                shares[owners[0] as usize] += 1;
            }
            assert!(shares.iter().all(|share| *share == 10), "{shares:?}");
        }
    }
}
