//! `towpath config`: commands on config files, offline.

use std::path::PathBuf;

use clap::{Args, Subcommand};
use serde_json::{Value, json};
use towpath_keys::Problem;

use super::{
    Output,
    exit::{self, Exit},
    files::{ConfigFile, Files},
};
use crate::config::{render, render_warnings};

#[derive(Debug, Subcommand)]
pub(super) enum ConfigCommand {
    /// Check files without connecting to anything; reports every problem at once
    Validate(ValidateArgs),
}

#[derive(Debug, Args)]
#[command(after_help = "\
Examples:
  towpath config validate worker.toml webhook.toml postgres.toml
  towpath config validate -o json connectors/*.toml

Exits with 0 if all files are valid, otherwise with 78.")]
pub(super) struct ValidateArgs {
    /// Files of a worker or of connectors, recognized by their keys
    #[arg(required = true, value_name = "FILE")]
    files: Vec<PathBuf>,
    /// Format of the result
    #[arg(short, long, value_enum, default_value_t = Output::Text)]
    output: Output,
}

pub(super) fn config(command: &ConfigCommand) -> Exit {
    let ConfigCommand::Validate(args) = command;
    let mut files = Files::default();
    args.files.iter().for_each(|path| files.any(path));
    match args.output {
        Output::Text => print_text(&files),
        Output::Json => println!("{:#}", as_json(&files)),
    }
    if files.problems.is_empty() { exit::DONE } else { exit::CONFIG }
}

fn print_text(files: &Files) {
    eprint!("{}", render_warnings(&files.warnings));
    if !files.problems.is_empty() {
        eprint!("{}", render(&files.problems));
    }
    for file in &files.read {
        match file {
            ConfigFile::Worker(_) => println!("valid: the worker"),
            ConfigFile::Connector(connector) => {
                println!("valid: connector `{}` ({})", connector.common.name, connector.plugin.class());
            }
        }
    }
}

fn as_json(files: &Files) -> Value {
    let problems: Value = files.problems.iter().map(problem).collect();
    let warnings: Value = files.warnings.iter().map(problem).collect();
    json!({ "valid": files.problems.is_empty(), "problems": problems, "warnings": warnings })
}

/// Leaves out the values of keys, which may be secrets.
fn problem(problem: &Problem) -> Value {
    let place = problem.origin.as_ref();
    let number = |number: usize| (number > 0).then_some(number);
    json!({
        "code": problem.code,
        "key": problem.key,
        "message": problem.message,
        "file": place.map(|place| place.path().display().to_string()),
        "line": place.and_then(|place| number(place.line)),
        "column": place.and_then(|place| number(place.column)),
        "suggestion": problem.suggestion,
        "help": problem.help,
    })
}

#[cfg(test)]
mod tests {
    use super::*;

    #[test]
    fn a_problem_as_json_has_a_place_and_a_suggestion() {
        let folder = tempfile::tempdir().unwrap();
        let path = folder.path().join("worker.toml");
        std::fs::write(
            &path,
            "bootstrap.servers = \"b:9092\"\nschema.registry.url = \"http://r\"\nlog.fromat = \"canary\"\n",
        )
        .unwrap();
        let mut files = Files::default();
        files.any(&path);
        let json = as_json(&files);
        assert_eq!(json["valid"], false);
        let problem = &json["problems"][0];
        assert_eq!((&problem["code"], &problem["key"]), (&json!("config.unknown_key"), &json!("log.fromat")));
        assert_eq!((&problem["line"], &problem["column"]), (&json!(3), &json!(1)));
        assert_eq!(problem["suggestion"], "log.format");
        assert!(!json.to_string().contains("canary"));
    }
}
