//! A source that is killed 50 times. It runs in its own process: this test binary, started with the filter of one test
//! and an environment variable.

use std::{
    io::{BufRead as _, BufReader},
    process::{Child, Command, Stdio},
    time::{Duration, Instant},
};

use rand::{Rng as _, SeedableRng as _, rngs::StdRng};
use towpath_api::Journal as _;

use super::{
    numbers::{self, Laboratory, position},
    raw::read,
};
use crate::stack::{seed, shared};

const KILLS: usize = 50;
/// The connector that the process of [`the_source_that_is_killed`] runs.
const CONNECTOR: &str = "TOWPATH_TEST_JOURNAL";

/// Not a test: returns at once unless this is the process that [`Victim::spawn`] starts.
#[tokio::test]
async fn the_source_that_is_killed() {
    if let Ok(connector) = std::env::var(CONNECTOR) {
        numbers::run_until_killed(&Laboratory::named(&connector)).await;
    }
}

struct Victim(Child);

impl Victim {
    fn spawn(lab: &Laboratory) -> Self {
        let child = Command::new(std::env::current_exe().unwrap())
            .args(["--exact", "journal::kills::the_source_that_is_killed", "--nocapture", "--test-threads=1"])
            .env(CONNECTOR, &lab.connector)
            .stdout(Stdio::piped())
            .spawn()
            .expect("this test binary starts again");
        Self(child)
    }

    /// Waits until the first transaction is committed.
    fn wait_until_publishing(&mut self) {
        let stdout = BufReader::new(self.0.stdout.take().expect("a pipe"));
        let publishing = stdout.lines().map_while(Result::ok).any(|line| line.contains("publishing"));
        assert!(publishing, "the source ended by itself: {:?}", self.0.try_wait());
    }
}

impl Drop for Victim {
    /// SIGKILL.
    fn drop(&mut self) {
        assert!(matches!(self.0.try_wait(), Ok(None)) || std::thread::panicking(), "the source ended by itself");
        let _ = self.0.kill();
        let _ = self.0.wait();
    }
}

#[tokio::test(flavor = "multi_thread", worker_threads = 2)]
async fn a_source_killed_50_times_leaves_each_event_once_in_order_and_the_position_agrees() {
    let _stack = shared().await;
    let lab = Laboratory::new("kills");
    let mut random = StdRng::seed_from_u64(seed("journal"));
    // The topics exist before the first kill.
    lab.open().await.publish(&[], position(0)).await.unwrap();
    let begun = Instant::now();
    for kill in 0..KILLS {
        let mut victim = Victim::spawn(&lab);
        if kill % 5 == 0 {
            // At any moment, even while the source starts, fences and reads its position.
            std::thread::sleep(Duration::from_millis(random.random_range(0..700)));
        } else {
            victim.wait_until_publishing();
            std::thread::sleep(Duration::from_micros(random.random_range(0..200_000)));
        }
        drop(victim);
    }
    println!("journal: {KILLS} kills in {:?}", begun.elapsed());
    let next = numbers::agree(&lab).await;
    let written = read(&lab.topic(), "read_uncommitted").len() as u64;
    println!("journal: {next} events committed, {} aborted", written - next);
    assert!(next > 50 * 40, "there was no load: {next} events");
    assert!(written > next, "no kill hit an open transaction");
}
