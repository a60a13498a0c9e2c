//! The schema registry: registers what we write, and looks up what others wrote.
//!
//! Confluent's REST API, as Confluent, Apicurio, Karapace and Redpanda serve it. What was answered once is kept for the
//! life of the process: an id means one schema for ever. What was refused is not kept here; the converter's caches,
//! which would keep it, are not used. Credentials in the URL go into a header and are shown nowhere.

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

pub use self::latest::{LatestSchemas, latest_schemas};
use self::{
    address::{Address, refused},
    answer::{explain, is_unknown_schema, status, unavailable},
    metrics::RequestMetrics,
};
use super::{
    codes,
    schema::{inline::with_parts, semantic, shape::Prepared},
    schema_id::SchemaId,
};

/// Long enough for a registry that is busy, short enough that a post is answered in time.
const TIMEOUT: Duration = Duration::from_secs(3);
/// A schema that refers to more schemas than this, in all, is refused.
const MAX_REFERENCES: usize = 1_000;
/// Each new version of a schema must be able to read all that was written before (registries differ in their defaults).
const COMPATIBILITY: &str = "BACKWARD_TRANSITIVE";

/// A client of the registry. Cheap to clone; clones share what they know.
#[derive(Clone)]
pub struct Registry {
    shared: Arc<RegistryState>,
}

struct RegistryState {
    settings: SrSettings,
    /// For what the converter's client does not offer.
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
    /// A client for `urls` (`http://host:port/path`, with commas between several), counting on `metrics`. Connects to
    /// nothing yet.
    ///
    /// # Errors
    /// Fatal when a URL is not an HTTP URL.
    ///
    /// # Panics
    /// When `metrics` holds the metrics of another client already.
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

    /// Registers `schema` under `subject` and returns its id; asks once for each pair. A subject that is new gets
    /// `BACKWARD_TRANSITIVE` first.
    ///
    /// # Errors
    /// Retry while the registry is away; fatal `registry.incompatible` or `registry.refused` with its own words.
    ///
    /// # Cancel safety
    /// May be dropped at any await: registering again gives the same id.
    pub async fn register(&self, subject: &str, schema: &str) -> Result<u32> {
        let key = (subject.to_owned(), schema.to_owned());
        // Held while asking: several first events of one object ask once.
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

    /// The schema of `id`, made ready for decoding.
    ///
    /// # Errors
    /// Retry while the registry is away; poison `registry.unknown_schema` when it does not know the id,
    /// `registry.unusable_schema` when what it has is no Avro schema, `registry.no_guids` when it knows none; fatal
    /// `registry.refused` when what answers is no registry.
    pub(crate) async fn schema(&self, id: SchemaId) -> Result<Arc<Prepared>> {
        if let Some(prepared) = self.shared.prepared.read().unwrap_or_else(PoisonError::into_inner).get(&id) {
            return Ok(Arc::clone(prepared));
        }
        let prepared = Arc::new(Prepared::new(&self.parsed(id, semantic::parse).await?));
        // Of two who asked at once both get the first answer, so that one schema stays one `Arc`.
        let mut known = self.shared.prepared.write().unwrap_or_else(PoisonError::into_inner);
        Ok(Arc::clone(known.entry(id).or_insert(prepared)))
    }

    /// The schema of `id` as it was registered, with those that it refers to; asks each time.
    ///
    /// # Errors
    /// As for [`Registry::schema`].
    pub(super) async fn written_schema(&self, id: u32) -> Result<Schema> {
        self.parsed(SchemaId::Number(id), Schema::parse_str).await
    }

    /// The newest schema of `subject`, made ready for decoding; `None` when there is no such subject.
    ///
    /// # Errors
    /// As for [`Registry::schema`].
    pub(super) async fn newest(&self, subject: &str) -> Result<Option<Arc<Prepared>>> {
        let found =
            self.counted("latest", get_schema_by_subject_and_version(&self.shared.settings, subject, None)).await;
        match found {
            Ok(found) => self.schema(SchemaId::Number(found.id)).await.map(Some),
            Err(error) if status(&error) == Some(StatusCode::NOT_FOUND.as_u16()) => Ok(None),
            Err(error) => Err(explain(&error, format!("look up the newest schema of subject `{subject}`"))),
        }
    }

    /// Parses what is registered under `id`, as one text with the schemas that it refers to: the converter would put
    /// them together itself, but without their semantic types.
    async fn parsed(&self, id: SchemaId, parse: impl FnOnce(&str) -> AvroResult<Schema>) -> Result<Schema> {
        let doing = format!("look up schema {id}");
        let unusable = || Error::poison(codes::NOT_AVRO, ErrorType::Schema, format!("{doing}: it is no Avro schema"));
        let found = match id {
            SchemaId::Number(id) => self.counted("schema", get_schema_by_id(id, &self.shared.settings)).await,
            SchemaId::Guid(guid) => {
                let guid = guid.to_string();
                self.counted("guid", get_schema_by_guid(&guid, &self.shared.settings)).await
            }
        };
        let found = found.map_err(|error| {
            if is_unknown_schema(&error) {
                let doing = format!("{doing}: the registry does not know it");
                return Error::poison(codes::UNKNOWN_SCHEMA, ErrorType::Schema, doing);
            }
            if matches!(id, SchemaId::Guid(_)) && matches!(status(&error), Some(404 | 405 | 501)) {
                let doing =
                    format!("{doing}: the registry does not look schemas up by guid, which is in the record's header");
                return Error::poison(codes::NO_GUIDS, ErrorType::Schema, doing);
            }
            explain(&error, doing.clone())
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

    /// The texts of schemas that are referred to, each once by its name, and behind those that it refers to itself;
    /// `None` when they are too many.
    async fn referenced(&self, references: Vec<RegisteredReference>, doing: &str) -> Result<Option<Vec<String>>> {
        enum Step {
            Fetch(RegisteredReference),
            Put(String),
        }
        let (mut texts, mut names) = (Vec::new(), HashSet::new());
        let mut steps: Vec<_> = references.into_iter().rev().map(Step::Fetch).collect();
        while let Some(step) = steps.pop() {
            match step {
                Step::Put(text) => texts.push(text),
                Step::Fetch(reference) if !names.insert(reference.name.clone()) => {}
                Step::Fetch(_) if names.len() > MAX_REFERENCES => return Ok(None),
                Step::Fetch(reference) => {
                    let found =
                        self.counted("reference", get_referenced_schema(&self.shared.settings, &reference)).await;
                    let found =
                        found.map_err(|error| explain(&error, format!("{doing}: look up one that it refers to")))?;
                    steps.push(Step::Put(found.schema));
                    steps.extend(found.references.into_iter().rev().map(Step::Fetch));
                }
            }
        }
        Ok(Some(texts))
    }

    /// Whether the registry answers.
    ///
    /// # Errors
    /// Retry while it does not.
    pub async fn ping(&self) -> Result<()> {
        let answer = self.counted("ping", get_all_subjects(&self.shared.settings)).await;
        answer.map(drop).map_err(|error| explain(&error, "reach the schema registry".to_owned()))
    }

    /// Sets the compatibility of a subject that has no version yet; one that exists keeps what its owner has set.
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
            self.ask("versions", self.shared.http.get(endpoint(url, &["subjects", subject, "versions"]))).await?;
        if versions.status() != StatusCode::NOT_FOUND {
            // Anything but an outage is for the registration to say.
            return if versions.status().is_server_error() { versions.error_for_status().map(drop) } else { Ok(()) };
        }
        let set =
            self.shared.http.put(endpoint(url, &["config", subject])).json(&json!({"compatibility": COMPATIBILITY}));
        let answer = self.ask("compatibility", set).await?;
        if answer.status().is_client_error() {
            let status = answer.status().as_u16();
            tracing::warn!(
                subject,
                status,
                "the registry keeps its own compatibility for subject `{subject}`: it refused {COMPATIBILITY}"
            );
            return Ok(());
        }
        answer.error_for_status().map(drop)
    }

    /// Sends a request of our own, with the credentials, and counts it as [`Registry::counted`] does.
    async fn ask(&self, operation: &str, request: RequestBuilder) -> reqwest::Result<reqwest::Response> {
        let request = match &self.shared.address.credentials {
            Some((user, password)) => request.basic_auth(user, Some(password)),
            None => request,
        };
        let begun = Instant::now();
        let answer = request.send().await;
        self.count(operation, answer.as_ref().ok().map(|answer| answer.status().as_u16()), begun);
        answer
    }

    /// Waits for an answer, and counts it by its status and time.
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

/// `url` with more segments, each escaped as it must be.
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
    fn credentials_in_the_url_are_shown_nowhere() {
        let registry =
            Registry::new("http://user:canary-secret@127.0.0.1:1/api", &prometheus::Registry::new()).unwrap();
        assert_eq!(format!("{registry:?}"), r#"Registry { urls: ["http://127.0.0.1:1/api"], .. }"#);
    }

    #[tokio::test]
    async fn a_registry_that_is_away_is_waited_for_and_its_password_is_not_in_the_error() {
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
