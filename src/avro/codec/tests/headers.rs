//! Schema ids in headers, as newer serializers write them.

use axum::{Json, Router, extract::Path, http::StatusCode, routing::get};
use serde_json::json;

use super::{foreign::*, *};
use crate::avro::codec::SchemaHeaders;

const GUID: &str = "6f1a7d0e-3a52-4a5e-9b0b-0d5a1c2b3e4f";

/// A registry with one schema, under its guid. Any other path is answered as by a server without that route.
async fn registry() -> Registry {
    let by_guid = |Path(guid): Path<String>| async move {
        if guid == GUID {
            (
                StatusCode::OK,
                Json(json!({"schema": r#"{"type":"int","connect.name":"io.debezium.time.Date"}"#, "guid": GUID})),
            )
        } else {
            (StatusCode::NOT_FOUND, Json(json!({"error_code": 404, "message": "HTTP 404 Not Found"})))
        }
    };
    let listener = tokio::net::TcpListener::bind("127.0.0.1:0").await.unwrap();
    let url = format!("http://{}", listener.local_addr().unwrap());
    let router = Router::new().route("/schemas/guids/{guid}", get(by_guid));
    tokio::spawn(axum::serve(listener, router).into_future());
    Registry::new(&url, &prometheus::Registry::new()).unwrap()
}

fn header(guid: &str) -> Vec<u8> {
    [&[1], guid.parse::<apache_avro::Uuid>().unwrap().as_bytes().as_slice()].concat()
}

#[tokio::test]
async fn a_guid_in_a_header_replaces_the_framing_of_the_bytes() {
    let mut decoder = Decoder::new(registry().await);
    let header = header(GUID);
    let headers = SchemaHeaders { key: Some(&header), value: Some(&header), ..SchemaHeaders::default() };
    let (key, value) = (&[0x06][..], &[0x08][..]);
    let Decoded::NeedsSchema(id @ SchemaId::Guid(_)) = decoder.decode_with(Some(key), Some(value), headers) else {
        panic!("the schema is not cached yet")
    };
    decoder.learn(id).await.unwrap();
    let Decoded::Body(body) = decoder.decode_with(Some(key), Some(value), headers) else {
        panic!("the schema is cached")
    };
    let change = change(body);
    assert_eq!(change.key.unwrap().identity, towpath_api::Identity::Long(3));
    assert_eq!(change.after, Some(vec![Value::Date(4)]));
    // A header for the key does not apply to the value.
    let only_key = SchemaHeaders { value: None, ..headers };
    assert!(matches!(
        decoder.decode_with(Some(key), Some(&[0, 0, 0, 0, 9, 8]), only_key),
        Decoded::NeedsSchema(SchemaId::Number(9))
    ));
}

#[tokio::test]
async fn a_record_with_a_guid_is_undecodable_if_the_registry_lacks_guids() {
    let mut decoder = Decoder::new(registry().await);
    let header = header("00000000-0000-0000-0000-000000000001");
    let headers = SchemaHeaders { value: Some(&header), ..SchemaHeaders::default() };
    let Decoded::NeedsSchema(id) = decoder.decode_with(None, Some(&[8]), headers) else {
        panic!("the schema is not cached yet")
    };
    decoder.learn(id).await.unwrap();
    let Decoded::Body(body) = decoder.decode_with(None, Some(&[8]), headers) else { panic!("the lookup failed") };
    assert_eq!(code(&body), "registry.no_guids");
}

#[test]
fn a_header_contains_a_number_or_a_guid() {
    let decoder = Decoder::new(REGISTRY.clone());
    let read = |header: &[u8]| {
        decoder.decode_with(None, Some(&[8]), SchemaHeaders { value: Some(header), ..SchemaHeaders::default() })
    };
    assert!(matches!(read(&[0, 0, 0, 0, 9]), Decoded::NeedsSchema(SchemaId::Number(9))));
    for broken in [&[][..], &[1, 2], &[2, 0, 0, 0, 9]] {
        assert!(matches!(read(broken), Decoded::Body(Body::Undecodable { code: "decode.framing", .. })), "{broken:?}");
    }
}
