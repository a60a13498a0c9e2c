//! The client of the schema registry: registers our schemas, and looks up the schemas of records.
//!
//! It speaks Confluent's REST API, as served by Confluent, Apicurio, Karapace and Redpanda. Successful answers are
//! cached for the life of the process, since an id never changes its schema. Failures are not cached here; the caches
//! of `schema_registry_converter` would cache them and are not used. Credentials in the URL are sent as a header and
//! never shown.

mod address;
mod answer;
mod latest;
mod metrics;

use std::{
    collections::{HashMap, HashSet},
    sync::{Arc, PoisonError, RwLock},
    time::{Duration, Instant},
};

use apache_avro::{AvroResult, Schema};
use reqwest::{RequestBuilder, StatusCode, Url};
use schema_registry_converter::{
    async_impl::schema_registry::{
        SrSettings, get_all_subjects, get_referenced_schema, get_schema_by_guid, get_schema_by_id,
        get_schema_by_subject_and_version, post_schema,
    },
    error::SRCError,
    schema_registry_common::{RegisteredReference, SchemaType, SuppliedSchema},
};
use serde_json::json;
use towpath_api::{Error, ErrorType, Result};

pub use self::latest::{LatestSchemas, latest_record, latest_schemas};
use self::{
    address::{Address, refused},
    answer::{explain, explain_lookup, is_unknown_schema, is_unknown_subject, is_unsupported, status, unavailable},
    metrics::RequestMetrics,
};
use super::{
    codes,
    schema::{inline::with_parts, semantic, shape::Prepared},
    schema_id::SchemaId,
};

/// Long enough for a busy registry, short enough to answer a webhook's client in time.
const TIMEOUT: Duration = Duration::from_secs(3);
/// Maximum schemas that one schema may reference, directly or indirectly.
const MAX_REFERENCES: usize = 1_000;
/// Each new version of a schema must be able to read data of all earlier versions. Set explicitly, since registries
/// differ in their defaults.
const COMPATIBILITY: &str = "BACKWARD_TRANSITIVE";

/// A client of the registry. Cheap to clone; clones share the cache.
#[derive(Clone)]
pub struct Registry {
    shared: Arc<RegistryState>,
}

struct RegistryState {
    settings: SrSettings,
    /// For requests that `schema_registry_converter` does not offer.
    http: reqwest::Client,
    address: Address,
    prepared: RwLock<HashMap<SchemaId, Arc<Prepared>>>,
    registered: tokio::sync::Mutex<HashMap<(String, String), u32>>,
    metrics: RequestMetrics,
}

impl std::fmt::Debug for Registry {
    fn fmt(&self, f: &mut std::fmt::Formatter<'_>) -> std::fmt::Result {
        f.debug_struct("Registry").field("urls", &self.shared.address.urls).finish_non_exhaustive()
    }
}

impl Registry {
    /// Creates a client for `urls` (`http://host:port/path`, several are separated by commas), and registers its
    /// metrics. Does not connect.
    ///
    /// # Errors
    /// Fatal when a URL is not an HTTP URL, or when the metrics are registered already.
    pub fn new(urls: &str, metrics: &prometheus::Registry) -> Result<Self> {
        let address = Address::parse(urls)?;
        let (first, others) = address.urls.split_first().ok_or_else(refused)?;
        let mut builder = SrSettings::new_builder(first.clone());
        builder.set_timeout(TIMEOUT);
        for url in others {
            builder.add_url(url.clone());
        }
        if let Some((user, password)) = &address.credentials {
            builder.set_basic_authorization(user, Some(password));
        }
        let settings = builder.build().map_err(|error| refused().because(error))?;
        let http = reqwest::Client::builder().timeout(TIMEOUT).build().map_err(|error| refused().because(error))?;
        let metrics = RequestMetrics::register(metrics).map_err(|error| refused().because(error))?;
        let (prepared, registered) = (RwLock::default(), tokio::sync::Mutex::default());
        Ok(Self { shared: Arc::new(RegistryState { settings, http, address, prepared, registered, metrics }) })
    }

    /// Registers `schema` under `subject` and returns its id. Sends one request for each pair. The compatibility of a
    /// new subject is set to `BACKWARD_TRANSITIVE` first.
    ///
    /// # Errors
    /// Retry while the registry is unavailable or rejects the credentials, or something else answers in its place;
    /// fatal `registry.incompatible` or `registry.refused`, with the message of the registry.
    ///
    /// # Cancel safety
    /// May be dropped at any await: registering the same schema again returns the same id.
    pub async fn register(&self, subject: &str, schema: &str) -> Result<u32> {
        let key = (subject.to_owned(), schema.to_owned());
        // Held during the request, so that concurrent first events of an object send one request.
        let mut registered = self.shared.registered.lock().await;
        if let Some(id) = registered.get(&key) {
            return Ok(*id);
        }
        let doing = format!("register the schema of subject `{subject}`");
        self.set_compatibility(subject, &doing).await?;
        let supplied = SuppliedSchema::new(None, SchemaType::Avro, schema.to_owned());
        let answer = self.counted("register", post_schema(&self.shared.settings, subject.to_owned(), supplied)).await;
        let id = answer.map_err(|error| explain(&error, doing))?.id;
        registered.insert(key, id);
        Ok(id)
    }

    /// Returns the schema of `id`, prepared for decoding.
    ///
    /// # Errors
    /// Retry while the registry is unavailable; poison `registry.unknown_schema` when it does not have the id,
    /// `registry.unusable_schema` when the schema is not Avro, `registry.no_guids` when it does not support guids. Any
    /// other answer is a retry, also one that is not a registry's.
    pub(crate) async fn schema(&self, id: SchemaId) -> Result<Arc<Prepared>> {
        if let Some(prepared) = self.shared.prepared.read().unwrap_or_else(PoisonError::into_inner).get(&id) {
            return Ok(Arc::clone(prepared));
        }
        let prepared = Arc::new(Prepared::new(&self.parsed(id, semantic::parse).await?));
        // Concurrent requests all return the first answer, so that a schema has one `Arc`.
        let mut known = self.shared.prepared.write().unwrap_or_else(PoisonError::into_inner);
        Ok(Arc::clone(known.entry(id).or_insert(prepared)))
    }

    /// Returns the schema of `id` as registered, including the schemas that it references. Not cached.
    ///
    /// # Errors
    /// As [`Registry::schema`].
    pub(super) async fn written_schema(&self, id: u32) -> Result<Schema> {
        self.parsed(SchemaId::Number(id), semantic::parse_written).await
    }

    /// Returns the latest schema of `subject`, prepared for decoding; `None` when the subject does not exist.
    ///
    /// # Errors
    /// As [`Registry::schema`].
    pub(super) async fn latest(&self, subject: &str) -> Result<Option<Arc<Prepared>>> {
        match self.latest_id(subject).await? {
            Some(id) => self.schema(SchemaId::Number(id)).await.map(Some),
            None => Ok(None),
        }
    }

    /// Returns the id of the latest schema of `subject`; `None` when the subject does not exist. Not cached.
    async fn latest_id(&self, subject: &str) -> Result<Option<u32>> {
        let found =
            self.counted("latest", get_schema_by_subject_and_version(&self.shared.settings, subject, None)).await;
        match found {
            Ok(found) => Ok(Some(found.id)),
            Err(error) if is_unknown_subject(&error) => Ok(None),
            Err(error) => Err(explain_lookup(&error, format!("look up the latest schema of subject `{subject}`"))),
        }
    }

    /// Parses the schema of `id` together with the schemas that it references. `schema_registry_converter` would
    /// resolve references too, but would drop semantic types.
    async fn parsed(&self, id: SchemaId, parse: impl FnOnce(&str) -> AvroResult<Schema>) -> Result<Schema> {
        let doing = format!("look up schema {id}");
        let unusable =
            || Error::poison(codes::NOT_AVRO, ErrorType::Schema, format!("{doing}: it is not an Avro schema"));
        let found = match id {
            SchemaId::Number(id) => self.counted("schema", get_schema_by_id(id, &self.shared.settings)).await,
            SchemaId::Guid(guid) => {
                let guid = guid.to_string();
                self.counted("guid", get_schema_by_guid(&guid, &self.shared.settings)).await
            }
        };
        let found = found.map_err(|error| {
            if is_unknown_schema(&error) {
                let doing = format!("{doing}: the registry does not have it");
                return Error::poison(codes::UNKNOWN_SCHEMA, ErrorType::Schema, doing);
            }
            if matches!(id, SchemaId::Guid(_)) && is_unsupported(&error) {
                let doing = format!(
                    "{doing}: the registry does not support lookups by guid, which the record's header requires"
                );
                return Error::poison(codes::NO_GUIDS, ErrorType::Schema, doing);
            }
            explain_lookup(&error, doing.clone())
        })?;
        if found.schema_type != SchemaType::Avro {
            return Err(unusable());
        }
        if found.references.is_empty() {
            return parse(&found.schema).map_err(|error| unusable().because(error));
        }
        let parts = self.referenced(found.references, &doing).await?.ok_or_else(unusable)?;
        let whole = with_parts(&parts, &found.schema).map_err(|error| unusable().because(error))?;
        parse(&whole).map_err(|error| unusable().because(error))
    }

    /// Returns the texts of all referenced schemas, each once, in dependency order; `None` when there are too many.
    async fn referenced(&self, references: Vec<RegisteredReference>, doing: &str) -> Result<Option<Vec<String>>> {
        enum Step {
            Fetch(RegisteredReference),
            Append(String),
        }
        let (mut texts, mut names) = (Vec::new(), HashSet::new());
        let mut steps: Vec<_> = references.into_iter().rev().map(Step::Fetch).collect();
        while let Some(step) = steps.pop() {
            match step {
                Step::Append(text) => texts.push(text),
                Step::Fetch(reference) if !names.insert(reference.name.clone()) => {}
                Step::Fetch(_) if names.len() > MAX_REFERENCES => return Ok(None),
                Step::Fetch(reference) => {
                    let found =
                        self.counted("reference", get_referenced_schema(&self.shared.settings, &reference)).await;
                    let found = found.map_err(|error| {
                        let name = &reference.name;
                        if is_unknown_schema(&error) || is_unknown_subject(&error) {
                            let doing = format!("{doing}: the registry does not have `{name}`, which it references");
                            return Error::poison(codes::UNKNOWN_SCHEMA, ErrorType::Schema, doing);
                        }
                        explain_lookup(&error, format!("{doing}: look up `{name}`, which it references"))
                    })?;
                    steps.push(Step::Append(found.schema));
                    steps.extend(found.references.into_iter().rev().map(Step::Fetch));
                }
            }
        }
        Ok(Some(texts))
    }

    /// Checks that the registry answers.
    ///
    /// # Errors
    /// Retry while it does not answer.
    pub async fn ping(&self) -> Result<()> {
        let answer = self.counted("ping", get_all_subjects(&self.shared.settings)).await;
        answer.map(drop).map_err(|error| explain_lookup(&error, "reach the schema registry".to_owned()))
    }

    /// Sets the compatibility of a subject without versions. An existing subject keeps its setting.
    async fn set_compatibility(&self, subject: &str, doing: &str) -> Result<()> {
        let mut last = None;
        for url in &self.shared.address.urls {
            match self.try_set_compatibility(url, subject).await {
                Ok(()) => return Ok(()),
                Err(error) => last = Some(error),
            }
        }
        let error = unavailable(format!("{doing}: set its compatibility to {COMPATIBILITY}"));
        Err(match last {
            Some(cause) => error.because(cause.without_url()),
            None => error,
        })
    }

    async fn try_set_compatibility(&self, url: &str, subject: &str) -> reqwest::Result<()> {
        let versions =
            self.send("versions", self.shared.http.get(endpoint(url, &["subjects", subject, "versions"]))).await?;
        if versions.status() != StatusCode::NOT_FOUND {
            // Any failure other than an outage is reported by the registration.
            return if versions.status().is_server_error() { versions.error_for_status().map(drop) } else { Ok(()) };
        }
        let set =
            self.shared.http.put(endpoint(url, &["config", subject])).json(&json!({"compatibility": COMPATIBILITY}));
        let answer = self.send("compatibility", set).await?;
        if answer.status().is_client_error() {
            let status = answer.status().as_u16();
            tracing::warn!(
                subject,
                status,
                "the registry refused to set the compatibility of subject `{subject}` to {COMPATIBILITY}; \
                 its own setting applies"
            );
            return Ok(());
        }
        answer.error_for_status().map(drop)
    }

    /// Sends a request with the credentials, and counts it as [`Registry::counted`] does.
    async fn send(&self, operation: &str, request: RequestBuilder) -> reqwest::Result<reqwest::Response> {
        let request = match &self.shared.address.credentials {
            Some((user, password)) => request.basic_auth(user, Some(password)),
            None => request,
        };
        let begun = Instant::now();
        let answer = request.send().await;
        self.count(operation, answer.as_ref().ok().map(|answer| answer.status().as_u16()), begun);
        answer
    }

    /// Awaits an answer and counts it, with status and duration.
    async fn counted<T>(
        &self,
        operation: &str,
        answer: impl Future<Output = Result<T, SRCError>>,
    ) -> Result<T, SRCError> {
        let begun = Instant::now();
        let answer = answer.await;
        self.count(operation, answer.as_ref().map_or_else(status, |_| Some(StatusCode::OK.as_u16())), begun);
        answer
    }

    fn count(&self, operation: &str, status: Option<u16>, begun: Instant) {
        let code = status.map_or_else(|| "error".to_owned(), |status| status.to_string());
        self.shared.metrics.requests.with_label_values(&[operation, &code]).inc();
        self.shared.metrics.duration.with_label_values(&[operation]).observe(begun.elapsed().as_secs_f64());
    }
}

/// Appends path segments to `url`, each percent-encoded.
fn endpoint(url: &str, segments: &[&str]) -> String {
    let Ok(mut endpoint) = Url::parse(url) else { return url.to_owned() };
    if let Ok(mut path) = endpoint.path_segments_mut() {
        path.pop_if_empty().extend(segments);
    }
    endpoint.into()
}

#[cfg(test)]
mod tests {
    use super::*;

    #[test]
    fn credentials_in_the_url_are_never_shown() {
        let registry =
            Registry::new("http://user:canary-secret@127.0.0.1:1/api", &prometheus::Registry::new()).unwrap();
        assert_eq!(format!("{registry:?}"), r#"Registry { urls: ["http://127.0.0.1:1/api"], .. }"#);
    }

    #[tokio::test]
    async fn an_unavailable_registry_is_a_retry_without_the_password() {
        let registry = Registry::new("http://user:canary-secret@127.0.0.1:1", &prometheus::Registry::new()).unwrap();
        for error in [
            registry.register("s-value", "\"string\"").await.unwrap_err(),
            registry.schema(SchemaId::Number(1)).await.unwrap_err(),
            registry.ping().await.unwrap_err(),
        ] {
            assert_eq!(
                (error.reaction, error.code),
                (towpath_api::Reaction::Retry, "registry.unavailable"),
                "{}",
                error.chain()
            );
            assert!(!format!("{error:?} {}", error.chain()).contains("canary"), "{error:?}");
        }
    }

    #[test]
    fn a_subject_is_escaped_in_the_path() {
        assert_eq!(
            endpoint("http://r:1/apis/v7", &["config", "a/b c-value"]),
            "http://r:1/apis/v7/config/a%2Fb%20c-value"
        );
    }
}
