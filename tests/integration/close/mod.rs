//! The Close source as its user runs it: the simulator, the binary, Kafka, Postgres.

mod administration;
mod cases;
mod closeio;
mod doorbell;
mod kills;
pub(crate) mod laboratory;
mod mailbox;
mod model;
mod people;
mod silence;
mod start;
mod truth;

use std::time::Duration;

use self::{
    laboratory::{Organization, reader},
    truth::EVERYTHING,
};
use crate::stack::{database, shared};

/// The longest wait for an organization to arrive, on a slow and busy machine.
const ARRIVAL: Duration = Duration::from_mins(3);

#[tokio::test(flavor = "multi_thread")]
async fn an_organization_arrives_complete_and_then_follows_its_changes() {
    let _stack = shared().await;
    let organization = Organization::with_leads(60, 5).await;
    let worker = reader("close", &organization, "").start().await;
    let client = database().await;
    truth::equal(&organization, &client, &worker.name, EVERYTHING).await;
    organization.changes(300, 11).await;
    truth::arrives(&organization, &client, &worker, EVERYTHING).await;
}
