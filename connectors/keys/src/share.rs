//! Shares of a whole.

use super::{ConfigValue, Given, Invalid, Scalar};

/// A share of a whole, from 0 to 1: `0.7` or `70%`.
#[derive(Debug, Clone, Copy, PartialEq, PartialOrd)]
pub struct Share(f64);

impl Share {
    /// A share in percent, at most 100.
    pub const fn percent(percent: u8) -> Self {
        Self(if percent > 100 { 1.0 } else { percent as f64 / 100.0 })
    }

    /// The share, from 0 to 1.
    pub const fn as_f64(self) -> f64 {
        self.0
    }
}

impl ConfigValue for Share {
    fn type_name() -> String {
        "share".to_owned()
    }

    fn parse(given: &Given<'_>) -> Result<Self, Invalid> {
        let number = match given.value() {
            Scalar::Integer(0) => Some(0.0),
            Scalar::Integer(1) => Some(1.0),
            Scalar::Float(number) => Some(*number),
            Scalar::String(text) => read(text),
            _ => None,
        };
        let share = number.filter(|share| (0.0..=1.0).contains(share));
        share.map(Self).ok_or_else(|| given.mismatch("a share from 0 to 1, such as `0.7` or `70%`"))
    }

    fn to_text(&self, _key: &str) -> String {
        self.0.to_string()
    }
}

fn read(text: &str) -> Option<f64> {
    match text.strip_suffix('%') {
        Some(percent) => percent.trim_end().parse::<f64>().ok().map(|percent| percent / 100.0),
        None => text.parse().ok(),
    }
}
