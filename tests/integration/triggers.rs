//! Tables whose triggers drop rows: the records are counted as filtered, whichever statement wrote them. Tables whose
//! triggers take long hold up no other table.

use std::sync::Arc;

use apache_avro::types::Value;
use towpath_api::{Identity, RecordKey, RecordOp, Sink as _, TopicPartition};

use crate::{
    edges::{Feed, letters},
    laboratory::{Laboratory, claim, record_schema},
    stack::eventually,
};

/// Drops every change of the rows with an odd number.
const DROPS: &str = "CREATE FUNCTION $.no() RETURNS trigger LANGUAGE plpgsql AS $f$ BEGIN RETURN NULL; END $f$;
    CREATE TRIGGER new BEFORE INSERT OR UPDATE ON $.deals FOR EACH ROW WHEN (NEW.id % 2 = 1) EXECUTE FUNCTION $.no();
    CREATE TRIGGER old BEFORE DELETE ON $.deals FOR EACH ROW WHEN (OLD.id % 2 = 1) EXECUTE FUNCTION $.no()";

async fn drops(lab: &Laboratory) {
    lab.client.batch_execute(&DROPS.replace("$.", &format!("{}.", lab.name))).await.unwrap();
}

#[tokio::test]
async fn rows_that_a_trigger_drops_are_counted_as_filtered() {
    for (mode, metadata, partitioned) in
        [("soft", "full", false), ("hard", "version", false), ("hard", "none", false), ("soft", "full", true)]
    {
        let theme = format!("{mode} {metadata} {partitioned}");
        let lab = Laboratory::new("drops").await;
        if partitioned {
            let create = "CREATE SCHEMA $;
                CREATE TABLE $.deals (id bigint PRIMARY KEY, a bigint, b text) PARTITION BY HASH (id);
                CREATE TABLE $.part PARTITION OF $.deals FOR VALUES WITH (MODULUS 1, REMAINDER 0)";
            lab.client.batch_execute(&create.replace('$', &lab.name)).await.unwrap();
        }
        let mut feed = Feed::of(&lab, &[("delete.mode", mode), ("metadata.columns", metadata)]).await;
        feed.apply((1..9).map(|id| lab.whole(id, id, 1)).collect()).await;
        drops(&lab).await;
        // New rows, by COPY where it is expected and by the upsert.
        let applied = feed.apply((1_000..1_300).map(|id| lab.whole(id, id, 1)).collect()).await;
        assert_eq!((applied.inserted, applied.filtered), (150, 150), "{theme}: {applied:?}");
        let new = (1_300..1_304).map(|id| lab.whole(id, id, 1));
        let applied = feed.apply(new.chain((1..5).map(|id| lab.whole(1_400 + id, id, 2))).collect()).await;
        assert_eq!((applied.inserted, applied.updated, applied.filtered), (2, 2, 4), "{theme}: {applied:?}");
        let partial = |offset, id| lab.change(offset, id, RecordOp::Update, Some((3, "")), Some(vec![1]), None);
        let applied =
            feed.apply(vec![partial(1_500, 1), partial(1_501, 2), partial(1_502, 1_601), partial(1_503, 1_602)]).await;
        assert_eq!((applied.inserted, applied.updated, applied.filtered), (1, 1, 2), "{theme}: {applied:?}");
        let delete = |offset, id| lab.change(offset, id, RecordOp::Delete, None, None, None);
        let applied = feed.apply(vec![delete(1_600, 1), delete(1_601, 2)]).await;
        assert_eq!((applied.deleted, applied.filtered, letters(&applied)), (1, 1, 0), "{theme}: {applied:?}");
        let applied = feed.apply(vec![lab.tombstone(1_700, 3), lab.tombstone(1_701, 4)]).await;
        assert_eq!((applied.deleted, applied.filtered, letters(&applied)), (1, 1, 0), "{theme}: {applied:?}");
        assert_eq!(lab.ask("SELECT DISTINCT a FROM $.deals WHERE id % 2 = 1").await, ["1"], "{theme}");
    }
}

/// Waits until table `go` has a row.
const WAITS: &str = "CREATE TABLE $.go (); CREATE FUNCTION $.wait() RETURNS trigger LANGUAGE plpgsql AS $f$ BEGIN
      LOOP EXIT WHEN EXISTS (SELECT FROM $.go); PERFORM pg_sleep(0.02); END LOOP; RETURN NEW; END $f$;
    CREATE TRIGGER wait BEFORE INSERT ON $.deals FOR EACH ROW EXECUTE FUNCTION $.wait()";

#[tokio::test]
async fn a_table_is_created_while_another_that_got_a_column_is_slow_to_fill() {
    let lab = Laboratory::new("slow").await;
    let mut feed = Feed::of(&lab, &[]).await;
    feed.apply(vec![lab.whole(0, 1, 1)]).await;
    lab.client.batch_execute(&WAITS.replace("$.", &format!("{}.", lab.name))).await.unwrap();
    let schema = record_schema(r#"{"name":"id","type":"long"},{"name":"c","type":"long"}"#);
    let key = RecordKey { identity: Identity::Long(2), schema: Arc::clone(&lab.key_schema) };
    let wider = Laboratory::record(1, &key, RecordOp::Create, &schema, Some(vec![Value::Long(2), Value::Long(2)]));
    let slow = feed.apply(vec![wider]);
    let other = async {
        let sleeps = "SELECT count(*) FROM pg_stat_activity WHERE application_name = 'towpath/$' \
                      AND wait_event = 'PgSleep'";
        eventually("the trigger waits", || async { (lab.ask(sleeps).await == ["1"]).then_some(()) }).await;
        let mut sink = lab.open().await;
        let agents = TopicPartition { topic: format!("{}.agents", lab.name).into(), partition: 0 };
        let claim = claim(&mut sink, &agents).await;
        let mut batch = lab.batch(0, vec![lab.whole(0, 7, 1)]);
        batch.partition = agents;
        let applied = sink.apply(&claim, &batch).await;
        lab.client.batch_execute(&format!("INSERT INTO {}.go DEFAULT VALUES", lab.name)).await.unwrap();
        applied
    };
    let (slow, other) = tokio::join!(slow, other);
    assert_eq!(other.map(|applied| applied.inserted).map_err(|failed| failed.error.chain()), Ok(1));
    assert_eq!(slow.inserted, 1);
    assert_eq!(lab.ask("SELECT id, c FROM $.deals ORDER BY 1").await, ["1|", "2|2"]);
}
