//! Errors as JSON: problem documents (RFC 9457) under `/towpath`, Kafka Connect's format on all other paths.

use axum::{
    Json,
    http::{Method, StatusCode, Uri, header},
    response::{IntoResponse, Response},
};
use serde_json::json;

use super::codes;

/// 404: the path does not exist.
pub(super) async fn not_found(uri: Uri) -> Response {
    answer(StatusCode::NOT_FOUND, codes::NOT_FOUND, &uri, &format!("the path `{}` does not exist", uri.path()))
}

/// 405: the path does not have the method.
pub(super) async fn method_not_allowed(method: Method, uri: Uri) -> Response {
    let detail = format!("the path `{}` does not have the method {method}", uri.path());
    answer(StatusCode::METHOD_NOT_ALLOWED, codes::METHOD_NOT_ALLOWED, &uri, &detail)
}

/// 400 or 431: the head of a request cannot be read, so its path is not known.
pub(super) fn unreadable(status: StatusCode) -> Response {
    let detail = match status {
        StatusCode::BAD_REQUEST => "the request is not HTTP/1.1",
        _ => "the request line and the headers have more than 16 KiB, or there are more than 64 headers",
    };
    (status, Json(json!({ "error_code": status.as_u16(), "message": detail }))).into_response()
}

/// A problem of the request to `uri`.
pub(super) fn answer(status: StatusCode, code: &str, uri: &Uri, detail: &str) -> Response {
    if uri.path().starts_with("/towpath/") {
        let title = status.canonical_reason().unwrap_or_default();
        let problem = json!({
            "type": format!("/errors#{code}"),
            "title": title,
            "status": status.as_u16(),
            "code": code,
            "detail": detail,
            "instance": uri.path(),
        });
        let content_type = [(header::CONTENT_TYPE, "application/problem+json")];
        return (status, content_type, problem.to_string()).into_response();
    }
    (status, Json(json!({ "error_code": status.as_u16(), "message": detail }))).into_response()
}
