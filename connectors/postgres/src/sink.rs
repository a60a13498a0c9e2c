//! Connect, claim, apply: the interface to the worker.

use std::{
    collections::HashMap,
    sync::{Arc, Mutex, PoisonError},
    time::Duration,
};

use tokio_postgres::Client;
use towpath_api::{
    Anchor, Applied, ApplyError, Batch, Beginning, Claim, OpenSink, Record, Result, Sink, StandardView,
    StoredDeadLetter, StoredOffset, Superseded, TopicPartition, WaitingRecord,
};

use crate::{
    apply::attempt,
    bookkeeping, codes,
    config::{InsertMode, MetadataColumns, PostgresSinkConfig, SchemaEvolution},
    connection,
    filter::Unmatched,
    foreign_key_wait::{ForeignKeyWaits, can_be_parted, find_waiting, grouped, may_be_cured, part, wait_error},
    isolate::may_be_halved,
    key::Keys,
    name::TableName,
    offsets, outbox,
    sqlstate::is_curable,
    superseded::{self, Target},
    table::place,
    transaction::{Attempt, MayRefer, SessionCache, Transaction},
    views::Views,
    waiting,
};

/// How long a batch is retried whose records cannot be written in an order that the references permit, if there is no
/// `errors.retry.timeout`.
const LONGEST_DISORDER: Duration = Duration::from_mins(1);

/// Opens connections for one connector.
#[derive(Debug, Clone)]
pub struct OpenPostgresSink {
    settings: Arc<Settings>,
}

/// Settings of a sink that the worker decides, apart from the keys of the connector.
#[derive(Debug, Clone)]
pub struct SinkSettings {
    /// The name of the connector.
    pub name: String,
    /// The name of this process in `towpath.sink_partition`. Must be unique per process; it distinguishes our own
    /// earlier claim from another worker's.
    pub owner: String,
    /// True if a record that can never be stored is dead-lettered. Otherwise the partition waits at that record.
    pub tolerate_poison: bool,
    /// The maximum time for which to retry a record that later records may make acceptable; `None` for no limit.
    pub retry_timeout: Option<Duration>,
}

#[derive(Debug)]
struct Settings {
    name: String,
    owner: String,
    config: PostgresSinkConfig,
    tolerate_poison: bool,
    retry_timeout: Option<Duration>,
    foreign_key_waits: ForeignKeyWaits,
    views: Views,
    /// The tables of topics, as far as they exist.
    tables: Mutex<HashMap<String, TableName>>,
    unmatched: Unmatched,
}

impl OpenPostgresSink {
    /// Connects nowhere yet; [`OpenSink::open`] does.
    pub fn new(settings: SinkSettings, config: PostgresSinkConfig) -> Self {
        Self::with_views(settings, config, &[])
    }

    /// As [`OpenPostgresSink::new`], for a sink that creates these views over its tables, unless the configuration
    /// rules it out.
    pub fn with_views(settings: SinkSettings, config: PostgresSinkConfig, views: &'static [StandardView]) -> Self {
        let installs = config.views_install && config.schema_evolution == SchemaEvolution::Evolve;
        let SinkSettings { name, owner, tolerate_poison, retry_timeout } = settings;
        Self {
            settings: Arc::new(Settings {
                name,
                owner,
                config,
                tolerate_poison,
                retry_timeout,
                foreign_key_waits: ForeignKeyWaits::default(),
                views: Views::new(if installs { views } else { &[] }),
                tables: Mutex::default(),
                unmatched: Unmatched::default(),
            }),
        }
    }
}

impl OpenSink for OpenPostgresSink {
    type Sink = PostgresSink;

    async fn open(&self) -> Result<PostgresSink> {
        let settings = Arc::clone(&self.settings);
        let client = connection::connect(&settings.config, &format!("towpath/{}", settings.name)).await?;
        bookkeeping::require_primary(&client).await?;
        bookkeeping::ensure(&client).await?;
        Ok(PostgresSink { settings, client, cache: SessionCache::default() })
    }
}

#[derive(Debug)]
pub struct PostgresSink {
    settings: Arc<Settings>,
    client: Client,
    cache: SessionCache,
}

impl PostgresSink {
    /// The table of a topic. It is looked for until it exists, so that a table which somebody creates meanwhile under
    /// its exact name is found; then all connections of the connector have the same.
    async fn table(&self, topic: &str) -> Result<TableName> {
        let known = || self.settings.tables.lock().unwrap_or_else(PoisonError::into_inner);
        if let Some(name) = known().get(topic) {
            return Ok(name.clone());
        }
        let names = place::names(&self.settings.config, topic)?;
        let (name, exists) =
            if names.is_plain() { (names.folded(), true) } else { place::find(&self.client, &names, topic).await? };
        if exists {
            known().insert(topic.to_owned(), name.clone());
        }
        Ok(name)
    }
}

impl PostgresSink {
    /// Writes the batch as a whole or, if single records of it are refused, in parts. It leaves out the records
    /// `waiting`.
    async fn apply_all(
        &mut self,
        table: &TableName,
        claim: &Claim,
        batch: &Batch,
        waiting: &[Record],
        may_refer: &MayRefer,
    ) -> Result<Applied, ApplyError> {
        let tolerate = self.settings.tolerate_poison;
        let mut transaction = self.transaction(table, batch, waiting, may_refer);
        let mut stored = attempt(&mut transaction, claim, Attempt::Whole, tolerate).await;
        if stored.as_ref().is_err_and(|failed| failed.error.code == codes::TABLE_CHANGED) {
            transaction.drop_cached_tables();
            stored = attempt(&mut transaction, claim, Attempt::Whole, tolerate).await;
        }
        if stored.as_ref().is_err_and(|failed| failed.error.code == codes::FOREIGN_KEY) {
            // The referenced row may be in the same batch.
            stored = attempt(&mut transaction, claim, Attempt::Together, tolerate).await;
        }
        match stored {
            Err(failed) if failed.error.code == codes::FOREIGN_KEY && *may_refer == MayRefer::Nothing => Err(failed),
            Err(failed) if may_be_halved(&failed.error, &batch.records) => {
                attempt(&mut transaction, claim, Attempt::InParts, tolerate).await
            }
            done => done,
        }
    }

    /// Writes the batch without the records that other rows keep from being written. These wait, at most for
    /// `errors.retry.timeout`.
    async fn apply_part(
        &mut self,
        table: &TableName,
        claim: &Claim,
        batch: &Batch,
        failed: Result<Applied, ApplyError>,
    ) -> Result<Applied, ApplyError> {
        let settings = Arc::clone(&self.settings);
        let limit = settings.retry_timeout;
        let keys = Keys::new(settings.config.primary_key(), &settings.config.pk_fields);
        let (records, lengths) = grouped(batch, keys);
        let overdue = waiting::overdue(&self.client, &settings.name, &batch.partition, limit).await?;
        let mut transaction = self.transaction(table, batch, &[], &MayRefer::Nothing);
        let offsets = find_waiting(&mut transaction, claim, &records, &lengths, &overdue).await?;
        let (rest, waiting) = part(batch, &offsets);
        if waiting::are_too_many(batch, &waiting) {
            return match failed {
                Err(failed) if settings.foreign_key_waits.may_wait(batch, limit) => {
                    Err(wait_error(batch, failed.error).into())
                }
                _ => self.apply_all(table, claim, batch, &[], &MayRefer::Anything).await,
            };
        }
        if rest.records.is_empty() && batch.from == batch.to {
            let mut applied = Applied::default();
            (applied.waiting, applied.streak) = (waiting.len() as u64, claim.streak);
            return Ok(applied);
        }
        match self.apply_all(table, claim, &rest, &waiting, &MayRefer::Overdue(overdue)).await {
            // A row that others refer to was deleted between the experiment and this transaction. Or a record can be
            // written before later ones of its key only, and refers to a row behind these.
            Err(failed) if is_curable(failed.error.code) => {
                if settings.foreign_key_waits.may_wait(batch, Some(limit.unwrap_or(LONGEST_DISORDER))) {
                    return Err(wait_error(batch, failed.error).into());
                }
                self.apply_all(table, claim, &rest, &waiting, &MayRefer::Anything).await
            }
            done => done,
        }
    }

    /// After a transaction has ended, so that its outcome does not depend on a view.
    async fn keep_views(&mut self) {
        let settings = Arc::clone(&self.settings);
        settings.views.keep(&mut self.client, &settings.name).await;
    }

    fn transaction<'a>(
        &'a mut self,
        table: &'a TableName,
        batch: &'a Batch,
        waiting: &'a [Record],
        may_refer: &'a MayRefer,
    ) -> Transaction<'a> {
        let Settings { name, owner, config, unmatched, .. } = &*self.settings;
        let (client, cache) = (&self.client, &mut self.cache);
        Transaction { client, cache, sink: name, owner, table, config, unmatched, batch, waiting, may_refer }
    }
}

impl Sink for PostgresSink {
    async fn claim(
        &mut self,
        partition: &TopicPartition,
        beginning: &Beginning,
        previous: Option<&Claim>,
    ) -> Result<Claim> {
        let table = self.table(&partition.topic).await?;
        let Settings { name, owner, config, .. } = &*self.settings;
        let has_view = config.metadata_columns != MetadataColumns::None && config.insert_mode != InsertMode::Insert;
        let mut companions: Vec<TableName> = has_view.then(|| table.live_view()).into_iter().collect();
        companions.extend(config.history_enabled.then(|| table.history()));
        let claim =
            bookkeeping::claim(&mut self.client, name, owner, &table, &companions, partition, beginning, previous)
                .await?;
        self.keep_views().await;
        Ok(claim)
    }

    async fn apply(&mut self, claim: &Claim, batch: &Batch) -> Result<Applied, ApplyError> {
        let table = self.table(&batch.partition.topic).await?;
        let limit = self.settings.retry_timeout;
        let may_refer = if limit == Some(Duration::ZERO) { MayRefer::Anything } else { MayRefer::Nothing };
        let mut stored = self.apply_all(&table, claim, batch, &[], &may_refer).await;
        if may_be_cured(&stored) {
            let settings = Arc::clone(&self.settings);
            match stored {
                Err(failed) if settings.foreign_key_waits.waits_together(batch) => {
                    return Err(wait_error(batch, failed.error).into());
                }
                failed if can_be_parted(batch, &settings.config) => {
                    stored = self.apply_part(&table, claim, batch, failed).await;
                }
                Err(failed) if settings.foreign_key_waits.may_wait(batch, limit) => {
                    return Err(wait_error(batch, failed.error).into());
                }
                _ => stored = self.apply_all(&table, claim, batch, &[], &MayRefer::Anything).await,
            }
        }
        if stored.is_ok() {
            self.settings.foreign_key_waits.clear(&batch.partition);
            if self.cache.has_altered() {
                self.settings.views.note_change();
            }
            self.keep_views().await;
        }
        stored
    }

    async fn waiting(&mut self, partition: &TopicPartition) -> Result<Vec<WaitingRecord>> {
        waiting::read(&self.client, &self.settings.name, partition).await
    }

    async fn positions(&mut self) -> Result<Vec<StoredOffset>> {
        offsets::positions(&self.client, &self.settings.name).await
    }

    async fn seek(&mut self, partition: &TopicPartition, to: i64, anchor: Option<Anchor>) -> Result<()> {
        offsets::seek(&self.client, &self.settings.name, &self.settings.owner, partition, to, anchor).await
    }

    async fn seek_new_records(
        &mut self,
        partition: &TopicPartition,
        to: i64,
        anchor: Option<Anchor>,
        count_only: bool,
    ) -> Result<Vec<Superseded>> {
        let table = self.table(&partition.topic).await?;
        let Settings { name, owner, config, .. } = &*self.settings;
        let target = Target { table: &table, config, partition };
        superseded::seek(&mut self.client, name, owner, target, to, anchor, count_only).await
    }

    async fn unpublished(&mut self, most: usize) -> Result<Vec<StoredDeadLetter>> {
        outbox::unpublished(&self.client, &self.settings.name, most).await
    }

    async fn published(&mut self, letters: &[StoredDeadLetter]) -> Result<()> {
        outbox::mark_published(&self.client, &self.settings.name, letters).await
    }

    async fn unpublishable(&mut self, letter: &StoredDeadLetter, reason: &str) -> Result<()> {
        outbox::mark_unpublishable(&self.client, &self.settings.name, letter, reason).await
    }

    fn is_open(&self) -> bool {
        !self.client.is_closed()
    }
}
