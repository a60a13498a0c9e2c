//! The log: one line per event on standard error, as text or JSON.
//!
//! An event with a field `code` is written at most once in ten seconds per code, connector, task and topic, and so is a
//! message of librdkafka. The next line has the field `repeated`, the number of suppressed lines. Lines are suppressed
//! by the formatter, so loops log every error, and `towpath_log_messages_total` counts every event.

use std::{
    fmt::{self, Write as _},
    io::IsTerminal as _,
    sync::{LazyLock, Mutex, PoisonError},
    time::Instant,
};

use prometheus::{IntCounter, IntCounterVec, Opts, Registry};
use tracing::{
    Event, Level, Subscriber,
    field::{Field, Visit},
};
use tracing_subscriber::{
    EnvFilter, fmt as subscriber,
    fmt::{
        FmtContext, MakeWriter,
        format::{FormatEvent, FormatFields, JsonFields, Writer},
    },
    layer::{Context, Layer, SubscriberExt as _},
    registry::LookupSpan,
    util::SubscriberInitExt as _,
};

use super::repeats::{Repeats, WINDOW};

/// The format of log lines.
#[derive(Debug, Clone, Copy, PartialEq, Eq, Default)]
pub enum Format {
    /// Text for people.
    #[default]
    Text,
    /// One JSON object per line.
    Json,
}

/// The targets of librdkafka's messages, which have no code.
const KAFKA_CLIENT: [&str; 2] = ["librdkafka", "rdkafka::client"];

/// A log filter that cannot be parsed.
#[derive(Debug, thiserror::Error)]
#[error("read the log filter `{directives}` of {origin}")]
pub struct FilterError {
    directives: String,
    origin: &'static str,
    #[source]
    source: tracing_subscriber::filter::ParseError,
}

/// Directives for libraries that log too much at `info`. A directive of the user for the same target replaces them.
const QUIET: [&str; 5] = ["librdkafka=warn", "rdkafka=warn", "tokio_postgres=warn", "hyper=warn", "reqwest=warn"];

/// Installs the subscriber of the process. `directives` is the filter from the config, such as `info` or
/// `info,towpath::worker=debug`; the environment variable `RUST_LOG` overrides it.
///
/// If a subscriber is already installed, as in tests, only the filter is checked.
///
/// # Errors
/// The filter cannot be parsed.
pub fn init(format: Format, directives: &str) -> Result<(), FilterError> {
    let overriding = std::env::var("RUST_LOG").ok().filter(|text| !text.trim().is_empty());
    let filter = match &overriding {
        Some(text) => filter(text, "the environment variable RUST_LOG")?,
        None => filter(directives, "the key `log.level`")?,
    };
    let no_color = std::env::var_os("NO_COLOR").is_some_and(|value| !value.is_empty());
    let ansi = std::io::stderr().is_terminal() && !no_color;
    let _ = subscriber_for(format, filter, ansi, std::io::stderr).try_init();
    Ok(())
}

fn filter(directives: &str, origin: &'static str) -> Result<EnvFilter, FilterError> {
    let mut all = directives.trim().to_owned();
    for quiet in QUIET {
        let target = quiet.split('=').next().unwrap_or_default();
        let named =
            directives.split(',').any(|directive| directive.trim().split(['=', '[', ':']).next() == Some(target));
        if !named {
            let separator = if all.is_empty() { "" } else { "," };
            let _ = write!(all, "{separator}{quiet}");
        }
    }
    EnvFilter::builder().parse(&all).map_err(|source| FilterError { directives: directives.to_owned(), origin, source })
}

fn subscriber_for<W>(format: Format, filter: EnvFilter, ansi: bool, writer: W) -> Box<dyn Subscriber + Send + Sync>
where
    W: for<'w> MakeWriter<'w> + Send + Sync + 'static,
{
    let registry = tracing_subscriber::registry().with(filter).with(CountMessages);
    let layer = subscriber::layer().with_writer(writer).with_ansi(ansi);
    match format {
        Format::Text => {
            let lines = Once::new(subscriber::format().with_ansi(ansi), Format::Text);
            Box::new(registry.with(layer.event_format(lines)))
        }
        Format::Json => {
            // Flat: log stores expect `connector` and `code` at the top level.
            let json = subscriber::format().json().flatten_event(true).with_current_span(false);
            Box::new(registry.with(layer.fmt_fields(JsonFields::new()).event_format(Once::new(json, Format::Json))))
        }
    }
}

/// Writes an event through `inner`, unless its key was written within [`WINDOW`].
struct Once<F> {
    inner: F,
    format: Format,
    repeats: Mutex<Repeats<EventKey>>,
}

impl<F> Once<F> {
    fn new(inner: F, format: Format) -> Self {
        Self { inner, format, repeats: Mutex::new(Repeats::new(WINDOW)) }
    }

    /// Returns the number of suppressed events before this event; `None` if this event is suppressed.
    fn admit(&self, event: &Event<'_>) -> Option<u64> {
        // Most events have no code, and looking for the field is cheaper than visiting values.
        let mut key = EventKey::default();
        if event.metadata().fields().field("code").is_some() {
            event.record(&mut key);
        } else if KAFKA_CLIENT.contains(&event.metadata().target()) {
            let mut message = KafkaMessage::default();
            event.record(&mut message);
            key.code = message.0;
        } else {
            return Some(0);
        }
        self.repeats.lock().unwrap_or_else(PoisonError::into_inner).admit(key, Instant::now())
    }
}

impl<F, S, N> FormatEvent<S, N> for Once<F>
where
    F: FormatEvent<S, N>,
    S: Subscriber + for<'a> LookupSpan<'a>,
    N: for<'a> FormatFields<'a> + 'static,
{
    fn format_event(&self, context: &FmtContext<'_, S, N>, mut writer: Writer<'_>, event: &Event<'_>) -> fmt::Result {
        match self.admit(event) {
            // The layer writes an empty buffer: no line.
            None => Ok(()),
            Some(0) => self.inner.format_event(context, writer, event),
            Some(suppressed) => {
                let mut line = String::new();
                self.inner.format_event(context, Writer::new(&mut line), event)?;
                let line = line.trim_end();
                match (self.format, line.strip_suffix('}')) {
                    (Format::Json, Some(open)) => writeln!(writer, "{open},\"repeated\":{suppressed}}}"),
                    _ => writeln!(writer, "{line} repeated={suppressed}"),
                }
            }
        }
    }
}

/// The fields by which events are recognized as repetitions; empty where an event does not have them.
#[derive(Debug, Default, PartialEq, Eq, Hash)]
struct EventKey {
    code: String,
    connector: String,
    task: String,
    topic: String,
}

impl Visit for EventKey {
    fn record_str(&mut self, field: &Field, value: &str) {
        match field.name() {
            "code" => value.clone_into(&mut self.code),
            "connector" => value.clone_into(&mut self.connector),
            "task" => value.clone_into(&mut self.task),
            "topic" => value.clone_into(&mut self.topic),
            _ => {}
        }
    }

    fn record_debug(&mut self, field: &Field, value: &dyn fmt::Debug) {
        if matches!(field.name(), "code" | "connector" | "task" | "topic") {
            self.record_str(field, &format!("{value:?}"));
        }
    }
}

/// A message of librdkafka up to the first bracket, that is, without names and counts. While a broker is away, each
/// client repeats its messages with every attempt to connect, up to a hundred times a second.
#[derive(Default)]
struct KafkaMessage(String);

impl Visit for KafkaMessage {
    fn record_debug(&mut self, field: &Field, value: &dyn fmt::Debug) {
        if field.name() == "message" {
            let text = format!("{value:?}");
            text.split(['(', '[']).next().unwrap_or_default().clone_into(&mut self.0);
        }
    }
}

/// Counts events by level. The subscriber is global, so the counter is too: all registries show the same numbers.
struct CountMessages;

impl<S: Subscriber> Layer<S> for CountMessages {
    fn on_event(&self, event: &Event<'_>, _: Context<'_, S>) {
        MESSAGES.of(*event.metadata().level()).inc();
    }
}

static MESSAGES: LazyLock<Messages> = LazyLock::new(Messages::new);

struct Messages {
    family: IntCounterVec,
    by_level: [IntCounter; 5],
}

impl Messages {
    fn new() -> Self {
        let opts = Opts::new("towpath_log_messages_total", "Log messages, including suppressed repetitions.");
        let family = IntCounterVec::new(opts, &["level"]).expect("the name and the label are constants");
        let by_level = ["error", "warn", "info", "debug", "trace"].map(|level| family.with_label_values(&[level]));
        Self { family, by_level }
    }

    fn of(&self, level: Level) -> &IntCounter {
        let [error, warn, info, debug, trace] = &self.by_level;
        match level {
            Level::ERROR => error,
            Level::WARN => warn,
            Level::INFO => info,
            Level::DEBUG => debug,
            Level::TRACE => trace,
        }
    }
}

/// Adds `towpath_log_messages_total` to `registry`.
pub(super) fn register_counter(registry: &Registry) {
    // Fails only if the family is already registered.
    let _ = registry.register(Box::new(MESSAGES.family.clone()));
}

#[cfg(test)]
mod tests;
