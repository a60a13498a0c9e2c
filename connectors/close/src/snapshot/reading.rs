//! The readers of a run: each takes the next job of the board, until all objects are over.
//!
//! A page and the walk that goes on behind it are published in one step, so a kill costs the pages that are in flight,
//! and empty lists of single parents, whose step is not waited for. A walk is cut in two only while
//! no page of its object is between the board and the journal: the steps before are in the journal's queue, or
//! published, and both halves are in the position before one is read.

use std::sync::{Arc, Mutex, MutexGuard, PoisonError};

use tokio::{
    sync::{Notify, OnceCell, RwLock, Semaphore},
    task::JoinSet,
};
use towpath_api::{Error, ErrorType, Result};
use tracing::warn;

use super::{
    board::{Asked, Board, Capped, Job, Object},
    known::Known,
    rows::{self, Ask, Fetched, Reader, Refusal, Refused, Row},
};
use crate::{
    catalogue::{self, Kind, Listing},
    client::concerns_one_object,
    codes,
    moment::Moment,
    position::{ObjectEnd, RunKind, SnapshotPosition, SnapshotRequest, Step, Tally},
    walk::{Created, Found, Paged, Parents, Walk},
};

/// What a run needs of the rest of the source.
pub(super) trait Deliver: Send + Sync + 'static {
    /// Publishes the rows together with the step; with `known`, only those that differ from it. Close has none with the
    /// ids `gone`.
    fn publish(
        &self,
        kind: &'static Kind,
        known: Option<&Arc<Mutex<Known>>>,
        batch: Batch,
        step: Step,
    ) -> impl Future<Output = Result<()>> + Send;

    /// What the topic of an object has.
    fn known(&self, kind: &'static Kind) -> impl Future<Output = Result<Known>> + Send;

    /// The ids of the rows that an object has in its topic, sorted; `None` if the object is not read.
    fn parents(&self, kind: &'static Kind) -> impl Future<Output = Result<Option<Vec<String>>>> + Send;

    /// Concludes a comparison of an object all of which was read: deletes what is gone, of which a person has approved
    /// the number `approved`.
    fn conclude(
        &self,
        kind: &'static Kind,
        known: &Arc<Mutex<Known>>,
        approved: u64,
    ) -> impl Future<Output = Result<ObjectEnd>> + Send;

    /// Shows that this number of rows of an object are probably left.
    fn shows(&self, kind: &'static Kind, left: Option<u64>);
}

/// What was read of one object.
#[derive(Debug, Default)]
pub(super) struct Batch {
    pub(super) rows: Vec<Row>,
    pub(super) gone: Vec<String>,
    /// Rows that Close has and does not give.
    pub(super) refused: Vec<Refused>,
    pub(super) tally: Tally,
}

/// A run that is under way.
pub(super) struct Run<A, D> {
    pub(super) close: A,
    pub(super) out: D,
    kind: RunKind,
    request: SnapshotRequest,
    board: Mutex<Board>,
    changed: Notify,
    objects: Vec<Work>,
    /// A permit for each row that is read by its id: as many as there are readers.
    singles: Arc<Semaphore>,
}

/// What readers of one object share.
#[derive(Default)]
struct Work {
    reader: OnceCell<Reader>,
    /// What the topic has, of a comparison.
    loaded: OnceCell<Arc<Mutex<Known>>>,
    /// Held to read by who publishes a page, to write by who changes several walks.
    gate: RwLock<()>,
}

impl<A: Ask, D: Deliver> Run<A, D> {
    /// The run that the position has under way, of these objects, in this order.
    pub(super) fn new(close: A, out: D, kinds: &[&'static Kind], position: &SnapshotPosition) -> Self {
        let kind = position.kind;
        let stored = |kind: &Kind| {
            // What a comparison has seen is not stored: an object that is not over begins again.
            let stored = position.objects.get(kind.name);
            stored.filter(|stored| !position.kind.compares() || stored.end.is_some())
        };
        let mut objects: Vec<Object> = kinds.iter().map(|kind| Object::new(kind, stored(kind))).collect();
        let lead = kinds.iter().position(|kind| kind.name == "lead");
        for (at, object) in objects.iter_mut().enumerate() {
            if let Listing::PerParent { parent, .. } = object.kind.listing {
                object.reads_after = kinds.iter().position(|kind| kind.name == parent);
            }
            // Children of leads that are gone do not count as missing, so leads come first.
            object.ends_after = lead.filter(|lead| *lead != at && kind.compares());
        }
        Self {
            close,
            out,
            kind,
            request: position.request.clone(),
            board: Mutex::new(Board { objects }),
            changed: Notify::new(),
            objects: kinds.iter().map(|_| Work::default()).collect(),
            singles: Arc::new(Semaphore::new(0)),
        }
    }

    /// Reads everything with this number of readers.
    ///
    /// # Errors
    /// Those of the client and the publisher that concern more than one object.
    pub(super) async fn read(self: Arc<Self>, readers: usize) -> Result<()> {
        self.singles.add_permits(readers);
        let mut tasks = JoinSet::new();
        for _ in 0..readers {
            let run = Arc::clone(&self);
            tasks.spawn(async move { run.reader().await });
        }
        while let Some(ended) = tasks.join_next().await {
            ended.map_err(|error| {
                Error::retry(codes::UNAVAILABLE, ErrorType::Internal, "read pages of a snapshot").because(error)
            })??;
        }
        Ok(())
    }

    async fn reader(&self) -> Result<()> {
        loop {
            let changed = self.changed.notified();
            tokio::pin!(changed);
            changed.as_mut().enable();
            let job = self.board().next(self.now());
            match job {
                Job::Begin(at) => self.begin(at).await?,
                Job::Read(at, number) => {
                    while self.page(at, number).await? {
                        // The rest may have become worth a split.
                        self.changed.notify_waiters();
                    }
                }
                Job::Split(at, number) => self.split(at, number).await?,
                Job::End(at) => self.end(at).await?,
                Job::Wait => {
                    changed.await;
                    continue;
                }
                Job::Over => return Ok(()),
            }
            self.changed.notify_waiters();
        }
    }

    fn board(&self) -> MutexGuard<'_, Board> {
        self.board.lock().unwrap_or_else(PoisonError::into_inner)
    }

    fn now(&self) -> Moment {
        self.close.now().unwrap_or_default()
    }

    fn kind(&self, at: usize) -> &'static Kind {
        self.board().objects[at].kind
    }

    /// Prepares the reading of an object, and publishes that it has begun.
    async fn begin(&self, at: usize) -> Result<()> {
        let (kind, work) = (self.kind(at), &self.objects[at]);
        let parents = match self.parents(kind).await {
            Err(error) if concerns_one_object(&error) => {
                return self.ends(at, ObjectEnd::Skipped { reason: error.chain() }).await;
            }
            parents => parents?,
        };
        if self.kind.compares() || !self.request.ids.is_empty() {
            let known = Arc::new(Mutex::new(self.out.known(kind).await?));
            // Only this reader begins the object.
            let _ = work.loaded.set(known);
        }
        let _ = work.reader.set(Reader::new(kind, parents, self.request.ids.clone(), Arc::clone(&self.singles)));
        let walks = || vec![self.first_walk(kind)];
        let begun = self.board().begin(at, walks);
        match begun {
            Some(walks) => self.publish(at, Batch::default(), Step::Begin { walks }).await,
            None => Ok(()),
        }
    }

    /// The parents whose lists have the rows of an object, sorted.
    async fn parents(&self, kind: &Kind) -> Result<Vec<String>> {
        let Listing::PerParent { parent, .. } = kind.listing else { return Ok(Vec::new()) };
        let Some(parent) = catalogue::kind(parent) else { return Ok(Vec::new()) };
        // A list for each lead is much, and none has rows without a type for them.
        if kind.name == "custom_object" && rows::listed_ids(&self.close, "custom_object_type").await?.is_empty() {
            return Ok(Vec::new());
        }
        match self.out.parents(parent).await? {
            Some(parents) => Ok(parents),
            None => rows::listed_ids(&self.close, parent.name).await,
        }
    }

    /// All of an object, as far as the request selects it.
    fn first_walk(&self, kind: &Kind) -> Walk {
        let SnapshotRequest { since, until, ids, .. } = &self.request;
        if !ids.is_empty() {
            return Walk::Ids { next: 0, end: ids.len() };
        }
        match kind.listing {
            Listing::Searched => Walk::Found(Found::range(*since, *until)),
            Listing::Dated(_) => Walk::Created(Created::range(*since, until.map(|until| Moment(until.0 - 1)))),
            Listing::Full(_) | Listing::FullThenSingle(_) | Listing::Organization => Walk::Paged(Paged::default()),
            Listing::PerParent { .. } => Walk::Parents(Parents::default()),
        }
    }

    /// Reads and publishes one page; returns false if the walk is over.
    async fn page(&self, at: usize, number: u32) -> Result<bool> {
        let work = &self.objects[at];
        let Some((asked, reader)) = self.board().asked(at, number).zip(work.reader.get()) else { return Ok(false) };
        let fetched = match reader.page(&self.close, &asked.walk, &asked.cursor).await {
            Ok(fetched) => fetched,
            Err(error) => return self.refused(at, number, &asked, reader, error).await,
        };
        let open = work.gate.read().await;
        let turned = self.board().turn(at, number, &asked, &fetched.page, reader);
        match turned {
            None => Ok(false),
            Some(Ok(turned)) => {
                let batch = fresh(fetched, &turned.fresh);
                let goes_on = turned.rest.is_some();
                let step = match turned.incomplete {
                    None => Step::Page { walk: number, rest: turned.rest },
                    incomplete => Step::Capped { walk: number, rest: turned.rest, other: None, incomplete },
                };
                self.publish(at, batch, step).await?;
                Ok(goes_on)
            }
            Some(Err(trouble)) => {
                drop(open);
                if let Walk::Parents(_) = asked.walk {
                    return self.passes(at, number, reader, Some(trouble.text())).await;
                }
                self.page_instead(at, &trouble.text()).await?;
                Ok(false)
            }
        }
    }

    /// Acts on an answer that is not a page.
    async fn refused(&self, at: usize, number: u32, asked: &Asked, reader: &Reader, error: Error) -> Result<bool> {
        match rows::acted_on(&error, &asked.walk, &asked.cursor) {
            Some(Refusal::Cursor) => {
                self.board().expired(at, number);
                return Ok(true);
            }
            Some(Refusal::Skip(cap)) => {
                let _alone = self.objects[at].gate.write().await;
                let capped = self.board().capped(at, number, cap, reader);
                return self.leaves_behind(at, number, capped).await;
            }
            None => {}
        }
        // The list of one parent says nothing about those of others. A parent that is gone has no rows.
        if let Walk::Parents(_) = asked.walk
            && [codes::FAILING, codes::TOO_LARGE, codes::NOT_FOUND].contains(&error.code)
        {
            let reason = (error.code != codes::NOT_FOUND).then(|| error.chain());
            return self.passes(at, number, reader, reason).await;
        }
        if !concerns_one_object(&error) {
            return Err(error);
        }
        let _alone = self.objects[at].gate.write().await;
        if !self.board().objects[at].is_over() {
            let end = ObjectEnd::Skipped { reason: error.chain() };
            self.ends(at, end).await?;
        }
        Ok(false)
    }

    /// Leaves the list of one parent behind.
    async fn passes(&self, at: usize, number: u32, reader: &Reader, incomplete: Option<String>) -> Result<bool> {
        let _alone = self.objects[at].gate.write().await;
        let passed = self.board().passed(at, number, reader, incomplete);
        self.leaves_behind(at, number, passed).await
    }

    async fn leaves_behind(&self, at: usize, number: u32, capped: Option<Capped>) -> Result<bool> {
        let Some(Capped { rest, other, incomplete }) = capped else { return Ok(false) };
        let goes_on = rest.is_some();
        self.publish(at, Batch::default(), Step::Capped { walk: number, rest, other, incomplete }).await?;
        Ok(goes_on)
    }

    /// The list does not obey its filter or its order: reads it by `_skip` alone, from the beginning.
    async fn page_instead(&self, at: usize, reason: &str) -> Result<()> {
        let _alone = self.objects[at].gate.write().await;
        let kind = self.kind(at);
        let first = match kind.listing {
            Listing::Dated(_) | Listing::Searched if !self.board().objects[at].paged => Walk::Paged(Paged::default()),
            _ => {
                let end = ObjectEnd::Incomplete { reason: reason.to_owned() };
                return self.ends(at, end).await;
            }
        };
        warn!(object = kind.name, reason, "{} is read by `_skip` alone: {reason}", kind.name);
        self.board().objects[at].paged = true;
        let walks = self.board().restart(at, vec![first]);
        self.publish(at, Batch::default(), Step::Begin { walks }).await
    }

    async fn split(&self, at: usize, number: u32) -> Result<()> {
        let work = &self.objects[at];
        let _alone = work.gate.write().await;
        let Some(reader) = work.reader.get() else { return Ok(()) };
        let split = self.board().split(at, number, reader, self.now());
        let Some((rest, other)) = split else { return Ok(()) };
        self.publish(at, Batch::default(), Step::Split { walk: number, rest, other }).await
    }

    /// Concludes an object all of whose walks are over.
    async fn end(&self, at: usize) -> Result<()> {
        // The last pages may still be on their way to the position.
        let _alone = self.objects[at].gate.write().await;
        let end = self.board().end_of(at);
        let known = self.objects[at].loaded.get();
        let end = match (end, known) {
            (ObjectEnd::Done, Some(known)) if self.kind.compares() => {
                let approved = self.request.approved.get(self.kind(at).name).copied().unwrap_or(0);
                self.out.conclude(self.kind(at), known, approved).await?
            }
            (end, _) => end,
        };
        self.ends(at, end).await
    }

    async fn ends(&self, at: usize, end: ObjectEnd) -> Result<()> {
        self.publish(at, Batch::default(), Step::End(end)).await?;
        self.board().end(at);
        self.changed.notify_waiters();
        Ok(())
    }

    async fn publish(&self, at: usize, batch: Batch, step: Step) -> Result<()> {
        let (kind, left) = (self.kind(at), self.board().left(at));
        self.out.shows(kind, left);
        self.out.publish(kind, self.objects[at].loaded.get(), batch, step).await
    }
}

/// The rows that are to be published, and what the page counts.
fn fresh(fetched: Fetched, fresh: &[bool]) -> Batch {
    let Fetched { rows, refused, gone, without_id, .. } = fetched;
    let rows: Vec<Row> = rows.into_iter().zip(fresh).filter(|(_, fresh)| **fresh).filter_map(|(row, _)| row).collect();
    let refused = refused.into_iter().filter(|(at, _)| fresh.get(*at) == Some(&true)).map(|(_, refused)| refused);
    let tally = Tally { pages: 1, unusable: without_id, ..rows::tally_of(&rows) };
    Batch { rows, gone, refused: refused.collect(), tally }
}
