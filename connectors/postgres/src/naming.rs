//! The names that the table of a topic may have, from `table.name.format` and `table.name.regex`. Pure:
//! `table/place.rs` looks in the database for them.

use regex::Regex;

use crate::name::{MAX_BYTES, TableName, identifier};

/// Names tables as the configuration says.
#[derive(Debug)]
pub(crate) struct Naming {
    format: Vec<Piece>,
    regex: Option<Regex>,
}

/// A part of `table.name.format`.
#[derive(Debug, PartialEq, Eq)]
enum Piece {
    Text(String),
    Topic,
    /// A group of `table.name.regex`, by number or name.
    Group(String),
}

/// A problem of a key, without the key.
pub(crate) type Problem = (&'static str, String);

const FORMAT: &str = "table.name.format";
const REGEX: &str = "table.name.regex";

impl Naming {
    /// Reads the two keys.
    ///
    /// # Errors
    /// The key at fault, and the reason.
    pub(crate) fn of(format: &str, regex: Option<&str>) -> Result<Self, Problem> {
        let format = pieces(format).map_err(|why| (FORMAT, why))?;
        let regex = match regex {
            None => None,
            Some(pattern) => {
                let regex = Regex::new(&format!("^(?:{pattern})$"));
                Some(regex.map_err(|_| (REGEX, "is not a regular expression of Rust's crate `regex`".to_owned()))?)
            }
        };
        let naming = Self { format, regex };
        if let Some(regex) = &naming.regex
            && let Some(group) = naming.groups().find(|group| !has_group(regex, group))
        {
            return Err((FORMAT, format!("names `${{{group}}}`, and the regular expression has no such group")));
        }
        Ok(naming)
    }

    /// Returns true if the names of tables depend on the topic.
    pub(crate) fn parts_topics(&self) -> bool {
        self.format.iter().any(|piece| !matches!(piece, Piece::Text(_)))
    }

    /// The groups of `table.name.regex` that the format names.
    pub(crate) fn groups(&self) -> impl Iterator<Item = &str> {
        self.format.iter().filter_map(|piece| match piece {
            Piece::Group(group) => Some(group.as_str()),
            Piece::Text(_) | Piece::Topic => None,
        })
    }

    /// The names that the table of `topic` may have. The first dot separates schema and table.
    ///
    /// # Errors
    /// The topic has no table, or one in a reserved schema: a system schema, or `towpath`.
    pub(crate) fn names(&self, topic: &str) -> Result<Names, String> {
        let groups = match &self.regex {
            Some(regex) if self.groups().next().is_some() => {
                let captures = regex.captures(topic);
                Some(captures.ok_or_else(|| format!("topic `{topic}` does not match `{REGEX}`"))?)
            }
            _ => None,
        };
        let group = |name: &str| {
            let groups = groups.as_ref()?;
            name.parse().map_or_else(|_| groups.name(name), |number| groups.get(number)).map(|found| found.as_str())
        };
        let name: String = self
            .format
            .iter()
            .map(|piece| match piece {
                Piece::Text(text) => text,
                Piece::Topic => topic,
                Piece::Group(name) => group(name).unwrap_or_default(),
            })
            .collect();
        let (schema, table) = name.split_once('.').unwrap_or(("public", &name));
        if schema.is_empty() || table.is_empty() {
            return Err(format!("topic `{topic}` would fill table `{name}`, which lacks a part of its name"));
        }
        let names = Names { schema: Forms::of(schema), table: Forms::of(table) };
        for schema in [&names.schema.exact, &names.schema.folded] {
            if schema == "towpath" || schema == "information_schema" || schema.starts_with("pg_") {
                return Err(format!("topic `{topic}` would fill schema `{schema}`, which is reserved"));
            }
        }
        Ok(names)
    }
}

fn has_group(regex: &Regex, group: &str) -> bool {
    match group.parse::<usize>() {
        Ok(number) => number < regex.captures_len(),
        Err(_) => regex.capture_names().flatten().any(|name| name == group),
    }
}

/// Splits a format at its placeholders.
fn pieces(format: &str) -> Result<Vec<Piece>, String> {
    let mut pieces = Vec::new();
    let mut rest = format;
    while let Some((before, after)) = rest.split_once('$') {
        pieces.push(Piece::Text(before.to_owned()));
        let Some((name, behind)) = after.strip_prefix('{').and_then(|after| after.split_once('}')) else {
            let number: String = after.chars().take_while(char::is_ascii_digit).collect();
            return Err(match number.as_str() {
                "" => "has a `$` that begins no placeholder, such as `${topic}`".to_owned(),
                number => format!("has `${number}`: write `${{{number}}}`"),
            });
        };
        let is_group = !name.is_empty() && name.chars().all(|letter| letter.is_alphanumeric() || letter == '_');
        pieces.push(match name {
            "topic" => Piece::Topic,
            group if is_group => Piece::Group(group.to_owned()),
            other => {
                return Err(format!(
                    "has `${{{other}}}`, and knows `${{topic}}` and groups of `{REGEX}`, such as `${{1}}`: the table \
                     of a topic is known before its records, from the topic's name alone"
                ));
            }
        });
        rest = behind;
    }
    pieces.push(Piece::Text(rest.to_owned()));
    Ok(pieces)
}

/// The names that the table of a topic may have.
#[derive(Debug, Clone, PartialEq, Eq)]
pub(crate) struct Names {
    pub(crate) schema: Forms,
    pub(crate) table: Forms,
}

/// The forms of a name.
#[derive(Debug, Clone, PartialEq, Eq)]
pub(crate) struct Forms {
    /// As written, unless the server has no such names.
    pub(crate) exact: String,
    /// As [`identifier`] makes it.
    pub(crate) folded: String,
}

impl Forms {
    fn of(name: &str) -> Self {
        let folded = identifier(name);
        // The server has no longer names, and no others with a NUL.
        let may_exist = name.len() <= MAX_BYTES && !name.contains('\0');
        Self { exact: if may_exist { name.to_owned() } else { folded.clone() }, folded }
    }
}

impl Names {
    /// The table if none exists under an exact name.
    pub(crate) fn folded(&self) -> TableName {
        TableName { schema: self.schema.folded.clone(), table: self.table.folded.clone() }
    }

    /// Returns true if the name is folded as it is written, so that there is nothing to look for.
    pub(crate) fn is_plain(&self) -> bool {
        self.schema.exact == self.schema.folded && self.table.exact == self.table.folded
    }
}

#[cfg(test)]
mod tests {
    use super::*;

    fn folded(format: &str, regex: Option<&str>, topic: &str) -> Result<String, String> {
        Ok(Naming::of(format, regex).unwrap().names(topic)?.folded().to_string())
    }

    #[test]
    fn the_first_dot_of_a_topic_separates_schema_and_table() {
        for (format, topic, table) in [
            ("${topic}", "acme.transactions", "acme.transactions"),
            ("${topic}", "close.activity.call", "close.activity_call"),
            ("${topic}", "deals", "public.deals"),
            ("mart.${topic}", "acme.deals", "mart.acme_deals"),
            ("Mart.${topic}_raw", "Deals", "mart.deals_raw"),
        ] {
            assert_eq!(folded(format, None, topic).as_deref(), Ok(table));
        }
        for topic in ["towpath.x", "Towpath.x", "pg_catalog.pg_class", "a.", ".a"] {
            assert!(folded("${topic}", None, topic).is_err(), "{topic}");
        }
    }

    #[test]
    fn parts_of_a_topic_name_its_table() {
        for (format, regex, table) in [
            ("${1}", r"srv\.(.*)", "inventory.customers"),
            ("inventory.${2}", r"srv\.(\w+)\.(\w+)", "inventory.customers"),
            ("${schema}.t_${table}", r"srv\.(?<schema>\w+)\.(?P<table>\w+)", "inventory.t_customers"),
            ("${1}${2}.x", r"(s)(q)?rv.*", "s.x"),
            ("${topic}", r"other", "srv.inventory_customers"),
        ] {
            assert_eq!(folded(format, Some(regex), "srv.inventory.customers").as_deref(), Ok(table), "{format}");
        }
        let other = folded("${1}", Some(r"srv\.(.*)"), "other.inventory.customers").unwrap_err();
        assert!(other.contains("`other.inventory.customers` does not match"), "{other}");
        assert!(folded("a.${1}", Some("srv(x)?.*"), "srv.inventory.customers").is_err(), "no table is called nothing");
    }

    #[test]
    fn a_placeholder_that_nothing_fills_is_refused_by_name() {
        for (format, says) in [
            ("${source.schema}.${source.table}", "`${source.schema}`"),
            ("$1", "write `${1}`"),
            ("${topic", "begins no placeholder"),
            ("a$", "begins no placeholder"),
            ("${2}", "`${2}`"),
            ("${name}", "`${name}`"),
        ] {
            let (key, why) = Naming::of(format, Some("a(b)")).unwrap_err();
            assert!(key == FORMAT && why.contains(says), "{format}: {key} {why}");
        }
        assert_eq!(Naming::of("${topic}", Some("a(")).unwrap_err().0, REGEX);
    }
}
