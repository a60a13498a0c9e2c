//! The keys of a webhook source, and the agreed schemas that they name.
//!
//! Nothing here connects. The check reads the schema files, so that an unusable schema is reported before anything
//! runs.

use std::{collections::BTreeMap, path::PathBuf};

use apache_avro::Schema;
use towpath_api::{Object, Updates};
use towpath_keys::{ByteSize, Check, Named, Problems, Secret, config_enum, config_keys};
use towpath_mapping::Mapper;

config_enum! {
    /// The fields that an `update` carries.
    pub enum UpdateMode {
        /// Only the changed fields. A field that is null in the post becomes null.
        Merge = "merge",
        /// All fields of the record.
        Replace = "replace",
    }
}

config_keys! {
    /// Keys of the webhook source.
    pub struct WebhookConfig {
        /// The names of the objects that may be posted: lower-case letters, digits and underscores. Each object has its
        /// own keys `objects.<name>.*`.
        #[key("objects")]
        pub objects: Vec<String>,
        /// They describe one object.
        #[key("objects.{}")]
        pub object: Named<ObjectConfig>,
        /// They describe one client; the name is its client id.
        #[key("clients.{}")]
        pub clients: Named<ClientConfig>,
        /// The maximum size of a request body. A larger body is refused with 413.
        #[key("body.max.bytes", range = ByteSize::bytes(1)..=ByteSize::mib(64))]
        pub body_max: ByteSize = ByteSize::mib(1),
        /// The maximum number of concurrent requests of known clients. Further requests are refused with 503 and
        /// `Retry-After`.
        #[key("requests.max.in.flight", range = 1..=100_000)]
        pub requests_max_in_flight: u32 = 1_000,
    }
}

config_keys! {
    /// Keys of one object.
    pub struct ObjectConfig {
        /// The file of the object's Avro schema (`.avsc`): a record with a field `id` of type `string` or `long`.
        #[key("schema")]
        pub schema: PathBuf,
        /// The fields that an `update` carries.
        #[key("update.mode")]
        pub update_mode: UpdateMode = UpdateMode::Merge,
    }
}

config_keys! {
    /// Keys of one client.
    pub struct ClientConfig {
        /// The secret that the client sends as `clientSecret`. Use a reference such as `${env:ACME_SECRET}`.
        #[key("secret")]
        pub secret: Secret,
    }
}

impl Check for WebhookConfig {
    fn check(&self, problems: &mut Problems) {
        if self.objects.is_empty() {
            problems.invalid("objects", "must name at least one object");
        }
        for (at, name) in self.objects.iter().enumerate() {
            // A malformed name is reported by its position and not quoted: it may be a pasted secret.
            if !is_object_name(name) {
                problems.invalid(
                    "objects",
                    format!("name {} must be lower-case letters, digits and underscores, a letter first", at + 1),
                );
                continue;
            }
            if self.objects[..at].contains(name) {
                problems.invalid("objects", format!("must not name `{name}` twice"));
            }
            if self.object.get(name).is_none() {
                problems
                    .missing(&format!("objects.{name}.schema"), format!("required, because `objects` names `{name}`"));
            }
        }
        for name in self.object.names().filter(|name| !self.objects.iter().any(|listed| listed == name)) {
            problems.invalid(&format!("objects.{name}.schema"), format!("given, but `objects` does not name `{name}`"));
        }
        if self.clients.is_empty() {
            problems.missing("clients.<id>.secret", "required at least once; no client could post otherwise");
        }
        for (id, _) in self.clients.iter().filter(|(_, client)| client.secret.reveal().is_empty()) {
            problems.invalid(&format!("clients.{id}.secret"), "must not be empty");
        }
        if let Err(found) = self.mappers() {
            for (key, message) in found {
                problems.invalid(&key, message);
            }
        }
    }
}

impl WebhookConfig {
    /// The names in `objects` that have the right form, each once.
    pub fn object_names(&self) -> impl Iterator<Item = &str> {
        let first = |at: usize, name: &String| is_object_name(name) && !self.objects[..at].contains(name);
        let names = self.objects.iter().enumerate().filter(move |(at, name)| first(*at, name));
        names.map(|(_, name)| name.as_str())
    }

    /// Loads the schema of each object.
    ///
    /// # Errors
    /// For each unusable file, its key and the reason.
    pub(crate) fn mappers(&self) -> Result<BTreeMap<String, Mapper>, Vec<(String, String)>> {
        let mut mappers = BTreeMap::new();
        let mut problems = Vec::new();
        for (name, object) in self.object.iter() {
            match object.load(name) {
                Ok(mapper) => drop(mappers.insert(name.to_owned(), mapper)),
                Err(reason) => {
                    problems.push((
                        format!("objects.{name}.schema"),
                        format!("the file `{}` {reason}", object.schema.display()),
                    ));
                }
            }
        }
        if problems.is_empty() { Ok(mappers) } else { Err(problems) }
    }
}

impl ObjectConfig {
    fn load(&self, name: &str) -> Result<Mapper, String> {
        let text = std::fs::read_to_string(&self.schema).map_err(|error| format!("cannot be read: {error}"))?;
        // Editors on Windows may begin a file with a byte order mark.
        let schema = Schema::parse_str(text.trim_start_matches('\u{feff}'))
            .map_err(|error| format!("is not an Avro schema: {error}"))?;
        let updates = match self.update_mode {
            UpdateMode::Merge => Updates::Partial,
            UpdateMode::Replace => Updates::Whole,
        };
        let object = Object::new(name, schema, updates).map_err(|error| format!("cannot be used: {error}"))?;
        Mapper::new(object).map_err(|reason| format!("cannot be used: {reason}"))
    }
}

impl Check for ObjectConfig {}
impl Check for ClientConfig {}

fn is_object_name(name: &str) -> bool {
    name.starts_with(|first: char| first.is_ascii_lowercase())
        && name.bytes().all(|byte| byte.is_ascii_lowercase() || byte.is_ascii_digit() || byte == b'_')
}

#[cfg(test)]
mod tests {
    use towpath_keys::{Flat, read};

    use super::*;

    const DEAL: &str = r#"{"type":"record","name":"deal","fields":[{"name":"id","type":"string"}]}"#;

    fn problems(change: &[(&str, &str)]) -> Vec<String> {
        let folder = tempfile::tempdir().unwrap();
        std::fs::write(folder.path().join("deal.avsc"), DEAL).unwrap();
        std::fs::write(folder.path().join("marked.avsc"), format!("\u{feff}{DEAL}")).unwrap();
        std::fs::write(folder.path().join("bad.avsc"), "{").unwrap();
        std::fs::write(folder.path().join("no_id.avsc"), r#"{"type":"record","name":"deal","fields":[]}"#).unwrap();
        let mut pairs = BTreeMap::from([
            ("objects", "deal"),
            ("objects.deal.schema", "deal.avsc"),
            ("clients.acme.secret", "canary-1"),
        ]);
        for (key, value) in change {
            if value.is_empty() {
                pairs.remove(key)
            } else {
                pairs.insert(key, value)
            };
        }
        let flat = Flat::from_strings(pairs).with_base_dir(folder.path());
        match read::<WebhookConfig>(&flat) {
            Ok((config, _)) => {
                assert!(!format!("{config:?}").contains("canary-1"));
                Vec::new()
            }
            Err(problems) => problems
                .iter()
                .map(|problem| problem.message.replace(&folder.path().display().to_string(), "…"))
                .collect(),
        }
    }

    #[test]
    fn a_config_with_its_schema_file_is_accepted() {
        assert_eq!(problems(&[]), [""; 0]);
        assert_eq!(problems(&[("objects.deal.schema", "marked.avsc")]), [""; 0]);
        assert_eq!(problems(&[("objects.deal.update.mode", "replace"), ("body.max.bytes", "2MiB")]), [""; 0]);
    }

    #[test]
    fn every_object_has_a_schema_and_every_schema_an_object() {
        assert_eq!(
            problems(&[("objects", "deal,lead")]),
            ["`objects.lead.schema`: required, because `objects` names `lead`"]
        );
        assert_eq!(
            problems(&[("objects.lead.schema", "deal.avsc")]),
            ["`objects.lead.schema`: given, but `objects` does not name `lead`"]
        );
    }

    #[test]
    fn at_least_one_client_and_one_object_are_required() {
        assert_eq!(
            problems(&[("clients.acme.secret", "")]),
            ["`clients.<id>.secret`: required at least once; no client could post otherwise"]
        );
        assert_eq!(problems(&[("objects", "")]).len(), 1);
    }

    #[test]
    fn an_unusable_schema_is_reported_with_its_file() {
        assert!(
            problems(&[("objects.deal.schema", "none.avsc")])[0]
                .starts_with("`objects.deal.schema`: the file `…/none.avsc` cannot be read: ")
        );
        assert!(
            problems(&[("objects.deal.schema", "bad.avsc")])[0]
                .starts_with("`objects.deal.schema`: the file `…/bad.avsc` is not an Avro schema: ")
        );
        assert!(problems(&[("objects.deal.schema", "no_id.avsc")])[0].contains("no field `id`"));
    }

    #[test]
    fn names_must_be_valid_for_topics_and_tables() {
        assert!(problems(&[("objects", "Deal")])[0].contains("lower-case"));
        assert!(problems(&[("objects", "deal,deal")])[0].contains("twice"));
    }
}
