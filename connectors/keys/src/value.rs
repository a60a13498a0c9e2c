//! The types of values, and how each is read.

use std::{path::PathBuf, time::Duration};

use super::{ByteSize, Given, Invalid, Scalar};

/// A type that a single key can have.
pub trait ConfigValue: Sized {
    /// True if values are secrets, which are never shown.
    const SECRET: bool = false;

    /// The name of the type in the documentation.
    fn type_name() -> String;

    /// The allowed values with their documentation; empty if the type does not list them.
    fn allowed() -> Vec<(&'static str, &'static str)> {
        Vec::new()
    }

    /// Reads a value.
    ///
    /// # Errors
    /// The value is not of the type. The message does not quote a secret; see [`Given::mismatch`].
    fn parse(given: &Given<'_>) -> Result<Self, Invalid>;

    /// The value as written for `key`.
    fn to_text(&self, key: &str) -> String;
}

impl ConfigValue for String {
    fn type_name() -> String {
        "string".to_owned()
    }

    fn parse(given: &Given<'_>) -> Result<Self, Invalid> {
        given.text().map(ToOwned::to_owned).ok_or_else(|| given.mismatch("a string"))
    }

    fn to_text(&self, _key: &str) -> String {
        self.clone()
    }
}

impl ConfigValue for bool {
    fn type_name() -> String {
        "boolean".to_owned()
    }

    fn parse(given: &Given<'_>) -> Result<Self, Invalid> {
        match given.value {
            Scalar::Bool(truth) => Ok(*truth),
            Scalar::String(text) => text.parse().map_err(|_| given.mismatch("`true` or `false`")),
            _ => Err(given.mismatch("`true` or `false`")),
        }
    }

    fn to_text(&self, _key: &str) -> String {
        self.to_string()
    }
}

macro_rules! integers {
    ($($ty:ty),*) => {$(
        impl ConfigValue for $ty {
            fn type_name() -> String {
                "integer".to_owned()
            }

            fn parse(given: &Given<'_>) -> Result<Self, Invalid> {
                let number = match given.value {
                    Scalar::Integer(number) => Some(i128::from(*number)),
                    Scalar::String(text) => text.parse::<i128>().ok(),
                    _ => None,
                };
                let number = number.ok_or_else(|| given.mismatch("an integer"))?;
                Self::try_from(number)
                    .map_err(|_| given.mismatch(format_args!("an integer from {} to {}", Self::MIN, Self::MAX)))
            }

            fn to_text(&self, _key: &str) -> String {
                self.to_string()
            }
        }
    )*};
}

integers!(u16, u32, u64, usize, i32, i64);

/// `"4s"` or `"500ms"`; a plain number if the key ends in `.ms`, as in Kafka Connect.
impl ConfigValue for Duration {
    fn type_name() -> String {
        "duration".to_owned()
    }

    fn parse(given: &Given<'_>) -> Result<Self, Invalid> {
        if let Some(millis) = bare_number(given, "ms") {
            return Ok(Self::from_millis(millis));
        }
        given.text().and_then(|text| humantime::parse_duration(text).ok()).ok_or_else(|| {
            let bare = if in_unit(given.key, "ms") { ", or a number of milliseconds" } else { "" };
            given.mismatch(format_args!("a duration such as `500ms`, `4s` or `2h`{bare}"))
        })
    }

    fn to_text(&self, key: &str) -> String {
        if in_unit(key, "ms") {
            return self.as_millis().to_string();
        }
        humantime::format_duration(*self).to_string().replace(' ', "")
    }
}

/// `"1MiB"`; a plain number if the key ends in `.bytes`, as in Kafka Connect.
impl ConfigValue for ByteSize {
    fn type_name() -> String {
        "size".to_owned()
    }

    fn parse(given: &Given<'_>) -> Result<Self, Invalid> {
        if let Some(bytes) = bare_number(given, "bytes") {
            return Ok(Self::bytes(bytes));
        }
        given.text().and_then(|text| text.parse().ok()).ok_or_else(|| {
            let bare = if in_unit(given.key, "bytes") { ", or a number of bytes" } else { "" };
            given.mismatch(format_args!("a size such as `512KiB` or `1MiB`{bare}"))
        })
    }

    fn to_text(&self, _key: &str) -> String {
        self.to_string()
    }
}

/// Returns true if the last word of the key is the unit.
fn in_unit(key: &str, unit: &str) -> bool {
    key.rsplit('.').next() == Some(unit)
}

/// The plain number, if the key names its unit.
fn bare_number(given: &Given<'_>, unit: &str) -> Option<u64> {
    match given.value {
        _ if !in_unit(given.key, unit) => None,
        Scalar::Integer(number) => u64::try_from(*number).ok(),
        Scalar::String(text) => text.parse().ok(),
        _ => None,
    }
}

/// A path. A relative path starts at the folder of the config file.
impl ConfigValue for PathBuf {
    fn type_name() -> String {
        "path".to_owned()
    }

    fn parse(given: &Given<'_>) -> Result<Self, Invalid> {
        match given.text() {
            Some("") | None => Err(given.mismatch("a path")),
            Some(text) => Ok(given.base_dir.resolve(text)),
        }
    }

    fn to_text(&self, _key: &str) -> String {
        self.display().to_string()
    }
}

/// A TOML array, or one string with commas, as in Kafka Connect.
impl<T: ConfigValue> ConfigValue for Vec<T> {
    const SECRET: bool = T::SECRET;

    fn type_name() -> String {
        format!("list of {}", T::type_name())
    }

    fn allowed() -> Vec<(&'static str, &'static str)> {
        T::allowed()
    }

    fn parse(given: &Given<'_>) -> Result<Self, Invalid> {
        let items = match given.value {
            Scalar::List(items) => items.clone(),
            Scalar::String(text) if text.trim().is_empty() => Vec::new(),
            Scalar::String(text) => text.split(',').map(|item| Scalar::String(item.trim().to_owned())).collect(),
            _ => return Err(given.mismatch("a list, or a string with commas")),
        };
        if items.contains(&Scalar::String(String::new())) {
            return Err(Invalid::new("an element is empty"));
        }
        items.iter().map(|value| T::parse(&Given { value, ..*given })).collect()
    }

    fn to_text(&self, key: &str) -> String {
        self.iter().map(|item| item.to_text(key)).collect::<Vec<_>>().join(",")
    }
}

#[cfg(test)]
mod tests {
    use super::{super::BaseDir, *};

    fn parse<T: ConfigValue>(key: &str, value: impl Into<Scalar>) -> Result<T, String> {
        let base_dir = BaseDir::new(Some("/etc".into()));
        let given = Given { key, value: &value.into(), literal: true, reference: None, base_dir: &base_dir };
        T::parse(&given).map_err(|invalid| invalid.message)
    }

    impl From<&str> for Scalar {
        fn from(text: &str) -> Self {
            Self::String(text.to_owned())
        }
    }

    impl From<i64> for Scalar {
        fn from(number: i64) -> Self {
            Self::Integer(number)
        }
    }

    #[test]
    fn numbers_and_booleans_may_be_text_but_are_strict() {
        assert_eq!(parse::<u32>("n", "6"), Ok(6));
        assert_eq!(parse::<bool>("b", "true"), Ok(true));
        for refused in ["6.5", " 6", "6x", "", "six"] {
            assert!(parse::<u32>("n", refused).is_err(), "{refused:?}");
        }
        for refused in ["yes", "True", "1", ""] {
            assert!(parse::<bool>("b", refused).is_err(), "{refused:?}");
        }
        assert_eq!(
            parse::<u16>("n", 70_000).unwrap_err(),
            "expected an integer from 0 to 65535, found an integer `70000`"
        );
        assert_eq!(parse::<String>("s", 5).unwrap_err(), "expected a string, found an integer `5`");
    }

    #[test]
    fn a_bare_number_is_a_duration_only_where_the_key_says_the_unit() {
        assert_eq!(parse("delay", "4s"), Ok(Duration::from_secs(4)));
        assert_eq!(parse("delay.ms", 500), Ok(Duration::from_millis(500)));
        assert_eq!(parse("delay.ms", "500"), Ok(Duration::from_millis(500)));
        assert_eq!(parse("delay.ms", "2m"), Ok(Duration::from_mins(2)));
        assert!(parse::<Duration>("delay", 500).is_err() && parse::<Duration>("delay", "500").is_err());
        assert!(parse::<Duration>("delay.ms", -1).is_err());
        assert_eq!(Duration::from_secs(90).to_text("delay"), "1m30s");
        assert_eq!(Duration::from_secs(90).to_text("delay.ms"), "90000");
    }

    #[test]
    fn a_bare_number_is_a_size_only_where_the_key_says_the_unit() {
        assert_eq!(parse("body.max.bytes", 1024), Ok(ByteSize::kib(1)));
        assert_eq!(parse("body.max", "1MiB"), Ok(ByteSize::mib(1)));
        assert!(parse::<ByteSize>("body.max", 1024).is_err());
    }

    #[test]
    fn a_list_may_be_one_string_with_commas() {
        assert_eq!(parse("l", "a, b"), Ok(vec!["a".to_owned(), "b".to_owned()]));
        assert_eq!(parse("l", ""), Ok(Vec::<String>::new()));
        assert_eq!(parse("l", Scalar::List(vec!["1".into(), 2.into()])), Ok(vec![1_u32, 2]));
        assert_eq!(parse::<Vec<String>>("l", "a,,b").unwrap_err(), "an element is empty");
        assert_eq!(parse::<Vec<u32>>("l", "1,x").unwrap_err(), "expected an integer, found a string `x`");
    }

    #[test]
    fn a_relative_path_starts_from_the_folder_of_the_file() {
        assert_eq!(parse("schema", "a.avsc"), Ok(PathBuf::from("/etc/a.avsc")));
        assert!(parse::<PathBuf>("schema", "").is_err());
    }

    #[test]
    fn a_long_value_is_quoted_in_part_and_on_one_line() {
        let said = parse::<u32>("n", format!("a\n{}", "b".repeat(100)).as_str()).unwrap_err();
        assert_eq!(said, format!("expected an integer, found a string `a {}…`", "b".repeat(58)));
    }

    #[test]
    fn a_mistyped_secret_is_not_quoted() {
        assert_eq!(parse::<u32>("api.key", "canary").unwrap_err(), "expected an integer, found a string");
        assert!(!parse::<u32>("url", "pg://u:canary@h").unwrap_err().contains("canary"));
    }
}
