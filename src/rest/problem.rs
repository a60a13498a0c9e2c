//! Errors as JSON: problem documents under `/towpath`, Connect's shape on every other path, since its clients read
//! that.

use axum::{
    Json,
    http::{Method, StatusCode, Uri, header},
    response::{IntoResponse, Response},
};
use serde_json::json;

/// 404 for a path that is not there.
pub(super) async fn not_found(uri: Uri) -> Response {
    answer(StatusCode::NOT_FOUND, "http.not_found", &uri, &format!("there is no `{}`", uri.path()))
}

/// 405 for a method that the path does not have.
pub(super) async fn method_not_allowed(method: Method, uri: Uri) -> Response {
    let detail = format!("`{}` has no {method}", uri.path());
    answer(StatusCode::METHOD_NOT_ALLOWED, "http.method_not_allowed", &uri, &detail)
}

fn answer(status: StatusCode, code: &str, uri: &Uri, detail: &str) -> Response {
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
