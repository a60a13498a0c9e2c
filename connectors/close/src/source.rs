//! The Close source as a [`Source`]: probes the key, loads the structure, and runs the loops side by side.

use std::{collections::HashMap, pin::pin, sync::Arc, time::Duration};

use apache_avro::schema::Schema;
use futures::future::try_join_all;
use tokio::time::timeout;
use towpath_api::{
    Error, ErrorType, Journal, Lifecycle, Object, OpenSource, Placement, PublishedRecords, Reaction, Result,
    SnapshotControl, Source, delay_of_preparing,
};

use crate::{
    catalogue::Kind,
    changes,
    client::Close,
    codes,
    config::CloseConfig,
    context::Context,
    control::Control,
    doorbell::{self, Doorbell},
    lists,
    metrics::CloseMetrics,
    notify,
    position::ClosePosition,
    publish::{Publishing, publisher},
    report::Report,
    schema_changes::{self, fields_of},
    snapshot,
    structure::Structure,
};

/// The time for the steps that are under way when the source starts again.
const ENDING: Duration = Duration::from_secs(10);
/// Schemas that are asked for at a time.
const SCHEMAS: usize = 8;

/// Opens the one task of a Close source.
#[derive(Clone)]
pub struct OpenCloseSource {
    name: String,
    config: Arc<CloseConfig>,
    metrics: CloseMetrics,
    report: Report,
    doorbell: Doorbell,
}

impl OpenCloseSource {
    /// For connector `name`.
    pub fn new(name: &str, config: CloseConfig, metrics: CloseMetrics) -> Self {
        let (report, doorbell) = (Report::default(), Doorbell::default());
        Self { name: name.to_owned(), config: Arc::new(config), metrics, report, doorbell }
    }

    /// The doorbell, to which the worker hands the posts of Close; `None` without `webhook.url`.
    pub fn doorbell(&self) -> Option<Doorbell> {
        self.config.webhook_url.is_some().then(|| self.doorbell.clone())
    }

    /// Deletes the connector's webhook subscriptions at Close, for a connector that is deleted. A connector that only
    /// stops keeps its subscription.
    ///
    /// # Errors
    /// Those of the client.
    pub async fn remove_webhook(&self) -> Result<()> {
        let Some(url) = &self.config.webhook_url else { return Ok(()) };
        doorbell::remove(&Close::new(&self.name, &self.config, &self.metrics)?, url).await
    }

    /// The way to the connector's snapshots, whether or not its task runs.
    pub fn snapshots(&self) -> Arc<dyn SnapshotControl> {
        Arc::new(Control { config: Arc::clone(&self.config), report: self.report.clone() })
    }
}

impl OpenSource for OpenCloseSource {
    type Source = CloseSource;

    fn placement(&self) -> Placement {
        Placement::OneWorker
    }

    /// One: a task is the only writer of its organization's topics.
    fn tasks(&self, _max: u32) -> u32 {
        1
    }

    async fn open(&self, _task: u32) -> Result<CloseSource> {
        let close = Close::new(&self.name, &self.config, &self.metrics)?;
        Ok(CloseSource { open: self.clone(), close })
    }
}

/// Reads one organization.
pub struct CloseSource {
    open: OpenCloseSource,
    close: Close,
}

impl<J: Journal> Source<J> for CloseSource {
    async fn run(&mut self, out: &mut J, life: Lifecycle) -> Result<()> {
        let stop = life.stop().clone();
        loop {
            let Started { context, publishing, waiting } = tokio::select! {
                () = stop.cancelled() => return Ok(()),
                started = self.start(out, &life) => started?,
            };
            life.has_started();
            let mut publishing = pin!(publishing.run(out));
            tokio::select! {
                () = stop.cancelled() => return Ok(()),
                ended = &mut publishing => return ended,
                ended = self.read(context, waiting) => ended?,
            }
            // An object that waited was prepared: the source starts again with it, after the steps that are under way.
            match timeout(ENDING, publishing).await {
                Ok(ended) => ended?,
                Err(_) => {
                    return Err(Error::retry(codes::REOPENED, ErrorType::Internal, "read an object that was prepared"));
                }
            }
        }
    }
}

/// A source that has started.
struct Started {
    context: Context,
    publishing: Publishing,
    /// Objects whose topic could not be prepared.
    waiting: Vec<Arc<Object>>,
}

impl CloseSource {
    /// Runs the loops. Returns `Ok` after an object that waited was prepared.
    async fn read(&self, context: Context, waiting: Vec<Arc<Object>>) -> Result<()> {
        let doorbell = self.open.doorbell.clone();
        let reading = async {
            tokio::try_join!(
                changes::follow(&context),
                lists::keep_lists(&context),
                snapshot::run(&context),
                notify::run(&context)
            )
        };
        tokio::select! {
            ended = reading => ended.map(drop),
            () = doorbell.attend(&context) => Ok(()),
            prepared = prepare_one(&context, waiting) => prepared,
        }
    }

    /// Checks the key and the organization, and prepares the topics.
    async fn start<J: Journal>(&self, out: &mut J, life: &Lifecycle) -> Result<Started> {
        let close = self.close.reporting(life);
        let organization = crate::client::probe(&close).await?;
        let stored = out.position().await?.map(ClosePosition::read).transpose()?;
        let mut position = self.position(stored.unwrap_or_default(), organization)?;
        let (config, records) = (Arc::clone(&self.open.config), out.records());
        let mut kinds = config.kinds();
        let known = schemas(&*records, &kinds).await?;
        let structure = Structure::load(&close, &kinds, known.clone()).await?;
        let fields = |kind: &'static Kind| known.get(kind.name).map(|schema| fields_of(schema));
        let (changes, removed) = schema_changes::between(&kinds, fields, &structure, &position.removed);
        if !changes.is_empty() || removed != position.removed {
            // Noted before they are registered: a kill between loses none.
            position.note_changes(changes.clone(), removed);
            out.publish(&[], position.write()).await?;
        }
        let mut waiting = Vec::new();
        for kind in config.kinds() {
            let Some(shape) = structure.shape(kind) else { continue };
            match out.prepare(&shape.object).await {
                Ok(()) => {}
                Err(error) if error.reaction == Reaction::Fatal => {
                    life.part_waits(&part(kind.name), &error, 1, delay_of_preparing(1));
                    kinds.retain(|other| other.name != kind.name);
                    waiting.push(Arc::clone(&shape.object));
                    let reason = "its changes are left out while its topic cannot be prepared".to_owned();
                    position.leaves_out(kind.name, reason, close.now().unwrap_or_default());
                    position.take_back_changes(kind.name, &changes);
                }
                Err(error) => return Err(error),
            }
        }
        // The log is followed from before the first row that the snapshot reads.
        position.log = position.log.or_else(|| close.now().map(|now| now.minus(config.poll_overlap)));
        out.publish(&[], position.write()).await?;
        let (outbox, publishing) = publisher(position, self.open.metrics.of(&self.open.name));
        let (metrics, report) = (self.open.metrics.clone(), self.open.report.clone());
        let mut context =
            Context::new(&self.open.name, config, close, outbox, records, metrics, report, life.clone(), structure);
        context.doorbell = self.open.doorbell.bell();
        context.kinds = kinds.into();
        context.report_gaps(&context.structure());
        Ok(Started { context, publishing, waiting })
    }

    /// The position of this organization.
    fn position(&self, mut stored: ClosePosition, organization: String) -> Result<ClosePosition> {
        if stored.organization.is_empty() {
            stored.organization = organization;
        } else if stored.organization != organization {
            let doing = format!(
                "resume source {}: its position belongs to organization {}, and the key to {organization}",
                self.open.name, stored.organization
            );
            return Err(Error::fatal(codes::OTHER_ORGANIZATION, ErrorType::Config, doing)
                .with_help("use a key of that organization, or give the connector another name"));
        }
        Ok(stored)
    }
}

/// The schemas that the registry has, by object.
async fn schemas(
    records: &dyn PublishedRecords,
    kinds: &[&'static Kind],
) -> Result<HashMap<&'static str, Arc<Schema>>> {
    let mut known = HashMap::new();
    for kinds in kinds.chunks(SCHEMAS) {
        let read = try_join_all(kinds.iter().map(|kind| records.schema(kind.name))).await?;
        let named = kinds.iter().map(|kind| kind.name).zip(read);
        known.extend(named.filter_map(|(name, schema)| Some((name, schema?))));
    }
    Ok(known)
}

/// Prepares objects that could not be prepared at the start, again and again. Returns after one of them was.
async fn prepare_one(context: &Context, waiting: Vec<Arc<Object>>) -> Result<()> {
    if waiting.is_empty() {
        return std::future::pending().await;
    }
    let mut attempt = 1;
    loop {
        tokio::time::sleep(delay_of_preparing(attempt)).await;
        attempt += 1;
        for object in &waiting {
            match context.outbox.prepare(Arc::clone(object)).await {
                Ok(()) => {
                    context.life.part_works(&part(object.name()));
                    return Ok(());
                }
                Err(error) if error.reaction == Reaction::Fatal => {
                    context.life.part_waits(&part(object.name()), &error, attempt, delay_of_preparing(attempt));
                }
                Err(error) => return Err(error),
            }
        }
    }
}

/// The name of an object as a part of the source, for people.
fn part(object: &str) -> String {
    format!("object {object}")
}

#[cfg(test)]
mod tests;
