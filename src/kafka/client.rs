//! The settings that all Kafka clients share, and the meaning of their errors.

use std::{
    sync::{Arc, Mutex, PoisonError},
    time::Duration,
};

use rdkafka::{
    ClientConfig,
    consumer::{BaseConsumer, Consumer as _},
    error::{KafkaError, RDKafkaErrorCode},
    types::RDKafkaConfRes,
};
use towpath_api::{Error, ErrorType, Result};

use super::codes;

/// The maximum time that a probe waits for an answer.
const PROBE_TIMEOUT: Duration = Duration::from_secs(3);

/// Settings that all clients share: the brokers, and the operator's properties `kafka.*`.
#[derive(Clone)]
pub struct KafkaSettings {
    bootstrap: String,
    group: String,
    properties: Vec<(String, String)>,
}

impl std::fmt::Debug for KafkaSettings {
    fn fmt(&self, f: &mut std::fmt::Formatter<'_>) -> std::fmt::Result {
        // The values of properties may be secrets.
        let names: Vec<_> = self.properties.iter().map(|(name, _)| name).collect();
        f.debug_struct("KafkaSettings")
            .field("bootstrap", &self.bootstrap)
            .field("group", &self.group)
            .field("properties", &names)
            .finish()
    }
}

impl KafkaSettings {
    /// `group` is the workers' `group.id`; `properties` are librdkafka's.
    pub fn new<'a>(bootstrap: &str, group: &str, properties: impl IntoIterator<Item = (&'a str, &'a str)>) -> Self {
        let properties = properties.into_iter().map(|(name, value)| (name.to_owned(), value.to_owned())).collect();
        Self { bootstrap: bootstrap.to_owned(), group: group.to_owned(), properties }
    }

    /// The workers' `group.id`.
    pub fn group(&self) -> &str {
        &self.group
    }

    /// Settings of the client `towpath-<group.id>-<role>`. The operator's properties overrule the defaults here.
    pub fn client(&self, role: &str) -> ClientConfig {
        let mut settings = ClientConfig::new();
        settings
            .set("bootstrap.servers", &self.bootstrap)
            .set("client.id", format!("towpath-{}-{role}", self.group))
            // Reconnects to a restarted broker at once, not after ten seconds.
            .set("reconnect.backoff.ms", "50")
            .set("reconnect.backoff.max.ms", "1000")
            .set("socket.nagle.disable", "true");
        for (name, value) in &self.properties {
            settings.set(name, value);
        }
        settings
    }
}

/// A client that only checks that Kafka answers.
#[derive(Clone)]
pub struct ClusterProbe {
    settings: ClientConfig,
    consumer: Arc<Mutex<BaseConsumer>>,
}

impl ClusterProbe {
    /// Connects in the background.
    ///
    /// # Errors
    /// Fatal when librdkafka refuses a setting.
    pub fn new(kafka: &KafkaSettings) -> Result<Self> {
        let settings = kafka.client("probe");
        let consumer = settings.create().map_err(refused_settings)?;
        Ok(Self { settings, consumer: Arc::new(Mutex::new(consumer)) })
    }

    /// The cluster's id, from a broker that answers now.
    ///
    /// # Errors
    /// Retry while no broker answers.
    pub async fn cluster_id(&self) -> Result<Option<String>> {
        let Self { settings, consumer } = self.clone();
        blocking("reach Kafka", move || {
            let mut consumer = consumer.lock().unwrap_or_else(PoisonError::into_inner);
            // Serves the client's own events; there are no records.
            consumer.poll(Duration::ZERO);
            // The client caches the id, so only fresh metadata proves that a broker answers.
            let answer = consumer.fetch_metadata(Some("__consumer_offsets"), PROBE_TIMEOUT);
            if answer.as_ref().is_err_and(|error| code(error) != Some(RDKafkaErrorCode::OperationTimedOut)) {
                // Without a connection the client may be lost (`reach.rs`).
                *consumer = settings.create()?;
            }
            answer?;
            Ok(consumer.client().fetch_cluster_id(PROBE_TIMEOUT))
        })
        .await
    }
}

/// Runs a blocking call to librdkafka on a thread for such calls.
///
/// # Errors
/// Those of [`unavailable`]; fatal when the call panics.
pub(super) async fn blocking<T: Send + 'static>(
    doing: &str,
    call: impl FnOnce() -> Result<T, KafkaError> + Send + 'static,
) -> Result<T> {
    match tokio::task::spawn_blocking(call).await {
        Ok(answer) => answer.map_err(|error| unavailable(doing, error)),
        Err(panic) => Err(Error::fatal(codes::PANIC, ErrorType::Internal, doing).because(panic)),
    }
}

/// The error of a request that may succeed later. Missing rights and wrong settings are retried as well, since an
/// operator may fix them on the broker.
pub fn unavailable(doing: impl Into<String>, error: KafkaError) -> Error {
    use RDKafkaErrorCode as Code;
    let doing = doing.into();
    match code(&error) {
        Some(
            Code::TopicAuthorizationFailed
            | Code::GroupAuthorizationFailed
            | Code::ClusterAuthorizationFailed
            | Code::TransactionalIdAuthorizationFailed
            | Code::SaslAuthenticationFailed
            | Code::Authentication,
        ) => Error::retry(codes::AUTH, ErrorType::Auth, doing),
        Some(Code::MessageTimedOut | Code::OperationTimedOut | Code::RequestTimedOut) => {
            Error::retry(codes::TIMEOUT, ErrorType::Timeout, doing)
        }
        _ => Error::retry(codes::UNAVAILABLE, ErrorType::Unavailable, doing),
    }
    .because(error)
}

/// The code of an error of Kafka or librdkafka, if it has one.
pub fn code(error: &KafkaError) -> Option<RDKafkaErrorCode> {
    match error {
        // `rdkafka_error_code` has no code for this variant.
        KafkaError::AdminOp(code) => Some(*code),
        other => other.rdkafka_error_code(),
    }
}

/// The error of a client that librdkafka refuses to create. Names the refused property, never its value.
pub fn refused_settings(error: KafkaError) -> Error {
    let refused = |doing: &str| Error::fatal(codes::CONFIG, ErrorType::Config, doing);
    match error {
        KafkaError::ClientConfig(RDKafkaConfRes::RD_KAFKA_CONF_UNKNOWN, _, property, _) => {
            refused(&format!("create a Kafka client: librdkafka does not know `kafka.{property}`"))
                .with_help("remove the key or correct its name; librdkafka's CONFIGURATION.md lists all properties")
        }
        KafkaError::ClientConfig(_, _, property, _) => {
            refused(&format!("create a Kafka client: librdkafka refuses the value of `kafka.{property}`"))
                .with_help("set the key to a value that librdkafka's CONFIGURATION.md allows")
        }
        other => refused("create a Kafka client")
            .because(other)
            .with_help("check `bootstrap.servers` and the keys `kafka.*`"),
    }
}

#[cfg(test)]
mod tests {
    use super::*;

    #[test]
    fn a_client_is_named_after_its_group_and_role() {
        let kafka = KafkaSettings::new("127.0.0.1:1", "blue", []);
        assert_eq!(kafka.client("probe").get("client.id"), Some("towpath-blue-probe"));
        let kafka = KafkaSettings::new("127.0.0.1:1", "blue", [("client.id", "custom")]);
        assert_eq!(kafka.client("probe").get("client.id"), Some("custom"));
    }

    #[test]
    fn a_refused_property_is_named_and_its_value_is_not() {
        for (property, value, why) in
            [("sasl.passwort", "canary", "does not know"), ("linger.ms", "canary", "refuses the value")]
        {
            let kafka = KafkaSettings::new("127.0.0.1:1", "lab", [(property, value)]);
            let error = refused_settings(kafka.client("test").create::<BaseConsumer>().err().unwrap());
            let text = format!("{} {error:?} {kafka:?}", error.chain());
            assert!(text.contains(why) && text.contains(property) && !text.contains("canary"), "{text}");
        }
    }
}
