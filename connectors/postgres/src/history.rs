//! Every change as a row of its own: `insert.mode=insert`, and the table of `history.enabled`.

use std::sync::Arc;

use towpath_api::{Applied, Body, EVENT_ID_HEADER, Record, RecordOp, Result};

use crate::{
    apply::Transaction,
    config::{DeleteMode, PrimaryKeyMode},
    dead_letter::DeadLetter,
    name::TableName,
    sqlstate::refused,
    statement::{self, Appended},
    table::{Table, Wish},
    tally::count,
    write::{misfit, remember, with},
};

impl<'a> Transaction<'a> {
    /// Adds a row for each record to the table `name`. With `counted` the table is the only one, and what becomes of
    /// each record is counted.
    pub(crate) async fn append(
        &mut self,
        records: &'a [Record],
        name: &TableName,
        counted: Option<&mut Applied>,
        letters: &mut Vec<DeadLetter<'a>>,
    ) -> Result<()> {
        let pk = if counted.is_some() { self.config.primary_key() } else { PrimaryKeyMode::Kafka };
        let mut uncounted = Applied::default();
        let applied = counted.unwrap_or(&mut uncounted);
        let mut rows: Vec<Appended<'a>> = Vec::with_capacity(records.len());
        for record in records {
            match &record.body {
                Body::Undecodable { .. } => letters.push(DeadLetter::undecodable(record)),
                Body::Change(_) | Body::Tombstone(_) if self.leaves_out(&record.body) => applied.filtered += 1,
                Body::Tombstone(None) => applied.tombstones += 1,
                // `leaves_out` has taken what is filtered.
                Body::Filtered => {}
                Body::Change(_) | Body::Tombstone(Some(_)) => match self.event_id(record, pk) {
                    Some(event_id) => rows.push(Appended { record, event_id }),
                    None => letters.push(DeadLetter::without_event_id(record)),
                },
            }
        }
        if rows.is_empty() {
            return Ok(());
        }
        let table = self.log_table(&rows, name, pk).await?;
        let statement = statement::append(&table, pk, self.batch, &rows).map_err(misfit)?;
        let prepared = self.prepare(&statement.sql).await?;
        let added = self.client.execute(&prepared, &statement.parameters()).await;
        let added = added.map_err(|error| refused(format!("add {} rows to table {name}", rows.len()), error))?;
        applied.inserted += added;
        applied.stale += count(rows.len()) - added;
        Ok(())
    }

    fn leaves_out(&self, body: &Body) -> bool {
        match body {
            Body::Change(change) if change.op == RecordOp::Delete => self.config.delete_mode == DeleteMode::Ignore,
            Body::Change(change) => change.op == RecordOp::Truncate && !self.config.truncate_enabled,
            Body::Tombstone(_) => self.config.delete_mode == DeleteMode::Ignore,
            Body::Filtered => true,
            Body::Undecodable { .. } => false,
        }
    }

    /// The id of the event, where it is the key; `None` when it lacks.
    fn event_id(&self, record: &Record, pk: PrimaryKeyMode) -> Option<&'a str> {
        if pk != PrimaryKeyMode::EventId {
            return Some("");
        }
        let (_, id) = self.batch.arena.headers(record.payload.headers).find(|(name, _)| *name == EVENT_ID_HEADER)?;
        std::str::from_utf8(id?).ok()
    }

    async fn log_table(&mut self, rows: &[Appended<'a>], name: &TableName, pk: PrimaryKeyMode) -> Result<Arc<Table>> {
        // The fields of the record's key are columns as the others are.
        let (mut schemas, mut values) = (Vec::new(), Vec::new());
        for row in rows {
            match &row.record.body {
                Body::Change(change) => {
                    change.key.iter().for_each(|key| remember(&mut schemas, &key.schema));
                    remember(&mut values, &change.schema);
                }
                Body::Tombstone(Some(key)) => remember(&mut schemas, &key.schema),
                Body::Tombstone(None) | Body::Filtered | Body::Undecodable { .. } => {}
            }
        }
        schemas = with(&schemas, &values);
        if let Some(known) = self.known(name) {
            if schemas.iter().all(|schema| known.holds(schema)) {
                return Ok(known);
            }
            schemas = with(&known.schemas, &schemas);
        }
        let wish = Wish::of_log(name, self.config, pk, schemas);
        self.ensure(wish).await
    }
}
