//! Options of the command line and of the library.

use std::{net::IpAddr, path::PathBuf};

use clap::{Parser, ValueEnum};
use serde_json::{Map, Value as Json};

use crate::{
    model::Moment,
    world::{Switches, World},
};

const EXAMPLES: &str = "\
Examples:
  close-simulator --port 8700 --seed 7 --leads 10000 --control
  close-simulator --port 0 --control --limits off --key admin=api_mine --switch over_limit=clamp -o json
  close-simulator --restore /tmp/close.sim --control
  close-simulator describe

Exit codes: 0 after SIGINT or SIGTERM, 1 if it cannot start, 2 for wrong arguments.
README.md documents the controls, the switches and the endpoints.";

/// A Close API on this machine.
#[derive(Clone, Debug, Parser)]
#[command(
    name = "close-simulator",
    version,
    about,
    after_help = EXAMPLES
)]
pub struct Options {
    /// Port to listen on; 0 takes a free port, which is printed.
    #[arg(long, default_value_t = 8700)]
    pub port: u16,
    /// Address to listen on.
    #[arg(long, default_value = "127.0.0.1", value_parser = host)]
    pub host: IpAddr,
    /// Seed of the data set: the same seed gives the same bytes.
    #[arg(long, default_value_t = 1)]
    pub seed: u64,
    /// Leads in the data set, 0 or more; all other objects are in proportion.
    #[arg(long, default_value_t = 1_000, value_parser = leads, allow_negative_numbers = true)]
    pub leads: usize,
    /// The organization's time at the start, as `2026-09-01T12:00:00Z`, or `system` for the machine's time. It runs on
    /// from there.
    #[arg(long, default_value = "2026-09-01T12:00:00Z", value_parser = moment)]
    pub now: Moment,
    /// Seconds of the organization per second of the machine; 0 stops its clock.
    #[arg(long, default_value_t = 1.0, value_parser = rate, allow_negative_numbers = true)]
    pub rate: f64,
    /// Serve `/_control/`: clock, changes, faults, limits, truth. It needs no credentials: never serve it where others
    /// can reach it.
    #[arg(long)]
    pub control: bool,
    /// Whether requests are limited; they are counted in any case.
    #[arg(long, value_enum, default_value_t = OnOff::On)]
    pub limits: OnOff,
    /// Set a behavior, as `over_limit=clamp`; repeatable. `close-simulator describe` lists them.
    #[arg(long = "switch", value_name = "NAME=VALUE", value_parser = switch)]
    pub switches: Vec<(String, Json)>,
    /// Set the secret of a key, as `admin=api_mine`, for clients with a fixed configuration; repeatable.
    #[arg(long = "key", value_name = "NAME=SECRET", value_parser = key)]
    pub keys: Vec<(String, String)>,
    /// Start with the state of this snapshot instead of a data set; `--seed`, `--leads`, `--now` and `--rate` are then
    /// ignored.
    #[arg(long, value_name = "FILE")]
    pub restore: Option<PathBuf>,
}

#[derive(Clone, Copy, Debug, PartialEq, Eq, ValueEnum)]
pub enum OnOff {
    On,
    Off,
}

/// For tests: any free port, an organization without leads, controls on, limits off.
impl Default for Options {
    fn default() -> Self {
        Self::parse_from(["close-simulator", "--port", "0", "--leads", "0", "--control", "--limits", "off"])
    }
}

impl Options {
    /// Sets switches, secrets and, unless a snapshot is restored, the rate of the clock.
    ///
    /// # Errors
    /// A key is unknown, or two keys would have the same secret.
    pub(crate) fn apply(&self, world: &mut World) -> std::io::Result<()> {
        if self.restore.is_none() {
            world.clock.set_rate(self.rate);
        }
        let switches: Map<String, Json> = self.switches.iter().cloned().collect();
        world.switches = world.switches.with(&switches).expect("each was checked when it was read");
        for (name, secret) in &self.keys {
            let refused =
                |text: String| std::io::Error::new(std::io::ErrorKind::InvalidInput, format!("--key {name}=…: {text}"));
            let Some(mut key) = world.people.keys.values().find(|key| key.name == *name).cloned() else {
                let mut known: Vec<_> = world.people.keys.values().map(|key| (key.id, key.name.as_str())).collect();
                known.sort_unstable();
                let known: Vec<&str> = known.into_iter().map(|(_, name)| name).collect();
                return Err(refused(format!("the key `{name}` does not exist; must be one of {}", known.join(", "))));
            };
            if let Some(other) = world.people.keys.get(secret).filter(|other| other.name != *name) {
                return Err(refused(format!("the key `{}` already has this secret; choose another", other.name)));
            }
            world.people.keys.remove(&key.secret);
            key.secret.clone_from(secret);
            world.people.keys.insert(key.secret.clone(), key);
        }
        Ok(())
    }
}

fn host(text: &str) -> Result<IpAddr, String> {
    if text == "localhost" {
        return Ok(IpAddr::from([127, 0, 0, 1]));
    }
    text.parse().map_err(|_| {
        format!("`{text}` is not an IP address; use for example 127.0.0.1, or 0.0.0.0 for all addresses of the machine")
    })
}

fn leads(text: &str) -> Result<usize, String> {
    text.replace('_', "").parse().map_err(|_| format!("`{text}` is not a whole number of 0 or more"))
}

fn moment(text: &str) -> Result<Moment, String> {
    if text == "system" {
        return Ok(Moment::system());
    }
    Moment::parse(text, 0)
        .ok_or_else(|| format!("`{text}` is not a date with time; use for example 2026-09-01T12:00:00Z, or `system`"))
}

fn rate(text: &str) -> Result<f64, String> {
    let rate = text.parse::<f64>().ok().filter(|rate| rate.is_finite() && *rate >= 0.0);
    rate.ok_or_else(|| format!("`{text}` is not a number of 0 or more"))
}

fn switch(text: &str) -> Result<(String, Json), String> {
    let (name, value) = text.split_once('=').ok_or("must be NAME=VALUE, for example over_limit=clamp")?;
    let names = Switches::MEANINGS.iter().map(|(name, _)| *name);
    if !names.clone().any(|known| known == name) {
        let near = names.map(|known| (strsim::damerau_levenshtein(name, known), known)).min();
        let advice = match near {
            Some((distance, known)) if distance <= 4 => format!("did you mean `{known}`?"),
            _ => "`close-simulator describe` lists them".to_owned(),
        };
        return Err(format!("unknown switch `{name}`; {advice}"));
    }
    // A value that is JSON may still be meant as text, for example a number as the text of a 403.
    let plain = Json::String(value.to_owned());
    let json = serde_json::from_str(value).unwrap_or_else(|_| plain.clone());
    let fits =
        |value: &Json| Switches::default().with(&[(name.to_owned(), value.clone())].into_iter().collect()).map(|_| ());
    match fits(&json) {
        Ok(()) => Ok((name.to_owned(), json)),
        Err(_) if fits(&plain).is_ok() => Ok((name.to_owned(), plain)),
        Err(error) => Err(error),
    }
}

fn key(text: &str) -> Result<(String, String), String> {
    match text.split_once('=') {
        Some((name, secret)) if !name.is_empty() && !secret.is_empty() && !secret.contains(':') => {
            Ok((name.to_owned(), secret.to_owned()))
        }
        _ => Err("must be NAME=SECRET, for example admin=api_mine; a secret must not contain a colon".to_owned()),
    }
}
