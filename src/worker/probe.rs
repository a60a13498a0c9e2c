//! Asks broker and registry whether they answer. `/readyz` reports the answers, since intake sources need both.

use std::time::Duration;

use tokio_util::sync::CancellationToken;
use towpath_api::Result;

use crate::{
    avro::registry::Registry,
    kafka::client::ClusterProbe,
    telemetry::{
        Readiness, StatusBoard,
        readiness::{KAFKA, REGISTRY},
    },
};

/// Interval between requests while both answer.
const EVERY: Duration = Duration::from_secs(3);
/// Interval while one does not answer.
const EVERY_WHILE_AWAY: Duration = Duration::from_millis(500);

/// Asks until `stop` and keeps both checks up to date; the cluster's id goes to the board.
pub(super) async fn watch(
    kafka: ClusterProbe,
    registry: Registry,
    readiness: Readiness,
    board: StatusBoard,
    stop: CancellationToken,
) {
    readiness.not_ready(KAFKA, "not asked yet");
    readiness.not_ready(REGISTRY, "not asked yet");
    let mut was_well = true;
    loop {
        let (cluster, answer) = tokio::join!(kafka.cluster_id(), registry.ping());
        let cluster = cluster.map(|id| id.into_iter().for_each(|id| board.set_kafka_cluster_id(id)));
        let well = check(&readiness, KAFKA, &cluster, was_well) & check(&readiness, REGISTRY, &answer, was_well);
        was_well = well;
        tokio::select! {
            () = stop.cancelled() => return,
            () = tokio::time::sleep(if well { EVERY } else { EVERY_WHILE_AWAY }) => {}
        }
    }
}

/// Sets one check. Logs the first of several errors. Returns true if the check passes.
fn check(readiness: &Readiness, name: &str, answer: &Result<()>, log: bool) -> bool {
    match answer {
        Ok(()) => readiness.ready(name),
        Err(error) => {
            if log {
                tracing::warn!(
                    code = error.code, error = %error.chain(), help = error.help(),
                    "{name} does not answer; posts are refused until it does"
                );
            }
            readiness.not_ready(name, error.chain());
        }
    }
    answer.is_ok()
}
