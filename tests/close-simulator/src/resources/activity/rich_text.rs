//! Texts that Close keeps in two forms, plain and HTML: setting one sets the other.

use crate::model::{Record, Value};

/// Synchronizes the two forms after a body was read into `after`. The changed form wins; HTML if both changed.
pub fn agree(before: Option<&Record>, after: &mut Record, plain: &'static str, html: &'static str) {
    let changed = |name| before.and_then(|before| before.get(name)) != after.get(name);
    if changed(html) {
        let text = after.text(html).map(plain_of);
        after.set(plain, text);
    } else if changed(plain) {
        let text = after.text(plain).filter(|text| !text.is_empty()).map(html_of);
        after.set(html, text);
    }
}

/// The first 200 characters of a text, on one line.
pub fn preview(text: &str) -> Value {
    let line = text.split_whitespace().collect::<Vec<_>>().join(" ");
    Value::from(line.chars().take(200).collect::<String>())
}

/// A plain text as HTML, one paragraph per line.
pub fn html_of(text: &str) -> String {
    text.lines().map(|line| format!("<p>{}</p>", escaped(line))).collect()
}

/// HTML without its tags, one line per paragraph or break.
pub fn plain_of(html: &str) -> String {
    let mut out = String::with_capacity(html.len());
    let mut rest = html;
    while let Some(open) = rest.find('<') {
        out.push_str(&rest[..open]);
        let Some(close) = rest[open..].find('>') else {
            rest = "";
            break;
        };
        let tag = rest[open + 1..open + close].trim().to_ascii_lowercase();
        if tag.starts_with("br") || matches!(tag.as_str(), "/p" | "/div" | "/li") {
            out.push('\n');
        }
        rest = &rest[open + close + 1..];
    }
    out.push_str(rest);
    let text = out.trim_end_matches('\n');
    [("&nbsp;", " "), ("&lt;", "<"), ("&gt;", ">"), ("&quot;", "\""), ("&#39;", "'"), ("&amp;", "&")]
        .into_iter()
        .fold(text.to_owned(), |text, (entity, character)| text.replace(entity, character))
}

fn escaped(text: &str) -> String {
    text.replace('&', "&amp;").replace('<', "&lt;").replace('>', "&gt;")
}

#[cfg(test)]
mod tests {
    use super::*;

    #[test]
    fn a_text_comes_back_from_its_html() {
        for text in ["", "plain", "two\nlines", "a < b & c > d", "Grüße ü"] {
            assert_eq!(plain_of(&html_of(text)), text);
        }
        assert_eq!(plain_of("<body><p>Hi <b>you</b><br/>there</p></body>"), "Hi you\nthere");
        assert_eq!(plain_of("cut <off"), "cut ");
    }
}
