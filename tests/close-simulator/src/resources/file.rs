//! Uploads: `POST /files/upload/` returns the URL for sending a file and the URL for fetching it.

use serde_json::json;

use crate::{
    http::{
        Answer, Endpoint, Exactness, Handler, Request, Source,
        files::{self, HOST},
    },
    model::{Kind, Refusal},
    world::{
        change::Change,
        files::{Upload, signature},
    },
};

pub static SOURCE: Source = Source {
    collections: &[],
    endpoints: &[Endpoint {
        method: "POST",
        path: "files/upload",
        handler: Handler::Write(announce),
        section: "4.0",
        exactness: Exactness::Inferred,
    }],
};

/// `{"upload": {"url", "fields"}, "download": {"url"}}`: the file is sent to `upload.url` as a form with these fields
/// and `file`.
fn announce(change: &mut Change<'_>, request: &Request) -> Result<Answer, Refusal> {
    let body = request.json()?;
    let mut missing = serde_json::Map::new();
    for name in ["filename", "content_type"] {
        if body.text(name).is_none_or(str::is_empty) {
            missing.insert(name.to_owned(), "This field is required.".into());
        }
    }
    if !missing.is_empty() {
        return Err(Refusal::Invalid { errors: Vec::new(), fields: missing });
    }
    let (name, content_type) = (body.text("filename").unwrap_or(""), body.text("content_type").unwrap_or(""));
    let safe: String =
        name.chars().map(|c| if c.is_ascii_alphanumeric() || ".-_".contains(c) { c } else { '_' }).collect();
    let seed = change.world.seed;
    let user = change.actor.user.expect("a request has a user").text(seed);
    let media = change.world.next_id(Kind::Media).text(seed);
    let key = format!("{user}/{media}/{safe}");
    change.world.files.uploads.insert(key.clone(), Upload { content_type: content_type.to_owned(), bytes: None });
    let answer = Answer::json(
        200,
        &json!({
            "upload": {
                "url": format!("http://{HOST}{}upload/", files::ROOT),
                "fields": {
                    "AWSAccessKeyId": "SIMULATED",
                    "Content-Disposition": format!("attachment; filename=\"{safe}\""),
                    "Content-Type": content_type,
                    "key": key,
                    "signature": signature(seed, &key, 0),
                },
            },
            "download": { "url": format!("http://{HOST}{}temporary/{key}/", files::ROOT) },
        }),
    );
    Ok(files::with_host(answer, request))
}
