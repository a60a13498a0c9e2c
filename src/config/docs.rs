//! Renders `docs/configuration.md` from the declarations of the keys.

use std::fmt::Write as _;

use towpath_keys::{KeyDefinition, KeyGroup, Keys};

use super::WorkerConfig;

const INTRODUCTION: &str = "\
<!-- Generated from the declarations of the keys; a test fails if this page differs from them. -->

# Configuration

A config is a flat map of dotted keys. In a TOML file, `a.b = 1`, a table `[a]` with `b = 1`, and `a = { b = 1 }` are
the same key. A key may have a value as well as keys below it. Unknown keys, repeated keys and values of the wrong type
are errors. All errors are reported before anything is started.

* **Durations** are written as `500ms`, `4s` or `2h`. If the key ends in `.ms`, a plain number is a number of
  milliseconds.
* **Sizes** are written as `512KiB`, `1MiB` or `64kB`. If the key ends in `.bytes`, a plain number is a number of bytes.
* **Lists** are TOML arrays, or one string with commas. Numbers and booleans may also be strings.
* **Paths** that are relative start at the folder of the config file.
* **References** may be part of any string: `${env:NAME}`, `${env:NAME:-default}` and `${env:NAME:?message}` are
  environment variables, `${file:/path}` is the content of a file, `${file:/path:key}` is the value of a line
  `key=value` in a file. Secrets should always be references. Their values are never shown or logged.
";

/// Renders the page: the keys of the worker, then each of `sections`, a title and its keys.
pub fn configuration_page(sections: &[(&str, Vec<KeyDefinition>)]) -> String {
    let mut page = INTRODUCTION.to_owned();
    section(&mut page, "Worker", &WorkerConfig::definitions());
    for (title, definitions) in sections {
        section(&mut page, title, definitions);
    }
    page
}

fn section(page: &mut String, title: &str, definitions: &[KeyDefinition]) {
    let _ = writeln!(page, "\n## {title}");
    let mut group: Option<&KeyGroup> = None;
    let ungrouped = definitions.iter().filter(|definition| definition.group.is_none());
    let grouped = definitions.iter().filter(|definition| definition.group.is_some());
    for definition in ungrouped.chain(grouped) {
        if definition.group.as_ref() != group {
            group = definition.group.as_ref();
            if let Some(KeyGroup { prefix, documentation }) = group {
                let _ = writeln!(page, "\nThe following keys start with `{}`. {documentation}", named(prefix));
            }
        }
        key(page, definition);
    }
}

fn key(page: &mut String, definition: &KeyDefinition) {
    let key = match definition.key.strip_suffix("{}") {
        Some(free) => format!("{}*", named(free)),
        None => named(&definition.key),
    };
    let _ = writeln!(page, "\n### `{key}`\n\n{}\n", definition.documentation);
    let _ = writeln!(page, "* Type: {}", definition.type_name);
    let _ = match definition.default.as_deref() {
        Some("") => writeln!(page, "* Default: empty"),
        Some(default) => writeln!(page, "* Default: `{default}`"),
        None if definition.required => writeln!(page, "* Required"),
        None => writeln!(page, "* Optional"),
    };
    if let Some(range) = &definition.range {
        let _ = writeln!(page, "* Range: {range}");
    }
    for allowed in &definition.values {
        let _ = writeln!(
            page,
            "* `{}`: {}",
            allowed.value,
            allowed.documentation.split_whitespace().collect::<Vec<_>>().join(" ")
        );
    }
    if !definition.aliases.is_empty() {
        let names: Vec<String> = definition.aliases.iter().map(|alias| format!("`{}`", named(alias))).collect();
        let _ = writeln!(page, "* Aliases: {}", names.join(", "));
    }
}

/// `objects.<name>.schema` for `objects.{}.schema`.
fn named(key: &str) -> String {
    key.replace("{}", "<name>")
}

#[cfg(test)]
mod tests {
    use super::{super::ConnectorConfig, *};

    #[test]
    fn a_key_is_described_with_type_default_meaning_and_range() {
        let page = configuration_page(&[("Sink of its own", ConnectorConfig::definitions())]);
        assert!(page.contains("\n## Worker\n\n### `bootstrap.servers`\n"));
        assert!(page.contains("\n### `kafka.*`\n"));
        assert!(page.contains(
            "\n### `tasks.max`\n\nThe maximum number of tasks that share the work.\n\n\
             * Type: integer\n* Default: `1`\n* Range: at least 1\n"
        ));
        assert!(page.contains("\n* `none`: The partition of the record waits, and tries the record again.\n"));
        assert!(page.contains("\n## Sink of its own\n"));
    }

    #[test]
    fn keys_of_a_group_come_last_and_are_introduced() {
        let group = KeyGroup { prefix: "objects.{}".to_owned(), documentation: "One object.".to_owned() };
        let mut definitions = WorkerConfig::definitions();
        definitions.truncate(2);
        definitions[0].group = Some(group);
        definitions[0].key = "objects.{}.schema".to_owned();
        let page = configuration_page(&[("C", definitions)]);
        let (_, page) = page.split_once("## C\n").unwrap();
        assert!(page.starts_with("\n### `group.id`\n"), "{page}");
        assert!(page.contains(
            "\nThe following keys start with `objects.<name>`. One object.\n\n### `objects.<name>.schema`\n"
        ));
    }
}
