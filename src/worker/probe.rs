//! Watches what the intake needs: the broker and the registry. What it sees is what `/readyz` says.

use std::time::Duration;

use tokio_util::sync::CancellationToken;
use towpath_api::Result;

use crate::{
    avro::registry::Registry,
    kafka::client::ClusterProbe,
    telemetry::{Readiness, StatusBoard},
};

/// How often both are asked.
const EVERY: Duration = Duration::from_secs(3);
/// While one is away.
const EVERY_WHILE_AWAY: Duration = Duration::from_millis(500);

/// Asks until `stop`, and keeps the checks `kafka` and `registry` up to date.
pub(super) async fn watch(
    kafka: ClusterProbe,
    registry: Registry,
    readiness: Readiness,
    board: StatusBoard,
    stop: CancellationToken,
) {
    readiness.not_ready("kafka", "not asked yet");
    readiness.not_ready("registry", "not asked yet");
    let mut was_well = true;
    loop {
        let (cluster, answer) = tokio::join!(kafka.cluster_id(), registry.ping());
        let cluster = cluster.map(|id| {
            if let Some(id) = id {
                board.set_kafka_cluster_id(id);
            }
        });
        let well = check(&readiness, "kafka", &cluster, was_well) & check(&readiness, "registry", &answer, was_well);
        was_well = well;
        tokio::select! {
            () = stop.cancelled() => return,
            () = tokio::time::sleep(if well { EVERY } else { EVERY_WHILE_AWAY }) => {}
        }
    }
}

/// Sets one check; what has gone wrong is logged when it begins.
fn check(readiness: &Readiness, name: &str, answer: &Result<()>, log: bool) -> bool {
    match answer {
        Ok(()) => readiness.ready(name),
        Err(error) => {
            if log {
                tracing::warn!(code = error.code, error = %error.chain(), "{name} does not answer; nothing is taken in until it does");
            }
            readiness.not_ready(name, error.chain());
        }
    }
    answer.is_ok()
}
