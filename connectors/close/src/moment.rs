//! A time at Close.

use std::{fmt, time::Duration};

use jiff::{Timestamp, civil};
use serde::{Deserialize, Serialize};

/// A time at Close, in microseconds since the epoch. Texts of Close come with an offset, without one (they are UTC
/// then), or as a date alone; `close-api.md`, section 8.1.
#[derive(Debug, Clone, Copy, PartialEq, Eq, PartialOrd, Ord, Hash, Default, Serialize, Deserialize)]
#[serde(transparent)]
pub(crate) struct Moment(pub(crate) i64);

impl Moment {
    /// Reads any of the forms; `None` for other texts.
    pub(crate) fn parse(text: &str) -> Option<Self> {
        let micros = |time: Timestamp| Self(time.as_microsecond());
        if let Ok(time) = text.parse::<Timestamp>() {
            return Some(micros(time));
        }
        let naive = text.parse::<civil::DateTime>().ok()?;
        naive.to_zoned(jiff::tz::TimeZone::UTC).ok().map(|zoned| micros(zoned.timestamp()))
    }

    /// RFC 3339 in UTC with microseconds and `Z`, as filters take it; out of range it is the nearest possible time.
    pub(crate) fn text(self) -> String {
        format!("{:.6}", self.timestamp())
    }

    pub(crate) fn timestamp(self) -> Timestamp {
        let nearest = if self.0 < 0 { Timestamp::MIN } else { Timestamp::MAX };
        Timestamp::from_microsecond(self.0).unwrap_or(nearest)
    }

    pub(crate) fn millis(self) -> i64 {
        self.0.div_euclid(1_000)
    }

    pub(crate) fn minus(self, time: Duration) -> Self {
        Self(self.0.saturating_sub(micros(time)))
    }

    pub(crate) fn plus(self, time: Duration) -> Self {
        Self(self.0.saturating_add(micros(time)))
    }

    /// The time from `earlier` to this one; zero if it is later.
    pub(crate) fn since(self, earlier: Self) -> Duration {
        Duration::from_micros(u64::try_from(self.0.saturating_sub(earlier.0)).unwrap_or(0))
    }

    /// The start of its second: activities are filtered by whole seconds.
    pub(crate) fn second(self) -> Self {
        Self(self.0.div_euclid(1_000_000) * 1_000_000)
    }
}

fn micros(time: Duration) -> i64 {
    i64::try_from(time.as_micros()).unwrap_or(i64::MAX)
}

impl fmt::Display for Moment {
    fn fmt(&self, f: &mut fmt::Formatter<'_>) -> fmt::Result {
        f.write_str(&self.text())
    }
}

#[cfg(test)]
mod tests {
    use super::*;

    #[test]
    fn every_form_of_close_is_read() {
        let moment = Moment::parse("2026-02-03T09:15:33.478000+00:00").unwrap();
        assert_eq!(Moment::parse("2026-02-03T09:15:33.478000"), Some(moment));
        assert_eq!(Moment::parse("2026-02-03T10:15:33.478+01:00"), Some(moment));
        assert_eq!(moment.text(), "2026-02-03T09:15:33.478000Z");
        assert_eq!(Moment::parse("2026-02-03").unwrap().text(), "2026-02-03T00:00:00.000000Z");
        assert!(Moment::parse("0001-01-01T00:00:00").unwrap().0 < 0);
        assert_eq!(Moment::parse("soon"), None);
    }
}
