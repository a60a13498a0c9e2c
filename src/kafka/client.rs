//! How every client of ours reaches Kafka, and what its errors mean.

use std::{sync::Arc, time::Duration};

use rdkafka::{
    ClientConfig,
    consumer::{BaseConsumer, Consumer as _},
    error::{KafkaError, RDKafkaErrorCode},
    types::RDKafkaConfRes,
};
use towpath_api::{Error, ErrorType, Result};

/// How long a probe waits for an answer.
const PROBE_TIMEOUT: Duration = Duration::from_secs(3);

/// The settings that all clients share: the brokers, and what the operator passes on with `kafka.*`.
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
    /// For these brokers and the workers of this `group.id`, with properties of librdkafka.
    pub fn new<'a>(bootstrap: &str, group: &str, properties: impl IntoIterator<Item = (&'a str, &'a str)>) -> Self {
        let properties = properties.into_iter().map(|(name, value)| (name.to_owned(), value.to_owned())).collect();
        Self { bootstrap: bootstrap.to_owned(), group: group.to_owned(), properties }
    }

    /// Settings of a client that calls itself `towpath-<group.id>-<role>`. What the operator passes on overrules ours.
    pub fn client(&self, role: &str) -> ClientConfig {
        let mut settings = ClientConfig::new();
        settings
            .set("bootstrap.servers", &self.bootstrap)
            .set("client.id", format!("towpath-{}-{role}", self.group))
            // A broker that comes back is found at once, not after ten seconds.
            .set("reconnect.backoff.ms", "50")
            .set("reconnect.backoff.max.ms", "1000")
            .set("socket.nagle.disable", "true");
        for (name, value) in &self.properties {
            settings.set(name, value);
        }
        settings
    }
}

/// A client that only asks whether Kafka answers.
#[derive(Clone)]
pub struct ClusterProbe {
    consumer: Arc<BaseConsumer>,
}

impl ClusterProbe {
    /// Connects in the background.
    ///
    /// # Errors
    /// Fatal when librdkafka refuses a setting.
    pub fn new(kafka: &KafkaSettings) -> Result<Self> {
        Ok(Self { consumer: Arc::new(kafka.client("probe").create().map_err(refused_settings)?) })
    }

    /// The id of the cluster, from a broker that answered just now.
    ///
    /// # Errors
    /// Retry while none does.
    pub async fn cluster_id(&self) -> Result<Option<String>> {
        let consumer = Arc::clone(&self.consumer);
        let asked = tokio::task::spawn_blocking(move || {
            // Serves the client's own events; there are no records.
            consumer.poll(Duration::ZERO);
            // The id is kept once it is known, so it is the metadata that shows a broker is there.
            consumer.fetch_metadata(Some("__consumer_offsets"), PROBE_TIMEOUT)?;
            Ok(consumer.client().fetch_cluster_id(PROBE_TIMEOUT))
        });
        match asked.await {
            Ok(answer) => answer.map_err(|error| unavailable("reach Kafka", error)),
            Err(panic) => Err(Error::fatal("internal.panic", ErrorType::Internal, "reach Kafka").because(panic)),
        }
    }
}

/// The error of a request that time may cure; rights and wrong settings are waited for as well, since brokers cure
/// those, too.
pub fn unavailable(doing: impl Into<String>, error: KafkaError) -> Error {
    use RDKafkaErrorCode as Code;
    let doing = doing.into();
    match code(&error) {
        Some(
            Code::TopicAuthorizationFailed
            | Code::GroupAuthorizationFailed
            | Code::ClusterAuthorizationFailed
            | Code::SaslAuthenticationFailed
            | Code::Authentication,
        ) => Error::retry("kafka.auth", ErrorType::Auth, doing),
        Some(Code::MessageTimedOut | Code::OperationTimedOut | Code::RequestTimedOut) => {
            Error::retry("kafka.timeout", ErrorType::Timeout, doing)
        }
        _ => Error::retry("kafka.unavailable", ErrorType::Unavailable, doing),
    }
    .because(error)
}

/// Kafka's or librdkafka's code of an error, where it has one.
pub fn code(error: &KafkaError) -> Option<RDKafkaErrorCode> {
    match error {
        // The one that `rdkafka_error_code` leaves out.
        KafkaError::AdminOp(code) => Some(*code),
        other => other.rdkafka_error_code(),
    }
}

/// The error of a client that librdkafka refuses to make. Names the property that it does not like, never its value.
pub fn refused_settings(error: KafkaError) -> Error {
    let refused = |doing: &str| Error::fatal("kafka.config", ErrorType::Config, doing);
    match error {
        KafkaError::ClientConfig(RDKafkaConfRes::RD_KAFKA_CONF_UNKNOWN, _, property, _) => {
            refused(&format!("make a Kafka client: librdkafka does not know `kafka.{property}`"))
        }
        KafkaError::ClientConfig(_, _, property, _) => {
            refused(&format!("make a Kafka client: librdkafka refuses the value of `kafka.{property}`"))
        }
        other => refused("make a Kafka client; check `bootstrap.servers` and the keys `kafka.*`").because(other),
    }
}

#[cfg(test)]
mod tests {
    use super::*;

    #[test]
    fn a_client_is_named_after_its_workers_and_its_role() {
        let kafka = KafkaSettings::new("127.0.0.1:1", "blue", []);
        assert_eq!(kafka.client("probe").get("client.id"), Some("towpath-blue-probe"));
        let kafka = KafkaSettings::new("127.0.0.1:1", "blue", [("client.id", "ours")]);
        assert_eq!(kafka.client("probe").get("client.id"), Some("ours"));
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
