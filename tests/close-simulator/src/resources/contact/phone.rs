//! Phone numbers: stored as E.164, shown with the format, country and time zones that Close computes from them
//! (reference, section 4.2).

use super::country::{self, Country};

/// Parses a number as people write it. A number without country is read as one of the United States.
pub fn parse(text: &str) -> Option<String> {
    let text = text.trim();
    if text.chars().any(|c| !(c.is_ascii_digit() || " +-().\u{a0}/".contains(c))) {
        return None;
    }
    let digits: String = text.chars().filter(char::is_ascii_digit).collect();
    let digits = if text.starts_with('+') {
        digits
    } else if let Some(rest) = digits.strip_prefix("00") {
        rest.to_owned()
    } else if digits.len() == 11 && digits.starts_with('1') {
        digits
    } else {
        format!("1{digits}")
    };
    let national = digits.len() - country::of_number(&digits)?.code.len();
    let long_enough = if digits.starts_with('1') { national == 10 } else { national >= 5 };
    (long_enough && digits.len() <= 15).then(|| format!("+{digits}"))
}

/// The country of a number in E.164.
pub fn country(e164: &str) -> Option<&'static Country> {
    country::of_number(e164.strip_prefix('+')?)
}

/// Formats a number in E.164: `+1 415-555-0100`, `+49 431 00001`.
pub fn formatted(e164: &str) -> String {
    let Some(country) = country(e164) else { return e164.to_owned() };
    let national = &e164[1 + country.code.len()..];
    if country.code == "1" && national.len() == 10 {
        return format!("+1 {}-{}-{}", &national[..3], &national[3..6], &national[6..]);
    }
    // Berlin, Hamburg, Frankfurt and Munich have area codes of two digits.
    let short = country.iso == "DE" && ["30", "40", "69", "89"].iter().any(|area| national.starts_with(area));
    let (area, rest) = national.split_at(if short { 2 } else { 3.min(national.len()) });
    if rest.is_empty() { format!("+{} {area}", country.code) } else { format!("+{} {area} {rest}", country.code) }
}

#[cfg(test)]
mod tests {
    use super::*;

    #[test]
    fn numbers_become_e164_or_are_refused() {
        for (text, wanted) in [
            ("(415) 555-0100", Some("+14155550100")),
            ("1 415 555 0100", Some("+14155550100")),
            ("+49 431 00001", Some("+4943100001")),
            ("0044 20 7946 0000", Some("+442079460000")),
            ("12", None),
            ("call me", None),
            ("", None),
        ] {
            assert_eq!(parse(text).as_deref(), wanted, "{text}");
        }
    }

    #[test]
    fn numbers_are_shown_with_country_and_area() {
        assert_eq!(formatted("+14155550100"), "+1 415-555-0100");
        assert_eq!(formatted("+4943100001"), "+49 431 00001");
        assert_eq!(formatted("+4940000009"), "+49 40 000009");
        assert_eq!(country("+4943100001").map(|country| country.iso), Some("DE"));
    }
}
