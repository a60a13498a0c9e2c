//! One page of an object: the request that its walk asks for, and the rows of the answer.

mod single;

use std::sync::{Arc, Mutex, PoisonError};

use serde_json::{Map, Value as Json};
use tokio::sync::Semaphore;
use towpath_api::{Error, ErrorType, Result};

pub(super) use self::single::{Refused, one};
use super::fields::Fields;
use crate::{
    catalogue::{Kind, Listing, kind},
    client::{Answer, Close, Lane, concerns_one_object, max_skip},
    codes,
    id_sum::id_sum,
    moment::Moment,
    position::Tally,
    record::row_id,
    walk::{Created, Cursor, Found, Mark, Memory, Page, Paged, Parents, Trouble, Walk},
};

/// Rows per page: what every list of Close takes (close-api.md, section 2.1).
pub(super) const LIMIT: u64 = 100;
/// Reading from Close, as far as snapshots need it.
pub(super) trait Ask: Send + Sync + 'static {
    /// Gets a path with a query.
    fn get(&self, path: &str, query: &[(&str, &str)]) -> impl Future<Output = Result<Answer>> + Send;
    /// Searches.
    fn search(&self, body: &Json) -> impl Future<Output = Result<Answer>> + Send;
    /// Close's time, later than all readings so far, if it is known.
    fn now(&self) -> Option<Moment>;
}

impl Ask for Close {
    fn get(&self, path: &str, query: &[(&str, &str)]) -> impl Future<Output = Result<Answer>> + Send {
        Close::get(self, Lane::Snapshot, path, query)
    }

    fn search(&self, body: &Json) -> impl Future<Output = Result<Answer>> + Send {
        Close::search(self, Lane::Snapshot, body)
    }

    fn now(&self) -> Option<Moment> {
        Close::now(self)
    }
}

/// A row as Close gave it.
#[derive(Debug, Clone)]
pub(super) struct Row {
    pub(super) id: String,
    pub(super) content: Map<String, Json>,
    pub(super) read_at: Moment,
}

/// A page as Close gave it: its rows beside what the walk sees of them.
#[derive(Debug, Default)]
pub(super) struct Fetched {
    /// In the order of `page.rows`; `None` for a row that vanished before it could be read by its id, or is refused.
    pub(super) rows: Vec<Option<Row>>,
    pub(super) page: Page,
    /// Rows without an id, which give no record.
    pub(super) without_id: u64,
    /// Rows that Close has and does not give, with their places.
    pub(super) refused: Vec<(usize, Refused)>,
    /// Ids that were asked for and that Close does not have.
    pub(super) gone: Vec<String>,
}

/// The extent of a page.
#[derive(Debug, Clone, Copy)]
struct Extent {
    limit: u64,
    /// True if the list is asked for ids only, and each row is read by its id.
    by_id: bool,
}

/// Reads the pages of one object.
pub(super) struct Reader {
    pub(super) kind: &'static Kind,
    /// The ids of the parents, sorted, if each has a list of its own.
    pub(super) parents: Vec<String>,
    /// The ids that a request names.
    pub(super) ids: Vec<String>,
    /// Of searches.
    fields: Mutex<Fields>,
    /// A permit for each row that may be read by its id at the same time. All objects of a run share it.
    singles: Arc<Semaphore>,
}

/// The two answers to a 400 that a walk can act on.
pub(super) enum Refusal {
    /// `_skip` is above this.
    Skip(u64),
    /// The cursor of a search has expired.
    Cursor,
}

impl Reader {
    pub(super) fn new(kind: &'static Kind, parents: Vec<String>, ids: Vec<String>, singles: Arc<Semaphore>) -> Self {
        Self { kind, parents, ids, fields: Mutex::new(Fields::of(kind)), singles }
    }

    /// Reads the page that a walk asks for. One that is too large is read with fewer rows. If one row is too large, or
    /// the page fails while others do not, its rows are read by their ids, so that only a bad row is left out.
    ///
    /// # Errors
    /// Those of the client.
    pub(super) async fn page(&self, close: &impl Ask, walk: &Walk, cursor: &Cursor) -> Result<Fetched> {
        let mut extent = Extent { limit: LIMIT, by_id: false };
        loop {
            match self.page_of(close, walk, cursor, extent).await {
                Err(error) if error.code == codes::TOO_LARGE && extent.limit > 1 => extent.limit /= 2,
                Err(error)
                    if [codes::TOO_LARGE, codes::FAILING].contains(&error.code)
                        && self.kind.has_single
                        && !extent.by_id =>
                {
                    extent.by_id = true;
                }
                fetched => return fetched,
            }
        }
    }

    async fn page_of(&self, close: &impl Ask, walk: &Walk, cursor: &Cursor, extent: Extent) -> Result<Fetched> {
        let mut fetched = match walk {
            Walk::Created(range) => self.created(close, range, extent).await?,
            Walk::Found(range) => self.found(close, range, cursor, extent).await?,
            Walk::Paged(list) => self.paged(close, list, None, extent).await?,
            Walk::Parents(parents) => match self.parent(parents) {
                None => Fetched::default(),
                Some(parent) => self.paged(close, &parents.list, Some(parent), extent).await?,
            },
            Walk::Ids { next, end } => self.by_ids(close, *next, *end).await?,
        };
        fetched.page.limit = extent.limit;
        Ok(fetched)
    }

    /// The parent whose list is read next.
    pub(super) fn parent(&self, walk: &Parents) -> Option<&str> {
        let at = walk.after.as_ref().map_or(0, |after| self.parents.partition_point(|parent| parent <= after));
        let parent = self.parents.get(at)?;
        walk.until.as_ref().is_none_or(|until| parent <= until).then_some(parent.as_str())
    }

    /// Leaves the list of the next parent behind; returns true if it was the last one.
    pub(super) fn pass(&self, walk: &mut Parents) -> bool {
        if let Some(parent) = self.parent(walk).map(str::to_owned) {
            walk.after = Some(parent);
        }
        walk.list = Paged::default();
        self.parent(walk).is_none()
    }

    /// The number of parents whose lists are still to be read.
    pub(super) fn parents_left(&self, walk: &Parents) -> u64 {
        let (from, to) = self.bounds(walk);
        to.saturating_sub(from) as u64
    }

    /// Cuts the parents in two; returns the second half.
    pub(super) fn split(&self, walk: &mut Parents) -> Option<Parents> {
        let (from, to) = self.bounds(walk);
        let middle = from + to.saturating_sub(from) / 2;
        if middle == from {
            return None;
        }
        let middle = self.parents.get(middle)?.clone();
        let other = Parents { after: Some(middle.clone()), until: walk.until.take(), list: Paged::default() };
        walk.until = Some(middle);
        Some(other)
    }

    /// The places of the parents of a walk.
    fn bounds(&self, walk: &Parents) -> (usize, usize) {
        let upto = |id: &String| self.parents.partition_point(|parent| parent <= id);
        (walk.after.as_ref().map_or(0, upto), walk.until.as_ref().map_or(self.parents.len(), upto))
    }

    async fn created(&self, close: &impl Ask, range: &Created, extent: Extent) -> Result<Fetched> {
        let mut query = self.further();
        query.extend(range.parameters());
        self.list(close, query, extent).await
    }

    async fn paged(&self, close: &impl Ask, list: &Paged, parent: Option<&str>, extent: Extent) -> Result<Fetched> {
        let mut query = self.further();
        if let (Listing::PerParent { parameter, .. }, Some(parent)) = (self.kind.listing, parent) {
            query.push((parameter, parent.to_owned()));
        }
        if list.skip > 0 {
            query.push(("_skip", list.skip.to_string()));
        }
        self.list(close, query, extent).await
    }

    async fn found(&self, close: &impl Ask, range: &Found, cursor: &Cursor, extent: Extent) -> Result<Fetched> {
        let count = range.seen.is_empty() && cursor.text.is_none();
        loop {
            let names = if extent.by_id { Fields::ids() } else { self.fields().names() };
            let answer = match close.search(&range.body(self.kind.name, &names, cursor, extent.limit, count)).await {
                Err(error) if error.code == codes::REFUSED && cursor.text.is_none() && !self.fields().by_id() => {
                    self.fields().refused();
                    continue;
                }
                answer => answer?,
            };
            let fetched = fetched(self.kind, answer)?;
            if extent.by_id {
                return self.whole(close, fetched).await;
            }
            let samples = self.fields().samples();
            self.check_fields(close, &names, &fetched, samples).await?;
            if self.fields().names() == names {
                return if self.fields().by_id() { self.whole(close, fetched).await } else { Ok(fetched) };
            }
        }
    }

    /// Compares what a search gives of some rows with the rows themselves.
    async fn check_fields(&self, close: &impl Ask, asked: &[String], fetched: &Fetched, samples: usize) -> Result<()> {
        for row in fetched.rows.iter().flatten().rev().take(samples) {
            match one(close, self.kind, &row.id).await {
                Ok(Some(whole)) => self.fields().compare(self.kind, asked, &row.content, &whole.content),
                Ok(None) => {}
                Err(error) if concerns_one_object(&error) => self.fields().unread(),
                Err(error) => return Err(error),
            }
        }
        Ok(())
    }

    fn fields(&self) -> std::sync::MutexGuard<'_, Fields> {
        self.fields.lock().unwrap_or_else(PoisonError::into_inner)
    }

    async fn list(&self, close: &impl Ask, query: Vec<(&'static str, String)>, extent: Extent) -> Result<Fetched> {
        let limit = extent.limit.to_string();
        let mut query: Vec<(&str, &str)> = query.iter().map(|(name, value)| (*name, value.as_str())).collect();
        query.push(("_limit", &limit));
        let names = [&["id", "date_created"], self.kind.key].concat().join(",");
        if extent.by_id {
            query.push(("_fields", &names));
        }
        let fetched = fetched(self.kind, close.get(self.kind.path, &query).await?)?;
        if extent.by_id || matches!(self.kind.listing, Listing::FullThenSingle(_)) {
            self.whole(close, fetched).await
        } else {
            Ok(fetched)
        }
    }

    /// The further parameters of the list.
    fn further(&self) -> Vec<(&'static str, String)> {
        match self.kind.listing {
            Listing::Dated(further) | Listing::Full(further) | Listing::FullThenSingle(further) => {
                further.iter().map(|(name, value)| (*name, (*value).to_owned())).collect()
            }
            _ => Vec::new(),
        }
    }
}

/// The ids of all rows of an object, sorted, for an object that is not read itself.
///
/// # Errors
/// Those of the client; `close.refused` if the list cannot be read whole.
pub(super) async fn listed_ids(close: &impl Ask, name: &str) -> Result<Vec<String>> {
    let Some(kind) = kind(name) else { return Ok(Vec::new()) };
    let reader = Reader::new(kind, Vec::new(), Vec::new(), Arc::new(Semaphore::new(1)));
    let unreadable = |trouble: Trouble| {
        let doing = format!("read the list {} of Close: {}", kind.path, trouble.text());
        Error::fatal(codes::REFUSED, ErrorType::Decode, doing)
    };
    let (mut memory, mut cursor, mut ids) = (Memory::default(), Cursor::default(), Vec::new());
    let mut walk = match kind.listing {
        Listing::Searched => Walk::Found(Found::default()),
        _ => Walk::Paged(Paged::default()),
    };
    loop {
        let fetched = reader.page(close, &walk, &cursor).await?;
        let asked = walk.clone();
        let turn = match (&mut walk, &asked) {
            (Walk::Found(range), Walk::Found(asked)) => range.turn(&mut memory, &mut cursor, asked, &fetched.page),
            (Walk::Paged(list), _) => list.turn(&mut memory, &fetched.page),
            _ => return Ok(ids),
        };
        let turn = turn.map_err(unreadable)?;
        ids.extend(fetched.rows.into_iter().flatten().map(|row| row.id));
        if turn.over {
            ids.sort_unstable();
            ids.dedup();
            return Ok(ids);
        }
    }
}

/// What a refusal means for the walk, if it means something.
pub(super) fn acted_on(error: &Error, walk: &Walk, cursor: &Cursor) -> Option<Refusal> {
    if error.code == codes::REFUSED && matches!(walk, Walk::Found(_)) {
        return cursor.text.is_some().then_some(Refusal::Cursor);
    }
    max_skip(error).map(Refusal::Skip)
}

fn fetched(kind: &Kind, answer: Answer) -> Result<Fetched> {
    let Answer { mut body, read_at, .. } = answer;
    let Some(Json::Array(rows)) = body.remove("data") else {
        let doing = format!("read the list {} of Close: the answer has no rows", kind.path);
        return Err(Error::fatal(codes::REFUSED, ErrorType::Decode, doing)
            .with_help("the list is tried again at the next comparison; a newer Towpath may be needed"));
    };
    let listed = rows.len() as u64;
    let rows: Vec<Row> = rows.into_iter().filter_map(|row| row_of(kind, row, read_at)).collect();
    let total = body.get("total_results").or_else(|| body.get("count")?.get("total")).and_then(Json::as_u64);
    Ok(Fetched {
        without_id: listed - rows.len() as u64,
        page: Page {
            rows: rows.iter().map(Row::mark).collect(),
            has_more: body.get("has_more").and_then(Json::as_bool),
            total,
            cursor: body.get("cursor").and_then(Json::as_str).map(str::to_owned),
            limit: LIMIT,
        },
        rows: rows.into_iter().map(Some).collect(),
        ..Fetched::default()
    })
}

fn row_of(kind: &Kind, row: Json, read_at: Moment) -> Option<Row> {
    let Json::Object(content) = row else { return None };
    let id = row_id(kind, &content)?;
    Some(Row { id, content, read_at })
}

/// The counts of rows that Close has.
pub(super) fn tally_of(rows: &[Row]) -> Tally {
    let sum = rows.iter().fold(0, |sum, row| u64::wrapping_add(sum, id_sum(&row.id)));
    Tally { rows: rows.len() as u64, sum, ..Tally::default() }
}

impl Row {
    fn mark(&self) -> Mark {
        let created = self.content.get("date_created").and_then(Json::as_str).and_then(Moment::parse);
        Mark { id: id_sum(&self.id), created }
    }
}
