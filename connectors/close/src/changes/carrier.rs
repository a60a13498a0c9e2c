//! The first record with a new schema.
//!
//! Columns and their comments follow records, so a table would learn of a new custom field, or of a new label, with the
//! next change of the object only. One row of each object whose schema has changed is read by its id, and its record
//! carries the schema. The position names these objects from before their schema is registered until the record is
//! published. A row that Close does not give is left to the log.

use std::time::Duration;

use towpath_api::{ChangeEvent, Reaction, Result};

use crate::{
    catalogue::{Kind, kind},
    client::{Answer, Lane},
    context::Context,
    live_rows::live_rows,
    position::ClosePosition,
    record::{Shape, read_row},
};

/// The name of this part of the source, for people.
const PART: &str = "new schemas";
/// Offsets of a partition in which a row is looked for.
const LAST: i64 = 200;
/// Rows that are tried: some may be gone by now.
const TRIES: usize = 3;

/// Publishes a record of each object whose schema has changed. `again` is the time until the next call.
///
/// # Errors
/// Those of the publisher. Others are shown, and the next call tries again.
pub(super) async fn carry(context: &Context, again: Duration) -> Result<()> {
    let objects = context.outbox.look(|position| position.carries.clone());
    if objects.is_empty() {
        return Ok(());
    }
    // What was noted before this is in this structure, or is noted again by the renewal that has failed.
    let structure = context.settled_structure().await;
    for object in objects {
        let shape = kind(&object).and_then(|kind| structure.shape(kind));
        let record = match shape.filter(|shape| can_carry(shape.kind)) {
            Some(shape) => match record_of(context, shape).await {
                Ok(record) => record,
                Err(error) if error.reaction == Reaction::Fatal => None,
                Err(error) => {
                    context.life.part_waits(PART, &error, 1, again);
                    return Ok(());
                }
            },
            None => None,
        };
        let carried = move |position: &mut ClosePosition| {
            position.carries.remove(&object);
        };
        context.outbox.publish(record.into_iter().collect(), carried).await?;
    }
    context.life.part_works(PART);
    Ok(())
}

/// Objects with custom fields: the schemas of others change with a version of Towpath only.
fn can_carry(kind: &Kind) -> bool {
    kind.custom.is_some() && kind.has_single
}

/// The record of one of the last rows of the topic; `None` if Close gives none of them.
async fn record_of(context: &Context, shape: &Shape) -> Result<Option<ChangeEvent>> {
    for id in last_rows(context, shape.kind.name).await? {
        let path = format!("{}{id}/", shape.kind.path);
        match context.close.hasty().get(Lane::Changes, &path, &[]).await {
            Ok(Answer { body, read_at, .. }) => {
                return Ok(read_row(shape, &body, read_at).ok().map(|(record, _)| record));
            }
            Err(error) if error.reaction == Reaction::Fatal => {}
            Err(error) => return Err(error),
        }
    }
    Ok(None)
}

/// The ids of rows that the end of a topic has and that are not deleted, the newest first.
async fn last_rows(context: &Context, object: &str) -> Result<Vec<String>> {
    let ends = context.records.ends(object).await?;
    let from: Vec<i64> = ends.iter().map(|end| end.saturating_sub(LAST).max(0)).collect();
    let mut rows = live_rows(&*context.records, object, &from).await?;
    rows.sort_unstable_by(|a, b| b.cmp(a));
    Ok(rows.into_iter().map(|(_, id)| id).take(TRIES).collect())
}
