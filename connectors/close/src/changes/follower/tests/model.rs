//! Random histories, walks, faults and kills.

use proptest::prelude::*;

use super::*;

/// What happens, and what the source does meanwhile.
#[derive(Debug, Clone)]
enum Act {
    Event { lag: u64 },
    SameTime { lag: u64 },
    Ahead { by: u64 },
    Consolidated { lag: u64 },
    Pass { millis: u64 },
    Deep,
    Quick,
    Kill { steps: u32, committed: bool },
    Open,
    Fault(Fault, usize),
}

fn act() -> impl Strategy<Value = Act> {
    let lag = || prop_oneof![3 => Just(0), 2 => 0..20_000u64, 1 => 0..600_000u64, 1 => Just(600_000)];
    let fault = prop_oneof![Just(Fault::Expired), Just(Fault::Repeated), Just(Fault::Forward), Just(Fault::Away)];
    prop_oneof![
        6 => lag().prop_map(|lag| Act::Event { lag }),
        2 => lag().prop_map(|lag| Act::SameTime { lag }),
        1 => (0..100_000u64).prop_map(|by| Act::Ahead { by }),
        2 => lag().prop_map(|lag| Act::Consolidated { lag }),
        3 => prop_oneof![0..3_000u64, 0..120_000u64, 0..9_000_000u64].prop_map(|millis| Act::Pass { millis }),
        3 => Just(Act::Deep),
        4 => Just(Act::Quick),
        2 => (0..6u32, any::<bool>()).prop_map(|(steps, committed)| Act::Kill { steps, committed }),
        1 => Just(Act::Open),
        1 => (fault, 0..5usize).prop_map(|(fault, after)| Act::Fault(fault, after)),
    ]
}

fn happen(run: &Run, id: &mut u32, act: &Act) {
    let mut world = run.log.0.lock().unwrap();
    let now = world.now;
    let visible = |at: Moment, lag: u64| at.plus(Duration::from_millis(lag)).max(now);
    match *act {
        Act::Event { lag } => {
            *id += 1;
            world.rows.push(Row { id: *id, at: now, visible: visible(now, lag), gone: None });
        }
        Act::SameTime { lag } => {
            let at = world.rows.last().map_or(now, |row| row.at).clamp(now.minus(secs(5)), now);
            *id += 1;
            world.rows.push(Row { id: *id, at, visible: visible(at, lag), gone: None });
        }
        Act::Ahead { by } => {
            *id += 1;
            world.rows.push(Row { id: *id, at: now.plus(secs(by)), visible: now, gone: None });
        }
        Act::Consolidated { lag } => {
            let Some(row) = world.rows.last_mut().filter(|row| row.gone.is_none() && row.at < now) else { return };
            let visible = visible(now, lag);
            row.gone = Some(visible);
            let id = row.id;
            world.rows.push(Row { id, at: now, visible, gone: None });
        }
        _ => {}
    }
}

proptest! {
    #![proptest_config(ProptestConfig { failure_persistence: None, ..ProptestConfig::with_cases(400) })]

    #[test]
    fn each_version_is_published_once_whatever_happens(
        acts in prop::collection::vec(act(), 1..80),
        page in 1..6usize,
        slice_events in 1..12usize,
        page_takes in prop_oneof![Just(0), 0..3_000u64],
    ) {
        let runtime = tokio::runtime::Builder::new_current_thread().enable_time().build().unwrap();
        runtime.block_on(async {
            let mut run = Run::new(page);
            run.slice_events = slice_events;
            run.log.0.lock().unwrap().page_takes = Duration::from_millis(page_takes);
            let mut id = 0;
            for act in &acts {
                match act {
                    Act::Pass { millis } => run.pass(Duration::from_millis(*millis)),
                    Act::Deep | Act::Quick => {
                        if run.walk(matches!(act, Act::Deep)).await.is_err_and(|error| error.code == "test.killed") {
                            run.ledger.0.lock().unwrap().kill = None;
                        }
                    }
                    Act::Kill { steps, committed } => {
                        run.ledger.0.lock().unwrap().kill = Some((*steps, *committed));
                    }
                    Act::Open => run.follower = None,
                    Act::Fault(fault, after) => {
                        let mut world = run.log.0.lock().unwrap();
                        world.faults = std::iter::repeat_n(None, *after).chain([Some(*fault)]).collect();
                    }
                    _ => happen(&run, &mut id, act),
                }
            }
            run.ledger.0.lock().unwrap().kill = None;
            run.log.0.lock().unwrap().faults.clear();
            for _ in 0..12 {
                run.deep().await;
                run.pass(secs(60));
            }
            run.deep().await;
            run.follower = None;
            run.deep().await;
            run.assert_exactly_once();
            let ahead = run.now();
            assert!(run.mark() <= ahead);
        });
    }
}
