//! Topics that have changed: re-created, truncated, compacted, in another cluster. The sink continues where no record
//! can be missing, and stops with the name of the problem where one may be.

use rdkafka::admin::{AdminOptions, AlterConfig, ResourceSpecifier};

use crate::{
    reading::Reading,
    stack::{eventually, rows},
};

#[tokio::test]
async fn a_recreated_topic_with_more_records_than_were_applied_is_noticed() {
    let mut reading = Reading::stopped_after("anew", "delete", 5).await;
    reading.delete().await;
    reading.create("delete", 1).await;
    reading.produce(100..120).await;
    reading
        .fails_with(
            "kafka.truncated_or_recreated",
            &["from offset 5", "offset 4 holds another record", "docs/operations.md"],
        )
        .await;
    // The operator decides to read the topic from its beginning.
    reading.set("next_offset = 0, anchor_offset = NULL, anchor_hash = NULL").await;
    reading.goes_on_to(20).await;
}

#[tokio::test]
async fn a_recreated_topic_with_fewer_records_than_were_applied_is_noticed() {
    let mut reading = Reading::stopped_after("shorter", "delete", 5).await;
    reading.delete().await;
    reading.create("delete", 1).await;
    reading.fails_with("kafka.truncated_or_recreated", &["from offset 5", "only 0..0"]).await;
}

#[tokio::test]
async fn removal_of_unapplied_records_is_a_gap_and_of_applied_records_is_not() {
    let mut reading = Reading::stopped_after("gap", "delete", 5).await;
    reading.produce(5..10).await;
    reading.remove_before(5).await;
    reading.goes_on_to(10).await;
    assert_eq!(reading.dead_letters().await, ["10"], "the anchor is gone but no record is missing");
    reading.worker.kill();
    reading.produce(10..20).await;
    reading.remove_before(13).await;
    reading.fails_with("kafka.retention_gap", &["from offset 10", "begins at offset 13", "3 offsets"]).await;
}

#[tokio::test]
async fn a_lost_anchor_is_a_gap_unless_the_topic_is_compacted() {
    let mut reading = Reading::stopped_after("hole", "delete", 2).await;
    // Records 2 and 3, the marker 4, aborted 5 and 6, the marker 7, then 8 with its marker 9.
    reading.transact(2..4, true).await;
    reading.transact(4..6, false).await;
    reading.transact(6..7, true).await;
    reading.goes_on_to(10).await;
    assert_eq!(reading.dead_letters().await, ["5"]);
    reading.worker.kill();
    reading.produce(7..8).await;
    reading.goes_on_to(11).await;
    assert_eq!(reading.dead_letters().await, ["6"], "no record is applied twice, including the one before the marker");
    reading.worker.kill();

    // As if compaction had removed the anchor: readers never see a marker.
    let reset = "next_offset = 5, anchor_offset = 4, anchor_hash = sha256('')";
    reading.set(reset).await;
    reading.fails_with("kafka.anchor_missing", &["from offset 5", "at offset 4", "continues at 8"]).await;
    reading.set("owner = ''").await;
    let compacted = AlterConfig::new(ResourceSpecifier::Topic(&reading.topic)).set("cleanup.policy", "compact");
    reading.admin.alter_configs([&compacted], &AdminOptions::new()).await.unwrap()[0].as_ref().unwrap();
    reading.goes_on_to(11).await;
    assert!(
        reading.worker.log().contains("compaction has removed the last applied record"),
        "{}",
        reading.worker.log()
    );
    assert_eq!(reading.dead_letters().await, ["6"]);
}

#[tokio::test]
async fn another_cluster_is_refused_before_the_partition_is_claimed() {
    let mut reading = Reading::stopped_after("cluster", "delete", 3).await;
    reading.set("cluster_id = 'somewhere else'").await;
    let epoch = format!("SELECT epoch FROM towpath.sink_partition WHERE topic = '{}'", reading.topic);
    let before = rows(&reading.database, &epoch).await;
    reading.fails_with("kafka.other_cluster", &["somewhere else", "notes[0]", "docs/operations.md"]).await;
    assert_eq!(rows(&reading.database, &epoch).await, before, "the reader of the right cluster is not fenced");
    // The documented remedy.
    reading.set("cluster_id = NULL").await;
    reading.goes_on_to(3).await;
    eventually("the cluster is stored again", || async {
        let noted =
            format!("SELECT cluster_id IS NOT NULL FROM towpath.sink_partition WHERE topic = '{}'", reading.topic);
        (rows(&reading.database, &noted).await == ["t"]).then_some(())
    })
    .await;
}

#[tokio::test]
async fn a_topic_deleted_while_it_is_read_is_reported() {
    let mut reading = Reading::stopped_after("deleted", "delete", 3).await;
    reading.worker.spawn();
    reading.worker.is_ready().await;
    eventually("the sink runs", || async { (reading.worker.state("pg").await == "running").then_some(()) }).await;
    reading.delete().await;
    eventually("the state reports the deletion", || async {
        (reading.worker.state("pg").await == "retrying").then_some(())
    })
    .await;
    eventually("the log names the topic", || async {
        let log = reading.worker.log();
        let named = log.contains("kafka.unknown_topic") && log.contains(&format!("read topic `{}`", reading.topic));
        named.then_some(())
    })
    .await;
}
