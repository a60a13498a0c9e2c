//! Two workers with one connector: each partition belongs to the worker that claimed it last, and to no other.

use serde_json::Value;

use crate::{reading::Reading, stack::eventually, worker::Worker};

/// The tasks of the sink, as the worker reports them.
async fn tasks(worker: &Worker) -> Vec<Value> {
    let (_, text) = worker.get("/towpath/v1/connectors").await;
    let connectors: Vec<Value> = serde_json::from_str(&text).unwrap();
    connectors[0]["tasks"].as_array().unwrap().clone()
}

/// The numbers of the partitions that another worker has claimed.
fn let_go(task: &Value) -> Vec<i64> {
    let partitions = task["partitions"].as_array().unwrap().iter();
    let fenced = partitions.filter(|partition| partition["waiting_for"]["code"] == "postgres.fenced");
    fenced.map(|partition| partition["partition"].as_i64().unwrap()).collect()
}

#[tokio::test]
async fn a_task_lets_go_of_lost_partitions_and_stops_with_the_last() {
    let mut reading = Reading::new("fenced", "delete", 2, "").await;
    reading.worker.spawn();
    reading.worker.is_ready().await;
    for partition in 0..2 {
        reading.tombstones(partition, 1).await;
    }
    eventually("the first worker has both partitions", || async { (reading.applied().await == 2).then_some(()) }).await;

    let second = Worker::named(reading.worker.name.clone()).sink("").start().await;
    eventually("the second worker claims both partitions", || async {
        let partitions = tasks(&second).await[0]["partitions"].as_array().unwrap().clone();
        let claimed = partitions.iter().filter(|partition| partition["next_offset"] == 1).count();
        (claimed == 2).then_some(())
    })
    .await;
    reading.tombstones(0, 1).await;
    eventually("the first worker lets go of one partition and keeps the other", || async {
        let task = &tasks(&reading.worker).await[0];
        (let_go(task) == [0] && task["state"] == "running").then_some(())
    })
    .await;
    reading.tombstones(1, 1).await;
    eventually("the first worker's task has stopped, with the reason", || async {
        let task = &tasks(&reading.worker).await[0];
        (task["state"] == "stopped" && task["error"]["code"] == "postgres.fenced").then_some(())
    })
    .await;
    eventually("the second worker has applied all", || async { (reading.applied().await == 4).then_some(()) }).await;
    assert_eq!(tasks(&second).await[0]["state"], "running");
    assert!(let_go(&tasks(&second).await[0]).is_empty());
}
