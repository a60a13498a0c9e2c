//! The one owner of the journal. The loops hand it steps: events, and what they change of the position. Steps that wait
//! together go into one transaction.

use std::sync::{Arc, Mutex, PoisonError};

use tokio::sync::{mpsc, oneshot};
use towpath_api::{ChangeEvent, Error, ErrorType, Journal, Object, Result};

use crate::{codes, fit, metrics::Series, position::ClosePosition};

/// Events of one transaction at most, unless a single step has more.
const EVENTS: usize = 2_000;
/// Steps that may wait; a loop that is ahead waits here.
const STEPS: usize = 64;

type Change = Box<dyn FnOnce(&mut ClosePosition) + Send>;

enum Request {
    Step { events: Vec<ChangeEvent>, change: Change, done: oneshot::Sender<()> },
    Prepare { object: Arc<Object>, done: oneshot::Sender<Result<()>> },
}

/// The way of the loops to the journal. Cheap to clone.
#[derive(Clone)]
pub(crate) struct Outbox {
    requests: mpsc::Sender<Request>,
    position: Arc<Mutex<ClosePosition>>,
}

impl Outbox {
    /// Publishes events together with a change of the position. Returns after both are durable. Steps of one caller are
    /// published in their order.
    ///
    /// # Errors
    /// Only when the publisher has ended, whose error then ends the source.
    ///
    /// # Cancel safety
    /// If the future is dropped, the step may or may not be published.
    pub(crate) async fn publish(
        &self,
        events: Vec<ChangeEvent>,
        change: impl FnOnce(&mut ClosePosition) + Send + 'static,
    ) -> Result<()> {
        let (done, published) = oneshot::channel();
        let step = Request::Step { events, change: Box::new(change), done };
        self.requests.send(step).await.map_err(|_| ended())?;
        published.await.map_err(|_| ended())
    }

    /// Changes the position without events. Returns before that is durable: for what may be done again after a kill. It
    /// becomes durable not later than the next step of the same caller.
    ///
    /// # Errors
    /// As for [`Self::publish`].
    ///
    /// # Cancel safety
    /// If the future is dropped, the position may or may not change.
    pub(crate) async fn note(&self, change: impl FnOnce(&mut ClosePosition) + Send + 'static) -> Result<()> {
        let (done, _) = oneshot::channel();
        let step = Request::Step { events: Vec::new(), change: Box::new(change), done };
        self.requests.send(step).await.map_err(|_| ended())
    }

    /// Creates the topic of `object` and registers its schemas.
    ///
    /// # Errors
    /// Those of [`Journal::prepare`].
    pub(crate) async fn prepare(&self, object: Arc<Object>) -> Result<()> {
        let (done, prepared) = oneshot::channel();
        self.requests.send(Request::Prepare { object, done }).await.map_err(|_| ended())?;
        prepared.await.map_err(|_| ended())?
    }

    /// Looks at the newest durable position, without a copy of it. Publishing waits meanwhile.
    pub(crate) fn look<T>(&self, look: impl FnOnce(&ClosePosition) -> T) -> T {
        look(&self.position.lock().unwrap_or_else(PoisonError::into_inner))
    }

    /// A copy of the newest durable position.
    pub(crate) fn position(&self) -> ClosePosition {
        self.look(Clone::clone)
    }
}

/// The error of a loop whose publisher has ended. It hides behind the publisher's own.
fn ended() -> Error {
    Error::retry(codes::UNAVAILABLE, ErrorType::Internal, "publish: the publisher has ended")
}

/// Takes the steps of the loops.
pub(crate) struct Publishing {
    requests: mpsc::Receiver<Request>,
    position: Arc<Mutex<ClosePosition>>,
    series: Series,
}

/// A publisher at `position`, and the way to it.
pub(crate) fn publisher(position: ClosePosition, series: Series) -> (Outbox, Publishing) {
    let (requests, received) = mpsc::channel(STEPS);
    let position = Arc::new(Mutex::new(position));
    (Outbox { requests, position: Arc::clone(&position) }, Publishing { requests: received, position, series })
}

impl Publishing {
    /// Publishes steps until every [`Outbox`] is dropped.
    ///
    /// # Errors
    /// Those of [`Journal::publish`] but poison, which concerns one event only.
    pub(crate) async fn run(mut self, journal: &mut impl Journal) -> Result<()> {
        let mut held = None;
        loop {
            let next = match held.take() {
                Some(request) => Some(request),
                None => self.requests.recv().await,
            };
            match next {
                None => return Ok(()),
                Some(Request::Prepare { object, done }) => {
                    // Nobody waits any more if the loop has ended.
                    let _ = done.send(journal.prepare(&object).await);
                }
                Some(Request::Step { events, change, done }) => {
                    let mut position = self.position.lock().unwrap_or_else(PoisonError::into_inner).clone();
                    change(&mut position);
                    let (mut events, mut waiting) = (events, vec![done]);
                    while events.len() < EVENTS {
                        match self.requests.try_recv() {
                            Ok(Request::Step { events: more, change, done }) => {
                                change(&mut position);
                                events.extend(more);
                                waiting.push(done);
                            }
                            Ok(other) => {
                                held = Some(other);
                                break;
                            }
                            Err(_) => break,
                        }
                    }
                    fit::publish(journal, events, position.write(), &self.series).await?;
                    *self.position.lock().unwrap_or_else(PoisonError::into_inner) = position;
                    for done in waiting {
                        let _ = done.send(());
                    }
                }
            }
        }
    }
}
