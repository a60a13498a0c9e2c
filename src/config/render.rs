//! Renders problems for people: each with its place, a caret and a suggestion; then a summary.
//!
//! Of a file, only a problem's key and value are shown, never the whole line, which may contain a secret.

use std::{collections::BTreeSet, fmt::Write as _, path::Path};

use towpath_keys::{Origin, Problem, holds_credentials};

/// The maximum number of characters to show of a value.
const MAX_VALUE: usize = 60;

/// Renders problems, which keep the worker from starting.
pub fn render(problems: &[Problem]) -> String {
    let mut out = String::new();
    for problem in problems {
        one(&mut out, "error", problem);
    }
    let files: BTreeSet<&Path> = problems.iter().filter_map(|problem| Some(problem.origin.as_ref()?.path())).collect();
    let place = if files.is_empty() { String::new() } else { format!(" in {}", count(files.len(), "file")) };
    let _ = writeln!(out, "{}{place}; nothing was started", count(problems.len(), "problem"));
    out
}

/// Renders warnings about settings that work but are probably a mistake.
pub fn render_warnings(warnings: &[Problem]) -> String {
    let mut out = String::new();
    for warning in warnings {
        one(&mut out, "warning", warning);
    }
    out
}

fn one(out: &mut String, level: &str, problem: &Problem) {
    let _ = writeln!(out, "{level}[{}]: {}", problem.code, problem.message);
    let meant = problem.suggestion.as_ref().map(|suggestion| format!(" did you mean `{suggestion}`?"));
    let snippet = problem.origin.as_ref().filter(|origin| origin.line > 0 && !origin.key_text().is_empty());
    let margin = snippet.map_or(0, |origin| origin.line.to_string().len());
    if let Some(origin) = &problem.origin {
        let _ = writeln!(out, "{:margin$} --> {origin}", "");
    }
    if let Some(origin) = snippet {
        let line = format!("{} = {}", origin.key_text(), value(problem, origin));
        let carets = "^".repeat(origin.key_text().chars().count());
        let _ = writeln!(out, "{:margin$}  |\n {} | {line}", "", origin.line);
        let _ = writeln!(out, "{:margin$}  | {carets}{}", "", meant.as_deref().unwrap_or_default());
    } else if let Some(meant) = meant {
        let _ = writeln!(out, "  ={meant}");
    }
    if let Some(help) = &problem.help {
        let _ = writeln!(out, "{:margin$}  = help: {help}", "");
    }
    out.push('\n');
}

/// The value as written, or `…` if it may be a secret.
fn value(problem: &Problem, origin: &Origin) -> String {
    let text = origin.value_text();
    if !problem.value_shown || holds_credentials(text) {
        return "…".to_owned();
    }
    let first = text.lines().next().unwrap_or_default();
    let shown: String = first.chars().take(MAX_VALUE).collect();
    if shown.len() < text.len() { format!("{shown} …") } else { shown }
}

fn count(number: usize, what: &str) -> String {
    format!("{number} {what}{}", if number == 1 { "" } else { "s" })
}

#[cfg(test)]
mod tests {
    use towpath_keys::{Check, config_enum, config_keys, read_with};

    use super::{super::*, *};

    config_enum! {
        /// The classes of the sample.
        enum Class {
            /// A source.
            WebhookSource = "WebhookSource",
            /// A sink.
            PostgresSink = "PostgresSink",
        }
    }

    config_keys! {
        /// Keys with problems of each kind.
        struct SampleConfig {
            /// Names the connector: letters, digits, `.`, `_` and `-`. Its consumer group is `connect-<name>`.
            #[key("name")]
            name: String,
            /// The class.
            #[key("connector.class")]
            _class: Class,
            /// The tasks.
            #[key("tasks.max", range = 1..)]
            _tasks_max: u32 = 1,
        }
    }

    impl Check for SampleConfig {
        fn check(&self, problems: &mut towpath_keys::Problems) {
            if !self.name.chars().all(char::is_alphanumeric) {
                problems.invalid("name", "must be letters and digits");
            }
        }
    }

    fn rendered(text: &str) -> String {
        let problems = parse(Path::new("connector.toml"), text)
            .and_then(|flat| read_with::<SampleConfig>(&flat, &|_| None).map(drop))
            .unwrap_err();
        render(&problems)
    }

    #[test]
    fn problems_are_printed_with_place_caret_and_suggestion() {
        let text = "nmae = \"pg\"\nconnector.class = \"PostgresSnk\"\n\n[tasks]\n  max = 0\npoll.interval = 1\n";
        let expected = "\
error[config.unknown_key]: unknown key `nmae`
  --> connector.toml:1:1
   |
 1 | nmae = …
   | ^^^^ did you mean `name`?

error[config.invalid_value]: `connector.class`: expected `WebhookSource` or `PostgresSink`, found a string `PostgresSnk`
  --> connector.toml:2:1
   |
 2 | connector.class = \"PostgresSnk\"
   | ^^^^^^^^^^^^^^^ did you mean `PostgresSink`?

error[config.invalid_value]: `tasks.max`: expected at least 1, found an integer `0`
  --> connector.toml:5:3
   |
 5 | max = 0
   | ^^^

error[config.unknown_key]: unknown key `tasks.poll.interval`
  --> connector.toml:6:1
   |
 6 | poll.interval = …
   | ^^^^^^^^^^^^^
   = help: the keys are `name`, `connector.class`, `tasks.max`

error[config.missing_key]: `name` is missing
 --> connector.toml
  = help: Names the connector: letters, digits, `.`, `_` and `-`. Its consumer group is `connect-<name>`.

5 problems in 1 file; nothing was started
";
        assert_eq!(rendered(text), expected);
    }

    #[test]
    fn a_key_given_twice_names_both_lines() {
        let text = "name = \"a\"\nconnector.class = \"PostgresSink\"\nname = \"b\"\n";
        let printed = rendered(text);
        assert!(printed.contains("`name` is given twice, first in line 1\n  --> connector.toml:3:1\n"), "{printed}");
    }

    #[test]
    fn secrets_are_printed_nowhere() {
        for line in [
            "connection.password = \"canary\"",
            "conection.pasword = \"canary\"",
            "pw = \"canary\"",
            "tasks = { max = 0, password = \"canary\" }",
            "name = \"postgres://user:canary@host\"",
            "tasks.max = \"postgres://user:canary@host\"",
            "tasks.max = \"${env:NONE} canary",
        ] {
            let printed = rendered(&format!("connector.class = \"PostgresSink\"\n{line}\n"));
            assert!(!printed.contains("canary"), "{printed}");
        }
    }

    #[test]
    fn problems_of_several_files_are_counted_together() {
        let problems: Vec<Problem> = ["a.toml", "b.toml", "a.toml"]
            .iter()
            .flat_map(|path| parse(Path::new(path), "x = \n").unwrap_err())
            .collect();
        assert!(render(&problems).ends_with("\n3 problems in 2 files; nothing was started\n"), "{}", render(&problems));
        assert!(render(&problems).starts_with("error[config.syntax]: "));
        assert_eq!(
            render(&[Problem::new("config.missing_key", "a", "`a` is missing")]).lines().last(),
            Some("1 problem; nothing was started")
        );
    }
}
