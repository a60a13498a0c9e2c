//! The changes: the event log, followed.
//!
//! ```text
//! log ─ walk ─ follower ─ records ─ mapping
//! ```
//!
//! `log` gives pages, newest first. `walk` goes back through them and gives what is new in ascending order. `follower`
//! owns the mark: how far back to walk, in which slices, and what of it is published (`window`). `records` publishes
//! the records that `mapping` makes of events. `unread` reads the rows that an event did not bring,
//! and `carrier` one row of each object whose schema has changed.

mod carrier;
mod follower;
mod log;
mod mapping;
mod records;
mod unread;
mod walk;
mod window;

use std::time::Duration;

use tokio::time::{Instant, sleep, timeout_at};
use towpath_api::{Error, ErrorType, Result, delay_of_preparing};

use self::{follower::Follower, records::Records, unread::Unread};
use crate::{client::concerns_one_object, codes, context::Context};

/// The name of this part of the source, for people.
const PART: &str = "event log";
/// The pause between two deep walks, at least.
const DEEP: Duration = Duration::from_mins(1);
/// A deep walk takes this part of the time at most: one in this number.
const SHARE: u32 = 5;
/// The pause between two walks, however often the doorbell rings.
const BREATH: Duration = Duration::from_millis(200);

/// Follows the event log until the task is stopped.
///
/// # Errors
/// Those of the journal and the topics, and an API key that Close refuses. While Close does not give the log, this
/// waits.
pub(crate) async fn follow(context: &Context) -> Result<()> {
    let mut unread = Unread::new(context);
    tokio::try_join!(follow_log(context), unread.keep()).map(drop)
}

async fn follow_log(context: &Context) -> Result<()> {
    let mut follower = begin(context).await?;
    let (mut deep_due, mut attempt) = (Instant::now(), 0);
    let series = context.metrics.of(&context.connector);
    loop {
        let began = Instant::now();
        let deep = deep_due <= began;
        let walked = if deep { follower.deep().await } else { follower.quick().await };
        match walked {
            Ok(()) => {
                context.life.part_works(PART);
                let logged = context.kinds.iter().filter(|kind| !kind.events.is_empty());
                series.polled(logged.map(|kind| kind.name), true, began.elapsed());
                attempt = 0;
                if deep {
                    deep_due = Instant::now() + DEEP.max(began.elapsed() * SHARE);
                }
                sleep(BREATH).await;
                let _rung = timeout_at(began + context.config.poll_interval, context.doorbell.notified()).await;
            }
            Err(error) => {
                wait(context, error, &mut attempt).await?;
                deep_due = Instant::now();
            }
        }
    }
}

async fn begin(context: &Context) -> Result<Follower<crate::client::Close, Records>> {
    let mut attempt = 0;
    loop {
        let records = Records::new(context.clone());
        match Follower::start(context.close.clone(), records, context.config.poll_overlap).await {
            Ok(follower) => return Ok(follower),
            Err(error) => wait(context, error, &mut attempt).await?,
        }
    }
}

/// Waits after an error of the log. Others are returned.
async fn wait(context: &Context, error: Error, attempt: &mut u32) -> Result<()> {
    let of_the_log = error.error_type == ErrorType::Decode && error.code == codes::UNAVAILABLE;
    if !of_the_log && !concerns_one_object(&error) {
        return Err(error);
    }
    *attempt += 1;
    let delay = delay_of_preparing(*attempt);
    context.life.part_waits(PART, &error, *attempt, delay);
    sleep(delay).await;
    Ok(())
}
