//! What people see of snapshots and ask of them, as the contract has it. What is asked is checked here against the
//! config; the snapshot carries it out.

use std::{sync::Arc, time::SystemTime};

use towpath_api::{Asking, SnapshotApproval, SnapshotControl, SnapshotRefused, SnapshotStatus};
use towpath_keys::nearest;

use crate::{config::CloseConfig, moment::Moment, position::SnapshotRequest, report::Report};

/// The way of the worker to a source's snapshots.
pub(crate) struct Control {
    pub(crate) config: Arc<CloseConfig>,
    pub(crate) report: Report,
}

impl SnapshotControl for Control {
    fn status(&self) -> SnapshotStatus {
        self.report.status()
    }

    fn start(&self, request: towpath_api::SnapshotRequest) -> Asking<'_, ()> {
        Box::pin(async move {
            let request = self.checked(request)?;
            self.report.request(request).await.map_err(|refused| self.refused(refused.0))
        })
    }

    fn approve(&self, approval: SnapshotApproval) -> Asking<'_, Vec<String>> {
        Box::pin(async move {
            let SnapshotApproval { objects, at_most } = approval;
            self.known(&objects)?;
            if !self.report.is_attended() {
                return Err(SnapshotRefused::NotRunning);
            }
            let waiting = self.report.awaits_approval();
            if let Some(other) = objects.iter().find(|object| !waiting.contains(object)) {
                return Err(SnapshotRefused::NothingWaits(Some(other.clone())));
            }
            if waiting.is_empty() {
                return Err(SnapshotRefused::NothingWaits(None));
            }
            self.report.approve(objects, at_most).await.map_err(|refused| self.refused(refused.0))
        })
    }
}

impl Control {
    fn checked(&self, request: towpath_api::SnapshotRequest) -> Result<SnapshotRequest, SnapshotRefused> {
        let towpath_api::SnapshotRequest { objects, since, until, ids } = request;
        let invalid = |reason: &str| Err(SnapshotRefused::Invalid(reason.to_owned()));
        self.known(&objects)?;
        if !ids.is_empty() && objects.len() != 1 {
            return invalid("ids need exactly one object, whose records they are");
        }
        if !ids.is_empty() && (since.is_some() || until.is_some()) {
            return invalid("ids and a range of time cannot be combined: the ids say which records are meant");
        }
        if since.zip(until).is_some_and(|(since, until)| since >= until) {
            return invalid("`since` must be before `until`");
        }
        let (since, until) = (since.map(moment), until.map(moment));
        Ok(SnapshotRequest { objects, since, until, ids, ..SnapshotRequest::default() })
    }

    /// Refuses objects that the connector does not read.
    fn known(&self, objects: &[String]) -> Result<(), SnapshotRefused> {
        let known = || self.config.object_names();
        match objects.iter().find(|name| !known().any(|known| known == **name)) {
            None => Ok(()),
            Some(name) => {
                let nearest = nearest(name, known()).map(str::to_owned);
                Err(SnapshotRefused::UnknownObject { name: name.clone(), nearest })
            }
        }
    }

    /// The refusal of the snapshot itself.
    fn refused(&self, reason: String) -> SnapshotRefused {
        if self.report.is_attended() { SnapshotRefused::Invalid(reason) } else { SnapshotRefused::NotRunning }
    }
}

fn moment(time: SystemTime) -> Moment {
    let micros = jiff::Timestamp::try_from(time).map(jiff::Timestamp::as_microsecond);
    // Times that no calendar has select what the nearest possible one selects.
    Moment(micros.unwrap_or(if time < SystemTime::UNIX_EPOCH { i64::MIN } else { i64::MAX }))
}

#[cfg(test)]
mod tests {
    use std::time::Duration;

    use towpath_keys::{Flat, read};

    use super::*;

    fn control() -> Control {
        let keys = [("close.api.key", "k"), ("objects", "lead,contact")];
        let (config, _) = read::<CloseConfig>(&Flat::from_strings(keys)).unwrap();
        Control { config: Arc::new(config), report: Report::default() }
    }

    fn approval(objects: Vec<String>) -> SnapshotApproval {
        SnapshotApproval { objects, ..SnapshotApproval::default() }
    }

    fn request() -> towpath_api::SnapshotRequest {
        towpath_api::SnapshotRequest::default()
    }

    #[tokio::test]
    async fn an_object_that_is_not_read_is_refused_with_the_nearest_name() {
        let control = control();
        for (name, nearest) in [("contcat", Some("contact")), ("task", None)] {
            let refused = SnapshotRefused::UnknownObject { name: name.into(), nearest: nearest.map(Into::into) };
            let objects = vec!["lead".to_owned(), name.to_owned()];
            let asked = towpath_api::SnapshotRequest { objects: objects.clone(), ..request() };
            assert_eq!(control.start(asked).await, Err(refused.clone()));
            assert_eq!(control.approve(approval(objects)).await, Err(refused));
        }
    }

    #[tokio::test]
    async fn a_request_that_contradicts_itself_is_refused() {
        let control = control();
        let now = SystemTime::now();
        let (ids, one) = (vec!["lead_1".to_owned()], vec!["lead".to_owned()]);
        for wrong in [
            towpath_api::SnapshotRequest { ids: ids.clone(), ..request() },
            towpath_api::SnapshotRequest { ids, objects: one, since: Some(now), ..request() },
            towpath_api::SnapshotRequest { since: Some(now), until: Some(now), ..request() },
        ] {
            assert!(matches!(control.start(wrong).await, Err(SnapshotRefused::Invalid(_))));
        }
    }

    #[tokio::test]
    async fn a_source_that_does_not_run_takes_no_request() {
        let control = control();
        let since = Some(SystemTime::now() - Duration::from_hours(1));
        let asked = towpath_api::SnapshotRequest { since, ..request() };
        assert_eq!(control.start(asked).await, Err(SnapshotRefused::NotRunning));
        assert_eq!(control.approve(approval(Vec::new())).await, Err(SnapshotRefused::NotRunning));
        assert_eq!(control.status().state, towpath_api::SnapshotState::None);
    }
}
