//! Identifies the client of a post.
//!
//! A body contains its own credentials, so it must be scanned before the client is known. An unknown client causes one
//! pass over the bytes ([`members`]) that locates the fields of the envelope and builds nothing. Client id and secret
//! are read, compared and dropped: the result is a [`Post`], which has no fields for them.
//!
//! What always holds: an unknown client and a wrong secret cost the same work and get the same answer; a secret, right
//! or wrong, appears in no error text, log or `Debug` output.

use std::{borrow::Cow, collections::HashMap, fmt, sync::Arc};

use serde_json::value::RawValue;
use sha2::{Digest, Sha256};
use subtle::ConstantTimeEq;

use towpath_mapping::{Malformed, as_text, members, offset};

/// Maximum unknown fields to name in an answer.
const UNKNOWN_NAMED: usize = 10;

/// One field of the envelope.
pub(crate) struct Field<'a> {
    /// Its name as the client spelled it.
    pub(crate) name: Cow<'a, str>,
    /// Its value as text of the body.
    pub(crate) json: &'a RawValue,
    /// The byte of the body at which the value begins.
    pub(crate) at: usize,
}

/// A post from a known client, without its credentials.
///
/// It has no `Debug`: a client's data belongs in its topic and nowhere else.
#[derive(Default)]
pub(crate) struct Post<'a> {
    pub(crate) object: Option<Field<'a>>,
    pub(crate) id: Option<Field<'a>>,
    pub(crate) data: Option<Field<'a>>,
    pub(crate) action: Option<Field<'a>>,
    /// Names of unknown fields, at most [`UNKNOWN_NAMED`].
    pub(crate) unknown: Vec<Cow<'a, str>>,
}

/// The reason why the client of a post is not known.
#[derive(Debug)]
pub(crate) enum Unverified {
    /// The body is not a JSON object, or has a field twice.
    Malformed(Malformed),
    /// The body is not UTF-8, as JSON must be. The text is for the sender.
    NotUtf8(String),
    /// The credentials are missing or wrong; the answer does not say which.
    Credentials,
}

/// The clients that may post, with the digests of their secrets.
pub(crate) struct Clients {
    known: HashMap<String, Client>,
    /// Compared with the secret of an unknown client.
    dummy: [u8; 32],
}

struct Client {
    name: Arc<str>,
    /// SHA-256 of the secret: digests have one length, so the comparison does not reveal that of the secret.
    digest: [u8; 32],
}

impl Clients {
    /// From pairs of client id and secret.
    pub(crate) fn new<'a>(clients: impl IntoIterator<Item = (&'a str, &'a str)>) -> Self {
        let known = clients
            .into_iter()
            .map(|(id, secret)| (id.to_owned(), Client { name: id.into(), digest: digest(secret) }))
            .collect();
        Self { known, dummy: digest(&uuid::Uuid::new_v4().to_string()) }
    }

    fn verify(&self, id: &str, secret: &str) -> Option<Arc<str>> {
        let presented = digest(secret);
        let client = self.known.get(id);
        let expected = client.map_or(&self.dummy, |client| &client.digest);
        let equal = bool::from(presented.ct_eq(expected));
        client.filter(|_| equal).map(|client| client.name.clone())
    }
}

impl fmt::Debug for Clients {
    fn fmt(&self, f: &mut fmt::Formatter<'_>) -> fmt::Result {
        f.debug_set().entries(self.known.keys()).finish()
    }
}

fn digest(secret: &str) -> [u8; 32] {
    Sha256::digest(secret.as_bytes()).into()
}

/// Reads the envelope of `body`, identifies the client, and drops the credentials.
pub(crate) fn verify<'a>(body: &'a [u8], clients: &Clients) -> Result<(Arc<str>, Post<'a>), Unverified> {
    let text = text_of(body).map_err(Unverified::NotUtf8)?;
    let envelope = read_envelope(text).map_err(Unverified::Malformed)?;
    let id = envelope.client_id.and_then(as_text).unwrap_or_default();
    let secret = envelope.client_secret.and_then(as_text).unwrap_or_default();
    let client = clients.verify(&id, &secret).ok_or(Unverified::Credentials)?;
    Ok((client, envelope.post))
}

/// The body as text. JSON begins with an ASCII character, so a zero among its first two bytes means UTF-16 or UTF-32.
fn text_of(body: &[u8]) -> Result<&str, String> {
    let other = match body {
        [0xff, 0xfe, 0, 0, ..] | [0, 0, 0xfe, 0xff, ..] => "begins with a byte order mark of UTF-32",
        [0xff, 0xfe, ..] | [0xfe, 0xff, ..] => "begins with a byte order mark of UTF-16",
        [0, ..] | [_, 0, ..] => "is in UTF-16 or UTF-32",
        _ => {
            return std::str::from_utf8(body)
                .map_err(|error| format!("The body is not UTF-8 at byte {}.", error.valid_up_to()));
        }
    };
    Err(format!("The body {other}; send it in UTF-8."))
}

/// The fields of a body, with the credentials.
#[derive(Default)]
struct Envelope<'a> {
    client_id: Option<&'a RawValue>,
    client_secret: Option<&'a RawValue>,
    post: Post<'a>,
}

fn read_envelope(text: &str) -> Result<Envelope<'_>, Malformed> {
    let mut envelope = Envelope::default();
    let post = &mut envelope.post;
    members(text, |name, json| {
        let at = offset(text, json.get());
        let once =
            |first: bool| if first { Ok(()) } else { Err(Malformed::new(at, "a second spelling of the same field")) };
        let known = canonical(&name);
        if let Some(place) = match known {
            "clientid" => Some(&mut envelope.client_id),
            "clientsecret" => Some(&mut envelope.client_secret),
            _ => None,
        } {
            return once(place.replace(json).is_none());
        }
        let place = match known {
            "objectname" => &mut post.object,
            "id" => &mut post.id,
            "data" => &mut post.data,
            "action" => &mut post.action,
            _ => {
                if post.unknown.len() < UNKNOWN_NAMED {
                    post.unknown.push(name);
                }
                return Ok(());
            }
        };
        once(place.replace(Field { name, json, at }).is_none())
    })?;
    Ok(envelope)
}

/// The fields of an envelope, in canonical spelling.
const FIELDS: [&str; 6] = ["clientid", "clientsecret", "objectname", "id", "data", "action"];

/// The field that `name` spells, ignoring letter case, `_` and `-`; empty for an unknown field.
fn canonical(name: &str) -> &'static str {
    let letters = || name.bytes().filter(|byte| !matches!(byte, b'_' | b'-')).map(|byte| byte.to_ascii_lowercase());
    FIELDS.into_iter().find(|field| letters().eq(field.bytes())).unwrap_or_default()
}

#[cfg(test)]
mod tests {
    use proptest::prelude::*;

    use super::*;

    fn clients() -> Clients {
        Clients::new([("acme", "s3cret-of-acme"), ("globex", "s3cret-of-globex")])
    }

    fn outcome(body: &str) -> String {
        match verify(body.as_bytes(), &clients()) {
            Ok((client, _)) => client.to_string(),
            Err(Unverified::Malformed(malformed)) => malformed.to_string(),
            Err(other) => format!("{other:?}"),
        }
    }

    #[test]
    fn a_client_is_accepted_with_its_own_secret_only() {
        assert_eq!(outcome(r#"{"clientid":"acme","clientSecret":"s3cret-of-acme"}"#), "acme");
        for (id, secret) in [
            ("acme", "s3cret-of-globex"),
            ("nobody", "s3cret-of-acme"),
            ("acme", ""),
            ("", ""),
            ("acme", "s3cret-of-acm"),
        ] {
            assert_eq!(outcome(&format!(r#"{{"clientid":"{id}","clientSecret":"{secret}"}}"#)), "Credentials");
        }
    }

    #[test]
    fn a_byte_order_mark_is_ignored() {
        assert_eq!(outcome("\u{feff}{\"clientid\":\"acme\",\"clientSecret\":\"s3cret-of-acme\"}"), "acme");
    }

    #[test]
    fn missing_credentials_and_other_types_are_wrong_credentials() {
        for body in [
            "{}",
            r#"{"clientid":"acme"}"#,
            r#"{"clientid":"acme","clientSecret":null}"#,
            r#"{"clientid":1,"clientSecret":["x"]}"#,
        ] {
            assert_eq!(outcome(body), "Credentials");
        }
    }

    #[test]
    fn each_field_is_accepted_in_many_spellings_but_once() {
        for (id, secret) in [
            ("clientid", "clientsecret"),
            ("clientId", "clientSecret"),
            ("client_id", "client_secret"),
            ("ClientID", "CLIENT-SECRET"),
        ] {
            assert_eq!(outcome(&format!(r#"{{"{id}":"acme","{secret}":"s3cret-of-acme"}}"#)), "acme");
        }
        let twice = r#"{"clientid":"acme","clientSecret":"s3cret-of-acme","client_secret":"x"}"#;
        assert_eq!(outcome(twice), "a second spelling of the same field at byte 67");
        assert!(outcome(r#"{"id":1,"ID":2}"#).starts_with("a second spelling"));
    }

    #[test]
    fn escaped_credentials_are_the_same_credentials() {
        assert_eq!(outcome(r#"{"clientid":"\u0061cme","client\u0053ecret":"s3cret\u002dof-acme"}"#), "acme");
    }

    #[test]
    fn a_post_has_every_field_but_the_credentials() {
        let body = br#"{"object_name":"deal","clientid":"acme","clientSecret":"s3cret-of-acme","ID": 7 ,
            "data":{"a":[1]},"action":"create","extra":1}"#;
        let (_, post) = verify(body, &clients()).unwrap();
        let json =
            |field: &Option<Field<'_>>| field.as_ref().map(|field| format!("{}={}", field.name, field.json)).unwrap();
        assert_eq!(
            [json(&post.object), json(&post.id), json(&post.data), json(&post.action)],
            ["object_name=\"deal\"", "ID=7", "data={\"a\":[1]}", "action=\"create\""]
        );
        assert_eq!(post.unknown, ["extra"]);
    }

    #[test]
    fn a_body_other_than_an_object_is_malformed() {
        assert_eq!(outcome("[]"), "expected an object at byte 0");
        assert_eq!(outcome(""), "expected an object at byte 0");
        assert_eq!(outcome("{} x"), "trailing characters at byte 3");
        let refused = |body: &[u8]| match verify(body, &clients()) {
            Err(Unverified::NotUtf8(why)) => why,
            _ => String::new(),
        };
        assert_eq!(refused(b"{\"a\":\"\xff\"}"), "The body is not UTF-8 at byte 6.");
        let utf16 = "The body begins with a byte order mark of UTF-16; send it in UTF-8.";
        assert_eq!([refused(b"\xff\xfe{\0}\0"), refused(b"\xfe\xff\0{\0}")], [utf16, utf16]);
        assert!(refused(b"\xff\xfe\0\0{\0\0\0").contains("mark of UTF-32"));
        let unmarked = "The body is in UTF-16 or UTF-32; send it in UTF-8.";
        assert_eq!([refused(b"{\0}\0"), refused(b"\0{\0}"), refused(b"\0\0\0{")], [unmarked; 3]);
    }

    #[test]
    fn the_data_of_an_unknown_client_is_not_parsed() {
        let deep = format!("{}{}", "[".repeat(100_000), "]".repeat(100_000));
        assert_eq!(outcome(&format!(r#"{{"clientid":"acme","clientSecret":{deep},"data":{deep}}}"#)), "Credentials");
        assert_eq!(
            outcome(r#"{"$serde_json::private::RawValue":"acme","$serde_json::private::Number":"1"}"#),
            "Credentials"
        );
        assert_eq!(
            outcome(r#"{"clientid":"acme","clientSecret":{"$serde_json::private::RawValue":"s3cret-of-acme"}}"#),
            "Credentials"
        );
        assert_eq!(outcome(r#"{"clientid":"acme","clientSecret":"s3cret-of-acme\ud800"}"#), "Credentials");
    }

    #[test]
    fn debug_output_has_no_secret() {
        assert!(!format!("{:?}", clients()).contains("s3cret"));
    }

    proptest! {
        #[test]
        fn no_body_causes_a_panic(body: Vec<u8>, text in r#"[{}\[\]:,"a-z0-9\\_ -]{0,60}"#) {
            let _ = verify(&body, &clients());
            let _ = verify(text.as_bytes(), &clients());
        }
    }
}
