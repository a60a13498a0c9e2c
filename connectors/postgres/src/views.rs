//! Standard views of sources, created over the tables that the sink fills.
//!
//! The sink knows no source: it is given views ([`StandardView`]) and finds their tables by name and columns. A view is
//! created where all tables that it requires exist, are filled by Towpath, and hold deleted rows apart; an object that
//! somebody else made under its name, or has changed since, is left as it is. Views are created after the batch that
//! changed a table, in a transaction of their own: a view that cannot be created never keeps a row from being written.
//!
//! The room `table` takes down those that show a column whose type changes, and puts them up again.

mod plan;
mod render;

use std::{
    collections::HashMap,
    sync::{Mutex, PoisonError},
    time::{Duration, Instant},
};

use tokio_postgres::{Client, Transaction, error::SqlState};
use towpath_api::{Error, Reaction, Result, StandardView};

use self::plan::{Planned, State, plan};
use crate::{
    codes,
    config::{PostgresSinkConfig, SchemaEvolution},
    connection::connect,
    name::TableName,
    sqlstate::setup_error,
    table::{grants, lock_views},
    view_mark::mark,
};

/// The pause before a view that could not be created is tried again, with the next batch.
const PAUSE: Duration = Duration::from_mins(1);
/// The pause after an error that may pass by itself.
const SHORT_PAUSE: Duration = Duration::from_secs(1);
/// Such errors in a row after which they are logged.
const PATIENCE: u32 = 10;

/// A standard view at a place, or the lack of it.
#[derive(Debug, Clone, PartialEq, Eq)]
pub struct StandingView {
    /// The name of the view as declared.
    pub view: &'static str,
    /// The full name, for example `close.user_access`.
    pub name: String,
    /// Why the view is missing or outdated; `None` if it is installed.
    pub why_not: Option<String>,
    /// The tables that the installed view does without, each with the reason.
    pub without: Vec<String>,
}

/// The views that a connector keeps, shared by its connections.
#[derive(Debug)]
pub(crate) struct Views {
    offered: &'static [StandardView],
    state: Mutex<Progress>,
}

#[derive(Debug)]
struct Progress {
    /// When to look next; `None` until a table changes.
    due: Option<Instant>,
    /// Looks in a row that ended with an error.
    failed: u32,
    /// The reasons that were logged, by view.
    reported: HashMap<String, String>,
}

impl Views {
    /// The first look is due at once: the last process may have ended before it.
    pub(crate) fn new(offered: &'static [StandardView]) -> Self {
        let due = (!offered.is_empty()).then(Instant::now);
        Self { offered, state: Mutex::new(Progress { due, failed: 0, reported: HashMap::new() }) }
    }

    /// Notes that a table was created or altered.
    pub(crate) fn note_change(&self) {
        self.state().due = (!self.offered.is_empty()).then(Instant::now);
    }

    /// Creates the views that are due, if a table has changed since the last look. Reports failures in the log, each
    /// once, and tries again after a pause. Awaits the database only if a look is due.
    pub(crate) async fn keep(&self, client: &mut Client, sink: &str) {
        let due = self.state().due.take_if(|due| *due <= Instant::now());
        if due.is_none() {
            return;
        }
        let mut outcomes = install(client, sink, self.offered).await;
        if outcomes.is_err() && !client.is_closed() {
            // A lock may be free now. The next batch may be far away.
            outcomes = install(client, sink, self.offered).await;
        }
        let pause = match outcomes {
            Ok(outcomes) => self.report(&outcomes).then_some(PAUSE),
            Err(error) => Some(self.note_failure(&error)),
        };
        if let Some(pause) = pause {
            let mut state = self.state();
            state.due = state.due.or(Some(Instant::now() + pause));
        }
    }

    /// Notes a look that ended with an error: a lock that was not free, or a lost connection. The task reports a
    /// database that is away. Returns the pause.
    fn note_failure(&self, error: &Error) -> Duration {
        let mut state = self.state();
        state.failed += 1;
        let lasts = state.failed >= PATIENCE;
        if state.failed == PATIENCE {
            tracing::warn!(
                error.code = error.code,
                "cannot create standard views: {}. Tables are not affected; it is tried again",
                error.chain()
            );
        }
        if lasts { PAUSE } else { SHORT_PAUSE }
    }

    /// Logs what is new. Returns true if another look may find more.
    fn report(&self, outcomes: &[Outcome]) -> bool {
        let mut state = self.state();
        state.failed = 0;
        for Outcome { name, state: outcome, .. } in outcomes {
            let name = name.to_string();
            match outcome {
                Made::Stood => drop(state.reported.remove(&name)),
                Made::Created => {
                    state.reported.remove(&name);
                    tracing::info!(view = %name, "created view {name}");
                }
                // No table, no view: nothing is wrong.
                Made::Lacking(_) => {}
                Made::Failed(code, why) => {
                    if state.reported.get(&name) != Some(why) {
                        tracing::warn!(
                            view = %name, error.code = code,
                            "cannot create view {name}: {why}. Tables are not affected; it is tried again"
                        );
                        state.reported.insert(name, why.clone());
                    }
                }
            }
        }
        outcomes.iter().any(|outcome| matches!(outcome.state, Made::Lacking(_) | Made::Failed(..)))
    }

    fn state(&self) -> std::sync::MutexGuard<'_, Progress> {
        self.state.lock().unwrap_or_else(PoisonError::into_inner)
    }
}

/// The result for a view at a place.
#[derive(Debug)]
struct Outcome {
    view: &'static str,
    name: TableName,
    state: Made,
    without: Vec<String>,
}

#[derive(Debug)]
enum Made {
    Stood,
    Created,
    Lacking(String),
    Failed(&'static str, String),
}

/// The standard views of `offered` in the database of a sink: those that are installed, and those that are missing
/// although the schema has a table that they require. Changes nothing.
///
/// # Errors
/// Retry while the database is unavailable; fatal if it cannot be used.
pub async fn standing_views(
    config: &PostgresSinkConfig,
    sink: &str,
    offered: &'static [StandardView],
) -> Result<Vec<StandingView>> {
    let mut client = connect(config, "towpath/views").await?;
    let failed = |error| setup_error("look for standard views", error);
    let known =
        "SELECT to_regclass('towpath.columns') IS NOT NULL AND to_regclass('towpath.sink_partition') IS NOT NULL";
    if !client.query_one(known, &[]).await.map_err(failed)?.get::<_, bool>(0) {
        return Ok(Vec::new());
    }
    // The views are created to find out whether they can be, and rolled back.
    let mut transaction = client.transaction().await.map_err(failed)?;
    let planned = plan(&transaction, sink, offered).await?;
    let outcomes = create_all(&mut transaction, planned).await?;
    transaction.rollback().await.map_err(failed)?;
    let pending = match (config.views_install, config.schema_evolution) {
        (false, _) => "views.install is false".to_owned(),
        (_, SchemaEvolution::Evolve) => "the sink creates it within a minute of the next records".to_owned(),
        (_, evolution) => format!("schema.evolution={} creates none", evolution.as_str()),
    };
    let standing = |outcome: Outcome| StandingView {
        view: outcome.view,
        name: outcome.name.to_string(),
        why_not: match outcome.state {
            Made::Stood => None,
            Made::Created => Some(pending.clone()),
            Made::Lacking(why) | Made::Failed(_, why) => Some(why),
        },
        without: outcome.without,
    };
    Ok(outcomes.into_iter().map(standing).collect())
}

/// Creates and replaces the views that are due, in one transaction.
async fn install(client: &mut Client, sink: &str, offered: &'static [StandardView]) -> Result<Vec<Outcome>> {
    let failed = |error| setup_error("create the standard views", error);
    let planned = plan(&*client, sink, offered).await?;
    if !planned.iter().any(|planned| matches!(planned.state, State::Due { .. })) {
        return Ok(planned.into_iter().map(untouched).collect());
    }
    let mut transaction = client.transaction().await.map_err(failed)?;
    transaction.batch_execute(&lock_views()).await.map_err(failed)?;
    // Another worker may have created them since.
    let planned = plan(&transaction, sink, offered).await?;
    let outcomes = create_all(&mut transaction, planned).await?;
    transaction.commit().await.map_err(failed)?;
    Ok(outcomes)
}

async fn create_all(transaction: &mut Transaction<'_>, planned: Vec<Planned<'static>>) -> Result<Vec<Outcome>> {
    let mut outcomes = Vec::with_capacity(planned.len());
    for planned in planned {
        let is_due = matches!(planned.state, State::Due { .. });
        let made = if is_due { Some(create(transaction, &planned).await) } else { None };
        let mut outcome = untouched(planned);
        match made {
            None => {}
            Some(Ok(())) => outcome.state = Made::Created,
            // A lock was not free, or the connection is lost.
            Some(Err(error)) if error.reaction == Reaction::Retry => return Err(error),
            Some(Err(error)) => outcome.state = Made::Failed(codes::VIEW_REFUSED, reason(&error)),
        }
        outcomes.push(outcome);
    }
    Ok(outcomes)
}

fn untouched(planned: Planned<'static>) -> Outcome {
    let Planned { view, name, state, without } = planned;
    let state = match state {
        State::Stands => Made::Stood,
        State::Lacks(why) => Made::Lacking(why),
        State::Taken(what) => {
            Made::Failed(codes::VIEW_TAKEN, format!("{what} has that name; rename or drop it to get the standard view"))
        }
        State::Due { replaces: true, .. } => Made::Failed(codes::VIEW_REFUSED, "it is outdated".to_owned()),
        State::Due { .. } => Made::Failed(codes::VIEW_REFUSED, "it is not created yet".to_owned()),
    };
    Outcome { view: view.name, name, state, without }
}

/// The server's words, without ours.
fn reason(error: &Error) -> String {
    std::error::Error::source(error).map_or_else(|| error.to_string(), ToString::to_string)
}

/// Creates or replaces a view with its comments, or changes nothing.
async fn create(transaction: &mut Transaction<'_>, planned: &Planned<'static>) -> Result<()> {
    let Planned { view, name, state: State::Due { query, comment, hash, .. }, .. } = planned else { return Ok(()) };
    let failed = |error| setup_error(format!("create view {name}"), error);
    let mut attempt = transaction.savepoint("standard_view").await.map_err(failed)?;
    replace(&mut attempt, name, query).await?;
    attempt.batch_execute(&render::column_comments(view, name)).await.map_err(failed)?;
    mark(&attempt, name, comment, hash).await?;
    attempt.commit().await.map_err(failed)
}

/// Replaces the view, or drops and creates it if its columns have changed. Grants are kept.
async fn replace(attempt: &mut Transaction<'_>, name: &TableName, query: &str) -> Result<()> {
    let failed = |error| setup_error(format!("create view {name}"), error);
    let or_replace = attempt.savepoint("in_place").await.map_err(failed)?;
    let in_place = or_replace.batch_execute(&format!("CREATE OR REPLACE VIEW {} AS {query}", name.sql())).await;
    match in_place {
        Ok(()) => return or_replace.commit().await.map_err(failed),
        Err(error) if error.code() == Some(&SqlState::INVALID_TABLE_DEFINITION) => {}
        Err(error) => return Err(failed(error)),
    }
    or_replace.rollback().await.map_err(failed)?;
    let rights = grants(&*attempt, name).await?.join("; ");
    let sql = format!("DROP VIEW {0}; CREATE VIEW {0} AS {query}; {rights}", name.sql());
    attempt.batch_execute(&sql).await.map_err(failed)
}
