//! Topics and position in memory, which survive the kills of a task.

use std::{
    collections::{BTreeMap, BTreeSet, HashMap},
    sync::{Arc, Mutex},
    time::Duration,
};

use apache_avro::schema::Schema;
use tokio::sync::Notify;
use towpath_api::{
    ChangeEvent, Depth, Error, ErrorType, Journal, Object, Placed, Position, Published, PublishedRecords, Reading,
    Result,
};

use crate::{
    memory::{self, Records},
    position::ClosePosition,
};

const PATIENCE: Duration = Duration::from_mins(2);

#[derive(Clone, Default)]
pub(super) struct Topics(Arc<(Mutex<State>, Notify)>);

#[derive(Default)]
pub(super) struct State {
    records: Records,
    schemas: HashMap<String, Arc<Schema>>,
    position: Option<Position>,
    /// Transactions until the task is killed, and whether the last one is committed.
    kill: Option<(u32, bool)>,
    /// Objects whose schema the registry refuses.
    pub(super) refused: BTreeSet<String>,
}

impl Topics {
    pub(super) fn change<T>(&self, change: impl FnOnce(&mut State) -> T) -> T {
        let changed = change(&mut self.0.0.lock().unwrap());
        self.0.1.notify_waiters();
        changed
    }

    pub(super) fn kill_after(&self, kill: Option<(u32, bool)>) {
        self.change(|state| state.kill = kill);
    }

    pub(super) fn position(&self) -> ClosePosition {
        let position = self.change(|state| state.position.clone());
        position.map(|position| ClosePosition::read(position).unwrap()).unwrap_or_default()
    }

    pub(super) fn set_position(&self, position: &ClosePosition) {
        self.change(|state| state.position = Some(position.write()));
    }

    pub(super) fn records(&self, object: &str) -> Vec<Published> {
        self.change(|state| state.records.of(object))
    }

    /// Takes a field out of the registered schema of an object, as if an older version had registered it.
    pub(super) fn had_no(&self, object: &str, field: &str) {
        self.change(|state| {
            let schema = state.schemas.get_mut(object).unwrap();
            let mut json = serde_json::to_value(&**schema).unwrap();
            json["fields"].as_array_mut().unwrap().retain(|own| own["name"] != field);
            *schema = Arc::new(Schema::parse(&json).unwrap());
        });
    }

    pub(super) fn objects(&self) -> Vec<String> {
        self.change(|state| state.records.objects())
    }

    /// The live rows of an object, by id: the record with the newest version, as the sink keeps it.
    pub(super) fn table(&self, object: &str) -> BTreeMap<String, Published> {
        memory::table(self.records(object))
    }

    /// The event ids of the log that are in a topic more than once.
    pub(super) fn repeated(&self) -> Vec<String> {
        let mut repeated = Vec::new();
        for object in self.objects() {
            let mut seen = BTreeSet::new();
            for id in self.records(&object).into_iter().filter_map(|record| record.event_id) {
                if id.starts_with("ev_") && !seen.insert(id.clone()) {
                    repeated.push(id);
                }
            }
        }
        repeated
    }

    /// Waits for something to be found; looks after each step, and each second.
    pub(super) async fn until<T>(&self, what: &str, mut found: impl FnMut(&Self) -> Option<T>) -> T {
        let waiting = async {
            loop {
                let changed = self.0.1.notified();
                if let Some(found) = found(self) {
                    return found;
                }
                let _ = tokio::time::timeout(Duration::from_secs(1), changed).await;
            }
        };
        tokio::time::timeout(PATIENCE, waiting).await.unwrap_or_else(|_| panic!("{what} does not happen"))
    }
}

impl Journal for Topics {
    async fn prepare(&mut self, object: &Arc<Object>) -> Result<()> {
        self.change(|state| {
            if state.refused.contains(object.name()) {
                return Err(Error::fatal("test.refused", ErrorType::Schema, "register"));
            }
            state.schemas.insert(object.name().to_owned(), Arc::new(object.schema().clone()));
            Ok(())
        })
    }

    async fn position(&mut self) -> Result<Option<Position>> {
        Ok(self.change(|state| state.position.clone()))
    }

    async fn check(&mut self, _: &ChangeEvent) -> Result<()> {
        Ok(())
    }

    fn records(&self) -> Arc<dyn PublishedRecords> {
        Arc::new(self.clone())
    }

    async fn publish(&mut self, events: &[ChangeEvent], position: Position) -> Result<Vec<Placed>> {
        tokio::task::yield_now().await;
        let killed = || Error::retry("test.killed", ErrorType::Internal, "commit");
        self.change(|state| {
            let committed = match &mut state.kill {
                Some((0, committed)) => Some(*committed),
                Some((transactions, _)) => {
                    *transactions -= 1;
                    None
                }
                None => None,
            };
            if committed == Some(false) {
                return Err(killed());
            }
            for event in events {
                state.records.append(event);
            }
            state.position = Some(position);
            if committed.is_some() { Err(killed()) } else { Ok(Vec::new()) }
        })
    }
}

impl PublishedRecords for Topics {
    fn ends<'a>(&'a self, object: &'a str) -> Reading<'a, Vec<i64>> {
        Box::pin(async move { Ok(vec![i64::try_from(self.records(object).len()).unwrap()]) })
    }

    fn read<'a>(
        &'a self,
        object: &'a str,
        from: &'a [i64],
        depth: Depth,
        each: &'a mut (dyn FnMut(Published) + Send),
    ) -> Reading<'a, ()> {
        Box::pin(async move {
            memory::read(self.records(object), from, depth, each);
            Ok(())
        })
    }

    fn schema<'a>(&'a self, object: &'a str) -> Reading<'a, Option<Arc<Schema>>> {
        Box::pin(async { Ok(self.change(|state| state.schemas.get(object).cloned())) })
    }
}
