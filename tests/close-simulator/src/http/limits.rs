//! Rate limits: a token bucket per endpoint group and key, one of three times its size per group and organization,
//! tighter ones that no header announces, and one for wrong credentials (reference, section 3).
//!
//! They use the machine's monotonic time, not the organization's clock, which tests move. A bucket is filled at the end
//! of each window, by `limit` tokens and up to `burst` more: the observed headers (`limit=160` with `reset=8`) give the
//! time until the whole limit is available again. (The `governor` crate refills token by token and reports neither the
//! remaining tokens nor that time, so these buckets are our own.)

use std::time::{Duration, Instant};

use parking_lot::RwLock;
use serde_json::{Value as Json, json};

use super::{
    answer::Answer,
    counters::Shards,
    group::{self, Group, Who},
    limit_settings::{Rate, Settings},
};
use crate::world::{Switches, people::Caller, switches::LimitHeader};

/// The decision on one request.
#[derive(Debug, Default)]
pub struct Verdict {
    /// Headers of the answer, whatever its status.
    pub headers: Vec<(&'static str, String)>,
    /// The 429, if a limit is exhausted.
    pub refused: Option<Answer>,
}

/// The scope of a limit within a group.
#[derive(Clone, Copy, Debug, PartialEq, Eq, Hash)]
enum Scope {
    /// One key.
    Key(Who),
    /// All keys together.
    Organization,
}

#[derive(Debug, Default)]
pub struct Limits {
    settings: RwLock<Settings>,
    buckets: Shards<(Group, Scope), Buckets>,
}

#[derive(Debug)]
struct Buckets {
    key: Json,
    announced: Bucket,
    /// The limit that no header announces.
    extra: Option<Bucket>,
}

/// A bucket and its use.
#[derive(Debug)]
struct Bucket {
    rate: Rate,
    began: Instant,
    left: u64,
    /// Tokens requested in this window, refused ones included.
    asked: u64,
    peak: u64,
    refused: u64,
}

impl Bucket {
    fn new(rate: Rate, now: Instant) -> Self {
        Self { rate, began: now, left: rate.limit, asked: 0, peak: 0, refused: 0 }
    }

    /// Adds the tokens of the windows that have passed.
    fn refill(&mut self, now: Instant) {
        let window = self.rate.window();
        let passed = now.saturating_duration_since(self.began);
        if passed < window {
            return;
        }
        let windows = passed.as_nanos() / window.as_nanos();
        let windows_ended = u64::try_from(windows).unwrap_or(u64::MAX);
        self.left = self
            .left
            .saturating_add(self.rate.limit.saturating_mul(windows_ended))
            .min(self.rate.limit + self.rate.burst);
        // A window starts with the first request after the previous window, so the reset of an idle key is a whole
        // window.
        self.began = if windows > 1 { now } else { self.began + window };
        self.asked = 0;
    }

    fn take(&mut self) {
        self.left = self.left.saturating_sub(1);
    }

    fn note(&mut self) {
        self.asked += 1;
        self.peak = self.peak.max(self.asked);
    }

    /// Time until the bucket is filled again.
    fn reset(&self, now: Instant) -> Duration {
        self.rate.window().saturating_sub(now.saturating_duration_since(self.began))
    }
}

impl Limits {
    /// Creates buckets that refuse requests or, if `on` is false, only count them.
    pub fn new(on: bool) -> Self {
        let mut settings = Settings::default();
        settings.off = !on;
        Self { settings: RwLock::new(settings), ..Self::default() }
    }

    /// Takes one token from each limit that applies to a request.
    pub fn take(&self, group: Group, who: Who, caller: Option<&Caller>, switches: &Switches) -> Verdict {
        self.take_at(Instant::now(), group, who, caller, switches)
    }

    fn take_at(&self, now: Instant, group: Group, who: Who, caller: Option<&Caller>, switches: &Switches) -> Verdict {
        let settings = self.settings.read();
        // Wrong credentials share one bucket for all requests of an address.
        let group = if caller.is_some() { group } else { Group { prefix: "(unauthorized)", method: "ANY" } };
        let mut shard = self.buckets.of(group).lock();
        let own = shard.entry((group, Scope::Key(who))).or_insert_with(|| Buckets {
            key: group::name(caller),
            announced: Bucket::new(if caller.is_some() { settings.rate(group) } else { settings.unauthorized }, now),
            extra: settings.extra(group).filter(|_| caller.is_some()).map(|rate| Bucket::new(rate, now)),
        });
        for bucket in own.extra.iter_mut().chain([&mut own.announced]) {
            bucket.refill(now);
            bucket.note();
        }
        let own_left = own.announced.left;
        let extra_left = own.extra.as_ref().map_or(1, |bucket| bucket.left);
        let mut organization_left = u64::MAX;
        if caller.is_some() {
            let shared = shard.entry((group, Scope::Organization)).or_insert_with(|| Buckets {
                key: Json::Null,
                announced: Bucket::new(settings.rate(group).times(settings.organization_factor), now),
                extra: None,
            });
            shared.announced.refill(now);
            shared.announced.note();
            organization_left = shared.announced.left;
        }
        // All or none: a request that one limit refuses keeps the tokens of the others.
        let allowed = settings.off || own_left > 0 && extra_left > 0 && organization_left > 0;
        let mut verdict = Verdict::default();
        let scopes = [Scope::Key(who), Scope::Organization];
        for scope in scopes {
            let Some(buckets) = shard.get_mut(&(group, scope)) else { continue };
            for bucket in buckets.extra.iter_mut().chain([&mut buckets.announced]) {
                if allowed {
                    bucket.take();
                } else if bucket.left == 0 {
                    bucket.refused += 1;
                }
            }
        }
        if settings.off {
            return verdict;
        }
        if !allowed && own_left > 0 && extra_left == 0 {
            let reset =
                shard[&(group, Scope::Key(who))].extra.as_ref().map_or(Duration::ZERO, |bucket| bucket.reset(now));
            verdict.refused = Some(refused(None, reset, "key", group, switches));
            return verdict;
        }
        // The header reports the bucket that is closer to its end.
        let (scope, kind) =
            if organization_left < own_left { (Scope::Organization, "organization") } else { (Scope::Key(who), "key") };
        let bucket = &shard[&(group, scope)].announced;
        if allowed {
            verdict.headers = header(Some((bucket.rate, bucket.left)), bucket.reset(now), switches.limit_header);
        } else {
            verdict.refused = Some(refused(Some(bucket.rate), bucket.reset(now), kind, group, switches));
        }
        verdict
    }

    pub fn settings(&self) -> Json {
        self.settings.read().json()
    }

    /// Changes the settings and refills all buckets.
    ///
    /// # Errors
    /// The reason why a setting is invalid.
    pub fn set(&self, changes: &serde_json::Map<String, Json>) -> Result<(), String> {
        let mut settings = self.settings.write();
        *settings = settings.with(changes)?;
        self.buckets.clear();
        Ok(())
    }

    /// The peak of requests in one window of each limit, by endpoint and key: `[{"endpoint": "GET lead", "scope":
    /// "key", "key": "admin", "limit": 60, "window_secs": 1.0, "peak": 48, "refused": 0}, …]`. `scope` is `key`,
    /// `organization`, `extra` or `unauthorized`. Peaks are counted even while the limits are off.
    pub fn peaks(&self) -> Vec<Json> {
        let mut rows = Vec::new();
        for shard in self.buckets.iter() {
            for ((group, scope), buckets) in shard.lock().iter() {
                let scope = match scope {
                    Scope::Organization => "organization",
                    Scope::Key(Who::Peer(_)) => "unauthorized",
                    Scope::Key(_) => "key",
                };
                let mut row = |scope: &str, bucket: &Bucket| {
                    let order = (group.name(), scope.to_owned(), buckets.key.to_string());
                    let row = json!({
                        "endpoint": group.name(), "scope": scope, "key": buckets.key, "limit": bucket.rate.limit,
                        "window_secs": bucket.rate.window_secs, "peak": bucket.peak, "refused": bucket.refused,
                    });
                    rows.push((order, row));
                };
                row(scope, &buckets.announced);
                if let Some(extra) = &buckets.extra {
                    row("extra", extra);
                }
            }
        }
        rows.sort_by(|(a, _), (b, _)| a.cmp(b));
        rows.into_iter().map(|(_, row)| row).collect()
    }

    /// Clears the peaks and refills all buckets.
    pub fn reset(&self) {
        self.buckets.clear();
    }
}

/// The 429 (reference, section 3.3). For a limit that no header announces it has only the time to wait.
fn refused(rate: Option<Rate>, reset: Duration, kind: &str, group: Group, switches: &Switches) -> Answer {
    // Rounded up, so that a retry never finds the same window.
    let reset = Duration::from_millis(reset.as_micros().div_ceil(1_000) as u64);
    let mut answer = Answer { status: 429, ..Answer::default() };
    if switches.legacy_429_body {
        let window = rate.map_or_else(|| "rate limit".to_owned(), |rate| format!("{} second", rate.window_secs));
        let mut error = json!({
            "message": format!("API call count exceeded for this {window} window"),
            "rate_reset": seconds(reset),
        });
        if let Some(rate) = rate {
            error["rate_limit"] = rate.limit.into();
            error["rate_window"] = number(rate.window_secs);
        }
        error["rate_limit_type"] = kind.into();
        error["rate_endpoint_group"] = group.digest().into();
        let mut body = json!({ "error": error });
        if switches.rate_reset_beside_error {
            body["rate_reset"] = seconds(reset);
        }
        answer = Answer::json(429, &body);
    }
    answer.headers = header(rate.map(|rate| (rate, 0)), reset, switches.limit_header);
    answer.headers.push(("retry-after", (reset.as_secs_f64().ceil() as u64).to_string()));
    answer
}

fn seconds(reset: Duration) -> Json {
    number((reset.as_secs_f64() * 1_000.0).round() / 1_000.0)
}

/// Formats a whole number without its `.0`.
fn number(value: f64) -> Json {
    if value.fract() == 0.0 { (value as u64).into() } else { value.into() }
}

/// The header in the chosen form (reference, section 3.2).
fn header(rate: Option<(Rate, u64)>, reset: Duration, form: LimitHeader) -> Vec<(&'static str, String)> {
    let reset = seconds(reset);
    let (names, separator) = match form {
        LimitHeader::Semicolon => (None, "; "),
        LimitHeader::Comma => (None, ", "),
        LimitHeader::Split => (Some(["ratelimit-limit", "ratelimit-remaining", "ratelimit-reset"]), ""),
        LimitHeader::XSplit => (Some(["x-ratelimit-limit", "x-ratelimit-remaining", "x-ratelimit-reset"]), ""),
    };
    match (names, rate) {
        (None, Some((rate, left))) => {
            let limit = rate.limit;
            vec![("ratelimit", format!("limit={limit}{separator}remaining={left}{separator}reset={reset}"))]
        }
        (None, None) => vec![("ratelimit", format!("reset={reset}"))],
        (Some([limit, remaining, until]), Some((rate, left))) => {
            vec![(limit, rate.limit.to_string()), (remaining, left.to_string()), (until, reset.to_string())]
        }
        (Some([_, _, until]), None) => vec![(until, reset.to_string())],
    }
}
