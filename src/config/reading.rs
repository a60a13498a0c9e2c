//! The keys that every sink has: how it reads the records of its topics.

use towpath_keys::{Check, ConfigValue, Given, Invalid, Problems, config_keys};

use crate::avro::codec::{Form, Reading, ReadingSettings, VersionField};

/// In which form keys or values lie in a topic, by the name of Kafka Connect's converter or a short word.
#[derive(Debug, Clone, Copy, PartialEq, Eq)]
pub enum Converter {
    /// Avro with the id of a schema in the registry.
    Avro,
    /// JSON, with or without a schema beside it.
    Json,
    /// One text.
    Text,
}

impl Converter {
    const WORDS: [(&'static str, Self, &'static str); 6] = [
        ("avro", Self::Avro, "Avro with the id of a schema in the registry, in front of the bytes or in a header."),
        ("io.confluent.connect.avro.AvroConverter", Self::Avro, "The same."),
        (
            "json",
            Self::Json,
            "JSON: `{\"schema\": …, \"payload\": …}`, or any JSON with `schemas.enable` set to `false`.",
        ),
        ("org.apache.kafka.connect.json.JsonConverter", Self::Json, "The same."),
        ("string", Self::Text, "One text in UTF-8: a key of the column `id`, a value of the column `value`."),
        ("org.apache.kafka.connect.storage.StringConverter", Self::Text, "The same."),
    ];

    fn form(self, schemas: bool) -> Form {
        match self {
            Self::Avro => Form::Avro,
            Self::Json if schemas => Form::JsonWithSchema,
            Self::Json => Form::Json,
            Self::Text => Form::Text,
        }
    }
}

impl ConfigValue for Converter {
    fn type_name() -> String {
        "choice".to_owned()
    }

    fn allowed() -> Vec<(&'static str, &'static str)> {
        Self::WORDS.map(|(word, _, documentation)| (word, documentation)).into()
    }

    fn parse(given: &Given<'_>) -> Result<Self, Invalid> {
        given.choice(&Self::WORDS.map(|(word, converter, _)| (word, converter)))
    }

    fn to_text(&self, _key: &str) -> String {
        Self::WORDS.iter().find(|(_, converter, _)| converter == self).map_or("", |(word, ..)| word).to_owned()
    }
}

config_keys! {
    /// Keys of every sink.
    pub struct ReadingConfig {
        /// In which form the keys of records are. JSON keys are texts, whole numbers, truth values, or objects of such.
        #[key("key.converter")]
        pub key_converter: Converter = Converter::Avro,
        /// Whether JSON keys have their schema beside them.
        #[key("key.converter.schemas.enable")]
        pub key_schemas: bool = true,
        /// In which form the values of records are. JSON without a schema goes into one column, `value`, of type jsonb.
        #[key("value.converter")]
        pub value_converter: Converter = Converter::Avro,
        /// Whether JSON values have their schema beside them.
        #[key("value.converter.schemas.enable")]
        pub value_schemas: bool = true,
        /// What Debezium writes in place of a large value that an update left as it was. Such a column is left as it
        /// is.
        #[key("unavailable.value.placeholder")]
        pub unavailable_placeholder: String = crate::avro::codec::UNAVAILABLE_VALUE.to_owned(),
        /// The field that says which of two records of one key is the newer one, in place of the envelope's version or
        /// the offset: a field of the record, or `source.<name>` for one of the envelope's `source`, such as
        /// `source.lsn`. It must be a whole number that is not negative, such a number as text, a date or a timestamp,
        /// or a position in Postgres' log. Where it is a field of the record, a delete ends the row whose version
        /// stands in `before`, and no newer one.
        #[key("version.field")]
        pub version_field: Option<String>,
    }
}

impl Check for ReadingConfig {
    fn check(&self, problems: &mut Problems) {
        if self.unavailable_placeholder.is_empty() {
            problems
                .invalid("unavailable.value.placeholder", "must not be empty: every empty text would be taken for one");
        }
        match self.version_field.as_deref() {
            Some("" | "source.") => problems.invalid("version.field", "must name a field"),
            Some(_) if self.value_converter == Converter::Text => {
                problems.invalid("version.field", "has no field to be read from where `value.converter` is `string`");
            }
            _ => {}
        }
    }
}

impl ReadingConfig {
    /// How records are to be read.
    pub fn reading(&self) -> Reading {
        Reading::new(ReadingSettings {
            key: self.key_converter.form(self.key_schemas),
            value: self.value_converter.form(self.value_schemas),
            version: self.version_field.as_deref().map(VersionField::parse),
            unavailable: self.unavailable_placeholder.clone(),
        })
    }
}

#[cfg(test)]
mod tests {
    use towpath_keys::{Flat, Problem, read};

    use super::*;

    fn config(pairs: &[(&str, &str)]) -> Result<ReadingConfig, Vec<Problem>> {
        read(&Flat::from_strings(pairs.iter().copied())).map(|(config, _)| config)
    }

    #[test]
    fn avro_is_read_unless_another_form_is_named() {
        let none = config(&[]).unwrap();
        assert_eq!((none.key_converter, none.value_converter), (Converter::Avro, Converter::Avro));
        let class = "org.apache.kafka.connect.json.JsonConverter";
        let json = config(&[
            ("key.converter", "string"),
            ("value.converter", class),
            ("value.converter.schemas.enable", "false"),
        ]);
        let json = json.unwrap();
        assert_eq!(json.key_converter.form(json.key_schemas), Form::Text);
        assert_eq!(json.value_converter.form(json.value_schemas), Form::Json);
        assert_eq!(config(&[("value.converter", "json")]).unwrap().value_converter.form(true), Form::JsonWithSchema);
    }

    #[test]
    fn what_cannot_be_meant_is_refused() {
        let found = config(&[("value.converter", "jsno")]).unwrap_err();
        assert_eq!((found[0].key.as_str(), found[0].suggestion.as_deref()), ("value.converter", Some("json")));
        for pairs in [
            &[("unavailable.value.placeholder", "")][..],
            &[("version.field", "")],
            &[("version.field", "source.")],
            &[("version.field", "at"), ("value.converter", "string")],
        ] {
            let found = config(pairs).unwrap_err();
            assert_eq!((found.len(), found[0].key.as_str()), (1, pairs[0].0), "{pairs:?}");
        }
    }
}
