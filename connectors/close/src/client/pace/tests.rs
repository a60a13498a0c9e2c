//! The pace against servers in virtual time: no request is refused, and the allowance is used.

use std::{cmp::Reverse, collections::BinaryHeap};

use super::*;

const SHARES: Shares = Shares { snapshot: 0.7, reserve: 0.05 };
const MILLI: Duration = Duration::from_millis(1);

fn seconds(seconds: f64) -> Duration {
    Duration::from_secs_f64(seconds)
}

/// How a server counts.
#[derive(Clone, Copy, Debug)]
enum Counts {
    /// In windows, and announces the time to the end of the window.
    Windows,
    /// In windows, and announces whole seconds, rounded up.
    WholeSeconds,
    /// By a bucket that fills steadily, and announces the time until it is full.
    Bucket,
}

struct Server {
    counts: Counts,
    limit: u64,
    window: Duration,
    began: Instant,
    left: f64,
    seen: Instant,
    refused: u64,
    taken: u64,
}

impl Server {
    fn new(counts: Counts, limit: u64, window: Duration, now: Instant) -> Self {
        #[expect(clippy::cast_precision_loss)]
        let left = limit as f64;
        // The grid of the windows is not ours.
        let began = now.checked_sub(window.mul_f64(0.37)).unwrap();
        Self { counts, limit, window, began, left, seen: now, refused: 0, taken: 0 }
    }

    #[expect(clippy::cast_precision_loss, clippy::cast_possible_truncation, clippy::cast_sign_loss)]
    fn asked(&mut self, now: Instant) -> Announced {
        let limit = self.limit as f64;
        if matches!(self.counts, Counts::Bucket) {
            self.left += now.duration_since(self.seen).as_secs_f64() / self.window.as_secs_f64() * limit;
            self.left = self.left.min(limit);
            self.seen = now;
        } else {
            while now >= self.began + self.window {
                self.began += self.window;
                self.left = limit;
            }
        }
        if self.left >= 1.0 {
            self.left -= 1.0;
            self.taken += 1;
        } else {
            self.refused += 1;
        }
        let reset = match self.counts {
            Counts::Windows => self.began + self.window - now,
            Counts::WholeSeconds => seconds((self.began + self.window - now).as_secs_f64().ceil()),
            Counts::Bucket => self.window.mul_f64((limit - self.left) / limit),
        };
        Announced { limit: Some(self.limit), remaining: Some(self.left as u64), reset: Some(reset) }
    }
}

#[derive(Debug, PartialEq, Eq, PartialOrd, Ord)]
enum Step {
    /// A caller asks for its turn.
    Ask(bool),
    Arrives(u64, bool),
    Answered(u64, u64, u64, Duration, bool),
}

/// Runs `callers` of the snapshot, and one of changes each `changes`, for this number of windows. Answers take
/// `latency`, and up to as much again.
fn run(
    server: &mut Server,
    callers: usize,
    changes: Option<Duration>,
    latency: Duration,
    windows: u32,
) -> (u64, Duration) {
    let start = server.seen;
    let mut pace = Pace::new();
    let mut steps: BinaryHeap<Reverse<(Instant, u64, Step)>> = BinaryHeap::new();
    let (mut order, mut noise, mut of_changes, mut longest) = (0, 7_u64, 0, Duration::ZERO);
    let mut changes_asked = None;
    let end = start + server.window * windows;
    macro_rules! step {
        ($at:expr, $step:expr) => {{
            order += 1;
            steps.push(Reverse(($at, order, $step)));
        }};
    }
    // In each lane one asks at a time, as in `Group`: the others follow it.
    let mut waiting = callers;
    step!(start, Step::Ask(false));
    if changes.is_some() {
        step!(start + server.window * 2, Step::Ask(true));
    }
    while let Some(Reverse((now, _, step))) = steps.pop() {
        if now >= end {
            break;
        }
        noise = noise.wrapping_mul(6_364_136_223_846_793_005).wrapping_add(1_442_695_040_888_963_407);
        let way = latency.mul_f64(0.5 + f64::from(u32::try_from(noise >> 40).unwrap()) / f64::from(1 << 24) * 0.15);
        match step {
            Step::Ask(is_change) => {
                if is_change {
                    changes_asked.get_or_insert(now);
                } else if waiting == 0 {
                    continue;
                }
                let lane = if is_change { Lane::Changes } else { Lane::Snapshot };
                match pace.ask(lane, SHARES, now) {
                    Turn::Go => {
                        step!(now + way, Step::Arrives(pace.number(), is_change));
                        if is_change {
                            longest = longest.max(now.duration_since(changes_asked.take().unwrap()));
                            of_changes += 1;
                            step!(now + changes.unwrap(), Step::Ask(true));
                        } else {
                            waiting -= 1;
                            step!(now, Step::Ask(false));
                        }
                    }
                    Turn::At(at) => step!(at.max(now + MILLI), Step::Ask(is_change)),
                    Turn::AfterAnswer => step!(now + MILLI, Step::Ask(is_change)),
                }
            }
            Step::Arrives(number, is_change) => {
                let Announced { limit, remaining, reset } = server.asked(now);
                let told = Step::Answered(number, limit.unwrap(), remaining.unwrap(), reset.unwrap(), is_change);
                step!(now + way, told);
            }
            Step::Answered(number, limit, remaining, reset, is_change) => {
                let announced = Announced { limit: Some(limit), remaining: Some(remaining), reset: Some(reset) };
                pace.answered(number, Some(announced), now);
                if !is_change {
                    waiting += 1;
                    if waiting == 1 {
                        step!(now, Step::Ask(false));
                    }
                }
            }
        }
    }
    (of_changes, longest)
}

/// The cases that the check refuses: it gets the latency, the share that was used of what is possible, and the share
/// that was refused.
fn wrong(counts: Counts, check: impl Fn(f64, f64, f64) -> bool) -> Vec<String> {
    let mut wrong = Vec::new();
    for (limit, window) in [(2, 3.0), (5, 1.0), (16, 1.0), (60, 1.0), (160, 8.0), (1_000, 10.0), (240, 60.0)] {
        for (callers, latency) in [(8, 0.001), (8, 0.005), (16, 0.08), (64, 0.3)] {
            let start = Instant::now() + Duration::from_hours(1);
            let mut server = Server::new(counts, limit, seconds(window), start);
            run(&mut server, callers, None, seconds(latency), 30);
            #[expect(clippy::cast_precision_loss)]
            let (possible, taken, refused) = {
                // Callers that wait for their answers cannot use more than this.
                let possible = (callers as f64 / (latency * 1.15) * window).min(limit as f64);
                (possible, server.taken as f64, server.refused as f64)
            };
            let (used, refused) = (taken / 30.0 / possible, refused / taken);
            if !check(latency, used, refused) {
                let case = format!("{counts:?} {limit}/{window}s, {callers} callers, {latency} s");
                wrong.push(format!("{case}: {used:.3} used, {refused:.3} refused"));
            }
        }
    }
    wrong
}

#[test]
fn a_snapshot_uses_nine_tenths_and_is_never_refused() {
    let wrong = wrong(Counts::Windows, |latency, used, refused| {
        // With a way that is a third of the window, one request in a hundred may come too early.
        used >= 0.9 && refused <= if latency > 0.1 { 0.011 } else { 0.0 }
    });
    assert!(wrong.is_empty(), "{}", wrong.join("\n"));
}

#[test]
fn servers_that_count_otherwise_are_used_well_and_refuse_little() {
    let mut all = wrong(Counts::WholeSeconds, |_, used, refused| used >= 0.5 && refused < 0.04);
    all.extend(wrong(Counts::Bucket, |_, used, refused| used >= 0.7 && refused < 0.2));
    assert!(all.is_empty(), "{}", all.join("\n"));
}

#[test]
fn changes_have_their_part_of_each_window() {
    for (limit, window, pause) in [(20, 1.0, 0.25), (60, 1.0, 0.1), (100, 10.0, 0.5)] {
        let start = Instant::now() + Duration::from_hours(1);
        let mut server = Server::new(Counts::Windows, limit, seconds(window), start);
        let (changes, longest) = run(&mut server, 16, Some(seconds(pause)), Duration::from_millis(5), 30);
        assert_eq!(server.refused, 0);
        // The first one comes when the snapshot has the window for itself.
        let expected = seconds(window).as_secs_f64() * 28.0 / pause * 0.9;
        assert!(f64::from(u32::try_from(changes).unwrap()) >= expected, "{limit}/{window}: {changes} of {expected}");
        assert!(longest <= Duration::from_millis(200), "{limit}/{window}: {longest:?}");
    }
}

#[test]
fn requests_that_hang_hold_no_allowance_of_later_windows() {
    let start = Instant::now();
    let mut pace = Pace::new();
    assert_eq!(pace.ask(Lane::Changes, SHARES, start), Turn::Go);
    let told = Announced { limit: Some(4), remaining: Some(3), reset: Some(seconds(1.0)) };
    pace.answered(1, Some(told), start + MILLI);
    let all_of =
        |pace: &mut Pace, at: Instant| (0..10).take_while(|_| pace.ask(Lane::Changes, SHARES, at) == Turn::Go).count();
    assert_eq!(all_of(&mut pace, start + MILLI * 2), 3);
    // None of the three is answered.
    assert_eq!(all_of(&mut pace, start + seconds(1.5)), 4);
}

#[test]
fn what_others_use_makes_a_snapshot_smaller() {
    let start = Instant::now();
    let mut pace = Pace::new();
    let told = |remaining| Some(Announced { limit: Some(100), remaining: Some(remaining), reset: Some(seconds(10.3)) });
    for (remaining, others) in [(99, false), (98, false), (90, true)] {
        assert_eq!(pace.ask(Lane::Changes, SHARES, start), Turn::Go);
        pace.answered(pace.number(), told(remaining), start + MILLI);
        assert_eq!(pace.others_at.is_some(), others, "{remaining}");
    }
}

#[test]
fn a_limit_that_ends_or_changes_is_followed() {
    let start = Instant::now();
    let mut pace = Pace::new();
    let told = |limit| Some(Announced { limit: Some(limit), remaining: Some(0), reset: Some(seconds(1.0)) });
    let mut answer = |announced, at: Instant| {
        let turn = pace.ask(Lane::Changes, SHARES, at);
        if turn == Turn::Go {
            pace.answered(pace.number(), announced, at);
        }
        turn
    };
    assert_eq!(answer(None, start), Turn::Go);
    assert_eq!(answer(None, start), Turn::Go, "unlimited");
    assert_eq!(answer(told(5), start), Turn::Go);
    assert!(matches!(answer(told(5), start), Turn::At(_)), "limits were turned on");
    for second in 2..6 {
        assert_eq!(answer(None, start + seconds(f64::from(second) * 2.0)), Turn::Go);
    }
    assert_eq!(answer(None, start + seconds(10.1)), Turn::Go);
    assert_eq!(answer(None, start + seconds(10.1)), Turn::Go, "and off again");
}

#[test]
fn a_late_answer_says_nothing_about_the_window_that_has_begun_since() {
    let start = Instant::now();
    let mut pace = Pace::new();
    let told = |remaining, reset| Some(Announced { limit: Some(10), remaining: Some(remaining), reset: Some(reset) });
    let go = |pace: &mut Pace, at: Instant| pace.ask(Lane::Changes, SHARES, at) == Turn::Go;
    assert!(go(&mut pace, start));
    pace.answered(1, told(9, seconds(1.0)), start + MILLI);
    assert!(go(&mut pace, start + seconds(0.999)));
    let next = start + seconds(1.01);
    assert_eq!((0..4).filter(|_| go(&mut pace, next)).count(), 4);
    // The answer to the one that was sent at the end of the window before.
    pace.answered(2, told(8, Duration::from_micros(700)), next + MILLI);
    let later = next + seconds(0.1);
    assert_eq!((0..20).filter(|_| go(&mut pace, later)).count(), 6);
}
