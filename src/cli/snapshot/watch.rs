//! Watches snapshots until none runs: bars on a terminal, a line every ten seconds elsewhere.

use std::{
    io::{self, IsTerminal as _, Write as _},
    time::{Duration, Instant},
};

use serde_json::Value;
use towpath_api::{Error, Reaction, Result};

use super::{Of, failure, look, print, shown};
use crate::cli::{
    Output,
    api::Worker,
    exit::{self, Exit},
};

/// The pause between two looks.
const PAUSE: Duration = Duration::from_millis(500);
/// The time between two lines where no bar can be drawn.
const LINES: Duration = Duration::from_secs(10);
/// The time for which a worker that does not answer is asked again: it may restart.
const PATIENCE: Duration = Duration::from_mins(2);

/// Watches from the status `first`. `before` is the last snapshot before a request: the watch goes on until another one
/// has ended.
pub(super) async fn watch(
    worker: &Worker,
    of: &Of,
    first: Value,
    output: Output,
    before: Option<&Value>,
) -> Result<Exit> {
    let mut progress = Progress::new(output);
    let mut status = first;
    let mut answered = Instant::now();
    while !is_over(&status, before) {
        if let Some(failure) = failure(worker, of, &status).await? {
            progress.clear();
            eprint!("{failure}");
            return Ok(exit::FOUND);
        }
        progress.show(&status);
        tokio::time::sleep(PAUSE).await;
        match look(worker, of).await {
            Ok(now) => (status, answered) = (now, Instant::now()),
            Err(error) if may_return(&error) && answered.elapsed() < PATIENCE => {}
            Err(error) => {
                progress.clear();
                return Err(error);
            }
        }
    }
    progress.clear();
    print(&status, &of.connector, output);
    let found = matches!(status["state"].as_str(), Some("awaits_approval" | "incomplete"));
    Ok(if found { exit::FOUND } else { exit::DONE })
}

fn may_return(error: &Error) -> bool {
    error.reaction == Reaction::Retry
}

pub(super) fn is_over(status: &Value, before: Option<&Value>) -> bool {
    // A source that has just started shows none until it has read its position.
    let idle = status["state"] != "none" && status["running"].is_null() && status["queued"].as_u64().unwrap_or(0) == 0;
    idle && before.is_none_or(|before| status["completed"] != *before)
}

/// What is on the terminal.
struct Progress {
    terminal: bool,
    json: bool,
    lines: usize,
    shown: Option<Instant>,
}

impl Progress {
    fn new(output: Output) -> Self {
        let json = output == Output::Json;
        Self { terminal: io::stderr().is_terminal() && !json, json, lines: 0, shown: None }
    }

    fn show(&mut self, status: &Value) {
        if self.terminal {
            self.clear();
            let bars = shown::bars(status);
            self.lines = bars.len();
            eprintln!("{}", bars.join("\n"));
        } else if self.shown.is_none_or(|shown| shown.elapsed() >= LINES) {
            self.shown = Some(Instant::now());
            if self.json {
                println!("{status}");
            } else {
                eprintln!("{}", shown::line(status));
            }
        }
    }

    /// Removes the bars from the terminal.
    fn clear(&mut self) {
        if self.lines > 0 {
            // Up to the first line of the bars, then clear to the end of the screen.
            eprint!("\x1b[{}A\r\x1b[J", self.lines);
            self.lines = 0;
            // A terminal that cannot be written to shows nothing.
            let _ = io::stderr().flush();
        }
    }
}
