//! Sizes of the rate limits. The vendor's numbers are not published; the defaults were observed (reference, section
//! 3.1) or, where no observation exists, chosen.

use std::time::Duration;

use serde_json::{Map, Value as Json, json};

use super::group::{Group, Pattern};

/// A limit: `limit` requests in `window_secs` seconds.
#[derive(Clone, Copy, Debug, PartialEq)]
pub struct Rate {
    /// Tokens that each window adds.
    pub limit: u64,
    /// Seconds, more than 0.
    pub window_secs: f64,
    /// Tokens beyond the limit that an idle key may save up.
    pub burst: u64,
}

impl Rate {
    const fn new(limit: u64, window_secs: f64) -> Self {
        Self { limit, window_secs, burst: 0 }
    }

    pub fn window(self) -> Duration {
        Duration::from_secs_f64(self.window_secs)
    }

    /// The same window with `factor` times the tokens.
    pub fn times(self, factor: f64) -> Self {
        let times = |tokens: u64| ((tokens as f64) * factor).floor() as u64;
        Self { limit: times(self.limit), burst: times(self.burst), ..self }
    }

    fn json(self) -> Json {
        json!({ "limit": self.limit, "window_secs": self.window_secs, "burst": self.burst })
    }

    fn read(name: &str, json: &Json) -> Result<Self, String> {
        let form =
            || format!("{name} must have the form {{\"limit\": 60, \"window_secs\": 1}}, optionally with \"burst\"");
        let map = json.as_object().ok_or_else(form)?;
        if map.keys().any(|key| !matches!(key.as_str(), "limit" | "window_secs" | "burst")) {
            return Err(form());
        }
        let limit = map.get("limit").and_then(Json::as_u64).ok_or_else(form)?;
        let window_secs = map.get("window_secs").map_or(Some(1.0), Json::as_f64).ok_or_else(form)?;
        let burst = map.get("burst").map_or(Some(0), Json::as_u64).ok_or_else(form)?;
        if !(0.001..=86_400.0).contains(&window_secs) {
            return Err(format!("{name}: window_secs must be from 0.001 to 86400"));
        }
        Ok(Self { limit, window_secs, burst })
    }
}

#[derive(Clone, Debug)]
pub struct Settings {
    /// No request is refused and no header is sent.
    pub off: bool,
    /// The organization's limit as a multiple of a key's limit.
    pub organization_factor: f64,
    /// The limit of groups without one in `groups`.
    pub default: Rate,
    /// The limit of requests with wrong credentials, by address.
    pub unauthorized: Rate,
    groups: Vec<(Pattern, Rate)>,
    extra: Vec<(Pattern, Rate)>,
}

impl Default for Settings {
    fn default() -> Self {
        let named = |rates: &[(&str, Rate)]| {
            rates.iter().map(|(name, rate)| (Pattern::parse(name).expect("written below"), *rate)).collect()
        };
        Self {
            off: true,
            organization_factor: 3.0,
            default: Rate::new(60, 1.0),
            unauthorized: Rate::new(60, 10.0),
            groups: named(&[
                ("GET me", Rate::new(160, 8.0)),
                ("POST data/search", Rate::new(16, 1.0)),
                ("POST lead", Rate::new(40, 1.0)),
                ("GET report", Rate::new(10, 1.0)),
            ]),
            extra: named(&[("POST export", Rate::new(10, 60.0)), ("POST lead/merge", Rate::new(20, 10.0))]),
        }
    }
}

impl Settings {
    /// The announced limit of a group.
    pub fn rate(&self, group: Group) -> Rate {
        closest(&self.groups, group).unwrap_or(self.default)
    }

    /// The limit of a group that no header announces.
    pub fn extra(&self, group: Group) -> Option<Rate> {
        closest(&self.extra, group)
    }

    /// The settings in the form that [`Settings::with`] accepts.
    pub fn json(&self) -> Json {
        let named = |rates: &[(Pattern, Rate)]| {
            rates.iter().map(|(name, rate)| (name.text(), rate.json())).collect::<Map<_, _>>()
        };
        json!({
            "off": self.off,
            "organization_factor": self.organization_factor,
            "default": self.default.json(),
            "unauthorized": self.unauthorized.json(),
            "groups": named(&self.groups),
            "extra": named(&self.extra),
        })
    }

    /// Returns a copy with some settings changed. Naming any limit turns the limits on, unless `off` is named too. A
    /// group set to null has no limit of its own.
    ///
    /// # Errors
    /// The reason why a setting is invalid.
    pub fn with(&self, changes: &Map<String, Json>) -> Result<Self, String> {
        let mut settings = self.clone();
        settings.off = false;
        for (name, json) in changes {
            match name.as_str() {
                "off" => settings.off = json.as_bool().ok_or("off must be true or false")?,
                "organization_factor" => {
                    let factor = json.as_f64().filter(|factor| *factor > 0.0);
                    settings.organization_factor = factor.ok_or("organization_factor must be a number above 0")?;
                }
                "default" => settings.default = Rate::read(name, json)?,
                "unauthorized" => settings.unauthorized = Rate::read(name, json)?,
                "groups" => merge(&mut settings.groups, name, json)?,
                "extra" => merge(&mut settings.extra, name, json)?,
                _ => {
                    return Err(format!(
                        "unknown setting `{name}`; must be one of off, organization_factor, default, groups, extra, \
                         unauthorized"
                    ));
                }
            }
        }
        Ok(settings)
    }
}

fn closest(rates: &[(Pattern, Rate)], group: Group) -> Option<Rate> {
    rates
        .iter()
        .filter(|(pattern, _)| pattern.matches(group.method, group.prefix))
        .max_by_key(|(pattern, _)| pattern.closeness())
        .map(|(_, rate)| *rate)
}

fn merge(rates: &mut Vec<(Pattern, Rate)>, name: &str, json: &Json) -> Result<(), String> {
    let groups = json.as_object().ok_or_else(|| format!("{name} must be an object of endpoints and their limits"))?;
    for (group, json) in groups {
        let pattern = Pattern::parse(group)?;
        rates.retain(|(known, _)| *known != pattern);
        if !json.is_null() {
            rates.push((pattern, Rate::read(group, json)?));
        }
    }
    Ok(())
}
