use jiff::{
    Timestamp, Zoned,
    tz::{Offset, TimeZone},
};
use proptest::prelude::*;

use super::*;

/// The code and the reason of a refusal.
fn why<T: std::fmt::Debug>(read: Result<T>) -> (&'static str, String) {
    let wrong = read.unwrap_err();
    (wrong.code, wrong.message.split_once("\": ").map_or_else(String::new, |(_, why)| why.to_owned()))
}

const NOON: i64 = 1_769_860_800_000;

#[test]
fn dates_are_days_since_the_epoch() {
    assert_eq!((date("1970-01-01"), date("2026-03-01"), date("1969-12-31")), (Ok(0), Ok(20_513), Ok(-1)));
    for (text, reason) in [
        ("2026-02-29", "the calendar has no such day"),
        ("2026-13-01", "the calendar has no such day"),
        ("2026-01-01T00:00:00Z", "it has more than a date"),
        ("2026-1-1", ""),
        ("20260101", ""),
        ("01.02.2026", ""),
        ("+02026-01-01", ""),
        ("", ""),
    ] {
        assert_eq!(why(date(text)), ("format", reason.to_owned()), "{text}");
    }
}

#[test]
fn times_are_exact() {
    assert_eq!((time("00:00:01.5", 3), time("23:59:59.999999", 6)), (Ok(1_500), Ok(86_399_999_999)));
    assert_eq!(
        (time("00:00:00.0010000", 3), time("12:30", 3), time("12:30:00,5", 3)),
        (Ok(1), Ok(45_000_000), { Ok(45_000_500) })
    );
    assert_eq!(time("00:00:00.0001", 3).unwrap_err().code, "precision");
    for (text, reason) in [
        ("24:00:00", "24:00 belongs to the next day"),
        ("24:00:01", "there is no such time of day"),
        ("12:60", "there is no such time of day"),
        ("23:59:60", "no type has a value for a leap second"),
        ("12:00:00Z", "it has a time zone, or more"),
        ("12:00.5", "it has a time zone, or more"),
        ("12:00 PM", "it has a time zone, or more"),
        ("12:00:00.", ""),
        ("1:00:00", ""),
        ("120000", ""),
        ("12", ""),
    ] {
        assert_eq!(why(time(text, 3)), ("format", reason.to_owned()), "{text}");
    }
}

#[test]
fn every_spelling_of_one_moment_is_taken() {
    for text in [
        "2026-01-31T12:00:00Z",
        "2026-01-31t12:00:00.000z",
        "2026-01-31T12:00Z",
        "2026-01-31 12:00Z",
        "2026-01-31T12:00:00,000Z",
        "2026-01-31T12:00:00+00:00",
        "2026-01-31T12:00:00-00:00",
        "2026-01-31T12:00:00.000+0000",
        "2026-01-31T12:00:00+00",
        "2026-01-31 13:00:00 +0100",
        "2026-01-31 13:00:00+01",
        "2026-01-31T13:00+01",
        "2026-01-31T12:34:56+00:34:56",
        "2026-01-31 12:00:00 UTC",
        "2026-01-31T12:00:00GMT",
        "2026-01-31T12:00:00.000000000000Z",
        "2026-01-31T24:00-12:00",
        "2026-02-01T00:00:00+12:00",
    ] {
        let noon = if text.contains("12:00") && text.contains("T24") { NOON + 86_400_000 } else { NOON };
        assert_eq!(timestamp(text, 3), Ok(noon), "{text}");
    }
    assert_eq!(timestamp("1969-12-31 23:59:59.5-00:00", 3), Ok(-500));
    for text in ["2026-01-31T12:00:00", "2026-01-31 12:00", "2026-01-31T12:00:00,0"] {
        assert_eq!(local_timestamp(text, 3), Ok(NOON), "{text}");
    }
    assert_eq!(local_timestamp("2026-01-30T24:00:00", 3), Ok(NOON - 43_200_000));
}

#[test]
fn a_timestamp_of_two_meanings_or_of_none_is_refused_with_the_reason() {
    for (text, reason) in [
        ("2026-01-31T12:00:00", "it has no time zone"),
        ("2026-01-31T12:00", "it has no time zone"),
        ("2026-01-31", "it has no time of day"),
        ("2026-01-31T23:59:60Z", "no type has a value for a leap second"),
        ("2026-01-31T24:00:01Z", "there is no such time of day"),
        ("2026-01-31T25:00Z", "there is no such time of day"),
        ("2026-02-30T12:00Z", "the calendar has no such day"),
        ("2026-01-31T12:00:00+24:00", "there is no such offset"),
        ("2026-01-31T12:00:00 CET", ZONE_NAME),
        ("2026-01-31T12:00:00+01:00[Europe/Vienna]", ZONE_NAME),
        ("2026-01-31T12:00:00 GMT+1", ZONE_NAME),
        ("2026-01-31 12:00 PM", ZONE_NAME),
        ("2026-01-31T12:00:00+2:00", ""),
        ("2026-01-31T12:00:00+1", ""),
        ("2026-01-31T12:00:00+01000", ""),
        ("2026-01-31T12:00:00  +01:00", ""),
        ("2026-01-31T12:00:00.Z", ""),
        ("2026-01-31T12Z", ""),
        ("20260131T120000Z", ""),
        ("1769860800", ""),
        ("", ""),
        ("Z", ""),
        ("é026-01-31T12:00:00Z", ""),
        ("2026-01-31Té2:00:00Z", ""),
    ] {
        assert_eq!(why(timestamp(text, 3)), ("format", reason.to_owned()), "{text}");
    }
    for text in ["2026-01-31T12:00:00Z", "2026-01-31T12:00:00 +01:00", "2026-01-31T12:00 "] {
        assert_eq!(why(local_timestamp(text, 3)), ("format", HAS_ZONE.to_owned()), "{text}");
    }
    assert_eq!(timestamp("2026-01-31T12:00:00.0001Z", 3).unwrap_err().code, "precision");
    assert_eq!(timestamp("2026-01-31T12:00:00,1234567+00", 6).unwrap_err().code, "precision");
    assert_eq!(timestamp("9999-12-31T00:00:00Z", 9).unwrap_err().code, "range");
}

/// A moment to the minute, second or microsecond, at an offset, in one of the spellings that it allows.
fn spelled() -> impl Strategy<Value = (Timestamp, String)> {
    let choices = (0_usize..3, 0_usize..3, 0_usize..2, 0_usize..6, any::<bool>());
    let moment = (-62_000_000_000_i64..200_000_000_000, 0_i32..1_000_000, -86_399_i32..=86_399);
    (moment, choices).prop_map(|((seconds, micros, offset), (detail, separator, point, zone, is_spaced))| {
        let offset = match zone {
            0 => 0,
            1 => offset / 3_600 * 3_600,
            2..=4 => offset / 60 * 60,
            _ => offset,
        };
        let (seconds, micros) = match detail {
            0 => (seconds - (seconds + i64::from(offset)).rem_euclid(60), 0),
            1 => (seconds, 0),
            _ => (seconds, micros),
        };
        let moment = Timestamp::new(seconds, micros * 1_000).unwrap();
        let local = Zoned::new(moment, TimeZone::fixed(Offset::from_seconds(offset).unwrap()));
        let form = ["%Y-%m-%d{}%H:%M", "%Y-%m-%d{}%H:%M:%S", "%Y-%m-%d{}%H:%M:%S%.6f"][detail];
        let form = form.replace("{}", ["T", "t", " "][separator]);
        let point = [".", ","][point];
        let (sign, east) = (if offset < 0 { '-' } else { '+' }, offset.abs());
        let (hours, minutes, seconds) = (east / 3_600, east / 60 % 60, east % 60);
        let zone = match zone {
            0 => ["Z", "z", "UTC", "gmt", "+0000", "-00"][usize::try_from(micros % 6).unwrap()].to_owned(),
            1 => format!("{sign}{hours:02}"),
            2 => format!("{sign}{hours:02}{minutes:02}"),
            3 | 4 => format!("{sign}{hours:02}:{minutes:02}"),
            _ => format!("{sign}{hours:02}:{minutes:02}:{seconds:02}"),
        };
        let space = if is_spaced { " " } else { "" };
        (moment, format!("{}{space}{zone}", local.strftime(&form).to_string().replace('.', point)))
    })
}

proptest! {
    #[test]
    fn every_spelling_of_a_moment_is_the_moment_of_jiff((moment, text) in spelled()) {
        prop_assert_eq!(timestamp(&text, 6), Ok(moment.as_microsecond()), "{}", text);
    }

    #[test]
    fn what_jiff_reads_too_is_the_same_moment(
        text in r"[012][0-9]{3}-[01][0-9]-[0-3][0-9][Tt ][0-2][0-9]:[0-6][0-9](:[0-6][0-9]([.,][0-9]{1,6})?)?\
            (Z|z|[+-][0-2][0-9](:?[0-6][0-9]){0,2})",
    ) {
        // jiff takes a leap second as the second before.
        if let (Ok(ours), Ok(theirs)) = (timestamp(&text, 6), text.parse::<Timestamp>()) {
            prop_assert_eq!(ours, theirs.as_microsecond(), "{}", text);
        }
        let local = &text[..text.len().min(16)];
        if let (Ok(ours), Ok(theirs)) = (local_timestamp(local, 6), local.parse::<civil::DateTime>()) {
            let theirs = theirs.to_zoned(TimeZone::UTC).unwrap().timestamp();
            prop_assert_eq!(ours, theirs.as_microsecond(), "{}", local);
        }
    }

    #[test]
    fn a_printed_time_of_day_and_date_survive_the_round_trip(
        second in 0_i64..86_400, nanos in 0_i32..1_000_000_000, day in -700_000_i64..2_900_000,
    ) {
        let clock = civil::Time::midnight().wrapping_add(jiff::SignedDuration::new(second, nanos));
        let expected = second * 1_000_000_000 + i64::from(nanos);
        prop_assert_eq!(time(&clock.to_string(), 9), Ok(expected));
        let of_day = civil::date(1970, 1, 1).saturating_add(jiff::SignedDuration::from_hours(day * 24));
        if of_day.year() >= 0 {
            prop_assert_eq!(date(&of_day.to_string()).map(i64::from), Ok(day));
        }
    }

    #[test]
    fn no_text_causes_a_panic(text: String, near in r"[0-9:TZ.,+ -]{0,40}") {
        for text in [&text, &near] {
            let _ = (date(text), time(text, 3), timestamp(text, 6), local_timestamp(text, 9));
        }
    }
}
