//! `towpath version`.

use clap::Args;
use serde_json::json;

use super::{
    Output,
    exit::{self, Exit},
};
use crate::telemetry::{REVISION, VERSION};

#[derive(Debug, Args)]
#[command(after_help = "Example:\n  towpath version -o json")]
pub(super) struct VersionArgs {
    /// Form of the result
    #[arg(short, long, value_enum, default_value_t = Output::Text)]
    output: Output,
}

pub(super) fn version(args: &VersionArgs) -> Exit {
    match args.output {
        Output::Text => println!("towpath {VERSION} ({REVISION})"),
        Output::Json => println!("{}", json!({ "version": VERSION, "revision": REVISION })),
    }
    exit::DONE
}
