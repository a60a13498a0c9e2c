//! The status of snapshots, as text. Pure: JSON of the API in, text out.

use serde_json::Value;

use crate::cli::table::table;

const HEADER: [&str; 5] = ["OBJECT", "STATE", "RECORDS", "EXPECTED", "NOTE"];
/// The characters of a full bar.
const BAR: u64 = 20;

/// The whole status: the snapshot that runs, what needs attention, and the last one.
pub(super) fn status(status: &Value, connector: &str) -> String {
    let mut text = String::new();
    let running = &status["running"];
    if running.is_object() {
        text.push_str(&format!("{}\n", heading(running)));
        text.push_str(&objects(&running["objects"]));
    } else {
        text.push_str(&format!("no snapshot of connector `{connector}` runs\n"));
    }
    match status["queued"].as_u64() {
        None | Some(0) => {}
        Some(1) => text.push_str("1 request is to be begun\n"),
        Some(queued) => text.push_str(&format!("{queued} requests are to be begun\n")),
    }
    let attention = list(&status["held"]);
    if !attention.is_empty() {
        let verb = if attention.len() == 1 { "needs" } else { "need" };
        text.push_str(&format!("\n{} {verb} attention:\n", count(attention.len() as u64, "object")));
        text.push_str(&held(&attention));
        if !awaiting(status, &[]).is_empty() {
            text.push_str(&format!("approve the deletes with `towpath snapshot approve {connector}`\n"));
        }
    }
    if let Some(last) = last(&status["completed"]) {
        text.push_str(&format!("\n{last}\n"));
    }
    if let Some(next) = status["next"].as_str() {
        text.push_str(&format!("next comparison: {next}\n"));
    }
    text
}

/// The error of this connector, if it has failed.
pub(super) fn failure(connectors: &Value, connector: &str) -> Option<String> {
    let failed = |report: &&Value| report["name"] == connector && report["state"] == "failed";
    let report = list(connectors).into_iter().find(failed)?;
    let error = list(&report["tasks"]).into_iter().map(|task| &task["error"]).find(|error| error.is_object())?;
    let text = |member: &str| error[member].as_str();
    let mut shown = format!(
        "error: connector `{connector}` has failed: {}\n",
        text("message").or(text("code")).unwrap_or_default()
    );
    if let Some(help) = text("help") {
        shown.push_str(&format!("  = help: {help}\n"));
    }
    Some(shown)
}

/// The objects of `wanted`, or all if it is empty, that await approval.
pub(super) fn awaiting<'a>(status: &'a Value, wanted: &[String]) -> Vec<&'a Value> {
    let awaits = |object: &&Value| {
        let name = object["name"].as_str().unwrap_or_default();
        object["state"] == "awaits_approval" && (wanted.is_empty() || wanted.iter().any(|wanted| wanted == name))
    };
    list(&status["held"]).into_iter().filter(awaits).collect()
}

/// The number of deletes that each of these objects waits for.
pub(super) fn deletes(waiting: &[&Value]) -> Value {
    let number = |object: &&Value| Some((object["name"].as_str()?.to_owned(), object["deletes"].as_u64()?.into()));
    Value::Object(waiting.iter().filter_map(number).collect())
}

/// Objects that need attention, with their state and note.
pub(super) fn held(objects: &[&Value]) -> String {
    let cell = |object: &Value, member: &str| object[member].as_str().unwrap_or_default().to_owned();
    let rows: Vec<[String; 3]> = objects
        .iter()
        .map(|object| [format!("  {}", cell(object, "name")), words(&object["state"]), cell(object, "note")])
        .collect();
    table(&rows)
}

/// One line with the progress of the whole: `12,345 records, 410/s, 12 % of the time waiting for the rate limit`.
pub(super) fn line(status: &Value) -> String {
    let running = &status["running"];
    if !running.is_object() {
        return match status["queued"].as_u64() {
            None | Some(0) => "no snapshot runs".to_owned(),
            Some(_) => "the snapshot is to be begun".to_owned(),
        };
    }
    let objects = list(&running["objects"]);
    let over = objects.iter().filter(|object| is_over(object)).count();
    format!(
        "snapshot {}: {over} of {}, {}",
        running["generation"],
        count(objects.len() as u64, "object"),
        pace(running)
    )
}

/// A bar for each object that is being read, and a line of the whole.
pub(super) fn bars(status: &Value) -> Vec<String> {
    let objects = list(&status["running"]["objects"]);
    let reading = objects.into_iter().filter(|object| object["state"] == "reading");
    let mut lines: Vec<String> = reading.map(bar).collect();
    lines.push(line(status));
    lines
}

fn bar(object: &Value) -> String {
    let (rows, expected) = (object["rows"].as_u64().unwrap_or(0), object["expected"].as_u64());
    let name = object["name"].as_str().unwrap_or_default();
    let Some(expected) = expected.filter(|expected| *expected > 0) else {
        return format!("{name:<24} {} read, total unknown", grouped(rows));
    };
    let full = (rows.min(expected) * BAR / expected).min(BAR);
    let bar = "█".repeat(usize::try_from(full).unwrap_or(0)) + &"░".repeat(usize::try_from(BAR - full).unwrap_or(0));
    format!("{name:<24} {bar} {}/{} {:>3}%", grouped(rows), grouped(expected), rows.min(expected) * 100 / expected)
}

fn heading(running: &Value) -> String {
    let text = |member: &str| running[member].as_str().unwrap_or_default();
    let reason = if text("reason").is_empty() { String::new() } else { format!(", {}", text("reason")) };
    let began = if text("began").is_empty() { String::new() } else { format!(", began {}", text("began")) };
    format!("snapshot {} ({}{reason}){began}: {}", running["generation"], text("kind"), pace(running))
}

fn pace(running: &Value) -> String {
    let rows = running["rows"].as_u64().unwrap_or(0);
    let mut text = format!("{}, {:.0}/s", count(rows, "record"), running["rows_per_second"].as_f64().unwrap_or(0.0));
    let waited = running["waited_share"].as_f64().unwrap_or(0.0);
    if waited >= 0.005 {
        text.push_str(&format!(", {:.0} % of the time waiting for the rate limit", waited * 100.0));
    }
    // Zero says nothing while something is being read.
    if let Some(left) = running["left_seconds"].as_u64().filter(|left| *left > 0) {
        let about = if running["left_is_lower_bound"] == true { "at least" } else { "about" };
        text.push_str(&format!(", {about} {} left", duration(left)));
    }
    text
}

fn objects(objects: &Value) -> String {
    let number = |number: &Value| number.as_u64().map_or_else(|| "-".to_owned(), |number| number.to_string());
    let row = |object: &Value| {
        let text = |member: &str| object[member].as_str().unwrap_or_default().to_owned();
        [text("name"), words(&object["state"]), number(&object["rows"]), number(&object["expected"]), text("note")]
    };
    let header = HEADER.map(str::to_owned);
    table(&std::iter::once(header).chain(list(objects).into_iter().map(row)).collect::<Vec<_>>())
}

/// The last snapshot that ended, by the members that every source's result has.
fn last(completed: &Value) -> Option<String> {
    let generation = completed["generation"].as_u64()?;
    let kind = completed["kind"].as_str().unwrap_or_default();
    let ended = completed["ended"].as_str().map(|ended| format!(", ended {ended}")).unwrap_or_default();
    let rows = completed["rows"].as_u64().map(|rows| format!(": {}", count(rows, "record"))).unwrap_or_default();
    let checks = || completed["objects"].as_object().into_iter().flatten().map(|(_, object)| &object["check"]);
    let (objects, counted) = (checks().count(), checks().filter(|check| check["counted"] == true).count());
    let verdict = match completed["complete"].as_bool() {
        Some(true) if counted > 0 => format!("; complete, and {counted} of {objects} have the number of records there"),
        Some(true) => "; complete".to_owned(),
        Some(false) => "; not everything could be read, or something differs".to_owned(),
        None => String::new(),
    };
    Some(format!("last snapshot: {generation} ({kind}){ended}{rows}{verdict}"))
}

fn is_over(object: &Value) -> bool {
    !matches!(object["state"].as_str(), Some("waiting" | "reading") | None)
}

fn list(array: &Value) -> Vec<&Value> {
    array.as_array().map(|array| array.iter().collect()).unwrap_or_default()
}

fn words(state: &Value) -> String {
    state.as_str().unwrap_or_default().replace('_', " ")
}

fn count(number: u64, noun: &str) -> String {
    format!("{} {noun}{}", grouped(number), if number == 1 { "" } else { "s" })
}

/// `1234567` as `1,234,567`.
fn grouped(number: u64) -> String {
    let digits = number.to_string();
    let mut text = String::new();
    for (at, digit) in digits.chars().enumerate() {
        if at > 0 && (digits.len() - at).is_multiple_of(3) {
            text.push(',');
        }
        text.push(digit);
    }
    text
}

fn duration(seconds: u64) -> String {
    match (seconds / 3_600, seconds / 60 % 60, seconds % 60) {
        (0, 0, seconds) => format!("{seconds}s"),
        (0, minutes, seconds) => format!("{minutes}m{seconds:02}s"),
        (hours, minutes, _) => format!("{hours}h{minutes:02}m"),
    }
}
