//! Rows that a comparison no longer found: which of them are gone.

use futures::{StreamExt as _, stream};
use towpath_api::Result;

use super::{
    known::Unseen,
    rows::{Ask, Row, one},
};
use crate::{catalogue::Kind, client::concerns_one_object, moment::Moment};

/// What became of rows that no list had.
#[derive(Debug)]
pub(super) struct Verdict {
    /// Close has them no more; `None` if they are more than may be deleted: some were not looked at then.
    pub(super) gone: Option<Vec<(Unseen, Moment)>>,
    /// Close has them; its list left them out.
    pub(super) there: Vec<Row>,
}

/// Looks at each of the `unseen` rows, at most `at_once` of them at a time. Those for which `expected` says so do not
/// count for the brake, which allows `allowed` of the others; it is what is left afterwards.
///
/// # Errors
/// Those of the client, but for answers about a single row: the row is kept then.
pub(super) async fn judge(
    close: &impl Ask,
    kind: &'static Kind,
    unseen: Vec<Unseen>,
    allowed: &mut u64,
    at_once: usize,
    expected: impl Fn(&Unseen) -> bool,
) -> Result<Verdict> {
    let (mut gone, mut there) = (Vec::new(), Vec::new());
    let look = |unseen: Unseen| async move {
        let asked = close.now();
        let there = if kind.has_single { one(close, kind, &unseen.id).await } else { Ok(None) };
        (unseen, asked, there)
    };
    let mut looks = stream::iter(unseen).map(look).buffer_unordered(at_once);
    while let Some((unseen, asked, row)) = looks.next().await {
        match row {
            Ok(Some(row)) => there.push(row),
            Ok(None) => {
                if !expected(&unseen) {
                    let Some(left) = allowed.checked_sub(1) else { return Ok(Verdict { gone: None, there }) };
                    *allowed = left;
                }
                let read_at = asked.unwrap_or(unseen.updated);
                gone.push((unseen, read_at));
            }
            // Close says nothing about this row: it stays.
            Err(error) if concerns_one_object(&error) => {}
            Err(error) => return Err(error),
        }
    }
    Ok(Verdict { gone: Some(gone), there })
}
