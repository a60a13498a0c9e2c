use std::{path::Path, time::Duration};

use prometheus::{Registry, TextEncoder};

use super::*;
use crate::{catalogue::KINDS, moment::Moment};

/// Series of one connector, at most: a worker has 3,000 for three connectors.
const MAX_SERIES: usize = 1_000;

#[test]
fn names_of_events_that_the_catalogue_lacks_become_no_series() {
    let registry = Registry::new();
    let metrics = CloseMetrics::register(&registry).unwrap();
    let series = metrics.of("close");
    series.events("activity.note", EventOutcome::Published, 2);
    series.events("future.thing", EventOutcome::Unknown, 1);
    series.declare("lead");
    series.waited("GET lead", "snapshot", "budget", Duration::from_secs(2));
    series.waited("GET event", "changes", "budget", Duration::from_secs(5));
    let page = TextEncoder::new().encode_to_string(&registry.gather()).unwrap();
    for line in [
        r#"towpath_close_events_total{connector="close",object_type="activity.note",outcome="published"} 2"#,
        r#"towpath_close_events_total{connector="close",object_type="_unknown",outcome="unknown"} 1"#,
        r#"towpath_close_rows_total{connector="close",object="lead",outcome="read"} 0"#,
    ] {
        assert!(page.lines().any(|found| found == line), "{line} is not in\n{page}");
    }
    assert!(!page.contains("future.thing"));
    assert!((series.waited_seconds("snapshot") - 2.0).abs() < 1e-9);
    metrics.remove_connector("close");
    assert!(registry.gather().is_empty());
}

#[test]
fn the_families_are_those_of_the_golden_file() {
    let registry = Registry::new();
    let series = CloseMetrics::register(&registry).unwrap().of("close");
    let at = Moment::parse("2026-09-01T12:00:00Z").unwrap();
    series.request("GET lead", Some(200), Duration::from_millis(20));
    series.waited("GET lead", "snapshot", "budget", Duration::from_millis(20));
    series.allowance("GET lead", 60, 59, Duration::from_secs(1));
    series.budget(0.95);
    series.events("lead", EventOutcome::Read, 1);
    series.misfits("lead", MisfitKind::Unknown, 1);
    series.skipped("lead", "too_large");
    series.omitted("lead", 2);
    series.snapshot_began(60);
    series.snapshot_completed();
    for kind in KINDS {
        series.declare(kind.name);
        series.snapshot_running(kind.name, true);
        series.snapshot_records(kind.name, 1);
        series.snapshot_expects(kind.name, Some(3));
        series.last_event(kind.name, at);
        series.compared(kind.name, true);
    }
    series.log_position(at, at.plus(Duration::from_secs(3)));
    series.polled(["lead"], true, Duration::from_millis(80));
    series.structure_renewed();
    series.schema_changed("lead", "field_added");
    series.notice("email", "sync_completed", true);
    series.doorbell(true);
    let families = registry.gather();
    let mut found = String::new();
    for family in &families {
        let labels: Vec<&str> =
            family.get_metric()[0].get_label().iter().map(prometheus::proto::LabelPair::name).collect();
        let kind = format!("{:?}", family.get_field_type()).to_lowercase();
        found += &format!("{} {kind} {}\n", family.name(), labels.join(","));
    }
    assert_eq!(found.lines().count(), 33, "every family has a series here");
    let golden = Path::new(env!("CARGO_MANIFEST_DIR")).join("../../tests/fixtures/metrics_of_close.txt");
    if std::env::var_os("UPDATE_GOLDEN").is_some() {
        std::fs::write(&golden, &found).unwrap();
    }
    let expected = std::fs::read_to_string(&golden).unwrap_or_default();
    assert_eq!(
        found.lines().collect::<Vec<_>>(),
        expected.lines().collect::<Vec<_>>(),
        "names, types and labels are API; if the change is meant, run this test with UPDATE_GOLDEN=1 and note it in \
         CHANGELOG.md"
    );
    let series: usize = families.iter().map(|family| family.get_metric().len()).sum();
    assert!(series <= MAX_SERIES, "{series} series");
}
