mod clock;
mod model;

use super::{
    fakes::{FakeLedger, FakeLog, Fault, Row, World},
    *,
};

const OVERLAP: Duration = Duration::from_mins(10);
const BEGIN: Moment = Moment(1_770_000_000_000_000);

/// A log, topics, and a source that is killed and opened again.
struct Run {
    log: FakeLog,
    ledger: FakeLedger,
    follower: Option<Follower<FakeLog, FakeLedger>>,
    slice_events: usize,
    slice_bytes: usize,
}

impl Run {
    fn new(page: usize) -> Self {
        let log = FakeLog::default();
        // The log has the event of the mark: it reaches back.
        let before = Row { id: 1_000_000, at: BEGIN.minus(OVERLAP), visible: BEGIN.minus(OVERLAP), gone: None };
        *log.0.lock().unwrap() = World { now: BEGIN, page, rows: vec![before], ..World::default() };
        let ledger = FakeLedger::default();
        ledger.0.lock().unwrap().position.log = Some(BEGIN.minus(OVERLAP));
        Self { log, ledger, follower: None, slice_events: SLICE.events, slice_bytes: SLICE.bytes }
    }

    fn now(&self) -> Moment {
        self.log.0.lock().unwrap().now
    }

    fn pass(&self, time: Duration) {
        let mut world = self.log.0.lock().unwrap();
        world.now = world.now.plus(time);
    }

    fn add(&self, id: u32, at: Moment, visible: Moment) {
        self.log.0.lock().unwrap().rows.push(Row { id, at, visible, gone: None });
    }

    /// Happens now, and is visible at once.
    fn event(&self, id: u32) {
        self.add(id, self.now(), self.now());
    }

    async fn walk(&mut self, deep: bool) -> Result<()> {
        let mut follower = if let Some(follower) = self.follower.take() {
            follower
        } else {
            let mut follower = Follower::start(self.log.clone(), self.ledger.clone(), OVERLAP).await?;
            follower.slice = Limit { events: self.slice_events, bytes: self.slice_bytes };
            follower.step = 3;
            follower
        };
        let walked = if deep { follower.deep().await } else { follower.quick().await };
        // A killed process loses its memory; an error of the log leaves it.
        if !walked.as_ref().is_err_and(|error| error.code == "test.killed") {
            self.follower = Some(follower);
        }
        walked
    }

    async fn deep(&mut self) {
        self.walk(true).await.unwrap();
    }

    async fn quick(&mut self) {
        self.walk(false).await.unwrap();
    }

    fn published(&self) -> Vec<String> {
        let mut published = self.ledger.0.lock().unwrap().records.concat();
        published.sort();
        published
    }

    fn mark(&self) -> Moment {
        self.ledger.0.lock().unwrap().position.log.unwrap()
    }

    /// Each event as it stands at the end is published once, and no version twice.
    fn assert_exactly_once(&self) {
        let published = self.published();
        let mut once = published.clone();
        once.dedup();
        assert_eq!(published, once, "no version is published twice");
        let world = self.log.0.lock().unwrap();
        for row in world.rows.iter().filter(|row| row.gone.is_none()) {
            assert!(published.contains(&row.identity()), "{row:?} is not published, at {}", world.now);
        }
    }
}

fn secs(secs: u64) -> Duration {
    Duration::from_secs(secs)
}

#[tokio::test]
async fn quirk_22_the_log_is_read_backwards_over_pages_and_published_forwards_once() {
    let mut run = Run::new(3);
    for id in 0..20 {
        run.event(id);
        run.pass(secs(1));
    }
    run.deep().await;
    run.deep().await;
    run.quick().await;
    run.assert_exactly_once();
    assert_eq!(run.mark(), run.now());
}

#[tokio::test]
async fn the_mark_moves_only_after_a_whole_walk_is_published() {
    let mut run = Run::new(3);
    for id in 0..20 {
        run.event(id);
        run.pass(secs(1));
    }
    run.log.0.lock().unwrap().faults = [None, None, Some(Fault::Away)].into();
    run.walk(true).await.unwrap_err();
    assert_eq!((run.mark(), run.published().len()), (BEGIN.minus(OVERLAP), 0));
    run.ledger.0.lock().unwrap().kill = Some((2, true));
    run.walk(true).await.unwrap_err();
    assert_eq!((run.mark(), run.published().len()), (BEGIN.minus(OVERLAP), 9), "three steps");
    run.ledger.0.lock().unwrap().kill = None;
    run.deep().await;
    run.assert_exactly_once();
}

#[tokio::test]
async fn quirk_23_a_consolidated_event_is_published_again() {
    let mut run = Run::new(3);
    run.event(1);
    run.quick().await;
    run.pass(secs(2));
    {
        let mut world = run.log.0.lock().unwrap();
        let now = world.now;
        world.rows[1].gone = Some(now);
        world.rows.push(Row { id: 1, at: now, visible: now, gone: None });
    }
    run.quick().await;
    assert_eq!(run.published().len(), 3);
    run.assert_exactly_once();
}

#[tokio::test]
async fn quirk_24_events_that_become_visible_late_and_out_of_order_are_published_once() {
    let mut run = Run::new(2);
    let then = run.now();
    run.pass(secs(1));
    for id in 10..20 {
        run.event(id);
        run.pass(secs(1));
    }
    run.deep().await;
    // Below what was read: one that a quick walk finds, one that only a deep walk finds, and one at the very end.
    run.add(1, run.now().minus(secs(5)), run.now());
    run.add(2, then, then.plus(secs(500)));
    run.add(3, then, then.plus(OVERLAP));
    run.quick().await;
    assert_eq!(run.published().len(), 12);
    for _ in 0..12 {
        run.pass(secs(60));
        run.event(20 + u32::try_from(run.published().len()).unwrap());
        run.quick().await;
        run.deep().await;
    }
    run.assert_exactly_once();
}

#[tokio::test]
async fn quirk_25_events_of_one_time_are_all_published_also_across_pages_and_kills() {
    let mut run = Run::new(2);
    for id in 0..9 {
        run.event(id);
    }
    run.ledger.0.lock().unwrap().kill = Some((1, false));
    run.walk(true).await.unwrap_err();
    run.ledger.0.lock().unwrap().kill = None;
    run.deep().await;
    run.assert_exactly_once();
}

#[tokio::test]
async fn an_event_dated_ahead_is_published_and_never_moves_the_mark() {
    let mut run = Run::new(2);
    for id in 0..5 {
        run.add(id, run.now().plus(secs(86_400)), run.now());
    }
    run.event(10);
    run.pass(secs(5));
    run.deep().await;
    assert_eq!((run.published().len(), run.mark()), (7, BEGIN.plus(secs(5))));
    // Neither does it hide what happens until then, nor is it published again after a start or after its day.
    for id in 11..40 {
        run.pass(secs(3_600));
        run.event(id);
        run.quick().await;
        if id % 4 == 0 {
            run.follower = None;
        }
        run.deep().await;
        assert_eq!(run.mark(), run.now());
    }
    run.assert_exactly_once();
}

#[tokio::test]
async fn an_expired_cursor_is_replaced_by_a_bound_of_time() {
    let mut run = Run::new(3);
    for id in 0..12 {
        run.add(id, run.now().plus(secs(u64::from(id) / 2)), run.now());
    }
    run.pass(secs(10));
    run.log.0.lock().unwrap().faults = [None, Some(Fault::Expired), None, None, Some(Fault::Expired)].into();
    run.deep().await;
    run.assert_exactly_once();
}

#[tokio::test]
async fn a_cursor_that_is_always_refused_ends_the_walk_where_it_makes_no_progress() {
    let mut run = Run::new(3);
    for id in 0..12 {
        run.event(id);
    }
    run.log.0.lock().unwrap().faults = [None, Some(Fault::Expired), None, Some(Fault::Expired)].into();
    assert_eq!(run.walk(true).await.unwrap_err().code, crate::codes::REFUSED);
    run.deep().await;
    run.assert_exactly_once();
}

#[tokio::test]
async fn a_page_that_repeats_its_cursor_or_goes_forward_is_refused() {
    for fault in [Fault::Repeated, Fault::Forward] {
        let mut run = Run::new(3);
        for id in 0..12 {
            run.event(id);
            run.pass(secs(1));
        }
        run.log.0.lock().unwrap().faults = [None, None, Some(fault)].into();
        let error = run.walk(true).await.unwrap_err();
        assert_eq!(error.code, crate::codes::UNAVAILABLE, "{fault:?}");
        assert_eq!(run.published().len(), 0);
        run.deep().await;
        run.assert_exactly_once();
    }
}

#[tokio::test]
async fn a_backlog_is_read_in_slices_whose_marks_survive_a_kill() {
    let mut run = Run::new(10);
    run.slice_events = 40;
    for id in 0..1_000 {
        run.event(id);
        run.pass(secs(if id % 100 < 90 { 1 } else { 3_600 }));
    }
    run.ledger.0.lock().unwrap().kill = Some((100, true));
    run.walk(true).await.unwrap_err();
    let mark = run.mark();
    assert!(BEGIN < mark && mark < run.now().minus(secs(3_600)), "{mark}");
    run.ledger.0.lock().unwrap().kill = None;
    run.deep().await;
    run.assert_exactly_once();
    let topics = run.ledger.0.lock().unwrap();
    assert!(topics.position.ends.len() <= 2 && topics.read_back < 400, "{} read back", topics.read_back);
}

#[tokio::test]
async fn a_burst_of_one_time_is_read_whole() {
    let mut run = Run::new(10);
    run.slice_events = 20;
    for id in 0..100 {
        run.event(id);
    }
    run.deep().await;
    run.assert_exactly_once();
}

#[tokio::test]
async fn case_49_away_for_more_than_29_days_is_said_and_the_log_is_followed_from_now() {
    let mut run = Run::new(10);
    run.log.0.lock().unwrap().kept = Some(secs(30 * 86_400));
    run.event(1);
    run.deep().await;
    run.follower = None;
    run.event(2);
    run.pass(secs(40 * 86_400));
    run.event(3);
    run.deep().await;
    assert_eq!(run.published().len(), 3, "event 2 is gone");
    let topics = run.ledger.0.lock().unwrap();
    assert_eq!(topics.lost.len(), 1);
    assert_eq!(topics.position.gap, Some(BEGIN.plus(secs(40 * 86_400))));
    assert_eq!(topics.position.log, topics.position.gap);
}

#[tokio::test]
async fn quirk_26_a_log_that_keeps_less_than_the_pause_is_a_gap() {
    let mut run = Run::new(10);
    run.event(1);
    run.deep().await;
    run.follower = None;
    run.pass(secs(10 * 86_400));
    run.log.0.lock().unwrap().kept = Some(secs(7 * 86_400));
    run.event(2);
    run.deep().await;
    assert_eq!(run.ledger.0.lock().unwrap().lost.len(), 1);
    // A log that still has the event of the mark has no gap.
    run.follower = None;
    run.pass(secs(5 * 86_400));
    run.deep().await;
    assert_eq!(run.ledger.0.lock().unwrap().lost.len(), 1);
}

#[tokio::test]
async fn a_quiet_organization_has_no_gap() {
    let mut run = Run::new(10);
    run.log.0.lock().unwrap().kept = Some(secs(30 * 86_400));
    run.event(1);
    for _ in 0..60 {
        run.deep().await;
        run.pass(secs(86_400));
    }
    run.event(2);
    run.deep().await;
    assert!(run.ledger.0.lock().unwrap().lost.is_empty());
    run.assert_exactly_once();
}

#[tokio::test]
async fn a_slice_has_few_events_if_they_are_large() {
    let mut run = Run::new(10);
    run.log.0.lock().unwrap().event_bytes = 100;
    run.slice_bytes = 3_000;
    for id in 0..400 {
        run.event(id);
        run.pass(secs(1));
    }
    run.deep().await;
    run.assert_exactly_once();
    let most = run.ledger.0.lock().unwrap().most;
    assert!((5..=30).contains(&most), "{most} events of 100 bytes");
}

#[tokio::test]
async fn a_start_reads_back_the_tail_of_the_topics_only() {
    let mut run = Run::new(10);
    for id in 0..400 {
        run.event(id);
        run.deep().await;
        run.pass(secs(60));
        if id > 40 && id % 7 == 0 {
            run.follower = None;
            let before = run.ledger.0.lock().unwrap().read_back;
            run.deep().await;
            let read_back = run.ledger.0.lock().unwrap().read_back - before;
            assert!(read_back <= 35, "{read_back} of {id} records are read back, where 11 are within the overlap");
        }
    }
    run.assert_exactly_once();
}
