//! Tests of the log lines on the writer.

use std::{io, sync::Arc};

use super::*;

/// A writer that keeps the written bytes.
#[derive(Clone, Default)]
struct Page(Arc<Mutex<Vec<u8>>>);

impl io::Write for Page {
    fn write(&mut self, bytes: &[u8]) -> io::Result<usize> {
        self.0.lock().unwrap().extend_from_slice(bytes);
        Ok(bytes.len())
    }

    fn flush(&mut self) -> io::Result<()> {
        Ok(())
    }
}

impl Page {
    fn lines(&self) -> Vec<String> {
        String::from_utf8(self.0.lock().unwrap().clone()).unwrap().lines().map(str::to_owned).collect()
    }
}

fn written(format: Format, directives: &str, log: impl FnOnce()) -> Vec<String> {
    let page = Page::default();
    let writer = page.clone();
    let filter = filter(directives, "the test").unwrap();
    let subscriber = subscriber_for(format, filter, false, move || writer.clone());
    tracing::subscriber::with_default(subscriber, log);
    page.lines()
}

#[test]
fn json_lines_are_flat_objects_with_spans() {
    let lines = written(Format::Json, "info", || {
        let span = tracing::info_span!("apply", topic = "acme.transactions");
        span.in_scope(|| tracing::info!(connector = "postgres", records = 3, "applied 3 events"));
    });
    let line: serde_json::Value = serde_json::from_str(&lines[0]).unwrap();
    assert_eq!(line["message"], "applied 3 events");
    assert_eq!(line["connector"], "postgres");
    assert_eq!(line["records"], 3);
    assert_eq!(line["level"], "INFO");
    assert_eq!(line["spans"][0]["topic"], "acme.transactions");
}

#[test]
fn the_same_code_of_the_same_connector_is_written_once() {
    let lines = written(Format::Text, "info", || {
        for connector in ["webhook", "postgres", "postgres", "postgres"] {
            tracing::warn!(connector, code = "kafka.unavailable", "Kafka does not answer");
        }
        tracing::warn!("without a code");
        tracing::warn!("without a code");
    });
    assert_eq!(lines.len(), 4, "{lines:#?}");
}

#[test]
fn an_error_of_one_topic_does_not_suppress_another() {
    let lines = written(Format::Text, "info", || {
        for topic in ["acme.deals", "acme.agents", "acme.deals"] {
            tracing::warn!(code = "postgres.schema_mismatch", connector = "pg", topic, "a table does not fit");
        }
    });
    assert_eq!(lines.len(), 2, "{lines:#?}");
}

#[test]
fn the_first_line_after_the_window_has_the_number_of_suppressed_lines() {
    for format in [Format::Text, Format::Json] {
        let page = Page::default();
        let writer = page.clone();
        // A window of zero admits every event; the count stands for an earlier window.
        let json = subscriber::format().json().flatten_event(true);
        let text = subscriber::format().with_ansi(false);
        let mut repeats = Repeats::new(std::time::Duration::ZERO);
        let code = || EventKey { code: "kafka.unavailable".into(), ..EventKey::default() };
        repeats.suppress(code(), 7);
        let repeats = Mutex::new(repeats);
        let layer = subscriber::layer().with_writer(move || writer.clone());
        let log = || tracing::warn!(code = "kafka.unavailable", "Kafka does not answer");
        match format {
            Format::Text => {
                let lines = layer.with_ansi(false).event_format(Once { inner: text, format, repeats });
                tracing::subscriber::with_default(tracing_subscriber::registry().with(lines), log);
                assert!(page.lines()[0].ends_with("code=\"kafka.unavailable\" repeated=7"), "{:?}", page.lines());
            }
            Format::Json => {
                let lines = layer.fmt_fields(JsonFields::new()).event_format(Once { inner: json, format, repeats });
                tracing::subscriber::with_default(tracing_subscriber::registry().with(lines), log);
                let line: serde_json::Value = serde_json::from_str(&page.lines()[0]).unwrap();
                assert_eq!(line["repeated"], 7);
            }
        }
    }
}

#[test]
fn librdkafka_is_quiet_unless_a_directive_names_it() {
    let log = || {
        tracing::info!(target: "librdkafka", "a broker was found");
        tracing::info!(target: "towpath::worker", "ours");
    };
    assert_eq!(written(Format::Text, "info", log).len(), 1);
    assert_eq!(written(Format::Text, "info,librdkafka=info", log).len(), 2);
}

#[test]
fn each_message_of_librdkafka_is_written_once() {
    let lines = written(Format::Text, "info", || {
        for broker in 1..=9 {
            tracing::error!(
                target: "rdkafka::client",
                "librdkafka: Global error: AllBrokersDown (Local): {broker}/9 brokers are down"
            );
            tracing::error!(
                target: "librdkafka",
                "librdkafka: FAIL [thrd:127.0.0.1:{broker}/bootstrap]: Connect failed"
            );
        }
    });
    assert_eq!(lines.len(), 2, "{lines:#?}");
}

#[test]
fn an_invalid_filter_is_reported_with_its_origin() {
    let error = filter("info,towpath=loud", "the key `log.level`").unwrap_err();
    assert_eq!(error.to_string(), "read the log filter `info,towpath=loud` of the key `log.level`");
}

#[test]
fn messages_are_counted_by_level() {
    let before = MESSAGES.of(Level::ERROR).get();
    written(Format::Text, "info", || tracing::error!("a person should act"));
    assert!(MESSAGES.of(Level::ERROR).get() > before);
}
