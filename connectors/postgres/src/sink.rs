//! Connects, claims, applies: what the worker calls.

use std::sync::Arc;

use tokio_postgres::Client;
use towpath_api::{Applied, Batch, Claim, Error, ErrorType, OpenSink, Result, Sink, TopicPartition};

use crate::{
    apply::{Attempt, Known, Transaction},
    bookkeeping,
    config::PostgresSinkConfig,
    connection,
    isolate::may_be_halved,
    name::TableName,
};

/// Opens connections of one connector.
#[derive(Debug, Clone)]
pub struct OpenPostgresSink {
    settings: Arc<Settings>,
}

#[derive(Debug)]
struct Settings {
    name: String,
    owner: String,
    config: PostgresSinkConfig,
    tolerate_poison: bool,
}

impl OpenPostgresSink {
    /// For connector `name`; `owner` names this process in `towpath.sink_partition`; no
    /// other process may have the same, for by it a claim of our own is told from that of somebody else. With `tolerate_poison` a record that
    /// can never be stored becomes a dead letter, without it the task fails there.
    pub fn new(name: impl Into<String>, owner: impl Into<String>, config: PostgresSinkConfig, tolerate_poison: bool) -> Self {
        Self { settings: Arc::new(Settings { name: name.into(), owner: owner.into(), config, tolerate_poison }) }
    }
}

impl OpenSink for OpenPostgresSink {
    type Sink = PostgresSink;

    async fn open(&self) -> Result<PostgresSink> {
        let settings = Arc::clone(&self.settings);
        let client = connection::connect(&settings.config, &format!("towpath/{}", settings.name)).await?;
        bookkeeping::require_primary(&client).await?;
        bookkeeping::ensure(&client).await?;
        Ok(PostgresSink { settings, client, known: Known::default() })
    }
}

/// One connection to Postgres.
#[derive(Debug)]
pub struct PostgresSink {
    settings: Arc<Settings>,
    client: Client,
    known: Known,
}

impl PostgresSink {
    fn table(&self, topic: &str) -> Result<TableName> {
        TableName::of_topic(&self.settings.config.table_name_format, topic).map_err(|reason| {
            Error::fatal("postgres.table_name", ErrorType::Config, format!("name the table of topic `{topic}`: {reason}"))
        })
    }
}

impl Sink for PostgresSink {
    async fn claim(&mut self, partition: &TopicPartition, earliest: i64, previous: Option<&Claim>) -> Result<Claim> {
        let table = self.table(&partition.topic)?;
        let Settings { name, owner, .. } = &*self.settings;
        let (epoch, next_offset) =
            bookkeeping::claim(&mut self.client, name, owner, &table, partition, earliest, previous).await?;
        Ok(Claim { partition: partition.clone(), epoch, next_offset, target: table.to_string().into() })
    }

    async fn apply(&mut self, claim: &Claim, batch: &Batch) -> Result<Applied> {
        let table = self.table(&batch.partition.topic)?;
        let tolerate = self.settings.tolerate_poison;
        let mut transaction = Transaction {
            client: &self.client,
            known: &mut self.known,
            sink: &self.settings.name,
            owner: &self.settings.owner,
            table: &table,
            config: &self.settings.config,
            batch,
        };
        let first = transaction.attempt(claim, Attempt::Whole, tolerate).await;
        match first {
            Err(error) if may_be_halved(&error, &batch.records) => transaction.attempt(claim, Attempt::InParts, tolerate).await,
            done => done,
        }
    }
}
