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

/// The SASL mechanisms of this build.
fn mechanisms() -> Vec<&'static str> {
    let native = ClientConfig::new().create_native_config();
    let features = native.and_then(|native| native.get("builtin.features")).unwrap_or_default();
    let has = |feature: &str| features.split(',').any(|known| known.trim_matches(['\0', ' ']) == feature);
    let known = [
        ("sasl_plain", "PLAIN"),
        ("sasl_scram", "SCRAM-SHA-256"),
        ("sasl_scram", "SCRAM-SHA-512"),
        ("sasl_oauthbearer", "OAUTHBEARER"),
        ("sasl_gssapi", "GSSAPI"),
    ];
    known.into_iter().filter(|(feature, _)| has(feature)).map(|(_, mechanism)| mechanism).collect()
}

/// The error of a client that librdkafka refuses to create. Names the refused property, never its value.
pub fn refused_settings(error: KafkaError) -> Error {
    let refused = |doing: &str| Error::fatal(codes::CONFIG, ErrorType::Config, doing);
    match error {
        KafkaError::ClientCreation(text) if text.contains("SASL mechanism") => {
            let mechanism =
                text.split_once("SASL mechanism").map_or("", |(_, rest)| rest.trim_start_matches([':', ' ']));
            let mechanism: String = mechanism.chars().take_while(|letter| !": ".contains(*letter)).collect();
            refused(&format!(
                "create a Kafka client: this build does not have the mechanism {mechanism} of `kafka.sasl.mechanism`; \
                 it has {}",
                mechanisms().join(", ")
            ))
            .with_help("use one of these; GSSAPI (Kerberos) needs a build with `cargo build --features gssapi`")
        }
        KafkaError::ClientConfig(_, text, property, _) if text.contains("at build time") => {
            refused(&format!("create a Kafka client: this build of librdkafka cannot follow `kafka.{property}`"))
                .with_help("remove the key, or build with the library that it needs: `dev/needs build` lists them")
        }
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
    fn a_mechanism_that_the_build_lacks_is_refused_with_those_that_it_has() {
        let sasl = |mechanism| [("security.protocol", "SASL_PLAINTEXT"), ("sasl.mechanism", mechanism)];
        let create = |mechanism| KafkaSettings::new("127.0.0.1:1", "lab", sasl(mechanism)).client("test");
        let refused = |mechanism| {
            let created = create(mechanism).create::<BaseConsumer>();
            let error = refused_settings(created.err().unwrap_or_else(|| panic!("{mechanism} is accepted")));
            format!("{} {}", error.chain(), error.help().unwrap_or_default())
        };
        let text = refused("CRAM-MD5");
        assert!(text.contains("mechanism CRAM-MD5") && text.contains("PLAIN, SCRAM-SHA-256, SCRAM-SHA-512"), "{text}");
        if !mechanisms().contains(&"GSSAPI") {
            let text = refused("GSSAPI");
            assert!(text.contains("mechanism GSSAPI") && text.contains("--features gssapi"), "{text}");
        }
    }

    #[test]
    fn a_client_asks_the_token_endpoint_for_a_token() {
        use std::io::Read as _;
        let endpoint = std::net::TcpListener::bind("127.0.0.1:0").unwrap();
        let url = format!("http://{}/token", endpoint.local_addr().unwrap());
        let kafka = KafkaSettings::new(
            "127.0.0.1:1",
            "lab",
            [
                ("security.protocol", "SASL_PLAINTEXT"),
                ("sasl.mechanism", "OAUTHBEARER"),
                ("sasl.oauthbearer.method", "oidc"),
                ("sasl.oauthbearer.client.id", "towpath"),
                ("sasl.oauthbearer.client.secret", "x"),
                ("sasl.oauthbearer.token.endpoint.url", &url),
            ],
        );
        let _client: BaseConsumer = kafka.client("test").create().map_err(refused_settings).unwrap();
        let (mut request, _) = endpoint.accept().unwrap();
        let mut start = [0; 11];
        request.read_exact(&mut start).unwrap();
        assert_eq!(&start, b"POST /token");
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
