//! Close's own number of rows, which no walk of ours has made: `total_results` of a list, `count` of a search. Lists of
//! activities have neither, but say if more rows follow a place, so the place after which none follows is searched.
//! Rows that Close counts and cannot show have a place as well.
//!
//! Where Close can filter, it counts the rows that were created before the run began: those that are created meanwhile
//! do not disturb, and the log has them. Activities may be created in the future, so those ahead are counted as well.

use std::time::Duration;

use serde_json::{Map, Value as Json};
use towpath_api::Result;

use super::{check::Counted, rows::Ask};
use crate::{
    catalogue::{Kind, Listing},
    client::{Answer, concerns_one_object},
    moment::Moment,
    walk::{Created, Cursor, Found},
};

/// Rows that are created later than this after Close counts are ahead.
const AHEAD: Duration = Duration::from_mins(1);
/// Close's clock is at most this far ahead of the time that it was known to have passed.
const CLOCK: Duration = Duration::from_secs(3);

/// Asks for the number of rows of an object, for a run that began at this time, and says which they are; a good `guess`
/// saves requests. `None` if Close gives no number, or says something else than what was asked for.
///
/// # Errors
/// Those of the client, but for answers that concern this object alone.
pub(super) async fn count(close: &impl Ask, kind: &Kind, began: Moment, guess: u64) -> Result<Option<(u64, Counted)>> {
    let after = close.now().unwrap_or(began);
    let (before, from) = (began.second(), after.plus(AHEAD).second());
    let close_count = match kind.listing {
        Listing::Dated(_) => {
            let old = Created::range(None, Some(Moment(before.0 - 1)));
            let ahead = Created::range(Some(from), None);
            let old = listed(close, kind, old.parameters(), |at| at < before, Some(guess)).await?;
            let ahead = listed(close, kind, ahead.parameters(), |at| at >= from, Some(0)).await?;
            old.zip(ahead).map(|(old, ahead)| old + ahead)
        }
        Listing::Searched => found(close, kind, Found::range(None, Some(before))).await?,
        Listing::Full(_) | Listing::FullThenSingle(_) => listed(close, kind, Vec::new(), |_| true, Some(guess)).await?,
        Listing::PerParent { .. } | Listing::Organization => None,
    };
    let outside = matches!(kind.listing, Listing::Dated(_) | Listing::Searched).then_some((before, from));
    let between = (after, close.now().unwrap_or(after).plus(CLOCK));
    Ok(close_count.map(|number| (number, Counted { outside, between })))
}

/// The number of all rows of an object at the moment, if Close says so at once.
///
/// # Errors
/// As for [`count`].
pub(super) async fn expected(close: &impl Ask, kind: &Kind) -> Result<Option<u64>> {
    match kind.listing {
        Listing::Searched => found(close, kind, Found::default()).await,
        Listing::PerParent { .. } | Listing::Organization => Ok(None),
        _ => listed(close, kind, Vec::new(), |_| true, None).await,
    }
}

/// The number of rows of a list: its `total_results`, or what is searched with a `guess`. Close ignores a filter that
/// it does not know, so the row that comes first must obey.
async fn listed(
    close: &impl Ask,
    kind: &Kind,
    filter: Vec<(&'static str, String)>,
    obeys: impl Fn(Moment) -> bool,
    guess: Option<u64>,
) -> Result<Option<u64>> {
    let further = match kind.listing {
        Listing::Dated(further) | Listing::Full(further) | Listing::FullThenSingle(further) => further,
        _ => &[],
    };
    let mut query: Vec<(&str, &str)> = filter.iter().map(|(name, value)| (*name, value.as_str())).collect();
    query.extend(further);
    query.push(("_limit", "1"));
    let Some(body) = answered(close.get(kind.path, &query).await)? else { return Ok(None) };
    if !created(&body).all(obeys) {
        return Ok(None);
    }
    let total = body.get("total_results").and_then(Json::as_u64);
    // A bare list ignores the limit, and is whole.
    let rows = body.get("data").and_then(Json::as_array).map_or(0, |rows| rows.len() as u64);
    match (total, body.get("has_more").and_then(Json::as_bool), guess) {
        (Some(total), ..) => Ok(Some(total)),
        (None, Some(false), _) => Ok(Some(rows)),
        (None, Some(true), Some(guess)) => last_place(close, kind, &query, guess).await,
        _ => Ok(None),
    }
}

/// The number of rows of a list that has at least two: the place after which none follows.
async fn last_place(close: &impl Ask, kind: &Kind, query: &[(&str, &str)], guess: u64) -> Result<Option<u64>> {
    // At least `low` rows, and fewer than `high`.
    let (mut low, mut high) = (2, None);
    let (mut tries, mut step) = (vec![guess, guess.saturating_add(1)], 1);
    while high.is_none_or(|high| low + 1 < high) {
        let within = |number: &u64| *number > low && high.is_none_or(|high| *number < high);
        let number = tries.pop().filter(within).unwrap_or_else(|| {
            if let Some(high) = high {
                low + (high - low) / 2
            } else {
                step *= 2;
                low + step
            }
        });
        let skip = (number - 2).to_string();
        let query = [query, &[("_skip", &skip)]].concat();
        let Some(body) = answered(close.get(kind.path, &query).await)? else { return Ok(None) };
        match body.get("has_more").and_then(Json::as_bool) {
            Some(true) => low = number,
            Some(false) => high = Some(number),
            None => return Ok(None),
        }
    }
    Ok(Some(low))
}

/// `count` of a search.
async fn found(close: &impl Ask, kind: &Kind, range: Found) -> Result<Option<u64>> {
    let fields = ["id".to_owned(), "date_created".to_owned()];
    let body = range.body(kind.name, &fields, &Cursor::default(), 1, true);
    let Some(body) = answered(close.search(&body).await)? else { return Ok(None) };
    let total = body.get("count").and_then(|count| count.get("total")).and_then(Json::as_u64);
    Ok(total.filter(|_| created(&body).all(|at| range.before.is_none_or(|before| at < before))))
}

/// The times at which the rows of an answer were created.
fn created(body: &Map<String, Json>) -> impl Iterator<Item = Moment> + '_ {
    let rows = body.get("data").and_then(Json::as_array).into_iter().flatten();
    rows.filter_map(|row| Moment::parse(row.get("date_created")?.as_str()?))
}

fn answered(answer: Result<Answer>) -> Result<Option<Map<String, Json>>> {
    match answer {
        Ok(answer) => Ok(Some(answer.body)),
        Err(error) if concerns_one_object(&error) => Ok(None),
        Err(error) => Err(error),
    }
}
