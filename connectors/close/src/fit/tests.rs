//! What a journal in memory has in the end.

use std::sync::Arc;

use towpath_api::{Key, Object, Op, Placed, PublishedRecords, Updates};

use super::*;
use crate::metrics::CloseMetrics;

/// A journal that accepts records of at most 1,000 bytes of text.
#[derive(Default)]
struct Memory {
    calls: usize,
    events: Vec<ChangeEvent>,
    position: Option<Position>,
}

const LIMIT: usize = 1_000;

impl Memory {
    fn refuse(event: &ChangeEvent) -> Result<()> {
        if event.key == Key::Text("misfit".into()) {
            return Err(Error::poison("encode.misfit", ErrorType::Serialization, "encode"));
        }
        let bytes: usize = event.after.iter().flatten().map(|(_, value)| text_bytes(value)).sum();
        if bytes > LIMIT {
            Err(Error::poison("kafka.record_too_large", ErrorType::TooLarge, "publish"))
        } else {
            Ok(())
        }
    }

    fn ids(&self) -> Vec<String> {
        self.events.iter().map(|event| event.event_id.clone()).collect()
    }
}

impl Journal for Memory {
    async fn prepare(&mut self, _: &Arc<Object>) -> Result<()> {
        Ok(())
    }

    async fn position(&mut self) -> Result<Option<Position>> {
        Ok(self.position.clone())
    }

    fn records(&self) -> Arc<dyn PublishedRecords> {
        unimplemented!("nothing is read back")
    }

    async fn check(&mut self, event: &ChangeEvent) -> Result<()> {
        Self::refuse(event)
    }

    async fn publish(&mut self, events: &[ChangeEvent], position: Position) -> Result<Vec<Placed>> {
        self.calls += 1;
        events.iter().try_for_each(Self::refuse)?;
        self.events.extend_from_slice(events);
        self.position = Some(position);
        Ok(Vec::new())
    }
}

fn event(id: &str, texts: [&str; 3], extra: Option<&str>) -> ChangeEvent {
    static OBJECT: std::sync::LazyLock<Arc<Object>> = std::sync::LazyLock::new(|| {
        let schema = r#"{"type": "record", "name": "Note", "fields": [
            {"name": "id", "type": "string"},
            {"name": "title", "type": "string"},
            {"name": "note", "type": ["null", "string"], "default": null},
            {"name": "note_html", "type": ["null", "string", {"type": "array", "items": "string"}], "default": null},
            {"name": "_extra", "type": ["null", "string"], "default": null}]}"#;
        Arc::new(Object::new("note", Schema::parse_str(schema).unwrap(), Updates::Whole).unwrap())
    });
    let [title, note, html] = texts.map(|text| Value::String(text.to_owned()));
    let extra = extra.map_or(Value::Null, |text| Value::Union(1, Box::new(Value::String(text.to_owned()))));
    ChangeEvent {
        object: Arc::clone(&OBJECT),
        key: Key::Text(id.to_owned()),
        op: Op::Update,
        after: Some(vec![
            ("id".into(), Value::String(id.to_owned())),
            ("title".into(), title),
            ("note".into(), note),
            ("note_html".into(), Value::Union(2, Box::new(Value::Array(vec![html])))),
            ("_extra".into(), extra),
        ]),
        changed: None,
        version: None,
        event_id: id.to_owned(),
        source_time_ms: None,
        traceparent: None,
    }
}

fn small(id: &str) -> ChangeEvent {
    event(id, ["t", "n", "h"], None)
}

fn position(log: i64) -> Position {
    Position(Map::from_iter([("log".to_owned(), log.into())]))
}

async fn publish_all(journal: &mut Memory, events: Vec<ChangeEvent>) -> CloseMetrics {
    let metrics = CloseMetrics::unregistered();
    publish(journal, events, position(2), &metrics.of("close")).await.unwrap();
    metrics
}

/// The values of a published event, without its id.
fn values(journal: &Memory, id: &str) -> Vec<Value> {
    let event = journal.events.iter().find(|event| event.event_id == id).expect("it is published");
    event.after.as_ref().unwrap()[1..].iter().map(|(_, value)| value.clone()).collect()
}

#[tokio::test]
async fn events_that_fit_are_published_in_one_call_and_unchanged() {
    let mut journal = Memory::default();
    publish_all(&mut journal, vec![small("a"), small("b")]).await;
    assert_eq!((journal.calls, journal.ids()), (1, vec!["a".to_owned(), "b".to_owned()]));
    assert_eq!(
        values(&journal, "a"),
        small("a").after.unwrap()[1..].iter().map(|(_, v)| v.clone()).collect::<Vec<_>>()
    );
    assert_eq!(journal.position, Some(position(2)));
}

#[tokio::test]
async fn a_record_that_is_too_large_loses_its_largest_text_only() {
    let mut journal = Memory::default();
    let large = event("large", ["title", &"n".repeat(400), &"h".repeat(2_000)], Some(r#"{"new":[1]}"#));
    let metrics = publish_all(&mut journal, vec![small("a"), large, small("b")]).await;
    assert_eq!((journal.calls, journal.ids().join(" ")), (2, "a large b".to_owned()));
    let [title, note, html, extra] = &values(&journal, "large")[..] else { panic!("four values") };
    assert_eq!((title, note), (&Value::String("title".into()), &Value::String("n".repeat(400))));
    assert_eq!(html, &Value::Null);
    assert_eq!(extra, &Value::String(r#"{"new":[1],"_omitted":["note_html"]}"#.into()));
    assert_eq!(journal.position, Some(position(2)));
    let series = metrics.of("close");
    assert_eq!((series.omitted_fields("note"), series.skipped_records("note", "too_large")), (1, 0));
}

#[tokio::test]
async fn texts_are_left_out_one_by_one_until_the_record_fits() {
    let mut journal = Memory::default();
    let extra = format!(r#"{{"x":"{}"}}"#, "x".repeat(5_000));
    let large = event("large", ["title", &"n".repeat(1_100), &"h".repeat(900)], Some(&extra));
    publish_all(&mut journal, vec![large]).await;
    let [_, note, html, extra] = &values(&journal, "large")[..] else { panic!("four values") };
    assert_eq!(note, &Value::Null);
    assert!(matches!(html, Value::Union(2, _)), "{html:?}");
    assert_eq!(extra, &Value::String(r#"{"_omitted":["_extra","note"]}"#.into()));
}

#[tokio::test]
async fn a_record_that_cannot_be_shortened_is_left_out_and_stops_no_other() {
    let mut journal = Memory::default();
    let mut events: Vec<_> = (0..7).map(|n| small(&n.to_string())).collect();
    events.insert(3, event("title", [&"t".repeat(2_000), "n", "h"], None));
    events.insert(5, small("misfit"));
    let metrics = publish_all(&mut journal, events).await;
    assert_eq!(journal.ids(), ["0", "1", "2", "3", "4", "5", "6"]);
    assert_eq!(journal.position, Some(position(2)));
    let series = metrics.of("close");
    let skipped = ["too_large", "serialization"].map(|reason| series.skipped_records("note", reason));
    assert_eq!((skipped, series.omitted_fields("note")), ([1, 1], 0));
}

#[tokio::test]
async fn the_position_is_published_although_nothing_is_left() {
    let mut journal = Memory::default();
    publish_all(&mut journal, vec![small("misfit")]).await;
    assert_eq!((journal.ids().len(), journal.position), (0, Some(position(2))));
}
