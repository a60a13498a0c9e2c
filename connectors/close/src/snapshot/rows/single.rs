//! Rows that are read by their ids. A row that Close refuses costs itself alone.

use futures::{StreamExt as _, stream};
use towpath_api::{Error, Result};

use super::{Ask, Fetched, Reader, Row};
use crate::{
    catalogue::Kind,
    client::{concerns_one_object, refusal},
    codes,
    id_sum::id_sum,
    walk::{Mark, Page},
};

/// Rows that are asked for by their ids in one step, as far as the readers suffice.
const SINGLES: usize = 16;

/// A row that Close has and does not give.
#[derive(Debug)]
pub(in super::super) struct Refused {
    pub(in super::super) id: String,
    pub(in super::super) error: Error,
}

impl Reader {
    /// Some of the rows that a request names, from its `next` on.
    pub(super) async fn by_ids(&self, close: &impl Ask, next: usize, end: usize) -> Result<Fetched> {
        let end = end.min(next + SINGLES).min(self.ids.len());
        let ids = self.ids.get(next..end).unwrap_or_default();
        let (rows, refused) = self.singles(close, ids.iter().cloned().enumerate().collect(), ids.len()).await?;
        let gone = |at: &usize| rows[*at].is_none() && !refused.iter().any(|(place, _)| place == at);
        let gone = (0..ids.len()).filter(gone).map(|at| ids[at].clone()).collect();
        let marks = ids.iter().map(|id| Mark { id: id_sum(id), created: None }).collect();
        Ok(Fetched { rows, refused, gone, page: Page { rows: marks, ..Page::default() }, without_id: 0 })
    }

    /// Reads each row of a page by its id. Rows that Close refuses are left out, unless it refuses all of several.
    pub(super) async fn whole(&self, close: &impl Ask, mut fetched: Fetched) -> Result<Fetched> {
        let count = fetched.rows.len();
        let ids = fetched.rows.drain(..).enumerate().filter_map(|(at, row)| Some((at, row?.id)));
        (fetched.rows, fetched.refused) = self.singles(close, ids.collect(), count).await?;
        let its_own = |(_, refused): &(usize, Refused)| refused.error.code == codes::TOO_LARGE;
        let of_all = count > 1 && fetched.refused.len() == count && !fetched.refused.iter().any(its_own);
        if of_all && let Some((_, last)) = fetched.refused.pop() { Err(last.error) } else { Ok(fetched) }
    }

    /// Reads rows by their ids, each with its place in a page of `count` rows.
    async fn singles(
        &self,
        close: &impl Ask,
        ids: Vec<(usize, String)>,
        count: usize,
    ) -> Result<(Vec<Option<Row>>, Vec<(usize, Refused)>)> {
        let read = |(at, id): (usize, String)| async move {
            // The semaphore is never closed.
            let _permit = self.singles.acquire().await;
            (at, one(close, self.kind, &id).await, id)
        };
        let mut reads = stream::iter(ids).map(read).buffer_unordered(SINGLES);
        let (mut rows, mut refused) = (vec![None; count], Vec::new());
        while let Some((at, row, id)) = reads.next().await {
            match row {
                Ok(row) => rows[at] = row,
                Err(error) if concerns_one_object(&error) => refused.push((at, Refused { id, error })),
                Err(error) => return Err(error),
            }
        }
        Ok((rows, refused))
    }
}

/// Reads one row by its id; `None` if there is none.
///
/// # Errors
/// Those of the client.
pub(in super::super) async fn one(close: &impl Ask, kind: &Kind, id: &str) -> Result<Option<Row>> {
    match close.get(&format!("{}{id}/", kind.path), &[]).await {
        Ok(answer) => Ok(Some(Row { id: id.to_owned(), content: answer.body, read_at: answer.read_at })),
        // Close documents 404 for what is gone; a 410 would say the same.
        Err(error)
            if error.code == codes::NOT_FOUND || refusal(&error).is_some_and(|refusal| refusal.status == 410) =>
        {
            Ok(None)
        }
        Err(error) => Err(error),
    }
}
