//! `towpath snapshot`: what a source reads of its outside system as a whole, and requests to read it again.

mod shown;
mod watch;

use std::io::{self, IsTerminal as _, Write as _};

use clap::{Args, Subcommand};
use jiff::Timestamp;
use serde_json::{Value, json};
use towpath_api::Result;

use super::{
    Output,
    api::Worker,
    exit::{self, Exit},
};

#[derive(Debug, Subcommand)]
pub(super) enum SnapshotCommand {
    /// Show how far the snapshot of a source is
    Status(StatusArgs),
    /// Ask a source to read its outside system again, all of it or a part
    Start(StartArgs),
    /// Approve deletes that are more than a source may make without asking
    Approve(ApproveArgs),
}

/// A connector of a running worker.
#[derive(Debug, Args)]
struct Of {
    /// The name of the connector
    #[arg(value_name = "CONNECTOR")]
    connector: String,
    /// The URL of one of the worker's `listeners`
    #[arg(long, alias = "worker", env = "TOWPATH_API", default_value = "http://127.0.0.1:8083")]
    url: String,
}

#[derive(Debug, Args)]
#[command(after_help = "\
Examples:
  towpath snapshot status close
  towpath snapshot status close --watch
  towpath snapshot status close -o json

With --watch, shows the progress until a snapshot has ended and none is to be begun: as bars on a terminal, as a line
every ten seconds elsewhere. Exits with 1 if the last snapshot is incomplete or awaits approval then, with or without
--watch if the source has failed, and otherwise with 0.")]
pub(super) struct StatusArgs {
    #[command(flatten)]
    of: Of,
    /// Show the progress until no snapshot runs
    #[arg(long)]
    watch: bool,
    /// Format of the result
    #[arg(short, long, value_enum, default_value_t = Output::Text)]
    output: Output,
}

#[derive(Debug, Args)]
#[command(after_help = "\
Examples:
  towpath snapshot start close
  towpath snapshot start close --object lead --object contact --watch
  towpath snapshot start close --object call --since 2026-01-01T00:00:00Z --until 2026-02-01T00:00:00Z
  towpath snapshot start close --object lead --id lead_4u0Ktu --id lead_7TpX1c

Returns when the request is stored: it is carried out after the snapshot that runs, also if the worker restarts. Records
that are read again do not turn a row back. Without any option, all objects are read and compared, and what is gone is
deleted. With --object, what is read is published, and what is gone stays. A range of time is refused for objects that
the outside system cannot list by time.")]
pub(super) struct StartArgs {
    #[command(flatten)]
    of: Of,
    /// An object to read; repeatable. All objects if there is none
    #[arg(long = "object", value_name = "OBJECT")]
    objects: Vec<String>,
    /// Only records created at this time or later
    #[arg(long, value_name = "TIME")]
    since: Option<Timestamp>,
    /// Only records created before this time
    #[arg(long, value_name = "TIME")]
    until: Option<Timestamp>,
    /// Only the record with this id; repeatable, with one --object
    #[arg(long = "id", value_name = "ID", conflicts_with_all = ["since", "until"], requires = "objects")]
    ids: Vec<String>,
    /// Show the progress until the snapshot is complete
    #[arg(long)]
    watch: bool,
    /// Format of the result
    #[arg(short, long, value_enum, default_value_t = Output::Text)]
    output: Output,
}

#[derive(Debug, Args)]
#[command(after_help = "\
Examples:
  towpath snapshot approve close
  towpath snapshot approve close --object contact --yes

A comparison waits if it would delete more records of an object than `compare.deletes.max` and
`compare.deletes.max.share` allow: the outside system may have lost them, or hides them from the key. After the approval
the object is compared again, and what is gone is deleted: at most the number that was shown and what is allowed without
approval. If more is gone by then, nothing is deleted and the object waits again.")]
pub(super) struct ApproveArgs {
    #[command(flatten)]
    of: Of,
    /// An object whose deletes are approved; repeatable. All that wait if there is none
    #[arg(long = "object", value_name = "OBJECT")]
    objects: Vec<String>,
    /// Do not ask
    #[arg(short, long)]
    yes: bool,
    /// Format of the result
    #[arg(short, long, value_enum, default_value_t = Output::Text)]
    output: Output,
}

pub(super) async fn snapshot(command: SnapshotCommand) -> Exit {
    let done = match command {
        SnapshotCommand::Status(args) => status(&args).await,
        SnapshotCommand::Start(args) => start(&args).await,
        SnapshotCommand::Approve(args) => approve(&args).await,
    };
    done.unwrap_or_else(|error| exit::report(&error))
}

/// The path of a connector's snapshots, with a further segment.
fn path<'a>(connector: &'a str, more: &[&'a str]) -> Vec<&'a str> {
    [&["towpath", "v1", "connectors", connector, "snapshot"], more].concat()
}

async fn look(worker: &Worker, of: &Of) -> Result<Value> {
    let doing = format!("show the snapshots of connector `{}`", of.connector);
    worker.get(&doing, &path(&of.connector, &[])).await
}

async fn status(args: &StatusArgs) -> Result<Exit> {
    let worker = Worker::new(&args.of.url)?;
    let first = look(&worker, &args.of).await?;
    if args.watch {
        return watch::watch(&worker, &args.of, first, args.output, None).await;
    }
    print(&first, &args.of.connector, args.output);
    let Some(failure) = failure(&worker, &args.of, &first).await? else { return Ok(exit::DONE) };
    eprint!("{failure}");
    Ok(exit::FOUND)
}

/// Why a source shows no snapshots, if it has failed.
async fn failure(worker: &Worker, of: &Of, status: &Value) -> Result<Option<String>> {
    if status["state"] != "none" {
        return Ok(None);
    }
    let doing = format!("show the state of connector `{}`", of.connector);
    let connectors = worker.get(&doing, &["towpath", "v1", "connectors"]).await?;
    Ok(shown::failure(&connectors, &of.connector))
}

async fn start(args: &StartArgs) -> Result<Exit> {
    let worker = Worker::new(&args.of.url)?;
    let before = look(&worker, &args.of).await?;
    let body = json!({
        "objects": args.objects,
        "since": args.since.map(|time| time.to_string()),
        "until": args.until.map(|time| time.to_string()),
        "ids": args.ids,
    });
    let doing = format!("start a snapshot of connector `{}`", args.of.connector);
    let accepted = worker.post(&doing, &path(&args.of.connector, &[]), &body).await?;
    eprintln!("connector `{}` will read {}", args.of.connector, wanted(args));
    if args.watch {
        return watch::watch(&worker, &args.of, accepted, args.output, Some(&before["completed"])).await;
    }
    print(&accepted, &args.of.connector, args.output);
    Ok(exit::DONE)
}

fn wanted(args: &StartArgs) -> String {
    let what = if args.objects.is_empty() { "all objects".to_owned() } else { args.objects.join(", ") };
    match (args.ids.len(), args.since, args.until) {
        (0, None, None) => what,
        (0, since, until) => {
            let text = |time: Option<Timestamp>, word| time.map_or(String::new(), |time| format!(" {word} {time}"));
            format!("{what}, created{}{}", text(since, "since"), text(until, "before"))
        }
        (1, ..) => format!("1 record of {what}"),
        (ids, ..) => format!("{ids} records of {what}"),
    }
}

async fn approve(args: &ApproveArgs) -> Result<Exit> {
    let worker = Worker::new(&args.of.url)?;
    let connector = &args.of.connector;
    let status = look(&worker, &args.of).await?;
    let waiting = shown::awaiting(&status, &args.objects);
    if !waiting.is_empty() {
        eprint!("{}", shown::held(&waiting));
    }
    if !args.yes && !waiting.is_empty() {
        if !io::stdin().is_terminal() {
            eprintln!("error: cannot ask, since standard input is not a terminal; nothing was approved");
            eprintln!("  = help: use --yes to approve without a question");
            return Ok(exit::USAGE);
        }
        if !confirmed() {
            eprintln!("nothing was approved");
            return Ok(exit::FOUND);
        }
    }
    let doing = format!("approve the deletes of connector `{connector}`");
    // The approval is for what was shown, not for what may be gone by now.
    let body = json!({ "objects": args.objects, "at_most": shown::deletes(&waiting) });
    let approved = worker.post(&doing, &path(connector, &["approve"]), &body).await?;
    match args.output {
        Output::Json => println!("{approved:#}"),
        Output::Text => {
            let names = approved["approved"].as_array().map(Vec::as_slice).unwrap_or_default();
            let names: Vec<&str> = names.iter().filter_map(Value::as_str).collect();
            println!("approved: {}; what is gone is deleted once it was looked for again", names.join(", "));
        }
    }
    Ok(exit::DONE)
}

fn confirmed() -> bool {
    eprint!("Approve these deletes? [y/N] ");
    // A prompt that cannot be written is answered all the same.
    let _ = io::stderr().flush();
    let mut answer = String::new();
    io::stdin().read_line(&mut answer).is_ok() && matches!(answer.trim(), "y" | "Y" | "yes")
}

fn print(status: &Value, connector: &str, output: Output) {
    match output {
        Output::Json => println!("{status:#}"),
        Output::Text => print!("{}", shown::status(status, connector)),
    }
}

#[cfg(test)]
mod tests;
