//! Stored offsets, read and set while the connector is stopped.

use towpath_api::{Anchor, Beginning, OpenSink as _, Reaction, Sink as _, TopicPartition};
use towpath_postgres::PostgresSink;

use crate::{
    laboratory::{Laboratory, beginning, claim},
    stack::{env, eventually},
};

const ANCHOR: Anchor = Anchor { offset: 4, hash: [7; 32] };

/// Sets the offset, once the server has noticed that the other connections of the connector are closed.
async fn seek_once_stopped(command: &mut PostgresSink, partition: &TopicPartition, to: i64) {
    let command = tokio::sync::Mutex::new(command);
    eventually("the connections of the connector are closed", || async {
        match command.lock().await.seek(partition, to, None).await {
            Err(error) if error.code == "postgres.connector_running" => None,
            done => {
                done.unwrap();
                Some(())
            }
        }
    })
    .await;
}

#[tokio::test]
async fn a_set_offset_is_read_back_with_its_anchor_and_a_new_epoch() {
    let lab = Laboratory::new("offsets").await;
    let mut sink = lab.open().await;
    assert!(sink.positions().await.unwrap().is_empty());
    let claimed = claim(&mut sink, &lab.partition(0)).await;
    sink.seek(&lab.partition(0), 5, Some(ANCHOR)).await.unwrap();
    sink.seek(&lab.partition(1), 9, None).await.unwrap();
    let stored = sink.positions().await.unwrap();
    let offsets: Vec<_> = stored.iter().map(|of| (of.partition.partition, of.next_offset, of.anchor)).collect();
    assert_eq!(offsets, [(0, 5, Some(ANCHOR)), (1, 9, None)]);
    assert!(stored[0].epoch > claimed.epoch, "{stored:?}");
    assert_eq!(stored[0].owner, "test");

    let resumed = claim(&mut sink, &lab.partition(0)).await;
    assert_eq!((resumed.next_offset, resumed.anchor), (5, Some(ANCHOR)));
    let error = sink.apply(&claimed, &lab.batch(5, vec![lab.whole(5, 1, 1)])).await.unwrap_err();
    assert_eq!((error.error.reaction, error.error.code), (Reaction::Retry, "postgres.offset_moved"));
}

#[tokio::test]
async fn an_offset_set_by_another_process_fences_the_old_claim() {
    let lab = Laboratory::new("offsets_fence").await;
    let mut worker = lab.open().await;
    let old = claim(&mut worker, &lab.partition(0)).await;
    drop(worker);
    let mut command = lab.opener_of("command", &[]).open().await.unwrap();
    seek_once_stopped(&mut command, &lab.partition(0), 3).await;
    let mut late = lab.open().await;
    let error = late.apply(&old, &lab.batch(0, vec![lab.whole(0, 1, 1)])).await.unwrap_err();
    assert_eq!((error.error.reaction, error.error.code), (Reaction::Fenced, "postgres.fenced"));
    assert_eq!(lab.next_offset().await, ["3"]);
}

#[tokio::test]
async fn an_offset_is_not_set_while_the_connector_has_other_connections() {
    let lab = Laboratory::new("offsets_running").await;
    let mut worker = lab.open().await;
    claim(&mut worker, &lab.partition(0)).await;
    let mut command = lab.opener_of("command", &[]).open().await.unwrap();
    let error = command.seek(&lab.partition(0), 3, None).await.unwrap_err();
    assert_eq!((error.reaction, error.code), (Reaction::Fatal, "postgres.connector_running"));
    assert!(error.help().is_some_and(|help| help.contains(&lab.name)), "{error:?}");
    assert_eq!(lab.next_offset().await, ["0"], "nothing was changed");
    // Reading is allowed at any time.
    assert_eq!(command.positions().await.unwrap().len(), 1);
    drop(worker);
    seek_once_stopped(&mut command, &lab.partition(0), 3).await;
    assert_eq!(lab.next_offset().await, ["3"]);
}

#[tokio::test]
async fn after_an_offset_is_set_the_next_claim_stores_the_cluster_it_finds() {
    let lab = Laboratory::new("offsets_cluster").await;
    let mut sink = lab.open().await;
    claim(&mut sink, &lab.partition(0)).await;
    let moved = Beginning { earliest: 0, cluster_id: Some("another".into()) };
    let error = sink.claim(&lab.partition(0), &moved, None).await.unwrap_err();
    assert_eq!((error.reaction, error.code), (Reaction::Fatal, "kafka.other_cluster"));
    assert!(error.help().is_some_and(|help| help.contains("towpath offsets set")), "{error:?}");
    sink.seek(&lab.partition(0), 0, None).await.unwrap();
    sink.claim(&lab.partition(0), &moved, None).await.unwrap();
    let error = sink.claim(&lab.partition(0), &beginning(), None).await.unwrap_err();
    assert_eq!(error.code, "kafka.other_cluster");
}

#[tokio::test]
async fn offsets_are_read_and_set_in_a_database_without_schema_towpath() {
    let lab = Laboratory::new("offsets_fresh").await;
    lab.client.batch_execute(&format!("CREATE DATABASE {}", lab.name)).await.unwrap();
    let url = env("DATABASE_URL");
    let url = format!("{}/{}", url.rsplit_once('/').unwrap().0, lab.name);
    let mut command = lab.opener_at(&url, "command", &[]).open().await.unwrap();
    assert!(command.positions().await.unwrap().is_empty());
    command.seek(&lab.partition(2), 8, Some(ANCHOR)).await.unwrap();
    let stored = command.positions().await.unwrap();
    let offsets: Vec<_> = stored.iter().map(|of| (&of.partition, of.next_offset, of.epoch, of.anchor)).collect();
    assert_eq!(offsets, [(&lab.partition(2), 8, 1, Some(ANCHOR))]);
    drop(command);
    lab.client.batch_execute(&format!("DROP DATABASE {} WITH (FORCE)", lab.name)).await.unwrap();
}
