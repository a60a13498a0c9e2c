//! How a simulator is started.

use std::net::IpAddr;

use clap::Parser;

use crate::model::Moment;

/// A Close API on this machine.
#[derive(Clone, Debug, Parser)]
#[command(
    name = "close-simulator",
    version,
    about,
    after_help = "Example: close-simulator --port 8700 --seed 7 --leads 10000 --control"
)]
pub struct Options {
    /// Port to listen on; 0 takes a free one, which is printed.
    #[arg(long, default_value_t = 8700)]
    pub port: u16,
    /// Address to listen on.
    #[arg(long, default_value = "127.0.0.1")]
    pub host: IpAddr,
    /// The data set: the same seed gives the same bytes.
    #[arg(long, default_value_t = 1)]
    pub seed: u64,
    /// Leads in the data set, 0 and up; everything else is in proportion.
    #[arg(long, default_value_t = 1_000)]
    pub leads: usize,
    /// The organization's time at the start, as `2026-09-01T12:00:00Z`, or `system` for the machine's. It runs on from there.
    #[arg(long, default_value = "2026-09-01T12:00:00Z", value_parser = moment)]
    pub now: Moment,
    /// Serve `/_control/`: clock, changes, faults, limits, truth. Without credentials: never where others can reach it.
    #[arg(long)]
    pub control: bool,
}

impl Default for Options {
    fn default() -> Self {
        Self::parse_from(["close-simulator", "--port", "0", "--leads", "20", "--control"])
    }
}

fn moment(text: &str) -> Result<Moment, String> {
    if text == "system" {
        return Ok(Moment::system());
    }
    Moment::parse(text, 0)
        .ok_or_else(|| format!("`{text}` is not a date with time; give one as 2026-09-01T12:00:00Z, or `system`"))
}
