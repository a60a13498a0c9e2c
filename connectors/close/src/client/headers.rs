//! The headers of Close that matter: the allowance in its four forms, and the date.
//!
//! ```text
//! ratelimit: limit=100; remaining=99; reset=1     ratelimit: limit=100, remaining=50, reset=5
//! ratelimit-limit: 100 …                          x-ratelimit-limit: 100 …
//! ```

use std::time::Duration;

use reqwest::header::{DATE, HeaderMap, RETRY_AFTER};

use crate::moment::Moment;

/// The longest time until the end of a window that is believed.
const LONGEST: f64 = 3_600.0;
/// The longest wait that Close may ask for.
const LONGEST_WAIT: Duration = Duration::from_hours(24);

/// The allowance of an endpoint group as an answer announces it.
#[derive(Debug, Clone, Copy, Default, PartialEq)]
pub(super) struct Announced {
    pub(super) limit: Option<u64>,
    pub(super) remaining: Option<u64>,
    /// Time until the whole limit is available again.
    pub(super) reset: Option<Duration>,
}

impl Announced {
    /// Reads any of the forms; `None` if the answer has none of them.
    pub(super) fn read(headers: &HeaderMap) -> Option<Self> {
        let mut announced = Self::default();
        let single = headers.get_all("ratelimit").iter().filter_map(|value| value.to_str().ok());
        for part in single.flat_map(|value| value.split([',', ';'])) {
            if let Some((name, value)) = part.split_once('=') {
                announced.set(name.trim(), value);
            }
        }
        for prefix in ["ratelimit-", "x-ratelimit-", "x-rate-limit-"] {
            if announced != Self::default() {
                break;
            }
            for name in ["limit", "remaining", "reset"] {
                if let Some(value) = headers.get(format!("{prefix}{name}")).and_then(|value| value.to_str().ok()) {
                    announced.set(name, value);
                }
            }
        }
        (announced != Self::default()).then_some(announced)
    }

    fn set(&mut self, name: &str, value: &str) {
        let Some(number) = number(value) else { return };
        // A decimal number of requests is one below it.
        #[expect(clippy::cast_possible_truncation, clippy::cast_sign_loss, reason = "it is from 0, and clamped")]
        let whole = number.min(1e12) as u64;
        match name.to_ascii_lowercase().as_str() {
            "limit" => self.limit = Some(whole),
            "remaining" => self.remaining = Some(whole),
            "reset" => self.reset = Some(seconds(number)),
            _ => {}
        }
    }
}

/// The time of `Retry-After`: seconds, or a date, which counts from the `Date` of the answer.
pub(super) fn retry_after(headers: &HeaderMap) -> Option<Duration> {
    let text = headers.get(RETRY_AFTER)?.to_str().ok()?;
    let wait = match number(text) {
        Some(seconds) => Duration::try_from_secs_f64(seconds).unwrap_or(LONGEST_WAIT),
        None => moment(text)?.since(date(headers)?),
    };
    Some(wait.min(LONGEST_WAIT))
}

/// The `error.rate_reset` of a 429's body, or `rate_reset` beside it.
pub(super) fn rate_reset(body: &[u8]) -> Option<Duration> {
    let body: serde_json::Value = serde_json::from_slice(body).ok()?;
    let text = body.pointer("/error/rate_reset").or_else(|| body.get("rate_reset"))?;
    let given = text.as_f64().or_else(|| number(text.as_str()?))?;
    (given.is_finite() && given >= 0.0).then(|| seconds(given))
}

/// The `Date` of an answer.
pub(super) fn date(headers: &HeaderMap) -> Option<Moment> {
    moment(headers.get(DATE)?.to_str().ok()?)
}

fn moment(text: &str) -> Option<Moment> {
    static PARSER: jiff::fmt::rfc2822::DateTimeParser = jiff::fmt::rfc2822::DateTimeParser::new();
    PARSER.parse_timestamp(text).ok().map(|time| Moment(time.as_microsecond()))
}

fn number(text: &str) -> Option<f64> {
    let number: f64 = text.trim().trim_matches('"').parse().ok()?;
    (number.is_finite() && number >= 0.0).then_some(number)
}

fn seconds(number: f64) -> Duration {
    Duration::from_secs_f64(number.min(LONGEST))
}

#[cfg(test)]
mod tests {
    use reqwest::header::{HeaderName, HeaderValue};

    use super::*;

    fn headers(pairs: &[(&'static str, &'static str)]) -> HeaderMap {
        pairs.iter().map(|(name, value)| (HeaderName::from_static(name), HeaderValue::from_static(value))).collect()
    }

    #[test]
    fn all_four_forms_of_the_allowance_are_read() {
        let expected = Announced { limit: Some(100), remaining: Some(99), reset: Some(Duration::from_millis(1_250)) };
        for form in [
            &[("ratelimit", "limit=100; remaining=99; reset=1.25")][..],
            &[("ratelimit", "Limit=100, REMAINING=99,reset=1.250")],
            &[("ratelimit-limit", "100"), ("ratelimit-remaining", "99"), ("ratelimit-reset", "1.25")],
            &[("x-ratelimit-limit", "100"), ("x-ratelimit-remaining", "99.5"), ("x-ratelimit-reset", " 1.25 ")],
        ] {
            assert_eq!(Announced::read(&headers(form)), Some(expected), "{form:?}");
        }
    }

    #[test]
    fn a_429_of_a_hidden_limit_has_the_reset_alone() {
        let announced = Announced::read(&headers(&[("ratelimit", "reset=12")])).unwrap();
        assert_eq!((announced.limit, announced.reset), (None, Some(Duration::from_secs(12))));
    }

    #[test]
    fn nonsense_is_no_allowance() {
        for form in [
            &[][..],
            &[("ratelimit", "")],
            &[("ratelimit", "limit=; remaining=-1; reset=NaN")],
            &[("x-ratelimit-reset", "soon")],
        ] {
            assert_eq!(Announced::read(&headers(form)), None, "{form:?}");
        }
        let far = Announced::read(&headers(&[("ratelimit", "reset=1e300")])).unwrap();
        assert_eq!(far.reset, Some(Duration::from_hours(1)));
    }

    #[test]
    fn the_wait_of_a_429_is_also_in_retry_after_and_in_the_body() {
        assert_eq!(retry_after(&headers(&[("retry-after", "3")])), Some(Duration::from_secs(3)));
        assert_eq!(retry_after(&headers(&[("retry-after", "7200")])), Some(Duration::from_hours(2)));
        let date = ("retry-after", "Wed, 21 Oct 2015 07:28:00 GMT");
        assert_eq!(retry_after(&headers(&[date])), None, "the date of the answer is unknown");
        let answered = ("date", "Wed, 21 Oct 2015 07:27:30 GMT");
        assert_eq!(retry_after(&headers(&[date, answered])), Some(Duration::from_secs(30)));
        let body = br#"{"error": {"message": "x", "rate_reset": 0.87}}"#;
        assert_eq!(rate_reset(body), Some(Duration::from_millis(870)));
        assert_eq!(rate_reset(br#"{"error": "x", "rate_reset": 2}"#), Some(Duration::from_secs(2)));
        assert_eq!(rate_reset(b"<html>"), None);
        assert_eq!(rate_reset(b""), None);
    }

    #[test]
    fn the_date_is_read() {
        let date = date(&headers(&[("date", "Tue, 01 Sep 2026 12:00:05 GMT")]));
        assert_eq!(date, Moment::parse("2026-09-01T12:00:05Z"));
    }
}
