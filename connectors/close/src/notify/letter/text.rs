//! Wrapped text, and names, numbers and times in plain words. Pure.

use std::{fmt::Write as _, time::Duration};

use crate::moment::Moment;

/// The width of a line of text.
pub(super) const WIDTH: usize = 76;

/// A text that is being written, with wrapped lines.
#[derive(Default)]
pub(super) struct Text(pub(super) String);

impl Text {
    pub(super) fn heading(&mut self, heading: &str) {
        let _ = writeln!(self.0, "{heading}\n{}", "-".repeat(heading.chars().count()));
    }

    pub(super) fn line(&mut self, line: &str) {
        let _ = writeln!(self.0, "{line}");
    }

    pub(super) fn end(&mut self) {
        self.0.push('\n');
    }

    pub(super) fn paragraph(&mut self, text: &str) {
        self.wrap(text, "", "");
        self.end();
    }

    pub(super) fn item(&mut self, text: &str) {
        self.wrap(text, "  * ", "    ");
    }

    fn wrap(&mut self, text: &str, first: &str, others: &str) {
        let mut line = first.to_owned();
        let mut begun = false;
        for word in text.split_whitespace() {
            if begun && line.chars().count() + 1 + word.chars().count() > WIDTH {
                self.line(&line);
                others.clone_into(&mut line);
                begun = false;
            }
            if begun {
                line.push(' ');
            }
            line.push_str(word);
            begun = true;
        }
        self.line(&line);
    }
}

/// The name of an object in plain words, of many: `Leads`, `Custom activities`.
pub(super) fn plain(name: &str) -> String {
    let text = match name {
        "created" => "Notes of the creation of leads".to_owned(),
        "sms" => "Text messages (SMS)".to_owned(),
        "whatsapp_message" => "WhatsApp messages".to_owned(),
        "sms_template" => "Templates of text messages (SMS)".to_owned(),
        "send_as" => "Permissions to send as another user".to_owned(),
        "task_completed" => "Notes of completed tasks".to_owned(),
        "membership" => "Memberships of users".to_owned(),
        "organization" => "Organization".to_owned(),
        name => match name.strip_prefix("custom_field_") {
            Some("shared") => "Shared custom fields".to_owned(),
            Some(of) => format!("Custom fields of {}", plural(&of.replace('_', " "))),
            None => plural(&name.replace('_', " ")),
        },
    };
    let mut letters = text.chars();
    letters.next().map_or_else(String::new, |first| first.to_uppercase().chain(letters).collect())
}

pub(super) fn plural(word: &str) -> String {
    let vowel_before_y = ["ay", "ey", "oy", "uy"].iter().any(|end| word.ends_with(end));
    match word.strip_suffix('y') {
        Some(stem) if !vowel_before_y => format!("{stem}ies"),
        _ if word.ends_with('s') => format!("{word}es"),
        _ => format!("{word}s"),
    }
}

/// Names in the middle of a sentence.
pub(super) fn named(names: &[&str]) -> String {
    match names {
        [one] => plain(one).to_lowercase(),
        names => count(names.len() as u64, "kind") + " of data",
    }
}

pub(super) fn count(number: u64, noun: &str) -> String {
    let noun = if number == 1 { noun.to_owned() } else { plural(noun) };
    format!("{} {noun}", grouped(number))
}

/// `1234567` as `1,234,567`.
pub(super) fn grouped(number: u64) -> String {
    let digits = number.to_string();
    let mut text = String::new();
    for (at, digit) in digits.chars().enumerate() {
        if at > 0 && (digits.len() - at).is_multiple_of(3) {
            text.push(',');
        }
        text.push(digit);
    }
    text
}

/// A duration in its two largest units: `2 hours 4 minutes`.
pub(super) fn duration(duration: Duration) -> String {
    let seconds = duration.as_secs();
    let units = [(86_400, "day"), (3_600, "hour"), (60, "minute"), (1, "second")];
    let mut rest = seconds;
    let mut parts = Vec::new();
    for (unit, noun) in units {
        if rest >= unit {
            parts.push(count(rest / unit, noun));
            rest %= unit;
        }
    }
    if parts.is_empty() { "less than a second".to_owned() } else { parts[..parts.len().min(2)].join(" ") }
}

/// A duration after `every`: `day`, `5 minutes`.
pub(super) fn each(time: Duration) -> String {
    let text = duration(time);
    text.strip_prefix("1 ").filter(|unit| !unit.contains(' ')).map(str::to_owned).unwrap_or(text)
}

/// `2026-07-25 17:20 UTC`.
pub(super) fn time(moment: Moment) -> String {
    let text = moment.text();
    format!("{} {} UTC", &text[..10.min(text.len())], text.get(11..16).unwrap_or_default())
}
