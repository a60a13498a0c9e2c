//! Timeouts that may be unlimited.

use std::time::Duration;

use super::{ConfigValue, Given, Invalid, Scalar};

/// A timeout: `4s`, a plain number of milliseconds as in Kafka Connect, or `-1` for no limit.
#[derive(Debug, Clone, Copy, PartialEq, Eq)]
pub struct Timeout(Option<Duration>);

impl Timeout {
    /// No limit.
    pub const FOR_EVER: Self = Self(None);

    pub const fn after(duration: Duration) -> Self {
        Self(Some(duration))
    }

    /// The duration; `None` for no limit.
    pub const fn duration(self) -> Option<Duration> {
        self.0
    }
}

impl ConfigValue for Timeout {
    fn type_name() -> String {
        "duration".to_owned()
    }

    fn parse(given: &Given<'_>) -> Result<Self, Invalid> {
        let millis = match given.value() {
            Scalar::Integer(number) => Some(*number),
            Scalar::String(text) => text.parse().ok(),
            _ => None,
        };
        let duration = || given.text().and_then(|text| humantime::parse_duration(text).ok()).map(Self::after);
        let parsed = match millis {
            Some(-1) => Some(Self::FOR_EVER),
            Some(millis) => u64::try_from(millis).ok().map(|millis| Self::after(Duration::from_millis(millis))),
            None => duration(),
        };
        parsed.ok_or_else(|| {
            given.mismatch("a duration such as `500ms` or `1m`, a number of milliseconds, or -1 for no limit")
        })
    }

    fn to_text(&self, _key: &str) -> String {
        self.0.map_or_else(
            || "-1".to_owned(),
            |duration| humantime::format_duration(duration).to_string().replace(' ', ""),
        )
    }
}
