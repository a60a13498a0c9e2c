//! The three forms in which a telephone number stands on calls and messages: as it is dialled, as people read it, and its country.

use crate::model::Value;
use crate::model::render::Scene;
use crate::model::resource::Field;

/// Country codes and the country that is named for each; the longest that fits is taken.
const COUNTRIES: [(&str, &str); 16] = [
    ("+351", "PT"),
    ("+353", "IE"),
    ("+358", "FI"),
    ("+1", "US"),
    ("+31", "NL"),
    ("+33", "FR"),
    ("+34", "ES"),
    ("+39", "IT"),
    ("+41", "CH"),
    ("+43", "AT"),
    ("+44", "GB"),
    ("+45", "DK"),
    ("+46", "SE"),
    ("+47", "NO"),
    ("+48", "PL"),
    ("+49", "DE"),
];

/// The organization's number, from the stored `local_phone`.
pub const LOCAL: &[Field] = &[
    Field::text("local_phone").writable(),
    Field::computed("local_phone_formatted", |s| formatted_field(s, "local_phone")),
    Field::computed("local_country_iso", |s| country_field(s, "local_phone")),
];

/// The other side's number, from the stored `remote_phone`.
pub const REMOTE: &[Field] = &[
    Field::text("remote_phone").writable(),
    Field::computed("remote_phone_formatted", |s| formatted_field(s, "remote_phone")),
    Field::computed("remote_country_iso", |s| country_field(s, "remote_phone")),
];

/// As people read it: `+49 431 00001`; what is no number with a country code stays as it is.
pub fn formatted(phone: &str) -> String {
    let Some((code, _)) = of(phone) else { return phone.to_owned() };
    let rest = &phone[code.len()..];
    match (code, rest.len()) {
        ("+1", 10) => format!("+1 {}-{}-{}", &rest[..3], &rest[3..6], &rest[6..]),
        (_, 0..=3) => format!("{code} {rest}"),
        _ => format!("{code} {} {}", &rest[..3], &rest[3..]),
    }
}

/// The country in two letters, if its code is known.
pub fn country(phone: &str) -> Option<&'static str> {
    of(phone).map(|(_, country)| country)
}

fn of(phone: &str) -> Option<(&'static str, &'static str)> {
    let digits = phone.strip_prefix('+')?;
    if !digits.bytes().all(|byte| byte.is_ascii_digit()) {
        return None;
    }
    COUNTRIES.into_iter().find(|(code, _)| phone.starts_with(code))
}

/// The stored number of this name as people read it.
pub fn formatted_field(scene: &Scene<'_>, name: &'static str) -> Value {
    scene.record.text(name).map(formatted).into()
}

/// The country of the stored number of this name.
pub fn country_field(scene: &Scene<'_>, name: &'static str) -> Value {
    scene.record.text(name).and_then(country).into()
}

#[cfg(test)]
mod tests {
    use super::*;

    #[test]
    fn numbers_are_written_for_people() {
        assert_eq!((formatted("+4943100001").as_str(), country("+4943100001")), ("+49 431 00001", Some("DE")));
        assert_eq!((formatted("+14155550100").as_str(), country("+14155550100")), ("+1 415-555-0100", Some("US")));
        assert_eq!((formatted("12 34"), country("12 34")), ("12 34".to_owned(), None));
    }
}
