//! `towpath views`: the standard views, and which of them a sink has installed.

use std::path::PathBuf;

use clap::Args;
use serde_json::{Value, json};
use towpath_api::{StandardView, ViewHome};

use super::{
    Output,
    exit::{self, Exit},
    files::{ConfigFile, Files},
};
use crate::{
    config::{render, render_warnings},
    plugin::{ConnectorDefinition, ViewCheck, standard_views},
};

#[derive(Debug, Args)]
#[command(after_help = "\
Examples:
  towpath views
  towpath views postgres.toml
  towpath views postgres.toml -o json

Without a file, lists the views with their columns, and connects to nothing. With the file of a sink, shows whether each
is installed in its database, and if not, why. Changes nothing; the worker may run.")]
pub(super) struct ViewsArgs {
    /// The file of a sink
    #[arg(value_name = "CONNECTOR.toml")]
    connector: Option<PathBuf>,
    /// Format of the result
    #[arg(short, long, value_enum, default_value_t = Output::Text)]
    output: Output,
}

pub(super) async fn views(args: ViewsArgs) -> Exit {
    let mut found = None;
    if let Some(path) = &args.connector {
        let connector = match read(path) {
            Ok(connector) => connector,
            Err(exit) => return exit,
        };
        match connector.standing_views().await {
            Ok(Some(views)) => found = Some(views),
            Ok(None) => {
                eprintln!("error: connector `{}` has no tables, so it has no views", connector.common.name);
                return exit::USAGE;
            }
            Err(error) => return exit::report(&error),
        }
    }
    match args.output {
        Output::Text => print!("{}", as_text(standard_views(), found.as_deref())),
        Output::Json => println!("{:#}", as_json(standard_views(), found.as_deref())),
    }
    exit::DONE
}

fn read(path: &std::path::Path) -> Result<ConnectorDefinition, Exit> {
    let mut files = Files::default();
    files.connector(path);
    eprint!("{}", render_warnings(&files.warnings));
    if !files.problems.is_empty() {
        eprint!("{}", render(&files.problems));
    }
    match files.read.pop() {
        Some(ConfigFile::Connector(connector)) if files.problems.is_empty() => Ok(*connector),
        _ => Err(exit::CONFIG),
    }
}

/// The name of a view before its tables are known.
fn place(view: &StandardView) -> String {
    let schema = match view.home {
        ViewHome::Tables => "<topic.prefix>",
        ViewHome::Bookkeeping => "towpath",
    };
    format!("{schema}.{}", view.name)
}

/// The tables without which a view does not exist.
fn required(view: &StandardView) -> Vec<&'static str> {
    view.tables.iter().filter(|table| table.is_required).map(|table| table.name).collect()
}

fn nowhere(view: &StandardView) -> String {
    format!("no schema that the sink fills has table {} with its columns", required(view).join(" or "))
}

fn as_text(views: &[StandardView], found: Option<&[ViewCheck]>) -> String {
    let mut text = String::new();
    for view in views {
        let places = found.map(|found| found.iter().filter(|check| check.view == view.name).collect::<Vec<_>>());
        match &places {
            None => {
                text.push_str(&format!("{}\n  {}\n", place(view), view.about));
                let width = view.columns.iter().map(|(name, _)| name.len()).max().unwrap_or(0);
                text.extend(view.columns.iter().map(|(name, about)| format!("    {name:<width$}  {about}\n")));
                text.push('\n');
            }
            Some(places) if places.is_empty() => {
                text.push_str(&format!("{}: missing: {}\n", place(view), nowhere(view)));
            }
            Some(places) => places.iter().for_each(|check| text.push_str(&line(check))),
        }
    }
    text
}

fn line(check: &ViewCheck) -> String {
    let mut text = match &check.why_not {
        None => format!("{}: installed\n", check.name),
        Some(why) => format!("{}: missing: {why}\n", check.name),
    };
    text.extend(check.without.iter().map(|table| format!("  - without {table}\n")));
    text
}

fn as_json(views: &[StandardView], found: Option<&[ViewCheck]>) -> Value {
    let one = |view: &StandardView| {
        let column = |(name, about): &(&str, &str)| json!({ "name": name, "about": about });
        let mut one = json!({
            "view": view.name,
            "about": view.about,
            "requires": required(view),
            "columns": view.columns.iter().map(column).collect::<Value>(),
        });
        if let Some(found) = found {
            let place = |check: &ViewCheck| {
                let ViewCheck { name, why_not, without, .. } = check;
                json!({ "name": name, "installed": why_not.is_none(), "why_not": why_not, "without": without })
            };
            let places = found.iter().filter(|check| check.view == view.name);
            one["places"] = places.map(place).collect();
        }
        one
    };
    views.iter().map(one).collect()
}

#[cfg(test)]
mod tests {
    use towpath_api::ViewTable;

    use super::*;

    const VIEW: StandardView = StandardView {
        name: "open_deals",
        home: ViewHome::Tables,
        about: "Open deals.",
        tables: &[ViewTable { name: "deal", columns: &[("id", "text")], is_required: true }],
        columns: &[("id", "The id."), ("title", "The title.")],
        sql: "SELECT id FROM {deal}",
    };

    fn check(why_not: Option<&str>, without: &[&str]) -> ViewCheck {
        let without = without.iter().map(ToString::to_string).collect();
        ViewCheck { view: "open_deals", name: "a.open_deals".into(), why_not: why_not.map(ToOwned::to_owned), without }
    }

    #[test]
    fn without_a_file_each_column_is_described() {
        let expected = "<topic.prefix>.open_deals\n  Open deals.\n    id     The id.\n    title  The title.\n\n";
        assert_eq!(as_text(&[VIEW], None), expected);
        let json = as_json(&[VIEW], None);
        assert_eq!((&json[0]["columns"][1]["name"], &json[0]["places"]), (&json!("title"), &Value::Null));
    }

    #[test]
    fn with_a_file_each_place_is_shown_with_its_reason() {
        let found = [check(None, &["note (does not exist)"]), check(Some("a table has that name"), &[])];
        let expected = "a.open_deals: installed\n  - without note (does not exist)\n\
                        a.open_deals: missing: a table has that name\n";
        assert_eq!(as_text(&[VIEW], Some(&found)), expected);
        let nowhere =
            "<topic.prefix>.open_deals: missing: no schema that the sink fills has table deal with its columns\n";
        assert_eq!(as_text(&[VIEW], Some(&[])), nowhere);
        let json = as_json(&[VIEW], Some(&found));
        assert_eq!(
            json[0]["places"][1],
            json!({
            "name": "a.open_deals", "installed": false, "why_not": "a table has that name", "without": [] })
        );
    }
}
