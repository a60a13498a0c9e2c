//! What the loops of a running source share.

mod lists;

use std::sync::{Arc, PoisonError, RwLock};

use towpath_api::{Lifecycle, Object, PublishedRecords, Reaction};

use self::lists::Lists;
use crate::{
    catalogue::{self, Kind},
    client::Close,
    codes,
    config::CloseConfig,
    metrics::CloseMetrics,
    moment::Moment,
    position::ClosePosition,
    publish::Outbox,
    report::Report,
    schema_changes,
    structure::Structure,
};

/// The name of the structure as a part of the source, for people.
const STRUCTURE: &str = "custom fields";

/// What the loops of a running source share. Cheap to clone.
#[derive(Clone)]
pub(crate) struct Context {
    pub(crate) connector: Arc<str>,
    pub(crate) config: Arc<CloseConfig>,
    /// The selected objects.
    pub(crate) kinds: Arc<[&'static Kind]>,
    pub(crate) close: Close,
    /// The way to the journal.
    pub(crate) outbox: Outbox,
    /// What the topics hold.
    pub(crate) records: Arc<dyn PublishedRecords>,
    pub(crate) metrics: CloseMetrics,
    pub(crate) report: Report,
    pub(crate) life: Lifecycle,
    /// What others know and ask of the lists.
    pub(crate) lists: Lists,
    /// Rung by Close's webhook: there is something new in the log.
    pub(crate) doorbell: Arc<tokio::sync::Notify>,
    /// Rung after rows were noted in the position that are to be read by their ids soon, and after a schema has
    /// changed.
    pub(crate) rows_asked: Arc<tokio::sync::Notify>,
    /// Close's time at which the last whole walk to the end of the log began.
    pub(crate) log_walked: Arc<tokio::sync::watch::Sender<Moment>>,
    structure: Arc<RwLock<Arc<Structure>>>,
    /// Held while the structure is read again, so that it is read once.
    renewing: Arc<tokio::sync::Mutex<()>>,
}

impl Context {
    #[expect(clippy::too_many_arguments, reason = "built once")]
    pub(crate) fn new(
        connector: &str,
        config: Arc<CloseConfig>,
        close: Close,
        outbox: Outbox,
        records: Arc<dyn PublishedRecords>,
        metrics: CloseMetrics,
        report: Report,
        life: Lifecycle,
        structure: Structure,
    ) -> Self {
        let structure = Arc::new(structure);
        Self {
            connector: connector.into(),
            kinds: config.kinds().into(),
            config,
            close,
            outbox,
            records,
            metrics,
            report,
            life,
            lists: Lists::default(),
            doorbell: Arc::default(),
            rows_asked: Arc::default(),
            log_walked: Arc::new(tokio::sync::watch::Sender::new(Moment(i64::MIN))),
            structure: Arc::new(RwLock::new(structure)),
            renewing: Arc::default(),
        }
    }

    /// The schemas as they are now.
    pub(crate) fn structure(&self) -> Arc<Structure> {
        Arc::clone(&self.structure.read().unwrap_or_else(PoisonError::into_inner))
    }

    /// Reads the organization's custom fields and types again, and prepares the topics of objects whose schema has
    /// changed. `seen` is the structure that the caller found too old: if another caller has renewed it meanwhile,
    /// nothing is read. An object whose new schema the registry refuses keeps the old one, and waits visibly.
    ///
    /// # Errors
    /// Those of the client, the registry and the broker.
    async fn renew_structure(&self, seen: &Arc<Structure>) -> towpath_api::Result<Arc<Structure>> {
        let _renewing = self.renewing.lock().await;
        let now = self.structure();
        if !Arc::ptr_eq(&now, seen) {
            return Ok(now);
        }
        // The log waits for it: a list that Close does not give is a gap soon, and is read again with the lists.
        let mut renewed = now.renewed(&self.close.hasty()).await?;
        self.metrics.of(&self.connector).structure_renewed();
        now.gaps().iter().for_each(|(definitions, _)| self.life.part_works(definitions));
        self.report_gaps(&renewed);
        // Noted before they are registered: a kill between loses none.
        let removed = self.outbox.look(|position| position.removed.clone());
        let fields = |kind: &'static Kind| now.shape(kind).map(|shape| shape.object.fields());
        let (changes, now_removed) = schema_changes::between(&self.kinds, fields, &renewed, &removed);
        if !changes.is_empty() || now_removed != removed {
            let noted = changes.clone();
            let note = move |position: &mut ClosePosition| position.note_changes(noted, now_removed);
            self.outbox.publish(Vec::new(), note).await?;
        }
        let to_prepare: Vec<Arc<Object>> = renewed.changed_since(&now).collect();
        for object in to_prepare {
            let (part, name) = (format!("object {}", object.name()), object.name().to_owned());
            let old = catalogue::kind(&name).and_then(|kind| now.shape(kind));
            let has_more = old.is_none_or(|old| old.object.fields().len() < object.fields().len());
            match self.outbox.prepare(object).await {
                Ok(()) => {
                    let change = if has_more { "field_added" } else { "field_changed" };
                    self.metrics.of(&self.connector).schema_changed(&name, change);
                    self.life.part_works(&part);
                }
                Err(error) if error.reaction == Reaction::Fatal => {
                    self.life.part_waits(&part, &error, 1, self.config.lists_interval);
                    renewed.keep(&now, &name);
                    let changes = changes.clone();
                    let back = move |position: &mut ClosePosition| position.take_back_changes(&name, &changes);
                    self.outbox.publish(Vec::new(), back).await?;
                }
                Err(error) => return Err(error),
            }
        }
        let renewed = Arc::new(renewed);
        *self.structure.write().unwrap_or_else(PoisonError::into_inner) = Arc::clone(&renewed);
        self.rows_asked.notify_one();
        Ok(renewed)
    }

    /// The schemas as they are after a renewal that is under way.
    pub(crate) async fn settled_structure(&self) -> Arc<Structure> {
        let _renewing = self.renewing.lock().await;
        self.structure()
    }

    /// Shows the definitions that Close did not give.
    pub(crate) fn report_gaps(&self, structure: &Structure) {
        for (definitions, error) in structure.gaps() {
            self.life.part_waits(definitions, error, 1, self.config.lists_interval);
        }
    }

    /// As [`Self::renew_structure`]. If Close refuses it, the structure stays as it is: values of fields that it does
    /// not have go into `_extra`, and the part waits visibly.
    ///
    /// # Errors
    /// Those that end the source.
    pub(crate) async fn try_renew_structure(&self, seen: &Arc<Structure>) -> towpath_api::Result<Arc<Structure>> {
        match self.renew_structure(seen).await {
            Ok(renewed) => {
                self.life.part_works(STRUCTURE);
                Ok(renewed)
            }
            Err(error) if error.reaction == Reaction::Fatal && error.code != codes::KEY_REFUSED => {
                self.life.part_waits(STRUCTURE, &error, 1, self.config.lists_interval);
                Ok(self.structure())
            }
            Err(error) => Err(error),
        }
    }
}
