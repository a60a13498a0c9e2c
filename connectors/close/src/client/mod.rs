//! Requests to Close: one client per connector, one allowance per key, which all connectors of the process share.
//!
//! A read waits for its turn (`budget`, `pace`), is made (`exchange`), and is repeated without end while Close is away
//! or refuses for the rate: the wait is visible as a part of the source. What waiting does not change is an error
//! (`refusal`), and so is a request that keeps failing while Close answers others (`standing`). `headers` reads what
//! Close announces, `clock` its time, `digits` keeps long numbers, `probe` checks the key.
//!
//! What always holds: no answer is taken that is not a JSON object from the configured host, at most 64 MiB, whole; the
//! key appears in no log, error or metric, and neither do the values of a query. An outage of all of Close ends no
//! request.

mod base;
mod budget;
mod clock;
mod digits;
mod exchange;
mod headers;
mod pace;
mod probe;
mod refusal;
mod standing;
#[cfg(test)]
pub(crate) mod tests;
mod wait;

use std::{
    fmt,
    sync::Arc,
    time::{Duration, Instant},
};

use reqwest::{
    Method, Url,
    header::{ACCEPT, HeaderMap, HeaderValue},
};
use serde_json::{Map, Value as Json};
use towpath_api::{Error, ErrorType, Lifecycle, Result};
use towpath_keys::Secret;

pub(crate) use probe::probe;
pub(crate) use refusal::{concerns_one_object, max_skip, refusal};

use self::{
    base::{base, check, url},
    budget::{Budget, Waited, group_name},
    exchange::{Exchange, Outcome, Request, Unavailable, exchange},
    pace::Shares,
    wait::Wait,
};
use crate::{
    codes,
    config::CloseConfig,
    metrics::{CloseMetrics, Series},
    moment::Moment,
};

/// Time for a connection to Close.
const CONNECT: Duration = Duration::from_secs(10);
/// The largest answer that is taken: an endless one must end.
const LARGEST: usize = 64 * 1024 * 1024;
/// The time for which a request may fail while Close answers others. Long enough for an outage of a part of Close to
/// end, since an object that a snapshot leaves out is read again by the next comparison only.
const PATIENCE: Duration = Duration::from_mins(10);
/// As before, for a request whose object can wait without loss while others go on.
const SHORT_PATIENCE: Duration = Duration::from_secs(20);
/// After this time without an answer, a request that fails asks whether Close is there.
const SILENCE: Duration = Duration::from_secs(5);
/// A 401 of a key that was accepted before is repeated so often: Close's edge has refused valid keys for moments.
const REFUSED_KEY: u32 = 4;

/// On whose account a request goes.
#[derive(Debug, Clone, Copy, PartialEq, Eq)]
pub(crate) enum Lane {
    /// Snapshots and comparisons: at most `budget.snapshot` of the allowance.
    Snapshot,
    /// The event log, lists and all else: never behind the snapshot.
    Changes,
}

impl Lane {
    /// The label in metrics.
    pub(crate) fn as_str(self) -> &'static str {
        match self {
            Self::Snapshot => "snapshot",
            Self::Changes => "changes",
        }
    }
}

/// An answer of Close.
#[derive(Debug, Clone)]
pub(crate) struct Answer {
    pub(crate) body: Map<String, Json>,
    /// The size of the body.
    pub(crate) bytes: usize,
    /// A time by Close's clock, at or before the one at which Close read what it answered. A request that is made after
    /// another's answer has a later one.
    pub(crate) read_at: Moment,
}

/// Requests to Close with one key. Cheap to clone.
#[derive(Clone)]
pub(crate) struct Close {
    shared: Arc<Shared>,
    life: Option<Lifecycle>,
    patience: Duration,
    /// Bytes of an answer at most.
    largest: usize,
}

struct Shared {
    http: reqwest::Client,
    key: Secret,
    /// With a slash at its end.
    base: Url,
    budget: Arc<Budget>,
    shares: Shares,
    series: Series,
}

impl fmt::Debug for Close {
    fn fmt(&self, f: &mut fmt::Formatter<'_>) -> fmt::Result {
        f.debug_struct("Close").field("url", &self.shared.base.as_str()).finish_non_exhaustive()
    }
}

/// How an error that may pass is treated.
#[derive(Clone, Copy, PartialEq, Eq)]
enum Patience {
    /// The request is repeated until it is answered.
    Endless,
    /// As before, but one that keeps failing for this long while Close answers others is an error.
    Within(Duration),
    /// As before, but what is not Close at all is an error: the address is wrong.
    OfClose,
    /// The outcome of a request that may have been carried out is an error.
    None,
}

impl Close {
    /// A client for connector `connector`. Connects to nothing.
    ///
    /// # Errors
    /// Fatal [`codes::URL`] if `close.api.url` is not an HTTP address without credentials; fatal
    /// [`codes::KEY_REFUSED`] if the key cannot be sent.
    pub(crate) fn new(connector: &str, config: &CloseConfig, metrics: &CloseMetrics) -> Result<Self> {
        let base = base(&config.api_url)?;
        check(&config.api_key)?;
        let headers = HeaderMap::from_iter([(ACCEPT, HeaderValue::from_static("application/json"))]);
        let http = reqwest::Client::builder()
            .user_agent(concat!("towpath/", env!("CARGO_PKG_VERSION")))
            .default_headers(headers)
            .redirect(reqwest::redirect::Policy::none())
            .timeout(config.request_timeout)
            .connect_timeout(CONNECT.min(config.request_timeout))
            .build()
            .map_err(|error| {
                Error::fatal(codes::URL, ErrorType::Config, "prepare requests to Close").because(error.without_url())
            })?;
        let shares = Shares { snapshot: config.budget_snapshot.as_f64(), reserve: config.budget_reserve.as_f64() };
        let series = metrics.of(connector);
        series.budget(1.0 - shares.reserve);
        config.kinds().iter().for_each(|kind| series.declare(kind.name));
        let budget = Budget::of(base.as_str(), config.api_key.reveal());
        let key = config.api_key.clone();
        Ok(Self {
            shared: Arc::new(Shared { http, key, base, budget, shares, series }),
            life: None,
            patience: PATIENCE,
            largest: LARGEST,
        })
    }

    /// The same client, which reports its waits as parts of the source: `Close GET lead`.
    pub(crate) fn reporting(&self, life: &Lifecycle) -> Self {
        Self { life: Some(life.clone()), ..self.clone() }
    }

    /// The same client, for requests whose objects can wait without loss.
    pub(crate) fn hasty(&self) -> Self {
        Self { patience: self.patience.min(SHORT_PATIENCE), ..self.clone() }
    }

    /// `GET <base><path>?<query>`. Waits for the allowance; repeats the request while Close is unavailable.
    ///
    /// # Errors
    /// Fatal for answers that waiting does not change: `KEY_REFUSED`, `FORBIDDEN`, `NOT_FOUND`, `REFUSED`,
    /// `TOO_LARGE`; and `FAILING` if this request has failed for minutes while Close answered others.
    /// [`concerns_one_object`] tells which of them say nothing about others, [`refusal`] has the status and Close's
    /// message, [`max_skip`] the limit that it names.
    ///
    /// # Cancel safety
    /// Safe.
    pub(crate) async fn get(&self, lane: Lane, path: &str, query: &[(&str, &str)]) -> Result<Answer> {
        self.request(lane, &Method::GET, path, query, None, Patience::Within(self.patience)).await
    }

    /// As [`Close::get`] of what nothing can go on without: the request is repeated until it is answered.
    ///
    /// # Errors
    /// As [`Close::get`], but for `FAILING`.
    pub(crate) async fn insist(&self, lane: Lane, path: &str, query: &[(&str, &str)]) -> Result<Answer> {
        self.request(lane, &Method::GET, path, query, None, Patience::Endless).await
    }

    /// As [`Close::get`] of a path that every Close has.
    ///
    /// # Errors
    /// As [`Close::get`], and fatal [`codes::URL`] if something else than Close answers.
    async fn get_of_close(&self, path: &str) -> Result<Answer> {
        self.request(Lane::Changes, &Method::GET, path, &[], None, Patience::OfClose).await
    }

    /// `POST <base>data/search/`, which only reads.
    ///
    /// # Errors
    /// As [`Close::get`].
    pub(crate) async fn search(&self, lane: Lane, query: &Json) -> Result<Answer> {
        self.request(lane, &Method::POST, "data/search/", &[], Some(query), Patience::Within(self.patience)).await
    }

    /// A request that changes something at Close: a webhook subscription. Not repeated after an unknown outcome; after
    /// a 429 it is.
    ///
    /// # Errors
    /// As [`Close::get`], and retry [`codes::UNAVAILABLE`] if Close is away or the outcome is unknown.
    pub(crate) async fn write(&self, method: Method, path: &str, body: Option<&Json>) -> Result<Answer> {
        self.request(Lane::Changes, &method, path, &[], body, Patience::None).await
    }

    /// A time that Close's clock has passed: the `Date` of the newest answer, less a second for servers that differ;
    /// later than every [`Answer::read_at`] so far. `None` before the first answer.
    pub(crate) fn now(&self) -> Option<Moment> {
        self.shared.budget.clock.now()
    }

    /// Seconds that requests of a lane have waited for the allowance since the start of the process.
    pub(crate) fn waited_seconds(&self, lane: Lane) -> f64 {
        self.shared.series.waited_seconds(lane.as_str())
    }

    async fn request(
        &self,
        lane: Lane,
        method: &Method,
        path: &str,
        query: &[(&str, &str)],
        body: Option<&Json>,
        patience: Patience,
    ) -> Result<Answer> {
        let Shared { http, key, base, budget, shares, series } = &*self.shared;
        let request = Request { http, key, method, url: url(base, path, query), body, largest: self.largest };
        let path = request.url.path().strip_prefix(base.path()).unwrap_or(path).to_owned();
        let name = group_name(method, &path);
        let group = budget.group(&name);
        let marks = standing::marks(&name, &request.url, body);
        let mut wait = Wait::new(self.life.as_ref(), &name);
        let mut refused_key = 0;
        loop {
            let (under_way, waited) = group.turn(lane, *shares).await;
            self.count_wait(&name, lane, waited);
            let before = budget.clock.now();
            let Exchange { status, announced, outcome, took } = exchange(&request).await;
            series.request(&name, status, took);
            if let Some((limit, remaining, reset)) = announced.and_then(|a| Some((a.limit?, a.remaining?, a.reset?))) {
                series.allowance(&name, limit, remaining, reset);
            }
            let (error, may_stay) = match outcome {
                Outcome::Answered { body, bytes, date, elapsed } => {
                    under_way.answered(announced);
                    budget.accept();
                    budget.standing.answered(marks);
                    return Ok(Answer {
                        body,
                        bytes,
                        read_at: budget.clock.read_at(date, before, elapsed, Instant::now()),
                    });
                }
                Outcome::TooLarge => {
                    under_way.answered(announced);
                    return Err(too_large(method, &path, self.largest));
                }
                Outcome::Throttled(told) => {
                    let pause = under_way.throttled(announced, told);
                    let doing = format!("request {method} {path} of Close: the allowance is used up (429)");
                    // The group itself pauses: the next turn comes after it.
                    wait.reports(&Error::retry(codes::RATE_LIMITED, ErrorType::RateLimited, doing), pause);
                    continue;
                }
                Outcome::Refused(refusal) => {
                    under_way.answered(announced);
                    let flaps = refusal.status == 401 && budget.was_accepted() && refused_key < REFUSED_KEY;
                    let error = refusal.error(method, &path);
                    if !flaps {
                        return Err(error);
                    }
                    refused_key += 1;
                    (error, false)
                }
                Outcome::Unavailable(unavailable) => {
                    if announced.is_some() {
                        under_way.answered(announced);
                    }
                    let error = unavailable_error(method, &path, &unavailable);
                    match patience {
                        Patience::None => return Err(error),
                        Patience::OfClose if unavailable.elsewhere => return Err(wrong_address(base, &unavailable)),
                        _ => (error, true),
                    }
                }
            };
            drop(under_way);
            if let Patience::Within(patience) = patience
                && may_stay
                && Box::pin(self.keeps_failing(marks, patience)).await
            {
                return Err(failing(&path, error));
            }
            let delay = wait.next_delay();
            wait.reports(&error, delay);
            let began = Instant::now();
            tokio::time::sleep(delay).await;
            series.waited(&name, lane.as_str(), "backoff", began.elapsed());
        }
    }

    /// Notes that a request has failed. Returns true if it has done so for as long as `patience` while Close answered
    /// others; if Close has answered none of late, it is asked for what it always has.
    async fn keeps_failing(&self, marks: standing::Marks, patience: Duration) -> bool {
        let Shared { http, key, base, budget, shares, series } = &*self.shared;
        if budget.standing.silence().is_none_or(|silence| silence > SILENCE) {
            let (method, url) = (&Method::GET, url(base, "me/", &[]));
            let request = Request { http, key, method, url, body: None, largest: self.largest };
            let name = group_name(&Method::GET, "me/");
            let (under_way, _) = budget.group(&name).turn(Lane::Changes, *shares).await;
            let Exchange { status, announced, outcome, took } = exchange(&request).await;
            series.request(&name, status, took);
            if announced.is_some() {
                under_way.answered(announced);
            }
            if matches!(outcome, Outcome::Answered { .. }) {
                budget.standing.answers();
            }
        }
        budget.standing.failed(marks) >= patience
    }

    fn count_wait(&self, group: &str, lane: Lane, waited: Waited) {
        for (reason, time) in [("budget", waited.budget), ("throttled", waited.throttled)] {
            if time >= Duration::from_millis(1) {
                self.shared.series.waited(group, lane.as_str(), reason, time);
            }
        }
    }
}

fn unavailable_error(method: &Method, path: &str, unavailable: &Unavailable) -> Error {
    let kind = if unavailable.timed_out { ErrorType::Timeout } else { ErrorType::Unavailable };
    let doing = format!("request {method} {path} of Close: {}", unavailable.why);
    Error::retry(codes::UNAVAILABLE, kind, doing)
        .with_help("wait: the request is repeated; https://status.close.com says whether Close is down")
}

fn failing(path: &str, error: Error) -> Error {
    let doing = format!("read {path} of Close, which answers other requests and not this one");
    Error::fatal(codes::FAILING, ErrorType::Unavailable, doing).because(error).with_help(
        "nothing of it is deleted, and it is tried again; report it to Close's support, or exclude the object with \
         `objects.exclude`",
    )
}

fn too_large(method: &Method, path: &str, largest: usize) -> Error {
    let doing = format!("request {method} {path} of Close: its answer has more than {} MiB", largest / 1024 / 1024);
    Error::fatal(codes::TOO_LARGE, ErrorType::TooLarge, doing)
        .with_help("nothing is lost at Close; lists are read in smaller pages, and a record of this size is left out")
}

fn wrong_address(base: &Url, unavailable: &Unavailable) -> Error {
    let doing = format!("find Close at {base}: {}", unavailable.why);
    Error::fatal(codes::URL, ErrorType::Config, doing)
        .with_help("set `close.api.url` to the address of the API, `https://api.close.com/api/v1`")
}
