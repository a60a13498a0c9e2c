//! Rows that a comparison no longer found: which of them are gone.

use futures::{StreamExt as _, stream};
use towpath_api::Result;

use super::{
    known::Unseen,
    rows::{Ask, Row, one},
};
use crate::{catalogue::Kind, client::concerns_one_object, moment::Moment};

/// What became of rows that no list had.
#[derive(Debug, Default)]
pub(super) struct Verdict {
    /// Close has them no more.
    pub(super) gone: Vec<(Unseen, Moment)>,
    /// Close has them; its list left them out.
    pub(super) there: Vec<Row>,
    /// True if there are more of them than may be deleted; some were not looked at then.
    pub(super) too_many: bool,
}

/// Looks at each of the `unseen` rows, at most `at_once` of them at a time. Those for which `expected` says so do not
/// count for the brake, which allows `allowed` of the others.
///
/// # Errors
/// Those of the client, but for answers about a single row: the row is kept then.
pub(super) async fn judge(
    close: &impl Ask,
    kind: &'static Kind,
    unseen: Vec<Unseen>,
    allowed: u64,
    at_once: usize,
    expected: impl Fn(&Unseen) -> bool,
) -> Result<Verdict> {
    let mut verdict = Verdict::default();
    let mut counted = 0;
    let look = |unseen: Unseen| async move {
        let asked = close.now();
        let there = if kind.has_single { one(close, kind, &unseen.id).await } else { Ok(None) };
        (unseen, asked, there)
    };
    let mut looks = stream::iter(unseen).map(look).buffer_unordered(at_once);
    while let Some((unseen, asked, there)) = looks.next().await {
        match there {
            Ok(Some(row)) => verdict.there.push(row),
            Ok(None) => {
                counted += u64::from(!expected(&unseen));
                let read_at = asked.unwrap_or(unseen.updated);
                verdict.gone.push((unseen, read_at));
                if counted > allowed {
                    verdict.too_many = true;
                    return Ok(verdict);
                }
            }
            // Close says nothing about this row: it stays.
            Err(error) if concerns_one_object(&error) => {}
            Err(error) => return Err(error),
        }
    }
    Ok(verdict)
}
