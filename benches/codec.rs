//! Encodes and decodes one record of 12 columns in its envelope, compared with apache-avro's reader and writer on the
//! same bytes.

use std::{hint::black_box, sync::Arc};

use axum::{Json, Router, extract::Path, routing::get};
use criterion::{BatchSize, Criterion, Throughput, criterion_group, criterion_main};
use serde_json::json;
use towpath::avro::{
    codec::{Decoded, Decoder, Encoded, Encoder},
    envelope::TopicSchemas,
    registry::Registry,
};
use towpath_api::{
    Body, ChangeEvent,
    apache_avro::{Schema, reader::datum::GenericDatumReader, types::Value, writer::datum::GenericDatumWriter},
};

#[path = "end_to_end/deals.rs"]
#[expect(dead_code, reason = "the end-to-end benchmark uses the other items")]
mod deals;

const KEY_ID: u32 = 1;
const VALUE_ID: u32 = 2;
/// Magic byte and schema id.
const HEADER_BYTES: usize = 5;

/// One record, in every form under measurement.
struct Sample {
    event: ChangeEvent,
    encoder: Encoder,
    decoder: Decoder,
    encoded: Encoded,
    envelope: Schema,
    value: Value,
}

impl Sample {
    fn new() -> Self {
        let object = deals::object();
        let schemas = Arc::new(TopicSchemas::new(&object, "bench.deals").expect("schemas"));
        let event = deals::event(&object, 123_456, 1);
        let writer = Encoder::new("bench", &object, &schemas, KEY_ID, VALUE_ID);
        let encoded = writer.encode(&event).expect("an encoded event");
        let envelope = Schema::parse_str(&schemas.value).expect("the envelope");
        let reader = GenericDatumReader::builder(&envelope).build().expect("a reader");
        let value = reader.read_value(&mut &encoded.value[HEADER_BYTES..]).expect("a value");
        drop(reader);
        Self { event, encoder: writer, decoder: decoder_with(schemas), encoded, envelope, value }
    }

    fn decode(&self) -> Decoded {
        self.decoder.decode(Some(&self.encoded.key), Some(&self.encoded.value))
    }

    fn datum(&self) -> &[u8] {
        &self.encoded.value[HEADER_BYTES..]
    }
}

/// Returns a decoder with both schemas cached, from a local registry.
fn decoder_with(schemas: Arc<TopicSchemas>) -> Decoder {
    let runtime = tokio::runtime::Runtime::new().expect("a runtime");
    runtime.block_on(async {
        let listener = tokio::net::TcpListener::bind("127.0.0.1:0").await.expect("a port");
        let url = format!("http://{}", listener.local_addr().expect("an address"));
        let answer = move |Path(id): Path<u32>| async move {
            Json(json!({"schema": if id == KEY_ID { &schemas.key } else { &schemas.value }}))
        };
        let server = axum::serve(listener, Router::new().route("/schemas/ids/{id}", get(answer)));
        let server = tokio::spawn(server.into_future());
        let mut decoder = Decoder::new(Registry::new(&url, &prometheus::Registry::new()).expect("a registry"));
        for id in [KEY_ID, VALUE_ID] {
            decoder.learn(id).await.expect("a schema");
        }
        server.abort();
        decoder
    })
}

fn codec(criterion: &mut Criterion) {
    let sample = Sample::new();
    assert!(matches!(sample.decode(), Decoded::Body(Body::Change(_))), "the sample is a change");

    let mut decode = criterion.benchmark_group("decode");
    decode.throughput(Throughput::Elements(1));
    decode.bench_function("towpath", |bencher| bencher.iter(|| black_box(sample.decode())));
    let reader = GenericDatumReader::builder(&sample.envelope).build().expect("a reader");
    decode.bench_function("apache_avro", |bencher| {
        bencher.iter(|| reader.read_value(&mut black_box(sample.datum())).expect("a value"));
    });
    decode.finish();

    let mut encode = criterion.benchmark_group("encode");
    encode.throughput(Throughput::Elements(1));
    encode.bench_function("towpath", |bencher| {
        bencher.iter(|| sample.encoder.encode(black_box(&sample.event)).expect("bytes"));
    });
    for (name, validate) in [("apache_avro", true), ("apache_avro_unvalidated", false)] {
        let writer = GenericDatumWriter::builder(&sample.envelope).validate(validate).build().expect("a writer");
        encode.bench_function(name, |bencher| {
            bencher.iter_batched_ref(
                || Vec::with_capacity(512),
                |bytes| writer.write_value_ref(bytes, black_box(&sample.value)).expect("bytes"),
                BatchSize::SmallInput,
            );
        });
    }
    encode.finish();
}

criterion_group!(benches, codec);
criterion_main!(benches);
