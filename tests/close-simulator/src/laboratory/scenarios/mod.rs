//! Scenarios by name: rare, sudden or silent changes at Close.
//!
//! Each documents its effect and parameters, runs inside the organization like any other change, and answers with the
//! ids that a test needs.

pub mod calendar;
pub mod settings;
pub mod volume;

use serde_json::{Map, Value as Json, json};

use super::pick;
use crate::{
    model::{Id, Kind, Record, Refusal},
    seed::draw::Draw,
    world::{World, change::Body},
};

/// A parameter: its name, its default (a number, or `-` for a random object), and its meaning.
pub type Parameter = (&'static str, &'static str, &'static str);

pub struct Scenario {
    /// As in `/_control/scenarios/{name}/`.
    pub name: &'static str,
    /// What happens, and what is remarkable about it.
    pub meaning: &'static str,
    /// Parameters beside `seed`.
    pub parameters: &'static [Parameter],
    pub run: fn(&mut World, &mut Wish<'_>) -> Result<Json, Refusal>,
}

pub const SCENARIOS: &[&[Scenario]] = &[volume::SCENARIOS, settings::SCENARIOS, calendar::SCENARIOS];

/// The parameters of a run.
pub struct Wish<'b> {
    body: &'b Body,
    /// For random choices.
    pub draw: Draw,
}

/// Runs a scenario by name.
///
/// # Errors
/// An unknown name or parameter, a parameter of another type, or no suitable object.
pub fn run(world: &mut World, name: &str, body: &Body) -> Result<Json, Refusal> {
    let Some(scenario) = SCENARIOS.iter().copied().flatten().find(|scenario| scenario.name == name) else {
        let known: Vec<&str> = SCENARIOS.iter().copied().flatten().map(|scenario| scenario.name).collect();
        return Err(Refusal::Status(404, format!("unknown scenario `{name}`; must be one of {}", known.join(", "))));
    };
    let takes = |key: &str| key == "seed" || scenario.parameters.iter().any(|(known, ..)| *known == key);
    if let Some(unknown) = body.map.keys().find(|key| !takes(key)) {
        return Err(Refusal::field(
            unknown,
            format!("unknown; {name} takes seed and the parameters in GET /_control/scenarios/"),
        ));
    }
    let mut wish = Wish { body, draw: Draw::new(0, 0) };
    let seed = wish.number("seed", 1)?;
    wish.draw = Draw::new(seed, 0x0073_6365_6e65);
    (scenario.run)(world, &mut wish)
}

/// Names, parameters and meanings.
pub fn list() -> Json {
    let all: Vec<Json> = SCENARIOS
        .iter()
        .copied()
        .flatten()
        .map(|scenario| {
            let parameters: Map<String, Json> = scenario
                .parameters
                .iter()
                .map(|(name, default, meaning)| ((*name).to_owned(), json!({ "default": default, "meaning": meaning })))
                .collect();
            json!({ "name": scenario.name, "meaning": scenario.meaning, "parameters": parameters })
        })
        .collect();
    json!({ "data": all })
}

impl Wish<'_> {
    /// A number from 0 to ten million.
    ///
    /// # Errors
    /// The parameter is out of range.
    pub fn number(&self, name: &str, default: u64) -> Result<u64, Refusal> {
        match self.body.get(name) {
            None => Ok(default),
            Some(json) => json
                .as_u64()
                .filter(|number| *number <= 10_000_000 || name == "seed")
                .ok_or_else(|| Refusal::field(name, "must be an integer from 0 to 10000000")),
        }
    }

    pub fn text(&self, name: &str) -> Option<&str> {
        self.body.text(name)
    }

    /// The object that the body names, or a random one for which the condition holds.
    ///
    /// # Errors
    /// No such object exists.
    pub fn object(
        &mut self,
        world: &World,
        name: &str,
        kind: Kind,
        holds: impl Fn(&Record) -> bool,
    ) -> Result<std::sync::Arc<Record>, Refusal> {
        if let Some(text) = self.text(name) {
            let id = world.parse_id(text).filter(|id| id.kind() == kind);
            return id
                .and_then(|id| world.store.get(id))
                .cloned()
                .ok_or_else(|| Refusal::field(name, "the object does not exist"));
        }
        for _ in 0..256 {
            if let Some(record) = pick::any(world, &mut self.draw, kind).filter(|record| holds(record)) {
                return Ok(record);
            }
        }
        Err(Refusal::bad(format!("there is no suitable {}", kind.resource().name)))
    }
}

/// The texts of ids, at most the first hundred.
pub fn texts(world: &World, ids: &[Id]) -> Vec<String> {
    ids.iter().take(100).map(|id| id.text(world.seed)).collect()
}
