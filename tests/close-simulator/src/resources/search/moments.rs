//! Points in time in queries: fixed, relative to now, or in the legacy text with the precision of a minute or a day.

use jiff::{
    Span, Timestamp,
    tz::{Offset, TimeZone},
};

use crate::model::{Day, Moment};

/// A half-open interval.
#[derive(Clone, Copy, Debug, PartialEq, Eq)]
pub struct Interval {
    /// `None`: no lower bound.
    pub from: Option<Moment>,
    /// `None`: no upper bound.
    pub before: Option<Moment>,
}

impl Interval {
    pub fn holds(&self, at: Moment) -> bool {
        self.from.is_none_or(|from| at >= from) && self.before.is_none_or(|before| at < before)
    }
}

/// Adds a span of calendar units to a moment, at an offset in minutes from UTC; `None` beyond the calendar.
pub fn moved(at: Moment, span: Span, offset_minutes: i32) -> Option<Moment> {
    let zone = TimeZone::fixed(Offset::from_seconds(offset_minutes.checked_mul(60)?).ok()?);
    let moved = Timestamp::from_microsecond(at.0).ok()?.to_zoned(zone).checked_add(span).ok()?;
    Some(Moment(moved.timestamp().as_microsecond()))
}

/// Adds `count` of a unit, named in the singular or plural, to a span.
pub fn with(span: Span, unit: &str, count: i64) -> Option<Span> {
    match unit.strip_suffix('s').unwrap_or(unit) {
        "year" => span.try_years(count).ok(),
        "month" => span.try_months(count).ok(),
        "week" => span.try_weeks(count).ok(),
        "day" => span.try_days(count).ok(),
        "hour" => span.try_hours(count).ok(),
        "minute" => span.try_minutes(count).ok(),
        "second" => span.try_seconds(count).ok(),
        _ => None,
    }
}

/// The interval of a date in the legacy query: a day without time, else a minute (reference, section 2.5). Accepts
/// `now`, `today`, `yesterday`, `tomorrow` and `3 days ago` besides dates.
pub fn legacy(text: &str, now: Moment, offset_minutes: i32) -> Option<(Moment, Moment)> {
    const MINUTE: i64 = 60_000_000;
    let text = text.trim();
    let day = |days: i32| {
        let day = Day(now.day(offset_minutes).0.saturating_add(days));
        Some((day.start(offset_minutes), Day(day.0.saturating_add(1)).start(offset_minutes)))
    };
    let minute = |at: Moment| {
        let floor = at.0.div_euclid(MINUTE) * MINUTE;
        Some((Moment(floor), Moment(floor + MINUTE)))
    };
    match text.to_ascii_lowercase().as_str() {
        "now" => return minute(now),
        "today" => return day(0),
        "yesterday" => return day(-1),
        "tomorrow" => return day(1),
        _ => {}
    }
    let mut parts = text.split_whitespace();
    if let (Some(count), Some(unit), Some("ago"), None) = (parts.next(), parts.next(), parts.next(), parts.next()) {
        let at = moved(now, with(Span::new(), unit, count.parse::<i64>().ok()?.checked_neg()?)?, offset_minutes)?;
        return if unit.starts_with("hour") || unit.starts_with("minute") || unit.starts_with("second") {
            minute(at)
        } else {
            let day = at.day(offset_minutes);
            Some((day.start(offset_minutes), Day(day.0 + 1).start(offset_minutes)))
        };
    }
    if text.len() == 10 {
        let day = Day::parse(text)?;
        return Some((day.start(offset_minutes), Day(day.0 + 1).start(offset_minutes)));
    }
    minute(Moment::parse(text, offset_minutes)?)
}

#[cfg(test)]
mod tests {
    use super::*;

    #[test]
    fn a_date_is_a_day_of_the_caller_and_a_time_is_a_minute() {
        let now = Moment::parse("2026-03-31T01:30:30Z", 0).unwrap();
        let at = |text| Moment::parse(text, 0).unwrap();
        assert_eq!(legacy("2026-01-01", now, 0), Some((at("2026-01-01T00:00:00Z"), at("2026-01-02T00:00:00Z"))));
        assert_eq!(legacy("2026-01-01", now, -240), Some((at("2026-01-01T04:00:00Z"), at("2026-01-02T04:00:00Z"))));
        assert_eq!(
            legacy("2026-01-01T10:00:59", now, 0),
            Some((at("2026-01-01T10:00:00Z"), at("2026-01-01T10:01:00Z")))
        );
        assert_eq!(legacy("today", now, -240), Some((at("2026-03-30T04:00:00Z"), at("2026-03-31T04:00:00Z"))));
        assert_eq!(legacy("2 hours ago", now, 0), Some((at("2026-03-30T23:30:00Z"), at("2026-03-30T23:31:00Z"))));
        assert_eq!(legacy("1 month ago", now, 0).unwrap().0, at("2026-02-28T00:00:00Z"));
        assert_eq!(legacy("soon", now, 0), None);
    }
}
