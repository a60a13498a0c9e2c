//! `/_files/`: the object store beside the API, which takes signed links instead of credentials. Exports are fetched
//! here (reference, section 2.7), uploads sent and fetched.

use super::{answer::Answer, request::Request};
use crate::{
    Simulator,
    model::Kind,
    world::files::{Blob, signature},
};

/// The root of the store.
pub const ROOT: &str = "/_files/";

/// Placeholder for the host in links of rendered records; [`with_host`] replaces it with the host that the caller used.
pub const HOST: &str = "files.close.invalid";

/// Points the links of an answer to the host of the request.
pub fn with_host(mut answer: Answer, request: &Request) -> Answer {
    if let Ok(text) = std::str::from_utf8(&answer.body)
        && text.contains(HOST)
    {
        answer.body = text.replace(HOST, request.header("host").unwrap_or("localhost")).into_bytes();
    }
    answer
}

/// Answers a request to the store.
pub fn answer(simulator: &Simulator, request: &Request) -> Answer {
    let path = request.path.strip_prefix(ROOT).unwrap_or("").trim_matches('/');
    match (request.method.as_str(), path.split_once('/')) {
        ("GET" | "HEAD", Some(("export", id))) => export(simulator, request, id),
        ("GET" | "HEAD", Some(("temporary", key))) => temporary(simulator, key),
        ("POST", None) if path == "upload" => upload(simulator, request),
        _ => xml(404, "NoSuchKey", "The specified key does not exist."),
    }
}

/// An error in the form of object stores.
fn xml(status: u16, code: &str, message: &str) -> Answer {
    let body = format!(
        "<?xml version=\"1.0\" encoding=\"UTF-8\"?>\n<Error><Code>{code}</Code><Message>{message}</Message></Error>"
    );
    Answer { status, body: body.into_bytes(), content_type: "application/xml", ..Answer::default() }
}

fn export(simulator: &Simulator, request: &Request, id: &str) -> Answer {
    let world = simulator.read();
    let expires = request.param("Expires").and_then(|text| text.parse::<i64>().ok()).unwrap_or(0);
    if request.param("Signature") != Some(&signature(world.seed, id, expires)) {
        return xml(
            403,
            "SignatureDoesNotMatch",
            "The request signature we calculated does not match the signature you provided.",
        );
    }
    if world.clock.now().0 >= expires.saturating_mul(1_000_000) {
        return xml(403, "AccessDenied", "Request has expired");
    }
    let export = world.parse_id(id).filter(|id| id.kind() == Kind::Export);
    let Some((record, file)) = export.and_then(|id| Some((world.store.get(id)?, world.files.exports.get(&id)?))) else {
        return xml(404, "NoSuchKey", "The specified key does not exist.");
    };
    let csv = record.text("format") == Some("csv");
    Answer {
        status: 200,
        headers: vec![("content-encoding", "gzip".to_owned())],
        body: file.0.to_vec(),
        content_type: if csv { "text/csv" } else { "application/json" },
    }
}

fn temporary(simulator: &Simulator, key: &str) -> Answer {
    let world = simulator.read();
    match world.files.uploads.get(key).and_then(|upload| Some((upload, upload.bytes.as_ref()?))) {
        Some((upload, bytes)) => Answer {
            status: 200,
            headers: vec![("content-type", upload.content_type.clone())],
            body: bytes.0.to_vec(),
            content_type: "",
        },
        None => xml(404, "NoSuchKey", "The specified key does not exist."),
    }
}

/// Accepts a browser-like form: the fields from `POST /files/upload/`, and the file as the last part.
fn upload(simulator: &Simulator, request: &Request) -> Answer {
    let boundary = request
        .header("content-type")
        .and_then(|kind| kind.split_once("boundary="))
        .map(|(_, text)| text.trim_matches('"'));
    let Some(boundary) =
        boundary.filter(|_| request.header("content-type").is_some_and(|kind| kind.starts_with("multipart/form-data")))
    else {
        return xml(412, "PreconditionFailed", "Bucket POST must be of the enclosure-type multipart/form-data");
    };
    let parts = parts(&request.body, boundary);
    let text = |name: &str| {
        parts.iter().find(|(part, _)| part == name).map(|(_, bytes)| String::from_utf8_lossy(bytes).into_owned())
    };
    let (Some(key), Some(given), Some((_, file))) =
        (text("key"), text("signature"), parts.iter().find(|(part, _)| part == "file"))
    else {
        return xml(400, "InvalidArgument", "The fields key, signature and file are needed.");
    };
    let mut world = simulator.world.write();
    if given != signature(world.seed, &key, 0) {
        return xml(
            403,
            "SignatureDoesNotMatch",
            "The request signature we calculated does not match the signature you provided.",
        );
    }
    match world.files.uploads.get_mut(&key) {
        Some(upload) => {
            upload.bytes = Some(Blob((*file).into()));
            Answer::empty(204)
        }
        None => xml(403, "AccessDenied", "Invalid according to Policy: Policy expired."),
    }
}

/// The parts of a form by name.
fn parts<'b>(body: &'b [u8], boundary: &str) -> Vec<(String, &'b [u8])> {
    let mark = format!("--{boundary}");
    let mut parts = Vec::new();
    let mut rest = body;
    while let Some(at) = position(rest, mark.as_bytes()) {
        let part = &rest[..at];
        rest = &rest[at + mark.len()..];
        let part = part.strip_prefix(b"\r\n").unwrap_or(part);
        let Some(head) = position(part, b"\r\n\r\n") else { continue };
        let content = &part[head + 4..];
        let head = String::from_utf8_lossy(&part[..head]);
        if let Some(name) = head.split("name=\"").nth(1).and_then(|name| name.split('"').next()) {
            parts.push((name.to_owned(), content.strip_suffix(b"\r\n").unwrap_or(content)));
        }
    }
    parts
}

fn position(bytes: &[u8], wanted: &[u8]) -> Option<usize> {
    bytes.windows(wanted.len()).position(|window| window == wanted)
}
