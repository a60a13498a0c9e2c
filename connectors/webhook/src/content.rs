//! The declared content of a body: JSON in UTF-8, not encoded.
//!
//! `application/json` has no parameters, so unknown ones say nothing (RFC 8259, section 11). A charset is compared
//! because a sender that names another one than UTF-8 usually sends it.

use hyper::header::{CONTENT_ENCODING, CONTENT_TYPE, HeaderMap, HeaderName};
use towpath_mapping::quote;

/// Checks that the body is `application/json`, in UTF-8 if it names a charset, and not encoded: a small compressed body
/// can decompress to a large one. A type that is given several times must be the same each time.
///
/// # Errors
/// The reason, for the sender, as the rest of a sentence about the body.
pub(crate) fn check(headers: &HeaderMap) -> Result<(), String> {
    let types = values(headers, &CONTENT_TYPE);
    if types.is_empty() {
        return Err("it has no content type".to_owned());
    }
    for value in &types {
        let mut parts = split(value, ';').map(str::trim);
        let kind = parts.next().unwrap_or_default();
        if !kind.eq_ignore_ascii_case("application/json") {
            return Err(format!("its content type is {}", quote(kind)));
        }
        for (name, value) in parts.filter_map(|parameter| parameter.split_once('=')) {
            if name.trim().eq_ignore_ascii_case("charset") && !is_utf8(value) {
                return Err(format!("its charset is {}", quote(value.trim().trim_matches('"'))));
            }
        }
    }
    // Some senders give the charset as the encoding.
    let encoded = values(headers, &CONTENT_ENCODING);
    let encoding = encoded.iter().find(|value| !value.eq_ignore_ascii_case("identity") && !is_utf8(value));
    encoding.map_or(Ok(()), |encoding| Err(format!("its content encoding is {}", quote(encoding))))
}

/// Returns true for the names of UTF-8 and of ASCII, a part of it, in any spelling, and for an empty name.
fn is_utf8(charset: &str) -> bool {
    let name = charset.trim().trim_matches(['"', '\'']).bytes().filter(|byte| !matches!(byte, b'-' | b'_'));
    let name: Vec<u8> = name.map(|byte| byte.to_ascii_lowercase()).collect();
    matches!(&*name, b"" | b"utf8" | b"usascii" | b"ascii")
}

/// The values of a header: it can occur several times, and several values can be joined with commas.
fn values(headers: &HeaderMap, name: &HeaderName) -> Vec<String> {
    let all = headers.get_all(name).into_iter().map(|value| String::from_utf8_lossy(value.as_bytes()));
    let mut values = Vec::new();
    for value in all {
        values.extend(split(&value, ',').map(str::trim).filter(|value| !value.is_empty()).map(ToOwned::to_owned));
    }
    values
}

/// Splits at `separator`, but not within quotes.
fn split(text: &str, separator: char) -> impl Iterator<Item = &str> {
    let mut is_quoted = false;
    text.split(move |letter| {
        is_quoted ^= letter == '"';
        letter == separator && !is_quoted
    })
}

#[cfg(test)]
mod tests {
    use hyper::header::HeaderValue;

    use super::*;

    fn headers(pairs: &[(HeaderName, &'static str)]) -> HeaderMap {
        let mut headers = HeaderMap::new();
        for (name, value) in pairs {
            headers.append(name, HeaderValue::from_static(value));
        }
        headers
    }

    fn typed(kind: &'static str) -> Result<(), String> {
        check(&headers(&[(CONTENT_TYPE, kind)]))
    }

    #[test]
    fn json_in_every_spelling_of_utf_8_is_accepted() {
        for kind in [
            "application/json",
            "Application/JSON; charset=utf-8",
            "application/json;charset=\"UTF-8\"",
            "application/json;charset='utf-8'",
            "application/json;charset=utf8",
            "application/json; charset = UTF8",
            "application/json; charset=utf_8",
            "application/json; charset=us-ascii",
            "application/json; charset=ASCII",
            "application/json; charset=",
            "application/json; CHARSET=Utf-8; charset=utf-8",
            "application/json;",
            "application/json; v=1; odata.metadata=minimal",
            "application/json; profile=\"a,b;charset=latin1\"; charset=utf8",
            "application/json, application/json; charset=utf-8",
        ] {
            assert_eq!(typed(kind), Ok(()), "{kind}");
        }
        let twice = [(CONTENT_TYPE, "application/json"), (CONTENT_TYPE, "application/json; charset=utf8")];
        assert_eq!(check(&headers(&twice)), Ok(()));
    }

    #[test]
    fn another_type_or_charset_is_refused_by_name() {
        for (kind, reason) in [
            ("", "it has no content type"),
            ("text/plain", "its content type is \"text/plain\""),
            ("application/jsonp", "its content type is \"application/jsonp\""),
            ("application/cloudevents+json", "its content type is \"application/cloudevents+json\""),
            ("application/json, text/plain", "its content type is \"text/plain\""),
            ("application/json; charset=latin1", "its charset is \"latin1\""),
            ("application/json; charset=\"utf-16\"", "its charset is \"utf-16\""),
            ("application/json; charset=utf8; charset=ISO-8859-1", "its charset is \"ISO-8859-1\""),
        ] {
            assert_eq!(typed(kind), Err(reason.to_owned()), "{kind}");
        }
        assert_eq!(check(&headers(&[])), Err("it has no content type".to_owned()));
        let twice = [(CONTENT_TYPE, "application/json"), (CONTENT_TYPE, "text/plain")];
        assert_eq!(check(&headers(&twice)), Err("its content type is \"text/plain\"".to_owned()));
    }

    #[test]
    fn only_a_body_without_encoding_is_accepted() {
        let encoded = |encoding| check(&headers(&[(CONTENT_TYPE, "application/json"), (CONTENT_ENCODING, encoding)]));
        for encoding in ["identity", "Identity", "", "utf-8", "identity, identity"] {
            assert_eq!(encoded(encoding), Ok(()), "{encoding}");
        }
        assert_eq!(encoded("gzip"), Err("its content encoding is \"gzip\"".to_owned()));
        assert_eq!(encoded("identity, br"), Err("its content encoding is \"br\"".to_owned()));
    }
}
