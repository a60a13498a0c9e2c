//! Texts of every length, generated once and shared by records.

use std::sync::Arc;

use super::{
    draw::Draw,
    words::{SENTENCE, SUBJECT},
};

pub struct Library {
    /// Notes of one sentence to 20 kB, short ones first.
    pub notes: Vec<Arc<str>>,
    /// The same as HTML.
    pub notes_html: Vec<Arc<str>>,
    /// Mails: plain, HTML, preview. Short ones first, up to 60 kB.
    pub mails: Vec<(Arc<str>, Arc<str>, Arc<str>)>,
    pub subjects: Vec<Arc<str>>,
}

impl Library {
    pub fn new(seed: u64) -> Self {
        let mut draw = Draw::new(seed, u64::MAX);
        let mut notes: Vec<String> = (0..192).map(|_| text(&mut draw, 1, 1.1, 60)).collect();
        notes.extend((0..8).map(|_| text(&mut draw, 330, 5.0, 400)));
        let mut mails: Vec<String> = (0..120).map(|_| text(&mut draw, 3, 0.9, 120)).collect();
        mails.extend((0..8).map(|_| text(&mut draw, 500, 3.0, 1_200)));
        let subjects = (0..96).map(|n| Arc::from(format!("{} {}", draw.pick(SUBJECT), n + 1))).collect();
        Self {
            notes_html: notes.iter().map(|note| html(note).into()).collect(),
            notes: notes.into_iter().map(Arc::from).collect(),
            mails: mails.iter().map(|mail| (mail.as_str().into(), page(mail).into(), preview(mail).into())).collect(),
            subjects,
        }
    }

    /// The index of a note: long ones are rare.
    pub fn note(&self, draw: &mut Draw) -> usize {
        if draw.chance(0.01) { draw.below(self.notes.len()) } else { draw.below(self.notes.len() - 8) }
    }

    /// The index of a mail: long ones are rare.
    pub fn mail(&self, draw: &mut Draw) -> usize {
        if draw.chance(0.02) { draw.below(self.mails.len()) } else { draw.below(self.mails.len() - 8) }
    }
}

/// A text of at least `least` sentences.
fn text(draw: &mut Draw, least: usize, slope: f64, most: usize) -> String {
    let sentences = least.max(draw.tail(slope, most));
    let mut out = String::new();
    for at in 0..sentences {
        if at > 0 {
            out.push_str(if draw.chance(0.15) { "\n\n" } else { " " });
        }
        out.push_str(draw.word(SENTENCE));
    }
    out
}

/// A note as the editor writes it.
pub fn html(text: &str) -> String {
    let escaped = text.replace('&', "&amp;").replace('<', "&lt;").replace('>', "&gt;");
    format!("<body><p>{}</p></body>", escaped.replace("\n\n", "</p><p>"))
}

fn page(text: &str) -> String {
    let body = html(text);
    let style = "font-family:Helvetica,Arial,sans-serif;font-size:13px;color:#222222";
    format!(
        "<html><head><meta charset=\"utf-8\"></head>{}</html>",
        body.replace("<p>", &format!("<p style=\"{style}\">"))
    )
}

/// The beginning of a text, as lists of mails show it.
pub fn preview(text: &str) -> String {
    text.chars().take(120).map(|c| if c.is_control() { ' ' } else { c }).collect()
}

#[cfg(test)]
mod tests {
    use super::*;

    #[test]
    fn notes_reach_twenty_kilobytes_and_mails_more() {
        let library = Library::new(3);
        assert!(library.notes.iter().map(|note| note.len()).max() > Some(15_000));
        assert!(library.mails.iter().map(|(plain, ..)| plain.len()).max() > Some(20_000));
        assert!(library.notes.iter().any(|note| note.len() < 60));
    }
}
